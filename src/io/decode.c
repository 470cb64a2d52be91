/* The decoder of decode.h.
 *
 * Input goes through one window that slides over the file. It starts small after every jump and doubles while
 * reading goes on, so that skipping three thousand payloads does not read three thousand full windows:
 *
 *     file    |--header--|####payload####|-header-|####payload####|---- nodes ... ----|
 *     window  [4K][8K]                   [4K]                     [4K][8K][16K]...[256K]
 */
#include "io/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "onnx.pb-c.h"

enum { WIN_MIN = 1024, WIN_MAX = 262144, PATH_STEPS = 12 };

enum { WT_VARINT = 0, WT_64 = 1, WT_LEN = 2, WT_GROUP = 3, WT_END = 4, WT_32 = 5 };

struct dec {
    struct cx *cx;
    struct file *f;
    struct arena *a;
    uint8_t *own;       /* window of our own, or NULL for a file in memory */
    const uint8_t *win; /* bytes [win_off, win_off + win_n) of the file */
    uint64_t win_off;
    size_t win_n, next_read;
    uint64_t pos, end; /* end: of the outermost message */
    int npath;         /* messages around the one that is read; those beyond PATH_STEPS are not kept */
    struct step {
        const ProtobufCFieldDescriptor *fd;
        size_t index;
    } path[PATH_STEPS];
};

/* ---- messages ---- */

void *pb_new(struct arena *a, const ProtobufCMessageDescriptor *desc)
{
    struct pb_info *info = arena_alloc(a, sizeof(*info) + desc->sizeof_message);

    if (!info)
        return NULL;
    memset(info, 0, sizeof(*info));
    desc->message_init((ProtobufCMessage *)(info + 1));
    return info + 1;
}

void *pb_clone(struct arena *a, const void *msg)
{
    const ProtobufCMessage *m = msg;
    struct pb_info *info = arena_dup(a, pb_info(msg), sizeof(*info) + m->descriptor->sizeof_message);

    return info ? info + 1 : NULL;
}

size_t pb_elem_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static int wire_type(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WT_64;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WT_32;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WT_LEN;
    default:
        return WT_VARINT;
    }
}

bool pb_is_payload(const ProtobufCMessageDescriptor *desc, unsigned field)
{
    if (desc != &onnx__tensor_proto__descriptor)
        return false;
    return field == 4 || field == 5 || field == 7 || field == 9 || field == 10 || field == 11;
}

/* ---- errors ---- */

/* Where d is, as "in graph.node[3].attribute: "; empty in the outermost message. */
static void path_text(const struct dec *d, struct str *s)
{
    for (int i = 0; i < d->npath && i < PATH_STEPS; i++) {
        const struct step *p = &d->path[i];

        str_addf(s, "%s%s", i ? "." : "in ", p->fd->name);
        if (p->fd->label == PROTOBUF_C_LABEL_REPEATED)
            str_addf(s, "[%zu]", p->index);
    }
    if (d->npath)
        str_addf(s, "%s: ", d->npath > PATH_STEPS ? "..." : "");
}

