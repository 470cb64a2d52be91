/* Canonical forms and the table that interns them.
 *
 * An expression is a sum of monomials with integer coefficients over atoms. Canonical means:
 *   - monomials are sorted (graded, then lexicographic over sorted atoms), none has coefficient 0;
 *   - a single atom with coefficient 1 is the atom itself, a constant is no expression;
 *   - floor(a/b) with a number b has b > 1, every coefficient of a in [0, b), no common factor of the
 *     coefficients and b, and a is no floor atom plus a number (those nest into one division);
 *   - min and max have ordered arguments, neither known to be the smaller one;
 *   - broadcasts have two or more arguments, ordered, no number, no broadcast and none twice: the first one
 * is a, the others are b. So ((h + 1)/2 - 1) + 1 and (h - 1)/2 + 1 are one pointer. */
#include "shape/dim_expr.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "ir/ir.h"
#include "shape/dim_priv.h"

struct symtab *symtab_new(struct arena *arena)
{
    struct symtab *t = arena_zalloc(arena, sizeof(*t));
    if (!t)
        return NULL;
    t->arena = arena;
    t->names.arena = arena;
    t->gen = 1;
    return t;
}

struct symtab *model_syms(struct model *m)
{
    if (!m->syms)
        m->syms = symtab_new(&m->arena);
    return m->syms;
}

/* ---- symbols ---- */

struct expr *symbol_new(struct symtab *t, const char *name, bool fresh)
{
    struct expr *e = arena_zalloc(t->arena, sizeof(*e));
    if (!e)
        return NULL;
    e->op = EX_SYM;
    e->name = name;
    e->fresh = fresh;
    e->id = t->next_id++;
    e->hash = (uint32_t)hash_bytes(HASH_INIT, &e->id, sizeof(e->id));
    return e;
}

struct dim symbol_named(struct symtab *t, const char *name)
{
    struct expr *e = smap_get(&t->names, name);
    if (!e) {
        char *copy = arena_strdup(t->arena, name);
        e = copy ? symbol_new(t, copy, false) : NULL;
        if (!e || !smap_put(&t->names, copy, e))
            return dim_unknown();
    }
    return (struct dim){DIM_EXPR, 0, e};
}

struct dim dim_fresh(struct symtab *t)
{
    char *name;
    if (t->no_fresh)
        return dim_unknown();
    do
        name = arena_printf(t->arena, "?%u", (unsigned)t->next_fresh++);
    while (name && smap_get(&t->names, name));
    struct expr *e = name ? symbol_new(t, name, true) : NULL;
    return e ? (struct dim){DIM_EXPR, 0, e} : dim_unknown();
}

bool dim_set_fresh(struct symtab *t, bool on)
{
    bool was = !t->no_fresh;
    t->no_fresh = !on;
    return was;
}

bool dim_is_fresh(struct dim d)
{
    return d.kind == DIM_EXPR && d.e->op == EX_SYM && d.e->fresh;
}

/* ---- order ---- */

static int atom_class(const struct expr *e)
{
    return e->op == EX_SYM ? e->fresh : 1 + (int)e->op;
}

static int atom_cmp(const struct expr *a, const struct expr *b)
{
    if (a == b)
        return 0;
    int ca = atom_class(a), cb = atom_class(b);
    if (ca != cb)
        return ca < cb ? -1 : 1;
    int c = ca == 0 ? strcmp(a->name, b->name) : 0;
    return c ? c : (a->id < b->id ? -1 : 1);
}

/* Negative when x stands before y. */
static int mono_cmp(const struct mono *x, const struct mono *y)
{
    if (x->n != y->n)
        return y->n - x->n;
    for (int i = 0; i < x->n; i++) {
        int c = atom_cmp(x->atom[i], y->atom[i]);
        if (c)
            return c;
    }
    return 0;
}

/* ---- monomials and sums ---- */

