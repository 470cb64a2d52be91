/* Convolution: Conv, ConvTranspose, com.microsoft.FusedConv. Those of 8-bit integers are in
 * conv_int.c.
 *
 * Float tensors (and 16-bit floats, through float) of one to three spatial axes run on packed weights: packed
 * when the session binds if they are constant, else on every run. The reference is kern/'s plain loops. */
#include "ops/conv_op.h"
#include "ops/wide.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int conv_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct conv_attrs *a = params;
    a->group = 1;
    int r = window_parse(cx, n, &a->w);
    if (!r)
        r = attr_int(cx, n, "group", &a->group);
    if (r < 0)
        return r;
    if (a->group < 1 || a->group > INT32_MAX)
        return err_set(cx, E_ATTR, "attribute group is %lld", (long long)a->group);
    return n->domain[0] ? fused_act_parse(cx, n, &a->act) : 0;
}

int conv_t_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct conv_attrs *a = params;
    a->transposed = true;
    int r = conv_parse(cx, arena, n, version, params);
    if (!r)
        r = window_list(cx, n, "output_padding", 0, WINDOW_RANK, a->out_pad, &a->nout_pad);
    if (!r)
        r = window_list(cx, n, "output_shape", 0, WINDOW_RANK + 2, a->out_shape, &a->nout_shape);
    return r;
}

/* ---- shapes ---- */

/* Number of output channels; checks what group asks of the channels of X (input 0) and W (input w). */
static int infer_channels(struct infer_ctx *ic, const struct conv_attrs *a, int w, struct dim *co)
{
    struct dim g = dim_const(a->group), w0 = ic_dim(ic, w, 0), w1 = ic_dim(ic, w, 1);
    struct dim ci = a->transposed ? w0 : dim_mul(ic->syms, w1, g);
    *co = a->transposed ? dim_mul(ic->syms, w1, g) : w0;
    if (w0.kind == DIM_CONST && w0.v % a->group)
        return ic_err(ic, E_SHAPE, "group %lld does not divide %lld channels", (long long)a->group,
                      (long long)w0.v);
    return ic_rank(ic, 0) < 0 ? 0 : ic_unify(ic, ic_dim(ic, 0, 1), ci, "channels of X and W");
}

static struct dim kernel_dim(const struct infer_ctx *ic, const struct conv_attrs *a, int w, int i)
{
    if (a->w.nkernel)
        return dim_const(a->w.kernel[i]);
    return ic_rank(ic, w) >= 0 ? ic_dim(ic, w, i + 2) : dim_unknown();
}

static int check_kernel(struct infer_ctx *ic, const struct conv_attrs *a, int w, int spatial)
{
    for (int i = 0; a->w.nkernel && ic_rank(ic, w) >= 0 && i < spatial; i++) {
        int r = ic_unify(ic, ic_dim(ic, w, i + 2), dim_const(a->w.kernel[i]), "extent of W and kernel_shape");
        if (r)
            return r;
    }
    return 0;
}

static int64_t t_out_pad(const struct conv_attrs *a, int i)
{
    return a->nout_pad ? a->out_pad[i] : 0;
}

static int64_t t_out_shape(const struct conv_attrs *a, int spatial, int i)
{
    return a->out_shape[a->nout_shape - spatial + i];
}

static bool same_pad(const struct window *w)
{
    return w->auto_pad == AUTO_PAD_SAME_UPPER || w->auto_pad == AUTO_PAD_SAME_LOWER;
}

/* What a transposed convolution makes of one axis before anything is cut off. */
static bool t_full(const struct conv_attrs *a, int i, int64_t in, int64_t k, int64_t *full)
{
    if (k < 1 || k > INT32_MAX || in < 1 || in > INT64_MAX / 4 / window_stride(&a->w, i))
        return false;
    *full = (in - 1) * window_stride(&a->w, i) + t_out_pad(a, i) + (k - 1) * window_dilation(&a->w, i) + 1;
    return true;
}

