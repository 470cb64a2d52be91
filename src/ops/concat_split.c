/* Joining and cutting along axes: Concat, Split, Slice. */
#include <string.h>

#include "base/checked.h"
#include "ops/op_util.h"

/* ---- Concat ---- */

struct concat_params {
    int64_t axis;
};

static int concat_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct concat_params *p = params;
    (void)arena;
    p->axis = 1;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (!rc && version >= 4)
        return err_set(cx, E_ATTR, "attribute 'axis' is missing");
    return rc < 0 ? rc : 0;
}

/* The known values of rank-1 inputs, one behind the other; elements of inputs without value are unknown. */
static int concat_val(struct infer_ctx *ic)
{
    int64_t n = 0, at = 0;
    bool any = false;
    for (int i = 0; i < ic->nin; i++) {
        const struct shape_val *v = ic_val(ic, i);
        struct dim len = v ? dim_const(v->n) : ic_dim(ic, i, 0);
        if (len.kind != DIM_CONST || len.v > SHAPE_VAL_MAX)
            return 0;
        n += len.v;
        any |= v != NULL;
    }
    if (!any || n > SHAPE_VAL_MAX)
        return 0;
    struct dim *d = arena_array(ic->arena, (size_t)n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int i = 0; i < ic->nin; i++) {
        const struct shape_val *v = ic_val(ic, i);
        int64_t m = v ? v->n : ic_dim(ic, i, 0).v;
        for (int64_t k = 0; v && k < m; k++)
            d[at + k] = v->d[k];
        at += m;
    }
    return ic_out_val(ic, 0, 1, n, d);
}

/* Merges the other axes of input i into out and adds its extent along axis. */
static int concat_add(struct infer_ctx *ic, int i, int rank, int axis, struct dim *out)
{
    for (int a = 0; a < rank; a++) {
        struct dim d = ic_dim(ic, i, a);
        if (a == axis) {
            out[a] = dim_add(ic->syms, out[a], d);
            continue;
        }
        int rc = ic_unify(ic, out[a], d, "an axis that is not joined");
        if (rc)
            return rc;
        if (out[a].kind == DIM_UNKNOWN || (out[a].kind == DIM_EXPR && d.kind == DIM_CONST))
            out[a] = d;
    }
    return 0;
}

static int concat_infer(struct infer_ctx *ic, const void *params)
{
    const struct concat_params *p = params;
    struct dim out[TENSOR_MAX_RANK];
    int rank = -1, axis = 0, rc = need_inputs(ic, ic->nin > 1 ? ic->nin : 1);
    bool unknown = false;
    enum dtype dt = DT_UNDEFINED;
    for (int i = 0; !rc && i < ic->nin; i++) {
        int r = ic_rank(ic, i);
        rc = need_same_dtype(ic, 0, i);
        dt = dt != DT_UNDEFINED ? dt : ic_dtype(ic, i);
        unknown |= r < 0;
        if (rc || r < 0)
            continue;
        if (rank >= 0 && r != rank)
            return ic_err(ic, E_SHAPE, "input %d has %d axes, others have %d", i, r, rank);
        if (rank >= 0) {
            rc = concat_add(ic, i, rank, axis, out);
            continue;
        }
        rank = in_dims(ic, i, out);
        rc = rank < 0 ? rank : ic_axis(ic, p->axis, rank, &axis);
    }
    if (rc)
        return rc;
    if (unknown && rank >= 0)
        out[axis] = dim_unknown();
    rc = ic_out(ic, 0, dt, rank, out);
    return rc || rank != 1 || unknown ? rc : concat_val(ic);
}

struct piece {
    const char *from;
    char *to;
    size_t bytes, from_step, to_step;
};

struct pieces_job {
    const struct piece *pieces;
    int n;
};

/* Rows [begin, end) of every piece. */
static void pieces_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct pieces_job *j = arg;
    (void)thread;
    for (int64_t r = begin; r < end; r++)
        for (int i = 0; i < j->n; i++) {
            const struct piece *p = &j->pieces[i];
            if (p->bytes)
                memcpy(p->to + (size_t)r * p->to_step, p->from + (size_t)r * p->from_step, p->bytes);
        }
}

