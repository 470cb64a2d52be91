/* Convolution of 8-bit integer tensors, N C spatial order, up to three spatial axes: exact sums in int32
 * (modulo 2^32), or requantized to 8 bits on the way out.
 *
 * The image is turned to channels last first; then a window is a few runs of adjacent bytes, and a layer is
 * the product of those rows (pixels by taps x channels) with the packed weights (taps x channels by output
 * channels). Depthwise layers go over the channels of each tap instead. Padding has the value of the image's
 * zero point. */
#ifndef OT_KERN_CONV_I8_H
#define OT_KERN_CONV_I8_H

#include "kern/conv.h"

struct conv_i8_plan {
    struct conv_params p; /* three axes */
    bool depthwise;
    int64_t rows;        /* pixels of one piece of work */
    size_t weight_bytes; /* of packed weights, 64-byte aligned memory wanted */
    size_t group_bytes;  /* one group's part of them */
    size_t tmp_bytes;    /* what packing wants */
    size_t image_bytes;  /* parts of the scratch: the turned image, converted weights, one piece */
    size_t taps_bytes, piece_bytes;
    size_t scratch_bytes; /* for the number of threads it was made for */
    int nthreads;
};

struct conv_i8_io {
    const void *x;
    bool x_signed, w_signed;
    int32_t xz;
    const int32_t *wz; /* zero points of the weights, one a channel with step 1, one for all with step 0 */
    int wz_step;
    const void *w; /* packed by conv_i8_pack() */
    int32_t *y;    /* sums; NULL: requantized into q */
    /* As for requantize_fn, bias and mult by output channel. */
    requantize_fn *requant;
    const int32_t *bias;
    const float *mult;
    bool per_channel;
    int32_t yz;
    void *q;
};

/* Packed weights depend on channels, groups and kernel alone. Parameters are checked by the caller, as for
 * conv_f32_plan(). false: a size overflows. */
bool conv_i8_plan(const struct kern *k, const struct conv_params *p, int nthreads, struct conv_i8_plan *plan);
void conv_i8_pack(const struct kern *k, const struct conv_i8_plan *plan, const void *w, bool w_signed,
                  void *packed, void *tmp);
/* The pool has at most plan->nthreads threads; scratch is 64-byte aligned. */
void conv_i8(const struct kern *k, const struct conv_i8_plan *plan, const struct conv_i8_io *io,
             struct pool *pool, void *scratch);

#endif
