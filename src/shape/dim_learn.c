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
};

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
    struct dim a = subst(t, r, d.e->a, depth), b = subst(t, r, d.e->b, depth);
    if (dim_same(a, d.e->a) && dim_same(b, d.e->b))
        return d;
    if (d.e->op == EX_FLOOR)
        return dim_div_floor(t, a, b);
    return d.e->op == EX_MIN ? dim_min(t, a, b) : dim_max(t, a, b);
}

/* ---- learned equalities ---- */

static struct dim resolve(struct symtab *t, struct dim d, int depth);

static struct dim learned(struct symtab *t, const void *user, const struct expr *sym, int depth)
{
    (void)user;
    struct dim d = {DIM_EXPR, 0, sym};
    while (d.kind == DIM_EXPR && d.e->op == EX_SYM && d.e->a.kind != DIM_UNKNOWN)
        d = d.e->a;
    return d.kind == DIM_EXPR && d.e->op != EX_SYM ? resolve(t, d, depth + 1) : d;
}

static struct dim resolve(struct symtab *t, struct dim d, int depth)
{
    if (d.kind != DIM_EXPR || depth > MAX_CHAIN)
        return d;
    struct expr *e = (struct expr *)d.e;
    if (e->gen != t->gen) {
        struct dim r = subst(t, &(struct rule){.symbol = learned}, d, depth);
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
        t->trail[--t->ntrail]->a = dim_unknown();
    t->gen++;
}

/* Not remembering for want of memory is harmless: less is known. */
static void learn(struct symtab *t, const struct expr *sym, struct dim d)
{
    struct expr **p = arena_grow(t->arena, t->trail, t->ntrail, &t->cap_trail, sizeof(*p));
    if (!p)
        return;
    t->trail = p;
    p[t->ntrail++] = (struct expr *)sym;
    p[t->ntrail - 1]->a = d;
    t->gen++;
}

static bool contains(struct dim d, const struct expr *sym)
{
    if (d.kind != DIM_EXPR)
        return false;
    if (d.e->op == EX_SYM)
        return d.e == sym;
    if (d.e->op != EX_SUM)
        return contains(d.e->a, sym) || contains(d.e->b, sym);
    for (int i = 0; i < d.e->nterms; i++) {
        for (int k = 0; k < d.e->term[i].n; k++) {
            if (contains((struct dim){DIM_EXPR, 0, d.e->term[i].atom[k]}, sym))
                return true;
        }
    }
    return false;
}

/* From zero == diff: what the symbol of term i equals. Unknown when the term is no lone symbol, the symbol
 * stands elsewhere too, or the rest is no multiple of the coefficient. */
static struct dim solve_for(struct symtab *t, struct dim diff, int i)
{
    const struct term *x = &diff.e->term[i];
    if (x->n != 1 || x->atom[0]->op != EX_SYM)
        return dim_unknown();
    struct dim sym = {DIM_EXPR, 0, x->atom[0]};
    struct dim rest = dim_sub(t, diff, dim_mul(t, dim_const(x->coef), sym));
    if (rest.kind == DIM_UNKNOWN || contains(rest, sym.e))
        return dim_unknown();
    return dim_div_exact(t, dim_sub(t, dim_const(0), rest), dim_const(x->coef));
}

static bool bare(struct dim d, const struct expr *sym)
{
    return d.kind == DIM_EXPR && d.e == sym;
}

/* a and b differ, and are not both symbols or numbers. A fresh symbol is always worth replacing; one that the
 * model named only by a number, or where it stands alone on its side. */
static void solve(struct symtab *t, struct dim a, struct dim b)
{
    struct dim diff = dim_sub(t, a, b), best = dim_unknown();
    const struct expr *sym = NULL;
    if (diff.kind != DIM_EXPR)
        return;
    if (diff.e->op != EX_SUM) {
        if (diff.e->op == EX_SYM)
            learn(t, diff.e, dim_const(0));
        return;
    }
    for (int i = 0; i < diff.e->nterms; i++) {
        struct dim d = solve_for(t, diff, i);
        if (d.kind == DIM_UNKNOWN)
            continue;
        const struct expr *s = diff.e->term[i].atom[0];
        bool ok = s->fresh || d.kind == DIM_CONST || bare(a, s) || bare(b, s);
        if (!ok || (d.kind == DIM_CONST && d.v < 0) || (sym && (sym->fresh || !s->fresh)))
            continue;
        sym = s;
        best = d;
    }
    if (sym)
        learn(t, sym, best);
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
        d = subst(t, &(struct rule){bound, b, false}, d, 0);
    if (d.kind != DIM_EXPR)
        return d;
    d = dim_resolve(t, d);
    return d.kind == DIM_EXPR && b ? subst(t, &(struct rule){bound, b, false}, d, 0) : d;
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
    struct dim now = d.kind == DIM_EXPR ? subst(t, &(struct rule){bound, b, false}, d, 0) : d;
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
