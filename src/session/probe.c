/* Whether a model takes inputs of given shapes, told by inference alone. */
#include "session/probe.h"

#include "exec/consts.h"
#include "infer/infer.h"
#include "ops/op.h"

struct probe {
    struct cx *cx;
    struct consts consts;
};

static const struct tensor *const_of(void *user, const struct value *v)
{
    struct probe *p = user;
    return consts_get(p->cx, &p->consts, v);
}

static int input_types(struct cx *cx, struct probe *p, const struct graph *g, const struct named_list *inputs,
                       const struct type **types)
{
    for (size_t i = 0; i < g->nins; i++) {
        const struct tensor *t = named_find(inputs, g->ins[i]->name);
        if (!t)
            t = consts_get(cx, &p->consts, g->ins[i]);
        types[i] = t ? type_of_tensor(&cx->scratch, t) : NULL;
        if (!types[i])
            return cx->err.code ? cx->err.code : err_nomem(cx);
    }
    return OK;
}

int probe_shapes(struct cx *cx, struct model *m, const struct named_list *inputs)
{
    struct arena_mark mark = arena_mark(&cx->scratch);
    struct probe p = {.cx = cx};
    struct inferred res = {.arena = &cx->scratch, .nvalues = m->nvalues};
    const struct type **types = arena_array(&cx->scratch, m->graph->nins + 1, sizeof *types);
    res.type = arena_array(&cx->scratch, m->nvalues + 1, sizeof *res.type);
    res.val = arena_array(&cx->scratch, m->nvalues + 1, sizeof *res.val);
    int rc = types && res.type && res.val ? consts_init(cx, &p.consts, m) : err_nomem(cx);
    if (!rc)
        rc = ops_resolve(cx, m);
    if (!rc)
        rc = input_types(cx, &p, m->graph, inputs, types);
    struct infer_env env = {.konst = const_of, .user = &p, .ignore_declared = true};
    if (!rc)
        rc = infer_graph(cx, m->graph, &env, types, NULL, (int)m->graph->nins, &res);
    consts_free(&p.consts);
    arena_release(&cx->scratch, mark);
    return rc;
}
