/* The inference driver: symbols through shape arithmetic, declarations, branches, functions, bindings, bounds
 * on work. */
#include "cmk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/infer.h"
#include "ir/edit.h"
#include "ops/op.h"

struct world {
    struct cx cx;
    struct arena arena;
    struct model *m;
    struct graph *g;
    struct inferred res;
    struct opset opsets[2];
    char warning[512];
};

static void keep_warning(void *user, enum log_level level, const char *line)
{
    struct world *w = user;
    (void)level;
    snprintf(w->warning, sizeof w->warning, "%s", line);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return -1;
    cx_init(&w->cx);
    w->cx.log = (struct log){keep_warning, w, LOG_WARN};
    w->m = model_new();
    if (!w->m)
        return -1;
    w->opsets[0] = (struct opset){"", 17};
    w->opsets[1] = (struct opset){"local", 1};
    w->m->opsets = w->opsets;
    w->m->nopsets = 2;
    w->m->ir_version = 8;
    w->g = w->m->graph;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    model_free(w->m);
    arena_free(&w->arena);
    cx_fini(&w->cx);
    free(w);
    return 0;
}

/* ---- building ---- */

/* "float[batch,3]" by parts; dims are texts, NULL-terminated. */
static struct type *type(struct world *w, enum dtype dt, const char *const *dims)
{
    struct type *t = arena_zalloc(&w->m->arena, sizeof *t);
    struct dim *d = arena_array(&w->m->arena, 8, sizeof *d);
    assert_non_null(t);
    assert_non_null(d);
    *t = (struct type){.kind = TY_TENSOR, .dt = dt, .dims = d};
    for (; dims[t->rank]; t->rank++)
        d[t->rank] = dim_symbol(model_syms(w->m), dims[t->rank]);
    return t;
}

static struct value *val(struct world *w, struct graph *g, const char *name)
{
    struct value *v = NULL;
    assert_int_equal(value_new(&w->cx, g, name, &v), 0);
    return v;
}

static struct value *input(struct world *w, const char *name, const char *const *dims)
{
    struct value *v = val(w, w->g, name);
    v->declared = type(w, DT_FLOAT, dims);
    assert_int_equal(graph_add_input(&w->cx, w->g, v), 0);
    return v;
}

static struct node *node_in(struct world *w, struct graph *g, const char *op, const char *name,
                            struct value *a, struct value *b)
{
    struct node *n = NULL;
    struct value *ins[2] = {a, b}, *outs[1] = {val(w, g, name)};
    const char *dom = strncmp(op, "F", 1) == 0 && op[1] >= '0' && op[1] <= '9' ? "local" : "";
    assert_int_equal(
        node_new(&w->cx, g, NULL, dom, op, name ? name : "", ins, b ? 2 : a != NULL, outs, 1, &n), 0);
    return n;
}

static struct value *op(struct world *w, const char *kind, const char *name, struct value *a, struct value *b)
{
    return node_in(w, w->g, kind, name, a, b)->out[0];
}

static struct value *ints(struct world *w, struct graph *g, const char *name, const int64_t *v, int64_t n)
{
    struct tensor t = {.dt = DT_INT64, .rank = 1, .dims = {n}, .data = (void *)v};
    struct value *c = NULL;
    assert_int_equal(graph_add_const(&w->cx, g, name, &t, &c), 0);
    return c;
}

static const struct tensor *constant(void *user, const struct value *v)
{
    static struct tensor t;
    (void)user;
    if (!v->init)
        return NULL;
    t = (struct tensor){.dt = v->init->dt, .rank = v->init->rank, .data = (void *)v->init->mem};
    memcpy(t.dims, v->init->dims, (size_t)t.rank * sizeof *t.dims);
    return &t;
}

static int run(struct world *w, struct infer_env env)
{
    env.konst = constant;
    assert_int_equal(ops_resolve(&w->cx, w->m), 0);
    return infer_model(&w->cx, w->m, &env, &w->arena, &w->res);
}

