/* GroupQueryAttention of com.microsoft: causal attention of many query heads over few key heads, with a cache
 * whose filling differs between the batch's sequences. SparseAttention is the same, but that a query sees
 * only the blocks of keys that a table names. */
#include <math.h>
#include <string.h>

#include "ops/contrib_attn.h"

enum { IN_Q, IN_K, IN_V, IN_PAST_K, IN_PAST_V };

/* The inputs behind those; NO_INPUT: the operator has none such. */
enum { NO_INPUT = 63 };
struct gqa_inputs {
    int lengths; /* [batch] keys of each sequence; GroupQueryAttention: less one */
    int total;   /* keys of the longest */
    int cos, sin, positions, add, sink, k_scale, v_scale, q_norm, k_norm;
    int rows, cols; /* SparseAttention: the table of blocks, compressed by rows */
};
static const struct gqa_inputs gqa_inputs = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, NO_INPUT, NO_INPUT};
static const struct gqa_inputs sparse_inputs = {
    8, 7, 9, 10, NO_INPUT, NO_INPUT, NO_INPUT, NO_INPUT, NO_INPUT, NO_INPUT, NO_INPUT, 5, 6};

enum { OUT_Y, OUT_PRESENT_K, OUT_PRESENT_V, OUT_QK };

struct gqa {
    const struct gqa_inputs *in;
    int64_t block; /* SparseAttention: keys and queries of a block; else 0 */
    int64_t heads, kv_heads;
    int64_t window; /* keys that a query sees, itself included; below 1: all */
    float scale;    /* 0: 1 / sqrt(head size) */
    float softcap, epsilon;
    bool rotary, interleaved, smooth, causal;
    int64_t show; /* output 3: 1 before softmax, 2 behind it */
    bool sliding; /* the cache keeps the last keys only: `window` of them at least */
    int bits;     /* of a cached element: 8 (int8), 4 (uint8, two in each); 0: as they come */
};

/* How the cache is kept. */
static int read_cache(struct cx *cx, const struct node *n, struct gqa *p)
{
    static const char *const kinds[] = {"NONE", "PER_TENSOR", "PER_CHANNEL", NULL};
    int64_t sliding = 0, bits = 8;
    int k = 0, v = 0;
    int rc = attr_choice(cx, n, "k_quant_type", kinds, &k);
    if (rc >= 0)
        rc = attr_choice(cx, n, "v_quant_type", kinds, &v);
    if (rc >= 0)
        rc = attr_int(cx, n, "kv_cache_bit_width", &bits);
    if (rc >= 0)
        rc = attr_int(cx, n, "sliding_window_cache", &sliding);
    if (rc >= 0 && sliding && p->window < 1)
        return err_set(cx, E_ATTR, "sliding_window_cache without local_window_size");
    if (rc >= 0 && sliding && (k || p->show))
        return err_set(cx, E_UNSUPPORTED, "sliding_window_cache of few bits, or with the scores shown");
    p->sliding = sliding != 0;
    if (rc >= 0 && (!k != !v || (k && bits != 8 && bits != 4)))
        return err_set(cx, E_ATTR, "keys and values are both kept in 8 or 4 bits, or neither");
    if (k && (n->nin <= p->in->v_scale || !n->in[p->in->k_scale] || !n->in[p->in->v_scale]))
        return err_set(cx, E_MODEL, "a quantized cache needs k_scale and v_scale");
    p->bits = k ? (int)bits : 0;
    return rc < 0 ? rc : 0;
}

