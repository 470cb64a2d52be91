/* What a model costs to run: multiply-accumulates, other operations, memory of activations. */
#ifndef OT_ANALYZE_COST_H
#define OT_ANALYZE_COST_H

#include "analyze/typed.h"

/* One node. Numbers are -1 where they depend on data or on sizes that nobody gave. */
struct cost_row {
    const struct node *node;
    int depth;
    int64_t macs, ops;      /* bodies and functions inside count at their own nodes */
    int64_t params;         /* elements of its constants */
    int64_t out_bytes;      /* of all its outputs */
    const struct type *out; /* of the first output, in the arena; NULL: not known */
};

struct cost {
    struct cost_row *rows; /* main graph first to last, bodies behind their owner */
    size_t n, cap;
    int64_t macs, ops; /* totals: of If the dearer branch, of Loop and Scan one iteration */
    size_t unknown;    /* nodes whose share is not known */
    const struct node *first_unknown;
    bool has_loop;       /* a total counts a loop's body once */
    int64_t naive, peak; /* bytes of activations: all at once; alive together, each freed behind its last use.
                            -1: not known */
    const struct value *peak_at; /* the value made when that happens; NULL */
};

/* Rows come from arena. */
int cost_model(struct cx *cx, struct typed *t, struct arena *arena, struct cost *out);
/* Of one node, with the types that t holds now (of a function body: those of the call entered last). -1: not
 * known. */
int cost_node(struct cx *cx, struct typed *t, struct node *n, int64_t *macs, int64_t *ops);
/* Total multiply-accumulates with symbols left in, t being inferred without a binding; unknown when a part of
 * it is. */
int cost_symbolic(struct cx *cx, struct typed *t, struct dim *macs);

#endif
