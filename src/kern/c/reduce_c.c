/* Sums and extremes, the reference: fixed order of summation. */
#include <math.h>

#include "kern/kern.h"

void k_f32_minmax_c(const float *in, size_t n, float *lo, float *hi)
{
    float l = INFINITY, h = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        l = in[i] < l ? in[i] : l;
        h = in[i] > h ? in[i] : h;
    }
    *lo = l;
    *hi = h;
}
