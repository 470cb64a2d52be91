/* Tensors written out by hand. */
#include "io/inline_tensor.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/blob.h"
#include "base/str.h"

/* One element as it stands in the text. */
struct word {
    const char *p;
    size_t n;
    bool quoted; /* p and n are what stands between the quotes, escapes included */
};

struct reader {
    struct cx *cx;
    const char *text, *p;
    struct word *words;
    size_t nwords, cap;
    int64_t dims[TENSOR_MAX_RANK];
    int rank; /* -1: no element seen yet */
};

bool inline_tensor_likely(const char *text)
{
    static const char *const values[] = {"true", "false", "nan", "inf", "infinity"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcasecmp(text, values[i]) == 0)
            return true;
    return *text && strchr("[\"+-.0123456789", *text);
}

static int wrong(struct reader *r, const char *what)
{
    char near[48];
    str_escape(near, sizeof near, r->p, strnlen(r->p, 12));
    return err_set(r->cx, E_DATA, "values '%.80s%s': %s at character %zu%s%s%s", r->text,
                   strlen(r->text) > 80 ? "..." : "", what, (size_t)(r->p - r->text) + 1, *near ? " ('" : "",
                   near, *near ? "')" : "");
}

static void skip_space(struct reader *r)
{
    while (isspace((unsigned char)*r->p))
        r->p++;
}

static int read_word(struct reader *r, int depth)
{
    struct word w = {.p = r->p};
    if (*r->p == '"') {
        w.quoted = true;
        w.p = ++r->p;
        for (; *r->p && *r->p != '"'; r->p++)
            r->p += *r->p == '\\' && r->p[1];
        w.n = (size_t)(r->p - w.p);
        if (!*r->p)
            return wrong(r, "a quote is not closed");
        r->p++;
    } else {
        w.n = strcspn(r->p, "[],\" \t\n\r");
        if (!w.n)
            return wrong(r, "a value is missing");
        r->p += w.n;
    }
    if (r->rank < 0)
        r->rank = depth;
    if (r->rank != depth)
        return wrong(r, "brackets are nested unevenly");
    struct word *grown = arena_grow(&r->cx->scratch, r->words, r->nwords, &r->cap, sizeof *grown);
    if (!grown)
        return err_nomem(r->cx);
    r->words = grown;
    r->words[r->nwords++] = w;
    return OK;
}

static int read_list(struct reader *r, int depth);

static int read_item(struct reader *r, int depth)
{
    skip_space(r);
    return *r->p == '[' ? read_list(r, depth) : read_word(r, depth);
}

/* "[" item "," ... "]" with depth lists around it. */
static int read_list(struct reader *r, int depth)
{
    int64_t n = 0;
    if (depth == TENSOR_MAX_RANK)
        return wrong(r, "brackets are nested too deeply");
    if (r->rank >= 0 && depth >= r->rank)
        return wrong(r, "brackets are nested unevenly");
    r->p++;
    skip_space(r);
    if (*r->p == ']' && r->rank < 0)
        r->rank = depth + 1;
    while (*r->p != ']') {
        int rc = read_item(r, depth + 1);
        if (rc)
            return rc;
        n++;
        skip_space(r);
        if (*r->p == ',') {
            r->p++;
            skip_space(r);
            if (*r->p == ']')
                return wrong(r, "a value is missing");
        } else if (*r->p != ']') {
            return wrong(r, *r->p ? "a comma is missing" : "a bracket is not closed");
        }
    }
    if (r->dims[depth] >= 0 && r->dims[depth] != n)
        return wrong(r, "this list is longer or shorter than those before it");
    r->dims[depth] = n;
    r->p++;
    return OK;
}

/* ---- elements ---- */

static int bad_value(struct reader *r, const struct word *w, enum dtype dt, const char *why)
{
    r->p = w->p;
    char what[80];
    snprintf(what, sizeof what, "no %s%s%s", dtype_name(dt), *why ? ": " : "", why);
    return wrong(r, what);
}

