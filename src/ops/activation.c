/* Activation functions: one scalar function applied to every element, and PRelu, Dropout and Swish beside
 * them. What each computes stands in kern/vec.h; here is which attributes feed its letters a and b. */
#include "ops/wide.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kern/bcast.h"

struct act {
    enum un_op op;
    struct un_params p;
};

/* One row an operator: attribute names of a and b (NULL: none) and their defaults. */
struct act_spec {
    const char *name;
    enum un_op op;
    const char *a_name, *b_name;
    double a, b;
};

static const struct act_spec specs[] = {
    {"Celu", UN_CELU, "alpha", NULL, 1, 0},
    {"Elu", UN_ELU, "alpha", NULL, 1, 0},
    {"HardSigmoid", UN_HARD_SIGMOID, "alpha", "beta", 0.2f, 0.5},
    {"HardSwish", UN_HARD_SWISH, NULL, NULL, 0, 0},
    {"LeakyRelu", UN_LEAKY_RELU, "alpha", NULL, 0.01f, 0},
    {"Mish", UN_MISH, NULL, NULL, 0, 0},
    {"QuickGelu", UN_SILU, "alpha", NULL, 1.702f, 0},
    {"Relu", UN_RELU, NULL, NULL, 0, 0},
    {"Selu", UN_SELU, "alpha", "gamma", 1.67326319217681884765625, 1.05070102214813232421875},
    {"Shrink", UN_SHRINK, "lambd", "bias", 0.5, 0},
    {"Sigmoid", UN_SIGMOID, NULL, NULL, 0, 0},
    {"Softplus", UN_SOFTPLUS, NULL, NULL, 0, 0},
    {"Softsign", UN_SOFTSIGN, NULL, NULL, 0, 0},
    {"Swish", UN_SILU, "alpha", NULL, 1, 0},
    {"Tanh", UN_TANH, NULL, NULL, 0, 0},
    {"ThresholdedRelu", UN_THRESHOLDED_RELU, "alpha", NULL, 1, 0},
};

static const struct act_spec *find_spec(const char *name)
{
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
        if (!strcmp(specs[i].name, name))
            return &specs[i];
    BUG("no activation row for %s", name);
}

/* A float attribute into a double; the double keeps its value when the attribute is absent. */
static int read_letter(struct cx *cx, const struct node *n, const char *name, double *out)
{
    float f = 0;
    int r = name ? attr_float(cx, n, name, &f) : 0;
    if (r > 0)
        *out = f;
    return r < 0 ? r : 0;
}

static int act_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    struct act *a = params;
    const struct act_spec *s = find_spec(n->op_type);
    a->op = s->op;
    a->p = (struct un_params){s->a, s->b};
    if (s->op == UN_SELU && version < 6)
        a->p = (struct un_params){1.6732f, 1.0507f};
    int r = read_letter(cx, n, s->a_name, &a->p.a);
    return r ? r : read_letter(cx, n, s->b_name, &a->p.b);
}

static int gelu_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    static const char *const kinds[] = {"none", "tanh", NULL};
    struct act *a = params;
    int kind = 0;
    int r = n->domain[0] ? 0 : attr_choice(cx, n, "approximate", kinds, &kind);
    a->op = kind ? UN_GELU_TANH : UN_GELU;
    return r < 0 ? r : 0;
}

static int act_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out_same(ic, 0, 0);
}

struct act_job {
    const struct exec_ctx *ec;
    const struct act *act;
    size_t size;
};

static void act_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct act_job *j = arg;
    const char *in = j->ec->in[0]->data;
    char *out = j->ec->out[0]->data;
    size_t off = (size_t)begin * j->size;
    un_run(j->ec->kern, j->act->op, j->ec->in[0]->dt, in + off, out + off, (size_t)(end - begin), &j->act->p);
}

/* Shrink is the one activation that the standard allows for integers: it compares and shifts as real numbers.
 */
static bool shrinks_ints(const struct act *act, enum dtype dt)
{
    return act->op == UN_SHRINK && dtype_is_int(dt);
}

