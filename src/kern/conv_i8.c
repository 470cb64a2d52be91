/* Plans and the driver of 8-bit convolutions; see conv_i8.h.
 *
 *   x [ci][pixels] --turn--> image [pixels][ci] --windows--> rows [pixels][taps ci] --product--> sums
 *   [pixels][co] --requantize--> bytes --turn--> y [co][pixels] */
#include "kern/conv_i8.h"

#include <string.h>

#include "base/checked.h"
#include "base/round.h"
#include "kern/conv_index.h"
#include "kern/kern.h"

enum { ROWS_MIN = 14, ROWS_MAX = 224, PIECE_BYTES = 1 << 19, TURN_PIXELS = 256 };

static int64_t kdim_of(const struct conv_params *p)
{
    return p->ci / p->groups * conv_taps(p);
}

/* Output channels of one product. */
static int64_t width_of(const struct conv_i8_plan *plan)
{
    return plan->depthwise ? plan->p.co : plan->p.co / plan->p.groups;
}

static struct gemm_i8 product_of(const struct conv_i8_plan *plan)
{
    const struct conv_params *p = &plan->p;
    int64_t kdim = kdim_of(p);
    struct gemm_i8 g = {.m = plan->rows, .n = width_of(plan), .k = kdim, .a_rs = kdim, .a_cs = 1};
    g.b_packed = plan; /* sizes depend on its being packed, not on where */
    g.ldc = g.n;
    return g;
}

/* Where the parts of a piece lie: window rows (or taps), sums, bytes, scratch of the product. */
struct piece {
    size_t rows, acc, bytes, gemm, total;
};

static bool piece_parts(const struct kern *k, const struct conv_i8_plan *plan, struct piece *s)
{
    struct gemm_i8 g = product_of(plan);
    size_t width = (size_t)g.n, rows = (size_t)plan->rows, gemm = 0;
    if (!mul_size(rows, plan->depthwise ? 0 : (size_t)g.k, &s->rows) || !mul_size(rows, width, &s->bytes) ||
        s->bytes > SIZE_MAX / 64 || s->rows > SIZE_MAX / 64)
        return false;
    if (plan->depthwise)
        s->rows = (size_t)conv_taps(&plan->p) * sizeof(struct dw_tap);
    else if (!gemm_i8_scratch(k, &g, &gemm))
        return false;
    s->rows = round64(s->rows);
    s->acc = round64(s->bytes * 4);
    s->bytes = round64(s->bytes);
    s->gemm = round64(gemm);
    return add_size(s->rows + s->acc + s->bytes, s->gemm, &s->total);
}

static int64_t choose_rows(const struct conv_params *p, int64_t row_bytes)
{
    int64_t pixels = conv_out_plane(p), n = PIECE_BYTES / (row_bytes > 0 ? row_bytes : 1);
    n = n < ROWS_MIN ? ROWS_MIN : n > ROWS_MAX ? ROWS_MAX : n / ROWS_MIN * ROWS_MIN;
    return n < pixels ? n : pixels > 0 ? pixels : 1;
}

bool conv_i8_plan(const struct kern *k, const struct conv_params *p, int nthreads, struct conv_i8_plan *plan)
{
    memset(plan, 0, sizeof(*plan));
    plan->p = conv_three_axes(p);
    plan->nthreads = nthreads < 1 ? 1 : nthreads;
    p = &plan->p;
    if (!conv_sizes_fit(p))
        return false;
    plan->depthwise = p->groups > 1 && p->ci == p->groups && p->co == p->ci;
    plan->rows = choose_rows(p, kdim_of(p) + 4 * width_of(plan));
    if (plan->depthwise) {
        plan->group_bytes = (size_t)conv_taps(p);
        plan->weight_bytes = plan->group_bytes * (size_t)p->co;
        plan->taps_bytes = round64(plan->weight_bytes * 2);
    } else {
        if (!gemm_i8_pack_b_size(k, kdim_of(p), width_of(plan), &plan->group_bytes))
            return false;
        plan->group_bytes = round64(plan->group_bytes);
        plan->tmp_bytes = (size_t)(width_of(plan) * kdim_of(p));
        if (!mul_size(plan->group_bytes, (size_t)p->groups, &plan->weight_bytes))
            return false;
    }
    struct piece s;
    size_t pieces;
    plan->image_bytes = round64((size_t)(p->ci * conv_in_plane(p)));
    if (!piece_parts(k, plan, &s) || !mul_size(s.total, (size_t)plan->nthreads, &pieces))
        return false;
    plan->piece_bytes = s.total;
    return add_size(pieces, plan->image_bytes + plan->taps_bytes, &plan->scratch_bytes);
}

