/* Elementwise rows against oracles in double, or in 128-bit integers. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "checkkern.h"

enum { ROUNDS = 40 };

/* Operations that the C library has. */
static double (*const library[UN_COUNT])(double) = {
    [UN_ABS] = fabs,  [UN_SQRT] = sqrt,   [UN_EXP] = exp,     [UN_LOG] = log,     [UN_ERF] = erf,
    [UN_TANH] = tanh, [UN_FLOOR] = floor, [UN_CEIL] = ceil,   [UN_ROUND] = rint,  [UN_SIN] = sin,
    [UN_COS] = cos,   [UN_TAN] = tan,     [UN_ASIN] = asin,   [UN_ACOS] = acos,   [UN_ATAN] = atan,
    [UN_SINH] = sinh, [UN_COSH] = cosh,   [UN_ASINH] = asinh, [UN_ACOSH] = acosh, [UN_ATANH] = atanh,
};

static double activation_oracle(enum un_op op, double v, double a, double b)
{
    switch (op) {
    case UN_RELU:
        return v < 0 ? 0 : v;
    case UN_LEAKY_RELU:
        return v < 0 ? a * v : v;
    case UN_ELU:
        return v < 0 ? a * expm1(v) : v;
    case UN_SELU:
        return b * (v < 0 ? a * expm1(v) : v);
    case UN_CELU:
        return v < 0 ? a * expm1(v / a) : v;
    case UN_HARD_SIGMOID:
        return isnan(v) ? v : fmax(0, fmin(1, a * v + b));
    case UN_HARD_SWISH:
        return isnan(v) ? v : v * fmax(0, fmin(1, v / 6 + 0.5));
    case UN_SOFTPLUS:
        return v > 40 ? v : log1p(exp(v));
    case UN_SOFTSIGN:
        return v / (1 + fabs(v));
    case UN_SILU:
        return v / (1 + exp(-a * v));
    case UN_GELU:
        return 0.5 * v * (1 + erf(v * sqrt(0.5)));
    case UN_GELU_TANH:
        return 0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v)));
    case UN_MISH:
        return v * tanh(v > 40 ? v : log1p(exp(v)));
    case UN_THRESHOLDED_RELU:
        return v > a || isnan(v) ? v : 0;
    case UN_SHRINK:
        return v < -a ? v + b : v > a ? v - b : isnan(v) ? v : 0;
    case UN_AFFINE:
        return a * v + b;
    default:
        return NAN;
    }
}

/* The function of a unary operation, v the input, a and b its parameters. */
static double un_oracle(enum un_op op, double v, double a, double b)
{
    switch (op) {
    case UN_NEG:
        return -v;
    case UN_SIGN:
        return v > 0 ? 1 : v < 0 ? -1 : v;
    case UN_SQUARE:
        return v * v;
    case UN_RECIPROCAL:
        return 1 / v;
    case UN_SIGMOID:
        return 1 / (1 + exp(-v));
    case UN_IS_NAN:
        return isnan(v);
    case UN_IS_INF:
        return isinf(v) && (v > 0 ? a != 0 : b != 0);
    case UN_NOT:
        return v == 0;
    default:
        return library[op] ? library[op](v) : activation_oracle(op, v, a, b);
    }
}

/* The stated bounds of every float row of an operation: ulp of the rounded oracle, or, where it is 0, abs and
 * rel (both 0: exact). Inputs spread over [-scale, scale]; those beyond big (0: none) are left out. */
