/* onnxtool bench: the measuring itself. Warm-up, then runs one after the other; or in pairs beside a second
 * model; or from several callers at once. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

volatile sig_atomic_t bench_stopped;

/* Without options: warm-up for a third of a second, then two seconds and ten runs. */
static const double DEFAULT_WARMUP = 0.3, DEFAULT_TIME = 2;
enum { DEFAULT_RUNS = 10 };

/* Until at least so many runs were made and so much time has passed. */
struct until {
    int64_t runs;
    double seconds;
};

static struct until warmup_until(const struct bench_opts *o)
{
    if (o->warmup < 0 && isnan(o->warmup_time))
        return (struct until){1, DEFAULT_WARMUP};
    return (struct until){o->warmup < 0 ? 0 : o->warmup, isnan(o->warmup_time) ? 0 : o->warmup_time};
}

static struct until steady_until(const struct bench_opts *o)
{
    if (o->runs < 0)
        return (struct until){DEFAULT_RUNS, isnan(o->time) ? DEFAULT_TIME : o->time};
    return (struct until){o->runs, isnan(o->time) ? 0 : o->time};
}

static bool enough(const struct until *u, int64_t runs, double since)
{
    return bench_stopped || (runs >= u->runs && (u->seconds <= 0 || ot_now() - since >= u->seconds));
}

void series_free(struct series *t)
{
    free(t->v);
    free(t->sorted);
    *t = (struct series){0};
}

static int series_finish(struct bench *b, struct series *t)
{
    free(t->sorted);
    t->sorted = xalloc((t->n + 1) * sizeof *t->sorted);
    int rc = ot_timing(b->app->ctx, t->v, t->n, t->sorted, &t->t);
    return rc ? cmd_fail(b->app, rc) : EXIT_DONE;
}

/* ---- one caller ---- */

static int warm_up(struct bench *b, struct side *s, size_t *runs)
{
    struct until u = warmup_until(b->o);
    double t0 = ot_now();
    int rc = OT_OK;
    size_t n = 0;
    while (!rc && !enough(&u, (int64_t)n, t0)) {
        rc = side_run(s, NULL);
        n++;
    }
    *runs = n;
    return rc;
}

static int steady(struct bench *b, struct side *s, struct series *t)
{
    struct until u = steady_until(b->o);
    double t0 = ot_now();
    int rc = OT_OK;
    while (!rc && !enough(&u, (int64_t)t->n, t0))
        rc = side_run(s, t);
    t->wall = ot_now() - t0;
    return rc;
}

/* ---- pairs ---- */

/* Workers of the side that ran last spin for a tenth of a millisecond before they sleep. */
enum { ASLEEP_US = 300 };
/* Below that a run is short enough for what the other side left in the caches to show: one run is thrown
 * away.
 */
static const double SHORT_RUN = 20e-3;

static int run_in_turn(struct side *s, struct series *t, bool again)
{
    usleep(ASLEEP_US);
    int rc = again ? side_run(s, NULL) : OT_OK;
    return rc ? rc : side_run(s, t);
}

/* A B, B A, A B, ...: neither side is always the second. */
static int steady_pairs(struct bench *b, struct side *x, struct side *y, struct series *t, struct series *u)
{
    struct until until = steady_until(b->o);
    double t0 = ot_now();
    int rc = OT_OK;
    while (!rc && !enough(&until, (int64_t)t->n, t0)) {
        bool swap = t->n % 2, again = !t->n || t->v[t->n - 1] < SHORT_RUN;
        rc = run_in_turn(swap ? y : x, swap ? u : t, again);
        if (!rc)
            rc = run_in_turn(swap ? x : y, swap ? t : u, again);
    }
    t->wall = u->wall = ot_now() - t0;
    return rc;
}

static int measure_pairs(struct bench *b, const struct config *c, struct side *x, struct result *r)
{
    struct config other = *c;
    struct side y = {0};
    size_t ignored;
    if (b->o->vs_level >= 0)
        other.level = b->o->vs_level;
    int code = side_open(b, &other, b->o->vs ? b->o->vs : c->model, &y);
    if (!code) {
        int rc = warm_up(b, &y, &ignored);
        if (!rc)
            rc = steady_pairs(b, x, &y, &r->runs, &r->other);
        if (!rc)
            rc = ot_ratio(b->app->ctx, r->runs.v, r->runs.n, r->other.v, r->other.n, true, &r->vs);
        code = rc ? cmd_fail(b->app, rc) : series_finish(b, &r->other);
    }
    side_close(&y);
    return code;
}

/* ---- several callers ---- */

struct stamp {
    double start, seconds;
};

struct caller {
    struct bench *b;
    struct side side;
    pthread_t thread;
    pthread_barrier_t *gate;
    struct stamp *v;
    size_t n, cap, warmup;
    int rc;
    double end;
};

static void *caller_main(void *arg)
{
    struct caller *k = arg;
    struct until u = steady_until(k->b->o);
    k->rc = warm_up(k->b, &k->side, &k->warmup);
    pthread_barrier_wait(k->gate);
    double t0 = ot_now();
    struct series one = {0};
    while (!k->rc && !enough(&u, (int64_t)k->n, t0)) {
        double start = ot_now();
        one.n = 0;
        k->rc = side_run(&k->side, &one);
        if (k->rc)
            break;
        if (k->n == k->cap) {
            k->cap = k->cap ? 2 * k->cap : 256;
            k->v = xgrow(k->v, k->cap * sizeof *k->v);
        }
        k->v[k->n++] = (struct stamp){start, one.v[0]};
    }
    k->end = ot_now();
    free(one.v);
    return NULL;
}

