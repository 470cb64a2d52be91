/* int64_t, for the templates. */
#define T         int64_t
#define TN        s64
#define T_DT      DT_INT64
#define T_FLOAT   0
#define T_SIGNED  1
#define T_LOWEST  INT64_MIN
#define T_HIGHEST INT64_MAX
/* Sums wrap in the first, means and norms are taken in the second. */
#define UT uint64_t
#define AT int64_t
#define T_IS_S64
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
#define T_FROM_FLOAT(x) float_to_s64(x)
