/* Passes: what each one makes of a small graph, what it leaves alone, and that the numbers stay. Runs in the
 * folder of the repository. */
#include "build.h"

#include <glob.h>
#include <math.h>

#include "io/onnx_load.h"
#include "session/feed.h"
#include "session/session.h"

static struct cx cx;
static char message[1024];

static const char *last_message(void)
{
    err_format(&cx.err, message, sizeof message);
    return message;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- helpers ---- */

static struct session *rewrite(struct model *m, struct session_opts o)
{
    struct session *s = NULL;
    o.threads = 1;
    if (session_new(&cx, m, &o, &s))
        fail_msg("session: %s", last_message());
    return s;
}

/* Operators of the graph in order: "Conv Relu". */
static const char *ops_of(const struct graph *g)
{
    static char text[512];
    size_t n = 0;
    text[0] = 0;
    for (const struct node *k = g->first; k && n < sizeof text - 64; k = k->next)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", k->op_type);
    return text;
}

/* m, rewritten with o, has these operators. */
static void becomes(struct model *m, struct session_opts o, const char *want)
{
    struct session *s = rewrite(m, o);
    assert_string_equal(ops_of(s->m->graph), want);
    session_free(s);
}

static const struct session_opts all = {.level = OPT_ALL};

static long rewrites_of(const struct session *s, const char *pass)
{
    size_t n;
    const struct pass *p = pass_all(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(p[i].name, pass) == 0)
            return s->stats[i].rewrites;
    fail_msg("no pass %s", pass);
    return -1;
}

/* Outputs of both models on the same made-up inputs are within tol of each other. */
static void same_numbers(struct model *plain, struct model *other, struct session_opts o, double tol)
{
    struct session_opts none = {.level = OPT_NONE};
    struct session *a = rewrite(plain, none), *b = rewrite(other, o);
    struct feed_opts fo = {.seed = 1};
    struct feed *f;
    struct named_list *l;
    struct tensor ins[8];
    const struct tensor *x[8], *y[8];
    if (feed_new(&cx, a->m, &fo, &f) || feed_get(&cx, f, 0, &l))
        fail_msg("%s", last_message());
    for (size_t i = 0; i < session_ninputs(a); i++)
        ins[i] = *named_find(l, session_input(a, i)->name);
    if (session_run(&cx, a, ins, x) || session_run(&cx, b, ins, y))
        fail_msg("%s", last_message());
    assert_int_equal(session_noutputs(a), session_noutputs(b));
    for (size_t i = 0; i < session_noutputs(a); i++) {
        assert_string_equal(session_output(a, i)->name, session_output(b, i)->name);
        assert_int_equal(tensor_count(x[i]), tensor_count(y[i]));
        for (int64_t k = 0; k < tensor_count(x[i]); k++)
            if (fabs(tensor_f64(x[i], k) - tensor_f64(y[i], k)) > tol)
                fail_msg("output %zu[%d]: %g, unoptimized %g", i, (int)k, tensor_f64(y[i], k),
                         tensor_f64(x[i], k));
    }
    feed_free(f);
    session_free(a);
    session_free(b);
}

/* ---- inline_functions ---- */

static struct model *load(const char *path)
{
    struct model *m = NULL;
    struct load_opts o = {0};
    if (model_load(&cx, path, &o, &m))
        fail_msg("%s: %s", path, last_message());
    return m;
}

static int no_calls(void *user, struct graph *g, int depth)
{
    (void)user;
    (void)depth;
    for (const struct node *n = g->first; n; n = n->next)
        assert_null(n->func);
    return 0;
}

static void calls_become_bodies(void **state)
{
    (void)state;
    struct model *m = load("testdata/models/functions_nested.onnx");
    size_t calls = 0;
    for (const struct node *n = m->graph->first; n; n = n->next)
        calls += strcmp(n->domain, "") != 0;
    assert_true(calls > 0);
    struct session_opts none = {.level = OPT_NONE}; /* nothing runs without it */
    struct session *s = rewrite(m, none);
    graph_walk(s->m->graph, no_calls, NULL);
    assert_true(rewrites_of(s, "inline_functions") >= 2);
    session_free(s);
}

/* ---- fold_constants ---- */

static struct model *constant_arithmetic(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n");
    build_float(&b, "two", 2);
    build_float(&b, "three", 3);
    build_node(&b, "Add", "two three", "five");
    build_node(&b, "Exp", "five", "e");
    build_node(&b, "Mul", "x e", "y");
    build_out(&b, "y", DT_FLOAT, "n");
    return b.m;
}

static void known_nodes_become_initializers(void **state)
{
    (void)state;
    becomes(constant_arithmetic(), all, "Mul");
    becomes(constant_arithmetic(), (struct session_opts){.level = OPT_BASIC}, "Mul");
    becomes(constant_arithmetic(), (struct session_opts){.level = OPT_NONE}, "Add Exp Mul");
    becomes(constant_arithmetic(),
            (struct session_opts){.level = OPT_ALL, .skip_pass = LIST("fold_constants")}, "Add Exp Mul");
    becomes(constant_arithmetic(), (struct session_opts){.level = OPT_ALL, .keep = LIST("five")},
            "Add Exp Mul");
    same_numbers(constant_arithmetic(), constant_arithmetic(), all, 0);
}

/* Reshape to [Shape(x)[0], Shape(x)[1] * Shape(x)[2]]. */
static struct model *shape_chain(const char *dims)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, dims);
    build_const(&b, "i0", DT_INT64, "1", (const int64_t[]){0});
    build_const(&b, "i1", DT_INT64, "1", (const int64_t[]){1});
    build_const(&b, "i2", DT_INT64, "1", (const int64_t[]){2});
    build_node(&b, "Shape", "x", "s");
    build_node(&b, "Gather", "s i0", "a");
    build_node(&b, "Gather", "s i1", "b");
    build_node(&b, "Gather", "s i2", "c");
    build_node(&b, "Mul", "b c", "bc");
    struct node *n = build_node(&b, "Concat", "a bc", "to");
    assert_int_equal(node_set_attr_int(&cx, n, "axis", 0), OK);
    build_node(&b, "Reshape", "x to", "r");
    build_node(&b, "Neg", "r", "y");
    build_out(&b, "y", DT_FLOAT, NULL);
    return b.m;
}

