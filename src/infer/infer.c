/* The driver: nodes in order, each operator's infer hook on what is known about its inputs.
 *
 *   main graph -- node --> infer hook -- ic->subgraph --> body of an If, Loop, Scan
 *                    \--> model-local function: its body, with the caller's types and attributes
 *
 * Results are kept by value id. The body of a function has one set of them however often it is called: what
 * is true for all calls. Work is bounded: by a nesting limit, and by a number of steps that no real model
 * reaches, since functions that call functions twice each would take exponential time. */
#include "infer/infer.h"

#include <stdio.h>
#include <string.h>

#include "infer/type_merge.h"
#include "ops/op.h"
#include "ops/schema.h"

enum { MAX_NESTING = 128, INLINE = 16, MEMO_MAX = 16 };

/* A function call being inferred; the caller's attributes are resolved already. */
struct call {
    const struct call *up;
    const struct node *caller;
};

/* One remembered call of a function. */
struct memo {
    struct memo *next;
    const struct node *caller; /* that one alone, as it has attributes; NULL: any without */
    int nin, nout;
    const struct type **in, **out;
    const struct shape_val **in_val, **out_val;
};

struct func_state {
    struct memo *memos;
    int nmemos, calls;
};

struct driver {
    struct cx *cx;
    struct model *m;
    const struct infer_env *env;
    struct inferred *res;
    struct merger mg;
    const struct call *call;
    int depth;
    uint64_t steps;
    struct func_state **funcs;  /* by id of the first output of the body */
    const struct type **joined; /* of values in function bodies: what holds for all calls */
    bool at_run;
    size_t clashes;
    char first_clash[360];
};

/* The arrays of an infer_ctx; nodes with more inputs than are common take them from the arena. */
struct slots {
    const struct type *in[INLINE];
    const struct shape_val *val[INLINE];
    const struct tensor *konst[INLINE];
    struct type *out[INLINE];
    struct shape_val *out_val[INLINE];
};

static int infer_nodes(struct driver *d, struct graph *g);

/* ---- parameters ---- */

static int parse_params(struct cx *cx, struct arena *arena, const struct node *n, const void **out)
{
    *out = NULL;
    int rc = op_check_inputs(cx, n);
    if (rc || !n->op->parse)
        return rc;
    void *p = arena_zalloc(arena, n->op->params_size ? n->op->params_size : 1);
    if (!p)
        return err_nomem(cx);
    int version = n->ver ? n->ver->since : (int)graph_opset(n->graph, n->domain);
    rc = n->op->parse(cx, arena, n, version, p);
    *out = p;
    return rc;
}

int node_params(struct cx *cx, struct node *n, const void **out)
{
    char text[128];
    *out = NULL;
    if (!n->op)
        return err_set(cx, E_UNSUPPORTED, "no implementation of operator %s",
                       node_op_text(n, text, sizeof(text)));
    if (!n->parsed) {
        int rc = parse_params(cx, &n->graph->model->arena, n, &n->params);
        if (rc)
            return rc;
        n->parsed = true;
    }
    *out = n->params;
    return 0;
}

/* ---- types of values ---- */

static const struct type *tensor_type(struct driver *d, enum dtype dt, int rank, const int64_t *dims)
{
    struct type *t = arena_zalloc(d->res->arena, sizeof(*t));
    struct dim *x = t ? arena_array(d->res->arena, (size_t)rank, sizeof(*x)) : NULL;
    if (!x)
        return NULL;
    for (int i = 0; i < rank; i++)
        x[i] = dim_const(dims[i]);
    *t = (struct type){.kind = TY_TENSOR, .dt = dt, .rank = rank, .dims = x};
    return t;
}

static const struct type *type_of(struct driver *d, const struct value *v)
{
    if (!v || v->id >= d->res->nvalues)
        return NULL;
    const struct type **t = &d->res->type[v->id];
    if (!*t && v->init)
        *t = tensor_type(d, v->init->dt, v->init->rank, v->init->dims);
    else if (!*t && v->sparse)
        *t = tensor_type(d, v->sparse->values.dt, v->sparse->rank, v->sparse->dims);
    return *t;
}

