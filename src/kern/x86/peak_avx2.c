/* The multiply-add ceiling with AVX2. */
#include "kern/peak.h"

#include <immintrin.h>

/* As many chains as there are registers to hold them, two operands aside: latency times units is less. */
enum { CHAINS = 12, LANES = 8 };

double peak_f32_avx2(int64_t rounds, float *sink)
{
    __m256 acc[CHAINS], a = _mm256_set1_ps(0.9999f), b = _mm256_set1_ps(1e-4f), sum = _mm256_setzero_ps();
    float out[LANES];
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm256_fmadd_ps(acc[i], a, b);
    }
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++)
        sum = _mm256_add_ps(sum, acc[i]);
    _mm256_storeu_ps(out, sum);
    *sink = 0;
    for (int i = 0; i < LANES; i++)
        *sink += out[i];
    return 2.0 * LANES * CHAINS * (double)rounds;
}