static void shapes_that_are_known_are_folded(void **state)
{
    (void)state;
    becomes(shape_chain("2 3 4"), all, "Reshape Neg");
    struct session *s = rewrite(shape_chain("n 3 4"), all); /* 3*4 is known, n is not */
    assert_non_null(strstr(ops_of(s->m->graph), "Shape"));
    assert_null(strstr(ops_of(s->m->graph), "Mul"));
    session_free(s);
    same_numbers(shape_chain("2 3 4"), shape_chain("2 3 4"), all, 0);
    same_numbers(shape_chain("n 3 4"), shape_chain("n 3 4"), all, 0);
    same_numbers(shape_chain("n m k"), shape_chain("n m k"), all, 0);
}

static struct model *constant_output(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "2 3");
    build_node(&b, "Shape", "x", "s");
    build_node(&b, "Neg", "s", "minus");
    build_node(&b, "Relu", "x", "y");
    build_out(&b, "minus", DT_INT64, "2");
    build_out(&b, "y", DT_FLOAT, "2 3");
    return b.m;
}

static void constant_outputs_stay_outputs(void **state)
{
    (void)state;
    struct session *s = rewrite(constant_output(), all);
    assert_null(strstr(ops_of(s->m->graph), "Neg"));
    assert_null(strstr(ops_of(s->m->graph), "Shape"));
    assert_true(rewrites_of(s, "fold_constants") <= 2); /* and not once a round */
    session_free(s);
    same_numbers(constant_output(), constant_output(), all, 0);
}

static struct model *big_constant(int64_t side)
{
    struct build b = build_new(&cx, 17);
    int64_t dims[2] = {side, side};
    build_in(&b, "x", DT_FLOAT, "1");
    build_ints(&b, "dims", 2, dims);
    build_node(&b, "ConstantOfShape", "dims", "zeros");
    build_node(&b, "Add", "zeros x", "y");
    build_out(&b, "y", DT_FLOAT, NULL);
    return b.m;
}

static void results_much_larger_than_their_inputs_stay_nodes(void **state)
{
    (void)state;
    becomes(big_constant(10), all, "Add");
    becomes(big_constant(2000), all, "Add"); /* 16 MB that every run would make anew */
    cx.lim.max_memory = (uint64_t)1 << 30;
    becomes(big_constant(2000), all, "ConstantOfShape Add");
    cx.lim.max_memory = 0;
    /* sizes that no machine has must not be tried */
    becomes(big_constant(1 << 30), all, "ConstantOfShape Add");
}