static int gqa_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct gqa *p = params;
    int64_t rotary = 0, inter = 0, smooth = 0, causal = 1;
    struct {
        const char *name;
        int64_t *to;
    } ints[] = {{"num_heads", &p->heads},          {"kv_num_heads", &p->kv_heads}, {"do_rotary", &rotary},
                {"rotary_interleaved", &inter},    {"smooth_softmax", &smooth},    {"causal", &causal},
                {"local_window_size", &p->window}, {"qk_output", &p->show}};
    (void)arena, (void)version;
    p->in = &gqa_inputs;
    p->window = -1;
    p->epsilon = 1e-6f;
    int rc = contrib_inputs(cx, n, 7, 16, 0x61);
    for (size_t i = 0; rc >= 0 && i < sizeof(ints) / sizeof(ints[0]); i++)
        rc = attr_int(cx, n, ints[i].name, ints[i].to);
    if (rc >= 0)
        rc = attr_float(cx, n, "scale", &p->scale);
    if (rc >= 0)
        rc = attr_float(cx, n, "softcap", &p->softcap);
    if (rc >= 0)
        rc = attr_float(cx, n, "qk_norm_epsilon", &p->epsilon);
    p->rotary = rotary != 0;
    p->interleaved = inter != 0;
    p->smooth = smooth == 1;
    p->causal = causal != 0;
    if (rc < 0)
        return rc;
    if (p->heads < 1 || p->kv_heads < 1 || p->heads % p->kv_heads)
        return err_set(cx, E_ATTR, "num_heads is %lld, expected a multiple of kv_num_heads (%lld)",
                       (long long)p->heads, (long long)p->kv_heads);
    if (p->window > 0 && !p->causal)
        return err_set(cx, E_ATTR, "local_window_size without causal attention");
    return read_cache(cx, n, p);
}

static int sparse_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct gqa *p = params;
    int64_t rotary = 0, inter = 0;
    struct {
        const char *name;
        int64_t *to;
    } ints[] = {{"num_heads", &p->heads},
                {"kv_num_heads", &p->kv_heads},
                {"do_rotary", &rotary},
                {"rotary_interleaved", &inter},
                {"sparse_block_size", &p->block}};
    (void)arena, (void)version;
    *p = (struct gqa){.in = &sparse_inputs, .window = -1, .causal = true};
    int rc = contrib_inputs(cx, n, 9, 11, 0x1f9);
    for (size_t i = 0; rc >= 0 && i < sizeof(ints) / sizeof(ints[0]); i++)
        rc = attr_int(cx, n, ints[i].name, ints[i].to);
    if (rc >= 0)
        rc = attr_float(cx, n, "scale", &p->scale);
    p->rotary = rotary != 0;
    p->interleaved = inter != 0;
    if (rc >= 0 && (p->heads < 1 || p->kv_heads < 1 || p->heads % p->kv_heads || p->block < 1))
        return err_set(cx, E_ATTR, "num_heads is %lld, kv_num_heads %lld, sparse_block_size %lld",
                       (long long)p->heads, (long long)p->kv_heads, (long long)p->block);
    return rc < 0 ? rc : 0;
}

/* ---- shapes ---- */

/* Rows of the present cache: those of the past one, or more when the longest sequence has more. */
static struct dim present_rows(struct infer_ctx *ic, const struct gqa *p)
{
    int64_t total;
    bool known = ic_ints(ic, p->in->total, &total, 1) == 1;
    if (!ic_has(ic, IN_PAST_K)) {
        const struct shape_val *v = ic_val(ic, p->in->total);
        return v && v->n == 1 ? v->d[0] : dim_unknown();
    }
    if (p->sliding && ic_rank(ic, IN_PAST_K) == 4)
        return ic_dim(ic, IN_PAST_K, 2);
    if (!known || ic_rank(ic, IN_PAST_K) != 4)
        return dim_unknown();
    struct dim past = ic_dim(ic, IN_PAST_K, 2);
    if (past.kind != DIM_CONST)
        return dim_unknown();
    return dim_const(past.v > total ? past.v : total);
}

