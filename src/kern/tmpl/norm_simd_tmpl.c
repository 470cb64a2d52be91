/* Softmax, layer normalisation and relatives over the vector type. */
#include <math.h>

#include "kern/kern.h"
#include "kern/tmpl/fold_simd.h"
#include "kern/tmpl/v_names.h"

/* Largest value of a row. A NaN may be dropped: it comes back with the exponentials. */
static float row_top(const float *x, size_t n)
{
    vf a = v_set1(-INFINITY), b = a;
    size_t i = 0;
    for (; i + 2 * VN <= n; i += 2 * VN) {
        a = v_max(v_load(x + i), a);
        b = v_max(v_load(x + i + VN), b);
    }
    for (; i < n; i += VN) {
        size_t m = n - i < VN ? n - i : VN;
        a = v_max(m == VN ? v_load(x + i) : v_keep_n(v_load_n(x + i, m), a, m), a);
    }
    return v_hmax(v_max(a, b));
}

/* Sum of e^(x - top); the terms go to y unless it is NULL. */
static inline __attribute__((always_inline)) float row_exp(const float *x, float *y, size_t n, float top)
{
    vf t = v_set1(top), s0 = v_set1(0.0f), s1 = s0, zero = s0;
    size_t i = 0;
    for (; i + 2 * VN <= n; i += 2 * VN) {
        vf e0 = v_exp_neg(v_sub(v_load(x + i), t)), e1 = v_exp_neg(v_sub(v_load(x + i + VN), t));
        if (y) {
            v_store(y + i, e0);
            v_store(y + i + VN, e1);
        }
        s0 = v_add(s0, e0);
        s1 = v_add(s1, e1);
    }
    for (; i < n; i += VN) {
        size_t m = n - i < VN ? n - i : VN;
        vf e = v_exp_neg(v_sub(m == VN ? v_load(x + i) : v_load_n(x + i, m), t));
        e = m == VN ? e : v_keep_n(e, zero, m);
        if (y && m == VN)
            v_store(y + i, e);
        else if (y)
            v_store_n(y + i, e, m);
        s0 = v_add(s0, e);
    }
    return v_hsum(v_add(s0, s1));
}

/* y = x * a + b */
static inline void row_affine(const float *x, float *y, size_t n, float a, float b)
{
    vf va = v_set1(a), vb = v_set1(b);
    size_t i = 0;
    for (; i + VN <= n; i += VN)
        v_store(y + i, v_fma(v_load(x + i), va, vb));
    if (i < n)
        v_store_n(y + i, v_fma(v_load_n(x + i, n - i), va, vb), n - i);
}

static void softmax_row(const float *x, float *y, size_t n)
{
    float sum = row_exp(x, y, n, row_top(x, n));
    row_affine(y, y, n, 1 / sum, 0.0f);
}

static void log_softmax_row(const float *x, float *y, size_t n)
{
    float top = row_top(x, n);
    float lg = logf(row_exp(x, NULL, n, top));
    vf t = v_set1(top), l = v_set1(lg);
    for (size_t i = 0; i < n; i += VN) {
        size_t m = n - i < VN ? n - i : VN;
        vf v = v_sub(v_sub(m == VN ? v_load(x + i) : v_load_n(x + i, m), t), l);
        if (m == VN)
            v_store(y + i, v);
        else
            v_store_n(y + i, v, m);
    }
}

/* Columns, m <= VN of them side by side; the same steps as for rows. */
static inline vf column_load(const float *x, size_t m)
{
    return m == VN ? v_load(x) : v_load_n(x, m);
}
static inline void column_store(float *y, vf v, size_t m)
{
    if (m == VN)
        v_store(y, v);
    else
        v_store_n(y, v, m);
}
static inline vf column_top(const float *x, size_t n, size_t stride, size_t m)
{
    vf top = v_set1(-INFINITY);
    for (size_t r = 0; r < n; r++)
        top = v_max(column_load(x + r * stride, m), top);
    return top;
}

static void softmax_columns(const float *x, float *y, size_t n, size_t stride, size_t m)
{
    vf top = column_top(x, n, stride, m), sum = v_set1(0.0f);
    for (size_t r = 0; r < n; r++) {
        vf e = v_exp_neg(v_sub(column_load(x + r * stride, m), top));
        column_store(y + r * stride, e, m);
        sum = v_add(sum, e);
    }
    vf inv = v_div(v_set1(1.0f), sum);
    for (size_t r = 0; r < n; r++)
        column_store(y + r * stride, v_mul(column_load(y + r * stride, m), inv), m);
}

