/* The multiply-add ceiling with AVX-512. */
#include "kern/peak.h"

#include <immintrin.h>

/* As many chains as there are registers to hold them, two operands aside: latency times units is less. */
enum { CHAINS = 20, LANES = 16 };

double peak_f32_avx512(int64_t rounds, float *sink)
{
    __m512 acc[CHAINS], a = _mm512_set1_ps(0.9999f), b = _mm512_set1_ps(1e-4f), sum = _mm512_setzero_ps();
    float out[LANES];
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_fmadd_ps(acc[i], a, b);
    }
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++)
        sum = _mm512_add_ps(sum, acc[i]);
    _mm512_storeu_ps(out, sum);
    *sink = 0;
    for (int i = 0; i < LANES; i++)
        *sink += out[i];
    return 2.0 * LANES * CHAINS * (double)rounds;
}
