/* LinearAttention, CausalConvWithState and FlexAttention: attention beside the plain kind (attention.c). All
 * compute in double. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "ops/wide.h"

static int no_fit(struct cx *cx, const char *what)
{
    return err_set(cx, E_SHAPE, "the shape of %s does not fit the others", what);
}

/* ---- LinearAttention ---- */

enum update_rule { RULE_LINEAR, RULE_GATED, RULE_DELTA, RULE_GATED_DELTA };

struct linear_attention {
    enum update_rule rule;
    int64_t q_heads, kv_heads;
    float scale; /* 0: 1 / sqrt(key size) */
};

static bool has_decay(const struct linear_attention *p)
{
    return p->rule == RULE_GATED || p->rule == RULE_GATED_DELTA;
}

static bool has_beta(const struct linear_attention *p)
{
    return p->rule == RULE_DELTA || p->rule == RULE_GATED_DELTA;
}

static int check_gates(struct cx *cx, const struct node *n, const struct linear_attention *p)
{
    bool decay = n->nin > 4 && n->in[4], beta = n->nin > 5 && n->in[5];
    if (decay != has_decay(p))
        return err_set(cx, E_MODEL, "this update_rule %s input 'decay'", decay ? "takes no" : "needs");
    if (beta != has_beta(p))
        return err_set(cx, E_MODEL, "this update_rule %s input 'beta'", beta ? "takes no" : "needs");
    return 0;
}

static int linear_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const rules[] = {"linear", "gated", "delta", "gated_delta", NULL};
    struct linear_attention *p = params;
    int rule = RULE_GATED_DELTA;
    (void)arena, (void)version;
    int rc = attr_choice(cx, n, "update_rule", rules, &rule);
    p->rule = (enum update_rule)rule;
    if (rc >= 0)
        rc = attr_int(cx, n, "q_num_heads", &p->q_heads);
    if (rc >= 0)
        rc = attr_int(cx, n, "kv_num_heads", &p->kv_heads);
    if (rc >= 0)
        rc = attr_float(cx, n, "scale", &p->scale);
    if (rc < 0)
        return rc;
    if (p->q_heads < 1 || p->kv_heads < 1 || p->q_heads % p->kv_heads)
        return err_set(cx, E_ATTR, "q_num_heads is %lld, expected a multiple of kv_num_heads (%lld)",
                       (long long)p->q_heads, (long long)p->kv_heads);
    return check_gates(cx, n, p);
}

/* What a head has of a packed last dim. */
static int per_head(struct infer_ctx *ic, int i, int64_t heads, struct dim *out)
{
    struct dim width = ic_rank(ic, i) == 3 ? ic_dim(ic, i, 2) : dim_unknown();
    if (width.kind == DIM_CONST && width.v % heads)
        return ic_err(ic, E_SHAPE, "input %d: %lld columns are no multiple of %lld heads", i,
                      (long long)width.v, (long long)heads);
    *out = dim_div_floor(ic->syms, width, dim_const(heads));
    return 0;
}

/* Dim `axis` of input i, where it is there and its rank is known, is want. */
static int need_dim(struct infer_ctx *ic, int i, int axis, struct dim want, const char *what)
{
    return ic_has(ic, i) && ic_rank(ic, i) > axis ? ic_unify(ic, ic_dim(ic, i, axis), want, what) : 0;
}

/* The last dim of decay or beta, input i, is one of two. */
static int gate_width(struct infer_ctx *ic, int i, struct dim a, struct dim b)
{
    struct dim d = ic_has(ic, i) && ic_rank(ic, i) == 3 ? ic_dim(ic, i, 2) : dim_unknown();
    if (d.kind != DIM_CONST || a.kind != DIM_CONST || b.kind != DIM_CONST || d.v == a.v || d.v == b.v)
        return 0;
    return ic_err(ic, E_SHAPE, "%s has %lld columns, expected %lld or %lld", i == 4 ? "decay" : "beta",
                  (long long)d.v, (long long)a.v, (long long)b.v);
}

