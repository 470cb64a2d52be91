/* MultiHeadAttention and DecoderMaskedMultiHeadAttention of com.microsoft: attention over queries, keys and
 * values that were projected before. They differ in the order of their inputs, and in that the decoder's
 * queries are one step. */
#include "ops/contrib_attn.h"

#include <math.h>
#include <string.h>

/* Numbers of inputs; -1: the operator has none such. */
struct places {
    int q, k, v, bias, mask, add, past_k, past_v, past_len, beam, origin;
};

static const struct places mha_places = {0, 1, 2, 3, 4, 5, 6, 7, 8, -1, 9};
static const struct places decoder_places = {0, 1, 2, 10, 3, 4, 5, 6, 7, 8, 9};

enum { OUT_Y, OUT_PRESENT_K, OUT_PRESENT_V, OUT_QK };

struct mha {
    const struct places *at;
    int64_t heads;
    bool causal, share; /* share: past and present are one buffer of fixed length */
    float filter, scale;
};

static int mha_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct mha *p = params;
    int64_t causal = 0, share = 0;
    (void)arena, (void)version;
    bool decoder = n->op_type[0] == 'D';
    p->at = decoder ? &decoder_places : &mha_places;
    p->filter = -10000;
    int rc = contrib_inputs(cx, n, 1, decoder ? 11 : 10, 1);
    if (!rc)
        rc = attr_int(cx, n, "num_heads", &p->heads);
    if (rc >= 0 && p->heads < 1)
        return err_set(cx, E_ATTR, "attribute num_heads is missing or not positive");
    if (rc >= 0)
        rc = attr_int(cx, n, "unidirectional", &causal);
    if (rc >= 0)
        rc = attr_int(cx, n, "past_present_share_buffer", &share);
    if (rc >= 0)
        rc = attr_float(cx, n, "mask_filter_value", &p->filter);
    if (rc >= 0)
        rc = attr_float(cx, n, "scale", &p->scale);
    p->causal = causal != 0;
    p->share = share || (n->nin > p->at->past_len && n->in[p->at->past_len]);
    return rc < 0 ? rc : 0;
}

/* ---- how the operands lie ---- */

enum layout {
    SEPARATE,  /* Q, K, V of [batch, steps, heads * size] */
    PACKED,    /* Q alone, [batch, steps, heads, 3, size] */
    PACKED_KV, /* K alone, [batch, steps, heads, 2, size] */
    CACHED,    /* K and V of [batch, heads, steps, size]: those of another sequence */
    ROW,       /* Q alone, [batch, steps, 3 * heads * size] */
};

/* By the ranks of query and key (0: left out); -1: no such layout. */
static int layout_of(int rq, int rk)
{
    if (rq == 5)
        return rk ? -1 : PACKED;
    if (rq != 3)
        return -1;
    static const int by_key[6] = {ROW, -1, -1, SEPARATE, CACHED, PACKED_KV};
    return rk >= 0 && rk < 6 ? by_key[rk] : -1;
}

/* ---- shapes ---- */

struct mha_dims {
    struct dim batch, q, kv, size, vsize; /* sizes of one head */
};