static int store_int(struct reader *r, const struct dtype_info *di, const struct word *w, void *to)
{
    char *end;
    errno = 0;
    if (di->cls == CLS_UINT) {
        unsigned long long v = strtoull(w->p, &end, 10);
        if (end != w->p + w->n || *w->p == '-')
            return bad_value(r, w, di->dt, "");
        if (errno || (di->bits < 64 && v >> di->bits))
            return bad_value(r, w, di->dt, "out of range");
        di->store_i64(to, (int64_t)v);
        return OK;
    }
    long long v = strtoll(w->p, &end, 10), top = di->bits < 64 ? (1ll << (di->bits - 1)) - 1 : INT64_MAX;
    if (end != w->p + w->n)
        return bad_value(r, w, di->dt, "");
    if (errno || v > top || v < -top - 1)
        return bad_value(r, w, di->dt, "out of range");
    di->store_i64(to, v);
    return OK;
}

static int store_bool(struct reader *r, const struct word *w, bool *to)
{
    bool yes = (w->n == 4 && strncasecmp(w->p, "true", 4) == 0) || (w->n == 1 && *w->p == '1');
    bool no = (w->n == 5 && strncasecmp(w->p, "false", 5) == 0) || (w->n == 1 && *w->p == '0');
    *to = yes;
    return yes || no ? OK : bad_value(r, w, DT_BOOL, "");
}

static int store_string(struct reader *r, struct blob *owner, const struct word *w, struct ostr *to)
{
    if (!w->quoted)
        return bad_value(r, w, DT_STRING, "strings stand between double quotes");
    char *s = arena_alloc(blob_arena(owner), w->n);
    if (!s)
        return err_nomem(r->cx);
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        bool escaped = w->p[i] == '\\' && i + 1 < w->n;
        char c = w->p[i += escaped];
        s[n++] = !escaped ? c : c == 'n' ? '\n' : c == 't' ? '\t' : c;
    }
    *to = (struct ostr){s, n};
    return OK;
}

static int store(struct reader *r, struct tensor *t, size_t i)
{
    const struct word *w = &r->words[i];
    const struct dtype_info *di = dtype_info(t->dt);
    void *to = (char *)t->data + i * di->size;
    char *end;
    double v;
    if (t->dt == DT_STRING)
        return store_string(r, t->owner, w, to);
    if (w->quoted)
        return bad_value(r, w, t->dt, "it is quoted");
    switch (di->cls) {
    case CLS_INT:
    case CLS_UINT:
        return store_int(r, di, w, to);
    case CLS_BOOL:
        return store_bool(r, w, to);
    default:
        v = strtod(w->p, &end);
        if (end != w->p + w->n)
            return bad_value(r, w, t->dt, "");
        di->store_f64(to, v);
        return OK;
    }
}

/* ---- the whole ---- */

static int make(struct reader *r, enum dtype dt, int rank, struct tensor *out)
{
    int lead = rank > r->rank ? rank - r->rank : 0;
    int64_t dims[TENSOR_MAX_RANK];
    if (lead + r->rank > TENSOR_MAX_RANK)
        return err_set(r->cx, E_UNSUPPORTED, "more than %d dims", TENSOR_MAX_RANK);
    for (int i = 0; i < lead; i++)
        dims[i] = 1;
    for (int i = 0; i < r->rank; i++)
        dims[lead + i] = r->dims[i];
    int rc = tensor_new(r->cx, out, dt, lead + r->rank, dims);
    for (size_t i = 0; i < r->nwords && !rc; i++)
        rc = store(r, out, i);
    if (rc)
        tensor_drop(out);
    return rc;
}

int inline_tensor_parse(struct cx *cx, const char *text, enum dtype dt, int rank, struct tensor *out)
{
    struct arena_mark mark = arena_mark(&cx->scratch);
    struct reader r = {.cx = cx, .text = text, .p = text, .rank = -1};
    memset(out, 0, sizeof *out);
    if (dtype_info(dt)->cls == CLS_COMPLEX || dtype_info(dt)->cls == CLS_NONE)
        return err_set(cx, E_UNSUPPORTED, "values of type %s cannot be written out: give a file",
                       dtype_name(dt));
    for (int i = 0; i < TENSOR_MAX_RANK; i++)
        r.dims[i] = -1;
    int rc = read_item(&r, 0);
    skip_space(&r);
    if (!rc && *r.p)
        rc = wrong(&r, "something follows the value");
    if (!rc)
        rc = make(&r, dt, rank, out);
    arena_release(&cx->scratch, mark);
    return rc;
}