/* One element is all that is kept of a constant of equal ones; what packs it sees all. */
static struct model *equal_weights(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "3 200");
    build_ints(&b, "dims", 2, (const int64_t[]){200, 150});
    struct node *n = build_node(&b, "ConstantOfShape", "dims", "w");
    struct tensor_data *d = arena_zalloc(&b.m->arena, sizeof *d);
    static const int64_t one = 1;
    static const float half = 0.5f;
    assert_non_null(d);
    *d = (struct tensor_data){.dt = DT_FLOAT, .rank = 1, .dims = &one, .payload = PL_MEM, .mem = &half};
    struct attr a = {.name = "value", .kind = AT_TENSOR, .u.t = d};
    assert_int_equal(node_set_attr(&cx, n, &a), OK);
    build_node(&b, "MatMul", "x w", "p");
    build_node(&b, "Mul", "p p", "y");
    build_out(&b, "y", DT_FLOAT, NULL);
    return b.m;
}

static void equal_elements_are_kept_as_one(void **state)
{
    (void)state;
    becomes(equal_weights(), all, "MatMul Mul");
    same_numbers(equal_weights(), equal_weights(), all, 1e-2);
}

static struct model *transposed_weights(bool shared)
{
    static float w[150 * 200];
    struct build b = build_new(&cx, 17);
    for (int i = 0; i < 150 * 200; i++)
        w[i] = (float)(i % 97) * 0.01f - 0.4f;
    build_in(&b, "x", DT_FLOAT, "2 3 200");
    build_const(&b, "w", DT_FLOAT, "150 200", w);
    build_const(&b, "bias", DT_FLOAT, "150", w);
    build_node(&b, "Transpose", "w", "wt");
    build_node(&b, "MatMul", "x wt", "p");
    build_node(&b, "Add", "p bias", "q");
    build_node(&b, "Relu", "q", "y");
    build_out(&b, "y", DT_FLOAT, NULL);
    if (shared)
        build_out(&b, "wt", DT_FLOAT, NULL);
    return b.m;
}

static void transposed_weights_are_packed_as_they_lie(void **state)
{
    (void)state;
    struct session *s = rewrite(transposed_weights(false), all);
    assert_string_equal(ops_of(s->m->graph), "FusedMatMul");
    assert_int_equal(rewrites_of(s, "fuse_transposed"), 1);
    assert_ptr_equal(s->m->graph->first->in[1], graph_find(s->m->graph, "w"));
    session_free(s);
    becomes(transposed_weights(false), (struct session_opts){.level = OPT_BASIC}, "FusedMatMul Add Relu");
    same_numbers(transposed_weights(false), transposed_weights(false), all, 1e-4);
    same_numbers(transposed_weights(true), transposed_weights(true), all, 1e-4);
    same_numbers(transposed_weights(false), transposed_weights(false),
                 (struct session_opts){.level = OPT_ALL, .cpu_given = true}, 1e-4);
}

/* A node that fails is left for the run to report. */
static void failing_nodes_are_not_folded(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "1");
    build_const(&b, "table", DT_FLOAT, "2", (const float[]){1, 2});
    build_ints(&b, "at", 1, (const int64_t[]){5});
    build_node(&b, "Gather", "table at", "row");
    build_node(&b, "Add", "row x", "y");
    build_out(&b, "y", DT_FLOAT, "1");
    becomes(b.m, all, "Gather Add");
}

/* ---- remove_identities, remove_dead ---- */

static struct model *identities(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "2 3");
    build_node(&b, "Identity", "x", "a");
    build_node(&b, "Dropout", "a", "b");
    struct node *n = build_node(&b, "Cast", "b", "c");
    assert_int_equal(node_set_attr_int(&cx, n, "to", DT_FLOAT), OK);
    n = build_node(&b, "Transpose", "c", "d");
    assert_int_equal(node_set_attr_ints(&cx, n, "perm", (const int64_t[]){0, 1}, 2), OK);
    build_ints(&b, "same", 2, (const int64_t[]){2, -1});
    build_node(&b, "Reshape", "d same", "e");
    build_ints(&b, "nothing", 4, (const int64_t[]){0, 0, 0, 0});
    build_node(&b, "Pad", "e nothing", "f");
    build_node(&b, "Neg", "f", "y");
    build_node(&b, "Identity", "y", "z");
    build_out(&b, "z", DT_FLOAT, "2 3");
    return b.m;
}

