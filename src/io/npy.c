/* numpy's array files, as its documentation (numpy.lib.format) describes them:
 *
 *     \x93NUMPY  major minor  header length  {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } data
 *
 * The header is a Python literal; the little of Python that it may hold is parsed here. */
#include "io/npy.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "io/npy_stream.h"
#include "io/tmpfile.h"

enum { HEADER_MAX = 65536 };

struct npy_head {
    char order, kind; /* '<', '>', '|', '=' ; 'f', 'i', 'u', 'b', 'c', 'U', 'S' */
    unsigned size;    /* of an item, bytes */
    enum dtype dt;
    bool fortran;
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
    bool has_descr, has_order, has_shape;
};

/* ---- header ---- */

struct parser {
    struct cx *cx;
    const char *p, *end;
};

static void skip_space(struct parser *ps)
{
    while (ps->p < ps->end && isspace((unsigned char)*ps->p))
        ps->p++;
}

static bool accept(struct parser *ps, char c)
{
    skip_space(ps);
    if (ps->p >= ps->end || *ps->p != c)
        return false;
    ps->p++;
    return true;
}

static int bad_header(struct parser *ps, const char *what)
{
    return err_set(ps->cx, E_DATA, "the .npy header is malformed: %s", what);
}

static int quoted(struct parser *ps, char *out, size_t size)
{
    size_t n = 0;
    char q;

    skip_space(ps);
    if (ps->p >= ps->end || (*ps->p != '\'' && *ps->p != '"'))
        return bad_header(ps, "a quoted word is missing");
    q = *ps->p++;
    while (ps->p < ps->end && *ps->p != q && n + 1 < size)
        out[n++] = *ps->p++;
    out[n] = 0;
    if (ps->p >= ps->end || *ps->p++ != q)
        return bad_header(ps, "a quoted word does not end");
    return 0;
}

static int number(struct parser *ps, int64_t *out)
{
    const char *start;
    int64_t v = 0;

    skip_space(ps);
    for (start = ps->p; ps->p < ps->end && isdigit((unsigned char)*ps->p); ps->p++)
        if (!mul_i64(v, 10, &v) || !add_i64(v, *ps->p - '0', &v))
            return bad_header(ps, "a dimension is too large");
    if (start == ps->p)
        return bad_header(ps, "a dimension is not a number");
    if (ps->p < ps->end && *ps->p == 'L') /* Python 2 */
        ps->p++;
    *out = v;
    return 0;
}

static int parse_shape(struct parser *ps, struct npy_head *h)
{
    int r;

    if (!accept(ps, '('))
        return bad_header(ps, "the shape is not a tuple");
    h->has_shape = true;
    while (!accept(ps, ')')) {
        if (h->rank == TENSOR_MAX_RANK)
            return err_set(ps->cx, E_UNSUPPORTED, "an array of more than %d dimensions", TENSOR_MAX_RANK);
        r = number(ps, &h->dims[h->rank]);
        if (r < 0)
            return r;
        h->rank++;
        if (!accept(ps, ',') && (skip_space(ps), ps->p >= ps->end || *ps->p != ')'))
            return bad_header(ps, "the shape does not end");
    }
    return 0;
}

static int parse_order(struct parser *ps, struct npy_head *h)
{
    skip_space(ps);
    h->has_order = true;
    h->fortran = ps->end - ps->p >= 4 && !memcmp(ps->p, "True", 4);
    if (!h->fortran && (ps->end - ps->p < 5 || memcmp(ps->p, "False", 5)))
        return bad_header(ps, "fortran_order is neither True nor False");
    ps->p += h->fortran ? 4 : 5;
    return 0;
}

static enum dtype dtype_of(char kind, unsigned size)
{
    static const struct {
        char kind;
        unsigned char size, dt;
    } known[] = {
        {'b', 1, DT_BOOL},      {'i', 1, DT_INT8},        {'i', 2, DT_INT16},  {'i', 4, DT_INT32},
        {'i', 8, DT_INT64},     {'u', 1, DT_UINT8},       {'u', 2, DT_UINT16}, {'u', 4, DT_UINT32},
        {'u', 8, DT_UINT64},    {'f', 2, DT_FLOAT16},     {'f', 4, DT_FLOAT},  {'f', 8, DT_DOUBLE},
        {'c', 8, DT_COMPLEX64}, {'c', 16, DT_COMPLEX128},
    };

