/* Reductions, normalisations, softmax, pooling, quantization and recurrent cells: rows of arithmetic over
 * blocks, against plain loops in double. */
#include <math.h>
#include <string.h>

#include "checkkern.h"

enum { ROUNDS = 40 };

/* ---- reductions ---- */

/* A block with room between its rows, and where element (o, r, i) lies. */
struct block {
    struct red_shape s;
    size_t n; /* elements of memory */
};

static size_t at(const struct red_shape *s, size_t o, size_t r, size_t i)
{
    return (o * s->reduce + r) * s->stride + i;
}

static struct block random_block(struct ck *c, size_t tile, bool some)
{
    struct block b = {.s = red_shape((size_t)ck_below(c, 4), (size_t)ck_size(c, (int64_t)tile), 1)};
    if (ck_below(c, 2))
        b.s = red_shape((size_t)ck_below(c, 3), (size_t)ck_size(c, 5), (size_t)ck_size(c, 16));
    if (some && b.s.reduce == 0)
        b.s.reduce = 1;
    b.s.stride = b.s.inner;
    b.n = b.s.outer * b.s.reduce * b.s.stride;
    if (b.s.outer == 1 && b.s.inner > 1 && ck_below(c, 2)) {
        b.s.stride += 3; /* some columns of a wider block */
        b.n = b.s.reduce ? (b.s.reduce - 1) * b.s.stride + b.s.inner : 0;
    }
    return b;
}

static void fill_block(struct ck *c, enum dtype dt, void *p, size_t n)
{
    size_t size = dtype_size(dt);
    if (dt == DT_FLOAT)
        ck_fill_f32(c, p, n, FILL_UNIFORM);
    else if (dt == DT_DOUBLE)
        for (size_t i = 0; i < n; i++)
            ((double *)p)[i] = (double)ck_below(c, 1 << 20) / 1e5 - 5;
    else
        ck_fill_bytes(c, p, n * size);
    for (size_t i = 0; i < n && dt == DT_BOOL; i++)
        ((uint8_t *)p)[i] &= 1;
}

static const char *const red_names[RED_COUNT] = {
    "[RED_SUM]",        "[RED_MEAN]", "[RED_PROD]", "[RED_MAX]",     "[RED_MIN]",
    "[RED_SUM_SQUARE]", "[RED_L1]",   "[RED_L2]",   "[RED_LOG_SUM]", "[RED_LOG_SUM_EXP]"};

static enum red_op red_op_of(const struct ck *c)
{
    int op = 0;
    while (op < RED_COUNT - 1 && !strstr(c->row->slot, red_names[op]))
        op++;
    return (enum red_op)op;
}

/* Result of one column in double, and the sum of magnitudes that its rounding is measured by. */
static double reduce_column(enum red_op op, const struct block *b, size_t o, size_t i, const float *x,
                            double *mag)
{
    double v = op == RED_PROD ? 1 : op == RED_MAX ? -INFINITY : op == RED_MIN ? INFINITY : 0;
    *mag = 1e-30;
    for (size_t r = 0; r < b->s.reduce; r++) {
        double e = (double)x[at(&b->s, o, r, i)];
        *mag += op == RED_SUM_SQUARE || op == RED_L2 ? e * e : fabs(e);
        if (op == RED_SUM || op == RED_MEAN || op == RED_LOG_SUM)
            v += e;
        else if (op == RED_PROD)
            v *= e;
        else if (op == RED_MAX || op == RED_MIN)
            v = isnan(v) || isnan(e) ? (double)NAN : (op == RED_MAX ? e > v : e < v) ? e : v;
        else if (op == RED_SUM_SQUARE || op == RED_L2)
            v += e * e;
        else if (op == RED_L1)
            v += fabs(e);
        else
            v += exp(e);
    }
    if (op == RED_MEAN)
        *mag /= (double)b->s.reduce, v /= (double)b->s.reduce;
    if (op == RED_LOG_SUM || op == RED_LOG_SUM_EXP) {
        v = log(v);
        *mag += 1; /* what is relative before the logarithm is absolute behind it */
    }
    if (op == RED_L2)
        *mag = v = sqrt(v);
    return v;
}

/* Blocked float sums lose a few units of the last place of the sum of magnitudes. */
static void reduce_f32(struct ck *c, enum red_op op)
{
    double slack = op == RED_PROD ? 0 : op == RED_MAX || op == RED_MIN ? 0 : op >= RED_LOG_SUM ? 0 : 4e-6;
    for (int round = 0; round < ROUNDS; round++) {
        struct block b = random_block(c, ck_below(c, 4) ? 64 : 2048, false);
        float *x = ck_alloc(c, b.n * 4, 4);
        size_t m = b.s.outer * b.s.inner;
        ck_fill_f32(c, x, b.n, op == RED_MAX || op == RED_MIN ? FILL_SPECIAL : FILL_UNIFORM);
        ck_seal(c);
        float *y = ck_alloc(c, m * 4, 4);
        c->var.reduce.op[op][DT_FLOAT](x, y, &b.s);
        for (size_t j = 0; j < m; j++) {
            double mag, v = reduce_column(op, &b, j / b.s.inner, j % b.s.inner, x, &mag);
            float want = (float)v;
            ck_near(c, y + j, &want, 1, slack * mag + 1e-42, op >= RED_LOG_SUM ? 1e-6 : 1.3e-7,
                    red_names[op]);
        }
        ck_done(c);
    }
}