/* Padding at the beginning and output extent of one axis of a transposed convolution; false: empty. With
 * output_shape or SAME padding the output is given, and what is too much is cut on both sides, the odd one at
 * the beginning unless SAME_UPPER. */
static bool t_axis(const struct conv_attrs *a, int spatial, int i, int64_t in, int64_t k, int64_t *pad,
                   int64_t *out)
{
    int64_t full, explicit_pads = a->w.npads && a->w.auto_pad == AUTO_PAD_NOTSET;
    if (!t_full(a, i, in, k, &full))
        return false;
    if (a->nout_shape || same_pad(&a->w)) {
        *out = a->nout_shape ? t_out_shape(a, spatial, i) : in * window_stride(&a->w, i);
        int64_t cut = full > *out ? full - *out : 0;
        *pad = a->w.auto_pad == AUTO_PAD_SAME_UPPER ? cut / 2 : cut - cut / 2;
        return true;
    }
    *pad = explicit_pads ? a->w.pads[i] : 0;
    *out = full - *pad - (explicit_pads ? a->w.pads[spatial + i] : 0);
    return *out >= 0;
}

/* What explicit pads take away on both sides. */
static int64_t t_cut(const struct conv_attrs *a, int spatial, int i)
{
    bool pads = a->w.npads && a->w.auto_pad == AUTO_PAD_NOTSET;
    return pads ? a->w.pads[i] + a->w.pads[spatial + i] : 0;
}

static int t_out_dim(struct infer_ctx *ic, const struct conv_attrs *a, int spatial, int i, struct dim in,
                     struct dim k, struct dim *out)
{
    int64_t pad, n;
    struct dim stride = dim_const(window_stride(&a->w, i));
    if (a->nout_shape) {
        *out = dim_const(t_out_shape(a, spatial, i));
    } else if (in.kind == DIM_CONST && k.kind == DIM_CONST) {
        if (!t_axis(a, spatial, i, in.v, k.v, &pad, &n))
            return ic_err(ic, E_SHAPE, "axis %d of extent %lld gives an empty output", i + 2,
                          (long long)in.v);
        *out = dim_const(n);
    } else if (same_pad(&a->w)) {
        *out = dim_mul(ic->syms, in, stride);
    } else if (k.kind == DIM_CONST && t_axis(a, spatial, i, 1, k.v, &pad, &n)) {
        struct dim more = dim_mul(ic->syms, dim_sub(ic->syms, in, dim_const(1)), stride);
        *out = dim_add(ic->syms, more, dim_const(n));
    } else {
        struct dim last = dim_mul(ic->syms, dim_sub(ic->syms, in, dim_const(1)), stride);
        struct dim taps =
            dim_mul(ic->syms, dim_sub(ic->syms, k, dim_const(1)), dim_const(window_dilation(&a->w, i)));
        *out = dim_add(ic->syms, dim_add(ic->syms, last, taps),
                       dim_const(1 + t_out_pad(a, i) - t_cut(a, spatial, i)));
    }
    return 0;
}

static int check_t_lists(struct infer_ctx *ic, const struct conv_attrs *a, int spatial)
{
    if (a->nout_pad && a->nout_pad != spatial)
        return ic_err(ic, E_SHAPE, "attribute output_padding has %d values, expected %d", a->nout_pad,
                      spatial);
    if (a->nout_shape && a->nout_shape != spatial && a->nout_shape != spatial + 2)
        return ic_err(ic, E_SHAPE, "attribute output_shape has %d values, expected %d", a->nout_shape,
                      spatial);
    return 0;
}

int conv_infer_spatial(struct infer_ctx *ic, const struct conv_attrs *a, int w, int spatial, struct dim *d)
{
    int r = window_check(ic, &a->w, spatial);
    if (!r && a->transposed)
        r = check_t_lists(ic, a, spatial);
    if (!r)
        r = check_kernel(ic, a, w, spatial);
    for (int i = 0; !r && i < spatial; i++) {
        struct dim in = ic_rank(ic, 0) >= 0 ? ic_dim(ic, 0, i + 2) : dim_unknown();
        struct dim k = kernel_dim(ic, a, w, i);
        r = a->transposed ? t_out_dim(ic, a, spatial, i, in, k, &d[i])
                          : window_out_dim(ic, &a->w, spatial, i, in, k, false, &d[i]);
    }
    return r;
}

