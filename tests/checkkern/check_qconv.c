/* Quantized layers: the tile, the depthwise kernel and the addition alone, and whole layers against their
 * definition. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checkkern.h"
#include "kern/conv_index.h"
#include "kern/qconv.h"

static int32_t byte_at(const uint8_t *p, int64_t i, bool is_signed)
{
    return is_signed ? (int8_t)p[i] : p[i];
}

static uint8_t *bytes(struct ck *c, int64_t n)
{
    uint8_t *p = ck_alloc(c, (size_t)n, 1);
    ck_fill_bytes(c, p, (size_t)n);
    for (int64_t i = 0; i < n && n % 3 == 0; i++)
        p[i] = p[i] & 1 ? 0x80 : 0x7f;
    return p;
}

static struct q_out random_out(struct ck *c)
{
    int32_t down = ck_below(c, 2) ? 128 : 0;
    struct q_out o = {(int32_t)ck_below(c, 256) - down, -down, 255 - down};
    if (ck_below(c, 2)) {
        o.lo += (int32_t)ck_below(c, 100);
        o.hi -= (int32_t)ck_below(c, 100);
    }
    return o;
}

static uint8_t quantum(int32_t sum, float mult, const struct q_out *o)
{
    float f = nearbyintf((float)sum * mult) + (float)o->zero;
    return (uint8_t)(f >= (float)o->hi ? o->hi : f > (float)o->lo ? (int32_t)f : o->lo);
}

static float *mults(struct ck *c, int64_t n)
{
    float *m = ck_alloc(c, (size_t)n * 4, 4);
    for (int64_t i = 0; i < n; i++)
        m[i] = (float)(1 + ck_below(c, 100)) / 65536.0f;
    return m;
}

static int32_t *biases(struct ck *c, int64_t n)
{
    int32_t *b = ck_alloc(c, (size_t)n * 4, 4);
    for (int64_t i = 0; i < n; i++)
        b[i] = (int32_t)ck_below(c, 200000) - 100000;
    return b;
}

static void check_one_tile(struct ck *c)
{
    const struct q_tile_kern *k = c->var.qconv.tile;
    int64_t quads = ck_size(c, 8);
    struct q_tile t = {.m = 1 + (int)ck_below(c, k->mr), .n = 1 + (int)ck_below(c, k->nr), .quads = quads};
    t.lda = quads * 4 + ck_below(c, 3);
    t.ldy = t.n + ck_below(c, 3);
    int64_t rows = (t.m - 1) * t.lda + quads * 4, size = (t.m - 1) * t.ldy + t.n;
    t.a = bytes(c, rows);
    t.b = (const int8_t *)bytes(c, quads * k->nr * 4);
    t.bias = biases(c, k->nr);
    t.mult = mults(c, k->nr);
    t.out = random_out(c);
    ck_seal(c);
    uint8_t *want = ck_alloc(c, (size_t)size, 1);
    t.y = ck_alloc(c, (size_t)size, 1);
    memset(want, 7, (size_t)size);
    memset(t.y, 7, (size_t)size);
    for (int i = 0; i < t.m; i++)
        for (int j = 0; j < t.n; j++) {
            int32_t sum = t.bias[j];
            for (int64_t kk = 0; kk < quads * 4; kk++)
                sum += t.a[i * t.lda + kk] * t.b[kk / 4 * k->nr * 4 + j * 4 + kk % 4];
            want[i * t.ldy + j] = quantum(sum, t.mult[j], &t.out);
        }
    k->run(&t);
    ck_same(c, t.y, want, (size_t)size, "tile");
    ck_done(c);
}

static struct conv_params random_layer(struct ck *c)
{
    struct conv_params p = {.n = 1 + ck_below(c, 2), .groups = 1, .rank = 1 + (int)ck_below(c, 3)};
    p.groups = ck_below(c, 2) ? 1 : 1 + ck_below(c, 150);
    int64_t per = p.groups > 1 && ck_below(c, 3) ? 1 : 1 + ck_below(c, p.groups > 20 ? 2 : 40);
    p.ci = p.groups * per;
    p.co = p.groups * (p.groups > 1 && ck_below(c, 3) ? per : 1 + ck_below(c, p.groups > 20 ? 2 : 70));
    bool plain = ck_below(c, 3) == 0;
    for (int i = 0; i < p.rank; i++) {
        p.kernel[i] = plain ? 1 : 1 + ck_below(c, 4);
        p.stride[i] = plain ? 1 : 1 + ck_below(c, 2);
        p.dilation[i] = ck_below(c, 3) ? 1 : 2;
        p.pad[i] = plain ? 0 : ck_below(c, 4) - (ck_below(c, 8) == 0);
        int64_t span = (p.kernel[i] - 1) * p.dilation[i] + 1;
        p.in[i] = span + 1 + ck_below(c, p.rank == 3 ? 3 : p.rank == 2 ? 9 : 90);
        p.out[i] = plain ? p.in[i] : (p.in[i] + p.pad[i] + ck_below(c, 3) - span) / p.stride[i] + 1;
    }
    return p;
}

struct layer {
    const struct conv_params *p;
    const uint8_t *x, *w;
    bool x_signed;
    uint8_t w_flip;
    int32_t xz;
    const int32_t *bias;
    const float *mult;
    struct q_out out;
};

/* Output channel o of pixel i of image n, for three axes. */
static uint8_t one_value(const struct layer *l, int64_t n, int64_t i, int64_t o)
{
    const struct conv_params *p = l->p;
    int64_t cig = p->ci / p->groups, c0 = o / (p->co / p->groups) * cig, taps = conv_taps(p);
    int64_t ow = i % p->out[2], oh = i / p->out[2] % p->out[1], od = i / p->out[2] / p->out[1];
    int64_t sum = l->bias ? l->bias[o] : 0;
    for (int64_t t = 0; t < taps; t++) {
        int64_t x = conv_pos(p, 2, ow, t % p->kernel[2]);
        int64_t y = conv_pos(p, 1, oh, t / p->kernel[2] % p->kernel[1]);
        int64_t z = conv_pos(p, 0, od, t / p->kernel[2] / p->kernel[1]);
        if (!conv_inside(p, 0, z) || !conv_inside(p, 1, y) || !conv_inside(p, 2, x))
            continue;
        const uint8_t *at = l->x + ((n * conv_in_plane(p) + (z * p->in[1] + y) * p->in[2] + x) * p->ci + c0);
        for (int64_t ch = 0; ch < cig; ch++)
            sum += (int64_t)(byte_at(at, ch, l->x_signed) - l->xz) *
                   (int8_t)(l->w[(o * cig + ch) * taps + t] ^ l->w_flip);
    }
    return quantum((int32_t)sum, l->mult[o], &l->out);
}