static const struct un_case {
    unsigned ulp;
    double abs, rel, a, b, scale, big;
} un_cases[UN_COUNT] = {
    [UN_NEG] = {.scale = 8},
    [UN_ABS] = {.scale = 8},
    [UN_SIGN] = {.scale = 8},
    [UN_SQUARE] = {.scale = 8},
    [UN_SQRT] = {.scale = 8},
    [UN_RECIPROCAL] = {.scale = 8},
    [UN_EXP] = {.ulp = 2, .scale = 110},
    [UN_LOG] = {.ulp = 2, .scale = 4},
    [UN_ERF] = {.ulp = 3, .scale = 4.5},
    [UN_TANH] = {.ulp = 4, .scale = 11},
    [UN_SIGMOID] = {.ulp = 4, .scale = 100},
    [UN_RELU] = {.scale = 8},
    [UN_LEAKY_RELU] = {.abs = 1e-45, .rel = 1e-7, .a = 0.125, .scale = 8},
    [UN_ELU] = {.ulp = 4, .a = 1.25, .scale = 20},
    [UN_SELU] = {.ulp = 5, .a = 1.67326319217681884765625, .b = 1.05070102214813232421875, .scale = 20},
    [UN_CELU] = {.ulp = 4, .a = 2, .scale = 20},
    [UN_HARD_SIGMOID] = {.abs = 2e-7, .rel = 2e-7, .a = 0.25, .b = 0.5, .scale = 8},
    [UN_HARD_SWISH] = {.abs = 1e-6, .rel = 4e-7, .scale = 8, .big = 1e30},
    [UN_SOFTPLUS] = {.ulp = 5, .scale = 100},
    [UN_SOFTSIGN] = {.abs = 1e-45, .rel = 2e-7, .scale = 8},
    [UN_SILU] = {.abs = 1e-37, .rel = 2e-6, .a = 1.5, .scale = 20, .big = 50},
    [UN_GELU] = {.abs = 5e-7, .rel = 5e-7, .scale = 6, .big = 1e30},
    [UN_GELU_TANH] = {.abs = 1e-6, .rel = 1e-6, .scale = 6, .big = 1e10},
    [UN_MISH] = {.abs = 1e-37, .rel = 1e-6, .scale = 20, .big = 80},
    [UN_THRESHOLDED_RELU] = {.a = 1.5, .scale = 4},
    [UN_SHRINK] = {.rel = 1e-7, .a = 0.5, .b = 0.25, .scale = 4},
    [UN_AFFINE] = {.abs = 2e-6, .rel = 2e-7, .a = 1.75, .b = -0.5, .scale = 8, .big = 1e30},
    [UN_FLOOR] = {.scale = 8},
    [UN_CEIL] = {.scale = 8},
    [UN_ROUND] = {.scale = 8},
    [UN_SIN] = {.ulp = 2, .scale = 20},
    [UN_COS] = {.ulp = 2, .scale = 20},
    [UN_TAN] = {.ulp = 2, .scale = 20},
    [UN_ASIN] = {.ulp = 2, .scale = 1.01},
    [UN_ACOS] = {.ulp = 2, .scale = 1.01},
    [UN_ATAN] = {.ulp = 2, .scale = 20},
    [UN_SINH] = {.ulp = 2, .scale = 20},
    [UN_COSH] = {.ulp = 2, .scale = 20},
    [UN_ASINH] = {.ulp = 2, .scale = 20},
    [UN_ACOSH] = {.ulp = 2, .scale = 20},
    [UN_ATANH] = {.ulp = 2, .scale = 1.01},
};

/* The operation of a row: the one entry of a table of rows x DT_COUNT that applying the row alone fills. */
static int row_op(const struct ck *c, void *const *table, struct kern *k, int rows, enum dtype dt)
{
    memset(k, 0, sizeof *k);
    for (int i = 0; i < kern_row_count(); i++)
        if (kern_row(i) == c->row)
            kern_row_apply(k, i);
    for (int i = 0; i < rows; i++)
        if (table[i * DT_COUNT + (int)dt])
            return i;
    return -1;
}

static enum un_op un_op_of(const struct ck *c)
{
    struct kern k;
    return (enum un_op)row_op(c, (void *const *)k.vec.un, &k, UN_COUNT, ck_slot_dtype(c, 0));
}

static enum bin_op bin_op_of(const struct ck *c)
{
    struct kern k;
    return (enum bin_op)row_op(c, (void *const *)k.vec.bin, &k, BIN_COUNT, ck_slot_dtype(c, 0));
}

static void fill_floats(struct ck *c, float *x, size_t n, double scale, double big)
{
    ck_fill_f32(c, x, n, ck_below(c, 3) ? FILL_UNIFORM : FILL_SPECIAL);
    for (size_t i = 0; i < n; i++) {
        if (fabsf(x[i]) <= 1 && fabsf(x[i]) > 1e-37f)
            x[i] *= (float)scale;
        if (big > 0 && fabsf(x[i]) > (float)big)
            x[i] = 1;
    }
}

