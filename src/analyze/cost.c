/* Work and memory of a typed model.
 *
 * Activation memory is a statement about the graph, not about our planner: every value that a node makes has
 * memory of its own from that node to the last one that reads it; graph inputs are held to their last use,
 * outputs to the end; initializers are not counted. A value that only views another costs nothing itself but
 * keeps the other. The body of If, Loop or Scan adds its own peak where its node runs. */
#include "analyze/cost.h"

#include <string.h>

#include "base/checked.h"

/* ---- work ---- */

/* Functions that call functions twice each would take exponential time: behind that many nodes calls are not
 * entered any more. */
enum { CALL_DEPTH_MAX = 64, STEPS_MAX = 2000000 };

struct walk {
    struct cx *cx;
    struct typed *t;
    struct arena *arena;
    struct cost *cost;
    struct dim *sum; /* symbolic total; NULL: not asked */
    int depth, calls;
    long steps;
};

static int64_t add_sat(int64_t a, int64_t b)
{
    int64_t r;
    return add_i64(a, b, &r) ? r : INT64_MAX;
}

static struct infer_ctx *context_of(struct walk *w, struct node *n)
{
    struct typed *t = w->t;
    struct arena *a = &w->cx->scratch;
    struct infer_ctx *ic = arena_zalloc(a, sizeof *ic);
    size_t nin = (size_t)n->nin + 1, nout = (size_t)n->nout + 1;
    if (!ic)
        return NULL;
    ic->in = arena_array(a, nin, sizeof *ic->in);
    ic->val = arena_array(a, nin, sizeof *ic->val);
    ic->konst = arena_array(a, nin, sizeof *ic->konst);
    ic->out = arena_array(a, nout, sizeof *ic->out);
    ic->out_val = arena_array(a, nout, sizeof *ic->out_val);
    if (!ic->in || !ic->val || !ic->konst || !ic->out || !ic->out_val)
        return NULL;
    ic->cx = w->cx;
    ic->arena = a;
    ic->syms = t->m->syms;
    ic->node = n;
    ic->nin = n->nin;
    ic->nout = n->nout;
    for (int i = 0; i < n->nin; i++) {
        const struct value *v = n->in[i];
        ic->in[i] = v ? typed_value(t, v) : NULL;
        ic->val[i] = v && v->id < t->res.nvalues ? t->res.val[v->id] : NULL;
        ic->konst[i] = v ? t->env.konst(t->env.user, v) : NULL;
    }
    for (int i = 0; i < n->nout; i++)
        if (n->out[i])
            ic->out[i] = (struct type *)(uintptr_t)typed_value(t, n->out[i]);
    return ic;
}

/* Operators without a hook: an operation an output element, nothing for those that only look at shapes. */
static struct op_cost plain_cost(const struct typed *t, const struct node *n)
{
    struct op_cost c = {dim_const(0), dim_const(0)};
    if (!n->op || n->op->flags & (OP_VIEW | OP_SHAPE_ONLY | OP_SUBGRAPH) || !n->nin)
        return c;
    for (int i = 0; i < n->nout; i++)
        if (n->out[i])
            c.ops = dim_add(t->m->syms, c.ops, type_elements(t->m->syms, typed_value(t, n->out[i])));
    return c;
}

static int node_work(struct walk *w, struct node *n, struct op_cost *c)
{
    const void *params;
    *c = plain_cost(w->t, n);
    if (!n->op || !n->op->cost)
        return OK;
    struct infer_ctx *ic = context_of(w, n);
    if (!ic)
        return err_nomem(w->cx);
    int rc = node_params(w->cx, n, &params);
    if (!rc)
        rc = n->op->cost(ic, params, c);
    if (rc == E_NOMEM)
        return rc;
    /* What does not fit together has no cost; inference has told about it. */
    if (rc)
        *c = (struct op_cost){dim_unknown(), dim_unknown()};
    err_clear(w->cx);
    return OK;
}

static int64_t number(const struct typed *t, struct dim d)
{
    struct dim e = dim_eval(t->m->syms, &t->binding, d);
    return e.kind == DIM_CONST && e.v >= 0 ? e.v : -1;
}

