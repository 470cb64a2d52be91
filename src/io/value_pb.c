/* .pb files of one value: TensorProto, SequenceProto, OptionalProto, MapProto, SparseTensorProto. */
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "io/decode.h"
#include "io/encode.h"
#include "io/export.h"
#include "io/import.h"
#include "io/sniff.h"
#include "io/tensor_pb.h"
#include "io/tmpfile.h"

/* Numbers of SequenceProto.DataType and OptionalProto.DataType. */
enum { EL_UNDEFINED, EL_TENSOR, EL_SPARSE, EL_SEQUENCE, EL_MAP, EL_OPTIONAL };

struct reader {
    struct cx *cx;
    struct arena arena;
};

static int read_sequence(struct reader *rd, const Onnx__SequenceProto *p, struct tensor *out);
static int read_map(struct reader *rd, const Onnx__MapProto *p, struct tensor *out);
static int read_optional(struct reader *rd, const Onnx__OptionalProto *p, struct tensor *out);

/* ---- reading ---- */

/* A tensor with memory of its own, whatever it was read from. */
static int own_tensor(struct reader *rd, const struct tensor_data *t, struct tensor *out)
{
    struct tensor tmp = {0};
    int r;

    memset(out, 0, sizeof(*out));
    if (t->payload == PL_EXTERNAL)
        return err_set(rd->cx, E_DATA,
                       "tensor '%s' has its values in another file, which is not supported here", t->name);
    r = tensor_load(rd->cx, NULL, t, &tmp);
    if (!r && tmp.owner)
        *out = tmp;
    else if (!r)
        r = tensor_copy(rd->cx, out, &tmp);
    return r;
}

static int read_tensor(struct reader *rd, const Onnx__TensorProto *p, struct tensor *out)
{
    struct tensor_data t;
    int r = import_tensor(rd->cx, &rd->arena, p, &t);

    return r < 0 ? r : own_tensor(rd, &t, out);
}

static int read_sparse(struct reader *rd, const Onnx__SparseTensorProto *p, struct tensor *out)
{
    struct sparse_data s;
    int r = import_sparse(rd->cx, &rd->arena, p, &s);

    return r < 0 ? r : sparse_load(rd->cx, NULL, &s, out);
}

static int new_list(struct reader *rd, enum rt_kind kind, struct tensor *out)
{
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    return rt_seq_new(rd->cx, &out->seq);
}

/* Takes item over. */
static int push(struct reader *rd, struct tensor *list, struct tensor *item)
{
    int r;

    if (list->dt == DT_UNDEFINED)
        list->dt = item->dt;
    r = rt_seq_push(rd->cx, list->seq, item);
    if (r < 0)
        tensor_drop(item);
    return r;
}

static int read_item(struct reader *rd, const Onnx__SequenceProto *p, int kind, size_t i, struct tensor *out)
{
    switch (kind) {
    case EL_TENSOR:
        return read_tensor(rd, p->tensor_values[i], out);
    case EL_SPARSE:
        return read_sparse(rd, p->sparse_tensor_values[i], out);
    case EL_SEQUENCE:
        return read_sequence(rd, p->sequence_values[i], out);
    case EL_MAP:
        return read_map(rd, p->map_values[i], out);
    default:
        return read_optional(rd, p->optional_values[i], out);
    }
}

static int read_sequence(struct reader *rd, const Onnx__SequenceProto *p, struct tensor *out)
{
    const size_t count[] = {0,
                            p->n_tensor_values,
                            p->n_sparse_tensor_values,
                            p->n_sequence_values,
                            p->n_map_values,
                            p->n_optional_values};
    int kind = p->elem_type, r;

    if (kind < EL_UNDEFINED || kind > EL_OPTIONAL)
        return err_set(rd->cx, E_DATA, "a sequence of elements of kind %d", kind);
    r = new_list(rd, RT_SEQ, out);
    for (size_t i = 0; i < count[kind] && !r; i++) {
        struct tensor item;

        r = read_item(rd, p, kind, i, &item);
        if (!r)
            r = push(rd, out, &item);
    }
    if (r < 0)
        tensor_drop(out);
    return r;
}

