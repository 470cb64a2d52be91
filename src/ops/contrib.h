/* Operators of com.microsoft, which have no rows in schema.def: what their hooks share. */
#ifndef OT_OPS_CONTRIB_H
#define OT_OPS_CONTRIB_H

#include "ops/wide.h"

/* E_MODEL unless the node has lo to hi inputs and those of bit mask `required` are there. parse calls it, so
 * that infer and ref may rely on it. */
int contrib_inputs(struct cx *cx, const struct node *n, int lo, int hi, unsigned required);

/* The values of input x as double, (x - zero point) * scale; scale and zero point are inputs of one element,
 * the latter may be left out. */
int contrib_dequant(struct exec_ctx *ec, int x, int scale, int zero, double **out);
/* v / scale + zero point into output 0 of an 8- or 16-bit type: rounded to even, saturated. */
int contrib_quant(struct exec_ctx *ec, const double *v, int scale, int zero);

/* ---- one operator by means of another ---- */

/* A tensor in scratch, uninitialized; NULL with the error set. dims are not below 0. */
struct tensor *contrib_temp(struct exec_ctx *ec, enum dtype dt, int rank, const int64_t *dims);
/* The axes of t in another order, in scratch. */
int contrib_permute(struct exec_ctx *ec, const struct tensor *t, const int *perm, const struct tensor **out);
/* Input i as float: (x - zero point) * scale; inputs `scale` and `zero` (may be left out) have one value for
 * all, or one for each index along axis (ignored when they have one). */
int contrib_float(struct exec_ctx *ec, int i, int scale, int zero, int axis, const struct tensor **out);
/* Float tensor v over scale plus zero point into output 0 of an 8- or 16-bit type. */
int contrib_round(struct exec_ctx *ec, const struct tensor *v, int scale, int zero);
/* Runs op on these operands instead of the node's; step: what its bind gave, or NULL for its reference. */
int contrib_run(struct exec_ctx *ec, const struct op *op, const void *params, const struct step *step,
                const struct tensor **ins, int nin, struct tensor **outs, int nout);

/* A binding context of an inner operator: input i of it is input from[i] of the node (-1: left out), or the
 * constant konst[i] where that is set. Constants may go when its bind has returned. */
enum { CONTRIB_INNER = 8 };
struct contrib_bind {
    struct bind_ctx bc;
    struct bind_ctx *outer;
    const struct tensor *konst[CONTRIB_INNER];
    int from[CONTRIB_INNER];
    const struct type *types[CONTRIB_INNER];
};
void contrib_bind_init(struct contrib_bind *b, struct bind_ctx *outer, const int *from, int nin);
/* E_NOMEM, or 0. */
int contrib_bind_const(struct contrib_bind *b, int i, const struct tensor *t);

#endif
