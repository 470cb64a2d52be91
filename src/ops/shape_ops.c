/* Shapes and layout: Shape, Size, Reshape and its kin, Transpose, Expand, Tile. */
#include <string.h>

#include "base/checked.h"
#include "ops/op_util.h"

/* ---- Shape, Size ---- */

struct shape_params {
    int64_t start, end;
    bool has_end;
};

static int shape_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct shape_params *p = params;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "start", &p->start);
    if (rc < 0)
        return rc;
    rc = attr_int(cx, n, "end", &p->end);
    p->has_end = rc > 0;
    return rc < 0 ? rc : 0;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The axes [*from, *to) that Shape reports. */
static void shape_range(const struct shape_params *p, int rank, int *from, int *to)
{
    int64_t s = p->start < 0 && p->start >= -rank ? p->start + rank : p->start;
    int64_t e = !p->has_end ? rank : p->end < 0 && p->end >= -rank ? p->end + rank : p->end;
    *from = (int)clamp(s, 0, rank);
    *to = (int)clamp(e, *from, rank);
}

static int shape_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK], len = dim_unknown();
    int from, to, rc = need_inputs(ic, 1), rank = rc ? -1 : in_dims(ic, 0, dims);
    if (rc || rank < -1)
        return rc ? rc : rank;
    if (rank < 0)
        return ic_out(ic, 0, DT_INT64, 1, &len);
    shape_range(params, rank, &from, &to);
    len = dim_const(to - from);
    rc = ic_out(ic, 0, DT_INT64, 1, &len);
    return rc ? rc : ic_out_val(ic, 0, 1, to - from, dims + from);
}

static int shape_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    int64_t *out = ec->out[0]->data;
    int from, to;
    shape_range(params, in->rank, &from, &to);
    for (int a = from; a < to; a++)
        out[a - from] = in->dims[a];
    return 0;
}

const struct op op_Shape = {.domain = "",
                            .name = "Shape",
                            .flags = OP_SHAPE_ONLY,
                            .params_size = sizeof(struct shape_params),
                            .parse = shape_parse,
                            .infer = shape_infer,
                            .ref = shape_ref};

static int size_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK];
    (void)params;
    int rc = need_inputs(ic, 1), rank = rc ? -1 : in_dims(ic, 0, dims);
    if (!rc && rank < -1)
        rc = rank;
    if (!rc)
        rc = ic_out(ic, 0, DT_INT64, 0, NULL);
    if (rc || rank < 0)
        return rc;
    struct dim count = dims_mul(ic, dims, 0, rank);
    return count.kind == DIM_UNKNOWN ? 0 : ic_out_val(ic, 0, 0, 1, &count);
}

static int size_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    *(int64_t *)ec->out[0]->data = tensor_count(ec->in[0]);
    return 0;
}

const struct op op_Size = {
    .domain = "", .name = "Size", .flags = OP_SHAPE_ONLY, .infer = size_infer, .ref = size_ref};

/* ---- operators that keep the elements in order ---- */

/* The known value of input 0 stands for output 0 too, where that has rank 0 or 1. */
static int keep_val(struct infer_ctx *ic, int rank)
{
    const struct shape_val *v = ic_val(ic, 0);
    if (!v || rank < 0 || rank > 1 || (rank == 0 && v->n != 1))
        return 0;
    return ic_out_val(ic, 0, rank, v->n, v->d);
}

static int identity_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = need_inputs(ic, 1);
    if (!rc)
        rc = ic_out_same(ic, 0, 0);
    return rc ? rc : keep_val(ic, ic_rank(ic, 0));
}

const struct op op_Identity = {
    .domain = "", .name = "Identity", .flags = OP_VIEW, .infer = identity_infer, .ref = ref_view};

struct reshape_params {
    bool by_attr, allowzero;
    const int64_t *shape;
    size_t n;
};

static int reshape_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct reshape_params *p = params;
    int64_t allowzero = 0;
    (void)arena;
    p->by_attr = version < 5;
    if (p->by_attr) {
        int rc = attr_ints(cx, n, "shape", &p->shape, &p->n);
        return rc < 0 ? rc : 0;
    }
    int rc = attr_int(cx, n, "allowzero", &allowzero);
    p->allowzero = allowzero != 0;
    return rc < 0 ? rc : 0;
}

