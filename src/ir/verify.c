/* What must hold of every graph between two passes. */
#include "ir/verify.h"

#include <string.h>

struct verifier {
    struct cx *cx;
    const struct model *m;
    uint32_t *pos;   /* by node id: 1 + place in its graph's order */
    uint8_t *seen;   /* by value id */
    uint64_t in_sum; /* over node inputs, and over use lists: equal exactly when they agree, but for chance */
    uint64_t use_sum;
    size_t in_count, use_count;
};

static int broken(struct verifier *v, const struct graph *g, const char *what, const char *name)
{
    return err_set(v->cx, E_INTERNAL, "graph '%s': %s ('%s')", g->name, what, name ? name : "");
}

static uint64_t edge_hash(const struct value *v, const struct node *n, int index)
{
    uint32_t key[3] = {v->id, n->id, (uint32_t)index};
    return hash_bytes(HASH_INIT, key, sizeof(key));
}

static int check_value(struct verifier *v, const struct graph *g, const struct value *x)
{
    if (x->graph != g)
        return broken(v, g, "a value belongs to another graph", x->name);
    if (x->id >= v->m->nvalues)
        return broken(v, g, "a value's id is out of range", x->name);
    if (smap_get(&g->names, x->name) != x)
        return broken(v, g, "a value is not in the name table", x->name);
    if (v->seen[x->id])
        return 0;
    v->seen[x->id] = 1;
    for (size_t i = 0; i < x->nuses; i++) {
        const struct use *u = &x->uses[i];
        if (u->index < 0 || u->index >= u->node->nin || u->node->in[u->index] != x)
            return broken(v, g, "a use list names a node that does not use the value", x->name);
        v->use_sum += edge_hash(x, u->node, u->index);
        v->use_count++;
    }
    return 0;
}

static int check_lists(struct verifier *v, const struct graph *g)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->nins; i++) {
        rc = check_value(v, g, g->ins[i]);
        if (rc == 0 && (!g->ins[i]->is_input || g->ins[i]->producer))
            rc = broken(v, g, "a graph input is not marked as one, or has a producer", g->ins[i]->name);
    }
    for (size_t i = 0; rc == 0 && i < g->nouts; i++) {
        const struct value *x = g->outs[i];
        rc = check_value(v, g, x);
        if (rc == 0 && !x->is_output)
            rc = broken(v, g, "a graph output is not marked as one", x->name);
        if (rc == 0 && !x->producer && !x->is_input && !x->init && !x->sparse)
            rc = broken(v, g, "nothing produces a graph output", x->name);
    }
    for (size_t i = 0; rc == 0 && i < g->ninits; i++) {
        const struct value *x = g->inits[i];
        rc = check_value(v, g, x);
        if (rc == 0 && ((!x->init && !x->sparse) || x->producer))
            rc = broken(v, g, "an initializer has no payload, or a producer", x->name);
    }
    return rc;
}

/* The producer stands before the node of its graph that (itself or inside) uses the value. */
static bool comes_before(const struct verifier *v, const struct value *x, const struct node *user)
{
    while (user && user->graph != x->graph)
        user = user->graph->owner;
    return user && (!x->producer || v->pos[x->producer->id] < v->pos[user->id]);
}

static int check_inputs(struct verifier *v, const struct graph *g, const struct node *n)
{
    for (int i = 0; i < n->nin; i++) {
        const struct value *x = n->in[i];
        if (!x)
            continue;
        if (!value_visible(x, g))
            return broken(v, g, "a node uses a value that it cannot see", x->name);
        if (!x->producer && !x->is_input && !x->init && !x->sparse)
            return broken(v, g, "nothing produces a value that a node uses", x->name);
        if (!comes_before(v, x, n))
            return broken(v, g, "a node stands before its input's producer", x->name);
        v->in_sum += edge_hash(x, n, i);
        v->in_count++;
    }
    return 0;
}

static int check_outputs(struct verifier *v, const struct graph *g, const struct node *n)
{
    for (int i = 0; i < n->nout; i++) {
        const struct value *x = n->out[i];
        if (!x)
            continue;
        if (x->producer != n || x->out_index != i)
            return broken(v, g, "an output names another producer", x->name);
        int rc = check_value(v, g, x);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_attrs(struct verifier *v, const struct graph *g, const struct node *n)
{
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        if (a->kind == AT_GRAPH && a->u.g && a->u.g->owner != n)
            return broken(v, g, "a subgraph names another owner", n->name);
        for (size_t k = 0; a->kind == AT_GRAPHS && k < a->n; k++) {
            if (a->u.graphs[k]->owner != n)
                return broken(v, g, "a subgraph names another owner", n->name);
        }
    }
    return 0;
}

static int check_graph(void *user, struct graph *g, int depth)
{
    (void)depth;
    struct verifier *v = user;
    uint32_t count = 0;
    const struct node *prev = NULL;
    for (const struct node *n = g->first; n; prev = n, n = n->next) {
        if (n->graph != g || n->prev != prev || n->id >= v->m->nnodes || v->pos[n->id])
            return broken(v, g, "the node list is damaged", n->name);
        v->pos[n->id] = ++count;
    }
    if (g->last != prev || g->nnodes != count)
        return broken(v, g, "the node list's end or count is wrong", NULL);
    int rc = check_lists(v, g);
    for (const struct node *n = g->first; rc == 0 && n; n = n->next) {
        rc = check_inputs(v, g, n);
        if (rc == 0)
            rc = check_outputs(v, g, n);
        if (rc == 0)
            rc = check_attrs(v, g, n);
    }
    return rc;
}

int model_verify(struct cx *cx, const struct model *m)
{
    struct arena_mark mark = arena_mark(&cx->scratch);
    struct verifier v = {.cx = cx, .m = m};
    v.pos = arena_array(&cx->scratch, (size_t)m->nnodes + 1, sizeof(*v.pos));
    v.seen = arena_zalloc(&cx->scratch, (size_t)m->nvalues + 1);
    int rc = v.pos && v.seen ? graph_walk(m->graph, check_graph, &v) : err_nomem(cx);
    for (size_t i = 0; rc == 0 && i < m->nfuncs; i++)
        rc = graph_walk(m->funcs[i]->body, check_graph, &v);
    if (rc == 0 && (v.in_sum != v.use_sum || v.in_count != v.use_count))
        rc = err_set(cx, E_INTERNAL, "use lists and node inputs differ");
    arena_release(&cx->scratch, mark);
    return rc;
}
