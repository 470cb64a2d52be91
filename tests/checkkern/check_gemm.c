/* Matrix products: tiles through the whole driver, and the small kernels alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkkern.h"
#include "kern/gemm_epi.h"

struct shape {
    int64_t m, n, k;
};

static float *floats(struct ck *c, int64_t n, enum ck_fill fill)
{
    float *p = ck_alloc(c, (size_t)n * sizeof(float), sizeof(float));
    ck_fill_f32(c, p, (size_t)n, fill);
    return p;
}

/* A random matrix of rows x cols (element (i, j) at p[i * rs + j * cs]), one of four layouts. */
struct mat {
    float *p;
    int64_t rs, cs;
};

static struct mat matrix(struct ck *c, int64_t rows, int64_t cols, int layout, enum ck_fill fill)
{
    int64_t pad = ck_below(c, 2) ? ck_below(c, 5) : 0;
    struct mat a = {NULL, cols + pad, 1};
    int64_t need = rows && cols ? (rows - 1) * a.rs + cols : 0;
    if (layout == 1) {
        a.rs = 1;
        a.cs = rows + pad;
        need = rows && cols ? (cols - 1) * a.cs + rows : 0;
    } else if (layout == 2) {
        a.cs = 2;
        a.rs = 2 * cols + pad;
        need = rows && cols ? (rows - 1) * a.rs + 2 * cols - 1 : 0;
    }
    a.p = floats(c, need, fill);
    return a;
}

struct expect {
    double value, slack;
};

/* The product in double, and the sum of magnitudes that rounding errors are measured by. */
static struct expect element(const struct gemm_f32 *g, int64_t m, int64_t n)
{
    const struct gemm_epi *e = &g->epi;
    double s = 0, mag = 0;
    for (int64_t k = 0; k < g->k; k++) {
        double p = (double)g->a[m * g->a_rs + k * g->a_cs] * (double)g->b[k * g->b_rs + n * g->b_cs];
        s += p;
        mag += fabs(p);
    }
    s *= (double)e->alpha;
    mag *= fabs((double)e->alpha);
    double add = (e->bias_m ? (double)e->bias_m[m] : 0) + (e->bias_n ? (double)e->bias_n[n] : 0) +
                 (e->res ? (double)e->res[m * e->ldres + n] : 0);
    s += (double)e->beta * add;
    mag += fabs((double)e->beta * add) + 1;
    return (struct expect){(double)epi_act(e, (float)s), mag * (double)(g->k + 8) * 0x1p-24};
}

static void check_product(struct ck *c, const struct gemm_f32 *g, const float *got, const char *what)
{
    for (int64_t m = 0; m < g->m; m++)
        for (int64_t n = 0; n < g->n; n++) {
            struct expect e = element(g, m, n);
            double d = (double)got[m * g->ldc + n];
            if (!(fabs(d - e.value) <= e.slack) && !(isnan(d) && isnan(e.value)) && d != e.value) {
                ck_fail(c, "%s %ldx%ldx%ld: element (%ld, %ld) is %.9g, expected %.9g", what, (long)g->m,
                        (long)g->n, (long)g->k, (long)m, (long)n, d, e.value);
                return;
            }
        }
}

static void random_epilogue(struct ck *c, struct gemm_f32 *g)
{
    struct gemm_epi *e = &g->epi;
    gemm_epi_init(e);
    if (ck_below(c, 2)) {
        e->alpha = 0.5f;
        e->beta = -2.0f;
    }
    if (ck_below(c, 2))
        e->bias_m = floats(c, g->m, FILL_UNIFORM);
    if (ck_below(c, 2))
        e->bias_n = floats(c, g->n, FILL_UNIFORM);
    if (ck_below(c, 2)) {
        e->ldres = g->n + ck_below(c, 3);
        e->res = floats(c, g->m ? (g->m - 1) * e->ldres + g->n : 0, FILL_UNIFORM);
    }
    e->act = (enum gemm_act)ck_below(c, 4);
    e->lo = e->act == ACT_LEAKY ? 0.1f : -0.5f;
    e->hi = 0.7f;
}

static void run_with(struct ck *c, const struct kern *k, struct gemm_f32 *g, struct pool *pool)
{
    size_t bytes;
    if (!gemm_f32_scratch(k, g, pool ? pool_size(pool) : 1, &bytes)) {
        ck_fail(c, "scratch size overflowed");
        return;
    }
    gemm_f32(k, g, pool, ck_alloc(c, bytes, 64));
}

