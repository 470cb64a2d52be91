/* What stands between operators and rows: broadcasting, 16-bit floats, casts through a third type, gather. */
#include "cmk.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kern/kern.h"

static struct kern k;

static int setup(void **state)
{
    (void)state;
    kern_init(&k, cpu_flags());
    return 0;
}

/* Adds a and b of the given shapes and compares with coordinates; in two ranges. */
static void check_add(int rank, const int64_t *dims, struct bcast_in a, struct bcast_in b)
{
    enum { MOST = 600 };
    static float x[MOST], y[MOST], out[MOST];
    struct bcast_in in[2] = {a, b};
    struct bcast_plan p;
    for (int i = 0; i < MOST; i++) {
        x[i] = (float)i;
        y[i] = (float)(1000 * i);
    }
    assert_int_equal(bcast_init(&p, rank, dims, 2, in), 0);
    bcast_bin(&k, &p, BIN_ADD, DT_FLOAT, x, y, out, p.total / 3, p.total);
    bcast_bin(&k, &p, BIN_ADD, DT_FLOAT, x, y, out, 0, p.total / 3);
    for (int64_t o = 0; o < p.total; o++) {
        int64_t at[2] = {0, 0}, step[2] = {1, 1}, rest = o;
        for (int i = rank - 1; i >= 0; i--) {
            int64_t pos = rest % dims[i];
            rest /= dims[i];
            for (int j = 0; j < 2; j++) {
                int d = i - (rank - in[j].rank);
                if (d < 0)
                    continue;
                at[j] += in[j].dims[d] == 1 ? 0 : pos * step[j];
                step[j] *= in[j].dims[d];
            }
        }
        assert_true(out[o] == x[at[0]] + y[at[1]]);
    }
}

static void broadcasts(void **state)
{
    (void)state;
    check_add(3, (int64_t[]){2, 3, 35}, (struct bcast_in){3, (int64_t[]){2, 3, 35}},
              (struct bcast_in){2, (int64_t[]){3, 1}});
    check_add(4, (int64_t[]){2, 3, 4, 5}, (struct bcast_in){4, (int64_t[]){1, 3, 1, 5}},
              (struct bcast_in){4, (int64_t[]){2, 1, 4, 1}});
    check_add(2, (int64_t[]){17, 19}, (struct bcast_in){0, NULL}, (struct bcast_in){2, (int64_t[]){17, 19}});
    check_add(0, NULL, (struct bcast_in){0, NULL}, (struct bcast_in){0, NULL});
    check_add(2, (int64_t[]){0, 4}, (struct bcast_in){2, (int64_t[]){0, 4}},
              (struct bcast_in){1, (int64_t[]){4}});
    check_add(2, (int64_t[]){4, 6}, (struct bcast_in){2, (int64_t[]){4, 1}},
              (struct bcast_in){2, (int64_t[]){1, 6}});
}

static void refuses_shapes_that_do_not_fit(void **state)
{
    int64_t out[3];
    struct bcast_plan p;
    struct bcast_in in = {2, (int64_t[]){2, 3}};
    (void)state;
    assert_int_equal(bcast_dims(2, (int64_t[]){2, 3}, 1, (int64_t[]){4}, out), -1);
    assert_int_equal(bcast_dims(2, (int64_t[]){2, 1}, 3, (int64_t[]){5, 1, 4}, out), 0);
    assert_true(out[0] == 5 && out[1] == 2 && out[2] == 4);
    assert_int_equal(bcast_init(&p, 2, (int64_t[]){2, 4}, 1, &in), -1);
}

