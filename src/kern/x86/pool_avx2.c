/* Pooling with AVX2. */
#include "kern/x86/v_avx2.h"

#include "kern/tmpl/pool_simd_tmpl.c"
