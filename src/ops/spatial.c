/* Operators on images that read between pixels or lay blocks over each other: GridSample, AffineGrid,
 * RoiAlign, DeformConv, Col2Im. All computed in double. */
#include "ops/wide.h"
#include "ops/window.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kern/roi.h"
#include "kern/sample.h"

static int no_fit(struct cx *cx)
{
    return err_set(cx, E_SHAPE, "the shapes of the operands do not fit each other");
}

/* ---- GridSample ---- */

struct grid_attrs {
    enum sample_mode mode;
    enum sample_pad pad;
    bool align;
};

static int grid_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    static const char *const modes[] = {"linear", "nearest", "cubic", "bilinear", "bicubic", NULL};
    static const char *const pads[] = {"zeros", "border", "reflection", NULL};
    static const enum sample_mode kinds[] = {SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC, SAMPLE_LINEAR,
                                             SAMPLE_CUBIC};
    struct grid_attrs *g = params;
    int mode = 0, pad = 0;
    int64_t align = 0;
    int r = attr_choice(cx, n, "mode", modes, &mode);
    if (r >= 0)
        r = attr_choice(cx, n, "padding_mode", pads, &pad);
    if (r >= 0)
        r = attr_int(cx, n, "align_corners", &align);
    *g = (struct grid_attrs){kinds[mode], (enum sample_pad)pad, align != 0};
    return r < 0 ? r : 0;
}

static int grid_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rank = ic_rank(ic, 0) >= 0 ? ic_rank(ic, 0) : ic_rank(ic, 1);
    struct dim d[TENSOR_MAX_RANK];
    int r = ic_need_rank(ic, 0, 3, SAMPLE_RANK + 2);
    if (!r && rank >= 0)
        r = ic_need_rank(ic, 1, rank, rank);
    if (r || rank < 3)
        return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    bool x = ic_rank(ic, 0) >= 0, g = ic_rank(ic, 1) >= 0;
    if (g)
        r = ic_unify(ic, ic_dim(ic, 1, rank - 1), dim_const(rank - 2), "last extent of grid");
    if (!r && g && x)
        r = ic_unify(ic, ic_dim(ic, 0, 0), ic_dim(ic, 1, 0), "batch of X and grid");
    d[0] = x ? ic_dim(ic, 0, 0) : ic_dim(ic, 1, 0);
    d[1] = x ? ic_dim(ic, 0, 1) : dim_unknown();
    for (int i = 2; i < rank; i++)
        d[i] = g ? ic_dim(ic, 1, i - 1) : dim_unknown();
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

struct grid_job {
    struct sample_image im;
    const double *x, *grid;
    double *y;
    int64_t channels, plane, points; /* elements of an image plane, output points of an image */
};

static void grid_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct grid_job *j = arg;
    int rank = j->im.rank;
    for (int64_t p = begin; p < end; p++) {
        double at[SAMPLE_RANK];
        for (int i = 0; i < rank; i++) {
            double g = j->grid[p * rank + rank - 1 - i], n = (double)j->im.dims[i];
            at[i] = j->im.align ? (g + 1) / 2 * (n - 1) : ((g + 1) * n - 1) / 2;
        }
        int64_t b = p / j->points, at_out = p % j->points;
        for (int64_t c = b * j->channels; c < (b + 1) * j->channels; c++)
            j->y[c * j->points + at_out] = sample_point(&j->im, j->x + c * j->plane, at);
    }
}

static int grid_ref(struct exec_ctx *ec, const void *params)
{
    const struct grid_attrs *g = params;
    const struct tensor *x = ec->in[0];
    struct grid_job j = {.im = {x->rank - 2, {0}, g->mode, g->pad, g->align}};
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    memcpy(j.im.dims, x->dims + 2, (size_t)j.im.rank * sizeof(int64_t));
    j.channels = x->dims[1];
    j.plane = dims_prod(x->dims, 2, x->rank);
    j.points = dims_prod(ec->out[0]->dims, 2, x->rank);
    if (!j.plane)
        return err_set(ec->cx, E_SHAPE, "an empty image cannot be sampled");
    int r = wide_f64(ec, 0, &j.x);
    if (!r)
        r = wide_f64(ec, 1, &j.grid);
    if (!r)
        r = wide_out_f64(ec, 0, &j.y);
    if (r)
        return r;
    par_for(ec->pool, x->dims[0] * j.points, grain_for(j.channels * 16), grid_range, &j);
    wide_done_f64(ec, 0, j.y);
    return 0;
}

