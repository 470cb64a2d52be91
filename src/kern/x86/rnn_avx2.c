/* Gates of recurrent cells with AVX2. */
#include "kern/x86/v_avx2.h"

#include "kern/tmpl/rnn_simd_tmpl.c"
