/* A pattern is parsed into a tree, the tree becomes a program for a set of parallel threads (K. Thompson,
 * "Regular Expression Search Algorithm", 1968), which is run with one set of states a character: no pattern
 * takes exponential time. */
#include "regex.h"

#include <stdint.h>
#include <string.h>

#include "utf8.h"

enum { MAX_DEPTH = 200, MAX_REPEAT = 1000, MAX_CODE = 1 << 16, LAST_RUNE = 0x10ffff };

/* ---- the tree ---- */

enum tree_kind { T_EMPTY, T_SET, T_CAT, T_ALT, T_REPEAT, T_ASSERT };
enum assert_kind { AS_TEXT_START, AS_TEXT_END, AS_LINE_START, AS_LINE_END, AS_WORD, AS_NO_WORD };

struct range {
    int32_t lo, hi;
};

struct set {
    struct range *r;
    size_t n, cap;
};

struct tree {
    enum tree_kind kind;
    struct set set;
    enum assert_kind assert_;
    int min, max;      /* T_REPEAT; max -1: no bound */
    struct tree *sub;  /* first child */
    struct tree *next; /* next one of the same parent */
};

enum { FLAG_FOLD = 1, FLAG_MULTI = 2, FLAG_DOTALL = 4 };

struct parser {
    struct cx *cx;
    struct arena *a;
    const char *p, *end;
    unsigned flags;
    int depth;
    bool quoted; /* between \Q and \E */
};

static int parse_alt(struct parser *ps, struct tree **out);

static int bad(struct parser *ps, const char *what)
{
    return err_set(ps->cx, E_ATTR, "regular expression: %s", what);
}

static struct tree *tree_new(struct parser *ps, enum tree_kind kind)
{
    struct tree *t = arena_zalloc(ps->a, sizeof(*t));
    if (t)
        t->kind = kind;
    else
        err_nomem(ps->cx);
    return t;
}

/* ---- sets of characters ---- */

static int set_add(struct parser *ps, struct set *s, int32_t lo, int32_t hi)
{
    struct range *r = arena_grow(ps->a, s->r, s->n, &s->cap, sizeof(*r));
    if (!r)
        return err_nomem(ps->cx);
    s->r = r;
    s->r[s->n++] = (struct range){lo, hi};
    return 0;
}

/* Everything that s does not hold. */
static int set_negate(struct parser *ps, struct set *s)
{
    struct set out = {0};
    int32_t at = 0;
    for (size_t i = 1; i < s->n; i++) /* insertion sort: classes are short */
        for (size_t k = i; k && s->r[k].lo < s->r[k - 1].lo; k--) {
            struct range t = s->r[k];
            s->r[k] = s->r[k - 1];
            s->r[k - 1] = t;
        }
    for (size_t i = 0; i < s->n; i++) {
        if (s->r[i].lo > at) {
            int rc = set_add(ps, &out, at, s->r[i].lo - 1);
            if (rc)
                return rc;
        }
        at = s->r[i].hi >= at ? s->r[i].hi + 1 : at;
    }
    int rc = at <= LAST_RUNE ? set_add(ps, &out, at, LAST_RUNE) : 0;
    *s = out;
    return rc;
}

