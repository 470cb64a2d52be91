/* MoE of com.microsoft: each token goes through its k best experts, two layers each, whose results are added
 * with the router's weights. Tokens of one expert are one product; experts follow each other, so the sums
 * have one order. */
#include <math.h>
#include <string.h>

#include "ops/contrib_attn.h"

enum { IN_X, IN_ROUTER, IN_FC1, IN_BIAS1, IN_FC2, IN_BIAS2, IN_FC3, IN_BIAS3 };
enum moe_act { MOE_RELU, MOE_GELU, MOE_SILU, MOE_SWIGLU, MOE_IDENTITY };

struct moe {
    int64_t k,
        fusion; /* fusion: of the gate and the linear half of SwiGLU: 0 apart, 1 interleaved, 2 halves */
    int act;
    bool normalize;
    float alpha, beta, limit; /* limit: Inf when there is none */
};

static int moe_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const acts[] = {"relu", "gelu", "silu", "swiglu", "identity", NULL};
    struct moe *p = params;
    int64_t normalize = 0, mixer = 0;
    (void)arena, (void)version;
    *p = (struct moe){.k = 1, .alpha = 1, .limit = INFINITY};
    int rc = contrib_inputs(cx, n, 5, 8, 1u << IN_X | 1u << IN_ROUTER | 1u << IN_FC1 | 1u << IN_FC2);
    if (!rc)
        rc = attr_int(cx, n, "k", &p->k);
    if (rc >= 0)
        rc = attr_int(cx, n, "swiglu_fusion", &p->fusion);
    if (rc >= 0)
        rc = attr_int(cx, n, "normalize_routing_weights", &normalize);
    if (rc >= 0)
        rc = attr_int(cx, n, "use_sparse_mixer", &mixer);
    if (rc >= 0)
        rc = attr_choice(cx, n, "activation_type", acts, &p->act);
    if (rc >= 0)
        rc = attr_float(cx, n, "activation_alpha", &p->alpha);
    if (rc >= 0)
        rc = attr_float(cx, n, "activation_beta", &p->beta);
    if (rc >= 0)
        rc = attr_float(cx, n, "swiglu_limit", &p->limit);
    p->normalize = normalize != 0;
    if (rc < 0)
        return rc;
    if (mixer)
        return err_set(cx, E_UNSUPPORTED, "use_sparse_mixer");
    if (p->k < 1 || p->fusion < 0 || p->fusion > 2)
        return err_set(cx, E_ATTR, "k is %lld, swiglu_fusion %lld", (long long)p->k, (long long)p->fusion);
    bool third = n->nin > IN_FC3 && n->in[IN_FC3];
    if (p->act == MOE_SWIGLU ? third != !p->fusion : p->fusion != 0)
        return err_set(cx, E_MODEL,
                       "swiglu_fusion goes with SwiGLU, which takes fc3_experts_weights without it");
    return 0;
}

static int moe_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = ic_need_rank(ic, IN_X, 2, 3);
    if (!rc)
        rc = ic_need_rank(ic, IN_ROUTER, 2, 2);
    if (!rc)
        rc = ic_need_rank(ic, IN_FC1, 3, 3);
    if (!rc)
        rc = ic_need_rank(ic, IN_FC2, 3, 3);
    return rc ? rc : ic_out_same(ic, 0, IN_X);
}

struct moe_job {
    struct exec_ctx *ec;
    const struct moe *p;
    int64_t tokens, hidden, inter, wide, experts; /* wide: columns of the first layer */
    const float *x, *router, *w[3], *bias[3];
    float *y, *in, *mid, *mid3, *out; /* rows of one expert's tokens */
    float *share;                     /* [tokens, experts]; 0: not chosen */
    int64_t *rows;
};

static int no_fit(struct exec_ctx *ec, int i)
{
    return err_set(ec->cx, E_SHAPE, "the shape of input %d does not fit the others", i);
}

