/* Data movement: each row alone, then the copies that are built on it; and conversions between types. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checkkern.h"

enum { ROUNDS = 40, RANK = 4 };

static int width_of(const struct ck *c)
{
    static const char *const names[] = {"[W1]", "[W2]", "[W4]", "[W8]", "[W16]"};
    int w = 0;
    while (w < W_COUNT - 1 && !strstr(c->row->slot, names[w]))
        w++;
    return w;
}

static char *random_bytes(struct ck *c, size_t n, size_t size)
{
    char *p = ck_alloc(c, n * size, size > 8 ? 8 : size);
    ck_fill_bytes(c, p, n * size);
    return p;
}

/* ---- plans, against coordinates ---- */

struct box {
    int rank;
    int64_t dims[RANK], total;
};

static struct box random_box(struct ck *c, int64_t most)
{
    struct box b = {.rank = 1 + (int)ck_below(c, RANK), .total = 1};
    for (int i = 0; i < b.rank; i++) {
        b.dims[i] = ck_below(c, 12) ? 1 + ck_below(c, most) : ck_below(c, 2);
        b.total *= b.dims[i];
    }
    return b;
}

static void coordinates(const struct box *b, int64_t at, int64_t *pos)
{
    for (int i = b->rank - 1; i >= 0; i--) {
        pos[i] = at % b->dims[i];
        at /= b->dims[i];
    }
}

static int64_t flat(int rank, const int64_t *dims, const int64_t *pos)
{
    int64_t at = 0;
    for (int i = 0; i < rank; i++)
        at = at * dims[i] + pos[i];
    return at;
}

/* Runs the plan in two ranges of units and compares with want, the input element of every output element. */
static void check_plan(struct ck *c, const struct copy_plan *p, size_t size, const char *in,
                       const int64_t *want, int64_t n, const char *what)
{
    int64_t units = copy_units(p), cut = units ? ck_below(c, units + 1) : 0;
    char *out = ck_alloc(c, (size_t)n * size, size > 8 ? 8 : size);
    copy_run(&c->full, p, size, in, out, cut, units);
    copy_run(&c->full, p, size, in, out, 0, cut);
    for (int64_t i = 0; i < n; i++)
        if (!ck_same(c, out + i * (int64_t)size, in + want[i] * (int64_t)size, size, what))
            return;
}

