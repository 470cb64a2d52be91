/* Depthwise convolution for AVX2, stride 1 along rows: up to four vectors of a row of output at a time. Lanes
 * whose input lies left or right of the image are masked. */
#include <immintrin.h>

#include "epi_avx2.h"
#include "kern/conv_index.h"
#include "kern/kern.h"

enum { MAX_KW = 16, BLOCK = 4 };

struct columns {
    int64_t w0;
    int vecs;
    __m256i out[BLOCK], in[MAX_KW][BLOCK];
};

static void plan_columns(const struct conv_params *p, int64_t w0, struct columns *c)
{
    int64_t vecs = (p->out[2] - w0 + LANES - 1) / LANES;
    c->w0 = w0;
    c->vecs = vecs > BLOCK ? BLOCK : (int)vecs;
    for (int v = 0; v < c->vecs; v++) {
        int64_t o = w0 + v * LANES;
        c->out[v] = lanes_avx2(p->out[2] - o);
        for (int64_t tw = 0; tw < p->kernel[2]; tw++) {
            int64_t lo, hi;
            conv_range(p, 2, tw, &lo, &hi);
            c->in[tw][v] = _mm256_andnot_si256(lanes_avx2(lo - o), lanes_avx2(hi - o));
        }
    }
}

static inline __attribute__((always_inline)) void row(const struct conv_params *p, const struct dw_plane *q,
                                                      const struct columns *c, int64_t od, int64_t oh,
                                                      const int vecs)
{
    __m256 acc[BLOCK];
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++)
        acc[v] = _mm256_setzero_ps();
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++) {
            int64_t id = conv_pos(p, 0, od, td), ih = conv_pos(p, 1, oh, th);
            if (!conv_inside(p, 0, id) || !conv_inside(p, 1, ih))
                continue;
            const float *line = q->x + (id * p->in[1] + ih) * p->in[2] + conv_pos(p, 2, c->w0, 0);
            const float *w = q->w + (td * p->kernel[1] + th) * p->kernel[2];
            for (int64_t tw = 0; tw < p->kernel[2]; tw++) {
                __m256 f = _mm256_broadcast_ss(w + tw);
#pragma GCC unroll 4
                for (int v = 0; v < vecs; v++)
                    acc[v] = _mm256_fmadd_ps(
                        f, _mm256_maskload_ps(line + tw * p->dilation[2] + v * LANES, c->in[tw][v]), acc[v]);
            }
        }
    int64_t at = (od * p->out[1] + oh) * p->out[2] + c->w0;
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++)
        _mm256_maskstore_ps(q->y + at + v * LANES, c->out[v],
                            epi_avx2(&q->e, acc[v], 0, at + v * LANES, c->out[v]));
}

static void rows(const struct conv_params *p, const struct dw_plane *q, const struct columns *c)
{
    for (int64_t od = 0; od < p->out[0]; od++)
        for (int64_t oh = 0; oh < p->out[1]; oh++)
            switch (c->vecs) {
            case 1:
                row(p, q, c, od, oh, 1);
                break;
            case 2:
                row(p, q, c, od, oh, 2);
                break;
            case 3:
                row(p, q, c, od, oh, 3);
                break;
            default:
                row(p, q, c, od, oh, 4);
            }
}

void k_f32_conv_dw_avx2(const struct conv_params *p, const struct conv_io *io, int64_t q0, int64_t q1)
{
    if (p->stride[2] != 1 || p->kernel[2] > MAX_KW) {
        k_f32_conv_dw_c(p, io, q0, q1);
        return;
    }
    for (int64_t w0 = 0; w0 < p->out[2]; w0 += BLOCK * LANES) {
        struct columns c;
        plan_columns(p, w0, &c);
        for (int64_t q = q0; q < q1; q++) {
            struct dw_plane d = conv_dw_plane(p, io, q);
            rows(p, &d, &c);
        }
    }
}
