/* LSTM, GRU, RNN.
 *
 * With the default activations, and in float, the input part of all steps is one product, the recurrent part
 * one small product a step:
 *
 *   G[T*B, gates*H] = X W^T + bias        then for each step    C[B, gates*H] = h R^T;  cell(G rows + C) ->
 * h, c
 *
 * Every other combination (float64, other activations, coupled gates) takes the plain cells in double. */
#include "ops/wide.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/round.h"
#include "kern/rnn.h"

enum rnn_kind { CELL_RNN, CELL_GRU, CELL_LSTM };
enum rnn_dir { DIR_FORWARD, DIR_REVERSE, DIR_BOTH };

enum cell_act {
    CA_AFFINE,
    CA_ELU,
    CA_HARD_SIGMOID,
    CA_LEAKY_RELU,
    CA_RELU,
    CA_SCALED_TANH,
    CA_SIGMOID,
    CA_SOFTPLUS,
    CA_SOFTSIGN,
    CA_TANH,
    CA_THRESHOLDED_RELU,
    CA_COUNT
};

struct cell_fn {
    enum cell_act act;
    double alpha, beta;
};

struct rnn_attrs {
    enum rnn_kind kind;
    enum rnn_dir dir;
    int ndir, gates;
    bool batch_first, input_forget, linear_before_reset;
    int64_t hidden; /* 0: as R says */
    float clip;     /* 0: none */
    struct cell_fn fn[2][3];
    bool plain_fns; /* all functions are the defaults */
};

/* ---- attributes ---- */

static const struct act_row {
    const char *name;
    bool has_alpha, has_beta;
    double alpha, beta;
} act_rows[CA_COUNT] = {
    [CA_AFFINE] = {"Affine", true, true, 1, 0},
    [CA_ELU] = {"Elu", true, false, 1, 0},
    [CA_HARD_SIGMOID] = {"HardSigmoid", true, true, 0.2f, 0.5},
    [CA_LEAKY_RELU] = {"LeakyRelu", true, false, 0.01f, 0},
    [CA_RELU] = {"Relu", false, false, 0, 0},
    [CA_SCALED_TANH] = {"ScaledTanh", true, true, 1, 1},
    [CA_SIGMOID] = {"Sigmoid", false, false, 0, 0},
    [CA_SOFTPLUS] = {"Softplus", false, false, 0, 0},
    [CA_SOFTSIGN] = {"Softsign", false, false, 0, 0},
    [CA_TANH] = {"Tanh", false, false, 0, 0},
    [CA_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false, 1, 0},
};

static int functions(enum rnn_kind kind)
{
    return kind == CELL_LSTM ? 3 : kind == CELL_GRU ? 2 : 1;
}

static enum cell_act default_act(enum rnn_kind kind, int i)
{
    return kind != CELL_RNN && i == 0 ? CA_SIGMOID : CA_TANH;
}

static int find_act(const struct ostr *name)
{
    for (int i = 0; i < CA_COUNT; i++)
        if (strlen(act_rows[i].name) == name->n && !strncasecmp(act_rows[i].name, name->p, name->n))
            return i;
    return -1;
}

/* Letters are taken from the lists in order by the functions that have them. */
static int read_functions(struct cx *cx, const struct node *n, struct rnn_attrs *a)
{
    const struct ostr *names = NULL;
    const float *alpha = NULL, *beta = NULL;
    size_t nn = 0, na = 0, nb = 0, ia = 0, ib = 0, nf = (size_t)functions(a->kind);
    int r = attr_strings(cx, n, "activations", &names, &nn);
    if (r >= 0)
        r = attr_floats(cx, n, "activation_alpha", &alpha, &na);
    if (r >= 0)
        r = attr_floats(cx, n, "activation_beta", &beta, &nb);
    if (r < 0)
        return r;
    if (nn && nn != nf * (size_t)a->ndir)
        return err_set(cx, E_ATTR, "attribute activations has %zu values, expected %zu", nn,
                       nf * (size_t)a->ndir);
    a->plain_fns = true;
    for (size_t i = 0; i < nf * (size_t)a->ndir; i++) {
        int def = (int)default_act(a->kind, (int)(i % nf)), act = nn ? find_act(&names[i]) : def;
        if (act < 0)
            return err_set(cx, E_ATTR, "activation '%.*s' is not known",
                           (int)(names[i].n < 60 ? names[i].n : 60), names[i].p);
        const struct act_row *row = &act_rows[act];
        a->fn[i / nf][i % nf] =
            (struct cell_fn){(enum cell_act)act, row->has_alpha && ia < na ? (double)alpha[ia++] : row->alpha,
                             row->has_beta && ib < nb ? (double)beta[ib++] : row->beta};
        a->plain_fns = a->plain_fns && act == def;
    }
    return 0;
}

