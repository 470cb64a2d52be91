/* Masks and caches of the Attention operators of com.microsoft; see contrib_attn.h. */
#include "ops/contrib_attn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int64_t flag(const struct tensor *t, int64_t i)
{
    return ((const int32_t *)t->data)[i];
}

/* Whether query i of batch b may look at key j. */
static bool visible(const struct attn *a, const struct ms_mask *m, int64_t b, int64_t i, int64_t j)
{
    const struct tensor *t = m->mask;
    if (t->rank == 1)
        return j < flag(t, b) && (t->dims[0] != 2 * a->batch || j >= flag(t, a->batch + b));
    if (t->rank == 2)
        return flag(t, b * a->total + j) > 0;
    if (t->rank == 3)
        return flag(t, (b * a->q + i) * a->total + j) > 0;
    return flag(t, (b * t->dims[2] + m->past + i) * t->dims[3] + j) > 0;
}

static bool mask_row(const struct attn *a, int64_t b, int64_t h, int64_t i, double *row)
{
    const struct ms_mask *m = a->user;
    const struct tensor *t = m->add;
    memset(row, 0, (size_t)a->total * sizeof(*row));
    for (int64_t j = 0; m->mask && j < a->total; j++)
        row[j] = visible(a, m, b, i, j) ? 0 : m->filter;
    for (int64_t j = m->past + i + 1; m->causal && j < a->total; j++)
        row[j] = (double)-INFINITY;
    if (!t)
        return true;
    const struct dtype_info *info = dtype_info(t->dt);
    int64_t at = (t->dims[0] == 1 ? 0 : b) * t->dims[1] + (t->dims[1] == 1 ? 0 : h);
    const char *p = (const char *)t->data + (size_t)((at * t->dims[2] + i) * t->dims[3]) * info->size;
    for (int64_t j = 0; j < a->total; j++)
        row[j] += info->load_f64(p + (size_t)j * info->size);
    return true;
}

static bool mask_fits(const struct attn *a, const struct ms_mask *m)
{
    const struct tensor *t = m->mask;
    const int64_t *d = t->dims;
    if (t->dt != DT_INT32)
        return false;
    if (t->rank == 1)
        return d[0] == a->batch || d[0] == 2 * a->batch || d[0] == 3 * a->batch + 2;
    if (t->rank == 2)
        return d[0] == a->batch && d[1] == a->total;
    if (t->rank == 3)
        return d[0] == a->batch && d[1] == a->q && d[2] == a->total;
    return t->rank == 4 && d[0] == a->batch && d[1] == 1 && d[2] >= m->past + a->q && d[3] >= a->total;
}

int ms_mask_set(struct attn *a, struct ms_mask *m, int mask, int add)
{
    struct exec_ctx *ec = a->ec;
    m->mask = ec_has(ec, mask) ? ec->in[mask] : NULL;
    m->add = ec_has(ec, add) ? ec->in[add] : NULL;
    if (m->mask && !mask_fits(a, m))
        return err_set(ec->cx, E_SHAPE, "input %d, the mask, does not fit %lld queries and %lld keys", mask,
                       (long long)a->q, (long long)a->total);
    if (m->add) {
        const struct tensor *t = m->add;
        bool ok = t->rank == 4 && (t->dims[0] == 1 || t->dims[0] == a->batch) &&
                  (t->dims[1] == 1 || t->dims[1] == a->hq) && t->dims[2] == a->q && t->dims[3] >= a->total &&
                  dtype_info(t->dt)->cls == CLS_FLOAT;
        if (!ok)
            return err_set(ec->cx, E_SHAPE, "input %d, which is added to the scores, does not fit them", add);
    }
    if (m->mask || m->add || (m->causal && a->q > 1)) {
        a->bias = mask_row;
        a->user = m;
    }
    return 0;
}

/* One head: the cache's rows, then the new ones, then what is left of a shared buffer. */
static void join_head(const struct ms_cache *c, const float *past, const struct attn_view *now, int64_t bh,
                      float *to)
{
    size_t row = (size_t)c->size * sizeof(float);
    float *p = to + bh * c->rows * c->size;
    const float *old = past ? past + bh * c->past_rows * c->size : NULL;
    int64_t keep = c->past_rows < c->rows ? c->past_rows : c->rows, end = c->past + c->kv;
    if (!old)
        keep = 0;
    if (keep && old != p)
        memcpy(p, old, (size_t)keep * row);
    const float *src = (const float *)now->p + bh / c->heads * now->b + bh % c->heads * now->h;
    for (int64_t s = 0; s < c->kv; s++)
        memcpy(p + (c->past + s) * c->size, src + s * now->s, row);
    int64_t from = end > keep ? end : keep;
    memset(p + from * c->size, 0, (size_t)(c->rows - from) * row);
}

int ms_cache_join(struct exec_ctx *ec, const struct ms_cache *c, const float *past,
                  const struct attn_view *now, float *to, struct attn_view *out)
{
    *out = *now;
    if (!past && !to)
        return 0;
    int64_t heads = c->batch * c->heads;
    if (!to)
        to = ec_scratch(ec, ((size_t)(heads * c->rows * c->size) + 1) * sizeof(float));
    if (!to)
        return ec->cx->err.code;
    for (int64_t i = 0; i < heads; i++)
        join_head(c, past, now, i, to);
    *out = attn_view_of(to, false, c->heads, c->rows, c->size);
    return 0;
}

const float *ms_add_bias(struct exec_ctx *ec, const float *x, int64_t count, const float *bias, int64_t n)
{
    if (!bias)
        return x;
    float *y = ec_scratch(ec, ((size_t)count + 1) * sizeof(float));
    for (int64_t i = 0; y && n && i < count / n; i++)
        bin_run(ec->kern, BIN_ADD, DT_FLOAT, BIN_VV, x + i * n, bias, y + i * n, (size_t)n);
    return y;
}

bool ms_float_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    enum dtype dt = bc_dtype(bc, 0);
    (void)params;
    if (dt == DT_UNDEFINED || wide_fits_f32(dt))
        return true;
    snprintf(why, size, "element type %s", dtype_name(dt));
    return false;
}
