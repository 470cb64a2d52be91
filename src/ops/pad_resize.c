/* Pad, CenterCropPad, Resize, Upsample, DepthToSpace, SpaceToDepth. Elements whose values do not change are
 * moved by width, so that all types, strings too, share the code. */
#include "ops/nchwc.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"

/* ---- maps: every output coordinate takes one input coordinate, or a fill value ---- */

struct map_job {
    const struct exec_ctx *ec;
    const struct map_plan *plan;
    const void *value;
};

static void map_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct map_job *j = arg;
    map_run(j->ec->kern, j->plan, dtype_size(j->ec->in[0]->dt), j->ec->in[0]->data, j->ec->out[0]->data,
            j->value, begin, end);
}

/* Memory for the maps of all axes of output 0, and a plan that points to it. */
static int64_t *map_open(struct exec_ctx *ec, struct map_plan *plan, int64_t **maps)
{
    const struct tensor *x = ec->in[0], *y = ec->out[0];
    size_t total = 1;
    memset(plan, 0, sizeof(*plan));
    plan->rank = y->rank;
    for (int i = 0; i < y->rank; i++)
        total += (size_t)y->dims[i];
    int64_t *p = ec_scratch(ec, total * sizeof(int64_t));
    for (int i = 0; p && i < y->rank; i++) {
        plan->in_dims[i] = x->dims[i];
        plan->out_dims[i] = y->dims[i];
        plan->maps[i] = maps[i] = p;
        p += y->dims[i];
    }
    return p;
}

static void map_all(struct exec_ctx *ec, const struct map_plan *plan, const void *value)
{
    struct map_job j = {ec, plan, value};
    if (!plan->rank) {
        memcpy(ec->out[0]->data, ec->in[0]->data, dtype_size(ec->in[0]->dt));
        return;
    }
    par_for(ec->pool, map_units(plan), grain_for(plan->out_dims[plan->rank - 1]), map_range, &j);
}

static int need_same_type(struct exec_ctx *ec)
{
    bool ok = ec_has(ec, 0) && ec->in[0]->kind == RT_TENSOR && ec->in[0]->dt == ec->out[0]->dt;
    return ok ? 0 : ec_unsupported(ec, 0);
}

/* ---- Pad ---- */

struct pad {
    enum pad_mode mode;
    const int64_t *pads; /* versions below 11; NULL: input 1 */
    size_t npads;
    float value;
};

static int pad_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap", NULL};
    struct pad *p = params;
    int mode = 0;
    int r = attr_choice(cx, n, "mode", modes, &mode);
    p->mode = (enum pad_mode)mode;
    if (r < 0 || version >= 11)
        return r < 0 ? r : 0;
    r = attr_float(cx, n, "value", &p->value);
    if (r >= 0)
        r = attr_ints(cx, n, version < 2 ? "paddings" : "pads", &p->pads, &p->npads);
    if (r == 0)
        return err_set(cx, E_ATTR, "attribute %s is missing", version < 2 ? "paddings" : "pads");
    return r < 0 ? r : 0;
}

/* Output dims from the paddings that are known as dims; list and axes have n entries (list twice that). */
static int pad_dims(struct infer_ctx *ic, const struct dim *list, const int64_t *axes, int n, struct dim *d)
{
    bool seen[TENSOR_MAX_RANK] = {false};
    int rank = ic_rank(ic, 0);
    for (int k = 0; k < n; k++) {
        int axis = k;
        int r = axes ? ic_axis(ic, axes[k], rank, &axis) : 0;
        if (r)
            return r;
        if (seen[axis])
            return ic_err(ic, E_VALUE, "axis %d is named twice", axis);
        seen[axis] = true;
        struct dim v = dim_add(ic->syms, dim_add(ic->syms, d[axis], list[k]), list[n + k]);
        if (v.kind == DIM_CONST && v.v < 0)
            return ic_err(ic, E_VALUE, "paddings make axis %d negative", axis);
        d[axis] = v;
    }
    return 0;
}

/* The axes input: count, -1 not known; absent: 0 with *given false. */
static int pad_axes(const struct infer_ctx *ic, int64_t *axes, bool *given)
{
    *given = ic_has(ic, 3);
    return *given ? ic_ints(ic, 3, axes, TENSOR_MAX_RANK) : 0;
}