/* The other case of every letter in s. */
static int set_fold(struct parser *ps, struct set *s)
{
    for (size_t i = 0, n = s->n; i < n; i++) {
        struct range r = s->r[i];
        for (int32_t c = r.lo; c <= r.hi && c < 0x1e944; c++) { /* the last letter that has two cases */
            int32_t low = uni_lower(c), up = uni_upper(c);
            int rc = low != c ? set_add(ps, s, low, low) : 0;
            if (!rc && up != c)
                rc = set_add(ps, s, up, up);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int set_merge(struct parser *ps, struct set *to, const struct set *from)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < from->n; i++)
        rc = set_add(ps, to, from->r[i].lo, from->r[i].hi);
    return rc;
}

/* A class by its ranges, written as pairs of characters. */
static int named(struct parser *ps, struct set *to, const char *pairs, bool negate)
{
    struct set s = {0};
    int rc = 0;
    for (; !rc && *pairs; pairs += 2)
        rc = set_add(ps, &s, pairs[0], pairs[1]);
    if (!rc && negate)
        rc = set_negate(ps, &s);
    return rc ? rc : set_merge(ps, to, &s);
}

/* \d \s \w and their opposites; NULL: another letter. */
static const char *perl_class(char c)
{
    switch (c | 0x20) {
    case 'd':
        return "09";
    case 's':
        return "\t\n\f\r  ";
    case 'w':
        return "09AZ__az";
    default:
        return NULL;
    }
}

static bool is_perl_class(char c)
{
    return c && strchr("dDsSwW", c) != NULL;
}

/* [:alpha:] inside of brackets; *p stands on it. 0 when it is not one. */
static int posix_class(struct parser *ps, struct set *to)
{
    static const char *const classes[][2] = {
        {"alnum", "09AZaz"},
        {"alpha", "AZaz"},
        {"ascii", "\x01\x7f"},
        {"blank", "\t\t  "},
        {"cntrl", "\x01\x1f\x7f\x7f"},
        {"digit", "09"},
        {"graph", "!~"},
        {"lower", "az"},
        {"print", " ~"},
        {"punct", "!/:@[`{~"},
        {"space", "\t\r  "},
        {"upper", "AZ"},
        {"word", "09AZ__az"},
        {"xdigit", "09AFaf"},
    };
    const char *close = memmem(ps->p, (size_t)(ps->end - ps->p), ":]", 2);
    const char *name = ps->p + 2;
    if (!close)
        return 0;
    bool negate = name < close && *name == '^';
    name += negate;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strlen(classes[i][0]) != (size_t)(close - name) ||
            memcmp(classes[i][0], name, (size_t)(close - name)) != 0)
            continue;
        bool zero = !strcmp(classes[i][0], "ascii") || !strcmp(classes[i][0], "cntrl");
        struct set s = {0};
        int rc = zero ? set_add(ps, &s, 0, 0) : 0;
        if (!rc)
            rc = named(ps, &s, classes[i][1], false);
        if (!rc && negate)
            rc = set_negate(ps, &s);
        if (!rc)
            rc = set_merge(ps, to, &s);
        ps->p = close + 2;
        return rc ? rc : 1;
    }
    return bad(ps, "unknown class in brackets");
}

/* ---- escapes ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Behind \x: two digits, or any number in braces. */
static int hex_escape(struct parser *ps, int32_t *c)
{
    bool braces = ps->p < ps->end && *ps->p == '{';
    int digits = 0;
    *c = 0;
    ps->p += braces;
    while (ps->p < ps->end && hex_digit(*ps->p) >= 0 && (braces || digits < 2) && *c <= LAST_RUNE) {
        *c = *c * 16 + hex_digit(*ps->p++);
        digits++;
    }
    bool closed = !braces || (ps->p < ps->end && *ps->p++ == '}');
    if (!closed || *c > LAST_RUNE || (braces ? digits < 1 : digits != 2))
        return bad(ps, "invalid \\x");
    return 0;
}

static int octal_escape(struct parser *ps, char first, int32_t *c)
{
    bool more = ps->p < ps->end && *ps->p >= '0' && *ps->p <= '7';
    if (first != '0' && !more)
        return bad(ps, "back references are not part of the syntax");
    *c = first - '0';
    for (int i = 0; i < 2 && ps->p < ps->end && *ps->p >= '0' && *ps->p <= '7'; i++)
        *c = *c * 8 + (*ps->p++ - '0');
    return 0;
}

/* One character behind a backslash, which p has passed. */
static int escaped_char(struct parser *ps, int32_t *c)
{
    static const char from[] = "aftnrv", to[] = "\a\f\t\n\r\v";
    if (ps->p == ps->end)
        return bad(ps, "a backslash at the end");
    char ch = *ps->p++;
    const char *simple = strchr(from, ch);
    if (ch && simple) {
        *c = to[simple - from];
        return 0;
    }
    if (ch == 'x')
        return hex_escape(ps, c);
    if (ch >= '0' && ch <= '7')
        return octal_escape(ps, ch, c);
    if (ch == 'p' || ch == 'P' || ch == 'C')
        return err_set(ps->cx, E_UNSUPPORTED, "regular expression: \\%c is not supported", ch);
    bool word = (ch | 0x20) >= 'a' && (ch | 0x20) <= 'z';
    if (ch <= 0 || word || (ch >= '0' && ch <= '9') || ch == '_')
        return bad(ps, "invalid escape");
    *c = ch;
    return 0;
}

