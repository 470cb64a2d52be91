/* What operators of one or two operands an element share: shapes, known values, running over threads. */
#include "ops/binary.h"

#include <string.h>

#include "kern/bcast.h"
#include "kern/cast.h"

int op_row_find(const struct op_row *rows, const char *name)
{
    for (; rows->name; rows++)
        if (!strcmp(rows->name, name))
            return rows->op;
    return -1;
}

int binary_legacy(struct cx *cx, const struct node *n, int version, struct binary_params *p)
{
    int64_t on = 0;
    p->legacy = version < 7;
    if (!p->legacy)
        return 0;
    int rc = attr_int(cx, n, "broadcast", &on);
    if (rc < 0)
        return rc;
    p->broadcast = on != 0;
    rc = attr_int(cx, n, "axis", &p->axis);
    p->has_axis = rc > 0;
    return rc < 0 ? rc : 0;
}

/* ---- known values ---- */

static struct dim truth(int v)
{
    return v > 0 ? dim_const(1) : v < 0 ? dim_const(0) : dim_unknown();
}

/* a >= b + extra: -1 no, 0 unknown, 1 yes. */
static int known_ge(struct symtab *t, struct dim a, struct dim b, int extra)
{
    if (a.kind == DIM_UNKNOWN || b.kind == DIM_UNKNOWN)
        return 0;
    return dim_cmp_ge(t, a, dim_add(t, b, dim_const(extra)));
}

static struct dim val_eq(struct symtab *t, struct dim a, struct dim b)
{
    if (dim_same(a, b))
        return dim_const(1);
    if (a.kind == DIM_CONST && b.kind == DIM_CONST)
        return dim_const(0);
    if (known_ge(t, a, b, 1) > 0 || known_ge(t, b, a, 1) > 0)
        return dim_const(0);
    return dim_unknown();
}

static struct dim val_div(struct symtab *t, struct dim a, struct dim b)
{
    if (a.kind == DIM_CONST && b.kind == DIM_CONST) {
        if (!b.v)
            return dim_const(0);
        if (b.v == -1)
            return dim_sub(t, dim_const(0), a);
        return dim_const(a.v / b.v);
    }
    /* Floor division is truncation for what shapes are made of: values from 0 up. */
    bool sizes = known_ge(t, a, dim_const(0), 0) > 0 && known_ge(t, b, dim_const(0), 0) > 0;
    return sizes ? dim_div_even(t, a, b) : dim_div_floor(t, a, b);
}

static struct dim val_mod(struct symtab *t, struct dim a, struct dim b, bool fmod)
{
    if (a.kind == DIM_CONST && b.kind == DIM_CONST) {
        if (!b.v || b.v == -1)
            return dim_const(0);
        int64_t r = a.v % b.v;
        return dim_const(!fmod && r && (r < 0) != (b.v < 0) ? r + b.v : r);
    }
    return dim_sub(t, a, dim_mul(t, b, dim_div_floor(t, a, b)));
}

static struct dim val_logic(enum bin_op op, struct dim a, struct dim b)
{
    if (a.kind == DIM_CONST && b.kind == DIM_CONST)
        return dim_const(op == BIN_AND ? a.v & b.v : op == BIN_OR ? a.v | b.v : a.v ^ b.v);
    if (op == BIN_AND && (dim_is(a, 0) || dim_is(b, 0)))
        return dim_const(0);
    return dim_unknown();
}

static struct dim val_binary(struct symtab *t, enum bin_op op, struct dim a, struct dim b)
{
    switch (op) {
    case BIN_ADD:
        return dim_add(t, a, b);
    case BIN_SUB:
        return dim_sub(t, a, b);
    case BIN_MUL:
        return dim_mul(t, a, b);
    case BIN_DIV:
        return val_div(t, a, b);
    case BIN_MOD:
    case BIN_FMOD:
        return val_mod(t, a, b, op == BIN_FMOD);
    case BIN_MAX:
        return dim_max(t, a, b);
    case BIN_MIN:
        return dim_min(t, a, b);
    case BIN_EQ:
        return val_eq(t, a, b);
    case BIN_LT:
        return truth(known_ge(t, b, a, 1));
    case BIN_LE:
        return truth(known_ge(t, b, a, 0));
    case BIN_GT:
        return truth(known_ge(t, a, b, 1));
    case BIN_GE:
        return truth(known_ge(t, a, b, 0));
    case BIN_AND:
    case BIN_OR:
    case BIN_XOR:
        return val_logic(op, a, b);
    default:
        return dim_unknown();
    }
}

