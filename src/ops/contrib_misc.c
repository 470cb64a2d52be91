/* Of com.microsoft: CDist, UnfoldTensor, Unique, NGramRepeatBlock, MurmurHash3, CropAndResize, ComplexMul and
 * ComplexMulConj, DynamicTimeWarping. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "ops/contrib.h"

static int no_fit(struct exec_ctx *ec, int i)
{
    return err_set(ec->cx, E_SHAPE, "the shape of input %d does not fit", i);
}

static int two_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 2, 2, 3);
}

static int one_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 1, 1, 1);
}

/* ---- CDist: distances of all rows of A to all rows of B ---- */

enum metric { SQEUCLIDEAN, EUCLIDEAN, CITYBLOCK, CHEBYSHEV, COSINE };

struct cdist {
    int metric;
};

static int cdist_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const names[] = {"sqeuclidean", "euclidean", "cityblock", "chebyshev", "cosine", NULL};
    struct cdist *p = params;
    int rc = two_parse(cx, arena, n, version, NULL);
    if (!rc)
        rc = attr_choice(cx, n, "metric", names, &p->metric);
    return rc < 0 ? rc : 0;
}

static int cdist_infer(struct infer_ctx *ic, const void *params)
{
    struct dim d[2] = {dim_unknown(), dim_unknown()};
    (void)params;
    int rc = need_same_dtype(ic, 0, 1);
    for (int i = 0; !rc && i < 2; i++) {
        rc = ic_need_rank(ic, i, 2, 2);
        d[i] = !rc && ic_rank(ic, i) == 2 ? ic_dim(ic, i, 0) : dim_unknown();
    }
    if (!rc && ic_rank(ic, 0) == 2 && ic_rank(ic, 1) == 2)
        rc = ic_unify(ic, ic_dim(ic, 0, 1), ic_dim(ic, 1, 1), "columns");
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), 2, d);
}

static double distance(int metric, const double *a, const double *b, int64_t n)
{
    double sum = 0, top = 0, aa = 0, bb = 0, ab = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(a[i] - b[i]);
        sum += metric == CITYBLOCK ? d : d * d;
        top = d > top ? d : top;
        aa += a[i] * a[i];
        bb += b[i] * b[i];
        ab += a[i] * b[i];
    }
    if (metric == COSINE)
        return 1 - ab / sqrt(aa * bb);
    return metric == CHEBYSHEV ? top : metric == EUCLIDEAN ? sqrt(sum) : sum;
}

struct cdist_job {
    int metric;
    const double *a, *b;
    double *y;
    int64_t m, n;
};

static void cdist_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct cdist_job *j = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        j->y[i] = distance(j->metric, j->a + i / j->m * j->n, j->b + i % j->m * j->n, j->n);
}

static int cdist_ref(struct exec_ctx *ec, const void *params)
{
    struct cdist_job j = {.metric = ((const struct cdist *)params)->metric};
    int rc = wide_f64(ec, 0, &j.a);
    if (!rc)
        rc = wide_f64(ec, 1, &j.b);
    if (!rc)
        rc = wide_out_f64(ec, 0, &j.y);
    if (rc || !j.y)
        return rc;
    j.m = ec->in[1]->dims[0];
    j.n = ec->in[1]->dims[1];
    if (ec->in[0]->dims[1] != j.n)
        return no_fit(ec, 1);
    par_for(ec->pool, tensor_count(ec->out[0]), grain_for(4 * j.n), cdist_range, &j);
    wide_done_f64(ec, 0, j.y);
    return 0;
}

const struct op op_com_microsoft_CDist = {
    .domain = "com.microsoft",
    .name = "CDist",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct cdist),
    .parse = cdist_parse,
    .infer = cdist_infer,
    .ref = cdist_ref,
};

/* ---- UnfoldTensor: overlapping slices along an axis, their elements in a new last one ---- */

struct unfold {
    int64_t axis, size, step;
};

static int unfold_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct unfold *p = params;
    *p = (struct unfold){-1, -1, 1};
    int rc = one_parse(cx, arena, n, version, NULL);
    if (!rc)
        rc = attr_int(cx, n, "dim", &p->axis);
    if (rc >= 0)
        rc = attr_int(cx, n, "size", &p->size);
    if (rc >= 0)
        rc = attr_int(cx, n, "step", &p->step);
    if (rc >= 0 && (p->size < 1 || p->step < 1))
        return err_set(cx, E_ATTR, "size is %lld, step %lld", (long long)p->size, (long long)p->step);
    return rc < 0 ? rc : 0;
}