/* One long row is worth splitting, too. */
static void copy_pieces(struct exec_ctx *ec, const struct piece *pieces, int n, int64_t rows,
                        size_t row_bytes)
{
    struct pieces_job j = {pieces, n};
    if (rows == 1) {
        for (int i = 0; i < n; i++)
            ec_memcpy(ec, pieces[i].to, pieces[i].from, pieces[i].bytes);
        return;
    }
    ec_par(ec, rows, (int64_t)(4 * PAR_GRAIN / (row_bytes ? row_bytes : 1) + 1), pieces_range, &j);
}

static int concat_ref(struct exec_ctx *ec, const void *params)
{
    const struct concat_params *p = params;
    struct tensor *out = ec->out[0];
    int axis, rc = ec_axis(ec, p->axis, out->rank, &axis);
    if (rc)
        return rc;
    size_t size = dtype_size(out->dt), off = 0;
    size_t inner = (size_t)dims_span(out->dims, axis + 1, out->rank) * size;
    size_t row = inner * (size_t)out->dims[axis];
    struct piece *pieces = ec_scratch(ec, (size_t)ec->nin * sizeof(*pieces));
    if (!pieces)
        return ec->cx->err.code;
    for (int i = 0; i < ec->nin; i++) {
        const struct tensor *in = ec->in[i];
        size_t bytes = inner * (size_t)in->dims[axis];
        if (in->rank != out->rank || in->dt != out->dt || off + bytes > row)
            return err_set(ec->cx, E_SHAPE, "input %d does not fit the output", i);
        pieces[i] = (struct piece){in->data, (char *)out->data + off, bytes, bytes, row};
        off += bytes;
    }
    if (row)
        copy_pieces(ec, pieces, ec->nin, dims_span(out->dims, 0, axis), row);
    return 0;
}

const struct op op_Concat = {.domain = "",
                             .name = "Concat",
                             .params_size = sizeof(struct concat_params),
                             .parse = concat_parse,
                             .infer = concat_infer,
                             .ref = concat_ref};

/* ---- Split: sizes as attribute (version 2 and before 13), as input (1 and since 13), or equal parts ---- */

struct split_params {
    int64_t axis;
    const int64_t *sizes;
    size_t n;
    bool given;          /* sizes is the attribute */
    bool by_input;       /* sizes may be input 1 */
    int64_t num_outputs; /* since 18: the last part may be smaller; 0: not given */
};

static int split_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct split_params *p = params;
    (void)arena;
    int rc = attr_int(cx, n, "axis", &p->axis);
    p->by_input = version >= 13 || version < 2;
    if (rc >= 0 && version < 13) {
        rc = attr_ints(cx, n, "split", &p->sizes, &p->n);
        p->given = rc > 0 && p->n;
    }
    if (rc >= 0 && version >= 18)
        rc = attr_int(cx, n, "num_outputs", &p->num_outputs);
    if (rc == 0 && version >= 18 && (n->nin < 2 || !n->in[1]))
        return err_set(cx, E_MODEL, "neither input 'split' nor attribute num_outputs is there");
    return rc < 0 ? rc : 0;
}

/* Part o of nparts equal ones: all of ceil(d / n) but the last, which is what is left. */
static int split_even(struct infer_ctx *ic, const struct split_params *p, struct dim d, int nparts, int o,
                      struct dim *out)
{
    struct symtab *t = ic->syms;
    if (!p->num_outputs && d.kind == DIM_CONST && d.v % nparts)
        return ic_err(ic, E_SHAPE, "an axis of %lld does not split into %d equal parts", (long long)d.v,
                      nparts);
    struct dim part =
        p->num_outputs ? dim_div_ceil(t, d, dim_const(nparts)) : dim_div_floor(t, d, dim_const(nparts));
    struct dim before = dim_mul(t, part, dim_const(o));
    *out = part;
    if (p->num_outputs && d.kind == DIM_CONST) {
        int64_t left = d.v - before.v;
        *out = dim_const(left < 0 ? 0 : left < part.v ? left : part.v);
    } else if (p->num_outputs && o == nparts - 1) {
        *out = dim_sub(t, d, before);
    }
    return 0;
}

/* The extent of part o; *start its first index (unknown where it depends on unknown ones). */
static int split_part(struct infer_ctx *ic, const struct split_params *p, struct dim d, int o,
                      const struct shape_val *v, struct dim *size)
{
    if (p->given) {
        *size = dim_const(p->sizes[o]);
        return p->sizes[o] < 0 ? ic_err(ic, E_VALUE, "part %d is %lld long", o, (long long)p->sizes[o]) : 0;
    }
    if (p->by_input && ic_has(ic, 1)) {
        *size = v ? v->d[o] : dim_unknown();
        if (size->kind == DIM_CONST && size->v < 0)
            return ic_err(ic, E_VALUE, "part %d is %lld long", o, (long long)size->v);
        return 0;
    }
    return split_even(ic, p, d, ic->nout, o, size);
}

