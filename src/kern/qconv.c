/* Plans, packing and the driver of quantized layers; see qconv.h. */
#include "kern/qconv.h"

#include <string.h>

#include "base/checked.h"
#include "base/round.h"
#include "kern/conv_index.h"
#include "kern/kern.h"

/* Tiles of rows in one piece of work, taps that a depthwise layer may have. */
enum { TILES = 4, MAX_TAPS = 1024, SHORT = 16 };

static int64_t width_of(const struct conv_params *p)
{
    return p->co / p->groups;
}

static int64_t kdim_of(const struct conv_params *p)
{
    return p->ci / p->groups * conv_taps(p);
}

/* Rows of a tile: as even as they get, so that the last one is not a thin one. */
static int64_t tile_rows(const struct kern *k, int64_t m)
{
    int64_t mr = k->qconv.tile->mr;
    return m <= mr ? (m > 0 ? m : 1) : ceil_div(m, ceil_div(m, mr));
}

/* Rows of one piece: few enough that every thread has some. */
static int64_t choose_rows(const struct kern *k, int64_t pixels, int nthreads)
{
    int64_t most = (int64_t)k->qconv.tile->mr * TILES, share = ceil_div(pixels > 0 ? pixels : 1, nthreads);
    return share < most ? share : most;
}

static bool plan_weights(const struct kern *k, struct qconv_plan *plan)
{
    const struct conv_params *p = &plan->p;
    int64_t nr = plan->depthwise ? k->qconv.dw->block : k->qconv.tile->nr;
    plan->quads = ceil_div(plan->depthwise ? conv_taps(p) : kdim_of(p), 4);
    plan->panels = ceil_div(plan->depthwise ? p->co : width_of(p), nr);
    plan->twice = plan->depthwise && p->stride[2] == 1 && nr % p->co == 0 ? nr / p->co : 1;
    size_t groups = plan->depthwise ? 1 : (size_t)p->groups;
    return mul_size((size_t)nr * 4, (size_t)plan->quads + 2, &plan->panel_bytes) &&
           mul_size(plan->panel_bytes, (size_t)plan->panels, &plan->weight_bytes) &&
           mul_size(plan->weight_bytes, groups, &plan->weight_bytes);
}

bool qconv_plan(const struct kern *k, const struct conv_params *p, bool x_signed, int nthreads,
                struct qconv_plan *plan)
{
    size_t pieces;
    memset(plan, 0, sizeof(*plan));
    plan->p = conv_three_axes(p);
    plan->nthreads = nthreads < 1 ? 1 : nthreads;
    plan->x_signed = x_signed;
    p = &plan->p;
    if (!conv_sizes_fit(p))
        return false;
    plan->depthwise = p->groups > 1 && p->ci == p->groups && p->co == p->ci && conv_taps(p) <= MAX_TAPS;
    plan->direct = conv_is_pointwise(p) && p->groups == 1 && !x_signed && p->ci % 4 == 0;
    if (!plan_weights(k, plan))
        return false;
    plan->rows = choose_rows(k, conv_out_plane(p), plan->nthreads);
    if (plan->depthwise)
        plan->piece_bytes = round64((size_t)p->ci) + round64((size_t)plan->quads * 4 * sizeof(uint8_t *));
    else if (!plan->direct && !mul_size((size_t)plan->rows, (size_t)plan->quads * 4, &plan->piece_bytes))
        return false;
    else
        plan->piece_bytes += SHORT;
    plan->piece_bytes = round64(plan->piece_bytes);
    if (!mul_size(plan->piece_bytes, (size_t)plan->nthreads, &pieces))
        return false;
    plan->scratch_bytes = pieces ? pieces : 64;
    return true;
}

/* ---- packing ---- */

/* What stands in front of a panel's weights. */
static int32_t *bias_of(void *panel)
{
    return panel;
}

static float *mult_of(void *panel, int64_t nr)
{
    return (float *)panel + nr;
}

