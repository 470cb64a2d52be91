/* Interpolation at arbitrary positions of an image of any rank. */
#include "kern/sample.h"

#include <math.h>

/* Folds x into [lo, hi] as mirrors at both ends would. */
static double reflect(double x, double lo, double hi)
{
    double range = hi - lo;
    if (!(range > 0))
        return lo;
    double off = x < lo ? lo - x : x > hi ? x - hi : 0;
    if (off == 0)
        return x;
    double turns = floor(off / range), rest = off - turns * range;
    bool even = fmod(turns, 2) == 0;
    return (x < lo) == even ? lo + rest : hi - rest;
}

/* Pixel that stands for position i of an axis of n; -1: none, it counts as 0. */
static int64_t pixel(const struct sample_image *im, int axis, double i)
{
    int64_t n = im->dims[axis];
    double last = (double)(n - 1);
    if (i >= 0 && i <= last)
        return (int64_t)i;
    if (im->pad == SAMPLE_ZEROS || isnan(i))
        return -1;
    if (im->pad == SAMPLE_REFLECT)
        i = im->align ? reflect(i, 0, last) : reflect(i, -0.5, last + 0.5);
    return i > 0 ? (i < last ? (int64_t)i : n - 1) : 0;
}

static double adjust(const struct sample_image *im, int axis, double x)
{
    double last = (double)(im->dims[axis] - 1);
    double lo = im->align ? 0 : -0.5, hi = im->align ? last : last + 0.5;
    if (im->pad == SAMPLE_ZEROS || (x >= lo && x <= hi))
        return x;
    if (im->pad == SAMPLE_BORDER)
        return x > 0 ? (x < last ? x : last) : 0;
    return reflect(x, lo, hi);
}

/* Weights of the four pixels around, t being the distance behind the second; the factor is the usual -0.75.
 */
static void cubic_weights(double t, double *w)
{
    const double a = -0.75;
    for (int k = 0; k < 4; k++) {
        double d = fabs(t - (double)(k - 1));
        w[k] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

struct taps {
    int n;
    int64_t pos[4];
    double w[4];
};

static void axis_taps(const struct sample_image *im, int axis, double x, struct taps *t)
{
    if (im->mode == SAMPLE_NEAREST)
        x = nearbyint(x);
    x = adjust(im, axis, x);
    double base = floor(x);
    if (im->mode == SAMPLE_CUBIC) {
        t->n = 4;
        cubic_weights(x - base, t->w);
        base -= 1;
    } else {
        t->n = im->mode == SAMPLE_NEAREST ? 1 : 2;
        base = im->mode == SAMPLE_NEAREST ? nearbyint(x) : base;
        t->w[0] = im->mode == SAMPLE_NEAREST ? 1 : 1 - (x - base);
        t->w[1] = x - base;
    }
    for (int k = 0; k < t->n; k++)
        t->pos[k] = pixel(im, axis, base + k);
}

double sample_point(const struct sample_image *im, const double *plane, const double *at)
{
    struct taps t[SAMPLE_RANK];
    int k[SAMPLE_RANK] = {0}, axis;
    double sum = 0;
    for (int i = 0; i < im->rank; i++)
        axis_taps(im, i, at[i], &t[i]);
    do {
        int64_t off = 0;
        double w = 1;
        for (int i = 0; i < im->rank && off >= 0; i++) {
            int64_t p = t[i].pos[k[i]];
            off = p < 0 ? -1 : off * im->dims[i] + p;
            w *= t[i].w[k[i]];
        }
        if (off >= 0)
            sum += w * plane[off];
        for (axis = im->rank - 1; axis >= 0 && ++k[axis] == t[axis].n; axis--)
            k[axis] = 0;
    } while (axis >= 0);
    return sum;
}
