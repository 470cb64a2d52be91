/* The only functions that change a graph; they keep use lists and producers right. */
#include "ir/edit.h"
#include "base/blob.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/tensor.h"

static struct arena *arena_of(const struct graph *g)
{
    return &g->model->arena;
}

static int nomem(struct cx *cx)
{
    return err_nomem(cx);
}

/* Appends to one of the pointer lists of a graph. */
static int list_add(struct cx *cx, struct graph *g, struct value ***list, size_t *n, size_t *cap,
                    struct value *v)
{
    struct value **p = arena_grow(arena_of(g), *list, *n, cap, sizeof(*p));
    if (!p)
        return nomem(cx);
    *list = p;
    p[(*n)++] = v;
    return 0;
}

static void list_remove(struct value **list, size_t *n, const struct value *v)
{
    for (size_t i = 0; i < *n; i++) {
        if (list[i] != v)
            continue;
        memmove(list + i, list + i + 1, (*n - i - 1) * sizeof(*list));
        --*n;
        return;
    }
}

/* ---- graphs ---- */

static void graph_link(struct graph *g, struct node *owner)
{
    g->owner = owner;
    g->func = owner->graph->func;
    g->next_inner = owner->graph->inner;
    owner->graph->inner = g;
}

static void graph_unlink(struct graph *g)
{
    struct graph **at = &g->owner->graph->inner;
    while (*at && *at != g)
        at = &(*at)->next_inner;
    if (*at)
        *at = g->next_inner;
    g->next_inner = NULL;
}

int graph_new(struct cx *cx, struct model *m, const char *name, struct node *owner, struct graph **out)
{
    struct graph *g = arena_zalloc(&m->arena, sizeof(*g));
    if (!g)
        return nomem(cx);
    g->model = m;
    g->name = arena_strdup(&m->arena, name ? name : "");
    if (!g->name)
        return nomem(cx);
    g->names.arena = &m->arena;
    if (owner)
        graph_link(g, owner);
    *out = g;
    return 0;
}

/* Outer first, without recursion: first child, else next sibling, else upwards. */
static const struct graph *inner_next(const struct graph *top, const struct graph *g)
{
    if (g->inner)
        return g->inner;
    while (g != top && !g->next_inner)
        g = g->owner->graph;
    return g == top ? NULL : g->next_inner;
}

static bool name_taken(const struct graph *g, const char *name)
{
    if (graph_find(g, name))
        return true;
    for (const struct graph *i = g->inner ? g->inner : NULL; i; i = inner_next(g, i)) {
        if (smap_get(&i->names, name))
            return true;
    }
    return false;
}

/* Numbers grow with the model's value counter, so that many fresh names from one hint cost one probe each. */
const char *graph_fresh_name(struct graph *g, const char *hint)
{
    const char *base = hint && *hint ? hint : "t";
    if (hint && *hint && !name_taken(g, hint))
        return arena_strdup(arena_of(g), hint);
    for (uint64_t k = g->model->nvalues;; k++) {
        const char *s = arena_printf(arena_of(g), "%s_%" PRIu64, base, k);
        if (!s || !name_taken(g, s))
            return s;
    }
}

/* ---- values ---- */

int value_new(struct cx *cx, struct graph *g, const char *name, struct value **out)
{
    if (name && smap_get(&g->names, name))
        return err_set(cx, E_MODEL, "two values are called '%s'", name);
    struct value *v = arena_zalloc(arena_of(g), sizeof(*v));
    if (!v)
        return nomem(cx);
    v->name = name ? arena_strdup(arena_of(g), name) : graph_fresh_name(g, NULL);
    if (!v->name || !smap_put(&g->names, v->name, v))
        return nomem(cx);
    v->graph = g;
    v->id = g->model->nvalues++;
    *out = v;
    return 0;
}

