/* Matrix products: MatMul, Gemm, com.microsoft.FusedGemm. Those of 8-bit integers are in matmul_int.c.
 *
 * Floats of at most 32 bits run on packed panels; a constant operand is packed once, when the session binds.
 * The other types, and the reference, take kern/'s plain products. */
#include "ops/fused_act.h"
#include "ops/matmul_op.h"
#include "ops/wide.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- shapes of numpy's matmul ---- */

static int infer_batch(struct infer_ctx *ic, int a, int ra, int b, int rb, struct dim *d, int *rank)
{
    int na = ra > 2 ? ra - 2 : 0, nb = rb > 2 ? rb - 2 : 0, n = na > nb ? na : nb;
    for (int i = 0; i < n; i++) {
        int ia = i - (n - na), ib = i - (n - nb);
        struct dim da = ia >= 0 ? ic_dim(ic, a, ia) : dim_const(1);
        struct dim db = ib >= 0 ? ic_dim(ic, b, ib) : dim_const(1);
        int r = ic_broadcast_dim(ic, da, db, &d[i]);
        if (r)
            return r;
    }
    *rank = n;
    return 0;
}

int matmul_infer_shape(struct infer_ctx *ic, int a, int b, enum dtype dt)
{
    struct dim d[TENSOR_MAX_RANK];
    int ra = ic_rank(ic, a), rb = ic_rank(ic, b), rank = 0;
    int r = ic_need_rank(ic, a, 1, TENSOR_MAX_RANK);
    if (!r)
        r = ic_need_rank(ic, b, 1, TENSOR_MAX_RANK);
    if (r)
        return r;
    if (ra < 0 || rb < 0)
        return ic_out(ic, 0, dt, -1, NULL);
    r = ic_unify(ic, ic_dim(ic, a, ra - 1), ic_dim(ic, b, rb > 1 ? rb - 2 : 0), "inner dimension");
    if (!r)
        r = infer_batch(ic, a, ra, b, rb, d, &rank);
    if (r)
        return r;
    if (ra > 1)
        d[rank++] = ic_dim(ic, a, ra - 2);
    if (rb > 1)
        d[rank++] = ic_dim(ic, b, rb - 1);
    return ic_out(ic, 0, dt, rank, d);
}

int matmul_macs(struct infer_ctx *ic, int a, struct op_cost *out)
{
    const struct type *y = ic->out[0];
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (y && y->rank >= 0 && ic_rank(ic, a) >= 1)
        out->macs =
            dim_mul(ic->syms, dims_prod_expr(ic, y->dims, 0, y->rank), ic_dim(ic, a, ic_rank(ic, a) - 1));
    return 0;
}

void extents_of(const struct tensor *t, struct extents *e)
{
    e->rank = t->rank;
    memcpy(e->dims, t->dims, sizeof(e->dims));
}

int matmul_no_fit(struct cx *cx)
{
    return err_set(cx, E_SHAPE, "the shapes of the operands do not fit each other");
}

/* Which matrix of an operand serves each batch of the broadcast dims. */
static void matrix_numbers(const struct extents *e, int rank, const int64_t *dims, int64_t count, int64_t *at)
{
    int own = e->rank > 2 ? e->rank - 2 : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, step = 1;
        at[i] = 0;
        for (int k = rank - 1; k >= rank - own; k--) {
            int64_t c = rest % dims[k], ext = e->dims[k - (rank - own)];
            rest /= dims[k];
            at[i] += ext == 1 ? 0 : c * step;
            step *= ext;
        }
    }
}

int make_batches(struct exec_ctx *ec, const struct extents *a, const struct extents *b,
                 const struct tensor *y, bool may_merge, struct batches *s)
{
    int64_t dims[TENSOR_MAX_RANK];
    int na = a->rank > 2 ? a->rank - 2 : 0, nb = b->rank > 2 ? b->rank - 2 : 0;
    if (a->rank < 1 || b->rank < 1)
        return matmul_no_fit(ec->cx);
    s->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    s->k = a->dims[a->rank - 1];
    s->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    if (s->k != b->dims[b->rank > 1 ? b->rank - 2 : 0] || bcast_dims(na, a->dims, nb, b->dims, dims))
        return matmul_no_fit(ec->cx);
    int rank = na > nb ? na : nb;
    s->count = dims_prod(dims, 0, rank);
    if (s->count * s->m * s->n != tensor_count(y))
        return matmul_no_fit(ec->cx);
    if (may_merge && dims_prod(b->dims, 0, nb) == 1) {
        s->m *= s->count;
        s->count = 1;
    }
    s->a_at = ec_scratch(ec, ((size_t)s->count * 2 + 1) * sizeof(int64_t));
    if (!s->a_at)
        return ec->cx->err.code;
    s->b_at = s->a_at + s->count;
    if (s->count == 1) {
        s->a_at[0] = s->b_at[0] = 0;
        return 0;
    }
    matrix_numbers(a, rank, dims, s->count, s->a_at);
    matrix_numbers(b, rank, dims, s->count, s->b_at);
    return 0;
}

