/* Region of interest pooling: quantized (max) and interpolated (align). */
#include "kern/roi.h"

#include <math.h>

static int64_t clamp(double v, int64_t hi)
{
    return v > 0 ? (v > (double)hi ? hi : (int64_t)v) : 0;
}

struct bin {
    int64_t y0, y1, x0, x1;
};

static double bin_max(const double *plane, int64_t w, const struct bin *b)
{
    double best = 0;
    bool any = false;
    for (int64_t y = b->y0; y < b->y1; y++)
        for (int64_t x = b->x0; x < b->x1; x++)
            if (!any || plane[y * w + x] > best) {
                best = plane[y * w + x];
                any = true;
            }
    return best;
}

static void max_one(const double *img, const int64_t dims[4], const double *roi, const int64_t pooled[2],
                    double scale, double *out)
{
    double x0 = round(roi[1] * scale), y0 = round(roi[2] * scale);
    double w = fmax(round(roi[3] * scale) - x0 + 1, 1), h = fmax(round(roi[4] * scale) - y0 + 1, 1);
    double bh = h / (double)pooled[0], bw = w / (double)pooled[1];
    for (int64_t c = 0; c < dims[1]; c++)
        for (int64_t i = 0; i < pooled[0]; i++)
            for (int64_t j = 0; j < pooled[1]; j++) {
                struct bin b = {clamp(floor((double)i * bh) + y0, dims[2]),
                                clamp(ceil((double)(i + 1) * bh) + y0, dims[2]),
                                clamp(floor((double)j * bw) + x0, dims[3]),
                                clamp(ceil((double)(j + 1) * bw) + x0, dims[3])};
                *out++ = bin_max(img + c * dims[2] * dims[3], dims[3], &b);
            }
}

void roi_max_pool(const double *x, const int64_t dims[4], const double *rois, int64_t nrois,
                  const int64_t pooled[2], double scale, double *out)
{
    for (int64_t r = 0; r < nrois; r++) {
        const double *roi = rois + r * 5;
        const double *img = x + (int64_t)roi[0] * dims[1] * dims[2] * dims[3];
        max_one(img, dims, roi, pooled, scale, out + r * dims[1] * pooled[0] * pooled[1]);
    }
}

/* Positions and weights of one bilinear sample. */
struct sample {
    int64_t pos[4];
    double w[4];
};

/* False outside the image by more than one pixel. */
static bool place(double y, double x, int64_t h, int64_t w, struct sample *s)
{
    if (!(y >= -1 && y <= (double)h && x >= -1 && x <= (double)w) || h < 1 || w < 1)
        return false;
    y = y < 0 ? 0 : y;
    x = x < 0 ? 0 : x;
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1, x1 = x0 + 1;
    if (y0 >= h - 1)
        y = (double)(y0 = y1 = h - 1);
    if (x0 >= w - 1)
        x = (double)(x0 = x1 = w - 1);
    double ly = y - (double)y0, lx = x - (double)x0;
    *s = (struct sample){{y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1},
                         {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx}};
    return true;
}

struct grid {
    double y0, x0, bin_h, bin_w;
    int64_t ny, nx;
};

static double align_bin(const struct roi_align *p, const double *plane, const int64_t dims[4],
                        const struct grid *g, int64_t i, int64_t j)
{
    double acc = 0;
    bool first = true;
    for (int64_t a = 0; a < g->ny; a++)
        for (int64_t b = 0; b < g->nx; b++) {
            double y = g->y0 + (double)i * g->bin_h + ((double)a + 0.5) * g->bin_h / (double)g->ny;
            double x = g->x0 + (double)j * g->bin_w + ((double)b + 0.5) * g->bin_w / (double)g->nx;
            struct sample s = {{0}, {0}};
            place(y, x, dims[2], dims[3], &s);
            for (int t = 0; t < 4; t++) {
                double v = s.w[t] * plane[s.pos[t]];
                acc = !p->max ? acc + v : first || v > acc ? v : acc;
                first = false;
            }
        }
    double count = (double)g->ny * (double)g->nx;
    return p->max ? acc : acc / (count > 1 ? count : 1);
}

static struct grid make_grid(const struct roi_align *p, const double *roi)
{
    double off = p->half_pixel ? 0.5 : 0;
    struct grid g = {.y0 = roi[1] * p->scale - off, .x0 = roi[0] * p->scale - off};
    double h = roi[3] * p->scale - off - g.y0, w = roi[2] * p->scale - off - g.x0;
    if (!p->half_pixel) {
        h = h > 1 ? h : 1;
        w = w > 1 ? w : 1;
    }
    g.bin_h = h / (double)p->out_h;
    g.bin_w = w / (double)p->out_w;
    /* The bound keeps a region of absurd size from running for ever. */
    double ny = fmin(ceil(g.bin_h), 65536), nx = fmin(ceil(g.bin_w), 65536);
    g.ny = p->sampling > 0 ? p->sampling : ny > 0 ? (int64_t)ny : 0;
    g.nx = p->sampling > 0 ? p->sampling : nx > 0 ? (int64_t)nx : 0;
    return g;
}

void roi_align(const struct roi_align *p, const double *x, const int64_t dims[4], const double *rois,
               const int64_t *batch, int64_t nrois, double *out)
{
    for (int64_t r = 0; r < nrois; r++) {
        struct grid g = make_grid(p, rois + r * 4);
        for (int64_t c = 0; c < dims[1]; c++) {
            const double *plane = x + (batch[r] * dims[1] + c) * dims[2] * dims[3];
            for (int64_t i = 0; i < p->out_h; i++)
                for (int64_t j = 0; j < p->out_w; j++)
                    *out++ = align_bin(p, plane, dims, &g, i, j);
        }
    }
}
