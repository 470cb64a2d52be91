/* safetensors files. */
#include "io/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/checked.h"

enum { PREFIX = 8, HEADER_MAX = 100 << 20 }; /* the format's own limit */

static uint64_t header_length(const unsigned char *p)
{
    uint64_t n = 0;
    for (int i = 0; i < PREFIX; i++)
        n |= (uint64_t)p[i] << (8 * i);
    return n;
}

bool safetensors_likely(const unsigned char *head, size_t n, uint64_t size)
{
    if (n < PREFIX + 2 || size < PREFIX + 2)
        return false;
    uint64_t len = header_length(head);
    return len >= 2 && len <= size - PREFIX && head[PREFIX] == '{' && strchr("\"} ", head[PREFIX + 1]) &&
           head[PREFIX + 1];
}

static enum dtype dtype_called(const char *name)
{
    static const struct {
        const char *name;
        enum dtype dt;
    } types[] = {
        {"BOOL", DT_BOOL},          {"U8", DT_UINT8},           {"I8", DT_INT8},
        {"U16", DT_UINT16},         {"I16", DT_INT16},          {"U32", DT_UINT32},
        {"I32", DT_INT32},          {"U64", DT_UINT64},         {"I64", DT_INT64},
        {"F16", DT_FLOAT16},        {"BF16", DT_BFLOAT16},      {"F32", DT_FLOAT},
        {"F64", DT_DOUBLE},         {"C64", DT_COMPLEX64},      {"F8_E4M3", DT_FLOAT8E4M3FN},
        {"F8_E5M2", DT_FLOAT8E5M2}, {"F8_E8M0", DT_FLOAT8E8M0},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].dt;
    return DT_UNDEFINED;
}

/* A whole number that a double holds exactly. */
static bool whole(const cJSON *j, uint64_t *out)
{
    if (!cJSON_IsNumber(j) || j->valuedouble < 0 || j->valuedouble > 0x1p53 ||
        j->valuedouble != floor(j->valuedouble))
        return false;
    *out = (uint64_t)j->valuedouble;
    return true;
}

static int read_shape(struct cx *cx, const cJSON *shape, int64_t *dims, int *rank)
{
    const cJSON *d;
    uint64_t n;
    *rank = 0;
    if (!cJSON_IsArray(shape))
        return err_set(cx, E_DATA, "'shape' is missing");
    cJSON_ArrayForEach(d, shape)
    {
        if (*rank == TENSOR_MAX_RANK)
            return err_set(cx, E_UNSUPPORTED, "more than %d dims", TENSOR_MAX_RANK);
        if (!whole(d, &n))
            return err_set(cx, E_DATA, "a dim is no size");
        dims[(*rank)++] = (int64_t)n;
    }
    return OK;
}

/* Where the tensor's bytes are: [*from, *from + bytes) of the data part, which has `data` bytes. */
static int read_place(struct cx *cx, const cJSON *offsets, uint64_t data, uint64_t bytes, uint64_t *from)
{
    uint64_t to;
    if (cJSON_GetArraySize(offsets) != 2 || !whole(cJSON_GetArrayItem(offsets, 0), from) ||
        !whole(cJSON_GetArrayItem(offsets, 1), &to) || to < *from)
        return err_set(cx, E_DATA, "'data_offsets' are not two offsets in order");
    if (to > data)
        return err_set(cx, E_DATA, "its data ends at %llu, the file has %llu bytes of data: is it cut off?",
                       (unsigned long long)to, (unsigned long long)data);
    if (to - *from != bytes)
        return err_set(cx, E_DATA, "it has %llu bytes of data, its shape needs %llu",
                       (unsigned long long)(to - *from), (unsigned long long)bytes);
    return OK;
}

struct source {
    struct file *f;
    uint64_t base, data; /* where the data part begins, and its bytes */
    uint64_t left;       /* bytes that may still be taken */
};