/* ---- plain products ---- */

static bool has_plain(const struct kern *k, enum dtype dt)
{
    return k->gemm.ref[dt] || ((dt == DT_FLOAT16 || dt == DT_BFLOAT16) && k->gemm.ref[DT_FLOAT]);
}

static bool product_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    (void)params;
    enum dtype dt = bc_dtype(bc, 0);
    if (dt == DT_UNDEFINED || has_plain(bc->kern, dt))
        return true;
    snprintf(why, size, "element type %s", dtype_name(dt));
    return false;
}

/* Data of an operand in the type that products are taken in: its own, or float for 16-bit floats. */
static int plain_in(struct exec_ctx *ec, int i, bool wide, const void **p)
{
    const float *f = NULL;
    int r = wide ? wide_f32(ec, i, &f) : 0;
    *p = wide ? (const void *)f : ec_has(ec, i) ? ec->in[i]->data : NULL;
    return r;
}

/* blas: through OpenBLAS, which bind has opened. */
static void plain_product(struct exec_ctx *ec, enum dtype dt, const struct gemm_ref *g, bool blas)
{
    if (blas)
        gemm_blas_f64(ec->kern, g, ec->pool);
    else
        gemm_ref_run(ec->kern, dt, g, ec->pool);
}

static int matmul_plain(struct exec_ctx *ec, bool blas)
{
    struct batches s;
    struct extents a, b;
    if (!ec_has(ec, 0) || !ec_has(ec, 1) || ec->in[0]->dt != ec->in[1]->dt ||
        !has_plain(ec->kern, ec->in[0]->dt))
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0))
        return 0;
    extents_of(ec->in[0], &a);
    extents_of(ec->in[1], &b);
    int r = make_batches(ec, &a, &b, ec->out[0], true, &s);
    bool wide = ec->in[0]->dt != DT_FLOAT && wide_fits_f32(ec->in[0]->dt);
    enum dtype dt = wide ? DT_FLOAT : ec->in[0]->dt;
    const void *pa = NULL, *pb = NULL;
    float *out = NULL;
    if (!r)
        r = plain_in(ec, 0, wide, &pa);
    if (!r)
        r = plain_in(ec, 1, wide, &pb);
    if (!r && wide)
        r = wide_out_f32(ec, 0, &out);
    size_t size = dtype_size(dt);
    char *pc = wide ? (char *)out : ec->out[0]->data;
    for (int64_t i = 0; !r && i < s.count; i++) {
        struct gemm_ref g = {.m = s.m,
                             .n = s.n,
                             .k = s.k,
                             .a_rs = s.k,
                             .a_cs = 1,
                             .b_rs = s.n,
                             .b_cs = 1,
                             .ldc = s.n,
                             .alpha = 1};
        g.a = (const char *)pa + (size_t)(s.a_at[i] * s.m * s.k) * size;
        g.b = (const char *)pb + (size_t)(s.b_at[i] * s.k * s.n) * size;
        g.c = pc + (size_t)(i * s.m * s.n) * size;
        plain_product(ec, dt, &g, blas);
    }
    if (!r)
        wide_done_f32(ec, 0, out);
    return r;
}

static int matmul_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    return matmul_plain(ec, false);
}

static int matmul_blas(struct exec_ctx *ec, const void *state)
{
    (void)state;
    return matmul_plain(ec, true);
}

