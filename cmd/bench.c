/* onnxtool bench: how fast a model runs here, over the points of a sweep. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct bench_opts, field)

static const char *const levels[] = {"none", "basic", "all", NULL};

static const struct opt time_rows[] = {
    {"warmup", 0, OPT_INT, AT(warmup), .arg = "N", .help = "runs before the measuring"},
    {"warmup-time", 0, OPT_NUMBER, AT(warmup_time), .arg = "SECONDS",
     .help = "time of runs before the measuring (0.3)", .hi = 1e6,
     .more = "With --warmup both are minimums; --warmup alone is exactly so many runs."},
    {"runs", 0, OPT_INT, AT(runs), .arg = "N", .help = "measured runs", .lo = 1, .hi = 1e9},
    {"time", 0, OPT_NUMBER, AT(time), .arg = "SECONDS", .help = "time of measured runs (2)", .hi = 1e6,
     .more =
         "At least ten runs are made all the same. With --runs both are minimums; --runs alone is exactly "
         "so many."},
    {"samples", 0, OPT_INT, AT(samples), .arg = "N", .help = "made-up inputs to take in turn (1)", .lo = 1,
     .hi = 64},
    {"streams", 0, OPT_INT, AT(streams), .arg = "N", .help = "callers at the same time (1)", .lo = 1,
     .hi = 256, .more = "Each has a session, threads and memory of its own."},
    {"percentiles", 0, OPT_COMMAS, AT(percentiles), .arg = "P[,...]",
     .help = "percentiles to show (50,90,95,99)"},
    {0},
};
static const struct opt_group group_time = {"Measuring", time_rows};

static const struct opt sweep_rows[] = {
    {"optimize", 'O', OPT_COMMAS, AT(levels), .arg = "none|basic|all[,...]",
     .help = "rewrite the graph before it runs (all)",
     .more =
         "Several values here, in --threads, --dim, --shape (SYMBOL=1,4,8) or several --provider options are "
         "a sweep: every combination is measured."},
    {"threads", 0, OPT_COMMAS, AT(threads), .arg = "N[,...]",
     .help = "threads; 0, the default: the cores this process may use"},
    {"provider", 0, OPT_LIST, AT(providers), .arg = "NAME[,...]",
     .help = "who may run nodes, in order (cpu)"},
    {0},
};
static const struct opt_group group_sweep = {"Running", sweep_rows};

static const struct opt gate_rows[] = {
    {"vs", 0, OPT_STRING, AT(vs), .arg = "MODEL", .help = "measure in turns with another model",
     .more = "The verdict is about the ratio of the medians, with a 95% interval.", .complete = OPT_FILE},
    {"vs-optimize", 0, OPT_CHOICE, AT(vs_level), .help = "measure in turns with another level of -O",
     .choices = levels},
    {"save-baseline", 0, OPT_STRING, AT(save_baseline), .arg = "FILE", .help = "keep the times",
     .complete = OPT_FILE},
    {"baseline", 0, OPT_STRING, AT(baseline), .arg = "FILE", .help = "exit 1 when slower than these times",
     .more =
         "Only when the whole 95% interval of the ratio is beyond --max-regression, twice. Times of another "
         "machine are refused.",
     .complete = OPT_FILE},
    {"max-regression", 0, OPT_STRING, AT(max_regression), .arg = "N%",
     .help = "how much slower is no regression (5%)"},
    {"fail-above", 0, OPT_LIST, AT(fail_above), .arg = "WHAT=TIME", .help = "exit 1 above: p99=20ms",
     .more = "WHAT is a percentile, min, max, mean, median, load or first; TIME has us, ms or s behind it."},
    {0},
};
static const struct opt_group group_gate = {"Comparing and gating", gate_rows};

static const struct opt profile_rows[] = {
    {"profile", 0, OPT_FLAG, AT(profile),
     .help = "show where the time goes: by operator, operator and shape, node",
     .more =
         "From runs of their own, after the measured ones. GFLOP/s count two operations a "
         "multiply-accumulate, GB/s inputs and outputs once. The time of If, Loop and Scan contains that of "
         "the nodes inside them."},
    {"ceilings", 0, OPT_FLAG, AT(ceilings), .help = "measure what the machine can do, and show shares of it",
     .more =
         "Single precision multiply-adds and reading from memory, whichever a node comes nearer to. Above "
         "100% its data came from caches. Takes about half a second for each number of threads."},
    {"trace", 0, OPT_STRING, AT(trace), .arg = "FILE", .help = "write a Chrome trace of five runs",
     .complete = OPT_FILE},
    {0},
};
static const struct opt_group group_profile = {"Profile", profile_rows};

static const struct opt_use uses[] = {
    {&group_time, 0},
    {&group_input, AT(input)},
    {&group_shape, AT(input.sizes)},
    {&group_sweep, 0},
    {&group_limits, AT(engine)},
    {&group_gate, 0},
    {&group_profile, 0},
    {&group_model, AT(model)},
    {&group_report, AT(report)},
    {0},
};

static void defaults(void *opts)
{
    struct bench_opts *o = opts;
    engine_defaults(&o->engine);
    o->warmup = o->runs = -1;
    o->warmup_time = o->time = NAN;
    o->samples = o->streams = 1;
    o->vs_level = -1;
}

/* ---- percentiles ---- */

