/* Which provider runs each node. */
#include <stdio.h>
#include <string.h>

#include "exec/bind.h"
#include "exec/exec.h"

struct ask {
    struct cx *cx;
    struct exec *ex;
    struct unplaced *bad;
    size_t nbad, cap;
    int rc;
};

static void add_reason(char *why, size_t size, const char *prov, const char *reason, bool name_it)
{
    size_t n = strlen(why);
    if (name_it)
        snprintf(why + n, size - n, "%s%s: %s", n ? "; " : "", prov, reason);
    else
        snprintf(why + n, size - n, "%s", reason);
}

/* The first listed provider that takes the node, -1: none. The reasons of those that do not are in why. */
static int choose(struct ask *a, const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    char reason[160];
    for (int i = 0; i < (a->ex->strict ? 1 : a->ex->nprov); i++) {
        reason[0] = 0;
        if (a->ex->prov[i]->supports(a->ex->prov_state[i], bc, params, reason, sizeof reason))
            return i;
        add_reason(why, size, a->ex->prov[i]->name, *reason ? reason : "declined", a->ex->nprov > 1);
    }
    return -1;
}

static int ask_node(struct ask *a, struct node *n)
{
    struct unplaced bad = {.node = n};
    const void *params = NULL;
    int chosen = -1;
    struct bind_ctx bc;
    int rc = bind_ctx_fill(a->cx, a->ex, n, &bc);
    if (rc)
        return rc;
    if (!n->op)
        snprintf(bad.why, sizeof bad.why, "%s", n->ver ? "no kernel for this operator" : "unknown operator");
    else if ((rc = node_params(a->cx, n, &params)) < 0)
        return rc;
    else
        chosen = choose(a, &bc, params, bad.why, sizeof bad.why);
    if (chosen >= 0) {
        a->ex->placed[n->id] = (uint8_t)chosen;
        if (!*bad.why)
            return OK;
        a->ex->declined[n->id] = arena_strdup(&a->ex->arena, bad.why);
        return a->ex->declined[n->id] ? OK : err_nomem(a->cx);
    }
    struct unplaced *p = arena_grow(&a->cx->scratch, a->bad, a->nbad, &a->cap, sizeof *a->bad);
    if (!p)
        return err_nomem(a->cx);
    a->bad = p;
    a->bad[a->nbad++] = bad;
    return OK;
}

static int ask_graph(void *user, struct graph *g, int depth)
{
    struct ask *a = user;
    (void)depth;
    for (struct node *n = g->first; n && !a->rc; n = n->next)
        a->rc = ask_node(a, n);
    return a->rc;
}

int exec_partition(struct cx *cx, struct exec *ex, struct unplaced **bad, size_t *nbad)
{
    struct ask a = {.cx = cx, .ex = ex};
    ex->placed = arena_array(&ex->arena, ex->m->nnodes + 1, 1);
    ex->declined = arena_array(&ex->arena, ex->m->nnodes + 1, sizeof *ex->declined);
    if (!ex->placed || !ex->declined)
        return err_nomem(cx);
    graph_walk(ex->m->graph, ask_graph, &a);
    *bad = a.bad;
    *nbad = a.nbad;
    return a.rc;
}
