/* Writers of results. Everything goes through stdio to one stream; a failed write is seen once, at the end
 * (report_end), since nothing useful can be done in between. */
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

enum { ROW_KEY = 14, ROW_KEY_MAX = 40, JSON_DEPTH = 64, SCHEMA_VERSION = 1 };

struct report {
    FILE *out;
    enum format format;
    bool color;
    int key_width;
    const char *error; /* the last one, kept */
    /* JSON: the brackets that are open, and whether something stands in each. */
    int depth;
    char closer[JSON_DEPTH];
    bool filled[JSON_DEPTH];
    /* Strings given out. */
    char **kept;
    size_t nkept;
};

/* ---- memory ---- */

static void *need(void *p)
{
    if (p)
        return p;
    fputs("onnxtool: out of memory\n", stderr);
    ot_cleanup();
    exit(EXIT_MACHINE);
}

void *xalloc(size_t n)
{
    return need(calloc(1, n ? n : 1));
}

void *xgrow(void *p, size_t n)
{
    return need(realloc(p, n ? n : 1));
}

char *xdup(const char *s)
{
    return need(strdup(s));
}

static char *keep(struct report *r, char *s)
{
    r->kept = xgrow(r->kept, (r->nkept + 1) * sizeof *r->kept);
    r->kept[r->nkept++] = s;
    return s;
}

/* ---- begin and end ---- */

struct report *report_new(FILE *out, enum format format, bool color, const char *command)
{
    struct report *r = xalloc(sizeof *r);
    *r = (struct report){.out = out, .format = format, .color = color, .key_width = ROW_KEY};
    js_obj(r, NULL);
    js_int(r, "schema_version", SCHEMA_VERSION);
    js_str(r, "command", command);
    return r;
}

bool report_end(struct report *r, int exit_code)
{
    while (r->depth > 1)
        js_end(r);
    if (r->error)
        js_str(r, "error", r->error);
    js_int(r, "exit_code", exit_code);
    js_end(r);
    bool good = fflush(r->out) == 0 && !ferror(r->out);
    for (size_t i = 0; i < r->nkept; i++)
        free(r->kept[i]);
    free(r->kept);
    free(r);
    return good;
}

void rp_error(struct report *r, const char *message)
{
    r->error = keep(r, xdup(message));
}

enum format rp_format(const struct report *r)
{
    return r->format;
}

bool rp_json(const struct report *r)
{
    return r->format == FORMAT_JSON;
}

FILE *rp_file(struct report *r)
{
    return r->out;
}

/* ---- text ---- */

/* Characters, not bytes: the text is valid UTF-8. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static char *format_new(const char *fmt, va_list ap)
{
    char *s;
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    return need(s);
}

const char *rp_str(struct report *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = format_new(fmt, ap);
    va_end(ap);
    return keep(r, s);
}

void rp_text(struct report *r, const char *fmt, ...)
{
    if (r->format != FORMAT_TEXT)
        return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(r->out, fmt, ap);
    va_end(ap);
}

void rp_title(struct report *r, const char *fmt, ...)
{
    if (r->format != FORMAT_TEXT)
        return;
    va_list ap;
    va_start(ap, fmt);
    char *s = format_new(fmt, ap);
    va_end(ap);
    fprintf(r->out, r->color ? "\033[1m%s\033[0m\n" : "%s\n", s);
    free(s);
}

void rp_row(struct report *r, const char *key, const char *fmt, ...)
{
    if (r->format != FORMAT_TEXT)
        return;
    va_list ap;
    va_start(ap, fmt);
    char *s = format_new(fmt, ap);
    va_end(ap);
    int pad = r->key_width - (int)text_width(key);
    fprintf(r->out, "  %s%*s %s\n", key, pad > 0 ? pad : 0, "", s);
    free(s);
}

void rp_key_width(struct report *r, size_t columns)
{
    r->key_width = columns < ROW_KEY ? ROW_KEY : columns > ROW_KEY_MAX ? ROW_KEY_MAX : (int)columns;
}

const char *rp_verdict(struct report *r, bool good, const char *text)
{
    return r->color ? rp_str(r, "\033[%dm%s\033[0m", good ? 32 : 31, text) : text;
}

const char *rp_name(struct report *r, const char *s)
{
    if (!s)
        return "";
    /* An escaped byte takes at most four. */
    size_t cap = 4 * strlen(s) + 1;
    char *p = xalloc(cap);
    ot_escape(p, cap, s);
    return keep(r, p);
}

