/* Scaled dot-product attention; see attn_core.h. */
#include "ops/attn_core.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/round.h"

/* C[m][n] = alpha A B; strides in elements, A's and C's columns adjacent. */
struct product {
    int64_t m, n, k;
    const char *a, *b;
    int64_t a_rs, b_rs, b_cs;
    char *c;
    int64_t ldc;
    double alpha;
};

static struct gemm_f32 product_f32(const struct product *p)
{
    struct gemm_f32 g = {.m = p->m,
                         .n = p->n,
                         .k = p->k,
                         .a = (const float *)p->a,
                         .a_rs = p->a_rs,
                         .a_cs = 1,
                         .b = (const float *)p->b,
                         .b_rs = p->b_rs,
                         .b_cs = p->b_cs,
                         .c = (float *)p->c,
                         .ldc = p->ldc};
    gemm_epi_init(&g.epi);
    g.epi.alpha = (float)p->alpha;
    return g;
}

static void product_run(const struct attn *r, const struct product *p, void *scratch)
{
    if (r->dt != DT_DOUBLE) {
        struct gemm_f32 g = product_f32(p);
        gemm_f32(r->ec->kern, &g, NULL, scratch);
        return;
    }
    struct gemm_ref g = {.m = p->m,
                         .n = p->n,
                         .k = p->k,
                         .a = p->a,
                         .a_rs = p->a_rs,
                         .a_cs = 1,
                         .b = p->b,
                         .b_rs = p->b_rs,
                         .b_cs = p->b_cs,
                         .c = p->c,
                         .ldc = p->ldc,
                         .alpha = p->alpha};
    r->ec->kern->gemm.ref[DT_DOUBLE](&g, 0, p->m);
}

/* Q K^T and S V of one pair; the operands' addresses are the caller's to set. */
static struct product product_qk(const struct attn *r)
{
    return (struct product){.m = r->q,
                            .n = r->total,
                            .k = r->d,
                            .a_rs = r->vq.s,
                            .b_rs = 1,
                            .b_cs = r->vk.s,
                            .ldc = r->total,
                            .alpha = r->scale};
}

static struct product product_sv(const struct attn *r)
{
    return (struct product){.m = r->q,
                            .n = r->dv,
                            .k = r->total,
                            .a_rs = r->total,
                            .b_rs = r->vv.s,
                            .b_cs = 1,
                            .ldc = r->vy.s,
                            .alpha = 1};
}

/* Copies the scores of one pair when they are what is to be shown. */
static void show_stage(const struct attn *r, enum attn_stage stage, int64_t pair, const char *s)
{
    size_t bytes = (size_t)(r->q * r->total) * r->size;
    if (r->show && r->stage == stage)
        memcpy(r->show + (size_t)pair * bytes, s, bytes);
}

static void cap(const struct attn *r, char *s)
{
    size_t n = (size_t)(r->q * r->total);
    struct un_params down = {1 / r->softcap, 0}, up = {r->softcap, 0};
    un_run(r->ec->kern, UN_AFFINE, r->dt, s, s, n, &down);
    un_run(r->ec->kern, UN_TANH, r->dt, s, s, n, NULL);
    un_run(r->ec->kern, UN_AFFINE, r->dt, s, s, n, &up);
}

/* Adds the bias to each row; dead[i]: row i has nothing left. */
static void add_bias(const struct attn *r, int64_t pair, char *s, double *bias, bool *dead)
{
    char *typed = (char *)(bias + r->total);
    size_t n = (size_t)r->total, row = n * r->size;
    for (int64_t i = 0; i < r->q; i++) {
        dead[i] = !r->bias(r, pair / r->hq, pair % r->hq, i, bias);
        for (size_t j = 0; j < n && r->dt == DT_FLOAT; j++)
            ((float *)typed)[j] = (float)bias[j];
        const void *add = r->dt == DT_FLOAT ? (const void *)typed : bias;
        bin_run(r->ec->kern, BIN_ADD, r->dt, BIN_VV, s + (size_t)i * row, add, s + (size_t)i * row, n);
    }
}

