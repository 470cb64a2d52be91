/* Graphs as they stand in the file: names, scopes, order, declared types. */
#include "check/checker.h"

#include <string.h>

#include "base/dtype.h"

/* ---- declared types ---- */

/* IR version that brought an element type; 0: all have it. */
static int dtype_since(int dt)
{
    if (dt >= DT_FLOAT6E2M3)
        return 14;
    if (dt >= DT_UINT2)
        return 13;
    if (dt == DT_FLOAT8E8M0)
        return 12;
    if (dt == DT_FLOAT4E2M1)
        return 11;
    if (dt >= DT_UINT4)
        return 10;
    if (dt >= DT_FLOAT8E4M3FN)
        return 9;
    return dt == DT_BFLOAT16 ? 4 : 0;
}

static void look_elem(struct checker *c, const struct ol_type *t, const char *name, uint64_t at)
{
    const char *what = t->kind == TY_MAP ? "key" : "element";
    if (!t->elem)
        ck_add(c, FC_TYPE_BAD, at, "the type of '%s' has no %s type", name, what);
    else if (!dtype_info(t->elem)->name)
        ck_add(c, FC_TYPE_BAD, at, "the type of '%s' has %s type %d, which is not known", name, what,
               t->elem);
    else if (t->kind == TY_MAP && t->elem != DT_STRING && !dtype_is_int(t->elem))
        ck_add(c, FC_TYPE_BAD, at, "the type of '%s' is a map with keys of %s; integers and strings may be",
               name, dtype_name(t->elem));
    else
        ck_feature(c, at, dtype_since(t->elem), dtype_name(t->elem));
}

static void look_dims(struct checker *c, const struct ol_type *t, const char *name, uint64_t at)
{
    for (size_t i = 0; i < t->ndims; i++)
        if (t->dims[i].kind == OL_DIM_VALUE && t->dims[i].value < 0)
            ck_add(c, FC_DIM_NEGATIVE, at, "axis %zu of '%s' is declared as %lld", i, name,
                   (long long)t->dims[i].value);
}

void ck_type(struct checker *c, const struct ol_type *t, const char *name, uint64_t at, bool optional)
{
    switch (t->kind) {
    case TY_NONE:
        ck_add(c, FC_TYPE_BAD, at, "the type of '%s' is empty", name);
        break;
    case TY_TENSOR:
    case TY_SPARSE:
        if (t->elem || !optional)
            look_elem(c, t, name, at);
        look_dims(c, t, name, at);
        break;
    case TY_MAP:
        look_elem(c, t, name, at);
        /* fallthrough */
    case TY_SEQ:
    case TY_OPT:
        if (t->kind == TY_OPT)
            ck_feature(c, at, 8, "an optional");
        if (t->inner)
            ck_type(c, t->inner, name, at, optional);
        else
            ck_add(c, FC_TYPE_BAD, at, "the type of '%s' does not say what is in it", name);
        break;
    case TY_OPAQUE:
        if (!t->has_elem)
            ck_add(c, FC_TYPE_BAD, at, "the type of '%s' is opaque and has no name", name);
        break;
    }
}

/* Whether no value can be of both types. */
static bool apart(const struct ol_type *a, const struct ol_type *b)
{
    if (!a || !b || a->kind == TY_NONE || b->kind == TY_NONE)
        return false;
    if (a->kind != b->kind || (a->elem && b->elem && a->elem != b->elem))
        return true;
    if (a->has_shape && b->has_shape) {
        if (a->ndims != b->ndims)
            return true;
        for (size_t i = 0; i < a->ndims; i++)
            if (a->dims[i].kind == OL_DIM_VALUE && b->dims[i].kind == OL_DIM_VALUE &&
                a->dims[i].value != b->dims[i].value)
                return true;
    }
    return apart(a->inner, b->inner);
}

