/* Elementwise kernels by type: the row where there is one, 16-bit floats through the float row. */
#include "kern/kern.h"

/* Elements widened at a time: three blocks of float stay in the first-level cache. */
enum { BLOCK = 1024 };

int width_index(size_t size)
{
    switch (size) {
    case 1:
        return W1;
    case 2:
        return W2;
    case 4:
        return W4;
    case 8:
        return W8;
    case 16:
        return W16;
    default:
        return -1;
    }
}

static bool is_half(enum dtype dt)
{
    return dt == DT_FLOAT16 || dt == DT_BFLOAT16;
}

static widen_fn *widen_row(const struct kern *k, enum dtype dt)
{
    return dt == DT_FLOAT16 ? k->vec.f16_to_f32 : k->vec.bf16_to_f32;
}

static narrow_fn *narrow_row(const struct kern *k, enum dtype dt)
{
    return dt == DT_FLOAT16 ? k->vec.f16_from_f32 : k->vec.bf16_from_f32;
}

static enum dtype row_type(enum dtype dt)
{
    return is_half(dt) ? DT_FLOAT : dt;
}

bool un_supported(const struct kern *k, enum un_op op, enum dtype dt)
{
    return k->vec.un[op][row_type(dt)] != NULL;
}

bool bin_supported(const struct kern *k, enum bin_op op, enum dtype dt)
{
    return k->vec.bin[op][row_type(dt)] != NULL;
}

bool clip_supported(const struct kern *k, enum dtype dt)
{
    return k->vec.clip[row_type(dt)] != NULL;
}

bool bin_is_compare(enum bin_op op)
{
    return op >= BIN_EQ;
}

void un_run(const struct kern *k, enum un_op op, enum dtype dt, const void *in, void *out, size_t n,
            const struct un_params *p)
{
    float x[BLOCK];
    const uint16_t *src = in;
    bool to_bool = op == UN_IS_NAN || op == UN_IS_INF;
    if (!is_half(dt)) {
        k->vec.un[op][dt](in, out, n, p);
        return;
    }
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        widen_row(k, dt)(src + i, x, m);
        if (to_bool) {
            k->vec.un[op][DT_FLOAT](x, (uint8_t *)out + i, m, p);
            continue;
        }
        k->vec.un[op][DT_FLOAT](x, x, m, p);
        narrow_row(k, dt)(x, (uint16_t *)out + i, m);
    }
}

void bin_run(const struct kern *k, enum bin_op op, enum dtype dt, enum bin_form form, const void *a,
             const void *b, void *out, size_t n)
{
    float x[BLOCK], y[BLOCK];
    const uint16_t *pa = a, *pb = b;
    if (!is_half(dt)) {
        k->vec.bin[op][dt](form, a, b, out, n);
        return;
    }
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        if (i == 0 || form != BIN_SV)
            widen_row(k, dt)(pa + (form == BIN_SV ? 0 : i), x, form == BIN_SV ? 1 : m);
        if (i == 0 || form != BIN_VS)
            widen_row(k, dt)(pb + (form == BIN_VS ? 0 : i), y, form == BIN_VS ? 1 : m);
        if (bin_is_compare(op)) {
            k->vec.bin[op][DT_FLOAT](form, x, y, (uint8_t *)out + i, m);
            continue;
        }
        /* Into the operand that is a block; the other may be the scalar that is needed again. */
        float *r = form == BIN_SV ? y : x;
        k->vec.bin[op][DT_FLOAT](form, x, y, r, m);
        narrow_row(k, dt)(r, (uint16_t *)out + i, m);
    }
}

void clip_run(const struct kern *k, enum dtype dt, const void *in, void *out, size_t n, const void *lo,
              const void *hi)
{
    float x[BLOCK], l, h;
    if (!is_half(dt)) {
        k->vec.clip[dt](in, out, n, lo, hi);
        return;
    }
    widen_row(k, dt)(lo, &l, 1);
    widen_row(k, dt)(hi, &h, 1);
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        widen_row(k, dt)((const uint16_t *)in + i, x, m);
        k->vec.clip[DT_FLOAT](x, x, m, &l, &h);
        narrow_row(k, dt)(x, (uint16_t *)out + i, m);
    }
}

/* Float bases are raised in their own width (half types in float, as bin_run does), integer bases by integer
 * exponents in 64 bits, which wrap as the narrow type would; integers by floats in double. */
static enum dtype pow_type(enum dtype xt, enum dtype yt)
{
    if (xt == DT_DOUBLE)
        return DT_DOUBLE;
    if (dtype_is_float(xt))
        return yt == DT_DOUBLE || yt == DT_INT64 || yt == DT_INT32 || yt == DT_UINT64 || yt == DT_UINT32
                   ? DT_DOUBLE
                   : DT_FLOAT;
    return dtype_is_float(yt) ? DT_DOUBLE : DT_INT64;
}

void pow_mixed(const struct kern *k, enum dtype xt, enum dtype yt, enum bin_form form, const void *x,
               const void *y, void *out, size_t n)
{
    /* Room for the widest type. */
    double bx[BLOCK], by[BLOCK];
    enum dtype t = pow_type(xt, yt);
    size_t xs = dtype_size(xt), ys = dtype_size(yt);
    if (xt == yt) {
        bin_run(k, BIN_POW, xt, form, x, y, out, n);
        return;
    }
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        if (i == 0 || form != BIN_SV)
            cast_run(k, xt, t, (const char *)x + (form == BIN_SV ? 0 : i * xs), bx, form == BIN_SV ? 1 : m,
                     NULL);
        if (i == 0 || form != BIN_VS)
            cast_run(k, yt, t, (const char *)y + (form == BIN_VS ? 0 : i * ys), by, form == BIN_VS ? 1 : m,
                     NULL);
        void *r = form == BIN_SV ? by : bx;
        k->vec.bin[BIN_POW][t](form, bx, by, r, m);
        cast_run(k, t, xt, r, (char *)out + i * xs, m, NULL);
    }
}
