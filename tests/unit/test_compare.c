/* How far two tensors are apart: compare/metrics.h. */
#include "cmk.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/metrics.h"

static struct cx cx;
static const struct tolerance by_type = {-1, -1, 0, NAN, NAN, NAN, 0};
static const struct tolerance exact = {0, 0, 0, NAN, NAN, NAN, 0};

static struct tensor make(enum dtype dt, int rank, const int64_t *dims, const void *data)
{
    struct tensor t;
    memset(&t, 0, sizeof t);
    assert_int_equal(tensor_new(&cx, &t, dt, rank, dims), OK);
    if (tensor_bytes(&t))
        memcpy(t.data, data, tensor_bytes(&t));
    return t;
}

static struct tensor vec(enum dtype dt, int64_t n, const void *data)
{
    return make(dt, 1, &n, data);
}

/* Compares two arrays of n elements. */
static struct metrics compare(enum dtype dt, int64_t n, const void *a, const void *b,
                              const struct tolerance *tol)
{
    struct metrics m;
    struct tensor x = vec(dt, n, a), y = vec(dt, n, b);
    compare_tensors(&x, &y, tol, &m);
    tensor_drop(&x);
    tensor_drop(&y);
    return m;
}

static void equal_tensors_agree(void **state)
{
    (void)state;
    const float a[] = {1, -2, 0, 1e30f};
    struct metrics m = compare(DT_FLOAT, 4, a, a, &exact);
    assert_true(m.pass);
    assert_string_equal(m.reason, "");
    assert_int_equal(m.count, 4);
    assert_int_equal(m.different, 0);
    assert_true(m.max_abs == 0 && m.max_rel == 0 && m.rmse == 0);
    assert_true(isinf(m.sqnr_db) && m.sqnr_db > 0);
    assert_true(m.cosine > 1 - 1e-12);
}

static void nan_and_inf_agree_with_themselves_only(void **state)
{
    (void)state;
    const float a[] = {NAN, INFINITY, -INFINITY, 0.0f};
    const float signs[] = {NAN, -INFINITY, -INFINITY, -0.0f};
    const float plain[] = {1, INFINITY, -INFINITY, 0};
    const float big[] = {NAN, 3e38f, -INFINITY, 0};
    struct tolerance loose = {1e9, 1e9, 0, NAN, NAN, NAN, 0};
    assert_true(compare(DT_FLOAT, 4, a, a, &exact).pass);
    struct metrics m = compare(DT_FLOAT, 4, a, signs, &loose);
    assert_false(m.pass);
    assert_int_equal(m.different, 1);
    assert_int_equal(m.worst, 1);
    m = compare(DT_FLOAT, 4, a, plain, &loose);
    assert_false(m.pass);
    assert_int_equal(m.nan_a, 1);
    assert_int_equal(m.nan_b, 0);
    assert_int_equal(m.worst, 0);
    m = compare(DT_FLOAT, 4, a, big, &loose);
    assert_false(m.pass);
    assert_int_equal(m.worst, 1);
    assert_true(m.max_abs == 0); /* of elements where both are finite */
}

static void worst_element_is_the_one_furthest_beyond_its_bound(void **state)
{
    (void)state;
    const float b[] = {1000, 1, 2, 3, 4, 5}, a[] = {1000.5f, 1, 2.25f, 3, 4, 5.01f};
    int64_t dims[] = {2, 3};
    struct tolerance tol = {1e-2, 0, 0, NAN, NAN, NAN, 0};
    struct tensor x = make(DT_FLOAT, 2, dims, a), y = make(DT_FLOAT, 2, dims, b);
    struct metrics m;
    char text[64];
    compare_tensors(&x, &y, &tol, &m);
    assert_false(m.pass);
    assert_int_equal(m.different, 1); /* 1000.5 is within 1%, 2.25 is not */
    assert_int_equal(m.worst, 2);
    assert_true(m.worst_a == 2.25 && m.worst_b == 2);
    assert_true(m.max_abs == 0.5);
    assert_true(m.max_rel == 0.125);
    assert_string_equal(index_text(&x, 5, text, sizeof text), "[1, 2]");
    assert_non_null(strstr(m.reason, "1 of 6 elements differ, worst at [0, 2]"));
    tensor_drop(&x);
    tensor_drop(&y);
}