/* state: batch, heads, dk, dv. */
static int linear_fits(struct infer_ctx *ic, const struct linear_attention *p, const struct dim *state)
{
    struct dim steps = ic_rank(ic, 0) == 3 ? ic_dim(ic, 0, 1) : dim_unknown(), key = dim_unknown();
    int rc = per_head(ic, 1, p->kv_heads, &key);
    if (!rc)
        rc = ic_unify(ic, key, state[2], "head size of query and key");
    for (int i = 1; !rc && i < 6; i++) {
        rc = need_dim(ic, i, 0, state[0], "batch");
        if (!rc && i != 3)
            rc = need_dim(ic, i, 1, steps, "sequence length");
    }
    for (int k = 1; !rc && k < 4; k++)
        rc = need_dim(ic, 3, k, state[k], "past_state");
    if (!rc)
        rc = gate_width(ic, 4, state[1], dim_mul(ic->syms, state[1], state[2]));
    return rc ? rc : gate_width(ic, 5, dim_const(1), state[1]);
}

static int linear_infer(struct infer_ctx *ic, const void *params)
{
    const struct linear_attention *p = params;
    static const int three[] = {0, 1, 2, 4, 5};
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof(three) / sizeof(three[0]); i++)
        if (ic_has(ic, three[i]))
            rc = ic_need_rank(ic, three[i], 3, 3);
    if (!rc && ic_has(ic, 3))
        rc = ic_need_rank(ic, 3, 4, 4);
    if (rc)
        return rc;
    bool known = ic_rank(ic, 0) == 3;
    struct dim batch = known ? ic_dim(ic, 0, 0) : dim_unknown(), steps = known ? ic_dim(ic, 0, 1) : batch;
    struct dim state[4] = {batch, dim_const(p->kv_heads), dim_unknown(), dim_unknown()};
    rc = per_head(ic, 0, p->q_heads, &state[2]);
    if (!rc)
        rc = per_head(ic, 2, p->kv_heads, &state[3]);
    if (!rc)
        rc = linear_fits(ic, p, state);
    struct dim out[3] = {batch, steps, dim_mul(ic->syms, state[3], dim_const(p->q_heads))};
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), 3, out);
    if (!rc && ic_has_out(ic, 1))
        rc = ic_has(ic, 3) ? ic_out_same(ic, 1, 3) : ic_out(ic, 1, ic_dtype(ic, 0), 4, state);
    return rc;
}

struct linear_job {
    const struct linear_attention *p;
    const double *q, *k, *v, *decay, *beta;
    double *state, *out, *row; /* row: dv values a thread */
    double scale;
    int64_t steps, dk, dv, decay_last, beta_last;
};

static void linear_step(const struct linear_job *j, int64_t b, int64_t h, int64_t t, double *s, double *row)
{
    int64_t hkv = j->p->kv_heads, dk = j->dk, dv = j->dv, at = b * j->steps + t;
    const double *k = j->k + (at * hkv + h) * dk, *v = j->v + (at * hkv + h) * dv;
    bool each = j->decay_last != hkv;
    for (int64_t d = 0; j->decay && d < dk; d++) {
        double g = exp(j->decay[at * j->decay_last + (each ? h * dk + d : h)]);
        for (int64_t m = 0; m < dv; m++)
            s[d * dv + m] *= g;
    }
    memcpy(row, v, (size_t)dv * sizeof(double));
    if (j->beta) {
        double beta = j->beta[at * j->beta_last + (j->beta_last == 1 ? 0 : h)];
        for (int64_t d = 0; d < dk; d++)
            for (int64_t m = 0; m < dv; m++)
                row[m] -= s[d * dv + m] * k[d];
        for (int64_t m = 0; m < dv; m++)
            row[m] *= beta;
    }
    for (int64_t d = 0; d < dk; d++)
        for (int64_t m = 0; m < dv; m++)
            s[d * dv + m] += k[d] * row[m];
}

static void linear_read(const struct linear_job *j, int64_t b, int64_t h, int64_t t, const double *s)
{
    int64_t hq = j->p->q_heads, group = hq / j->p->kv_heads, at = b * j->steps + t;
    for (int64_t g = h * group; g < (h + 1) * group; g++) {
        const double *q = j->q + (at * hq + g) * j->dk;
        double *o = j->out + (at * hq + g) * j->dv;
        for (int64_t m = 0; m < j->dv; m++)
            o[m] = 0;
        for (int64_t d = 0; d < j->dk; d++)
            for (int64_t m = 0; m < j->dv; m++)
                o[m] += j->scale * q[d] * s[d * j->dv + m];
    }
}

