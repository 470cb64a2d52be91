/* Plans and drivers of the convolutions. */
#include "kern/conv.h"

#include <string.h>

#include "base/checked.h"
#include "base/round.h"
#include "kern/conv_index.h"
#include "kern/gemm_job.h"

enum { BLOCK_PLANE = 64 * 64 };

/* Missing axes lead, with extent 1. */
/* Kernels run along the last axis: one of extent 1 changes places with those in front, which changes no
 * address. (1-D layers come as images of width 1 too.) */
static void drop_last_axis(struct conv_params *q)
{
    for (int i = CONV_RANK - 1; i > 0; i--) {
        q->in[i] = q->in[i - 1];
        q->out[i] = q->out[i - 1];
        q->kernel[i] = q->kernel[i - 1];
        q->stride[i] = q->stride[i - 1];
        q->dilation[i] = q->dilation[i - 1];
        q->pad[i] = q->pad[i - 1];
    }
    q->in[0] = q->out[0] = q->kernel[0] = q->stride[0] = q->dilation[0] = 1;
    q->pad[0] = 0;
}

struct conv_params conv_three_axes(const struct conv_params *p)
{
    struct conv_params q = *p;
    int lead = CONV_RANK - p->rank;
    q.rank = CONV_RANK;
    for (int i = 0; i < CONV_RANK; i++) {
        bool real = i >= lead;
        q.in[i] = real ? p->in[i - lead] : 1;
        q.out[i] = real ? p->out[i - lead] : 1;
        q.kernel[i] = real ? p->kernel[i - lead] : 1;
        q.stride[i] = real ? p->stride[i - lead] : 1;
        q.dilation[i] = real ? p->dilation[i - lead] : 1;
        q.pad[i] = real ? p->pad[i - lead] : 0;
    }
    for (int i = 0; i < CONV_RANK - 1; i++)
        if (q.in[CONV_RANK - 1] == 1 && q.out[CONV_RANK - 1] == 1 && q.kernel[CONV_RANK - 1] == 1 &&
            q.pad[CONV_RANK - 1] == 0)
            drop_last_axis(&q);
    return q;
}

/* Positions that a window can reach stay far from the ends of int64. */
static bool axis_fits(const struct conv_params *p, int ax)
{
    const int64_t far = INT64_MAX / 8;
    int64_t span, reach;
    return mul_i64(p->kernel[ax], p->dilation[ax], &span) && mul_i64(p->out[ax], p->stride[ax], &reach) &&
           span < far && reach < far && p->pad[ax] > -far && p->pad[ax] < far;
}

/* Every element of every tensor can be counted, in bytes. */
bool conv_sizes_fit(const struct conv_params *p)
{
    for (int i = 0; i < CONV_RANK; i++)
        if (!axis_fits(p, i))
            return false;
    int64_t x[5] = {p->n, p->ci, p->in[0], p->in[1], p->in[2]};
    int64_t y[5] = {p->n, p->co, p->out[0], p->out[1], p->out[2]};
    int64_t w[6] = {p->ci / p->groups, p->co, p->kernel[0], p->kernel[1], p->kernel[2], 1};
    int64_t limit = INT64_MAX / 64, a, b, c;
    return dims_count(x, 5, &a) && dims_count(y, 5, &b) && dims_count(w, 6, &c) && a < limit && b < limit &&
           c < limit;
}

/* One tap that reads every pixel in place: the image itself is the matrix. */
bool conv_is_pointwise(const struct conv_params *p)
{
    for (int i = 0; i < CONV_RANK; i++)
        if (p->kernel[i] != 1 || p->stride[i] != 1 || p->pad[i] != 0 || p->in[i] != p->out[i])
            return false;
    return true;
}

/* Share of a tile's columns that n columns use. */
static double column_use(const struct kern *k, int64_t n)
{
    int64_t step = k->gemm.f32->nr / 2;
    return (double)n / (double)((n + step - 1) / step * step);
}

