/* check-opset: verdicts, the minimum and the overview on the screen. */
#include "check_opset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON ---- */

static void json_strings(struct report *r, const char *key, const char *const *v, size_t n)
{
    js_arr(r, key);
    for (size_t i = 0; i < n; i++)
        js_str(r, NULL, v[i]);
    js_end(r);
}

static void json_limits(struct report *r, const ot_verdict *v, size_t n)
{
    js_arr(r, "limits");
    for (size_t i = 0; i < n; i++) {
        struct ot_limit l;
        ot_verdict_limit(v, i, &l);
        js_obj(r, NULL);
        js_str(r, "what", l.what);
        js_str(r, "domain", *l.domain ? l.domain : NULL);
        js_str(r, "function", *l.function ? l.function : NULL);
        js_int(r, "model", l.model);
        if (l.accepts)
            js_int(r, "accepts", l.accepts);
        else
            js_null(r, "accepts");
        if (l.up_to != l.accepts)
            js_int(r, "refuses_beyond", l.up_to);
        js_str(r, "result", l.result);
        js_end(r);
    }
    js_end(r);
}

static void json_counts(struct report *r, const struct ot_verdict_summary *s)
{
    js_obj(r, "counts");
    js_uint(r, "nodes", s->nodes);
    js_uint(r, "kernel", s->kernel);
    js_uint(r, "body", s->body);
    js_uint(r, "casts", s->casts);
    js_uint(r, "listed", s->listed);
    js_uint(r, "missing", s->missing);
    js_uint(r, "unknown", s->unknown);
    js_uint(r, "constant", s->constant);
    js_uint(r, "folded", s->folded);
    js_uint(r, "shape", s->shape);
    js_end(r);
    js_obj(r, "fallback");
    js_uint(r, "nodes", s->fallback);
    if (isnan(s->share))
        js_null(r, "flops_share");
    else
        js_num(r, "flops_share", s->share);
    js_uint(r, "boundaries", s->boundaries);
    js_end(r);
}

static void json_number(struct report *r, const char *key, int n)
{
    if (n)
        js_int(r, key, n);
    else
        js_null(r, key);
}

static void json_op(struct report *r, const struct ot_fit_op *o)
{
    js_obj(r, NULL);
    js_str(r, "domain", o->domain);
    js_str(r, "op", o->op);
    json_number(r, "version", o->version);
    json_number(r, "version_there", o->there);
    js_str(r, "needs", *o->need ? o->need : NULL);
    js_str(r, "fit", o->fit);
    js_str(r, "provider", o->provider);
    js_uint(r, "nodes", o->nodes);
    js_uint(r, "fallback", o->fallback);
    js_uint(r, "shape", o->shape);
    js_uint(r, "folded", o->folded);
    js_bool(r, "inferred", o->inferred);
    js_str(r, "why", o->why);
    js_str(r, "declined", *o->declined ? o->declined : NULL);
    js_end(r);
}

static void json_node(struct report *r, const struct ot_fit_node *n)
{
    js_obj(r, NULL);
    js_str(r, "name", n->name);
    js_str(r, "first_output", n->first_output);
    js_str(r, "domain", n->domain);
    js_str(r, "op", n->op);
    json_number(r, "version", n->version);
    js_str(r, "graph", n->graph);
    js_int(r, "depth", n->depth);
    js_str(r, "fit", n->fit);
    js_str(r, "provider", n->provider);
    js_bool(r, "shape", n->shape);
    js_bool(r, "folded", n->folded);
    js_bool(r, "fallback", n->fallback);
    if (n->flops < 0)
        js_null(r, "flops");
    else
        js_int(r, "flops", n->flops);
    js_str(r, "why", *n->why ? n->why : NULL);
    js_end(r);
}

