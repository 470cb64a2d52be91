/* Quantized layers, channels last: bytes in, bytes out, and nothing in between.
 *
 *   y[pixel][o] = clamp(round((sum + bias[o]) * mult[o]) + zero, lo, hi),  sum = sum of (x - xz) w
 *
 * x is uint8 or int8 with one zero point, w is signed with none (an unsigned w around 128 is that too), sums
 * are int32, exact modulo 2^32. Rounding is that of requantize_fn. A plain product is a layer of one tap.
 *
 *   1x1       rows of the image are rows of the product: read where they lie
 *   others    windows are gathered, a few rows of the product at a time
 *   depthwise four taps of a channel make one lane of a dot product
 *
 * Zero points of x go into the bias when weights are packed, so that loops know none; padding has the value
 * of that zero point. */
#ifndef OT_KERN_QCONV_H
#define OT_KERN_QCONV_H

#include "kern/conv.h"

/* Bounds are those of the output's type, or tighter where an activation clamps. */
struct q_out {
    int32_t zero, lo, hi;
};

/* y[i][j] for i < m rows, j < n columns. */
struct q_tile {
    int m, n;
    int64_t quads;
    const uint8_t *a; /* rows of 4 * quads bytes, unsigned */
    int64_t lda;
    const int8_t *b;     /* [quads][nr][4] */
    const int32_t *bias; /* nr, as mult */
    const float *mult;
    struct q_out out;
    uint8_t *y;
    int64_t ldy;
};

struct q_tile_kern {
    int mr, nr;
    void (*run)(const struct q_tile *t);
};

/* A run of pixels of a depthwise layer: pixel i reads its taps at x[t] + i * xstep and writes y + i * ystep.
 */
struct q_dw {
    int64_t npix, channels, xstep, ystep;
    int64_t quads;           /* of taps */
    const uint8_t *const *x; /* 4 * quads; those beyond the taps have weights of zero and any valid address */
    uint8_t flip;            /* exclusive-or'd into x: 0x80 makes signed unsigned */
    const uint8_t *w;        /* packed blocks */
    struct q_out out;
    uint8_t *y;
};

/* A block is `block` channels: bias, mult, then for each quad of taps their weights, four bytes a channel. A
 * block's channels stand as byte unpacking leaves them: at place j * block / 4 + 4 l + i is channel
 * 16 l + 4 j + i (j and i below 4). */
struct q_dw_kern {
    int block;
    void (*run)(const struct q_dw *d);
};

/* y = quantized (a + b) of what a and b stand for: float arithmetic as DequantizeLinear, Add, QuantizeLinear.
 */
struct q_add {
    bool a_signed, b_signed;
    int32_t az, bz;
    float as, bs, ys;
    struct q_out out;
};
typedef void q_add_fn(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n, const struct q_add *p);

struct qconv_kern {
    const struct q_tile_kern *tile;
    const struct q_dw_kern *dw;
    q_add_fn *add;
};

struct qconv_plan {
    struct conv_params p; /* three axes */
    bool depthwise, direct;
    bool x_signed;
    int64_t quads;       /* of one row of the product, or of taps */
    int64_t panels;      /* of one group; blocks of a depthwise layer */
    int64_t twice;       /* depthwise: pixels that lie side by side in a block, where channels are few */
    size_t panel_bytes;  /* of bias, mult and weights */
    size_t weight_bytes; /* of all, 64-byte aligned memory wanted */
    int64_t rows;        /* of one piece of work */
    size_t piece_bytes;  /* scratch of a thread */
    size_t scratch_bytes;
    int nthreads;
};

struct qconv_io {
    const uint8_t *x; /* [n][pixels][ci] */
    int32_t xz;
    const void *w; /* from qconv_pack() */
    struct q_out out;
    uint8_t *y; /* [n][pixels][co] */
};

/* Packed weights depend on channels, groups, kernel, strides and x_signed alone. Parameters as for
 * conv_f32_plan(); false: a size overflows. */
bool qconv_plan(const struct kern *k, const struct conv_params *p, bool x_signed, int nthreads,
                struct qconv_plan *plan);
/* w: [co][ci / groups][taps], moved by w_flip (0x80: unsigned around 128). bias (NULL: none) and mult: one a
 * channel. xz: the zero point that x will have. */
void qconv_pack(const struct kern *k, const struct qconv_plan *plan, const uint8_t *w, uint8_t w_flip,
                const int32_t *bias, const float *mult, int32_t xz, void *packed);
/* The pool has at most plan->nthreads threads; scratch is 64-byte aligned. */
void qconv(const struct kern *k, const struct qconv_plan *plan, const struct qconv_io *io, struct pool *pool,
           void *scratch);

#endif
