/* What measured times say: compare/timing.h, against numbers worked out by hand. */
#include "cmk.h"

#include <math.h>

#include "base/rng.h"
#include "compare/timing.h"

static struct cx cx;

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fmax(1, fabs(want))))
        fail_msg("%.17g, expected %.17g", got, want);
}

static void percentiles_lie_between_samples(void **state)
{
    (void)state;
    const double v[] = {10, 20, 30, 40, 50};
    near(timing_percentile(v, 5, 0), 10);
    near(timing_percentile(v, 5, 50), 30);
    near(timing_percentile(v, 5, 100), 50);
    near(timing_percentile(v, 5, 25), 20);
    near(timing_percentile(v, 5, 90), 46); /* position 3.6 */
    near(timing_percentile(v, 5, 99), 49.6);
    near(timing_percentile(v, 4, 50), 25); /* position 1.5 */
    near(timing_percentile(v, 1, 99), 10);
    assert_true(isnan(timing_percentile(v, 0, 50)));
}

static void percentiles_need_samples_beyond_them(void **state)
{
    (void)state;
    assert_int_equal(timing_needs(50), 10);
    assert_int_equal(timing_needs(90), 50);
    assert_int_equal(timing_needs(95), 100);
    assert_int_equal(timing_needs(99), 500);
    assert_int_equal(timing_needs(99.9), 5000);
    assert_int_equal(timing_needs(10), 50);
    assert_int_equal(timing_needs(1), 500);
    assert_int_equal(timing_needs(100), 1);
    assert_int_equal(timing_needs(0), 1);
}

static void moments_by_hand(void **state)
{
    (void)state;
    /* Mean 5; squares of deviations 9+1+1+1+0+0+4+16 = 32, over 7. */
    const double v[] = {2, 4, 4, 4, 5, 5, 7, 9};
    double sorted[8];
    struct timing t;
    assert_int_equal(timing_of(&cx, v, 8, sorted, &t), OK);
    assert_int_equal(t.n, 8);
    near(t.min, 2);
    near(t.max, 9);
    near(t.mean, 5);
    near(t.median, 4.5);
    near(t.sd, sqrt(32.0 / 7));
    near(t.cv, sqrt(32.0 / 7) / 5);
    assert_int_equal(t.outliers, 0);
    assert_true(isnan(t.drift)); /* too few to tell */
    assert_false(t.drifts);
}

static void one_sample_and_none(void **state)
{
    (void)state;
    const double v[] = {3};
    double sorted[1];
    struct timing t;
    assert_int_equal(timing_of(&cx, v, 1, sorted, &t), OK);
    near(t.mean, 3);
    near(t.sd, 0);
    near(t.cv, 0);
    assert_int_equal(timing_of(&cx, v, 0, sorted, &t), OK);
    assert_int_equal(t.n, 0);
    assert_true(isnan(t.mean) && isnan(t.min) && isnan(t.median));
}

static void sorting_leaves_the_samples(void **state)
{
    (void)state;
    const double v[] = {3, 1, 2};
    double sorted[3];
    struct timing t;
    assert_int_equal(timing_of(&cx, v, 3, sorted, &t), OK);
    near(sorted[0], 1);
    near(sorted[2], 3);
    near(v[0], 3);
}

static void outliers_are_far_outside_the_quartiles(void **state)
{
    (void)state;
    /* Quartiles 2 and 4, range 2: fences at -4 and 10. */
    double v[] = {1, 2, 3, 4, 10}, sorted[12];
    struct timing t;
    assert_int_equal(timing_of(&cx, v, 5, sorted, &t), OK);
    assert_int_equal(t.outliers, 0);
    v[4] = 10.1;
    assert_int_equal(timing_of(&cx, v, 5, sorted, &t), OK);
    assert_int_equal(t.outliers, 1);
    assert_true(t.many_outliers);
    /* All alike: the range counts as 1% of the median, fences at 97 and 103. */
    double w[12];
    for (int i = 0; i < 12; i++)
        w[i] = 100;
    w[7] = 102.9;
    assert_int_equal(timing_of(&cx, w, 12, sorted, &t), OK);
    assert_int_equal(t.outliers, 0);
    w[7] = 103.1;
    assert_int_equal(timing_of(&cx, w, 12, sorted, &t), OK);
    assert_int_equal(t.outliers, 1);
}

static void few_outliers_in_many_samples(void **state)
{
    (void)state;
    double v[300], sorted[300];
    struct timing t;
    for (int i = 0; i < 300; i++)
        v[i] = 100 + i % 5;
    v[10] = v[20] = v[30] = 1000;
    assert_int_equal(timing_of(&cx, v, 300, sorted, &t), OK);
    assert_int_equal(t.outliers, 3);
    assert_false(t.many_outliers);
    v[40] = 1000;
    assert_int_equal(timing_of(&cx, v, 300, sorted, &t), OK);
    assert_true(t.many_outliers);
}

