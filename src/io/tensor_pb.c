/* Payloads to memory. Values lie in the model file (raw or in a typed field), in another file, or in memory
 * already; see enum payload_kind. */
#include "io/tensor_pb.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "io/external.h"
#include "io/payload.h"

/* A mapping costs a system call, a page fault and one of the process's 65530 areas: small ones are copied. */
enum { MAP_MIN = 65536 };

/* What the payload of t is, as the reader wants it; seg is room for one. */
static int payload_view(struct cx *cx, struct model *m, const struct tensor_data *t, struct segment *seg,
                        struct pb_payload *pl)
{
    int r;

    *pl = (struct pb_payload){.field = t->payload == PL_FIELD ? t->field : 9,
                              .file = t->file,
                              .seg = t->seg,
                              .nseg = (size_t)t->nseg,
                              .total = 0};
    if (t->payload == PL_EXTERNAL) {
        r = external_range(cx, m, t, &pl->file, &seg->off, &seg->len);
        if (r < 0)
            return r;
        pl->seg = seg;
        pl->nseg = 1;
    }
    for (size_t i = 0; i < pl->nseg; i++)
        pl->total += pl->seg[i].len;
    return 0;
}

/* Bytes that lie in the file as they lie in memory are used where they are, if they are aligned there.
 * Returns 1 when that worked, 0 when they have to be copied. */
static int map_in_place(struct cx *cx, const struct pb_payload *pl, struct tensor *out)
{
    size_t size = dtype_size(out->dt), align = size > 8 ? 8 : size;
    struct blob *b;
    int r;

    if (!payload_is_plain(pl->field) || pl->nseg != 1 || dtype_info(out->dt)->bits < 8)
        return 0;
    if (pl->total < MAP_MIN || pl->total != tensor_bytes(out))
        return 0;
    if (((uintptr_t)pl->file->mem + pl->seg[0].off) % align)
        return 0;
    r = file_map(cx, pl->file, pl->seg[0].off, (size_t)pl->total, &b);
    if (r < 0)
        return r;
    if ((uintptr_t)b->data % align) {
        blob_unref(b);
        return 0;
    }
    out->data = b->data;
    out->owner = b;
    return 1;
}

/* Memory for constants: most are read once, to be packed, and the next one must not find the heap full of
 * holes. */
static int const_new(struct cx *cx, struct tensor *t, enum dtype dt, int rank, const int64_t *dims)
{
    int r = tensor_set_shape(cx, t, dt, rank, dims);
    size_t bytes = r ? 0 : tensor_bytes(t);

    if (r || bytes < MAP_MIN || dt == DT_STRING || cx->lim.max_memory)
        return r ? r : tensor_new(cx, t, dt, rank, dims);
    t->owner = blob_new_pages(bytes);
    if (!t->owner)
        return err_nomem(cx);
    t->data = t->owner->data;
    return 0;
}

static int copy_payload(struct cx *cx, const struct pb_payload *pl, struct tensor *out)
{
    int64_t n = tensor_count(out), dims[TENSOR_MAX_RANK];
    struct tensor t = {0};
    int r;

    memcpy(dims, out->dims, sizeof(dims));
    r = const_new(cx, &t, out->dt, out->rank, dims);
    if (!r)
        r = payload_decode(cx, pl, t.dt, n, t.data);
    if (r < 0)
        tensor_drop(&t);
    else
        *out = t;
    return r;
}

static int load_stored(struct cx *cx, struct model *m, const struct tensor_data *t, struct tensor *out)
{
    struct segment seg;
    struct pb_payload pl;
    int r = payload_view(cx, m, t, &seg, &pl);

    if (!r) /* before memory is taken for so many */
        r = payload_check(cx, &pl, t->dt, tensor_count(out));
    if (r < 0)
        return r;
    r = map_in_place(cx, &pl, out);
    if (r)
        return r < 0 ? r : 0;
    return copy_payload(cx, &pl, out);
}

/* Every element is the one that t keeps. */
static int load_fill(struct cx *cx, const struct tensor_data *t, struct tensor *out)
{
    size_t size = dtype_size(t->dt), done = size;
    int r = const_new(cx, out, t->dt, t->rank, t->dims);
    size_t total = r ? 0 : tensor_bytes(out);

    if (!total)
        return r;
    memcpy(out->data, t->mem, size);
    for (size_t n; done < total; done += n) { /* what is done is copied behind itself, a page at most */
        n = done < 4096 ? done : 4096 / size * size;
        n = n < total - done ? n : total - done;
        memcpy((char *)out->data + done, out->data, n);
    }
    return 0;
}