/* One key/value head of one batch entry is a unit: its state runs through all time steps. */
static void linear_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct linear_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i / j->p->kv_heads, h = i % j->p->kv_heads;
        double *s = j->state + i * j->dk * j->dv;
        for (int64_t t = 0; t < j->steps; t++) {
            linear_step(j, b, h, t, s, j->row + thread * j->dv);
            linear_read(j, b, h, t, s);
        }
    }
}

static int linear_check(struct exec_ctx *ec, const struct linear_attention *p, struct linear_job *j)
{
    const struct tensor *q = ec->in[0], *k = ec->in[1], *v = ec->in[2];
    int64_t batch = q->dims[0];
    j->steps = q->dims[1];
    j->dk = q->dims[2] / p->q_heads;
    j->dv = v->dims[2] / p->kv_heads;
    if (q->dims[2] % p->q_heads || k->dims[2] != j->dk * p->kv_heads || v->dims[2] % p->kv_heads)
        return no_fit(ec->cx, "query, key or value");
    for (int i = 1; i < 6; i++)
        if (i != 3 && ec_has(ec, i) && (ec->in[i]->dims[0] != batch || ec->in[i]->dims[1] != j->steps))
            return no_fit(ec->cx, i < 3 ? "key or value" : i == 4 ? "decay" : "beta");
    int64_t state[4] = {batch, p->kv_heads, j->dk, j->dv};
    if (ec_has(ec, 3) && memcmp(ec->in[3]->dims, state, sizeof(state)) != 0)
        return no_fit(ec->cx, "past_state");
    j->decay_last = ec_has(ec, 4) ? ec->in[4]->dims[2] : 0;
    j->beta_last = ec_has(ec, 5) ? ec->in[5]->dims[2] : 0;
    if (ec_has(ec, 4) && j->decay_last != p->kv_heads && j->decay_last != p->kv_heads * j->dk)
        return no_fit(ec->cx, "decay");
    return ec_has(ec, 5) && j->beta_last != p->kv_heads && j->beta_last != 1 ? no_fit(ec->cx, "beta") : 0;
}

static int linear_inputs(struct exec_ctx *ec, struct linear_job *j)
{
    const double **to[] = {&j->q, &j->k, &j->v, NULL, &j->decay, &j->beta};
    for (int i = 0; i < 6; i++) {
        int rc = to[i] ? wide_f64(ec, i, to[i]) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

static int linear_state(struct exec_ctx *ec, struct linear_job *j, size_t n)
{
    const double *past;
    int rc = wide_f64(ec, 3, &past);
    if (rc)
        return rc;
    j->state = ec_scratch(ec, (n + 1) * sizeof(double));
    if (!j->state)
        return ec->cx->err.code;
    if (past)
        memcpy(j->state, past, n * sizeof(double));
    else
        memset(j->state, 0, n * sizeof(double));
    return 0;
}

static int linear_ref(struct exec_ctx *ec, const void *params)
{
    const struct linear_attention *p = params;
    struct linear_job j = {.p = p};
    int rc = linear_check(ec, p, &j);
    int64_t heads = rc ? 0 : ec->in[0]->dims[0] * p->kv_heads;
    if (!rc)
        rc = linear_inputs(ec, &j);
    if (!rc)
        rc = linear_state(ec, &j, (size_t)(heads * j.dk * j.dv));
    if (rc)
        return rc;
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    size_t n = (size_t)(ec->in[0]->dims[0] * j.steps * p->q_heads * j.dv);
    j.row = ec_scratch(ec, (size_t)threads * (size_t)(j.dv + 1) * sizeof(double));
    j.out = ec_scratch(ec, (n + 1) * sizeof(double));
    if (!j.row || !j.out)
        return ec->cx->err.code;
    j.scale = p->scale != 0 ? (double)p->scale : 1 / sqrt((double)j.dk);
    par_for(ec->pool, heads, grain_for(j.steps * j.dk * j.dv), linear_range, &j);
    wide_done_f64(ec, 0, j.out);
    if (ec_has_out(ec, 1))
        wide_done_f64(ec, 1, j.state);
    return 0;
}

const struct op op_LinearAttention = {
    .domain = "",
    .name = "LinearAttention",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct linear_attention),
    .parse = linear_parse,
    .infer = linear_infer,
    .ref = linear_ref,
};

/* ---- CausalConvWithState ---- */

struct causal_conv {
    int activation; /* 0: none */
};

static int causal_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const names[] = {"none", "silu", "swish", NULL};
    struct causal_conv *p = params;
    (void)arena, (void)version;
    int rc = attr_choice(cx, n, "activation", names, &p->activation);
    return rc < 0 ? rc : 0;
}

