/* Products of 8-bit integers of com.microsoft whose sums become floats or 8-bit integers again:
 * MatMulIntegerToFloat, DynamicQuantizeMatMul, QGemm. And MatMulInteger16.
 *
 * The products are those of matmul_int.c; a constant right operand is packed when the session binds. */
#include <stdlib.h>
#include <string.h>

#include "kern/quant.h"
#include "ops/contrib.h"
#include "ops/matmul_int.h"

extern const struct op op_DynamicQuantizeLinear, op_MatMul;

/* ---- sums to floats ---- */

/* rows of n sums: y = alpha * scale * sum + bias; scale and bias one a column, or one and none for all. */
struct scale_job {
    const int32_t *sums;
    const float *scale, *bias;
    bool per_column;
    float *y;
    int64_t n;
};

static void scale_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct scale_job *j = arg;
    for (int64_t r = begin; r < end; r++) {
        const int32_t *s = j->sums + r * j->n;
        float *y = j->y + r * j->n;
        for (int64_t c = 0; c < j->n; c++)
            y[c] = (float)s[c] * j->scale[j->per_column ? c : 0];
        for (int64_t c = 0; j->bias && c < j->n; c++)
            y[c] += j->bias[c];
    }
}

/* The factors of n columns: alpha * scale of A * scale of B. per_column: whether there are n of them. */
static int column_scales(struct exec_ctx *ec, float alpha, float a_scale, int b_scale, int64_t n, float **out,
                         bool *per_column)
{
    int64_t have = tensor_count(ec->in[b_scale]);
    if (have != 1 && have != n)
        return err_set(ec->cx, E_SHAPE, "input %d has %lld scales for %lld columns", b_scale, (long long)have,
                       (long long)n);
    *out = ec_scratch(ec, ((size_t)have + 1) * sizeof(float));
    if (!*out)
        return ec->cx->err.code;
    for (int64_t i = 0; i < have; i++)
        (*out)[i] = alpha * (a_scale * (float)tensor_f64(ec->in[b_scale], i));
    *per_column = have > 1;
    return 0;
}

static int one_float(struct exec_ctx *ec, int i, float *out)
{
    if (tensor_count(ec->in[i]) != 1)
        return err_set(ec->cx, E_UNSUPPORTED, "input %d has more than one scale", i);
    *out = (float)tensor_f64(ec->in[i], 0);
    return 0;
}

/* Columns of output 0: of the right operand, when that is no vector. */
static int64_t columns(const struct tensor *y, bool vector)
{
    return vector || !y->rank ? 1 : y->dims[y->rank - 1];
}

/* Sums to output 0 with the bias of input `bias`. */
static int finish_float(struct exec_ctx *ec, const int32_t *sums, float a_scale, int b_scale, int bias,
                        int64_t n)
{
    struct scale_job j = {.sums = sums, .n = n};
    float *scale;
    int rc = column_scales(ec, 1, a_scale, b_scale, n, &scale, &j.per_column);
    if (!rc)
        rc = wide_f32(ec, bias, &j.bias);
    if (!rc && j.bias && tensor_count(ec->in[bias]) != n)
        rc = err_set(ec->cx, E_SHAPE, "the bias has %lld values for %lld columns",
                     (long long)tensor_count(ec->in[bias]), (long long)n);
    if (!rc)
        rc = wide_out_f32(ec, 0, &j.y);
    if (rc)
        return rc;
    j.scale = scale;
    int64_t rows = n ? tensor_count(ec->out[0]) / n : 0;
    par_for(ec->pool, rows, grain_for(n), scale_range, &j);
    wide_done_f32(ec, 0, j.y);
    return 0;
}

static int bind_sums(struct bind_ctx *bc, int b, struct step *step,
                     int (*run)(struct exec_ctx *ec, const void *state))
{
    if (bc_dtype(bc, b) != DT_UINT8 && bc_dtype(bc, b) != DT_INT8)
        return 0;
    struct int_step *st = arena_zalloc(bc->arena, sizeof(*st));
    if (!st)
        return err_nomem(bc->cx);
    int rc = int_pack_right(bc, b, st, step);
    if (rc)
        return rc;
    step->kernel = st->b ? "gemm i8, packed weights" : "gemm i8";
    step->state = st;
    step->run = run;
    return 0;
}

