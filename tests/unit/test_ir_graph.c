/* Editing, ordering and printing of graphs; verify() must see what is broken, and nothing after an edit. */
#include "cmk.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/tensor.h"
#include "ir/edit.h"
#include "ir/order.h"
#include "ir/print.h"
#include "ir/verify.h"

struct world {
    struct cx cx;
    struct model *m;
    struct graph *g;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return -1;
    cx_init(&w->cx);
    w->m = model_new();
    w->g = w->m ? w->m->graph : NULL;
    *state = w;
    return w->m ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    model_free(w->m);
    cx_fini(&w->cx);
    free(w);
    return 0;
}

static struct value *val(struct world *w, struct graph *g, const char *name)
{
    struct value *v = NULL;
    assert_int_equal(value_new(&w->cx, g, name, &v), 0);
    return v;
}

static struct value *input(struct world *w, const char *name)
{
    struct value *v = val(w, w->g, name);
    assert_int_equal(graph_add_input(&w->cx, w->g, v), 0);
    return v;
}

static struct node *node(struct world *w, struct graph *g, const char *op, struct value *a, struct value *b,
                         struct value *out)
{
    struct node *n = NULL;
    struct value *ins[2] = {a, b}, *outs[1] = {out};
    assert_int_equal(node_new(&w->cx, g, NULL, "", op, op, ins, b ? 2 : 1, outs, 1, &n), 0);
    return n;
}

static void expect_sound(struct world *w)
{
    if (model_verify(&w->cx, w->m))
        fail_msg("%s", w->cx.err.msg);
}

static void expect_order(struct graph *g, const char *const *ops)
{
    struct node *n = g->first;
    for (; *ops; ops++, n = n->next) {
        assert_non_null(n);
        assert_string_equal(n->op_type, *ops);
    }
    assert_null(n);
}

static void test_build_and_remove(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x"), *y = val(w, w->g, "y"), *z = val(w, w->g, "z");
    struct node *a = node(w, w->g, "Relu", x, NULL, y), *b = node(w, w->g, "Add", y, y, z);

    assert_int_equal(graph_add_output(&w->cx, w->g, z), 0);
    expect_sound(w);
    assert_int_equal(y->nuses, 2);
    assert_int_equal(w->g->nnodes, 2);
    assert_ptr_equal(graph_find(w->g, "y"), y);
    struct value *dup;
    assert_int_equal(value_new(&w->cx, w->g, "y", &dup), E_MODEL);
    assert_int_equal(graph_add_output(&w->cx, w->g, z), E_MODEL);
    assert_int_equal(graph_add_input(&w->cx, w->g, z), E_MODEL);
    struct node *bad;
    assert_int_equal(node_new(&w->cx, w->g, NULL, "", "Neg", "", &x, 1, &y, 1, &bad), E_MODEL);
    assert_int_equal(x->nuses, 1);
    expect_sound(w);
    assert_int_equal(node_set_input(&w->cx, b, 1, x), 0);
    assert_int_equal(y->nuses, 1);
    assert_int_equal(node_set_input(&w->cx, b, 3, x), 0);
    assert_int_equal(b->nin, 4);
    assert_null(b->in[2]);
    expect_sound(w);
    assert_int_equal(value_replace_uses(&w->cx, y, x), 0);
    assert_int_equal(y->nuses, 0);
    assert_int_equal(x->nuses, 4);
    node_remove(a);
    assert_null(graph_find(w->g, "y"));
    expect_sound(w);
    /* The value of a removed node can be produced anew. */
    node_move_before(node(w, w->g, "Neg", x, NULL, y), b);
    assert_ptr_equal(graph_find(w->g, "y"), y);
    expect_sound(w);
    expect_order(w->g, (const char *[]){"Neg", "Add", NULL});
}

