/* Topological order. */
#ifndef OT_IR_ORDER_H
#define OT_IR_ORDER_H

#include "base/err.h"
#include "ir/ir.h"

/* Puts the nodes of g (not of inner graphs) into topological order, stable: nodes that are in order already
 * stay where they are. Uses by nodes of inner graphs count as uses by the node that owns them. E_MODEL,
 * naming a node on it, when there is a cycle. Linear time, no recursion. */
int graph_sort(struct cx *cx, struct graph *g);

#endif