static void plan_transpose(struct ck *c, size_t size)
{
    struct box in = random_box(c, 20), out = in;
    int64_t perm[RANK], pos[RANK], src[RANK];
    struct copy_plan p;
    for (int i = 0; i < in.rank; i++)
        perm[i] = i;
    for (int i = in.rank - 1; i > 0; i--) {
        int64_t j = ck_below(c, i + 1), t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
    for (int i = 0; i < in.rank; i++)
        out.dims[i] = in.dims[perm[i]];
    char *x = random_bytes(c, (size_t)in.total, size);
    int64_t *want = ck_alloc(c, (size_t)in.total * 8, 8);
    for (int64_t i = 0; i < in.total; i++) {
        coordinates(&out, i, pos);
        for (int a = 0; a < in.rank; a++)
            src[perm[a]] = pos[a];
        want[i] = flat(in.rank, in.dims, src);
    }
    if (copy_init_transpose(&p, in.rank, in.dims, perm))
        ck_fail(c, "no plan");
    else
        check_plan(c, &p, size, x, want, in.total, "transpose");
}

static void plan_slice(struct ck *c, size_t size)
{
    struct box out = random_box(c, 12);
    struct box in = {.rank = out.rank, .total = 1};
    int64_t start[RANK], step[RANK], origin, pos[RANK], src[RANK];
    struct copy_plan p;
    for (int i = 0; i < out.rank; i++) {
        int64_t stride = 1 + ck_below(c, 3), span = out.dims[i] ? (out.dims[i] - 1) * stride + 1 : 0;
        in.dims[i] = span + ck_below(c, 3);
        start[i] = in.dims[i] ? ck_below(c, in.dims[i] - span + 1) : 0;
        step[i] = stride;
        if (ck_below(c, 2) && span) {
            start[i] += span - 1;
            step[i] = -stride;
        }
        in.total *= in.dims[i];
    }
    char *x = random_bytes(c, (size_t)in.total, size);
    int64_t *want = ck_alloc(c, (size_t)out.total * 8, 8);
    for (int64_t i = 0; i < out.total; i++) {
        coordinates(&out, i, pos);
        for (int a = 0; a < out.rank; a++)
            src[a] = start[a] + pos[a] * step[a];
        want[i] = flat(out.rank, in.dims, src);
    }
    if (copy_init_slice(&p, out.rank, in.dims, start, step, out.dims, &origin))
        ck_fail(c, "no plan");
    else if (out.total) {
        for (int64_t i = 0; i < out.total; i++)
            want[i] -= origin;
        check_plan(c, &p, size, x + origin * (int64_t)size, want, out.total, "slice");
    }
}

static void plan_expand(struct ck *c, size_t size)
{
    struct box out = random_box(c, 12);
    struct box in = {.rank = 1 + (int)ck_below(c, out.rank), .total = 1};
    int64_t pos[RANK], src[RANK];
    struct copy_plan p;
    int lead = out.rank - in.rank;
    for (int i = 0; i < in.rank; i++) {
        in.dims[i] = ck_below(c, 2) ? 1 : out.dims[lead + i];
        in.total *= in.dims[i];
    }
    char *x = random_bytes(c, (size_t)in.total, size);
    int64_t *want = ck_alloc(c, (size_t)out.total * 8, 8);
    for (int64_t i = 0; i < out.total; i++) {
        coordinates(&out, i, pos);
        for (int a = 0; a < in.rank; a++)
            src[a] = in.dims[a] == 1 ? 0 : pos[lead + a];
        want[i] = flat(in.rank, in.dims, src);
    }
    if (copy_init_expand(&p, in.rank, in.dims, out.rank, out.dims))
        ck_fail(c, "no plan");
    else
        check_plan(c, &p, size, x, want, out.total, "expand");
}

/* Coordinate of a pad by stepping one at a time. */
static int64_t pad_coordinate(enum pad_mode mode, int64_t i, int64_t n)
{
    while (i < 0 || i >= n) {
        if (mode == PAD_CONSTANT)
            return -1;
        if (mode == PAD_EDGE)
            i = i < 0 ? 0 : n - 1;
        else if (mode == PAD_WRAP)
            i += i < 0 ? n : -n;
        else
            i = n == 1 ? 0 : i < 0 ? -i : 2 * (n - 1) - i;
    }
    return i;
}

static void plan_pad(struct ck *c, size_t size)
{
    struct box in = random_box(c, 9), out = {.rank = in.rank, .total = 1};
    enum pad_mode mode = (enum pad_mode)ck_below(c, 4);
    int64_t before[RANK], pos[RANK], src[RANK];
    struct map_plan p = {.rank = in.rank};
    bool ok = true;
    for (int i = 0; i < in.rank; i++) {
        before[i] = ck_below(c, 8) - 2;
        out.dims[i] = in.dims[i] + before[i] + ck_below(c, 5) - 1;
        out.dims[i] = out.dims[i] < 0 ? 0 : out.dims[i];
        int64_t *map = ck_alloc(c, (size_t)out.dims[i] * 8, 8);
        ok &= map_pad(mode, in.dims[i], before[i], out.dims[i], map);
        p.maps[i] = map, p.in_dims[i] = in.dims[i], p.out_dims[i] = out.dims[i];
        out.total *= out.dims[i];
    }
    if (!ok || !out.total)
        return;
    char *x = random_bytes(c, (size_t)in.total, size), *value = random_bytes(c, 1, size);
    char *y = ck_alloc(c, (size_t)out.total * size, size > 8 ? 8 : size);
    int64_t units = map_units(&p), cut = ck_below(c, units + 1);
    map_run(&c->full, &p, size, x, y, value, cut, units);
    map_run(&c->full, &p, size, x, y, value, 0, cut);
    for (int64_t i = 0; i < out.total; i++) {
        bool outside = false;
        coordinates(&out, i, pos);
        for (int a = 0; a < in.rank; a++) {
            src[a] = pad_coordinate(mode, pos[a] - before[a], in.dims[a]);
            outside |= src[a] < 0;
        }
        const char *want = outside ? value : x + flat(in.rank, in.dims, src) * (int64_t)size;
        if (!ck_same(c, y + i * (int64_t)size, want, size, "pad"))
            return;
    }
}

/* ---- rows ---- */

static void one_stride(struct ck *c, int w, size_t size)
{
    size_t n = (size_t)ck_size(c, 16);
    ptrdiff_t step = (ptrdiff_t)ck_below(c, 7) - 3;
    size_t span = n ? (n - 1) * (size_t)labs(step) + 1 : 0;
    char *x = random_bytes(c, span, size);
    ck_seal(c);
    char *y = ck_alloc(c, n * size, size > 8 ? 8 : size), *from = step < 0 && n ? x + (span - 1) * size : x;
    c->var.move.stride[w](from, step, y, n);
    for (size_t i = 0; i < n; i++)
        ck_same(c, y + i * size, from + (ptrdiff_t)i * step * (ptrdiff_t)size, size, "stride");
    ck_done(c);
}

static void one_transpose(struct ck *c, int w, size_t size)
{
    size_t rows = (size_t)ck_size(c, 8), cols = (size_t)ck_size(c, 16);
    size_t in_ld = cols + (size_t)ck_below(c, 3), out_ld = rows + (size_t)ck_below(c, 3);
    char *x = random_bytes(c, rows && cols ? (rows - 1) * in_ld + cols : 0, size);
    ck_seal(c);
    size_t m = rows && cols ? (cols - 1) * out_ld + rows : 0;
    char *y = random_bytes(c, m, size), *before = ck_alloc(c, m * size, 1);
    memcpy(before, y, m * size);
    c->var.move.transpose[w](x, in_ld, y, out_ld, rows, cols);
    for (size_t i = 0; i < m; i++) {
        size_t col = i / out_ld, row = i % out_ld;
        const char *want = row < rows ? x + (row * in_ld + col) * size : before + i * size;
        if (!ck_same(c, y + i * size, want, size, "transpose"))
            break;
    }
    ck_done(c);
}

static void one_fill(struct ck *c, int w, size_t size)
{
    size_t n = (size_t)ck_size(c, 32);
    char *v = random_bytes(c, 1, size), *y = ck_alloc(c, n * size, size > 8 ? 8 : size);
    c->var.move.fill[w](y, v, n);
    for (size_t i = 0; i < n; i++)
        ck_same(c, y + i * size, v, size, "fill");
    ck_done(c);
}

static void one_pick(struct ck *c, int w, size_t size)
{
    size_t n = (size_t)ck_size(c, 16);
    char *x = random_bytes(c, 37, size);
    int64_t *idx = ck_alloc(c, n * 8, 8);
    for (size_t i = 0; i < n; i++)
        idx[i] = ck_below(c, 37);
    ck_seal(c);
    char *y = ck_alloc(c, n * size, size > 8 ? 8 : size);
    c->var.move.pick[w](x, idx, y, n);
    for (size_t i = 0; i < n; i++)
        ck_same(c, y + i * size, x + idx[i] * (int64_t)size, size, "pick");
    ck_done(c);
}

static void one_put(struct ck *c, int w, size_t size)
{
    size_t n = (size_t)ck_below(c, 12), slice = 1 + (size_t)ck_below(c, 4);
    char *d = random_bytes(c, 48, size), *u = random_bytes(c, n * slice, size),
         *want = ck_alloc(c, 48 * size, 1);
    int64_t *off = ck_alloc(c, n * 8, 8);
    memcpy(want, d, 48 * size);
    for (size_t i = 0; i < n; i++) {
        off[i] = ck_below(c, 45);
        memcpy(want + off[i] * (int64_t)size, u + i * slice * size, slice * size);
    }
    c->var.move.put[w](d, off, u, n, slice);
    ck_same(c, d, want, 48 * size, "put");
    ck_done(c);
}

static void run_move(struct ck *c)
{
    int w = width_of(c);
    size_t size = (size_t)1 << w;
    for (int round = 0; round < ROUNDS; round++) {
        if (strstr(c->row->slot, "stride"))
            one_stride(c, w, size), plan_slice(c, size);
        else if (strstr(c->row->slot, "transpose"))
            one_transpose(c, w, size), plan_transpose(c, size);
        else if (strstr(c->row->slot, "fill"))
            one_fill(c, w, size), plan_expand(c, size);
        else if (strstr(c->row->slot, "pick"))
            one_pick(c, w, size), plan_pad(c, size);
        else
            one_put(c, w, size);
        ck_done(c);
    }
}

struct transpose_bench {
    struct ck *c;
    int w;
    char *x, *y;
};

enum { BENCH_SIDE = 512 };

static void transpose_call(void *arg)
{
    struct transpose_bench *b = arg;
    b->c->var.move.transpose[b->w](b->x, BENCH_SIDE, b->y, BENCH_SIDE, BENCH_SIDE, BENCH_SIDE);
}

static void bench_transpose(struct ck *c)
{
    int w = width_of(c);
    size_t bytes = (size_t)BENCH_SIDE * BENCH_SIDE << w;
    struct transpose_bench b = {c, w, ck_alloc(c, bytes, 64), ck_alloc(c, bytes, 64)};
    ck_bench(c, "512 x 512", 0, 2.0 * (double)bytes, transpose_call, &b);
}

static int64_t scattered(const char *slot, int64_t a, int64_t b)
{
    if (strstr(slot, "_ADD"))
        return a + b;
    if (strstr(slot, "_MUL"))
        return a * b;
    return (strstr(slot, "_MAX") ? a > b : a < b) ? a : b;
}

/* Small whole numbers: exact in every type, but for products that wrap alike. */
static void run_scatter(struct ck *c)
{
    enum dtype dt = ck_slot_dtype(c, 0);
    const struct dtype_info *t = dtype_info(dt);
    static const char *const names[] = {"_ADD]", "_MUL]", "_MAX]", "_MIN]"};
    int op = 0;
    while (op < SCATTER_COUNT - 1 && !strstr(c->row->slot, names[op]))
        op++;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_below(c, 6), slice = 1 + (size_t)ck_below(c, 4);
        char *d = ck_alloc(c, 24 * t->size, t->size), *u = ck_alloc(c, n * slice * t->size, t->size), got[8];
        int64_t *off = ck_alloc(c, n * 8, 8), want[24];
        for (size_t i = 0; i < 24; i++) {
            want[i] = ck_below(c, 3);
            t->store_i64(d + i * t->size, want[i]);
        }
        for (size_t i = 0; i < n; i++) {
            off[i] = ck_below(c, 20);
            for (size_t j = 0; j < slice; j++) {
                int64_t v = ck_below(c, 4);
                t->store_i64(u + (i * slice + j) * t->size, v);
                want[off[i] + (int64_t)j] = scattered(c->row->slot, want[off[i] + (int64_t)j], v);
            }
        }
        c->var.move.scatter[op][dt](d, off, u, n, slice);
        for (size_t i = 0; i < 24; i++) {
            t->store_i64(got, want[i]);
            ck_same(c, d + i * t->size, got, t->size, "scatter");
        }
        ck_done(c);
    }
}

