/* Quantized operators of com.microsoft that another operator computes: on values taken off their scale and
 * put on that of the output (QLinearAveragePool, QLinearReduceMean, QEmbedLayerNormalization), or on the
 * same values with the channels moved from the last axis to the second (QLinearConv, NhwcMaxPool). */
#include <string.h>

#include "ops/contrib.h"

extern const struct op op_AveragePool, op_MaxPool, op_QLinearConv, op_ReduceMean;

struct wrapped {
    const struct op *op; /* what computes it */
    void *params;        /* of op */
    int64_t last;        /* channels are the last axis */
    int y_scale, y_zero; /* inputs; y_scale of 0: values stay quantized */
};

static int wrap(struct cx *cx, struct arena *arena, const struct node *n, int version, const struct op *op,
                struct wrapped *p)
{
    p->op = op;
    int rc = attr_int(cx, n, "channels_last", &p->last);
    if (rc < 0)
        return rc;
    p->params = arena_zalloc(arena, op->params_size);
    return p->params ? op->parse(cx, arena, n, version, p->params) : err_nomem(cx);
}

/* ---- channels last ---- */

/* Axes of a channels-last tensor in the order of a channels-first one, and back. */
static void to_first(int rank, int *perm)
{
    perm[0] = 0;
    perm[1] = rank - 1;
    for (int i = 2; i < rank; i++)
        perm[i] = i - 1;
}

static void to_last(int rank, int *perm)
{
    for (int i = 0; i < rank - 1; i++)
        perm[i] = i ? i + 1 : 0;
    perm[rank - 1] = 1;
}

/* Infers op on an input 0 with its channels moved, and moves those of the output back. */
static int wrapped_infer(struct infer_ctx *ic, const void *params)
{
    const struct wrapped *p = params;
    int rank = ic_rank(ic, 0), perm[TENSOR_MAX_RANK];
    if (!p->last || rank < 3)
        return p->op->infer(ic, p->params);
    struct infer_ctx in = *ic;
    struct dim first[TENSOR_MAX_RANK], last[TENSOR_MAX_RANK];
    struct type t = *ic->in[0];
    const struct type *types[10];
    if (ic->nin > 10)
        return ic_err(ic, E_MODEL, "%d inputs are too many", ic->nin);
    to_first(rank, perm);
    for (int i = 0; i < rank; i++)
        first[i] = ic_dim(ic, 0, perm[i]);
    t.dims = first;
    memcpy(types, ic->in, (size_t)ic->nin * sizeof(types[0]));
    types[0] = &t;
    in.in = types;
    int rc = p->op->infer(&in, p->params);
    const struct type *y = ic->out[0];
    if (rc || !y || y->rank != rank)
        return rc;
    to_last(rank, perm);
    for (int i = 0; i < rank; i++)
        last[i] = y->dims[perm[i]];
    return ic_out(ic, 0, y->dt, rank, last);
}

/* Runs p->op on x (already off its scale, if it comes off) and the node's other inputs. */
static int run_wrapped(struct exec_ctx *ec, const struct wrapped *p, const struct step *step,
                       const struct tensor *x)
{
    const struct tensor *ins[10] = {0}, *back;
    struct tensor *y = ec->out[0], *outs[1] = {y};
    int perm[TENSOR_MAX_RANK];
    int64_t dims[TENSOR_MAX_RANK];
    int rc = 0, nin = p->y_scale ? 1 : ec->nin;
    bool turn = p->last && y->rank >= 3;
    memcpy(ins, ec->in, (size_t)(nin < 10 ? nin : 10) * sizeof(ins[0]));
    ins[0] = x;
    if (turn && x->rank != y->rank)
        return err_set(ec->cx, E_SHAPE, "input and output differ in rank");
    to_first(y->rank, perm);
    if (turn)
        rc = contrib_permute(ec, x, perm, &ins[0]);
    for (int i = 0; i < y->rank; i++)
        dims[i] = y->dims[turn ? perm[i] : i];
    if (!rc && (turn || p->y_scale))
        outs[0] = contrib_temp(ec, p->y_scale ? DT_FLOAT : y->dt, y->rank, dims);
    if (rc || !outs[0])
        return rc ? rc : ec->cx->err.code;
    rc = contrib_run(ec, p->op, p->params, step, ins, nin, outs, 1);
    back = outs[0];
    to_last(y->rank, perm);
    if (!rc && turn)
        rc = contrib_permute(ec, outs[0], perm, &back);
    if (rc || back == y)
        return rc;
    if (p->y_scale)
        return contrib_round(ec, back, p->y_scale, p->y_zero);
    if (tensor_bytes(y))
        memcpy(y->data, back->data, tensor_bytes(y));
    return 0;
}

static int wrapped_ref(struct exec_ctx *ec, const void *params)
{
    const struct wrapped *p = params;
    const struct tensor *x = ec->in[0];
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    int rc = p->y_scale ? contrib_float(ec, 0, 1, 2, 0, &x) : 0;
    return rc ? rc : run_wrapped(ec, p, NULL, x);
}

static int wrapped_cost(struct infer_ctx *ic, const void *params, struct op_cost *out)
{
    const struct wrapped *p = params;
    int rc = ic->out[0] ? 0 : wrapped_infer(ic, params);
    return rc ? rc : p->op->cost(ic, p->params, out);
}

/* ---- QLinearConv: its nine inputs are those of ai.onnx's ---- */

static int qconv_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    int rc = contrib_inputs(cx, n, 8, 9, 0xff);
    return rc ? rc : wrap(cx, arena, n, version, &op_QLinearConv, params);
}