/* The main graph's inputs and outputs must say everything; others may be left to inference. */
static void look_declared(struct checker *c, const struct ol_value *v, bool port)
{
    bool must = port && !c->scope->up && !c->scope->func;
    ck_meta(c, v->meta, v->nmeta, v->at, 10);
    if (v->type && (v->type->kind != TY_NONE || must))
        ck_type(c, v->type, v->name, v->at, !must);
    if (must && !v->type)
        ck_add(c, FC_TYPE_MISSING, v->at, "'%s' has no type", v->name);
    else if (must && (v->type->kind == TY_TENSOR || v->type->kind == TY_SPARSE) && !v->type->has_shape)
        ck_add(c, FC_SHAPE_MISSING, v->at, "'%s' has no shape", v->name);
}

/* ---- names ---- */

static struct ck_name *look_up(const struct ck_scope *s, const char *name)
{
    for (; s; s = s->up) {
        struct ck_name *n = smap_get(&s->names, name);
        if (n)
            return n;
    }
    return NULL;
}

static struct ck_name *add_name(struct checker *c, struct ck_scope *s, const char *name)
{
    struct ck_name *n = arena_zalloc(c->a, sizeof *n);
    if (!n || !smap_put(&s->names, name, n)) {
        c->rc = err_nomem(c->cx);
        return NULL;
    }
    *n = (struct ck_name){.name = name, .node = SIZE_MAX};
    return n;
}

static bool outer_has(const struct ck_scope *s, const char *name)
{
    const struct ck_name *n = look_up(s->up, name);
    return n && n->ready;
}

static void add_inputs(struct checker *c, struct ck_scope *s)
{
    for (size_t i = 0; i < s->g->nins && !c->rc; i++) {
        const struct ol_value *v = &s->g->ins[i];
        if (!*v->name)
            ck_add(c, FC_NAME_EMPTY, v->at, "input %zu has no name", i);
        else if (smap_get(&s->names, v->name))
            ck_add(c, FC_INPUT_TWICE, v->at, "two inputs are called '%s'", v->name);
        else {
            struct ck_name *n = add_name(c, s, v->name);
            if (n)
                *n = (struct ck_name){v->name, v->type, SIZE_MAX, true, false, true};
            if (outer_has(s, v->name))
                ck_add(c, FC_SHADOWS_INPUT, v->at, "input '%s' hides a value of a graph around it", v->name);
        }
        look_declared(c, v, true);
    }
}

/* The type that an initializer has by itself. */
static struct ol_type *own_type(struct checker *c, int dt, size_t ndims, const int64_t *dims)
{
    struct ol_type *t = arena_zalloc(c->a, sizeof *t);
    struct ol_dim *d = arena_array(c->a, ndims, sizeof *d);
    if (!t || !d) {
        c->rc = err_nomem(c->cx);
        return NULL;
    }
    for (size_t i = 0; i < ndims; i++)
        d[i] = (struct ol_dim){OL_DIM_VALUE, dims[i], ""};
    *t = (struct ol_type){TY_TENSOR, true, true, dt, ndims, d, NULL};
    return t;
}

static void add_init(struct checker *c, struct ck_scope *s, const char *name, const struct ol_type *own,
                     uint64_t at)
{
    struct ck_name *n = smap_get(&s->names, name);
    if (!*name) {
        ck_add(c, FC_NAME_EMPTY, at, "an initializer has no name");
        return;
    }
    if (n && n->init)
        ck_add(c, FC_INIT_TWICE, at, "two initializers are called '%s'", name);
    else if (n && own && apart(own, n->type))
        ck_add(c, FC_INIT_DIFFERS, at, "initializer '%s' is of another type or shape than the input", name);
    if (!n && c->o->has_ir && c->o->ir < 4 && !s->up)
        ck_add(c, FC_INIT_NOT_INPUT, at, "initializer '%s' is no input, which IR version %lld demands", name,
               (long long)c->o->ir);
    if (!n && outer_has(s, name))
        ck_add(c, FC_SHADOWS_INPUT, at, "initializer '%s' hides a value of a graph around it", name);
    if (!n)
        n = add_name(c, s, name);
    if (n) {
        n->init = n->ready = true;
        n->type = n->type ? n->type : own;
    }
}

