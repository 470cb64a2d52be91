/* Reductions along axes: Reduce*, ArgMax, ArgMin. */
#include <string.h>

#include "kern/cast.h"
#include "kern/reduce.h"
#include "ops/binary.h"

static const struct op_row reduce_rows[] = {
    {"ReduceSum", RED_SUM},        {"ReduceMean", RED_MEAN},
    {"ReduceProd", RED_PROD},      {"ReduceMax", RED_MAX},
    {"ReduceMin", RED_MIN},        {"ReduceSumSquare", RED_SUM_SQUARE},
    {"ReduceL1", RED_L1},          {"ReduceL2", RED_L2},
    {"ReduceLogSum", RED_LOG_SUM}, {NULL, 0},
};

/* axes are an attribute before opset 18 (13 for ReduceSum), an input since. */
struct reduce_params {
    enum red_op op;
    const int64_t *axes;
    int naxes; /* -1: no attribute */
    bool keepdims, noop;
};

static int reduce_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct reduce_params *p = params;
    int64_t keepdims = 1, noop = 0;
    size_t count = 0;
    (void)arena;
    bool by_input = version >= (strcmp(n->op_type, "ReduceSum") ? 18 : 13);
    int op = op_row_find(reduce_rows, n->op_type);
    p->op = op < 0 ? RED_LOG_SUM_EXP : (enum red_op)op;
    p->naxes = -1;
    int rc = attr_int(cx, n, "keepdims", &keepdims);
    if (rc >= 0 && by_input)
        rc = attr_int(cx, n, "noop_with_empty_axes", &noop);
    if (rc >= 0 && !by_input) {
        rc = attr_ints(cx, n, "axes", &p->axes, &count);
        if (rc > 0 && count > TENSOR_MAX_RANK)
            return err_set(cx, E_ATTR, "attribute 'axes' lists %zu axes", count);
        if (rc > 0)
            p->naxes = (int)count;
    }
    p->keepdims = keepdims != 0;
    p->noop = noop != 0;
    return rc < 0 ? rc : 0;
}

/* All axes when none is listed, unless that means none. */
static void reduce_all(const struct reduce_params *p, int naxes, int rank, bool *mask)
{
    if (naxes <= 0)
        for (int a = 0; a < rank; a++)
            mask[a] = !p->noop;
}

static int keep_or_drop(const struct dim *in, int rank, const bool *mask, bool keepdims, struct dim *out)
{
    int n = 0;
    for (int a = 0; a < rank; a++)
        if (!mask[a])
            out[n++] = in[a];
        else if (keepdims)
            out[n++] = dim_const(1);
    return n;
}

/* The known product, sum or extreme of a known list. */
static int reduce_val(struct infer_ctx *ic, enum red_op op, int rank)
{
    const struct shape_val *v = ic_val(ic, 0);
    if (!v || v->rank != 1 || rank > 1 || v->n < 1 ||
        (op != RED_PROD && op != RED_SUM && op != RED_MAX && op != RED_MIN))
        return 0;
    struct dim r = v->d[0];
    for (int64_t i = 1; i < v->n && r.kind != DIM_UNKNOWN; i++) {
        struct dim d = v->d[i];
        if (d.kind == DIM_UNKNOWN)
            return 0;
        r = op == RED_PROD  ? dim_mul(ic->syms, r, d)
            : op == RED_SUM ? dim_add(ic->syms, r, d)
            : op == RED_MAX ? dim_max(ic->syms, r, d)
                            : dim_min(ic->syms, r, d);
    }
    return r.kind == DIM_UNKNOWN ? 0 : ic_out_val(ic, 0, rank, 1, &r);
}