static int unfold_infer(struct infer_ctx *ic, const void *params)
{
    const struct unfold *p = params;
    struct dim d[TENSOR_MAX_RANK + 1];
    int axis, rank = in_dims(ic, 0, d);
    if (rank < 0)
        return rank < -1 ? rank : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    if (rank >= TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the output would have more than %d axes", TENSOR_MAX_RANK);
    int rc = ic_axis(ic, p->axis, rank, &axis);
    if (rc)
        return rc;
    if (d[axis].kind == DIM_CONST && d[axis].v < p->size)
        return ic_err(ic, E_SHAPE, "slices of %lld from an axis of %lld", (long long)p->size,
                      (long long)d[axis].v);
    struct symtab *t = ic->syms;
    struct dim room = dim_sub(t, d[axis], dim_const(p->size));
    d[axis] = dim_add(t, dim_div_floor(t, room, dim_const(p->step)), dim_const(1));
    d[rank] = dim_const(p->size);
    return ic_out(ic, 0, ic_dtype(ic, 0), rank + 1, d);
}

static int unfold_ref(struct exec_ctx *ec, const void *params)
{
    const struct unfold *p = params;
    const struct tensor *x = ec->in[0];
    int64_t is[TENSOR_MAX_RANK + 1], os[TENSOR_MAX_RANK + 1], own = 1, step = 1;
    struct copy_plan plan;
    int axis, rc = ec_axis(ec, p->axis, x->rank, &axis);
    if (rc || !tensor_count(ec->out[0]))
        return rc;
    for (int k = x->rank - 1; k >= 0; k--) {
        is[k] = own * (k == axis ? p->step : 1);
        if (k == axis)
            is[x->rank] = own;
        own *= x->dims[k];
    }
    for (int k = x->rank; k >= 0; k--) {
        os[k] = step;
        step *= ec->out[0]->dims[k];
    }
    if (copy_init(&plan, x->rank + 1, ec->out[0]->dims, is, os))
        return no_fit(ec, 0);
    ec_copy(ec, &plan, dtype_size(x->dt), x->data, ec->out[0]->data);
    return 0;
}

const struct op op_com_microsoft_UnfoldTensor = {
    .domain = "com.microsoft",
    .name = "UnfoldTensor",
    .params_size = sizeof(struct unfold),
    .parse = unfold_parse,
    .infer = unfold_infer,
    .ref = unfold_ref,
};

/* ---- Unique: values in the order of their first occurrence, where each element went, how often ---- */

static int unique_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    struct dim fresh = dim_fresh(ic->syms);
    int rc = ic_need_rank(ic, 0, 1, 1);
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), 1, &fresh);
    if (!rc && ic_has_out(ic, 1))
        rc = ic_out_like(ic, 1, 0, DT_INT64);
    return !rc && ic_has_out(ic, 2) ? ic_out(ic, 2, DT_INT64, 1, &fresh) : rc;
}

/* Equal elements have equal bits here; NaN equals nothing and is handled by the caller. */
static uint64_t key_of(const struct tensor *t, int64_t i, bool *nan)
{
    const struct dtype_info *d = dtype_info(t->dt);
    union {
        double d;
        uint64_t u;
    } v = {.u = 0};
    *nan = false;
    if (d->cls != CLS_FLOAT)
        return (uint64_t)tensor_i64(t, i);
    v.d = tensor_f64(t, i) + 0.0; /* -0 is 0 */
    *nan = isnan(v.d);
    return v.u;
}

/* at[i]: which of the distinct elements element i is, first[]: where they stood first; their number. slots:
 * mask + 1 entries, -1 where free. */
static int64_t find_distinct(const struct tensor *t, int64_t *at, int64_t *first, int64_t *slots,
                             uint64_t mask)
{
    int64_t n = tensor_count(t), found = 0;
    for (int64_t i = 0; i < n; i++) {
        bool nan, other;
        uint64_t key = key_of(t, i, &nan), h = key * 0x9e3779b97f4a7c15u;
        for (h = (h ^ h >> 29) & mask; !nan && slots[h] >= 0; h = (h + 1) & mask)
            if (key_of(t, first[slots[h]], &other) == key)
                break;
        if (!nan && slots[h] >= 0) {
            at[i] = slots[h];
            continue;
        }
        if (!nan)
            slots[h] = found;
        first[found] = i;
        at[i] = found++;
    }
    return found;
}

