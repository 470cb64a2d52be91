/* An operator between DequantizeLinear and QuantizeLinear is computed on the integers.
 *
 *   x -> DQ -.
 *   w -> DQ --> Conv -> Relu -> Q -> y      =>      x -> Transpose -> QConv(w, mult, bias) -> Transpose -> y
 *   b -> DQ -'
 *
 * Conv, MatMul and Gemm by constant weights, Add of one shape, GlobalAveragePool, and operators that only
 * move elements. Scales and zero points are constants, of activations one a tensor; weights are signed around
 * 0 (or unsigned around 128). The result is that of the three operators but for the rounding of floats
 * between them: where a value lies that close to the middle of two steps, it may go the other way.
 *
 * Images are channels last inside; the Transposes of neighbours cancel here. DequantizeLinear nodes are left
 * to remove_dead. */
#include <math.h>
#include <string.h>

#include "ir/edit.h"
#include "rewrite/match.h"

int pass_fuse_qdq(struct pass_ctx *pc, struct graph *g);

/* What a value of integers stands for. */
struct grid {
    float scale;
    int32_t zero;
    enum dtype dt;
};

static const struct tensor *constant(const struct pass_ctx *pc, const struct value *v)
{
    return v && v->init ? consts_get(pc->cx, &pc->ex->consts, v) : NULL;
}

static bool is_quant(const struct node *n, const char *op_type)
{
    return n && !n->func && strcmp(n->op_type, op_type) == 0 &&
           (n->domain[0] == 0 || strcmp(n->domain, "com.microsoft") == 0);
}

/* Scale and zero point of a Q or DQ node with one of each; dt: of the integers. */
static bool one_grid(const struct pass_ctx *pc, const struct node *n, enum dtype dt, struct grid *g)
{
    const struct tensor *s = constant(pc, n->in[1]), *z = n->nin > 2 ? constant(pc, n->in[2]) : NULL;
    if ((dt != DT_UINT8 && dt != DT_INT8) || !s || s->dt != DT_FLOAT || tensor_count(s) != 1 ||
        node_attr(n, "block_size") || (n->nin > 2 && n->in[2] && (!z || tensor_count(z) != 1 || z->dt != dt)))
        return false;
    *g = (struct grid){(float)tensor_f64(s, 0), z ? (int32_t)tensor_i64(z, 0) : 0, dt};
    return g->scale > 1e-30f && g->scale < 1e30f;
}