static int pad_infer(struct infer_ctx *ic, const void *params)
{
    const struct pad *p = params;
    int rank = ic_rank(ic, 0);
    struct dim d[TENSOR_MAX_RANK], fixed[2 * TENSOR_MAX_RANK];
    int64_t axes[TENSOR_MAX_RANK];
    bool given = false;
    if (rank < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    const struct shape_val *v = p->pads ? NULL : ic_val(ic, 1);
    int naxes = p->pads ? 0 : pad_axes(ic, axes, &given);
    int n = given ? naxes : rank;
    int64_t have = p->pads ? (int64_t)p->npads : v ? v->n : 2 * (int64_t)n;
    if (n >= 0 && have != 2 * (int64_t)n)
        return ic_err(ic, E_SHAPE, "%lld paddings, expected %d", (long long)have, 2 * n);
    for (int i = 0; i < rank; i++)
        d[i] = ic_dim(ic, 0, i);
    bool known = n >= 0 && (p->pads || v);
    for (int i = 0; i < rank && !known; i++)
        d[i] = dim_unknown();
    for (int i = 0; known && i < 2 * n; i++)
        fixed[i] = p->pads ? dim_const(p->pads[i]) : v->d[i];
    int r = known ? pad_dims(ic, fixed, given ? axes : NULL, n, d) : 0;
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

/* Paddings before each axis. What stands behind follows from the output's shape. */
static int pad_before(struct exec_ctx *ec, const struct pad *p, int64_t *before)
{
    const struct tensor *x = ec->in[0];
    memset(before, 0, TENSOR_MAX_RANK * sizeof(*before));
    if (p->pads) {
        memcpy(before, p->pads, (size_t)x->rank * sizeof(*before));
        return 0;
    }
    int64_t n = ec_has(ec, 3) ? tensor_count(ec->in[3]) : x->rank;
    if (!ec_has(ec, 1) || tensor_count(ec->in[1]) != 2 * n || n > x->rank)
        return err_set(ec->cx, E_SHAPE, "the number of paddings does not fit the axes");
    for (int64_t k = 0; k < n; k++) {
        int64_t axis = ec_has(ec, 3) ? tensor_i64(ec->in[3], k) : k;
        axis += axis < 0 ? x->rank : 0;
        if (axis < 0 || axis >= x->rank)
            return err_set(ec->cx, E_VALUE, "axis %lld is outside the rank %d", (long long)axis, x->rank);
        before[axis] = tensor_i64(ec->in[1], k);
    }
    return 0;
}

static int pad_ref(struct exec_ctx *ec, const void *params)
{
    const struct pad *p = params;
    struct map_plan plan;
    int64_t *maps[TENSOR_MAX_RANK], before[TENSOR_MAX_RANK];
    uint64_t value[2] = {0, 0};
    if (!ec_has_out(ec, 0))
        return 0;
    int r = need_same_type(ec);
    if (!r)
        r = pad_before(ec, p, before);
    if (r || !tensor_count(ec->out[0]))
        return r;
    const struct dtype_info *info = dtype_info(ec->in[0]->dt);
    if (!p->pads && ec_has(ec, 2) && tensor_count(ec->in[2]) == 1 && ec->in[2]->dt == ec->in[0]->dt)
        memcpy(value, ec->in[2]->data, info->size);
    else if (p->value != 0 && info->store_f64)
        info->store_f64(value, (double)p->value);
    if (!map_open(ec, &plan, maps))
        return ec->cx->err.code;
    for (int i = 0; i < plan.rank; i++)
        if (!map_pad(p->mode, plan.in_dims[i], before[i], plan.out_dims[i], maps[i]))
            return err_set(ec->cx, E_VALUE, "axis %d is empty: there is nothing to repeat", i);
    map_all(ec, &plan, value);
    return 0;
}

const struct op op_Pad = {
    .domain = "",
    .name = "Pad",
    .tol = TOL_EXACT,
    .params_size = sizeof(struct pad),
    .parse = pad_parse,
    .infer = pad_infer,
    .ref = pad_ref,
};

/* ---- CenterCropPad ---- */

struct center {
    int naxes; /* 0: all */
    int64_t axes[TENSOR_MAX_RANK];
};

static int read_axes(struct cx *cx, const struct node *n, int *count, int64_t *axes)
{
    const int64_t *v = NULL;
    size_t len = 0;
    int r = attr_ints(cx, n, "axes", &v, &len);
    if (r <= 0)
        return r;
    if (len > TENSOR_MAX_RANK)
        return err_set(cx, E_ATTR, "attribute axes has %zu values", len);
    memcpy(axes, v, len * sizeof(*axes));
    *count = (int)len;
    return 0;
}

static int center_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct center *c = params;
    return read_axes(cx, n, &c->naxes, c->axes);
}

static int center_infer(struct infer_ctx *ic, const void *params)
{
    const struct center *c = params;
    int rank = ic_rank(ic, 0), n = c->naxes ? c->naxes : rank;
    struct dim d[TENSOR_MAX_RANK];
    const struct shape_val *v = ic_val(ic, 1);
    if (rank >= 0 && v && v->n != n)
        return ic_err(ic, E_SHAPE, "shape has %lld values, expected %d", (long long)v->n, n);
    for (int i = 0; i < rank; i++)
        d[i] = ic_dim(ic, 0, i);
    for (int i = 0; i < n && rank >= 0; i++) {
        int axis = i;
        int r = c->naxes ? ic_axis(ic, c->axes[i], rank, &axis) : 0;
        if (r)
            return r;
        d[axis] = v ? v->d[i] : dim_unknown();
        if (d[axis].kind == DIM_CONST && d[axis].v < 0)
            return ic_err(ic, E_VALUE, "shape[%d] is negative", i);
    }
    return ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

static int center_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    struct map_plan plan;
    int64_t *maps[TENSOR_MAX_RANK];
    const uint64_t zero[2] = {0, 0};
    if (!ec_has_out(ec, 0))
        return 0;
    int r = need_same_type(ec);
    if (r || !tensor_count(ec->out[0]))
        return r;
    if (!map_open(ec, &plan, maps))
        return ec->cx->err.code;
    for (int i = 0; i < plan.rank; i++) {
        int64_t in = plan.in_dims[i], out = plan.out_dims[i];
        int64_t before = out >= in ? (out - in) / 2 : -((in - out) / 2);
        map_pad(PAD_CONSTANT, in, before, out, maps[i]);
    }
    map_all(ec, &plan, zero);
    return 0;
}

const struct op op_CenterCropPad = {
    .domain = "",
    .name = "CenterCropPad",
    .tol = TOL_EXACT,
    .params_size = sizeof(struct center),
    .parse = center_parse,
    .infer = center_infer,
    .ref = center_ref,
};

/* ---- Resize and Upsample ---- */

enum resize_mode { MODE_NEAREST, MODE_LINEAR, MODE_CUBIC };
enum aspect { ASPECT_STRETCH, ASPECT_NOT_LARGER, ASPECT_NOT_SMALLER };

struct resize {
    enum resize_mode mode;
    enum resize_coord coord;
    enum resize_nearest nearest;
    float cubic_a, extrapolation;
    bool exclude_outside, antialias;
    enum aspect aspect;
    int naxes; /* 0: all */
    int64_t axes[TENSOR_MAX_RANK];
    int roi, scales, sizes; /* which input; -1: this version has none */
    const float *scale_attr;
    size_t nscale_attr;
    float old_scales[4]; /* Upsample-1 */
};

static int upsample_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    static const char *const modes[] = {"nearest", "linear", "bilinear", NULL};
    struct resize *a = params;
    int mode = 0;
    int r = attr_choice(cx, n, "mode", modes, &mode);
    if (r < 0)
        return r;
    *a = (struct resize){.mode = mode ? MODE_LINEAR : MODE_NEAREST,
                         .coord = RS_ASYMMETRIC,
                         .nearest = RS_FLOOR,
                         .roi = -1,
                         .scales = version < 9 ? -1 : 1,
                         .sizes = -1};
    if (version >= 9)
        return 0;
    if (version >= 7) {
        r = attr_floats(cx, n, "scales", &a->scale_attr, &a->nscale_attr);
    } else {
        a->old_scales[0] = a->old_scales[1] = 1;
        a->scale_attr = a->old_scales;
        a->nscale_attr = 4;
        r = attr_float(cx, n, "height_scale", &a->old_scales[2]);
        if (r > 0)
            r = attr_float(cx, n, "width_scale", &a->old_scales[3]);
    }
    return r > 0 ? 0 : r < 0 ? r : err_set(cx, E_ATTR, "the scales are missing");
}

