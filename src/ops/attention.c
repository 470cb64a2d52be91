/* Attention and RotaryEmbedding. float and narrower compute in float, float64 in double; the products are
 * those of attn_core.c. */
#include "ops/attn_core.h"

#include <math.h>
#include <string.h>

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_K, IN_PAST_V, IN_NONPAD };
enum { OUT_Y, OUT_PRESENT_K, OUT_PRESENT_V, OUT_QK };

struct attention {
    bool causal;
    int64_t q_heads, kv_heads; /* 0: the inputs have four dimensions */
    int64_t left, right;       /* window; -1: open */
    enum attn_stage stage;     /* what output 3 shows */
    float scale;               /* NaN: 1 / sqrt(head size) */
    float softcap;
};

static int attention_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    (void)arena, (void)version;
    struct attention *a = params;
    int64_t causal = 0, stage = 0;
    a->scale = NAN;
    a->left = a->right = -1;
    int r = attr_int(cx, n, "is_causal", &causal);
    if (r >= 0)
        r = attr_int(cx, n, "q_num_heads", &a->q_heads);
    if (r >= 0)
        r = attr_int(cx, n, "kv_num_heads", &a->kv_heads);
    if (r >= 0)
        r = attr_int(cx, n, "left_window_size", &a->left);
    if (r >= 0)
        r = attr_int(cx, n, "right_window_size", &a->right);
    if (r >= 0)
        r = attr_int(cx, n, "qk_matmul_output_mode", &stage);
    if (r >= 0)
        r = attr_float(cx, n, "scale", &a->scale);
    if (r >= 0)
        r = attr_float(cx, n, "softcap", &a->softcap);
    if (r < 0)
        return r;
    if (stage < ATTN_RAW || stage > ATTN_SOFTMAX)
        return err_set(cx, E_ATTR, "attribute qk_matmul_output_mode is %lld, expected 0 to 3",
                       (long long)stage);
    if (a->left < -1 || a->right < -1 || a->q_heads < 0 || a->kv_heads < 0)
        return err_set(cx, E_ATTR, "a window size or number of heads is negative");
    a->causal = causal != 0;
    a->stage = (enum attn_stage)stage;
    return 0;
}

/* ---- shapes ---- */

/* Input i as [batch, heads, steps, size]. */
struct heads {
    struct dim d[4];
};

static int input_heads(struct infer_ctx *ic, int i, int64_t heads, struct heads *h)
{
    int rank = ic_rank(ic, i);
    for (int k = 0; k < 4; k++)
        h->d[k] = rank == 4 ? ic_dim(ic, i, k) : dim_unknown();
    if (rank != 3)
        return 0;
    struct dim width = ic_dim(ic, i, 2);
    if (heads < 1)
        return ic_err(ic, E_ATTR, "q_num_heads and kv_num_heads are needed for inputs of three dimensions");
    if (width.kind == DIM_CONST && width.v % heads)
        return ic_err(ic, E_SHAPE, "%lld columns are no multiple of %lld heads", (long long)width.v,
                      (long long)heads);
    *h = (struct heads){{ic_dim(ic, i, 0), dim_const(heads), ic_dim(ic, i, 1),
                         dim_div_floor(ic->syms, width, dim_const(heads))}};
    return 0;
}

static int check_heads(struct infer_ctx *ic, const struct heads *q, const struct heads *k,
                       const struct heads *v)
{
    int r = ic_unify(ic, k->d[0], q->d[0], "batch of Q and K");
    if (!r)
        r = ic_unify(ic, v->d[0], q->d[0], "batch of Q and V");
    if (!r)
        r = ic_unify(ic, v->d[1], k->d[1], "heads of K and V");
    if (!r)
        r = ic_unify(ic, v->d[2], k->d[2], "length of K and V");
    if (!r)
        r = ic_unify(ic, k->d[3], q->d[3], "head size of Q and K");
    if (!r && q->d[1].kind == DIM_CONST && k->d[1].kind == DIM_CONST && (!k->d[1].v || q->d[1].v % k->d[1].v))
        return ic_err(ic, E_SHAPE, "%lld query heads are no multiple of %lld key heads", (long long)q->d[1].v,
                      (long long)k->d[1].v);
    return r;
}