static int reduce_infer(struct infer_ctx *ic, const void *params)
{
    const struct reduce_params *p = params;
    struct dim in[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    int64_t axes[TENSOR_MAX_RANK];
    bool mask[TENSOR_MAX_RANK];
    int rc = need_inputs(ic, 1), rank = rc ? rc : in_dims(ic, 0, in);
    if (rank < -1)
        return rank;
    int n = axes_of(ic, 1, p->axes, p->naxes, axes, TENSOR_MAX_RANK);
    if (n < -2)
        return n;
    if (rank < 0 || n == -2)
        return out_rank(ic, 0, ic_dtype(ic, 0), p->keepdims ? rank : -1);
    rc = axes_mask(ic, axes, n < 0 ? 0 : n, rank, mask);
    if (rc)
        return rc;
    reduce_all(p, n, rank, mask);
    int orank = keep_or_drop(in, rank, mask, p->keepdims, out);
    rc = ic_out(ic, 0, ic_dtype(ic, 0), orank, out);
    return rc || rank != 1 || !mask[0] ? rc : reduce_val(ic, p->op, orank);
}

/* ---- running ---- */

struct reduce_job {
    red_fn *fn;
    arg_fn *arg;
    bool last;
    struct red_shape s;
    size_t size, out_size;
    const char *in;
    char *out;
};

static void reduce_call(const struct reduce_job *j, const void *in, void *out, const struct red_shape *s)
{
    if (j->fn)
        j->fn(in, out, s);
    else
        j->arg(in, out, s, j->last);
}

static void reduce_outer(void *arg, int64_t begin, int64_t end, int thread)
{
    struct reduce_job *j = arg;
    struct red_shape s = j->s;
    (void)thread;
    s.outer = (size_t)(end - begin);
    reduce_call(j, j->in + (size_t)begin * s.reduce * s.stride * j->size,
                j->out + (size_t)begin * s.inner * j->out_size, &s);
}

static void reduce_columns(void *arg, int64_t begin, int64_t end, int thread)
{
    struct reduce_job *j = arg;
    struct red_shape s = j->s;
    (void)thread;
    s.inner = (size_t)(end - begin);
    reduce_call(j, j->in + (size_t)begin * j->size, j->out + (size_t)begin * j->out_size, &s);
}

static void reduce_run(struct exec_ctx *ec, struct reduce_job *j)
{
    int64_t work = (int64_t)(j->s.reduce ? j->s.reduce : 1);
    if (!j->s.outer || !j->s.inner)
        return;
    if (j->s.outer == 1)
        ec_par(ec, (int64_t)j->s.inner, PAR_GRAIN / work + 16, reduce_columns, j);
    else
        ec_par(ec, (int64_t)j->s.outer, PAR_GRAIN / (work * (int64_t)j->s.inner) + 1, reduce_outer, j);
}

/* The input with the reduced axes moved to the end, in scratch memory. */
static const void *move_last(struct exec_ctx *ec, const struct tensor *in, const void *data, size_t size,
                             const bool *mask, struct red_shape *s)
{
    int64_t perm[TENSOR_MAX_RANK], outer = 1, inner = 1;
    struct copy_plan plan;
    int n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int a = 0; a < in->rank; a++)
            if (mask[a] == (pass == 1)) {
                perm[n++] = a;
                *(pass ? &inner : &outer) *= in->dims[a];
            }
    *s = red_shape((size_t)outer, (size_t)inner, 1);
    void *buf = ec_scratch(ec, (size_t)(outer * inner) * size + 1);
    if (!buf || copy_init_transpose(&plan, in->rank, in->dims, perm))
        return NULL;
    ec_copy(ec, &plan, size, data, buf);
    return buf;
}

/* The element type that the kernels compute in for dt: itself, uint8 for bool extremes, float for narrow
 * floats; DT_UNDEFINED when there is none. */
static enum dtype reduce_type(const struct kern *k, enum red_op op, enum dtype dt)
{
    red_fn *const *fns = k->reduce.op[op];
    if (fns[dt])
        return dt;
    if (dt == DT_BOOL && (op == RED_MAX || op == RED_MIN) && fns[DT_UINT8])
        return DT_UINT8;
    if (dtype_info(dt)->cls == CLS_FLOAT && fns[DT_FLOAT])
        return DT_FLOAT;
    /* Roots and logarithms of integers: through double, cut toward zero. */
    if (dtype_is_int(dt) && fns[DT_DOUBLE])
        return DT_DOUBLE;
    return DT_UNDEFINED;
}

/* With nothing to reduce every element is a set of one. */
static void reduce_layout(const struct tensor *in, const bool *mask, bool *collapsed, struct red_shape *s)
{
    bool any = false;
    for (int a = 0; a < in->rank; a++)
        any |= mask[a];
    *collapsed = true;
    if (any)
        *collapsed = red_collapse(in->rank, in->dims, mask, s);
    else
        *s = red_shape(1, 1, (size_t)tensor_count(in));
}