static void json_verdict(struct report *r, const struct ot_verdict_summary *s, const ot_verdict *v)
{
    js_str(r, "target", s->target);
    js_str(r, "runtime", s->runtime);
    js_str(r, "release", *s->release ? s->release : NULL);
    js_str(r, "known", s->known);
    if (s->inferred[0])
        json_strings(r, "inferred_from", s->inferred, 2);
    js_str(r, "tried", *s->tried ? s->tried : NULL);
    js_str(r, "through", *s->through ? s->through : NULL);
    json_strings(r, "providers", s->providers, s->nproviders);
    js_str(r, "verdict", s->verdict);
    js_str(r, "loads", s->loads);
    js_str(r, "reason", s->reason);
    json_strings(r, "fixes", s->fixes, s->nfixes);
    json_limits(r, v, s->nlimits);
    json_counts(r, s);
    js_arr(r, "operators");
    for (size_t i = 0; i < ot_verdict_nops(v); i++) {
        struct ot_fit_op o;
        ot_verdict_op(v, i, &o);
        json_op(r, &o);
    }
    js_end(r);
    js_arr(r, "node_list");
    for (size_t i = 0; i < ot_verdict_nnodes(v); i++) {
        struct ot_fit_node n;
        ot_verdict_node(v, i, &n);
        json_node(r, &n);
    }
    js_end(r);
}

/* ---- text ---- */

static const char *name_of(struct report *r, const char *domain, const char *op, int version)
{
    bool plain = strcmp(domain, "ai.onnx") == 0;
    if (!version)
        return rp_name(r, rp_str(r, "%s%s%s", plain ? "" : domain, plain ? "" : ".", op));
    return rp_name(r, rp_str(r, "%s%s%s-%d", plain ? "" : domain, plain ? "" : ".", op, version));
}

/* "ort 1.18.1 (measured), cuda then cpu" */
static const char *where_text(struct report *r, const struct ot_verdict_summary *s)
{
    const char *text = *s->release              ? rp_str(r, "%s %s", s->runtime, s->release)
                       : strchr(s->target, '@') ? s->target
                                                : s->runtime;
    if (*s->through)
        text = rp_str(r, "%s (%s)", text, s->through);
    if (s->nproviders > 1) {
        text = rp_str(r, "%s,", text);
        for (size_t i = 0; i < s->nproviders; i++)
            text = rp_str(r, "%s %s%s", text, i ? "then " : "", s->providers[i]);
    }
    return text;
}

static void text_counts(struct report *r, const struct ot_verdict_summary *s)
{
    const struct {
        size_t n;
        const char *what;
    } parts[] = {{s->kernel, "kernel"}, {s->body, "body expanded"}, {s->casts, "fp32 behind casts"},
                 {s->listed, "listed"}, {s->missing, "missing"},    {s->unknown, "unknown"}};
    const char *text = "";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].n)
            text = rp_str(r, "%s%s%zu %s", text, *text ? ", " : "", parts[i].n, parts[i].what);
    if (!*text)
        return;
    rp_row(r, "nodes", "%zu: %s", s->nodes, text);
    if (s->shape && s->nproviders > 1)
        rp_row(r, "", "%zu of them arithmetic on shapes, left on the CPU and not counted", s->shape);
    if (s->folded)
        rp_row(r, "", "%zu of them computed once, while loading", s->folded);
}

/* Operators about which there is something to say. */
static bool notable(const struct ot_fit_op *o)
{
    return *o->need || o->fallback || (strcmp(o->fit, "kernel") != 0 && strcmp(o->fit, "none") != 0);
}

static const char *how_text(struct report *r, const struct ot_fit_op *o)
{
    if (strcmp(o->fit, "none") == 0 && o->there)
        return rp_str(r, "version %d there", o->there);
    if (*o->need && o->there && o->there != o->version)
        return rp_str(r, "%s, as version %d", o->fit, o->there);
    if (strcmp(o->need, "rewrite") == 0)
        return o->there ? "missing: rewrite" : "no version there: rewrite";
    return o->fit;
}

