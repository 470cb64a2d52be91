/* Convolutions of 8-bit integers: ConvInteger, QLinearConv.
 *
 * Bound steps run on packed weights, packed once when they are constant; the reference takes kern/'s plain
 * loops over double, which are exact. Both give the same bits. */
#include "ops/conv_op.h"
#include "ops/wide.h"
#include "ops/zero_points.h"

#include <stdlib.h>
#include <string.h>

#include "kern/conv_i8.h"

/* ---- reference ---- */

/* n values less their zero point (input z, left out: 0), as double; per > 0: one zero point a row of per. */
static int shifted(struct exec_ctx *ec, int i, int z, int64_t per, double **out)
{
    const double *v, *zp;
    int r = wide_f64(ec, i, &v);
    if (!r)
        r = wide_f64(ec, z, &zp);
    if (r)
        return r;
    int64_t n = tensor_count(ec->in[i]), nz = zp ? tensor_count(ec->in[z]) : 1;
    if (nz != 1 && (!per || nz * per != n))
        return err_set(ec->cx, E_SHAPE, "%lld zero points for input %d", (long long)nz, i);
    double *p = ec_scratch(ec, ((size_t)n + 1) * sizeof(double));
    if (!p)
        return ec->cx->err.code;
    for (int64_t k = 0; k < n; k++)
        p[k] = v[k] - (zp ? zp[nz > 1 ? k / per : 0] : 0);
    *out = p;
    return 0;
}

/* Sums of products as double, exact: |sum| < 2^53 for every kernel below 2^36 taps. */
static int int_sums(struct exec_ctx *ec, const struct conv_attrs *a, int w, int xz, int wz,
                    const double *bias, struct conv_params *p, double **sums)
{
    double *x, *wt;
    const struct tensor *wt_in = ec->in[w];
    int r = conv_geometry(ec->cx, a, ec->in[0], wt_in->dims, wt_in->rank, ec->out[0], p);
    if (!r)
        r = shifted(ec, 0, xz, 0, &x);
    if (!r)
        r = shifted(ec, w, wz, dims_prod(wt_in->dims, 1, wt_in->rank), &wt);
    if (r)
        return r;
    *sums = ec_scratch(ec, ((size_t)tensor_count(ec->out[0]) + 1) * sizeof(double));
    if (!*sums)
        return ec->cx->err.code;
    conv_ref_run(ec->kern, DT_DOUBLE, p, false, x, wt, bias, *sums, ec->pool);
    return 0;
}

/* ---- packed ---- */

/* Which inputs are weights and zero points; the image is input 0. */
struct int_inputs {
    int w, xz, wz;
};

static const struct int_inputs conv_inputs = {1, 2, 3}, qconv_inputs = {3, 2, 5};

struct int_conv_step {
    const struct conv_attrs *a;
    const void *packed; /* NULL: weights are an input, packed on each run */
    bool w_signed;
    int wrank;
    int64_t wdims[TENSOR_MAX_RANK];
};

static int pack_now(struct exec_ctx *ec, int w, const struct conv_i8_plan *plan, struct conv_i8_io *io)
{
    void *to = ec_scratch(ec, plan->weight_bytes), *tmp = ec_scratch(ec, plan->tmp_bytes);
    if (!to || !tmp)
        return ec->cx->err.code;
    conv_i8_pack(ec->kern, plan, ec->in[w]->data, io->w_signed, to, tmp);
    io->w = to;
    return 0;
}

/* The sums (or, with io->q set, bytes) of one run. */
static int run_packed(struct exec_ctx *ec, const struct int_conv_step *s, const struct int_inputs *in,
                      struct conv_i8_io *io)
{
    struct conv_params p;
    struct conv_i8_plan plan;
    struct zeros xz, wz;
    const struct tensor *w = s->packed ? NULL : ec->in[in->w];
    if (!ec_is_byte(ec, 0) || (w && !ec_is_byte(ec, in->w)))
        return ec_unsupported(ec, w ? in->w : 0);
    int r = conv_geometry(ec->cx, s->a, ec->in[0], w ? w->dims : s->wdims, w ? w->rank : s->wrank, ec->out[0],
                          &p);
    if (!r)
        r = load_zeros(ec, in->xz, 1, 1, &xz);
    if (!r)
        r = load_zeros(ec, in->wz, p.co, 1, &wz);
    if (r)
        return r;
    if (!conv_i8_plan(ec->kern, &p, ec->pool ? pool_size(ec->pool) : 1, &plan))
        return err_set(ec->cx, E_LIMIT, "the convolution is too large");
    io->x = ec->in[0]->data;
    io->x_signed = ec->in[0]->dt == DT_INT8;
    io->w_signed = w ? w->dt == DT_INT8 : s->w_signed;
    io->xz = xz.v ? xz.v[0] : 0;
    io->wz = wz.v;
    io->wz_step = wz.step;
    io->w = s->packed;
    r = w ? pack_now(ec, in->w, &plan, io) : 0;
    void *scratch = r ? NULL : ec_scratch(ec, plan.scratch_bytes);
    if (!scratch)
        return r ? r : ec->cx->err.code;
    conv_i8(ec->kern, &plan, io, ec->pool, scratch);
    return 0;
}

