/* A protobuf file as a tree of fields, for mutations that keep it well-formed. */
#include "proto_tree.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, BLOCK = 1 << 16, MAX_DEPTH = 60 };

/* ---- memory ---- */

struct pool_block {
    struct pool_block *next;
    max_align_t bytes[];
};

static void *take(struct pb_pool *pool, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (!pool->first || pool->used + n > BLOCK) {
        struct pool_block *b = malloc(sizeof(*b) + (n > BLOCK ? n : BLOCK));

        if (!b) {
            fprintf(stderr, "pipeline: out of memory\n");
            exit(1);
        }
        b->next = pool->first;
        pool->first = b;
        pool->used = 0;
    }
    pool->used += n;
    return (char *)pool->first->bytes + pool->used - n;
}

void pb_pool_free(struct pb_pool *pool)
{
    while (pool->first) {
        struct pool_block *next = pool->first->next;

        free(pool->first);
        pool->first = next;
    }
    pool->used = 0;
}

static struct pb *new_pb(struct pb_pool *pool, struct pb *up, unsigned id, unsigned wire)
{
    struct pb *m = take(pool, sizeof(*m));

    *m = (struct pb){.up = up, .id = id, .wire = wire};
    return m;
}

static void add_kid(struct pb_pool *pool, struct pb *m, struct pb *kid)
{
    if (m->nkids == m->cap) {
        struct pb **grown;

        m->cap = 2 * m->cap + 4;
        grown = take(pool, m->cap * sizeof(struct pb *));
        if (m->nkids)
            memcpy(grown, m->kids, m->nkids * sizeof(struct pb *));
        m->kids = grown;
    }
    kid->up = m;
    m->kids[m->nkids++] = kid;
}

/* ---- reading ---- */

static const struct {
    unsigned char in, id, kid;
} messages[] = {
    {MSG_MODEL, 7, MSG_GRAPH},      {MSG_MODEL, 8, MSG_OPSET},       {MSG_MODEL, 25, MSG_FUNCTION},
    {MSG_GRAPH, 1, MSG_NODE},       {MSG_GRAPH, 5, MSG_TENSOR},      {MSG_GRAPH, 11, MSG_VALUE},
    {MSG_GRAPH, 12, MSG_VALUE},     {MSG_GRAPH, 13, MSG_VALUE},      {MSG_GRAPH, 15, MSG_SPARSE},
    {MSG_NODE, 5, MSG_ATTR},        {MSG_ATTR, 5, MSG_TENSOR},       {MSG_ATTR, 6, MSG_GRAPH},
    {MSG_ATTR, 10, MSG_TENSOR},     {MSG_ATTR, 11, MSG_GRAPH},       {MSG_ATTR, 14, MSG_TYPE},
    {MSG_ATTR, 15, MSG_TYPE},       {MSG_ATTR, 22, MSG_SPARSE},      {MSG_ATTR, 23, MSG_SPARSE},
    {MSG_SPARSE, 1, MSG_TENSOR},    {MSG_SPARSE, 2, MSG_TENSOR},     {MSG_VALUE, 2, MSG_TYPE},
    {MSG_TYPE, 1, MSG_TYPE_TENSOR}, {MSG_TYPE, 4, MSG_TYPE_ELEM},    {MSG_TYPE, 5, MSG_TYPE_MAP},
    {MSG_TYPE, 8, MSG_TYPE_TENSOR}, {MSG_TYPE, 9, MSG_TYPE_ELEM},    {MSG_TYPE_ELEM, 1, MSG_TYPE},
    {MSG_TYPE_MAP, 2, MSG_TYPE},    {MSG_TYPE_TENSOR, 2, MSG_SHAPE}, {MSG_SHAPE, 1, MSG_DIM},
    {MSG_FUNCTION, 7, MSG_NODE},    {MSG_FUNCTION, 9, MSG_OPSET},    {MSG_FUNCTION, 11, MSG_ATTR},
    {MSG_FUNCTION, 12, MSG_VALUE},
};

