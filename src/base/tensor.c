/* Values at run time: tensors, sequences, optionals, maps. */
#include "tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob.h"
#include "checked.h"
#include "err.h"

int tensor_set_shape(struct cx *cx, struct tensor *t, enum dtype dt, int rank, const int64_t *dims)
{
    size_t bytes = dtype_size(dt);

    if (!bytes)
        return err_set(cx, E_TYPE, "%s is no element type", dtype_name(dt));
    if (rank < 0 || rank > TENSOR_MAX_RANK)
        return err_set(cx, E_LIMIT, "rank %d, at most %d is supported", rank, TENSOR_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return err_set(cx, E_SHAPE, "dimension %d is negative (%lld)", i, (long long)dims[i]);
        /* Zeros are left out of the product, so that tensor_count() cannot overflow on its way to one. */
        if (dims[i] && (!mul_size(bytes, (size_t)dims[i], &bytes) || bytes > PTRDIFF_MAX))
            return err_set(cx, E_LIMIT, "a tensor of these dimensions is larger than memory can be");
    }
    t->kind = RT_TENSOR;
    t->dt = dt;
    t->rank = rank;
    memset(t->dims, 0, sizeof t->dims);
    for (int i = 0; i < rank; i++)
        t->dims[i] = dims[i];
    return 0;
}

int tensor_new(struct cx *cx, struct tensor *t, enum dtype dt, int rank, const int64_t *dims)
{
    struct tensor fresh = {0};
    int status = tensor_set_shape(cx, &fresh, dt, rank, dims);

    if (status)
        return status;
    size_t bytes = tensor_bytes(&fresh);
    if (cx->lim.max_memory && bytes > cx->lim.max_memory)
        return err_set(cx, E_LIMIT, "a tensor of %zu bytes exceeds the memory limit of %llu bytes", bytes,
                       (unsigned long long)cx->lim.max_memory);
    fresh.owner = dt == DT_STRING ? blob_new_arena(bytes) : blob_new(bytes);
    if (!fresh.owner)
        return err_nomem(cx);
    fresh.data = fresh.owner->data;
    *t = fresh;
    return 0;
}

static int copy_strings(struct cx *cx, struct tensor *dst, const struct tensor *src)
{
    const struct ostr *from = src->data;
    struct ostr *to = dst->data;
    int64_t n = tensor_count(src);

    for (int64_t i = 0; i < n; i++) {
        to[i].n = from[i].n;
        to[i].p = arena_strndup(blob_arena(dst->owner), from[i].p, from[i].n);
        if (!to[i].p)
            return err_nomem(cx);
    }
    return 0;
}

static int copy_plain(struct cx *cx, struct tensor *dst, const struct tensor *src)
{
    int status = tensor_new(cx, dst, src->dt, src->rank, src->dims);
    size_t bytes;

    if (status)
        return status;
    if (src->dt == DT_STRING) {
        status = copy_strings(cx, dst, src);
        if (status)
            tensor_drop(dst);
        return status;
    }
    bytes = tensor_bytes(src);
    if (bytes)
        memcpy(dst->data, src->data, bytes);
    return 0;
}

static int copy_items(struct cx *cx, struct rt_seq *dst, const struct rt_seq *src)
{
    for (size_t i = 0; i < src->n; i++) {
        struct tensor item = {0};
        int status = tensor_copy(cx, &item, &src->items[i]);
        if (!status)
            status = rt_seq_push(cx, dst, &item);
        if (status) {
            tensor_drop(&item);
            return status;
        }
    }
    return src->keys.dt ? copy_plain(cx, &dst->keys, &src->keys) : 0;
}

int tensor_copy(struct cx *cx, struct tensor *dst, const struct tensor *src)
{
    struct rt_seq *seq = NULL;
    int status;

    if (src->kind == RT_TENSOR) {
        struct tensor fresh = {0};
        status = copy_plain(cx, &fresh, src);
        if (!status)
            *dst = fresh;
        return status;
    }
    status = rt_seq_new(cx, &seq);
    if (status)
        return status;
    if (src->seq)
        status = copy_items(cx, seq, src->seq);
    if (status) {
        rt_seq_unref(seq);
        return status;
    }
    *dst = *src;
    dst->owner = NULL;
    dst->data = NULL;
    dst->seq = seq;
    return 0;
}