/* in's elements over the product of out's other dims. Equal factors are cancelled first, which keeps symbols
 * exact and gives an answer where a zero stands on both sides. */
static struct dim missing_dim(struct infer_ctx *ic, const struct dim *in, int irank, const struct dim *out,
                              int orank, int hole)
{
    bool used[TENSOR_MAX_RANK] = {false};
    struct dim num = dim_const(1), den = dim_const(1);
    for (int o = 0; o < orank; o++) {
        int hit = -1;
        if (o == hole)
            continue;
        for (int i = 0; i < irank && hit < 0; i++)
            if (!used[i] && dim_same(in[i], out[o]))
                hit = i;
        if (hit >= 0)
            used[hit] = true;
        else
            den = dim_mul(ic->syms, den, out[o]);
    }
    for (int i = 0; i < irank; i++)
        if (!used[i])
            num = dim_mul(ic->syms, num, in[i]);
    if (num.kind == DIM_CONST && den.kind == DIM_CONST)
        return den.v && num.v % den.v == 0 ? dim_const(num.v / den.v) : dim_const(-1);
    return dim_div_even(ic->syms, num, den);
}

/* Fills out[n] from the requested shape (0: copy, -1: what is left). */
static int reshape_dims(struct infer_ctx *ic, const struct reshape_params *p, const struct dim *in, int irank,
                        const struct dim *want, int n, struct dim *out)
{
    int hole = -1, unknown = -1, nunknown = 0;
    bool open = irank < 0;
    for (int o = 0; o < n; o++) {
        out[o] = want[o];
        if (dim_is(want[o], 0) && !p->allowzero) {
            if (irank >= 0 && o >= irank)
                return ic_err(ic, E_SHAPE, "dim %d of the shape is 0 (copy), but the input has %d axes", o,
                              irank);
            out[o] = irank < 0 ? dim_unknown() : in[o];
        } else if (want[o].kind == DIM_CONST && want[o].v < 0) {
            if (want[o].v < -1 || hole >= 0)
                return ic_err(ic, E_SHAPE,
                              hole >= 0 ? "more than one dim of the shape is -1"
                                        : "a dim of the shape is < -1");
            hole = o;
        }
        if (out[o].kind == DIM_UNKNOWN) {
            unknown = o;
            nunknown++;
        }
    }
    /* One dim that is not known follows from the others, whether it turns out to be -1 or not. */
    if (hole < 0 && nunknown == 1) {
        hole = unknown;
        nunknown = 0;
    }
    open |= nunknown > 0;
    if (hole >= 0)
        out[hole] = irank < 0 ? dim_unknown() : missing_dim(ic, in, irank, out, n, hole);
    if (hole >= 0 && dim_is(out[hole], -1))
        return ic_err(ic, E_SHAPE, "the elements of the input do not divide into the other dims");
    struct dim have = dims_mul(ic, in, 0, open ? 0 : irank), need = dims_mul(ic, out, 0, open ? 0 : n);
    if (have.kind == DIM_CONST && need.kind == DIM_CONST && have.v != need.v)
        return ic_err(ic, E_SHAPE, "%lld elements do not fit a shape of %lld", (long long)have.v,
                      (long long)need.v);
    return 0;
}

/* The requested shape, as far as it is known; its length, -1 unknown. */
static int reshape_want(struct infer_ctx *ic, const struct reshape_params *p, struct dim *want)
{
    if (p->by_attr) {
        if (p->n > TENSOR_MAX_RANK)
            return ic_err(ic, E_SHAPE, "the shape has %zu axes, at most %d are supported", p->n,
                          TENSOR_MAX_RANK);
        for (size_t i = 0; i < p->n; i++)
            want[i] = dim_const(p->shape[i]);
        return (int)p->n;
    }
    const struct shape_val *v = ic_val(ic, 1);
    struct dim len = ic_rank(ic, 1) == 1 ? ic_dim(ic, 1, 0) : dim_unknown();
    if ((v && v->n > TENSOR_MAX_RANK) || (len.kind == DIM_CONST && len.v > TENSOR_MAX_RANK))
        return ic_err(ic, E_SHAPE, "the shape has more than %d axes", TENSOR_MAX_RANK);
    if (v) {
        memcpy(want, v->d, (size_t)v->n * sizeof(*want));
        return (int)v->n;
    }
    if (len.kind != DIM_CONST)
        return -1;
    for (int i = 0; i < len.v; i++)
        want[i] = dim_unknown();
    return (int)len.v;
}