const struct op op_GridSample = {
    .domain = "",
    .name = "GridSample",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct grid_attrs),
    .parse = grid_parse,
    .infer = grid_infer,
    .ref = grid_ref,
};

/* ---- AffineGrid ---- */

struct affine {
    bool align;
};

static int affine_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    int64_t align = 0;
    int r = attr_int(cx, n, "align_corners", &align);
    ((struct affine *)params)->align = align != 0;
    return r < 0 ? r : 0;
}

/* Length of the list of extents that input i is, -1 unknown. */
static int64_t list_length(const struct infer_ctx *ic, int i)
{
    const struct shape_val *v = ic_val(ic, i);
    struct dim d = ic_rank(ic, i) == 1 ? ic_dim(ic, i, 0) : dim_unknown();
    return v ? v->n : d.kind == DIM_CONST ? d.v : -1;
}

static struct dim list_item(const struct infer_ctx *ic, int i, int k)
{
    const struct shape_val *v = ic_val(ic, i);
    return v && k < v->n ? dim_resolve(ic->syms, v->d[k]) : dim_unknown();
}

static int affine_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    struct dim d[5];
    int64_t n = list_length(ic, 1);
    int r = ic_need_rank(ic, 0, 3, 3);
    if (r || n < 0)
        return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    if (n != 4 && n != 5)
        return ic_err(ic, E_VALUE, "size has %lld values, expected 4 or 5", (long long)n);
    int spatial = (int)n - 2;
    if (ic_rank(ic, 0) == 3) {
        r = ic_unify(ic, ic_dim(ic, 0, 0), list_item(ic, 1, 0), "batch of theta and size");
        if (!r)
            r = ic_unify(ic, ic_dim(ic, 0, 1), dim_const(spatial), "rows of theta");
        if (!r)
            r = ic_unify(ic, ic_dim(ic, 0, 2), dim_const(spatial + 1), "columns of theta");
    }
    d[0] = ic_rank(ic, 0) == 3 ? ic_dim(ic, 0, 0) : list_item(ic, 1, 0);
    for (int i = 0; i < spatial; i++)
        d[i + 1] = list_item(ic, 1, i + 2);
    d[spatial + 1] = dim_const(spatial);
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), spatial + 2, d);
}

static double base_coord(bool align, int64_t i, int64_t n)
{
    if (align)
        return n > 1 ? -1 + 2 * (double)i / (double)(n - 1) : -1;
    return -1 + (2 * (double)i + 1) / (double)n;
}

