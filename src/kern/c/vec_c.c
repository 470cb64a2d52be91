/* Elementwise reference kernels that no template makes. */
#include "base/half.h"
#include "kern/kern.h"

void k_b8_and_c(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    const uint8_t *x = a, *y = b;
    uint8_t *o = out;
    size_t sx = form != BIN_SV, sy = form != BIN_VS;
    for (size_t i = 0; i < n; i++)
        o[i] = x[i * sx] && y[i * sy];
}

void k_b8_or_c(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    const uint8_t *x = a, *y = b;
    uint8_t *o = out;
    size_t sx = form != BIN_SV, sy = form != BIN_VS;
    for (size_t i = 0; i < n; i++)
        o[i] = x[i * sx] || y[i * sy];
}

void k_b8_xor_c(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    const uint8_t *x = a, *y = b;
    uint8_t *o = out;
    size_t sx = form != BIN_SV, sy = form != BIN_VS;
    for (size_t i = 0; i < n; i++)
        o[i] = !x[i * sx] != !y[i * sy];
}

void k_b8_eq_c(enum bin_form form, const void *a, const void *b, void *out, size_t n)
{
    const uint8_t *x = a, *y = b;
    uint8_t *o = out;
    size_t sx = form != BIN_SV, sy = form != BIN_VS;
    for (size_t i = 0; i < n; i++)
        o[i] = !x[i * sx] == !y[i * sy];
}

void k_b8_not_c(const void *in, void *out, size_t n, const struct un_params *p)
{
    const uint8_t *x = in;
    uint8_t *y = out;
    (void)p;
    for (size_t i = 0; i < n; i++)
        y[i] = !x[i];
}

void k_f32_axpy_c(float a, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = __builtin_fmaf(a, x[i], y[i]);
}

void k_f16_widen_c(const uint16_t *in, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f16_to_f32(in[i]);
}

void k_f16_narrow_c(const float *in, uint16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f16_from_f32(in[i]);
}

void k_bf16_widen_c(const uint16_t *in, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_to_f32(in[i]);
}

void k_bf16_narrow_c(const float *in, uint16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_from_f32(in[i]);
}
