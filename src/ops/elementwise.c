/* Arithmetic an element: Add .. Pow, Max .. Mean over many inputs, functions of one value, Clip, running
 * sums.
 */
#include <string.h>

#include "kern/bcast.h"
#include "kern/cast.h"
#include "kern/reduce.h"
#include "ops/binary.h"

/* ---- two operands ---- */

static const struct op_row binary_rows[] = {
    {"Add", BIN_ADD}, {"Sub", BIN_SUB},        {"Mul", BIN_MUL},      {"Div", BIN_DIV},
    {"Pow", BIN_POW}, {"BitwiseAnd", BIN_AND}, {"BitwiseOr", BIN_OR}, {"BitwiseXor", BIN_XOR},
    {"Max", BIN_MAX}, {"Min", BIN_MIN},        {"Sum", BIN_ADD},      {"Mean", BIN_ADD},
    {NULL, 0},
};

static int arith_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct binary_params *p = params;
    (void)arena;
    p->op = (enum bin_op)op_row_find(binary_rows, n->op_type);
    return binary_legacy(cx, n, version, p);
}

static int bitwise_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct binary_params *p = params;
    (void)cx, (void)arena, (void)version;
    p->op = (enum bin_op)op_row_find(binary_rows, n->op_type);
    return 0;
}

static int mod_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct binary_params *p = params;
    int64_t fmod = 0;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "fmod", &fmod);
    p->op = fmod ? BIN_FMOD : BIN_MOD;
    return rc < 0 ? rc : 0;
}

static int shift_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const ways[] = {"LEFT", "RIGHT", NULL};
    struct binary_params *p = params;
    int way = 0;
    (void)arena, (void)version;
    int rc = attr_choice(cx, n, "direction", ways, &way);
    if (!rc)
        return err_set(cx, E_ATTR, "attribute 'direction' is missing");
    p->op = way ? BIN_SHR : BIN_SHL;
    return rc < 0 ? rc : 0;
}

const struct op op_Add = {.domain = "",
                          .name = "Add",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct binary_params),
                          .parse = arith_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};
const struct op op_Sub = {.domain = "",
                          .name = "Sub",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct binary_params),
                          .parse = arith_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};
const struct op op_Mul = {.domain = "",
                          .name = "Mul",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct binary_params),
                          .parse = arith_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};
const struct op op_Div = {.domain = "",
                          .name = "Div",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct binary_params),
                          .parse = arith_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};
/* The output has the base's type: an exponent of another type may not lend its buffer. */
const struct op op_Pow = {.domain = "",
                          .name = "Pow",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct binary_params),
                          .parse = arith_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};
const struct op op_Mod = {.domain = "",
                          .name = "Mod",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct binary_params),
                          .parse = mod_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};
const struct op op_BitShift = {.domain = "",
                               .name = "BitShift",
                               .flags = OP_ELEMENTWISE | OP_INPLACE,
                               .params_size = sizeof(struct binary_params),
                               .parse = shift_parse,
                               .infer = binary_infer,
                               .ref = binary_ref};
const struct op op_BitwiseAnd = {.domain = "",
                                 .name = "BitwiseAnd",
                                 .flags = OP_ELEMENTWISE | OP_INPLACE,
                                 .params_size = sizeof(struct binary_params),
                                 .parse = bitwise_parse,
                                 .infer = binary_infer,
                                 .ref = binary_ref};
const struct op op_BitwiseOr = {.domain = "",
                                .name = "BitwiseOr",
                                .flags = OP_ELEMENTWISE | OP_INPLACE,
                                .params_size = sizeof(struct binary_params),
                                .parse = bitwise_parse,
                                .infer = binary_infer,
                                .ref = binary_ref};
const struct op op_BitwiseXor = {.domain = "",
                                 .name = "BitwiseXor",
                                 .flags = OP_ELEMENTWISE | OP_INPLACE,
                                 .params_size = sizeof(struct binary_params),
                                 .parse = bitwise_parse,
                                 .infer = binary_infer,
                                 .ref = binary_ref};

