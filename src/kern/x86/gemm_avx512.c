/* The float tile for AVX-512: up to 14 rows by two vectors, all sums in registers (28, plus two for B and one
 * for A). Every height has its own code, so that short panels cost no more than their rows. */
#include <immintrin.h>

#include "epi_avx512.h"
#include "kern/gemm_epi.h"
#include "kern/kern.h"

enum { MR = 14, NR = 32 };

/* Stores through a copy in memory: the epilogue is not worth a copy of its code for every height. */
static __attribute__((noinline)) void store_finished(const struct gemm_tile *t, const __m512 *acc, int vecs)
{
    for (int i = 0; i < t->m; i++)
        for (int v = 0; v < vecs; v++) {
            __mmask16 k = lanes(t->n, v);
            _mm512_mask_storeu_ps(t->c + i * t->ldc + v * LANES, k,
                                  epi_avx512(t->e, acc[i * vecs + v], i, v * LANES, k));
        }
}

/* ahead: fetch a line of t->next with each row of k. */
static inline __attribute__((always_inline)) void tile(const struct gemm_tile *t, const int m, const int vecs,
                                                       const bool ahead)
{
    __m512 acc[MR][2];
    const float *a = t->a, *b = t->b, *next = t->next;

#pragma GCC unroll 14
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            acc[i][v] = t->load ? _mm512_maskz_loadu_ps(lanes(t->n, v), t->c + i * t->ldc + v * LANES)
                                : _mm512_setzero_ps();
    for (int64_t k = t->k; k > 0; k--) {
        __m512 bv[2];
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            bv[v] = _mm512_loadu_ps(b + v * LANES);
#pragma GCC unroll 14
        for (int i = 0; i < m; i++) {
            __m512 f = _mm512_set1_ps(a[i]);
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                acc[i][v] = _mm512_fmadd_ps(f, bv[v], acc[i][v]);
        }
        if (ahead) {
            _mm_prefetch((const char *)next, _MM_HINT_T1);
            next += NR;
        }
        a += t->as;
        b += NR;
    }
    if (t->e) {
        __m512 done[MR * 2];
#pragma GCC unroll 14
        for (int i = 0; i < m; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                done[i * vecs + v] = acc[i][v];
        store_finished(t, done, vecs);
        return;
    }
#pragma GCC unroll 14
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            _mm512_mask_storeu_ps(t->c + i * t->ldc + v * LANES, lanes(t->n, v), acc[i][v]);
}

static void tile_1x16(const struct gemm_tile *t)
{
    tile(t, 1, 1, false);
}

static void tile_2x16(const struct gemm_tile *t)
{
    tile(t, 2, 1, false);
}

static void tile_3x16(const struct gemm_tile *t)
{
    tile(t, 3, 1, false);
}

static void tile_4x16(const struct gemm_tile *t)
{
    tile(t, 4, 1, false);
}

static void tile_5x16(const struct gemm_tile *t)
{
    tile(t, 5, 1, false);
}

static void tile_6x16(const struct gemm_tile *t)
{
    tile(t, 6, 1, false);
}

static void tile_7x16(const struct gemm_tile *t)
{
    tile(t, 7, 1, false);
}

static void tile_8x16(const struct gemm_tile *t)
{
    tile(t, 8, 1, false);
}

static void tile_9x16(const struct gemm_tile *t)
{
    tile(t, 9, 1, false);
}

static void tile_10x16(const struct gemm_tile *t)
{
    tile(t, 10, 1, false);
}

static void tile_11x16(const struct gemm_tile *t)
{
    tile(t, 11, 1, false);
}

static void tile_12x16(const struct gemm_tile *t)
{
    tile(t, 12, 1, false);
}

static void tile_13x16(const struct gemm_tile *t)
{
    tile(t, 13, 1, false);
}

static void tile_14x16(const struct gemm_tile *t)
{
    tile(t, 14, 1, false);
}

static void tile_1x32(const struct gemm_tile *t)
{
    tile(t, 1, 2, false);
}

static void tile_2x32(const struct gemm_tile *t)
{
    tile(t, 2, 2, false);
}

static void tile_3x32(const struct gemm_tile *t)
{
    tile(t, 3, 2, false);
}

static void tile_4x32(const struct gemm_tile *t)
{
    tile(t, 4, 2, false);
}

static void tile_5x32(const struct gemm_tile *t)
{
    tile(t, 5, 2, false);
}

static void tile_6x32(const struct gemm_tile *t)
{
    tile(t, 6, 2, false);
}

static void tile_7x32(const struct gemm_tile *t)
{
    tile(t, 7, 2, false);
}

static void tile_8x32(const struct gemm_tile *t)
{
    tile(t, 8, 2, false);
}

static void tile_9x32(const struct gemm_tile *t)
{
    tile(t, 9, 2, false);
}

static void tile_10x32(const struct gemm_tile *t)
{
    tile(t, 10, 2, false);
}

static void tile_11x32(const struct gemm_tile *t)
{
    tile(t, 11, 2, false);
}

static void tile_12x32(const struct gemm_tile *t)
{
    tile(t, 12, 2, false);
}

static void tile_13x32(const struct gemm_tile *t)
{
    tile(t, 13, 2, false);
}

static void tile_14x32(const struct gemm_tile *t)
{
    tile(t, 14, 2, false);
}

static void ahead_8x32(const struct gemm_tile *t)
{
    tile(t, 8, 2, true);
}

static void ahead_9x32(const struct gemm_tile *t)
{
    tile(t, 9, 2, true);
}

static void ahead_10x32(const struct gemm_tile *t)
{
    tile(t, 10, 2, true);
}

static void ahead_11x32(const struct gemm_tile *t)
{
    tile(t, 11, 2, true);
}

static void ahead_12x32(const struct gemm_tile *t)
{
    tile(t, 12, 2, true);
}

static void ahead_13x32(const struct gemm_tile *t)
{
    tile(t, 13, 2, true);
}

static void ahead_14x32(const struct gemm_tile *t)
{
    tile(t, 14, 2, true);
}

/* Tall tiles that fetch ahead; a low one is done before a line arrives. */
enum { AHEAD_ROWS = 8 };

static void (*const ahead_by_height[])(const struct gemm_tile *) = {
    ahead_8x32, ahead_9x32, ahead_10x32, ahead_11x32, ahead_12x32, ahead_13x32, ahead_14x32};

/* By number of vectors and height. */
static void (*const by_size[2][MR])(const struct gemm_tile *) = {
    {tile_1x16, tile_2x16, tile_3x16, tile_4x16, tile_5x16, tile_6x16, tile_7x16, tile_8x16, tile_9x16,
     tile_10x16, tile_11x16, tile_12x16, tile_13x16, tile_14x16},
    {tile_1x32, tile_2x32, tile_3x32, tile_4x32, tile_5x32, tile_6x32, tile_7x32, tile_8x32, tile_9x32,
     tile_10x32, tile_11x32, tile_12x32, tile_13x32, tile_14x32},
};

/* Very few columns (layers over a pixel or two): vectors run along the rows of A, in the same chains. */
enum { NARROW = 4, NARROW_ROWS = 5 };

static __attribute__((noinline)) void store_narrow(const struct gemm_tile *t, float (*s)[LANES])
{
    for (int i = 0; i < t->m; i++)
        for (int j = 0; j < t->n; j++)
            t->c[i * t->ldc + j] = t->e ? epi_value(t->e, s[j][i], i, j) : s[j][i];
}

static inline __attribute__((always_inline)) void narrow(const struct gemm_tile *t, const int n)
{
    float s[NARROW][LANES] = {{0}};
    __m512 acc[NARROW];
    const __mmask16 rows = lanes(t->m, 0);
    const float *a = t->a, *b = t->b;

    for (int i = 0; i < t->m && t->load; i++)
        for (int j = 0; j < n; j++)
            s[j][i] = t->c[i * t->ldc + j];
#pragma GCC unroll 4
    for (int j = 0; j < n; j++)
        acc[j] = _mm512_loadu_ps(s[j]);
    for (int64_t k = t->k; k > 0; k--, a += t->as, b += NR) {
        __m512 f = _mm512_maskz_loadu_ps(rows, a);
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
            acc[j] = _mm512_fmadd_ps(f, _mm512_set1_ps(b[j]), acc[j]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < n; j++)
        _mm512_storeu_ps(s[j], acc[j]);
    store_narrow(t, s);
}

static void narrow_1(const struct gemm_tile *t)
{
    narrow(t, 1);
}

static void narrow_2(const struct gemm_tile *t)
{
    narrow(t, 2);
}

static void narrow_3(const struct gemm_tile *t)
{
    narrow(t, 3);
}

static void narrow_4(const struct gemm_tile *t)
{
    narrow(t, 4);
}

static void (*const by_width[NARROW])(const struct gemm_tile *) = {narrow_1, narrow_2, narrow_3, narrow_4};

static void run(const struct gemm_tile *t)
{
    if (t->n <= NARROW && t->m >= NARROW_ROWS) {
        by_width[t->n - 1](t);
        return;
    }
    if (t->next && t->m >= AHEAD_ROWS && t->n > LANES)
        ahead_by_height[t->m - AHEAD_ROWS](t);
    else
        by_size[t->n > LANES][t->m - 1](t);
}

static void run_pair(const struct gemm_tile *t)
{
    __m512 acc[4];
    const float *b = t->b, *c = t->b + NR * t->k;

#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
        acc[v] = t->load ? _mm512_maskz_loadu_ps(lanes(t->n, v), t->c + v * LANES) : _mm512_setzero_ps();
    for (int64_t k = 0; k < t->k; k++, b += NR, c += NR) {
        __m512 f = _mm512_set1_ps(t->a[k * t->as]);
        acc[0] = _mm512_fmadd_ps(f, _mm512_loadu_ps(b), acc[0]);
        acc[1] = _mm512_fmadd_ps(f, _mm512_loadu_ps(b + LANES), acc[1]);
        acc[2] = _mm512_fmadd_ps(f, _mm512_loadu_ps(c), acc[2]);
        acc[3] = _mm512_fmadd_ps(f, _mm512_loadu_ps(c + LANES), acc[3]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
        __mmask16 k = lanes(t->n, v);
        _mm512_mask_storeu_ps(t->c + v * LANES, k, t->e ? epi_avx512(t->e, acc[v], 0, v * LANES, k) : acc[v]);
    }
}

const struct gemm_f32_tile k_f32_gemm_14x32_avx512 = {MR, NR, 256, run, run_pair};

void k_f32_epi_row_avx512(const struct gemm_epi *e, int64_t m, int64_t n0, const float *s, float *dst,
                          int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        __mmask16 k = n - i >= LANES ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
        _mm512_mask_storeu_ps(dst + i, k, epi_avx512(e, _mm512_maskz_loadu_ps(k, s + i), m, n0 + i, k));
    }
}
