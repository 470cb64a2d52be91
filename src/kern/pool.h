/* Pooling over planes: the input is planes of in[0] x in[1] x ..., N*C of them, the output planes of
 * out[...]. Callers split planes over threads and pass pointers to the first plane of their range. */
#ifndef OT_KERN_POOL_H
#define OT_KERN_POOL_H

#include "kern/vec.h"

enum { POOL_RANK = 8 };

struct pool_params {
    int rank; /* spatial axes, 1 .. POOL_RANK */
    int64_t in[POOL_RANK], out[POOL_RANK], kernel[POOL_RANK], stride[POOL_RANK], dilation[POOL_RANK];
    int64_t pad[POOL_RANK];     /* before the first element */
    int64_t pad_end[POOL_RANK]; /* after the last; only count_include_pad looks at it */
    bool count_include_pad; /* average: divide by positions inside input and padding, not inside the input */
    bool column_major;      /* MaxPool indices count columns first (storage_order 1) */
    float p;                /* LpPool */
};

/* Windows that lie wholly in the padding give the lowest value (max), NaN (average over no element), 0 (Lp).
 * NaN propagates. index (may be NULL): flat position of the first maximum in the whole [N, C, ...] tensor,
 * the spatial part counted as column_major says; first_plane is the number of the first plane of this range.
 */
typedef void max_pool_fn(const struct pool_params *p, const void *in, void *out, int64_t *index,
                         size_t planes, size_t first_plane);
typedef void pool_fn(const struct pool_params *p, const void *in, void *out, size_t planes);

struct pool_kern {
    max_pool_fn *max[DT_COUNT]; /* picks the fast path for 2x2 and 3x3 by itself */
    pool_fn *avg[DT_COUNT];
    pool_fn *lp[DT_COUNT];
};

#endif
