/* Operators over images in blocked layout (kern/blk.h), which a machine pass makes: domain onnxtool, float
 * only.
 *
 * A value in that layout has the shape [N, C, H, W] with C rounded up to whole blocks; the attribute `block`
 * says how long these are. Element by element operators, Concat and Split of whole blocks need no form of
 * their own. */
#include <string.h>

#include "ops/contrib.h"
#include "ops/conv_op.h"
#include "ops/wide.h"

/* ---- to and from plain layout ---- */

struct reorder_attrs {
    int64_t block;
    int64_t channels; /* of the plain value; FromBlocked */
};

static int need_positive(struct cx *cx, const struct node *n, const char *name, int64_t *out)
{
    int r = attr_int(cx, n, name, out);
    if (r >= 0 && (*out < 1 || *out > INT32_MAX))
        return err_set(cx, E_ATTR, "attribute %s is %lld", name, (long long)*out);
    return r < 0 ? r : 0;
}

static int reorder_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct reorder_attrs *a = params;
    int r = contrib_inputs(cx, n, 1, 1, 1);
    if (!r)
        r = need_positive(cx, n, "block", &a->block);
    if (!r && strcmp(n->op_type, "FromBlocked") == 0)
        r = need_positive(cx, n, "channels", &a->channels);
    return r;
}

static struct dim whole_blocks(struct dim channels, int64_t block)
{
    if (channels.kind != DIM_CONST)
        return dim_unknown();
    return dim_const(blk_round(channels.v, (int)block));
}

static int same_but_channels(struct infer_ctx *ic, struct dim channels)
{
    struct dim d[4];
    int r = ic_need_rank(ic, 0, 4, 4);
    if (r || ic_rank(ic, 0) != 4)
        return r ? r : ic_out(ic, 0, DT_FLOAT, -1, NULL);
    for (int i = 0; i < 4; i++)
        d[i] = i == 1 ? channels : ic_dim(ic, 0, i);
    return ic_out(ic, 0, DT_FLOAT, 4, d);
}

static int to_infer(struct infer_ctx *ic, const void *params)
{
    const struct reorder_attrs *a = params;
    return same_but_channels(ic,
                             ic_rank(ic, 0) == 4 ? whole_blocks(ic_dim(ic, 0, 1), a->block) : dim_unknown());
}

static int from_infer(struct infer_ctx *ic, const void *params)
{
    const struct reorder_attrs *a = params;
    return same_but_channels(ic, dim_const(a->channels));
}

/* That input i is a blocked float image of (at least) these channels, and blocks are those of the kernels. */
static int need_blocked(struct exec_ctx *ec, int i, int64_t block, int64_t channels)
{
    const struct tensor *x = ec->in[i];
    if (x->dt != DT_FLOAT)
        return ec_unsupported(ec, i);
    if (block != ec->kern->blk.conv->block)
        return err_set(ec->cx, E_UNSUPPORTED, "blocks of %lld, those of this machine have %d",
                       (long long)block, ec->kern->blk.conv->block);
    if (x->rank != 4 || x->dims[1] != blk_round(channels, (int)block))
        return err_set(ec->cx, E_SHAPE, "input %d is not a blocked image of %lld channels", i,
                       (long long)channels);
    return 0;
}

static int to_ref(struct exec_ctx *ec, const void *params)
{
    const struct reorder_attrs *a = params;
    const struct tensor *x = ec->in[0], *y = ec->out[0];
    if (!ec_has_out(ec, 0) || !tensor_count(y))
        return 0;
    if (x->dt != DT_FLOAT || x->rank != 4)
        return ec_unsupported(ec, 0);
    if (a->block != ec->kern->blk.conv->block || y->dims[1] != blk_round(x->dims[1], (int)a->block))
        return err_set(ec->cx, E_UNSUPPORTED, "blocks of %lld", (long long)a->block);
    blk_from_plain(ec->kern, x->data, y->data, x->dims[0], x->dims[1], x->dims[2] * x->dims[3], ec->pool);
    return 0;
}

