/* The plain product, once a type: no packing, no fused multiply-add. */
#include "kern/kern.h"

enum { REF_ROWS = 4, REF_COLS = 128 };

/* Factors from a file may be anything; those that no integer can hold count as 0. */
static int64_t factor_int(double d)
{
    return d > -9.2e18 && d < 9.2e18 ? (int64_t)d : 0;
}

#define T              float
#define FN             k_f32_gemm_ref_c
#define FN_TILE        tile_f32
#define FROM_DOUBLE(d) ((float)(d))
#include "kern/tmpl/gemm_tmpl.c"

#define T              double
#define FN             k_f64_gemm_ref_c
#define FN_TILE        tile_f64
#define FROM_DOUBLE(d) (d)
#include "kern/tmpl/gemm_tmpl.c"

#define T              uint32_t
#define FN             k_u32_gemm_ref_c
#define FN_TILE        tile_u32
#define FROM_DOUBLE(d) ((uint32_t)factor_int(d))
#include "kern/tmpl/gemm_tmpl.c"

#define T              uint64_t
#define FN             k_u64_gemm_ref_c
#define FN_TILE        tile_u64
#define FROM_DOUBLE(d) ((uint64_t)factor_int(d))
#include "kern/tmpl/gemm_tmpl.c"
