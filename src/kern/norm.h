/* Normalisations and softmax, float (softmax also double). Rows are independent: callers split them over
 * threads. out may equal in everywhere. Optional outputs and operands may be NULL. */
#ifndef OT_KERN_NORM_H
#define OT_KERN_NORM_H

#include "kern/reduce.h"

/* e^(x - max) / sum along the middle axis of [outer, reduce, inner]; in and out have one layout. A row of
 * -Inf only gives NaN, as arithmetic has it. */
typedef void softmax_fn(const void *in, void *out, const struct red_shape *s);

/* Per row of n: mean and variance (double accumulators or pairwise), y = (x - mean) / sqrt(var + eps) * scale
 * + bias; scale and bias have n values. */
typedef void layernorm_fn(const float *x, const float *scale, const float *bias, float *y, float *mean,
                          float *inv_std, size_t rows, size_t n, float eps);
/* y = x / sqrt(mean of squares + eps) * scale. */
typedef void rmsnorm_fn(const float *x, const float *scale, float *y, float *inv_rms, size_t rows, size_t n,
                        float eps);
/* y[i] = x[i] * scale + shift: batch, instance and group normalisation once the factors of a plane are known.
 */
typedef void scale_shift_fn(const float *x, float *y, size_t n, float scale, float shift);
/* y[r][i] = x[r][i] * scale[i] + shift[i], channels last. */
typedef void scale_shift_rows_fn(const float *x, const float *scale, const float *shift, float *y,
                                 size_t rows, size_t n);
/* Mean and population variance of n values. */
typedef void moments_fn(const float *x, size_t n, double *mean, double *var);

struct lrn_params {
    size_t channels, spatial; /* one image: [channels][spatial] */
    size_t size;              /* channels in a window: floor((size-1)/2) before, ceil((size-1)/2) after */
    float alpha, beta, bias;
};
/* y = x / (bias + alpha / size * sum of squares)^beta over columns [begin, end) of spatial; out != in. */
typedef void lrn_fn(const struct lrn_params *p, const float *x, float *y, size_t begin, size_t end);

struct norm_kern {
    softmax_fn *softmax[DT_COUNT], *log_softmax[DT_COUNT], *hardmax[DT_COUNT];
    /* LpNormalization: x / ||x||; a norm of zero gives zero */
    softmax_fn *l1_norm[DT_COUNT], *l2_norm[DT_COUNT];
    layernorm_fn *layernorm;
    rmsnorm_fn *rmsnorm;
    scale_shift_fn *scale_shift;
    scale_shift_rows_fn *scale_shift_rows;
    moments_fn *moments;
    lrn_fn *lrn;
};

#endif
