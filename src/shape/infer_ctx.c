/* What shape inference of an operator may ask and answer. */
#include "shape/infer_ctx.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- inputs ---- */

bool ic_has(const struct infer_ctx *ic, int i)
{
    return i >= 0 && i < ic->nin && i < ic->node->nin && ic->node->in[i];
}

bool ic_has_out(const struct infer_ctx *ic, int o)
{
    return o >= 0 && o < ic->nout && o < ic->node->nout && ic->node->out[o];
}

const struct type *ic_type(const struct infer_ctx *ic, int i)
{
    return i >= 0 && i < ic->nin ? ic->in[i] : NULL;
}

static const struct type *tensor_in(const struct infer_ctx *ic, int i)
{
    const struct type *t = ic_type(ic, i);
    return t && t->kind == TY_TENSOR ? t : NULL;
}

enum dtype ic_dtype(const struct infer_ctx *ic, int i)
{
    const struct type *t = tensor_in(ic, i);
    return t ? t->dt : DT_UNDEFINED;
}

int ic_rank(const struct infer_ctx *ic, int i)
{
    const struct type *t = tensor_in(ic, i);
    return t ? t->rank : -1;
}

struct dim ic_dim(const struct infer_ctx *ic, int i, int axis)
{
    const struct type *t = tensor_in(ic, i);
    if (!t || axis < 0 || axis >= t->rank)
        return dim_unknown();
    return dim_resolve(ic->syms, t->dims[axis]);
}

/* What is kept once found is no change that a caller could see. */
const struct tensor *ic_const(const struct infer_ctx *ic, int i)
{
    if (i < 0 || i >= ic->nin)
        return NULL;
    if (!ic->konst[i] && ic->get_const && ic_has(ic, i))
        ic->konst[i] = ic->get_const((struct infer_ctx *)ic, i);
    return ic->konst[i];
}

/* Whether a tensor of that type is a shape value at all: looked at before anything is read from a file. */
static bool small_int(const struct type *t)
{
    if (!t || t->kind != TY_TENSOR || t->rank < 0 || t->rank > 1)
        return false;
    if (!dtype_is_int(t->dt) && t->dt != DT_BOOL)
        return false;
    return t->rank == 0 || (t->dims[0].kind == DIM_CONST && t->dims[0].v <= SHAPE_VAL_MAX);
}

const struct shape_val *ic_val(const struct infer_ctx *ic, int i)
{
    if (i < 0 || i >= ic->nin)
        return NULL;
    if (ic->val[i] || !small_int(ic->in[i]))
        return ic->val[i];
    const struct tensor *k = ic_const(ic, i);
    if (!k || k->kind != RT_TENSOR || k->rank > 1 || (!dtype_is_int(k->dt) && k->dt != DT_BOOL))
        return NULL;
    int64_t n = tensor_count(k);
    struct shape_val *v = n <= SHAPE_VAL_MAX ? arena_zalloc(ic->arena, sizeof(*v)) : NULL;
    struct dim *d = v ? arena_array(ic->arena, (size_t)n, sizeof(*d)) : NULL;
    if (!d)
        return NULL;
    for (int64_t j = 0; j < n; j++)
        d[j] = dim_const(tensor_i64(k, j));
    *v = (struct shape_val){k->rank, n, d};
    ic->val[i] = v;
    return v;
}

int ic_ints(const struct infer_ctx *ic, int i, int64_t *out, int cap)
{
    const struct shape_val *v = ic_val(ic, i);
    if (!v || v->n > cap)
        return -1;
    for (int64_t j = 0; j < v->n; j++) {
        struct dim d = dim_resolve(ic->syms, v->d[j]);
        if (d.kind != DIM_CONST)
            return -1;
        out[j] = d.v;
    }
    return (int)v->n;
}

int ic_floats(const struct infer_ctx *ic, int i, float *out, int cap)
{
    const struct type *t = tensor_in(ic, i);
    if (!t || !dtype_is_float(t->dt) || t->rank < 0 || t->rank > 1)
        return -1;
    const struct tensor *k = ic_const(ic, i);
    if (!k || k->kind != RT_TENSOR || !dtype_is_float(k->dt) || tensor_count(k) > cap)
        return -1;
    for (int64_t j = 0; j < tensor_count(k); j++)
        out[j] = (float)tensor_f64(k, j);
    return (int)tensor_count(k);
}

