/* Equalities between dimensions, and bindings of symbols to numbers.
 *
 * What is learned is kept as a substitution: a symbol points to what it equals. A symbol is only ever
 * replaced by something that is resolved itself and does not contain it, so following the pointers ends. */
#include <string.h>

#include "base/checked.h"
#include "shape/dim_priv.h"

/* Chains of substitutions deeper than this stay as they are: sound, and keeps recursion short. */
enum { MAX_CHAIN = 200 };

/* How an expression is rebuilt: what stands for its symbols, and whether min(x, number) becomes x. */
struct rule {
    struct dim (*symbol)(struct symtab *t, const void *user, const struct expr *sym, int depth);
    const void *user;
    bool unclamp;
    bool learned; /* broadcasts too are replaced by what they were learned to equal */
};

static struct dim resolve(struct symtab *t, struct dim d, int depth);
static struct dim subst(struct symtab *t, const struct rule *r, struct dim d, int depth);

static struct dim subst_sum(struct symtab *t, const struct rule *r, const struct expr *e, int depth)
{
    struct dim sum = dim_const(0);
    for (int i = 0; i < e->nterms; i++) {
        struct dim p = dim_const(e->term[i].coef);
        for (int k = 0; k < e->term[i].n; k++)
            p = dim_mul(t, p, subst(t, r, (struct dim){DIM_EXPR, 0, e->term[i].atom[k]}, depth));
        sum = dim_add(t, sum, p);
    }
    return sum;
}

static struct dim join(struct symtab *t, enum expr_op op, struct dim a, struct dim b)
{
    switch (op) {
    case EX_FLOOR:
        return dim_div_even(t, a, b); /* the divisor was fit for it before */
    case EX_MIN:
        return dim_min(t, a, b);
    case EX_MAX:
        return dim_max(t, a, b);
    default:
        return dim_broadcast(t, a, b);
    }
}

static struct dim subst(struct symtab *t, const struct rule *r, struct dim d, int depth)
{
    if (d.kind != DIM_EXPR)
        return d;
    if (d.e->op == EX_SYM)
        return r->symbol(t, r->user, d.e, depth);
    if (d.e->op == EX_SUM)
        return subst_sum(t, r, d.e, depth);
    if (r->unclamp && d.e->op == EX_MIN && d.e->b.kind == DIM_CONST && d.e->b.v > 1)
        return subst(t, r, d.e->a, depth);
    if (r->learned && d.e->op == EX_BCAST && d.e->is.kind != DIM_UNKNOWN)
        return resolve(t, d.e->is, depth + 1);
    struct dim a = subst(t, r, d.e->a, depth), b = subst(t, r, d.e->b, depth);
    if (dim_same(a, d.e->a) && dim_same(b, d.e->b))
        return d;
    return join(t, d.e->op, a, b);
}

/* ---- learned equalities ---- */

static struct dim learned(struct symtab *t, const void *user, const struct expr *sym, int depth)
{
    (void)user;
    struct dim d = {DIM_EXPR, 0, sym};
    while (d.kind == DIM_EXPR && d.e->op == EX_SYM && d.e->is.kind != DIM_UNKNOWN)
        d = d.e->is;
    return d.kind == DIM_EXPR && d.e->op != EX_SYM ? resolve(t, d, depth + 1) : d;
}

static struct dim resolve(struct symtab *t, struct dim d, int depth)
{
    if (d.kind != DIM_EXPR || depth > MAX_CHAIN)
        return d;
    struct expr *e = (struct expr *)d.e;
    if (e->gen != t->gen) {
        struct dim r = subst(t, &(struct rule){.symbol = learned, .learned = true}, d, depth);
        e->known = r.kind == DIM_UNKNOWN ? d : r;
        e->gen = t->gen;
    }
    return e->known;
}

struct dim dim_resolve(struct symtab *t, struct dim d)
{
    return t->ntrail ? resolve(t, d, 0) : d;
}

size_t dim_mark(const struct symtab *t)
{
    return t->ntrail;
}

void dim_forget(struct symtab *t, size_t mark)
{
    while (t->ntrail > mark)
        t->trail[--t->ntrail]->is = dim_unknown();
    t->gen++;
}

