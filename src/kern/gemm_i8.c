/* 8-bit integer products.
 *
 * The tile multiplies unsigned by signed bytes. Signed A is moved up by 128, unsigned B down by 128, and the
 * zero points with them; with u = a + ca, s = b - cb, zu = za + ca, zs = zb - cb:
 *
 *   sum (a - za)(b - zb) = sum (u - zu)(s - zs) = sum u s - zu sum s + zs (K zu - sum u)
 *
 * so a row needs -zu and K zu - sum u, a column sum s and zs. All of it modulo 2^32. */
#include <string.h>

#include "base/checked.h"
#include "base/round.h"
#include "kern/kern.h"

enum { ROW_CHUNK = 8 }; /* A panels in one piece of work */

/* A panel of B: nr column sums, then the quads. In 32-bit units. */
static int64_t b_panel(const struct kern *k, int64_t kdim)
{
    return k->gemm.i8_tile->nr * (1 + ceil_div(kdim, 4));
}

/* count rows of kdim values in whole panels of width, extra 32-bit units a row. */
static bool panel_bytes(int64_t count, int width, int64_t kdim, int64_t extra, size_t *bytes)
{
    size_t n = (size_t)ceil_div(count, width);
    return mul_size(n, (size_t)width * 4, &n) && mul_size(n, (size_t)(ceil_div(kdim, 4) + extra), bytes) &&
           *bytes < SIZE_MAX / 4;
}

bool gemm_i8_pack_b_size(const struct kern *k, int64_t kdim, int64_t n, size_t *bytes)
{
    return panel_bytes(n, k->gemm.i8_tile->nr, kdim, 1, bytes);
}

/* Columns [n0, n0 + cols) into one panel. */
static void pack_b_panel(int64_t kdim, const uint8_t *b, uint8_t flip, int64_t rs, int64_t cs, int cols,
                         int nr, uint32_t *panel)
{
    uint8_t *quads = (uint8_t *)(panel + nr);
    memset(panel, 0, (size_t)nr * 4 * (size_t)(1 + ceil_div(kdim, 4)));
    for (int64_t k = 0; k < kdim; k++) {
        uint8_t *d = quads + k / 4 * nr * 4 + k % 4;
        for (int j = 0; j < cols; j++) {
            uint8_t v = b[k * rs + j * cs] ^ flip;
            d[j * 4] = v;
            panel[j] += (uint32_t)(int32_t)(int8_t)v;
        }
    }
}

void gemm_i8_pack_b(const struct kern *k, int64_t kdim, int64_t n, const void *b, bool is_signed, int64_t rs,
                    int64_t cs, void *packed)
{
    int nr = k->gemm.i8_tile->nr;
    uint32_t *panel = packed;
    for (int64_t j = 0; j < n; j += nr, panel += b_panel(k, kdim))
        pack_b_panel(kdim, (const uint8_t *)b + j * cs, is_signed ? 0 : 0x80, rs, cs, (int)min_i64(nr, n - j),
                     nr, panel);
}

/* Parts of the scratch. */
struct parts {
    size_t a, rows, cols, b, total;
};

static int a_width(const struct kern *k, int64_t m)
{
    int mr = k->gemm.i8_tile->mr;
    return m <= mr ? (m > 0 ? (int)m : 1) : (int)ceil_div(m, ceil_div(m, mr));
}

static bool scratch_parts(const struct kern *k, const struct gemm_i8 *g, struct parts *s)
{
    size_t a, b = 0, cols;
    if (!panel_bytes(g->m, a_width(k, g->m), g->k, 2, &a) ||
        !panel_bytes(g->n, k->gemm.i8_tile->nr, 0, 1, &cols) ||
        (!g->b_packed && !gemm_i8_pack_b_size(k, g->k, g->n, &b)))
        return false;
    s->a = round64(a);
    s->rows = round64((size_t)g->m * 8);
    s->cols = round64(cols);
    s->b = round64(b);
    return add_size(s->a, s->rows, &s->total) && add_size(s->total, s->cols, &s->total) &&
           add_size(s->total, s->b, &s->total);
}

bool gemm_i8_scratch(const struct kern *k, const struct gemm_i8 *g, size_t *bytes)
{
    struct parts s;
    if (!scratch_parts(k, g, &s))
        return false;
    *bytes = s.total;
    return true;
}

struct i8_job {
    const struct kern *k;
    const struct gemm_i8 *g;
    int aw;
    const uint32_t *a, *b;
    uint32_t *row_scale, *row_off, *col_zero;
    int64_t row_pieces;
};