int conv_infer_shape(struct infer_ctx *ic, const struct conv_attrs *a, int w, int b, enum dtype dt)
{
    struct dim d[TENSOR_MAX_RANK];
    int rx = ic_rank(ic, 0), rw = ic_rank(ic, w), rank = rx >= 0 ? rx : rw;
    int r = ic_need_rank(ic, 0, 3, TENSOR_MAX_RANK);
    if (!r && rx >= 0)
        r = ic_need_rank(ic, w, rx, rx);
    if (r)
        return r;
    if (rank < 3)
        return ic_out(ic, 0, dt, -1, NULL);
    d[0] = rx >= 0 ? ic_dim(ic, 0, 0) : dim_unknown();
    d[1] = dim_unknown();
    if (rw >= 0)
        r = infer_channels(ic, a, w, &d[1]);
    if (!r)
        r = conv_infer_spatial(ic, a, w, rank - 2, d + 2);
    if (!r && ic_has(ic, b) && ic_rank(ic, b) >= 0) {
        r = ic_need_rank(ic, b, 1, 1);
        if (!r)
            r = ic_unify(ic, ic_dim(ic, b, 0), d[1], "length of the bias");
    }
    return r ? r : ic_out(ic, 0, dt, rank, d);
}

static int conv_infer(struct infer_ctx *ic, const void *params)
{
    int r = conv_infer_shape(ic, params, 1, 2, ic_dtype(ic, 0));
    const struct type *y = ic->out[0], *z = ic_has(ic, 3) ? ic_type(ic, 3) : NULL;
    if (r || !y || !z || z->rank < 0 || y->rank < 0)
        return r;
    r = ic_need_rank(ic, 3, y->rank, y->rank);
    for (int i = 0; !r && i < y->rank; i++)
        r = ic_unify(ic, z->dims[i], y->dims[i], "extent of Z and Y");
    return r;
}

int conv_macs(struct infer_ctx *ic, const struct conv_attrs *a, int w, struct op_cost *out)
{
    const struct type *t = a->transposed ? ic_type(ic, 0) : ic->out[0];
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (!t || t->rank < 3 || ic_rank(ic, w) < 3)
        return 0;
    struct dim n = dims_prod_expr(ic, t->dims, 0, t->rank);
    for (int i = 1; i < ic_rank(ic, w); i++)
        n = dim_mul(ic->syms, n, ic_dim(ic, w, i));
    out->macs = n;
    return 0;
}

static int conv_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : conv_infer(ic, params);
    return r ? r : conv_macs(ic, params, 1, out);
}

/* ---- geometry of one run ---- */

int conv_bad_geometry(struct cx *cx)
{
    return err_set(cx, E_SHAPE, "the shapes of the operands do not fit each other");
}

int conv_geometry(struct cx *cx, const struct conv_attrs *a, const struct tensor *x, const int64_t *wdims,
                  int wrank, const struct tensor *y, struct conv_params *p)
{
    int64_t g = a->group;
    if (wrank - 2 > CONV_RANK)
        return err_set(cx, E_UNSUPPORTED, "%d spatial axes, at most %d are supported", wrank - 2, CONV_RANK);
    if (wrank < 3 || x->rank != wrank || y->rank != wrank || wdims[0] % g)
        return conv_bad_geometry(cx);
    memset(p, 0, sizeof(*p));
    p->n = x->dims[0];
    p->ci = x->dims[1];
    p->co = y->dims[1];
    p->groups = g;
    p->rank = wrank - 2;
    int64_t ci = a->transposed ? wdims[0] : wdims[1] * g, co = a->transposed ? wdims[1] * g : wdims[0];
    if (ci != p->ci || co != p->co || y->dims[0] != p->n)
        return conv_bad_geometry(cx);
    for (int i = 0; i < p->rank; i++) {
        int64_t pad[2] = {0, 0}, out = 0;
        p->in[i] = x->dims[i + 2];
        p->kernel[i] = wdims[i + 2];
        p->stride[i] = window_stride(&a->w, i);
        p->dilation[i] = window_dilation(&a->w, i);
        bool ok = a->transposed ? t_axis(a, p->rank, i, p->in[i], p->kernel[i], &pad[0], &out)
                                : window_axis(&a->w, p->rank, i, p->in[i], p->kernel[i], false, pad, &out);
        if (!ok || out != y->dims[i + 2])
            return conv_bad_geometry(cx);
        p->out[i] = out;
        p->pad[i] = pad[0];
    }
    return 0;
}