static int next_rune(struct parser *ps, int32_t *c)
{
    size_t len;
    *c = utf8_get(ps->p, (size_t)(ps->end - ps->p), &len);
    if (*c == UTF8_BAD)
        return bad(ps, "invalid UTF-8");
    ps->p += len;
    return 0;
}

/* ---- brackets ---- */

static int class_char(struct parser *ps, int32_t *c)
{
    if (ps->p < ps->end && *ps->p == '\\') {
        ps->p++;
        return escaped_char(ps, c);
    }
    return next_rune(ps, c);
}

static int class_range(struct parser *ps, struct set *s)
{
    int32_t lo, hi;
    int rc = class_char(ps, &lo);
    hi = lo;
    if (!rc && ps->end - ps->p >= 2 && ps->p[0] == '-' && ps->p[1] != ']') {
        ps->p++;
        rc = class_char(ps, &hi);
    }
    if (!rc && hi < lo)
        rc = bad(ps, "a range in brackets that goes down");
    return rc ? rc : set_add(ps, s, lo, hi);
}

static int class_item(struct parser *ps, struct set *s)
{
    size_t left = (size_t)(ps->end - ps->p);
    if (left >= 2 && ps->p[0] == '[' && ps->p[1] == ':') {
        int rc = posix_class(ps, s);
        if (rc)
            return rc < 0 ? rc : 0;
    }
    if (left >= 2 && ps->p[0] == '\\' && is_perl_class(ps->p[1])) {
        char c = ps->p[1];
        ps->p += 2;
        return named(ps, s, perl_class(c), c < 'a');
    }
    return class_range(ps, s);
}

/* p stands behind the opening bracket. */
static int parse_class(struct parser *ps, struct tree **out)
{
    struct tree *t = tree_new(ps, T_SET);
    if (!t)
        return ps->cx->err.code;
    bool negate = ps->p < ps->end && *ps->p == '^';
    ps->p += negate;
    int rc = 0;
    for (bool first = true; !rc; first = false) {
        if (ps->p == ps->end)
            return bad(ps, "a bracket is not closed");
        if (*ps->p == ']' && !first)
            break;
        rc = class_item(ps, &t->set);
    }
    ps->p += !rc;
    if (!rc && ps->flags & FLAG_FOLD)
        rc = set_fold(ps, &t->set);
    if (!rc && negate)
        rc = set_negate(ps, &t->set);
    *out = t;
    return rc;
}

/* ---- atoms ---- */

static int make_set(struct parser *ps, const char *pairs, bool negate, struct tree **out)
{
    *out = tree_new(ps, T_SET);
    return *out ? named(ps, &(*out)->set, pairs, negate) : ps->cx->err.code;
}

static int make_char(struct parser *ps, int32_t c, struct tree **out)
{
    *out = tree_new(ps, T_SET);
    int rc = *out ? set_add(ps, &(*out)->set, c, c) : ps->cx->err.code;
    return !rc && ps->flags & FLAG_FOLD ? set_fold(ps, &(*out)->set) : rc;
}

static int make_assert(struct parser *ps, enum assert_kind kind, struct tree **out)
{
    *out = tree_new(ps, T_ASSERT);
    if (!*out)
        return ps->cx->err.code;
    (*out)->assert_ = kind;
    return 0;
}

static int make_dot(struct parser *ps, struct tree **out)
{
    int rc = make_set(ps, "\n\n", true, out);
    return !rc && ps->flags & FLAG_DOTALL ? set_add(ps, &(*out)->set, '\n', '\n') : rc;
}

/* Passes \Q and \E: everything between them is itself. */
static void skip_quotes(struct parser *ps)
{
    while (ps->end - ps->p >= 2 && ps->p[0] == '\\' && ps->p[1] == (ps->quoted ? 'E' : 'Q')) {
        ps->quoted = !ps->quoted;
        ps->p += 2;
    }
}