/* A quad of count values, and their sum added to *sum. */
static uint32_t make_quad(const uint8_t *a, int64_t step, int64_t count, uint8_t flip, uint32_t *sum)
{
    uint8_t quad[4] = {0};
    uint32_t q;
    for (int64_t i = 0; i < count; i++) {
        quad[i] = a[i * step] ^ flip;
        *sum += quad[i];
    }
    memcpy(&q, quad, 4);
    return q;
}

/* Row m into its place of a panel; returns the sum of its values. */
static uint32_t pack_a_row(const struct gemm_i8 *g, int64_t m, uint32_t *dst, int aw)
{
    const uint8_t *a = (const uint8_t *)g->a + m * g->a_rs;
    uint32_t flip = g->a_signed ? 0x80808080u : 0, sum = 0;
    int64_t k = 0;
    for (; g->a_cs == 1 && k + 4 <= g->k; k += 4, dst += aw) {
        uint32_t q;
        memcpy(&q, a + k, 4);
        q ^= flip;
        sum += (q & 0xff) + (q >> 8 & 0xff) + (q >> 16 & 0xff) + (q >> 24);
        *dst = q;
    }
    for (; k < g->k; k += 4, dst += aw)
        *dst = make_quad(a + k * g->a_cs, g->a_cs, min_i64(4, g->k - k), (uint8_t)flip, &sum);
    return sum;
}

static void pack_a_panels(void *arg, int64_t begin, int64_t end, int thread)
{
    struct i8_job *j = arg;
    const struct gemm_i8 *g = j->g;
    (void)thread;
    for (int64_t m = begin * j->aw; m < g->m && m < end * j->aw; m++) {
        uint32_t *panel = (uint32_t *)(uintptr_t)j->a + m / j->aw * j->aw * ceil_div(g->k, 4);
        uint32_t zu = (uint32_t)(g->za ? g->za[m * g->za_step] : 0) + (g->a_signed ? 128 : 0);
        uint32_t sum = pack_a_row(g, m, panel + m % j->aw, j->aw);
        j->row_scale[m] = 0 - zu;
        j->row_off[m] = (uint32_t)g->k * zu - sum;
    }
}

static void run_piece(const struct i8_job *j, int64_t panel, int64_t piece)
{
    const struct gemm_i8 *g = j->g;
    int nr = j->k->gemm.i8_tile->nr;
    int64_t quads = ceil_div(g->k, 4), m1 = min_i64(g->m, (piece + 1) * ROW_CHUNK * j->aw);
    const uint32_t *b = j->b + panel * b_panel(j->k, g->k);
    struct gemm_i8_tile t = {.quads = quads, .as = j->aw, .b = b + nr, .ldc = g->ldc};

    t.col_sum = b;
    t.col_zero = j->col_zero + panel * nr;
    t.n = (int)min_i64(nr, g->n - panel * nr);
    for (int64_t m = piece * ROW_CHUNK * j->aw; m < m1; m += j->aw) {
        t.a = j->a + m * quads;
        t.m = (int)min_i64(j->aw, g->m - m);
        t.c = g->c + m * g->ldc + panel * nr;
        t.row_scale = j->row_scale + m;
        t.row_off = j->row_off + m;
        j->k->gemm.i8_tile->run(&t);
    }
}

static void run_pieces(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct i8_job *j = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        run_piece(j, i / j->row_pieces, i % j->row_pieces);
}

void gemm_i8_run(const struct kern *k, const struct gemm_i8 *g, struct pool *pool, void *scratch)
{
    struct parts s;
    struct i8_job j = {.k = k, .g = g, .aw = a_width(k, g->m), .b = g->b_packed};
    char *p = scratch;
    if (g->m <= 0 || g->n <= 0 || !scratch_parts(k, g, &s))
        return;
    j.a = (const uint32_t *)p;
    j.row_scale = (uint32_t *)(p + s.a);
    j.row_off = j.row_scale + g->m;
    j.col_zero = (uint32_t *)(p + s.a + s.rows);
    if (!g->b_packed) {
        void *b = p + s.a + s.rows + s.cols;
        gemm_i8_pack_b(k, g->k, g->n, g->b, g->b_signed, g->b_rs, g->b_cs, b);
        j.b = b;
    }
    memset(j.col_zero, 0, s.cols);
    for (int64_t n = 0; n < g->n; n++)
        j.col_zero[n] = (uint32_t)(g->zb ? g->zb[n * g->zb_step] : 0) - (g->b_signed ? 0 : 128);
    par_for(pool, ceil_div(g->m, j.aw), 4, pack_a_panels, &j);
    j.row_pieces = ceil_div(g->m, (int64_t)ROW_CHUNK * j.aw);
    par_for(pool, ceil_div(g->n, k->gemm.i8_tile->nr) * j.row_pieces, 1, run_pieces, &j);
}
