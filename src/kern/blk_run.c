/* Plans and drivers of the blocked layout; see blk.h.
 *
 * Work of a convolution is cut into units: a band of tiles by a chunk of output channels (two vectors, the
 * last of an odd number three). A unit runs over ranges of input channels whose weights stay in the cache,
 * and keeps partial sums in y. */
#include "kern/blk.h"

#include <string.h>

#include "base/checked.h"
#include "base/round.h"
#include "kern/conv_index.h"
#include "kern/kern.h"
#include "kern/tmpl/blk_rows.h"

/* Bytes of weights, and of the image, that a unit may read over and over. */
enum { LINE = 64 / sizeof(float) };
enum {
    WEIGHT_BYTES = 256 << 10,
    IMAGE_BYTES = 256 << 10,
    UNITS_PER_THREAD = 8,
    ROW_WORK = 1 << 14,
    SMALL_SIDE = 64
};

static bool is_depthwise(const struct conv_params *p)
{
    return p->groups > 1 && p->ci == p->groups && p->co == p->groups;
}

bool blk_takes(const struct kern *k, const struct conv_params *p)
{
    int b = k->blk.conv->block;
    if (p->rank != 2 || p->kernel[1] > BLK_TAPS)
        return false;
    return p->groups == 1 || is_depthwise(p) || (p->ci / p->groups % b == 0 && p->co / p->groups % b == 0);
}

static bool is_pointwise(const struct conv_params *p)
{
    for (int i = 0; i < 2; i++)
        if (p->kernel[i] != 1 || p->stride[i] != 1 || p->pad[i] != 0 || p->in[i] != p->out[i])
            return false;
    return true;
}

/* One tap on every so many pixels, all in the image: these are picked out first, and the rest is pointwise.
 */
static bool picks_pixels(const struct conv_params *p)
{
    for (int i = 0; i < 2; i++)
        if (p->kernel[i] != 1 || p->pad[i] != 0 || p->out[i] < 1 ||
            (p->out[i] - 1) * p->stride[i] >= p->in[i])
            return false;
    return p->stride[0] > 1 || p->stride[1] > 1;
}

/* No more than the first and the last pixel of a row have a tap left or right of the image. */
static bool narrow_edges(const struct conv_params *p)
{
    int64_t s = p->stride[1], o = p->out[1];
    return p->pad[1] <= s && (o < 2 || conv_pos(p, 1, o - 2, p->kernel[1] - 1) < p->in[1]) &&
           conv_pos(p, 1, o - 1, 0) < p->in[1];
}

/* Columns that the taps of a row of output span. */
static int64_t padded_width(const struct conv_params *p)
{
    return conv_pos(p, 1, p->out[1] - 1, p->kernel[1] - 1) + p->pad[1] + 1;
}

static bool plan_sizes(int block, struct blk_plan *plan)
{
    const struct conv_params *p = &plan->p;
    int64_t co = plan->depthwise ? 1 : blk_round(p->co, block);
    int64_t ci = plan->depthwise ? blk_round(p->ci, block) : p->ci / p->groups;
    int64_t w[4] = {co, ci, p->kernel[0], p->kernel[1]}, floats, image;
    int64_t x[3] = {plan->plain ? p->ci : blk_round(p->ci, block), p->in[0],
                    plan->copied ? padded_width(p) : 0};
    if (plan->picked) {
        x[1] = p->out[0];
        x[2] = p->out[1];
    }
    if (!dims_count(w, 4, &floats) || !dims_count(x, 3, &image) || floats > INT64_MAX / 64 ||
        image > INT64_MAX / 64)
        return false;
    plan->weight_bytes = (size_t)floats * sizeof(float);
    plan->scratch_bytes = (size_t)image * sizeof(float);
    return true;
}

/* Kernels run along the last axis: an image of width 1 is taken as one of height 1, which changes no address.
 */
static struct conv_params along_width(const struct conv_params *p)
{
    struct conv_params q = *p;
    if (p->in[1] != 1 || p->out[1] != 1 || p->kernel[1] != 1 || p->pad[1])
        return q;
    q.in[1] = p->in[0];
    q.out[1] = p->out[0];
    q.kernel[1] = p->kernel[0];
    q.stride[1] = p->stride[0];
    q.dilation[1] = p->dilation[0];
    q.pad[1] = p->pad[0];
    q.in[0] = q.out[0] = q.kernel[0] = q.stride[0] = q.dilation[0] = 1;
    q.pad[0] = 0;
    return q;
}

