/* Facts about runtimes, and what follows from them: versions, kernel ranges, types, placements, the minimum.
 */
#include "build.h"

#include <time.h>

#include "ops/op.h"
#include "target/facts.h"
#include "target/minimum.h"
#include "target/place.h"
#include "target/verdict.h"

static struct cx cx;
static struct facts *facts;

static int setup(void **state)
{
    (void)state;
    cx_init(&cx);
    return facts_new(&cx, &facts) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    facts_free(facts);
    cx_fini(&cx);
    return 0;
}

/* ---- facts ---- */

static void version_order(void **state)
{
    struct fact_version a, b;
    (void)state;
    assert_true(version_parse("1.9", &a) && version_parse("1.12.0", &b));
    assert_true(version_cmp(&a, &b) < 0);
    assert_true(version_parse("1.30.0-dev", &a) && version_parse("1.30", &b));
    assert_true(a.dev && version_cmp(&a, &b) < 0);
    assert_false(version_in(&b, &a));
    assert_true(version_parse("1.12", &a) && version_parse("1.12.1", &b) && version_in(&a, &b));
    assert_false(version_in(&b, &a));
    static const char *const wrong[] = {"",  "x", "1.", "1..2", "1.2-rc1", "1.2.3.4.5", "99999999999999",
                                        "-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(version_parse(wrong[i], &a));
}

static bool hold(const char *releases, const char *version)
{
    struct fact_version v;
    assert_true(version_parse(version, &v));
    return releases_hold(releases, &v);
}

static void release_ranges(void **state)
{
    (void)state;
    assert_true(hold("1.9-1.12,1.14", "1.12.1"));
    assert_false(hold("1.9-1.12,1.14", "1.13.0"));
    assert_true(hold("1.9-1.12,1.14", "1.14.7"));
    assert_false(hold("1.9-1.12,1.14", "1.8"));
    assert_true(hold("2020.4+", "2023.1") && !hold("2020.4+", "2020.3"));
    assert_true(hold("8.6", "8.6") && !hold("8.6", "8.60"));
    assert_true(hold("1.16.2-1.19", "1.16.2") && hold("1.16.2-1.19", "1.19.2"));
    assert_false(hold("1.16.2-1.19", "1.16.1"));
    assert_true(hold("1.7-1.8.0", "1.8.0") && !hold("1.7-1.8.0", "1.8.1"));
    assert_false(hold("", "1.0"));
}

static void type_sets(void **state)
{
    struct fact_types t;
    (void)state;
    assert_true(facts_types("T=fd V=h[f?]{l}{[i]}*", "V", &t));
    assert_int_equal(t.tensor, 1u << DT_FLOAT16);
    assert_int_equal(t.seq, 1u << DT_FLOAT | 1u << DT_BOOL);
    assert_int_equal(t.opt, 1u << DT_INT64);
    assert_int_equal(t.opt_seq, 1u << DT_INT32);
    assert_true(t.others);
    assert_false(facts_types("T=fd", "U", &t));
    assert_true(facts_types("fd", "anything", &t) && t.tensor == (1u << DT_FLOAT | 1u << DT_DOUBLE));
}

/* Every column of types can be read: each letter of it is an element type. */
static void tables_are_sound(void **state)
{
    (void)state;
    assert_true(facts->nkernels > 2000 && facts->nlisted > 2000 && facts->nreleases > 80);
    assert_int_equal(strlen(facts->date), 10);
    assert_string_equal(facts->date, facts_date());
    for (size_t i = 0; i < facts->nkernels; i++) {
        const struct fact_kernel *k = &facts->kernels[i];
        const char *at = k->types;
        char name[64];
        struct fact_types t;
        while (facts_next_types(&at, name, sizeof name, &t))
            assert_true(t.tensor || t.seq || t.opt || t.opt_seq || t.others);
        size_t n;
        const struct fact_kernel *rows = facts_kernels(facts, k->domain, k->op, &n);
        assert_true(rows <= k && k < rows + n);
    }
    for (size_t i = 0; i < facts->nlisted; i++) {
        size_t n;
        const struct fact_listed *l = &facts->listed[i], *rows = facts_listed(facts, l->list, l->op, &n);
        assert_true(rows <= l && l < rows + n);
    }
}

/* ---- placements ---- */

struct asked {
    struct build b;
    struct survey *s;
    struct target t;
    struct verdict *v;
};

/* y = OP(x, ...) of that type at that opset, on that target. */
static void ask(struct asked *q, const char *op, const char *ins, enum dtype dt, int64_t opset,
                const char *target, const char *provider)
{
    const char *providers[] = {provider};
    char word[64];
    q->b = build_new(&cx, opset);
    for (const char *p = ins; next_word(&p, word, sizeof word);)
        build_in(&q->b, word, dt, "1 3 8 8");
    build_node(&q->b, op, ins, "y");
    assert_int_equal(survey_new(&cx, q->b.m, NULL, &q->s), OK);
    assert_int_equal(target_parse(&cx, facts, target, providers, provider != NULL, &q->t), OK);
    assert_int_equal(verdict_new(&cx, facts, q->s, &q->t, true, &q->v), OK);
}

static void done(struct asked *q)
{
    verdict_free(q->v);
    survey_free(q->s);
    model_free(q->b.m);
}

static enum fit fit_of(const char *op, const char *ins, enum dtype dt, int64_t opset, const char *target,
                       const char *provider, int *src)
{
    struct asked q;
    ask(&q, op, ins, dt, opset, target, provider);
    enum fit f = q.v->answers[0].p.fit;
    if (src)
        *src = q.v->answers[0].p.src;
    done(&q);
    return f;
}

/* An open range is one version; closed ranges reach. */
static void kernel_ranges(void **state)
{
    int src;
    (void)state;
    assert_int_equal(fit_of("GridSample", "x g", DT_FLOAT, 19, "ort@1.18", "cuda", &src), FIT_KERNEL);
    assert_int_equal(src, 0);
    assert_int_equal(fit_of("GridSample", "x g", DT_FLOAT, 20, "ort@1.18", "cuda", &src), FIT_KERNEL);
    assert_int_equal(src, 1);
    assert_int_equal(fit_of("GridSample", "x g", DT_FLOAT, 20, "ort@1.25", "cuda", &src), FIT_KERNEL);
    assert_int_equal(src, 0);
}

static void kernel_types(void **state)
{
    int src;
    (void)state;
    assert_int_equal(fit_of("Gelu", "x", DT_FLOAT16, 20, "ort@1.18", "cuda", &src), FIT_KERNEL);
    assert_int_equal(src, 0);
    /* The CPU's takes float alone: Gelu has a body, Erf has none. */
    assert_int_equal(fit_of("Gelu", "x", DT_FLOAT16, 20, "ort@1.18", NULL, NULL), FIT_BODY);
    assert_int_equal(fit_of("Erf", "x", DT_FLOAT16, 17, "ort@1.18", NULL, NULL), FIT_CASTS);
    assert_int_equal(fit_of("Erf", "x", DT_BFLOAT16, 17, "ort@1.18", NULL, NULL), FIT_MISSING);
    assert_int_equal(fit_of("Erf", "x", DT_FLOAT, 17, "ort@1.18", NULL, NULL), FIT_KERNEL);
}

static void bodies(void **state)
{
    (void)state;
    assert_int_equal(fit_of("LayerNormalization", "x s", DT_FLOAT, 17, "ort@1.12", "cuda", NULL), FIT_BODY);
    assert_int_equal(fit_of("LayerNormalization", "x s", DT_FLOAT, 17, "ort@1.14", "cuda", NULL), FIT_KERNEL);
    assert_int_equal(fit_of("HardSwish", "x", DT_FLOAT, 14, "ort@1.14", NULL, NULL), FIT_BODY);
}

/* A body runs on the provider that has all its parts, in their versions at that opset. */
static void parts_of_bodies(void **state)
{
    int src;
    (void)state;
    assert_int_equal(fit_of("LayerNormalization", "x s", DT_FLOAT, 17, "ort@1.12", "cuda", &src), FIT_BODY);
    assert_int_equal(src, 0);
    /* Cast changed with 21, and CUDA followed with 1.24. */
    assert_int_equal(fit_of("GroupNormalization", "x s b", DT_FLOAT, 21, "ort@1.23", "cuda", &src), FIT_BODY);
    assert_int_equal(src, 1);
    assert_int_equal(fit_of("GroupNormalization", "x s b", DT_FLOAT, 21, "ort@1.24", "cuda", &src), FIT_BODY);
    assert_int_equal(src, 0);
}

static void silence(void **state)
{
    (void)state;
    assert_int_equal(fit_of("Relu", "x", DT_FLOAT, 14, "ort@99", "cuda", NULL), FIT_UNKNOWN);
    assert_int_equal(fit_of("Relu", "x", DT_FLOAT, 14, "ort@1.10", "directml", NULL), FIT_UNKNOWN);
    assert_int_equal(fit_of("Relu", "x", DT_FLOAT, 14, "ort@1.28", "webgpu", NULL), FIT_UNKNOWN);
    assert_int_equal(fit_of("Relu", "x", DT_FLOAT, 99, "ort@1.18", NULL, NULL), FIT_KERNEL);
    assert_int_equal(fit_of("Relu", "x", DT_FLOAT, 14, "tensorrt@8.6", NULL, NULL), FIT_LISTED);
    assert_int_equal(fit_of("Unique", "x", DT_FLOAT, 14, "tensorrt@8.6", NULL, NULL), FIT_MISSING);
    assert_int_equal(fit_of("Relu", "x", DT_FLOAT, 14, "tensorrt@99", NULL, NULL), FIT_UNKNOWN);
    /* XNNPACK's list is of 2024-09: what it lacks falls back before, nobody knows behind. */
    assert_int_equal(fit_of("Erf", "x", DT_FLOAT, 17, "ort@1.18", "xnnpack", NULL), FIT_KERNEL);
    assert_int_equal(fit_of("Erf", "x", DT_FLOAT, 17, "ort@1.23", "xnnpack", NULL), FIT_UNKNOWN);
    /* Between releases whose lists agree it is inferred. */
    assert_int_equal(fit_of("Relu", "x", DT_FLOAT, 14, "tensorrt@10.7", NULL, NULL), FIT_LISTED);
}

static enum verdict_kind kind_of(const char *op, const char *ins, int64_t opset, const char *target,
                                 const char *provider, enum loads *loads)
{
    struct asked q;
    ask(&q, op, ins, DT_FLOAT, opset, target, provider);
    enum verdict_kind k = q.v->kind;
    *loads = q.v->loads;
    done(&q);
    return k;
}

static void verdicts(void **state)
{
    enum loads l;
    (void)state;
    assert_int_equal(kind_of("Relu", "x", 17, "ort@1.12", NULL, &l), VERDICT_RUNS);
    assert_int_equal(l, LOADS_YES);
    assert_int_equal(kind_of("Relu", "x", 18, "ort@1.12", NULL, &l), VERDICT_FAILS);
    assert_int_equal(kind_of("Relu", "x", 17, "ort@99", NULL, &l), VERDICT_UNKNOWN);
    assert_int_equal(l, LOADS_UNKNOWN);
    assert_int_equal(kind_of("GridSample", "x g", 20, "ort@1.18", "cuda", &l), VERDICT_FALLBACK);
    assert_int_equal(l, LOADS_YES);
    assert_int_equal(kind_of("Relu", "x", 17, "ort@1.18", "coreml", &l), VERDICT_UNKNOWN);
    assert_int_equal(l, LOADS_YES);
    assert_int_equal(kind_of("Relu", "x", 17, "opset@17", NULL, &l), VERDICT_RUNS);
    assert_int_equal(kind_of("Relu", "x", 17, "opset@16", NULL, &l), VERDICT_FAILS);
    assert_int_equal(kind_of("Relu", "x", 17, "onnxtool", NULL, &l), VERDICT_RUNS);
    assert_int_equal(kind_of("Relu", "x", 22, "ort@1.21", NULL, &l), VERDICT_RUNS);
}

/* 1.3.1 was not tried, 1.3.0 was: both refuse. */
static void patch_releases(void **state)
{
    enum loads l;
    (void)state;
    assert_int_equal(kind_of("Relu", "x", 13, "ort@1.3.0", NULL, &l), VERDICT_FAILS);
    assert_int_equal(kind_of("Relu", "x", 13, "ort@1.3.1", NULL, &l), VERDICT_FAILS);
}

static void attention_of_older_libraries(void **state)
{
    struct asked q;
    (void)state;
    /* Version 25 came with a later library than opset 25: before, the operator is that of 24. */
    ask(&q, "Attention", "x k v", DT_FLOAT, 25, "ort@1.25", "cuda");
    assert_int_equal(q.v->answers[0].there->since, 24);
    assert_int_equal(q.v->answers[0].p.fit, FIT_KERNEL);
    done(&q);
}

static void wrong_targets(void **state)
{
    static const char *const wrong[] = {"ort",      "ort@", "ort@x", "nosuch@1",   "opset",   "opset@0",
                                        "opset@1x", "@",    "",      "ort@1.18@2", "tensorrt"};
    struct target t;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(target_parse(&cx, facts, wrong[i], NULL, 0, &t), E_USAGE);
}

/* ---- the minimum ---- */

static struct minimum minimum_of(struct asked *q, const char *op, const char *ins, enum dtype dt,
                                 int64_t opset)
{
    struct minimum m;
    static struct arena a;
    ask(q, op, ins, dt, opset, "onnxtool", NULL);
    assert_int_equal(minimum_find(&cx, &a, facts, q->s, &m), OK);
    done(q);
    arena_free(&a);
    return m;
}

static void minima(void **state)
{
    struct asked q;
    (void)state;
    assert_int_equal(minimum_of(&q, "Add", "x x2", DT_FLOAT, 22).opset, 7);
    assert_int_equal(minimum_of(&q, "Add", "x x2", DT_BFLOAT16, 22).opset, 13);
    assert_int_equal(minimum_of(&q, "Add", "x x2", DT_INT8, 22).opset, 14);
    assert_int_equal(minimum_of(&q, "Softmax", "x", DT_FLOAT, 22).opset, 13);
    assert_int_equal(minimum_of(&q, "Gelu", "x", DT_FLOAT, 22).opset, 20);
    assert_int_equal(minimum_of(&q, "Relu", "x", DT_FLOAT, 22).opset, 1);
    assert_int_equal(minimum_of(&q, "Relu", "x", DT_INT8, 22).opset, 14);
    assert_int_equal(minimum_of(&q, "Nosuch", "x", DT_FLOAT, 22).unknown, 1);
}

/* ---- time and memory ---- */

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct build chain(int n)
{
    static const char *const ops[] = {"Relu", "Sigmoid", "Tanh", "Exp"};
    struct build b = build_new(&cx, 17);
    char in[24] = "x", out[24];
    build_in(&b, "x", DT_FLOAT, "n 64 32 32");
    for (int i = 0; i < n; i++) {
        snprintf(out, sizeof out, "v%d", i);
        build_node(&b, ops[i % 4], in, out);
        memcpy(in, out, sizeof in);
    }
    return b;
}

/* A thousand nodes, tables read anew: the least of a few tries, since machines are busy. */
static void a_thousand_nodes(void **state)
{
    double best = 1e9;
    struct build b = chain(1000);
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct facts *f;
        struct survey *s;
        struct target t;
        struct verdict *v;
        static const char *const cuda[] = {"cuda"};
        double start = milliseconds();
        assert_int_equal(facts_new(&cx, &f), OK);
        assert_int_equal(survey_new(&cx, b.m, NULL, &s), OK);
        assert_int_equal(target_parse(&cx, f, "ort@1.18", cuda, 1, &t), OK);
        assert_int_equal(verdict_new(&cx, f, s, &t, true, &v), OK);
        double took = milliseconds() - start;
        best = took < best ? took : best;
        assert_int_equal(v->kind, VERDICT_RUNS);
        assert_int_equal(v->nodes, 1000);
        verdict_free(v);
        survey_free(s);
        facts_free(f);
    }
    model_free(b.m);
    print_message("1000 nodes: %.2f ms\n", best);
#if !defined(__SANITIZE_ADDRESS__)
    assert_true(best < 20);
#endif
}

