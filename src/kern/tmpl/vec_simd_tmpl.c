/* Elementwise float rows over the vector type: compiled for each instruction set by x86/vec_<isa>.c. Tails go
 * through a masked load of zeros, which no function here traps on. */
#include "kern/kern.h"
#include "kern/tmpl/v_math.h"
#include "kern/tmpl/v_names.h"

/* Parameters, spread over the lanes. */
struct consts {
    vf a, b;
};

typedef vf map_fn(vf x, const struct consts *c);

static inline __attribute__((always_inline)) void map(map_fn *f, const float *x, float *y, size_t n,
                                                      const struct un_params *p)
{
    struct consts c = {v_set1(p ? (float)p->a : 0.0f), v_set1(p ? (float)p->b : 0.0f)};
    size_t i = 0;
    for (; i + VN <= n; i += VN)
        v_store(y + i, f(v_load(x + i), &c));
    if (i < n)
        v_store_n(y + i, f(v_load_n(x + i, n - i), &c), n - i);
}

static inline vf v_clamp01(vf x)
{
    return v_max(v_set1(0.0f), v_min(v_set1(1.0f), x));
}

/* x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)) */
static inline vf v_gelu_tanh(vf x)
{
    vf t = v_fma(v_mul(v_mul(x, x), x), v_set1(0.044715f), x);
    return v_mul(x, v_sigmoid(v_mul(v_set1(1.59576912160573071176f), t)));
}

static inline vf v_mish(vf x)
{
    vf w = v_exp(v_min(v_set1(20.0f), x));
    vf u = v_mul(w, v_add(w, v_set1(2.0f)));
    return v_mul(x, v_div(u, v_add(u, v_set1(2.0f))));
}

typedef vf pair_fn(vf a, vf b);

static inline __attribute__((always_inline)) void pairs(pair_fn *f, enum bin_form form, const float *a,
                                                        const float *b, float *y, size_t n)
{
    size_t i = 0;
    if (n == 0)
        return;
    vf sa = v_set1(a[0]), sb = v_set1(b[0]);
    if (form == BIN_VV) {
        for (; i + VN <= n; i += VN)
            v_store(y + i, f(v_load(a + i), v_load(b + i)));
    } else if (form == BIN_VS) {
        for (; i + VN <= n; i += VN)
            v_store(y + i, f(v_load(a + i), sb));
    } else {
        for (; i + VN <= n; i += VN)
            v_store(y + i, f(sa, v_load(b + i)));
    }
    if (i < n) {
        vf va = form == BIN_SV ? sa : v_load_n(a + i, n - i);
        vf vb = form == BIN_VS ? sb : v_load_n(b + i, n - i);
        v_store_n(y + i, f(va, vb), n - i);
    }
}

static inline vf v_prelu(vf a, vf b)
{
    return v_sel(v_lt(a, v_set1(0.0f)), v_mul(a, b), a);
}

void VNAME(add)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    pairs(v_add, form, a, b, out, n);
}

void VNAME(sub)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    pairs(v_sub, form, a, b, out, n);
}

void VNAME(mul)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    pairs(v_mul, form, a, b, out, n);
}

void VNAME(div)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    pairs(v_div, form, a, b, out, n);
}

void VNAME(max)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    pairs(v_max_nan, form, a, b, out, n);
}

void VNAME(min)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    pairs(v_min_nan, form, a, b, out, n);
}

void VNAME(prelu)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    pairs(v_prelu, form, a, b, out, n);
}

static inline vf f_neg(vf x, const struct consts *c)
{
    (void)c;
    return v_neg(x);
}
void VNAME(neg)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_neg, in, out, n, p);
}

static inline vf f_abs(vf x, const struct consts *c)
{
    (void)c;
    return v_abs(x);
}
void VNAME(abs)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_abs, in, out, n, p);
}

static inline vf f_square(vf x, const struct consts *c)
{
    (void)c;
    return v_mul(x, x);
}
void VNAME(square)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_square, in, out, n, p);
}

static inline vf f_sqrt(vf x, const struct consts *c)
{
    (void)c;
    return v_sqrt(x);
}
void VNAME(sqrt)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_sqrt, in, out, n, p);
}

static inline vf f_reciprocal(vf x, const struct consts *c)
{
    (void)c;
    return v_div(v_set1(1.0f), x);
}
void VNAME(reciprocal)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_reciprocal, in, out, n, p);
}

static inline vf f_exp(vf x, const struct consts *c)
{
    (void)c;
    return v_exp(x);
}
void VNAME(exp)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_exp, in, out, n, p);
}

static inline vf f_log(vf x, const struct consts *c)
{
    (void)c;
    return v_log(x);
}
void VNAME(log)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_log, in, out, n, p);
}

static inline vf f_erf(vf x, const struct consts *c)
{
    (void)c;
    return v_erf(x);
}
void VNAME(erf)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_erf, in, out, n, p);
}

static inline vf f_tanh(vf x, const struct consts *c)
{
    (void)c;
    return v_tanh(x);
}
void VNAME(tanh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_tanh, in, out, n, p);
}

