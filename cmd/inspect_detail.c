/* The long lists of inspect: layers, weights, values, tensors. */
#include "inspect_show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- layers ---- */

static int by_cost(const void *pa, const void *pb)
{
    const struct ot_layer *a = pa, *b = pb;
    if (a->macs != b->macs)
        return a->macs < b->macs ? 1 : -1;
    return a->ops == b->ops ? 0 : a->ops < b->ops ? 1 : -1;
}

static const char *or_unknown(struct report *r, int64_t v)
{
    return v < 0 ? "?" : rp_str(r, "%lld", (long long)v);
}

static void js_layer(struct report *r, const struct ot_layer *l, double share)
{
    js_obj(r, NULL);
    js_str(r, "node", l->name);
    js_str(r, "operator", l->op);
    js_str(r, "output", l->first_output);
    js_str(r, "output_type", l->output);
    js_int(r, "depth", l->depth);
    if (l->macs >= 0)
        js_int(r, "macs", l->macs);
    js_num(r, "macs_share", share);
    if (l->ops >= 0)
        js_int(r, "other_operations", l->ops);
    js_int(r, "parameters", l->params);
    if (l->out_bytes >= 0)
        js_int(r, "output_bytes", l->out_bytes);
    js_end(r);
}

struct table *layers_table(struct report *r, bool model)
{
    static const char *const heads[] = {"model", "node",      "operator",   "MACs",
                                        "share", "other ops", "parameters", "output"};
    return table_new(r, model ? "lllrrrrl" : "llrrrrl", model ? heads : heads + 1);
}

void show_layers(struct app *app, const ot_inspection *in, const char *path, struct table *rows)
{
    const struct inspect_opts *o = app->opts;
    struct report *r = app->report;
    const struct ot_summary *s = ot_inspection_summary(in);
    size_t n = ot_inspection_nlayers(in);
    struct ot_layer *l = xalloc((n + 1) * sizeof *l);
    for (size_t i = 0; i < n; i++)
        ot_inspection_layer(in, i, &l[i]);
    if (n)
        qsort(l, n, sizeof *l, by_cost);
    if (s->sizes)
        rp_text(r, "at %s\n", s->sizes);
    struct table *t = rows ? rows : layers_table(r, false);
    js_str(r, "sizes", s->sizes);
    js_arr(r, "layers");
    for (size_t i = 0; i < n && (!o->limit || i < (size_t)o->limit); i++) {
        double share = s->macs && l[i].macs > 0 ? (double)l[i].macs / (double)s->macs : 0;
        if (rows)
            table_cell(t, "%s", path);
        table_cell(t, "%s", *l[i].name ? l[i].name : l[i].first_output);
        table_cell(t, "%s", l[i].op);
        table_cell(t, "%s", or_unknown(r, l[i].macs));
        table_cell(t, "%.1f%%", 100 * share);
        table_cell(t, "%s", or_unknown(r, l[i].ops));
        table_int(t, l[i].params);
        table_cell(t, "%s", l[i].output);
        js_layer(r, &l[i], share);
    }
    js_end(r);
    if (!rows)
        table_end(t);
    free(l);
}

/* ---- weights ---- */

struct table *initializers_table(struct report *r, bool model)
{
    static const char *const heads[] = {"model", "name", "type", "parameters", "bytes", "place", "used by"};
    return table_new(r, model ? "lllrrll" : "llrrll", model ? heads : heads + 1);
}

void show_initializers(struct app *app, const ot_inspection *in, const char *path, struct table *rows)
{
    const struct inspect_opts *o = app->opts;
    struct report *r = app->report;
    struct table *t = rows ? rows : initializers_table(r, false);
    js_arr(r, "initializers");
    int64_t shown = 0;
    for (size_t i = 0; i < ot_inspection_ninits(in) && (!o->limit || shown < o->limit); i++) {
        struct ot_initializer w;
        ot_inspection_init(in, i, &w);
        /* Axes, indices and the like: --graph shows them. */
        if (w.constant && w.params <= 1)
            continue;
        shown++;
        if (rows)
            table_cell(t, "%s", path);
        table_cell(t, "%s", w.name);
        table_cell(t, "%s", w.type);
        table_int(t, w.params);
        table_cell(t, "%llu", (unsigned long long)w.bytes);
        table_cell(t, "%s", w.location ? w.location : w.constant ? "Constant node" : "-");
        table_cell(t, "%s%s", w.user ? w.user : "nothing",
                   w.users > 1 ? rp_str(r, " and %zu more", w.users - 1) : "");
        js_obj(r, NULL);
        js_str(r, "name", w.name);
        js_str(r, "type", w.type);
        js_int(r, "parameters", w.params);
        js_uint(r, "size_bytes", w.bytes);
        js_bool(r, "constant_node", w.constant);
        js_str(r, "location", w.location);
        if (w.location)
            js_uint(r, "offset_bytes", w.offset);
        js_str(r, "used_by", w.user);
        js_uint(r, "uses", w.users);
        js_end(r);
    }
    js_end(r);
    if (!rows)
        table_end(t);
}