static int bad(struct dec *d, uint64_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int bad(struct dec *d, uint64_t at, const char *fmt, ...)
{
    char text[320];
    struct str where = {0};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    path_text(d, &where);
    int r = err_set(d->cx, E_PARSE, "%s+0x%llx: %s%s", d->f->path, (unsigned long long)at, str_text(&where),
                    text);
    str_free(&where);
    return r;
}

/* A field that does not fit what holds it. Only the outermost message ends where the file does. */
static int too_long(struct dec *d, uint64_t at, uint64_t limit, const char *what, uint64_t len)
{
    uint64_t left = limit - d->pos;
    bool cut = limit == d->end && limit == d->f->size && d->npath == 0;

    if (cut)
        return bad(d, at,
                   "%s says that it has %llu bytes, but the file ends after %llu: it is cut off (%llu bytes "
                   "are missing), or damaged here",
                   what, (unsigned long long)len, (unsigned long long)left, (unsigned long long)(len - left));
    return bad(d, at, "%s says that it has %llu bytes, but only %llu are left in what holds it", what,
               (unsigned long long)len, (unsigned long long)left);
}

/* The arena refused: either the system has no memory, or the file wants more than its budget. */
static int no_memory(struct dec *d)
{
    if (d->a->limit && d->a->used > d->a->limit / 4)
        return bad(d, d->pos, "decoding needs more than %zu bytes of memory for a file of %llu bytes",
                   d->a->limit, (unsigned long long)d->f->size);
    return err_nomem(d->cx);
}

/* ---- the window ---- */

static size_t avail(const struct dec *d)
{
    if (d->pos < d->win_off || d->pos - d->win_off >= d->win_n)
        return 0;
    return d->win_n - (size_t)(d->pos - d->win_off);
}

static const uint8_t *at(const struct dec *d)
{
    return d->win + (d->pos - d->win_off);
}

/* Makes at least n bytes available at pos; the caller has checked that the file has them. n <= WIN_MIN. */
static int need(struct dec *d, size_t n)
{
    size_t have = avail(d), want;
    uint64_t end;

    if (have >= n)
        return 0;
    end = d->win_off + d->win_n;
    if (d->pos >= d->win_off && d->pos <= end && d->win_n)
        d->next_read = d->next_read < WIN_MAX / 2 ? d->next_read * 2 : WIN_MAX;
    else
        d->next_read = WIN_MIN;
    if (have)
        memmove(d->own, at(d), have);
    want = d->next_read - have;
    if (want > d->f->size - d->pos - have)
        want = (size_t)(d->f->size - d->pos - have);
    d->win_off = d->pos;
    d->win_n = 0;
    int r = file_read(d->cx, d->f, d->pos + have, d->own + have, want);
    if (r < 0)
        return r;
    d->win_n = have + want;
    return 0;
}

/* Copies n bytes from pos and moves on; the caller has checked that the file has them. */
static int take(struct dec *d, void *dst, uint64_t n)
{
    size_t have = avail(d);
    int r;

    if (have > n)
        have = (size_t)n;
    if (have)
        memcpy(dst, at(d), have);
    d->pos += have;
    n -= have;
    if (!n)
        return 0;
    if (n > WIN_MIN) {
        r = file_read(d->cx, d->f, d->pos, (uint8_t *)dst + have, (size_t)n);
    } else {
        r = need(d, (size_t)n);
        if (!r)
            memcpy((uint8_t *)dst + have, at(d), (size_t)n);
    }
    d->pos += n;
    return r;
}

/* ---- scalars ---- */

static int get_varint(struct dec *d, uint64_t limit, uint64_t *out)
{
    uint64_t left = limit - d->pos, v = 0, start = d->pos;
    size_t n = left < 10 ? (size_t)left : 10;
    const uint8_t *p;
    int r = need(d, n);

    if (r < 0)
        return r;
    p = n ? at(d) : NULL;
    for (size_t i = 0; i < n; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80) {
            if (i == 9 && p[i] > 1)
                return bad(d, start, "a number of more than 64 bits");
            d->pos += i + 1;
            *out = v;
            return 0;
        }
    }
    return n < 10 ? bad(d, start, "a number is cut off") : bad(d, start, "a number of more than 10 bytes");
}

static int get_fixed(struct dec *d, uint64_t limit, unsigned n, uint64_t *out)
{
    uint8_t b[8] = {0};
    int r;

    if (limit - d->pos < n)
        return bad(d, d->pos, "a %u-byte number is cut off", n);
    r = take(d, b, n);
    *out = 0;
    for (unsigned i = 0; i < n; i++)
        *out |= (uint64_t)b[i] << (8 * i);
    return r;
}

static int get_wire(struct dec *d, uint64_t limit, int wt, uint64_t *out)
{
    if (wt == WT_VARINT)
        return get_varint(d, limit, out);
    return get_fixed(d, limit, wt == WT_64 ? 8 : 4, out);
}

static void store_scalar(ProtobufCType type, void *p, uint64_t v)
{
    uint32_t w = (uint32_t)v;

    if (type == PROTOBUF_C_TYPE_SINT32)
        w = (w >> 1) ^ (0u - (w & 1));
    else if (type == PROTOBUF_C_TYPE_SINT64)
        v = (v >> 1) ^ (0u - (v & 1));
    else if (type == PROTOBUF_C_TYPE_BOOL)
        w = v != 0;
    if (pb_elem_size(type) == 8)
        memcpy(p, &v, 8);
    else
        memcpy(p, &w, 4);
}

/* Length prefix of a field of the message that ends at limit. */
static int get_len(struct dec *d, uint64_t limit, const char *what, uint64_t *len)
{
    uint64_t start = d->pos;
    int r = get_varint(d, limit, len);

    if (r < 0)
        return r;
    if (*len > limit - d->pos)
        return too_long(d, start, limit, what, *len);
    return 0;
}

/* ---- fields ---- */