/* The inputs to run on, the quantized left operand among them, and the sums. */
static int sums_of(struct exec_ctx *ec, const struct int_inputs *in, const struct int_step *st,
                   const struct tensor **ins, int nin, int32_t **sums)
{
    struct exec_ctx inner = *ec;
    *sums = ec_scratch(ec, ((size_t)tensor_count(ec->out[0]) + 1) * sizeof(int32_t));
    if (!*sums)
        return ec->cx->err.code;
    inner.in = ins;
    inner.nin = nin;
    return int_products(&inner, in, st, *sums);
}

static bool right_is_vector(const struct exec_ctx *ec, const struct int_step *st, int b)
{
    return st && st->b ? st->shape.rank < 2 : ec->in[b]->rank < 2;
}

/* ---- MatMulIntegerToFloat: A, B, scales of both, zero points of both, bias ---- */

static const struct int_inputs to_float_inputs = {1, 4, 5};

static int to_float_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 4, 7, 0xf);
}

static int to_float_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return matmul_infer_shape(ic, 0, 1, ic_dtype(ic, 2));
}

static int to_float_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int rc = ic->out[0] ? 0 : to_float_infer(ic, params);
    return rc ? rc : matmul_macs(ic, 0, out);
}

static int to_float_run(struct exec_ctx *ec, const void *state)
{
    int32_t *sums;
    float scale;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int rc = one_float(ec, 2, &scale);
    if (!rc)
        rc = sums_of(ec, &to_float_inputs, state, ec->in, ec->nin, &sums);
    int64_t n = columns(ec->out[0], rc || right_is_vector(ec, state, 1));
    return rc ? rc : finish_float(ec, sums, scale, 3, 6, n);
}

static int to_float_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    return to_float_run(ec, NULL);
}

static int to_float_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    (void)params;
    return bind_sums(bc, 1, step, to_float_run);
}

const struct op op_com_microsoft_MatMulIntegerToFloat = {
    .domain = "com.microsoft",
    .name = "MatMulIntegerToFloat",
    .tol = TOL_ROUND,
    .parse = to_float_parse,
    .infer = to_float_infer,
    .ref = to_float_ref,
    .bind = to_float_bind,
    .cost = to_float_cost,
};

/* ---- DynamicQuantizeMatMul: A of floats, B, its scale and zero point, bias ---- */

static int dynamic_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 3, 5, 7);
}

static int dynamic_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return matmul_infer_shape(ic, 0, 1, ic_dtype(ic, 0));
}

static int dynamic_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int rc = ic->out[0] ? 0 : dynamic_infer(ic, params);
    return rc ? rc : matmul_macs(ic, 0, out);
}

static int dynamic_run(struct exec_ctx *ec, const void *state)
{
    static const struct int_inputs inputs = {1, 2, 3};
    int32_t *sums;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    struct tensor *q = contrib_temp(ec, DT_UINT8, ec->in[0]->rank, ec->in[0]->dims);
    struct tensor *scale = contrib_temp(ec, DT_FLOAT, 0, NULL), *zero = contrib_temp(ec, DT_UINT8, 0, NULL);
    if (!q || !scale || !zero)
        return ec->cx->err.code;
    int rc = contrib_run(ec, &op_DynamicQuantizeLinear, NULL, NULL, ec->in, 1,
                         (struct tensor *[]){q, scale, zero}, 3);
    const struct tensor *ins[] = {q, ec->in[1], zero, ec->nin > 3 ? ec->in[3] : NULL};
    if (!rc)
        rc = sums_of(ec, &inputs, state, ins, 4, &sums);
    if (rc)
        return rc;
    return finish_float(ec, sums, *(float *)scale->data, 2, 4,
                        columns(ec->out[0], right_is_vector(ec, state, 1)));
}

static int dynamic_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    return dynamic_run(ec, NULL);
}

static int dynamic_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    (void)params;
    return bind_sums(bc, 1, step, dynamic_run);
}

const struct op op_com_microsoft_DynamicQuantizeMatMul = {
    .domain = "com.microsoft",
    .name = "DynamicQuantizeMatMul",
    .tol = TOL_ROUND,
    .parse = dynamic_parse,
    .infer = dynamic_infer,
    .ref = dynamic_ref,
    .bind = dynamic_bind,
    .cost = dynamic_cost,
};

/* ---- QGemm: A, scale, zero, B, scale, zero, C (of the sums), then those of Y ---- */

struct qgemm {
    int64_t trans_a, trans_b;
    float alpha;
};

static int qgemm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct qgemm *g = params;
    (void)arena, (void)version;
    g->alpha = 1;
    int rc = attr_int(cx, n, "transA", &g->trans_a);
    if (rc >= 0)
        rc = attr_int(cx, n, "transB", &g->trans_b);
    if (rc >= 0)
        rc = attr_float(cx, n, "alpha", &g->alpha);
    return rc < 0 ? rc : contrib_inputs(cx, n, 6, 9, 0x3f);
}

