/* Neural network operators one node at a time: the bound kernel against the reference over many shapes, and
 * answers that were worked out by hand. */
#include "cmk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/infer.h"
#include "ir/edit.h"
#include "ops/op.h"

enum { MOST = 9 };

struct world {
    struct cx cx;
    struct arena arena;
    struct model *m;
    struct opset opsets[2];
    struct kern kern;
    struct pool *pool;
    /* one node, its operands and results */
    struct node *n;
    struct tensor in[MOST], out[MOST];
    bool has[MOST];
    uint64_t consts;
    uint32_t seed;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return -1;
    cx_init(&w->cx);
    kern_init(&w->kern, cpu_flags());
    w->pool = pool_new(2);
    w->seed = 1;
    *state = w;
    return 0;
}

static void clear(struct world *w)
{
    for (int i = 0; i < MOST; i++) {
        tensor_drop(&w->in[i]);
        tensor_drop(&w->out[i]);
        w->has[i] = false;
    }
    if (w->m)
        model_free(w->m);
    w->m = NULL;
    w->consts = 0;
    arena_free(&w->arena);
    memset(&w->arena, 0, sizeof w->arena);
}

static int teardown(void **state)
{
    struct world *w = *state;
    clear(w);
    pool_free(w->pool);
    cx_fini(&w->cx);
    free(w);
    return 0;
}

/* ---- building ---- */

/* A fresh model with one node; operands follow by give(). */
static void start(struct world *w, const char *domain, const char *op, int opset, int nin, int nout)
{
    struct value *ins[MOST] = {0}, *outs[MOST] = {0};
    char name[16];
    clear(w);
    w->m = model_new();
    assert_non_null(w->m);
    w->opsets[0] = (struct opset){"", opset};
    w->opsets[1] = (struct opset){"com.microsoft", 1};
    w->m->opsets = w->opsets;
    w->m->nopsets = 2;
    for (int i = 0; i < nin + nout; i++) {
        snprintf(name, sizeof name, "v%d", i);
        struct value **v = i < nin ? &ins[i] : &outs[i - nin];
        assert_int_equal(value_new(&w->cx, w->m->graph, name, v), 0);
    }
    assert_int_equal(node_new(&w->cx, w->m->graph, NULL, domain, op, "n", ins, nin, outs, nout, &w->n), 0);
}

static double next(struct world *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return (double)(w->seed >> 8) / (double)(1 << 24) * 2 - 1;
}

static struct tensor *give(struct world *w, int i, enum dtype dt, int rank, const int64_t *dims)
{
    assert_int_equal(tensor_new(&w->cx, &w->in[i], dt, rank, dims), 0);
    w->has[i] = true;
    for (int64_t k = 0, n = tensor_count(&w->in[i]); k < n; k++)
        dtype_info(dt)->store_f64((char *)w->in[i].data + (size_t)k * dtype_size(dt), next(w));
    return &w->in[i];
}

static void fill(struct tensor *t, const double *v)
{
    for (int64_t k = 0, n = tensor_count(t); k < n; k++)
        dtype_info(t->dt)->store_f64((char *)t->data + (size_t)k * dtype_size(t->dt), v[k]);
}

static void set_ints(struct world *w, const char *name, const int64_t *v, size_t n)
{
    assert_int_equal(node_set_attr_ints(&w->cx, w->n, name, v, n), 0);
}

static void set_int(struct world *w, const char *name, int64_t v)
{
    assert_int_equal(node_set_attr_int(&w->cx, w->n, name, v), 0);
}

static void set_str(struct world *w, const char *name, const char *v)
{
    assert_int_equal(node_set_attr_str(&w->cx, w->n, name, v), 0);
}

/* ---- running ---- */

static void *scratch(struct exec_ctx *ec, size_t bytes)
{
    struct world *w = ec->driver;
    void *p = arena_alloc_aligned(&w->arena, bytes ? bytes : 1, 64);
    if (p)
        memset(p, 0xa5, bytes); /* nobody may count on zeros */
    return p;
}