static int from_ref(struct exec_ctx *ec, const void *params)
{
    const struct reorder_attrs *a = params;
    const struct tensor *x = ec->in[0];
    int r = need_blocked(ec, 0, a->block, a->channels);
    if (r || !ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return r;
    blk_to_plain(ec->kern, x->data, ec->out[0]->data, x->dims[0], a->channels, x->dims[2] * x->dims[3],
                 ec->pool);
    return 0;
}

const struct op op_onnxtool_ToBlocked = {
    .domain = "onnxtool",
    .name = "ToBlocked",
    .tol = TOL_EXACT,
    .params_size = sizeof(struct reorder_attrs),
    .parse = reorder_parse,
    .infer = to_infer,
    .ref = to_ref,
};

const struct op op_onnxtool_FromBlocked = {
    .domain = "onnxtool",
    .name = "FromBlocked",
    .tol = TOL_EXACT,
    .params_size = sizeof(struct reorder_attrs),
    .parse = reorder_parse,
    .infer = from_infer,
    .ref = from_ref,
};

/* ---- BlockedGlobalAveragePool ---- */

static int mean_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int r = ic_need_rank(ic, 0, 4, 4);
    if (r || ic_rank(ic, 0) != 4)
        return r ? r : ic_out(ic, 0, DT_FLOAT, -1, NULL);
    struct dim d[4] = {ic_dim(ic, 0, 0), ic_dim(ic, 0, 1), dim_const(1), dim_const(1)};
    return ic_out(ic, 0, DT_FLOAT, 4, d);
}

struct mean_job {
    const struct kern *kern;
    const float *x;
    float *y;
    int64_t plane;
};

static void mean_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct mean_job *j = arg;
    int block = j->kern->blk.conv->block;
    for (int64_t i = begin; i < end; i++)
        j->kern->blk.mean(block, j->x + i * j->plane * block, j->y + i * block, j->plane);
}

static int mean_ref(struct exec_ctx *ec, const void *params)
{
    const struct reorder_attrs *a = params;
    const struct tensor *x = ec->in[0];
    int r = need_blocked(ec, 0, a->block, x->rank == 4 ? x->dims[1] : 0);
    if (r || !ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return r;
    struct mean_job j = {ec->kern, x->data, ec->out[0]->data, x->dims[2] * x->dims[3]};
    if (!j.plane)
        return err_set(ec->cx, E_SHAPE, "the image is empty");
    par_for(ec->pool, x->dims[0] * x->dims[1] / a->block, grain_for(j.plane * a->block), mean_range, &j);
    return 0;
}

const struct op op_onnxtool_BlockedGlobalAveragePool = {
    .domain = "onnxtool",
    .name = "BlockedGlobalAveragePool",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct reorder_attrs),
    .parse = reorder_parse,
    .infer = mean_infer,
    .ref = mean_ref,
};

/* ---- BlockedScale: Y = act(X * S + T), S and T plain [C], [C, 1, 1] or [N, C, 1, 1] ---- */

/* Pixels that stay in the cache from the scaling to the activation. */
enum { SCALE_PIXELS = 128 };

struct scale_attrs {
    int64_t block;
    struct fused_act act;
};

static int scale_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct scale_attrs *a = params;
    int r = contrib_inputs(cx, n, 2, 3, 3);
    if (!r)
        r = need_positive(cx, n, "block", &a->block);
    return r ? r : fused_act_parse(cx, n, &a->act);
}

static int scale_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int r = ic_need_rank(ic, 0, 4, 4);
    return r ? r : ic_out_same(ic, 0, 0);
}

struct scale_job {
    const struct exec_ctx *ec;
    const struct fused_act *act;
    const float *x, *scale, *shift;
    float *y;
    int64_t blocks, scale_step, shift_step, plane; /* steps: floats from image to image */
};

static void scale_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct scale_job *j = arg;
    const struct kern *k = j->ec->kern;
    int block = k->blk.conv->block;
    for (int64_t i = begin; i < end; i++) {
        int64_t n = i / j->blocks, c = i % j->blocks * block;
        const float *scale = j->scale + n * j->scale_step + c;
        const float *shift = j->shift ? j->shift + n * j->shift_step + c : NULL;
        for (int64_t at = 0; at < j->plane; at += SCALE_PIXELS) {
            int64_t pixels = j->plane - at < SCALE_PIXELS ? j->plane - at : SCALE_PIXELS;
            float *y = j->y + (i * j->plane + at) * block;
            k->blk.scale(block, j->x + (i * j->plane + at) * block, scale, shift, y, pixels);
            fused_act_piece(k, j->act, true, y, pixels * block);
        }
    }
}

/* Input i, one image's factors after the other, each filled up to whole blocks. *step: 0 when all images
 * share them. */
