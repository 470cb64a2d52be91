/* Products of 8-bit integers: MatMulInteger, QLinearMatMul.
 *
 * Bound steps run on packed panels, a constant right operand packed once; the reference takes the plain
 * product. Both give the same bits. */
#include "ops/matmul_int.h"
#include "ops/wide.h"
#include "ops/zero_points.h"

static const struct int_inputs matmul_inputs = {1, 2, 3}, qmatmul_inputs = {3, 2, 5};

struct int_job {
    struct exec_ctx *ec;
    const struct int_step *st; /* NULL: the reference */
    struct batches s;
    int64_t a_rows; /* of one matrix, before batches were merged */
    bool a_signed, b_signed;
    const char *a, *b;
    struct zeros az, bz;
    int32_t *c;
    char *scratch;
    size_t scratch_bytes; /* a thread */
    struct pool *pool;    /* inside one product */
};

static struct gemm_i8 product(const struct int_job *j, int64_t i)
{
    const struct batches *s = &j->s;
    struct gemm_i8 g = {.m = s->m, .n = s->n, .k = s->k, .a_rs = s->k, .a_cs = 1, .b_rs = s->n, .b_cs = 1};
    g.a = j->a + s->a_at[i] * s->m * s->k;
    g.a_signed = j->a_signed;
    g.b_signed = j->b_signed;
    if (j->st && j->st->b)
        g.b_packed = j->st->b + (size_t)s->b_at[i] * j->st->step;
    else
        g.b = j->b + s->b_at[i] * s->k * s->n;
    g.za = j->az.v ? j->az.v + j->az.step * s->a_at[i] * s->m : NULL;
    g.za_step = j->az.step;
    g.zb = j->bz.v ? j->bz.v + j->bz.step * s->b_at[i] * s->n : NULL;
    g.zb_step = j->bz.step;
    g.c = j->c + i * s->m * s->n;
    g.ldc = s->n;
    return g;
}

static void run_range(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct int_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        struct gemm_i8 g = product(j, i);
        gemm_i8_run(j->ec->kern, &g, j->pool, j->scratch + (size_t)thread * j->scratch_bytes);
    }
}

/* Many products are handed out whole; few are split inside. */
static int run_packed(struct int_job *j)
{
    struct exec_ctx *ec = j->ec;
    int threads = ec->pool ? pool_size(ec->pool) : 1;
    bool outer = threads > 1 && j->s.count >= threads;
    struct gemm_i8 g = product(j, 0);
    if (!gemm_i8_scratch(ec->kern, &g, &j->scratch_bytes) || j->scratch_bytes > SIZE_MAX / 4096)
        return err_set(ec->cx, E_LIMIT, "the product is too large");
    j->scratch_bytes = (j->scratch_bytes + 63) & ~(size_t)63;
    j->scratch = ec_scratch(ec, j->scratch_bytes * (outer ? (size_t)threads : 1));
    if (!j->scratch)
        return ec->cx->err.code;
    j->pool = outer ? NULL : ec->pool;
    if (outer)
        par_for(ec->pool, j->s.count, 1, run_range, j);
    else
        run_range(j, 0, j->s.count, 0);
    return 0;
}

struct plain_job {
    const struct kern *kern;
    struct gemm_i8 g;
};

static void plain_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct plain_job *j = arg;
    j->kern->gemm.i8(&j->g, begin, end);
}

static void run_plain(const struct int_job *j)
{
    for (int64_t i = 0; i < j->s.count; i++) {
        struct plain_job p = {j->ec->kern, product(j, i)};
        par_for(j->ec->pool, j->s.m, grain_for(j->s.n * j->s.k), plain_range, &p);
    }
}

static int64_t matrices(const struct extents *e)
{
    return e->rank > 2 ? dims_prod(e->dims, 0, e->rank - 2) : 1;
}