static const struct exec_vt vt = {.scratch = scratch};

static struct type *type_of(struct world *w, const struct tensor *t, bool symbolic)
{
    struct type *ty = arena_zalloc(&w->arena, sizeof *ty);
    struct dim *d = arena_array(&w->arena, TENSOR_MAX_RANK, sizeof *d);
    assert_non_null(ty);
    assert_non_null(d);
    *ty = (struct type){.kind = TY_TENSOR, .dt = t->dt, .rank = t->rank, .dims = d};
    for (int i = 0; i < t->rank; i++)
        d[i] = symbolic ? dim_unknown() : dim_const(t->dims[i]);
    return ty;
}

static const void *infer(struct world *w, struct type **out)
{
    const struct type *types[MOST] = {0};
    const struct tensor *konst[MOST] = {0};
    const void *params = NULL;
    assert_int_equal(op_resolve(&w->cx, w->n), 0);
    assert_non_null(w->n->op);
    assert_int_equal(node_params(&w->cx, w->n, &params), 0);
    for (int i = 0; i < w->n->nin; i++) {
        types[i] = w->has[i] ? type_of(w, &w->in[i], false) : NULL;
        konst[i] = w->has[i] ? &w->in[i] : NULL;
        if (!w->has[i])
            w->n->in[i] = NULL;
    }
    int rc = infer_node(&w->cx, w->n, params, model_syms(w->m), &w->arena, types, konst, out);
    if (rc)
        fail_msg("%s", w->cx.err.msg);
    return params;
}

static void make_outputs(struct world *w, struct type **types, struct tensor *out)
{
    for (int o = 0; o < w->n->nout; o++) {
        int64_t dims[TENSOR_MAX_RANK];
        for (int i = 0; i < types[o]->rank; i++) {
            assert_int_equal(types[o]->dims[i].kind, DIM_CONST);
            dims[i] = types[o]->dims[i].v;
        }
        assert_int_equal(tensor_new(&w->cx, &out[o], types[o]->dt, types[o]->rank, dims), 0);
    }
}

static struct exec_ctx context(struct world *w, const struct tensor **ins, struct tensor **outs,
                               struct tensor *out)
{
    for (int i = 0; i < w->n->nin; i++)
        ins[i] = w->has[i] ? &w->in[i] : NULL;
    for (int o = 0; o < w->n->nout; o++)
        outs[o] = &out[o];
    return (struct exec_ctx){.cx = &w->cx,
                             .pool = w->pool,
                             .kern = &w->kern,
                             .node = w->n,
                             .nin = w->n->nin,
                             .nout = w->n->nout,
                             .in = ins,
                             .out = outs,
                             .vt = &vt,
                             .driver = w};
}

/* The reference's results in w->out. */
static const void *run_ref(struct world *w, struct type **types)
{
    const struct tensor *ins[MOST];
    struct tensor *outs[MOST];
    const void *params = infer(w, types);
    make_outputs(w, types, w->out);
    struct exec_ctx ec = context(w, ins, outs, w->out);
    if (w->n->op->ref(&ec, params))
        fail_msg("%s", w->cx.err.msg);
    return params;
}

static const struct tensor *get_const(struct bind_ctx *bc, int i)
{
    struct world *w = bc->driver;
    return &w->in[i];
}

static void *bind_alloc(struct bind_ctx *bc, size_t bytes)
{
    struct world *w = bc->driver;
    return arena_alloc_aligned(&w->arena, bytes ? bytes : 1, 64);
}

