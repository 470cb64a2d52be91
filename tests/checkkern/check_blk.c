/* The blocked layout: plans of every kind against the plain loops, pooling against the plain kernels. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checkkern.h"
#include "kern/gemm_epi.h"

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static float *floats(struct ck *c, int64_t n, enum ck_fill fill)
{
    float *p = ck_alloc(c, (size_t)n * sizeof(float), sizeof(float));
    ck_fill_f32(c, p, (size_t)n, fill);
    return p;
}

static void random_axis(struct ck *c, struct conv_params *p, int ax, bool usual)
{
    static const int kernels[] = {1, 3, 3, 5, 7, 2};
    p->kernel[ax] = usual ? kernels[ck_below(c, 6)] : 1 + ck_below(c, 6);
    p->stride[ax] = 1 + ck_below(c, usual ? 2 : 4);
    p->dilation[ax] = usual || ck_below(c, 3) ? 1 : 2;
    p->pad[ax] = usual ? p->kernel[ax] / 2 : ck_below(c, 6) - (ck_below(c, 8) == 0);
    p->in[ax] = 1 + ck_below(c, 40);
    int64_t span = (p->kernel[ax] - 1) * p->dilation[ax] + 1, end = usual ? p->pad[ax] : ck_below(c, 4);
    p->in[ax] = max_i64(p->in[ax], span - p->pad[ax] - end);
    p->out[ax] = (p->in[ax] + p->pad[ax] + end - span) / p->stride[ax] + 1;
}

static struct conv_params random_image(struct ck *c)
{
    struct conv_params p = {.n = 1 + ck_below(c, 2), .groups = 1, .rank = 2};
    bool usual = ck_below(c, 2);
    random_axis(c, &p, 0, usual);
    random_axis(c, &p, 1, usual);
    if (ck_below(c, 4) == 0)
        for (int i = 0; i < 2; i++) {
            p.kernel[i] = p.stride[i] = p.dilation[i] = 1;
            p.pad[i] = 0;
            p.out[i] = p.in[i];
        }
    return p;
}

static int64_t plane_of(const int64_t *d)
{
    return d[0] * d[1];
}

static const char *describe(const struct conv_params *p, const char *name)
{
    static char text[200];
    int n = snprintf(text, sizeof text, "%s n%ld ci%ld co%ld g%ld", name, (long)p->n, (long)p->ci,
                     (long)p->co, (long)p->groups);
    for (int i = 0; i < 2; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " [in%ld k%ld s%ld d%ld p%ld out%ld]",
                      (long)p->in[i], (long)p->kernel[i], (long)p->stride[i], (long)p->dilation[i],
                      (long)p->pad[i], (long)p->out[i]);
    return text;
}

/* x in blocks; what fills the last one up is poison that must not be read into a result. */
static float *blocked(struct ck *c, const struct kern *k, const float *x, int64_t n, int64_t channels,
                      int64_t plane, float filling)
{
    int block = k->blk.conv->block;
    int64_t all = blk_round(channels, block);
    float *y = ck_alloc(c, (size_t)(n * all * plane) * 4, 64);
    blk_from_plain(k, x, y, n, channels, plane, NULL);
    for (int64_t i = 0; i < n; i++)
        for (int64_t ch = channels; ch < all; ch++)
            for (int64_t at = 0; at < plane; at++)
                y[((i * all + ch - ch % block) * plane) + at * block + ch % block] = filling;
    return y;
}

static void negate(float *y, int64_t n, const void *arg)
{
    (void)arg;
    for (int64_t i = 0; i < n; i++)
        y[i] = -y[i];
}

struct job {
    struct conv_params p;
    const float *x, *w, *bias, *res;
    enum gemm_act act;
    bool plain, post;
    float *want;
};

