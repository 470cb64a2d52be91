/* Where the windows of a row of output lie, for the kernels of blk.h. */
#ifndef OT_KERN_BLK_ROWS_H
#define OT_KERN_BLK_ROWS_H

#include "kern/blk.h"
#include "kern/conv_index.h"

/* A range of taps, or of outputs. */
struct blk_span {
    int64_t lo, hi;
};

/* Taps of output o on axis ax that read inside the image; empty: lo == hi. */
static inline struct blk_span blk_span(const struct conv_params *p, int ax, int64_t o)
{
    int64_t d = p->dilation[ax], start = conv_pos(p, ax, o, 0), room = p->in[ax] - start;
    struct blk_span s = {start < 0 ? -start : 0, room <= 0 ? 0 : room};
    if (d != 1) { /* divisions are slow */
        s.lo = (s.lo + d - 1) / d;
        s.hi = (s.hi + d - 1) / d;
    }
    s.hi = s.hi > p->kernel[ax] ? p->kernel[ax] : s.hi;
    s.lo = s.lo > s.hi ? s.hi : s.lo;
    return s;
}

/* Columns of output all of whose taps read inside the image. */
static inline struct blk_span blk_inner(const struct conv_params *p)
{
    struct blk_span first, last, s;
    conv_range(p, 1, 0, &first.lo, &first.hi);
    conv_range(p, 1, p->kernel[1] - 1, &last.lo, &last.hi);
    s.lo = first.lo > last.lo ? first.lo : last.lo;
    s.hi = first.hi < last.hi ? first.hi : last.hi;
    if (s.lo > s.hi)
        s.lo = s.hi = 0;
    return s;
}

/* The pixel that tap (th, tw) of output (oh, ow) reads. */
static inline const float *blk_tap(const struct blk_rows *r, int64_t oh, int64_t th, int64_t ow, int64_t tw)
{
    return r->x + (conv_pos(r->p, 0, oh, th) * r->p->in[1] + conv_pos(r->p, 1, ow, tw)) * r->block;
}

/* Taps of output o that an average over the padding counts. */
static inline int64_t blk_padded_taps(const struct blk_rows *r, int ax, int64_t o)
{
    int64_t room = r->p->in[ax] + r->pad_end[ax] - conv_pos(r->p, ax, o, 0), d = r->p->dilation[ax];
    int64_t n = room <= 0 ? 0 : (room + d - 1) / d;
    return n > r->p->kernel[ax] ? r->p->kernel[ax] : n;
}

static inline float blk_average_over(const struct blk_rows *r, int64_t oh, int64_t ow)
{
    if (r->padded)
        return (float)(blk_padded_taps(r, 0, oh) * blk_padded_taps(r, 1, ow));
    struct blk_span h = blk_span(r->p, 0, oh), w = blk_span(r->p, 1, ow);
    return (float)((h.hi - h.lo) * (w.hi - w.lo));
}

#endif
