/* A model made ready to run: inline and rewrite, infer, place, bind. Then fed and run any number of times. */
#ifndef OT_SESSION_SESSION_H
#define OT_SESSION_SESSION_H

#include "exec/exec.h"
#include "rewrite/pass.h"

struct session_opts {
    enum opt_level level;
    int threads;    /* 0: the cores this process may use */
    bool cpu_given; /* cpu_mask counts; else all kernels that the processor can run */
    unsigned cpu_mask;
    const char *const *providers;        /* NULL-terminated, in priority order; NULL: cpu */
    const struct provider *const *extra; /* looked up by name before those of the build */
    size_t nextra;
    const struct prov_option *prov_opts; /* keys are "provider.key" */
    size_t nprov_opts;
    bool strict;                      /* a node that not the first provider takes is an error (E_DECLINED) */
    const char *const *feed_defaults; /* graph inputs with a default that will be fed; NULL-terminated */
    const char *const *keep;          /* values that must survive the passes; NULL-terminated */
    const char *const *skip_pass;
    bool profile;
};

struct session {
    struct model *m;
    struct exec ex;
    enum opt_level level;
    struct binding dims;      /* symbols bound by the inputs of the run in progress */
    struct pass_stats *stats; /* one a row of pass.def */
    double load_seconds;
};

/* Takes over the model, also when it fails. Every node that no listed provider takes is named in one error.
 */
int session_new(struct cx *cx, struct model *m, const struct session_opts *o, struct session **out);
void session_free(struct session *s);

/* Inputs to feed: graph inputs without default (and those of feed_defaults), in formal order. */
size_t session_ninputs(const struct session *s);
const struct value *session_input(const struct session *s, size_t i);
size_t session_noutputs(const struct session *s);
const struct value *session_output(const struct session *s, size_t i);

/* Whether t may stand where type ty is declared, items of sequences, optionals and maps included; symbols may
 * be anything. E_TYPE or E_SHAPE; what: the subject of the message. */
int value_fits(struct cx *cx, const char *what, const struct type *ty, const struct tensor *t);
/* Checks types, ranks, fixed dims, and that a symbol has one value; E_TYPE or E_SHAPE with what was expected.
 */
int session_check_inputs(struct cx *cx, struct session *s, const struct tensor *ins);
/* ins in the order of session_input. outs point at tensors valid until the next run or session_free. */
int session_run(struct cx *cx, struct session *s, const struct tensor *ins, const struct tensor **outs);

#endif