/* Nothing is known of any operator, for one reason: the verdict has told it. */
static bool all_in_the_dark(const ot_verdict *v)
{
    struct ot_fit_op first, o;
    for (size_t i = 0; i < ot_verdict_nops(v); i++) {
        ot_verdict_op(v, i, &o);
        if (i == 0)
            first = o;
        if (strcmp(o.fit, "unknown") != 0 || strcmp(o.why, first.why) != 0)
            return false;
    }
    return true;
}

static void text_ops(struct report *r, const ot_verdict *v, bool all)
{
    static const char *const heads[] = {"operator", "nodes", "how", "where", "why"};
    struct table *t = NULL;
    if (!all && all_in_the_dark(v))
        return;
    for (size_t i = 0; i < ot_verdict_nops(v); i++) {
        struct ot_fit_op o;
        ot_verdict_op(v, i, &o);
        if (!all && !notable(&o))
            continue;
        t = t ? t : table_new(r, "lrlll", heads);
        table_cell(t, "%s", name_of(r, o.domain, o.op, o.version));
        table_int(t, (int64_t)o.nodes);
        table_cell(t, "%s", how_text(r, &o));
        table_cell(t, "%s", o.provider ? o.provider : "-");
        table_cell(t, "%s", o.fallback && *o.declined ? o.declined : o.why);
    }
    if (t) {
        rp_text(r, "\n");
        table_end(t);
    }
}

static void text_nodes(struct report *r, const ot_verdict *v)
{
    static const char *const heads[] = {"node", "operator", "how", "where", "graph"};
    struct table *t = table_new(r, "lllll", heads);
    for (size_t i = 0; i < ot_verdict_nnodes(v); i++) {
        struct ot_fit_node n;
        ot_verdict_node(v, i, &n);
        table_cell(t, "%s", *n.name ? n.name : n.first_output);
        table_cell(t, "%s", name_of(r, n.domain, n.op, n.version));
        table_cell(t, "%s%s", n.fit, n.folded ? ", while loading" : n.shape ? ", shape arithmetic" : "");
        table_cell(t, "%s%s", n.provider ? n.provider : "-", n.fallback ? " (fallback)" : "");
        table_cell(t, "%s", n.graph);
    }
    rp_text(r, "\n");
    table_end(t);
}

static void text_verdict(struct check_run *run, const struct checked *c, const struct ot_verdict_summary *s,
                         const ot_verdict *v)
{
    const struct check_opts *o = run->app->opts;
    struct report *r = run->app->report;
    rp_text(r, "%s on %s: %s\n", rp_name(r, c->path), where_text(r, s),
            rp_verdict(r, s->kind == OT_RUNS, s->verdict));
    rp_row(r, "why", "%s", s->reason);
    for (size_t i = 0; i < s->nfixes; i++)
        rp_row(r, i ? "" : "to do", "%s", s->fixes[i]);
    text_counts(r, s);
    if (strcmp(s->known, "exact") == 0 && strcmp(s->runtime, "ort") == 0)
        rp_row(r, "facts", "%s, tables of %s",
               strcmp(s->tried, "measured") == 0 ? "held against this release"
                                                 : "this release itself was not tried",
               ot_facts_date(run->facts));
    else
        rp_row(r, "facts", "tables of %s", ot_facts_date(run->facts));
    if (o->nodes)
        text_nodes(r, v);
    else
        text_ops(r, v, run->app->verbose > 0);
    rp_text(r, "\n");
}

/* ---- a row a verdict ---- */

struct table *verdict_table(struct report *r)
{
    static const char *const heads[] = {"model",    "target",  "verdict", "nodes",      "fallback nodes",
                                        "fallback", "rewrite", "unknown", "boundaries", "why"};
    return table_new(r, "lllrrrrrrl", heads);
}

