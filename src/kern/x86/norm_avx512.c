/* Normalization and softmax rows with AVX-512. */
#include "kern/x86/v_avx512.h"

#include "kern/tmpl/norm_simd_tmpl.c"