int binary_val(struct infer_ctx *ic, enum bin_op op)
{
    const struct shape_val *a = ic_val(ic, 0), *b = ic_val(ic, 1);
    if (!a || !b || (a->n != b->n && a->n != 1 && b->n != 1))
        return 0;
    int64_t n = a->n == 1 ? b->n : a->n;
    struct dim *d = arena_array(ic->arena, (size_t)n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    bool any = n == 0;
    for (int64_t i = 0; i < n; i++) {
        struct dim x = a->d[a->n == 1 ? 0 : i], y = b->d[b->n == 1 ? 0 : i];
        if (x.kind != DIM_UNKNOWN && y.kind != DIM_UNKNOWN)
            d[i] = val_binary(ic->syms, op, x, y);
        any |= d[i].kind != DIM_UNKNOWN;
    }
    return any ? ic_out_val(ic, 0, a->rank > b->rank ? a->rank : b->rank, n, d) : 0;
}

/* ---- shapes ---- */

/* Axis of A at which B's first axis stands. */
static int legacy_start(const struct binary_params *p, int arank, int brank)
{
    int64_t axis = p->has_axis ? p->axis : arank - brank;
    if (axis < 0)
        axis += arank;
    return axis < 0 || axis + brank > arank ? -1 : (int)axis;
}

static int legacy_infer(struct infer_ctx *ic, const struct binary_params *p, enum dtype dt)
{
    struct dim a[TENSOR_MAX_RANK], b[TENSOR_MAX_RANK];
    int arank = in_dims(ic, 0, a), brank = in_dims(ic, 1, b);
    if (arank < -1 || brank < -1)
        return E_SHAPE;
    if (arank < 0 || brank < 0)
        return ic_out(ic, 0, dt, arank, a);
    if (!p->broadcast && arank != brank)
        return ic_err(ic, E_SHAPE, "ranks %d and %d differ and broadcast is not set", arank, brank);
    int start = legacy_start(p, arank, brank);
    if (start < 0)
        return ic_err(ic, E_SHAPE, "axis %lld does not let %d axes stand in %d", (long long)p->axis, brank,
                      arank);
    for (int i = 0; i < brank; i++) {
        struct dim ignored;
        int rc = p->broadcast ? ic_broadcast_dim(ic, a[start + i], b[i], &ignored)
                              : ic_unify(ic, a[start + i], b[i], "without broadcast, operand axis");
        if (rc)
            return rc;
    }
    return ic_out(ic, 0, dt, arank, a);
}

int binary_infer(struct infer_ctx *ic, const void *params)
{
    const struct binary_params *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    int rank, rc = need_inputs(ic, 2);
    /* Pow's exponent and a shift of legacy files may have a type of their own. */
    if (!rc && p->op != BIN_POW)
        rc = need_same_dtype(ic, 0, 1);
    if (rc)
        return rc;
    enum dtype dt = bin_is_compare(p->op) ? DT_BOOL : ic_dtype(ic, 0);
    if (dt == DT_UNDEFINED && p->op != BIN_POW)
        dt = ic_dtype(ic, 1);
    if (p->legacy)
        return legacy_infer(ic, p, dt);
    rc = ic_broadcast(ic, (const int[]){0, 1}, 2, &rank, dims);
    if (!rc)
        rc = ic_out(ic, 0, dt, rank, dims);
    return rc ? rc : binary_val(ic, p->op);
}

/* ---- running two operands ---- */

struct binary_job {
    const struct kern *kern;
    struct bcast_plan plan;
    enum bin_op op;
    enum dtype adt, bdt;
    const void *a, *b;
    void *out;
};

static void binary_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct binary_job *j = arg;
    (void)thread;
    if (j->op == BIN_POW)
        bcast_pow(j->kern, &j->plan, j->adt, j->bdt, j->a, j->b, j->out, begin, end);
    else
        bcast_bin(j->kern, &j->plan, j->op, j->adt, j->a, j->b, j->out, begin, end);
}

static bool str_equal(const struct ostr *a, const struct ostr *b)
{
    return a->n == b->n && (!a->n || !memcmp(a->p, b->p, a->n));
}

struct string_job {
    const struct ostr *a, *b;
    uint8_t *out;
};

static void string_row(void *arg, int64_t out_off, size_t n, const int64_t *off, const bool *scalar)
{
    struct string_job *j = arg;
    for (size_t i = 0; i < n; i++)
        j->out[(size_t)out_off + i] =
            str_equal(j->a + off[0] + (scalar[0] ? 0 : i), j->b + off[1] + (scalar[1] ? 0 : i));
}

/* Shapes as the plan wants them: operand b may get extents of 1 behind. */
static int run_shaped(struct exec_ctx *ec, enum bin_op op, const struct tensor *a, const struct tensor *b,
                      int brank, const int64_t *bdims, struct tensor *out)
{
    struct binary_job j = {.kern = ec->kern, .op = op, .adt = a->dt, .bdt = b->dt};
    struct bcast_in in[2] = {{a->rank, a->dims}, {brank, bdims}};
    if (bcast_init(&j.plan, out->rank, out->dims, 2, in))
        return err_set(ec->cx, E_SHAPE, "operands do not broadcast to the output");
    if (!j.plan.total)
        return 0;
    j.a = a->data;
    j.b = b->data;
    j.out = out->data;
    if (a->dt == DT_STRING && b->dt == DT_STRING && op == BIN_EQ) {
        struct string_job s = {a->data, b->data, out->data};
        bcast_rows(&j.plan, 0, j.plan.total, string_row, &s);
        return 0;
    }
    if (op == BIN_POW ? !cast_supported(a->dt, DT_DOUBLE) || !cast_supported(b->dt, DT_DOUBLE)
                      : a->dt != b->dt || !bin_supported(ec->kern, op, a->dt))
        return ec_unsupported(ec, a->dt == b->dt ? 0 : 1);
    ec_par(ec, j.plan.total, PAR_GRAIN, binary_range, &j);
    return 0;
}