    if (kind == 'U' || kind == 'S')
        return DT_STRING;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].kind == kind && known[i].size == size)
            return (enum dtype)known[i].dt;
    return DT_UNDEFINED;
}

static int parse_descr(struct parser *ps, struct npy_head *h)
{
    char text[32], *end;
    const char *p = text;
    unsigned long size;
    int r;

    if (accept(ps, '['))
        return err_set(ps->cx, E_UNSUPPORTED, "a structured array (records with fields)");
    r = quoted(ps, text, sizeof(text));
    if (r < 0)
        return r;
    h->has_descr = true;
    h->order = strchr("<>|=", *p) && *p ? *p++ : '=';
    h->kind = *p ? *p++ : 0;
    size = h->kind == '?' ? 1 : strtoul(p, &end, 10);
    if (h->kind == '?')
        h->kind = 'b';
    else if (end == p || *end)
        size = 0;
    if (h->kind == 'O')
        return err_set(ps->cx, E_UNSUPPORTED, "an array of Python objects, saved as pickles");
    h->dt = size <= 1 << 24 ? dtype_of(h->kind, (unsigned)size) : DT_UNDEFINED;
    if (h->dt == DT_UNDEFINED)
        return err_set(ps->cx, E_UNSUPPORTED,
                       "an array of type '%s'; types that numpy lacks are best saved as TensorProto (.pb)",
                       text);
    h->size = (unsigned)size * (h->kind == 'U' ? 4 : 1);
    return 0;
}

static int parse_entry(struct parser *ps, struct npy_head *h)
{
    char key[32];
    int r = quoted(ps, key, sizeof(key));

    if (r < 0)
        return r;
    if (!accept(ps, ':'))
        return bad_header(ps, "a colon is missing");
    if (!strcmp(key, "descr") && !h->has_descr)
        return parse_descr(ps, h);
    if (!strcmp(key, "fortran_order") && !h->has_order)
        return parse_order(ps, h);
    if (!strcmp(key, "shape") && !h->has_shape)
        return parse_shape(ps, h);
    return bad_header(ps, "an unexpected key");
}

static int parse_head(struct cx *cx, const char *text, size_t n, struct npy_head *h)
{
    struct parser ps = {cx, text, text + n};
    int r;

    if (!accept(&ps, '{'))
        return bad_header(&ps, "no dictionary");
    while (!accept(&ps, '}')) {
        r = parse_entry(&ps, h);
        if (r < 0)
            return r;
        if (!accept(&ps, ',') && (skip_space(&ps), ps.p >= ps.end || *ps.p != '}'))
            return bad_header(&ps, "it does not end");
    }
    if (!h->has_descr || !h->has_order || !h->has_shape)
        return bad_header(&ps, "descr, fortran_order or shape is missing");
    return 0;
}

/* ---- reading ---- */

static int take(struct cx *cx, struct npy_src *src, void *buf, uint64_t n)
{
    if (n > src->left)
        return err_set(cx, E_DATA, "the .npy data ends early: %llu bytes are left of at least %llu",
                       (unsigned long long)src->left, (unsigned long long)n);
    src->left -= n;
    return n ? src->read(src->user, cx, buf, (size_t)n) : 0;
}

static int read_head(struct cx *cx, struct npy_src *src, struct npy_head *h)
{
    uint8_t b[12];
    uint32_t len;
    char *text;
    int r = src->left < 10 ? 0 : take(cx, src, b, 8);

    if (r < 0)
        return r;
    if (src->left < 2 || memcmp(b, "\x93NUMPY", 6))
        return err_set(cx, E_DATA, "not a .npy array");
    if (b[6] < 1 || b[6] > 3)
        return err_set(cx, E_UNSUPPORTED, ".npy format %d.%d is not known", b[6], b[7]);
    r = take(cx, src, b + 8, b[6] == 1 ? 2 : 4);
    if (r < 0)
        return r;
    len = (uint32_t)b[8] | (uint32_t)b[9] << 8;
    if (b[6] > 1)
        len |= (uint32_t)b[10] << 16 | (uint32_t)b[11] << 24;
    if (len > HEADER_MAX)
        return err_set(cx, E_DATA, "the .npy header has %u bytes", len);
    text = mem_alloc(len + 1);
    if (!text)
        return err_nomem(cx);
    r = take(cx, src, text, len);
    if (!r)
        r = parse_head(cx, text, len, h);
    free(text);
    return r;
}

