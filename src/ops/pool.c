/* Pooling: MaxPool, AveragePool, LpPool, their Global forms, MaxRoiPool and MaxUnpool. */
#include "ops/wide.h"
#include "ops/window.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "kern/pool.h"
#include "kern/roi.h"

enum pool_kind { POOL_MAX, POOL_AVG, POOL_LP };

struct pool_attrs {
    enum pool_kind kind;
    bool global; /* one window over all spatial axes */
    bool ceil_mode, include_pad, column_major;
    float p;
    struct window w;
};

/* Version 1 of LpPool and GlobalLpPool has a float p. */
static int read_p(struct cx *cx, const struct node *n, int version, float *p)
{
    *p = 2;
    if (version < 2)
        return attr_float(cx, n, "p", p);
    int64_t v = 2;
    int r = attr_int(cx, n, "p", &v);
    *p = (float)v;
    return r;
}

static int read_flag(struct cx *cx, const struct node *n, const char *name, bool *out)
{
    int64_t v = 0;
    int r = attr_int(cx, n, name, &v);
    *out = v != 0;
    return r < 0 ? r : 0;
}

static enum pool_kind kind_of(const char *op_type)
{
    return strstr(op_type, "Max") ? POOL_MAX : strstr(op_type, "Lp") ? POOL_LP : POOL_AVG;
}

static int pool_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    struct pool_attrs *a = params;
    a->kind = kind_of(n->op_type);
    int r = window_parse(cx, n, &a->w);
    if (!r)
        r = read_flag(cx, n, "ceil_mode", &a->ceil_mode);
    if (!r)
        r = read_flag(cx, n, "count_include_pad", &a->include_pad);
    if (!r)
        r = read_flag(cx, n, "storage_order", &a->column_major);
    if (!r && a->kind == POOL_LP)
        r = read_p(cx, n, version, &a->p);
    if (r < 0)
        return r;
    if (!a->w.nkernel)
        return err_set(cx, E_ATTR, "attribute kernel_shape is missing");
    return 0;
}

static int global_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    struct pool_attrs *a = params;
    a->kind = kind_of(n->op_type);
    a->global = true;
    int r = a->kind == POOL_LP ? read_p(cx, n, version, &a->p) : 0;
    return r < 0 ? r : 0;
}

static int pool_infer(struct infer_ctx *ic, const void *params)
{
    const struct pool_attrs *a = params;
    int rank = ic_rank(ic, 0), spatial = rank - 2;
    struct dim d[TENSOR_MAX_RANK];
    int r = ic_need_rank(ic, 0, a->global ? 2 : 3, TENSOR_MAX_RANK);
    if (r)
        return r;
    if (rank >= 0) {
        r = a->global ? 0 : window_check(ic, &a->w, spatial);
        d[0] = ic_dim(ic, 0, 0);
        d[1] = ic_dim(ic, 0, 1);
        for (int i = 0; !r && i < spatial; i++) {
            d[i + 2] = dim_const(1);
            if (!a->global)
                r = window_out_dim(ic, &a->w, spatial, i, ic_dim(ic, 0, i + 2), dim_const(a->w.kernel[i]),
                                   a->ceil_mode, &d[i + 2]);
        }
        if (r)
            return r;
    }
    r = ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
    if (!r && ic_has_out(ic, 1))
        r = ic_out(ic, 1, DT_INT64, rank, d);
    return r;
}

/* All spatial axes as one, so that a global window is one run of memory. */
static void fill_global(const struct pool_attrs *a, const struct tensor *x, struct pool_params *p)
{
    p->rank = 1;
    p->in[0] = p->kernel[0] = dims_prod(x->dims, 2, x->rank);
    p->out[0] = p->stride[0] = p->dilation[0] = 1;
    p->p = a->p;
}

