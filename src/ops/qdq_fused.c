/* Operators of our own that stand for DequantizeLinear, an operator, QuantizeLinear in one: onnxtool.QConv,
 * QMatMul, QAdd, QMean. A machine pass makes them (rewrite/machine/fuse_qdq.c); images are channels last.
 *
 * Attributes of all: y_type (element type of the output), y_zero, and the bounds lo and hi of the output, in
 * which an activation may hide. Scales are one a tensor but for weights, where they are in `mult`, what a sum
 * of channel o is multiplied by. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kern/qconv.h"
#include "ops/conv_op.h"
#include "ops/matmul_op.h"
#include "ops/op_util.h"
#include "ops/wide.h"

/* ---- what they share ---- */

struct q_common {
    enum dtype y_type;
    struct q_out out;
};

static int attr_i32(struct cx *cx, const struct node *n, const char *name, int32_t *out)
{
    int64_t v = *out;
    int r = attr_int(cx, n, name, &v);
    if (r < 0)
        return r;
    if (v < -256 || v > 256)
        return err_set(cx, E_ATTR, "attribute %s is %lld", name, (long long)v);
    *out = (int32_t)v;
    return 0;
}

static int common_parse(struct cx *cx, const struct node *n, struct q_common *c)
{
    int32_t type = DT_UINT8;
    c->out.hi = 255;
    int r = attr_i32(cx, n, "y_type", &type);
    if (!r)
        r = attr_i32(cx, n, "y_zero", &c->out.zero);
    if (!r)
        r = attr_i32(cx, n, "lo", &c->out.lo);
    if (!r)
        r = attr_i32(cx, n, "hi", &c->out.hi);
    if (!r && type != DT_UINT8 && type != DT_INT8)
        return err_set(cx, E_ATTR, "attribute y_type is %d", (int)type);
    c->y_type = (enum dtype)type;
    return r;
}

static bool is_byte(const struct tensor *t)
{
    return t->dt == DT_UINT8 || t->dt == DT_INT8;
}

static int32_t byte_at(const struct tensor *t, int64_t i)
{
    return t->dt == DT_INT8 ? ((const int8_t *)t->data)[i] : ((const uint8_t *)t->data)[i];
}

static uint8_t quantum(float r, const struct q_out *o)
{
    float f = nearbyintf(r) + (float)o->zero;
    return (uint8_t)(f >= (float)o->hi ? o->hi : f > (float)o->lo ? (int32_t)f : o->lo);
}

/* ---- products: x, w, mult, bias ---- */

struct q_product {
    struct conv_attrs a; /* QConv */
    struct q_common c;
    int32_t xz;
    int32_t w_flip; /* 128: w is unsigned around it */
    bool tb;        /* QMatMul: w is [N, K] */
};

static int product_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct q_product *p = params;
    int64_t tb = 0;
    int r = conv_parse(cx, arena, n, version, &p->a);
    if (!r)
        r = common_parse(cx, n, &p->c);
    if (!r)
        r = attr_i32(cx, n, "x_zero", &p->xz);
    if (!r)
        r = attr_i32(cx, n, "w_flip", &p->w_flip);
    if (!r)
        r = attr_int(cx, n, "transB", &tb);
    p->tb = tb != 0;
    return r < 0 ? r : 0;
}

static int qconv_infer(struct infer_ctx *ic, const void *params)
{
    const struct q_product *p = params;
    struct dim d[TENSOR_MAX_RANK];
    int rank = ic_rank(ic, 0), r = ic_need_rank(ic, 0, 3, 5);
    if (!r)
        r = ic_need_rank(ic, 1, 3, 5);
    if (r)
        return r;
    if (rank < 0 || ic_rank(ic, 1) != rank)
        return ic_out(ic, 0, p->c.y_type, -1, NULL);
    r = window_check(ic, &p->a.w, rank - 2);
    d[0] = ic_dim(ic, 0, 0);
    d[rank - 1] = ic_dim(ic, 1, 0);
    for (int i = 0; i < rank - 2 && !r; i++)
        r = window_out_dim(ic, &p->a.w, rank - 2, i, ic_dim(ic, 0, i + 1), ic_dim(ic, 1, i + 2), false,
                           &d[i + 1]);
    return r ? r : ic_out(ic, 0, p->c.y_type, rank, d);
}

static int qconv_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : qconv_infer(ic, params);
    return r ? r : conv_macs(ic, &((const struct q_product *)params)->a, 1, out);
}

