/* onnxtool bench: where the time goes, and how near to what the machine can do. Measured in runs of their
 * own, after the timing: clocks around every node would be part of it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const double PROFILE_SECONDS = 1;
enum { MIN_PROFILED = 3, MAX_PROFILED = 500, TRACED = 5, SHOWN_ROWS = 25 };

/* Steps that are one row: of a node, an operator, an operator with the same shapes. */
struct row {
    const char *key;
    const char *name, *op, *kernel, *shape;
    size_t nodes;
    uint64_t calls;
    double seconds;
    double flops, bytes; /* in all calls; flops -1: not known */
};

enum by { BY_OPERATOR, BY_SHAPE, BY_NODE, NBY };

static const struct {
    const char *json, *title;
} views[NBY] = {
    {"by_operator", "by operator"},
    {"by_shape", "by operator and shape"},
    {"by_node", "by node"},
};

/* ---- gathering ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->key, ((const struct row *)b)->key);
}

static int by_seconds(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->seconds != y->seconds ? (x->seconds < y->seconds ? 1 : -1) : strcmp(x->key, y->key);
}

static struct row step_row(struct report *r, const ot_session *s, size_t i, enum by by)
{
    struct ot_step st;
    struct ot_work w;
    ot_session_step(s, i, &st);
    ot_session_work(s, i, &w);
    const char *op = rp_str(r, "%s", st.op);
    return (struct row){.key = by == BY_NODE    ? rp_str(r, "%08zu", i)
                               : by == BY_SHAPE ? rp_str(r, "%s %s", op, w.shape)
                                                : op,
                        .name = st.node,
                        .op = op,
                        .kernel = st.kernel,
                        .shape = w.shape,
                        .nodes = 1,
                        .calls = st.calls,
                        .seconds = st.seconds,
                        .flops = w.flops < 0 ? -1 : w.flops * (double)st.calls,
                        .bytes = w.bytes * (double)st.calls};
}

static void add_row(struct row *to, const struct row *from)
{
    to->nodes += from->nodes;
    to->calls += from->calls;
    to->seconds += from->seconds;
    to->flops = to->flops < 0 || from->flops < 0 ? -1 : to->flops + from->flops;
    to->bytes += from->bytes;
}

static struct row *gather(struct report *r, const ot_session *s, enum by by, size_t *count)
{
    size_t n = ot_session_nsteps(s), used = 0;
    struct row *rows = xalloc((n + 1) * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = step_row(r, s, i, by);
    qsort(rows, n, sizeof *rows, by_key);
    for (size_t i = 0; i < n; i++) {
        if (used && strcmp(rows[used - 1].key, rows[i].key) == 0)
            add_row(&rows[used - 1], &rows[i]);
        else
            rows[used++] = rows[i];
    }
    qsort(rows, used, sizeof *rows, by_seconds);
    *count = used;
    return rows;
}

/* Steps of the main graph: the bodies of If, Loop and Scan are inside the time of their nodes. */
static double whole_time(const ot_session *s)
{
    double all = 0;
    for (size_t i = 0; i < ot_session_nsteps(s); i++) {
        struct ot_step st;
        ot_session_step(s, i, &st);
        all += st.depth ? 0 : st.seconds;
    }
    return all;
}

/* ---- tables ---- */

/* What a row reaches of the nearer of the two ceilings; NaN: none were measured. */
static double of_ceiling(const struct bench *b, const struct row *w)
{
    const struct ot_ceilings *c = &b->ceilings;
    if (!(c->flops > 0) || !(w->seconds > 0))
        return NAN;
    double f = w->flops > 0 ? w->flops / w->seconds / c->flops : 0;
    return fmax(f, c->bytes > 0 ? w->bytes / w->seconds / c->bytes : 0);
}

