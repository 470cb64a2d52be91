/* Reference kernels that are compiled once a type: f32. */
#include "kern/tmpl/t_f32.h"

#include "kern/tmpl/arith_tmpl.c"
#include "kern/tmpl/avg_pool_tmpl.c"
#include "kern/tmpl/float_un_tmpl.c"
#include "kern/tmpl/max_pool_tmpl.c"
#include "kern/tmpl/reduce_tmpl.c"
#include "kern/tmpl/resize_tmpl.c"
#include "kern/tmpl/scatter_tmpl.c"
#include "kern/tmpl/sign_tmpl.c"
#include "kern/tmpl/softmax_tmpl.c"