static int parse_escape(struct parser *ps, struct tree **out)
{
    static const char marks[] = "AzbB";
    static const enum assert_kind kinds[] = {AS_TEXT_START, AS_TEXT_END, AS_WORD, AS_NO_WORD};
    char c = ps->p < ps->end ? *ps->p : 0;
    int32_t rune;
    if (c && strchr(marks, c)) {
        ps->p++;
        return make_assert(ps, kinds[strchr(marks, c) - marks], out);
    }
    if (is_perl_class(c)) {
        ps->p++;
        return make_set(ps, perl_class(c), c < 'a', out);
    }
    int rc = escaped_char(ps, &rune);
    return rc ? rc : make_char(ps, rune, out);
}

/* (?P<name> or (?<name>: p stands on <. */
static int skip_name(struct parser *ps)
{
    const char *from = ++ps->p;
    while (ps->p < ps->end && *ps->p != '>') {
        char c = *ps->p++;
        bool word = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (!word)
            return bad(ps, "invalid group name");
    }
    if (ps->p == ps->end || ps->p == from)
        return bad(ps, "invalid group name");
    ps->p++;
    return 0;
}

/* Flags behind (?, up to and with : or ). *group: a group follows (:). */
static int parse_flags(struct parser *ps, bool *group)
{
    bool on = true, any = false;
    while (ps->p < ps->end) {
        char c = *ps->p++;
        unsigned bit = c == 'i' ? FLAG_FOLD : c == 'm' ? FLAG_MULTI : c == 's' ? FLAG_DOTALL : 0;
        if (c == ':' || c == ')') {
            if (!on && !any)
                break;
            *group = c == ':';
            return 0;
        }
        if (c == '-' && on) {
            on = any = false;
            continue;
        }
        if (!bit && c != 'U') /* U swaps greedy and lazy, which a full match does not see */
            break;
        any = true;
        ps->flags = on ? ps->flags | bit : ps->flags & ~bit;
    }
    return bad(ps, "invalid or missing flags behind (?, look-around is not part of the syntax");
}

/* p stands behind the opening parenthesis. */
static int parse_group(struct parser *ps, struct tree **out)
{
    unsigned flags = ps->flags;
    bool group = true;
    int rc = 0;
    if (ps->p < ps->end && *ps->p == '?') {
        ps->p++;
        size_t left = (size_t)(ps->end - ps->p);
        bool look = left >= 2 && ps->p[0] == '<' && (ps->p[1] == '=' || ps->p[1] == '!');
        bool p_name = left >= 2 && ps->p[0] == 'P' && ps->p[1] == '<';
        ps->p += p_name;
        if (p_name || (left && ps->p[0] == '<' && !look))
            rc = skip_name(ps);
        else
            rc = parse_flags(ps, &group);
    }
    if (!rc && !group) { /* the flags hold to the end of the group around */
        *out = tree_new(ps, T_EMPTY);
        return *out ? 0 : ps->cx->err.code;
    }
    if (!rc)
        rc = parse_alt(ps, out);
    if (!rc && (ps->p == ps->end || *ps->p != ')'))
        rc = bad(ps, "a parenthesis is not closed");
    ps->p += !rc;
    ps->flags = flags;
    return rc;
}

static int parse_atom(struct parser *ps, struct tree **out)
{
    int32_t c;
    bool multi = ps->flags & FLAG_MULTI;
    switch (ps->quoted ? 0 : *ps->p) {
    case '(':
        ps->p++;
        return parse_group(ps, out);
    case '[':
        ps->p++;
        return parse_class(ps, out);
    case '.':
        ps->p++;
        return make_dot(ps, out);
    case '^':
        ps->p++;
        return make_assert(ps, multi ? AS_LINE_START : AS_TEXT_START, out);
    case '$':
        ps->p++;
        return make_assert(ps, multi ? AS_LINE_END : AS_TEXT_END, out);
    case '\\':
        ps->p++;
        return parse_escape(ps, out);
    case '*':
    case '+':
    case '?':
        return bad(ps, "nothing to repeat");
    default: {
        int rc = next_rune(ps, &c);
        return rc ? rc : make_char(ps, c, out);
    }
    }
}