static int fill_params(struct cx *cx, const struct pool_attrs *a, const struct tensor *x,
                       struct pool_params *p)
{
    memset(p, 0, sizeof(*p));
    if (a->global) {
        fill_global(a, x, p);
        return 0;
    }
    p->rank = x->rank - 2;
    p->p = a->p;
    p->count_include_pad = a->include_pad;
    p->column_major = a->column_major;
    for (int i = 0; i < p->rank; i++) {
        int64_t pad[2];
        p->in[i] = x->dims[i + 2];
        p->kernel[i] = a->w.kernel[i];
        p->stride[i] = window_stride(&a->w, i);
        p->dilation[i] = window_dilation(&a->w, i);
        if (!window_axis(&a->w, p->rank, i, p->in[i], p->kernel[i], a->ceil_mode, pad, &p->out[i]))
            return err_set(cx, E_SHAPE, "the window does not fit into the input");
        p->pad[i] = pad[0];
        p->pad_end[i] = pad[1];
    }
    return 0;
}

struct pool_job {
    max_pool_fn *max;
    pool_fn *fn;
    red_fn *reduce; /* global windows */
    struct pool_params p;
    const char *in;
    char *out;
    int64_t *index;
    size_t size;
    int64_t in_plane, out_plane; /* elements */
};

static void pool_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct pool_job *j = arg;
    const char *in = j->in + (size_t)(begin * j->in_plane) * j->size;
    char *out = j->out + (size_t)(begin * j->out_plane) * j->size;
    size_t n = (size_t)(end - begin);
    if (j->reduce) {
        struct red_shape s = red_shape(n, (size_t)j->in_plane, 1);
        j->reduce(in, out, &s);
    } else if (j->max) {
        j->max(&j->p, in, out, j->index ? j->index + begin * j->out_plane : NULL, n, (size_t)begin);
    } else {
        j->fn(&j->p, in, out, n);
    }
}

static bool pick_pool(const struct kern *k, const struct pool_attrs *a, enum dtype dt, struct pool_job *j)
{
    if (a->global && a->kind != POOL_LP)
        j->reduce = k->reduce.op[a->kind == POOL_MAX ? RED_MAX : RED_MEAN][dt];
    if (a->kind == POOL_MAX)
        j->max = k->pool.max[dt];
    else
        j->fn = a->kind == POOL_AVG ? k->pool.avg[dt] : k->pool.lp[dt];
    return j->reduce || j->max || j->fn;
}

/* Runs j over the input's planes, 16-bit floats through float. */
static int pool_planes(struct exec_ctx *ec, struct pool_job *j, bool wide)
{
    const struct tensor *x = ec->in[0];
    const float *in = NULL;
    float *out = NULL;
    if (wide) {
        int r = wide_f32(ec, 0, &in);
        if (!r)
            r = wide_out_f32(ec, 0, &out);
        if (r)
            return r;
    }
    j->size = dtype_size(wide ? DT_FLOAT : x->dt);
    j->in = wide ? (const char *)in : x->data;
    j->out = wide ? (char *)out : ec->out[0]->data;
    j->index = ec_has_out(ec, 1) ? ec->out[1]->data : NULL;
    int64_t window = 1;
    for (int i = 0; i < j->p.rank; i++)
        window *= j->p.kernel[i] < 1024 ? j->p.kernel[i] : 1024;
    window = window < 16384 ? window : 16384;
    par_for(ec->pool, x->dims[0] * x->dims[1], grain_for(j->out_plane * window), pool_range, j);
    wide_done_f32(ec, 0, out);
    return 0;
}

/* Two axes as those of a convolution. */
static struct conv_params two_axes(const struct pool_params *p)
{
    struct conv_params q = {.rank = 2};
    for (int i = 0; i < 2; i++) {
        q.in[i] = p->in[i], q.out[i] = p->out[i], q.kernel[i] = p->kernel[i];
        q.stride[i] = p->stride[i], q.dilation[i] = p->dilation[i], q.pad[i] = p->pad[i];
    }
    return q;
}

/* Small planes of floats, several at once. */
static bool suits_blocks(const struct exec_ctx *ec, const struct pool_attrs *a, const struct pool_job *j)
{
    const struct tensor *x = ec->in[0];
    struct conv_params q = two_axes(&j->p);
    return x->dt == DT_FLOAT && j->p.rank == 2 && !j->reduce && a->kind != POOL_LP && !ec_has_out(ec, 1) &&
           x->dims[0] * x->dims[1] >= 8 && blk_pool_suits(&q);
}

