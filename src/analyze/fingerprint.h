/* A hash of what a model computes. Names, documentation, metadata, the order of independent nodes, dead nodes
 * and how values are stored do not count; operators (in the version that the imports select), attributes,
 * wiring, types and shapes of inputs and weights do.
 *
 * Of the weights' values only those that steer the computation count: int64 and bool tensors up to 1 KiB, and
 * single numbers. With weights set all of them do, which reads them. */
#ifndef OT_ANALYZE_FINGERPRINT_H
#define OT_ANALYZE_FINGERPRINT_H

#include "base/err.h"
#include "ir/ir.h"

/* Operators must be resolved. hex: 64 digits and a zero. */
int fingerprint_model(struct cx *cx, struct model *m, bool weights, char hex[65]);

#endif
