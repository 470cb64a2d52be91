/* Operators that exporters wrote out in parts become one again, so that memory is streamed once.
 *
 *   Swish      x * Sigmoid(x)
 *   Gelu       0.5 * x * (1 + Erf(x / sqrt 2)),  and  0.5 * x * (1 + Tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))
 *   LayerNorm  (x - mean) / sqrt(mean of squares + eps) * scale + bias, over the last axis
 *
 * The intermediate values must have no other reader. Matching starts at the last node, whose place the one
 * operator takes; the rest is left to remove_dead. */
#include <string.h>

#include "ir/edit.h"
#include "rewrite/match.h"

int pass_fuse_parts(struct pass_ctx *pc, struct graph *g);

/* Removes the producer of v, and what led to it alone, when nothing reads v any more. All of it stands before
 * the node at hand, so a walk over the graph is not disturbed. */
static void drop_unread(const struct pass_ctx *pc, const struct value *v)
{
    struct node *n = v ? v->producer : NULL;
    for (int o = 0; n && o < n->nout; o++)
        if (n->out[o] && (n->out[o]->nuses || pass_pinned(pc, n->out[o])))
            return;
    if (!n)
        return;
    struct value *in[8];
    int nin = n->nin < 8 ? n->nin : 0; /* the parts have one or two */
    for (int i = 0; i < nin; i++)
        in[i] = n->in[i];
    node_remove(n);
    for (int i = 0; i < nin; i++)
        drop_unread(pc, in[i]);
}

/* Puts a node of the default domain in the place of last. */
static int replace_last(struct pass_ctx *pc, struct node *last, const char *op_type, struct value *const *ins,
                        int nin, struct node **out)
{
    struct cx *cx = pc->cx;
    struct value *y;
    int rc = value_new(cx, last->graph, NULL, &y);
    if (!rc)
        rc = node_new(cx, last->graph, last, "", op_type, last->name, ins, nin, &y, 1, out);
    if (!rc)
        rc = pass_replace(pc, last->out[0], y);
    if (rc)
        return rc;
    struct value *read[] = {last->in[0], last->in[1]};
    node_remove(last);
    drop_unread(pc, read[0]);
    drop_unread(pc, read[1]);
    (*out)->op = op_find("", op_type);
    return OK;
}

static bool is_float(const struct pass_ctx *pc, const struct value *v)
{
    const struct type *t = pass_type(pc, v);
    return t && t->kind == TY_TENSOR && t->dt == DT_FLOAT && t->rank >= 1;
}

/* ---- Swish ---- */

static bool match_swish(struct pass_ctx *pc, struct node *mul, struct value **x)
{
    for (int i = 0; i < 2; i++) {
        struct node *sig = match_producer(pc, mul->in[i], "Sigmoid");
        if (sig && sig->in[0] == mul->in[1 - i]) {
            *x = sig->in[0];
            return is_float(pc, *x);
        }
    }
    return false;
}

/* ---- Gelu ---- */

/* The factors of a chain of Mul that hangs together through values nobody else reads: at most three. */
static int factors(struct pass_ctx *pc, struct node *mul, struct value **f)
{
    int n = 0;
    struct node *inner = NULL;
    for (int i = 0; i < 2; i++) {
        struct node *m = inner ? NULL : match_producer(pc, mul->in[i], "Mul");
        if (m)
            inner = m;
        else
            f[n++] = mul->in[i];
    }
    for (int i = 0; inner && i < 2; i++)
        f[n++] = inner->in[i];
    return n;
}

/* v is 1 + fn(u): gives u. */
static struct value *one_plus(struct pass_ctx *pc, struct value *v, const char *fn)
{
    struct value *rest;
    struct node *add = match_producer(pc, v, "Add");
    if (!add || !match_with_number(pc, add, 1.0, &rest))
        return NULL;
    struct node *f = match_producer(pc, rest, fn);
    return f ? f->in[0] : NULL;
}

/* u is x / sqrt(2), as a division or a product. */
static bool over_sqrt2(struct pass_ctx *pc, struct value *u, const struct value *x)
{
    struct value *rest;
    struct node *div = match_producer(pc, u, "Div"), *mul = match_producer(pc, u, "Mul");
    if (div)
        return div->in[0] == x && match_number(pc, div->in[1], 1.4142135623730951);
    return mul && match_with_number(pc, mul, 0.7071067811865476, &rest) && rest == x;
}

/* v is x^3. */
static bool is_cube(struct pass_ctx *pc, struct value *v, const struct value *x)
{
    struct node *pow3 = match_producer(pc, v, "Pow");
    return pow3 && pow3->in[0] == x && match_number(pc, pow3->in[1], 3.0);
}

/* u is sqrt(2/pi) * (x + 0.044715 x^3). */
static bool tanh_argument(struct pass_ctx *pc, struct value *u, const struct value *x)
{
    struct value *sum, *cube;
    struct node *outer = match_producer(pc, u, "Mul");
    if (!outer || !match_with_number(pc, outer, 0.7978845608028654, &sum))
        return false;
    struct node *add = match_producer(pc, sum, "Add");
    struct value *scaled = add ? match_other(add, x) : NULL;
    struct node *mul = scaled ? match_producer(pc, scaled, "Mul") : NULL;
    return mul && match_with_number(pc, mul, 0.044715, &cube) && is_cube(pc, cube, x);
}

