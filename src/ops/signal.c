/* Signals: DFT, STFT, windows and MelWeightMatrix. Transforms compute in double and round once. Real values
 * have a last axis of 1, complex ones of 2 (real part, imaginary part). */
#include <math.h>
#include <string.h>

#include "ops/contrib.h"
#include "ops/fft.h"

#define PI 3.14159265358979323846

/* ---- transforms over lines ---- */

/* Many lines of in_len values (1 or 2 components each) become lines of out_len values. A line is first
 * windowed, cut or filled with zeros to the transform's length. */
struct lines {
    struct fft fft;
    bool inverse, onesided;
    const struct dtype_info *info;
    const char *in;
    char *out;
    int64_t in_len, out_len;
    int in_comp, out_comp;
    int64_t in_stride, out_stride; /* elements between values of a line */
    int64_t inner;                 /* lines next to each other (stride: one value) */
    int64_t frames, frame_step;    /* STFT: frames of one signal; 0: DFT */
    int64_t signal_len;
    const double *window; /* NULL: all ones */
    struct cplx *work;    /* per thread: transform's length and its work memory */
    int64_t work_size;
};

static double load(const struct lines *l, int64_t i)
{
    return l->info->load_f64(l->in + (size_t)i * l->info->size);
}

static void store(const struct lines *l, int64_t i, double v)
{
    l->info->store_f64(l->out + (size_t)i * l->info->size, v);
}

static void load_line(const struct lines *l, int64_t from, int64_t count, struct cplx *x)
{
    for (int64_t i = 0; i < l->fft.n; i++) {
        struct cplx v = {0, 0};
        if (i < count) {
            int64_t at = from + i * l->in_stride;
            double w = l->window ? l->window[i] : 1;
            v.re = load(l, at) * w;
            v.im = l->in_comp == 2 ? load(l, at + 1) * w : 0;
        }
        x[i] = v;
    }
}

/* The bins above the middle from those below it, which alone are given: a real signal comes out. */
static void mirror(struct cplx *x, int64_t n)
{
    x[0].im = 0;
    if (n % 2 == 0)
        x[n / 2].im = 0;
    for (int64_t k = n / 2 + 1; k < n; k++)
        x[k] = (struct cplx){x[n - k].re, -x[n - k].im};
}

static void store_line(const struct lines *l, int64_t to, const struct cplx *x)
{
    double scale = l->inverse ? 1 / (double)l->fft.n : 1;
    for (int64_t i = 0; i < l->out_len; i++) {
        int64_t at = to + i * l->out_stride;
        store(l, at, x[i].re * scale);
        if (l->out_comp == 2)
            store(l, at + 1, x[i].im * scale);
    }
}

static void transform_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct lines *l = arg;
    struct cplx *x = l->work + thread * l->work_size;
    for (int64_t i = begin; i < end; i++) {
        int64_t from, to, count = l->in_len < l->fft.n ? l->in_len : l->fft.n;
        if (l->frames) {
            int64_t signal = i / l->frames, frame = i % l->frames;
            from = (signal * l->signal_len + frame * l->frame_step) * l->in_comp;
            to = i * l->out_len * l->out_comp;
        } else {
            int64_t outer = i / l->inner, in = i % l->inner;
            from = (outer * l->in_len * l->inner + in) * l->in_comp;
            to = (outer * l->out_len * l->inner + in) * l->out_comp;
        }
        load_line(l, from, count, x);
        if (l->inverse && l->onesided)
            mirror(x, l->fft.n);
        fft_run(&l->fft, l->inverse, x, x + l->fft.n);
        store_line(l, to, x);
    }
}

static int transform(struct exec_ctx *ec, struct lines *l, int64_t nlines, int64_t n)
{
    int rc = fft_init(ec, &l->fft, n);
    if (rc)
        return rc;
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    l->work_size = n + fft_work(&l->fft);
    l->work = ec_scratch(ec, (size_t)threads * (size_t)l->work_size * sizeof(struct cplx));
    if (!l->work)
        return ec->cx->err.code;
    ec_par(ec, nlines, 1 + PAR_GRAIN / (n * 8), transform_range, l);
    return 0;
}

