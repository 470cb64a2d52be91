/* The multiply-add ceiling, without vector instructions. */
#include "kern/peak.h"

#include "base/cpu.h"

enum { CHAINS = 16 };

double peak_f32_c(int64_t rounds, float *sink)
{
    float acc[CHAINS];
    const float a = 0.9999f, b = 1e-4f;
    for (int i = 0; i < CHAINS; i++)
        acc[i] = (float)i;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * a + b;
    *sink = 0;
    for (int i = 0; i < CHAINS; i++)
        *sink += acc[i];
    return 2.0 * CHAINS * (double)rounds;
}

peak_fn *peak_pick(unsigned mask)
{
#if defined(__x86_64__) || defined(__i386__)
    if (mask & CPU_AVX512)
        return peak_f32_avx512;
    if (mask & CPU_AVX2)
        return peak_f32_avx2;
#endif
    (void)mask;
    return peak_f32_c;
}

/* Eight sums, so that no addition waits for the one before. */
uint64_t peak_read(const uint64_t *v, size_t n)
{
    uint64_t s[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            s[k] += v[i + (size_t)k];
    for (int k = 0; k < 8; k++)
        sum += s[k];
    for (; i < n; i++)
        sum += v[i];
    return sum;
}
