/* The epilogue of gemm_epi.h for a vector of 8 columns, and masks for short vectors. */
#ifndef OT_KERN_X86_EPI_AVX2_H
#define OT_KERN_X86_EPI_AVX2_H

#include <immintrin.h>

#include "kern/gemm.h"

enum { LANES = 8 };

/* The first n lanes (0 or less: none, 8 or more: all). */
static inline __m256i lanes_avx2(int64_t n)
{
    const __m256i order = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > LANES ? LANES : n < 0 ? 0 : (int)n), order);
}

static inline __m256 epi_act_avx2(const struct gemm_epi *e, __m256 v)
{
    /* max and min return their second operand when one is NaN. */
    switch (e->act) {
    case ACT_NONE:
        break;
    case ACT_RELU:
        return _mm256_max_ps(_mm256_setzero_ps(), v);
    case ACT_CLIP:
        v = _mm256_max_ps(_mm256_set1_ps(e->lo), v);
        return _mm256_min_ps(_mm256_set1_ps(e->hi), v);
    case ACT_LEAKY:
        return _mm256_blendv_ps(v, _mm256_mul_ps(v, _mm256_set1_ps(e->lo)),
                                _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LT_OQ));
    }
    return v;
}

/* Sums s of row i, columns j and on, of which those in k exist. */
static inline __m256 epi_avx2(const struct gemm_epi *e, __m256 s, int64_t i, int64_t j, __m256i k)
{
    __m256 beta = _mm256_set1_ps(e->beta);
    __m256 v = _mm256_mul_ps(_mm256_set1_ps(e->alpha), s);
    if (e->bias_m)
        v = _mm256_add_ps(v, _mm256_mul_ps(beta, _mm256_set1_ps(e->bias_m[i])));
    if (e->bias_n)
        v = _mm256_add_ps(v, _mm256_mul_ps(beta, _mm256_maskload_ps(e->bias_n + j, k)));
    if (e->res)
        v = _mm256_add_ps(v, _mm256_mul_ps(beta, _mm256_maskload_ps(e->res + i * e->ldres + j, k)));
    return epi_act_avx2(e, v);
}

#endif