/* ---- DFT ---- */

struct dft {
    bool inverse, onesided;
    bool axis_input; /* since version 20 */
    int64_t axis;
};

static int dft_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct dft *p = params;
    int64_t inverse = 0, onesided = 0;
    (void)arena;
    p->axis_input = version >= 20;
    p->axis = p->axis_input ? -2 : 1;
    int rc = p->axis_input ? 0 : attr_int(cx, n, "axis", &p->axis);
    if (rc >= 0)
        rc = attr_int(cx, n, "inverse", &inverse);
    if (rc >= 0)
        rc = attr_int(cx, n, "onesided", &onesided);
    p->inverse = inverse != 0;
    p->onesided = onesided != 0;
    return rc < 0 ? rc : 0;
}

/* The axis when it is known, -1 when not, else an error. */
static int dft_axis(struct infer_ctx *ic, const struct dft *p, int rank, int *axis)
{
    int64_t v = p->axis;
    *axis = -1;
    if (p->axis_input && ic_has(ic, 2) && ic_ints(ic, 2, &v, 1) != 1)
        return 0;
    int rc = ic_axis(ic, v, rank, axis);
    if (!rc && *axis == rank - 1)
        rc = ic_err(ic, E_VALUE, "axis %lld is the one of real and imaginary part", (long long)v);
    return rc;
}

/* The transform's length from dft_length or the signal's dim. */
static int dft_length(struct infer_ctx *ic, const struct dft *p, struct dim signal, struct dim *out)
{
    int64_t v;
    *out = dim_unknown();
    if (ic_has(ic, 1)) {
        const struct shape_val *s = ic_val(ic, 1);
        if (ic_ints(ic, 1, &v, 1) == 1 && v < 1)
            return ic_err(ic, E_VALUE, "the transform's length is %lld", (long long)v);
        if (s && s->n == 1)
            *out = s->d[0];
    } else if (p->inverse && p->onesided) {
        *out = dim_mul(ic->syms, dim_const(2), dim_sub(ic->syms, signal, dim_const(1)));
    } else {
        *out = signal;
    }
    if (out->kind == DIM_CONST && out->v < 1)
        return ic_err(ic, E_VALUE, "the transform's length is %lld", (long long)out->v);
    return 0;
}

static struct dim half_plus_one(struct infer_ctx *ic, struct dim n)
{
    return dim_add(ic->syms, dim_div_floor(ic->syms, n, dim_const(2)), dim_const(1));
}

static int need_parts(struct infer_ctx *ic, struct dim d)
{
    if (d.kind == DIM_CONST && d.v != 1 && d.v != 2)
        return ic_err(ic, E_SHAPE, "the last dim is %lld, expected 1 (real) or 2 (complex)", (long long)d.v);
    return 0;
}

static int dft_infer(struct infer_ctx *ic, const void *params)
{
    const struct dft *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    int axis, rank = in_dims(ic, 0, dims);
    if (rank < -1)
        return rank;
    int rc = ic_need_rank(ic, 0, 2, TENSOR_MAX_RANK);
    if (rc || rank < 0)
        return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    rc = need_parts(ic, dims[rank - 1]);
    if (!rc && p->onesided)
        rc = ic_unify(ic, dims[rank - 1], dim_const(p->inverse ? 2 : 1),
                      p->inverse ? "parts of a onesided inverse's input, complex numbers"
                                 : "parts of a onesided transform's input, real numbers");
    if (!rc)
        rc = dft_axis(ic, p, rank, &axis);
    if (rc)
        return rc;
    struct dim n = dim_unknown();
    if (axis >= 0)
        rc = dft_length(ic, p, dims[axis], &n);
    /* On whatever axis: a whole transform of no given length keeps all extents. */
    for (int i = 0; axis < 0 && (p->onesided || ic_has(ic, 1)) && i < rank - 1; i++)
        dims[i] = dim_unknown();
    if (axis >= 0)
        dims[axis] = p->onesided && !p->inverse && n.kind != DIM_UNKNOWN ? half_plus_one(ic, n) : n;
    dims[rank - 1] = dim_const(p->onesided && p->inverse ? 1 : 2);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank, dims);
}

