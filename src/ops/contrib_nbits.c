/* Products by weights of few bits (com.microsoft): MatMulNBits, MatMulBnb4. And GatherBlockQuantized, rows of
 * such a table.
 *
 * The weights become floats when the session binds, and go into the panels of MatMul. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "ops/contrib.h"
#include "ops/matmul_op.h"

extern const struct op op_MatMul;

/* Bits [at, at + bits) of p, lowest first; bits is 1 to 8. */
static unsigned bits_at(const uint8_t *p, int64_t at, int bits)
{
    int shift = (int)(at % 8);
    unsigned v = p[at / 8];
    if (shift + bits > 8)
        v |= (unsigned)p[at / 8 + 1] << 8;
    return v >> shift & ((1u << bits) - 1);
}

/* ---- weights ---- */

struct few_bits;
/* Writes the weights as a dense [rows][cols] matrix. w: inputs 1 and up of the node, NULL where left out. */
typedef int unpack_fn(struct cx *cx, const struct few_bits *p, const struct tensor *const *w, float *out);

struct few_bits {
    unpack_fn *unpack;
    int64_t n, k, block, bits;
    int64_t rows, cols; /* of the right operand */
    int64_t trans, kind;
    int bias;       /* which input; 0: there is none */
    int nweights;   /* inputs 1 .. nweights are read by unpack */
    uint64_t count; /* of values in it */
};

static int need_count(struct cx *cx, const struct tensor *t, int64_t n, const char *what)
{
    if (tensor_count(t) == n)
        return 0;
    return err_set(cx, E_SHAPE, "%s has %lld values, expected %lld", what, (long long)tensor_count(t),
                   (long long)n);
}

/* MatMulNBits: what one block of one output is dequantized by. */
struct blocks {
    int64_t per_row; /* blocks of an output */
    float *scale, *zero;
};

static int load_blocks(struct cx *cx, const struct few_bits *p, const struct tensor *const *w,
                       struct blocks *b)
{
    const struct tensor *zeros = w[2];
    int64_t n = p->n * b->per_row, zero_bytes = (b->per_row * p->bits + 7) / 8;
    int rc = need_count(cx, w[1], n, "scales");
    bool packed = zeros && zeros->dt == DT_UINT8;
    if (!rc && zeros)
        rc = need_count(cx, zeros, packed ? p->n * zero_bytes : n, "zero_points");
    if (rc)
        return rc;
    b->scale = mem_alloc(((size_t)n + 1) * 2 * sizeof(float));
    if (!b->scale)
        return err_nomem(cx);
    b->zero = b->scale + n;
    for (int64_t i = 0; i < n; i++) {
        b->scale[i] = (float)tensor_f64(w[1], i);
        b->zero[i] = (float)(1 << (p->bits - 1));
        if (packed)
            b->zero[i] = (float)bits_at((const uint8_t *)zeros->data + i / b->per_row * zero_bytes,
                                        i % b->per_row * p->bits, (int)p->bits);
        else if (zeros)
            b->zero[i] = (float)tensor_f64(zeros, i);
    }
    return 0;
}

static int check_groups(struct cx *cx, const struct few_bits *p, const struct tensor *g, int64_t nblocks)
{
    if (!g)
        return 0;
    int rc = need_count(cx, g, p->k, "g_idx");
    for (int64_t i = 0; !rc && i < p->k; i++)
        if (tensor_i64(g, i) < 0 || tensor_i64(g, i) >= nblocks)
            rc = err_set(cx, E_VALUE, "g_idx[%lld] is %lld, expected below %lld", (long long)i,
                         (long long)tensor_i64(g, i), (long long)nblocks);
    return rc;
}

enum { COLS = 16 }; /* written side by side */

static int unpack_nbits(struct cx *cx, const struct few_bits *p, const struct tensor *const *w, float *out)
{
    struct blocks b = {.per_row = (p->k + p->block - 1) / p->block};
    int64_t blob = (p->block * p->bits + 7) / 8, row = b.per_row * blob;
    const struct tensor *g = w[3];
    const uint8_t *data = w[0]->data;
    int rc = need_count(cx, w[0], p->n * row, "B");
    if (!rc)
        rc = check_groups(cx, p, g, b.per_row);
    if (!rc)
        rc = load_blocks(cx, p, w, &b);
    if (rc)
        return rc;
    for (int64_t n0 = 0; n0 < p->n; n0 += COLS)
        for (int64_t k = 0; k < p->k; k++)
            for (int64_t n = n0; n < p->n && n < n0 + COLS; n++) {
                unsigned q =
                    bits_at(data + n * row + k / p->block * blob, k % p->block * p->bits, (int)p->bits);
                int64_t at = n * b.per_row + (g ? tensor_i64(g, k) : k / p->block);
                out[k * p->n + n] = ((float)q - b.zero[at]) * b.scale[at];
            }
    free(b.scale);
    return 0;
}