/* Planes of a block of channels that stay in the cache while they are turned, convolved and turned back. */
static bool suits_blocks(const struct conv_params *p)
{
    return p->ci == p->co && p->kernel[0] == 1 && p->in[0] == 1 && p->out[0] == 1 && p->pad[0] == 0 &&
           conv_taps(p) > 1 && conv_in_plane(p) <= BLOCK_PLANE && conv_out_plane(p) <= BLOCK_PLANE;
}

static enum conv_algo choose_algo(const struct kern *k, const struct conv_params *p, bool any_size)
{
    int64_t pixels = conv_out_plane(p);
    if (!any_size && (p->n == 0 || p->co == 0 || pixels == 0))
        return CONV_EMPTY;
    if (p->ci == p->groups && p->groups > 1)
        return !any_size && suits_blocks(p) ? CONV_DEPTHWISE_BLOCKS : CONV_DEPTHWISE;
    if (!any_size && pixels <= 1024 && column_use(k, pixels) < 0.9 &&
        column_use(k, p->co / p->groups) > column_use(k, pixels) && p->ci / p->groups * conv_taps(p) >= 128)
        return CONV_GEMM_T;
    return CONV_GEMM;
}

static int64_t kdim_of(const struct conv_params *p)
{
    return p->ci / p->groups * conv_taps(p);
}

/* The product of group g of image n; io may be NULL when only sizes are wanted. */
static struct gemm_job conv_job(const struct kern *k, const struct conv_plan *plan,
                                const struct im2col *image, const struct conv_io *io, int64_t n, int64_t g)
{
    const struct conv_params *p = &plan->p;
    int64_t pixels = conv_out_plane(p), cog = p->co / p->groups;
    bool turned = plan->algo == CONV_GEMM_T;
    struct gemm_job job = {.k = kdim_of(p), .ldc = pixels, .c_trans = turned};
    struct panels w = {.count = cog, .width = turned ? k->gemm.f32->nr : gemm_a_width(k, cog)};
    struct panels x = {.count = pixels, .width = turned ? gemm_a_width(k, pixels) : k->gemm.f32->nr};
    static const float some; /* sizes depend on being packed, not on where */

    w.packed = io ? (const float *)((const char *)io->w + plan->group_bytes * (size_t)g) : &some;
    if (conv_is_pointwise(p)) {
        x.src = image->x;
        x.step = 1;
        x.k_step = pixels;
    } else {
        x.image = image;
    }
    job.a = turned ? x : w;
    job.b = turned ? w : x;
    gemm_epi_init(&job.epi);
    if (io) {
        size_t at = (size_t)((n * p->co + g * cog) * pixels);
        job.c = io->y + at;
        job.epi.res = io->res ? io->res + at : NULL;
        job.epi.ldres = pixels;
        *(turned ? &job.epi.bias_n : &job.epi.bias_m) = io->bias ? io->bias + g * cog : NULL;
        job.epi.act = io->act;
        job.epi.lo = io->lo;
        job.epi.hi = io->hi;
    }
    return job;
}

static bool gemm_sizes(const struct kern *k, struct conv_plan *plan)
{
    struct im2col image = {&plan->p, NULL, plan->p.ci / plan->p.groups};
    struct gemm_job job = conv_job(k, plan, &image, NULL, 0, 0);
    const struct panels *w = plan->algo == CONV_GEMM_T ? &job.b : &job.a;
    size_t floats;
    if (!panels_size(w->count, w->width, job.k, &floats))
        return false;
    plan->group_bytes = round64(floats * sizeof(float));
    return mul_size(plan->group_bytes, (size_t)plan->p.groups, &plan->weight_bytes) &&
           gemm_job_scratch(k, &job, plan->nthreads, &plan->scratch_bytes);
}