static uint8_t *weights_of(void *panel, int64_t nr)
{
    return (uint8_t *)panel + nr * 8;
}

/* Values are moved up by 128 where they are signed, and the zero point with them. */
static uint32_t moved_zero(const struct qconv_plan *plan, int32_t xz)
{
    return (uint32_t)xz + (plan->x_signed ? 128 : 0);
}

/* Channel o of the layer at place j of a panel: weight kk of its kdim is w[at(kk)]. */
static void finish_column(const struct qconv_plan *plan, void *panel, int64_t nr, int64_t j, int32_t sum,
                          const int32_t *bias, float mult, int32_t xz)
{
    uint32_t b = bias ? (uint32_t)*bias : 0;
    bias_of(panel)[j] = (int32_t)(b - moved_zero(plan, xz) * (uint32_t)sum);
    mult_of(panel, nr)[j] = mult;
}

/* Column o of the product: taps slowest, channels fastest, as windows are gathered. */
static void pack_column(const struct qconv_plan *plan, const uint8_t *w, uint8_t flip, int64_t nr, int64_t j,
                        void *panel, int32_t *sum)
{
    int64_t taps = conv_taps(&plan->p), cig = plan->p.ci / plan->p.groups;
    uint8_t *d = weights_of(panel, nr);
    *sum = 0;
    for (int64_t t = 0, kk = 0; t < taps; t++)
        for (int64_t c = 0; c < cig; c++, kk++) {
            uint8_t v = w[c * taps + t] ^ flip;
            d[kk / 4 * nr * 4 + j * 4 + kk % 4] = v;
            *sum += (int8_t)v;
        }
}

static void pack_product(const struct kern *k, const struct qconv_plan *plan, const uint8_t *w, uint8_t flip,
                         const int32_t *bias, const float *mult, int32_t xz, char *packed)
{
    int64_t nr = k->qconv.tile->nr, width = width_of(&plan->p), kdim = kdim_of(&plan->p);
    for (int64_t o = 0; o < plan->p.co; o++) {
        int64_t g = o / width, j = o % width;
        char *panel = packed + (size_t)(g * plan->panels + j / nr) * plan->panel_bytes;
        int32_t sum;
        pack_column(plan, w + o * kdim, flip, nr, j % nr, panel, &sum);
        finish_column(plan, panel, nr, j % nr, sum, bias ? bias + o : NULL, mult[o], xz);
    }
}

static void pack_depthwise(const struct kern *k, const struct qconv_plan *plan, const uint8_t *w,
                           uint8_t flip, const int32_t *bias, const float *mult, int32_t xz, char *packed)
{
    int64_t nr = k->qconv.dw->block, taps = conv_taps(&plan->p);
    for (int64_t at = 0; at < plan->p.co * plan->twice; at++) {
        int64_t o = at % plan->p.co, c = at % nr, place = c % 16 / 4 * (nr / 4) + c / 16 * 4 + c % 4;
        char *panel = packed + (size_t)(at / nr) * plan->panel_bytes;
        int32_t sum = 0;
        for (int64_t t = 0; t < taps; t++) {
            uint8_t v = w[o * taps + t] ^ flip;
            weights_of(panel, nr)[t / 4 * nr * 4 + place * 4 + t % 4] = v;
            sum += (int8_t)v;
        }
        finish_column(plan, panel, nr, place, sum, bias ? bias + o : NULL, mult[o], xz);
    }
}

void qconv_pack(const struct kern *k, const struct qconv_plan *plan, const uint8_t *w, uint8_t w_flip,
                const int32_t *bias, const float *mult, int32_t xz, void *packed)
{
    memset(packed, 0, plan->weight_bytes);
    if (plan->depthwise)
        pack_depthwise(k, plan, w, w_flip, bias, mult, xz, packed);
    else
        pack_product(k, plan, w, w_flip, bias, mult, xz, packed);
}

/* ---- running ---- */

