/* The walk over a typed model. Values carry two marks while it goes on: whether they are constant, and
 * whether they are small shape arithmetic on the host; functions take the marks of what they are called with.
 */
#include "target/survey.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/cost.h"
#include "base/checked.h"
#include "base/hash.h"
#include "session/feed.h"

enum { CALL_DEPTH_MAX = 64, ITEMS_MAX = 2000000, SHAPE_CONST_MAX = 100 };

enum mark { MARK_CONST = 1, MARK_SHAPE = 2, MARK_SMALL = 4 };

struct walk {
    struct cx *cx;
    struct survey *s;
    uint8_t *mark;  /* by value id */
    int32_t *maker; /* by value id: item, -1 */
    uint32_t *slot; /* hash table of kinds: index + 1 */
    size_t nslot;
    int calls;
    bool in_function;
};

/* ---- kinds ---- */

static struct value_type value_type_of(const struct type *t)
{
    if (!t)
        return (struct value_type){VK_UNKNOWN, 0};
    if (t->kind == TY_TENSOR)
        return (struct value_type){t->dt ? VK_TENSOR : VK_UNKNOWN, (uint8_t)t->dt};
    const struct type *e = t->elem;
    if (t->kind == TY_SEQ && e && e->kind == TY_TENSOR)
        return (struct value_type){VK_SEQ, (uint8_t)e->dt};
    if (t->kind == TY_OPT && e && e->kind == TY_TENSOR)
        return (struct value_type){VK_OPT, (uint8_t)e->dt};
    if (t->kind == TY_OPT && e && e->kind == TY_SEQ && e->elem && e->elem->kind == TY_TENSOR)
        return (struct value_type){VK_OPT_SEQ, (uint8_t)e->elem->dt};
    return (struct value_type){VK_OTHER, 0};
}

static struct value_type type_at(const struct walk *w, const struct value *v)
{
    if (!v)
        return (struct value_type){VK_ABSENT, 0};
    struct value_type t = value_type_of(typed_value(w->s->typed, v));
    if (t.kind == VK_UNKNOWN && v->init)
        t = (struct value_type){VK_TENSOR, (uint8_t)v->init->dt};
    return t;
}

static bool same_kind(const struct kind *a, const struct kind *b)
{
    return a->nin == b->nin && a->nout == b->nout && a->opset == b->opset && a->ver == b->ver &&
           a->call == b->call && strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0 &&
           memcmp(a->io, b->io, ((size_t)a->nin + (size_t)a->nout) * sizeof *a->io) == 0;
}

static uint64_t kind_hash(const struct kind *k)
{
    uint64_t h = hash_str(hash_str(HASH_INIT, k->domain), k->op);
    h = hash_bytes(h, &k->opset, sizeof k->opset);
    return hash_bytes(h, k->io, ((size_t)k->nin + (size_t)k->nout) * sizeof *k->io);
}

static int rehash(struct walk *w)
{
    size_t n = w->nslot ? w->nslot * 2 : 256;
    uint32_t *slot = arena_array(&w->cx->scratch, n, sizeof *slot);
    if (!slot)
        return err_nomem(w->cx);
    for (size_t i = 0; i < w->s->nkinds; i++) {
        size_t at = kind_hash(&w->s->kinds[i]) & (n - 1);
        while (slot[at])
            at = (at + 1) & (n - 1);
        slot[at] = (uint32_t)i + 1;
    }
    w->slot = slot;
    w->nslot = n;
    return OK;
}

static int add_kind(struct walk *w, const struct kind *k, uint32_t *out)
{
    struct survey *s = w->s;
    if (s->nkinds == s->cap_kinds)
        s->kinds = arena_grow(&s->arena, s->kinds, s->nkinds, &s->cap_kinds, sizeof *s->kinds);
    if (!s->kinds)
        return err_nomem(w->cx);
    struct kind *copy = &s->kinds[s->nkinds];
    size_t bytes = ((size_t)k->nin + (size_t)k->nout) * sizeof *k->io;
    *copy = *k;
    copy->io = arena_dup(&s->arena, k->io, bytes);
    if (!copy->io)
        return err_nomem(w->cx);
    *out = (uint32_t)s->nkinds++;
    return k->ver ? schema_parse(w->cx, &s->arena, k->ver, &copy->schema) : OK;
}