bool blk_conv_plan(const struct kern *k, const struct conv_params *given, bool plain, struct blk_plan *plan)
{
    struct conv_params three = conv_three_axes(given);
    memset(plan, 0, sizeof *plan);
    plan->p = along_width(given);
    const struct conv_params *p = &plan->p;
    plan->plain = plain;
    plan->depthwise = is_depthwise(p);
    plan->vecs = 2;
    plan->name = plan->depthwise ? "blocked depthwise" : plain ? "blocked from plain" : "blocked";
    if (!conv_sizes_fit(&three))
        return false;
    plan->picked = !plan->depthwise && !plain && picks_pixels(p);
    plan->copied = !plan->picked && !plan->depthwise && p->out[0] > 0 && p->out[1] > 0 &&
                   !(plain ? p->pad[1] <= 0 && padded_width(p) - p->pad[1] <= p->in[1] : narrow_edges(p));
    return plan_sizes(k->blk.conv->block, plan);
}

/* ---- chunks of output channels ---- */

struct chunks {
    int64_t blocks, count; /* of a group */
};

static struct chunks chunks_of(const struct blk_plan *plan, int block)
{
    int64_t blocks = ceil_div(plan->p.co / plan->p.groups, block), count = blocks / plan->vecs;
    return (struct chunks){blocks, count ? count : 1};
}

static int chunk_vecs(const struct blk_plan *plan, const struct chunks *c, int64_t i)
{
    return (int)(i + 1 < c->count ? plan->vecs : c->blocks - i * plan->vecs);
}

static void pack_depthwise(const struct conv_params *p, int block, const float *w, float *to)
{
    int64_t taps = p->kernel[0] * p->kernel[1];
    for (int64_t c0 = 0; c0 < p->ci; c0 += block)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = c0; c < c0 + block; c++)
                *to++ = c < p->ci ? w[c * taps + t] : 0.0f;
}

/* Weights of a group: output o, input c and tap t are at w[o * o_step + c * c_step + t * t_step]. */
struct weights {
    const float *w;
    int64_t o_step, c_step, t_step, taps, ci, co;
};

/* Channels [c0, c0 + n) of the input under all taps, for outputs [o0, o0 + width). */
static float *pack_part(const struct weights *g, int64_t c0, int64_t n, int64_t o0, int64_t width, float *to)
{
    for (int64_t t = 0; t < g->taps; t++)
        for (int64_t c = c0; c < c0 + n; c++)
            for (int64_t o = o0; o < o0 + width; o++)
                *to++ = o < g->co ? g->w[o * g->o_step + c * g->c_step + t * g->t_step] : 0.0f;
    return to;
}

/* All chunks of a group, `step` input channels at a time. */
static float *pack_group(const struct kern *k, const struct blk_plan *plan, const struct weights *g,
                         int64_t step, float *to)
{
    int block = k->blk.conv->block;
    struct chunks ch = chunks_of(plan, block);
    for (int64_t i = 0; i < ch.count; i++)
        for (int64_t c = 0; c < g->ci; c += step)
            to = pack_part(g, c, min_i64(step, g->ci - c), i * plan->vecs * block,
                           (int64_t)chunk_vecs(plan, &ch, i) * block, to);
    return to;
}

void blk_conv_pack(const struct kern *k, const struct blk_plan *plan, const float *w, void *packed)
{
    const struct conv_params *p = &plan->p;
    int block = k->blk.conv->block;
    int64_t ci = p->ci / p->groups, co = p->co / p->groups, taps = p->kernel[0] * p->kernel[1];
    float *to = packed;
    if (plan->depthwise) {
        pack_depthwise(p, block, w, to);
        return;
    }
    for (int64_t g = 0; g < p->groups; g++) {
        struct weights part = {w + g * co * ci * taps, ci * taps, taps, 1, taps, ci, co};
        to = pack_group(k, plan, &part, plan->plain ? ci : block, to);
    }
}

/* ---- convolution ---- */

struct conv_run {
    const struct blk_conv_kern *kern;
    const struct blk_plan *plan;
    const struct blk_io *io;
    struct conv_params p; /* a pointwise image is one row */
    struct chunks ch;
    const float *x, *res; /* of the image at hand */
    float *y;
    int64_t in_width; /* of x, which may be the padded copy */
    int64_t x_plane, y_plane;
    int64_t row_out, px_out; /* floats of y between rows, pixels */
    int64_t bands;
};