int cost_node(struct cx *cx, struct typed *t, struct node *n, int64_t *macs, int64_t *ops)
{
    struct walk w = {.cx = cx, .t = t};
    struct op_cost c;
    t->cx = cx;
    int rc = node_work(&w, n, &c);
    *macs = rc ? -1 : number(t, c.macs);
    *ops = rc ? -1 : number(t, c.ops);
    return rc;
}

/* The tensor that v is, whether an initializer or the value of a Constant node; NULL. */
static const struct tensor_data *constant_of(const struct value *v)
{
    const struct node *n = v->producer;
    if (v->init || !n || *n->domain || strcmp(n->op_type, "Constant") != 0)
        return v->init;
    const struct attr *a = node_attr(n, "value");
    return a && a->kind == AT_TENSOR && !a->ref ? a->u.t : NULL;
}

static int64_t node_params_count(const struct node *n)
{
    int64_t sum = 0;
    for (int i = 0; i < n->nin; i++) {
        const struct tensor_data *t = n->in[i] ? constant_of(n->in[i]) : NULL;
        sum = add_sat(sum, t ? tensor_data_count(t) : 0);
    }
    return sum;
}

static int64_t outputs_bytes(const struct typed *t, const struct node *n)
{
    int64_t sum = 0;
    for (int i = 0; i < n->nout; i++) {
        int64_t b = n->out[i] ? typed_bytes(t, n->out[i]) : 0;
        if (b < 0)
            return -1;
        sum = add_sat(sum, b);
    }
    return sum;
}

static int add_row(struct walk *w, struct node *n, struct op_cost c)
{
    struct cost *o = w->cost;
    if (o->n == o->cap) {
        o->rows = arena_grow(w->arena, o->rows, o->n, &o->cap, sizeof *o->rows);
        if (!o->rows)
            return err_nomem(w->cx);
    }
    struct cost_row *r = &o->rows[o->n++];
    *r = (struct cost_row){.node = n,
                           .depth = w->depth,
                           .macs = number(w->t, c.macs),
                           .ops = number(w->t, c.ops),
                           .params = node_params_count(n),
                           .out_bytes = outputs_bytes(w->t, n)};
    if (n->nout && n->out[0])
        r->out = typed_value(w->t, n->out[0]);
    if (r->macs < 0 || r->ops < 0) {
        if (!o->unknown++)
            o->first_unknown = n;
    }
    return OK;
}

struct total {
    int64_t macs, ops;
    struct dim sum;
};

static int graph_work(struct walk *w, struct graph *g, struct total *out);

static void keep_dearer(struct total *best, const struct total *t)
{
    if (t->macs > best->macs || (t->macs == best->macs && t->ops > best->ops))
        *best = *t;
}

/* Bodies of a node: branches exclude each other, a loop's body runs at least in thought once. */
static int bodies_work(struct walk *w, struct node *n, struct total *out)
{
    struct total best = {0, 0, dim_const(0)};
    int rc = OK;
    w->depth++;
    for (int i = 0; i < n->nattr && !rc; i++) {
        const struct attr *a = &n->attrs[i];
        size_t count = a->kind == AT_GRAPH ? 1 : a->kind == AT_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < count && !rc; k++) {
            struct total t;
            rc = graph_work(w, a->kind == AT_GRAPH ? a->u.g : a->u.graphs[k], &t);
            if (!rc)
                keep_dearer(&best, &t);
            w->cost->has_loop = w->cost->has_loop || strcmp(n->op_type, "If") != 0;
        }
    }
    bool entered = n->func && w->calls < CALL_DEPTH_MAX && w->steps < STEPS_MAX;
    if (n->func && !entered && !w->cost->unknown++)
        w->cost->first_unknown = n;
    if (entered && !rc) {
        w->calls++;
        rc = typed_enter_call(w->cx, w->t, n);
        if (!rc)
            rc = graph_work(w, n->func->body, &best);
        w->calls--;
    }
    w->depth--;
    *out = best;
    return rc;
}

