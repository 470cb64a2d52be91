/* Casts by block: source -> float, double or int64 -> target. Types below 8 bits are read as the byte that
 * holds them; after a store their surplus bits are cut off. */
#include <string.h>

#include "base/half.h"
#include "kern/kern.h"

enum { BLOCK = 512 };

/* One block in the type that it travels in. */
union hub {
    float f[BLOCK];
    double d[BLOCK];
    int64_t i[BLOCK];
};

/* The type whose rows serve dt's bytes. */
static enum dtype storage(enum dtype dt)
{
    const struct dtype_info *t = dtype_info(dt);
    if (t->cls == CLS_BOOL || (t->cls == CLS_UINT && t->bits < 8))
        return DT_UINT8;
    return t->cls == CLS_INT && t->bits < 8 ? DT_INT8 : dt;
}

static bool is_complex(enum dtype dt)
{
    return dtype_info(dt)->cls == CLS_COMPLEX;
}

static bool is_narrow_float(enum dtype dt)
{
    return dtype_is_float(dt) && dt != DT_FLOAT && dt != DT_DOUBLE;
}

bool cast_supported(enum dtype from, enum dtype to)
{
    enum dtype_class f = dtype_info(from)->cls, t = dtype_info(to)->cls;
    return f != CLS_NONE && t != CLS_NONE && f != CLS_STRING && t != CLS_STRING;
}

static enum dtype hub_of(enum dtype from, enum dtype to)
{
    if (from == DT_DOUBLE || (to == DT_DOUBLE && !is_narrow_float(from)))
        return DT_DOUBLE;
    if (dtype_is_float(from) || dtype_is_float(to))
        return DT_FLOAT;
    return DT_INT64;
}

static void load(const struct kern *k, enum dtype from, enum dtype hub, const void *in, union hub *h,
                 size_t n)
{
    enum dtype f = storage(from);
    if (f == hub)
        memcpy(h, in, n * dtype_size(f));
    else if (f == DT_FLOAT16)
        k->vec.f16_to_f32(in, h->f, n);
    else if (f == DT_BFLOAT16)
        k->vec.bf16_to_f32(in, h->f, n);
    else if (is_narrow_float(f))
        dtype_to_f32(f, in, h->f, n);
    else
        k->cast.direct[f][hub](in, h, n);
}

static const int8_t fp8_kinds[DT_COUNT] = {
    [DT_FLOAT8E4M3FN] = FP8_E4M3FN + 1,
    [DT_FLOAT8E4M3FNUZ] = FP8_E4M3FNUZ + 1,
    [DT_FLOAT8E5M2] = FP8_E5M2 + 1,
    [DT_FLOAT8E5M2FNUZ] = FP8_E5M2FNUZ + 1,
};

/* Float to a float type below 16 bits. */
static void store_small_float(enum dtype to, const float *x, uint8_t *y, size_t n, const struct cast_opt *opt)
{
    for (size_t i = 0; i < n; i++) {
        if (fp8_kinds[to])
            y[i] = fp8_from_f32((enum fp8_kind)(fp8_kinds[to] - 1), x[i], !opt->no_saturate);
        else if (to == DT_FLOAT8E8M0)
            y[i] = e8m0_from_f32(x[i], !opt->no_saturate, opt->round_mode);
        else
            y[i] = fp4_from_f32(x[i]);
    }
}

/* Keeps the low bits of unpacked 2- and 4-bit integers, extending the sign of the signed ones. */
static void cut_bits(enum dtype to, uint8_t *y, size_t n)
{
    const struct dtype_info *t = dtype_info(to);
    unsigned sign = t->cls == CLS_INT ? 1u << (t->bits - 1) : 0, mask = (1u << t->bits) - 1;
    for (size_t i = 0; i < n; i++)
        y[i] = (uint8_t)(((y[i] & mask) ^ sign) - sign);
}

static void store_bool(enum dtype hub, const union hub *h, uint8_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = hub == DT_FLOAT ? h->f[i] != 0 : hub == DT_DOUBLE ? h->d[i] != 0 : h->i[i] != 0;
}

static void store(const struct kern *k, enum dtype hub, enum dtype to, union hub *h, void *out, size_t n,
                  const struct cast_opt *opt)
{
    enum dtype t = storage(to);
    if (to == DT_BOOL) {
        store_bool(hub, h, out, n);
    } else if (is_narrow_float(to) && hub == DT_DOUBLE) {
        /* one rounding, not two, where it shows */
        float f[BLOCK];
        for (size_t i = 0; i < n && to == DT_FLOAT16; i++)
            ((uint16_t *)out)[i] = f16_from_f64(h->d[i]);
        if (to == DT_FLOAT16)
            return;
        k->cast.direct[DT_DOUBLE][DT_FLOAT](h, f, n);
        memcpy(h, f, n * sizeof f[0]);
        store(k, DT_FLOAT, to, h, out, n, opt);
    } else if (t == hub) {
        memcpy(out, h, n * dtype_size(t));
    } else if (to == DT_FLOAT16) {
        k->vec.f16_from_f32(h->f, out, n);
    } else if (to == DT_BFLOAT16) {
        k->vec.bf16_from_f32(h->f, out, n);
    } else if (is_narrow_float(to)) {
        store_small_float(to, h->f, out, n, opt);
    } else {
        k->cast.direct[hub][t](h, out, n);
    }
    if (dtype_is_int(to) && dtype_info(to)->bits < 8)
        cut_bits(to, out, n);
}

/* Complex numbers are pairs of float or double; real numbers have no imaginary part. */
static void cast_complex(enum dtype from, enum dtype to, const char *in, char *out, size_t n)
{
    size_t fs = dtype_size(from), ts = dtype_size(to);
    for (size_t i = 0; i < n; i++, in += fs, out += ts) {
        double re = dtype_info(from)->load_f64(in), im = 0;
        if (from == DT_COMPLEX64)
            im = ((const float *)in)[1];
        else if (from == DT_COMPLEX128)
            im = ((const double *)in)[1];
        if (to == DT_BOOL)
            *out = re != 0 || im != 0;
        else
            dtype_info(to)->store_f64(out, re);
        if (to == DT_COMPLEX64)
            ((float *)out)[1] = (float)im;
        else if (to == DT_COMPLEX128)
            ((double *)out)[1] = im;
    }
}

void cast_run(const struct kern *k, enum dtype from, enum dtype to, const void *in, void *out, size_t n,
              const struct cast_opt *opt)
{
    static const struct cast_opt plain = {false, 0};
    const char *x = in;
    char *y = out;
    union hub h;
    size_t fs = dtype_size(from), ts = dtype_size(to);
    if (is_complex(from) || is_complex(to)) {
        cast_complex(from, to, in, out, n);
        return;
    }
    if (from == to) {
        memcpy(out, in, n * fs);
        return;
    }
    if (k->cast.direct[from][to]) {
        k->cast.direct[from][to](in, out, n);
        return;
    }
    enum dtype hub = hub_of(from, to);
    for (size_t i = 0; i < n; i += BLOCK, x += BLOCK * fs, y += BLOCK * ts) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        load(k, from, hub, x, &h, m);
        store(k, hub, to, &h, y, m, opt ? opt : &plain);
    }
}