static void expect(struct world *w, const struct value *v, const char *want)
{
    char buf[256];
    assert_string_equal(type_text(w->res.type[v->id], buf, sizeof buf), want);
}

#define DIMS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- tests ---- */

/* Reshape to [shape(x)[0], -1] as exporters write it. */
static void test_shape_chain(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("batch", "seq", "12", "64"));
    struct value *shape = op(w, "Shape", "shape", x, NULL);
    struct value *zero = ints(w, w->g, "zero", (int64_t[]){0}, 1);
    struct value *batch = op(w, "Gather", "batch_dim", shape, zero);
    struct value *rest = ints(w, w->g, "rest", (int64_t[]){-1}, 1);
    struct node *cat = node_in(w, w->g, "Concat", "target", batch, rest);
    assert_int_equal(node_set_attr_int(&w->cx, cat, "axis", 0), 0);
    struct value *y = op(w, "Reshape", "y", x, cat->out[0]);
    struct value *back = op(w, "Reshape", "z", y, ints(w, w->g, "four", (int64_t[]){0, -1, 12, 64}, 4));

    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, y, "float[batch,768*seq]");
    expect(w, back, "float[batch,seq,12,64]");
    assert_non_null(w->res.val[batch->id]);
    assert_string_equal(w->res.val[batch->id]->d[0].e->name, "batch");
}

static void test_binding(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("n", "k"));
    struct value *y = op(w, "MatMul", "y", x, input(w, "w", DIMS("768", "5")));
    struct symtab *t = model_syms(w->m);
    struct binding b = {0};

    assert_true(binding_set(t, &w->arena, &b, dim_symbol(t, "n"), 3));
    assert_int_equal(run(w, (struct infer_env){.binding = &b}), 0);
    expect(w, y, "float[3,5]");
    expect(w, x, "float[3,768]");
    /* Learned under a binding: forgotten. Without one: kept. */
    assert_int_equal(dim_resolve(t, dim_symbol(t, "k")).kind, DIM_EXPR);
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, y, "float[n,5]");
    assert_true(dim_is(dim_resolve(t, dim_symbol(t, "k")), 768));
    struct binding wrong = {0};
    assert_true(binding_set(t, &w->arena, &wrong, dim_symbol(t, "k"), 5));
    assert_int_equal(run(w, (struct infer_env){.binding = &wrong}), E_SHAPE);
    assert_int_equal(w->cx.err.nframes, 2);
}

static void test_declared(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("batch", "8"));
    struct value *named = op(w, "Relu", "named", x, NULL), *stale = op(w, "Neg", "stale", x, NULL);
    struct value *wrong = op(w, "Abs", "wrong", x, NULL), *later = op(w, "Neg", "later", wrong, NULL);
    struct value *custom = op(w, "NoSuchOperator", "custom", x, NULL);
    struct symtab *t = model_syms(w->m);

    named->declared = type(w, DT_FLOAT, DIMS("rows", "8"));
    stale->declared = type(w, DT_FLOAT, DIMS("1", "8"));
    custom->declared = type(w, DT_INT64, DIMS("batch"));
    assert_int_equal(run(w, (struct infer_env){.strict = true}), 0);
    expect(w, named, "float[batch,8]");
    expect(w, stale, "float[batch,8]");
    expect(w, custom, "int64[batch]");
    /* "rows" was learned to be the batch, and the batch not to be 1. */
    assert_true(dim_same(dim_resolve(t, dim_symbol(t, "rows")), dim_symbol(t, "batch")));
    wrong->declared = type(w, DT_FLOAT, DIMS("batch", "9"));
    assert_int_equal(run(w, (struct infer_env){.strict = true}), E_SHAPE);
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, later, "float[batch,8]");
    assert_non_null(strstr(w->warning, "'wrong' is declared as float[batch,9]"));
    assert_int_equal(run(w, (struct infer_env){.ignore_declared = true, .strict = true}), 0);
    assert_null(w->res.type[custom->id]);
}

