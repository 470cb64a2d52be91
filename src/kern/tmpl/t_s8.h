/* int8_t, for the templates. */
#define T         int8_t
#define TN        s8
#define T_DT      DT_INT8
#define T_FLOAT   0
#define T_SIGNED  1
#define T_LOWEST  INT8_MIN
#define T_HIGHEST INT8_MAX
/* Sums wrap in the first, means and norms are taken in the second. */
#define UT uint32_t
#define AT int64_t
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
#define T_FROM_FLOAT(x) (T) float_to_s32(x)