bool mono_mul(const struct mono *x, const struct mono *y, struct mono *out)
{
    if (x->n + y->n > DIM_MAX_DEGREE || !mul_i64(x->coef, y->coef, &out->coef))
        return false;
    int i = 0, j = 0;
    out->n = x->n + y->n;
    for (int k = 0; k < out->n; k++) {
        bool left = j == y->n || (i < x->n && atom_cmp(x->atom[i], y->atom[j]) <= 0);
        out->atom[k] = left ? x->atom[i++] : y->atom[j++];
    }
    return true;
}

bool mono_div(const struct mono *x, const struct mono *y, struct mono *out)
{
    if (y->coef == 0 || (y->coef == -1 && x->coef == INT64_MIN) || x->coef % y->coef)
        return false;
    out->coef = x->coef / y->coef;
    out->n = 0;
    int j = 0;
    for (int i = 0; i < x->n; i++) {
        if (j < y->n && x->atom[i] == y->atom[j])
            j++;
        else
            out->atom[out->n++] = x->atom[i];
    }
    return j == y->n;
}

void sum_add(struct sum *s, const struct mono *m)
{
    int i = 0, c = 1;
    if (m->coef == 0)
        return;
    while (i < s->n && (c = mono_cmp(&s->m[i], m)) < 0)
        i++;
    if (i < s->n && c == 0) {
        if (!add_i64(s->m[i].coef, m->coef, &s->m[i].coef))
            s->bad = true;
        if (s->m[i].coef == 0)
            memmove(&s->m[i], &s->m[i + 1], (size_t)(--s->n - i) * sizeof(*m));
        return;
    }
    if (s->n == DIM_MAX_TERMS) {
        s->bad = true;
        return;
    }
    memmove(&s->m[i + 1], &s->m[i], (size_t)(s->n++ - i) * sizeof(*m));
    s->m[i] = *m;
}

int dim_terms(struct dim d, struct term *tmp, const struct expr **room, const struct term **out)
{
    *out = tmp;
    if (d.kind == DIM_CONST) {
        *tmp = (struct term){d.v, 0, room};
        return d.v != 0;
    }
    if (d.e->op != EX_SUM) {
        *room = d.e;
        *tmp = (struct term){1, 1, room};
        return 1;
    }
    *out = d.e->term;
    return d.e->nterms;
}

void sum_load(struct sum *s, struct dim d)
{
    struct term tmp;
    const struct expr *room;
    const struct term *t;
    s->bad = false;
    s->n = dim_terms(d, &tmp, &room, &t);
    for (int i = 0; i < s->n; i++) {
        s->m[i].coef = t[i].coef;
        s->m[i].n = t[i].n;
        memcpy(s->m[i].atom, t[i].atom, (size_t)t[i].n * sizeof(*t[i].atom));
    }
}

/* ---- interning ---- */

static uint32_t mix(uint32_t h, uint64_t v)
{
    return (uint32_t)(((h ^ v ^ (v >> 32)) * 0x9e3779b97f4a7c15ull) >> 21);
}

static uint32_t dim_hash(uint32_t h, struct dim d)
{
    return mix(mix(h, d.kind), d.kind == DIM_CONST ? (uint64_t)d.v : d.e->hash + (uint64_t)d.e->id);
}

static bool grow_table(struct symtab *t)
{
    size_t cap = t->cap ? t->cap * 2 : 64;
    struct expr **slots = arena_array(t->arena, cap, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < t->cap; i++) {
        if (!t->slots[i])
            continue;
        size_t k = t->slots[i]->hash & (cap - 1);
        while (slots[k])
            k = (k + 1) & (cap - 1);
        slots[k] = t->slots[i];
    }
    t->slots = slots;
    t->cap = cap;
    return true;
}

/* The slot where an expression of that hash may stand; NULL: out of memory. */
static bool table_ready(struct symtab *t)
{
    return t->n * 2 < t->cap || grow_table(t);
}