static void *packed_a(struct ck *c, const struct kern *k, const struct gemm_f32 *g)
{
    size_t bytes = 0;
    gemm_f32_pack_a_size(k, g->m, g->k, &bytes);
    void *p = ck_alloc(c, bytes, 64);
    gemm_f32_pack_a(k, g->m, g->k, g->a, g->a_rs, g->a_cs, p);
    return p;
}

static void *packed_b(struct ck *c, const struct kern *k, const struct gemm_f32 *g)
{
    size_t bytes = 0;
    gemm_f32_pack_b_size(k, g->k, g->n, &bytes);
    void *p = ck_alloc(c, bytes, 64);
    gemm_f32_pack_b(k, g->k, g->n, g->b, g->b_rs, g->b_cs, p);
    return p;
}

static void one_product(struct ck *c, const struct kern *k, struct shape s, struct pool *pool)
{
    enum ck_fill fill = ck_below(c, 4) ? FILL_UNIFORM : FILL_INT;
    struct mat a = matrix(c, s.m, s.k, (int)ck_below(c, 3), fill);
    struct mat b = matrix(c, s.k, s.n, (int)ck_below(c, 3), fill);
    struct gemm_f32 g = {s.m, s.n, s.k, a.p, a.rs, a.cs, b.p, b.rs, b.cs, .ldc = s.n};
    char what[80];
    int packs = (int)ck_below(c, 4);

    random_epilogue(c, &g);
    g.backward = ck_below(c, 2);
    if (packs & 1)
        g.a_packed = packed_a(c, k, &g);
    if (packs & 2)
        g.b_packed = packed_b(c, k, &g);
    ck_seal(c);
    size_t bytes = (size_t)(s.m * s.n) * sizeof(float);
    float *one = g.c = ck_alloc(c, bytes, 4);
    run_with(c, k, &g, NULL);
    snprintf(what, sizeof what, "packed %d, strides a %ld,%ld b %ld,%ld", packs, (long)a.rs, (long)a.cs,
             (long)b.rs, (long)b.cs);
    check_product(c, &g, one, what);
    float *many = g.c = ck_alloc(c, bytes, 4);
    run_with(c, k, &g, pool);
    ck_same(c, many, one, bytes, "with threads");
    ck_done(c);
}

static void check_tile(struct ck *c)
{
    const struct gemm_f32_tile *t = c->var.gemm.f32;
    struct pool *pool = pool_new(3);
    int cases = c->quick ? 60 : 400;

    for (int i = 0; i < cases; i++) {
        struct shape s = {ck_size(c, t->mr), ck_size(c, t->nr), ck_size(c, i % 8 ? 32 : t->kc)};
        one_product(c, i % 2 ? &c->var : &c->full, s, pool);
    }
    /* Several blocks of every loop. */
    one_product(c, &c->full, (struct shape){3 * 224 + 5, 70, t->kc + 9}, pool);
    one_product(c, &c->full, (struct shape){19, 1024 + 2 * t->nr + 3, t->kc + 1}, pool);
    pool_free(pool);
}

static void check_transpose(struct ck *c)
{
    for (int i = 0; i < (c->quick ? 50 : 300); i++) {
        int64_t rows = ck_size(c, 16), cols = ck_size(c, 16), pad = ck_below(c, 3);
        int64_t lds = rows + pad, ldd = cols + pad;
        size_t n = cols ? (size_t)((cols - 1) * lds + rows) : 0;
        float *src = ck_alloc(c, n * 4, 4);
        ck_fill_bytes(c, src, n * 4);
        ck_seal(c);
        size_t out = rows ? (size_t)((rows - 1) * ldd + cols) * 4 : 0;
        float *got = ck_alloc(c, out, 4), *want = ck_alloc(c, out, 4);
        c->var.gemm.x32_transpose(src, lds, got, ldd, rows, cols);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < cols; j++)
                memcpy(want + r * ldd + j, src + j * lds + r, 4);
        ck_same(c, got, want, out, "transpose");
        ck_done(c);
    }
}