static int check_mine(struct cx *cx, const struct graph *g, const struct value *v)
{
    if (v->graph == g)
        return 0;
    return err_set(cx, E_MODEL, "value '%s' belongs to graph '%s', not to '%s'", v->name, v->graph->name,
                   g->name);
}

int graph_add_input(struct cx *cx, struct graph *g, struct value *v)
{
    int rc = check_mine(cx, g, v);
    if (rc)
        return rc;
    if (v->is_input)
        return err_set(cx, E_MODEL, "value '%s' is listed as an input twice", v->name);
    if (v->producer)
        return err_set(cx, E_MODEL, "value '%s' is a graph input and the output of a node", v->name);
    rc = list_add(cx, g, &g->ins, &g->nins, &g->cap_ins, v);
    v->is_input = rc == 0;
    return rc;
}

int graph_add_output(struct cx *cx, struct graph *g, struct value *v)
{
    int rc = check_mine(cx, g, v);
    if (rc)
        return rc;
    if (v->is_output)
        return err_set(cx, E_MODEL, "value '%s' is listed as an output twice", v->name);
    rc = list_add(cx, g, &g->outs, &g->nouts, &g->cap_outs, v);
    v->is_output = rc == 0;
    return rc;
}

int graph_set_outputs(struct cx *cx, struct graph *g, struct value *const *vals, size_t n)
{
    for (size_t i = 0; i < g->nouts; i++)
        g->outs[i]->is_output = false;
    g->nouts = 0;
    int rc = OK;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = graph_add_output(cx, g, vals[i]);
    return rc;
}

static int add_init(struct cx *cx, struct graph *g, struct value *v)
{
    int rc = check_mine(cx, g, v);
    if (rc)
        return rc;
    if (v->init || v->sparse)
        return err_set(cx, E_MODEL, "two initializers are called '%s'", v->name);
    if (v->producer)
        return err_set(cx, E_MODEL, "value '%s' is an initializer and the output of a node", v->name);
    return list_add(cx, g, &g->inits, &g->ninits, &g->cap_inits, v);
}

int graph_add_init(struct cx *cx, struct graph *g, struct value *v, struct tensor_data *t)
{
    int rc = add_init(cx, g, v);
    if (rc == 0)
        v->init = t;
    return rc;
}

int graph_add_sparse_init(struct cx *cx, struct graph *g, struct value *v, struct sparse_data *s)
{
    int rc = add_init(cx, g, v);
    if (rc == 0)
        v->sparse = s;
    return rc;
}

/* Element bytes, and those of strings, copied into the model's arena. */
static const void *copy_elements(struct arena *a, const struct tensor *t)
{
    size_t n = (size_t)tensor_count(t);
    if (t->dt != DT_STRING) {
        void *p = arena_alloc_aligned(a, tensor_bytes(t), 64);
        if (p && tensor_bytes(t))
            memcpy(p, t->data, tensor_bytes(t));
        return p;
    }
    struct ostr *s = arena_array(a, n, sizeof(*s));
    const struct ostr *from = t->data;
    for (size_t i = 0; s && i < n; i++) {
        s[i].n = from[i].n;
        s[i].p = arena_dup(a, from[i].p, from[i].n);
        if (!s[i].p)
            return NULL;
    }
    return s;
}

enum { SHARE_MIN = 65536 };

/* The elements of t into d. */
static int hold_elements(struct cx *cx, struct model *m, struct tensor_data *d, const struct tensor *t)
{
    if (!tensor_count(t)) {
        d->payload = PL_EMPTY;
        d->mem = copy_elements(&m->arena, t);
        return d->mem ? OK : nomem(cx);
    }
    d->payload = PL_MEM;
    if (!t->owner || t->dt == DT_STRING || tensor_bytes(t) < SHARE_MIN) {
        d->mem = copy_elements(&m->arena, t);
        return d->mem ? OK : nomem(cx);
    }
    struct held *h = arena_zalloc(&m->arena, sizeof(*h));
    if (!h)
        return nomem(cx);
    *h = (struct held){m->held, d};
    m->held = h;
    d->mem = t->data;
    d->owner = blob_ref(t->owner);
    return OK;
}

