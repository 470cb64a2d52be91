/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: one scale for the tensor, for each slice along an
 * axis, or for each block of values along it. */
#include "ops/contrib.h"

#include <math.h>
#include <string.h>

#include "kern/cast.h"
#include "kern/quant.h"

struct quant {
    int64_t axis, block;
    enum dtype out; /* output_dtype; DT_UNDEFINED: as the zero point or scale says */
    bool no_saturate;
};

static int quant_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct quant *q = params;
    int64_t saturate = 1, out = 0;
    q->axis = 1;
    int r = attr_int(cx, n, "axis", &q->axis);
    if (r >= 0)
        r = attr_int(cx, n, "block_size", &q->block);
    if (r >= 0)
        r = attr_int(cx, n, "saturate", &saturate);
    if (r >= 0)
        r = attr_int(cx, n, "output_dtype", &out);
    if (r < 0)
        return r;
    if (q->block < 0)
        return err_set(cx, E_ATTR, "attribute block_size is %lld", (long long)q->block);
    if (out < 0 || out >= DT_COUNT || (out && !dtype_info((int)out)->name))
        return err_set(cx, E_ATTR, "attribute output_dtype is %lld, which is no element type",
                       (long long)out);
    q->no_saturate = !saturate;
    q->out = (enum dtype)out;
    return 0;
}

/* com.microsoft: the same, from before ai.onnx had an axis, 16 and 4 bits. */
static int com_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    int rc = contrib_inputs(cx, n, 2, 3, 3);
    return rc ? rc : quant_parse(cx, arena, n, version, params);
}

/* How scales (and zero points) lie over x. */
static int check_scale(struct infer_ctx *ic, const struct quant *q)
{
    int rank = ic_rank(ic, 0), rs = ic_rank(ic, 1), axis;
    if (rank < 0 || rs <= 0 ||
        (rs == 1 && !q->block && (ic_dim(ic, 1, 0).kind != DIM_CONST || dim_is(ic_dim(ic, 1, 0), 1))))
        return 0;
    if (!q->block && rs != 1)
        return ic_err(ic, E_SHAPE, "scale has rank %d, expected a scalar or one axis", rs);
    if (q->block && rs != rank)
        return ic_err(ic, E_SHAPE, "scale has rank %d, expected that of x (%d)", rs, rank);
    int r = ic_axis(ic, q->axis, rank, &axis);
    if (r)
        return r;
    return q->block ? 0 : ic_unify(ic, ic_dim(ic, 1, 0), ic_dim(ic, 0, axis), "length of scale");
}

static int quantize_infer(struct infer_ctx *ic, const void *params)
{
    const struct quant *q = params;
    enum dtype dt = ic_has(ic, 2) ? ic_dtype(ic, 2) : q->out ? q->out : DT_UINT8;
    int r = check_scale(ic, q);
    if (!r && ic_has(ic, 2) && q->out && dt && q->out != dt)
        return ic_err(ic, E_TYPE, "output_dtype is %s, the zero point %s", dtype_name(q->out),
                      dtype_name(dt));
    return r ? r : ic_out_like(ic, 0, 0, dt);
}

static int dequantize_infer(struct infer_ctx *ic, const void *params)
{
    const struct quant *q = params;
    int r = check_scale(ic, q);
    return r ? r : ic_out_like(ic, 0, 0, q->out ? q->out : ic_dtype(ic, 1));
}

/* ---- how to walk ---- */

/* x as [outer][extent][inner]; scales one (count 1), one a slice, or in blocks [outer][blocks][inner]. */
struct walk {
    int64_t outer, extent, inner, block, blocks;
    bool single;
};

static int make_walk(struct exec_ctx *ec, const struct quant *q, struct walk *w)
{
    const struct tensor *x = ec->in[0], *s = ec->in[1];
    int64_t count = tensor_count(s);
    memset(w, 0, sizeof(*w));
    if (ec_has(ec, 2) && tensor_count(ec->in[2]) != count)
        return err_set(ec->cx, E_SHAPE, "scale and zero point differ in shape");
    w->single = count == 1 && !q->block;
    if (w->single) {
        w->outer = w->extent = 1;
        w->inner = tensor_count(x);
        return 0;
    }
    int64_t axis = q->axis < 0 ? q->axis + x->rank : q->axis;
    if (axis < 0 || axis >= x->rank)
        return err_set(ec->cx, E_VALUE, "axis %lld is outside the rank %d", (long long)q->axis, x->rank);
    w->outer = dims_prod(x->dims, 0, (int)axis);
    w->extent = x->dims[axis];
    w->inner = dims_prod(x->dims, (int)axis + 1, x->rank);
    if (!q->block)
        return count == w->extent ? 0
                                  : err_set(ec->cx, E_SHAPE, "scale has %lld values for an axis of %lld",
                                            (long long)count, (long long)w->extent);
    w->block = q->block;
    w->blocks = w->extent / w->block + (w->extent % w->block != 0);
    bool ok = s->rank == x->rank;
    for (int i = 0; ok && i < x->rank; i++)
        ok = s->dims[i] == (i == axis ? w->blocks : x->dims[i]);
    return ok ? 0
              : err_set(ec->cx, E_SHAPE, "the shape of scale does not fit blocks of %lld",
                        (long long)q->block);
}