static const struct shape_val *val_of(const struct driver *d, const struct value *v)
{
    return v && v->id < d->res->nvalues ? d->res->val[v->id] : NULL;
}

static int clash(struct driver *d, const struct value *v, const struct type *inferred)
{
    char want[128], got[128];
    type_text(v->declared, want, sizeof(want));
    type_text(inferred, got, sizeof(got));
    bool dt = inferred->kind != v->declared->kind || inferred->dt != v->declared->dt;
    if (d->env->strict)
        return err_set(d->cx, dt ? E_TYPE : E_SHAPE, "value '%s' is declared as %s, but is %s", v->name, want,
                       got);
    if (d->env->problem) {
        char msg[400];
        snprintf(msg, sizeof(msg), "'%.100s' is declared as %s, but is %s", v->name, want, got);
        d->env->problem(d->env->problem_user, NULL, v, dt ? E_TYPE : E_SHAPE, msg);
    } else if (d->clashes++ == 0)
        snprintf(d->first_clash, sizeof(d->first_clash), "'%.60s' is declared as %s, but is %s", v->name,
                 want, got);
    return 0;
}

/* Keeps what was found out about v: merged with its declaration, unknown dims named. */
static int set_type(struct driver *d, const struct value *v, const struct type *t)
{
    if (v->id >= d->res->nvalues)
        return 0;
    if (v->declared && !d->env->ignore_declared) {
        d->mg.clash = false;
        const struct type *merged = type_merge(&d->mg, t, v->declared);
        int rc = d->mg.clash ? clash(d, v, t) : 0;
        if (rc)
            return rc;
        t = merged;
    }
    d->res->type[v->id] = type_settle(&d->mg, t, !d->at_run);
    return d->mg.failed ? err_nomem(d->cx) : 0;
}

/* ---- constants ---- */

/* The value that a formal input of a function body stands for, out of all calls around. */
static const struct value *actual(const struct driver *d, const struct value *v)
{
    for (const struct call *c = d->call; c && v; c = c->up) {
        const struct graph *body = c->caller->func->body;
        if (v->graph != body || !v->is_input)
            continue;
        int i = 0;
        while ((size_t)i < body->nins && body->ins[i] != v)
            i++;
        v = i < c->caller->nin ? c->caller->in[i] : NULL;
    }
    return v;
}

/* A constant that cannot be read is unknown here; whoever needs it to run says why. */
static const struct tensor *get_const(struct infer_ctx *ic, int i)
{
    struct driver *d = ic->driver;
    const struct value *v = actual(d, ic->node->in[i]);
    if (!v || !d->env->konst)
        return NULL;
    const struct tensor *t = d->env->konst(d->env->user, v);
    if (!t && d->cx->err.code)
        err_clear(d->cx);
    return t;
}

/* ---- attributes inside function bodies ---- */

static const struct attr *call_attr(const struct call *c, const char *name)
{
    const struct attr *a = node_attr(c->caller, name);
    const struct function *f = c->caller->func;
    for (size_t i = 0; !a && i < f->nattr_defaults; i++) {
        if (strcmp(f->attr_defaults[i].name, name) == 0)
            a = &f->attr_defaults[i];
    }
    return a;
}

static bool has_refs(const struct node *n)
{
    for (int i = 0; i < n->nattr; i++) {
        if (n->attrs[i].ref)
            return true;
    }
    return false;
}

/* A copy of n whose attributes are those of the call; one that the caller leaves out is absent. */
static const struct node *with_call_attrs(struct driver *d, const struct node *n)
{
    struct node *c = arena_dup(d->res->arena, n, sizeof(*n));
    struct attr *attrs = c ? arena_array(d->res->arena, (size_t)n->nattr, sizeof(*attrs)) : NULL;
    if (!attrs)
        return NULL;
    c->nattr = 0;
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        const struct attr *from = a->ref ? call_attr(d->call, a->ref) : a;
        if (!from)
            continue;
        attrs[c->nattr] = *from;
        attrs[c->nattr++].name = a->name;
    }
    c->attrs = attrs;
    c->parsed = false;
    c->params = NULL;
    return c;
}