static int rnn_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    static const char *const dirs[] = {"forward", "reverse", "bidirectional", NULL};
    struct rnn_attrs *a = params;
    int dir = 0;
    int64_t layout = 0, forget = 0, linear = 0;
    a->kind = n->op_type[0] == 'L' ? CELL_LSTM : n->op_type[0] == 'G' ? CELL_GRU : CELL_RNN;
    a->gates = a->kind == CELL_LSTM ? 4 : a->kind == CELL_GRU ? 3 : 1;
    int r = attr_choice(cx, n, "direction", dirs, &dir);
    if (r >= 0)
        r = attr_int(cx, n, "hidden_size", &a->hidden);
    if (r >= 0)
        r = attr_float(cx, n, "clip", &a->clip);
    if (r >= 0)
        r = attr_int(cx, n, "layout", &layout);
    if (r >= 0)
        r = attr_int(cx, n, "input_forget", &forget);
    if (r >= 0)
        r = attr_int(cx, n, "linear_before_reset", &linear);
    if (r < 0)
        return r;
    if (a->hidden < 0 || a->hidden > INT32_MAX)
        return err_set(cx, E_ATTR, "attribute hidden_size is %lld", (long long)a->hidden);
    a->dir = (enum rnn_dir)dir;
    a->ndir = dir == DIR_BOTH ? 2 : 1;
    a->batch_first = layout != 0;
    a->input_forget = forget != 0;
    a->linear_before_reset = linear != 0;
    return read_functions(cx, n, a);
}

/* ---- shapes ---- */

static int need(struct infer_ctx *ic, int i, int rank, const struct dim *want, const char *what)
{
    if (!ic_has(ic, i) || ic_rank(ic, i) < 0)
        return 0;
    int r = ic_need_rank(ic, i, rank, rank);
    for (int k = 0; !r && k < rank; k++)
        r = ic_unify(ic, ic_dim(ic, i, k), want[k], what);
    return r;
}

static struct dim hidden_dim(const struct infer_ctx *ic, const struct rnn_attrs *a)
{
    return ic_rank(ic, 2) == 3 ? ic_dim(ic, 2, 2) : a->hidden ? dim_const(a->hidden) : dim_unknown();
}

static int check_operands(struct infer_ctx *ic, const struct rnn_attrs *a, struct dim batch, struct dim in,
                          struct dim h)
{
    struct dim d = dim_const(a->ndir), gh = dim_mul(ic->syms, dim_const(a->gates), h);
    struct dim w[3] = {d, gh, in}, rw[3] = {d, gh, h}, b[2] = {d, dim_mul(ic->syms, dim_const(2), gh)};
    struct dim h0[3] = {d, batch, h}, h0b[3] = {batch, d, h};
    struct dim p[2] = {d, dim_mul(ic->syms, dim_const(3), h)};
    int r = need(ic, 1, 3, w, "extent of W");
    if (!r)
        r = need(ic, 2, 3, rw, "extent of R");
    if (!r)
        r = need(ic, 3, 2, b, "extent of B");
    if (!r)
        r = need(ic, 4, 1, &batch, "length of sequence_lens");
    for (int i = 5; !r && i <= (a->kind == CELL_LSTM ? 6 : 5); i++)
        r = need(ic, i, 3, a->batch_first ? h0b : h0, "extent of an initial state");
    if (!r && a->kind == CELL_LSTM)
        r = need(ic, 7, 2, p, "extent of P");
    return r;
}

static int rnn_infer(struct infer_ctx *ic, const void *params)
{
    const struct rnn_attrs *a = params;
    int r = ic_need_rank(ic, 0, 3, 3);
    if (r)
        return r;
    bool known = ic_rank(ic, 0) == 3;
    struct dim t = known ? ic_dim(ic, 0, a->batch_first) : dim_unknown();
    struct dim b = known ? ic_dim(ic, 0, !a->batch_first) : dim_unknown();
    struct dim in = known ? ic_dim(ic, 0, 2) : dim_unknown();
    struct dim h = hidden_dim(ic, a), d = dim_const(a->ndir);
    if (a->hidden && h.kind == DIM_CONST && h.v != a->hidden)
        return ic_err(ic, E_SHAPE, "hidden_size is %lld, R has %lld columns", (long long)a->hidden,
                      (long long)h.v);
    r = check_operands(ic, a, b, in, h);
    if (r)
        return r;
    struct dim y[4] = {t, d, b, h}, yb[4] = {b, t, d, h}, s[3] = {d, b, h}, sb[3] = {b, d, h};
    enum dtype dt = ic_dtype(ic, 0);
    if (ic_has_out(ic, 0))
        r = ic_out(ic, 0, dt, 4, a->batch_first ? yb : y);
    for (int o = 1; !r && o < (a->kind == CELL_LSTM ? 3 : 2); o++)
        if (ic_has_out(ic, o))
            r = ic_out(ic, o, dt, 3, a->batch_first ? sb : s);
    return r;
}