/* Calls fn for every run of elements with one scale: elements [at, at + n), scale number k. Rows are the
 * units that are handed to threads: [begin, end) out of outer * extent. */
typedef void run_fn(const void *job, int64_t at, int64_t n, int64_t k);

static void walk_rows(const struct walk *w, int64_t begin, int64_t end, run_fn *fn, const void *job)
{
    for (int64_t row = begin; row < end; row++) {
        int64_t o = row / w->extent, a = row % w->extent, at = row * w->inner;
        if (!w->block) {
            fn(job, at, w->inner, a);
            continue;
        }
        for (int64_t i = 0; i < w->inner; i++)
            fn(job, at + i, 1, (o * w->blocks + a / w->block) * w->inner + i);
    }
}

struct quant_job {
    struct exec_ctx *ec;
    const struct quant *q;
    struct walk w;
    const float *x, *scale; /* quantize: values; dequantize: scales */
    float *out;             /* dequantize */
    enum dtype dt;          /* of the quantized side */
};

static int32_t zero_at(const struct quant_job *j, int64_t k)
{
    return ec_has(j->ec, 2) ? (int32_t)tensor_i64(j->ec->in[2], k) : 0;
}

/* float8 and float4: the zero point is 0. */
static void quantize_float(const struct quant_job *j, int64_t at, int64_t n, float scale)
{
    enum { CHUNK = 256 };
    float buf[CHUNK];
    struct cast_opt opt = {.no_saturate = j->q->no_saturate, .round_mode = 2};
    size_t size = dtype_size(j->dt);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        for (int64_t k = 0; k < m; k++)
            buf[k] = j->x[at + i + k] / scale;
        cast_run(j->ec->kern, DT_FLOAT, j->dt, buf, (char *)j->ec->out[0]->data + (size_t)(at + i) * size,
                 (size_t)m, &opt);
    }
}

static void quantize_run(const void *job, int64_t at, int64_t n, int64_t k)
{
    const struct quant_job *j = job;
    quantize_fn *fn = j->ec->kern->quant.quantize[j->dt];
    char *to = (char *)j->ec->out[0]->data + (size_t)at * dtype_size(j->dt);
    if (fn)
        fn(j->x + at, to, (size_t)n, j->scale[k], zero_at(j, k));
    else
        quantize_float(j, at, n, j->scale[k]);
}

static void dequantize_run(const void *job, int64_t at, int64_t n, int64_t k)
{
    const struct quant_job *j = job;
    dequantize_fn *fn = j->ec->kern->quant.dequantize[j->dt];
    const char *from = (const char *)j->ec->in[0]->data + (size_t)at * dtype_size(j->dt);
    if (fn) {
        fn(from, j->out + at, (size_t)n, j->scale[k], zero_at(j, k));
        return;
    }
    dtype_to_f32(j->dt, from, j->out + at, (size_t)n);
    for (int64_t i = at; i < at + n; i++)
        j->out[i] *= j->scale[k];
}

static void quantize_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct quant_job *j = arg;
    if (j->w.single)
        quantize_run(j, begin, end - begin, 0);
    else
        walk_rows(&j->w, begin, end, quantize_run, j);
}

static void dequantize_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct quant_job *j = arg;
    if (j->w.single)
        dequantize_run(j, begin, end - begin, 0);
    else
        walk_rows(&j->w, begin, end, dequantize_run, j);
}

static void walk_all(struct quant_job *j, par_fn *fn)
{
    int64_t units = j->w.single ? j->w.inner : j->w.outer * j->w.extent;
    par_for(j->ec->pool, units, j->w.single ? 16384 : grain_for(j->w.inner), fn, j);
}

/* A type that has integer or small float rows on its quantized side. */
static bool quant_type(enum dtype dt, bool has_row)
{
    const struct dtype_info *info = dtype_info(dt);
    return has_row || (info->cls == CLS_FLOAT && info->bits <= 8);
}

