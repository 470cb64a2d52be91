/* Axes that a model declares dynamic, and nodes that fix them all the same. */
#ifndef OT_ANALYZE_AXES_H
#define OT_ANALYZE_AXES_H

#include "analyze/typed.h"

struct axis {
    const struct value *input;
    int axis;
    const char *symbol; /* text of the dim; "?" when it has no name */
    const char
        *fixed; /* how the graph hard-codes it, the node named; NULL: it does not, as far as can be seen */
};

struct axes {
    struct axis *v;
    size_t n;
};

/* free: m inferred without a binding; NULL leaves `fixed` out. deep: also tries whether types still fit when
 * a leading axis changes from 1 to 2 (two more inferences). Memory from arena. */
int axes_find(struct cx *cx, struct model *m, const struct typed *free, bool deep, struct arena *arena,
              struct axes *out);

#endif