/* An initializer of that shape, still without elements. */
static int new_init(struct cx *cx, struct graph *g, const char *hint, enum dtype dt, int rank,
                    const int64_t *dims, struct value **v, struct tensor_data **out)
{
    struct arena *a = arena_of(g);
    struct tensor_data *d = arena_zalloc(a, sizeof(*d));
    const char *name = graph_fresh_name(g, hint);
    if (!d || !name)
        return nomem(cx);
    int rc = value_new(cx, g, name, v);
    if (rc)
        return rc;
    d->name = (*v)->name;
    d->dt = dt;
    d->rank = rank;
    d->dims = arena_dup(a, dims, (size_t)rank * sizeof(*dims));
    *out = d;
    return d->dims ? OK : nomem(cx);
}

int graph_add_const(struct cx *cx, struct graph *g, const char *hint, const struct tensor *t,
                    struct value **out)
{
    struct tensor_data *d;
    int rc = new_init(cx, g, hint, t->dt, t->rank, t->dims, out, &d);
    if (!rc)
        rc = hold_elements(cx, g->model, d, t);
    return rc ? rc : graph_add_init(cx, g, *out, d);
}

int graph_add_fill(struct cx *cx, struct graph *g, const char *hint, const struct tensor *t, int rank,
                   const int64_t *dims, struct value **out)
{
    struct tensor_data *d;
    int rc = new_init(cx, g, hint, t->dt, rank, dims, out, &d);
    if (rc)
        return rc;
    d->payload = PL_FILL;
    d->mem = copy_elements(arena_of(g), t);
    return d->mem ? graph_add_init(cx, g, *out, d) : nomem(cx);
}

/* ---- uses ---- */

static int use_add(struct cx *cx, struct value *v, struct node *n, int index)
{
    struct use *u = arena_grow(arena_of(v->graph), v->uses, v->nuses, &v->cap_uses, sizeof(*u));
    if (!u)
        return nomem(cx);
    v->uses = u;
    u[v->nuses++] = (struct use){n, index};
    return 0;
}

static void use_remove(struct value *v, const struct node *n, int index)
{
    for (size_t i = 0; i < v->nuses; i++) {
        if (v->uses[i].node == n && v->uses[i].index == index) {
            v->uses[i] = v->uses[--v->nuses];
            return;
        }
    }
}

/* ---- nodes ---- */

static void link_before(struct node *n, struct node *before)
{
    struct graph *g = n->graph;
    struct node *prev = before ? before->prev : g->last;
    n->prev = prev;
    n->next = before;
    *(prev ? &prev->next : &g->first) = n;
    *(before ? &before->prev : &g->last) = n;
    g->nnodes++;
}

static void unlink_node(struct node *n)
{
    struct graph *g = n->graph;
    *(n->prev ? &n->prev->next : &g->first) = n->next;
    *(n->next ? &n->next->prev : &g->last) = n->prev;
    n->prev = n->next = NULL;
    g->nnodes--;
}

static int claim_output(struct cx *cx, struct node *n, int i, struct value *v)
{
    if (!v)
        return 0;
    int rc = check_mine(cx, n->graph, v);
    if (rc)
        return rc;
    if (v->producer)
        return err_set(cx, E_MODEL, "two nodes ('%s' and '%s') produce value '%s'", node_label(v->producer),
                       node_label(n), v->name);
    if (v->is_input || v->init || v->sparse)
        return err_set(cx, E_MODEL, "node '%s' produces value '%s', which is a graph %s", node_label(n),
                       v->name, v->is_input ? "input" : "initializer");
    /* The output of a removed node, produced anew. */
    struct value *named = smap_get(&n->graph->names, v->name);
    if (named && named != v)
        return err_set(cx, E_MODEL, "two values are called '%s'", v->name);
    if (!named && !smap_put(&n->graph->names, v->name, v))
        return nomem(cx);
    v->producer = n;
    v->out_index = i;
    n->out[i] = v;
    return 0;
}

