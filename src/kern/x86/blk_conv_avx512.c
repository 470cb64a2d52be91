/* Convolution tile of the blocked layout with AVX-512. */
#include "kern/x86/v_avx512.h"

#include "kern/tmpl/blk_conv_simd_tmpl.c"
