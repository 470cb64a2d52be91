/* Pooling of one and two spatial axes in two steps: the rows of a window are folded into one line, padded on
 * both sides, then the line is folded across. Anything else goes to the reference.
 *
 *     rows ih .. ih+kh  --fold-->  [pad | line of in[1] | pad]  --fold with stride-->  one output row */
#include <math.h>

#include "kern/kern.h"
#include "kern/tmpl/pool_walk.h"
#include "kern/tmpl/v_math.h"
#include "kern/tmpl/v_names.h"

/* Floats of a line; one row of most images. */
enum { LINE = 4096, SLACK = 3 * VN };

typedef vf pool_step(vf acc, vf x);

static inline vf step_max(vf acc, vf x)
{
    return v_sel(v_mor(v_lt(acc, x), v_nan(x)), x, acc);
}
static inline vf step_add(vf acc, vf x)
{
    return v_add(acc, x);
}

/* The second axis of a one-dimensional pool is its only one. */
struct axes {
    int64_t in_h, out_h, kh, sh, dh, ph, ph_end;
    int64_t in_w, out_w, kw, sw, dw, pw, pw_end;
};

static struct axes axes_of(const struct pool_params *p)
{
    int w = p->rank - 1;
    struct axes a = {1,
                     1,
                     1,
                     1,
                     1,
                     0,
                     0,
                     p->in[w],
                     p->out[w],
                     p->kernel[w],
                     p->stride[w],
                     p->dilation[w],
                     p->pad[w],
                     p->pad_end[w]};
    if (p->rank == 2) {
        a.in_h = p->in[0], a.out_h = p->out[0], a.kh = p->kernel[0], a.sh = p->stride[0];
        a.dh = p->dilation[0], a.ph = p->pad[0], a.ph_end = p->pad_end[0];
    }
    return a;
}

/* Floats that the windows of one output row span. */
static int64_t line_length(const struct axes *a)
{
    int64_t span = (a->out_w - 1) * a->sw + (a->kw - 1) * a->dw + 1, end = a->pw + a->in_w;
    return span > end ? span : end;
}

static bool fits(const struct pool_params *p)
{
    for (int i = 0; i < p->rank; i++)
        if (p->pad[i] < 0 || p->pad[i] > LINE || p->in[i] < 1 || p->in[i] > 1 << 24 || p->out[i] > 1 << 24 ||
            p->kernel[i] > 1 << 24 || p->stride[i] > 1 << 24 || p->dilation[i] > 1 << 24)
            return false;
    if (p->rank > 2)
        return false;
    struct axes a = axes_of(p);
    return line_length(&a) <= LINE;
}

/* Folds the valid rows of output row oh into line + pw; returns how many there were. */
static inline __attribute__((always_inline)) int64_t fold_rows(pool_step *step, const struct axes *a,
                                                               const float *x, int64_t oh, float *line)
{
    int64_t start = oh * a->sh - a->ph, lo = start < 0 ? (-start + a->dh - 1) / a->dh : 0, count = 0;
    float *mid = line + a->pw;
    for (int64_t k = lo; k < a->kh && start + k * a->dh < a->in_h; k++, count++) {
        const float *row = x + (start + k * a->dh) * a->in_w;
        int64_t i = 0;
        for (; i + VN <= a->in_w; i += VN)
            v_store(mid + i, count ? step(v_load(mid + i), v_load(row + i)) : v_load(row + i));
        if (i < a->in_w) {
            size_t n = (size_t)(a->in_w - i);
            vf v = v_load_n(row + i, n);
            v_store_n(mid + i, count ? step(v_load_n(mid + i, n), v) : v, n);
        }
    }
    return count;
}