/* A requested dim that is an expression may turn out -1 or 0 only if that was possible; symbols are dims.
 * An unknown one may be -1: then nothing follows for it. */
static int reshape_infer(struct infer_ctx *ic, const void *params)
{
    const struct reshape_params *p = params;
    struct dim in[TENSOR_MAX_RANK], want[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    int rc = need_inputs(ic, p->by_attr ? 1 : 2);
    if (!rc && !p->by_attr)
        rc = need_index_dtype(ic, 1);
    if (rc)
        return rc;
    int irank = in_dims(ic, 0, in), n = irank < -1 ? irank : reshape_want(ic, p, want);
    if (n < -1)
        return n;
    if (n < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    rc = reshape_dims(ic, p, in, irank, want, n, out);
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), n, out);
    return rc ? rc : keep_val(ic, n);
}

const struct op op_Reshape = {.domain = "",
                              .name = "Reshape",
                              .flags = OP_VIEW,
                              .params_size = sizeof(struct reshape_params),
                              .parse = reshape_parse,
                              .infer = reshape_infer,
                              .ref = ref_view};

/* One axis attribute, 1 unless given. */
struct axis_params {
    int64_t axis;
};

static int flatten_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct axis_params *p = params;
    (void)arena, (void)version;
    p->axis = 1;
    int rc = attr_int(cx, n, "axis", &p->axis);
    return rc < 0 ? rc : 0;
}

static int flatten_infer(struct infer_ctx *ic, const void *params)
{
    const struct axis_params *p = params;
    struct dim in[TENSOR_MAX_RANK], out[2];
    int rc = need_inputs(ic, 1), rank = rc ? rc : in_dims(ic, 0, in);
    if (rank < -1)
        return rank;
    if (rank < 0)
        return out_rank(ic, 0, ic_dtype(ic, 0), 2);
    int64_t axis = p->axis < 0 ? p->axis + rank : p->axis;
    if (axis < 0 || axis > rank)
        return ic_err(ic, E_VALUE, "axis %lld is out of range [%d, %d]", (long long)p->axis, -rank, rank);
    out[0] = dims_mul(ic, in, 0, (int)axis);
    out[1] = dims_mul(ic, in, (int)axis, rank);
    return ic_out(ic, 0, ic_dtype(ic, 0), 2, out);
}

const struct op op_Flatten = {.domain = "",
                              .name = "Flatten",
                              .flags = OP_VIEW,
                              .params_size = sizeof(struct axis_params),
                              .parse = flatten_parse,
                              .infer = flatten_infer,
                              .ref = ref_view};

/* ---- Squeeze, Unsqueeze: axes are an attribute before opset 13, an input since ---- */

struct squeeze_params {
    const int64_t *axes;
    int n; /* -1: not an attribute */
};

static int squeeze_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct squeeze_params *p = params;
    size_t count = 0;
    (void)arena;
    p->n = -1;
    if (version >= 13)
        return 0;
    int rc = attr_ints(cx, n, "axes", &p->axes, &count);
    if (rc > 0)
        p->n = count > 64 ? 64 : (int)count; /* more than any rank: refused by the rank check */
    return rc < 0 ? rc : 0;
}

static int squeeze_infer(struct infer_ctx *ic, const void *params)
{
    const struct squeeze_params *p = params;
    struct dim in[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    int64_t axes[TENSOR_MAX_RANK];
    bool drop[TENSOR_MAX_RANK];
    int rc = need_inputs(ic, 1), rank = rc ? rc : in_dims(ic, 0, in), m = 0;
    if (rank < -1)
        return rank;
    int n = axes_of(ic, 1, p->axes, p->n, axes, TENSOR_MAX_RANK);
    if (n < -2)
        return n;
    struct dim len = n == -2 && ic_rank(ic, 1) == 1 ? ic_dim(ic, 1, 0) : dim_unknown();
    if (rank < 0 || n == -2)
        return out_rank(ic, 0, ic_dtype(ic, 0),
                        rank >= 0 && len.kind == DIM_CONST && len.v <= rank ? rank - (int)len.v : -1);
    rc = axes_mask(ic, axes, n < 0 ? 0 : n, rank, drop);
    for (int a = 0; !rc && a < rank; a++) {
        if (n < 0 && in[a].kind != DIM_CONST)
            return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
        if (n < 0)
            drop[a] = in[a].v == 1;
        if (drop[a])
            rc = ic_unify(ic, in[a], dim_const(1), "a squeezed axis");
        else
            out[m++] = in[a];
    }
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), m, out);
    return rc ? rc : keep_val(ic, m);
}

