/* Transposing elements of 4 bytes and of one with AVX2. */
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

/* 16 x 16 bytes: rows are paired 8 apart, four times; each time twice as many elements of a column stand
 * together. */
static inline void bytes16(const uint8_t *in, size_t in_ld, uint8_t *out, size_t out_ld)
{
    __m128i r[16], t[16];
    for (int i = 0; i < 16; i++)
        r[i] = _mm_loadu_si128((const __m128i *)(in + (size_t)i * in_ld));
    for (int pass = 0; pass < 4; pass++) {
        for (int i = 0; i < 8; i++) {
            t[2 * i] = _mm_unpacklo_epi8(r[i], r[i + 8]);
            t[2 * i + 1] = _mm_unpackhi_epi8(r[i], r[i + 8]);
        }
        for (int i = 0; i < 16; i++)
            r[i] = t[i];
    }
    for (int i = 0; i < 16; i++)
        _mm_storeu_si128((__m128i *)(out + (size_t)i * out_ld), r[i]);
}

/* Three rows to triples, 16 of them: byte k of the output comes from row k % 3, column k / 3. */
static inline void triples16(const uint8_t *in, size_t in_ld, uint8_t *out)
{
    static const int8_t at[3][3][16] = {
        {{0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5},
         {-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1},
         {-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1}},
        {{-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1},
         {5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10},
         {-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1}},
        {{-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1},
         {-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1},
         {10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}},
    };
    for (int part = 0; part < 3; part++) {
        __m128i s = _mm_setzero_si128();
        for (size_t r = 0; r < 3; r++)
            s = _mm_or_si128(s, _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(in + r * in_ld)),
                                                 _mm_loadu_si128((const __m128i *)at[part][r])));
        _mm_storeu_si128((__m128i *)(out + part * 16), s);
    }
}

static void byte_edge(const uint8_t *x, size_t in_ld, uint8_t *y, size_t out_ld, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c++)
        for (size_t r = 0; r < rows; r++)
            y[c * out_ld + r] = x[r * in_ld + c];
}

void k_x8_transpose2d_avx2(const void *in, size_t in_ld, void *out, size_t out_ld, size_t rows, size_t cols)
{
    const uint8_t *x = in;
    uint8_t *y = out;
    size_t r16 = rows / 16 * 16, c16 = cols / 16 * 16;
    if (rows == 3 && out_ld == 3) {
        for (size_t c = 0; c < c16; c += 16)
            triples16(x + c, in_ld, y + 3 * c);
        byte_edge(x + c16, in_ld, y + 3 * c16, 3, 3, cols - c16);
        return;
    }
    for (size_t r = 0; r < r16; r += 16)
        for (size_t c = 0; c < c16; c += 16)
            bytes16(x + r * in_ld + c, in_ld, y + c * out_ld + r, out_ld);
    if (c16 < cols)
        byte_edge(x + c16, in_ld, y + c16 * out_ld, out_ld, r16, cols - c16);
    if (r16 < rows)
        byte_edge(x + r16 * in_ld, in_ld, y + r16, out_ld, rows - r16, cols);
}
