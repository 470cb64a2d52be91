/* Values out of nothing or of a few numbers: Constant, ConstantOfShape, Range, EyeLike, NonZero. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "io/tensor_pb.h"
#include "ops/contrib.h"

/* ---- Constant ---- */

struct constant_params {
    struct model *model;
    struct tensor_data *data;   /* value, NULL: another form */
    struct sparse_data *sparse; /* sparse_value */
    struct tensor t;            /* value_int, value_floats, ...: borrowed from the attribute */
};

static int constant_list(struct constant_params *p, enum dtype dt, int rank, const void *data, size_t n)
{
    p->t = (struct tensor){.dt = dt, .rank = rank, .data = (void *)data};
    p->t.dims[0] = (int64_t)n;
    return 0;
}

static int constant_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct constant_params *p = params;
    (void)arena, (void)version;
    p->model = n->graph->model;
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        if (a->ref)
            return err_set(cx, E_ATTR, "attribute '%s' takes its value from the function's caller", a->name);
        if (!strcmp(a->name, "value") && a->kind == AT_TENSOR) {
            p->data = a->u.t;
            return 0;
        }
        if (!strcmp(a->name, "sparse_value") && a->kind == AT_SPARSE) {
            p->sparse = a->u.sparse;
            return 0;
        }
        if (!strcmp(a->name, "value_float") && a->kind == AT_FLOAT)
            return constant_list(p, DT_FLOAT, 0, &a->u.f, 1);
        if (!strcmp(a->name, "value_int") && a->kind == AT_INT)
            return constant_list(p, DT_INT64, 0, &a->u.i, 1);
        if (!strcmp(a->name, "value_string") && a->kind == AT_STRING)
            return constant_list(p, DT_STRING, 0, &a->u.s, 1);
        if (!strcmp(a->name, "value_floats") && a->kind == AT_FLOATS)
            return constant_list(p, DT_FLOAT, 1, a->u.floats, a->n);
        if (!strcmp(a->name, "value_ints") && a->kind == AT_INTS)
            return constant_list(p, DT_INT64, 1, a->u.ints, a->n);
        if (!strcmp(a->name, "value_strings") && a->kind == AT_STRINGS)
            return constant_list(p, DT_STRING, 1, a->u.strings, a->n);
    }
    return err_set(cx, E_ATTR, "no attribute gives the value");
}

static int constant_load(struct cx *cx, const struct constant_params *p, struct tensor *out)
{
    if (p->data)
        return tensor_load(cx, p->model, p->data, out);
    if (p->sparse)
        return sparse_load(cx, p->model, p->sparse, out);
    return tensor_copy(cx, out, &p->t);
}

/* Small integer values are worth reading: they steer shapes. */
static int constant_val(struct infer_ctx *ic, const struct constant_params *p, enum dtype dt, int rank,
                        int64_t n)
{
    struct tensor t = {0};
    if ((dt != DT_INT64 && dt != DT_INT32 && dt != DT_BOOL) || rank > 1 || n > SHAPE_VAL_MAX)
        return 0;
    int rc = constant_load(ic->cx, p, &t);
    struct dim *d = rc ? NULL : arena_array(ic->arena, (size_t)n + 1, sizeof(*d));
    if (!rc && !d)
        rc = err_nomem(ic->cx);
    for (int64_t i = 0; !rc && i < n; i++)
        d[i] = dim_const(tensor_i64(&t, i));
    if (!rc)
        rc = ic_out_val(ic, 0, rank, n, d);
    tensor_drop(&t);
    return rc;
}