/* What all tiles of a unit share. */
static struct blk_tile unit_tile(const struct conv_run *r, int64_t g, int64_t chunk)
{
    const struct conv_params *p = &r->p;
    int block = r->kern->block;
    int64_t ci = p->ci / p->groups, taps = p->kernel[0] * p->kernel[1];
    int64_t o = (g * r->ch.blocks + chunk * r->plan->vecs) * block; /* first channel */
    bool plain = r->plan->plain;
    int64_t px = plain ? 1 : block;
    struct blk_tile t = {.vecs = chunk_vecs(r->plan, &r->ch, chunk), .kh = p->kernel[0], .kw = p->kernel[1]};
    t.row_step = p->dilation[0] * r->in_width * px;
    t.col_step = p->dilation[1] * px;
    t.px_step = p->stride[1] * px;
    t.chan_step = plain ? r->x_plane : 1;
    t.block_step = plain ? 0 : r->x_plane * block;
    t.chans = plain ? (int)ci : block;
    t.w = (const float *)r->io->w + o * ci * taps;
    t.y_step = r->y_plane * block;
    t.px_out = r->px_out;
    t.y = r->y + o * r->y_plane;
    t.e = (struct blk_epi){r->io->bias ? r->io->bias + o : NULL, r->res ? r->res + o * r->y_plane : NULL,
                           r->io->act, r->io->lo, r->io->hi};
    t.x = r->x + g * ci * r->x_plane;
    return t;
}

/* Which taps of the first and last pixel, n pixels from column ow on, lie left or right of the image. */
static void clip_edges(const struct conv_params *p, int64_t ow, struct blk_tile *t)
{
    t->first_out = t->last_out = 0;
    if (conv_pos(p, 1, ow, 0) >= 0 && conv_pos(p, 1, ow + t->n - 1, p->kernel[1] - 1) < p->in[1])
        return;
    for (int64_t tw = 0; tw < p->kernel[1]; tw++) {
        if (!conv_inside(p, 1, conv_pos(p, 1, ow, tw)))
            t->first_out |= 1u << tw;
        if (!conv_inside(p, 1, conv_pos(p, 1, ow + t->n - 1, tw)))
            t->last_out |= 1u << tw;
    }
}

/* Place of a tile in its row: wide ones first, the others one pixel less. */
struct place {
    int64_t oh, at, ow;
};

static int64_t tile_start(int64_t out, int64_t row_tiles, int64_t at)
{
    return at * (out / row_tiles) + min_i64(at, out % row_tiles);
}

/* One tile; u: what all tiles of the unit share, with x, y and residual at the beginning of their planes. */
static void one_tile(const struct conv_run *r, const struct blk_tile *u, struct blk_tile *t, struct place at)
{
    const struct conv_params *p = &r->p;
    int block = r->kern->block;
    int64_t px = r->plan->plain ? 1 : block, to = at.oh * r->row_out + at.ow * r->px_out;
    bool whole = r->plan->copied || r->plan->plain;
    int64_t col = at.ow * p->stride[1] - (r->plan->copied ? 0 : p->pad[1]);
    if (!whole)
        clip_edges(p, at.ow, t);
    t->x = u->x + (conv_pos(p, 0, at.oh, 0) * r->in_width + col) * px;
    t->y = u->y + to;
    t->e.res = u->e.res ? u->e.res + to : NULL;
    r->kern->run(t);
    for (int v = 0; t->finish && r->io->post && v < t->vecs; v++)
        r->io->post(t->y + v * t->y_step, (int64_t)t->n * block, r->io->post_arg);
}

/* The weights that are wanted next lie behind those at hand: each tile fetches its share of them. */
static void fetch_soon(const struct conv_run *r, struct blk_tile *t, int64_t tiles)
{
    int64_t taps = t->blocks * t->kh * t->kw;
    int64_t lines = taps * t->chans * t->vecs * r->kern->block / LINE;
    t->soon = t->w + lines * LINE;
    t->soon_lines = (int)ceil_div(lines, taps * tiles);
}

