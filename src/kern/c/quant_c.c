/* Reference quantization; storage is one byte an element for types below 8 bits. */
#include <math.h>

#include "kern/kern.h"

/* NaN compares false and ends at lo. */
static inline int32_t quantize_one(float x, float scale, int32_t zp, int32_t lo, int32_t hi)
{
    float r = nearbyintf(x / scale) + (float)zp;
    return r >= (float)hi ? hi : r > (float)lo ? (int32_t)r : lo;
}

static inline __attribute__((always_inline)) void quantize8(const float *x, uint8_t *q, size_t n, float scale,
                                                            int32_t zp, int32_t lo, int32_t hi)
{
    for (size_t i = 0; i < n; i++)
        q[i] = (uint8_t)quantize_one(x[i], scale, zp, lo, hi);
}

static inline __attribute__((always_inline)) void quantize16(const float *x, uint16_t *q, size_t n,
                                                             float scale, int32_t zp, int32_t lo, int32_t hi)
{
    for (size_t i = 0; i < n; i++)
        q[i] = (uint16_t)quantize_one(x[i], scale, zp, lo, hi);
}

void k_u8_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize8(x, q, n, scale, zp, 0, 255);
}

void k_s8_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize8(x, q, n, scale, zp, -128, 127);
}

void k_u16_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize16(x, q, n, scale, zp, 0, 65535);
}

void k_s16_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize16(x, q, n, scale, zp, -32768, 32767);
}

void k_u4_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize8(x, q, n, scale, zp, 0, 15);
}

void k_s4_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize8(x, q, n, scale, zp, -8, 7);
}

void k_u2_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize8(x, q, n, scale, zp, 0, 3);
}

void k_s2_quantize_c(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize8(x, q, n, scale, zp, -2, 1);
}

void k_u8_dequantize_c(const void *q, float *x, size_t n, float scale, int32_t zp)
{
    const uint8_t *v = q;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(v[i] - zp) * scale;
}

void k_s8_dequantize_c(const void *q, float *x, size_t n, float scale, int32_t zp)
{
    const int8_t *v = q;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(v[i] - zp) * scale;
}

void k_u16_dequantize_c(const void *q, float *x, size_t n, float scale, int32_t zp)
{
    const uint16_t *v = q;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(v[i] - zp) * scale;
}

void k_s16_dequantize_c(const void *q, float *x, size_t n, float scale, int32_t zp)
{
    const int16_t *v = q;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(v[i] - zp) * scale;
}

/* The difference may need 33 bits; it is rounded to float once. */
void k_s32_dequantize_c(const void *q, float *x, size_t n, float scale, int32_t zp)
{
    const int32_t *v = q;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((int64_t)v[i] - zp) * scale;
}

static inline __attribute__((always_inline)) void requantize(const int32_t *acc, const int32_t *bias,
                                                             const float *mult, bool per_column, int32_t zp,
                                                             uint8_t *q, size_t rows, size_t n, size_t ld,
                                                             int32_t lo, int32_t hi)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) {
            uint32_t v = (uint32_t)acc[r * ld + i] + (uint32_t)(bias ? bias[i] : 0);
            float f = nearbyintf((float)(int32_t)v * mult[per_column ? i : 0]) + (float)zp;
            q[r * ld + i] = (uint8_t)(f >= (float)hi ? hi : f > (float)lo ? (int32_t)f : lo);
        }
}

void k_u8_requantize_c(const int32_t *acc, const int32_t *bias, const float *mult, bool per_column,
                       int32_t zp, void *q, size_t rows, size_t n, size_t ld)
{
    requantize(acc, bias, mult, per_column, zp, q, rows, n, ld, 0, 255);
}

void k_s8_requantize_c(const int32_t *acc, const int32_t *bias, const float *mult, bool per_column,
                       int32_t zp, void *q, size_t rows, size_t n, size_t ld)
{
    requantize(acc, bias, mult, per_column, zp, q, rows, n, ld, -128, 127);
}