static void figures_are_what_they_are_called(void **state)
{
    (void)state;
    const double b[] = {3, 4, 0, 0}, a[] = {3, 4, 0, 1};
    struct metrics m = compare(DT_DOUBLE, 4, a, b, &exact);
    assert_true(fabs(m.mean_abs - 0.25) < 1e-15);
    assert_true(fabs(m.rmse - 0.5) < 1e-15);
    assert_true(fabs(m.sqnr_db - 10 * log10(25)) < 1e-12);
    assert_true(fabs(m.cosine - 25 / (5 * sqrt(26))) < 1e-12);
    assert_true(isinf(m.max_rel)); /* where the reference is 0 */
}

static void integers_are_exact_beyond_doubles(void **state)
{
    (void)state;
    const int64_t a[] = {INT64_C(9007199254740993), -1, INT64_MIN},
                  b[] = {INT64_C(9007199254740992), -1, INT64_MIN};
    const uint64_t u[] = {UINT64_MAX}, v[] = {UINT64_MAX - 1};
    const int64_t far[] = {INT64_MIN}, other[] = {INT64_MAX};
    struct metrics m = compare(DT_INT64, 3, a, b, &by_type);
    assert_false(m.pass);
    assert_int_equal(m.different, 1);
    assert_int_equal(m.worst, 0);
    assert_true(compare(DT_INT64, 3, a, a, &by_type).pass);
    assert_false(compare(DT_UINT64, 1, u, v, &by_type).pass);
    assert_true(compare(DT_UINT64, 1, u, u, &by_type).pass);
    assert_false(compare(DT_INT64, 1, far, other, &by_type).pass);
    const uint64_t below[] = {UINT64_C(1) << 63}, above[] = {(UINT64_C(1) << 63) - 1};
    const struct tolerance one = {0, 1, 0, NAN, NAN, NAN, 0};
    assert_false(compare(DT_UINT64, 1, below, above, &by_type).pass);
    assert_true(compare(DT_UINT64, 1, below, above, &one).pass);
}

static void types_have_their_tolerance(void **state)
{
    (void)state;
    const float b[] = {100}, near[] = {100.05f}, off[] = {100.2f};
    const int8_t i[] = {5}, j[] = {6};
    const uint8_t yes[] = {1}, no[] = {0};
    const struct tolerance one = {-1, 1, 0, NAN, NAN, NAN, 0};
    struct tolerance t;
    assert_true(compare(DT_FLOAT, 1, near, b, &by_type).pass);
    assert_false(compare(DT_FLOAT, 1, off, b, &by_type).pass);
    assert_false(compare(DT_INT8, 1, i, j, &by_type).pass);
    assert_true(compare(DT_INT8, 1, i, j, &one).pass);
    assert_false(compare(DT_BOOL, 1, yes, no, &by_type).pass);
    tolerance_default(DT_INT32, &t);
    assert_true(t.rtol == 0 && t.atol == 0);
    for (int dt = 1; dt < DT_COUNT; dt++) { /* more bits, tighter */
        struct tolerance f;
        tolerance_default(DT_FLOAT, &f);
        tolerance_default((enum dtype)dt, &t);
        if (dtype_is_float((enum dtype)dt) && dtype_info((enum dtype)dt)->bits < 32)
            assert_true(t.rtol > f.rtol);
    }
}

static void complex_numbers_compare_both_parts(void **state)
{
    (void)state;
    const float a[] = {1, 2, 3, 4}, b[] = {1, 2, 3, 4.5f};
    struct metrics m = compare(DT_COMPLEX64, 2, a, b, &by_type);
    assert_false(m.pass);
    assert_non_null(strstr(m.reason, "[1]"));
    assert_true(compare(DT_COMPLEX64, 2, a, a, &exact).pass);
}

