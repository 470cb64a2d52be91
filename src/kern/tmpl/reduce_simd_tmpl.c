/* Float reductions: along contiguous rows, or down columns, a vector of columns at a time. */
#include <math.h>

#include "kern/kern.h"
#include "kern/tmpl/fold_simd.h"
#include "kern/tmpl/v_names.h"

typedef float fold_end(double sum, size_t n);

static inline float end_same(double sum, size_t n)
{
    (void)n;
    return (float)sum;
}
static inline float end_mean(double sum, size_t n)
{
    return (float)(sum / (double)n);
}
static inline float end_root(double sum, size_t n)
{
    (void)n;
    return (float)sqrt(sum);
}

/* Down VN columns: FOLD_RUN rows in one vector, runs added up in a second. */
enum { FOLD_RUN = 64 };

static inline __attribute__((always_inline)) void fold_columns(fold_pre *pre, fold_end *end, const float *x,
                                                               float *y, const struct red_shape *s, size_t n)
{
    float sums[VN];
    vf total = v_set1(0.0f), c = total;
    for (size_t r = 0; r < s->reduce; r += FOLD_RUN) {
        size_t last = s->reduce - r < FOLD_RUN ? s->reduce : r + FOLD_RUN;
        vf part = v_set1(0.0f);
        for (size_t i = r; i < last; i++) {
            const float *row = x + i * s->stride;
            part = v_add(part, pre(n == VN ? v_load(row) : v_load_n(row, n), c));
        }
        total = v_add(total, part);
    }
    v_store(sums, total);
    for (size_t i = 0; i < n; i++)
        y[i] = end((double)sums[i], s->reduce);
}

static inline __attribute__((always_inline)) void fold(fold_pre *pre, fold_end *end, const float *x, float *y,
                                                       const struct red_shape *s)
{
    for (size_t o = 0; o < s->outer; o++, x += s->reduce * s->stride, y += s->inner) {
        if (s->inner == 1 && s->stride == 1) {
            y[0] = end(fold_row(pre, x, s->reduce, 0.0f), s->reduce);
            continue;
        }
        for (size_t i = 0; i < s->inner; i += VN)
            fold_columns(pre, end, x + i, y + i, s, s->inner - i < VN ? s->inner - i : VN);
    }
}

void VNAME(sum)(const void *in, void *out, const struct red_shape *s)
{
    fold(fold_same, end_same, in, out, s);
}
void VNAME(mean)(const void *in, void *out, const struct red_shape *s)
{
    fold(fold_same, end_mean, in, out, s);
}
void VNAME(sum_square)(const void *in, void *out, const struct red_shape *s)
{
    fold(fold_square, end_same, in, out, s);
}
void VNAME(norm1)(const void *in, void *out, const struct red_shape *s)
{
    fold(fold_abs, end_same, in, out, s);
}
void VNAME(norm2)(const void *in, void *out, const struct red_shape *s)
{
    fold(fold_square, end_root, in, out, s);
}

typedef vf extreme_fn(vf acc, vf x);

/* NaN on either side stays; of two zeros the accumulator does, as in the reference. */
static inline vf keep_max(vf acc, vf x)
{
    return v_sel(v_mor(v_lt(acc, x), v_nan(x)), x, acc);
}
static inline vf keep_min(vf acc, vf x)
{
    return v_sel(v_mor(v_lt(x, acc), v_nan(x)), x, acc);
}
static inline float keep_max1(float acc, float x)
{
    return x > acc || x != x ? x : acc;
}
static inline float keep_min1(float acc, float x)
{
    return x < acc || x != x ? x : acc;
}

typedef float extreme1_fn(float acc, float x);

static inline __attribute__((always_inline)) float extreme_row(extreme_fn *f, extreme1_fn *f1, const float *x,
                                                               size_t n, float init)
{
    float lanes[VN], best = init;
    vf a = v_set1(init), b = a;
    size_t i = 0;
    for (; i + 2 * VN <= n; i += 2 * VN) {
        a = f(a, v_load(x + i));
        b = f(b, v_load(x + i + VN));
    }
    for (; i < n; i += VN) {
        size_t m = n - i < VN ? n - i : VN;
        a = f(a, m == VN ? v_load(x + i) : v_keep_n(v_load_n(x + i, m), v_set1(init), m));
    }
    v_store(lanes, f(a, b));
    for (int j = 0; j < VN; j++)
        best = f1(best, lanes[j]);
    return best;
}

static inline __attribute__((always_inline)) void extreme(extreme_fn *f, extreme1_fn *f1, const float *x,
                                                          float *y, const struct red_shape *s, float init)
{
    for (size_t o = 0; o < s->outer; o++, x += s->reduce * s->stride, y += s->inner) {
        if (s->inner == 1 && s->stride == 1) {
            y[0] = extreme_row(f, f1, x, s->reduce, init);
            continue;
        }
        for (size_t i = 0; i < s->inner; i += VN) {
            size_t n = s->inner - i < VN ? s->inner - i : VN;
            vf acc = v_set1(init);
            for (size_t r = 0; r < s->reduce; r++) {
                const float *row = x + r * s->stride + i;
                acc = f(acc, n == VN ? v_load(row) : v_load_n(row, n));
            }
            if (n == VN)
                v_store(y + i, acc);
            else
                v_store_n(y + i, acc, n);
        }
    }
}

void VNAME(reduce_max)(const void *in, void *out, const struct red_shape *s)
{
    extreme(keep_max, keep_max1, in, out, s, -INFINITY);
}
void VNAME(reduce_min)(const void *in, void *out, const struct red_shape *s)
{
    extreme(keep_min, keep_min1, in, out, s, INFINITY);
}

/* The operand order drops NaN. */
void VNAME(minmax)(const float *in, size_t n, float *lo, float *hi)
{
    vf l = v_set1(INFINITY), h = v_set1(-INFINITY);
    size_t i = 0;
    for (; i + VN <= n; i += VN) {
        vf x = v_load(in + i);
        l = v_min(x, l);
        h = v_max(x, h);
    }
    if (i < n) {
        l = v_min(v_keep_n(v_load_n(in + i, n - i), l, n - i), l);
        h = v_max(v_keep_n(v_load_n(in + i, n - i), h, n - i), h);
    }
    *lo = v_hmin(l);
    *hi = v_hmax(h);
}
