/* FusedMatMul and TransposeMatMul of com.microsoft: alpha A B with numpy's shapes, where either operand may
 * be read transposed. Nothing is rearranged: transposing exchanges strides.
 *
 * transX exchanges the last two axes; transBatchX reads an operand as [rows, batch..., columns] instead of
 * [batch..., rows, columns], and then transX exchanges what have become rows and columns. */
#include "ops/contrib.h"

#include <stdio.h>
#include <string.h>

#include "ops/matmul_op.h"

struct fused_mm {
    float alpha;
    bool trans[2], batch[2];
};

static int mm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const names[4] = {"transA", "transB", "transBatchA", "transBatchB"};
    struct fused_mm *p = params;
    (void)arena, (void)version;
    p->alpha = 1;
    int rc = contrib_inputs(cx, n, 2, 2, 3);
    if (!rc)
        rc = attr_float(cx, n, "alpha", &p->alpha);
    for (int i = 0; rc >= 0 && i < 4; i++) {
        int64_t v = 0;
        rc = attr_int(cx, n, names[i], &v);
        *(i < 2 ? &p->trans[i] : &p->batch[i - 2]) = v != 0;
    }
    return rc < 0 ? rc : 0;
}

/* Where axis k of [batch..., rows, columns] lies among the operand's own; rank at least 2. */
static int axis_from(const struct fused_mm *p, int op, int rank, int k)
{
    int last = rank - 1;
    if (k >= rank - 2 && p->trans[op])
        k = 2 * rank - 3 - k;
    if (!p->batch[op] || k == last)
        return k;
    return k == last - 1 ? 0 : k + 1;
}

/* ---- shapes ---- */

static int logical_dims(struct infer_ctx *ic, const struct fused_mm *p, int op, struct dim *d)
{
    int rank = ic_rank(ic, op);
    for (int k = 0; k < rank; k++)
        d[k] = ic_dim(ic, op, rank > 1 ? axis_from(p, op, rank, k) : k);
    return rank;
}

