/* Calls of model-local functions become copies of their bodies, innermost calls last, so that everything
 * after this pass sees operators only.
 *
 *   y = my.Gelu(x) {alpha = 2}     =>     t = Mul(x, 2); y = Erf(t); ...
 *
 * The body's nodes keep the operator versions that the function's own opset imports gave them. Attribute
 * references take the caller's attribute, else the function's default, else vanish. A function that calls
 * itself is stopped when MAX_NODES calls were expanded. */
#include <string.h>

#include "base/str.h"
#include "ir/edit.h"
#include "rewrite/pass.h"

int pass_inline_functions(struct pass_ctx *pc, struct graph *g);

enum { MAX_NODES = 1 << 20 };

/* Body value id -> value in the caller's graph, for the call at hand. */
struct body_map {
    struct value **v;
    uint32_t n;
};

struct inliner {
    struct pass_ctx *pc;
    struct node *call;  /* the node that is replaced */
    struct value **map; /* body value id -> value in the caller's graph */
    uint32_t nmap;
};

static int clone_nodes(struct inliner *in, const struct graph *from, struct graph *to, struct node *before);

static const struct attr *caller_attr(const struct inliner *in, const char *name)
{
    const struct attr *a = node_attr(in->call, name);
    const struct function *f = in->call->func;
    for (size_t i = 0; !a && i < f->nattr_defaults; i++)
        if (strcmp(f->attr_defaults[i].name, name) == 0)
            a = &f->attr_defaults[i];
    return a;
}

static struct value *mapped(const struct inliner *in, struct value *v)
{
    return v && v->id < in->nmap && in->map[v->id] ? in->map[v->id] : v;
}

static int new_value(struct inliner *in, struct graph *to, struct value *from, struct value **out)
{
    struct str name = {0};
    str_addf(&name, "%s/%s", in->call->name[0] ? in->call->name : in->call->op_type, from->name);
    const char *fresh = graph_fresh_name(to, str_text(&name));
    str_free(&name);
    int rc = fresh ? value_new(in->pc->cx, to, fresh, out) : err_nomem(in->pc->cx);
    if (!rc)
        in->map[from->id] = *out;
    return rc;
}

/* A subgraph attribute: a graph of its own with the same inputs, initializers and nodes. */
static int clone_graph(struct inliner *in, const struct graph *from, struct node *owner, struct graph **out)
{
    struct cx *cx = in->pc->cx;
    struct value *v;
    int rc = graph_new(cx, in->pc->m, from->name, owner, out);
    for (size_t i = 0; i < from->nins && !rc; i++) {
        rc = new_value(in, *out, from->ins[i], &v);
        if (!rc) {
            v->type = from->ins[i]->type;
            v->declared = from->ins[i]->declared;
            rc = graph_add_input(cx, *out, v);
        }
    }
    for (size_t i = 0; i < from->ninits && !rc; i++) {
        v = mapped(in, from->inits[i]);
        if (v == from->inits[i])
            rc = new_value(in, *out, from->inits[i], &v);
        if (!rc)
            rc = from->inits[i]->init ? graph_add_init(cx, *out, v, from->inits[i]->init)
                                      : graph_add_sparse_init(cx, *out, v, from->inits[i]->sparse);
    }
    if (!rc)
        rc = clone_nodes(in, from, *out, NULL);
    for (size_t i = 0; i < from->nouts && !rc; i++)
        rc = graph_add_output(cx, *out, mapped(in, from->outs[i]));
    return rc;
}

static int clone_attr(struct inliner *in, const struct attr *a, struct node *n)
{
    struct cx *cx = in->pc->cx;
    struct attr copy = *a;
    if (a->ref) {
        const struct attr *given = caller_attr(in, a->ref);
        if (!given)
            return OK;
        copy = *given;
        copy.name = a->name;
        copy.ref = NULL;
        copy.origin = NULL;
    } else if (a->kind == AT_GRAPH) {
        int rc = clone_graph(in, a->u.g, n, &copy.u.g);
        if (rc)
            return rc;
    } else if (a->kind == AT_GRAPHS) {
        struct graph **gs = arena_array(&in->pc->m->arena, a->n + 1, sizeof(struct graph *));
        if (!gs)
            return err_nomem(cx);
        for (size_t i = 0; i < a->n; i++) {
            int rc = clone_graph(in, a->u.graphs[i], n, &gs[i]);
            if (rc)
                return rc;
        }
        copy.u.graphs = gs;
    }
    return node_set_attr(cx, n, &copy);
}