const struct op op_Squeeze = {.domain = "",
                              .name = "Squeeze",
                              .flags = OP_VIEW,
                              .params_size = sizeof(struct squeeze_params),
                              .parse = squeeze_parse,
                              .infer = squeeze_infer,
                              .ref = ref_view};

static int unsqueeze_infer(struct infer_ctx *ic, const void *params)
{
    const struct squeeze_params *p = params;
    struct dim in[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    int64_t axes[TENSOR_MAX_RANK];
    bool fresh[TENSOR_MAX_RANK];
    int rc = need_inputs(ic, p->n >= 0 ? 1 : 2), rank = rc ? rc : in_dims(ic, 0, in);
    if (rank < -1)
        return rank;
    int n = axes_of(ic, 1, p->axes, p->n, axes, TENSOR_MAX_RANK);
    if (n < -2)
        return n;
    struct dim len = n == -2 && ic_rank(ic, 1) == 1 ? ic_dim(ic, 1, 0) : dim_unknown();
    bool counted = rank >= 0 && len.kind == DIM_CONST && len.v >= 0 && len.v <= TENSOR_MAX_RANK - rank;
    if (rank < 0 || n < 0)
        return out_rank(ic, 0, ic_dtype(ic, 0), counted ? rank + (int)len.v : -1);
    if (rank + n > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "%d axes would result, at most %d are supported", rank + n,
                      TENSOR_MAX_RANK);
    rc = axes_mask(ic, axes, n, rank + n, fresh);
    for (int a = 0, i = 0; !rc && a < rank + n; a++)
        out[a] = fresh[a] ? dim_const(1) : in[i++];
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), rank + n, out);
    return rc ? rc : keep_val(ic, rank + n);
}

const struct op op_Unsqueeze = {.domain = "",
                                .name = "Unsqueeze",
                                .flags = OP_VIEW,
                                .params_size = sizeof(struct squeeze_params),
                                .parse = squeeze_parse,
                                .infer = unsqueeze_infer,
                                .ref = ref_view};

/* ---- Transpose ---- */

struct perm_params {
    const int64_t *perm;
    size_t n;
    bool given;
};

static int transpose_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct perm_params *p = params;
    (void)arena, (void)version;
    int rc = attr_ints(cx, n, "perm", &p->perm, &p->n);
    p->given = rc > 0 && p->n;
    return rc < 0 ? rc : 0;
}

/* perm[rank], reversed axes when none is given; E_VALUE when it is no permutation of that rank. */
static int transpose_perm(struct cx *cx, const struct perm_params *p, int rank, int64_t *perm)
{
    bool seen[TENSOR_MAX_RANK] = {false};
    if (p->given && p->n != (size_t)rank)
        return err_set(cx, E_VALUE, "perm lists %zu axes, the input has %d", p->n, rank);
    for (int i = 0; i < rank; i++) {
        int64_t a = p->given ? p->perm[i] : rank - 1 - i;
        a += a < 0 ? rank : 0;
        if (a < 0 || a >= rank || seen[a])
            return err_set(cx, E_VALUE, "perm is no permutation of %d axes (its element %d is %lld)", rank, i,
                           (long long)a);
        seen[a] = true;
        perm[i] = a;
    }
    return 0;
}

static int transpose_infer(struct infer_ctx *ic, const void *params)
{
    const struct perm_params *p = params;
    struct dim in[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    int64_t perm[TENSOR_MAX_RANK];
    int rc = need_inputs(ic, 1), rank = rc ? rc : in_dims(ic, 0, in);
    if (rank < -1)
        return rank;
    if (rank < 0)
        return out_rank(ic, 0, ic_dtype(ic, 0), p->given && p->n <= TENSOR_MAX_RANK ? (int)p->n : -1);
    rc = transpose_perm(ic->cx, p, rank, perm);
    for (int i = 0; !rc && i < rank; i++)
        out[i] = in[perm[i]];
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), rank, out);
    return rc ? rc : keep_val(ic, rank);
}