static int causal_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = ic_need_rank(ic, 0, 3, 3);
    if (!rc)
        rc = ic_need_rank(ic, 1, 3, 3);
    if (!rc && ic_has(ic, 2))
        rc = ic_need_rank(ic, 2, 1, 1);
    if (!rc && ic_has(ic, 3))
        rc = ic_need_rank(ic, 3, 3, 3);
    if (!rc)
        rc = ic_out_same(ic, 0, 0);
    if (rc)
        return rc;
    struct dim d[3] = {dim_unknown(), dim_unknown(), dim_unknown()};
    for (int i = 0; ic_rank(ic, 0) == 3 && i < 2; i++)
        d[i] = ic_dim(ic, 0, i);
    if (ic_rank(ic, 1) == 3 && ic_dim(ic, 1, 2).kind != DIM_UNKNOWN)
        d[2] = dim_sub(ic->syms, ic_dim(ic, 1, 2), dim_const(1));
    if (d[2].kind == DIM_CONST && d[2].v < 0)
        return ic_err(ic, E_SHAPE, "the kernel has no extent");
    rc = need_dim(ic, 1, 0, d[1], "channels of input and weight");
    if (!rc)
        rc = need_dim(ic, 1, 1, dim_const(1), "channels that a filter sees");
    if (!rc)
        rc = need_dim(ic, 2, 0, d[1], "channels of input and bias");
    for (int k = 0; !rc && k < 3; k++)
        rc = need_dim(ic, 3, k, d[k], "past_state");
    return rc || !ic_has_out(ic, 1) ? rc : ic_out(ic, 1, ic_dtype(ic, 0), 3, d);
}

/* x is the past and the input behind each other, len + k - 1 values. */
static void causal_row(const double *x, const double *w, double bias, int64_t len, int64_t k, bool silu,
                       double *y)
{
    for (int64_t i = 0; i < len; i++) {
        double sum = bias;
        for (int64_t t = 0; t < k; t++)
            sum += x[i + t] * w[t];
        y[i] = silu ? sum / (1 + exp(-sum)) : sum;
    }
}

static int causal_check(struct exec_ctx *ec)
{
    const struct tensor *x = ec->in[0], *w = ec->in[1];
    int64_t state[3] = {x->dims[0], x->dims[1], w->dims[2] - 1};
    if (w->dims[0] != x->dims[1] || w->dims[1] != 1 || w->dims[2] < 1)
        return no_fit(ec->cx, "weight");
    if (ec_has(ec, 2) && ec->in[2]->dims[0] != x->dims[1])
        return no_fit(ec->cx, "bias");
    return ec_has(ec, 3) && memcmp(ec->in[3]->dims, state, sizeof(state)) != 0 ? no_fit(ec->cx, "past_state")
                                                                               : 0;
}

