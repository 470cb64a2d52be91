/* Strided and mapped copies, gather and scatter offsets. Index arithmetic only: the rows move the bits. */
#include "kern/kern.h"

#include <string.h>

static int64_t abs64(int64_t x)
{
    return x < 0 ? -x : x;
}

/* Outer axes first: by output step, then by input step. */
static bool comes_before(const struct copy_plan *p, int a, int b)
{
    if (abs64(p->os[a]) != abs64(p->os[b]))
        return abs64(p->os[a]) > abs64(p->os[b]);
    return abs64(p->is[a]) > abs64(p->is[b]);
}

static void swap_axes(struct copy_plan *p, int a, int b)
{
    int64_t d = p->dims[a], i = p->is[a], o = p->os[a];
    p->dims[a] = p->dims[b], p->is[a] = p->is[b], p->os[a] = p->os[b];
    p->dims[b] = d, p->is[b] = i, p->os[b] = o;
}

static void sort_axes(struct copy_plan *p)
{
    for (int i = 1; i < p->rank; i++)
        for (int j = i; j > 0 && comes_before(p, j, j - 1); j--)
            swap_axes(p, j, j - 1);
}

static void merge_axes(struct copy_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->rank; i++) {
        int64_t d = p->dims[i];
        if (n && p->is[n - 1] == p->is[i] * d && p->os[n - 1] == p->os[i] * d) {
            p->dims[n - 1] *= d;
            p->is[n - 1] = p->is[i];
            p->os[n - 1] = p->os[i];
        } else {
            p->dims[n] = d, p->is[n] = p->is[i], p->os[n] = p->os[i];
            n++;
        }
    }
    p->rank = n;
}

int copy_init(struct copy_plan *p, int rank, const int64_t *dims, const int64_t *is, const int64_t *os)
{
    p->rank = 0;
    p->total = 1;
    for (int i = 0; i < rank; i++) {
        p->total *= dims[i];
        if (dims[i] == 1)
            continue;
        if (p->rank == MOVE_RANK)
            return -1;
        p->dims[p->rank] = dims[i], p->is[p->rank] = is[i], p->os[p->rank] = os[i];
        p->rank++;
    }
    if (p->total) {
        sort_axes(p);
        merge_axes(p);
    }
    if (p->rank == 0) {
        p->dims[0] = 1, p->is[0] = 1, p->os[0] = 1;
        p->rank = 1;
    }
    return 0;
}

/* Element steps of a dense tensor. */
static void dense_steps(int rank, const int64_t *dims, int64_t *steps)
{
    int64_t s = 1;
    for (int i = rank - 1; i >= 0; i--) {
        steps[i] = s;
        s *= dims[i];
    }
}

enum { ANY_RANK = 64 };

int copy_init_transpose(struct copy_plan *p, int rank, const int64_t *in_dims, const int64_t *perm)
{
    int64_t dims[ANY_RANK], is[ANY_RANK], os[ANY_RANK], dense[ANY_RANK];
    if (rank > ANY_RANK)
        return -1;
    dense_steps(rank, in_dims, dense);
    for (int i = 0; i < rank; i++) {
        dims[i] = in_dims[perm[i]];
        is[i] = dense[perm[i]];
    }
    dense_steps(rank, dims, os);
    return copy_init(p, rank, dims, is, os);
}

int copy_init_slice(struct copy_plan *p, int rank, const int64_t *in_dims, const int64_t *start,
                    const int64_t *step, const int64_t *out_dims, int64_t *origin)
{
    int64_t is[ANY_RANK], os[ANY_RANK];
    if (rank > ANY_RANK)
        return -1;
    dense_steps(rank, in_dims, is);
    dense_steps(rank, out_dims, os);
    *origin = 0;
    for (int i = 0; i < rank; i++) {
        *origin += start[i] * is[i];
        /* with a single element the step is never taken, and may be anything */
        is[i] = out_dims[i] > 1 ? is[i] * step[i] : 0;
    }
    return copy_init(p, rank, out_dims, is, os);
}

