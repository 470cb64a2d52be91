/* com.microsoft.nchwc: what ONNX Runtime writes into models that it saves at its highest level.
 *
 * A blocked value is declared as [N, C, H, W], C padded with zeros to a multiple of the block b, and its
 * elements lie in the order [N, C / b, H, W, b]. Weights are blocked too:
 *
 *     X is blocked, and so are the input channels of a filter    [O/b, I/b, kh, kw, b (of I), b (of O)]
 *     X has fewer than b channels, which are plain, or depthwise [O/b, I, kh, kw, b (of O)]
 *
 * Nothing in a file names b: it is the vector width of the machine that saved the model (16 floats with
 * AVX-512, else 8). It follows from the channel counts of the graph where they are no multiples of 16, and
 * else from the weights: taken apart rightly, output channels differ more than their mixtures do.
 *
 * Each operator here is one of plain tensors with reordering around it, so it runs on the kernels of that. */
#include "ops/nchwc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/tensor_pb.h"
#include "ops/contrib.h"

/* ---- the block ---- */

enum { LOOK_AT = 2048 }; /* nodes of a graph that are asked for the block */

/* Extent of axis `axis` of v as far as the file says it; -1: it does not. */
static int64_t stated_dim(const struct value *v, int axis)
{
    if (v && v->init)
        return axis < v->init->rank ? v->init->dims[axis] : -1;
    const struct type *t = v ? v->declared : NULL;
    if (!t || t->kind != TY_TENSOR || axis >= t->rank || t->dims[axis].kind != DIM_CONST)
        return -1;
    return t->dims[axis].v;
}

/* Channels of a value, from the weights of the convolution that it comes from when nothing states them. */
static int64_t channels_of(const struct value *v)
{
    int64_t c = -1;
    for (int i = 0; c < 0 && v && i < 64; i++) {
        const struct node *n = v->producer;
        c = stated_dim(v, 1);
        if (c < 0 && n && n->nin > 1 && !strcmp(n->op_type, "Conv"))
            c = stated_dim(n->in[1], 0);
        v = n && n->nin ? n->in[0] : NULL;
    }
    return c;
}

static bool conv_allows(const struct node *n, int64_t b)
{
    int64_t co = n->nin > 1 ? stated_dim(n->in[1], 0) : -1, ci = n->nin > 1 ? stated_dim(n->in[1], 1) : -1;
    return (co < 0 || co % b == 0) && (ci < b || ci % b == 0);
}

static int64_t int_attr(const struct node *n, const char *name)
{
    const struct attr *a = node_attr(n, name);
    return a && a->kind == AT_INT ? a->u.i : 0;
}

static bool node_allows(const struct node *n, int64_t b)
{
    if (!strcmp(n->op_type, "Conv"))
        return conv_allows(n, b);
    if (!n->nin || !n->nout)
        return true;
    int64_t in = channels_of(n->in[0]), out = stated_dim(n->out[0], 1);
    if (!strcmp(n->op_type, "ReorderInput")) {
        int64_t c = int_attr(n, "channels_last") ? stated_dim(n->in[0], 3) : stated_dim(n->in[0], 1);
        return out < 0 || (out % b == 0 && (c < 0 || out - c < b));
    }
    if (!strcmp(n->op_type, "ReorderOutput"))
        return in < 0 || (in % b == 0 && in - int_attr(n, "channels") < b);
    return (in < 0 || in % b == 0) && (out < 0 || out % b == 0);
}

static bool graph_allows(const struct graph *g, int64_t b)
{
    int seen = 0;
    for (const struct node *n = g->first; n && seen < LOOK_AT; n = n->next, seen++)
        if (!strcmp(n->domain, NCHWC_DOMAIN) && !node_allows(n, b))
            return false;
    return true;
}

/* Sum of squares of output channel o in a filter of blocks of b: its weights lie b elements apart. */
static double channel_energy(const float *w, const int64_t *dims, int64_t o, int64_t b)
{
    int64_t each = dims[1] * dims[2] * dims[3]; /* weights of a channel; a block of channels is dense */
    const float *p = w + o / b * each * b + o % b;
    double sum = 0;
    for (int64_t k = 0; k < each; k++)
        sum += (double)p[k * b] * (double)p[k * b];
    return sum;
}