static int affine_ref(struct exec_ctx *ec, const void *params)
{
    const struct affine *a = params;
    const double *theta;
    double *y;
    int r = wide_f64(ec, 0, &theta);
    if (!r)
        r = wide_out_f64(ec, 0, &y);
    if (r || !y)
        return r;
    const struct tensor *out = ec->out[0];
    int s = out->rank - 2;
    int64_t points = dims_prod(out->dims, 1, s + 1);
    if (tensor_count(ec->in[0]) != out->dims[0] * s * (s + 1))
        return no_fit(ec->cx);
    for (int64_t p = 0; p < out->dims[0] * points; p++) {
        const double *t = theta + p / points * s * (s + 1);
        double at[4];
        int64_t rest = p % points;
        for (int i = s - 1; i >= 0; i--) { /* the last axis is x, the first coordinate */
            at[s - 1 - i] = base_coord(a->align, rest % out->dims[i + 1], out->dims[i + 1]);
            rest /= out->dims[i + 1];
        }
        at[s] = 1;
        for (int i = 0; i < s; i++) {
            double sum = 0;
            for (int k = 0; k <= s; k++)
                sum += t[i * (s + 1) + k] * at[k];
            y[p * s + i] = sum;
        }
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_AffineGrid = {
    .domain = "",
    .name = "AffineGrid",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct affine),
    .parse = affine_parse,
    .infer = affine_infer,
    .ref = affine_ref,
};

/* ---- RoiAlign ---- */

static int roi_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    static const char *const modes[] = {"avg", "max", NULL};
    static const char *const coords[] = {"output_half_pixel", "half_pixel", NULL};
    struct roi_align *p = params;
    float scale = 1;
    int mode = 0, coord = version >= 16;
    *p = (struct roi_align){.out_h = 1, .out_w = 1};
    int r = attr_int(cx, n, "output_height", &p->out_h);
    if (r >= 0)
        r = attr_int(cx, n, "output_width", &p->out_w);
    if (r >= 0)
        r = attr_int(cx, n, "sampling_ratio", &p->sampling);
    if (r >= 0)
        r = attr_float(cx, n, "spatial_scale", &scale);
    if (r >= 0)
        r = attr_choice(cx, n, "mode", modes, &mode);
    if (r >= 0)
        r = attr_choice(cx, n, "coordinate_transformation_mode", coords, &coord);
    if (r < 0)
        return r;
    if (p->out_h < 1 || p->out_w < 1 || p->sampling < 0 || p->sampling > 65536)
        return err_set(cx, E_ATTR, "output size %lld x %lld or sampling_ratio %lld is out of range",
                       (long long)p->out_h, (long long)p->out_w, (long long)p->sampling);
    p->scale = (double)scale;
    p->max = mode == 1;
    p->half_pixel = coord == 1;
    return 0;
}

static int roi_infer(struct infer_ctx *ic, const void *params)
{
    const struct roi_align *p = params;
    int r = ic_need_rank(ic, 0, 4, 4);
    if (!r)
        r = ic_need_rank(ic, 1, 2, 2);
    if (!r)
        r = ic_need_rank(ic, 2, 1, 1);
    if (r)
        return r;
    bool rois = ic_rank(ic, 1) == 2;
    if (rois)
        r = ic_unify(ic, ic_dim(ic, 1, 1), dim_const(4), "columns of rois");
    if (!r && rois && ic_rank(ic, 2) == 1)
        r = ic_unify(ic, ic_dim(ic, 1, 0), ic_dim(ic, 2, 0), "number of regions");
    struct dim d[4] = {rois ? ic_dim(ic, 1, 0) : dim_unknown(),
                       ic_rank(ic, 0) == 4 ? ic_dim(ic, 0, 1) : dim_unknown(), dim_const(p->out_h),
                       dim_const(p->out_w)};
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), 4, d);
}

static int roi_ref(struct exec_ctx *ec, const void *params)
{
    const double *x, *rois;
    double *y;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    const struct tensor *t = ec->in[0], *batch = ec->in[2];
    int64_t n = ec->in[1]->dims[0];
    if (batch->dt != DT_INT64 || tensor_count(batch) != n)
        return no_fit(ec->cx);
    const int64_t *b = batch->data;
    for (int64_t i = 0; i < n; i++)
        if (b[i] < 0 || b[i] >= t->dims[0])
            return err_set(ec->cx, E_VALUE, "batch_indices[%lld] is %lld, X has %lld images", (long long)i,
                           (long long)b[i], (long long)t->dims[0]);
    if (!tensor_count(t))
        return err_set(ec->cx, E_SHAPE, "an empty image cannot be sampled");
    int r = wide_f64(ec, 0, &x);
    if (!r)
        r = wide_f64(ec, 1, &rois);
    if (!r)
        r = wide_out_f64(ec, 0, &y);
    if (r)
        return r;
    roi_align(params, x, t->dims, rois, b, n, y);
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_RoiAlign = {
    .domain = "",
    .name = "RoiAlign",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct roi_align),
    .parse = roi_parse,
    .infer = roi_infer,
    .ref = roi_ref,
};

/* ---- DeformConv ---- */