/* The keys of a map as a tensor of one dimension. */
static int map_keys(struct reader *rd, const Onnx__MapProto *p, struct tensor *keys)
{
    bool strings = p->key_type == DT_STRING;
    int64_t n = (int64_t)(strings ? p->n_string_keys : p->n_keys);
    struct tensor tmp = {0};
    struct ostr *s;
    int r;

    if (!strings && !dtype_is_int(p->key_type))
        return err_set(rd->cx, E_DATA, "a map with keys of type %s", dtype_name(p->key_type));
    if (!strings) {
        r = tensor_new(rd->cx, keys, DT_INT64, 1, &n);
        if (!r && n)
            memcpy(keys->data, p->keys, (size_t)n * 8);
        return r;
    }
    s = arena_array(&rd->arena, (size_t)n, sizeof(*s));
    if (!s)
        return err_nomem(rd->cx);
    for (int64_t i = 0; i < n; i++)
        s[i] = (struct ostr){(const char *)p->string_keys[i].data, p->string_keys[i].len};
    r = tensor_set_shape(rd->cx, &tmp, DT_STRING, 1, &n);
    tmp.data = s;
    return r < 0 ? r : tensor_copy(rd->cx, keys, &tmp);
}

static int read_map(struct reader *rd, const Onnx__MapProto *p, struct tensor *out)
{
    struct tensor values;
    int r;

    memset(out, 0, sizeof(*out));
    if (!p->values)
        return err_set(rd->cx, E_DATA, "a map without values");
    r = read_sequence(rd, p->values, &values);
    if (r < 0)
        return r;
    *out = values;
    out->kind = RT_MAP;
    r = map_keys(rd, p, &out->seq->keys);
    if (!r && (size_t)tensor_count(&out->seq->keys) != out->seq->n)
        r = err_set(rd->cx, E_DATA, "a map with %lld keys and %zu values",
                    (long long)tensor_count(&out->seq->keys), out->seq->n);
    if (r < 0)
        tensor_drop(out);
    return r;
}

static int read_option(struct reader *rd, const Onnx__OptionalProto *p, struct tensor *item)
{
    const bool there[] = {false,
                          p->tensor_value != NULL,
                          p->sparse_tensor_value != NULL,
                          p->sequence_value != NULL,
                          p->map_value != NULL,
                          p->optional_value != NULL};

    if (p->elem_type < EL_TENSOR || p->elem_type > EL_OPTIONAL)
        return err_set(rd->cx, E_DATA, "an optional of kind %d", p->elem_type);
    if (!there[p->elem_type])
        return 0;
    switch (p->elem_type) {
    case EL_TENSOR:
        return read_tensor(rd, p->tensor_value, item);
    case EL_SPARSE:
        return read_sparse(rd, p->sparse_tensor_value, item);
    case EL_SEQUENCE:
        return read_sequence(rd, p->sequence_value, item);
    case EL_MAP:
        return read_map(rd, p->map_value, item);
    default:
        return read_optional(rd, p->optional_value, item);
    }
}

static int read_optional(struct reader *rd, const Onnx__OptionalProto *p, struct tensor *out)
{
    struct tensor item = {0};
    int r = new_list(rd, RT_OPT, out);

    if (!r && p->elem_type != EL_UNDEFINED)
        r = read_option(rd, p, &item);
    if (!r && (item.data || item.owner || item.seq || item.dt))
        r = push(rd, out, &item);
    if (r < 0)
        tensor_drop(out);
    return r;
}

static const ProtobufCMessageDescriptor *descriptor(enum type_kind kind)
{
    switch (kind) {
    case TY_SEQ:
        return &onnx__sequence_proto__descriptor;
    case TY_OPT:
        return &onnx__optional_proto__descriptor;
    case TY_MAP:
        return &onnx__map_proto__descriptor;
    case TY_SPARSE:
        return &onnx__sparse_tensor_proto__descriptor;
    default:
        return &onnx__tensor_proto__descriptor;
    }
}

