/* Tests of the element types. */
#include "cmk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"

static const enum dtype int_types[] = {DT_INT8,   DT_INT16,  DT_INT32, DT_INT64, DT_UINT8, DT_UINT16,
                                       DT_UINT32, DT_UINT64, DT_INT4,  DT_UINT4, DT_INT2,  DT_UINT2};
enum { INT_TYPES = sizeof int_types / sizeof *int_types };

/* v in the type's bits, two's complement for the signed ones: the definition, in 128 bits. */
static int64_t wrapped(enum dtype dt, int64_t v)
{
    unsigned bits = dtype_info(dt)->bits;
    __extension__ __int128 modulus = (__int128)1 << bits, r = v;

    r %= modulus;
    if (r < 0)
        r += modulus;
    if (dtype_info(dt)->cls == CLS_INT && r >= modulus / 2)
        r -= modulus;
    return (int64_t)(uint64_t)r;
}

static void test_rows(void **state)
{
    (void)state;
    for (int dt = 1; dt < DT_COUNT; dt++) {
        const struct dtype_info *d = dtype_info(dt);
        assert_int_equal(d->dt, dt);
        assert_non_null(d->name);
        assert_int_equal(dtype_parse(d->name), dt);
        assert_int_equal(d->load_f64 == NULL, dt == DT_STRING);
        if (d->bits >= 8)
            assert_int_equal(d->bits / 8, d->size);
    }
    assert_null(dtype_info(0)->name);
    assert_null(dtype_info(-5)->name);
    assert_null(dtype_info(DT_COUNT)->name);
    assert_string_equal(dtype_name(77), "type 77");
    assert_string_equal(dtype_name(0), "undefined");
    assert_int_equal(dtype_parse("float32"), DT_FLOAT);
    assert_int_equal(dtype_parse("u4"), DT_UINT4);
    assert_int_equal(dtype_parse("floaty"), DT_UNDEFINED);
    assert_int_equal(dtype_size(DT_STRING), sizeof(struct ostr));
}

static void test_ints_wrap(void **state)
{
    static const int64_t values[] = {0,          1,          -1,        7,         8,        15,   16,
                                     127,        128,        255,       256,       -128,     -129, 32767,
                                     32768,      65535,      -32769,    2,         3,        -3,   65536,
                                     2147483647, 2147483648, INT64_MAX, INT64_MIN, 123456789};

    (void)state;
    for (int t = 0; t < INT_TYPES; t++) {
        const struct dtype_info *d = dtype_info(int_types[t]);
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            uint64_t cell = 0;
            d->store_i64(&cell, values[i]);
            if (d->load_i64(&cell) != wrapped(int_types[t], values[i]))
                fail_msg("%s of %lld is %lld", d->name, (long long)values[i], (long long)d->load_i64(&cell));
            if (llabs(values[i] / 2) >= 1ll << 52)
                continue;
            d->store_f64(&cell, (double)values[i] + (values[i] < 0 ? -0.75 : 0.75));
            if (d->load_i64(&cell) != wrapped(int_types[t], values[i]))
                fail_msg("%s of %lld.75 is %lld", d->name, (long long)values[i],
                         (long long)d->load_i64(&cell));
        }
    }
}

/* What C leaves undefined has a result here. */
static void test_int_extremes(void **state)
{
    int64_t i;
    uint64_t u;

    (void)state;
    dtype_info(DT_INT64)->store_f64(&i, 1e300);
    assert_true(i == INT64_MAX);
    dtype_info(DT_INT64)->store_f64(&i, -INFINITY);
    assert_true(i == INT64_MIN);
    dtype_info(DT_INT64)->store_f64(&i, NAN);
    assert_true(i == 0);
    dtype_info(DT_UINT64)->store_f64(&u, 0x1p63 + 2048);
    assert_true(u == (1ull << 63) + 2048);
    dtype_info(DT_UINT64)->store_f64(&u, INFINITY);
    assert_true(u == UINT64_MAX);
    dtype_info(DT_UINT64)->store_f64(&u, NAN);
    assert_true(u == 0);
    u = UINT64_MAX;
    assert_true(dtype_info(DT_UINT64)->load_f64(&u) == 0x1p64);
}

static void test_floats(void **state)
{
    static const double values[] = {0, 1, -1, 0.5, 2, -4, 6, 1.5};

    (void)state;
    for (int dt = 1; dt < DT_COUNT; dt++) {
        const struct dtype_info *d = dtype_info(dt);
        if (d->cls != CLS_FLOAT && d->cls != CLS_COMPLEX)
            continue;
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            if (dt == DT_FLOAT8E8M0 && (values[i] <= 0 || values[i] == 1.5 || values[i] == 6))
                continue;
            double cell[2] = {NAN, NAN};
            d->store_f64(cell, values[i]);
            assert_true(d->load_f64(cell) == values[i]);
            assert_int_equal(d->load_i64(cell), (int64_t)values[i]);
        }
    }
}

