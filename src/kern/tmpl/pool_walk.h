/* Walking the windows of one plane: for each output position the box of valid taps is clipped to the input.
 */
#ifndef OT_KERN_POOL_WALK_H
#define OT_KERN_POOL_WALK_H

#include "kern/pool.h"

struct pool_window {
    int64_t base;             /* flat position of the first valid tap */
    int64_t count[POOL_RANK]; /* valid taps per axis, 0 when there are none */
    int64_t step[POOL_RANK];  /* distance between taps */
    int64_t first[POOL_RANK]; /* coordinate of the first valid tap */
    int64_t taps;             /* product of counts */
    int64_t padded;           /* taps inside input and padding */
};

/* Window of the output position pos[]. */
static inline void pool_window(const struct pool_params *p, const int64_t *pos, struct pool_window *w)
{
    int64_t plane = 1;
    w->base = 0;
    w->taps = 1;
    w->padded = 1;
    for (int i = p->rank - 1; i >= 0; i--) {
        int64_t d = p->dilation[i], start = pos[i] * p->stride[i] - p->pad[i];
        int64_t lo = start < 0 ? (-start + d - 1) / d : 0;
        int64_t room = p->in[i] - start, hi = room <= 0 ? 0 : (room + d - 1) / d;
        int64_t proom = room + p->pad_end[i], phi = proom <= 0 ? 0 : (proom + d - 1) / d;
        hi = hi > p->kernel[i] ? p->kernel[i] : hi;
        phi = phi > p->kernel[i] ? p->kernel[i] : phi;
        w->count[i] = hi > lo ? hi - lo : 0;
        w->first[i] = start + lo * d;
        w->step[i] = d * plane;
        w->base += w->first[i] * plane;
        w->taps *= w->count[i];
        w->padded *= phi;
        plane *= p->in[i];
    }
}

/* Next position of a box of extents dims, last axis fastest; false after the last. */
static inline bool pool_next(int rank, const int64_t *dims, int64_t *pos)
{
    for (int i = rank - 1; i >= 0; i--) {
        if (++pos[i] < dims[i])
            return true;
        pos[i] = 0;
    }
    return false;
}

/* Position of tap t[] of a window in its plane. */
static inline int64_t pool_tap(const struct pool_params *p, const struct pool_window *w, const int64_t *t)
{
    int64_t at = w->base;
    for (int i = 0; i < p->rank; i++)
        at += t[i] * w->step[i];
    return at;
}

static inline int64_t pool_size_of(const struct pool_params *p, const int64_t *dims)
{
    int64_t n = 1;
    for (int i = 0; i < p->rank; i++)
        n *= dims[i];
    return n;
}

#endif