/* ---- any number of operands ---- */

struct variadic_params {
    enum bin_op op;
    bool mean;
};

static int variadic_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct variadic_params *p = params;
    (void)cx, (void)arena, (void)version;
    p->op = (enum bin_op)op_row_find(binary_rows, n->op_type);
    p->mean = !strcmp(n->op_type, "Mean");
    return 0;
}

static int variadic_infer(struct infer_ctx *ic, const void *params)
{
    const struct variadic_params *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    int rank, rc = need_inputs(ic, ic->nin > 1 ? ic->nin : 1);
    int *all = arena_array(ic->arena, (size_t)ic->nin + 1, sizeof(*all));
    if (!all)
        return err_nomem(ic->cx);
    for (int i = 0; !rc && i < ic->nin; i++) {
        all[i] = i;
        rc = need_same_dtype(ic, 0, i);
    }
    if (!rc)
        rc = ic_broadcast(ic, all, ic->nin, &rank, dims);
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), rank, dims);
    if (!rc && ic->nin == 2 && !p->mean)
        rc = binary_val(ic, p->op);
    return rc;
}

/* out = in broadcast to out's shape. */
static int spread(struct exec_ctx *ec, const struct tensor *in, struct tensor *out)
{
    struct copy_plan plan;
    if (copy_init_expand(&plan, in->rank, in->dims, out->rank, out->dims))
        return err_set(ec->cx, E_SHAPE, "the input does not broadcast to the output");
    ec_copy(ec, &plan, dtype_size(in->dt), in->data, out->data);
    return 0;
}

static int variadic_ref(struct exec_ctx *ec, const void *params)
{
    const struct variadic_params *p = params;
    struct tensor *out = ec->out[0];
    int rc = ec->nin == 1 ? spread(ec, ec->in[0], out) : binary_run(ec, p->op, ec->in[0], ec->in[1], out);
    for (int i = 2; !rc && i < ec->nin; i++)
        rc = binary_run(ec, p->op, out, ec->in[i], out);
    if (rc || !p->mean || ec->nin < 2)
        return rc;
    uint64_t room[2];
    struct tensor count = {.dt = out->dt, .data = room};
    dtype_info(out->dt)->store_f64(room, ec->nin);
    return binary_run(ec, BIN_DIV, out, &count, out);
}

const struct op op_Max = {.domain = "",
                          .name = "Max",
                          .flags = OP_ELEMENTWISE,
                          .params_size = sizeof(struct variadic_params),
                          .parse = variadic_parse,
                          .infer = variadic_infer,
                          .ref = variadic_ref};
const struct op op_Min = {.domain = "",
                          .name = "Min",
                          .flags = OP_ELEMENTWISE,
                          .params_size = sizeof(struct variadic_params),
                          .parse = variadic_parse,
                          .infer = variadic_infer,
                          .ref = variadic_ref};
const struct op op_Sum = {.domain = "",
                          .name = "Sum",
                          .flags = OP_ELEMENTWISE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct variadic_params),
                          .parse = variadic_parse,
                          .infer = variadic_infer,
                          .ref = variadic_ref};
const struct op op_Mean = {.domain = "",
                           .name = "Mean",
                           .flags = OP_ELEMENTWISE,
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct variadic_params),
                           .parse = variadic_parse,
                           .infer = variadic_infer,
                           .ref = variadic_ref};

/* ---- one operand ---- */