static int gqa_infer(struct infer_ctx *ic, const void *params)
{
    const struct gqa *p = params;
    struct symtab *t = ic->syms;
    int rc = ic_need_rank(ic, IN_Q, 3, 3);
    for (int i = IN_PAST_K; !rc && i <= IN_PAST_V; i++)
        if (ic_has(ic, i))
            rc = ic_need_rank(ic, i, 4, 4);
    if (rc)
        return rc;
    struct dim b = dim_unknown(), s = b, size = b;
    if (ic_rank(ic, IN_Q) == 3) {
        b = ic_dim(ic, IN_Q, 0);
        s = ic_dim(ic, IN_Q, 1);
        size = dim_div_floor(t, ic_dim(ic, IN_Q, 2),
                             dim_const(ic_has(ic, IN_K) ? p->heads : p->heads + 2 * p->kv_heads));
    }
    const struct shape_val *v = ic_val(ic, p->in->total);
    struct dim total = v && v->n == 1 ? v->d[0] : dim_unknown();
    struct dim y[3] = {b, s, dim_mul(t, dim_const(p->heads), size)};
    struct dim kept = p->bits == 4 ? dim_div_ceil(t, size, dim_const(2)) : size;
    struct dim k[4] = {b, dim_const(p->kv_heads), present_rows(ic, p), kept};
    enum dtype cache = p->bits == 8 ? DT_INT8 : p->bits ? DT_UINT8 : ic_dtype(ic, IN_Q);
    struct dim qk[4] = {b, dim_const(p->heads), s, total};
    rc = ic_out(ic, OUT_Y, ic_dtype(ic, IN_Q), 3, y);
    for (int o = OUT_PRESENT_K; !rc && o <= OUT_PRESENT_V; o++)
        if (ic_has_out(ic, o))
            rc = ic_out(ic, o, cache, 4, k);
    return !rc && ic_has_out(ic, OUT_QK) ? ic_out(ic, OUT_QK, ic_dtype(ic, IN_Q), 4, qk) : rc;
}

static int gqa_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct gqa *p = params;
    struct symtab *t = ic->syms;
    const struct shape_val *v = ic_val(ic, p->in->total);
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (ic_rank(ic, IN_Q) != 3 || !v || v->n != 1)
        return 0;
    struct dim rows = dim_mul(t, ic_dim(ic, IN_Q, 0), ic_dim(ic, IN_Q, 1)), width = ic_dim(ic, IN_Q, 2);
    if (!ic_has(ic, IN_K))
        width =
            dim_mul(t, dim_div_floor(t, width, dim_const(p->heads + 2 * p->kv_heads)), dim_const(p->heads));
    out->macs = dim_mul(t, dim_mul(t, rows, v->d[0]), dim_mul(t, width, dim_const(2)));
    return 0;
}

/* ---- running ---- */

struct gqa_job {
    struct exec_ctx *ec;
    const struct gqa *p;
    struct attn a;
    int64_t batch, steps, size, total; /* total: keys of the longest sequence */
    bool first;                        /* the cache was empty before */
    int64_t past_rows, rows;           /* of the caches */
    int64_t *len, *past;               /* [batch] keys of a sequence, and how many of them are in the cache */
    int64_t *at;                       /* [batch] position of the first new step */
    struct attn_view q, k, v;          /* new steps */
    struct ms_rotary rot;
};

static int no_fit(struct exec_ctx *ec, int i)
{
    return err_set(ec->cx, E_SHAPE, "input %d does not fit the other inputs and the heads", i);
}

static int gqa_sizes(struct gqa_job *j)
{
    struct exec_ctx *ec = j->ec;
    const struct gqa *p = j->p;
    const struct tensor *q = ec->in[IN_Q];
    bool packed = !ec_has(ec, IN_K);
    int64_t heads = packed ? p->heads + 2 * p->kv_heads : p->heads;
    j->batch = q->dims[0];
    j->steps = q->dims[1];
    j->size = q->dims[2] / heads;
    if (q->dims[2] != heads * j->size || packed == ec_has(ec, IN_V))
        return no_fit(ec, IN_Q);
    for (int i = IN_K; i <= IN_V && !packed; i++) {
        const struct tensor *t = ec->in[i];
        if (t->rank != 3 || t->dims[0] != j->batch || t->dims[1] != j->steps ||
            t->dims[2] != p->kv_heads * j->size)
            return no_fit(ec, i);
    }
    if (ec_has(ec, IN_PAST_K) != ec_has(ec, IN_PAST_V))
        return err_set(ec->cx, E_MODEL, "past_key and past_value come together");
    for (int i = IN_PAST_K; i <= IN_PAST_V && ec_has(ec, i); i++) {
        const struct tensor *t = ec->in[i];
        if (t->rank != 4 || t->dims[0] != j->batch || t->dims[1] != p->kv_heads ||
            t->dims[3] != (p->bits == 4 ? (j->size + 1) / 2 : j->size) ||
            t->dt != (p->bits == 8 ? DT_INT8
                      : p->bits    ? DT_UINT8
                                   : q->dt) ||
            (i == IN_PAST_V && t->dims[2] != j->past_rows))
            return no_fit(ec, i);
        j->past_rows = t->dims[2];
    }
    return 0;
}

