/* The only functions that change a graph. They keep producers, use lists, name tables and order links right.
 * All return 0 or E_NOMEM / E_MODEL; memory comes from the model's arena. */
#ifndef OT_IR_EDIT_H
#define OT_IR_EDIT_H

#include "base/err.h"
#include "ir/ir.h"

/* A new graph of the model, empty. owner: the node that will carry it (NULL for main graphs and bodies). */
int graph_new(struct cx *cx, struct model *m, const char *name, struct node *owner, struct graph **out);
/* A new value of g. E_MODEL when g has that name. A name of NULL makes a fresh one. The name is copied. */
int value_new(struct cx *cx, struct graph *g, const char *name, struct value **out);
int graph_add_input(struct cx *cx, struct graph *g, struct value *v);
int graph_add_output(struct cx *cx, struct graph *g, struct value *v);
/* Makes vals the outputs of g, in that order. */
int graph_set_outputs(struct cx *cx, struct graph *g, struct value *const *vals, size_t n);
/* Cuts v off its producer (or its default): it becomes an input of its graph. The producer keeps no such
 * output. */
int value_to_input(struct cx *cx, struct value *v);
int graph_add_init(struct cx *cx, struct graph *g, struct value *v, struct tensor_data *t);
int graph_add_sparse_init(struct cx *cx, struct graph *g, struct value *v, struct sparse_data *s);
/* An initializer whose bytes are in memory: large ones are shared with t, whose elements must not change any
 * more, others copied into the model's arena. A fresh name derived from hint. */
int graph_add_const(struct cx *cx, struct graph *g, const char *hint, const struct tensor *t,
                    struct value **out);

/* An initializer whose elements all equal the one of t, expanded when it is read. */
int graph_add_fill(struct cx *cx, struct graph *g, const char *hint, const struct tensor *t, int rank,
                   const int64_t *dims, struct value **out);

/* A node at the end of g, or before `before`. ins/outs may hold NULLs; strings are copied. */
int node_new(struct cx *cx, struct graph *g, struct node *before, const char *domain, const char *op_type,
             const char *name, struct value *const *ins, int nin, struct value *const *outs, int nout,
             struct node **out);
/* Appends inputs as needed (NULLs between). */
int node_set_input(struct cx *cx, struct node *n, int i, struct value *v);
/* Replaces or adds. Pointers inside a are kept as they are (model arena). */
int node_set_attr(struct cx *cx, struct node *n, const struct attr *a);
int node_set_attr_int(struct cx *cx, struct node *n, const char *name, int64_t v);
int node_set_attr_float(struct cx *cx, struct node *n, const char *name, float v);
int node_set_attr_str(struct cx *cx, struct node *n, const char *name, const char *v);
int node_set_attr_ints(struct cx *cx, struct node *n, const char *name, const int64_t *v, size_t count);
/* Unlinks n from its graph and from the use lists of its inputs (those inside its subgraphs too). Its outputs
 * must have no uses and not be graph outputs. */
void node_remove(struct node *n);
void node_move_before(struct node *n, struct node *before);

/* Every use of old (nodes of inner graphs too) becomes a use of new. Graph outputs are not touched. */
int value_replace_uses(struct cx *cx, struct value *old, struct value *new_);
/* Like the above, and where old is a graph output, new_ takes its name and place (new_ must belong to the
 * same graph, be no graph input, initializer or graph output itself: else an Identity node is put in
 * between). */
int value_replace(struct cx *cx, struct value *old, struct value *new_);
int value_rename(struct cx *cx, struct value *v, const char *name);
/* Removes an initializer, input or dangling value that nothing uses. */
void value_remove(struct value *v);
/* A name that g, the graphs around it and inside it do not have, from hint; in the model's arena. */
const char *graph_fresh_name(struct graph *g, const char *hint);

#endif