static int moe_sizes(struct moe_job *j)
{
    struct exec_ctx *ec = j->ec;
    const struct tensor *x = ec->in[IN_X], *w1 = ec->in[IN_FC1], *w2 = ec->in[IN_FC2];
    j->hidden = x->dims[x->rank - 1];
    j->tokens = j->hidden ? tensor_count(x) / j->hidden : 0;
    j->experts = w1->dims[0];
    j->wide = w1->dims[1];
    j->inter = w2->dims[2];
    if (ec->in[IN_ROUTER]->dims[0] != j->tokens || ec->in[IN_ROUTER]->dims[1] != j->experts ||
        j->p->k > j->experts)
        return no_fit(ec, IN_ROUTER);
    if (w1->dims[2] != j->hidden || j->wide != j->inter * (j->p->fusion ? 2 : 1))
        return no_fit(ec, IN_FC1);
    if (w2->dims[0] != j->experts || w2->dims[1] != j->hidden)
        return no_fit(ec, IN_FC2);
    int64_t want[4] = {j->experts * j->wide, j->experts * j->hidden, j->experts * j->inter * j->hidden,
                       j->experts * j->inter};
    static const int inputs[4] = {IN_BIAS1, IN_BIAS2, IN_FC3, IN_BIAS3};
    for (int i = 0; i < 4; i++)
        if (ec_has(ec, inputs[i]) && tensor_count(ec->in[inputs[i]]) != want[i])
            return no_fit(ec, inputs[i]);
    return 0;
}

static int moe_memory(struct moe_job *j)
{
    struct exec_ctx *ec = j->ec;
    int rc = wide_f32(ec, IN_X, &j->x);
    if (!rc)
        rc = wide_f32(ec, IN_ROUTER, &j->router);
    for (int i = 0; i < 3 && !rc; i++) {
        rc = wide_f32(ec, IN_FC1 + 2 * i, &j->w[i]);
        if (!rc)
            rc = wide_f32(ec, IN_BIAS1 + 2 * i, &j->bias[i]);
    }
    if (!rc)
        rc = wide_out_f32(ec, 0, &j->y);
    size_t t = (size_t)j->tokens,
           per = (size_t)(2 * j->hidden + j->wide + j->inter + j->experts) * sizeof(float);
    char *mem = rc ? NULL : ec_scratch(ec, t * (per + sizeof(int64_t)) + 64);
    if (!mem)
        return rc ? rc : ec->cx->err.code;
    j->rows = (int64_t *)(void *)mem;
    j->in = (float *)(void *)(mem + t * sizeof(int64_t));
    j->out = j->in + j->tokens * j->hidden;
    j->mid = j->out + j->tokens * j->hidden;
    j->mid3 = j->mid + j->tokens * j->wide;
    j->share = j->mid3 + j->tokens * j->inter;
    return 0;
}

/* The k largest of the router's values, the first of equal ones; their softmax over all experts, or over the
 * chosen ones alone. */
static void choose(const struct moe_job *j, int64_t t)
{
    const float *v = j->router + t * j->experts;
    float *s = j->share + t * j->experts;
    double top = -INFINITY, all = 0, chosen = 0;
    for (int64_t e = 0; e < j->experts; e++)
        top = (double)v[e] > top ? (double)v[e] : top;
    for (int64_t e = 0; e < j->experts; e++)
        all += exp((double)v[e] - top);
    memset(s, 0, (size_t)j->experts * sizeof(*s));
    for (int64_t n = 0; n < j->p->k; n++) {
        int64_t best = -1;
        for (int64_t e = 0; e < j->experts; e++)
            if (s[e] == 0 && (best < 0 || v[e] > v[best]))
                best = e;
        if (best < 0)
            break;
        s[best] = -1;
        chosen += exp((double)v[best] - top);
    }
    for (int64_t e = 0; e < j->experts; e++)
        if (s[e] != 0)
            s[e] = (float)(exp((double)v[e] - top) / (j->p->normalize ? chosen : all));
}

static int layer(struct moe_job *j, int i, int64_t expert, int64_t m, int64_t n, int64_t k, const float *a,
                 float *c)
{
    struct exec_ctx *ec = j->ec;
    struct gemm_f32 g = {.m = m,
                         .n = n,
                         .k = k,
                         .a = a,
                         .a_rs = k,
                         .a_cs = 1,
                         .b = j->w[i] + expert * n * k,
                         .b_rs = 1,
                         .b_cs = k,
                         .c = c,
                         .ldc = n};
    size_t bytes;
    gemm_epi_init(&g.epi);
    g.epi.bias_n = j->bias[i] ? j->bias[i] + expert * n : NULL;
    if (!gemm_f32_scratch(ec->kern, &g, ec->pool ? pool_size(ec->pool) : 1, &bytes))
        return err_set(ec->cx, E_LIMIT, "the product is too large");
    void *scratch = ec_scratch(ec, bytes);
    if (!scratch)
        return ec->cx->err.code;
    gemm_f32(ec->kern, &g, ec->pool, scratch);
    return 0;
}