static int find_kind(struct walk *w, struct node *n, uint32_t *out)
{
    struct survey *s = w->s;
    struct arena_mark mark = arena_mark(&w->cx->scratch);
    struct value_type *io = arena_array(&w->cx->scratch, (size_t)n->nin + (size_t)n->nout + 1, sizeof *io);
    if (!io)
        return err_nomem(w->cx);
    struct kind k = {.domain = n->domain,
                     .op = n->op_type,
                     .ver = n->func ? NULL : n->ver,
                     .opset = graph_opset(n->graph, n->domain),
                     .nin = n->nin,
                     .nout = n->nout,
                     .io = io,
                     .call = n->func != NULL,
                     .runnable = n->op != NULL};
    for (int i = 0; i < n->nin; i++)
        io[i] = type_at(w, n->in[i]);
    for (int i = 0; i < n->nout; i++)
        io[n->nin + i] = type_at(w, n->out[i]);
    size_t at = kind_hash(&k) & (w->nslot - 1);
    while (w->slot[at] && !same_kind(&s->kinds[w->slot[at] - 1], &k))
        at = (at + 1) & (w->nslot - 1);
    bool known = w->slot[at] != 0;
    int rc = OK;
    if (known)
        *out = w->slot[at] - 1;
    else
        rc = add_kind(w, &k, out);
    arena_release(&w->cx->scratch, mark);
    if (rc)
        return rc;
    s->kinds[*out].count++;
    if (!known)
        w->slot[at] = *out + 1;
    return known || s->nkinds * 2 < w->nslot ? OK : rehash(w);
}

/* ---- marks ---- */

/* An initializer that no caller can replace, or one that a Constant node holds. */
static uint8_t mark_of(const struct walk *w, const struct value *v)
{
    bool fixed = (v->init || v->sparse) && (!v->is_input || w->s->m->ir_version < 4);
    if (!fixed)
        return w->mark[v->id];
    return v->init && tensor_data_count(v->init) <= SHAPE_CONST_MAX ? MARK_CONST | MARK_SMALL : MARK_CONST;
}

static bool is_plain(const struct node *n, const char *op)
{
    return !*n->domain && strcmp(n->op_type, op) == 0;
}

/* A value of integers, bools or scales that fits into a shape. */
static bool shape_like(const struct walk *w, const struct value *v)
{
    const struct type *t = v ? typed_value(w->s->typed, v) : NULL;
    if (!t || t->kind != TY_TENSOR || t->dt == DT_FLOAT16 || t->dt == DT_BFLOAT16)
        return false;
    return t->rank >= 0 && t->rank <= 1;
}

static bool has_graphs(const struct node *n)
{
    for (int i = 0; i < n->nattr; i++)
        if (n->attrs[i].kind == AT_GRAPH || n->attrs[i].kind == AT_GRAPHS)
            return true;
    return false;
}

static bool all_const(const struct walk *w, const struct node *n)
{
    bool any = false;
    for (int i = 0; i < n->nin; i++) {
        if (n->in[i] && !(mark_of(w, n->in[i]) & MARK_CONST))
            return false;
        any = any || n->in[i];
    }
    return any;
}

/* Whether n computes on shapes alone: one input comes from Shape, the others do or are small or the caller's.
 */
static bool on_shapes(const struct walk *w, const struct node *n)
{
    bool any = false;
    for (int i = 0; i < n->nin; i++) {
        const struct value *v = n->in[i];
        uint8_t m = v ? mark_of(w, v) : MARK_SMALL;
        if (!(m & (MARK_SHAPE | MARK_SMALL)) && !(v->is_input && !v->graph->owner && !v->graph->func))
            return false;
        any = any || m & MARK_SHAPE;
    }
    for (int i = 0; i < n->nout && any; i++)
        any = !n->out[i] || shape_like(w, n->out[i]);
    return any;
}