static enum msg kid_message(enum msg in, unsigned id)
{
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        if (messages[i].in == in && messages[i].id == id)
            return messages[i].kid;
    return MSG_NONE;
}

static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    *v = 0;
    for (int shift = 0; shift < 70 && *p < end; shift += 7) {
        uint8_t c = *(*p)++;

        *v |= shift < 64 ? (uint64_t)(c & 0x7f) << shift : 0;
        if (c < 0x80)
            return true;
    }
    return false;
}

static bool parse_into(struct pb_pool *pool, struct pb *m, const uint8_t *p, size_t n, int depth);

/* One field; false at the first that is not well-formed: what was read before it stays. */
static bool parse_field(struct pb_pool *pool, struct pb *m, const uint8_t **p, const uint8_t *end, int depth)
{
    uint64_t key, len;
    struct pb *f;

    if (!get_varint(p, end, &key))
        return false;
    f = new_pb(pool, m, (unsigned)(key >> 3), (unsigned)(key & 7));
    if (f->wire == WIRE_VARINT)
        return get_varint(p, end, &f->v) && (add_kid(pool, m, f), true);
    len = f->wire == WIRE_64 ? 8 : 4;
    if (f->wire == WIRE_BYTES && !get_varint(p, end, &len))
        return false;
    if ((f->wire != WIRE_BYTES && f->wire != WIRE_64 && f->wire != WIRE_32) || len > (uint64_t)(end - *p))
        return false;
    if (f->wire == WIRE_BYTES) {
        f->msg = kid_message(m->msg, f->id);
        f->p = *p;
        f->n = (size_t)len;
        if (f->msg && !parse_into(pool, f, *p, (size_t)len, depth + 1))
            f->msg = MSG_NONE;
    } else {
        memcpy(&f->v, *p, (size_t)len);
    }
    *p += len;
    add_kid(pool, m, f);
    return true;
}

static bool parse_into(struct pb_pool *pool, struct pb *m, const uint8_t *p, size_t n, int depth)
{
    const uint8_t *end = p + n;

    while (p < end && depth < MAX_DEPTH)
        if (!parse_field(pool, m, &p, end, depth))
            return false;
    return p == end;
}

struct pb *pb_parse(struct pb_pool *pool, enum msg msg, const uint8_t *p, size_t n)
{
    struct pb *m = new_pb(pool, NULL, 0, WIRE_BYTES);

    m->msg = msg;
    parse_into(pool, m, p, n, 0);
    return m;
}

/* ---- writing ---- */

