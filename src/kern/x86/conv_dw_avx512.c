/* Depthwise convolution of one plane, AVX-512: up to four vectors of a row of output at a time, down all
 * rows. Lanes whose input lies left or right of the image are masked; which these are depends on the column
 * alone. */
#include <immintrin.h>

#include "epi_avx512.h"
#include "kern/conv_index.h"
#include "kern/kern.h"

enum { MAX_KW = 16, BLOCK = 4, PLANS = 8 };

/* What the columns [w0, w0 + 16 vecs) load under each horizontal tap. */
struct columns {
    int64_t w0;
    int vecs;
    __mmask16 out[BLOCK];
    uint32_t in[MAX_KW][BLOCK]; /* of 16 elements, or 32 for stride 2 */
};

static uint32_t load_mask(const struct conv_params *p, int64_t o, int64_t tw, __mmask16 out)
{
    uint32_t m = 0;
    for (int j = 0; j < LANES; j++)
        if (out >> j & 1 && conv_inside(p, 2, conv_pos(p, 2, o + j, tw)))
            m |= 1u << (p->stride[2] == 2 ? 2 * j : j);
    return m;
}

static void plan_columns(const struct conv_params *p, int64_t w0, struct columns *c)
{
    int64_t vecs = (p->out[2] - w0 + LANES - 1) / LANES;
    c->w0 = w0;
    c->vecs = vecs > BLOCK ? BLOCK : (int)vecs;
    for (int v = 0; v < c->vecs; v++) {
        int64_t o = w0 + v * LANES, left = p->out[2] - o;
        c->out[v] = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
        for (int64_t tw = 0; tw < p->kernel[2]; tw++)
            c->in[tw][v] = load_mask(p, o, tw, c->out[v]);
    }
}

static inline __m512 load(const float *x, uint32_t mask, const int stride)
{
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512 lo = _mm512_maskz_loadu_ps((__mmask16)mask, x);
    if (stride == 1)
        return lo;
    return _mm512_permutex2var_ps(lo, even, _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + LANES));
}

/* One row of output. */
static inline __attribute__((always_inline)) void row(const struct conv_params *p, const struct dw_plane *q,
                                                      const struct columns *c, int64_t od, int64_t oh,
                                                      const int vecs, const int kw, const int stride)
{
    __m512 acc[BLOCK];
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++)
        acc[v] = _mm512_setzero_ps();
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++) {
            int64_t id = conv_pos(p, 0, od, td), ih = conv_pos(p, 1, oh, th);
            if (!conv_inside(p, 0, id) || !conv_inside(p, 1, ih))
                continue;
            const float *line = q->x + (id * p->in[1] + ih) * p->in[2] + conv_pos(p, 2, c->w0, 0);
            const float *w = q->w + (td * p->kernel[1] + th) * kw;
#pragma GCC unroll 5
            for (int tw = 0; tw < kw; tw++) {
                __m512 f = _mm512_set1_ps(w[tw]);
#pragma GCC unroll 4
                for (int v = 0; v < vecs; v++)
                    acc[v] = _mm512_fmadd_ps(
                        f, load(line + tw * p->dilation[2] + v * LANES * stride, c->in[tw][v], stride),
                        acc[v]);
            }
        }
    int64_t at = (od * p->out[1] + oh) * p->out[2] + c->w0;
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++)
        _mm512_mask_storeu_ps(q->y + at + v * LANES, c->out[v],
                              epi_avx512(&q->e, acc[v], 0, at + v * LANES, c->out[v]));
}

