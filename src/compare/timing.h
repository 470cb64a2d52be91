/* What a series of measured times says: percentiles, spread, outliers, drift, and whether two series differ.
 *
 * All numbers depend on the samples alone: resampling draws from a fixed seed. */
#ifndef OT_COMPARE_TIMING_H
#define OT_COMPARE_TIMING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { TIMING_OUTLIER_FENCE = 3, TIMING_MIN_DRIFT = 15, TIMING_MIN_RATIO = 6 };

struct interval {
    double value, lo, hi; /* the estimate, and the 95% interval of it */
};

struct timing {
    size_t n;
    double min, max, mean, median;
    double sd;          /* of the sample, divided by n - 1; 0 for one */
    double cv;          /* sd / mean; 0 when the mean is 0 */
    size_t outliers;    /* further than 3 interquartile ranges outside the quartiles; a range below 1% of the
                           median counts as that much, or a quiet machine would have nothing else */
    bool many_outliers; /* more than one in a hundred */
    /* Median of the last third over that of the first; NaN with fewer than TIMING_MIN_DRIFT samples. */
    double drift;
    bool drifts; /* by more than 3%, and the interval of the ratio leaves out 1 */
};

/* Percentile p (0 to 100) of n sorted values: at position p/100 (n-1), between two values on the line that
 * joins them. NaN for n of 0. */
double timing_percentile(const double *sorted, size_t n, double p);
/* How many samples percentile p needs to mean something: five expected beyond it on the thinner side, ten at
 * the least; p50 10, p90 50, p99 500, p99.9 5000. 0 and 100 (least and greatest) need 1. */
size_t timing_needs(double p);
/* v in the order of measuring, seconds. sorted (n) gets them sorted. E_NOMEM. */
int timing_of(struct cx *cx, const double *v, size_t n, double *sorted, struct timing *out);
/* Ratio of the medians a/b. paired: a[i] and b[i] were measured together (na == nb), and are drawn together.
 * The interval is a block bootstrap's: runs of the cube root of n successive samples are drawn, since noise
 * comes in bursts; 2.5th to 97.5th percentile. Fewer than TIMING_MIN_RATIO samples on a side, or a median of
 * 0, give an interval of 0 to infinity. */
int timing_ratio(struct cx *cx, const double *a, size_t na, const double *b, size_t nb, bool paired,
                 struct interval *out);

#endif