static int causal_ref(struct exec_ctx *ec, const void *params)
{
    const struct causal_conv *p = params;
    const double *x, *w, *bias, *past;
    double *y, *state;
    int rc = causal_check(ec);
    if (!rc)
        rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &w);
    if (!rc)
        rc = wide_f64(ec, 2, &bias);
    if (!rc)
        rc = wide_f64(ec, 3, &past);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (!rc)
        rc = wide_out_f64(ec, 1, &state);
    if (rc)
        return rc;
    int64_t channels = ec->in[0]->dims[1], len = ec->in[0]->dims[2], k = ec->in[1]->dims[2], keep = k - 1;
    double *row = ec_scratch(ec, (size_t)(len + keep + 1) * sizeof(double));
    if (!row)
        return ec->cx->err.code;
    for (int64_t i = 0; i < ec->in[0]->dims[0] * channels; i++) {
        for (int64_t t = 0; t < keep; t++)
            row[t] = past ? past[i * keep + t] : 0;
        memcpy(row + keep, x + i * len, (size_t)len * sizeof(double));
        if (y)
            causal_row(row, w + i % channels * k, bias ? bias[i % channels] : 0, len, k, p->activation != 0,
                       y + i * len);
        if (state)
            memcpy(state + i * keep, row + len, (size_t)keep * sizeof(double));
    }
    wide_done_f64(ec, 0, y);
    wide_done_f64(ec, 1, state);
    return 0;
}

const struct op op_CausalConvWithState = {
    .domain = "",
    .name = "CausalConvWithState",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct causal_conv),
    .parse = causal_parse,
    .infer = causal_infer,
    .ref = causal_ref,
};

/* ---- FlexAttention ---- */

struct flex {
    struct graph *score_mod, *prob_mod; /* NULL: none */
    bool has_scale;                     /* else 1 / sqrt(head size) */
    float scale;
    enum dtype precision; /* DT_UNDEFINED: double for double, else float */
};

static int flex_graph(struct cx *cx, const struct node *n, const char *name, struct graph **out)
{
    int rc = attr_graph(cx, n, name, out);
    if (rc > 0 && ((*out)->nins != 1 || (*out)->nouts != 1))
        return err_set(cx, E_ATTR, "attribute '%s': a graph of %zu inputs and %zu outputs, expected one each",
                       name, (*out)->nins, (*out)->nouts);
    return rc;
}

static int flex_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct flex *p = params;
    int64_t precision = DT_UNDEFINED;
    (void)arena, (void)version;
    int rc = flex_graph(cx, n, "score_mod", &p->score_mod);
    if (rc >= 0)
        rc = flex_graph(cx, n, "prob_mod", &p->prob_mod);
    if (rc >= 0)
        rc = attr_float(cx, n, "scale", &p->scale);
    p->has_scale = rc > 0;
    if (rc >= 0)
        rc = attr_int(cx, n, "softmax_precision", &precision);
    if (rc > 0 && precision != DT_FLOAT && precision != DT_DOUBLE && precision != DT_FLOAT16 &&
        precision != DT_BFLOAT16)
        rc =
            err_set(cx, E_ATTR, "attribute 'softmax_precision' is %lld, no float type", (long long)precision);
    p->precision = rc < 0 ? DT_UNDEFINED : (enum dtype)precision;
    return rc < 0 ? rc : 0;
}

static enum dtype flex_precision(const struct flex *p, enum dtype dt)
{
    if (p->precision != DT_UNDEFINED)
        return p->precision;
    return dt == DT_DOUBLE ? DT_DOUBLE : DT_FLOAT;
}

static int flex_infer_graph(struct infer_ctx *ic, struct graph *g, const struct type *scores)
{
    const struct type *ins[1] = {scores};
    const struct shape_val *vals[1] = {NULL};
    struct type *outs[1] = {NULL};
    struct shape_val *out_vals[1] = {NULL};
    return g && ic->subgraph ? ic->subgraph(ic, g, ins, vals, 1, outs, out_vals, 1) : 0;
}

static int flex_fits(struct infer_ctx *ic)
{
    struct dim q[4], k[4];
    for (int i = 0; i < 4; i++) {
        q[i] = ic_rank(ic, 0) == 4 ? ic_dim(ic, 0, i) : dim_unknown();
        k[i] = ic_rank(ic, 1) == 4 ? ic_dim(ic, 1, i) : dim_unknown();
    }
    int rc = ic_unify(ic, k[0], q[0], "batch of Q and K");
    if (!rc)
        rc = need_dim(ic, 2, 0, q[0], "batch of Q and V");
    if (!rc)
        rc = need_dim(ic, 2, 1, k[1], "heads of K and V");
    if (!rc)
        rc = need_dim(ic, 2, 2, k[2], "length of K and V");
    if (!rc)
        rc = ic_unify(ic, k[3], q[3], "head size of Q and K");
    if (!rc && q[1].kind == DIM_CONST && k[1].kind == DIM_CONST && (!k[1].v || q[1].v % k[1].v))
        return ic_err(ic, E_SHAPE, "%lld query heads are no multiple of %lld key heads", (long long)q[1].v,
                      (long long)k[1].v);
    return rc;
}