/* Rows oh to oh + n - 1 of output, n at most four, in one vector each. */
static inline __attribute__((always_inline)) void four_rows(const struct conv_params *p,
                                                            const struct dw_plane *q, const struct columns *c,
                                                            int64_t od, int64_t oh, int n, const int kw,
                                                            const int stride)
{
    __m512 acc[BLOCK];
#pragma GCC unroll 4
    for (int r = 0; r < BLOCK; r++)
        acc[r] = _mm512_setzero_ps();
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++) {
            const float *line[BLOCK], *w = q->w + (td * p->kernel[1] + th) * kw;
            uint32_t live[BLOCK];
            int64_t id = conv_pos(p, 0, od, td);
            for (int r = 0; r < BLOCK; r++) {
                int64_t ih = conv_pos(p, 1, oh + r, th);
                bool in = r < n && conv_inside(p, 0, id) && conv_inside(p, 1, ih);
                live[r] = in ? ~0u : 0;
                line[r] = q->x + (in ? (id * p->in[1] + ih) * p->in[2] + conv_pos(p, 2, c->w0, 0) : 0);
            }
#pragma GCC unroll 5
            for (int tw = 0; tw < kw; tw++) {
                __m512 f = _mm512_set1_ps(w[tw]);
#pragma GCC unroll 4
                for (int r = 0; r < BLOCK; r++)
                    acc[r] = _mm512_fmadd_ps(
                        f, load(line[r] + tw * p->dilation[2], c->in[tw][0] & live[r], stride), acc[r]);
            }
        }
#pragma GCC unroll 4
    for (int r = 0; r < BLOCK; r++) {
        int64_t at = (od * p->out[1] + oh + r) * p->out[2] + c->w0;
        if (r < n)
            _mm512_mask_storeu_ps(q->y + at, c->out[0], epi_avx512(&q->e, acc[r], 0, at, c->out[0]));
    }
}

static inline __attribute__((always_inline)) void rows(const struct conv_params *p, const struct dw_plane *q,
                                                       const struct columns *c, const int vecs, const int kw,
                                                       const int stride)
{
    for (int64_t od = 0; od < p->out[0]; od++) {
        int64_t oh = 0;
        for (; vecs == 1 && oh < p->out[1]; oh += BLOCK)
            four_rows(p, q, c, od, oh, p->out[1] - oh < BLOCK ? (int)(p->out[1] - oh) : BLOCK, kw, stride);
        for (; oh < p->out[1]; oh++)
            row(p, q, c, od, oh, vecs, kw, stride);
    }
}

static inline __attribute__((always_inline)) void by_kernel(const struct conv_params *p,
                                                            const struct dw_plane *q, const struct columns *c,
                                                            const int vecs, const int stride)
{
    if (p->kernel[2] == 3)
        rows(p, q, c, vecs, 3, stride);
    else if (p->kernel[2] == 5)
        rows(p, q, c, vecs, 5, stride);
    else
        rows(p, q, c, vecs, (int)p->kernel[2], stride);
}

static inline __attribute__((always_inline)) void by_stride(const struct conv_params *p,
                                                            const struct dw_plane *q, const struct columns *c,
                                                            const int vecs)
{
    if (p->stride[2] == 1)
        by_kernel(p, q, c, vecs, 1);
    else
        by_kernel(p, q, c, vecs, 2);
}

static void one_plane(const struct conv_params *p, const struct dw_plane *q, const struct columns *c)
{
    switch (c->vecs) {
    case 1:
        by_stride(p, q, c, 1);
        break;
    case 2:
        by_stride(p, q, c, 2);
        break;
    case 3:
        by_stride(p, q, c, 3);
        break;
    default:
        by_stride(p, q, c, 4);
    }
}

/* Other strides and very wide kernels are rare: the reference does them. */
static bool fits(const struct conv_params *p)
{
    return p->stride[2] <= 2 && p->kernel[2] <= MAX_KW;
}

void k_f32_conv_dw_avx512(const struct conv_params *p, const struct conv_io *io, int64_t q0, int64_t q1)
{
    struct columns c[PLANS];
    if (!fits(p)) {
        k_f32_conv_dw_c(p, io, q0, q1);
        return;
    }
    for (int64_t w0 = 0; w0 < p->out[2];) {
        int n = 0;
        for (; n < PLANS && w0 < p->out[2]; w0 += BLOCK * LANES)
            plan_columns(p, w0, &c[n++]);
        for (int64_t q = q0; q < q1; q++) {
            struct dw_plane d = conv_dw_plane(p, io, q);
            for (int i = 0; i < n; i++)
                one_plane(p, &d, &c[i]);
        }
    }
}
