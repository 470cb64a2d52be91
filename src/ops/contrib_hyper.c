/* Several residual streams side by side, of com.microsoft: HyperConnectionPreMix, HyperConnectionPostMix and
 * EngramGate. Streams are [..., branches, features], or their last two axes are one. Computed in double. */
#include <math.h>
#include <string.h>

#include "ops/contrib.h"

static int no_fit(struct exec_ctx *ec, int i)
{
    return err_set(ec->cx, E_SHAPE, "the shape of input %d does not fit the others", i);
}

/* ---- HyperConnectionPreMix, HyperConnectionPostMix ---- */

struct mix {
    int64_t branches; /* of flattened streams; 0: they have an axis */
    float scale;
};

static int pre_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct mix *p = params;
    (void)arena, (void)version;
    p->scale = 1;
    int rc = contrib_inputs(cx, n, 2, 2, 3);
    if (!rc)
        rc = attr_int(cx, n, "num_branches", &p->branches);
    if (rc >= 0)
        rc = attr_float(cx, n, "reduction_scale", &p->scale);
    if (rc >= 0 && p->branches < 0)
        return err_set(cx, E_ATTR, "num_branches is negative");
    return rc < 0 ? rc : 0;
}

static int post_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct mix *p = params;
    (void)arena, (void)version;
    int rc = contrib_inputs(cx, n, 3, 4, 7);
    if (!rc)
        rc = attr_int(cx, n, "num_branches", &p->branches);
    if (rc >= 0 && p->branches < 0)
        return err_set(cx, E_ATTR, "num_branches is negative");
    return rc < 0 ? rc : 0;
}

static int pre_infer(struct infer_ctx *ic, const void *params)
{
    const struct mix *p = params;
    struct dim d[TENSOR_MAX_RANK];
    int rank = in_dims(ic, 0, d), rc = ic_need_rank(ic, 0, p->branches ? 1 : 2, TENSOR_MAX_RANK);
    if (rc || rank < -1)
        return rc ? rc : rank;
    if (rank >= 0 && p->branches)
        d[rank - 1] = dim_div_floor(ic->syms, d[rank - 1], dim_const(p->branches));
    else if (rank >= 0) {
        d[rank - 2] = d[rank - 1];
        rank--;
    }
    return ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

static int post_infer(struct infer_ctx *ic, const void *params)
{
    const struct mix *p = params;
    int rc = ic_need_rank(ic, 0, p->branches ? 1 : 2, TENSOR_MAX_RANK);
    return rc ? rc : ic_out_same(ic, 0, 0);
}

struct streams {
    int64_t rows, c, h;
};

static int streams_of(struct exec_ctx *ec, const struct mix *p, struct streams *s)
{
    const struct tensor *t = ec->in[0];
    int64_t last = t->dims[t->rank - 1];
    *s = (struct streams){.c = p->branches ? p->branches : t->dims[t->rank - 2]};
    s->h = p->branches ? last / p->branches : last;
    if (p->branches && last % p->branches)
        return no_fit(ec, 0);
    s->rows = s->c && s->h ? tensor_count(t) / (s->c * s->h) : 0;
    return 0;
}

/* Gates of input i: one a branch (*step 0), or one a feature of each (*step 1). */
static int gates_of(struct exec_ctx *ec, int i, const struct streams *s, const double **v, int64_t *step)
{
    int64_t n = tensor_count(ec->in[i]);
    *step = n == s->rows * s->c * s->h && s->h != 1;
    if (!*step && n != s->rows * s->c)
        return no_fit(ec, i);
    return wide_f64(ec, i, v);
}

static int pre_ref(struct exec_ctx *ec, const void *params)
{
    const struct mix *p = params;
    struct streams s;
    const double *x, *g;
    double *y;
    int64_t step;
    int rc = streams_of(ec, p, &s);
    if (!rc)
        rc = gates_of(ec, 1, &s, &g, &step);
    if (!rc)
        rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y)
        return rc;
    for (int64_t i = 0; i < s.rows * s.h; i++) {
        int64_t r = i / s.h, h = i % s.h;
        double sum = 0;
        for (int64_t c = 0; c < s.c; c++) {
            int64_t at = r * s.c + c;
            sum += x[at * s.h + h] * g[step ? at * s.h + h : at];
        }
        y[i] = sum * (double)p->scale;
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

static int post_ref(struct exec_ctx *ec, const void *params)
{
    struct streams s;
    const double *x, *out, *g, *m;
    double *y;
    int64_t step;
    int rc = streams_of(ec, params, &s);
    if (!rc)
        rc = gates_of(ec, 2, &s, &g, &step);
    if (!rc)
        rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &out);
    if (!rc)
        rc = wide_f64(ec, 3, &m);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y)
        return rc;
    if (tensor_count(ec->in[1]) != s.rows * s.h || (m && tensor_count(ec->in[3]) != s.rows * s.c * s.c))
        return no_fit(ec, m ? 3 : 1);
    for (int64_t i = 0; i < s.rows * s.c * s.h; i++) {
        int64_t h = i % s.h, k = i / s.h % s.c, r = i / s.h / s.c;
        double sum = m ? 0 : x[i];
        for (int64_t c = 0; m && c < s.c; c++)
            sum += m[(r * s.c + c) * s.c + k] * x[(r * s.c + c) * s.h + h];
        y[i] = sum + g[step ? i : i / s.h] * out[r * s.h + h];
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

#define MIX(opname, parsefn, inferfn, reffn)                                                                 \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct mix),      \
        .parse = parsefn, .infer = inferfn, .ref = reffn,                                                    \
    }

const struct op op_com_microsoft_HyperConnectionPreMix =
    MIX("HyperConnectionPreMix", pre_parse, pre_infer, pre_ref);
const struct op op_com_microsoft_HyperConnectionPostMix =
    MIX("HyperConnectionPostMix", post_parse, post_infer, post_ref);

/* ---- EngramGate ---- */

enum { IN_KEY, IN_QUERY, IN_VALUE, IN_KEY_SCALE, IN_QUERY_SCALE, IN_CONV_SCALE };

struct engram {
    float epsilon;
};

static int engram_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct engram *p = params;
    (void)arena, (void)version;
    p->epsilon = 1e-5f;
    int rc = contrib_inputs(cx, n, 5, 6, 31);
    if (!rc && n->nout > 1 && n->out[1] && (n->nin < 6 || !n->in[IN_CONV_SCALE]))
        return err_set(cx, E_MODEL, "output 'gated_value_normed' needs input 'conv_norm_scale'");
    if (!rc)
        rc = attr_float(cx, n, "epsilon", &p->epsilon);
    return rc < 0 ? rc : 0;
}

