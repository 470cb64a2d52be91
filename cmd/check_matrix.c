/* check-opset --matrix: releases down, models across, the worst release first. */
#include "check_opset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cell {
    enum ot_verdict_kind kind;
    double share;
    size_t fallback;
    const char *reason;
};

struct line {
    const char *target;
    size_t order; /* as the tables have them, newest first */
    enum ot_verdict_kind worst;
    struct cell *cells;
};

static const char *cell_text(struct report *r, const struct cell *c)
{
    static const char *const short_names[] = {"runs", "unknown", "fallback", "fails"};
    if (c->kind != OT_FALLBACK)
        return short_names[c->kind];
    return isnan(c->share) ? rp_str(r, "fallback, %zu nodes", c->fallback)
                           : rp_str(r, "fallback %.3g%%", 100 * c->share);
}

static int fill_line(struct check_run *run, const struct checked *c, size_t n, struct line *l)
{
    l->cells = xalloc(n * sizeof *l->cells);
    for (size_t i = 0; i < n; i++) {
        struct ot_verdict_summary s;
        ot_verdict *v;
        int rc = ot_fit_check(run->app->ctx, c[i].fit, run->facts, l->target, run->providers, false, &v);
        if (rc)
            return cmd_fail(run->app, rc);
        ot_verdict_summary(v, &s);
        l->cells[i] = (struct cell){s.kind, s.share, s.fallback, rp_str(run->app->report, "%s", s.reason)};
        l->worst = s.kind > l->worst ? s.kind : l->worst;
        ot_verdict_free(v);
    }
    return EXIT_DONE;
}

static int worst_first(const void *pa, const void *pb)
{
    const struct line *a = pa, *b = pb;
    if (a->worst != b->worst)
        return a->worst > b->worst ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static void json_line(struct report *r, const struct line *l, const struct checked *c, size_t n)
{
    static const char *const names[] = {"runs", "unknown", "runs with fallback", "fails to load"};
    js_obj(r, NULL);
    js_str(r, "target", l->target);
    js_str(r, "worst", names[l->worst]);
    js_arr(r, "models");
    for (size_t i = 0; i < n; i++) {
        js_obj(r, NULL);
        js_str(r, "model", c[i].path);
        js_str(r, "verdict", names[l->cells[i].kind]);
        js_uint(r, "fallback_nodes", l->cells[i].fallback);
        js_num(r, "flops_share", l->cells[i].share);
        js_str(r, "reason", l->cells[i].reason);
        js_end(r);
    }
    js_end(r);
    js_end(r);
}

static void show_lines(struct check_run *run, const struct line *lines, size_t nlines,
                       const struct checked *c, size_t n)
{
    struct report *r = run->app->report;
    const char **heads = xalloc((n + 1) * sizeof *heads);
    char *align = xalloc(n + 2);
    heads[0] = "release";
    for (size_t i = 0; i < n; i++)
        heads[i + 1] = rp_name(r, c[i].path);
    memset(align, 'l', n + 1);
    struct table *t = table_new(r, align, heads);
    js_arr(r, "matrix");
    for (size_t i = 0; i < nlines; i++) {
        table_cell(t, "%s", lines[i].target);
        for (size_t k = 0; k < n; k++)
            table_cell(t, "%s", cell_text(r, &lines[i].cells[k]));
        json_line(r, &lines[i], c, n);
    }
    js_end(r);
    table_end(t);
    free(heads);
    free(align);
}

/* A release given in full is a line by itself. */
static int add_lines(struct check_run *run, const char *target, struct opt_list *out)
{
    const char *const *names;
    int rc = strchr(target, '@') || strchr(target, '.')
                 ? ot_facts_targets(run->app->ctx, run->facts, target, &names)
                 : ot_facts_releases(run->app->ctx, run->facts, target, &names);
    if (rc)
        return cmd_fail(run->app, rc);
    for (; *names; names++)
        opt_list_add(out, strchr(*names, '@') ? *names : rp_str(run->app->report, "%s@%s", target, *names));
    return EXIT_DONE;
}

/* Whether a model fails on every release: old ones always refuse new models, which is no finding. */
static bool some_model_fails(const struct line *lines, size_t nlines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool all = nlines > 0;
        for (size_t k = 0; k < nlines && all; k++)
            all = lines[k].cells[i].kind == OT_FAILS;
        if (all)
            return true;
    }
    return false;
}

int show_matrix(struct check_run *run, const struct checked *c, size_t n)
{
    struct opt_list targets = {0};
    bool none = false;
    int code = run->targets.n ? EXIT_DONE : add_lines(run, "ort", &targets);
    for (size_t i = 0; i < run->targets.n && !code; i++)
        code = add_lines(run, run->targets.v[i], &targets);
    struct line *lines = xalloc((targets.n + 1) * sizeof *lines);
    for (size_t i = 0; i < targets.n && !code; i++) {
        lines[i] = (struct line){.target = targets.v[i], .order = i};
        code = fill_line(run, c, n, &lines[i]);
    }
    if (!code) {
        qsort(lines, targets.n, sizeof *lines, worst_first);
        show_lines(run, lines, targets.n, c, n);
        none = some_model_fails(lines, targets.n, n);
    }
    for (size_t i = 0; i < targets.n; i++)
        free(lines[i].cells);
    free(lines);
    free(targets.v);
    return code ? code : none ? EXIT_FINDING : EXIT_DONE;
}