struct deform {
    struct window w;
    int64_t group, offset_group;
};

static int deform_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct deform *p = params;
    p->group = p->offset_group = 1;
    int r = window_parse(cx, n, &p->w);
    if (!r)
        r = attr_int(cx, n, "group", &p->group);
    if (r >= 0)
        r = attr_int(cx, n, "offset_group", &p->offset_group);
    if (r >= 0 && (p->group < 1 || p->offset_group < 1))
        return err_set(cx, E_ATTR, "group is %lld, offset_group %lld", (long long)p->group,
                       (long long)p->offset_group);
    return r < 0 ? r : 0;
}

static int deform_infer(struct infer_ctx *ic, const void *params)
{
    const struct deform *p = params;
    int rank = ic_rank(ic, 0);
    struct dim d[TENSOR_MAX_RANK];
    int r = ic_need_rank(ic, 0, 3, SAMPLE_RANK + 2);
    for (int i = 1; !r && rank >= 0 && i < 3; i++)
        r = ic_need_rank(ic, i, rank, rank);
    if (!r && rank >= 0)
        r = window_check(ic, &p->w, rank - 2);
    if (r || rank < 0)
        return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    bool w = ic_rank(ic, 1) == rank;
    d[0] = ic_dim(ic, 0, 0);
    d[1] = w ? ic_dim(ic, 1, 0) : dim_unknown();
    if (w)
        r = ic_unify(ic, ic_dim(ic, 0, 1), dim_mul(ic->syms, ic_dim(ic, 1, 1), dim_const(p->group)),
                     "channels of X and W");
    for (int i = 0; !r && i < rank - 2; i++) {
        struct dim k = w ? ic_dim(ic, 1, i + 2) : dim_unknown();
        r = window_out_dim(ic, &p->w, rank - 2, i, ic_dim(ic, 0, i + 2), k, false, &d[i + 2]);
        if (!r && ic_rank(ic, 2) == rank)
            r = ic_unify(ic, ic_dim(ic, 2, i + 2), d[i + 2], "extent of offset and Y");
    }
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

struct deform_run {
    const struct deform *p;
    struct sample_image im;
    int64_t batch, ci, co, taps, plane, points;
    int64_t kernel[SAMPLE_RANK], out[SAMPLE_RANK], pad[SAMPLE_RANK];
    const double *x, *w, *off, *bias, *mask;
    double *y;
};

/* Position that tap t of output point o reads in image b of offset group g. */
static void deform_at(const struct deform_run *r, int64_t b, int64_t g, int64_t t, int64_t o, double *at)
{
    int rank = r->im.rank;
    const double *off = r->off + ((b * r->p->offset_group + g) * r->taps + t) * rank * r->points + o;
    int64_t tap = t, pos = o;
    for (int i = rank - 1; i >= 0; i--) {
        int64_t k = tap % r->kernel[i], c = pos % r->out[i];
        at[i] = (double)(c * window_stride(&r->p->w, i) - r->pad[i] + k * window_dilation(&r->p->w, i)) +
                off[i * r->points];
        tap /= r->kernel[i];
        pos /= r->out[i];
    }
}

static double deform_sum(const struct deform_run *r, int64_t b, int64_t oc, int64_t o)
{
    int64_t per = r->ci / r->p->group, first = oc / (r->co / r->p->group) * per;
    double sum = r->bias ? r->bias[oc] : 0, at[SAMPLE_RANK];
    for (int64_t c = 0; c < per; c++) {
        int64_t ch = first + c, g = ch / (r->ci / r->p->offset_group);
        for (int64_t t = 0; t < r->taps; t++) {
            deform_at(r, b, g, t, o, at);
            double v = sample_point(&r->im, r->x + (b * r->ci + ch) * r->plane, at);
            double m = r->mask ? r->mask[((b * r->p->offset_group + g) * r->taps + t) * r->points + o] : 1;
            sum += v * m * r->w[(oc * per + c) * r->taps + t];
        }
    }
    return sum;
}

static void deform_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct deform_run *r = arg;
    for (int64_t p = begin; p < end; p++)
        for (int64_t o = 0; o < r->points; o++)
            r->y[p * r->points + o] = deform_sum(r, p / r->co, p % r->co, o);
}