static int infer_layout(struct infer_ctx *ic, const struct mha *p, struct mha_dims *d, int *layout)
{
    const struct places *at = p->at;
    struct symtab *t = ic->syms;
    struct dim n = dim_const(p->heads), none = dim_unknown();
    int rq = ic_rank(ic, at->q), rk = ic_has(ic, at->k) ? ic_rank(ic, at->k) : 0;
    int rv = ic_has(ic, at->v) ? ic_rank(ic, at->v) : 0;
    *d = (struct mha_dims){none, none, none, none, none};
    *layout = rq < 0 || rk < 0 || rv < 0 ? SEPARATE : layout_of(rq, rk);
    if (*layout < 0)
        return ic_err(ic, E_SHAPE, "query of rank %d and key of rank %d are no layout that is known", rq, rk);
    if (rq < 0 || rk < 0 || rv < 0)
        return 0;
    if ((*layout == SEPARATE || *layout == CACHED) != (rv == rk && rk != 0))
        return ic_err(ic, E_SHAPE, "value does not go with a key of rank %d", rk);
    d->batch = ic_dim(ic, at->q, 0);
    d->q = d->kv = ic_dim(ic, at->q, 1);
    if (*layout == PACKED) {
        d->size = d->vsize = ic_dim(ic, at->q, 4);
        return 0;
    }
    if (*layout == ROW) {
        d->size = d->vsize = dim_div_floor(t, ic_dim(ic, at->q, 2), dim_const(3 * p->heads));
        return 0;
    }
    d->size = d->vsize = dim_div_floor(t, ic_dim(ic, at->q, 2), n);
    d->kv = ic_dim(ic, at->k, *layout == CACHED ? 2 : 1);
    if (*layout == SEPARATE)
        d->vsize = dim_div_floor(t, ic_dim(ic, at->v, 2), n);
    else
        d->vsize = *layout == CACHED ? ic_dim(ic, at->v, 3) : ic_dim(ic, at->k, 4);
    return 0;
}

static int mha_infer(struct infer_ctx *ic, const void *params)
{
    const struct mha *p = params;
    struct symtab *t = ic->syms;
    struct mha_dims d;
    int layout, rc = infer_layout(ic, p, &d, &layout);
    if (rc)
        return rc;
    int pk = p->at->past_k;
    struct dim past = !ic_has(ic, pk)        ? dim_const(0)
                      : ic_rank(ic, pk) == 4 ? ic_dim(ic, pk, 2)
                                             : dim_unknown();
    struct dim heads = dim_const(p->heads), total = dim_add(t, past, d.kv);
    struct dim rows = p->share && ic_has(ic, pk) ? past : total;
    if (p->share && ic_has(ic, pk))
        total = dim_unknown();
    struct dim y[3] = {d.batch, d.q, dim_mul(t, heads, d.vsize)};
    struct dim k[4] = {d.batch, heads, rows, d.size}, v[4] = {d.batch, heads, rows, d.vsize};
    struct dim qk[4] = {d.batch, heads, d.q, total};
    int64_t len;
    if (p->share && ic_has(ic, p->at->past_len) && ic_ints(ic, p->at->past_len, &len, 1) == 1)
        qk[3] = dim_add(t, dim_const(len), d.kv);
    rc = ic_out(ic, OUT_Y, ic_dtype(ic, 0), 3, y);
    if (!rc && ic_has_out(ic, OUT_PRESENT_K))
        rc = ic_out(ic, OUT_PRESENT_K, ic_dtype(ic, 0), 4, k);
    if (!rc && ic_has_out(ic, OUT_PRESENT_V))
        rc = ic_out(ic, OUT_PRESENT_V, ic_dtype(ic, 0), 4, v);
    return !rc && ic_has_out(ic, OUT_QK) ? ic_out(ic, OUT_QK, ic_dtype(ic, 0), 4, qk) : rc;
}

static int mha_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct mha *p = params;
    struct symtab *t = ic->syms;
    struct mha_dims d;
    int layout, rc = infer_layout(ic, p, &d, &layout);
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (rc)
        return rc;
    int pk = p->at->past_k;
    struct dim past = !ic_has(ic, pk)                     ? dim_const(0)
                      : ic_rank(ic, pk) == 4 && !p->share ? ic_dim(ic, pk, 2)
                                                          : dim_unknown();
    struct dim rows = dim_mul(t, dim_mul(t, d.batch, dim_const(p->heads)), d.q);
    out->macs = dim_mul(t, dim_mul(t, rows, dim_add(t, past, d.kv)), dim_add(t, d.size, d.vsize));
    return 0;
}

/* ---- running ---- */

struct mha_job {
    struct exec_ctx *ec;
    const struct mha *p;
    int layout;
    int64_t batch, q, kv, d, dv;
    struct attn_view vq, vk, vv; /* new steps */
    struct ms_cache cache;
};