/* Other types: sums wrap in the type, which one more element at a time shows as well. */
static void reduce_other(struct ck *c, enum red_op op, enum dtype dt)
{
    const struct dtype_info *t = dtype_info(dt);
    bool is_unsigned = t->cls != CLS_INT, is_int = dt != DT_DOUBLE;
    if (is_int && (op == RED_MEAN || op == RED_L2 || op >= RED_LOG_SUM))
        return; /* arithmetic of double: see reduce_int_real() */
    for (int round = 0; round < ROUNDS; round++) {
        struct block b = random_block(c, 16, true);
        size_t m = b.s.outer * b.s.inner;
        char *x = ck_alloc(c, b.n * t->size, t->size), *y = ck_alloc(c, m * t->size, t->size);
        fill_block(c, dt, x, b.n);
        c->var.reduce.op[op][dt](x, y, &b.s);
        for (size_t j = 0; j < m && is_int; j++) {
            uint64_t v = op == RED_PROD;
            char want[8];
            for (size_t r = 0; r < b.s.reduce; r++) {
                int64_t e = t->load_i64(x + at(&b.s, j / b.s.inner, r, j % b.s.inner) * t->size);
                bool more = is_unsigned ? (uint64_t)e > v : e > (int64_t)v;
                if (op == RED_MAX || op == RED_MIN)
                    v = r == 0 || more == (op == RED_MAX) ? (uint64_t)e : v;
                else if (op == RED_PROD)
                    v *= (uint64_t)e;
                else if (op == RED_SUM_SQUARE)
                    v += (uint64_t)e * (uint64_t)e;
                else
                    v += op == RED_L1 && e < 0 && !is_unsigned ? 0 - (uint64_t)e : (uint64_t)e;
            }
            t->store_i64(want, (int64_t)v);
            ck_same(c, y + j * t->size, want, t->size, red_names[op]);
        }
        ck_done(c);
    }
}

/* Small values, whose results in double are the exact ones before truncation. */
static void reduce_int_real(struct ck *c, enum red_op op, enum dtype dt)
{
    const struct dtype_info *t = dtype_info(dt);
    for (int round = 0; round < ROUNDS; round++) {
        struct red_shape s = red_shape(1, 1 + (size_t)ck_below(c, 9), 1 + (size_t)ck_below(c, 5));
        char *x = ck_alloc(c, s.reduce * s.inner * t->size, t->size),
             *y = ck_alloc(c, s.inner * t->size, t->size);
        for (size_t i = 0; i < s.reduce * s.inner; i++)
            t->store_f64(x + i * t->size, (double)(1 + ck_below(c, 3)));
        c->var.reduce.op[op][dt](x, y, &s);
        for (size_t i = 0; i < s.inner; i++) {
            double sum = 0, sq = 0, ex = 0;
            for (size_t r = 0; r < s.reduce; r++) {
                double e = t->load_f64(x + (r * s.inner + i) * t->size);
                sum += e, sq += e * e, ex += exp(e);
            }
            double v = op == RED_MEAN      ? sum / (double)s.reduce
                       : op == RED_L2      ? sqrt(sq)
                       : op == RED_LOG_SUM ? log(sum)
                                           : log(ex);
            /* a result next to a whole number may fall on either side of it */
            if (fabs(v - rint(v)) < 1e-9 && op >= RED_LOG_SUM)
                continue;
            if (t->load_f64(y + i * t->size) != trunc(v))
                ck_fail(c, "%s: %g, expected %g", red_names[op], t->load_f64(y + i * t->size), trunc(v));
        }
        ck_done(c);
    }
}

static void reduce_f64(struct ck *c, enum red_op op)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct block b = random_block(c, 16, true);
        size_t m = b.s.outer * b.s.inner;
        double *x = ck_alloc(c, b.n * 8, 8), *y = ck_alloc(c, m * 8, 8);
        float *f = ck_alloc(c, b.n * 4, 4);
        ck_fill_f32(c, f, b.n, FILL_UNIFORM);
        for (size_t i = 0; i < b.n; i++)
            x[i] = (double)f[i];
        c->var.reduce.op[op][DT_DOUBLE](x, y, &b.s);
        for (size_t j = 0; j < m; j++) {
            double mag, v = reduce_column(op, &b, j / b.s.inner, j % b.s.inner, f, &mag);
            ck_near_f64(c, y + j, &v, 1, 1e-13 * mag, 1e-13, red_names[op]);
        }
        ck_done(c);
    }
}

static void run_reduce(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    enum red_op op = red_op_of(c);
    if (dt == DT_FLOAT)
        reduce_f32(c, op);
    else if (dt == DT_DOUBLE)
        reduce_f64(c, op);
    else if (op == RED_MEAN || op == RED_L2 || op >= RED_LOG_SUM)
        reduce_int_real(c, op, dt);
    else
        reduce_other(c, op, dt);
}

static void run_arg(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    bool max = strstr(c->row->slot, "argmax") != NULL;
    for (int round = 0; round < ROUNDS; round++) {
        struct block b = random_block(c, 16, true);
        size_t m = b.s.outer * b.s.inner;
        char *x = ck_alloc(c, b.n * t->size, t->size);
        int64_t *y = ck_alloc(c, m * 8, 8);
        bool last = ck_below(c, 2);
        for (size_t i = 0; i < b.n; i++)
            t->store_f64(x + i * t->size, (double)ck_below(c, 5));
        (max ? c->var.reduce.argmax : c->var.reduce.argmin)[dt](x, y, &b.s, last);
        for (size_t j = 0; j < m; j++) {
            int64_t want = 0;
            double best = 0;
            for (size_t r = 0; r < b.s.reduce; r++) {
                double e = t->load_f64(x + at(&b.s, j / b.s.inner, r, j % b.s.inner) * t->size);
                if (r == 0 || (max ? e > best : e < best) || (last && e == best))
                    best = e, want = (int64_t)r;
            }
            if (y[j] != want)
                ck_fail(c, "index %ld, expected %ld", (long)y[j], (long)want);
        }
        ck_done(c);
    }
}

