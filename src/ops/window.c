/* Extents of sliding windows: pads, auto_pad, dilation, ceil_mode. */
#include "ops/window.h"

#include <string.h>

int window_list(struct cx *cx, const struct node *n, const char *name, int64_t lo, int cap, int64_t *out,
                int *count)
{
    const int64_t *v = NULL;
    size_t len = 0;
    *count = 0;
    int r = attr_ints(cx, n, name, &v, &len);
    if (r <= 0)
        return r;
    if (len > (size_t)cap)
        return err_set(cx, E_ATTR, "attribute %s has %zu values, at most %d are supported", name, len, cap);
    for (size_t i = 0; i < len; i++) {
        if (v[i] < lo || v[i] > INT32_MAX)
            return err_set(cx, E_ATTR, "attribute %s: %lld is out of range", name, (long long)v[i]);
        out[i] = v[i];
    }
    *count = (int)len;
    return 0;
}

int window_parse(struct cx *cx, const struct node *n, struct window *w)
{
    static const char *const pads[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "", NULL};
    int choice = AUTO_PAD_NOTSET;
    int r = attr_choice(cx, n, "auto_pad", pads, &choice);
    if (r < 0)
        return r;
    w->auto_pad = choice > AUTO_PAD_VALID ? AUTO_PAD_NOTSET : (enum auto_pad)choice;
    r = window_list(cx, n, "kernel_shape", 1, WINDOW_RANK, w->kernel, &w->nkernel);
    if (!r)
        r = window_list(cx, n, "strides", 1, WINDOW_RANK, w->stride, &w->nstride);
    if (!r)
        r = window_list(cx, n, "dilations", 1, WINDOW_RANK, w->dilation, &w->ndilation);
    if (!r)
        r = window_list(cx, n, "pads", 0, 2 * WINDOW_RANK, w->pads, &w->npads);
    return r;
}

static int check_count(struct infer_ctx *ic, const char *name, int have, int want)
{
    if (!have || have == want)
        return 0;
    return ic_err(ic, E_SHAPE, "attribute %s has %d values, expected %d", name, have, want);
}

int window_check(struct infer_ctx *ic, const struct window *w, int spatial)
{
    if (spatial > WINDOW_RANK)
        return ic_err(ic, E_UNSUPPORTED, "%d spatial axes, at most %d are supported", spatial, WINDOW_RANK);
    int r = check_count(ic, "kernel_shape", w->nkernel, spatial);
    if (!r)
        r = check_count(ic, "strides", w->nstride, spatial);
    if (!r)
        r = check_count(ic, "dilations", w->ndilation, spatial);
    if (!r)
        r = check_count(ic, "pads", w->npads, 2 * spatial);
    return r;
}

/* Extent that one window covers. */
static int64_t span(const struct window *w, int i, int64_t kernel)
{
    return (kernel - 1) * window_dilation(w, i) + 1;
}

static bool same_pad(const struct window *w)
{
    return w->auto_pad == AUTO_PAD_SAME_UPPER || w->auto_pad == AUTO_PAD_SAME_LOWER;
}

static int64_t explicit_pad(const struct window *w, int i)
{
    return w->npads && w->auto_pad == AUTO_PAD_NOTSET ? w->pads[i] : 0;
}

bool window_axis(const struct window *w, int spatial, int i, int64_t in, int64_t kernel, bool ceil_mode,
                 int64_t pad[2], int64_t *out)
{
    int64_t s = window_stride(w, i);
    if (kernel < 1 || kernel > INT32_MAX || in < 0 || in > INT64_MAX / 4)
        return false;
    if (same_pad(w)) {
        *out = in / s + (in % s != 0);
        int64_t total = (*out - 1) * s + span(w, i, kernel) - in;
        total = total > 0 ? total : 0;
        pad[0] = w->auto_pad == AUTO_PAD_SAME_LOWER ? total - total / 2 : total / 2;
        pad[1] = total - pad[0];
        return true;
    }
    pad[0] = explicit_pad(w, i);
    pad[1] = explicit_pad(w, spatial + i);
    int64_t room = in + pad[0] + pad[1] - span(w, i, kernel);
    if (room < 0)
        return false;
    *out = room / s + 1;
    if (ceil_mode && room % s && *out * s < in + pad[0])
        ++*out; /* unless that window would start in the end padding */
    return true;
}

static int exact_out_dim(struct infer_ctx *ic, const struct window *w, int spatial, int i, int64_t in,
                         int64_t kernel, bool ceil_mode, struct dim *out)
{
    int64_t pad[2], n;
    if (!window_axis(w, spatial, i, in, kernel, ceil_mode, pad, &n))
        return ic_err(ic, E_SHAPE, "a window of %lld does not fit into the padded extent of axis %d (%lld)",
                      (long long)kernel, i + 2, (long long)in);
    *out = dim_const(n);
    return 0;
}

static struct dim span_dim(struct symtab *t, const struct window *w, int i, struct dim kernel)
{
    struct dim steps = dim_sub(t, kernel, dim_const(1));
    return dim_add(t, dim_mul(t, steps, dim_const(window_dilation(w, i))), dim_const(1));
}

int window_out_dim(struct infer_ctx *ic, const struct window *w, int spatial, int i, struct dim in,
                   struct dim kernel, bool ceil_mode, struct dim *out)
{
    *out = dim_unknown();
    if (in.kind == DIM_CONST && kernel.kind == DIM_CONST)
        return exact_out_dim(ic, w, spatial, i, in.v, kernel.v, ceil_mode, out);
    struct symtab *t = ic->syms;
    struct dim s = dim_const(window_stride(w, i));
    if (same_pad(w)) {
        *out = dim_div_ceil(t, in, s);
        return 0;
    }
    if (in.kind == DIM_UNKNOWN || (kernel.kind == DIM_CONST && (kernel.v < 1 || kernel.v > INT32_MAX)))
        return 0;
    int64_t before = explicit_pad(w, i), after = explicit_pad(w, spatial + i);
    struct dim room = dim_sub(t, dim_add(t, in, dim_const(before + after)), span_dim(t, w, i, kernel));
    *out = dim_add(t, ceil_mode ? dim_div_ceil(t, room, s) : dim_div_floor(t, room, s), dim_const(1));
    if (ceil_mode)
        *out = dim_min(t, *out, dim_div_ceil(t, dim_add(t, in, dim_const(before)), s));
    return 0;
}
