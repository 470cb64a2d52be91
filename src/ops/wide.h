/* Operands brought to float or double, for operators that compute in one of them: narrow floats travel
 * through float, float64 and what must be exact through double. Also the loops that split work over threads.
 */
#ifndef OT_OPS_WIDE_H
#define OT_OPS_WIDE_H

#include "ops/op_util.h"

static inline bool ec_has_out(const struct exec_ctx *ec, int o)
{
    return o < ec->nout && ec->out[o];
}

/* Input i as float: its own data, or a converted copy in scratch. E_UNSUPPORTED when it is not numeric. *out
 * is NULL when the input was left out. */
int wide_f32(struct exec_ctx *ec, int i, const float **out);
int wide_f64(struct exec_ctx *ec, int i, const double **out);
/* Where the values of output o are computed: its own memory when it has that type, else scratch.
 * NULL with 0 when the output is not wanted. */
int wide_out_f32(struct exec_ctx *ec, int o, float **out);
int wide_out_f64(struct exec_ctx *ec, int o, double **out);
/* Converts what was computed at p into output o; nothing to do when p is the output's own memory. */
void wide_done_f32(struct exec_ctx *ec, int o, const float *p);
void wide_done_f64(struct exec_ctx *ec, int o, const double *p);

/* Whether the element type is a float that is exact in float (float16, bfloat16, float). */
bool wide_fits_f32(enum dtype dt);
/* As wide_f32, for a constant at bind; *out NULL when it is not constant. Memory from bc_alloc when
 * converted. */
int wide_const_f32(struct bind_ctx *bc, int i, const float **out);

/* Product of dims [from, to). */
int64_t dims_prod(const int64_t *dims, int from, int to);
/* The same over dimension expressions. */
struct dim dims_prod_expr(struct infer_ctx *ic, const struct dim *dims, int from, int to);
/* How many units of `each` element operations one piece of work should have, at least 1. */
int64_t grain_for(int64_t each);

#endif
