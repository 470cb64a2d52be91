/* Normalizations and biased activations of com.microsoft, computed in double: SkipLayerNormalization and its
 * simplified (root mean square) form, EmbedLayerNormalization, BiasGelu, FastGelu. */
#include <math.h>
#include <string.h>

#include "ops/contrib.h"

/* ---- one row ---- */

struct row_norm {
    const double *gamma, *beta; /* beta NULL: none */
    double epsilon;
    bool simplified; /* by the root mean square, no mean taken off */
    int64_t n;
};

/* y may be x. mean and inv (NULL: not wanted) get what the row was normalized by. */
static void norm_row(const struct row_norm *p, const double *x, double *y, double *mean, double *inv)
{
    double m = 0, sum = 0;
    for (int64_t i = 0; !p->simplified && i < p->n; i++)
        m += x[i] / (double)p->n;
    for (int64_t i = 0; i < p->n; i++)
        sum += (x[i] - m) * (x[i] - m);
    double f = 1 / sqrt(sum / (double)p->n + p->epsilon);
    for (int64_t i = 0; i < p->n; i++)
        y[i] = (x[i] - m) * f * p->gamma[i] + (p->beta ? p->beta[i] : 0);
    if (mean)
        *mean = m;
    if (inv)
        *inv = f;
}

/* Weights at input i, which must have n elements. */
static int weights(struct exec_ctx *ec, int i, int64_t n, const double **out)
{
    int rc = wide_f64(ec, i, out);
    if (!rc && *out && tensor_count(ec->in[i]) != n)
        rc = err_set(ec->cx, E_SHAPE, "input %d has %lld elements, expected %lld", i,
                     (long long)tensor_count(ec->in[i]), (long long)n);
    return rc;
}

/* ---- SkipLayerNormalization, SkipSimplifiedLayerNormalization ---- */

struct skip_norm {
    bool simplified;
    float epsilon;
};

static int skip_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct skip_norm *p = params;
    (void)arena, (void)version;
    p->simplified = strstr(n->op_type, "Simplified") != NULL;
    p->epsilon = 1e-12f;
    int rc = attr_float(cx, n, "epsilon", &p->epsilon);
    return rc < 0 ? rc : contrib_inputs(cx, n, 3, p->simplified ? 4 : 5, 7);
}

static int skip_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK];
    int rank = in_dims(ic, 0, dims);
    (void)params;
    if (rank < -1)
        return rank;
    int rc = ic_need_rank(ic, 0, 1, TENSOR_MAX_RANK);
    for (int o = 0; !rc && o < ic->nout && o < 4; o += 3)
        if (ic_has_out(ic, o))
            rc = ic_out_same(ic, o, 0);
    if (rank > 0)
        dims[rank - 1] = dim_const(1);
    for (int o = 1; !rc && o < 3; o++)
        if (ic_has_out(ic, o))
            rc = ic_out(ic, o, DT_FLOAT, rank, dims);
    return rc;
}

struct skip_job {
    struct row_norm norm;
    const double *x, *skip, *bias;
    int64_t nskip; /* elements of skip, which repeats */
    double *y, *sum, *mean, *inv, *row;
};

static void skip_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct skip_job *j = arg;
    int64_t n = j->norm.n;
    for (int64_t r = begin; r < end; r++) {
        double *row = j->row + thread * n;
        for (int64_t i = 0; i < n; i++)
            row[i] = j->x[r * n + i] + j->skip[(r * n + i) % j->nskip] + (j->bias ? j->bias[i] : 0);
        if (j->sum)
            memcpy(j->sum + r * n, row, (size_t)n * sizeof(*row));
        norm_row(&j->norm, row, j->y ? j->y + r * n : row, j->mean ? j->mean + r : NULL,
                 j->inv ? j->inv + r : NULL);
    }
}

static int skip_operands(struct exec_ctx *ec, const struct skip_norm *p, struct skip_job *j)
{
    int rc = wide_f64(ec, 0, &j->x);
    if (!rc)
        rc = wide_f64(ec, 1, &j->skip);
    if (!rc)
        rc = weights(ec, 2, j->norm.n, &j->norm.gamma);
    if (!rc && !p->simplified)
        rc = weights(ec, 3, j->norm.n, &j->norm.beta);
    return rc ? rc : weights(ec, p->simplified ? 3 : 4, j->norm.n, &j->bias);
}

static int skip_outputs(struct exec_ctx *ec, struct skip_job *j)
{
    double **to[4] = {&j->y, &j->mean, &j->inv, &j->sum};
    int rc = 0;
    for (int o = 0; o < 4 && !rc; o++)
        rc = wide_out_f64(ec, o, to[o]);
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    j->row = rc ? NULL : ec_scratch(ec, (size_t)threads * (size_t)(j->norm.n + 1) * sizeof(double));
    return rc || j->row ? rc : ec->cx->err.code;
}