/* ---- inner graphs ---- */

static int enter(struct driver *d)
{
    if (++d->depth <= MAX_NESTING)
        return 0;
    return err_set(d->cx, E_LIMIT, "subgraphs and functions are nested deeper than %d", (int)MAX_NESTING);
}

static int set_inputs(struct driver *d, struct graph *g, const struct type *const *ins,
                      const struct shape_val *const *vals, int nins)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->nins; i++) {
        struct value *v = g->ins[i];
        bool given = (int)i < nins;
        if (v->id < d->res->nvalues)
            d->res->val[v->id] = given && vals ? vals[i] : NULL;
        rc = set_type(d, v, given && ins && ins[i] ? ins[i] : NULL);
    }
    return rc;
}

static void settle_value(struct driver *d, const struct value *v)
{
    if (v && v->id < d->res->nvalues)
        d->res->type[v->id] = type_settle(&d->mg, d->res->type[v->id], false);
}

/* Puts what was learned into the results of g before it is forgotten. */
static void settle_graph(struct driver *d, const struct graph *g)
{
    for (size_t i = 0; i < g->nins; i++)
        settle_value(d, g->ins[i]);
    for (const struct node *n = g->first; n; n = n->next) {
        for (int o = 0; o < n->nout; o++)
            settle_value(d, n->out[o]);
    }
}

/* What a body needs may never be asked for, as it may not run: equalities learned in it do not leave it. */
static int subgraph(struct infer_ctx *ic, struct graph *g, const struct type **ins,
                    const struct shape_val **vals, int nins, struct type **outs, struct shape_val **out_vals,
                    int nouts)
{
    struct driver *d = ic->driver;
    size_t mark = dim_mark(d->mg.syms);
    int rc = enter(d);
    if (rc == 0)
        rc = set_inputs(d, g, ins, vals, nins);
    if (rc == 0)
        rc = infer_nodes(d, g);
    d->depth--;
    if (rc == 0 && dim_mark(d->mg.syms) != mark)
        settle_graph(d, g);
    for (int i = 0; rc == 0 && i < nouts; i++) {
        const struct value *v = (size_t)i < g->nouts ? g->outs[i] : NULL;
        outs[i] = (struct type *)type_of(d, v);
        out_vals[i] = (struct shape_val *)val_of(d, v);
    }
    dim_forget(d->mg.syms, mark);
    return rc ? err_frame(d->cx, "graph '%s'", g->name) : 0;
}

/* ---- function calls ---- */

static bool same_val(const struct shape_val *a, const struct shape_val *b)
{
    if (!a || !b || a == b)
        return a == b;
    if (a->rank != b->rank || a->n != b->n)
        return false;
    for (int64_t i = 0; i < a->n; i++) {
        if (!dim_same(a->d[i], b->d[i]))
            return false;
    }
    return true;
}

static const struct memo *recall(const struct func_state *s, const struct infer_ctx *ic)
{
    for (const struct memo *m = s->memos; m; m = m->next) {
        if (m->caller ? m->caller != ic->node : ic->node->nattr != 0)
            continue;
        bool same = m->nin == ic->nin && m->nout == ic->nout;
        for (int i = 0; same && i < ic->nin; i++)
            same = type_same(m->in[i], ic->in[i]) && same_val(m->in_val[i], ic->val[i]);
        if (same)
            return m;
    }
    return NULL;
}

