/* Quantized graphs on the integers: which operators that reaches, and that the result is the one of the
 * floats between DequantizeLinear and QuantizeLinear, but for a step where a value lies in the middle. */
#include "build.h"

#include <math.h>

#include "base/cpu.h"
#include "session/feed.h"
#include "session/session.h"

static struct cx cx;

static const char *message(void)
{
    static char text[1024];
    err_format(&cx.err, text, sizeof text);
    return text;
}

static const char *ops_of(const struct graph *g)
{
    static char text[1024];
    size_t n = 0;
    text[0] = 0;
    for (const struct node *k = g->first; k && n < sizeof text - 64; k = k->next)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", k->op_type);
    return text;
}

/* ---- graphs ---- */

/* What activations and weights are made of. */
struct flavour {
    enum dtype x, w;
    bool per_channel;
};

static struct flavour how;
static unsigned salt;

static int pseudo(void)
{
    salt = salt * 1103515245u + 12345u;
    return (int)(salt >> 16 & 0xff);
}

static void scale_and_zero(struct build *b, const char *at, float scale, int zero)
{
    char name[64];
    uint8_t z = (uint8_t)zero;
    snprintf(name, sizeof name, "%s_s", at);
    build_float(b, name, scale);
    snprintf(name, sizeof name, "%s_z", at);
    build_const(b, name, how.x, "", &z);
}

/* v -> Q -> DQ -> v_d; zero counts from the lowest value of the type. */
static void grid(struct build *b, const char *v, float scale, int zero)
{
    char ins[128], outs[64], q[64];
    scale_and_zero(b, v, scale, how.x == DT_INT8 ? zero - 128 : zero);
    snprintf(ins, sizeof ins, "%s %s_s %s_z", v, v, v);
    snprintf(q, sizeof q, "%s_q", v);
    build_node(b, "QuantizeLinear", ins, q);
    snprintf(ins, sizeof ins, "%s_q %s_s %s_z", v, v, v);
    snprintf(outs, sizeof outs, "%s_d", v);
    build_node(b, "DequantizeLinear", ins, outs);
}

/* Constant integers behind DequantizeLinear: NAME_d. axis: of the scales. */
static void weights(struct build *b, const char *name, const char *dims, int64_t count, int64_t channels,
                    int axis)
{
    uint8_t w[4096], zero[64];
    float scale[64];
    char text[128], out[64], len[16] = "";
    int64_t n = how.per_channel ? channels : 1;
    assert_true(count <= 4096 && n <= 64);
    for (int64_t i = 0; i < count; i++)
        w[i] = (uint8_t)pseudo();
    for (int64_t i = 0; i < n; i++) {
        scale[i] = 0.001f * (float)(1 + i % 5);
        zero[i] = how.w == DT_INT8 ? 0 : 128;
    }
    if (how.per_channel)
        snprintf(len, sizeof len, "%d", (int)n);
    build_const(b, name, how.w, dims, w);
    snprintf(text, sizeof text, "%s_s", name);
    build_const(b, text, DT_FLOAT, len, scale);
    snprintf(text, sizeof text, "%s_z", name);
    build_const(b, text, how.w, len, zero);
    snprintf(text, sizeof text, "%s %s_s %s_z", name, name, name);
    snprintf(out, sizeof out, "%s_d", name);
    struct node *dq = build_node(b, "DequantizeLinear", text, out);
    if (how.per_channel)
        assert_int_equal(node_set_attr_int(&cx, dq, "axis", axis), OK);
}

static void bias(struct build *b, const char *name, int64_t n)
{
    float v[64];
    char dims[16];
    for (int64_t i = 0; i < n; i++)
        v[i] = 0.01f * (float)(pseudo() - 128);
    snprintf(dims, sizeof dims, "%d", (int)n);
    build_const(b, name, DT_FLOAT, dims, v);
}

static void conv(struct build *b, const char *ins, const char *out, int64_t group, int64_t stride)
{
    struct node *n = build_node(b, "Conv", ins, out);
    int64_t pads[4] = {1, 1, 1, 1}, strides[2] = {stride, stride};
    assert_int_equal(node_set_attr_int(&cx, n, "group", group), OK);
    assert_int_equal(node_set_attr_ints(&cx, n, "pads", pads, 4), OK);
    assert_int_equal(node_set_attr_ints(&cx, n, "strides", strides, 2), OK);
}

/* A small network with all that is fused. */
static struct model *network(void)
{
    struct build b = build_new(&cx, 17);
    salt = 7;
    build_in(&b, "x", DT_FLOAT, "n 3 11 9");
    grid(&b, "x", 0.02f, 100);
    weights(&b, "w1", "24 3 3 3", 24 * 27, 24, 0);
    bias(&b, "b1", 24);
    conv(&b, "x_d w1_d b1", "c1", 1, 2);
    build_node(&b, "Relu", "c1", "r1");
    grid(&b, "r1", 0.05f, 3);
    weights(&b, "w2", "24 1 3 3", 24 * 9, 24, 0);
    conv(&b, "r1_d w2_d", "c2", 24, 1);
    build_float(&b, "lo", 0.0f);
    build_float(&b, "hi", 6.0f);
    build_node(&b, "Clip", "c2 lo hi", "r2");
    grid(&b, "r2", 0.04f, 0);
    build_node(&b, "Add", "r1_d r2_d", "sum");
    grid(&b, "sum", 0.07f, 20);
    build_node(&b, "GlobalAveragePool", "sum_d", "mean");
    grid(&b, "mean", 0.03f, 40);
    build_node(&b, "Flatten", "mean_d", "flat");
    char same[] = "flat mean_s mean_z", back[] = "flat_q mean_s mean_z";
    build_node(&b, "QuantizeLinear", same, "flat_q");
    build_node(&b, "DequantizeLinear", back, "flat_d");
    weights(&b, "w3", "24 10", 240, 10, 1);
    bias(&b, "b3", 10);
    build_node(&b, "MatMul", "flat_d w3_d", "p");
    build_node(&b, "Add", "p b3", "y");
    grid(&b, "y", 0.05f, 128);
    build_out(&b, "y_d", DT_FLOAT, NULL);
    return b.m;
}

