/* Each narrow format is checked against its definition worked out in long double arithmetic here: the table
 * of all its values, and for encoding the nearest entry of that table. */
#include "cmk.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"

static double load_f16(unsigned code)
{
    return (double)f16_to_f32((uint16_t)code);
}
static double load_bf16(unsigned code)
{
    return (double)bf16_to_f32((uint16_t)code);
}
static double load_e4m3fn(unsigned code)
{
    return (double)fp8_to_f32(FP8_E4M3FN, (uint8_t)code);
}
static double load_e4m3fnuz(unsigned code)
{
    return (double)fp8_to_f32(FP8_E4M3FNUZ, (uint8_t)code);
}
static double load_e5m2(unsigned code)
{
    return (double)fp8_to_f32(FP8_E5M2, (uint8_t)code);
}
static double load_e5m2fnuz(unsigned code)
{
    return (double)fp8_to_f32(FP8_E5M2FNUZ, (uint8_t)code);
}
static double load_fp4(unsigned code)
{
    return (double)fp4_to_f32((uint8_t)code);
}

static double load_e2m3(unsigned code)
{
    return (double)fp6_to_f32(FP6_E2M3, (uint8_t)code);
}
static double load_e3m2(unsigned code)
{
    return (double)fp6_to_f32(FP6_E3M2, (uint8_t)code);
}

/* Encoders without saturation where there is a choice. */
static unsigned store_f16(double v)
{
    return f16_from_f64(v);
}
static unsigned store_bf16(double v)
{
    return bf16_from_f64(v);
}
static unsigned store_e4m3fn(double v)
{
    return fp8_from_f64(FP8_E4M3FN, v, 0);
}
static unsigned store_e4m3fnuz(double v)
{
    return fp8_from_f64(FP8_E4M3FNUZ, v, 0);
}
static unsigned store_e5m2(double v)
{
    return fp8_from_f64(FP8_E5M2, v, 0);
}
static unsigned store_e5m2fnuz(double v)
{
    return fp8_from_f64(FP8_E5M2FNUZ, v, 0);
}
static unsigned store_fp4(double v)
{
    return fp4_from_f64(v);
}

static unsigned store_e2m3(double v)
{
    return fp6_from_f64(FP6_E2M3, v);
}
static unsigned store_e3m2(double v)
{
    return fp6_from_f64(FP6_E3M2, v);
}

/* last: code of the largest finite magnitude. */
static const struct format {
    const char *name;
    int ebits, mbits, bias;
    unsigned last;
    bool fnuz;
    double (*load)(unsigned code);
    unsigned (*store)(double v);
} formats[] = {
    {"f16", 5, 10, 15, 0x7bff, false, load_f16, store_f16},
    {"bf16", 8, 7, 127, 0x7f7f, false, load_bf16, store_bf16},
    {"e4m3fn", 4, 3, 7, 0x7e, false, load_e4m3fn, store_e4m3fn},
    {"e4m3fnuz", 4, 3, 8, 0x7f, true, load_e4m3fnuz, store_e4m3fnuz},
    {"e5m2", 5, 2, 15, 0x7b, false, load_e5m2, store_e5m2},
    {"e5m2fnuz", 5, 2, 16, 0x7f, true, load_e5m2fnuz, store_e5m2fnuz},
    {"fp4", 2, 1, 1, 0x7, false, load_fp4, store_fp4},
    {"e2m3", 2, 3, 1, 0x1f, false, load_e2m3, store_e2m3},
    {"e3m2", 3, 2, 3, 0x1f, false, load_e3m2, store_e3m2},
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* By the definition: (1 + m/2^M) * 2^(e - bias), or m/2^M * 2^(1 - bias) where e is 0. */
static double defined_value(const struct format *f, unsigned magnitude)
{
    int e = (int)(magnitude >> f->mbits);
    double m = (double)(magnitude & ((1u << f->mbits) - 1)) / (double)(1 << f->mbits);

    return e ? (1 + m) * pow(2, e - f->bias) : m * pow(2, 1 - f->bias);
}

static unsigned sign_bit(const struct format *f)
{
    return 1u << (f->ebits + f->mbits);
}

static void test_values(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        for (unsigned code = 0; code <= f->last; code++) {
            double want = defined_value(f, code);
            if (f->load(code) != want)
                fail_msg("%s 0x%x is %a, not %a", f->name, code, f->load(code), want);
            double negative = f->load(code | sign_bit(f));
            if (code == 0 && f->fnuz)
                assert_true(isnan(negative));
            else if (negative != -want || !signbit(negative))
                fail_msg("%s 0x%x is %a, not %a", f->name, code | sign_bit(f), negative, -want);
        }
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        for (unsigned code = 0; code < 2 * sign_bit(f); code++) {
            double v = f->load(code);
            if (isnan(v) ? !isnan(f->load(f->store(v))) : f->store(v) != code)
                fail_msg("%s 0x%x comes back as 0x%x", f->name, code, f->store(v));
        }
    }
}

