/* Unary functions of the float types: the reference for the vector rows, through libm of the same precision.
 */
#include <math.h>

#include "kern/kern.h"

static inline T sigmoid(T x)
{
    T t = M(exp)(-M(fabs)(x));
    return (x < 0 ? t : 1) / (1 + t);
}

/* NaN stays */
static inline T clamp01(T x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* tanh(ln(1 + w)) = (w^2 + 2w) / (w^2 + 2w + 2), w = e^x; from 20 on it is 1. */
static inline T mish(T x)
{
    T w = M(exp)(x > 20 ? 20 : x);
    T u = w * (w + 2);
    return x * (u / (u + 2));
}

void NAME(sqrt)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(sqrt)(x);
    }
}

void NAME(reciprocal)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = 1 / x;
    }
}

void NAME(exp)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(exp)(x);
    }
}

void NAME(log)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(log)(x);
    }
}

void NAME(erf)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(erf)(x);
    }
}

void NAME(tanh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(tanh)(x);
    }
}

void NAME(sigmoid)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = sigmoid(x);
    }
}

void NAME(leaky_relu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x < 0 ? a * x : x;
    }
}

void NAME(elu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x < 0 ? a * M(expm1)(x) : x;
    }
}

void NAME(selu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a, b = (T)p->b;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = b * (x <= 0 ? a * M(expm1)(x) : x);
    }
}

void NAME(celu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x < 0 ? a * M(expm1)(x / a) : x;
    }
}

void NAME(hard_sigmoid)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a, b = (T)p->b;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = clamp01(a * x + b);
    }
}

void NAME(hard_swish)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x * clamp01(x * (T)(1.0 / 6) + (T)0.5);
    }
}

void NAME(softplus)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = (x > 0 ? x : 0) + M(log1p)(M(exp)(-M(fabs)(x)));
    }
}

void NAME(softsign)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x / (1 + M(fabs)(x));
    }
}

void NAME(silu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x * sigmoid(a * x);
    }
}

void NAME(gelu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = (T)0.5 * x * (1 + M(erf)(x * (T)0.70710678118654752440));
    }
}

void NAME(gelu_tanh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x * sigmoid((T)1.59576912160573071176 * (x + (T)0.044715 * x * x * x));
    }
}

void NAME(mish)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = mish(x);
    }
}

void NAME(thresholded_relu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x > a || x != x ? x : 0;
    }
}

void NAME(shrink)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a, b = (T)p->b;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = x < -a ? x + b : x > a ? x - b : x != x ? x : 0;
    }
}

void NAME(affine)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    T a = (T)p->a, b = (T)p->b;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = a * x + b;
    }
}

void NAME(floor)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(floor)(x);
    }
}

void NAME(ceil)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(ceil)(x);
    }
}

void NAME(round)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(nearbyint)(x);
    }
}

void NAME(sin)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(sin)(x);
    }
}

void NAME(cos)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(cos)(x);
    }
}

void NAME(tan)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(tan)(x);
    }
}

void NAME(asin)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(asin)(x);
    }
}

void NAME(acos)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(acos)(x);
    }
}

void NAME(atan)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(atan)(x);
    }
}

void NAME(sinh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(sinh)(x);
    }
}

void NAME(cosh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(cosh)(x);
    }
}

void NAME(asinh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(asinh)(x);
    }
}

void NAME(acosh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(acosh)(x);
    }
}

void NAME(atanh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *src = in;
    T *dst = out;
    (void)p;
    for (size_t i = 0; i < n; i++) {
        T x = src[i];
        dst[i] = M(atanh)(x);
    }
}

void NAME(is_nan)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    uint8_t *y = out;
    (void)p;
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] != x[i];
}

void NAME(is_inf)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    uint8_t *y = out;
    bool pos = p->a != 0, neg = p->b != 0;
    for (size_t i = 0; i < n; i++)
        y[i] = (pos && x[i] == T_HIGHEST) || (neg && x[i] == T_LOWEST);
}