/* A geometry with these weights: packing depends on nothing else. */
static bool weight_plan(struct bind_ctx *bc, const struct int_conv_step *s, struct conv_i8_plan *plan)
{
    struct conv_params p = {.n = 1, .groups = s->a->group, .ci = s->wdims[1] * s->a->group};
    p.co = s->wdims[0];
    p.rank = s->wrank - 2;
    for (int i = 0; i < p.rank; i++) {
        p.kernel[i] = p.in[i] = s->wdims[i + 2];
        p.out[i] = p.stride[i] = p.dilation[i] = 1;
    }
    return conv_i8_plan(bc->kern, &p, 1, plan);
}

static int prepack(struct bind_ctx *bc, int i, const struct tensor *w, struct int_conv_step *s,
                   struct step *step)
{
    struct conv_i8_plan plan;
    if (!weight_plan(bc, s, &plan))
        return err_set(bc->cx, E_LIMIT, "the convolution is too large");
    void *packed = bc_alloc(bc, plan.weight_bytes), *tmp = packed ? mem_alloc(plan.tmp_bytes + 1) : NULL;
    if (!packed)
        return bc->cx->err.code;
    if (!tmp)
        return err_nomem(bc->cx);
    conv_i8_pack(bc->kern, &plan, w->data, w->dt == DT_INT8, packed, tmp);
    free(tmp);
    s->packed = packed;
    s->w_signed = w->dt == DT_INT8;
    step->consumed |= 1u << i;
    return 0;
}

static int bind_conv(struct bind_ctx *bc, const struct conv_attrs *a, const struct int_inputs *in,
                     struct step *step, int (*run)(struct exec_ctx *ec, const void *state))
{
    int wrank = bc_rank(bc, in->w);
    if (!bc_is_byte(bc, 0) || !bc_is_byte(bc, in->w) || wrank < 3 || wrank - 2 > CONV_RANK)
        return 0;
    struct int_conv_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    s->a = a;
    s->wrank = wrank;
    if (bc_is_const(bc, in->w)) {
        const struct tensor *w = bc_const(bc, in->w);
        if (!w)
            return bc->cx->err.code;
        if (!tensor_count(w) || w->dims[0] % a->group)
            return 0;
        memcpy(s->wdims, w->dims, sizeof(s->wdims));
        int r = prepack(bc, in->w, w, s, step);
        if (r)
            return r;
    }
    step->kernel = s->packed ? "conv i8, packed weights" : "conv i8";
    step->state = s;
    step->run = run;
    return 0;
}

/* ---- ConvInteger ---- */

static int conv_integer_infer(struct infer_ctx *ic, const void *params)
{
    return conv_infer_shape(ic, params, 1, 99, DT_INT32);
}

static int conv_integer_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : conv_integer_infer(ic, params);
    return r ? r : conv_macs(ic, params, 1, out);
}

static int conv_integer_ref(struct exec_ctx *ec, const void *params)
{
    struct conv_params p;
    double *sums;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int r = int_sums(ec, params, 1, 2, 3, NULL, &p, &sums);
    if (r)
        return r;
    int32_t *y = ec->out[0]->data;
    for (int64_t i = 0, n = tensor_count(ec->out[0]); i < n; i++)
        y[i] = (int32_t)(uint32_t)(int64_t)sums[i];
    return 0;
}

static int conv_integer_run(struct exec_ctx *ec, const void *state)
{
    struct conv_i8_io io = {0};
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    io.y = ec->out[0]->data;
    return run_packed(ec, state, &conv_inputs, &io);
}

static int conv_integer_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    return bind_conv(bc, params, &conv_inputs, step, conv_integer_run);
}

const struct op op_ConvInteger = {
    .domain = "",
    .name = "ConvInteger",
    .tol = TOL_EXACT,
    .params_size = sizeof(struct conv_attrs),
    .parse = conv_parse,
    .infer = conv_integer_infer,
    .ref = conv_integer_ref,
    .bind = conv_integer_bind,
    .cost = conv_integer_cost,
    .supports = conv_supports,
};

