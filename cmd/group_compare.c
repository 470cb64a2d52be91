/* Options about comparing outputs with a reference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"

#define AT(field) offsetof(struct compare_opts, field)

static const struct opt rows[] = {
    {"expect", 0, OPT_LIST, AT(expect), .arg = "[NAME=]PATH",
     .help = "compare outputs with these; exit 1 when they differ",
     .more = "Like --input: an .npz, a folder with output_0.pb, ..., a folder of files by output name, or "
             "NAME=PATH for one output. Repeat it for several sample sets.",
     .complete = OPT_FILE},
    {"rtol", 0, OPT_LIST, AT(rtol), .arg = "[NAME=]X", .help = "relative tolerance",
     .more = "An element passes when |a - b| <= atol + rtol * |b|. Defaults: float and double 1e-3 and "
             "1e-5, float16 1e-2 and 1e-3, bfloat16 and float8 5e-2 and 1e-2, all else exact."},
    {"atol", 0, OPT_LIST, AT(atol), .arg = "[NAME=]X", .help = "absolute tolerance"},
    {"max-outliers", 0, OPT_NUMBER, AT(max_outliers), .arg = "SHARE",
     .help = "share of elements that may be out of tolerance", .hi = 1},
    {"min-cosine", 0, OPT_NUMBER, AT(min_cosine), .arg = "X", .help = "least cosine similarity", .lo = -1,
     .hi = 1},
    {"min-sqnr", 0, OPT_NUMBER, AT(min_sqnr), .arg = "DB", .help = "least signal to noise ratio in dB",
     .lo = -1000, .hi = 1000},
    {"min-top1", 0, OPT_NUMBER, AT(min_top1), .arg = "SHARE",
     .help = "least share of rows (samples) whose best class is right: exit 1 when it is below",
     .more = "Right is what --truth says, or the best class of --expect. Outputs of class numbers count "
             "an element as a row. Elements out of tolerance still count: --max-outliers 1 leaves only "
             "this.",
     .hi = 1},
    {0},
};

const struct opt_group group_compare = {"Comparing", rows};

void compare_defaults(struct compare_opts *o)
{
    o->max_outliers = o->min_cosine = o->min_sqnr = o->min_top1 = NAN;
}

/* [NAME=]X; *name_len 0 when no name stands there. */
static bool parse(const char *text, double *x, size_t *name_len)
{
    const char *eq = strrchr(text, '='), *number = eq ? eq + 1 : text;
    char *end;
    *x = strtod(number, &end);
    *name_len = eq ? (size_t)(eq - text) : 0;
    return end != number && !*end && *x >= 0 && !isinf(*x) && eq != text;
}

static int check_numbers(struct app *app, const char *opt, const struct opt_list *l)
{
    double x;
    size_t n;
    for (size_t i = 0; i < l->n; i++)
        if (!parse(l->v[i], &x, &n))
            return cmd_usage(app, "--%s '%s': expected a number, or NAME=NUMBER", opt, l->v[i]);
    return EXIT_DONE;
}

int compare_check(struct app *app, const struct compare_opts *o, bool expected)
{
    const char *needs = o->rtol.n                 ? "rtol"
                        : o->atol.n               ? "atol"
                        : !isnan(o->max_outliers) ? "max-outliers"
                        : !isnan(o->min_cosine)   ? "min-cosine"
                        : !isnan(o->min_sqnr)     ? "min-sqnr"
                                                  : NULL;
    if (needs && !expected)
        return cmd_usage(app, "--%s needs --expect: there is nothing to compare with", needs);
    int code = check_numbers(app, "rtol", &o->rtol);
    return code ? code : check_numbers(app, "atol", &o->atol);
}

static int unknown_output(struct app *app, const char *opt, const char *text, const ot_model *m)
{
    const char **names = xalloc((ot_model_noutputs(m) + 1) * sizeof *names);
    const char *all = "";
    for (size_t i = 0; i < ot_model_noutputs(m); i++) {
        names[i] = ot_model_output(m, i)->name;
        all = rp_str(app->report, "%s%s%s", all, i ? ", " : "", names[i]);
    }
    size_t n = (size_t)(strrchr(text, '=') - text);
    const char *want = rp_str(app->report, "%.*s", (int)n, text);
    const char *near = ot_nearest(want, names, ot_model_noutputs(m));
    free(names);
    if (near)
        return cmd_usage(app, "--%s: the model has no output '%s'; did you mean '%s'?", opt, want, near);
    return cmd_usage(app, "--%s: the model has no output '%s', only: %s", opt, want, all);
}

static int check_names(struct app *app, const char *opt, const struct opt_list *l, const ot_model *m)
{
    double x;
    size_t n;
    for (size_t i = 0; i < l->n; i++) {
        bool found = !parse(l->v[i], &x, &n) || !n;
        for (size_t k = 0; k < ot_model_noutputs(m) && !found; k++) {
            const char *name = ot_model_output(m, k)->name;
            found = strlen(name) == n && memcmp(name, l->v[i], n) == 0;
        }
        if (!found)
            return unknown_output(app, opt, l->v[i], m);
    }
    return EXIT_DONE;
}

int compare_check_names(struct app *app, const struct compare_opts *o, const ot_model *m)
{
    int code = check_names(app, "rtol", &o->rtol, m);
    return code ? code : check_names(app, "atol", &o->atol, m);
}

/* The last of [NAME=]X that is for this output; -1 when none is. */
static double pick(const struct opt_list *l, const char *output)
{
    double x, found = -1;
    size_t n;
    for (size_t i = 0; i < l->n; i++)
        if (parse(l->v[i], &x, &n) && (!n || (strlen(output) == n && memcmp(output, l->v[i], n) == 0)))
            found = x;
    return found;
}

void compare_tolerance(const struct compare_opts *o, const char *output, struct ot_tolerance *t)
{
    ot_tolerance_init(t);
    t->max_outliers = isnan(o->max_outliers) ? 0 : o->max_outliers;
    t->min_cosine = o->min_cosine;
    t->min_sqnr = o->min_sqnr;
    t->min_top1 = o->min_top1;
    t->rtol = pick(&o->rtol, output);
    t->atol = pick(&o->atol, output);
}
