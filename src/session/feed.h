/* Sample sets for a model's inputs: from files as the user names them, made up where files give none. */
#ifndef OT_SESSION_FEED_H
#define OT_SESSION_FEED_H

#include "session/fill.h"
#include "session/samples.h"
#include "shape/dim_expr.h"

struct feed_opts {
    const char *const *inputs; /* NAME=PATH or PATH; NULL-terminated, may be NULL */
    const char *const *fills;  /* [NAME=]SPEC */
    const char *const *shapes; /* NAME=1x3x224x224, * keeps a dim */
    const char *const *dims;   /* SYM=N */
    uint64_t seed;
    size_t samples; /* made-up sets when no file is given; 0: 1 */
    bool stepped;   /* samples are steps in time: a file with one axis more than its input, in front, is cut
                       along it */
};

struct feed;

/* Reads nothing but the sizes of the first file of each set. m must outlive the feed. */
int feed_new(struct cx *cx, struct model *m, const struct feed_opts *o, struct feed **out);
void feed_free(struct feed *f);
size_t feed_count(const struct feed *f);
/* Inputs of sample i, in the list that the feed keeps (valid until the next call). Types, ranks and fixed
 * dims are checked against the model. */
int feed_get(struct cx *cx, struct feed *f, size_t i, struct named_list **out);
/* Inputs of a step in time: those in `fixed` (results of the step before), the others from sample `step`, or
 * from the last one when there are fewer. What is made up has the sizes that `fixed` asks for, over --dim,
 * and positions go on where the step before ended. fixed must stay until the next call. */
int feed_step(struct cx *cx, struct feed *f, size_t step, const struct named_list *fixed,
              struct named_list **out);
/* After a run of made-up inputs failed with status: whether other sizes for the axes that nothing fixes are
 * worth a try. They are set when so: get the samples again. */
bool feed_retry(struct feed *f, int status);
/* What --dim and --shape have bound. */
const struct binding *feed_binding(const struct feed *f);
/* Dims that --shape gave graph input i, -1 where they are kept; NULL: none. */
const int64_t *feed_shape(const struct feed *f, size_t i, int *rank);
/* How graph input i is made up; NULL: from files. */
const char *feed_how(const struct feed *f, size_t i);

#endif