static int dft_ref(struct exec_ctx *ec, const void *params)
{
    const struct dft *p = params;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    int64_t v = p->axis, n;
    int axis, rc = p->axis_input && ec_has(ec, 2) ? ec_int(ec, 2, &v) : 0;
    if (!rc)
        rc = ec_axis(ec, v, in->rank, &axis);
    if (!rc && axis == in->rank - 1) /* inference may not have known the axis */
        rc = err_set(ec->cx, E_VALUE, "axis %d is the one of real and imaginary part", axis);
    if (rc)
        return rc;
    n = out->dims[axis];
    if (ec_has(ec, 1))
        rc = ec_int(ec, 1, &n);
    else if (p->onesided)
        n = p->inverse ? 2 * (in->dims[axis] - 1) : in->dims[axis];
    if (rc || !tensor_count(out))
        return rc;
    if (dtype_info((int)in->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    struct lines l = {.inverse = p->inverse,
                      .onesided = p->onesided,
                      .info = dtype_info((int)in->dt),
                      .in = in->data,
                      .out = out->data,
                      .in_len = in->dims[axis],
                      .out_len = out->dims[axis],
                      .in_comp = (int)in->dims[in->rank - 1],
                      .out_comp = (int)out->dims[in->rank - 1]};
    l.inner = dims_span(in->dims, axis + 1, in->rank - 1);
    l.in_stride = l.inner * l.in_comp;
    l.out_stride = l.inner * l.out_comp;
    return transform(ec, &l, dims_span(in->dims, 0, axis) * l.inner, n);
}

const struct op op_DFT = {.domain = "",
                          .name = "DFT",
                          .tol = TOL_ROUND,
                          .params_size = sizeof(struct dft),
                          .parse = dft_parse,
                          .infer = dft_infer,
                          .ref = dft_ref};

/* ---- Rfft, Irfft of com.microsoft: along the last axis, real values without an axis of parts ---- */

struct rfft {
    bool inverse;
};

static int rfft_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    int64_t onesided = 1, normalized = 0, ndim = 1;
    (void)arena, (void)version;
    ((struct rfft *)params)->inverse = n->op_type[0] == 'I';
    int rc = contrib_inputs(cx, n, 1, 1, 1);
    if (!rc)
        rc = attr_int(cx, n, "onesided", &onesided);
    if (rc >= 0)
        rc = attr_int(cx, n, "normalized", &normalized);
    if (rc >= 0)
        rc = attr_int(cx, n, "signal_ndim", &ndim);
    if (rc >= 0 && (onesided != 1 || normalized))
        return err_set(cx, E_ATTR, "onesided must be 1 and normalized 0");
    if (rc >= 0 && ndim != 1)
        return err_set(cx, E_UNSUPPORTED, "signals of %lld dimensions", (long long)ndim);
    return rc < 0 ? rc : 0;
}

static int rfft_infer(struct infer_ctx *ic, const void *params)
{
    const struct rfft *p = params;
    struct dim d[TENSOR_MAX_RANK + 1];
    int rank = in_dims(ic, 0, d), last = rank - (p->inverse ? 2 : 1);
    if (rank < -1)
        return rank;
    int rc = ic_need_rank(ic, 0, p->inverse ? 2 : 1, TENSOR_MAX_RANK - 1);
    if (rc || rank < 0)
        return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    if (p->inverse && d[rank - 1].kind == DIM_CONST && d[rank - 1].v != 2)
        return ic_err(ic, E_SHAPE, "the last dim is %lld, expected 2", (long long)d[rank - 1].v);
    if (d[last].kind == DIM_CONST && d[last].v < (p->inverse ? 2 : 1))
        return ic_err(ic, E_VALUE, "a signal of %lld values", (long long)d[last].v);
    d[last] = p->inverse ? dim_mul(ic->syms, dim_const(2), dim_sub(ic->syms, d[last], dim_const(1)))
                         : half_plus_one(ic, d[last]);
    d[rank] = dim_const(2);
    return ic_out(ic, 0, ic_dtype(ic, 0), p->inverse ? rank - 1 : rank + 1, d);
}

static int rfft_ref(struct exec_ctx *ec, const void *params)
{
    bool inverse = ((const struct rfft *)params)->inverse;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    const struct tensor *signal = inverse ? out : in, *bins = inverse ? in : out;
    if (dtype_info(in->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    if (!tensor_count(out))
        return 0;
    int64_t n = signal->dims[signal->rank - 1], m = bins->dims[bins->rank - 2];
    struct lines l = {.inverse = inverse,
                      .onesided = true,
                      .info = dtype_info(in->dt),
                      .in = in->data,
                      .out = out->data,
                      .in_len = inverse ? m : n,
                      .out_len = inverse ? n : m,
                      .in_comp = inverse ? 2 : 1,
                      .out_comp = inverse ? 1 : 2,
                      .inner = 1};
    l.in_stride = l.in_comp;
    l.out_stride = l.out_comp;
    return transform(ec, &l, tensor_count(signal) / n, n);
}

#define RFFT(opname)                                                                                         \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct rfft),     \
        .parse = rfft_parse, .infer = rfft_infer, .ref = rfft_ref,                                           \
    }

const struct op op_com_microsoft_Irfft = RFFT("Irfft");
const struct op op_com_microsoft_Rfft = RFFT("Rfft");

/* ---- STFT ---- */

struct stft {
    bool onesided;
};

static int stft_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct stft *p = params;
    int64_t onesided = 1;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "onesided", &onesided);
    p->onesided = onesided != 0;
    return rc < 0 ? rc : 0;
}

