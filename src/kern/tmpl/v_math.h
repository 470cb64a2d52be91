/* Transcendental functions over the vector type of v_avx2.h or v_avx512.h, which must be included before.
 * Polynomials are weighted minimax fits made for these ranges. Bounds, checked by checkkern against double
 * libm, all finite inputs: exp 1 ULP, expm1 2, log 1, tanh 3, sigmoid 3, erf 2 (v_math_bounds in its cases
 * says the same). */
#ifndef OT_KERN_V_MATH_H
#define OT_KERN_V_MATH_H

/* Bits of the sign alone; x without it; x with the sign of s. */
static inline vi v_signbit(vf x)
{
    return v_iand(v_bits(x), v_iset1(INT32_MIN));
}
static inline vf v_abs(vf x)
{
    return v_from_bits(v_iand(v_bits(x), v_iset1(INT32_MAX)));
}
static inline vf v_with_sign(vf x, vf s)
{
    return v_from_bits(v_ior(v_bits(x), v_signbit(s)));
}
static inline vf v_neg(vf x)
{
    return v_from_bits(v_ixor(v_bits(x), v_iset1(INT32_MIN)));
}
/* Maximum and minimum that keep a NaN of either side. */
static inline vf v_max_nan(vf a, vf b)
{
    return v_sel(v_nan(a), a, v_max(a, b));
}
static inline vf v_min_nan(vf a, vf b)
{
    return v_sel(v_nan(a), a, v_min(a, b));
}
/* 2^n for integers n in [-126, 127]. */
static inline vf v_pow2(vi n)
{
    return v_from_bits(v_shl23(v_iadd(n, v_iset1(127))));
}

/* Cody-Waite: x = n ln 2 + r, |r| <= ln 2 / 2. */
static inline vf v_exp_reduce(vf x, vi *n)
{
    vf k = v_nearest(v_mul(x, v_set1(0x1.715476p+0f)));
    *n = v_to_int(k);
    vf r = v_fnma(k, v_set1(0x1.62e4p-1f), x);
    return v_fnma(k, v_set1(0x1.7f7d1cp-20f), r);
}

/* e^r - 1 on the reduced range: r + r^2 q(r) */
static inline vf v_expm1_reduced(vf r)
{
    vf q = v_set1(0x1.a19ee6p-13f);
    q = v_fma(q, r, v_set1(0x1.6d7540p-10f));
    q = v_fma(q, r, v_set1(0x1.111092p-7f));
    q = v_fma(q, r, v_set1(0x1.5554aep-5f));
    q = v_fma(q, r, v_set1(0x1.555556p-3f));
    q = v_fma(q, r, v_set1(0.5f));
    return v_fma(v_mul(r, r), q, r);
}

/* Two factors, so that the result may be denormal or infinite. NaN stays (second operand of min and max). */
static inline vf v_exp(vf x)
{
    vi n;
    x = v_max(v_set1(-104.0f), v_min(v_set1(89.0f), x));
    vf r = v_exp_reduce(x, &n);
    vf p = v_add(v_expm1_reduced(r), v_set1(1.0f));
    vi h = v_isar(n, 1);
    return v_mul(v_mul(p, v_pow2(h)), v_pow2(v_isub(n, h)));
}

/* e^x for x <= 0 where a result below 2^-125 may be zero: for sums of exponentials. Takes -Inf, keeps NaN. */
static inline vf v_exp_neg(vf x)
{
    vi n;
    vf c = v_max(v_set1(-87.0f), x);
    vf r = v_exp_reduce(c, &n);
    vf p = v_mul(v_add(v_expm1_reduced(r), v_set1(1.0f)), v_pow2(n));
    return v_sel(v_lt(x, v_set1(-87.0f)), v_set1(0.0f), p);
}

/* e^x - 1 for x <= 44 or so; larger ones are the caller's to clamp. */
static inline vf v_expm1_small(vf x)
{
    vi n;
    vf r = v_exp_reduce(x, &n);
    vf s = v_pow2(n);
    return v_fma(v_expm1_reduced(r), s, v_sub(s, v_set1(1.0f)));
}

/* e^x - 1 for x <= 0 */
static inline vf v_expm1_neg(vf x)
{
    return v_expm1_small(v_max(v_set1(-44.0f), x));
}

/* (e^2a - 1) / (e^2a + 1) with a = |x|; 1 from 9.01 on */
static inline vf v_tanh(vf x)
{
    vf a = v_min(v_set1(10.0f), v_abs(x));
    vf e = v_expm1_small(v_add(a, a));
    return v_with_sign(v_div(e, v_add(e, v_set1(2.0f))), x);
}