static bool is_swapped(char order)
{
    const uint16_t one = 1;
    bool little = *(const uint8_t *)&one == 1;

    return little ? order == '>' : order == '<';
}

static void swap_bytes(uint8_t *p, size_t n, unsigned size)
{
    for (size_t i = 0; i < n; i++, p += size)
        for (unsigned k = 0; k < size / 2; k++) {
            uint8_t t = p[k];

            p[k] = p[size - 1 - k];
            p[size - 1 - k] = t;
        }
}

/* Items of size bytes in Fortran order to C order: walks dst in order, an odometer gives the place in src. */
static void from_fortran(const uint8_t *src, uint8_t *dst, const struct npy_head *h, size_t n)
{
    int64_t at[TENSOR_MAX_RANK] = {0};
    size_t stride[TENSOR_MAX_RANK], s = 1, off = 0;

    for (int i = 0; i < h->rank; i++) {
        stride[i] = s;
        s *= (size_t)h->dims[i];
    }
    for (size_t k = 0; k < n; k++, dst += h->size) {
        memcpy(dst, src + off * h->size, h->size);
        for (int i = h->rank - 1; i >= 0; i--) {
            off += stride[i];
            if (++at[i] < h->dims[i])
                break;
            off -= stride[i] * (size_t)h->dims[i];
            at[i] = 0;
        }
    }
}

