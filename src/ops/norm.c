/* Normalizations. float64 is computed in double; everything else in float, with the moments in double. */
#include "ops/contrib.h"

#include <math.h>
#include <string.h>

static int need_float(struct exec_ctx *ec)
{
    return ec_has(ec, 0) && dtype_info(ec->in[0]->dt)->cls == CLS_FLOAT ? 0 : ec_unsupported(ec, 0);
}

/* ---- planes: y = x * scale + shift, one pair a plane; shared by batch, instance and group normalization
 * ---- */

struct planes {
    const struct kern *kern;
    const float *x;
    float *y;
    const double *xd; /* set instead of x for double */
    double *yd;
    const double *scale, *shift; /* [period], plane p takes p % period */
    int64_t period, size;        /* elements of a plane */
};

static void planes_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct planes *j = arg;
    for (int64_t p = begin; p < end; p++) {
        double a = j->scale[p % j->period], b = j->shift[p % j->period];
        if (!j->xd) {
            j->kern->norm.scale_shift(j->x + p * j->size, j->y + p * j->size, (size_t)j->size, (float)a,
                                      (float)b);
            continue;
        }
        for (int64_t i = p * j->size; i < (p + 1) * j->size; i++)
            j->yd[i] = j->xd[i] * a + b;
    }
}

/* Input 0 and output 0 in the type that is computed in. */
static int planes_open(struct exec_ctx *ec, struct planes *j)
{
    bool dbl = ec->in[0]->dt == DT_DOUBLE;
    j->kern = ec->kern;
    int r = dbl ? wide_f64(ec, 0, &j->xd) : wide_f32(ec, 0, &j->x);
    if (!r)
        r = dbl ? wide_out_f64(ec, 0, &j->yd) : wide_out_f32(ec, 0, &j->y);
    return r;
}

static void planes_run(struct exec_ctx *ec, struct planes *j, int64_t count)
{
    par_for(ec->pool, count, grain_for(j->size), planes_range, j);
    wide_done_f32(ec, 0, j->y);
    wide_done_f64(ec, 0, j->yd);
}

/* Mean and population variance of n elements from off. */
static void moments_at(const struct planes *j, int64_t off, int64_t n, double *mean, double *var)
{
    if (!j->xd) {
        j->kern->norm.moments(j->x + off, (size_t)n, mean, var);
        return;
    }
    double s = 0, q = 0;
    for (int64_t i = 0; i < n; i++)
        s += j->xd[off + i];
    s /= (double)n;
    for (int64_t i = 0; i < n; i++)
        q += (j->xd[off + i] - s) * (j->xd[off + i] - s);
    *mean = s;
    *var = q / (double)n;
}

/* ---- BatchNormalization ---- */

struct batchnorm {
    float epsilon, momentum;
    bool training;
    bool by_element; /* spatial = 0: statistics of every element of [C, D1, ...] over the batch */
    int nstats;      /* outputs after Y: 2 since version 14, 4 before */
};

static int batchnorm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    (void)arena;
    struct batchnorm *b = params;
    int64_t spatial = 1, training = 0, is_test = 0;
    b->epsilon = 1e-5f;
    b->momentum = 0.9f;
    b->nstats = version < 14 ? 4 : 2;
    int r = attr_float(cx, n, "epsilon", &b->epsilon);
    if (r >= 0)
        r = attr_float(cx, n, "momentum", &b->momentum);
    if (r >= 0 && version < 9)
        r = attr_int(cx, n, "spatial", &spatial);
    if (r >= 0 && version >= 14)
        r = attr_int(cx, n, "training_mode", &training);
    if (r >= 0 && version < 7)
        r = attr_int(cx, n, "is_test", &is_test);
    if (r < 0)
        return r;
    /* Before version 14 whoever asks for the statistics trains; before 7 only if not told to test. */
    for (int i = 1; i < n->nout && version < 14; i++)
        training |= n->out[i] && !is_test;
    for (int i = 1; i < n->nout && version >= 14 && !training; i++)
        if (n->out[i])
            return err_set(cx, E_MODEL, "statistics are an output with training_mode only");
    b->by_element = !spatial;
    b->training = training != 0;
    return 0;
}