static int read_percentiles(struct bench *b)
{
    static const double usual[] = {50, 90, 95, 99};
    const struct opt_list *l = &b->o->percentiles;
    b->percentile = xalloc((l->n + 4) * sizeof *b->percentile);
    b->npercentiles = l->n ? l->n : 4;
    for (size_t i = 0; i < b->npercentiles; i++) {
        char *end = "";
        b->percentile[i] = l->n ? strtod(l->v[i], &end) : usual[i];
        if (l->n && (*end || end == l->v[i] || strspn(l->v[i], "0123456789.") != strlen(l->v[i]) ||
                     b->percentile[i] > 100))
            return cmd_usage(b->app, "--percentiles: '%s' is no number from 0 to 100", l->v[i]);
    }
    return EXIT_DONE;
}

/* ---- the sweep ---- */

enum axis_kind { AXIS_DIM, AXIS_SHAPE, AXIS_PROVIDER, AXIS_LEVEL, AXIS_THREADS };

/* One option with its values; a point of the sweep takes one of each. */
struct axis {
    enum axis_kind kind;
    struct opt_list values; /* as the option without the list has them: "batch=4" */
};

struct axes {
    struct axis *v;
    size_t n;
};

static struct axis *axis_new(struct axes *x, enum axis_kind kind)
{
    x->v = xgrow(x->v, (x->n + 1) * sizeof *x->v);
    x->v[x->n] = (struct axis){.kind = kind};
    return &x->v[x->n++];
}

/* Parts of text between commas; strings are the report's. */
static void split_commas(struct report *r, const char *head, size_t n, const char *text, struct opt_list *l)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        opt_list_add(l, rp_str(r, "%.*s%.*s", (int)n, head, (int)len, text));
        if (!text[len])
            return;
        text += len + 1;
    }
}

/* "batch=1,4" gives batch=1 and batch=4. What is not of that form is left to who reads it. */
static void add_assignments(struct report *r, struct axes *x, enum axis_kind kind, const struct opt_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const char *eq = strrchr(l->v[i], '=');
        size_t head = eq ? (size_t)(eq - l->v[i]) + 1 : 0;
        split_commas(r, l->v[i], head, l->v[i] + head, &axis_new(x, kind)->values);
    }
}

static void add_values(struct axes *x, enum axis_kind kind, const struct opt_list *l)
{
    if (!l->n)
        return;
    struct axis *a = axis_new(x, kind);
    for (size_t i = 0; i < l->n; i++)
        opt_list_add(&a->values, l->v[i]);
}

static int read_level(const char *s)
{
    for (int i = 0; levels[i]; i++)
        if (strcmp(s, levels[i]) == 0)
            return i;
    return -1;
}

static int check_lists(struct bench *b)
{
    const struct bench_opts *o = b->o;
    for (size_t i = 0; i < o->levels.n; i++)
        if (read_level(o->levels.v[i]) < 0)
            return cmd_usage(b->app, "--optimize: '%s' is none of none, basic, all", o->levels.v[i]);
    for (size_t i = 0; i < o->threads.n; i++) {
        const char *s = o->threads.v[i];
        if (strspn(s, "0123456789") != strlen(s) || strlen(s) > 4 || atoi(s) > 1024)
            return cmd_usage(b->app, "--threads: '%s' is no whole number from 0 to 1024", s);
    }
    return EXIT_DONE;
}

static struct axes make_axes(struct report *r, const struct bench_opts *o)
{
    struct axes x = {0};
    add_assignments(r, &x, AXIS_DIM, &o->input.sizes.dims);
    add_assignments(r, &x, AXIS_SHAPE, &o->input.sizes.shapes);
    add_values(&x, AXIS_PROVIDER, &o->providers);
    add_values(&x, AXIS_LEVEL, &o->levels);
    add_values(&x, AXIS_THREADS, &o->threads);
    return x;
}

