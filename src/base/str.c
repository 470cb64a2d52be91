/* Growing strings, UTF-8 made valid, names made fit for a screen. */
#include "str.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "checked.h"

/* Room for n more bytes and the terminator. */
static bool reserve(struct str *s, size_t n)
{
    size_t need, cap = s->cap ? s->cap : 32;

    if (s->failed)
        return false;
    if (!add_size(s->n, n, &need) || !add_size(need, 1, &need)) {
        s->failed = true;
        return false;
    }
    if (need <= s->cap)
        return true;
    while (cap < need)
        if (!mul_size(cap, 2, &cap))
            cap = need;
    char *p = mem_realloc(s->p, cap);
    if (!p) {
        s->failed = true;
        return false;
    }
    s->p = p;
    s->cap = cap;
    return true;
}

void str_addn(struct str *s, const char *p, size_t n)
{
    if (!reserve(s, n))
        return;
    if (n)
        memcpy(s->p + s->n, p, n);
    s->n += n;
    s->p[s->n] = 0;
}

void str_add(struct str *s, const char *p)
{
    str_addn(s, p, strlen(p));
}

void str_addc(struct str *s, char c)
{
    str_addn(s, &c, 1);
}

void str_vaddf(struct str *s, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0) {
        s->failed = true;
        return;
    }
    if (!reserve(s, (size_t)n))
        return;
    vsnprintf(s->p + s->n, (size_t)n + 1, fmt, ap);
    s->n += (size_t)n;
}

void str_addf(struct str *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    str_vaddf(s, fmt, ap);
    va_end(ap);
}

void str_free(struct str *s)
{
    free(s->p);
    memset(s, 0, sizeof *s);
}

const char *str_text(const struct str *s)
{
    return s->p ? s->p : "";
}

/* Length of the well-formed UTF-8 sequence at p (no overlong forms, no surrogates, at most U+10FFFF) and its
 * code point; 0 when there is none. Table 3-7 of the Unicode standard. */
