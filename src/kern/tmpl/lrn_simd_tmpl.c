/* Local response normalization over the vector type: columns in vectors, every channel's window summed anew
 * (a running sum would keep the rounding of channels that have left it). */
#include "kern/kern.h"
#include "kern/tmpl/v_names.h"

/* Sum of squares of channels [lo, hi) of a column; n < VN: the first n lanes. */
static inline __attribute__((always_inline)) vf square_sum(const float *x, size_t spatial, size_t lo,
                                                           size_t hi, size_t n)
{
    vf s = v_set1(0.0f);
    for (size_t j = lo; j < hi; j++) {
        vf v = n == VN ? v_load(x + j * spatial) : v_load_n(x + j * spatial, n);
        s = v_fma(v, v, s);
    }
    return s;
}

/* base^beta for the exponents that models have */
static inline vf power(vf base, float beta)
{
    if (beta == 1.0f)
        return base;
    vf r = v_sqrt(base);
    return beta == 0.5f ? r : v_mul(r, v_sqrt(r));
}

static inline __attribute__((always_inline)) void columns(const struct lrn_params *p, const float *x,
                                                          float *y, size_t n)
{
    size_t before = (p->size - 1) / 2, after = p->size - 1 - before, sp = p->spatial;
    vf bias = v_set1(p->bias), alpha = v_set1(p->alpha / (float)p->size);
    for (size_t c = 0; c < p->channels; c++) {
        size_t lo = c < before ? 0 : c - before;
        size_t hi = p->channels - c <= after ? p->channels : c + after + 1;
        vf sum = hi - lo == 5 ? square_sum(x, sp, lo, lo + 5, n) : square_sum(x, sp, lo, hi, n);
        vf v = n == VN ? v_load(x + c * sp) : v_load_n(x + c * sp, n);
        v = v_div(v, power(v_fma(alpha, sum, bias), p->beta));
        if (n == VN)
            v_store(y + c * sp, v);
        else
            v_store_n(y + c * sp, v, n);
    }
}

void VNAME(lrn)(const struct lrn_params *p, const float *x, float *y, size_t begin, size_t end)
{
    if (p->beta != 0.75f && p->beta != 0.5f && p->beta != 1.0f) {
        k_f32_lrn_c(p, x, y, begin, end);
        return;
    }
    for (; end - begin >= VN; begin += VN)
        columns(p, x + begin, y + begin, VN);
    if (begin < end)
        columns(p, x + begin, y + begin, end - begin);
}
