/* Reference normalisations: sums in double, one after the other. */
#include <math.h>

#include "kern/kern.h"

void k_f32_moments_c(const float *x, size_t n, double *mean, double *var)
{
    double sum = 0, sq = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    double m = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        sq += (x[i] - m) * (x[i] - m);
    *mean = m;
    *var = sq / (double)n;
}

void k_f32_layernorm_c(const float *x, const float *scale, const float *bias, float *y, float *mean,
                       float *inv_std, size_t rows, size_t n, float eps)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double m, v;
        k_f32_moments_c(x, n, &m, &v);
        double inv = 1 / sqrt(v + eps);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)((x[i] - m) * inv * (scale ? scale[i] : 1) + (bias ? bias[i] : 0));
        if (mean)
            mean[r] = (float)m;
        if (inv_std)
            inv_std[r] = (float)inv;
    }
}

void k_f32_rmsnorm_c(const float *x, const float *scale, float *y, float *inv_rms, size_t rows, size_t n,
                     float eps)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        double sq = 0;
        for (size_t i = 0; i < n; i++)
            sq += (double)x[i] * x[i];
        double inv = 1 / sqrt(sq / (double)n + eps);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(x[i] * inv * (scale ? scale[i] : 1));
        if (inv_rms)
            inv_rms[r] = (float)inv;
    }
}

void k_f32_scale_shift_c(const float *x, float *y, size_t n, float scale, float shift)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf(x[i], scale, shift);
}

void k_f32_scale_shift_rows_c(const float *x, const float *scale, const float *shift, float *y, size_t rows,
                              size_t n)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n)
        for (size_t i = 0; i < n; i++)
            y[i] = fmaf(x[i], scale[i], shift[i]);
}

/* base^-beta; the usual exponents without pow(). */
static float power_neg(float base, float beta)
{
    if (beta == 0.75f) {
        float r = sqrtf(base);
        return 1 / (r * sqrtf(r));
    }
    if (beta == 0.5f)
        return 1 / sqrtf(base);
    return beta == 1 ? 1 / base : powf(base, -beta);
}

void k_f32_lrn_c(const struct lrn_params *p, const float *x, float *y, size_t begin, size_t end)
{
    enum { BLOCK = 256 };
    float sum[BLOCK];
    size_t before = (p->size - 1) / 2, after = p->size - 1 - before;
    for (size_t s = begin; s < end; s += BLOCK) {
        size_t m = end - s < BLOCK ? end - s : BLOCK;
        for (size_t c = 0; c < p->channels; c++) {
            size_t lo = c < before ? 0 : c - before;
            size_t hi = p->channels - c <= after ? p->channels : c + after + 1;
            for (size_t i = 0; i < m; i++)
                sum[i] = 0;
            for (size_t j = lo; j < hi; j++)
                for (size_t i = 0; i < m; i++)
                    sum[i] += x[j * p->spatial + s + i] * x[j * p->spatial + s + i];
            for (size_t i = 0; i < m; i++) {
                float base = p->bias + p->alpha / (float)p->size * sum[i];
                y[c * p->spatial + s + i] = x[c * p->spatial + s + i] * power_neg(base, p->beta);
            }
        }
    }
}