/* Nothing overflows: planes are small, and weights were counted. */
static void block_sizes(const struct kern *k, struct conv_plan *plan)
{
    const struct conv_params *p = &plan->p;
    int block = k->blk.conv->block;
    plan->weight_bytes = (size_t)(blk_round(p->ci, block) * conv_taps(p)) * sizeof(float);
    plan->scratch_bytes = (size_t)((conv_in_plane(p) + conv_out_plane(p)) * block) * sizeof(float);
    plan->scratch_bytes = round64(plan->scratch_bytes) * (size_t)plan->nthreads;
}

bool conv_f32_plan(const struct kern *k, const struct conv_params *p, bool any_size, int nthreads,
                   struct conv_plan *plan)
{
    static const char *const names[] = {"empty", "depthwise", "depthwise in blocks", "gemm",
                                        "gemm transposed"};
    memset(plan, 0, sizeof *plan);
    plan->p = conv_three_axes(p);
    plan->nthreads = nthreads < 1 ? 1 : nthreads;
    if (!conv_sizes_fit(&plan->p))
        return false;
    plan->algo = choose_algo(k, &plan->p, any_size);
    plan->name = names[plan->algo];
    if (plan->algo == CONV_DEPTHWISE) {
        plan->group_bytes = (size_t)(plan->p.co / plan->p.groups * conv_taps(&plan->p)) * sizeof(float);
        plan->weight_bytes = plan->group_bytes * (size_t)plan->p.groups;
    }
    if (plan->algo == CONV_DEPTHWISE_BLOCKS)
        block_sizes(k, plan);
    return plan->algo < CONV_GEMM || gemm_sizes(k, plan);
}

/* Weights w[count][channels][taps] as panels, K counting taps slowest. */
static void pack_taps(const struct kern *k, const float *w, int64_t count, int width, int64_t channels,
                      int64_t taps, float *dst)
{
    int64_t kdim = channels * taps, kc = k->gemm.f32->kc;
    for (int64_t k0 = 0; k0 < kdim; k0 += kc)
        for (int64_t i0 = 0; i0 < count; i0 += width)
            for (int64_t kk = k0; kk < kdim && kk < k0 + kc; kk++, dst += width) {
                const float *s = w + i0 * kdim + kk % channels * taps + kk / channels;
                for (int i = 0; i < width; i++)
                    dst[i] = i0 + i < count ? s[i * kdim] : 0.0f;
            }
}

/* [block][tap][channel of the block] */
static void pack_blocks(const struct conv_params *p, int block, const float *w, float *to)
{
    int64_t taps = conv_taps(p);
    for (int64_t c0 = 0; c0 < p->ci; c0 += block)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = c0; c < c0 + block; c++)
                *to++ = c < p->ci ? w[c * taps + t] : 0.0f;
}

void conv_f32_pack(const struct kern *k, const struct conv_plan *plan, const float *w, void *packed)
{
    const struct conv_params *p = &plan->p;
    int64_t cog = p->co / p->groups;
    if (plan->algo == CONV_DEPTHWISE)
        memcpy(packed, w, plan->weight_bytes);
    if (plan->algo == CONV_DEPTHWISE_BLOCKS)
        pack_blocks(p, k->blk.conv->block, w, packed);
    if (plan->algo < CONV_GEMM)
        return;
    int width = plan->algo == CONV_GEMM_T ? k->gemm.f32->nr : gemm_a_width(k, cog);
    for (int64_t g = 0; g < p->groups; g++)
        pack_taps(k, w + g * cog * kdim_of(p), cog, width, p->ci / p->groups, conv_taps(p),
                  (float *)((char *)packed + plan->group_bytes * (size_t)g));
}

struct conv_run {
    const struct kern *k;
    const struct conv_plan *plan;
    const struct conv_io *io;
    char *scratch;
};

static void dw_planes(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct conv_run *r = arg;
    (void)thread;
    r->k->conv.dw(&r->plan->p, r->io, begin, end);
}

