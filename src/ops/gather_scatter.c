/* Picking and placing by index: Gather*, Scatter*, OneHot, Compress, ReverseSequence, Trilu. */
#include <string.h>

#include "base/checked.h"
#include "kern/cast.h"
#include "ops/op_util.h"

struct gather_params {
    int64_t axis, batch_dims;
};

static int gather_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct gather_params *p = params;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (rc >= 0)
        rc = attr_int(cx, n, "batch_dims", &p->batch_dims);
    return rc < 0 ? rc : 0;
}

/* Input i's indices counted from 0, checked against limit; NULL with the error set. */
static const int64_t *load_index(struct exec_ctx *ec, int i, int64_t limit)
{
    const struct tensor *t = ec->in[i];
    int64_t n = tensor_count(t);
    if (t->dt != DT_INT32 && t->dt != DT_INT64) {
        ec_unsupported(ec, i);
        return NULL;
    }
    int64_t *idx = ec_scratch(ec, (size_t)n * sizeof(*idx) + 1);
    if (!idx)
        return NULL;
    int64_t bad = index_load(t->dt, t->data, (size_t)n, limit, idx);
    if (bad < 0)
        return idx;
    err_set(ec->cx, E_VALUE, "element %lld of input %d is %lld, out of range [%lld, %lld]", (long long)bad, i,
            (long long)tensor_i64(t, bad), (long long)-limit, (long long)limit - 1);
    return NULL;
}

/* ---- Gather ---- */

static int gather_val(struct infer_ctx *ic)
{
    const struct shape_val *v = ic_val(ic, 0), *idx = ic_val(ic, 1);
    if (!v || v->rank != 1 || !idx)
        return 0;
    struct dim *d = arena_array(ic->arena, (size_t)idx->n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < idx->n; i++) {
        int64_t k = idx->d[i].v;
        if (idx->d[i].kind != DIM_CONST)
            continue;
        if (k < -v->n || k >= v->n)
            return ic_err(ic, E_VALUE, "index %lld is out of range [%lld, %lld]", (long long)k,
                          (long long)-v->n, (long long)v->n - 1);
        d[i] = v->d[k < 0 ? k + v->n : k];
    }
    return ic_out_val(ic, 0, idx->rank, idx->n, d);
}