static struct model *no_identities(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "3 3");
    struct node *n = build_node(&b, "Cast", "x", "c");
    assert_int_equal(node_set_attr_int(&cx, n, "to", DT_DOUBLE), OK);
    build_node(&b, "Transpose", "c", "d"); /* reverses the axes */
    build_ints(&b, "other", 2, (const int64_t[]){9, 1});
    build_node(&b, "Reshape", "d other", "e");
    build_node(&b, "Dropout", "e", "y mask");
    build_out(&b, "y", DT_DOUBLE, "9 1");
    build_out(&b, "mask", DT_BOOL, "9 1");
    return b.m;
}

static void what_changes_nothing_goes(void **state)
{
    (void)state;
    struct session *s = rewrite(identities(), all);
    assert_null(strstr(ops_of(s->m->graph), "Dropout"));
    assert_null(strstr(ops_of(s->m->graph), "Cast"));
    assert_null(strstr(ops_of(s->m->graph), "Transpose"));
    assert_null(strstr(ops_of(s->m->graph), "Reshape"));
    assert_string_equal(session_output(s, 0)->name, "z");
    session_free(s);
    becomes(no_identities(), all, "Cast Transpose Reshape Dropout");
    becomes(identities(), (struct session_opts){.level = OPT_ALL, .keep = LIST("c")}, "Cast Neg Identity");
    same_numbers(identities(), identities(), all, 0);
    same_numbers(no_identities(), no_identities(), all, 0);
}

static struct model *with_dead_nodes(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n");
    build_in(&b, "unused", DT_FLOAT, "m");
    build_float(&b, "w", 1);
    build_node(&b, "Exp", "x", "dead");
    build_node(&b, "Add", "dead w", "deader");
    build_node(&b, "Relu", "x", "y");
    build_out(&b, "y", DT_FLOAT, "n");
    return b.m;
}

static void what_nothing_reads_goes(void **state)
{
    (void)state;
    struct session *s = rewrite(with_dead_nodes(), all);
    assert_string_equal(ops_of(s->m->graph), "Relu");
    assert_int_equal(s->m->graph->ninits, 0);
    assert_int_equal(session_ninputs(s), 2); /* inputs are the interface */
    session_free(s);
    becomes(with_dead_nodes(), (struct session_opts){.level = OPT_ALL, .keep = LIST("dead")}, "Exp Relu");
}

/* ---- fold_batchnorm, fuse_conv_activation ---- */

/* Conv -> BatchNormalization -> act; act may be NULL. */
static struct build conv_bn(bool bias, bool constant, const char *act)
{
    struct build b = build_new(&cx, 17);
    float w[3 * 2 * 3 * 3], k[4][3] = {{0.5f, -1, 2}, {0.1f, 0.2f, -0.3f}, {1, -2, 0.5f}, {0.04f, 1, 3}};
    static const char *const names[] = {"scale", "shift", "mean", "var"};
    for (int i = 0; i < 54; i++)
        w[i] = (float)((i * 7) % 11 - 5) / 8;
    build_in(&b, "x", DT_FLOAT, "1 2 5 6");
    build_const(&b, "w", DT_FLOAT, "3 2 3 3", w);
    build_const(&b, "c_bias", DT_FLOAT, "3", k[1]);
    for (int i = 0; i < 4; i++) {
        if (constant)
            build_const(&b, names[i], DT_FLOAT, "3", k[i]);
        else
            build_in(&b, names[i], DT_FLOAT, "3");
    }
    build_node(&b, "Conv", bias ? "x w c_bias" : "x w", "c");
    build_node(&b, "BatchNormalization", "c scale shift mean var", "bn");
    build_node(&b, act ? act : "Neg", "bn", "y");
    build_out(&b, "y", DT_FLOAT, NULL);
    return b;
}

