/* Two walks over the same tables as the decoder's: the first leaves each message's size in its pb_info, the
 * second writes. Recursion is as deep as messages nest, which decoder and importer bound. */
#include "io/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx.pb-c.h"

enum { SINK_BUF = 1 << 20 };

/* ---- sinks ---- */

int sink_init_fd(struct sink *s, struct cx *cx, int fd, const char *name)
{
    *s = (struct sink){.cx = cx, .fd = fd, .name = name, .cap = SINK_BUF, .hash = HASH_INIT};
    s->buf = mem_alloc(s->cap);
    return s->buf ? 0 : err_nomem(cx);
}

void sink_init_mem(struct sink *s, struct cx *cx)
{
    *s = (struct sink){.cx = cx, .fd = -1, .name = "memory", .hash = HASH_INIT};
}

void sink_free(struct sink *s)
{
    free(s->buf);
    s->buf = NULL;
}

static int write_all(struct sink *s, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t k = write(s->fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_set(s->cx, E_IO, "cannot write '%s': %s", s->name, strerror(errno));
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

int sink_flush(struct sink *s)
{
    int r = s->fd < 0 ? 0 : write_all(s, s->buf, s->n);

    if (s->fd >= 0)
        s->n = 0;
    return r;
}

/* FNV-1a over 64-bit words: eight times as fast as over bytes. */
static void add_hash(struct sink *s, const uint8_t *p, size_t n)
{
    size_t have = s->total % 8;
    uint64_t w;

    while (n) {
        size_t k = 8 - have < n ? 8 - have : n;

        memcpy(s->part + have, p, k);
        have += k;
        p += k;
        n -= k;
        if (have < 8)
            return;
        memcpy(&w, s->part, 8);
        s->hash = (s->hash ^ w) * 0x100000001b3ull;
        s->hash ^= s->hash >> 32;
        have = 0;
    }
}

static int grow_mem(struct sink *s, size_t n)
{
    size_t cap = s->cap ? s->cap : 4096;
    uint8_t *p;

    if (s->cap - s->n >= n)
        return 0;
    while (cap - s->n < n)
        if (__builtin_mul_overflow(cap, 2u, &cap))
            return err_nomem(s->cx);
    p = mem_realloc(s->buf, cap);
    if (!p)
        return err_nomem(s->cx);
    s->buf = p;
    s->cap = cap;
    return 0;
}

int sink_write(struct sink *s, const void *p, size_t n)
{
    int r = 0;

    if (s->hashing)
        add_hash(s, p, n);
    s->total += n;
    if (s->fd < 0)
        r = grow_mem(s, n);
    else if (s->cap - s->n < n)
        r = sink_flush(s);
    if (r < 0)
        return r;
    if (s->fd >= 0 && n >= s->cap)
        return write_all(s, p, n);
    if (n)
        memcpy(s->buf + s->n, p, n);
    s->n += n;
    return 0;
}

int sink_payload(struct sink *s, const struct pb_payload *pl)
{
    struct pb_reader rd;
    uint8_t *buf;
    int r = 0;

    if (pl->bytes)
        return sink_write(s, pl->bytes, (size_t)pl->total);
    buf = mem_alloc(SINK_BUF);
    if (!buf)
        return err_nomem(s->cx);
    pb_reader_init(&rd, s->cx, pl, buf, SINK_BUF);
    while (!r) {
        r = pb_reader_fill(&rd, 1);
        if (r < 0 || rd.n == rd.pos)
            break;
        r = sink_write(s, buf + rd.pos, rd.n - rd.pos);
        rd.pos = rd.n;
    }
    free(buf);
    return r;
}

/* ---- numbers ---- */

static unsigned varint_size(uint64_t v)
{
    return v ? (unsigned)(64 - __builtin_clzll(v) + 6) / 7 : 1;
}

static int put_varint(struct sink *s, uint64_t v)
{
    uint8_t b[10];
    unsigned n = 0;

    while (v >= 0x80) {
        b[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    b[n++] = (uint8_t)v;
    return sink_write(s, b, n);
}

static int fixed_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 4;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

/* The number that the varint of a scalar holds: negative int32 and enums take ten bytes. */
static uint64_t varint_of(ProtobufCType type, const void *p)
{
    int32_t i;
    int64_t l;

    if (pb_elem_size(type) == 8) {
        memcpy(&l, p, 8);
        return type == PROTOBUF_C_TYPE_SINT64 ? ((uint64_t)l << 1) ^ (uint64_t)(l >> 63) : (uint64_t)l;
    }
    memcpy(&i, p, 4);
    if (type == PROTOBUF_C_TYPE_SINT32)
        return ((uint32_t)i << 1) ^ (uint32_t)(i >> 31);
    return type == PROTOBUF_C_TYPE_UINT32 ? (uint32_t)i : (uint64_t)(int64_t)i;
}

static unsigned scalar_size(ProtobufCType type, const void *p)
{
    unsigned n = (unsigned)fixed_size(type);

    return n ? n : varint_size(varint_of(type, p));
}

static int put_scalar(struct sink *s, ProtobufCType type, const void *p)
{
    int n = fixed_size(type);

    return n ? sink_write(s, p, (size_t)n) : put_varint(s, varint_of(type, p));
}

static int wire_of(ProtobufCType type)
{
    if (type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE)
        return 2;
    return fixed_size(type) == 8 ? 1 : fixed_size(type) == 4 ? 5 : 0;
}

static uint64_t tag_of(const ProtobufCFieldDescriptor *fd, int wt)
{
    return (uint64_t)fd->id << 3 | (unsigned)wt;
}

/* ---- which fields are there ---- */

/* Number of elements to write of one field. */
static size_t elements(const void *msg, const ProtobufCFieldDescriptor *fd)
{
    const char *q = (const char *)msg + fd->quantifier_offset;

    if (fd->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)q;
    if (fd->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)q == fd->id;
    if (fd->type == PROTOBUF_C_TYPE_STRING || fd->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)(const void *)((const char *)msg + fd->offset) != NULL;
    return *(const protobuf_c_boolean *)(const void *)q != 0;
}

static const char *first(const void *msg, const ProtobufCFieldDescriptor *fd)
{
    const char *p = (const char *)msg + fd->offset;

    return fd->label == PROTOBUF_C_LABEL_REPEATED ? *(char *const *)(const void *)p : p;
}

static bool is_packed(const ProtobufCFieldDescriptor *fd)
{
    return (fd->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0;
}

/* Content of a packed field, without tag and length. */
static uint64_t packed_size(const void *msg, const ProtobufCFieldDescriptor *fd, size_t n)
{
    const char *p = first(msg, fd);
    uint64_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += scalar_size(fd->type, p + i * pb_elem_size(fd->type));
    return size;
}

static const struct pb_payload *payload_in(const void *msg, const ProtobufCFieldDescriptor *fd)
{
    const struct pb_payload *pl = pb_info(msg)->payload;

    return pl && pl->total && (unsigned)pl->field == fd->id ? pl : NULL;
}

/* ---- sizes ---- */

static uint64_t with_len(uint64_t n)
{
    return n + varint_size(n);
}

static uint64_t element_size(ProtobufCType type, const void *p)
{
    if (type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(const char *const *)p;
        return with_len(s ? strlen(s) : 0);
    }
    if (type == PROTOBUF_C_TYPE_BYTES)
        return with_len(((const ProtobufCBinaryData *)p)->len);
    if (type == PROTOBUF_C_TYPE_MESSAGE)
        return with_len(pb_measure(*(void *const *)p));
    return scalar_size(type, p);
}

static uint64_t field_size(const void *msg, const ProtobufCFieldDescriptor *fd, bool may_be_payload)
{
    const struct pb_payload *pl = may_be_payload ? payload_in(msg, fd) : NULL;
    size_t n = elements(msg, fd);
    unsigned tag = varint_size(tag_of(fd, 0));
    uint64_t size = 0;

    if (pl)
        return tag + with_len(pl->total);
    if (n && is_packed(fd))
        return tag + with_len(packed_size(msg, fd, n));
    for (size_t i = 0; i < n; i++)
        size += tag + element_size(fd->type, first(msg, fd) + i * pb_elem_size(fd->type));
    return size;
}

static const struct pb_lazy *lazy_of(const ProtobufCMessageUnknownField *u)
{
    return u->tag & PB_LAZY_BIT ? (const struct pb_lazy *)(const void *)u->data : NULL;
}

static uint64_t unknown_tag(const ProtobufCMessageUnknownField *u)
{
    return (uint64_t)(u->tag & ~PB_LAZY_BIT) << 3 | (unsigned)u->wire_type;
}

uint64_t pb_measure(void *msg)
{
    const ProtobufCMessage *m = msg;
    const ProtobufCMessageDescriptor *desc = m->descriptor;
    uint64_t size = 0;

    for (unsigned i = 0; i < desc->n_fields; i++)
        size += field_size(msg, &desc->fields[i], pb_is_payload(desc, desc->fields[i].id));
    for (unsigned i = 0; i < m->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *u = &m->unknown_fields[i];

        size += varint_size(unknown_tag(u)) + (lazy_of(u) ? lazy_of(u)->len : u->len);
    }
    pb_info(msg)->size = size;
    return size;
}

/* ---- writing ---- */

static int put_message(struct sink *s, const void *msg);

static int put_bytes(struct sink *s, const void *p, size_t n)
{
    int r = put_varint(s, n);

    return r < 0 ? r : sink_write(s, p, n);
}

static int put_element(struct sink *s, ProtobufCType type, const void *p)
{
    if (type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(const char *const *)p;
        return put_bytes(s, text, text ? strlen(text) : 0);
    }
    if (type == PROTOBUF_C_TYPE_BYTES)
        return put_bytes(s, ((const ProtobufCBinaryData *)p)->data, ((const ProtobufCBinaryData *)p)->len);
    if (type == PROTOBUF_C_TYPE_MESSAGE) {
        const void *msg = *(void *const *)p;
        int r = put_varint(s, pb_info(msg)->size);

        return r < 0 ? r : put_message(s, msg);
    }
    return put_scalar(s, type, p);
}

static int put_payload(struct sink *s, const ProtobufCFieldDescriptor *fd, const struct pb_payload *pl)
{
    int r = put_varint(s, tag_of(fd, 2));

    if (!r)
        r = put_varint(s, pl->total);
    return r < 0 ? r : sink_payload(s, pl);
}

static int put_field(struct sink *s, const void *msg, const ProtobufCFieldDescriptor *fd, bool may_be_payload)
{
    const struct pb_payload *pl = may_be_payload ? payload_in(msg, fd) : NULL;
    size_t n = elements(msg, fd), size = pb_elem_size(fd->type);
    int r = 0;

    if (pl)
        return put_payload(s, fd, pl);
    if (n && is_packed(fd)) {
        r = put_varint(s, tag_of(fd, 2));
        if (!r)
            r = put_varint(s, packed_size(msg, fd, n));
        for (size_t i = 0; i < n && !r; i++)
            r = put_scalar(s, fd->type, first(msg, fd) + i * size);
        return r;
    }
    for (size_t i = 0; i < n && !r; i++) {
        r = put_varint(s, tag_of(fd, wire_of(fd->type)));
        if (!r)
            r = put_element(s, fd->type, first(msg, fd) + i * size);
    }
    return r;
}

static int put_unknown(struct sink *s, const ProtobufCMessageUnknownField *u)
{
    const struct pb_lazy *lazy = lazy_of(u);
    struct segment seg;
    struct pb_payload pl;
    int r = put_varint(s, unknown_tag(u));

    if (r < 0)
        return r;
    if (!lazy)
        return sink_write(s, u->data, u->len);
    seg = (struct segment){lazy->off, lazy->len};
    pl = (struct pb_payload){.file = lazy->file, .seg = &seg, .nseg = 1, .total = lazy->len};
    return sink_payload(s, &pl);
}

static int put_message(struct sink *s, const void *msg)
{
    const ProtobufCMessage *m = msg;
    const ProtobufCMessageDescriptor *desc = m->descriptor;
    int r = 0;

    for (unsigned i = 0; i < desc->n_fields && !r; i++)
        r = put_field(s, msg, &desc->fields[i], pb_is_payload(desc, desc->fields[i].id));
    for (unsigned i = 0; i < m->n_unknown_fields && !r; i++)
        r = put_unknown(s, &m->unknown_fields[i]);
    return r;
}

int pb_encode(struct sink *s, void *msg)
{
    pb_measure(msg);
    return put_message(s, msg);
}