/* Binds (inputs of the mask constant; unknown extents when symbolic), runs, compares with the reference. */
static void check_bound(struct world *w, uint64_t consts, bool symbolic, double tol)
{
    struct type *types[MOST] = {0};
    const struct type *in_types[MOST] = {0}, *out_types[MOST] = {0};
    const struct tensor *ins[MOST];
    struct tensor *outs[MOST], got[MOST] = {0};
    struct step step = {0};
    const void *params = run_ref(w, types);
    for (int i = 0; i < w->n->nin; i++)
        in_types[i] = w->has[i] ? type_of(w, &w->in[i], symbolic && !(consts >> i & 1)) : NULL;
    for (int o = 0; o < w->n->nout; o++)
        out_types[o] = type_of(w, &w->out[o], symbolic);
    struct bind_ctx bc = {.cx = &w->cx,
                          .arena = &w->arena,
                          .kern = &w->kern,
                          .nthreads = 2,
                          .node = w->n,
                          .nin = w->n->nin,
                          .nout = w->n->nout,
                          .in = in_types,
                          .out = out_types,
                          .const_mask = consts,
                          .get_const = get_const,
                          .driver = w,
                          .alloc = bind_alloc};
    if (w->n->op->bind(&bc, params, &step))
        fail_msg("%s", w->cx.err.msg);
    assert_non_null(step.run);
    make_outputs(w, types, got);
    struct exec_ctx ec = context(w, ins, outs, got);
    for (int i = 0; i < w->n->nin; i++)
        if (step.consumed >> i & 1)
            ins[i] = NULL;
    if (step.run(&ec, step.state))
        fail_msg("%s", w->cx.err.msg);
    for (int o = 0; o < w->n->nout; o++) {
        for (int64_t k = 0, n = tensor_count(&got[o]); k < n; k++) {
            double a = tensor_f64(&got[o], k), b = tensor_f64(&w->out[o], k);
            if (!(fabs(a - b) <= tol * (1 + fabs(b))))
                fail_msg("%s output %d element %lld: %g, reference %g", w->n->op_type, o, (long long)k, a, b);
        }
        tensor_drop(&got[o]);
    }
}

/* ---- convolution ---- */

static const struct conv_case {
    int rank;
    int64_t n, ci, co, group, in[3], k[3], stride, dilation, pad;
} conv_cases[] = {
    {1, 2, 3, 5, 1, {17}, {3}, 1, 1, 1},           {2, 1, 3, 8, 1, {12, 9}, {3, 3}, 2, 1, 1},
    {2, 2, 16, 16, 16, {10, 11}, {3, 3}, 1, 1, 1}, {2, 1, 8, 16, 2, {7, 7}, {1, 1}, 1, 1, 0},
    {2, 3, 4, 6, 1, {14, 13}, {5, 3}, 1, 2, 3},    {3, 1, 2, 3, 1, {5, 6, 7}, {2, 3, 2}, 2, 1, 1},
    {2, 1, 64, 33, 1, {7, 7}, {3, 3}, 1, 1, 1},
};

static void start_conv(struct world *w, const struct conv_case *c, const char *domain, const char *op,
                       bool transposed, enum dtype dt, int nin)
{
    int64_t x[5] = {c->n, c->ci, c->in[0], c->in[1], c->in[2]};
    int64_t wd[5] = {transposed ? c->ci : c->co, (transposed ? c->co : c->ci) / c->group, c->k[0], c->k[1],
                     c->k[2]};
    int64_t s[3] = {c->stride, c->stride, c->stride}, d[3] = {c->dilation, c->dilation, c->dilation};
    int64_t p[6] = {c->pad, c->pad, c->pad, c->pad, c->pad, c->pad};
    start(w, domain, op, 17, nin, 1);
    set_ints(w, "strides", s, (size_t)c->rank);
    set_ints(w, "dilations", d, (size_t)c->rank);
    set_ints(w, "pads", p, 2 * (size_t)c->rank);
    set_int(w, "group", c->group);
    give(w, 0, dt, c->rank + 2, x);
    give(w, 1, dt, c->rank + 2, wd);
    give(w, 2, dt, 1, &c->co);
}

static void conv_matches_reference(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++)
        for (int mode = 0; mode < 8; mode++) {
            const struct conv_case *c = &conv_cases[i];
            bool transposed = mode & 4;
            start_conv(w, c, "", transposed ? "ConvTranspose" : "Conv", transposed, DT_FLOAT, 3);
            check_bound(w, mode & 1 ? 2 : 0, mode & 2, 1e-5);
        }
}