static int stft_frame_length(struct infer_ctx *ic, struct dim signal, struct dim *out)
{
    const struct shape_val *s = ic_has(ic, 3) ? ic_val(ic, 3) : NULL;
    struct dim window = ic_has(ic, 2) && ic_rank(ic, 2) == 1 ? ic_dim(ic, 2, 0) : dim_unknown();
    *out = ic_has(ic, 3) ? (s && s->n == 1 ? s->d[0] : dim_unknown()) : ic_has(ic, 2) ? window : signal;
    if (ic_has(ic, 3) && ic_has(ic, 2) && window.kind == DIM_CONST && out->kind == DIM_CONST &&
        window.v != out->v)
        return ic_err(ic, E_SHAPE, "the window has %lld values, a frame %lld", (long long)window.v,
                      (long long)out->v);
    if (out->kind == DIM_CONST && out->v < 1)
        return ic_err(ic, E_VALUE, "the frame length is %lld", (long long)out->v);
    if (out->kind == DIM_CONST && signal.kind == DIM_CONST && out->v > signal.v)
        return ic_err(ic, E_VALUE, "the frame length %lld exceeds the signal's %lld", (long long)out->v,
                      (long long)signal.v);
    return 0;
}

static int stft_infer(struct infer_ctx *ic, const void *params)
{
    const struct stft *p = params;
    int64_t step;
    int rc = ic_need_rank(ic, 0, 3, 3);
    if (!rc && ic_has(ic, 2))
        rc = ic_need_rank(ic, 2, 1, 1);
    if (rc)
        return rc;
    bool known = ic_rank(ic, 0) == 3;
    struct dim length, signal = known ? ic_dim(ic, 0, 1) : dim_unknown(), frames = dim_unknown();
    rc = known ? need_parts(ic, ic_dim(ic, 0, 2)) : 0;
    if (!rc)
        rc = stft_frame_length(ic, signal, &length);
    bool has_step = !rc && ic_ints(ic, 1, &step, 1) == 1;
    if (has_step && step < 1)
        rc = ic_err(ic, E_VALUE, "the frame step is %lld", (long long)step);
    if (rc)
        return rc;
    if (has_step && signal.kind != DIM_UNKNOWN && length.kind != DIM_UNKNOWN)
        frames =
            dim_add(ic->syms, dim_div_floor(ic->syms, dim_sub(ic->syms, signal, length), dim_const(step)),
                    dim_const(1));
    struct dim bins = p->onesided && length.kind != DIM_UNKNOWN ? half_plus_one(ic, length) : length;
    struct dim dims[4] = {known ? ic_dim(ic, 0, 0) : dim_unknown(), frames, bins, dim_const(2)};
    return ic_out(ic, 0, ic_dtype(ic, 0), 4, dims);
}

