/* What a model holds: weights by type, files, operators, graphs. One pass, no weight is touched. */
#ifndef OT_ANALYZE_STATS_H
#define OT_ANALYZE_STATS_H

#include "base/err.h"
#include "ir/ir.h"

struct type_share {
    size_t tensors;
    int64_t params; /* elements */
    uint64_t bytes; /* as stored */
};

struct op_share {
    const char *domain, *op; /* domain "" is ai.onnx */
    int since;               /* version of the operator that the imports select; 0: not known */
    size_t count;
    bool runnable, function; /* function: of this model */
};

/* A file of external data. */
struct file_share {
    const char *location; /* as the model says it */
    size_t tensors;
    uint64_t bytes;      /* that the model uses of it */
    const char *problem; /* why it cannot be used; NULL: all is there */
};

struct stats {
    struct type_share weights, by_type[DT_COUNT]; /* initializers, sparse ones by their stored values */
    struct type_share constants;                  /* tensors in Constant nodes */
    size_t shared;        /* initializers that lie on the bytes of another (external data), counted once */
    struct op_share *ops; /* by domain, then the most frequent first */
    size_t nops;
    struct file_share *files;
    size_t nfiles;
    size_t nodes;     /* of all graphs and function bodies */
    size_t subgraphs; /* graphs inside nodes */
    int depth;        /* of the deepest; 0: no subgraph */
};

/* Operators must be resolved. Memory from arena. */
int stats_model(struct cx *cx, struct model *m, struct arena *arena, struct stats *out);

#endif