/* Not remembering costs time alone. */
static void remember(struct driver *d, struct func_state *s, const struct infer_ctx *ic)
{
    struct arena *a = d->res->arena;
    struct memo *m = s->nmemos < MEMO_MAX ? arena_zalloc(a, sizeof(*m)) : NULL;
    if (!m)
        return;
    m->caller = ic->node->nattr ? ic->node : NULL;
    m->nin = ic->nin;
    m->nout = ic->nout;
    m->in = arena_dup(a, ic->in, (size_t)ic->nin * sizeof(*m->in));
    m->in_val = arena_dup(a, ic->val, (size_t)ic->nin * sizeof(*m->in_val));
    m->out = arena_dup(a, ic->out, (size_t)ic->nout * sizeof(*m->out));
    m->out_val = arena_dup(a, ic->out_val, (size_t)ic->nout * sizeof(*m->out_val));
    if (!m->in || !m->in_val || !m->out || !m->out_val)
        return;
    m->next = s->memos;
    s->memos = m;
    s->nmemos++;
}

struct join_state {
    struct driver *d;
    bool first;
};

static void join_value(struct join_state *j, const struct value *v)
{
    struct driver *d = j->d;
    if (!v || v->id >= d->res->nvalues)
        return;
    const struct type *now = d->res->type[v->id], **all = &d->joined[v->id];
    *all = j->first ? now : type_join(&d->mg, *all, now);
}

static int join_graph(void *user, struct graph *g, int depth)
{
    (void)depth;
    for (size_t i = 0; i < g->nins; i++)
        join_value(user, g->ins[i]);
    for (const struct node *n = g->first; n; n = n->next) {
        for (int o = 0; o < n->nout; o++)
            join_value(user, n->out[o]);
    }
    return 0;
}

static struct func_state *func_state(struct driver *d, const struct graph *body)
{
    if (body->nouts == 0 || body->outs[0]->id >= d->res->nvalues)
        return NULL;
    if (!d->funcs)
        d->funcs = arena_array(d->res->arena, d->res->nvalues, sizeof(*d->funcs));
    if (!d->joined)
        d->joined = arena_array(d->res->arena, d->res->nvalues, sizeof(*d->joined));
    if (!d->funcs || !d->joined)
        return NULL;
    struct func_state **s = &d->funcs[body->outs[0]->id];
    if (!*s)
        *s = arena_zalloc(d->res->arena, sizeof(**s));
    return *s;
}

static int run_body(struct driver *d, struct infer_ctx *ic, struct graph *body)
{
    struct call call = {d->call, ic->node};
    int rc = enter(d);
    if (rc == 0)
        rc = set_inputs(d, body, ic->in, ic->val, ic->nin);
    d->call = &call;
    if (rc == 0)
        rc = infer_nodes(d, body);
    d->call = call.up;
    d->depth--;
    for (int i = 0; rc == 0 && i < ic->nout && (size_t)i < body->nouts; i++) {
        ic->out[i] = (struct type *)type_of(d, body->outs[i]);
        ic->out_val[i] = (struct shape_val *)val_of(d, body->outs[i]);
    }
    return rc ? err_frame(d->cx, "function '%s'", ic->node->func->name) : 0;
}

static int infer_call(struct driver *d, struct infer_ctx *ic)
{
    struct graph *body = ic->node->func->body;
    struct func_state *s = body ? func_state(d, body) : NULL;
    if (!s)
        return 0;
    for (int i = 0; i < ic->nin; i++)
        ic_val(ic, i);
    const struct memo *m = recall(s, ic);
    if (m) {
        memcpy(ic->out, m->out, (size_t)m->nout * sizeof(*m->out));
        memcpy(ic->out_val, m->out_val, (size_t)m->nout * sizeof(*m->out_val));
        return 0;
    }
    int rc = run_body(d, ic, body);
    if (rc)
        return rc;
    struct join_state j = {d, s->calls++ == 0};
    graph_walk(body, join_graph, &j);
    remember(d, s, ic);
    return 0;
}

struct finish_state {
    struct driver *d;
    bool many;
};

static void finish_value(const struct finish_state *f, const struct value *v)
{
    if (!v || v->id >= f->d->res->nvalues)
        return;
    f->d->res->type[v->id] = f->d->joined[v->id];
    if (f->many)
        f->d->res->val[v->id] = NULL;
}

