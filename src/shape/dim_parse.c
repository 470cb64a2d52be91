/* Expressions in dim_param texts.
 *
 *   sum     := product (('+' | '-') product)*
 *   product := unary (('*' | '/' | '//') unary)*
 *   unary   := '-' unary | number | name | '(' sum ')' | function '(' sum (',' sum)* ')'
 *
 * Exporters write rationals inside floor and ceil ("floor(h/2 - 1/2) + 1"), so every value is a numerator
 * over a positive number. What does not parse, or is no integer in the end, is a name that merely looks odd.
 */
#include <ctype.h>
#include <string.h>

#include "base/checked.h"
#include "shape/dim_priv.h"

enum { MAX_TEXT = 512, MAX_NEST = 24 };

struct rat {
    struct dim num;
    int64_t den;
};

struct parser {
    struct symtab *t;
    const char *p;
    int nest;
    bool failed;
};

static const struct rat nothing = {{DIM_UNKNOWN, 0, NULL}, 1};

static struct rat fail(struct parser *p)
{
    p->failed = true;
    return nothing;
}

static char peek(struct parser *p)
{
    while (*p->p == ' ')
        p->p++;
    return *p->p;
}

static bool accept(struct parser *p, char c)
{
    if (peek(p) != c)
        return false;
    p->p++;
    return true;
}

static struct rat make(struct parser *p, struct dim num, int64_t den)
{
    if (num.kind == DIM_UNKNOWN || den <= 0)
        return fail(p);
    struct dim whole = den > 1 ? dim_div_exact(p->t, num, dim_const(den)) : num;
    return whole.kind == DIM_UNKNOWN ? (struct rat){num, den} : (struct rat){whole, 1};
}

static struct rat add(struct parser *p, struct rat a, struct rat b, int64_t sign)
{
    int64_t den, k;
    if (!mul_i64(a.den, b.den, &den) || !mul_i64(a.den, sign, &k))
        return fail(p);
    struct dim x = dim_mul(p->t, a.num, dim_const(b.den)), y = dim_mul(p->t, b.num, dim_const(k));
    return make(p, dim_add(p->t, x, y), den);
}

static struct rat mul(struct parser *p, struct rat a, struct rat b)
{
    int64_t den;
    if (!mul_i64(a.den, b.den, &den))
        return fail(p);
    return make(p, dim_mul(p->t, a.num, b.num), den);
}

/* By a number; or by an expression where that comes out even. */
static struct rat divide(struct parser *p, struct rat a, struct rat b)
{
    int64_t den;
    struct dim num = dim_mul(p->t, a.num, dim_const(b.den));
    if (b.num.kind == DIM_CONST) {
        if (b.num.v <= 0 || !mul_i64(a.den, b.num.v, &den))
            return fail(p);
        return make(p, num, den);
    }
    return make(p, dim_div_exact(p->t, num, b.num), a.den);
}

static struct rat to_floor(struct parser *p, struct rat a)
{
    return make(p, dim_div_floor(p->t, a.num, dim_const(a.den)), 1);
}

static struct rat to_ceil(struct parser *p, struct rat a)
{
    return make(p, dim_div_ceil(p->t, a.num, dim_const(a.den)), 1);
}

static struct rat parse_sum(struct parser *p);

static bool word_is(const char *s, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (tolower((unsigned char)s[i]) != name[i])
            return false;
    }
    return name[n] == 0;
}

