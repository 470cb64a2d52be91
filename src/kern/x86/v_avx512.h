/* The vector type that the SIMD templates are written against, 16 floats. v_avx2.h is its twin: same names,
 * same results; only the width differs. Static functions only. */
#ifndef OT_KERN_V_AVX512_H
#define OT_KERN_V_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VN    16
#define V_ISA avx512

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

static inline vf v_set1(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
/* The first n < VN elements; the others are zero, and are not touched in memory. */
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}
/* The first n elements of x, elsewhere those of rest. */
static inline vf v_keep_n(vf x, vf rest, size_t n)
{
    return _mm512_mask_blend_ps((__mmask16)((1u << n) - 1), rest, x);
}
static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf v_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
/* a b + c, and c - a b, rounded once */
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
/* As the instruction: the second operand when one is NaN or both are zero. */
static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf v_nearest(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_floor(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
static inline vf v_ceil(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}
static inline vm v_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vm v_nan(vf a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
static inline vf v_sel(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline vi v_bits(vf a)
{
    return _mm512_castps_si512(a);
}
static inline vf v_from_bits(vi a)
{
    return _mm512_castsi512_ps(a);
}
static inline vi v_iset1(int32_t x)
{
    return _mm512_set1_epi32(x);
}
static inline vi v_iadd(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}
static inline vi v_isub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}
static inline vi v_iand(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}
static inline vi v_ior(vi a, vi b)
{
    return _mm512_or_si512(a, b);
}
static inline vi v_ixor(vi a, vi b)
{
    return _mm512_xor_si512(a, b);
}
static inline vi v_isar(vi a, int n)
{
    return _mm512_srai_epi32(a, (unsigned)n);
}
static inline vi v_shl23(vi a)
{
    return _mm512_slli_epi32(a, 23);
}
static inline vi v_to_int(vf a)
{
    return _mm512_cvtps_epi32(a);
}
static inline vf v_to_float(vi a)
{
    return _mm512_cvtepi32_ps(a);
}
/* Sum and extreme over the lanes, halves folded onto each other. */
static inline float v_hsum(vf a)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
static inline float v_hmax(vf a)
{
    return _mm512_reduce_max_ps(a);
}
static inline float v_hmin(vf a)
{
    return _mm512_reduce_min_ps(a);
}
static inline int v_any(vm m)
{
    return m != 0;
}
static inline vm v_mor(vm a, vm b)
{
    return (vm)(a | b);
}
static inline vm v_mnone(void)
{
    return 0;
}

/* Elements 0, 2, 4, ... of a and b in sequence. */
static inline vf v_even(vf a, vf b)
{
    __m512i at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(a, at, b);
}
/* Bytes to 32-bit integers and the low bytes back; n elements at most VN. */
static inline vi v_load_u8(const uint8_t *p, size_t n)
{
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p));
}
static inline vi v_load_s8(const uint8_t *p, size_t n)
{
    return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p));
}
static inline void v_store_low8(uint8_t *p, vi x, size_t n)
{
    _mm512_mask_cvtepi32_storeu_epi8(p, (__mmask16)((1u << n) - 1), x);
}
static inline vi v_iload_n(const int32_t *p, size_t n)
{
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), p);
}

#endif