static int rnn_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct rnn_attrs *a = params;
    struct symtab *t = ic->syms;
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (ic_rank(ic, 0) != 3)
        return 0;
    struct dim h = hidden_dim(ic, a), steps = dim_mul(t, ic_dim(ic, 0, 0), ic_dim(ic, 0, 1));
    struct dim each =
        dim_mul(t, dim_mul(t, dim_const((int64_t)a->ndir * a->gates), h), dim_add(t, ic_dim(ic, 0, 2), h));
    out->macs = dim_mul(t, steps, each);
    return 0;
}

/* ---- one run ---- */

struct rnn_size {
    int64_t t, b, in, h, g; /* steps, batch, input, hidden, gates * hidden */
    const int64_t *lens;    /* [b] */
};

static int bad_shapes(struct cx *cx)
{
    return err_set(cx, E_SHAPE, "the shapes of the operands do not fit each other");
}

/* w and r: shapes of W and R. */
static int rnn_sizes(struct exec_ctx *ec, const struct rnn_attrs *a, const int64_t *w, const int64_t *r,
                     struct rnn_size *s)
{
    const struct tensor *x = ec->in[0];
    *s = (struct rnn_size){x->dims[a->batch_first], x->dims[!a->batch_first], x->dims[2], r[2], r[1], NULL};
    int64_t state = a->ndir * s->b * s->h;
    bool ok = x->rank == 3 && w[0] == a->ndir && r[0] == a->ndir && w[1] == s->g && w[2] == s->in &&
              s->g == s->h * a->gates;
    ok = ok && (!ec_has(ec, 3) || tensor_count(ec->in[3]) == a->ndir * s->g * 2);
    ok = ok && (!ec_has(ec, 4) || tensor_count(ec->in[4]) == s->b);
    ok = ok && (!ec_has(ec, 5) || tensor_count(ec->in[5]) == state);
    if (a->kind == CELL_LSTM)
        ok = ok && (!ec_has(ec, 6) || tensor_count(ec->in[6]) == state) &&
             (!ec_has(ec, 7) || tensor_count(ec->in[7]) == a->ndir * 3 * s->h);
    if (!ok)
        return bad_shapes(ec->cx);
    int64_t total;
    if (!mul_i64(s->t, s->b, &total) || !mul_i64(total, s->g + s->h, &total) || total > INT64_MAX / 64)
        return err_set(ec->cx, E_LIMIT, "the sequences are too large");
    int64_t *lens = ec_scratch(ec, ((size_t)s->b + 1) * sizeof(*lens));
    if (!lens)
        return ec->cx->err.code;
    for (int64_t i = 0; i < s->b; i++) {
        lens[i] = ec_has(ec, 4) ? tensor_i64(ec->in[4], i) : s->t;
        if (lens[i] < 0 || lens[i] > s->t)
            return err_set(ec->cx, E_VALUE, "sequence_lens[%lld] is %lld, expected 0 to %lld", (long long)i,
                           (long long)lens[i], (long long)s->t);
    }
    s->lens = lens;
    return 0;
}

/* Row of X (and of the input products) at step t of entry b. */
static int64_t x_row(const struct rnn_attrs *a, const struct rnn_size *s, int64_t t, int64_t b)
{
    return a->batch_first ? b * s->t + t : t * s->b + b;
}

static int64_t y_at(const struct rnn_attrs *a, const struct rnn_size *s, int64_t t, int d, int64_t b)
{
    int64_t row = a->batch_first ? (b * s->t + t) * a->ndir + d : (t * a->ndir + d) * s->b + b;
    return row * s->h;
}

static int64_t state_at(const struct rnn_attrs *a, const struct rnn_size *s, int d, int64_t b)
{
    return (a->batch_first ? b * a->ndir + d : d * s->b + b) * s->h;
}

/* Which step of entry b is taken in round i; -1 when its sequence has ended. */
static int64_t step_of(const struct rnn_attrs *a, const struct rnn_size *s, int d, int64_t b, int64_t i)
{
    bool reverse = a->dir == DIR_REVERSE || d == 1;
    if (i >= s->lens[b])
        return -1;
    return reverse ? s->lens[b] - 1 - i : i;
}

/* ---- plain cells in double ---- */

static double cell_apply(const struct cell_fn *f, double clip, double x)
{
    if (clip > 0)
        x = x > clip ? clip : x < -clip ? -clip : x;
    switch (f->act) {
    case CA_AFFINE:
        return f->alpha * x + f->beta;
    case CA_ELU:
        return x < 0 ? f->alpha * expm1(x) : x;
    case CA_HARD_SIGMOID:
        return fmin(fmax(f->alpha * x + f->beta, 0), 1);
    case CA_LEAKY_RELU:
        return x < 0 ? f->alpha * x : x;
    case CA_RELU:
        return x < 0 ? 0 : x;
    case CA_SCALED_TANH:
        return f->alpha * tanh(f->beta * x);
    case CA_SIGMOID:
        return 1 / (1 + exp(-x));
    case CA_SOFTPLUS:
        return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case CA_SOFTSIGN:
        return x / (1 + fabs(x));
    case CA_TANH:
        return tanh(x);
    case CA_THRESHOLDED_RELU:
        return x > f->alpha ? x : 0;
    case CA_COUNT:
        break;
    }
    return x;
}