/* Doubles go through OpenBLAS where there is one; without it the step stays unset, and the reference runs. */
static void bind_blas(struct bind_ctx *bc, struct step *step,
                      int (*run)(struct exec_ctx *ec, const void *state), const void *state)
{
    if (bc_dtype(bc, 0) != DT_DOUBLE || bc_dtype(bc, 1) != DT_DOUBLE || !gemm_blas_open(bc->kern))
        return;
    step->kernel = "gemm double, OpenBLAS";
    step->may_inplace = 0;
    step->state = state;
    step->run = run;
}

/* ---- packed float products ---- */

/* An operand that was packed at bind: `step` bytes a matrix. */
struct packed {
    const char *p; /* NULL: not */
    size_t step;
    struct extents shape;
};

/* Packs every matrix of the constant input i (0: left, 1: right operand), read with row and column strides
 * that trans exchanges. Leaves *out alone when it is not constant. */
static int pack_const(struct bind_ctx *bc, int i, bool trans, struct packed *out, struct step *step)
{
    const float *v;
    if (!bc_is_const(bc, i))
        return 0;
    const struct tensor *t = bc_const(bc, i);
    if (!t)
        return bc->cx->err.code;
    int64_t count = tensor_count(t);
    if (t->rank < 2 || !count)
        return 0;
    int64_t rows = t->dims[t->rank - 2], cols = t->dims[t->rank - 1], nmat = count / (rows * cols);
    int64_t rs = trans ? 1 : cols, cs = trans ? cols : 1;
    int64_t r0 = trans ? cols : rows, c0 = trans ? rows : cols;
    size_t bytes;
    bool ok = i == 0 ? gemm_f32_pack_a_size(bc->kern, r0, c0, &bytes)
                     : gemm_f32_pack_b_size(bc->kern, r0, c0, &bytes);
    bytes = (bytes + 63) & ~(size_t)63;
    if (!ok || bytes > SIZE_MAX / 2 / (size_t)nmat)
        return err_set(bc->cx, E_LIMIT, "the matrix is too large to pack");
    int r = wide_const_f32(bc, i, &v);
    if (r || !v)
        return r;
    char *p = bc_alloc(bc, bytes * (size_t)nmat);
    if (!p)
        return bc->cx->err.code;
    for (int64_t k = 0; k < nmat; k++) {
        if (i == 0)
            gemm_f32_pack_a(bc->kern, r0, c0, v + k * rows * cols, rs, cs, p + (size_t)k * bytes);
        else
            gemm_f32_pack_b(bc->kern, r0, c0, v + k * rows * cols, rs, cs, p + (size_t)k * bytes);
    }
    extents_of(t, &out->shape);
    out->p = p;
    out->step = bytes;
    step->consumed |= 1u << i;
    return 0;
}

struct matmul_step {
    struct packed a, b;
    const struct fused_act *act; /* onnxtool.FusedMatMul; NULL: MatMul */
    bool tb;                     /* that, with B stored as [N, K] */
};

struct mm_job {
    struct exec_ctx *ec;
    const struct batches *s;
    const struct matmul_step *st;
    const float *a, *b;
    const float *bias, *res; /* of a fused product; NULL */
    float *c;
    char *scratch;
    size_t scratch_bytes; /* a thread */
    struct pool *pool;    /* inside one product */
};

/* The activation that no epilogue has, on a finished piece of a row. */
static void post_act(float *row, int64_t n, const void *arg)
{
    const struct mm_job *j = arg;
    un_run(j->ec->kern, j->st->act->un, DT_FLOAT, row, row, (size_t)n, &j->st->act->p);
}

static void fuse_gemm(const struct mm_job *j, int64_t i, struct gemm_f32 *g)
{
    const struct fused_act *act = j->st->act;
    g->epi.bias_n = j->bias;
    g->epi.res = j->res ? j->res + i * g->m * g->n : NULL;
    g->epi.ldres = g->n;
    g->epi.act = act->act;
    g->epi.lo = act->lo;
    g->epi.hi = act->hi;
    g->post = act->after ? post_act : NULL;
    g->post_arg = j;
}

