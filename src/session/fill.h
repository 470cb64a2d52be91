/* Made-up inputs that a model takes: what each one may hold is read off the graph. */
#ifndef OT_SESSION_FILL_H
#define OT_SESSION_FILL_H

#include "base/err.h"
#include "base/tensor.h"
#include "ir/ir.h"

enum fill_kind {
    FILL_UNIFORM, /* [lo, hi), whole numbers for integer types */
    FILL_NORMAL,
    FILL_CONST,  /* lo */
    FILL_ARANGE, /* lo, lo+1, ... along the last axis, wrapping at hi when hi > lo */
};

struct fill {
    enum fill_kind kind;
    double lo, hi;
    int64_t first;   /* FILL_ARANGE: added to every number */
    const char *how; /* "uniform 0..30521: rows of the table it indexes", in the arena given */
};

/* What input v should hold: looks through Cast, Unsqueeze, Reshape, ... at who reads it (a Gather's table, a
 * OneHot's depth, a comparison with a constant, a shape), then at its name and type. konst gives constants by
 * value. */
int fill_for_input(struct cx *cx, struct arena *a, struct model *m, const struct value *v, struct fill *out);
/* "LO:HI", "zeros", "ones", "arange", "normal". E_USAGE. */
int fill_parse(struct cx *cx, struct arena *a, const char *text, struct fill *out);
/* Fills a tensor whose type and shape are set; the same seed and name give the same values. */
int fill_tensor(struct cx *cx, const struct fill *f, uint64_t seed, const char *name, struct tensor *t);

/* The size of an axis that nothing fixes, from its symbol's name (NULL: none), the input's shape, the axis.
 */
int64_t fill_default_dim(const char *symbol, const struct value *v, int axis);
/* Whether the name says what the axis is (batch, sequence, height, ...). NULL: no. */
bool fill_knows_dim(const char *symbol);

#endif
