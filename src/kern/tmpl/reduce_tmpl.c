/* Reductions. Floats are summed in double (AT), one after the other; integer sums and products wrap. */
#include <math.h>

#include "kern/kern.h"

#if T_FLOAT
typedef double acc_t;
#else
typedef UT acc_t;
#endif

typedef acc_t step_fn(acc_t acc, T x);
typedef T end_fn(acc_t acc, size_t n);

static inline __attribute__((always_inline)) void fold(const T *in, T *out, const struct red_shape *s,
                                                       acc_t init, step_fn *step, end_fn *end)
{
    for (size_t o = 0; o < s->outer; o++, in += s->reduce * s->stride, out += s->inner)
        for (size_t i = 0; i < s->inner; i++) {
            acc_t acc = init;
            for (size_t r = 0; r < s->reduce; r++)
                acc = step(acc, in[r * s->stride + i]);
            out[i] = end(acc, s->reduce);
        }
}

static inline acc_t step_sum(acc_t acc, T x)
{
    return acc + (acc_t)x;
}
static inline acc_t step_prod(acc_t acc, T x)
{
    return acc * (acc_t)x;
}
static inline acc_t step_square(acc_t acc, T x)
{
    return acc + (acc_t)x * (acc_t)x;
}
static inline acc_t step_abs(acc_t acc, T x)
{
    return acc + (is_negative(x) ? 0 - (acc_t)x : (acc_t)x);
}
static inline T end_same(acc_t acc, size_t n)
{
    (void)n;
    return (T)acc;
}
static inline T end_sqrt(acc_t acc, size_t n)
{
    (void)n;
    return (T)sqrt((double)(T)acc);
}

void NAME(sum)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_sum, end_same);
}
void NAME(prod)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 1, step_prod, end_same);
}
void NAME(sum_square)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_square, end_same);
}
void NAME(norm1)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_abs, end_same);
}

#if T_FLOAT
static inline T end_root(acc_t acc, size_t n)
{
    (void)n;
    return (T)sqrt(acc);
}
static inline T end_mean(acc_t acc, size_t n)
{
    return (T)(acc / (double)n);
}
static inline T end_log(acc_t acc, size_t n)
{
    (void)n;
    return (T)log(acc);
}
void NAME(norm2)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_square, end_root);
}
void NAME(mean)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_sum, end_mean);
}
void NAME(log_sum)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_sum, end_log);
}
#else
void NAME(norm2)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_square, end_sqrt);
}
static inline T end_log(acc_t acc, size_t n)
{
    (void)n;
    return acc ? (T)log((double)(T)acc) : T_LOWEST;
}
void NAME(log_sum)(const void *in, void *out, const struct red_shape *s)
{
    fold(in, out, s, 0, step_sum, end_log);
}
/* In 64 bits, truncated toward zero. */
void NAME(mean)(const void *in, void *out, const struct red_shape *s)
{
    const T *x = in;
    T *y = out;
    for (size_t o = 0; o < s->outer; o++, x += s->reduce * s->stride, y += s->inner)
        for (size_t i = 0; i < s->inner; i++) {
            uint64_t acc = 0;
            for (size_t r = 0; r < s->reduce; r++)
                acc += (uint64_t)x[r * s->stride + i];
            y[i] = s->reduce ? (T)((AT)acc / (AT)s->reduce) : 0;
        }
}
#endif

/* The largest value first, so that no exponential overflows. */
void NAME(log_sum_exp)(const void *in, void *out, const struct red_shape *s)
{
    const T *x = in;
    T *y = out;
    for (size_t o = 0; o < s->outer; o++, x += s->reduce * s->stride, y += s->inner)
        for (size_t i = 0; i < s->inner; i++) {
            double top = -INFINITY, acc = 0;
            for (size_t r = 0; r < s->reduce; r++)
                if ((double)x[r * s->stride + i] > top)
                    top = (double)x[r * s->stride + i];
            if (isinf(top))
                top = 0;
            for (size_t r = 0; r < s->reduce; r++)
                acc += exp((double)x[r * s->stride + i] - top);
            double v = top + log(acc);
            y[i] = !T_FLOAT && isinf(v) ? (T)T_LOWEST : (T)v;
        }
}

static inline __attribute__((always_inline)) void extreme(const T *in, T *out, const struct red_shape *s,
                                                          T init, scalar_fn *f)
{
    for (size_t o = 0; o < s->outer; o++, in += s->reduce * s->stride, out += s->inner)
        for (size_t i = 0; i < s->inner; i++) {
            T acc = s->reduce ? in[i] : init;
            for (size_t r = 1; r < s->reduce; r++)
                acc = f(acc, in[r * s->stride + i]);
            out[i] = acc;
        }
}

/* A NaN in the accumulator stays; one that comes later wins. */
static inline T keep_max(T acc, T x)
{
    return x > acc || is_nan(x) ? x : acc;
}
static inline T keep_min(T acc, T x)
{
    return x < acc || is_nan(x) ? x : acc;
}

void NAME(reduce_max)(const void *in, void *out, const struct red_shape *s)
{
    extreme(in, out, s, (T)T_LOWEST, keep_max);
}
void NAME(reduce_min)(const void *in, void *out, const struct red_shape *s)
{
    extreme(in, out, s, (T)T_HIGHEST, keep_min);
}

/* Does x replace best? NaN beats numbers; ties go to the later one when last is set. */
typedef bool beats_fn(T x, T best);
static inline bool above(T x, T best)
{
    return x > best || (is_nan(x) && !is_nan(best));
}
static inline bool below(T x, T best)
{
    return x < best || (is_nan(x) && !is_nan(best));
}

static inline __attribute__((always_inline)) void arg(const T *in, int64_t *out, const struct red_shape *s,
                                                      bool last, beats_fn *beats)
{
    for (size_t o = 0; o < s->outer; o++, in += s->reduce * s->stride, out += s->inner)
        for (size_t i = 0; i < s->inner; i++) {
            size_t at = 0;
            for (size_t r = 1; r < s->reduce; r++) {
                T x = in[r * s->stride + i], best = in[at * s->stride + i];
                if (last ? !beats(best, x) : beats(x, best))
                    at = r;
            }
            out[i] = (int64_t)at;
        }
}

void NAME(argmax)(const void *in, int64_t *out, const struct red_shape *s, bool last)
{
    arg(in, out, s, last, above);
}
void NAME(argmin)(const void *in, int64_t *out, const struct red_shape *s, bool last)
{
    arg(in, out, s, last, below);
}

static inline __attribute__((always_inline)) void running(const T *in, T *out, const struct red_shape *s,
                                                          bool exclusive, bool reverse, acc_t init,
                                                          step_fn *step)
{
    for (size_t o = 0; o < s->outer; o++, in += s->reduce * s->stride, out += s->reduce * s->stride)
        for (size_t i = 0; i < s->inner; i++) {
            acc_t acc = init;
            for (size_t r = 0; r < s->reduce; r++) {
                size_t at = (reverse ? s->reduce - 1 - r : r) * s->stride + i;
                T x = in[at];
                if (exclusive)
                    out[at] = (T)acc;
                acc = step(acc, x);
                if (!exclusive)
                    out[at] = (T)acc;
            }
        }
}

void NAME(cumsum)(const void *in, void *out, const struct red_shape *s, bool exclusive, bool reverse)
{
    running(in, out, s, exclusive, reverse, 0, step_sum);
}
void NAME(cumprod)(const void *in, void *out, const struct red_shape *s, bool exclusive, bool reverse)
{
    running(in, out, s, exclusive, reverse, 1, step_prod);
}