/* The sixteen values of bitsandbytes' two types of four bits. */
static const float bnb_values[2][16] = {
    {0.0f, 5.208333333e-03f, 0.66666667f, 1.0f, 0.33333333f, 0.5f, 0.16666667f, 0.25f, -0.0f,
     -5.208333333e-03f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f},
    {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
     -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
     0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
     0.7229568362236023f, 1.0f},
};

/* B is [N, K] in one run of blocks, the first of two values in the high bits. */
static int unpack_bnb4(struct cx *cx, const struct few_bits *p, const struct tensor *const *w, float *out)
{
    int64_t count = p->n * p->k;
    const uint8_t *data = w[0]->data;
    int rc = need_count(cx, w[0], (count + 1) / 2, "B");
    if (!rc)
        rc = need_count(cx, w[1], (count + p->block - 1) / p->block, "absmax");
    for (int64_t i = 0; !rc && i < count; i++) {
        unsigned q = data[i / 2] >> (i % 2 ? 0 : 4) & 15;
        int64_t at = p->trans ? i % p->k * p->n + i / p->k : i;
        out[at] = bnb_values[p->kind][q] * (float)tensor_f64(w[1], i / p->block);
    }
    return rc;
}

/* ---- the product ---- */

static int read_sizes(struct cx *cx, const struct node *n, struct few_bits *p)
{
    int rc = attr_int(cx, n, "N", &p->n);
    if (rc > 0)
        rc = attr_int(cx, n, "K", &p->k);
    if (rc > 0)
        rc = attr_int(cx, n, "block_size", &p->block);
    if (!rc)
        return err_set(cx, E_ATTR, "one of the attributes N, K and block_size is missing");
    if (rc < 0)
        return rc;
    int64_t all;
    if (p->n < 1 || p->k < 1 || !mul_i64(p->n, p->k, &all) || all > INT64_MAX / 64)
        return err_set(cx, E_ATTR, "attributes N and K are %lld and %lld", (long long)p->n, (long long)p->k);
    if (p->block < 16 || p->block > 1 << 30 || (p->block & (p->block - 1)))
        return err_set(cx, E_ATTR, "attribute block_size is %lld, expected a power of 2 from 16",
                       (long long)p->block);
    p->count = (uint64_t)all;
    return 0;
}

static int nbits_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct few_bits *p = params;
    int64_t prepacked = 0;
    (void)arena, (void)version;
    p->unpack = unpack_nbits;
    p->bits = 4;
    p->bias = 5;
    p->nweights = 4;
    int rc = contrib_inputs(cx, n, 3, 6, 7);
    if (!rc)
        rc = read_sizes(cx, n, p);
    if (!rc)
        rc = attr_int(cx, n, "bits", &p->bits);
    if (rc >= 0)
        rc = attr_int(cx, n, "weight_prepacked", &prepacked);
    if (rc < 0)
        return rc;
    if (p->bits < 1 || p->bits > 8)
        return err_set(cx, E_ATTR, "attribute bits is %lld, expected 2 to 8", (long long)p->bits);
    if (prepacked)
        return err_set(cx, E_UNSUPPORTED, "weight_prepacked is %lld: weights packed for a CUDA device",
                       (long long)prepacked);
    p->rows = p->k;
    p->cols = p->n;
    return 0;
}

static int bnb4_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct few_bits *p = params;
    (void)arena, (void)version;
    p->unpack = unpack_bnb4;
    p->nweights = 2;
    p->trans = 1;
    int rc = contrib_inputs(cx, n, 3, 3, 7);
    if (!rc)
        rc = read_sizes(cx, n, p);
    if (!rc)
        rc = attr_int(cx, n, "transB", &p->trans);
    if (rc >= 0)
        rc = attr_int(cx, n, "quant_type", &p->kind);
    if (rc < 0)
        return rc;
    if (p->kind != 0 && p->kind != 1)
        return err_set(cx, E_ATTR, "attribute quant_type is %lld, expected 0 or 1", (long long)p->kind);
    p->rows = p->trans ? p->k : p->n;
    p->cols = p->trans ? p->n : p->k;
    return 0;
}

