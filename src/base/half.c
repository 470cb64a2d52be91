/* Every narrow float but E8M0 is sign, exponent and fraction of some widths, so one encoder from double
 * serves them all: a double holds each of their values exactly and leaves enough bits to round once. Sources:
 * IEEE 754-2008, OCP 8-bit Floating Point 1.0, OCP Microscaling Formats 1.0, arXiv 2206.02915 (FNUZ), and
 * ONNX's Cast for what becomes of values out of range. */
#include "half.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

struct narrow {
    int mbits, bias;
    uint32_t max; /* largest finite magnitude, as a code without sign */
};

static const struct narrow fmt_f16 = {10, 15, 0x7bff};
static const struct narrow fmt_bf16 = {7, 127, 0x7f7f};
static const struct narrow fmt_fp4 = {1, 1, 0x7};
static const struct narrow fmt_fp6[] = {
    [FP6_E2M3] = {3, 1, 0x1f},
    [FP6_E3M2] = {2, 3, 0x1f},
};
static const struct narrow fmt_fp8[] = {
    [FP8_E4M3FN] = {3, 7, 0x7e},
    [FP8_E4M3FNUZ] = {3, 8, 0x7f},
    [FP8_E5M2] = {2, 15, 0x7b},
    [FP8_E5M2FNUZ] = {2, 16, 0x7f},
};

static uint64_t bits_f64(double d)
{
    uint64_t u;

    memcpy(&u, &d, sizeof u);
    return u;
}

static uint32_t bits_f32(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    return u;
}

static float f32_bits(uint32_t u)
{
    float f;

    memcpy(&f, &u, sizeof f);
    return f;
}

/* v / 2^shift, to the nearest, ties to even; shift > 0. */
static uint64_t round_shift(uint64_t v, int shift)
{
    if (shift > 63)
        return 0;
    uint64_t kept = v >> shift, rest = v & ((1ull << shift) - 1), half = 1ull << (shift - 1);
    return kept + (rest > half || (rest == half && (kept & 1)));
}

/* Code of |d| rounded, d finite. May exceed f->max: the caller knows what overflow becomes (a carry out of
 * the fraction lands in the exponent by itself, because codes are ordered like values). */
static uint32_t encode(const struct narrow *f, double d)
{
    uint64_t u = bits_f64(d) & 0x7fffffffffffffffull;
    int exponent = (int)(u >> 52);
    uint64_t mantissa = u & 0xfffffffffffffull;

    if (exponent)
        mantissa |= 1ull << 52;
    else
        exponent = 1;
    int least = 1 - f->bias; /* of normal numbers; below it the spacing stays */
    int e = exponent - 1023;
    int step = e < least ? least : e;
    int shift = 52 - f->mbits + (step - e);
    uint32_t above = (uint32_t)(step - least);
    if (above > 0x10000)
        above = 0x10000;
    return (above << f->mbits) + (uint32_t)round_shift(mantissa, shift);
}

/* Value of a magnitude code of a finite number; subnormals included. */
static float decode(const struct narrow *f, uint32_t code)
{
    uint32_t exponent = code >> f->mbits, fraction = code & ((1u << f->mbits) - 1);

    if (exponent)
        return f32_bits((exponent + 127 - (uint32_t)f->bias) << 23 | fraction << (23 - f->mbits));
    /* fraction * 2^(1 - bias - mbits): the factor is a normal float for every format that comes here. */
    return (float)fraction * f32_bits((uint32_t)(128 - f->bias - f->mbits) << 23);
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, code = h & 0x7fff;

    if (code >= 0x7c00) /* infinity, or NaN with its payload */
        return f32_bits(sign | 0x7f800000 | (code & 0x3ff) << 13);
    return f32_bits(sign | bits_f32(decode(&fmt_f16, code)));
}

uint16_t f16_from_f64(double d)
{
    uint16_t sign = (uint16_t)(bits_f64(d) >> 48 & 0x8000);

    if (isnan(d))
        return (uint16_t)(sign | 0x7e00 | (bits_f64(d) >> 42 & 0x1ff));
    uint32_t code = isinf(d) ? 0x7c00 : encode(&fmt_f16, d);
    return (uint16_t)(sign | (code > fmt_f16.max ? 0x7c00 : code));
}

uint16_t f16_from_f32(float f)
{
    uint32_t u = bits_f32(f), magnitude = u & 0x7fffffff;

    /* Normal and no overflow: rebias and round in place. */
    if (magnitude >= 0x38800000 && magnitude < 0x477ff000) {
        uint32_t odd = magnitude >> 13 & 1;
        return (uint16_t)((u >> 16 & 0x8000) | (magnitude - 0x38000000 + 0xfff + odd) >> 13);
    }
    return f16_from_f64(f);
}

float bf16_to_f32(uint16_t h)
{
    return f32_bits((uint32_t)h << 16);
}