static int claim_input(struct cx *cx, struct node *n, int i, struct value *v)
{
    if (!v)
        return 0;
    if (!value_visible(v, n->graph))
        return err_set(cx, E_MODEL, "node '%s' uses value '%s' of graph '%s', which it cannot see",
                       node_label(n), v->name, v->graph->name);
    int rc = use_add(cx, v, n, i);
    if (rc == 0)
        n->in[i] = v;
    return rc;
}

/* Takes back what a node that could not be made holds. */
static int undo_node(struct node *n, int rc)
{
    for (int i = 0; i < n->nin; i++) {
        if (n->in[i])
            use_remove(n->in[i], n, i);
    }
    for (int i = 0; i < n->nout; i++) {
        if (n->out[i])
            n->out[i]->producer = NULL;
    }
    return rc;
}

int node_new(struct cx *cx, struct graph *g, struct node *before, const char *domain, const char *op_type,
             const char *name, struct value *const *ins, int nin, struct value *const *outs, int nout,
             struct node **out)
{
    struct arena *a = arena_of(g);
    struct node *n = arena_zalloc(a, sizeof(*n));
    if (!n)
        return nomem(cx);
    n->graph = g;
    n->nin = nin;
    n->nout = nout;
    n->name = arena_strdup(a, name ? name : "");
    n->domain = domain && *domain_norm(domain) ? arena_strdup(a, domain) : "";
    n->op_type = arena_strdup(a, op_type);
    n->overload = "";
    n->in = arena_array(a, (size_t)nin, sizeof(*n->in));
    n->out = arena_array(a, (size_t)nout, sizeof(*n->out));
    if (!n->name || !n->domain || !n->op_type || !n->in || !n->out)
        return nomem(cx);
    int rc = 0;
    for (int i = 0; rc == 0 && i < nin; i++)
        rc = claim_input(cx, n, i, ins[i]);
    for (int i = 0; rc == 0 && i < nout; i++)
        rc = claim_output(cx, n, i, outs[i]);
    if (rc)
        return undo_node(n, rc);
    n->id = g->model->nnodes++;
    link_before(n, before);
    *out = n;
    return 0;
}

/* A longer copy of a node's list, the new end NULL. */
static int widen(struct cx *cx, struct node *n, struct value ***list, int *count, int i)
{
    if (i < *count)
        return 0;
    struct value **p = arena_array(arena_of(n->graph), (size_t)i + 1, sizeof(*p));
    if (!p)
        return nomem(cx);
    if (*count)
        memcpy(p, *list, (size_t)*count * sizeof(*p));
    *list = p;
    *count = i + 1;
    return 0;
}

int node_set_input(struct cx *cx, struct node *n, int i, struct value *v)
{
    int rc = v ? widen(cx, n, &n->in, &n->nin, i) : 0;
    if (rc || i >= n->nin)
        return rc;
    struct value *old = n->in[i];
    if (old == v)
        return 0;
    rc = claim_input(cx, n, i, v);
    if (rc)
        return rc;
    if (old)
        use_remove(old, n, i);
    n->in[i] = v;
    return 0;
}

/* ---- attributes ---- */

static void adopt(struct node *n, struct graph *g)
{
    if (g->owner == n)
        return;
    if (g->owner)
        graph_unlink(g);
    graph_link(g, n);
}