static int split_val(struct infer_ctx *ic, int o, struct dim start, struct dim size)
{
    const struct shape_val *v = ic_val(ic, 0);
    if (!v || v->rank != 1 || start.kind != DIM_CONST || size.kind != DIM_CONST || start.v < 0 ||
        start.v > v->n || size.v > v->n - start.v)
        return 0;
    return ic_out_val(ic, o, 1, size.v, v->d + start.v);
}

static int split_infer(struct infer_ctx *ic, const void *params)
{
    const struct split_params *p = params;
    struct dim dims[TENSOR_MAX_RANK], total = dim_const(0);
    int axis, rc = need_inputs(ic, 1), rank = rc ? rc : in_dims(ic, 0, dims);
    if (rank < -1)
        return rank;
    const struct shape_val *v = p->by_input && ic_has(ic, 1) ? ic_val(ic, 1) : NULL;
    if ((p->given && p->n != (size_t)ic->nout) || (v && v->n != ic->nout))
        return ic_err(ic, E_SHAPE, "%lld part sizes are given for %d outputs",
                      (long long)(p->given ? (int64_t)p->n : v->n), ic->nout);
    if (p->num_outputs && p->num_outputs != ic->nout)
        return ic_err(ic, E_SHAPE, "num_outputs is %lld, the node has %d outputs", (long long)p->num_outputs,
                      ic->nout);
    if (rank < 0) {
        for (int o = 0; !rc && o < ic->nout; o++)
            rc = ic_has_out(ic, o) ? ic_out(ic, o, ic_dtype(ic, 0), -1, NULL) : 0;
        return rc;
    }
    rc = ic_axis(ic, p->axis, rank, &axis);
    struct dim d = rc ? dim_unknown() : dims[axis];
    for (int o = 0; !rc && o < ic->nout; o++) {
        rc = split_part(ic, p, d, o, v, &dims[axis]);
        if (!rc && ic_has_out(ic, o))
            rc = ic_out(ic, o, ic_dtype(ic, 0), rank, dims);
        if (!rc && ic_has_out(ic, o))
            rc = split_val(ic, o, total, dims[axis]);
        total = dim_add(ic->syms, total, dims[axis]);
    }
    if (!rc && total.kind == DIM_CONST && d.kind == DIM_CONST && total.v != d.v)
        return ic_err(ic, E_SHAPE, "the parts are %lld long together, the axis %lld", (long long)total.v,
                      (long long)d.v);
    return rc;
}

/* Extents along the axis for all outputs: those that nobody wants have no tensor to tell it. */
static int split_sizes(struct exec_ctx *ec, const struct split_params *p, int64_t d, int64_t *sizes)
{
    const int64_t *given = p->given ? p->sizes : NULL;
    int64_t n = (int64_t)p->n, total = 0;
    if (p->by_input && ec_has(ec, 1) && !given) {
        given = ec_ints(ec, 1, &n);
        if (!given)
            return ec->cx->err.code;
    }
    if (given && n != ec->nout)
        return err_set(ec->cx, E_SHAPE, "%lld part sizes are given for %d outputs", (long long)n, ec->nout);
    int64_t part = d / ec->nout + (d % ec->nout != 0);
    for (int o = 0; o < ec->nout; o++) {
        sizes[o] = given ? given[o] : d - total < part ? d - total : part;
        if (sizes[o] < 0 || sizes[o] > d - total)
            return err_set(ec->cx, E_SHAPE, "part %d of length %lld does not fit an axis of %lld", o,
                           (long long)sizes[o], (long long)d);
        total += sizes[o];
    }
    return 0;
}