/* ---- casts ---- */

static int64_t truncated(double v, enum dtype to)
{
    bool wide = to == DT_INT64 || to == DT_UINT32 || to == DT_UINT64;
    double limit = wide ? 0x1p63 : 0x1p31;
    if (to == DT_UINT64 && v >= 0x1p63 && v < 0x1p64)
        return (int64_t)(uint64_t)v;
    v = trunc(v);
    if (!(v >= -limit && v < limit))
        return wide ? INT64_MIN : INT32_MIN;
    return (int64_t)v;
}

static void cast_want(enum dtype from, enum dtype to, const char *x, char *want)
{
    const struct dtype_info *f = dtype_info(from), *t = dtype_info(to);
    if (dtype_is_float(from) && dtype_is_float(to))
        t->store_f64(want, f->load_f64(x));
    else if (dtype_is_float(from))
        t->store_i64(want, truncated(f->load_f64(x), to));
    else if (to == DT_FLOAT)
        *(float *)want = f->cls == CLS_UINT ? (float)(uint64_t)f->load_i64(x) : (float)f->load_i64(x);
    else if (to == DT_DOUBLE)
        *(double *)want = f->cls == CLS_UINT ? (double)(uint64_t)f->load_i64(x) : (double)f->load_i64(x);
    else
        t->store_i64(want, f->load_i64(x));
}