/* ---- QLinearConv: inputs x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias ---- */

static int qconv_infer(struct infer_ctx *ic, const void *params)
{
    return conv_infer_shape(ic, params, 3, 8, ic_has(ic, 7) ? ic_dtype(ic, 7) : ic_dtype(ic, 0));
}

static int qconv_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : qconv_infer(ic, params);
    return r ? r : conv_macs(ic, params, 3, out);
}

static int qconv_check(struct exec_ctx *ec, int64_t co)
{
    if (tensor_count(ec->in[1]) != 1 || tensor_count(ec->in[6]) != 1 || tensor_count(ec->in[7]) != 1)
        return err_set(ec->cx, E_SHAPE, "scales and zero points of x and y are one value each");
    int64_t n = tensor_count(ec->in[4]);
    if ((n != 1 && n != co) || (ec_has(ec, 8) && tensor_count(ec->in[8]) != co))
        return err_set(ec->cx, E_SHAPE, "w_scale and B have one value an output channel");
    return 0;
}

/* What a sum of output channel c (0 with one scale for all) is multiplied by. */
static float factor(const struct exec_ctx *ec, int64_t c)
{
    float xs = (float)tensor_f64(ec->in[1], 0), ys = (float)tensor_f64(ec->in[6], 0);
    return xs * (float)tensor_f64(ec->in[4], c) / ys;
}

static void requantize(const struct exec_ctx *ec, const struct conv_params *p, const double *sums)
{
    struct tensor *y = ec->out[0];
    int64_t pixels = dims_prod(y->dims, 2, y->rank), nscale = tensor_count(ec->in[4]);
    int32_t zero = (int32_t)tensor_i64(ec->in[7], 0);
    for (int64_t i = 0, n = tensor_count(y); i < n; i += pixels) {
        float f = factor(ec, nscale > 1 ? i / pixels % p->co : 0);
        for (int64_t k = i; k < i + pixels; k++) {
            int32_t sum = (int32_t)(uint32_t)(int64_t)sums[k];
            ec->kern->quant.requantize[y->dt](&sum, NULL, &f, false, zero, (uint8_t *)y->data + k, 1, 1, 1);
        }
    }
}

/* Whether there is something to do; sets the error when it cannot be done. */
static int qconv_begin(struct exec_ctx *ec, bool *work)
{
    *work = ec_has_out(ec, 0) && tensor_count(ec->out[0]);
    if (!*work)
        return 0;
    if (!ec->kern->quant.requantize[ec->out[0]->dt])
        return ec_unsupported(ec, 7);
    return qconv_check(ec, ec->out[0]->dims[1]);
}

static int qconv_ref(struct exec_ctx *ec, const void *params)
{
    struct conv_params p;
    double *sums;
    const double *bias;
    bool work;
    int r = qconv_begin(ec, &work);
    if (r || !work)
        return r;
    r = wide_f64(ec, 8, &bias);
    if (!r)
        r = int_sums(ec, params, 3, 2, 5, bias, &p, &sums);
    if (!r)
        requantize(ec, &p, sums);
    return r;
}

static int qconv_run(struct exec_ctx *ec, const void *state)
{
    struct conv_i8_io io = {0};
    bool work;
    int r = qconv_begin(ec, &work);
    if (r || !work)
        return r;
    if (ec_has(ec, 8) && ec->in[8]->dt != DT_INT32)
        return ec_unsupported(ec, 8);
    struct tensor *y = ec->out[0];
    int64_t n = tensor_count(ec->in[4]);
    float *mult = ec_scratch(ec, (size_t)n * sizeof(float));
    if (!mult)
        return ec->cx->err.code;
    for (int64_t i = 0; i < n; i++)
        mult[i] = factor(ec, i);
    io.requant = ec->kern->quant.requantize[y->dt];
    io.bias = ec_has(ec, 8) ? ec->in[8]->data : NULL;
    io.mult = mult;
    io.per_channel = n > 1;
    io.yz = (int32_t)tensor_i64(ec->in[7], 0);
    io.q = y->data;
    return run_packed(ec, state, &qconv_inputs, &io);
}

static int qconv_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    return bind_conv(bc, params, &qconv_inputs, step, qconv_run);
}

const struct op op_QLinearConv = {
    .domain = "",
    .name = "QLinearConv",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct conv_attrs),
    .parse = conv_parse,
    .infer = qconv_infer,
    .ref = qconv_ref,
    .bind = qconv_bind,
    .cost = qconv_cost,
    .supports = conv_supports,
};