/* Of `total` keys, how many a sliding cache holds: it drops as many at once as it has room beyond the window.
 */
static int64_t resident(const struct gqa_job *j, int64_t total)
{
    int64_t step = j->past_rows - j->p->window + 1, over = total - j->past_rows;
    return over <= 0 ? total : total - (over + step - 1) / step * step;
}

/* The same in rows of the cache and the new steps behind it, where old keys were dropped. */
static int slide(struct gqa_job *j)
{
    int64_t longest = 0;
    if (!ec_has(j->ec, IN_PAST_K) || j->past_rows < j->p->window)
        return err_set(j->ec->cx, E_SHAPE, "a cache of %lld rows for a window of %lld",
                       (long long)j->past_rows, (long long)j->p->window);
    for (int64_t b = 0; b < j->batch; b++) {
        j->past[b] = resident(j, j->at[b]);
        j->len[b] += j->past[b] - j->at[b];
        longest = j->past[b] + j->steps > longest ? j->past[b] + j->steps : longest;
    }
    j->total = j->rows = longest;
    return 0;
}

/* How full each sequence's cache is. With as many new steps as the longest sequence has keys nothing was
 * cached before. */
static int gqa_lengths(struct gqa_job *j)
{
    struct exec_ctx *ec = j->ec;
    int64_t n;
    const int64_t *len = ec_ints(ec, j->p->in->lengths, &n);
    if (!len || ec_int(ec, j->p->in->total, &j->total))
        return ec->cx->err.code;
    if (n != j->batch || j->total < 0 || tensor_count(ec->in[j->p->in->total]) != 1)
        return no_fit(ec, j->p->in->lengths);
    if (j->p->block && j->total > j->past_rows)
        return err_set(ec->cx, E_VALUE, "%lld keys in a cache of %lld", (long long)j->total,
                       (long long)j->past_rows);
    j->rows = j->past_rows > j->total ? j->past_rows : j->total;
    j->len = ec_scratch(ec, ((size_t)n * 3 + 1) * sizeof(int64_t));
    if (!j->len)
        return ec->cx->err.code;
    j->past = j->len + n;
    j->at = j->past + n;
    j->first = j->steps == j->total;
    for (int64_t b = 0; b < n; b++) {
        j->len[b] = len[b] + !j->p->block;
        j->past[b] = j->first ? 0 : j->len[b] - j->steps;
        j->at[b] = j->past[b];
        if (j->len[b] < 1 || j->len[b] > j->total || j->past[b] < 0 ||
            (!j->p->sliding && j->past[b] > j->past_rows))
            return err_set(ec->cx, E_VALUE, "length %lld of sequence %lld: %lld new of %lld keys",
                           (long long)len[b], (long long)b, (long long)j->steps, (long long)j->total);
    }
    return j->p->sliding ? slide(j) : 0;
}

/* Divides each head by its root mean square. */
static void norm_head(const float *x, float *y, const float *weight, int64_t n, float epsilon)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    double inv = 1 / sqrt(sum / (double)n + (double)epsilon);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((double)x[i] * inv) * weight[i];
}

/* A first prompt counts from the first of position_ids on, which is all that it looks at. */
static int64_t position(const struct gqa_job *j, const struct tensor *pos, int64_t b, int64_t s)
{
    return j->first ? tensor_i64(pos, 0) + s : tensor_i64(pos, b * j->steps + s);
}

