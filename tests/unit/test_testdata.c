/* Loads everything that scripts/make_testdata.py makes: the good models with all their values, the broken
 * ones for the right reason. Runs in the folder of the repository. */
#include "cmk.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "io/onnx_load.h"
#include "io/tensor_pb.h"

static struct cx cx;

/* Loads path and reads every dense initializer of the main graph; the first status that is not OK. */
static int load_all(const char *path)
{
    struct model *m = NULL;
    struct load_opts o = {0};
    int rc = model_load(&cx, path, &o, &m);
    if (rc)
        return rc;
    for (size_t i = 0; i < m->graph->ninits && !rc; i++) {
        struct tensor t = {0};
        if (m->graph->inits[i]->init)
            rc = tensor_load(&cx, m, m->graph->inits[i]->init, &t);
        tensor_drop(&t);
    }
    model_free(m);
    return rc;
}

static void check_status(const char *path, int want)
{
    char text[1024] = "";
    int rc = load_all(path);
    if (rc)
        err_format(&cx.err, text, sizeof text);
    if (rc != want)
        fail_msg("%s: %s, expected %s: %s", path, err_name(rc), err_name(want), text);
    if (rc && !strstr(text, path))
        fail_msg("%s: the message does not name the file: %s", path, text);
}

static size_t check_all(const char *pattern, int want)
{
    glob_t g = {0};
    assert_int_equal(glob(pattern, 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++)
        check_status(g.gl_pathv[i], want);
    size_t n = g.gl_pathc;
    globfree(&g);
    return n;
}

static void good_models_load(void **state)
{
    (void)state;
    assert_true(check_all("testdata/models/*.onnx", OK) >= 30);
    assert_true(check_all("testdata/models/external/*.onnx", OK) >= 3);
    assert_int_equal(check_all("testdata/digits/digits.onnx", OK), 1);
}

struct expectation {
    const char *name;
    int status;
};

static void check_table(const char *folder, const struct expectation *e, size_t n)
{
    char path[256];
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "testdata/models/%s/%s.onnx", folder, e[i].name);
        check_status(path, e[i].status);
    }
}

static void bad_external_data_is_refused(void **state)
{
    static const struct expectation table[] = {
        {"escape", E_PATH},    {"escape_inner", E_PATH}, {"escape_deep", E_PATH},  {"absolute", E_PATH},
        {"folder", E_PATH},    {"backslash", E_NOENT},   {"missing", E_NOENT},     {"empty", E_MODEL},
        {"short", E_DATA},     {"past_end", E_DATA},     {"far", E_DATA},          {"huge", E_MODEL},
        {"negative", E_MODEL}, {"no_number", E_MODEL},   {"wrong_length", E_DATA}, {"no_location", E_MODEL},
    };
    (void)state;
    check_table("external_bad", table, sizeof table / sizeof *table);
}

/* In a folder of its own, so that the checkout stays as it is. */
static void link_that_leads_out_is_refused(void **state)
{
    char dir[] = "/tmp/onnxtool-test-XXXXXX", command[512], path[128];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command,
             "mkdir %s/in && cp testdata/models/outside.bin %s && cp testdata/models/external_bad/link.onnx "
             "%s/in && "
             "ln -s ../outside.bin %s/in/link.bin",
             dir, dir, dir, dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/in/link.onnx", dir);
    check_status(path, E_PATH);
    struct load_opts allow = {.allow_links = true};
    struct model *m = NULL;
    assert_int_equal(model_load(&cx, path, &allow, &m), OK);
    model_free(m);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void bad_models_are_refused(void **state)
{
    static const struct expectation table[] = {
        {"cycle", E_MODEL},
        {"self_loop", E_MODEL},
        {"undefined", E_MODEL},
        {"twice", E_MODEL},
        {"no_output", E_MODEL},
        {"recursive_function", E_MODEL},
        {"raw_short", E_DATA},
        {"raw_long", E_DATA},
        {"field_short", E_DATA},
        {"wrong_field", E_DATA},
        {"no_data", E_DATA},
        {"dims_overflow", E_MODEL},
        {"dims_huge", E_DATA},
        {"dims_negative", E_MODEL},
        {"no_graph", E_NOTONNX},
        {"type_unknown", E_UNSUPPORTED},
        {"field_zero", E_PARSE},
        {"group_open", E_PARSE},
        {"varint_long", E_PARSE},
        {"wire_type", E_PARSE},
        {"order", OK}, /* sorted while loading */
        {"length_past_end", E_PARSE},
    };
    (void)state;
    check_table("bad", table, sizeof table / sizeof *table);
}

static void other_files_are_told_apart(void **state)
{
    glob_t g = {0};
    (void)state;
    assert_int_equal(glob("testdata/notonnx/*", 0, NULL, &g), 0);
    assert_true(g.gl_pathc >= 20);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        int rc = load_all(g.gl_pathv[i]);
        if (rc != E_NOTONNX && rc != E_PARSE)
            fail_msg("%s: %s", g.gl_pathv[i], err_name(rc));
    }
    globfree(&g);
}

