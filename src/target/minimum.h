/* The lowest opset that a model needs, node by node. */
#ifndef OT_TARGET_MINIMUM_H
#define OT_TARGET_MINIMUM_H

#include "target/facts.h"
#include "target/survey.h"

/* What one node needs. */
struct need_row {
    uint32_t item;
    int since;       /* the version that it is now: stamped lower than this it means another one */
    int lowest;      /* the oldest version that can say the same of this node, unchanged */
    const char *why; /* what keeps it from being older: "Gelu came with opset 20" */
};

struct minimum {
    struct need_row *rows; /* of ai.onnx and ai.onnx.ml, by item */
    size_t nrows;
    int opset, ml;   /* lowest: as `lowest`; 0: the domain is not used */
    int now, ml_now; /* what the model imports; 0: does not */
    size_t unknown;  /* nodes of operators not known here: nothing is said of them */
    int ir;          /* lowest IR version that can express the file */
    const char *ir_why;
    size_t renumbered; /* rows that mean another version at `opset` than they do now: they say the same */
};

/* Memory from a. */
int minimum_find(struct cx *cx, struct arena *a, const struct facts *f, const struct survey *s,
                 struct minimum *out);

#endif
