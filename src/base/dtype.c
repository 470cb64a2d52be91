/* The element types, from dtype.def: their properties, and one scalar in and out. */
#include "dtype.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "half.h"

/* Truncated toward zero; NaN gives 0, and what int64 cannot hold is clamped. */
static int64_t f64_to_i64(double v)
{
    if (isnan(v))
        return 0;
    if (v >= 0x1p63)
        return INT64_MAX;
    if (v < -0x1p63)
        return INT64_MIN;
    return (int64_t)v;
}

static uint64_t f64_to_u64(double v)
{
    if (v < 0x1p63)
        return (uint64_t)f64_to_i64(v);
    if (v >= 0x1p64)
        return UINT64_MAX;
    return isnan(v) ? 0 : (uint64_t)v;
}

/* v as a double, inexact ones rounded so that the last bit is odd: a second rounding to any narrower type
 * then gives what one rounding of v would have given. */
static double i64_to_odd_f64(int64_t v)
{
    uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    if (m >> 53) {
        uint64_t dropped = (1ull << (11 - __builtin_clzll(m))) - 1;
        if (m & dropped)
            m = (m & ~dropped) | (dropped + 1);
    }
    return v < 0 ? -(double)m : (double)m;
}

/* Low bits of v as a signed number of that width. */
static int8_t sign_extend(int64_t v, int bits)
{
    unsigned x = (unsigned)v & ((1u << bits) - 1), sign = 1u << (bits - 1);

    return (int8_t)((int)(x ^ sign) - (int)sign);
}

struct cplx64 {
    float re, im;
};
struct cplx128 {
    double re, im;
};

#define NAME        FLOAT
#define T           float
#define FROM_F64(v) ((float)(v))
#define FROM_F32(v) (v)
#define FROM_I64(v) ((float)(v))
#include "scalar_tmpl.h"

#define NAME        DOUBLE
#define T           double
#define FROM_F64(v) (v)
#define FROM_I64(v) ((double)(v))
#include "scalar_tmpl.h"

#define NAME        FLOAT16
#define T           uint16_t
#define TO_F64(x)   ((double)f16_to_f32(x))
#define TO_F32(x)   f16_to_f32(x)
#define FROM_F64(v) f16_from_f64(v)
#define FROM_F32(v) f16_from_f32(v)
#include "scalar_tmpl.h"

#define NAME        BFLOAT16
#define T           uint16_t
#define TO_F64(x)   ((double)bf16_to_f32(x))
#define TO_F32(x)   bf16_to_f32(x)
#define FROM_F64(v) bf16_from_f64(v)
#define FROM_F32(v) bf16_from_f32(v)
#include "scalar_tmpl.h"

#define NAME        FLOAT8E4M3FN
#define T           uint8_t
#define TO_F64(x)   ((double)fp8_to_f32(FP8_E4M3FN, x))
#define FROM_F64(v) fp8_from_f64(FP8_E4M3FN, v, 1)
#include "scalar_tmpl.h"

#define NAME        FLOAT8E4M3FNUZ
#define T           uint8_t
#define TO_F64(x)   ((double)fp8_to_f32(FP8_E4M3FNUZ, x))
#define FROM_F64(v) fp8_from_f64(FP8_E4M3FNUZ, v, 1)
#include "scalar_tmpl.h"

#define NAME        FLOAT8E5M2
#define T           uint8_t
#define TO_F64(x)   ((double)fp8_to_f32(FP8_E5M2, x))
#define FROM_F64(v) fp8_from_f64(FP8_E5M2, v, 1)
#include "scalar_tmpl.h"

#define NAME        FLOAT8E5M2FNUZ
#define T           uint8_t
#define TO_F64(x)   ((double)fp8_to_f32(FP8_E5M2FNUZ, x))
#define FROM_F64(v) fp8_from_f64(FP8_E5M2FNUZ, v, 1)
#include "scalar_tmpl.h"

#define NAME        FLOAT4E2M1
#define T           uint8_t
#define TO_F64(x)   ((double)fp4_to_f32(x))
#define FROM_F64(v) fp4_from_f64(v)
#include "scalar_tmpl.h"

#define NAME        FLOAT6E2M3
#define T           uint8_t
#define TO_F64(x)   ((double)fp6_to_f32(FP6_E2M3, x))
#define FROM_F64(v) fp6_from_f64(FP6_E2M3, v)
#include "scalar_tmpl.h"

#define NAME        FLOAT6E3M2
#define T           uint8_t
#define TO_F64(x)   ((double)fp6_to_f32(FP6_E3M2, x))
#define FROM_F64(v) fp6_from_f64(FP6_E3M2, v)
#include "scalar_tmpl.h"

/* Rounded up, Cast's default. */
#define NAME        FLOAT8E8M0
#define T           uint8_t
#define TO_F64(x)   ((double)e8m0_to_f32(x))
#define FROM_F64(v) e8m0_from_f64(v, 1, 0)
#include "scalar_tmpl.h"