static struct dim table_put(struct symtab *t, size_t slot, struct expr *e)
{
    e->id = t->next_id++;
    t->slots[slot] = e;
    t->n++;
    return (struct dim){DIM_EXPR, 0, e};
}

static bool sum_is(const struct expr *e, const struct sum *s)
{
    if (e->op != EX_SUM || e->nterms != s->n)
        return false;
    for (int i = 0; i < s->n; i++) {
        const struct term *x = &e->term[i];
        const struct mono *y = &s->m[i];
        if (x->coef != y->coef || x->n != y->n || memcmp(x->atom, y->atom, (size_t)x->n * sizeof(*x->atom)))
            return false;
    }
    return true;
}

static struct expr *sum_copy(struct symtab *t, const struct sum *s, int depth)
{
    struct expr *e = arena_zalloc(t->arena, sizeof(*e));
    struct term *x = arena_array(t->arena, (size_t)s->n, sizeof(*x));
    if (!e || !x)
        return NULL;
    for (int i = 0; i < s->n; i++) {
        x[i].coef = s->m[i].coef;
        x[i].n = s->m[i].n;
        x[i].atom = arena_dup(t->arena, s->m[i].atom, (size_t)s->m[i].n * sizeof(*s->m[i].atom));
        if (!x[i].atom)
            return NULL;
    }
    e->op = EX_SUM;
    e->depth = (uint16_t)depth;
    e->nterms = s->n;
    e->term = x;
    return e;
}

struct dim sum_dim(struct symtab *t, const struct sum *s)
{
    if (s->bad)
        return dim_unknown();
    if (s->n == 0)
        return dim_const(0);
    if (s->n == 1 && s->m[0].n == 0)
        return dim_const(s->m[0].coef);
    if (s->n == 1 && s->m[0].n == 1 && s->m[0].coef == 1)
        return (struct dim){DIM_EXPR, 0, s->m[0].atom[0]};
    uint32_t h = EX_SUM;
    int depth = 0;
    for (int i = 0; i < s->n; i++) {
        h = mix(mix(h, (uint64_t)s->m[i].coef), (uint64_t)s->m[i].n);
        for (int k = 0; k < s->m[i].n; k++) {
            h = mix(h, s->m[i].atom[k]->id);
            depth = s->m[i].atom[k]->depth > depth ? s->m[i].atom[k]->depth : depth;
        }
    }
    if (!table_ready(t))
        return dim_unknown();
    size_t i = h & (t->cap - 1);
    for (; t->slots[i]; i = (i + 1) & (t->cap - 1)) {
        if (t->slots[i]->hash == h && sum_is(t->slots[i], s))
            return (struct dim){DIM_EXPR, 0, t->slots[i]};
    }
    struct expr *e = sum_copy(t, s, depth);
    if (!e)
        return dim_unknown();
    e->hash = h;
    return table_put(t, i, e);
}

/* The atom op(a, b). */
static struct dim atom_dim(struct symtab *t, enum expr_op op, struct dim a, struct dim b)
{
    int da = a.kind == DIM_EXPR ? a.e->depth : 0, db = b.kind == DIM_EXPR ? b.e->depth : 0;
    int depth = 1 + (da > db ? da : db);
    if (depth > DIM_MAX_DEPTH || !table_ready(t))
        return dim_unknown();
    uint32_t h = dim_hash(dim_hash((uint32_t)op, a), b);
    size_t i = h & (t->cap - 1);
    for (; t->slots[i]; i = (i + 1) & (t->cap - 1)) {
        struct expr *e = t->slots[i];
        if (e->hash == h && e->op == op && dim_same(e->a, a) && dim_same(e->b, b))
            return (struct dim){DIM_EXPR, 0, e};
    }
    struct expr *e = arena_zalloc(t->arena, sizeof(*e));
    if (!e)
        return dim_unknown();
    *e = (struct expr){.op = op, .hash = h, .depth = (uint16_t)depth, .a = a, .b = b};
    return table_put(t, i, e);
}

