/* Helpers shared by the operator families. */
#include "ops/op_util.h"

#include <math.h>
#include <string.h>

/* ---- inference ---- */

int need_inputs(struct infer_ctx *ic, int n)
{
    for (int i = 0; i < n; i++)
        if (!ic_has(ic, i))
            return ic_err(ic, E_MODEL, "input %d is missing", i);
    return 0;
}

int need_same_dtype(struct infer_ctx *ic, int a, int b)
{
    enum dtype x = ic_dtype(ic, a), y = ic_dtype(ic, b);
    if (x != DT_UNDEFINED && y != DT_UNDEFINED && x != y)
        return ic_err(ic, E_TYPE, "inputs %d and %d are %s and %s, expected one type", a, b, dtype_name(x),
                      dtype_name(y));
    return 0;
}

int need_index_dtype(struct infer_ctx *ic, int i)
{
    enum dtype dt = ic_dtype(ic, i);
    if (dt != DT_UNDEFINED && dt != DT_INT32 && dt != DT_INT64)
        return ic_err(ic, E_TYPE, "input %d is %s, expected int64 or int32", i, dtype_name(dt));
    return 0;
}

int in_dims(struct infer_ctx *ic, int i, struct dim *dims)
{
    int rank = ic_rank(ic, i);
    if (rank > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "input %d has %d axes, at most %d are supported", i, rank,
                      TENSOR_MAX_RANK);
    for (int a = 0; a < rank; a++)
        dims[a] = ic_dim(ic, i, a);
    return rank;
}

struct dim dims_mul(struct infer_ctx *ic, const struct dim *dims, int from, int to)
{
    struct dim p = dim_const(1);
    for (int a = from; a < to; a++)
        p = dim_mul(ic->syms, p, dims[a]);
    return p;
}

int out_rank(struct infer_ctx *ic, int o, enum dtype dt, int rank)
{
    struct dim dims[TENSOR_MAX_RANK];
    if (rank > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "output %d would have %d axes, at most %d are supported", o, rank,
                      TENSOR_MAX_RANK);
    for (int a = 0; a < rank; a++)
        dims[a] = dim_unknown();
    return ic_out(ic, o, dt, rank, dims);
}

int axes_mask(struct infer_ctx *ic, const int64_t *axes, int n, int rank, bool *mask)
{
    memset(mask, 0, (size_t)(rank > 0 ? rank : 0) * sizeof(*mask));
    for (int i = 0; i < n; i++) {
        int axis, rc = ic_axis(ic, axes[i], rank, &axis);
        if (rc)
            return rc;
        if (mask[axis])
            return ic_err(ic, E_VALUE, "axis %lld is listed twice", (long long)axes[i]);
        mask[axis] = true;
    }
    return 0;
}

int axes_of(struct infer_ctx *ic, int i, const int64_t *attr, int nattr, int64_t *out, int cap)
{
    if (nattr >= 0) {
        if (nattr > cap)
            return ic_err(ic, E_VALUE, "%d axes listed, at most %d are possible", nattr, cap);
        if (nattr)
            memcpy(out, attr, (size_t)nattr * sizeof(*out));
        return nattr;
    }
    if (!ic_has(ic, i))
        return -1;
    int n = ic_ints(ic, i, out, cap);
    return n < 0 ? -2 : n;
}

const struct type *common_type(struct infer_ctx *ic, const struct type *a, const struct type *b)
{
    if (!a || !b || a->kind != b->kind)
        return NULL;
    if (a->kind != TY_TENSOR)
        return type_same(a, b) ? a : NULL;
    if (a->dt != b->dt)
        return NULL;
    struct type *t = arena_dup(ic->arena, a, sizeof(*t));
    if (!t)
        return NULL;
    t->origin = NULL;
    if (a->rank != b->rank || a->rank < 0) {
        t->rank = -1;
        t->dims = NULL;
        return t;
    }
    t->dims = arena_array(ic->arena, (size_t)a->rank + 1, sizeof(*t->dims));
    if (!t->dims)
        return NULL;
    for (int i = 0; i < a->rank; i++)
        if (dim_same(a->dims[i], b->dims[i]))
            t->dims[i] = a->dims[i];
    return t;
}

/* ---- running ---- */

const int64_t *ec_ints(struct exec_ctx *ec, int i, int64_t *n)
{
    const struct tensor *t = ec->in[i];
    *n = tensor_count(t);
    if (t->dt == DT_INT64 && t->data)
        return t->data;
    if (t->dt != DT_INT32 && t->dt != DT_INT64) {
        ec_unsupported(ec, i);
        return NULL;
    }
    int64_t *v = ec_scratch(ec, (size_t)(*n + 1) * sizeof(*v));
    if (v)
        for (int64_t k = 0; k < *n; k++)
            v[k] = ((const int32_t *)t->data)[k];
    return v;
}