/* Not remembering for want of memory is harmless: less is known. */
static void learn(struct symtab *t, const struct expr *atom, struct dim d)
{
    struct expr **p = arena_grow(t->arena, t->trail, t->ntrail, &t->cap_trail, sizeof(*p));
    if (!p)
        return;
    t->trail = p;
    p[t->ntrail++] = (struct expr *)atom;
    p[t->ntrail - 1]->is = d;
    t->gen++;
}

bool dim_contains(struct dim d, const struct expr *atom)
{
    if (d.kind != DIM_EXPR)
        return false;
    if (d.e == atom || d.e->op == EX_SYM)
        return d.e == atom;
    if (d.e->op != EX_SUM)
        return dim_contains(d.e->a, atom) || dim_contains(d.e->b, atom);
    for (int i = 0; i < d.e->nterms; i++) {
        for (int k = 0; k < d.e->term[i].n; k++) {
            if (dim_contains((struct dim){DIM_EXPR, 0, d.e->term[i].atom[k]}, atom))
                return true;
        }
    }
    return false;
}

/* What may be replaced by what it equals. */
static bool replaceable(const struct expr *e)
{
    return e->op == EX_SYM || e->op == EX_BCAST;
}

/* From zero == diff: what the symbol (or broadcast) of term i equals. Unknown when the term is no lone one,
 * it stands elsewhere too, or the rest is no multiple of the coefficient. */
static struct dim solve_for(struct symtab *t, struct dim diff, int i)
{
    const struct term *x = &diff.e->term[i];
    if (x->n != 1 || !replaceable(x->atom[0]))
        return dim_unknown();
    struct dim sym = {DIM_EXPR, 0, x->atom[0]};
    struct dim rest = dim_sub(t, diff, dim_mul(t, dim_const(x->coef), sym));
    if (rest.kind == DIM_UNKNOWN || dim_contains(rest, sym.e))
        return dim_unknown();
    return dim_div_exact(t, dim_sub(t, dim_const(0), rest), dim_const(x->coef));
}

static bool bare(struct dim d, const struct expr *sym)
{
    return d.kind == DIM_EXPR && d.e == sym;
}

/* How gladly an atom is replaced by d, which it equals: 0 not at all. A fresh symbol always; one that the
 * model named only by a number, or where it stands alone on its side; a broadcast when there is nothing
 * better. */
static int wish(const struct expr *atom, struct dim d, struct dim a, struct dim b)
{
    if (d.kind == DIM_UNKNOWN || (d.kind == DIM_CONST && d.v < 0))
        return 0;
    if (atom->op == EX_BCAST)
        return 1;
    if (atom->fresh)
        return 3;
    return d.kind == DIM_CONST || bare(a, atom) || bare(b, atom) ? 2 : 0;
}

/* a and b differ, and are not both symbols or numbers. */
static void solve(struct symtab *t, struct dim a, struct dim b)
{
    struct dim diff = dim_sub(t, a, b), best = dim_unknown();
    const struct expr *atom = NULL;
    int most = 0;
    if (diff.kind != DIM_EXPR)
        return;
    if (diff.e->op != EX_SUM) {
        if (replaceable(diff.e))
            learn(t, diff.e, dim_const(0));
        return;
    }
    for (int i = 0; i < diff.e->nterms; i++) {
        struct dim d = solve_for(t, diff, i);
        int w = d.kind == DIM_UNKNOWN ? 0 : wish(diff.e->term[i].atom[0], d, a, b);
        if (w <= most)
            continue;
        most = w;
        atom = diff.e->term[i].atom[0];
        best = d;
    }
    if (atom)
        learn(t, atom, best);
}

bool dim_unify(struct symtab *t, struct dim a, struct dim b)
{
    a = dim_resolve(t, a);
    b = dim_resolve(t, b);
    if (a.kind == DIM_UNKNOWN || b.kind == DIM_UNKNOWN || dim_same(a, b))
        return true;
    if (a.kind == DIM_CONST && b.kind == DIM_CONST)
        return false;
    bool sa = a.kind == DIM_EXPR && a.e->op == EX_SYM, sb = b.kind == DIM_EXPR && b.e->op == EX_SYM;
    if (sa && sb) {
        bool keep_b = a.e->fresh && !b.e->fresh;
        learn(t, keep_b ? a.e : b.e, keep_b ? b : a);
    } else {
        solve(t, a, b);
    }
    return true;
}