/* What n is, and what its outputs are then. ONNX Runtime leaves DequantizeLinear of weights where it is. */
static unsigned classify(struct walk *w, const struct node *n)
{
    unsigned flags = w->in_function ? ITEM_FUNCTION : 0;
    uint8_t mark = 0;
    bool random = n->ver && n->ver->flags & SF_NONDET;
    if (is_plain(n, "Constant")) {
        flags |= ITEM_CONSTANT;
        mark = MARK_CONST | (n->nout && shape_like(w, n->out[0]) ? MARK_SMALL : 0);
    } else if (!n->func && !random && !has_graphs(n) && !is_plain(n, "DequantizeLinear") && all_const(w, n)) {
        flags |= ITEM_FOLDED;
        mark = MARK_CONST | (n->nout && shape_like(w, n->out[0]) ? MARK_SMALL : 0);
    } else if (is_plain(n, "Shape") || is_plain(n, "Size")) {
        mark = MARK_SHAPE;
    } else if (!n->func && !has_graphs(n) && on_shapes(w, n)) {
        flags |= ITEM_SHAPE;
        mark = MARK_SHAPE;
    }
    for (int i = 0; i < n->nout; i++)
        if (n->out[i])
            w->mark[n->out[i]->id] = mark;
    return flags;
}

/* ---- the walk ---- */

static int64_t flops_of(int64_t macs, int64_t ops)
{
    int64_t twice, sum;
    if (macs < 0 || ops < 0)
        return -1;
    if (!mul_i64(macs, 2, &twice) || !add_i64(twice, ops, &sum))
        return INT64_MAX;
    return sum;
}

static int32_t maker_of(const struct walk *w, const struct value *v)
{
    return v && !v->init && !v->sparse ? w->maker[v->id] : -1;
}

static int add_item(struct walk *w, struct node *n, int depth)
{
    struct survey *s = w->s;
    uint32_t kind = 0;
    int64_t macs, ops;
    int32_t *from = arena_array(&s->arena, (size_t)n->nin + 1, sizeof *from);
    if (s->nitems == s->cap_items)
        s->items = arena_grow(&s->arena, s->items, s->nitems, &s->cap_items, sizeof *s->items);
    if (!s->items || !from)
        return err_nomem(w->cx);
    int rc = find_kind(w, n, &kind);
    if (!rc)
        rc = cost_node(w->cx, s->typed, n, &macs, &ops);
    if (rc)
        return rc;
    for (int i = 0; i < n->nin; i++)
        from[i] = maker_of(w, n->in[i]);
    int32_t me = (int32_t)s->nitems++;
    struct item *it = &s->items[me];
    *it = (struct item){n, kind, classify(w, n), depth, flops_of(macs, ops), from};
    for (int i = 0; i < n->nout; i++)
        if (n->out[i])
            w->maker[n->out[i]->id] = me;
    if (it->flags & (ITEM_CONSTANT | ITEM_FOLDED))
        it->flops = 0;
    if (it->flops < 0)
        s->flops_unknown++;
    else if (!add_i64(s->flops, it->flops, &s->flops))
        s->flops = INT64_MAX;
    return OK;
}

static int walk_graph(struct walk *w, struct graph *g, int depth);

/* The body of a function for one call: formal values take what is known of the actual ones, and the other
 * way. */
static int walk_call(struct walk *w, struct node *n, int depth)
{
    struct graph *body = n->func->body;
    if (w->calls >= CALL_DEPTH_MAX || w->s->nitems > ITEMS_MAX) {
        w->s->cut = true;
        return OK;
    }
    int rc = typed_enter_call(w->cx, w->s->typed, n);
    for (size_t i = 0; i < body->nins; i++) {
        const struct value *v = i < (size_t)n->nin ? n->in[i] : NULL;
        w->mark[body->ins[i]->id] = v ? mark_of(w, v) : 0;
        w->maker[body->ins[i]->id] = maker_of(w, v);
    }
    bool outer = w->in_function;
    w->in_function = true;
    w->calls++;
    if (!rc)
        rc = walk_graph(w, body, depth);
    w->calls--;
    w->in_function = outer;
    for (size_t i = 0; i < body->nouts && i < (size_t)n->nout; i++)
        if (n->out[i]) {
            w->mark[n->out[i]->id] = mark_of(w, body->outs[i]);
            w->maker[n->out[i]->id] = maker_of(w, body->outs[i]);
        }
    return rc;
}

static int walk_bodies(struct walk *w, struct node *n, int depth)
{
    int rc = OK;
    for (int i = 0; i < n->nattr && !rc; i++) {
        const struct attr *a = &n->attrs[i];
        size_t count = a->kind == AT_GRAPH ? 1 : a->kind == AT_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < count && !rc; k++)
            rc = walk_graph(w, a->kind == AT_GRAPH ? a->u.g : a->u.graphs[k], depth);
    }
    return rc || !n->func ? rc : walk_call(w, n, depth);
}

