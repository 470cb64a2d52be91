/* How far two tensors are apart. */
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

void tolerance_init(struct tolerance *out)
{
    *out = (struct tolerance){
        .rtol = -1, .atol = -1, .min_cosine = NAN, .min_sqnr = NAN, .min_top1 = NAN, .top_k = TOP_K};
}

void tolerance_default(enum dtype dt, struct tolerance *out)
{
    tolerance_init(out);
    out->rtol = out->atol = 0;
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

static const void *place(const struct view *v, int64_t i)
{
    return (const char *)v->t->data + (size_t)i * dtype_size(v->dt);
}

static double at(const struct view *v, int64_t i)
{
    return dtype_info(v->dt)->load_f64(place(v, i));
}

/* Number of the value among all of its type, in order: every float format is sign and magnitude, and the bits
 * of a magnitude count up with it. Both zeros are 0. bits: with the sign. */
static int64_t ordinal(const void *p, size_t size, unsigned bits)
{
    uint64_t u = 0;
    memcpy(&u, p, size); /* little endian, as tensors are */
    uint64_t sign = 1ull << (bits - 1), magnitude = u & (sign - 1);
    return u & sign ? -(int64_t)magnitude : (int64_t)magnitude;
}

static uint64_t ulps(const struct view *a, const struct view *b, int64_t i)
{
    const struct dtype_info *di = dtype_info(a->dt);
    unsigned bits = (unsigned)di->bits + (a->dt == DT_FLOAT8E8M0); /* has no sign */
    int64_t x = ordinal(place(a, i), dtype_size(a->dt), bits);
    int64_t y = ordinal(place(b, i), dtype_size(b->dt), bits);
    return x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
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

/* d: the difference of two finite elements, which for large integers is not that of a and b as doubles. */
static void add_difference(struct metrics *m, struct sums *s, const struct tolerance *tol, int64_t i,
                           double d, double a, double b)
{
    double bound = tol->atol + tol->rtol * fabs(b);
    double rel = b != 0 ? d / fabs(b) : INFINITY;
    s->abs_err += d;
    s->sq_err += d * d;
    if (d > m->max_abs) {
        m->max_abs = d;
        m->abs_at = i;
    }
    if (rel > m->max_rel) {
        m->max_rel = rel;
        m->rel_at = i;
    }
    m->different += d > bound;
    record_worst(m, s, d - bound, i, a, b);
}

static void add_finite(struct metrics *m, struct sums *s, const struct tolerance *tol, int64_t i, double a,
                       double b)
{
    s->aa += a * a;
    s->bb += b * b;
    s->ab += a * b;
    if (a != b)
        add_difference(m, s, tol, i, fabs(a - b), a, b);
}

static void add_element(struct metrics *m, struct sums *s, const struct tolerance *tol, int64_t i, double a,
                        double b)
{
    m->nan_a += isnan(a) != 0;
    m->nan_b += isnan(b) != 0;
    m->inf_a += isinf(a) != 0;
    m->inf_b += isinf(b) != 0;
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
            add_difference(m, s, tol, i, fabs((double)d), x, y);
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

static void compare_floats(const struct tensor *a, const struct tensor *b, const struct tolerance *tol,
                           struct metrics *m, struct sums *s)
{
    struct view va = view_of(a), vb = view_of(b);
    bool has_ulp = dtype_is_float(va.dt);
    for (int64_t i = 0; i < m->count; i++) {
        double x = at(&va, i), y = at(&vb, i);
        add_element(m, s, tol, i, x, y);
        if (!has_ulp || x == y || !isfinite(x) || !isfinite(y))
            continue;
        uint64_t n = ulps(&va, &vb, i);
        m->max_ulp = n > m->max_ulp ? n : m->max_ulp;
    }
    m->worst = m->worst < 0 ? -1 : m->worst / va.per;
    m->abs_at = m->abs_at < 0 ? -1 : m->abs_at / va.per;
    m->rel_at = m->rel_at < 0 ? -1 : m->rel_at / va.per;
}

/* ---- best classes ---- */

/* Place of the largest element in a row of n, the first one of several; -1: all are NaN. */
static int64_t best_of(const struct view *v, int64_t start, int64_t n)
{
    int64_t best = -1;
    for (int64_t i = start; i < start + n; i++) {
        double x = at(v, i);
        if (!isnan(x) && (best < 0 || x > at(v, best)))
            best = i;
    }
    return best;
}

/* How many elements of the row stand before element i when the largest come first. */
static int64_t rank_in_row(const struct view *v, int64_t start, int64_t n, int64_t i)
{
    int64_t before = 0;
    double x = at(v, i);
    if (isnan(x))
        return n;
    for (int64_t k = start; k < start + n; k++) {
        double y = at(v, k);
        before += y > x || (y == x && k < i);
    }
    return before;
}

static void compare_rows(const struct tensor *a, const struct tensor *b, int top_k, struct metrics *m)
{
    struct view va = view_of(a), vb = view_of(b);
    bool classes = dtype_is_int(a->dt) && a->rank <= 1;
    int64_t width = classes || !a->rank ? 1 : a->dims[a->rank - 1], right1 = 0, rightk = 0;
    if (va.per != 1 || !width || dtype_info(a->dt)->cls == CLS_STRING)
        return;
    m->rows = m->count / width;
    for (int64_t row = 0; row < m->rows; row++) {
        int64_t start = row * width, x = best_of(&va, start, width), y = best_of(&vb, start, width);
        bool same =
            classes ? at(&va, start) == at(&vb, start) : (x < 0 || y < 0 ? x == y : at(&vb, x) == at(&vb, y));
        right1 += same;
        rightk += same || (!classes && y >= 0 && rank_in_row(&va, start, width, y) < top_k);
    }
    if (m->rows) {
        m->top1 = (double)right1 / (double)m->rows;
        m->topk = (double)rightk / (double)m->rows;
    }
}

/* ---- figures and verdict ---- */

static void figures(const struct tensor *a, struct metrics *m, const struct sums *s)
{
    if (!m->count)
        return;
    m->outliers = (double)m->different / (double)m->count;
    if (dtype_info(a->dt)->cls == CLS_STRING)
        return;
    m->mean_abs = s->abs_err / (double)m->count;
    m->rmse = sqrt(s->sq_err / (double)m->count);
    m->sqnr_db = s->sq_err > 0 ? 10 * log10(s->bb / s->sq_err) : INFINITY;
    m->cosine = s->aa > 0 && s->bb > 0 ? s->ab / (sqrt(s->aa) * sqrt(s->bb)) : s->aa == s->bb ? 1 : NAN;
}

static void judge(const struct tensor *a, const struct tolerance *tol, struct metrics *m)
{
    char where[160];
    size_t size = sizeof m->reason;
    m->pass = false;
    if (!((double)m->different <= tol->max_outliers * (double)m->count)) {
        snprintf(m->reason, size, "%lld of %lld elements differ, worst at %s", (long long)m->different,
                 (long long)m->count, index_text(a, m->worst, where, sizeof where));
    } else if (!isnan(tol->min_cosine) && !(m->cosine >= tol->min_cosine)) {
        snprintf(m->reason, size, "cosine %.9g is below %.9g", m->cosine, tol->min_cosine);
    } else if (!isnan(tol->min_sqnr) && !(m->sqnr_db >= tol->min_sqnr)) {
        snprintf(m->reason, size, "SQNR %.4g dB is below %.4g dB", m->sqnr_db, tol->min_sqnr);
    } else if (!isnan(tol->min_top1) && m->top1 < tol->min_top1) {
        snprintf(m->reason, size, "the best class agrees in %.6g of %lld rows, below %.6g", m->top1,
                 (long long)m->rows, tol->min_top1);
    } else {
        m->pass = true;
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
    m->count = view_of(a).n;
    if (dtype_info(a->dt)->cls == CLS_STRING)
        compare_strings(a, b, m);
    else if (dtype_is_int(a->dt))
        compare_ints(a, b, &t, m, &s);
    else
        compare_floats(a, b, &t, m, &s);
    compare_rows(a, b, t.top_k > 0 ? t.top_k : TOP_K, m);
    figures(a, m, &s);
    judge(a, &t, m);
}

static void reset(struct metrics *m)
{
    *m = (struct metrics){
        .worst = -1, .abs_at = -1, .rel_at = -1, .sqnr_db = INFINITY, .cosine = 1, .top1 = 1, .topk = 1};
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
        m->outliers = count ? (double)different / (double)count : 0;
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
