/* Invariants of the IR, for tests and after passes: producers, uses, names, order, links. Not the checker of
 * models. */
#ifndef OT_IR_VERIFY_H
#define OT_IR_VERIFY_H

#include "base/err.h"
#include "ir/ir.h"

/* E_INTERNAL with the first broken invariant, over all graphs and functions. */
int model_verify(struct cx *cx, const struct model *m);

#endif
