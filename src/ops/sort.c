/* Operators that order values: TopK, Unique.
 *
 * Every real type is compared through one int64 key whose order is that of the values, so that no precision
 * is lost and one piece of code serves all: integers are their own key, floats are taken as their bits. NaN
 * is above everything, -0 equals 0. */
#include <string.h>

#include "ops/op_util.h"

static int64_t float_key(double v)
{
    int64_t k;
    if (v != v)
        return INT64_MAX;
    if (v == 0)
        return 0;
    memcpy(&k, &v, sizeof(k));
    return k < 0 ? INT64_MIN - k : k;
}

static int64_t key_of(const struct dtype_info *d, const void *p)
{
    if (d->cls == CLS_FLOAT)
        return float_key(d->load_f64(p));
    uint64_t v = (uint64_t)d->load_i64(p);
    return (int64_t)(d->cls == CLS_UINT ? v ^ (1ull << 63) : v);
}

static bool sortable(const struct dtype_info *d)
{
    return d->load_i64 && d->cls != CLS_COMPLEX;
}

/* ---- TopK ---- */

struct topk_params {
    int64_t axis, k;
    bool by_attr, smallest;
};

static int topk_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct topk_params *p = params;
    int64_t largest = 1;
    (void)arena;
    p->axis = -1;
    p->by_attr = version < 10;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (rc >= 0 && p->by_attr) {
        rc = attr_int(cx, n, "k", &p->k);
        if (!rc)
            return err_set(cx, E_ATTR, "attribute 'k' is missing");
    }
    if (rc >= 0)
        rc = attr_int(cx, n, "largest", &largest);
    p->smallest = !largest;
    return rc < 0 ? rc : 0;
}

static int topk_infer(struct infer_ctx *ic, const void *params)
{
    const struct topk_params *p = params;
    struct dim dims[TENSOR_MAX_RANK], k = dim_const(p->k);
    int axis, rc = need_inputs(ic, p->by_attr ? 1 : 2), rank = rc ? rc : in_dims(ic, 0, dims);
    if (rank < -1)
        return rank;
    if (!p->by_attr) {
        const struct shape_val *v = ic_val(ic, 1);
        k = v && v->n == 1 ? v->d[0] : dim_unknown();
    }
    if (k.kind == DIM_CONST && k.v < 0)
        return ic_err(ic, E_VALUE, "k is %lld", (long long)k.v);
    if (rank >= 0) {
        rc = ic_axis(ic, p->axis, rank, &axis);
        if (rc)
            return rc;
        if (k.kind == DIM_CONST && dims[axis].kind == DIM_CONST && k.v > dims[axis].v)
            return ic_err(ic, E_VALUE, "k is %lld, the axis is %lld long", (long long)k.v,
                          (long long)dims[axis].v);
        dims[axis] = k;
    }
    rc = ic_has_out(ic, 0) ? ic_out(ic, 0, ic_dtype(ic, 0), rank, dims) : 0;
    return rc || !ic_has_out(ic, 1) ? rc : ic_out(ic, 1, DT_INT64, rank, dims);
}

struct ranked {
    int64_t key, index;
};

/* a stands before b in the result. */
static inline bool before(const struct ranked *a, const struct ranked *b)
{
    return a->key != b->key ? a->key > b->key : a->index < b->index;
}

/* Heap of n with the entry that comes last of all at the root. */
static void sift(struct ranked *h, int64_t n, int64_t i)
{
    for (;;) {
        int64_t last = i, l = 2 * i + 1, r = l + 1;
        if (l < n && before(&h[last], &h[l]))
            last = l;
        if (r < n && before(&h[last], &h[r]))
            last = r;
        if (last == i)
            return;
        struct ranked t = h[i];
        h[i] = h[last];
        h[last] = t;
        i = last;
    }
}

struct topk_job {
    const struct dtype_info *d;
    const char *in;
    char *values;
    int64_t *index;
    int64_t n, k, inner;
    bool smallest;
    struct ranked *room; /* k a thread */
};