static void run_cum(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    bool sum = strstr(c->row->slot, "cumsum") != NULL;
    for (int round = 0; round < ROUNDS; round++) {
        struct red_shape s =
            red_shape(1 + (size_t)ck_below(c, 2), (size_t)ck_size(c, 4), 1 + (size_t)ck_below(c, 3));
        size_t n = s.outer * s.reduce * s.inner;
        char *x = ck_alloc(c, n * t->size, t->size), *y = ck_alloc(c, n * t->size, t->size), want[8];
        bool exclusive = ck_below(c, 2), reverse = ck_below(c, 2);
        for (size_t i = 0; i < n; i++)
            t->store_f64(x + i * t->size, (double)ck_below(c, 3));
        (sum ? c->var.reduce.cumsum : c->var.reduce.cumprod)[dt](x, y, &s, exclusive, reverse);
        for (size_t j = 0; j < s.outer * s.inner; j++) {
            uint64_t v = !sum;
            for (size_t k = 0; k < s.reduce; k++) {
                size_t e = at(&s, j / s.inner, reverse ? s.reduce - 1 - k : k, j % s.inner) * t->size;
                uint64_t w = (uint64_t)t->load_i64(x + e), next = sum ? v + w : v * w;
                v = exclusive ? v : next;
                t->store_i64(want, (int64_t)v);
                ck_same(c, y + e, want, t->size, "running");
                v = exclusive ? next : v;
            }
        }
        ck_done(c);
    }
}

static void run_minmax(struct ck *c)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = 1 + (size_t)ck_size(c, 16);
        float *x = ck_alloc(c, n * 4, 4), want[2] = {INFINITY, -INFINITY}, got[2];
        ck_fill_f32(c, x, n, FILL_SPECIAL);
        for (size_t i = 0; i < n; i++) {
            want[0] = fminf(want[0], x[i]);
            want[1] = fmaxf(want[1], x[i]);
        }
        c->var.reduce.minmax(x, n, &got[0], &got[1]);
        ck_near(c, got, want, 2, 0, 0, "minmax");
        ck_done(c);
    }
}

/* ---- softmax and norms ---- */

typedef void column_fn(const double *x, double *y, size_t n);

static void col_softmax(const double *x, double *y, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        top = isnan(x[i]) ? (double)NAN : x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - top);
    for (size_t i = 0; i < n; i++)
        y[i] = exp(x[i] - top) / sum;
}

static void col_log_softmax(const double *x, double *y, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - top);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] - top - log(sum);
}

static void col_hardmax(const double *x, double *y, size_t n)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = 0;
        best = x[i] > x[best] ? i : best;
    }
    if (n)
        y[best] = 1;
}

static void col_l1(const double *x, double *y, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += fabs(x[i]);
    for (size_t i = 0; i < n; i++)
        y[i] = s == 0 ? 0 : x[i] / s;
}

static void col_l2(const double *x, double *y, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        y[i] = s == 0 ? 0 : x[i] / sqrt(s);
}

static const struct soft_case {
    const char *slot;
    size_t offset; /* of its slots in struct norm_kern */
    column_fn *fn;
} soft_cases[] = {
    {"norm.softmax[", offsetof(struct norm_kern, softmax), col_softmax},
    {"norm.log_softmax[", offsetof(struct norm_kern, log_softmax), col_log_softmax},
    {"norm.hardmax[", offsetof(struct norm_kern, hardmax), col_hardmax},
    {"norm.l1_norm[", offsetof(struct norm_kern, l1_norm), col_l1},
    {"norm.l2_norm[", offsetof(struct norm_kern, l2_norm), col_l2},
};

static const struct soft_case *soft_case_of(const struct ck *c)
{
    const struct soft_case *s = soft_cases;
    while (strncmp(c->row->slot, s->slot, strlen(s->slot)) != 0)
        s++;
    return s;
}

static softmax_fn *soft_fn(struct ck *c, enum dtype dt)
{
    return ((softmax_fn **)((char *)&c->var.norm + soft_case_of(c)->offset))[dt];
}

/* Sums of a thousand exponentials in float: 3e-6 of the value. */
static void run_soft(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    static double col[16384], want[16384];
    for (int round = 0; round < ROUNDS; round++) {
        struct block b = random_block(c, ck_below(c, 5) ? 32 : 1000, true);
        char *x = ck_alloc(c, b.n * t->size, t->size), *y = ck_alloc(c, b.n * t->size, t->size);
        bool far = ck_below(c, 2);
        double tiny = strstr(c->row->slot, "log") ? 1e-6 : 1e-30;
        for (size_t i = 0; i < b.n; i++)
            t->store_f64(x + i * t->size, far && dt == DT_FLOAT && ck_below(c, 20) == 0
                                              ? -(double)INFINITY
                                              : (double)ck_below(c, 1 << 16) / (far ? 500.0 : 8000.0));
        memcpy(y, x, b.n * t->size);
        soft_fn(c, dt)(y, y, &b.s);
        for (size_t j = 0; j < b.s.outer * b.s.inner; j++) {
            for (size_t r = 0; r < b.s.reduce; r++)
                col[r] = t->load_f64(x + at(&b.s, j / b.s.inner, r, j % b.s.inner) * t->size);
            soft_case_of(c)->fn(col, want, b.s.reduce);
            for (size_t r = 0; r < b.s.reduce; r++)
                col[r] = t->load_f64(y + at(&b.s, j / b.s.inner, r, j % b.s.inner) * t->size);
            ck_near_f64(c, col, want, b.s.reduce, dt == DT_FLOAT ? tiny : 1e-15,
                        dt == DT_FLOAT ? 4e-6 : 1e-13, c->row->slot);
        }
        ck_done(c);
    }
}