static void expect_code(const struct format *f, double v, unsigned want)
{
    unsigned got = f->store(v);

    if (got != want)
        fail_msg("%s of %a is 0x%x, not 0x%x", f->name, v, got, want);
    if (f->fnuz && want == 0)
        return;
    got = f->store(-v);
    if (got != (want | sign_bit(f)))
        fail_msg("%s of %a is 0x%x, not 0x%x", f->name, -v, got, want | sign_bit(f));
}

/* Between each two neighbours: the middle goes to the even code, a hair to either side to the nearer one. */
static void test_rounding(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        for (unsigned code = 0; code < f->last; code++) {
            double a = defined_value(f, code), b = defined_value(f, code + 1), mid = (a + b) / 2;
            expect_code(f, mid, code & 1 ? code + 1 : code);
            expect_code(f, nextafter(mid, 0), code);
            expect_code(f, nextafter(mid, b), code + 1);
        }
        /* Far below the least subnormal. */
        expect_code(f, defined_value(f, 1) * 0x1p-60, 0);
    }
    expect_code(&formats[0], 0x1p-1074, 0);
}

static void test_overflow(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        double top = defined_value(f, f->last), below = defined_value(f, f->last - 1);
        double limit = top + (top - below) / 2; /* halfway to what would come next */
        expect_code(f, nextafter(limit, 0), f->last);
        double over = f->load(f->store(limit * 1.01)), inf = f->load(f->store(INFINITY));
        if (f->store == store_fp4)
            assert_true(over == 6 && inf == 6);
        else if (f->store == store_e2m3 || f->store == store_e3m2)
            assert_true(over == top && inf == top);
        else if (f->store == store_f16 || f->store == store_bf16 || f->store == store_e5m2)
            assert_true(isinf(over) && isinf(inf));
        else
            assert_true(isnan(over) && isnan(inf));
    }
    /* The tie at the top of a format whose last code is odd goes up, out of range. */
    assert_int_equal(f16_from_f64(65520), 0x7c00);
    assert_int_equal(f16_from_f64(-65520), 0xfc00);
    assert_int_equal(f16_from_f64(65519.999), 0x7bff);
    assert_int_equal(fp8_from_f32(FP8_E4M3FN, 464, 0), 0x7e);
}

static void test_saturation(void **state)
{
    static const uint8_t top[] = {0x7e, 0x7f, 0x7b, 0x7f};

    (void)state;
    for (int k = FP8_E4M3FN; k <= FP8_E5M2FNUZ; k++) {
        assert_int_equal(fp8_from_f32(k, INFINITY, 1), top[k]);
        assert_int_equal(fp8_from_f32(k, -INFINITY, 1), top[k] | 0x80);
        assert_int_equal(fp8_from_f32(k, 1e30f, 1), top[k]);
        assert_int_equal(fp8_from_f32(k, -1e30f, 1), top[k] | 0x80);
        assert_true(isnan(fp8_to_f32(k, fp8_from_f32(k, NAN, 1))));
    }
    assert_int_equal(fp4_from_f32(-1e9f), 0xf);
    assert_int_equal(fp4_from_f32(NAN), 0x7);
    assert_true(fp6_to_f32(FP6_E2M3, fp6_from_f32(FP6_E2M3, -1e9f)) == -7.5f);
    assert_true(fp6_to_f32(FP6_E3M2, fp6_from_f32(FP6_E3M2, NAN)) == 28.0f);
}