/* ---- sums and products ---- */

static bool unknown2(struct dim a, struct dim b)
{
    return a.kind == DIM_UNKNOWN || b.kind == DIM_UNKNOWN;
}

static bool const2(struct dim a, struct dim b)
{
    return a.kind == DIM_CONST && b.kind == DIM_CONST;
}

/* a + k*b. */
static struct dim add_scaled(struct symtab *t, struct dim a, struct dim b, int64_t k)
{
    struct sum s, y;
    sum_load(&s, a);
    sum_load(&y, b);
    for (int i = 0; i < y.n; i++) {
        if (!mul_i64(y.m[i].coef, k, &y.m[i].coef))
            return dim_unknown();
        sum_add(&s, &y.m[i]);
    }
    return sum_dim(t, &s);
}

struct dim dim_add(struct symtab *t, struct dim a, struct dim b)
{
    int64_t r;
    if (unknown2(a, b))
        return dim_unknown();
    if (const2(a, b))
        return add_i64(a.v, b.v, &r) ? dim_const(r) : dim_unknown();
    if (dim_is(a, 0) || dim_is(b, 0))
        return dim_is(a, 0) ? b : a;
    return add_scaled(t, a, b, 1);
}

struct dim dim_sub(struct symtab *t, struct dim a, struct dim b)
{
    int64_t r;
    if (dim_same(a, b))
        return dim_const(0);
    if (unknown2(a, b))
        return dim_unknown();
    if (const2(a, b))
        return __builtin_sub_overflow(a.v, b.v, &r) ? dim_unknown() : dim_const(r);
    return dim_is(b, 0) ? a : add_scaled(t, a, b, -1);
}

struct dim dim_mul(struct symtab *t, struct dim a, struct dim b)
{
    int64_t r;
    if (unknown2(a, b))
        return dim_is(a, 0) || dim_is(b, 0) ? dim_const(0) : dim_unknown();
    if (const2(a, b))
        return mul_i64(a.v, b.v, &r) ? dim_const(r) : dim_unknown();
    if (dim_is(a, 1) || dim_is(b, 1))
        return dim_is(a, 1) ? b : a;
    struct sum x, y, s = {.n = 0};
    struct mono m;
    sum_load(&x, a);
    sum_load(&y, b);
    for (int i = 0; i < x.n; i++) {
        for (int j = 0; j < y.n; j++) {
            if (!mono_mul(&x.m[i], &y.m[j], &m))
                return dim_unknown();
            sum_add(&s, &m);
            if (s.bad)
                return dim_unknown();
        }
    }
    return sum_dim(t, &s);
}

/* ---- division ---- */

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a < 0 ? -a : a;
}

/* The last term is the constant, if there is one. */
static int64_t *sum_const(struct sum *s)
{
    return s->n && s->m[s->n - 1].n == 0 ? &s->m[s->n - 1].coef : NULL;
}

/* Splits r into b*q + r with every coefficient of r in [0, b). */
static void split_by(struct sum *r, int64_t b, struct sum *q)
{
    struct sum rest = {.n = 0};
    *q = (struct sum){.n = 0};
    for (int i = 0; i < r->n; i++) {
        struct mono m = r->m[i];
        int64_t c = m.coef;
        m.coef = div_floor(c, b);
        sum_add(q, &m);
        m.coef = c - m.coef * b;
        sum_add(&rest, &m);
    }
    *r = rest;
}

/* floor((g*X + c)/(g*B)) is floor((X + floor(c/g))/B). */
static int64_t cancel(struct sum *r, int64_t b)
{
    int64_t g = b, *c = sum_const(r);
    for (int i = 0; i < r->n; i++) {
        if (r->m[i].n)
            g = gcd(g, r->m[i].coef);
    }
    for (int i = 0; i < r->n; i++) {
        if (r->m[i].n)
            r->m[i].coef /= g;
    }
    if (c) {
        *c = *c / g;
        r->n -= *c == 0;
    }
    return b / g;
}