static void row_verdict(struct table *t, const struct checked *c, const struct ot_verdict_summary *s)
{
    table_cell(t, "%s", c->path);
    table_cell(t, "%s", s->target);
    table_cell(t, "%s", s->verdict);
    table_int(t, (int64_t)s->nodes);
    table_int(t, (int64_t)s->fallback);
    if (isnan(s->share))
        table_cell(t, "?");
    else
        table_cell(t, "%.3g%%", 100 * s->share);
    table_int(t, (int64_t)s->missing);
    table_int(t, (int64_t)s->unknown);
    table_int(t, (int64_t)s->boundaries);
    table_cell(t, "%s", s->reason);
}

void show_verdict(struct check_run *run, const struct checked *c, const ot_verdict *v, struct table *rows)
{
    struct ot_verdict_summary s;
    ot_verdict_summary(v, &s);
    if (rp_json(run->app->report))
        json_verdict(run->app->report, &s, v);
    else if (rows)
        row_verdict(rows, c, &s);
    else
        text_verdict(run, c, &s, v);
}

/* ---- beside a profile ---- */

struct beside {
    size_t agree, differ, absent;
};

static void observed_row(struct report *r, struct table **t, const struct ot_fit_node *n, const char *seen)
{
    static const char *const heads[] = {"node", "operator", "predicted", "observed"};
    const char *want = n->provider ? n->provider : "?";
    js_obj(r, NULL);
    js_str(r, "name", n->name);
    js_str(r, "op", n->op);
    js_str(r, "predicted", n->provider);
    js_str(r, "observed", seen);
    js_bool(r, "agree", seen && strcmp(want, seen) == 0);
    js_end(r);
    if (rp_json(r) || !seen || strcmp(want, seen) == 0)
        return;
    *t = *t ? *t : table_new(r, "llll", heads);
    table_cell(*t, "%s", n->name);
    table_cell(*t, "%s", name_of(r, n->domain, n->op, n->version));
    table_cell(*t, "%s", want);
    table_cell(*t, "%s", seen);
}

/* Where the node ran. ONNX Runtime calls a node without a name by operator and position in the file,
 * Constants not counted; before 1.4 it left the name out. */
static const char *seen_at(const struct check_run *run, struct ot_fit_node n, size_t position)
{
    char name[256];
    if (!*n.name && !n.depth && !n.function) {
        snprintf(name, sizeof name, "%s_%zu", n.op, position);
        n.name = name;
    }
    return ot_observed_find(run->observed, &n);
}

void show_observed(struct check_run *run, const ot_verdict *v)
{
    struct report *r = run->app->report;
    struct table *t = NULL;
    struct beside b = {0, 0, 0};
    size_t position = 0;
    js_obj(r, "observed");
    js_uint(r, "recorded", ot_observed_count(run->observed));
    js_arr(r, "nodes");
    for (size_t i = 0; i < ot_verdict_nnodes(v); i++) {
        struct ot_fit_node n;
        ot_verdict_node(v, i, &n);
        bool placed = strcmp(n.fit, "constant") != 0 && strcmp(n.fit, "function") != 0;
        const char *seen = seen_at(run, n, position);
        position += !n.depth && !n.function && strcmp(n.fit, "constant") != 0;
        if (!placed)
            continue;
        b.absent += !seen;
        b.agree += seen && n.provider && strcmp(n.provider, seen) == 0;
        b.differ += seen && (!n.provider || strcmp(n.provider, seen) != 0);
        observed_row(r, &t, &n, seen);
    }
    js_end(r);
    js_uint(r, "agree", b.agree);
    js_uint(r, "differ", b.differ);
    js_uint(r, "absent", b.absent);
    js_end(r);
    rp_row(r, "observed",
           "%zu nodes where predicted, %zu elsewhere, %zu not in the profile (fused, expanded, or computed "
           "while "
           "loading)",
           b.agree, b.differ, b.absent);
    if (t)
        table_end(t);
}

/* ---- the minimum ---- */

