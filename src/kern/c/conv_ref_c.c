/* Plain convolutions, once a type. */
#include "kern/conv_index.h"
#include "kern/kern.h"

enum { REF_CHUNK = 256 };

#define T    float
#define FN   k_f32_conv_ref_c
#define FN_T k_f32_conv_t_ref_c
#define ROW  row_f32
#define AT   at_f32
#include "kern/tmpl/conv_tmpl.c"

#define T    double
#define FN   k_f64_conv_ref_c
#define FN_T k_f64_conv_t_ref_c
#define ROW  row_f64
#define AT   at_f64
#include "kern/tmpl/conv_tmpl.c"