static int gather_infer(struct infer_ctx *ic, const void *params)
{
    const struct gather_params *p = params;
    struct dim data[TENSOR_MAX_RANK], out[2 * TENSOR_MAX_RANK];
    int axis, n = 0, rc = need_inputs(ic, 2);
    if (!rc)
        rc = need_index_dtype(ic, 1);
    int rank = rc ? rc : in_dims(ic, 0, data), irank = ic_rank(ic, 1);
    if (rank < -1)
        return rank;
    if (rank < 0 || irank < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    rc = ic_axis(ic, p->axis, rank, &axis);
    if (rc)
        return rc;
    if (rank + irank - 1 > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the output would have %d axes, at most %d are supported",
                      rank + irank - 1, TENSOR_MAX_RANK);
    for (int a = 0; a < axis; a++)
        out[n++] = data[a];
    for (int a = 0; a < irank; a++)
        out[n++] = ic_dim(ic, 1, a);
    for (int a = axis + 1; a < rank; a++)
        out[n++] = data[a];
    rc = ic_out(ic, 0, ic_dtype(ic, 0), n, out);
    return rc || n > 1 ? rc : gather_val(ic);
}

struct gather_job {
    const struct kern *kern;
    const char *in;
    char *out;
    const int64_t *idx;
    size_t axis, slice, nidx;
};

static void gather_outer(void *arg, int64_t begin, int64_t end, int thread)
{
    struct gather_job *j = arg;
    (void)thread;
    gather_slices(j->kern, j->in + (size_t)begin * j->axis * j->slice,
                  j->out + (size_t)begin * j->nidx * j->slice, (size_t)(end - begin), j->axis, j->slice,
                  j->idx, j->nidx);
}

static void gather_index(void *arg, int64_t begin, int64_t end, int thread)
{
    struct gather_job *j = arg;
    (void)thread;
    gather_slices(j->kern, j->in, j->out + (size_t)begin * j->slice, 1, j->axis, j->slice, j->idx + begin,
                  (size_t)(end - begin));
}

static int gather_ref(struct exec_ctx *ec, const void *params)
{
    const struct gather_params *p = params;
    const struct tensor *in = ec->in[0];
    int axis, rc = ec_axis(ec, p->axis, in->rank, &axis);
    const int64_t *idx = rc ? NULL : load_index(ec, 1, in->dims[axis]);
    if (!idx)
        return ec->cx->err.code;
    size_t slice = (size_t)dims_span(in->dims, axis + 1, in->rank) * dtype_size(in->dt);
    struct gather_job j = {ec->kern,
                           in->data,
                           ec->out[0]->data,
                           idx,
                           (size_t)in->dims[axis],
                           slice,
                           (size_t)tensor_count(ec->in[1])};
    int64_t outer = dims_span(in->dims, 0, axis), unit = (int64_t)slice;
    if (!tensor_count(ec->out[0]))
        return 0;
    if (outer == 1)
        ec_par(ec, (int64_t)j.nidx, 4 * PAR_GRAIN / unit + 1, gather_index, &j);
    else
        ec_par(ec, outer, 4 * PAR_GRAIN / (unit * (int64_t)j.nidx) + 1, gather_outer, &j);
    return 0;
}

const struct op op_Gather = {.domain = "",
                             .name = "Gather",
                             .params_size = sizeof(struct gather_params),
                             .parse = gather_parse,
                             .infer = gather_infer,
                             .ref = gather_ref};

/* ---- GatherElements ---- */

/* Indices of the same rank, each extent within the data's but along axis. */
static int elements_check(struct exec_ctx *ec, int axis)
{
    const struct tensor *in = ec->in[0], *idx = ec->in[1];
    if (in->rank != idx->rank)
        return err_set(ec->cx, E_SHAPE, "the indices have %d axes, the data %d", idx->rank, in->rank);
    for (int a = 0; a < in->rank; a++)
        if (a != axis && idx->dims[a] > in->dims[a])
            return err_set(ec->cx, E_SHAPE, "axis %d of the indices is %lld long, of the data %lld", a,
                           (long long)idx->dims[a], (long long)in->dims[a]);
    return 0;
}

static int gather_elements_infer(struct infer_ctx *ic, const void *params)
{
    const struct gather_params *p = params;
    int ignored, rc = need_inputs(ic, 2);
    if (!rc)
        rc = need_index_dtype(ic, 1);
    if (!rc && ic_rank(ic, 0) >= 0) {
        rc = ic_axis(ic, p->axis, ic_rank(ic, 0), &ignored);
        if (!rc)
            rc = ic_need_rank(ic, 1, ic_rank(ic, 0), ic_rank(ic, 0));
    }
    return rc ? rc : ic_out_like(ic, 0, 1, ic_dtype(ic, 0));
}

static int gather_elements_ref(struct exec_ctx *ec, const void *params)
{
    const struct gather_params *p = params;
    const struct tensor *in = ec->in[0], *t = ec->in[1];
    int axis, rc = ec_axis(ec, p->axis, in->rank, &axis);
    if (!rc)
        rc = elements_check(ec, axis);
    if (rc || !tensor_count(t))
        return rc;
    const int64_t *idx = load_index(ec, 1, in->dims[axis]);
    if (!idx)
        return ec->cx->err.code;
    gather_elements(ec->kern, dtype_size(in->dt), in->rank, in->dims, axis, idx, t->dims, in->data,
                    ec->out[0]->data);
    return 0;
}

const struct op op_GatherElements = {.domain = "",
                                     .name = "GatherElements",
                                     .params_size = sizeof(struct gather_params),
                                     .parse = gather_parse,
                                     .infer = gather_elements_infer,
                                     .ref = gather_elements_ref};

/* ---- GatherND, ScatterND: the last axis of the indices holds tuples ---- */

/* Length of a tuple at inference: -1 unknown. */
static int tuple_len(struct infer_ctx *ic, int irank)
{
    struct dim d = irank > 0 ? ic_dim(ic, 1, irank - 1) : dim_unknown();
    return d.kind == DIM_CONST && d.v <= TENSOR_MAX_RANK ? (int)d.v : -1;
}

static int gather_nd_infer(struct infer_ctx *ic, const void *params)
{
    const struct gather_params *p = params;
    struct dim data[TENSOR_MAX_RANK], out[2 * TENSOR_MAX_RANK];
    int n = 0, rc = need_inputs(ic, 2);
    if (!rc)
        rc = need_index_dtype(ic, 1);
    int rank = rc ? rc : in_dims(ic, 0, data), irank = ic_rank(ic, 1), depth = tuple_len(ic, irank);
    if (rank < -1)
        return rank;
    rc = ic_need_rank(ic, 1, 1, TENSOR_MAX_RANK);
    if (rc)
        return rc;
    if (rank < 0 || irank < 0 || depth < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    if (irank < 1 || p->batch_dims < 0 || p->batch_dims >= irank || p->batch_dims + depth > rank)
        return ic_err(ic, E_SHAPE, "tuples of %d after %lld batch axes do not fit %d axes", depth,
                      (long long)p->batch_dims, rank);
    for (int a = 0; a < irank - 1; a++)
        out[n++] = ic_dim(ic, 1, a);
    for (int a = (int)p->batch_dims + depth; a < rank; a++)
        out[n++] = data[a];
    if (n > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the output would have %d axes, at most %d are supported", n,
                      TENSOR_MAX_RANK);
    return ic_out(ic, 0, ic_dtype(ic, 0), n, out);
}

static int bad_tuple(struct exec_ctx *ec, int64_t at)
{
    return err_set(ec->cx, E_VALUE, "index tuple %lld points out of the data", (long long)at);
}

static int gather_nd_ref(struct exec_ctx *ec, const void *params)
{
    const struct gather_params *p = params;
    const struct tensor *in = ec->in[0], *idx = ec->in[1];
    struct tensor *out = ec->out[0];
    int b = (int)p->batch_dims, depth = idx->rank ? (int)idx->dims[idx->rank - 1] : 0;
    if (idx->dt != DT_INT32 && idx->dt != DT_INT64)
        return ec_unsupported(ec, 1);
    if (!tensor_count(out))
        return 0;
    size_t size = dtype_size(in->dt), isize = dtype_size(idx->dt);
    int64_t batches = dims_span(in->dims, 0, b), slice = dims_span(in->dims, b + depth, in->rank);
    int64_t stride = dims_span(in->dims, b, in->rank), n = dims_span(idx->dims, b, idx->rank - 1);
    if (batches != dims_span(idx->dims, 0, b))
        return err_set(ec->cx, E_SHAPE, "the batch axes of data and indices differ");
    int64_t *off = ec_scratch(ec, (size_t)n * sizeof(*off) + 1);
    if (!off)
        return ec->cx->err.code;
    for (int64_t k = 0; k < batches; k++) {
        const char *tuples = (const char *)idx->data + (size_t)(k * n * depth) * isize;
        int64_t bad = nd_offsets(idx->dt, tuples, (size_t)n, depth, in->dims + b, slice, off);
        if (bad >= 0)
            return bad_tuple(ec, k * n + bad);
        gather_offsets(ec->kern, size, (const char *)in->data + (size_t)(k * stride) * size, off, (size_t)n,
                       (size_t)slice, (char *)out->data + (size_t)(k * n * slice) * size);
    }
    return 0;
}

const struct op op_GatherND = {.domain = "",
                               .name = "GatherND",
                               .params_size = sizeof(struct gather_params),
                               .parse = gather_parse,
                               .infer = gather_nd_infer,
                               .ref = gather_nd_ref};

/* ---- ScatterElements (Scatter before opset 11), ScatterND ---- */

struct scatter_params {
    int64_t axis;
    int reduction; /* index into the names below */
};

static int scatter_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min", NULL};
    struct scatter_params *p = params;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (rc >= 0)
        rc = attr_choice(cx, n, "reduction", names, &p->reduction);
    return rc < 0 ? rc : 0;
}

static int scatter_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = need_inputs(ic, 3);
    if (!rc)
        rc = need_same_dtype(ic, 0, 2);
    if (!rc)
        rc = need_index_dtype(ic, 1);
    return rc ? rc : ic_out_same(ic, 0, 0);
}