/* int64 to a narrow float rounds once: 2^60 + 2^52 is a tie of bfloat16, one more is above it. */
static void test_big_int_to_float(void **state)
{
    uint16_t h;
    float f;

    (void)state;
    dtype_info(DT_BFLOAT16)->store_i64(&h, (1ll << 60) + (1ll << 52));
    assert_int_equal(h, 0x5d80);
    dtype_info(DT_BFLOAT16)->store_i64(&h, (1ll << 60) + (1ll << 52) + 1);
    assert_int_equal(h, 0x5d81);
    dtype_info(DT_BFLOAT16)->store_i64(&h, -(1ll << 60) - (1ll << 52) - 1);
    assert_int_equal(h, 0xdd81);
    dtype_info(DT_BFLOAT16)->store_i64(&h, INT64_MIN);
    assert_int_equal(h, 0xdf00);
    dtype_info(DT_FLOAT)->store_i64(&f, (1ll << 60) + (1ll << 36) + 1);
    assert_true(f == 0x1p60f + 0x1p37f);
}

static void test_bool(void **state)
{
    uint8_t b = 7;

    (void)state;
    assert_true(dtype_info(DT_BOOL)->load_f64(&b) == 1);
    dtype_info(DT_BOOL)->store_f64(&b, 0.25);
    assert_int_equal(b, 1);
    dtype_info(DT_BOOL)->store_f64(&b, -0.0);
    assert_int_equal(b, 0);
    dtype_info(DT_BOOL)->store_f64(&b, NAN);
    assert_int_equal(b, 1);
    dtype_info(DT_BOOL)->store_i64(&b, 256);
    assert_int_equal(b, 1);
}

/* Bulk conversions give what the scalar ones give, at any alignment. */
static void test_bulk(void **state)
{
    enum { N = 37 };
    char raw[N * 16 + 1];
    float out[N], again[N];

    (void)state;
    for (int dt = 1; dt < DT_COUNT; dt++) {
        const struct dtype_info *d = dtype_info(dt);
        if (dt == DT_STRING || d->cls == CLS_COMPLEX)
            continue;
        for (int i = 0; i < N; i++)
            out[i] = (float)i * 0.37f;
        dtype_from_f32((enum dtype)dt, out, raw + 1, N);
        dtype_to_f32((enum dtype)dt, raw + 1, again, N);
        for (int i = 0; i < N; i++) {
            double cell[2] = {0};
            d->store_f64(cell, (double)out[i]);
            assert_memory_equal(cell, raw + 1 + (size_t)i * d->size, d->size);
            assert_true(again[i] == (float)d->load_f64(cell));
        }
    }
}

static void test_pack(void **state)
{
    static const enum dtype narrow[] = {DT_INT4,  DT_UINT4,      DT_FLOAT4E2M1, DT_INT2,
                                        DT_UINT2, DT_FLOAT6E2M3, DT_FLOAT6E3M2};
    static const int8_t int4[] = {-8, 7, -1};
    static const uint8_t packed4[] = {0x78, 0x0f};
    static const int8_t int2[] = {-2, 1, -1, 0, 1};
    static const uint8_t packed2[] = {0x36, 0x01};
    /* float6: 24 bits hold x0 | x1 << 6 | x2 << 12 | x3 << 18 */
    static const uint8_t float6[] = {0x01, 0x3f, 0x20, 0x15, 0x2a};
    static const uint8_t packed6[] = {0xc1, 0x0f, 0x56, 0x2a};
    uint8_t file[16], mem[16], back[16];
    uint64_t bytes;

    (void)state;
    dtype_pack(DT_INT4, int4, file, 3);
    assert_memory_equal(file, packed4, 2);
    dtype_pack(DT_INT2, int2, file, 5);
    assert_memory_equal(file, packed2, 2);
    dtype_pack(DT_FLOAT6E2M3, float6, file, 5);
    assert_memory_equal(file, packed6, 4);
    for (size_t t = 0; t < sizeof narrow / sizeof *narrow; t++) {
        const struct dtype_info *d = dtype_info(narrow[t]);
        for (size_t n = 0; n <= 16; n++) {
            for (size_t i = 0; i < n; i++)
                d->store_i64(&mem[i], (int64_t)(i * 7 + 3));
            memset(file, 0xaa, sizeof file);
            dtype_pack(narrow[t], mem, file, n);
            dtype_unpack(narrow[t], file, back, n);
            assert_memory_equal(mem, back, n);
            assert_true(dtype_file_size(narrow[t], n, &bytes));
            assert_int_equal(bytes, (n * d->bits + 7) / 8);
            for (size_t i = bytes; i < sizeof file; i++)
                assert_int_equal(file[i], 0xaa);
        }
    }
    assert_true(dtype_file_size(DT_INT4, UINT64_MAX, &bytes));
    assert_true(bytes == 1ull << 63);
    assert_false(dtype_file_size(DT_DOUBLE, UINT64_MAX / 4, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_ints_wrap),
        cmocka_unit_test(test_int_extremes),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_big_int_to_float),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_pack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