static int skip_ref(struct exec_ctx *ec, const void *params)
{
    const struct skip_norm *p = params;
    const struct tensor *x = ec->in[0];
    struct skip_job j = {.norm = {.epsilon = p->epsilon, .simplified = p->simplified}};
    int64_t count = tensor_count(x);
    j.norm.n = x->dims[x->rank - 1];
    j.nskip = tensor_count(ec->in[1]);
    if (!count)
        return 0;
    if (!j.nskip || count % j.nskip || j.nskip % j.norm.n)
        return err_set(ec->cx, E_SHAPE, "skip does not fit the input");
    int rc = skip_operands(ec, p, &j);
    if (!rc)
        rc = skip_outputs(ec, &j);
    if (rc)
        return rc;
    par_for(ec->pool, count / j.norm.n, grain_for(j.norm.n), skip_range, &j);
    wide_done_f64(ec, 0, j.y);
    wide_done_f64(ec, 1, j.mean);
    wide_done_f64(ec, 2, j.inv);
    wide_done_f64(ec, 3, j.sum);
    return 0;
}

#define SKIP_NORM(opname)                                                                                    \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND,                                         \
        .params_size = sizeof(struct skip_norm), .parse = skip_parse, .infer = skip_infer, .ref = skip_ref,  \
    }

const struct op op_com_microsoft_SkipLayerNormalization = SKIP_NORM("SkipLayerNormalization");
const struct op op_com_microsoft_SkipSimplifiedLayerNormalization =
    SKIP_NORM("SkipSimplifiedLayerNormalization");

/* ---- EmbedLayerNormalization ---- */

enum {
    EMB_IDS,
    EMB_SEGMENTS,
    EMB_WORD,
    EMB_POSITION,
    EMB_SEGMENT,
    EMB_GAMMA,
    EMB_BETA,
    EMB_MASK,
    EMB_POSITIONS
};

struct embed {
    float epsilon;
};

static int embed_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct embed *p = params;
    (void)arena, (void)version;
    p->epsilon = 1e-12f;
    int rc = attr_float(cx, n, "epsilon", &p->epsilon);
    return rc < 0 ? rc : contrib_inputs(cx, n, 7, 9, 0x6d);
}

static int embed_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = ic_need_rank(ic, EMB_IDS, 2, 2);
    if (!rc)
        rc = ic_need_rank(ic, EMB_WORD, 2, 2);
    if (rc)
        return rc;
    struct dim d[3] = {dim_unknown(), dim_unknown(), dim_unknown()};
    for (int i = 0; ic_rank(ic, EMB_IDS) == 2 && i < 2; i++)
        d[i] = ic_dim(ic, EMB_IDS, i);
    if (ic_rank(ic, EMB_WORD) == 2)
        d[2] = ic_dim(ic, EMB_WORD, 1);
    rc = ic_out(ic, 0, ic_dtype(ic, EMB_WORD), 3, d);
    if (!rc && ic_has_out(ic, 1))
        rc = ic_out(ic, 1, DT_INT32, 1, d);
    return !rc && ic_has_out(ic, 2) ? ic_out(ic, 2, ic_dtype(ic, EMB_WORD), 3, d) : rc;
}

/* Adds row `at` of table i to row. */
static int add_row(struct exec_ctx *ec, int i, const double *table, int64_t at, int64_t n, double *row)
{
    const struct tensor *t = ec->in[i];
    if (t->rank != 2 || t->dims[1] != n)
        return err_set(ec->cx, E_SHAPE, "the table at input %d does not fit the others", i);
    if (at < 0 || at >= t->dims[0])
        return err_set(ec->cx, E_VALUE, "index %lld into a table of %lld rows at input %d", (long long)at,
                       (long long)t->dims[0], i);
    for (int64_t k = 0; k < n; k++)
        row[k] += table[at * n + k];
    return 0;
}

/* How many entries of each row of the mask are set; 0 without a mask. */
static void mask_index(struct exec_ctx *ec)
{
    const struct tensor *ids = ec->in[EMB_IDS];
    if (!ec_has_out(ec, 1))
        return;
    for (int64_t b = 0; b < ids->dims[0]; b++) {
        int32_t n = 0;
        for (int64_t i = 0; ec_has(ec, EMB_MASK) && i < ids->dims[1]; i++)
            n += tensor_i64(ec->in[EMB_MASK], b * ids->dims[1] + i) == 1;
        ((int32_t *)ec->out[1]->data)[b] = n;
    }
}