static int batchnorm_infer(struct infer_ctx *ic, const void *params)
{
    const struct batchnorm *b = params;
    int rank = ic_rank(ic, 0);
    struct dim c = rank < 0 ? dim_unknown() : rank > 1 ? ic_dim(ic, 0, 1) : dim_const(1);
    for (int i = 1; i < 5; i++) {
        int want = b->by_element && rank > 2 ? rank - 1 : 1;
        int r = rank < 0 ? 0 : ic_need_rank(ic, i, b->by_element ? 1 : want, want);
        if (!r && ic_rank(ic, i) == 1 && !b->by_element)
            r = ic_unify(ic, ic_dim(ic, i, 0), c, "number of channels");
        if (r)
            return r;
    }
    int r = ic_out_same(ic, 0, 0);
    for (int o = 1; !r && o <= b->nstats; o++)
        if (ic_has_out(ic, o))
            r = ic_out_same(ic, o, o % 2 ? 3 : 4);
    return r;
}

/* Statistics of the batch: mean and population variance over all planes p with p % period == c. */
static void batch_moments(const struct planes *j, int64_t nplanes, double *mean, double *var)
{
    int64_t rounds = nplanes / j->period;
    double total = (double)rounds * (double)j->size;
    for (int64_t c = 0; c < j->period; c++) {
        double s = 0, q = 0, m, v;
        for (int64_t k = 0; k < rounds; k++) {
            moments_at(j, (k * j->period + c) * j->size, j->size, &m, &v);
            s += m * (double)j->size;
        }
        s /= total;
        for (int64_t k = 0; k < rounds; k++) {
            moments_at(j, (k * j->period + c) * j->size, j->size, &m, &v);
            q += (v + (m - s) * (m - s)) * (double)j->size;
        }
        mean[c] = s;
        var[c] = q / total;
    }
}

/* Outputs after Y in training: running mean and variance, and (before version 14) those of this batch. */
static void store_stats(struct exec_ctx *ec, const struct batchnorm *b, int64_t n, const double *old_mean,
                        const double *old_var, const double *mean, const double *var)
{
    for (int o = 1; o <= b->nstats; o++) {
        if (!ec_has_out(ec, o) || tensor_count(ec->out[o]) != n)
            continue;
        const double *old = o % 2 ? old_mean : old_var, *now = o % 2 ? mean : var;
        const struct dtype_info *info = dtype_info(ec->out[o]->dt);
        double m = o > 2 ? 0 : (double)b->momentum;
        for (int64_t i = 0; i < n; i++)
            info->store_f64((char *)ec->out[o]->data + (size_t)i * info->size, old[i] * m + now[i] * (1 - m));
    }
}

/* Without training the statistics are passed on. */
static void pass_stats(struct exec_ctx *ec, const struct batchnorm *b)
{
    for (int o = 1; o <= b->nstats; o++) {
        const struct tensor *src = ec->in[o % 2 ? 3 : 4];
        if (ec_has_out(ec, o) && tensor_bytes(src) == tensor_bytes(ec->out[o]) && tensor_bytes(src))
            memmove(ec->out[o]->data, src->data, tensor_bytes(src));
    }
}

static int batchnorm_planes(const struct batchnorm *b, struct exec_ctx *ec, struct planes *j, int64_t *count)
{
    const struct tensor *x = ec->in[0];
    int split = b->by_element ? x->rank : x->rank < 2 ? x->rank : 2;
    j->period = x->rank > 1 ? dims_prod(x->dims, 1, split) : 1;
    j->size = dims_prod(x->dims, split, x->rank);
    *count = dims_prod(x->dims, 0, split);
    for (int i = 1; i < 5; i++)
        if (!ec_has(ec, i) || tensor_count(ec->in[i]) != j->period)
            return err_set(ec->cx, E_SHAPE, "input %d does not have one value a channel", i);
    return 0;
}

/* Values one after another belong to different channels: whole rows at a time. */
struct rows_job {
    const struct planes *p;
    const float *scale, *shift;
};

static void rows_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct rows_job *j = arg;
    int64_t off = begin * j->p->period;
    j->p->kern->norm.scale_shift_rows(j->p->x + off, j->scale, j->shift, j->p->y + off, (size_t)(end - begin),
                                      (size_t)j->p->period);
}