static bool has(const struct exec_ctx *ec, int i)
{
    return i >= 0 && ec_has(ec, i);
}

static int no_fit(struct exec_ctx *ec, int i)
{
    return err_set(ec->cx, E_SHAPE, "input %d does not fit the other inputs and the heads", i);
}

/* Sizes from the operands' shapes. */
static int mha_sizes(struct mha_job *j)
{
    struct exec_ctx *ec = j->ec;
    const struct places *at = j->p->at;
    const struct tensor *q = ec->in[at->q], *k = ec_has(ec, at->k) ? ec->in[at->k] : NULL;
    const struct tensor *v = ec_has(ec, at->v) ? ec->in[at->v] : NULL;
    int64_t n = j->p->heads;
    j->layout = layout_of(q->rank, k ? k->rank : 0);
    if (j->layout < 0 || !!v != (j->layout == SEPARATE || j->layout == CACHED) || (v && v->rank != k->rank))
        return no_fit(ec, at->q);
    j->batch = q->dims[0];
    j->q = j->kv = q->dims[1];
    bool packed = j->layout == PACKED;
    int64_t cols = packed ? 1 : j->layout == ROW ? 3 * n : n;
    j->d = j->dv = packed ? q->dims[4] : q->dims[2] / cols;
    if (packed ? q->dims[2] != n || q->dims[3] != 3 : q->dims[2] % cols != 0)
        return no_fit(ec, at->q);
    if (!k)
        return 0;
    j->kv = k->dims[j->layout == CACHED ? 2 : 1];
    if (j->layout == SEPARATE)
        j->dv = v->dims[2] / n;
    else if (j->layout == CACHED)
        j->dv = v->dims[3];
    if (tensor_count(k) != j->batch * n * j->kv * j->d * (j->layout == PACKED_KV ? 2 : 1) ||
        k->dims[0] != j->batch)
        return no_fit(ec, at->k);
    if (v && (tensor_count(v) != j->batch * n * j->kv * j->dv || v->dims[0] != j->batch))
        return no_fit(ec, at->v);
    return 0;
}

static struct attn_view part(const float *p, int64_t steps, int64_t row, int64_t head, int64_t at)
{
    return (struct attn_view){(const char *)(p + at), steps * row, head, row};
}

/* Where the new steps lie; the bias is added to copies. */
static int mha_views(struct mha_job *j)
{
    struct exec_ctx *ec = j->ec;
    const struct places *at = j->p->at;
    const float *q, *k, *v, *bias = NULL;
    int64_t n = j->p->heads, hq = n * j->d, hv = n * j->dv;
    int rc = wide_f32(ec, at->q, &q);
    if (!rc)
        rc = wide_f32(ec, at->k, &k);
    if (!rc)
        rc = wide_f32(ec, at->v, &v);
    if (!rc && has(ec, at->bias))
        rc = wide_f32(ec, at->bias, &bias);
    if (rc)
        return rc;
    if (bias && tensor_count(ec->in[at->bias]) != 2 * hq + hv)
        return no_fit(ec, at->bias);
    if (bias && (j->layout == PACKED || j->layout == PACKED_KV))
        return err_set(ec->cx, E_UNSUPPORTED, "a bias for packed operands: its layout is not defined");
    int64_t rows = j->batch * j->q;
    if (j->layout == ROW) {
        q = ms_add_bias(ec, q, rows * 3 * hq, bias, 3 * hq);
        j->vq = part(q, j->q, 3 * hq, j->d, 0);
        j->vk = part(q, j->q, 3 * hq, j->d, hq);
        j->vv = part(q, j->q, 3 * hq, j->d, 2 * hq);
        return q ? 0 : ec->cx->err.code;
    }
    if (j->layout == PACKED) {
        j->vq = part(q, j->q, 3 * hq, 3 * j->d, 0);
        j->vk = part(q, j->q, 3 * hq, 3 * j->d, j->d);
        j->vv = part(q, j->q, 3 * hq, 3 * j->d, 2 * j->d);
        return 0;
    }
    q = ms_add_bias(ec, q, rows * hq, bias, hq);
    j->vq = part(q, j->q, hq, j->d, 0);
    if (j->layout == PACKED_KV) {
        j->vk = part(k, j->kv, 2 * hq, 2 * j->d, 0);
        j->vv = part(k, j->kv, 2 * hq, 2 * j->d, j->d);
    } else if (j->layout == CACHED) { /* projected and biased when they were cached */
        j->vk = attn_view_of(k, false, n, j->kv, j->d);
        j->vv = attn_view_of(v, false, n, j->kv, j->dv);
    } else {
        k = ms_add_bias(ec, k, j->batch * j->kv * hq, bias ? bias + hq : NULL, hq);
        v = k ? ms_add_bias(ec, v, j->batch * j->kv * hv, bias ? bias + 2 * hq : NULL, hv) : NULL;
        j->vk = part(k, j->kv, hq, j->d, 0);
        j->vv = part(v, j->kv, hv, j->dv, 0);
        return q && k && v ? 0 : ec->cx->err.code;
    }
    return q ? 0 : ec->cx->err.code;
}