static int by_start(const void *a, const void *b)
{
    double x = ((const struct stamp *)a)->start, y = ((const struct stamp *)b)->start;
    return (x > y) - (x < y);
}

/* All runs in the order in which they began. */
static void merge_callers(struct caller *k, size_t n, struct series *t)
{
    size_t all = 0, at = 0;
    double first = INFINITY, last = 0;
    for (size_t i = 0; i < n; i++)
        all += k[i].n;
    struct stamp *v = xalloc((all + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        if (k[i].n)
            memcpy(v + at, k[i].v, k[i].n * sizeof *v);
        at += k[i].n;
        if (k[i].n)
            first = fmin(first, k[i].v[0].start);
        last = fmax(last, k[i].end);
    }
    qsort(v, all, sizeof *v, by_start);
    t->v = xgrow(t->v, (all + 1) * sizeof *t->v);
    for (size_t i = 0; i < all; i++)
        t->v[i] = v[i].seconds;
    t->n = t->cap = all;
    t->wall = all ? last - first : 0;
    free(v);
}

static int start_callers(struct bench *b, struct caller *k, size_t n, pthread_barrier_t *gate)
{
    size_t started = 0;
    for (; started < n; started++) {
        k[started].b = b;
        k[started].gate = gate;
        if (pthread_create(&k[started].thread, NULL, caller_main, &k[started]))
            break;
    }
    if (started < n) { /* those that run wait for the missing ones: there is no way on */
        fprintf(stderr, "onnxtool: cannot start %zu callers\n", n);
        exit(EXIT_MACHINE);
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(k[i].thread, NULL);
    for (size_t i = 0; i < n; i++)
        if (k[i].rc)
            return cmd_fail(b->app,
                            ot_fail(b->app->ctx, ot_exit_code(k[i].rc), "%s", ot_error(k[i].side.ctx)));
    return EXIT_DONE;
}

/* Each caller has a context, a session and threads of its own. */
static int measure_callers(struct bench *b, const struct config *c, struct side *main_side, struct result *r)
{
    size_t n = (size_t)b->o->streams;
    struct caller *k = xalloc(n * sizeof *k);
    pthread_barrier_t gate;
    int code = EXIT_DONE;
    pthread_barrier_init(&gate, NULL, (unsigned)n);
    k[0].side = *main_side;
    for (size_t i = 1; i < n && !code; i++) {
        k[i].side.ctx = ot_ctx_new();
        k[i].side.own_ctx = true;
        if (!k[i].side.ctx) {
            code = cmd_fail(b->app, ot_fail(b->app->ctx, EXIT_MACHINE, "out of memory"));
            break;
        }
        ot_set_max_memory(k[i].side.ctx, b->o->engine.max_memory);
        ot_set_timeout(k[i].side.ctx, b->o->engine.timeout);
        code = side_open(b, c, c->model, &k[i].side);
    }
    if (!code)
        code = start_callers(b, k, n, &gate);
    if (!code)
        merge_callers(k, n, &r->runs);
    for (size_t i = 0; i < n; i++)
        r->warmup += k[i].warmup;
    *main_side = k[0].side;
    for (size_t i = 1; i < n; i++)
        side_close(&k[i].side);
    for (size_t i = 0; i < n; i++)
        free(k[i].v);
    free(k);
    pthread_barrier_destroy(&gate);
    return code;
}

/* ---- one configuration ---- */

static int measure_steady(struct bench *b, const struct config *c, struct side *s, struct result *r)
{
    if (b->o->streams > 1)
        return measure_callers(b, c, s, r);
    int rc = warm_up(b, s, &r->warmup);
    if (rc)
        return cmd_fail(b->app, rc);
    if (b->o->vs || b->o->vs_level >= 0)
        return measure_pairs(b, c, s, r);
    rc = steady(b, s, &r->runs);
    return rc ? cmd_fail(b->app, rc) : EXIT_DONE;
}

/* Before a second opinion: what disturbed the first series may be over. */
enum { PAUSE_US = 500000 };

/* A regression is believed when a second series, measured afresh, says the same. */
static int judge_twice(struct bench *b, const struct config *c, struct side *s, struct result *r)
{
    int code = judge_baseline(b, r, &r->regressed);
    if (code || !r->regressed || bench_stopped)
        return code;
    struct result second = {.c = r->c};
    cmd_note(b->app, "slower than the baseline: measuring again");
    usleep(PAUSE_US);
    code = measure_steady(b, c, s, &second);
    if (!code)
        code = series_finish(b, &second.runs);
    if (!code)
        code = judge_baseline(b, &second, &second.regressed);
    r->again = true;
    if (!code && !second.regressed) {
        r->regressed = false;
        r->base = second.base;
    }
    series_free(&second.runs);
    series_free(&second.other);
    return code ? code : r->regressed ? EXIT_FINDING : EXIT_DONE;
}

int measure(struct bench *b, const struct config *c, struct result *r)
{
    struct side s = {0};
    ot_memory_forget_peak();
    int code = side_open(b, c, c->model, &s);
    r->load = s.load;
    r->first = s.first;
    if (!code)
        code = measure_steady(b, c, &s, r);
    if (!code)
        code = series_finish(b, &r->runs);
    if (!code && s.s) {
        r->peak = ot_memory_peak();
        ot_session_memory(s.s, &r->memory);
        code = judge_limits(b, r);
        code = cmd_worse(code, judge_twice(b, c, &s, r));
        add_warnings(b, r);
        show_result(b, r);
        if ((b->o->profile || b->o->trace) && code <= EXIT_FINDING && r->runs.n)
            code = cmd_worse(code, show_bench_profile(b, &s, r->runs.t.median));
    }
    side_close(&s);
    return code;
}