/* Operands of one direction. */
struct plain {
    const struct rnn_attrs *a;
    const struct rnn_size *s;
    const double *w, *r, *b, *p; /* b, p: may be NULL */
    const struct cell_fn *fn;
    double *xs, *hs; /* input and recurrent sums of one entry, [g] each */
    double *next;    /* [h] */
};

static double dot(const double *a, const double *b, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

/* Sums of gates [from, to) from v by rows of m, plus bias. */
static void sums(double *out, const double *m, const double *v, int64_t n, const double *bias, int64_t from,
                 int64_t to)
{
    for (int64_t i = from; i < to; i++)
        out[i] = dot(m + i * n, v, n) + (bias ? bias[i] : 0);
}

static void plain_lstm(const struct plain *c, double *h, double *cell)
{
    int64_t n = c->s->h;
    double clip = (double)c->a->clip;
    for (int64_t i = 0; i < n; i++) {
        double si = c->xs[i] + c->hs[i], so = c->xs[n + i] + c->hs[n + i];
        double sf = c->xs[2 * n + i] + c->hs[2 * n + i], sc = c->xs[3 * n + i] + c->hs[3 * n + i];
        double gi = cell_apply(&c->fn[0], clip, si + (c->p ? c->p[i] * cell[i] : 0));
        double gf = cell_apply(&c->fn[0], clip, sf + (c->p ? c->p[2 * n + i] * cell[i] : 0));
        double gc = cell_apply(&c->fn[1], clip, sc);
        gf = c->a->input_forget ? 1 - gi : gf;
        cell[i] = gf * cell[i] + gi * gc;
        double go = cell_apply(&c->fn[0], clip, so + (c->p ? c->p[n + i] * cell[i] : 0));
        h[i] = go * cell_apply(&c->fn[2], 0, cell[i]);
    }
}

/* hs holds the recurrent sums of z and r, and with linear_before_reset those of the candidate too. */
static void plain_gru(const struct plain *c, double *h)
{
    int64_t n = c->s->h;
    double clip = (double)c->a->clip;
    const double *rb = c->b ? c->b + c->s->g : NULL;
    for (int64_t i = 0; i < n; i++) {
        c->hs[n + i] = cell_apply(&c->fn[0], clip, c->xs[n + i] + c->hs[n + i]);
        c->next[i] = c->hs[n + i] * h[i];
    }
    if (!c->a->linear_before_reset)
        sums(c->hs, c->r, c->next, n, rb, 2 * n, 3 * n);
    for (int64_t i = 0; i < n; i++) {
        double z = cell_apply(&c->fn[0], clip, c->xs[i] + c->hs[i]);
        double k = c->a->linear_before_reset ? c->hs[n + i] : 1;
        double cand = cell_apply(&c->fn[1], clip, c->xs[2 * n + i] + k * c->hs[2 * n + i]);
        c->next[i] = (1 - z) * cand + z * h[i];
    }
    memcpy(h, c->next, (size_t)n * sizeof(*h));
}

static void plain_rnn(const struct plain *c, double *h)
{
    for (int64_t i = 0; i < c->s->h; i++)
        h[i] = cell_apply(&c->fn[0], (double)c->a->clip, c->xs[i] + c->hs[i]);
}

static void plain_step(const struct plain *c, const double *x, double *h, double *cell)
{
    const struct rnn_size *s = c->s;
    int64_t part = c->a->kind == CELL_GRU && !c->a->linear_before_reset ? 2 * s->h : s->g;
    sums(c->xs, c->w, x, s->in, c->b, 0, s->g);
    sums(c->hs, c->r, h, s->h, c->b ? c->b + s->g : NULL, 0, part);
    if (c->a->kind == CELL_LSTM)
        plain_lstm(c, h, cell);
    else if (c->a->kind == CELL_GRU)
        plain_gru(c, h);
    else
        plain_rnn(c, h);
}

struct plain_io {
    const double *x, *w, *r, *b, *h0, *c0, *p;
    double *y, *yh, *yc;
};

static int plain_open(struct exec_ctx *ec, const struct rnn_attrs *a, struct plain_io *io)
{
    bool lstm = a->kind == CELL_LSTM;
    int r = wide_f64(ec, 0, &io->x);
    if (!r)
        r = wide_f64(ec, 1, &io->w);
    if (!r)
        r = wide_f64(ec, 2, &io->r);
    if (!r)
        r = wide_f64(ec, 3, &io->b);
    if (!r)
        r = wide_f64(ec, 5, &io->h0);
    if (!r && lstm)
        r = wide_f64(ec, 6, &io->c0);
    if (!r && lstm)
        r = wide_f64(ec, 7, &io->p);
    if (!r)
        r = wide_out_f64(ec, 0, &io->y);
    if (!r)
        r = wide_out_f64(ec, 1, &io->yh);
    if (!r && lstm)
        r = wide_out_f64(ec, 2, &io->yc);
    return r;
}

static void plain_entry(const struct plain *c, const struct plain_io *io, int d, int64_t b, double *h,
                        double *cell)
{
    const struct rnn_size *s = c->s;
    size_t bytes = (size_t)s->h * sizeof(double);
    int64_t at = state_at(c->a, s, d, b);
    memset(h, 0, bytes);
    memset(cell, 0, bytes);
    if (io->h0)
        memcpy(h, io->h0 + at, bytes);
    if (io->c0)
        memcpy(cell, io->c0 + at, bytes);
    for (int64_t i = 0, t; (t = step_of(c->a, s, d, b, i)) >= 0; i++) {
        plain_step(c, io->x + x_row(c->a, s, t, b) * s->in, h, cell);
        if (io->y)
            memcpy(io->y + y_at(c->a, s, t, d, b), h, bytes);
    }
    if (io->yh)
        memcpy(io->yh + at, h, bytes);
    if (io->yc)
        memcpy(io->yc + at, cell, bytes);
}

static int rnn_ref(struct exec_ctx *ec, const void *params)
{
    const struct rnn_attrs *a = params;
    struct rnn_size s;
    struct plain_io io = {0};
    if (!ec_has(ec, 0) || !ec_has(ec, 1) || !ec_has(ec, 2) || dtype_info(ec->in[0]->dt)->cls != CLS_FLOAT ||
        ec->in[0]->rank != 3 || ec->in[1]->rank != 3 || ec->in[2]->rank != 3)
        return ec_unsupported(ec, 0);
    int r = rnn_sizes(ec, a, ec->in[1]->dims, ec->in[2]->dims, &s);
    if (!r)
        r = plain_open(ec, a, &io);
    if (r)
        return r;
    double *tmp = ec_scratch(ec, ((size_t)s.g * 2 + (size_t)s.h * 3 + 1) * sizeof(double));
    if (!tmp)
        return ec->cx->err.code;
    if (io.y)
        memset(io.y, 0, (size_t)(s.t * s.b * a->ndir * s.h) * sizeof(double));
    double *h = tmp + 2 * s.g, *cell = h + s.h;
    for (int d = 0; d < a->ndir; d++) {
        struct plain c = {a,
                          &s,
                          io.w + d * s.g * s.in,
                          io.r + d * s.g * s.h,
                          io.b ? io.b + d * 2 * s.g : NULL,
                          io.p ? io.p + d * 3 * s.h : NULL,
                          a->fn[d],
                          tmp,
                          tmp + s.g,
                          cell + s.h};
        for (int64_t b = 0; b < s.b; b++)
            plain_entry(&c, &io, d, b, h, cell);
    }
    wide_done_f64(ec, 0, io.y);
    wide_done_f64(ec, 1, io.yh);
    if (a->kind == CELL_LSTM)
        wide_done_f64(ec, 2, io.yc);
    return 0;
}

/* ---- packed float ---- */

struct rnn_step {
    const struct rnn_attrs *a;
    int64_t wdims[3], rdims[3];
    const char *w, *r; /* packed matrices, one a direction; NULL: packed on each run */
    size_t wbytes, rbytes;
    int64_t split; /* gates * hidden of the first recurrent product; the rest is a second one (GRU) */
    size_t r2bytes;
};

struct fast_io {
    const float *x, *b, *h0, *c0, *p;
    float *y, *yh, *yc;
};

/* Buffers that both directions use one after the other. */
struct fast_buf {
    float *bias; /* [2][g]: of the input product, of the recurrent one */
    float *gx;   /* [T*B][g] */
    float *gh;   /* [B][g] */
    float *rh;   /* [B][h], GRU: r * h */
    float *h, *c;
    void *scratch;
};

/* Sizes of the packed matrices of one direction. */
static bool pack_sizes(const struct kern *k, struct rnn_step *st)
{
    int64_t g = st->rdims[1], h = st->rdims[2];
    st->split = st->a->kind == CELL_GRU && !st->a->linear_before_reset ? 2 * h : g;
    size_t w, r, r2 = 0;
    if (!gemm_f32_pack_b_size(k, st->wdims[2], g, &w) || !gemm_f32_pack_b_size(k, h, st->split, &r) ||
        (st->split < g && !gemm_f32_pack_b_size(k, h, g - st->split, &r2)))
        return false;
    st->wbytes = round64(w);
    st->rbytes = round64(r);
    st->r2bytes = round64(r2);
    return w < SIZE_MAX / 8 && r < SIZE_MAX / 8;
}

static size_t all_bytes(const struct rnn_step *st)
{
    return (size_t)st->a->ndir * (st->wbytes + st->rbytes + st->r2bytes);
}

/* W and R of all directions, transposed, one behind the other. */
static void pack_into(const struct kern *k, struct rnn_step *st, const float *w, const float *r, char *to)
{
    int64_t g = st->rdims[1], h = st->rdims[2], in = st->wdims[2];
    st->w = to;
    st->r = to + (size_t)st->a->ndir * st->wbytes;
    for (int d = 0; d < st->a->ndir; d++) {
        char *rd = to + (size_t)st->a->ndir * st->wbytes + (size_t)d * (st->rbytes + st->r2bytes);
        gemm_f32_pack_b(k, in, g, w + d * g * in, 1, in, to + (size_t)d * st->wbytes);
        gemm_f32_pack_b(k, h, st->split, r + d * g * h, 1, h, rd);
        if (st->split < g)
            gemm_f32_pack_b(k, h, g - st->split, r + d * g * h + st->split * h, 1, h, rd + st->rbytes);
    }
}

static int fast_open(struct exec_ctx *ec, const struct rnn_attrs *a, struct fast_io *io)
{
    bool lstm = a->kind == CELL_LSTM;
    int r = wide_f32(ec, 0, &io->x);
    if (!r)
        r = wide_f32(ec, 3, &io->b);
    if (!r)
        r = wide_f32(ec, 5, &io->h0);
    if (!r && lstm)
        r = wide_f32(ec, 6, &io->c0);
    if (!r && lstm)
        r = wide_f32(ec, 7, &io->p);
    if (!r)
        r = wide_out_f32(ec, 0, &io->y);
    if (!r)
        r = wide_out_f32(ec, 1, &io->yh);
    if (!r && lstm)
        r = wide_out_f32(ec, 2, &io->yc);
    return r;
}

static void product(struct exec_ctx *ec, void *scratch, const float *a, const void *b, const float *bias,
                    float *c, int64_t m, int64_t n, int64_t k, int64_t ldc, bool backward)
{
    struct gemm_f32 g = {
        .m = m, .n = n, .k = k, .a = a, .a_rs = k, .a_cs = 1, .b_packed = b, .c = c, .ldc = ldc};
    g.backward = backward; /* every other step: weights that just do not fit into the cache half do */
    gemm_epi_init(&g.epi);
    g.epi.bias_n = bias;
    gemm_f32(ec->kern, &g, ec->pool, scratch);
}

static bool product_scratch(struct exec_ctx *ec, int64_t m, int64_t n, int64_t k, size_t *bytes)
{
    static const float any;
    size_t need_bytes;
    struct gemm_f32 g = {.m = m, .n = n, .k = k, .a = &any, .a_rs = k, .a_cs = 1, .b_packed = &any, .ldc = n};
    gemm_epi_init(&g.epi);
    if (!gemm_f32_scratch(ec->kern, &g, ec->pool ? pool_size(ec->pool) : 1, &need_bytes))
        return false;
    *bytes = need_bytes > *bytes ? need_bytes : *bytes;
    return true;
}

static int alloc_buf(struct exec_ctx *ec, const struct rnn_step *st, const struct rnn_size *s,
                     struct fast_buf *f)
{
    size_t bytes = 64;
    if (!product_scratch(ec, s->t * s->b, s->g, s->in, &bytes) ||
        !product_scratch(ec, s->b, st->split, s->h, &bytes) ||
        (st->split < s->g && !product_scratch(ec, s->b, s->g - st->split, s->h, &bytes)))
        return err_set(ec->cx, E_LIMIT, "the products are too large");
    size_t g = (size_t)s->g, bh = (size_t)(s->b * s->h);
    f->bias = ec_scratch(ec, 2 * (g + 1) * sizeof(float));
    f->gx = f->bias ? ec_scratch(ec, ((size_t)(s->t * s->b) * g + 1) * sizeof(float)) : NULL;
    f->gh = f->gx ? ec_scratch(ec, ((size_t)s->b * g + 1) * sizeof(float)) : NULL;
    f->rh = f->gh ? ec_scratch(ec, (bh * 3 + 1) * sizeof(float)) : NULL;
    f->scratch = f->rh ? ec_scratch(ec, bytes) : NULL;
    if (!f->scratch)
        return ec->cx->err.code;
    f->h = f->rh + bh;
    f->c = f->h + bh;
    return 0;
}

/* Biases of direction d: both parts go into the input product, but for a GRU's recurrent candidate. */
static void set_bias(const struct rnn_attrs *a, const struct rnn_size *s, const float *b, int d, float *bias)
{
    float *wb = bias, *rb = bias + s->g;
    memset(bias, 0, 2 * (size_t)s->g * sizeof(float));
    if (!b)
        return;
    b += d * 2 * s->g;
    int64_t joined = a->kind == CELL_GRU ? 2 * s->h : s->g;
    for (int64_t i = 0; i < s->g; i++) {
        wb[i] = b[i] + (i < joined ? b[s->g + i] : 0);
        rb[i] = i < joined ? 0 : b[s->g + i];
    }
}

struct round_job {
    struct exec_ctx *ec;
    const struct rnn_step *st;
    const struct rnn_size *s;
    const struct fast_io *io;
    const struct fast_buf *f;
    int d;
    int64_t i;
    bool reset; /* first half of a GRU's round: r * h */
};

/* gh += the input sums of step t; returns the row. */
static float *add_input(const struct round_job *j, int64_t b, int64_t t, int64_t n)
{
    float *gh = j->f->gh + b * j->s->g;
    const float *gx = j->f->gx + x_row(j->st->a, j->s, t, b) * j->s->g;
    for (int64_t k = 0; k < n; k++)
        gh[k] += gx[k];
    return gh;
}

static void clip_row(float *v, int64_t n, float clip)
{
    for (int64_t k = 0; clip > 0 && k < n; k++)
        v[k] = v[k] > clip ? clip : v[k] < -clip ? -clip : v[k];
}

static void gru_reset_row(const struct round_job *j, int64_t b, int64_t t)
{
    int64_t n = j->s->h;
    const float *gx = j->f->gx + x_row(j->st->a, j->s, t, b) * j->s->g, *gh = j->f->gh + b * j->s->g;
    float *rh = j->f->rh + b * n;
    const float *h = j->f->h + b * n;
    for (int64_t k = 0; k < n; k++)
        rh[k] = gx[n + k] + gh[n + k];
    clip_row(rh, n, j->st->a->clip);
    un_run(j->ec->kern, UN_SIGMOID, DT_FLOAT, rh, rh, (size_t)n, NULL);
    for (int64_t k = 0; k < n; k++)
        rh[k] *= h[k];
}

static void cell_row(const struct round_job *j, int64_t b, int64_t t)
{
    const struct rnn_attrs *a = j->st->a;
    const struct kern *k = j->ec->kern;
    int64_t n = j->s->h;
    float *h = j->f->h + b * n, *gh;
    if (a->kind == CELL_LSTM) {
        gh = add_input(j, b, t, j->s->g);
        k->rnn.lstm(gh, j->io->p ? j->io->p + j->d * 3 * n : NULL, j->f->c + b * n, h, (size_t)n, a->clip);
    } else if (a->kind == CELL_GRU) {
        gh = add_input(j, b, t, 2 * n);
        k->rnn.gru(gh, j->f->gx + x_row(a, j->s, t, b) * j->s->g + 2 * n, gh + 2 * n, !a->linear_before_reset,
                   h, (size_t)n, a->clip);
    } else {
        gh = add_input(j, b, t, n);
        clip_row(gh, n, a->clip);
        un_run(k, UN_TANH, DT_FLOAT, gh, h, (size_t)n, NULL);
    }
    if (j->io->y)
        memcpy(j->io->y + y_at(a, j->s, t, j->d, b), h, (size_t)n * sizeof(float));
}

static void round_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct round_job *j = arg;
    for (int64_t b = begin; b < end; b++) {
        int64_t t = step_of(j->st->a, j->s, j->d, b, j->i);
        if (t < 0)
            continue;
        if (j->reset)
            gru_reset_row(j, b, t);
        else
            cell_row(j, b, t);
    }
}

