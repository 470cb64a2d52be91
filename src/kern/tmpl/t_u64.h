/* uint64_t, for the templates. */
#define T         uint64_t
#define TN        u64
#define T_DT      DT_UINT64
#define T_FLOAT   0
#define T_SIGNED  0
#define T_LOWEST  0
#define T_HIGHEST UINT64_MAX
/* Sums wrap in the first, means and norms are taken in the second. */
#define UT uint64_t
#define AT uint64_t
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
#define T_FROM_FLOAT(x) float_to_u64(x)