static int resize_choices(struct cx *cx, const struct node *n, struct resize *a)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coords[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
        "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize", NULL};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    static const char *const aspect[] = {"stretch", "not_larger", "not_smaller", NULL};
    int m = a->mode, c = a->coord, k = a->nearest, p = 0;
    int r = attr_choice(cx, n, "mode", modes, &m);
    if (r >= 0)
        r = attr_choice(cx, n, "coordinate_transformation_mode", coords, &c);
    if (r >= 0)
        r = attr_choice(cx, n, "nearest_mode", nearest, &k);
    if (r >= 0)
        r = attr_choice(cx, n, "keep_aspect_ratio_policy", aspect, &p);
    a->mode = (enum resize_mode)m;
    a->coord = (enum resize_coord)c;
    a->nearest = (enum resize_nearest)k;
    a->aspect = (enum aspect)p;
    return r < 0 ? r : 0;
}

static int resize_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    struct resize *a = params;
    bool old = version < 11;
    int64_t exclude = 0, antialias = 0;
    *a = (struct resize){.coord = old ? RS_ASYMMETRIC : RS_HALF_PIXEL,
                         .cubic_a = -0.75f,
                         .nearest = old ? RS_FLOOR : RS_ROUND_PREFER_FLOOR,
                         .roi = old ? -1 : 1,
                         .scales = old ? 1 : 2,
                         .sizes = old ? -1 : 3};
    int r = resize_choices(cx, n, a);
    if (r >= 0)
        r = attr_float(cx, n, "cubic_coeff_a", &a->cubic_a);
    if (r >= 0)
        r = attr_float(cx, n, "extrapolation_value", &a->extrapolation);
    if (r >= 0)
        r = attr_int(cx, n, "exclude_outside", &exclude);
    if (r >= 0)
        r = attr_int(cx, n, "antialias", &antialias);
    a->exclude_outside = exclude != 0;
    a->antialias = antialias != 0;
    return r < 0 ? r : read_axes(cx, n, &a->naxes, a->axes);
}

