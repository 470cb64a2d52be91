/* Rows with gates, of com.microsoft: GatedAdd, GatedRMSNorm, BranchwiseRMSNorm, LinearAttentionGate,
 * ScaledSiLU, BiasAdd, BiasSplitGelu, BiasSoftmax. Computed in double; where the definition rounds a product
 * to the element type before it goes on, so does this. */
#include <math.h>
#include <string.h>

#include "ops/contrib.h"

static int no_fit(struct exec_ctx *ec, int i)
{
    return err_set(ec->cx, E_SHAPE, "the shape of input %d does not fit the others", i);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* v as an element of type dt has it. */
static double rounded(const struct dtype_info *info, double v)
{
    union {
        double d;
        char c[16];
    } u;
    info->store_f64(&u, v);
    return info->load_f64(&u);
}

/* Extent of the last axis, 1 for a scalar. */
static int64_t width(const struct tensor *t)
{
    return t->rank ? t->dims[t->rank - 1] : 1;
}

static int same_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out_same(ic, 0, 0);
}

static int three_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 3, 3, 7);
}

/* ---- GatedAdd: X + Y gate, BiasAdd: X + bias + skip ---- */

static int gated_add_ref(struct exec_ctx *ec, const void *params)
{
    const double *x, *y, *g;
    double *out;
    int64_t n = tensor_count(ec->in[0]), w = width(ec->in[0]);
    (void)params;
    int rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &y);
    if (!rc)
        rc = wide_f64(ec, 2, &g);
    if (!rc)
        rc = wide_out_f64(ec, 0, &out);
    if (rc || !out || !n)
        return rc;
    if (tensor_count(ec->in[1]) != n || tensor_count(ec->in[2]) * w != n)
        return no_fit(ec, 2);
    const struct dtype_info *info = dtype_info(ec->out[0]->dt);
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] + rounded(info, y[i] * g[i / w]);
    wide_done_f64(ec, 0, out);
    return 0;
}

static int bias_add_ref(struct exec_ctx *ec, const void *params)
{
    const double *x, *bias, *skip;
    double *out;
    int64_t n = tensor_count(ec->in[0]), w = width(ec->in[0]);
    (void)params;
    int rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &bias);
    if (!rc)
        rc = wide_f64(ec, 2, &skip);
    if (!rc)
        rc = wide_out_f64(ec, 0, &out);
    if (rc || !out || !n)
        return rc;
    if (tensor_count(ec->in[1]) != w || tensor_count(ec->in[2]) != n)
        return no_fit(ec, 1);
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] + bias[i % w] + skip[i];
    wide_done_f64(ec, 0, out);
    return 0;
}

#define GATE(opname, parsefn, inferfn, reffn)                                                                \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .parse = parsefn, .infer = inferfn,     \
        .ref = reffn,                                                                                        \
    }

const struct op op_com_microsoft_GatedAdd = GATE("GatedAdd", three_parse, same_infer, gated_add_ref);
const struct op op_com_microsoft_BiasAdd = GATE("BiasAdd", three_parse, same_infer, bias_add_ref);

/* ---- GatedRMSNorm, BranchwiseRMSNorm ---- */

struct rms {
    float epsilon;
    bool silu;        /* GatedRMSNorm's gate: x sigmoid(x), else sigmoid(x) */
    int64_t branches; /* BranchwiseRMSNorm: of the last axis; 0: they are an axis */
};

static int gated_rms_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    static const char *const names[] = {"silu", "swish", "sigmoid", NULL};
    struct rms *p = params;
    int act = 0, rc = three_parse(cx, arena, n, version, NULL);
    p->epsilon = 1e-5f;
    if (!rc)
        rc = attr_float(cx, n, "epsilon", &p->epsilon);
    if (rc >= 0)
        rc = attr_choice(cx, n, "activation", names, &act);
    p->silu = act < 2;
    return rc < 0 ? rc : 0;
}

/* y = x / rms(x), n values. */
static void rms_row(const double *x, double *y, int64_t n, double epsilon)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    double inv = 1 / sqrt(sum / (double)n + epsilon);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * inv;
}

