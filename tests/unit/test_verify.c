/* Verification of rewrites: models against themselves under every optimization, and against versions of
 * themselves that are wrong in one place. */
#include "cmk.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"

#include "compare/verify_rewrite.h"
#include "io/onnx_load.h"
#include "onnxtool.h"

static struct cx cx;

static const char *message(void)
{
    static char text[1024];
    err_format(&cx.err, text, sizeof text);
    return text;
}

/* ---- models made here ---- */

enum planted {
    RIGHT,
    OTHER_WEIGHT,
    OTHER_OPERATOR,
    ONLY_LARGE,   /* wrong only for batches above 1 */
    OTHER_OUTPUT, /* another name */
    OTHER_INPUT,  /* one more */
    FIXED_BATCH,  /* takes batches of 1 only */
    INSIDE,       /* wrong where the output does not show it */
    WRONG_TYPE,
};

/* y = Tanh(x * w + 1), hidden = y > 9 (never) */
static struct model *make(enum planted p)
{
    struct build b = build_new(&cx, 14);
    const float w[] = {1, -2, 0.5f}, w2[] = {1, -2, 0.51f};
    build_in(&b, "x", DT_FLOAT, p == FIXED_BATCH ? "1 3" : "batch 3");
    if (p == OTHER_INPUT)
        build_in(&b, "extra", DT_FLOAT, "1");
    build_const(&b, "w", DT_FLOAT, "3", p == OTHER_WEIGHT ? w2 : w);
    build_float(&b, "one", 1);
    build_float(&b, "nine", 9);
    build_node(&b, "Mul", "x w", "scaled");
    build_node(&b, p == OTHER_OPERATOR ? "Sub" : "Add", "scaled one", "shifted");
    build_node(&b, "Tanh", p == INSIDE ? "scaled" : "shifted", "squashed");
    if (p == ONLY_LARGE) { /* minus (batch - 1) */
        const int64_t zero = 0;
        build_node(&b, "Shape", "x", "shape");
        build_const(&b, "axis0", DT_INT64, "", &zero);
        build_node(&b, "Gather", "shape axis0", "n");
        struct node *cast = build_node(&b, "Cast", "n", "nf");
        struct attr to = {.name = "to", .kind = AT_INT, .u.i = DT_FLOAT};
        assert_int_equal(node_set_attr(&cx, cast, &to), OK);
        build_node(&b, "Sub", "nf one", "more");
        build_node(&b, "Sub", "squashed more", "y");
    } else {
        build_node(&b, "Identity", p == INSIDE ? "shifted" : "squashed", "y");
    }
    build_node(&b, "Greater", "squashed nine", p == OTHER_OUTPUT ? "other" : "hidden");
    if (p != INSIDE)
        build_out(&b, "y", DT_FLOAT, NULL);
    build_out(&b, p == OTHER_OUTPUT ? "other" : "hidden", DT_BOOL, NULL);
    return b.m;
}

/* The same with the output alone that never moves. */
static struct model *make_still(bool wrong)
{
    struct model *m = make(wrong ? INSIDE : RIGHT);
    if (!wrong)
        assert_int_equal(graph_set_outputs(&cx, m->graph, &m->graph->outs[1], 1), OK);
    return m;
}

static struct verify_report verify(struct model *a, struct model *b, const struct verify_opts *o)
{
    struct verify_opts def = {0};
    struct verify_report r;
    int rc = verify_rewrite(&cx, a, b, o ? o : &def, &r);
    if (rc)
        fail_msg("%s", message());
    return r;
}

static void equal_models_pass(void **state)
{
    (void)state;
    struct verify_report r = verify(make(RIGHT), make(RIGHT), NULL);
    assert_true(r.pass && r.proven == true);
    assert_null(r.failure);
    assert_int_equal(r.nout, 2);
    assert_int_equal(r.sizes, 3);
    assert_int_equal(r.sets, 9);
    assert_true(r.out[0].moves && !r.out[1].moves);
    assert_true(r.looked_inside && r.inside >= 3 && !r.inside_failed);
    assert_true(r.out[0].worst.max_abs == 0);
    assert_int_equal(r.out[0].worst.count, 3 * (3 + 6 + 12));
    verify_free(&r);
}