/* How much the output channels of a filter differ in energy, if blocks have b of them: variance over squared
 * mean. Channels that are taken apart wrongly are mixtures, which differ less. */
static double channel_spread(const float *w, const int64_t *dims, int64_t b)
{
    double sum = 0, squares = 0, n = (double)dims[0];
    for (int64_t o = 0; o < dims[0]; o++) {
        double e = channel_energy(w, dims, o, b);
        sum += e;
        squares += e * e;
    }
    return sum > 0 ? n * squares / (sum * sum) - 1 : 0;
}

/* What the weights of a graph say: the sum over filters of spread in blocks of 8 less that in blocks of 16,
 * each as often as the filter has output channels, and the variance that chance gives the sum. */
struct verdict {
    double more, variance;
};

/* Adds n's weights to the verdict, if n is a convolution that tells: returns 1. */
static int add_spread(struct cx *cx, const struct node *n, struct verdict *v)
{
    const struct tensor_data *t = n->nin > 1 && n->in[1] ? n->in[1]->init : NULL;
    struct tensor w;
    if (strcmp(n->op_type, "Conv") != 0 || !t || t->dt != DT_FLOAT || t->rank != 4 || t->dims[0] < 64 ||
        tensor_data_count(t) < 1 || tensor_data_count(t) > 1 << 20)
        return 0;
    int rc = tensor_load(cx, n->graph->model, t, &w);
    if (rc)
        return rc;
    double channels = (double)w.dims[0];
    double in16 = channel_spread(w.data, w.dims, 16), in8 = channel_spread(w.data, w.dims, 8);
    v->more += channels * (in8 - in16);
    v->variance += 2 * channels * (in8 * in8 + in16 * in16);
    tensor_drop(&w);
    return 1;
}

/* Whether the weights say 8 where the channels allow 16 and 8. 16 unless it is clear: random weights look the
 * same either way. */
static int weights_say_8(struct cx *cx, const struct graph *g, bool *eight)
{
    struct verdict v = {0, 0};
    int asked = 0, rc = 0, seen = 0;
    for (const struct node *n = g->first; n && rc >= 0 && asked < 16 && seen < LOOK_AT; n = n->next, seen++)
        if (!strcmp(n->domain, NCHWC_DOMAIN))
            asked += (rc = add_spread(cx, n, &v)) > 0;
    *eight = v.more > 4 * sqrt(v.variance);
    return rc < 0 ? rc : 0;
}

int nchwc_block(struct cx *cx, struct graph *g, int64_t *out)
{
    bool eight = false;
    int rc = 0, b = 16; /* what is wider has never been made */
    if (!g->nchwc_block) {
        while (b > 1 && !graph_allows(g, b))
            b /= 2;
        if (b == 16)
            rc = weights_say_8(cx, g, &eight);
        g->nchwc_block = eight ? 8 : b;
    }
    *out = g->nchwc_block;
    return rc;
}

/* ---- reordering ---- */

static void run_plan(struct exec_ctx *ec, int rank, const int64_t *dims, const int64_t *perm, const void *in,
                     void *out)
{
    struct copy_plan plan;
    copy_init_transpose(&plan, rank, dims, perm); /* ranks here are far below MOVE_RANK */
    ec_copy(ec, &plan, sizeof(float), in, out);
}

/* Between [N, C, area] and [N, C / b, area, b]; c is a multiple of b. */
static void from_blocks(struct exec_ctx *ec, int64_t n, int64_t c, int64_t area, int64_t b, const void *in,
                        void *out)
{
    run_plan(ec, 4, (const int64_t[]){n, c / b, area, b}, (const int64_t[]){0, 1, 3, 2}, in, out);
}

static void to_blocks(struct exec_ctx *ec, int64_t n, int64_t c, int64_t area, int64_t b, const void *in,
                      void *out)
{
    run_plan(ec, 4, (const int64_t[]){n, c / b, b, area}, (const int64_t[]){0, 1, 3, 2}, in, out);
}