static int few_bits_infer(struct infer_ctx *ic, const void *params)
{
    const struct few_bits *p = params;
    struct dim d[TENSOR_MAX_RANK];
    int rank = in_dims(ic, 0, d), rc = ic_need_rank(ic, 0, 1, TENSOR_MAX_RANK);
    if (rc || rank < 1)
        return rc ? rc : rank < -1 ? rank : ic_out(ic, 0, ic_dtype(ic, 0), -1, NULL);
    rc = ic_unify(ic, d[rank - 1], dim_const(p->rows), "inner dimension");
    d[rank - 1] = dim_const(p->cols);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank, d);
}

static int few_bits_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    int rc = ic->out[0] ? 0 : few_bits_infer(ic, params);
    return rc ? rc : matmul_macs(ic, 0, out);
}

struct few_bits_step {
    const struct few_bits *p;
    struct step inner; /* run NULL: weights are unpacked on each run */
};

/* The weights of this run as floats. */
static int weights_now(struct exec_ctx *ec, const struct few_bits *p, struct tensor **out)
{
    const struct tensor *w[4] = {0};
    *out = contrib_temp(ec, DT_FLOAT, 2, (const int64_t[]){p->rows, p->cols});
    if (!*out)
        return ec->cx->err.code;
    for (int i = 0; i < p->nweights; i++)
        w[i] = ec_has(ec, i + 1) ? ec->in[i + 1] : NULL;
    if (w[0]->dt != DT_UINT8)
        return ec_unsupported(ec, 1);
    return p->unpack(ec->cx, p, w, (*out)->data);
}

static void add_bias(float *y, const float *bias, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++)
            y[r * n + i] += bias[i];
}

static int few_bits_any(struct exec_ctx *ec, const struct few_bits *p, const struct step *inner)
{
    struct tensor a = *ec->in[0], y = *ec->out[0], *outs[1] = {&y}, *b = NULL;
    const struct tensor *ins[2] = {&a, NULL};
    const float *pa, *bias = NULL;
    float *py;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int rc = wide_f32(ec, 0, &pa);
    if (!rc)
        rc = wide_out_f32(ec, 0, &py);
    if (!rc && p->bias)
        rc = wide_f32(ec, p->bias, &bias);
    if (!rc && bias)
        rc = need_count(ec->cx, ec->in[p->bias], p->cols, "bias");
    if (!rc && !(inner && inner->run))
        rc = weights_now(ec, p, &b);
    if (rc)
        return rc;
    a.dt = y.dt = DT_FLOAT;
    a.data = (void *)pa;
    y.data = py;
    ins[1] = b;
    rc = contrib_run(ec, &op_MatMul, NULL, inner, ins, 2, outs, 1);
    if (rc)
        return rc;
    if (bias)
        add_bias(py, bias, tensor_count(&y) / p->cols, p->cols);
    wide_done_f32(ec, 0, py);
    return 0;
}

static int few_bits_ref(struct exec_ctx *ec, const void *params)
{
    return few_bits_any(ec, params, NULL);
}

static int few_bits_run(struct exec_ctx *ec, const void *state)
{
    const struct few_bits_step *s = state;
    return few_bits_any(ec, s->p, &s->inner);
}

/* Whether all that unpack reads is constant; w gets it. */
static bool const_weights(struct bind_ctx *bc, const struct few_bits *p, const struct tensor **w)
{
    for (int i = 0; i < p->nweights; i++) {
        bool there = i + 1 < bc->nin && bc->node->in[i + 1];
        w[i] = there ? bc_const(bc, i + 1) : NULL;
        if (there && !w[i])
            return false;
    }
    return true;
}

/* The type of the left operand once it is float. */
static int float_left(struct contrib_bind *in)
{
    struct type *t = in->types[0] ? arena_zalloc(in->bc.arena, sizeof(*t)) : NULL;
    if (!in->types[0])
        return 0;
    if (!t)
        return err_nomem(in->bc.cx);
    *t = *in->types[0];
    t->dt = DT_FLOAT;
    in->types[0] = t;
    return 0;
}

static int few_bits_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    static const int from[CONTRIB_INNER] = {0, -1};
    const struct few_bits *p = params;
    const struct tensor *w[4];
    struct contrib_bind in;
    if (!const_weights(bc, p, w) || w[0]->dt != DT_UINT8 || !wide_fits_f32(bc_dtype(bc, 0)))
        return bc->cx->err.code;
    struct few_bits_step *s = arena_zalloc(bc->arena, sizeof(*s));
    struct tensor b = {.dt = DT_FLOAT, .rank = 2, .dims = {p->rows, p->cols}};
    b.data = mem_alloc((size_t)p->count * sizeof(float));
    int rc = s && b.data ? p->unpack(bc->cx, p, w, b.data) : err_nomem(bc->cx);
    contrib_bind_init(&in, bc, from, 2);
    if (!rc)
        rc = float_left(&in);
    if (!rc)
        rc = contrib_bind_const(&in, 1, &b);
    if (!rc)
        rc = op_MatMul.bind(&in.bc, NULL, &s->inner);
    free(b.data);
    if (rc)
        return rc;
    if (!(s->inner.consumed >> 1 & 1)) /* not packed: nothing is kept */
        return 0;
    s->p = p;
    step->kernel = s->inner.kernel;
    step->state = s;
    step->run = few_bits_run;
    for (int i = 0; i < p->nweights; i++)
        if (w[i])
            step->consumed |= UINT64_C(1) << (i + 1);
    return 0;
}

