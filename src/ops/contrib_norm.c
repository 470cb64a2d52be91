/* Normalizations and biased activations of com.microsoft: SkipLayerNormalization and its simplified (root
 * mean square) form, EmbedLayerNormalization, BiasGelu, FastGelu. float and narrower compute in float on the
 * kernels of the plain operators, float64 in double. */
#include <math.h>
#include <string.h>

#include "ops/contrib.h"

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

/* Weights at input i as float, which must have n elements. */
static int weights_f32(struct exec_ctx *ec, int i, int64_t n, const float **out)
{
    int rc = wide_f32(ec, i, out);
    if (!rc && *out && tensor_count(ec->in[i]) != n)
        rc = err_set(ec->cx, E_SHAPE, "input %d has %lld elements, expected %lld", i,
                     (long long)tensor_count(ec->in[i]), (long long)n);
    return rc;
}

struct skip_f32 {
    const struct kern *kern;
    const struct skip_norm *p;
    const float *x, *skip, *bias, *gamma, *beta;
    int64_t n, nskip;
    float *y, *sum, *mean, *inv, *row; /* row: one a thread, when no sum is wanted */
};

static void skip_f32_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct skip_f32 *j = arg;
    size_t n = (size_t)j->n;
    for (int64_t r = begin; r < end; r++) {
        float *row = j->sum ? j->sum + r * j->n : j->row + thread * j->n;
        const float *skip = j->skip + r * j->n % j->nskip;
        bin_run(j->kern, BIN_ADD, DT_FLOAT, BIN_VV, j->x + r * j->n, skip, row, n);
        if (j->bias)
            bin_run(j->kern, BIN_ADD, DT_FLOAT, BIN_VV, row, j->bias, row, n);
        float *y = j->y ? j->y + r * j->n : j->row + thread * j->n, *inv = j->inv ? j->inv + r : NULL;
        if (j->p->simplified)
            j->kern->norm.rmsnorm(row, j->gamma, y, inv, 1, n, j->p->epsilon);
        else
            j->kern->norm.layernorm(row, j->gamma, j->beta, y, j->mean ? j->mean + r : NULL, inv, 1, n,
                                    j->p->epsilon);
    }
}

static int skip_in_f32(struct exec_ctx *ec, const struct skip_norm *p, int64_t n, int64_t nskip)
{
    struct skip_f32 j = {.kern = ec->kern, .p = p, .n = n, .nskip = nskip};
    float **to[4] = {&j.y, &j.mean, &j.inv, &j.sum};
    int rc = wide_f32(ec, 0, &j.x);
    if (!rc)
        rc = wide_f32(ec, 1, &j.skip);
    if (!rc)
        rc = weights_f32(ec, 2, n, &j.gamma);
    if (!rc && !p->simplified)
        rc = weights_f32(ec, 3, n, &j.beta);
    if (!rc)
        rc = weights_f32(ec, p->simplified ? 3 : 4, n, &j.bias);
    for (int o = 0; o < 4 && !rc; o++)
        rc = wide_out_f32(ec, o, to[o]);
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    j.row = rc ? NULL : ec_scratch(ec, (size_t)threads * (size_t)(n + 1) * sizeof(float));
    if (!j.row)
        return rc ? rc : ec->cx->err.code;
    par_for(ec->pool, tensor_count(ec->in[0]) / n, grain_for(2 * n), skip_f32_range, &j);
    for (int o = 0; o < 4; o++)
        wide_done_f32(ec, o, *to[o]);
    return 0;
}

static int skip_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *x = ec->in[0];
    int64_t n = x->dims[x->rank - 1], count = tensor_count(x), nskip = tensor_count(ec->in[1]);
    if (!wide_fits_f32(x->dt))
        return ec_unsupported(ec, 0);
    if (!count)
        return 0;
    if (!nskip || count % nskip || nskip % n)
        return err_set(ec->cx, E_SHAPE, "skip does not fit the input");
    return skip_in_f32(ec, params, n, nskip);
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

struct embed_job {
    struct exec_ctx *ec;
    const struct embed *p;
    const float *gamma, *beta;
    float *y, *sum, *row; /* row: one a thread and a second one for a table's row */
    int64_t n;
};

/* Row of table i that token r takes; -1: none is taken. */
static int64_t table_row(const struct exec_ctx *ec, int i, int64_t r)
{
    if (i == EMB_SEGMENT)
        return ec_has(ec, EMB_SEGMENTS) ? tensor_i64(ec->in[EMB_SEGMENTS], r) : -1;
    if (i == EMB_WORD)
        return tensor_i64(ec->in[EMB_IDS], r);
    if (ec_has(ec, EMB_POSITIONS))
        return tensor_i64(ec->in[EMB_POSITIONS], r % tensor_count(ec->in[EMB_POSITIONS]));
    return r % ec->in[EMB_IDS]->dims[1];
}

