/* The driver: which path serves a product. */
#include "kern/gemm.h"

#include <string.h>

#include "base/checked.h"
#include "kern/gemm_epi.h"
#include "kern/gemm_job.h"

enum { GEMV_ROWS = 4, GEMV_GRAIN = 256 };

bool gemm_f32_pack_a_size(const struct kern *k, int64_t m, int64_t kdim, size_t *bytes)
{
    size_t n;
    return panels_size(m, gemm_a_width(k, m), kdim, &n) && mul_size(n, sizeof(float), bytes);
}

bool gemm_f32_pack_b_size(const struct kern *k, int64_t kdim, int64_t n, size_t *bytes)
{
    size_t count;
    return panels_size(n, k->gemm.f32->nr, kdim, &count) && mul_size(count, sizeof(float), bytes);
}

void gemm_f32_pack_a(const struct kern *k, int64_t m, int64_t kdim, const float *a, int64_t rs, int64_t cs,
                     void *packed)
{
    struct panels s = {.count = m, .width = gemm_a_width(k, m), .src = a, .step = rs, .k_step = cs};
    panels_pack(k, &s, kdim, packed);
}

void gemm_f32_pack_b(const struct kern *k, int64_t kdim, int64_t n, const float *b, int64_t rs, int64_t cs,
                     void *packed)
{
    struct panels s = {.count = n, .width = k->gemm.f32->nr, .src = b, .step = cs, .k_step = rs};
    panels_pack(k, &s, kdim, packed);
}

static struct gemm_job make_job(const struct kern *k, const struct gemm_f32 *g)
{
    struct gemm_job job = {.k = g->k, .c = g->c, .ldc = g->ldc, .epi = g->epi};
    job.a = (struct panels){.count = g->m,
                            .width = gemm_a_width(k, g->m),
                            .packed = g->a_packed,
                            .src = g->a,
                            .step = g->a_rs,
                            .k_step = g->a_cs};
    job.b = (struct panels){.count = g->n,
                            .width = k->gemm.f32->nr,
                            .packed = g->b_packed,
                            .src = g->b,
                            .step = g->b_cs,
                            .k_step = g->b_rs};
    job.post = g->post;
    job.post_arg = g->post_arg;
    job.backward = g->backward;
    return job;
}

/* A product with few rows (or, turned around, few columns) of an unpacked matrix that is read once. */
struct gemv_job {
    struct gemv v;
    gemv_fn *fn;
    epi_row_fn *epi_row;
    bool turned; /* rows of v are columns of C */
    int64_t n;
    const struct gemm_f32 *g;
};

/* Few rows x, a matrix y whose element (k, n) is y[k * rs + n * cs]. */
static bool gemv_side(const struct kern *k, int64_t m, const float *x, int64_t x_rs, int64_t x_cs,
                      const float *y, int64_t rs, int64_t cs, struct gemv_job *j)
{
    if (m > GEMV_ROWS || (cs != 1 && rs != 1))
        return false;
    j->v = (struct gemv){.m = (int)m, .k = j->g->k, .a = x, .a_rs = x_rs, .a_cs = x_cs, .b = y};
    j->fn = cs == 1 ? k->gemm.f32_gemv_cols : k->gemm.f32_gemv_dots;
    j->v.b_s = cs == 1 ? rs : cs;
    return true;
}

static bool choose_gemv(const struct kern *k, const struct gemm_f32 *g, struct gemv_job *j)
{
    j->g = g;
    j->epi_row = k->gemm.f32_epi_row;
    if (g->a_packed || g->b_packed)
        return false;
    j->turned = g->m > GEMV_ROWS;
    j->n = j->turned ? g->m : g->n;
    if (j->turned)
        return gemv_side(k, g->n, g->b, g->b_cs, g->b_rs, g->a, g->a_cs, g->a_rs, j);
    return gemv_side(k, g->m, g->a, g->a_rs, g->a_cs, g->b, g->b_rs, g->b_cs, j);
}

static void gemv_finish(const struct gemv_job *j, int64_t n0, int64_t n1)
{
    const struct gemm_f32 *g = j->g;
    for (int i = 0; i < j->v.m; i++) {
        const float *s = j->v.c + i * j->v.ldc;
        if (j->turned) {
            for (int64_t n = n0; n < n1; n++)
                g->c[n * g->ldc + i] = epi_value(&g->epi, s[n], n, i);
        } else {
            j->epi_row(&g->epi, i, n0, s + n0, g->c + i * g->ldc + n0, n1 - n0);
            if (g->post)
                g->post(g->c + i * g->ldc + n0, n1 - n0, g->post_arg);
        }
    }
    if (j->turned && g->post)
        for (int64_t n = n0; n < n1; n++)
            g->post(g->c + n * g->ldc, j->v.m, g->post_arg);
}

static void gemv_part(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct gemv_job *j = arg;
    (void)thread;
    j->fn(&j->v, begin, end);
    gemv_finish(j, begin, end);
}

/* Scratch: the sums, then a copy of the rows when they do not lie as the kernel wants them. */
static void run_gemv(struct gemv_job *j, struct pool *pool, float *scratch)
{
    int64_t m = j->v.m, kdim = j->v.k;
    j->v.c = scratch;
    j->v.ldc = j->n;
    if (j->v.a_cs != 1) {
        float *a = scratch + m * j->n;
        for (int64_t i = 0; i < m; i++)
            for (int64_t k = 0; k < kdim; k++)
                a[i * kdim + k] = j->v.a[i * j->v.a_rs + k * j->v.a_cs];
        j->v.a = a;
        j->v.a_rs = kdim;
        j->v.a_cs = 1;
    }
    par_for(kdim * j->n < 65536 ? NULL : pool, j->n, GEMV_GRAIN, gemv_part, j);
}

static bool gemv_scratch(const struct gemv_job *j, size_t *bytes)
{
    size_t n;
    return add_size((size_t)j->n, (size_t)j->v.k, &n) && mul_size(n, (size_t)j->v.m, &n) &&
           mul_size(n, sizeof(float), bytes);
}

bool gemm_f32_scratch(const struct kern *k, const struct gemm_f32 *g, int nthreads, size_t *bytes)
{
    struct gemv_job v;
    if (choose_gemv(k, g, &v))
        return gemv_scratch(&v, bytes);
    struct gemm_job job = make_job(k, g);
    return gemm_job_scratch(k, &job, nthreads, bytes);
}

void gemm_f32(const struct kern *k, const struct gemm_f32 *g, struct pool *pool, void *scratch)
{
    struct gemv_job v;
    if (g->m <= 0 || g->n <= 0)
        return;
    if (choose_gemv(k, g, &v)) {
        run_gemv(&v, pool, scratch);
        return;
    }
    struct gemm_job job = make_job(k, g);
    gemm_job_run(k, &job, pool, scratch);
}

struct ref_job {
    gemm_ref_fn *fn;
    const struct gemm_ref *g;
};

static void ref_part(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct ref_job *r = arg;
    (void)thread;
    r->fn(r->g, begin, end);
}

void gemm_ref_run(const struct kern *k, enum dtype dt, const struct gemm_ref *g, struct pool *pool)
{
    struct ref_job r = {k->gemm.ref[dt], g};
    par_for(pool, g->m, 4, ref_part, &r);
}