static const struct op_row unary_rows[] = {
    {"Abs", UN_ABS},
    {"Acos", UN_ACOS},
    {"Acosh", UN_ACOSH},
    {"Asin", UN_ASIN},
    {"Asinh", UN_ASINH},
    {"Atan", UN_ATAN},
    {"Atanh", UN_ATANH},
    {"BitwiseNot", UN_BIT_NOT},
    {"Ceil", UN_CEIL},
    {"Cos", UN_COS},
    {"Cosh", UN_COSH},
    {"Erf", UN_ERF},
    {"Exp", UN_EXP},
    {"Floor", UN_FLOOR},
    {"IsNaN", UN_IS_NAN},
    {"Log", UN_LOG},
    {"Neg", UN_NEG},
    {"Reciprocal", UN_RECIPROCAL},
    {"Round", UN_ROUND},
    {"Sign", UN_SIGN},
    {"Sin", UN_SIN},
    {"Sinh", UN_SINH},
    {"Sqrt", UN_SQRT},
    {"Tan", UN_TAN},
    {NULL, 0},
};

static int math_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct unary_params *p = params;
    (void)cx, (void)arena, (void)version;
    p->op = (enum un_op)op_row_find(unary_rows, n->op_type);
    return 0;
}

static int isinf_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct unary_params *p = params;
    int64_t neg = 1, pos = 1;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "detect_negative", &neg);
    if (rc >= 0)
        rc = attr_int(cx, n, "detect_positive", &pos);
    p->op = UN_IS_INF;
    p->k = (struct un_params){pos != 0, neg != 0};
    return rc < 0 ? rc : 0;
}