static void batch_normalization_goes_into_the_weights(void **state)
{
    (void)state;
    becomes(conv_bn(true, true, NULL).m, all, "Conv Neg");
    becomes(conv_bn(false, true, NULL).m, all, "Conv Neg");
    becomes(conv_bn(false, false, NULL).m, all, "Conv BatchNormalization Neg");
    becomes(conv_bn(true, true, NULL).m, (struct session_opts){.level = OPT_NONE},
            "Conv BatchNormalization Neg");
    becomes(conv_bn(true, true, "Relu").m, all, "FusedConv");
    same_numbers(conv_bn(true, true, NULL).m, conv_bn(true, true, NULL).m, all, 1e-5);
    same_numbers(conv_bn(false, true, "Relu").m, conv_bn(false, true, "Relu").m, all, 1e-5);
}

static void batch_normalization_stays_where_others_read_the_convolution(void **state)
{
    (void)state;
    struct build b = conv_bn(true, true, NULL);
    build_out(&b, "c", DT_FLOAT, NULL);
    becomes(b.m, all, "Conv BatchNormalization Neg");
    b = conv_bn(true, true, NULL);
    build_node(&b, "Add", "c bn", "z");
    build_out(&b, "z", DT_FLOAT, NULL);
    becomes(b.m, all, "Conv BatchNormalization Neg Add");
    becomes(conv_bn(true, true, NULL).m, (struct session_opts){.level = OPT_ALL, .keep = LIST("c")},
            "Conv BatchNormalization Neg");
    /* shared weights: the other convolution keeps its own */
    b = conv_bn(true, true, NULL);
    build_node(&b, "Conv", "x w", "plain");
    build_out(&b, "plain", DT_FLOAT, NULL);
    struct build twin = conv_bn(true, true, NULL);
    build_node(&twin, "Conv", "x w", "plain");
    build_out(&twin, "plain", DT_FLOAT, NULL);
    same_numbers(b.m, twin.m, all, 1e-5);
}

static struct model *conv_act(const char *act, enum dtype dt, bool clip_const)
{
    struct build b = build_new(&cx, 17);
    static const double wide[2 * 2] = {1, -2, 0.5, 3};
    static const float w[2 * 2] = {1, -2, 0.5f, 3}, six = 6, zero = 0;
    bool clip = strcmp(act, "Clip") == 0;
    build_in(&b, "x", dt, "2 2 4 3");
    build_const(&b, "w", dt, "2 2 1 1", dt == DT_DOUBLE ? (const void *)wide : w);
    if (clip && clip_const) {
        build_const(&b, "lo", DT_FLOAT, "", &zero);
        build_const(&b, "hi", DT_FLOAT, "", &six);
    } else if (clip) {
        build_in(&b, "lo", DT_FLOAT, "");
        build_const(&b, "hi", DT_FLOAT, "", &six);
    }
    build_node(&b, "Conv", "x w", "c");
    struct node *n = build_node(&b, act, clip ? "c lo hi" : "c", "y");
    if (strcmp(act, "LeakyRelu") == 0)
        assert_int_equal(node_set_attr_float(&cx, n, "alpha", 0.3f), OK);
    build_out(&b, "y", dt, NULL);
    return b.m;
}

static void activations_join_the_convolution(void **state)
{
    (void)state;
    static const char *const acts[] = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "Clip"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        becomes(conv_act(acts[i], DT_FLOAT, true), all, "FusedConv");
        same_numbers(conv_act(acts[i], DT_FLOAT, true), conv_act(acts[i], DT_FLOAT, true), all, 1e-6);
    }
    becomes(conv_act("Clip", DT_FLOAT, false), all, "Conv Clip");
    becomes(conv_act("Relu", DT_DOUBLE, true), all, "Conv Relu");
    becomes(conv_act("Softplus", DT_FLOAT, true), all, "Conv Softplus");
    becomes(conv_act("Relu", DT_FLOAT, true), (struct session_opts){.level = OPT_ALL, .keep = LIST("c")},
            "Conv Relu");
    same_numbers(conv_act("Clip", DT_FLOAT, false), conv_act("Clip", DT_FLOAT, false), all, 1e-6);
    same_numbers(conv_act("Relu", DT_DOUBLE, true), conv_act("Relu", DT_DOUBLE, true), all, 1e-12);
}

/* ---- all of them ---- */