static int deform_sizes(struct exec_ctx *ec, struct deform_run *r)
{
    const struct tensor *x = ec->in[0], *w = ec->in[1], *y = ec->out[0];
    r->im = (struct sample_image){x->rank - 2, {0}, SAMPLE_LINEAR, SAMPLE_ZEROS, true};
    r->batch = x->dims[0];
    r->ci = x->dims[1];
    r->co = w->dims[0];
    r->plane = dims_prod(x->dims, 2, x->rank);
    r->points = dims_prod(y->dims, 2, y->rank);
    r->taps = dims_prod(w->dims, 2, w->rank);
    for (int i = 0; i < r->im.rank; i++) {
        int64_t pad[2], out;
        r->im.dims[i] = x->dims[i + 2];
        r->kernel[i] = w->dims[i + 2];
        r->out[i] = y->dims[i + 2];
        if (!window_axis(&r->p->w, r->im.rank, i, x->dims[i + 2], w->dims[i + 2], false, pad, &out) ||
            out != r->out[i])
            return no_fit(ec->cx);
        r->pad[i] = pad[0];
    }
    int64_t offsets = r->batch * r->p->offset_group * r->taps * r->points;
    bool ok = r->ci % r->p->group == 0 && r->co % r->p->group == 0 && r->ci % r->p->offset_group == 0 &&
              w->dims[1] == r->ci / r->p->group && tensor_count(ec->in[2]) == offsets * r->im.rank &&
              (!ec_has(ec, 3) || tensor_count(ec->in[3]) == r->co) &&
              (!ec_has(ec, 4) || tensor_count(ec->in[4]) == offsets);
    return ok ? 0 : no_fit(ec->cx);
}

static int deform_ref(struct exec_ctx *ec, const void *params)
{
    struct deform_run r = {.p = params};
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int rc = deform_sizes(ec, &r);
    if (!rc)
        rc = wide_f64(ec, 0, &r.x);
    if (!rc)
        rc = wide_f64(ec, 1, &r.w);
    if (!rc)
        rc = wide_f64(ec, 2, &r.off);
    if (!rc)
        rc = wide_f64(ec, 3, &r.bias);
    if (!rc)
        rc = wide_f64(ec, 4, &r.mask);
    if (!rc)
        rc = wide_out_f64(ec, 0, &r.y);
    if (rc)
        return rc;
    par_for(ec->pool, r.batch * r.co, 1, deform_range, &r);
    wide_done_f64(ec, 0, r.y);
    return 0;
}

const struct op op_DeformConv = {
    .domain = "",
    .name = "DeformConv",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct deform),
    .parse = deform_parse,
    .infer = deform_infer,
    .ref = deform_ref,
};

/* ---- Col2Im ---- */

static int col2im_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    return window_parse(cx, n, params);
}

/* How many axes the image has, from whatever says it; -1 unknown. */
static int col2im_axes(struct infer_ctx *ic, const struct window *w, int *n)
{
    int64_t image = list_length(ic, 1), block = list_length(ic, 2);
    if (image >= 0 && block >= 0 && image != block)
        return ic_err(ic, E_SHAPE, "image_shape has %lld values, block_shape %lld", (long long)image,
                      (long long)block);
    int64_t known = image >= 0 ? image : block;
    if (known < 0)
        known = w->nstride ? w->nstride : w->ndilation ? w->ndilation : w->npads ? w->npads / 2 : -1;
    if (known == 0 || known > WINDOW_RANK)
        return ic_err(ic, E_UNSUPPORTED, "%lld spatial axes, 1 to %d are supported", (long long)known,
                      WINDOW_RANK);
    *n = (int)known;
    return known < 0 ? 0 : window_check(ic, w, *n);
}