/* Applies n updates of slice elements at off to output 0, which holds the data. 16-bit floats are widened
 * as a whole: each update must see the rounded result of none but itself. */
static int scatter_apply(struct exec_ctx *ec, const struct scatter_params *p, const int64_t *off, size_t n,
                         size_t slice)
{
    const struct tensor *upd = ec->in[2];
    struct tensor *out = ec->out[0];
    static const enum scatter_op ops[] = {0, SCATTER_ADD, SCATTER_MUL, SCATTER_MAX, SCATTER_MIN};
    /* Of truth values: a sum is true when one is, a product when both are. */
    static const enum scatter_op bool_ops[] = {0, SCATTER_MAX, SCATTER_MIN, SCATTER_MAX, SCATTER_MIN};
    if (!p->reduction) {
        ec->kern->move.put[width_index(dtype_size(out->dt))](out->data, off, upd->data, n, slice);
        return 0;
    }
    if (out->dt == DT_BOOL) {
        ec->kern->move.scatter[bool_ops[p->reduction]][DT_UINT8](out->data, off, upd->data, n, slice);
        return 0;
    }
    scatter_fn *const *fns = ec->kern->move.scatter[ops[p->reduction]];
    if (fns[out->dt]) {
        fns[out->dt](out->data, off, upd->data, n, slice);
        return 0;
    }
    if (!fns[DT_FLOAT] || dtype_info(out->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    size_t count = (size_t)tensor_count(out);
    float *wide = ec_scratch(ec, count * sizeof(*wide) + 1);
    const void *u = ec_as(ec, 2, DT_FLOAT);
    if (!wide || !u)
        return ec->cx->err.code;
    cast_run(ec->kern, out->dt, DT_FLOAT, out->data, wide, count, NULL);
    fns[DT_FLOAT](wide, off, u, n, slice);
    cast_run(ec->kern, DT_FLOAT, out->dt, wide, out->data, count, NULL);
    return 0;
}

static int scatter_elements_ref(struct exec_ctx *ec, const void *params)
{
    const struct scatter_params *p = params;
    const struct tensor *in = ec->in[0], *idx = ec->in[1], *upd = ec->in[2];
    int64_t n = tensor_count(idx);
    int axis, rc = ec_axis(ec, p->axis, in->rank, &axis);
    if (!rc)
        rc = elements_check(ec, axis);
    if (rc)
        return rc;
    if (tensor_count(upd) != n || upd->dt != in->dt)
        return err_set(ec->cx, E_SHAPE, "updates and indices differ in shape");
    ec_memcpy(ec, ec->out[0]->data, in->data, tensor_bytes(in));
    if (!n)
        return 0;
    const int64_t *at = load_index(ec, 1, in->dims[axis]);
    int64_t *off = ec_scratch(ec, (size_t)n * sizeof(*off));
    if (!at || !off)
        return ec->cx->err.code;
    elements_offsets(in->rank, in->dims, axis, at, idx->dims, off);
    return scatter_apply(ec, p, off, (size_t)n, 1);
}

static int scatter_nd_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0], *idx = ec->in[1], *upd = ec->in[2];
    int depth = idx->rank ? (int)idx->dims[idx->rank - 1] : 0;
    if (idx->dt != DT_INT32 && idx->dt != DT_INT64)
        return ec_unsupported(ec, 1);
    if (!idx->rank || depth > in->rank)
        return err_set(ec->cx, E_SHAPE, "index tuples of %d do not fit %d axes", depth, in->rank);
    int64_t n = dims_span(idx->dims, 0, idx->rank - 1), slice = dims_span(in->dims, depth, in->rank);
    if (upd->dt != in->dt || tensor_count(upd) != n * slice)
        return err_set(ec->cx, E_SHAPE, "the updates have %lld elements, expected %lld",
                       (long long)tensor_count(upd), (long long)(n * slice));
    ec_memcpy(ec, ec->out[0]->data, in->data, tensor_bytes(in));
    if (!n || !slice)
        return 0;
    int64_t *off = ec_scratch(ec, (size_t)n * sizeof(*off));
    if (!off)
        return ec->cx->err.code;
    int64_t bad = nd_offsets(idx->dt, idx->data, (size_t)n, depth, in->dims, slice, off);
    return bad >= 0 ? bad_tuple(ec, bad) : scatter_apply(ec, params, off, (size_t)n, (size_t)slice);
}

