/* What is known about the size of an expression. Sound, not complete: symbols are >= 0, and that is all. */
#include <string.h>

#include "base/checked.h"
#include "shape/dim_priv.h"

enum { TERMS_TRIED = 8 };

/* A closed interval; the flags say that an end is infinite. */
struct range {
    int64_t lo, hi;
    bool no_lo, no_hi;
};

static const struct range everything = {0, 0, true, true};

static struct range range_add(struct range a, struct range b)
{
    struct range r = {0, 0, false, false};
    r.no_lo = a.no_lo || b.no_lo || !add_i64(a.lo, b.lo, &r.lo);
    r.no_hi = a.no_hi || b.no_hi || !add_i64(a.hi, b.hi, &r.hi);
    return r;
}

static struct range range_scale(struct range a, int64_t k)
{
    struct range r = {0, 0, false, false};
    bool lo_bad = a.no_lo || !mul_i64(a.lo, k, &r.lo), hi_bad = a.no_hi || !mul_i64(a.hi, k, &r.hi);
    r.no_lo = lo_bad;
    r.no_hi = hi_bad;
    if (k >= 0)
        return r;
    return (struct range){r.hi, r.lo, hi_bad, lo_bad};
}

/* Of two factors that are both >= 0; else anything. */
static struct range range_mul(struct range a, struct range b)
{
    struct range r = {0, 0, false, false};
    if (a.no_lo || b.no_lo || a.lo < 0 || b.lo < 0)
        return everything;
    r.no_lo = !mul_i64(a.lo, b.lo, &r.lo);
    r.no_hi = a.no_hi || b.no_hi || !mul_i64(a.hi, b.hi, &r.hi);
    return r;
}

static struct range range_of(struct dim d);

static struct range atom_range(const struct expr *e)
{
    if (e->op == EX_SYM)
        return (struct range){0, 0, false, true};
    struct range a = range_of(e->a), b = range_of(e->b), r = everything;
    if (e->op == EX_FLOOR) {
        /* The divisor is at least 1 by construction. */
        if (e->b.kind == DIM_CONST)
            return (struct range){div_floor(a.lo, e->b.v), div_floor(a.hi, e->b.v), a.no_lo, a.no_hi};
        r = a;
        r.no_lo |= a.lo < 0;
        r.no_hi |= a.hi < 0;
        r.lo = 0;
        return r;
    }
    if (e->op == EX_BCAST)
        return (struct range){0, 0, false, true};
    bool max = e->op == EX_MAX;
    r.no_lo = max ? a.no_lo && b.no_lo : a.no_lo || b.no_lo;
    r.no_hi = max ? a.no_hi || b.no_hi : a.no_hi && b.no_hi;
    if (a.no_lo || b.no_lo)
        r.lo = a.no_lo ? b.lo : a.lo;
    else
        r.lo = (a.lo > b.lo) == max ? a.lo : b.lo;
    if (a.no_hi || b.no_hi)
        r.hi = a.no_hi ? b.hi : a.hi;
    else
        r.hi = (a.hi > b.hi) == max ? a.hi : b.hi;
    return r;
}

static struct range range_of(struct dim d)
{
    struct term tmp;
    const struct expr *room;
    const struct term *t;
    struct range sum = {0, 0, false, false};
    int n = dim_terms(d, &tmp, &room, &t);
    for (int i = 0; i < n; i++) {
        struct range p = {1, 1, false, false};
        for (int k = 0; k < t[i].n; k++)
            p = range_mul(p, atom_range(t[i].atom[k]));
        sum = range_add(sum, range_scale(p, t[i].coef));
    }
    return sum;
}

/* d without term i, scaled by k. */
static struct dim without(struct symtab *t, const struct expr *d, int skip, int64_t k)
{
    struct sum s = {.n = 0};
    for (int i = 0; i < d->nterms; i++) {
        struct mono m = {.coef = 0, .n = d->term[i].n};
        if (i == skip)
            continue;
        if (!mul_i64(d->term[i].coef, k, &m.coef))
            return dim_unknown();
        memcpy(m.atom, d->term[i].atom, (size_t)m.n * sizeof(*m.atom));
        sum_add(&s, &m);
    }
    return sum_dim(t, &s);
}

static bool nonneg(struct symtab *t, struct dim d, int depth);

/* d >= 0 when the atom of term i, which is linear, is replaced by a bound for it. */
static bool nonneg_without(struct symtab *t, const struct expr *d, int i, int depth)
{
    const struct expr *e = d->term[i].atom[0];
    int64_t c = d->term[i].coef;
    struct dim k = dim_const(c);
    if (e->op == EX_FLOOR && e->b.kind == DIM_CONST) {
        /* x/b - (b-1)/b <= floor(x/b) <= x/b */
        struct dim x = c > 0 ? dim_sub(t, e->a, dim_const(e->b.v - 1)) : e->a;
        return nonneg(t, dim_add(t, without(t, d, i, e->b.v), dim_mul(t, k, x)), depth);
    }
    if (e->op != EX_MIN && e->op != EX_MAX)
        return false;
    struct dim rest = without(t, d, i, 1);
    bool a = nonneg(t, dim_add(t, rest, dim_mul(t, k, e->a)), depth);
    bool both = (c > 0) == (e->op == EX_MIN);
    if (a != both)
        return a;
    return nonneg(t, dim_add(t, rest, dim_mul(t, k, e->b)), depth);
}

static bool nonneg(struct symtab *t, struct dim d, int depth)
{
    if (d.kind == DIM_UNKNOWN)
        return false;
    struct range r = range_of(d);
    if (!r.no_lo && r.lo >= 0)
        return true;
    /* Each term is tried at each depth: long sums, which no model needs compared, would take their time. */
    if (depth == 0 || d.kind == DIM_CONST || d.e->op != EX_SUM || d.e->nterms > TERMS_TRIED)
        return false;
    for (int i = 0; i < d.e->nterms; i++) {
        const struct term *x = &d.e->term[i];
        if (x->n == 1 && x->atom[0]->op != EX_SYM && nonneg_without(t, d.e, i, depth - 1))
            return true;
    }
    return false;
}

int dim_cmp_ge(struct symtab *t, struct dim a, struct dim b)
{
    enum { TRIES = 3 };
    struct dim d = dim_sub(t, a, b);
    if (d.kind == DIM_UNKNOWN)
        return 0;
    if (d.kind == DIM_CONST)
        return d.v >= 0 ? 1 : -1;
    if (nonneg(t, d, TRIES))
        return 1;
    return nonneg(t, dim_sub(t, dim_const(-1), d), TRIES) ? -1 : 0;
}