static void test_replace_output(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x"), *y = val(w, w->g, "y"), *z = val(w, w->g, "z");
    struct node *last;

    node(w, w->g, "Relu", x, NULL, y);
    last = node(w, w->g, "Identity", y, NULL, z);
    assert_int_equal(graph_add_output(&w->cx, w->g, z), 0);
    assert_int_equal(value_replace(&w->cx, z, y), 0);
    node_remove(last);
    assert_string_equal(w->g->outs[0]->name, "z");
    assert_ptr_equal(w->g->outs[0], y);
    assert_ptr_equal(graph_find(w->g, "z"), y);
    expect_sound(w);
    /* An input cannot take the output's place: an Identity goes in between. */
    assert_int_equal(value_replace(&w->cx, y, x), 0);
    assert_string_equal(w->g->outs[0]->name, "z");
    assert_string_equal(w->g->outs[0]->producer->op_type, "Identity");
    node_remove(w->g->first);
    expect_sound(w);
    expect_order(w->g, (const char *[]){"Identity", NULL});
}

static void test_names(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x");
    struct node *n = node(w, w->g, "If", x, NULL, val(w, w->g, "y"));
    struct graph *in;

    assert_int_equal(graph_new(&w->cx, w->m, "body", n, &in), 0);
    val(w, in, "inner");
    assert_string_equal(graph_fresh_name(w->g, "new"), "new");
    assert_string_not_equal(graph_fresh_name(w->g, "inner"), "inner");
    assert_string_not_equal(graph_fresh_name(in, "x"), "x");
    assert_int_equal(value_rename(&w->cx, x, "y"), E_MODEL);
    assert_int_equal(value_rename(&w->cx, x, "x2"), 0);
    assert_null(graph_find(w->g, "x"));
    assert_ptr_equal(graph_find(in, "x2"), x);
    struct value *fresh = val(w, w->g, NULL);
    assert_non_null(fresh->name);
    value_remove(fresh);
    assert_null(graph_find(w->g, fresh->name));
}

/* A body that uses outer values keeps their producers in front of its owner, and its uses go with the owner.
 */
static void test_captures(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x"), *late = val(w, w->g, "late"), *y = val(w, w->g, "y");
    struct node *loop = node(w, w->g, "Loop", x, NULL, y);
    struct graph *body;
    struct value *out;

    assert_int_equal(graph_new(&w->cx, w->m, "body", loop, &body), 0);
    out = val(w, body, "out");
    node(w, body, "Add", x, late, out);
    assert_int_equal(graph_add_output(&w->cx, body, out), 0);
    struct attr a = {.name = "body", .kind = AT_GRAPH, .u.g = body};
    assert_int_equal(node_set_attr(&w->cx, loop, &a), 0);
    node(w, w->g, "Relu", x, NULL, late);
    assert_int_equal(model_verify(&w->cx, w->m), E_INTERNAL);
    assert_int_equal(graph_sort(&w->cx, w->g), 0);
    expect_order(w->g, (const char *[]){"Relu", "Loop", NULL});
    expect_sound(w);
    assert_int_equal(late->nuses, 1);
    assert_int_equal(value_replace_uses(&w->cx, x, out), E_MODEL);
    node_remove(loop);
    assert_int_equal(late->nuses, 0);
    assert_int_equal(x->nuses, 1);
    expect_sound(w);
}

static void test_cycle(void **state)
{
    struct world *w = *state;
    struct value *a = val(w, w->g, "a"), *b = val(w, w->g, "b");

    node(w, w->g, "Relu", a, NULL, b);
    node(w, w->g, "Neg", b, NULL, a);
    assert_int_equal(graph_sort(&w->cx, w->g), E_MODEL);
    assert_non_null(strstr(w->cx.err.msg, "cycle"));
}

/* Every node in reverse: as deep as dependencies get, and no recursion. */
static void test_sort_reversed_chain(void **state)
{
    enum { N = 100000 };
    struct world *w = *state;
    struct value *prev = input(w, "x");
    struct node *first = NULL;

    for (int i = 0; i < N; i++) {
        struct value *v = val(w, w->g, NULL);
        struct node *n = node(w, w->g, "Relu", prev, NULL, v);
        if (first)
            node_move_before(n, first);
        first = n;
        prev = v;
    }
    assert_int_equal(graph_add_output(&w->cx, w->g, prev), 0);
    assert_int_equal(model_verify(&w->cx, w->m), E_INTERNAL);
    double t = time_now();
    assert_int_equal(graph_sort(&w->cx, w->g), 0);
    assert_true(time_now() - t < 2);
    expect_sound(w);
    assert_ptr_equal(w->g->last->out[0], prev);
}