static int axis_of(const struct resize *a, int rank, int k)
{
    int64_t axis = a->naxes ? a->axes[k] : k;
    return (int)(axis < 0 ? axis + rank : axis);
}

/* Extent after scaling, in single precision as ONNX Runtime and shape inference have it; -1: out of range. */
static int64_t scaled(int64_t in, float scale)
{
    float v = floorf((float)in * scale);
    return scale > 0 && v >= 0 && v < 9e15f ? (int64_t)v : -1;
}

static struct dim scaled_dim(struct infer_ctx *ic, struct dim in, float scale)
{
    if (in.kind == DIM_CONST)
        return dim_const(scaled(in.v, scale));
    if (scale >= 1 && scale < 1e6f && scale == floorf(scale))
        return dim_mul(ic->syms, in, dim_const((int64_t)scale));
    float inv = 1 / scale;
    if (scale > 1e-6f && scale < 1 && inv == floorf(inv) && 1 / inv == scale)
        return dim_div_floor(ic->syms, in, dim_const((int64_t)inv));
    return dim_unknown();
}

/* The factor that all sizes share when the aspect ratio is kept; in and sizes have n entries. */
static double common_scale(const struct resize *a, const int64_t *in, const int64_t *sizes, int n)
{
    double best = 0;
    for (int k = 0; k < n; k++) {
        double s = in[k] ? (double)sizes[k] / (double)in[k] : 0;
        bool better = a->aspect == ASPECT_NOT_LARGER ? s < best : s > best;
        best = k == 0 || better ? s : best;
    }
    return best;
}

static int dims_from_sizes(struct infer_ctx *ic, const struct resize *a, const struct shape_val *v, int n,
                           struct dim *d)
{
    int64_t in[TENSOR_MAX_RANK], sizes[TENSOR_MAX_RANK];
    int rank = ic_rank(ic, 0);
    bool exact = true;
    for (int k = 0; k < n; k++) {
        struct dim x = ic_dim(ic, 0, axis_of(a, rank, k));
        exact = exact && x.kind == DIM_CONST && v->d[k].kind == DIM_CONST;
        in[k] = x.v;
        sizes[k] = v->d[k].v;
        if (v->d[k].kind == DIM_CONST && v->d[k].v < 0)
            return ic_err(ic, E_VALUE, "sizes[%d] is negative", k);
        d[axis_of(a, rank, k)] = a->aspect == ASPECT_STRETCH ? v->d[k] : dim_unknown();
    }
    double s = exact && a->aspect != ASPECT_STRETCH ? common_scale(a, in, sizes, n) : 0;
    for (int k = 0; k < n && exact && a->aspect != ASPECT_STRETCH; k++)
        d[axis_of(a, rank, k)] = dim_const((int64_t)floor(s * (double)in[k] + 0.5));
    return 0;
}

static int dims_from_scales(struct infer_ctx *ic, const struct resize *a, const float *scales, int n,
                            struct dim *d)
{
    int rank = ic_rank(ic, 0);
    for (int k = 0; k < n; k++) {
        int axis = axis_of(a, rank, k);
        struct dim v = scaled_dim(ic, d[axis], scales[k]);
        if (!(scales[k] > 0) || dim_is(v, -1))
            return ic_err(ic, E_VALUE, "scale %g of axis %d is out of range", (double)scales[k], axis);
        d[axis] = v;
    }
    return 0;
}

