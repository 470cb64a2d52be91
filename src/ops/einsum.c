/* Einsum. Every label is one loop; output labels stand outside, summed ones inside. Floats are summed in
 * double, integers wrap as int64 does.
 *
 *   "...ij,...jk->...ik": labels of the output, then those that only inputs have; each operand and the output
 * get one stride a label (0 where they lack it, the sum of both where a label stands twice). */
#include "ops/wide.h"

#include <ctype.h>
#include <string.h>

#include "base/checked.h"

/* A term: its letters, and where dots stand (-1: nowhere). */
struct ein_term {
    char letters[TENSOR_MAX_RANK];
    int n, dots;
};

enum { EIN_INPUTS = 8, EIN_LABELS = 52 + TENSOR_MAX_RANK };

struct einsum {
    int nterms;
    struct ein_term in[EIN_INPUTS], out;
};

static int bad_equation(struct cx *cx, const struct ostr *eq)
{
    return err_set(cx, E_ATTR, "equation '%.*s' cannot be read", (int)(eq->n < 100 ? eq->n : 100), eq->p);
}

/* Reads one term from *p up to a comma, an arrow or the end. */
static bool read_term(const char **p, const char *end, struct ein_term *t)
{
    t->n = 0;
    t->dots = -1;
    while (*p < end && **p != ',' && **p != '-') {
        char c = *(*p)++;
        if (c == ' ')
            continue;
        if (c == '.') {
            if (end - *p < 2 || (*p)[0] != '.' || (*p)[1] != '.' || t->dots >= 0)
                return false;
            *p += 2;
            t->dots = t->n;
        } else if (isalpha((unsigned char)c) && t->n < TENSOR_MAX_RANK) {
            t->letters[t->n++] = c;
        } else {
            return false;
        }
    }
    return true;
}

static int count_letter(const struct einsum *e, char c)
{
    int n = 0;
    for (int i = 0; i < e->nterms; i++)
        for (int k = 0; k < e->in[i].n; k++)
            n += e->in[i].letters[k] == c;
    return n;
}

/* Without an arrow: the dots, then every letter that stands once, sorted. */
static bool implicit_output(struct einsum *e)
{
    e->out = (struct ein_term){.dots = -1};
    for (int i = 0; i < e->nterms; i++)
        if (e->in[i].dots >= 0)
            e->out.dots = 0;
    for (int c = 'A'; c <= 'z'; c++)
        if (isalpha(c) && count_letter(e, (char)c) == 1) {
            if (e->out.n == TENSOR_MAX_RANK)
                return false;
            e->out.letters[e->out.n++] = (char)c;
        }
    return true;
}

static int einsum_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct einsum *e = params;
    struct ostr eq = {0};
    int r = attr_str(cx, n, "equation", &eq);
    if (r <= 0)
        return r < 0 ? r : err_set(cx, E_ATTR, "attribute equation is missing");
    const char *p = eq.p, *end = eq.p + eq.n;
    for (;;) {
        if (e->nterms == EIN_INPUTS || !read_term(&p, end, &e->in[e->nterms++]))
            return bad_equation(cx, &eq);
        if (p == end || *p == '-')
            break;
        p++;
    }
    if (p == end)
        return implicit_output(e) ? 0 : bad_equation(cx, &eq);
    if (end - p < 2 || p[1] != '>')
        return bad_equation(cx, &eq);
    p += 2;
    if (!read_term(&p, end, &e->out) || p != end)
        return bad_equation(cx, &eq);
    for (int k = 0; k < e->out.n; k++)
        if (!count_letter(e, e->out.letters[k]))
            return bad_equation(cx, &eq);
    return 0;
}

/* ---- labels ---- */

/* Labels are letters, and numbers 1.. for the axes that dots stand for, counted from the last one. */
static int dot_axes(const struct ein_term *t, int rank)
{
    return t->dots >= 0 ? rank - t->n : 0;
}

