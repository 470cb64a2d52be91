/* Tests of the operator facts. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ops/schema.h"

static struct cx cx;

static struct op_schema *parse(const struct op_version *v)
{
    struct op_schema *s = NULL;
    assert_non_null(v);
    assert_int_equal(schema_parse(&cx, &cx.scratch, v, &s), OK);
    return s;
}

static struct op_schema *parse_op(const char *domain, const char *name, int opset)
{
    return parse(schema_find(domain, name, opset));
}

static void find_takes_newest_up_to_opset(void **state)
{
    (void)state;
    assert_int_equal(schema_find("", "Clip", 1)->since, 1);
    assert_int_equal(schema_find("", "Clip", 10)->since, 6);
    assert_int_equal(schema_find("ai.onnx", "Clip", 11)->since, 11);
    assert_int_equal(schema_find("", "Clip", 1000)->since, 13);
    assert_null(schema_find("", "Clip", 0));
    assert_null(schema_find("", "Gelu", 19));
    assert_int_equal(schema_find("", "Gelu", 20)->since, 20);
    assert_null(schema_find("ai.onnx.ml", "Clip", 13));
    assert_null(schema_find("com.example", "Clip", 13));
    assert_null(schema_find("", "", 13));
    assert_null(schema_find("", "Cli", 13));
    assert_int_equal(schema_find("ai.onnx.ml", "TreeEnsemble", 5)->since, 5);
    assert_int_equal(schema_find("ai.onnx.preview.training", "Adam", 1)->since, 1);
}

static void domains_and_names(void **state)
{
    (void)state;
    assert_true(schema_newest_opset("") >= 28);
    assert_int_equal(schema_newest_opset("ai.onnx"), schema_newest_opset(""));
    assert_true(schema_newest_opset("ai.onnx.ml") >= 5);
    assert_int_equal(schema_newest_opset("com.microsoft"), 0);
    assert_true(schema_known("", "Conv"));
    assert_false(schema_known("", "conv"));
    assert_string_equal(schema_nearest("", "Cnov"), "Conv");
    assert_string_equal(schema_nearest("", "Softmx"), "Softmax");
    assert_null(schema_nearest("", "Frobnicator"));
}

static void signature_is_read(void **state)
{
    (void)state;
    struct op_schema *s = parse_op("", "Conv", 22);
    assert_int_equal(s->nin, 3);
    assert_string_equal(s->in[2].name, "B");
    assert_string_equal(s->in[2].type, "T");
    assert_int_equal(s->in[2].option, IO_OPTIONAL);
    assert_int_equal(s->in[1].option, IO_SINGLE);
    assert_int_equal(s->min_in, 2);
    assert_int_equal(s->max_in, 3);
    assert_int_equal(s->nout, 1);
    assert_int_equal(s->min_out, 1);
    assert_null(schema_input(s, 3));
    assert_null(schema_input(s, -1));

    s = parse_op("", "Concat", 13);
    assert_int_equal(s->in[0].option, IO_VARIADIC);
    assert_int_equal(s->in[0].min, 1);
    assert_false(s->in[0].heterogeneous);
    assert_int_equal(s->max_in, INT_MAX);
    assert_ptr_equal(schema_input(s, 17), &s->in[0]);

    s = parse_op("", "Loop", 25);
    assert_true(s->in[2].heterogeneous);
    assert_int_equal(s->min_in, 2);
    assert_string_equal(schema_input(s, 9)->name, "v_initial");

    s = parse_op("", "Constant", 13);
    assert_int_equal(s->nin, 0);
    assert_int_equal(s->max_in, 0);
    assert_string_equal(s->out[0].name, "output");
}

static void names_without_parsing(void **state)
{
    (void)state;
    char buf[32];
    const struct op_version *conv = schema_find("", "Conv", 22), *cat = schema_find("", "Concat", 13);
    assert_string_equal(schema_input_name(conv, 0, buf, sizeof buf), "X");
    assert_string_equal(schema_input_name(conv, 2, buf, sizeof buf), "B");
    assert_string_equal(schema_input_name(conv, 3, buf, sizeof buf), "");
    assert_string_equal(schema_output_name(conv, 0, buf, sizeof buf), "Y");
    assert_string_equal(schema_output_name(conv, 1, buf, sizeof buf), "");
    assert_string_equal(schema_input_name(cat, 5, buf, sizeof buf), "inputs");
    assert_string_equal(schema_input_name(schema_find("", "Constant", 13), 0, buf, sizeof buf), "");
}

static void attributes_and_defaults(void **state)
{
    (void)state;
    struct op_schema *s = parse_op("", "Gemm", 13);
    assert_int_equal(s->nattr, 4);
    const struct schema_attr *a = schema_attr(s, "alpha");
    assert_int_equal(a->kind, SA_FLOAT);
    assert_int_equal(a->n, 1);
    assert_true(a->val.f[0] == 1.0f);
    assert_int_equal(schema_attr(s, "transB")->val.i[0], 0);
    assert_null(schema_attr(s, "gamma"));

    a = schema_attr(parse_op("", "BatchNormalization", 15), "epsilon");
    assert_true(a->val.f[0] == 1e-5f);
    a = schema_attr(parse_op("", "Clip", 6), "min");
    assert_true(a->val.f[0] == -3.4028234663852886e38f);
    a = schema_attr(parse_op("", "MeanVarianceNormalization", 13), "axes");
    assert_int_equal(a->kind, SA_INTS);
    assert_int_equal(a->n, 3);
    assert_int_equal(a->val.i[2], 3);
    assert_string_equal(a->def, "[0,2,3]");
    a = schema_attr(parse_op("", "GRU", 1), "activations");
    assert_int_equal(a->kind, SA_STRINGS);
    a = schema_attr(parse_op("", "Resize", 19), "coordinate_transformation_mode");
    assert_string_equal(a->val.s[0], "half_pixel");
    a = schema_attr(parse_op("", "If", 21), "then_branch");
    assert_int_equal(a->kind, SA_GRAPH);
    assert_true(a->required);
    assert_null(a->def);
    a = schema_attr(parse_op("", "Conv", 11), "pads");
    assert_false(a->required);
    assert_null(a->def);
}

static void types_are_checked(void **state)
{
    (void)state;
    const struct op_version *conv = schema_find("", "Conv", 11);
    assert_true(schema_type_allowed(conv, "T", "float16"));
    assert_false(schema_type_allowed(conv, "T", "bfloat16"));
    assert_true(schema_type_allowed(schema_find("", "Conv", 22), "T", "bfloat16"));

    const struct op_version *id = schema_find("", "Identity", 16);
    assert_true(schema_type_allowed(id, "V", "seq(string)"));
    assert_true(schema_type_allowed(id, "V", "optional(seq(int64))"));
    assert_true(schema_type_allowed(id, "V", "bfloat16"));
    assert_false(schema_type_allowed(id, "V", "seq(bfloat16)"));
    assert_false(schema_type_allowed(id, "V", "seq(seq(float))"));
    assert_false(schema_type_allowed(id, "V", "map(int64,float)"));

    const struct op_version *dv = schema_find("ai.onnx.ml", "DictVectorizer", 1);
    assert_true(schema_type_allowed(dv, "T1", "map(string,float)"));
    assert_false(schema_type_allowed(dv, "T1", "map(float,string)"));

    /* A type in place of a constraint's name. */
    const struct op_version *up = schema_find("", "Upsample", 9);
    assert_true(schema_type_allowed(up, "float", "float"));
    assert_false(schema_type_allowed(up, "float", "double"));

    char buf[256];
    assert_string_equal(schema_types_text(conv, "T", buf, sizeof buf), "float, float16, double");
    assert_string_equal(schema_types_text(dv, "T1", buf, 33), "map(int64,double), map(int64,flo");
    assert_non_null(
        strstr(schema_types_text(schema_find("", "SequenceAt", 11), "S", buf, sizeof buf), "seq(float), "));
}

