/* Dynamic axes. An export with an example input of batch 1 often bakes that 1 into a Reshape: the model then
 * claims a free batch axis and fails, or mixes samples, for any other size. Two ways to see that:
 *   - a Reshape or Expand to constant sizes whose input has the symbol and whose output has not;
 *   - types that fit for size 1 and do not for size 2. */
#include "analyze/axes.h"

#include <string.h>

#include "base/str.h"

static bool dim_has(struct dim d, const char *symbol)
{
    const char *names[16];
    size_t n = dim_symbols(d, names, 16);
    for (size_t i = 0; i < n && i < 16; i++)
        if (strcmp(names[i], symbol) == 0)
            return true;
    return false;
}

static bool type_has(const struct type *t, const char *symbol)
{
    for (int i = 0; t && t->kind == TY_TENSOR && i < t->rank; i++)
        if (dim_has(t->dims[i], symbol))
            return true;
    return false;
}

static bool all_numbers(const struct type *t)
{
    if (!t || t->kind != TY_TENSOR || t->rank < 0)
        return false;
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i].kind != DIM_CONST)
            return false;
    return true;
}

/* "Reshape node 'x' makes float[1,768] of float[batch,768]" when n loses the symbol. */
static const char *lost_at(struct cx *cx, const struct typed *t, const struct node *n, const char *symbol,
                           struct arena *arena)
{
    char in[200], out[200], name[200];
    if (*n->domain || (strcmp(n->op_type, "Reshape") != 0 && strcmp(n->op_type, "Expand") != 0))
        return NULL;
    if (n->nin < 2 || !n->in[0] || !n->in[1] || !n->nout || !n->out[0])
        return NULL;
    const struct type *a = typed_value(t, n->in[0]), *b = typed_value(t, n->out[0]);
    if (!type_has(a, symbol) || !all_numbers(b))
        return NULL;
    (void)cx;
    const char *label = node_label(n);
    str_escape(name, sizeof name, label, strlen(label));
    return arena_printf(arena, "%s '%s' makes %s of %s", n->op_type, name, type_text(b, out, sizeof out),
                        type_text(a, in, sizeof in));
}

static const char *lost_in(struct cx *cx, const struct typed *t, const char *symbol, struct arena *arena)
{
    for (const struct node *n = t->m->graph->first; n; n = n->next) {
        const char *text = lost_at(cx, t, n, symbol, arena);
        if (text)
            return text;
    }
    return NULL;
}

/* The failure of an inference in which symbol is size and all others are 64; NULL when it fits. */
static int try_size(struct cx *cx, struct model *m, const char *symbol, int64_t size, struct arena *arena,
                    const char **failure)
{
    struct binding b = {0};
    struct typed *t;
    if (!binding_set(m->syms, &cx->scratch, &b, dim_symbol(m->syms, symbol), size))
        return err_nomem(cx);
    int rc = bind_rest(cx, m, &cx->scratch, &b, 64);
    if (!rc)
        rc = typed_new(cx, m, &b, NULL, &t);
    if (rc)
        return rc;
    *failure = t->failure ? arena_strdup(arena, t->failure) : NULL;
    rc = t->failure && !*failure ? err_nomem(cx) : OK;
    typed_free(t);
    return rc;
}

static int try_sizes(struct cx *cx, struct model *m, struct axis *a, struct arena *arena)
{
    const char *one, *two;
    int rc = try_size(cx, m, a->symbol, 1, arena, &one);
    /* When 1 does not fit either, the other sizes are to blame, or the model is wrong anyway. */
    if (rc || one)
        return rc;
    rc = try_size(cx, m, a->symbol, 2, arena, &two);
    if (!rc && two) {
        a->fixed = arena_printf(arena, "fits 1 but not 2: %s", two);
        rc = a->fixed ? OK : err_nomem(cx);
    }
    return rc;
}

static bool is_symbol(struct dim d)
{
    const char *name;
    char text[200];
    return d.kind == DIM_EXPR && dim_symbols(d, &name, 1) == 1 &&
           strcmp(dim_text(d, text, sizeof text), name) == 0;
}

/* The first axis of the same symbol before a; NULL. */
static struct axis *seen(struct axes *all, const char *symbol)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->v[i].symbol, symbol) == 0)
            return &all->v[i];
    return NULL;
}

static int add_axis(struct cx *cx, struct model *m, const struct typed *free, bool deep, struct arena *arena,
                    struct axes *out, const struct value *v, int k)
{
    char text[200];
    struct dim d = v->declared->dims[k];
    struct axis a = {.input = v, .axis = k};
    a.symbol = arena_strdup(arena, dim_text(d, text, sizeof text));
    if (!a.symbol)
        return err_nomem(cx);
    const struct axis *same = is_symbol(d) ? seen(out, a.symbol) : NULL;
    int rc = OK;
    if (same)
        a.fixed = same->fixed;
    else if (is_symbol(d) && free) {
        a.fixed = lost_in(cx, free, a.symbol, arena);
        if (!a.fixed && deep && k == 0)
            rc = try_sizes(cx, m, &a, arena);
    }
    out->v[out->n++] = a;
    return rc;
}

int axes_find(struct cx *cx, struct model *m, const struct typed *free, bool deep, struct arena *arena,
              struct axes *out)
{
    size_t n = 0;
    const struct graph *g = m->graph;
    *out = (struct axes){0};
    for (size_t i = 0; i < g->nins; i++) {
        const struct type *t = g->ins[i]->declared;
        n += t && t->kind == TY_TENSOR && t->rank > 0 ? (size_t)t->rank : 0;
    }
    out->v = arena_array(arena, n + 1, sizeof *out->v);
    if (!out->v)
        return err_nomem(cx);
    for (size_t i = 0; i < g->nins; i++) {
        const struct type *t = g->ins[i]->declared;
        for (int k = 0; t && t->kind == TY_TENSOR && k < t->rank; k++) {
            int rc =
                t->dims[k].kind == DIM_CONST ? OK : add_axis(cx, m, free, deep, arena, out, g->ins[i], k);
            if (rc)
                return rc;
        }
    }
    return OK;
}
