/* Zero points of 8-bit operands, for the integer products and convolutions. */
#ifndef OT_OPS_ZERO_POINTS_H
#define OT_OPS_ZERO_POINTS_H

#include "ops/op.h"

/* `step` 0: one value for all (v[0]); 1: one a row or column, of every matrix. v NULL: none. */
struct zeros {
    const int32_t *v;
    int step;
};

/* Input z of the node: 1, per, or per * nmat integers, brought to 1 or per * nmat of them (in scratch). */
int load_zeros(struct exec_ctx *ec, int z, int64_t per, int64_t nmat, struct zeros *out);
/* Whether input i is there and has 8-bit integers. */
bool ec_is_byte(const struct exec_ctx *ec, int i);
bool bc_is_byte(const struct bind_ctx *bc, int i);

#endif