static int finish_graph(void *user, struct graph *g, int depth)
{
    (void)depth;
    for (size_t i = 0; i < g->nins; i++)
        finish_value(user, g->ins[i]);
    for (const struct node *n = g->first; n; n = n->next) {
        for (int o = 0; o < n->nout; o++)
            finish_value(user, n->out[o]);
    }
    return 0;
}

/* The results of function bodies become what holds for all calls. */
static void finish_functions(struct driver *d)
{
    for (size_t i = 0; d->funcs && i < d->m->nfuncs; i++) {
        struct graph *body = d->m->funcs[i]->body;
        struct func_state *s = body ? func_state(d, body) : NULL;
        struct finish_state f = {d, s && s->calls > 1};
        if (s && s->calls)
            graph_walk(body, finish_graph, &f);
    }
}

/* ---- nodes ---- */

static int make_slots(struct driver *d, struct slots *s, struct infer_ctx *ic)
{
    memset(s, 0, sizeof(*s));
    ic->in = s->in;
    ic->val = s->val;
    ic->konst = s->konst;
    ic->out = s->out;
    ic->out_val = s->out_val;
    struct arena *a = d->res->arena;
    if (ic->nin > INLINE) {
        ic->in = arena_array(a, (size_t)ic->nin, sizeof(*ic->in));
        ic->val = arena_array(a, (size_t)ic->nin, sizeof(*ic->val));
        ic->konst = arena_array(a, (size_t)ic->nin, sizeof(*ic->konst));
    }
    if (ic->nout > INLINE) {
        ic->out = arena_array(a, (size_t)ic->nout, sizeof(*ic->out));
        ic->out_val = arena_array(a, (size_t)ic->nout, sizeof(*ic->out_val));
    }
    return ic->in && ic->val && ic->konst && ic->out && ic->out_val ? 0 : err_nomem(d->cx);
}

static int run_hook(struct driver *d, struct infer_ctx *ic, struct node *orig)
{
    const void *params;
    int rc = ic->node == orig ? node_params(d->cx, orig, &params)
                              : parse_params(d->cx, d->res->arena, ic->node, &params);
    return rc ? rc : orig->op->infer(ic, params);
}

static int compute(struct driver *d, struct infer_ctx *ic, struct node *orig)
{
    for (int i = 0; i < ic->nin; i++) {
        ic->in[i] = type_of(d, orig->in[i]);
        ic->val[i] = val_of(d, orig->in[i]);
    }
    if (d->call && has_refs(orig)) {
        ic->node = with_call_attrs(d, orig);
        if (!ic->node)
            return err_nomem(d->cx);
    }
    if (orig->func)
        return infer_call(d, ic);
    return orig->op && orig->op->infer ? run_hook(d, ic, orig) : 0;
}

static int store(struct driver *d, const struct infer_ctx *ic, const struct node *n)
{
    int rc = 0;
    for (int o = 0; rc == 0 && o < n->nout; o++) {
        const struct value *v = n->out[o];
        if (!v || v->id >= d->res->nvalues)
            continue;
        d->res->val[v->id] = ic->out_val[o];
        rc = set_type(d, v, ic->out[o]);
    }
    return rc;
}

static bool memory_or_time(int rc)
{
    return rc == E_NOMEM || rc == E_TIMEOUT || rc == E_LIMIT;
}

static int node_frame(struct driver *d, const struct node *n)
{
    char text[128];
    return err_frame(d->cx, "node '%s' (%s)", node_label(n), node_op_text(n, text, sizeof(text)));
}

