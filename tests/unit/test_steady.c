/* What every session promises, over all small models, and the shared ones where they are: a steady run of a
 * graph whose shapes are known takes no memory and infers nothing, gives the same bits again, and the same
 * bits with any number of threads; weaker kernels and levels of optimization stay within the tolerance. Runs
 * in the folder of the repository. */
#include "cmk.h"

#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cpu.h"
#include "exec/plan.h"
#include "io/onnx_load.h"
#include "session/feed.h"
#include "session/session.h"

static struct cx cx;

enum { MAX_IO = 64, MAX_MODELS = 256 };

/* One model bound and fed; values are made up for the model as it is in its file. */
struct subject {
    const char *path;
    struct session *s;
    struct model *plain;
    struct feed *f;
    struct tensor ins[MAX_IO];
    const struct tensor *outs[MAX_IO];
};

static void subject_free(struct subject *t)
{
    feed_free(t->f);
    model_free(t->plain);
    session_free(t->s);
}

/* False: not a model that runs as it is (a broken one, or one that wants inputs that nobody makes up). */
static bool subject_new(struct subject *t, const char *path, const struct session_opts *o)
{
    struct model *m = NULL;
    struct load_opts lo = {0};
    struct feed_opts fo = {.seed = 3};
    struct named_list *l;
    memset(t, 0, sizeof *t);
    t->path = path;
    cx.lim.deadline = 0;
    if (model_load(&cx, path, &lo, &m) || session_new(&cx, m, o, &t->s))
        return false;
    if (session_ninputs(t->s) > MAX_IO || session_noutputs(t->s) > MAX_IO ||
        model_load(&cx, path, &lo, &t->plain) || feed_new(&cx, t->plain, &fo, &t->f) ||
        feed_get(&cx, t->f, 0, &l)) {
        subject_free(t);
        return false;
    }
    for (size_t i = 0; i < session_ninputs(t->s); i++)
        t->ins[i] = *named_find(l, session_input(t->s, i)->name);
    if (session_run(&cx, t->s, t->ins, t->outs) == OK)
        return true;
    subject_free(t);
    return false;
}

static size_t models(glob_t *g)
{
    assert_int_equal(glob("testdata/models/*.onnx", 0, NULL, g), 0);
    (void)glob("testdata/digits/*.onnx", GLOB_APPEND, NULL, g);
    (void)glob("../shared/models/*/model.onnx", GLOB_APPEND, NULL, g);
    assert_true(g->gl_pathc >= 30 && g->gl_pathc <= MAX_MODELS);
    return g->gl_pathc;
}

/* Every value has its size before the run, and nothing runs a body of its own. */
static bool shapes_known(const struct session *s)
{
    const struct prog *p = s->ex.main;
    for (uint32_t i = 0; i < p->nsteps; i++)
        if (!p->last->ready[i] || p->steps[i].node->op->flags & (OP_SUBGRAPH | OP_DYNAMIC))
            return false;
    return true;
}

static bool has_strings(const struct session *s)
{
    for (uint32_t i = 0; i < s->ex.main->nslots; i++)
        if (s->ex.main->last->t[i].dt == DT_STRING)
            return true;
    return false;
}

static void steady_runs_take_no_memory(void **state)
{
    glob_t g = {0};
    size_t n = models(&g), seen = 0;
    (void)state;
    for (size_t i = 0; i < n; i++)
        for (int threads = 1; threads <= 2; threads++) {
            struct session_opts o = {.level = OPT_ALL, .threads = threads};
            struct subject t;
            if (!subject_new(&t, g.gl_pathv[i], &o))
                continue;
            if (shapes_known(t.s) && !has_strings(t.s)) {
                const struct plan *plan = t.s->ex.main->last;
                long before = mem_count();
                for (int k = 0; k < 3; k++)
                    assert_int_equal(session_run(&cx, t.s, t.ins, t.outs), OK);
                if (mem_count() != before)
                    fail_msg("%s, %d threads: %ld allocations in three runs", t.path, threads,
                             mem_count() - before);
                assert_ptr_equal(t.s->ex.main->last, plan);
                seen++;
            }
            subject_free(&t);
        }
    globfree(&g);
    assert_true(seen >= 40);
}

/* ---- same results ---- */

static bool random_op(const struct session *s)
{
    for (const struct node *n = s->m->graph->first; n; n = n->next)
        if (n->op && n->op->flags & OP_NONDET)
            return true;
    return false;
}

/* Copies of the outputs that hold plain numbers; others are left zeroed. */
static void keep_outputs(const struct subject *t, struct tensor *kept)
{
    memset(kept, 0, MAX_IO * sizeof *kept);
    for (size_t i = 0; i < session_noutputs(t->s); i++)
        if (t->outs[i]->kind == RT_TENSOR && t->outs[i]->dt != DT_STRING)
            assert_int_equal(tensor_copy(&cx, &kept[i], t->outs[i]), OK);
}

static void drop_outputs(struct tensor *kept)
{
    for (int i = 0; i < MAX_IO; i++)
        tensor_drop(&kept[i]);
}