static int unique_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *t = ec->in[0];
    int64_t n = tensor_count(t), room = 16;
    (void)params;
    if (t->rank != 1 || !dtype_info(t->dt)->load_f64)
        return ec_unsupported(ec, 0);
    while (room < 2 * n)
        room *= 2;
    int64_t *at = ec_scratch(ec, (size_t)(2 * n + room + 1) * sizeof(int64_t)), *first = at + n;
    if (!at)
        return ec->cx->err.code;
    int64_t *slots = first + n;
    memset(slots, 0xff, (size_t)room * sizeof(*slots));
    int64_t found = find_distinct(t, at, first, slots, (uint64_t)room - 1);
    int rc = ec_resize(ec, 0, t->dt, 1, &found);
    if (!rc && ec_wants(ec, 1))
        rc = ec_resize(ec, 1, DT_INT64, 1, &n);
    if (!rc && ec_wants(ec, 2))
        rc = ec_resize(ec, 2, DT_INT64, 1, &found);
    if (rc)
        return rc;
    size_t size = dtype_size(t->dt);
    for (int64_t i = 0; i < found && ec_wants(ec, 0); i++)
        memcpy((char *)ec->out[0]->data + (size_t)i * size, (const char *)t->data + (size_t)first[i] * size,
               size);
    if (ec_wants(ec, 1) && n)
        memcpy(ec->out[1]->data, at, (size_t)n * sizeof(*at));
    int64_t *count = ec_wants(ec, 2) ? ec->out[2]->data : NULL;
    if (count && found)
        memset(count, 0, (size_t)found * sizeof(*count));
    for (int64_t i = 0; i < n && count; i++)
        count[at[i]]++;
    return 0;
}

const struct op op_com_microsoft_Unique = {
    .domain = "com.microsoft",
    .name = "Unique",
    .flags = OP_DYNAMIC,
    .parse = one_parse,
    .infer = unique_infer,
    .ref = unique_ref,
};

/* ---- NGramRepeatBlock: no token that would repeat the last n-gram's beginning ---- */

struct ngram {
    int64_t size;
};

static int ngram_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct ngram *p = params;
    int rc = two_parse(cx, arena, n, version, NULL);
    if (!rc)
        rc = attr_int(cx, n, "ngram_size", &p->size);
    if (rc >= 0 && p->size < 1)
        return err_set(cx, E_ATTR, "attribute ngram_size is missing or not positive");
    return rc < 0 ? rc : 0;
}

static int ngram_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = ic_need_rank(ic, 0, 2, 2);
    if (!rc)
        rc = ic_need_rank(ic, 1, 2, 2);
    return rc ? rc : ic_out_same(ic, 0, 1);
}

static int ngram_ref(struct exec_ctx *ec, const void *params)
{
    int64_t n = ((const struct ngram *)params)->size;
    const struct tensor *ids = ec->in[0], *scores = ec->in[1];
    struct tensor *y = ec->out[0];
    const struct dtype_info *info = dtype_info(y->dt);
    int64_t batch = ids->dims[0], len = ids->dims[1], vocabulary = scores->dims[1];
    if (ids->dt != DT_INT64 || info->cls != CLS_FLOAT)
        return ec_unsupported(ec, ids->dt != DT_INT64 ? 0 : 1);
    if (scores->dims[0] != batch)
        return no_fit(ec, 1);
    ec_memcpy(ec, y->data, scores->data, tensor_bytes(scores));
    for (int64_t b = 0; b < batch; b++) {
        const int64_t *row = (const int64_t *)ids->data + b * len, *tail = row + len - n + 1;
        for (int64_t i = 0; i + n <= len; i++) {
            if (n > 1 && memcmp(row + i, tail, (size_t)(n - 1) * sizeof(*row)) != 0)
                continue;
            int64_t token = row[i + n - 1];
            if (token < 0 || token >= vocabulary)
                return err_set(ec->cx, E_VALUE, "token %lld of a vocabulary of %lld", (long long)token,
                               (long long)vocabulary);
            info->store_f64((char *)y->data + (size_t)(b * vocabulary + token) * info->size,
                            (double)-INFINITY);
        }
    }
    return 0;
}

const struct op op_com_microsoft_NGramRepeatBlock = {
    .domain = "com.microsoft",
    .name = "NGramRepeatBlock",
    .params_size = sizeof(struct ngram),
    .parse = ngram_parse,
    .infer = ngram_infer,
    .ref = ngram_ref,
};