static int run_rows(struct exec_ctx *ec, struct planes *j, int64_t count)
{
    float *f = ec_scratch(ec, ((size_t)j->period * 2 + 1) * sizeof(float));
    if (!f)
        return ec->cx->err.code;
    for (int64_t c = 0; c < j->period; c++) {
        f[c] = (float)j->scale[c];
        f[j->period + c] = (float)j->shift[c];
    }
    struct rows_job rj = {j, f, f + j->period};
    par_for(ec->pool, count / j->period, grain_for(j->period), rows_range, &rj);
    wide_done_f32(ec, 0, j->y);
    return 0;
}

static int batchnorm_ref(struct exec_ctx *ec, const void *params)
{
    const struct batchnorm *b = params;
    struct planes j = {0};
    const double *s[5] = {0};
    int64_t count = 0;
    int r = need_float(ec);
    if (!r)
        r = batchnorm_planes(b, ec, &j, &count);
    for (int i = 1; !r && i < 5; i++)
        r = wide_f64(ec, i, &s[i]);
    if (!r)
        r = planes_open(ec, &j);
    if (r || !tensor_count(ec->in[0]))
        return r;
    size_t n = (size_t)j.period;
    double *scale = ec_scratch(ec, (4 * n + 1) * sizeof(double));
    if (!scale)
        return ec->cx->err.code;
    double *shift = scale + n, *mean = scale + 2 * n, *var = scale + 3 * n;
    memcpy(mean, s[3], n * sizeof(double));
    memcpy(var, s[4], n * sizeof(double));
    if (b->training) {
        batch_moments(&j, count, mean, var);
        store_stats(ec, b, j.period, s[3], s[4], mean, var);
    } else {
        pass_stats(ec, b);
    }
    for (size_t c = 0; c < n; c++) {
        scale[c] = s[1][c] / sqrt(var[c] + (double)b->epsilon);
        shift[c] = s[2][c] - mean[c] * scale[c];
    }
    if (!j.y && !j.yd)
        return 0;
    j.scale = scale;
    j.shift = shift;
    if (j.size == 1 && j.x)
        return run_rows(ec, &j, count);
    planes_run(ec, &j, count);
    return 0;
}

const struct op op_BatchNormalization = {
    .domain = "",
    .name = "BatchNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct batchnorm),
    .parse = batchnorm_parse,
    .infer = batchnorm_infer,
    .ref = batchnorm_ref,
};

/* ---- InstanceNormalization and GroupNormalization ---- */

struct groupnorm {
    float epsilon;
    int64_t groups; /* 0: one a channel */
    bool by_group;  /* scale and bias hold one value a group (version 18) */
};

static int instancenorm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                              void *params)
{
    (void)arena, (void)version;
    struct groupnorm *g = params;
    g->epsilon = 1e-5f;
    int r = attr_float(cx, n, "epsilon", &g->epsilon);
    return r < 0 ? r : 0;
}

static int groupnorm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct groupnorm *g = params;
    int r = instancenorm_parse(cx, arena, n, version, params);
    g->by_group = version < 21;
    if (!r)
        r = attr_int(cx, n, "num_groups", &g->groups);
    if (r >= 0 && g->groups < 1)
        return err_set(cx, E_ATTR, "attribute num_groups is %lld", (long long)g->groups);
    return r < 0 ? r : 0;
}

static int groupnorm_infer(struct infer_ctx *ic, const void *params)
{
    const struct groupnorm *g = params;
    int r = ic_need_rank(ic, 0, 2, TENSOR_MAX_RANK);
    struct dim c = ic_rank(ic, 0) >= 2 ? ic_dim(ic, 0, 1) : dim_unknown();
    if (!r && g->groups && c.kind == DIM_CONST && c.v % g->groups)
        return ic_err(ic, E_SHAPE, "%lld groups do not divide %lld channels", (long long)g->groups,
                      (long long)c.v);
    if (g->by_group)
        c = dim_const(g->groups);
    for (int i = 1; !r && i < 3; i++) {
        r = ic_need_rank(ic, i, 1, 1);
        if (!r && ic_rank(ic, i) == 1)
            r = ic_unify(ic, ic_dim(ic, i, 0), c, "values of scale and bias");
    }
    return r ? r : ic_out_same(ic, 0, 0);
}