static size_t put_utf8(char *dst, uint32_t c)
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        dst[0] = (char)(0xc0 | c >> 6);
        dst[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        dst[0] = (char)(0xe0 | c >> 12);
        dst[1] = (char)(0x80 | (c >> 6 & 63));
        dst[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    dst[0] = (char)(0xf0 | c >> 18);
    dst[1] = (char)(0x80 | (c >> 12 & 63));
    dst[2] = (char)(0x80 | (c >> 6 & 63));
    dst[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* One item of fixed width to a string of its own; zeros at the end are padding. */
static int get_string(struct cx *cx, struct arena *a, const uint8_t *p, const struct npy_head *h,
                      struct ostr *out)
{
    size_t n = h->size;
    char *s;

    while (n && !p[n - 1])
        n--;
    out->p = s = arena_alloc(a, h->kind == 'U' ? (n + 3) / 4 * 4 : n);
    out->n = n;
    if (!s)
        return err_nomem(cx);
    if (h->kind == 'S') {
        memcpy(s, p, n);
        return 0;
    }
    out->n = 0;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t c;

        memcpy(&c, p + i, 4);
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return err_set(cx, E_DATA, "a string holds U+%X, which is no character", c);
        out->n += put_utf8(s + out->n, c);
    }
    return 0;
}

static int get_strings(struct cx *cx, const uint8_t *items, const struct npy_head *h, struct tensor *out)
{
    int64_t n = tensor_count(out);
    int r = 0;

    for (int64_t i = 0; i < n && !r; i++)
        r = get_string(cx, blob_arena(out->owner), items + (size_t)i * h->size, h,
                       (struct ostr *)out->data + i);
    return r;
}

static void fix_order(uint8_t *p, size_t n, const struct npy_head *h)
{
    if (!is_swapped(h->order))
        return;
    if (h->kind == 'U')
        swap_bytes(p, n * (h->size / 4), 4);
    else if (h->kind == 'c')
        swap_bytes(p, n * 2, h->size / 2);
    else if (h->kind != 'S')
        swap_bytes(p, n, h->size);
}

/* Through a buffer: Fortran order and strings. */
static int read_indirect(struct cx *cx, struct npy_src *src, const struct npy_head *h, size_t n,
                         struct tensor *out)
{
    size_t bytes = n * h->size;
    uint8_t *items = mem_alloc(bytes + 1), *ordered = NULL;
    int r = items ? take(cx, src, items, bytes) : err_nomem(cx);

    if (!r) {
        fix_order(items, n, h);
        if (h->fortran && h->rank > 1) {
            ordered = h->dt == DT_STRING ? mem_alloc(bytes + 1) : out->data;
            if (ordered)
                from_fortran(items, ordered, h, n);
            else if (bytes)
                r = err_nomem(cx);
        } else if (h->dt != DT_STRING) {
            memcpy(out->data, items, bytes);
        }
    }
    if (!r && h->dt == DT_STRING)
        r = get_strings(cx, ordered ? ordered : items, h, out);
    if (h->dt == DT_STRING)
        free(ordered);
    free(items);
    return r;
}

int npy_read_stream(struct cx *cx, struct npy_src *src, struct tensor *out)
{
    struct npy_head h = {0};
    int64_t n;
    size_t bytes;
    int r = read_head(cx, src, &h);

    memset(out, 0, sizeof(*out));
    if (r < 0)
        return r;
    if (!dims_count(h.dims, h.rank, &n) || !mul_size((size_t)n, h.size, &bytes))
        return err_set(cx, E_DATA, "the product of the array's dimensions overflows");
    if (bytes != src->left)
        return err_set(cx, E_DATA, "the array needs %zu bytes, but %llu follow the .npy header", bytes,
                       (unsigned long long)src->left);
    if (h.dt == DT_STRING && !h.size && n > HEADER_MAX)
        return err_set(cx, E_DATA, "an array of %lld empty strings", (long long)n);
    r = tensor_new(cx, out, h.dt, h.rank, h.dims);
    if (r < 0)
        return r;
    if (h.dt == DT_STRING || (h.fortran && h.rank > 1)) {
        r = read_indirect(cx, src, &h, (size_t)n, out);
    } else {
        r = take(cx, src, out->data, bytes);
        if (!r)
            fix_order(out->data, (size_t)n, &h);
    }
    if (!r && h.dt == DT_BOOL)
        for (int64_t i = 0; i < n; i++)
            ((uint8_t *)out->data)[i] = ((uint8_t *)out->data)[i] != 0;
    if (r < 0)
        tensor_drop(out);
    return r;
}

struct file_src {
    struct file *f;
    uint64_t off;
};

static int read_file(void *user, struct cx *cx, void *buf, size_t n)
{
    struct file_src *fs = user;
    uint64_t off = fs->off;

    fs->off += n;
    return file_read(cx, fs->f, off, buf, n);
}

static int read_open(struct cx *cx, struct file *f, struct tensor *out)
{
    struct file_src fs = {f, 0};
    struct npy_src src = {read_file, &fs, f->size};
    int r = npy_read_stream(cx, &src, out);

    return r < 0 ? err_frame(cx, "%s", f->path) : 0;
}

int npy_read(struct cx *cx, const char *path, struct tensor *out)
{
    struct file *f;
    int r;

    memset(out, 0, sizeof(*out));
    r = file_open(cx, path, &f);
    if (r < 0)
        return r;
    r = read_open(cx, f, out);
    file_unref(f);
    return r;
}

int npy_parse(struct cx *cx, const void *p, size_t n, const char *name, struct tensor *out)
{
    struct file *f;
    int r;

    memset(out, 0, sizeof(*out));
    r = file_from_mem(cx, p, n, name, &f);
    if (r < 0)
        return r;
    r = read_open(cx, f, out);
    file_unref(f);
    return r;
}

/* ---- writing ---- */

/* Characters in s; -1 when it is not UTF-8. */
static int64_t utf8_length(const struct ostr *s)
{
    int64_t n = 0;

    if (!utf8_valid(s->p, s->n))
        return -1;
    for (size_t i = 0; i < s->n; i++)
        n += (s->p[i] & 0xc0) != 0x80;
    return n;
}

/* s is valid. Little-endian code points. */
static void put_ucs4(const struct ostr *s, uint8_t *dst)
{
    uint32_t c = 0;

    for (size_t i = 0; i < s->n;) {
        unsigned char b = (unsigned char)s->p[i++];
        int more = b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;

        c = more == 0 ? b : b & (0x3fu >> more);
        while (more--)
            c = c << 6 | ((unsigned char)s->p[i++] & 63u);
        for (int k = 0; k < 4; k++)
            *dst++ = (uint8_t)(c >> (8 * k));
    }
}

/* Strings as items of one width: code points, or bytes where some string is not UTF-8. */
static int make_strings(struct cx *cx, struct arena *a, const struct tensor *t, char *descr, size_t size,
                        struct npy_image *out)
{
    const struct ostr *s = t->data;
    int64_t n = tensor_count(t), chars = 1, most = 1;
    bool utf8 = true;
    size_t width, bytes;
    uint8_t *items;

    for (int64_t i = 0; i < n; i++) {
        int64_t len = utf8_length(&s[i]);

        if (s[i].n && !s[i].p[s[i].n - 1])
            return err_set(
                cx, E_UNSUPPORTED,
                "string %lld ends in a zero byte, which numpy would drop: save as TensorProto (.pb)",
                (long long)i);
        utf8 &= len >= 0;
        chars = len > chars ? len : chars;
        most = (int64_t)s[i].n > most ? (int64_t)s[i].n : most;
    }
    width = utf8 ? (size_t)chars * 4 : (size_t)most;
    if (!mul_size((size_t)n, width, &bytes))
        return err_set(cx, E_UNSUPPORTED, "the strings are too long for a .npy array");
    items = arena_zalloc(a, bytes);
    if (!items)
        return err_nomem(cx);
    for (int64_t i = 0; i < n; i++) {
        if (utf8)
            put_ucs4(&s[i], items + (size_t)i * width);
        else
            memcpy(items + (size_t)i * width, s[i].p, s[i].n);
    }
    snprintf(descr, size, "%s%lld", utf8 ? "<U" : "|S", (long long)(utf8 ? chars : most));
    out->data = items;
    out->ndata = bytes;
    return 0;
}

static const char *descr_of(enum dtype dt)
{
    static const char *const descr[DT_COUNT] = {
        [DT_BOOL] = "|b1",      [DT_INT8] = "|i1",       [DT_INT16] = "<i2",  [DT_INT32] = "<i4",
        [DT_INT64] = "<i8",     [DT_UINT8] = "|u1",      [DT_UINT16] = "<u2", [DT_UINT32] = "<u4",
        [DT_UINT64] = "<u8",    [DT_FLOAT16] = "<f2",    [DT_FLOAT] = "<f4",  [DT_DOUBLE] = "<f8",
        [DT_COMPLEX64] = "<c8", [DT_COMPLEX128] = "<c16"};

    return dt > 0 && dt < DT_COUNT ? descr[dt] : NULL;
}

/* The header, padded so that the data begins at a multiple of 64. */
static int make_head(struct cx *cx, struct arena *a, const struct tensor *t, const char *descr,
                     struct npy_image *out)
{
    struct str s = {0};
    size_t len;
    char *p;

    str_addf(&s, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < t->rank; i++)
        str_addf(&s, "%s%lld", i ? ", " : "", (long long)t->dims[i]);
    str_add(&s, t->rank == 1 ? ",), }" : "), }");
    while ((10 + s.n + 1) % 64 && !s.failed)
        str_addc(&s, ' ');
    str_addc(&s, '\n');
    len = s.n;
    p = s.failed ? NULL : arena_alloc(a, 10 + len);
    if (p) {
        memcpy(p, "\x93NUMPY\x01\x00", 8);
        p[8] = (char)(len & 255);
        p[9] = (char)(len >> 8);
        memcpy(p + 10, s.p, len);
    }
    str_free(&s);
    out->head = p;
    out->nhead = 10 + len;
    return p ? 0 : err_nomem(cx);
}

int npy_make(struct cx *cx, struct arena *a, const struct tensor *t, struct npy_image *out)
{
    const char *descr = descr_of(t->dt);
    char text[32];
    int r;

    if (t->kind != RT_TENSOR)
        return err_set(cx, E_UNSUPPORTED, "a sequence, optional or map is no numpy array: save it as .pb");
    if (!descr && t->dt != DT_STRING)
        return err_set(cx, E_UNSUPPORTED, "numpy has no type %s: save it as TensorProto (.pb)",
                       dtype_name(t->dt));
    out->data = t->data;
    out->ndata = tensor_bytes(t);
    if (t->dt == DT_STRING) {
        r = make_strings(cx, a, t, text, sizeof(text), out);
        if (r < 0)
            return r;
        descr = text;
    }
    return make_head(cx, a, t, descr, out);
}

int npy_write(struct cx *cx, const char *path, const struct tensor *t)
{
    struct arena a = {0};
    struct npy_image im;
    struct tmpfile tmp;
    int r = npy_make(cx, &a, t, &im);

    if (!r)
        r = tmpfile_open(cx, path, &tmp);
    if (!r) {
        r = tmpfile_write(cx, &tmp, im.head, im.nhead);
        if (!r)
            r = tmpfile_write(cx, &tmp, im.data, im.ndata);
        if (!r)
            r = tmpfile_commit(cx, &tmp);
        else
            tmpfile_abort(&tmp);
    }
    arena_free(&a);
    return r < 0 ? err_frame(cx, "%s", path) : 0;
}
