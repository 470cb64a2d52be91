/* Coordinates and weights of Resize, as its specification defines them. */
#include <math.h>

#include "kern/resize.h"

/* Output length that align_corners spreads the input over: in * scale, which ONNX's node tests do not round
 * down as they do the extent. Scales are single precision, so what is nearly whole is meant to be. */
static double aligned_length(const struct resize_axis *a)
{
    double length = (double)a->in * a->scale;
    return fabs(length - (double)a->out) < 1e-4 ? (double)a->out : length;
}

double resize_coordinate(const struct resize_axis *a, int64_t o)
{
    double x = (double)o, length = (double)a->in * a->scale;
    switch (a->coord) {
    case RS_HALF_PIXEL:
        return (x + 0.5) / a->scale - 0.5;
    case RS_HALF_PIXEL_SYMMETRIC: {
        double adjust = (double)a->out / length, center = (double)a->in / 2;
        return center * (1 - adjust) + (x + 0.5) / a->scale - 0.5;
    }
    case RS_PYTORCH_HALF_PIXEL:
        return a->out > 1 ? (x + 0.5) / a->scale - 0.5 : 0;
    case RS_ALIGN_CORNERS:
        return a->out > 1 ? x * (double)(a->in - 1) / (aligned_length(a) - 1) : 0;
    case RS_ASYMMETRIC:
        return x / a->scale;
    case RS_TF_HALF_PIXEL_FOR_NN:
        return (x + 0.5) / a->scale;
    case RS_TF_CROP_AND_RESIZE: {
        double span = (double)(a->in - 1);
        return a->out > 1
                   ? a->roi_start * span + x * (a->roi_end - a->roi_start) * span / (double)(a->out - 1)
                   : 0.5 * (a->roi_start + a->roi_end) * span;
    }
    }
    return 0;
}

static bool outside(const struct resize_axis *a, double x)
{
    return a->extrapolate && (x < 0 || x > (double)(a->in - 1));
}

static int64_t clamp_index(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static double nearest(double x, enum resize_nearest mode)
{
    switch (mode) {
    case RS_ROUND_PREFER_FLOOR:
        return ceil(x - 0.5);
    case RS_ROUND_PREFER_CEIL:
        return floor(x + 0.5);
    case RS_FLOOR:
        return floor(x);
    case RS_CEIL:
        return ceil(x);
    }
    return x;
}

void resize_nearest_map(const struct resize_axis *a, enum resize_nearest mode, int64_t *map)
{
    for (int64_t o = 0; o < a->out; o++) {
        double x = resize_coordinate(a, o);
        map[o] = outside(a, x) ? -1 : clamp_index((int64_t)nearest(x, mode), a->in);
    }
}

/* Taps on each side of the position are spread by this when shrinking with antialias. */
static double stretch(const struct resize_axis *a)
{
    return a->antialias && a->scale < 1 ? 1 / a->scale : 1;
}

static int half_taps(const struct resize_axis *a)
{
    int n = a->kind == RS_LINEAR ? 1 : 2;
    return (int)ceil(n * stretch(a));
}

int resize_taps(const struct resize_axis *a)
{
    return 2 * half_taps(a);
}

static double kernel_weight(const struct resize_axis *a, double d)
{
    double c = a->cubic_a;
    d = fabs(d);
    if (a->kind == RS_LINEAR)
        return d < 1 ? 1 - d : 0;
    if (d <= 1)
        return ((c + 2) * d - (c + 3)) * d * d + 1;
    return d < 2 ? ((c * d - 5 * c) * d + 8 * c) * d - 4 * c : 0;
}

static void fill_position(const struct resize_axis *a, int64_t o, int taps, int32_t *index, float *weight)
{
    double x = resize_coordinate(a, o), s = stretch(a), sum = 0, lo = floor(x);
    /* A scale near zero may put x anywhere; out there all positions are the border's. */
    lo = lo > -1e15 ? lo : -1e15;
    int64_t first = (int64_t)(lo < 1e15 ? lo : 1e15) - taps / 2 + 1;
    for (int t = 0; t < taps; t++) {
        int64_t i = first + t;
        bool in = i >= 0 && i < a->in;
        double w = a->exclude_outside && !in ? 0 : kernel_weight(a, ((double)i - x) / s);
        index[t] = (int32_t)clamp_index(i, a->in);
        weight[t] = (float)w;
        sum += w;
    }
    if (a->exclude_outside || s > 1)
        for (int t = 0; t < taps; t++)
            weight[t] = (float)(weight[t] / sum);
    if (outside(a, x))
        index[0] = -1;
}

void resize_table_fill(const struct resize_axis *a, struct resize_table *t)
{
    t->out = a->out;
    t->taps = resize_taps(a);
    for (int64_t o = 0; o < a->out; o++)
        fill_position(a, o, t->taps, t->index + o * t->taps, t->weight + o * t->taps);
}