static void check_gemv(struct ck *c)
{
    bool dots = strstr(c->row->slot, "dots") != NULL;
    for (int i = 0; i < (c->quick ? 50 : 300); i++) {
        int m = (int)ck_below(c, 4) + 1;
        int64_t n = ck_size(c, 64), k = ck_size(c, 32), n0 = n ? ck_below(c, n) : 0;
        struct mat a = matrix(c, m, k, 0, FILL_UNIFORM);
        struct mat b = matrix(c, k, n, dots, FILL_UNIFORM);
        ck_seal(c);
        float *got = ck_alloc(c, (size_t)(m * n) * 4, 4), *want = ck_alloc(c, (size_t)(m * n) * 4, 4);
        memset(got, 0, (size_t)(m * n) * 4);
        memset(want, 0, (size_t)(m * n) * 4);
        struct gemv g = {m, k, a.p, a.rs, 1, b.p, dots ? b.cs : b.rs, got, n};
        (dots ? c->var.gemm.f32_gemv_dots : c->var.gemm.f32_gemv_cols)(&g, n0, n);
        for (int r = 0; r < m; r++)
            for (int64_t j = n0; j < n; j++) {
                double s = 0;
                for (int64_t kk = 0; kk < k; kk++)
                    s += (double)a.p[r * a.rs + kk] * (double)b.p[kk * b.rs + j * b.cs];
                want[r * n + j] = (float)s;
            }
        ck_near(c, got, want, (size_t)(m * n), (double)(k + 1) * 0x1p-23, 1e-6, "gemv");
        ck_done(c);
    }
}

/* Finishing rounds like the scalar form, to the bit, also for values that are no numbers; in place too. */
static void check_epi_row(struct ck *c)
{
    for (int i = 0; i < (c->quick ? 100 : 500); i++) {
        int64_t n = ck_size(c, 16);
        struct gemm_f32 g = {.m = 3, .n = n + 2};
        float *s = floats(c, n, FILL_SPECIAL);
        random_epilogue(c, &g);
        ck_seal(c);
        float *got = ck_alloc(c, (size_t)n * 4, 4), *want = ck_alloc(c, (size_t)n * 4, 4);
        if (i % 2)
            memcpy(got, s, (size_t)n * 4);
        c->var.gemm.f32_epi_row(&g.epi, 1, 2, i % 2 ? got : s, got, n);
        for (int64_t j = 0; j < n; j++)
            want[j] = epi_value(&g.epi, s[j], 1, 2 + j);
        ck_ulp(c, got, want, (size_t)n, 0, "epilogue");
        ck_done(c);
    }
}

/* Values are small whole numbers, so that every type gives the same exact answer. */
static void check_ref(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    size_t size = dtype_size(dt);
    for (int i = 0; i < (c->quick ? 20 : 100); i++) {
        int64_t m = ck_size(c, 4), n = ck_size(c, 128), k = ck_size(c, 8);
        bool ta = ck_below(c, 2), tb = ck_below(c, 2);
        char *a = ck_alloc(c, (size_t)(m * k) * size, 8), *b = ck_alloc(c, (size_t)(k * n) * size, 8);
        char *d = ck_alloc(c, (size_t)n * size, 8);
        for (int64_t j = 0; j < m * k; j++)
            dtype_info(dt)->store_i64(a + (size_t)j * size, ck_below(c, 100));
        for (int64_t j = 0; j < k * n; j++)
            dtype_info(dt)->store_i64(b + (size_t)j * size, ck_below(c, 100));
        for (int64_t j = 0; j < n; j++)
            dtype_info(dt)->store_i64(d + (size_t)j * size, ck_below(c, 100));
        ck_seal(c);
        char *out = ck_alloc(c, (size_t)(m * n) * size, 8);
        struct gemm_ref g = {m,          n,          k, a, b,   d, ta ? 1 : k, ta ? m : 1,
                             tb ? 1 : n, tb ? k : 1, 0, 1, out, n, 2,          3};
        gemm_ref_run(&c->var, dt, &g, NULL);
        for (int64_t j = 0; j < m * n; j++) {
            int64_t s = 0, r = j / n, q = j % n;
            for (int64_t kk = 0; kk < k; kk++)
                s += dtype_info(dt)->load_i64(a + (size_t)(r * g.a_rs + kk * g.a_cs) * size) *
                     dtype_info(dt)->load_i64(b + (size_t)(kk * g.b_rs + q * g.b_cs) * size);
            s = 2 * s + 3 * dtype_info(dt)->load_i64(d + (size_t)q * size);
            if (dtype_info(dt)->load_i64(out + (size_t)j * size) != s) {
                ck_fail(c, "%ldx%ldx%ld: element %ld wrong", (long)m, (long)n, (long)k, (long)j);
                break;
            }
        }
        ck_done(c);
    }
}

