/* The im2col kernel: gathers pixels of an image into one panel of a matrix product. */
#include <string.h>

#include "kern/conv_index.h"
#include "kern/kern.h"

static void gather_row(const struct im2col_run *run, int n, int64_t step, const float *x, float *dst)
{
    for (int r = 0; r < n; r++) {
        const float *s = x + run[r].src;
        float *d = dst + run[r].dst;
        if (step == 1)
            memcpy(d, s, (size_t)run[r].len * sizeof(float));
        else
            for (int j = 0; j < run[r].len; j++)
                d[j] = s[j * step];
    }
}

void k_x32_im2col_c(const struct im2col *g, int64_t k0, int64_t k1, int64_t pix0, int npix, int width,
                    float *dst)
{
    struct im2col_run run[IM2COL_MAX];
    int64_t plane = conv_in_plane(g->p);

    for (int64_t kk = k0; kk < k1;) {
        int64_t tap = kk / g->ci, c = kk % g->ci;
        int64_t end = k1 - kk < g->ci - c ? c + k1 - kk : g->ci;
        int n = im2col_runs(g->p, tap, pix0, npix, run);
        bool full = n == 1 && run[0].len == width;
        kk += end - c;
        for (; c < end; c++, dst += width) {
            if (!full)
                memset(dst, 0, (size_t)width * sizeof(float));
            gather_row(run, n, g->p->stride[2], g->x + c * plane, dst);
        }
    }
}
