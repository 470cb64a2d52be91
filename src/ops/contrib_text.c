/* Tokenizer of com.microsoft: strings to rows of tokens, by what separates them, by what they look like, or
 * character by character. */
#include <string.h>

#include "base/regex.h"
#include "base/utf8.h"
#include "ops/contrib.h"

struct tokenizer {
    bool mark, chars;
    int64_t least; /* characters of a token */
    struct ostr pad;
    size_t n; /* expressions: separators, or the one of a token */
    struct regex **re;
    bool separators;
};

static int compile(struct cx *cx, struct arena *arena, struct tokenizer *p, const struct ostr *text, size_t n)
{
    p->n = n;
    p->re = arena_array(arena, n, sizeof(struct regex *));
    int rc = p->re ? 0 : err_nomem(cx);
    for (size_t i = 0; i < n && !rc; i++)
        rc = regex_compile(cx, arena, text[i].n ? text[i].p : "", text[i].n, &p->re[i]);
    return rc;
}

static int tokenizer_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct tokenizer *p = params;
    const struct ostr *sep = NULL;
    struct ostr exp = {0};
    size_t nsep = 0;
    int64_t mark = 0;
    (void)version;
    int rc = contrib_inputs(cx, n, 1, 1, 1);
    if (!rc)
        rc = attr_int(cx, n, "mincharnum", &p->least);
    if (rc >= 0)
        rc = attr_int(cx, n, "mark", &mark);
    if (rc >= 0)
        rc = attr_str(cx, n, "pad_value", &p->pad);
    if (rc >= 0)
        rc = attr_strings(cx, n, "separators", &sep, &nsep);
    if (rc >= 0)
        rc = attr_str(cx, n, "tokenexp", &exp);
    if (rc < 0)
        return rc;
    if (!nsep == !exp.n)
        return err_set(cx, E_ATTR, "one of separators and tokenexp must be given");
    p->mark = mark != 0;
    p->separators = nsep != 0;
    p->chars = nsep ? nsep == 1 && !sep[0].n : exp.n == 1 && exp.p[0] == '.';
    if (p->chars && p->least > 1)
        return err_set(cx, E_ATTR, "mincharnum is %lld for tokens of one character", (long long)p->least);
    return p->chars ? 0 : compile(cx, arena, p, nsep ? sep : &exp, nsep ? nsep : 1);
}

static int tokenizer_infer(struct infer_ctx *ic, const void *params)
{
    struct dim d[TENSOR_MAX_RANK];
    (void)params;
    int rc = ic_need_rank(ic, 0, 1, 2), rank = rc ? rc : in_dims(ic, 0, d);
    if (rank < -1 || rc)
        return rank;
    if (rank >= 0)
        d[rank] = dim_fresh(ic->syms);
    return ic_out(ic, 0, DT_STRING, rank < 0 ? -1 : rank + 1, d);
}

/* A growing row of tokens. */
struct row {
    struct exec_ctx *ec;
    const struct tokenizer *p;
    void *work; /* for matches */
    struct ostr *at;
    size_t n, cap;
};

static int64_t chars_of(struct ostr s)
{
    int64_t n = 0;
    size_t len;
    for (size_t i = 0; i < s.n; i += len, n++)
        utf8_get(s.p + i, s.n - i, &len);
    return n;
}

/* Keeps a piece that is long enough. */
static int keep(struct row *r, const char *p, size_t n)
{
    struct ostr s = {n ? p : "", n};
    if (chars_of(s) < r->p->least)
        return 0;
    if (r->n == r->cap) {
        size_t cap = 2 * r->cap + 16;
        struct ostr *to = arena_array(ec_strings(r->ec), cap, sizeof(*to));
        if (!to)
            return err_nomem(r->ec->cx);
        if (r->n)
            memcpy(to, r->at, r->n * sizeof(*to));
        r->at = to;
        r->cap = cap;
    }
    r->at[r->n++] = s;
    return 0;
}

/* The next match from byte `at` on: where it begins, SIZE_MAX when there is none; *end: where it ends. */
static size_t next_match(const struct regex *re, struct ostr s, size_t at, void *work, size_t *end)
{
    size_t len = 1;
    for (; at <= s.n; at += len) {
        *end = regex_longest(re, s.p, at, s.n, work);
        if (*end != SIZE_MAX)
            return at;
        if (at < s.n)
            utf8_get(s.p + at, s.n - at, &len);
    }
    return SIZE_MAX;
}

