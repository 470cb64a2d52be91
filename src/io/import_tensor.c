/* TensorProto and SparseTensorProto -> tensor_data and sparse_data. */
#include "io/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/tensor.h"
#include "io/decode.h"
#include "io/payload.h"

static const char *tensor_name(const Onnx__TensorProto *p)
{
    return p->name ? p->name : "";
}

static int import_dims(struct cx *cx, const char *name, size_t n, const int64_t *dims, enum dtype dt)
{
    int64_t count;
    size_t bytes;

    if (n > TENSOR_MAX_RANK)
        return err_set(cx, E_UNSUPPORTED, "tensor '%s' has %zu dimensions, more than %d are not supported",
                       name, n, TENSOR_MAX_RANK);
    for (size_t i = 0; i < n; i++)
        if (dims[i] < 0)
            return err_set(cx, E_MODEL, "tensor '%s': dimension %zu is %lld", name, i, (long long)dims[i]);
    if (!dims_count(dims, (int)n, &count) || !mul_size((size_t)count, dtype_size(dt), &bytes) ||
        bytes > INT64_MAX)
        return err_set(cx, E_MODEL, "tensor '%s': the product of its dimensions overflows", name);
    return 0;
}

/* A decimal number that is all of s. */
static bool parse_u64(const char *s, uint64_t *out)
{
    uint64_t v = 0;

    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

static int import_external(struct cx *cx, const Onnx__TensorProto *p, struct tensor_data *t)
{
    t->payload = PL_EXTERNAL;
    t->ext_len = UINT64_MAX;
    for (size_t i = 0; i < p->n_external_data; i++) {
        const char *key = p->external_data[i]->key, *val = p->external_data[i]->value;
        uint64_t *num = NULL;

        if (!key || !val)
            continue;
        if (!strcmp(key, "location"))
            t->location = val;
        else if (!strcmp(key, "offset"))
            num = &t->ext_off;
        else if (!strcmp(key, "length"))
            num = &t->ext_len;
        if (num && !parse_u64(val, num))
            return err_set(cx, E_MODEL, "tensor '%s': external %s '%s' is not a number of bytes", t->name,
                           key, val);
    }
    if (!t->location || !*t->location)
        return err_set(cx, E_MODEL, "tensor '%s' has external data, but no location", t->name);
    if (t->dt == DT_STRING)
        return err_set(cx, E_MODEL, "tensor '%s': strings cannot be external data", t->name);
    if (t->ext_len != UINT64_MAX)
        t->file_bytes = t->ext_len;
    else
        dtype_file_size(t->dt, (uint64_t)tensor_data_count(t), &t->file_bytes);
    return 0;
}

static int import_strings(struct cx *cx, struct arena *a, const Onnx__TensorProto *p, struct tensor_data *t)
{
    struct ostr *s;

    if ((int64_t)p->n_string_data != tensor_data_count(t))
        return err_set(cx, E_DATA, "tensor '%s' has %zu strings, its dimensions say %lld", t->name,
                       p->n_string_data, (long long)tensor_data_count(t));
    s = arena_array(a, p->n_string_data, sizeof(*s));
    if (!s)
        return err_nomem(cx);
    for (size_t i = 0; i < p->n_string_data; i++) {
        s[i] = (struct ostr){(const char *)p->string_data[i].data, p->string_data[i].len};
        t->file_bytes += s[i].n;
    }
    t->payload = p->n_string_data ? PL_MEM : PL_EMPTY;
    t->mem = s;
    return 0;
}

/* Bytes that the decoder kept because they are few: turned into values now. */
static int import_small(struct cx *cx, struct arena *a, const struct pb_payload *pl, struct tensor_data *t)
{
    int64_t count = tensor_data_count(t);
    void *mem = arena_zalloc(a, (size_t)count * dtype_size(t->dt));
    int r;

    if (!mem)
        return err_nomem(cx);
    r = payload_decode(cx, pl, t->dt, count, mem);
    if (r < 0)
        return r;
    t->payload = PL_MEM;
    t->mem = mem;
    return 0;
}

/* Values that are in the file. */
static int import_stored(struct cx *cx, struct arena *a, const struct pb_payload *pl, struct tensor_data *t)
{
    int r = payload_check(cx, pl, t->dt, tensor_data_count(t));

    if (r < 0)
        return r;
    if (pl->nseg > INT32_MAX)
        return err_set(cx, E_UNSUPPORTED, "it is in %zu pieces", pl->nseg);
    t->payload = pl->field == 9 ? PL_RAW : PL_FIELD;
    t->field = pl->field == 9 ? 0 : pl->field;
    t->file = pl->file;
    t->seg = pl->seg;
    t->nseg = (int)pl->nseg;
    t->file_bytes = pl->total;
    return pl->bytes ? import_small(cx, a, pl, t) : 0;
}

int import_tensor(struct cx *cx, struct arena *a, const Onnx__TensorProto *p, struct tensor_data *t)
{
    const struct pb_payload *pl = pb_info(p)->payload;
    const struct dtype_info *di = dtype_info(p->data_type);
    int r;

    *t = (struct tensor_data){.name = tensor_name(p),
                              .dt = di->dt,
                              .rank = (int)p->n_dims,
                              .dims = p->dims,
                              .loc = pb_info(p)->loc,
                              .origin = p};
    if (!di->name)
        return err_set(cx, E_UNSUPPORTED, "tensor '%s' has element type %d, which is not known", t->name,
                       p->data_type);
    r = import_dims(cx, t->name, p->n_dims, p->dims, t->dt);
    if (r < 0)
        return r;
    if (p->segment)
        return err_set(cx, E_UNSUPPORTED, "tensor '%s' is stored in segments", t->name);
    if (p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return import_external(cx, p, t);
    if (t->dt == DT_STRING)
        return import_strings(cx, a, p, t);
    if (pl && pl->total) {
        r = import_stored(cx, a, pl, t);
        return r < 0 ? err_frame(cx, "tensor '%s'", t->name) : 0;
    }
    t->payload = PL_EMPTY;
    if (tensor_data_count(t))
        return err_set(cx, E_DATA, "tensor '%s' has %lld elements, but no values", t->name,
                       (long long)tensor_data_count(t));
    return 0;
}

int import_sparse(struct cx *cx, struct arena *a, const Onnx__SparseTensorProto *p, struct sparse_data *out)
{
    int r;

    *out = (struct sparse_data){.rank = (int)p->n_dims, .dims = p->dims, .origin = p};
    if (!p->values || !p->indices)
        return err_set(cx, E_MODEL, "a sparse tensor lacks its %s", p->values ? "indices" : "values");
    r = import_tensor(cx, a, p->values, &out->values);
    if (!r)
        r = import_tensor(cx, a, p->indices, &out->indices);
    if (!r)
        r = import_dims(cx, out->values.name, p->n_dims, p->dims, out->values.dt);
    if (r < 0)
        return r;
    if (out->indices.dt != DT_INT64)
        return err_set(cx, E_MODEL, "sparse tensor '%s' has indices of type %s, expected int64",
                       out->values.name, dtype_name(out->indices.dt));
    return 0;
}
