/* Part of a graph as a model of its own. */
#include "rewrite/extract.h"

#include <string.h>

#include "analyze/typed.h"
#include "base/str.h"
#include "ir/edit.h"
#include "ops/op.h"

static int no_such_value(struct cx *cx, const struct graph *g, const char *opt, const char *name)
{
    size_t n = 0, cap = 0;
    const char **names = NULL;
    for (const struct node *x = g->first; x; x = x->next)
        for (int o = 0; o < x->nout; o++) {
            const char **p = arena_grow(&cx->scratch, names, n, &cap, sizeof *names);
            if (!p)
                return err_nomem(cx);
            names = p;
            if (x->out[o])
                names[n++] = x->out[o]->name;
        }
    const char *near = nearest_name(name, names, n);
    return err_set(cx, E_USAGE, "%s: the main graph has no value '%s'%s%s%s", opt, name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int find(struct cx *cx, const struct graph *g, const char *opt, const char *const *names,
                struct value ***out, size_t *n)
{
    for (*n = 0; names && names[*n];)
        ++*n;
    *out = arena_array(&cx->scratch, *n + 1, sizeof(struct value *));
    if (!*out)
        return err_nomem(cx);
    for (size_t i = 0; i < *n; i++)
        if (!((*out)[i] = smap_get(&g->names, names[i])))
            return no_such_value(cx, g, opt, names[i]);
    return OK;
}

/* Inferred types of the values that become inputs or outputs: the interface of a model says its types. */
static int declare(struct cx *cx, struct model *m, struct value *const *v, size_t n)
{
    struct typed *t;
    int rc = ops_resolve(cx, m);
    if (!rc)
        rc = typed_new(cx, m, NULL, NULL, &t);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && !rc; i++) {
        const struct type *ty = typed_value(t, v[i]);
        if (v[i]->declared || !ty)
            continue;
        struct type *copy = type_copy(&m->arena, ty);
        rc = copy ? OK : err_nomem(cx);
        v[i]->declared = v[i]->type = copy;
    }
    typed_free(t);
    return rc;
}

static bool unread(const struct node *n)
{
    for (int o = 0; o < n->nout; o++)
        if (n->out[o] && (n->out[o]->nuses || n->out[o]->is_output))
            return false;
    return true;
}

static void drop_unread(struct graph *g)
{
    for (struct node *n = g->last, *prev; n; n = prev) {
        prev = n->prev;
        if (unread(n))
            node_remove(n);
    }
    for (size_t i = g->ninits; i-- > 0;)
        if (!g->inits[i]->nuses && !g->inits[i]->is_output)
            value_remove(g->inits[i]);
    for (size_t i = g->nins; i-- > 0;)
        if (!g->ins[i]->nuses && !g->ins[i]->is_output)
            value_remove(g->ins[i]);
}

int model_extract(struct cx *cx, struct model *m, const char *const *from, const char *const *to)
{
    struct graph *g = m->graph;
    struct value **in, **out;
    size_t nin, nout;
    int rc = find(cx, g, "--from", from, &in, &nin);
    if (!rc)
        rc = find(cx, g, "--to", to, &out, &nout);
    if (!rc)
        rc = declare(cx, m, in, nin);
    if (!rc)
        rc = declare(cx, m, out, nout);
    for (size_t i = 0; i < nin && !rc; i++)
        rc = value_to_input(cx, in[i]);
    if (!rc && nout)
        rc = graph_set_outputs(cx, g, out, nout);
    if (!rc)
        drop_unread(g);
    return rc;
}