static int qgemm_infer(struct infer_ctx *ic, const void *params)
{
    const struct qgemm *g = params;
    int rc = ic_need_rank(ic, 0, 2, 2);
    if (!rc)
        rc = ic_need_rank(ic, 3, 2, 2);
    if (rc)
        return rc;
    struct dim d[2] = {dim_unknown(), dim_unknown()};
    bool both = ic_rank(ic, 0) == 2 && ic_rank(ic, 3) == 2;
    if (both)
        rc = ic_unify(ic, ic_dim(ic, 0, !g->trans_a), ic_dim(ic, 3, g->trans_b != 0), "inner dimension");
    if (ic_rank(ic, 0) == 2)
        d[0] = ic_dim(ic, 0, g->trans_a != 0);
    if (ic_rank(ic, 3) == 2)
        d[1] = ic_dim(ic, 3, !g->trans_b);
    return rc ? rc : ic_out(ic, 0, ic_has(ic, 8) ? ic_dtype(ic, 8) : DT_FLOAT, 2, d);
}

static int qgemm_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct qgemm *g = params;
    int rc = ic->out[0] ? 0 : qgemm_infer(ic, params);
    *out = (struct op_cost){dim_unknown(), dim_const(0)};
    if (!rc && ic->out[0] && ic->out[0]->rank == 2 && ic_rank(ic, 0) == 2)
        out->macs = dim_mul(ic->syms, dims_prod_expr(ic, ic->out[0]->dims, 0, 2), ic_dim(ic, 0, !g->trans_a));
    return rc;
}

/* Adds C, which broadcasts to m by n, to the sums. Modulo 2^32, as the sums are. */
static int add_c(struct exec_ctx *ec, int32_t *sums, int64_t m, int64_t n)
{
    if (!ec_has(ec, 6))
        return 0;
    const struct tensor *c = ec->in[6];
    int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1, cols = c->rank ? c->dims[c->rank - 1] : 1;
    if (c->dt != DT_INT32)
        return ec_unsupported(ec, 6);
    if (c->rank > 2 || (rows != 1 && rows != m) || (cols != 1 && cols != n))
        return err_set(ec->cx, E_SHAPE, "C does not broadcast to the product");
    const int32_t *p = c->data;
    for (int64_t i = 0; i < m * n; i++) {
        int64_t at = (rows > 1 ? i / n : 0) * cols + (cols > 1 ? i % n : 0);
        sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)p[at]);
    }
    return 0;
}

static int qgemm_out(struct exec_ctx *ec, const struct qgemm *g, const int32_t *sums)
{
    struct tensor *y = ec->out[0];
    struct scale_job j = {.sums = sums, .n = y->dims[1], .y = y->data};
    float scale, *all, y_scale = 1;
    int rc = one_float(ec, 1, &scale);
    if (!rc)
        rc = column_scales(ec, g->alpha, scale, 4, j.n, &all, &j.per_column);
    if (!rc && ec_has(ec, 7))
        rc = one_float(ec, 7, &y_scale);
    if (rc)
        return rc;
    if (y->dt == DT_FLOAT) {
        j.scale = all;
        par_for(ec->pool, y->dims[0], grain_for(j.n), scale_range, &j);
        return 0;
    }
    requantize_fn *fn = ec->kern->quant.requantize[y->dt];
    if (!fn || !ec_has(ec, 7) || tensor_count(ec->in[8]) != 1)
        return ec_unsupported(ec, 8);
    for (int64_t i = 0; i < (j.per_column ? j.n : 1); i++)
        all[i] /= y_scale;
    fn(sums, NULL, all, j.per_column, (int32_t)tensor_i64(ec->in[8], 0), y->data, (size_t)y->dims[0],
       (size_t)j.n, (size_t)j.n);
    return 0;
}

struct qgemm_step {
    const struct qgemm *g;
    struct int_step packed;
};