int node_set_attr(struct cx *cx, struct node *n, const struct attr *a)
{
    if (a->kind == AT_GRAPH && a->u.g)
        adopt(n, a->u.g);
    for (size_t i = 0; a->kind == AT_GRAPHS && i < a->n; i++)
        adopt(n, a->u.graphs[i]);
    n->parsed = false;
    n->params = NULL;
    for (int i = 0; i < n->nattr; i++) {
        if (strcmp(n->attrs[i].name, a->name) == 0) {
            n->attrs[i] = *a;
            return 0;
        }
    }
    struct attr *p = arena_array(arena_of(n->graph), (size_t)n->nattr + 1, sizeof(*p));
    if (!p)
        return nomem(cx);
    if (n->nattr)
        memcpy(p, n->attrs, (size_t)n->nattr * sizeof(*p));
    p[n->nattr++] = *a;
    n->attrs = p;
    return 0;
}

/* An attribute of that name and kind; the name is copied. False: memory ran out. */
static bool attr_init(struct node *n, struct attr *a, const char *name, enum attr_kind kind)
{
    *a = (struct attr){.kind = kind, .name = arena_strdup(arena_of(n->graph), name)};
    return a->name != NULL;
}

int node_set_attr_int(struct cx *cx, struct node *n, const char *name, int64_t v)
{
    struct attr a;
    if (!attr_init(n, &a, name, AT_INT))
        return nomem(cx);
    a.u.i = v;
    return node_set_attr(cx, n, &a);
}

int node_set_attr_float(struct cx *cx, struct node *n, const char *name, float v)
{
    struct attr a;
    if (!attr_init(n, &a, name, AT_FLOAT))
        return nomem(cx);
    a.u.f = v;
    return node_set_attr(cx, n, &a);
}

int node_set_attr_str(struct cx *cx, struct node *n, const char *name, const char *v)
{
    struct attr a;
    if (!attr_init(n, &a, name, AT_STRING))
        return nomem(cx);
    a.u.s.n = strlen(v);
    a.u.s.p = arena_strdup(arena_of(n->graph), v);
    return a.u.s.p ? node_set_attr(cx, n, &a) : nomem(cx);
}

int node_set_attr_ints(struct cx *cx, struct node *n, const char *name, const int64_t *v, size_t count)
{
    struct attr a;
    if (!attr_init(n, &a, name, AT_INTS))
        return nomem(cx);
    int64_t *p = arena_array(arena_of(n->graph), count, sizeof(*p));
    if (!p)
        return nomem(cx);
    if (count)
        memcpy(p, v, count * sizeof(*p));
    a.n = count;
    a.u.ints = p;
    return node_set_attr(cx, n, &a);
}

/* ---- removing and moving ---- */

static void drop_inputs(struct node *n)
{
    for (int i = 0; i < n->nin; i++) {
        if (n->in[i])
            use_remove(n->in[i], n, i);
        n->in[i] = NULL;
    }
}

static int drop_graph_inputs(void *user, struct graph *g, int depth)
{
    (void)user;
    (void)depth;
    for (struct node *n = g->first; n; n = n->next)
        drop_inputs(n);
    return 0;
}

static void drop_inner(struct graph *g)
{
    graph_walk(g, drop_graph_inputs, NULL);
    graph_unlink(g);
}

void node_remove(struct node *n)
{
    drop_inputs(n);
    for (int i = 0; i < n->nattr; i++) {
        struct attr *a = &n->attrs[i];
        if (a->kind == AT_GRAPH && a->u.g)
            drop_inner(a->u.g);
        for (size_t k = 0; a->kind == AT_GRAPHS && k < a->n; k++)
            drop_inner(a->u.graphs[k]);
    }
    for (int i = 0; i < n->nout; i++) {
        struct value *v = n->out[i];
        if (!v)
            continue;
        v->producer = NULL;
        if (v->nuses == 0 && !v->is_output)
            smap_put(&n->graph->names, v->name, NULL);
    }
    unlink_node(n);
}

void node_move_before(struct node *n, struct node *before)
{
    if (n == before)
        return;
    unlink_node(n);
    link_before(n, before);
}

