#include "kern/x86/v_avx512.h"

#include "kern/tmpl/norm_simd_tmpl.c"