static struct job random_job(struct ck *c, struct conv_params p, int block)
{
    struct job j = {.p = p, .act = (enum gemm_act)ck_below(c, 4), .post = ck_below(c, 4) == 0};
    int64_t outputs = p.n * p.co * plane_of(p.out), fill = blk_round(p.co, block);
    struct gemm_epi e = {.act = j.act, .lo = -0.5f, .hi = 0.5f};
    j.plain = p.groups == 1 && ck_below(c, 3) == 0;
    j.x = floats(c, p.n * p.ci * plane_of(p.in), FILL_UNIFORM);
    j.w = floats(c, p.co * (p.ci / p.groups) * plane_of(p.kernel), FILL_UNIFORM);
    j.bias = ck_below(c, 3) ? floats(c, fill, FILL_UNIFORM) : NULL;
    j.res = ck_below(c, 3) ? NULL : floats(c, outputs, FILL_UNIFORM);
    j.want = ck_alloc(c, (size_t)outputs * 4, 4);
    conv_ref_run(&c->ref, DT_FLOAT, &p, false, j.x, j.w, j.bias, j.want, NULL);
    for (int64_t i = 0; i < outputs; i++) {
        j.want[i] = epi_act(&e, j.want[i] + (j.res ? j.res[i] : 0.0f));
        j.want[i] = j.post ? -j.want[i] : j.want[i];
    }
    return j;
}

static void one_conv(struct ck *c, const struct kern *k, const struct conv_params *p, struct pool *pool)
{
    struct blk_plan plan;
    int block = k->blk.conv->block;
    struct job j = random_job(c, *p, block);
    int64_t in = plane_of(p->in), out = plane_of(p->out), all = blk_round(p->co, block);
    if (!blk_takes(k, p) || !blk_conv_plan(k, p, j.plain, &plan)) {
        ck_fail(c, "%s: no plan", describe(p, "plan"));
        return;
    }
    void *w = ck_alloc(c, plan.weight_bytes, 64);
    blk_conv_pack(k, &plan, j.w, w);
    struct blk_io io = {.w = w, .bias = j.bias, .act = j.act, .lo = -0.5f, .hi = 0.5f};
    io.x = j.plain ? j.x : blocked(c, k, j.x, p->n, p->ci, in, NAN);
    io.res = j.res ? blocked(c, k, j.res, p->n, p->co, out, 0) : NULL;
    io.post = j.post ? negate : NULL;
    ck_seal(c);
    size_t bytes = (size_t)(p->n * all * out) * 4;
    float *y[2];
    for (int i = 0; i < 2; i++) {
        void *scratch = ck_alloc(c, plan.scratch_bytes, 64);
        io.y = y[i] = ck_alloc(c, bytes, 64);
        blk_conv(k, &plan, &io, i ? pool : NULL, scratch);
    }
    float *got = ck_alloc(c, (size_t)(p->n * p->co * out) * 4, 4);
    blk_to_plain(k, y[0], got, p->n, p->co, out, pool);
    double sums = (double)(p->ci / p->groups * plane_of(p->kernel) + 4);
    ck_near(c, got, j.want, (size_t)(p->n * p->co * out), sums * 0x1p-22, 1e-5, describe(p, plan.name));
    if (!plan.depthwise || p->co % block == 0) /* filling channels may be NaN of any sign */
        ck_same(c, y[1], y[0], bytes, "with threads");
    ck_done(c);
}

static void one_transposed(struct ck *c, const struct kern *k, struct pool *pool)
{
    struct conv_params p = {.n = 1 + ck_below(c, 2), .groups = 1, .rank = 2};
    struct blk_plan plan;
    p.ci = 1 + ck_below(c, 70);
    p.co = 1 + ck_below(c, 70);
    for (int i = 0; i < 2; i++) {
        p.in[i] = 1 + ck_below(c, 20);
        p.kernel[i] = p.stride[i] = 1 + ck_below(c, 3);
        p.dilation[i] = 1;
        p.out[i] = p.in[i] * p.stride[i];
    }
    int64_t in = plane_of(p.in), out = plane_of(p.out), all = blk_round(p.co, k->blk.conv->block);
    float *x = floats(c, p.n * p.ci * in, FILL_UNIFORM), *bias = floats(c, all, FILL_UNIFORM);
    float *w = floats(c, p.ci * p.co * plane_of(p.kernel), FILL_UNIFORM);
    size_t count = (size_t)(p.n * p.co * out);
    float *want = ck_alloc(c, count * 4, 4), *got = ck_alloc(c, count * 4, 4), *y[2];
    conv_ref_run(&c->ref, DT_FLOAT, &p, true, x, w, bias, want, NULL);
    if (!blk_conv_t_takes(&p) || !blk_conv_t_plan(k, &p, &plan)) {
        ck_fail(c, "%s: no plan", describe(&p, "transposed"));
        return;
    }
    void *packed = ck_alloc(c, plan.weight_bytes, 64);
    blk_conv_t_pack(k, &plan, w, packed);
    struct blk_io io = {.x = blocked(c, k, x, p.n, p.ci, in, NAN), .w = packed, .bias = bias};
    for (int i = 0; i < 2; i++) {
        io.y = y[i] = ck_alloc(c, (size_t)(p.n * all * out) * 4, 64);
        blk_conv_t(k, &plan, &io, i ? pool : NULL);
    }
    blk_to_plain(k, y[0], got, p.n, p.co, out, NULL);
    ck_near(c, got, want, count, (double)(p.ci + 2) * 0x1p-22, 1e-5, describe(&p, plan.name));
    ck_same(c, y[1], y[0], (size_t)(p.n * all * out) * 4, "transposed with threads");
    ck_done(c);
}

