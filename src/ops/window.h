/* Sliding windows: the attributes that convolution and pooling share, and the extents that follow from them.
 */
#ifndef OT_OPS_WINDOW_H
#define OT_OPS_WINDOW_H

#include "ops/op.h"

enum { WINDOW_RANK = 8 };
enum auto_pad { AUTO_PAD_NOTSET, AUTO_PAD_SAME_UPPER, AUTO_PAD_SAME_LOWER, AUTO_PAD_VALID };

/* As parsed: a count of 0 means the attribute is absent, then strides and dilations are 1, pads 0.
 * Every value is checked to lie in [0, 2^31), strides and dilations and kernels from 1. */
struct window {
    enum auto_pad auto_pad;
    int nkernel, nstride, ndilation, npads;
    int64_t kernel[WINDOW_RANK], stride[WINDOW_RANK], dilation[WINDOW_RANK], pads[2 * WINDOW_RANK];
};

/* Reads kernel_shape, strides, dilations, pads and auto_pad. */
int window_parse(struct cx *cx, const struct node *n, struct window *w);
/* Reads an integer list of at most cap values, each within [lo, 2^31). */
int window_list(struct cx *cx, const struct node *n, const char *name, int64_t lo, int cap, int64_t *out,
                int *count);
/* That all lists present have the length that `spatial` axes ask for. */
int window_check(struct infer_ctx *ic, const struct window *w, int spatial);

static inline int64_t window_stride(const struct window *w, int i)
{
    return w->nstride ? w->stride[i] : 1;
}

static inline int64_t window_dilation(const struct window *w, int i)
{
    return w->ndilation ? w->dilation[i] : 1;
}

/* Axis i of `spatial`: paddings and output extent for an input extent and kernel; false when the window does
 * not fit into the padded input. */
bool window_axis(const struct window *w, int spatial, int i, int64_t in, int64_t kernel, bool ceil_mode,
                 int64_t pad[2], int64_t *out);
/* The same for a possibly symbolic extent; kernel may be unknown. E_SHAPE when it cannot fit. */
int window_out_dim(struct infer_ctx *ic, const struct window *w, int spatial, int i, struct dim in,
                   struct dim kernel, bool ceil_mode, struct dim *out);

#endif
