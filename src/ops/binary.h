/* Operators of one kernel of kern/vec.h an element, shared by arithmetic, logic and comparison families. */
#ifndef OT_OPS_BINARY_H
#define OT_OPS_BINARY_H

#include "ops/op_util.h"

/* Two operands with multidirectional broadcasting, or with the one-sided form of opset 6 and before: there
 * B's shape stands in A's from `axis` on, and only if broadcast is set. */
struct binary_params {
    enum bin_op op;
    bool legacy, broadcast, has_axis;
    int64_t axis;
};

/* name -> operation, for parse functions; ends with a NULL name. */
struct op_row {
    const char *name;
    int op;
};
int op_row_find(const struct op_row *rows, const char *name);

/* The broadcast attributes of versions before 7. */
int binary_legacy(struct cx *cx, const struct node *n, int version, struct binary_params *p);
/* params of these: struct binary_params. */
int binary_infer(struct infer_ctx *ic, const void *params);
int binary_ref(struct exec_ctx *ec, const void *params);
/* out = op(a, b) with broadcast of both to out's shape; out may be a or b if that has out's size. Types of a
 * and b are equal (but for BIN_POW). */
int binary_run(struct exec_ctx *ec, enum bin_op op, const struct tensor *a, const struct tensor *b,
               struct tensor *out);
/* The known value of output 0 from those of inputs 0 and 1, where the operation has one. */
int binary_val(struct infer_ctx *ic, enum bin_op op);

/* One operand. */
struct unary_params {
    enum un_op op;
    struct un_params k;
};
int unary_infer(struct infer_ctx *ic, const void *params);
int unary_ref(struct exec_ctx *ec, const void *params);

#endif
