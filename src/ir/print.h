/* The graph as text to read: one node a line, shapes behind names, attributes inline, subgraphs indented.
 *   %conv1 = Conv(%x, %w, %b) {strides=[2,2]}   # float[batch,64,112,112]  node 'conv_1' */
#ifndef OT_IR_PRINT_H
#define OT_IR_PRINT_H

#include "base/str.h"
#include "ir/ir.h"

struct print_opts {
    int max_values; /* elements of constants to show inline (default 8 when 0) */
    bool attrs, types, names;
    const struct node *only; /* just this node (and its subgraphs); NULL: all */
};

void print_graph(struct str *out, const struct graph *g, const struct print_opts *o, int indent);
void print_node(struct str *out, const struct node *n, const struct print_opts *o, int indent);
/* The value alone. */
void print_attr(struct str *out, const struct attr *a);
void print_model(struct str *out, const struct model *m, const struct print_opts *o);
/* GraphViz. */
void print_dot(struct str *out, const struct model *m);

#endif