static void run_conv(struct ck *c)
{
    struct pool *pool = pool_new(2);
    int block = c->full.blk.conv->block;
    for (int i = 0; i < (c->quick ? 60 : 400); i++) {
        struct conv_params p = random_image(c);
        p.groups = ck_below(c, 4) ? 1 : 2;
        p.ci = p.groups == 1 ? 1 + ck_below(c, ck_below(c, 4) ? 40 : 150) : 2 * block;
        p.co = p.groups == 1 ? 1 + ck_below(c, 120) : 2 * block * (1 + ck_below(c, 4));
        one_conv(c, i % 2 ? &c->var : &c->full, &p, pool);
    }
    /* input channels in several ranges */
    struct conv_params p = {2, 530, 40, 1, 2, {3, 9}, {3, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}};
    one_conv(c, &c->full, &p, pool);
    for (int i = 0; i < 40; i++)
        one_transposed(c, i % 2 ? &c->var : &c->full, pool);
    pool_free(pool);
}

static void run_dw(struct ck *c)
{
    struct pool *pool = pool_new(2);
    for (int i = 0; i < (c->quick ? 60 : 400); i++) {
        struct conv_params p = random_image(c);
        p.groups = p.ci = p.co = 2 + ck_below(c, 40);
        one_conv(c, &c->full, &p, pool);
    }
    pool_free(pool);
}

/* ---- pooling ---- */

static void run_pool(struct ck *c)
{
    const struct kern *k = &c->full;
    bool max = strstr(c->row->slot, "max") != NULL;
    for (int i = 0; i < (c->quick ? 60 : 300); i++) {
        struct conv_params p = random_image(c);
        p.pad[0] = max_i64(p.pad[0], 0), p.pad[1] = max_i64(p.pad[1], 0);
        for (int ax = 0; ax < 2; ax++)
            p.out[ax] =
                (p.in[ax] + 2 * p.pad[ax] - ((p.kernel[ax] - 1) * p.dilation[ax] + 1)) / p.stride[ax] + 1;
        if (p.out[0] < 1 || p.out[1] < 1)
            continue;
        p.ci = p.co = p.groups = 1 + ck_below(c, 40);
        int64_t in = plane_of(p.in), out = plane_of(p.out), all = blk_round(p.ci, k->blk.conv->block);
        struct pool_params q = {.rank = 2, .count_include_pad = ck_below(c, 2)};
        for (int ax = 0; ax < 2; ax++) {
            q.in[ax] = p.in[ax], q.out[ax] = p.out[ax], q.kernel[ax] = p.kernel[ax];
            q.stride[ax] = p.stride[ax], q.dilation[ax] = p.dilation[ax];
            q.pad[ax] = q.pad_end[ax] = p.pad[ax];
        }
        float *x = floats(c, p.n * p.ci * in, max ? FILL_SPECIAL : FILL_UNIFORM);
        float *bx = blocked(c, k, x, p.n, p.ci, in, 0);
        ck_seal(c);
        size_t count = (size_t)(p.n * p.ci * out);
        float *want = ck_alloc(c, count * 4, 4), *got = ck_alloc(c, count * 4, 4);
        float *y = ck_alloc(c, (size_t)(p.n * all * out) * 4, 64);
        if (max)
            c->ref.pool.max[DT_FLOAT](&q, x, want, NULL, (size_t)(p.n * p.ci), 0);
        else
            c->ref.pool.avg[DT_FLOAT](&q, x, want, (size_t)(p.n * p.ci));
        blk_pool(k, &p, max ? c->var.blk.max_pool : c->var.blk.avg_pool, q.count_include_pad, q.pad_end, bx,
                 y, NULL);
        blk_to_plain(k, y, got, p.n, p.ci, out, NULL);
        ck_near(c, got, want, count, max ? 0 : 1e-6, max ? 0 : 1e-6, describe(&p, "pool"));
        float *scratch = ck_alloc(c, blk_pool_plain_scratch(k, &p) * 4, 64);
        float *again = ck_alloc(c, count * 4, 4);
        blk_pool_plain(k, &p, max ? c->var.blk.max_pool : c->var.blk.avg_pool, q.count_include_pad, q.pad_end,
                       x, again, p.n * p.ci, NULL, scratch);
        ck_same(c, again, got, count * 4, "plain planes through blocks");
        ck_done(c);
    }
}