static void every_small_model_keeps_its_numbers(void **state)
{
    glob_t g = {0};
    (void)state;
    assert_int_equal(glob("testdata/models/*.in.npz", 0, NULL, &g), 0);
    assert_true(g.gl_pathc >= 25);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        char path[512];
        snprintf(path, sizeof path, "%.*s.onnx", (int)(strlen(g.gl_pathv[i]) - strlen(".in.npz")),
                 g.gl_pathv[i]);
        if (strstr(path, "sequences") || strstr(path, "zipmap") || strstr(path, "makes_nan"))
            continue; /* made-up positions need not be legal; maps and NaN do not compare as numbers */
        same_numbers(load(path), load(path), all, 1e-6);
    }
    globfree(&g);
    same_numbers(load("testdata/digits/digits.onnx"), load("testdata/digits/digits.onnx"), all, 1e-4);
}

/* Each pass alone, and all but each: none relies on another one for being right. */
static void every_pass_keeps_the_numbers_alone(void **state)
{
    size_t n;
    const struct pass *p = pass_all(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        const char *skip[16];
        size_t k = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i && strcmp(p[j].name, "inline_functions") != 0)
                skip[k++] = p[j].name;
        skip[k] = NULL;
        struct session_opts alone = {.level = OPT_ALL, .skip_pass = skip};
        struct session_opts without = {.level = OPT_ALL, .skip_pass = LIST(p[i].name)};
        same_numbers(conv_bn(true, true, "Relu").m, conv_bn(true, true, "Relu").m, alone, 1e-5);
        same_numbers(shape_chain("n 3 4"), shape_chain("n 3 4"), alone, 0);
        same_numbers(load("testdata/digits/digits.onnx"), load("testdata/digits/digits.onnx"), alone, 1e-4);
        if (strcmp(p[i].name, "inline_functions") != 0)
            same_numbers(load("testdata/digits/digits.onnx"), load("testdata/digits/digits.onnx"), without,
                         1e-4);
    }
}

static void unknown_passes_are_refused(void **state)
{
    (void)state;
    struct session *s = NULL;
    struct session_opts o = {.level = OPT_ALL, .threads = 1, .skip_pass = LIST("remove_ded")};
    assert_int_equal(session_new(&cx, identities(), &o, &s), E_USAGE);
    assert_non_null(strstr(last_message(), "did you mean 'remove_dead'?"));
}

/* x -> Conv -> Relu -> depthwise Conv -> Concat with itself -> MaxPool -> y; the first Relu is read plain too
 * when `tap` is. */
static struct model *conv_run(int64_t channels, bool tap)
{
    struct build b = build_new(&cx, 17);
    static float w[64 * 3 * 9], d[64 * 9];
    char dims[2][32];
    for (int i = 0; i < 64 * 27; i++)
        w[i] = (float)((i * 7) % 11 - 5) / 8;
    for (int i = 0; i < 64 * 9; i++)
        d[i] = (float)((i * 5) % 13 - 6) / 8;
    snprintf(dims[0], sizeof dims[0], "%d 3 3 3", (int)channels);
    snprintf(dims[1], sizeof dims[1], "%d 1 3 3", (int)channels);
    build_in(&b, "x", DT_FLOAT, "1 3 12 13");
    build_const(&b, "w", DT_FLOAT, dims[0], w);
    build_const(&b, "d", DT_FLOAT, dims[1], d);
    build_node(&b, "Conv", "x w", "c");
    build_node(&b, "Relu", "c", "r");
    static const int64_t two[] = {2, 2};
    struct node *dw = build_node(&b, "Conv", "r d", "e"), *cat = build_node(&b, "Concat", "e e", "f");
    assert_int_equal(node_set_attr_int(&cx, dw, "group", channels), OK);
    assert_int_equal(node_set_attr_int(&cx, cat, "axis", 1), OK);
    assert_int_equal(node_set_attr_ints(&cx, build_node(&b, "MaxPool", "f", "y"), "kernel_shape", two, 2),
                     OK);
    build_out(&b, "y", DT_FLOAT, NULL);
    if (tap) {
        build_node(&b, "Softmax", "r", "s");
        build_out(&b, "s", DT_FLOAT, NULL);
    }
    return b.m;
}