static int read_value(struct reader *rd, enum type_kind kind, void *msg, struct tensor *out,
                      const char **name)
{
    switch (kind) {
    case TY_SEQ:
        *name = ((Onnx__SequenceProto *)msg)->name;
        return read_sequence(rd, msg, out);
    case TY_OPT:
        *name = ((Onnx__OptionalProto *)msg)->name;
        return read_optional(rd, msg, out);
    case TY_MAP:
        *name = ((Onnx__MapProto *)msg)->name;
        return read_map(rd, msg, out);
    case TY_SPARSE:
        *name = NULL;
        return read_sparse(rd, msg, out);
    default:
        *name = ((Onnx__TensorProto *)msg)->name;
        return read_tensor(rd, msg, out);
    }
}

static int read_file(struct reader *rd, struct file *f, enum type_kind kind, struct tensor *out,
                     const char **name)
{
    const char *found = NULL;
    void *msg;
    int r;

    /* As for models: a small file shall not take much memory. */
    rd->arena.limit = f->size > SIZE_MAX / 64 - (16 << 20) ? 0 : (size_t)f->size * 64 + (16 << 20);
    r = pb_decode(rd->cx, f, 0, f->size, descriptor(kind), &rd->arena, &msg);
    if (!r)
        r = read_value(rd, kind, msg, out, &found);
    if (!r && name) {
        *name = arena_strdup(&rd->cx->scratch, found ? found : "");
        if (!*name) {
            tensor_drop(out);
            r = err_nomem(rd->cx);
        }
    }
    return r;
}

int value_pb_parse(struct cx *cx, struct file *f, const struct type *expect, struct tensor *out,
                   const char **name)
{
    struct reader rd = {.cx = cx};
    int r;

    memset(out, 0, sizeof(*out));
    r = read_file(&rd, f, expect ? expect->kind : TY_TENSOR, out, name);
    arena_free(&rd.arena);
    return r < 0 ? err_frame(cx, "%s", f->path) : 0;
}

int value_pb_read(struct cx *cx, const char *path, const struct type *expect, struct tensor *out,
                  const char **name)
{
    struct file *f;
    int r;

    struct cx other;

    memset(out, 0, sizeof(*out));
    r = file_open(cx, path, &f);
    if (r < 0)
        return r;
    cx_init(&other);
    r = value_pb_parse(cx, f, expect, out, name);
    if (r < 0 && r != E_NOMEM && sniff_tensor(&other, f)) {
        err_clear(cx);
        r = err_set(cx, E_DATA, "%s", other.err.msg);
    }
    cx_fini(&other);
    file_unref(f);
    return r;
}

/* ---- writing ---- */

struct writer {
    struct cx *cx;
    struct arena arena;
};

static int make_value(struct writer *w, const char *name, const struct tensor *t, void **out);

static char *own_name(struct writer *w, const char *name)
{
    return name ? arena_strdup(&w->arena, name) : NULL;
}

static int kind_of(const struct tensor *t)
{
    return t->kind == RT_SEQ   ? EL_SEQUENCE
           : t->kind == RT_OPT ? EL_OPTIONAL
           : t->kind == RT_MAP ? EL_MAP
                               : EL_TENSOR;
}

static int make_sequence(struct writer *w, const char *name, const struct rt_seq *s,
                         Onnx__SequenceProto **out)
{
    Onnx__SequenceProto *p = pb_new(&w->arena, &onnx__sequence_proto__descriptor);
    void **items = arena_array(&w->arena, s->n, sizeof(*items));
    int kind = s->n ? kind_of(&s->items[0]) : EL_TENSOR, r = 0;

    if (!p || !items)
        return err_nomem(w->cx);
    for (size_t i = 0; i < s->n && !r; i++)
        r = kind_of(&s->items[i]) == kind ? make_value(w, NULL, &s->items[i], &items[i])
                                          : err_set(w->cx, E_TYPE, "a sequence of different kinds of values");
    p->name = own_name(w, name);
    p->has_elem_type = 1;
    p->elem_type = kind;
    p->n_tensor_values = kind == EL_TENSOR ? s->n : 0;
    p->n_sequence_values = kind == EL_SEQUENCE ? s->n : 0;
    p->n_map_values = kind == EL_MAP ? s->n : 0;
    p->n_optional_values = kind == EL_OPTIONAL ? s->n : 0;
    p->tensor_values = (Onnx__TensorProto **)items;
    p->sequence_values = (Onnx__SequenceProto **)items;
    p->map_values = (Onnx__MapProto **)items;
    p->optional_values = (Onnx__OptionalProto **)items;
    *out = p;
    return r;
}

