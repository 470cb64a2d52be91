/* Runs passes in their order until nothing changes, counts and verifies. */
#include <string.h>

#include "base/err.h"
#include "ir/edit.h"
#include "ir/verify.h"
#include "rewrite/pass.h"

#define PASS(name, level, kind, why) int pass_##name(struct pass_ctx *pc, struct graph *g);
#include "rewrite/pass.def"
#undef PASS

static const struct pass passes[] = {
#define PASS(name, level, kind, why) {#name, OPT_##level, PASS_##kind, pass_##name, why},
#include "rewrite/pass.def"
#undef PASS
};

enum { NPASSES = sizeof passes / sizeof *passes, MAX_ROUNDS = 4 };

const struct pass *pass_all(size_t *n)
{
    *n = NPASSES;
    return passes;
}

const struct pass *pass_find(const char *name)
{
    for (size_t i = 0; i < NPASSES; i++)
        if (strcmp(passes[i].name, name) == 0)
            return &passes[i];
    return NULL;
}

static bool listed(const char *const *names, const char *name)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static bool selected(const struct pass_select *sel, const struct pass *p)
{
    if (p->kind == PASS_MACHINE && !sel->machine)
        return false;
    if (listed(sel->skip, p->name))
        return false;
    return sel->only ? listed(sel->only, p->name) : p->level <= sel->level;
}

struct visit {
    struct pass_ctx *pc;
    const struct pass *p;
};

static int visit_graph(void *user, struct graph *g, int depth)
{
    struct visit *v = user;
    (void)depth;
    return v->p->run(v->pc, g);
}

/* Nodes that editing made (an Identity in front of a graph output) get their facts; the others keep those of
 * the opset that they came with, which for inlined ones is the function's. */
static int resolve_new(void *user, struct graph *g, int depth)
{
    int rc = OK;
    (void)depth;
    for (struct node *n = g->first; n && !rc; n = n->next)
        if (!n->ver && !n->op && !n->func)
            rc = op_resolve(user, n);
    return rc;
}

static int run_pass(struct pass_ctx *pc, const struct pass *p, struct pass_stats *st)
{
    struct visit v = {pc, p};
    long before = pc->count;
    double t0 = time_now();
    int rc = graph_walk(pc->m->graph, visit_graph, &v);
    if (!rc && pc->count != before)
        rc = graph_walk(pc->m->graph, resolve_new, pc->cx);
    if (!rc && pc->count != before) /* types of new values, and of what follows from them */
        rc = exec_infer(pc->cx, pc->ex);
    if (st) {
        st->rewrites += pc->count - before;
        st->seconds += time_now() - t0;
    }
    return rc ? err_frame(pc->cx, "pass %s", p->name) : OK;
}

int passes_run(struct pass_ctx *pc, const struct pass_select *sel, struct pass_stats *stats)
{
    pc->session = sel->machine;
    err_clear(pc->cx); /* passes ask questions that may fail, and look here whether one did */
    int rc = exec_infer(pc->cx, pc->ex);
    for (int round = 0; round < MAX_ROUNDS && !rc; round++) {
        long before = pc->count;
        for (size_t i = 0; i < NPASSES && !rc; i++)
            if (selected(sel, &passes[i]))
                rc = run_pass(pc, &passes[i], stats ? &stats[i] : NULL);
        if (pc->count == before)
            break;
    }
#ifndef NDEBUG
    if (!rc)
        rc = model_verify(pc->cx, pc->m);
#endif
    return rc;
}

bool pass_take(struct pass_ctx *pc)
{
    if (pc->limit >= 0 && pc->count >= pc->limit)
        return false;
    pc->count++;
    return true;
}

bool pass_pinned(const struct pass_ctx *pc, const struct value *v)
{
    return v->is_output || listed(pc->keep, v->name);
}

int pass_replace(struct pass_ctx *pc, struct value *old, struct value *made)
{
    const char *name = !old->is_output && listed(pc->keep, old->name) ? old->name : NULL;
    int rc = value_replace(pc->cx, old, made);
    if (rc || !name)
        return rc;
    const char *other = graph_fresh_name(old->graph, name);
    rc = other ? value_rename(pc->cx, old, other) : err_nomem(pc->cx);
    return rc ? rc : value_rename(pc->cx, made, name);
}

void pass_drop_const(struct pass_ctx *pc, struct value *v)
{
    if (!value_is_const(v) || v->nuses || v->is_input || pass_pinned(pc, v))
        return;
    consts_drop(&pc->ex->consts, v);
    value_remove(v);
}

struct node *pass_sole_user(const struct pass_ctx *pc, const struct value *v)
{
    if (v->nuses != 1 || pass_pinned(pc, v) || v->uses[0].node->graph != v->graph)
        return NULL;
    return v->uses[0].node;
}

bool node_is(const struct node *n, const char *op_type)
{
    return n && !n->func && n->domain[0] == 0 && strcmp(n->op_type, op_type) == 0;
}

const struct type *pass_type(const struct pass_ctx *pc, const struct value *v)
{
    if (!v)
        return NULL;
    return v->id < pc->ex->types.nvalues ? pc->ex->types.type[v->id] : v->type;
}
