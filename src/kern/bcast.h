/* Multidirectional broadcasting of dense row-major inputs to one dense output. bcast_init() drops axes of
 * extent 1 and merges neighbours that behave alike, so that the innermost axis is as long as it can be; there
 * each input either runs along or stands still:
 *
 *     a [8,32,56,56]  b [32,1,1]   ->   dims {8, 32, 3136}, a steps 1, b stands still: forms vs, vs, ...
 *
 * Runs are over ranges of output elements, so that any split over threads is possible. */
#ifndef OT_KERN_BCAST_H
#define OT_KERN_BCAST_H

#include "kern/vec.h"

enum { BCAST_RANK = 16, BCAST_IN = 3 };

struct bcast_in {
    int rank;
    const int64_t *dims;
};

struct bcast_plan {
    int rank, nin; /* merged rank, at least 1 */
    int64_t total; /* output elements */
    int64_t dims[BCAST_RANK];
    int64_t strides[BCAST_IN][BCAST_RANK]; /* in elements */
};

/* Broadcast of two shapes aligned at their last axes: writes max(rank) dims (out may not alias a or b).
 * -1 when they do not match. */
int bcast_dims(int arank, const int64_t *a, int brank, const int64_t *b, int64_t *out);
/* 0, or -1 when an input does not broadcast to dims or there are too many axes left after merging.
 * dims are >= 0 and their product fits, which the caller has checked. */
int bcast_init(struct bcast_plan *plan, int rank, const int64_t *dims, int nin, const struct bcast_in *in);

/* Output elements [begin, end) of a binary operation; a, b, out are the tensors' starts. */
void bcast_bin(const struct kern *k, const struct bcast_plan *plan, enum bin_op op, enum dtype dt,
               const void *a, const void *b, void *out, int64_t begin, int64_t end);
/* Same for pow_mixed(). */
void bcast_pow(const struct kern *k, const struct bcast_plan *plan, enum dtype xt, enum dtype yt,
               const void *x, const void *y, void *out, int64_t begin, int64_t end);
/* Where over elements of size bytes (a width); plan inputs: cond, a, b. */
void bcast_where(const struct kern *k, const struct bcast_plan *plan, size_t size, const uint8_t *cond,
                 const void *a, const void *b, void *out, int64_t begin, int64_t end);

/* For drivers of other kernels: calls fn once per run of output elements within [begin, end).
 * off[j] is the first element of input j, scalar[j] whether it stands still during the run. */
typedef void bcast_row_fn(void *arg, int64_t out_off, size_t n, const int64_t *off, const bool *scalar);
void bcast_rows(const struct bcast_plan *plan, int64_t begin, int64_t end, bcast_row_fn *fn, void *arg);

#endif
