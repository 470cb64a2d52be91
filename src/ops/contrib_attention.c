/* Attention of com.microsoft: the projection of one input to queries, keys and values, and attention over
 * them. Queries, keys and values are read where the projection left them, side by side in each row. */
#include "ops/contrib_attn.h"

#include <math.h>
#include <string.h>

enum { IN_X, IN_W, IN_BIAS, IN_MASK, IN_PAST, IN_ADD, IN_PAST_LEN };

struct ms_attention {
    int64_t heads;
    int64_t sizes[3]; /* of the projections, all heads together; 0: a third of the weights' columns each */
    bool causal, share;
    float filter, scale; /* scale 0: 1 / sqrt(head size) */
};

static int read_sizes(struct cx *cx, const struct node *n, struct ms_attention *p)
{
    const int64_t *v = NULL;
    size_t count = 0;
    int rc = attr_ints(cx, n, "qkv_hidden_sizes", &v, &count);
    if (rc <= 0 || !count)
        return rc < 0 ? rc : 0;
    if (count != 3)
        return err_set(cx, E_ATTR, "qkv_hidden_sizes has %zu values, expected 3", count);
    for (int i = 0; i < 3; i++) {
        if (v[i] < 1 || v[i] % p->heads || (i == 1 && v[1] != v[0]))
            return err_set(cx, E_ATTR, "qkv_hidden_sizes are not %lld heads of one size for Q and K",
                           (long long)p->heads);
        p->sizes[i] = v[i];
    }
    return 0;
}

static int attention_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct ms_attention *p = params;
    int64_t causal = 0, share = 0, rotary = 0;
    (void)arena, (void)version;
    p->filter = -10000;
    int rc = contrib_inputs(cx, n, 2, 7, 3);
    if (!rc)
        rc = attr_int(cx, n, "num_heads", &p->heads);
    if (rc >= 0 && p->heads < 1)
        return err_set(cx, E_ATTR, "attribute num_heads is missing or not positive");
    if (rc >= 0)
        rc = attr_int(cx, n, "unidirectional", &causal);
    if (rc >= 0)
        rc = attr_int(cx, n, "past_present_share_buffer", &share);
    if (rc >= 0)
        rc = attr_int(cx, n, "do_rotary", &rotary);
    if (rc >= 0)
        rc = attr_float(cx, n, "mask_filter_value", &p->filter);
    if (rc >= 0)
        rc = attr_float(cx, n, "scale", &p->scale);
    if (rc >= 0 && rotary)
        return err_set(cx, E_UNSUPPORTED, "do_rotary without caches of sines: the base is not defined");
    p->causal = causal != 0;
    p->share = share != 0;
    return rc < 0 ? rc : read_sizes(cx, n, p);
}

static int attention_infer(struct infer_ctx *ic, const void *params)
{
    const struct ms_attention *p = params;
    struct symtab *t = ic->syms;
    int rc = ic_need_rank(ic, IN_X, 3, 3);
    if (!rc)
        rc = ic_need_rank(ic, IN_W, 2, 2);
    if (!rc && ic_has(ic, IN_PAST))
        rc = ic_need_rank(ic, IN_PAST, 5, 5);
    if (rc)
        return rc;
    bool x = ic_rank(ic, IN_X) == 3, w = ic_rank(ic, IN_W) == 2;
    struct dim d[3] = {x ? ic_dim(ic, IN_X, 0) : dim_unknown(), x ? ic_dim(ic, IN_X, 1) : dim_unknown(),
                       dim_const(p->sizes[2])};
    struct dim third = w ? dim_div_floor(t, ic_dim(ic, IN_W, 1), dim_const(3)) : dim_unknown();
    if (!p->sizes[2])
        d[2] = third;
    if (x && w)
        rc = ic_unify(ic, ic_dim(ic, IN_X, 2), ic_dim(ic, IN_W, 0), "width of the input");
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, IN_X), 3, d);
    if (rc || !ic_has_out(ic, 1))
        return rc;
    struct dim past = !ic_has(ic, IN_PAST)        ? dim_const(0)
                      : ic_rank(ic, IN_PAST) == 5 ? ic_dim(ic, IN_PAST, 3)
                                                  : dim_unknown();
    struct dim hidden = p->sizes[0] ? dim_const(p->sizes[0]) : third;
    struct dim e[5] = {dim_const(2), d[0], dim_const(p->heads), p->share ? past : dim_add(t, past, d[1]),
                       dim_div_floor(t, hidden, dim_const(p->heads))};
    return ic_out(ic, 1, ic_dtype(ic, IN_X), 5, e);
}

/* The weights, packed at bind. */
struct proj_step {
    const struct ms_attention *p;
    const void *packed; /* NULL: not constant */
    int64_t k, n;
};

