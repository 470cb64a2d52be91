/* Blocking. C is cut into one region a thread (a grid of whole panels); a region is worked off as
 *
 *   for M blocks of mo rows, for N blocks of no columns        C block stays in the cache
 *     for blocks of kc along K                                 chain goes on in C
 *       pack no columns of B, if they are not packed
 *       for mc rows of the M block: pack them, if need be; all tiles of (mc x no)
 *
 * What is packed before needs no blocking for reuse; mo and no are chosen so that the other is packed once.
 */
#include "kern/gemm_job.h"

#include <string.h>

#include "base/checked.h"
#include "base/round.h"

/* LINE: floats of a cache line. FETCH_MIN: weights that are not expected in the nearer caches. */
enum { LINE = 16, FETCH_MIN = 1 << 18, MC = 224, NC_WIDE = 512, NC_NARROW = 128, FINISH_ROWS = 16 };

struct blocking {
    int64_t mo, no, mc;
};

/* Parts of one thread's scratch, in floats. */
struct scratch_parts {
    size_t a, b, t;
};

int gemm_a_width(const struct kern *k, int64_t m)
{
    int64_t mr = k->gemm.f32->mr;
    return m <= mr ? (m > 0 ? (int)m : 1) : (int)ceil_div(m, ceil_div(m, mr));
}

bool panels_size(int64_t count, int width, int64_t kdim, size_t *floats)
{
    size_t n;
    return mul_size((size_t)ceil_div(count, width), (size_t)width, &n) && mul_size(n, (size_t)kdim, floats) &&
           *floats <= SIZE_MAX / 8;
}

static void copy_rows(const float *src, int64_t k_step, int64_t kc, int cnt, int width, float *dst)
{
    if (cnt == 32 && width == 32) {
        for (int64_t k = 0; k < kc; k++)
            memcpy(dst + k * 32, src + k * k_step, 32 * sizeof(float));
        return;
    }
    for (int64_t k = 0; k < kc; k++) {
        float *d = dst + k * width;
        memcpy(d, src + k * k_step, (size_t)cnt * sizeof(float));
        memset(d + cnt, 0, (size_t)(width - cnt) * sizeof(float));
    }
}

static void copy_any(const struct panels *s, const float *src, int64_t kc, int cnt, float *dst)
{
    for (int64_t k = 0; k < kc; k++, dst += s->width) {
        for (int i = 0; i < cnt; i++)
            dst[i] = src[i * s->step + k * s->k_step];
        for (int i = cnt; i < s->width; i++)
            dst[i] = 0.0f;
    }
}

/* One panel from row i0 on, for k in [k0, k1). */
static void pack_panel(const struct kern *k, const struct panels *s, int64_t k0, int64_t k1, int64_t i0,
                       float *dst)
{
    int cnt = (int)min_i64(s->width, s->count - i0);
    if (s->image) {
        k->conv.im2col(s->image, k0, k1, i0, cnt, s->width, dst);
        return;
    }
    const float *src = s->src + i0 * s->step + k0 * s->k_step;
    if (s->step == 1) {
        copy_rows(src, s->k_step, k1 - k0, cnt, s->width, dst);
    } else if (s->k_step == 1) {
        k->gemm.x32_transpose(src, s->step, dst, s->width, k1 - k0, cnt);
        if (cnt < s->width)
            for (int64_t kk = 0; kk < k1 - k0; kk++)
                memset(dst + kk * s->width + cnt, 0, (size_t)(s->width - cnt) * sizeof(float));
    } else {
        copy_any(s, src, k1 - k0, cnt, dst);
    }
}

void panels_pack(const struct kern *k, const struct panels *s, int64_t kdim, float *packed)
{
    int64_t kc = k->gemm.f32->kc;
    for (int64_t k0 = 0; k0 < kdim; k0 += kc) {
        int64_t k1 = min_i64(kdim, k0 + kc);
        for (int64_t i = 0; i < s->count; i += s->width) {
            pack_panel(k, s, k0, k1, i, packed);
            packed += s->width * (k1 - k0);
        }
    }
}

