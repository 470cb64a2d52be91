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
    double min_top1;     /* share of rows whose best class is right; NaN: not asked */
    int top_k;           /* of metrics.topk; 0: TOP_K */
};

enum { TOP_K = 5 };

struct metrics {
    bool pass;
    char reason[200];
    int64_t count, different;
    double outliers; /* different / count */

    /* Of elements where both are finite. */
    double max_abs, max_rel, mean_abs, rmse;
    int64_t abs_at, rel_at; /* flat index of max_abs and max_rel; -1: no element differs */
    uint64_t max_ulp;       /* float types: how many representable numbers lie between, 0 for other types */
    double sqnr_db;         /* 10 log10(sum b^2 / sum (a-b)^2); infinite when equal */
    double cosine;          /* NaN when one side is all zero and the other not */

    int64_t worst; /* flat index of the element furthest beyond (or nearest to) its bound; -1: none */
    double worst_a, worst_b;
    int64_t nan_a, nan_b, inf_a, inf_b;

    /* Rows are the last axis; an element each for integers of rank 0 and 1, which are class numbers. */
    int64_t rows;      /* 0: strings and other kinds have none */
    double top1, topk; /* share of rows where our best class scores best in the reference, and where the
                          reference's best class is among our top_k; 1 without rows */
};

/* Nothing asked beyond the defaults by type. */
void tolerance_init(struct tolerance *out);
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
