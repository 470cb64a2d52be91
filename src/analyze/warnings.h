/* What makes trouble when a model goes into production. Every kind has a code that does not change. */
#ifndef OT_ANALYZE_WARNINGS_H
#define OT_ANALYZE_WARNINGS_H

#include "analyze/axes.h"
#include "analyze/stats.h"
#include "analyze/typed.h"
#include "io/model_meta.h"

struct warning {
    const char *code;   /* "float64-weights" */
    const char *text;   /* what there is, an example named */
    const char *advice; /* what to do */
    size_t count;       /* how many there are of it */
};

struct warnings {
    struct warning *v;
    size_t n, cap;
};

struct warn_in {
    struct model *m;
    const struct stats *stats;
    const struct typed *typed;
    const struct axes *axes;
    const struct model_meta *meta;
    uint64_t file_bytes; /* of the model file */
    bool values;         /* read the weights, for NaN and infinities */
};

/* Memory from arena. */
int warnings_find(struct cx *cx, const struct warn_in *in, struct arena *arena, struct warnings *out);

/* Every code with its advice, for documentation: NULL past the end. */
const struct warning *warning_kind(size_t i);

#endif