/* Every allocation fails once: an error, and nothing is left behind. */
static void out_of_memory(void **state)
{
    (void)state;
    for (long k = 0;; k++) {
        struct cx quiet;
        struct facts *f = NULL;
        struct survey *s = NULL;
        struct verdict *v = NULL;
        struct target t;
        struct build b = chain(3);
        cx_init(&quiet);
        mem_fail_after(k);
        int rc = facts_new(&quiet, &f);
        rc = rc ? rc : survey_new(&quiet, b.m, NULL, &s);
        rc = rc ? rc : target_parse(&quiet, f, "ort@1.18", NULL, 0, &t);
        rc = rc ? rc : verdict_new(&quiet, f, s, &t, true, &v);
        mem_fail_after(-1);
        if (rc)
            assert_int_equal(rc, E_NOMEM);
        verdict_free(rc ? NULL : v);
        survey_free(s);
        facts_free(f);
        model_free(b.m);
        cx_fini(&quiet);
        if (!rc)
            break;
        assert_true(k < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_order),    cmocka_unit_test(release_ranges),
        cmocka_unit_test(type_sets),        cmocka_unit_test(tables_are_sound),
        cmocka_unit_test(kernel_ranges),    cmocka_unit_test(kernel_types),
        cmocka_unit_test(bodies),           cmocka_unit_test(parts_of_bodies),
        cmocka_unit_test(silence),          cmocka_unit_test(verdicts),
        cmocka_unit_test(patch_releases),   cmocka_unit_test(attention_of_older_libraries),
        cmocka_unit_test(wrong_targets),    cmocka_unit_test(minima),
        cmocka_unit_test(a_thousand_nodes), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
