/* onnxtool run: what came out. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum { FIRST_VALUES = 6, FIRST_ITEMS = 4 };

/* ---- outputs ---- */

static const char *value_text(struct report *r, const ot_tensor *t, int64_t i)
{
    size_t n;
    const char *s = ot_tensor_string(t, i, &n);
    const char *type = ot_tensor_dtype_name(t);
    if (s)
        return rp_str(r, "\"%s\"", rp_name(r, rp_str(r, "%.*s", (int)(n < 40 ? n : 40), s)));
    if (strstr(type, "int") || strcmp(type, "bool") == 0)
        return rp_str(r, "%lld", (long long)ot_tensor_i64(t, i));
    return rp_num(r, ot_tensor_f64(t, i), 6);
}

static void show_stats(struct report *r, const ot_tensor *t)
{
    struct ot_stats s;
    if (!ot_tensor_stats(t, &s) || !s.count)
        return;
    rp_row(r, "", "min %s  max %s  mean %s  sd %s", rp_num(r, s.min, 6), rp_num(r, s.max, 6),
           rp_num(r, s.mean, 6), rp_num(r, s.sd, 6));
    if (s.nan || s.pos_inf || s.neg_inf)
        rp_row(r, "", "%s",
               rp_verdict(r, false,
                          rp_str(r, "%lld NaN, %lld Inf, %lld -Inf of %lld", (long long)s.nan,
                                 (long long)s.pos_inf, (long long)s.neg_inf, (long long)s.count)));
}

static const char *first_values(struct report *r, const ot_tensor *t)
{
    int64_t n = ot_tensor_count(t);
    const char *line = "";
    for (int64_t i = 0; i < n && i < FIRST_VALUES; i++)
        line = rp_str(r, "%s%s%s", line, i ? "  " : "", value_text(r, t, i));
    return n > FIRST_VALUES ? rp_str(r, "%s  ...", line) : line;
}

static void show_first(struct report *r, const ot_tensor *t)
{
    if (ot_tensor_count(t))
        rp_row(r, "", "%s", first_values(r, t));
}

/* "no: 0.25  yes: 0.75" of a map, the type and first values of a tensor, the type of anything else. */
static const char *item_text(struct report *r, const ot_tensor *t)
{
    char type[200];
    const ot_tensor *keys = ot_tensor_keys(t);
    const char *line = "";
    ot_tensor_text(t, type, sizeof type);
    if (ot_tensor_kind(t) == OT_TENSOR)
        return rp_str(r, "%s  %s", type, first_values(r, t));
    if (!keys)
        return rp_str(r, "%s", type);
    for (size_t i = 0; i < ot_tensor_items(t) && i < FIRST_VALUES; i++)
        line = rp_str(r, "%s%s%s: %s", line, i ? "  " : "", value_text(r, keys, (int64_t)i),
                      first_values(r, ot_tensor_item(t, i)));
    return ot_tensor_items(t) > FIRST_VALUES ? rp_str(r, "%s  ...", line) : line;
}

/* Of a sequence or optional the items, of a map the pairs. */
static void show_items(struct report *r, const ot_tensor *t)
{
    size_t n = ot_tensor_items(t);
    if (ot_tensor_keys(t)) {
        rp_row(r, "", "%s", item_text(r, t));
        return;
    }
    rp_row(r, "", "%zu item%s", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n && i < FIRST_ITEMS; i++)
        rp_row(r, "", "%s", item_text(r, ot_tensor_item(t, i)));
    if (n > FIRST_ITEMS)
        rp_row(r, "", "...");
}

static void json_stats(struct report *r, const ot_tensor *t)
{
    struct ot_stats s;
    if (!ot_tensor_stats(t, &s))
        return;
    js_num(r, "min", s.min);
    js_num(r, "max", s.max);
    js_num(r, "mean", s.mean);
    js_num(r, "sd", s.sd);
    js_int(r, "nan", s.nan);
    js_int(r, "pos_inf", s.pos_inf);
    js_int(r, "neg_inf", s.neg_inf);
}

static void json_value(struct report *r, const char *key, const ot_tensor *t, int64_t i)
{
    size_t n;
    const char *s = ot_tensor_string(t, i, &n);
    const char *type = ot_tensor_dtype_name(t);
    if (s)
        js_strn(r, key, s, n);
    else if (strstr(type, "int"))
        js_int(r, key, ot_tensor_i64(t, i));
    else if (strcmp(type, "bool") == 0)
        js_bool(r, key, ot_tensor_i64(t, i) != 0);
    else
        js_num(r, key, ot_tensor_f64(t, i));
}

static void json_tensor(struct report *r, const ot_tensor *t);

/* Items nest as deep as types do, which the loader limits. */
static void json_type(struct report *r, const ot_tensor *t)
{
    char type[200];
    const ot_tensor *keys = ot_tensor_keys(t);
    js_str(r, "type", ot_tensor_text(t, type, sizeof type));
    if (ot_tensor_kind(t) == OT_TENSOR) {
        json_tensor(r, t);
        return;
    }
    js_uint(r, "items_count", ot_tensor_items(t));
    js_arr(r, "items");
    for (size_t i = 0; i < ot_tensor_items(t) && i < FIRST_VALUES; i++) {
        js_obj(r, NULL);
        if (keys)
            json_value(r, "key", keys, (int64_t)i);
        json_type(r, ot_tensor_item(t, i));
        js_end(r);
    }
    js_end(r);
}

