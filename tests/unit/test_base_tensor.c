/* Tests of values at run time. */
#include "cmk.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/err.h"
#include "base/tensor.h"

static int setup(void **state)
{
    static struct cx cx;

    cx_init(&cx);
    *state = &cx;
    return 0;
}

static int teardown(void **state)
{
    cx_fini(*state);
    return 0;
}

static void test_shapes(void **state)
{
    struct cx *cx = *state;
    struct tensor t = {0};
    int64_t many[TENSOR_MAX_RANK + 1] = {0};
    char text[64];

    assert_int_equal(tensor_set_shape(cx, &t, DT_FLOAT, 3, (int64_t[]){1, 3, 224}), 0);
    assert_int_equal(tensor_count(&t), 672);
    assert_int_equal(tensor_bytes(&t), 2688);
    assert_string_equal(tensor_type_text(&t, text, sizeof text), "float[1,3,224]");
    assert_int_equal(tensor_set_shape(cx, &t, DT_FLOAT, 0, NULL), 0);
    assert_int_equal(tensor_count(&t), 1);
    assert_int_equal(tensor_set_shape(cx, &t, DT_FLOAT, 2, (int64_t[]){2, -1}), E_SHAPE);
    assert_int_equal(tensor_set_shape(cx, &t, DT_FLOAT, TENSOR_MAX_RANK + 1, many), E_LIMIT);
    assert_int_equal(tensor_set_shape(cx, &t, DT_FLOAT, 1, (int64_t[]){INT64_MAX}), E_LIMIT);
    assert_int_equal(tensor_set_shape(cx, &t, DT_UINT8, 2, (int64_t[]){1ll << 32, 1ll << 31}), E_LIMIT);
    assert_int_equal(tensor_set_shape(cx, &t, DT_UINT8, 3, (int64_t[]){1ll << 62, 4, 0}), E_LIMIT);
    assert_int_equal(tensor_set_shape(cx, &t, DT_UINT8, 2, (int64_t[]){1ll << 62, 0}), 0);
    assert_int_equal(tensor_count(&t), 0);
    assert_int_equal(tensor_set_shape(cx, &t, (enum dtype)0, 0, NULL), E_TYPE);
    cx->lim.max_memory = 100;
    assert_int_equal(tensor_new(cx, &t, DT_UINT8, 1, (int64_t[]){101}), E_LIMIT);
    cx->lim.max_memory = 0;
    /* More than there is: an error, not a crash. */
    assert_int_equal(tensor_new(cx, &t, DT_UINT8, 1, (int64_t[]){1ll << 60}), E_NOMEM);
}

static void test_references(void **state)
{
    struct cx *cx = *state;
    struct tensor t, ref, copy;

    assert_int_equal(tensor_new(cx, &t, DT_FLOAT16, 2, (int64_t[]){3, 5}), 0);
    assert_int_equal((uintptr_t)t.data % 64, 0);
    for (int i = 0; i < 15; i++)
        assert_true(tensor_f64(&t, i) == 0);
    dtype_info(DT_FLOAT16)->store_f64((char *)t.data + 2 * 7, -2.5);
    tensor_ref(&ref, &t);
    assert_int_equal(tensor_copy(cx, &copy, &t), 0);
    assert_int_equal(t.owner->refs, 2);
    tensor_drop(&t);
    assert_null(t.data);
    assert_true(tensor_f64(&ref, 7) == -2.5);
    assert_int_equal(tensor_i64(&ref, 7), -2);
    assert_ptr_not_equal(copy.data, ref.data);
    tensor_drop(&ref);
    assert_true(tensor_f64(&copy, 7) == -2.5);
    tensor_drop(&copy);
    tensor_drop(&copy);
}

static void make_strings(struct cx *cx, struct tensor *t)
{
    assert_int_equal(tensor_new(cx, t, DT_STRING, 1, (int64_t[]){2}), 0);
    struct ostr *s = t->data;
    assert_int_equal(s[0].n, 0);
    s[1].n = 5;
    s[1].p = arena_dup(blob_arena(t->owner), "he\0lo", 5);
}

static void test_strings(void **state)
{
    struct cx *cx = *state;
    struct tensor t, copy;

    make_strings(cx, &t);
    assert_int_equal(tensor_copy(cx, &copy, &t), 0);
    tensor_drop(&t);
    assert_int_equal(((struct ostr *)copy.data)[1].n, 5);
    assert_memory_equal(((struct ostr *)copy.data)[1].p, "he\0lo", 5);
    assert_true(isnan(tensor_f64(&copy, 0)));
    tensor_drop(&copy);
}

static void test_sequences(void **state)
{
    struct cx *cx = *state;
    struct tensor seq = {.kind = RT_SEQ, .dt = DT_INT64}, copy, ref, item;
    char text[64];

    assert_int_equal(rt_seq_new(cx, &seq.seq), 0);
    for (int64_t i = 0; i < 20; i++) {
        assert_int_equal(tensor_new(cx, &item, DT_INT64, 1, &(int64_t){1}), 0);
        *(int64_t *)item.data = i;
        assert_int_equal(rt_seq_push(cx, seq.seq, &item), 0);
        assert_null(item.owner);
    }
    assert_string_equal(tensor_type_text(&seq, text, sizeof text), "seq(int64)");
    assert_int_equal(tensor_copy(cx, &copy, &seq), 0);
    tensor_ref(&ref, &seq);
    tensor_drop(&seq);
    *(int64_t *)ref.seq->items[3].data = 33;
    assert_int_equal(tensor_i64(&copy.seq->items[3], 0), 3);
    assert_int_equal(tensor_i64(&ref.seq->items[19], 0), 19);
    tensor_drop(&ref);
    tensor_drop(&copy);
}

/* Copying fails at each allocation in turn: always an error, never a leak (which the sanitizer build sees).
 */
static void test_failing_copies(void **state)
{
    struct cx *cx = *state;
    struct tensor seq = {.kind = RT_MAP, .dt = DT_STRING}, copy, item;
    int status = E_NOMEM;
    long allowed = 0;

    assert_int_equal(rt_seq_new(cx, &seq.seq), 0);
    make_strings(cx, &seq.seq->keys);
    for (int i = 0; i < 9; i++) {
        make_strings(cx, &item);
        assert_int_equal(rt_seq_push(cx, seq.seq, &item), 0);
    }
    for (; status && allowed < 1000; allowed++) {
        mem_fail_after(allowed);
        status = tensor_copy(cx, &copy, &seq);
        mem_fail_after(-1);
        assert_true(status == 0 || status == E_NOMEM);
    }
    assert_int_equal(status, 0);
    assert_true(allowed > 20);
    assert_int_equal(copy.seq->n, 9);
    tensor_drop(&copy);
    tensor_drop(&seq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_references),
        cmocka_unit_test(test_strings),        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_failing_copies),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
