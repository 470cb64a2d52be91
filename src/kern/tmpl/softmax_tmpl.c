/* Softmax and its relatives along the middle axis, sums in double. */
#include <math.h>

#include "kern/kern.h"

typedef void row_fn(const T *x, T *y, size_t n, size_t stride);

static inline __attribute__((always_inline)) void rows(row_fn *f, const T *in, T *out,
                                                       const struct red_shape *s)
{
    for (size_t o = 0; o < s->outer; o++)
        for (size_t i = 0; i < s->inner; i++)
            f(in + o * s->reduce * s->stride + i, out + o * s->reduce * s->stride + i, s->reduce, s->stride);
}

static T row_max(const T *x, size_t n, size_t stride)
{
    T top = T_LOWEST;
    for (size_t r = 0; r < n; r++)
        top = keep_max(top, x[r * stride]);
    return top;
}

static double row_exp_sum(const T *x, T top, size_t n, size_t stride)
{
    double sum = 0;
    for (size_t r = 0; r < n; r++)
        sum += M(exp)(x[r * stride] - top);
    return sum;
}

static inline void row_softmax(const T *x, T *y, size_t n, size_t stride)
{
    T top = row_max(x, n, stride);
    double sum = 0;
    for (size_t r = 0; r < n; r++) {
        T e = M(exp)(x[r * stride] - top);
        y[r * stride] = e;
        sum += e;
    }
    T inv = (T)(1 / sum);
    for (size_t r = 0; r < n; r++)
        y[r * stride] *= inv;
}

static inline void row_log_softmax(const T *x, T *y, size_t n, size_t stride)
{
    T top = row_max(x, n, stride);
    T lg = (T)log(row_exp_sum(x, top, n, stride));
    for (size_t r = 0; r < n; r++)
        y[r * stride] = x[r * stride] - top - lg;
}

static inline void row_hardmax(const T *x, T *y, size_t n, size_t stride)
{
    size_t at = 0;
    for (size_t r = 1; r < n; r++)
        if (above(x[r * stride], x[at * stride]))
            at = r;
    for (size_t r = 0; r < n; r++)
        y[r * stride] = r == at;
}

static inline void row_l1(const T *x, T *y, size_t n, size_t stride)
{
    double sum = 0;
    for (size_t r = 0; r < n; r++)
        sum += fabs((double)x[r * stride]);
    for (size_t r = 0; r < n; r++)
        y[r * stride] = sum != 0 ? (T)(x[r * stride] / sum) : 0;
}

static inline void row_l2(const T *x, T *y, size_t n, size_t stride)
{
    double sum = 0;
    for (size_t r = 0; r < n; r++)
        sum += (double)x[r * stride] * x[r * stride];
    sum = sqrt(sum);
    for (size_t r = 0; r < n; r++)
        y[r * stride] = sum != 0 ? (T)(x[r * stride] / sum) : 0;
}

void NAME(softmax)(const void *in, void *out, const struct red_shape *s)
{
    rows(row_softmax, in, out, s);
}
void NAME(log_softmax)(const void *in, void *out, const struct red_shape *s)
{
    rows(row_log_softmax, in, out, s);
}
void NAME(hardmax)(const void *in, void *out, const struct red_shape *s)
{
    rows(row_hardmax, in, out, s);
}
void NAME(l1_norm)(const void *in, void *out, const struct red_shape *s)
{
    rows(row_l1, in, out, s);
}
void NAME(l2_norm)(const void *in, void *out, const struct red_shape *s)
{
    rows(row_l2, in, out, s);
}
