/* The tile of 8-bit products for AVX2. vpmaddubsw would saturate, so values are widened to 16 bits first: a
 * lane pair of 32-bit sums a column, added up at the end. */
#include <immintrin.h>

#include "kern/kern.h"

/* The type that the sums are added in: with __m256i, gcc keeps them in memory. */
typedef int v8si __attribute__((vector_size(32)));

enum { MR = 3, NR = 16, LANES = 8, PARTS = 4 }; /* PARTS: four columns each */

static inline __m256i finish(const struct gemm_i8_tile *t, __m256i s, int i, int v)
{
    __m256i sums = _mm256_loadu_si256((const __m256i *)(t->col_sum + v * LANES));
    __m256i zero = _mm256_loadu_si256((const __m256i *)(t->col_zero + v * LANES));
    s = _mm256_add_epi32(s, _mm256_mullo_epi32(_mm256_set1_epi32((int)t->row_scale[i]), sums));
    return _mm256_add_epi32(s, _mm256_mullo_epi32(_mm256_set1_epi32((int)t->row_off[i]), zero));
}

/* Pairs of four columns each in x and y, to the eight columns in order. */
static inline __m256i join(__m256i x, __m256i y)
{
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(x, y), 0xd8);
}

static inline __attribute__((always_inline)) void tile(const struct gemm_i8_tile *t, const int m)
{
    const __m256i order = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    v8si acc[MR][PARTS];
    const uint32_t *a = t->a, *b = t->b;

#pragma GCC unroll 3
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int v = 0; v < PARTS; v++)
            acc[i][v] = (v8si)_mm256_setzero_si256();
    for (int64_t q = t->quads; q > 0; q--, a += t->as, b += NR) {
        __m256i f[MR];
#pragma GCC unroll 3
        for (int i = 0; i < m; i++)
            f[i] = _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128((int)a[i])));
#pragma GCC unroll 4
        for (int v = 0; v < PARTS; v++) {
            __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + v * 4)));
#pragma GCC unroll 3
            for (int i = 0; i < m; i++)
                acc[i][v] += (v8si)_mm256_madd_epi16(f[i], x);
        }
    }
#pragma GCC unroll 3
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            __m256i k = _mm256_cmpgt_epi32(_mm256_set1_epi32(t->n - v * LANES), order);
            __m256i s = join((__m256i)acc[i][2 * v], (__m256i)acc[i][2 * v + 1]);
            _mm256_maskstore_epi32(t->c + i * t->ldc + v * LANES, k, finish(t, s, i, v));
        }
}

static void run(const struct gemm_i8_tile *t)
{
    if (t->m == 3)
        tile(t, 3);
    else if (t->m == 2)
        tile(t, 2);
    else
        tile(t, 1);
}

const struct gemm_i8_kern k_i8_gemm_3x16_avx2 = {MR, NR, run};