static int pool_blocks(struct exec_ctx *ec, const struct pool_attrs *a, const struct pool_job *j)
{
    const struct tensor *x = ec->in[0];
    const struct kern *k = ec->kern;
    struct conv_params q = two_axes(&j->p);
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    float *scratch = ec_scratch(ec, blk_pool_plain_scratch(k, &q) * (size_t)threads * sizeof(float));
    if (!scratch)
        return ec->cx->err.code;
    blk_pool_plain(k, &q, a->kind == POOL_MAX ? k->blk.max_pool : k->blk.avg_pool, j->p.count_include_pad,
                   j->p.pad_end, x->data, ec->out[0]->data, x->dims[0] * x->dims[1], ec->pool, scratch);
    return 0;
}

static int pool_ref(struct exec_ctx *ec, const void *params)
{
    const struct pool_attrs *a = params;
    const struct tensor *x = ec->in[0];
    bool wide = x->dt == DT_FLOAT16 || x->dt == DT_BFLOAT16;
    struct pool_job j = {0};
    if (!pick_pool(ec->kern, a, wide ? DT_FLOAT : x->dt, &j))
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0))
        return err_set(ec->cx, E_UNSUPPORTED, "the first output is left out");
    int r = fill_params(ec->cx, a, x, &j.p);
    if (r || !tensor_count(ec->out[0]))
        return r;
    if (suits_blocks(ec, a, &j))
        return pool_blocks(ec, a, &j);
    j.in_plane = dims_prod(x->dims, 2, x->rank);
    j.out_plane = dims_prod(ec->out[0]->dims, 2, x->rank);
    return pool_planes(ec, &j, wide);
}

static bool pool_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    enum dtype dt = bc_dtype(bc, 0);
    struct pool_job j = {0};
    if (dt == DT_UNDEFINED || pick_pool(bc->kern, params, wide_fits_f32(dt) ? DT_FLOAT : dt, &j))
        return true;
    snprintf(why, size, "element type %s", dtype_name(dt));
    return false;
}

#define POOL(opname, parse_fn)                                                                               \
    {                                                                                                        \
        .domain = "", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct pool_attrs),            \
        .parse = parse_fn, .infer = pool_infer, .ref = pool_ref, .supports = pool_supports,                  \
    }

const struct op op_AveragePool = POOL("AveragePool", pool_parse);
const struct op op_GlobalAveragePool = POOL("GlobalAveragePool", global_parse);
const struct op op_GlobalLpPool = POOL("GlobalLpPool", global_parse);
const struct op op_GlobalMaxPool = POOL("GlobalMaxPool", global_parse);
const struct op op_LpPool = POOL("LpPool", pool_parse);
const struct op op_MaxPool = POOL("MaxPool", pool_parse);

/* ---- onnxtool.BlockedMaxPool, BlockedAveragePool: images in blocked layout (see blocked.c) ---- */

static int blocked_ref(struct exec_ctx *ec, const void *params)
{
    const struct pool_attrs *a = params;
    const struct tensor *x = ec->in[0];
    const struct kern *k = ec->kern;
    struct pool_params p;
    if (x->dt != DT_FLOAT || x->rank != 4 || x->dims[1] % k->blk.conv->block)
        return ec_unsupported(ec, 0);
    int r = fill_params(ec->cx, a, x, &p);
    if (r || !ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return r;
    struct conv_params q = two_axes(&p);
    q.n = x->dims[0];
    q.ci = q.co = q.groups = x->dims[1];
    blk_pool(k, &q, a->kind == POOL_MAX ? k->blk.max_pool : k->blk.avg_pool, p.count_include_pad, p.pad_end,
             x->data, ec->out[0]->data, ec->pool);
    return 0;
}

#define BLOCKED_POOL(opname)                                                                                 \
    {                                                                                                        \
        .domain = "onnxtool", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct pool_attrs),    \
        .parse = pool_parse, .infer = pool_infer, .ref = blocked_ref,                                        \
    }

