/* Convolution tile of the blocked layout with AVX2. */
#include "kern/x86/v_avx2.h"

#include "kern/tmpl/blk_conv_simd_tmpl.c"
