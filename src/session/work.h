/* What a step has to do, told by the tensors that it is called with: operations, and bytes that it must move.
 */
#ifndef OT_SESSION_WORK_H
#define OT_SESSION_WORK_H

#include "exec/exec.h"

/* Sums over the calls that were noted. */
struct step_work {
    double flops; /* two a multiply-accumulate, one of other operations; -1: not known */
    double bytes; /* inputs read once and outputs written once: what no implementation can avoid */
    uint64_t calls;
    char shape[120]; /* of the inputs of the last call, "1x64x56x56 64x64x3x3"; scalars are left out */
};

/* Adds one call, as a hook behind the step sees it. The data of tensors is not looked at. */
int step_work_note(struct cx *cx, struct symtab *syms, const struct prog_step *s,
                   const struct tensor *const *in, struct tensor *const *out, struct step_work *w);

#endif