static void halves_go_through_float(void **state)
{
    enum { N = 2500 };
    static uint16_t a[N], b, out[N];
    static uint8_t less[N];
    (void)state;
    b = f16_from_f32(1.5f);
    for (int i = 0; i < N; i++)
        a[i] = f16_from_f32((float)(i % 50) * 0.25f);
    bin_run(&k, BIN_MUL, DT_FLOAT16, BIN_VS, a, &b, out, N);
    bin_run(&k, BIN_LT, DT_FLOAT16, BIN_SV, &b, a, less, N);
    for (int i = 0; i < N; i++) {
        float v = (float)(i % 50) * 0.25f;
        assert_int_equal(out[i], f16_from_f32(v * 1.5f));
        assert_int_equal(less[i], 1.5f < v);
    }
    un_run(&k, UN_NEG, DT_FLOAT16, a, a, N, NULL);
    assert_int_equal(a[7], f16_from_f32(-1.75f));
}

static void casts(void **state)
{
    double d[4] = {1.0 + 0x1p-11 + 0x1p-40, -2.7, 300.5, 1e300};
    uint16_t h[4];
    int8_t s[4];
    uint8_t u4[4], f8[2];
    int32_t i[3] = {-9, 7, 23};
    uint64_t big = (1ull << 63) + 4096;
    float f, inf[2] = {INFINITY, 1e9f};
    (void)state;
    cast_run(&k, DT_DOUBLE, DT_FLOAT16, d, h, 4, NULL);
    assert_int_equal(h[0], f16_from_f32(1.0f + 0x1p-10f)); /* through float it would be a tie, and 1.0 */
    assert_int_equal(h[3], f16_from_f32(INFINITY));
    cast_run(&k, DT_DOUBLE, DT_INT8, d, s, 3, NULL);
    assert_int_equal(s[1], -2);
    assert_int_equal(s[2], 44);
    cast_run(&k, DT_INT32, DT_INT4, i, s, 3, NULL);
    assert_true(s[0] == 7 && s[1] == 7 && s[2] == 7);
    cast_run(&k, DT_INT32, DT_UINT4, i, u4, 3, NULL);
    assert_true(u4[0] == 7 && u4[1] == 7 && u4[2] == 7);
    cast_run(&k, DT_UINT64, DT_FLOAT, &big, &f, 1, NULL);
    assert_true(f == 9223372036854779904.0f);
    cast_run(&k, DT_FLOAT, DT_BOOL, inf, u4, 2, NULL);
    assert_true(u4[0] == 1 && u4[1] == 1);
    cast_run(&k, DT_FLOAT, DT_FLOAT8E4M3FN, inf, f8, 2, NULL);
    assert_int_equal(f8[1], 0x7e);
    cast_run(&k, DT_FLOAT, DT_FLOAT8E4M3FN, inf, f8, 2, &(struct cast_opt){.no_saturate = true});
    assert_int_equal(f8[1], 0x7f);
}

static void powers_of_two_types(void **state)
{
    int32_t x[3] = {2, -3, 5}, out[3];
    float e[3] = {3, 2, 0.5f}, base = 2, f[3];
    int64_t n[3] = {-1, 0, 10};
    (void)state;
    pow_mixed(&k, DT_INT32, DT_FLOAT, BIN_VV, x, e, out, 3);
    assert_true(out[0] == 8 && out[1] == 9 && out[2] == 2);
    pow_mixed(&k, DT_FLOAT, DT_INT64, BIN_SV, &base, n, f, 3);
    assert_true(f[0] == 0.5f && f[1] == 1 && f[2] == 1024);
}