static void narrow_conv_matches_reference(void **state)
{
    struct world *w = *state;
    start_conv(w, &conv_cases[1], "", "Conv", false, DT_FLOAT16, 3);
    check_bound(w, 6, false, 2e-3);
}

static void fused_conv_matches_reference(void **state)
{
    struct world *w = *state;
    static const char *const acts[] = {"Relu",      "Clip",  "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid",
                                       "HardSwish", "Swish", "Gelu",      "Elu",     "Mish", "Softplus"};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        for (int residual = 0; residual < 2; residual++) {
            int64_t y[4] = {1, 8, 6, 5};
            start_conv(w, &conv_cases[1], "com.microsoft", "FusedConv", false, DT_FLOAT, 3 + residual);
            set_str(w, "activation", acts[i]);
            if (residual)
                give(w, 3, DT_FLOAT, 4, y);
            check_bound(w, 6, false, 1e-5);
        }
}

/* A window of 2 by stride 2 over 3 pixels, 6 pixels asked for: nothing is cut, the rest is bias. */
static void conv_transpose_of_given_shape(void **state)
{
    struct world *w = *state;
    const int64_t x[3] = {1, 1, 3}, k[3] = {1, 1, 2}, two = 2, shape = 7;
    const double xv[] = {1, 2, 3}, kv[] = {10, 1}, want[] = {10, 1, 20, 2, 30, 3, 0};
    struct type *types[MOST];
    start(w, "", "ConvTranspose", 11, 2, 1);
    set_ints(w, "strides", &two, 1);
    set_ints(w, "output_shape", &shape, 1);
    fill(give(w, 0, DT_FLOAT, 3, x), xv);
    fill(give(w, 1, DT_FLOAT, 3, k), kv);
    run_ref(w, types);
    assert_int_equal(w->out[0].dims[2], 7);
    for (int i = 0; i < 7; i++)
        assert_float_equal(tensor_f64(&w->out[0], i), want[i], 0);
}

/* ---- products ---- */