int copy_init_expand(struct copy_plan *p, int in_rank, const int64_t *in_dims, int rank,
                     const int64_t *out_dims)
{
    int64_t is[ANY_RANK], os[ANY_RANK], dense[ANY_RANK];
    if (rank > ANY_RANK || in_rank > rank)
        return -1;
    dense_steps(in_rank, in_dims, dense);
    dense_steps(rank, out_dims, os);
    for (int i = 0; i < rank; i++) {
        int j = i - (rank - in_rank);
        if (j >= 0 && in_dims[j] != 1 && in_dims[j] != out_dims[i])
            return -1;
        is[i] = j < 0 || in_dims[j] == 1 ? 0 : dense[j];
    }
    return copy_init(p, rank, out_dims, is, os);
}

/* Does the input run along another axis than the output's innermost one? Then that axis makes a 2-D transpose
 * with the last. Returns it, or -1. */
static int crossing_axis(const struct copy_plan *p)
{
    int last = p->rank - 1;
    if (p->rank < 2 || p->os[last] != 1 || abs64(p->is[last]) <= 1)
        return -1;
    for (int i = 0; i < last; i++)
        if (p->is[i] == 1 && p->dims[i] >= 4 && p->dims[last] >= 2 && p->is[last] > 0)
            return i;
    return -1;
}

/* Columns of a transposed block that make one unit of work. */
enum { UNIT_COLS = 64 };

static int64_t outer_count(const struct copy_plan *p, int skip)
{
    int64_t n = 1;
    for (int i = 0; i < p->rank - 1; i++)
        if (i != skip)
            n *= p->dims[i];
    return n;
}

/* Elements of a row that make one unit of work. */
enum { UNIT_RUN = 16384 };

static int64_t pieces(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit;
}

int64_t copy_units(const struct copy_plan *p)
{
    int x = crossing_axis(p);
    if (p->total == 0)
        return 0;
    return x < 0 ? outer_count(p, -1) * pieces(p->dims[p->rank - 1], UNIT_RUN)
                 : outer_count(p, x) * pieces(p->dims[x], UNIT_COLS);
}

/* Input and output offsets of outer index n, the axes `skip` and last left at 0. */
static void outer_offsets(const struct copy_plan *p, int skip, int64_t n, int64_t *in, int64_t *out)
{
    *in = *out = 0;
    for (int i = p->rank - 2; i >= 0; i--) {
        if (i == skip)
            continue;
        int64_t c = n % p->dims[i];
        n /= p->dims[i];
        *in += c * p->is[i];
        *out += c * p->os[i];
    }
}

static void copy_row(const struct kern *k, const struct copy_plan *p, size_t size, const char *in, char *out,
                     int64_t n)
{
    int w = width_index(size), last = p->rank - 1;
    int64_t is = p->is[last], os = p->os[last];
    if (os == 1 && is == 1)
        memcpy(out, in, (size_t)n * size);
    else if (os == 1 && is == 0)
        k->move.fill[w](out, in, (size_t)n);
    else if (os == 1)
        k->move.stride[w](in, is, out, (size_t)n);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(out + i * os * (int64_t)size, in + i * is * (int64_t)size, size);
}

void copy_run(const struct kern *k, const struct copy_plan *p, size_t size, const void *in, void *out,
              int64_t begin, int64_t end)
{
    int x = crossing_axis(p), last = p->rank - 1, w = width_index(size);
    int axis = x < 0 ? last : x;
    int64_t unit = x < 0 ? UNIT_RUN : UNIT_COLS, parts = pieces(p->dims[axis], unit), s = (int64_t)size;
    for (int64_t u = begin; u < end; u++) {
        int64_t io, oo, first = u % parts * unit;
        int64_t n = p->dims[axis] - first < unit ? p->dims[axis] - first : unit;
        outer_offsets(p, x, u / parts, &io, &oo);
        const char *src = (const char *)in + (io + first * p->is[axis]) * s;
        char *dst = (char *)out + (oo + first * p->os[axis]) * s;
        if (x < 0)
            copy_row(k, p, size, src, dst, n);
        else
            k->move.transpose[w](src, (size_t)p->is[last], dst, (size_t)p->os[x], (size_t)p->dims[last],
                                 (size_t)n);
    }
}

/* ---- maps ---- */

/* Triangle wave 0 1 .. n-1 .. 1 0 1 ... */
static int64_t reflect(int64_t i, int64_t n)
{
    int64_t period = 2 * (n - 1);
    if (n == 1)
        return 0;
    i %= period;
    if (i < 0)
        i += period;
    return i < n ? i : period - i;
}