/* ---- whole planes ---- */

static void run_planes(struct ck *c)
{
    int block = c->full.blk.conv->block;
    bool mean = strstr(c->row->slot, "mean") != NULL;
    for (int i = 0; i < 60; i++) {
        int64_t n = 1 + ck_size(c, 16);
        float *x = floats(c, n * block, FILL_UNIFORM), *scale = floats(c, block, FILL_UNIFORM);
        float *shift = ck_below(c, 2) ? floats(c, block, FILL_UNIFORM) : NULL;
        ck_seal(c);
        size_t count = (size_t)(mean ? block : n * block);
        float *y = ck_alloc(c, count * 4, 4), *want = ck_alloc(c, count * 4, 4);
        if (mean) {
            c->var.blk.mean(block, x, y, n);
            c->ref.blk.mean(block, x, want, n);
        } else {
            c->var.blk.scale(block, x, scale, shift, y, n);
            c->ref.blk.scale(block, x, scale, shift, want, n);
        }
        ck_near(c, y, want, count, 1e-6, 1e-6, mean ? "mean" : "scale");
        ck_done(c);
    }
}

/* ---- speed ---- */

struct bench {
    const struct kern *k;
    struct blk_plan plan;
    struct blk_io io;
    void *scratch;
};

static void bench_call(void *arg)
{
    struct bench *b = arg;
    blk_conv(b->k, &b->plan, &b->io, NULL, b->scratch);
}

/* Square images, "same" padding. */
static void bench_shape(struct ck *c, int64_t ci, int64_t co, int64_t groups, int64_t size, int64_t kernel,
                        int64_t stride)
{
    int64_t out = (size + 2 * (kernel / 2) - kernel) / stride + 1, pad = kernel / 2;
    struct conv_params p = {
        1,      ci,        co, groups, 2, {size, size}, {out, out}, {kernel, kernel}, {stride, stride},
        {1, 1}, {pad, pad}};
    struct bench b = {.k = &c->full};
    int block = b.k->blk.conv->block;
    char what[80];
    if (!blk_conv_plan(b.k, &p, ci < block, &b.plan))
        return;
    float *x = floats(c, blk_round(ci, block) * size * size, FILL_UNIFORM);
    float *w = floats(c, co * (ci / groups) * kernel * kernel, FILL_UNIFORM);
    void *packed = ck_alloc(c, b.plan.weight_bytes, 64);
    blk_conv_pack(b.k, &b.plan, w, packed);
    b.io = (struct blk_io){.x = x, .w = packed, .act = ACT_RELU};
    b.io.y = ck_alloc(c, (size_t)(blk_round(co, block) * out * out) * 4, 64);
    b.scratch = ck_alloc(c, b.plan.scratch_bytes, 64);
    snprintf(what, sizeof what, "%ldx%ld %ld->%ld %ldx%ld/%ld %s", (long)size, (long)size, (long)ci, (long)co,
             (long)kernel, (long)kernel, (long)stride, b.plan.name);
    ck_bench(c, what, 2.0 * (double)(co * out * out * (ci / groups) * kernel * kernel), 0, bench_call, &b);
    ck_done(c);
}

