/* Portable tile, transposition and matrix-vector kernels. */
#include "kern/gemm_epi.h"
#include "kern/kern.h"

enum { MR = 4, NR = 8 };

static void tile_4x8(const struct gemm_tile *t)
{
    float acc[MR][NR] = {{0}};
    const float *a = t->a, *b = t->b;

    if (t->load)
        for (int i = 0; i < t->m; i++)
            for (int j = 0; j < t->n; j++)
                acc[i][j] = t->c[i * t->ldc + j];
    for (int64_t k = 0; k < t->k; k++, a += t->as, b += NR)
        for (int i = 0; i < t->m; i++)
            for (int j = 0; j < NR; j++)
                acc[i][j] += a[i] * b[j];
    for (int i = 0; i < t->m; i++)
        for (int j = 0; j < t->n; j++)
            t->c[i * t->ldc + j] = t->e ? epi_value(t->e, acc[i][j], i, j) : acc[i][j];
}

const struct gemm_f32_tile k_f32_gemm_4x8_c = {MR, NR, 512, tile_4x8, NULL};

void k_x32_transpose_c(const float *src, int64_t lds, float *dst, int64_t ldd, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            dst[i * ldd + j] = src[j * lds + i];
}

void k_f32_gemv_cols_c(const struct gemv *g, int64_t n0, int64_t n1)
{
    for (int i = 0; i < g->m; i++) {
        float *c = g->c + i * g->ldc;
        for (int64_t n = n0; n < n1; n++)
            c[n] = 0.0f;
        for (int64_t k = 0; k < g->k; k++) {
            float f = g->a[i * g->a_rs + k * g->a_cs];
            const float *b = g->b + k * g->b_s;
            for (int64_t n = n0; n < n1; n++)
                c[n] += f * b[n];
        }
    }
}

void k_f32_gemv_dots_c(const struct gemv *g, int64_t n0, int64_t n1)
{
    for (int64_t n = n0; n < n1; n++)
        for (int i = 0; i < g->m; i++) {
            const float *a = g->a + i * g->a_rs, *b = g->b + n * g->b_s;
            float s = 0.0f;
            for (int64_t k = 0; k < g->k; k++)
                s += a[k] * b[k];
            g->c[i * g->ldc + n] = s;
        }
}

void k_f32_epi_row_c(const struct gemm_epi *e, int64_t m, int64_t n0, const float *s, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = epi_value(e, s[i], m, n0 + i);
}
