/* Conversions between float and its neighbours, the reference. */
#include "kern/kern.h"

void k_f32_to_f64_c(const void *in, void *out, size_t n)
{
    const float *x = in;
    double *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = x[i];
}

void k_f64_to_f32_c(const void *in, void *out, size_t n)
{
    const double *x = in;
    float *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = (float)x[i];
}