static int constant_infer(struct infer_ctx *ic, const void *params)
{
    const struct constant_params *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    enum dtype dt = p->data ? p->data->dt : p->sparse ? p->sparse->values.dt : p->t.dt;
    int rank = p->data ? p->data->rank : p->sparse ? p->sparse->rank : p->t.rank;
    const int64_t *from = p->data ? p->data->dims : p->sparse ? p->sparse->dims : p->t.dims;
    int64_t n;
    if (rank > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the value has %d axes, at most %d are supported", rank, TENSOR_MAX_RANK);
    for (int a = 0; a < rank; a++)
        dims[a] = dim_const(from[a]);
    if (!dims_count(from, rank, &n))
        return ic_err(ic, E_SHAPE, "the value's dims are negative or overflow");
    int rc = ic_out(ic, 0, dt, rank, dims);
    return rc ? rc : constant_val(ic, p, dt, rank, n);
}

/* Copied into the planned output: views of it may share that memory. */
static int constant_ref(struct exec_ctx *ec, const void *params)
{
    struct tensor t = {0}, *out = ec->out[0];
    int rc = constant_load(ec->cx, params, &t);
    if (!rc && (t.dt != out->dt || tensor_count(&t) != tensor_count(out)))
        rc = err_set(ec->cx, E_SHAPE, "the value does not fit its declared shape");
    if (!rc)
        ec_memcpy(ec, out->data, t.data, tensor_bytes(&t));
    struct ostr *text = !rc && t.dt == DT_STRING ? out->data : NULL;
    for (int64_t i = 0; text && !rc && i < tensor_count(out); i++) {
        text[i].p = arena_dup(ec_strings(ec), text[i].n ? text[i].p : "", text[i].n);
        rc = text[i].p ? 0 : err_nomem(ec->cx);
    }
    tensor_drop(&t);
    return rc;
}

const struct op op_Constant = {.domain = "",
                               .name = "Constant",
                               .params_size = sizeof(struct constant_params),
                               .parse = constant_parse,
                               .infer = constant_infer,
                               .ref = constant_ref};

/* ---- ConstantOfShape ---- */

struct fill_params {
    enum dtype dt;
    uint64_t value[2]; /* one element in memory layout */
};

static int fill_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct fill_params *p = params;
    struct tensor_data *d = NULL;
    struct tensor t = {0};
    (void)version;
    p->dt = DT_FLOAT;
    int rc = attr_tensor(cx, n, "value", &d);
    if (rc <= 0)
        return rc;
    if (tensor_data_count(d) != 1)
        return err_set(cx, E_ATTR, "attribute 'value' has %lld elements, expected 1",
                       (long long)tensor_data_count(d));
    rc = tensor_load(cx, n->graph->model, d, &t);
    if (!rc) {
        p->dt = t.dt;
        memcpy(p->value, t.data, dtype_size(t.dt));
        if (t.dt == DT_STRING) {
            struct ostr s = *(const struct ostr *)t.data;
            s.p = arena_dup(arena, s.p ? s.p : "", s.n);
            memcpy(p->value, &s, sizeof(s));
            rc = s.p ? 0 : err_nomem(cx);
        }
    }
    tensor_drop(&t);
    return rc;
}

static int fill_infer(struct infer_ctx *ic, const void *params)
{
    const struct fill_params *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    int rc = need_inputs(ic, 1);
    if (!rc)
        rc = need_index_dtype(ic, 0);
    if (rc)
        return rc;
    const struct shape_val *v = ic_val(ic, 0);
    struct dim len = ic_rank(ic, 0) == 1 ? ic_dim(ic, 0, 0) : dim_unknown();
    if (!v)
        return out_rank(ic, 0, p->dt, len.kind == DIM_CONST ? (int)(len.v > 99 ? 99 : len.v) : -1);
    if (v->n > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the shape has %lld axes, at most %d are supported", (long long)v->n,
                      TENSOR_MAX_RANK);
    int64_t count = 1;
    for (int64_t i = 0; i < v->n; i++) {
        dims[i] = v->d[i];
        if (dims[i].kind == DIM_CONST && dims[i].v < 0)
            return ic_err(ic, E_VALUE, "dim %lld of the shape is %lld", (long long)i, (long long)dims[i].v);
        if (dims[i].kind == DIM_CONST && !mul_i64(count, dims[i].v ? dims[i].v : 1, &count))
            return ic_err(ic, E_LIMIT, "the output would have more than 2^63 elements");
    }
    rc = ic_out(ic, 0, p->dt, (int)v->n, dims);
    bool small = v->n == 0 || (v->n == 1 && dims[0].kind == DIM_CONST && dims[0].v <= SHAPE_VAL_MAX);
    if (rc || !small || (p->dt != DT_INT64 && p->dt != DT_INT32))
        return rc;
    count = v->n ? dims[0].v : 1;
    struct dim *d = arena_array(ic->arena, (size_t)count + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < count; i++)
        d[i] = dim_const(dtype_info(p->dt)->load_i64(p->value));
    return ic_out_val(ic, 0, (int)v->n, count, d);
}