static void strings_compare_bytes(void **state)
{
    (void)state;
    struct ostr a[] = {{"one", 3}, {"a\0b", 3}, {NULL, 0}}, b[] = {{"one", 3}, {"a\0c", 3}, {"", 0}};
    struct tensor x = {.dt = DT_STRING, .rank = 1, .dims = {3}, .data = a},
                  y = {.dt = DT_STRING, .rank = 1, .dims = {3}, .data = b};
    struct metrics m;
    compare_tensors(&x, &y, &by_type, &m);
    assert_false(m.pass);
    assert_int_equal(m.different, 1);
    assert_int_equal(m.worst, 1);
    compare_tensors(&x, &x, &by_type, &m);
    assert_true(m.pass);
}

static void shapes_and_types_must_be_the_same(void **state)
{
    (void)state;
    const float f[6] = {0};
    const int32_t i[6] = {0};
    int64_t d23[] = {2, 3}, d32[] = {3, 2};
    struct tensor a = make(DT_FLOAT, 2, d23, f), b = make(DT_FLOAT, 2, d32, f), c = make(DT_INT32, 2, d23, i);
    struct metrics m;
    compare_tensors(&a, &b, &by_type, &m);
    assert_false(m.pass);
    assert_string_equal(m.reason, "is float[2,3], expected float[3,2]");
    compare_tensors(&a, &c, &by_type, &m);
    assert_false(m.pass);
    assert_string_equal(m.reason, "is float[2,3], expected int32[2,3]");
    tensor_drop(&a);
    tensor_drop(&b);
    tensor_drop(&c);
}

static void no_elements_are_equal(void **state)
{
    (void)state;
    struct metrics m = compare(DT_FLOAT, 0, "", "", &exact);
    assert_true(m.pass);
    assert_int_equal(m.count, 0);
}

static void outliers_cosine_and_sqnr_can_be_asked(void **state)
{
    (void)state;
    const float b[] = {1, 1, 1, 1}, a[] = {1, 1, 1, 2};
    struct tolerance t = {0, 0, 0.25, NAN, NAN, NAN, 0};
    assert_true(compare(DT_FLOAT, 4, a, b, &t).pass);
    t.max_outliers = 0.24;
    assert_false(compare(DT_FLOAT, 4, a, b, &t).pass);
    t = (struct tolerance){0, 10, 0, 0.99, NAN, NAN, 0}; /* cosine is 0.945 */
    struct metrics m = compare(DT_FLOAT, 4, a, b, &t);
    assert_false(m.pass);
    assert_non_null(strstr(m.reason, "cosine"));
    t.min_cosine = 0.9;
    assert_true(compare(DT_FLOAT, 4, a, b, &t).pass);
    t.min_sqnr = 10; /* it is 6.02 dB */
    m = compare(DT_FLOAT, 4, a, b, &t);
    assert_false(m.pass);
    assert_non_null(strstr(m.reason, "SQNR 6.02"));
}

static void cosine_of_a_zero_vector_never_passes_unasked(void **state)
{
    (void)state;
    const float zero[] = {0, 0}, one[] = {1, 1};
    struct tolerance t = {0, 10, 0, 0.5, NAN, NAN, 0};
    assert_true(isnan(compare(DT_FLOAT, 2, zero, one, &t).cosine));
    assert_false(compare(DT_FLOAT, 2, zero, one, &t).pass);
    assert_true(compare(DT_FLOAT, 2, zero, zero, &t).pass);
}