static void same_bits(const struct subject *t, const struct tensor *kept, const char *what)
{
    for (size_t i = 0; i < session_noutputs(t->s); i++) {
        if (!kept[i].data)
            continue;
        if (tensor_bytes(&kept[i]) != tensor_bytes(t->outs[i]) ||
            memcmp(kept[i].data, t->outs[i]->data, tensor_bytes(&kept[i])) != 0)
            fail_msg("%s, %s: other bits in output %zu", t->path, what, i);
    }
}

static void bits_are_the_same_again_and_with_any_threads(void **state)
{
    glob_t g = {0};
    size_t n = models(&g), seen = 0;
    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct session_opts o = {.level = OPT_ALL, .threads = 1};
        struct subject t;
        struct tensor kept[MAX_IO];
        if (!subject_new(&t, g.gl_pathv[i], &o))
            continue;
        bool fixed = !random_op(t.s);
        keep_outputs(&t, kept);
        if (fixed) {
            assert_int_equal(session_run(&cx, t.s, t.ins, t.outs), OK);
            same_bits(&t, kept, "second run");
        }
        subject_free(&t);
        for (int threads = 2; threads <= 3 && fixed; threads++, seen++) {
            o.threads = threads;
            assert_true(subject_new(&t, g.gl_pathv[i], &o));
            same_bits(&t, kept, threads == 2 ? "2 threads" : "3 threads");
            subject_free(&t);
        }
        drop_outputs(kept);
    }
    globfree(&g);
    assert_true(seen >= 50);
}

/* Whether a model rounds to few steps on its way: then a last bit may become a whole step. */
static bool quantized(const struct session *s)
{
    for (const struct node *n = s->m->graph->first; n; n = n->next)
        if (strstr(n->op_type, "Quantize") || strstr(n->op_type, "QLinear") || strstr(n->op_type, "Integer"))
            return true;
    return false;
}

static double largest(const struct tensor *t)
{
    double m = 0;
    for (int64_t k = 0; k < tensor_count(t); k++) {
        double v = fabs(tensor_f64(t, k));
        if (isfinite(v) && v > m)
            m = v;
    }
    return m;
}

/* Within 2e-4 of the output's largest value (of a quantized model: within a tenth of it). */
static void same_numbers(const struct subject *t, const struct tensor *kept, const char *what)
{
    for (size_t i = 0; i < session_noutputs(t->s); i++) {
        if (!kept[i].data || dtype_is_int(kept[i].dt) || kept[i].dt == DT_BOOL || !dtype_is_float(kept[i].dt))
            continue;
        double tol = (quantized(t->s)                                         ? 0.1
                      : kept[i].dt == DT_FLOAT16 || kept[i].dt == DT_BFLOAT16 ? 2e-2
                                                                              : 2e-4) *
                     (largest(&kept[i]) + 1e-6);
        assert_int_equal(tensor_count(&kept[i]), tensor_count(t->outs[i]));
        for (int64_t k = 0; k < tensor_count(&kept[i]); k++) {
            double a = tensor_f64(&kept[i], k), b = tensor_f64(t->outs[i], k);
            if (!(fabs(a - b) <= tol) && !(isnan(a) && isnan(b)) && !(isinf(a) && a == b))
                fail_msg("%s, %s: output %zu[%d] is %g, was %g", t->path, what, i, (int)k, b, a);
        }
    }
}

static void numbers_are_the_same_at_every_level(void **state)
{
    static const struct {
        const char *name;
        enum opt_level level;
        bool masked;
        const char *mask;
    } way[] = {{"-O none", OPT_NONE, false, NULL},
               {"-O basic", OPT_BASIC, false, NULL},
               {"--cpu-mask c", OPT_ALL, true, "c"},
               {"--cpu-mask avx2", OPT_ALL, true, "avx2"}};
    glob_t g = {0};
    size_t n = models(&g), seen = 0;
    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct session_opts o = {.level = OPT_ALL, .threads = 2};
        struct subject t;
        struct tensor kept[MAX_IO];
        if (!subject_new(&t, g.gl_pathv[i], &o))
            continue;
        bool fixed = !random_op(t.s);
        keep_outputs(&t, kept);
        subject_free(&t);
        for (size_t w = 0; w < sizeof way / sizeof *way && fixed; w++, seen++) {
            struct session_opts other = {.level = way[w].level, .threads = 2, .cpu_given = way[w].masked};
            if (way[w].masked)
                assert_int_equal(cpu_mask_parse(way[w].mask, &other.cpu_mask), 0);
            if (!subject_new(&t, g.gl_pathv[i], &other))
                fail_msg("%s does not run with %s", g.gl_pathv[i], way[w].name);
            same_numbers(&t, kept, way[w].name);
            subject_free(&t);
        }
        drop_outputs(kept);
    }
    globfree(&g);
    assert_true(seen >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steady_runs_take_no_memory),
        cmocka_unit_test(bits_are_the_same_again_and_with_any_threads),
        cmocka_unit_test(numbers_are_the_same_at_every_level),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