static void add_inits(struct checker *c, struct ck_scope *s)
{
    const struct ol_graph *g = s->g;
    for (size_t i = 0; i < g->ninits && !c->rc; i++) {
        const struct ol_tensor *t = &g->inits[i];
        add_init(c, s, t->name, own_type(c, t->dt, t->ndims, t->dims), t->at);
        ck_tensor(c, t);
    }
    for (size_t i = 0; i < g->nsparses && !c->rc; i++) {
        const struct ol_sparse *t = &g->sparses[i];
        const char *name = t->values ? t->values->name : "";
        add_init(c, s, name, NULL, t->at);
        ck_feature(c, t->at, 6, "a sparse initializer");
        ck_sparse(c, t, name);
    }
}

/* Outputs of all nodes, so that what comes later can be told from what does not exist. */
static void add_outputs(struct checker *c, struct ck_scope *s)
{
    for (size_t i = 0; i < s->g->nnodes && !c->rc; i++) {
        const struct ol_node *n = &s->g->nodes[i];
        for (size_t o = 0; o < n->nout && !c->rc; o++) {
            if (!*n->out[o])
                continue;
            const struct ck_name *have = smap_get(&s->names, n->out[o]);
            if (have) {
                c->node = n;
                ck_add(c, FC_DEFINED_TWICE, n->at, "output %zu is '%s', which %s already", o, n->out[o],
                       have->input  ? "is an input"
                       : have->init ? "is an initializer"
                                    : "a node makes");
                c->node = NULL;
                continue;
            }
            struct ck_name *made = add_name(c, s, n->out[o]);
            if (made)
                made->node = i;
        }
    }
}

/* ---- cycles ---- */

struct edges {
    size_t *to, n, cap;
};

/* Nodes of s that n needs, through its subgraphs too. */
static void needs(struct checker *c, const struct ck_scope *s, const struct ol_node *n, size_t self,
                  struct edges *e)
{
    for (size_t i = 0; i < n->nin; i++) {
        const struct ck_name *k = smap_get(&s->names, n->in[i]);
        if (!k || k->node == SIZE_MAX)
            continue;
        e->to = arena_grow(&c->cx->scratch, e->to, e->n, &e->cap, sizeof *e->to);
        if (!e->to) {
            c->rc = err_nomem(c->cx);
            e->n = 0;
            return;
        }
        e->to[e->n++] = k->node;
    }
    for (size_t a = 0; a < n->nattrs; a++)
        for (size_t g = 0; g < n->attrs[a].ngraphs; g++)
            for (size_t i = 0; i < n->attrs[a].graphs[g].nnodes && !c->rc; i++)
                needs(c, s, &n->attrs[a].graphs[g].nodes[i], self, e);
}

/* Nodes that only feed a cycle go as well, front to back. A chain of them in the worst order would take many
 * rounds: a few are enough to name a good place. */
static size_t drop_feeders(const struct edges *e, size_t *users, size_t n, size_t left)
{
    enum { ROUNDS = 16 };
    bool again = true;
    for (int round = 0; again && round < ROUNDS; round++) {
        again = false;
        for (size_t i = 0; i < n; i++) {
            bool fed = false;
            for (size_t k = 0; users[i] && k < e[i].n; k++)
                fed |= users[e[i].to[k]] > 0;
            if (!users[i] || fed)
                continue;
            users[i] = 0;
            left--;
            again = true;
        }
    }
    return left;
}