static void fast_round(struct round_job *j, const char *r)
{
    const struct rnn_size *s = j->s;
    const struct fast_buf *f = j->f;
    const float *rb = f->bias + s->g;
    int64_t split = j->st->split, grain = grain_for(s->g * 8);
    product(j->ec, f->scratch, f->h, r, rb, f->gh, s->b, split, s->h, s->g, j->i & 1);
    if (split < s->g) {
        j->reset = true;
        par_for(j->ec->pool, s->b, grain, round_range, j);
        j->reset = false;
        product(j->ec, f->scratch, f->rh, r + j->st->rbytes, rb + split, f->gh + split, s->b, s->g - split,
                s->h, s->g, j->i & 1);
    }
    par_for(j->ec->pool, s->b, grain, round_range, j);
}

static void copy_states(const struct round_job *j, const float *src, float *dst, bool load)
{
    size_t bytes = (size_t)j->s->h * sizeof(float);
    for (int64_t b = 0; b < j->s->b; b++) {
        int64_t out = state_at(j->st->a, j->s, j->d, b), own = b * j->s->h;
        if (load && !src)
            memset(dst + own, 0, bytes);
        else
            memcpy(dst + (load ? own : out), src + (load ? out : own), bytes);
    }
}

static void fast_direction(struct round_job *j)
{
    const struct rnn_size *s = j->s;
    const struct fast_buf *f = j->f;
    const struct rnn_step *st = j->st;
    int64_t rounds = 0;
    for (int64_t b = 0; b < s->b; b++)
        rounds = s->lens[b] > rounds ? s->lens[b] : rounds;
    set_bias(st->a, s, j->io->b, j->d, f->bias);
    product(j->ec, f->scratch, j->io->x, st->w + (size_t)j->d * st->wbytes, f->bias, f->gx, s->t * s->b, s->g,
            s->in, s->g, false);
    copy_states(j, j->io->h0, f->h, true);
    copy_states(j, j->io->c0, f->c, true);
    for (j->i = 0; j->i < rounds; j->i++)
        fast_round(j, st->r + (size_t)j->d * (st->rbytes + st->r2bytes));
    if (j->io->yh)
        copy_states(j, f->h, j->io->yh, false);
    if (j->io->yc)
        copy_states(j, f->c, j->io->yc, false);
}

