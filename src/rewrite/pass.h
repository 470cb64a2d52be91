/* Graph rewrites. One file a pass, one row in pass.def; the driver runs them in that order until nothing
 * changes. */
#ifndef OT_REWRITE_PASS_H
#define OT_REWRITE_PASS_H

#include "base/err.h"
#include "exec/exec.h"
#include "ir/ir.h"

enum opt_level { OPT_NONE, OPT_BASIC, OPT_ALL };

/* ALWAYS: needed before anything can run. Portable results may be saved; machine ones exist in a session
 * only. */
enum pass_kind { PASS_PORTABLE, PASS_MACHINE };

struct pass_ctx {
    struct cx *cx;
    struct model *m;
    struct exec *ex;         /* constants, evaluation, inferred types (ex->types) */
    const char *const *keep; /* value names that must survive (--dump, --to); NULL-terminated or NULL */
    bool session;            /* the result lives in a session and is not saved (from pass_select.machine) */
    long limit;              /* stop after so many rewrites in all; negative: no limit (for bisection) */
    long count;              /* rewrites so far */
};

struct pass {
    const char *name;
    enum opt_level level; /* runs at this level and above */
    enum pass_kind kind;
    /* Rewrites graph g (not the graphs inside it: the driver visits them). Adds to pc->count. */
    int (*run)(struct pass_ctx *pc, struct graph *g);
    const char *why; /* one line: what it does and why it stands where it stands */
};

const struct pass *pass_all(size_t *n);
const struct pass *pass_find(const char *name);

struct pass_stats {
    long rewrites;
    double seconds;
};

struct pass_select {
    enum opt_level level;
    bool machine;            /* machine passes too */
    const char *const *only; /* names, NULL-terminated; NULL: by level */
    const char *const *skip;
};

/* Runs the selected passes to a fixpoint of at most four rounds. stats has one entry a row of pass.def; may
 * be NULL. */
int passes_run(struct pass_ctx *pc, const struct pass_select *sel, struct pass_stats *stats);

/* True when the pass may still rewrite (the limit); counts it. */
bool pass_take(struct pass_ctx *pc);
/* Whether value v must keep its name and place: a graph output, or one the caller asked to keep. */
bool pass_pinned(const struct pass_ctx *pc, const struct value *v);
/* Removes v when it is an initializer that nothing uses any more, and gives its memory back: large weights
 * that a pass has written anew should not stay until all passes are through. */
void pass_drop_const(struct pass_ctx *pc, struct value *v);
/* As value_replace(), for a value that was just made: it takes the name too where the caller asked to keep
 * that. */
int pass_replace(struct pass_ctx *pc, struct value *old, struct value *made);
/* The one node that reads v, when v has exactly one use, in the same graph, and is not pinned; NULL. */
struct node *pass_sole_user(const struct pass_ctx *pc, const struct value *v);
/* n is op_type of the default domain. */
bool node_is(const struct node *n, const char *op_type);
/* Inferred type of v, NULL. Of a value made since the last inference: the type that the pass gave it. */
const struct type *pass_type(const struct pass_ctx *pc, const struct value *v);

#endif