/* Queries or keys normalized and turned, in scratch memory. */
static int prepare(struct gqa_job *j, struct attn_view *v, int64_t heads, int norm)
{
    struct exec_ctx *ec = j->ec;
    const struct gqa *p = j->p;
    const float *weight = NULL;
    int rc = wide_f32(ec, norm, &weight);
    if (rc || (!weight && !p->rotary))
        return rc;
    if (weight && tensor_count(ec->in[norm]) != j->size)
        return no_fit(ec, norm);
    const struct tensor *pos = ec_has(ec, j->p->in->positions) ? ec->in[j->p->in->positions] : NULL;
    if (pos && (pos->dt != DT_INT64 || tensor_count(pos) != j->batch * j->steps))
        return no_fit(ec, j->p->in->positions);
    int64_t n = j->batch * j->steps * heads;
    float *to = ec_scratch(ec, ((size_t)(n * j->size) + 1) * sizeof(float));
    float *mid = ec_scratch(ec, (size_t)(j->size + 1) * sizeof(float));
    if (!to || !mid)
        return ec->cx->err.code;
    for (int64_t i = 0; i < n && !rc; i++) {
        int64_t h = i % heads, s = i / heads % j->steps, b = i / heads / j->steps;
        const float *x = (const float *)v->p + b * v->b + h * v->h + s * v->s;
        float *y = to + i * j->size;
        if (weight)
            norm_head(x, p->rotary ? mid : y, weight, j->size, p->epsilon);
        int64_t at = pos ? position(j, pos, b, s) : j->at[b] + s;
        if (p->rotary)
            rc = ms_rotary_check(ec->cx, &j->rot, at);
        if (p->rotary && !rc)
            ms_rotate(&j->rot, j->rot.cos + at * j->rot.half, j->rot.sin + at * j->rot.half, weight ? mid : x,
                      y, j->size);
    }
    *v = attn_view_of(to, true, heads, j->steps, j->size);
    return rc;
}

static int gqa_views(struct gqa_job *j)
{
    struct exec_ctx *ec = j->ec;
    const float *x[3];
    int rc = 0;
    for (int i = 0; i < 3 && !rc; i++)
        rc = wide_f32(ec, IN_Q + i, &x[i]);
    if (rc)
        return rc;
    int64_t hq = j->p->heads * j->size, hk = j->p->kv_heads * j->size, row = hq + 2 * hk;
    if (x[1]) {
        j->q = attn_view_of(x[0], true, j->p->heads, j->steps, j->size);
        j->k = attn_view_of(x[1], true, j->p->kv_heads, j->steps, j->size);
        j->v = attn_view_of(x[2], true, j->p->kv_heads, j->steps, j->size);
    } else {
        j->q = (struct attn_view){(const char *)x[0], j->steps * row, j->size, row};
        j->k = (struct attn_view){(const char *)(x[0] + hq), j->steps * row, j->size, row};
        j->v = (struct attn_view){(const char *)(x[0] + hq + hk), j->steps * row, j->size, row};
    }
    j->rot.interleaved = j->p->interleaved;
    if (ec_has(ec, j->p->in->q_norm) != ec_has(ec, j->p->in->k_norm))
        return err_set(ec->cx, E_MODEL, "q_norm_weight and k_norm_weight come together");
    if (j->p->rotary)
        rc = ms_rotary_open(ec, j->p->in->cos, j->p->in->sin, j->size, &j->rot);
    if (!rc)
        rc = prepare(j, &j->q, j->p->heads, j->p->in->q_norm);
    return rc ? rc : prepare(j, &j->k, j->p->kv_heads, j->p->in->k_norm);
}

/* ---- a cache of few bits ---- */

/* Elements of a row of values lie one a byte, or two: the first in the low half, 8 standing for 0. */
struct few_bits {
    int bits;
    int64_t size, row; /* values, and bytes that hold them */
    const float *scale;
    bool each; /* scale: one a channel of each head, else one for all */
};

static float scale_at(const struct few_bits *q, int64_t head, int64_t i)
{
    return q->scale[q->each ? head * q->size + i : 0];
}

static void pack_row(const struct few_bits *q, int64_t head, const float *x, uint8_t *to)
{
    float top = q->bits == 8 ? 127 : 7, low = -top - 1;
    memset(to, 0, (size_t)q->row);
    for (int64_t i = 0; i < q->size; i++) {
        float v = rintf(x[i] / scale_at(q, head, i));
        int k = (int)(v > top ? top : v >= low ? v : low); /* NaN: lowest */
        if (q->bits == 8)
            to[i] = (uint8_t)k;
        else
            to[i / 2] |= (uint8_t)((k + 8) << (i % 2 ? 4 : 0));
    }
}

static void unpack_row(const struct few_bits *q, int64_t head, const uint8_t *from, float *y)
{
    for (int64_t i = 0; i < q->size; i++) {
        int k = q->bits == 8 ? (int8_t)from[i] : (from[i / 2] >> (i % 2 ? 4 : 0) & 15) - 8;
        y[i] = (float)k * scale_at(q, head, i);
    }
}

