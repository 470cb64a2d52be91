/* 8-bit convolutions: the depthwise kernel alone, and whole layers against their definition. */
#include <stdio.h>

#include "checkkern.h"
#include "kern/conv_i8.h"
#include "kern/conv_index.h"

static int32_t byte_at(const void *p, int64_t i, bool is_signed)
{
    return is_signed ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

static uint8_t *bytes(struct ck *c, int64_t n)
{
    uint8_t *p = ck_alloc(c, (size_t)n, 1);
    ck_fill_bytes(c, p, (size_t)n);
    for (int64_t i = 0; i < n && n % 3 == 0; i++)
        p[i] = p[i] & 1 ? 0x80 : 0x7f;
    return p;
}

static void check_kernel(struct ck *c)
{
    enum { TAPS = 12 };
    int64_t channels = ck_size(c, 32), n = ck_below(c, TAPS);
    struct dw_tap tap[TAPS];
    bool is_signed = ck_below(c, 2);
    int32_t xz = (int32_t)ck_below(c, 256) - (is_signed ? 128 : 0);
    for (int64_t t = 0; t < n; t++) {
        int16_t *w = ck_alloc(c, (size_t)channels * 2, 2);
        for (int64_t i = 0; i < channels; i++)
            w[i] = (int16_t)(ck_below(c, 511) - 255);
        tap[t] = (struct dw_tap){bytes(c, channels), w};
    }
    ck_seal(c);
    int32_t *got = ck_alloc(c, (size_t)channels * 4, 4), *want = ck_alloc(c, (size_t)channels * 4, 4);
    c->var.conv.dw_i8(tap, n, is_signed, xz, got, channels);
    for (int64_t i = 0; i < channels; i++) {
        want[i] = 0;
        for (int64_t t = 0; t < n; t++)
            want[i] += (byte_at(tap[t].x, i, is_signed) - xz) * tap[t].w[i];
    }
    ck_same(c, got, want, (size_t)channels * 4, "depthwise channels");
    ck_done(c);
}

static struct conv_params random_layer(struct ck *c)
{
    struct conv_params p = {.n = 1 + ck_below(c, 2), .groups = 1, .rank = 1 + (int)ck_below(c, 3)};
    p.groups = ck_below(c, 2) ? 1 : 1 + ck_below(c, 20);
    int64_t per = ck_below(c, 2) ? 1 : 1 + ck_below(c, 9);
    p.ci = p.groups * per;
    p.co = p.groups * (ck_below(c, 2) ? per : 1 + ck_below(c, 40));
    for (int i = 0; i < p.rank; i++) {
        p.kernel[i] = 1 + ck_below(c, 4);
        p.stride[i] = 1 + ck_below(c, 2);
        p.dilation[i] = ck_below(c, 3) ? 1 : 2;
        p.pad[i] = ck_below(c, 4) - (ck_below(c, 8) == 0);
        int64_t span = (p.kernel[i] - 1) * p.dilation[i] + 1;
        p.in[i] = span + 1 + ck_below(c, p.rank == 3 ? 4 : p.rank == 2 ? 14 : 300);
        p.out[i] = (p.in[i] + p.pad[i] + ck_below(c, 3) - span) / p.stride[i] + 1;
    }
    return p;
}

/* The sum of output element (image n, channel o, pixel i), for three axes. */
static int32_t one_sum(const struct conv_params *p, const struct conv_i8_io *io, const uint8_t *w, int64_t n,
                       int64_t o, int64_t i)
{
    int64_t cig = p->ci / p->groups, c0 = o / (p->co / p->groups) * cig, taps = conv_taps(p), sum = 0;
    int64_t ow = i % p->out[2], oh = i / p->out[2] % p->out[1], od = i / p->out[2] / p->out[1];
    for (int64_t t = 0; t < taps; t++) {
        int64_t x = conv_pos(p, 2, ow, t % p->kernel[2]);
        int64_t y = conv_pos(p, 1, oh, t / p->kernel[2] % p->kernel[1]);
        int64_t z = conv_pos(p, 0, od, t / p->kernel[2] / p->kernel[1]);
        if (!conv_inside(p, 0, z) || !conv_inside(p, 1, y) || !conv_inside(p, 2, x))
            continue;
        for (int64_t ch = 0; ch < cig; ch++) {
            int64_t at = (n * p->ci + c0 + ch) * conv_in_plane(p) + (z * p->in[1] + y) * p->in[2] + x;
            sum += (byte_at(io->x, at, io->x_signed) - io->xz) *
                   (byte_at(w, (o * cig + ch) * taps + t, io->w_signed) - io->wz[o * io->wz_step]);
        }
    }
    return (int32_t)sum;
}

static void compare(struct ck *c, const struct conv_i8_plan *plan, const struct conv_i8_io *io,
                    const uint8_t *w)
{
    const struct conv_params *p = &plan->p;
    int64_t pixels = conv_out_plane(p);
    for (int64_t k = 0; k < p->n * p->co * pixels; k++) {
        int64_t o = k / pixels % p->co;
        int32_t want = one_sum(p, io, w, k / pixels / p->co, o, k % pixels), got;
        if (io->y) {
            got = io->y[k];
        } else {
            uint8_t q;
            c->ref.quant.requantize[DT_UINT8](&want, io->bias + o, io->mult + (io->per_channel ? o : 0),
                                              false, io->yz, &q, 1, 1, 1);
            want = q;
            got = ((const uint8_t *)io->q)[k];
        }
        if (got != want) {
            ck_fail(c,
                    "n%ld ci%ld co%ld g%ld kernel %ldx%ldx%ld element %ld is %d, expected %d, %s, "
                    "signs %d %d",
                    (long)p->n, (long)p->ci, (long)p->co, (long)p->groups, (long)p->kernel[0],
                    (long)p->kernel[1], (long)p->kernel[2], (long)k, (int)got, (int)want,
                    io->y ? "sums" : "bytes", io->x_signed, io->w_signed);
            return;
        }
    }
}

static void fill_io(struct ck *c, const struct conv_params *p, struct conv_i8_io *io)
{
    int32_t *wz = ck_alloc(c, (size_t)p->co * 4, 4), *bias = ck_alloc(c, (size_t)p->co * 4, 4);
    float *mult = ck_alloc(c, (size_t)p->co * 4, 4);
    for (int64_t i = 0; i < p->co; i++) {
        wz[i] = (int32_t)ck_below(c, 256) - (io->w_signed ? 128 : 0);
        bias[i] = (int32_t)ck_below(c, 20000) - 10000;
        mult[i] = (float)(1 + ck_below(c, 100)) / 65536.0f;
    }
    io->wz = wz;
    io->bias = bias;
    io->mult = mult;
    io->yz = (int32_t)ck_below(c, 256);
}

static void check_layer(struct ck *c, const struct kern *k, struct pool *pool)
{
    struct conv_params p = random_layer(c);
    struct conv_i8_plan plan;
    struct conv_i8_io io = {.x_signed = ck_below(c, 2), .w_signed = ck_below(c, 2)};
    if (!conv_i8_plan(k, &p, 2, &plan)) {
        ck_fail(c, "no plan");
        return;
    }
    const struct conv_params *q = &plan.p;
    const uint8_t *w = bytes(c, q->co * (q->ci / q->groups) * conv_taps(q));
    io.x = bytes(c, q->n * q->ci * conv_in_plane(q));
    io.xz = (int32_t)ck_below(c, 256) - (io.x_signed ? 128 : 0);
    io.wz_step = (int)ck_below(c, 2);
    io.per_channel = ck_below(c, 2);
    fill_io(c, q, &io);
    void *packed = ck_alloc(c, plan.weight_bytes, 64);
    conv_i8_pack(k, &plan, w, io.w_signed, packed, ck_alloc(c, plan.tmp_bytes, 1));
    io.w = packed;
    ck_seal(c);
    size_t outputs = (size_t)(q->n * q->co * conv_out_plane(q));
    if (ck_below(c, 2))
        io.y = ck_alloc(c, outputs * 4, 4);
    else
        io.q = ck_alloc(c, outputs, 1);
    io.requant = k->quant.requantize[DT_UINT8];
    conv_i8(k, &plan, &io, pool, ck_alloc(c, plan.scratch_bytes, 64));
    compare(c, &plan, &io, w);
    ck_done(c);
}

static void check_dw_i8(struct ck *c)
{
    struct pool *pool = pool_new(2);
    for (int i = 0; i < (c->quick ? 40 : 200); i++)
        check_kernel(c);
    for (int i = 0; i < (c->quick ? 30 : 150); i++)
        check_layer(c, i % 3 ? &c->full : &c->var, i % 2 ? pool : NULL);
    pool_free(pool);
}

struct bench {
    const struct kern *k;
    struct conv_i8_plan plan;
    struct conv_i8_io io;
    void *scratch;
};

static void bench_call(void *arg)
{
    struct bench *b = arg;
    conv_i8(b->k, &b->plan, &b->io, NULL, b->scratch);
}

/* Square images, "same" padding. */
static void bench_shape(struct ck *c, int64_t ci, int64_t co, int64_t groups, int64_t size, int64_t kernel,
                        int64_t stride)
{
    int64_t out = (size + 2 * (kernel / 2) - kernel) / stride + 1;
    struct conv_params p = {.n = 1, .ci = ci, .co = co, .groups = groups, .rank = 2};
    for (int i = 0; i < 2; i++) {
        p.in[i] = size;
        p.out[i] = out;
        p.kernel[i] = kernel;
        p.stride[i] = stride;
        p.dilation[i] = 1;
        p.pad[i] = kernel / 2;
    }
    struct bench b = {.k = &c->full, .io = {.w_signed = true}};
    char what[80];
    if (!conv_i8_plan(b.k, &p, 1, &b.plan))
        return;
    fill_io(c, &p, &b.io);
    b.io.x = bytes(c, ci * size * size);
    void *packed = ck_alloc(c, b.plan.weight_bytes, 64);
    conv_i8_pack(b.k, &b.plan, bytes(c, co * (ci / groups) * kernel * kernel), true, packed,
                 ck_alloc(c, b.plan.tmp_bytes, 1));
    b.io.w = packed;
    b.io.q = ck_alloc(c, (size_t)(co * out * out), 1);
    b.io.requant = b.k->quant.requantize[DT_UINT8];
    b.scratch = ck_alloc(c, b.plan.scratch_bytes, 64);
    snprintf(what, sizeof(what), "%ldx%ld %ld->%ld %ldx%ld/%ld g%ld", (long)size, (long)size, (long)ci,
             (long)co, (long)kernel, (long)kernel, (long)stride, (long)groups);
    ck_bench(c, what, 2.0 * (double)(co * out * out * (ci / groups) * kernel * kernel), 0, bench_call, &b);
    ck_done(c);
}

static void bench_i8(struct ck *c)
{
    bench_shape(c, 3, 64, 1, 224, 7, 2);
    bench_shape(c, 64, 64, 1, 56, 3, 1);
    bench_shape(c, 64, 256, 1, 56, 1, 1);
    bench_shape(c, 256, 256, 1, 14, 3, 1);
    bench_shape(c, 1024, 256, 1, 14, 1, 1);
    bench_shape(c, 512, 512, 1, 7, 3, 1);
    bench_shape(c, 32, 32, 32, 112, 3, 1);
    bench_shape(c, 144, 144, 144, 56, 3, 2);
    bench_shape(c, 960, 960, 960, 7, 3, 1);
}

const struct check check_conv_i8[] = {
    {"conv.dw_i8", check_dw_i8, bench_i8},
    {NULL, NULL, NULL},
};