static size_t put_varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;

    do {
        p[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    return n;
}

static size_t field_size(struct pb_pool *pool, struct pb *f);

static size_t body_size(struct pb_pool *pool, struct pb *m)
{
    size_t n = 0;

    if (!m->msg)
        return m->n;
    for (size_t i = 0; i < m->nkids; i++)
        n += field_size(pool, m->kids[i]);
    m->n = n;
    return n;
}

static size_t field_size(struct pb_pool *pool, struct pb *f)
{
    uint8_t tmp[10];
    size_t n = put_varint(tmp, (uint64_t)f->id << 3);

    if (f->wire == WIRE_VARINT)
        return n + put_varint(tmp, f->v);
    if (f->wire != WIRE_BYTES)
        return n + (f->wire == WIRE_64 ? 8 : 4);
    size_t body = body_size(pool, f);
    return n + put_varint(tmp, body) + body;
}

static uint8_t *write_body(uint8_t *to, const struct pb *m)
{
    if (!m->msg) {
        if (m->n)
            memcpy(to, m->p, m->n);
        return to + m->n;
    }
    for (size_t i = 0; i < m->nkids; i++) {
        const struct pb *f = m->kids[i];

        to += put_varint(to, (uint64_t)f->id << 3 | f->wire);
        if (f->wire == WIRE_VARINT) {
            to += put_varint(to, f->v);
        } else if (f->wire == WIRE_BYTES) {
            to += put_varint(to, f->n);
            to = write_body(to, f);
        } else {
            size_t n = f->wire == WIRE_64 ? 8 : 4;

            memcpy(to, &f->v, n);
            to += n;
        }
    }
    return to;
}

const uint8_t *pb_bytes(struct pb_pool *pool, const struct pb *m, size_t *n)
{
    uint8_t *p;

    *n = body_size(pool, (struct pb *)m);
    p = take(pool, *n + 1);
    write_body(p, m);
    return p;
}

/* ---- building ---- */

struct pb *pb_kid(const struct pb *m, unsigned id)
{
    for (size_t i = 0; m && i < m->nkids; i++)
        if (m->kids[i]->id == id)
            return m->kids[i];
    return NULL;
}

struct pb *pb_add(struct pb_pool *pool, struct pb *to, unsigned id, unsigned wire, uint64_t v)
{
    struct pb *f = new_pb(pool, to, id, wire);

    f->v = v;
    add_kid(pool, to, f);
    return f;
}

struct pb *pb_add_bytes(struct pb_pool *pool, struct pb *to, unsigned id, const void *p, size_t n)
{
    struct pb *f = pb_add(pool, to, id, WIRE_BYTES, 0);
    uint8_t *copy = take(pool, n + 1);

    if (n)
        memcpy(copy, p, n);
    f->p = copy;
    f->n = n;
    return f;
}

struct pb *pb_add_msg(struct pb_pool *pool, struct pb *to, unsigned id, enum msg msg)
{
    struct pb *f = pb_add(pool, to, id, WIRE_BYTES, 0);

    f->msg = msg;
    return f;
}

static struct pb *deep_copy(struct pb_pool *pool, const struct pb *m)
{
    struct pb *c = new_pb(pool, NULL, m->id, m->wire);

    *c = *m;
    c->kids = NULL;
    c->nkids = c->cap = 0;
    for (size_t i = 0; i < m->nkids; i++)
        add_kid(pool, c, deep_copy(pool, m->kids[i]));
    return c;
}

struct pb *pb_adopt(struct pb_pool *pool, struct pb *to, unsigned id, const struct pb *m)
{
    struct pb *c = deep_copy(pool, m);

    c->id = id;
    c->wire = WIRE_BYTES;
    add_kid(pool, to, c);
    return c;
}

/* ---- random numbers ---- */

uint64_t rand_below(struct rand *r, uint64_t below)
{
    r->s ^= r->s >> 12;
    r->s ^= r->s << 25;
    r->s ^= r->s >> 27;
    return below ? (r->s * 0x2545f4914f6cdd1dull >> 11) % below : 0;
}

/* Whole numbers that break arithmetic: limits of types, powers, neighbours of what was there. */
static uint64_t odd_int(struct rand *r, uint64_t was)
{
    static const int64_t odd[] = {0,
                                  0,
                                  1,
                                  -1,
                                  2,
                                  3,
                                  -2,
                                  4,
                                  5,
                                  7,
                                  8,
                                  11,
                                  16,
                                  -16,
                                  64,
                                  127,
                                  128,
                                  255,
                                  256,
                                  1000,
                                  65535,
                                  65536,
                                  1000000,
                                  100000000,
                                  -1000000,
                                  INT32_MAX,
                                  INT32_MIN,
                                  (int64_t)INT32_MAX + 1,
                                  (int64_t)UINT32_MAX + 1,
                                  1ll << 40,
                                  1ll << 62,
                                  INT64_MAX,
                                  INT64_MAX - 1,
                                  INT64_MIN,
                                  INT64_MIN + 1};
    switch (rand_below(r, 8)) {
    case 0:
        return was + 1;
    case 1:
        return was - 1;
    case 2:
        return -was;
    default:
        return (uint64_t)odd[rand_below(r, sizeof(odd) / sizeof(odd[0]))];
    }
}

static uint32_t odd_float(struct rand *r)
{
    static const uint32_t odd[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7fc00000, 0x7f800000,
                                   0xff800000, 0x7f7fffff, 0xff7fffff, 0x00000001, 0x00800000, 0x3f000000,
                                   0x4f000000, 0x5f000000, 0xdf000000, 0x358637bd, 0x49742400, 0x3a83126f};
    return odd[rand_below(r, sizeof(odd) / sizeof(odd[0]))];
}

static uint64_t odd_double(struct rand *r)
{
    static const double odd[] = {0, -0.0, 1, -1, 1e300, -1e300, 1e-300, 0.5, 1e10, 1e19};
    uint64_t bits;

    if (rand_below(r, 4) == 0)
        return 0x7ff8000000000000ull;
    memcpy(&bits, &odd[rand_below(r, sizeof(odd) / sizeof(odd[0]))], 8);
    return bits;
}

/* ---- mutations ---- */

struct list {
    struct pb **p;
    size_t n, cap;
};

static void list_add(struct pb_pool *pool, struct list *l, struct pb *m)
{
    if (l->n == l->cap) {
        struct pb **grown;

        l->cap = 2 * l->cap + 64;
        grown = take(pool, l->cap * sizeof(struct pb *));
        if (l->n)
            memcpy(grown, l->p, l->n * sizeof(struct pb *));
        l->p = grown;
    }
    l->p[l->n++] = m;
}

/* Names, doc strings and producer fields that nothing depends on are left alone. */
static bool matters(const struct pb *m)
{
    switch (m->up ? m->up->msg : MSG_NONE) {
    case MSG_MODEL:
        return m->id == 7 || m->id == 8 || m->id == 25;
    case MSG_GRAPH:
        return m->id != 2 && m->id != 10;
    case MSG_NODE:
        return m->id != 3 && m->id != 6;
    case MSG_ATTR:
    case MSG_TENSOR:
        return m->id != 13 && m->id != 12;
    default:
        return true;
    }
}

static void flatten(struct pb_pool *pool, struct list *l, struct pb *m)
{
    for (size_t i = 0; i < m->nkids; i++) {
        if (matters(m->kids[i]))
            list_add(pool, l, m->kids[i]);
        flatten(pool, l, m->kids[i]);
    }
}

/* Another field of the same number in the same kind of message; NULL when there is none. */
static struct pb *alike(struct rand *r, const struct list *l, const struct pb *m)
{
    struct pb *found = NULL;
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        struct pb *c = l->p[i];

        if (c != m && c->id == m->id && c->msg == m->msg && c->wire == m->wire && c->up && m->up &&
            c->up->msg == m->up->msg && rand_below(r, ++n) == 0)
            found = c;
    }
    return found;
}

