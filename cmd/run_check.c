/* onnxtool run: whether what came out is right. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run.h"

/* ---- accuracy ---- */

int read_truth(struct job *j)
{
    if (!j->o->truth)
        return EXIT_DONE;
    int rc = ot_tensor_read(j->app->ctx, NULL, NULL, j->o->truth, &j->truth);
    if (rc)
        return cmd_fail(j->app, rc);
    const char *type = ot_tensor_dtype_name(j->truth);
    if (!strstr(type, "int"))
        return cmd_fail(j->app, ot_fail(j->app->ctx, EXIT_INPUT, "%s: class numbers must be integers, not %s",
                                        j->o->truth, type));
    return EXIT_DONE;
}

static void judge_row(struct job *j, const ot_tensor *t, int64_t row, int64_t width, int64_t *top, size_t k)
{
    int64_t want = ot_tensor_i64(j->truth, j->judged++);
    size_t n = ot_tensor_top(t, row * width, width, k, top);
    j->right1 += n && top[0] - row * width == want;
    for (size_t i = 0; i < n; i++)
        if (top[i] - row * width == want) {
            j->rightk++;
            break;
        }
}

/* The first output against the next right answers: scores by class, or integer labels themselves. */
int judge(struct job *j)
{
    if (!j->truth)
        return EXIT_DONE;
    const ot_tensor *t = ot_session_output(j->s, 0);
    int rank = ot_tensor_rank(t);
    bool labels = rank <= 1 && strstr(ot_tensor_dtype_name(t), "int");
    int64_t width = labels || !rank ? 1 : ot_tensor_dims(t)[rank - 1];
    int64_t rows = width ? ot_tensor_count(t) / width : 0;
    if (j->judged + rows > ot_tensor_count(j->truth))
        return cmd_fail(j->app,
                        ot_fail(j->app->ctx, EXIT_INPUT, "%s holds %lld answers, the samples give more",
                                j->o->truth, (long long)ot_tensor_count(j->truth)));
    size_t k = (size_t)(j->o->top > 1 ? j->o->top : 5);
    int64_t *top = xalloc((k + 1) * sizeof *top);
    for (int64_t row = 0; row < rows; row++) {
        if (!labels) {
            judge_row(j, t, row, width, top, k);
            continue;
        }
        bool right = ot_tensor_i64(t, row) == ot_tensor_i64(j->truth, j->judged++);
        j->right1 += right;
        j->rightk += right;
    }
    free(top);
    return EXIT_DONE;
}

int show_accuracy(struct job *j)
{
    struct report *r = j->app->report;
    if (!j->truth || !j->judged)
        return EXIT_DONE;
    if (j->judged < ot_tensor_count(j->truth))
        return cmd_fail(j->app,
                        ot_fail(j->app->ctx, EXIT_INPUT, "%s holds %lld answers, the samples give only %lld",
                                j->o->truth, (long long)ot_tensor_count(j->truth), (long long)j->judged));
    int64_t k = j->o->top > 1 ? j->o->top : 5;
    double top1 = (double)j->right1 / (double)j->judged, topk = (double)j->rightk / (double)j->judged;
    rp_row(r, "accuracy", "%.2f%%  (%lld of %lld right; among the best %lld: %.2f%%)", 100 * top1,
           (long long)j->right1, (long long)j->judged, (long long)k, 100 * topk);
    js_obj(r, "accuracy");
    js_num(r, "top1", top1);
    js_int(r, "right", j->right1);
    js_int(r, "judged", j->judged);
    js_int(r, "k", k);
    js_num(r, "topk", topk);
    js_end(r);
    if (top1 < j->o->compare.min_top1) {
        rp_row(r, "", "%s", rp_verdict(r, false, rp_str(r, "below --min-top1 %g", j->o->compare.min_top1)));
        return EXIT_FINDING;
    }
    return EXIT_DONE;
}

/* ---- expected outputs ---- */

static const struct ot_value_info *output_named(const ot_model *m, const char *s, size_t n)
{
    for (size_t i = 0; i < ot_model_noutputs(m); i++) {
        const char *name = ot_model_output(m, i)->name;
        if (strlen(name) == n && memcmp(name, s, n) == 0)
            return ot_model_output(m, i);
    }
    return NULL;
}

