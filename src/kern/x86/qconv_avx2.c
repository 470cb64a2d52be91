/* Quantized layers with AVX2. vpmaddubsw would saturate: even and odd bytes are multiplied apart, as 16 bits.
 */
#include <string.h>

#include "kern/x86/v_avx2.h"

#define Q_NAME(what) k_q8_##what##_avx2
enum { MR = 4 };

typedef int v_sums __attribute__((vector_size(32)));
typedef __m256i vb;
/* Bytes as 16-bit numbers: those at even places, and at odd ones. */
typedef struct {
    __m256i even, odd;
} vw, vx;

static inline vi v_iload(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
static inline vw q_weights(const int8_t *p)
{
    __m256i w = _mm256_loadu_si256((const __m256i *)p);
    return (vw){_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)};
}
static inline vx q_bytes(vb x)
{
    return (vx){_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(x, 8)};
}
static inline vx q_quad(const uint8_t *p)
{
    int q;
    memcpy(&q, p, 4);
    return q_bytes(_mm256_set1_epi32(q));
}
static inline vi q_dot(vi s, vx x, vw w)
{
    s = _mm256_add_epi32(s, _mm256_madd_epi16(x.even, w.even));
    return _mm256_add_epi32(s, _mm256_madd_epi16(x.odd, w.odd));
}
static inline vb q_set1(uint8_t x)
{
    return _mm256_set1_epi8((char)x);
}
static inline vb q_xor(vb a, vb b)
{
    return _mm256_xor_si256(a, b);
}
static inline vb q_low8(vb a, vb b)
{
    return _mm256_unpacklo_epi8(a, b);
}
static inline vb q_high8(vb a, vb b)
{
    return _mm256_unpackhi_epi8(a, b);
}
static inline vb q_low16(vb a, vb b)
{
    return _mm256_unpacklo_epi16(a, b);
}
static inline vb q_high16(vb a, vb b)
{
    return _mm256_unpackhi_epi16(a, b);
}
static inline vb q_load_n(const uint8_t *p, size_t n)
{
    uint8_t buf[32] = {0};
    if (n >= 32)
        return _mm256_loadu_si256((const __m256i *)p);
    memcpy(buf, p, n);
    return _mm256_loadu_si256((const __m256i *)buf);
}
static inline void q_store4_n(uint8_t *p, const vi *s, size_t n)
{
    const vi low = _mm256_set1_epi32(0xff);
    vi a = _mm256_packs_epi32(_mm256_and_si256(s[0], low), _mm256_and_si256(s[1], low));
    vi b = _mm256_packs_epi32(_mm256_and_si256(s[2], low), _mm256_and_si256(s[3], low));
    uint8_t buf[32];
    _mm256_storeu_si256((__m256i *)buf, _mm256_packus_epi16(a, b));
    memcpy(p, buf, n);
}

#include "kern/tmpl/qconv_simd_tmpl.c"

static void run(const struct q_tile *t)
{
    switch (t->m) {
    case 1:
        tile(t, 1);
        break;
    case 2:
        tile(t, 2);
        break;
    case 3:
        tile(t, 3);
        break;
    default:
        tile(t, 4);
    }
}

const struct q_tile_kern k_q8_tile_4x16_avx2 = {MR, NR, run};