static int transpose_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    struct copy_plan plan;
    int64_t perm[TENSOR_MAX_RANK];
    int rc = transpose_perm(ec->cx, params, in->rank, perm);
    if (!rc && copy_init_transpose(&plan, in->rank, in->dims, perm))
        rc = err_set(ec->cx, E_SHAPE, "too many axes");
    if (!rc)
        ec_copy(ec, &plan, dtype_size(in->dt), in->data, ec->out[0]->data);
    return rc;
}

const struct op op_Transpose = {.domain = "",
                                .name = "Transpose",
                                .params_size = sizeof(struct perm_params),
                                .parse = transpose_parse,
                                .infer = transpose_infer,
                                .ref = transpose_ref};

/* ---- Expand, Tile ---- */

/* A list of dims in integer input i as far as known: its length, -1 unknown, below on error. */
static int dims_input(struct infer_ctx *ic, int i, struct dim *out)
{
    const struct shape_val *v = ic_val(ic, i);
    struct dim len = ic_rank(ic, i) == 1 ? ic_dim(ic, i, 0) : dim_unknown();
    int64_t n = v ? v->n : len.kind == DIM_CONST ? len.v : -1;
    if (n > TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "input %d lists %lld axes, at most %d are supported", i, (long long)n,
                      TENSOR_MAX_RANK);
    for (int64_t a = 0; a < n; a++)
        out[a] = v ? v->d[a] : dim_unknown();
    return (int)n;
}

/* E_LIMIT unless the numbers among dims multiply within int64. */
static int check_count(struct infer_ctx *ic, const struct dim *dims, int rank)
{
    int64_t n = 1;
    for (int a = 0; a < rank; a++)
        if (dim_is(dims[a], 0))
            return 0;
    for (int a = 0; a < rank; a++)
        if (dims[a].kind == DIM_CONST && !mul_i64(n, dims[a].v, &n))
            return ic_err(ic, E_LIMIT, "the output would have more than 2^63 elements");
    return 0;
}

static int expand_infer(struct infer_ctx *ic, const void *params)
{
    struct dim in[TENSOR_MAX_RANK], want[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    (void)params;
    int rc = need_inputs(ic, 2);
    if (!rc)
        rc = need_index_dtype(ic, 1);
    if (rc)
        return rc;
    int irank = in_dims(ic, 0, in), n = irank < -1 ? irank : dims_input(ic, 1, want);
    if (n < -1)
        return n;
    if (irank < 0 || n < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    int rank = irank > n ? irank : n;
    for (int o = 0; !rc && o < rank; o++) {
        int i = o - (rank - irank), w = o - (rank - n);
        struct dim a = i < 0 ? dim_const(1) : in[i], b = w < 0 ? dim_const(1) : want[w];
        if (b.kind == DIM_CONST && b.v < 0)
            return ic_err(ic, E_VALUE, "dim %d of the shape is %lld", w, (long long)b.v);
        rc = ic_broadcast_dim(ic, a, b, &out[o]);
    }
    if (!rc)
        rc = check_count(ic, out, rank);
    if (!rc)
        rc = ic_out(ic, 0, ic_dtype(ic, 0), rank, out);
    const struct shape_val *v = ic_val(ic, 0);
    if (rc || !v || v->n != 1 || rank > 1 || (rank == 1 && out[0].kind != DIM_CONST) ||
        (rank == 1 && out[0].v > SHAPE_VAL_MAX))
        return rc;
    int64_t count = rank ? out[0].v : 1;
    struct dim *d = arena_array(ic->arena, (size_t)count + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < count; i++)
        d[i] = v->d[0];
    return ic_out_val(ic, 0, rank, count, d);
}

static int expand_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    struct copy_plan plan;
    (void)params;
    if (copy_init_expand(&plan, in->rank, in->dims, out->rank, out->dims))
        return err_set(ec->cx, E_SHAPE, "the input does not broadcast to the shape");
    ec_copy(ec, &plan, dtype_size(in->dt), in->data, out->data);
    return 0;
}

const struct op op_Expand = {.domain = "", .name = "Expand", .infer = expand_infer, .ref = expand_ref};

/* Before opset 6: inputs are the data, a count and an axis. */
struct tile_params {
    bool one_axis;
};

static int tile_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct tile_params *p = params;
    (void)cx, (void)arena, (void)n;
    p->one_axis = version < 6;
    return 0;
}