static int reduce_axes(struct exec_ctx *ec, const struct reduce_params *p, bool *mask)
{
    const struct tensor *in = ec->in[0];
    const int64_t *axes = p->axes;
    int64_t n = p->naxes;
    if (n < 0 && ec_has(ec, 1)) {
        axes = ec_ints(ec, 1, &n);
        if (!axes && n)
            return ec->cx->err.code;
    }
    memset(mask, 0, TENSOR_MAX_RANK * sizeof(*mask));
    for (int64_t i = 0; i < n; i++) {
        int axis, rc = ec_axis(ec, axes[i], in->rank, &axis);
        if (rc)
            return rc;
        mask[axis] = true;
    }
    reduce_all(p, n > 0 ? 1 : 0, in->rank, mask);
    return 0;
}

static int reduce_ref(struct exec_ctx *ec, const void *params)
{
    const struct reduce_params *p = params;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    bool mask[TENSOR_MAX_RANK], collapsed;
    enum dtype dt = reduce_type(ec->kern, p->op, in->dt);
    struct reduce_job j = {0};
    int rc = reduce_axes(ec, p, mask);
    if (rc)
        return rc;
    if (dt == DT_UNDEFINED)
        return ec_unsupported(ec, 0);
    bool same = dtype_size(dt) == dtype_size(in->dt) && (dt == in->dt || in->dt == DT_BOOL);
    size_t n = (size_t)tensor_count(out);
    const void *src = same ? in->data : ec_as(ec, 0, dt);
    j.fn = ec->kern->reduce.op[p->op][dt];
    j.size = j.out_size = dtype_size(dt);
    j.out = same ? out->data : ec_scratch(ec, n * j.size + 1);
    reduce_layout(in, mask, &collapsed, &j.s);
    if (!collapsed)
        src = move_last(ec, in, src, j.size, mask, &j.s);
    j.in = src;
    if ((!src && tensor_count(in)) || (!j.out && n))
        return ec->cx->err.code;
    if (j.s.outer * j.s.inner != n)
        return err_set(ec->cx, E_SHAPE, "the reduced shape does not fit the output");
    reduce_run(ec, &j);
    if (in->dt == DT_BOOL && !j.s.reduce)
        memset(out->data, p->op == RED_MIN, n);
    if (!same)
        cast_run(ec->kern, dt, in->dt, j.out, out->data, n, NULL);
    return 0;
}

const struct op op_ReduceL1 = {.domain = "",
                               .name = "ReduceL1",
                               .tol = TOL_ROUND,
                               .params_size = sizeof(struct reduce_params),
                               .parse = reduce_parse,
                               .infer = reduce_infer,
                               .ref = reduce_ref};
const struct op op_ReduceL2 = {.domain = "",
                               .name = "ReduceL2",
                               .tol = TOL_ROUND,
                               .params_size = sizeof(struct reduce_params),
                               .parse = reduce_parse,
                               .infer = reduce_infer,
                               .ref = reduce_ref};
const struct op op_ReduceLogSum = {.domain = "",
                                   .name = "ReduceLogSum",
                                   .tol = TOL_ROUND,
                                   .params_size = sizeof(struct reduce_params),
                                   .parse = reduce_parse,
                                   .infer = reduce_infer,
                                   .ref = reduce_ref};
const struct op op_ReduceLogSumExp = {.domain = "",
                                      .name = "ReduceLogSumExp",
                                      .tol = TOL_ROUND,
                                      .params_size = sizeof(struct reduce_params),
                                      .parse = reduce_parse,
                                      .infer = reduce_infer,
                                      .ref = reduce_ref};
const struct op op_ReduceMax = {.domain = "",
                                .name = "ReduceMax",
                                .params_size = sizeof(struct reduce_params),
                                .parse = reduce_parse,
                                .infer = reduce_infer,
                                .ref = reduce_ref};
const struct op op_ReduceMean = {.domain = "",
                                 .name = "ReduceMean",
                                 .tol = TOL_ROUND,
                                 .params_size = sizeof(struct reduce_params),
                                 .parse = reduce_parse,
                                 .infer = reduce_infer,
                                 .ref = reduce_ref};
