/* com.microsoft.nchwc: what the rewrite that knows the domain, and the operators themselves, share. */
#ifndef OT_OPS_NCHWC_H
#define OT_OPS_NCHWC_H

#include "ops/op.h"

#define NCHWC_DOMAIN "com.microsoft.nchwc"

/* An attribute of our own that a session puts on the nodes of a graph when no blocked value leaves it: values
 * between them are then kept in plain N C H W order (channels still padded), and nothing is reordered but the
 * weights. */
#define NCHWC_PLAIN "onnxtool_plain"

/* Channels that one block of the blocked values of g has; worked out once a graph, from its channels and
 * weights. */
int nchwc_block(struct cx *cx, struct graph *g, int64_t *out);

/* Upsample on plain tensors (pad_resize.c). */
extern const struct op nchwc_upsample;

#endif