static int clone_node(struct inliner *in, const struct node *n, struct graph *to, struct node *before)
{
    struct cx *cx = in->pc->cx;
    struct value **ins = arena_array(&cx->scratch, (size_t)n->nin + 1, sizeof(struct value *));
    struct value **outs = arena_array(&cx->scratch, (size_t)n->nout + 1, sizeof(struct value *));
    if (!ins || !outs)
        return err_nomem(cx);
    for (int i = 0; i < n->nin; i++)
        ins[i] = n->in[i] ? in->map[n->in[i]->id] : NULL; /* an input the caller left out stays left out */
    int rc = OK;
    for (int o = 0; o < n->nout && !rc; o++)
        if (n->out[o])
            rc = new_value(in, to, n->out[o], &outs[o]);
    struct str name = {0};
    str_addf(&name, "%s/%s", in->call->name[0] ? in->call->name : in->call->op_type, n->name);
    struct node *c = NULL;
    if (!rc)
        rc = node_new(cx, to, before, n->domain, n->op_type, str_text(&name), ins, n->nin, outs, n->nout, &c);
    str_free(&name);
    if (rc)
        return rc;
    c->overload = n->overload;
    c->ver = n->ver;
    c->op = n->op;
    c->func = n->func;
    c->loc = n->loc;
    for (int i = 0; i < n->nattr && !rc; i++)
        rc = clone_attr(in, &n->attrs[i], c);
    return rc;
}

static int clone_nodes(struct inliner *in, const struct graph *from, struct graph *to, struct node *before)
{
    int rc = OK;
    for (const struct node *n = from->first; n && !rc; n = n->next)
        rc = clone_node(in, n, to, before);
    return rc;
}

/* Body outputs take the place of the call's outputs. An output that is one of the body's inputs becomes an
 * Identity. */
static int connect_outputs(struct inliner *in)
{
    struct node *call = in->call;
    struct cx *cx = in->pc->cx;
    for (int o = 0; o < call->nout; o++) {
        if (!call->out[o])
            continue;
        struct value *v = (size_t)o < call->func->body->nouts ? in->map[call->func->body->outs[o]->id] : NULL;
        if (!v)
            return err_set(cx, E_MODEL, "function %s.%s has no output %d", domain_text(call->domain),
                           call->op_type, o);
        int rc = value_replace(cx, call->out[o], v);
        if (rc)
            return rc;
    }
    return OK;
}

static int inline_call(struct pass_ctx *pc, struct node *call, struct body_map *map)
{
    struct cx *cx = pc->cx;
    const struct graph *body = call->func->body;
    struct inliner in = {.pc = pc, .call = call, .nmap = map->n, .map = map->v};
    memset(map->v, 0, map->n * sizeof *map->v);
    if ((size_t)call->nin > body->nins)
        return err_set(cx, E_MODEL, "function %s.%s takes %zu inputs, the call has %d",
                       domain_text(call->domain), call->op_type, body->nins, call->nin);
    for (int i = 0; i < call->nin; i++)
        in.map[body->ins[i]->id] = call->in[i];
    int rc = clone_nodes(&in, body, call->graph, call);
    if (!rc)
        rc = connect_outputs(&in);
    if (!rc)
        node_remove(call);
    return rc ? err_frame(cx, "call '%s' of function %s.%s", call->name, domain_text(call->domain),
                          call->op_type)
              : OK;
}

/* Values of function bodies have the ids that they were loaded with, so one table serves every call. */
static int make_map(struct pass_ctx *pc, struct body_map *map)
{
    map->n = pc->m->nvalues;
    map->v = arena_array(&pc->cx->scratch, map->n + 1, sizeof *map->v);
    return map->v ? OK : err_nomem(pc->cx);
}

/* New calls that came out of a body are met by the same loop, since they stand before the call's successor.
 */
int pass_inline_functions(struct pass_ctx *pc, struct graph *g)
{
    if (!pc->m->nfuncs)
        return OK;
    struct arena_mark mark = arena_mark(&pc->cx->scratch);
    struct body_map map;
    int rc = make_map(pc, &map);
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        next = n->next;
        if (!n->func)
            continue;
        if (pc->m->nnodes > MAX_NODES)
            return err_set(pc->cx, E_LIMIT, "function calls expand to more than %d nodes: '%s' calls %s.%s",
                           MAX_NODES, n->name, domain_text(n->domain), n->op_type);
        struct node *prev = n->prev;
        if (!pass_take(pc))
            break;
        struct arena_mark m = arena_mark(&pc->cx->scratch);
        rc = inline_call(pc, n, &map);
        arena_release(&pc->cx->scratch, m);
        next = prev ? prev->next : g->first;
    }
    arena_release(&pc->cx->scratch, mark);
    return rc;
}