static size_t place_of(const struct pb *m)
{
    size_t i = 0;

    while (i < m->up->nkids && m->up->kids[i] != m)
        i++;
    return i;
}

static void cut(struct pb *m)
{
    struct pb *up = m->up;
    size_t i = place_of(m);

    if (i < up->nkids) {
        memmove(up->kids + i, up->kids + i + 1, (up->nkids - i - 1) * sizeof(struct pb *));
        up->nkids--;
    }
}

static void become(struct pb_pool *pool, struct pb *m, const struct pb *other)
{
    struct pb *up = m->up, *c = deep_copy(pool, other);

    *m = *c;
    m->up = up;
    for (size_t i = 0; i < m->nkids; i++)
        m->kids[i]->up = m;
}

/* Elements of packed or raw data: some get odd values, or the data another length. */
static void mutate_data(struct pb_pool *pool, struct rand *r, struct pb *m)
{
    static const unsigned char sizes[] = {1, 2, 4, 4, 4, 8, 8, 8};
    size_t size = sizes[rand_below(r, sizeof(sizes))], n = m->n;
    uint8_t *copy = take(pool, m->n + 64);

    if (n)
        memcpy(copy, m->p, n);
    memset(copy + n, 0, 64);
    if (rand_below(r, 10) == 0) {
        size_t by = 1 + (size_t)rand_below(r, 16);

        n = rand_below(r, 2) ? n + by : n - (by < n ? by : n);
    }
    for (size_t k = 1 + (size_t)rand_below(r, 3); k > 0 && n >= size; k--) {
        size_t at = (size_t)rand_below(r, n / size) * size;
        uint64_t was = 0, v;

        memcpy(&was, copy + at, size);
        v = odd_int(r, was);
        if (rand_below(r, 3) == 0)
            v = size == 8 ? odd_double(r) : odd_float(r);
        memcpy(copy + at, &v, size);
    }
    m->p = copy;
    m->n = n;
}