static int attention_infer(struct infer_ctx *ic, const void *params)
{
    const struct attention *a = params;
    struct heads q, k, v;
    int r = 0;
    for (int i = IN_Q; !r && i <= IN_V; i++)
        r = ic_need_rank(ic, i, 3, 4);
    if (!r)
        r = input_heads(ic, IN_Q, a->q_heads, &q);
    if (!r)
        r = input_heads(ic, IN_K, a->kv_heads, &k);
    if (!r)
        r = input_heads(ic, IN_V, a->kv_heads, &v);
    if (!r)
        r = check_heads(ic, &q, &k, &v);
    if (!r && ic_has(ic, IN_PAST_K) != ic_has(ic, IN_PAST_V))
        return ic_err(ic, E_MODEL, "of past_key and past_value only one is there");
    if (r)
        return r;
    struct symtab *t = ic->syms;
    struct dim past = !ic_has(ic, IN_PAST_K)        ? dim_const(0)
                      : ic_rank(ic, IN_PAST_K) == 4 ? ic_dim(ic, IN_PAST_K, 2)
                                                    : dim_unknown();
    struct dim total = dim_add(t, past, k.d[2]);
    struct dim y4[4] = {q.d[0], q.d[1], q.d[2], v.d[3]}, y3[3] = {q.d[0], q.d[2], dim_mul(t, q.d[1], v.d[3])};
    struct dim pk[4] = {q.d[0], k.d[1], total, k.d[3]}, pv[4] = {q.d[0], k.d[1], total, v.d[3]};
    struct dim qk[4] = {q.d[0], q.d[1], q.d[2], total};
    int rank = ic_rank(ic, IN_Q);
    r = ic_out(ic, OUT_Y, ic_dtype(ic, IN_Q), rank, rank == 3 ? y3 : y4);
    if (!r && ic_has_out(ic, OUT_PRESENT_K))
        r = ic_out(ic, OUT_PRESENT_K, ic_dtype(ic, IN_K), 4, pk);
    if (!r && ic_has_out(ic, OUT_PRESENT_V))
        r = ic_out(ic, OUT_PRESENT_V, ic_dtype(ic, IN_V), 4, pv);
    if (!r && ic_has_out(ic, OUT_QK))
        r = ic_out(ic, OUT_QK, ic_dtype(ic, IN_Q), 4, qk);
    return r;
}

/* ---- one run ---- */

struct att_run {
    struct attn core;
    struct exec_ctx *ec;
    const struct attention *a;
    enum dtype dt; /* that is computed in */
    size_t size;
    int64_t batch, hq, hk, q, kv, past, total, d, dv;
    bool biased;
    const int64_t *nonpad;
};

static int att_bad(struct cx *cx, const char *what)
{
    return err_set(cx, E_SHAPE, "the shape of %s does not fit the other inputs", what);
}

