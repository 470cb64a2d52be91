/* What this processor and its operating system allow. Only kern_init() and the command line ask;
 * everything else gets its kernels from the table that was filled from a mask. */
#ifndef OT_BASE_CPU_H
#define OT_BASE_CPU_H

#include <stddef.h>

enum cpu_flag {
    CPU_AVX2 = 1u << 0,   /* AVX2, FMA, F16C */
    CPU_AVX512 = 1u << 1, /* AVX-512 F, CD, BW, DQ, VL (the Skylake-X class) */
    CPU_VNNI = 1u << 2,   /* AVX-512 VNNI */
    CPU_NEON = 1u << 3,   /* Arm Advanced SIMD */
};

/* Flags of the machine, the state saved by the operating system checked too. */
unsigned cpu_flags(void);
/* "c", "avx2", "avx512", "vnni", "all": the levels of --cpu-mask, each including the weaker ones.
 * Returns 0 and the mask, or -1 for an unknown name. */
int cpu_mask_parse(const char *name, unsigned *mask);
/* The strongest level in mask, as --cpu-mask spells it. */
const char *cpu_mask_name(unsigned mask);
/* Processor brand string, "unknown" where there is none. */
const char *cpu_brand(void);
/* Cores this process may use: affinity and cgroup quota, at least 1. */
int cpu_count(void);
/* Bytes of memory that the cgroup (or the machine) still allows. */
size_t cpu_memory_limit(void);

#endif
