/* Conversions between element types, strings excepted. What ONNX leaves open is defined here:
 * float to integer truncates toward zero. Out of range or NaN: int32 and int64 give their lowest value; 8-
 * and 16-bit integers take the low bits of the int32 result, uint32 those of the int64 result; uint64 is
 * exact up to 2^64, negative values wrap, the rest gives 2^63. 2- and 4-bit integers take the low bits of the
 * int32 result. Integers among each other wrap. To bool: not equal to zero (NaN is true). From bool: 0 or 1.
 * Between complex types exact or rounded; complex to real drops the imaginary part. */
#ifndef OT_KERN_CAST_H
#define OT_KERN_CAST_H

#include "kern/vec.h"

typedef void cast_fn(const void *in, void *out, size_t n);

struct cast_opt {
    bool no_saturate; /* float8: overflow gives NaN or Inf (Cast's saturate=0) instead of the largest value */
    int round_mode;   /* float8e8m0: 0 up, 1 down, 2 nearest */
};

/* Rows for the hot pairs; the other pairs go through float, double or int64, block by block. */
struct cast_kern {
    cast_fn *direct[DT_COUNT][DT_COUNT]; /* [from][to], sparse */
};

bool cast_supported(enum dtype from, enum dtype to);
/* in and out may not overlap. opt may be NULL. Only for pairs that cast_supported() approves. */
void cast_run(const struct kern *k, enum dtype from, enum dtype to, const void *in, void *out, size_t n,
              const struct cast_opt *opt);

#endif
