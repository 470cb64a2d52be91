/* Every value gets the hash of what it is made from: a Merkle tree over the graph, from inputs to outputs. */
#include "analyze/fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "io/tensor_pb.h"
#include "ops/schema.h"

enum { HASH = 32, SMALL = 1024, CALL_DEPTH_MAX = 64 };

struct fp {
    struct cx *cx;
    struct model *m;
    bool weights;
    uint8_t (*value)[HASH]; /* by value id */
    int calls;
    struct smap bodies; /* hash of a function's body, by its name */
};

static void add_u64(struct sha256 *s, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> 8 * i);
    sha256_add(s, b, sizeof b);
}

static void add_bytes(struct sha256 *s, const void *p, size_t n)
{
    add_u64(s, n);
    sha256_add(s, p, n);
}

static void add_text(struct sha256 *s, const char *text)
{
    add_bytes(s, text, strlen(text));
}

static void begin(struct sha256 *s, const char *what)
{
    sha256_init(s);
    add_text(s, what);
}

/* ---- types and tensors ---- */

static void add_type(struct sha256 *s, const struct type *t)
{
    if (!t) {
        add_u64(s, UINT64_MAX);
        return;
    }
    add_u64(s, t->kind);
    add_u64(s, t->dt);
    add_u64(s, (uint64_t)(int64_t)t->rank);
    /* Names of symbols do not count. */
    for (int i = 0; i < t->rank; i++)
        add_u64(s, t->dims[i].kind == DIM_CONST ? (uint64_t)t->dims[i].v : UINT64_MAX);
    if (t->elem)
        add_type(s, t->elem);
}

static bool values_count(const struct fp *f, const struct tensor_data *t)
{
    int64_t n = tensor_data_count(t);
    return f->weights || n == 1 || ((t->dt == DT_INT64 || t->dt == DT_BOOL) && n <= SMALL / 8);
}

static int add_values(struct fp *f, struct sha256 *s, const struct tensor_data *t)
{
    struct tensor x;
    memset(&x, 0, sizeof x);
    int rc = tensor_load(f->cx, f->m, t, &x);
    if (rc)
        return rc;
    if (t->dt == DT_STRING) {
        const struct ostr *p = x.data;
        for (int64_t i = 0, n = tensor_count(&x); i < n; i++)
            add_bytes(s, p[i].p, p[i].n);
    } else if (tensor_bytes(&x)) {
        sha256_add(s, x.data, tensor_bytes(&x));
    }
    tensor_drop(&x);
    return OK;
}

static int add_tensor(struct fp *f, struct sha256 *s, const struct tensor_data *t)
{
    add_u64(s, t->dt);
    add_u64(s, (uint64_t)t->rank);
    for (int i = 0; i < t->rank; i++)
        add_u64(s, (uint64_t)t->dims[i]);
    return values_count(f, t) ? add_values(f, s, t) : OK;
}

static int add_sparse(struct fp *f, struct sha256 *s, const struct sparse_data *t)
{
    add_u64(s, (uint64_t)t->rank);
    for (int i = 0; i < t->rank; i++)
        add_u64(s, (uint64_t)t->dims[i]);
    int rc = add_tensor(f, s, &t->indices);
    return rc ? rc : add_tensor(f, s, &t->values);
}

/* ---- nodes ---- */

static int hash_graph(struct fp *f, struct graph *g, bool typed, uint8_t out[HASH]);

static int add_graph(struct fp *f, struct sha256 *s, struct graph *g)
{
    uint8_t h[HASH];
    int rc = hash_graph(f, g, false, h);
    sha256_add(s, h, HASH);
    return rc;
}

static int add_list_item(struct fp *f, struct sha256 *s, const struct attr *a, size_t i)
{
    switch (a->kind) {
    case AT_FLOATS:
        sha256_add(s, &a->u.floats[i], sizeof(float));
        return OK;
    case AT_INTS:
        add_u64(s, (uint64_t)a->u.ints[i]);
        return OK;
    case AT_STRINGS:
        add_bytes(s, a->u.strings[i].p, a->u.strings[i].n);
        return OK;
    case AT_TENSORS:
        return add_tensor(f, s, a->u.tensors[i]);
    case AT_GRAPHS:
        return add_graph(f, s, a->u.graphs[i]);
    case AT_SPARSES:
        return add_sparse(f, s, a->u.sparses[i]);
    case AT_TYPES:
        add_type(s, a->u.types[i]);
        return OK;
    default:
        return OK;
    }
}

static int add_attr(struct fp *f, struct sha256 *s, const struct attr *a)
{
    add_text(s, a->name);
    add_u64(s, a->kind);
    if (a->ref) {
        add_text(s, a->ref);
        return OK;
    }
    switch (a->kind) {
    case AT_FLOAT:
        sha256_add(s, &a->u.f, sizeof a->u.f);
        return OK;
    case AT_INT:
        add_u64(s, (uint64_t)a->u.i);
        return OK;
    case AT_STRING:
        add_bytes(s, a->u.s.p, a->u.s.n);
        return OK;
    case AT_TENSOR:
        return add_tensor(f, s, a->u.t);
    case AT_GRAPH:
        return add_graph(f, s, a->u.g);
    case AT_SPARSE:
        return add_sparse(f, s, a->u.sparse);
    case AT_TYPE:
        add_type(s, a->u.type);
        return OK;
    default:
        break;
    }
    int rc = OK;
    add_u64(s, a->n);
    for (size_t i = 0; i < a->n && !rc; i++)
        rc = add_list_item(f, s, a, i);
    return rc;
}