/* ---- MurmurHash3, its 32-bit form for x86, of each element's bytes ---- */

struct murmur {
    int64_t seed;
    bool positive; /* uint32, else int32 */
};

static int murmur_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct murmur *p = params;
    int64_t positive = 1;
    int rc = one_parse(cx, arena, n, version, NULL);
    if (!rc)
        rc = attr_int(cx, n, "seed", &p->seed);
    if (rc >= 0)
        rc = attr_int(cx, n, "positive", &positive);
    p->positive = positive == 1;
    return rc < 0 ? rc : 0;
}

static int murmur_infer(struct infer_ctx *ic, const void *params)
{
    return ic_out_like(ic, 0, 0, ((const struct murmur *)params)->positive ? DT_UINT32 : DT_INT32);
}

static uint32_t rotate_left(uint32_t v, int by)
{
    return v << by | v >> (32 - by);
}

static uint32_t scramble(uint32_t k)
{
    return rotate_left(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static uint32_t murmur32(const uint8_t *p, size_t n, uint32_t h)
{
    uint32_t k = 0;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        k = (uint32_t)p[i] | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2] << 16 | (uint32_t)p[i + 3] << 24;
        h = rotate_left(h ^ scramble(k), 13) * 5 + 0xe6546b64u;
    }
    k = 0;
    for (size_t i = n & ~(size_t)3, s = 0; i < n; i++, s += 8)
        k |= (uint32_t)p[i] << s;
    h ^= scramble(k) ^ (uint32_t)n;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

static int murmur_ref(struct exec_ctx *ec, const void *params)
{
    const struct murmur *p = params;
    const struct tensor *t = ec->in[0];
    uint32_t *y = ec->out[0]->data;
    size_t size = dtype_size(t->dt);
    if (t->dt != DT_STRING && size != 4 && size != 8)
        return ec_unsupported(ec, 0);
    for (int64_t i = 0; i < tensor_count(t); i++) {
        const uint8_t *at = (const uint8_t *)t->data + (size_t)i * size;
        size_t n = size;
        if (t->dt == DT_STRING) {
            const struct ostr *s = (const struct ostr *)t->data + i;
            at = (const uint8_t *)s->p;
            n = s->n;
        }
        y[i] = murmur32(at, n, (uint32_t)p->seed);
    }
    return 0;
}

const struct op op_com_microsoft_MurmurHash3 = {
    .domain = "com.microsoft",
    .name = "MurmurHash3",
    .params_size = sizeof(struct murmur),
    .parse = murmur_parse,
    .infer = murmur_infer,
    .ref = murmur_ref,
};

/* ---- CropAndResize: boxes of images, corners on corners ---- */

struct crop {
    bool nearest;
    float outside;
};

static int crop_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const modes[] = {"bilinear", "nearest", NULL};
    struct crop *p = params;
    int mode = 0, rc = contrib_inputs(cx, n, 4, 4, 15);
    (void)arena, (void)version;
    if (!rc)
        rc = attr_choice(cx, n, "mode", modes, &mode);
    if (rc >= 0)
        rc = attr_float(cx, n, "extrapolation_value", &p->outside);
    p->nearest = mode == 1;
    return rc < 0 ? rc : 0;
}

static int crop_infer(struct infer_ctx *ic, const void *params)
{
    struct dim d[4] = {dim_unknown(), dim_unknown(), dim_unknown(), dim_unknown()};
    int64_t size[2];
    (void)params;
    int rc = ic_need_rank(ic, 0, 4, 4);
    if (!rc)
        rc = ic_need_rank(ic, 1, 2, 2);
    if (rc)
        return rc;
    if (ic_rank(ic, 1) == 2)
        d[0] = ic_dim(ic, 1, 0);
    if (ic_rank(ic, 0) == 4)
        d[1] = ic_dim(ic, 0, 1);
    if (ic_ints(ic, 3, size, 2) == 2) {
        if (size[0] < 1 || size[1] < 1)
            return ic_err(ic, E_VALUE, "crops of %lld x %lld", (long long)size[0], (long long)size[1]);
        d[2] = dim_const(size[0]);
        d[3] = dim_const(size[1]);
    }
    return ic_out(ic, 0, ic_dtype(ic, 0), 4, d);
}

/* Position of sample i of n between lo and hi of an axis of extent full, in pixels. In float, as the boxes
 * are: which of two pixels is the nearest hangs on it. */
