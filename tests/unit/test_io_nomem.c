/* Reading and writing when memory runs out, at every allocation in turn: the error says so, nothing leaks
 * (which the sanitizers see), and nothing is left on the disk. */
#include "cmk.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/npy.h"
#include "io/onnx_load.h"
#include "io/onnx_save.h"
#include "io/tensor_pb.h"

enum { MOST = 5000 };

static char dir[64], out[128];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/ot-nomem-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(out, sizeof(out), "%s/out", dir);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static int load_and_save(struct cx *cx, const char *path)
{
    struct save_opts o = {.external = EXTERNAL_ALWAYS, .threshold = 64};
    struct model *m = NULL;
    struct tensor t = {0};
    int r = model_load(cx, path, NULL, &m);

    for (size_t i = 0; !r && i < m->graph->ninits; i++) {
        if (m->graph->inits[i]->init)
            r = tensor_load(cx, m, m->graph->inits[i]->init, &t);
        else
            r = sparse_load(cx, m, m->graph->inits[i]->sparse, &t);
        tensor_drop(&t);
    }
    if (!r)
        r = model_save(cx, m, out, &o, NULL);
    model_free(m);
    return r;
}

static int copy_pb(struct cx *cx, const char *path)
{
    struct type expect = {.kind = TY_SEQ};
    struct tensor t = {0};
    const char *name = NULL;
    int r = value_pb_read(cx, path, &expect, &t, &name);

    if (!r)
        r = value_pb_write(cx, out, name, &t);
    tensor_drop(&t);
    return r;
}

static int read_npy(struct cx *cx, const char *path)
{
    struct tensor t = {0};
    int r = npy_read(cx, path, &t);

    if (!r)
        r = npy_write(cx, out, &t);
    tensor_drop(&t);
    return r;
}

static void check(int (*fn)(struct cx *cx, const char *path), const char *path)
{
    char pattern[128];
    glob_t g = {0};
    long n = 0;
    int r = E_NOMEM;

    for (; r && n < MOST; n++) {
        struct cx cx;

        cx_init(&cx);
        mem_fail_after(n);
        r = fn(&cx, path);
        mem_fail_after(-1);
        if (r && r != E_NOMEM)
            fail_msg("%s, allocation %ld: %s", path, n, cx.err.msg);
        cx_fini(&cx);
    }
    assert_int_equal(r, 0);
    assert_true(n > 3);
    snprintf(pattern, sizeof(pattern), "%s/.*tmp", dir);
    assert_int_equal(glob(pattern, 0, NULL, &g), GLOB_NOMATCH);
    globfree(&g);
}

static void models(void **state)
{
    static const char *const paths[] = {
        "testdata/digits/digits.onnx",       "testdata/models/if_nested.onnx",
        "testdata/models/ir06.onnx",         "testdata/models/ir10.onnx",
        "testdata/models/attributes.onnx",   "testdata/models/external/two_files.onnx",
        "testdata/models/elements_raw.onnx",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        check(load_and_save, paths[i]);
}

static void values(void **state)
{
    (void)state;
    check(copy_pb, "testdata/values/sequence.pb");
    check(read_npy, "testdata/notonnx/array.npy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(models), cmocka_unit_test(values)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
