/* Values in files: .npy and .npz against bytes written by hand, .pb of every kind there and back, JSON. */
#include "cmk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/npy.h"
#include "io/tensor_pb.h"

static struct cx cx;
static char dir[64];

static int setup(void **state)
{
    (void)state;
    cx_init(&cx);
    snprintf(dir, sizeof(dir), "/tmp/ot-values-XXXXXX");
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
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void ok(int r)
{
    if (r)
        fail_msg("%s", cx.err.msg);
}

/* ---- .npy ---- */

/* An array of format 1.0 with the given header and data; returns its length. */
static size_t npy(uint8_t *out, const char *head, const void *data, size_t n)
{
    size_t len = strlen(head);

    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (uint8_t)(len & 255);
    out[9] = (uint8_t)(len >> 8);
    memcpy(out + 10, head, len);
    memcpy(out + 10 + len, data, n);
    return 10 + len + n;
}

static int parse(const char *head, const void *data, size_t n, struct tensor *t)
{
    uint8_t buf[1024];

    return npy_parse(&cx, buf, npy(buf, head, data, n), "test.npy", t);
}

static void npy_orders(void **state)
{
    const uint8_t big[] = {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6},
                  little[] = {1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0};
    const int16_t plain[] = {1, 2, 3, 4, 5, 6}, fortran[] = {1, 3, 5, 2, 4, 6};
    struct tensor t;

    (void)state;
    ok(parse("{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }\n", big, 12, &t));
    assert_int_equal(t.dt, DT_INT16);
    assert_int_equal(t.rank, 2);
    assert_memory_equal(t.data, plain, 12);
    tensor_drop(&t);
    /* (2, 3) stored column by column: 1 2 | 3 4 | 5 6 */
    ok(parse("{'shape': (2,3), 'fortran_order': True, 'descr': '<i2'}", little, 12, &t));
    assert_memory_equal(t.data, fortran, 12);
    tensor_drop(&t);
    ok(parse("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }", big, 12, &t));
    assert_memory_equal(t.data, fortran, 12);
    tensor_drop(&t);
}

static void npy_types(void **state)
{
    const uint8_t complex_be[] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0};
    const float complex_want[] = {1, -2};
    const uint8_t bools[] = {0, 1, 2}, bools_want[] = {0, 1, 1};
    const uint32_t text[] = {'a', 0xe9, 0x1d11e, 'b', 0, 0};
    struct tensor t;
    const struct ostr *s;

    (void)state;
    ok(parse("{'descr': '>c8', 'fortran_order': False, 'shape': (), }", complex_be, 8, &t));
    assert_int_equal(t.rank, 0);
    assert_memory_equal(t.data, complex_want, 8);
    tensor_drop(&t);
    ok(parse("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", bools, 3, &t));
    assert_memory_equal(t.data, bools_want, 3);
    tensor_drop(&t);
    ok(parse("{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }", text, sizeof(text), &t));
    s = t.data;
    assert_int_equal(s[0].n, 7);
    assert_memory_equal(s[0].p, "a\xc3\xa9\xf0\x9d\x84\x9e", 7);
    assert_int_equal(s[1].n, 1);
    tensor_drop(&t);
}

static void npy_refused(void **state)
{
    static const struct {
        const char *head;
        int status;
    } bad[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", E_DATA},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", E_DATA},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", E_DATA},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", E_DATA},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", E_DATA},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", E_DATA},
        {"{'descr': '<f4', 'shape': (2,), }", E_DATA},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,", E_DATA},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", E_UNSUPPORTED},
        {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", E_UNSUPPORTED},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", E_UNSUPPORTED},
        {"", E_DATA},
    };
    const float data[2] = {1, 2};
    struct tensor t;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(bad[i].head, data, sizeof(data), &t) != bad[i].status)
            fail_msg("%s: %s", bad[i].head, cx.err.msg);
    assert_int_equal(npy_parse(&cx, "\x93NUMPY\x07\x00\x00\x00", 10, "x", &t), E_UNSUPPORTED);
    assert_int_equal(npy_parse(&cx, "nothing like it", 15, "x", &t), E_DATA);
}

