/* Local response normalization with AVX2. */
#include "kern/x86/v_avx2.h"

#include "kern/tmpl/lrn_simd_tmpl.c"