static int split_ref(struct exec_ctx *ec, const void *params)
{
    const struct split_params *p = params;
    const struct tensor *in = ec->in[0];
    int axis, n = 0, rc = ec_axis(ec, p->axis, in->rank, &axis);
    if (!ec->nout)
        return 0;
    int64_t *sizes = ec_scratch(ec, (size_t)ec->nout * sizeof(*sizes));
    struct piece *pieces = ec_scratch(ec, (size_t)ec->nout * sizeof(*pieces));
    if (rc || !sizes || !pieces)
        return rc ? rc : ec->cx->err.code;
    rc = split_sizes(ec, p, in->dims[axis], sizes);
    if (rc)
        return rc;
    size_t inner = (size_t)dims_span(in->dims, axis + 1, in->rank) * dtype_size(in->dt);
    size_t row = inner * (size_t)in->dims[axis], off = 0;
    for (int o = 0; o < ec->nout; o++) {
        size_t bytes = inner * (size_t)sizes[o];
        if (ec_wants(ec, o)) {
            if (ec->out[o]->rank != in->rank || ec->out[o]->dims[axis] != sizes[o])
                return err_set(ec->cx, E_SHAPE, "part %d does not fit its output", o);
            pieces[n++] = (struct piece){(const char *)in->data + off, ec->out[o]->data, bytes, row, bytes};
        }
        off += bytes;
    }
    if (row)
        copy_pieces(ec, pieces, n, dims_span(in->dims, 0, axis), row);
    return 0;
}

const struct op op_Split = {.domain = "",
                            .name = "Split",
                            .params_size = sizeof(struct split_params),
                            .parse = split_parse,
                            .infer = split_infer,
                            .ref = split_ref};

/* ---- Slice: starts, ends and axes are attributes before opset 10; since then inputs, with steps ---- */

struct slice_params {
    bool by_attr;
    const int64_t *starts, *ends, *axes;
    size_t nstarts, nends, naxes;
    bool has_axes;
};

static int slice_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct slice_params *p = params;
    (void)arena;
    p->by_attr = version < 10;
    if (!p->by_attr)
        return 0;
    int rc = attr_ints(cx, n, "starts", &p->starts, &p->nstarts);
    if (rc >= 0)
        rc = attr_ints(cx, n, "ends", &p->ends, &p->nends);
    if (rc >= 0) {
        rc = attr_ints(cx, n, "axes", &p->axes, &p->naxes);
        p->has_axes = rc > 0;
    }
    if (rc >= 0 && (p->nstarts != p->nends || (p->has_axes && p->naxes != p->nstarts)))
        return err_set(cx, E_ATTR, "attributes 'starts', 'ends' and 'axes' differ in length");
    return rc < 0 ? rc : 0;
}

/* The extent of [start, end) by step on an axis of d, all numbers; *first is where it begins. */
static int64_t slice_extent(int64_t d, int64_t start, int64_t end, int64_t step, int64_t *first)
{
    int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? d : d - 1;
    start = start < 0 ? (start < -d ? -1 : start + d) : start;
    end = end < 0 ? (end < -d ? -1 : end + d) : end;
    start = start < lo ? lo : start > hi ? hi : start;
    end = end < lo ? lo : end > d ? d : end;
    *first = start;
    if (step > 0 ? start >= end : start <= end)
        return 0;
    uint64_t span = step > 0 ? (uint64_t)(end - start) : (uint64_t)(start - end);
    uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    return (int64_t)((span - 1) / by + 1);
}

/* An index on a symbolic axis of extent d, clamped to [0, d]; unknown when its sign is not known. */
static struct dim slice_bound(struct symtab *t, struct dim d, struct dim v)
{
    if (v.kind == DIM_UNKNOWN || d.kind == DIM_UNKNOWN)
        return dim_unknown();
    if (v.kind == DIM_CONST && v.v >= INT32_MAX)
        return d;
    if (dim_same(v, d))
        return d;
    if (v.kind == DIM_CONST && v.v < 0)
        return dim_max(t, dim_const(0), dim_add(t, d, v));
    if (dim_is(v, 0))
        return v;
    if (dim_cmp_ge(t, v, dim_const(0)) <= 0)
        return dim_unknown();
    return dim_cmp_ge(t, d, v) > 0 ? v : dim_min(t, d, v);
}