/* ---- elements ---- */

static struct model *load(const char *path)
{
    struct model *m = NULL;
    struct load_opts o = {0};
    assert_int_equal(model_load(&cx, path, &o, &m), OK);
    return m;
}

static void load_tensor(struct model *m, const char *name, struct tensor *t)
{
    struct value *v = smap_get(&m->graph->names, name);
    memset(t, 0, sizeof *t);
    if (!v || !v->init)
        fail_msg("no initializer '%s'", name);
    assert_int_equal(tensor_load(&cx, m, v->init, t), OK);
    assert_string_equal(dtype_name((int)t->dt), name);
    assert_int_equal(tensor_count(t), 5);
}

static cJSON *read_json(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    return json;
}

static void check_number(const struct tensor *t, int i, const cJSON *want)
{
    double re = cJSON_IsArray(want)  ? want->child->valuedouble
                : cJSON_IsBool(want) ? (double)cJSON_IsTrue(want)
                                     : want->valuedouble;
    if (tensor_f64(t, i) != re)
        fail_msg("%s[%d] is %.17g, not %.17g", dtype_name((int)t->dt), i, tensor_f64(t, i), re);
    if (t->dt == DT_COMPLEX64)
        assert_true((double)((const float *)t->data)[2 * i + 1] == want->child->next->valuedouble);
    if (t->dt == DT_COMPLEX128)
        assert_true(((const double *)t->data)[2 * i + 1] == want->child->next->valuedouble);
}

/* cJSON ends a string at its zero byte, which "a\0b" has: compared up to there, the length by the table. */
static void check_text(const struct tensor *t, int i, const cJSON *want)
{
    static const size_t length[] = {0, 5, 7, 10, 3};
    const struct ostr *s = &((const struct ostr *)t->data)[i];
    assert_int_equal(s->n, length[i]);
    assert_memory_equal(s->p, want->valuestring, strlen(want->valuestring));
}

static void elements_have_their_values(void **state)
{
    static const char *const paths[] = {"testdata/models/elements_raw.onnx",
                                        "testdata/models/elements_typed.onnx"};
    cJSON *json = read_json("testdata/models/elements.json");
    (void)state;
    for (size_t p = 0; p < 2; p++) {
        struct model *m = load(paths[p]);
        int types = 0;
        for (const cJSON *row = json->child; row; row = row->next, types++) {
            struct tensor t;
            int i = 0;
            load_tensor(m, row->string, &t);
            for (const cJSON *want = row->child; want; want = want->next, i++)
                t.dt == DT_STRING ? check_text(&t, i, want) : check_number(&t, i, want);
            tensor_drop(&t);
        }
        assert_int_equal(types, DT_COUNT - 1);
        model_free(m);
    }
    cJSON_Delete(json);
}

/* Bit for bit, which doubles cannot tell of 64-bit integers. */
static void raw_and_typed_fields_agree(void **state)
{
    struct model *raw = load("testdata/models/elements_raw.onnx");
    struct model *typed = load("testdata/models/elements_typed.onnx");
    (void)state;
    for (int dt = 1; dt < DT_COUNT; dt++) {
        struct tensor a, b;
        if (dt == DT_STRING)
            continue;
        load_tensor(raw, dtype_name(dt), &a);
        load_tensor(typed, dtype_name(dt), &b);
        assert_memory_equal(a.data, b.data, tensor_bytes(&a));
        if (dt == DT_INT64)
            assert_true(((const int64_t *)a.data)[4] == (1ll << 53) + 1);
        if (dt == DT_UINT64)
            assert_true(((const uint64_t *)a.data)[2] == UINT64_MAX);
        tensor_drop(&a);
        tensor_drop(&b);
    }
    model_free(raw);
    model_free(typed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_models_load),
        cmocka_unit_test(bad_external_data_is_refused),
        cmocka_unit_test(link_that_leads_out_is_refused),
        cmocka_unit_test(bad_models_are_refused),
        cmocka_unit_test(other_files_are_told_apart),
        cmocka_unit_test(elements_have_their_values),
        cmocka_unit_test(raw_and_typed_fields_agree),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
