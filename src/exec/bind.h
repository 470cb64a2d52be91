/* Filling what a provider sees of one node. Inside exec/ only. */
#ifndef OT_EXEC_BIND_H
#define OT_EXEC_BIND_H

#include "exec/exec.h"

/* Types and constants of n from ex; arrays live in the scratch arena of cx. */
int bind_ctx_fill(struct cx *cx, struct exec *ex, struct node *n, struct bind_ctx *bc);
/* What the inputs of n may be (op_input_takes), remembered in ex. */
int exec_takes(struct cx *cx, struct exec *ex, const struct node *n, const struct schema_takes **out);
void prepacked_free(struct exec *ex);

/* Says which node failed, and on which provider where there is a choice; rc must not be OK. A provider that
 * gave no reason gets one. */
int step_error(struct cx *cx, const struct exec *ex, const struct prog_step *s, int rc);

/* The functions behind struct exec_ctx (run_prog.c). */
extern const struct exec_vt exec_vt;

/* Runs a program on tensors by slot kind; results in the plan (run_prog.c). own_outputs: graph outputs get
 * blobs of their own, so that they outlive the plan. */
int prog_run(struct cx *cx, struct prog *p, const struct tensor *ins, const struct tensor *const *caps);
/* The program of graph g, which exec_bind has made; NULL. */
struct prog *prog_of(const struct exec *ex, const struct graph *g);

#endif