static int few_open(struct gqa_job *j, int scale, struct few_bits *q)
{
    int64_t n = ec_has(j->ec, scale) ? tensor_count(j->ec->in[scale]) : 0;
    *q = (struct few_bits){.bits = j->p->bits, .size = j->size};
    q->row = q->bits == 4 ? (j->size + 1) / 2 : j->size;
    q->each = n != 1;
    if (n != 1 && n != j->p->kv_heads * j->size)
        return no_fit(j->ec, scale);
    return wide_f32(j->ec, scale, &q->scale);
}

/* As join(): what is attended to is what the cache gives back. */
static int join_few(struct gqa_job *j, int in, int out, int scale, struct attn_view *v)
{
    struct exec_ctx *ec = j->ec;
    struct few_bits q;
    int64_t heads = j->p->kv_heads;
    int rc = few_open(j, scale, &q);
    if (rc)
        return rc;
    size_t rows = (size_t)(j->batch * heads * j->rows);
    uint8_t *to = ec_wants(ec, out) ? ec->out[out]->data : ec_scratch(ec, rows * (size_t)q.row + 1);
    float *y = to ? ec_scratch(ec, (rows * (size_t)q.size + 1) * sizeof(float)) : NULL;
    if (!y)
        return ec->cx->err.code;
    memset(to, 0, rows * (size_t)q.row);
    for (int64_t i = 0; i < j->batch * heads; i++) {
        int64_t b = i / heads, h = i % heads, old = j->past[b];
        uint8_t *p = to + i * j->rows * q.row;
        if (old)
            memcpy(p, (const uint8_t *)ec->in[in]->data + i * j->past_rows * q.row, (size_t)(old * q.row));
        for (int64_t s = 0; s < j->steps; s++)
            pack_row(&q, h, (const float *)v->p + b * v->b + h * v->h + s * v->s, p + (old + s) * q.row);
        for (int64_t r = 0; r < old + j->steps; r++)
            unpack_row(&q, h, p + r * q.row, y + (i * j->rows + r) * q.size);
        memset(y + (i * j->rows + old + j->steps) * q.size, 0,
               (size_t)((j->rows - old - j->steps) * q.size) * sizeof(*y));
    }
    *v = attn_view_of(y, false, heads, j->rows, q.size);
    return 0;
}

/* The keys that a sliding cache keeps of the joined ones, at its beginning. */
static void keep_last(const struct gqa_job *j, const float *joined, float *to)
{
    int64_t heads = j->p->kv_heads, size = j->size;
    memset(to, 0, (size_t)(j->batch * heads * j->past_rows * size) * sizeof(*to));
    for (int64_t i = 0; i < j->batch * heads; i++) {
        int64_t b = i / heads, end = j->len[b], n = resident(j, j->at[b] + end - j->past[b]);
        memcpy(to + i * j->past_rows * size, joined + (i * j->rows + end - n) * size,
               (size_t)(n * size) * sizeof(*to));
    }
}

/* The cache with the new steps behind what was in it; zero behind them. */
static int join(struct gqa_job *j, int in, int out, struct attn_view *v)
{
    struct exec_ctx *ec = j->ec;
    const float *past;
    float *to, *last = NULL;
    int64_t heads = j->p->kv_heads, size = j->size;
    if (j->p->bits)
        return join_few(j, in, out, in == IN_PAST_K ? j->p->in->k_scale : j->p->in->v_scale, v);
    int rc = wide_f32(ec, in, &past);
    if (!rc)
        rc = wide_out_f32(ec, out, &to);
    if (rc)
        return rc;
    bool wanted = to != NULL;
    if (j->p->sliding) {
        last = to;
        to = NULL;
    }
    if (!to)
        to = ec_scratch(ec, ((size_t)(j->batch * heads * j->rows * size) + 1) * sizeof(float));
    if (!to)
        return ec->cx->err.code;
    for (int64_t i = 0; i < j->batch * heads; i++) {
        int64_t b = i / heads, h = i % heads, old = j->past[b];
        float *p = to + i * j->rows * size;
        const float *src = (const float *)v->p + b * v->b + h * v->h;
        if (past)
            memcpy(p, past + i * j->past_rows * size, (size_t)(old * size) * sizeof(float));
        for (int64_t s = 0; s < j->steps; s++)
            memcpy(p + (old + s) * size, src + s * v->s, (size_t)size * sizeof(float));
        int64_t end = old + j->steps;
        if (j->p->block) /* one buffer: what is there stays */
            memcpy(p + end * size, past + (i * j->past_rows + end) * size,
                   (size_t)((j->rows - end) * size) * sizeof(float));
        else
            memset(p + end * size, 0, (size_t)((j->rows - end) * size) * sizeof(float));
    }
    if (last)
        keep_last(j, to, last);
    if (wanted)
        wide_done_f32(ec, out, last ? last : to);
    *v = attn_view_of(to, false, heads, j->rows, size);
    return 0;
}