const struct op op_Scatter = {.domain = "",
                              .name = "Scatter",
                              .params_size = sizeof(struct scatter_params),
                              .parse = scatter_parse,
                              .infer = scatter_infer,
                              .ref = scatter_elements_ref};
const struct op op_ScatterElements = {.domain = "",
                                      .name = "ScatterElements",
                                      .params_size = sizeof(struct scatter_params),
                                      .parse = scatter_parse,
                                      .infer = scatter_infer,
                                      .ref = scatter_elements_ref};
const struct op op_ScatterND = {.domain = "",
                                .name = "ScatterND",
                                .params_size = sizeof(struct scatter_params),
                                .parse = scatter_parse,
                                .infer = scatter_infer,
                                .ref = scatter_nd_ref};

/* ---- OneHot ---- */

static int onehot_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct gather_params *p = params;
    (void)arena, (void)version;
    p->axis = -1;
    int rc = attr_int(cx, n, "axis", &p->axis);
    return rc < 0 ? rc : 0;
}

static int onehot_infer(struct infer_ctx *ic, const void *params)
{
    const struct gather_params *p = params;
    struct dim in[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK + 1], depth = dim_unknown();
    int axis, rc = need_inputs(ic, 3), rank = rc ? rc : in_dims(ic, 0, in);
    if (rank < -1)
        return rank;
    rc = ic_need_rank(ic, 1, 0, 1);
    if (!rc)
        rc = ic_need_rank(ic, 2, 1, 1);
    if (!rc && ic_rank(ic, 1) == 1)
        rc = ic_unify(ic, ic_dim(ic, 1, 0), dim_const(1), "values of depth");
    if (!rc && ic_rank(ic, 2) == 1)
        rc = ic_unify(ic, ic_dim(ic, 2, 0), dim_const(2), "length of values");
    if (rc || rank < 0)
        return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 2), -1, NULL);
    const struct tensor *c = ic_const(ic, 1);
    const struct shape_val *v = ic_val(ic, 1);
    if (c && tensor_count(c) == 1 && dtype_info(c->dt)->load_i64)
        depth = dim_const(tensor_i64(c, 0));
    else if (v && v->n == 1)
        depth = v->d[0];
    if (depth.kind == DIM_CONST && depth.v < 0)
        return ic_err(ic, E_VALUE, "depth is %lld", (long long)depth.v);
    if (rank + 1 > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "%d axes would result, at most %d are supported", rank + 1,
                      TENSOR_MAX_RANK);
    rc = ic_axis(ic, p->axis, rank + 1, &axis);
    for (int a = 0; !rc && a <= rank; a++)
        out[a] = a < axis ? in[a] : a == axis ? depth : in[a - 1];
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 2), rank + 1, out);
}