const char *rp_bytes(struct report *r, uint64_t bytes)
{
    char buf[64];
    return rp_str(r, "%s", ot_human_bytes(buf, sizeof buf, bytes));
}

const char *rp_count(struct report *r, uint64_t n)
{
    char buf[64];
    return rp_str(r, "%s", ot_human_count(buf, sizeof buf, n));
}

const char *rp_digits(struct report *r, int64_t n)
{
    char plain[32], out[48];
    int len = snprintf(plain, sizeof plain, "%lld", (long long)n);
    char *p = out;
    for (int i = 0; i < len; i++) {
        *p++ = plain[i];
        int left = len - 1 - i;
        if (left && left % 3 == 0 && plain[i] != '-')
            *p++ = ',';
    }
    *p = '\0';
    return rp_str(r, "%s", out);
}

const char *rp_num(struct report *r, double v, int digits)
{
    return rp_str(r, "%.*g", digits ? digits : 6, v);
}

/* ---- JSON ---- */

/* Length of the valid UTF-8 sequence at p (overlong forms, surrogates and what is past U+10FFFF are not),
 * 0: none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static void json_char(FILE *f, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *p = c ? strchr(from, c) : NULL;
    if (p)
        fprintf(f, "\\%c", to[p - from]);
    else if (c < 0x20 || c == 0x7f)
        fprintf(f, "\\u%04x", c);
    else
        fputc(c, f);
}

static void json_string(FILE *f, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    fputc('"', f);
    while (n) {
        size_t len = utf8_len(p, n);
        if (len == 0) {
            fputs("\\ufffd", f); /* the replacement character, a byte each */
            len = 1;
        } else if (len == 1) {
            json_char(f, *p);
        } else {
            fwrite(p, 1, len, f);
        }
        p += len;
        n -= len;
    }
    fputc('"', f);
}

/* Comma, line break and key before an item. */
static bool json_item(struct report *r, const char *key)
{
    if (r->format != FORMAT_JSON)
        return false;
    if (!r->depth)
        return true;
    bool *filled = &r->filled[r->depth - 1];
    fprintf(r->out, "%s\n%*s", *filled ? "," : "", 2 * r->depth, "");
    *filled = true;
    if (key) {
        json_string(r->out, key, strlen(key));
        fputs(": ", r->out);
    }
    return true;
}

static void json_open(struct report *r, const char *key, char open, char closer)
{
    if (!json_item(r, key) || r->depth == JSON_DEPTH)
        return;
    fputc(open, r->out);
    r->closer[r->depth] = closer;
    r->filled[r->depth++] = false;
}

void js_obj(struct report *r, const char *key)
{
    json_open(r, key, '{', '}');
}

void js_arr(struct report *r, const char *key)
{
    json_open(r, key, '[', ']');
}

void js_end(struct report *r)
{
    if (r->format != FORMAT_JSON || !r->depth)
        return;
    r->depth--;
    if (r->filled[r->depth])
        fprintf(r->out, "\n%*s", 2 * r->depth, "");
    fputc(r->closer[r->depth], r->out);
    if (!r->depth)
        fputc('\n', r->out);
}

void js_strn(struct report *r, const char *key, const char *s, size_t n)
{
    if (json_item(r, key))
        json_string(r->out, s, n);
}

void js_str(struct report *r, const char *key, const char *s)
{
    if (s)
        js_strn(r, key, s, strlen(s));
    else
        js_null(r, key);
}

void js_int(struct report *r, const char *key, int64_t v)
{
    if (json_item(r, key))
        fprintf(r->out, "%lld", (long long)v);
}

void js_uint(struct report *r, const char *key, uint64_t v)
{
    if (json_item(r, key))
        fprintf(r->out, "%llu", (unsigned long long)v);
}

