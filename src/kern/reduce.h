/* Reductions over one collapsed axis: [outer, reduce, inner] -> [outer, inner], both dense but for stride.
 *
 * The order of every sum is fixed by the shape alone (blocks of rows, pairs of lanes), never by threads:
 * callers split outer, or with outer == 1 the columns of inner, and get the same bits. */
#ifndef OT_KERN_REDUCE_H
#define OT_KERN_REDUCE_H

#include "kern/vec.h"

enum red_op {
    RED_SUM,
    RED_MEAN,
    RED_PROD,
    RED_MAX, /* NaN if there is one */
    RED_MIN,
    RED_SUM_SQUARE,
    RED_L1,
    RED_L2,
    RED_LOG_SUM,
    RED_LOG_SUM_EXP,
    RED_COUNT
};

struct red_shape {
    size_t outer, reduce, inner;
    size_t stride; /* elements from one reduced step to the next, >= inner; inner unless columns are split */
};

static inline struct red_shape red_shape(size_t outer, size_t reduce, size_t inner)
{
    return (struct red_shape){outer, reduce, inner, inner};
}

/* Outer blocks are reduce * stride apart in the input and inner apart in the output. An empty axis gives the
 * operation's neutral element: 0, 1, -Inf or the lowest value, Inf or the highest; Mean and LogSum follow
 * from float arithmetic (NaN, -Inf), an integer mean is 0. out does not overlap in. */
typedef void red_fn(const void *in, void *out, const struct red_shape *s);
/* Index along the axis of the first (last: the last) extreme value; NaN counts as the extreme. reduce > 0. */
typedef void arg_fn(const void *in, int64_t *out, const struct red_shape *s, bool last);
/* Smallest and largest of n > 0 values; NaNs are skipped (all NaN: +Inf and -Inf). */
typedef void minmax_fn(const float *in, size_t n, float *lo, float *hi);
/* Running sum or product along the axis; out has the input's layout. */
typedef void cum_fn(const void *in, void *out, const struct red_shape *s, bool exclusive, bool reverse);

struct reduce_kern {
    red_fn *op[RED_COUNT][DT_COUNT];
    arg_fn *argmax[DT_COUNT], *argmin[DT_COUNT];
    minmax_fn *minmax;
    cum_fn *cumsum[DT_COUNT], *cumprod[DT_COUNT];
};

/* Whether flags red[i] (axis i is reduced) form at most one run once axes of extent 1 are left out; then *s
 * is the collapsed layout. Otherwise false: transpose first, so that the reduced axes stand last. */
bool red_collapse(int rank, const int64_t *dims, const bool *red, struct red_shape *s);

#endif