static int whole_factors(struct exec_ctx *ec, int i, int64_t all, const float **out, int64_t *step)
{
    *out = NULL;
    *step = 0;
    if (!ec_has(ec, i))
        return 0;
    const struct tensor *t = ec->in[i];
    int64_t n = t->rank == 4 ? t->dims[0] : 1, count = tensor_count(t), c = n ? count / n : 0;
    if (t->dt != DT_FLOAT)
        return ec_unsupported(ec, i);
    if (c > all || c <= all - ec->kern->blk.conv->block || (n != 1 && n != ec->in[0]->dims[0]))
        return err_set(ec->cx, E_SHAPE, "input %d has %lld factors for %lld channels", i, (long long)c,
                       (long long)all);
    float *to = ec_scratch(ec, (size_t)(n * all) * sizeof(float));
    if (!to)
        return ec->cx->err.code;
    memset(to, 0, (size_t)(n * all) * sizeof(float));
    for (int64_t j = 0; j < n; j++)
        memcpy(to + j * all, (const float *)t->data + j * c, (size_t)c * sizeof(float));
    *out = to;
    *step = n > 1 ? all : 0;
    return 0;
}

static int scale_ref(struct exec_ctx *ec, const void *params)
{
    const struct scale_attrs *a = params;
    const struct tensor *x = ec->in[0];
    struct scale_job j = {.ec = ec, .act = &a->act, .x = x->data};
    int r = need_blocked(ec, 0, a->block, x->rank == 4 ? x->dims[1] : 0);
    if (r || !ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return r;
    r = whole_factors(ec, 1, x->dims[1], &j.scale, &j.scale_step);
    if (!r)
        r = whole_factors(ec, 2, x->dims[1], &j.shift, &j.shift_step);
    if (r)
        return r;
    j.y = ec->out[0]->data;
    j.blocks = x->dims[1] / a->block;
    j.plane = x->dims[2] * x->dims[3];
    par_for(ec->pool, x->dims[0] * j.blocks, grain_for(j.plane * a->block), scale_range, &j);
    return 0;
}

const struct op op_onnxtool_BlockedScale = {
    .domain = "onnxtool",
    .name = "BlockedScale",
    .flags = OP_INPLACE,
    .tol = TOL_ROUND,
    .params_size = sizeof(struct scale_attrs),
    .parse = scale_parse,
    .infer = scale_infer,
    .ref = scale_ref,
};

/* ---- BlockedConv: X, W (plain), B, Z (blocked); BlockedConvTranspose: X, W, B ---- */

struct blk_conv_attrs {
    struct conv_attrs conv;
    int64_t block;
    int64_t plain; /* X is not blocked */
};

static int blk_conv_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct blk_conv_attrs *a = params;
    int r = contrib_inputs(cx, n, 2, 4, 3);
    if (!r)
        r = strstr(n->op_type, "Transpose") ? conv_t_parse(cx, arena, n, version, &a->conv)
                                            : conv_parse(cx, arena, n, version, &a->conv);
    if (!r)
        r = need_positive(cx, n, "block", &a->block);
    if (!r)
        r = attr_int(cx, n, "plain", &a->plain);
    return r < 0 ? r : 0;
}

static int blk_conv_infer(struct infer_ctx *ic, const void *params)
{
    const struct blk_conv_attrs *a = params;
    struct dim d[4];
    int r = ic_need_rank(ic, 0, 4, 4);
    if (!r)
        r = ic_need_rank(ic, 1, 4, 4);
    if (r)
        return r;
    d[0] = ic_rank(ic, 0) == 4 ? ic_dim(ic, 0, 0) : dim_unknown();
    d[1] = ic_rank(ic, 1) == 4 ? whole_blocks(ic_dim(ic, 1, a->conv.transposed), a->block) : dim_unknown();
    r = conv_infer_spatial(ic, &a->conv, 1, 2, d + 2);
    return r ? r : ic_out(ic, 0, DT_FLOAT, 4, d);
}

static int blk_conv_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : blk_conv_infer(ic, params);
    return r ? r : conv_macs(ic, params, 1, out);
}

struct blk_conv_step {
    const struct blk_conv_attrs *a;
    int64_t wdims[4];
    const void *packed;
    const float *bias; /* whole blocks */
};

static int64_t channels_in(const struct blk_conv_attrs *a, const int64_t *wdims)
{
    return a->conv.transposed ? wdims[0] : wdims[1] * a->conv.group;
}

static int64_t channels_out(const struct blk_conv_attrs *a, const int64_t *wdims)
{
    return a->conv.transposed ? wdims[1] : wdims[0];
}