/* Sizes from the shapes of the inputs. */
static int att_sizes(struct att_run *r)
{
    const struct tensor *q = r->ec->in[IN_Q], *k = r->ec->in[IN_K], *v = r->ec->in[IN_V];
    if (q->rank != k->rank || q->rank != v->rank || q->rank < 3 || q->rank > 4)
        return att_bad(r->ec->cx, "Q, K and V");
    bool flat = q->rank == 3;
    r->batch = q->dims[0];
    r->hq = flat ? r->a->q_heads : q->dims[1];
    r->hk = flat ? r->a->kv_heads : k->dims[1];
    if (r->hq < 1 || r->hk < 1 || r->hq % r->hk)
        return att_bad(r->ec->cx, "K");
    r->q = q->dims[flat ? 1 : 2];
    r->kv = k->dims[flat ? 1 : 2];
    r->d = flat ? q->dims[2] / r->hq : q->dims[3];
    r->dv = flat ? v->dims[2] / r->hk : v->dims[3];
    if (tensor_count(k) != r->batch * r->hk * r->kv * r->d ||
        tensor_count(v) != r->batch * r->hk * r->kv * r->dv ||
        tensor_count(q) != r->batch * r->hq * r->q * r->d)
        return att_bad(r->ec->cx, "K or V");
    const struct tensor *pk = ec_has(r->ec, IN_PAST_K) ? r->ec->in[IN_PAST_K] : NULL;
    const struct tensor *pv = ec_has(r->ec, IN_PAST_V) ? r->ec->in[IN_PAST_V] : NULL;
    r->past = pk && pk->rank == 4 ? pk->dims[2] : 0;
    if ((pk && tensor_count(pk) != r->batch * r->hk * r->past * r->d) || !pk != !pv ||
        (pv && tensor_count(pv) != r->batch * r->hk * r->past * r->dv))
        return att_bad(r->ec->cx, "past_key or past_value");
    r->total = r->past + r->kv;
    return 0;
}

/* Input i in the type that is computed in. */
static int att_in(struct att_run *r, int i, const void **p)
{
    const float *f = NULL;
    const double *d = NULL;
    int rc = r->dt == DT_DOUBLE ? wide_f64(r->ec, i, &d) : wide_f32(r->ec, i, &f);
    *p = r->dt == DT_DOUBLE ? (const void *)d : f;
    return rc;
}

static int att_out(struct att_run *r, int o, void **p)
{
    float *f = NULL;
    double *d = NULL;
    int rc = r->dt == DT_DOUBLE ? wide_out_f64(r->ec, o, &d) : wide_out_f32(r->ec, o, &f);
    *p = r->dt == DT_DOUBLE ? (void *)d : f;
    return rc;
}

static void att_done(struct att_run *r, int o, const void *p)
{
    if (r->dt == DT_DOUBLE)
        wide_done_f64(r->ec, o, p);
    else
        wide_done_f32(r->ec, o, p);
}

/* Past and new steps one behind the other: output o when it is wanted, else scratch. With neither past nor
 * output the input is used where it lies. */
static int att_cache(struct att_run *r, int in, int past, int o, int64_t size, struct attn_view *v)
{
    const void *now, *before;
    void *to;
    bool flat = r->ec->in[in]->rank == 3;
    int rc = att_in(r, in, &now);
    if (!rc)
        rc = att_in(r, past, &before);
    if (!rc)
        rc = att_out(r, o, &to);
    if (rc)
        return rc;
    *v = attn_view_of(now, flat, r->hk, r->kv, size);
    if (!to && !before)
        return 0;
    bool wanted = to != NULL;
    if (!to)
        to = ec_scratch(r->ec, ((size_t)(r->batch * r->hk * r->total * size) + 1) * r->size);
    if (!to)
        return r->ec->cx->err.code;
    size_t row = (size_t)size * r->size;
    for (int64_t bh = 0; bh < r->batch * r->hk; bh++) {
        char *p = (char *)to + (size_t)(bh * r->total) * row;
        const char *src = v->p + (size_t)(bh / r->hk * v->b + bh % r->hk * v->h) * r->size;
        if (r->past)
            memcpy(p, (const char *)before + (size_t)(bh * r->past) * row, (size_t)r->past * row);
        for (int64_t s = 0; s < r->kv; s++)
            memcpy(p + (size_t)(r->past + s) * row, src + (size_t)(s * v->s) * r->size, row);
    }
    if (wanted)
        att_done(r, o, to);
    *v = attn_view_of(to, false, r->hk, r->total, size);
    return 0;
}

/* What is added to the scores of query i: 0 or -Inf by position, plus the mask. False: nothing is left to
 * attend to. */