/* When r is floor(x/a) + c: floor(r/b) is floor((x + a*c)/(a*b)). */
static bool nested(struct sum *r, int64_t b, struct dim *x, int64_t *shift, int64_t *divisor)
{
    int64_t *c = sum_const(r);
    if (r->n != (c ? 2 : 1) || r->m[0].n != 1 || r->m[0].coef != 1)
        return false;
    const struct expr *f = r->m[0].atom[0];
    if (f->op != EX_FLOOR || f->b.kind != DIM_CONST)
        return false;
    *x = f->a;
    return mul_i64(f->b.v, c ? *c : 0, shift) && mul_i64(f->b.v, b, divisor);
}

static struct dim div_number(struct symtab *t, struct dim a, int64_t b)
{
    struct sum r, q, total = {.n = 0};
    sum_load(&r, a);
    for (;;) {
        struct dim x;
        int64_t shift;
        split_by(&r, b, &q);
        for (int i = 0; i < q.n; i++)
            sum_add(&total, &q.m[i]);
        if (r.n == 0 || (r.n == 1 && r.m[0].n == 0))
            return sum_dim(t, &total);
        b = cancel(&r, b);
        if (!nested(&r, b, &x, &shift, &b))
            break;
        sum_load(&r, x);
        sum_add(&r, &(struct mono){.coef = shift});
    }
    struct dim rest = sum_dim(t, &r);
    if (rest.kind == DIM_UNKNOWN || r.bad)
        return dim_unknown();
    return dim_add(t, sum_dim(t, &total), atom_dim(t, EX_FLOOR, rest, dim_const(b)));
}

/* b is an expression that is at least 1, as far as the caller is concerned. */
static struct dim div_symbolic(struct symtab *t, struct dim a, struct dim b)
{
    struct dim whole = dim_div_exact(t, a, b);
    if (whole.kind != DIM_UNKNOWN)
        return whole;
    struct sum x, y, q = {.n = 0}, r = {.n = 0};
    struct mono m;
    sum_load(&x, a);
    sum_load(&y, b);
    for (int i = 0; i < x.n; i++) {
        if (y.n == 1 && mono_div(&x.m[i], &y.m[0], &m))
            sum_add(&q, &m);
        else
            sum_add(&r, &x.m[i]);
    }
    struct dim rest = sum_dim(t, &r);
    if (rest.kind == DIM_UNKNOWN)
        return rest;
    return dim_add(t, sum_dim(t, &q), atom_dim(t, EX_FLOOR, rest, b));
}

struct dim dim_div_floor(struct symtab *t, struct dim a, struct dim b)
{
    if (unknown2(a, b) || dim_is(b, 0))
        return dim_unknown();
    if (b.kind == DIM_CONST && b.v < 0) {
        a = dim_sub(t, dim_const(0), a);
        b = dim_sub(t, dim_const(0), b);
        if (unknown2(a, b))
            return dim_unknown();
    }
    if (const2(a, b))
        return dim_const(div_floor(a.v, b.v));
    if (dim_is(b, 1))
        return a;
    if (b.kind == DIM_CONST)
        return div_number(t, a, b.v);
    return dim_cmp_ge(t, b, dim_const(1)) > 0 ? div_symbolic(t, a, b) : dim_unknown();
}

struct dim dim_div_even(struct symtab *t, struct dim a, struct dim b)
{
    return b.kind == DIM_EXPR && a.kind != DIM_UNKNOWN ? div_symbolic(t, a, b) : dim_div_floor(t, a, b);
}

struct dim dim_div_ceil(struct symtab *t, struct dim a, struct dim b)
{
    if (b.kind == DIM_CONST && b.v < 0) {
        a = dim_sub(t, dim_const(0), a);
        b = dim_sub(t, dim_const(0), b);
    }
    return dim_div_floor(t, dim_add(t, a, dim_sub(t, b, dim_const(1))), b);
}