/* The panels of [i0, i1) for k in [k0, k1): where they are packed, or made in buf. i0 is on a panel. */
static const float *get_panels(const struct kern *k, const struct panels *s, int64_t k0, int64_t k1,
                               int64_t i0, int64_t i1, float *buf)
{
    if (s->packed)
        return s->packed + k0 * ceil_div(s->count, s->width) * s->width + i0 * (k1 - k0);
    float *d = buf;
    for (int64_t i = i0; i < i1; i += s->width, d += s->width * (k1 - k0))
        pack_panel(k, s, k0, k1, i, d);
    return buf;
}

static struct blocking choose_blocking(const struct gemm_job *job, int64_t m, int64_t n)
{
    struct blocking bl;
    bl.mc = MC / job->a.width * job->a.width;
    if (job->b.packed) {
        bl.mo = bl.mc;
        bl.no = n;
    } else {
        bl.mo = m;
        bl.no = job->a.packed ? NC_NARROW : NC_WIDE;
    }
    return bl;
}

static struct scratch_parts scratch_parts(const struct kern *k, const struct gemm_job *job)
{
    struct scratch_parts s = {0, 0, 0};
    size_t kc = (size_t)min_i64(job->k, k->gemm.f32->kc);
    struct blocking bl = choose_blocking(job, job->a.count, job->b.count);
    int64_t cols = ceil_div(job->b.count, job->b.width) * job->b.width;

    if (!job->a.packed)
        s.a = (size_t)min_i64(bl.mc, ceil_div(job->a.count, job->a.width) * job->a.width) * kc;
    if (!job->b.packed)
        s.b = (size_t)min_i64(bl.no, cols) * kc;
    if (job->c_trans)
        s.t = (size_t)min_i64(bl.mo, job->a.count) * (size_t)cols;
    s.a = (s.a + 15) & ~(size_t)15;
    s.b = (s.b + 15) & ~(size_t)15;
    s.t = (s.t + 15) & ~(size_t)15;
    return s;
}

bool gemm_job_scratch(const struct kern *k, const struct gemm_job *job, int nthreads, size_t *bytes)
{
    size_t unused;
    if (!panels_size(job->a.count, job->a.width, min_i64(job->k, k->gemm.f32->kc), &unused) ||
        !panels_size(job->b.count, job->b.width, min_i64(job->k, k->gemm.f32->kc), &unused) ||
        !panels_size(job->b.count, job->b.width, MC, &unused))
        return false;
    struct scratch_parts s = scratch_parts(k, job);
    return mul_size(s.a + s.b + s.t, (size_t)nthreads * sizeof(float), bytes);
}

struct region {
    int64_t m0, m1, n0, n1;
};

/* One (mc x no) block of tiles, a and b its panels; c its corner. */
struct tiles {
    const struct gemm_f32_tile *kern;
    const float *a, *b;
    int aw;
    int64_t k, m, n, ldc;
    float *c;
    bool load, fetch, backward;
    const struct gemm_epi *e; /* moved to the corner, or NULL */
};

/* The second and third tile of a panel fetch the next one, each every other line, unless that is in the cache
 * anyhow: weights of large layers come from memory. */
static const float *fetch_ahead(const struct tiles *s, const float *b, int64_t tile)
{
    return s->fetch && !s->backward && (tile == 1 || tile == 2)
               ? b + s->kern->nr * s->k + (tile == 1 ? 0 : LINE)
               : NULL;
}