static bool match_gelu(struct pass_ctx *pc, struct node *mul, struct value **x, const char **how)
{
    struct value *f[3];
    if (factors(pc, mul, f) != 3)
        return false;
    for (int h = 0; h < 3; h++) {
        if (!match_number(pc, f[h], 0.5))
            continue;
        for (int g = 0; g < 3; g++) {
            int k = 3 - h - g;
            if (g == h || k == h || k < 0 || k > 2)
                continue;
            *x = f[k];
            struct value *erf = one_plus(pc, f[g], "Erf"), *th = erf ? NULL : one_plus(pc, f[g], "Tanh");
            *how = erf ? "none" : "tanh";
            if ((erf && over_sqrt2(pc, erf, *x)) || (th && tanh_argument(pc, th, *x)))
                return is_float(pc, *x);
        }
    }
    return false;
}

/* ---- LayerNormalization ---- */

/* n is ReduceMean over the last axis alone, dims kept. */
static bool last_axis_mean(struct pass_ctx *pc, const struct node *n, int rank)
{
    int64_t keep = 1, axis = 0;
    const int64_t *axes = NULL;
    size_t count = 0;
    if (!n || attr_int(pc->cx, n, "keepdims", &keep) < 0 || attr_ints(pc->cx, n, "axes", &axes, &count) < 0 ||
        !keep)
        return false;
    if (count == 1) {
        axis = axes[0];
    } else if (n->nin > 1 && n->in[1] && n->in[1]->init && tensor_data_count(n->in[1]->init) == 1) {
        const struct tensor *t = consts_get(pc->cx, &pc->ex->consts, n->in[1]);
        if (!t)
            return false;
        axis = tensor_i64(t, 0);
    } else {
        return false;
    }
    return axis == -1 || axis == rank - 1;
}

/* sq is d * d or d ^ 2. */
static bool is_square(struct pass_ctx *pc, struct value *sq, const struct value *d)
{
    struct node *p = match_producer(pc, sq, "Pow"), *m = match_producer(pc, sq, "Mul");
    if (p)
        return p->in[0] == d && match_number(pc, p->in[1], 2.0);
    return m && m->in[0] == d && m->in[1] == d;
}

/* den is sqrt(mean(d^2) + eps). */
static bool is_deviation(struct pass_ctx *pc, struct value *den, const struct value *d, int rank, double *eps)
{
    struct node *root = match_producer(pc, den, "Sqrt");
    struct node *add = root ? match_producer(pc, root->in[0], "Add") : NULL;
    for (int i = 0; add && i < 2; i++) {
        struct node *mean = match_producer(pc, add->in[i], "ReduceMean");
        if (mean && match_scalar(pc, add->in[1 - i], eps))
            return last_axis_mean(pc, mean, rank) && is_square(pc, mean->in[0], d);
    }
    return false;
}

struct norm_match {
    struct value *x, *scale, *bias;
    double eps;
};

/* d = x - mean(x), read by the square and by the division alone. */
static bool is_centred(struct pass_ctx *pc, struct value *d, int rank, struct norm_match *m)
{
    struct node *sub = match_shared(d, "Sub");
    if (!sub || d->nuses > 3 || pass_pinned(pc, d))
        return false;
    m->x = sub->in[0];
    struct node *mean = match_producer(pc, sub->in[1], "ReduceMean");
    return mean && mean->in[0] == m->x && last_axis_mean(pc, mean, rank);
}

static bool match_norm(struct pass_ctx *pc, struct node *add, struct norm_match *m)
{
    const struct type *t = pass_type(pc, add->out[0]);
    if (!is_float(pc, add->out[0]) || t->dims[t->rank - 1].kind != DIM_CONST)
        return false;
    int64_t width = t->dims[t->rank - 1].v;
    for (int i = 0; i < 2; i++) {
        struct node *mul = match_producer(pc, add->in[i], "Mul");
        m->bias = add->in[1 - i];
        if (!mul || !match_row(m->bias, width) || m->bias->init->rank != 1)
            continue;
        for (int k = 0; k < 2; k++) {
            struct node *div = match_producer(pc, mul->in[k], "Div");
            m->scale = mul->in[1 - k];
            if (div && match_row(m->scale, width) && m->scale->init->rank == 1 &&
                is_centred(pc, div->in[0], t->rank, m) &&
                is_deviation(pc, div->in[1], div->in[0], t->rank, &m->eps))
                return true;
        }
    }
    return false;
}

static int make_norm(struct pass_ctx *pc, struct node *add, const struct norm_match *m)
{
    struct node *n;
    struct value *ins[] = {m->x, m->scale, m->bias};
    int rc = replace_last(pc, add, "LayerNormalization", ins, 3, &n);
    if (!rc)
        rc = node_set_attr_int(pc->cx, n, "axis", -1);
    return rc ? rc : node_set_attr_float(pc->cx, n, "epsilon", (float)m->eps);
}

static int make_gelu(struct pass_ctx *pc, struct node *mul, struct value *x, const char *how)
{
    struct node *n;
    int rc = replace_last(pc, mul, "Gelu", &x, 1, &n);
    return rc ? rc : node_set_attr_str(pc->cx, n, "approximate", how);
}

static int try_node(struct pass_ctx *pc, struct node *n)
{
    struct value *x;
    const char *how;
    struct norm_match norm;
    struct node *made;
    if (n->nin != 2 || !n->in[0] || !n->in[1] || !n->out[0])
        return OK;
    if (node_is(n, "Mul") && match_gelu(pc, n, &x, &how))
        return pass_take(pc) ? make_gelu(pc, n, x, how) : OK;
    if (node_is(n, "Mul") && match_swish(pc, n, &x))
        return pass_take(pc) ? replace_last(pc, n, "Swish", &x, 1, &made) : OK;
    if (node_is(n, "Add") && match_norm(pc, n, &norm))
        return pass_take(pc) ? make_norm(pc, n, &norm) : OK;
    return OK;
}

int pass_fuse_parts(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        next = n->next;
        rc = try_node(pc, n);
        if (!rc && pc->cx->err.code)
            rc = pc->cx->err.code;
    }
    return rc;
}
