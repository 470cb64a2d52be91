/* How far two tensors are apart, and whether that is within a tolerance. One place for `run --expect`,
 * `diff`, and the verification of every rewrite. */
#ifndef OT_COMPARE_METRICS_H
#define OT_COMPARE_METRICS_H

#include "base/err.h"
#include "base/tensor.h"

struct tolerance {
    double rtol, atol;   /* pass: |a - b| <= atol + rtol * |b|; negative: the type's default */
    double max_outliers; /* share of elements that may fail */
    double min_cosine;   /* NaN: not asked */
    double min_sqnr;     /* dB; NaN: not asked */
};

struct metrics {
    bool pass;
    char reason[200];
    int64_t count, different;
    double max_abs, max_rel; /* over elements where both are finite */
    double mean_abs, rmse;
    double sqnr_db; /* 10 log10(sum b^2 / sum (a-b)^2); infinite when equal */
    double cosine;  /* NaN when one side is all zero and the other not */
    int64_t worst;  /* flat index of the element furthest beyond (or nearest to) its bound; -1: none */
    double worst_a, worst_b;
    int64_t nan_a, nan_b;
};

/* Defaults: float and double 1e-3 and 1e-5, float16 1e-2 and 1e-3, bfloat16 and float8 5e-2 and 1e-2;
 * everything else exact. */
void tolerance_default(enum dtype dt, struct tolerance *out);

/* a against the reference b. Equal NaNs and equal infinities agree. Shapes, types and kinds that differ do
 * not pass; sequences, optionals and maps are compared item by item and the worst item reported. */
void compare_tensors(const struct tensor *a, const struct tensor *b, const struct tolerance *tol,
                     struct metrics *m);

/* "[3, 0, 17]" of a flat index. */
const char *index_text(const struct tensor *t, int64_t flat, char *buf, size_t size);

#endif
