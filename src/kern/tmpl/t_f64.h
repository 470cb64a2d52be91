/* double, for the templates. */
#define T         double
#define TN        f64
#define T_DT      DT_DOUBLE
#define T_FLOAT   1
#define T_SIGNED  1
#define T_LOWEST  (-__builtin_inf())
#define T_HIGHEST __builtin_inf()
#define AT        double
#define UT        double
#define M(name)   name
#include "kern/tmpl/names.h"
#include "kern/tmpl/t_tests.h"