static int onehot_ref(struct exec_ctx *ec, const void *params)
{
    const struct gather_params *p = params;
    const struct tensor *in = ec->in[0], *values = ec->in[2];
    struct tensor *out = ec->out[0];
    int64_t n = tensor_count(in);
    int axis, rc = ec_axis(ec, p->axis, in->rank + 1, &axis);
    if (rc || !tensor_count(out))
        return rc;
    if (!dtype_info(in->dt)->load_i64 || tensor_count(values) != 2)
        return ec_unsupported(ec, tensor_count(values) != 2 ? 2 : 0);
    int64_t depth = out->dims[axis], *idx = ec_scratch(ec, (size_t)n * sizeof(*idx));
    if (!idx)
        return ec->cx->err.code;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = tensor_i64(in, i);
        k += k < 0 ? depth : 0;
        idx[i] = k >= 0 && k < depth ? k : -1; /* out of range: all off */
    }
    one_hot(ec->kern, dtype_size(out->dt), idx, (size_t)dims_span(in->dims, 0, axis), (size_t)depth,
            (size_t)dims_span(in->dims, axis, in->rank), values->data, out->data);
    return 0;
}

const struct op op_OneHot = {.domain = "",
                             .name = "OneHot",
                             .params_size = sizeof(struct gather_params),
                             .parse = onehot_parse,
                             .infer = onehot_infer,
                             .ref = onehot_ref};

/* ---- Compress ---- */

struct compress_params {
    int64_t axis;
    bool has_axis;
};

static int compress_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct compress_params *p = params;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    p->has_axis = rc > 0;
    return rc < 0 ? rc : 0;
}

