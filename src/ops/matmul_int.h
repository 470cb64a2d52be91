/* 8-bit products for the operators that make something else of the sums. */
#ifndef OT_OPS_MATMUL_INT_H
#define OT_OPS_MATMUL_INT_H

#include "ops/matmul_op.h"

/* Which inputs are the right operand and the zero points of both; the left operand is input 0. */
struct int_inputs {
    int b, az, bz;
};

/* A right operand that was packed at bind: `step` bytes a matrix. */
struct int_step {
    const char *b; /* NULL: not */
    size_t step;
    bool b_signed;
    struct extents shape;
};

/* Sums of input 0 by the right operand into sums, which has the elements of output 0. st: what
 * int_pack_right() made, NULL: the reference. */
int int_products(struct exec_ctx *ec, const struct int_inputs *in, const struct int_step *st, int32_t *sums);
/* Packs the constant right operand, input i. Leaves st alone when it is not constant. */
int int_pack_right(struct bind_ctx *bc, int i, struct int_step *st, struct step *step);

#endif
