/* Convolutions: kernels alone, and plans of every kind against the plain loops. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkkern.h"
#include "kern/conv_index.h"
#include "kern/gemm_epi.h"

static float *floats(struct ck *c, int64_t n, enum ck_fill fill)
{
    float *p = ck_alloc(c, (size_t)n * sizeof(float), sizeof(float));
    ck_fill_f32(c, p, (size_t)n, fill);
    return p;
}

/* Random shape of the spatial axes; out is at least 1 an axis. */
static void random_axes(struct ck *c, struct conv_params *p, int64_t largest)
{
    for (int i = 0; i < p->rank; i++) {
        p->kernel[i] = 1 + ck_below(c, p->rank == 3 ? 3 : 5);
        p->stride[i] = 1 + ck_below(c, 3) % 3;
        p->dilation[i] = ck_below(c, 3) ? 1 : 2;
        p->pad[i] = ck_below(c, 4) - (ck_below(c, 8) == 0);
        p->in[i] = 1 + ck_below(c, largest);
        int64_t span = (p->kernel[i] - 1) * p->dilation[i] + 1, room = p->in[i] + p->pad[i] + ck_below(c, 3);
        while (room < span) {
            room++;
            p->in[i]++;
        }
        p->out[i] = (room - span) / p->stride[i] + 1;
    }
}

static struct conv_params random_params(struct ck *c)
{
    struct conv_params p = {.n = 1 + ck_below(c, 2), .groups = 1, .rank = 1 + (int)ck_below(c, 3)};
    random_axes(c, &p, p.rank == 3 ? 8 : p.rank == 2 ? 20 : 60);
    p.groups = ck_below(c, 3) ? 1 : 1 + ck_below(c, 3);
    p.ci = p.groups * (1 + ck_below(c, ck_below(c, 4) ? 6 : 60));
    p.co = p.groups * (1 + ck_below(c, 40));
    if (ck_below(c, 4) == 0) { /* pointwise */
        for (int i = 0; i < p.rank; i++) {
            p.kernel[i] = p.stride[i] = p.dilation[i] = 1;
            p.pad[i] = 0;
            p.out[i] = p.in[i];
        }
    }
    return p;
}

static int64_t volume(const int64_t *d, int rank)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= d[i];
    return n;
}

static const char *describe(const struct conv_params *p, const char *name)
{
    static char text[200];
    int n = snprintf(text, sizeof text, "%s n%ld ci%ld co%ld g%ld", name, (long)p->n, (long)p->ci,
                     (long)p->co, (long)p->groups);
    for (int i = 0; i < p->rank; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " [in%ld k%ld s%ld d%ld p%ld out%ld]",
                      (long)p->in[i], (long)p->kernel[i], (long)p->stride[i], (long)p->dilation[i],
                      (long)p->pad[i], (long)p->out[i]);
    return text;
}

struct operands {
    const float *x, *w, *bias, *res;
    int64_t outputs;
};

static struct operands random_operands(struct ck *c, const struct conv_params *p, enum ck_fill fill)
{
    struct operands o;
    int64_t in = volume(p->in, p->rank);
    o.outputs = p->n * p->co * volume(p->out, p->rank);
    o.x = floats(c, p->n * p->ci * in, fill);
    o.w = floats(c, p->ci / p->groups * p->co * volume(p->kernel, p->rank), fill);
    o.bias = ck_below(c, 3) ? floats(c, p->co, FILL_UNIFORM) : NULL;
    o.res = ck_below(c, 3) ? NULL : floats(c, o.outputs, FILL_UNIFORM);
    return o;
}

/* The plain loops of the reference table, then the epilogue. */
static float *expected(struct ck *c, const struct conv_params *p, bool transposed, const struct operands *o,
                       enum gemm_act act)
{
    float *y = ck_alloc(c, (size_t)o->outputs * 4, 4);
    struct gemm_epi e;
    gemm_epi_init(&e);
    e.act = act;
    e.res = o->res;
    e.lo = -0.5f;
    e.hi = 0.5f;
    conv_ref_run(&c->ref, DT_FLOAT, p, transposed, o->x, o->w, o->bias, y, NULL);
    for (int64_t i = 0; i < o->outputs; i++)
        y[i] = epi_value(&e, y[i], 0, i);
    return y;
}