static void json_minimum(struct report *r, const struct ot_minimum *m)
{
    js_obj(r, "minimum");
    json_number(r, "opset", m->unknown ? 0 : m->opset);
    json_number(r, "opset_now", m->now);
    json_number(r, "ml", m->unknown ? 0 : m->ml);
    json_number(r, "ml_now", m->ml_now);
    js_int(r, "ir", m->ir);
    js_str(r, "ir_why", m->ir_why);
    js_bool(r, "restamp", !m->unknown && ((m->opset && m->opset < m->now) || (m->ml && m->ml < m->ml_now)));
    js_uint(r, "renumbered", m->renumbered);
    js_uint(r, "unknown_nodes", m->unknown);
}

static void text_domain(struct report *r, const char *domain, int now, int min)
{
    if (!now || !min)
        return;
    if (min < now)
        rp_row(r, "needs", "%s opset %d (imports %d): re-stamping is enough", domain, min, now);
    else
        rp_row(r, "needs", "%s opset %d, what it imports", domain, min);
}

static void text_minimum(struct report *r, const struct ot_minimum *m)
{
    if (m->unknown)
        rp_row(r, "needs", "not known: %zu nodes are of operators that are not known here", m->unknown);
    else {
        text_domain(r, "ai.onnx", m->now, m->opset);
        text_domain(r, "ai.onnx.ml", m->ml_now, m->ml);
    }
    rp_row(r, "", "IR version %d (%s)", m->ir, m->ir_why);
    if (m->renumbered && !m->unknown)
        rp_row(r, "", "%zu of %zu nodes get an older version of their operator then, which says the same",
               m->renumbered, m->nodes);
}

static int by_need(const void *pa, const void *pb)
{
    const struct ot_need *a = pa, *b = pb;
    if (a->lowest != b->lowest)
        return b->lowest - a->lowest;
    int c = strcmp(a->op, b->op);
    c = c ? c : strcmp(a->why, b->why);
    return c ? c : strcmp(a->name, b->name);
}

static void list_needs(struct check_run *run, const struct checked *c, size_t n)
{
    static const char *const heads[] = {"lowest", "node", "operator", "why"};
    struct report *r = run->app->report;
    struct ot_need *all = xalloc((n + 1) * sizeof *all);
    struct table *t = table_new(r, "rlll", heads);
    for (size_t i = 0; i < n; i++)
        ot_fit_need(c->fit, i, &all[i]);
    qsort(all, n, sizeof *all, by_need);
    js_arr(r, "nodes");
    for (size_t i = 0; i < n; i++) {
        const struct ot_need *e = &all[i];
        js_obj(r, NULL);
        js_str(r, "name", e->name);
        js_str(r, "domain", e->domain);
        js_str(r, "op", e->op);
        js_int(r, "version", e->since);
        js_int(r, "lowest", e->lowest);
        js_str(r, "why", e->why);
        js_end(r);
        table_int(t, e->lowest);
        table_cell(t, "%s", e->name);
        table_cell(t, "%s", name_of(r, e->domain, e->op, e->since));
        table_cell(t, "%s", e->why);
    }
    js_end(r);
    free(all);
    if (rp_format(r) == FORMAT_TEXT)
        rp_text(r, "\n");
    table_end(t);
}

int show_minimum(struct check_run *run, const struct checked *c, bool all)
{
    struct report *r = run->app->report;
    struct ot_minimum m;
    int rc = ot_fit_minimum(run->app->ctx, c->fit, run->facts, &m);
    if (rc)
        return cmd_fail(run->app, rc);
    if (all)
        rp_title(r, "%s", rp_name(r, c->path));
    json_minimum(r, &m);
    text_minimum(r, &m);
    if (all)
        list_needs(run, c, m.nodes);
    js_end(r);
    return EXIT_DONE;
}

/* ---- without a target ---- */