/* Factors of every channel of every image from the moments of its group. */
static void group_factors(const struct groupnorm *g, const struct planes *j, int64_t channels,
                          const double *gamma, const double *beta, double *scale, double *shift)
{
    int64_t groups = g->groups ? g->groups : channels, per = channels / groups;
    for (int64_t p = 0; p < j->period; p += per) {
        double mean, var;
        moments_at(j, p * j->size, per * j->size, &mean, &var);
        for (int64_t q = p; q < p + per; q++) {
            int64_t c = g->by_group ? q % channels / per : q % channels;
            scale[q] = gamma[c] / sqrt(var + (double)g->epsilon);
            shift[q] = beta[c] - mean * scale[q];
        }
    }
}

static int groupnorm_ref(struct exec_ctx *ec, const void *params)
{
    const struct groupnorm *g = params;
    const struct tensor *x = ec->in[0];
    struct planes j = {0};
    const double *gamma, *beta;
    int r = need_float(ec);
    if (!r)
        r = wide_f64(ec, 1, &gamma);
    if (!r)
        r = wide_f64(ec, 2, &beta);
    if (!r)
        r = planes_open(ec, &j);
    if (r || !ec_has_out(ec, 0) || !tensor_count(x))
        return r;
    int64_t want = g->by_group ? g->groups : x->dims[1];
    if (!gamma || !beta || tensor_count(ec->in[1]) != want || tensor_count(ec->in[2]) != want ||
        (g->groups && x->dims[1] % g->groups))
        return err_set(ec->cx, E_SHAPE, "scale and bias do not fit the channels of X");
    j.period = x->dims[0] * x->dims[1];
    j.size = dims_prod(x->dims, 2, x->rank);
    double *scale = ec_scratch(ec, (size_t)j.period * 2 * sizeof(double));
    if (!scale)
        return ec->cx->err.code;
    j.scale = scale;
    j.shift = scale + j.period;
    group_factors(g, &j, x->dims[1], gamma, beta, scale, scale + j.period);
    planes_run(ec, &j, j.period);
    return 0;
}

const struct op op_InstanceNormalization = {
    .domain = "",
    .name = "InstanceNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct groupnorm),
    .parse = instancenorm_parse,
    .infer = groupnorm_infer,
    .ref = groupnorm_ref,
};

const struct op op_GroupNormalization = {
    .domain = "",
    .name = "GroupNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct groupnorm),
    .parse = groupnorm_parse,
    .infer = groupnorm_infer,
    .ref = groupnorm_ref,
};

/* ---- LayerNormalization, RMSNormalization and its forerunner ---- */

struct layernorm {
    float epsilon;
    int64_t axis, stash;
    bool rms;
};

static int layernorm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    (void)arena, (void)version;
    struct layernorm *l = params;
    l->epsilon = 1e-5f;
    l->axis = -1;
    l->stash = DT_FLOAT;
    l->rms = strcmp(n->op_type, "LayerNormalization") != 0;
    int r = attr_float(cx, n, "epsilon", &l->epsilon);
    if (r >= 0)
        r = attr_int(cx, n, "axis", &l->axis);
    if (r >= 0)
        r = attr_int(cx, n, "stash_type", &l->stash);
    if (r >= 0 && l->stash != DT_FLOAT && l->stash != DT_BFLOAT16 && l->stash != DT_DOUBLE &&
        l->stash != DT_FLOAT16)
        return err_set(cx, E_ATTR, "attribute stash_type is %lld, not a float type", (long long)l->stash);
    return r < 0 ? r : 0;
}

static int layernorm_infer(struct infer_ctx *ic, const void *params)
{
    const struct layernorm *l = params;
    int rank = ic_rank(ic, 0), axis = 0, r = 0;
    struct dim d[TENSOR_MAX_RANK];
    if (rank >= 0)
        r = ic_axis(ic, l->axis, rank, &axis);
    for (int i = 1; !r && rank >= 0 && i < 3; i++) {
        int rs = ic_has(ic, i) ? ic_rank(ic, i) : -1;
        if (rs > rank)
            return ic_err(ic, E_SHAPE, "input %d has rank %d, X only %d", i, rs, rank);
        for (int k = 0; k < rs; k++) {
            struct dim s = ic_dim(ic, i, k), x = ic_dim(ic, 0, rank - rs + k);
            if (s.kind == DIM_CONST && s.v != 1 && x.kind == DIM_CONST && x.v != s.v)
                return ic_err(ic, E_SHAPE, "input %d has extent %lld where X has %lld", i, (long long)s.v,
                              (long long)x.v);
        }
    }
    if (!r)
        r = ic_out_same(ic, 0, 0);
    for (int i = 0; i < rank; i++)
        d[i] = i < axis ? ic_dim(ic, 0, i) : dim_const(1);
    for (int o = 1; !r && o < 3; o++)
        if (ic_has_out(ic, o))
            r = ic_out(ic, o, (enum dtype)l->stash, rank, d);
    return r;
}