/* Band number `band` of tiles over the input channels that u is set to. */
static void run_tiles(const struct conv_run *r, const struct blk_tile *u, int64_t band)
{
    struct blk_tile t = *u;
    int64_t out = r->p.out[1], row_tiles = ceil_div(out, r->kern->pixels[t.vecs - 1]);
    int64_t tiles = r->p.out[0] * row_tiles, j = band * tiles / r->bands, end = (band + 1) * tiles / r->bands;
    struct place at = {j / row_tiles, j % row_tiles, 0};
    if (j == end)
        return;
    at.ow = tile_start(out, row_tiles, at.at);
    fetch_soon(r, &t, end - j);
    for (; j < end; at.oh++, at.at = at.ow = 0) {
        struct blk_span rows = blk_span(&r->p, 0, at.oh);
        t.th0 = rows.lo;
        t.th1 = rows.hi;
        for (; j < end && at.at < row_tiles; j++, at.at++) {
            t.n = (int)(out / row_tiles + (at.at < out % row_tiles));
            one_tile(r, u, &t, at);
            t.soon += t.soon_lines * LINE * t.blocks * t.kh * t.kw;
            at.ow += t.n;
        }
    }
}

static void run_unit(const struct conv_run *r, int64_t unit)
{
    int64_t chunk = unit % r->ch.count, g = unit / r->ch.count % r->p.groups;
    int64_t band = unit / r->ch.count / r->p.groups;
    struct blk_tile whole = unit_tile(r, g, chunk);
    int block = r->kern->block;
    int64_t ci = r->p.ci / r->p.groups, blocks = r->plan->plain ? 1 : ceil_div(ci, block);
    int64_t each = (int64_t)sizeof(float) * whole.vecs * block * whole.chans * whole.kh * whole.kw;
    int64_t ranges = ceil_div(blocks, each < WEIGHT_BYTES ? WEIGHT_BYTES / each : 1);
    for (int64_t i = 0; i < ranges; i++) {
        int64_t b0 = i * blocks / ranges, b1 = (i + 1) * blocks / ranges;
        struct blk_tile t = whole;
        t.blocks = b1 - b0;
        t.last_chans = b1 < blocks || r->plan->plain ? t.chans : (int)(ci - (b1 - 1) * block);
        t.x += b0 * t.block_step;
        t.w += b0 * block * t.kh * t.kw * t.vecs * block;
        t.load = b0 > 0;
        t.finish = b1 == blocks;
        run_tiles(r, &t, band);
    }
}

static void par_units(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    for (int64_t u = begin; u < end; u++)
        run_unit(arg, u);
}

/* How many bands: image parts that fit the cache, and enough for all threads. */
static void plan_bands(struct conv_run *r, int threads)
{
    const struct conv_params *p = &r->p;
    int64_t image = p->ci / p->groups * p->in[0] * p->in[1] * (int64_t)sizeof(float);
    int64_t tiles = p->out[0] * ceil_div(p->out[1], r->kern->pixels[0]);
    int64_t units = r->ch.count * p->groups, want = (int64_t)UNITS_PER_THREAD * threads;
    r->bands = ceil_div(image, IMAGE_BYTES);
    if (r->bands * units < want && threads > 1)
        r->bands = ceil_div(want, units);
    r->bands = r->bands < 1 ? 1 : min_i64(r->bands, tiles);
}

/* ---- the padded copy ---- */

struct pad_run {
    const struct conv_params *p;
    const float *x;
    float *to;
    int64_t px, width; /* floats of a pixel, columns of the copy */
};

/* Rows [begin, end) of the copy; columns outside the image are 0. */
static void par_pad(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct pad_run *r = arg;
    int64_t in = r->p->in[1], pad = r->p->pad[1], lo = pad > 0 ? min_i64(pad, r->width) : 0;
    int64_t from = pad < 0 ? -pad : 0, n = min_i64(in - from, r->width - lo);
    n = n < 0 ? 0 : n;
    for (int64_t i = begin; i < end; i++) {
        float *to = r->to + i * r->width * r->px;
        memset(to, 0, (size_t)(lo * r->px) * sizeof(float));
        memcpy(to + lo * r->px, r->x + (i * in + from) * r->px, (size_t)(n * r->px) * sizeof(float));
        memset(to + (lo + n) * r->px, 0, (size_t)((r->width - lo - n) * r->px) * sizeof(float));
    }
}

