/* onnxtool bench: the results as text, tables and JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

const char *ms_text(struct report *r, double seconds)
{
    double ms = seconds * 1e3;
    if (isnan(ms))
        return "-";
    return rp_str(r, "%.*f", ms < 1 ? 4 : ms < 10 ? 3 : ms < 100 ? 2 : 1, ms);
}

const char *percentile_name(struct report *r, double p)
{
    return rp_str(r, "p%.10g", p);
}

static double percentile_of(const struct series *t, double p)
{
    return ot_percentile(t->sorted, t->n, p);
}

static double rate_of(const struct series *t)
{
    return t->wall > 0 ? (double)t->n / t->wall : 0;
}

/* Of pairs only half of the time belongs to a side: the rate of one of them follows from its mean. */
static double throughput(const struct result *r)
{
    if (r->other.n)
        return r->runs.t.mean > 0 ? 1 / r->runs.t.mean : 0;
    return rate_of(&r->runs);
}

/* ---- warnings ---- */

static void warn(struct bench *b, struct result *r, const char *text)
{
    opt_list_add(&r->warnings, text);
    cmd_note(b->app, "warning: %s%s%s", r->c.label, *r->c.label ? ": " : "", text);
}

static void warn_percentiles(struct bench *b, struct result *r)
{
    struct report *rp = b->app->report;
    for (size_t i = b->npercentiles; i-- > 0;) {
        double p = b->percentile[i];
        if (r->runs.n >= ot_percentile_needs(p))
            continue;
        warn(b, r,
             rp_str(rp, "%zu runs are too few for %s, which needs %zu", r->runs.n, percentile_name(rp, p),
                    ot_percentile_needs(p)));
        return; /* the largest of them says it all */
    }
}

void add_warnings(struct bench *b, struct result *r)
{
    struct report *rp = b->app->report;
    const struct ot_timing *t = &r->runs.t;
    if (bench_stopped)
        warn(b, r, "interrupted: this is what there was");
    warn_percentiles(b, r);
    if (t->many_outliers)
        warn(b, r,
             rp_str(rp, "%zu of %zu runs are outliers: something else uses the machine", t->outliers, t->n));
    if (t->drifts)
        warn(b, r,
             rp_str(rp, "the last third of the runs took %.2f times as long as the first: not a steady state",
                    t->drift));
}

/* ---- verdicts ---- */

static const char *interval_text(struct report *r, double lo, double hi)
{
    return isinf(hi) ? "too few runs for an interval" : rp_str(r, "[%.3f, %.3f]", lo, hi);
}

/* "1.07x slower [1.05, 1.09]": time of what was measured over that of the reference. */
static const char *ratio_text(struct report *r, const struct ot_ratio *q)
{
    if (isinf(q->hi))
        return rp_str(r, "%.3fx the time, too few runs to tell", q->value);
    if (q->lo > 1)
        return rp_verdict(r, false, rp_str(r, "%.3fx slower %s", q->value, interval_text(r, q->lo, q->hi)));
    if (q->hi < 1)
        return rp_verdict(r, true,
                          rp_str(r, "%.3fx faster %s", 1 / q->value, interval_text(r, 1 / q->hi, 1 / q->lo)));
    return rp_str(r, "no difference seen at this noise: %.3fx the time %s", q->value,
                  interval_text(r, q->lo, q->hi));
}

static const char *ratio_word(const struct ot_ratio *q)
{
    return isinf(q->hi) ? "unknown" : q->lo > 1 ? "slower" : q->hi < 1 ? "faster" : "no difference";
}

static const char *other_name(struct bench *b)
{
    static const char *const levels[] = {"-O none", "-O basic", "-O all"};
    return b->o->vs ? rp_name(b->app->report, b->o->vs) : levels[b->o->vs_level];
}

/* ---- text ---- */

static const char *const level_names[] = {"none", "basic", "all"};

static const char *providers_text(struct report *r, const struct config *c)
{
    const char *s = c->providers.n ? c->providers.v[0] : "cpu";
    for (size_t i = 1; i < c->providers.n; i++)
        s = rp_str(r, "%s,%s", s, c->providers.v[i]);
    return s;
}

/* The times below were taken with this engine, not with the one that the model may be deployed on. */
static const char *engine_text(struct bench *b, const struct config *c)
{
    struct report *r = b->app->report;
    return rp_str(r, "onnxtool %s %s, kernels for %s, %d thread%s%s", ot_version(), providers_text(r, c),
                  b->o->engine.cpu_mask ? b->o->engine.cpu_mask : ot_isa(), c->threads,
                  c->threads == 1 ? "" : "s",
                  b->o->streams > 1 ? rp_str(r, ", %lld callers", (long long)b->o->streams) : "");
}

static const char *percentiles_text(struct bench *b, const struct series *t)
{
    struct report *r = b->app->report;
    const char *s = "";
    for (size_t i = 0; i < b->npercentiles; i++)
        s = rp_str(r, "%s%s%s %s", s, i ? "   " : "", percentile_name(r, b->percentile[i]),
                   ms_text(r, percentile_of(t, b->percentile[i])));
    return s;
}