/* ---- values ---- */

struct table *values_table(struct report *r, bool model)
{
    static const char *const heads[] = {"model", "value", "type", "made by"};
    return table_new(r, model ? "llll" : "lll", model ? heads : heads + 1);
}

void show_values(struct app *app, const ot_inspection *in, const char *path, struct table *rows)
{
    struct report *r = app->report;
    size_t unknown = 0;
    struct table *t = rows ? rows : values_table(r, false);
    js_arr(r, "values");
    for (size_t i = 0; i < ot_inspection_nvalues(in); i++) {
        struct ot_value_row v;
        ot_inspection_value(in, i, &v);
        unknown += !v.known;
        if (rows)
            table_cell(t, "%s", path);
        table_cell(t, "%*s%s", rows ? 0 : 2 * v.depth, "", v.name);
        table_cell(t, "%s", v.type);
        table_cell(t, "%s", v.made_by ? v.made_by : v.kind);
        js_obj(r, NULL);
        js_str(r, "name", v.name);
        js_str(r, "type", v.type);
        js_str(r, "kind", v.kind);
        js_str(r, "made_by", v.made_by);
        js_int(r, "depth", v.depth);
        js_end(r);
    }
    js_end(r);
    js_uint(r, "values_unknown", unknown);
    if (!rows)
        table_end(t);
    if (unknown)
        cmd_note(app, "%zu values have no known type", unknown);
}

/* ---- one tensor ---- */

enum { BINS = 16, BAR = 40, SHOWN_VALUES = 10 };

static void histogram(struct report *r, const ot_tensor *t, const struct ot_stats *st)
{
    int64_t bin[BINS] = {0}, most = 0;
    double width = (st->max - st->min) / BINS;
    if (!(width > 0) || !isfinite(width))
        return;
    for (int64_t i = 0; i < st->count; i++) {
        double v = ot_tensor_f64(t, i);
        int k = isfinite(v) ? (int)((v - st->min) / width) : -1;
        if (k >= 0)
            bin[k < BINS ? k : BINS - 1]++;
    }
    for (int k = 0; k < BINS; k++)
        most = bin[k] > most ? bin[k] : most;
    js_obj(r, "histogram");
    js_num(r, "low", st->min);
    js_num(r, "high", st->max);
    js_arr(r, "counts");
    for (int k = 0; k < BINS; k++)
        js_int(r, NULL, bin[k]);
    js_end(r);
    js_end(r);
    for (int k = 0; k < BINS; k++) {
        int len = (int)((double)bin[k] / (double)most * BAR + 0.5);
        char bar[BAR + 1];
        memset(bar, '#', sizeof bar);
        rp_row(r, rp_str(r, "%12s", rp_num(r, st->min + k * width, 4)), "%-*.*s %lld", BAR, len, bar,
               (long long)bin[k]);
    }
}

/* Element i as text: integers whole, floats as short as they are exact. */
static const char *element(struct report *r, const ot_tensor *t, int64_t i)
{
    size_t n;
    const char *s = ot_tensor_string(t, i, &n), *type = ot_tensor_dtype_name(t);
    if (s)
        return rp_name(r, rp_str(r, "'%.*s'", (int)(n < 200 ? n : 200), s));
    if (strcmp(type, "uint64") == 0)
        return rp_str(r, "%llu", (unsigned long long)ot_tensor_i64(t, i));
    if (strstr(type, "int") || strcmp(type, "bool") == 0)
        return rp_str(r, "%lld", (long long)ot_tensor_i64(t, i));
    return rp_num(r, ot_tensor_f64(t, i), strcmp(type, "double") == 0 ? 17 : 9);
}