static void pad_image(struct conv_run *r, const float *x, float *to, struct pool *pool)
{
    const struct conv_params *p = &r->p;
    int64_t px = r->plan->plain ? 1 : r->kern->block;
    struct pad_run job = {p, x, to, px, padded_width(p)};
    int64_t rows = (r->plan->plain ? p->ci : ceil_div(p->ci, px)) * p->in[0];
    par_for(pool, rows, 1 + ROW_WORK / (job.width * px), par_pad, &job);
    r->x = to;
    r->in_width = job.width;
    r->x_plane = p->in[0] * job.width;
}

/* ---- the pixels that a strided pointwise convolution reads ---- */

static void par_pick(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct pad_run *r = arg;
    const struct conv_params *p = r->p;
    for (int64_t i = begin; i < end; i++) {
        int64_t plane = i / p->out[0], oh = i % p->out[0];
        const float *x = r->x + (plane * p->in[0] + oh * p->stride[0]) * p->in[1] * r->px;
        float *to = r->to + i * p->out[1] * r->px;
        for (int64_t ow = 0; ow < p->out[1]; ow++)
            memcpy(to + ow * r->px, x + ow * p->stride[1] * r->px, (size_t)r->px * sizeof(float));
    }
}

static void pick_pixels(struct conv_run *r, const struct conv_params *p, float *to, struct pool *pool)
{
    struct pad_run job = {p, r->x, to, r->kern->block, 0};
    int64_t rows = ceil_div(p->ci, job.px) * p->out[0];
    par_for(pool, rows, 1 + ROW_WORK / (p->out[1] * job.px), par_pick, &job);
    r->x = to;
}

/* ---- depthwise and pooling: rows of planes ---- */

struct rows_run {
    blk_rows_fn *fn;
    const struct conv_params *p;
    int block;
    int64_t blocks; /* of one image */
    const float *x;
    float *y;
    bool padded;
    const int64_t *pad_end;
    const struct blk_io *io; /* depthwise; NULL */
};

static void par_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct rows_run *j = arg;
    const struct conv_params *p = j->p;
    int64_t in = p->in[0] * p->in[1] * j->block, out = p->out[0] * p->out[1] * j->block;
    for (int64_t i = begin, n; i < end; i += n) {
        int64_t plane = i / p->out[0], b = plane % j->blocks;
        struct blk_rows r = {.block = j->block, .p = p, .x = j->x + plane * in, .y = j->y + plane * out};
        r.oh0 = i % p->out[0];
        n = min_i64(end - i, p->out[0] - r.oh0);
        r.oh1 = r.oh0 + n;
        r.padded = j->padded;
        r.pad_end = j->pad_end;
        if (j->io) {
            r.w = (const float *)j->io->w + b * j->block * p->kernel[0] * p->kernel[1];
            r.e = (struct blk_epi){j->io->bias ? j->io->bias + b * j->block : NULL,
                                   j->io->res ? j->io->res + plane * out : NULL, j->io->act, j->io->lo,
                                   j->io->hi};
        }
        j->fn(&r);
        if (j->io && j->io->post)
            j->io->post(r.y + r.oh0 * p->out[1] * j->block, n * p->out[1] * j->block, j->io->post_arg);
    }
}

static void run_rows(struct rows_run *j, struct pool *pool)
{
    const struct conv_params *p = j->p;
    int64_t work = p->out[1] * j->block * p->kernel[0] * p->kernel[1];
    par_for(pool, p->n * j->blocks * p->out[0], 1 + ROW_WORK / (work > 0 ? work : 1), par_rows, j);
}

void blk_pool(const struct kern *k, const struct conv_params *p, blk_rows_fn *fn, bool padded,
              const int64_t *pad_end, const float *x, float *y, struct pool *pool)
{
    int block = k->blk.conv->block;
    struct rows_run j = {fn, p, block, ceil_div(p->ci, block), x, y, padded, pad_end, NULL};
    run_rows(&j, pool);
}

bool blk_pool_suits(const struct conv_params *p)
{
    return p->in[0] <= SMALL_SIDE && p->in[1] <= SMALL_SIDE && p->out[0] <= SMALL_SIDE &&
           p->out[1] <= SMALL_SIDE;
}

size_t blk_pool_plain_scratch(const struct kern *k, const struct conv_params *p)
{
    return (size_t)((p->in[0] * p->in[1] + p->out[0] * p->out[1]) * k->blk.conv->block);
}

struct plain_pool {
    const struct kern *k;
    struct rows_run rows;
    const float *x;
    float *y, *scratch;
    int64_t planes;
};