static int check_resize_axes(struct infer_ctx *ic, const struct resize *a, int rank)
{
    bool seen[TENSOR_MAX_RANK] = {false};
    for (int k = 0; k < a->naxes; k++) {
        int axis;
        int r = ic_axis(ic, a->axes[k], rank, &axis);
        if (r)
            return r;
        if (seen[axis])
            return ic_err(ic, E_VALUE, "axis %d is named twice", axis);
        seen[axis] = true;
    }
    return 0;
}

/* Values that input i holds: 0 where it is left out, -1 not known. */
static int64_t list_length(const struct infer_ctx *ic, int i)
{
    if (i < 0 || !ic_has(ic, i))
        return 0;
    struct dim d = ic_rank(ic, i) == 1 ? ic_dim(ic, i, 0) : dim_unknown();
    return d.kind == DIM_CONST ? d.v : -1;
}

/* Exactly one of scales and sizes is given, a value for each of n axes. */
static int check_targets(struct infer_ctx *ic, const struct resize *a, int n)
{
    int64_t scales = a->scale_attr ? (int64_t)a->nscale_attr : list_length(ic, a->scales);
    int64_t sizes = list_length(ic, a->sizes);
    if (!scales && !sizes && n)
        return ic_err(ic, E_MODEL, "neither scales nor sizes are given");
    if (scales > 0 && sizes > 0)
        return ic_err(ic, E_MODEL, "both scales and sizes are given");
    if ((scales > 0 && scales != n) || (sizes > 0 && sizes != n))
        return ic_err(ic, E_SHAPE, "%s has %lld values, expected %d", scales > 0 ? "scales" : "sizes",
                      (long long)(scales > 0 ? scales : sizes), n);
    return 0;
}

static int resize_dims(struct infer_ctx *ic, const struct resize *a, int n, struct dim *d)
{
    float scales[TENSOR_MAX_RANK];
    const struct shape_val *v = a->sizes >= 0 && ic_has(ic, a->sizes) ? ic_val(ic, a->sizes) : NULL;
    bool maybe = a->sizes >= 0 && ic_has(ic, a->sizes) && !v;
    if (v && v->n > 0)
        return v->n == n ? dims_from_sizes(ic, a, v, n, d)
                         : ic_err(ic, E_SHAPE, "sizes has %lld values, expected %d", (long long)v->n, n);
    int count = -1;
    if (a->scale_attr && a->nscale_attr <= TENSOR_MAX_RANK) {
        count = (int)a->nscale_attr;
        memcpy(scales, a->scale_attr, a->nscale_attr * sizeof(float));
    } else if (!maybe && a->scales >= 0 && ic_has(ic, a->scales)) {
        count = ic_floats(ic, a->scales, scales, TENSOR_MAX_RANK);
    }
    if (count >= 0)
        return count == n ? dims_from_scales(ic, a, scales, n, d)
                          : ic_err(ic, E_SHAPE, "scales has %d values, expected %d", count, n);
    for (int k = 0; k < n; k++)
        d[axis_of(a, ic_rank(ic, 0), k)] = dim_unknown();
    return 0;
}

