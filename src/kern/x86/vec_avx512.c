/* Elementwise kernels and conversions with AVX-512. */
#include "kern/x86/v_avx512.h"

#include "kern/tmpl/vec_simd_tmpl.c"

void k_f16_widen_avx512(const uint16_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(in + i))));
    if (i < n) {
        __m256i h = _mm256_maskz_loadu_epi16((__mmask16)((1u << (n - i)) - 1), in + i);
        v_store_n(out + i, _mm512_cvtph_ps(h), n - i);
    }
}

void k_f16_narrow_avx512(const float *in, uint16_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(out + i), _mm512_cvtps_ph(_mm512_loadu_ps(in + i), 0));
    if (i < n)
        _mm256_mask_storeu_epi16(out + i, (__mmask16)((1u << (n - i)) - 1),
                                 _mm512_cvtps_ph(v_load_n(in + i, n - i), 0));
}

void k_bf16_widen_avx512(const uint16_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(in + i)));
        _mm512_storeu_si512(out + i, _mm512_slli_epi32(w, 16));
    }
    if (i < n) {
        __m256i h = _mm256_maskz_loadu_epi16((__mmask16)((1u << (n - i)) - 1), in + i);
        v_store_n(out + i, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)), n - i);
    }
}

/* Adds just under half of the last kept place, more by one when that place is odd; NaN is made quiet instead.
 */
static inline __m256i bf16_round(__m512 x)
{
    __m512i b = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    r = _mm512_mask_or_epi32(r, v_nan(x), b, _mm512_set1_epi32(0x00400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}

void k_bf16_narrow_avx512(const float *in, uint16_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(out + i), bf16_round(_mm512_loadu_ps(in + i)));
    if (i < n)
        _mm256_mask_storeu_epi16(out + i, (__mmask16)((1u << (n - i)) - 1),
                                 bf16_round(v_load_n(in + i, n - i)));
}
