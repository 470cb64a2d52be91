/* The epilogue of gemm_epi.h for a vector of 16 columns. */
#ifndef OT_KERN_X86_EPI_AVX512_H
#define OT_KERN_X86_EPI_AVX512_H

#include <immintrin.h>

#include "kern/gemm.h"

enum { LANES = 16 };

/* Lanes of vector v that lie within n columns. */
static inline __mmask16 lanes(int n, int v)
{
    int left = n - v * LANES;
    return left >= LANES ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
}

static inline __m512 epi_act_avx512(const struct gemm_epi *e, __m512 v)
{
    /* max and min return their second operand when one is NaN. */
    switch (e->act) {
    case ACT_NONE:
        break;
    case ACT_RELU:
        return _mm512_max_ps(_mm512_setzero_ps(), v);
    case ACT_CLIP:
        v = _mm512_max_ps(_mm512_set1_ps(e->lo), v);
        return _mm512_min_ps(_mm512_set1_ps(e->hi), v);
    case ACT_LEAKY:
        return _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_LT_OQ), v,
                                  _mm512_set1_ps(e->lo));
    }
    return v;
}

/* Sums s of row i, columns j and on, of which those in k exist. */
static inline __m512 epi_avx512(const struct gemm_epi *e, __m512 s, int64_t i, int64_t j, __mmask16 k)
{
    __m512 beta = _mm512_set1_ps(e->beta);
    __m512 v = _mm512_mul_ps(_mm512_set1_ps(e->alpha), s);
    if (e->bias_m)
        v = _mm512_add_ps(v, _mm512_mul_ps(beta, _mm512_set1_ps(e->bias_m[i])));
    if (e->bias_n)
        v = _mm512_add_ps(v, _mm512_mul_ps(beta, _mm512_maskz_loadu_ps(k, e->bias_n + j)));
    if (e->res)
        v = _mm512_add_ps(v, _mm512_mul_ps(beta, _mm512_maskz_loadu_ps(k, e->res + i * e->ldres + j)));
    return epi_act_avx512(e, v);
}

#endif