/* Channels [c, c + n) of one image, in a block. */
static void dw_block(const struct conv_run *r, int64_t image, int64_t c, int n, float *scratch)
{
    const struct conv_params *p = &r->plan->p;
    const struct kern *k = r->k;
    int block = k->blk.conv->block;
    int64_t in = conv_in_plane(p), out = conv_out_plane(p), plane = image * p->ci + c;
    struct conv_params two = {.rank = 2};
    float bias[BLK_MAX] = {0}, *y = scratch + in * block;
    for (int i = 0; i < 2; i++) {
        two.in[i] = p->in[i + 1], two.out[i] = p->out[i + 1], two.kernel[i] = p->kernel[i + 1];
        two.stride[i] = p->stride[i + 1], two.dilation[i] = p->dilation[i + 1], two.pad[i] = p->pad[i + 1];
    }
    struct blk_rows rows = {.block = block, .p = &two, .x = scratch, .y = y, .oh1 = p->out[1]};
    rows.w = (const float *)r->io->w + c * conv_taps(p);
    if (!r->io->res) {
        if (r->io->bias)
            memcpy(bias, r->io->bias + c, (size_t)n * sizeof(float));
        rows.e = (struct blk_epi){bias, NULL, r->io->act, r->io->lo, r->io->hi};
    }
    k->gemm.x32_transpose(r->io->x + plane * in, in, scratch, block, in, n);
    k->blk.dw(&rows);
    k->gemm.x32_transpose(y, block, r->io->y + plane * out, out, n, out);
    for (int i = 0; i < n && r->io->res; i++) {
        struct dw_plane d = conv_dw_plane(p, r->io, plane + i);
        k->gemm.f32_epi_row(&d.e, 0, 0, d.y, d.y, out);
    }
}

static void dw_blocks(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct conv_run *r = arg;
    const struct conv_params *p = &r->plan->p;
    int block = r->k->blk.conv->block;
    int64_t blocks = (p->ci + block - 1) / block;
    size_t part = r->plan->scratch_bytes / (size_t)r->plan->nthreads;
    float *scratch = (float *)(r->scratch + part * (size_t)thread);
    memset(scratch, 0, part); /* what fills a block up stays harmless */
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i % blocks * block;
        dw_block(r, i / blocks, c, (int)(p->ci - c < block ? p->ci - c : block), scratch);
    }
}

static void run_group(const struct conv_run *r, int64_t q, struct pool *pool, void *scratch)
{
    const struct conv_params *p = &r->plan->p;
    int64_t cig = p->ci / p->groups;
    struct im2col image = {p, r->io->x + q * cig * conv_in_plane(p), cig};
    struct gemm_job job = conv_job(r->k, r->plan, &image, r->io, q / p->groups, q % p->groups);
    gemm_job_run(r->k, &job, pool, scratch);
}

static void par_groups(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct conv_run *r = arg;
    size_t part = r->plan->scratch_bytes / (size_t)r->plan->nthreads;
    for (int64_t q = begin; q < end; q++)
        run_group(r, q, NULL, r->scratch + part * (size_t)thread);
}

void conv_f32(const struct kern *k, const struct conv_plan *plan, const struct conv_io *io, struct pool *pool,
              void *scratch)
{
    struct conv_run r = {k, plan, io, scratch};
    int64_t jobs = plan->p.n * plan->p.groups;
    if (plan->algo == CONV_DEPTHWISE) {
        par_for(pool, plan->p.n * plan->p.co, 1, dw_planes, &r);
    } else if (plan->algo == CONV_DEPTHWISE_BLOCKS) {
        int block = k->blk.conv->block;
        par_for(pool, plan->p.n * ((plan->p.co + block - 1) / block), 1, dw_blocks, &r);
    } else if (plan->algo != CONV_EMPTY) {
        if (pool && jobs >= pool_size(pool))
            par_for(pool, jobs, 1, par_groups, &r);
        else
            for (int64_t q = 0; q < jobs; q++)
                run_group(&r, q, pool, scratch);
    }
}

struct ref_run {
    conv_ref_fn *fn;
    struct conv_params p;
    const void *x, *w, *bias;
    void *y;
};