/* That the tables have n columns, and all rows that are asked for. */
static int tables_check(struct exec_ctx *ec, int64_t n)
{
    static const int tables[] = {EMB_WORD, EMB_POSITION, EMB_SEGMENT};
    int64_t count = tensor_count(ec->in[EMB_IDS]);
    for (int k = 0; k < 3; k++) {
        const struct tensor *t = ec_has(ec, tables[k]) ? ec->in[tables[k]] : NULL;
        if (t && (t->rank != 2 || t->dims[1] != n || !wide_fits_f32(t->dt)))
            return err_set(ec->cx, E_SHAPE, "the table at input %d does not fit the others", tables[k]);
        for (int64_t r = 0; t && r < count; r++) {
            int64_t at = table_row(ec, tables[k], r);
            if (at < 0 || at >= t->dims[0])
                return err_set(ec->cx, E_VALUE, "index %lld into a table of %lld rows at input %d",
                               (long long)at, (long long)t->dims[0], tables[k]);
        }
    }
    return 0;
}

/* Adds the token's row of table i to row; tmp has room for one. */
static void add_row(const struct embed_job *j, int i, int64_t r, float *row, float *tmp)
{
    const struct tensor *t = ec_has(j->ec, i) ? j->ec->in[i] : NULL;
    if (!t)
        return;
    size_t n = (size_t)j->n, at = (size_t)table_row(j->ec, i, r) * n * dtype_size(t->dt);
    const void *src = (const char *)t->data + at;
    if (t->dt != DT_FLOAT)
        dtype_to_f32(t->dt, src, tmp, n);
    bin_run(j->ec->kern, BIN_ADD, DT_FLOAT, BIN_VV, row, t->dt == DT_FLOAT ? src : tmp, row, n);
}

static void embed_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct embed_job *j = arg;
    float *own = j->row + thread * 2 * j->n, *tmp = own + j->n;
    for (int64_t r = begin; r < end; r++) {
        float *row = j->sum ? j->sum + r * j->n : own;
        memset(row, 0, (size_t)j->n * sizeof(*row));
        add_row(j, EMB_WORD, r, row, tmp);
        add_row(j, EMB_POSITION, r, row, tmp);
        add_row(j, EMB_SEGMENT, r, row, tmp);
        if (j->y)
            j->ec->kern->norm.layernorm(row, j->gamma, j->beta, j->y + r * j->n, NULL, NULL, 1, (size_t)j->n,
                                        j->p->epsilon);
    }
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
    struct embed_job j = {.ec = ec, .p = params};
    j.n = ec->in[EMB_WORD]->rank == 2 ? ec->in[EMB_WORD]->dims[1] : -1;
    int rc = embed_check(ec);
    if (!rc)
        rc = tables_check(ec, j.n);
    if (!rc)
        rc = weights_f32(ec, EMB_GAMMA, j.n, &j.gamma);
    if (!rc)
        rc = weights_f32(ec, EMB_BETA, j.n, &j.beta);
    if (!rc)
        rc = wide_out_f32(ec, 0, &j.y);
    if (!rc)
        rc = wide_out_f32(ec, 2, &j.sum);
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    j.row = rc ? NULL : ec_scratch(ec, (size_t)threads * (size_t)(2 * j.n + 1) * sizeof(float));
    if (!j.row)
        return rc ? rc : ec->cx->err.code;
    par_for(ec->pool, tensor_count(ec->in[EMB_IDS]), grain_for(4 * j.n), embed_range, &j);
    mask_index(ec);
    wide_done_f32(ec, 0, j.y);
    wide_done_f32(ec, 2, j.sum);
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
    const struct kern *kern;
    enum dtype dt; /* float or double */
    const char *x, *bias;
    char *y;
    int64_t n;
    enum un_op op;
};

static void gelu_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct gelu_job *j = arg;
    size_t n = (size_t)j->n, row = n * dtype_size(j->dt);
    (void)thread;
    for (int64_t r = begin; r < end; r++) {
        const char *x = j->x + (size_t)r * row;
        char *y = j->y + (size_t)r * row;
        if (j->bias)
            bin_run(j->kern, BIN_ADD, j->dt, BIN_VV, x, j->bias, y, n);
        un_run(j->kern, j->op, j->dt, j->bias ? y : x, y, n, NULL);
    }
}

static int gelu_bias_ref(struct exec_ctx *ec, const void *params)
{
    const struct bias_gelu *p = params;
    const struct tensor *x = ec->in[0];
    bool wide = x->dt == DT_DOUBLE;
    const double *x64 = NULL, *b64 = NULL;
    const float *x32 = NULL, *b32 = NULL;
    double *y64 = NULL;
    float *y32 = NULL;
    struct gelu_job j = {
        .kern = ec->kern, .dt = wide ? DT_DOUBLE : DT_FLOAT, .n = x->rank ? x->dims[x->rank - 1] : 1};
    if (!tensor_count(x))
        return 0;
    int rc = wide ? wide_f64(ec, 0, &x64) : wide_f32(ec, 0, &x32);
    if (!rc)
        rc = wide ? weights(ec, 1, j.n, &b64) : weights_f32(ec, 1, j.n, &b32);
    if (!rc)
        rc = wide ? wide_out_f64(ec, 0, &y64) : wide_out_f32(ec, 0, &y32);
    if (rc || !ec_has_out(ec, 0))
        return rc;
    j.op = p->fast ? UN_GELU_TANH : UN_GELU;
    j.x = wide ? (const char *)x64 : (const char *)x32;
    j.bias = wide ? (const char *)b64 : (const char *)b32;
    j.y = wide ? (char *)y64 : (char *)y32;
    par_for(ec->pool, tensor_count(x) / j.n, grain_for(8 * j.n), gelu_range, &j);
    wide_done_f64(ec, 0, y64);
    wide_done_f32(ec, 0, y32);
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