struct fill_job {
    move_fill_fn *fn;
    size_t size;
    const void *value;
    char *out;
};

static void fill_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct fill_job *j = arg;
    (void)thread;
    j->fn(j->out + (size_t)begin * j->size, j->value, (size_t)(end - begin));
}

static int fill_ref(struct exec_ctx *ec, const void *params)
{
    const struct fill_params *p = params;
    size_t size = dtype_size(p->dt);
    struct fill_job j = {ec->kern->move.fill[width_index(size)], size, p->value, ec->out[0]->data};
    ec_par(ec, tensor_count(ec->out[0]), PAR_GRAIN, fill_range, &j);
    return 0;
}

const struct op op_ConstantOfShape = {.domain = "",
                                      .name = "ConstantOfShape",
                                      .params_size = sizeof(struct fill_params),
                                      .parse = fill_parse,
                                      .infer = fill_infer,
                                      .ref = fill_ref};

/* ---- Range ---- */

/* max(0, ceil((limit - start) / delta)) of constants of one real type; negative: E_VALUE or E_LIMIT. */
static int64_t range_count(struct infer_ctx *ic, const struct tensor *s, const struct tensor *l,
                           const struct tensor *d)
{
    if (dtype_is_float(s->dt)) {
        double delta = tensor_f64(d, 0), n = ceil((tensor_f64(l, 0) - tensor_f64(s, 0)) / delta);
        if (delta == 0 || isnan(n))
            return ic_err(ic, E_VALUE, "the step is 0 or a bound is NaN");
        if (n > 1e15)
            return ic_err(ic, E_LIMIT, "the range would have %.3g elements", n);
        return n > 0 ? (int64_t)n : 0;
    }
    int64_t start = tensor_i64(s, 0), limit = tensor_i64(l, 0), delta = tensor_i64(d, 0);
    if (!delta)
        return ic_err(ic, E_VALUE, "the step is 0");
    if (delta > 0 ? start >= limit : start <= limit)
        return 0;
    uint64_t span = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    uint64_t n = span / step + (span % step != 0);
    return n > (uint64_t)1 << 50 ? ic_err(ic, E_LIMIT, "the range would have more than 2^50 elements")
                                 : (int64_t)n;
}

/* The step of com.microsoft's Range, which may be left out, as a tensor of type dt in room. */
static const struct tensor *step_of_one(enum dtype dt, struct tensor *t, double *room)
{
    const struct dtype_info *d = dtype_info(dt);
    if (!d->store_f64)
        return NULL;
    d->store_f64(room, 1);
    *t = (struct tensor){.dt = dt, .data = room};
    return t;
}

static struct dim range_symbolic(struct infer_ctx *ic)
{
    static struct dim unit = {.kind = DIM_CONST, .v = 1};
    static const struct shape_val one = {.n = 1, .d = &unit};
    const struct shape_val *s = ic_val(ic, 0), *l = ic_val(ic, 1), *d = ic_has(ic, 2) ? ic_val(ic, 2) : &one;
    if (!s || !l || !d || s->n != 1 || l->n != 1 || d->n != 1 || d->d[0].kind != DIM_CONST || !d->d[0].v)
        return dim_unknown();
    if (s->d[0].kind == DIM_UNKNOWN || l->d[0].kind == DIM_UNKNOWN || d->d[0].v == INT64_MIN)
        return dim_unknown();
    struct dim span =
        d->d[0].v > 0 ? dim_sub(ic->syms, l->d[0], s->d[0]) : dim_sub(ic->syms, s->d[0], l->d[0]);
    struct dim step = dim_const(d->d[0].v > 0 ? d->d[0].v : -d->d[0].v);
    return dim_max(ic->syms, dim_const(0), dim_div_ceil(ic->syms, span, step));
}