static size_t utf8_decode(const unsigned char *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len;
    uint32_t c;

    if (!n)
        return 0;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    if ((p[0] & 0xe0) == 0xc0)
        len = 2, c = p[0] & 0x1f;
    else if ((p[0] & 0xf0) == 0xe0)
        len = 3, c = p[0] & 0x0f;
    else if ((p[0] & 0xf8) == 0xf0)
        len = 4, c = p[0] & 0x07;
    else
        return 0;
    if (len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *cp = c;
    return len;
}

bool utf8_valid(const char *p, size_t n)
{
    uint32_t cp;

    for (size_t i = 0; i < n;) {
        size_t len = utf8_decode((const unsigned char *)p + i, n - i, &cp);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

/* C0, DEL, C1, line separators, and the marks that reorder text: what may change a terminal or deceive a
 * reader. */
static bool is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) ||
           (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f || cp == 0xfeff;
}

/* The escaped form of the piece at p (a character or one bad byte) in out[17]; returns how much was consumed.
 */
static size_t escape_piece(const unsigned char *p, size_t n, char *out, size_t *out_len)
{
    static const char hex[] = "0123456789abcdef";
    uint32_t cp = 0;
    size_t len = utf8_decode(p, n, &cp);

    if (len && !is_control(cp)) {
        memcpy(out, p, len);
        *out_len = len;
        return len;
    }
    if (!len)
        len = 1;
    else if (cp == '\n' || cp == '\t') {
        out[0] = '\\';
        out[1] = cp == '\n' ? 'n' : 't';
        *out_len = 2;
        return 1;
    }
    for (size_t i = 0; i < len; i++) {
        out[4 * i] = '\\';
        out[4 * i + 1] = 'x';
        out[4 * i + 2] = hex[p[i] >> 4];
        out[4 * i + 3] = hex[p[i] & 15];
    }
    *out_len = 4 * len;
    return len;
}

size_t str_escape(char *dst, size_t size, const char *src, size_t n)
{
    size_t at = 0;

    if (!size)
        return 0;
    for (size_t i = 0; i < n;) {
        char piece[16];
        size_t len;
        i += escape_piece((const unsigned char *)src + i, n - i, piece, &len);
        if (len > size - 1 - at)
            break;
        memcpy(dst + at, piece, len);
        at += len;
    }
    dst[at] = 0;
    return at;
}

void str_add_escaped(struct str *s, const char *src, size_t n)
{
    for (size_t i = 0; i < n && !s->failed;) {
        char piece[16];
        size_t len;
        i += escape_piece((const unsigned char *)src + i, n - i, piece, &len);
        str_addn(s, piece, len);
    }
}

/* Does c match the set behind '['? Sets *end behind the ']', or to NULL when there is none ('[' is then
 * literal). */
static bool match_set(const char *set, char c, const char **end)
{
    bool negate = *set == '!' || *set == '^', hit = false;
    const char *p = set + negate;

    *end = NULL;
    for (const char *first = p; *p && (*p != ']' || p == first); p++) {
        if (p[1] == '-' && p[2] && p[2] != ']') {
            hit |= (unsigned char)c >= (unsigned char)p[0] && (unsigned char)c <= (unsigned char)p[2];
            p += 2;
        } else {
            hit |= c == *p;
        }
    }
    if (*p == ']')
        *end = p + 1;
    return hit != negate;
}

/* Matches one character; returns the pattern behind what it used, or NULL. */
static const char *match_one(const char *pattern, char c)
{
    const char *end;

    if (*pattern == '?')
        return pattern + 1;
    if (*pattern == '[') {
        bool hit = match_set(pattern + 1, c, &end);
        if (end)
            return hit ? end : NULL;
    }
    return *pattern == c ? pattern + 1 : NULL;
}

bool glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL; /* behind the last '*', and where its text ends so far */

    while (*text) {
        const char *next;
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern && (next = match_one(pattern, *text))) {
            pattern = next;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

unsigned edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t na = strlen(a), nb = strlen(b);
    /* Rows i-2, i-1 and i of the table, turned in a ring. */
    unsigned row[3][LONGEST + 1];

    if (na > LONGEST || nb > LONGEST) {
        size_t longest = na > nb ? na : nb;
        return strcmp(a, b) == 0 ? 0 : longest > UINT32_MAX ? UINT32_MAX : (unsigned)longest;
    }
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            cur[j] = min3(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && prev2[j - 2] + 1 < cur[j])
                cur[j] = prev2[j - 2] + 1;
        }
    }
    return row[na % 3][nb];
}

const char *nearest_name(const char *want, const char *const *names, size_t n)
{
    size_t len = strlen(want);
    unsigned best = UINT_MAX;
    const char *found = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t longer = strlen(names[i]) > len ? strlen(names[i]) : len;
        unsigned d = edit_distance(want, names[i]);
        /* A third of the letters may be wrong: more is another word. */
        if (d <= longer / 3 && d < best) {
            best = d;
            found = names[i];
        }
    }
    return found;
}

/* value / base^k with three significant digits and the unit of k. */
static void scaled(char *buf, size_t size, unsigned long long value, double base, const char *const *units,
                   int nunits)
{
    double v = (double)value;
    int k = 0;

    /* 999.5 would print as 1e+03 or 1000: it belongs to the next unit. */
    while (k + 1 < nunits && v >= (base == 1000 ? 999.5 : base)) {
        v /= base;
        k++;
    }
    int decimals = k == 0 || v >= 100 ? 0 : v >= 10 ? 1 : 2;
    snprintf(buf, size, "%.*f%s%s", decimals, v, *units[k] ? " " : "", units[k]);
}

const char *human_bytes(char *buf, size_t size, unsigned long long bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    scaled(buf, size, bytes, 1024, units, 7);
    return buf;
}

const char *human_count(char *buf, size_t size, unsigned long long n)
{
    static const char *const units[] = {"", "K", "M", "G", "T", "P", "E"};

    scaled(buf, size, n, 1000, units, 7);
    return buf;
}