static int walk_graph(struct walk *w, struct graph *g, int depth)
{
    for (struct node *n = g->first; n; n = n->next) {
        int rc = add_item(w, n, depth);
        if (!rc)
            rc = walk_bodies(w, n, depth + 1);
        if (rc)
            return rc;
    }
    return OK;
}

/* ---- life ---- */

static int walk_all(struct cx *cx, struct survey *s)
{
    struct walk w = {.cx = cx, .s = s};
    size_t n = s->m->nvalues + 1;
    w.mark = arena_array(&cx->scratch, n, sizeof *w.mark);
    w.maker = arena_array(&cx->scratch, n, sizeof *w.maker);
    if (!w.mark || !w.maker)
        return err_nomem(cx);
    memset(w.maker, 0xff, n * sizeof *w.maker);
    int rc = rehash(&w);
    return rc ? rc : walk_graph(&w, s->m->graph, 0);
}

/* An input's type with sizes: an axis that has neither a size nor a name is 1, like a symbol. */
static int sized_type(struct cx *cx, struct survey *s, const struct binding *b, const struct value *v,
                      const int64_t *shape, const struct type **out)
{
    const struct type *t = v->declared ? v->declared : v->type;
    *out = NULL;
    if (!t || t->kind != TY_TENSOR || t->rank < 0)
        return OK;
    struct type *copy = arena_dup(&s->arena, t, sizeof *copy);
    struct dim *dims = arena_array(&s->arena, (size_t)t->rank + 1, sizeof *dims);
    if (!copy || !dims)
        return err_nomem(cx);
    for (int k = 0; k < t->rank; k++) {
        dims[k] = dim_eval(s->m->syms, b, t->dims[k]);
        if (shape && shape[k] >= 0)
            dims[k] = dim_const(shape[k]);
        if (dims[k].kind == DIM_UNKNOWN)
            dims[k] = dim_const(1);
    }
    copy->dims = dims;
    *out = copy;
    return OK;
}

static void ignore_problem(void *user, const struct node *n, const struct value *v, int code, const char *msg)
{
    (void)user;
    (void)n;
    (void)v;
    (void)code;
    (void)msg;
}

/* Sizes that nobody gave are 1, which not every model takes. Types of elements count more than sizes: then
 * its axes stay open, and types go on behind nodes that contradict their inputs. */
static int infer_sized(struct cx *cx, struct survey *s, const struct binding *b,
                       const struct type *const *ins)
{
    int rc = typed_new(cx, s->m, b, ins, &s->typed);
    if (rc || !s->typed->failed)
        return rc;
    typed_free(s->typed);
    s->typed = NULL;
    return typed_check(cx, s->m, ignore_problem, NULL, &s->typed);
}

static int type_model(struct cx *cx, struct survey *s, const struct feed *sizes)
{
    const struct binding *given = sizes ? feed_binding(sizes) : NULL;
    struct binding b = {0};
    if (given && given->n) {
        b = *given;
        b.cap = b.n;
        b.e = arena_dup(&s->arena, b.e, b.n * sizeof *b.e);
        if (!b.e)
            return err_nomem(cx);
    }
    const struct graph *g = s->m->graph;
    const struct type **ins = arena_array(&s->arena, g->nins + 1, sizeof *ins);
    int rc = ins ? ops_resolve(cx, s->m) : err_nomem(cx);
    if (!rc)
        rc = bind_rest(cx, s->m, &s->arena, &b, 1);
    for (size_t i = 0; i < g->nins && !rc; i++) {
        int rank = 0;
        const int64_t *shape = sizes ? feed_shape(sizes, i, &rank) : NULL;
        const struct type *t = g->ins[i]->declared;
        rc = sized_type(cx, s, &b, g->ins[i], t && t->rank == rank ? shape : NULL, &ins[i]);
    }
    return rc ? rc : infer_sized(cx, s, &b, ins);
}

int survey_new(struct cx *cx, struct model *m, const struct feed *sizes, struct survey **out)
{
    struct survey *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(cx);
    s->m = m;
    int rc = type_model(cx, s, sizes);
    if (!rc)
        rc = walk_all(cx, s);
    if (rc)
        survey_free(s);
    else
        *out = s;
    return rc;
}

void survey_free(struct survey *s)
{
    if (!s)
        return;
    typed_free(s->typed);
    arena_free(&s->arena);
    free(s);
}