/* Nodes that are in order already keep their places. */
static void test_sort_is_stable(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x"), *v[5];

    for (int i = 0; i < 5; i++)
        v[i] = val(w, w->g, NULL);
    node(w, w->g, "A", x, NULL, v[0]);
    node(w, w->g, "B", v[3], NULL, v[1]);
    node(w, w->g, "C", x, NULL, v[2]);
    node(w, w->g, "D", v[0], NULL, v[3]);
    node(w, w->g, "E", x, NULL, v[4]);
    assert_int_equal(graph_sort(&w->cx, w->g), 0);
    expect_order(w->g, (const char *[]){"A", "D", "B", "C", "E", NULL});
}

static void test_verify_sees(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x"), *y = val(w, w->g, "y");
    struct node *n = node(w, w->g, "Relu", x, NULL, y);

    expect_sound(w);
    x->nuses = 0;
    assert_int_equal(model_verify(&w->cx, w->m), E_INTERNAL);
    x->nuses = 1;
    y->producer = NULL;
    assert_int_equal(model_verify(&w->cx, w->m), E_INTERNAL);
    y->producer = n;
    w->g->nnodes = 2;
    assert_int_equal(model_verify(&w->cx, w->m), E_INTERNAL);
    w->g->nnodes = 1;
    y->name = "other";
    assert_int_equal(model_verify(&w->cx, w->m), E_INTERNAL);
    y->name = "y";
    expect_sound(w);
}

static void test_print(void **state)
{
    struct world *w = *state;
    struct value *x = input(w, "x"), *y = val(w, w->g, "y"), *c;
    struct tensor t = {.dt = DT_INT64, .rank = 1, .dims = {3}, .data = (int64_t[]){7, 8, 9}};
    struct dim dims[2] = {dim_unknown(), dim_const(3)};
    struct type ty = {.kind = TY_TENSOR, .dt = DT_FLOAT, .rank = 2, .dims = dims};
    struct str s = {0};

    x->type = y->type = &ty;
    assert_int_equal(graph_add_const(&w->cx, w->g, "k", &t, &c), 0);
    struct node *n = node(w, w->g, "Reshape", x, c, y);
    assert_int_equal(node_set_attr_int(&w->cx, n, "allowzero", 1), 0);
    assert_int_equal(graph_add_output(&w->cx, w->g, y), 0);
    print_model(&s, w->m, NULL);
    assert_string_equal(str_text(&s), "graph main(%x: float[?,3]) -> (%y: float[?,3])\n"
                                      "  %k = initializer int64[3] {7, 8, 9}\n"
                                      "  %y = Reshape(%x, %k) {allowzero=1}  # float[?,3]  node 'Reshape'\n");
    str_free(&s);
    s = (struct str){0};
    print_dot(&s, w->m);
    assert_non_null(strstr(str_text(&s), "label=\"Reshape"));
    assert_non_null(strstr(str_text(&s), "n0 -> v1;"));
    str_free(&s);
    x->type = y->type = NULL;
}

static void test_type_text(void **state)
{
    struct type t = {.kind = TY_TENSOR, .dt = DT_FLOAT, .rank = -1}, seq = {.kind = TY_SEQ, .elem = &t};
    struct type map = {.kind = TY_MAP, .dt = DT_INT64, .elem = &seq}, loop = {.kind = TY_SEQ};
    char buf[64], tiny[6];

    (void)state;
    assert_string_equal(type_text(NULL, buf, sizeof buf), "?");
    assert_string_equal(type_text(&map, buf, sizeof buf), "map(int64,seq(float[...]))");
    assert_string_equal(type_text(&map, tiny, sizeof tiny), "map(i");
    loop.elem = &loop;
    assert_non_null(type_text(&loop, buf, sizeof buf));
    assert_true(type_same(&map, &map));
    assert_false(type_same(&seq, &map));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_build_and_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_captures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cycle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sort_reversed_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sort_is_stable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_sees, setup, teardown),
        cmocka_unit_test_setup_teardown(test_print, setup, teardown),
        cmocka_unit_test(test_type_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