/* Shows the keys before `last` that lie in blocks which the table has for the query at `at`. */
static void show_blocks(const struct gqa_job *j, int64_t h, int64_t at, int64_t last, double *row)
{
    const struct tensor *rows = j->ec->in[j->p->in->rows], *cols = j->ec->in[j->p->in->cols];
    int64_t layout = h % rows->dims[0], block = j->p->block;
    const int32_t *r = (const int32_t *)rows->data + layout * rows->dims[1] + at / block;
    const int32_t *c = (const int32_t *)cols->data + layout * cols->dims[1];
    for (int64_t e = r[0]; e < r[1]; e++)
        for (int64_t k = c[e] * block; k < (c[e] + 1) * block && k < last; k++)
            row[k] = 0;
}

/* That the table has a row of blocks for every query, and its entries are blocks. */
static int blocks_check(const struct gqa_job *j)
{
    struct exec_ctx *ec = j->ec;
    const struct tensor *rows = ec->in[j->p->in->rows], *cols = ec->in[j->p->in->cols];
    if (rows->rank != 2 || cols->rank != 2 || rows->dt != DT_INT32 || cols->dt != DT_INT32 ||
        rows->dims[0] < 1 || rows->dims[0] != cols->dims[0] || (rows->dims[1] - 1) * j->p->block < j->rows)
        return no_fit(ec, j->p->in->rows);
    const int32_t *r = rows->data, *c = cols->data;
    for (int64_t i = 0; i < tensor_count(rows); i++)
        if (r[i] < 0 || r[i] > cols->dims[1] || (i % rows->dims[1] && r[i] < r[i - 1]))
            return err_set(ec->cx, E_VALUE, "block_row_indices do not rise within %lld blocks",
                           (long long)cols->dims[1]);
    for (int64_t i = 0; i < rows->dims[0]; i++)
        for (int64_t e = 0; e < r[(i + 1) * rows->dims[1] - 1]; e++)
            if (c[i * cols->dims[1] + e] < 0 || c[i * cols->dims[1] + e] >= rows->dims[1] - 1)
                return err_set(ec->cx, E_VALUE, "block_col_indices name block %d of %lld",
                               c[i * cols->dims[1] + e], (long long)rows->dims[1] - 1);
    return 0;
}

static bool bias_row(const struct attn *a, int64_t b, int64_t h, int64_t i, double *row)
{
    const struct gqa_job *j = a->user;
    int64_t at = j->past[b] + i, last = j->p->causal && at + 1 < j->len[b] ? at + 1 : j->len[b];
    int64_t first = j->p->window > 0 && at + 1 > j->p->window ? at + 1 - j->p->window : 0;
    const struct tensor *t = ec_has(a->ec, j->p->in->add) ? a->ec->in[j->p->in->add] : NULL;
    for (int64_t k = 0; k < a->total; k++)
        row[k] = k >= first && k < last && !j->p->block ? 0 : (double)-INFINITY;
    if (j->p->block)
        show_blocks(j, h, at, last, row);
    if (t) {
        int64_t base = ((t->dims[0] == 1 ? 0 : b) * t->dims[1] + (t->dims[1] == 1 ? 0 : h)) * t->dims[2] + i;
        int64_t dropped = j->at[b] - j->past[b]; /* columns are positions */
        for (int64_t k = first; k < last; k++)
            row[k] += tensor_f64(t, base * t->dims[3] + dropped + k);
    }
    return first < last;
}