/* The cache's rows, and those of them that count. */
static int mha_past(struct mha_job *j)
{
    struct exec_ctx *ec = j->ec;
    const struct places *at = j->p->at;
    struct ms_cache *c = &j->cache;
    int64_t len;
    *c = (struct ms_cache){.batch = j->batch, .heads = j->p->heads, .kv = j->kv};
    if (ec_has(ec, at->past_k) != ec_has(ec, at->past_v))
        return err_set(ec->cx, E_MODEL, "past_key and past_value come together");
    for (int i = 0; i < 2 && ec_has(ec, at->past_k); i++) {
        const struct tensor *t = ec->in[i ? at->past_v : at->past_k];
        if (t->rank != 4 || t->dims[0] != j->batch || t->dims[1] != j->p->heads ||
            t->dims[3] != (i ? j->dv : j->d) || (i && t->dims[2] != c->past_rows))
            return no_fit(ec, i ? at->past_v : at->past_k);
        c->past_rows = t->dims[2];
    }
    bool share = j->p->share && ec_has(ec, at->past_k);
    len = c->past_rows;
    if (share && (!ec_has(ec, at->past_len) || ec_int(ec, at->past_len, &len)))
        return err_set(ec->cx, E_MODEL, "a shared buffer needs past_sequence_length");
    if (len < 0 || len > c->past_rows || (share && len + j->kv > c->past_rows))
        return err_set(ec->cx, E_VALUE, "past_sequence_length is %lld of %lld rows", (long long)len,
                       (long long)c->past_rows);
    c->past = len;
    c->rows = share ? c->past_rows : len + j->kv;
    return 0;
}

/* Beam search: row t of beam b came from beam origin[batch][b][t] of the same batch; the rows in that order,
 * in scratch memory. */
static int by_origin(struct mha_job *j, struct attn_view *v, int64_t size)
{
    struct exec_ctx *ec = j->ec;
    const struct tensor *o = has(ec, j->p->at->origin) ? ec->in[j->p->at->origin] : NULL;
    int64_t n = j->p->heads, total = j->cache.past + j->kv, beams = 1;
    if (!o || !j->cache.past)
        return 0;
    if (has(ec, j->p->at->beam) && ec_int(ec, j->p->at->beam, &beams))
        return ec->cx->err.code;
    if (j->p->at->beam < 0 && o->rank == 3)
        beams = o->dims[1];
    if (o->dt != DT_INT32 || o->rank != 3 || beams < 1 || o->dims[0] * o->dims[1] != j->batch ||
        o->dims[1] != beams || o->dims[2] < j->cache.past)
        return no_fit(ec, j->p->at->origin);
    float *to = ec_scratch(ec, ((size_t)(j->batch * n * total * size) + 1) * sizeof(float));
    for (int64_t i = 0; to && i < j->batch * n * total; i++) {
        int64_t t = i % total, h = i / total % n, b = i / total / n;
        int64_t from = t < j->cache.past ? ((const int32_t *)o->data)[b * o->dims[2] + t] : b % beams;
        if (from < 0 || from >= beams)
            return err_set(ec->cx, E_VALUE, "cache_indirection names beam %lld of %lld", (long long)from,
                           (long long)beams);
        const float *src = (const float *)v->p + (b / beams * beams + from) * v->b + h * v->h + t * v->s;
        memcpy(to + i * size, src, (size_t)size * sizeof(float));
    }
    *v = attn_view_of(to, false, n, total, size);
    return to ? 0 : ec->cx->err.code;
}

