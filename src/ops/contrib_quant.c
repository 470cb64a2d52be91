/* Quantized operators of com.microsoft: what comes in is taken off its scale, the result is computed in
 * double and put on the scale of the output. Types: int8 and uint8 (16 bits work too). */
#include <math.h>
#include <string.h>

#include "ops/contrib.h"
#include "ops/op_util.h"

/* ---- QLinearAdd, QLinearMul: A, scale, zero, B, scale, zero, then those of C ---- */

static int binary_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    bool *mul = params;
    *mul = n->op_type[strlen("QLinear")] == 'M';
    return contrib_inputs(cx, n, 7, 8, 0x5b);
}

static int binary_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK];
    int rank = -1;
    (void)params;
    int rc = ic_broadcast(ic, (const int[]){0, 3}, 2, &rank, dims);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank, dims);
}

static int64_t source_index(const struct tensor *t, const int64_t *at, int rank)
{
    int64_t i = 0;
    for (int a = 0; a < t->rank; a++)
        i = i * t->dims[a] + (t->dims[a] == 1 ? 0 : at[rank - t->rank + a]);
    return i;
}

static int binary_ref(struct exec_ctx *ec, const void *params)
{
    bool mul = *(const bool *)params;
    const struct tensor *out = ec->out[0];
    double *a, *b, *y;
    int64_t at[TENSOR_MAX_RANK] = {0}, n = tensor_count(out);
    int rc = contrib_dequant(ec, 0, 1, 2, &a);
    if (!rc)
        rc = contrib_dequant(ec, 3, 4, 5, &b);
    if (rc)
        return rc;
    y = ec_scratch(ec, ((size_t)n + 1) * sizeof(double));
    if (!y)
        return ec->cx->err.code;
    for (int64_t i = 0; i < n; i++) {
        double u = a[source_index(ec->in[0], at, out->rank)], v = b[source_index(ec->in[3], at, out->rank)];
        y[i] = mul ? u * v : u + v;
        for (int k = out->rank - 1; k >= 0 && ++at[k] == out->dims[k]; k--)
            at[k] = 0;
    }
    return contrib_quant(ec, y, 6, 7);
}

#define Q_BINARY(opname)                                                                                     \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(bool),            \
        .parse = binary_parse, .infer = binary_infer, .ref = binary_ref,                                     \
    }

const struct op op_com_microsoft_QLinearAdd = Q_BINARY("QLinearAdd");
const struct op op_com_microsoft_QLinearMul = Q_BINARY("QLinearMul");

/* ---- QLinearSigmoid, QLinearLeakyRelu, QLinearSoftmax: X, scale, zero, then those of Y ---- */

enum q_unary { Q_SIGMOID, Q_LEAKY, Q_SOFTMAX };

struct q_unary_params {
    enum q_unary kind;
    float alpha;
    int64_t axis;
    bool flat; /* Softmax before opset 13: over everything from the axis on */
};

static int unary_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct q_unary_params *p = params;
    const char *name = n->op_type + strlen("QLinear");
    int64_t opset = 13;
    (void)arena, (void)version;
    p->kind = name[0] == 'L' ? Q_LEAKY : name[1] == 'i' ? Q_SIGMOID : Q_SOFTMAX;
    p->alpha = 0.01f;
    int rc = attr_float(cx, n, "alpha", &p->alpha);
    if (rc >= 0)
        rc = attr_int(cx, n, "opset", &opset);
    p->flat = opset < 13;
    p->axis = p->flat ? 1 : -1;
    if (rc >= 0)
        rc = attr_int(cx, n, "axis", &p->axis);
    return rc < 0 ? rc : contrib_inputs(cx, n, 4, 5, 0xb);
}

static int same_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out_same(ic, 0, 0);
}

/* n values, `stride` apart. */
static void softmax_line(double *v, int64_t n, int64_t stride)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        max = fmax(max, v[i * stride]);
    for (int64_t i = 0; i < n; i++)
        sum += v[i * stride] = exp(v[i * stride] - max);
    for (int64_t i = 0; i < n; i++)
        v[i * stride] /= sum;
}

static int softmax_all(struct exec_ctx *ec, const struct q_unary_params *p, double *v)
{
    const struct tensor *x = ec->in[0];
    int axis, rc = ec_axis(ec, p->axis, x->rank, &axis);
    if (rc || !tensor_count(x))
        return rc;
    int64_t n = dims_prod(x->dims, axis, p->flat ? x->rank : axis + 1);
    int64_t inner = p->flat ? 1 : dims_prod(x->dims, axis + 1, x->rank);
    for (int64_t i = 0; i < tensor_count(x) / n; i++)
        softmax_line(v + i / inner * n * inner + i % inner, n, inner);
    return 0;
}

static int unary_ref(struct exec_ctx *ec, const void *params)
{
    const struct q_unary_params *p = params;
    double *v;
    int rc = contrib_dequant(ec, 0, 1, 2, &v);
    if (!rc && p->kind == Q_SOFTMAX)
        rc = softmax_all(ec, p, v);
    for (int64_t i = 0, n = tensor_count(ec->in[0]); !rc && i < n; i++) {
        if (p->kind == Q_SIGMOID)
            v[i] = 1 / (1 + exp(-v[i]));
        else if (p->kind == Q_LEAKY && v[i] < 0)
            v[i] *= p->alpha;
    }
    return rc ? rc : contrib_quant(ec, v, 3, 4);
}