/* t's dims with the channels moved from the end to their place in front of the axes. */
static struct tensor channels_first(const struct tensor *t)
{
    struct tensor u = {.dt = t->dt, .rank = t->rank};
    for (int i = 0; i < t->rank; i++)
        u.dims[i] = i == 0 ? t->dims[0] : i == 1 ? t->dims[t->rank - 1] : t->dims[i - 1];
    return u;
}

static int qconv_geometry(struct exec_ctx *ec, const struct q_product *p, const int64_t *wdims, int wrank,
                          struct conv_params *g)
{
    struct tensor x = channels_first(ec->in[0]), y = channels_first(ec->out[0]);
    return conv_geometry(ec->cx, &p->a, &x, wdims, wrank, &y, g);
}

/* Rows of x by a matrix, as a layer of one tap. wdims: of the operator's input. */
static int qmatmul_geometry(struct exec_ctx *ec, const struct q_product *p, const int64_t *wdims, int wrank,
                            struct conv_params *g)
{
    const struct tensor *x = ec->in[0], *y = ec->out[0];
    if (wrank != 2 || x->rank < 1 || y->rank < 1 || x->dims[x->rank - 1] != wdims[p->tb ? 1 : 0] ||
        y->dims[y->rank - 1] != wdims[p->tb ? 0 : 1])
        return matmul_no_fit(ec->cx);
    int64_t rows = dims_prod(x->dims, 0, x->rank - 1);
    *g = (struct conv_params){.n = 1, .groups = 1, .rank = 1, .ci = wdims[p->tb ? 1 : 0]};
    g->co = wdims[p->tb ? 0 : 1];
    g->in[0] = g->out[0] = rows;
    g->kernel[0] = g->stride[0] = g->dilation[0] = 1;
    return dims_prod(y->dims, 0, y->rank - 1) == rows ? 0 : matmul_no_fit(ec->cx);
}

typedef int geometry_fn(struct exec_ctx *ec, const struct q_product *p, const int64_t *wdims, int wrank,
                        struct conv_params *g);

/* Where weight (o, c, t) lies in w. */
static int64_t weight_at(const struct q_product *p, const struct conv_params *g, const struct tensor *w,
                         int64_t o, int64_t c, int64_t t)
{
    if (w->rank == 2)
        return p->tb ? o * g->ci + c : c * g->co + o;
    return (o * (g->ci / g->groups) + c) * dims_prod(g->kernel, 0, g->rank) + t;
}

/* The sum of output channel o at pixel `at` of image n. */
static int64_t one_sum(struct exec_ctx *ec, const struct q_product *p, const struct conv_params *g, int64_t n,
                       int64_t at, int64_t o)
{
    int64_t cig = g->ci / g->groups, c0 = o / (g->co / g->groups) * cig, sum = 0;
    for (int64_t t = 0, taps = dims_prod(g->kernel, 0, g->rank); t < taps; t++) {
        int64_t rest_o = at, rest_t = t, x = 0, step = 1;
        bool inside = true;
        for (int i = g->rank - 1; i >= 0; i--) {
            int64_t pos =
                rest_o % g->out[i] * g->stride[i] - g->pad[i] + rest_t % g->kernel[i] * g->dilation[i];
            inside = inside && pos >= 0 && pos < g->in[i];
            x += pos * step;
            step *= g->in[i];
            rest_o /= g->out[i];
            rest_t /= g->kernel[i];
        }
        for (int64_t c = 0; c < cig && inside; c++)
            sum += (int64_t)(byte_at(ec->in[0], (n * step + x) * g->ci + c0 + c) - p->xz) *
                   (byte_at(ec->in[1], weight_at(p, g, ec->in[1], o, c, t)) - p->w_flip);
    }
    return sum;
}

static int product_check(struct exec_ctx *ec, const struct conv_params *g)
{
    if (!is_byte(ec->in[0]) || !is_byte(ec->in[1]) || ec->in[2]->dt != DT_FLOAT ||
        (ec_has(ec, 3) && ec->in[3]->dt != DT_INT32))
        return ec_unsupported(ec, 0);
    if (tensor_count(ec->in[2]) != g->co || (ec_has(ec, 3) && tensor_count(ec->in[3]) != g->co))
        return err_set(ec->cx, E_SHAPE, "mult and bias have one value an output channel");
    return 0;
}