static void a_wrong_weight_is_caught(void **state)
{
    (void)state;
    struct verify_report r = verify(make(RIGHT), make(OTHER_WEIGHT), NULL);
    assert_false(r.pass);
    assert_null(r.failure);
    assert_string_equal(r.out[0].name, "y");
    assert_false(r.out[0].worst.pass);
    assert_true(r.out[0].worst.max_abs > 1e-4 && r.out[0].worst.max_abs < 0.1);
    assert_non_null(strstr(r.out[0].worst.reason, "elements differ"));
    assert_true(r.out[1].worst.pass);
    verify_free(&r);
    r = verify(make(RIGHT), make(OTHER_OPERATOR), NULL);
    assert_false(r.pass);
    verify_free(&r);
}

static void wide(void *user, const char *output, struct tolerance *t)
{
    *(int *)user += strcmp(output, "y") == 0;
    t->atol = 0.1;
}

static void tolerances_are_asked_for(void **state)
{
    (void)state;
    int asked = 0;
    struct verify_opts o = {.tolerance = wide, .user = &asked};
    struct verify_report r = verify(make(RIGHT), make(OTHER_WEIGHT), &o);
    assert_true(r.pass);
    assert_true(asked >= 9);
    verify_free(&r);
}

static void sizes_other_than_the_default_are_tried(void **state)
{
    (void)state;
    struct verify_report r = verify(make(RIGHT), make(ONLY_LARGE), NULL);
    assert_false(r.pass);
    assert_non_null(strstr(r.out[0].where, "batch="));
    verify_free(&r);
    struct verify_opts one = {.sizes = 1}; /* and with batches of 1 it cannot be seen */
    r = verify(make(RIGHT), make(ONLY_LARGE), &one);
    assert_true(r.pass);
    assert_int_equal(r.sizes, 1);
    verify_free(&r);
    r = verify(make(RIGHT), make(FIXED_BATCH), NULL);
    assert_false(r.pass);
    assert_non_null(strstr(r.failure, "does not run"));
    verify_free(&r);
    /* Sizes that the original does not take are no fault of the other. */
    const char *const dims[] = {"batch=4", NULL};
    struct verify_opts fixed = {.feed = {.dims = dims, .samples = 2}};
    r = verify(make(RIGHT), make(RIGHT), &fixed);
    assert_true(r.pass);
    assert_int_equal(r.sets, 2);
    assert_int_equal(r.out[0].worst.count, 2 * 12);
    verify_free(&r);
}

static void another_interface_is_caught(void **state)
{
    (void)state;
    struct verify_report r = verify(make(RIGHT), make(OTHER_OUTPUT), NULL);
    assert_false(r.pass);
    assert_string_equal(r.failure, "output 'hidden' is gone");
    verify_free(&r);
    r = verify(make(RIGHT), make(OTHER_INPUT), NULL);
    assert_false(r.pass);
    assert_string_equal(r.failure, "input 'extra' is new");
    verify_free(&r);
}

static void outputs_that_never_move_are_looked_behind(void **state)
{
    (void)state;
    struct verify_report r = verify(make_still(false), make_still(false), NULL);
    assert_true(r.pass && r.proven && r.looked_inside);
    assert_false(r.out[0].moves);
    verify_free(&r);
    r = verify(make_still(false), make_still(true), NULL);
    assert_true(r.out[0].worst.pass); /* equal, and it proves nothing */
    assert_false(r.pass);
    assert_int_equal(r.inside_failed, 2);
    assert_true(!strcmp(r.inside_worst, "squashed") || !strcmp(r.inside_worst, "y"));
    verify_free(&r);
}