static int embed_check(struct exec_ctx *ec)
{
    int64_t n = tensor_count(ec->in[EMB_IDS]), len = ec->in[EMB_IDS]->dims[1];
    static const int same[] = {EMB_SEGMENTS, EMB_MASK, EMB_POSITIONS};
    for (int k = 0; k < 3; k++) {
        int64_t have = ec_has(ec, same[k]) ? tensor_count(ec->in[same[k]]) : n;
        if (have != n && !(same[k] == EMB_POSITIONS && have == len))
            return err_set(ec->cx, E_SHAPE, "input %d does not fit input_ids", same[k]);
    }
    if (ec_has(ec, EMB_SEGMENTS) != ec_has(ec, EMB_SEGMENT))
        return err_set(ec->cx, E_MODEL, "segment_ids and segment_embedding come together");
    return 0;
}

static int embed_ref(struct exec_ctx *ec, const void *params)
{
    const struct embed *p = params;
    const struct tensor *ids = ec->in[EMB_IDS];
    int64_t n = ec->in[EMB_WORD]->dims[1], len = ids->dims[1];
    struct row_norm norm = {.epsilon = p->epsilon, .n = n};
    const double *word, *position, *segment;
    double *y, *sum;
    int rc = embed_check(ec);
    if (!rc)
        rc = wide_f64(ec, EMB_WORD, &word);
    if (!rc)
        rc = wide_f64(ec, EMB_POSITION, &position);
    if (!rc)
        rc = wide_f64(ec, EMB_SEGMENT, &segment);
    if (!rc)
        rc = weights(ec, EMB_GAMMA, n, &norm.gamma);
    if (!rc)
        rc = weights(ec, EMB_BETA, n, &norm.beta);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (!rc)
        rc = wide_out_f64(ec, 2, &sum);
    double *row = rc ? NULL : ec_scratch(ec, (size_t)(n + 1) * sizeof(double));
    if (!row)
        return rc ? rc : ec->cx->err.code;
    for (int64_t r = 0; r < tensor_count(ids) && !rc; r++) {
        int64_t at = r % len;
        memset(row, 0, (size_t)n * sizeof(*row));
        if (ec_has(ec, EMB_POSITIONS))
            at = tensor_i64(ec->in[EMB_POSITIONS], r % tensor_count(ec->in[EMB_POSITIONS]));
        rc = add_row(ec, EMB_WORD, word, tensor_i64(ids, r), n, row);
        if (!rc)
            rc = add_row(ec, EMB_POSITION, position, at, n, row);
        if (!rc && segment)
            rc = add_row(ec, EMB_SEGMENT, segment, tensor_i64(ec->in[EMB_SEGMENTS], r), n, row);
        if (sum)
            memcpy(sum + r * n, row, (size_t)n * sizeof(*row));
        if (!rc && y)
            norm_row(&norm, row, y + r * n, NULL, NULL);
    }
    if (rc)
        return rc;
    mask_index(ec);
    wide_done_f64(ec, 0, y);
    wide_done_f64(ec, 2, sum);
    return 0;
}

const struct op op_com_microsoft_EmbedLayerNormalization = {
    .domain = "com.microsoft",
    .name = "EmbedLayerNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct embed),
    .parse = embed_parse,
    .infer = embed_infer,
    .ref = embed_ref,
};

/* ---- BiasGelu, FastGelu ---- */

struct bias_gelu {
    bool fast; /* the tanh form */
};

static int gelu_bias_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct bias_gelu *p = params;
    (void)arena, (void)version;
    p->fast = n->op_type[0] == 'F';
    return contrib_inputs(cx, n, p->fast ? 1 : 2, 2, p->fast ? 1 : 3);
}

static int gelu_bias_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out_same(ic, 0, 0);
}

struct gelu_job {
    const double *x, *bias;
    double *y;
    int64_t n;
    bool fast;
};

static void gelu_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct gelu_job *j = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        double v = j->x[i] + (j->bias ? j->bias[i % j->n] : 0);
        double s =
            j->fast ? tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)) : erf(v * 0.7071067811865476);
        j->y[i] = 0.5 * v * (1 + s);
    }
}

static int gelu_bias_ref(struct exec_ctx *ec, const void *params)
{
    const struct bias_gelu *p = params;
    const struct tensor *x = ec->in[0];
    struct gelu_job j = {.fast = p->fast, .n = x->rank ? x->dims[x->rank - 1] : 1};
    int rc = wide_f64(ec, 0, &j.x);
    if (!rc)
        rc = weights(ec, 1, j.n, &j.bias);
    if (!rc)
        rc = wide_out_f64(ec, 0, &j.y);
    if (rc || !j.y)
        return rc;
    par_for(ec->pool, tensor_count(x), 4096, gelu_range, &j);
    wide_done_f64(ec, 0, j.y);
    return 0;
}

#define BIAS_GELU(opname)                                                                                    \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND,                                         \
        .params_size = sizeof(struct bias_gelu), .parse = gelu_bias_parse, .infer = gelu_bias_infer,         \
        .ref = gelu_bias_ref,                                                                                \
    }

const struct op op_com_microsoft_BiasGelu = BIAS_GELU("BiasGelu");
const struct op op_com_microsoft_FastGelu = BIAS_GELU("FastGelu");