static int graph_work(struct walk *w, struct graph *g, struct total *out)
{
    struct symtab *syms = w->t->m->syms;
    *out = (struct total){0, 0, dim_const(0)};
    for (struct node *n = g->first; n; n = n->next) {
        struct op_cost c;
        struct total inner;
        w->steps++;
        int rc = node_work(w, n, &c);
        if (!rc && !w->sum)
            rc = add_row(w, n, c);
        if (!rc)
            rc = bodies_work(w, n, &inner);
        if (rc)
            return rc;
        int64_t macs = number(w->t, c.macs), ops = number(w->t, c.ops);
        out->macs = add_sat(out->macs, add_sat(macs > 0 ? macs : 0, inner.macs));
        out->ops = add_sat(out->ops, add_sat(ops > 0 ? ops : 0, inner.ops));
        if (w->sum)
            out->sum = dim_add(syms, dim_add(syms, out->sum, c.macs), inner.sum);
    }
    return OK;
}

/* ---- memory ---- */

struct live {
    struct cx *cx;
    const struct typed *t;
    uint32_t *last;            /* by value id: position of its last use, counted from 1; 0: none */
    const struct value **root; /* by value id: whose memory it is */
    int64_t *bytes;            /* by value id, of roots */
    const struct value **next; /* by value id: list of what dies at the same position */
    uint32_t *pos;             /* by node id: its position in its graph, counted from 1 */
    bool known;
};

struct mem {
    int64_t naive, peak;
    const struct value *at;
};

static int graph_memory(struct live *l, struct graph *g, struct mem *out);

/* The node of g that v's user n stands in, n itself when it is of g. */
static const struct node *user_in(const struct graph *g, const struct node *n)
{
    while (n && n->graph != g)
        n = n->graph->owner;
    return n;
}

static bool is_const(const struct value *v)
{
    const struct node *n = v->producer;
    return v->init || v->sparse || (n && !*n->domain && strcmp(n->op_type, "Constant") == 0);
}

/* Looks up what v takes, and whose memory it uses. */
static void place(struct live *l, const struct value *v, const struct value *view_of)
{
    int64_t b = is_const(v) ? 0 : typed_bytes(l->t, v);
    const struct value *root = view_of && !is_const(view_of) ? l->root[view_of->id] : NULL;
    l->known = l->known && b >= 0;
    l->root[v->id] = root ? root : v;
    l->bytes[v->id] = b > 0 ? b : 0;
}

/* Moves the death of v's memory behind all uses of v in g. */
static void see_uses(struct live *l, const struct graph *g, const struct value *v, uint32_t end)
{
    uint32_t *last = &l->last[l->root[v->id]->id];
    for (size_t i = 0; i < v->nuses; i++) {
        const struct node *n = user_in(g, v->uses[i].node);
        if (n && l->pos[n->id] > *last)
            *last = l->pos[n->id];
    }
    if (v->is_output)
        *last = end;
}

/* Bodies inside n: what the dearest needs beside the graph around it. */
static int inner_memory(struct live *l, struct node *n, struct mem *out)
{
    *out = (struct mem){0, 0, NULL};
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        size_t count = a->kind == AT_GRAPH ? 1 : a->kind == AT_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < count; k++) {
            struct mem m;
            int rc = graph_memory(l, a->kind == AT_GRAPH ? a->u.g : a->u.graphs[k], &m);
            if (rc)
                return rc;
            out->naive = add_sat(out->naive, m.naive);
            if (m.peak > out->peak)
                *out = (struct mem){out->naive, m.peak, m.at};
        }
    }
    return OK;
}

static bool is_view(const struct node *n)
{
    return n->op && n->op->flags & OP_VIEW && n->nin && n->in[0];
}

/* Roots, sizes and last uses of what g holds. */
static void plan_lives(struct live *l, struct graph *g, uint32_t end)
{
    uint32_t at = 0;
    for (struct node *n = g->first; n; n = n->next)
        l->pos[n->id] = ++at;
    for (size_t i = 0; i < g->nins; i++) {
        if (is_const(g->ins[i]))
            continue;
        place(l, g->ins[i], NULL);
        see_uses(l, g, g->ins[i], end);
    }
    for (struct node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->nout; i++) {
            if (!n->out[i])
                continue;
            place(l, n->out[i], i == 0 && is_view(n) ? n->in[0] : NULL);
            see_uses(l, g, n->out[i], end);
        }
    }
}