static void nothing_to_compare_is_no_proof(void **state)
{
    (void)state;
    struct model *m[2];
    for (int k = 0; k < 2; k++) {
        struct build b = build_new(&cx, 14);
        build_in(&b, "x", DT_FLOAT, "3");
        build_float(&b, "one", 1);
        build_node(&b, "Add", "one one", "y");
        build_out(&b, "y", DT_FLOAT, NULL);
        m[k] = b.m;
    }
    struct verify_report r = verify(m[0], m[1], NULL);
    assert_true(r.pass);
    assert_false(r.proven);
    verify_free(&r);
}

/* y = x + noise, inside an If when `deep`; z = x * 2, or 3. */
static struct model *make_noisy(float seed, float factor, bool deep)
{
    struct build b = build_new(&cx, 14), in = b;
    struct attr a = {.name = "seed", .kind = AT_FLOAT, .u.f = seed};
    build_in(&b, "x", DT_FLOAT, "n");
    build_float(&b, "factor", factor);
    if (deep) {
        build_bool(&b, "yes", true);
        struct node *iff = build_node(&b, "If", "yes", "noise");
        struct build other = build_body(&b, iff, "else_branch");
        build_node(&other, "Identity", "x", "same");
        build_body_out(&other, "same");
        in = build_body(&b, iff, "then_branch");
    }
    struct node *n = build_node(&in, "RandomUniformLike", "x", deep ? "made" : "noise");
    assert_int_equal(node_set_attr(&cx, n, &a), OK);
    if (deep)
        build_body_out(&in, "made");
    build_node(&b, "Add", "x noise", "y");
    build_node(&b, "Mul", "x factor", "z");
    build_out(&b, "y", DT_FLOAT, "n");
    build_out(&b, "z", DT_FLOAT, "n");
    return b.m;
}

static void chance_is_told_from_error(void **state)
{
    (void)state;
    for (int deep = 0; deep < 2; deep++) {
        struct verify_report r = verify(make_noisy(1, 2, deep), make_noisy(2, 2, deep), NULL);
        assert_true(r.pass && r.proven);
        assert_true(r.out[0].random && !r.out[1].random);
        assert_true(r.out[0].worst.max_abs > 0.01); /* they do differ */
        verify_free(&r);
        r = verify(make_noisy(1, 2, deep), make_noisy(1, 3, deep), NULL);
        assert_false(r.pass);
        assert_true(r.out[0].worst.pass && !r.out[1].worst.pass);
        verify_free(&r);
    }
}

static void an_original_that_does_not_run_is_an_error(void **state)
{
    (void)state;
    struct model *m[2];
    for (int k = 0; k < 2; k++) {
        struct build b = build_new(&cx, 14);
        build_in(&b, "x", DT_FLOAT, "3");
        build_node(&b, "NoSuchThing", "x", "y");
        build_out(&b, "y", DT_FLOAT, NULL);
        m[k] = b.m;
    }
    struct verify_opts o = {0};
    struct verify_report r;
    assert_int_equal(verify_rewrite(&cx, m[0], m[1], &o, &r), E_UNSUPPORTED);
    verify_free(&r);
    err_clear(&cx);
}

/* ---- models in files ---- */

static struct model *load(const char *path)
{
    struct load_opts lo = {0};
    struct model *m = NULL;
    if (model_load(&cx, path, &lo, &m))
        fail_msg("%s", message());
    return m;
}

static bool is_quantized(const struct model *m)
{
    for (const struct node *n = m->graph->first; n; n = n->next)
        if (strcmp(n->op_type, "QuantizeLinear") == 0)
            return true;
    return false;
}

/* A value beside the middle of two steps is rounded to either, by what integers or floats say; the steps
 * behind it go on from there. */