static int qgemm_any(struct exec_ctx *ec, const struct qgemm *g, const struct int_step *st)
{
    static const struct int_inputs inputs = {1, 2, 3};
    const int turn[2] = {1, 0};
    int32_t *sums;
    int rc = 0;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    const struct tensor *ins[4] = {ec->in[0], ec->in[3], ec->in[2], ec->in[5]};
    if (ins[0]->rank != 2 || (ins[1] && ins[1]->rank != 2))
        return matmul_no_fit(ec->cx);
    if (g->trans_a)
        rc = contrib_permute(ec, ec->in[0], turn, &ins[0]);
    if (!rc && g->trans_b && !(st && st->b))
        rc = contrib_permute(ec, ec->in[3], turn, &ins[1]);
    if (!rc)
        rc = sums_of(ec, &inputs, st, ins, 4, &sums);
    if (!rc)
        rc = add_c(ec, sums, ec->out[0]->dims[0], ec->out[0]->dims[1]);
    return rc ? rc : qgemm_out(ec, g, sums);
}

static int qgemm_ref(struct exec_ctx *ec, const void *params)
{
    return qgemm_any(ec, params, NULL);
}

static int qgemm_run(struct exec_ctx *ec, const void *state)
{
    const struct qgemm_step *s = state;
    return qgemm_any(ec, s->g, &s->packed);
}

/* A transposed constant is turned once, then packed as any other. */
static int qgemm_pack(struct bind_ctx *bc, const struct qgemm *g, struct qgemm_step *s, struct step *step)
{
    static const int from[CONTRIB_INNER] = {0, 3};
    const struct tensor *b = bc_const(bc, 3);
    struct contrib_bind in;
    struct tensor turned;
    struct step inner = {0};
    uint8_t *data = NULL;
    if (!b)
        return bc->cx->err.code;
    if (b->rank != 2 || !tensor_count(b))
        return 0;
    contrib_bind_init(&in, bc, from, 2);
    if (g->trans_b) {
        data = mem_alloc(tensor_bytes(b));
        if (!data)
            return err_nomem(bc->cx);
        turned = *b;
        turned.dims[0] = b->dims[1];
        turned.dims[1] = b->dims[0];
        turned.data = data;
        for (int64_t r = 0; r < b->dims[0]; r++)
            for (int64_t c = 0; c < b->dims[1]; c++)
                data[c * b->dims[0] + r] = ((const uint8_t *)b->data)[r * b->dims[1] + c];
    }
    int rc = data ? contrib_bind_const(&in, 1, &turned) : 0;
    if (!rc)
        rc = int_pack_right(&in.bc, 1, &s->packed, &inner);
    free(data);
    if (!rc && s->packed.b)
        step->consumed |= 1u << 3;
    return rc;
}

static int qgemm_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    if ((bc_dtype(bc, 3) != DT_UINT8 && bc_dtype(bc, 3) != DT_INT8))
        return 0;
    struct qgemm_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    s->g = params;
    int rc = bc_is_const(bc, 3) ? qgemm_pack(bc, params, s, step) : 0;
    if (rc)
        return rc;
    step->kernel = s->packed.b ? "gemm i8, packed weights" : "gemm i8";
    step->state = s;
    step->run = qgemm_run;
    return 0;
}

const struct op op_com_microsoft_QGemm = {
    .domain = "com.microsoft",
    .name = "QGemm",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct qgemm),
    .parse = qgemm_parse,
    .infer = qgemm_infer,
    .ref = qgemm_ref,
    .bind = qgemm_bind,
    .cost = qgemm_cost,
};

/* ---- MatMulInteger16: sums of 16-bit products, modulo 2^32 ---- */

static int matmul16_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 2, 2, 3);
}

static int matmul16_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    enum dtype dt = ic_dtype(ic, 0) == DT_UINT16 && ic_dtype(ic, 1) == DT_UINT16 ? DT_UINT32 : DT_INT32;
    return matmul_infer_shape(ic, 0, 1, dt);
}

static int matmul16_ref(struct exec_ctx *ec, const void *params)
{
    struct tensor wide[2];
    const struct tensor *ins[2] = {&wide[0], &wide[1]};
    (void)params;
    for (int i = 0; i < 2; i++) {
        enum dtype dt = ec->in[i]->dt;
        if (dt != DT_INT16 && dt != DT_UINT16)
            return ec_unsupported(ec, i);
        wide[i] = *ec->in[i];
        wide[i].dt = ec->out[0]->dt;
        wide[i].data = (void *)ec_as(ec, i, ec->out[0]->dt);
        if (!wide[i].data && tensor_count(ec->in[i]))
            return ec->cx->err.code;
    }
    return contrib_run(ec, &op_MatMul, NULL, NULL, ins, 2, ec->out, 1);
}

const struct op op_com_microsoft_MatMulInteger16 = {
    .domain = "com.microsoft",
    .name = "MatMulInteger16",
    .tol = TOL_EXACT,
    .parse = matmul16_parse,
    .infer = matmul16_infer,
    .ref = matmul16_ref,
};
