/* Reproducible random numbers: the same seed gives the same values on every machine.
 * xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018), seeded by
 * splitmix64. */
#ifndef OT_BASE_RNG_H
#define OT_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, 1), 53 bits. */
double rng_f64(struct rng *r);
/* Uniform in [lo, hi), without modulo bias; lo when hi <= lo. */
int64_t rng_range(struct rng *r, int64_t lo, int64_t hi);
/* Standard normal (Marsaglia's polar method). */
double rng_normal(struct rng *r);

#endif