/* ---- bindings ---- */

static struct dim bound(struct symtab *t, const void *user, const struct expr *sym, int depth)
{
    (void)t;
    (void)depth;
    const struct binding *b = user;
    for (size_t i = 0; i < b->n; i++) {
        if (b->e[i].sym == sym)
            return dim_const(b->e[i].v);
    }
    return (struct dim){DIM_EXPR, 0, sym};
}

struct dim dim_eval(struct symtab *t, const struct binding *b, struct dim d)
{
    if (d.kind == DIM_EXPR && b)
        d = subst(t, &(struct rule){.symbol = bound, .user = b}, d, 0);
    if (d.kind != DIM_EXPR)
        return d;
    d = dim_resolve(t, d);
    return d.kind == DIM_EXPR && b ? subst(t, &(struct rule){.symbol = bound, .user = b}, d, 0) : d;
}

static bool bind_symbol(struct arena *a, struct binding *b, const struct expr *sym, int64_t v)
{
    struct binding_entry *p = arena_grow(a, b->e, b->n, &b->cap, sizeof(*p));
    if (!p)
        return false;
    b->e = p;
    p[b->n++] = (struct binding_entry){sym, v};
    return true;
}

bool binding_set(struct symtab *t, struct arena *a, struct binding *b, struct dim d, int64_t v)
{
    struct dim now = d.kind == DIM_EXPR ? subst(t, &(struct rule){.symbol = bound, .user = b}, d, 0) : d;
    if (now.kind == DIM_UNKNOWN)
        return true;
    if (now.kind == DIM_CONST)
        return now.v == v;
    if (now.e->op == EX_SYM)
        return bind_symbol(a, b, now.e, v);
    struct dim diff = dim_sub(t, now, dim_const(v));
    if (diff.kind != DIM_EXPR || diff.e->op != EX_SUM || diff.e->nterms > 2 || diff.e->term[0].n != 1 ||
        diff.e->term[0].atom[0]->op != EX_SYM)
        return true;
    if (diff.e->nterms == 2 && diff.e->term[1].n != 0)
        return true;
    struct dim s = solve_for(t, diff, 0);
    return s.kind == DIM_CONST && s.v >= 0 && bind_symbol(a, b, diff.e->term[0].atom[0], s.v);
}

bool binding_open(struct symtab *t, const struct binding *b, struct dim d)
{
    struct dim now = dim_eval(t, b, d);
    return now.kind == DIM_EXPR && now.e->op == EX_SYM;
}

static struct dim same_symbol(struct symtab *t, const void *user, const struct expr *sym, int depth)
{
    (void)t;
    (void)user;
    (void)depth;
    return (struct dim){DIM_EXPR, 0, sym};
}

struct dim dim_unclamp(struct symtab *t, struct dim d)
{
    return subst(t, &(struct rule){.symbol = same_symbol, .unclamp = true}, d, 0);
}

static void collect(struct dim d, const char **names, size_t cap, size_t *n)
{
    if (d.kind != DIM_EXPR)
        return;
    if (d.e->op == EX_SUM) {
        for (int i = 0; i < d.e->nterms; i++) {
            for (int k = 0; k < d.e->term[i].n; k++)
                collect((struct dim){DIM_EXPR, 0, d.e->term[i].atom[k]}, names, cap, n);
        }
        return;
    }
    if (d.e->op != EX_SYM) {
        collect(d.e->a, names, cap, n);
        collect(d.e->b, names, cap, n);
        return;
    }
    for (size_t i = 0; i < *n && i < cap; i++) {
        if (names[i] == d.e->name)
            return;
    }
    if (*n < cap)
        names[*n] = d.e->name;
    ++*n;
}

size_t dim_symbols(struct dim d, const char **names, size_t cap)
{
    size_t n = 0;
    collect(d, names, cap, &n);
    return n;
}