static void one_conv(struct ck *c, const struct kern *k, const struct conv_params *p, bool transposed,
                     bool any_size, struct pool *pool)
{
    struct conv_plan plan;
    struct operands o = random_operands(c, p, FILL_UNIFORM);
    enum gemm_act act = (enum gemm_act)ck_below(c, 3);
    bool ok = transposed ? conv_t_f32_plan(k, p, 2, &plan) : conv_f32_plan(k, p, any_size, 2, &plan);
    if (!ok) {
        ck_fail(c, "%s: no plan", describe(p, "plan"));
        return;
    }
    void *w = ck_alloc(c, plan.weight_bytes, 64);
    if (transposed)
        conv_t_f32_pack(k, &plan, o.w, w);
    else
        conv_f32_pack(k, &plan, o.w, w);
    float *want = expected(c, p, transposed, &o, act);
    ck_seal(c);
    size_t bytes = (size_t)o.outputs * 4;
    struct conv_io io = {.x = o.x, .w = w, .bias = o.bias, .res = o.res, .act = act, .lo = -0.5f, .hi = 0.5f};
    float *y[2];
    for (int i = 0; i < 2; i++) {
        void *scratch = ck_alloc(c, plan.scratch_bytes, 64);
        io.y = y[i] = ck_alloc(c, bytes, 4);
        (transposed ? conv_t_f32 : conv_f32)(k, &plan, &io, i ? pool : NULL, scratch);
    }
    double sums = (double)(p->ci / p->groups * volume(p->kernel, p->rank) + 4);
    const char *what = describe(p, plan.name);
    ck_near(c, y[0], want, (size_t)o.outputs, sums * 0x1p-22, 1e-5, what);
    ck_same(c, y[1], y[0], bytes, "with threads");
    ck_done(c);
}

static void many_convs(struct ck *c)
{
    struct pool *pool = pool_new(2);
    for (int i = 0; i < (c->quick ? 60 : 400); i++) {
        struct conv_params p = random_params(c);
        one_conv(c, i % 2 ? &c->var : &c->full, &p, i % 4 == 3, ck_below(c, 3) == 0, pool);
    }
    pool_free(pool);
}

static struct conv_params three(struct conv_params p)
{
    struct conv_params q = p;
    for (int i = 0; i < CONV_RANK; i++) {
        int from = i - (CONV_RANK - p.rank);
        q.in[i] = from >= 0 ? p.in[from] : 1;
        q.out[i] = from >= 0 ? p.out[from] : 1;
        q.kernel[i] = from >= 0 ? p.kernel[from] : 1;
        q.stride[i] = from >= 0 ? p.stride[from] : 1;
        q.dilation[i] = from >= 0 ? p.dilation[from] : 1;
        q.pad[i] = from >= 0 ? p.pad[from] : 0;
    }
    q.rank = CONV_RANK;
    return q;
}

/* Element (kk, pixel) of the image's matrix, straight from the definition. */
static float image_at(const struct im2col *g, int64_t kk, int64_t pixel)
{
    const struct conv_params *p = g->p;
    int64_t tap = kk / g->ci, at = kk % g->ci;
    int64_t t[3] = {tap / p->kernel[2] / p->kernel[1], tap / p->kernel[2] % p->kernel[1], tap % p->kernel[2]};
    int64_t o[3] = {pixel / p->out[2] / p->out[1], pixel / p->out[2] % p->out[1], pixel % p->out[2]};
    for (int ax = 0; ax < 3; ax++) {
        int64_t pos = conv_pos(p, ax, o[ax], t[ax]);
        if (!conv_inside(p, ax, pos))
            return 0.0f;
        at = at * p->in[ax] + pos;
    }
    return g->x[at];
}

static void check_im2col(struct ck *c)
{
    static const int widths[] = {8, 13, 14, 32, 6, 11, 16, 4};
    for (int i = 0; i < (c->quick ? 200 : 2000); i++) {
        struct conv_params q = random_params(c), p = three(q);
        int64_t ci = p.ci / p.groups, kdim = ci * conv_taps(&p), pixels = conv_out_plane(&p);
        int width = widths[ck_below(c, 8)];
        struct im2col g = {&p, floats(c, ci * conv_in_plane(&p), FILL_UNIFORM), ci};
        int64_t k0 = ck_below(c, kdim), k1 = k0 + 1 + ck_below(c, kdim - k0), pix0 = ck_below(c, pixels);
        int npix = (int)(pixels - pix0 < width ? pixels - pix0 : width);
        ck_seal(c);
        size_t bytes = (size_t)((k1 - k0) * width) * 4;
        float *got = ck_alloc(c, bytes, 4), *want = ck_alloc(c, bytes, 4);
        c->var.conv.im2col(&g, k0, k1, pix0, npix, width, got);
        for (int64_t kk = k0; kk < k1; kk++)
            for (int j = 0; j < width; j++)
                want[(kk - k0) * width + j] = j < npix ? image_at(&g, kk, pix0 + j) : 0.0f;
        ck_same(c, got, want, bytes, describe(&p, "im2col"));
        ck_done(c);
    }
    many_convs(c);
}