static void topk_row(const struct topk_job *j, const char *in, struct ranked *h)
{
    int64_t fill = 0;
    for (int64_t i = 0; i < j->n; i++) {
        int64_t key = key_of(j->d, in + (size_t)(i * j->inner) * j->d->size);
        struct ranked r = {j->smallest ? ~key : key, i};
        if (fill < j->k) {
            h[fill++] = r;
            for (int64_t q = fill / 2 - 1; fill == j->k && q >= 0; q--)
                sift(h, fill, q);
        } else if (before(&r, &h[0])) {
            h[0] = r;
            sift(h, fill, 0);
        }
    }
    for (int64_t end = fill - 1; end > 0; end--) {
        struct ranked t = h[0];
        h[0] = h[end];
        h[end] = t;
        sift(h, end, 0);
    }
}

static void topk_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct topk_job *j = arg;
    struct ranked *h = j->room + (size_t)thread * (size_t)j->k;
    size_t size = j->d->size;
    for (int64_t r = begin; r < end; r++) {
        int64_t o = r / j->inner, c = r % j->inner;
        const char *in = j->in + (size_t)(o * j->n * j->inner + c) * size;
        topk_row(j, in, h);
        for (int64_t i = 0; i < j->k; i++) {
            int64_t at = (o * j->k + i) * j->inner + c;
            if (j->values)
                memcpy(j->values + (size_t)at * size, in + (size_t)(h[i].index * j->inner) * size, size);
            if (j->index)
                j->index[at] = h[i].index;
        }
    }
}

static int topk_ref(struct exec_ctx *ec, const void *params)
{
    const struct topk_params *p = params;
    const struct tensor *in = ec->in[0];
    int64_t k = p->k;
    int axis, rc = ec_axis(ec, p->axis, in->rank, &axis);
    if (!rc && !p->by_attr)
        rc = ec_int(ec, 1, &k);
    if (rc)
        return rc;
    if (k < 0 || k > in->dims[axis])
        return err_set(ec->cx, E_VALUE, "k is %lld, the axis is %lld long", (long long)k,
                       (long long)in->dims[axis]);
    if (!sortable(dtype_info(in->dt)))
        return ec_unsupported(ec, 0);
    size_t threads = ec->pool ? (size_t)pool_size(ec->pool) : 1;
    struct topk_job j = {.d = dtype_info(in->dt),
                         .in = in->data,
                         .values = ec_wants(ec, 0) ? ec->out[0]->data : NULL,
                         .index = ec_wants(ec, 1) ? ec->out[1]->data : NULL,
                         .n = in->dims[axis],
                         .k = k,
                         .inner = dims_span(in->dims, axis + 1, in->rank),
                         .smallest = p->smallest};
    int64_t rows = dims_span(in->dims, 0, axis) * j.inner;
    if (!rows || !k)
        return 0;
    j.room = ec_scratch(ec, threads * (size_t)k * sizeof(*j.room));
    if (!j.room)
        return ec->cx->err.code;
    ec_par(ec, rows, PAR_GRAIN / 4 / j.n + 1, topk_range, &j);
    return 0;
}

const struct op op_TopK = {.domain = "",
                           .name = "TopK",
                           .params_size = sizeof(struct topk_params),
                           .parse = topk_parse,
                           .infer = topk_infer,
                           .ref = topk_ref};

/* ---- Unique ---- */

struct unique_params {
    int64_t axis;
    bool has_axis, sorted;
};

static int unique_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct unique_params *p = params;
    int64_t sorted = 1;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    p->has_axis = rc > 0;
    if (rc >= 0)
        rc = attr_int(cx, n, "sorted", &sorted);
    p->sorted = sorted != 0;
    return rc < 0 ? rc : 0;
}