/* With keep_going the outputs of a node that went wrong are unknown. */
static int forgive(struct driver *d, struct infer_ctx *ic, const struct node *n, int rc)
{
    char line[ERR_MSG];
    if (!d->env->keep_going || memory_or_time(rc))
        return node_frame(d, n);
    if (!d->env->problem)
        node_frame(d, n);
    err_format(&d->cx->err, line, sizeof(line));
    if (d->env->problem)
        d->env->problem(d->env->problem_user, n, NULL, rc, line);
    else
        log_msg(d->cx, LOG_WARN, "%s", line);
    err_clear(d->cx);
    for (int o = 0; o < ic->nout; o++) {
        ic->out[o] = NULL;
        ic->out_val[o] = NULL;
    }
    return 0;
}

static int infer_one(struct driver *d, struct node *n)
{
    struct slots s;
    struct infer_ctx ic = {.cx = d->cx,
                           .arena = d->res->arena,
                           .syms = d->mg.syms,
                           .node = n,
                           .nin = n->nin,
                           .nout = n->nout,
                           .get_const = get_const,
                           .subgraph = subgraph,
                           .driver = d};
    int rc = make_slots(d, &s, &ic);
    if (rc)
        return rc;
    if (d->steps-- == 0)
        return err_set(d->cx, E_LIMIT, "subgraphs or functions are nested too much for inference");
    rc = compute(d, &ic, n);
    if (rc)
        rc = forgive(d, &ic, n, rc);
    if (rc)
        return rc;
    rc = store(d, &ic, n);
    return rc ? node_frame(d, n) : 0;
}

static int infer_nodes(struct driver *d, struct graph *g)
{
    int rc = 0;
    for (struct node *n = g->first; rc == 0 && n; n = n->next) {
        rc = cx_check_time(d->cx);
        if (rc == 0)
            rc = infer_one(d, n);
    }
    return rc;
}

/* ---- whole models ---- */

static int start(struct driver *d, struct cx *cx, struct model *m, const struct infer_env *env,
                 struct inferred *res)
{
    *d = (struct driver){.cx = cx, .m = m, .env = env, .res = res};
    d->steps = 1000000 + 50ull * m->nnodes;
    d->mg.syms = model_syms(m);
    d->mg.arena = res->arena;
    d->mg.binding = env->binding;
    return d->mg.syms ? 0 : err_nomem(cx);
}

static int set_model_inputs(struct driver *d)
{
    struct graph *g = d->m->graph;
    for (size_t i = 0; i < g->nins; i++) {
        struct value *v = g->ins[i];
        if (v->init || v->sparse)
            continue; /* a default that stays is a constant */
        const struct type *t = type_settle(&d->mg, v->declared, true);
        merger_add_input(&d->mg, v->declared);
        merger_add_input(&d->mg, t);
        if (d->mg.failed)
            return err_nomem(d->cx);
        d->res->type[v->id] = t;
    }
    return 0;
}

static void settle_vals(struct driver *d, uint32_t id)
{
    const struct shape_val *v = d->res->val[id];
    for (int64_t i = 0; v && i < v->n; i++)
        v->d[i] = dim_eval(d->mg.syms, d->env->binding, v->d[i]);
}

static void settle_all(struct driver *d)
{
    for (uint32_t i = 0; i < d->res->nvalues; i++) {
        d->res->type[i] = type_settle(&d->mg, d->res->type[i], false);
        settle_vals(d, i);
    }
}

static void report_clashes(struct driver *d)
{
    if (d->clashes == 1)
        log_msg(d->cx, LOG_WARN, "a declared type is wrong: %s", d->first_clash);
    else if (d->clashes)
        log_msg(d->cx, LOG_WARN, "%zu declared types are wrong, the first: %s", d->clashes, d->first_clash);
}

