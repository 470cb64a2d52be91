/* float, for the templates. */
#define T         float
#define TN        f32
#define T_DT      DT_FLOAT
#define T_FLOAT   1
#define T_SIGNED  1
#define T_LOWEST  (-__builtin_inff())
#define T_HIGHEST __builtin_inff()
#define AT        double
#define UT        float
#define M(name)   name##f
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
