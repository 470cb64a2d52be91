/* Local response normalization with AVX-512. */
#include "kern/x86/v_avx512.h"

#include "kern/tmpl/lrn_simd_tmpl.c"
