/* What the matrix products of all element types share: shapes of numpy's matmul, and their batches. */
#ifndef OT_OPS_MATMUL_OP_H
#define OT_OPS_MATMUL_OP_H

#include "ops/op.h"

/* Shape and type of output 0, a product of inputs a and b with elements of type dt. */
int matmul_infer_shape(struct infer_ctx *ic, int a, int b, enum dtype dt);
/* Multiply-accumulates: an output element is a sum over the inner dimension, the last one of input a. */
int matmul_macs(struct infer_ctx *ic, int a, struct op_cost *out);

/* One product a batch: matrix i of A and B is number a_at[i], b_at[i] of its operand. */
struct batches {
    int64_t m, n, k, count;
    int64_t *a_at, *b_at;
};

struct extents {
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
};

void extents_of(const struct tensor *t, struct extents *e);
/* may_merge: a product with one right matrix is one tall product; count is then 1. Arrays are scratch. */
int make_batches(struct exec_ctx *ec, const struct extents *a, const struct extents *b,
                 const struct tensor *y, bool may_merge, struct batches *s);
/* Whether whole products are handed out to threads, because they are many and small; few or large ones are
 * split inside. */
bool batches_handed_out(const struct exec_ctx *ec, const struct batches *s);
/* Scratch memory for products like g: *bytes for each thread that works on a product of its own. */
int batches_scratch(struct exec_ctx *ec, const struct gemm_f32 *g, bool handed_out, char **scratch,
                    size_t *bytes);
/* Sets the error that the shapes do not fit. */
int matmul_no_fit(struct cx *cx);

#endif