static struct dim slice_dim(struct infer_ctx *ic, struct dim d, struct dim s, struct dim e, struct dim step)
{
    struct symtab *t = ic->syms;
    if (step.kind != DIM_CONST)
        return dim_unknown();
    if (d.kind == DIM_CONST && s.kind == DIM_CONST && e.kind == DIM_CONST) {
        int64_t first;
        return dim_const(slice_extent(d.v, s.v, e.v, step.v, &first));
    }
    if (step.v < 0) /* the whole axis backwards is the one form that keeps its extent */
        return step.v == -1 && dim_is(s, -1) && e.kind == DIM_CONST && e.v <= -INT32_MAX ? d : dim_unknown();
    struct dim from = slice_bound(t, d, s), to = slice_bound(t, d, e);
    if (from.kind == DIM_UNKNOWN || to.kind == DIM_UNKNOWN)
        return dim_unknown();
    if (dim_is(from, 0) && step.v == 1)
        return to;
    struct dim span = dim_sub(t, to, from);
    /* [s, d) with s clamped to d: never below zero. */
    if (dim_cmp_ge(t, span, dim_const(0)) <= 0)
        span = dim_same(to, d) && s.kind == DIM_CONST && s.v >= 0 ? dim_max(t, dim_const(0), dim_sub(t, d, s))
                                                                  : dim_max(t, dim_const(0), span);
    return step.v == 1 ? span : dim_div_ceil(t, span, step);
}

/* starts, ends, axes and steps as known at inference. */
struct slice_spec {
    int n; /* -1: how many is not known */
    struct dim start[TENSOR_MAX_RANK], end[TENSOR_MAX_RANK], step[TENSOR_MAX_RANK];
    int axis[TENSOR_MAX_RANK];
    bool axes_known;
};

static int slice_input(struct infer_ctx *ic, int i, int n, struct dim *out)
{
    const struct shape_val *v = ic_has(ic, i) ? ic_val(ic, i) : NULL;
    if (v && v->n != n)
        return ic_err(ic, E_SHAPE, "input %d has %lld elements, starts has %d", i, (long long)v->n, n);
    for (int k = 0; k < n; k++)
        out[k] = v ? v->d[k] : dim_unknown();
    return v != NULL;
}

static int64_t slice_count(struct infer_ctx *ic, const struct slice_params *p)
{
    if (p->by_attr)
        return (int64_t)p->nstarts;
    for (int i = 1; i < 5; i++) {
        const struct shape_val *v = ic_has(ic, i) ? ic_val(ic, i) : NULL;
        if (v)
            return v->n;
        if (ic_has(ic, i) && ic_rank(ic, i) == 1 && ic_dim(ic, i, 0).kind == DIM_CONST)
            return ic_dim(ic, i, 0).v;
    }
    return -1;
}

static int slice_read(struct infer_ctx *ic, const struct slice_params *p, int rank, struct slice_spec *s)
{
    int64_t n = slice_count(ic, p);
    struct dim axes[TENSOR_MAX_RANK];
    if (n > rank)
        return ic_err(ic, E_SHAPE, "%lld axes are sliced, the input has %d", (long long)n, rank);
    s->n = (int)n;
    s->axes_known = true;
    for (int k = 0; k < s->n; k++) {
        axes[k] = dim_const(p->by_attr && p->has_axes ? p->axes[k] : k);
        s->step[k] = dim_const(1);
        if (p->by_attr) {
            s->start[k] = dim_const(p->starts[k]);
            s->end[k] = dim_const(p->ends[k]);
        }
    }
    if (!p->by_attr && n >= 0) {
        int rc = slice_input(ic, 1, s->n, s->start);
        rc = rc < 0 ? rc : slice_input(ic, 2, s->n, s->end);
        if (rc >= 0 && ic_has(ic, 4))
            rc = slice_input(ic, 4, s->n, s->step);
        if (rc >= 0 && ic_has(ic, 3))
            rc = slice_input(ic, 3, s->n, axes);
        if (rc < 0)
            return rc;
    }
    for (int k = 0; k < s->n; k++) {
        if (axes[k].kind != DIM_CONST) {
            s->axes_known = false;
            continue;
        }
        int rc = ic_axis(ic, axes[k].v, rank, &s->axis[k]);
        if (rc)
            return rc;
        if (dim_is(s->step[k], 0))
            return ic_err(ic, E_VALUE, "the step of axis %lld is 0", (long long)axes[k].v);
    }
    return 0;
}

static int slice_val(struct infer_ctx *ic, const struct slice_spec *s)
{
    const struct shape_val *v = ic_val(ic, 0);
    if (!v || v->rank != 1)
        return 0;
    int64_t first = 0, step = 1, n = v->n;
    if (s->n == 1) {
        if (s->start[0].kind != DIM_CONST || s->end[0].kind != DIM_CONST || s->step[0].kind != DIM_CONST)
            return 0;
        step = s->step[0].v;
        n = slice_extent(v->n, s->start[0].v, s->end[0].v, step, &first);
    }
    struct dim *d = arena_array(ic->arena, (size_t)n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < n; i++)
        d[i] = v->d[first + i * step];
    return ic_out_val(ic, 0, 1, n, d);
}