/* Two inputs with dims of their own meet: neither is guessed to be the other one. */
static void test_broadcast(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("batch", "seq", "8")), *m = input(w, "m", DIMS("rows", "1", "8"));
    struct value *y = op(w, "Add", "y", x, m), *z = op(w, "Mul", "z", y, x);

    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, y, "float[broadcast(batch, rows),seq,8]");
    expect(w, z, "float[broadcast(batch, rows),seq,8]");
    y->declared = type(w, DT_FLOAT, DIMS("1", "seq", "8"));
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, y, "float[broadcast(batch, rows),seq,8]");
    /* A declaration may say which of both it is. */
    y->declared = type(w, DT_FLOAT, DIMS("batch", "seq", "8"));
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, y, "float[batch,seq,8]");
    expect(w, z, "float[batch,seq,8]");
}

/* What -1 stands for in a shape made from another tensor's is a quotient. */
static void test_reshape_quotient(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("a", "b")), *like = input(w, "like", DIMS("c", "d"));
    struct value *shape = op(w, "Shape", "shape", like, NULL);
    struct value *rows = op(w, "Gather", "rows", shape, ints(w, w->g, "zero", (int64_t[]){0}, 1));
    struct node *cat = node_in(w, w->g, "Concat", "target", rows, ints(w, w->g, "rest", (int64_t[]){-1}, 1));
    assert_int_equal(node_set_attr_int(&w->cx, cat, "axis", 0), 0);
    struct value *y = op(w, "Reshape", "y", x, cat->out[0]);

    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, y, "float[c,floor(a*b/c)]");
}

static void test_keep_going(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("2", "3")), *z = input(w, "z", DIMS("4", "5"));
    struct value *bad = op(w, "Add", "bad", x, z), *good = op(w, "Relu", "good", x, NULL);

    assert_int_equal(run(w, (struct infer_env){0}), E_SHAPE);
    assert_null(w->res.type[good->id]);
    assert_int_equal(run(w, (struct infer_env){.keep_going = true}), 0);
    assert_null(w->res.type[bad->id]);
    expect(w, good, "float[2,3]");
    assert_non_null(strstr(w->warning, "node 'bad' (Add-14)"));
}

static struct graph *branch(struct world *w, struct node *n, const char *attr, struct value *a,
                            struct value *b)
{
    struct graph *g;
    assert_int_equal(graph_new(&w->cx, w->m, attr, n, &g), 0);
    struct value *out = node_in(w, g, b ? "MatMul" : "Relu", "branch_out", a, b)->out[0];
    assert_int_equal(graph_add_output(&w->cx, g, out), 0);
    struct attr at = {.name = attr, .kind = AT_GRAPH, .u.g = g};
    assert_int_equal(node_set_attr(&w->cx, n, &at), 0);
    return g;
}

/* What holds in one branch only must not be believed outside of it. */
static void test_if(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("n", "k")), *m = input(w, "m", DIMS("768", "4"));
    struct value *cond = val(w, w->g, "cond");
    struct symtab *t = model_syms(w->m);

    cond->declared = type(w, DT_BOOL, (const char *const[]){NULL});
    assert_int_equal(graph_add_input(&w->cx, w->g, cond), 0);
    struct node *n = node_in(w, w->g, "If", "y", cond, NULL);
    struct graph *yes = branch(w, n, "then_branch", x, m);
    struct graph *no = branch(w, n, "else_branch", x, NULL);
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, yes->outs[0], "float[n,4]");
    expect(w, no->outs[0], "float[n,k]");
    assert_int_equal(w->res.type[n->out[0]->id]->rank, 2);
    assert_string_equal(w->res.type[n->out[0]->id]->dims[0].e->name, "n");
    assert_true(dim_is_fresh(w->res.type[n->out[0]->id]->dims[1]));
    assert_true(dim_same(dim_resolve(t, dim_symbol(t, "k")), dim_symbol(t, "k")));
}