struct soft_bench {
    softmax_fn *fn;
    float *x, *y;
    struct red_shape s;
};

static void soft_call(void *arg)
{
    struct soft_bench *b = arg;
    b->fn(b->x, b->y, &b->s);
}

static void bench_soft(struct ck *c)
{
    if (ck_slot_dtype(c, 0) != DT_FLOAT)
        return;
    struct soft_bench b = {soft_fn(c, DT_FLOAT), ck_alloc(c, 64 * 512 * 4, 64), ck_alloc(c, 64 * 512 * 4, 64),
                           red_shape(64, 512, 1)};
    ck_fill_f32(c, b.x, 64 * 512, FILL_UNIFORM);
    ck_bench(c, "64 x 512, operations: Gelem/s", 64 * 512, 64 * 512 * 8, soft_call, &b);
}

/* Rows with an offset of up to 30 deviations: 2e-6 of it is what float input leaves. */
static void run_layernorm(struct ck *c)
{
    bool rms = strstr(c->row->slot, "rms") != NULL;
    for (int round = 0; round < ROUNDS; round++) {
        size_t rows = (size_t)ck_below(c, 4), n = 1 + (size_t)ck_size(c, 64);
        float *x = ck_alloc(c, rows * n * 4, 4), *y = ck_alloc(c, rows * n * 4, 4);
        float *scale = ck_below(c, 3) ? ck_alloc(c, n * 4, 4) : NULL, *bias = NULL;
        float *mean = ck_below(c, 2) ? ck_alloc(c, rows * 4, 4) : NULL,
              *inv = mean ? ck_alloc(c, rows * 4, 4) : NULL;
        float shift = rms ? 0 : (float)ck_below(c, 10);
        ck_fill_f32(c, x, rows * n, FILL_UNIFORM);
        for (size_t i = 0; i < rows * n; i++)
            x[i] += shift;
        if (scale)
            ck_fill_f32(c, scale, n, FILL_UNIFORM);
        if (!rms && ck_below(c, 2)) {
            bias = ck_alloc(c, n * 4, 4);
            ck_fill_f32(c, bias, n, FILL_UNIFORM);
        }
        if (rms)
            c->var.norm.rmsnorm(x, scale, y, inv, rows, n, 1e-5f);
        else
            c->var.norm.layernorm(x, scale, bias, y, mean, inv, rows, n, 1e-5f);
        for (size_t r = 0; r < rows; r++) {
            double m = 0, v = 0;
            for (size_t i = 0; i < n && !rms; i++)
                m += (double)x[r * n + i] / (double)n;
            for (size_t i = 0; i < n; i++)
                v += ((double)x[r * n + i] - m) * ((double)x[r * n + i] - m) / (double)n;
            double k = 1 / sqrt(v + (double)1e-5f);
            float fm = (float)m, fk = (float)k;
            for (size_t i = 0; i < n; i++) {
                float want = (float)(((double)x[r * n + i] - m) * k * (scale ? (double)scale[i] : 1) +
                                     (bias ? (double)bias[i] : 0));
                ck_near(c, &y[r * n + i], &want, 1, 2e-6 + 1e-7 * k * (double)shift, 2e-6, "normalized");
            }
            if (mean && !rms)
                ck_near(c, &mean[r], &fm, 1, 1e-6, 1e-6, "mean");
            if (inv)
                ck_near(c, &inv[r], &fk, 1, 0, 1e-5, "inverse deviation");
        }
        ck_done(c);
    }
}

struct ln_bench {
    struct ck *c;
    float *x, *y, *s;
};

static void ln_call(void *arg)
{
    struct ln_bench *b = arg;
    if (strstr(b->c->row->slot, "rms"))
        b->c->var.norm.rmsnorm(b->x, b->s, b->y, NULL, 64, 768, 1e-5f);
    else
        b->c->var.norm.layernorm(b->x, b->s, b->s, b->y, NULL, NULL, 64, 768, 1e-5f);
}

static void bench_layernorm(struct ck *c)
{
    struct ln_bench b = {c, ck_alloc(c, 64 * 768 * 4, 64), ck_alloc(c, 64 * 768 * 4, 64),
                         ck_alloc(c, 768 * 4, 64)};
    ck_fill_f32(c, b.x, 64 * 768, FILL_UNIFORM);
    ck_fill_f32(c, b.s, 768, FILL_UNIFORM);
    ck_bench(c, "64 x 768, operations: Gelem/s", 64 * 768, 64 * 768 * 8, ln_call, &b);
}