struct att_job {
    struct exec_ctx *ec;
    const struct ms_attention *p;
    int64_t batch, steps, sizes[3], width; /* width: of a projected row */
    const float *qkv;
    struct ms_cache cache;
};

/* [batch * steps, width] = X W + bias. */
static int project(struct att_job *j, const struct proj_step *st)
{
    struct exec_ctx *ec = j->ec;
    struct gemm_f32 g = {.m = j->batch * j->steps,
                         .n = st->n,
                         .k = st->k,
                         .a_rs = st->k,
                         .a_cs = 1,
                         .b_rs = st->n,
                         .b_cs = 1,
                         .ldc = st->n,
                         .b_packed = st->packed};
    size_t bytes;
    gemm_epi_init(&g.epi);
    int rc = wide_f32(ec, IN_X, &g.a);
    if (!rc && !st->packed)
        rc = wide_f32(ec, IN_W, &g.b);
    if (!rc)
        rc = wide_f32(ec, IN_BIAS, &g.epi.bias_n);
    if (rc)
        return rc;
    if (!gemm_f32_scratch(ec->kern, &g, ec->pool ? pool_size(ec->pool) : 1, &bytes))
        return err_set(ec->cx, E_LIMIT, "the projection is too large");
    void *scratch = ec_scratch(ec, bytes);
    j->qkv = g.c = scratch ? ec_scratch(ec, ((size_t)(g.m * g.n) + 1) * sizeof(float)) : NULL;
    if (!g.c)
        return ec->cx->err.code;
    gemm_f32(ec->kern, &g, ec->pool, scratch);
    return 0;
}

static int att_sizes(struct att_job *j, const struct proj_step *st)
{
    struct exec_ctx *ec = j->ec;
    const struct tensor *x = ec->in[IN_X];
    if (x->rank != 3 || x->dims[2] != st->k)
        return err_set(ec->cx, E_SHAPE, "input and weights do not fit each other");
    j->batch = x->dims[0];
    j->steps = x->dims[1];
    j->width = st->n;
    for (int i = 0; i < 3; i++)
        j->sizes[i] = j->p->sizes[i] ? j->p->sizes[i] : st->n / 3;
    if (j->sizes[0] + j->sizes[1] + j->sizes[2] != st->n || j->sizes[0] % j->p->heads ||
        (ec_has(ec, IN_BIAS) && tensor_count(ec->in[IN_BIAS]) != st->n))
        return err_set(ec->cx, E_SHAPE, "weights of %lld columns do not fit the heads, or the bias",
                       (long long)st->n);
    return 0;
}

/* Rows that the cache has, and those of them that count. */
static int att_past(struct att_job *j)
{
    struct exec_ctx *ec = j->ec;
    struct ms_cache *c = &j->cache;
    int64_t heads = j->p->heads, len = 0;
    *c = (struct ms_cache){.batch = j->batch, .heads = heads, .size = j->sizes[0] / heads, .kv = j->steps};
    if (ec_has(ec, IN_PAST)) {
        const struct tensor *t = ec->in[IN_PAST];
        if (t->rank != 5 || t->dims[0] != 2 || t->dims[1] != j->batch || t->dims[2] != heads ||
            t->dims[4] != c->size || j->sizes[2] != j->sizes[0])
            return err_set(ec->cx, E_SHAPE, "past does not fit the heads");
        c->past_rows = t->dims[3];
    }
    c->past = len = c->past_rows;
    if (j->p->share && (!ec_has(ec, IN_PAST_LEN) || ec_int(ec, IN_PAST_LEN, &len)))
        return err_set(ec->cx, E_MODEL, "past_present_share_buffer needs past_sequence_length");
    if (len < 0 || len > c->past_rows || (j->p->share && len + j->steps > c->past_rows))
        return err_set(ec->cx, E_VALUE, "past_sequence_length is %lld of %lld rows", (long long)len,
                       (long long)c->past_rows);
    c->past = len;
    c->rows = j->p->share ? c->past_rows : len + j->steps;
    return 0;
}

/* Keys (half 0) and values (half 1) in past and present. */
static int att_half(struct att_job *j, int half, const float *past, float *present, struct attn_view *v)
{
    struct ms_cache c = j->cache;
    const float *base = j->qkv + j->sizes[0] + (half ? j->sizes[1] : 0);
    c.size = j->sizes[1 + half] / c.heads;
    struct attn_view now = {(const char *)base, j->steps * j->width, c.size, j->width};
    int64_t each = c.batch * c.heads * c.size;
    return ms_cache_join(j->ec, &c, past ? past + half * each * c.past_rows : NULL, &now,
                         present ? present + half * each * c.rows : NULL, v);
}