/* dst[a][c][b] = src[a][b][c]. */
static void swap_inner(const uint8_t *src, int64_t na, int64_t nb, int64_t nc, uint8_t *dst)
{
    for (int64_t a = 0; a < na; a++, src += nb * nc, dst += nb * nc)
        for (int64_t b = 0; b < nb; b++)
            for (int64_t c = 0; c < nc; c++)
                dst[c * nb + b] = src[b * nc + c];
}

void conv_i8_pack(const struct kern *k, const struct conv_i8_plan *plan, const void *w, bool w_signed,
                  void *packed, void *tmp)
{
    const struct conv_params *p = &plan->p;
    int64_t cig = p->ci / p->groups, n = width_of(plan), taps = conv_taps(p), kdim = kdim_of(p);
    if (plan->depthwise) {
        swap_inner(w, 1, p->co, taps, packed);
        return;
    }
    for (int64_t g = 0; g < p->groups; g++) {
        swap_inner((const uint8_t *)w + g * n * kdim, n, cig, taps, tmp);
        gemm_i8_pack_b(k, kdim, n, tmp, w_signed, 1, kdim, (char *)packed + plan->group_bytes * (size_t)g);
    }
}

struct run {
    const struct kern *k;
    const struct conv_i8_plan *plan;
    const struct conv_i8_io *io;
    struct piece part;
    const uint8_t *x;     /* one image, channels first */
    uint8_t *turned;      /* the same, channels last */
    const uint8_t *image; /* what pieces read: turned, or x where that is the same */
    int16_t *taps;        /* of a depthwise layer: weights less zero points, [tap][channel] */
    char *pieces;
    struct pool *pool; /* inside one piece */
    int64_t at;        /* number of the image */
    int64_t per_group; /* pieces */
};

static void turn_pixels(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct run *r = arg;
    int64_t ci = r->plan->p.ci, plane = conv_in_plane(&r->plan->p), n = end - begin;
    (void)thread;
    r->k->move.transpose[W1](r->x + begin, (size_t)plane, r->turned + begin * ci, (size_t)ci, (size_t)ci,
                             (size_t)n);
}

/* Where output pixel i reads: coordinates of its first tap. */
struct window_at {
    int64_t d, h, w;
};

static struct window_at window_at(const struct conv_params *p, int64_t i)
{
    int64_t ow = i % p->out[2], oh = i / p->out[2] % p->out[1], od = i / p->out[2] / p->out[1];
    return (struct window_at){conv_pos(p, 0, od, 0), conv_pos(p, 1, oh, 0), conv_pos(p, 2, ow, 0)};
}

/* One row of taps along the last axis; line: the image's line, NULL outside; channels [c0, c0 + cig). */
static uint8_t *gather_line(const struct run *r, const uint8_t *line, int64_t w0, int64_t cig, uint8_t *dst)
{
    const struct conv_params *p = &r->plan->p;
    int64_t kw = p->kernel[2], pad = r->io->xz;
    if (!line) {
        memset(dst, (int)(pad & 0xff), (size_t)(kw * cig));
    } else if (cig == p->ci && p->dilation[2] == 1) {
        int64_t lo = w0 < 0 ? -w0 : 0, hi = p->in[2] - w0;
        lo = lo > kw ? kw : lo;
        hi = hi > kw ? kw : hi < lo ? lo : hi;
        memset(dst, (int)(pad & 0xff), (size_t)(lo * cig));
        if (hi > lo)
            memcpy(dst + lo * cig, line + (w0 + lo) * cig, (size_t)((hi - lo) * cig));
        memset(dst + hi * cig, (int)(pad & 0xff), (size_t)((kw - hi) * cig));
    } else {
        for (int64_t t = 0; t < kw; t++) {
            int64_t at = w0 + t * p->dilation[2];
            if (conv_inside(p, 2, at))
                memcpy(dst + t * cig, line + at * p->ci, (size_t)cig);
            else
                memset(dst + t * cig, (int)(pad & 0xff), (size_t)cig);
        }
    }
    return dst + kw * cig;
}