const struct op op_onnxtool_BlockedAveragePool = BLOCKED_POOL("BlockedAveragePool");
const struct op op_onnxtool_BlockedMaxPool = BLOCKED_POOL("BlockedMaxPool");

/* ---- MaxRoiPool ---- */

struct max_roi {
    int64_t pooled[2];
    float scale;
};

static int max_roi_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct max_roi *a = params;
    int count;
    a->scale = 1;
    int r = window_list(cx, n, "pooled_shape", 1, 2, a->pooled, &count);
    if (r)
        return r;
    if (count != 2)
        return err_set(cx, E_ATTR, "attribute pooled_shape has %d values, expected 2", count);
    r = attr_float(cx, n, "spatial_scale", &a->scale);
    return r < 0 ? r : 0;
}

static int max_roi_infer(struct infer_ctx *ic, const void *params)
{
    const struct max_roi *a = params;
    int r = ic_need_rank(ic, 0, 4, 4);
    if (!r)
        r = ic_need_rank(ic, 1, 2, 2);
    if (!r && ic_rank(ic, 1) == 2)
        r = ic_unify(ic, ic_dim(ic, 1, 1), dim_const(5), "columns of rois");
    if (r)
        return r;
    struct dim d[4] = {ic_rank(ic, 1) == 2 ? ic_dim(ic, 1, 0) : dim_unknown(),
                       ic_rank(ic, 0) == 4 ? ic_dim(ic, 0, 1) : dim_unknown(), dim_const(a->pooled[0]),
                       dim_const(a->pooled[1])};
    return ic_out(ic, 0, ic_dtype(ic, 0), 4, d);
}

static int max_roi_ref(struct exec_ctx *ec, const void *params)
{
    const struct max_roi *a = params;
    const struct tensor *x = ec->in[0], *rois = ec->in[1];
    const double *px, *pr;
    double *py;
    int r = wide_f64(ec, 0, &px);
    if (!r)
        r = wide_f64(ec, 1, &pr);
    if (!r)
        r = wide_out_f64(ec, 0, &py);
    if (r || !py)
        return r;
    for (int64_t i = 0; i < rois->dims[0]; i++)
        if (!(pr[i * 5] >= 0 && pr[i * 5] < (double)x->dims[0]))
            return err_set(ec->cx, E_VALUE, "rois[%lld]: batch %g, expected below %lld", (long long)i,
                           pr[i * 5], (long long)x->dims[0]);
    roi_max_pool(px, x->dims, pr, rois->dims[0], a->pooled, a->scale, py);
    wide_done_f64(ec, 0, py);
    return 0;
}

const struct op op_MaxRoiPool = {
    .domain = "",
    .name = "MaxRoiPool",
    .tol = TOL_EXACT,
    .params_size = sizeof(struct max_roi),
    .parse = max_roi_parse,
    .infer = max_roi_infer,
    .ref = max_roi_ref,
};

/* ---- MaxUnpool ---- */

static int unpool_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct window *w = params;
    int r = window_parse(cx, n, w);
    if (!r && !w->nkernel)
        r = err_set(cx, E_ATTR, "attribute kernel_shape is missing");
    return r;
}

/* Extent that the pooled input had; -1 when it would be negative or overflows. */
static int64_t unpooled(const struct window *w, int spatial, int i, int64_t in)
{
    int64_t n;
    int64_t fixed = w->kernel[i] - (w->npads ? w->pads[i] + w->pads[spatial + i] : 0);
    if (in < 0 || !mul_i64(in - 1, window_stride(w, i), &n) || !add_i64(n, fixed, &n) || n < 0)
        return -1;
    return n;
}

static int unpool_fits(struct infer_ctx *ic, int rank)
{
    int r = ic_need_rank(ic, 1, rank, rank);
    for (int i = 0; !r && i < rank && ic_rank(ic, 1) == rank; i++)
        r = ic_unify(ic, ic_dim(ic, 1, i), ic_dim(ic, 0, i), "an axis of X and I");
    if (!r && ic_has(ic, 2))
        r = ic_need_rank(ic, 2, 1, 1);
    if (!r && ic_has(ic, 2) && ic_rank(ic, 2) == 1)
        r = ic_unify(ic, ic_dim(ic, 2, 0), dim_const(rank), "length of output_shape and rank of X");
    return r;
}