static int attention_run(struct exec_ctx *ec, const void *state)
{
    const struct proj_step *st = state;
    struct att_job j = {.ec = ec, .p = st->p};
    const float *past = NULL;
    float *present = NULL, *y = NULL;
    int rc = att_sizes(&j, st);
    if (!rc)
        rc = att_past(&j);
    if (!rc)
        rc = project(&j, st);
    if (!rc)
        rc = wide_f32(ec, IN_PAST, &past);
    if (!rc)
        rc = wide_out_f32(ec, 1, &present);
    if (!rc)
        rc = wide_out_f32(ec, 0, &y);
    int64_t heads = j.p->heads;
    struct attn a = {.ec = ec, .dt = DT_FLOAT, .batch = j.batch, .hq = heads, .hk = heads, .q = j.steps};
    if (!rc)
        rc = att_half(&j, 0, past, present, &a.vk);
    if (!rc)
        rc = att_half(&j, 1, past, present, &a.vv);
    if (rc || !y)
        return rc;
    struct ms_mask mask = {.filter = (double)j.p->filter, .causal = j.p->causal, .past = j.cache.past};
    a.total = j.cache.past + j.steps;
    a.d = j.sizes[0] / heads;
    a.dv = j.sizes[2] / heads;
    a.scale = j.p->scale != 0 ? (double)j.p->scale : 1 / sqrt((double)a.d);
    a.vq = (struct attn_view){(const char *)j.qkv, j.steps * j.width, a.d, j.width};
    a.vy = attn_view_of(y, true, heads, j.steps, a.dv);
    rc = ms_mask_set(&a, &mask, IN_MASK, IN_ADD);
    if (!rc)
        rc = attn_run(&a);
    wide_done_f32(ec, 0, y);
    wide_done_f32(ec, 1, present);
    return rc;
}

static int attention_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *w = ec->in[IN_W];
    if (!wide_fits_f32(ec->in[IN_X]->dt) || w->rank != 2)
        return ec_unsupported(ec, IN_X);
    struct proj_step st = {.p = params, .k = w->dims[0], .n = w->dims[1]};
    return attention_run(ec, &st);
}

static int attention_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const float *v;
    size_t bytes;
    if (!wide_fits_f32(bc_dtype(bc, IN_X)) || !bc_is_const(bc, IN_W))
        return 0;
    const struct tensor *w = bc_const(bc, IN_W);
    if (!w)
        return bc->cx->err.code;
    if (w->rank != 2 || !tensor_count(w))
        return 0;
    struct proj_step *st = arena_zalloc(bc->arena, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    *st = (struct proj_step){.p = params, .k = w->dims[0], .n = w->dims[1]};
    if (!gemm_f32_pack_b_size(bc->kern, st->k, st->n, &bytes))
        return err_set(bc->cx, E_LIMIT, "the weights are too large to pack");
    int rc = wide_const_f32(bc, IN_W, &v);
    void *to = rc || !v ? NULL : bc_alloc(bc, bytes);
    if (!to)
        return rc ? rc : bc->cx->err.code;
    gemm_f32_pack_b(bc->kern, st->k, st->n, v, st->n, 1, to);
    st->packed = to;
    step->consumed |= 1u << IN_W;
    step->kernel = "attention, packed weights";
    step->may_inplace = 0;
    step->state = st;
    step->run = attention_run;
    return 0;
}

/* The projection, and both products over all pairs of a query and a key. */
static int attention_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct ms_attention *p = params;
    struct symtab *t = ic->syms;
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (ic_rank(ic, IN_X) != 3 || ic_rank(ic, IN_W) != 2)
        return 0;
    struct dim rows = dim_mul(t, ic_dim(ic, IN_X, 0), ic_dim(ic, IN_X, 1)), n = ic_dim(ic, IN_W, 1);
    struct dim total = ic_dim(ic, IN_X, 1);
    if (ic_has(ic, IN_PAST))
        total = ic_rank(ic, IN_PAST) == 5 && !p->share ? dim_add(t, total, ic_dim(ic, IN_PAST, 3))
                                                       : dim_unknown();
    struct dim two = p->sizes[0] ? dim_const(p->sizes[1] + p->sizes[2])
                                 : dim_mul(t, dim_div_floor(t, n, dim_const(3)), dim_const(2));
    out->macs = dim_add(t, dim_mul(t, rows, dim_mul(t, n, ic_dim(ic, IN_W, 0))),
                        dim_mul(t, dim_mul(t, rows, total), two));
    return 0;
}

const struct op op_com_microsoft_Attention = {
    .domain = "com.microsoft",
    .name = "Attention",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct ms_attention),
    .parse = attention_parse,
    .infer = attention_infer,
    .ref = attention_ref,
    .bind = attention_bind,
    .cost = attention_cost,
    .supports = ms_float_supports,
};