static void compare(struct ck *c, const struct layer *l, const uint8_t *y)
{
    const struct conv_params *p = l->p;
    int64_t pixels = conv_out_plane(p);
    for (int64_t k = 0; k < p->n * pixels * p->co; k++) {
        uint8_t want = one_value(l, k / p->co / pixels, k / p->co % pixels, k % p->co);
        if (y[k] == want)
            continue;
        ck_fail(c, "n%ld ci%ld co%ld g%ld kernel %ldx%ldx%ld element %ld is %d, expected %d, signed %d %d",
                (long)p->n, (long)p->ci, (long)p->co, (long)p->groups, (long)p->kernel[0], (long)p->kernel[1],
                (long)p->kernel[2], (long)k, y[k], want, l->x_signed, l->w_flip);
        return;
    }
}

static void check_layer(struct ck *c, const struct kern *k, struct pool *pool)
{
    struct conv_params p = random_layer(c);
    struct layer l = {.x_signed = ck_below(c, 3) == 0, .w_flip = ck_below(c, 2) ? 0x80 : 0};
    struct qconv_plan plan;
    if (!qconv_plan(k, &p, l.x_signed, pool ? 2 : 1, &plan)) {
        ck_fail(c, "no plan");
        return;
    }
    const struct conv_params *q = l.p = &plan.p;
    l.xz = (int32_t)ck_below(c, 256) - (l.x_signed ? 128 : 0);
    l.x = bytes(c, q->n * q->ci * conv_in_plane(q));
    l.w = bytes(c, q->co * (q->ci / q->groups) * conv_taps(q));
    l.bias = ck_below(c, 4) ? biases(c, q->co) : NULL;
    l.mult = mults(c, q->co);
    l.out = random_out(c);
    void *packed = ck_alloc(c, plan.weight_bytes, 64);
    qconv_pack(k, &plan, l.w, l.w_flip, l.bias, l.mult, l.xz, packed);
    ck_seal(c);
    struct qconv_io io = {.x = l.x, .xz = l.xz, .w = packed, .out = l.out};
    io.y = ck_alloc(c, (size_t)(q->n * q->co * conv_out_plane(q)), 1);
    qconv(k, &plan, &io, pool, ck_alloc(c, plan.scratch_bytes, 64));
    compare(c, &l, io.y);
    ck_done(c);
}