static void text_series(struct bench *b, const char *key, const struct series *t)
{
    struct report *r = b->app->report;
    rp_row(r, key, "%s ms", percentiles_text(b, t));
    rp_row(r, "", "mean %s ms, sd %s (%.1f%%), min %s, max %s", ms_text(r, t->t.mean), ms_text(r, t->t.sd),
           100 * t->t.cv, ms_text(r, t->t.min), ms_text(r, t->t.max));
}

static void text_memory(struct bench *b, const struct result *r)
{
    struct report *rp = b->app->report;
    rp_row(rp, "memory", "%s resident at most; weights %s, packed %s, activations %s, scratch %s",
           r->peak ? rp_bytes(rp, r->peak) : "?", rp_bytes(rp, r->memory.weights),
           rp_bytes(rp, r->memory.packed), rp_bytes(rp, r->memory.block), rp_bytes(rp, r->memory.scratch));
}

static void text_gates(struct bench *b, const struct result *r)
{
    struct report *rp = b->app->report;
    if (r->vs.value > 0) {
        text_series(b, b->o->vs ? "the other" : other_name(b), &r->other);
        rp_row(rp, "verdict", "%s than %s", ratio_text(rp, &r->vs), other_name(b));
    }
    if (r->base.value > 0)
        rp_row(rp, "baseline", "%s%s", ratio_text(rp, &r->base),
               r->regressed ? rp_str(rp, "; beyond --max-regression %g%%, twice", 100 * b->max_regression)
               : r->again   ? "; beyond --max-regression only the first time"
                            : "");
    for (size_t i = 0; i < r->nchecks; i++)
        rp_row(
            rp, "limit", "%s",
            rp_verdict(rp, !r->check[i].failed,
                       rp_str(rp, "%s is %s ms, %s %s ms", r->check[i].what, ms_text(rp, r->check[i].value),
                              r->check[i].failed ? "above" : "within", ms_text(rp, r->check[i].limit))));
}

static void text_result(struct bench *b, const struct result *r)
{
    struct report *rp = b->app->report;
    rp_title(rp, "%s%s%s", rp_name(rp, r->c.model), *r->c.label ? "  " : "", r->c.label);
    rp_row(rp, "engine", "%s, -O %s", engine_text(b, &r->c), level_names[r->c.level]);
    rp_row(rp, "load", "%s ms", ms_text(rp, r->load));
    rp_row(rp, "first run", "%s ms", ms_text(rp, r->first));
    text_series(b, "steady state", &r->runs);
    rp_row(rp, "", "%zu runs in %.2f s, after %zu of warm-up", r->runs.n, r->runs.wall, r->warmup);
    rp_row(rp, "throughput", "%.2f runs a second", throughput(r));
    text_memory(b, r);
    text_gates(b, r);
}

/* ---- JSON ---- */

static void json_series(struct bench *b, const char *key, const struct series *t)
{
    struct report *r = b->app->report;
    js_obj(r, key);
    js_uint(r, "runs", t->n);
    js_num(r, "wall_s", t->wall);
    js_num(r, "min_ms", 1e3 * t->t.min);
    js_num(r, "mean_ms", 1e3 * t->t.mean);
    js_num(r, "sd_ms", 1e3 * t->t.sd);
    js_num(r, "cv", t->t.cv);
    js_num(r, "max_ms", 1e3 * t->t.max);
    js_uint(r, "outliers", t->t.outliers);
    js_num(r, "drift", t->t.drift);
    js_arr(r, "percentiles");
    for (size_t i = 0; i < b->npercentiles; i++) {
        js_obj(r, NULL);
        js_num(r, "percentile", b->percentile[i]);
        js_num(r, "latency_ms", 1e3 * percentile_of(t, b->percentile[i]));
        js_bool(r, "enough_runs", t->n >= ot_percentile_needs(b->percentile[i]));
        js_end(r);
    }
    js_end(r);
    js_arr(r, "samples_ms");
    for (size_t i = 0; i < t->n; i++)
        js_num(r, NULL, 1e3 * t->v[i]);
    js_end(r);
    js_end(r);
}

static void json_ratio(struct report *r, const char *key, const struct ot_ratio *q)
{
    js_obj(r, key);
    js_num(r, "ratio", q->value);
    js_num(r, "low", q->lo);
    js_num(r, "high", q->hi);
    js_str(r, "verdict", ratio_word(q));
}

static void json_engine(struct bench *b, const struct config *c)
{
    struct report *r = b->app->report;
    js_obj(r, "engine");
    js_str(r, "name", "onnxtool");
    js_str(r, "version", ot_version());
    js_str(r, "provider", providers_text(r, c));
    js_str(r, "kernels", b->o->engine.cpu_mask ? b->o->engine.cpu_mask : ot_isa());
    js_str(r, "processor", ot_machine());
    js_int(r, "threads", c->threads);
    js_str(r, "optimize", level_names[c->level]);
    js_int(r, "streams", b->o->streams);
    js_end(r);
}