/* Packs W and R of this run when they are not constant. */
static int fast_weights(struct exec_ctx *ec, struct rnn_step *st)
{
    const float *w, *r;
    if (st->w)
        return 0;
    memcpy(st->wdims, ec->in[1]->dims, sizeof(st->wdims));
    memcpy(st->rdims, ec->in[2]->dims, sizeof(st->rdims));
    if (!pack_sizes(ec->kern, st))
        return err_set(ec->cx, E_LIMIT, "the weights are too large");
    int rc = wide_f32(ec, 1, &w);
    if (!rc)
        rc = wide_f32(ec, 2, &r);
    char *to = rc ? NULL : ec_scratch(ec, all_bytes(st) + 64);
    if (!to)
        return rc ? rc : ec->cx->err.code;
    pack_into(ec->kern, st, w, r, to);
    return 0;
}

static int rnn_run(struct exec_ctx *ec, const void *state)
{
    struct rnn_step st = *(const struct rnn_step *)state;
    const struct rnn_attrs *a = st.a;
    struct rnn_size s;
    struct fast_io io = {0};
    struct fast_buf f;
    if (ec->in[0]->rank != 3)
        return bad_shapes(ec->cx);
    int r = rnn_sizes(ec, a, st.w ? st.wdims : ec->in[1]->dims, st.w ? st.rdims : ec->in[2]->dims, &s);
    if (!r)
        r = fast_weights(ec, &st);
    if (!r)
        r = fast_open(ec, a, &io);
    if (!r)
        r = alloc_buf(ec, &st, &s, &f);
    if (r)
        return r;
    if (io.y)
        memset(io.y, 0, (size_t)(s.t * s.b * a->ndir * s.h) * sizeof(float));
    struct round_job j = {.ec = ec, .st = &st, .s = &s, .io = &io, .f = &f};
    for (j.d = 0; j.d < a->ndir; j.d++)
        fast_direction(&j);
    wide_done_f32(ec, 0, io.y);
    wide_done_f32(ec, 1, io.yh);
    if (a->kind == CELL_LSTM)
        wide_done_f32(ec, 2, io.yc);
    return 0;
}

