/* What scales and shifts channels behind a Conv with constant weights goes into them: BatchNormalization, Mul
 * and Add of a constant a channel. The last two also go into a BatchNormalization.
 *
 *   y = BN(Conv(x, W, b))      a = scale / sqrt(var + eps)
 *   y = Conv(x, a*W, a*b + (B - a*mean))
 *
 * In double, rounded once a step. Only for float types, inference mode, and when nothing else reads the first
 * node's result. */
#include <string.h>

#include "ir/edit.h"
#include "rewrite/match.h"

int pass_fold_batchnorm(struct pass_ctx *pc, struct graph *g);

/* y = a x + b, channel by channel: m of each. */
struct affine {
    double *a, *b;
    int64_t m;
};

static bool foldable(enum dtype dt)
{
    return dt == DT_FLOAT || dt == DT_DOUBLE || dt == DT_FLOAT16 || dt == DT_BFLOAT16;
}

/* t, broadcast over a value of that rank, has one element a channel (or one for all). */
static bool by_channel(const struct tensor *t, int rank, int64_t m)
{
    if (!dtype_is_float(t->dt) || t->rank > rank)
        return false;
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] != 1 && (i + rank - t->rank != 1 || t->dims[i] != m))
            return false;
    return true;
}

/* Mul or Add of a constant; opset 7 and later, where broadcasting is as above. */
static bool from_arithmetic(struct pass_ctx *pc, const struct node *n, const struct value *v,
                            struct affine *f)
{
    bool mul = node_is(n, "Mul");
    const struct type *ty = pass_type(pc, v);
    if ((!mul && !node_is(n, "Add")) || n->nin != 2 || n->in[0] == n->in[1] || !ty || ty->kind != TY_TENSOR ||
        graph_opset(n->graph, "") < 7)
        return false;
    const struct value *other = n->in[0] == v ? n->in[1] : n->in[0];
    const struct tensor *t =
        other && value_is_const(other) ? consts_get(pc->cx, &pc->ex->consts, other) : NULL;
    if (!t || ty->rank < 2 || !by_channel(t, ty->rank, f->m))
        return false;
    bool one = tensor_count(t) == 1;
    for (int64_t o = 0; o < f->m; o++) {
        double c = tensor_f64(t, one ? 0 : o);
        f->a[o] = mul ? c : 1;
        f->b[o] = mul ? 0 : c;
    }
    return true;
}

static void store(struct tensor *t, int64_t i, double v)
{
    dtype_info(t->dt)->store_f64((char *)t->data + (size_t)i * dtype_size(t->dt), v);
}

/* n weights from element i on, times a. Floats, which is what models hold, without a call for each. */
static void scale_weights(const struct tensor *w, struct tensor *nw, int64_t i, int64_t n, double a)
{
    if (w->dt == DT_FLOAT) {
        const float *from = (const float *)w->data + i;
        float *to = (float *)nw->data + i;
        for (int64_t k = 0; k < n; k++)
            to[k] = (float)(a * (double)from[k]);
        return;
    }
    for (int64_t k = i; k < i + n; k++)
        store(nw, k, a * tensor_f64(w, k));
}

/* New weights and bias. W is [M, ...]; b may be NULL. */
static int fold(struct pass_ctx *pc, const struct tensor *w, const struct tensor *b, const struct affine *f,
                struct tensor *nw, struct tensor *nb)
{
    int64_t m = f->m, per = m ? tensor_count(w) / m : 0;
    int rc = tensor_new(pc->cx, nw, w->dt, w->rank, w->dims);
    if (!rc)
        rc = tensor_new(pc->cx, nb, w->dt, 1, &m);
    for (int64_t o = 0; o < m && !rc; o++) {
        scale_weights(w, nw, o * per, per, f->a[o]);
        store(nb, o, f->a[o] * (b ? tensor_f64(b, o) : 0) + f->b[o]);
    }
    return rc;
}

/* Puts f, which `next` does, into the weights (input 1) and bias (input 2) of n. */
static int rewrite(struct pass_ctx *pc, struct node *n, struct node *next, const struct affine *f)
{
    struct cx *cx = pc->cx;
    struct tensor nw, nb;
    struct value *vw, *vb, *old = n->in[1];
    memset(&nw, 0, sizeof nw);
    memset(&nb, 0, sizeof nb);
    const struct tensor *w = consts_get(cx, &pc->ex->consts, n->in[1]);
    const struct tensor *b = n->nin > 2 && n->in[2] ? consts_get(cx, &pc->ex->consts, n->in[2]) : NULL;
    bool bn = node_is(next, "BatchNormalization");
    int rc = fold(pc, w, b, f, &nw, &nb);
    if (!rc)
        rc = graph_add_const(cx, n->graph, n->in[1]->name, &nw, &vw);
    if (!rc)
        rc = graph_add_const(cx, n->graph, bn ? next->in[2]->name : n->in[1]->name, &nb, &vb);
    if (!rc)
        rc = node_set_input(cx, n, 1, vw);
    if (!rc)
        rc = node_set_input(cx, n, 2, vb);
    if (!rc)
        rc = value_replace(cx, next->out[0], n->out[0]);
    if (!rc) {
        node_remove(next);
        pass_drop_const(pc, old);
    }
    tensor_drop(&nw);
    tensor_drop(&nb);
    return rc;
}

/* The constant weights that a shift and a scale can go into; NULL. */
static const struct tensor *weights_of(struct pass_ctx *pc, const struct node *n)
{
    bool conv = node_is(n, "Conv");
    if ((!conv && !match_inference_bn(pc, n)) || n->nin < 2 || !n->in[1] || !value_is_const(n->in[1]) ||
        !n->out[0])
        return NULL;
    if (n->nin > 2 && n->in[2] && !value_is_const(n->in[2]))
        return NULL;
    const struct tensor *w = consts_get(pc->cx, &pc->ex->consts, n->in[1]);
    return w && foldable(w->dt) && w->rank >= (conv ? 3 : 1) ? w : NULL;
}

/* *done: the node behind n went into it. */
static int try_fold(struct pass_ctx *pc, struct node *n, bool *done)
{
    struct node *next = n->nout && n->out[0] ? pass_sole_user(pc, n->out[0]) : NULL;
    bool may = node_is(next, "BatchNormalization") || node_is(next, "Mul") || node_is(next, "Add");
    const struct tensor *w = may ? weights_of(pc, n) : NULL;
    *done = false;
    if (!w)
        return pc->cx->err.code;
    struct arena_mark mark = arena_mark(&pc->cx->scratch);
    struct affine f = {.m = w->dims[0]};
    f.a = arena_array(&pc->cx->scratch, 2 * (size_t)f.m + 1, sizeof *f.a);
    f.b = f.a + f.m;
    int rc = f.a ? OK : err_nomem(pc->cx);
    bool bn =
        !rc && node_is(n, "Conv") && next->in[0] == n->out[0] && match_bn_affine(pc, next, f.m, f.a, f.b);
    if (!rc && (bn || from_arithmetic(pc, next, n->out[0], &f)) && pass_take(pc)) {
        *done = true;
        rc = rewrite(pc, n, next, &f);
    }
    arena_release(&pc->cx->scratch, mark);
    return rc ? rc : pc->cx->err.code;
}

int pass_fold_batchnorm(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    bool again;
    for (struct node *n = g->first; n && !rc; n = n->next)
        do
            rc = try_fold(pc, n, &again);
        while (!rc && again);
    return rc;
}