struct run {
    const struct kern *k;
    const struct qconv_plan *plan;
    const struct qconv_io *io;
    char *scratch;
    int64_t m;         /* rows of a direct product */
    int64_t per_image; /* pieces of an image and group */
    int64_t tiles;     /* of one piece of a direct product, in rows */
};

/* Rows [0, m) of a by panel q of group g to y. */
static void run_panel(const struct run *r, const uint8_t *a, int64_t lda, int64_t m, int64_t g, int64_t q,
                      uint8_t *y)
{
    const struct qconv_plan *plan = r->plan;
    int64_t nr = r->k->qconv.tile->nr, width = width_of(&plan->p), aw = tile_rows(r->k, m);
    char *panel = (char *)(uintptr_t)r->io->w + (size_t)(g * plan->panels + q) * plan->panel_bytes;
    struct q_tile t = {.n = (int)min_i64(nr, width - q * nr),
                       .quads = plan->quads,
                       .lda = lda,
                       .b = (const int8_t *)weights_of(panel, nr),
                       .bias = bias_of(panel),
                       .mult = mult_of(panel, nr),
                       .out = r->io->out,
                       .ldy = plan->p.co};
    for (int64_t i = 0; i < m; i += aw) {
        t.m = (int)min_i64(aw, m - i);
        t.a = a + i * lda;
        t.y = y + i * t.ldy + g * width + q * nr;
        r->k->qconv.tile->run(&t);
    }
}

/* Pieces are (some rows, one panel), panels fastest. */
static void direct_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct run *r = arg;
    const struct conv_params *p = &r->plan->p;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t row = i / r->plan->panels * r->tiles, m = min_i64(r->tiles, r->m - row);
        run_panel(r, r->io->x + row * p->ci, p->ci, m, 0, i % r->plan->panels, r->io->y + row * p->co);
    }
}

/* Where a window lies: its output pixel, and what it is gathered from. */
struct window {
    const uint8_t *image, *end; /* of all memory that may be read */
    int64_t c0;                 /* first channel of the group */
    int64_t d, h, w;            /* of the output */
};

/* Taps of one line of a window; line NULL: outside. Short ones are copied 16 bytes at a time where the source
 * goes on so far: what is too much lies where the next tap or row comes. Returns the end of them. */
static uint8_t *gather_line(const struct run *r, const struct window *at, const uint8_t *line, uint8_t *dst)
{
    const struct conv_params *p = &r->plan->p;
    int64_t cig = p->ci / p->groups, kw = p->kernel[2], w0 = conv_pos(p, 2, at->w, 0);
    int pad = r->io->xz & 0xff;
    if (!line) {
        memset(dst, pad, (size_t)(kw * cig));
        return dst + kw * cig;
    }
    if (cig == p->ci && p->dilation[2] == 1 && w0 >= 0 && w0 + kw <= p->in[2]) {
        const uint8_t *src = line + w0 * cig;
        if (kw * cig <= SHORT && at->end - src >= SHORT)
            memcpy(dst, src, SHORT);
        else
            memcpy(dst, src, (size_t)(kw * cig));
        return dst + kw * cig;
    }
    for (int64_t t = 0; t < kw; t++, dst += cig) {
        int64_t x = w0 + t * p->dilation[2];
        if (conv_inside(p, 2, x))
            memcpy(dst, line + x * p->ci + at->c0, (size_t)cig);
        else
            memset(dst, pad, (size_t)cig);
    }
    return dst;
}

static const uint8_t *line_at(const struct run *r, const uint8_t *image, int64_t d, int64_t h)
{
    const struct conv_params *p = &r->plan->p;
    bool inside = conv_inside(p, 0, d) && conv_inside(p, 1, h);
    return inside ? image + (d * p->in[1] + h) * p->in[2] * p->ci : NULL;
}

