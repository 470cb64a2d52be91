/* Quantized layers with VNNI. */
#include "kern/x86/v_avx512.h"

#define Q_NAME(what) k_q8_##what##_vnni
enum { MR = 14 };

/* With __m512i, gcc keeps every sum twice. */
typedef int v_sums __attribute__((vector_size(64)));
typedef __m512i vb, vw, vx;

static inline vi v_iload(const int32_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline vw q_weights(const int8_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline vx q_quad(const uint8_t *p)
{
    int q;
    __builtin_memcpy(&q, p, 4);
    return _mm512_set1_epi32(q);
}
static inline vx q_bytes(vb x)
{
    return x;
}
static inline vi q_dot(vi s, vx x, vw w)
{
    return _mm512_dpbusd_epi32(s, x, w);
}
static inline vb q_set1(uint8_t x)
{
    return _mm512_set1_epi8((char)x);
}
static inline vb q_xor(vb a, vb b)
{
    return _mm512_xor_si512(a, b);
}
static inline vb q_low8(vb a, vb b)
{
    return _mm512_unpacklo_epi8(a, b);
}
static inline vb q_high8(vb a, vb b)
{
    return _mm512_unpackhi_epi8(a, b);
}
static inline vb q_low16(vb a, vb b)
{
    return _mm512_unpacklo_epi16(a, b);
}
static inline vb q_high16(vb a, vb b)
{
    return _mm512_unpackhi_epi16(a, b);
}
static inline __mmask64 first(size_t n)
{
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}
static inline vb q_load_n(const uint8_t *p, size_t n)
{
    return _mm512_maskz_loadu_epi8(first(n), p);
}
static inline void q_store4_n(uint8_t *p, const vi *s, size_t n)
{
    const vi low = _mm512_set1_epi32(0xff);
    vi a = _mm512_packs_epi32(_mm512_and_si512(s[0], low), _mm512_and_si512(s[1], low));
    vi b = _mm512_packs_epi32(_mm512_and_si512(s[2], low), _mm512_and_si512(s[3], low));
    _mm512_mask_storeu_epi8(p, first(n), _mm512_packus_epi16(a, b));
}

#include "kern/tmpl/qconv_simd_tmpl.c"

#define TILE(m)                                                                                              \
    static void tile_##m(const struct q_tile *t)                                                             \
    {                                                                                                        \
        tile(t, m);                                                                                          \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)

static void (*const by_height[MR])(const struct q_tile *) = {tile_1,  tile_2,  tile_3,  tile_4, tile_5,
                                                             tile_6,  tile_7,  tile_8,  tile_9, tile_10,
                                                             tile_11, tile_12, tile_13, tile_14};

static void run(const struct q_tile *t)
{
    by_height[t->m - 1](t);
}

const struct q_tile_kern k_q8_tile_14x32_vnni = {MR, NR, run};