int binary_run(struct exec_ctx *ec, enum bin_op op, const struct tensor *a, const struct tensor *b,
               struct tensor *out)
{
    return run_shaped(ec, op, a, b, b->rank, b->dims, out);
}

int binary_ref(struct exec_ctx *ec, const void *params)
{
    const struct binary_params *p = params;
    const struct tensor *a = ec->in[0], *b = ec->in[1];
    int64_t dims[TENSOR_MAX_RANK];
    if (!p->legacy)
        return binary_run(ec, p->op, a, b, ec->out[0]);
    int start = legacy_start(p, a->rank, b->rank);
    if (start < 0)
        return err_set(ec->cx, E_SHAPE, "axis %lld is out of range", (long long)p->axis);
    int rank = a->rank - start;
    for (int i = 0; i < rank; i++)
        dims[i] = i < b->rank ? b->dims[i] : 1;
    return run_shaped(ec, p->op, a, b, rank, dims, ec->out[0]);
}

/* ---- one operand ---- */

static bool un_gives_bool(enum un_op op)
{
    return op == UN_IS_NAN || op == UN_IS_INF || op == UN_NOT;
}

int unary_infer(struct infer_ctx *ic, const void *params)
{
    const struct unary_params *p = params;
    int rc = need_inputs(ic, 1);
    if (rc)
        return rc;
    if (un_gives_bool(p->op))
        return ic_out_like(ic, 0, 0, DT_BOOL);
    rc = ic_out_same(ic, 0, 0);
    const struct shape_val *v = ic_val(ic, 0);
    if (rc || !v || (p->op != UN_NEG && p->op != UN_ABS))
        return rc;
    struct dim *d = arena_array(ic->arena, (size_t)v->n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < v->n; i++) {
        bool keep = p->op == UN_ABS && dim_cmp_ge(ic->syms, v->d[i], dim_const(0)) > 0;
        if (keep)
            d[i] = v->d[i];
        else if (p->op == UN_NEG || v->d[i].kind == DIM_CONST)
            d[i] = dim_sub(ic->syms, dim_const(0), v->d[i]);
    }
    return ic_out_val(ic, 0, v->rank, v->n, d);
}

struct unary_job {
    const struct kern *kern;
    const struct unary_params *p;
    enum dtype dt;
    size_t in_size, out_size;
    const char *in;
    char *out;
};

static void unary_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct unary_job *j = arg;
    (void)thread;
    un_run(j->kern, j->p->op, j->dt, j->in + (size_t)begin * j->in_size, j->out + (size_t)begin * j->out_size,
           (size_t)(end - begin), &j->p->k);
}

/* Types without a row: through float (narrow floats) or double (integers), block by block. */
static void unary_wide(void *arg, int64_t begin, int64_t end, int thread)
{
    enum { BLOCK = 256 };
    double in[BLOCK], out[BLOCK]; /* or floats */
    struct unary_job *j = arg;
    bool narrow = dtype_info(j->dt)->cls == CLS_FLOAT;
    enum dtype wide = narrow ? DT_FLOAT : DT_DOUBLE;
    (void)thread;
    for (int64_t i = begin; i < end; i += BLOCK) {
        size_t n = (size_t)(end - i < BLOCK ? end - i : BLOCK);
        char *dst = j->out + (size_t)i * j->out_size;
        cast_run(j->kern, j->dt, wide, j->in + (size_t)i * j->in_size, in, n, NULL);
        un_run(j->kern, j->p->op, wide, in, un_gives_bool(j->p->op) ? (void *)dst : out, n, &j->p->k);
        if (!un_gives_bool(j->p->op))
            cast_run(j->kern, wide, j->dt, out, dst, n, NULL);
    }
}

int unary_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    const struct unary_params *p = params;
    struct unary_job j = {
        ec->kern, p, in->dt, dtype_size(in->dt), dtype_size(ec->out[0]->dt), in->data, ec->out[0]->data};
    if (un_supported(ec->kern, p->op, in->dt)) {
        ec_par(ec, tensor_count(in), PAR_GRAIN, unary_range, &j);
        return 0;
    }
    enum dtype wide = dtype_info(in->dt)->cls == CLS_FLOAT ? DT_FLOAT : DT_DOUBLE;
    if (!cast_supported(in->dt, wide) || !un_supported(ec->kern, p->op, wide))
        return ec_unsupported(ec, 0);
    ec_par(ec, tensor_count(in), PAR_GRAIN, unary_wide, &j);
    return 0;
}