/* Room for one more element behind *n in a repeated field. Capacities are powers of two, so *n alone tells
 * when to grow. */
static void *append(struct dec *d, void *msg, const ProtobufCFieldDescriptor *fd)
{
    size_t *n = (size_t *)((char *)msg + fd->quantifier_offset);
    char **array = (char **)((char *)msg + fd->offset);
    size_t size = pb_elem_size(fd->type);

    if ((*n & (*n - 1)) == 0) {
        size_t cap = *n ? *n * 2 : 1;
        char *p = arena_array(d->a, cap, size);

        if (!p)
            return NULL;
        if (*n)
            memcpy(p, *array, *n * size);
        *array = p;
    }
    return *array + (*n)++ * size;
}

static bool is_oneof(const ProtobufCFieldDescriptor *fd)
{
    return (fd->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* Marks a singular field as present; the other members of its oneof go. */
static void set_present(void *msg, const ProtobufCFieldDescriptor *fd)
{
    char *q = (char *)msg + fd->quantifier_offset;

    if (is_oneof(fd)) {
        if (*(uint32_t *)q != fd->id)
            memset((char *)msg + fd->offset, 0, pb_elem_size(fd->type));
        *(uint32_t *)q = fd->id;
    } else if (fd->type != PROTOBUF_C_TYPE_STRING && fd->type != PROTOBUF_C_TYPE_MESSAGE) {
        *(protobuf_c_boolean *)q = 1;
    }
}

static int get_string(struct dec *d, uint64_t limit, const ProtobufCFieldDescriptor *fd, char **out)
{
    uint64_t len;
    const char *nul;
    char *p;
    int r = get_len(d, limit, fd->name, &len);

    if (r < 0)
        return r;
    p = arena_alloc(d->a, (size_t)len + 1);
    if (!p)
        return no_memory(d);
    r = take(d, p, len);
    if (r < 0)
        return r;
    p[len] = 0;
    nul = memchr(p, 0, (size_t)len);
    if (nul)
        return bad(d, d->pos - len + (uint64_t)(nul - p), "%s holds a zero byte", fd->name);
    *out = p;
    return 0;
}

static int get_bytes(struct dec *d, uint64_t limit, const ProtobufCFieldDescriptor *fd,
                     ProtobufCBinaryData *out)
{
    uint64_t len;
    int r = get_len(d, limit, fd->name, &len);

    if (r < 0)
        return r;
    out->len = (size_t)len;
    out->data = arena_alloc(d->a, out->len + 1);
    if (!out->data)
        return no_memory(d);
    r = take(d, out->data, len);
    out->data[len] = 0;
    return r;
}

static struct pb_payload *payload_of(struct dec *d, void *msg)
{
    struct pb_info *info = pb_info(msg);

    if (!info->payload) {
        info->payload = arena_zalloc(d->a, sizeof(struct pb_payload));
        if (info->payload)
            info->payload->file = d->f;
    }
    return info->payload;
}

/* Keeps small payloads in memory: appends [pos, pos+len) to pl->bytes, whose buffer always has room for
 * PB_INLINE_MAX bytes once it exists beyond the first piece. */
static int keep_inline(struct dec *d, struct pb_payload *pl, uint64_t len)
{
    uint64_t before = pl->total - len, pos = d->pos;
    uint8_t *p;
    int r;

    if (pl->total > PB_INLINE_MAX || (before && !pl->bytes)) {
        pl->bytes = NULL;
        return 0;
    }
    p = (uint8_t *)(uintptr_t)pl->bytes;
    if (pl->nseg == 1)
        p = arena_alloc(d->a, (size_t)len);
    else if (pl->nseg == 2) {
        p = arena_alloc(d->a, PB_INLINE_MAX);
        if (p)
            memcpy(p, pl->bytes, (size_t)before);
    }
    if (!p)
        return no_memory(d);
    r = take(d, p + before, len);
    d->pos = pos;
    pl->bytes = p;
    return r;
}

/* Records [pos, pos+len) as a piece of the tensor's payload and moves on. */
static int add_segment(struct dec *d, void *msg, const ProtobufCFieldDescriptor *fd, uint64_t start,
                       uint64_t len)
{
    struct pb_payload *pl = payload_of(d, msg);
    bool raw = fd->type == PROTOBUF_C_TYPE_BYTES;
    int r;

    if (!pl)
        return no_memory(d);
    if (pl->total && (unsigned)pl->field != fd->id)
        return bad(d, start, "a tensor has values in two fields, %s is the second", fd->name);
    if (raw) {
        pl->nseg = 0;
        pl->total = 0;
    }
    if (!len)
        return 0;
    if ((pl->nseg & (pl->nseg - 1)) == 0) {
        struct segment *s = arena_array(d->a, pl->nseg ? pl->nseg * 2 : 1, sizeof(*s));

        if (!s)
            return no_memory(d);
        if (pl->nseg)
            memcpy(s, pl->seg, pl->nseg * sizeof(*s));
        pl->seg = s;
    }
    pl->field = (int)fd->id;
    pl->seg[pl->nseg++] = (struct segment){d->pos, len};
    pl->total += len;
    r = keep_inline(d, pl, len);
    d->pos += len;
    return r;
}

static int get_payload(struct dec *d, void *msg, const ProtobufCFieldDescriptor *fd, int wt, uint64_t limit)
{
    uint64_t start = d->pos, len;
    int r;

    if (wt == WT_LEN) {
        r = get_len(d, limit, fd->name, &len);
        if (r < 0)
            return r;
        if (fd->type == PROTOBUF_C_TYPE_BYTES)
            ((Onnx__TensorProto *)msg)->has_raw_data = 1;
        return add_segment(d, msg, fd, start, len);
    }
    /* One element that is not packed: its bytes are what a packed field would hold. */
    r = get_wire(d, limit, wt, &len);
    if (r < 0)
        return r;
    len = d->pos - start;
    d->pos = start;
    return add_segment(d, msg, fd, start, len);
}

static int get_packed(struct dec *d, void *msg, const ProtobufCFieldDescriptor *fd, uint64_t limit)
{
    int wt = wire_type(fd->type), r;
    uint64_t len, v, end;

    r = get_len(d, limit, fd->name, &len);
    if (r < 0)
        return r;
    end = d->pos + len;
    while (d->pos < end) {
        void *p;

        r = get_wire(d, end, wt, &v);
        if (r < 0)
            return r;
        p = append(d, msg, fd);
        if (!p)
            return no_memory(d);
        store_scalar(fd->type, p, v);
    }
    return 0;
}

static int get_message(struct dec *d, ProtobufCMessage *msg, uint64_t limit, int depth);

static int get_submessage(struct dec *d, void *msg, const ProtobufCFieldDescriptor *fd, uint64_t limit,
                          int depth)
{
    void **slot = (void **)((char *)msg + fd->offset);
    uint64_t len;
    int r = get_len(d, limit, fd->name, &len);

    if (r < 0)
        return r;
    if (depth >= PB_MAX_DEPTH)
        return bad(d, d->pos, "messages are nested more than %d deep (about %d graphs)", PB_MAX_DEPTH,
                   PB_MAX_DEPTH / 3);
    if (fd->label == PROTOBUF_C_LABEL_REPEATED) {
        slot = append(d, msg, fd);
        if (!slot)
            return no_memory(d);
    } else {
        set_present(msg, fd);
    }
    if (!*slot) {
        *slot = pb_new(d->a, fd->descriptor);
        if (!*slot)
            return no_memory(d);
        pb_info(*slot)->loc = d->pos;
    }
    if (d->npath < PATH_STEPS) {
        size_t n =
            fd->label == PROTOBUF_C_LABEL_REPEATED ? *(size_t *)((char *)msg + fd->quantifier_offset) - 1 : 0;
        d->path[d->npath] = (struct step){fd, n};
    }
    d->npath++;
    r = get_message(d, *slot, d->pos + len, depth + 1);
    d->npath--;
    return r;
}

static int get_scalar(struct dec *d, void *msg, const ProtobufCFieldDescriptor *fd, uint64_t limit)
{
    uint64_t v;
    void *p = (char *)msg + fd->offset;
    int r = get_wire(d, limit, wire_type(fd->type), &v);

    if (r < 0)
        return r;
    if (fd->label == PROTOBUF_C_LABEL_REPEATED)
        p = append(d, msg, fd);
    else
        set_present(msg, fd);
    if (!p)
        return no_memory(d);
    store_scalar(fd->type, p, v);
    return 0;
}

static int get_text(struct dec *d, void *msg, const ProtobufCFieldDescriptor *fd, uint64_t limit)
{
    void *p = (char *)msg + fd->offset;

    if (fd->label == PROTOBUF_C_LABEL_REPEATED)
        p = append(d, msg, fd);
    else
        set_present(msg, fd);
    if (!p)
        return no_memory(d);
    return fd->type == PROTOBUF_C_TYPE_STRING ? get_string(d, limit, fd, p) : get_bytes(d, limit, fd, p);
}

static int get_known(struct dec *d, ProtobufCMessage *msg, const ProtobufCFieldDescriptor *fd, int wt,
                     uint64_t tag_at, uint64_t limit, int depth)
{
    int want = wire_type(fd->type);
    bool packed = wt == WT_LEN && want != WT_LEN && fd->label == PROTOBUF_C_LABEL_REPEATED;

    if (wt != want && !packed)
        return bad(d, tag_at, "%s of %s has wire type %d, expected %d", fd->name, msg->descriptor->short_name,
                   wt, want);
    if (pb_is_payload(msg->descriptor, fd->id))
        return get_payload(d, msg, fd, wt, limit);
    if (packed)
        return get_packed(d, msg, fd, limit);
    if (fd->type == PROTOBUF_C_TYPE_MESSAGE)
        return get_submessage(d, msg, fd, limit, depth);
    if (want == WT_LEN)
        return get_text(d, msg, fd, limit);
    return get_scalar(d, msg, fd, limit);
}

/* ---- unknown fields ---- */

/* Moves past the rest of a group (an old form of nesting, delimited by tags), without recursion. */
static int skip_group(struct dec *d, uint64_t limit)
{
    unsigned depth = 1;
    uint64_t v, start = d->pos;
    int r = 0;

    while (depth && d->pos < limit) {
        r = get_varint(d, limit, &v);
        if (r < 0)
            return r;
        switch (v & 7) {
        case WT_VARINT:
        case WT_64:
        case WT_32:
            r = get_wire(d, limit, (int)(v & 7), &v);
            break;
        case WT_LEN:
            r = get_len(d, limit, "a field", &v);
            if (!r)
                d->pos += v;
            break;
        case WT_GROUP:
            depth++;
            break;
        case WT_END:
            depth--;
            break;
        default:
            return bad(d, d->pos, "wire type %d does not exist", (int)(v & 7));
        }
        if (r < 0)
            return r;
    }
    return depth ? bad(d, start, "a group does not end") : 0;
}

/* Leaves pos behind the value of an unknown field. */
static int skip_value(struct dec *d, int wt, uint64_t tag_at, uint64_t limit)
{
    uint64_t v;
    int r;

    switch (wt) {
    case WT_VARINT:
    case WT_64:
    case WT_32:
        return get_wire(d, limit, wt, &v);
    case WT_LEN:
        r = get_len(d, limit, "an unknown field", &v);
        if (!r)
            d->pos += v;
        return r;
    case WT_GROUP:
        return skip_group(d, limit);
    default:
        return bad(d, tag_at, "wire type %d is not one a field can have", wt);
    }
}

static int keep_unknown(struct dec *d, ProtobufCMessage *msg, uint64_t tag, uint64_t tag_at, uint64_t limit)
{
    unsigned n = msg->n_unknown_fields;
    uint64_t start = d->pos, len;
    ProtobufCMessageUnknownField *u;
    int r = skip_value(d, (int)(tag & 7), tag_at, limit);

    if (r < 0)
        return r;
    len = d->pos - start;
    if ((n & (n - 1)) == 0) {
        u = arena_array(d->a, n ? 2 * (size_t)n : 1, sizeof(*u));
        if (!u)
            return no_memory(d);
        if (n)
            memcpy(u, msg->unknown_fields, n * sizeof(*u));
        msg->unknown_fields = u;
    }
    u = &msg->unknown_fields[n];
    u->tag = (uint32_t)(tag >> 3);
    u->wire_type = (ProtobufCWireType)(tag & 7);
    u->len = (size_t)len;
    u->data = arena_alloc(d->a, len > PB_UNKNOWN_MAX ? sizeof(struct pb_lazy) : (size_t)len);
    if (!u->data)
        return no_memory(d);
    msg->n_unknown_fields = n + 1;
    if (len > PB_UNKNOWN_MAX) {
        u->tag |= PB_LAZY_BIT;
        *(struct pb_lazy *)(void *)u->data = (struct pb_lazy){d->f, start, len};
        return 0;
    }
    d->pos = start;
    return take(d, u->data, len);
}

/* ---- messages ---- */

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *desc, uint64_t id,
                                                  unsigned *hint)
{
    /* Writers put fields in order: it is the last one again, or the next. */
    for (unsigned i = *hint; i < desc->n_fields && i < *hint + 2; i++)
        if (desc->fields[i].id == id) {
            *hint = i;
            return &desc->fields[i];
        }
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (desc->fields[i].id == id) {
            *hint = i;
            return &desc->fields[i];
        }
    return NULL;
}

static int get_message(struct dec *d, ProtobufCMessage *msg, uint64_t limit, int depth)
{
    unsigned hint = 0;
    int r = 0;

    while (!r && d->pos < limit) {
        const ProtobufCFieldDescriptor *fd;
        uint64_t tag, tag_at = d->pos;

        r = get_varint(d, limit, &tag);
        if (r < 0)
            return r;
        if (tag >> 3 == 0 || tag >> 32)
            return bad(d, tag_at, "%llu is not a field number", (unsigned long long)(tag >> 3));
        fd = find_field(msg->descriptor, tag >> 3, &hint);
        if (fd)
            r = get_known(d, msg, fd, (int)(tag & 7), tag_at, limit, depth);
        else
            r = keep_unknown(d, msg, tag, tag_at, limit);
    }
    return r;
}

int pb_decode(struct cx *cx, struct file *f, uint64_t off, uint64_t len,
              const ProtobufCMessageDescriptor *desc, struct arena *a, void **out)
{
    struct dec d = {.cx = cx, .f = f, .a = a, .pos = off, .end = off + len, .next_read = WIN_MIN};
    void *msg = pb_new(a, desc);
    int r;

    *out = msg;
    if (!msg)
        return no_memory(&d);
    if (off > f->size || len > f->size - off)
        return bad(&d, off, "the file ends before the message does");
    pb_info(msg)->loc = off;
    if (f->mem) {
        d.win = f->mem;
        d.win_n = (size_t)f->size;
    } else {
        d.own = mem_alloc(WIN_MAX);
        if (!d.own)
            return err_nomem(cx);
        d.win = d.own;
    }
    r = get_message(&d, msg, off + len, 0);
    free(d.own);
    return r;
}

/* ---- payload reader ---- */

void pb_reader_init(struct pb_reader *r, struct cx *cx, const struct pb_payload *pl, void *buf, size_t cap)
{
    *r = (struct pb_reader){.cx = cx, .pl = pl, .left = pl->total, .buf = buf, .cap = cap};
}

/* Reads n payload bytes to dst; n is at most what is left. */
static int read_through(struct pb_reader *r, uint8_t *dst, uint64_t n)
{
    const struct pb_payload *pl = r->pl;

    r->left -= n;
    if (pl->bytes) {
        memcpy(dst, pl->bytes + (pl->total - r->left - n), (size_t)n);
        return 0;
    }
    while (n) {
        const struct segment *s = &pl->seg[r->seg];
        uint64_t k = s->len - r->seg_off;
        int e;

        if (k > n)
            k = n;
        e = file_read(r->cx, pl->file, s->off + r->seg_off, dst, (size_t)k);
        if (e < 0)
            return e;
        dst += k;
        n -= k;
        r->seg_off += k;
        if (r->seg_off == s->len) {
            r->seg++;
            r->seg_off = 0;
        }
    }
    return 0;
}

int pb_reader_fill(struct pb_reader *r, size_t n)
{
    size_t have = r->n - r->pos, want;
    int e;

    if (have >= n || !r->left)
        return 0;
    memmove(r->buf, r->buf + r->pos, have);
    r->pos = 0;
    r->n = have;
    want = r->cap - have;
    if (want > r->left)
        want = (size_t)r->left;
    e = read_through(r, r->buf + have, want);
    if (!e)
        r->n = have + want;
    return e;
}

int pb_reader_bytes(struct pb_reader *r, void *dst, uint64_t n)
{
    uint64_t have = r->n - r->pos;

    if (n > have + r->left)
        return err_set(r->cx, E_DATA, "the stored values end early");
    if (have > n)
        have = n;
    memcpy(dst, r->buf + r->pos, (size_t)have);
    r->pos += (size_t)have;
    return read_through(r, (uint8_t *)dst + have, n - have);
}

int pb_reader_varint(struct pb_reader *r, uint64_t *v, bool *end)
{
    size_t have;
    int e = pb_reader_fill(r, 10);

    if (e < 0)
        return e;
    have = r->n - r->pos;
    *end = have == 0;
    *v = 0;
    if (*end)
        return 0;
    for (size_t i = 0; i < have && i < 10; i++) {
        uint8_t b = r->buf[r->pos + i];

        *v |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            r->pos += i + 1;
            return 0;
        }
    }
    return err_set(r->cx, E_DATA, "a stored number is malformed");
}