/* ---- reference ---- */

static void add_residual(double *y, const double *z, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += z[i];
}

static int conv_ref_f64(struct exec_ctx *ec, const struct conv_attrs *a, const struct conv_params *p)
{
    const double *x, *w, *b, *z;
    double *y;
    int r = wide_f64(ec, 0, &x);
    if (!r)
        r = wide_f64(ec, 1, &w);
    if (!r)
        r = wide_f64(ec, 2, &b);
    if (!r)
        r = wide_f64(ec, 3, &z);
    if (!r)
        r = wide_out_f64(ec, 0, &y);
    if (r)
        return r;
    conv_ref_run(ec->kern, DT_DOUBLE, p, a->transposed, x, w, b, y, ec->pool);
    int64_t n = tensor_count(ec->out[0]);
    if (z)
        add_residual(y, z, n);
    fused_act_run(ec, &a->act, true, DT_DOUBLE, y, n);
    wide_done_f64(ec, 0, y);
    return 0;
}

static int conv_ref(struct exec_ctx *ec, const void *params)
{
    const struct conv_attrs *a = params;
    struct conv_params p;
    if (!ec_has(ec, 0) || !ec_has(ec, 1) || dtype_info(ec->in[0]->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0))
        return 0;
    int r = conv_geometry(ec->cx, a, ec->in[0], ec->in[1]->dims, ec->in[1]->rank, ec->out[0], &p);
    if (!r && ec_has(ec, 2) && tensor_count(ec->in[2]) != p.co)
        r = conv_bad_geometry(ec->cx);
    if (!r && ec_has(ec, 3) && tensor_count(ec->in[3]) != tensor_count(ec->out[0]))
        r = conv_bad_geometry(ec->cx);
    if (r || !tensor_count(ec->out[0]))
        return r;
    return conv_ref_f64(ec, a, &p);
}

/* ---- packed float ---- */

struct conv_step {
    const struct conv_attrs *a;
    int wrank;
    int64_t wdims[TENSOR_MAX_RANK];
    const void *packed; /* NULL: weights are an input, packed on each run */
    const float *bias;  /* constant bias; NULL: input 2, if there is one */
    bool any_size;      /* packed for all sizes; else for those of exact, with any batch */
    struct conv_params exact;
};

static bool make_plan(const struct exec_ctx *ec, const struct conv_step *s, const struct conv_params *p,
                      struct conv_plan *plan)
{
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    return s->a->transposed ? conv_t_f32_plan(ec->kern, p, threads, plan)
                            : conv_f32_plan(ec->kern, p, s->any_size, threads, plan);
}

static int pack_now(struct exec_ctx *ec, const struct conv_step *s, const struct conv_plan *plan,
                    const void **packed)
{
    const float *w;
    int r = wide_f32(ec, 1, &w);
    if (r)
        return r;
    void *to = ec_scratch(ec, plan->weight_bytes);
    if (!to)
        return ec->cx->err.code;
    if (s->a->transposed)
        conv_t_f32_pack(ec->kern, plan, w, to);
    else
        conv_f32_pack(ec->kern, plan, w, to);
    *packed = to;
    return 0;
}

