/* onnxtool bench: limits, and the comparison with a saved baseline. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

/* ---- limits: p99=20ms ---- */

/* Seconds of "20ms", "1.5s", "800us". False: no such thing. */
static bool read_seconds(const char *text, double *out)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
    char *end;
    double v = strtod(text, &end);
    if (end == text || text[strspn(text, "0123456789.munse")] || !(v >= 0))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0) {
            *out = v * units[i].seconds;
            return true;
        }
    return false;
}

/* What a limit is about: "p99", "mean", ... NaN for a name that there is not. */
static double value_of(const struct result *r, const char *what, size_t len)
{
    static const char *const names[] = {"min", "max", "mean", "median", "load", "first"};
    const double values[] = {r->runs.t.min,    r->runs.t.max, r->runs.t.mean,
                             r->runs.t.median, r->load,       r->first};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncmp(names[i], what, len) == 0)
            return values[i];
    if (what[0] != 'p' || len < 2)
        return NAN;
    char *end;
    double p = strtod(what + 1, &end);
    if ((size_t)(end - what) != len || strspn(what + 1, "0123456789.") != len - 1 || p > 100)
        return NAN;
    return r->runs.n ? ot_percentile(r->runs.sorted, r->runs.n, p) : 0;
}

static int read_limit(struct bench *b, const char *text)
{
    static const struct result zero;
    const char *eq = strchr(text, '=');
    double limit;
    if (!eq || isnan(value_of(&zero, text, (size_t)(eq - text))) || !read_seconds(eq + 1, &limit))
        return cmd_usage(b->app,
                         "--fail-above '%s': expected WHAT=TIME, with WHAT one of p50, p99.9, ..., min, max, "
                         "mean, median, load, first, and TIME such as 20ms, 800us, 1.5s",
                         text);
    return EXIT_DONE;
}

static int read_percent(struct bench *b)
{
    const char *text = b->o->max_regression;
    char *end;
    if (!text)
        return EXIT_DONE;
    double v = strtod(text, &end);
    if (end == text || strcmp(end, "%") || strspn(text, "0123456789.") != strlen(text) - 1)
        return cmd_usage(b->app, "--max-regression '%s': expected a share such as 5%%", text);
    b->max_regression = v / 100;
    return b->o->baseline ? EXIT_DONE : cmd_usage(b->app, "--max-regression needs --baseline FILE");
}

/* What must be the same for times to be comparable. */
static const char *machine_text(struct report *r)
{
    return rp_str(r, "%s; %s; %d cores", ot_machine(), ot_isa(), ot_cores());
}

static int read_baseline(struct bench *b)
{
    if (!b->o->baseline)
        return EXIT_DONE;
    int rc = ot_baseline_read(b->app->ctx, b->o->baseline, &b->baseline);
    if (rc)
        return cmd_fail(b->app, rc);
    const char *here = machine_text(b->app->report), *there = ot_baseline_machine(b->baseline);
    if (strcmp(here, there) == 0)
        return EXIT_DONE;
    return cmd_fail(b->app,
                    ot_fail(b->app->ctx, EXIT_INPUT, "%s was measured on another machine (%s), this is %s",
                            b->o->baseline, rp_name(b->app->report, there), here));
}

int read_gates(struct bench *b)
{
    b->max_regression = 0.05;
    for (size_t i = 0; i < b->o->fail_above.n; i++) {
        int code = read_limit(b, b->o->fail_above.v[i]);
        if (code)
            return code;
    }
    int code = read_percent(b);
    return code ? code : read_baseline(b);
}

int judge_limits(struct bench *b, struct result *r)
{
    int code = EXIT_DONE;
    r->check = xalloc((b->o->fail_above.n + 1) * sizeof *r->check);
    for (size_t i = 0; i < b->o->fail_above.n; i++) {
        const char *text = b->o->fail_above.v[i];
        size_t len = strcspn(text, "=");
        struct check *k = &r->check[r->nchecks++];
        k->what = rp_str(b->app->report, "%.*s", (int)len, text);
        read_seconds(text + len + 1, &k->limit);
        k->value = value_of(r, text, len);
        k->failed = !(k->value <= k->limit);
        if (k->failed)
            code = EXIT_FINDING;
    }
    return code;
}

/* ---- baseline ---- */

int judge_baseline(struct bench *b, struct result *r, bool *regressed)
{
    size_t n;
    const double *v;
    *regressed = false;
    if (!b->baseline)
        return EXIT_DONE;
    v = ot_baseline_find(b->baseline, r->c.name, &n);
    if (!v)
        return cmd_fail(b->app, ot_fail(b->app->ctx, EXIT_INPUT, "%s has no result '%s'", b->o->baseline,
                                        rp_name(b->app->report, r->c.name)));
    int rc = ot_ratio(b->app->ctx, r->runs.v, r->runs.n, v, n, false, &r->base);
    if (rc)
        return cmd_fail(b->app, rc);
    *regressed = r->base.lo > 1 + b->max_regression;
    return EXIT_DONE;
}

/* A long series is thinned, evenly, so that the file stays small. */
enum { SAVED_SAMPLES = 1000 };

static void write_samples(struct report *f, const struct series *t)
{
    size_t n = t->n < SAVED_SAMPLES ? t->n : SAVED_SAMPLES;
    js_arr(f, "samples_ms");
    for (size_t i = 0; i < n; i++)
        js_num(f, NULL, 1e3 * t->v[i * t->n / n]);
    js_end(f);
}

static bool write_baseline(struct bench *b, FILE *out)
{
    struct report *f = report_new(out, FORMAT_JSON, false, "bench-baseline");
    js_str(f, "version", ot_version());
    js_str(f, "machine", machine_text(b->app->report));
    js_arr(f, "results");
    for (size_t i = 0; i < b->nresults; i++) {
        if (!b->results[i].runs.n)
            continue;
        js_obj(f, NULL);
        js_str(f, "name", b->results[i].c.name);
        js_num(f, "median_ms", 1e3 * b->results[i].runs.t.median);
        js_uint(f, "runs", b->results[i].runs.n);
        write_samples(f, &b->results[i].runs);
        js_end(f);
    }
    js_end(f);
    return report_end(f, EXIT_DONE);
}

/* Written aside and renamed: a bench that is interrupted leaves the old baseline. */
int save_baseline(struct bench *b)
{
    const char *path = b->o->save_baseline;
    const char *aside = rp_str(b->app->report, "%s.%ld.tmp", path, (long)getpid());
    FILE *f = fopen(aside, "we");
    if (!f)
        return cmd_fail(b->app, ot_fail(b->app->ctx, EXIT_MACHINE, "%s: %s", path, strerror(errno)));
    bool ok = write_baseline(b, f);
    ok = fclose(f) == 0 && ok;
    if (ok && rename(aside, path) == 0)
        return EXIT_DONE;
    int code = cmd_fail(b->app, ot_fail(b->app->ctx, EXIT_MACHINE, "%s: %s", path, strerror(errno)));
    unlink(aside);
    return code;
}
