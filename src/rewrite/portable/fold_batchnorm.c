/* BatchNormalization behind a Conv with constant weights goes into them.
 *
 *   y = BN(Conv(x, W, b))      a = scale / sqrt(var + eps)
 *   y = Conv(x, a*W, a*(b - mean) + B)
 *
 * In double, rounded once. Only for float types, inference mode, and when nothing else reads the Conv's
 * result. */
#include <math.h>
#include <string.h>

#include "ir/edit.h"
#include "rewrite/pass.h"

int pass_fold_batchnorm(struct pass_ctx *pc, struct graph *g);

static bool is_inference_bn(struct pass_ctx *pc, const struct node *n)
{
    int64_t training = 0, spatial = 1, is_test = 1;
    if (!node_is(n, "BatchNormalization") || n->nin < 5)
        return false;
    for (int o = 1; o < n->nout; o++)
        if (n->out[o] && (n->out[o]->nuses || pass_pinned(pc, n->out[o])))
            return false;
    if (graph_opset(n->graph, "") < 7) {
        is_test = 0;
        attr_int(pc->cx, n, "is_test", &is_test);
    }
    attr_int(pc->cx, n, "training_mode", &training);
    attr_int(pc->cx, n, "spatial", &spatial);
    for (int i = 1; i < 5; i++)
        if (!n->in[i] || !value_is_const(n->in[i]))
            return false;
    return !training && spatial && is_test;
}

/* scale, B, mean, var as they are; all of one float type with m elements, else NULL. */
static bool bn_consts(struct pass_ctx *pc, const struct node *bn, enum dtype dt, int64_t m,
                      const struct tensor **t)
{
    for (int i = 0; i < 4; i++) {
        t[i] = consts_get(pc->cx, &pc->ex->consts, bn->in[i + 1]);
        if (!t[i] || !dtype_is_float(t[i]->dt) || tensor_count(t[i]) != m)
            return false;
    }
    return dt == DT_FLOAT || dt == DT_DOUBLE || dt == DT_FLOAT16 || dt == DT_BFLOAT16;
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

/* New weights and bias. W is [M, C/group, ...]; b may be NULL. */
static int fold(struct pass_ctx *pc, const struct tensor *w, const struct tensor *b,
                const struct tensor *const *k, double eps, struct tensor *nw, struct tensor *nb)
{
    int64_t m = w->dims[0], per = m ? tensor_count(w) / m : 0;
    int rc = tensor_new(pc->cx, nw, w->dt, w->rank, w->dims);
    if (!rc)
        rc = tensor_new(pc->cx, nb, w->dt, 1, &m);
    for (int64_t o = 0; o < m && !rc; o++) {
        double a = tensor_f64(k[0], o) / sqrt(tensor_f64(k[3], o) + eps);
        scale_weights(w, nw, o * per, per, a);
        store(nb, o, a * ((b ? tensor_f64(b, o) : 0) - tensor_f64(k[2], o)) + tensor_f64(k[1], o));
    }
    return rc;
}

static int rewrite(struct pass_ctx *pc, struct node *conv, struct node *bn, const struct tensor *const *k)
{
    struct cx *cx = pc->cx;
    float eps = 1e-5f;
    struct tensor nw, nb;
    struct value *vw, *vb;
    memset(&nw, 0, sizeof nw);
    memset(&nb, 0, sizeof nb);
    attr_float(cx, bn, "epsilon", &eps);
    const struct tensor *w = consts_get(cx, &pc->ex->consts, conv->in[1]);
    const struct tensor *b =
        conv->nin > 2 && conv->in[2] ? consts_get(cx, &pc->ex->consts, conv->in[2]) : NULL;
    int rc = fold(pc, w, b, k, (double)eps, &nw, &nb);
    if (!rc)
        rc = graph_add_const(cx, conv->graph, conv->in[1]->name, &nw, &vw);
    if (!rc)
        rc = graph_add_const(cx, conv->graph, bn->in[2]->name, &nb, &vb);
    if (!rc)
        rc = node_set_input(cx, conv, 1, vw);
    if (!rc)
        rc = node_set_input(cx, conv, 2, vb);
    if (!rc)
        rc = value_replace(cx, bn->out[0], conv->out[0]);
    if (!rc)
        node_remove(bn);
    tensor_drop(&nw);
    tensor_drop(&nb);
    return rc;
}

static int try_fold(struct pass_ctx *pc, struct node *conv)
{
    const struct tensor *k[4];
    if (!node_is(conv, "Conv") || conv->nin < 2 || !conv->in[1] || !value_is_const(conv->in[1]) ||
        !conv->out[0])
        return OK;
    if (conv->nin > 2 && conv->in[2] && !value_is_const(conv->in[2]))
        return OK;
    struct node *bn = pass_sole_user(pc, conv->out[0]);
    if (!bn || !is_inference_bn(pc, bn) || bn->in[0] != conv->out[0])
        return OK;
    const struct tensor *w = consts_get(pc->cx, &pc->ex->consts, conv->in[1]);
    if (!w)
        return pc->cx->err.code;
    if (w->rank < 3 || !bn_consts(pc, bn, w->dt, w->dims[0], k))
        return pc->cx->err.code;
    return pass_take(pc) ? rewrite(pc, conv, bn, k) : OK;
}

int pass_fold_batchnorm(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first; n && !rc; n = n->next)
        rc = try_fold(pc, n);
    return rc;
}