static void ref_planes(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct ref_run *r = arg;
    (void)thread;
    r->fn(&r->p, r->x, r->w, r->bias, r->y, begin, end);
}

void conv_ref_run(const struct kern *k, enum dtype dt, const struct conv_params *p, bool transposed,
                  const void *x, const void *w, const void *bias, void *y, struct pool *pool)
{
    struct ref_run r = {transposed ? k->conv.ref_t[dt] : k->conv.ref[dt], conv_three_axes(p), x, w, bias, y};
    par_for(pool, p->n * p->co, 1, ref_planes, &r);
}

/* The transposed convolution. For one output channel: sums [taps][input pixels] = weights [taps][ci] by image
 * [ci][pixels], then each sum is added where its tap falls, taps in order. The image is packed once a group.
 */

static struct panels conv_t_image(const struct kern *k, const struct conv_params *p, const float *x)
{
    int64_t pixels = conv_in_plane(p);
    return (struct panels){.count = pixels, .width = k->gemm.f32->nr, .src = x, .step = 1, .k_step = pixels};
}

/* Scratch: the packed image, then for each thread sums and one output plane. */
struct conv_t_parts {
    size_t image, sums, plane; /* floats, multiples of 16 */
};

static bool conv_t_parts(const struct kern *k, const struct conv_params *p, struct conv_t_parts *s)
{
    if (!panels_size(conv_in_plane(p), k->gemm.f32->nr, p->ci / p->groups, &s->image) ||
        !mul_size((size_t)conv_in_plane(p), (size_t)conv_taps(p), &s->sums) || s->sums > SIZE_MAX / 64)
        return false;
    s->plane = round64((size_t)conv_out_plane(p) * sizeof(float)) / sizeof(float);
    s->image = round64(s->image * sizeof(float)) / sizeof(float);
    s->sums = round64(s->sums * sizeof(float)) / sizeof(float);
    return true;
}

bool conv_t_f32_plan(const struct kern *k, const struct conv_params *p, int nthreads, struct conv_plan *plan)
{
    struct conv_t_parts s;
    size_t floats, each;
    memset(plan, 0, sizeof *plan);
    plan->p = conv_three_axes(p);
    plan->nthreads = nthreads < 1 ? 1 : nthreads;
    plan->algo = CONV_GEMM;
    plan->name = "gemm and col2im";
    if (!conv_sizes_fit(&plan->p) || !conv_t_parts(k, &plan->p, &s))
        return false;
    int64_t taps = conv_taps(&plan->p);
    if (!panels_size(taps, gemm_a_width(k, taps), plan->p.ci / plan->p.groups, &floats))
        return false;
    plan->group_bytes = floats * sizeof(float); /* here: one output channel */
    return mul_size(plan->group_bytes, (size_t)plan->p.co, &plan->weight_bytes) &&
           mul_size(s.sums + s.plane, (size_t)plan->nthreads, &each) && add_size(each, s.image, &each) &&
           mul_size(each, sizeof(float), &plan->scratch_bytes);
}

void conv_t_f32_pack(const struct kern *k, const struct conv_plan *plan, const float *w, void *packed)
{
    const struct conv_params *p = &plan->p;
    int64_t taps = conv_taps(p), cig = p->ci / p->groups, cog = p->co / p->groups;
    for (int64_t c = 0; c < p->co; c++) {
        struct panels s = {.count = taps,
                           .width = gemm_a_width(k, taps),
                           .src = w + (c / cog * cig * cog + c % cog) * taps,
                           .step = 1,
                           .k_step = cog * taps};
        panels_pack(k, &s, cig, (float *)((char *)packed + plan->group_bytes * (size_t)c));
    }
}

struct conv_t_run {
    const struct kern *k;
    const struct conv_plan *plan;
    const struct conv_io *io;
    struct conv_t_parts part;
    float *scratch;
    int64_t img, group;
};

