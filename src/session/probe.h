/* Whether a model takes inputs of given shapes, told by inference alone. */
#ifndef OT_SESSION_PROBE_H
#define OT_SESSION_PROBE_H

#include "base/err.h"
#include "ir/ir.h"
#include "session/samples.h"

/* OK, or the error that inference met with these inputs (E_SHAPE when shapes do not fit each other). */
int probe_shapes(struct cx *cx, struct model *m, const struct named_list *inputs);

#endif