static void par_plain_pool(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct plain_pool *j = arg;
    const struct conv_params *p = j->rows.p;
    int64_t in = p->in[0] * p->in[1], out = p->out[0] * p->out[1], block = j->rows.block;
    size_t floats = blk_pool_plain_scratch(j->k, p);
    float *x = j->scratch + floats * (size_t)thread, *y = x + in * block;
    memset(x, 0, floats * sizeof(float));
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * block, n = min_i64(block, j->planes - at);
        struct blk_rows r = {.block = (int)block, .p = p, .x = x, .y = y, .oh1 = p->out[0]};
        r.padded = j->rows.padded;
        r.pad_end = j->rows.pad_end;
        j->k->gemm.x32_transpose(j->x + at * in, in, x, block, in, n);
        j->rows.fn(&r);
        j->k->gemm.x32_transpose(y, block, j->y + at * out, out, n, out);
    }
}

void blk_pool_plain(const struct kern *k, const struct conv_params *p, blk_rows_fn *fn, bool padded,
                    const int64_t *pad_end, const float *x, float *y, int64_t planes, struct pool *pool,
                    float *scratch)
{
    int block = k->blk.conv->block;
    struct plain_pool j = {k, {fn, p, block, 1, NULL, NULL, padded, pad_end, NULL}, x, y, scratch, planes};
    int64_t work = p->out[0] * p->out[1] * p->kernel[0] * p->kernel[1] * block;
    par_for(pool, ceil_div(planes, block), 1 + ROW_WORK / (work > 0 ? work : 1), par_plain_pool, &j);
}

void blk_conv(const struct kern *k, const struct blk_plan *plan, const struct blk_io *io, struct pool *pool,
              void *scratch)
{
    const struct conv_params *p = &plan->p;
    int block = k->blk.conv->block;
    struct conv_run r = {.kern = k->blk.conv, .plan = plan, .io = io, .p = *p, .ch = chunks_of(plan, block)};
    if (p->n == 0 || p->out[0] == 0 || p->out[1] == 0)
        return;
    if (plan->depthwise) {
        struct rows_run j = {k->blk.dw, p, block, ceil_div(p->ci, block), io->x, io->y, false, NULL, io};
        run_rows(&j, pool);
        return;
    }
    if (is_pointwise(p) || plan->picked) {
        r.p.in[1] = r.p.out[1] = p->out[0] * p->out[1];
        r.p.in[0] = r.p.out[0] = 1;
        r.p.stride[0] = r.p.stride[1] = 1;
    }
    r.y_plane = p->out[0] * p->out[1];
    r.row_out = r.p.out[1] * block;
    r.px_out = block;
    plan_bands(&r, pool ? pool_size(pool) : 1);
    int64_t x_step = (plan->plain ? p->ci : blk_round(p->ci, block)) * p->in[0] * p->in[1];
    int64_t y_step = blk_round(p->co, block) * r.y_plane;
    for (int64_t n = 0; n < p->n; n++) {
        r.x = io->x + n * x_step;
        r.y = io->y + n * y_step;
        r.res = io->res ? io->res + n * y_step : NULL;
        r.in_width = r.p.in[1];
        r.x_plane = r.p.in[0] * r.p.in[1];
        if (plan->copied)
            pad_image(&r, r.x, scratch, pool);
        if (plan->picked)
            pick_pixels(&r, p, scratch, pool);
        par_for(pool, r.bands * p->groups * r.ch.count, 1, par_units, &r);
    }
}

/* ---- transposed ---- */

bool blk_conv_t_takes(const struct conv_params *p)
{
    for (int i = 0; i < 2; i++)
        if (p->kernel[i] != p->stride[i] || p->pad[i] != 0 || p->dilation[i] != 1 ||
            p->in[i] > INT64_MAX / 4 / p->stride[i] || p->out[i] != p->in[i] * p->stride[i])
            return false;
    return p->rank == 2 && p->groups == 1;
}

bool blk_conv_t_plan(const struct kern *k, const struct conv_params *p, struct blk_plan *plan)
{
    struct conv_params one = *p, three = conv_three_axes(p);
    for (int i = 0; i < 2; i++) {
        one.kernel[i] = one.stride[i] = 1;
        one.out[i] = one.in[i];
    }
    if (!conv_sizes_fit(&three) || !blk_conv_plan(k, &one, false, plan))
        return false;
    plan->p = one; /* axes as they are */
    plan->up[0] = p->stride[0];
    plan->up[1] = p->stride[1];
    plan->name = "blocked transposed";
    return mul_size(plan->weight_bytes, (size_t)(plan->up[0] * plan->up[1]), &plan->weight_bytes);
}

