/* What is loaded and saved unchanged says the same, field by field: the saved file must equal, byte for byte,
 * what the writer makes of the decoded original without the IR in between. Runs in the folder of the
 * repository. */
#include "cmk.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/encode.h"
#include "io/onnx_load.h"
#include "io/onnx_save.h"
#include "io/tensor_pb.h"
#include "io/tmpfile.h"
#include "ir/edit.h"

extern const ProtobufCMessageDescriptor onnx__model_proto__descriptor;

static struct cx cx;
static char dir[64];

static int setup(void **state)
{
    (void)state;
    cx_init(&cx);
    snprintf(dir, sizeof(dir), "/tmp/ot-save-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    cx_fini(&cx);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static const char *in_dir(const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
    return p;
}

static void ok(int r, const char *what)
{
    char text[2048];

    if (!r)
        return;
    err_format(&cx.err, text, sizeof(text));
    fail_msg("%s: %s", what, text);
}

static struct model *load(const char *path)
{
    struct model *m;

    ok(model_load(&cx, path, NULL, &m), path);
    return m;
}

/* The file as the writer alone makes it. */
static void canonical(const char *path, struct sink *out)
{
    struct arena a = {0};
    struct file *f;
    void *msg;

    ok(file_open(&cx, path, &f), path);
    ok(pb_decode(&cx, f, 0, f->size, &onnx__model_proto__descriptor, &a, &msg), path);
    sink_init_mem(out, &cx);
    ok(pb_encode(out, msg), path);
    file_unref(f);
    arena_free(&a);
}

static void check_lossless(const char *path)
{
    struct model *m = load(path);
    struct sink want;
    void *got;
    size_t n;

    canonical(path, &want);
    ok(model_save_mem(&cx, m, &got, &n), path);
    if (n != want.n)
        fail_msg("%s: %zu bytes, expected %zu", path, n, want.n);
    for (size_t i = 0; i < n; i++)
        if (((uint8_t *)got)[i] != want.buf[i])
            fail_msg("%s: byte %zu of %zu differs", path, i, n);
    free(got);
    sink_free(&want);
    model_free(m);
}

static size_t check_all(const char *pattern)
{
    glob_t g = {0};
    size_t n = 0;

    if (glob(pattern, 0, NULL, &g) == 0)
        for (; n < g.gl_pathc; n++)
            check_lossless(g.gl_pathv[n]);
    globfree(&g);
    return n;
}

static void unchanged_models_keep_every_field(void **state)
{
    (void)state;
    assert_true(check_all("testdata/models/*.onnx") >= 30);
    assert_true(check_all("testdata/models/external/*.onnx") >= 3);
    assert_int_equal(check_all("testdata/digits/digits.onnx"), 1);
}

static void unchanged_shared_models_keep_every_field(void **state)
{
    (void)state;
    if (!check_all("../shared/models/*/model.onnx"))
        skip();
}

static void same_tensors(const char *a, const char *b)
{
    struct model *x = load(a), *y = load(b);

    assert_int_equal(x->graph->ninits, y->graph->ninits);
    for (size_t i = 0; i < x->graph->ninits; i++) {
        struct tensor s, t;

        assert_string_equal(x->graph->inits[i]->name, y->graph->inits[i]->name);
        ok(tensor_load(&cx, x, x->graph->inits[i]->init, &s), a);
        ok(tensor_load(&cx, y, y->graph->inits[i]->init, &t), b);
        assert_int_equal(tensor_bytes(&s), tensor_bytes(&t));
        if (s.dt != DT_STRING) /* of these the memory holds addresses */
            assert_memory_equal(s.data, t.data, tensor_bytes(&s));
        tensor_drop(&s);
        tensor_drop(&t);
    }
    model_free(x);
    model_free(y);
}

static void data_goes_out_and_comes_back(void **state)
{
    const char *path = "testdata/digits/digits.onnx", *out = in_dir("a.onnx"), *back = in_dir("b.onnx");
    struct save_opts o = {.external = EXTERNAL_ALWAYS, .threshold = 100};
    struct save_report rep;
    struct model *m = load(path);
    struct stat st;

    (void)state;
    ok(model_save(&cx, m, out, &o, &rep), out);
    assert_non_null(rep.data_file);
    assert_false(rep.went_external);
    assert_int_equal(stat(in_dir(rep.data_file), &st), 0);
    assert_int_equal(st.st_size, rep.external_bytes);
    model_free(m);
    same_tensors(path, out);

    m = load(out);
    for (size_t i = 0; i < m->graph->ninits; i++) {
        const struct tensor_data *t = m->graph->inits[i]->init;

        if (t->payload == PL_EXTERNAL)
            assert_int_equal(t->ext_off % 64, 0);
    }
    o.external = EXTERNAL_NEVER;
    ok(model_save(&cx, m, back, &o, &rep), back);
    assert_null(rep.data_file);
    model_free(m);
    same_tensors(path, back);
}

/* Numbers of varying length (int64_data and others) go out as raw bytes; strings and types below a byte stay.
 */
static void typed_fields_go_out_as_raw_data(void **state)
{
    const char *path = "testdata/models/elements_typed.onnx", *out = in_dir("typed.onnx");
    struct save_opts o = {.external = EXTERNAL_ALWAYS, .threshold = 1};
    struct model *m = load(path);
    size_t went = 0;

    (void)state;
    ok(model_save(&cx, m, out, &o, NULL), out);
    model_free(m);
    same_tensors(path, out);
    m = load(out);
    for (size_t i = 0; i < m->graph->ninits; i++) {
        const struct tensor_data *t = m->graph->inits[i]->init;
        const struct dtype_info *di = dtype_info(t->dt);
        bool stays = t->dt == DT_STRING || di->bits < 8 || !tensor_data_count(t);

        if (t->payload == PL_EXTERNAL)
            went++;
        else if (!stays)
            fail_msg("%s of type %s stayed inside", m->graph->inits[i]->name, di->name);
    }
    assert_true(went > 10);
    model_free(m);
}

static void saving_over_itself_keeps_the_model(void **state)
{
    const char *path = in_dir("self.onnx");
    struct save_opts o = {.external = EXTERNAL_ALWAYS, .threshold = 1};
    struct model *m = load("testdata/digits/digits.onnx");

    (void)state;
    ok(model_save(&cx, m, path, NULL, NULL), path);
    model_free(m);
    for (int i = 0; i < 3; i++) {
        m = load(path);
        ok(model_save(&cx, m, path, i % 2 ? NULL : &o, NULL), path);
        model_free(m);
    }
    same_tensors("testdata/digits/digits.onnx", path);
}

/* A folder that cannot be written to, and a folder in the place of the file: nothing is left behind. */
static void failures_leave_nothing(void **state)
{
    struct model *m = load("testdata/digits/digits.onnx");
    glob_t g = {0};

    (void)state;
    assert_int_equal(model_save(&cx, m, in_dir("no/such.onnx"), NULL, NULL), E_IO);
    assert_int_equal(mkdir(in_dir("folder.onnx"), 0777), 0);
    assert_int_equal(model_save(&cx, m, in_dir("folder.onnx"), NULL, NULL), E_IO);
    model_free(m);
    assert_int_equal(glob(in_dir(".*tmp"), 0, NULL, &g), GLOB_NOMATCH);
    globfree(&g);
}

static void temporary_files_can_be_swept(void **state)
{
    struct tmpfile t;
    glob_t g = {0};

    (void)state;
    ok(tmpfile_open(&cx, in_dir("swept"), &t), "open");
    assert_int_equal(access(t.path, F_OK), 0);
    tmpfile_cleanup();
    assert_int_equal(access(t.path, F_OK), -1);
    tmpfile_abort(&t);
    assert_int_equal(glob(in_dir("swept*"), 0, NULL, &g), GLOB_NOMATCH);
    globfree(&g);
}

/* What a pass changed comes out changed, and only that. */
static void edits_come_out(void **state)
{
    const char *path = in_dir("edited.onnx");
    const float values[3] = {1, 2, 3};
    struct tensor t = {.dt = DT_FLOAT, .rank = 1, .dims = {3}, .data = (void *)(uintptr_t)values}, got;
    struct model *m = load("testdata/digits/digits.onnx");
    struct value *v;
    char first[256];

    (void)state;
    snprintf(first, sizeof(first), "%s", m->graph->first->op_type);
    ok(value_rename(&cx, m->graph->outs[0], "renamed"), "rename");
    ok(graph_add_const(&cx, m->graph, "extra", &t, &v), "const");
    ok(node_set_attr_int(&cx, m->graph->first, "added", 7), "attr");
    ok(model_save(&cx, m, path, NULL, NULL), path);
    model_free(m);

    m = load(path);
    assert_string_equal(m->graph->outs[0]->name, "renamed");
    assert_non_null(m->graph->outs[0]->declared);
    assert_string_equal(m->graph->first->op_type, first);
    assert_non_null(node_attr(m->graph->first, "added"));
    assert_int_equal(node_attr(m->graph->first, "added")->u.i, 7);
    v = m->graph->inits[m->graph->ninits - 1];
    ok(tensor_load(&cx, m, v->init, &got), "extra");
    assert_memory_equal(got.data, values, sizeof(values));
    tensor_drop(&got);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged_models_keep_every_field),
        cmocka_unit_test(unchanged_shared_models_keep_every_field),
        cmocka_unit_test(data_goes_out_and_comes_back),
        cmocka_unit_test(typed_fields_go_out_as_raw_data),
        cmocka_unit_test(saving_over_itself_keeps_the_model),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(temporary_files_can_be_swept),
        cmocka_unit_test(edits_come_out),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