/* Label of axis k of a term whose operand has this rank. */
static int label_at(const struct ein_term *t, int rank, int k)
{
    int nd = dot_axes(t, rank);
    if (t->dots < 0 || k < t->dots)
        return t->letters[k];
    return k < t->dots + nd ? t->dots + nd - k : t->letters[k - nd];
}

static bool rank_fits(const struct ein_term *t, int rank)
{
    return t->dots >= 0 ? rank >= t->n : rank == t->n;
}

static int einsum_infer(struct infer_ctx *ic, const void *params)
{
    const struct einsum *e = params;
    struct dim by[128], d[TENSOR_MAX_RANK];
    bool seen[128] = {false};
    int dots = 0;
    if (ic->nin != e->nterms)
        return ic_err(ic, E_MODEL, "%d inputs for an equation of %d terms", ic->nin, e->nterms);
    for (int i = 0; i < e->nterms; i++) {
        int rank = ic_rank(ic, i);
        if (rank < 0)
            return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
        if (!rank_fits(&e->in[i], rank))
            return ic_err(ic, E_SHAPE, "input %d has rank %d, its term %d letters", i, rank, e->in[i].n);
        dots = dot_axes(&e->in[i], rank) > dots ? dot_axes(&e->in[i], rank) : dots;
        for (int k = 0; k < rank; k++) {
            int l = label_at(&e->in[i], rank, k);
            int r = seen[l] ? ic_broadcast_dim(ic, by[l], ic_dim(ic, i, k), &by[l]) : 0;
            if (r)
                return r;
            if (!seen[l])
                by[l] = ic_dim(ic, i, k);
            seen[l] = true;
        }
    }
    int rank = e->out.n + (e->out.dots >= 0 ? dots : 0);
    if (rank > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the result has %d axes", rank);
    for (int k = 0; k < rank; k++)
        d[k] = by[label_at(&e->out, rank, k)];
    return ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

/* ---- running ---- */

/* Loops: the output's axes first. */
struct ein_run {
    int nlabels, nout, nin;
    int64_t extent[EIN_LABELS];
    int64_t stride[EIN_INPUTS][EIN_LABELS];
    const double *f[EIN_INPUTS];  /* floats */
    const int64_t *i[EIN_INPUTS]; /* or integers */
    double *yf;
    int64_t *yi;
    int64_t inner; /* products in one sum */
};

static int find_label(const int *labels, int n, int l)
{
    for (int k = 0; k < n; k++)
        if (labels[k] == l)
            return k;
    return -1;
}

static bool ein_loops(const struct exec_ctx *ec, const struct einsum *e, struct ein_run *r)
{
    int labels[EIN_LABELS];
    r->nout = ec->out[0]->rank;
    r->nin = e->nterms;
    for (int k = 0; k < r->nout; k++) {
        labels[k] = label_at(&e->out, r->nout, k);
        r->extent[k] = ec->out[0]->dims[k];
        if (find_label(labels, k, labels[k]) >= 0)
            return false;
    }
    r->nlabels = r->nout;
    for (int i = 0; i < e->nterms; i++) {
        const struct tensor *t = ec->in[i];
        int64_t step = 1;
        if (!rank_fits(&e->in[i], t->rank))
            return false;
        for (int k = t->rank - 1; k >= 0; k--) {
            int l = label_at(&e->in[i], t->rank, k), at = find_label(labels, r->nlabels, l);
            if (at < 0) {
                at = r->nlabels++;
                labels[at] = l;
                r->extent[at] = t->dims[k];
            }
            if (t->dims[k] != 1 && r->extent[at] == 1)
                r->extent[at] = t->dims[k];
            if (t->dims[k] != 1 && r->extent[at] != t->dims[k])
                return false;
            r->stride[i][at] += t->dims[k] == 1 ? 0 : step;
            step *= t->dims[k];
        }
    }
    r->inner = 1;
    for (int k = r->nout; k < r->nlabels; k++)
        if (!mul_i64(r->inner, r->extent[k], &r->inner))
            return false;
    return true;
}

/* Moves the offsets of all operands to the next combination of labels [from, to). */
static void advance(const struct ein_run *r, int from, int to, int64_t *c, int64_t *off)
{
    for (int k = to - 1; k >= from; k--) {
        bool wrap = ++c[k] == r->extent[k];
        for (int i = 0; i < r->nin; i++)
            off[i] += wrap ? -r->stride[i][k] * (c[k] - 1) : r->stride[i][k];
        if (!wrap)
            return;
        c[k] = 0;
    }
}

static void ein_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct ein_run *r = arg;
    int64_t c[EIN_LABELS] = {0}, off[EIN_INPUTS] = {0}, rest = begin;
    for (int k = r->nout - 1; k >= 0; k--) {
        c[k] = rest % r->extent[k];
        rest /= r->extent[k];
        for (int i = 0; i < r->nin; i++)
            off[i] += c[k] * r->stride[i][k];
    }
    for (int64_t o = begin; o < end; o++) {
        double sum = 0;
        uint64_t isum = 0;
        for (int64_t n = 0; n < r->inner; n++) {
            double p = 1;
            uint64_t ip = 1;
            for (int i = 0; i < r->nin && r->yf; i++)
                p *= r->f[i][off[i]];
            for (int i = 0; i < r->nin && r->yi; i++)
                ip *= (uint64_t)r->i[i][off[i]];
            sum += p;
            isum += ip;
            advance(r, r->nout, r->nlabels, c, off);
        }
        if (r->yf)
            r->yf[o] = sum;
        else
            r->yi[o] = (int64_t)isum;
        advance(r, 0, r->nout, c, off);
    }
}

static int64_t *wide_ints(struct exec_ctx *ec, int i)
{
    const struct tensor *t = ec->in[i];
    const struct dtype_info *info = dtype_info(t->dt);
    int64_t n = tensor_count(t), *p = ec_scratch(ec, ((size_t)n + 1) * sizeof(*p));
    for (int64_t k = 0; p && k < n; k++)
        p[k] = info->load_i64((const char *)t->data + (size_t)k * info->size);
    return p;
}

static int einsum_ref(struct exec_ctx *ec, const void *params)
{
    const struct einsum *e = params;
    struct ein_run r = {0};
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    if (ec->nin != e->nterms || !ein_loops(ec, e, &r))
        return err_set(ec->cx, E_SHAPE, "the shapes of the operands do not fit the equation");
    const struct dtype_info *info = dtype_info(ec->out[0]->dt);
    bool whole = dtype_is_int(ec->out[0]->dt);
    if (!whole && info->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    int64_t n = tensor_count(ec->out[0]);
    int rc = 0;
    for (int i = 0; !rc && i < e->nterms; i++) {
        if (ec->in[i]->dt != ec->out[0]->dt)
            return ec_unsupported(ec, i);
        if (!whole)
            rc = wide_f64(ec, i, &r.f[i]);
        else if (!(r.i[i] = wide_ints(ec, i)))
            rc = ec->cx->err.code;
    }
    if (!rc && !whole)
        rc = wide_out_f64(ec, 0, &r.yf);
    if (!rc && whole && !(r.yi = ec_scratch(ec, (size_t)n * sizeof(*r.yi))))
        rc = ec->cx->err.code;
    if (rc)
        return rc;
    par_for(ec->pool, n, grain_for(r.inner * 4), ein_range, &r);
    for (int64_t k = 0; whole && k < n; k++)
        info->store_i64((char *)ec->out[0]->data + (size_t)k * info->size, r.yi[k]);
    wide_done_f64(ec, 0, r.yf);
    return 0;
}

const struct op op_Einsum = {
    .domain = "",
    .name = "Einsum",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct einsum),
    .parse = einsum_parse,
    .infer = einsum_infer,
    .ref = einsum_ref,
};