#define NAME        INT8
#define T           int8_t
#define TO_I64(x)   (x)
#define FROM_F64(v) ((int8_t)f64_to_i64(v))
#define FROM_I64(v) ((int8_t)(v))
#include "scalar_tmpl.h"

#define NAME        INT16
#define T           int16_t
#define TO_I64(x)   (x)
#define FROM_F64(v) ((int16_t)f64_to_i64(v))
#define FROM_I64(v) ((int16_t)(v))
#include "scalar_tmpl.h"

#define NAME        INT32
#define T           int32_t
#define TO_F32(x)   ((float)(x))
#define TO_I64(x)   (x)
#define FROM_F64(v) ((int32_t)f64_to_i64(v))
#define FROM_I64(v) ((int32_t)(v))
#include "scalar_tmpl.h"

#define NAME        INT64
#define T           int64_t
#define TO_F32(x)   ((float)(x))
#define TO_I64(x)   (x)
#define FROM_F64(v) f64_to_i64(v)
#define FROM_I64(v) (v)
#include "scalar_tmpl.h"

#define NAME        UINT8
#define T           uint8_t
#define TO_I64(x)   (x)
#define FROM_F64(v) ((uint8_t)f64_to_i64(v))
#define FROM_I64(v) ((uint8_t)(v))
#include "scalar_tmpl.h"

#define NAME        UINT16
#define T           uint16_t
#define TO_I64(x)   (x)
#define FROM_F64(v) ((uint16_t)f64_to_i64(v))
#define FROM_I64(v) ((uint16_t)(v))
#include "scalar_tmpl.h"

#define NAME        UINT32
#define T           uint32_t
#define TO_F32(x)   ((float)(x))
#define TO_I64(x)   (x)
#define FROM_F64(v) ((uint32_t)f64_to_i64(v))
#define FROM_I64(v) ((uint32_t)(v))
#include "scalar_tmpl.h"

#define NAME        UINT64
#define T           uint64_t
#define TO_F32(x)   ((float)(x))
#define TO_I64(x)   ((int64_t)(x))
#define FROM_F64(v) f64_to_u64(v)
#define FROM_I64(v) ((uint64_t)(v))
#include "scalar_tmpl.h"

#define NAME        BOOL
#define T           uint8_t
#define TO_F64(x)   ((x) ? 1.0 : 0.0)
#define TO_I64(x)   ((x) != 0)
#define FROM_F64(v) ((v) != 0)
#define FROM_I64(v) ((v) != 0)
#include "scalar_tmpl.h"

#define NAME        INT4
#define T           int8_t
#define TO_I64(x)   (x)
#define FROM_F64(v) sign_extend(f64_to_i64(v), 4)
#define FROM_I64(v) sign_extend(v, 4)
#include "scalar_tmpl.h"

#define NAME        INT2
#define T           int8_t
#define TO_I64(x)   (x)
#define FROM_F64(v) sign_extend(f64_to_i64(v), 2)
#define FROM_I64(v) sign_extend(v, 2)
#include "scalar_tmpl.h"

#define NAME        UINT4
#define T           uint8_t
#define TO_I64(x)   (x)
#define FROM_F64(v) ((uint8_t)(f64_to_i64(v) & 15))
#define FROM_I64(v) ((uint8_t)((v)&15))
#include "scalar_tmpl.h"

#define NAME        UINT2
#define T           uint8_t
#define TO_I64(x)   (x)
#define FROM_F64(v) ((uint8_t)(f64_to_i64(v) & 3))
#define FROM_I64(v) ((uint8_t)((v)&3))
#include "scalar_tmpl.h"

#define NAME        COMPLEX64
#define T           struct cplx64
#define TO_F64(x)   ((double)(x).re)
#define FROM_F64(v) ((struct cplx64){(float)(v), 0})
#define FROM_I64(v) ((struct cplx64){(float)(v), 0})
#include "scalar_tmpl.h"

#define NAME        COMPLEX128
#define T           struct cplx128
#define TO_F64(x)   ((x).re)
#define FROM_F64(v) ((struct cplx128){(v), 0})
#define FROM_I64(v) ((struct cplx128){(double)(v), 0})
#include "scalar_tmpl.h"

#define load_f64_STRING  NULL
#define store_f64_STRING NULL
#define load_i64_STRING  NULL
#define store_i64_STRING NULL
#define to_f32_STRING    NULL
#define from_f32_STRING  NULL