static int rnn_prepack(struct bind_ctx *bc, struct rnn_step *st, struct step *step)
{
    const float *w, *r;
    const struct tensor *tw = bc_const(bc, 1), *tr = tw ? bc_const(bc, 2) : NULL;
    if (!tw || !tr)
        return bc->cx->err.code;
    int64_t g = tr->dims[1];
    if (tw->rank != 3 || tr->rank != 3 || tw->dims[0] != st->a->ndir || tr->dims[0] != st->a->ndir ||
        tw->dims[1] != g || g != tr->dims[2] * st->a->gates)
        return bad_shapes(bc->cx);
    memcpy(st->wdims, tw->dims, sizeof(st->wdims));
    memcpy(st->rdims, tr->dims, sizeof(st->rdims));
    if (!pack_sizes(bc->kern, st))
        return err_set(bc->cx, E_LIMIT, "the weights are too large");
    int rc = wide_const_f32(bc, 1, &w);
    if (!rc)
        rc = wide_const_f32(bc, 2, &r);
    if (rc || !w || !r)
        return rc;
    char *to = bc_alloc(bc, all_bytes(st) + 64);
    if (!to)
        return bc->cx->err.code;
    pack_into(bc->kern, st, w, r, to);
    step->consumed |= 1u << 1 | 1u << 2;
    return 0;
}