static int need_float4(struct exec_ctx *ec, int i)
{
    const struct tensor *t = ec->in[i];
    if (t->dt != DT_FLOAT)
        return ec_unsupported(ec, i);
    return t->rank == 4 ? 0 : err_set(ec->cx, E_SHAPE, "input %d has %d axes, expected 4", i, t->rank);
}

static int64_t padded(int64_t c, int64_t b)
{
    return (c + b - 1) / b * b;
}

/* ---- ReorderInput, ReorderOutput ---- */

struct reorder {
    int64_t block, channels, last;
    int64_t plain;
};

static int reorder_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct reorder *p = params;
    (void)arena, (void)version;
    bool output = !strcmp(n->op_type, "ReorderOutput");
    int rc = contrib_inputs(cx, n, 1, 1, 1);
    if (!rc)
        rc = attr_int(cx, n, "channels_last", &p->last);
    if (rc >= 0)
        rc = attr_int(cx, n, "channels", &p->channels);
    if (rc >= 0)
        rc = attr_int(cx, n, NCHWC_PLAIN, &p->plain);
    if (rc >= 0 && output && p->channels < 1)
        return err_set(cx, E_ATTR, "attribute channels is %lld", (long long)p->channels);
    return rc < 0 ? rc : nchwc_block(cx, n->graph, &p->block);
}

static int reorder_in_infer(struct infer_ctx *ic, const void *params)
{
    const struct reorder *p = params;
    int rc = ic_need_rank(ic, 0, 4, 4);
    if (rc || ic_rank(ic, 0) < 0)
        return rc ? rc : ic_out(ic, 0, DT_FLOAT, -1, NULL);
    int from = p->last ? 1 : 2;
    struct dim c = ic_dim(ic, 0, p->last ? 3 : 1);
    if (c.kind == DIM_CONST && c.v <= INT64_MAX - p->block)
        c = dim_const(padded(c.v, p->block));
    else
        c = dim_unknown();
    struct dim d[4] = {ic_dim(ic, 0, 0), c, ic_dim(ic, 0, from), ic_dim(ic, 0, from + 1)};
    return ic_out(ic, 0, DT_FLOAT, 4, d);
}

static int reorder_out_infer(struct infer_ctx *ic, const void *params)
{
    const struct reorder *p = params;
    int rc = ic_need_rank(ic, 0, 4, 4);
    if (rc || ic_rank(ic, 0) < 0)
        return rc ? rc : ic_out(ic, 0, DT_FLOAT, -1, NULL);
    struct dim c = ic_dim(ic, 0, 1), h = ic_dim(ic, 0, 2), w = ic_dim(ic, 0, 3);
    if (c.kind == DIM_CONST && (c.v < p->channels || c.v % p->block))
        return ic_err(ic, E_SHAPE, "%lld channels in blocks of %lld, of which %lld are asked for",
                      (long long)c.v, (long long)p->block, (long long)p->channels);
    c = dim_const(p->channels);
    struct dim first[4] = {ic_dim(ic, 0, 0), c, h, w}, last[4] = {ic_dim(ic, 0, 0), h, w, c};
    return ic_out(ic, 0, DT_FLOAT, 4, p->last ? last : first);
}

/* Steps of axis N, C, H*W of a dense tensor with `c` channels. */
static void dense_steps(int64_t c, int64_t area, bool last, int64_t step[3])
{
    step[0] = c * area;
    step[1] = last ? 1 : area;
    step[2] = last ? c : 1;
}

/* Copies channels [from, from + count) of every image, in blocks of b on the blocked side. b of 1 is plain.
 */
struct reorder_copy {
    int64_t n, area, b;
    int64_t plain_c, blocked_c;
    bool last, to_blocked;
    const float *in;
    float *out;
};