static bool takes(const struct kern *k, const struct blk_conv_attrs *a, const struct conv_params *p)
{
    return a->conv.transposed ? blk_conv_t_takes(p) : blk_takes(k, p);
}

static bool make_plan(const struct kern *k, const struct blk_conv_attrs *a, const struct conv_params *p,
                      struct blk_plan *plan)
{
    return a->conv.transposed ? blk_conv_t_plan(k, p, plan) : blk_conv_plan(k, p, a->plain, plan);
}

static void pack(const struct kern *k, const struct blk_conv_attrs *a, const struct blk_plan *plan,
                 const float *w, void *packed)
{
    if (a->conv.transposed)
        blk_conv_t_pack(k, plan, w, packed);
    else
        blk_conv_pack(k, plan, w, packed);
}

/* The convolution as the model has it: x and y with the channels that count. */
static int real_geometry(struct exec_ctx *ec, const struct blk_conv_attrs *a, const int64_t *wdims,
                         struct conv_params *p)
{
    struct tensor x = *ec->in[0], y = *ec->out[0];
    if (x.rank != 4 || y.rank != 4)
        return conv_bad_geometry(ec->cx);
    int64_t ci = channels_in(a, wdims), co = channels_out(a, wdims);
    int r = a->plain ? (x.dt == DT_FLOAT ? 0 : ec_unsupported(ec, 0)) : need_blocked(ec, 0, a->block, ci);
    if (r)
        return r;
    if (a->block != ec->kern->blk.conv->block || y.dims[1] != blk_round(co, (int)a->block))
        return conv_bad_geometry(ec->cx);
    x.dims[1] = a->plain ? x.dims[1] : ci;
    y.dims[1] = co;
    r = conv_geometry(ec->cx, &a->conv, &x, wdims, 4, &y, p);
    return r || takes(ec->kern, a, p) ? r : conv_bad_geometry(ec->cx);
}

static int pack_now(struct exec_ctx *ec, const struct blk_conv_attrs *a, const struct blk_plan *plan,
                    struct blk_io *io)
{
    void *w = ec_scratch(ec, plan->weight_bytes);
    if (!w)
        return ec->cx->err.code;
    pack(ec->kern, a, plan, ec->in[1]->data, w);
    io->w = w;
    return 0;
}

/* The bias in whole blocks, at `to`. */
static void fill_bias(const struct tensor *b, int64_t all, float *to)
{
    memset(to, 0, (size_t)all * sizeof(float));
    memcpy(to, b->data, (size_t)tensor_count(b) * sizeof(float));
}

static int bias_now(struct exec_ctx *ec, const struct conv_params *p, struct blk_io *io)
{
    const struct tensor *b = ec->in[2];
    int64_t all = ec->out[0]->dims[1];
    if (b->dt != DT_FLOAT)
        return ec_unsupported(ec, 2);
    if (tensor_count(b) != p->co)
        return conv_bad_geometry(ec->cx);
    float *to = ec_scratch(ec, (size_t)all * sizeof(float));
    if (!to)
        return ec->cx->err.code;
    fill_bias(b, all, to);
    io->bias = to;
    return 0;
}

struct piece {
    const struct kern *kern;
    const struct fused_act *act;
};

static void finish_piece(float *y, int64_t n, const void *arg)
{
    const struct piece *p = arg;
    fused_act_piece(p->kern, p->act, false, y, n);
}

static int blk_conv_run(struct exec_ctx *ec, const void *state)
{
    const struct blk_conv_step *s = state;
    const struct fused_act *act = &s->a->conv.act;
    struct blk_io io = {.w = s->packed, .bias = s->bias, .act = act->act, .lo = act->lo, .hi = act->hi};
    struct piece piece = {ec->kern, act};
    struct conv_params p;
    struct blk_plan plan;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int r = real_geometry(ec, s->a, s->packed ? s->wdims : ec->in[1]->dims, &p);
    if (r)
        return r;
    if (!make_plan(ec->kern, s->a, &p, &plan))
        return err_set(ec->cx, E_LIMIT, "the convolution is too large");
    if (!io.w)
        r = pack_now(ec, s->a, &plan, &io);
    if (!r && !io.bias && ec_has(ec, 2))
        r = bias_now(ec, &p, &io);
    void *scratch = r ? NULL : ec_scratch(ec, plan.scratch_bytes);
    if (!scratch)
        return r ? r : ec->cx->err.code;
    if (ec_has(ec, 3) && tensor_count(ec->in[3]) != tensor_count(ec->out[0]))
        return conv_bad_geometry(ec->cx);
    io.x = ec->in[0]->data;
    io.y = ec->out[0]->data;
    io.res = ec_has(ec, 3) ? ec->in[3]->data : NULL;
    io.post = act->after ? finish_piece : NULL;
    io.post_arg = &piece;
    if (s->a->conv.transposed)
        blk_conv_t(ec->kern, &plan, &io, ec->pool);
    else
        blk_conv(ec->kern, &plan, &io, ec->pool, scratch);
    return 0;
}