static void fill_gemm(const struct mm_job *j, int64_t i, struct gemm_f32 *g)
{
    const struct batches *s = j->s;
    *g = (struct gemm_f32){
        .m = s->m, .n = s->n, .k = s->k, .a_rs = s->k, .a_cs = 1, .b_rs = s->n, .b_cs = 1, .ldc = s->n};
    if (j->st->tb) {
        g->b_rs = 1;
        g->b_cs = s->k;
    }
    gemm_epi_init(&g->epi);
    if (j->st->a.p)
        g->a_packed = j->st->a.p + (size_t)s->a_at[i] * j->st->a.step;
    else
        g->a = j->a + s->a_at[i] * s->m * s->k;
    if (j->st->b.p)
        g->b_packed = j->st->b.p + (size_t)s->b_at[i] * j->st->b.step;
    else
        g->b = j->b + s->b_at[i] * s->k * s->n;
    g->c = j->c + i * s->m * s->n;
    if (j->st->act)
        fuse_gemm(j, i, g);
}

static void mm_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct mm_job *j = arg;
    struct gemm_f32 g;
    for (int64_t i = begin; i < end; i++) {
        fill_gemm(j, i, &g);
        gemm_f32(j->ec->kern, &g, j->pool, j->scratch + (size_t)thread * j->scratch_bytes);
    }
}

bool batches_handed_out(const struct exec_ctx *ec, const struct batches *s)
{
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    return threads > 1 && (s->count >= 4 * threads || (s->count >= threads && s->m * s->n < 65536));
}

int batches_scratch(struct exec_ctx *ec, const struct gemm_f32 *g, bool handed_out, char **scratch,
                    size_t *bytes)
{
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    if (!gemm_f32_scratch(ec->kern, g, handed_out ? 1 : threads, bytes) || *bytes > SIZE_MAX / 256)
        return err_set(ec->cx, E_LIMIT, "the product is too large");
    *bytes = (*bytes + 63) & ~(size_t)63;
    *scratch = ec_scratch(ec, *bytes * (handed_out ? (size_t)threads : 1));
    return *scratch ? OK : ec->cx->err.code;
}

static int run_batches(struct mm_job *j)
{
    struct exec_ctx *ec = j->ec;
    bool outer = batches_handed_out(ec, j->s);
    struct gemm_f32 g;
    fill_gemm(j, 0, &g);
    int rc = batches_scratch(ec, &g, outer, &j->scratch, &j->scratch_bytes);
    if (rc)
        return rc;
    j->pool = outer ? NULL : ec->pool;
    if (outer)
        par_for(ec->pool, j->s->count, 1, mm_range, j);
    else
        mm_range(j, 0, j->s->count, 0);
    return 0;
}

/* Bias and residual of a fused product, checked against the result. */
static int fused_operands(struct mm_job *j)
{
    struct exec_ctx *ec = j->ec;
    int r = wide_f32(ec, 2, &j->bias);
    if (!r)
        r = wide_f32(ec, 3, &j->res);
    if (!r && ((j->bias && tensor_count(ec->in[2]) != j->s->n) ||
               (j->res && tensor_count(ec->in[3]) != tensor_count(ec->out[0]))))
        r = err_set(ec->cx, E_SHAPE, "bias or residual do not have the product's shape");
    return r;
}

static void swap_last(struct extents *e)
{
    int r = e->rank;
    if (r < 2)
        return;
    int64_t d = e->dims[r - 1];
    e->dims[r - 1] = e->dims[r - 2];
    e->dims[r - 2] = d;
}

static int matmul_run(struct exec_ctx *ec, const void *state)
{
    const struct matmul_step *st = state;
    struct extents a = st->a.shape, b = st->b.shape;
    struct batches s;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    if (!st->a.p)
        extents_of(ec->in[0], &a);
    if (!st->b.p)
        extents_of(ec->in[1], &b);
    if (st->tb)
        swap_last(&b);
    int r = make_batches(ec, &a, &b, ec->out[0], !st->a.p, &s);
    struct mm_job j = {.ec = ec, .s = &s, .st = st};
    if (!r && !st->a.p)
        r = wide_f32(ec, 0, &j.a);
    if (!r && !st->b.p)
        r = wide_f32(ec, 1, &j.b);
    if (!r)
        r = wide_out_f32(ec, 0, &j.c);
    if (!r && st->act)
        r = fused_operands(&j);
    if (!r)
        r = run_batches(&j);
    if (!r)
        wide_done_f32(ec, 0, j.c);
    return r;
}

