/* Small models from names, for tests: values are made where they are first mentioned. */
#ifndef TESTS_UNIT_BUILD_H
#define TESTS_UNIT_BUILD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmk.h"

#include "base/err.h"
#include "base/tensor.h"
#include "ir/edit.h"
#include "shape/dim_expr.h"

struct build {
    struct cx *cx;
    struct model *m;
    struct graph *g; /* where nodes go: the main graph, or a body */
};

static inline struct build build_new(struct cx *cx, int64_t opset)
{
    struct build b = {.cx = cx, .m = model_new()};
    assert_non_null(b.m);
    struct opset *o = arena_zalloc(&b.m->arena, sizeof *o);
    assert_non_null(o);
    *o = (struct opset){"", opset};
    b.m->opsets = o;
    b.m->nopsets = 1;
    b.m->ir_version = 8;
    b.g = b.m->graph;
    return b;
}

/* The next of space-separated names in s; false at the end. */
static inline bool next_word(const char **s, char *word, size_t size)
{
    *s += strspn(*s, " ");
    size_t n = strcspn(*s, " ");
    if (!n)
        return false;
    assert_true(n < size);
    memcpy(word, *s, n);
    word[n] = 0;
    *s += n;
    return true;
}

/* Found from the graph outwards, else made in it. "-" is a value left out. */
static inline struct value *build_value(struct build *b, const char *name)
{
    if (strcmp(name, "-") == 0)
        return NULL;
    struct value *v = graph_find(b->g, name);
    if (!v)
        assert_int_equal(value_new(b->cx, b->g, name, &v), OK);
    return v;
}

/* "n 3 4" are dims; NULL: no rank declared. */
static inline struct type *build_type(struct build *b, enum dtype dt, const char *dims)
{
    struct type *t = arena_zalloc(&b->m->arena, sizeof *t);
    char word[64], *end;
    assert_non_null(t);
    *t = (struct type){.kind = TY_TENSOR, .dt = dt, .rank = dims ? 0 : -1};
    t->dims = arena_array(&b->m->arena, TENSOR_MAX_RANK, sizeof *t->dims);
    assert_non_null(t->dims);
    while (dims && next_word(&dims, word, sizeof word)) {
        int64_t k = strtoll(word, &end, 10);
        t->dims[t->rank++] = strcmp(word, "?") == 0 ? dim_unknown()
                             : *end                 ? dim_symbol(model_syms(b->m), word)
                                                    : dim_const(k);
    }
    return t;
}

static inline struct value *build_in(struct build *b, const char *name, enum dtype dt, const char *dims)
{
    struct value *v = build_value(b, name);
    v->declared = build_type(b, dt, dims);
    assert_int_equal(graph_add_input(b->cx, b->g, v), OK);
    return v;
}

static inline struct value *build_out(struct build *b, const char *name, enum dtype dt, const char *dims)
{
    struct value *v = build_value(b, name);
    v->declared = build_type(b, dt, dims);
    assert_int_equal(graph_add_output(b->cx, b->g, v), OK);
    return v;
}

/* A body's output, of no declared type. */
static inline void build_body_out(struct build *b, const char *name)
{
    assert_int_equal(graph_add_output(b->cx, b->g, build_value(b, name)), OK);
}

static inline void build_const(struct build *b, const char *name, enum dtype dt, const char *dims,
                               const void *data)
{
    struct tensor t = {.dt = dt, .data = (void *)(uintptr_t)data};
    char word[64];
    struct value *v;
    while (next_word(&dims, word, sizeof word))
        t.dims[t.rank++] = strtoll(word, NULL, 10);
    assert_int_equal(graph_add_const(b->cx, b->g, name, &t, &v), OK);
    assert_string_equal(v->name, name);
}

static inline void build_ints(struct build *b, const char *name, int64_t n, const int64_t *v)
{
    char dims[32];
    snprintf(dims, sizeof dims, "%lld", (long long)n);
    build_const(b, name, DT_INT64, dims, v);
}

static inline void build_float(struct build *b, const char *name, float v)
{
    build_const(b, name, DT_FLOAT, "", &v);
}

static inline void build_bool(struct build *b, const char *name, bool v)
{
    build_const(b, name, DT_BOOL, "", &v);
}

/* The node is called as its first output. */
static inline struct node *build_node(struct build *b, const char *op, const char *ins, const char *outs)
{
    struct value *in[16], *out[16];
    int nin = 0, nout = 0;
    char word[64], name[64] = "";
    struct node *n;
    while (next_word(&ins, word, sizeof word))
        in[nin++] = build_value(b, word);
    while (next_word(&outs, word, sizeof word)) {
        if (!nout)
            memcpy(name, word, sizeof name);
        out[nout++] = build_value(b, word);
    }
    assert_int_equal(node_new(b->cx, b->g, NULL, "", op, name, in, nin, out, nout, &n), OK);
    return n;
}

/* A graph that is attribute attr of n. */
static inline struct build build_body(struct build *b, struct node *n, const char *attr)
{
    struct build in = *b;
    assert_int_equal(graph_new(b->cx, b->m, attr, n, &in.g), OK);
    char *name = arena_strdup(&b->m->arena, attr);
    assert_non_null(name);
    struct attr a = {.name = name, .kind = AT_GRAPH, .u.g = in.g};
    assert_int_equal(node_set_attr(b->cx, n, &a), OK);
    return in;
}

#endif