int infer_model(struct cx *cx, struct model *m, const struct infer_env *env, struct arena *arena,
                struct inferred *res)
{
    struct driver d;
    *res = (struct inferred){.arena = arena, .nvalues = m->nvalues};
    res->type = arena_array(arena, (size_t)m->nvalues + 1, sizeof(*res->type));
    res->val = arena_array(arena, (size_t)m->nvalues + 1, sizeof(*res->val));
    if (!res->type || !res->val) {
        res->nvalues = 0;
        return err_nomem(cx);
    }
    int rc = start(&d, cx, m, env, res);
    if (rc)
        return rc;
    size_t mark = dim_mark(d.mg.syms);
    rc = set_model_inputs(&d);
    if (rc == 0)
        rc = infer_nodes(&d, m->graph);
    for (size_t i = 0; i < m->graph->ninits; i++)
        type_of(&d, m->graph->inits[i]);
    finish_functions(&d);
    settle_all(&d);
    if (env->binding)
        dim_forget(d.mg.syms, mark);
    report_clashes(&d);
    return rc ? err_frame(cx, "graph '%s'", m->graph->name) : 0;
}

/* ---- at run time ---- */

int infer_graph(struct cx *cx, struct graph *g, const struct infer_env *env, const struct type *const *ins,
                const struct shape_val *const *vals, int nins, struct inferred *res)
{
    struct driver d;
    int rc = start(&d, cx, g->model, env, res);
    if (rc)
        return rc;
    d.at_run = true;
    bool fresh = dim_set_fresh(d.mg.syms, false);
    size_t mark = dim_mark(d.mg.syms);
    rc = set_inputs(&d, g, ins, vals, nins);
    if (rc == 0)
        rc = infer_nodes(&d, g);
    if (dim_mark(d.mg.syms) != mark)
        settle_all(&d);
    dim_forget(d.mg.syms, mark);
    dim_set_fresh(d.mg.syms, fresh);
    return rc ? err_frame(cx, "graph '%s'", g->name) : 0;
}

int infer_node(struct cx *cx, const struct node *n, const void *params, struct symtab *syms,
               struct arena *arena, const struct type **in, const struct tensor **konst, struct type **out)
{
    char text[128];
    if (!n->op || !n->op->infer)
        return err_set(cx, E_UNSUPPORTED, "operator %s has no shape rule",
                       node_op_text(n, text, sizeof(text)));
    struct infer_ctx ic = {.cx = cx,
                           .arena = arena,
                           .syms = syms,
                           .node = n,
                           .nin = n->nin,
                           .nout = n->nout,
                           .in = in,
                           .konst = konst,
                           .out = out};
    ic.val = arena_array(arena, (size_t)n->nin, sizeof(*ic.val));
    ic.out_val = arena_array(arena, (size_t)n->nout, sizeof(*ic.out_val));
    if (!syms || !ic.val || !ic.out_val)
        return err_nomem(cx);
    bool fresh = dim_set_fresh(syms, false);
    size_t mark = dim_mark(syms);
    int rc = n->op->infer(&ic, params);
    dim_forget(syms, mark);
    dim_set_fresh(syms, fresh);
    return rc;
}

/* ---- into the graph ---- */

struct apply_state {
    struct model *m;
    const struct inferred *res;
};

/* The results' arena may die before the model does. */
static struct type *keep(struct model *m, const struct type *t, int depth)
{
    struct type *c = t && depth ? arena_dup(&m->arena, t, sizeof(*t)) : NULL;
    if (!c)
        return NULL;
    if (t->rank > 0) {
        c->dims = arena_dup(&m->arena, t->dims, (size_t)t->rank * sizeof(*t->dims));
        if (!c->dims)
            return NULL;
    }
    c->elem = keep(m, t->elem, depth - 1);
    return c;
}

static int apply_graph(void *user, struct graph *g, int depth)
{
    const struct apply_state *a = user;
    (void)depth;
    for (size_t i = 0; i < g->names.cap; i++) {
        struct value *v = g->names.slots[i].val;
        if (v && v->id < a->res->nvalues && a->res->type[v->id])
            v->type = keep(a->m, a->res->type[v->id], 17);
    }
    return 0;
}

void infer_apply(struct model *m, const struct inferred *res)
{
    struct apply_state a = {m, res};
    graph_walk(m->graph, apply_graph, &a);
    for (size_t i = 0; i < m->nfuncs; i++) {
        if (m->funcs[i]->body)
            graph_walk(m->funcs[i]->body, apply_graph, &a);
    }
}