static struct rat parse_call(struct parser *p, const char *name, size_t n)
{
    struct rat a = parse_sum(p);
    struct dim (*join)(struct symtab *, struct dim, struct dim) = word_is(name, n, "min")   ? dim_min
                                                                  : word_is(name, n, "max") ? dim_max
                                                                  : word_is(name, n, "broadcast")
                                                                      ? dim_broadcast
                                                                      : NULL;
    while (join && !p->failed && accept(p, ',')) {
        struct rat b = parse_sum(p);
        if (p->failed || a.den != 1 || b.den != 1)
            return fail(p);
        a = make(p, join(p->t, a.num, b.num), 1);
    }
    if (p->failed || !accept(p, ')'))
        return fail(p);
    if (word_is(name, n, "floor"))
        return to_floor(p, a);
    if (word_is(name, n, "ceil") || word_is(name, n, "ceiling"))
        return to_ceil(p, a);
    return join ? a : fail(p);
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static struct rat parse_name(struct parser *p)
{
    char buf[MAX_TEXT];
    const char *s = p->p;
    while (name_char(*p->p))
        p->p++;
    size_t n = (size_t)(p->p - s);
    /* "batch-size" is a name; "n-1" and "n - k" are differences. */
    if (p->p[0] == '-' && isalpha((unsigned char)p->p[1]))
        return fail(p);
    if (accept(p, '('))
        return parse_call(p, s, n);
    memcpy(buf, s, n);
    buf[n] = 0;
    return make(p, symbol_named(p->t, buf), 1);
}

static struct rat parse_number(struct parser *p)
{
    int64_t v = 0;
    for (; isdigit((unsigned char)*p->p); p->p++) {
        if (!mul_i64(v, 10, &v) || !add_i64(v, *p->p - '0', &v))
            return fail(p);
    }
    return name_char(*p->p) ? fail(p) : make(p, dim_const(v), 1);
}

static struct rat parse_unary(struct parser *p)
{
    if (p->failed || p->nest >= MAX_NEST)
        return fail(p);
    struct rat r;
    char c = peek(p);
    p->nest++;
    if (accept(p, '-')) {
        r = mul(p, (struct rat){dim_const(-1), 1}, parse_unary(p));
    } else if (accept(p, '(')) {
        r = parse_sum(p);
        if (!accept(p, ')'))
            r = fail(p);
    } else if (isdigit((unsigned char)c)) {
        r = parse_number(p);
    } else if (isalpha((unsigned char)c) || c == '_') {
        r = parse_name(p);
    } else {
        r = fail(p);
    }
    p->nest--;
    return r;
}

static struct rat parse_product(struct parser *p)
{
    struct rat a = parse_unary(p);
    while (!p->failed && (peek(p) == '*' || peek(p) == '/')) {
        bool times = *p->p++ == '*';
        bool down = !times && *p->p == '/';
        p->p += down;
        struct rat b = parse_unary(p);
        if (p->failed)
            break;
        a = times ? mul(p, a, b) : divide(p, a, b);
        if (down && !p->failed)
            a = to_floor(p, a);
    }
    return a;
}

static struct rat parse_sum(struct parser *p)
{
    struct rat a = parse_product(p);
    while (!p->failed && (peek(p) == '+' || peek(p) == '-')) {
        int64_t sign = *p->p++ == '+' ? 1 : -1;
        struct rat b = parse_product(p);
        if (!p->failed)
            a = add(p, a, b, sign);
    }
    return a;
}

static bool is_word(const char *s)
{
    for (; *s; s++) {
        if (!name_char(*s))
            return false;
    }
    return true;
}

/* Looks whether an expression is meant at all before symbols are made for its parts. */
static bool is_expression(const char *s)
{
    return strlen(s) < MAX_TEXT && strpbrk(s, "+-*/(") != NULL;
}

struct dim dim_symbol(struct symtab *t, const char *name)
{
    while (*name == ' ')
        name++;
    /* What exporters write when they know nothing; -1 and numbers below zero end up the same way. */
    if (!*name || strcmp(name, "?") == 0 || strcmp(name, "None") == 0)
        return dim_unknown();
    bool digits = isdigit((unsigned char)*name) != 0;
    if (is_word(name) && !digits)
        return symbol_named(t, name);
    if (digits || is_expression(name)) {
        struct parser p = {.t = t, .p = name};
        struct rat r = parse_sum(&p);
        if (!p.failed && peek(&p) == 0 && r.den == 1)
            return r.num.kind == DIM_CONST && r.num.v < 0 ? dim_unknown() : r.num;
    }
    return symbol_named(t, name);
}