static void json_tensor(struct report *r, const ot_tensor *t)
{
    js_arr(r, "dims");
    for (int i = 0; i < ot_tensor_rank(t); i++)
        js_int(r, NULL, ot_tensor_dims(t)[i]);
    js_end(r);
    json_stats(r, t);
    js_arr(r, "first_values");
    for (int64_t i = 0; i < ot_tensor_count(t) && i < FIRST_VALUES; i++)
        json_value(r, NULL, t, i);
    js_end(r);
}

/* ---- the largest elements ---- */

enum { SHOWN_ROWS = 8 };

static const char *label_of(const struct job *j, int64_t k)
{
    return (size_t)k < j->nlabels ? j->labels[k] : NULL;
}

static void show_top_row(struct job *j, const ot_tensor *t, int64_t row, int64_t width, int64_t rows)
{
    struct report *r = j->app->report;
    size_t k = (size_t)(j->o->top < width ? j->o->top : width);
    int64_t *top = xalloc((k + 1) * sizeof *top);
    size_t n = ot_tensor_top(t, row * width, width, k, top);
    js_arr(r, NULL);
    for (size_t i = 0; i < n; i++) {
        int64_t cls = top[i] - row * width;
        const char *label = label_of(j, cls);
        const char *key = i ? "" : rows > 1 ? rp_str(r, "row %lld", (long long)row) : "top";
        if (row < SHOWN_ROWS)
            rp_row(r, key, "%-6lld %-12s %s", (long long)cls, rp_num(r, ot_tensor_f64(t, top[i]), 6),
                   label ? rp_name(r, label) : "");
        js_obj(r, NULL);
        js_int(r, "index", cls);
        js_num(r, "value", ot_tensor_f64(t, top[i]));
        if (label)
            js_str(r, "label", label);
        js_end(r);
    }
    js_end(r);
    free(top);
}

static void show_top(struct job *j, const ot_tensor *t)
{
    int rank = ot_tensor_rank(t);
    int64_t width = rank ? ot_tensor_dims(t)[rank - 1] : 1, n = ot_tensor_count(t);
    if (ot_tensor_kind(t) != OT_TENSOR || !width || !n || ot_tensor_dtype(t) == ot_dtype_parse("string"))
        return;
    js_arr(j->app->report, "top");
    for (int64_t row = 0; row < n / width; row++)
        show_top_row(j, t, row, width, n / width);
    js_end(j->app->report);
    if (n / width > SHOWN_ROWS)
        rp_row(j->app->report, "", "... %lld more rows", (long long)(n / width - SHOWN_ROWS));
}

static void show_output(struct report *r, const char *name, const ot_tensor *t)
{
    char type[200];
    rp_row(r, rp_name(r, name), "%s", ot_tensor_text(t, type, sizeof type));
    if (ot_tensor_kind(t) != OT_TENSOR) {
        show_items(r, t);
        return;
    }
    show_stats(r, t);
    show_first(r, t);
}

void show_outputs(struct job *j)
{
    struct report *r = j->app->report;
    size_t width = 0;
    for (size_t i = 0; i < ot_session_noutputs(j->s); i++) {
        const char *name = ot_session_output_name(j->s, i);
        size_t n = strlen(rp_name(r, name));
        if (n > width && (j->app->verbose || !steps_state(j, name)))
            width = n;
    }
    rp_key_width(r, width);
    js_arr(r, "outputs");
    for (size_t i = 0; i < ot_session_noutputs(j->s); i++) {
        const ot_tensor *t = ot_session_output(j->s, i);
        const char *name = ot_session_output_name(j->s, i);
        if (j->app->verbose || !steps_state(j, name))
            show_output(r, name, t);
        js_obj(r, NULL);
        js_str(r, "name", name);
        json_type(r, t);
        if (j->o->top)
            show_top(j, t);
        js_end(r);
    }
    js_end(r);
}

int read_labels(struct job *j)
{
    if (!j->o->labels)
        return EXIT_DONE;
    FILE *f = fopen(j->o->labels, "r");
    if (!f)
        return cmd_fail(j->app, ot_fail(j->app->ctx, EXIT_INPUT, "%s: %s", j->o->labels, strerror(errno)));
    char *line = NULL;
    size_t cap = 0, room = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) >= 0) {
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = 0;
        if (j->nlabels == room)
            j->labels = xgrow(j->labels, (room = room ? room * 2 : 64) * sizeof *j->labels);
        j->labels[j->nlabels++] = xdup(line);
    }
    free(line);
    fclose(f);
    return EXIT_DONE;
}

/* ---- where nodes ran, and how long ---- */

