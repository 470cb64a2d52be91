/* The public interface: comparison. */
#include <math.h>
#include <string.h>

#include "api.h"
#include "compare/metrics.h"

void ot_tolerance_default(int dtype, struct ot_tolerance *out)
{
    struct tolerance t;
    tolerance_default((enum dtype)dtype, &t);
    *out = (struct ot_tolerance){t.rtol, t.atol, t.max_outliers, t.min_cosine, t.min_sqnr};
}

int ot_compare(ot_ctx *c, const ot_tensor *a, const ot_tensor *b, const struct ot_tolerance *tol,
               struct ot_diff *out)
{
    struct tolerance t = {-1, -1, 0, NAN, NAN};
    struct metrics m;
    if (tol)
        t = (struct tolerance){tol->rtol, tol->atol, tol->max_outliers, tol->min_cosine, tol->min_sqnr};
    compare_tensors(unwrap(a), unwrap(b), &t, &m);
    *out = (struct ot_diff){.pass = m.pass,
                            .count = m.count,
                            .different = m.different,
                            .max_abs = m.max_abs,
                            .max_rel = m.max_rel,
                            .mean_abs = m.mean_abs,
                            .rmse = m.rmse,
                            .sqnr_db = m.sqnr_db,
                            .cosine = m.cosine,
                            .worst = m.worst,
                            .worst_a = m.worst_a,
                            .worst_b = m.worst_b,
                            .nan_a = m.nan_a,
                            .nan_b = m.nan_b};
    memcpy(out->reason, m.reason, sizeof out->reason);
    return api_end(c, OK);
}