static int product_ref(struct exec_ctx *ec, const struct q_product *p, geometry_fn *geometry)
{
    struct conv_params g;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int r = geometry(ec, p, ec->in[1]->dims, ec->in[1]->rank, &g);
    if (!r)
        r = product_check(ec, &g);
    int64_t pixels = dims_prod(g.out, 0, g.rank);
    uint8_t *y = ec->out[0]->data;
    const float *mult = ec->in[2]->data;
    for (int64_t i = 0; !r && i < tensor_count(ec->out[0]); i++) {
        int64_t o = i % g.co, sum = one_sum(ec, p, &g, i / g.co / pixels, i / g.co % pixels, o);
        sum += ec_has(ec, 3) ? ((const int32_t *)ec->in[3]->data)[o] : 0;
        y[i] = quantum((float)(int32_t)(uint32_t)sum * mult[o], &p->c.out);
    }
    return r;
}

static int qconv_ref(struct exec_ctx *ec, const void *params)
{
    return product_ref(ec, params, qconv_geometry);
}

static int qmatmul_ref(struct exec_ctx *ec, const void *params)
{
    return product_ref(ec, params, qmatmul_geometry);
}

struct product_step {
    const struct q_product *p;
    const void *packed;
    bool x_signed;
    int wrank;
    int64_t wdims[TENSOR_MAX_RANK];
};

static int product_run(struct exec_ctx *ec, const struct product_step *s, geometry_fn *geometry)
{
    struct conv_params g;
    struct qconv_plan plan;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    if (!is_byte(ec->in[0]) || (ec->in[0]->dt == DT_INT8) != s->x_signed)
        return ec_unsupported(ec, 0);
    int r = geometry(ec, s->p, s->wdims, s->wrank, &g);
    if (r)
        return r;
    if (!qconv_plan(ec->kern, &g, s->x_signed, ec->pool ? pool_size(ec->pool) : 1, &plan))
        return err_set(ec->cx, E_LIMIT, "the layer is too large");
    void *scratch = ec_scratch(ec, plan.scratch_bytes);
    if (!scratch)
        return ec->cx->err.code;
    struct qconv_io io = {.x = ec->in[0]->data, .xz = s->p->xz, .w = s->packed, .out = s->p->c.out};
    io.y = ec->out[0]->data;
    qconv(ec->kern, &plan, &io, ec->pool, scratch);
    return 0;
}

static int qconv_run(struct exec_ctx *ec, const void *state)
{
    return product_run(ec, state, qconv_geometry);
}

static int qmatmul_run(struct exec_ctx *ec, const void *state)
{
    return product_run(ec, state, qmatmul_geometry);
}

/* A geometry with these weights: packing depends on nothing else. */
static void weight_geometry(const struct product_step *s, struct conv_params *g)
{
    const int64_t *d = s->wdims;
    *g = (struct conv_params){.n = 1, .groups = 1, .rank = 1, .ci = d[s->p->tb ? 1 : 0]};
    g->co = d[s->p->tb ? 0 : 1];
    g->kernel[0] = 1;
    if (s->wrank > 2) {
        g->groups = s->p->a.group;
        g->ci = d[1] * g->groups;
        g->co = d[0];
        g->rank = s->wrank - 2;
    }
    for (int i = 0; i < g->rank; i++) {
        g->kernel[i] = s->wrank > 2 ? d[i + 2] : 1;
        g->in[i] = g->kernel[i];
        g->out[i] = g->dilation[i] = 1;
        g->stride[i] = s->wrank > 2 ? window_stride(&s->p->a.w, i) : 1;
    }
}

/* Weights of [K, N] as [N][K]; NULL: memory. */
static uint8_t *turned(const struct tensor *w)
{
    int64_t k = w->dims[0], n = w->dims[1];
    const uint8_t *from = w->data;
    uint8_t *to = mem_alloc((size_t)(k * n) + 1);
    for (int64_t i = 0; to && i < k * n; i++)
        to[i % n * k + i / n] = from[i];
    return to;
}