static bool bias_row(const struct attn *core, int64_t b, int64_t h, int64_t i, double *row)
{
    const struct att_run *r = core->user;
    const struct attention *a = r->a;
    int64_t valid = r->nonpad ? r->nonpad[b] : r->total;
    int64_t at = i + (r->past || !r->nonpad ? r->past : valid - r->q);
    for (int64_t j = 0; j < r->total; j++) {
        bool off = j >= valid || (a->causal && j > at) || (a->left >= 0 && at - j > a->left) ||
                   (a->right >= 0 && j - at > a->right);
        row[j] = off ? (double)-INFINITY : 0;
    }
    if (ec_has(r->ec, IN_MASK)) {
        const struct tensor *m = r->ec->in[IN_MASK];
        const struct dtype_info *info = dtype_info(m->dt);
        int64_t coord[4] = {b, h, i, 0}, off = 0, step = m->dims[m->rank - 1], last = step;
        for (int k = m->rank - 2; k >= 0; k--) {
            off += m->dims[k] == 1 ? 0 : coord[k + 4 - m->rank] * step;
            step *= m->dims[k];
        }
        for (int64_t j = 0; j < r->total; j++) {
            double v = j < last ? info->load_f64((const char *)m->data + (size_t)(off + j) * info->size)
                                : (m->dt == DT_BOOL ? 0 : (double)-INFINITY);
            row[j] += m->dt == DT_BOOL ? (v != 0 ? 0 : (double)-INFINITY) : v;
        }
    }
    for (int64_t j = 0; j < r->total; j++)
        if (!(row[j] == (double)-INFINITY))
            return true;
    return false;
}

/* That the mask broadcasts to [batch, heads, q, total] but for a last axis that may be shorter. */
static int att_masks(struct att_run *r)
{
    struct exec_ctx *ec = r->ec;
    const int64_t want[4] = {r->batch, r->hq, r->q, r->total};
    r->biased = r->a->causal || r->a->left >= 0 || r->a->right >= 0;
    if (ec_has(ec, IN_MASK)) {
        const struct tensor *m = ec->in[IN_MASK];
        bool ok =
            m->rank >= 1 && m->rank <= 4 && dtype_info(m->dt)->load_f64 && m->dims[m->rank - 1] <= r->total;
        for (int k = 0; ok && k < m->rank - 1; k++)
            ok = m->dims[k] == 1 || m->dims[k] == want[k + 4 - m->rank];
        if (!ok)
            return att_bad(ec->cx, "attn_mask");
        r->biased = true;
    }
    if (ec_has(ec, IN_NONPAD)) {
        const struct tensor *n = ec->in[IN_NONPAD];
        if (n->dt != DT_INT64 || tensor_count(n) != r->batch)
            return att_bad(ec->cx, "nonpad_kv_seqlen");
        r->nonpad = n->data;
        for (int64_t b = 0; b < r->batch; b++)
            if (r->nonpad[b] < 0 || r->nonpad[b] > r->total)
                return err_set(ec->cx, E_VALUE, "nonpad_kv_seqlen is %lld for sample %lld, of %lld positions",
                               (long long)r->nonpad[b], (long long)b, (long long)r->total);
        r->biased = true;
    }
    return 0;
}