static void run_cast(struct ck *c)
{
    enum dtype from = ck_slot_dtype(c, 0), to = ck_slot_dtype(c, 1);
    size_t fs = dtype_size(from), ts = dtype_size(to);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = (size_t)ck_size(c, 32);
        char *x = ck_alloc(c, n * fs, fs), *want = ck_alloc(c, n * ts, ts);
        ck_fill_bytes(c, x, n * fs);
        for (size_t i = 0; i < n; i++) {
            if (dtype_is_float(from) && ck_below(c, 4))
                dtype_info(from)->store_f64(x + i * fs,
                                            ldexp((double)(int32_t)ck_rand(c), (int)ck_below(c, 40) - 31));
            cast_want(from, to, x + i * fs, want + i * ts);
        }
        ck_seal(c);
        char *y = ck_alloc(c, n * ts, ts);
        c->var.cast.direct[from][to](x, y, n);
        if (to == DT_FLOAT)
            ck_near(c, (float *)y, (float *)want, n, 0, 0, "cast");
        else if (to == DT_DOUBLE)
            ck_near_f64(c, (double *)y, (double *)want, n, 0, 0, "cast");
        else
            ck_same(c, y, want, n * ts, "cast");
        ck_done(c);
    }
}

const struct check check_move[] = {
    {"move.scatter[[]*", run_scatter, NULL},
    {"move.transpose[[]*", run_move, bench_transpose},
    {"move.*", run_move, NULL},
    {"cast.direct[[]*", run_cast, NULL},
    {NULL, NULL, NULL},
};
