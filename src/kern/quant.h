/* Linear quantization. Axes and blocks are the caller's: each call has one scale and one zero point.
 * 2- and 4-bit integers are unpacked, one byte an element. */
#ifndef OT_KERN_QUANT_H
#define OT_KERN_QUANT_H

#include "kern/vec.h"

/* saturate(round_half_even(x / scale) + zp). NaN gives the lowest value. */
typedef void quantize_fn(const float *x, void *q, size_t n, float scale, int32_t zp);
/* (q - zp) * scale; the difference is exact. */
typedef void dequantize_fn(const void *q, float *x, size_t n, float scale, int32_t zp);
/* rows of n accumulators, ld apart in both: saturate(round_half_even((float)(acc + bias[i]) * mult[i]) + zp).
 * bias may be NULL; per_column false: mult[0] for all. */
typedef void requantize_fn(const int32_t *acc, const int32_t *bias, const float *mult, bool per_column,
                           int32_t zp, void *q, size_t rows, size_t n, size_t ld);

struct quant_kern {
    quantize_fn *quantize[DT_COUNT];     /* uint8 int8 uint16 int16 uint4 int4 uint2 int2 */
    dequantize_fn *dequantize[DT_COUNT]; /* those and int32 */
    requantize_fn *requantize[DT_COUNT]; /* uint8 int8 */
};

/* Lowest and highest value of a quantized type; false for types that are none. */
bool quant_range(enum dtype dt, int32_t *lo, int32_t *hi);

#endif
