/* Percentiles, outliers, drift and confidence intervals of measured times. */
#include "compare/timing.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double timing_percentile(const double *sorted, size_t n, double p)
{
    if (!n)
        return NAN;
    double at = p / 100 * (double)(n - 1);
    if (!(at > 0))
        return sorted[0];
    if (at >= (double)(n - 1))
        return sorted[n - 1];
    size_t i = (size_t)at;
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

size_t timing_needs(double p)
{
    double tail = p < 50 ? p : 100 - p;
    if (!(tail > 0))
        return 1;
    /* 100 - 99.9 is not quite 0.1: without the slack p99.9 would need 5001. */
    return (size_t)fmax(10, ceil(500 / tail * (1 - 1e-9)));
}

/* ---- one series ---- */

static void moments(const double *v, size_t n, struct timing *t)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    t->mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - t->mean) * (v[i] - t->mean);
    t->sd = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
    t->cv = t->mean > 0 ? t->sd / t->mean : 0;
}

static size_t count_outliers(const double *sorted, size_t n)
{
    double q1 = timing_percentile(sorted, n, 25), q3 = timing_percentile(sorted, n, 75);
    double range = fmax(q3 - q1, 0.01 * timing_percentile(sorted, n, 50));
    size_t out = 0;
    for (size_t i = 0; i < n; i++)
        out += sorted[i] < q1 - TIMING_OUTLIER_FENCE * range || sorted[i] > q3 + TIMING_OUTLIER_FENCE * range;
    return out;
}

static int find_drift(struct cx *cx, const double *v, size_t n, struct timing *t)
{
    struct interval r;
    size_t third = n / 3;
    t->drift = NAN;
    if (n < TIMING_MIN_DRIFT)
        return OK;
    int rc = timing_ratio(cx, v + n - third, third, v, third, false, &r);
    if (rc)
        return rc;
    t->drift = r.value;
    t->drifts = fabs(r.value - 1) > 0.03 && (r.lo > 1 || r.hi < 1);
    return OK;
}

int timing_of(struct cx *cx, const double *v, size_t n, double *sorted, struct timing *out)
{
    *out = (struct timing){.n = n, .min = NAN, .max = NAN, .mean = NAN, .median = NAN, .drift = NAN};
    if (!n)
        return OK;
    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, by_value);
    out->min = sorted[0];
    out->max = sorted[n - 1];
    out->median = timing_percentile(sorted, n, 50);
    moments(v, n, out);
    out->outliers = count_outliers(sorted, n);
    out->many_outliers = out->outliers * 100 > n;
    return find_drift(cx, v, n, out);
}

/* ---- two series ---- */

/* A series with its order, so that the median of a resample takes a walk and no sort. */
struct series {
    const double *v;
    size_t n;
    uint32_t *order; /* indices, by value */
    uint32_t *times; /* how often each sample was drawn */
};

struct ranked {
    double v;
    uint32_t i;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->v != y->v ? (x->v > y->v) - (x->v < y->v) : (x->i > y->i) - (x->i < y->i);
}

static int series_init(struct cx *cx, struct series *s, const double *v, size_t n)
{
    struct ranked *r = arena_array(&cx->scratch, n, sizeof *r);
    s->v = v;
    s->n = n;
    s->order = arena_array(&cx->scratch, n, sizeof *s->order);
    s->times = arena_array(&cx->scratch, n, sizeof *s->times);
    if (!r || !s->order || !s->times)
        return err_nomem(cx);
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct ranked){v[i], (uint32_t)i};
        s->times[i] = 1;
    }
    qsort(r, n, sizeof *r, by_rank);
    for (size_t i = 0; i < n; i++)
        s->order[i] = r[i].i;
    return OK;
}

/* n samples in runs of successive ones, around the end. */
static void draw(struct series *s, struct rng *rng)
{
    size_t run = (size_t)ceil(cbrt((double)s->n)), left = s->n;
    memset(s->times, 0, s->n * sizeof *s->times);
    while (left) {
        size_t at = (size_t)rng_range(rng, 0, (int64_t)s->n);
        for (size_t k = 0; k < run && left; k++, left--) {
            s->times[at]++;
            at = at + 1 == s->n ? 0 : at + 1;
        }
    }
}

static double median_drawn(const struct series *s)
{
    size_t low = (s->n - 1) / 2, high = s->n / 2, seen = 0, i = 0;
    while (seen + s->times[s->order[i]] <= low)
        seen += s->times[s->order[i++]];
    double below = s->v[s->order[i]];
    while (seen + s->times[s->order[i]] <= high)
        seen += s->times[s->order[i++]];
    return (below + s->v[s->order[i]]) / 2;
}

/* Resamples: enough for a steady 95% interval, fewer of long series, which need them less. */
static size_t resamples(size_t n)
{
    size_t r = 40000000 / n;
    return r > 2000 ? 2000 : r < 200 ? 200 : r;
}

int timing_ratio(struct cx *cx, const double *a, size_t na, const double *b, size_t nb, bool paired,
                 struct interval *out)
{
    struct arena_mark mark = arena_mark(&cx->scratch);
    struct series x, y;
    struct rng rng;
    *out = (struct interval){NAN, 0, INFINITY};
    if (!na || !nb)
        return OK;
    size_t rounds = resamples(na > nb ? na : nb);
    int rc = series_init(cx, &x, a, na);
    if (!rc)
        rc = series_init(cx, &y, b, nb);
    double *ratio = rc ? NULL : arena_array(&cx->scratch, rounds, sizeof *ratio);
    if (!rc && !ratio)
        rc = err_nomem(cx);
    if (rc)
        return rc;
    double base = median_drawn(&y);
    out->value = median_drawn(&x) / base;
    rng_seed(&rng, 1);
    for (size_t k = 0; k < rounds; k++) {
        draw(&x, &rng);
        if (paired)
            memcpy(y.times, x.times, nb * sizeof *y.times);
        else
            draw(&y, &rng);
        ratio[k] = median_drawn(&x) / median_drawn(&y);
    }
    if (na >= TIMING_MIN_RATIO && nb >= TIMING_MIN_RATIO && base > 0) {
        qsort(ratio, rounds, sizeof *ratio, by_value);
        out->lo = timing_percentile(ratio, rounds, 2.5);
        out->hi = timing_percentile(ratio, rounds, 97.5);
    }
    arena_release(&cx->scratch, mark);
    return OK;
}
