/* Which positions of a row of output a tap reaches; shared by the convolution kernels. */
#ifndef OT_KERN_CONV_INDEX_H
#define OT_KERN_CONV_INDEX_H

#include "kern/conv.h"

/* Missing axes lead, with extent 1. */
struct conv_params conv_three_axes(const struct conv_params *p);
/* No position of a window and no count of elements, in bytes, overflows (three axes). */
bool conv_sizes_fit(const struct conv_params *p);
/* One tap that reads every pixel in place: the image itself is the matrix. */
bool conv_is_pointwise(const struct conv_params *p);

/* Input position of output o under tap t on axis ax; may lie outside the image. */
static inline int64_t conv_pos(const struct conv_params *p, int ax, int64_t o, int64_t t)
{
    return o * p->stride[ax] - p->pad[ax] + t * p->dilation[ax];
}

static inline bool conv_inside(const struct conv_params *p, int ax, int64_t pos)
{
    return pos >= 0 && pos < p->in[ax];
}

/* Outputs [*lo, *hi) of axis ax whose input under tap t is inside the image; empty: *lo == *hi. */
static inline void conv_range(const struct conv_params *p, int ax, int64_t t, int64_t *lo, int64_t *hi)
{
    int64_t s = p->stride[ax], first = -conv_pos(p, ax, 0, t), end = p->in[ax] + first;
    *lo = first <= 0 ? 0 : (first + s - 1) / s;
    *hi = end <= 0 ? 0 : (end + s - 1) / s;
    *hi = *hi > p->out[ax] ? p->out[ax] : *hi;
    *lo = *lo > *hi ? *hi : *lo;
}

/* A run of pixels of a panel that lie in one output row and inside the image: dst is the place in the panel
 * row, src the offset in a channel, neighbours stride[2] apart. */
struct im2col_run {
    int dst, len;
    int64_t src;
};

enum { IM2COL_MAX = 64 }; /* widest panel */

/* Runs of tap (td, th, tw) for pixels pix0 .. pix0 + npix - 1; returns their number, at most npix. */
static inline int im2col_runs(const struct conv_params *p, int64_t tap, int64_t pix0, int npix,
                              struct im2col_run *run)
{
    int64_t tw = tap % p->kernel[2], th = tap / p->kernel[2] % p->kernel[1];
    int64_t td = tap / p->kernel[2] / p->kernel[1];
    int64_t ow = pix0 % p->out[2], oh = pix0 / p->out[2] % p->out[1], od = pix0 / p->out[2] / p->out[1];
    int64_t lo, hi;
    int n = 0;

    conv_range(p, 2, tw, &lo, &hi);
    for (int at = 0; at < npix;) {
        int64_t end = p->out[2] - ow < npix - at ? p->out[2] : ow + npix - at;
        int64_t id = conv_pos(p, 0, od, td), ih = conv_pos(p, 1, oh, th);
        int64_t a = ow < lo ? lo : ow, b = end > hi ? hi : end;
        if (a < b && conv_inside(p, 0, id) && conv_inside(p, 1, ih)) {
            run[n].dst = at + (int)(a - ow);
            run[n].len = (int)(b - a);
            run[n++].src = (id * p->in[1] + ih) * p->in[2] + conv_pos(p, 2, a, tw);
        }
        at += (int)(end - ow);
        ow = 0;
        if (++oh == p->out[1]) {
            oh = 0;
            od++;
        }
    }
    return n;
}

static inline int64_t conv_in_plane(const struct conv_params *p)
{
    return p->in[0] * p->in[1] * p->in[2];
}

static inline int64_t conv_out_plane(const struct conv_params *p)
{
    return p->out[0] * p->out[1] * p->out[2];
}

static inline int64_t conv_taps(const struct conv_params *p)
{
    return p->kernel[0] * p->kernel[1] * p->kernel[2];
}

/* One plane of a depthwise convolution: epilogue, and where its parts lie. */
struct dw_plane {
    const float *x, *w;
    float *y;
    struct gemm_epi e;
};

static inline struct dw_plane conv_dw_plane(const struct conv_params *p, const struct conv_io *io, int64_t q)
{
    int64_t c = q % p->co, in = q / p->co * p->ci + c / (p->co / p->groups);
    struct dw_plane d;
    d.x = io->x + in * conv_in_plane(p);
    d.w = (const float *)io->w + c * conv_taps(p);
    d.y = io->y + q * conv_out_plane(p);
    gemm_epi_init(&d.e);
    d.e.bias_m = io->bias ? io->bias + c : NULL;
    d.e.res = io->res ? io->res + q * conv_out_plane(p) : NULL;
    d.e.act = io->act;
    d.e.lo = io->lo;
    d.e.hi = io->hi;
    return d;
}

#endif