/* ---- repetition, sequence, alternatives ---- */

static bool read_count(const char **p, const char *end, int *out)
{
    const char *from = *p;
    *out = 0;
    while (*p < end && **p >= '0' && **p <= '9') {
        *out = *out > MAX_REPEAT ? *out : *out * 10 + (**p - '0');
        ++*p;
    }
    return *p > from;
}

/* {n}, {n,} or {n,m} at p, which is moved behind it; anything else is text. */
static bool read_braces(struct parser *ps, int *min, int *max)
{
    const char *p = ps->p + 1;
    if (!read_count(&p, ps->end, min))
        return false;
    *max = *min;
    if (p < ps->end && *p == ',') {
        p++;
        if (!read_count(&p, ps->end, max))
            *max = -1;
    }
    if (p == ps->end || *p != '}')
        return false;
    ps->p = p + 1;
    return true;
}

static bool read_repeat(struct parser *ps, int *min, int *max)
{
    if (ps->p == ps->end)
        return false;
    char c = *ps->p;
    if (c == '{')
        return read_braces(ps, min, max);
    if (c != '*' && c != '+' && c != '?')
        return false;
    *min = c == '+';
    *max = c == '?' ? 1 : -1;
    ps->p++;
    return true;
}

static int parse_repeat(struct parser *ps, struct tree **out)
{
    int min = 0, max = 0, rc = parse_atom(ps, out);
    skip_quotes(ps);
    if (rc || ps->quoted || !read_repeat(ps, &min, &max))
        return rc;
    if (min > MAX_REPEAT || max > MAX_REPEAT || (max >= 0 && max < min))
        return bad(ps, "invalid number of repeats");
    struct tree *t = tree_new(ps, T_REPEAT);
    if (!t)
        return ps->cx->err.code;
    t->sub = *out;
    t->min = min;
    t->max = max;
    *out = t;
    if (ps->p < ps->end && *ps->p == '?')
        ps->p++;
    return read_repeat(ps, &min, &max) ? bad(ps, "a repetition of a repetition") : 0;
}

static int parse_cat(struct parser *ps, struct tree **out)
{
    *out = tree_new(ps, T_CAT);
    if (!*out)
        return ps->cx->err.code;
    struct tree **link = &(*out)->sub;
    skip_quotes(ps);
    while (ps->p < ps->end && (ps->quoted || (*ps->p != '|' && *ps->p != ')'))) {
        int rc = parse_repeat(ps, link);
        if (rc)
            return rc;
        link = &(*link)->next;
    }
    return 0;
}

static int parse_alt(struct parser *ps, struct tree **out)
{
    if (++ps->depth > MAX_DEPTH)
        return err_set(ps->cx, E_LIMIT, "regular expression: groups nest deeper than %d", MAX_DEPTH);
    *out = tree_new(ps, T_ALT);
    int rc = *out ? 0 : ps->cx->err.code;
    struct tree **link = rc ? NULL : &(*out)->sub;
    while (!rc) {
        rc = parse_cat(ps, link);
        if (rc || ps->p == ps->end || *ps->p != '|')
            break;
        ps->p++;
        link = &(*link)->next;
    }
    ps->depth--;
    return rc;
}

/* ---- the program ---- */

enum code_kind { C_SET, C_SPLIT, C_JUMP, C_ASSERT, C_MATCH };

struct code {
    enum code_kind kind;
    int32_t x, y; /* where to go on */
    enum assert_kind assert_;
    struct set set;
};

struct regex {
    struct code *code;
    size_t n, cap;
};

struct emitter {
    struct cx *cx;
    struct arena *a;
    struct regex *re;
};

static int emit_tree(struct emitter *e, const struct tree *t);

/* The new instruction's index, or an error. */
static int emit(struct emitter *e, struct code c)
{
    if (e->re->n >= MAX_CODE)
        return err_set(e->cx, E_LIMIT, "regular expression: the repeats make it too large");
    struct code *code = arena_grow(e->a, e->re->code, e->re->n, &e->re->cap, sizeof(*code));
    if (!code)
        return err_nomem(e->cx);
    e->re->code = code;
    code[e->re->n] = c;
    return (int)e->re->n++;
}