static int bind_product(struct bind_ctx *bc, bool tb, struct step *step)
{
    if (!wide_fits_f32(bc_dtype(bc, 0)) || bc_dtype(bc, 0) != bc_dtype(bc, 1))
        return 0;
    struct matmul_step *st = arena_zalloc(bc->arena, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    st->tb = tb;
    int r = pack_const(bc, 1, tb, &st->b, step);
    if (!r && !st->b.p)
        r = pack_const(bc, 0, false, &st->a, step);
    if (r)
        return r;
    step->kernel = st->b.p || st->a.p ? "gemm, packed weights" : "gemm";
    step->may_inplace = 0;
    step->state = st;
    step->run = matmul_run;
    return 0;
}

static int matmul_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    bind_blas(bc, step, matmul_blas, params);
    return bind_product(bc, false, step);
}

static int matmul_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return matmul_infer_shape(ic, 0, 1, ic_dtype(ic, 0));
}

static int matmul_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : matmul_infer(ic, params);
    return r ? r : matmul_macs(ic, 0, out);
}

const struct op op_MatMul = {
    .domain = "",
    .name = "MatMul",
    .tol = TOL_ROUND,
    .infer = matmul_infer,
    .ref = matmul_ref,
    .bind = matmul_bind,
    .cost = matmul_cost,
    .supports = product_supports,
};

/* ---- onnxtool.FusedMatMul: act(A B + bias + residual), made by a machine pass ---- */

struct fused_matmul {
    struct fused_act act;
    bool tb; /* B is a matrix [N, K] */
};

static int fused_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct fused_matmul *f = params;
    int64_t tb = 0;
    (void)arena;
    (void)version;
    int r = attr_int(cx, n, "transB", &tb);
    f->tb = tb != 0;
    return r < 0 ? r : fused_act_parse(cx, n, &f->act);
}

/* [..., K] by [N, K]: [..., N]. */
static int transposed_infer(struct infer_ctx *ic)
{
    struct dim d[TENSOR_MAX_RANK];
    int ra = ic_rank(ic, 0), r = ic_need_rank(ic, 0, 1, TENSOR_MAX_RANK);
    if (!r)
        r = ic_need_rank(ic, 1, 2, 2);
    if (r)
        return r;
    if (ra < 0 || ic_rank(ic, 1) < 0)
        return ic_out(ic, 0, ic_dtype(ic, 0), ra, NULL);
    for (int i = 0; i < ra - 1; i++)
        d[i] = ic_dim(ic, 0, i);
    d[ra - 1] = ic_dim(ic, 1, 0);
    r = ic_unify(ic, ic_dim(ic, 0, ra - 1), ic_dim(ic, 1, 1), "inner dimension");
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), ra, d);
}

static int fused_infer(struct infer_ctx *ic, const void *params)
{
    const struct fused_matmul *f = params;
    return f->tb ? transposed_infer(ic) : matmul_infer(ic, NULL);
}

static int fused_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : fused_infer(ic, params);
    return r ? r : matmul_macs(ic, 0, out);
}

/* The product by a transposed matrix, plainly. */
static int transposed_ref(struct exec_ctx *ec)
{
    struct batches s;
    struct extents a, b;
    if (ec->in[0]->dt != DT_FLOAT || ec->in[1]->dt != DT_FLOAT)
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0))
        return 0;
    extents_of(ec->in[0], &a);
    extents_of(ec->in[1], &b);
    swap_last(&b);
    int r = make_batches(ec, &a, &b, ec->out[0], true, &s);
    struct gemm_ref g = {.m = s.m, .n = s.n, .k = s.k, .a_rs = s.k, .a_cs = 1, .b_rs = 1, .b_cs = s.k};
    g.ldc = s.n;
    g.alpha = 1;
    g.a = ec->in[0]->data;
    g.b = ec->in[1]->data;
    g.c = ec->out[0]->data;
    if (!r)
        plain_product(ec, DT_FLOAT, &g, false);
    return r;
}

