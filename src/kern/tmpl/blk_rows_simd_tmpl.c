/* Depthwise convolution, pooling and scaling in blocked layout over the vector type; see blk.h. */
#include <math.h>

#include "kern/conv_index.h"
#include "kern/kern.h"
#include "kern/tmpl/blk_epi_simd.h"
#include "kern/tmpl/blk_rows.h"
#include "kern/tmpl/v_names.h"

/* n pixels of row oh from column ow on, all of whose columns of taps [t0, t1) lie in the image. */
static inline __attribute__((always_inline)) void dw_pixels(const struct blk_rows *r, int64_t oh,
                                                            struct blk_span rows, int64_t ow, int64_t t0,
                                                            int64_t t1, const int n)
{
    const struct conv_params *p = r->p;
    int64_t step = p->stride[1] * VN, col = p->dilation[1] * VN;
    vf acc[8];
#pragma GCC unroll 8
    for (int j = 0; j < n; j++)
        acc[j] = v_set1(0.0f);
    for (int64_t th = rows.lo; th < rows.hi; th++) {
        const float *x = blk_tap(r, oh, th, ow, t0), *w = r->w + (th * p->kernel[1] + t0) * VN;
        for (int64_t tw = t0; tw < t1; tw++, x += col, w += VN) {
            vf f = v_load(w);
#pragma GCC unroll 8
            for (int j = 0; j < n; j++)
                acc[j] = v_fma(f, v_load(x + j * step), acc[j]);
        }
    }
    for (int j = 0; j < n; j++) {
        int64_t at = (oh * p->out[1] + ow + j) * VN;
        v_store(r->y + at, blk_finish(&r->e, acc[j], 0, at));
    }
}

static void dw_edge(const struct blk_rows *r, int64_t oh, struct blk_span rows, int64_t from, int64_t to)
{
    for (int64_t ow = from; ow < to; ow++) {
        struct blk_span t = blk_span(r->p, 1, ow);
        dw_pixels(r, oh, rows, ow, t.lo, t.hi, 1);
    }
}

void VNAME(blk_dw)(const struct blk_rows *r)
{
    if (r->block != VN) {
        k_f32_blk_dw_c(r);
        return;
    }
    struct blk_span mid = blk_inner(r->p);
    int64_t kw = r->p->kernel[1];
    for (int64_t oh = r->oh0; oh < r->oh1; oh++) {
        struct blk_span rows = blk_span(r->p, 0, oh);
        int64_t ow = mid.lo;
        dw_edge(r, oh, rows, 0, mid.lo);
        for (; mid.hi - ow >= 8; ow += 8)
            dw_pixels(r, oh, rows, ow, 0, kw, 8);
        if (mid.hi - ow >= 4) {
            dw_pixels(r, oh, rows, ow, 0, kw, 4);
            ow += 4;
        }
        if (mid.hi - ow >= 2) {
            dw_pixels(r, oh, rows, ow, 0, kw, 2);
            ow += 2;
        }
        dw_edge(r, oh, rows, ow, r->p->out[1]);
    }
}

/* ---- pooling ---- */

typedef vf pool_step(vf acc, vf x);

static inline vf larger(vf acc, vf x)
{
    return v_sel(v_mor(v_lt(acc, x), v_nan(x)), x, acc);
}

static inline vf plus(vf acc, vf x)
{
    return v_add(acc, x);
}

/* All taps in the image of output (oh, ow), folded. */
static inline __attribute__((always_inline)) vf fold(pool_step *step, const struct blk_rows *r, int64_t oh,
                                                     int64_t ow, struct blk_span rows, vf acc)
{
    int64_t col = r->p->dilation[1] * VN;
    struct blk_span cols = blk_span(r->p, 1, ow);
    for (int64_t th = rows.lo; th < rows.hi; th++) {
        const float *x = blk_tap(r, oh, th, ow, cols.lo);
        for (int64_t tw = cols.lo; tw < cols.hi; tw++, x += col)
            acc = step(acc, v_load(x));
    }
    return acc;
}

void VNAME(blk_max_pool)(const struct blk_rows *r)
{
    if (r->block != VN) {
        k_f32_blk_max_pool_c(r);
        return;
    }
    for (int64_t oh = r->oh0; oh < r->oh1; oh++) {
        struct blk_span rows = blk_span(r->p, 0, oh);
        float *y = r->y + oh * r->p->out[1] * VN;
        for (int64_t ow = 0; ow < r->p->out[1]; ow++, y += VN)
            v_store(y, fold(larger, r, oh, ow, rows, v_set1(-INFINITY)));
    }
}

void VNAME(blk_avg_pool)(const struct blk_rows *r)
{
    if (r->block != VN) {
        k_f32_blk_avg_pool_c(r);
        return;
    }
    for (int64_t oh = r->oh0; oh < r->oh1; oh++) {
        struct blk_span rows = blk_span(r->p, 0, oh);
        float *y = r->y + oh * r->p->out[1] * VN;
        for (int64_t ow = 0; ow < r->p->out[1]; ow++, y += VN)
            v_store(y, v_div(fold(plus, r, oh, ow, rows, v_set1(0.0f)), v_set1(blk_average_over(r, oh, ow))));
    }
}

/* ---- whole planes ---- */

void VNAME(blk_scale)(int block, const float *x, const float *scale, const float *shift, float *y, int64_t n)
{
    if (block != VN) {
        k_f32_blk_scale_c(block, x, scale, shift, y, n);
        return;
    }
    vf f = v_load(scale), s = shift ? v_load(shift) : v_set1(0.0f);
    for (int64_t i = 0; i < n; i++, x += VN, y += VN)
        v_store(y, shift ? v_fma(v_load(x), f, s) : v_mul(v_load(x), f));
}

/* Four sums, so that additions need not wait for each other. */
void VNAME(blk_mean)(int block, const float *x, float *y, int64_t n)
{
    if (block != VN) {
        k_f32_blk_mean_c(block, x, y, n);
        return;
    }
    vf s[4] = {v_set1(0.0f), v_set1(0.0f), v_set1(0.0f), v_set1(0.0f)};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            s[j] = v_add(s[j], v_load(x + (i + j) * VN));
    for (; i < n; i++)
        s[0] = v_add(s[0], v_load(x + i * VN));
    v_store(y, v_div(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])), v_set1((float)n)));
}
