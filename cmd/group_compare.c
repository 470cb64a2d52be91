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
    o->min_cosine = o->min_sqnr = o->min_top1 = NAN;
}

/* The last of [NAME=]X that is for this output; -1 when none is. */
static bool pick(struct app *app, const char *opt, const struct opt_list *l, const char *output, double *out)
{
    *out = -1;
    for (size_t i = 0; i < l->n; i++) {
        const char *eq = strrchr(l->v[i], '='), *text = eq ? eq + 1 : l->v[i];
        char *end;
        double v = strtod(text, &end);
        if (end == text || *end || !(v >= 0) || isinf(v)) {
            cmd_usage(app, "--%s '%s': expected a number, or NAME=NUMBER", opt, l->v[i]);
            return false;
        }
        size_t n = eq ? (size_t)(eq - l->v[i]) : 0;
        if (!eq || (strlen(output) == n && memcmp(output, l->v[i], n) == 0))
            *out = v;
    }
    return true;
}

bool compare_tolerance(struct app *app, const struct compare_opts *o, const char *output,
                       struct ot_tolerance *t)
{
    ot_tolerance_init(t);
    t->max_outliers = o->max_outliers;
    t->min_cosine = o->min_cosine;
    t->min_sqnr = o->min_sqnr;
    t->min_top1 = o->min_top1;
    return pick(app, "rtol", &o->rtol, output, &t->rtol) && pick(app, "atol", &o->atol, output, &t->atol);
}