/* Sums of input 0 by the right operand into j->c, which has the elements of output 0. */
static int products(struct int_job *j, const struct int_inputs *in)
{
    struct exec_ctx *ec = j->ec;
    bool packed = j->st && j->st->b;
    struct extents ea, eb;
    if (!ec_is_byte(ec, 0) || (!packed && !ec_is_byte(ec, in->b)))
        return ec_unsupported(ec, ec_is_byte(ec, 0) ? in->b : 0);
    extents_of(ec->in[0], &ea);
    if (packed)
        eb = j->st->shape;
    else
        extents_of(ec->in[in->b], &eb);
    int r = make_batches(ec, &ea, &eb, ec->out[0], true, &j->s);
    if (r || !tensor_count(ec->out[0]))
        return r;
    j->a_rows = ea.rank > 1 ? ea.dims[ea.rank - 2] : 1;
    r = load_zeros(ec, in->az, j->a_rows, matrices(&ea), &j->az);
    if (!r)
        r = load_zeros(ec, in->bz, j->s.n, matrices(&eb), &j->bz);
    if (r)
        return r;
    j->a_signed = ec->in[0]->dt == DT_INT8;
    j->b_signed = packed ? j->st->b_signed : ec->in[in->b]->dt == DT_INT8;
    j->a = ec->in[0]->data;
    j->b = packed ? NULL : ec->in[in->b]->data;
    if (j->st)
        return run_packed(j);
    run_plain(j);
    return 0;
}

int int_products(struct exec_ctx *ec, const struct int_inputs *in, const struct int_step *st, int32_t *sums)
{
    struct int_job j = {.ec = ec, .st = st, .c = sums};
    return products(&j, in);
}

int int_pack_right(struct bind_ctx *bc, int i, struct int_step *st, struct step *step)
{
    if (!bc_is_const(bc, i))
        return 0;
    const struct tensor *t = bc_const(bc, i);
    if (!t)
        return bc->cx->err.code;
    int64_t count = tensor_count(t);
    if (t->rank < 2 || !count)
        return 0;
    int64_t rows = t->dims[t->rank - 2], cols = t->dims[t->rank - 1], nmat = count / (rows * cols);
    size_t bytes;
    if (!gemm_i8_pack_b_size(bc->kern, rows, cols, &bytes) || bytes > SIZE_MAX / 4 / (size_t)nmat)
        return err_set(bc->cx, E_LIMIT, "the matrix is too large to pack");
    bytes = (bytes + 63) & ~(size_t)63;
    char *p = bc_alloc(bc, bytes * (size_t)nmat);
    if (!p)
        return bc->cx->err.code;
    for (int64_t k = 0; k < nmat; k++)
        gemm_i8_pack_b(bc->kern, rows, cols, (const char *)t->data + k * rows * cols, t->dt == DT_INT8, cols,
                       1, p + (size_t)k * bytes);
    extents_of(t, &st->shape);
    st->b_signed = t->dt == DT_INT8;
    st->b = p;
    st->step = bytes;
    step->consumed |= 1u << i;
    return 0;
}

static int bind_product(struct bind_ctx *bc, const struct int_inputs *in, struct step *step,
                        int (*run)(struct exec_ctx *ec, const void *state))
{
    if (!bc_is_byte(bc, 0) || !bc_is_byte(bc, in->b))
        return 0;
    struct int_step *st = arena_zalloc(bc->arena, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    int r = int_pack_right(bc, in->b, st, step);
    if (r)
        return r;
    step->kernel = st->b ? "gemm i8, packed weights" : "gemm i8";
    step->state = st;
    step->run = run;
    return 0;
}

/* ---- MatMulInteger ---- */

static int matmul_integer_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return matmul_infer_shape(ic, 0, 1, DT_INT32);
}

static int matmul_integer_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : matmul_integer_infer(ic, params);
    return r ? r : matmul_macs(ic, 0, out);
}

static int matmul_integer(struct exec_ctx *ec, const struct int_step *st)
{
    struct int_job j = {.ec = ec, .st = st};
    if (!ec_has_out(ec, 0))
        return 0;
    j.c = ec->out[0]->data;
    return products(&j, &matmul_inputs);
}

static int matmul_integer_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    return matmul_integer(ec, NULL);
}

static int matmul_integer_run(struct exec_ctx *ec, const void *state)
{
    return matmul_integer(ec, state);
}

static int matmul_integer_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    (void)params;
    return bind_product(bc, &matmul_inputs, step, matmul_integer_run);
}

const struct op op_MatMulInteger = {
    .domain = "",
    .name = "MatMulInteger",
    .tol = TOL_EXACT,
    .infer = matmul_integer_infer,
    .ref = matmul_integer_ref,
    .bind = matmul_integer_bind,
    .cost = matmul_integer_cost,
};

/* ---- QLinearMatMul: inputs a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero ---- */

static int qmatmul_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return matmul_infer_shape(ic, 0, 3, ic_dtype(ic, 7));
}