static int attention_ref(struct exec_ctx *ec, const void *params)
{
    const struct attention *a = params;
    struct att_run r = {.ec = ec, .a = a};
    if (!ec_has(ec, IN_Q) || !ec_has(ec, IN_K) || !ec_has(ec, IN_V) ||
        dtype_info(ec->in[IN_Q]->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, IN_Q);
    r.dt = ec->in[IN_Q]->dt == DT_DOUBLE ? DT_DOUBLE : DT_FLOAT;
    r.size = dtype_size(r.dt);
    const void *q;
    void *y, *qk;
    int rc = att_sizes(&r);
    if (!rc)
        rc = att_masks(&r);
    if (!rc)
        rc = att_in(&r, IN_Q, &q);
    if (!rc)
        rc = att_cache(&r, IN_K, IN_PAST_K, OUT_PRESENT_K, r.d, &r.core.vk);
    if (!rc)
        rc = att_cache(&r, IN_V, IN_PAST_V, OUT_PRESENT_V, r.dv, &r.core.vv);
    if (!rc)
        rc = att_out(&r, OUT_Y, &y);
    if (!rc)
        rc = att_out(&r, OUT_QK, &qk);
    if (!rc && !y)
        y = ec_scratch(ec, ((size_t)(r.batch * r.hq * r.q * r.dv) + 1) * r.size);
    if (rc || !y)
        return rc ? rc : ec->cx->err.code;
    bool flat = ec->in[IN_Q]->rank == 3;
    struct attn *c = &r.core;
    *c = (struct attn){.ec = ec,
                       .dt = r.dt,
                       .batch = r.batch,
                       .hq = r.hq,
                       .hk = r.hk,
                       .q = r.q,
                       .total = r.total,
                       .d = r.d,
                       .dv = r.dv,
                       .vq = attn_view_of(q, flat, r.hq, r.q, r.d),
                       .vk = c->vk,
                       .vv = c->vv,
                       .vy = attn_view_of(y, flat, r.hq, r.q, r.dv),
                       .scale = isnan(a->scale) ? 1 / sqrt((double)r.d) : (double)a->scale,
                       .softcap = (double)a->softcap,
                       .stage = a->stage,
                       .show = qk,
                       .bias = r.biased ? bias_row : NULL,
                       .user = &r};
    rc = attn_run(c);
    if (rc)
        return rc;
    att_done(&r, OUT_Y, y);
    att_done(&r, OUT_QK, qk);
    return 0;
}

/* Both products, each over all pairs of a query and a key. */
static int attention_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct attention *a = params;
    struct heads q, k, v;
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (input_heads(ic, IN_Q, a->q_heads, &q) || input_heads(ic, IN_K, a->kv_heads, &k) ||
        input_heads(ic, IN_V, a->kv_heads, &v))
        return ic->cx->err.code;
    struct symtab *t = ic->syms;
    struct dim past = !ic_has(ic, IN_PAST_K)        ? dim_const(0)
                      : ic_rank(ic, IN_PAST_K) == 4 ? ic_dim(ic, IN_PAST_K, 2)
                                                    : dim_unknown();
    struct dim pairs = dim_mul(t, dims_prod_expr(ic, q.d, 0, 3), dim_add(t, past, k.d[2]));
    out->macs = dim_mul(t, pairs, dim_add(t, q.d[3], v.d[3]));
    return 0;
}

const struct op op_Attention = {
    .domain = "",
    .name = "Attention",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct attention),
    .parse = attention_parse,
    .infer = attention_infer,
    .ref = attention_ref,
    .cost = attention_cost,
};

/* ---- RotaryEmbedding ---- */

struct rotary {
    bool interleaved;
    int64_t heads, dim; /* 0: not given */
};

static int rotary_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct rotary *a = params;
    int64_t inter = 0;
    int r = attr_int(cx, n, "interleaved", &inter);
    if (r >= 0)
        r = attr_int(cx, n, "num_heads", &a->heads);
    if (r >= 0)
        r = attr_int(cx, n, "rotary_embedding_dim", &a->dim);
    a->interleaved = inter != 0;
    if (r >= 0 && (a->heads < 0 || a->dim < 0 || a->dim % 2))
        return err_set(cx, E_ATTR, "num_heads is %lld, rotary_embedding_dim %lld", (long long)a->heads,
                       (long long)a->dim);
    return r < 0 ? r : 0;
}