/* Random integers with the extremes and small numbers among them. */
static void fill_ints(struct ck *c, enum dtype dt, void *p, size_t n)
{
    static const int64_t special[] = {0, 1, -1, 2, 7, INT64_MIN, INT64_MAX, -3};
    size_t size = dtype_size(dt);
    ck_fill_bytes(c, p, n * size);
    for (size_t i = 0; i < n; i++) {
        int64_t lowest = (int64_t)(1ull << (8 * size - 1)), kind = ck_below(c, 4);
        if (kind < 2)
            dtype_info(dt)->store_i64((char *)p + i * size, kind ? lowest : special[ck_below(c, 8)]);
    }
}

static void fill_any(struct ck *c, enum dtype dt, void *p, size_t n, double scale, double big)
{
    for (size_t i = 0; i < n && dt == DT_BOOL; i++)
        ((uint8_t *)p)[i] = (uint8_t)ck_below(c, 2);
    for (size_t i = 0; i < n && dt == DT_DOUBLE; i++) {
        float f;
        fill_floats(c, &f, 1, scale, big);
        ((double *)p)[i] = (double)f;
    }
    if (dt == DT_FLOAT)
        fill_floats(c, p, n, scale, big);
    else if (dtype_is_int(dt))
        fill_ints(c, dt, p, n);
}

static __int128 int_value(enum dtype dt, const void *p)
{
    int64_t v = dtype_info(dt)->load_i64(p);
    return dtype_info(dt)->cls == CLS_UINT ? (__int128)(uint64_t)v : (__int128)v;
}

static __int128 un_int_oracle(enum un_op op, __int128 x)
{
    switch (op) {
    case UN_NEG:
        return -x;
    case UN_ABS:
        return x < 0 ? -x : x;
    case UN_SIGN:
        return (x > 0) - (x < 0);
    case UN_SQUARE:
        return (__int128)((unsigned __int128)x * (unsigned __int128)x);
    case UN_RELU:
        return x < 0 ? 0 : x;
    default:
        return ~x;
    }
}

static void un_want(enum un_op op, enum dtype dt, const char *x, char *want, const struct un_params *p)
{
    const struct dtype_info *t = dtype_info(dt);
    if (op == UN_IS_NAN || op == UN_IS_INF || op == UN_NOT)
        *want = (char)un_oracle(op, t->load_f64(x), p->a, p->b);
    else if (dtype_is_int(dt))
        t->store_i64(want, (int64_t)un_int_oracle(op, int_value(dt, x)));
    else
        t->store_f64(want, un_oracle(op, t->load_f64(x), p->a, p->b));
}

static void run_un(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    enum un_op op = un_op_of(c);
    const struct un_case *u = &un_cases[op];
    bool to_bool = op == UN_IS_NAN || op == UN_IS_INF;
    size_t size = dtype_size(dt), os = to_bool ? 1 : size;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 32);
        struct un_params p = {u->a, u->b};
        char *x = ck_alloc(c, n * size, size), *want = ck_alloc(c, n * os, os);
        if (to_bool)
            p = (struct un_params){(double)ck_below(c, 2), (double)ck_below(c, 2)};
        fill_any(c, dt, x, n, u->scale, u->big);
        for (size_t i = 0; i < n; i++)
            un_want(op, dt, x + i * size, want + i * os, &p);
        bool in_place = !to_bool && ck_below(c, 2);
        if (!in_place)
            ck_seal(c);
        char *y = in_place ? x : ck_alloc(c, n * os, os);
        c->var.vec.un[op][dt](x, y, n, &p);
        if (to_bool || !dtype_is_float(dt))
            ck_same(c, y, want, n * os, "integers");
        else if (dt == DT_DOUBLE)
            ck_near_f64(c, (double *)y, (double *)want, n, 1e-15, 1e-13, "double");
        else if (u->ulp)
            ck_ulp(c, (float *)y, (float *)want, n, u->ulp, "float");
        else
            ck_near(c, (float *)y, (float *)want, n, u->abs, u->rel, "float");
        ck_done(c);
    }
}

struct un_bench {
    un_fn *fn;
    float *x, *y;
    size_t n;
    struct un_params p;
};

static void un_call(void *arg)
{
    struct un_bench *b = arg;
    b->fn(b->x, b->y, b->n, &b->p);
}

