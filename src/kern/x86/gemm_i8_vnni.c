/* The tile of 8-bit products with VNNI: as the float tile, 14 rows by two vectors, a quad of k in each lane.
 */
#include <immintrin.h>

#include "kern/kern.h"

/* The type that the dot product works on: with __m512i, gcc keeps every sum twice. */
typedef int v16si __attribute__((vector_size(64)));

enum { MR = 14, NR = 32, LANES = 16 };

/* The sums start with what the zero points add. (Sums that start with 0 would be cleared as an array, and
 * then kept in memory, by gcc.) */
static inline __m512i start(const struct gemm_i8_tile *t, int i, int v)
{
    __m512i sums = _mm512_loadu_si512(t->col_sum + v * LANES),
            zero = _mm512_loadu_si512(t->col_zero + v * LANES);
    return _mm512_add_epi32(_mm512_mullo_epi32(_mm512_set1_epi32((int)t->row_scale[i]), sums),
                            _mm512_mullo_epi32(_mm512_set1_epi32((int)t->row_off[i]), zero));
}

static inline __attribute__((always_inline)) void tile(const struct gemm_i8_tile *t, const int m)
{
    v16si acc[MR][2];
    const uint32_t *a = t->a, *b = t->b;

#pragma GCC unroll 14
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++)
            acc[i][v] = (v16si)start(t, i, v);
    for (int64_t q = t->quads; q > 0; q--) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + LANES);
#pragma GCC unroll 14
        for (int i = 0; i < m; i++) {
            __m512i f = _mm512_set1_epi32((int)a[i]);
            acc[i][0] = (v16si)_mm512_dpbusd_epi32((__m512i)acc[i][0], f, b0);
            acc[i][1] = (v16si)_mm512_dpbusd_epi32((__m512i)acc[i][1], f, b1);
        }
        a += t->as;
        b += NR;
    }
#pragma GCC unroll 14
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            int left = t->n - v * LANES;
            __mmask16 k = left >= LANES ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
            _mm512_mask_storeu_epi32(t->c + i * t->ldc + v * LANES, k, (__m512i)acc[i][v]);
        }
}

static void tile_1(const struct gemm_i8_tile *t)
{
    tile(t, 1);
}

static void tile_2(const struct gemm_i8_tile *t)
{
    tile(t, 2);
}

static void tile_3(const struct gemm_i8_tile *t)
{
    tile(t, 3);
}

static void tile_4(const struct gemm_i8_tile *t)
{
    tile(t, 4);
}

static void tile_5(const struct gemm_i8_tile *t)
{
    tile(t, 5);
}

static void tile_6(const struct gemm_i8_tile *t)
{
    tile(t, 6);
}

static void tile_7(const struct gemm_i8_tile *t)
{
    tile(t, 7);
}

static void tile_8(const struct gemm_i8_tile *t)
{
    tile(t, 8);
}

static void tile_9(const struct gemm_i8_tile *t)
{
    tile(t, 9);
}

static void tile_10(const struct gemm_i8_tile *t)
{
    tile(t, 10);
}

static void tile_11(const struct gemm_i8_tile *t)
{
    tile(t, 11);
}

static void tile_12(const struct gemm_i8_tile *t)
{
    tile(t, 12);
}

static void tile_13(const struct gemm_i8_tile *t)
{
    tile(t, 13);
}

static void tile_14(const struct gemm_i8_tile *t)
{
    tile(t, 14);
}

static void (*const by_height[MR])(const struct gemm_i8_tile *) = {tile_1,  tile_2,  tile_3,  tile_4, tile_5,
                                                                   tile_6,  tile_7,  tile_8,  tile_9, tile_10,
                                                                   tile_11, tile_12, tile_13, tile_14};

static void run(const struct gemm_i8_tile *t)
{
    by_height[t->m - 1](t);
}

const struct gemm_i8_kern k_i8_gemm_14x32_vnni = {MR, NR, run};