/* A known condition decides the types of the If; the branch that is never taken has types of its own. */
static void test_if_known(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("n", "k")), *m = input(w, "m", DIMS("768", "4"));
    struct tensor never = {.dt = DT_BOOL, .data = (bool[]){false}};
    struct value *cond = NULL;

    assert_int_equal(graph_add_const(&w->cx, w->g, "cond", &never, &cond), 0);
    struct node *n = node_in(w, w->g, "If", "y", cond, NULL);
    struct graph *yes = branch(w, n, "then_branch", x, m);
    struct graph *no = branch(w, n, "else_branch", x, NULL);
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, yes->outs[0], "float[n,4]");
    expect(w, no->outs[0], "float[n,k]");
    expect(w, n->out[0], "float[n,k]");
}

/* Function Fk of one input and one output; its body is made by the caller. */
static struct function *function(struct world *w, size_t k)
{
    struct function *f = arena_zalloc(&w->m->arena, sizeof *f);
    assert_non_null(f);
    f->domain = "local";
    f->name = arena_printf(&w->m->arena, "F%zu", k);
    f->overload = "";
    f->opsets = w->opsets;
    f->nopsets = 2;
    assert_int_equal(graph_new(&w->cx, w->m, f->name, NULL, &f->body), 0);
    f->body->func = f;
    assert_int_equal(graph_add_input(&w->cx, f->body, val(w, f->body, "a")), 0);
    w->m->funcs[k] = f;
    w->m->nfuncs = k + 1 > w->m->nfuncs ? k + 1 : w->m->nfuncs;
    return f;
}

static void test_function_attributes(void **state)
{
    struct world *w = *state;
    struct function *list[1];
    struct attr ref = {.name = "perm", .kind = AT_INTS, .ref = "order"};

    w->m->funcs = list;
    struct function *f = function(w, 0);
    struct node *tr = node_in(w, f->body, "Transpose", "t", f->body->ins[0], NULL);
    assert_int_equal(node_set_attr(&w->cx, tr, &ref), 0);
    assert_int_equal(graph_add_output(&w->cx, f->body, tr->out[0]), 0);
    struct value *x = input(w, "x", DIMS("a", "b", "c"));
    struct node *one = node_in(w, w->g, "F0", "one", x, NULL), *two = node_in(w, w->g, "F0", "two", x, NULL);
    assert_int_equal(node_set_attr_ints(&w->cx, one, "order", (int64_t[]){0, 2, 1}, 3), 0);
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, one->out[0], "float[a,c,b]");
    /* Left out by the caller: Transpose's own default. */
    expect(w, two->out[0], "float[c,b,a]");
    /* One body, two calls: what holds for both. */
    expect(w, tr->out[0], "float[?,?,?]");
    expect(w, f->body->ins[0], "float[a,b,c]");
}

/* A constant of the caller is one in the body. */
static void test_function_constant(void **state)
{
    struct world *w = *state;
    struct function *list[1];
    w->m->funcs = list;
    struct function *f = function(w, 0);
    struct value *b = val(w, f->body, "b");
    assert_int_equal(graph_add_input(&w->cx, f->body, b), 0);
    struct node *n = node_in(w, f->body, "Reshape", "r", f->body->ins[0], b);
    assert_int_equal(graph_add_output(&w->cx, f->body, n->out[0]), 0);
    struct value *x = input(w, "x", DIMS("n", "6"));
    struct value *y = op(w, "F0", "y", x, ints(w, w->g, "c", (int64_t[]){-1, 3}, 2));
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    expect(w, y, "float[2*n,3]");
}

