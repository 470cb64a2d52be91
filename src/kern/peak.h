/* What the machine can do at most: the ceilings that kernels are measured against. */
#ifndef OT_KERN_PEAK_H
#define OT_KERN_PEAK_H

#include <stddef.h>
#include <stdint.h>

/* `rounds` rounds of independent multiply-adds of floats in registers; returns the floating point operations
 * that were done, 2 a multiply-add. *sink gets a value that depends on all of them. */
typedef double peak_fn(int64_t rounds, float *sink);

peak_fn peak_f32_c, peak_f32_avx2, peak_f32_avx512;

/* The strongest that mask allows. */
peak_fn *peak_pick(unsigned mask);
/* Sum of n words: reads memory as fast as a loop can. */
uint64_t peak_read(const uint64_t *v, size_t n);

#endif
