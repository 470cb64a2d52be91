/* Elementwise kernels and conversions with AVX2. */
#include "kern/x86/v_avx2.h"

#include <string.h>

#include "kern/tmpl/vec_simd_tmpl.c"

static inline __m128i load_half_n(const uint16_t *in, size_t n)
{
    uint16_t b[8] = {0};
    memcpy(b, in, n * sizeof *in);
    return _mm_loadu_si128((const __m128i *)b);
}

static inline void store_half_n(uint16_t *out, __m128i h, size_t n)
{
    uint16_t b[8];
    _mm_storeu_si128((__m128i *)b, h);
    memcpy(out, b, n * sizeof *out);
}

void k_f16_widen_avx2(const uint16_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + i))));
    if (i < n)
        v_store_n(out + i, _mm256_cvtph_ps(load_half_n(in + i, n - i)), n - i);
}

void k_f16_narrow_avx2(const float *in, uint16_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), 0));
    if (i < n)
        store_half_n(out + i, _mm256_cvtps_ph(v_load_n(in + i, n - i), 0), n - i);
}

void k_bf16_widen_avx2(const uint16_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(in + i)));
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_slli_epi32(w, 16));
    }
    if (i < n) {
        __m256i w = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half_n(in + i, n - i)), 16);
        v_store_n(out + i, _mm256_castsi256_ps(w), n - i);
    }
}

/* Adds just under half of the last kept place, more by one when that place is odd; NaN is made quiet instead.
 */
static inline __m128i bf16_round(__m256 x)
{
    __m256i b = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(b, _mm256_set1_epi32(0x00400000));
    r = _mm256_blendv_epi8(r, quiet, _mm256_castps_si256(v_nan(x)));
    r = _mm256_srli_epi32(r, 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}

void k_bf16_narrow_avx2(const float *in, uint16_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(out + i), bf16_round(_mm256_loadu_ps(in + i)));
    if (i < n)
        store_half_n(out + i, bf16_round(v_load_n(in + i, n - i)), n - i);
}