const struct op op_ReduceMin = {.domain = "",
                                .name = "ReduceMin",
                                .params_size = sizeof(struct reduce_params),
                                .parse = reduce_parse,
                                .infer = reduce_infer,
                                .ref = reduce_ref};
const struct op op_ReduceProd = {.domain = "",
                                 .name = "ReduceProd",
                                 .tol = TOL_ROUND,
                                 .params_size = sizeof(struct reduce_params),
                                 .parse = reduce_parse,
                                 .infer = reduce_infer,
                                 .ref = reduce_ref};
const struct op op_ReduceSum = {.domain = "",
                                .name = "ReduceSum",
                                .tol = TOL_ROUND,
                                .params_size = sizeof(struct reduce_params),
                                .parse = reduce_parse,
                                .infer = reduce_infer,
                                .ref = reduce_ref};
const struct op op_ReduceSumSquare = {.domain = "",
                                      .name = "ReduceSumSquare",
                                      .tol = TOL_ROUND,
                                      .params_size = sizeof(struct reduce_params),
                                      .parse = reduce_parse,
                                      .infer = reduce_infer,
                                      .ref = reduce_ref};

/* ---- ArgMax, ArgMin ---- */

struct arg_params {
    bool min, keepdims, last;
    int64_t axis;
};

static int arg_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct arg_params *p = params;
    int64_t keepdims = 1, last = 0;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (rc >= 0)
        rc = attr_int(cx, n, "keepdims", &keepdims);
    if (rc >= 0)
        rc = attr_int(cx, n, "select_last_index", &last);
    p->min = !strcmp(n->op_type, "ArgMin");
    p->keepdims = keepdims != 0;
    p->last = last != 0;
    return rc < 0 ? rc : 0;
}

static int arg_infer(struct infer_ctx *ic, const void *params)
{
    const struct arg_params *p = params;
    struct dim in[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    bool mask[TENSOR_MAX_RANK] = {false};
    int axis, rc = need_inputs(ic, 1), rank = rc ? rc : in_dims(ic, 0, in);
    if (rank < -1)
        return rank;
    if (rank < 0)
        return ic_out(ic, 0, DT_INT64, -1, NULL);
    rc = ic_axis(ic, p->axis, rank, &axis);
    if (rc)
        return rc;
    if (dim_is(in[axis], 0))
        return ic_err(ic, E_SHAPE, "axis %d is empty: nothing has an extreme there", axis);
    mask[axis] = true;
    return ic_out(ic, 0, DT_INT64, keep_or_drop(in, rank, mask, p->keepdims, out), out);
}

static int arg_ref(struct exec_ctx *ec, const void *params)
{
    const struct arg_params *p = params;
    const struct tensor *in = ec->in[0];
    arg_fn *const *fns = p->min ? ec->kern->reduce.argmin : ec->kern->reduce.argmax;
    int axis, rc = ec_axis(ec, p->axis, in->rank, &axis);
    enum dtype dt = fns[in->dt] ? in->dt : DT_FLOAT;
    if (rc || !tensor_count(in))
        return rc;
    if (!fns[dt] || (dt != in->dt && dtype_info(in->dt)->cls != CLS_FLOAT))
        return ec_unsupported(ec, 0);
    struct reduce_job j = {.arg = fns[dt],
                           .last = p->last,
                           .size = dtype_size(dt),
                           .out_size = sizeof(int64_t),
                           .in = ec_as(ec, 0, dt),
                           .out = ec->out[0]->data};
    j.s = red_shape((size_t)dims_span(in->dims, 0, axis), (size_t)in->dims[axis],
                    (size_t)dims_span(in->dims, axis + 1, in->rank));
    if (!j.in)
        return ec->cx->err.code;
    reduce_run(ec, &j);
    return 0;
}

const struct op op_ArgMax = {.domain = "",
                             .name = "ArgMax",
                             .params_size = sizeof(struct arg_params),
                             .parse = arg_parse,
                             .infer = arg_infer,
                             .ref = arg_ref};
const struct op op_ArgMin = {.domain = "",
                             .name = "ArgMin",
                             .params_size = sizeof(struct arg_params),
                             .parse = arg_parse,
                             .infer = arg_infer,
                             .ref = arg_ref};