static int by_attr_name(const void *a, const void *b)
{
    return strcmp((*(const struct attr *const *)a)->name, (*(const struct attr *const *)b)->name);
}

static int add_attrs(struct fp *f, struct sha256 *s, const struct node *n)
{
    const struct attr **list = arena_array(&f->cx->scratch, (size_t)n->nattr + 1, sizeof *list);
    if (!list)
        return err_nomem(f->cx);
    for (int i = 0; i < n->nattr; i++)
        list[i] = &n->attrs[i];
    if (n->nattr)
        qsort(list, (size_t)n->nattr, sizeof *list, by_attr_name);
    int rc = OK;
    add_u64(s, (uint64_t)n->nattr);
    for (int i = 0; i < n->nattr && !rc; i++)
        rc = add_attr(f, s, list[i]);
    return rc;
}

/* Once a function: what a call passes in is part of the calling node. */
static int add_body(struct fp *f, struct sha256 *s, const struct function *fn)
{
    char *key = arena_printf(&f->cx->scratch, "%s:%s:%s", fn->domain, fn->name, fn->overload);
    uint8_t *h = key ? smap_get(&f->bodies, key) : NULL;
    int rc = OK;
    if (!h) {
        h = arena_alloc(&f->cx->scratch, HASH);
        if (!key || !h)
            return err_nomem(f->cx);
        rc = hash_graph(f, fn->body, false, h);
        if (!rc && !smap_put(&f->bodies, key, h))
            rc = err_nomem(f->cx);
    }
    sha256_add(s, h, HASH);
    return rc;
}

static int add_operator(struct fp *f, struct sha256 *s, const struct node *n)
{
    if (n->func && f->calls < CALL_DEPTH_MAX) {
        f->calls++;
        int rc = add_body(f, s, n->func);
        f->calls--;
        return rc;
    }
    add_text(s, n->domain);
    add_text(s, n->op_type);
    add_u64(s, n->ver ? (uint64_t)n->ver->since : (uint64_t)graph_opset(n->graph, n->domain));
    return OK;
}

/* Trailing inputs left out are the same as not written. */
static int inputs_used(const struct node *n)
{
    int k = n->nin;
    while (k && !n->in[k - 1])
        k--;
    return k;
}

/* Most nodes have one output: the first is the node's own hash. */
static void hash_output(const uint8_t node[HASH], int i, uint8_t out[HASH])
{
    struct sha256 s;
    if (i == 0) {
        memcpy(out, node, HASH);
        return;
    }
    begin(&s, "output");
    sha256_add(&s, node, HASH);
    add_u64(&s, (uint64_t)i);
    sha256_done(&s, out);
}

static int hash_node(struct fp *f, const struct node *n)
{
    struct sha256 s;
    uint8_t h[HASH];
    begin(&s, "node");
    int rc = add_operator(f, &s, n);
    if (!rc)
        rc = add_attrs(f, &s, n);
    int nin = inputs_used(n);
    add_u64(&s, (uint64_t)nin);
    for (int i = 0; i < nin; i++) {
        add_u64(&s, n->in[i] != NULL);
        if (n->in[i])
            sha256_add(&s, f->value[n->in[i]->id], HASH);
    }
    sha256_done(&s, h);
    for (int i = 0; i < n->nout && !rc; i++)
        if (n->out[i])
            hash_output(h, i, f->value[n->out[i]->id]);
    return rc;
}

static int hash_inits(struct fp *f, const struct graph *g)
{
    int rc = OK;
    for (size_t i = 0; i < g->ninits && !rc; i++) {
        const struct value *v = g->inits[i];
        struct sha256 s;
        begin(&s, v->init ? "weight" : "sparse");
        rc = v->init ? add_tensor(f, &s, v->init) : add_sparse(f, &s, v->sparse);
        sha256_done(&s, f->value[v->id]);
    }
    return rc;
}

static int hash_graph(struct fp *f, struct graph *g, bool typed, uint8_t out[HASH])
{
    struct sha256 s;
    int rc = hash_inits(f, g);
    /* Inputs count by position: those that must be fed, then nothing of the ones with a default. */
    for (size_t i = 0, at = 0; i < g->nins && !rc; i++) {
        if (g->ins[i]->init || g->ins[i]->sparse)
            continue;
        begin(&s, "input");
        add_u64(&s, at++);
        if (typed)
            add_type(&s, g->ins[i]->declared);
        sha256_done(&s, f->value[g->ins[i]->id]);
    }
    for (const struct node *n = g->first; n && !rc; n = n->next)
        rc = hash_node(f, n);
    begin(&s, "graph");
    add_u64(&s, g->nouts);
    for (size_t i = 0; i < g->nouts; i++)
        sha256_add(&s, f->value[g->outs[i]->id], HASH);
    sha256_done(&s, out);
    return rc;
}

int fingerprint_model(struct cx *cx, struct model *m, bool weights, char hex[65])
{
    uint8_t h[HASH];
    struct fp f = {.cx = cx, .m = m, .weights = weights};
    f.bodies.arena = &cx->scratch;
    f.value = mem_zalloc(((size_t)m->nvalues + 1) * sizeof *f.value);
    if (!f.value)
        return err_nomem(cx);
    int rc = hash_graph(&f, m->graph, true, h);
    for (int i = 0; i < HASH && !rc; i++)
        snprintf(hex + 2 * i, 3, "%02x", h[i]);
    free(f.value);
    return rc;
}
