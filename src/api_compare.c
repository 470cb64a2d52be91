/* The public interface: comparison. */
#include <string.h>

#include "api.h"
#include "compare/metrics.h"

static struct ot_tolerance tolerance_out(const struct tolerance *t)
{
    return (struct ot_tolerance){.rtol = t->rtol,
                                 .atol = t->atol,
                                 .max_outliers = t->max_outliers,
                                 .min_cosine = t->min_cosine,
                                 .min_sqnr = t->min_sqnr,
                                 .min_top1 = t->min_top1,
                                 .top_k = t->top_k};
}

struct tolerance tolerance_in(const struct ot_tolerance *t)
{
    struct tolerance def;
    tolerance_init(&def);
    if (!t)
        return def;
    return (struct tolerance){.rtol = t->rtol,
                              .atol = t->atol,
                              .max_outliers = t->max_outliers,
                              .min_cosine = t->min_cosine,
                              .min_sqnr = t->min_sqnr,
                              .min_top1 = t->min_top1,
                              .top_k = t->top_k};
}

struct ot_diff diff_out(const struct metrics *m)
{
    struct ot_diff d = {.pass = m->pass,
                        .count = m->count,
                        .different = m->different,
                        .outliers = m->outliers,
                        .max_abs = m->max_abs,
                        .max_rel = m->max_rel,
                        .mean_abs = m->mean_abs,
                        .rmse = m->rmse,
                        .abs_at = m->abs_at,
                        .rel_at = m->rel_at,
                        .max_ulp = m->max_ulp,
                        .sqnr_db = m->sqnr_db,
                        .cosine = m->cosine,
                        .worst = m->worst,
                        .worst_a = m->worst_a,
                        .worst_b = m->worst_b,
                        .nan_a = m->nan_a,
                        .nan_b = m->nan_b,
                        .inf_a = m->inf_a,
                        .inf_b = m->inf_b,
                        .rows = m->rows,
                        .top1 = m->top1,
                        .topk = m->topk};
    memcpy(d.reason, m->reason, sizeof d.reason);
    return d;
}

void ot_tolerance_init(struct ot_tolerance *out)
{
    struct tolerance t;
    tolerance_init(&t);
    *out = tolerance_out(&t);
}

void ot_tolerance_default(int dtype, struct ot_tolerance *out)
{
    struct tolerance t;
    tolerance_default((enum dtype)dtype, &t);
    *out = tolerance_out(&t);
}

int ot_compare(ot_ctx *c, const ot_tensor *a, const ot_tensor *b, const struct ot_tolerance *tol,
               struct ot_diff *out)
{
    struct tolerance t = tolerance_in(tol);
    struct metrics m;
    compare_tensors(unwrap(a), unwrap(b), &t, &m);
    *out = diff_out(&m);
    return api_end(c, OK);
}