static void bench_un(struct ck *c)
{
    enum un_op op = un_op_of(c);
    const struct un_case *u = &un_cases[op];
    if (ck_slot_dtype(c, 0) != DT_FLOAT)
        return;
    struct un_bench b = {c->var.vec.un[op][DT_FLOAT], NULL, NULL, 8192, {u->a, u->b}};
    b.x = ck_alloc(c, b.n * 4, 64);
    b.y = ck_alloc(c, b.n * 4, 64);
    ck_fill_f32(c, b.x, b.n, FILL_UNIFORM);
    ck_bench(c, "8192 floats, operations: Gelem/s", (double)b.n, (double)b.n * 8, un_call, &b);
}

/* ---- binary ---- */

static double bin_oracle(enum bin_op op, double a, double b)
{
    double r;
    switch (op) {
    case BIN_ADD:
        return a + b;
    case BIN_SUB:
        return a - b;
    case BIN_MUL:
        return a * b;
    case BIN_DIV:
        return a / b;
    case BIN_FMOD:
        return fmod(a, b);
    case BIN_MOD:
        r = fmod(a, b);
        return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    case BIN_MAX:
        return isnan(a) || isnan(b) ? (double)NAN : a > b ? a : b;
    case BIN_MIN:
        return isnan(a) || isnan(b) ? (double)NAN : a < b ? a : b;
    case BIN_POW:
        return pow(a, b);
    case BIN_PRELU:
        return a < 0 ? a * b : a;
    case BIN_EQ:
        return a == b;
    case BIN_LT:
        return a < b;
    case BIN_LE:
        return a <= b;
    case BIN_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static __int128 power_wrapped(__int128 a, __int128 b)
{
    uint64_t r = 1, base = (uint64_t)a;
    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (uint64_t e = (uint64_t)b; e; e >>= 1, base *= base)
        r = e & 1 ? r * base : r;
    return (__int128)r;
}

/* Exact, or wrapped to 128 bits; the store wraps to the type. */
static __int128 bin_int_oracle(enum bin_op op, int bits, __int128 a, __int128 b)
{
    __int128 r;
    switch (op) {
    case BIN_ADD:
        return a + b;
    case BIN_SUB:
        return a - b;
    case BIN_MUL:
        return (__int128)((unsigned __int128)a * (unsigned __int128)b);
    case BIN_DIV:
        return b == 0 ? 0 : a / b;
    case BIN_FMOD:
        return b == 0 ? 0 : a % b;
    case BIN_MOD:
        r = b == 0 ? 0 : a % b;
        return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    case BIN_MAX:
        return a > b ? a : b;
    case BIN_MIN:
        return a < b ? a : b;
    case BIN_POW:
        return power_wrapped(a, b);
    case BIN_PRELU:
        return a < 0 ? (__int128)((unsigned __int128)a * (unsigned __int128)b) : a;
    case BIN_AND:
        return a & b;
    case BIN_OR:
        return a | b;
    case BIN_XOR:
        return a ^ b;
    case BIN_SHL:
        return b < 0 || b >= bits ? 0 : (__int128)((unsigned __int128)a << (int)b);
    case BIN_SHR:
        return b >= 0 && b < bits ? a >> (int)b : a < 0 ? -1 : 0;
    case BIN_EQ:
        return a == b;
    case BIN_LT:
        return a < b;
    case BIN_LE:
        return a <= b;
    case BIN_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static void bin_want(enum bin_op op, enum dtype dt, const char *a, const char *b, char *want)
{
    const struct dtype_info *t = dtype_info(dt);
    const struct dtype_info *o = bin_is_compare(op) ? dtype_info(DT_UINT8) : t;
    if (dtype_is_float(dt))
        o->store_f64(want, bin_oracle(op, t->load_f64(a), t->load_f64(b)));
    else
        o->store_i64(want, (int64_t)bin_int_oracle(op, (int)t->size * 8, int_value(dt, a), int_value(dt, b)));
}

static void run_bin(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    enum bin_op op = bin_op_of(c);
    bool to_bool = bin_is_compare(op);
    size_t size = dtype_size(dt), os = to_bool ? 1 : size;
    for (int round = 0; round < ROUNDS; round++) {
        enum bin_form form = (enum bin_form)ck_below(c, 3);
        size_t n = (size_t)ck_size(c, 32);
        size_t na = form == BIN_SV && n ? 1 : n, nb = form == BIN_VS && n ? 1 : n;
        char *a = ck_alloc(c, na * size, size), *b = ck_alloc(c, nb * size, size),
             *want = ck_alloc(c, n * os, os);
        fill_any(c, dt, a, na, 4, 0);
        fill_any(c, dt, b, nb, 4, 0);
        for (size_t i = 0; i < n; i++)
            bin_want(op, dt, a + (na == n ? i * size : 0), b + (nb == n ? i * size : 0), want + i * os);
        int64_t place = to_bool ? 0 : ck_below(c, 3);
        if (place == 0)
            ck_seal(c);
        char *out = place == 1 && na == n ? a : place == 2 && nb == n ? b : ck_alloc(c, n * os, os);
        c->var.vec.bin[op][dt](form, a, b, out, n);
        if (to_bool || !dtype_is_float(dt))
            ck_same(c, out, want, n * os, "integers");
        else if (dt == DT_FLOAT)
            ck_near(c, (float *)out, (float *)want, n, 0, op == BIN_POW || op == BIN_MOD ? 3e-7 : 0, "float");
        else
            ck_near_f64(c, (double *)out, (double *)want, n, 0, 1e-15, "double");
        ck_done(c);
    }
}

struct bin_bench {
    bin_fn *fn;
    float *a, *b, *out;
    size_t n;
};

static void bin_call(void *arg)
{
    struct bin_bench *b = arg;
    b->fn(BIN_VV, b->a, b->b, b->out, b->n);
}

static void bench_bin(struct ck *c)
{
    if (ck_slot_dtype(c, 0) != DT_FLOAT)
        return;
    struct bin_bench b = {c->var.vec.bin[bin_op_of(c)][DT_FLOAT], NULL, NULL, NULL, 8192};
    b.a = ck_alloc(c, b.n * 4, 64);
    b.b = ck_alloc(c, b.n * 4, 64);
    b.out = ck_alloc(c, b.n * 4, 64);
    ck_fill_f32(c, b.a, b.n, FILL_UNIFORM);
    ck_fill_f32(c, b.b, b.n, FILL_UNIFORM);
    ck_bench(c, "8192 floats, operations: Gelem/s", (double)b.n, (double)b.n * 12, bin_call, &b);
}

/* ---- the rest of the group ---- */

static void clip_want(enum dtype dt, const char *x, double lo, double hi, char *want)
{
    const struct dtype_info *t = dtype_info(dt);
    double v = dtype_is_float(dt) ? t->load_f64(x) : (double)int_value(dt, x);
    memcpy(want, x, t->size);
    if (v < lo)
        t->store_f64(want, lo);
    if ((v < lo ? lo : v) > hi)
        t->store_f64(want, hi);
}

static void run_clip(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    size_t size = dtype_size(dt);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 32);
        char *x = ck_alloc(c, n * size, size), *want = ck_alloc(c, n * size, size);
        double lo = (double)(1 + ck_below(c, 4)), hi = lo + (double)ck_below(c, 5) - 1, bl, bh;
        dtype_info(dt)->store_f64(&bl, lo);
        dtype_info(dt)->store_f64(&bh, hi);
        fill_any(c, dt, x, n, 8, 0);
        for (size_t i = 0; i < n; i++)
            clip_want(dt, x + i * size, lo, hi, want + i * size);
        c->var.vec.clip[dt](x, x, n, &bl, &bh);
        if (dt == DT_FLOAT)
            ck_near(c, (float *)x, (float *)want, n, 0, 0, "clip");
        else if (dt == DT_DOUBLE)
            ck_near_f64(c, (double *)x, (double *)want, n, 0, 0, "clip");
        else
            ck_same(c, x, want, n * size, "clip");
        ck_done(c);
    }
}

static void run_where(struct ck *c)
{
    static const char *const widths[] = {"[W1]", "[W2]", "[W4]", "[W8]", "[W16]"};
    int w = 0;
    while (w < W_COUNT - 1 && !strstr(c->row->slot, widths[w]))
        w++;
    size_t size = (size_t)1 << w, align = size > 8 ? 8 : size;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 16), len[3], step[3];
        bool scalar[3];
        for (int j = 0; j < 3; j++) {
            scalar[j] = ck_below(c, 2);
            step[j] = !scalar[j];
            len[j] = scalar[j] && n ? 1 : n;
        }
        uint8_t *cond = ck_alloc(c, len[0], 1);
        char *a = ck_alloc(c, len[1] * size, align), *b = ck_alloc(c, len[2] * size, align);
        char *want = ck_alloc(c, n * size, align);
        fill_any(c, DT_BOOL, cond, len[0], 0, 0);
        ck_fill_bytes(c, a, len[1] * size);
        ck_fill_bytes(c, b, len[2] * size);
        for (size_t i = 0; i < n; i++)
            memcpy(want + i * size, cond[i * step[0]] ? a + i * step[1] * size : b + i * step[2] * size,
                   size);
        ck_seal(c);
        char *out = ck_alloc(c, n * size, align);
        c->var.vec.where[w](cond, a, b, out, n, scalar);
        ck_same(c, out, want, n * size, "where");
        ck_done(c);
    }
}

