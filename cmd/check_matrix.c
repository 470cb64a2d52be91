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
    size_t count[OT_FAILS + 1]; /* models by verdict */
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
        l->count[s.kind]++;
        ot_verdict_free(v);
    }
    return EXIT_DONE;
}

static int worst_first(const void *pa, const void *pb)
{
    const struct line *a = pa, *b = pb;
    for (int k = OT_FAILS; k > 0; k--)
        if (a->count[k] != b->count[k])
            return a->count[k] > b->count[k] ? -1 : 1;
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

/* ---- what people read: neighbouring releases of the same verdicts are one row ---- */

static bool same_runtime(const char *a, const char *b)
{
    size_t n = strcspn(a, "@");
    return n == strcspn(b, "@") && strncmp(a, b, n) == 0;
}

static bool same_row(const struct line *a, const struct line *b, size_t n)
{
    if (b->order != a->order + 1 || !same_runtime(a->target, b->target))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct cell *x = &a->cells[i], *y = &b->cells[i];
        bool same_share = x->share == y->share || (isnan(x->share) && isnan(y->share));
        if (x->kind != y->kind || (x->kind == OT_FALLBACK && (x->fallback != y->fallback || !same_share)))
            return false;
    }
    return true;
}

/* How many lines from the first on make one row. */
static size_t row_height(struct check_run *run, const struct line *lines, size_t nlines, size_t n)
{
    enum format format = rp_format(run->app->report);
    size_t k = 1;
    if (run->app->verbose || (format != FORMAT_TEXT && format != FORMAT_MARKDOWN))
        return 1;
    while (k < nlines && same_row(&lines[k - 1], &lines[k], n))
        k++;
    return k;
}

/* The newest release stands first. */
static const char *row_name(struct report *r, const struct line *lines, size_t height)
{
    const char *oldest = lines[height - 1].target, *newest = lines[0].target;
    return height == 1 ? newest : rp_str(r, "%s to %s", oldest, newest + strcspn(newest, "@") + 1);
}

static size_t common_head(const struct checked *c, size_t n)
{
    size_t k = 0, cut = 0;
    for (;; k++) {
        for (size_t i = 0; i < n; i++)
            if (!c[i].path[k] || c[i].path[k] != c[0].path[k])
                return cut;
        if (c[0].path[k] == '/')
            cut = k + 1;
    }
}

static size_t common_tail(const struct checked *c, size_t n)
{
    const char *slash = strrchr(c[0].path, '/');
    for (size_t i = 0; i < n; i++) {
        const char *own = strrchr(c[i].path, '/');
        if (!slash || !own || strcmp(own, slash) != 0)
            return 0;
    }
    return strlen(slash);
}

/* Paths without what is the same in all of them: whole folders in front, the file's name behind. */
static void short_names(struct report *r, const struct checked *c, size_t n, const char **out)
{
    bool people = rp_format(r) == FORMAT_TEXT || rp_format(r) == FORMAT_MARKDOWN;
    size_t head = people && n > 1 ? common_head(c, n) : 0, tail = people && n > 1 ? common_tail(c, n) : 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(c[i].path);
        bool cut = head + tail < len;
        out[i] = rp_name(r, cut ? rp_str(r, "%.*s", (int)(len - head - tail), c[i].path + head) : c[i].path);
    }
}

static void show_lines(struct check_run *run, const struct line *lines, size_t nlines,
                       const struct checked *c, size_t n)
{
    struct report *r = run->app->report;
    const char **heads = xalloc((n + 1) * sizeof *heads);
    char *align = xalloc(n + 2);
    heads[0] = "release";
    short_names(r, c, n, heads + 1);
    memset(align, 'l', n + 1);
    struct table *t = table_new(r, align, heads);
    js_arr(r, "matrix");
    for (size_t i = 0, height; i < nlines; i += height) {
        height = row_height(run, lines + i, nlines - i, n);
        table_cell(t, "%s", row_name(r, lines + i, height));
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