static int resize_infer(struct infer_ctx *ic, const void *params)
{
    const struct resize *a = params;
    int rank = ic_rank(ic, 0), n = a->naxes ? a->naxes : rank;
    struct dim d[TENSOR_MAX_RANK];
    if (rank < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    int r = check_resize_axes(ic, a, rank);
    for (int i = 0; i < rank; i++)
        d[i] = ic_dim(ic, 0, i);
    if (!r)
        r = check_targets(ic, a, n);
    if (!r)
        r = resize_dims(ic, a, n, d);
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

/* What becomes of each axis; axes that stay as they are have same set. */
struct resize_plan {
    struct resize_axis axis[TENSOR_MAX_RANK];
    bool same[TENSOR_MAX_RANK];
};

/* Scale of entry k of n: as given, or what the sizes amount to. */
static double entry_scale(const struct exec_ctx *ec, const struct resize *a, int k, int n, double common)
{
    int axis = axis_of(a, ec->in[0]->rank, k);
    const struct tensor *s = a->scales >= 0 && ec_has(ec, a->scales) ? ec->in[a->scales] : NULL;
    bool sized = a->sizes >= 0 && ec_has(ec, a->sizes) && tensor_count(ec->in[a->sizes]) > 0;
    if (sized && a->aspect != ASPECT_STRETCH)
        return common;
    if (!sized && a->scale_attr)
        return (double)a->scale_attr[k];
    if (!sized && s && tensor_count(s) == n)
        return tensor_f64(s, k);
    int64_t in = ec->in[0]->dims[axis];
    return in ? (double)ec->out[0]->dims[axis] / (double)in : 1;
}

static double aspect_scale(const struct exec_ctx *ec, const struct resize *a, int n)
{
    int64_t in[TENSOR_MAX_RANK], sizes[TENSOR_MAX_RANK];
    if (a->aspect == ASPECT_STRETCH || a->sizes < 0 || !ec_has(ec, a->sizes) ||
        tensor_count(ec->in[a->sizes]) != n)
        return 1;
    for (int k = 0; k < n; k++) {
        in[k] = ec->in[0]->dims[axis_of(a, ec->in[0]->rank, k)];
        sizes[k] = tensor_i64(ec->in[a->sizes], k);
    }
    return common_scale(a, in, sizes, n);
}

static int fill_plan(struct exec_ctx *ec, const struct resize *a, struct resize_plan *p)
{
    const struct tensor *x = ec->in[0], *y = ec->out[0];
    int n = a->naxes ? a->naxes : x->rank;
    bool crop = a->coord == RS_TF_CROP_AND_RESIZE;
    if (x->rank != y->rank || n > x->rank || (a->scale_attr && a->nscale_attr != (size_t)n))
        return err_set(ec->cx, E_SHAPE, "the shapes do not fit");
    if (crop && (!ec_has(ec, a->roi) || tensor_count(ec->in[a->roi]) != 2 * n))
        return err_set(ec->cx, E_VALUE, "roi must have %d values", 2 * n);
    double common = aspect_scale(ec, a, n);
    for (int i = 0; i < x->rank; i++) {
        p->same[i] = true;
        p->axis[i] = (struct resize_axis){
            .in = x->dims[i], .out = y->dims[i], .scale = 1, .coord = a->coord, .roi_end = 1};
    }
    for (int k = 0; k < n; k++) {
        int i = axis_of(a, x->rank, k);
        struct resize_axis *ax = &p->axis[i];
        ax->scale = entry_scale(ec, a, k, n, common);
        ax->kind = a->mode == MODE_CUBIC ? RS_CUBIC : RS_LINEAR;
        ax->cubic_a = (double)a->cubic_a;
        ax->exclude_outside = a->exclude_outside;
        ax->antialias = a->antialias;
        ax->extrapolate = crop;
        if (crop) {
            ax->roi_start = tensor_f64(ec->in[a->roi], k);
            ax->roi_end = tensor_f64(ec->in[a->roi], n + k);
        }
        p->same[i] = ax->in == ax->out && ax->scale == 1 && !crop;
    }
    return 0;
}

static int resize_by_map(struct exec_ctx *ec, const struct resize *a, const struct resize_plan *p)
{
    struct map_plan plan;
    int64_t *maps[TENSOR_MAX_RANK];
    uint64_t value[2] = {0, 0};
    const struct dtype_info *info = dtype_info(ec->in[0]->dt);
    if (info->store_f64)
        info->store_f64(value, (double)a->extrapolation);
    if (!map_open(ec, &plan, maps))
        return ec->cx->err.code;
    for (int i = 0; i < plan.rank; i++) {
        if (!p->same[i])
            resize_nearest_map(&p->axis[i], a->nearest, maps[i]);
        for (int64_t k = 0; p->same[i] && k < plan.out_dims[i]; k++)
            maps[i][k] = k;
    }
    map_all(ec, &plan, value);
    return 0;
}

struct axis_job {
    resize_fn *fn;
    const struct resize_table *t;
    const char *in;
    char *out;
    int64_t extent, inner;
    size_t size;
    double extrapolation;
};

static void axis_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct axis_job *j = arg;
    j->fn(j->t, j->in + (size_t)(begin * j->extent * j->inner) * j->size,
          j->out + (size_t)(begin * j->t->out * j->inner) * j->size, (size_t)(end - begin), (size_t)j->extent,
          (size_t)j->inner, j->extrapolation);
}

/* One axis of src (its shape in dims, which is changed) into dst. */
static int resize_one(struct exec_ctx *ec, const struct resize *a, const struct resize_axis *ax, int axis,
                      int64_t *dims, int rank, enum dtype dt, const void *src, void *dst)
{
    struct resize_table t = {.out = ax->out, .taps = resize_taps(ax)};
    size_t n = (size_t)t.out * (size_t)t.taps;
    t.index = ec_scratch(ec, (n + 1) * sizeof(*t.index));
    t.weight = t.index ? ec_scratch(ec, (n + 1) * sizeof(*t.weight)) : NULL;
    if (!t.weight)
        return ec->cx->err.code;
    resize_table_fill(ax, &t);
    struct axis_job j = {
        ec->kern->resize.apply[dt], &t, src, dst, dims[axis], dims_prod(dims, axis + 1, rank), dtype_size(dt),
        (double)a->extrapolation};
    par_for(ec->pool, dims_prod(dims, 0, axis), grain_for(t.out * j.inner * t.taps), axis_range, &j);
    dims[axis] = ax->out;
    return 0;
}

/* Axis after axis, the last one first, each into a buffer of its own; the last pass writes the output. */
static int resize_by_table(struct exec_ctx *ec, const struct resize *a, const struct resize_plan *p)
{
    const struct tensor *x = ec->in[0];
    bool dbl = x->dt != DT_FLOAT && !wide_fits_f32(x->dt);
    enum dtype dt = dbl ? DT_DOUBLE : DT_FLOAT;
    const float *xf = NULL;
    const double *xd = NULL;
    float *yf = NULL;
    double *yd = NULL;
    if (!ec->kern->resize.apply[dt])
        return ec_unsupported(ec, 0);
    int r = dbl ? wide_f64(ec, 0, &xd) : wide_f32(ec, 0, &xf);
    if (!r)
        r = dbl ? wide_out_f64(ec, 0, &yd) : wide_out_f32(ec, 0, &yf);
    int64_t dims[TENSOR_MAX_RANK];
    int left = 0;
    memcpy(dims, x->dims, sizeof(dims));
    for (int i = 0; i < x->rank; i++)
        left += !p->same[i];
    const void *src = dbl ? (const void *)xd : xf;
    void *last = dbl ? (void *)yd : yf;
    for (int i = x->rank - 1; !r && i >= 0; i--) {
        if (p->same[i])
            continue;
        int64_t count = dims_prod(dims, 0, i) * dims_prod(dims, i + 1, x->rank);
        if (!mul_i64(count, p->axis[i].out, &count) || count > INT64_MAX / 16)
            return err_set(ec->cx, E_LIMIT, "an intermediate tensor is too large");
        void *dst = --left ? ec_scratch(ec, ((size_t)count + 1) * dtype_size(dt)) : last;
        if (!dst)
            return ec->cx->err.code;
        r = resize_one(ec, a, &p->axis[i], i, dims, x->rank, dt, src, dst);
        src = dst;
    }
    if (!r && src != last)
        memcpy(last, src, (size_t)tensor_count(x) * dtype_size(dt));
    if (r)
        return r;
    wide_done_f32(ec, 0, yf);
    wide_done_f64(ec, 0, yd);
    return 0;
}

static int resize_ref(struct exec_ctx *ec, const void *params)
{
    const struct resize *a = params;
    struct resize_plan p;
    if (!ec_has_out(ec, 0))
        return 0;
    int r = need_same_type(ec);
    if (!r)
        r = fill_plan(ec, a, &p);
    if (r || !tensor_count(ec->out[0]))
        return r;
    if (!tensor_count(ec->in[0]))
        return err_set(ec->cx, E_SHAPE, "an empty tensor cannot be enlarged");
    return a->mode == MODE_NEAREST ? resize_by_map(ec, a, &p) : resize_by_table(ec, a, &p);
}

#define RESIZE(opname, parse_fn)                                                                             \
    {                                                                                                        \
        .domain = "", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct resize),                \
        .parse = parse_fn, .infer = resize_infer, .ref = resize_ref,                                         \
    }