static void free_axes(struct axes *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->v[i].values.v);
    free(x->v);
}

static const char *join(struct report *r, const char *text, const char *more)
{
    return rp_str(r, "%s%s%s", text, *text ? " " : "", more);
}

/* Takes value i of the axis. */
static void apply(struct bench *b, struct config *c, const struct axis *a, size_t i)
{
    struct report *r = b->app->report;
    const char *v = a->values.v[i], *said = v;
    switch (a->kind) {
    case AXIS_DIM:
        opt_list_add(&c->dims, v);
        break;
    case AXIS_SHAPE:
        opt_list_add(&c->shapes, v);
        break;
    case AXIS_PROVIDER:
        split_commas(r, "", 0, v, &c->providers);
        said = rp_str(r, "provider=%s", v);
        break;
    case AXIS_LEVEL:
        c->level = read_level(v);
        said = rp_str(r, "O=%s", v);
        break;
    case AXIS_THREADS:
        c->threads = atoi(v) ? atoi(v) : ot_cores();
        said = rp_str(r, "threads=%d", c->threads);
        break;
    }
    if (a->values.n > 1)
        c->label = join(r, c->label, rp_name(r, said));
}

/* Everything that a time depends on, in one spelling, whatever the command line left to its defaults. */
static const char *full_name(struct bench *b, const struct config *c)
{
    struct report *r = b->app->report;
    const char *slash = strrchr(c->model, '/'), *s = slash ? slash + 1 : c->model;
    for (size_t i = 0; i < c->dims.n; i++)
        s = join(r, s, c->dims.v[i]);
    for (size_t i = 0; i < c->shapes.n; i++)
        s = join(r, s, c->shapes.v[i]);
    for (size_t i = 0; i < c->providers.n; i++)
        s = join(r, s, c->providers.v[i]);
    return rp_str(r, "%s -O %s --threads %d --streams %lld%s%s", s, levels[c->level], c->threads,
                  (long long)b->o->streams, b->o->engine.cpu_mask ? " --cpu-mask " : "",
                  b->o->engine.cpu_mask ? b->o->engine.cpu_mask : "");
}

static struct config make_config(struct bench *b, const char *model, const struct axes *x, size_t point)
{
    struct config c = {.model = model, .threads = ot_cores(), .level = OT_OPT_ALL, .label = ""};
    size_t div = 1;
    for (size_t i = 0; i < x->n; i++)
        div *= x->v[i].values.n;
    for (size_t i = 0; i < x->n; i++) { /* the last axis turns fastest */
        div /= x->v[i].values.n;
        apply(b, &c, &x->v[i], point / div % x->v[i].values.n);
    }
    c.name = full_name(b, &c);
    return c;
}

enum { MAX_POINTS = 10000 };

static size_t count_points(const struct axes *x)
{
    size_t n = 1;
    for (size_t i = 0; i < x->n && n <= MAX_POINTS; i++)
        n *= x->v[i].values.n;
    return n;
}

/* ---- running it ---- */

static int measure_ceilings(struct bench *b, int threads)
{
    struct report *r = b->app->report;
    if (!b->o->ceilings)
        return EXIT_DONE;
    int rc = ot_ceilings(b->app->ctx, threads, b->o->engine.cpu_mask, &b->ceilings);
    if (rc)
        return cmd_fail(b->app, rc);
    js_obj(r, "ceilings");
    js_num(r, "gflops", b->ceilings.flops / 1e9);
    js_num(r, "gb_per_s", b->ceilings.bytes / 1e9);
    js_end(r);
    rp_text(r, "ceilings, %s: %.0f GFLOP/s, %.1f GB/s\n", b->ceilings.how, b->ceilings.flops / 1e9,
            b->ceilings.bytes / 1e9);
    return EXIT_DONE;
}

static int bench_point(struct bench *b, const struct config *c)
{
    b->results = xgrow(b->results, (b->nresults + 1) * sizeof *b->results);
    struct result *r = &b->results[b->nresults++];
    *r = (struct result){.c = *c};
    js_obj(b->app->report, NULL);
    js_str(b->app->report, "model", c->model);
    if (b->nresults > 1)
        rp_text(b->app->report, "\n");
    int code = measure_ceilings(b, c->threads);
    if (!code)
        code = measure(b, c, r);
    js_end(b->app->report);
    return code;
}

