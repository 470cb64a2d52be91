/* Transposing and picking 4-byte elements with AVX2. */
#include <immintrin.h>

#include "kern/kern.h"

/* 8 x 8 block: pairs, quads, then the halves are exchanged. */
static inline void block8(const float *in, size_t in_ld, float *out, size_t out_ld)
{
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(in + (size_t)i * in_ld);
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + (size_t)i * out_ld, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (size_t)(i + 4) * out_ld, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/* By way of a buffer, so that every line of the output is written at once: with strides of a power of two all
 * lines of a tile compete for the same few places of the cache. */
static inline void tile16(const float *in, size_t in_ld, float *out, size_t out_ld)
{
    float t[16 * 16];
    for (size_t r = 0; r < 16; r += 8)
        for (size_t c = 0; c < 16; c += 8)
            block8(in + r * in_ld + c, in_ld, t + c * 16 + r, 16);
    for (size_t c = 0; c < 16; c++) {
        _mm256_storeu_ps(out + c * out_ld, _mm256_loadu_ps(t + c * 16));
        _mm256_storeu_ps(out + c * out_ld + 8, _mm256_loadu_ps(t + c * 16 + 8));
    }
}

static void edge(const float *x, size_t in_ld, float *y, size_t out_ld, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c++)
        for (size_t r = 0; r < rows; r++)
            y[c * out_ld + r] = x[r * in_ld + c];
}

void k_x32_transpose2d_avx2(const void *in, size_t in_ld, void *out, size_t out_ld, size_t rows, size_t cols)
{
    const float *x = in;
    float *y = out;
    size_t r8 = rows / 8 * 8, c8 = cols / 8 * 8;
    size_t r16 = rows / 16 * 16, c16 = cols / 16 * 16;
    for (size_t r = 0; r < r16; r += 16)
        for (size_t c = 0; c < c16; c += 16)
            tile16(x + r * in_ld + c, in_ld, y + c * out_ld + r, out_ld);
    for (size_t r = 0; r < r8; r += 8)
        for (size_t c = r < r16 ? c16 : 0; c < c8; c += 8)
            block8(x + r * in_ld + c, in_ld, y + c * out_ld + r, out_ld);
    if (c8 < cols)
        edge(x + c8, in_ld, y + c8 * out_ld, out_ld, r8, cols - c8);
    if (r8 < rows)
        edge(x + r8 * in_ld, in_ld, y + r8, out_ld, rows - r8, cols);
}