static struct session *bound(struct model *m, struct session_opts o)
{
    struct session *s = NULL;
    o.threads = 2;
    if (session_new(&cx, m, &o, &s))
        fail_msg("session: %s", message());
    return s;
}

/* At most few elements are off, by two steps of the last grid (one of them from before). */
static void compare(struct session_opts o)
{
    struct session *a = bound(network(), (struct session_opts){.level = OPT_NONE}), *b = bound(network(), o);
    float x[2 * 3 * 11 * 9];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)(i * 37 % 211) * 0.02f - 2.0f;
    struct tensor in = {.dt = DT_FLOAT, .rank = 4, .dims = {2, 3, 11, 9}, .data = x};
    const struct tensor *want, *got;
    if (session_run(&cx, a, &in, &want) || session_run(&cx, b, &in, &got))
        fail_msg("%s", message());
    assert_int_equal(tensor_count(want), 20);
    assert_int_equal(tensor_count(got), 20);
    double lowest = 1e9, highest = -1e9;
    for (int64_t i = 0; i < 20; i++) {
        double u = tensor_f64(want, i), v = tensor_f64(got, i);
        if (fabs(u - v) > 2 * 0.05 + 1e-6)
            fail_msg("element %d is %g, by floats %g", (int)i, v, u);
        lowest = u < lowest ? u : lowest;
        highest = u > highest ? u : highest;
    }
    assert_true(highest - lowest > 1); /* else it would prove nothing */
    session_free(a);
    session_free(b);
}

static void chains_run_on_integers(void **state)
{
    (void)state;
    how = (struct flavour){DT_UINT8, DT_INT8, true};
    struct session *s = bound(network(), (struct session_opts){.level = OPT_ALL});
    assert_string_equal(ops_of(s->m->graph), "QuantizeLinear Transpose QConv QConv QAdd QMean Transpose "
                                             "Flatten QMatMul DequantizeLinear");
    session_free(s);
    s = bound(network(), (struct session_opts){.level = OPT_BASIC});
    assert_null(strstr(ops_of(s->m->graph), "QConv"));
    session_free(s);
    s = bound(network(),
              (struct session_opts){.level = OPT_ALL, .skip_pass = (const char *const[]){"fuse_qdq", NULL}});
    assert_null(strstr(ops_of(s->m->graph), "QConv"));
    session_free(s);
}

static void numbers_are_those_of_the_floats(void **state)
{
    static const char *const masks[] = {"c", "avx2", "all"};
    (void)state;
    for (int v = 0; v < 8; v++) {
        how = (struct flavour){v & 1 ? DT_INT8 : DT_UINT8, v & 2 ? DT_INT8 : DT_UINT8, v & 4};
        for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
            struct session_opts o = {.level = OPT_ALL, .cpu_given = true};
            assert_int_equal(cpu_mask_parse(masks[i], &o.cpu_mask), 0);
            compare(o);
        }
        compare((struct session_opts){.level = OPT_BASIC});
    }
}

/* A value that the caller wants to see has its name still, inside a chain or at the end of one. */
static void kept_values_keep_their_names(void **state)
{
    (void)state;
    how = (struct flavour){DT_UINT8, DT_INT8, true};
    struct session_opts o = {.level = OPT_ALL, .keep = (const char *const[]){"r1_q", "c2", NULL}};
    struct session *s = bound(network(), o);
    const struct value *end = graph_find(s->m->graph, "r1_q"), *inner = graph_find(s->m->graph, "c2");
    assert_non_null(end);
    assert_non_null(end->producer);
    assert_string_equal(end->producer->op_type, "Transpose");
    assert_non_null(inner);
    assert_non_null(inner->producer);
    session_free(s);
    compare(o);
}

/* Weights with a zero point of their own, and scales that are not constant, stay floats. */
static void what_does_not_fit_is_left(void **state)
{
    (void)state;
    how = (struct flavour){DT_UINT8, DT_INT8, false};
    struct build b = build_new(&cx, 17);
    uint8_t w[16] = {1, 2, 3, 4}, zero = 5;
    build_in(&b, "x", DT_FLOAT, "2 4");
    build_in(&b, "scale", DT_FLOAT, "");
    grid(&b, "x", 0.02f, 100);
    build_const(&b, "w", DT_INT8, "4 4", w);
    build_float(&b, "w_s", 0.01f);
    build_const(&b, "w_z", DT_INT8, "", &zero);
    build_node(&b, "DequantizeLinear", "w w_s w_z", "w_d");
    build_node(&b, "MatMul", "x_d w_d", "p");
    grid(&b, "p", 0.1f, 9);
    weights(&b, "v", "4 4", 16, 4, 1);
    build_node(&b, "MatMul", "p_d v_d", "r");
    build_const(&b, "r_z", DT_UINT8, "", &zero);
    build_node(&b, "QuantizeLinear", "r scale r_z", "r_q");
    build_out(&b, "r_q", DT_UINT8, NULL);
    struct session *s = bound(b.m, (struct session_opts){.level = OPT_ALL});
    assert_null(strstr(ops_of(s->m->graph), "QMatMul"));
    session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_run_on_integers),
        cmocka_unit_test(numbers_are_those_of_the_floats),
        cmocka_unit_test(kept_values_keep_their_names),
        cmocka_unit_test(what_does_not_fit_is_left),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