struct ln_job {
    const struct kern *kern;
    const struct layernorm *l;
    const float *x, *scale, *bias;
    float *y, *mean, *inv;
    int64_t n;
};

static void ln_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct ln_job *j = arg;
    size_t rows = (size_t)(end - begin), n = (size_t)j->n;
    const float *x = j->x + begin * j->n;
    float *y = j->y + begin * j->n, *inv = j->inv ? j->inv + begin : NULL;
    if (j->l->rms)
        j->kern->norm.rmsnorm(x, j->scale, y, inv, rows, n, j->l->epsilon);
    else
        j->kern->norm.layernorm(x, j->scale, j->bias, y, j->mean ? j->mean + begin : NULL, inv, rows, n,
                                j->l->epsilon);
}

/* Scale or bias (input i) as one row of n values when its shape lies within the normalized axes; *row NULL
 * when it varies over the others too and must be applied by broadcasting. */
static int ln_row(struct exec_ctx *ec, int i, int axis, int64_t n, const float **row)
{
    *row = NULL;
    const struct tensor *x = ec->in[0], *t = ec->in[i];
    if (t->rank > x->rank - axis)
        return 0;
    int r = wide_f32(ec, i, row);
    if (r || tensor_count(t) == n)
        return r;
    struct copy_plan p;
    float *to = ec_scratch(ec, ((size_t)n + 1) * sizeof(float));
    if (!to)
        return ec->cx->err.code;
    if (copy_init_expand(&p, t->rank, t->dims, x->rank - axis, x->dims + axis))
        return err_set(ec->cx, E_SHAPE, "input %d does not broadcast to X", i);
    copy_run(ec->kern, &p, sizeof(float), *row, to, 0, copy_units(&p));
    *row = to;
    return 0;
}

static int ln_broadcast(struct exec_ctx *ec, int i, enum bin_op op, enum dtype dt, const void *v, void *y)
{
    struct bcast_plan p;
    const struct tensor *x = ec->in[0], *t = ec->in[i];
    struct bcast_in ins[2] = {{x->rank, x->dims}, {t->rank, t->dims}};
    if (bcast_init(&p, x->rank, x->dims, 2, ins))
        return err_set(ec->cx, E_SHAPE, "input %d does not broadcast to X", i);
    bcast_bin(ec->kern, &p, op, dt, y, v, y, 0, tensor_count(x));
    return 0;
}

static int ln_f32(struct exec_ctx *ec, const struct layernorm *l, int axis, int64_t rows, int64_t n)
{
    struct ln_job j = {.kern = ec->kern, .l = l, .n = n};
    int r = wide_f32(ec, 0, &j.x);
    if (!r)
        r = wide_out_f32(ec, 0, &j.y);
    if (!r && !l->rms)
        r = wide_out_f32(ec, 1, &j.mean);
    if (!r)
        r = wide_out_f32(ec, l->rms ? 1 : 2, &j.inv);
    if (!r)
        r = ln_row(ec, 1, axis, n, &j.scale);
    if (!r && j.scale && ec_has(ec, 2))
        r = ln_row(ec, 2, axis, n, &j.bias);
    if (!r && !j.y)
        j.y = ec_scratch(ec, (size_t)(rows * n) * sizeof(float));
    if (r || !j.y)
        return r ? r : ec->cx->err.code;
    par_for(ec->pool, rows, grain_for(n * 2), ln_range, &j);
    const float *v;
    if (!j.scale && !(r = wide_f32(ec, 1, &v)))
        r = ln_broadcast(ec, 1, BIN_MUL, DT_FLOAT, v, j.y);
    if (!r && !j.bias && ec_has(ec, 2) && !(r = wide_f32(ec, 2, &v)))
        r = ln_broadcast(ec, 2, BIN_ADD, DT_FLOAT, v, j.y);
    wide_done_f32(ec, 0, j.y);
    wide_done_f32(ec, 1, j.mean);
    wide_done_f32(ec, l->rms ? 1 : 2, j.inv);
    return r;
}