static void copy_channels(struct exec_ctx *ec, const struct reorder_copy *r, int64_t from, int64_t blocks,
                          int64_t width)
{
    struct copy_plan plan;
    int64_t ps[3], dims[4] = {r->n, blocks, width, r->area};
    dense_steps(r->plain_c, r->area, r->last, ps);
    int64_t plain[4] = {ps[0], ps[1] * r->b, ps[1], ps[2]};
    int64_t blocked[4] = {r->blocked_c * r->area, r->b * r->area, 1, r->b};
    int64_t plain_at = from * ps[1], blocked_at = from / r->b * r->b * r->area;
    copy_init(&plan, 4, dims, r->to_blocked ? plain : blocked, r->to_blocked ? blocked : plain);
    ec_copy(ec, &plan, sizeof(float), r->in + (r->to_blocked ? plain_at : blocked_at),
            r->out + (r->to_blocked ? blocked_at : plain_at));
}

/* Whole blocks first, then what is left of the last one. */
static void copy_all(struct exec_ctx *ec, const struct reorder_copy *r)
{
    int64_t whole = r->plain_c / r->b, rest = r->plain_c % r->b;
    if (whole)
        copy_channels(ec, r, 0, whole, r->b);
    if (rest)
        copy_channels(ec, r, whole * r->b, 1, rest);
}

static int reorder_in_ref(struct exec_ctx *ec, const void *params)
{
    const struct reorder *p = params;
    const struct tensor *x = ec->in[0];
    struct tensor *y = ec->out[0];
    int rc = need_float4(ec, 0);
    if (rc || !tensor_count(y))
        return rc;
    int from = p->last ? 1 : 2;
    struct reorder_copy r = {
        .n = x->dims[0], .b = p->plain ? 1 : p->block, .last = p->last, .to_blocked = true};
    r.area = x->dims[from] * x->dims[from + 1];
    r.plain_c = x->dims[p->last ? 3 : 1];
    r.blocked_c = y->dims[1];
    r.in = x->data;
    r.out = y->data;
    if (r.plain_c > r.blocked_c || y->dims[0] != r.n || y->dims[2] * y->dims[3] != r.area)
        return err_set(ec->cx, E_SHAPE, "the output does not fit the input");
    if (r.plain_c != r.blocked_c)
        memset(y->data, 0, tensor_bytes(y));
    if (tensor_count(x))
        copy_all(ec, &r);
    return 0;
}

static int reorder_out_ref(struct exec_ctx *ec, const void *params)
{
    const struct reorder *p = params;
    const struct tensor *x = ec->in[0];
    int rc = need_float4(ec, 0);
    if (rc || !tensor_count(ec->out[0]))
        return rc;
    if (x->dims[1] % p->block || x->dims[1] < p->channels)
        return err_set(ec->cx, E_SHAPE, "%lld channels in blocks of %lld, of which %lld are asked for",
                       (long long)x->dims[1], (long long)p->block, (long long)p->channels);
    struct reorder_copy r = {.n = x->dims[0], .area = x->dims[2] * x->dims[3], .b = p->plain ? 1 : p->block};
    r.plain_c = p->channels;
    r.blocked_c = x->dims[1];
    r.last = p->last;
    r.in = x->data;
    r.out = ec->out[0]->data;
    copy_all(ec, &r);
    return 0;
}

#define REORDER(opname, infer_fn, ref_fn)                                                                    \
    {                                                                                                        \
        .domain = NCHWC_DOMAIN, .name = opname, .tol = TOL_EXACT, .params_size = sizeof(struct reorder),     \
        .parse = reorder_parse, .infer = infer_fn, .ref = ref_fn,                                            \
    }

const struct op op_nchwc_ReorderInput = REORDER("ReorderInput", reorder_in_infer, reorder_in_ref);
const struct op op_nchwc_ReorderOutput = REORDER("ReorderOutput", reorder_out_infer, reorder_out_ref);

/* ---- operators of plain tensors ---- */

struct blocked {
    const struct op *op; /* what computes it on plain tensors */
    void *params;        /* of op */
    int64_t block, plain;
};

static const struct op *plain_op(const char *op_type)
{
    if (!strcmp(op_type, "Upsample"))
        return &nchwc_upsample;
    return !strcmp(op_type, "Conv") ? op_find("com.microsoft", "FusedConv") : op_find("", op_type);
}

