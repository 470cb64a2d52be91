/* Counts over a model. */
#include "analyze/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "io/external.h"
#include "ops/op.h"
#include "ops/schema.h"

struct count {
    struct cx *cx;
    struct arena *arena;
    struct model *m;
    struct stats *s;
    struct smap ops, files, ranges; /* ranges: "location:offset:length" of external tensors */
    size_t cap_ops, cap_files;
};

static int64_t add_sat(int64_t a, int64_t b)
{
    int64_t r;
    return add_i64(a, b, &r) ? r : INT64_MAX;
}

static void add_share(struct type_share *s, const struct tensor_data *t, uint64_t bytes)
{
    s->tensors++;
    s->params = add_sat(s->params, tensor_data_count(t));
    s->bytes += bytes;
}

/* ---- external data ---- */

static struct file_share *file_of(struct count *c, const char *location)
{
    size_t at = (size_t)(uintptr_t)smap_get(&c->files, location);
    if (at)
        return &c->s->files[at - 1];
    struct stats *s = c->s;
    if (s->nfiles == c->cap_files) {
        s->files = arena_grow(c->arena, s->files, s->nfiles, &c->cap_files, sizeof *s->files);
        if (!s->files)
            return NULL;
    }
    s->files[s->nfiles++] = (struct file_share){.location = location};
    return smap_put(&c->files, location, (void *)(uintptr_t)s->nfiles) ? &s->files[s->nfiles - 1] : NULL;
}

/* Keeps the message of cx as the file's problem, the first one. */
static int note_problem(struct count *c, struct file_share *f)
{
    char text[1024];
    err_format(&c->cx->err, text, sizeof text);
    err_clear(c->cx);
    if (!f->problem)
        f->problem = arena_strdup(c->arena, text);
    return f->problem ? OK : err_nomem(c->cx);
}

/* *first: false when another tensor has the same bytes. */
static int see_external(struct count *c, const struct tensor_data *t, bool *first)
{
    char key[512];
    struct file *f;
    uint64_t off, len = 0;
    struct file_share *share = file_of(c, t->location);
    if (!share)
        return err_nomem(c->cx);
    int rc = external_range(c->cx, c->m, t, &f, &off, &len);
    if (rc == E_NOMEM)
        return rc;
    if (rc) {
        len = t->ext_len == UINT64_MAX ? 0 : t->ext_len;
        rc = note_problem(c, share);
    }
    share->tensors++;
    snprintf(key, sizeof key, "%llu:%llu:%.400s", (unsigned long long)t->ext_off, (unsigned long long)len,
             t->location);
    *first = !smap_get(&c->ranges, key);
    if (!*first || rc)
        return rc;
    share->bytes += len;
    char *kept = arena_strdup(c->arena, key);
    return kept && smap_put(&c->ranges, kept, kept) ? OK : err_nomem(c->cx);
}

static int see_tensor(struct count *c, const struct tensor_data *t, struct type_share *sum, bool by_type)
{
    uint64_t bytes = t->file_bytes;
    bool first = true;
    if (t->payload == PL_EXTERNAL) {
        int rc = see_external(c, t, &first);
        if (rc)
            return rc;
        int64_t n = tensor_data_count(t);
        if (n < 0 || !dtype_file_size(t->dt, (uint64_t)n, &bytes))
            bytes = 0;
    }
    if (!first) {
        c->s->shared++;
        return OK;
    }
    add_share(sum, t, bytes);
    if (by_type && t->dt < DT_COUNT)
        add_share(&c->s->by_type[t->dt], t, bytes);
    return OK;
}

/* ---- nodes ---- */

static int see_op(struct count *c, const struct node *n)
{
    char key[512];
    struct stats *s = c->s;
    snprintf(key, sizeof key, "%.200s:%.200s:%d", n->domain, n->op_type, n->func != NULL);
    size_t at = (size_t)(uintptr_t)smap_get(&c->ops, key);
    if (at) {
        s->ops[at - 1].count++;
        return OK;
    }
    if (s->nops == c->cap_ops) {
        s->ops = arena_grow(c->arena, s->ops, s->nops, &c->cap_ops, sizeof *s->ops);
        if (!s->ops)
            return err_nomem(c->cx);
    }
    s->ops[s->nops++] = (struct op_share){.domain = n->domain,
                                          .op = n->op_type,
                                          .since = n->ver && !n->func ? n->ver->since : 0,
                                          .count = 1,
                                          .runnable = n->op || n->func,
                                          .function = n->func != NULL};
    char *kept = arena_strdup(c->arena, key);
    return kept && smap_put(&c->ops, kept, (void *)(uintptr_t)s->nops) ? OK : err_nomem(c->cx);
}

static int see_attrs(struct count *c, const struct node *n)
{
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        size_t count = a->kind == AT_TENSOR ? 1 : a->kind == AT_TENSORS ? a->n : 0;
        for (size_t k = 0; k < count && !a->ref; k++) {
            int rc = see_tensor(c, a->kind == AT_TENSOR ? a->u.t : a->u.tensors[k], &c->s->constants, false);
            if (rc)
                return rc;
        }
    }
    return OK;
}

static int see_graph(void *user, struct graph *g, int depth)
{
    struct count *c = user;
    if (depth > 0)
        c->s->subgraphs++;
    if (depth > c->s->depth)
        c->s->depth = depth;
    for (size_t i = 0; i < g->ninits; i++) {
        const struct value *v = g->inits[i];
        int rc = see_tensor(c, v->init ? v->init : &v->sparse->values, &c->s->weights, true);
        if (rc)
            return rc;
    }
    for (struct node *n = g->first; n; n = n->next) {
        c->s->nodes++;
        int rc = see_op(c, n);
        if (!rc)
            rc = see_attrs(c, n);
        if (rc)
            return rc;
    }
    return OK;
}

static int by_frequency(const void *pa, const void *pb)
{
    const struct op_share *a = pa, *b = pb;
    int d = strcmp(a->domain, b->domain);
    if (d)
        return d;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    d = strcmp(a->op, b->op);
    return d ? d : a->function - b->function;
}

int stats_model(struct cx *cx, struct model *m, struct arena *arena, struct stats *out)
{
    *out = (struct stats){0};
    struct count c = {.cx = cx, .arena = arena, .m = m, .s = out};
    c.ops.arena = c.files.arena = c.ranges.arena = arena;
    int rc = graph_walk(m->graph, see_graph, &c);
    for (size_t i = 0; i < m->nfuncs && !rc; i++)
        rc = graph_walk(m->funcs[i]->body, see_graph, &c);
    if (!rc && out->nops)
        qsort(out->ops, out->nops, sizeof *out->ops, by_frequency);
    return rc;
}