static int stft_ref(struct exec_ctx *ec, const void *params)
{
    const struct stft *p = params;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    int64_t step, length = in->dims[1];
    const double *window = NULL;
    int rc = ec_int(ec, 1, &step);
    if (!rc && ec_has(ec, 3))
        rc = ec_int(ec, 3, &length);
    else if (ec_has(ec, 2))
        length = ec->in[2]->dims[0];
    if (!rc && ec_has(ec, 2) && !(window = ec_as(ec, 2, DT_DOUBLE)))
        rc = ec->cx->err.code;
    if (rc || !tensor_count(out))
        return rc;
    if (dtype_info((int)in->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    struct lines l = {.onesided = p->onesided,
                      .info = dtype_info((int)in->dt),
                      .in = in->data,
                      .out = out->data,
                      .in_len = length,
                      .out_len = out->dims[2],
                      .in_comp = (int)in->dims[2],
                      .out_comp = 2,
                      .in_stride = in->dims[2],
                      .out_stride = 2,
                      .frames = out->dims[1],
                      .frame_step = step,
                      .signal_len = in->dims[1],
                      .window = window};
    return transform(ec, &l, out->dims[0] * out->dims[1], length);
}

const struct op op_STFT = {.domain = "",
                           .name = "STFT",
                           .tol = TOL_ROUND,
                           .params_size = sizeof(struct stft),
                           .parse = stft_parse,
                           .infer = stft_infer,
                           .ref = stft_ref};

/* ---- windows ---- */

/* w[n] = a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N) */
struct cosine_window {
    double a0, a1, a2;
    bool periodic;
    enum dtype dt;
};

static int output_type(struct cx *cx, const struct node *n, enum dtype *out)
{
    int64_t v = DT_FLOAT;
    int rc = attr_int(cx, n, "output_datatype", &v);
    if (rc < 0)
        return rc;
    if (v <= 0 || v >= DT_COUNT || !dtype_info((int)v)->store_f64 || v == DT_STRING)
        return err_set(cx, E_ATTR, "attribute 'output_datatype' is %lld, no type of numbers", (long long)v);
    *out = (enum dtype)v;
    return 0;
}

static int window_op_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct cosine_window *p = params;
    int64_t periodic = 1;
    (void)arena, (void)version;
    if (n->op_type[0] == 'B')
        *p = (struct cosine_window){.a0 = 0.42, .a1 = 0.5, .a2 = 0.08};
    else if (n->op_type[2] == 'm')
        *p = (struct cosine_window){.a0 = 25.0 / 46, .a1 = 21.0 / 46};
    else
        *p = (struct cosine_window){.a0 = 0.5, .a1 = 0.5};
    int rc = output_type(cx, n, &p->dt);
    if (!rc)
        rc = attr_int(cx, n, "periodic", &periodic);
    p->periodic = periodic != 0;
    return rc < 0 ? rc : 0;
}

static int window_op_infer(struct infer_ctx *ic, const void *params)
{
    const struct cosine_window *p = params;
    const struct shape_val *v = ic_val(ic, 0);
    struct dim d = v && v->n == 1 ? v->d[0] : dim_unknown();
    if (d.kind == DIM_CONST && d.v < 0)
        return ic_err(ic, E_VALUE, "the window's size is %lld", (long long)d.v);
    return ic_out(ic, 0, p->dt, 1, &d);
}

/* A symmetric window of one value is 0 / 0 by the definition: NaN. */
static int window_op_ref(struct exec_ctx *ec, const void *params)
{
    const struct cosine_window *p = params;
    struct tensor *out = ec->out[0];
    const struct dtype_info *info = dtype_info((int)out->dt);
    int64_t size = out->dims[0];
    double n = (double)(p->periodic ? size : size - 1);
    for (int64_t i = 0; i < size; i++) {
        double x = 2 * PI * (double)i / n;
        info->store_f64((char *)out->data + (size_t)i * info->size,
                        p->a0 - p->a1 * cos(x) + p->a2 * cos(2 * x));
    }
    return 0;
}

#define WINDOW(opname)                                                                                       \
    {                                                                                                        \
        .domain = "", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct cosine_window),         \
        .parse = window_op_parse, .infer = window_op_infer, .ref = window_op_ref,                            \
    }