static void shrink_ints(struct exec_ctx *ec, const struct act *act)
{
    const struct dtype_info *di = dtype_info(ec->in[0]->dt);
    const char *in = ec->in[0]->data;
    char *out = ec->out[0]->data;
    for (int64_t i = 0, n = tensor_count(ec->in[0]); i < n; i++) {
        double x = di->load_f64(in + (size_t)i * di->size);
        double y = x < -act->p.a ? x + act->p.b : x > act->p.a ? x - act->p.b : 0;
        di->store_f64(out + (size_t)i * di->size, y);
    }
}

static int act_ref(struct exec_ctx *ec, const void *params)
{
    const struct act *act = params;
    if (ec_has(ec, 0) && ec_has_out(ec, 0) && shrinks_ints(act, ec->in[0]->dt)) {
        shrink_ints(ec, act);
        return 0;
    }
    if (!ec_has(ec, 0) || !un_supported(ec->kern, act->op, ec->in[0]->dt))
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0))
        return 0;
    struct act_job j = {ec, act, dtype_size(ec->in[0]->dt)};
    par_for(ec->pool, tensor_count(ec->in[0]), 16384, act_range, &j);
    return 0;
}

/* Types that the schema allows but the arithmetic is not defined for in the kernels. */
static bool act_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    const struct act *act = params;
    enum dtype dt = bc_dtype(bc, 0);
    if (dt == DT_UNDEFINED || un_supported(bc->kern, act->op, dt) || shrinks_ints(act, dt))
        return true;
    snprintf(why, size, "element type %s", dtype_name(dt));
    return false;
}

#define ACT(dom, opname, parse_fn)                                                                           \
    {                                                                                                        \
        .domain = dom, .name = opname, .flags = OP_ELEMENTWISE | OP_INPLACE, .tol = TOL_ROUND,               \
        .params_size = sizeof(struct act), .parse = parse_fn, .infer = act_infer, .ref = act_ref,            \
        .supports = act_supports,                                                                            \
    }

const struct op op_Celu = ACT("", "Celu", act_parse);
const struct op op_Elu = ACT("", "Elu", act_parse);
const struct op op_Gelu = ACT("", "Gelu", gelu_parse);
const struct op op_HardSigmoid = ACT("", "HardSigmoid", act_parse);
const struct op op_HardSwish = ACT("", "HardSwish", act_parse);
const struct op op_LeakyRelu = ACT("", "LeakyRelu", act_parse);
const struct op op_Mish = ACT("", "Mish", act_parse);
const struct op op_Relu = ACT("", "Relu", act_parse);
const struct op op_Selu = ACT("", "Selu", act_parse);
const struct op op_Shrink = ACT("", "Shrink", act_parse);
const struct op op_Sigmoid = ACT("", "Sigmoid", act_parse);
const struct op op_Softplus = ACT("", "Softplus", act_parse);
const struct op op_Softsign = ACT("", "Softsign", act_parse);
const struct op op_Swish = ACT("", "Swish", act_parse);
const struct op op_Tanh = ACT("", "Tanh", act_parse);
const struct op op_ThresholdedRelu = ACT("", "ThresholdedRelu", act_parse);
const struct op op_com_microsoft_Gelu = ACT("com.microsoft", "Gelu", gelu_parse);
const struct op op_com_microsoft_QuickGelu = ACT("com.microsoft", "QuickGelu", act_parse);

/* ---- PRelu ---- */

struct prelu {
    bool channel; /* before version 7 a slope of C values stands along axis 1, whatever the rank */
};

static int prelu_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)cx, (void)arena, (void)n;
    ((struct prelu *)params)->channel = version < 7;
    return 0;
}

