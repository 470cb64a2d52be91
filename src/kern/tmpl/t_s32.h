/* int32_t, for the templates. */
#define T         int32_t
#define TN        s32
#define T_DT      DT_INT32
#define T_FLOAT   0
#define T_SIGNED  1
#define T_LOWEST  INT32_MIN
#define T_HIGHEST INT32_MAX
/* Sums wrap in the first, means and norms are taken in the second. */
#define UT uint32_t
#define AT int64_t
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
#define T_FROM_FLOAT(x) float_to_s32(x)