int ec_int(struct exec_ctx *ec, int i, int64_t *out)
{
    const struct tensor *t = ec->in[i];
    if (tensor_count(t) < 1)
        return err_set(ec->cx, E_SHAPE, "input %d has no element, expected one", i);
    if (!dtype_info(t->dt)->load_i64)
        return ec_unsupported(ec, i);
    *out = tensor_i64(t, 0);
    return 0;
}

int ec_axis(struct exec_ctx *ec, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return err_set(ec->cx, E_VALUE, "axis %lld is out of range [%d, %d]", (long long)axis, -rank,
                       rank - 1);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return 0;
}

int64_t dims_span(const int64_t *dims, int from, int to)
{
    int64_t n = 1;
    for (int a = from; a < to; a++)
        n *= dims[a];
    return n;
}

void ec_par(struct exec_ctx *ec, int64_t n, int64_t grain, par_fn *fn, void *arg)
{
    if (n > 0)
        par_for(ec->pool, n, grain > 0 ? grain : 1, fn, arg);
}

struct copy_job {
    const struct kern *kern;
    const struct copy_plan *plan;
    size_t size;
    const void *in;
    void *out;
};

static void copy_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct copy_job *j = arg;
    (void)thread;
    copy_run(j->kern, j->plan, j->size, j->in, j->out, begin, end);
}

void ec_copy(struct exec_ctx *ec, const struct copy_plan *p, size_t size, const void *in, void *out)
{
    if (!p->total)
        return;
    struct copy_job j = {ec->kern, p, size, in, out};
    int64_t units = copy_units(p), per_unit = p->total / (units ? units : 1);
    ec_par(ec, units, PAR_GRAIN / (per_unit ? per_unit : 1) + 1, copy_range, &j);
}

struct bytes_job {
    char *dst;
    const char *src;
};

static void bytes_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct bytes_job *j = arg;
    (void)thread;
    memcpy(j->dst + begin, j->src + begin, (size_t)(end - begin));
}

void ec_memcpy(struct exec_ctx *ec, void *dst, const void *src, size_t bytes)
{
    struct bytes_job j = {dst, src};
    if (dst != src)
        ec_par(ec, (int64_t)bytes, 1 << 20, bytes_range, &j);
}

int own_ref(struct cx *cx, struct tensor *dst, const struct tensor *src)
{
    memset(dst, 0, sizeof(*dst));
    if (src->kind == RT_TENSOR && !src->owner)
        return tensor_copy(cx, dst, src);
    tensor_ref(dst, src);
    return 0;
}

int ec_share(struct exec_ctx *ec, int o, const struct tensor *t)
{
    struct tensor copy;
    int rc = own_ref(ec->cx, &copy, t);
    return rc ? rc : ec_set_out(ec, o, &copy);
}

int ref_view(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    (void)params;
    if (in->kind != RT_TENSOR)
        return ec_share(ec, 0, in);
    if (tensor_count(in) != tensor_count(out))
        return err_set(ec->cx, E_SHAPE, "%lld elements do not fit a shape of %lld",
                       (long long)tensor_count(in), (long long)tensor_count(out));
    ec_memcpy(ec, out->data, in->data, tensor_bytes(in));
    return 0;
}

const void *ec_as(struct exec_ctx *ec, int i, enum dtype dt)
{
    const struct tensor *t = ec->in[i];
    if (t->dt == dt)
        return t->data;
    if (!cast_supported(t->dt, dt)) {
        ec_unsupported(ec, i);
        return NULL;
    }
    size_t n = (size_t)tensor_count(t);
    void *buf = ec_scratch(ec, n * dtype_size(dt) + 1);
    if (buf)
        cast_run(ec->kern, t->dt, dt, t->data, buf, n, NULL);
    return buf;
}

void dtype_extremes(enum dtype dt, void *lo, void *hi)
{
    const struct dtype_info *d = dtype_info(dt);
    unsigned bits = d->bits;
    if (d->cls == CLS_FLOAT) {
        d->store_f64(lo, -INFINITY);
        d->store_f64(hi, INFINITY);
    } else if (d->cls == CLS_INT) {
        d->store_i64(lo, bits >= 64 ? INT64_MIN : -((int64_t)1 << (bits - 1)));
        d->store_i64(hi, bits >= 64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1);
    } else {
        d->store_i64(lo, 0);
        d->store_i64(hi, d->cls == CLS_BOOL ? 1 : bits >= 64 ? -1 : ((int64_t)1 << bits) - 1);
    }
}