static bool moves(const struct node *n)
{
    static const char *const names[] = {"Flatten", "Reshape", "Squeeze",      "Unsqueeze",   "Transpose",
                                        "Slice",   "Gather",  "DepthToSpace", "SpaceToDepth"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (node_is(n, names[i]))
            return true;
    return false;
}

/* Element type of v; values made or changed here have not been inferred yet. */
static enum dtype type_of(const struct pass_ctx *pc, const struct value *v)
{
    const struct type *t = pass_type(pc, v);
    if (v && moves(v->producer) && v->producer->in[0])
        return type_of(pc, v->producer->in[0]);
    if (t)
        return t->kind == TY_TENSOR ? t->dt : DT_UNDEFINED;
    int64_t made = DT_UNDEFINED;
    const struct node *n = v ? v->producer : NULL;
    if (n && attr_int(pc->cx, n, "y_type", &made) < 0)
        err_clear(pc->cx);
    return (enum dtype)made;
}

/* v is the float form of integers: gives those. */
static struct value *integers_of(const struct pass_ctx *pc, const struct value *v, struct grid *g)
{
    struct node *dq = v ? v->producer : NULL;
    if (!is_quant(dq, "DequantizeLinear") || dq->graph != v->graph || type_of(pc, v) != DT_FLOAT ||
        !one_grid(pc, dq, type_of(pc, dq->in[0]), g))
        return NULL;
    return dq->in[0];
}

/* The QuantizeLinear that alone reads v. */
static struct node *quantizer_of(const struct pass_ctx *pc, const struct value *v, struct grid *g)
{
    struct node *q = v ? pass_sole_user(pc, v) : NULL;
    if (!is_quant(q, "QuantizeLinear") || q->in[0] != v || !q->out[0] ||
        !one_grid(pc, q, type_of(pc, q->out[0]), g))
        return NULL;
    return q;
}

/* One float operator, what it reads, and the end of its chain. */
struct qdq {
    struct node *op, *act, *add, *q;
    struct grid y;
    int32_t lo, hi; /* of the output's integers */
};

static int32_t on_grid(const struct grid *g, double v, int32_t lo, int32_t hi)
{
    float f = nearbyintf((float)v / g->scale) + (float)g->zero;
    return f >= (float)hi ? hi : f > (float)lo ? (int32_t)f : lo;
}

/* An activation that is a clamp becomes bounds of the output. */
static bool take_bounds(struct pass_ctx *pc, struct qdq *m)
{
    struct match_act act;
    int32_t lo = m->y.dt == DT_INT8 ? -128 : 0, hi = lo + 255;
    m->lo = lo;
    m->hi = hi;
    if (!m->act)
        return true;
    if (!match_activation(pc, m->act, &act))
        return false;
    if (strcmp(act.name, "Relu") == 0) {
        m->lo = m->y.zero;
        return true;
    }
    if (strcmp(act.name, "Clip") != 0 || !(act.params[0] <= act.params[1]))
        return false;
    m->lo = on_grid(&m->y, (double)act.params[0], lo, hi);
    m->hi = on_grid(&m->y, (double)act.params[1], lo, hi);
    return true;
}

/* What follows v: perhaps a clamp, then QuantizeLinear. */
static bool take_end(struct pass_ctx *pc, struct value *v, struct qdq *m)
{
    m->q = quantizer_of(pc, v, &m->y);
    if (!m->q) {
        struct node *act = pass_sole_user(pc, v);
        if ((!node_is(act, "Relu") && !node_is(act, "Clip")) || act->in[0] != v)
            return false;
        m->act = act;
        m->q = quantizer_of(pc, act->out[0], &m->y);
    }
    return m->q && take_bounds(pc, m);
}

/* ---- nodes that are made ---- */

static int set_floats(struct pass_ctx *pc, struct node *n, const char *name, const float *v, size_t count)
{
    float *copy = arena_dup(&pc->m->arena, v, count * sizeof *v);
    if (!copy)
        return err_nomem(pc->cx);
    struct attr a = {.name = name, .kind = AT_FLOATS, .n = count, .u.floats = copy};
    return node_set_attr(pc->cx, n, &a);
}

/* A node of ours in front of m->q, with the attributes that all have. */
static int make(struct pass_ctx *pc, const struct qdq *m, const char *op_type, struct value *const *ins,
                int nin, struct node **n, struct value **out)
{
    struct cx *cx = pc->cx;
    int rc = value_new(cx, m->q->graph, NULL, out);
    if (!rc)
        rc = node_new(cx, m->q->graph, m->q, "onnxtool", op_type, m->op->name, ins, nin, out, 1, n);
    if (!rc)
        rc = node_set_attr_int(cx, *n, "y_type", (int64_t)m->y.dt);
    if (!rc)
        rc = node_set_attr_int(cx, *n, "y_zero", m->y.zero);
    if (!rc)
        rc = node_set_attr_int(cx, *n, "lo", m->lo);
    if (!rc)
        rc = node_set_attr_int(cx, *n, "hi", m->hi);
    if (!rc)
        (*n)->op = op_find("onnxtool", op_type);
    return rc;
}

/* perm of channels last to first, or back; returns its length. */
static size_t order(int rank, bool to_first, int64_t *perm)
{
    for (int i = 0; i < rank; i++)
        perm[i] = i == 0 ? 0 : to_first ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
    return (size_t)rank;
}

/* The producer of v moves channels to their place in front: gives what it read. */
static struct value *before_turn(struct pass_ctx *pc, const struct value *v, int rank)
{
    int64_t want[TENSOR_MAX_RANK];
    const int64_t *perm = NULL;
    size_t n = 0;
    struct node *t = match_shared(v, "Transpose");
    if (!t || t->graph != v->graph || attr_ints(pc->cx, t, "perm", &perm, &n) <= 0 ||
        n != order(rank, true, want))
        return NULL;
    return memcmp(perm, want, n * sizeof *perm) ? NULL : t->in[0];
}

static int turn(struct pass_ctx *pc, const struct qdq *m, struct value *v, int rank, bool to_first,
                struct value **out)
{
    int64_t perm[TENSOR_MAX_RANK];
    struct node *t;
    struct value *inner = to_first ? NULL : before_turn(pc, v, rank);
    if (inner) {
        *out = inner;
        return OK;
    }
    size_t n = order(rank, to_first, perm);
    int rc = value_new(pc->cx, m->q->graph, NULL, out);
    if (!rc)
        rc = node_new(pc->cx, m->q->graph, m->q, "", "Transpose", "", &v, 1, out, 1, &t);
    return rc ? rc : node_set_attr_ints(pc->cx, t, "perm", perm, n);
}

/* out takes the place of the chain. */
static int finish(struct pass_ctx *pc, const struct qdq *m, struct value *out)
{
    int rc = pass_replace(pc, m->q->out[0], out);
    if (rc)
        return rc;
    node_remove(m->q);
    if (m->act)
        node_remove(m->act);
    if (m->add)
        node_remove(m->add);
    node_remove(m->op);
    return OK;
}

/* ---- products ---- */

struct weights {
    struct value *q;
    const struct tensor *scale;
    int64_t n, k; /* output channels, products a sum */
    bool per_channel;
    bool turned; /* [N, K], as in Conv */
    int32_t flip;
};

/* All zero points are where the type's middle is. */
static bool centred(const struct pass_ctx *pc, const struct node *dq, enum dtype dt)
{
    const struct tensor *z = dq->nin > 2 ? constant(pc, dq->in[2]) : NULL;
    if (!z)
        return dt == DT_INT8 && (dq->nin < 3 || !dq->in[2]);
    for (int64_t i = 0; i < tensor_count(z); i++)
        if (tensor_i64(z, i) != (dt == DT_INT8 ? 0 : 128))
            return false;
    return true;
}

/* v is constant integers behind DequantizeLinear, scaled as a whole or along axis. */
static bool take_weights(struct pass_ctx *pc, const struct value *v, int axis, struct weights *w)
{
    struct node *dq = v ? v->producer : NULL;
    int64_t along = 1;
    if (!is_quant(dq, "DequantizeLinear") || !dq->in[0]->init || node_attr(dq, "block_size") ||
        attr_int(pc->cx, dq, "axis", &along) < 0)
        return false;
    const struct tensor_data *d = dq->in[0]->init;
    w->q = dq->in[0];
    w->scale = constant(pc, dq->in[1]);
    if ((d->dt != DT_INT8 && d->dt != DT_UINT8) || d->rank < 2 || d->rank > 5 || !w->scale ||
        w->scale->dt != DT_FLOAT || !centred(pc, dq, d->dt) || tensor_data_count(d) == 0)
        return false;
    w->flip = d->dt == DT_INT8 ? 0 : 128;
    w->n = d->dims[axis];
    w->k = tensor_data_count(d) / w->n;
    int64_t scales = tensor_count(w->scale);
    w->per_channel = scales > 1;
    return scales == 1 ||
           (scales == w->n && w->scale->rank == 1 && (along < 0 ? along + d->rank : along) == axis);
}

/* Sums must not wrap: k products of 255 by 128, and the bias. */
enum { K_MAX = 32768 };

/* Constants of the product: mult and bias, by output channel. b: the float bias (NULL: none). */
static int product_constants(struct pass_ctx *pc, const struct qdq *m, const struct grid *x,
                             const struct weights *w, const float *b, struct value **mult,
                             struct value **bias)
{
    struct cx *cx = pc->cx;
    struct tensor tm, tb;
    int rc = tensor_new(cx, &tm, DT_FLOAT, 1, &w->n);
    if (rc)
        return rc;
    rc = tensor_new(cx, &tb, DT_INT32, 1, &w->n);
    for (int64_t i = 0; i < w->n && !rc; i++) {
        float unit = x->scale * (float)tensor_f64(w->scale, w->per_channel ? i : 0);
        double v = b ? nearbyint((double)b[i] / (double)unit) : 0;
        ((float *)tm.data)[i] = unit / m->y.scale;
        ((int32_t *)tb.data)[i] = v > 1e9 ? 1000000000 : v < -1e9 ? -1000000000 : (int32_t)v;
    }
    if (!rc)
        rc = graph_add_const(cx, m->op->graph, "mult", &tm, mult);
    if (!rc)
        rc = graph_add_const(cx, m->op->graph, "bias", &tb, bias);
    tensor_drop(&tm);
    if (!rc || tb.owner)
        tensor_drop(&tb);
    return rc;
}

/* The bias as floats: constant as it is, or constant integers behind DequantizeLinear. false: neither, or not
 * n values, or larger than sums can be. *out NULL: there is none. Scratch memory. */
static bool take_bias(struct pass_ctx *pc, const struct value *v, int64_t n, const struct grid *x,
                      const struct weights *w, float **out)
{
    *out = NULL;
    if (!v)
        return true;
    struct node *dq = v->producer;
    bool quantized = is_quant(dq, "DequantizeLinear");
    const struct tensor *t = constant(pc, quantized ? dq->in[0] : v);
    const struct tensor *s = quantized ? constant(pc, dq->in[1]) : NULL;
    const struct tensor *z = quantized && dq->nin > 2 ? constant(pc, dq->in[2]) : NULL;
    if (!t || tensor_count(t) != n || (quantized && (!s || (tensor_count(s) != 1 && tensor_count(s) != n))) ||
        (quantized && dq->nin > 2 && dq->in[2] && (!z || tensor_count(z) != tensor_count(s))) ||
        (!quantized && t->dt != DT_FLOAT))
        return false;
    *out = arena_array(&pc->cx->scratch, (size_t)n, sizeof **out);
    for (int64_t i = 0; *out && i < n; i++) {
        int64_t k = s && tensor_count(s) > 1 ? i : 0;
        double unit = (double)x->scale * tensor_f64(w->scale, w->per_channel ? i : 0);
        double b = quantized
                       ? ((double)tensor_i64(t, i) - (z ? (double)tensor_i64(z, k) : 0)) * tensor_f64(s, k)
                       : tensor_f64(t, i);
        if (!(fabs(b / unit) < 1e9))
            return false;
        (*out)[i] = (float)b;
    }
    return *out != NULL;
}

static int make_product(struct pass_ctx *pc, struct qdq *m, const char *op_type, struct value *x,
                        const struct grid *xg, const struct weights *w, const float *b, struct node **n,
                        struct value **out)
{
    struct value *mult, *bias;
    int rc = product_constants(pc, m, xg, w, b, &mult, &bias);
    struct value *ins[] = {x, w->q, rc ? NULL : mult, rc ? NULL : bias};
    if (!rc)
        rc = make(pc, m, op_type, ins, 4, n, out);
    if (!rc)
        rc = node_set_attr_int(pc->cx, *n, "x_zero", xg->zero);
    return rc ? rc : node_set_attr_int(pc->cx, *n, "w_flip", w->flip);
}

static int try_conv(struct pass_ctx *pc, struct node *conv)
{
    struct qdq m = {.op = conv};
    struct grid x;
    struct weights w;
    struct node *n;
    float *b;
    struct value *in = integers_of(pc, conv->in[0], &x), *out, *last;
    if (!in || !take_weights(pc, conv->in[1], 0, &w) || w.k > K_MAX ||
        !take_bias(pc, conv->nin > 2 ? conv->in[2] : NULL, w.n, &x, &w, &b) ||
        !take_end(pc, conv->out[0], &m) || !pass_take(pc))
        return OK;
    int rank = w.q->init->rank;
    int rc = turn(pc, &m, in, rank, false, &last);
    if (!rc)
        rc = make_product(pc, &m, "QConv", last, &x, &w, b, &n, &out);
    for (int i = 0; i < conv->nattr && !rc; i++)
        rc = node_set_attr(pc->cx, n, &conv->attrs[i]);
    if (!rc)
        rc = turn(pc, &m, out, rank, true, &out);
    return rc ? rc : finish(pc, &m, out);
}

static bool plain_gemm(struct pass_ctx *pc, const struct node *n, bool *tb)
{
    float alpha = 1, beta = 1;
    int64_t ta = 0, t = 0;
    bool ok = attr_float(pc->cx, n, "alpha", &alpha) >= 0 && attr_float(pc->cx, n, "beta", &beta) >= 0 &&
              attr_int(pc->cx, n, "transA", &ta) >= 0 && attr_int(pc->cx, n, "transB", &t) >= 0;
    *tb = t != 0;
    return ok && alpha == 1 && beta == 1 && !ta;
}

/* The Add of a constant row behind a MatMul. */
static struct value *row_behind(struct pass_ctx *pc, struct qdq *m, int64_t n)
{
    struct value *v = m->op->out[0], *row;
    struct node *add = pass_sole_user(pc, v);
    if (!node_is(add, "Add") || !(row = match_other(add, v)))
        return NULL;
    const struct value *c = is_quant(row->producer, "DequantizeLinear") ? row->producer->in[0] : row;
    const struct type *t = pass_type(pc, v);
    if (!c->init || c->init->rank < 1 || tensor_data_count(c->init) != n || !t || t->rank < c->init->rank ||
        c->init->dims[c->init->rank - 1] != n)
        return NULL;
    m->add = add;
    return row;
}

static int try_matmul(struct pass_ctx *pc, struct node *mm)
{
    struct qdq m = {.op = mm};
    struct grid x;
    struct weights w;
    struct node *n;
    float *b;
    bool gemm = node_is(mm, "Gemm"), tb = false;
    struct value *in = integers_of(pc, mm->in[0], &x), *out;
    if (!in || (gemm && !plain_gemm(pc, mm, &tb)) || !take_weights(pc, mm->in[1], tb ? 0 : 1, &w) ||
        w.k > K_MAX || w.q->init->rank != 2)
        return OK;
    const struct value *bias = gemm && mm->nin > 2 ? mm->in[2] : gemm ? NULL : row_behind(pc, &m, w.n);
    if (!take_bias(pc, bias, w.n, &x, &w, &b) || !take_end(pc, m.add ? m.add->out[0] : mm->out[0], &m) ||
        !pass_take(pc))
        return OK;
    int rc = make_product(pc, &m, "QMatMul", in, &x, &w, b, &n, &out);
    if (!rc && tb)
        rc = node_set_attr_int(pc->cx, n, "transB", 1);
    return rc ? rc : finish(pc, &m, out);
}

/* ---- sums and means ---- */

static int pair_attrs(struct pass_ctx *pc, struct node *n, const struct grid *in, int nin,
                      const struct grid *y)
{
    float scales[3] = {in[0].scale};
    int64_t zeros[2] = {in[0].zero};
    if (nin > 1) {
        scales[1] = in[1].scale;
        zeros[1] = in[1].zero;
    }
    scales[nin] = y->scale;
    int rc = set_floats(pc, n, "scales", scales, (size_t)nin + 1);
    return rc ? rc : node_set_attr_ints(pc->cx, n, "zeros", zeros, (size_t)nin);
}

static int try_add(struct pass_ctx *pc, struct node *add)
{
    struct qdq m = {.op = add};
    struct grid g[2];
    struct value *in[2], *out;
    struct node *n;
    for (int i = 0; i < 2; i++)
        if (!(in[i] = integers_of(pc, add->in[i], &g[i])))
            return OK;
    if (!match_same_float_shape(pc, add->in[0], add->in[1]) || !take_end(pc, add->out[0], &m))
        return OK;
    int rank = pass_type(pc, add->out[0])->rank, rc = OK;
    bool image = before_turn(pc, in[0], rank) || before_turn(pc, in[1], rank);
    if (!pass_take(pc))
        return OK;
    for (int i = 0; i < 2 && image && !rc; i++)
        rc = turn(pc, &m, in[i], rank, false, &in[i]);
    if (!rc)
        rc = make(pc, &m, "QAdd", in, 2, &n, &out);
    if (!rc)
        rc = pair_attrs(pc, n, g, 2, &m.y);
    if (!rc && image)
        rc = turn(pc, &m, out, rank, true, &out);
    return rc ? rc : finish(pc, &m, out);
}

static int try_mean(struct pass_ctx *pc, struct node *pool)
{
    struct qdq m = {.op = pool};
    struct grid g;
    struct value *in = integers_of(pc, pool->in[0], &g), *out;
    struct node *n;
    const struct type *t = pass_type(pc, pool->in[0]);
    if (!in || !t || t->rank < 3 || !take_end(pc, pool->out[0], &m) || !pass_take(pc))
        return OK;
    int rc = turn(pc, &m, in, t->rank, false, &in);
    if (!rc)
        rc = make(pc, &m, "QMean", &in, 1, &n, &out);
    if (!rc)
        rc = pair_attrs(pc, n, &g, 1, &m.y);
    if (!rc)
        rc = turn(pc, &m, out, t->rank, true, &out);
    return rc ? rc : finish(pc, &m, out);
}

/* ---- what only moves elements ---- */

/* DQ -> n -> Q on one grid: n takes the integers. */
static int try_move(struct pass_ctx *pc, struct node *n)
{
    struct grid x, y;
    struct value *in = integers_of(pc, n->in[0], &x);
    struct node *q = in ? quantizer_of(pc, n->out[0], &y) : NULL;
    if (!q || x.scale != y.scale || x.zero != y.zero || x.dt != y.dt || !pass_take(pc))
        return OK;
    int rc = node_set_input(pc->cx, n, 0, in);
    if (!rc)
        rc = pass_replace(pc, q->out[0], n->out[0]);
    if (!rc)
        node_remove(q);
    return rc;
}

static int try_node(struct pass_ctx *pc, struct node *n)
{
    if (n->nin < 1 || !n->in[0] || n->nout < 1 || !n->out[0])
        return OK;
    if (node_is(n, "Conv"))
        return try_conv(pc, n);
    if ((node_is(n, "MatMul") || node_is(n, "Gemm")) && n->in[1])
        return try_matmul(pc, n);
    if (node_is(n, "Add") && n->in[1])
        return try_add(pc, n);
    if (node_is(n, "GlobalAveragePool"))
        return try_mean(pc, n);
    return moves(n) ? try_move(pc, n) : OK;
}

/* Chains are removed from their end in front of which new nodes stand: the node behind is found first. */
int pass_fuse_qdq(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *prev = NULL; n && !rc;) {
        struct arena_mark mark = arena_mark(&pc->cx->scratch);
        long before = pc->count;
        rc = try_node(pc, n);
        arena_release(&pc->cx->scratch, mark);
        if (!rc && pc->cx->err.code)
            rc = pc->cx->err.code;
        if (pc->count == before)
            prev = n;
        n = prev ? prev->next : g->first;
    }
    return rc;
}