static void npz_there_and_back(void **state)
{
    const int64_t dims[] = {2, 3};
    const char *const names[] = {"x/y", "b"};
    struct npz_entry e[2] = {0};
    struct npz z = {e, 2}, got;

    (void)state;
    for (int i = 0; i < 2; i++) {
        e[i].name = (char *)(uintptr_t)names[i];
        ok(tensor_new(&cx, &e[i].t, i ? DT_STRING : DT_DOUBLE, 2, dims));
    }
    for (int i = 0; i < 6; i++)
        ((double *)e[0].t.data)[i] = i / 3.0;
    ((struct ostr *)e[1].t.data)[4] = (struct ostr){"h\xc3\xa4", 3};
    ok(npz_write(&cx, in_dir("a.npz"), &z));
    ok(npz_read(&cx, in_dir("a.npz"), 0, &got));
    assert_int_equal(got.n, 2);
    assert_string_equal(got.e[0].name, "x/y");
    assert_memory_equal(got.e[0].t.data, e[0].t.data, 48);
    assert_int_equal(((struct ostr *)got.e[1].t.data)[4].n, 3);
    assert_int_equal(((struct ostr *)got.e[1].t.data)[3].n, 0);
    npz_free(&got);
    assert_int_equal(npz_read(&cx, in_dir("a.npz"), 40, &got), E_LIMIT);
    tensor_drop(&e[0].t);
    ok(tensor_new(&cx, &e[0].t, DT_BFLOAT16, 2, dims));
    assert_int_equal(npz_write(&cx, in_dir("b.npz"), &z), E_UNSUPPORTED);
    assert_int_equal(access(in_dir("b.npz"), F_OK), -1);
    for (int i = 0; i < 2; i++)
        tensor_drop(&e[i].t);
}

/* ---- .pb ---- */

static void pb_every_type(void **state)
{
    const struct type expect = {.kind = TY_TENSOR};
    const int64_t dims[] = {5};
    const char *name;

    (void)state;
    for (int dt = 1; dt < DT_COUNT; dt++) {
        struct tensor t, got;
        unsigned bits = dtype_info(dt)->bits;

        ok(tensor_new(&cx, &t, (enum dtype)dt, 1, dims));
        for (size_t i = 0; dt != DT_STRING && i < tensor_bytes(&t); i++)
            ((uint8_t *)t.data)[i] = (uint8_t)(dt == DT_BOOL ? i & 1 : bits < 8 ? i & 1 : i * 37);
        if (dt == DT_STRING)
            ((struct ostr *)t.data)[1] = (struct ostr){"a\0b", 3};
        ok(value_pb_write(&cx, in_dir("t.pb"), "nom", &t));
        ok(value_pb_read(&cx, in_dir("t.pb"), &expect, &got, &name));
        assert_string_equal(name, "nom");
        assert_int_equal(got.dt, dt);
        if (dt == DT_STRING)
            assert_memory_equal(((struct ostr *)got.data)[1].p, "a\0b", 3);
        else
            assert_memory_equal(got.data, t.data, tensor_bytes(&t));
        tensor_drop(&t);
        tensor_drop(&got);
    }
}

static void new_list(struct tensor *t, enum rt_kind kind, int items)
{
    *t = (struct tensor){.kind = kind, .dt = DT_FLOAT};
    ok(rt_seq_new(&cx, &t->seq));
    for (int64_t i = 0; i < items; i++) {
        struct tensor item;

        ok(tensor_new(&cx, &item, DT_FLOAT, 1, &i));
        for (int64_t k = 0; k < i; k++)
            ((float *)item.data)[k] = (float)(i + k);
        ok(rt_seq_push(&cx, t->seq, &item));
    }
}

static void pb_lists(void **state)
{
    static const struct {
        enum rt_kind rt;
        enum type_kind ty;
        int items;
    } kinds[] = {{RT_SEQ, TY_SEQ, 3},
                 {RT_SEQ, TY_SEQ, 0},
                 {RT_OPT, TY_OPT, 1},
                 {RT_OPT, TY_OPT, 0},
                 {RT_MAP, TY_MAP, 2}};
    const int64_t two = 2;

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct type expect = {.kind = kinds[i].ty};
        struct tensor t, got;

        new_list(&t, kinds[i].rt, kinds[i].items);
        if (t.kind == RT_MAP) {
            ok(tensor_new(&cx, &t.seq->keys, DT_INT64, 1, &two));
            ((int64_t *)t.seq->keys.data)[1] = -7;
        }
        ok(value_pb_write(&cx, in_dir("l.pb"), NULL, &t));
        ok(value_pb_read(&cx, in_dir("l.pb"), &expect, &got, NULL));
        assert_int_equal(got.kind, t.kind);
        assert_int_equal(got.seq->n, t.seq->n);
        for (size_t k = 1; k < t.seq->n; k++)
            assert_memory_equal(got.seq->items[k].data, t.seq->items[k].data, tensor_bytes(&t.seq->items[k]));
        if (t.kind == RT_MAP)
            assert_int_equal(tensor_i64(&got.seq->keys, 1), -7);
        tensor_drop(&t);
        tensor_drop(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_orders),         cmocka_unit_test(npy_types),     cmocka_unit_test(npy_refused),
        cmocka_unit_test(npz_there_and_back), cmocka_unit_test(pb_every_type), cmocka_unit_test(pb_lists),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
