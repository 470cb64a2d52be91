/* Depthwise convolution of one plane, AVX-512: up to four vectors of a row of output at a time, down all
 * rows. Lanes whose input lies left or right of the image are masked; which these are depends on the column
 * alone. */
#include <immintrin.h>

#include "epi_avx512.h"
#include "kern/conv_index.h"
#include "kern/kern.h"

enum { MAX_KW = 16, BLOCK = 4 };

/* What the columns [w0, w0 + 16 vecs) load under each horizontal tap. */
struct columns {
    int64_t w0;
    __mmask16 out[BLOCK];
    uint32_t in[MAX_KW][BLOCK]; /* of 16 elements, or 32 for stride 2 */
};

struct plane {
    const struct conv_params *p;
    const float *x, *w;
    float *y;
    const struct gemm_epi *e;
};

static uint32_t load_mask(const struct conv_params *p, int64_t o, int64_t tw, __mmask16 out)
{
    uint32_t m = 0;
    for (int j = 0; j < LANES; j++)
        if (out >> j & 1 && conv_inside(p, 2, conv_pos(p, 2, o + j, tw)))
            m |= 1u << (p->stride[2] == 2 ? 2 * j : j);
    return m;
}

static void plan_columns(const struct conv_params *p, int64_t w0, int vecs, struct columns *c)
{
    c->w0 = w0;
    for (int v = 0; v < vecs; v++) {
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
static inline __attribute__((always_inline)) void row(const struct plane *q, const struct columns *c,
                                                      int64_t od, int64_t oh, const int vecs, const int kw,
                                                      const int stride)
{
    const struct conv_params *p = q->p;
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
                              epi_avx512(q->e, acc[v], 0, (int)(at + v * LANES), c->out[v]));
}

static inline __attribute__((always_inline)) void rows(const struct plane *q, const struct columns *c,
                                                       const int vecs, const int kw, const int stride)
{
    for (int64_t od = 0; od < q->p->out[0]; od++)
        for (int64_t oh = 0; oh < q->p->out[1]; oh++)
            row(q, c, od, oh, vecs, kw, stride);
}

static inline __attribute__((always_inline)) void by_kernel(const struct plane *q, const struct columns *c,
                                                            const int vecs, const int stride)
{
    if (q->p->kernel[2] == 3)
        rows(q, c, vecs, 3, stride);
    else if (q->p->kernel[2] == 5)
        rows(q, c, vecs, 5, stride);
    else
        rows(q, c, vecs, (int)q->p->kernel[2], stride);
}

static inline __attribute__((always_inline)) void by_stride(const struct plane *q, const struct columns *c,
                                                            const int vecs)
{
    if (q->p->stride[2] == 1)
        by_kernel(q, c, vecs, 1);
    else
        by_kernel(q, c, vecs, 2);
}

/* Other strides and very wide kernels are rare: the reference does them. */
static bool fits(const struct conv_params *p)
{
    return p->stride[2] <= 2 && p->kernel[2] <= MAX_KW && conv_out_plane(p) <= INT32_MAX;
}

void k_f32_conv_dw_avx512(const struct conv_params *p, const float *x, const float *w, float bias, float *y,
                          const struct gemm_epi *e)
{
    struct gemm_epi f = *e;
    struct plane q = {p, x, w, y, &f};
    struct columns c;

    if (!fits(p)) {
        k_f32_conv_dw_c(p, x, w, bias, y, e);
        return;
    }
    f.bias_m = &bias;
    for (int64_t w0 = 0; w0 < p->out[2]; w0 += BLOCK * LANES) {
        int vecs = (int)((p->out[2] - w0 + LANES - 1) / LANES);
        vecs = vecs > BLOCK ? BLOCK : vecs;
        plan_columns(p, w0, vecs, &c);
        if (vecs == 1)
            by_stride(&q, &c, 1);
        else if (vecs == 2)
            by_stride(&q, &c, 2);
        else if (vecs == 3)
            by_stride(&q, &c, 3);
        else
            by_stride(&q, &c, 4);
    }
}