static void run_scale_shift(struct ck *c)
{
    bool by_rows = strstr(c->row->slot, "rows") != NULL;
    for (int round = 0; round < ROUNDS; round++) {
        size_t rows = by_rows ? (size_t)ck_below(c, 4) : 1, n = (size_t)ck_size(c, 32);
        float *x = ck_alloc(c, rows * n * 4, 4), *want = ck_alloc(c, rows * n * 4, 4);
        float *a = ck_alloc(c, (n + 1) * 4, 4), *b = ck_alloc(c, (n + 1) * 4, 4);
        ck_fill_f32(c, x, rows * n, FILL_SPECIAL);
        ck_fill_f32(c, a, n + 1, FILL_UNIFORM);
        ck_fill_f32(c, b, n + 1, FILL_UNIFORM);
        for (size_t i = 0; i < rows * n; i++)
            want[i] = fmaf(x[i], a[by_rows ? i % n : 0], b[by_rows ? i % n : 0]);
        if (by_rows)
            c->var.norm.scale_shift_rows(x, a, b, x, rows, n);
        else
            c->var.norm.scale_shift(x, x, n, a[0], b[0]);
        ck_near(c, x, want, rows * n, 0, 0, "scaled");
        ck_done(c);
    }
}

static void run_moments(struct ck *c)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = 1 + (size_t)ck_size(c, round % 4 ? 64 : 4096);
        float *x = ck_alloc(c, n * 4, 4);
        double sum = 0, sq = 0, want[2], got[2];
        ck_fill_f32(c, x, n, FILL_UNIFORM);
        for (size_t i = 0; i < n; i++)
            sum += (double)x[i];
        want[0] = sum / (double)n;
        for (size_t i = 0; i < n; i++)
            sq += ((double)x[i] - want[0]) * ((double)x[i] - want[0]);
        want[1] = sq / (double)n;
        c->var.norm.moments(x, n, &got[0], &got[1]);
        ck_near_f64(c, got, want, 2, 1e-6, 1e-6, "mean and variance");
        ck_done(c);
    }
}

static void run_lrn(struct ck *c)
{
    static const float betas[] = {0.75f, 0.5f, 1.0f, 0.6f};
    for (int round = 0; round < ROUNDS; round++) {
        struct lrn_params p = {1 + (size_t)ck_below(c, 9), 1 + (size_t)ck_size(c, 256),
                               1 + (size_t)ck_below(c, 6), 0.5f,
                               betas[ck_below(c, 4)],      1.5f};
        size_t n = p.channels * p.spatial;
        float *x = ck_alloc(c, n * 4, 4);
        ck_fill_f32(c, x, n, FILL_UNIFORM);
        ck_seal(c);
        float *y = ck_alloc(c, n * 4, 4);
        c->var.norm.lrn(&p, x, y, 0, p.spatial);
        for (size_t i = 0; i < n; i++) {
            double sq = 0;
            int64_t ch = (int64_t)(i / p.spatial), lo = ch - (int64_t)((p.size - 1) / 2);
            for (int64_t j = lo; j < lo + (int64_t)p.size; j++)
                if (j >= 0 && j < (int64_t)p.channels) {
                    double e = (double)x[(size_t)j * p.spatial + i % p.spatial];
                    sq += e * e;
                }
            float want = (float)((double)x[i] * pow(1.5 + 0.5 / (double)p.size * sq, -(double)p.beta));
            ck_near(c, &y[i], &want, 1, 0, 2e-6, "lrn");
        }
        ck_done(c);
    }
}

struct bench_lrn_arg {
    const struct kern *k;
    struct lrn_params p;
    const float *x;
    float *y;
};

static void lrn_call(void *arg)
{
    struct bench_lrn_arg *b = arg;
    b->k->norm.lrn(&b->p, b->x, b->y, 0, b->p.spatial);
}

static void bench_lrn(struct ck *c)
{
    struct bench_lrn_arg b = {.k = &c->full, .p = {96, 55 * 55, 5, 1e-4f, 0.75f, 1}};
    size_t n = b.p.channels * b.p.spatial;
    float *x = ck_alloc(c, n * 4, 64);
    ck_fill_f32(c, x, n, FILL_UNIFORM);
    b.x = x;
    b.y = ck_alloc(c, n * 4, 64);
    ck_bench(c, "96x55x55, 5 channels", 0, (double)n * 8, lrn_call, &b);
    ck_done(c);
}

/* ---- pooling ---- */

/* Output extent of one axis, or -1: floor or ceil((in + pads - dilation (kernel - 1) - 1) / stride) + 1,
 * where in ceil mode a window may not start in the end padding. */
static int64_t out_extent(const struct pool_params *p, int i, bool ceil_mode)
{
    int64_t room = p->in[i] + p->pad[i] + p->pad_end[i] - (p->dilation[i] * (p->kernel[i] - 1) + 1);
    if (room < 0)
        return -1;
    int64_t out = room / p->stride[i] + 1;
    return out + (ceil_mode && room % p->stride[i] && out * p->stride[i] < p->in[i] + p->pad[i]);
}

static void random_pool(struct ck *c, struct pool_params *p)
{
    memset(p, 0, sizeof *p);
    p->rank = 1 + (int)ck_below(c, 3);
    p->count_include_pad = ck_below(c, 2);
    p->column_major = ck_below(c, 2);
    p->p = (float)(1 + ck_below(c, 3));
    for (int i = 0; i < p->rank; i++) {
        int64_t out = -1;
        while (out < 1) {
            p->in[i] = 1 + ck_below(c, p->rank == 3 ? 8 : 60);
            p->kernel[i] = 1 + ck_below(c, 4);
            p->stride[i] = 1 + ck_below(c, 3);
            p->dilation[i] = 1 + ck_below(c, 2);
            p->pad[i] = ck_below(c, p->kernel[i]);
            p->pad_end[i] = ck_below(c, p->kernel[i]);
            out = out_extent(p, i, ck_below(c, 2));
        }
        p->out[i] = out;
    }
}

