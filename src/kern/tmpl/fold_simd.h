/* Sums over float rows: blocks of BLOCK elements in four vectors of partial sums, block results in double.
 * The order depends on n alone. Included after the vector type. */
#ifndef OT_KERN_FOLD_SIMD_H
#define OT_KERN_FOLD_SIMD_H

#include "kern/tmpl/v_math.h"

enum { FOLD_BLOCK = 2048 };

/* What is summed of an element; c is a constant of the row. */
typedef vf fold_pre(vf x, vf c);

static inline vf fold_same(vf x, vf c)
{
    (void)c;
    return x;
}
static inline vf fold_square(vf x, vf c)
{
    (void)c;
    return v_mul(x, x);
}
static inline vf fold_abs(vf x, vf c)
{
    (void)c;
    return v_abs(x);
}
static inline vf fold_square_from(vf x, vf c)
{
    vf d = v_sub(x, c);
    return v_mul(d, d);
}

static inline __attribute__((always_inline)) float fold_block(fold_pre *pre, const float *x, size_t n, vf c)
{
    vf s0 = v_set1(0.0f), s1 = s0, s2 = s0, s3 = s0, zero = s0;
    size_t i = 0;
    for (; i + 4 * VN <= n; i += 4 * VN) {
        s0 = v_add(s0, pre(v_load(x + i), c));
        s1 = v_add(s1, pre(v_load(x + i + VN), c));
        s2 = v_add(s2, pre(v_load(x + i + 2 * VN), c));
        s3 = v_add(s3, pre(v_load(x + i + 3 * VN), c));
    }
    for (; i + VN <= n; i += VN)
        s0 = v_add(s0, pre(v_load(x + i), c));
    if (i < n)
        s1 = v_add(s1, v_keep_n(pre(v_load_n(x + i, n - i), c), zero, n - i));
    return v_hsum(v_add(v_add(s0, s1), v_add(s2, s3)));
}

static inline __attribute__((always_inline)) double fold_row(fold_pre *pre, const float *x, size_t n, float c)
{
    double sum = 0;
    vf vc = v_set1(c);
    for (size_t i = 0; i < n; i += FOLD_BLOCK)
        sum += (double)fold_block(pre, x + i, n - i < FOLD_BLOCK ? n - i : FOLD_BLOCK, vc);
    return sum;
}

#endif