/* v comes alive at position made: its bytes, and its place in the list of those that die together. */
static int64_t birth(struct live *l, const struct value **head, const struct value *v, uint32_t made,
                     uint32_t end)
{
    uint32_t at = l->last[v->id] ? l->last[v->id] : made;
    if (l->root[v->id] != v)
        return 0;
    if (at < end) {
        l->next[v->id] = head[at];
        head[at] = v;
    }
    return l->bytes[v->id];
}

static int sweep(struct live *l, struct graph *g, const struct value **head, uint32_t end, struct mem *out)
{
    int64_t live = 0;
    uint32_t at = 0;
    for (size_t i = 0; i < g->nins; i++)
        if (!is_const(g->ins[i]))
            live = add_sat(live, birth(l, head, g->ins[i], 0, end));
    *out = (struct mem){live, live, NULL};
    for (struct node *n = g->first; n; n = n->next) {
        struct mem inner;
        int rc = inner_memory(l, n, &inner);
        if (rc)
            return rc;
        at++;
        for (int i = 0; i < n->nout; i++) {
            int64_t b = n->out[i] ? birth(l, head, n->out[i], at, end) : 0;
            live = add_sat(live, b);
            out->naive = add_sat(out->naive, b);
        }
        out->naive = add_sat(out->naive, inner.naive);
        if (add_sat(live, inner.peak) > out->peak)
            *out = (struct mem){out->naive, add_sat(live, inner.peak), n->nout ? n->out[0] : NULL};
        for (const struct value *v = head[at]; v; v = l->next[v->id])
            live -= l->bytes[v->id];
    }
    return OK;
}

static int graph_memory(struct live *l, struct graph *g, struct mem *out)
{
    uint32_t end = (uint32_t)g->nnodes + 1;
    const struct value **head = arena_array(&l->cx->scratch, (size_t)end + 1, sizeof *head);
    if (!head)
        return err_nomem(l->cx);
    plan_lives(l, g, end);
    return sweep(l, g, head, end, out);
}

static int memory(struct cx *cx, const struct typed *t, struct cost *out)
{
    size_t n = (size_t)t->m->nvalues + 1;
    struct arena *a = &cx->scratch;
    struct live l = {.cx = cx, .t = t, .known = true};
    l.last = arena_array(a, n, sizeof *l.last);
    l.root = arena_array(a, n, sizeof *l.root);
    l.bytes = arena_array(a, n, sizeof *l.bytes);
    l.next = arena_array(a, n, sizeof *l.next);
    l.pos = arena_array(a, (size_t)t->m->nnodes + 1, sizeof *l.pos);
    if (!l.last || !l.root || !l.bytes || !l.next || !l.pos)
        return err_nomem(cx);
    struct mem m;
    int rc = graph_memory(&l, t->m->graph, &m);
    out->naive = l.known ? m.naive : -1;
    out->peak = l.known ? m.peak : -1;
    out->peak_at = m.at;
    return rc;
}

int cost_model(struct cx *cx, struct typed *t, struct arena *arena, struct cost *out)
{
    *out = (struct cost){0};
    struct walk w = {.cx = cx, .t = t, .arena = arena, .cost = out};
    struct total total;
    t->cx = cx;
    int rc = graph_work(&w, t->m->graph, &total);
    out->macs = total.macs;
    out->ops = total.ops;
    return rc ? rc : memory(cx, t, out);
}

int cost_symbolic(struct cx *cx, struct typed *t, struct dim *macs)
{
    struct cost none = {0};
    struct walk w = {.cx = cx, .t = t, .cost = &none, .sum = macs};
    struct total total;
    t->cx = cx;
    int rc = graph_work(&w, t->m->graph, &total);
    *macs = total.sum;
    return rc;
}