static int rotary_infer(struct infer_ctx *ic, const void *params)
{
    const struct rotary *a = params;
    int r = ic_need_rank(ic, 0, 3, 4);
    if (!r && ic_rank(ic, 0) == 3 && !a->heads)
        return ic_err(ic, E_ATTR, "num_heads is needed for an input of three dimensions");
    return r ? r : ic_out_same(ic, 0, 0);
}

struct rotary_run {
    const struct rotary *a;
    int64_t batch, heads, steps, size, half;
    bool flat;
    const double *x, *cs, *sn;
    double *y;
    const struct tensor *pos; /* NULL: caches are [batch, steps, half] */
    int64_t rows;             /* of the caches otherwise */
};

static void rotate(const struct rotary_run *r, const double *x, double *y, const double *cs, const double *sn)
{
    memcpy(y, x, (size_t)r->size * sizeof(*y));
    for (int64_t k = 0; k < r->half; k++) {
        int64_t a = r->a->interleaved ? 2 * k : k, b = r->a->interleaved ? 2 * k + 1 : r->half + k;
        y[a] = cs[k] * x[a] - sn[k] * x[b];
        y[b] = sn[k] * x[a] + cs[k] * x[b];
    }
}

static int rotary_all(struct cx *cx, const struct rotary_run *r)
{
    for (int64_t b = 0; b < r->batch; b++)
        for (int64_t s = 0; s < r->steps; s++) {
            int64_t row = r->pos ? tensor_i64(r->pos, b * r->steps + s) : b * r->steps + s;
            if (row < 0 || row >= r->rows)
                return err_set(cx, E_VALUE, "position %lld is outside the caches' %lld rows", (long long)row,
                               (long long)r->rows);
            for (int64_t h = 0; h < r->heads; h++) {
                int64_t at = r->flat ? (b * r->steps + s) * r->heads + h : (b * r->heads + h) * r->steps + s;
                rotate(r, r->x + at * r->size, r->y + at * r->size, r->cs + row * r->half,
                       r->sn + row * r->half);
            }
        }
    return 0;
}

static int rotary_ref(struct exec_ctx *ec, const void *params)
{
    struct rotary_run r = {.a = params};
    const struct tensor *x = ec->in[0];
    if (!ec_has_out(ec, 0) || !tensor_count(x))
        return 0;
    r.flat = x->rank == 3;
    r.batch = x->dims[0];
    r.steps = x->dims[r.flat ? 1 : 2];
    r.heads = r.flat ? r.a->heads : x->dims[1];
    r.size = r.flat ? x->dims[2] / r.heads : x->dims[3];
    r.half = (r.a->dim ? r.a->dim : r.size) / 2;
    if (2 * r.half > r.size || r.batch * r.steps * r.heads * r.size != tensor_count(x))
        return err_set(ec->cx, E_SHAPE, "heads and rotary_embedding_dim do not fit the input's columns");
    r.pos = ec_has(ec, 3) ? ec->in[3] : NULL;
    r.rows = r.half ? tensor_count(ec->in[1]) / r.half : INT64_MAX;
    if (tensor_count(ec->in[1]) != tensor_count(ec->in[2]) || (r.half && tensor_count(ec->in[1]) % r.half) ||
        (r.pos && tensor_count(r.pos) != r.batch * r.steps))
        return err_set(ec->cx, E_SHAPE, "the caches or position_ids do not fit the input");
    int rc = wide_f64(ec, 0, &r.x);
    if (!rc)
        rc = wide_f64(ec, 1, &r.cs);
    if (!rc)
        rc = wide_f64(ec, 2, &r.sn);
    if (!rc)
        rc = wide_out_f64(ec, 0, &r.y);
    if (!rc)
        rc = rotary_all(ec->cx, &r);
    if (!rc)
        wide_done_f64(ec, 0, r.y);
    return rc;
}

const struct op op_RotaryEmbedding = {
    .domain = "",
    .name = "RotaryEmbedding",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct rotary),
    .parse = rotary_parse,
    .infer = rotary_infer,
    .ref = rotary_ref,
};