static float swiglu(const struct moe *p, float g, float l)
{
    g = g > p->limit ? p->limit : g;
    l = l > p->limit ? p->limit : l < -p->limit ? -p->limit : l;
    return g / (1 + expf(-p->alpha * g)) * (l + p->beta);
}

/* What the first layer gave, brought to `inter` columns in mid. */
static void activate(const struct moe_job *j, int64_t m)
{
    const struct moe *p = j->p;
    struct un_params one = {1, 0};
    static const enum un_op ops[] = {[MOE_RELU] = UN_RELU, [MOE_GELU] = UN_GELU_TANH, [MOE_SILU] = UN_SILU};
    size_t n = (size_t)(m * j->inter);
    if (p->act < MOE_SWIGLU)
        un_run(j->ec->kern, ops[p->act], DT_FLOAT, j->mid, j->mid, n, &one);
    for (int64_t i = 0; p->act == MOE_SWIGLU && i < m * j->inter; i++) {
        int64_t r = i / j->inter, c = i % j->inter, at = r * j->wide;
        float g = j->mid[p->fusion == 1 ? at + 2 * c : at + c];
        float l = p->fusion == 1   ? j->mid[at + 2 * c + 1]
                  : p->fusion == 2 ? j->mid[at + j->inter + c]
                                   : j->mid3[i];
        j->mid3[i] = swiglu(p, g, l);
    }
    if (p->act == MOE_SWIGLU)
        memcpy(j->mid, j->mid3, n * sizeof(*j->mid));
    else if (j->w[2])
        bin_run(j->ec->kern, BIN_MUL, DT_FLOAT, BIN_VV, j->mid, j->mid3, j->mid, n);
}

static int one_expert(struct moe_job *j, int64_t e)
{
    int64_t m = 0, h = j->hidden;
    for (int64_t t = 0; t < j->tokens; t++)
        if (j->share[t * j->experts + e] != 0) {
            memcpy(j->in + m * h, j->x + t * h, (size_t)h * sizeof(float));
            j->rows[m++] = t;
        }
    int rc = m ? layer(j, 0, e, m, j->wide, h, j->in, j->mid) : 0;
    if (m && !rc && j->w[2])
        rc = layer(j, 2, e, m, j->inter, h, j->in, j->mid3);
    if (!m || rc)
        return rc;
    activate(j, m);
    rc = layer(j, 1, e, m, h, j->inter, j->mid, j->out);
    for (int64_t i = 0; !rc && i < m * h; i++)
        j->y[j->rows[i / h] * h + i % h] += j->share[j->rows[i / h] * j->experts + e] * j->out[i];
    return rc;
}

static int moe_ref(struct exec_ctx *ec, const void *params)
{
    struct moe_job j = {.ec = ec, .p = params};
    if (!wide_fits_f32(ec->in[IN_X]->dt))
        return ec_unsupported(ec, IN_X);
    int rc = moe_sizes(&j);
    if (!rc && tensor_count(ec->in[IN_X]))
        rc = moe_memory(&j);
    if (rc || !j.y)
        return rc;
    memset(j.y, 0, (size_t)(j.tokens * j.hidden) * sizeof(float));
    for (int64_t t = 0; t < j.tokens; t++)
        choose(&j, t);
    for (int64_t e = 0; e < j.experts && !rc; e++)
        rc = one_expert(&j, e);
    wide_done_f32(ec, 0, j.y);
    return rc;
}

const struct op op_com_microsoft_MoE = {
    .domain = "com.microsoft",
    .name = "MoE",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct moe),
    .parse = moe_parse,
    .infer = moe_infer,
    .ref = moe_ref,
    .supports = ms_float_supports,
};