/* Folds kw steps of the line into each of out_w outputs. */
static inline __attribute__((always_inline)) void fold_across(pool_step *step, const struct axes *a,
                                                              const float *line, float *y, float init)
{
    for (int64_t o = 0; o < a->out_w; o += VN) {
        const float *at = line + o * a->sw;
        size_t n = (size_t)(a->out_w - o < VN ? a->out_w - o : VN);
        float lanes[VN];
        vf acc = v_set1(init);
        for (int64_t k = 0; k < a->kw; k++, at += a->dw) {
            vf v;
            if (a->sw == 1) { /* what a last, short vector reads too much is in the slack */
                v = v_load(at);
            } else if (a->sw == 2) {
                v = v_even(v_load(at), v_load(at + VN));
            } else {
                for (size_t i = 0; i < VN; i++)
                    lanes[i] = i < n ? at[(int64_t)i * a->sw] : init;
                v = v_load(lanes);
            }
            acc = step(acc, v);
        }
        if (n == VN)
            v_store(y + o, acc);
        else
            v_store_n(y + o, acc, n);
    }
}

static void line_fill(float *line, int64_t n, float v)
{
    for (int64_t i = 0; i < n; i++)
        line[i] = v;
}

void VNAME(max_pool)(const struct pool_params *p, const void *in, void *out, int64_t *index, size_t planes,
                     size_t first_plane)
{
    float line[LINE + SLACK];
    if (index || !fits(p)) {
        k_f32_max_pool_c(p, in, out, index, planes, first_plane);
        return;
    }
    struct axes a = axes_of(p);
    const float *x = in;
    float *y = out;
    line_fill(line, line_length(&a) + SLACK, -INFINITY);
    for (size_t c = 0; c < planes; c++, x += a.in_h * a.in_w)
        for (int64_t oh = 0; oh < a.out_h; oh++, y += a.out_w) {
            if (fold_rows(step_max, &a, x, oh, line))
                fold_across(step_max, &a, line, y, -INFINITY);
            else
                line_fill(y, a.out_w, -INFINITY);
        }
}

/* Taps of output o along an axis that count for the average. */
static float tap_count(int64_t o, int64_t stride, int64_t pad, int64_t kernel, int64_t d, int64_t in,
                       bool padded, int64_t pad_end)
{
    int64_t start = o * stride - pad, n = 0;
    for (int64_t k = 0; k < kernel; k++) {
        int64_t at = start + k * d;
        n += padded ? at < in + pad_end : at >= 0 && at < in;
    }
    return (float)n;
}

/* y[i] /= rows * count[i] */
static inline void divide(float *y, const float *count, float rows, size_t n)
{
    vf r = v_set1(rows);
    size_t i = 0;
    for (; i + VN <= n; i += VN)
        v_store(y + i, v_div(v_load(y + i), v_mul(r, v_load(count + i))));
    if (i < n)
        v_store_n(y + i, v_div(v_load_n(y + i, n - i), v_mul(r, v_load_n(count + i, n - i))), n - i);
}

void VNAME(avg_pool)(const struct pool_params *p, const void *in, void *out, size_t planes)
{
    float line[LINE + SLACK], count[LINE];
    bool padded = p->count_include_pad;
    if (!fits(p)) {
        k_f32_avg_pool_c(p, in, out, planes);
        return;
    }
    struct axes a = axes_of(p);
    const float *x = in;
    float *y = out;
    for (int64_t o = 0; o < a.out_w; o++)
        count[o] = tap_count(o, a.sw, a.pw, a.kw, a.dw, a.in_w, padded, a.pw_end);
    line_fill(line, line_length(&a) + SLACK, 0.0f);
    for (size_t c = 0; c < planes; c++, x += a.in_h * a.in_w)
        for (int64_t oh = 0; oh < a.out_h; oh++, y += a.out_w) {
            float rows = tap_count(oh, a.sh, a.ph, a.kh, a.dh, a.in_h, padded, a.ph_end);
            if (fold_rows(step_add, &a, x, oh, line))
                fold_across(step_add, &a, line, y, 0.0f);
            else
                line_fill(y, a.out_w, 0.0f);
            divide(y, count, rows, (size_t)a.out_w);
        }
}