static int prelu_infer(struct infer_ctx *ic, const void *params)
{
    const struct prelu *p = params;
    int rx = ic_rank(ic, 0), rs = ic_rank(ic, 1);
    if (rx >= 0 && rs >= 0 && !p->channel) {
        if (rs > rx)
            return ic_err(ic, E_SHAPE, "slope has rank %d, X only %d", rs, rx);
        for (int i = 0; i < rs; i++) {
            struct dim s = ic_dim(ic, 1, i), x = ic_dim(ic, 0, rx - rs + i);
            if (s.kind == DIM_CONST && s.v != 1 && x.kind == DIM_CONST && x.v != s.v)
                return ic_err(ic, E_SHAPE, "slope has extent %lld where X has %lld", (long long)s.v,
                              (long long)x.v);
        }
    }
    if (rx >= 0 && rs == 1 && p->channel) {
        struct dim s = ic_dim(ic, 1, 0), c = rx > 1 ? ic_dim(ic, 0, 1) : dim_const(1);
        if (s.kind == DIM_CONST && s.v != 1 && c.kind == DIM_CONST && c.v != s.v)
            return ic_err(ic, E_SHAPE, "slope has %lld values for %lld channels", (long long)s.v,
                          (long long)c.v);
    }
    return ic_out_same(ic, 0, 0);
}

struct prelu_job {
    const struct exec_ctx *ec;
    struct bcast_plan plan;
};

static void prelu_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct prelu_job *j = arg;
    const struct exec_ctx *ec = j->ec;
    bcast_bin(ec->kern, &j->plan, BIN_PRELU, ec->in[0]->dt, ec->in[0]->data, ec->in[1]->data,
              ec->out[0]->data, begin, end);
}

static int prelu_ref(struct exec_ctx *ec, const void *params)
{
    const struct prelu *p = params;
    if (!ec_has(ec, 0) || !ec_has(ec, 1) || ec->in[0]->dt != ec->in[1]->dt ||
        !bin_supported(ec->kern, BIN_PRELU, ec->in[0]->dt))
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0))
        return 0;
    const struct tensor *x = ec->in[0], *s = ec->in[1];
    int64_t sd[TENSOR_MAX_RANK];
    int rs = s->rank;
    memcpy(sd, s->dims, sizeof(sd));
    if (p->channel && rs == 1 && x->rank > 2) {
        rs = x->rank - 1;
        for (int i = 1; i < rs; i++)
            sd[i] = 1;
    }
    struct prelu_job j = {.ec = ec};
    struct bcast_in ins[2] = {{x->rank, x->dims}, {rs, sd}};
    if (bcast_init(&j.plan, x->rank, x->dims, 2, ins))
        return err_set(ec->cx, E_SHAPE, "slope does not broadcast to X");
    par_for(ec->pool, tensor_count(x), 16384, prelu_range, &j);
    return 0;
}

const struct op op_PRelu = {
    .domain = "",
    .name = "PRelu",
    .flags = OP_INPLACE,
    .tol = TOL_ROUND,
    .params_size = sizeof(struct prelu),
    .parse = prelu_parse,
    .infer = prelu_infer,
    .ref = prelu_ref,
};

/* ---- SwiGLU: A sigmoid(alpha A) B ---- */

struct swiglu {
    float alpha;
};

static int swiglu_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct swiglu *p = params;
    p->alpha = 1;
    int r = attr_float(cx, n, "alpha", &p->alpha);
    return r < 0 ? r : 0;
}

static int swiglu_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rank = ic_rank(ic, 0), r = ic_out_same(ic, 0, ic_rank(ic, 0) >= 0 ? 0 : 1);
    if (!r && rank >= 0)
        r = ic_need_rank(ic, 1, rank, rank);
    for (int i = 0; !r && rank >= 0 && ic_rank(ic, 1) >= 0 && i < rank; i++)
        r = ic_unify(ic, ic_dim(ic, 0, i), ic_dim(ic, 1, i), "extent of A and B");
    return r;
}

struct swiglu_job {
    const double *a, *b;
    double *y, alpha;
};

static void swiglu_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct swiglu_job *j = arg;
    for (int64_t i = begin; i < end; i++)
        j->y[i] = j->a[i] / (1 + exp(-j->alpha * j->a[i])) * j->b[i];
}

static int swiglu_ref(struct exec_ctx *ec, const void *params)
{
    const struct swiglu *p = params;
    struct swiglu_job j = {.alpha = p->alpha};
    if (tensor_count(ec->in[0]) != tensor_count(ec->in[1]))
        return err_set(ec->cx, E_SHAPE, "A and B differ in shape");
    int r = wide_f64(ec, 0, &j.a);
    if (!r)
        r = wide_f64(ec, 1, &j.b);
    if (!r)
        r = wide_out_f64(ec, 0, &j.y);
    if (r || !j.y)
        return r;
    par_for(ec->pool, tensor_count(ec->in[0]), 4096, swiglu_range, &j);
    wide_done_f64(ec, 0, j.y);
    return 0;
}