static int compress_infer(struct infer_ctx *ic, const void *params)
{
    const struct compress_params *p = params;
    struct dim dims[TENSOR_MAX_RANK], kept = dim_fresh(ic->syms);
    int axis, rc = need_inputs(ic, 2), rank = rc ? rc : in_dims(ic, 0, dims);
    if (rank < -1)
        return rank;
    if (rank == 0)
        return ic_err(ic, E_SHAPE, "a scalar has no axis to be compressed");
    if (!p->has_axis)
        return ic_out(ic, 0, ic_dtype(ic, 0), 1, &kept);
    if (rank < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    rc = ic_axis(ic, p->axis, rank, &axis);
    if (rc)
        return rc;
    dims[axis] = kept;
    return ic_out(ic, 0, ic_dtype(ic, 0), rank, dims);
}

static int compress_ref(struct exec_ctx *ec, const void *params)
{
    const struct compress_params *p = params;
    const struct tensor *in = ec->in[0], *cond = ec->in[1];
    int64_t dims[TENSOR_MAX_RANK], n = 0, extent = tensor_count(in), m = tensor_count(cond);
    int axis = 0, rank = 1, rc = p->has_axis ? ec_axis(ec, p->axis, in->rank, &axis) : 0;
    if (rc)
        return rc;
    if (cond->dt != DT_BOOL)
        return ec_unsupported(ec, 1);
    if (p->has_axis) {
        rank = in->rank;
        memcpy(dims, in->dims, sizeof(*dims) * (size_t)rank);
        extent = dims[axis];
    }
    int64_t *idx = ec_scratch(ec, (size_t)m * sizeof(*idx) + 1);
    if (!idx)
        return ec->cx->err.code;
    for (int64_t i = 0; i < m && i < extent; i++)
        if (((const uint8_t *)cond->data)[i])
            idx[n++] = i;
    dims[axis] = n;
    rc = ec_resize(ec, 0, in->dt, rank, dims);
    if (rc || !ec_wants(ec, 0) || !tensor_count(ec->out[0]))
        return rc;
    int64_t inner = p->has_axis ? dims_span(in->dims, axis + 1, in->rank) : 1;
    gather_slices(ec->kern, in->data, ec->out[0]->data,
                  p->has_axis ? (size_t)dims_span(in->dims, 0, axis) : 1, (size_t)extent,
                  (size_t)inner * dtype_size(in->dt), idx, (size_t)n);
    return 0;
}

const struct op op_Compress = {.domain = "",
                               .name = "Compress",
                               .flags = OP_DYNAMIC,
                               .params_size = sizeof(struct compress_params),
                               .parse = compress_parse,
                               .infer = compress_infer,
                               .ref = compress_ref};

/* ---- ReverseSequence ---- */

struct reverse_params {
    int64_t batch_axis, time_axis;
};

static int reverse_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct reverse_params *p = params;
    (void)arena, (void)version;
    p->batch_axis = 1;
    int rc = attr_int(cx, n, "batch_axis", &p->batch_axis);
    if (rc >= 0)
        rc = attr_int(cx, n, "time_axis", &p->time_axis);
    return rc < 0 ? rc : 0;
}

static int reverse_infer(struct infer_ctx *ic, const void *params)
{
    const struct reverse_params *p = params;
    int rc = need_inputs(ic, 2), b, t, rank = ic_rank(ic, 0);
    if (!rc && rank >= 0) {
        rc = rank < 2 ? ic_need_rank(ic, 0, 2, TENSOR_MAX_RANK) : ic_axis(ic, p->batch_axis, rank, &b);
        if (!rc)
            rc = ic_axis(ic, p->time_axis, rank, &t);
        if (!rc && b == t)
            return ic_err(ic, E_VALUE, "batch_axis and time_axis are the same");
    }
    return rc ? rc : ic_out_same(ic, 0, 0);
}

