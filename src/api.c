/* The public interface: context, tensors, lists, text. */
#include "api.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/cpu.h"
#include "base/str.h"
#include "compare/metrics.h"
#include "io/tmpfile.h"
#include "ops/op.h"
#include "ops/schema.h"

/* OT_VERSION comes from the Makefile, the only place that knows the number. */
const char *ot_version(void)
{
    return OT_VERSION;
}

ot_ctx *ot_ctx_new(void)
{
    ot_ctx *c = mem_zalloc(sizeof *c);
    if (c)
        cx_init(&c->cx);
    return c;
}

void ot_ctx_free(ot_ctx *c)
{
    if (!c)
        return;
    cx_fini(&c->cx);
    free(c);
}

int api_end(ot_ctx *c, int rc)
{
    if (rc)
        err_format(&c->cx.err, c->error, sizeof c->error);
    arena_rewind(&c->cx.scratch);
    err_clear(&c->cx);
    return rc;
}

const char *ot_error(const ot_ctx *c)
{
    return c->error;
}

int ot_exit_code(int status)
{
    return err_exit_code(status);
}

int ot_fail(ot_ctx *c, int exit_code, const char *fmt, ...)
{
    static const int code[] = {E_INTERNAL, E_DIFF, E_USAGE, E_DATA, E_UNSUPPORTED, E_IO};
    va_list ap;
    va_start(ap, fmt);
    err_clear(&c->cx);
    err_vset(&c->cx, exit_code > 0 && exit_code < 6 ? code[exit_code] : E_INTERNAL, fmt, ap);
    va_end(ap);
    err_format(&c->cx.err, c->error, sizeof c->error);
    return c->cx.err.code;
}

static void log_line(void *user, enum log_level level, const char *line)
{
    ot_ctx *c = user;
    if (c->log)
        c->log(c->log_user, (enum ot_log_level)level, line);
}

void ot_set_log(ot_ctx *c, ot_log_fn *fn, void *user, enum ot_log_level most)
{
    c->log = fn;
    c->log_user = user;
    c->cx.log = (struct log){log_line, c, (enum log_level)most};
}

void ot_set_max_memory(ot_ctx *c, uint64_t bytes)
{
    c->cx.lim.max_memory = bytes;
}

void ot_set_timeout(ot_ctx *c, double seconds)
{
    c->cx.lim.deadline = seconds > 0 ? time_now() + seconds : 0;
}

void ot_cleanup(void)
{
    tmpfile_cleanup();
}

/* ---- tensors ---- */

enum ot_kind ot_tensor_kind(const ot_tensor *t)
{
    return (enum ot_kind)unwrap(t)->kind;
}

int ot_tensor_dtype(const ot_tensor *t)
{
    return unwrap(t)->dt;
}

const char *ot_tensor_dtype_name(const ot_tensor *t)
{
    return dtype_name(unwrap(t)->dt);
}

const char *ot_dtype_name(int dtype)
{
    return dtype_name(dtype);
}

int ot_dtype_parse(const char *name)
{
    return dtype_parse(name);
}

int ot_tensor_rank(const ot_tensor *t)
{
    return unwrap(t)->rank;
}

const int64_t *ot_tensor_dims(const ot_tensor *t)
{
    return unwrap(t)->dims;
}

int64_t ot_tensor_count(const ot_tensor *t)
{
    return unwrap(t)->kind == RT_TENSOR ? tensor_count(unwrap(t)) : 0;
}

size_t ot_tensor_bytes(const ot_tensor *t)
{
    return unwrap(t)->kind == RT_TENSOR ? tensor_bytes(unwrap(t)) : 0;
}

const void *ot_tensor_data(const ot_tensor *t)
{
    return unwrap(t)->data;
}

double ot_tensor_f64(const ot_tensor *t, int64_t i)
{
    return unwrap(t)->dt == DT_STRING ? NAN : tensor_f64(unwrap(t), i);
}

int64_t ot_tensor_i64(const ot_tensor *t, int64_t i)
{
    return unwrap(t)->dt == DT_STRING ? 0 : tensor_i64(unwrap(t), i);
}

const char *ot_tensor_string(const ot_tensor *t, int64_t i, size_t *len)
{
    const struct tensor *x = unwrap(t);
    if (x->dt != DT_STRING || x->kind != RT_TENSOR)
        return NULL;
    const struct ostr *s = (const struct ostr *)x->data + i;
    *len = s->n;
    return s->p ? s->p : "";
}

size_t ot_tensor_items(const ot_tensor *t)
{
    return unwrap(t)->seq ? unwrap(t)->seq->n : 0;
}

const ot_tensor *ot_tensor_item(const ot_tensor *t, size_t i)
{
    return i < ot_tensor_items(t) ? wrap(&unwrap(t)->seq->items[i]) : NULL;
}

const ot_tensor *ot_tensor_keys(const ot_tensor *t)
{
    return unwrap(t)->kind == RT_MAP && unwrap(t)->seq ? wrap(&unwrap(t)->seq->keys) : NULL;
}

int ot_tensor_new(ot_ctx *c, int dtype, int rank, const int64_t *dims, const void *data, ot_tensor **out)
{
    struct tensor *t = mem_zalloc(sizeof *t);
    int rc = t ? tensor_new(&c->cx, t, (enum dtype)dtype, rank, dims) : err_nomem(&c->cx);
    if (!rc && data && t->dt != DT_STRING)
        memcpy(t->data, data, tensor_bytes(t));
    if (rc)
        free(t);
    else
        *out = wrap(t);
    return api_end(c, rc);
}