uint16_t bf16_from_f32(float f)
{
    uint32_t u = bits_f32(f);

    if (isnan(f)) /* quiet, or a payload in the low half alone would round to infinity */
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

uint16_t bf16_from_f64(double d)
{
    uint16_t sign = (uint16_t)(bits_f64(d) >> 48 & 0x8000);

    if (isnan(d))
        return (uint16_t)(sign | 0x7fc0 | (bits_f64(d) >> 45 & 0x3f));
    uint32_t code = isinf(d) ? 0x7f80 : encode(&fmt_bf16, d);
    return (uint16_t)(sign | (code > fmt_bf16.max ? 0x7f80 : code));
}

static bool is_fnuz(enum fp8_kind k)
{
    return k == FP8_E4M3FNUZ || k == FP8_E5M2FNUZ;
}

float fp8_to_f32(enum fp8_kind k, uint8_t v)
{
    uint32_t sign = (uint32_t)(v & 0x80) << 24, code = v & 0x7f;

    /* FNUZ has one NaN, where the others have negative zero. */
    if (is_fnuz(k) ? v == 0x80 : k == FP8_E4M3FN ? code == 0x7f : code > 0x7c)
        return f32_bits(sign | 0x7fc00000);
    if (k == FP8_E5M2 && code == 0x7c)
        return f32_bits(sign | 0x7f800000);
    return f32_bits(sign | bits_f32(decode(&fmt_fp8[k], code)));
}

uint8_t fp8_from_f64(enum fp8_kind k, double d, int saturate)
{
    const struct narrow *f = &fmt_fp8[k];
    uint8_t sign = (uint8_t)(bits_f64(d) >> 56 & 0x80);
    uint8_t nan = is_fnuz(k) ? 0x80 : (uint8_t)(sign | 0x7f);

    if (isnan(d))
        return nan;
    uint32_t code = isinf(d) ? f->max + 1 : encode(f, d);
    if (code > f->max) {
        if (!saturate)
            return k == FP8_E5M2 ? (uint8_t)(sign | 0x7c) : nan;
        code = f->max;
    }
    if (!code && is_fnuz(k))
        return 0;
    return (uint8_t)(sign | code);
}

uint8_t fp8_from_f32(enum fp8_kind k, float f, int saturate)
{
    return fp8_from_f64(k, f, saturate);
}

/* The formats below a byte: sign is the sign's bit, and there is neither NaN nor infinity. */
static float small_to_f32(const struct narrow *f, uint32_t sign, uint8_t v)
{
    uint32_t magnitude = bits_f32(decode(f, v & (sign - 1)));

    return f32_bits(v & sign ? magnitude | 0x80000000 : magnitude);
}

static uint8_t small_from_f64(const struct narrow *f, uint32_t sign, double d)
{
    if (isnan(d))
        return (uint8_t)f->max;
    uint32_t code = isinf(d) ? f->max : encode(f, d);
    return (uint8_t)((signbit(d) ? sign : 0) | (code > f->max ? f->max : code));
}

float fp4_to_f32(uint8_t v)
{
    return small_to_f32(&fmt_fp4, 0x8, v);
}

uint8_t fp4_from_f64(double d)
{
    return small_from_f64(&fmt_fp4, 0x8, d);
}

uint8_t fp4_from_f32(float f)
{
    return fp4_from_f64(f);
}

float fp6_to_f32(enum fp6_kind k, uint8_t v)
{
    return small_to_f32(&fmt_fp6[k], 0x20, v);
}

uint8_t fp6_from_f64(enum fp6_kind k, double d)
{
    return small_from_f64(&fmt_fp6[k], 0x20, d);
}

uint8_t fp6_from_f32(enum fp6_kind k, float f)
{
    return fp6_from_f64(k, f);
}

float e8m0_to_f32(uint8_t v)
{
    if (v == 0xff)
        return f32_bits(0x7fc00000);
    /* 2^(v - 127); the least one is subnormal in a float. */
    return f32_bits(v ? (uint32_t)v << 23 : 0x00400000);
}

/* The format has no sign and no zero. Cast leaves negative values open: their magnitude is taken. */
uint8_t e8m0_from_f64(double d, int saturate, int mode)
{
    double m = fabs(d);
    int e;

    if (isnan(d))
        return 0xff;
    if (isinf(d))
        return saturate ? 0xfe : 0xff;
    if (m == 0)
        return saturate ? 0 : 0xff;
    double fraction = frexp(m, &e); /* in [0.5, 1) */
    int code = e - 1 + 127;
    if (mode == 0 ? fraction > 0.5 : mode == 2 && fraction >= 0.75)
        code++;
    if (code < 0)
        return saturate ? 0 : 0xff;
    if (code > 0xfe)
        return saturate ? 0xfe : 0xff;
    return (uint8_t)code;
}

uint8_t e8m0_from_f32(float f, int saturate, int mode)
{
    return e8m0_from_f64(f, saturate, mode);
}