/* com.microsoft.nchwc.Upsample: whole factors, nearest or linear. */
static int blocked_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)version;
    struct resize *a = params;
    const int64_t *factors = NULL;
    size_t count = 0;
    *a = (struct resize){.coord = RS_ASYMMETRIC, .nearest = RS_FLOOR, .roi = -1, .scales = -1, .sizes = -1};
    int r = resize_choices(cx, n, a);
    if (!r)
        r = attr_ints(cx, n, "scales", &factors, &count);
    if (r < 0)
        return r;
    float *scales = arena_array(arena, count + 1, sizeof(*scales));
    if (!scales)
        return err_nomem(cx);
    for (size_t i = 0; i < count; i++)
        scales[i] = (float)factors[i];
    if (count != 4 || factors[0] != 1 || factors[1] != 1 || factors[2] < 1 || factors[3] < 1)
        return err_set(cx, E_ATTR, "attribute scales is not [1, 1, h, w]");
    if (a->mode == MODE_CUBIC)
        return err_set(cx, E_ATTR, "attribute mode is 'cubic', expected one of nearest, linear");
    a->scale_attr = scales;
    a->nscale_attr = count;
    return 0;
}

const struct op nchwc_upsample = RESIZE("Upsample", blocked_parse);
const struct op op_Resize = RESIZE("Resize", resize_parse);
const struct op op_Upsample = RESIZE("Upsample", upsample_parse);