int ot_tensor_copy(ot_ctx *c, const ot_tensor *src, ot_tensor **out)
{
    struct tensor *t = mem_zalloc(sizeof *t);
    int rc = t ? tensor_copy(&c->cx, t, unwrap(src)) : err_nomem(&c->cx);
    if (rc)
        free(t);
    else
        *out = wrap(t);
    return api_end(c, rc);
}

void ot_tensor_free(ot_tensor *t)
{
    if (!t)
        return;
    tensor_drop(unwrap(t));
    free(t);
}

const char *ot_tensor_text(const ot_tensor *t, char *buf, size_t size)
{
    return tensor_type_text(unwrap(t), buf, size);
}

/* |x| of a complex element. */
static double magnitude(const struct tensor *t, int64_t i)
{
    if (t->dt == DT_COMPLEX64) {
        const float *p = (const float *)t->data + 2 * i;
        return hypot((double)p[0], (double)p[1]);
    }
    const double *p = (const double *)t->data + 2 * i;
    return hypot(p[0], p[1]);
}

static double element(const struct tensor *t, int64_t i)
{
    return dtype_info(t->dt)->cls == CLS_COMPLEX ? magnitude(t, i) : tensor_f64(t, i);
}

static void count_element(struct ot_stats *s, double v, int64_t i, double *sum)
{
    s->nan += isnan(v) != 0;
    s->pos_inf += isinf(v) && v > 0;
    s->neg_inf += isinf(v) && v < 0;
    s->zeros += v == 0;
    if (!isfinite(v))
        return;
    *sum += v;
    if (s->argmin < 0 || v < s->min) {
        s->min = v;
        s->argmin = i;
    }
    if (s->argmax < 0 || v > s->max) {
        s->max = v;
        s->argmax = i;
    }
}

bool ot_tensor_stats(const ot_tensor *tensor, struct ot_stats *s)
{
    const struct tensor *t = unwrap(tensor);
    if (t->kind != RT_TENSOR || t->dt == DT_STRING)
        return false;
    *s = (struct ot_stats){.count = tensor_count(t), .min = NAN, .max = NAN, .mean = NAN, .sd = NAN};
    s->argmin = s->argmax = -1;
    double sum = 0, dev = 0;
    for (int64_t i = 0; i < s->count; i++)
        count_element(s, element(t, i), i, &sum);
    int64_t finite = s->count - s->nan - s->pos_inf - s->neg_inf;
    if (!finite)
        return true;
    s->mean = sum / (double)finite;
    for (int64_t i = 0; i < s->count; i++) {
        double v = element(t, i) - s->mean;
        dev += isfinite(v) ? v * v : 0;
    }
    s->sd = sqrt(dev / (double)finite);
    return true;
}

size_t ot_tensor_top(const ot_tensor *t, int64_t start, int64_t n, size_t k, int64_t *out)
{
    size_t found = 0;
    for (int64_t i = start; i < start + n; i++) {
        double v = ot_tensor_f64(t, i);
        size_t at = found;
        while (at > 0 && v > ot_tensor_f64(t, out[at - 1]))
            at--;
        if (isnan(v) || at >= k)
            continue;
        size_t keep = found < k ? found : k - 1;
        memmove(out + at + 1, out + at, (keep - at) * sizeof *out);
        out[at] = i;
        found = found < k ? found + 1 : k;
    }
    return found;
}

const char *ot_tensor_index(const ot_tensor *t, int64_t flat, char *buf, size_t size)
{
    return index_text(unwrap(t), flat, buf, size);
}

int ot_tensor_piece(ot_ctx *c, const ot_tensor *t, size_t k, size_t n, ot_tensor **out)
{
    struct tensor v = *unwrap(t);
    if (v.kind != RT_TENSOR || v.rank < 1 || n == 0 || v.dims[0] % (int64_t)n || k >= n)
        return ot_fail(c, 3, "a tensor of this shape does not fall into %zu pieces", n);
    v.dims[0] /= (int64_t)n;
    v.data = v.data ? (char *)v.data + k * tensor_bytes(&v) : NULL;
    return ot_tensor_copy(c, wrap(&v), out);
}

/* ---- lists ---- */

const struct ot_list_item *ot_list(const char *kind, size_t i)
{
    static struct ot_list_item item;
    size_t n;
    if (strcmp(kind, "providers") == 0) {
        const struct provider *const *p = provider_all(&n);
        if (i >= n)
            return NULL;
        item = (struct ot_list_item){p[i]->name, p[i]->what};
        return &item;
    }
    if (strcmp(kind, "passes") == 0) {
        const struct pass *p = pass_all(&n);
        if (i >= n)
            return NULL;
        item = (struct ot_list_item){p[i].name, p[i].why};
        return &item;
    }
    return NULL;
}

const char *ot_isa(void)
{
    return cpu_mask_name(cpu_flags());
}

int ot_cores(void)
{
    return cpu_count();
}

const char *ot_machine(void)
{
    return cpu_brand();
}

int ot_newest_opset(void)
{
    return schema_newest_opset("");
}

/* ---- text ---- */

bool ot_glob(const char *pattern, const char *text)
{
    return glob_match(pattern, text);
}

const char *ot_nearest(const char *want, const char *const *names, size_t n)
{
    return nearest_name(want, names, n);
}

size_t ot_escape(char *dst, size_t size, const char *src)
{
    return str_escape(dst, size, src, strlen(src));
}

const char *ot_human_bytes(char *buf, size_t size, uint64_t bytes)
{
    return human_bytes(buf, size, bytes);
}

const char *ot_human_count(char *buf, size_t size, uint64_t n)
{
    return human_count(buf, size, n);
}

double ot_now(void)
{
    return time_now();
}