static void mutate_leaf(struct pb_pool *pool, struct rand *r, struct pb *m, const struct list *all)
{
    static const char *const texts[] = {"",      "x",          "NOTSET",  "linear",
                                        "cubic", "SAME_UPPER", "reverse", "ii->i"};

    if (m->wire == WIRE_VARINT) {
        bool is_type = m->up && ((m->up->msg == MSG_TENSOR && m->id == 2) ||
                                 (m->up->msg == MSG_TYPE_TENSOR && m->id == 1));

        m->v = is_type && rand_below(r, 4) ? rand_below(r, 27) : odd_int(r, m->v);
    } else if (m->wire == WIRE_32) {
        m->v = odd_float(r);
    } else if (m->wire == WIRE_64) {
        m->v = odd_double(r);
    } else if (m->up && m->up->msg == MSG_TENSOR && m->id != 8) {
        mutate_data(pool, r, m);
    } else {
        struct pb *o = rand_below(r, 5) ? alike(r, all, m) : NULL;
        const char *t = texts[rand_below(r, sizeof(texts) / sizeof(texts[0]))];

        m->p = o ? o->p : (const uint8_t *)t;
        m->n = o ? o->n : strlen(t);
    }
}

static void mutate_place(struct pb_pool *pool, struct rand *r, struct pb *m, const struct list *all,
                         const struct pb *other)
{
    struct list theirs = {0};
    struct pb *o;

    switch (rand_below(r, 5)) {
    case 0:
        cut(m);
        return;
    case 1:
        add_kid(pool, m->up, deep_copy(pool, m));
        return;
    case 2: /* two change places */
        o = alike(r, all, m);
        if (o && !m->nkids) {
            struct pb was = *m;

            become(pool, m, o);
            m->up = was.up;
            if (!o->nkids) {
                struct pb *up = o->up;

                *o = was;
                o->up = up;
            }
        }
        return;
    case 3:
        o = alike(r, all, m);
        if (o)
            become(pool, m, o);
        return;
    default: /* a part of another model */
        flatten(pool, &theirs, (struct pb *)other);
        o = alike(r, &theirs, m);
        if (o && rand_below(r, 2))
            become(pool, m, o);
        else if (o)
            add_kid(pool, m->up, deep_copy(pool, o));
    }
}

/* Bits an element by TensorProto.DataType; 0: has no raw data. */
static const unsigned char type_bits[] = {0,  32,  8,  8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64,
                                          64, 128, 16, 8, 8,  8,  8,  4,  4, 4, 8,  2,  2};

static void set_dims(struct pb_pool *pool, struct rand *r, struct pb *t)
{
    static const unsigned char sizes[] = {0, 1, 1, 1, 2, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};
    uint64_t count = 1;
    size_t n = 0, have = 0;

    for (size_t i = 0; i < t->nkids; i++)
        have += t->kids[i]->id == 1 && t->kids[i]->wire == WIRE_VARINT;
    if (have && rand_below(r, 3)) { /* one dim */
        size_t at = (size_t)rand_below(r, have);

        for (size_t i = 0; i < t->nkids; i++)
            if (t->kids[i]->id == 1 && t->kids[i]->wire == WIRE_VARINT && n++ == at)
                t->kids[i]->v = sizes[rand_below(r, sizeof(sizes))];
        return;
    }
    for (size_t i = 0; i < t->nkids; i++)
        if (t->kids[i]->id != 1)
            t->kids[n++] = t->kids[i];
    t->nkids = n;
    for (uint64_t rank = rand_below(r, 10) ? rand_below(r, 6) : rand_below(r, 18); rank > 0; rank--) {
        uint64_t d = count > 2000 ? rand_below(r, 2) : sizes[rand_below(r, sizeof(sizes))];

        count *= d ? d : 1;
        pb_add(pool, t, 1, WIRE_VARINT, d);
    }
}