/* A window as a row of the product. What follows its values up to whole quads meets weights of zero. */
static void gather_row(const struct run *r, const struct window *at, uint8_t *row)
{
    const struct conv_params *p = &r->plan->p;
    uint8_t *dst = row;
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++)
            dst = gather_line(
                r, at, line_at(r, at->image, conv_pos(p, 0, at->d, td), conv_pos(p, 1, at->h, th)), dst);
    for (uint8_t *q = row; r->plan->x_signed && q < dst; q++)
        *q ^= 0x80;
}

/* m windows from output pixel pix0 on. */
static void gather_rows(const struct run *r, struct window at, int64_t pix0, int64_t m, uint8_t *rows)
{
    const struct conv_params *p = &r->plan->p;
    at.w = pix0 % p->out[2];
    at.h = pix0 / p->out[2] % p->out[1];
    at.d = pix0 / p->out[2] / p->out[1];
    for (int64_t k = 0; k < m; k++, rows += r->plan->quads * 4) {
        gather_row(r, &at, rows);
        if (++at.w == p->out[2]) {
            at.w = 0;
            if (++at.h == p->out[1]) {
                at.h = 0;
                at.d++;
            }
        }
    }
}

/* Piece i is some pixels of one image and group, by all panels. */
static void gather_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct run *r = arg;
    const struct qconv_plan *plan = r->plan;
    const struct conv_params *p = &plan->p;
    uint8_t *rows = (uint8_t *)r->scratch + (size_t)thread * plan->piece_bytes;
    int64_t ld = plan->quads * 4, pixels = conv_out_plane(p), cig = p->ci / p->groups;
    bool in_place = conv_is_pointwise(p) && !plan->x_signed && cig % 4 == 0; /* groups of a 1x1 layer */
    for (int64_t i = begin; i < end; i++) {
        int64_t pix0 = i % r->per_image * plan->rows, g = i / r->per_image % p->groups;
        int64_t image = i / r->per_image / p->groups, m = min_i64(plan->rows, pixels - pix0);
        const uint8_t *x = r->io->x + image * conv_in_plane(p) * p->ci;
        uint8_t *y = r->io->y + (image * pixels + pix0) * p->co;
        struct window at = {.image = x, .end = r->io->x + p->n * conv_in_plane(p) * p->ci, .c0 = g * cig};
        if (!in_place)
            gather_rows(r, at, pix0, m, rows);
        for (int64_t q = 0; q < plan->panels; q++)
            run_panel(r, in_place ? x + pix0 * p->ci + g * cig : rows, in_place ? p->ci : ld, m, g, q, y);
    }
}

/* ---- depthwise ---- */

/* Where the taps of output pixel (od, oh, ow) lie; those outside are at `zero`. */
static void find_taps(const struct run *r, const uint8_t *image, int64_t od, int64_t oh, int64_t ow,
                      const uint8_t *zero, const uint8_t **x)
{
    const struct conv_params *p = &r->plan->p;
    int64_t n = 0;
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++) {
            const uint8_t *line = line_at(r, image, conv_pos(p, 0, od, td), conv_pos(p, 1, oh, th));
            for (int64_t tw = 0; tw < p->kernel[2]; tw++) {
                int64_t at = conv_pos(p, 2, ow, tw);
                x[n++] = line && conv_inside(p, 2, at) ? line + at * p->ci : zero;
            }
        }
    for (; n < r->plan->quads * 4; n++)
        x[n] = x[0];
}

/* Outputs [*lo, *hi) of a line all of whose taps lie inside it. */
static void inner_range(const struct conv_params *p, int64_t *lo, int64_t *hi)
{
    *lo = 0;
    *hi = p->out[2];
    for (int64_t t = 0; t < p->kernel[2]; t++) {
        int64_t a, b;
        conv_range(p, 2, t, &a, &b);
        *lo = a > *lo ? a : *lo;
        *hi = b < *hi ? b : *hi;
    }
    *hi = *hi < *lo ? *lo : *hi;
}