static void run_axpy(struct ck *c)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 32);
        float *x = ck_alloc(c, n * 4, 4), *want = ck_alloc(c, n * 4, 4), *y = ck_alloc(c, n * 4, 4);
        ck_fill_f32(c, x, n, FILL_SPECIAL);
        ck_fill_f32(c, y, n, FILL_SPECIAL);
        for (size_t i = 0; i < n; i++)
            want[i] = fmaf(0.75f, x[i], y[i]);
        c->var.vec.axpy(0.75f, x, y, n);
        ck_near(c, y, want, n, 0, 0, "axpy");
        ck_done(c);
    }
}

/* Every one of the 65536 values. */
static void run_widen(struct ck *c)
{
    bool f16 = strstr(c->row->slot, ".f16") != NULL;
    size_t n = 65536 - (size_t)ck_below(c, 20);
    uint16_t *h = ck_alloc(c, n * 2, 2);
    float *want = ck_alloc(c, n * 4, 4);
    for (size_t i = 0; i < n; i++) {
        h[i] = (uint16_t)i;
        want[i] = f16 ? f16_to_f32(h[i]) : bf16_to_f32(h[i]);
    }
    ck_seal(c);
    float *y = ck_alloc(c, n * 4, 4);
    (f16 ? c->var.vec.f16_to_f32 : c->var.vec.bf16_to_f32)(h, y, n);
    ck_near(c, y, want, n, 0, 0, "widen");
}