static int make_map(struct writer *w, const char *name, const struct rt_seq *s, void **out)
{
    Onnx__MapProto *p = pb_new(&w->arena, &onnx__map_proto__descriptor);
    const struct tensor *keys = &s->keys;
    int r;

    if (!p)
        return err_nomem(w->cx);
    *out = p;
    p->name = own_name(w, name);
    p->has_key_type = 1;
    p->key_type = keys->dt;
    if (keys->dt == DT_STRING) {
        const struct ostr *k = keys->data;

        p->string_keys = arena_array(&w->arena, s->n, sizeof(*p->string_keys));
        if (!p->string_keys)
            return err_nomem(w->cx);
        p->n_string_keys = s->n;
        for (size_t i = 0; i < s->n; i++)
            p->string_keys[i] = (ProtobufCBinaryData){k[i].n, (uint8_t *)(uintptr_t)k[i].p};
    } else {
        p->keys = arena_array(&w->arena, s->n, sizeof(*p->keys));
        if (!p->keys)
            return err_nomem(w->cx);
        p->n_keys = s->n;
        for (size_t i = 0; i < s->n; i++)
            p->keys[i] = tensor_i64(keys, (int64_t)i);
    }
    r = make_sequence(w, NULL, s, &p->values);
    return r;
}

static int make_optional(struct writer *w, const char *name, const struct rt_seq *s, void **out)
{
    Onnx__OptionalProto *p = pb_new(&w->arena, &onnx__optional_proto__descriptor);
    void *item = NULL;
    int r;

    if (!p)
        return err_nomem(w->cx);
    *out = p;
    p->name = own_name(w, name);
    p->has_elem_type = 1;
    if (!s->n)
        return 0;
    r = make_value(w, NULL, &s->items[0], &item);
    p->elem_type = kind_of(&s->items[0]);
    if (p->elem_type == EL_TENSOR)
        p->tensor_value = item;
    else if (p->elem_type == EL_SEQUENCE)
        p->sequence_value = item;
    else if (p->elem_type == EL_MAP)
        p->map_value = item;
    else
        p->optional_value = item;
    return r;
}

static int make_value(struct writer *w, const char *name, const struct tensor *t, void **out)
{
    Onnx__TensorProto *p;

    if (t->kind == RT_SEQ)
        return make_sequence(w, name, t->seq, (Onnx__SequenceProto **)out);
    if (t->kind == RT_MAP)
        return make_map(w, name, t->seq, out);
    if (t->kind == RT_OPT)
        return make_optional(w, name, t->seq, out);
    *out = p = pb_new(&w->arena, &onnx__tensor_proto__descriptor);
    if (!p)
        return err_nomem(w->cx);
    p->name = own_name(w, name);
    return export_values(w->cx, &w->arena, p, t->dt, t->rank, t->dims, t->data);
}

static int write_file(struct cx *cx, const char *path, void *msg)
{
    struct tmpfile tmp;
    struct sink s;
    int r = tmpfile_open(cx, path, &tmp);

    if (r < 0)
        return r;
    r = sink_init_fd(&s, cx, tmp.fd, path);
    if (!r)
        r = pb_encode(&s, msg);
    if (!r)
        r = sink_flush(&s);
    sink_free(&s);
    if (!r)
        return tmpfile_commit(cx, &tmp);
    tmpfile_abort(&tmp);
    return r;
}

int value_pb_write(struct cx *cx, const char *path, const char *name, const struct tensor *t)
{
    struct writer w = {.cx = cx};
    void *msg;
    int r = make_value(&w, name, t, &msg);

    if (!r)
        r = write_file(cx, path, msg);
    arena_free(&w.arena);
    return r;
}