static void drift_is_last_third_over_first(void **state)
{
    (void)state;
    double v[30], sorted[30];
    struct timing t;
    for (int i = 0; i < 30; i++)
        v[i] = 100 + (i * 7) % 3;
    assert_int_equal(timing_of(&cx, v, 30, sorted, &t), OK);
    near(t.drift, 1);
    assert_false(t.drifts);
    for (int i = 20; i < 30; i++)
        v[i] += 50.5;
    assert_int_equal(timing_of(&cx, v, 30, sorted, &t), OK);
    /* 0 1 2 0 1 2 0 1 2 0 and 2 0 1 2 0 1 2 0 1 2: medians 101 and 101 + 50.5. */
    near(t.drift, 1.5);
    assert_true(t.drifts);
    for (int i = 20; i < 30; i++)
        v[i] -= 50.5 - 2; /* 2% slower: too little to speak of */
    assert_int_equal(timing_of(&cx, v, 30, sorted, &t), OK);
    assert_false(t.drifts);
}

static void ratio_of_equal_series_is_one(void **state)
{
    (void)state;
    double v[64];
    struct interval r;
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < 64; i++)
        v[i] = 1 + 0.1 * rng_f64(&rng);
    assert_int_equal(timing_ratio(&cx, v, 64, v, 64, true, &r), OK);
    near(r.value, 1);
    near(r.lo, 1); /* drawn together: every resample gives 1 */
    near(r.hi, 1);
    assert_int_equal(timing_ratio(&cx, v, 64, v, 64, false, &r), OK);
    near(r.value, 1);
    assert_true(r.lo < 1 && r.hi > 1 && r.lo > 0.9 && r.hi < 1.1);
}

static void ratio_of_constant_series_is_exact(void **state)
{
    (void)state;
    double a[10], b[20];
    struct interval r;
    for (int i = 0; i < 10; i++)
        a[i] = 3;
    for (int i = 0; i < 20; i++)
        b[i] = 2;
    assert_int_equal(timing_ratio(&cx, a, 10, b, 20, false, &r), OK);
    near(r.value, 1.5);
    near(r.lo, 1.5);
    near(r.hi, 1.5);
}

static void a_true_difference_is_seen_through_noise(void **state)
{
    (void)state;
    double a[200], b[200];
    struct interval r;
    struct rng rng;
    rng_seed(&rng, 5);
    for (int i = 0; i < 200; i++) {
        a[i] = 1.10 * (1 + 0.05 * rng_f64(&rng));
        b[i] = 1 + 0.05 * rng_f64(&rng);
    }
    assert_int_equal(timing_ratio(&cx, a, 200, b, 200, false, &r), OK);
    assert_true(r.lo > 1.08 && r.lo < r.value && r.value < r.hi && r.hi < 1.12);
}

/* About one interval in twenty may leave the truth out; with the fixed seeds these are the counts. */
static void intervals_cover_the_truth(void **state)
{
    (void)state;
    struct rng rng;
    int missed = 0;
    rng_seed(&rng, 11);
    for (int k = 0; k < 100; k++) {
        double a[60], b[60];
        struct interval r;
        for (int i = 0; i < 60; i++) {
            a[i] = 1 + 0.1 * rng_f64(&rng);
            b[i] = 1 + 0.1 * rng_f64(&rng);
        }
        assert_int_equal(timing_ratio(&cx, a, 60, b, 60, false, &r), OK);
        missed += r.lo > 1 || r.hi < 1;
    }
    assert_in_range(missed, 0, 12);
}

static void the_same_samples_give_the_same_interval(void **state)
{
    (void)state;
    const double a[] = {5, 6, 7, 5, 6, 9, 4}, b[] = {5, 4, 6, 5, 5, 7, 3};
    struct interval r, s;
    assert_int_equal(timing_ratio(&cx, a, 7, b, 7, true, &r), OK);
    assert_int_equal(timing_ratio(&cx, a, 7, b, 7, true, &s), OK);
    near(r.value, 6.0 / 5);
    assert_true(r.lo == s.lo && r.hi == s.hi);
}

static void few_samples_say_nothing(void **state)
{
    (void)state;
    const double a[] = {1, 1, 1, 1, 1}, zero[] = {0, 0, 0, 0, 0, 0, 0};
    struct interval r;
    assert_int_equal(timing_ratio(&cx, a, 5, a, 5, true, &r), OK);
    near(r.value, 1);
    assert_true(r.lo == 0 && isinf(r.hi));
    assert_int_equal(timing_ratio(&cx, zero, 7, zero, 7, true, &r), OK);
    assert_true(r.lo == 0 && isinf(r.hi));
    assert_int_equal(timing_ratio(&cx, a, 0, a, 5, false, &r), OK);
    assert_true(isnan(r.value));
}

int main(void)
{
    cx_init(&cx);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_lie_between_samples),
        cmocka_unit_test(percentiles_need_samples_beyond_them),
        cmocka_unit_test(moments_by_hand),
        cmocka_unit_test(one_sample_and_none),
        cmocka_unit_test(sorting_leaves_the_samples),
        cmocka_unit_test(outliers_are_far_outside_the_quartiles),
        cmocka_unit_test(few_outliers_in_many_samples),
        cmocka_unit_test(drift_is_last_third_over_first),
        cmocka_unit_test(ratio_of_equal_series_is_one),
        cmocka_unit_test(ratio_of_constant_series_is_exact),
        cmocka_unit_test(a_true_difference_is_seen_through_noise),
        cmocka_unit_test(intervals_cover_the_truth),
        cmocka_unit_test(the_same_samples_give_the_same_interval),
        cmocka_unit_test(few_samples_say_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