void js_num(struct report *r, const char *key, double v)
{
    if (!json_item(r, key))
        return;
    if (!isfinite(v)) {
        fputs(isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"", r->out);
        return;
    }
    char buf[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, v);
        if (strtod(buf, NULL) == v)
            break;
    }
    fputs(buf, r->out);
}

void js_bool(struct report *r, const char *key, bool v)
{
    if (json_item(r, key))
        fputs(v ? "true" : "false", r->out);
}

void js_null(struct report *r, const char *key)
{
    if (json_item(r, key))
        fputs("null", r->out);
}

/* ---- tables ---- */

struct table {
    struct report *r;
    const char *align;
    size_t cols;
    char **cell; /* the heads, then row by row */
    size_t n, cap;
};

static void add_cell(struct table *t, char *text)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->cell = xgrow(t->cell, t->cap * sizeof *t->cell);
    }
    t->cell[t->n++] = text;
}

struct table *table_new(struct report *r, const char *align, const char *const *heads)
{
    struct table *t = xalloc(sizeof *t);
    t->r = r;
    t->align = align;
    t->cols = strlen(align);
    for (size_t i = 0; i < t->cols; i++)
        add_cell(t, xdup(heads[i]));
    return t;
}

void table_cell(struct table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = format_new(fmt, ap);
    va_end(ap);
    size_t cap = 4 * strlen(s) + 1;
    char *safe = xalloc(cap);
    ot_escape(safe, cap, s);
    free(s);
    add_cell(t, safe);
}

void table_int(struct table *t, int64_t v)
{
    table_cell(t, "%lld", (long long)v);
}

static void csv_cell(FILE *f, const char *s)
{
    if (!s[strcspn(s, "\",\n\r")]) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++)
        fprintf(f, *s == '"' ? "\"%c" : "%c", *s);
    fputc('"', f);
}

static void markdown_cell(FILE *f, const char *s)
{
    for (; *s; s++)
        fprintf(f, *s == '|' ? "\\%c" : "%c", *s);
}

static void print_csv(struct table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        csv_cell(t->r->out, t->cell[i]);
        fputs((i + 1) % t->cols ? "," : "\n", t->r->out);
    }
}

static void print_markdown(struct table *t)
{
    FILE *f = t->r->out;
    for (size_t i = 0; i < t->n; i++) {
        fputs(i % t->cols ? " " : "| ", f);
        markdown_cell(f, t->cell[i]);
        fputs((i + 1) % t->cols ? " |" : " |\n", f);
        if (i + 1 == t->cols)
            for (size_t k = 0; k < t->cols; k++)
                fprintf(f, "%s%s%s", k ? "" : "|", t->align[k] == 'r' ? "---:|" : "---|",
                        k + 1 == t->cols ? "\n" : "");
    }
}

static void print_aligned(struct table *t)
{
    FILE *f = t->r->out;
    size_t *width = xalloc(t->cols * sizeof *width);
    for (size_t i = 0; i < t->n; i++) {
        size_t w = text_width(t->cell[i]);
        if (w > width[i % t->cols])
            width[i % t->cols] = w;
    }
    for (size_t i = 0; i < t->n; i++) {
        size_t col = i % t->cols;
        int pad = (int)(width[col] - text_width(t->cell[i]));
        bool right = t->align[col] == 'r', last = col + 1 == t->cols;
        bool bold = t->r->color && i < t->cols;
        fprintf(f, "  %*s%s%s%s%*s%s", right ? pad : 0, "", bold ? "\033[1m" : "", t->cell[i],
                bold ? "\033[0m" : "", right || last ? 0 : pad, "", last ? "\n" : "");
    }
    free(width);
}

void table_drop(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t);
}

void table_end(struct table *t)
{
    if (t->r->format == FORMAT_TEXT)
        print_aligned(t);
    else if (t->r->format == FORMAT_CSV)
        print_csv(t);
    else if (t->r->format == FORMAT_MARKDOWN)
        print_markdown(t);
    table_drop(t);
}