static double crop_at(double lo, double hi, int64_t full, int64_t i, int64_t n)
{
    float last = (float)(full - 1), from = (float)lo, to = (float)hi;
    return (double)(n > 1 ? from * last + (float)i * ((to - from) * last / (float)(n - 1))
                          : 0.5f * (from + to) * last);
}

static double crop_sample(const struct crop *p, const double *x, int64_t h, int64_t w, double fy, double fx)
{
    if (!(fy >= 0 && fy <= (double)(h - 1) && fx >= 0 && fx <= (double)(w - 1)))
        return (double)p->outside;
    if (p->nearest)
        return x[(int64_t)round(fy) * w + (int64_t)round(fx)];
    int64_t y0 = (int64_t)floor(fy), x0 = (int64_t)floor(fx), y1 = (int64_t)ceil(fy), x1 = (int64_t)ceil(fx);
    double ay = fy - (double)y0, ax = fx - (double)x0;
    double top = x[y0 * w + x0] * (1 - ax) + x[y0 * w + x1] * ax;
    double bottom = x[y1 * w + x0] * (1 - ax) + x[y1 * w + x1] * ax;
    return top * (1 - ay) + bottom * ay;
}

static int crop_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *t = ec->in[0], *o = ec->out[0];
    const double *x, *boxes;
    double *y;
    int64_t channels = t->dims[1], h = t->dims[2], w = t->dims[3], rows = o->dims[2], cols = o->dims[3];
    int rc = wide_f64(ec, 0, &x);
    if (!rc)
        rc = wide_f64(ec, 1, &boxes);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y || !tensor_count(o))
        return rc;
    if (ec->in[1]->dims[1] != 4 || tensor_count(ec->in[2]) != o->dims[0] || !h || !w)
        return no_fit(ec, 1);
    for (int64_t b = 0; b < o->dims[0]; b++)
        if (tensor_i64(ec->in[2], b) < 0 || tensor_i64(ec->in[2], b) >= t->dims[0])
            return err_set(ec->cx, E_VALUE, "box %lld is of image %lld of %lld", (long long)b,
                           (long long)tensor_i64(ec->in[2], b), (long long)t->dims[0]);
    for (int64_t i = 0, n = tensor_count(o); i < n; i++) {
        int64_t c = i % cols, r = i / cols % rows, k = i / cols / rows % channels,
                b = i / cols / rows / channels;
        const double *box = boxes + 4 * b;
        const double *plane = x + (tensor_i64(ec->in[2], b) * channels + k) * h * w;
        y[i] = crop_sample(params, plane, h, w, crop_at(box[0], box[2], h, r, rows),
                           crop_at(box[1], box[3], w, c, cols));
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_com_microsoft_CropAndResize = {
    .domain = "com.microsoft",
    .name = "CropAndResize",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct crop),
    .parse = crop_parse,
    .infer = crop_infer,
    .ref = crop_ref,
};

/* ---- ComplexMul, ComplexMulConj: pairs of real and imaginary part along the last axis ---- */

struct complex_mul {
    bool conj; /* of B */
};

static int complex_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    ((struct complex_mul *)params)->conj = strstr(n->op_type, "Conj") != NULL;
    return two_parse(cx, arena, n, version, NULL);
}

