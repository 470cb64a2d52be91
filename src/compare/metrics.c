#include "compare/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* By bits of a float type: eight and fewer, sixteen, more. */
static void float_tolerance(enum dtype dt, struct tolerance *out)
{
    static const double rtol[] = {5e-2, 1e-2, 1e-3}, atol[] = {1e-2, 1e-3, 1e-5};
    int k = dtype_info(dt)->bits <= 8 || dt == DT_BFLOAT16 ? 0 : dt == DT_FLOAT16 ? 1 : 2;
    out->rtol = rtol[k];
    out->atol = atol[k];
}

void tolerance_default(enum dtype dt, struct tolerance *out)
{
    *out = (struct tolerance){0, 0, 0, NAN, NAN};
    if (dtype_is_float(dt) || dtype_info(dt)->cls == CLS_COMPLEX)
        float_tolerance(dt, out);
}

const char *index_text(const struct tensor *t, int64_t flat, char *buf, size_t size)
{
    int64_t idx[TENSOR_MAX_RANK];
    size_t n = 0;
    for (int i = t->rank - 1; i >= 0; i--) {
        idx[i] = t->dims[i] ? flat % t->dims[i] : 0;
        flat /= t->dims[i] ? t->dims[i] : 1;
    }
    n += (size_t)snprintf(buf, size, "[");
    for (int i = 0; i < t->rank && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%lld", i ? ", " : "", (long long)idx[i]);
    if (n < size)
        snprintf(buf + n, size - n, "]");
    return buf;
}

/* Sums over the pass through the elements. */
struct sums {
    double abs_err, sq_err, aa, bb, ab;
    double beyond; /* how far past its bound the worst element is (negative: within) */
};

/* Complex tensors are compared as twice as many reals. */
struct view {
    const struct tensor *t;
    enum dtype dt;
    int64_t n;
    int per; /* reals an element */
};

static struct view view_of(const struct tensor *t)
{
    struct view v = {t, t->dt, tensor_count(t), 1};
    if (dtype_info(t->dt)->cls == CLS_COMPLEX) {
        v.dt = t->dt == DT_COMPLEX64 ? DT_FLOAT : DT_DOUBLE;
        v.per = 2;
        v.n *= 2;
    }
    return v;
}

static double at(const struct view *v, int64_t i)
{
    return dtype_info(v->dt)->load_f64((const char *)v->t->data + (size_t)i * dtype_size(v->dt));
}

static void record_worst(struct metrics *m, struct sums *s, double beyond, int64_t i, double a, double b)
{
    if (m->worst >= 0 && !(beyond > s->beyond))
        return;
    s->beyond = beyond;
    m->worst = i;
    m->worst_a = a;
    m->worst_b = b;
}

static void add_finite(struct metrics *m, struct sums *s, const struct tolerance *tol, int64_t i, double a,
                       double b)
{
    double d = fabs(a - b);
    double bound = tol->atol + tol->rtol * fabs(b);
    s->abs_err += d;
    s->sq_err += d * d;
    s->aa += a * a;
    s->bb += b * b;
    s->ab += a * b;
    if (d > m->max_abs)
        m->max_abs = d;
    double rel = b != 0 ? d / fabs(b) : d > 0 ? INFINITY : 0;
    if (rel > m->max_rel)
        m->max_rel = rel;
    m->different += d > bound;
    if (d > 0)
        record_worst(m, s, d - bound, i, a, b);
}

static void add_element(struct metrics *m, struct sums *s, const struct tolerance *tol, int64_t i, double a,
                        double b)
{
    m->nan_a += isnan(a) != 0;
    m->nan_b += isnan(b) != 0;
    if (isfinite(a) && isfinite(b)) {
        add_finite(m, s, tol, i, a, b);
        return;
    }
    if ((isnan(a) && isnan(b)) || a == b)
        return;
    m->different++;
    record_worst(m, s, INFINITY, i, a, b);
}

/* 64-bit integers beyond 2^53 would look equal as doubles. */
static void compare_ints(const struct tensor *a, const struct tensor *b, const struct tolerance *tol,
                         struct metrics *m, struct sums *s)
{
    size_t size = dtype_size(a->dt);
    for (int64_t i = 0; i < m->count; i++) {
        const void *pa = (const char *)a->data + (size_t)i * size,
                   *pb = (const char *)b->data + (size_t)i * size;
        double x = dtype_info(a->dt)->load_f64(pa), y = dtype_info(b->dt)->load_f64(pb);
        if (x == y && memcmp(pa, pb, size)) {
            /* Unsigned, since unsigned elements on both sides of 2^63 come with different signs. */
            int64_t d = (int64_t)((uint64_t)dtype_info(a->dt)->load_i64(pa) -
                                  (uint64_t)dtype_info(b->dt)->load_i64(pb));
            m->different += fabs((double)d) > tol->atol + tol->rtol * fabs(y);
            record_worst(m, s, fabs((double)d), i, x, y);
            continue;
        }
        add_element(m, s, tol, i, x, y);
    }
}

static void compare_strings(const struct tensor *a, const struct tensor *b, struct metrics *m)
{
    const struct ostr *x = a->data, *y = b->data;
    for (int64_t i = 0; i < m->count; i++)
        if (x[i].n != y[i].n || (x[i].n && memcmp(x[i].p, y[i].p, x[i].n))) {
            m->different++;
            if (m->worst < 0)
                m->worst = i;
        }
}

static void finish(const struct tensor *a, const struct tolerance *tol, struct metrics *m,
                   const struct sums *s)
{
    char where[160];
    if (m->count && dtype_info(a->dt)->cls != CLS_STRING) {
        m->mean_abs = s->abs_err / (double)m->count;
        m->rmse = sqrt(s->sq_err / (double)m->count);
        m->sqnr_db = s->sq_err > 0 ? 10 * log10(s->bb / s->sq_err) : INFINITY;
        m->cosine = s->aa > 0 && s->bb > 0 ? s->ab / (sqrt(s->aa) * sqrt(s->bb)) : s->aa == s->bb ? 1 : NAN;
    }
    m->pass = (double)m->different <= tol->max_outliers * (double)m->count;
    if (!m->pass) {
        int per = dtype_info(a->dt)->cls == CLS_COMPLEX ? 2 : 1;
        snprintf(m->reason, sizeof m->reason, "%lld of %lld elements differ, worst at %s",
                 (long long)m->different, (long long)m->count,
                 index_text(a, m->worst / per, where, sizeof where));
        return;
    }
    if (!isnan(tol->min_cosine) && !(m->cosine >= tol->min_cosine)) {
        m->pass = false;
        snprintf(m->reason, sizeof m->reason, "cosine %.9g is below %.9g", m->cosine, tol->min_cosine);
    } else if (!isnan(tol->min_sqnr) && !(m->sqnr_db >= tol->min_sqnr)) {
        m->pass = false;
        snprintf(m->reason, sizeof m->reason, "SQNR %.4g dB is below %.4g dB", m->sqnr_db, tol->min_sqnr);
    }
}

static bool same_type(const struct tensor *a, const struct tensor *b, struct metrics *m)
{
    char ta[200], tb[200];
    bool same = a->kind == b->kind && a->dt == b->dt && a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    if (!same)
        snprintf(m->reason, sizeof m->reason, "is %.90s, expected %.90s", tensor_type_text(a, ta, sizeof ta),
                 tensor_type_text(b, tb, sizeof tb));
    return same;
}

static void compare_plain(const struct tensor *a, const struct tensor *b, const struct tolerance *tol,
                          struct metrics *m)
{
    struct sums s = {0};
    struct tolerance t = *tol, def;
    if (!same_type(a, b, m))
        return;
    tolerance_default(a->dt, &def);
    t.rtol = t.rtol < 0 ? def.rtol : t.rtol;
    t.atol = t.atol < 0 ? def.atol : t.atol;
    struct view va = view_of(a), vb = view_of(b);
    m->count = va.n;
    if (dtype_info(a->dt)->cls == CLS_STRING)
        compare_strings(a, b, m);
    else if (dtype_is_int(a->dt))
        compare_ints(a, b, &t, m, &s);
    else
        for (int64_t i = 0; i < m->count; i++)
            add_element(m, &s, &t, i, at(&va, i), at(&vb, i));
    finish(a, &t, m, &s);
}

static void reset(struct metrics *m)
{
    *m = (struct metrics){.worst = -1, .sqnr_db = INFINITY, .cosine = 1};
}

/* Items in order; the first that fails, else the one with the largest error, speaks for all. */
static void compare_items(const struct tensor *a, const struct tensor *b, const struct tolerance *tol,
                          struct metrics *m)
{
    size_t na = a->seq ? a->seq->n : 0, nb = b->seq ? b->seq->n : 0;
    if (a->kind != b->kind || na != nb) {
        snprintf(m->reason, sizeof m->reason, "has %zu items, expected %zu", na, nb);
        return;
    }
    m->pass = true;
    for (size_t i = 0; i < na; i++) {
        struct metrics one;
        compare_tensors(&a->seq->items[i], &b->seq->items[i], tol, &one);
        int64_t count = m->count + one.count, different = m->different + one.different;
        if (i == 0 || !one.pass || one.max_abs > m->max_abs)
            *m = one;
        m->count = count;
        m->different = different;
        if (!one.pass) {
            snprintf(m->reason, sizeof m->reason, "item %zu: %.160s", i, one.reason);
            return;
        }
    }
    if (a->kind == RT_MAP && na) {
        struct metrics keys;
        compare_tensors(&a->seq->keys, &b->seq->keys, tol, &keys);
        if (!keys.pass)
            *m = keys;
    }
}

void compare_tensors(const struct tensor *a, const struct tensor *b, const struct tolerance *tol,
                     struct metrics *m)
{
    reset(m);
    if (a->kind == RT_TENSOR && b->kind == RT_TENSOR)
        compare_plain(a, b, tol, m);
    else
        compare_items(a, b, tol, m);
}
