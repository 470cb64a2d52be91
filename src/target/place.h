/* Where a node runs: a kind of node beside the tables of a target. */
#ifndef OT_TARGET_PLACE_H
#define OT_TARGET_PLACE_H

#include "target/survey.h"
#include "target/target.h"

enum fit {
    FIT_NONE,    /* no kernel is needed: a Constant, or a call that is inlined */
    FIT_KERNEL,  /* a kernel serves this version and these types */
    FIT_BODY,    /* no kernel, but a function body: it is expanded into other operators */
    FIT_CASTS,   /* a kernel for float serves float16, behind casts */
    FIT_LISTED,  /* the provider's list has it, which is no promise */
    FIT_MISSING, /* nothing in the target runs it */
    FIT_UNKNOWN, /* the tables are silent */
};

struct placement {
    enum fit fit;
    int src;              /* index of the target's sources; -1: none, or not known */
    bool may_load;        /* FIT_UNKNOWN: it loads all the same, only the place is not known */
    bool inferred;        /* from the releases around this one */
    const char *why;      /* a phrase, "" when there is nothing to say */
    const char *declined; /* why the first source does not take it; "" */
};

/* Kind k, resolving to operator version ver (NULL: not known) in a graph of that opset. Texts are in memory
 * of a. */
int place_kind(struct cx *cx, struct arena *a, const struct facts *f, const struct target *t,
               const struct kind *k, const struct op_version *ver, int64_t opset, struct placement *out);
const char *fit_name(enum fit fit);

#endif