enum pool_kind { POOL_MAX, POOL_AVG, POOL_LP };

/* One output by coordinates, all axes padded to three. index: flat position of the maximum. */
static double pool_one(const struct pool_params *p, enum pool_kind kind, enum dtype dt, const char *x,
                       const int64_t *pos, int64_t *index)
{
    const struct dtype_info *t = dtype_info(dt);
    int64_t taps = 0, padded = 0, total = 1;
    double v = kind == POOL_MAX ? (dt == DT_UINT8 ? 0 : dt == DT_INT8 ? -128 : -INFINITY) : 0;
    *index = -1;
    for (int i = 0; i < p->rank; i++)
        total *= p->kernel[i];
    for (int64_t k = 0; k < total; k++) {
        int64_t rest = k, flat = 0, tap[POOL_RANK], col = 0, scale = 1;
        bool in = true, in_pad = true;
        for (int i = p->rank - 1; i >= 0; i--) {
            tap[i] = pos[i] * p->stride[i] - p->pad[i] + rest % p->kernel[i] * p->dilation[i];
            rest /= p->kernel[i];
            in &= tap[i] >= 0 && tap[i] < p->in[i];
            in_pad &= tap[i] < p->in[i] + p->pad_end[i];
        }
        padded += in_pad;
        if (!in)
            continue;
        for (int i = 0; i < p->rank; i++) {
            flat = flat * p->in[i] + tap[i];
            col += tap[i] * scale;
            scale *= p->in[i];
        }
        double e = t->load_f64(x + flat * (int64_t)t->size);
        taps++;
        if (kind == POOL_AVG)
            v += e;
        else if (kind == POOL_LP)
            v += pow(fabs(e), (double)p->p);
        else if (*index < 0 || e > v || (isnan(e) && !isnan(v)))
            v = e, *index = p->column_major ? col : flat;
    }
    if (kind == POOL_AVG)
        v /= (double)(p->count_include_pad ? padded : taps);
    return kind == POOL_LP ? pow(v, 1 / (double)p->p) : v;
}

static void pool_check(struct ck *c, const struct pool_params *p, enum pool_kind kind, enum dtype dt,
                       const char *x, const char *y, const int64_t *index, size_t planes, size_t first)
{
    const struct dtype_info *t = dtype_info(dt);
    int64_t in = 1, out = 1;
    for (int i = 0; i < p->rank; i++)
        in *= p->in[i], out *= p->out[i];
    for (int64_t o = 0; o < out * (int64_t)planes; o++) {
        int64_t pos[POOL_RANK], rest = o % out, at_max, plane = o / out;
        for (int i = p->rank - 1; i >= 0; i--) {
            pos[i] = rest % p->out[i];
            rest /= p->out[i];
        }
        double want = pool_one(p, kind, dt, x + plane * in * (int64_t)t->size, pos, &at_max);
        double got = t->load_f64(y + o * (int64_t)t->size);
        ck_near_f64(c, &got, &want, 1, kind == POOL_MAX ? 0 : 1e-6, kind == POOL_MAX ? 0 : 2e-6, "pooled");
        if (index && at_max >= 0 && index[o] != ((int64_t)first + plane) * in + at_max)
            ck_fail(c, "index %ld, expected %ld", (long)index[o],
                    (long)(((int64_t)first + plane) * in + at_max));
    }
}

static void run_pool(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    enum pool_kind kind = strstr(c->row->slot, "max")   ? POOL_MAX
                          : strstr(c->row->slot, "avg") ? POOL_AVG
                                                        : POOL_LP;
    for (int round = 0; round < ROUNDS; round++) {
        struct pool_params p;
        size_t planes = (size_t)ck_below(c, 3), n = planes, m = planes, first = (size_t)ck_below(c, 5);
        random_pool(c, &p);
        for (int i = 0; i < p.rank; i++)
            n *= (size_t)p.in[i], m *= (size_t)p.out[i];
        float *f = ck_alloc(c, n * 4, 4);
        char *x = ck_alloc(c, n * t->size, t->size);
        ck_fill_f32(c, f, n,
                    kind == POOL_MAX && dtype_is_float(dt) && ck_below(c, 2) ? FILL_SPECIAL : FILL_UNIFORM);
        for (size_t i = 0; i < n; i++)
            t->store_f64(x + i * t->size, (double)f[i] * (dtype_is_float(dt) ? 1 : 100));
        ck_seal(c);
        char *y = ck_alloc(c, m * t->size, t->size);
        int64_t *index = kind == POOL_MAX && ck_below(c, 3) == 0 ? ck_alloc(c, m * 8, 8) : NULL;
        if (kind == POOL_MAX)
            c->var.pool.max[dt](&p, x, y, index, planes, first);
        else
            (kind == POOL_AVG ? c->var.pool.avg : c->var.pool.lp)[dt](&p, x, y, planes);
        pool_check(c, &p, kind, dt, x, y, index, planes, first);
        ck_done(c);
    }
}

struct pool_bench {
    struct ck *c;
    struct pool_params p;
    float *x, *y;
};