static int blocked_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct blocked *p = params;
    bool conv = !strcmp(n->op_type, "Conv");
    int rc = contrib_inputs(cx, n, conv ? 2 : 1, conv ? 4 : 1, conv ? 3 : 1);
    if (!rc)
        rc = attr_int(cx, n, NCHWC_PLAIN, &p->plain);
    if (rc < 0)
        return rc;
    rc = nchwc_block(cx, n->graph, &p->block);
    if (rc)
        return rc;
    p->op = plain_op(n->op_type);
    p->params = arena_zalloc(arena, p->op->params_size);
    return p->params ? p->op->parse(cx, arena, n, version, p->params) : err_nomem(cx);
}

static int blocked_infer(struct infer_ctx *ic, const void *params)
{
    const struct blocked *p = params;
    int rc = ic_need_rank(ic, 0, 4, 4);
    return rc ? rc : p->op->infer(ic, p->params);
}

static int blocked_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct blocked *p = params;
    return p->op->cost(ic, p->params, out);
}

/* Input i in plain order: as it is, when it is plain already. */
static int plain_input(struct exec_ctx *ec, const struct blocked *p, int i, struct tensor *t,
                       const struct tensor **out)
{
    int64_t b = p->block;
    int rc = need_float4(ec, i);
    if (rc)
        return rc;
    *t = *ec->in[i];
    *out = t;
    if (p->plain || t->dims[1] < b || !tensor_count(t))
        return 0;
    if (t->dims[1] % b)
        return err_set(ec->cx, E_SHAPE, "input %d has %lld channels, which blocks of %lld do not fill", i,
                       (long long)t->dims[1], (long long)b);
    t->data = ec_scratch(ec, tensor_bytes(t));
    if (!t->data)
        return ec->cx->err.code;
    from_blocks(ec, t->dims[0], t->dims[1], t->dims[2] * t->dims[3], b, ec->in[i]->data, t->data);
    return 0;
}

/* A filter in plain order into out, which has as many elements. Does without threads: it also serves when
 * weights are prepacked. */
static int plain_filter(struct cx *cx, const struct kern *k, const struct tensor *w, int64_t b, float *out)
{
    int64_t o = w->dims[0], i = w->dims[1], taps = w->rank == 4 ? w->dims[2] * w->dims[3] : 0;
    struct copy_plan plan;
    if (w->rank != 4 || w->dt != DT_FLOAT || o % b || (i >= b && i % b))
        return err_set(cx, E_SHAPE, "weights do not fill blocks of %lld", (long long)b);
    if (i >= b)
        copy_init_transpose(&plan, 5, (const int64_t[]){o / b, i / b, taps, b, b},
                            (const int64_t[]){0, 4, 1, 3, 2});
    else
        copy_init_transpose(&plan, 4, (const int64_t[]){o / b, i, taps, b}, (const int64_t[]){0, 3, 1, 2});
    copy_run(k, &plan, sizeof(float), w->data, out, 0, copy_units(&plan));
    return 0;
}

struct blocked_step {
    const struct blocked *p;
    struct step inner; /* run NULL: the reference of the plain operator */
    struct tensor w;   /* constant weights in plain order while binding */
};

static int run_plain(struct exec_ctx *ec, const struct blocked *p, const struct step *inner)
{
    struct tensor t[4], y = *ec->out[0], *outs[1] = {&y};
    const struct tensor *ins[4] = {0};
    struct exec_ctx in = *ec;
    int rc = 0;
    for (int i = 0; !rc && i < ec->nin && i < 4; i++) {
        bool gone = inner && inner->consumed >> i & 1;
        ins[i] = ec->in[i];
        if (!ec->in[i] || gone)
            continue;
        if (i == 1) {
            t[i] = *ec->in[i];
            ins[i] = &t[i];
            t[i].data = ec_scratch(ec, tensor_bytes(&t[i]) + sizeof(float));
            rc =
                t[i].data ? plain_filter(ec->cx, ec->kern, ec->in[i], p->block, t[i].data) : ec->cx->err.code;
        } else if (i != 2) {
            rc = plain_input(ec, p, i, &t[i], &ins[i]);
        }
    }
    bool reorder = !p->plain && tensor_count(&y);
    if (!rc && reorder)
        y.data = ec_scratch(ec, tensor_bytes(&y));
    if (rc || (reorder && !y.data))
        return rc ? rc : ec->cx->err.code;
    in.in = ins;
    in.out = outs;
    rc = inner && inner->run ? inner->run(&in, inner->state) : p->op->ref(&in, p->params);
    if (!rc && reorder)
        to_blocks(ec, y.dims[0], y.dims[1], y.dims[2] * y.dims[3], p->block, y.data, ec->out[0]->data);
    return rc;
}