static int slice_infer(struct infer_ctx *ic, const void *params)
{
    const struct slice_params *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    struct slice_spec s = {0};
    int rc = need_inputs(ic, p->by_attr ? 1 : 3), rank = rc ? rc : in_dims(ic, 0, dims);
    for (int i = 1; !rc && !p->by_attr && i < 5; i++)
        rc = ic_has(ic, i) ? need_index_dtype(ic, i) : 0;
    if (rc || rank < -1)
        return rc ? rc : rank;
    if (rank < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    rc = slice_read(ic, p, rank, &s);
    if (rc)
        return rc;
    if (s.n < 0 || !s.axes_known)
        return out_rank(ic, 0, ic_dtype(ic, 0), rank);
    for (int k = 0; k < s.n; k++)
        dims[s.axis[k]] = slice_dim(ic, ic_dim(ic, 0, s.axis[k]), s.start[k], s.end[k], s.step[k]);
    rc = ic_out(ic, 0, ic_dtype(ic, 0), rank, dims);
    return rc || rank != 1 ? rc : slice_val(ic, &s);
}

/* Input i or the attribute as numbers: NULL when neither is there (or on error). */
static const int64_t *slice_list(struct exec_ctx *ec, bool by_attr, const int64_t *attr, size_t nattr, int i,
                                 int64_t *n)
{
    *n = (int64_t)nattr;
    if (by_attr)
        return attr;
    return ec_has(ec, i) ? ec_ints(ec, i, n) : NULL;
}

static int slice_ref(struct exec_ctx *ec, const void *params)
{
    const struct slice_params *p = params;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    int64_t first[TENSOR_MAX_RANK] = {0}, step[TENSOR_MAX_RANK], extent[TENSOR_MAX_RANK], n, m, origin;
    const int64_t *starts = slice_list(ec, p->by_attr, p->starts, p->nstarts, 1, &n);
    const int64_t *ends = slice_list(ec, p->by_attr, p->ends, p->nends, 2, &m);
    if (n && (!starts || !ends || n != m))
        return err_set(ec->cx, E_SHAPE, "starts and ends are missing or differ in length");
    const int64_t *axes = slice_list(ec, p->by_attr, p->axes, p->naxes, 3, &m);
    if (axes && m != n)
        return err_set(ec->cx, E_SHAPE, "%lld axes are listed, %lld starts", (long long)m, (long long)n);
    const int64_t *steps = p->by_attr ? NULL : slice_list(ec, false, NULL, 0, 4, &m);
    if (steps && m != n)
        return err_set(ec->cx, E_SHAPE, "%lld steps are listed, %lld starts", (long long)m, (long long)n);
    for (int a = 0; a < in->rank; a++) {
        step[a] = 1;
        extent[a] = in->dims[a];
    }
    for (int64_t k = 0; k < n; k++) {
        int axis, rc = ec_axis(ec, axes ? axes[k] : k, in->rank, &axis);
        if (rc)
            return rc;
        step[axis] = steps ? steps[k] : 1;
        if (!step[axis])
            return err_set(ec->cx, E_VALUE, "the step of axis %d is 0", axis);
        extent[axis] = slice_extent(in->dims[axis], starts[k], ends[k], step[axis], &first[axis]);
        if (extent[axis] <= 1)
            step[axis] = 1; /* a huge step would overflow the copy's strides */
    }
    if (out->rank != in->rank || (in->rank && memcmp(extent, out->dims, sizeof(*extent) * (size_t)in->rank)))
        return err_set(ec->cx, E_SHAPE, "the slice does not fit the output");
    if (!tensor_count(out))
        return 0;
    struct copy_plan plan;
    if (copy_init_slice(&plan, in->rank, in->dims, first, step, out->dims, &origin))
        return err_set(ec->cx, E_SHAPE, "too many axes");
    size_t size = dtype_size(in->dt);
    ec_copy(ec, &plan, size, (const char *)in->data + (size_t)origin * size, out->data);
    return 0;
}

const struct op op_Slice = {.domain = "",
                            .name = "Slice",
                            .params_size = sizeof(struct slice_params),
                            .parse = slice_parse,
                            .infer = slice_infer,
                            .ref = slice_ref};