/* Softmax of n scores and one more, whose share is dropped. */
static void softmax_sink(const struct dtype_info *info, char *s, int64_t n, double sink)
{
    double top = sink, sum;
    for (int64_t j = 0; j < n; j++) {
        double v = info->load_f64(s + (size_t)j * info->size);
        top = v > top ? v : top;
    }
    sum = exp(sink - top);
    for (int64_t j = 0; j < n; j++)
        sum += exp(info->load_f64(s + (size_t)j * info->size) - top);
    for (int64_t j = 0; j < n; j++) {
        char *at = s + (size_t)j * info->size;
        info->store_f64(at, exp(info->load_f64(at) - top) / sum);
    }
}

static void rows(const struct attn *r, int64_t pair, char *s, double *bias)
{
    size_t n = (size_t)r->total, row = n * r->size;
    bool *dead = (bool *)((char *)(bias + r->total) + row);
    if (r->bias)
        add_bias(r, pair, s, bias, dead);
    show_stage(r, ATTN_BIASED, pair, s);
    struct red_shape all = red_shape((size_t)r->q, n, 1);
    if (!r->sink)
        r->ec->kern->norm.softmax[r->dt](s, s, &all);
    for (int64_t i = 0; r->sink && i < r->q; i++)
        softmax_sink(dtype_info(r->dt), s + (size_t)i * row, r->total, r->sink[pair % r->hq]);
    for (int64_t i = 0; r->bias && i < r->q; i++)
        if (dead[i])
            memset(s + (size_t)i * row, 0, row);
    show_stage(r, ATTN_SOFTMAX, pair, s);
}

static const char *view_at(const struct attn *r, const struct attn_view *v, int64_t b, int64_t h)
{
    return v->p + (size_t)(b * v->b + h * v->h) * r->size;
}

static void one_pair(const struct attn *r, int64_t pair, char *buf)
{
    int64_t b = pair / r->hq, h = pair % r->hq, hk = h / (r->hq / r->hk);
    struct product qk = product_qk(r), sv = product_sv(r);
    qk.a = view_at(r, &r->vq, b, h);
    qk.b = view_at(r, &r->vk, b, hk);
    qk.c = buf;
    sv.a = buf;
    sv.b = view_at(r, &r->vv, b, hk);
    sv.c = (char *)r->vy.p + (size_t)(b * r->vy.b + h * r->vy.h) * r->size;
    product_run(r, &qk, buf + r->gemm_at);
    show_stage(r, ATTN_RAW, pair, buf);
    if (r->softcap > 0)
        cap(r, buf);
    show_stage(r, ATTN_CAPPED, pair, buf);
    rows(r, pair, buf, (double *)(buf + r->bias_at));
    product_run(r, &sv, buf + r->gemm_at);
}

static void pair_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct attn *r = arg;
    for (int64_t p = begin; p < end; p++)
        one_pair(r, p, r->scratch + (size_t)thread * r->per_thread);
}

static int make_scratch(struct attn *r)
{
    struct product pqk = product_qk(r), psv = product_sv(r);
    struct gemm_f32 qk = product_f32(&pqk), sv = product_f32(&psv);
    size_t b1 = 0, b2 = 0;
    int64_t cells;
    if (!mul_i64(r->q, r->total, &cells) || cells > INT64_MAX / 64 ||
        !gemm_f32_scratch(r->ec->kern, &qk, 1, &b1) || !gemm_f32_scratch(r->ec->kern, &sv, 1, &b2))
        return err_set(r->ec->cx, E_LIMIT, "the scores are too large");
    r->bias_at = round64((size_t)cells * r->size);
    r->gemm_at = r->bias_at + round64((size_t)r->total * (sizeof(double) + r->size) + (size_t)r->q);
    r->per_thread = r->gemm_at + round64(b1 > b2 ? b1 : b2) + 64;
    int threads = r->ec->pool ? pool_size(r->ec->pool) : 1;
    r->scratch = ec_scratch(r->ec, r->per_thread * (size_t)threads);
    return r->scratch ? 0 : r->ec->cx->err.code;
}

int attn_run(struct attn *a)
{
    a->size = dtype_size(a->dt);
    int rc = make_scratch(a);
    if (!rc)
        par_for(a->ec->pool, a->batch * a->hq, 1, pair_range, a);
    return rc;
}

struct attn_view attn_view_of(const void *p, bool flat, int64_t heads, int64_t steps, int64_t size)
{
    if (flat)
        return (struct attn_view){p, steps * heads * size, size, heads * size};
    return (struct attn_view){p, heads * steps * size, steps * size, size};
}