static void check_layers(struct ck *c)
{
    struct pool *pool = pool_new(2);
    for (int i = 0; i < (c->quick ? 60 : 300); i++)
        check_layer(c, i % 3 ? &c->full : &c->var, i % 2 ? pool : NULL);
    pool_free(pool);
}

static void check_tile(struct ck *c)
{
    for (int i = 0; i < (c->quick ? 60 : 300); i++)
        check_one_tile(c);
    check_layers(c);
}

static void check_add(struct ck *c)
{
    for (int i = 0; i < (c->quick ? 40 : 200); i++) {
        int64_t n = ck_size(c, 16);
        struct q_add p = {.a_signed = ck_below(c, 2), .b_signed = ck_below(c, 2)};
        p.az = (int32_t)ck_below(c, 256) - (p.a_signed ? 128 : 0);
        p.bz = (int32_t)ck_below(c, 256) - (p.b_signed ? 128 : 0);
        p.as = (float)(1 + ck_below(c, 1000)) / 5000.0f;
        p.bs = (float)(1 + ck_below(c, 1000)) / 5000.0f;
        p.ys = (float)(1 + ck_below(c, 1000)) / 3000.0f;
        p.out = random_out(c);
        const uint8_t *a = bytes(c, n), *b = bytes(c, n);
        ck_seal(c);
        uint8_t *got = ck_alloc(c, (size_t)n, 1), *want = ck_alloc(c, (size_t)n, 1);
        c->var.qconv.add(a, b, got, (size_t)n, &p);
        c->ref.qconv.add(a, b, want, (size_t)n, &p);
        ck_same(c, got, want, (size_t)n, "sum");
        ck_done(c);
    }
}

struct bench {
    const struct kern *k;
    struct qconv_plan plan;
    struct qconv_io io;
    void *scratch;
};

static void bench_call(void *arg)
{
    struct bench *b = arg;
    qconv(b->k, &b->plan, &b->io, NULL, b->scratch);
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
    struct bench b = {.k = &c->full};
    char what[80];
    if (!qconv_plan(b.k, &p, false, 1, &b.plan))
        return;
    void *packed = ck_alloc(c, b.plan.weight_bytes, 64);
    qconv_pack(b.k, &b.plan, bytes(c, co * (ci / groups) * kernel * kernel), 0, NULL, mults(c, co), 0,
               packed);
    b.io = (struct qconv_io){.x = bytes(c, ci * size * size), .w = packed, .out = {0, 0, 255}};
    b.io.y = ck_alloc(c, (size_t)(co * out * out), 1);
    b.scratch = ck_alloc(c, b.plan.scratch_bytes, 64);
    snprintf(what, sizeof(what), "%ldx%ld %ld->%ld %ldx%ld/%ld g%ld", (long)size, (long)size, (long)ci,
             (long)co, (long)kernel, (long)kernel, (long)stride, (long)groups);
    ck_bench(c, what, 2.0 * (double)(co * out * out * (ci / groups) * kernel * kernel), 0, bench_call, &b);
    ck_done(c);
}

static void bench_products(struct ck *c)
{
    bench_shape(c, 3, 32, 1, 224, 3, 2);
    bench_shape(c, 64, 64, 1, 56, 3, 1);
    bench_shape(c, 64, 256, 1, 56, 1, 1);
    bench_shape(c, 16, 96, 1, 112, 1, 1);
    bench_shape(c, 256, 256, 1, 14, 3, 1);
    bench_shape(c, 1024, 256, 1, 14, 1, 1);
    bench_shape(c, 320, 1280, 1, 7, 1, 1);
}

static void bench_depthwise(struct ck *c)
{
    bench_shape(c, 32, 32, 32, 112, 3, 1);
    bench_shape(c, 144, 144, 144, 56, 3, 2);
    bench_shape(c, 960, 960, 960, 7, 3, 1);
}

const struct check check_qconv[] = {
    {"qconv.tile", check_tile, bench_products},
    {"qconv.dw", check_layers, bench_depthwise},
    {"qconv.add", check_add, NULL},
    {NULL, NULL, NULL},
};
