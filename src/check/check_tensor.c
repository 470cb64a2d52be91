/* Tensors and sparse tensors as the file holds them. */
#include "check/checker.h"

#include <string.h>

#include "base/checked.h"
#include "base/dtype.h"

/* The field of TensorProto that holds values of a type beside raw_data (9). */
static unsigned field_of(int dt)
{
    switch (dt) {
    case DT_FLOAT:
    case DT_COMPLEX64:
        return 4;
    case DT_STRING:
        return 6;
    case DT_INT64:
        return 7;
    case DT_DOUBLE:
    case DT_COMPLEX128:
        return 10;
    case DT_UINT32:
    case DT_UINT64:
        return 11;
    default:
        return 5;
    }
}

static bool good_dims(struct checker *c, const char *name, size_t n, const int64_t *dims, uint64_t at)
{
    int64_t count;
    for (size_t i = 0; i < n; i++)
        if (dims[i] < 0) {
            ck_add(c, FC_TENSOR_DIMS, at, "axis %zu of tensor '%s' is %lld", i, name, (long long)dims[i]);
            return false;
        }
    if (n < 1000 && dims_count(dims, (int)n, &count))
        return true;
    ck_add(c, FC_TENSOR_DIMS, at, "the dimensions of tensor '%s' are too large together", name);
    return false;
}

/* Takes the library's own reason where it refuses the tensor. */
static void take_error(struct checker *c, enum finding_code code, uint64_t at, int rc)
{
    char text[800];
    if (rc == E_NOMEM) {
        c->rc = rc;
        return;
    }
    err_format(&c->cx->err, text, sizeof text);
    err_clear(c->cx);
    ck_add(c, rc == E_UNSUPPORTED ? FC_UNSUPPORTED : code, at, "%s", text);
}

static void look_external(struct checker *c, const struct ol_tensor *t)
{
    bool located = false;
    for (size_t i = 0; i < t->next; i++)
        located |= strcmp(t->ext[i].key, "location") == 0 && *t->ext[i].value;
    if (t->fields) {
        ck_add(c, FC_EXTERNAL_PLACE, t->at, "tensor '%s' has external data, and data in the model", t->name);
        return;
    }
    if (!located) {
        ck_add(c, FC_EXTERNAL_PLACE, t->at, "tensor '%s' has external data, but no location", t->name);
        return;
    }
    int rc = outline_tensor(c->cx, c->a, c->m, t, false);
    if (rc)
        take_error(c, FC_EXTERNAL_PLACE, t->at, rc);
    else if (c->files && (rc = outline_tensor(c->cx, c->a, c->m, t, true)))
        take_error(c, FC_EXTERNAL_FILE, t->at, rc);
}

static void look_data(struct checker *c, const struct ol_tensor *t)
{
    unsigned raw = 1u << 9, own = 1u << field_of(t->dt);
    if (t->fields & ~raw & ~own || (t->fields & raw && t->dt == DT_STRING)) {
        ck_add(c, FC_TENSOR_FIELD, t->at, "tensor '%s' of %s has its data in a field of other types", t->name,
               dtype_name(t->dt));
        return;
    }
    if (t->fields & raw && t->fields & own) {
        ck_add(c, FC_TENSOR_FIELD, t->at, "tensor '%s' has its data in two fields", t->name);
        return;
    }
    int rc = outline_tensor(c->cx, c->a, c->m, t, false);
    if (rc)
        take_error(c, FC_TENSOR_DATA, t->at, rc);
}

void ck_tensor(struct checker *c, const struct ol_tensor *t)
{
    ck_meta(c, t->meta, t->nmeta, t->at, 10);
    if (!t->dt || !dtype_info(t->dt)->name) {
        ck_add(c, FC_TENSOR_TYPE, t->at, "tensor '%s' has %s", t->name,
               t->dt ? ck_print(c, "element type %d, which is not known", t->dt) : "no element type");
        return;
    }
    if (!good_dims(c, t->name, t->ndims, t->dims, t->at))
        return;
    if (t->segment)
        ck_add(c, FC_TENSOR_SEGMENT, t->at, "tensor '%s' is stored in segments", t->name);
    else if (t->external)
        look_external(c, t);
    else
        look_data(c, t);
}

/* ---- sparse tensors ---- */

/* Row i of the indices: pointer to its numbers, of which there are width. */
static bool look_range(struct checker *c, const struct ol_sparse *s, const char *name, const int64_t *row,
                       size_t width, int64_t total)
{
    for (size_t k = 0; k < width; k++) {
        int64_t end = width == 1 && s->ndims != 1 ? total : s->dims[k];
        if (row[k] >= 0 && row[k] < end)
            continue;
        ck_add(c, FC_SPARSE_RANGE, s->at, "an index of sparse tensor '%s' is %lld, outside of 0..%lld", name,
               (long long)row[k], (long long)end - 1);
        return false;
    }
    return true;
}

static int compare_rows(const int64_t *a, const int64_t *b, size_t width)
{
    for (size_t k = 0; k < width; k++)
        if (a[k] != b[k])
            return a[k] < b[k] ? -1 : 1;
    return 0;
}

static void look_indices(struct checker *c, const struct ol_sparse *s, const char *name, int64_t nnz,
                         size_t width, int64_t total)
{
    int64_t *idx, n;
    struct arena_mark mark = arena_mark(&c->cx->scratch);
    int rc = outline_ints(c->cx, &c->cx->scratch, c->m, s->indices, &idx, &n);
    if (rc)
        take_error(c, FC_SPARSE_SHAPE, s->at, rc);
    for (int64_t i = 0; idx && i < nnz; i++) {
        const int64_t *row = idx + i * (int64_t)width;
        if (!look_range(c, s, name, row, width, total))
            break;
        if (i && compare_rows(row - width, row, width) >= 0) {
            ck_add(c, FC_SPARSE_ORDER, s->at, "indices %lld and %lld of sparse tensor '%s' do not ascend",
                   (long long)i - 1, (long long)i, name);
            break;
        }
    }
    arena_release(&c->cx->scratch, mark);
}

void ck_sparse(struct checker *c, const struct ol_sparse *s, const char *name)
{
    const struct ol_tensor *v = s->values, *x = s->indices;
    size_t before = c->out->errors;
    int64_t total;
    if (!v || !x) {
        ck_add(c, FC_SPARSE_PARTS, s->at, "sparse tensor '%s' has no %s", name, v ? "indices" : "values");
        return;
    }
    ck_tensor(c, v);
    ck_tensor(c, x);
    if (!good_dims(c, name, s->ndims, s->dims, s->at) || c->out->errors > before)
        return;
    dims_count(s->dims, (int)s->ndims, &total);
    bool linear = x->ndims == 1;
    if (v->ndims != 1 || !s->ndims || !total || x->dt != DT_INT64 || x->ndims < 1 || x->ndims > 2 ||
        x->dims[0] != v->dims[0] || (!linear && x->dims[1] != (int64_t)s->ndims)) {
        ck_add(c, FC_SPARSE_SHAPE, s->at,
               "dims, values and indices of sparse tensor '%s' do not fit together", name);
        return;
    }
    if (v->dims[0])
        look_indices(c, s, name, v->dims[0], linear ? 1 : s->ndims, total);
}
