/* The vector type that the SIMD templates are written against, 8 floats. v_avx512.h is its twin: same names,
 * same results; only the width differs. Static functions only. */
#ifndef OT_KERN_V_AVX2_H
#define OT_KERN_V_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VN    8
#define V_ISA avx2

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

static inline vf v_set1(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
/* All ones in the first n lanes. */
static inline __m256i v_first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* The first n < VN elements; the others are zero, and are not touched in memory. */
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, v_first(n));
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    _mm256_maskstore_ps(p, v_first(n), x);
}
/* The first n elements of x, elsewhere those of rest. */
static inline vf v_keep_n(vf x, vf rest, size_t n)
{
    return _mm256_blendv_ps(rest, x, _mm256_castsi256_ps(v_first(n)));
}
static inline vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf v_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
/* a b + c, and c - a b, rounded once */
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
/* As the instruction: the second operand when one is NaN or both are zero. */
static inline vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static inline vf v_nearest(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_floor(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
static inline vf v_ceil(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}
static inline vm v_lt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vm v_nan(vf a)
{
    return _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
}
static inline vf v_sel(vm m, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, m);
}
static inline vi v_bits(vf a)
{
    return _mm256_castps_si256(a);
}
static inline vf v_from_bits(vi a)
{
    return _mm256_castsi256_ps(a);
}
static inline vi v_iset1(int32_t x)
{
    return _mm256_set1_epi32(x);
}
static inline vi v_iadd(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}
static inline vi v_isub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}
static inline vi v_iand(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}
static inline vi v_ior(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}
static inline vi v_ixor(vi a, vi b)
{
    return _mm256_xor_si256(a, b);
}
static inline vi v_isar(vi a, int n)
{
    return _mm256_srai_epi32(a, n);
}
static inline vi v_shl23(vi a)
{
    return _mm256_slli_epi32(a, 23);
}
static inline vi v_to_int(vf a)
{
    return _mm256_cvtps_epi32(a);
}
static inline vf v_to_float(vi a)
{
    return _mm256_cvtepi32_ps(a);
}
/* Sum and extreme over the lanes, halves folded onto each other. */
static inline float v_hsum(vf a)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
static inline float v_hmax(vf a)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}
static inline float v_hmin(vf a)
{
    __m128 q = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_min_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_min_ss(q, _mm_shuffle_ps(q, q, 1)));
}
static inline int v_any(vm m)
{
    return _mm256_movemask_ps(m) != 0;
}
static inline vm v_mor(vm a, vm b)
{
    return _mm256_or_ps(a, b);
}
static inline vm v_mnone(void)
{
    return _mm256_setzero_ps();
}

/* Elements 0, 2, 4, ... of a and b in sequence. */
static inline vf v_even(vf a, vf b)
{
    __m256d pairs = _mm256_castps_pd(_mm256_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(pairs, _MM_SHUFFLE(3, 1, 2, 0)));
}
/* Bytes to 32-bit integers and the low bytes back; n elements at most VN. */
static inline vi v_load_u8(const uint8_t *p, size_t n)
{
    uint8_t b[8] = {0};
    __builtin_memcpy(b, p, n);
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)b));
}
static inline vi v_load_s8(const uint8_t *p, size_t n)
{
    uint8_t b[8] = {0};
    __builtin_memcpy(b, p, n);
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)b));
}
static inline void v_store_low8(uint8_t *p, vi x, size_t n)
{
    uint8_t b[16];
    __m256i low = _mm256_and_si256(x, _mm256_set1_epi32(255));
    __m128i w = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    _mm_storeu_si128((__m128i *)b, _mm_packus_epi16(w, w));
    __builtin_memcpy(p, b, n);
}
static inline vi v_iload_n(const int32_t *p, size_t n)
{
    return _mm256_maskload_epi32(p, v_first(n));
}

#endif
