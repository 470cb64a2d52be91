/* Softmax, LogSoftmax, Hardmax. Before version 13 the axes from `axis` on count as one. */
#include "ops/wide.h"

#include <stdio.h>
#include <string.h>

enum softmax_kind { SM_SOFTMAX, SM_LOG_SOFTMAX, SM_HARDMAX };

struct softmax {
    enum softmax_kind kind;
    int64_t axis;
    bool flatten; /* all axes from axis on are one row */
};

static int softmax_read(struct cx *cx, const struct node *n, int version, enum softmax_kind kind,
                        void *params)
{
    struct softmax *s = params;
    s->kind = kind;
    s->flatten = version < 13;
    s->axis = s->flatten ? 1 : -1;
    int r = attr_int(cx, n, "axis", &s->axis);
    return r < 0 ? r : 0;
}

static int softmax_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    return softmax_read(cx, n, version, SM_SOFTMAX, params);
}

static int log_softmax_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                             void *params)
{
    (void)arena;
    return softmax_read(cx, n, version, SM_LOG_SOFTMAX, params);
}

static int hardmax_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena;
    return softmax_read(cx, n, version, SM_HARDMAX, params);
}

static int softmax_infer(struct infer_ctx *ic, const void *params)
{
    const struct softmax *s = params;
    int rank = ic_rank(ic, 0), axis;
    if (rank >= 0 && !(s->flatten && s->axis == rank) && !(rank == 0 && (s->axis == 0 || s->axis == -1))) {
        int r = ic_axis(ic, s->axis, rank, &axis);
        if (r)
            return r;
    }
    return ic_out_same(ic, 0, 0);
}

static softmax_fn *softmax_row(const struct kern *k, enum softmax_kind kind, enum dtype dt)
{
    switch (kind) {
    case SM_SOFTMAX:
        return k->norm.softmax[dt];
    case SM_LOG_SOFTMAX:
        return k->norm.log_softmax[dt];
    case SM_HARDMAX:
        return k->norm.hardmax[dt];
    }
    return NULL;
}

static struct red_shape softmax_shape(const struct softmax *s, const struct tensor *x)
{
    int axis = (int)(s->axis < 0 ? s->axis + x->rank : s->axis);
    if (x->rank == 0)
        return red_shape(1, 1, 1);
    int end = s->flatten ? x->rank : axis + 1;
    return red_shape((size_t)dims_prod(x->dims, 0, axis), (size_t)dims_prod(x->dims, axis, end),
                     (size_t)dims_prod(x->dims, end, x->rank));
}

struct softmax_job {
    softmax_fn *fn;
    struct red_shape shape;
    const char *in;
    char *out;
    size_t size;
};

static void softmax_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct softmax_job *j = arg;
    struct red_shape s = j->shape;
    size_t off = (size_t)begin * s.reduce * s.inner * j->size;
    s.outer = (size_t)(end - begin);
    j->fn(j->in + off, j->out + off, &s);
}

static int softmax_ref(struct exec_ctx *ec, const void *params)
{
    const struct softmax *s = params;
    const struct tensor *x = ec->in[0];
    bool wide = x->dt == DT_FLOAT16 || x->dt == DT_BFLOAT16;
    struct softmax_job j = {.fn = softmax_row(ec->kern, s->kind, wide ? DT_FLOAT : x->dt)};
    if (!j.fn)
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0) || !tensor_count(x))
        return 0;
    j.shape = softmax_shape(s, x);
    const float *in = NULL;
    float *out = NULL;
    if (wide) {
        int r = wide_f32(ec, 0, &in);
        if (!r)
            r = wide_out_f32(ec, 0, &out);
        if (r)
            return r;
    }
    j.size = dtype_size(wide ? DT_FLOAT : x->dt);
    j.in = wide ? (const char *)in : x->data;
    j.out = wide ? (char *)out : ec->out[0]->data;
    int64_t row = (int64_t)(j.shape.reduce * j.shape.inner);
    par_for(ec->pool, (int64_t)j.shape.outer, grain_for(row * 4), softmax_range, &j);
    wide_done_f32(ec, 0, out);
    return 0;
}

static bool softmax_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    const struct softmax *s = params;
    enum dtype dt = bc_dtype(bc, 0);
    if (dt == DT_UNDEFINED || softmax_row(bc->kern, s->kind, wide_fits_f32(dt) ? DT_FLOAT : dt))
        return true;
    snprintf(why, size, "element type %s", dtype_name(dt));
    return false;
}

#define SOFTMAX(opname, parse_fn)                                                                            \
    {                                                                                                        \
        .domain = "", .name = opname, .flags = OP_INPLACE, .tol = TOL_ROUND,                                 \
        .params_size = sizeof(struct softmax), .parse = parse_fn, .infer = softmax_infer,                    \
        .ref = softmax_ref, .supports = softmax_supports,                                                    \
    }

const struct op op_Hardmax = SOFTMAX("Hardmax", hardmax_parse);
const struct op op_LogSoftmax = SOFTMAX("LogSoftmax", log_softmax_parse);
const struct op op_Softmax = SOFTMAX("Softmax", softmax_parse);