static const struct dtype_info infos[DT_COUNT] = {
#define DT(name, num, text, bits, bytes, cls)                                                                \
    [num] = {#text,           DT_##name,       CLS_##cls, bits, bytes, load_f64_##name, store_f64_##name,    \
             load_i64_##name, store_i64_##name},
#include "dtype.def"
#undef DT
};

static const struct {
    void (*to_f32)(const void *src, float *dst, size_t n);
    void (*from_f32)(const float *src, void *dst, size_t n);
} bulk[DT_COUNT] = {
#define DT(name, num, text, bits, bytes, cls) [num] = {to_f32_##name, from_f32_##name},
#include "dtype.def"
#undef DT
};

const struct dtype_info *dtype_info(int dt)
{
    return &infos[dt > 0 && dt < DT_COUNT ? dt : 0];
}

const char *dtype_name(int dt)
{
    /* A few, so that one message can name two of them. */
    static _Thread_local char text[4][24];
    static _Thread_local unsigned next;

    if (dtype_info(dt)->name)
        return dtype_info(dt)->name;
    if (dt == DT_UNDEFINED)
        return "undefined";
    char *buf = text[next++ % 4];
    snprintf(buf, sizeof text[0], "type %d", dt);
    return buf;
}

enum dtype dtype_parse(const char *name)
{
    static const struct {
        const char *name;
        enum dtype dt;
    } others[] = {
        {"float32", DT_FLOAT},  {"f32", DT_FLOAT},       {"f4", DT_FLOAT},     {"single", DT_FLOAT},
        {"float64", DT_DOUBLE}, {"f64", DT_DOUBLE},      {"f8", DT_DOUBLE},    {"half", DT_FLOAT16},
        {"f16", DT_FLOAT16},    {"f2", DT_FLOAT16},      {"fp16", DT_FLOAT16}, {"fp32", DT_FLOAT},
        {"bf16", DT_BFLOAT16},  {"i8", DT_INT8},         {"i16", DT_INT16},    {"i32", DT_INT32},
        {"i64", DT_INT64},      {"u8", DT_UINT8},        {"u16", DT_UINT16},   {"u32", DT_UINT32},
        {"u64", DT_UINT64},     {"i4", DT_INT4},         {"u4", DT_UINT4},     {"i2", DT_INT2},
        {"u2", DT_UINT2},       {"int", DT_INT64},       {"bool_", DT_BOOL},   {"str", DT_STRING},
        {"c64", DT_COMPLEX64},  {"c128", DT_COMPLEX128},
    };

    for (int dt = 1; dt < DT_COUNT; dt++)
        if (strcasecmp(infos[dt].name, name) == 0)
            return (enum dtype)dt;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(others[i].name, name) == 0)
            return others[i].dt;
    return DT_UNDEFINED;
}

bool dtype_is_float(int dt)
{
    return dtype_info(dt)->cls == CLS_FLOAT;
}

bool dtype_is_int(int dt)
{
    return dtype_info(dt)->cls == CLS_INT || dtype_info(dt)->cls == CLS_UINT;
}

void dtype_to_f32(enum dtype dt, const void *src, float *dst, size_t n)
{
    if (bulk[dt].to_f32)
        bulk[dt].to_f32(src, dst, n);
}

void dtype_from_f32(enum dtype dt, const float *src, void *dst, size_t n)
{
    if (bulk[dt].from_f32)
        bulk[dt].from_f32(src, dst, n);
}

bool dtype_file_size(enum dtype dt, uint64_t n, uint64_t *bytes)
{
    uint64_t bits = infos[dt].bits;

    if (bits && bits < 8) {
        *bytes = n / 8 * bits + (n % 8 * bits + 7) / 8;
        return true;
    }
    return !__builtin_mul_overflow(n, bits / 8, bytes);
}

void dtype_pack(enum dtype dt, const void *mem, void *file, size_t n)
{
    unsigned bits = infos[dt].bits, pending = 0, npending = 0;
    const uint8_t *src = mem;
    uint8_t *dst = file;

    if (bits == 0 || bits >= 8) {
        if (n)
            memcpy(file, mem, n * infos[dt].size);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        pending |= (src[i] & ((1u << bits) - 1)) << npending;
        npending += bits;
        if (npending >= 8) {
            *dst++ = (uint8_t)pending;
            pending >>= 8;
            npending -= 8;
        }
    }
    if (npending)
        *dst = (uint8_t)pending;
}

void dtype_unpack(enum dtype dt, const void *file, void *mem, size_t n)
{
    unsigned bits = infos[dt].bits, pending = 0, npending = 0;
    bool is_signed = infos[dt].cls == CLS_INT;
    const uint8_t *src = file;
    uint8_t *dst = mem;

    if (bits == 0 || bits >= 8) {
        if (n)
            memcpy(mem, file, n * infos[dt].size);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (npending < bits) {
            pending |= (unsigned)*src++ << npending;
            npending += 8;
        }
        unsigned v = pending & ((1u << bits) - 1);
        dst[i] = is_signed ? (uint8_t)sign_extend(v, (int)bits) : (uint8_t)v;
        pending >>= bits;
        npending -= bits;
    }
}
