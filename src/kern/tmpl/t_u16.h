/* uint16_t, for the templates. */
#define T         uint16_t
#define TN        u16
#define T_DT      DT_UINT16
#define T_FLOAT   0
#define T_SIGNED  0
#define T_LOWEST  0
#define T_HIGHEST UINT16_MAX
/* Sums wrap in the first, means and norms are taken in the second. */
#define UT uint32_t
#define AT uint64_t
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
#define T_FROM_FLOAT(x) (T) float_to_s32(x)