static int reverse_ref(struct exec_ctx *ec, const void *params)
{
    const struct reverse_params *p = params;
    const struct tensor *in = ec->in[0];
    int b, t, rc = ec_axis(ec, p->batch_axis, in->rank, &b);
    if (!rc)
        rc = ec_axis(ec, p->time_axis, in->rank, &t);
    int64_t n, rows;
    const int64_t *lens = rc ? NULL : ec_ints(ec, 1, &n);
    if (!lens)
        return ec->cx->err.code;
    if (n != in->dims[b])
        return err_set(ec->cx, E_SHAPE, "%lld lengths are given for %lld sequences", (long long)n,
                       (long long)in->dims[b]);
    for (int64_t i = 0; i < n; i++)
        if (lens[i] < 0 || lens[i] > in->dims[t])
            return err_set(ec->cx, E_VALUE, "length %lld of sequence %lld is out of range [0, %lld]",
                           (long long)lens[i], (long long)i, (long long)in->dims[t]);
    /* Rows inside the later of the two axes are contiguous. */
    int last = b > t ? b : t;
    size_t bytes = (size_t)dims_span(in->dims, last + 1, in->rank) * dtype_size(in->dt);
    int64_t at[TENSOR_MAX_RANK] = {0}, tstride = dims_span(in->dims, t + 1, last + 1);
    rows = dims_span(in->dims, 0, last + 1);
    for (int64_t r = 0; r < rows && bytes; r++) {
        int64_t len = lens[at[b]], from = at[t] < len ? r + (len - 1 - 2 * at[t]) * tstride : r;
        memcpy((char *)ec->out[0]->data + (size_t)r * bytes, (const char *)in->data + (size_t)from * bytes,
               bytes);
        for (int a = last; a >= 0 && ++at[a] == in->dims[a]; a--)
            at[a] = 0;
    }
    return 0;
}

const struct op op_ReverseSequence = {.domain = "",
                                      .name = "ReverseSequence",
                                      .params_size = sizeof(struct reverse_params),
                                      .parse = reverse_parse,
                                      .infer = reverse_infer,
                                      .ref = reverse_ref};

/* ---- Trilu ---- */

struct trilu_params {
    bool upper;
};

static int trilu_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct trilu_params *p = params;
    int64_t upper = 1;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "upper", &upper);
    p->upper = upper != 0;
    return rc < 0 ? rc : 0;
}

static int trilu_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = need_inputs(ic, 1);
    if (!rc)
        rc = ic_need_rank(ic, 0, 2, TENSOR_MAX_RANK);
    return rc ? rc : ic_out_same(ic, 0, 0);
}

static int trilu_ref(struct exec_ctx *ec, const void *params)
{
    const struct trilu_params *p = params;
    const struct tensor *in = ec->in[0];
    int64_t k = 0;
    int rc = ec_has(ec, 1) ? ec_int(ec, 1, &k) : 0;
    if (rc || !tensor_count(in))
        return rc;
    int64_t rows = in->dims[in->rank - 2], cols = in->dims[in->rank - 1];
    k = k < -rows ? -rows : k > cols ? cols : k;
    trilu(dtype_size(in->dt), in->data, ec->out[0]->data, (size_t)dims_span(in->dims, 0, in->rank - 2),
          (size_t)rows, (size_t)cols, k, p->upper);
    return 0;
}

const struct op op_Trilu = {.domain = "",
                            .name = "Trilu",
                            .params_size = sizeof(struct trilu_params),
                            .parse = trilu_parse,
                            .infer = trilu_infer,
                            .ref = trilu_ref};

/* ---- TensorScatter: writes a run of steps into a cache, at a position of its own for each batch element
 * ---- */

struct cache_params {
    int64_t axis;
    int circular;
};

static int cache_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const modes[] = {"linear", "circular", NULL};
    struct cache_params *p = params;
    (void)arena, (void)version;
    p->axis = -2;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (rc >= 0)
        rc = attr_choice(cx, n, "mode", modes, &p->circular);
    return rc < 0 ? rc : 0;
}