static void matmul_matches_reference(void **state)
{
    struct world *w = *state;
    static const struct {
        int ra, rb;
        int64_t a[4], b[4];
    } cases[] = {
        {1, 1, {5}, {5}},
        {1, 2, {5}, {5, 7}},
        {2, 1, {4, 5}, {5}},
        {2, 2, {33, 65}, {65, 40}},
        {3, 2, {2, 9, 5}, {5, 17}},
        {4, 4, {2, 3, 4, 5}, {2, 3, 5, 6}},
        {4, 3, {2, 1, 4, 5}, {3, 5, 6}},
        {2, 4, {4, 5}, {2, 3, 5, 6}},
        {2, 2, {4, 0}, {0, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint64_t consts = 0; consts < 3; consts++) {
            start(w, "", "MatMul", 13, 2, 1);
            give(w, 0, DT_FLOAT, cases[i].ra, cases[i].a);
            give(w, 1, DT_FLOAT, cases[i].rb, cases[i].b);
            check_bound(w, consts, true, 1e-5);
        }
}

static void gemm_matches_reference(void **state)
{
    struct world *w = *state;
    const int64_t cdims[6][2] = {{1, 1}, {1, 11}, {9, 1}, {9, 11}, {11, 0}, {0, 0}};
    const int cranks[6] = {2, 2, 2, 2, 1, 0};
    for (int mode = 0; mode < 4; mode++)
        for (int c = 0; c < 7; c++)
            for (uint64_t consts = 0; consts < 3; consts++) {
                int64_t a[2] = {mode & 1 ? 13 : 9, mode & 1 ? 9 : 13},
                        b[2] = {mode & 2 ? 11 : 13, mode & 2 ? 13 : 11};
                start(w, "", "Gemm", 13, 3, 1);
                set_int(w, "transA", mode & 1);
                set_int(w, "transB", mode >> 1);
                assert_int_equal(node_set_attr_float(&w->cx, w->n, "alpha", 0.5f), 0);
                assert_int_equal(node_set_attr_float(&w->cx, w->n, "beta", -2), 0);
                give(w, 0, DT_FLOAT, 2, a);
                give(w, 1, DT_FLOAT, 2, b);
                if (c < 6)
                    give(w, 2, DT_FLOAT, cranks[c], cdims[c]);
                check_bound(w, consts, false, 1e-5);
            }
}

/* (a - 1)(b - 2): one row [0 1 2] by one column. */
static void matmul_integer_takes_zero_points(void **state)
{
    struct world *w = *state;
    const int64_t a[2] = {1, 3}, b[2] = {3, 1};
    const double av[] = {0, 1, 2}, bv[] = {255, 0, 3}, one = 1, two = 2;
    struct type *types[MOST];
    start(w, "", "MatMulInteger", 10, 4, 1);
    fill(give(w, 0, DT_UINT8, 2, a), av);
    fill(give(w, 1, DT_UINT8, 2, b), bv);
    fill(give(w, 2, DT_UINT8, 0, NULL), &one);
    fill(give(w, 3, DT_UINT8, 0, NULL), &two);
    run_ref(w, types);
    assert_int_equal(w->out[0].dt, DT_INT32);
    assert_int_equal(tensor_i64(&w->out[0], 0), -1 * 253 + 1 * 1);
}

/* ---- recurrent ---- */

static void recurrent_matches_reference(void **state)
{
    struct world *w = *state;
    static const char *const ops[] = {"RNN", "GRU", "LSTM"}, *const dirs[] = {"forward", "reverse",
                                                                              "bidirectional"};
    const int64_t gates[] = {1, 3, 4}, t = 5, b = 3, in = 7, h = 6, lens[3] = {5, 2, 0};
    for (int mode = 0; mode < 3 * 3 * 2 * 2 * 2; mode++) {
        int kind = mode % 3, dir = mode / 3 % 3, layout = mode / 9 % 2, linear = mode / 18 % 2,
            extra = mode / 36;
        int64_t d = dir == 2 ? 2 : 1, g = gates[kind] * h;
        int64_t x[3] = {layout ? b : t, layout ? t : b, in}, wd[3] = {d, g, in}, rd[3] = {d, g, h},
                bd[2] = {d, 2 * g};
        int64_t s[3] = {layout ? b : d, layout ? d : b, h}, pd[2] = {d, 3 * h};
        bool lstm = kind == 2;
        start(w, "", ops[kind], 14, lstm ? 8 : 6, lstm ? 3 : 2);
        set_str(w, "direction", dirs[dir]);
        set_int(w, "hidden_size", h);
        set_int(w, "layout", layout);
        if (kind == 1)
            set_int(w, "linear_before_reset", linear);
        if (extra)
            assert_int_equal(node_set_attr_float(&w->cx, w->n, "clip", 0.4f), 0);
        give(w, 0, DT_FLOAT, 3, x);
        give(w, 1, DT_FLOAT, 3, wd);
        give(w, 2, DT_FLOAT, 3, rd);
        give(w, 3, DT_FLOAT, 2, bd);
        if (extra)
            memcpy(give(w, 4, DT_INT32, 1, &b)->data,
                   (int32_t[]){(int32_t)lens[0], (int32_t)lens[1], (int32_t)lens[2]}, 3 * sizeof(int32_t));
        if (extra)
            give(w, 5, DT_FLOAT, 3, s);
        if (lstm && extra) {
            give(w, 6, DT_FLOAT, 3, s);
            give(w, 7, DT_FLOAT, 2, pd);
        }
        check_bound(w, linear ? 0 : 6, false, 2e-5);
    }
}

/* ---- answers by hand ---- */

/* Before version 13 Softmax joins all axes from the given one on. */
static void softmax_by_version(void **state)
{
    struct world *w = *state;
    const int64_t x[3] = {1, 2, 2};
    const double zeros[4] = {0};
    struct type *types[MOST];
    for (int v = 11; v <= 13; v += 2) {
        start(w, "", "Softmax", v, 1, 1);
        set_int(w, "axis", 1);
        fill(give(w, 0, DT_FLOAT, 3, x), zeros);
        run_ref(w, types);
        assert_float_equal(tensor_f64(&w->out[0], 0), v < 13 ? 0.25 : 0.5, 1e-6);
    }
}

/* Scales of a block of two rows each: 2 4 / 8 16 over rows 0-1 and 2. */
static void blocked_dequantize(void **state)
{
    struct world *w = *state;
    const int64_t x[2] = {3, 2}, s[2] = {2, 2};
    const double xv[] = {1, 2, 3, -4, 5, -6}, sv[] = {2, 4, 8, 16}, want[] = {2, 8, 6, -16, 40, -96};
    struct type *types[MOST];
    start(w, "", "DequantizeLinear", 21, 2, 1);
    set_int(w, "axis", 0);
    set_int(w, "block_size", 2);
    fill(give(w, 0, DT_INT4, 2, x), xv);
    fill(give(w, 1, DT_FLOAT, 2, s), sv);
    run_ref(w, types);
    for (int i = 0; i < 6; i++)
        assert_float_equal(tensor_f64(&w->out[0], i), want[i], 0);
}

/* One column cut in front, two reflected behind. */
static void pad_cuts_and_reflects(void **state)
{
    struct world *w = *state;
    const int64_t x[1] = {4}, p[1] = {2};
    const double xv[] = {1, 2, 3, 4}, pv[] = {-1, 2}, want[] = {2, 3, 4, 3, 2};
    struct type *types[MOST];
    start(w, "", "Pad", 18, 2, 1);
    set_str(w, "mode", "reflect");
    fill(give(w, 0, DT_INT16, 1, x), xv);
    fill(give(w, 1, DT_INT64, 1, p), pv);
    run_ref(w, types);
    assert_int_equal(w->out[0].dims[0], 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(tensor_i64(&w->out[0], i), want[i]);
}

/* The last window of ceil_mode hangs over the end; padding alone makes no window. */
static void pooled_extents(void **state)
{
    struct world *w = *state;
    const int64_t two[1] = {2}, pads[2] = {0, 1};
    struct type *types[MOST];
    for (int64_t in = 4; in < 6; in++) {
        const int64_t x[3] = {1, 1, in};
        start(w, "", "MaxPool", 12, 1, 1);
        set_ints(w, "kernel_shape", two, 1);
        set_ints(w, "strides", two, 1);
        set_ints(w, "pads", pads, 2);
        set_int(w, "ceil_mode", 1);
        give(w, 0, DT_FLOAT, 3, x);
        run_ref(w, types);
        assert_int_equal(w->out[0].dims[2], in == 4 ? 2 : 3);
    }
}

/* A symbolic height goes through the window's arithmetic. */
static void symbolic_extent(void **state)
{
    struct world *w = *state;
    const int64_t two[2] = {2, 2}, pads[4] = {1, 1, 1, 1}, wd[4] = {8, 3, 3, 3};
    char text[64];
    start(w, "", "Conv", 11, 2, 1);
    set_ints(w, "strides", two, 2);
    set_ints(w, "pads", pads, 4);
    give(w, 1, DT_FLOAT, 4, wd);
    struct type *types[MOST] = {0}, *x = type_of(w, &w->in[1], false);
    const struct type *ins[2] = {x, type_of(w, &w->in[1], false)};
    const struct tensor *konst[2] = {0};
    const void *params;
    x->dims[0] = dim_symbol(model_syms(w->m), "batch");
    x->dims[1] = dim_const(3);
    x->dims[2] = dim_symbol(model_syms(w->m), "h");
    x->dims[3] = dim_const(224);
    assert_int_equal(op_resolve(&w->cx, w->n), 0);
    assert_int_equal(node_params(&w->cx, w->n, &params), 0);
    assert_int_equal(infer_node(&w->cx, w->n, params, model_syms(w->m), &w->arena, ins, konst, types), 0);
    assert_string_equal(dim_text(types[0]->dims[0], text, sizeof text), "batch");
    assert_true(dim_is(types[0]->dims[1], 8));
    assert_true(dim_is(types[0]->dims[3], 112));
    struct binding b = {0};
    struct symtab *t = model_syms(w->m);
    assert_true(binding_set(t, &w->arena, &b, x->dims[2], 35));
    assert_true(dim_is(dim_eval(t, &b, types[0]->dims[2]), 18));
}

/* Kernels whose extent is a symbol too, and what a transposed convolution makes of them. */
static void symbolic_kernel(void **state)
{
    struct world *w = *state;
    const int64_t three[2] = {3, 3}, pads[4] = {1, 0, 1, 0};
    for (int transposed = 0; transposed < 2; transposed++) {
        start(w, "", transposed ? "ConvTranspose" : "Conv", 11, 2, 1);
        set_ints(w, "strides", three, 2);
        set_ints(w, "pads", pads, 4);
        struct type *types[MOST] = {0}, *x = arena_zalloc(&w->arena, sizeof *x),
                    *k = arena_zalloc(&w->arena, sizeof *k);
        const struct type *ins[2] = {x, k};
        const struct tensor *konst[2] = {0};
        const void *params;
        struct symtab *t = model_syms(w->m);
        *x = *k = (struct type){.kind = TY_TENSOR, .dt = DT_FLOAT, .rank = 4};
        x->dims = arena_array(&w->arena, 4, sizeof *x->dims);
        k->dims = arena_array(&w->arena, 4, sizeof *k->dims);
        for (int i = 0; i < 4; i++) {
            x->dims[i] = i < 2 ? dim_const(2) : dim_symbol(t, i == 2 ? "h" : "w");
            k->dims[i] = i < 2 ? dim_const(2) : dim_symbol(t, i == 2 ? "kh" : "kw");
        }
        assert_int_equal(op_resolve(&w->cx, w->n), 0);
        assert_int_equal(node_params(&w->cx, w->n, &params), 0);
        assert_int_equal(infer_node(&w->cx, w->n, params, t, &w->arena, ins, konst, types), 0);
        struct binding b = {0};
        assert_true(binding_set(t, &w->arena, &b, dim_symbol(t, "h"), 11));
        assert_true(binding_set(t, &w->arena, &b, dim_symbol(t, "kh"), 4));
        /* (11 + 2 - 4)/3 + 1, and 10*3 + 4 - 2 */
        assert_true(dim_is(dim_eval(t, &b, types[0]->dims[2]), transposed ? 32 : 4));
    }
}

/* A window that cannot fit, channels that do not: errors, not runs. */
static void refuses_what_does_not_fit(void **state)
{
    struct world *w = *state;
    const int64_t x[4] = {1, 3, 2, 2}, k[4] = {4, 3, 3, 3}, odd[4] = {4, 2, 1, 1};
    for (int bad = 0; bad < 2; bad++) {
        start(w, "", "Conv", 11, 2, 1);
        give(w, 0, DT_FLOAT, 4, x);
        give(w, 1, DT_FLOAT, 4, bad ? odd : k);
        struct type *types[MOST] = {0};
        const struct type *ins[2] = {type_of(w, &w->in[0], false), type_of(w, &w->in[1], false)};
        const struct tensor *konst[2] = {0};
        const void *params;
        assert_int_equal(op_resolve(&w->cx, w->n), 0);
        assert_int_equal(node_params(&w->cx, w->n, &params), 0);
        int rc = infer_node(&w->cx, w->n, params, model_syms(w->m), &w->arena, ins, konst, types);
        assert_int_equal(rc, E_SHAPE);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(conv_matches_reference),
        T(narrow_conv_matches_reference),
        T(fused_conv_matches_reference),
        T(conv_transpose_of_given_shape),
        T(matmul_matches_reference),
        T(gemm_matches_reference),
        T(matmul_integer_takes_zero_points),
        T(recurrent_matches_reference),
        T(softmax_by_version),
        T(blocked_dequantize),
        T(pad_cuts_and_reflects),
        T(pooled_extents),
        T(symbolic_extent),
        T(symbolic_kernel),
        T(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