/* The product, then what is fused into it, pass by pass. */
static int fused_ref(struct exec_ctx *ec, const void *params)
{
    const struct fused_matmul *f = params;
    struct batches s = {0};
    struct mm_job j = {.ec = ec, .s = &s};
    int r = f->tb ? transposed_ref(ec) : matmul_ref(ec, NULL);
    if (r || !ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return r;
    if (ec->out[0]->dt != DT_FLOAT)
        return ec_unsupported(ec, 0);
    float *y = ec->out[0]->data;
    int64_t n = tensor_count(ec->out[0]);
    s.n = ec->out[0]->dims[ec->out[0]->rank - 1];
    r = fused_operands(&j);
    for (int64_t i = 0; !r && i < n; i++)
        y[i] += (j.bias ? j.bias[i % s.n] : 0.0f) + (j.res ? j.res[i] : 0.0f);
    if (!r)
        fused_act_run(ec, &f->act, true, DT_FLOAT, y, n);
    return r;
}

static int fused_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct fused_matmul *f = params;
    int r = wide_fits_f32(bc_dtype(bc, 0)) ? bind_product(bc, f->tb, step) : 0;
    if (r || !step->run)
        return r;
    struct matmul_step *st = arena_dup(bc->arena, step->state, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    st->act = &f->act;
    step->state = st;
    step->kernel = "gemm, packed weights, fused";
    return 0;
}

const struct op op_onnxtool_FusedMatMul = {
    .domain = "onnxtool",
    .name = "FusedMatMul",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct fused_matmul),
    .parse = fused_parse,
    .infer = fused_infer,
    .ref = fused_ref,
    .bind = fused_bind,
    .cost = fused_cost,
    .supports = product_supports,
};

/* ---- Gemm ---- */

struct gemm_attrs {
    float alpha, beta;
    bool ta, tb;
    struct fused_act act; /* com.microsoft.FusedGemm */
};

static int gemm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct gemm_attrs *g = params;
    int64_t ta = 0, tb = 0;
    g->alpha = g->beta = 1;
    int r = attr_float(cx, n, "alpha", &g->alpha);
    if (r >= 0)
        r = attr_float(cx, n, "beta", &g->beta);
    if (r >= 0)
        r = attr_int(cx, n, "transA", &ta);
    if (r >= 0)
        r = attr_int(cx, n, "transB", &tb);
    g->ta = ta != 0;
    g->tb = tb != 0;
    return r < 0 ? r : 0;
}

static int gemm_infer(struct infer_ctx *ic, const void *params)
{
    const struct gemm_attrs *g = params;
    int r = ic_need_rank(ic, 0, 2, 2);
    if (!r)
        r = ic_need_rank(ic, 1, 2, 2);
    if (!r && ic_has(ic, 2))
        r = ic_need_rank(ic, 2, 0, 2);
    if (r)
        return r;
    bool ka = ic_rank(ic, 0) == 2, kb = ic_rank(ic, 1) == 2;
    struct dim d[2] = {ka ? ic_dim(ic, 0, g->ta ? 1 : 0) : dim_unknown(),
                       kb ? ic_dim(ic, 1, g->tb ? 0 : 1) : dim_unknown()};
    if (ka && kb)
        r = ic_unify(ic, ic_dim(ic, 0, g->ta ? 0 : 1), ic_dim(ic, 1, g->tb ? 1 : 0), "inner dimension");
    int rc = ic_has(ic, 2) ? ic_rank(ic, 2) : -1;
    for (int i = 0; !r && i < rc; i++) {
        struct dim c = ic_dim(ic, 2, i), y = d[2 - rc + i];
        if (c.kind == DIM_CONST && c.v != 1 && y.kind == DIM_CONST && y.v != c.v)
            return ic_err(ic, E_SHAPE, "C has extent %lld where the product has %lld", (long long)c.v,
                          (long long)y.v);
    }
    return r ? r : ic_out(ic, 0, ic_dtype(ic, 0), 2, d);
}

static int gemm_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct gemm_attrs *g = params;
    int r = ic->out[0] ? 0 : gemm_infer(ic, params);
    const struct type *y = ic->out[0];
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (!r && y && y->rank == 2 && ic_rank(ic, 0) == 2)
        out->macs =
            dim_mul(ic->syms, dim_mul(ic->syms, y->dims[0], y->dims[1]), ic_dim(ic, 0, g->ta ? 0 : 1));
    return r;
}

/* Sizes of one Gemm, and how C stands to the product: strides 0 where it repeats. */
struct gemm_run {
    int64_t m, n, k;
    int64_t a_rs, a_cs, b_rs, b_cs;
    bool has_c;
    int64_t c_rs, c_cs;
};