static void json_memory(struct report *r, const struct result *x)
{
    js_obj(r, "memory");
    js_uint(r, "peak_resident_bytes", x->peak);
    js_uint(r, "weights_bytes", x->memory.weights);
    js_uint(r, "packed_bytes", x->memory.packed);
    js_uint(r, "activations_bytes", x->memory.block);
    js_uint(r, "scratch_bytes", x->memory.scratch);
    js_end(r);
}

static void json_gates(struct bench *b, const struct result *r)
{
    struct report *rp = b->app->report;
    if (r->vs.value > 0) {
        json_series(b, "other", &r->other);
        json_ratio(rp, "vs", &r->vs);
        js_str(rp, "than", b->o->vs ? b->o->vs : other_name(b));
        js_end(rp);
    }
    if (r->base.value > 0) {
        json_ratio(rp, "baseline", &r->base);
        js_num(rp, "max_regression", b->max_regression);
        js_bool(rp, "regressed", r->regressed);
        js_bool(rp, "measured_again", r->again);
        js_end(rp);
    }
    js_arr(rp, "limits");
    for (size_t i = 0; i < r->nchecks; i++) {
        js_obj(rp, NULL);
        js_str(rp, "what", r->check[i].what);
        js_num(rp, "value_ms", 1e3 * r->check[i].value);
        js_num(rp, "limit_ms", 1e3 * r->check[i].limit);
        js_bool(rp, "pass", !r->check[i].failed);
        js_end(rp);
    }
    js_end(rp);
}

static void json_result(struct bench *b, const struct result *r)
{
    struct report *rp = b->app->report;
    js_str(rp, "name", r->c.name);
    json_engine(b, &r->c);
    js_num(rp, "load_ms", 1e3 * r->load);
    js_num(rp, "first_ms", 1e3 * r->first);
    js_uint(rp, "warmup_runs", r->warmup);
    json_series(b, "latency", &r->runs);
    js_num(rp, "throughput_per_s", throughput(r));
    json_memory(rp, r);
    json_gates(b, r);
    js_arr(rp, "warnings");
    for (size_t i = 0; i < r->warnings.n; i++)
        js_str(rp, NULL, r->warnings.v[i]);
    js_end(rp);
}

void show_result(struct bench *b, struct result *r)
{
    if (!r->runs.n)
        return;
    text_result(b, r);
    json_result(b, r);
}

/* ---- the table over a sweep ---- */

static const char **table_heads(struct bench *b, char *align)
{
    static const char *const first[] = {"model", "configuration", "runs"};
    static const char *const last[] = {"mean ms", "sd ms",   "min ms",   "max ms",
                                       "per s",   "load ms", "first ms", "peak MiB"};
    const char **heads = xalloc((11 + b->npercentiles) * sizeof *heads);
    size_t n = 0;
    for (size_t i = 0; i < 3; i++)
        heads[n++] = first[i];
    for (size_t i = 0; i < b->npercentiles; i++)
        heads[n++] = rp_str(b->app->report, "%s ms", percentile_name(b->app->report, b->percentile[i]));
    for (size_t i = 0; i < 8; i++)
        heads[n++] = last[i];
    memset(align, 'r', n);
    align[0] = align[1] = 'l';
    align[n] = '\0';
    return heads;
}

static void table_row(struct bench *b, struct table *t, const struct result *r)
{
    struct report *rp = b->app->report;
    const struct ot_timing *m = &r->runs.t;
    table_cell(t, "%s", r->c.model);
    table_cell(t, "%s", r->c.label);
    table_int(t, (int64_t)r->runs.n);
    for (size_t i = 0; i < b->npercentiles; i++)
        table_cell(t, "%s", ms_text(rp, percentile_of(&r->runs, b->percentile[i])));
    table_cell(t, "%s", ms_text(rp, m->mean));
    table_cell(t, "%s", ms_text(rp, m->sd));
    table_cell(t, "%s", ms_text(rp, m->min));
    table_cell(t, "%s", ms_text(rp, m->max));
    table_cell(t, "%.2f", throughput(r));
    table_cell(t, "%s", ms_text(rp, r->load));
    table_cell(t, "%s", ms_text(rp, r->first));
    table_cell(t, "%.1f", (double)r->peak / (1 << 20));
}

void show_table(struct bench *b)
{
    char *align = xalloc(12 + b->npercentiles);
    const char **heads = table_heads(b, align);
    struct table *t = table_new(b->app->report, align, heads);
    for (size_t i = 0; i < b->nresults; i++)
        if (b->results[i].runs.n)
            table_row(b, t, &b->results[i]);
    rp_text(b->app->report, "\n");
    table_end(t);
    free(heads);
    free(align);
}