#define Q_UNARY(opname)                                                                                      \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND,                                         \
        .params_size = sizeof(struct q_unary_params), .parse = unary_parse, .infer = same_infer,             \
        .ref = unary_ref,                                                                                    \
    }

const struct op op_com_microsoft_QLinearSigmoid = Q_UNARY("QLinearSigmoid");
const struct op op_com_microsoft_QLinearLeakyRelu = Q_UNARY("QLinearLeakyRelu");
const struct op op_com_microsoft_QLinearSoftmax = Q_UNARY("QLinearSoftmax");

/* ---- QLinearGlobalAveragePool ---- */

struct q_pool {
    int64_t last; /* channels are the last axis, not the second */
};

static int pool_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct q_pool *p = params;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "channels_last", &p->last);
    return rc < 0 ? rc : contrib_inputs(cx, n, 4, 5, 0xb);
}

static int pool_infer(struct infer_ctx *ic, const void *params)
{
    const struct q_pool *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    int rank = in_dims(ic, 0, dims);
    if (rank < -1)
        return rank;
    int rc = ic_need_rank(ic, 0, 3, TENSOR_MAX_RANK);
    for (int i = p->last ? 1 : 2; i < rank - (p->last != 0); i++)
        dims[i] = dim_const(1);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank, dims);
}

static int pool_ref(struct exec_ctx *ec, const void *params)
{
    const struct q_pool *p = params;
    const struct tensor *x = ec->in[0];
    int64_t n = tensor_count(ec->out[0]), channels = x->dims[p->last ? x->rank - 1 : 1];
    int64_t area = dims_prod(x->dims, p->last ? 1 : 2, x->rank - (p->last != 0));
    double *v, *y;
    int rc = contrib_dequant(ec, 0, 1, 2, &v);
    if (rc)
        return rc;
    y = ec_scratch(ec, ((size_t)n + 1) * sizeof(double));
    if (!y)
        return ec->cx->err.code;
    for (int64_t i = 0; i < n; i++) {
        int64_t from = p->last ? i / channels * area * channels + i % channels : i * area;
        y[i] = 0;
        for (int64_t k = 0; k < area; k++)
            y[i] += v[from + k * (p->last ? channels : 1)];
        y[i] /= (double)area;
    }
    return contrib_quant(ec, y, 3, 4);
}

const struct op op_com_microsoft_QLinearGlobalAveragePool = {
    .domain = "com.microsoft",
    .name = "QLinearGlobalAveragePool",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct q_pool),
    .parse = pool_parse,
    .infer = pool_infer,
    .ref = pool_ref,
};

/* ---- QLinearConcat: scale and zero of Y, then X, scale, zero for each ---- */

struct q_concat {
    int64_t axis;
};

static int qconcat_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct q_concat *p = params;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (!rc)
        return err_set(cx, E_ATTR, "attribute 'axis' is missing");
    if (rc > 0 && n->nin % 3 != 2)
        return err_set(cx, E_MODEL, "%d inputs, expected 2 and a multiple of 3", n->nin);
    return rc < 0 ? rc : contrib_inputs(cx, n, 5, INT32_MAX, UINT32_MAX);
}

static int qconcat_infer(struct infer_ctx *ic, const void *params)
{
    const struct q_concat *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    int axis, rank = in_dims(ic, 2, dims);
    if (rank < 0)
        return rank < -1 ? rank : ic_out(ic, 0, ic_dtype(ic, 2), -1, NULL);
    int rc = ic_axis(ic, p->axis, rank, &axis);
    for (int i = 5; !rc && i < ic->nin; i += 3) {
        rc = ic_need_rank(ic, i, rank, rank);
        for (int a = 0; !rc && ic_rank(ic, i) == rank && a < rank; a++)
            if (a != axis)
                rc = ic_unify(ic, ic_dim(ic, i, a), dims[a], "extent of the inputs");
        dims[axis] = rc || ic_rank(ic, i) != rank || dims[axis].kind == DIM_UNKNOWN
                         ? dim_unknown()
                         : dim_add(ic->syms, dims[axis], ic_dim(ic, i, axis));
    }
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 2), rank, dims);
}

static int qconcat_ref(struct exec_ctx *ec, const void *params)
{
    const struct q_concat *p = params;
    const struct tensor *out = ec->out[0];
    int axis, rc = ec_axis(ec, p->axis, out->rank, &axis);
    double *y = rc ? NULL : ec_scratch(ec, ((size_t)tensor_count(out) + 1) * sizeof(double));
    if (!y)
        return rc ? rc : ec->cx->err.code;
    int64_t rows = dims_prod(out->dims, 0, axis), wide = dims_prod(out->dims, axis, out->rank), at = 0;
    for (int i = 2; i < ec->nin; i += 3) {
        double *v;
        rc = contrib_dequant(ec, i, i + 1, i + 2, &v);
        if (rc)
            return rc;
        int64_t n = dims_prod(ec->in[i]->dims, axis, out->rank);
        if (ec->in[i]->rank != out->rank || at + n > wide || tensor_count(ec->in[i]) != rows * n)
            return err_set(ec->cx, E_SHAPE, "input %d does not fit the others", i);
        for (int64_t r = 0; r < rows; r++)
            memcpy(y + r * wide + at, v + r * n, (size_t)n * sizeof(*y));
        at += n;
    }
    return contrib_quant(ec, y, 0, 1);
}

const struct op op_com_microsoft_QLinearConcat = {
    .domain = "com.microsoft",
    .name = "QLinearConcat",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct q_concat),
    .parse = qconcat_parse,
    .infer = qconcat_infer,
    .ref = qconcat_ref,
};
