/* One axis of a linear or cubic resize: each output line is a weighted sum of input lines. */
#include "kern/kern.h"

void NAME(resize)(const struct resize_table *t, const void *in, void *out, size_t outer, size_t n,
                  size_t inner, double extrapolation)
{
    const T *x = in;
    T *y = out;
    for (size_t o = 0; o < outer; o++, x += n * inner)
        for (int64_t j = 0; j < t->out; j++, y += inner) {
            const int32_t *index = t->index + j * t->taps;
            const float *w = t->weight + j * t->taps;
            for (size_t i = 0; i < inner; i++) {
                T sum = index[0] < 0 ? (T)extrapolation : 0;
                for (int k = 0; k < t->taps && index[0] >= 0; k++)
                    sum += (T)w[k] * x[(size_t)index[k] * inner + i];
                y[i] = sum;
            }
        }
}
