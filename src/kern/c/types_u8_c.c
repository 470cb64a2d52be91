/* Reference kernels that are compiled once a type: u8. */
#include "kern/tmpl/t_u8.h"

#include "kern/tmpl/arith_tmpl.c"
#include "kern/tmpl/bits_tmpl.c"
#include "kern/tmpl/cast_tmpl.c"
#include "kern/tmpl/max_pool_tmpl.c"
#include "kern/tmpl/reduce_tmpl.c"
#include "kern/tmpl/scatter_tmpl.c"
#include "kern/tmpl/sign_tmpl.c"
