/* The float tile for AVX2: up to 6 rows by two vectors, 12 sums in registers, two for B and one for A. Every
 * height has its own code. */
#include <immintrin.h>

#include "epi_avx2.h"
#include "kern/kern.h"

enum { MR = 6, NR = 16 };

static __attribute__((noinline)) void store_finished(const struct gemm_tile *t, const __m256 *acc, int vecs)
{
    for (int i = 0; i < t->m; i++)
        for (int v = 0; v < vecs; v++) {
            __m256i k = lanes_avx2(t->n - v * LANES);
            _mm256_maskstore_ps(t->c + i * t->ldc + v * LANES, k,
                                epi_avx2(t->e, acc[i * vecs + v], i, v * LANES, k));
        }
}

static inline __attribute__((always_inline)) void tile(const struct gemm_tile *t, const int m, const int vecs)
{
    __m256 acc[MR][2];
    const float *a = t->a, *b = t->b;

#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            acc[i][v] = t->load
                            ? _mm256_maskload_ps(t->c + i * t->ldc + v * LANES, lanes_avx2(t->n - v * LANES))
                            : _mm256_setzero_ps();
    for (int64_t k = t->k; k > 0; k--) {
        __m256 bv[2];
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            bv[v] = _mm256_loadu_ps(b + v * LANES);
#pragma GCC unroll 6
        for (int i = 0; i < m; i++) {
            __m256 f = _mm256_broadcast_ss(a + i);
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                acc[i][v] = _mm256_fmadd_ps(f, bv[v], acc[i][v]);
        }
        a += t->as;
        b += NR;
    }
    if (t->e) {
        __m256 done[MR * 2];
#pragma GCC unroll 6
        for (int i = 0; i < m; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                done[i * vecs + v] = acc[i][v];
        store_finished(t, done, vecs);
        return;
    }
#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            _mm256_maskstore_ps(t->c + i * t->ldc + v * LANES, lanes_avx2(t->n - v * LANES), acc[i][v]);
}

static void tile_1x8(const struct gemm_tile *t)
{
    tile(t, 1, 1);
}

static void tile_2x8(const struct gemm_tile *t)
{
    tile(t, 2, 1);
}

static void tile_3x8(const struct gemm_tile *t)
{
    tile(t, 3, 1);
}

static void tile_4x8(const struct gemm_tile *t)
{
    tile(t, 4, 1);
}

static void tile_5x8(const struct gemm_tile *t)
{
    tile(t, 5, 1);
}

static void tile_6x8(const struct gemm_tile *t)
{
    tile(t, 6, 1);
}

static void tile_1x16(const struct gemm_tile *t)
{
    tile(t, 1, 2);
}

static void tile_2x16(const struct gemm_tile *t)
{
    tile(t, 2, 2);
}

static void tile_3x16(const struct gemm_tile *t)
{
    tile(t, 3, 2);
}

static void tile_4x16(const struct gemm_tile *t)
{
    tile(t, 4, 2);
}

static void tile_5x16(const struct gemm_tile *t)
{
    tile(t, 5, 2);
}

static void tile_6x16(const struct gemm_tile *t)
{
    tile(t, 6, 2);
}

/* By number of vectors and height. */
static void (*const by_size[2][MR])(const struct gemm_tile *) = {
    {tile_1x8, tile_2x8, tile_3x8, tile_4x8, tile_5x8, tile_6x8},
    {tile_1x16, tile_2x16, tile_3x16, tile_4x16, tile_5x16, tile_6x16},
};

static void run(const struct gemm_tile *t)
{
    by_size[t->n > LANES][t->m - 1](t);
}

const struct gemm_f32_tile k_f32_gemm_6x16_avx2 = {MR, NR, 512, run, NULL};

void k_f32_epi_row_avx2(const struct gemm_epi *e, int64_t m, int64_t n0, const float *s, float *dst,
                        int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        __m256i k = lanes_avx2(n - i);
        _mm256_maskstore_ps(dst + i, k, epi_avx2(e, _mm256_maskload_ps(s + i, k), m, n0 + i, k));
    }
}