/* Alternatives, with their jumps sent to the end. */
static int emit_branches(struct emitter *e, const struct tree *t)
{
    int last = -1;
    for (const struct tree *b = t->sub; b; b = b->next) {
        int split = -1, rc;
        if (b->next) {
            split = emit(e, (struct code){.kind = C_SPLIT});
            if (split < 0)
                return split;
            e->re->code[split].x = split + 1;
        }
        rc = emit_tree(e, b);
        if (rc)
            return rc;
        if (!b->next)
            break;
        int jump = emit(e, (struct code){.kind = C_JUMP, .x = last});
        if (jump < 0)
            return jump;
        last = jump;
        e->re->code[split].y = jump + 1;
    }
    while (last >= 0) {
        int before = e->re->code[last].x;
        e->re->code[last].x = (int32_t)e->re->n;
        last = before;
    }
    return 0;
}

/* x* : L: split body, end; body; jump L */
static int emit_star(struct emitter *e, const struct tree *sub)
{
    int split = emit(e, (struct code){.kind = C_SPLIT});
    if (split < 0)
        return split;
    e->re->code[split].x = split + 1;
    int rc = emit_tree(e, sub);
    int jump = rc ? rc : emit(e, (struct code){.kind = C_JUMP, .x = split});
    if (jump < 0)
        return jump;
    e->re->code[split].y = (int32_t)e->re->n;
    return 0;
}

static int emit_repeat(struct emitter *e, const struct tree *t)
{
    int rc = 0;
    size_t first = e->re->n;
    for (int i = 0; !rc && i < t->min; i++) {
        rc = emit_tree(e, t->sub);
        if (e->re->n == first) /* nothing, however often */
            return rc;
    }
    if (!rc && t->max < 0)
        return emit_star(e, t->sub);
    int last = -1; /* every optional copy may jump to the end: chained through y */
    for (int i = t->min; !rc && i < t->max; i++) {
        int split = emit(e, (struct code){.kind = C_SPLIT, .y = last});
        if (split < 0)
            return split;
        e->re->code[split].x = split + 1;
        last = split;
        rc = emit_tree(e, t->sub);
    }
    while (!rc && last >= 0) {
        int before = e->re->code[last].y;
        e->re->code[last].y = (int32_t)e->re->n;
        last = before;
    }
    return rc;
}

static int emit_tree(struct emitter *e, const struct tree *t)
{
    int rc = 0;
    switch (t->kind) {
    case T_EMPTY:
        return 0;
    case T_SET:
        rc = emit(e, (struct code){.kind = C_SET, .set = t->set});
        break;
    case T_ASSERT:
        rc = emit(e, (struct code){.kind = C_ASSERT, .assert_ = t->assert_});
        break;
    case T_REPEAT:
        return emit_repeat(e, t);
    case T_ALT:
        return emit_branches(e, t);
    case T_CAT:
        for (const struct tree *s = t->sub; s && !rc; s = s->next)
            rc = emit_tree(e, s);
        break;
    }
    return rc < 0 ? rc : 0;
}

int regex_compile(struct cx *cx, struct arena *a, const char *p, size_t n, struct regex **out)
{
    struct parser ps = {.cx = cx, .a = a, .p = p, .end = p + n};
    struct tree *t;
    int rc = parse_alt(&ps, &t);
    if (!rc && ps.p < ps.end)
        rc = bad(&ps, "a parenthesis closes nothing");
    if (rc)
        return rc;
    struct emitter e = {cx, a, arena_zalloc(a, sizeof(struct regex))};
    if (!e.re)
        return err_nomem(cx);
    rc = emit_tree(&e, t);
    if (!rc)
        rc = emit(&e, (struct code){.kind = C_MATCH});
    *out = e.re;
    return rc < 0 ? rc : 0;
}

/* ---- matching ---- */

/* States by instruction: list is what is in, mark[pc] the step at which pc came in last. */
struct states {
    uint32_t *list;
    size_t n;
};