static int bench_models(struct bench *b)
{
    struct axes x = make_axes(b->app->report, b->o);
    size_t points = count_points(&x);
    int code = EXIT_DONE;
    if (points > MAX_POINTS) {
        free_axes(&x);
        return cmd_usage(b->app, "more than %d combinations", MAX_POINTS);
    }
    js_arr(b->app->report, "results");
    for (size_t m = 0; m < b->app->args.n; m++)
        for (size_t i = 0; i < points && !bench_stopped; i++) {
            struct config c = make_config(b, b->app->args.v[m], &x, i);
            code = cmd_worse(code, bench_point(b, &c));
        }
    js_end(b->app->report);
    free_axes(&x);
    return code;
}

/* The first Ctrl-C ends the measuring, the second the program. */
static void on_interrupt(int sig)
{
    bench_stopped = 1;
    signal(sig, SIG_DFL);
}

static int finish(struct bench *b, int code)
{
    enum format f = rp_format(b->app->report);
    if (f == FORMAT_CSV || f == FORMAT_MARKDOWN || (f == FORMAT_TEXT && b->nresults > 1))
        show_table(b);
    if (b->o->save_baseline && code <= EXIT_FINDING && !bench_stopped)
        code = cmd_worse(code, save_baseline(b));
    return bench_stopped ? 128 + SIGINT : code;
}

static void free_bench(struct bench *b)
{
    for (size_t i = 0; i < b->nresults; i++) {
        series_free(&b->results[i].runs);
        series_free(&b->results[i].other);
        free(b->results[i].check);
        free(b->results[i].warnings.v);
        free(b->results[i].c.dims.v);
        free(b->results[i].c.shapes.v);
        free(b->results[i].c.providers.v);
    }
    free(b->results);
    free(b->percentile);
    ot_baseline_free(b->baseline);
}

static int check_options(struct bench *b)
{
    const struct bench_opts *o = b->o;
    if (o->vs && o->vs_level >= 0)
        return cmd_usage(b->app, "--vs and --vs-optimize exclude each other");
    if ((o->vs || o->vs_level >= 0) && o->streams > 1)
        return cmd_usage(b->app, "--vs compares one caller with one caller: no --streams");
    int code = read_percentiles(b);
    if (!code)
        code = check_lists(b);
    return code ? code : read_gates(b);
}

static int run(struct app *app)
{
    struct bench b = {.app = app, .o = app->opts};
    int code = check_options(&b);
    if (!code) {
        engine_limits(app, &b.o->engine);
        code = cmd_expand_models(app, &app->args);
    }
    if (!code) {
        if (signal(SIGINT, on_interrupt) == SIG_IGN)
            signal(SIGINT, SIG_IGN);
        code = finish(&b, bench_models(&b));
    }
    free_bench(&b);
    return code;
}

static const char *const examples[] = {
    "onnxtool bench model.onnx",
    "two seconds of it, percentiles and memory",
    "onnxtool bench model.onnx --dim batch=1,4,8 --threads 1,2 --format markdown",
    "a table over batch sizes and threads",
    "onnxtool bench new.onnx --vs old.onnx --time 10",
    "is the new one slower? In turns, with an interval",
    "onnxtool bench model.onnx --baseline main.json --max-regression 5% --fail-above p99=20ms",
    "gate a release; main.json is from --save-baseline on the same machine",
    "onnxtool bench model.onnx --profile --ceilings",
    "where the time goes, and how near to what the machine can do",
    NULL,
};

const struct cmd cmd_bench = {
    .name = "bench",
    .args = "MODEL...",
    .summary = "measure how fast a model runs here",
    .about =
        "Loads a model, runs it until times are steady, and shows percentiles of the latency, throughput and "
        "memory. Times are those of this program's own engine on this machine, not of the runtime that the "
        "model may be deployed on.\n\n"
        "Percentiles lie on the line between the two nearest samples. There is a warning when samples are "
        "too few for a percentile (five are expected beyond it), when outliers show, or when times drift. "
        "Ratios are of medians, with a 95% interval from resampling with a fixed seed.\n\n"
        "Exit code 1 means that a limit of --fail-above was exceeded, or a regression against --baseline "
        "seen twice. Ctrl-C shows what has been measured.",
    .examples = examples,
    .uses = uses,
    .opts_size = sizeof(struct bench_opts),
    .defaults = defaults,
    .report_at = AT(report),
    .formats = 1 << FORMAT_TEXT | 1 << FORMAT_JSON | 1 << FORMAT_CSV | 1 << FORMAT_MARKDOWN,
    .min_args = 1,
    .run = run,
};