void tensor_ref(struct tensor *dst, const struct tensor *src)
{
    *dst = *src;
    blob_ref(dst->owner);
    if (dst->seq)
        __atomic_fetch_add(&dst->seq->refs, 1, __ATOMIC_RELAXED);
}

void tensor_drop(struct tensor *t)
{
    blob_unref(t->owner);
    if (t->seq)
        rt_seq_unref(t->seq);
    memset(t, 0, sizeof *t);
}

/* Appends behind *n, as far as it fits. */
__attribute__((format(printf, 4, 5))) static void put(char *buf, size_t size, size_t *n, const char *fmt, ...)
{
    va_list ap;

    if (*n >= size)
        return;
    va_start(ap, fmt);
    int len = vsnprintf(buf + *n, size - *n, fmt, ap);
    va_end(ap);
    *n += len > 0 ? (size_t)len : 0;
}

const char *tensor_type_text(const struct tensor *t, char *buf, size_t size)
{
    static const char *const kinds[] = {[RT_SEQ] = "seq", [RT_OPT] = "optional", [RT_MAP] = "map"};
    size_t n = 0;

    const struct tensor *first = t->kind != RT_TENSOR && t->seq && t->seq->n ? t->seq->items : NULL;
    if (t->kind != RT_MAP && first &&
        first->kind != RT_TENSOR) { /* nested, which the element type does not say */
        char inner[100];
        put(buf, size, &n, "%s(%s)", kinds[t->kind], tensor_type_text(first, inner, sizeof inner));
        return buf;
    }
    if (t->kind == RT_MAP && t->seq && t->seq->keys.dt) {
        put(buf, size, &n, "map(%s,%s)", dtype_name(t->seq->keys.dt), dtype_name(t->dt));
        return buf;
    }
    if (t->kind != RT_TENSOR) {
        put(buf, size, &n, "%s(%s)", kinds[t->kind], dtype_name(t->dt));
        return buf;
    }
    put(buf, size, &n, "%s[", dtype_name(t->dt));
    for (int i = 0; i < t->rank; i++)
        put(buf, size, &n, "%s%lld", i ? "," : "", (long long)t->dims[i]);
    put(buf, size, &n, "]");
    return buf;
}

/* A string has no number: NaN and 0 say so. */
double tensor_f64(const struct tensor *t, int64_t i)
{
    const struct dtype_info *info = dtype_info(t->dt);

    return info->load_f64 ? info->load_f64((const char *)t->data + (size_t)i * info->size)
                          : __builtin_nan("");
}

int64_t tensor_i64(const struct tensor *t, int64_t i)
{
    const struct dtype_info *info = dtype_info(t->dt);

    return info->load_i64 ? info->load_i64((const char *)t->data + (size_t)i * info->size) : 0;
}

int rt_seq_new(struct cx *cx, struct rt_seq **out)
{
    struct rt_seq *s = mem_zalloc(sizeof *s);

    if (!s)
        return err_nomem(cx);
    s->refs = 1;
    *out = s;
    return 0;
}

/* item is left zeroed; on failure it is untouched and still the caller's. */
int rt_seq_push(struct cx *cx, struct rt_seq *s, struct tensor *item)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 8, bytes;
        struct tensor *items = mul_size(cap, sizeof *items, &bytes) ? mem_realloc(s->items, bytes) : NULL;
        if (!items)
            return err_nomem(cx);
        s->items = items;
        s->cap = cap;
    }
    s->items[s->n++] = *item;
    memset(item, 0, sizeof *item);
    return 0;
}

void rt_seq_unref(struct rt_seq *s)
{
    if (!s || __atomic_fetch_sub(&s->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    for (size_t i = 0; i < s->n; i++)
        tensor_drop(&s->items[i]);
    tensor_drop(&s->keys);
    free(s->items);
    free(s);
}