static int cache_infer(struct infer_ctx *ic, const void *params)
{
    const struct cache_params *p = params;
    int rank = ic_rank(ic, 0), axis, rc = need_same_dtype(ic, 0, 1);
    if (!rc && rank >= 0)
        rc = ic_axis(ic, p->axis, rank, &axis);
    if (!rc && rank >= 0 && axis == 0)
        return ic_err(ic, E_VALUE, "axis 0 is the batch, nothing can be written along it");
    if (!rc && rank >= 0)
        rc = ic_need_rank(ic, 1, rank, rank);
    for (int a = 0; !rc && a < rank && ic_rank(ic, 1) == rank; a++)
        if (a != axis)
            rc = ic_unify(ic, ic_dim(ic, 1, a), ic_dim(ic, 0, a), "an axis that is not written along");
    if (!rc && rank > 0 && ic_rank(ic, 1) == rank) {
        struct dim room = ic_dim(ic, 0, axis), steps = ic_dim(ic, 1, axis);
        if (room.kind == DIM_CONST && steps.kind == DIM_CONST && steps.v > room.v)
            return ic_err(ic, E_SHAPE, "%lld steps do not fit a cache of %lld", (long long)steps.v,
                          (long long)room.v);
    }
    if (!rc && ic_has(ic, 2))
        rc = ic_need_rank(ic, 2, 1, 1);
    if (!rc && rank > 0 && ic_has(ic, 2) && ic_rank(ic, 2) == 1)
        rc = ic_unify(ic, ic_dim(ic, 2, 0), ic_dim(ic, 0, 0), "batch of past_cache and write_indices");
    return rc ? rc : ic_out_same(ic, 0, 0);
}

/* Step i of batch element b goes to start + i, modulo the extent in circular mode. */
static int cache_start(struct exec_ctx *ec, const struct cache_params *p, const int64_t *starts, int64_t b,
                       int64_t steps, int64_t extent, int64_t *out)
{
    *out = starts ? starts[b] : 0;
    if (*out < 0 || (!p->circular && *out > extent - steps))
        return err_set(ec->cx, E_VALUE, "position %lld of batch element %lld is out of range [0, %lld]",
                       (long long)*out, (long long)b, (long long)(extent - steps));
    if (p->circular && steps > extent)
        return err_set(ec->cx, E_SHAPE, "%lld steps do not fit a cache of %lld", (long long)steps,
                       (long long)extent);
    if (p->circular && extent)
        *out %= extent;
    return 0;
}

static int cache_ref(struct exec_ctx *ec, const void *params)
{
    const struct cache_params *p = params;
    const struct tensor *in = ec->in[0], *upd = ec->in[1];
    int axis, rc = ec_axis(ec, p->axis, in->rank, &axis);
    if (!rc && upd->rank != in->rank)
        rc = err_set(ec->cx, E_SHAPE, "update and cache differ in rank");
    for (int a = 0; !rc && a < in->rank; a++)
        if (a != axis && in->dims[a] != upd->dims[a])
            rc = err_set(ec->cx, E_SHAPE, "axis %d of the update is %lld, of the cache %lld", a,
                         (long long)upd->dims[a], (long long)in->dims[a]);
    int64_t n = 0, start = 0, extent = rc ? 0 : in->dims[axis], steps = rc ? 0 : upd->dims[axis];
    const int64_t *starts = !rc && ec_has(ec, 2) ? ec_ints(ec, 2, &n) : NULL;
    if (rc || (ec_has(ec, 2) && !starts))
        return rc ? rc : ec->cx->err.code;
    if (axis == 0 || (starts && n != in->dims[0]))
        return err_set(ec->cx, E_SHAPE, "%lld positions are given for %lld batch elements", (long long)n,
                       (long long)in->dims[0]);
    ec_memcpy(ec, ec->out[0]->data, in->data, tensor_bytes(in));
    size_t inner = (size_t)dims_span(in->dims, axis + 1, in->rank) * dtype_size(in->dt);
    int64_t rows = dims_span(in->dims, 1, axis);
    for (int64_t b = 0; !rc && inner && b < in->dims[0]; b++) {
        rc = cache_start(ec, p, starts, b, steps, extent, &start);
        for (int64_t k = 0; !rc && k < rows * steps; k++) {
            int64_t row = b * rows + k / steps, at = (start + k % steps) % extent;
            memcpy((char *)ec->out[0]->data + (size_t)(row * extent + at) * inner,
                   (const char *)upd->data + (size_t)(row * steps + k % steps) * inner, inner);
        }
    }
    return rc;
}

const struct op op_TensorScatter = {.domain = "",
                                    .name = "TensorScatter",
                                    .params_size = sizeof(struct cache_params),
                                    .parse = cache_parse,
                                    .infer = cache_infer,
                                    .ref = cache_ref};