/* Takes nodes away that none of those left needs (Kahn's algorithm, from the end). */
static void look_cycles(struct checker *c, const struct ck_scope *s)
{
    size_t n = s->g->nnodes, head = 0, tail = 0;
    struct arena_mark mark = arena_mark(&c->cx->scratch);
    struct edges *e = arena_array(&c->cx->scratch, n, sizeof *e);
    size_t *users = arena_array(&c->cx->scratch, n, sizeof *users);
    size_t *queue = arena_array(&c->cx->scratch, n, sizeof *queue);
    if (!e || !users || !queue) {
        c->rc = err_nomem(c->cx);
        return;
    }
    for (size_t i = 0; i < n && !c->rc; i++) {
        needs(c, s, &s->g->nodes[i], i, &e[i]);
        for (size_t k = 0; k < e[i].n; k++)
            users[e[i].to[k]]++;
    }
    for (size_t i = 0; i < n; i++)
        if (!users[i])
            queue[tail++] = i;
    for (; head < tail && !c->rc; head++)
        for (size_t k = 0; k < e[queue[head]].n; k++)
            if (--users[e[queue[head]].to[k]] == 0)
                queue[tail++] = e[queue[head]].to[k];
    size_t left = tail < n && !c->rc ? drop_feeders(e, users, n, n - tail) : 0;
    for (size_t i = 0; i < n && left; i++) {
        if (!users[i])
            continue;
        c->node = &s->g->nodes[i];
        ck_add(c, FC_CYCLE, c->node->at, "%zu node%s in a cycle of inputs and outputs, this the first", left,
               left == 1 ? " is" : "s are");
        c->node = NULL;
        break;
    }
    arena_release(&c->cx->scratch, mark);
}

/* ---- nodes in order ---- */

/* Returns whether an input comes too late. */
static bool look_inputs(struct checker *c, const struct ck_scope *s, const struct ol_node *n)
{
    bool late = false;
    for (size_t i = 0; i < n->nin; i++) {
        const struct ck_name *k = *n->in[i] ? look_up(s, n->in[i]) : NULL;
        if (!*n->in[i] || (k && k->ready))
            continue;
        if (k)
            ck_add(c, FC_NOT_SORTED, n->at, "input %zu is '%s', which only a later node makes", i, n->in[i]);
        else
            ck_add(c, FC_UNKNOWN_NAME, n->at, "input %zu is '%s', which nothing defines", i, n->in[i]);
        late |= k != NULL;
    }
    return late;
}

static void look_subgraphs(struct checker *c, const struct ck_scope *s, const struct ol_node *n)
{
    const struct ol_node *keep = c->node;
    for (size_t a = 0; a < n->nattrs; a++)
        for (size_t g = 0; g < n->attrs[a].ngraphs && !c->rc; g++) {
            const char *label = *n->name ? n->name : n->nout ? n->out[0] : "";
            c->node = NULL;
            ck_graph(c, &n->attrs[a].graphs[g], s->func,
                     ck_print(c, "%s/%.60s '%.60s'.%.60s", s->path, n->op, label, n->attrs[a].name));
            c->node = keep;
        }
}

static void look_nodes(struct checker *c, struct ck_scope *s)
{
    bool late = false;
    for (size_t i = 0; i < s->g->nnodes && !c->rc; i++) {
        const struct ol_node *n = &s->g->nodes[i];
        c->node = n;
        late |= look_inputs(c, s, n);
        ck_node(c, n);
        look_subgraphs(c, s, n);
        for (size_t o = 0; o < n->nout; o++) {
            struct ck_name *k = *n->out[o] ? smap_get(&s->names, n->out[o]) : NULL;
            if (k && k->node == i && outer_has(s, n->out[o]))
                ck_add(c, FC_SHADOWS, n->at, "output '%s' has the name of a value of a graph around it",
                       n->out[o]);
            if (k)
                k->ready = true;
        }
        c->node = NULL;
    }
    if (late && !c->rc)
        look_cycles(c, s);
}

/* ---- outputs and other declarations ---- */