static int quantize_ref(struct exec_ctx *ec, const void *params)
{
    struct quant_job j = {.ec = ec, .q = params};
    if (!ec_has_out(ec, 0))
        return 0;
    j.dt = ec->out[0]->dt;
    if (!quant_type(j.dt, ec->kern->quant.quantize[j.dt] != NULL) || (ec_has(ec, 2) && ec->in[2]->dt != j.dt))
        return ec_unsupported(ec, ec_has(ec, 2) ? 2 : 0);
    int r = make_walk(ec, j.q, &j.w);
    if (!r)
        r = wide_f32(ec, 0, &j.x);
    if (!r)
        r = wide_f32(ec, 1, &j.scale);
    if (!r)
        walk_all(&j, quantize_range);
    return r;
}

static int dequantize_ref(struct exec_ctx *ec, const void *params)
{
    struct quant_job j = {.ec = ec, .q = params};
    if (!ec_has_out(ec, 0))
        return 0;
    j.dt = ec->in[0]->dt;
    if (!quant_type(j.dt, ec->kern->quant.dequantize[j.dt] != NULL) ||
        dtype_info(ec->out[0]->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    int r = make_walk(ec, j.q, &j.w);
    if (!r)
        r = wide_f32(ec, 1, &j.scale);
    if (!r)
        r = wide_out_f32(ec, 0, &j.out);
    if (r)
        return r;
    walk_all(&j, dequantize_range);
    wide_done_f32(ec, 0, j.out);
    return 0;
}

const struct op op_QuantizeLinear = {
    .domain = "",
    .name = "QuantizeLinear",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct quant),
    .parse = quant_parse,
    .infer = quantize_infer,
    .ref = quantize_ref,
};

const struct op op_com_microsoft_QuantizeLinear = {
    .domain = "com.microsoft",
    .name = "QuantizeLinear",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct quant),
    .parse = com_parse,
    .infer = quantize_infer,
    .ref = quantize_ref,
};

const struct op op_DequantizeLinear = {
    .domain = "",
    .name = "DequantizeLinear",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct quant),
    .parse = quant_parse,
    .infer = dequantize_infer,
    .ref = dequantize_ref,
};

const struct op op_com_microsoft_DequantizeLinear = {
    .domain = "com.microsoft",
    .name = "DequantizeLinear",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct quant),
    .parse = com_parse,
    .infer = dequantize_infer,
    .ref = dequantize_ref,
};

/* ---- DynamicQuantizeLinear ---- */

static int dynamic_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int r = ic_has_out(ic, 0) ? ic_out_like(ic, 0, 0, DT_UINT8) : 0;
    if (!r && ic_has_out(ic, 1))
        r = ic_out(ic, 1, DT_FLOAT, 0, NULL);
    if (!r && ic_has_out(ic, 2))
        r = ic_out(ic, 2, DT_UINT8, 0, NULL);
    return r;
}

struct dynamic_job {
    const struct kern *kern;
    const float *x;
    uint8_t *y;
    float scale;
    int32_t zero;
};

static void dynamic_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct dynamic_job *j = arg;
    j->kern->quant.quantize[DT_UINT8](j->x + begin, j->y + begin, (size_t)(end - begin), j->scale, j->zero);
}

/* The range always holds 0; a tensor of zeros gets the scale 1. */
static int dynamic_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    struct dynamic_job j = {.kern = ec->kern, .scale = 1};
    float lo = 0, hi = 0;
    int r = wide_f32(ec, 0, &j.x);
    if (r)
        return r;
    int64_t n = tensor_count(ec->in[0]);
    if (n)
        ec->kern->reduce.minmax(j.x, (size_t)n, &lo, &hi);
    lo = lo < 0 ? lo : 0;
    hi = hi > 0 ? hi : 0;
    if (hi > lo)
        j.scale = (hi - lo) / 255;
    float zero = nearbyintf(0 - lo / j.scale);
    j.zero = zero > 0 ? (zero < 255 ? (int32_t)zero : 255) : 0;
    if (ec_has_out(ec, 1))
        memcpy(ec->out[1]->data, &j.scale, sizeof(float));
    if (ec_has_out(ec, 2))
        *(uint8_t *)ec->out[2]->data = (uint8_t)j.zero;
    if (!ec_has_out(ec, 0))
        return 0;
    j.y = ec->out[0]->data;
    par_for(ec->pool, n, 16384, dynamic_range, &j);
    return 0;
}

const struct op op_DynamicQuantizeLinear = {
    .domain = "",
    .name = "DynamicQuantizeLinear",
    .tol = TOL_ROUND,
    .infer = dynamic_infer,
    .ref = dynamic_ref,
};