static void run_pixels(const struct run *r, struct q_dw *d, const uint8_t *image, int64_t line, int64_t from,
                       int64_t n, const uint8_t *zero, const uint8_t **x)
{
    const struct conv_params *p = &r->plan->p;
    int64_t side = r->plan->twice, most = n / side;
    find_taps(r, image, line / p->out[1], line % p->out[1], from, zero, x);
    if (side > 1 && most) { /* neighbours as more channels of one pixel */
        struct q_dw wide = *d;
        wide.npix = most;
        wide.channels *= side;
        wide.xstep *= side;
        wide.ystep *= side;
        r->k->qconv.dw->run(&wide);
        d->y += most * side * p->co;
        from += most * side;
        n -= most * side;
        if (n)
            find_taps(r, image, line / p->out[1], line % p->out[1], from, zero, x);
    }
    d->npix = n;
    if (n)
        r->k->qconv.dw->run(d);
    d->y += n * p->co;
}

/* A line of output. Where its lines of input lie outside, taps at `zero` must not move along: pixels one at a
 * time then. */
static void depthwise_line(const struct run *r, struct q_dw *d, const uint8_t *image, int64_t line,
                           const uint8_t *zero, const uint8_t **x)
{
    const struct conv_params *p = &r->plan->p;
    int64_t lo, hi, od = line / p->out[1], oh = line % p->out[1];
    bool inside = true;
    inner_range(p, &lo, &hi);
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++)
            inside = inside && line_at(r, image, conv_pos(p, 0, od, td), conv_pos(p, 1, oh, th));
    if (!inside)
        lo = hi = 0;
    for (int64_t i = 0; i < lo; i++)
        run_pixels(r, d, image, line, i, 1, zero, x);
    if (hi > lo)
        run_pixels(r, d, image, line, lo, hi - lo, zero, x);
    for (int64_t i = hi; i < p->out[2]; i++)
        run_pixels(r, d, image, line, i, 1, zero, x);
}

static void depthwise_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct run *r = arg;
    const struct qconv_plan *plan = r->plan;
    const struct conv_params *p = &plan->p;
    char *mine = r->scratch + (size_t)thread * plan->piece_bytes;
    uint8_t *zero = (uint8_t *)mine;
    const uint8_t **x = (const uint8_t **)(mine + round64((size_t)p->ci));
    int64_t lines = p->out[0] * p->out[1];
    struct q_dw d = {.channels = p->co,
                     .xstep = p->stride[2] * p->ci,
                     .ystep = p->co,
                     .quads = plan->quads,
                     .x = x,
                     .flip = plan->x_signed ? 0x80 : 0,
                     .w = r->io->w,
                     .out = r->io->out};
    memset(zero, r->io->xz & 0xff, (size_t)p->ci);
    for (int64_t i = begin; i < end; i++) {
        d.y = r->io->y + i * p->out[2] * p->co;
        depthwise_line(r, &d, r->io->x + i / lines * conv_in_plane(p) * p->ci, i % lines, zero, x);
    }
}

void qconv(const struct kern *k, const struct qconv_plan *plan, const struct qconv_io *io, struct pool *pool,
           void *scratch)
{
    const struct conv_params *p = &plan->p;
    struct run r = {.k = k, .plan = plan, .io = io, .scratch = scratch};
    int64_t pixels = conv_out_plane(p);
    if (p->n == 0 || p->co == 0 || pixels == 0)
        return;
    if (plan->depthwise) {
        par_for(pool, p->n * p->out[0] * p->out[1], 1, depthwise_range, &r);
    } else if (plan->direct) {
        r.m = p->n * pixels;
        r.tiles = tile_rows(k, r.m) * TILES;
        par_for(pool, ceil_div(r.m, r.tiles) * plan->panels, 1, direct_range, &r);
    } else {
        r.per_image = ceil_div(pixels, plan->rows);
        par_for(pool, p->n * p->groups * r.per_image, 1, gather_range, &r);
    }
}