static void text_cells(struct table *t, const struct row *w, enum by by)
{
    if (by == BY_NODE) {
        table_cell(t, "%s", w->name);
        table_cell(t, "%s", w->op);
        table_cell(t, "%s", w->kernel);
    } else {
        table_cell(t, "%s", w->op);
        table_cell(t, "%s", by == BY_SHAPE ? w->shape : "");
        table_int(t, (int64_t)w->nodes);
    }
}

static void rate_cells(struct bench *b, struct table *t, const struct row *w, double all, double runs)
{
    double share = of_ceiling(b, w);
    table_cell(t, "%s", ms_text(b->app->report, w->seconds / runs));
    table_cell(t, "%.1f%%", all > 0 ? 100 * w->seconds / all : 0);
    if (w->flops >= 0 && w->seconds > 0)
        table_cell(t, "%.2f", w->flops / w->seconds / 1e9);
    else
        table_cell(t, "-");
    table_cell(t, "%.2f", w->seconds > 0 ? w->bytes / w->seconds / 1e9 : 0);
    if (isnan(share))
        table_cell(t, "-");
    else
        table_cell(t, "%.0f%%", 100 * share);
}

static void json_row(struct bench *b, const struct row *w, enum by by, double all, double runs)
{
    struct report *r = b->app->report;
    double share = of_ceiling(b, w);
    js_obj(r, NULL);
    if (by == BY_NODE) {
        js_str(r, "node", w->name);
        js_str(r, "kernel", w->kernel);
    }
    js_str(r, "operator", w->op);
    if (by != BY_OPERATOR)
        js_str(r, "shape", w->shape);
    js_uint(r, "nodes", w->nodes);
    js_num(r, "calls_per_run", (double)w->calls / runs);
    js_num(r, "time_ms", 1e3 * w->seconds / runs);
    js_num(r, "share", all > 0 ? w->seconds / all : 0);
    if (w->flops >= 0) {
        js_num(r, "flops_per_run", w->flops / runs);
        js_num(r, "gflops", w->seconds > 0 ? w->flops / w->seconds / 1e9 : 0);
    }
    js_num(r, "bytes_per_run", w->bytes / runs);
    js_num(r, "gb_per_s", w->seconds > 0 ? w->bytes / w->seconds / 1e9 : 0);
    if (!isnan(share))
        js_num(r, "of_ceiling", share);
    js_end(r);
}

static void show_view(struct bench *b, const ot_session *s, enum by by, double runs)
{
    static const char *const node_heads[] = {"node",  "operator", "kernel", "ms",
                                             "share", "GFLOP/s",  "GB/s",   "of ceiling"};
    static const char *const op_heads[] = {"operator", "shape",   "nodes", "ms",
                                           "share",    "GFLOP/s", "GB/s",  "of ceiling"};
    struct report *r = b->app->report;
    size_t n, most = b->app->verbose || rp_format(r) != FORMAT_TEXT ? SIZE_MAX : SHOWN_ROWS;
    double all = whole_time(s);
    struct row *rows = gather(r, s, by, &n);
    struct table *t =
        table_new(r, by == BY_NODE ? "lllrrrrr" : "llrrrrrr", by == BY_NODE ? node_heads : op_heads);
    rp_text(r, "\n");
    rp_title(r, "%s", views[by].title);
    js_arr(r, views[by].json);
    for (size_t i = 0; i < n; i++) {
        if (i < most) {
            text_cells(t, &rows[i], by);
            rate_cells(b, t, &rows[i], all, runs);
        }
        json_row(b, &rows[i], by, all, runs);
    }
    js_end(r);
    table_end(t);
    if (rp_format(r) == FORMAT_CSV || rp_format(r) == FORMAT_MARKDOWN)
        fputc('\n', rp_file(r)); /* several tables in one file */
    if (n > most)
        rp_text(r, "  ... %zu more (-v shows them)\n", n - most);
    free(rows);
}

/* ---- trace ---- */