static const uint8_t *line_at(const struct run *r, int64_t d, int64_t h)
{
    const struct conv_params *p = &r->plan->p;
    bool inside = conv_inside(p, 0, d) && conv_inside(p, 1, h);
    return inside ? r->image + (d * p->in[1] + h) * p->in[2] * p->ci : NULL;
}

static void gather_windows(const struct run *r, int64_t g, int64_t pix0, int64_t npix, uint8_t *dst)
{
    const struct conv_params *p = &r->plan->p;
    int64_t cig = p->ci / p->groups;
    for (int64_t i = 0; i < npix; i++) {
        struct window_at at = window_at(p, pix0 + i);
        for (int64_t td = 0; td < p->kernel[0]; td++)
            for (int64_t th = 0; th < p->kernel[1]; th++) {
                const uint8_t *line = line_at(r, at.d + td * p->dilation[0], at.h + th * p->dilation[1]);
                dst = gather_line(r, line ? line + g * cig : NULL, at.w, cig, dst);
            }
    }
}

/* The taps of one output pixel that lie inside the image; returns their number. */
static int64_t list_taps(const struct run *r, int64_t pixel, struct dw_tap *tap)
{
    const struct conv_params *p = &r->plan->p;
    struct window_at at = window_at(p, pixel);
    const int16_t *w = r->taps;
    int64_t n = 0;
    for (int64_t td = 0; td < p->kernel[0]; td++)
        for (int64_t th = 0; th < p->kernel[1]; th++) {
            const uint8_t *line = line_at(r, at.d + td * p->dilation[0], at.h + th * p->dilation[1]);
            for (int64_t tw = 0; tw < p->kernel[2]; tw++, w += p->co) {
                int64_t x = at.w + tw * p->dilation[2];
                if (line && conv_inside(p, 2, x))
                    tap[n++] = (struct dw_tap){line + x * p->ci, w};
            }
        }
    return n;
}

/* Sums of npix pixels by channels [c0, c0 + width) to where they belong. */
static void finish(const struct run *r, const int32_t *acc, uint8_t *bytes, int64_t c0, int64_t pix0,
                   int64_t npix)
{
    const struct conv_i8_io *io = r->io;
    int64_t plane = conv_out_plane(&r->plan->p), width = width_of(r->plan);
    int64_t to = (r->at * r->plan->p.co + c0) * plane + pix0;
    if (io->y) {
        r->k->move.transpose[W4](acc, (size_t)width, io->y + to, (size_t)plane, (size_t)npix, (size_t)width);
        return;
    }
    io->requant(acc, io->bias ? io->bias + c0 : NULL, io->mult + (io->per_channel ? c0 : 0), io->per_channel,
                io->yz, bytes, (size_t)npix, (size_t)width, (size_t)width);
    r->k->move.transpose[W1](bytes, (size_t)width, (uint8_t *)io->q + to, (size_t)plane, (size_t)npix,
                             (size_t)width);
}

