/* Reference kernels that are compiled once a type: u32. */
#include "kern/tmpl/t_u32.h"

#include "kern/tmpl/arith_tmpl.c"
#include "kern/tmpl/bits_tmpl.c"
#include "kern/tmpl/cast_tmpl.c"
#include "kern/tmpl/reduce_tmpl.c"
#include "kern/tmpl/scatter_tmpl.c"
#include "kern/tmpl/sign_tmpl.c"