static int load(struct cx *cx, struct model *m, const struct tensor_data *t, struct tensor *out)
{
    int r = tensor_set_shape(cx, out, t->dt, t->rank, t->dims);

    if (r < 0)
        return r;
    if (t->payload == PL_MEM) {
        out->data = (void *)(uintptr_t)t->mem;
        out->owner = blob_ref(t->owner);
        return 0;
    }
    if (t->payload == PL_FILL)
        return load_fill(cx, t, out);
    if (t->payload == PL_GONE)
        return err_set(cx, E_INTERNAL, "its values were given up after binding");
    if (tensor_count(out) == 0) {
        if (t->payload != PL_EMPTY && t->payload != PL_EXTERNAL && t->file_bytes)
            return err_set(cx, E_DATA, "it has no elements, but %llu bytes of values",
                           (unsigned long long)t->file_bytes);
        return 0;
    }
    if (t->payload == PL_EMPTY)
        return err_set(cx, E_DATA, "it has %lld elements, but no values", (long long)tensor_count(out));
    return load_stored(cx, m, t, out);
}

int tensor_load(struct cx *cx, struct model *m, const struct tensor_data *t, struct tensor *out)
{
    int r;

    memset(out, 0, sizeof(*out));
    r = load(cx, m, t, out);
    if (!r)
        return 0;
    tensor_drop(out);
    if (t->loc && m && m->path)
        return err_frame(cx, "%s+0x%llx: tensor '%s'", m->path, (unsigned long long)t->loc, t->name);
    return err_frame(cx, "tensor '%s'", t->name ? t->name : "");
}

/* ---- sparse tensors ---- */

/* Flat index of element k; negative when out of range. */
static int64_t sparse_index(const struct tensor *indices, const struct tensor *dense, int64_t k)
{
    const int64_t *p = indices->data;
    int64_t at = 0;

    if (indices->rank == 1)
        return p[k] < tensor_count(dense) ? p[k] : -1;
    p += k * dense->rank;
    for (int i = 0; i < dense->rank; i++) {
        if (p[i] < 0 || p[i] >= dense->dims[i])
            return -1;
        at = at * dense->dims[i] + p[i];
    }
    return at;
}

static int sparse_check(struct cx *cx, const struct tensor *values, const struct tensor *indices, int rank)
{
    int64_t n = tensor_count(values);

    if (values->rank != 1)
        return err_set(cx, E_DATA, "the values have %d dimensions, expected 1", values->rank);
    if (indices->dims[0] == n && (indices->rank == 1 || (indices->rank == 2 && indices->dims[1] == rank)))
        return 0;
    return err_set(cx, E_DATA, "the indices fit neither [%lld] nor [%lld,%d]", (long long)n, (long long)n,
                   rank);
}

/* values and indices are loaded; out is new and zeroed. */
static int sparse_fill(struct cx *cx, const struct tensor *values, const struct tensor *indices,
                       struct tensor *out)
{
    size_t size = dtype_size(values->dt);

    for (int64_t k = 0; k < tensor_count(values); k++) {
        int64_t at = sparse_index(indices, out, k);

        if (at < 0)
            return err_set(cx, E_DATA, "index %lld is outside of the tensor", (long long)k);
        memcpy((char *)out->data + (size_t)at * size, (char *)values->data + (size_t)k * size, size);
    }
    return 0;
}

int sparse_load(struct cx *cx, struct model *m, const struct sparse_data *s, struct tensor *out)
{
    struct tensor values = {0}, indices = {0};
    int r = tensor_load(cx, m, &s->values, &values);

    memset(out, 0, sizeof(*out));
    if (!r)
        r = tensor_load(cx, m, &s->indices, &indices);
    if (!r)
        r = sparse_check(cx, &values, &indices, s->rank);
    if (!r && values.dt == DT_STRING)
        r = err_set(cx, E_UNSUPPORTED, "sparse tensors of strings");
    if (!r)
        r = tensor_new(cx, out, values.dt, s->rank, s->dims);
    if (!r)
        r = sparse_fill(cx, &values, &indices, out);
    tensor_drop(&values);
    tensor_drop(&indices);
    if (r < 0) {
        tensor_drop(out);
        err_frame(cx, "sparse tensor '%s'", s->values.name);
    }
    return r;
}