/* The tile at row i, columns [j, j + n). */
static void run_tile(const struct tiles *s, int64_t i, int64_t j, int64_t n,
                     void (*run)(const struct gemm_tile *t))
{
    struct gemm_epi e;
    struct gemm_tile t = {.k = s->k, .as = s->aw, .ldc = s->ldc, .load = s->load, .e = s->e ? &e : NULL};
    t.b = s->b + j * s->k;
    t.n = (int)n;
    t.a = s->a + i * s->k;
    t.m = (int)min_i64(s->aw, s->m - i);
    t.c = s->c + i * s->ldc + j;
    t.next = fetch_ahead(s, t.b, i / s->aw);
    if (s->e) {
        e = *s->e;
        e.bias_m = e.bias_m ? e.bias_m + i : NULL;
        e.bias_n = e.bias_n ? e.bias_n + j : NULL;
        e.res = e.res ? e.res + i * e.ldres + j : NULL;
    }
    run(&t);
}

static void run_tiles(const struct tiles *s)
{
    bool pairs = s->m == 1 && s->kern->run_pair;
    int64_t wide = s->kern->nr * (pairs ? 2 : 1), panels = ceil_div(s->n, wide);
    for (int64_t q = 0; q < panels; q++) {
        int64_t j = (s->backward ? panels - 1 - q : q) * wide, n = min_i64(wide, s->n - j);
        for (int64_t i = 0; i < s->m; i += s->aw)
            run_tile(s, i, j, n, n > s->kern->nr ? s->kern->run_pair : s->kern->run);
    }
}

static struct gemm_epi epi_at(const struct gemm_epi *from, int64_t m, int64_t n)
{
    struct gemm_epi e = *from;
    e.bias_m = e.bias_m ? e.bias_m + m : NULL;
    e.bias_n = e.bias_n ? e.bias_n + n : NULL;
    e.res = e.res ? e.res + m * e.ldres + n : NULL;
    return e;
}

/* Turns the finished sums t[m][n] of block r around and stores them through the epilogue. */
static void finish_trans(const struct kern *k, const struct gemm_job *job, const struct region *r,
                         const float *t, int64_t ldt)
{
    float buf[FINISH_ROWS * MC];
    int64_t m = r->m1 - r->m0;
    for (int64_t n = r->n0; n < r->n1; n += FINISH_ROWS) {
        int64_t rows = min_i64(FINISH_ROWS, r->n1 - n);
        k->gemm.x32_transpose(t + (n - r->n0), ldt, buf, MC, rows, m);
        for (int64_t i = 0; i < rows; i++) {
            float *dst = job->c + (n + i) * job->ldc + r->m0;
            struct gemm_epi e = job->epi;
            e.bias_m = job->epi.bias_n ? job->epi.bias_n + n + i : NULL;
            e.bias_n = job->epi.bias_m ? job->epi.bias_m + r->m0 : NULL;
            e.res = job->epi.res ? job->epi.res + (n + i) * job->epi.ldres + r->m0 : NULL;
            k->gemm.f32_epi_row(&e, 0, 0, buf + i * MC, dst, m);
            if (job->post)
                job->post(dst, m, job->post_arg);
        }
    }
}

/* One (mo x no) block. */
static void run_block(const struct kern *k, const struct gemm_job *job, const struct blocking *bl,
                      const struct region *r, float *scratch)
{
    struct scratch_parts part = scratch_parts(k, job);
    float *abuf = scratch, *bbuf = abuf + part.a, *tbuf = bbuf + part.b;
    int64_t kc = k->gemm.f32->kc, k0 = 0;

    do {
        int64_t k1 = min_i64(job->k, k0 + kc);
        bool last = k1 == job->k;
        struct tiles s = {.kern = k->gemm.f32, .aw = job->a.width, .k = k1 - k0, .n = r->n1 - r->n0};
        s.b = get_panels(k, &job->b, k0, k1, r->n0, r->n1, bbuf);
        s.load = k0 > 0;
        s.backward = job->backward;
        s.fetch = job->b.packed && job->b.count * job->k > FETCH_MIN;
        for (int64_t i = r->m0; i < r->m1; i += bl->mc) {
            struct gemm_epi e = epi_at(&job->epi, i, r->n0);
            s.m = min_i64(bl->mc, r->m1 - i);
            s.a = get_panels(k, &job->a, k0, k1, i, i + s.m, abuf);
            s.ldc = job->c_trans ? r->n1 - r->n0 : job->ldc;
            s.c = job->c_trans ? tbuf + (i - r->m0) * s.ldc : job->c + i * job->ldc + r->n0;
            s.e = last && !job->c_trans ? &e : NULL;
            run_tiles(&s);
            if (last && job->post && !job->c_trans)
                for (int64_t m = 0; m < s.m; m++)
                    job->post(s.c + m * s.ldc, s.n, job->post_arg);
        }
        k0 = k1;
    } while (k0 < job->k);
    if (job->c_trans)
        finish_trans(k, job, r, tbuf, r->n1 - r->n0);
}