/* Long division of polynomials: the order of the terms is a monomial order, so the leading ones decide. */
struct dim dim_div_exact(struct symtab *t, struct dim a, struct dim b)
{
    if (unknown2(a, b) || dim_is(b, 0))
        return dim_unknown();
    if (dim_same(a, b))
        return dim_const(1);
    struct sum x, y, q = {.n = 0};
    sum_load(&x, a);
    sum_load(&y, b);
    while (x.n && !x.bad && !q.bad) {
        struct mono f, m;
        if (!mono_div(&x.m[0], &y.m[0], &f))
            return dim_unknown();
        sum_add(&q, &f);
        for (int i = 0; i < y.n; i++) {
            if (!mono_mul(&f, &y.m[i], &m) || m.coef == INT64_MIN)
                return dim_unknown();
            m.coef = -m.coef;
            sum_add(&x, &m);
        }
    }
    return x.bad ? dim_unknown() : sum_dim(t, &q);
}

/* ---- minimum and maximum ---- */

static struct dim extreme(struct symtab *t, enum expr_op op, struct dim a, struct dim b)
{
    if (dim_same(a, b))
        return a;
    if (unknown2(a, b))
        return dim_unknown();
    if (dim_cmp_ge(t, a, b) > 0)
        return op == EX_MAX ? a : b;
    if (dim_cmp_ge(t, b, a) > 0)
        return op == EX_MAX ? b : a;
    bool swap = a.kind == DIM_CONST || (b.kind == DIM_EXPR && b.e->id < a.e->id);
    return atom_dim(t, op, swap ? b : a, swap ? a : b);
}

struct dim dim_max(struct symtab *t, struct dim a, struct dim b)
{
    return extreme(t, EX_MAX, a, b);
}

struct dim dim_min(struct symtab *t, struct dim a, struct dim b)
{
    return extreme(t, EX_MIN, a, b);
}

/* ---- broadcast ---- */

enum { BCAST_ARGS = 8 };

static bool is_broadcast(struct dim d)
{
    return d.kind == DIM_EXPR && d.e->op == EX_BCAST;
}

static bool arg_before(struct dim a, struct dim b)
{
    return a.e->id < b.e->id;
}

/* Puts the arguments of d, or d itself, in order into arg[*n]; false: too many. */
static bool add_args(struct dim d, struct dim *arg, int *n)
{
    for (bool more = true; more;) {
        more = is_broadcast(d);
        struct dim x = more ? d.e->a : d;
        int i = *n;
        while (i > 0 && arg_before(x, arg[i - 1]))
            i--;
        if (i == 0 || !dim_same(arg[i - 1], x)) {
            if (*n == BCAST_ARGS)
                return false;
            memmove(&arg[i + 1], &arg[i], (size_t)(*n - i) * sizeof(*arg));
            arg[i] = x;
            ++*n;
        }
        if (more)
            d = d.e->b;
    }
    return true;
}

struct dim dim_broadcast(struct symtab *t, struct dim a, struct dim b)
{
    struct dim arg[BCAST_ARGS], two = dim_const(2);
    int n = 0;
    if (dim_is(a, 1) || dim_same(a, b))
        return b;
    if (dim_is(b, 1))
        return a;
    if (unknown2(a, b) || const2(a, b))
        return dim_unknown();
    /* Where one is not 1, it is the result. */
    if (a.kind == DIM_CONST || b.kind == DIM_CONST)
        return a.kind == DIM_CONST ? a : b;
    if (dim_cmp_ge(t, a, two) > 0 || dim_cmp_ge(t, b, two) > 0)
        return dim_cmp_ge(t, a, two) > 0 ? a : b;
    if (!add_args(a, arg, &n) || !add_args(b, arg, &n))
        return dim_unknown();
    struct dim all = arg[--n];
    while (n-- > 0 && all.kind != DIM_UNKNOWN)
        all = atom_dim(t, EX_BCAST, arg[n], all);
    return all;
}
