/* Tests of one value that would be foolish to spell out for types that cannot pass them. */
#ifndef OT_KERN_T_TESTS_H
#define OT_KERN_T_TESTS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool is_nan(T x)
{
#if T_FLOAT
    return x != x;
#else
    (void)x;
    return false;
#endif
}

static inline bool is_negative(T x)
{
#if T_SIGNED
    return x < 0;
#else
    (void)x;
    return false;
#endif
}

#endif
