/* Whether a rewritten model still computes what it did: both versions run on the same inputs, and what comes
 * out is compared.
 *
 *   sizes      the default sizes of the symbolic axes, then others that the original takes
 *   inputs     for each, several seeded sets of made-up inputs that are legal for the model, or the user's
 * files outputs    all of them, by name; the report keeps the worst of each proof      an output that is the
 * same for all inputs proves nothing: then values inside of equal name are compared as well chance outputs
 * that depend on random operators are held to type and shape only, and that is said
 */
#ifndef OT_COMPARE_VERIFY_REWRITE_H
#define OT_COMPARE_VERIFY_REWRITE_H

#include "compare/metrics.h"
#include "session/feed.h"
#include "session/session.h"

struct verify_opts {
    struct feed_opts feed; /* inputs, fills, shapes, dims, seed as for a run; samples: sets per size, 0: 3 */
    size_t sizes;          /* bindings of the symbolic axes that are tried; 0: 3 */
    enum opt_level before, after;
    int threads;
    /* Tolerance of an output; NULL: the defaults of its type. */
    void (*tolerance)(void *user, const char *output, struct tolerance *out);
    void *user;
};

struct verify_output {
    const char *name;
    struct metrics worst; /* the first that failed, else the largest error; counts are of all sets */
    const char *where;    /* "set 2 of batch=2": the inputs of the worst */
    bool random;          /* depends on a random operator: only type and shape count */
    bool moves;           /* it differs between input sets, or the model has no inputs */
};

struct verify_report {
    struct arena arena;
    bool pass;
    const char *failure; /* the rewritten model did not run, or has other inputs or outputs; NULL */
    struct verify_output *out;
    size_t nout;
    size_t sets, sizes;   /* that ran on both */
    const char **refused; /* sizes that the original did not take: "batch=2, seq=35" */
    size_t nrefused;
    /* When outputs do not move. */
    bool looked_inside;
    size_t inside, inside_failed; /* values of equal name that move: compared, and out of tolerance */
    const char *inside_worst;     /* the one furthest out, or with the largest error; NULL */
    struct metrics inside_metrics;
    bool proven; /* every output moved or is random, or values inside did */
};

/* Takes over both models, also when it fails. A difference is not an error: out->pass says. Errors are what
 * keeps the original from running, and what is not supported here or fails the machine on either side. out is
 * to be freed in any case. */
int verify_rewrite(struct cx *cx, struct model *before, struct model *after, const struct verify_opts *o,
                   struct verify_report *out);
void verify_free(struct verify_report *r);

#endif