/* Keys (half 0) or values with what the cache holds. */
static int mha_half(struct mha_job *j, int half, struct attn_view *v)
{
    const struct places *at = j->p->at;
    struct ms_cache c = j->cache;
    const float *past = NULL;
    float *present = NULL;
    c.size = half ? j->dv : j->d;
    int rc = wide_f32(j->ec, half ? at->past_v : at->past_k, &past);
    if (!rc)
        rc = wide_out_f32(j->ec, OUT_PRESENT_K + half, &present);
    if (!rc)
        rc = ms_cache_join(j->ec, &c, past, half ? &j->vv : &j->vk, present, v);
    if (!rc)
        wide_done_f32(j->ec, OUT_PRESENT_K + half, present);
    return rc ? rc : by_origin(j, v, c.size);
}

static int mha_ref(struct exec_ctx *ec, const void *params)
{
    struct mha_job j = {.ec = ec, .p = params};
    float *y = NULL, *qk = NULL;
    if (!wide_fits_f32(ec->in[0]->dt))
        return ec_unsupported(ec, 0);
    int rc = mha_sizes(&j);
    if (!rc)
        rc = mha_past(&j);
    if (!rc)
        rc = mha_views(&j);
    int64_t n = j.p->heads;
    struct attn a = {
        .ec = ec, .dt = DT_FLOAT, .batch = j.batch, .hq = n, .hk = n, .q = j.q, .d = j.d, .dv = j.dv};
    if (!rc)
        rc = mha_half(&j, 0, &a.vk);
    if (!rc)
        rc = mha_half(&j, 1, &a.vv);
    if (!rc)
        rc = wide_out_f32(ec, OUT_Y, &y);
    if (!rc)
        rc = wide_out_f32(ec, OUT_QK, &qk);
    if (rc || !y)
        return rc;
    struct ms_mask mask = {.filter = (double)j.p->filter, .causal = j.p->causal, .past = j.cache.past};
    a.total = j.cache.past + j.kv;
    a.scale = j.p->scale != 0 ? (double)j.p->scale : 1 / sqrt((double)j.d);
    a.vq = j.vq;
    a.vy = attn_view_of(y, true, n, j.q, j.dv);
    a.show = (char *)qk;
    a.stage = ATTN_BIASED; /* so ONNX Runtime has it */
    if (qk && tensor_count(ec->out[OUT_QK]) != j.batch * n * j.q * a.total)
        return no_fit(ec, OUT_QK);
    rc = ms_mask_set(&a, &mask, j.p->at->mask, j.p->at->add);
    if (!rc)
        rc = attn_run(&a);
    wide_done_f32(ec, OUT_Y, y);
    wide_done_f32(ec, OUT_QK, qk);
    return rc;
}

#define MHA(opname)                                                                                          \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct mha),      \
        .parse = mha_parse, .infer = mha_infer, .ref = mha_ref, .cost = mha_cost,                            \
        .supports = ms_float_supports,                                                                       \
    }

const struct op op_com_microsoft_MultiHeadAttention = MHA("MultiHeadAttention");
const struct op op_com_microsoft_DecoderMaskedMultiHeadAttention = MHA("DecoderMaskedMultiHeadAttention");
