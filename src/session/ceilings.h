/* The ceilings of this machine, measured: multiply-adds and memory. */
#ifndef OT_SESSION_CEILINGS_H
#define OT_SESSION_CEILINGS_H

#include "base/err.h"

struct ceilings {
    double flops, bytes; /* a second, all threads together */
};

/* Best of several short rounds with that many threads; about a third of a second, 128 MiB. */
int ceilings_measure(struct cx *cx, int threads, unsigned mask, struct ceilings *out);

#endif
