/* Unary operations that every numeric type has. Integers wrap: -INT_MIN is INT_MIN. */
#include "kern/kern.h"

void NAME(neg)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    T *y = out;
    (void)p;
    for (size_t i = 0; i < n; i++)
        y[i] = T_FLOAT ? (T)-x[i] : (T)(0 - (UT)x[i]);
}

void NAME(abs)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    T *y = out;
    (void)p;
#if T_FLOAT
    for (size_t i = 0; i < n; i++)
        y[i] = M(fabs)(x[i]);
#else
    for (size_t i = 0; i < n; i++)
        y[i] = is_negative(x[i]) ? (T)(0 - (UT)x[i]) : x[i];
#endif
}

/* NaN stays NaN. */
void NAME(sign)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    T *y = out;
    (void)p;
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? 1 : is_negative(x[i]) ? (T)-1 : x[i];
}

void NAME(square)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    T *y = out;
    (void)p;
    for (size_t i = 0; i < n; i++)
        y[i] = (T)((UT)x[i] * (UT)x[i]);
}

void NAME(relu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    T *y = out;
    (void)p;
    for (size_t i = 0; i < n; i++)
        y[i] = is_negative(x[i]) ? 0 : x[i];
}