bool map_pad(enum pad_mode mode, int64_t in, int64_t before, int64_t out, int64_t *map)
{
    if (in == 0 && mode != PAD_CONSTANT && out > 0)
        return false;
    for (int64_t o = 0; o < out; o++) {
        int64_t i = o - before;
        if (i >= 0 && i < in)
            map[o] = i;
        else if (mode == PAD_CONSTANT)
            map[o] = -1;
        else if (mode == PAD_EDGE)
            map[o] = i < 0 ? 0 : in - 1;
        else if (mode == PAD_REFLECT)
            map[o] = reflect(i, in);
        else
            map[o] = (i % in + in) % in;
    }
    return true;
}

void map_tile(int64_t in, int64_t out, int64_t *map)
{
    for (int64_t o = 0, i = 0; o < out; o++) {
        map[o] = i;
        i = i + 1 == in ? 0 : i + 1;
    }
}

int64_t map_units(const struct map_plan *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->rank - 1; i++)
        n *= p->out_dims[i];
    return p->rank && p->out_dims[p->rank - 1] == 0 ? 0 : n;
}

/* One row by runs: neighbours that stay neighbours are copied, the outside is filled. */
static void map_row(const struct kern *k, size_t size, const int64_t *map, int64_t n, const char *in,
                    char *out, const void *value)
{
    int w = width_index(size);
    for (int64_t o = 0; o < n;) {
        int64_t e = o + 1, s = (int64_t)size;
        if (map[o] < 0) {
            while (e < n && map[e] < 0)
                e++;
            k->move.fill[w](out + o * s, value, (size_t)(e - o));
        } else {
            while (e < n && map[e] == map[e - 1] + 1)
                e++;
            if (e - o > 2 || e == n) {
                memcpy(out + o * s, in + map[o] * s, (size_t)(e - o) * size);
            } else {
                while (e < n && map[e] >= 0)
                    e++;
                k->move.pick[w](in, map + o, out + o * s, (size_t)(e - o));
            }
        }
        o = e;
    }
}

void map_run(const struct kern *k, const struct map_plan *p, size_t size, const void *in, void *out,
             const void *value, int64_t begin, int64_t end)
{
    int last = p->rank - 1;
    int64_t n = p->rank ? p->out_dims[last] : 1;
    if (p->rank == 0) {
        if (begin < end)
            memcpy(out, in, size);
        return;
    }
    for (int64_t u = begin; u < end; u++) {
        int64_t rest = u, off = 0, step = p->in_dims[last];
        bool outside = false;
        for (int i = last - 1; i >= 0; i--) {
            int64_t c = p->maps[i][rest % p->out_dims[i]];
            rest /= p->out_dims[i];
            outside |= c < 0;
            off += c * step;
            step *= p->in_dims[i];
        }
        char *dst = (char *)out + u * n * (int64_t)size;
        if (outside)
            k->move.fill[width_index(size)](dst, value, (size_t)n);
        else
            map_row(k, size, p->maps[last], n, (const char *)in + off * (int64_t)size, dst, value);
    }
}

/* ---- gather and scatter ---- */

static int64_t index_at(enum dtype dt, const void *idx, size_t i)
{
    return dt == DT_INT32 ? ((const int32_t *)idx)[i] : ((const int64_t *)idx)[i];
}

int64_t index_load(enum dtype dt, const void *idx, size_t n, int64_t limit, int64_t *out)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v = index_at(dt, idx, i);
        if (v < -limit || v >= limit)
            return (int64_t)i;
        out[i] = v < 0 ? v + limit : v;
    }
    return -1;
}

void gather_slices(const struct kern *k, const void *in, void *out, size_t outer, size_t axis,
                   size_t slice_bytes, const int64_t *idx, size_t nidx)
{
    const char *x = in;
    char *y = out;
    int w = width_index(slice_bytes);
    for (size_t o = 0; o < outer; o++, x += axis * slice_bytes, y += nidx * slice_bytes) {
        if (w >= 0)
            k->move.pick[w](x, idx, y, nidx);
        else
            for (size_t i = 0; i < nidx; i++)
                memcpy(y + i * slice_bytes, x + (size_t)idx[i] * slice_bytes, slice_bytes);
    }
}

/* Position in idx_dims and the offset in data that belongs to it, the indexed axis left out. */
struct odometer {
    int rank;
    const int64_t *dims;
    int64_t pos[ANY_RANK], steps[ANY_RANK];
    int64_t along, base; /* step of the indexed axis; offset of the others */
};