/* An integer that an input of any real type holds, in its first element. */
static bool first_int(struct infer_ctx *ic, int i, int64_t *out)
{
    const struct tensor *t = ic_const(ic, i);
    if (t && tensor_count(t) > 0 && dtype_info(t->dt)->load_i64) {
        *out = tensor_i64(t, 0);
        return true;
    }
    return ic_ints(ic, i, out, 1) == 1;
}

static int tile_reps(struct infer_ctx *ic, const struct tile_params *p, int rank, struct dim *reps)
{
    if (p->one_axis) {
        int64_t count, want;
        int axis, rc;
        if (rank < 0 || !first_int(ic, 1, &count) || !first_int(ic, 2, &want))
            return -1;
        rc = ic_axis(ic, want, rank, &axis);
        for (int a = 0; a < rank; a++)
            reps[a] = dim_const(1);
        if (!rc)
            reps[axis] = dim_const(count);
        return rc ? rc : rank;
    }
    return dims_input(ic, 1, reps);
}

static int tile_infer(struct infer_ctx *ic, const void *params)
{
    const struct tile_params *p = params;
    struct dim in[TENSOR_MAX_RANK], reps[TENSOR_MAX_RANK], out[TENSOR_MAX_RANK];
    int rc = need_inputs(ic, p->one_axis ? 3 : 2), rank = rc ? rc : in_dims(ic, 0, in);
    if (rank < -1)
        return rank;
    int n = tile_reps(ic, p, rank, reps);
    if (n < -1)
        return n;
    if (rank < 0 || n < 0)
        return out_rank(ic, 0, ic_dtype(ic, 0), rank < 0 ? n : rank);
    if (n != rank)
        return ic_err(ic, E_SHAPE, "%d repeats are given for %d axes", n, rank);
    for (int a = 0; a < rank; a++) {
        if (reps[a].kind == DIM_CONST && reps[a].v < 0)
            return ic_err(ic, E_VALUE, "repeat %d is %lld", a, (long long)reps[a].v);
        out[a] = dim_mul(ic->syms, in[a], reps[a]);
        if (in[a].kind == DIM_CONST && reps[a].kind == DIM_CONST && out[a].kind != DIM_CONST)
            return ic_err(ic, E_LIMIT, "axis %d of the output would exceed 2^63", a);
    }
    rc = check_count(ic, out, rank);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank, out);
}

struct map_job {
    const struct kern *kern;
    struct map_plan plan;
    size_t size;
    const void *in;
    void *out;
};

static void map_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct map_job *j = arg;
    uint64_t none[2] = {0};
    (void)thread;
    map_run(j->kern, &j->plan, j->size, j->in, j->out, none, begin, end);
}

static int tile_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    struct map_job j = {.kern = ec->kern, .size = dtype_size(in->dt), .in = in->data, .out = out->data};
    (void)params;
    if (!tensor_count(out))
        return 0;
    j.plan.rank = in->rank;
    for (int a = 0; a < in->rank; a++) {
        int64_t *map = ec_scratch(ec, (size_t)out->dims[a] * sizeof(*map));
        if (!map)
            return ec->cx->err.code;
        map_tile(in->dims[a], out->dims[a], map);
        j.plan.in_dims[a] = in->dims[a];
        j.plan.out_dims[a] = out->dims[a];
        j.plan.maps[a] = map;
    }
    if (!in->rank) {
        memcpy(out->data, in->data, j.size);
        return 0;
    }
    int64_t row = out->dims[out->rank - 1];
    ec_par(ec, map_units(&j.plan), PAR_GRAIN / (row ? row : 1) + 1, map_range, &j);
    return 0;
}

const struct op op_Tile = {.domain = "",
                           .name = "Tile",
                           .params_size = sizeof(struct tile_params),
                           .parse = tile_parse,
                           .infer = tile_infer,
                           .ref = tile_ref};
