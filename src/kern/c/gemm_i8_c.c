/* The tile of 8-bit products, portable. */
#include "kern/kern.h"

enum { MR = 4, NR = 8 };

static uint32_t dot4(uint32_t a, uint32_t b)
{
    uint32_t s = 0;
    for (int i = 0; i < 32; i += 8)
        s += (a >> i & 0xff) * (uint32_t)(int32_t)(int8_t)(b >> i & 0xff);
    return s;
}

static void tile_4x8(const struct gemm_i8_tile *t)
{
    uint32_t acc[MR][NR] = {{0}};
    for (int64_t q = 0; q < t->quads; q++)
        for (int i = 0; i < t->m; i++)
            for (int j = 0; j < NR; j++)
                acc[i][j] += dot4(t->a[q * t->as + i], t->b[q * NR + j]);
    for (int i = 0; i < t->m; i++)
        for (int j = 0; j < t->n; j++)
            t->c[i * t->ldc + j] =
                (int32_t)(acc[i][j] + t->row_scale[i] * t->col_sum[j] + t->row_off[i] * t->col_zero[j]);
}

const struct gemm_i8_kern k_i8_gemm_4x8_c = {MR, NR, tile_4x8};