static inline vf f_sigmoid(vf x, const struct consts *c)
{
    (void)c;
    return v_sigmoid(x);
}
void VNAME(sigmoid)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_sigmoid, in, out, n, p);
}

static inline vf f_relu(vf x, const struct consts *c)
{
    (void)c;
    return v_max(v_set1(0.0f), x);
}
void VNAME(relu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_relu, in, out, n, p);
}

static inline vf f_leaky_relu(vf x, const struct consts *c)
{
    return v_sel(v_lt(x, v_set1(0.0f)), v_mul(c->a, x), x);
}
void VNAME(leaky_relu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_leaky_relu, in, out, n, p);
}

static inline vf f_elu(vf x, const struct consts *c)
{
    return v_sel(v_lt(x, v_set1(0.0f)), v_mul(c->a, v_expm1_neg(x)), x);
}
void VNAME(elu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_elu, in, out, n, p);
}

static inline vf f_selu(vf x, const struct consts *c)
{
    return v_mul(c->b, v_sel(v_lt(x, v_set1(0.0f)), v_mul(c->a, v_expm1_neg(x)), x));
}
void VNAME(selu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_selu, in, out, n, p);
}

static inline vf f_celu(vf x, const struct consts *c)
{
    return v_sel(v_lt(x, v_set1(0.0f)), v_mul(c->a, v_expm1_neg(v_div(x, c->a))), x);
}
void VNAME(celu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_celu, in, out, n, p);
}

static inline vf f_hard_sigmoid(vf x, const struct consts *c)
{
    return v_clamp01(v_add(v_mul(c->a, x), c->b));
}
void VNAME(hard_sigmoid)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_hard_sigmoid, in, out, n, p);
}

static inline vf f_hard_swish(vf x, const struct consts *c)
{
    (void)c;
    return v_mul(x, v_clamp01(v_add(v_mul(x, v_set1(0x1.555556p-3f)), v_set1(0.5f))));
}
void VNAME(hard_swish)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_hard_swish, in, out, n, p);
}

static inline vf f_softplus(vf x, const struct consts *c)
{
    (void)c;
    return v_add(v_max(v_set1(0.0f), x), v_log1p_unit(v_exp(v_neg(v_abs(x)))));
}
void VNAME(softplus)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_softplus, in, out, n, p);
}

static inline vf f_softsign(vf x, const struct consts *c)
{
    (void)c;
    return v_div(x, v_add(v_set1(1.0f), v_abs(x)));
}
void VNAME(softsign)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_softsign, in, out, n, p);
}

static inline vf f_silu(vf x, const struct consts *c)
{
    return v_mul(x, v_sigmoid(v_mul(c->a, x)));
}
void VNAME(silu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_silu, in, out, n, p);
}

static inline vf f_gelu(vf x, const struct consts *c)
{
    (void)c;
    return v_mul(v_mul(v_set1(0.5f), x), v_add(v_set1(1.0f), v_erf(v_mul(x, v_set1(0x1.6a09e6p-1f)))));
}
void VNAME(gelu)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_gelu, in, out, n, p);
}

static inline vf f_gelu_tanh(vf x, const struct consts *c)
{
    (void)c;
    return v_gelu_tanh(x);
}
void VNAME(gelu_tanh)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_gelu_tanh, in, out, n, p);
}

static inline vf f_mish(vf x, const struct consts *c)
{
    (void)c;
    return v_mish(x);
}
void VNAME(mish)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_mish, in, out, n, p);
}

static inline vf f_affine(vf x, const struct consts *c)
{
    return v_add(v_mul(c->a, x), c->b);
}
void VNAME(affine)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_affine, in, out, n, p);
}

static inline vf f_floor(vf x, const struct consts *c)
{
    (void)c;
    return v_floor(x);
}
void VNAME(floor)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_floor, in, out, n, p);
}

static inline vf f_ceil(vf x, const struct consts *c)
{
    (void)c;
    return v_ceil(x);
}
void VNAME(ceil)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_ceil, in, out, n, p);
}

static inline vf f_round(vf x, const struct consts *c)
{
    (void)c;
    return v_nearest(x);
}
void VNAME(round)(const void *in, void *out, size_t n, const struct un_params *p)
{
    map(f_round, in, out, n, p);
}

/* The order of operands keeps NaN, and lets hi win over lo. */
void VNAME(clip)(const void *in, void *out, size_t n, const void *lo, const void *hi)
{
    const float *x = in;
    float *y = out;
    vf l = v_set1(*(const float *)lo), h = v_set1(*(const float *)hi);
    size_t i = 0;
    for (; i + VN <= n; i += VN)
        v_store(y + i, v_min(h, v_max(l, v_load(x + i))));
    if (i < n)
        v_store_n(y + i, v_min(h, v_max(l, v_load_n(x + i, n - i))), n - i);
}

void VNAME(axpy)(float a, const float *x, float *y, size_t n)
{
    vf va = v_set1(a);
    size_t i = 0;
    for (; i + VN <= n; i += VN)
        v_store(y + i, v_fma(va, v_load(x + i), v_load(y + i)));
    if (i < n)
        v_store_n(y + i, v_fma(va, v_load_n(x + i, n - i), v_load_n(y + i, n - i)), n - i);
}