static void runs_of_convolutions_are_blocked(void **state)
{
    (void)state;
    becomes(conv_run(32, false), all, "BlockedConv BlockedConv Concat BlockedMaxPool FromBlocked");
    becomes(conv_run(32, true), all,
            "BlockedConv FromBlocked BlockedConv Concat BlockedMaxPool FromBlocked Softmax");
    /* blocks that are not full cannot be put side by side; too few channels are left alone */
    becomes(conv_run(34, false), all, "BlockedConv BlockedConv FromBlocked Concat MaxPool");
    becomes(conv_run(3, false), all, "FusedConv Conv Concat MaxPool");
    becomes(conv_run(32, false), (struct session_opts){.level = OPT_ALL, .keep = LIST("e")},
            "BlockedConv FromBlocked Conv Concat MaxPool");
    same_numbers(conv_run(32, true), conv_run(32, true), all, 1e-5);
    same_numbers(conv_run(34, false), conv_run(34, false), all, 1e-5);
}

/* Conv -> [act] -> what a network with attention over channels has: mean, 1x1 Conv, Sigmoid, Mul. */
static struct model *squeeze(int64_t channels)
{
    struct build b = build_new(&cx, 17);
    static float w[64 * 64];
    char dims[2][32];
    for (int i = 0; i < 64 * 64; i++)
        w[i] = (float)((i * 7) % 11 - 5) / 16;
    snprintf(dims[0], sizeof dims[0], "%d 3 3 3", (int)channels);
    snprintf(dims[1], sizeof dims[1], "%d %d 1 1", (int)channels, (int)channels);
    build_in(&b, "x", DT_FLOAT, "2 3 7 9");
    build_const(&b, "w", DT_FLOAT, dims[0], w);
    build_const(&b, "v", DT_FLOAT, dims[1], w);
    build_node(&b, "Conv", "x w", "c");
    build_node(&b, "GlobalAveragePool", "c", "m");
    build_node(&b, "Conv", "m v", "f");
    build_node(&b, "Sigmoid", "f", "s");
    build_node(&b, "Mul", "c s", "y");
    build_out(&b, "y", DT_FLOAT, NULL);
    return b.m;
}

/* Split in two halves, each normalized, and one averaged. */
static struct model *halves(const char *act)
{
    struct build b = build_new(&cx, 17);
    static float w[64 * 27], k[4][32];
    static const int64_t two[] = {2, 2};
    static const char *const names[] = {"scale", "shift", "mean", "var"};
    for (int i = 0; i < 64 * 27; i++)
        w[i] = (float)((i * 7) % 11 - 5) / 16;
    for (int i = 0; i < 4 * 32; i++)
        k[i / 32][i % 32] = 0.5f + (float)(i % 7) / 8;
    build_in(&b, "x", DT_FLOAT, "1 3 8 10");
    build_const(&b, "w", DT_FLOAT, "64 3 3 3", w);
    for (int i = 0; i < 4; i++)
        build_const(&b, names[i], DT_FLOAT, "32", k[i]);
    build_node(&b, "Conv", "x w", "c");
    assert_int_equal(node_set_attr_int(&cx, build_node(&b, "Split", "c", "l r"), "axis", 1), OK);
    build_node(&b, "BatchNormalization", "l scale shift mean var", "n");
    build_node(&b, act, "n", "y");
    assert_int_equal(node_set_attr_ints(&cx, build_node(&b, "AveragePool", "r", "z"), "kernel_shape", two, 2),
                     OK);
    build_out(&b, "y", DT_FLOAT, NULL);
    build_out(&b, "z", DT_FLOAT, NULL);
    return b.m;
}

/* Conv, then one upwards by two, whose windows overlap or not. */
static struct model *upwards(int64_t kernel)
{
    struct build b = build_new(&cx, 17);
    static float w[64 * 64 * 9];
    char dims[32];
    for (int i = 0; i < 64 * 64 * 9; i++)
        w[i] = (float)((i * 7) % 11 - 5) / 16;
    snprintf(dims, sizeof dims, "37 20 %d %d", (int)kernel, (int)kernel);
    build_in(&b, "x", DT_FLOAT, "2 3 5 6");
    build_const(&b, "w", DT_FLOAT, "37 3 3 3", w);
    build_const(&b, "v", DT_FLOAT, dims, w);
    build_const(&b, "bias", DT_FLOAT, "20", w);
    build_node(&b, "Conv", "x w", "c");
    struct node *n = build_node(&b, "ConvTranspose", "c v bias", "y");
    assert_int_equal(node_set_attr_ints(&cx, n, "strides", (const int64_t[]){2, 2}, 2), OK);
    build_out(&b, "y", DT_FLOAT, NULL);
    return b.m;
}