const struct op op_Abs = {.domain = "",
                          .name = "Abs",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_Acos = {.domain = "",
                           .name = "Acos",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Acosh = {.domain = "",
                            .name = "Acosh",
                            .flags = OP_ELEMENTWISE | OP_INPLACE,
                            .tol = TOL_ROUND,
                            .params_size = sizeof(struct unary_params),
                            .parse = math_parse,
                            .infer = unary_infer,
                            .ref = unary_ref};
const struct op op_Asin = {.domain = "",
                           .name = "Asin",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Asinh = {.domain = "",
                            .name = "Asinh",
                            .flags = OP_ELEMENTWISE | OP_INPLACE,
                            .tol = TOL_ROUND,
                            .params_size = sizeof(struct unary_params),
                            .parse = math_parse,
                            .infer = unary_infer,
                            .ref = unary_ref};
const struct op op_Atan = {.domain = "",
                           .name = "Atan",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Atanh = {.domain = "",
                            .name = "Atanh",
                            .flags = OP_ELEMENTWISE | OP_INPLACE,
                            .tol = TOL_ROUND,
                            .params_size = sizeof(struct unary_params),
                            .parse = math_parse,
                            .infer = unary_infer,
                            .ref = unary_ref};
const struct op op_BitwiseNot = {.domain = "",
                                 .name = "BitwiseNot",
                                 .flags = OP_ELEMENTWISE | OP_INPLACE,
                                 .params_size = sizeof(struct unary_params),
                                 .parse = math_parse,
                                 .infer = unary_infer,
                                 .ref = unary_ref};
const struct op op_Ceil = {.domain = "",
                           .name = "Ceil",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Cos = {.domain = "",
                          .name = "Cos",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_Cosh = {.domain = "",
                           .name = "Cosh",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Erf = {.domain = "",
                          .name = "Erf",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_Exp = {.domain = "",
                          .name = "Exp",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_Floor = {.domain = "",
                            .name = "Floor",
                            .flags = OP_ELEMENTWISE | OP_INPLACE,
                            .params_size = sizeof(struct unary_params),
                            .parse = math_parse,
                            .infer = unary_infer,
                            .ref = unary_ref};
const struct op op_Log = {.domain = "",
                          .name = "Log",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_Neg = {.domain = "",
                          .name = "Neg",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_Reciprocal = {.domain = "",
                                 .name = "Reciprocal",
                                 .flags = OP_ELEMENTWISE | OP_INPLACE,
                                 .tol = TOL_ROUND,
                                 .params_size = sizeof(struct unary_params),
                                 .parse = math_parse,
                                 .infer = unary_infer,
                                 .ref = unary_ref};
const struct op op_Round = {.domain = "",
                            .name = "Round",
                            .flags = OP_ELEMENTWISE | OP_INPLACE,
                            .params_size = sizeof(struct unary_params),
                            .parse = math_parse,
                            .infer = unary_infer,
                            .ref = unary_ref};
const struct op op_Sign = {.domain = "",
                           .name = "Sign",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Sin = {.domain = "",
                          .name = "Sin",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_Sinh = {.domain = "",
                           .name = "Sinh",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Sqrt = {.domain = "",
                           .name = "Sqrt",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct unary_params),
                           .parse = math_parse,
                           .infer = unary_infer,
                           .ref = unary_ref};
const struct op op_Tan = {.domain = "",
                          .name = "Tan",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct unary_params),
                          .parse = math_parse,
                          .infer = unary_infer,
                          .ref = unary_ref};
const struct op op_IsInf = {.domain = "",
                            .name = "IsInf",
                            .flags = OP_ELEMENTWISE,
                            .params_size = sizeof(struct unary_params),
                            .parse = isinf_parse,
                            .infer = unary_infer,
                            .ref = unary_ref};
const struct op op_IsNaN = {.domain = "",
                            .name = "IsNaN",
                            .flags = OP_ELEMENTWISE,
                            .params_size = sizeof(struct unary_params),
                            .parse = math_parse,
                            .infer = unary_infer,
                            .ref = unary_ref};

/* ---- Clip ---- */

/* Bounds are attributes before opset 11, inputs since; either may be missing. */
struct clip_params {
    bool by_attr;
    float lo, hi;
    bool has_lo, has_hi;
};

static int clip_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct clip_params *p = params;
    (void)arena;
    p->by_attr = version < 11;
    if (!p->by_attr)
        return 0;
    int lo = attr_float(cx, n, "min", &p->lo), hi = lo < 0 ? lo : attr_float(cx, n, "max", &p->hi);
    p->has_lo = lo > 0;
    p->has_hi = hi > 0;
    return hi < 0 ? hi : 0;
}

static int clip_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = need_inputs(ic, 1);
    for (int i = 1; !rc && i < 3; i++)
        if (ic_has(ic, i))
            rc = need_same_dtype(ic, 0, i);
    return rc ? rc : ic_out_same(ic, 0, 0);
}

struct clip_job {
    const struct kern *kern;
    enum dtype dt;
    size_t size;
    const char *in;
    char *out;
    const void *lo, *hi;
};

static void clip_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct clip_job *j = arg;
    size_t off = (size_t)begin * j->size;
    (void)thread;
    clip_run(j->kern, j->dt, j->in + off, j->out + off, (size_t)(end - begin), j->lo, j->hi);
}

/* The bound that an input gives, into one element at to. */
static int clip_bound(struct exec_ctx *ec, int i, void *to)
{
    if (!ec_has(ec, i))
        return 0;
    if (tensor_count(ec->in[i]) != 1 || ec->in[i]->dt != ec->in[0]->dt)
        return err_set(ec->cx, E_SHAPE, "input %d is no scalar of the type of input 0", i);
    memcpy(to, ec->in[i]->data, dtype_size(ec->in[i]->dt));
    return 0;
}

static int clip_ref(struct exec_ctx *ec, const void *params)
{
    const struct clip_params *p = params;
    const struct tensor *in = ec->in[0];
    const struct dtype_info *d = dtype_info(in->dt);
    uint64_t lo[2] = {0}, hi[2] = {0};
    if (!clip_supported(ec->kern, in->dt))
        return ec_unsupported(ec, 0);
    dtype_extremes(in->dt, lo, hi);
    if (p->has_lo)
        d->store_f64(lo, p->lo);
    if (p->has_hi)
        d->store_f64(hi, p->hi);
    int rc = p->by_attr ? 0 : clip_bound(ec, 1, lo);
    if (!rc && !p->by_attr)
        rc = clip_bound(ec, 2, hi);
    if (rc)
        return rc;
    struct clip_job j = {ec->kern, in->dt, d->size, in->data, ec->out[0]->data, lo, hi};
    ec_par(ec, tensor_count(in), PAR_GRAIN, clip_range, &j);
    return 0;
}

const struct op op_Clip = {.domain = "",
                           .name = "Clip",
                           .flags = OP_ELEMENTWISE | OP_INPLACE,
                           .params_size = sizeof(struct clip_params),
                           .parse = clip_parse,
                           .infer = clip_infer,
                           .ref = clip_ref};

/* ---- running sums and products ---- */

struct cum_params {
    bool product, exclusive, reverse;
};

static int cum_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct cum_params *p = params;
    int64_t exclusive = 0, reverse = 0;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "exclusive", &exclusive);
    if (rc >= 0)
        rc = attr_int(cx, n, "reverse", &reverse);
    p->product = !strcmp(n->op_type, "CumProd");
    p->exclusive = exclusive != 0;
    p->reverse = reverse != 0;
    return rc < 0 ? rc : 0;
}

static int cum_infer(struct infer_ctx *ic, const void *params)
{
    int64_t axis;
    int ignored, rc = need_inputs(ic, 2);
    (void)params;
    if (!rc)
        rc = need_index_dtype(ic, 1);
    if (!rc && ic_rank(ic, 0) > 0 && ic_ints(ic, 1, &axis, 1) == 1)
        rc = ic_axis(ic, axis, ic_rank(ic, 0), &ignored);
    return rc ? rc : ic_out_same(ic, 0, 0);
}

struct cum_job {
    cum_fn *fn;
    const struct cum_params *p;
    struct red_shape s;
    size_t size;
    const char *in;
    char *out;
};

static void cum_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct cum_job *j = arg;
    struct red_shape s = j->s;
    size_t off = (size_t)begin * s.reduce * s.inner * j->size;
    (void)thread;
    s.outer = (size_t)(end - begin);
    j->fn(j->in + off, j->out + off, &s, j->p->exclusive, j->p->reverse);
}

static int cum_ref(struct exec_ctx *ec, const void *params)
{
    const struct cum_params *p = params;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    cum_fn *const *fns = p->product ? ec->kern->reduce.cumprod : ec->kern->reduce.cumsum;
    enum dtype dt = fns[in->dt] ? in->dt : DT_FLOAT;
    int64_t want, n = tensor_count(in);
    int axis = 0, rc = ec_int(ec, 1, &want);
    if (!rc && in->rank)
        rc = ec_axis(ec, want, in->rank, &axis);
    if (rc || !n)
        return rc;
    if (!fns[dt] || (dt != in->dt && dtype_info(in->dt)->cls != CLS_FLOAT))
        return ec_unsupported(ec, 0);
    const void *src = ec_as(ec, 0, dt);
    void *dst = dt == in->dt ? out->data : ec_scratch(ec, (size_t)n * dtype_size(dt));
    if (!src || !dst)
        return ec->cx->err.code;
    size_t reduce = in->rank ? (size_t)in->dims[axis] : 1;
    size_t inner = in->rank ? (size_t)dims_span(in->dims, axis + 1, in->rank) : 1;
    struct cum_job j = {fns[dt],        p,   red_shape((size_t)n / (reduce * inner), reduce, inner),
                        dtype_size(dt), src, dst};
    ec_par(ec, (int64_t)j.s.outer, PAR_GRAIN / (int64_t)(reduce * inner) + 1, cum_range, &j);
    if (dt != in->dt)
        cast_run(ec->kern, dt, in->dt, dst, out->data, (size_t)n, NULL);
    return 0;
}

const struct op op_CumSum = {.domain = "",
                             .name = "CumSum",
                             .tol = TOL_ROUND,
                             .params_size = sizeof(struct cum_params),
                             .parse = cum_parse,
                             .infer = cum_infer,
                             .ref = cum_ref};
const struct op op_CumProd = {.domain = "",
                              .name = "CumProd",
                              .tol = TOL_ROUND,
                              .params_size = sizeof(struct cum_params),
                              .parse = cum_parse,
                              .infer = cum_infer,
                              .ref = cum_ref};
