/* Transposition of 4-byte elements and the matrix-vector kernels, AVX-512. */
#include <immintrin.h>

#include "kern/kern.h"

/* CACHED: floats of c that stay in the first cache while rows of b stream by, ROWS of them a round. */
enum { LANES = 16, COL_VECS = 4, CACHED = 4096, ROWS = 8, AHEAD = 512 };

static inline __mmask16 lanes(int64_t n)
{
    return n >= LANES ? 0xffff : (__mmask16)((1u << n) - 1);
}

/* 16 x 16, in four rounds: pairs of elements, of pairs, of quads, of halves change places. */
static inline void transpose16(__m512 r[16])
{
    __m512 t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 16
        for (int j = 0; j < 2; j++) {
            __m512d x = _mm512_castps_pd(t[i + j]), y = _mm512_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 8)
#pragma GCC unroll 16
        for (int j = 0; j < 4; j++) {
            t[i + j] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0x88);
            t[i + j + 4] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0xdd);
        }
#pragma GCC unroll 16
    for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd);
    }
}

void k_x32_transpose_avx512(const float *src, int64_t lds, float *dst, int64_t ldd, int64_t rows,
                            int64_t cols)
{
    for (int64_t j = 0; j < cols; j += LANES)
        for (int64_t i = 0; i < rows; i += LANES) {
            __m512 r[16];
            int64_t nr = rows - i < LANES ? rows - i : LANES, nc = cols - j < LANES ? cols - j : LANES;
            __mmask16 in = lanes(nr), out = lanes(nc);
            const float *s = src + j * lds + i;
            float *d = dst + i * ldd + j;
#pragma GCC unroll 16
            for (int q = 0; q < 16; q++)
                r[q] = q < nc ? _mm512_maskz_loadu_ps(in, s + q * lds) : _mm512_setzero_ps();
            transpose16(r);
#pragma GCC unroll 16
            for (int q = 0; q < 16; q++)
                if (q < nr)
                    _mm512_mask_storeu_ps(d + q * ldd, out, r[q]);
        }
}

/* Columns [n, n + 64) at most, for one block of rows of b that stays in the cache for all of them. */
static inline __attribute__((always_inline)) void cols_part(const struct gemv *g, int m, int64_t k0,
                                                            int64_t k1, int64_t n, __mmask16 mask, int vecs)
{
    __m512 acc[4][COL_VECS];
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 16
        for (int v = 0; v < vecs; v++)
            acc[i][v] =
                k0 ? _mm512_maskz_loadu_ps(mask, g->c + i * g->ldc + n + v * LANES) : _mm512_setzero_ps();
    for (int64_t k = k0; k < k1; k++) {
        const float *b = g->b + k * g->b_s + n;
#pragma GCC unroll 16
        for (int v = 0; v < vecs; v++) {
            __m512 x = _mm512_maskz_loadu_ps(mask, b + v * LANES);
            _mm_prefetch(b + AHEAD + v * LANES, _MM_HINT_T0);
#pragma GCC unroll 16
            for (int i = 0; i < m; i++)
                acc[i][v] = _mm512_fmadd_ps(_mm512_set1_ps(g->a[i * g->a_rs + k * g->a_cs]), x, acc[i][v]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 16
        for (int v = 0; v < vecs; v++)
            _mm512_mask_storeu_ps(g->c + i * g->ldc + n + v * LANES, mask, acc[i][v]);
}

/* Columns [n0, n1), few enough for their part of c to stay in the cache. */
static inline __attribute__((always_inline)) void cols_rows(const struct gemv *g, int m, int64_t n0,
                                                            int64_t n1)
{
    for (int64_t k0 = 0; k0 < g->k || k0 == 0; k0 += ROWS) {
        int64_t k1 = g->k - k0 < ROWS ? g->k : k0 + ROWS, n = n0;
        for (; n + COL_VECS * LANES <= n1; n += COL_VECS * LANES)
            cols_part(g, m, k0, k1, n, 0xffff, COL_VECS);
        for (; n < n1; n += LANES)
            cols_part(g, m, k0, k1, n, lanes(n1 - n), 1);
    }
}

static void cols_block(const struct gemv *g, int64_t n0, int64_t n1)
{
    switch (g->m) {
    case 1:
        cols_rows(g, 1, n0, n1);
        break;
    case 2:
        cols_rows(g, 2, n0, n1);
        break;
    case 3:
        cols_rows(g, 3, n0, n1);
        break;
    default:
        cols_rows(g, 4, n0, n1);
    }
}

void k_f32_gemv_cols_avx512(const struct gemv *g, int64_t n0, int64_t n1)
{
    int64_t step = CACHED / g->m / (COL_VECS * LANES) * (COL_VECS * LANES);
    for (int64_t n = n0; n < n1; n += step)
        cols_block(g, n, n1 - n < step ? n1 : n + step);
}

/* m rows by some columns of b: a vector of partial sums each, added up at the end. */
static inline __attribute__((always_inline)) void dots(const struct gemv *g, int m, int64_t n, int cols)
{
    __m512 acc[4][4];
    const float *a = g->a, *b = g->b + n * g->b_s;
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            acc[i][j] = _mm512_setzero_ps();
    for (int64_t k = 0; k < g->k; k += LANES) {
        __mmask16 mask = lanes(g->k - k);
        __m512 x[4];
#pragma GCC unroll 4
        for (int i = 0; i < m; i++)
            x[i] = _mm512_maskz_loadu_ps(mask, a + i * g->a_rs + k);
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) {
            __m512 y = _mm512_maskz_loadu_ps(mask, b + j * g->b_s + k);
            _mm_prefetch(b + j * g->b_s + k + AHEAD, _MM_HINT_T0);
#pragma GCC unroll 4
            for (int i = 0; i < m; i++)
                acc[i][j] = _mm512_fmadd_ps(x[i], y, acc[i][j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            g->c[i * g->ldc + n + j] = _mm512_reduce_add_ps(acc[i][j]);
}

/* One row by one column, which is fastest read as one stream: four vectors of partial sums. */
static inline float dot(const float *a, const float *b, int64_t n)
{
    __m512 acc[4];
    int64_t k = 0;
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++)
        acc[u] = _mm512_setzero_ps();
    for (; k + 4 * LANES <= n; k += 4 * LANES)
#pragma GCC unroll 4
        for (int u = 0; u < 4; u++)
            acc[u] = _mm512_fmadd_ps(_mm512_loadu_ps(a + k + u * LANES), _mm512_loadu_ps(b + k + u * LANES),
                                     acc[u]);
    for (; k < n; k += LANES) {
        __mmask16 mask = lanes(n - k);
        acc[0] =
            _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + k), _mm512_maskz_loadu_ps(mask, b + k), acc[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(acc[0], acc[1]), _mm512_add_ps(acc[2], acc[3])));
}

static inline __attribute__((always_inline)) void dots_all(const struct gemv *g, int m, int64_t n0,
                                                           int64_t n1)
{
    int64_t n = n0;
    for (; n + 4 <= n1; n += 4)
        dots(g, m, n, 4);
    for (; n < n1; n++)
        dots(g, m, n, 1);
}

void k_f32_gemv_dots_avx512(const struct gemv *g, int64_t n0, int64_t n1)
{
    switch (g->m) {
    case 1:
        for (int64_t n = n0; n < n1; n++)
            g->c[n] = dot(g->a, g->b + n * g->b_s, g->k);
        break;
    case 2:
        dots_all(g, 2, n0, n1);
        break;
    case 3:
        dots_all(g, 3, n0, n1);
        break;
    default:
        dots_all(g, 4, n0, n1);
    }
}
