/* A tensor (or sequence, optional, map) at run time: what operators read and write. */
#ifndef OT_BASE_TENSOR_H
#define OT_BASE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dtype.h"

enum { TENSOR_MAX_RANK = 16 };

enum rt_kind { RT_TENSOR, RT_SEQ, RT_OPT, RT_MAP };

struct blob;
struct rt_seq;

struct tensor {
    enum rt_kind kind;
    enum dtype dt; /* element type; of the elements for a sequence, of the values for a map */
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
    void *data; /* contiguous, row-major, 64-byte aligned when the library allocated it; NULL only if empty */
    struct blob *owner; /* keeps data alive; NULL: borrowed (a plan's buffer, a caller's array) */
    struct rt_seq *seq; /* RT_SEQ, RT_OPT (0 or 1 element) and RT_MAP (keys in keys, values in items) */
};

/* Refcounted list of tensors. */
struct rt_seq {
    int refs;
    size_t n, cap;
    struct tensor *items;
    struct tensor keys; /* maps: one-dimensional, int64-like or string */
};

/* Elements; the dims of a struct tensor were checked when it was made, so this cannot overflow. */
static inline int64_t tensor_count(const struct tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->dims[i];
    return n;
}

static inline size_t tensor_bytes(const struct tensor *t)
{
    return (size_t)tensor_count(t) * dtype_size(t->dt);
}

struct cx;
/* Checks rank, dims (>= 0) and size against overflow; E_SHAPE or E_LIMIT. */
int tensor_set_shape(struct cx *cx, struct tensor *t, enum dtype dt, int rank, const int64_t *dims);
/* Shape as above, and zeroed memory of its own (an owner blob with one reference). */
int tensor_new(struct cx *cx, struct tensor *t, enum dtype dt, int rank, const int64_t *dims);
/* Deep copy with memory of its own, strings included. */
int tensor_copy(struct cx *cx, struct tensor *dst, const struct tensor *src);
/* Another reference to the same memory (src must have an owner, or outlive dst). */
void tensor_ref(struct tensor *dst, const struct tensor *src);
/* Drops the owner and the sequence; leaves a zeroed struct. Safe on a zeroed one. */
void tensor_drop(struct tensor *t);
/* "float[1,3,224,224]" into buf. */
const char *tensor_type_text(const struct tensor *t, char *buf, size_t size);
/* One element as double / int64, by flat index. */
double tensor_f64(const struct tensor *t, int64_t i);
int64_t tensor_i64(const struct tensor *t, int64_t i);

int rt_seq_new(struct cx *cx, struct rt_seq **out);
/* Takes over item's references. */
int rt_seq_push(struct cx *cx, struct rt_seq *s, struct tensor *item);
void rt_seq_unref(struct rt_seq *s);

#endif