static int qmatmul_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int r = ic->out[0] ? 0 : qmatmul_infer(ic, params);
    return r ? r : matmul_macs(ic, 0, out);
}

/* Scale of row (column) i, counted over all matrices, from one, per, or one for each. */
static float scale_at(const struct tensor *t, int64_t i, int64_t per)
{
    int64_t n = tensor_count(t);
    return (float)tensor_f64(t, n == 1 ? 0 : n == per ? i % per : i);
}

static bool scale_fits(const struct tensor *t, int64_t per, int64_t nmat)
{
    int64_t n = tensor_count(t);
    return n == 1 || n == per || n == per * nmat;
}

struct requant_job {
    requantize_fn *fn;
    const int32_t *acc;
    const float *mult;
    bool per_column;
    int32_t zero;
    uint8_t *y;
    int64_t n;
};

static void requant_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct requant_job *q = arg;
    q->fn(q->acc + begin * q->n, NULL, q->mult, q->per_column, q->zero, q->y + begin * q->n,
          (size_t)(end - begin), (size_t)q->n, (size_t)q->n);
}

/* The rows of product i: all at once with one scale of the left operand, else row by row. */
static void requant_product(const struct int_job *j, int64_t i, struct requant_job *q, float *mult)
{
    const struct tensor *as = j->ec->in[1], *bs = j->ec->in[4];
    int64_t m = j->s.m, n = j->s.n, step = tensor_count(as) > 1 ? 1 : m;
    float ys = (float)tensor_f64(j->ec->in[6], 0);
    for (int64_t row = 0; row < m; row += step) {
        float a = scale_at(as, j->s.a_at[i] * m + row, j->a_rows);
        for (int64_t c = 0; c < (q->per_column ? n : 1); c++)
            mult[c] = a * scale_at(bs, j->s.b_at[i] * n + c, n) / ys;
        struct requant_job part = *q;
        part.mult = mult;
        part.acc += (i * m + row) * n;
        part.y += (i * m + row) * n;
        par_for(j->ec->pool, step, grain_for(n), requant_range, &part);
    }
}

static int qmatmul(struct exec_ctx *ec, const struct int_step *st)
{
    struct int_job j = {.ec = ec, .st = st};
    struct tensor *y = ec->out[0];
    if (!ec_has_out(ec, 0) || !tensor_count(y))
        return 0;
    struct requant_job q = {.fn = ec->kern->quant.requantize[y->dt], .y = y->data};
    if (!q.fn)
        return ec_unsupported(ec, 7);
    j.c = ec_scratch(ec, (size_t)tensor_count(y) * sizeof(int32_t));
    if (!j.c)
        return ec->cx->err.code;
    int r = products(&j, &qmatmul_inputs);
    if (r)
        return r;
    int64_t nmat_a = tensor_count(ec->in[0]) / (j.a_rows * j.s.k > 0 ? j.a_rows * j.s.k : 1);
    int64_t nmat_b = 1;
    for (int64_t i = 0; i < j.s.count; i++)
        nmat_b = j.s.b_at[i] >= nmat_b ? j.s.b_at[i] + 1 : nmat_b;
    if (!scale_fits(ec->in[1], j.a_rows, nmat_a) || !scale_fits(ec->in[4], j.s.n, nmat_b) ||
        tensor_count(ec->in[6]) != 1 || tensor_count(ec->in[7]) != 1)
        return matmul_no_fit(ec->cx);
    q.acc = j.c;
    q.n = j.s.n;
    q.per_column = tensor_count(ec->in[4]) > 1;
    q.zero = (int32_t)tensor_i64(ec->in[7], 0);
    float *mult = ec_scratch(ec, ((size_t)j.s.n + 1) * sizeof(float));
    if (!mult)
        return ec->cx->err.code;
    for (int64_t i = 0; i < j.s.count; i++)
        requant_product(&j, i, &q, mult);
    return 0;
}

static int qmatmul_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    return qmatmul(ec, NULL);
}

static int qmatmul_run(struct exec_ctx *ec, const void *state)
{
    return qmatmul(ec, state);
}

static int qmatmul_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    (void)params;
    return bind_product(bc, &qmatmul_inputs, step, qmatmul_run);
}

const struct op op_QLinearMatMul = {
    .domain = "",
    .name = "QLinearMatMul",
    .tol = TOL_ROUND,
    .infer = qmatmul_infer,
    .ref = qmatmul_ref,
    .bind = qmatmul_bind,
    .cost = qmatmul_cost,
};