static void pool_call(void *arg)
{
    struct pool_bench *b = arg;
    if (strstr(b->c->row->slot, "max"))
        b->c->var.pool.max[DT_FLOAT](&b->p, b->x, b->y, NULL, 16, 0);
    else
        b->c->var.pool.avg[DT_FLOAT](&b->p, b->x, b->y, 16);
}

static void bench_pool(struct ck *c)
{
    struct pool_bench b = {c,
                           {2, {112, 112}, {56, 56}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, false, false, 2},
                           ck_alloc(c, 16 * 112 * 112 * 4, 64),
                           ck_alloc(c, 16 * 56 * 56 * 4, 64)};
    if (ck_slot_dtype(c, 0) != DT_FLOAT || strstr(c->row->slot, "lp"))
        return;
    ck_fill_f32(c, b.x, 16 * 112 * 112, FILL_UNIFORM);
    ck_bench(c, "16x112x112, 3x3 by 2", 0, 16 * 4 * (112 * 112 + 56 * 56), pool_call, &b);
}

/* ---- quantization ---- */

static double quantum(double x, double zp, int32_t lo, int32_t hi)
{
    double r = rint(x) + zp;
    return isnan(r) || r < lo ? lo : r > hi ? hi : r;
}

static void run_quantize(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    int32_t lo, hi;
    quant_range(dt, &lo, &hi);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 32);
        int32_t zp = lo + (int32_t)ck_below(c, hi - lo + 1);
        float scale = 0.25f * (float)(1 + ck_below(c, 3));
        float *x = ck_alloc(c, n * 4, 4);
        char *want = ck_alloc(c, n * t->size, t->size);
        ck_fill_f32(c, x, n, FILL_SPECIAL);
        for (size_t i = 0; i < n; i++) {
            if (fabsf(x[i]) <= 1) /* quarters: ties among them */
                x[i] = rintf(x[i] * (float)(hi - lo)) * 0.125f;
            t->store_f64(want + i * t->size, quantum((double)(x[i] / scale), zp, lo, hi));
        }
        ck_seal(c);
        char *q = ck_alloc(c, n * t->size, t->size);
        c->var.quant.quantize[dt](x, q, n, scale, zp);
        ck_same(c, q, want, n * t->size, "quantized");
        ck_done(c);
    }
}

static void run_dequantize(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 32);
        char *q = ck_alloc(c, n * t->size, t->size);
        float *want = ck_alloc(c, n * 4, 4);
        int32_t zp = (int32_t)ck_below(c, 8);
        for (size_t i = 0; i < n; i++) {
            t->store_i64(q + i * t->size, (int64_t)ck_rand(c) >> (64 - t->bits));
            want[i] = (float)((double)t->load_i64(q + i * t->size) - zp) * 0.3f;
        }
        ck_seal(c);
        float *y = ck_alloc(c, n * 4, 4);
        c->var.quant.dequantize[dt](q, y, n, 0.3f, zp);
        ck_near(c, y, want, n, 0, 0, "dequantized");
        ck_done(c);
    }
}

static void run_requantize(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    int32_t lo, hi;
    quant_range(dt, &lo, &hi);
    for (int round = 0; round < ROUNDS; round++) {
        size_t rows = (size_t)ck_below(c, 4), n = (size_t)ck_size(c, 16), ld = n + (size_t)ck_below(c, 3);
        size_t len = rows && n ? (rows - 1) * ld + n : 0;
        int32_t *acc = ck_alloc(c, len * 4, 4), *bias = ck_below(c, 2) ? ck_alloc(c, n * 4, 4) : NULL;
        bool per_column = ck_below(c, 2);
        float *mult = ck_alloc(c, (per_column ? n : 1) * 4, 4);
        int32_t zp = lo + (int32_t)ck_below(c, 256);
        for (size_t i = 0; i < len; i++)
            acc[i] = (int32_t)ck_rand(c) >> 8;
        for (size_t i = 0; i < n && bias; i++)
            bias[i] = (int32_t)ck_rand(c) >> 8;
        for (size_t i = 0; i < (per_column ? n : 1); i++)
            mult[i] = (float)(1 + ck_below(c, 100)) * 1e-7f;
        ck_seal(c);
        uint8_t *q = ck_alloc(c, len, 1);
        c->var.quant.requantize[dt](acc, bias, mult, per_column, zp, q, rows, n, ld);
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < n; i++) {
                float v = (float)(acc[r * ld + i] + (bias ? bias[i] : 0)) * mult[per_column ? i : 0];
                uint8_t want = (uint8_t)(int)quantum((double)v, zp, lo, hi);
                ck_same(c, &q[r * ld + i], &want, 1, "requantized");
            }
        ck_done(c);
    }
}

/* ---- recurrent cells and resize ---- */

static double sig(double x)
{
    return 1 / (1 + exp(-x));
}

static double clipped(double x, double clip)
{
    return clip <= 0 ? x : fmax(-clip, fmin(clip, x));
}