static int unique_infer(struct infer_ctx *ic, const void *params)
{
    const struct unique_params *p = params;
    struct dim dims[TENSOR_MAX_RANK], count = dim_fresh(ic->syms), whole = dim_unknown();
    int axis, rc = need_inputs(ic, 1), rank = rc ? rc : in_dims(ic, 0, dims);
    if (rank < -1)
        return rank;
    if (!p->has_axis) {
        whole = rank < 0 ? whole : dims_mul(ic, dims, 0, rank);
        rank = 1;
        dims[0] = count;
    } else if (rank >= 0) {
        rc = ic_axis(ic, p->axis, rank, &axis);
        if (rc)
            return rc;
        whole = dims[axis];
        dims[axis] = count;
    }
    rc = ic_has_out(ic, 0) ? ic_out(ic, 0, ic_dtype(ic, 0), rank, dims) : 0;
    for (int o = 1; !rc && o < 4; o++)
        if (ic_has_out(ic, o))
            rc = ic_out(ic, o, DT_INT64, 1, o == 2 ? &whole : &count);
    return rc;
}

/* n slices of `size` elements each, compared element by element. */
struct slices {
    int64_t n, size;
    const int64_t *keys;      /* [n][size] */
    const struct ostr **text; /* instead of keys */
};

static int text_cmp(const struct ostr *a, const struct ostr *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int c = n ? memcmp(a->p, b->p, n) : 0;
    return c ? c : a->n < b->n ? -1 : a->n > b->n;
}

static int slice_cmp(const struct slices *s, int64_t a, int64_t b)
{
    for (int64_t i = 0; i < s->size; i++) {
        int64_t x = a * s->size + i, y = b * s->size + i;
        int c = s->text                   ? text_cmp(s->text[x], s->text[y])
                : s->keys[x] < s->keys[y] ? -1
                                          : s->keys[x] > s->keys[y];
        if (c)
            return c;
    }
    return 0;
}

/* Stable merge sort of order[n], with room for n more. */
static void slice_sort(const struct slices *s, int64_t *order, int64_t *room)
{
    for (int64_t w = 1; w < s->n; w *= 2) {
        for (int64_t lo = 0; lo < s->n; lo += 2 * w) {
            int64_t mid = lo + w < s->n ? lo + w : s->n, hi = mid + w < s->n ? mid + w : s->n;
            int64_t a = lo, b = mid;
            for (int64_t i = lo; i < hi; i++)
                room[i] =
                    b >= hi || (a < mid && slice_cmp(s, order[a], order[b]) <= 0) ? order[a++] : order[b++];
        }
        memcpy(order, room, (size_t)s->n * sizeof(*order));
    }
}

/* Element e of slice i in a tensor of [outer, n, inner]. */
static int unique_load(struct exec_ctx *ec, int64_t outer, int64_t n, int64_t inner, struct slices *s)
{
    const struct tensor *in = ec->in[0];
    const struct dtype_info *d = dtype_info(in->dt);
    size_t count = (size_t)(outer * n * inner);
    int64_t *keys = ec_scratch(ec, count * sizeof(*keys) + 1);
    const struct ostr **text = (void *)keys;
    if (!keys)
        return ec->cx->err.code;
    for (int64_t i = 0; i < n; i++)
        for (int64_t o = 0; o < outer; o++)
            for (int64_t k = 0; k < inner; k++) {
                int64_t from = (o * n + i) * inner + k, to = (i * outer + o) * inner + k;
                if (d->cls == CLS_STRING)
                    text[to] = (const struct ostr *)in->data + from;
                else
                    keys[to] = key_of(d, (const char *)in->data + (size_t)from * d->size);
            }
    *s = (struct slices){n, outer * inner, keys, d->cls == CLS_STRING ? text : NULL};
    return 0;
}

/* Groups of equal slices: first[g] is where one was seen first, count[g] how often, group[i] of each slice.
 * Groups stand in sorted order, or in order of first appearance. */