static void scaled_and_split_images_stay_blocked(void **state)
{
    (void)state;
    becomes(squeeze(32), all, "BlockedConv BlockedGlobalAveragePool BlockedConv BlockedScale FromBlocked");
    same_numbers(squeeze(32), squeeze(32), all, 1e-5);
    same_numbers(squeeze(37), squeeze(37), all, 1e-5);
    becomes(upwards(2), all, "BlockedConv BlockedConvTranspose FromBlocked");
    becomes(upwards(3), all, "BlockedConv FromBlocked ConvTranspose");
    same_numbers(upwards(2), upwards(2), all, 1e-5);
    becomes(halves("Relu"), all, "BlockedConv Split BlockedScale FromBlocked BlockedAveragePool FromBlocked");
    becomes(halves("Softsign"), all,
            "BlockedConv Split BlockedScale FromBlocked Softsign BlockedAveragePool FromBlocked");
    same_numbers(halves("Relu"), halves("Relu"), all, 1e-5);
    same_numbers(halves("HardSwish"), halves("HardSwish"), all, 1e-5);
}

/* Conv or BatchNormalization, then a factor and a term a channel, of these shapes. */
static struct model *scaled(bool bn, const char *factor, const char *term)
{
    struct build b = conv_bn(true, true, "Mul");
    static const float k[] = {2, -0.5f, 3, 1};
    struct model *m = b.m;
    struct node *mul = m->graph->last;
    build_const(&b, "k", DT_FLOAT, factor, k);
    build_const(&b, "t", DT_FLOAT, term, k);
    assert_int_equal(node_set_input(&cx, mul, 1, graph_find(m->graph, "k")), OK);
    if (bn) { /* without the Conv in front */
        struct node *conv = m->graph->first, *norm = conv->next;
        build_in(&b, "z", DT_FLOAT, "1 3 3 4");
        assert_int_equal(node_set_input(&cx, norm, 0, graph_find(m->graph, "z")), OK);
        node_remove(conv);
    }
    build_node(&b, "Add", "t y", "sum");
    build_node(&b, "Neg", "sum", "out");
    build_out(&b, "out", DT_FLOAT, NULL);
    m->graph->outs[0] = m->graph->outs[1];
    m->graph->nouts = 1;
    graph_find(m->graph, "y")->is_output = false;
    return m;
}

static void factors_a_channel_go_into_the_weights(void **state)
{
    (void)state;
    becomes(scaled(false, "3 1 1", "1 3 1 1"), all, "Conv Neg");
    becomes(scaled(false, "1", "1 1 1"), all, "Conv Neg");
    becomes(scaled(true, "3 1 1", "1 3 1 1"), all, "BatchNormalization Neg");
    becomes(scaled(false, "4", "3 1 1"), all, "Conv Mul Add Neg");
    same_numbers(scaled(false, "3 1 1", "1 3 1 1"), scaled(false, "3 1 1", "1 3 1 1"), all, 1e-5);
    same_numbers(scaled(true, "3 1 1", "1"), scaled(true, "3 1 1", "1"), all, 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_become_bodies),
        cmocka_unit_test(known_nodes_become_initializers),
        cmocka_unit_test(shapes_that_are_known_are_folded),
        cmocka_unit_test(constant_outputs_stay_outputs),
        cmocka_unit_test(results_much_larger_than_their_inputs_stay_nodes),
        cmocka_unit_test(equal_elements_are_kept_as_one),
        cmocka_unit_test(transposed_weights_are_packed_as_they_lie),
        cmocka_unit_test(failing_nodes_are_not_folded),
        cmocka_unit_test(what_changes_nothing_goes),
        cmocka_unit_test(what_nothing_reads_goes),
        cmocka_unit_test(runs_of_convolutions_are_blocked),
        cmocka_unit_test(scaled_and_split_images_stay_blocked),
        cmocka_unit_test(factors_a_channel_go_into_the_weights),
        cmocka_unit_test(batch_normalization_goes_into_the_weights),
        cmocka_unit_test(batch_normalization_stays_where_others_read_the_convolution),
        cmocka_unit_test(activations_join_the_convolution),
        cmocka_unit_test(every_small_model_keeps_its_numbers),
        cmocka_unit_test(every_pass_keeps_the_numbers_alone),
        cmocka_unit_test(unknown_passes_are_refused),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