const struct op op_SwiGLU = {
    .domain = "",
    .name = "SwiGLU",
    .flags = OP_ELEMENTWISE,
    .tol = TOL_ROUND,
    .params_size = sizeof(struct swiglu),
    .parse = swiglu_parse,
    .infer = swiglu_infer,
    .ref = swiglu_ref,
};

/* ---- Dropout ---- */

struct dropout {
    bool mask_bool; /* since version 10; before, the mask has X's type */
    uint64_t seed;
};

static int dropout_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    struct dropout *d = params;
    d->mask_bool = version >= 10;
    int64_t seed = 0;
    int r = attr_int(cx, n, "seed", &seed);
    d->seed = (uint64_t)seed;
    return r < 0 ? r : 0;
}

static int dropout_infer(struct infer_ctx *ic, const void *params)
{
    const struct dropout *d = params;
    int r = ic_need_rank(ic, 1, 0, 0);
    if (!r && ic_has(ic, 2))
        r = ic_need_rank(ic, 2, 0, 0);
    if (!r)
        r = ic_out_same(ic, 0, 0);
    if (!r && ic_has_out(ic, 1))
        r = d->mask_bool ? ic_out_like(ic, 1, 0, DT_BOOL) : ic_out_same(ic, 1, 0);
    return r;
}

/* splitmix64: the mask depends on seed and position alone. */
static double uniform_at(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void store_mask(struct tensor *mask, size_t i, bool keep)
{
    const struct dtype_info *info = dtype_info(mask->dt);
    info->store_i64((char *)mask->data + i * info->size, keep);
}

static int dropout_train(struct exec_ctx *ec, const struct dropout *d, double ratio)
{
    if (!(ratio >= 0 && ratio < 1))
        return err_set(ec->cx, E_VALUE, "ratio %g, expected 0 <= ratio < 1", ratio);
    const struct tensor *x = ec->in[0];
    const struct dtype_info *info = dtype_info(x->dt);
    if (info->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    size_t n = (size_t)tensor_count(x);
    for (size_t i = 0; i < n; i++) {
        bool keep = uniform_at(d->seed, i) >= ratio;
        double v = info->load_f64((const char *)x->data + i * info->size);
        if (ec_has_out(ec, 0))
            info->store_f64((char *)ec->out[0]->data + i * info->size, keep ? v / (1 - ratio) : 0);
        if (ec_has_out(ec, 1))
            store_mask(ec->out[1], i, keep);
    }
    return 0;
}

/* Without training_mode the output is the input and nothing is dropped. The is_test attribute of versions 1
 * and 6 is not looked at: a model that is run here is run for inference. */
static int dropout_ref(struct exec_ctx *ec, const void *params)
{
    const struct dropout *d = params;
    const struct tensor *x = ec->in[0];
    if (ec_has(ec, 2) && tensor_count(ec->in[2]) == 1 && tensor_f64(ec->in[2], 0) != 0)
        return dropout_train(ec, d,
                             ec_has(ec, 1) && tensor_count(ec->in[1]) ? tensor_f64(ec->in[1], 0) : 0.5);
    if (ec_has_out(ec, 0) && ec->out[0]->data != x->data && tensor_bytes(x))
        memcpy(ec->out[0]->data, x->data, tensor_bytes(x));
    if (ec_has_out(ec, 1))
        for (size_t i = 0, n = (size_t)tensor_count(x); i < n; i++)
            store_mask(ec->out[1], i, true);
    return 0;
}

const struct op op_Dropout = {
    .domain = "",
    .name = "Dropout",
    .flags = OP_INPLACE,
    .tol = TOL_EXACT,
    .params_size = sizeof(struct dropout),
    .parse = dropout_parse,
    .infer = dropout_infer,
    .ref = dropout_ref,
};
