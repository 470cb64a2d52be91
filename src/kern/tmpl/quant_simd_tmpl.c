/* Quantization to and from bytes; the same float operations as the reference, so the same integers. */
#include "kern/kern.h"
#include "kern/tmpl/v_math.h"

#define QNAME_CAT(tn, what, isa)  k_##tn##_##what##_##isa
#define QNAME_CAT2(tn, what, isa) QNAME_CAT(tn, what, isa)
#define QNAME(tn, what)           QNAME_CAT2(tn, what, V_ISA)

/* Rounded, shifted and clamped; NaN ends at lo (second operand of max). */
static inline vi to_quantum(vf x, vf zp, vf lo, vf hi)
{
    return v_to_int(v_min(v_max(v_add(v_nearest(x), zp), lo), hi));
}

static inline void quantize(const float *x, uint8_t *q, size_t n, float scale, int32_t zp, float lo, float hi)
{
    vf s = v_set1(scale), z = v_set1((float)zp), l = v_set1(lo), h = v_set1(hi);
    size_t i = 0;
    for (; i + VN <= n; i += VN)
        v_store_low8(q + i, to_quantum(v_div(v_load(x + i), s), z, l, h), VN);
    if (i < n)
        v_store_low8(q + i, to_quantum(v_div(v_load_n(x + i, n - i), s), z, l, h), n - i);
}

void QNAME(u8, quantize)(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize(x, q, n, scale, zp, 0.0f, 255.0f);
}
void QNAME(s8, quantize)(const float *x, void *q, size_t n, float scale, int32_t zp)
{
    quantize(x, q, n, scale, zp, -128.0f, 127.0f);
}

static inline __attribute__((always_inline)) void dequantize(const uint8_t *q, float *x, size_t n,
                                                             float scale, int32_t zp, bool is_signed)
{
    vf s = v_set1(scale);
    vi z = v_iset1(zp);
    for (size_t i = 0; i < n; i += VN) {
        size_t m = n - i < VN ? n - i : VN;
        vi v = is_signed ? v_load_s8(q + i, m) : v_load_u8(q + i, m);
        vf f = v_mul(v_to_float(v_isub(v, z)), s);
        if (m == VN)
            v_store(x + i, f);
        else
            v_store_n(x + i, f, m);
    }
}

void QNAME(u8, dequantize)(const void *q, float *x, size_t n, float scale, int32_t zp)
{
    dequantize(q, x, n, scale, zp, false);
}
void QNAME(s8, dequantize)(const void *q, float *x, size_t n, float scale, int32_t zp)
{
    dequantize(q, x, n, scale, zp, true);
}

static inline void requantize(const int32_t *acc, const int32_t *bias, const float *mult, bool per_column,
                              int32_t zp, uint8_t *q, size_t rows, size_t n, size_t ld, float lo, float hi)
{
    vf z = v_set1((float)zp), l = v_set1(lo), h = v_set1(hi);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i += VN) {
            size_t m = n - i < VN ? n - i : VN;
            vi v = v_iload_n(acc + r * ld + i, m);
            if (bias)
                v = v_iadd(v, v_iload_n(bias + i, m));
            vf k = !per_column ? v_set1(mult[0]) : m == VN ? v_load(mult + i) : v_load_n(mult + i, m);
            v_store_low8(q + r * ld + i, to_quantum(v_mul(v_to_float(v), k), z, l, h), m);
        }
}

void QNAME(u8, requantize)(const int32_t *acc, const int32_t *bias, const float *mult, bool per_column,
                           int32_t zp, void *q, size_t rows, size_t n, size_t ld)
{
    requantize(acc, bias, mult, per_column, zp, q, rows, n, ld, 0.0f, 255.0f);
}
void QNAME(s8, requantize)(const int32_t *acc, const int32_t *bias, const float *mult, bool per_column,
                           int32_t zp, void *q, size_t rows, size_t n, size_t ld)
{
    requantize(acc, bias, mult, per_column, zp, q, rows, n, ld, -128.0f, 127.0f);
}
