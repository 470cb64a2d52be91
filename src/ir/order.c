/* Stable topological order.
 *
 * Edges go from a producer to the node of the same graph that uses its output, itself or in a graph inside
 * it. They are read off the use lists, turned round into one array (CSR), and walked depth first from every
 * node in its old order: a node is emitted once everything it needs is, so only nodes that stood before one
 * of their producers move. */
#include "ir/order.h"

#include <string.h>

struct sorter {
    struct graph *g;
    uint32_t base;         /* smallest node id of g */
    uint32_t *pos;         /* by id - base: place in the old order, of nodes of g */
    struct node **node;    /* by place */
    uint32_t *first, *dep; /* needs of place i: dep[first[i]..first[i+1]) */
    size_t n, nedges;
    bool ordered;
};

/* The node of g that holds n, or n itself; NULL when it is in no graph inside g. */
static const struct node *owner_in(const struct node *n, const struct graph *g)
{
    while (n && n->graph != g)
        n = n->graph->owner;
    return n;
}

/* Calls count or fill for every edge: with dep NULL counts into first[user + 1], else writes. */
static void edges(struct sorter *s, uint32_t *fill)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct node *n = s->node[i];
        for (int o = 0; o < n->nout; o++) {
            const struct value *v = n->out[o];
            for (size_t u = 0; v && u < v->nuses; u++) {
                const struct node *user = owner_in(v->uses[u].node, s->g);
                if (!user)
                    continue;
                uint32_t at = s->pos[user->id - s->base];
                if (fill) {
                    s->dep[fill[at]++] = (uint32_t)i;
                } else {
                    s->first[at + 1]++;
                    s->nedges++;
                    s->ordered &= at > i;
                }
            }
        }
    }
}

static int index_nodes(struct cx *cx, struct sorter *s)
{
    uint32_t lo = UINT32_MAX, hi = 0;
    for (const struct node *n = s->g->first; n; n = n->next) {
        lo = n->id < lo ? n->id : lo;
        hi = n->id > hi ? n->id : hi;
        s->n++;
    }
    s->base = lo;
    s->pos = arena_array(&cx->scratch, (size_t)hi - lo + 1, sizeof(*s->pos));
    s->node = arena_array(&cx->scratch, s->n, sizeof(*s->node));
    s->first = arena_array(&cx->scratch, s->n + 1, sizeof(*s->first));
    if (!s->pos || !s->node || !s->first)
        return err_nomem(cx);
    uint32_t i = 0;
    for (struct node *n = s->g->first; n; n = n->next, i++) {
        s->pos[n->id - lo] = i;
        s->node[i] = n;
    }
    return 0;
}

static int index_edges(struct cx *cx, struct sorter *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->first[i + 1] += s->first[i];
    s->dep = arena_array(&cx->scratch, s->nedges, sizeof(*s->dep));
    uint32_t *fill = arena_dup(&cx->scratch, s->first, (s->n + 1) * sizeof(*fill));
    if (!s->dep || !fill)
        return err_nomem(cx);
    edges(s, fill);
    return 0;
}

enum { WHITE, OPEN, DONE };

/* Emits place `root` after all it needs. next[i] is how far the needs of i were looked at. */
static int visit(struct cx *cx, struct sorter *s, uint32_t root, uint8_t *state, uint32_t *next,
                 uint32_t *stack, uint32_t *order, size_t *norder)
{
    size_t top = 0;
    stack[top++] = root;
    state[root] = OPEN;
    while (top) {
        uint32_t i = stack[top - 1];
        if (next[i] == s->first[i + 1]) {
            state[i] = DONE;
            order[(*norder)++] = i;
            top--;
            continue;
        }
        uint32_t d = s->dep[next[i]++];
        if (state[d] == OPEN)
            return err_set(cx, E_MODEL, "its nodes form a cycle through '%s' (%s)", node_label(s->node[d]),
                           s->node[d]->op_type);
        if (state[d] == WHITE) {
            state[d] = OPEN;
            stack[top++] = d;
        }
    }
    return 0;
}

static void relink(struct sorter *s, const uint32_t *order)
{
    struct node *prev = NULL;
    s->g->first = s->node[order[0]];
    for (size_t i = 0; i < s->n; i++) {
        struct node *n = s->node[order[i]];
        n->prev = prev;
        n->next = NULL;
        if (prev)
            prev->next = n;
        prev = n;
    }
    s->g->last = prev;
}

static int sort_nodes(struct cx *cx, struct sorter *s)
{
    int rc = index_edges(cx, s);
    if (rc)
        return rc;
    uint8_t *state = arena_zalloc(&cx->scratch, s->n);
    uint32_t *next = arena_dup(&cx->scratch, s->first, s->n * sizeof(*next));
    uint32_t *stack = arena_array(&cx->scratch, s->n, sizeof(*stack));
    uint32_t *order = arena_array(&cx->scratch, s->n, sizeof(*order));
    if (!state || !next || !stack || !order)
        return err_nomem(cx);
    size_t norder = 0;
    for (uint32_t i = 0; rc == 0 && i < s->n; i++) {
        if (state[i] == WHITE)
            rc = visit(cx, s, i, state, next, stack, order, &norder);
    }
    if (rc == 0)
        relink(s, order);
    return rc;
}

int graph_sort(struct cx *cx, struct graph *g)
{
    if (!g->first)
        return 0;
    struct arena_mark mark = arena_mark(&cx->scratch);
    struct sorter s = {.g = g, .ordered = true};
    int rc = index_nodes(cx, &s);
    if (rc == 0) {
        edges(&s, NULL);
        if (!s.ordered)
            rc = sort_nodes(cx, &s);
    }
    arena_release(&cx->scratch, mark);
    return rc;
}