static int gated_rms_ref(struct exec_ctx *ec, const void *params)
{
    const struct rms *p = params;
    const double *x, *scale, *g;
    double *y;
    int64_t n = tensor_count(ec->in[0]), c = tensor_count(ec->in[1]);
    int rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &scale);
    if (!rc)
        rc = wide_f64(ec, 2, &g);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y || !n)
        return rc;
    if (!c || width(ec->in[0]) % c || tensor_count(ec->in[2]) != n)
        return no_fit(ec, c ? 2 : 1);
    for (int64_t r = 0; r < n; r += c) {
        rms_row(x + r, y + r, c, (double)p->epsilon);
        for (int64_t i = 0; i < c; i++)
            y[r + i] *= scale[i] * sigmoid(g[r + i]) * (p->silu ? g[r + i] : 1);
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

static int branch_rms_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    struct rms *p = params;
    (void)arena, (void)version;
    p->epsilon = 1e-5f;
    int rc = contrib_inputs(cx, n, 1, 2, 1);
    if (!rc)
        rc = attr_float(cx, n, "epsilon", &p->epsilon);
    if (rc >= 0)
        rc = attr_int(cx, n, "num_branches", &p->branches);
    if (rc >= 0 && p->branches < 0)
        return err_set(cx, E_ATTR, "num_branches is negative");
    return rc < 0 ? rc : 0;
}

static int branch_rms_ref(struct exec_ctx *ec, const void *params)
{
    const struct rms *p = params;
    const struct tensor *t = ec->in[0];
    const double *x, *scale;
    double *y;
    int64_t n = tensor_count(t), w = width(t), h = p->branches ? w / p->branches : w;
    int64_t count = ec_has(ec, 1) ? tensor_count(ec->in[1]) : 1;
    int64_t branches = p->branches ? p->branches : t->rank > 1 ? t->dims[t->rank - 2] : 1;
    int rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &scale);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y || !n)
        return rc;
    if ((p->branches && w % p->branches) || (scale && count != h && count != branches * h))
        return no_fit(ec, scale ? 1 : 0);
    for (int64_t r = 0; r < n; r += h) {
        rms_row(x + r, y + r, h, (double)p->epsilon);
        for (int64_t i = 0; i < h && scale; i++)
            y[r + i] *= scale[(r + i) % count];
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

#define RMS(opname, parsefn, reffn)                                                                          \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct rms),      \
        .parse = parsefn, .infer = same_infer, .ref = reffn,                                                 \
    }

const struct op op_com_microsoft_GatedRMSNorm = RMS("GatedRMSNorm", gated_rms_parse, gated_rms_ref);
const struct op op_com_microsoft_BranchwiseRMSNorm =
    RMS("BranchwiseRMSNorm", branch_rms_parse, branch_rms_ref);

/* ---- LinearAttentionGate ---- */

static int gate_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    int rc = contrib_inputs(cx, n, 3, 4, 7);
    if (!rc && n->nout > 1 && n->out[1] && (n->nin < 4 || !n->in[3]))
        return err_set(cx, E_MODEL, "output 'beta' needs input 'b'");
    return rc;
}

static int gate_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = ic_out_same(ic, 0, 0);
    return !rc && ic_has_out(ic, 1) ? ic_out_same(ic, 1, 3) : rc;
}

static int gate_ref(struct exec_ctx *ec, const void *params)
{
    const double *a, *bias, *scale, *b;
    double *decay, *beta;
    int64_t n = tensor_count(ec->in[0]), h = width(ec->in[0]);
    (void)params;
    int rc = wide_f64(ec, 0, &a);
    if (!rc)
        rc = wide_f64(ec, 1, &bias);
    if (!rc)
        rc = wide_f64(ec, 2, &scale);
    if (!rc)
        rc = wide_f64(ec, 3, &b);
    if (!rc)
        rc = wide_out_f64(ec, 0, &decay);
    if (!rc)
        rc = wide_out_f64(ec, 1, &beta);
    if (rc)
        return rc;
    if (tensor_count(ec->in[1]) != h || tensor_count(ec->in[2]) != h || (b && tensor_count(ec->in[3]) != n))
        return no_fit(ec, 1);
    for (int64_t i = 0; i < n && decay; i++) {
        double x = a[i] + bias[i % h];
        decay[i] = scale[i % h] * (x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)));
    }
    for (int64_t i = 0; i < n && beta; i++)
        beta[i] = sigmoid(b[i]);
    wide_done_f64(ec, 0, decay);
    wide_done_f64(ec, 1, beta);
    return 0;
}

const struct op op_com_microsoft_LinearAttentionGate =
    GATE("LinearAttentionGate", gate_parse, gate_infer, gate_ref);

/* ---- ScaledSiLU ---- */

struct scaled {
    float alpha;
};

static int scaled_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct scaled *p = params;
    (void)arena, (void)version;
    p->alpha = 1;
    int rc = contrib_inputs(cx, n, 1, 2, 1);
    if (!rc)
        rc = attr_float(cx, n, "alpha", &p->alpha);
    return rc < 0 ? rc : 0;
}

