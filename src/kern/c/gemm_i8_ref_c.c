/* 8-bit integer product from its definition. */
#include "kern/kern.h"

enum { COLS = 256 };

static int32_t load8(const void *p, int64_t i, bool is_signed)
{
    return is_signed ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

/* Sums are kept unsigned: they wrap instead of being undefined. */
static void row_part(const struct gemm_i8 *g, int64_t m, int64_t n0, int cols)
{
    uint32_t acc[COLS] = {0};
    int32_t za = g->za ? g->za[m * g->za_step] : 0;

    for (int64_t k = 0; k < g->k; k++) {
        int32_t a = load8(g->a, m * g->a_rs + k * g->a_cs, g->a_signed) - za;
        for (int j = 0; j < cols; j++) {
            int32_t zb = g->zb ? g->zb[(n0 + j) * g->zb_step] : 0;
            int32_t b = load8(g->b, k * g->b_rs + (n0 + j) * g->b_cs, g->b_signed) - zb;
            acc[j] += (uint32_t)a * (uint32_t)b;
        }
    }
    for (int j = 0; j < cols; j++)
        g->c[m * g->ldc + n0 + j] = (int32_t)acc[j];
}

void k_i8_gemm_c(const struct gemm_i8 *g, int64_t m0, int64_t m1)
{
    for (int64_t m = m0; m < m1; m++)
        for (int64_t n = 0; n < g->n; n += COLS)
            row_part(g, m, n, g->n - n < COLS ? (int)(g->n - n) : COLS);
}
