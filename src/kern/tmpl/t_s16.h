/* int16_t, for the templates. */
#define T         int16_t
#define TN        s16
#define T_DT      DT_INT16
#define T_FLOAT   0
#define T_SIGNED  1
#define T_LOWEST  INT16_MIN
#define T_HIGHEST INT16_MAX
/* Sums wrap in the first, means and norms are taken in the second. */
#define UT uint32_t
#define AT int64_t
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
#define T_FROM_FLOAT(x) (T) float_to_s32(x)
