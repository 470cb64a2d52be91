/* Depthwise convolution of bytes, 16 or 32 channels at a time, the last ones under a mask. */
#include <immintrin.h>

#include "kern/kern.h"

enum { LANES = 16 };

static inline __m512i load_x(const uint8_t *x, __mmask16 m, bool x_signed)
{
    __m128i b = _mm_maskz_loadu_epi8(m, x);
    return x_signed ? _mm512_cvtepi8_epi32(b) : _mm512_cvtepu8_epi32(b);
}

static inline __m512i load_w(const int16_t *w, __mmask16 m)
{
    return _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(m, w));
}

static inline __attribute__((always_inline)) void dw(const struct dw_tap *tap, int64_t n, bool x_signed,
                                                     int32_t xz, int32_t *acc, int64_t channels)
{
    __m512i z = _mm512_set1_epi32(xz);
    int64_t c = 0;
    for (; c + 2 * LANES <= channels; c += 2 * LANES) {
        __m512i s0 = _mm512_setzero_si512(), s1 = s0;
        for (int64_t t = 0; t < n; t++) {
            __m512i x0 = _mm512_sub_epi32(load_x(tap[t].x + c, 0xffff, x_signed), z);
            __m512i x1 = _mm512_sub_epi32(load_x(tap[t].x + c + LANES, 0xffff, x_signed), z);
            s0 = _mm512_add_epi32(s0, _mm512_mullo_epi32(x0, load_w(tap[t].w + c, 0xffff)));
            s1 = _mm512_add_epi32(s1, _mm512_mullo_epi32(x1, load_w(tap[t].w + c + LANES, 0xffff)));
        }
        _mm512_storeu_si512(acc + c, s0);
        _mm512_storeu_si512(acc + c + LANES, s1);
    }
    for (; c < channels; c += LANES) {
        int64_t left = channels - c;
        __mmask16 m = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
        __m512i s = _mm512_setzero_si512();
        for (int64_t t = 0; t < n; t++) {
            __m512i x = _mm512_sub_epi32(load_x(tap[t].x + c, m, x_signed), z);
            s = _mm512_add_epi32(s, _mm512_mullo_epi32(x, load_w(tap[t].w + c, m)));
        }
        _mm512_mask_storeu_epi32(acc + c, m, s);
    }
}

void k_i8_conv_dw_avx512(const struct dw_tap *tap, int64_t n, bool x_signed, int32_t xz, int32_t *acc,
                         int64_t channels)
{
    if (x_signed)
        dw(tap, n, true, xz, acc, channels);
    else
        dw(tap, n, false, xz, acc, channels);
}
