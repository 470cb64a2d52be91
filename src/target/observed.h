/* The profile that ONNX Runtime writes (SessionOptions.enable_profiling): which provider ran each node. */
#ifndef OT_TARGET_OBSERVED_H
#define OT_TARGET_OBSERVED_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

struct observed_node {
    const char *name, *op, *provider; /* provider as facts_runtime() spells it, else as the file does */
    double us;                        /* in all calls */
    size_t calls;
};

struct observed {
    struct arena arena;
    struct observed_node *nodes; /* in the order of their first call */
    size_t n, cap;
    struct smap by_name;
};

/* E_DATA when the file is no such profile, or has no record of a node with its provider. */
int observed_read(struct cx *cx, const char *path, struct observed *out);
const struct observed_node *observed_find(const struct observed *o, const char *name);
/* The node of that name in the body of a function, which ONNX Runtime has inlined: it is called
 * "_inlfunc_FUNCTION_NAME" then, with more in between from the second call on. The first call that ran. */
const struct observed_node *observed_inlined(const struct observed *o, const char *function,
                                             const char *name);

#endif