static int col2im_infer(struct infer_ctx *ic, const void *params)
{
    const struct window *w = params;
    struct dim d[WINDOW_RANK + 2], taps = dim_const(1);
    int n, r = ic_need_rank(ic, 0, 3, 3);
    if (!r)
        r = col2im_axes(ic, w, &n);
    if (r || n < 0)
        return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    for (int i = 0; i < n; i++) {
        struct dim image = list_item(ic, 1, i), block = list_item(ic, 2, i);
        int64_t pad[2], out;
        taps = dim_mul(ic->syms, taps, block);
        if (image.kind == DIM_CONST && block.kind == DIM_CONST &&
            (taps.kind != DIM_CONST || !window_axis(w, n, i, image.v, block.v, false, pad, &out)))
            return ic_err(ic, E_VALUE, "a block of %lld does not fit into extent %lld", (long long)block.v,
                          (long long)image.v);
        d[i + 2] = image;
    }
    bool known = ic_rank(ic, 0) == 3;
    d[0] = known ? ic_dim(ic, 0, 0) : dim_unknown();
    d[1] = known ? dim_div_even(ic->syms, ic_dim(ic, 0, 1), taps) : dim_unknown();
    return ic_out(ic, 0, ic_dtype(ic, 0), n + 2, d);
}

struct col2im {
    const struct window *w;
    int rank;
    int64_t image[WINDOW_RANK], block[WINDOW_RANK], pad[WINDOW_RANK], blocks[WINDOW_RANK];
    int64_t taps, positions, plane;
};

/* Where tap t of block position p lies in the image; -1: in the padding. */
static int64_t col_target(const struct col2im *c, int64_t t, int64_t p)
{
    int64_t off = 0, step = 1;
    for (int i = c->rank - 1; i >= 0; i--) {
        int64_t at = p % c->blocks[i] * window_stride(c->w, i) - c->pad[i] +
                     t % c->block[i] * window_dilation(c->w, i);
        if (at < 0 || at >= c->image[i])
            return -1;
        off += at * step;
        step *= c->image[i];
        t /= c->block[i];
        p /= c->blocks[i];
    }
    return off;
}

static int col2im_sizes(struct exec_ctx *ec, struct col2im *c)
{
    const struct tensor *x = ec->in[0], *y = ec->out[0];
    c->rank = y->rank - 2;
    c->taps = c->positions = 1;
    if (tensor_count(ec->in[2]) != c->rank)
        return no_fit(ec->cx);
    for (int i = 0; i < c->rank; i++) {
        int64_t pad[2];
        c->image[i] = y->dims[i + 2];
        c->block[i] = tensor_i64(ec->in[2], i);
        if (!window_axis(c->w, c->rank, i, c->image[i], c->block[i], false, pad, &c->blocks[i]))
            return no_fit(ec->cx);
        c->pad[i] = pad[0];
        c->taps *= c->block[i];
        c->positions *= c->blocks[i];
    }
    c->plane = dims_prod(y->dims, 2, y->rank);
    bool ok = x->rank == 3 && x->dims[0] == y->dims[0] && x->dims[1] == y->dims[1] * c->taps &&
              x->dims[2] == c->positions;
    return ok ? 0 : no_fit(ec->cx);
}

static int col2im_ref(struct exec_ctx *ec, const void *params)
{
    struct col2im c = {.w = params};
    const double *x;
    double *y;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int r = col2im_sizes(ec, &c);
    if (!r)
        r = wide_f64(ec, 0, &x);
    if (!r)
        r = wide_out_f64(ec, 0, &y);
    if (r)
        return r;
    int64_t planes = ec->out[0]->dims[0] * ec->out[0]->dims[1];
    memset(y, 0, (size_t)(planes * c.plane) * sizeof(*y));
    for (int64_t t = 0; t < c.taps; t++)
        for (int64_t p = 0; p < c.positions; p++) {
            int64_t to = col_target(&c, t, p);
            for (int64_t k = 0; to >= 0 && k < planes; k++)
                y[k * c.plane + to] += x[(k * c.taps + t) * c.positions + p];
        }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_Col2Im = {
    .domain = "",
    .name = "Col2Im",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct window),
    .parse = col2im_parse,
    .infer = col2im_infer,
    .ref = col2im_ref,
};
