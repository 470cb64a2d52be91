/* Tests of tensors written out by hand. */
#include "cmk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "io/inline_tensor.h"

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
    static const struct {
        const char *text;
        int rank; /* the model's */
        const char *type;
    } cases[] = {
        {"7", -1, "int32[]"},       {"[7]", -1, "int32[1]"},       {"7", 3, "int32[1,1,1]"},
        {"[]", -1, "int32[0]"},     {"[[], []]", 2, "int32[2,0]"}, {" [ [1 ,2],[3,4] ] ", 2, "int32[2,2]"},
        {"[1,2]", 2, "int32[1,2]"}, {"[[1]]", 1, "int32[1,1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tensor t;
        char text[64];
        assert_int_equal(inline_tensor_parse(*state, cases[i].text, DT_INT32, cases[i].rank, &t), 0);
        assert_string_equal(tensor_type_text(&t, text, sizeof text), cases[i].type);
        tensor_drop(&t);
    }
}

/* The limits of each integer type are values, one beyond is none. */
static void test_integer_limits(void **state)
{
    static const struct {
        enum dtype dt;
        const char *low, *high, *below, *above;
    } cases[] = {
        {DT_INT8, "-128", "127", "-129", "128"},
        {DT_UINT8, "0", "255", "-1", "256"},
        {DT_INT4, "-8", "7", "-9", "8"},
        {DT_UINT2, "0", "3", "-1", "4"},
        {DT_INT64, "-9223372036854775808", "9223372036854775807", "-9223372036854775809",
         "9223372036854775808"},
        {DT_UINT64, "0", "18446744073709551615", "-1", "18446744073709551616"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *texts[] = {cases[i].low, cases[i].high, cases[i].below, cases[i].above};
        struct tensor t;
        for (int k = 0; k < 4; k++) {
            assert_int_equal(inline_tensor_parse(*state, texts[k], cases[i].dt, 0, &t), k < 2 ? OK : E_DATA);
            if (k == 1 && cases[i].dt == DT_UINT64)
                assert_true(*(uint64_t *)t.data == UINT64_MAX);
            else if (k < 2)
                assert_int_equal(tensor_i64(&t, 0), strtoll(texts[k], NULL, 10));
            tensor_drop(&t);
        }
    }
}

static void test_other_types(void **state)
{
    struct tensor t;
    assert_int_equal(inline_tensor_parse(*state, "[nan, -inf, 1e-3, 0x10]", DT_DOUBLE, 1, &t), 0);
    assert_true(isnan(tensor_f64(&t, 0)) && tensor_f64(&t, 1) < 0 && tensor_f64(&t, 2) == 1e-3 &&
                tensor_f64(&t, 3) == 16);
    tensor_drop(&t);
    assert_int_equal(inline_tensor_parse(*state, "[true, False, 1, 0]", DT_BOOL, 1, &t), 0);
    assert_memory_equal(t.data, "\1\0\1\0", 4);
    tensor_drop(&t);
    assert_int_equal(inline_tensor_parse(*state, "[\"a, ]b\", \"\", \"q\\\"\\n\"]", DT_STRING, 1, &t), 0);
    const struct ostr *s = t.data;
    assert_int_equal(s[0].n, 5);
    assert_memory_equal(s[0].p, "a, ]b", 5);
    assert_int_equal(s[1].n, 0);
    assert_memory_equal(s[2].p, "q\"\n", 3);
    tensor_drop(&t);
    assert_int_equal(inline_tensor_parse(*state, "[1]", DT_COMPLEX64, 1, &t), E_UNSUPPORTED);
    assert_int_equal(inline_tensor_parse(*state, "[1.5]", DT_INT32, 1, &t), E_DATA);
    assert_int_equal(inline_tensor_parse(*state, "", DT_INT32, 1, &t), E_DATA);
    assert_int_equal(inline_tensor_parse(*state, "[a]", DT_STRING, 1, &t), E_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_integer_limits),
        cmocka_unit_test(test_other_types),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