static void look_outputs(struct checker *c, const struct ck_scope *s)
{
    struct smap seen = {.arena = c->a};
    for (size_t i = 0; i < s->g->nouts && !c->rc; i++) {
        const struct ol_value *v = &s->g->outs[i];
        struct ck_name *n = smap_get(&s->names, v->name);
        if (!*v->name)
            ck_add(c, FC_NAME_EMPTY, v->at, "output %zu has no name", i);
        else if (smap_get(&seen, v->name))
            ck_add(c, s->func && !s->up ? FC_FUNC_PARAM_TWICE : FC_OUTPUT_TWICE, v->at,
                   "two outputs are called '%s'", v->name);
        else if (!smap_put(&seen, v->name, c))
            c->rc = err_nomem(c->cx);
        else if (!n && look_up(s->up, v->name))
            ck_add(c, FC_OUTPUT_OUTER, v->at, "output '%s' is a value of a graph around it", v->name);
        else if (!n)
            ck_add(c, FC_OUTPUT_NOT_MADE, v->at, "output '%s' is not made by any node", v->name);
        else if (apart(n->type, v->type))
            ck_add(c, FC_DECLARED_APART, v->at, "output '%s' is declared otherwise as input or initializer",
                   v->name);
        else if (!n->type)
            n->type = v->type;
        look_declared(c, v, true);
    }
}

static void look_infos(struct checker *c, const struct ck_scope *s)
{
    struct smap seen = {.arena = c->a};
    for (size_t i = 0; i < s->g->ninfos && !c->rc; i++) {
        const struct ol_value *v = &s->g->infos[i];
        const struct ck_name *n = smap_get(&s->names, v->name);
        if (!*v->name)
            ck_add(c, FC_INFO_UNKNOWN, v->at, "a value_info entry has no name");
        else if (smap_get(&seen, v->name))
            ck_add(c, FC_INFO_TWICE, v->at, "'%s' has two value_info entries", v->name);
        else if (!smap_put(&seen, v->name, c))
            c->rc = err_nomem(c->cx);
        else if (!n)
            ck_add(c, FC_INFO_UNKNOWN, v->at, "value_info names '%s', which the graph does not have",
                   v->name);
        else if (apart(n->type, v->type))
            ck_add(c, FC_DECLARED_APART, v->at, "value_info declares '%s' otherwise than it is", v->name);
        look_declared(c, v, false);
    }
    for (size_t i = 0; i < s->g->nannotated; i++)
        if (!smap_get(&s->names, s->g->annotated[i]))
            ck_add(c, FC_ANNOTATION_UNKNOWN, s->g->at,
                   "a quantization annotation is about '%s', which the graph does not have",
                   s->g->annotated[i]);
}

void ck_training(struct checker *c, const struct ol_graph *g, const char *path)
{
    const struct ol_graph *main = c->o->graph;
    struct ck_scope s = {.g = main, .path = "main", .names = {.arena = c->a}};
    for (size_t i = 0; main && i < main->ninits && !c->rc; i++) {
        struct ck_name *n = add_name(c, &s, main->inits[i].name);
        if (n)
            n->init = n->ready = true;
    }
    c->scope = &s;
    ck_graph(c, g, NULL, path);
    c->scope = NULL;
}

/* As deep as messages nest, which the decoder bounds. */
void ck_graph(struct checker *c, const struct ol_graph *g, const struct ol_function *func, const char *path)
{
    struct ck_scope s = {.up = c->scope, .g = g, .func = func, .path = path, .names = {.arena = c->a}};
    c->scope = &s;
    if (!*g->name && !func)
        ck_add(c, FC_GRAPH_UNNAMED, g->at, "the graph has no name");
    ck_meta(c, g->meta, g->nmeta, g->at, 10);
    if (g->nannotated)
        ck_ignored(c, g->at, 5, "a quantization annotation");
    add_inputs(c, &s);
    add_inits(c, &s);
    add_outputs(c, &s);
    look_nodes(c, &s);
    look_outputs(c, &s);
    look_infos(c, &s);
    c->scope = s.up;
}
