/* Truncation of a float to an integer with every case defined, as cast.h says. */
#ifndef OT_KERN_CAST_FLOAT_H
#define OT_KERN_CAST_FLOAT_H

#include <stdint.h>

static inline int32_t float_to_s32(double x)
{
    return x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN;
}
static inline int64_t float_to_s64(double x)
{
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}
static inline uint64_t float_to_u64(double x)
{
    return x >= 0x1p63 && x < 0x1p64 ? (uint64_t)x : (uint64_t)float_to_s64(x);
}

#endif
