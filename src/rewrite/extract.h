/* Part of a graph as a model of its own. */
#ifndef OT_REWRITE_EXTRACT_H
#define OT_REWRITE_EXTRACT_H

#include "base/err.h"
#include "ir/ir.h"

/* Leaves of the main graph what lies between the values called from (which become inputs; NULL: the model's
 * own inputs) and those called to (which become the outputs; NULL: the model's own). Lists end in NULL.
 * Inputs that nothing reads any more go. E_USAGE for a name that the graph does not have (the nearest one is
 * suggested) or that nothing leads to. */
int model_extract(struct cx *cx, struct model *m, const char *const *from, const char *const *to);

#endif