static void js_element(struct report *r, const ot_tensor *t, int64_t i)
{
    size_t n;
    const char *s = ot_tensor_string(t, i, &n), *type = ot_tensor_dtype_name(t);
    if (s)
        js_strn(r, NULL, s, n);
    else if (strcmp(type, "bool") == 0)
        js_bool(r, NULL, ot_tensor_i64(t, i) != 0);
    else if (strcmp(type, "uint64") == 0)
        js_uint(r, NULL, (uint64_t)ot_tensor_i64(t, i));
    else if (strstr(type, "int"))
        js_int(r, NULL, ot_tensor_i64(t, i));
    else
        js_num(r, NULL, ot_tensor_f64(t, i));
}

static void first_values(struct report *r, const ot_tensor *t, int64_t most)
{
    int64_t n = ot_tensor_count(t), show = n < most ? n : most;
    js_arr(r, "values");
    for (int64_t i = 0; i < show; i++)
        js_element(r, t, i);
    js_end(r);
    if (rp_json(r) || !show)
        return;
    rp_text(r, "  %-14s", "values");
    for (int64_t i = 0; i < show; i++)
        rp_text(r, " %s", element(r, t, i));
    rp_text(r, "%s\n", show < n ? " ..." : "");
}

static void statistics(struct report *r, const ot_tensor *t)
{
    struct ot_stats st;
    if (!ot_tensor_stats(t, &st) || !st.count)
        return;
    rp_row(r, "range", "%s to %s, mean %s, sd %s", rp_num(r, st.min, 6), rp_num(r, st.max, 6),
           rp_num(r, st.mean, 6), rp_num(r, st.sd, 6));
    rp_row(r, "zeros", "%s of %s", rp_digits(r, st.zeros), rp_digits(r, st.count));
    if (st.nan || st.pos_inf || st.neg_inf)
        rp_row(r, "not finite", "%s",
               rp_verdict(r, false,
                          rp_str(r, "%lld NaN, %lld Inf, %lld -Inf", (long long)st.nan, (long long)st.pos_inf,
                                 (long long)st.neg_inf)));
    js_int(r, "count", st.count);
    js_num(r, "min", st.min);
    js_num(r, "max", st.max);
    js_num(r, "mean", st.mean);
    js_num(r, "sd", st.sd);
    js_int(r, "zeros", st.zeros);
    js_int(r, "nan", st.nan);
    js_int(r, "infinities", st.pos_inf + st.neg_inf);
    histogram(r, t, &st);
}

static int show_tensor(struct app *app, ot_inspection *in, size_t k, const struct ot_initializer *w)
{
    const struct inspect_opts *o = app->opts;
    struct report *r = app->report;
    ot_tensor *t;
    int rc = ot_inspection_tensor(app->ctx, in, k, &t);
    if (rc)
        return cmd_fail(app, rc);
    rp_title(r, "%s", rp_name(r, w->name));
    rp_row(r, "type", "%s, %s%s%s", w->type, rp_bytes(r, w->bytes), w->location ? ", in " : "",
           rp_name(r, w->location));
    rp_row(r, "used by", "%s%s", w->user ? rp_name(r, w->user) : "nothing",
           w->users > 1 ? rp_str(r, " and %zu more", w->users - 1) : "");
    js_obj(r, NULL);
    js_str(r, "name", w->name);
    js_str(r, "type", w->type);
    js_str(r, "used_by", w->user);
    statistics(r, t);
    first_values(r, t, o->values < 0 ? SHOWN_VALUES : o->values);
    js_end(r);
    ot_tensor_free(t);
    return EXIT_DONE;
}

static int show_glob(struct app *app, ot_inspection *in, const char *glob)
{
    size_t found = 0;
    int code = EXIT_DONE;
    for (size_t k = 0; k < ot_inspection_ninits(in); k++) {
        struct ot_initializer w;
        ot_inspection_init(in, k, &w);
        if (!ot_glob(glob, w.name))
            continue;
        found++;
        code = cmd_worse(code, show_tensor(app, in, k, &w));
    }
    if (found)
        return code;
    const char *near = ot_inspection_nearest_init(in, glob);
    if (near)
        return cmd_usage(app, "--tensor: no weight matches '%s'; did you mean '%s'?", glob, near);
    return cmd_usage(app, "--tensor: no weight matches '%s'", glob);
}

int show_tensors(struct app *app, ot_inspection *in)
{
    const struct inspect_opts *o = app->opts;
    int code = EXIT_DONE;
    js_arr(app->report, "tensors");
    for (size_t i = 0; i < o->tensors.n; i++)
        code = cmd_worse(code, show_glob(app, in, o->tensors.v[i]));
    js_end(app->report);
    return code;
}