static int scaled_ref(struct exec_ctx *ec, const void *params)
{
    const struct scaled *p = params;
    const double *x, *s;
    double *y;
    int rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &s);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y)
        return rc;
    if (s && tensor_count(ec->in[1]) != 1)
        return no_fit(ec, 1);
    const struct dtype_info *info = dtype_info(ec->out[0]->dt);
    for (int64_t i = 0, n = tensor_count(ec->in[0]); i < n; i++) {
        double z = rounded(info, (s ? s[0] : (double)p->alpha) * x[i]);
        y[i] = z * rounded(info, sigmoid(z));
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_com_microsoft_ScaledSiLU = {
    .domain = "com.microsoft",
    .name = "ScaledSiLU",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct scaled),
    .parse = scaled_parse,
    .infer = same_infer,
    .ref = scaled_ref,
};

/* ---- BiasSplitGelu: half the row, times the Gelu of the other half ---- */

static int split_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 2, 2, 3);
}

static int split_infer(struct infer_ctx *ic, const void *params)
{
    struct dim d[TENSOR_MAX_RANK];
    int rank = in_dims(ic, 0, d);
    (void)params;
    if (rank < -1)
        return rank;
    int rc = ic_need_rank(ic, 0, 1, TENSOR_MAX_RANK);
    if (!rc && rank > 0 && d[rank - 1].kind == DIM_CONST && d[rank - 1].v % 2)
        return ic_err(ic, E_SHAPE, "rows of %lld cannot be halved", (long long)d[rank - 1].v);
    if (rank > 0)
        d[rank - 1] = dim_div_floor(ic->syms, d[rank - 1], dim_const(2));
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

static int split_ref(struct exec_ctx *ec, const void *params)
{
    const double *x, *bias;
    double *y;
    int64_t w = width(ec->in[0]), half = w / 2;
    (void)params;
    int rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &bias);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y || !tensor_count(ec->in[0]))
        return rc;
    if (w % 2 || tensor_count(ec->in[1]) != w)
        return no_fit(ec, 1);
    for (int64_t i = 0, n = tensor_count(ec->in[0]) / 2; i < n; i++) {
        int64_t r = i / half, c = i % half;
        double left = x[r * w + c] + bias[c], right = x[r * w + half + c] + bias[half + c];
        y[i] = left * 0.5 * right * (1 + erf(right * 0.7071067811865476));
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_com_microsoft_BiasSplitGelu = GATE("BiasSplitGelu", split_parse, split_infer, split_ref);

/* ---- BiasSoftmax ---- */

struct bias_softmax {
    int64_t axis; /* softmax over this axis and those behind it */
};

static int softmax_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct bias_softmax *p = params;
    p->axis = 1;
    int rc = split_parse(cx, arena, n, version, NULL);
    if (!rc)
        rc = attr_int(cx, n, "axis", &p->axis);
    return rc < 0 ? rc : 0;
}

static int softmax_infer(struct infer_ctx *ic, const void *params)
{
    const struct bias_softmax *p = params;
    int axis, rc = ic_rank(ic, 0) >= 0 ? ic_axis(ic, p->axis, ic_rank(ic, 0), &axis) : 0;
    return rc ? rc : ic_out_same(ic, 0, 0);
}

static void softmax_row(double *y, int64_t n)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        top = y[i] > top ? y[i] : top;
    for (int64_t i = 0; i < n; i++)
        sum += y[i] = exp(y[i] - top);
    for (int64_t i = 0; i < n; i++)
        y[i] /= sum;
}

static int softmax_ref(struct exec_ctx *ec, const void *params)
{
    const struct bias_softmax *p = params;
    const struct tensor *t = ec->in[0], *b = ec->in[1];
    const double *x, *bias;
    double *y;
    int axis, rc = ec_axis(ec, p->axis, t->rank, &axis);
    if (!rc)
        rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &bias);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y || !tensor_count(t))
        return rc;
    /* Which dims the bias repeats in follows from its shape; is_inner_broadcast only says it once more. */
    struct bcast_plan plan;
    struct bcast_in ins[2] = {{t->rank, t->dims}, {b->rank, b->dims}};
    if (bcast_init(&plan, t->rank, t->dims, 2, ins))
        return no_fit(ec, 1);
    bcast_bin(ec->kern, &plan, BIN_ADD, DT_DOUBLE, x, bias, y, 0, tensor_count(t));
    int64_t n = dims_prod(t->dims, axis, t->rank), rows = tensor_count(t) / n;
    for (int64_t r = 0; r < rows; r++)
        softmax_row(y + r * n, n);
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_com_microsoft_BiasSoftmax = {
    .domain = "com.microsoft",
    .name = "BiasSoftmax",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct bias_softmax),
    .parse = softmax_parse,
    .infer = softmax_infer,
    .ref = softmax_ref,
};