static int flex_infer(struct infer_ctx *ic, const void *params)
{
    const struct flex *p = params;
    int rc = 0;
    for (int i = 0; !rc && i < 3; i++)
        rc = ic_need_rank(ic, i, 4, 4);
    struct type *scores = rc ? NULL : arena_zalloc(ic->arena, sizeof(*scores));
    struct dim *d = rc ? NULL : arena_array(ic->arena, 4, sizeof(*d));
    if (!rc && (!scores || !d))
        return err_nomem(ic->cx);
    if (rc)
        return rc;
    struct dim out[4];
    for (int i = 0; i < 4; i++) {
        d[i] = i < 3 && ic_rank(ic, 0) == 4 ? ic_dim(ic, 0, i) : dim_unknown();
        out[i] = d[i];
    }
    if (ic_rank(ic, 1) == 4)
        d[3] = ic_dim(ic, 1, 2);
    if (ic_rank(ic, 2) == 4)
        out[3] = ic_dim(ic, 2, 3);
    rc = flex_fits(ic);
    if (rc)
        return rc;
    enum dtype dt = ic_dtype(ic, 0);
    *scores = (struct type){.kind = TY_TENSOR, .dt = flex_precision(p, dt), .rank = 4, .dims = d};
    rc = flex_infer_graph(ic, p->score_mod, scores);
    if (!rc)
        rc = flex_infer_graph(ic, p->prob_mod, scores);
    return rc ? rc : ic_out(ic, 0, dt, 4, out);
}

struct flex_job {
    const double *q, *k, *v;
    double *s, *y; /* scores or probabilities [batch, heads, len, past] */
    double scale;
    int64_t heads, group, len, past, size, vsize;
};

static const double *kv_head(const struct flex_job *j, const double *from, int64_t row, int64_t size)
{
    int64_t head = row / j->len, b = head / j->heads, h = head % j->heads / j->group;
    return from + (b * (j->heads / j->group) + h) * j->past * size;
}

static void flex_scores(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct flex_job *j = arg;
    (void)thread;
    for (int64_t r = begin; r < end; r++) {
        const double *k = kv_head(j, j->k, r, j->size), *q = j->q + r * j->size;
        for (int64_t c = 0; c < j->past; c++) {
            double sum = 0;
            for (int64_t i = 0; i < j->size; i++)
                sum += q[i] * k[c * j->size + i];
            j->s[r * j->past + c] = sum * j->scale;
        }
    }
}

static void flex_softmax(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct flex_job *j = arg;
    (void)thread;
    for (int64_t r = begin; r < end; r++) {
        double *s = j->s + r * j->past, max = -INFINITY, sum = 0;
        for (int64_t c = 0; c < j->past; c++)
            max = s[c] > max || isnan(s[c]) ? s[c] : max;
        for (int64_t c = 0; c < j->past; c++)
            sum += s[c] = exp(s[c] - max);
        for (int64_t c = 0; c < j->past; c++)
            s[c] /= sum;
    }
}

static void flex_values(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct flex_job *j = arg;
    (void)thread;
    for (int64_t r = begin; r < end; r++) {
        const double *v = kv_head(j, j->v, r, j->vsize), *s = j->s + r * j->past;
        double *y = j->y + r * j->vsize;
        for (int64_t i = 0; i < j->vsize; i++)
            y[i] = 0;
        for (int64_t c = 0; c < j->past; c++)
            for (int64_t i = 0; i < j->vsize; i++)
                y[i] += s[c] * v[c * j->vsize + i];
    }
}

