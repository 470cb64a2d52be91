/* Pooling with AVX-512. */
#include "kern/x86/v_avx512.h"

#include "kern/tmpl/pool_simd_tmpl.c"