static int mm_infer(struct infer_ctx *ic, const void *params)
{
    struct dim a[TENSOR_MAX_RANK], b[TENSOR_MAX_RANK], d[TENSOR_MAX_RANK];
    int rc = need_same_dtype(ic, 0, 1);
    for (int i = 0; !rc && i < 2; i++)
        rc = ic_need_rank(ic, i, 1, TENSOR_MAX_RANK);
    if (rc)
        return rc;
    int ra = logical_dims(ic, params, 0, a), rb = logical_dims(ic, params, 1, b), rank = 0;
    if (ra < 0 || rb < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    rc = ic_unify(ic, a[ra - 1], b[rb > 1 ? rb - 2 : 0], "inner dimension");
    int na = ra > 2 ? ra - 2 : 0, nb = rb > 2 ? rb - 2 : 0, n = na > nb ? na : nb;
    for (; !rc && rank < n; rank++) {
        int ia = rank - (n - na), ib = rank - (n - nb);
        rc = ic_broadcast_dim(ic, ia >= 0 ? a[ia] : dim_const(1), ib >= 0 ? b[ib] : dim_const(1), &d[rank]);
    }
    if (rc)
        return rc;
    if (ra > 1)
        d[rank++] = a[ra - 2];
    if (rb > 1)
        d[rank++] = b[rb - 1];
    return ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

static int mm_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct fused_mm *p = params;
    struct dim a[TENSOR_MAX_RANK];
    int rc = ic->out[0] ? 0 : mm_infer(ic, params);
    const struct type *y = ic->out[0];
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (!rc && y && y->rank >= 0 && ic_rank(ic, 0) >= 1)
        out->macs =
            dim_mul(ic->syms, dims_prod_expr(ic, y->dims, 0, y->rank), a[logical_dims(ic, p, 0, a) - 1]);
    return rc;
}

/* ---- running ---- */

/* An operand as [batch..., rows, columns], extents and strides in elements. */
struct operand {
    struct extents e;
    int64_t stride[TENSOR_MAX_RANK];
};

static void operand_of(const struct tensor *t, const struct fused_mm *p, int op, struct operand *o)
{
    int64_t own[TENSOR_MAX_RANK], step = 1;
    for (int k = t->rank - 1; k >= 0; k--) {
        own[k] = step;
        step *= t->dims[k];
    }
    o->e.rank = t->rank;
    for (int k = 0; k < t->rank; k++) {
        int from = t->rank > 1 ? axis_from(p, op, t->rank, k) : k;
        o->e.dims[k] = t->dims[from];
        o->stride[k] = own[from];
    }
}

/* Element at which matrix number i of the operand begins. */
static int64_t matrix_at(const struct operand *o, int64_t i)
{
    int64_t at = 0;
    for (int k = o->e.rank - 3; k >= 0; k--) {
        at += i % o->e.dims[k] * o->stride[k];
        i /= o->e.dims[k];
    }
    return at;
}

struct mm_job {
    struct exec_ctx *ec;
    enum dtype dt; /* that is computed in: float or double */
    struct batches s;
    struct operand a, b;
    const char *pa, *pb, *packed; /* packed: B's only matrix, made at bind; NULL */
    char *y, *scratch;
    size_t scratch_bytes; /* a thread */
    double alpha;
    struct pool *pool; /* inside one product */
};

static void mm_strides(const struct operand *o, bool left, int64_t *rs, int64_t *cs)
{
    int r = o->e.rank;
    if (r > 1) {
        *rs = o->stride[r - 2];
        *cs = o->stride[r - 1];
    } else {
        *rs = left ? 0 : 1;
        *cs = left ? 1 : 0;
    }
}

static void fill_f32(const struct mm_job *j, int64_t i, struct gemm_f32 *g)
{
    *g = (struct gemm_f32){.m = j->s.m, .n = j->s.n, .k = j->s.k, .ldc = j->s.n};
    gemm_epi_init(&g->epi);
    g->epi.alpha = (float)j->alpha;
    mm_strides(&j->a, true, &g->a_rs, &g->a_cs);
    mm_strides(&j->b, false, &g->b_rs, &g->b_cs);
    g->a = (const float *)j->pa + matrix_at(&j->a, j->s.a_at[i]);
    g->b_packed = j->packed;
    if (!j->packed)
        g->b = (const float *)j->pb + matrix_at(&j->b, j->s.b_at[i]);
    g->c = (float *)j->y + i * j->s.m * j->s.n;
}

static void run_f64(const struct mm_job *j, int64_t i)
{
    struct gemm_ref g = {.m = j->s.m, .n = j->s.n, .k = j->s.k, .ldc = j->s.n, .alpha = j->alpha};
    mm_strides(&j->a, true, &g.a_rs, &g.a_cs);
    mm_strides(&j->b, false, &g.b_rs, &g.b_cs);
    g.a = (const double *)j->pa + matrix_at(&j->a, j->s.a_at[i]);
    g.b = (const double *)j->pb + matrix_at(&j->b, j->s.b_at[i]);
    g.c = (double *)j->y + i * j->s.m * j->s.n;
    gemm_ref_run(j->ec->kern, DT_DOUBLE, &g, j->pool);
}

static void mm_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct mm_job *j = arg;
    struct gemm_f32 g;
    for (int64_t i = begin; i < end; i++) {
        if (j->dt == DT_DOUBLE) {
            run_f64(j, i);
            continue;
        }
        fill_f32(j, i, &g);
        gemm_f32(j->ec->kern, &g, j->pool, j->scratch + (size_t)thread * j->scratch_bytes);
    }
}

static int mm_run_all(struct mm_job *j)
{
    struct exec_ctx *ec = j->ec;
    bool outer = batches_handed_out(ec, &j->s);
    if (j->dt == DT_FLOAT) {
        struct gemm_f32 g;
        fill_f32(j, 0, &g);
        int rc = batches_scratch(ec, &g, outer, &j->scratch, &j->scratch_bytes);
        if (rc)
            return rc;
    }
    j->pool = outer ? NULL : ec->pool;
    if (outer)
        par_for(ec->pool, j->s.count, 1, mm_range, j);
    else
        mm_range(j, 0, j->s.count, 0);
    return 0;
}

struct mm_step {
    const struct fused_mm *p;
    const char *packed; /* B, NULL: not constant */
    struct tensor b;    /* its shape then */
};