#define FEW_BITS(opname, parse_fn)                                                                           \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct few_bits), \
        .parse = parse_fn, .infer = few_bits_infer, .ref = few_bits_ref, .bind = few_bits_bind,              \
        .cost = few_bits_cost,                                                                               \
    }

const struct op op_com_microsoft_MatMulBnb4 = FEW_BITS("MatMulBnb4", bnb4_parse);
const struct op op_com_microsoft_MatMulNBits = FEW_BITS("MatMulNBits", nbits_parse);

/* ---- GatherBlockQuantized: data, indices, scales, zero points ---- */

struct gather_blocks {
    int64_t gather, quantize, block, bits;
};

static int gather_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct gather_blocks *p = params;
    (void)arena, (void)version;
    p->quantize = 1;
    p->block = 128;
    p->bits = 4;
    int rc = attr_int(cx, n, "gather_axis", &p->gather);
    if (rc >= 0)
        rc = attr_int(cx, n, "quantize_axis", &p->quantize);
    if (rc >= 0)
        rc = attr_int(cx, n, "block_size", &p->block);
    if (rc >= 0)
        rc = attr_int(cx, n, "bits", &p->bits);
    if (rc < 0)
        return rc;
    if (p->bits != 2 && p->bits != 4 && p->bits != 8)
        return err_set(cx, E_ATTR, "attribute bits is %lld, expected 2, 4 or 8", (long long)p->bits);
    if (p->block != 0 && (p->block < 16 || (p->block & (p->block - 1))))
        return err_set(cx, E_ATTR, "attribute block_size is %lld, expected a power of 2 from 16",
                       (long long)p->block);
    return contrib_inputs(cx, n, 3, 4, 7);
}

/* Values that one byte of the last axis holds. */
static int64_t packed_values(const struct gather_blocks *p, enum dtype dt)
{
    return dt == DT_UINT8 ? 8 / p->bits : 1;
}

static int gather_infer(struct infer_ctx *ic, const void *params)
{
    const struct gather_blocks *p = params;
    struct dim d[TENSOR_MAX_RANK];
    int r = ic_rank(ic, 0), q = ic_rank(ic, 1), gather, quantize, rank = 0;
    int rc = ic_need_rank(ic, 0, 1, TENSOR_MAX_RANK);
    if (!rc)
        rc = need_index_dtype(ic, 1);
    if (rc || r < 0 || q < 0)
        return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 2), -1, NULL);
    rc = ic_axis(ic, p->gather, r, &gather);
    if (!rc)
        rc = ic_axis(ic, p->quantize, r, &quantize);
    if (rc)
        return rc;
    if (r + q - 1 > TENSOR_MAX_RANK)
        return ic_err(ic, E_UNSUPPORTED, "the output has %d axes, at most %d are supported", r + q - 1,
                      TENSOR_MAX_RANK);
    for (int i = 0; i < r; i++) {
        struct dim v = ic_dim(ic, 0, i);
        if (i == r - 1)
            v = dim_mul(ic->syms, v, dim_const(packed_values(p, ic_dtype(ic, 0))));
        for (int k = 0; i == gather && k < q; k++)
            d[rank++] = ic_dim(ic, 1, k);
        if (i != gather)
            d[rank++] = v;
    }
    return ic_out(ic, 0, ic_dtype(ic, 2), rank, d);
}

/* data in its own axes, values unpacked. */
struct table {
    const struct tensor *data, *scales, *zeros;
    int rank, quantize;
    int64_t dims[TENSOR_MAX_RANK], block;
    int bits;    /* of packed bytes; 0: data has an element a value */
    double zero; /* where zeros is NULL */
};