static void ulps_count_the_numbers_between(void **state)
{
    (void)state;
    const float one[] = {1, 0.0f, -1e-45f}, next[] = {nextafterf(nextafterf(1, 2), 2), -0.0f, 1e-45f};
    struct metrics m = compare(DT_FLOAT, 3, one, next, &by_type);
    assert_int_equal(m.max_ulp, 2); /* both across 1 and across 0 */
    assert_int_equal(compare(DT_FLOAT, 1, one + 1, next + 1, &exact).max_ulp, 0);
    const double low[] = {-DBL_MAX}, high[] = {DBL_MAX};
    assert_true(compare(DT_DOUBLE, 1, low, high, &exact).max_ulp == 2 * UINT64_C(0x7fefffffffffffff));
    const uint16_t h1[] = {0x3c00}, h2[] = {0x3bfd}; /* 1 and three below it */
    assert_int_equal(compare(DT_FLOAT16, 1, h1, h2, &exact).max_ulp, 3);
    assert_int_equal(compare(DT_BFLOAT16, 1, h1, h2, &exact).max_ulp, 3);
    const uint8_t e1[] = {0x7f}, e2[] = {0x81}; /* 1 and 4 */
    assert_int_equal(compare(DT_FLOAT8E8M0, 1, e1, e2, &exact).max_ulp, 2);
    const int32_t i1[] = {1}, i2[] = {5};
    assert_int_equal(compare(DT_INT32, 1, i1, i2, &exact).max_ulp, 0);
    const float bad[] = {NAN}, inf[] = {INFINITY};
    m = compare(DT_FLOAT, 1, bad, inf, &exact);
    assert_int_equal(m.max_ulp, 0);
    assert_int_equal(m.nan_a, 1);
    assert_int_equal(m.inf_a, 0);
    assert_int_equal(m.nan_b, 0);
    assert_int_equal(m.inf_b, 1);
}

static void best_classes_agree_by_row(void **state)
{
    (void)state;
    int64_t dims[] = {4, 3};
    const float b[] = {1, 2, 3, /**/ 5, 1, 0, /**/ 1, 1, 0, /**/ NAN, NAN, 1};
    const float a[] = {1, 3, 2, /**/ 9, 1, 0, /**/ 0, 1, 0, /**/ NAN, NAN, NAN};
    struct tensor x = make(DT_FLOAT, 2, dims, a), y = make(DT_FLOAT, 2, dims, b);
    struct tolerance t;
    struct metrics m;
    tolerance_init(&t);
    t.max_outliers = 1;
    t.top_k = 2;
    compare_tensors(&x, &y, &t, &m);
    assert_true(m.pass);
    assert_int_equal(m.rows, 4);
    assert_true(m.top1 == 0.5); /* rows 1, and 2 where two classes share the first place */
    assert_true(m.topk == 0.75);
    t.min_top1 = 0.5;
    compare_tensors(&x, &y, &t, &m);
    assert_true(m.pass);
    t.min_top1 = 0.51;
    compare_tensors(&x, &y, &t, &m);
    assert_false(m.pass);
    assert_non_null(strstr(m.reason, "best class agrees in 0.5 of 4 rows"));
    t.top_k = 1;
    compare_tensors(&x, &y, &t, &m);
    assert_true(m.topk == m.top1);
    tensor_drop(&x);
    tensor_drop(&y);
    const int64_t p[] = {3, 1, 4, 1}, q[] = {3, 1, 4, 2};
    m = compare(DT_INT64, 4, p, q, &t);
    assert_int_equal(m.rows, 4);
    assert_true(m.top1 == 0.75);
}

static void extremes_have_their_places(void **state)
{
    (void)state;
    const float b[] = {1000, 1, 0.5f, 7}, a[] = {1002, 1, 1, 7};
    struct metrics m = compare(DT_FLOAT, 4, a, b, &exact);
    assert_int_equal(m.abs_at, 0);
    assert_int_equal(m.rel_at, 2);
    assert_true(m.outliers == 0.5);
    m = compare(DT_FLOAT, 4, b, b, &exact);
    assert_true(m.abs_at == -1 && m.rel_at == -1 && m.worst == -1 && m.outliers == 0);
    const int64_t big[] = {INT64_C(1) << 53}, more[] = {(INT64_C(1) << 53) + 1};
    m = compare(DT_INT64, 1, big, more, &exact);
    assert_true(m.max_abs == 1 && m.abs_at == 0);
    const double c[] = {1, 2, 3, 4}, d[] = {1, 2, 3, 5};
    m = compare(DT_COMPLEX128, 2, c, d, &exact);
    assert_true(m.abs_at == 1 && m.worst == 1);
}