static int gemm_sizes(struct exec_ctx *ec, const struct gemm_attrs *g, const int64_t *ad, const int64_t *bd,
                      struct gemm_run *s)
{
    *s = (struct gemm_run){.m = ad[g->ta], .n = bd[!g->tb], .k = ad[!g->ta]};
    s->a_rs = g->ta ? 1 : ad[1];
    s->a_cs = g->ta ? ad[1] : 1;
    s->b_rs = g->tb ? 1 : bd[1];
    s->b_cs = g->tb ? bd[1] : 1;
    if (bd[g->tb] != s->k || tensor_count(ec->out[0]) != s->m * s->n)
        return matmul_no_fit(ec->cx);
    s->has_c = ec_has(ec, 2) && g->beta != 0;
    if (!s->has_c)
        return 0;
    const struct tensor *c = ec->in[2];
    int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1, cols = c->rank > 0 ? c->dims[c->rank - 1] : 1;
    if (c->rank > 2 || (rows != 1 && rows != s->m) || (cols != 1 && cols != s->n))
        return matmul_no_fit(ec->cx);
    s->c_rs = rows == 1 ? 0 : cols;
    s->c_cs = cols == 1 ? 0 : 1;
    return 0;
}

static int gemm_plain(struct exec_ctx *ec, const struct gemm_attrs *g, bool blas)
{
    struct gemm_run s;
    if (!ec_has(ec, 0) || !ec_has(ec, 1) || ec->in[0]->dt != ec->in[1]->dt ||
        (ec_has(ec, 2) && ec->in[2]->dt != ec->in[0]->dt) || !has_plain(ec->kern, ec->in[0]->dt) ||
        ec->in[0]->rank != 2 || ec->in[1]->rank != 2)
        return ec_unsupported(ec, 0);
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int r = gemm_sizes(ec, g, ec->in[0]->dims, ec->in[1]->dims, &s);
    if (r)
        return r;
    bool wide = ec->in[0]->dt != DT_FLOAT && wide_fits_f32(ec->in[0]->dt);
    float *out = NULL;
    struct gemm_ref p = {.m = s.m,
                         .n = s.n,
                         .k = s.k,
                         .a_rs = s.a_rs,
                         .a_cs = s.a_cs,
                         .b_rs = s.b_rs,
                         .b_cs = s.b_cs,
                         .d_rs = s.c_rs,
                         .d_cs = s.c_cs,
                         .ldc = s.n,
                         .alpha = (double)g->alpha,
                         .beta = (double)g->beta};
    r = plain_in(ec, 0, wide, &p.a);
    if (!r)
        r = plain_in(ec, 1, wide, &p.b);
    if (!r && s.has_c)
        r = plain_in(ec, 2, wide, &p.d);
    if (!r && wide)
        r = wide_out_f32(ec, 0, &out);
    if (r)
        return r;
    p.c = wide ? (void *)out : ec->out[0]->data;
    enum dtype dt = wide ? DT_FLOAT : ec->in[0]->dt;
    plain_product(ec, dt, &p, blas);
    fused_act_run(ec, &g->act, true, dt, p.c, s.m * s.n);
    wide_done_f32(ec, 0, out);
    return 0;
}

static int gemm_ref_op(struct exec_ctx *ec, const void *params)
{
    return gemm_plain(ec, params, false);
}

static int gemm_blas_op(struct exec_ctx *ec, const void *state)
{
    return gemm_plain(ec, state, true);
}

struct gemm_step {
    const struct gemm_attrs *g;
    struct packed a, b;
};

/* C as the epilogue takes it: along rows, along columns, or a whole matrix. */
static int set_bias(struct exec_ctx *ec, const struct gemm_run *s, struct gemm_epi *e)
{
    const float *c;
    int r = s->has_c ? wide_f32(ec, 2, &c) : 0;
    if (r || !s->has_c)
        return r;
    if (s->c_rs && (s->c_cs || s->n == 1)) {
        e->res = c;
        e->ldres = s->c_rs;
    } else if (s->c_rs) {
        e->bias_m = c;
    } else if (s->c_cs || s->n == 1) {
        e->bias_n = c;
    } else {
        float *fill = ec_scratch(ec, (size_t)s->n * sizeof(float));
        if (!fill)
            return ec->cx->err.code;
        for (int64_t i = 0; i < s->n; i++)
            fill[i] = c[0];
        e->bias_n = fill;
    }
    return 0;
}