/* A run in the trace: the steps of the main graph end to end, as they ran. */
static void trace_run(struct report *f, const ot_session *s, double start, double seconds)
{
    double at = start;
    js_obj(f, NULL);
    js_str(f, "name", "run");
    js_str(f, "ph", "X");
    js_num(f, "ts", start * 1e6);
    js_num(f, "dur", seconds * 1e6);
    js_int(f, "pid", 1);
    js_int(f, "tid", 1);
    js_end(f);
    for (size_t i = 0; i < ot_session_nsteps(s); i++) {
        struct ot_step st;
        struct ot_work w;
        ot_session_step(s, i, &st);
        ot_session_work(s, i, &w);
        if (st.depth || !st.calls)
            continue;
        js_obj(f, NULL);
        js_str(f, "name", *st.node ? st.node : st.op);
        js_str(f, "cat", st.op);
        js_str(f, "ph", "X");
        js_num(f, "ts", at * 1e6);
        js_num(f, "dur", st.seconds * 1e6);
        js_int(f, "pid", 1);
        js_int(f, "tid", 1);
        js_obj(f, "args");
        js_str(f, "kernel", st.kernel);
        js_str(f, "shape", w.shape);
        js_end(f);
        js_end(f);
        at += st.seconds;
    }
}

static int write_bench_trace(struct bench *b, struct side *s)
{
    const char *path = b->o->trace;
    FILE *out = fopen(path, "we");
    if (!out)
        return cmd_fail(b->app, ot_fail(b->app->ctx, EXIT_MACHINE, "%s: %s", path, strerror(errno)));
    struct report *f = report_new(out, FORMAT_JSON, false, "trace");
    double t0 = ot_now();
    int rc = OT_OK;
    js_arr(f, "traceEvents");
    for (int i = 0; i < TRACED && !rc; i++) {
        ot_session_profile(s->s, true);
        double start = ot_now() - t0;
        rc = side_run(s, NULL);
        if (!rc)
            trace_run(f, s->s, start, ot_now() - t0 - start);
    }
    js_end(f);
    bool ok = report_end(f, EXIT_DONE);
    ot_session_profile(s->s, false);
    if (fclose(out) || !ok)
        return cmd_fail(b->app, ot_fail(b->app->ctx, EXIT_MACHINE, "%s: cannot be written", path));
    return rc ? cmd_fail(b->app, rc) : EXIT_DONE;
}

/* ---- all of it ---- */

static int profile_runs(struct side *s, size_t n)
{
    int rc = OT_OK;
    ot_session_profile(s->s, true);
    for (size_t i = 0; i < n && !rc; i++)
        rc = side_run(s, NULL);
    return rc;
}

static int show_profile_views(struct bench *b, struct side *s, double seconds_a_run)
{
    struct report *r = b->app->report;
    double want = seconds_a_run > 0 ? PROFILE_SECONDS / seconds_a_run : MAX_PROFILED;
    size_t n = want < MIN_PROFILED ? MIN_PROFILED : want > MAX_PROFILED ? MAX_PROFILED : (size_t)want;
    int rc = profile_runs(s, n);
    if (rc)
        return cmd_fail(b->app, rc);
    js_obj(r, "profile");
    js_uint(r, "runs", n);
    for (int by = 0; by < NBY; by++)
        show_view(b, s->s, (enum by)by, (double)n);
    js_end(r);
    ot_session_profile(s->s, false);
    return EXIT_DONE;
}

int show_bench_profile(struct bench *b, struct side *s, double seconds_a_run)
{
    int rc = ot_session_note_work(b->app->ctx, s->s, s->sample[0]);
    if (!rc)
        rc = side_run(s, NULL); /* the memory plan of runs without a hook is back */
    if (rc)
        return cmd_fail(b->app, rc);
    int code = EXIT_DONE;
    if (b->o->profile)
        code = show_profile_views(b, s, seconds_a_run);
    return b->o->trace && !code ? write_bench_trace(b, s) : code;
}