static void product_piece(const struct run *r, int64_t g, int64_t pix0, int64_t npix, char *scratch)
{
    const struct conv_params *p = &r->plan->p;
    struct gemm_i8 m = product_of(r->plan);
    m.m = npix;
    m.a_signed = r->io->x_signed;
    m.b_signed = r->io->w_signed;
    m.za = &r->io->xz;
    m.zb = r->io->wz ? r->io->wz + g * m.n * r->io->wz_step : NULL;
    m.zb_step = r->io->wz_step;
    m.b_packed = (const char *)r->io->w + r->plan->group_bytes * (size_t)g;
    m.c = (int32_t *)(scratch + r->part.rows);
    if (conv_is_pointwise(p)) {
        m.a = r->image + pix0 * p->ci + g * (p->ci / p->groups);
        m.a_rs = p->ci;
    } else {
        gather_windows(r, g, pix0, npix, (uint8_t *)scratch);
        m.a = scratch;
    }
    uint8_t *bytes = (uint8_t *)scratch + r->part.rows + r->part.acc;
    gemm_i8_run(r->k, &m, r->pool, bytes + r->part.bytes);
    finish(r, m.c, bytes, g * m.n, pix0, npix);
}

static void depthwise_piece(const struct run *r, int64_t pix0, int64_t npix, char *scratch)
{
    int64_t channels = r->plan->p.co;
    struct dw_tap *tap = (struct dw_tap *)scratch;
    int32_t *acc = (int32_t *)(scratch + r->part.rows);
    for (int64_t i = 0; i < npix; i++) {
        int64_t n = list_taps(r, pix0 + i, tap);
        r->k->conv.dw_i8(tap, n, r->io->x_signed, r->io->xz, acc + i * channels, channels);
    }
    finish(r, acc, (uint8_t *)scratch + r->part.rows + r->part.acc, 0, pix0, npix);
}

static void run_pieces(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct run *r = arg;
    char *scratch = r->pieces + r->plan->piece_bytes * (size_t)thread;
    int64_t pixels = conv_out_plane(&r->plan->p);
    for (int64_t i = begin; i < end; i++) {
        int64_t pix0 = i % r->per_group * r->plan->rows, left = pixels - pix0;
        int64_t n = left < r->plan->rows ? left : r->plan->rows;
        if (r->plan->depthwise)
            depthwise_piece(r, pix0, n, scratch);
        else
            product_piece(r, i / r->per_group, pix0, n, scratch);
    }
}

/* Weights [tap][channel] less their zero points: within 9 bits and a sign. */
static void convert_taps(const struct run *r)
{
    const struct conv_i8_io *io = r->io;
    const uint8_t *w = io->w;
    int64_t co = r->plan->p.co, n = co * conv_taps(&r->plan->p);
    for (int64_t i = 0; i < n; i++) {
        int32_t zero = io->wz ? io->wz[i % co * io->wz_step] : 0;
        r->taps[i] = (int16_t)((io->w_signed ? (int8_t)w[i] : w[i]) - zero);
    }
}

/* Few pieces are worked on by all threads together. */
static void run_image(struct run *r, struct pool *pool)
{
    const struct conv_params *p = &r->plan->p;
    int64_t plane = conv_in_plane(p), n;
    r->image = r->x;
    if (p->ci > 1 && plane > 1) {
        par_for(pool, plane, TURN_PIXELS, turn_pixels, r);
        r->image = r->turned;
    }
    r->per_group = ceil_div(conv_out_plane(p), r->plan->rows);
    n = r->per_group * (r->plan->depthwise ? 1 : p->groups);
    r->pool = pool && n < pool_size(pool) && !r->plan->depthwise ? pool : NULL;
    if (r->pool)
        run_pieces(r, 0, n, 0);
    else
        par_for(pool, n, 1, run_pieces, r);
}

void conv_i8(const struct kern *k, const struct conv_i8_plan *plan, const struct conv_i8_io *io,
             struct pool *pool, void *scratch)
{
    const struct conv_params *p = &plan->p;
    struct run r = {.k = k, .plan = plan, .io = io, .turned = scratch};
    if (p->n == 0 || p->co == 0 || conv_out_plane(p) == 0 || !piece_parts(k, plan, &r.part))
        return;
    r.taps = (int16_t *)((char *)scratch + plan->image_bytes);
    r.pieces = (char *)scratch + plan->image_bytes + plan->taps_bytes;
    if (plan->depthwise)
        convert_taps(&r);
    for (r.at = 0; r.at < p->n; r.at++) {
        r.x = (const uint8_t *)io->x + r.at * p->ci * conv_in_plane(p);
        run_image(&r, pool);
    }
}
