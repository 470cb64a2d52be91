/* Images in blocked layout: [N][C / B][H][W][B], B channels side by side, as many as a vector holds. A whole
 * number of blocks always: channels that fill the last one up hold anything, and nothing that counts is made
 * from them.
 *
 * In this layout a convolution needs no image matrix: a tile is some pixels of one row by one to three
 * vectors of output channels, each step multiplies one input channel of every pixel by the vectors of
 * weights. Strides and small images cost no more than others, and depthwise convolution and pooling work on
 * whole vectors. One chain of multiply-adds an element: blocks of input channels, taps, channels in a block;
 * so threads change no bit. */
#ifndef OT_KERN_BLK_H
#define OT_KERN_BLK_H

#include "kern/conv.h"

enum { BLK_MAX = 16, BLK_VECS = 3, BLK_PIXELS = 14, BLK_TAPS = 32 };

/* What becomes of a finished sum: + bias + res, then act; as struct gemm_epi has it. */
struct blk_epi {
    const float *bias; /* of the tile's channels; NULL: none */
    const float *res;  /* at the tile's place in a tensor like y; NULL: none */
    enum gemm_act act;
    float lo, hi;
};

/* n pixels of a row by vecs vectors of channels. Under tap (th, tw) pixel j reads channel c of input block b
 * at x[b * block_step + th * row_step + tw * col_step + j * px_step + c * chan_step]. The first pixel reads
 * zeros instead where bit tw of first_out is set, the last one where that of last_out is (chan_step 1 then).
 * Weights: [blocks][kh][kw][chans][vecs * B]; in the last block last_chans. */
struct blk_tile {
    int n, vecs;
    const float *x;
    int64_t block_step, row_step, col_step, px_step, chan_step;
    int64_t blocks;
    int chans, last_chans;
    int64_t kh, kw, th0, th1; /* rows [th0, th1) of the kernel lie in the image */
    uint32_t first_out, last_out;
    const float *w;
    const float *soon; /* what to bring into the cache meanwhile, so many lines a tap */
    int soon_lines;
    float *y; /* vectors of channels y_step apart, pixels B apart */
    int64_t y_step, px_out;
    bool load; /* the chain goes on from what y holds */
    bool finish;
    struct blk_epi e;
};

struct blk_conv_kern {
    int block;
    int pixels[BLK_VECS]; /* widest tile of 1, 2, 3 vectors; 0: none such */
    void (*run)(const struct blk_tile *t);
};

/* Rows [oh0, oh1) of the output of one block of channels, depthwise or pooled. x, y: their planes. Kernels
 * for a vector that is not `block` long leave the work to the reference. */
struct blk_rows {
    int block;
    const struct conv_params *p; /* two axes */
    const float *x, *w;          /* w: [kh][kw][block] (depthwise) */
    float *y;
    int64_t oh0, oh1;
    bool padded; /* average: divide by all taps in input and padding, which end at pad_end */
    const int64_t *pad_end;
    struct blk_epi e;
};
typedef void blk_rows_fn(const struct blk_rows *r);

/* Over n pixels of a plane: y = x * scale + shift (NULL: 0), a vector of channels each. */
typedef void blk_scale_fn(int block, const float *x, const float *scale, const float *shift, float *y,
                          int64_t n);
/* Mean of n pixels, n > 0. */
typedef void blk_mean_fn(int block, const float *x, float *y, int64_t n);

struct blk_kern {
    const struct blk_conv_kern *conv;
    blk_rows_fn *dw, *max_pool, *avg_pool;
    blk_scale_fn *scale;
    blk_mean_fn *mean;
};

/* ---- drivers ---- */

/* y = post(act(conv + bias + res)) in blocked layout. */
struct blk_io {
    const float *x;    /* blocked, or plain NCHW if the plan says so */
    const void *w;     /* packed */
    const float *bias; /* a whole number of blocks, NULL */
    const float *res;  /* blocked; NULL */
    float *y;
    enum gemm_act act;
    float lo, hi;
    void (*post)(float *y, int64_t n, const void *arg); /* on finished pieces; NULL */
    const void *post_arg;
};

struct blk_plan {
    struct conv_params p; /* two axes; channels as the weights have them */
    bool plain;           /* x is NCHW: few channels */
    bool depthwise;
    bool copied;   /* x is copied with its padding first */
    bool picked;   /* one tap, strided: the pixels that it reads are copied first */
    int64_t up[2]; /* transposed: outputs a pixel and axis */
    int vecs;      /* vectors of channels in a tile */
    size_t weight_bytes, scratch_bytes;
    const char *name;
};

static inline int64_t blk_round(int64_t channels, int block)
{
    return (channels + block - 1) / block * block;
}

/* Whether the drivers below take it: two axes, and groups that are whole blocks or single channels. */
bool blk_takes(const struct kern *k, const struct conv_params *p);
/* What the weights' packing depends on, channels, groups and kernel, must not change between plans for one
 * packing. False when a size overflows. */
bool blk_conv_plan(const struct kern *k, const struct conv_params *p, bool plain, struct blk_plan *plan);
void blk_conv_pack(const struct kern *k, const struct blk_plan *plan, const float *w, void *packed);
void blk_conv(const struct kern *k, const struct blk_plan *plan, const struct blk_io *io, struct pool *pool,
              void *scratch);

/* Transposed convolution whose windows do not overlap: kernel and stride alike, no padding, one group. A
 * pointwise convolution for each tap; p is that of the operator, as for conv_t_f32_plan(). No res, no post.
 */
bool blk_conv_t_takes(const struct conv_params *p);
bool blk_conv_t_plan(const struct kern *k, const struct conv_params *p, struct blk_plan *plan);
void blk_conv_t_pack(const struct kern *k, const struct blk_plan *plan, const float *w, void *packed);
void blk_conv_t(const struct kern *k, const struct blk_plan *plan, const struct blk_io *io,
                struct pool *pool);

/* NCHW to blocked and back; `channels` are real ones, plane is H * W. Filling channels are 0. */
void blk_from_plain(const struct kern *k, const float *x, float *y, int64_t n, int64_t channels,
                    int64_t plane, struct pool *pool);
void blk_to_plain(const struct kern *k, const float *x, float *y, int64_t n, int64_t channels, int64_t plane,
                  struct pool *pool);

/* Pooling of n * blocks planes; p as for a depthwise convolution of that many channels. */
void blk_pool(const struct kern *k, const struct conv_params *p, blk_rows_fn *fn, bool padded,
              const int64_t *pad_end, const float *x, float *y, struct pool *pool);
/* The same on plain planes, any number of them, each block of planes turned around and back: for small
 * planes, whose rows are short of vectors. scratch: blk_pool_plain_scratch() floats a thread, 64-byte
 * aligned. */
bool blk_pool_suits(const struct conv_params *p);
size_t blk_pool_plain_scratch(const struct kern *k, const struct conv_params *p);
void blk_pool_plain(const struct kern *k, const struct conv_params *p, blk_rows_fn *fn, bool padded,
                    const int64_t *pad_end, const float *x, float *y, int64_t planes, struct pool *pool,
                    float *scratch);

#endif
