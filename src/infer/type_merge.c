/* Types put together: inferred with declared, and of several calls of one function. */
#include "infer/type_merge.h"

/* Sequences of optionals of maps...: deeper than any value, and a bound on recursion. */
enum { MAX_ELEM_DEPTH = 16 };

static struct type *copy_type(struct merger *m, const struct type *t)
{
    struct type *c = type_copy(m->arena, t);
    m->failed |= c == NULL;
    return c;
}

/* Declarations are settled too: their symbols may have been learned, or bound. */
static struct dim settle_dim(struct merger *m, struct dim d)
{
    return m->binding ? dim_eval(m->syms, m->binding, d) : dim_resolve(m->syms, d);
}

/* ---- symbols of inputs ---- */

static void add_symbols(struct merger *m, struct dim d)
{
    if (d.kind != DIM_EXPR)
        return;
    if (d.e->op == EX_SYM) {
        const struct expr **p = arena_grow(m->arena, m->inputs, m->ninputs, &m->cap_inputs, sizeof(*p));
        if (!p)
            return;
        m->inputs = p;
        p[m->ninputs++] = d.e;
        return;
    }
    if (d.e->op != EX_SUM) {
        add_symbols(m, d.e->a);
        add_symbols(m, d.e->b);
        return;
    }
    for (int i = 0; i < d.e->nterms; i++) {
        for (int k = 0; k < d.e->term[i].n; k++)
            add_symbols(m, (struct dim){DIM_EXPR, 0, d.e->term[i].atom[k]});
    }
}

void merger_add_input(struct merger *m, const struct type *t)
{
    for (int i = 0; t && (t->kind == TY_TENSOR || t->kind == TY_SPARSE) && i < t->rank; i++)
        add_symbols(m, t->dims[i]);
}

static bool is_input_symbol(const struct merger *m, struct dim d)
{
    for (size_t i = 0; i < m->ninputs; i++) {
        if (m->inputs[i] == d.e)
            return true;
    }
    return false;
}

static bool has_fresh(struct dim d)
{
    if (d.kind != DIM_EXPR)
        return false;
    if (d.e->op == EX_SYM)
        return d.e->fresh;
    if (d.e->op != EX_SUM)
        return has_fresh(d.e->a) || has_fresh(d.e->b);
    for (int i = 0; i < d.e->nterms; i++) {
        for (int k = 0; k < d.e->term[i].n; k++) {
            if (has_fresh((struct dim){DIM_EXPR, 0, d.e->term[i].atom[k]}))
                return true;
        }
    }
    return false;
}

/* ---- merging ---- */

/* A declaration may name a result ("logits_len"), say which of the dims that were broadcast it has, and what
 * inference cannot know; it may not narrow the symbols of the inputs: many files keep value_info of the
 * shapes they were exported with. */
static struct dim merge_dim(struct merger *m, struct dim inferred, struct dim declared)
{
    struct dim i = dim_resolve(m->syms, inferred), d = settle_dim(m, declared);
    if (d.kind == DIM_UNKNOWN || dim_same(i, d))
        return i;
    if (i.kind == DIM_UNKNOWN)
        return d;
    if (i.kind == DIM_CONST && d.kind == DIM_CONST) {
        m->clash = true;
        return i;
    }
    bool is_argument =
        i.kind == DIM_EXPR && i.e->op == EX_BCAST && d.kind == DIM_EXPR && dim_contains(i, d.e);
    bool names_result = d.kind == DIM_EXPR && d.e->op == EX_SYM && !is_input_symbol(m, d);
    if (names_result || is_argument || has_fresh(i))
        dim_unify(m->syms, i, d);
    return dim_resolve(m->syms, i);
}

static const struct type *merge_tensor(struct merger *m, const struct type *i, const struct type *d)
{
    if (i->dt != DT_UNDEFINED && d->dt != DT_UNDEFINED && i->dt != d->dt) {
        m->clash = true;
        return i;
    }
    if (i->rank >= 0 && d->rank >= 0 && i->rank != d->rank) {
        m->clash = true;
        return i;
    }
    struct type *t = copy_type(m, i->rank >= 0 ? i : d);
    if (!t)
        return NULL;
    t->dt = i->dt != DT_UNDEFINED ? i->dt : d->dt;
    t->origin = d->origin;
    for (int k = 0; k < t->rank; k++)
        t->dims[k] = merge_dim(m, i->rank >= 0 ? i->dims[k] : dim_unknown(),
                               d->rank >= 0 ? d->dims[k] : dim_unknown());
    return t;
}

static bool known(const struct type *t)
{
    return t && t->kind != TY_NONE;
}

static const struct type *merge(struct merger *m, const struct type *i, const struct type *d, int depth)
{
    if (!known(i) || !known(d))
        return known(i) ? i : known(d) ? d : NULL;
    if (i->kind != d->kind) {
        m->clash = true;
        return i;
    }
    if (i->kind == TY_TENSOR || i->kind == TY_SPARSE)
        return merge_tensor(m, i, d);
    const struct type *elem = depth > 0 ? merge(m, i->elem, d->elem, depth - 1) : i->elem;
    if (elem == i->elem)
        return i;
    struct type *t = copy_type(m, i);
    if (t)
        t->elem = elem;
    return t;
}

const struct type *type_merge(struct merger *m, const struct type *inferred, const struct type *declared)
{
    return merge(m, inferred, declared, MAX_ELEM_DEPTH);
}

const struct type *type_join(struct merger *m, const struct type *a, const struct type *b)
{
    if (!known(a) || !known(b) || a->kind != b->kind || a->dt != b->dt)
        return NULL;
    if (a == b || (a->kind != TY_TENSOR && a->kind != TY_SPARSE))
        return type_same(a, b) ? a : NULL;
    struct type *t = copy_type(m, a);
    if (!t)
        return NULL;
    t->rank = a->rank == b->rank ? a->rank : -1;
    for (int i = 0; i < t->rank; i++) {
        if (!dim_same(dim_resolve(m->syms, a->dims[i]), dim_resolve(m->syms, b->dims[i])))
            t->dims[i] = dim_unknown();
    }
    return t;
}

const struct type *type_settle(struct merger *m, const struct type *t, bool fresh)
{
    struct type *c = NULL;
    if (!t || (t->kind != TY_TENSOR && t->kind != TY_SPARSE))
        return t;
    for (int i = 0; i < t->rank; i++) {
        struct dim d = settle_dim(m, t->dims[i]);
        if (d.kind == DIM_UNKNOWN && fresh)
            d = dim_fresh(m->syms);
        if (dim_same(d, t->dims[i]) || (d.kind == DIM_UNKNOWN && t->dims[i].kind == DIM_UNKNOWN))
            continue;
        if (!c)
            c = copy_type(m, t);
        if (!c)
            return t;
        c->dims[i] = d;
    }
    return c ? c : t;
}