static void flags_and_bodies(void **state)
{
    (void)state;
    assert_true(schema_find("", "Upsample", 10)->flags & SF_DEPRECATED);
    assert_false(schema_find("", "Upsample", 9)->flags & SF_DEPRECATED);
    assert_true(schema_find("", "Clip", 13)->flags & SF_CTX_BODY);
    assert_true(schema_find("", "RandomNormal", 22)->flags & SF_NONDET);

    const struct op_version *mvn = schema_find("", "MeanVarianceNormalization", 20);
    assert_int_equal(schema_body(mvn, 17)->opset, 13);
    assert_int_equal(schema_body(mvn, 20)->opset, 18);
    assert_string_equal(schema_body(mvn, 20)->imports, "@18");
    assert_null(schema_body(schema_find("", "Softplus", 7), 7));
    assert_non_null(strstr(schema_body(schema_find("", "Swish", 24), 24)->text, "Sigmoid"));
    assert_null(schema_body(schema_find("", "Conv", 22), 22));
}

/* Every row can be read, is in its place, and each typestr has at least one type. */
static void every_row_is_sound(void **state)
{
    (void)state;
    size_t n, nbodies = 0;
    char buf[64];
    const struct op_version *v = schema_all(&n);
    assert_true(n > 600);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            int c = strcmp(v[i - 1].domain, v[i].domain);
            c = c ? c : strcmp(v[i - 1].name, v[i].name);
            assert_true(c < 0 || (c == 0 && v[i - 1].since < v[i].since));
        }
        assert_ptr_equal(schema_find(v[i].domain, v[i].name, v[i].since), &v[i]);
        struct op_schema *s = parse(&v[i]);
        assert_true(s->min_in <= s->max_in && s->min_out <= s->max_out);
        for (int k = 0; k < s->nin; k++) {
            assert_string_equal(schema_input_name(&v[i], k, buf, sizeof buf), s->in[k].name);
            assert_true(schema_types_text(&v[i], s->in[k].type, buf, sizeof buf)[0]);
        }
        for (int k = 0; k < s->nout; k++)
            assert_string_equal(schema_output_name(&v[i], k, buf, sizeof buf), s->out[k].name);
        for (int k = 1; k < s->nattr; k++)
            assert_true(strcmp(s->attr[k - 1].name, s->attr[k].name) < 0);
        nbodies += schema_body(&v[i], INT_MAX) != NULL;
        assert_true((schema_body(&v[i], INT_MAX) != NULL) == ((v[i].flags & SF_BODY) != 0));
    }
    assert_true(nbodies >= 40);
}

static void parse_reports_lack_of_memory(void **state)
{
    (void)state;
    const struct op_version *v = schema_find("", "LSTM", 14);
    size_t failures = 0;
    for (size_t limit = 1; limit < 4096; limit += 64) {
        struct arena a = {.limit = limit};
        struct op_schema *s = NULL;
        int rc = schema_parse(&cx, &a, v, &s);
        assert_true(rc == OK || rc == E_NOMEM);
        assert_true((rc == OK) == (s != NULL));
        failures += rc != OK;
        arena_free(&a);
    }
    assert_true(failures > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_takes_newest_up_to_opset),
        cmocka_unit_test(domains_and_names),
        cmocka_unit_test(signature_is_read),
        cmocka_unit_test(names_without_parsing),
        cmocka_unit_test(attributes_and_defaults),
        cmocka_unit_test(types_are_checked),
        cmocka_unit_test(flags_and_bodies),
        cmocka_unit_test(every_row_is_sound),
        cmocka_unit_test(parse_reports_lack_of_memory),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