/* What joins each softmax: a value a head, or 0 for all. */
static int gqa_sink(struct gqa_job *j)
{
    struct exec_ctx *ec = j->ec;
    const double *sink = NULL;
    int rc = wide_f64(ec, j->p->in->sink, &sink);
    if (rc || (!sink && !j->p->smooth))
        return rc;
    if (sink && tensor_count(ec->in[j->p->in->sink]) != j->p->heads)
        return no_fit(ec, j->p->in->sink);
    double *zero = sink ? NULL : ec_scratch(ec, (size_t)j->p->heads * sizeof(double));
    if (!sink && !zero)
        return ec->cx->err.code;
    if (zero)
        memset(zero, 0, (size_t)j->p->heads * sizeof(double));
    j->a.sink = sink ? sink : zero;
    return 0;
}

static int gqa_attend(struct gqa_job *j, float *y, float *qk)
{
    struct exec_ctx *ec = j->ec;
    const struct gqa *p = j->p;
    j->a = (struct attn){.ec = ec,
                         .dt = DT_FLOAT,
                         .batch = j->batch,
                         .hq = p->heads,
                         .hk = p->kv_heads,
                         .q = j->steps,
                         .total = j->total,
                         .d = j->size,
                         .dv = j->size,
                         .vq = j->q,
                         .vk = j->k,
                         .vv = j->v,
                         .vy = attn_view_of(y, true, p->heads, j->steps, j->size),
                         .scale = p->scale != 0 ? (double)p->scale : 1 / sqrt((double)j->size),
                         .softcap = (double)p->softcap,
                         .stage = p->show == 2 ? ATTN_SOFTMAX : ATTN_BIASED,
                         .show = (char *)qk,
                         .bias = bias_row,
                         .user = j};
    if (ec_has(ec, j->p->in->add)) {
        const struct tensor *t = ec->in[j->p->in->add];
        if (t->rank != 4 || (t->dims[0] != 1 && t->dims[0] != j->batch) ||
            (t->dims[1] != 1 && t->dims[1] != p->heads) || t->dims[2] != j->steps)
            return no_fit(ec, j->p->in->add);
        for (int64_t b = 0; b < j->batch; b++)
            if (t->dims[3] < j->at[b] - j->past[b] + j->len[b])
                return no_fit(ec, j->p->in->add);
    }
    int rc = j->p->block ? blocks_check(j) : gqa_sink(j);
    return rc ? rc : attn_run(&j->a);
}

static int gqa_ref(struct exec_ctx *ec, const void *params)
{
    struct gqa_job j = {.ec = ec, .p = params};
    float *y = NULL, *qk = NULL;
    if (!wide_fits_f32(ec->in[IN_Q]->dt))
        return ec_unsupported(ec, IN_Q);
    int rc = gqa_sizes(&j);
    if (!rc)
        rc = gqa_lengths(&j);
    if (!rc)
        rc = gqa_views(&j);
    if (!rc)
        rc = join(&j, IN_PAST_K, OUT_PRESENT_K, &j.k);
    if (!rc)
        rc = join(&j, IN_PAST_V, OUT_PRESENT_V, &j.v);
    if (!rc)
        rc = wide_out_f32(ec, OUT_Y, &y);
    if (!rc)
        rc = wide_out_f32(ec, OUT_QK, &qk);
    if (!rc && y)
        rc = gqa_attend(&j, y, qk);
    wide_done_f32(ec, OUT_Y, y);
    wide_done_f32(ec, OUT_QK, qk);
    return rc;
}

const struct op op_com_microsoft_GroupQueryAttention = {
    .domain = "com.microsoft",
    .name = "GroupQueryAttention",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct gqa),
    .parse = gqa_parse,
    .infer = gqa_infer,
    .ref = gqa_ref,
    .cost = gqa_cost,
    .supports = ms_float_supports,
};

const struct op op_com_microsoft_SparseAttention = {
    .domain = "com.microsoft",
    .name = "SparseAttention",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct gqa),
    .parse = sparse_parse,
    .infer = gqa_infer,
    .ref = gqa_ref,
    .cost = gqa_cost,
    .supports = ms_float_supports,
};
