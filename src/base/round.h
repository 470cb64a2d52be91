/* Rounding of sizes and counts. */
#ifndef OT_BASE_ROUND_H
#define OT_BASE_ROUND_H

#include <stddef.h>
#include <stdint.h>

/* a over b, rounded up; a >= 0, b > 0. */
static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* To a whole number of cache lines; n <= SIZE_MAX - 63. */
static inline size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

#endif