void blk_conv_t_pack(const struct kern *k, const struct blk_plan *plan, const float *w, void *packed)
{
    const struct conv_params *p = &plan->p;
    int64_t taps = plan->up[0] * plan->up[1];
    float *to = packed;
    for (int64_t t = 0; t < taps; t++) {
        struct weights tap = {w + t, taps, p->co * taps, 0, 1, p->ci, p->co};
        to = pack_group(k, plan, &tap, k->blk.conv->block, to);
    }
}

void blk_conv_t(const struct kern *k, const struct blk_plan *plan, const struct blk_io *io, struct pool *pool)
{
    const struct conv_params *p = &plan->p;
    int block = k->blk.conv->block;
    int64_t all = blk_round(p->co, block), width = p->out[1] * plan->up[1];
    struct blk_io part = *io;
    struct conv_run r = {
        .kern = k->blk.conv, .plan = plan, .io = &part, .p = *p, .ch = chunks_of(plan, block)};
    if (p->out[0] == 0 || p->out[1] == 0)
        return;
    r.in_width = p->in[1];
    r.x_plane = p->in[0] * p->in[1];
    r.y_plane = r.x_plane * plan->up[0] * plan->up[1];
    r.row_out = plan->up[0] * width * block;
    r.px_out = plan->up[1] * block;
    plan_bands(&r, pool ? pool_size(pool) : 1);
    for (int64_t n = 0; n < p->n; n++)
        for (int64_t t = 0; t < plan->up[0] * plan->up[1]; t++) {
            part.w = (const float *)io->w + t * all * p->ci;
            r.x = io->x + n * blk_round(p->ci, block) * r.x_plane;
            r.y = io->y + n * all * r.y_plane + (t / plan->up[1] * width + t % plan->up[1]) * block;
            par_for(pool, r.bands * r.ch.count, 1, par_units, &r);
        }
}

/* ---- to and from plain layout ---- */

struct reorder_run {
    const struct kern *k;
    const float *x;
    float *y;
    int64_t channels, blocks, plane;
};

enum { REORDER_PIXELS = 256 };

static void par_from_plain(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct reorder_run *r = arg;
    int block = r->k->blk.conv->block;
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i % r->blocks * block, n = min_i64(block, r->channels - c);
        const float *x = r->x + (i / r->blocks * r->channels + c) * r->plane;
        float *y = r->y + i * block * r->plane;
        if (n < block)
            memset(y, 0, (size_t)(block * r->plane) * sizeof(float));
        for (int64_t at = 0; at < r->plane; at += REORDER_PIXELS)
            r->k->gemm.x32_transpose(x + at, r->plane, y + at * block, block,
                                     min_i64(REORDER_PIXELS, r->plane - at), n);
    }
}

static void par_to_plain(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct reorder_run *r = arg;
    int block = r->k->blk.conv->block;
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i % r->blocks * block, n = min_i64(block, r->channels - c);
        const float *x = r->x + i * block * r->plane;
        float *y = r->y + (i / r->blocks * r->channels + c) * r->plane;
        for (int64_t at = 0; at < r->plane; at += REORDER_PIXELS)
            r->k->gemm.x32_transpose(x + at * block, block, y + at, r->plane, n,
                                     min_i64(REORDER_PIXELS, r->plane - at));
    }
}

static void reorder(const struct kern *k, par_fn *fn, const float *x, float *y, int64_t n, int64_t channels,
                    int64_t plane, struct pool *pool)
{
    int block = k->blk.conv->block;
    struct reorder_run r = {k, x, y, channels, ceil_div(channels, block), plane};
    par_for(pool, n * r.blocks, 1 + ROW_WORK / (plane > 0 ? plane * block : 1), fn, &r);
}

void blk_from_plain(const struct kern *k, const float *x, float *y, int64_t n, int64_t channels,
                    int64_t plane, struct pool *pool)
{
    reorder(k, par_from_plain, x, y, n, channels, plane, pool);
}

void blk_to_plain(const struct kern *k, const float *x, float *y, int64_t n, int64_t channels, int64_t plane,
                  struct pool *pool)
{
    reorder(k, par_to_plain, x, y, n, channels, plane, pool);
}
