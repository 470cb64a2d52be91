/* Conversions between one type and the three that all casts travel through; cast.h defines the odd cases. */
#include "kern/kern.h"
#include "kern/tmpl/cast_float.h"

#if !T_FLOAT
void NAME(to_f32)(const void *in, void *out, size_t n)
{
    const T *x = in;
    float *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = (float)x[i];
}
void NAME(to_f64)(const void *in, void *out, size_t n)
{
    const T *x = in;
    double *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = (double)x[i];
}
#ifndef T_IS_S64
void NAME(to_s64)(const void *in, void *out, size_t n)
{
    const T *x = in;
    int64_t *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = (int64_t)x[i];
}
void NAME(from_s64)(const void *in, void *out, size_t n)
{
    const int64_t *x = in;
    T *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = (T)x[i];
}
#endif
void NAME(from_f32)(const void *in, void *out, size_t n)
{
    const float *x = in;
    T *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = T_FROM_FLOAT(x[i]);
}
void NAME(from_f64)(const void *in, void *out, size_t n)
{
    const double *x = in;
    T *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = T_FROM_FLOAT(x[i]);
}
#endif