static void odometer_init(struct odometer *m, int rank, const int64_t *dims, int axis,
                          const int64_t *idx_dims)
{
    memset(m, 0, sizeof *m);
    m->rank = rank;
    m->dims = idx_dims;
    dense_steps(rank, dims, m->steps);
    if (rank) {
        m->along = m->steps[axis];
        m->steps[axis] = 0;
    }
}

static void odometer_next(struct odometer *m)
{
    for (int i = m->rank - 1; i >= 0; i--) {
        m->base += m->steps[i];
        if (++m->pos[i] < m->dims[i])
            return;
        m->base -= m->steps[i] * m->dims[i];
        m->pos[i] = 0;
    }
}

static int64_t dims_product(int rank, const int64_t *dims)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dims[i];
    return n;
}

void elements_offsets(int rank, const int64_t *dims, int axis, const int64_t *idx, const int64_t *idx_dims,
                      int64_t *off)
{
    struct odometer m;
    int64_t total = dims_product(rank, idx_dims);
    odometer_init(&m, rank, dims, axis, idx_dims);
    for (int64_t n = 0; n < total; n++, odometer_next(&m))
        off[n] = m.base + idx[n] * m.along;
}

void gather_elements(const struct kern *k, size_t size, int rank, const int64_t *in_dims, int axis,
                     const int64_t *idx, const int64_t *idx_dims, const void *in, void *out)
{
    enum { BLOCK = 512 };
    int64_t off[BLOCK], total = dims_product(rank, idx_dims);
    struct odometer m;
    odometer_init(&m, rank, in_dims, axis, idx_dims);
    for (int64_t done = 0; done < total; done += BLOCK) {
        int64_t n = total - done < BLOCK ? total - done : BLOCK;
        for (int64_t i = 0; i < n; i++, odometer_next(&m))
            off[i] = m.base + idx[done + i] * m.along;
        k->move.pick[width_index(size)](in, off, (char *)out + done * (int64_t)size, (size_t)n);
    }
}

int64_t nd_offsets(enum dtype dt, const void *idx, size_t n, int depth, const int64_t *dims, int64_t slice,
                   int64_t *off)
{
    for (size_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < depth; d++) {
            int64_t v = index_at(dt, idx, i * (size_t)depth + (size_t)d);
            if (v < -dims[d] || v >= dims[d])
                return (int64_t)i;
            at = at * dims[d] + (v < 0 ? v + dims[d] : v);
        }
        off[i] = at * slice;
    }
    return -1;
}

void gather_offsets(const struct kern *k, size_t size, const void *in, const int64_t *off, size_t n,
                    size_t slice, void *out)
{
    if (slice == 1) {
        k->move.pick[width_index(size)](in, off, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy((char *)out + i * slice * size, (const char *)in + off[i] * (int64_t)size, slice * size);
}

void one_hot(const struct kern *k, size_t size, const int64_t *idx, size_t outer, size_t depth, size_t inner,
             const void *values, void *out)
{
    char *y = out;
    k->move.fill[width_index(size)](out, values, outer * depth * inner);
    for (size_t o = 0; o < outer; o++, y += depth * inner * size)
        for (size_t i = 0; i < inner; i++) {
            int64_t at = idx[o * inner + i];
            if (at >= 0)
                memcpy(y + ((size_t)at * inner + i) * size, (const char *)values + size, size);
        }
}

static int64_t clamp64(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

void trilu(size_t size, const void *in, void *out, size_t batch, size_t rows, size_t cols, int64_t kk,
           bool upper)
{
    const char *x = in;
    char *y = out;
    size_t row = cols * size;
    int64_t n = (int64_t)cols, m = (int64_t)rows;
    kk = clamp64(kk, -m, n);
    for (size_t b = 0; b < batch; b++)
        for (int64_t r = 0; r < m; r++, x += row, y += row) {
            /* columns [0, cut) are below the diagonal (upper) or on and below it (lower) */
            size_t cut = (size_t)clamp64(r + kk + !upper, 0, n) * size;
            if (x != y)
                memcpy(upper ? y + cut : y, upper ? x + cut : x, upper ? row - cut : cut);
            memset(upper ? y : y + cut, 0, upper ? cut : row - cut);
        }
}