static void bench_conv(struct ck *c)
{
    bench_shape(c, 3, 64, 1, 224, 7, 2);
    bench_shape(c, 3, 32, 1, 224, 3, 2);
    bench_shape(c, 64, 64, 1, 56, 3, 1);
    bench_shape(c, 32, 32, 1, 256, 3, 1);
    bench_shape(c, 64, 64, 1, 128, 3, 1);
    bench_shape(c, 64, 256, 1, 56, 1, 1);
    bench_shape(c, 256, 64, 1, 56, 1, 1);
    bench_shape(c, 128, 128, 1, 56, 3, 2);
    bench_shape(c, 128, 128, 1, 28, 3, 1);
    bench_shape(c, 512, 128, 1, 28, 1, 1);
    bench_shape(c, 256, 256, 1, 14, 3, 1);
    bench_shape(c, 1024, 256, 1, 14, 1, 1);
    bench_shape(c, 256, 1024, 1, 14, 1, 1);
    bench_shape(c, 512, 512, 1, 7, 3, 1);
    bench_shape(c, 2048, 512, 1, 7, 1, 1);
    bench_shape(c, 512, 2048, 1, 7, 1, 1);
    bench_shape(c, 256, 512, 1, 56, 1, 2);
    bench_shape(c, 256, 256, 1, 32, 3, 1);
    bench_shape(c, 16, 96, 1, 112, 1, 1);
    bench_shape(c, 160, 960, 1, 7, 1, 1);
    bench_shape(c, 128, 16, 1, 55, 1, 1);
    bench_shape(c, 32, 128, 1, 27, 3, 1);
    bench_shape(c, 512, 1000, 1, 13, 1, 1);
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

struct bench_rows {
    const struct kern *k;
    struct conv_params p;
    blk_rows_fn *fn;
    const float *x;
    float *y;
};

static void rows_call(void *arg)
{
    static const int64_t end[2];
    struct bench_rows *b = arg;
    blk_pool(b->k, &b->p, b->fn, false, end, b->x, b->y, NULL);
}

static void bench_pool(struct ck *c)
{
    struct bench_rows b = {.k = &c->full};
    b.p = (struct conv_params){1, 64, 64, 64, 2, {112, 112}, {56, 56}, {3, 3}, {2, 2}, {1, 1}, {1, 1}};
    b.fn = strstr(c->row->slot, "max") ? b.k->blk.max_pool : b.k->blk.avg_pool;
    b.x = floats(c, 64 * 112 * 112, FILL_UNIFORM);
    b.y = ck_alloc(c, 64 * 56 * 56 * 4, 64);
    ck_bench(c, "112x112 64 3x3/2", 0, 4.0 * 64 * 112 * 112 * 1.25, rows_call, &b);
    ck_done(c);
}

struct bench_planes {
    const struct kern *k;
    const float *x, *scale;
    float *y;
    bool mean;
};

static void planes_call(void *arg)
{
    struct bench_planes *b = arg;
    int block = b->k->blk.conv->block;
    if (b->mean)
        b->k->blk.mean(block, b->x, b->y, 1024);
    else
        b->k->blk.scale(block, b->x, b->scale, b->scale, b->y, 1024);
}

static void bench_planes(struct ck *c)
{
    struct bench_planes b = {.k = &c->full, .mean = strstr(c->row->slot, "mean") != NULL};
    int block = b.k->blk.conv->block;
    b.x = floats(c, 1024 * block, FILL_UNIFORM);
    b.scale = floats(c, block, FILL_UNIFORM);
    b.y = ck_alloc(c, (size_t)(1024 * block) * 4, 64);
    ck_bench(c, "32x32", 0, 1024.0 * block * (b.mean ? 4 : 8), planes_call, &b);
    ck_done(c);
}

const struct check check_blk[] = {
    {"blk.conv", run_conv, bench_conv},     {"blk.dw", run_dw, bench_dw},
    {"blk.*_pool", run_pool, bench_pool},   {"blk.scale", run_planes, bench_planes},
    {"blk.mean", run_planes, bench_planes}, {NULL, NULL, NULL},
};