/* Random bits, and neighbours of the middle between two halves; NaNs need not have one payload. */
static void run_narrow(struct ck *c)
{
    bool f16 = strstr(c->row->slot, ".f16") != NULL;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = 1000 + (size_t)ck_size(c, 16);
        float *x = ck_alloc(c, n * 4, 4), *got = ck_alloc(c, n * 4, 4), *want = ck_alloc(c, n * 4, 4);
        uint16_t *y = ck_alloc(c, n * 2, 2);
        ck_fill_bytes(c, x, n * 4);
        for (size_t i = 1; i < n; i += 2) {
            uint32_t bits =
                ((uint32_t)ck_rand(c) & (f16 ? 0xbffff000u : 0xffff8000u)) + (uint32_t)ck_below(c, 3) - 1;
            memcpy(&x[i], &bits, 4);
        }
        (f16 ? c->var.vec.f16_from_f32 : c->var.vec.bf16_from_f32)(x, y, n);
        for (size_t i = 0; i < n; i++) {
            got[i] = f16 ? f16_to_f32(y[i]) : bf16_to_f32(y[i]);
            want[i] = f16 ? f16_to_f32(f16_from_f32(x[i])) : bf16_to_f32(bf16_from_f32(x[i]));
        }
        ck_near(c, got, want, n, 0, 0, "narrow");
        ck_done(c);
    }
}

const struct check check_vec[] = {
    {"vec.un[[]*", run_un, bench_un},    {"vec.bin[[]*", run_bin, bench_bin},
    {"vec.clip[[]*", run_clip, NULL},    {"vec.where[[]*", run_where, NULL},
    {"vec.axpy", run_axpy, NULL},        {"vec.*to_f32", run_widen, NULL},
    {"vec.*from_f32", run_narrow, NULL}, {NULL, NULL, NULL},
};