static void gathers(void **state)
{
    int64_t idx[4], off[2];
    int32_t in[3] = {-1, 0, 2}, x[6] = {0, 1, 2, 3, 4, 5}, y[6];
    (void)state;
    assert_int_equal(index_load(DT_INT32, in, 3, 3, idx), -1);
    assert_true(idx[0] == 2 && idx[1] == 0 && idx[2] == 2);
    assert_int_equal(index_load(DT_INT32, in, 3, 2, idx), 2);
    gather_slices(&k, x, y, 2, 3, 4, idx, 2);
    assert_int_equal(index_load(DT_INT64, (int64_t[]){-1, 1}, 2, 3, idx), -1);
    gather_slices(&k, x, y, 2, 3, 4, idx, 2);
    assert_true(y[0] == 2 && y[1] == 1 && y[2] == 5 && y[3] == 4);
    gather_elements(&k, 4, 2, (int64_t[]){2, 3}, 0, (int64_t[]){1, 0, 1}, (int64_t[]){1, 3}, x, y);
    assert_true(y[0] == 3 && y[1] == 1 && y[2] == 5);
    assert_int_equal(nd_offsets(DT_INT64, (int64_t[]){1, -1, 0, 2}, 2, 2, (int64_t[]){2, 3}, 1, off), -1);
    assert_true(off[0] == 5 && off[1] == 2);
    assert_int_equal(nd_offsets(DT_INT64, (int64_t[]){1, -4}, 1, 2, (int64_t[]){2, 3}, 1, off), 0);
}

static void triangles(void **state)
{
    int32_t x[6] = {1, 2, 3, 4, 5, 6}, y[6];
    (void)state;
    trilu(4, x, y, 1, 2, 3, 0, true);
    assert_memory_equal(y, ((int32_t[]){1, 2, 3, 0, 5, 6}), sizeof y);
    trilu(4, x, y, 1, 2, 3, 0, false);
    assert_memory_equal(y, ((int32_t[]){1, 0, 0, 4, 5, 0}), sizeof y);
    trilu(4, x, y, 1, 2, 3, INT64_MAX, true);
    assert_memory_equal(y, ((int32_t[]){0, 0, 0, 0, 0, 0}), sizeof y);
    trilu(4, x, y, 1, 2, 3, INT64_MIN, true);
    assert_memory_equal(y, x, sizeof y);
}

static void collapses_reduced_axes(void **state)
{
    struct red_shape s;
    (void)state;
    assert_true(red_collapse(4, (int64_t[]){2, 3, 4, 5}, (bool[]){false, true, true, false}, &s));
    assert_true(s.outer == 2 && s.reduce == 12 && s.inner == 5 && s.stride == 5);
    assert_false(red_collapse(3, (int64_t[]){2, 3, 4}, (bool[]){true, false, true}, &s));
    assert_true(red_collapse(3, (int64_t[]){2, 1, 4}, (bool[]){true, false, true}, &s));
    assert_true(s.outer == 1 && s.reduce == 8 && s.inner == 1);
}

/* Values of the ONNX operator's tests: 1 2 3 4 by 2, half-pixel. */
static void resizes(void **state)
{
    int32_t index[40];
    float weight[40], x[4] = {1, 2, 3, 4}, y[8];
    struct resize_table t = {8, 2, index, weight};
    struct resize_axis a = {.in = 4, .out = 8, .scale = 2, .coord = RS_HALF_PIXEL, .kind = RS_LINEAR};
    int64_t map[8];
    static const float want[8] = {1, 1.25f, 1.75f, 2.25f, 2.75f, 3.25f, 3.75f, 4};
    (void)state;
    assert_int_equal(resize_taps(&a), 2);
    resize_table_fill(&a, &t);
    k.resize.apply[DT_FLOAT](&t, x, y, 1, 4, 1, 0);
    for (int i = 0; i < 8; i++)
        assert_true(fabsf(y[i] - want[i]) < 1e-6f);
    a.coord = RS_ASYMMETRIC;
    resize_nearest_map(&a, RS_FLOOR, map);
    assert_true(map[0] == 0 && map[1] == 0 && map[6] == 3 && map[7] == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasts),
        cmocka_unit_test(refuses_shapes_that_do_not_fit),
        cmocka_unit_test(halves_go_through_float),
        cmocka_unit_test(casts),
        cmocka_unit_test(powers_of_two_types),
        cmocka_unit_test(gathers),
        cmocka_unit_test(triangles),
        cmocka_unit_test(collapses_reduced_axes),
        cmocka_unit_test(resizes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