static void ln_row_f64(const struct layernorm *l, const double *x, double *y, int64_t n, double *mean,
                       double *inv)
{
    double m = 0, q = 0;
    for (int64_t i = 0; i < n && !l->rms; i++)
        m += x[i];
    m /= (double)n;
    for (int64_t i = 0; i < n; i++)
        q += (x[i] - m) * (x[i] - m);
    *mean = m;
    *inv = 1 / sqrt(q / (double)n + (double)l->epsilon);
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - m) * *inv;
}

static int ln_f64(struct exec_ctx *ec, const struct layernorm *l, int64_t rows, int64_t n)
{
    const double *x, *v;
    double *y, *mean = NULL, *inv, drop;
    int at = l->rms ? 1 : 2; /* output of inv */
    int r = wide_f64(ec, 0, &x);
    if (!r)
        r = wide_out_f64(ec, 0, &y);
    if (!r && !l->rms)
        r = wide_out_f64(ec, 1, &mean);
    if (!r)
        r = wide_out_f64(ec, at, &inv);
    if (r || !y)
        return r;
    for (int64_t i = 0; i < rows; i++)
        ln_row_f64(l, x + i * n, y + i * n, n, mean ? mean + i : &drop, inv ? inv + i : &drop);
    r = wide_f64(ec, 1, &v);
    if (!r)
        r = ln_broadcast(ec, 1, BIN_MUL, DT_DOUBLE, v, y);
    if (!r && ec_has(ec, 2) && !(r = wide_f64(ec, 2, &v)))
        r = ln_broadcast(ec, 2, BIN_ADD, DT_DOUBLE, v, y);
    wide_done_f64(ec, 0, y);
    wide_done_f64(ec, 1, mean);
    wide_done_f64(ec, at, inv);
    return r;
}

static int layernorm_ref(struct exec_ctx *ec, const void *params)
{
    const struct layernorm *l = params;
    const struct tensor *x = ec->in[0];
    int r = need_float(ec);
    if (r || !ec_has(ec, 1))
        return r ? r : ec_unsupported(ec, 1);
    int axis = (int)(l->axis < 0 ? l->axis + x->rank : l->axis);
    int64_t rows = dims_prod(x->dims, 0, axis), n = dims_prod(x->dims, axis, x->rank);
    if (!tensor_count(x))
        return 0;
    return x->dt == DT_DOUBLE ? ln_f64(ec, l, rows, n) : ln_f32(ec, l, axis, rows, n);
}

const struct op op_LayerNormalization = {
    .domain = "",
    .name = "LayerNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct layernorm),
    .parse = layernorm_parse,
    .infer = layernorm_infer,
    .ref = layernorm_ref,
};

const struct op op_RMSNormalization = {
    .domain = "",
    .name = "RMSNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct layernorm),
    .parse = layernorm_parse,
    .infer = layernorm_infer,
    .ref = layernorm_ref,
};

/* What ONNX Runtime had before RMSNormalization, in the same domain but without a row of the standard: a
 * second output shows the inverse root mean square. */
static int simplified_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    int r = contrib_inputs(cx, n, 2, 2, 3);
    return r ? r : layernorm_parse(cx, arena, n, version, params);
}

const struct op op_SimplifiedLayerNormalization = {
    .domain = "",
    .name = "SimplifiedLayerNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct layernorm),
    .parse = simplified_parse,
    .infer = layernorm_infer,
    .ref = layernorm_ref,
};

/* ---- LRN ---- */

struct lrn {
    float alpha, beta, bias;
    int64_t size;
};

static int lrn_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct lrn *l = params;
    *l = (struct lrn){1e-4f, 0.75f, 1, 0};
    int r = attr_float(cx, n, "alpha", &l->alpha);
    if (r >= 0)
        r = attr_float(cx, n, "beta", &l->beta);
    if (r >= 0)
        r = attr_float(cx, n, "bias", &l->bias);
    if (r >= 0)
        r = attr_int(cx, n, "size", &l->size);
    if (r >= 0 && (l->size < 1 || l->size > INT32_MAX))
        return err_set(cx, E_ATTR, "attribute size is %lld", (long long)l->size);
    return r < 0 ? r : 0;
}

static int lrn_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int r = ic_need_rank(ic, 0, 2, TENSOR_MAX_RANK);
    return r ? r : ic_out_same(ic, 0, 0);
}