static int unpool_infer(struct infer_ctx *ic, const void *params)
{
    const struct window *w = params;
    int rank = ic_rank(ic, 0), spatial = rank - 2;
    struct dim d[TENSOR_MAX_RANK];
    int64_t shape[TENSOR_MAX_RANK];
    int r = ic_need_rank(ic, 0, 3, TENSOR_MAX_RANK);
    if (!r && rank >= 0)
        r = window_check(ic, w, spatial);
    if (r)
        return r;
    if (rank < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    r = unpool_fits(ic, rank);
    if (r)
        return r;
    int given = ic_has(ic, 2) ? ic_ints(ic, 2, shape, TENSOR_MAX_RANK) : 0;
    if (given > 0 && given != rank)
        return ic_err(ic, E_VALUE, "output_shape has %d values, expected %d", given, rank);
    for (int i = 0; i < rank; i++) {
        struct dim in = ic_dim(ic, 0, i);
        d[i] = given < 0 ? dim_unknown() : in;
        if (i >= 2 && in.kind == DIM_CONST) {
            int64_t v = unpooled(w, spatial, i - 2, in.v);
            if (v < 0)
                return ic_err(ic, E_SHAPE, "axis %d cannot be unpooled from extent %lld", i, (long long)in.v);
            d[i] = given < 0 ? dim_unknown() : dim_const(v);
            if (given > 0 && shape[i] < v)
                return ic_err(ic, E_VALUE, "output_shape[%d] is %lld, the pooled input had %lld", i,
                              (long long)shape[i], (long long)v);
        } else if (i >= 2) {
            d[i] = dim_unknown();
        }
        if (given > 0)
            d[i] = dim_const(shape[i]);
    }
    return ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

/* Indices count in the shape that the pooled input had; a larger output_shape leaves the rest zero. */
static int unpool_ref(struct exec_ctx *ec, const void *params)
{
    const struct window *w = params;
    const struct tensor *x = ec->in[0], *idx = ec->in[1];
    struct tensor *y = ec->out[0];
    if (!ec_has_out(ec, 0))
        return 0;
    if (idx->dt != DT_INT64 || tensor_count(idx) != tensor_count(x) || x->dt != y->dt ||
        dtype_info(x->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 1);
    int64_t inner[TENSOR_MAX_RANK], total = 1;
    for (int i = 0; i < x->rank; i++) {
        inner[i] = i < 2 ? x->dims[i] : unpooled(w, x->rank - 2, i - 2, x->dims[i]);
        if (inner[i] < 0 || inner[i] > y->dims[i] || !mul_i64(total, inner[i], &total))
            return err_set(ec->cx, E_SHAPE, "output_shape is smaller than the pooled input was");
    }
    size_t size = dtype_size(x->dt);
    if (tensor_bytes(y))
        memset(y->data, 0, tensor_bytes(y));
    const int64_t *at = idx->data;
    for (int64_t k = 0, n = tensor_count(x); k < n; k++) {
        if (at[k] < 0 || at[k] >= total)
            return err_set(ec->cx, E_VALUE, "index %lld is outside [0, %lld)", (long long)at[k],
                           (long long)total);
        int64_t rest = at[k], off = 0, step = 1;
        for (int i = x->rank - 1; i >= 0; i--) {
            off += rest % inner[i] * step;
            rest /= inner[i];
            step *= y->dims[i];
        }
        memcpy((char *)y->data + (size_t)off * size, (const char *)x->data + (size_t)k * size, size);
    }
    return 0;
}

const struct op op_MaxUnpool = {
    .domain = "",
    .name = "MaxUnpool",
    .tol = TOL_EXACT,
    .params_size = sizeof(struct window),
    .parse = unpool_parse,
    .infer = unpool_infer,
    .ref = unpool_ref,
};