static double table_at(const struct table *t, const int64_t *at)
{
    int64_t i = 0, s = 0, z = 0, per = t->bits ? 8 / t->bits : 1, zero_row = 0;
    for (int a = 0; a < t->rank; a++) {
        int64_t k = a == t->quantize && t->block ? at[a] / t->block : at[a];
        if (t->scales->dims[a] == 1)
            k = 0;
        i = i * t->dims[a] + at[a];
        s = s * t->scales->dims[a] + k;
        zero_row = a < t->rank - 1 ? zero_row * t->scales->dims[a] + k : zero_row;
        z = k;
    }
    double v, zero = t->zero;
    if (!t->bits)
        v = tensor_f64(t->data, i);
    else
        v = bits_at((const uint8_t *)t->data->data + i / per, i % per * t->bits, t->bits);
    if (t->zeros && t->bits)
        zero = bits_at((const uint8_t *)t->zeros->data + zero_row * t->zeros->dims[t->rank - 1], z * t->bits,
                       t->bits);
    else if (t->zeros)
        zero = tensor_f64(t->zeros, s);
    return (v - zero) * (double)(float)tensor_f64(t->scales, s);
}

static int check_table(struct exec_ctx *ec, const struct table *t)
{
    int last = t->rank - 1;
    bool ok = t->scales->rank == t->rank && (!t->zeros || t->zeros->rank == t->rank);
    for (int a = 0; ok && a < t->rank; a++) {
        int64_t want = t->dims[a], zeros;
        if (a == t->quantize)
            want = t->block ? (want + t->block - 1) / t->block : want > 0;
        int64_t have = t->scales->dims[a];
        ok = have == want || have == 1;
        zeros = a == last && t->bits ? (have * t->bits + 7) / 8 : have;
        ok = ok && (!t->zeros || t->zeros->dims[a] == zeros);
    }
    return ok ? 0 : err_set(ec->cx, E_SHAPE, "scales and zero points do not fit the blocks of data");
}

static int open_table(struct exec_ctx *ec, const struct gather_blocks *p, struct table *t)
{
    const struct tensor *x = ec->in[0];
    const struct dtype_info *info = dtype_info(x->dt);
    bool small = x->dt == DT_INT4 || x->dt == DT_UINT4 || (info->cls == CLS_FLOAT && info->bits <= 8);
    if (!small && x->dt != DT_UINT8)
        return ec_unsupported(ec, 0);
    *t = (struct table){.data = x, .scales = ec->in[2], .zeros = ec_has(ec, 3) ? ec->in[3] : NULL};
    t->rank = x->rank;
    t->block = p->block;
    t->bits = x->dt == DT_UINT8 ? (int)p->bits : 0;
    t->zero = t->bits ? 1 << (t->bits - 1) : 0;
    memcpy(t->dims, x->dims, sizeof(t->dims));
    t->dims[t->rank - 1] *= packed_values(p, x->dt);
    int rc = ec_axis(ec, p->quantize, t->rank, &t->quantize);
    return rc ? rc : check_table(ec, t);
}

/* An index outside the axis gives zeros, as the operator is documented. */
static int gather_ref(struct exec_ctx *ec, const void *params)
{
    const struct gather_blocks *p = params;
    struct table t;
    int64_t nidx, at[TENSOR_MAX_RANK];
    double *y;
    int gather, rc = open_table(ec, p, &t);
    if (!rc)
        rc = ec_axis(ec, p->gather, t.rank, &gather);
    const int64_t *idx = rc ? NULL : ec_ints(ec, 1, &nidx);
    if (!idx)
        return rc ? rc : ec->cx->err.code;
    rc = wide_out_f64(ec, 0, &y);
    if (rc || !y)
        return rc;
    int64_t inner = dims_prod(t.dims, gather + 1, t.rank), outer = dims_prod(t.dims, 0, gather);
    if (tensor_count(ec->out[0]) != outer * nidx * inner)
        return err_set(ec->cx, E_SHAPE, "the output does not fit the operands");
    for (int64_t i = 0; i < outer * nidx * inner; i++) {
        int64_t k = idx[i / inner % nidx], in = i % inner, out = i / inner / nidx;
        k += k < 0 ? t.dims[gather] : 0;
        for (int a = t.rank - 1; a > gather; in /= t.dims[a], a--)
            at[a] = in % t.dims[a];
        for (int a = gather - 1; a >= 0; out /= t.dims[a], a--)
            at[a] = out % t.dims[a];
        at[gather] = k;
        y[i] = k < 0 || k >= t.dims[gather] ? 0 : table_at(&t, at);
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_com_microsoft_GatherBlockQuantized = {
    .domain = "com.microsoft",
    .name = "GatherBlockQuantized",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct gather_blocks),
    .parse = gather_parse,
    .infer = gather_infer,
    .ref = gather_ref,
};
