/* Binary operations that every numeric type has, and Clip. */
#include <math.h>

#include "kern/kern.h"

typedef T scalar_fn(T a, T b);
typedef bool scalar_cmp(T a, T b);

/* f is a constant at every call, so that each loop is its own. */
static inline __attribute__((always_inline)) void loop(scalar_fn *f, enum bin_form form, const T *a,
                                                       const T *b, T *out, size_t n)
{
    if (form == BIN_VV) {
        for (size_t i = 0; i < n; i++)
            out[i] = f(a[i], b[i]);
    } else if (form == BIN_VS) {
        T s = n ? b[0] : 0;
        for (size_t i = 0; i < n; i++)
            out[i] = f(a[i], s);
    } else {
        T s = n ? a[0] : 0;
        for (size_t i = 0; i < n; i++)
            out[i] = f(s, b[i]);
    }
}

static inline __attribute__((always_inline)) void loop_cmp(scalar_cmp *f, enum bin_form form, const T *a,
                                                           const T *b, uint8_t *out, size_t n)
{
    if (form == BIN_VV) {
        for (size_t i = 0; i < n; i++)
            out[i] = f(a[i], b[i]);
    } else if (form == BIN_VS) {
        T s = n ? b[0] : 0;
        for (size_t i = 0; i < n; i++)
            out[i] = f(a[i], s);
    } else {
        T s = n ? a[0] : 0;
        for (size_t i = 0; i < n; i++)
            out[i] = f(s, b[i]);
    }
}

static inline T add(T a, T b)
{
    return (T)((UT)a + (UT)b);
}
static inline T sub(T a, T b)
{
    return (T)((UT)a - (UT)b);
}
static inline T mul(T a, T b)
{
    return (T)((UT)a * (UT)b);
}
static inline T max(T a, T b)
{
    return a > b || is_nan(a) ? a : b;
}
static inline T min(T a, T b)
{
    return a < b || is_nan(a) ? a : b;
}
static inline T prelu(T a, T b)
{
    return is_negative(a) ? mul(a, b) : a;
}
static inline bool eq(T a, T b)
{
    return a == b;
}
static inline bool lt(T a, T b)
{
    return a < b;
}
static inline bool le(T a, T b)
{
    return a <= b;
}
static inline bool gt(T a, T b)
{
    return a > b;
}
static inline bool ge(T a, T b)
{
    return a >= b;
}

#if T_FLOAT
static inline T div_(T a, T b)
{
    return a / b;
}
static inline T fmod_(T a, T b)
{
    return M(fmod)(a, b);
}
static inline T mod(T a, T b)
{
    T r = M(fmod)(a, b);
    return r != 0 && is_negative(r) != is_negative(b) ? r + b : r;
}
static inline T pow_(T a, T b)
{
    return M(pow)(a, b);
}
#else
static inline T div_(T a, T b)
{
    if (b == 0)
        return 0;
    if (T_SIGNED && b == (T)-1)
        return sub(0, a);
    return (T)(a / b);
}
static inline T fmod_(T a, T b)
{
    return b == 0 || (T_SIGNED && b == (T)-1) ? 0 : (T)(a % b);
}
static inline T mod(T a, T b)
{
    T r = fmod_(a, b);
    return r != 0 && is_negative(r) != is_negative(b) ? (T)(r + b) : r;
}
static inline T pow_(T a, T b)
{
    if (is_negative(b))
        return a == 1 ? 1 : a == (T)-1 ? (T)(b % 2 ? -1 : 1) : 0;
    UT r = 1, base = (UT)a;
    for (uint64_t e = (uint64_t)b; e; e >>= 1) {
        if (e & 1)
            r *= base;
        base *= base;
    }
    return (T)r;
}
#endif

void NAME(add)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(add, form, a, b, out, n);
}
void NAME(sub)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(sub, form, a, b, out, n);
}
void NAME(mul)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(mul, form, a, b, out, n);
}
void NAME(div)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(div_, form, a, b, out, n);
}
void NAME(mod)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(mod, form, a, b, out, n);
}
void NAME(fmod)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(fmod_, form, a, b, out, n);
}
void NAME(max)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(max, form, a, b, out, n);
}
void NAME(min)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(min, form, a, b, out, n);
}
void NAME(pow)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
#if T_FLOAT
    if (n && form == BIN_VS && *(const T *)b == 2) { /* the usual case, and x x is what pow rounds to */
        loop(mul, BIN_VV, a, a, out, n);
        return;
    }
#endif
    loop(pow_, form, a, b, out, n);
}
void NAME(prelu)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(prelu, form, a, b, out, n);
}
void NAME(eq)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop_cmp(eq, form, a, b, out, n);
}
void NAME(lt)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop_cmp(lt, form, a, b, out, n);
}
void NAME(le)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop_cmp(le, form, a, b, out, n);
}
void NAME(gt)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop_cmp(gt, form, a, b, out, n);
}
void NAME(ge)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop_cmp(ge, form, a, b, out, n);
}

void NAME(clip)(const void *in, void *out, size_t n, const void *lo, const void *hi)
{
    const T *x = in;
    T *y = out, l = *(const T *)lo, h = *(const T *)hi;
    for (size_t i = 0; i < n; i++) {
        T v = x[i] < l ? l : x[i];
        y[i] = v > h ? h : v;
    }
}
