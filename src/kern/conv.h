/* Convolution of float tensors, N C spatial order, up to three spatial axes.
 *
 * A plan is made from the shapes: depthwise layers run directly, where planes are small in blocks of channels
 * that are turned to the layout of blk.h and back; all others are matrix products
 * weights[co][taps x ci] by image[taps x ci][pixels], the right side gathered from the image one panel at a
 * time (no im2col buffer of the whole image). Where the pixels fit tiles badly (7x7, 14x14) the product is
 * taken transposed. Sums run over taps, then input channels, in one chain an element, whatever the threads.
 */
#ifndef OT_KERN_CONV_H
#define OT_KERN_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/threads.h"
#include "kern/gemm.h"
#include "kern/quant.h"

struct kern;

enum { CONV_RANK = 3 };

/* Spatial axes are the first `rank` entries. Padding at the end follows from out. The weights are
 * [co][ci / groups][kernel...]; for the transposed convolution [ci][co / groups][kernel...]. */
struct conv_params {
    int64_t n, ci, co, groups;
    int rank;
    int64_t in[CONV_RANK], out[CONV_RANK], kernel[CONV_RANK];
    int64_t stride[CONV_RANK], dilation[CONV_RANK];
    int64_t pad[CONV_RANK]; /* at the beginning; may be negative */
};

/* y = act(conv + bias[co] + res). res: shape of y, may be NULL, may be y itself. */
struct conv_io {
    const float *x;
    const void *w; /* packed by conv_f32_pack() */
    const float *bias;
    const float *res;
    float *y;
    enum gemm_act act;
    float lo, hi; /* as in struct gemm_epi */
};

enum conv_algo { CONV_EMPTY, CONV_DEPTHWISE, CONV_DEPTHWISE_BLOCKS, CONV_GEMM, CONV_GEMM_T };

struct conv_plan {
    enum conv_algo algo;
    struct conv_params p; /* three axes, missing ones leading with extent 1 */
    size_t weight_bytes;  /* of packed weights, 64-byte aligned memory wanted */
    size_t group_bytes;   /* one group's part of them */
    size_t scratch_bytes; /* for the number of threads it was made for */
    int nthreads;
    const char *name; /* "depthwise", "gemm", "gemm transposed": for profiles */
};

/* any_size: the weights shall serve every n, in and out (spatial sizes not known when they are packed); plans
 * made later for those sizes must say so too. Returns false when a size or a window's position overflows.
 * Parameters must be checked by the caller: rank 1 to 3, positive kernel, stride, dilation and groups, which
 * divide ci and co. */
bool conv_f32_plan(const struct kern *k, const struct conv_params *p, bool any_size, int nthreads,
                   struct conv_plan *plan);
void conv_f32_pack(const struct kern *k, const struct conv_plan *plan, const float *w, void *packed);
/* The pool has at most plan->nthreads threads; scratch is 64-byte aligned. */
void conv_f32(const struct kern *k, const struct conv_plan *plan, const struct conv_io *io, struct pool *pool,
              void *scratch);

/* Transposed: a product into columns, then columns summed into the image, in an order that depends on the
 * shapes alone. in and out are the operator's own input and output; pad cuts the beginning of the output. */
bool conv_t_f32_plan(const struct kern *k, const struct conv_params *p, int nthreads, struct conv_plan *plan);
void conv_t_f32_pack(const struct kern *k, const struct conv_plan *plan, const float *w, void *packed);
void conv_t_f32(const struct kern *k, const struct conv_plan *plan, const struct conv_io *io,
                struct pool *pool, void *scratch);

/* Plain loops for any float type that has a row; w as in the model; bias may be NULL. One range of output
 * planes [p0, p1) out of n * co. */
typedef void conv_ref_fn(const struct conv_params *p, const void *x, const void *w, const void *bias, void *y,
                         int64_t p0, int64_t p1);
void conv_ref_run(const struct kern *k, enum dtype dt, const struct conv_params *p, bool transposed,
                  const void *x, const void *w, const void *bias, void *y, struct pool *pool);

/* Kernels (three axes always). */

/* Gathers a panel: dst[(kk - k0) * width + j] for kk in [k0, k1), j < width, from the image x of `ci`
 * channels: kk counts taps slowest, channels fastest; pixel pix0 + j of the output; positions outside the
 * image and j >= npix give 0. */
struct im2col {
    const struct conv_params *p;
    const float *x;
    int64_t ci; /* channels of the group */
};
typedef void im2col_fn(const struct im2col *g, int64_t k0, int64_t k1, int64_t pix0, int npix, int width,
                       float *dst);
/* Planes [q0, q1) of the n * co planes of a depthwise convolution; io->w: the taps of each channel in order.
 */
typedef void conv_dw_fn(const struct conv_params *p, const struct conv_io *io, int64_t q0, int64_t q1);

/* One pixel of a depthwise convolution of bytes, channels last: acc[c] = sum over n taps of
 * (x[c] - xz) * w[c], exact modulo 2^32. x: bytes, signed or not; w: weights less their zero points. */
struct dw_tap {
    const uint8_t *x;
    const int16_t *w;
};
typedef void conv_dw_i8_fn(const struct dw_tap *tap, int64_t n, bool x_signed, int32_t xz, int32_t *acc,
                           int64_t channels);

struct conv_kern {
    im2col_fn *im2col;
    conv_dw_fn *dw;
    conv_dw_i8_fn *dw_i8;
    conv_ref_fn *ref[DT_COUNT], *ref_t[DT_COUNT];
};

#endif