static void steps_apart(void *user, const char *output, struct tolerance *out)
{
    (void)user;
    (void)output;
    out->max_outliers = 1;
    out->min_sqnr = 20;
}

/* -O none against -O all; false when the model does not run here at all. */
static bool check_levels(const char *path)
{
    struct verify_opts o = {.before = OPT_NONE, .after = OPT_ALL, .feed.samples = 2, .sizes = 2};
    struct model *m = load(path);
    if (is_quantized(m))
        o.tolerance = steps_apart;
    struct verify_report r;
    err_clear(&cx);
    int rc = verify_rewrite(&cx, m, load(path), &o, &r);
    bool ran = !rc;
    if (rc && rc != E_UNSUPPORTED && rc != E_USAGE)
        fail_msg("%s: %s", path, message());
    for (size_t i = 0; ran && i < r.nout; i++)
        if (!r.out[i].worst.pass)
            fail_msg("%s: output %s: %s (%s)", path, r.out[i].name, r.out[i].worst.reason, r.out[i].where);
    if (ran && !r.pass)
        fail_msg("%s: %s %s: %s", path, r.failure ? r.failure : "", r.inside_worst ? r.inside_worst : "",
                 r.inside_metrics.reason);
    verify_free(&r);
    return ran;
}

static size_t check_all(const char *pattern)
{
    glob_t g = {0};
    size_t ran = 0;
    if (glob(pattern, 0, NULL, &g))
        return 0;
    for (size_t i = 0; i < g.gl_pathc; i++)
        ran += check_levels(g.gl_pathv[i]);
    globfree(&g);
    return ran;
}

static void optimization_changes_nothing(void **state)
{
    (void)state;
    assert_true(check_levels("testdata/digits/digits.onnx"));
    assert_true(check_all("testdata/models/*.onnx") >= 25);
}

static void optimization_changes_nothing_in_shared_models(void **state)
{
    (void)state;
    size_t ran = check_all("../shared/models/*/model.onnx");
    if (!ran)
        skip();
    assert_true(ran >= 5);
}

static void the_public_face(void **state)
{
    const char *const fills[] = {"0:16", NULL};
    struct ot_verify_opts o = {.feed = {.fills = fills, .seed = 7, .samples = 2}, .after = OT_OPT_ALL};
    struct ot_verify_summary s;
    struct ot_verify_output y;
    ot_ctx *c = ot_ctx_new();
    ot_model *a, *b;
    ot_verification *v = NULL;
    (void)state;
    assert_non_null(c);
    assert_int_equal(ot_model_load(c, "testdata/digits/digits.onnx", NULL, &a), OT_OK);
    assert_int_equal(ot_model_load(c, "testdata/digits/digits.onnx", NULL, &b), OT_OK);
    assert_int_equal(ot_verify(c, a, b, &o, &v), OT_OK);
    ot_verification_summary(v, &s);
    assert_true(s.pass && s.proven && !s.failure);
    assert_int_equal(s.noutputs, 1);
    assert_true(s.sets >= 4);
    ot_verification_output(v, 0, &y);
    assert_string_equal(y.name, "logits");
    assert_true(y.worst.pass && y.moves && !y.random && y.worst.count > 0);
    ot_verification_free(v);
    ot_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_models_pass),
        cmocka_unit_test(a_wrong_weight_is_caught),
        cmocka_unit_test(tolerances_are_asked_for),
        cmocka_unit_test(sizes_other_than_the_default_are_tried),
        cmocka_unit_test(another_interface_is_caught),
        cmocka_unit_test(outputs_that_never_move_are_looked_behind),
        cmocka_unit_test(nothing_to_compare_is_no_proof),
        cmocka_unit_test(chance_is_told_from_error),
        cmocka_unit_test(an_original_that_does_not_run_is_an_error),
        cmocka_unit_test(optimization_changes_nothing),
        cmocka_unit_test(optimization_changes_nothing_in_shared_models),
        cmocka_unit_test(the_public_face),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
