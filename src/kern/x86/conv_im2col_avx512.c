/* The im2col kernel for AVX-512. For one tap, the pixels of a panel lie in a few runs (one a row of output);
 * what to load for them is worked out once a tap, then done for every channel. */
#include <immintrin.h>

#include "kern/conv_index.h"
#include "kern/kern.h"

enum { LANES = 16, VECS = IM2COL_MAX / LANES };

/* What fills one vector: masked loads, merged. Element j of load i comes from x[off[i] + j * stride]. */
struct vec_loads {
    int n;
    int64_t off[LANES];
    __mmask16 lane[LANES];
};

static void plan_loads(const struct im2col_run *run, int n, int64_t stride, int vec, struct vec_loads *out)
{
    int first = vec * LANES;
    out->n = 0;
    for (int r = 0; r < n; r++) {
        int a = run[r].dst - first, b = a + run[r].len;
        int64_t off = run[r].src - a * stride;
        a = a < 0 ? 0 : a;
        b = b > LANES ? LANES : b;
        if (a >= b)
            continue;
        out->off[out->n] = off;
        out->lane[out->n++] = (__mmask16)((0xffffu >> (LANES - (b - a))) << a);
    }
}

/* Lane j's element is number 2 j of 32. */
static inline uint32_t spread(__mmask16 lane)
{
    uint32_t m = lane;
    m = (m | m << 8) & 0x00ff00ff;
    m = (m | m << 4) & 0x0f0f0f0f;
    m = (m | m << 2) & 0x33333333;
    return (m | m << 1) & 0x55555555;
}

static inline __m512 load_2(__m512 v, const float *x, __mmask16 lane)
{
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    uint32_t m = spread(lane);
    __m512 lo = _mm512_maskz_loadu_ps((__mmask16)m, x),
           hi = _mm512_maskz_loadu_ps((__mmask16)(m >> 16), x + 16);
    return _mm512_mask_mov_ps(v, lane, _mm512_permutex2var_ps(lo, even, hi));
}

static inline __m512 load_any(__m512 v, const float *x, __mmask16 lane, __m512i index)
{
    return _mm512_mask_i32gather_ps(v, lane, index, x, 4);
}

/* Channels [0, channels) of one vector; x is the first channel's plane, dst rows are `width` apart. */
static inline __attribute__((always_inline)) void fill(const struct vec_loads *l, const int n, int64_t stride,
                                                       const float *x, int64_t plane, int64_t channels,
                                                       float *dst, int width, __mmask16 out)
{
    __m512i index = _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                       _mm512_set1_epi32((int)stride));
    for (int64_t c = 0; c < channels; c++, x += plane, dst += width) {
        __m512 v = _mm512_setzero_ps();
        for (int i = 0; i < n; i++) {
            const float *p = x + l->off[i];
            v = stride == 1   ? _mm512_mask_loadu_ps(v, l->lane[i], p)
                : stride == 2 ? load_2(v, p, l->lane[i])
                              : load_any(v, p, l->lane[i], index);
        }
        _mm512_mask_storeu_ps(dst, out, v);
    }
}

static void fill_vec(const struct vec_loads *l, int64_t stride, const float *x, int64_t plane,
                     int64_t channels, float *dst, int width, __mmask16 out)
{
    if (stride == 1 && l->n == 1)
        fill(l, 1, 1, x, plane, channels, dst, width, out);
    else if (stride == 1 && l->n == 2)
        fill(l, 2, 1, x, plane, channels, dst, width, out);
    else if (stride == 1)
        fill(l, l->n, 1, x, plane, channels, dst, width, out);
    else if (stride == 2 && l->n == 1)
        fill(l, 1, 2, x, plane, channels, dst, width, out);
    else if (stride == 2)
        fill(l, l->n, 2, x, plane, channels, dst, width, out);
    else
        fill(l, l->n, stride, x, plane, channels, dst, width, out);
}

/* Steps that would not fit the gather's 32-bit index are left to the reference. */
static bool fits(const struct conv_params *p)
{
    return p->stride[2] < INT32_MAX / LANES;
}

void k_x32_im2col_avx512(const struct im2col *g, int64_t k0, int64_t k1, int64_t pix0, int npix, int width,
                         float *dst)
{
    struct im2col_run run[IM2COL_MAX];
    struct vec_loads loads;
    int64_t plane = conv_in_plane(g->p);

    if (!fits(g->p)) {
        k_x32_im2col_c(g, k0, k1, pix0, npix, width, dst);
        return;
    }
    for (int64_t kk = k0; kk < k1;) {
        int64_t tap = kk / g->ci, c = kk % g->ci;
        int64_t end = k1 - kk < g->ci - c ? c + k1 - kk : g->ci;
        int n = im2col_runs(g->p, tap, pix0, npix, run);
        for (int v = 0; v * LANES < width; v++) {
            int left = width - v * LANES;
            plan_loads(run, n, g->p->stride[2], v, &loads);
            fill_vec(&loads, g->p->stride[2], g->x + c * plane, plane, end - c, dst + v * LANES, width,
                     left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1));
        }
        kk += end - c;
        dst += (end - c) * width;
    }
}
