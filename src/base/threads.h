/* One thread pool. Workers spin briefly, then sleep. Work is split statically, so that which range a thread
 * gets depends on n, grain and the number of threads alone. */
#ifndef OT_BASE_THREADS_H
#define OT_BASE_THREADS_H

#include <stdint.h>

struct pool;

/* Processes [begin, end); thread is 0 for the caller, below pool_size() always. */
typedef void par_fn(void *arg, int64_t begin, int64_t end, int thread);

/* A pool of n threads, the caller counted; NULL when memory or threads run out. n of 1 starts none. */
struct pool *pool_new(int n);
void pool_free(struct pool *p);
int pool_size(const struct pool *p);

/* Runs fn over [0, n) in ranges that are multiples of grain (but for the last); returns when all are done.
 * With a NULL pool, one thread, or n <= grain it is a plain call. Not reentrant: a nested call runs inline.
 */
void par_for(struct pool *p, int64_t n, int64_t grain, par_fn *fn, void *arg);

#endif
