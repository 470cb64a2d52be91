/* Reference kernels of the blocked layout, for any width of block; see blk.h. */
#include <math.h>
#include <string.h>

#include "kern/gemm_epi.h"
#include "kern/kern.h"
#include "kern/tmpl/blk_rows.h"

/* The block that a table of references alone uses. */
enum { BLOCK = 8, PIXELS = 4 };

static float finish(const struct blk_epi *e, float s, int64_t chan, int64_t at)
{
    struct gemm_epi act = {.act = e->act, .lo = e->lo, .hi = e->hi};
    if (e->bias)
        s += e->bias[chan];
    if (e->res)
        s += e->res[at];
    return epi_act(&act, s);
}

/* Sums of one pixel, a block of output channels. */
static void one_pixel(const struct blk_tile *t, int j, int v, float *acc)
{
    const float *w = t->w + v * BLOCK;
    uint32_t out = (j == 0 ? t->first_out : 0) | (j == t->n - 1 ? t->last_out : 0);
    for (int64_t b = 0; b < t->blocks; b++) {
        int chans = b + 1 < t->blocks ? t->chans : t->last_chans;
        for (int64_t th = 0; th < t->kh; th++)
            for (int64_t tw = 0; tw < t->kw; tw++, w += chans * t->vecs * BLOCK) {
                if (th < t->th0 || th >= t->th1 || out >> tw & 1)
                    continue;
                const float *x = t->x + b * t->block_step + th * t->row_step + tw * t->col_step;
                for (int c = 0; c < chans; c++)
                    for (int i = 0; i < BLOCK; i++)
                        acc[i] += x[j * t->px_step + c * t->chan_step] * w[c * t->vecs * BLOCK + i];
            }
    }
}

static void run(const struct blk_tile *t)
{
    for (int v = 0; v < t->vecs; v++)
        for (int j = 0; j < t->n; j++) {
            int64_t at = v * t->y_step + j * t->px_out;
            float acc[BLOCK] = {0};
            if (t->load)
                memcpy(acc, t->y + at, sizeof acc);
            one_pixel(t, j, v, acc);
            for (int i = 0; i < BLOCK; i++)
                t->y[at + i] = t->finish ? finish(&t->e, acc[i], v * BLOCK + i, at + i) : acc[i];
        }
}

const struct blk_conv_kern k_f32_blk_conv_c = {BLOCK, {PIXELS, PIXELS, PIXELS}, run};

static void dw_row(const struct blk_rows *r, int64_t oh)
{
    const struct conv_params *p = r->p;
    struct blk_span rows = blk_span(p, 0, oh);
    for (int64_t ow = 0; ow < p->out[1]; ow++) {
        struct blk_span cols = blk_span(p, 1, ow);
        for (int c = 0; c < r->block; c++) {
            int64_t at = (oh * p->out[1] + ow) * r->block + c;
            float s = 0;
            for (int64_t th = rows.lo; th < rows.hi; th++)
                for (int64_t tw = cols.lo; tw < cols.hi; tw++)
                    s += blk_tap(r, oh, th, ow, tw)[c] * r->w[(th * p->kernel[1] + tw) * r->block + c];
            r->y[at] = finish(&r->e, s, c, at);
        }
    }
}

static void max_pool_row(const struct blk_rows *r, int64_t oh)
{
    struct blk_span rows = blk_span(r->p, 0, oh);
    for (int64_t ow = 0; ow < r->p->out[1]; ow++) {
        struct blk_span cols = blk_span(r->p, 1, ow);
        for (int c = 0; c < r->block; c++) {
            float top = -INFINITY;
            for (int64_t th = rows.lo; th < rows.hi; th++)
                for (int64_t tw = cols.lo; tw < cols.hi; tw++) {
                    float x = blk_tap(r, oh, th, ow, tw)[c];
                    top = top < x || isnan(x) ? x : top;
                }
            r->y[(oh * r->p->out[1] + ow) * r->block + c] = top;
        }
    }
}

static void avg_pool_row(const struct blk_rows *r, int64_t oh)
{
    struct blk_span rows = blk_span(r->p, 0, oh);
    for (int64_t ow = 0; ow < r->p->out[1]; ow++) {
        struct blk_span cols = blk_span(r->p, 1, ow);
        for (int c = 0; c < r->block; c++) {
            float s = 0;
            for (int64_t th = rows.lo; th < rows.hi; th++)
                for (int64_t tw = cols.lo; tw < cols.hi; tw++)
                    s += blk_tap(r, oh, th, ow, tw)[c];
            r->y[(oh * r->p->out[1] + ow) * r->block + c] = s / blk_average_over(r, oh, ow);
        }
    }
}

void k_f32_blk_dw_c(const struct blk_rows *r)
{
    for (int64_t oh = r->oh0; oh < r->oh1; oh++)
        dw_row(r, oh);
}

void k_f32_blk_max_pool_c(const struct blk_rows *r)
{
    for (int64_t oh = r->oh0; oh < r->oh1; oh++)
        max_pool_row(r, oh);
}

void k_f32_blk_avg_pool_c(const struct blk_rows *r)
{
    for (int64_t oh = r->oh0; oh < r->oh1; oh++)
        avg_pool_row(r, oh);
}

void k_f32_blk_scale_c(int block, const float *x, const float *scale, const float *shift, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < block; c++)
            y[i * block + c] =
                shift ? fmaf(x[i * block + c], scale[c], shift[c]) : x[i * block + c] * scale[c];
}

void k_f32_blk_mean_c(int block, const float *x, float *y, int64_t n)
{
    for (int c = 0; c < block; c++) {
        double s = 0;
        for (int64_t i = 0; i < n; i++)
            s += (double)x[i * block + c];
        y[c] = (float)(s / (double)n);
    }
}