/* With t = e^-|x|: 1 / (1 + t), or t / (1 + t) for negative x, which keeps the far tail exact. */
static inline vf v_sigmoid(vf x)
{
    vf t = v_exp(v_neg(v_abs(x)));
    vf d = v_div(v_sel(v_lt(x, v_set1(0.0f)), t, v_set1(1.0f)), v_add(t, v_set1(1.0f)));
    return v_sel(v_nan(x), x, d);
}

/* Small |x|: x P(x^2). Else 1 - e^-Q(|x|) with Q = -ln erfc fitted on [0.9, 4]; 1 beyond 3.92. */
static inline vf v_erf_small(vf x)
{
    vf t = v_mul(x, x);
    vf p = v_set1(0x1.5f9534p-14f);
    p = v_fma(p, t, v_set1(-0x1.ab105ap-11f));
    p = v_fma(p, t, v_set1(0x1.54df1ap-8f));
    p = v_fma(p, t, v_set1(-0x1.b810e8p-6f));
    p = v_fma(p, t, v_set1(0x1.ce2e24p-4f));
    p = v_fma(p, t, v_set1(-0x1.812744p-2f));
    p = v_fma(p, t, v_set1(0x1.06eba8p-3f));
    return v_fma(p, x, x);
}

static inline vf v_erfc_large(vf a)
{
    vf q = v_set1(0x1.5d723cp-16f);
    q = v_fma(q, a, v_set1(-0x1.c45954p-12f));
    q = v_fma(q, a, v_set1(0x1.106262p-8f));
    q = v_fma(q, a, v_set1(-0x1.9aebbap-6f));
    q = v_fma(q, a, v_set1(0x1.bb454cp-4f));
    q = v_fma(q, a, v_set1(0x1.444d1ep-1f));
    q = v_fma(q, a, v_set1(0x1.212626p+0f));
    q = v_fma(q, a, v_set1(-0x1.62d950p-13f));
    return v_exp_neg(v_neg(q));
}

static inline vf v_erf(vf x)
{
    vf a = v_abs(x);
    vf big = v_sub(v_set1(1.0f), v_erfc_large(v_min(v_set1(4.0f), a)));
    big = v_with_sign(big, x);
    return v_sel(v_lt(a, v_set1(0.92f)), v_erf_small(x), v_sel(v_nan(x), x, big));
}

/* x = 2^e m, m in [sqrt 1/2, sqrt 2): ln x = e ln 2 + f - f^2/2 + f^3 P(f), f = m - 1. Positive normal x. */
static inline vf v_log_normal(vf x, vf e)
{
    vi b = v_isub(v_bits(x), v_iset1(0x3f3504f3));
    vi k = v_isar(b, 23);
    vf m = v_from_bits(v_iadd(v_iand(b, v_iset1(0x007fffff)), v_iset1(0x3f3504f3)));
    e = v_add(e, v_to_float(k));
    vf f = v_sub(m, v_set1(1.0f));
    vf p = v_set1(0x1.14573ep-4f);
    p = v_fma(p, f, v_set1(-0x1.de3bf8p-4f));
    p = v_fma(p, f, v_set1(0x1.e6f08cp-4f));
    p = v_fma(p, f, v_set1(-0x1.fc220ep-4f));
    p = v_fma(p, f, v_set1(0x1.233766p-3f));
    p = v_fma(p, f, v_set1(-0x1.555c4ep-3f));
    p = v_fma(p, f, v_set1(0x1.99a4b6p-3f));
    p = v_fma(p, f, v_set1(-0x1.000006p-2f));
    p = v_fma(p, f, v_set1(0x1.555548p-2f));
    vf f2 = v_mul(f, f);
    vf t = v_fma(v_mul(f2, f), p, v_mul(e, v_set1(-0x1.05c61p-29f)));
    t = v_fnma(v_set1(0.5f), f2, t);
    return v_fma(e, v_set1(0x1.62e43p-1f), v_add(f, t));
}

static inline vf v_log(vf x)
{
    vm tiny = v_lt(x, v_set1(0x1p-126f));
    vf y = v_sel(tiny, v_mul(x, v_set1(0x1p+23f)), x);
    vf r = v_log_normal(y, v_sel(tiny, v_set1(-23.0f), v_set1(0.0f)));
    r = v_sel(v_lt(v_set1(0x1.fffffep+127f), x), x, r);
    r = v_sel(v_lt(x, v_set1(0x1p-149f)), v_set1(-__builtin_inff()), r);
    r = v_sel(v_lt(x, v_set1(0.0f)), v_set1(__builtin_nanf("")), r);
    return v_sel(v_nan(x), x, r);
}

/* ln(1 + t), 0 <= t <= 1: the rounding of 1 + t is put back. */
static inline vf v_log1p_unit(vf t)
{
    vf u = v_add(v_set1(1.0f), t);
    vf lost = v_sub(t, v_sub(u, v_set1(1.0f)));
    return v_add(v_log_normal(u, v_set1(0.0f)), v_div(lost, u));
}

#endif