static int blk_conv_ref(struct exec_ctx *ec, const void *params)
{
    struct blk_conv_step s = {.a = params};
    if (ec->in[1]->dt != DT_FLOAT || ec->in[1]->rank != 4)
        return ec_unsupported(ec, 1);
    return blk_conv_run(ec, &s);
}

/* Packing asks for channels, groups and kernel alone; spatial extents may be anything that fits. */
static struct conv_params packing_params(const struct blk_conv_attrs *a, const int64_t *wdims)
{
    struct conv_params p = {.n = 1, .ci = channels_in(a, wdims), .co = channels_out(a, wdims), .rank = 2};
    bool t = a->conv.transposed;
    p.groups = a->conv.group;
    for (int i = 0; i < 2; i++) {
        p.kernel[i] = wdims[i + 2];
        p.stride[i] = window_stride(&a->conv.w, i);
        p.dilation[i] = window_dilation(&a->conv.w, i);
        p.in[i] = t ? 1 : (p.kernel[i] - 1) * p.dilation[i] + 1;
        p.out[i] = t ? p.stride[i] : 1;
    }
    return p;
}

static int prepack(struct bind_ctx *bc, const struct tensor *w, struct blk_conv_step *s)
{
    struct conv_params p = packing_params(s->a, w->dims);
    struct blk_plan plan;
    if (!takes(bc->kern, s->a, &p) || !make_plan(bc->kern, s->a, &p, &plan))
        return err_set(bc->cx, E_LIMIT, "the convolution is too large");
    void *packed = bc_alloc(bc, plan.weight_bytes);
    if (!packed)
        return bc->cx->err.code;
    pack(bc->kern, s->a, &plan, w->data, packed);
    memcpy(s->wdims, w->dims, sizeof s->wdims);
    s->packed = packed;
    return 0;
}

static int bind_bias(struct bind_ctx *bc, struct blk_conv_step *s, struct step *step)
{
    const struct tensor *b = bc_const(bc, 2);
    int64_t all = blk_round(channels_out(s->a, s->wdims), (int)s->a->block);
    if (!b)
        return bc->cx->err.code;
    if (b->dt != DT_FLOAT || tensor_count(b) != channels_out(s->a, s->wdims))
        return conv_bad_geometry(bc->cx);
    float *to = bc_alloc(bc, (size_t)all * sizeof(float));
    if (!to)
        return bc->cx->err.code;
    fill_bias(b, all, to);
    s->bias = to;
    step->consumed |= 1u << 2;
    return 0;
}

static int blk_conv_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct tensor *w = bc_is_const(bc, 1) ? bc_const(bc, 1) : NULL;
    if (!w || w->dt != DT_FLOAT || w->rank != 4 || !tensor_count(w))
        return bc->cx->err.code;
    struct blk_conv_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    s->a = params;
    int r = prepack(bc, w, s);
    if (!r && bc->nin > 2 && bc_is_const(bc, 2))
        r = bind_bias(bc, s, step);
    if (r)
        return r;
    step->consumed |= 1u << 1;
    step->state = s;
    step->run = blk_conv_run;
    step->kernel = s->a->plain ? "conv blocked from plain, packed weights" : "conv blocked, packed weights";
    return 0;
}

const struct op op_onnxtool_BlockedConv = {
    .domain = "onnxtool",
    .name = "BlockedConv",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct blk_conv_attrs),
    .parse = blk_conv_parse,
    .infer = blk_conv_infer,
    .ref = blk_conv_ref,
    .bind = blk_conv_bind,
    .cost = blk_conv_cost,
};

const struct op op_onnxtool_BlockedConvTranspose = {
    .domain = "onnxtool",
    .name = "BlockedConvTranspose",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct blk_conv_attrs),
    .parse = blk_conv_parse,
    .infer = blk_conv_infer,
    .ref = blk_conv_ref,
    .bind = blk_conv_bind,
    .cost = blk_conv_cost,
};
