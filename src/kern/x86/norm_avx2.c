/* Normalization and softmax rows with AVX2. */
#include "kern/x86/v_avx2.h"

#include "kern/tmpl/norm_simd_tmpl.c"
