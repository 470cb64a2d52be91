/* Operations that only integers have. */
#include "kern/kern.h"

enum { T_BITS = sizeof(T) * 8 };

static inline T bit_and(T a, T b)
{
    return a & b;
}
static inline T bit_or(T a, T b)
{
    return a | b;
}
static inline T bit_xor(T a, T b)
{
    return a ^ b;
}

void NAME (and)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(bit_and, form, a, b, out, n);
}
void NAME(or)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(bit_or, form, a, b, out, n);
}
void NAME (xor)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(bit_xor, form, a, b, out, n);
}

/* A shift by the width or more, or by less than nothing, leaves what many single shifts would. */
static inline T shl(T a, T b)
{
    return is_negative(b) || b >= T_BITS ? 0 : (T)((UT)a << b);
}
static inline T shr(T a, T b)
{
    if (!is_negative(b) && b < T_BITS)
        return (T)(a >> b);
    return is_negative(a) ? (T)-1 : 0;
}
void NAME(shl)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(shl, form, a, b, out, n);
}
void NAME(shr)(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    loop(shr, form, a, b, out, n);
}

void NAME(bit_not)(const void *in, void *out, size_t n, const struct un_params *p)
{
    const T *x = in;
    T *y = out;
    (void)p;
    for (size_t i = 0; i < n; i++)
        y[i] = (T)~x[i];
}