struct qconv_step {
    const struct wrapped *p;
    struct step inner;
};

static int qconv_run(struct exec_ctx *ec, const void *state)
{
    const struct qconv_step *s = state;
    if (!ec_has_out(ec, 0) || !tensor_count(ec->out[0]))
        return 0;
    return run_wrapped(ec, s->p, &s->inner, ec->in[0]);
}

static int qconv_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    struct qconv_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    s->p = params;
    int rc = s->p->op->bind(bc, s->p->params, &s->inner);
    if (rc || !s->inner.run)
        return rc;
    step->run = qconv_run;
    step->state = s;
    step->consumed = s->inner.consumed;
    step->kernel = s->inner.kernel;
    return 0;
}

const struct op op_com_microsoft_QLinearConv = {
    .domain = "com.microsoft",
    .name = "QLinearConv",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct wrapped),
    .parse = qconv_parse,
    .infer = wrapped_infer,
    .ref = wrapped_ref,
    .bind = qconv_bind,
    .cost = wrapped_cost,
};

/* ---- NhwcMaxPool ---- */

static int nhwc_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct wrapped *p = params;
    int rc = contrib_inputs(cx, n, 1, 1, 1);
    if (!rc)
        rc = wrap(cx, arena, n, version, &op_MaxPool, p);
    p->last = 1;
    return rc;
}

/* ---- QLinearAveragePool, QLinearReduceMean: x, scale, zero point, then those of the output ---- */

static int pool_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct wrapped *p = params;
    p->y_scale = 3;
    p->y_zero = 4;
    int rc = contrib_inputs(cx, n, 4, 5, 0xb);
    return rc ? rc : wrap(cx, arena, n, version, &op_AveragePool, p);
}

static int mean_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct wrapped *p = params;
    (void)version;
    p->y_scale = 3;
    p->y_zero = 4;
    struct node shown = *n;
    shown.op_type = "ReduceMean"; /* which tells the reductions apart */
    int rc = contrib_inputs(cx, n, 4, 5, 0xb);
    return rc ? rc : wrap(cx, arena, &shown, 13, &op_ReduceMean, p); /* 13: axes are an attribute */
}

/* ReduceMean would take the scale for its axes. */
static int mean_infer(struct infer_ctx *ic, const void *params)
{
    const struct wrapped *p = params;
    struct infer_ctx in = *ic;
    in.nin = 1;
    return p->op->infer(&in, p->params);
}

#define WRAPPED(opname, parse_fn, infer_fn)                                                                  \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct wrapped),  \
        .parse = parse_fn, .infer = infer_fn, .ref = wrapped_ref,                                            \
    }

const struct op op_com_microsoft_NhwcMaxPool = WRAPPED("NhwcMaxPool", nhwc_parse, wrapped_infer);
const struct op op_com_microsoft_QLinearAveragePool =
    WRAPPED("QLinearAveragePool", pool_parse, wrapped_infer);
const struct op op_com_microsoft_QLinearReduceMean = WRAPPED("QLinearReduceMean", mean_parse, mean_infer);

/* ---- QLinearWhere: condition, X, scale, zero, Y, scale, zero, then those of Z ---- */

static int where_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version, (void)params;
    return contrib_inputs(cx, n, 9, 9, 0x1ff);
}

static int where_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK];
    int rank = -1;
    (void)params;
    int rc = ic_broadcast(ic, (const int[]){0, 1, 4}, 3, &rank, dims);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 1), rank, dims);
}

/* Steps of t over the axes of a result of `rank`, 0 where it is broadcast. */
static void broadcast_steps(const struct tensor *t, int rank, int64_t *step)
{
    int64_t s = 1;
    for (int i = 0; i < rank; i++)
        step[i] = 0;
    for (int a = t->rank - 1; a >= 0; a--) {
        step[rank - t->rank + a] = t->dims[a] == 1 ? 0 : s;
        s *= t->dims[a];
    }
}

static int where_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    struct tensor *z = ec->out[0], *v;
    const struct tensor *x, *y, *c = ec->in[0];
    int64_t at[TENSOR_MAX_RANK] = {0}, step[3][TENSOR_MAX_RANK], off[3] = {0, 0, 0};
    int rc = c->dt == DT_BOOL ? contrib_float(ec, 1, 2, 3, 0, &x) : ec_unsupported(ec, 0);
    if (!rc)
        rc = contrib_float(ec, 4, 5, 6, 0, &y);
    v = rc ? NULL : contrib_temp(ec, DT_FLOAT, z->rank, z->dims);
    if (!v)
        return rc ? rc : ec->cx->err.code;
    broadcast_steps(c, z->rank, step[0]);
    broadcast_steps(x, z->rank, step[1]);
    broadcast_steps(y, z->rank, step[2]);
    const bool *cond = c->data;
    const float *px = x->data, *py = y->data;
    for (int64_t i = 0, n = tensor_count(z); i < n; i++) {
        ((float *)v->data)[i] = cond[off[0]] ? px[off[1]] : py[off[2]];
        for (int k = z->rank - 1; k >= 0; k--) {
            bool more = ++at[k] < z->dims[k];
            for (int j = 0; j < 3; j++)
                off[j] += more ? step[j][k] : -step[j][k] * (z->dims[k] - 1);
            if (more)
                break;
            at[k] = 0;
        }
    }
    return contrib_round(ec, v, 7, 8);
}

const struct op op_com_microsoft_QLinearWhere = {
    .domain = "com.microsoft",
    .name = "QLinearWhere",
    .tol = TOL_ROUND,
    .parse = where_parse,
    .infer = where_infer,
    .ref = where_ref,
};