static void log_softmax_columns(const float *x, float *y, size_t n, size_t stride, size_t m)
{
    vf top = column_top(x, n, stride, m), sum = v_set1(0.0f);
    for (size_t r = 0; r < n; r++)
        sum = v_add(sum, v_exp_neg(v_sub(column_load(x + r * stride, m), top)));
    vf lg = v_log(sum);
    for (size_t r = 0; r < n; r++)
        column_store(y + r * stride, v_sub(v_sub(column_load(x + r * stride, m), top), lg), m);
}

typedef void soft_row(const float *x, float *y, size_t n);
typedef void soft_columns(const float *x, float *y, size_t n, size_t stride, size_t m);

static inline void soft(soft_row *row, soft_columns *columns, const float *x, float *y,
                        const struct red_shape *s)
{
    for (size_t o = 0; o < s->outer; o++, x += s->reduce * s->stride, y += s->reduce * s->stride) {
        if (s->inner == 1 && s->stride == 1)
            row(x, y, s->reduce);
        else
            for (size_t i = 0; i < s->inner; i += VN)
                columns(x + i, y + i, s->reduce, s->stride, s->inner - i < VN ? s->inner - i : VN);
    }
}

void VNAME(softmax)(const void *in, void *out, const struct red_shape *s)
{
    soft(softmax_row, softmax_columns, in, out, s);
}
void VNAME(log_softmax)(const void *in, void *out, const struct red_shape *s)
{
    soft(log_softmax_row, log_softmax_columns, in, out, s);
}

void VNAME(moments)(const float *x, size_t n, double *mean, double *var)
{
    double m = fold_row(fold_same, x, n, 0.0f) / (double)n;
    float c = (float)m;
    double shift = m - (double)c; /* what the float centre is off by */
    *mean = m;
    *var = fold_row(fold_square_from, x, n, c) / (double)n - shift * shift;
}

/* y = (x - c) * inv * scale + bias */
static inline __attribute__((always_inline)) void row_normalize(const float *x, const float *scale,
                                                                const float *bias, float *y, size_t n,
                                                                float c, float inv)
{
    vf vc = v_set1(c), vi_ = v_set1(inv), zero = v_set1(0.0f), one = v_set1(1.0f);
    size_t i = 0;
    for (; i + VN <= n; i += VN) {
        vf t = v_mul(v_sub(v_load(x + i), vc), vi_);
        v_store(y + i, v_fma(t, scale ? v_load(scale + i) : one, bias ? v_load(bias + i) : zero));
    }
    if (i < n) {
        size_t m = n - i;
        vf t = v_mul(v_sub(v_load_n(x + i, m), vc), vi_);
        t = v_fma(t, scale ? v_load_n(scale + i, m) : one, bias ? v_load_n(bias + i, m) : zero);
        v_store_n(y + i, t, m);
    }
}

void VNAME(layernorm)(const float *x, const float *scale, const float *bias, float *y, float *mean,
                      float *inv_std, size_t rows, size_t n, float eps)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m, v;
        VNAME(moments)(x, n, &m, &v);
        float inv = (float)(1 / sqrt((v > 0 ? v : v < 0 ? 0 : v) + (double)eps));
        row_normalize(x, scale, bias, y, n, (float)m, inv);
        if (mean)
            mean[r] = (float)m;
        if (inv_std)
            inv_std[r] = inv;
    }
}

void VNAME(rmsnorm)(const float *x, const float *scale, float *y, float *inv_rms, size_t rows, size_t n,
                    float eps)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float inv = (float)(1 / sqrt(fold_row(fold_square, x, n, 0.0f) / (double)n + (double)eps));
        row_normalize(x, scale, NULL, y, n, 0.0f, inv);
        if (inv_rms)
            inv_rms[r] = inv;
    }
}

void VNAME(scale_shift)(const float *x, float *y, size_t n, float scale, float shift)
{
    row_affine(x, y, n, scale, shift);
}

void VNAME(scale_shift_rows)(const float *x, const float *scale, const float *shift, float *y, size_t rows,
                             size_t n)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        size_t i = 0;
        for (; i + VN <= n; i += VN)
            v_store(y + i, v_fma(v_load(x + i), v_load(scale + i), v_load(shift + i)));
        if (i < n) {
            size_t m = n - i;
            v_store_n(y + i, v_fma(v_load_n(x + i, m), v_load_n(scale + i, m), v_load_n(shift + i, m)), m);
        }
    }
}