void show_placement(struct job *j)
{
    static const char *const heads[] = {"node", "operator", "provider", "kernel", "declined by"};
    struct report *r = j->app->report;
    bool several = j->o->engine.providers.n > 1;
    struct table *t = table_new(r, several ? "lllll" : "llll", heads);
    js_arr(r, "placement");
    for (size_t i = 0; i < ot_session_nsteps(j->s); i++) {
        struct ot_step s;
        ot_session_step(j->s, i, &s);
        table_cell(t, "%*s%s", 2 * s.depth, "", s.node);
        table_cell(t, "%s", s.op);
        table_cell(t, "%s", s.provider);
        table_cell(t, "%s", s.kernel);
        if (several)
            table_cell(t, "%s", s.declined ? s.declined : "");
        js_obj(r, NULL);
        js_str(r, "node", s.node);
        js_str(r, "operator", s.op);
        js_str(r, "provider", s.provider);
        js_str(r, "kernel", s.kernel);
        js_str(r, "declined", s.declined);
        js_int(r, "depth", s.depth);
        js_end(r);
    }
    js_end(r);
    table_end(t);
}

/* Time by operator, or by node. */
struct cost {
    const char *op, *node; /* node NULL: all of the operator */
    double seconds;
    uint64_t calls;
};

static int by_seconds(const void *a, const void *b)
{
    double x = ((const struct cost *)a)->seconds, y = ((const struct cost *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static size_t gather_costs(const struct job *j, struct cost *c, bool by_op)
{
    size_t n = 0;
    for (size_t i = 0; i < ot_session_nsteps(j->s); i++) {
        struct ot_step s;
        ot_session_step(j->s, i, &s);
        size_t k = 0;
        while (by_op && k < n && strcmp(c[k].op, s.op))
            k++;
        if (!by_op || k == n) {
            k = n++;
            c[k].op = rp_str(j->app->report, "%s", s.op); /* the step's text is the next one's too */
            c[k].node = by_op ? NULL : s.node;
        }
        c[k].seconds += s.seconds;
        c[k].calls += s.calls;
    }
    qsort(c, n, sizeof *c, by_seconds);
    return n;
}

static void show_costs(struct job *j, bool by_op, const char *key)
{
    static const char *const heads[] = {"node", "operator", "ms", "share", "calls"};
    struct report *r = j->app->report;
    struct cost *c = xalloc((ot_session_nsteps(j->s) + 1) * sizeof *c);
    size_t n = gather_costs(j, c, by_op), most = by_op || j->app->verbose ? n : 20;
    double all = 0;
    for (size_t i = 0; i < n; i++)
        all += c[i].seconds;
    struct table *t = table_new(r, by_op ? "lrrr" : "llrrr", by_op ? heads + 1 : heads);
    js_arr(r, key);
    for (size_t i = 0; i < n; i++) {
        if (i < most) {
            if (!by_op)
                table_cell(t, "%s", c[i].node);
            table_cell(t, "%s", c[i].op);
            table_cell(t, "%.3f", c[i].seconds * 1e3);
            table_cell(t, "%.1f%%", all > 0 ? 100 * c[i].seconds / all : 0);
            table_int(t, (int64_t)c[i].calls);
        }
        js_obj(r, NULL);
        if (!by_op)
            js_str(r, "node", c[i].node);
        js_str(r, "operator", c[i].op);
        js_num(r, "time_ms", c[i].seconds * 1e3);
        js_uint(r, "calls", c[i].calls);
        js_end(r);
    }
    js_end(r);
    table_end(t);
    free(c);
}

void show_profile(struct job *j)
{
    /* sample: how many were begun. */
    rp_text(j->app->report, "\ntime in %zu run%s, the first, a cold one, included\n", j->sample,
            j->sample == 1 ? "" : "s");
    show_costs(j, true, "profile_by_operator");
    rp_text(j->app->report, "\n");
    show_costs(j, false, "profile_by_node");
}

int write_trace(struct job *j)
{
    FILE *f = fopen(j->o->trace, "w");
    if (!f)
        return cmd_fail(j->app, ot_fail(j->app->ctx, EXIT_MACHINE, "%s: %s", j->o->trace, strerror(errno)));
    struct report *r = report_new(f, FORMAT_JSON, false, "trace");
    double start = j->nevents ? j->events[0].start : 0;
    js_arr(r, "traceEvents");
    for (size_t i = 0; i < j->nevents; i++) {
        const struct event *e = &j->events[i];
        js_obj(r, NULL);
        js_str(r, "name", *e->name ? e->name : e->op);
        js_str(r, "cat", e->op);
        js_str(r, "ph", "X");
        js_num(r, "ts", (e->start - start) * 1e6);
        js_num(r, "dur", e->seconds * 1e6);
        js_int(r, "pid", 1);
        js_int(r, "tid", 1);
        js_end(r);
    }
    js_end(r);
    bool ok = report_end(r, EXIT_DONE);
    if (fclose(f) || !ok)
        return cmd_fail(j->app, ot_fail(j->app->ctx, EXIT_MACHINE, "%s: cannot be written", j->o->trace));
    return EXIT_DONE;
}