/* F0 calls F1 twice, that F2 twice, ...: 2^40 paths, few of which need a look. */
static void test_function_tower(void **state)
{
    enum { LEVELS = 40 };
    struct world *w = *state;
    struct function *list[LEVELS + 1];

    w->m->funcs = list;
    for (size_t i = 0; i <= LEVELS; i++) {
        char callee[16] = "Relu";
        struct function *f = function(w, i);
        if (i < LEVELS)
            snprintf(callee, sizeof callee, "F%zu", i + 1);
        struct value *a = node_in(w, f->body, callee, "p", f->body->ins[0], NULL)->out[0];
        struct value *b = node_in(w, f->body, callee, "q", a, NULL)->out[0];
        assert_int_equal(graph_add_output(&w->cx, f->body, b), 0);
    }
    struct value *y = op(w, "F0", "y", input(w, "x", DIMS("n")), NULL);
    double t = time_now();
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    assert_true(time_now() - t < 1);
    expect(w, y, "float[n]");
}

static void test_function_recursion(void **state)
{
    struct world *w = *state;
    struct function *list[1];
    w->m->funcs = list;
    struct function *f = function(w, 0);
    struct value *a = node_in(w, f->body, "Relu", "p", f->body->ins[0], NULL)->out[0];
    struct node *self = node_in(w, f->body, "F0", "q", a, NULL);
    assert_int_equal(graph_add_output(&w->cx, f->body, self->out[0]), 0);
    op(w, "F0", "y", input(w, "x", DIMS("n")), NULL);
    assert_int_equal(run(w, (struct infer_env){0}), E_LIMIT);
}

static void test_many_nodes(void **state)
{
    enum { N = 100000 };
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("batch", "16", "h", "w")), *prev = x;

    for (int i = 0; i < N; i++)
        prev = op(w, i % 3 ? "Relu" : "Add", NULL, prev, i % 3 ? NULL : x);
    double t = time_now();
    assert_int_equal(run(w, (struct infer_env){0}), 0);
    assert_true(time_now() - t < 1);
    expect(w, prev, "float[batch,16,h,w]");
}

static void test_one_node(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x", DIMS("n", "6"));
    struct value *c = ints(w, w->g, "c", (int64_t[]){3, -1}, 2);
    struct node *n = op(w, "Reshape", "y", x, c)->producer;
    struct type in = {
        .kind = TY_TENSOR, .dt = DT_FLOAT, .rank = 2, .dims = (struct dim[]){dim_const(4), dim_const(6)}};
    struct type shape = {.kind = TY_TENSOR, .dt = DT_INT64, .rank = 1, .dims = (struct dim[]){dim_const(2)}};
    const struct type *ins[2] = {&in, &shape};
    const struct tensor *konst[2] = {NULL, constant(NULL, c)};
    struct type *out[1] = {NULL};
    const void *params;
    char buf[64];

    assert_int_equal(ops_resolve(&w->cx, w->m), 0);
    assert_int_equal(node_params(&w->cx, n, &params), 0);
    assert_int_equal(infer_node(&w->cx, n, params, model_syms(w->m), &w->arena, ins, konst, out), 0);
    assert_string_equal(type_text(out[0], buf, sizeof buf), "float[3,8]");
}

static void test_apply(void **state)
{
    struct world *w = *state;
    struct value *y = op(w, "Relu", "y", input(w, "x", DIMS("n")), NULL);
    char buf[64];

    assert_int_equal(run(w, (struct infer_env){0}), 0);
    infer_apply(w->m, &w->res);
    arena_free(&w->arena);
    assert_string_equal(type_text(y->type, buf, sizeof buf), "float[n]");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shape_chain),
        TEST(test_binding),
        TEST(test_declared),
        TEST(test_broadcast),
        TEST(test_reshape_quotient),
        TEST(test_keep_going),
        TEST(test_if),
        TEST(test_if_known),
        TEST(test_function_attributes),
        TEST(test_function_constant),
        TEST(test_function_tower),
        TEST(test_function_recursion),
        TEST(test_many_nodes),
        TEST(test_one_node),
        TEST(test_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