static int32_t byte_at(const void *p, int64_t i, bool s)
{
    return s ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

static void run_i8(struct ck *c, const struct kern *k, struct gemm_i8 *g)
{
    size_t bytes = 0;
    if (!strcmp(c->row->slot, "gemm.i8")) {
        c->var.gemm.i8(g, 0, g->m);
        return;
    }
    if (ck_below(c, 2) && gemm_i8_pack_b_size(k, g->k, g->n, &bytes)) {
        void *packed = ck_alloc(c, bytes, 64);
        gemm_i8_pack_b(k, g->k, g->n, g->b, g->b_signed, g->b_rs, g->b_cs, packed);
        g->b_packed = packed;
    }
    if (!gemm_i8_scratch(k, g, &bytes))
        ck_fail(c, "scratch size overflowed");
    else
        gemm_i8_run(k, g, NULL, ck_alloc(c, bytes, 64));
}

static void check_i8(struct ck *c)
{
    for (int i = 0; i < (c->quick ? 40 : 200); i++) {
        int64_t m = ck_size(c, 8), n = ck_size(c, 32), k = ck_size(c, 16);
        struct gemm_i8 g = {.m = m, .n = n, .k = k, .a_signed = ck_below(c, 2), .b_signed = ck_below(c, 2)};
        bool tb = ck_below(c, 2), extreme = ck_below(c, 2);
        unsigned char *a = ck_alloc(c, (size_t)(m * k), 1), *b = ck_alloc(c, (size_t)(k * n), 1);
        int32_t *za = ck_alloc(c, (size_t)m * 4, 4), *zb = ck_alloc(c, (size_t)n * 4, 4);
        ck_fill_bytes(c, a, (size_t)(m * k));
        ck_fill_bytes(c, b, (size_t)(k * n));
        for (int64_t j = 0; extreme && j < m * k; j++)
            a[j] = a[j] & 1 ? 0xff : g.a_signed ? 0x80 : 0xff;
        for (int64_t j = 0; extreme && j < k * n; j++)
            b[j] = b[j] & 1 ? 0x7f : 0x80;
        for (int64_t j = 0; j < m; j++)
            za[j] = (int32_t)ck_below(c, 256) - (g.a_signed ? 128 : 0);
        for (int64_t j = 0; j < n; j++)
            zb[j] = (int32_t)ck_below(c, 256) - (g.b_signed ? 128 : 0);
        ck_seal(c);
        g.a = a;
        g.b = b;
        g.a_rs = k;
        g.a_cs = 1;
        g.b_rs = tb ? 1 : n;
        g.b_cs = tb ? k : 1;
        g.za = ck_below(c, 2) && m ? za : NULL;
        g.zb = ck_below(c, 2) && n ? zb : NULL;
        g.za_step = (int)ck_below(c, 2);
        g.zb_step = (int)ck_below(c, 2);
        g.ldc = n;
        g.c = ck_alloc(c, (size_t)(m * n) * 4, 4);
        run_i8(c, i % 3 ? &c->var : &c->full, &g);
        for (int64_t j = 0; j < m * n; j++) {
            int64_t s = 0, r = j / n, q = j % n;
            for (int64_t kk = 0; kk < k; kk++)
                s += (int64_t)(byte_at(a, r * k + kk, g.a_signed) - (g.za ? za[r * g.za_step] : 0)) *
                     (byte_at(b, kk * g.b_rs + q * g.b_cs, g.b_signed) - (g.zb ? zb[q * g.zb_step] : 0));
            if (g.c[j] != (int32_t)s) {
                ck_fail(c, "int8 %ldx%ldx%ld: element %ld is %d, expected %ld", (long)m, (long)n, (long)k,
                        (long)j, g.c[j], (long)s);
                break;
            }
        }
        ck_done(c);
    }
}

struct bench {
    const struct kern *k;
    struct gemm_f32 g;
    void *scratch;
};

static void bench_call(void *arg)
{
    struct bench *b = arg;
    gemm_f32(b->k, &b->g, NULL, b->scratch);
}

/* packs: 1 A, 2 B packed before; layout 1: B transposed. */
static void bench_shape(struct ck *c, int64_t m, int64_t n, int64_t k, int packs, int layout)
{
    struct mat a = matrix(c, m, k, 0, FILL_UNIFORM), b = matrix(c, k, n, layout, FILL_UNIFORM);
    struct bench be = {&c->full, {m, n, k, a.p, a.rs, a.cs, b.p, b.rs, b.cs, .ldc = n}, NULL};
    char what[64];
    size_t bytes = 0;
    gemm_epi_init(&be.g.epi);
    if (packs & 1)
        be.g.a_packed = packed_a(c, be.k, &be.g);
    if (packs & 2)
        be.g.b_packed = packed_b(c, be.k, &be.g);
    be.g.c = ck_alloc(c, (size_t)(m * n) * 4, 64);
    gemm_f32_scratch(be.k, &be.g, 1, &bytes);
    be.scratch = ck_alloc(c, bytes, 64);
    snprintf(what, sizeof what, "%ldx%ldx%ld%s%s%s", (long)m, (long)n, (long)k, packs & 1 ? " A packed" : "",
             packs & 2 ? " B packed" : "", layout ? " B^T" : "");
    ck_bench(c, what, 2.0 * (double)m * (double)n * (double)k, m < 8 ? 4.0 * (double)n * (double)k : 0,
             bench_call, &be);
    ck_done(c);
}

static void bench_tile(struct ck *c)
{
    bench_shape(c, 256, 256, 256, 0, 0);
    bench_shape(c, 1024, 1024, 1024, 0, 0);
    if (!c->is_ref && !c->quick)
        bench_shape(c, 2048, 2048, 2048, 0, 0);
    bench_shape(c, 1024, 1024, 1024, 2, 0);
    bench_shape(c, 128, 768, 3072, 2, 0);
    bench_shape(c, 128, 3072, 768, 2, 0);
    bench_shape(c, 128, 768, 768, 2, 0);
    bench_shape(c, 8, 3072, 768, 2, 0);
    bench_shape(c, 1, 4096, 4096, 2, 0);
    bench_shape(c, 4, 4096, 4096, 2, 0);
}

struct bench_i8 {
    const struct kern *k;
    struct gemm_i8 g;
    void *scratch;
};

static void bench_i8_call(void *arg)
{
    struct bench_i8 *b = arg;
    gemm_i8_run(b->k, &b->g, NULL, b->scratch);
}

static void bench_i8_shape(struct ck *c, int64_t m, int64_t n, int64_t k)
{
    struct bench_i8 be = {&c->full, {.m = m, .n = n, .k = k, .b_signed = true, .a_rs = k, .a_cs = 1}, NULL};
    uint8_t *a = ck_alloc(c, (size_t)(m * k), 1), *b = ck_alloc(c, (size_t)(k * n), 1);
    size_t bytes = 0;
    char what[64];
    ck_fill_bytes(c, a, (size_t)(m * k));
    ck_fill_bytes(c, b, (size_t)(k * n));
    gemm_i8_pack_b_size(be.k, k, n, &bytes);
    void *packed = ck_alloc(c, bytes, 64);
    gemm_i8_pack_b(be.k, k, n, b, true, n, 1, packed);
    be.g.a = a;
    be.g.b_packed = packed;
    be.g.c = ck_alloc(c, (size_t)(m * n) * 4, 64);
    be.g.ldc = n;
    gemm_i8_scratch(be.k, &be.g, &bytes);
    be.scratch = ck_alloc(c, bytes, 64);
    snprintf(what, sizeof what, "%ldx%ldx%ld B packed (ops)", (long)m, (long)n, (long)k);
    ck_bench(c, what, 2.0 * (double)m * (double)n * (double)k, 0, bench_i8_call, &be);
    ck_done(c);
}

static void bench_i8(struct ck *c)
{
    bench_i8_shape(c, 128, 768, 768);
    bench_i8_shape(c, 128, 768, 3072);
    bench_i8_shape(c, 1024, 1024, 1024);
    bench_i8_shape(c, 1, 4096, 4096);
}

static void bench_gemv(struct ck *c)
{
    int layout = strstr(c->row->slot, "dots") != NULL;
    bench_shape(c, 1, 4096, 4096, 0, layout);
    bench_shape(c, 4, 4096, 4096, 0, layout);
    bench_shape(c, 1, 1000, 2048, 0, layout);
}

static double *whole_doubles(struct ck *c, int64_t n)
{
    double *p = ck_alloc(c, (size_t)n * sizeof(double), sizeof(double));
    for (int64_t i = 0; i < n; i++)
        p[i] = (double)(ck_below(c, 17) - 8);
    return p;
}

struct bench_f64 {
    const struct kern *k;
    struct gemm_ref g;
};

static void bench_f64_call(void *arg)
{
    struct bench_f64 *b = arg;
    if (gemm_blas_open(b->k))
        gemm_blas_f64(b->k, &b->g, NULL);
    else
        gemm_ref_run(b->k, DT_DOUBLE, &b->g, NULL);
}

static void bench_blas(struct ck *c)
{
    static const int64_t shapes[][3] = {{4, 4, 4},       {16, 16, 16},    {64, 64, 64},      {1, 512, 512},
                                        {2, 512, 512},   {4, 512, 512},   {8, 512, 512},     {512, 1, 512},
                                        {128, 768, 768}, {512, 512, 512}, {1024, 1024, 1024}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        struct bench_f64 b = {&c->full, {.m = m, .n = n, .k = k, .a_rs = k, .a_cs = 1, .b_rs = n, .b_cs = 1}};
        char what[60];
        b.g.a = whole_doubles(c, m * k);
        b.g.b = whole_doubles(c, k * n);
        b.g.c = ck_alloc(c, (size_t)(m * n) * 8, 8);
        b.g.ldc = n;
        b.g.alpha = 1;
        snprintf(what, sizeof(what), "double %ldx%ldx%ld", (long)m, (long)n, (long)k);
        ck_bench(c, what, 2.0 * (double)m * (double)n * (double)k, 0, bench_f64_call, &b);
        ck_done(c);
    }
}

/* OpenBLAS against the plain loops; with whole numbers both are exact. Not installed: nothing to compare. */
static void check_blas(struct ck *c)
{
    struct pool *pool = pool_new(2);
    bool there = gemm_blas_open(&c->full);
    for (int i = 0; there && i < (c->quick ? 20 : 100); i++) {
        int64_t m = 1 + ck_below(c, 300), n = 1 + ck_below(c, i % 4 ? 90 : 600), k = 1 + ck_below(c, 50);
        bool ta = ck_below(c, 2), tb = ck_below(c, 2);
        struct gemm_ref g = {.m = m, .n = n, .k = k, .a_rs = ta ? 1 : k, .a_cs = ta ? m : 1};
        double *a = whole_doubles(c, m * k), *b = whole_doubles(c, k * n);
        g.a = a;
        g.b = b;
        g.b_rs = tb ? 1 : n;
        g.b_cs = tb ? k : 1;
        g.d = ck_below(c, 2) ? whole_doubles(c, m * n) : NULL;
        g.d_rs = ck_below(c, 2) ? n : 0;
        g.d_cs = ck_below(c, 2);
        g.ldc = n;
        g.alpha = (double)ck_below(c, 3);
        g.beta = 2;
        ck_seal(c);
        double *got = ck_alloc(c, (size_t)(m * n) * 8, 8), *want = ck_alloc(c, (size_t)(m * n) * 8, 8);
        g.c = got;
        gemm_blas_f64(&c->full, &g, i % 2 ? pool : NULL);
        g.c = want;
        gemm_ref_run(&c->ref, DT_DOUBLE, &g, NULL);
        for (int64_t e = 0; e < m * n; e++)
            if (got[e] != want[e]) {
                ck_fail(c, "double %ldx%ldx%ld ta %d tb %d: element %ld is %g, expected %g", (long)m, (long)n,
                        (long)k, ta, tb, (long)e, got[e], want[e]);
                break;
            }
        ck_done(c);
    }
    pool_free(pool);
}

const struct check check_gemm[] = {
    {"gemm.f32", check_tile, bench_tile},
    {"gemm.x32_transpose", check_transpose, NULL},
    {"gemm.f32_gemv_*", check_gemv, bench_gemv},
    {"gemm.ref*", check_ref, NULL},
    {"gemm.f32_epi_row", check_epi_row, NULL},
    {"gemm.i8", check_i8, NULL},
    {"gemm.i8_tile", check_i8, bench_i8},
    {"gemm.blas", check_blas, bench_blas},
    {NULL, NULL, NULL},
};