/* Sends s through the graph g in type dt; dims are those of the scores. */
static int flex_modify(struct exec_ctx *ec, struct graph *g, enum dtype dt, const int64_t *dims, double *s)
{
    const struct dtype_info *info = dtype_info((int)dt);
    struct tensor in = {0}, out = {0};
    if (!g)
        return 0;
    int rc = tensor_new(ec->cx, &in, dt, 4, dims);
    int64_t n = rc ? 0 : tensor_count(&in);
    for (int64_t i = 0; i < n; i++)
        info->store_f64((char *)in.data + (size_t)i * info->size, s[i]);
    if (!rc)
        rc = ec_run_graph(ec, g, &in, 1, &out, 1);
    if (!rc && (out.kind != RT_TENSOR || out.dt != dt || out.rank != 4 ||
                memcmp(out.dims, dims, 4 * sizeof(*dims)) != 0))
        rc = err_set(ec->cx, E_SHAPE, "graph '%s' changes type or shape of what it gets", g->name);
    for (int64_t i = 0; !rc && i < n; i++)
        s[i] = info->load_f64((const char *)out.data + (size_t)i * info->size);
    tensor_drop(&in);
    tensor_drop(&out);
    return rc;
}

static int flex_check(struct exec_ctx *ec)
{
    const int64_t *q = ec->in[0]->dims, *k = ec->in[1]->dims, *v = ec->in[2]->dims;
    if (k[0] != q[0] || v[0] != q[0] || k[3] != q[3] || v[1] != k[1] || v[2] != k[2])
        return no_fit(ec->cx, "Q, K or V");
    return k[1] < 1 || q[1] % k[1] ? no_fit(ec->cx, "the heads of Q") : 0;
}

static int flex_inputs(struct exec_ctx *ec, struct flex_job *j)
{
    int rc = wide_f64(ec, 0, &j->q);
    if (!rc)
        rc = wide_f64(ec, 1, &j->k);
    if (!rc)
        rc = wide_f64(ec, 2, &j->v);
    return rc ? rc : wide_out_f64(ec, 0, &j->y);
}

static int flex_ref(struct exec_ctx *ec, const void *params)
{
    const struct flex *p = params;
    const int64_t *q = ec->in[0]->dims, *k = ec->in[1]->dims;
    enum dtype dt = flex_precision(p, ec->in[0]->dt);
    struct flex_job j = {0};
    int64_t n, dims[4] = {q[0], q[1], q[2], k[2]};
    int rc = flex_check(ec);
    if (rc)
        return rc;
    if (!dims_count(dims, 4, &n) || n > INT64_MAX / 16)
        return err_set(ec->cx, E_LIMIT, "the attention scores overflow");
    rc = flex_inputs(ec, &j);
    if (rc || !j.y)
        return rc;
    j.s = ec_scratch(ec, ((size_t)n + 1) * sizeof(double));
    if (!j.s)
        return ec->cx->err.code;
    j.scale = p->has_scale ? (double)p->scale : 1 / sqrt((double)q[3]);
    j.heads = q[1];
    j.group = q[1] / k[1];
    j.len = q[2];
    j.past = k[2];
    j.size = q[3];
    j.vsize = ec->in[2]->dims[3];
    int64_t rows = q[0] * q[1] * q[2];
    par_for(ec->pool, rows, grain_for(j.past * j.size), flex_scores, &j);
    rc = flex_modify(ec, p->score_mod, dt, dims, j.s);
    if (rc)
        return rc;
    par_for(ec->pool, rows, grain_for(j.past), flex_softmax, &j);
    rc = flex_modify(ec, p->prob_mod, dt, dims, j.s);
    if (rc)
        return rc;
    par_for(ec->pool, rows, grain_for(j.past * j.vsize), flex_values, &j);
    wide_done_f64(ec, 0, j.y);
    return 0;
}

const struct op op_preview_FlexAttention = {
    .domain = "ai.onnx.preview",
    .name = "FlexAttention",
    .flags = OP_SUBGRAPH,
    .tol = TOL_ROUND,
    .params_size = sizeof(struct flex),
    .parse = flex_parse,
    .infer = flex_infer,
    .ref = flex_ref,
};