/* Adds row (id, ih) of the sums of one tap to the plane. */
static void add_row(const struct conv_params *p, const float *sum, const int64_t t[3], int64_t id, int64_t ih,
                    float *plane)
{
    int64_t od = id * p->stride[0] - p->pad[0] + t[0] * p->dilation[0];
    int64_t oh = ih * p->stride[1] - p->pad[1] + t[1] * p->dilation[1];
    int64_t ow = t[2] * p->dilation[2] - p->pad[2], s = p->stride[2];
    if (od < 0 || od >= p->out[0] || oh < 0 || oh >= p->out[1])
        return;
    int64_t lo = ow >= 0 ? 0 : (-ow + s - 1) / s;
    int64_t hi = p->out[2] - ow <= 0 ? 0 : (p->out[2] - ow + s - 1) / s;
    hi = hi > p->in[2] ? p->in[2] : hi;
    float *y = plane + (od * p->out[1] + oh) * p->out[2] + ow;
    for (int64_t i = lo; i < hi; i++)
        y[i * s] += sum[i];
}

static void col2im(const struct conv_params *p, const float *sums, float *plane)
{
    memset(plane, 0, (size_t)conv_out_plane(p) * sizeof(float));
    for (int64_t tap = 0; tap < conv_taps(p); tap++) {
        int64_t t[3] = {tap / p->kernel[2] / p->kernel[1], tap / p->kernel[2] % p->kernel[1],
                        tap % p->kernel[2]};
        for (int64_t row = 0; row < p->in[0] * p->in[1]; row++, sums += p->in[2])
            add_row(p, sums, t, row / p->in[1], row % p->in[1], plane);
    }
}

static void conv_t_finish(const struct conv_t_run *r, int64_t co, const float *plane, int64_t at, int64_t n)
{
    const struct conv_io *io = r->io;
    struct gemm_epi e;
    gemm_epi_init(&e);
    e.bias_m = io->bias ? io->bias + co : NULL;
    e.res = io->res ? io->res + at : NULL;
    e.act = io->act;
    e.lo = io->lo;
    e.hi = io->hi;
    r->k->gemm.f32_epi_row(&e, 0, 0, plane, io->y + at, n);
}

static void conv_t_channels(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct conv_t_run *r = arg;
    const struct conv_params *p = &r->plan->p;
    float *sums = r->scratch + r->part.image + (r->part.sums + r->part.plane) * (size_t)thread;
    float *plane = sums + r->part.sums;
    int64_t taps = conv_taps(p), out = conv_out_plane(p);

    for (int64_t c = begin; c < end; c++) {
        int64_t co = r->group * (p->co / p->groups) + c;
        struct gemm_job job = {.k = p->ci / p->groups, .c = sums, .ldc = conv_in_plane(p)};
        job.a = (struct panels){.count = taps, .width = gemm_a_width(r->k, taps)};
        job.a.packed = (const float *)((const char *)r->io->w + r->plan->group_bytes * (size_t)co);
        job.b = conv_t_image(r->k, p, NULL);
        job.b.packed = r->scratch;
        gemm_epi_init(&job.epi);
        gemm_job_run(r->k, &job, NULL, NULL);
        col2im(p, sums, plane);
        conv_t_finish(r, co, plane, (r->img * p->co + co) * out, out);
    }
}

void conv_t_f32(const struct kern *k, const struct conv_plan *plan, const struct conv_io *io,
                struct pool *pool, void *scratch)
{
    const struct conv_params *p = &plan->p;
    int64_t cig = p->ci / p->groups;
    struct conv_t_run r = {.k = k, .plan = plan, .io = io, .scratch = scratch};
    if (p->n == 0 || p->co == 0 || conv_out_plane(p) == 0 || !conv_t_parts(k, p, &r.part))
        return;
    for (int64_t q = 0; q < p->n * p->groups; q++) {
        struct panels x = conv_t_image(k, p, io->x + q * cig * conv_in_plane(p));
        panels_pack(k, &x, cig, scratch);
        r.img = q / p->groups;
        r.group = q % p->groups;
        par_for(pool, p->co / p->groups, 1, conv_t_channels, &r);
    }
}