/* NAME=PATH where NAME is an output; the last such '='. */
static const char *split(const ot_model *m, const char *text)
{
    for (const char *eq = text + strlen(text); eq-- > text;)
        if (*eq == '=' && output_named(m, text, (size_t)(eq - text)))
            return eq;
    return NULL;
}

static bool is_set(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    return (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || (n > 4 && strcmp(path + n - 4, ".npz") == 0);
}

static struct expectation *add_expectation(struct job *j)
{
    j->expect = xgrow(j->expect, (j->nexpect + 1) * sizeof *j->expect);
    j->expect[j->nexpect] = (struct expectation){0};
    return &j->expect[j->nexpect++];
}

static int add_set(struct job *j, const char *path)
{
    int rc = ot_values_read(j->app->ctx, j->m, path, true, &add_expectation(j)->set);
    return rc ? cmd_fail(j->app, rc) : EXIT_DONE;
}

/* A folder of test_data_set_N is a set for each sample. */
static int add_sets(struct job *j, const char *path)
{
    char sub[4200];
    struct stat st;
    int code = EXIT_DONE;
    snprintf(sub, sizeof sub, "%s/test_data_set_0", path);
    if (stat(sub, &st) || !S_ISDIR(st.st_mode))
        return add_set(j, path);
    for (size_t k = 0; k < j->samples && !code; k++) {
        snprintf(sub, sizeof sub, "%s/test_data_set_%zu", path, k);
        code = add_set(j, sub);
    }
    return code;
}

static int add_one(struct job *j, const char *text)
{
    const char *eq = split(j->m, text);
    if (!eq && is_set(text))
        return add_sets(j, text);
    if (!eq && ot_model_noutputs(j->m) != 1)
        return cmd_usage(j->app, "--expect '%s': the model has several outputs: say which with NAME=PATH",
                         text);
    struct expectation *e = add_expectation(j);
    const struct ot_value_info *v =
        eq ? output_named(j->m, text, (size_t)(eq - text)) : ot_model_output(j->m, 0);
    e->name = xdup(v->name);
    int rc = ot_tensor_read(j->app->ctx, j->m, e->name, eq ? eq + 1 : text, &e->one);
    return rc ? cmd_fail(j->app, rc) : EXIT_DONE;
}

int read_expected(struct job *j)
{
    int code = EXIT_DONE;
    for (size_t i = 0; i < j->o->compare.expect.n && !code; i++)
        code = add_one(j, j->o->compare.expect.v[i]);
    return code;
}

/* The k-th set among the sets, or the k-th tensor for this output; one file for all samples is cut into
 * pieces. */
static const ot_tensor *expected(struct job *j, const char *output, ot_tensor **piece)
{
    size_t seen = 0, tensors = 0;
    const struct expectation *last = NULL;
    for (size_t i = 0; i < j->nexpect; i++) {
        const struct expectation *e = &j->expect[i];
        if (e->set && seen++ == j->sample)
            return ot_values_find(e->set, output);
        if (e->one && strcmp(e->name, output) == 0) {
            last = e;
            if (tensors++ == j->sample && j->sample)
                return e->one;
        }
    }
    if (tensors != 1)
        return last && j->sample == 0 ? last->one : NULL;
    if (j->samples == 1)
        return last->one;
    return ot_tensor_piece(j->app->ctx, last->one, j->sample, j->samples, piece) ? NULL : *piece;
}

/* Element i of both, for a report in text. */
static void show_element(struct report *r, const char *what, const ot_tensor *got, int64_t i, double a,
                         double b)
{
    char where[200];
    rp_row(r, "", "%s%s: %s, expected %s", what, ot_tensor_index(got, i, where, sizeof where),
           rp_num(r, a, 9), rp_num(r, b, 9));
}

static void show_difference(struct report *r, const ot_tensor *got, const struct ot_diff *d)
{
    if (!d->count)
        return;
    rp_row(r, "", "max abs %s, max rel %s, mean abs %s, RMSE %s, SQNR %s dB, cosine %s",
           rp_num(r, d->max_abs, 3), rp_num(r, d->max_rel, 3), rp_num(r, d->mean_abs, 3),
           rp_num(r, d->rmse, 3), rp_num(r, d->sqnr_db, 4), rp_num(r, d->cosine, 6));
    if (d->max_ulp || d->rows > 1)
        rp_row(r, "", "%s%s%s", d->max_ulp ? rp_str(r, "%llu ulp", (unsigned long long)d->max_ulp) : "",
               d->max_ulp && d->rows > 1 ? ", " : "",
               d->rows > 1
                   ? rp_str(r, "best class agrees in %.2f%% of %lld rows", 100 * d->top1, (long long)d->rows)
                   : "");
    if (d->nan_a != d->nan_b || d->inf_a != d->inf_b)
        rp_row(r, "", "%lld NaN and %lld Inf, expected %lld and %lld", (long long)d->nan_a,
               (long long)d->inf_a, (long long)d->nan_b, (long long)d->inf_b);
    if (d->worst >= 0)
        show_element(r, "at ", got, d->worst, d->worst_a, d->worst_b);
}

static void json_diff(struct report *r, const char *name, const struct ot_diff *d)
{
    js_obj(r, NULL);
    js_str(r, "name", name);
    js_bool(r, "pass", d->pass);
    js_str(r, "reason", d->reason);
    js_int(r, "elements", d->count);
    js_int(r, "different", d->different);
    js_num(r, "outliers", d->outliers);
    js_num(r, "max_abs", d->max_abs);
    js_int(r, "max_abs_index", d->abs_at);
    js_num(r, "max_rel", d->max_rel);
    js_int(r, "max_rel_index", d->rel_at);
    js_uint(r, "max_ulp", d->max_ulp);
    js_num(r, "mean_abs", d->mean_abs);
    js_num(r, "rmse", d->rmse);
    js_num(r, "sqnr_db", d->sqnr_db);
    js_num(r, "cosine", d->cosine);
    js_int(r, "worst_index", d->worst);
    js_num(r, "worst_got", d->worst_a);
    js_num(r, "worst_expected", d->worst_b);
    js_int(r, "nan", d->nan_a);
    js_int(r, "nan_expected", d->nan_b);
    js_int(r, "inf", d->inf_a);
    js_int(r, "inf_expected", d->inf_b);
    js_int(r, "rows", d->rows);
    js_num(r, "top1_agreement", d->top1);
    js_num(r, "topk_agreement", d->topk);
    js_end(r);
}

static void report_diff(struct job *j, const char *name, const ot_tensor *got, const struct ot_diff *d)
{
    struct report *r = j->app->report;
    const char *verdict = rp_verdict(r, d->pass, d->pass ? "matches" : "differs");
    bool quiet = d->pass && j->sample > 0 && !j->app->verbose;
    if (!quiet && d->pass)
        rp_row(r, rp_name(r, name), "%s  max abs %s, max rel %s", verdict, rp_num(r, d->max_abs, 3),
               rp_num(r, d->max_rel, 3));
    if (!d->pass)
        rp_row(r, rp_name(r, name), "%s%s: %s", verdict,
               j->samples > 1 ? rp_str(r, " in sample %zu", j->sample + 1) : "", d->reason);
    if (!d->pass || (!quiet && j->app->verbose))
        show_difference(r, got, d);
    json_diff(r, name, d);
}

static int compare_output(struct job *j, size_t i, bool *any)
{
    const char *name = ot_session_output_name(j->s, i);
    const ot_tensor *got = ot_session_output(j->s, i);
    ot_tensor *piece = NULL;
    const ot_tensor *want = expected(j, name, &piece);
    struct ot_tolerance tol;
    struct ot_diff d;
    if (!want)
        return EXIT_DONE;
    *any = true;
    compare_tolerance(&j->o->compare, name, &tol);
    tol.top_k = (int)j->o->top;
    int rc = ot_compare(j->app->ctx, got, want, &tol, &d);
    if (rc)
        return cmd_fail(j->app, rc);
    report_diff(j, name, got, &d);
    ot_tensor_free(piece);
    return d.pass ? EXIT_DONE : EXIT_FINDING;
}

int compare_outputs(struct job *j)
{
    int code = EXIT_DONE;
    bool any = false;
    if (!j->nexpect)
        return EXIT_DONE;
    js_arr(j->app->report, "compared");
    for (size_t i = 0; i < ot_session_noutputs(j->s); i++)
        code = cmd_worse(code, compare_output(j, i, &any));
    js_end(j->app->report);
    if (!any) /* nothing was compared: that must not look like agreement */
        return cmd_fail(j->app,
                        ot_fail(j->app->ctx, EXIT_INPUT,
                                "--expect holds nothing for any output of sample %zu", j->sample + 1));
    return code;
}

/* ---- steps as they end ---- */

static bool finite_tensor(const ot_tensor *t)
{
    struct ot_stats s;
    return !t || !ot_tensor_stats(t, &s) || !(s.nan || s.pos_inf || s.neg_inf);
}

/* "x float[1,3] in -3..5" for each input that is there; as objects in JSON. */
static const char *input_ranges(struct job *j, const struct ot_step_view *v)
{
    struct report *r = j->app->report;
    const char *line = "";
    char type[160];
    js_arr(r, "inputs");
    for (int i = 0; i < v->nin; i++) {
        struct ot_stats s;
        if (!v->in[i] || !ot_tensor_stats(v->in[i], &s))
            continue;
        ot_tensor_text(v->in[i], type, sizeof type);
        line = rp_str(r, "%s%s%s %s in %s..%s%s", line, *line ? "; " : "", rp_name(r, v->in_names[i]), type,
                      rp_num(r, s.min, 6), rp_num(r, s.max, 6),
                      s.nan || s.pos_inf || s.neg_inf ? " and already NaN or Inf" : "");
        js_obj(r, NULL);
        js_str(r, "name", v->in_names[i]);
        js_str(r, "type", type);
        js_num(r, "min", s.min);
        js_num(r, "max", s.max);
        js_int(r, "nan", s.nan);
        js_int(r, "inf", s.pos_inf + s.neg_inf);
        js_end(r);
    }
    js_end(r);
    return line;
}

static void report_not_finite(struct job *j, const struct ot_step_view *v, const char *value,
                              const struct ot_stats *s)
{
    struct report *r = j->app->report;
    int64_t inf = s->pos_inf + s->neg_inf;
    const char *what = s->nan && inf ? "NaN and Inf" : s->nan ? "NaN" : "Inf";
    js_obj(r, "not_finite");
    js_str(r, "node", v->node);
    js_str(r, "operator", v->op);
    js_str(r, "value", value);
    js_int(r, "elements", s->count);
    js_int(r, "nan", s->nan);
    js_int(r, "inf", inf);
    const char *inputs = input_ranges(j, v);
    js_end(r);
    rp_row(r, "not finite", "%s",
           rp_verdict(r, false,
                      rp_str(r, "node '%s' (%s) is the first to make %s: %lld of %lld elements of '%s'",
                             rp_name(r, v->node), v->op, what, (long long)(s->nan + inf), (long long)s->count,
                             rp_name(r, value))));
    if (*inputs)
        rp_row(r, "", "it was given %s", inputs);
}

static int check_finite(struct job *j, ot_ctx *c, const struct ot_step_view *v)
{
    for (int o = 0; o < v->nout; o++) {
        struct ot_stats s;
        if (finite_tensor(v->out[o]))
            continue;
        ot_tensor_stats(v->out[o], &s);
        report_not_finite(j, v, v->out_names[o], &s);
        j->not_finite = true;
        return ot_fail(c, EXIT_FINDING, "'%s' is not finite", v->out_names[o]);
    }
    return OT_OK;
}

static int dump_values(struct job *j, ot_ctx *c, const struct ot_step_view *v)
{
    for (int o = 0; o < v->nout; o++) {
        bool wanted = false;
        for (size_t i = 0; v->out[o] && i < j->o->dump.n; i++)
            if (ot_glob(j->o->dump.v[i], v->out_names[o]))
                wanted = j->dump_hit[i] = true;
        int rc = wanted ? ot_values_add(c, j->dumped, v->out_names[o], v->out[o]) : OT_OK;
        if (rc)
            return rc;
    }
    return OT_OK;
}

static void add_event(struct job *j, const struct ot_step_view *v)
{
    double now = ot_now();
    if (j->nevents == j->cap_events)
        j->events =
            xgrow(j->events, (j->cap_events = j->cap_events ? j->cap_events * 2 : 256) * sizeof *j->events);
    j->events[j->nevents++] = (struct event){xdup(v->node), xdup(v->op), j->last, now - j->last};
}

int watch_step(void *user, ot_ctx *c, const struct ot_step_view *v)
{
    struct job *j = user;
    int rc = OT_OK;
    if (j->o->trace)
        add_event(j, v);
    if (j->o->dump.n)
        rc = dump_values(j, c, v);
    if (!rc && j->o->check_finite)
        rc = check_finite(j, c, v);
    j->last = ot_now();
    return rc;
}