static int range_val(struct infer_ctx *ic, int64_t n)
{
    int64_t start, delta;
    enum dtype dt = ic_dtype(ic, 0);
    delta = 1;
    if (n > SHAPE_VAL_MAX || (dt != DT_INT64 && dt != DT_INT32) || ic_ints(ic, 0, &start, 1) != 1 ||
        (ic_has(ic, 2) && ic_ints(ic, 2, &delta, 1) != 1))
        return 0;
    struct dim *d = arena_array(ic->arena, (size_t)n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < n; i++)
        d[i] = dim_const((int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)delta));
    return ic_out_val(ic, 0, 1, n, d);
}

static int range_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dim = dim_unknown();
    struct tensor unit;
    double room;
    (void)params;
    int rc = need_inputs(ic, 2);
    for (int i = 1; !rc && i < 3; i++)
        rc = ic_has(ic, i) ? need_same_dtype(ic, 0, i) : 0;
    if (rc)
        return rc;
    const struct tensor *c[3] = {ic_const(ic, 0), ic_const(ic, 1), ic_const(ic, 2)};
    if (!ic_has(ic, 2) && c[0])
        c[2] = step_of_one(c[0]->dt, &unit, &room);
    bool all = true;
    for (int i = 0; i < 3; i++) {
        if (c[i] && (tensor_count(c[i]) != 1 || !dtype_info(c[i]->dt)->load_i64))
            return ic_err(ic, E_SHAPE, "input %d is no scalar number", i);
        all &= c[i] != NULL;
    }
    if (all) {
        int64_t n = range_count(ic, c[0], c[1], c[2]);
        if (n < 0)
            return (int)n;
        dim = dim_const(n);
    } else if (dtype_is_int(ic_dtype(ic, 0))) {
        dim = range_symbolic(ic);
    }
    rc = ic_out(ic, 0, ic_dtype(ic, 0), 1, &dim);
    return rc || dim.kind != DIM_CONST ? rc : range_val(ic, dim.v);
}

static int range_ref(struct exec_ctx *ec, const void *params)
{
    struct tensor *out = ec->out[0];
    const struct dtype_info *d = dtype_info(out->dt);
    int64_t n = tensor_count(out);
    char *p = out->data;
    (void)params;
    if (dtype_is_float(out->dt)) {
        double start = tensor_f64(ec->in[0], 0), delta = ec_has(ec, 2) ? tensor_f64(ec->in[2], 0) : 1;
        for (int64_t i = 0; i < n; i++)
            d->store_f64(p + (size_t)i * d->size, start + (double)i * delta);
        return 0;
    }
    if (!d->load_i64)
        return ec_unsupported(ec, 0);
    uint64_t start = (uint64_t)tensor_i64(ec->in[0], 0),
             delta = ec_has(ec, 2) ? (uint64_t)tensor_i64(ec->in[2], 0) : 1;
    for (int64_t i = 0; i < n; i++)
        d->store_i64(p + (size_t)i * d->size, (int64_t)(start + (uint64_t)i * delta));
    return 0;
}

const struct op op_Range = {.domain = "", .name = "Range", .infer = range_infer, .ref = range_ref};

static int ms_range_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 2, 3, 3);
}

const struct op op_com_microsoft_Range = {.domain = "com.microsoft",
                                          .name = "Range",
                                          .parse = ms_range_parse,
                                          .infer = range_infer,
                                          .ref = range_ref};

/* ---- EyeLike ---- */

struct eye_params {
    int64_t dtype, k;
    bool has_dtype;
};

