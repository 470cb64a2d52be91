/* Depthwise convolution of bytes, 16 channels at a time; the last ones one by one. */
#include <immintrin.h>

#include "kern/kern.h"

enum { LANES = 8 };

static inline __m256i load_x(const uint8_t *x, bool x_signed)
{
    __m128i b = _mm_loadl_epi64((const __m128i *)x);
    return x_signed ? _mm256_cvtepi8_epi32(b) : _mm256_cvtepu8_epi32(b);
}

static inline __m256i load_w(const int16_t *w)
{
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)w));
}

static inline int32_t one_channel(const struct dw_tap *tap, int64_t n, bool x_signed, int32_t xz, int64_t c)
{
    uint32_t s = 0;
    for (int64_t t = 0; t < n; t++) {
        int32_t x = x_signed ? (int8_t)tap[t].x[c] : tap[t].x[c];
        s += (uint32_t)(x - xz) * (uint32_t)tap[t].w[c];
    }
    return (int32_t)s;
}

static inline __attribute__((always_inline)) void dw(const struct dw_tap *tap, int64_t n, bool x_signed,
                                                     int32_t xz, int32_t *acc, int64_t channels)
{
    __m256i z = _mm256_set1_epi32(xz);
    int64_t c = 0;
    for (; c + 2 * LANES <= channels; c += 2 * LANES) {
        __m256i s0 = _mm256_setzero_si256(), s1 = s0;
        for (int64_t t = 0; t < n; t++) {
            __m256i x0 = _mm256_sub_epi32(load_x(tap[t].x + c, x_signed), z);
            __m256i x1 = _mm256_sub_epi32(load_x(tap[t].x + c + LANES, x_signed), z);
            s0 = _mm256_add_epi32(s0, _mm256_mullo_epi32(x0, load_w(tap[t].w + c)));
            s1 = _mm256_add_epi32(s1, _mm256_mullo_epi32(x1, load_w(tap[t].w + c + LANES)));
        }
        _mm256_storeu_si256((__m256i *)(acc + c), s0);
        _mm256_storeu_si256((__m256i *)(acc + c + LANES), s1);
    }
    for (; c < channels; c++)
        acc[c] = one_channel(tap, n, x_signed, xz, c);
}

void k_i8_conv_dw_avx2(const struct dw_tap *tap, int64_t n, bool x_signed, int32_t xz, int32_t *acc,
                       int64_t channels)
{
    if (x_signed)
        dw(tap, n, true, xz, acc, channels);
    else
        dw(tap, n, false, xz, acc, channels);
}