const struct op op_HannWindow = WINDOW("HannWindow");
const struct op op_HammingWindow = WINDOW("HammingWindow");
const struct op op_BlackmanWindow = WINDOW("BlackmanWindow");

/* ---- MelWeightMatrix ---- */

struct mel {
    enum dtype dt;
};

static int mel_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct mel *p = params;
    (void)arena, (void)version;
    return output_type(cx, n, &p->dt);
}

static int mel_infer(struct infer_ctx *ic, const void *params)
{
    const struct mel *p = params;
    struct dim dims[2] = {dim_unknown(), dim_unknown()};
    for (int i = 0; i < 2; i++) {
        const struct shape_val *v = ic_val(ic, i);
        if (!v || v->n != 1)
            continue;
        if (v->d[0].kind == DIM_CONST && (v->d[0].v < 0 || v->d[0].v > INT32_MAX))
            return ic_err(ic, E_VALUE, "input %d is %lld", i, (long long)v->d[0].v);
        dims[1 - i] = i ? half_plus_one(ic, v->d[0]) : v->d[0];
    }
    return ic_out(ic, 0, p->dt, 2, dims);
}

/* The bin that a mel value falls into. */
static double mel_bin(double mel, double dft, double rate)
{
    return floor((dft + 1) * (700 * expm1(mel / 2595 * log(10))) / rate);
}

static int mel_ref(struct exec_ctx *ec, const void *params)
{
    struct tensor *out = ec->out[0];
    const struct dtype_info *info = dtype_info((int)out->dt);
    double in[5];
    (void)params;
    for (int i = 0; i < 5; i++) {
        if (tensor_count(ec->in[i]) != 1)
            return err_set(ec->cx, E_SHAPE, "input %d is no scalar", i);
        in[i] = tensor_f64(ec->in[i], 0);
    }
    if (!(in[2] > 0))
        return err_set(ec->cx, E_VALUE, "the sample rate is %g", in[2]);
    double low = 2595 * log1p(in[3] / 700) / log(10), high = 2595 * log1p(in[4] / 700) / log(10);
    double step = (high - low) / (in[0] + 2);
    int64_t rows = out->dims[0], cols = out->dims[1];
    for (int64_t c = 0; c < cols; c++) {
        double left = mel_bin(low + (double)c * step, in[1], in[2]);
        double mid = mel_bin(low + (double)(c + 1) * step, in[1], in[2]);
        double right = mel_bin(low + (double)(c + 2) * step, in[1], in[2]);
        for (int64_t r = 0; r < rows; r++) {
            double f = (double)r, v = 0;
            if (f >= left && f <= mid)
                v = mid == left ? 1 : (f - left) / (mid - left);
            if (f >= mid && f < right)
                v = (right - f) / (right - mid);
            info->store_f64((char *)out->data + (size_t)(r * cols + c) * info->size, v);
        }
    }
    return 0;
}

const struct op op_MelWeightMatrix = {.domain = "",
                                      .name = "MelWeightMatrix",
                                      .tol = TOL_ROUND,
                                      .params_size = sizeof(struct mel),
                                      .parse = mel_parse,
                                      .infer = mel_infer,
                                      .ref = mel_ref};