static int eye_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct eye_params *p = params;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "dtype", &p->dtype);
    p->has_dtype = rc > 0;
    if (rc >= 0)
        rc = attr_int(cx, n, "k", &p->k);
    if (rc >= 0 && p->has_dtype && !dtype_info((int)p->dtype)->store_f64)
        return err_set(cx, E_ATTR, "attribute 'dtype' is %lld, no numeric type", (long long)p->dtype);
    return rc < 0 ? rc : 0;
}

static int eye_infer(struct infer_ctx *ic, const void *params)
{
    const struct eye_params *p = params;
    int rc = need_inputs(ic, 1);
    if (!rc)
        rc = ic_need_rank(ic, 0, 2, 2);
    if (rc)
        return rc;
    return ic_out_like(ic, 0, 0, p->has_dtype ? (enum dtype)p->dtype : ic_dtype(ic, 0));
}

static int eye_ref(struct exec_ctx *ec, const void *params)
{
    const struct eye_params *p = params;
    struct tensor *out = ec->out[0];
    const struct dtype_info *d = dtype_info(out->dt);
    if (!d->store_f64 || out->rank != 2)
        return ec_unsupported(ec, 0);
    memset(out->data, 0, tensor_bytes(out));
    for (int64_t r = 0; r < out->dims[0]; r++) {
        int64_t c;
        if (add_i64(r, p->k, &c) && c >= 0 && c < out->dims[1])
            d->store_f64((char *)out->data + (size_t)(r * out->dims[1] + c) * d->size, 1);
    }
    return 0;
}

const struct op op_EyeLike = {.domain = "",
                              .name = "EyeLike",
                              .flags = OP_SHAPE_ONLY,
                              .params_size = sizeof(struct eye_params),
                              .parse = eye_parse,
                              .infer = eye_infer,
                              .ref = eye_ref};

/* ---- NonZero ---- */

static int nonzero_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = need_inputs(ic, 1), rank = rc ? rc : ic_rank(ic, 0);
    struct dim dims[2] = {rank < 0 ? dim_unknown() : dim_const(rank ? rank : 1), dim_fresh(ic->syms)};
    return rc ? rc : ic_out(ic, 0, DT_INT64, 2, dims);
}

static bool is_zero(const char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i])
            return false;
    return true;
}

/* Nonzero as a number: -0.0 is zero, NaN is not; an empty string is zero. */
static bool element_set(const struct dtype_info *d, const char *p)
{
    if (d->cls == CLS_FLOAT)
        return d->load_f64(p) != 0;
    if (d->cls == CLS_STRING)
        return ((const struct ostr *)(const void *)p)->n != 0;
    if (d->cls == CLS_COMPLEX)
        return !is_zero(p, d->size);
    return d->load_i64(p) != 0;
}

static int nonzero_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    const struct dtype_info *d = dtype_info(in->dt);
    const char *p = in->data;
    int64_t n = tensor_count(in), hits = 0, at[TENSOR_MAX_RANK] = {0}, k = 0;
    int rank = in->rank ? in->rank : 1;
    (void)params;
    for (int64_t i = 0; i < n; i++)
        hits += element_set(d, p + (size_t)i * d->size);
    int rc = ec_resize(ec, 0, DT_INT64, 2, (const int64_t[]){rank, hits});
    if (rc || !ec_wants(ec, 0))
        return rc;
    int64_t *out = ec->out[0]->data;
    for (int64_t i = 0; i < n; i++) {
        if (element_set(d, p + (size_t)i * d->size)) {
            for (int a = 0; a < rank; a++)
                out[a * hits + k] = at[a];
            k++;
        }
        for (int a = in->rank - 1; a >= 0 && ++at[a] == in->dims[a]; a--)
            at[a] = 0;
    }
    return 0;
}

const struct op op_NonZero = {
    .domain = "", .name = "NonZero", .flags = OP_DYNAMIC, .infer = nonzero_infer, .ref = nonzero_ref};