static void run_lstm(struct ck *c)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 16);
        float *g = ck_alloc(c, 4 * n * 4, 4), *peep = ck_below(c, 2) ? ck_alloc(c, 3 * n * 4, 4) : NULL;
        float *cell = ck_alloc(c, n * 4, 4), *h = ck_alloc(c, n * 4, 4), *wc = ck_alloc(c, n * 4, 4);
        float *wh = ck_alloc(c, n * 4, 4), clip = ck_below(c, 2) ? 0.5f : 0;
        ck_fill_f32(c, g, 4 * n, FILL_UNIFORM);
        ck_fill_f32(c, cell, n, FILL_UNIFORM);
        if (peep)
            ck_fill_f32(c, peep, 3 * n, FILL_UNIFORM);
        for (size_t j = 0; j < n; j++) {
            double old = (double)cell[j], k = (double)clip;
            double i = sig(clipped((double)g[j] + (peep ? (double)peep[j] * old : 0), k));
            double f = sig(clipped((double)g[2 * n + j] + (peep ? (double)peep[2 * n + j] * old : 0), k));
            double v = f * old + i * tanh(clipped((double)g[3 * n + j], k));
            double o = sig(clipped((double)g[n + j] + (peep ? (double)peep[n + j] * v : 0), k));
            wc[j] = (float)v;
            wh[j] = (float)(o * tanh(v));
        }
        c->var.rnn.lstm(g, peep, cell, h, n, clip);
        ck_near(c, cell, wc, n, 5e-7, 1e-6, "cell");
        ck_near(c, h, wh, n, 5e-7, 1e-6, "hidden");
        ck_done(c);
    }
}

static void run_gru(struct ck *c)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 16);
        bool applied = ck_below(c, 2);
        float *zr = ck_alloc(c, 2 * n * 4, 4), *hx = ck_alloc(c, n * 4, 4), *hr = ck_alloc(c, n * 4, 4);
        float *h = ck_alloc(c, n * 4, 4), *want = ck_alloc(c, n * 4, 4), clip = ck_below(c, 2) ? 0.5f : 0;
        ck_fill_f32(c, zr, 2 * n, FILL_UNIFORM);
        ck_fill_f32(c, hx, n, FILL_UNIFORM);
        ck_fill_f32(c, hr, n, FILL_UNIFORM);
        ck_fill_f32(c, h, n, FILL_UNIFORM);
        for (size_t j = 0; j < n; j++) {
            double z = sig(clipped((double)zr[j], (double)clip));
            double r = applied ? 1 : sig(clipped((double)zr[n + j], (double)clip));
            double t = tanh(clipped((double)hx[j] + r * (double)hr[j], (double)clip));
            want[j] = (float)((1 - z) * t + z * (double)h[j]);
        }
        c->var.rnn.gru(zr, hx, hr, applied, h, n, clip);
        ck_near(c, h, want, n, 5e-7, 1e-6, "hidden");
        ck_done(c);
    }
}

static void run_resize(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    for (int round = 0; round < ROUNDS; round++) {
        size_t outer = 1 + (size_t)ck_below(c, 3), in = 1 + (size_t)ck_below(c, 6),
               inner = (size_t)ck_size(c, 8);
        struct resize_table tab = {1 + ck_below(c, 9), 1 + (int)ck_below(c, 4), NULL, NULL};
        size_t entries = (size_t)tab.out * (size_t)tab.taps, n = outer * in * inner,
               m = outer * (size_t)tab.out * inner;
        tab.index = ck_alloc(c, entries * 4, 4);
        tab.weight = ck_alloc(c, entries * 4, 4);
        char *x = ck_alloc(c, n * t->size, t->size), *y = ck_alloc(c, m * t->size, t->size);
        fill_block(c, dt, x, n);
        ck_fill_f32(c, tab.weight, entries, FILL_UNIFORM);
        for (size_t i = 0; i < entries; i++)
            tab.index[i] = (int32_t)ck_below(c, (int64_t)in);
        tab.index[0] = ck_below(c, 2) ? -1 : 0;
        c->var.resize.apply[dt](&tab, x, y, outer, in, inner, 7.5);
        for (size_t i = 0; i < m; i++) {
            size_t o = i / inner % (size_t)tab.out * (size_t)tab.taps, b = i / inner / (size_t)tab.out;
            double want = tab.index[o] < 0 ? 7.5 : 0, got = t->load_f64(y + i * t->size);
            for (int k = 0; k < tab.taps && tab.index[o] >= 0; k++)
                want += (double)tab.weight[o + (size_t)k] *
                        t->load_f64(x + ((b * in + (size_t)tab.index[o + (size_t)k]) * inner + i % inner) *
                                            t->size);
            ck_near_f64(c, &got, &want, 1, 2e-6, 0, "resized");
        }
        ck_done(c);
    }
}

const struct check check_rows[] = {
    {"reduce.op[[]*", run_reduce, NULL},
    {"reduce.arg*", run_arg, NULL},
    {"reduce.cum*", run_cum, NULL},
    {"reduce.minmax", run_minmax, NULL},
    {"norm.*softmax[[]*", run_soft, bench_soft},
    {"norm.hardmax[[]*", run_soft, NULL},
    {"norm.l?_norm[[]*", run_soft, NULL},
    {"norm.layernorm", run_layernorm, bench_layernorm},
    {"norm.rmsnorm", run_layernorm, bench_layernorm},
    {"norm.scale_shift*", run_scale_shift, NULL},
    {"norm.moments", run_moments, NULL},
    {"norm.lrn", run_lrn, bench_lrn},
    {"pool.*", run_pool, bench_pool},
    {"quant.quantize[[]*", run_quantize, NULL},
    {"quant.dequantize[[]*", run_dequantize, NULL},
    {"quant.requantize[[]*", run_requantize, NULL},
    {"rnn.lstm", run_lstm, NULL},
    {"rnn.gru", run_gru, NULL},
    {"resize.apply[[]*", run_resize, NULL},
    {NULL, NULL, NULL},
};