struct groups {
    int64_t n, *first, *count, *group;
};

static int unique_group(struct exec_ctx *ec, const struct slices *s, bool sorted, struct groups *g)
{
    size_t bytes = (size_t)s->n * sizeof(int64_t) + 8;
    int64_t *order = ec_scratch(ec, bytes), *room = ec_scratch(ec, bytes);
    g->first = ec_scratch(ec, bytes);
    g->count = ec_scratch(ec, bytes);
    g->group = ec_scratch(ec, bytes);
    if (!order || !room || !g->first || !g->count || !g->group)
        return ec->cx->err.code;
    for (int64_t i = 0; i < s->n; i++)
        order[i] = i;
    slice_sort(s, order, room);
    g->n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (!i || slice_cmp(s, order[i - 1], order[i])) {
            g->first[g->n] = order[i];
            g->count[g->n++] = 0;
        }
        g->count[g->n - 1]++;
        g->group[order[i]] = g->n - 1;
    }
    if (sorted)
        return 0;
    /* room: new number of each group, by walking the slices in their order. */
    int64_t next = 0;
    for (int64_t k = 0; k < g->n; k++)
        room[k] = -1;
    for (int64_t i = 0; i < s->n; i++) {
        if (room[g->group[i]] < 0)
            room[g->group[i]] = next++;
        g->group[i] = room[g->group[i]];
    }
    memset(g->count, 0, (size_t)g->n * sizeof(*g->count));
    for (int64_t i = s->n - 1; i >= 0; i--) {
        g->first[g->group[i]] = i;
        g->count[g->group[i]]++;
    }
    return 0;
}

static int unique_list(struct exec_ctx *ec, int o, int64_t n, const int64_t *v)
{
    int rc = ec_resize(ec, o, DT_INT64, 1, &n);
    if (!rc && ec_wants(ec, o) && n)
        memcpy(ec->out[o]->data, v, (size_t)n * sizeof(*v));
    return rc;
}

static int unique_ref(struct exec_ctx *ec, const void *params)
{
    const struct unique_params *p = params;
    const struct tensor *in = ec->in[0];
    int64_t dims[TENSOR_MAX_RANK] = {tensor_count(in)}, outer = 1, inner = 1, n = dims[0];
    int axis = 0, rank = 1, rc = p->has_axis ? ec_axis(ec, p->axis, in->rank, &axis) : 0;
    struct slices s = {0};
    struct groups g = {0};
    if (rc)
        return rc;
    if (!sortable(dtype_info(in->dt)) && in->dt != DT_STRING)
        return ec_unsupported(ec, 0);
    if (p->has_axis) {
        rank = in->rank;
        memcpy(dims, in->dims, sizeof(*dims) * (size_t)rank);
        outer = dims_span(dims, 0, axis);
        inner = dims_span(dims, axis + 1, rank);
        n = dims[axis];
    }
    rc = unique_load(ec, outer, n, inner, &s);
    if (!rc)
        rc = unique_group(ec, &s, p->sorted, &g);
    if (rc)
        return rc;
    dims[axis] = g.n;
    rc = ec_resize(ec, 0, in->dt, rank, dims);
    if (!rc && ec_wants(ec, 0) && tensor_count(ec->out[0]))
        gather_slices(ec->kern, in->data, ec->out[0]->data, (size_t)outer, (size_t)n,
                      (size_t)inner * dtype_size(in->dt), g.first, (size_t)g.n);
    if (!rc)
        rc = unique_list(ec, 1, g.n, g.first);
    if (!rc)
        rc = unique_list(ec, 2, n, g.group);
    return rc ? rc : unique_list(ec, 3, g.n, g.count);
}

const struct op op_Unique = {.domain = "",
                             .name = "Unique",
                             .flags = OP_DYNAMIC,
                             .params_size = sizeof(struct unique_params),
                             .parse = unique_parse,
                             .infer = unique_infer,
                             .ref = unique_ref};