/* Operands of one run, checked against the geometry. */
static int fill_io(struct exec_ctx *ec, const struct conv_step *s, const struct conv_params *p,
                   struct conv_io *io)
{
    int r = wide_f32(ec, 0, &io->x);
    io->bias = s->bias;
    if (!r && !s->bias)
        r = wide_f32(ec, 2, &io->bias);
    if (!r)
        r = wide_f32(ec, 3, &io->res);
    if (!r)
        r = wide_out_f32(ec, 0, &io->y);
    if (r)
        return r;
    if ((!s->bias && io->bias && tensor_count(ec->in[2]) != p->co) ||
        (io->res && tensor_count(ec->in[3]) != tensor_count(ec->out[0])))
        return conv_bad_geometry(ec->cx);
    io->act = s->a->act.act;
    io->lo = s->a->act.lo;
    io->hi = s->a->act.hi;
    return 0;
}

static int conv_run(struct exec_ctx *ec, const void *state)
{
    const struct conv_step *s = state;
    struct conv_params p;
    struct conv_plan plan;
    struct conv_io io = {.w = s->packed};
    if (!ec_has_out(ec, 0))
        return 0;
    const int64_t *wdims = s->packed ? s->wdims : ec->in[1]->dims;
    int wrank = s->packed ? s->wrank : ec->in[1]->rank;
    int r = conv_geometry(ec->cx, s->a, ec->in[0], wdims, wrank, ec->out[0], &p);
    if (r || !tensor_count(ec->out[0]))
        return r;
    struct conv_params one = p;
    one.n = s->exact.n; /* the batch has no say in how weights are packed */
    if (s->packed && !s->any_size && !s->a->transposed && memcmp(&one, &s->exact, sizeof(one)))
        return err_set(ec->cx, E_SHAPE, "the input's shape is not the one that weights were packed for");
    if (!make_plan(ec, s, &p, &plan))
        return err_set(ec->cx, E_LIMIT, "the convolution is too large");
    if (!io.w)
        r = pack_now(ec, s, &plan, &io.w);
    if (!r)
        r = fill_io(ec, s, &p, &io);
    void *scratch = r ? NULL : ec_scratch(ec, plan.scratch_bytes);
    if (!scratch)
        return r ? r : ec->cx->err.code;
    if (s->a->transposed)
        conv_t_f32(ec->kern, &plan, &io, ec->pool, scratch);
    else
        conv_f32(ec->kern, &plan, &io, ec->pool, scratch);
    fused_act_run(ec, &s->a->act, false, DT_FLOAT, io.y, tensor_count(ec->out[0]));
    wide_done_f32(ec, 0, io.y);
    return 0;
}

/* Fills t from an inferred type, for a batch of one; *exact becomes false when another extent is unknown. */
static bool shape_of(const struct type *ty, struct tensor *t, bool *exact)
{
    if (!ty || ty->kind != TY_TENSOR || ty->rank < 0 || ty->rank > TENSOR_MAX_RANK)
        return false;
    memset(t, 0, sizeof(*t));
    t->dt = ty->dt;
    t->rank = ty->rank;
    for (int i = 0; i < ty->rank; i++) {
        bool known = i > 0 && ty->dims[i].kind == DIM_CONST;
        t->dims[i] = known ? ty->dims[i].v : 1;
        *exact = *exact && (known || i == 0);
    }
    return true;
}

/* The geometry that weights are packed for. With extents unknown any small ones that fit will do: packing for
 * all sizes depends on channels, groups and kernel alone. */
static int bind_geometry(struct bind_ctx *bc, struct conv_step *s, struct conv_params *p)
{
    struct tensor x, y;
    s->any_size = true;
    bool exact = true;
    if (shape_of(bc->in[0], &x, &exact) && shape_of(bc->out[0], &y, &exact) && exact) {
        s->any_size = false;
        return conv_geometry(bc->cx, s->a, &x, s->wdims, s->wrank, &y, p);
    }
    memset(p, 0, sizeof(*p));
    p->n = 1;
    p->groups = s->a->group;
    p->ci = s->a->transposed ? s->wdims[0] : s->wdims[1] * s->a->group;
    p->co = s->a->transposed ? s->wdims[1] * s->a->group : s->wdims[0];
    p->rank = s->wrank - 2;
    for (int i = 0; i < p->rank; i++) {
        p->kernel[i] = s->wdims[i + 2];
        p->stride[i] = window_stride(&s->a->w, i);
        p->dilation[i] = window_dilation(&s->a->w, i);
        int64_t span = (p->kernel[i] - 1) * p->dilation[i] + 1;
        p->in[i] = s->a->transposed ? 1 : span;
        p->out[i] = s->a->transposed ? span : 1;
    }
    return 0;
}