/* ---- DepthToSpace and SpaceToDepth ---- */

struct depth {
    int64_t block;
    bool crd; /* channels vary slower than the block's columns */
    bool to_space;
};

static int depth_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    static const char *const modes[] = {"DCR", "CRD", NULL};
    struct depth *d = params;
    int mode = 0;
    d->to_space = n->op_type[0] == 'D';
    int r = attr_int(cx, n, "blocksize", &d->block);
    if (r >= 0 && (d->block < 1 || d->block > INT32_MAX))
        return err_set(cx, E_ATTR, "attribute blocksize is %lld", (long long)d->block);
    if (r >= 0)
        r = attr_choice(cx, n, "mode", modes, &mode);
    d->crd = mode == 1;
    return r < 0 ? r : 0;
}

static int depth_infer(struct infer_ctx *ic, const void *params)
{
    const struct depth *p = params;
    struct dim d[4], b = dim_const(p->block), bb = dim_const(p->block * p->block);
    int r = ic_need_rank(ic, 0, 4, 4);
    if (r || ic_rank(ic, 0) < 0)
        return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    for (int i = 0; i < 4; i++) {
        struct dim x = ic_dim(ic, 0, i);
        int64_t by = i == 0 ? 1 : p->to_space ? (i == 1 ? bb.v : 1) : i > 1 ? b.v : 1;
        if (x.kind == DIM_CONST && x.v % by)
            return ic_err(ic, E_SHAPE, "axis %d of extent %lld is no multiple of %lld", i, (long long)x.v,
                          (long long)by);
        d[i] = x;
    }
    struct symtab *t = ic->syms;
    d[1] = p->to_space ? dim_div_floor(t, d[1], bb) : dim_mul(t, d[1], bb);
    for (int i = 2; i < 4; i++)
        d[i] = p->to_space ? dim_mul(t, d[i], b) : dim_div_floor(t, d[i], b);
    return ic_out(ic, 0, ic_dtype(ic, 0), 4, d);
}

struct copy_job {
    const struct exec_ctx *ec;
    const struct copy_plan *p;
};

static void copy_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct copy_job *j = arg;
    copy_run(j->ec->kern, j->p, dtype_size(j->ec->in[0]->dt), j->ec->in[0]->data, j->ec->out[0]->data, begin,
             end);
}

static int depth_ref(struct exec_ctx *ec, const void *params)
{
    const struct depth *d = params;
    static const int64_t dcr[6] = {0, 3, 4, 1, 5, 2}, crd[6] = {0, 1, 4, 2, 5, 3},
                         dcr_back[6] = {0, 3, 5, 1, 2, 4}, crd_back[6] = {0, 1, 3, 5, 2, 4};
    struct copy_plan plan;
    if (!ec_has_out(ec, 0))
        return 0;
    int r = need_same_type(ec);
    if (r || !tensor_count(ec->out[0]))
        return r;
    const int64_t *x = ec->in[0]->dims;
    int64_t b = d->block, c = x[1] / (b * b);
    int64_t v_dcr[6] = {x[0], b, b, c, x[2], x[3]}, v_crd[6] = {x[0], c, b, b, x[2], x[3]};
    int64_t v_space[6] = {x[0], x[1], x[2] / b, b, x[3] / b, b};
    const int64_t *view = !d->to_space ? v_space : d->crd ? v_crd : v_dcr;
    const int64_t *perm = d->to_space ? (d->crd ? crd : dcr) : d->crd ? crd_back : dcr_back;
    if (copy_init_transpose(&plan, 6, view, perm))
        return err_set(ec->cx, E_SHAPE, "too many axes");
    struct copy_job j = {ec, &plan};
    int64_t units = copy_units(&plan);
    par_for(ec->pool, units, grain_for(tensor_count(ec->out[0]) / (units ? units : 1)), copy_range, &j);
    return 0;
}

#define DEPTH(opname)                                                                                        \
    {                                                                                                        \
        .domain = "", .name = opname, .tol = TOL_EXACT, .params_size = sizeof(struct depth),                 \
        .parse = depth_parse, .infer = depth_infer, .ref = depth_ref,                                        \
    }

const struct op op_DepthToSpace = DEPTH("DepthToSpace");
const struct op op_SpaceToDepth = DEPTH("SpaceToDepth");
