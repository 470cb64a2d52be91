/* Runs one operator on small constants, for shape chains that inference does not follow: the pads that
 * PyTorch writes go through Reshape, Slice and Transpose of a matrix. */
#ifndef OT_ANALYZE_SMALL_EVAL_H
#define OT_ANALYZE_SMALL_EVAL_H

#include "base/err.h"
#include "base/tensor.h"
#include "ir/ir.h"
#include "kern/kern.h"

/* Whether n is of a kind that small_eval takes: one output, no randomness, no subgraph, no data-dependent
 * shape. */
bool small_eval_fits(const struct node *n);
/* The output of n, of type t (exact dims), from its inputs (NULL: left out). False: it cannot be computed; cx
 * has no error then. out owns its memory. */
bool small_eval(struct cx *cx, const struct kern *kern, struct node *n, const struct tensor **in,
                const struct type *t, struct tensor *out);

#endif