static int product_pack(struct bind_ctx *bc, struct product_step *s)
{
    struct conv_params g;
    struct qconv_plan plan;
    const struct tensor *w = bc_const(bc, 1), *mult = bc_const(bc, 2),
                        *bias = bc_is_const(bc, 3) ? bc_const(bc, 3) : NULL;
    if (!w || !mult || (!bias && bc_is_const(bc, 3)))
        return bc->cx->err.code;
    weight_geometry(s, &g);
    if (tensor_count(mult) != g.co || (bias && tensor_count(bias) != g.co) || g.co % g.groups)
        return err_set(bc->cx, E_SHAPE, "mult and bias have one value an output channel");
    if (!qconv_plan(bc->kern, &g, s->x_signed, 1, &plan))
        return err_set(bc->cx, E_LIMIT, "the layer is too large");
    bool turn = s->wrank == 2 && !s->p->tb;
    uint8_t *other = turn ? turned(w) : NULL;
    void *packed = turn && !other ? NULL : bc_alloc(bc, plan.weight_bytes);
    if (packed)
        qconv_pack(bc->kern, &plan, turn ? other : w->data, s->p->w_flip ? 0x80 : 0, bias ? bias->data : NULL,
                   mult->data, s->p->xz, packed);
    free(other);
    s->packed = packed;
    return packed ? 0 : bc->cx->err.code ? bc->cx->err.code : err_nomem(bc->cx);
}

static int product_bind(struct bind_ctx *bc, const void *params, struct step *step,
                        int (*run)(struct exec_ctx *ec, const void *state))
{
    const struct type *w = bc->in[1];
    enum dtype xt = bc_dtype(bc, 0), wt = bc_dtype(bc, 1);
    if (!bc_is_const(bc, 1) || !bc_is_const(bc, 2) || (bc->nin > 3 && bc->in[3] && !bc_is_const(bc, 3)) ||
        (xt != DT_UINT8 && xt != DT_INT8) || (wt != DT_UINT8 && wt != DT_INT8) || !w || w->rank < 2 ||
        w->rank > CONV_RANK + 2)
        return 0;
    struct product_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    s->p = params;
    s->x_signed = xt == DT_INT8;
    s->wrank = w->rank;
    for (int i = 0; i < w->rank; i++)
        s->wdims[i] = w->dims[i].v;
    int r = product_pack(bc, s);
    if (r)
        return r;
    step->consumed |= 2 | 4 | 8;
    step->may_inplace = 0;
    step->kernel = "int8, packed weights";
    step->state = s;
    step->run = run;
    return 0;
}

static int qconv_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    return product_bind(bc, params, step, qconv_run);
}

static int qmatmul_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    return product_bind(bc, params, step, qmatmul_run);
}

static int qmatmul_infer(struct infer_ctx *ic, const void *params)
{
    const struct q_product *p = params;
    struct dim d[TENSOR_MAX_RANK];
    int rank = ic_rank(ic, 0), r = ic_need_rank(ic, 0, 1, TENSOR_MAX_RANK);
    if (!r)
        r = ic_need_rank(ic, 1, 2, 2);
    if (r)
        return r;
    if (rank < 0 || ic_rank(ic, 1) != 2)
        return ic_out(ic, 0, p->c.y_type, rank, NULL);
    for (int i = 0; i < rank - 1; i++)
        d[i] = ic_dim(ic, 0, i);
    d[rank - 1] = ic_dim(ic, 1, p->tb ? 0 : 1);
    r = ic_unify(ic, ic_dim(ic, 0, rank - 1), ic_dim(ic, 1, p->tb ? 1 : 0), "inner dimension");
    return r ? r : ic_out(ic, 0, p->c.y_type, rank, d);
}

static int qmatmul_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : qmatmul_infer(ic, params);
    return r ? r : matmul_macs(ic, 0, out);
}

const struct op op_onnxtool_QConv = {
    .domain = "onnxtool",
    .name = "QConv",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct q_product),
    .parse = product_parse,
    .infer = qconv_infer,
    .ref = qconv_ref,
    .bind = qconv_bind,
    .cost = qconv_cost,
};

const struct op op_onnxtool_QMatMul = {
    .domain = "onnxtool",
    .name = "QMatMul",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct q_product),
    .parse = product_parse,
    .infer = qmatmul_infer,
    .ref = qmatmul_ref,
    .bind = qmatmul_bind,
    .cost = qmatmul_cost,
};

/* ---- QAdd: a + b, of one shape; scales and zeros of a, b (and the scale of y) ---- */

struct q_pair {
    struct q_common c;
    const float *scale; /* QAdd: a, b, y; QMean: x, y */
    const int64_t *zero;
};

