/* Transposition of 4-byte elements and the matrix-vector kernels, AVX2. */
#include <immintrin.h>

#include "epi_avx2.h"
#include "kern/kern.h"

/* CACHED: floats of c that stay in the first cache while rows of b stream by, ROWS of them a round. */
enum { COL_VECS = 4, ROWS = 8, CACHED = 4096 };

/* 8 x 8, in three rounds: pairs of elements, of pairs, of quads change places. */
static inline void transpose8(__m256 r[8])
{
    __m256 t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        t[j] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x20);
        t[j + 4] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        r[j] = t[j];
}

void k_x32_transpose_avx2(const float *src, int64_t lds, float *dst, int64_t ldd, int64_t rows, int64_t cols)
{
    for (int64_t j = 0; j < cols; j += LANES)
        for (int64_t i = 0; i < rows; i += LANES) {
            __m256 r[8];
            __m256i in = lanes_avx2(rows - i), out = lanes_avx2(cols - j);
            const float *s = src + j * lds + i;
            float *d = dst + i * ldd + j;
#pragma GCC unroll 8
            for (int q = 0; q < 8; q++)
                r[q] = j + q < cols ? _mm256_maskload_ps(s + q * lds, in) : _mm256_setzero_ps();
            transpose8(r);
#pragma GCC unroll 8
            for (int q = 0; q < 8; q++)
                if (i + q < rows)
                    _mm256_maskstore_ps(d + q * ldd, out, r[q]);
        }
}

/* Columns [n, n + 8 vecs) of one row of A, for a few rows of b that stay in the cache for all columns. */
static inline __attribute__((always_inline)) void cols_part(const struct gemv *g, int i, int64_t k0,
                                                            int64_t k1, int64_t n, __m256i mask, int vecs)
{
    __m256 acc[COL_VECS];
    float *c = g->c + i * g->ldc + n;
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++)
        acc[v] = k0 ? _mm256_maskload_ps(c + v * LANES, mask) : _mm256_setzero_ps();
    for (int64_t k = k0; k < k1; k++) {
        const float *b = g->b + k * g->b_s + n;
        __m256 f = _mm256_broadcast_ss(g->a + i * g->a_rs + k * g->a_cs);
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            acc[v] = _mm256_fmadd_ps(f, _mm256_maskload_ps(b + v * LANES, mask), acc[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++)
        _mm256_maskstore_ps(c + v * LANES, mask, acc[v]);
}

static void cols_block(const struct gemv *g, int64_t n0, int64_t n1)
{
    for (int64_t k0 = 0; k0 < g->k || k0 == 0; k0 += ROWS) {
        int64_t k1 = g->k - k0 < ROWS ? g->k : k0 + ROWS;
        for (int i = 0; i < g->m; i++) {
            int64_t n = n0;
            for (; n + COL_VECS * LANES <= n1; n += COL_VECS * LANES)
                cols_part(g, i, k0, k1, n, _mm256_set1_epi32(-1), COL_VECS);
            for (; n < n1; n += LANES)
                cols_part(g, i, k0, k1, n, lanes_avx2(n1 - n), 1);
        }
    }
}

void k_f32_gemv_cols_avx2(const struct gemv *g, int64_t n0, int64_t n1)
{
    int64_t step = CACHED / g->m / (COL_VECS * LANES) * (COL_VECS * LANES);
    for (int64_t n = n0; n < n1; n += step)
        cols_block(g, n, n1 - n < step ? n1 : n + step);
}

static inline float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* One row of A by four columns of b (one: cols 1): a vector of partial sums each, added up at the end. */
static inline __attribute__((always_inline)) void dots(const struct gemv *g, int i, int64_t n, int cols)
{
    __m256 acc[4];
    const float *a = g->a + i * g->a_rs, *b = g->b + n * g->b_s;
#pragma GCC unroll 4
    for (int j = 0; j < cols; j++)
        acc[j] = _mm256_setzero_ps();
    int64_t k = 0;
    for (; k + LANES <= g->k; k += LANES)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            acc[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + k), _mm256_loadu_ps(b + j * g->b_s + k), acc[j]);
    __m256i mask = lanes_avx2(g->k - k);
#pragma GCC unroll 4
    for (int j = 0; j < cols; j++)
        acc[j] = _mm256_fmadd_ps(_mm256_maskload_ps(a + k, mask),
                                 _mm256_maskload_ps(b + j * g->b_s + k, mask), acc[j]);
#pragma GCC unroll 4
    for (int j = 0; j < cols; j++)
        g->c[i * g->ldc + n + j] = sum8(acc[j]);
}

void k_f32_gemv_dots_avx2(const struct gemv *g, int64_t n0, int64_t n1)
{
    int64_t n = n0;
    for (; n + 4 <= n1; n += 4)
        for (int i = 0; i < g->m; i++)
            dots(g, i, n, 4);
    for (; n < n1; n++)
        for (int i = 0; i < g->m; i++)
            dots(g, i, n, 1);
}
