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

#endif
