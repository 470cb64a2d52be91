/* Depthwise convolution. */
#include "kern/conv_index.h"
#include "kern/gemm_epi.h"
#include "kern/kern.h"

enum { CHUNK = 256 };

static void add_scaled(float f, const float *x, int64_t step, int64_t n, float *acc)
{
    if (step == 1)
        for (int64_t i = 0; i < n; i++)
            acc[i] += f * x[i];
    else
        for (int64_t i = 0; i < n; i++)
            acc[i] += f * x[i * step];
}

/* Adds one row of taps to sums of outputs [w0, w0 + n) of a row; x is the row of input. */
static void add_taps(const struct conv_params *p, const float *x, const float *w, int64_t w0, int64_t n,
                     float *acc)
{
    for (int64_t tw = 0; tw < p->kernel[2]; tw++) {
        int64_t lo, hi;
        conv_range(p, 2, tw, &lo, &hi);
        lo = lo < w0 ? w0 : lo;
        hi = hi > w0 + n ? w0 + n : hi;
        if (lo < hi)
            add_scaled(w[tw], x + conv_pos(p, 2, lo, tw), p->stride[2], hi - lo, acc + (lo - w0));
    }
}

static void row_part(const struct conv_params *p, const float *x, const float *w, int64_t od, int64_t oh,
                     int64_t w0, int64_t n, float *acc)
{
    for (int64_t j = 0; j < n; j++)
        acc[j] = 0.0f;
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++) {
            int64_t id = conv_pos(p, 0, od, td), ih = conv_pos(p, 1, oh, th);
            if (conv_inside(p, 0, id) && conv_inside(p, 1, ih))
                add_taps(p, x + (id * p->in[1] + ih) * p->in[2], w + (td * p->kernel[1] + th) * p->kernel[2],
                         w0, n, acc);
        }
}

static void one_plane(const struct conv_params *p, const struct dw_plane *d)
{
    float acc[CHUNK];
    for (int64_t row = 0; row < p->out[0] * p->out[1]; row++)
        for (int64_t w0 = 0; w0 < p->out[2]; w0 += CHUNK) {
            int64_t n = p->out[2] - w0 < CHUNK ? p->out[2] - w0 : CHUNK, at = row * p->out[2] + w0;
            row_part(p, d->x, d->w, row / p->out[1], row % p->out[1], w0, n, acc);
            for (int64_t j = 0; j < n; j++)
                d->y[at + j] = epi_value(&d->e, acc[j], 0, at + j);
        }
}

void k_f32_conv_dw_c(const struct conv_params *p, const struct conv_io *io, int64_t q0, int64_t q1)
{
    for (int64_t q = q0; q < q1; q++) {
        struct dw_plane d = conv_dw_plane(p, io, q);
        one_plane(p, &d);
    }
}