/* ---- replacing values ---- */

int value_replace_uses(struct cx *cx, struct value *old, struct value *new_)
{
    if (old == new_)
        return 0;
    for (size_t i = 0; i < old->nuses; i++) {
        if (!value_visible(new_, old->uses[i].node->graph))
            return err_set(cx, E_MODEL, "node '%s' cannot see value '%s'", node_label(old->uses[i].node),
                           new_->name);
    }
    while (old->nuses) {
        struct use u = old->uses[0];
        int rc = use_add(cx, new_, u.node, u.index);
        if (rc)
            return rc;
        u.node->in[u.index] = new_;
        /* From the front, so that new_ lists them in the old order. */
        old->uses++;
        old->cap_uses--;
        old->nuses--;
    }
    old->uses = NULL;
    old->cap_uses = 0;
    return 0;
}

int value_rename(struct cx *cx, struct value *v, const char *name)
{
    if (strcmp(v->name, name) == 0)
        return 0;
    if (smap_get(&v->graph->names, name))
        return err_set(cx, E_MODEL, "two values are called '%s'", name);
    const char *copy = arena_strdup(arena_of(v->graph), name);
    if (!copy || !smap_put(&v->graph->names, copy, v))
        return nomem(cx);
    smap_put(&v->graph->names, v->name, NULL);
    v->name = copy;
    return 0;
}

/* The two change names; new_ stands in the graph's output list where old stood. */
static int take_output_place(struct cx *cx, struct value *old, struct value *new_)
{
    struct graph *g = old->graph;
    const char *name = old->name, *other = new_->name;
    if (!smap_put(&g->names, name, new_) || !smap_put(&g->names, other, old))
        return nomem(cx);
    old->name = other;
    new_->name = name;
    for (size_t i = 0; i < g->nouts; i++) {
        if (g->outs[i] == old)
            g->outs[i] = new_;
    }
    old->is_output = false;
    new_->is_output = true;
    /* The output's declaration is part of the interface: it stays with the name. */
    new_->declared = old->declared;
    new_->origin = old->origin;
    old->declared = NULL;
    old->origin = NULL;
    return 0;
}

int value_replace(struct cx *cx, struct value *old, struct value *new_)
{
    if (old == new_)
        return 0;
    int rc = value_replace_uses(cx, old, new_);
    if (rc || !old->is_output)
        return rc;
    bool plain = new_->graph == old->graph && !new_->is_input && !new_->is_output && !new_->init &&
                 !new_->sparse && new_->producer;
    if (plain)
        return take_output_place(cx, old, new_);
    struct value *mid;
    rc = value_new(cx, old->graph, NULL, &mid);
    if (rc)
        return rc;
    mid->type = old->type;
    struct node *id;
    struct value *ins[1] = {new_}, *outs[1] = {mid};
    rc = node_new(cx, old->graph, NULL, "", "Identity", "", ins, 1, outs, 1, &id);
    return rc ? rc : take_output_place(cx, old, mid);
}

int value_to_input(struct cx *cx, struct value *v)
{
    if (v->init || v->sparse)
        list_remove(v->graph->inits, &v->graph->ninits, v);
    v->init = NULL;
    v->sparse = NULL;
    if (v->producer)
        v->producer->out[v->out_index] = NULL;
    v->producer = NULL;
    return v->is_input ? OK : graph_add_input(cx, v->graph, v);
}

void value_remove(struct value *v)
{
    struct graph *g = v->graph;
    if (v->nuses || v->producer || v->is_output)
        return;
    if (v->is_input)
        list_remove(g->ins, &g->nins, v);
    if (v->init || v->sparse)
        list_remove(g->inits, &g->ninits, v);
    if (v->init)
        tensor_data_release(v->init);
    v->is_input = false;
    v->init = NULL;
    v->sparse = NULL;
    smap_put(&g->names, v->name, NULL);
}