static int engram_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = ic_need_rank(ic, IN_KEY, 4, 4);
    if (!rc)
        rc = ic_out_same(ic, 0, IN_KEY);
    return !rc && ic_has_out(ic, 1) ? ic_out_same(ic, 1, IN_KEY) : rc;
}

/* What brings a row of n to a root mean square of 1. */
static double inverse_rms(const double *x, int64_t n, double epsilon)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return 1 / sqrt(sum / (double)n + epsilon);
}

struct engram_run {
    const double *in[6];
    double *y, *normed, *row;
    int64_t rows, m, h;
    double epsilon;
};

static double gate_of(const struct engram_run *e, int64_t r)
{
    const double *k = e->in[IN_KEY] + r * e->h, *q = e->in[IN_QUERY] + r * e->h;
    const double *ks = e->in[IN_KEY_SCALE] + r % e->m * e->h, *qs = e->in[IN_QUERY_SCALE] + r % e->m * e->h;
    double fk = inverse_rms(k, e->h, e->epsilon), fq = inverse_rms(q, e->h, e->epsilon), dot = 0;
    for (int64_t i = 0; i < e->h; i++)
        dot += k[i] * fk * ks[i] * (q[i] * fq * qs[i]);
    dot /= sqrt((double)e->h);
    double root = sqrt(fmax(fabs(dot), 1e-6));
    return 1 / (1 + exp(dot > 0 ? -root : dot < 0 ? root : 0));
}

static void engram_row(const struct engram_run *e, int64_t r)
{
    const double *v = e->in[IN_VALUE] + r / e->m * e->h;
    double gate = gate_of(e, r), *y = e->y ? e->y + r * e->h : e->row;
    for (int64_t i = 0; i < e->h; i++)
        y[i] = gate * v[i];
    if (!e->normed)
        return;
    double f = inverse_rms(y, e->h, e->epsilon);
    for (int64_t i = 0; i < e->h; i++)
        e->normed[r * e->h + i] = y[i] * f * e->in[IN_CONV_SCALE][r % e->m * e->h + i];
}

static int engram_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *k = ec->in[IN_KEY];
    struct engram_run e = {
        .epsilon = (double)((const struct engram *)params)->epsilon, .m = k->dims[2], .h = k->dims[3]};
    int rc = 0;
    if (!tensor_count(k))
        return 0;
    e.rows = tensor_count(k) / e.h;
    int64_t want[6] = {e.rows * e.h, e.rows * e.h, e.rows / e.m * e.h, e.m * e.h, e.m * e.h, e.m * e.h};
    for (int i = 0; i < 6 && !rc; i++) {
        rc = wide_f64(ec, i, &e.in[i]);
        if (!rc && e.in[i] && tensor_count(ec->in[i]) != want[i])
            rc = no_fit(ec, i);
    }
    if (!rc)
        rc = wide_out_f64(ec, 0, &e.y);
    if (!rc)
        rc = wide_out_f64(ec, 1, &e.normed);
    e.row = rc ? NULL : ec_scratch(ec, (size_t)(e.h + 1) * sizeof(double));
    if (!e.row)
        return rc ? rc : ec->cx->err.code;
    for (int64_t r = 0; r < e.rows; r++)
        engram_row(&e, r);
    wide_done_f64(ec, 0, e.y);
    wide_done_f64(ec, 1, e.normed);
    return 0;
}

const struct op op_com_microsoft_EngramGate = {
    .domain = "com.microsoft",
    .name = "EngramGate",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct engram),
    .parse = engram_parse,
    .infer = engram_infer,
    .ref = engram_ref,
};
