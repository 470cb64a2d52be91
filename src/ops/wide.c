/* Conversions between what tensors hold and what operators compute in. */
#include "ops/wide.h"

#include <string.h>

static bool numeric(enum dtype dt)
{
    enum dtype_class c = dtype_info(dt)->cls;
    return c == CLS_FLOAT || c == CLS_INT || c == CLS_UINT || c == CLS_BOOL;
}

bool wide_fits_f32(enum dtype dt)
{
    return dt == DT_FLOAT || dt == DT_FLOAT16 || dt == DT_BFLOAT16;
}

static void to_f64(enum dtype dt, const void *src, double *dst, size_t n)
{
    const struct dtype_info *info = dtype_info(dt);
    const char *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = info->load_f64(p + i * info->size);
}

static void from_f64(enum dtype dt, const double *src, void *dst, size_t n)
{
    const struct dtype_info *info = dtype_info(dt);
    char *p = dst;
    for (size_t i = 0; i < n; i++)
        info->store_f64(p + i * info->size, src[i]);
}

int wide_f32(struct exec_ctx *ec, int i, const float **out)
{
    *out = NULL;
    if (!ec_has(ec, i))
        return 0;
    const struct tensor *t = ec->in[i];
    if (t->kind != RT_TENSOR || !numeric(t->dt))
        return ec_unsupported(ec, i);
    if (t->dt == DT_FLOAT && t->data) {
        *out = t->data;
        return 0;
    }
    size_t n = (size_t)tensor_count(t);
    float *p = ec_scratch(ec, (n + 1) * sizeof(float));
    if (!p)
        return ec->cx->err.code;
    dtype_to_f32(t->dt, t->data, p, n);
    *out = p;
    return 0;
}

int wide_f64(struct exec_ctx *ec, int i, const double **out)
{
    *out = NULL;
    if (!ec_has(ec, i))
        return 0;
    const struct tensor *t = ec->in[i];
    if (t->kind != RT_TENSOR || !numeric(t->dt))
        return ec_unsupported(ec, i);
    if (t->dt == DT_DOUBLE && t->data) {
        *out = t->data;
        return 0;
    }
    size_t n = (size_t)tensor_count(t);
    double *p = ec_scratch(ec, (n + 1) * sizeof(double));
    if (!p)
        return ec->cx->err.code;
    to_f64(t->dt, t->data, p, n);
    *out = p;
    return 0;
}

int wide_out_f32(struct exec_ctx *ec, int o, float **out)
{
    *out = NULL;
    if (!ec_has_out(ec, o))
        return 0;
    const struct tensor *t = ec->out[o];
    if (t->dt == DT_FLOAT && t->data) {
        *out = t->data;
        return 0;
    }
    *out = ec_scratch(ec, ((size_t)tensor_count(t) + 1) * sizeof(float));
    return *out ? 0 : ec->cx->err.code;
}

int wide_out_f64(struct exec_ctx *ec, int o, double **out)
{
    *out = NULL;
    if (!ec_has_out(ec, o))
        return 0;
    const struct tensor *t = ec->out[o];
    if (t->dt == DT_DOUBLE && t->data) {
        *out = t->data;
        return 0;
    }
    *out = ec_scratch(ec, ((size_t)tensor_count(t) + 1) * sizeof(double));
    return *out ? 0 : ec->cx->err.code;
}

void wide_done_f32(struct exec_ctx *ec, int o, const float *p)
{
    if (!p || !ec_has_out(ec, o) || (const void *)p == ec->out[o]->data)
        return;
    dtype_from_f32(ec->out[o]->dt, p, ec->out[o]->data, (size_t)tensor_count(ec->out[o]));
}

void wide_done_f64(struct exec_ctx *ec, int o, const double *p)
{
    if (!p || !ec_has_out(ec, o) || (const void *)p == ec->out[o]->data)
        return;
    from_f64(ec->out[o]->dt, p, ec->out[o]->data, (size_t)tensor_count(ec->out[o]));
}

int wide_const_f32(struct bind_ctx *bc, int i, const float **out)
{
    *out = NULL;
    if (!bc_is_const(bc, i))
        return 0;
    const struct tensor *t = bc_const(bc, i);
    if (!t)
        return bc->cx->err.code;
    if (t->dt == DT_FLOAT && t->data) {
        *out = t->data;
        return 0;
    }
    if (t->kind != RT_TENSOR || !numeric(t->dt))
        return 0;
    size_t n = (size_t)tensor_count(t);
    float *p = bc_alloc(bc, (n + 1) * sizeof(float));
    if (!p)
        return bc->cx->err.code;
    dtype_to_f32(t->dt, t->data, p, n);
    *out = p;
    return 0;
}

int64_t dims_prod(const int64_t *dims, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= dims[i];
    return n;
}

struct dim dims_prod_expr(struct infer_ctx *ic, const struct dim *dims, int from, int to)
{
    struct dim n = dim_const(1);
    for (int i = from; i < to; i++)
        n = dim_mul(ic->syms, n, dims[i]);
    return n;
}

int64_t grain_for(int64_t each)
{
    int64_t g = 16384 / (each > 0 ? each : 1);
    return g > 0 ? g : 1;
}