/* ---- sequences, optionals, maps ---- */

static struct tensor list_of(enum rt_kind kind, size_t n, const float *values)
{
    struct tensor t = {.kind = kind, .dt = DT_FLOAT};
    assert_int_equal(rt_seq_new(&cx, &t.seq), OK);
    for (size_t i = 0; i < n; i++) {
        struct tensor item = vec(DT_FLOAT, 1, &values[i]);
        assert_int_equal(rt_seq_push(&cx, t.seq, &item), OK);
    }
    return t;
}

static void sequences_compare_item_by_item(void **state)
{
    (void)state;
    const float v[] = {1, 2, 3}, w[] = {1, 2, 4};
    struct tensor a = list_of(RT_SEQ, 3, v), b = list_of(RT_SEQ, 3, w), shorter = list_of(RT_SEQ, 2, v);
    struct tensor opt = list_of(RT_OPT, 1, v), empty = list_of(RT_OPT, 0, v);
    struct metrics m;
    compare_tensors(&a, &a, &exact, &m);
    assert_true(m.pass);
    assert_int_equal(m.count, 3);
    compare_tensors(&a, &b, &by_type, &m);
    assert_false(m.pass);
    assert_non_null(strstr(m.reason, "item 2"));
    compare_tensors(&a, &shorter, &by_type, &m);
    assert_false(m.pass);
    assert_string_equal(m.reason, "has 3 items, expected 2");
    compare_tensors(&opt, &empty, &by_type, &m);
    assert_false(m.pass);
    compare_tensors(&opt, &opt, &by_type, &m);
    assert_true(m.pass);
    compare_tensors(&opt, &shorter, &by_type, &m);
    assert_false(m.pass);
    tensor_drop(&a);
    tensor_drop(&b);
    tensor_drop(&shorter);
    tensor_drop(&opt);
    tensor_drop(&empty);
}

static void maps_compare_keys_too(void **state)
{
    (void)state;
    const float v[] = {1, 2};
    const int64_t keys[] = {10, 20}, others[] = {10, 21};
    struct tensor a = list_of(RT_MAP, 2, v), b = list_of(RT_MAP, 2, v);
    struct metrics m;
    a.seq->keys = vec(DT_INT64, 2, keys);
    b.seq->keys = vec(DT_INT64, 2, others);
    compare_tensors(&a, &a, &by_type, &m);
    assert_true(m.pass);
    compare_tensors(&a, &b, &by_type, &m);
    assert_false(m.pass);
    assert_string_not_equal(m.reason, "");
    tensor_drop(&a);
    tensor_drop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_tensors_agree),
        cmocka_unit_test(nan_and_inf_agree_with_themselves_only),
        cmocka_unit_test(worst_element_is_the_one_furthest_beyond_its_bound),
        cmocka_unit_test(figures_are_what_they_are_called),
        cmocka_unit_test(integers_are_exact_beyond_doubles),
        cmocka_unit_test(types_have_their_tolerance),
        cmocka_unit_test(complex_numbers_compare_both_parts),
        cmocka_unit_test(strings_compare_bytes),
        cmocka_unit_test(shapes_and_types_must_be_the_same),
        cmocka_unit_test(no_elements_are_equal),
        cmocka_unit_test(outliers_cosine_and_sqnr_can_be_asked),
        cmocka_unit_test(cosine_of_a_zero_vector_never_passes_unasked),
        cmocka_unit_test(ulps_count_the_numbers_between),
        cmocka_unit_test(best_classes_agree_by_row),
        cmocka_unit_test(extremes_have_their_places),
        cmocka_unit_test(sequences_compare_item_by_item),
        cmocka_unit_test(maps_compare_keys_too),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
