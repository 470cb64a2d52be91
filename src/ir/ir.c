/* Models and what can be asked of graphs without changing them. */
#include "ir/ir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/checked.h"
#include "base/err.h"
#include "ir/edit.h"

struct model *model_new(void)
{
    struct model *m = mem_zalloc(sizeof(*m));
    if (!m)
        return NULL;
    m->external_map.arena = &m->arena;
    struct cx cx;
    cx_init(&cx);
    int rc = graph_new(&cx, m, "main", NULL, &m->graph);
    cx_fini(&cx);
    if (rc == 0)
        return m;
    model_free(m);
    return NULL;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->external_map.cap; i++) {
        if (m->external_map.slots[i].val)
            file_unref(m->external_map.slots[i].val);
    }
    if (m->file)
        file_unref(m->file);
    for (struct held *h = m->held; h; h = h->next)
        tensor_data_release(h->data);
    arena_free(&m->arena);
    free(m);
}

void tensor_data_release(struct tensor_data *t)
{
    if (!t->owner)
        return;
    blob_unref(t->owner);
    t->owner = NULL;
    t->mem = NULL;
    t->payload = PL_GONE;
}

const char *domain_norm(const char *domain)
{
    return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

const char *domain_text(const char *domain)
{
    return domain && *domain ? domain : "ai.onnx";
}

int64_t graph_opset(const struct graph *g, const char *domain)
{
    const struct opset *o = g->func ? g->func->opsets : g->model->opsets;
    size_t n = g->func ? g->func->nopsets : g->model->nopsets;
    domain = domain_norm(domain);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(domain_norm(o[i].domain), domain) == 0)
            return o[i].version;
    }
    return 0;
}

const char *node_label(const struct node *n)
{
    for (int o = 0; !n->name[0] && o < n->nout; o++)
        if (n->out[o])
            return n->out[o]->name;
    return n->name;
}

const struct attr *node_attr(const struct node *n, const char *name)
{
    for (int i = 0; i < n->nattr; i++) {
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    }
    return NULL;
}

/* The graphs inside a node's attributes, one after the other. Returns NULL past the last. */
static struct graph *node_graph_at(const struct node *n, size_t *attr, size_t *k)
{
    for (; *attr < (size_t)n->nattr; (*attr)++, *k = 0) {
        const struct attr *a = &n->attrs[*attr];
        if (a->kind == AT_GRAPH && a->u.g && *k == 0) {
            ++*k;
            return a->u.g;
        }
        if (a->kind == AT_GRAPHS && *k < a->n)
            return a->u.graphs[(*k)++];
    }
    return NULL;
}

/* The first node from n on that has a graph attribute at or behind the place, with that graph. */
static struct graph *next_inner(struct node **n, size_t *attr, size_t *k)
{
    for (; *n; *n = (*n)->next, *attr = *k = 0) {
        struct graph *g = node_graph_at(*n, attr, k);
        if (g)
            return g;
    }
    return NULL;
}

/* Without recursion: the way back up from a graph is its owner node, where the place behind g is looked up.
 */
int graph_walk(struct graph *g, int (*fn)(void *user, struct graph *g, int depth), void *user)
{
    int rc = fn(user, g, 0);
    if (rc)
        return rc;
    int depth = 0;
    struct graph *at = g;
    struct node *n = g->first;
    size_t attr = 0, k = 0;
    for (;;) {
        struct graph *in = next_inner(&n, &attr, &k);
        if (in) {
            rc = fn(user, in, ++depth);
            if (rc)
                return rc;
            at = in;
            n = in->first;
            attr = k = 0;
            continue;
        }
        if (at == g)
            return 0;
        n = at->owner;
        attr = k = 0;
        struct graph *child = at;
        do
            in = next_inner(&n, &attr, &k);
        while (in && in != child);
        at = child->owner->graph;
        depth--;
    }
}

bool value_visible(const struct value *v, const struct graph *g)
{
    for (; g; g = g->owner ? g->owner->graph : NULL) {
        if (v->graph == g)
            return true;
    }
    return false;
}

struct value *graph_find(const struct graph *g, const char *name)
{
    for (; g; g = g->owner ? g->owner->graph : NULL) {
        struct value *v = smap_get(&g->names, name);
        if (v)
            return v;
    }
    return NULL;
}

int64_t tensor_data_count(const struct tensor_data *t)
{
    int64_t n = 0;
    return dims_count(t->dims, t->rank, &n) ? n : 0;
}

/* ---- text of types ---- */

/* Types nest; files nest them as deep as the decoder lets them. What is deeper than a person reads is cut. */
enum { TYPE_TEXT_DEPTH = 16 };

struct out {
    char *p;
    size_t n, size;
};

static void out_text(struct out *o, const char *s)
{
    for (; *s && o->n + 1 < o->size; s++)
        o->p[o->n++] = *s;
    if (o->size)
        o->p[o->n] = 0;
}

static void out_dims(struct out *o, const struct type *t)
{
    char buf[256];
    out_text(o, "[");
    if (t->rank < 0)
        out_text(o, "...");
    for (int i = 0; i < t->rank; i++) {
        if (i)
            out_text(o, ",");
        out_text(o, dim_text(t->dims[i], buf, sizeof(buf)));
    }
    out_text(o, "]");
}

static void out_type(struct out *o, const struct type *t)
{
    int close = 0;
    for (int depth = 0; depth < TYPE_TEXT_DEPTH; depth++, t = t->elem) {
        if (!t || t->kind == TY_NONE || t->kind == TY_OPAQUE) {
            out_text(o, t && t->kind == TY_OPAQUE ? "opaque" : "?");
            break;
        }
        if (t->kind == TY_TENSOR || t->kind == TY_SPARSE) {
            out_text(o, t->kind == TY_SPARSE ? "sparse " : "");
            out_text(o, t->dt == DT_UNDEFINED ? "?" : dtype_name(t->dt));
            out_dims(o, t);
            break;
        }
        if (t->kind == TY_MAP) {
            out_text(o, "map(");
            out_text(o, dtype_name(t->dt));
            out_text(o, ",");
        } else {
            out_text(o, t->kind == TY_SEQ ? "seq(" : "optional(");
        }
        close++;
    }
    while (close--)
        out_text(o, ")");
}

const char *type_text(const struct type *t, char *buf, size_t size)
{
    struct out o = {buf, 0, size};
    out_text(&o, "");
    out_type(&o, t);
    return buf;
}

bool type_same(const struct type *a, const struct type *b)
{
    for (; a && b; a = a->elem, b = b->elem) {
        if (a == b)
            return true;
        if (a->kind != b->kind)
            return false;
        if (a->kind == TY_SEQ || a->kind == TY_OPT)
            continue;
        if (a->dt != b->dt)
            return false;
        if (a->kind == TY_MAP)
            continue;
        if (a->rank != b->rank)
            return false;
        for (int i = 0; i < a->rank; i++) {
            if (!dim_same(a->dims[i], b->dims[i]) &&
                !(a->dims[i].kind == DIM_UNKNOWN && b->dims[i].kind == DIM_UNKNOWN))
                return false;
        }
    }
    return a == b;
}