static int complex_infer(struct infer_ctx *ic, const void *params)
{
    struct dim d[TENSOR_MAX_RANK];
    int rank;
    (void)params;
    int rc = ic_broadcast(ic, (const int[]){0, 1}, 2, &rank, d);
    if (!rc && rank > 0 && d[rank - 1].kind == DIM_CONST && d[rank - 1].v != 2)
        return ic_err(ic, E_SHAPE, "the last dim is %lld, expected 2", (long long)d[rank - 1].v);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

/* Number of the pair of t that serves output pair i. */
static int64_t pair_of(const struct tensor *t, const struct tensor *y, int64_t i)
{
    int64_t at = 0, step = 1;
    for (int k = y->rank - 2; k >= 0; k--) {
        int own = k - (y->rank - t->rank);
        int64_t c = i % y->dims[k];
        i /= y->dims[k];
        if (own < 0)
            continue;
        at += t->dims[own] == 1 ? 0 : c * step;
        step *= t->dims[own];
    }
    return at;
}

static int complex_ref(struct exec_ctx *ec, const void *params)
{
    bool conj = ((const struct complex_mul *)params)->conj;
    const struct tensor *a = ec->in[0], *b = ec->in[1], *t = ec->out[0];
    const double *pa, *pb;
    double *y;
    int rc = wide_f64(ec, 0, &pa);
    if (!rc)
        rc = wide_f64(ec, 1, &pb);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y || !tensor_count(t))
        return rc;
    if (!a->rank || !b->rank || a->dims[a->rank - 1] != 2 || b->dims[b->rank - 1] != 2)
        return no_fit(ec, 1);
    for (int64_t i = 0; i < tensor_count(t) / 2; i++) {
        const double *u = pa + 2 * pair_of(a, t, i), *v = pb + 2 * pair_of(b, t, i);
        double im = conj ? -v[1] : v[1];
        y[2 * i] = u[0] * v[0] - u[1] * im;
        y[2 * i + 1] = u[0] * im + u[1] * v[0];
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

#define COMPLEX(opname)                                                                                      \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND,                                         \
        .params_size = sizeof(struct complex_mul), .parse = complex_parse, .infer = complex_infer,           \
        .ref = complex_ref,                                                                                  \
    }

const struct op op_com_microsoft_ComplexMul = COMPLEX("ComplexMul");
const struct op op_com_microsoft_ComplexMulConj = COMPLEX("ComplexMulConj");

/* ---- DynamicTimeWarping: the cheapest way through a matrix of costs ---- */

static int warp_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    struct dim d[2] = {dim_const(2), dim_fresh(ic->syms)};
    int rc = ic_need_rank(ic, 0, 2, 3);
    return rc ? rc : ic_out(ic, 0, DT_INT32, 2, d);
}

/* Costs of the cheapest ways to each point, and the step that each ends with: 0 both, 1 down, 2 right. */
static void warp_costs(const double *x, int64_t m, int64_t n, double *cost, uint8_t *step)
{
    for (int64_t i = 0; i <= m; i++)
        for (int64_t j = 0; j <= n; j++) {
            double *c = &cost[i * (n + 1) + j];
            if (!i || !j) {
                *c = i || j ? (double)INFINITY : 0;
                step[i * (n + 1) + j] = i ? 1 : 2;
                continue;
            }
            double both = c[-n - 2], down = c[-n - 1], right = c[-1];
            uint8_t s = both < down && both < right ? 0 : down < both && down < right ? 1 : 2;
            *c = x[(i - 1) * n + j - 1] + (s == 0 ? both : s == 1 ? down : right);
            step[i * (n + 1) + j] = s;
        }
}

static int warp_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *t = ec->in[0];
    const double *x;
    (void)params;
    int rc = wide_f64(ec, 0, &x);
    if (rc)
        return rc;
    int64_t m = t->dims[t->rank - 2], n = t->dims[t->rank - 1], cells, len = 0;
    if (t->rank == 3 && t->dims[0] != 1)
        return no_fit(ec, 0);
    if (!mul_i64(m + 1, n + 1, &cells) || cells > INT64_MAX / 16)
        return err_set(ec->cx, E_LIMIT, "the matrix of costs is too large");
    double *cost = ec_scratch(ec, (size_t)cells * sizeof(*cost));
    uint8_t *step = cost ? ec_scratch(ec, (size_t)cells) : NULL;
    int64_t *way = step ? ec_scratch(ec, (size_t)(m + n + 1) * 2 * sizeof(*way)) : NULL;
    if (!way)
        return ec->cx->err.code;
    warp_costs(x, m, n, cost, step);
    for (int64_t i = m, j = n; i > 0 && j > 0; len++) {
        way[2 * len] = i - 1;
        way[2 * len + 1] = j - 1;
        uint8_t s = step[i * (n + 1) + j];
        i -= s != 2;
        j -= s != 1;
    }
    rc = ec_resize(ec, 0, DT_INT32, 2, (const int64_t[]){2, len});
    for (int64_t k = 0; !rc && k < len && ec_wants(ec, 0); k++) {
        ((int32_t *)ec->out[0]->data)[k] = (int32_t)way[2 * (len - 1 - k)];
        ((int32_t *)ec->out[0]->data)[len + k] = (int32_t)way[2 * (len - 1 - k) + 1];
    }
    return rc;
}

const struct op op_com_microsoft_DynamicTimeWarping = {
    .domain = "com.microsoft",
    .name = "DynamicTimeWarping",
    .flags = OP_DYNAMIC,
    .parse = one_parse,
    .infer = warp_infer,
    .ref = warp_ref,
};