static int read_tensor(struct cx *cx, struct source *src, const cJSON *entry, struct tensor *out)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "dtype"));
    enum dtype dt = type ? dtype_called(type) : DT_UNDEFINED;
    int64_t dims[TENSOR_MAX_RANK];
    struct tensor shape = {0};
    uint64_t from = 0;
    int rank;
    if (!dt)
        return err_set(cx, type ? E_UNSUPPORTED : E_DATA, "dtype %s is not one of ONNX",
                       type ? type : "(none)");
    int rc = read_shape(cx, cJSON_GetObjectItemCaseSensitive(entry, "shape"), dims, &rank);
    if (!rc)
        rc = tensor_set_shape(cx, &shape, dt, rank, dims);
    size_t bytes = rc ? 0 : tensor_bytes(&shape);
    if (!rc)
        rc = read_place(cx, cJSON_GetObjectItemCaseSensitive(entry, "data_offsets"), src->data, bytes, &from);
    if (!rc && bytes > src->left)
        rc = err_set(cx, E_LIMIT, "the tensors are larger than the memory limit allows");
    if (!rc)
        rc = tensor_new(cx, out, dt, rank, dims);
    if (rc)
        return rc;
    src->left -= bytes;
    return bytes ? file_read(cx, src->f, src->base + from, out->data, bytes) : OK;
}

static int add(struct cx *cx, struct source *src, const cJSON *entry, struct npz *out)
{
    struct npz_entry *e = &out->e[out->n];
    size_t n = strlen(entry->string) + 1;
    *e = (struct npz_entry){.name = mem_alloc(n)};
    if (!e->name)
        return err_nomem(cx);
    memcpy(e->name, entry->string, n);
    out->n++;
    int rc = read_tensor(cx, src, entry, &e->t);
    return rc ? err_frame(cx, "tensor '%s'", entry->string) : OK;
}

static int read_entries(struct cx *cx, struct source *src, const cJSON *header, struct npz *out)
{
    const cJSON *entry;
    if (!cJSON_IsObject(header))
        return err_set(cx, E_DATA, "the header is no JSON object");
    out->e = mem_zalloc(((size_t)cJSON_GetArraySize(header) + 1) * sizeof *out->e);
    if (!out->e)
        return err_nomem(cx);
    cJSON_ArrayForEach(entry, header)
    {
        int rc = strcmp(entry->string, "__metadata__") == 0 ? OK : add(cx, src, entry, out);
        if (rc)
            return rc;
    }
    return OK;
}

static int read_open(struct cx *cx, struct file *f, uint64_t limit, struct npz *out)
{
    unsigned char prefix[PREFIX];
    if (f->size < PREFIX)
        return err_set(cx, E_DATA, "the file has %llu bytes: is it cut off?", (unsigned long long)f->size);
    int rc = file_read(cx, f, 0, prefix, PREFIX);
    uint64_t len = rc ? 0 : header_length(prefix);
    if (!rc && (len > HEADER_MAX || len > f->size - PREFIX))
        rc = err_set(cx, E_DATA, "the header's length of %llu bytes does not fit the file",
                     (unsigned long long)len);
    if (rc)
        return rc;
    char *text = mem_alloc((size_t)len + 1);
    if (!text)
        return err_nomem(cx);
    rc = file_read(cx, f, PREFIX, text, (size_t)len);
    text[len] = 0;
    cJSON *header = rc ? NULL : cJSON_ParseWithLength(text, (size_t)len);
    struct source src = {f, PREFIX + len, f->size - PREFIX - len, limit ? limit : UINT64_MAX};
    if (!rc)
        rc = read_entries(cx, &src, header, out);
    cJSON_Delete(header);
    free(text);
    return rc;
}

int safetensors_read(struct cx *cx, const char *path, uint64_t limit, struct npz *out)
{
    struct file *f;
    *out = (struct npz){0};
    int rc = file_open(cx, path, &f);
    if (rc)
        return rc;
    rc = read_open(cx, f, limit, out);
    file_unref(f);
    if (rc)
        npz_free(out);
    return rc ? err_frame(cx, "%s", path) : OK;
}
