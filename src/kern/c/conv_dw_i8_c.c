/* Depthwise convolution of bytes, the reference: a channel after the other. */
#include "kern/kern.h"

void k_i8_conv_dw_c(const struct dw_tap *tap, int64_t n, bool x_signed, int32_t xz, int32_t *acc,
                    int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        uint32_t s = 0;
        for (int64_t t = 0; t < n; t++) {
            int32_t x = x_signed ? (int8_t)tap[t].x[c] : tap[t].x[c];
            s += (uint32_t)(x - xz) * (uint32_t)tap[t].w[c];
        }
        acc[c] = (int32_t)s;
    }
}