struct lrn_job {
    const struct kern *kern;
    struct lrn_params p;
    const float *x;
    float *y;
};

static void lrn_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct lrn_job *j = arg;
    j->kern->norm.lrn(&j->p, j->x, j->y, (size_t)begin, (size_t)end);
}

static int lrn_f32(struct exec_ctx *ec, const struct lrn *l)
{
    const struct tensor *x = ec->in[0];
    struct lrn_job j = {.kern = ec->kern};
    const float *px;
    float *py;
    int r = wide_f32(ec, 0, &px);
    if (!r)
        r = wide_out_f32(ec, 0, &py);
    if (r)
        return r;
    int64_t spatial = dims_prod(x->dims, 2, x->rank);
    j.p =
        (struct lrn_params){(size_t)x->dims[1], (size_t)spatial, (size_t)l->size, l->alpha, l->beta, l->bias};
    for (int64_t i = 0; i < x->dims[0]; i++) {
        j.x = px + i * x->dims[1] * spatial;
        j.y = py + i * x->dims[1] * spatial;
        par_for(ec->pool, spatial, grain_for(x->dims[1] * 8), lrn_range, &j);
    }
    wide_done_f32(ec, 0, py);
    return 0;
}

static int lrn_f64(struct exec_ctx *ec, const struct lrn *l)
{
    const struct tensor *t = ec->in[0];
    const double *x = t->data;
    double *y = ec->out[0]->data;
    int64_t ch = t->dims[1], sp = dims_prod(t->dims, 2, t->rank);
    for (int64_t i = 0, n = tensor_count(t); i < n; i++) {
        int64_t c = i / sp % ch, base = i - c * sp;
        int64_t lo = c - (l->size - 1) / 2, hi = c + l->size / 2;
        double sum = 0;
        for (int64_t k = lo < 0 ? 0 : lo; k <= hi && k < ch; k++)
            sum += x[base + k * sp] * x[base + k * sp];
        y[i] = x[i] / pow((double)l->bias + (double)l->alpha / (double)l->size * sum, (double)l->beta);
    }
    return 0;
}

static int lrn_ref(struct exec_ctx *ec, const void *params)
{
    int r = need_float(ec);
    if (r || !ec_has_out(ec, 0) || !tensor_count(ec->in[0]))
        return r;
    return ec->in[0]->dt == DT_DOUBLE ? lrn_f64(ec, params) : lrn_f32(ec, params);
}

const struct op op_LRN = {
    .domain = "",
    .name = "LRN",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct lrn),
    .parse = lrn_parse,
    .infer = lrn_infer,
    .ref = lrn_ref,
};

/* ---- LpNormalization ---- */

struct lpnorm {
    int64_t axis, p;
};

static int lpnorm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct lpnorm *l = params;
    *l = (struct lpnorm){-1, 2};
    int r = attr_int(cx, n, "axis", &l->axis);
    if (r >= 0)
        r = attr_int(cx, n, "p", &l->p);
    if (r >= 0 && l->p != 1 && l->p != 2)
        return err_set(cx, E_ATTR, "attribute p is %lld, expected 1 or 2", (long long)l->p);
    return r < 0 ? r : 0;
}

static int lpnorm_infer(struct infer_ctx *ic, const void *params)
{
    const struct lpnorm *l = params;
    int axis, rank = ic_rank(ic, 0);
    int r = rank >= 0 ? ic_axis(ic, l->axis, rank, &axis) : 0;
    return r ? r : ic_out_same(ic, 0, 0);
}

static int lpnorm_ref(struct exec_ctx *ec, const void *params)
{
    const struct lpnorm *l = params;
    const struct tensor *x = ec->in[0];
    int r = need_float(ec);
    if (r || !ec_has_out(ec, 0) || !tensor_count(x))
        return r;
    bool dbl = x->dt == DT_DOUBLE;
    struct planes j = {0};
    r = planes_open(ec, &j);
    if (r)
        return r;
    int axis = (int)(l->axis < 0 ? l->axis + x->rank : l->axis);
    struct red_shape s = red_shape((size_t)dims_prod(x->dims, 0, axis), (size_t)x->dims[axis],
                                   (size_t)dims_prod(x->dims, axis + 1, x->rank));
    enum dtype dt = dbl ? DT_DOUBLE : DT_FLOAT;
    softmax_fn *fn = l->p == 1 ? ec->kern->norm.l1_norm[dt] : ec->kern->norm.l2_norm[dt];
    if (!fn)
        return ec_unsupported(ec, 0);
    fn(dbl ? (const void *)j.xd : j.x, dbl ? (void *)j.yd : j.y, &s);
    wide_done_f32(ec, 0, j.y);
    wide_done_f64(ec, 0, j.yd);
    return 0;
}