/* The float paths agree with the double ones on floats of every exponent. */
static void test_from_float(void **state)
{
    uint32_t x = 12345;

    (void)state;
    for (int i = 0; i < 2000000; i++) {
        float f;
        x = x * 1664525 + 1013904223;
        uint32_t bits = x ^ x >> 15;
        if (i % 2) /* ties of f16 or bf16 */
            bits &= i % 4 == 1 ? 0xfffff000 : 0xffff8000;
        memcpy(&f, &bits, sizeof f);
        if (isnan(f)) {
            assert_true(isnan(bf16_to_f32(bf16_from_f32(f))) && isnan(f16_to_f32(f16_from_f32(f))));
            continue;
        }
        if (f16_from_f32(f) != f16_from_f64((double)f) || bf16_from_f32(f) != bf16_from_f64((double)f))
            fail_msg("%a: f16 0x%x, bf16 0x%x", (double)f, f16_from_f32(f), bf16_from_f32(f));
    }
}

/* Just above a tie of the narrow type by less than a float can tell: rounding twice would get it wrong. */
static void test_one_rounding(void **state)
{
    (void)state;
    assert_int_equal(f16_from_f64(1 + 0x1p-11 + 0x1p-40), 0x3c01);
    assert_int_equal(f16_from_f64(1 + 0x1p-11), 0x3c00);
    assert_int_equal(bf16_from_f64(1 + 0x1p-8 + 0x1p-40), 0x3f81);
    assert_int_equal(fp8_from_f64(FP8_E4M3FN, 1 + 0x1p-4 + 0x1p-40, 1), 0x39);
}

static void test_e8m0(void **state)
{
    (void)state;
    for (int code = 0; code < 255; code++) {
        double v = pow(2, code - 127);
        assert_true((double)e8m0_to_f32((uint8_t)code) == v);
        for (int mode = 0; mode < 3; mode++)
            for (int saturate = 0; saturate < 2; saturate++)
                assert_int_equal(e8m0_from_f64(v, saturate, mode), code);
        if (code == 254)
            continue;
        assert_int_equal(e8m0_from_f64(1.25 * v, 1, 0), code + 1);
        assert_int_equal(e8m0_from_f64(1.99 * v, 1, 1), code);
        assert_int_equal(e8m0_from_f64(1.49 * v, 1, 2), code);
        assert_int_equal(e8m0_from_f64(1.5 * v, 1, 2), code + 1);
    }
    assert_true(isnan(e8m0_to_f32(255)));
    assert_int_equal(e8m0_from_f32(NAN, 1, 0), 255);
    assert_int_equal(e8m0_from_f32(0, 1, 0), 0);
    assert_int_equal(e8m0_from_f32(0, 0, 2), 255);
    assert_int_equal(e8m0_from_f32(INFINITY, 1, 0), 254);
    assert_int_equal(e8m0_from_f32(INFINITY, 0, 2), 255);
    assert_int_equal(e8m0_from_f32(0x1.8p127f, 1, 0), 254);
    assert_int_equal(e8m0_from_f32(0x1.8p127f, 0, 0), 255);
    assert_int_equal(e8m0_from_f64(0x1p-140, 1, 1), 0);
    assert_int_equal(e8m0_from_f64(0x1p-140, 0, 1), 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_rounding),     cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_saturation),   cmocka_unit_test(test_from_float),
        cmocka_unit_test(test_one_rounding), cmocka_unit_test(test_e8m0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