/* Whether the output can be cut into blocks; everything else is the plain operator's to check. */
static int run_checked(struct exec_ctx *ec, const struct blocked *p, const struct step *inner)
{
    if (ec->nout < 1 || !ec->out[0])
        return 0;
    if (ec->out[0]->rank != 4 || ec->out[0]->dims[1] % p->block)
        return err_set(ec->cx, E_SHAPE, "the output's channels do not fill blocks of %lld",
                       (long long)p->block);
    return run_plain(ec, p, inner);
}

static int blocked_ref(struct exec_ctx *ec, const void *params)
{
    return run_checked(ec, params, NULL);
}

static int blocked_run(struct exec_ctx *ec, const void *state)
{
    const struct blocked_step *s = state;
    return run_checked(ec, s->p, &s->inner);
}

/* A binding context that shows the plain operator its weights in plain order. */
struct inner_bind {
    struct bind_ctx bc;
    struct bind_ctx *outer;
    struct blocked_step *s;
};

static const struct tensor *inner_const(struct bind_ctx *bc, int i)
{
    struct inner_bind *b = bc->driver;
    return i == 1 ? &b->s->w : bc_const(b->outer, i);
}

static void *inner_alloc(struct bind_ctx *bc, size_t bytes)
{
    struct inner_bind *b = bc->driver;
    return bc_alloc(b->outer, bytes);
}

static int conv_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct blocked *p = params;
    struct blocked_step *s = arena_zalloc(bc->arena, sizeof(*s));
    struct inner_bind in = {.bc = *bc, .outer = bc, .s = s};
    float *plain = NULL;
    int rc = 0;
    if (!s)
        return err_nomem(bc->cx);
    s->p = p;
    in.bc.driver = &in;
    in.bc.get_const = inner_const;
    in.bc.alloc = inner_alloc;
    if (bc_is_const(bc, 1)) {
        const struct tensor *w = bc_const(bc, 1);
        if (!w)
            return bc->cx->err.code;
        s->w = *w;
        s->w.data = plain = mem_alloc(tensor_bytes(w) + sizeof(float));
        rc = plain ? plain_filter(bc->cx, bc->kern, w, p->block, plain) : err_nomem(bc->cx);
    }
    if (!rc)
        rc = p->op->bind(&in.bc, p->params, &s->inner);
    free(plain);
    s->w = (struct tensor){0};
    if (rc)
        return rc;
    step->run = blocked_run;
    step->state = s;
    step->consumed = s->inner.consumed;
    step->kernel = s->inner.kernel;
    return 0;
}

static bool blocked_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    const struct blocked *p = params;
    return !p->op->supports || p->op->supports(bc, p->params, why, size);
}

#define BLOCKED(opname, bind_fn, cost_fn)                                                                    \
    {                                                                                                        \
        .domain = NCHWC_DOMAIN, .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct blocked),     \
        .parse = blocked_parse, .infer = blocked_infer, .ref = blocked_ref, .bind = bind_fn,                 \
        .cost = cost_fn, .supports = blocked_supports,                                                       \
    }

const struct op op_nchwc_AveragePool = BLOCKED("AveragePool", NULL, NULL);
const struct op op_nchwc_Conv = BLOCKED("Conv", conv_bind, blocked_cost);
const struct op op_nchwc_GlobalAveragePool = BLOCKED("GlobalAveragePool", NULL, NULL);
const struct op op_nchwc_GlobalMaxPool = BLOCKED("GlobalMaxPool", NULL, NULL);
const struct op op_nchwc_MaxPool = BLOCKED("MaxPool", NULL, NULL);
const struct op op_nchwc_Upsample = BLOCKED("Upsample", NULL, NULL);