struct matcher {
    const struct regex *re;
    uint32_t *stack;
    size_t *mark;
    int32_t before, after; /* characters around the position; NO_CHAR where there is none */
};

enum { NO_CHAR = -2 };

size_t regex_work(const struct regex *re)
{
    return re->n * (4 * sizeof(uint32_t) + sizeof(size_t)) + 64;
}

static bool word_char(int32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(const struct matcher *m, enum assert_kind kind)
{
    bool edge = word_char(m->before) != word_char(m->after);
    switch (kind) {
    case AS_TEXT_START:
        return m->before == NO_CHAR;
    case AS_TEXT_END:
        return m->after == NO_CHAR;
    case AS_LINE_START:
        return m->before == NO_CHAR || m->before == '\n';
    case AS_LINE_END:
        return m->after == NO_CHAR || m->after == '\n';
    case AS_WORD:
        return edge;
    case AS_NO_WORD:
        return !edge;
    }
    return false;
}

/* Adds pc and all that is reached from it without a character. An instruction is pushed at most twice (by its
 * two ways), marked when taken off, so the stack has room for 2n. */
static void follow(struct matcher *m, struct states *s, uint32_t pc, size_t step)
{
    size_t top = 0;
    m->stack[top++] = pc;
    while (top) {
        pc = m->stack[--top];
        const struct code *c = &m->re->code[pc];
        if (m->mark[pc] == step)
            continue;
        m->mark[pc] = step;
        if (c->kind == C_SET || c->kind == C_MATCH)
            s->list[s->n++] = pc;
        else if (c->kind == C_JUMP)
            m->stack[top++] = (uint32_t)c->x;
        else if (c->kind == C_ASSERT && holds(m, c->assert_))
            m->stack[top++] = pc + 1;
        else if (c->kind == C_SPLIT) {
            m->stack[top++] = (uint32_t)c->y;
            m->stack[top++] = (uint32_t)c->x;
        }
    }
}

static bool in_set(const struct set *s, int32_t c)
{
    for (size_t i = 0; i < s->n; i++)
        if (c >= s->r[i].lo && c <= s->r[i].hi)
            return true;
    return false;
}

/* The character that ends at byte `at`. */
static int32_t char_before(const char *text, size_t at)
{
    size_t from = at, len;
    do
        from--;
    while (from && at - from < UTF8_MAX && ((unsigned char)text[from] & 0xc0) == 0x80);
    int32_t c = utf8_get(text + from, at - from, &len);
    return len == at - from ? c : UTF8_BAD;
}

static bool has_match(const struct regex *re, const struct states *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (re->code[s->list[i]].kind == C_MATCH)
            return true;
    return false;
}

size_t regex_longest(const struct regex *re, const char *text, size_t from, size_t n, void *work)
{
    struct matcher m = {.re = re, .before = from ? char_before(text, from) : NO_CHAR};
    struct states now = {0}, then = {0};
    m.mark = work;
    m.stack = (uint32_t *)(void *)(m.mark + re->n);
    now.list = m.stack + 2 * re->n;
    then.list = now.list + re->n;
    memset(m.mark, 0, re->n * sizeof(*m.mark));
    size_t at = from, len = 0, step = 1, end = SIZE_MAX;
    int32_t c = at < n ? utf8_get(text + at, n - at, &len) : NO_CHAR;
    m.after = c;
    follow(&m, &now, 0, step);
    for (;;) {
        end = has_match(re, &now) ? at : end;
        if (at >= n || !now.n)
            return end;
        at += len;
        m.before = c;
        m.after = at < n ? utf8_get(text + at, n - at, &len) : NO_CHAR;
        then.n = 0;
        step++;
        for (size_t i = 0; i < now.n; i++) {
            const struct code *code = &re->code[now.list[i]];
            if (code->kind == C_SET && in_set(&code->set, c))
                follow(&m, &then, now.list[i] + 1, step);
        }
        struct states t = now;
        now = then;
        then = t;
        c = m.after;
    }
}

bool regex_match(const struct regex *re, const char *text, size_t n, void *work)
{
    return regex_longest(re, text, 0, n, work) == n;
}