static int prepack(struct bind_ctx *bc, struct conv_step *s, struct step *step)
{
    const float *w;
    struct conv_plan plan;
    int r = wide_const_f32(bc, 1, &w);
    if (r || !w)
        return r;
    r = bind_geometry(bc, s, &s->exact);
    if (r)
        return r;
    bool ok = s->a->transposed ? conv_t_f32_plan(bc->kern, &s->exact, bc->nthreads, &plan)
                               : conv_f32_plan(bc->kern, &s->exact, s->any_size, bc->nthreads, &plan);
    if (!ok)
        return err_set(bc->cx, E_LIMIT, "the convolution is too large");
    void *packed = bc_alloc(bc, plan.weight_bytes);
    if (!packed)
        return bc->cx->err.code;
    if (s->a->transposed)
        conv_t_f32_pack(bc->kern, &plan, w, packed);
    else
        conv_f32_pack(bc->kern, &plan, w, packed);
    s->packed = packed;
    step->consumed |= 1u << 1;
    step->kernel = arena_printf(bc->arena, "conv%s %s, packed weights", s->a->transposed ? " transposed" : "",
                                plan.name);
    return step->kernel ? 0 : err_nomem(bc->cx);
}

static bool can_pack(const struct bind_ctx *bc, const struct conv_attrs *a, int wrank)
{
    (void)a;
    return wrank >= 3 && wrank - 2 <= CONV_RANK && wide_fits_f32(bc_dtype(bc, 0)) &&
           bc_dtype(bc, 1) == bc_dtype(bc, 0);
}

static int conv_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct conv_attrs *a = params;
    int wrank = bc_rank(bc, 1);
    if (!can_pack(bc, a, wrank))
        return 0;
    struct conv_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    s->a = a;
    s->wrank = wrank;
    s->any_size = true;
    step->kernel = a->transposed ? "conv transposed" : "conv";
    if (bc_is_const(bc, 1)) {
        const struct tensor *w = bc_const(bc, 1);
        if (!w)
            return bc->cx->err.code;
        if (!tensor_count(w) || w->dims[0] % a->group)
            return 0;
        memcpy(s->wdims, w->dims, sizeof(s->wdims));
        int r = prepack(bc, s, step);
        if (r)
            return r;
    }
    if (bc->nin > 2 && bc_is_const(bc, 2) && s->packed) {
        const struct tensor *b = bc_const(bc, 2);
        int64_t co = a->transposed ? s->wdims[1] * a->group : s->wdims[0];
        if (!b)
            return bc->cx->err.code;
        if (tensor_count(b) != co)
            return conv_bad_geometry(bc->cx);
        int r = wide_const_f32(bc, 2, &s->bias);
        if (r)
            return r;
    }
    step->state = s;
    step->run = conv_run;
    return 0;
}

bool conv_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    (void)params;
    if (bc_rank(bc, 0) - 2 <= CONV_RANK)
        return true;
    snprintf(why, size, "%d spatial axes, at most %d are supported", bc_rank(bc, 0) - 2, CONV_RANK);
    return false;
}

#define CONV(dom, opname, parse_fn)                                                                          \
    {                                                                                                        \
        .domain = dom, .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct conv_attrs),           \
        .parse = parse_fn, .infer = conv_infer, .ref = conv_ref, .bind = conv_bind, .cost = conv_cost,       \
        .supports = conv_supports,                                                                           \
    }

const struct op op_Conv = CONV("", "Conv", conv_parse);
const struct op op_ConvTranspose = CONV("", "ConvTranspose", conv_t_parse);
const struct op op_com_microsoft_FusedConv = CONV("com.microsoft", "FusedConv", conv_parse);