static void check_dw(struct ck *c)
{
    static const int kernels[] = {1, 3, 3, 3, 5, 7, 2};
    struct pool *pool = pool_new(2);
    for (int i = 0; i < (c->quick ? 100 : 600); i++) {
        struct conv_params p = {.n = 1 + ck_below(c, 2), .groups = 2 + ck_below(c, 4), .rank = 2};
        random_axes(c, &p, 50);
        if (i % 2) { /* what models have: square, "same" padding */
            int k = kernels[ck_below(c, 7)], s = 1 + (int)ck_below(c, 2);
            for (int ax = 0; ax < 2; ax++) {
                p.kernel[ax] = k;
                p.stride[ax] = s;
                p.dilation[ax] = 1;
                p.pad[ax] = k / 2;
                p.in[ax] = 1 + ck_size(c, 16) % 120;
                p.out[ax] = (p.in[ax] + 2 * (k / 2) - k) / s + 1;
            }
        }
        p.ci = p.groups;
        p.co = p.groups * (1 + ck_below(c, 2));
        one_conv(c, i % 2 ? &c->var : &c->full, &p, false, i % 4 > 0,
                 pool); /* of known sizes: perhaps in blocks */
    }
    pool_free(pool);
}

/* The sum for output (q, o), from the definition of the transposed or the plain convolution. */
static double point(const struct conv_params *p, bool transposed, const double *x, const double *w, int64_t q,
                    const int64_t o[3])
{
    int64_t cig = p->ci / p->groups, cog = p->co / p->groups, co = q % p->co, taps = conv_taps(p);
    double s = 0;
    for (int64_t i = 0; i < cig * taps; i++) {
        int64_t c = i / taps, tap = i % taps, at = 0;
        int64_t t[3] = {tap / p->kernel[2] / p->kernel[1], tap / p->kernel[2] % p->kernel[1],
                        tap % p->kernel[2]};
        bool hit = true;
        for (int ax = 0; ax < 3; ax++) {
            int64_t pos =
                transposed ? o[ax] + p->pad[ax] - t[ax] * p->dilation[ax] : conv_pos(p, ax, o[ax], t[ax]);
            if (transposed) {
                hit = hit && pos >= 0 && pos % p->stride[ax] == 0;
                pos /= p->stride[ax];
            }
            hit = hit && conv_inside(p, ax, pos);
            at = at * p->in[ax] + pos;
        }
        int64_t ic = co / cog * cig + c;
        if (hit)
            s += x[(q / p->co * p->ci + ic) * conv_in_plane(p) + at] *
                 w[(transposed ? ic * cog + co % cog : co * cig + c) * taps + tap];
    }
    return s;
}

/* Small whole numbers: exact in every float type. */
static void *whole_numbers(struct ck *c, enum dtype dt, int64_t n, double *copy)
{
    char *p = ck_alloc(c, (size_t)n * dtype_size(dt), dtype_size(dt));
    for (int64_t i = 0; i < n; i++) {
        copy[i] = (double)(ck_below(c, 15) - 7);
        dtype_info(dt)->store_f64(p + (size_t)i * dtype_size(dt), copy[i]);
    }
    return p;
}

static void check_ref(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    bool transposed = strstr(c->row->slot, "ref_t") != NULL;
    for (int i = 0; i < (c->quick ? 20 : 100); i++) {
        struct conv_params q = random_params(c);
        q.co = q.groups * (1 + ck_below(c, 3));
        q.ci = q.groups * (1 + ck_below(c, 3));
        struct conv_params p = three(q);
        int64_t nx = p.n * p.ci * conv_in_plane(&p), nw = p.ci / p.groups * p.co * conv_taps(&p);
        int64_t plane = conv_out_plane(&p);
        double *xd = malloc((size_t)(nx + nw) * sizeof *xd);
        void *x = whole_numbers(c, dt, nx, xd), *w = whole_numbers(c, dt, nw, xd + nx);
        ck_seal(c);
        char *y = ck_alloc(c, (size_t)(p.n * p.co * plane) * dtype_size(dt), 8);
        conv_ref_run(&c->var, dt, &q, transposed, x, w, NULL, y, NULL);
        for (int64_t j = 0; j < p.n * p.co * plane; j++) {
            int64_t o[3] = {j % plane / p.out[2] / p.out[1], j / p.out[2] % p.out[1], j % p.out[2]};
            double want = point(&p, transposed, xd, xd + nx, j / plane, o);
            double got = dtype_info(dt)->load_f64(y + (size_t)j * dtype_size(dt));
            if (got != want) {
                ck_fail(c, "%s: output %ld is %g, expected %g", describe(&p, "ref"), (long)j, got, want);
                break;
            }
        }
        free(xd);
        ck_done(c);
    }
}

