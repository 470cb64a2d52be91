/* Sums and extremes with AVX-512. */
#include "kern/x86/v_avx512.h"

#include "kern/tmpl/reduce_simd_tmpl.c"