const struct op op_LpNormalization = {
    .domain = "",
    .name = "LpNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct lpnorm),
    .parse = lpnorm_parse,
    .infer = lpnorm_infer,
    .ref = lpnorm_ref,
};

/* ---- MeanVarianceNormalization ---- */

struct mvn {
    size_t n;
    int64_t axes[TENSOR_MAX_RANK];
};

static int mvn_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    struct mvn *m = params;
    const int64_t *v = NULL;
    size_t count = 0;
    int64_t across = 0;
    *m = (struct mvn){3, {0, 2, 3}};
    int r = attr_ints(cx, n, "axes", &v, &count);
    if (r > 0 && count > TENSOR_MAX_RANK)
        return err_set(cx, E_ATTR, "attribute axes has %zu values", count);
    if (r > 0 && count) {
        m->n = count;
        memcpy(m->axes, v, count * sizeof(*v));
    }
    if (r >= 0 && version < 9)
        r = attr_int(cx, n, "across_channels", &across);
    if (across)
        *m = (struct mvn){4, {0, 1, 2, 3}};
    return r < 0 ? r : 0;
}

static int mvn_infer(struct infer_ctx *ic, const void *params)
{
    const struct mvn *m = params;
    int axis, rank = ic_rank(ic, 0);
    for (size_t i = 0; rank >= 0 && i < m->n; i++) {
        int r = ic_axis(ic, m->axes[i], rank, &axis);
        if (r)
            return r;
    }
    return ic_out_same(ic, 0, 0);
}

/* Strides of the kept axes in a dense array of the kept extents, 0 for reduced axes; returns its size. */
static int64_t kept_strides(const struct mvn *m, const struct tensor *x, int64_t *stride)
{
    bool red[TENSOR_MAX_RANK] = {false};
    int64_t kept = 1;
    for (size_t i = 0; i < m->n; i++)
        red[m->axes[i] < 0 ? m->axes[i] + x->rank : m->axes[i]] = true;
    for (int i = x->rank - 1; i >= 0; i--) {
        stride[i] = red[i] ? 0 : kept;
        kept *= red[i] ? 1 : x->dims[i];
    }
    return kept;
}

static int64_t kept_index(const struct tensor *x, const int64_t *stride, int64_t i)
{
    int64_t at = 0;
    for (int k = x->rank - 1; k >= 0; k--) {
        at += i % x->dims[k] * stride[k];
        i /= x->dims[k];
    }
    return at;
}

static int mvn_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *x = ec->in[0];
    const double *v;
    double *y;
    int64_t stride[TENSOR_MAX_RANK], total = tensor_count(x);
    int r = need_float(ec);
    if (!r)
        r = wide_f64(ec, 0, &v);
    if (!r)
        r = wide_out_f64(ec, 0, &y);
    if (r || !y || !total)
        return r;
    int64_t kept = kept_strides(params, x, stride);
    double count = (double)(total / kept);
    double *mean = ec_scratch(ec, (size_t)kept * 2 * sizeof(double));
    if (!mean)
        return ec->cx->err.code;
    double *var = mean + kept;
    memset(mean, 0, (size_t)kept * 2 * sizeof(double));
    for (int64_t i = 0; i < total; i++)
        mean[kept_index(x, stride, i)] += v[i] / count;
    for (int64_t i = 0; i < total; i++) {
        int64_t k = kept_index(x, stride, i);
        var[k] += (v[i] - mean[k]) * (v[i] - mean[k]) / count;
    }
    for (int64_t i = 0; i < total; i++) {
        int64_t k = kept_index(x, stride, i);
        y[i] = (v[i] - mean[k]) / (sqrt(var[k]) + 1e-9);
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_MeanVarianceNormalization = {
    .domain = "",
    .name = "MeanVarianceNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct mvn),
    .parse = mvn_parse,
    .infer = mvn_infer,
    .ref = mvn_ref,
};