struct bench {
    const struct kern *k;
    struct conv_plan plan;
    struct conv_io io;
    void *scratch;
    bool transposed;
};

static void bench_call(void *arg)
{
    struct bench *b = arg;
    (b->transposed ? conv_t_f32 : conv_f32)(b->k, &b->plan, &b->io, NULL, b->scratch);
}

/* Square images, "same" padding. */
static void bench_shape(struct ck *c, int64_t ci, int64_t co, int64_t groups, int64_t size, int64_t kernel,
                        int64_t stride)
{
    int64_t out = (size + 2 * (kernel / 2) - kernel) / stride + 1;
    struct conv_params p = {1,
                            ci,
                            co,
                            groups,
                            2,
                            {size, size},
                            {out, out},
                            {kernel, kernel},
                            {stride, stride},
                            {1, 1},
                            {kernel / 2, kernel / 2}};
    struct bench b = {.k = &c->full};
    char what[80];
    struct operands o = random_operands(c, &p, FILL_UNIFORM);
    if (!conv_f32_plan(b.k, &p, groups > 1, 1, &b.plan))
        return;
    void *w = ck_alloc(c, b.plan.weight_bytes, 64);
    conv_f32_pack(b.k, &b.plan, o.w, w);
    b.io = (struct conv_io){.x = o.x, .w = w, .bias = o.bias, .act = ACT_RELU};
    b.io.y = ck_alloc(c, (size_t)o.outputs * 4, 64);
    b.scratch = ck_alloc(c, b.plan.scratch_bytes, 64);
    snprintf(what, sizeof what, "%ldx%ld %ld->%ld %ldx%ld/%ld %s", (long)size, (long)size, (long)ci, (long)co,
             (long)kernel, (long)kernel, (long)stride, b.plan.name);
    ck_bench(c, what, 2.0 * (double)(o.outputs * ci / groups * kernel * kernel), 0, bench_call, &b);
    ck_done(c);
}

static void bench_conv(struct ck *c)
{
    bench_shape(c, 3, 64, 1, 224, 7, 2);
    bench_shape(c, 64, 64, 1, 56, 3, 1);
    bench_shape(c, 64, 256, 1, 56, 1, 1);
    bench_shape(c, 256, 64, 1, 56, 1, 1);
    bench_shape(c, 128, 128, 1, 56, 3, 2);
    bench_shape(c, 128, 128, 1, 28, 3, 1);
    bench_shape(c, 512, 128, 1, 28, 1, 1);
    bench_shape(c, 256, 256, 1, 28, 3, 2);
    bench_shape(c, 256, 256, 1, 14, 3, 1);
    bench_shape(c, 1024, 256, 1, 14, 1, 1);
    bench_shape(c, 512, 512, 1, 7, 3, 1);
    bench_shape(c, 2048, 512, 1, 7, 1, 1);
    bench_shape(c, 512, 2048, 1, 7, 1, 1);
    bench_shape(c, 256, 512, 1, 56, 1, 2);
}

static void bench_dw(struct ck *c)
{
    bench_shape(c, 32, 32, 32, 112, 3, 1);
    bench_shape(c, 96, 96, 96, 112, 3, 2);
    bench_shape(c, 144, 144, 144, 56, 3, 1);
    bench_shape(c, 144, 144, 144, 56, 3, 2);
    bench_shape(c, 384, 384, 384, 14, 3, 1);
    bench_shape(c, 576, 576, 576, 14, 5, 1);
    bench_shape(c, 960, 960, 960, 7, 3, 1);
}

const struct check check_conv[] = {
    {"conv.im2col", check_im2col, bench_conv},
    {"conv.dw", check_dw, bench_dw},
    {"conv.ref*", check_ref, NULL},
    {NULL, NULL, NULL},
};