/* What stands between the separators in each of the n pieces. */
static int cut(struct row *out, const struct regex *re, const struct ostr *pieces, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        struct ostr s = pieces[i];
        size_t from = 0, end, at;
        while (!rc && from <= s.n && (at = next_match(re, s, from, out->work, &end)) != SIZE_MAX) {
            rc = keep(out, s.p + from, at - from);
            from =
                end > at ? end : at + 1; /* an empty match takes a byte with it, or there would be no end */
        }
        if (!rc)
            rc = from < s.n ? keep(out, s.p + from, s.n - from) : keep(out, "", 0);
    }
    return rc;
}

static int pick(struct row *out, const struct regex *re, struct ostr s)
{
    size_t from = 0, end, at;
    int rc = 0;
    while (!rc && from < s.n && (at = next_match(re, s, from, out->work, &end)) != SIZE_MAX) {
        if (end > at)
            rc = keep(out, s.p + at, end - at);
        from = end > at ? end : at + 1;
    }
    return rc;
}

static int split_chars(struct row *out, struct ostr s)
{
    size_t len;
    int rc = 0;
    for (size_t i = 0; i < s.n && !rc; i += len) {
        utf8_get(s.p + i, s.n - i, &len);
        rc = keep(out, s.p + i, len);
    }
    return rc;
}

static int tokens_of(struct row *r, struct ostr s)
{
    const struct tokenizer *p = r->p;
    s.p = s.n ? s.p : "";
    if (p->chars)
        return split_chars(r, s);
    if (!p->separators)
        return pick(r, p->re[0], s);
    struct ostr *pieces = &s;
    size_t n = 1;
    int rc = 0;
    for (size_t i = 0; i < p->n && !rc; i++) {
        struct row out = {.ec = r->ec, .p = p, .work = r->work};
        rc = cut(&out, p->re[i], pieces, n);
        pieces = out.at;
        n = out.n;
    }
    r->at = pieces;
    r->n = n;
    return rc;
}

static int write_rows(struct exec_ctx *ec, const struct tokenizer *p, const struct row *rows, int64_t n,
                      int64_t widest)
{
    const struct tensor *t = ec->in[0];
    int64_t dims[3] = {t->dims[0], t->rank > 1 ? t->dims[1] : 0, 0},
            width = widest ? widest + 2 * p->mark : 0;
    dims[t->rank] = width;
    int rc = ec_resize(ec, 0, DT_STRING, t->rank + 1, dims);
    if (rc || !ec_wants(ec, 0))
        return rc;
    struct ostr *y = ec->out[0]->data;
    for (int64_t i = 0; i < n && width; i++) {
        struct ostr *row = y + i * width, *at = row;
        if (p->mark)
            *at++ = (struct ostr){"\x02", 1};
        for (size_t k = 0; k < rows[i].n; k++)
            *at++ = rows[i].at[k];
        if (p->mark)
            *at++ = (struct ostr){"\x03", 1};
        while (at < row + width)
            *at++ = p->pad;
    }
    return 0;
}

static int tokenizer_ref(struct exec_ctx *ec, const void *params)
{
    const struct tokenizer *p = params;
    const struct tensor *t = ec->in[0];
    int64_t n = tensor_count(t), widest = 0;
    if (t->dt != DT_STRING || t->rank < 1 || t->rank > 2)
        return ec_unsupported(ec, 0);
    size_t work = 0;
    for (size_t i = 0; i < p->n; i++)
        work = regex_work(p->re[i]) > work ? regex_work(p->re[i]) : work;
    void *mem = ec_scratch(ec, work + 1);
    struct row *rows = mem ? ec_scratch(ec, ((size_t)n + 1) * sizeof(*rows)) : NULL;
    int rc = rows ? 0 : ec->cx->err.code;
    for (int64_t i = 0; i < n && !rc; i++) {
        rows[i] = (struct row){.ec = ec, .p = p, .work = mem};
        rc = tokens_of(&rows[i], ((const struct ostr *)t->data)[i]);
        widest = (int64_t)rows[i].n > widest ? (int64_t)rows[i].n : widest;
    }
    return rc ? rc : write_rows(ec, p, rows, n, widest);
}

const struct op op_com_microsoft_Tokenizer = {
    .domain = "com.microsoft",
    .name = "Tokenizer",
    .flags = OP_DYNAMIC,
    .params_size = sizeof(struct tokenizer),
    .parse = tokenizer_parse,
    .infer = tokenizer_infer,
    .ref = tokenizer_ref,
};