/* ---- outputs ---- */

int ic_out_type(struct infer_ctx *ic, int o, const struct type *t)
{
    if (o >= 0 && o < ic->nout)
        ic->out[o] = (struct type *)t; /* never written through: results are replaced, not changed */
    return 0;
}

int ic_out(struct infer_ctx *ic, int o, enum dtype dt, int rank, const struct dim *dims)
{
    if (o < 0 || o >= ic->nout)
        return 0;
    if (rank > TENSOR_MAX_RANK)
        return ic_err(ic, E_UNSUPPORTED, "output %d has rank %d, more than %d", o, rank, TENSOR_MAX_RANK);
    struct type *t = arena_zalloc(ic->arena, sizeof(*t));
    if (!t)
        return err_nomem(ic->cx);
    t->kind = TY_TENSOR;
    t->dt = dt;
    t->rank = rank < 0 ? -1 : rank;
    if (rank > 0) {
        t->dims = arena_array(ic->arena, (size_t)rank, sizeof(*t->dims));
        if (!t->dims)
            return err_nomem(ic->cx);
    }
    for (int i = 0; dims && i < rank; i++) {
        t->dims[i] = dim_resolve(ic->syms, dims[i]);
        if (t->dims[i].kind == DIM_CONST && t->dims[i].v < 0)
            return ic_err(ic, E_SHAPE, "output %d gets a negative dim %" PRId64 " at axis %d", o,
                          t->dims[i].v, i);
    }
    return ic_out_type(ic, o, t);
}

int ic_out_same(struct infer_ctx *ic, int o, int i)
{
    return ic_out_type(ic, o, ic_type(ic, i));
}

int ic_out_like(struct infer_ctx *ic, int o, int i, enum dtype dt)
{
    const struct type *t = tensor_in(ic, i);
    return t ? ic_out(ic, o, dt, t->rank, t->dims) : ic_out(ic, o, dt, -1, NULL);
}

int ic_out_val(struct infer_ctx *ic, int o, int rank, int64_t n, const struct dim *d)
{
    if (o < 0 || o >= ic->nout || rank < 0 || rank > 1 || n < 0 || n > SHAPE_VAL_MAX)
        return 0;
    struct shape_val *v = arena_zalloc(ic->arena, sizeof(*v));
    struct dim *copy = v ? arena_array(ic->arena, (size_t)n, sizeof(*copy)) : NULL;
    if (!copy)
        return err_nomem(ic->cx);
    bool any = n == 0;
    for (int64_t i = 0; i < n; i++) {
        copy[i] = dim_resolve(ic->syms, d[i]);
        any |= copy[i].kind != DIM_UNKNOWN;
    }
    *v = (struct shape_val){rank, n, copy};
    if (any)
        ic->out_val[o] = v;
    return 0;
}

/* ---- checks ---- */

int ic_err(struct infer_ctx *ic, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    code = err_vset(ic->cx, code, fmt, ap);
    va_end(ap);
    return code;
}

int ic_axis(struct infer_ctx *ic, int64_t axis, int rank, int *out)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return ic_err(ic, E_VALUE, "axis %" PRId64 " is outside [%d, %d]", axis, -rank, rank - 1);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return 0;
}

int ic_unify(struct infer_ctx *ic, struct dim a, struct dim b, const char *what)
{
    char x[128], y[128];
    if (dim_unify(ic->syms, a, b))
        return 0;
    return ic_err(ic, E_SHAPE, "%s: %s and %s differ", what, dim_text(dim_resolve(ic->syms, a), x, sizeof(x)),
                  dim_text(dim_resolve(ic->syms, b), y, sizeof(y)));
}

int ic_need_rank(struct infer_ctx *ic, int i, int lo, int hi)
{
    char want[48];
    int r = ic_rank(ic, i);
    if (r < 0 || (r >= lo && r <= hi))
        return 0;
    if (lo == hi)
        snprintf(want, sizeof(want), "%d", lo);
    else if (hi >= TENSOR_MAX_RANK)
        snprintf(want, sizeof(want), "at least %d", lo);
    else
        snprintf(want, sizeof(want), "%d to %d", lo, hi);
    return ic_err(ic, E_SHAPE, "input %d '%s': rank %d, expected %s", i,
                  ic_has(ic, i) ? ic->node->in[i]->name : "", r, want);
}
