/* Random operators keep what the specification promises: the distribution (by moments, with bounds that a
 * fair generator misses once in a million seeds; seeds are fixed), the range, and the same numbers for a
 * seed. */
#include "build.h"

#include <math.h>

#include "session/session.h"

enum { N = 100000 };

static struct cx cx;

static struct session *open_model(struct build *b)
{
    struct session_opts o = {.level = OPT_ALL, .threads = 1};
    struct session *s = NULL;
    if (session_new(&cx, b->m, &o, &s))
        fail_msg("session: %s", cx.err.msg);
    return s;
}

static struct session *shaped(const char *op, const char *first, float a, const char *second, float b_,
                              const float *seed)
{
    struct build b = build_new(&cx, 22);
    struct node *n = build_node(&b, op, "", "y");
    int64_t shape = N;
    assert_int_equal(node_set_attr_ints(&cx, n, "shape", &shape, 1), OK);
    assert_int_equal(node_set_attr_float(&cx, n, first, a), OK);
    assert_int_equal(node_set_attr_float(&cx, n, second, b_), OK);
    if (seed)
        assert_int_equal(node_set_attr_float(&cx, n, "seed", *seed), OK);
    build_out(&b, "y", DT_FLOAT, "100000");
    return open_model(&b);
}

static void run(struct session *s, const struct tensor *ins, float *out)
{
    const struct tensor *outs[1];
    if (session_run(&cx, s, ins, outs))
        fail_msg("run: %s", cx.err.msg);
    assert_int_equal(tensor_count(outs[0]), N);
    for (int i = 0; i < N; i++)
        out[i] = (float)tensor_f64(outs[0], i);
}

/* Within 5 standard errors of what is expected. */
static void near_mean(const float *x, int power, double want, double deviation)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += pow(x[i], power);
    if (fabs(sum / N - want) > 5 * deviation / sqrt(N))
        fail_msg("moment %d is %g, expected %g", power, sum / N, want);
}

static float x[N], y[N];

static void normal(void **state)
{
    (void)state;
    const float seed = 3;
    struct session *s = shaped("RandomNormal", "mean", 0, "scale", 1, &seed);
    run(s, NULL, x);
    session_free(s);
    near_mean(x, 1, 0, 1);
    near_mean(x, 2, 1, sqrt(2));
    near_mean(x, 3, 0, sqrt(15));
    near_mean(x, 4, 3, sqrt(96));
    s = shaped("RandomNormal", "mean", 5, "scale", 0.5f, &seed);
    run(s, NULL, y);
    session_free(s);
    for (int i = 0; i < N; i++)
        assert_true(fabsf(y[i] - (5 + 0.5f * x[i])) < 1e-5f);
}

static void uniform(void **state)
{
    (void)state;
    int bins[50] = {0};
    double chi = 0;
    struct session *s = shaped("RandomUniform", "low", -1, "high", 3, NULL);
    run(s, NULL, x);
    for (int i = 0; i < N; i++) {
        assert_true(x[i] >= -1 && x[i] <= 3);
        int bin = (int)((x[i] + 1) / 4 * 50);
        bins[bin > 49 ? 49 : bin]++;
    }
    for (int i = 0; i < 50; i++)
        chi += (bins[i] - N / 50.0) * (bins[i] - N / 50.0) / (N / 50.0);
    assert_true(chi < 110); /* 49 degrees of freedom */
    double together = 0;
    run(s, NULL, y); /* the next call goes on, and is not like the first */
    for (int i = 0; i < N; i++)
        together += (x[i] - 1) * (y[i] - 1);
    assert_true(fabs(together / N) < 5 * (16.0 / 12) / sqrt(N));
    session_free(s);
}

static void seeds(void **state)
{
    (void)state;
    const float one = 1, two = 2;
    for (int k = 0; k < 3; k++) {
        struct session *s = shaped("RandomUniform", "low", 0, "high", 1, k == 2 ? &two : &one);
        run(s, NULL, k ? y : x);
        session_free(s);
        assert_int_equal(memcmp(x, y, sizeof x) == 0, k == 1);
    }
    for (int k = 0; k < 2; k++) { /* without a seed: the same model, the same numbers */
        struct session *s = shaped("RandomUniform", "low", 0, "high", 1, NULL);
        run(s, NULL, k ? y : x);
        session_free(s);
    }
    assert_memory_equal(x, y, sizeof x);
}

static void bernoulli(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 22);
    build_in(&b, "p", DT_FLOAT, "100000");
    build_node(&b, "Bernoulli", "p", "y");
    build_out(&b, "y", DT_FLOAT, "100000");
    struct session *s = open_model(&b);
    struct tensor in = {.dt = DT_FLOAT, .rank = 1, .dims = {N}, .data = y};
    for (int i = 0; i < N; i++)
        y[i] = i < 1000 ? 0 : i < 2000 ? 1 : 0.3f;
    run(s, &in, x);
    double ones = 0;
    for (int i = 0; i < N; i++) {
        assert_true(x[i] == 0 || x[i] == 1);
        assert_true(i >= 2000 || x[i] == y[i]);
        ones += i >= 2000 ? x[i] : 0;
    }
    assert_true(fabs(ones / (N - 2000) - 0.3) < 5 * sqrt(0.21 / (N - 2000)));
    y[5] = 1.5f;
    const struct tensor *outs[1];
    assert_int_equal(session_run(&cx, s, &in, outs), E_VALUE);
    err_clear(&cx);
    session_free(s);
}

static void multinomial(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 22);
    build_in(&b, "logits", DT_FLOAT, "1 4");
    struct node *n = build_node(&b, "Multinomial", "logits", "y");
    assert_int_equal(node_set_attr_int(&cx, n, "sample_size", N), OK);
    build_out(&b, "y", DT_INT32, "1 100000");
    struct session *s = open_model(&b);
    const double p[4] = {0.1, 0, 0.6, 0.3};
    float logits[4] = {logf(0.1f) + 3, -INFINITY, logf(0.6f) + 3, logf(0.3f) + 3};
    struct tensor in = {.dt = DT_FLOAT, .rank = 2, .dims = {1, 4}, .data = logits};
    run(s, &in, x);
    int count[4] = {0};
    for (int i = 0; i < N; i++)
        count[(int)x[i]]++;
    for (int k = 0; k < 4; k++)
        assert_true(fabs(count[k] / (double)N - p[k]) <= 5 * sqrt(p[k] * (1 - p[k]) / N));
    session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal),    cmocka_unit_test(uniform),     cmocka_unit_test(seeds),
        cmocka_unit_test(bernoulli), cmocka_unit_test(multinomial),
    };
    cx_init(&cx);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return rc;
}