static int pair_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct q_pair *p = params;
    size_t ns = 0, nz = 0, want = n->nin > 1 ? 3 : 2;
    (void)arena, (void)version;
    int r = common_parse(cx, n, &p->c);
    if (!r)
        r = attr_floats(cx, n, "scales", &p->scale, &ns);
    if (r >= 0)
        r = attr_ints(cx, n, "zeros", &p->zero, &nz);
    if (r >= 0 && (ns != want || nz + 1 != want))
        return err_set(cx, E_ATTR, "scales and zeros have %zu and %zu values", ns, nz);
    return r < 0 ? r : 0;
}

static int qadd_infer(struct infer_ctx *ic, const void *params)
{
    return ic_out_like(ic, 0, 0, ((const struct q_pair *)params)->c.y_type);
}

struct add_job {
    const struct kern *kern;
    const uint8_t *a, *b;
    uint8_t *y;
    struct q_add p;
};

static void add_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct add_job *j = arg;
    (void)thread;
    j->kern->qconv.add(j->a + begin, j->b + begin, j->y + begin, (size_t)(end - begin), &j->p);
}

static int qadd_ref(struct exec_ctx *ec, const void *params)
{
    const struct q_pair *p = params;
    const struct tensor *a = ec->in[0], *b = ec->in[1];
    struct add_job j = {.kern = ec->kern, .a = a->data, .b = b->data};
    if (!ec_has_out(ec, 0))
        return 0;
    if (!is_byte(a) || !is_byte(b) || tensor_count(a) != tensor_count(b))
        return ec_unsupported(ec, 1);
    j.p = (struct q_add){a->dt == DT_INT8, b->dt == DT_INT8, (int32_t)p->zero[0], (int32_t)p->zero[1],
                         p->scale[0],      p->scale[1],      p->scale[2],         p->c.out};
    j.y = ec->out[0]->data;
    par_for(ec->pool, tensor_count(a), 16384, add_range, &j);
    return 0;
}

const struct op op_onnxtool_QAdd = {
    .domain = "onnxtool",
    .name = "QAdd",
    .flags = OP_ELEMENTWISE | OP_INPLACE,
    .tol = TOL_ROUND,
    .params_size = sizeof(struct q_pair),
    .parse = pair_parse,
    .infer = qadd_infer,
    .ref = qadd_ref,
};

/* ---- QMean: mean over all axes between the first and the last ---- */

static int qmean_infer(struct infer_ctx *ic, const void *params)
{
    struct dim d[TENSOR_MAX_RANK];
    int rank = ic_rank(ic, 0), r = ic_need_rank(ic, 0, 3, TENSOR_MAX_RANK);
    for (int i = 0; !r && i < rank; i++)
        d[i] = i && i < rank - 1 ? dim_const(1) : ic_dim(ic, 0, i);
    return r ? r : ic_out(ic, 0, ((const struct q_pair *)params)->c.y_type, rank, d);
}

/* Sums of the channels of one image. */
static void channel_sums(const struct tensor *x, const uint8_t *from, int64_t area, int64_t channels,
                         int32_t *sum)
{
    memset(sum, 0, (size_t)channels * sizeof(*sum));
    for (int64_t i = 0; i < area; i++, from += channels) {
        if (x->dt == DT_INT8)
            for (int64_t c = 0; c < channels; c++)
                sum[c] += (int8_t)from[c];
        else
            for (int64_t c = 0; c < channels; c++)
                sum[c] += from[c];
    }
}

static int qmean_ref(struct exec_ctx *ec, const void *params)
{
    const struct q_pair *p = params;
    const struct tensor *x = ec->in[0];
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int64_t area = dims_prod(x->dims, 1, x->rank - 1), channels = x->dims[x->rank - 1];
    int32_t *sum = ec_scratch(ec, (size_t)channels * sizeof(*sum));
    if (!sum)
        return ec->cx->err.code;
    if (!is_byte(x) || area > INT32_MAX / 256)
        return ec_unsupported(ec, 0);
    uint8_t *y = ec->out[0]->data;
    for (int64_t n = 0; n < x->dims[0]; n++, y += channels) {
        channel_sums(x, (const uint8_t *)x->data + n * area * channels, area, channels, sum);
        for (int64_t c = 0; c < channels; c++) {
            float mean = (float)(sum[c] - (int32_t)(area * p->zero[0])) * p->scale[0] / (float)area;
            y[c] = quantum(mean / p->scale[1], &p->c.out);
        }
    }
    return 0;
}

const struct op op_onnxtool_QMean = {
    .domain = "onnxtool",
    .name = "QMean",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct q_pair),
    .parse = pair_parse,
    .infer = qmean_infer,
    .ref = qmean_ref,
};
