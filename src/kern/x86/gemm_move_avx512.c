/* Transposition of 4-byte elements and the matrix-vector kernels, AVX-512. */
#include <immintrin.h>

#include "kern/kern.h"

enum { LANES = 16, COL_VECS = 4 };

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

static inline __attribute__((always_inline)) void cols_rows(const struct gemv *g, int m, int64_t n0,
                                                            int64_t n1)
{
    enum { ROWS = 8 };
    for (int64_t k0 = 0; k0 < g->k || k0 == 0; k0 += ROWS) {
        int64_t k1 = g->k - k0 < ROWS ? g->k : k0 + ROWS, n = n0;
        for (; n + COL_VECS * LANES <= n1; n += COL_VECS * LANES)
            cols_part(g, m, k0, k1, n, 0xffff, COL_VECS);
        for (; n < n1; n += LANES)
            cols_part(g, m, k0, k1, n, lanes(n1 - n), 1);
    }
}

void k_f32_gemv_cols_avx512(const struct gemv *g, int64_t n0, int64_t n1)
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

/* One column of b by m rows; four vectors of partial sums each, added up at the end. */
static inline __attribute__((always_inline)) void dot(const struct gemv *g, int m, int64_t n)
{
    __m512 acc[4][4];
    const float *b = g->b + n * g->b_s;
    int64_t k = 0;
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 16
        for (int u = 0; u < 4; u++)
            acc[i][u] = _mm512_setzero_ps();
    for (; k + 4 * LANES <= g->k; k += 4 * LANES)
#pragma GCC unroll 16
        for (int u = 0; u < 4; u++) {
            __m512 x = _mm512_loadu_ps(b + k + u * LANES);
#pragma GCC unroll 16
            for (int i = 0; i < m; i++)
                acc[i][u] =
                    _mm512_fmadd_ps(x, _mm512_loadu_ps(g->a + i * g->a_rs + k + u * LANES), acc[i][u]);
        }
    for (; k < g->k; k += LANES) {
        __mmask16 mask = lanes(g->k - k);
        __m512 x = _mm512_maskz_loadu_ps(mask, b + k);
#pragma GCC unroll 16
        for (int i = 0; i < m; i++)
            acc[i][0] = _mm512_fmadd_ps(x, _mm512_maskz_loadu_ps(mask, g->a + i * g->a_rs + k), acc[i][0]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
        g->c[i * g->ldc + n] = _mm512_reduce_add_ps(
            _mm512_add_ps(_mm512_add_ps(acc[i][0], acc[i][1]), _mm512_add_ps(acc[i][2], acc[i][3])));
}

void k_f32_gemv_dots_avx512(const struct gemv *g, int64_t n0, int64_t n1)
{
    for (int64_t n = n0; n < n1; n++)
        switch (g->m) {
        case 1:
            dot(g, 1, n);
            break;
        case 2:
            dot(g, 2, n);
            break;
        case 3:
            dot(g, 3, n);
            break;
        default:
            dot(g, 4, n);
        }
}