/* Small whole numbers of the type for the most part, so that they may be indices, axes and sizes too. */
static void fill_data(struct rand *r, uint8_t *p, size_t n, unsigned type)
{
    size_t size = type_bits[type] >= 8 ? type_bits[type] / 8 : 1;

    for (size_t at = 0; at + size <= n; at += size) {
        int64_t i = (int64_t)rand_below(r, 9) - 3;
        float f = (float)i;
        double d = (double)i;

        if (rand_below(r, 40) == 0)
            i = (int64_t)odd_int(r, 0);
        if (type == 1)
            memcpy(p + at, &f, 4);
        else if (type == 11)
            memcpy(p + at, &d, 8);
        else if (type == 9)
            p[at] = i & 1;
        else
            memcpy(p + at, &i, size < 8 ? size : 8);
    }
}

/* Another shape or element type for a tensor, and data that fit; what is declared of that name follows. */
static void remake(struct pb_pool *pool, struct rand *r, struct pb *t)
{
    const struct pb *name = pb_kid(t, 8);
    struct pb *type = pb_kid(t, 2), *g = t->up;
    uint64_t count = 1;
    size_t n = 0;
    uint8_t *p;

    if (!type || type->v >= sizeof(type_bits) || !type_bits[type->v])
        return;
    if (rand_below(r, 4) == 0)
        type->v = rand_below(r, sizeof(type_bits));
    if (!type_bits[type->v])
        return;
    if (rand_below(r, 4))
        set_dims(pool, r, t);
    for (size_t i = 0; i < t->nkids; i++) {
        struct pb *f = t->kids[i];

        if (f->id == 1 && f->wire == WIRE_VARINT)
            count = f->v > 100000 || count > 100000 ? 1 << 20 : count * f->v;
        if (f->id == 1 || f->id == 2 || f->id == 8)
            t->kids[n++] = f;
    }
    t->nkids = n;
    n = count > 100000 ? 16 : (size_t)(count * type_bits[type->v] + 7) / 8;
    p = take(pool, n + 1);
    memset(p, 0, n + 1);
    fill_data(r, p, n, (unsigned)type->v);
    pb_add_bytes(pool, t, 9, p, n);
    for (size_t i = 0; name && g && g->msg == MSG_GRAPH && i < g->nkids; i++) {
        const struct pb *v = g->kids[i], *vn = pb_kid(v, 1);
        struct pb *tt = pb_kid(pb_kid(v, 2), 1);

        if (v->msg != MSG_VALUE || !tt || !vn || vn->n != name->n || memcmp(vn->p, name->p, vn->n) != 0)
            continue;
        if (pb_kid(tt, 1))
            pb_kid(tt, 1)->v = type->v;
        if (pb_kid(tt, 2))
            cut(pb_kid(tt, 2));
    }
}

void pb_forget_shapes(struct pb *m)
{
    for (size_t i = m->nkids; i-- > 0;) {
        if (m->kids[i]->msg == MSG_SHAPE)
            cut(m->kids[i]);
        else
            pb_forget_shapes(m->kids[i]);
    }
}

void pb_mutate(struct pb_pool *pool, struct rand *r, struct pb *m, const struct pb *other)
{
    struct list all = {0};
    struct pb *f;

    flatten(pool, &all, m);
    if (!all.n)
        return;
    if (rand_below(r, 4) == 0) {
        struct pb like = {.id = 5, .wire = WIRE_BYTES, .msg = MSG_TENSOR};
        struct pb graph = {.msg = rand_below(r, 3) ? MSG_GRAPH : MSG_ATTR};

        like.up = &graph;
        f = alike(r, &all, &like);
        if (f)
            remake(pool, r, f);
        return;
    }
    f = all.p[rand_below(r, all.n)];
    /* Numbers and data are what kernels and shape rules meet: they are changed most. */
    for (int k = 0; k < 4 && (f->msg || f->wire == WIRE_BYTES) && rand_below(r, 3); k++)
        f = all.p[rand_below(r, all.n)];
    if (!f->msg && rand_below(r, 4))
        mutate_leaf(pool, r, f, &all);
    else
        mutate_place(pool, r, f, &all, other);
}