static void run_region(const struct kern *k, const struct gemm_job *job, const struct region *r,
                       float *scratch)
{
    struct blocking bl = choose_blocking(job, r->m1 - r->m0, r->n1 - r->n0);
    for (int64_t m = r->m0; m < r->m1; m += bl.mo)
        for (int64_t n = r->n0; n < r->n1; n += bl.no) {
            struct region part = {m, min_i64(r->m1, m + bl.mo), n, min_i64(r->n1, n + bl.no)};
            run_block(k, job, &bl, &part, scratch);
        }
}

/* How C is cut for the threads: tm rows of regions, tn columns. */
struct grid {
    int tm, tn;
};

/* Work of the largest region, where packing an element costs as much as about 16 multiply-adds. */
static struct grid choose_grid(const struct gemm_job *job, int threads)
{
    int64_t pm = ceil_div(job->a.count, job->a.width), pn = ceil_div(job->b.count, job->b.width);
    struct grid best = {1, 1};
    double best_cost = 0;
    for (int tm = 1; tm <= threads; tm++) {
        int tn = threads / tm;
        double m = (double)ceil_div(pm, tm) * job->a.width, n = (double)ceil_div(pn, tn) * job->b.width;
        double cost = m * n + 16.0 * (job->a.packed ? 0 : m) + 16.0 * (job->b.packed ? 0 : n);
        if (tm == 1 || cost < best_cost) {
            best = (struct grid){tm, tn};
            best_cost = cost;
        }
    }
    return best;
}

struct par_job {
    const struct kern *k;
    const struct gemm_job *job;
    struct grid grid;
    float *scratch;
    size_t per_thread; /* floats */
};

static int64_t cut(int64_t count, int width, int i, int parts)
{
    return min_i64(count, ceil_div(count, width) * i / parts * width);
}

static void par_regions(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct par_job *p = arg;
    const struct gemm_job *job = p->job;
    for (int64_t i = begin; i < end; i++) {
        int im = (int)(i / p->grid.tn), in = (int)(i % p->grid.tn);
        struct region r = {cut(job->a.count, job->a.width, im, p->grid.tm),
                           cut(job->a.count, job->a.width, im + 1, p->grid.tm),
                           cut(job->b.count, job->b.width, in, p->grid.tn),
                           cut(job->b.count, job->b.width, in + 1, p->grid.tn)};
        if (r.m0 < r.m1 && r.n0 < r.n1)
            run_region(p->k, job, &r, p->scratch + p->per_thread * (size_t)thread);
    }
}

void gemm_job_run(const struct kern *k, const struct gemm_job *job, struct pool *pool, void *scratch)
{
    struct scratch_parts s = scratch_parts(k, job);
    int threads = pool ? pool_size(pool) : 1;
    /* Below this a second thread costs more than it brings. */
    if ((double)job->a.count * (double)job->b.count * (double)job->k < 32768.0)
        threads = 1;
    struct par_job p = {k, job, choose_grid(job, threads), scratch, s.a + s.b + s.t};
    par_for(threads > 1 ? pool : NULL, p.grid.tm * p.grid.tn, 1, par_regions, &p);
}