/* Whether the release surely takes the model: it loads, or (a list) has all its operators. */
static bool takes(const struct ot_verdict_summary *s, const ot_verdict *v, bool list)
{
    for (size_t i = 0; list && i < s->nlimits; i++) {
        struct ot_limit l;
        ot_verdict_limit(v, i, &l);
        list = strcmp(l.result, "ok") == 0;
    }
    return strcmp(s->loads, "yes") == 0 || (list && !s->missing && !s->unknown);
}

/* The oldest release of a runtime that takes the model, from the newest back; "" none. numbers: the oldest
 * that accepts opset and IR version, of those that the kernel tables do not reach. */
static int find_oldest(struct check_run *run, const struct checked *c, const struct ot_runtime *rt,
                       const char **oldest, const char **numbers)
{
    const char *const *names;
    *oldest = *numbers = "";
    int rc = ot_facts_releases(run->app->ctx, run->facts, rt->name, &names);
    for (; !rc && *names; names++) {
        struct ot_verdict_summary s;
        ot_verdict *v;
        rc = ot_fit_check(run->app->ctx, c->fit, run->facts,
                          rp_str(run->app->report, "%s@%s", rt->name, *names), run->providers, false, &v);
        if (rc)
            break;
        ot_verdict_summary(v, &s);
        bool ok = true;
        for (size_t i = 0; i < s.nlimits; i++) {
            struct ot_limit l;
            ot_verdict_limit(v, i, &l);
            ok = ok && strcmp(l.result, "ok") == 0;
        }
        if (takes(&s, v, rt->list))
            *oldest = *names;
        else if (ok && !rt->list && strcmp(s.loads, "unknown") == 0)
            *numbers = *names;
        ot_verdict_free(v);
    }
    return rc ? cmd_fail(run->app, rc) : EXIT_DONE;
}

static int show_oldest(struct check_run *run, const struct checked *c)
{
    struct report *r = run->app->report;
    struct ot_runtime rt;
    int code = EXIT_DONE;
    bool first = true;
    js_arr(r, "oldest");
    for (size_t i = 0; ot_facts_runtime(run->facts, i, &rt) && !code; i++) {
        const char *oldest, *numbers;
        if (rt.provider || !*rt.newest)
            continue;
        code = find_oldest(run, c, &rt, &oldest, &numbers);
        if (code)
            break;
        js_obj(r, NULL);
        js_str(r, "runtime", rt.name);
        js_str(r, "release", *oldest ? oldest : NULL);
        js_str(r, "accepts_numbers", *numbers ? numbers : NULL);
        js_str(r, "newest_known", rt.newest);
        js_end(r);
        const char *key = first ? "oldest" : "";
        first = false;
        if (!*oldest)
            rp_row(r, key, "%s: none up to %s is known to %s", rt.name, rt.newest,
                   rt.list ? "list all of it" : "load it");
        else
            rp_row(r, key, "%s %s %s", rt.name, oldest, rt.list ? "lists all of it" : "loads it");
        if (*numbers)
            rp_row(r, "",
                   "%s %s accepts its opset and IR version; kernels of that time are not in the tables",
                   rt.name, numbers);
    }
    js_end(r);
    return code;
}

int show_overview(struct check_run *run, const struct checked *c)
{
    struct report *r = run->app->report;
    struct ot_fit_summary s;
    ot_fit_summary(c->fit, &s);
    const char *text = rp_str(r, "IR %lld", (long long)s.ir_version);
    for (size_t i = 0; i < s.nimports; i++)
        text = rp_str(r, "%s, %s %lld", text, s.imports[i].domain, (long long)s.imports[i].version);
    rp_title(r, "%s", rp_name(r, c->path));
    rp_row(r, "opset", "%s", rp_name(r, text));
    int code = show_minimum(run, c, false);
    if (!code)
        code = show_oldest(run, c);
    rp_row(r, "facts", "of %s", ot_facts_date(run->facts));
    rp_text(r, "\n");
    return code;
}