/* The activation that no epilogue has, on a finished piece of a row. */
struct gemm_post {
    const struct kern *kern;
    const struct fused_act *act;
};

static void gemm_post_run(float *row, int64_t n, const void *arg)
{
    const struct gemm_post *p = arg;
    un_run(p->kern, p->act->un, DT_FLOAT, row, row, (size_t)n, &p->act->p);
}

static int gemm_run_op(struct exec_ctx *ec, const void *state)
{
    const struct gemm_step *st = state;
    struct gemm_run s;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int r = gemm_sizes(ec, st->g, st->a.p ? st->a.shape.dims : ec->in[0]->dims,
                       st->b.p ? st->b.shape.dims : ec->in[1]->dims, &s);
    struct gemm_f32 g = {.m = s.m,
                         .n = s.n,
                         .k = s.k,
                         .a_rs = s.a_rs,
                         .a_cs = s.a_cs,
                         .b_rs = s.b_rs,
                         .b_cs = s.b_cs,
                         .ldc = s.n,
                         .a_packed = st->a.p,
                         .b_packed = st->b.p};
    gemm_epi_init(&g.epi);
    struct gemm_post post = {ec->kern, &st->g->act};
    g.epi.alpha = st->g->alpha;
    g.epi.beta = st->g->beta;
    g.epi.act = post.act->act;
    g.epi.lo = post.act->lo;
    g.epi.hi = post.act->hi;
    g.post = post.act->after ? gemm_post_run : NULL;
    g.post_arg = &post;
    if (!r && !st->a.p)
        r = wide_f32(ec, 0, &g.a);
    if (!r && !st->b.p)
        r = wide_f32(ec, 1, &g.b);
    if (!r)
        r = set_bias(ec, &s, &g.epi);
    if (!r)
        r = wide_out_f32(ec, 0, &g.c);
    if (r)
        return r;
    size_t bytes;
    if (!gemm_f32_scratch(ec->kern, &g, ec->pool ? pool_size(ec->pool) : 1, &bytes))
        return err_set(ec->cx, E_LIMIT, "the product is too large");
    void *scratch = ec_scratch(ec, bytes);
    if (!scratch)
        return ec->cx->err.code;
    gemm_f32(ec->kern, &g, ec->pool, scratch);
    wide_done_f32(ec, 0, g.c);
    return 0;
}

static int gemm_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct gemm_attrs *g = params;
    bind_blas(bc, step, gemm_blas_op, params);
    if (!wide_fits_f32(bc_dtype(bc, 0)) || bc_dtype(bc, 0) != bc_dtype(bc, 1) || bc_rank(bc, 0) != 2 ||
        bc_rank(bc, 1) != 2)
        return 0;
    struct gemm_step *st = arena_zalloc(bc->arena, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    st->g = g;
    int r = pack_const(bc, 1, g->tb, &st->b, step);
    if (!r && !st->b.p)
        r = pack_const(bc, 0, g->ta, &st->a, step);
    if (r)
        return r;
    step->kernel = st->b.p || st->a.p ? "gemm, packed weights" : "gemm";
    step->may_inplace = 0;
    step->state = st;
    step->run = gemm_run_op;
    return 0;
}

const struct op op_Gemm = {
    .domain = "",
    .name = "Gemm",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct gemm_attrs),
    .parse = gemm_parse,
    .infer = gemm_infer,
    .ref = gemm_ref_op,
    .bind = gemm_bind,
    .cost = gemm_cost,
    .supports = product_supports,
};

/* ---- com.microsoft.FusedGemm ---- */

static int fused_gemm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    struct gemm_attrs *g = params;
    int r = n->nin < 2 || n->nin > 3 || !n->in[0] || !n->in[1]
                ? err_set(cx, E_MODEL, "%d inputs, expected A, B and perhaps C", n->nin)
                : gemm_parse(cx, arena, n, version, params);
    return r ? r : fused_act_parse(cx, n, &g->act);
}

const struct op op_com_microsoft_FusedGemm = {
    .domain = "com.microsoft",
    .name = "FusedGemm",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct gemm_attrs),
    .parse = fused_gemm_parse,
    .infer = gemm_infer,
    .ref = gemm_ref_op,
    .bind = gemm_bind,
    .cost = gemm_cost,
    .supports = product_supports,
};