static int rnn_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct rnn_attrs *a = params;
    if (!a->plain_fns || a->input_forget || !wide_fits_f32(bc_dtype(bc, 0)) ||
        bc_dtype(bc, 1) != bc_dtype(bc, 0) || bc_dtype(bc, 2) != bc_dtype(bc, 0) || bc_rank(bc, 1) != 3 ||
        bc_rank(bc, 2) != 3 || !bc->kern->rnn.lstm || !bc->kern->rnn.gru)
        return 0;
    struct rnn_step *st = arena_zalloc(bc->arena, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    st->a = a;
    int r = bc_is_const(bc, 1) && bc_is_const(bc, 2) ? rnn_prepack(bc, st, step) : 0;
    if (r)
        return r;
    step->kernel = st->w ? "recurrent gemm, packed weights" : "recurrent gemm";
    step->state = st;
    step->run = rnn_run;
    return 0;
}

#define RECURRENT(opname)                                                                                    \
    {                                                                                                        \
        .domain = "", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct rnn_attrs),             \
        .parse = rnn_parse, .infer = rnn_infer, .ref = rnn_ref, .bind = rnn_bind, .cost = rnn_cost,          \
    }

const struct op op_GRU = RECURRENT("GRU");
const struct op op_LSTM = RECURRENT("LSTM");
const struct op op_RNN = RECURRENT("RNN");