static int mm_data(struct mm_job *j)
{
    const float *a = NULL, *b = NULL;
    const double *a64 = NULL, *b64 = NULL;
    float *y = NULL;
    double *y64 = NULL;
    bool wide = j->dt == DT_DOUBLE;
    int rc = wide ? wide_f64(j->ec, 0, &a64) : wide_f32(j->ec, 0, &a);
    if (!rc && !j->packed)
        rc = wide ? wide_f64(j->ec, 1, &b64) : wide_f32(j->ec, 1, &b);
    if (!rc)
        rc = wide ? wide_out_f64(j->ec, 0, &y64) : wide_out_f32(j->ec, 0, &y);
    j->pa = wide ? (const char *)a64 : (const char *)a;
    j->pb = wide ? (const char *)b64 : (const char *)b;
    j->y = wide ? (char *)y64 : (char *)y;
    return rc;
}

static int mm_run(struct exec_ctx *ec, const void *state)
{
    const struct mm_step *st = state;
    const struct tensor *b = st->packed ? &st->b : ec->in[1];
    struct mm_job j = {.ec = ec, .alpha = (double)st->p->alpha, .packed = st->packed};
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    if (dtype_info(ec->in[0]->dt)->cls != CLS_FLOAT || (!st->packed && b->dt != ec->in[0]->dt))
        return ec_unsupported(ec, 0);
    j.dt = ec->in[0]->dt == DT_DOUBLE ? DT_DOUBLE : DT_FLOAT;
    operand_of(ec->in[0], st->p, 0, &j.a);
    operand_of(b, st->p, 1, &j.b);
    int rc = make_batches(ec, &j.a.e, &j.b.e, ec->out[0], false, &j.s);
    if (!rc)
        rc = mm_data(&j);
    /* Rows of A that follow each other through all batches are one tall product. */
    int r = j.a.e.rank;
    bool plain = r > 2 && !st->p->trans[0] && !st->p->batch[0];
    if (!rc && plain && b->rank <= 2) {
        j.s.m *= j.s.count;
        j.s.count = 1;
    }
    if (!rc)
        rc = mm_run_all(&j);
    if (!rc && j.dt == DT_DOUBLE)
        wide_done_f64(ec, 0, (const double *)j.y);
    else if (!rc)
        wide_done_f32(ec, 0, (const float *)j.y);
    return rc;
}

static int mm_ref(struct exec_ctx *ec, const void *params)
{
    struct mm_step st = {.p = params};
    return mm_run(ec, &st);
}

/* Packs a constant right matrix once. */
static int mm_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct fused_mm *p = params;
    const float *v;
    size_t bytes;
    if (!wide_fits_f32(bc_dtype(bc, 0)) || bc_dtype(bc, 0) != bc_dtype(bc, 1) || !bc_is_const(bc, 1))
        return 0;
    const struct tensor *b = bc_const(bc, 1);
    if (!b)
        return bc->cx->err.code;
    if (b->rank != 2 || !tensor_count(b))
        return 0;
    struct operand o;
    operand_of(b, p, 1, &o);
    struct mm_step *st = arena_zalloc(bc->arena, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    if (!gemm_f32_pack_b_size(bc->kern, o.e.dims[0], o.e.dims[1], &bytes))
        return err_set(bc->cx, E_LIMIT, "the matrix is too large to pack");
    int rc = wide_const_f32(bc, 1, &v);
    char *to = rc || !v ? NULL : bc_alloc(bc, bytes);
    if (!to)
        return rc ? rc : bc->cx->err.code;
    gemm_f32_pack_b(bc->kern, o.e.dims[0], o.e.dims[1], v, o.stride[0], o.stride[1], to);
    *st = (struct mm_step){.p = p, .packed = to, .b = *b};
    st->b.data = NULL;
    st->b.owner = NULL;
    step->consumed |= 2;
    step->kernel = "gemm, packed weights";
    step->may_inplace = 0;
    step->state = st;
    step->run = mm_run;
    return 0;
}

static bool mm_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    (void)params;
    enum dtype dt = bc_dtype(bc, 0);
    if (dt == DT_UNDEFINED || dt == DT_DOUBLE || wide_fits_f32(dt))
        return true;
    snprintf(why, size, "element type %s", dtype_name(dt));
    return false;
}

#define FUSED_MM(opname)                                                                                     \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct fused_mm), \
        .parse = mm_parse, .infer = mm_infer, .ref = mm_ref, .bind = mm_bind, .cost = mm_cost,               \
        .supports = mm_supports,                                                                             \
    }

const struct op op_com_microsoft_FusedMatMul = FUSED_MM("FusedMatMul");
const struct op op_com_microsoft_TransposeMatMul = FUSED_MM("TransposeMatMul");
