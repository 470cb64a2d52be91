/* Layers of com.microsoft with quantized weights, computed as their float forms: QEmbedLayerNormalization,
 * DynamicQuantizeLSTM, QAttention. ONNX Runtime also quantizes what comes into the LSTM, step by step; we do
 * not: results agree within the steps of that. */
#include <stdlib.h>
#include <string.h>

#include "kern/quant.h"
#include "ops/contrib.h"

extern const struct op op_com_microsoft_Attention, op_com_microsoft_EmbedLayerNormalization, op_LSTM;

/* ---- QEmbedLayerNormalization: ids, segments, five tables, mask, then five scales and five zero points ----
 */

enum {
    QE_IDS,
    QE_SEGMENTS,
    QE_WORD,
    QE_POSITION,
    QE_SEGMENT,
    QE_GAMMA,
    QE_BETA,
    QE_MASK,
    QE_SCALES,
    QE_ZEROS = 13
};

struct layer {
    void *params; /* of the float form */
};

/* The float form reads inputs 0 to 7, which are the same, and the same attributes. */
static int embed_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct layer *p = params;
    struct node shown = *n;
    int rc = contrib_inputs(cx, n, 18, 18, 0x37b6d);
    if (rc)
        return rc;
    shown.nin = 8;
    p->params = arena_zalloc(arena, op_com_microsoft_EmbedLayerNormalization.params_size);
    return p->params ? op_com_microsoft_EmbedLayerNormalization.parse(cx, arena, &shown, version, p->params)
                     : err_nomem(cx);
}

static int embed_infer(struct infer_ctx *ic, const void *params)
{
    const struct layer *p = params;
    struct type word = {0};
    const struct type *types[8];
    struct infer_ctx in = *ic;
    memcpy(types, ic->in, sizeof(types));
    if (types[QE_WORD]) {
        word = *types[QE_WORD];
        word.dt = DT_FLOAT;
        types[QE_WORD] = &word;
    }
    in.in = types;
    in.nin = 8;
    return op_com_microsoft_EmbedLayerNormalization.infer(&in, p->params);
}

/* The rows of table i that ids (input `ids`) name, as floats; *rows gets their numbers in that, in order. */
static int embed_rows(struct exec_ctx *ec, int i, int ids, const struct tensor **table,
                      const struct tensor **rows)
{
    const struct tensor *t = ec->in[i];
    int64_t n, width = t->rank == 2 ? t->dims[1] : 0;
    const int64_t *id = ec_ints(ec, ids, &n);
    struct tensor *part = id ? contrib_temp(ec, t->dt, 2, (const int64_t[]){n, width}) : NULL;
    struct tensor *order = part ? contrib_temp(ec, DT_INT32, ec->in[ids]->rank, ec->in[ids]->dims) : NULL;
    if (!order)
        return ec->cx->err.code;
    if (dtype_size(t->dt) != 1)
        return ec_unsupported(ec, i);
    for (int64_t k = 0; k < n; k++) {
        if (id[k] < 0 || id[k] >= t->dims[0])
            return err_set(ec->cx, E_VALUE, "input %d: %lld is outside the %lld rows of its table", ids,
                           (long long)id[k], (long long)t->dims[0]);
        memcpy((char *)part->data + k * width, (const char *)t->data + id[k] * width, (size_t)width);
        ((int32_t *)order->data)[k] = (int32_t)k;
    }
    const struct tensor **ins = ec_scratch(ec, (size_t)ec->nin * sizeof(*ins));
    if (!ins)
        return ec->cx->err.code;
    memcpy(ins, ec->in, (size_t)ec->nin * sizeof(*ins));
    ins[i] = part;
    struct exec_ctx view = *ec;
    view.in = ins;
    *rows = order;
    return contrib_float(&view, i, QE_SCALES + i - QE_WORD, QE_ZEROS + i - QE_WORD, 0, table);
}

static int embed_ref(struct exec_ctx *ec, const void *params)
{
    const struct layer *p = params;
    const struct tensor *ins[8] = {ec->in[QE_IDS], ec->in[QE_SEGMENTS]};
    int rc = 0;
    ins[QE_MASK] = ec->in[QE_MASK];
    if (ec_has(ec, QE_SEGMENTS) != ec_has(ec, QE_SEGMENT))
        return err_set(ec->cx, E_MODEL, "segment_ids and segment_embedding come together");
    rc = embed_rows(ec, QE_WORD, QE_IDS, &ins[QE_WORD], &ins[QE_IDS]);
    if (!rc && ec_has(ec, QE_SEGMENTS))
        rc = embed_rows(ec, QE_SEGMENT, QE_SEGMENTS, &ins[QE_SEGMENT], &ins[QE_SEGMENTS]);
    static const int plain[] = {QE_POSITION, QE_GAMMA, QE_BETA};
    for (int k = 0; !rc && k < 3; k++)
        rc = contrib_float(ec, plain[k], QE_SCALES + plain[k] - QE_WORD, QE_ZEROS + plain[k] - QE_WORD, 0,
                           &ins[plain[k]]);
    return rc ? rc
              : contrib_run(ec, &op_com_microsoft_EmbedLayerNormalization, p->params, NULL, ins, 8, ec->out,
                            ec->nout);
}

const struct op op_com_microsoft_QEmbedLayerNormalization = {
    .domain = "com.microsoft",
    .name = "QEmbedLayerNormalization",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct layer),
    .parse = embed_parse,
    .infer = embed_infer,
    .ref = embed_ref,
};

/* ---- DynamicQuantizeLSTM: the inputs of LSTM, weights turned; then scale and zero point of W and R ---- */

enum { LSTM_W = 1, LSTM_R, LSTM_INPUTS = 8, LSTM_W_SCALE = 8, LSTM_R_SCALE = 10 };

static int lstm_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct layer *p = params;
    struct node shown = *n;
    (void)version;
    int rc = contrib_inputs(cx, n, 12, 12, 0xf07);
    if (rc)
        return rc;
    shown.nin = LSTM_INPUTS;
    shown.op_type = "LSTM";
    p->params = arena_zalloc(arena, op_LSTM.params_size);
    return p->params ? op_LSTM.parse(cx, arena, &shown, 14, p->params) : err_nomem(cx);
}

/* [dirs, in, 4 hidden] as [dirs, 4 hidden, in], of floats. */
static const struct type *turned_type(struct infer_ctx *ic, int i)
{
    struct type *t = arena_zalloc(ic->arena, sizeof(*t));
    struct dim *d = arena_array(ic->arena, 3, sizeof(*d));
    if (!t || !d)
        return NULL;
    *t = (struct type){.kind = TY_TENSOR, .dt = DT_FLOAT, .rank = ic_rank(ic, i), .dims = d};
    for (int a = 0; a < 3 && t->rank == 3; a++)
        d[a] = ic_dim(ic, i, a ? 3 - a : 0);
    return t;
}

static int lstm_infer(struct infer_ctx *ic, const void *params)
{
    const struct layer *p = params;
    const struct type *types[LSTM_INPUTS];
    struct infer_ctx in = *ic;
    int rc = ic_need_rank(ic, LSTM_W, 3, 3);
    if (!rc)
        rc = ic_need_rank(ic, LSTM_R, 3, 3);
    if (rc)
        return rc;
    memcpy(types, ic->in, sizeof(types));
    for (int i = LSTM_W; i <= LSTM_R; i++) {
        types[i] = turned_type(ic, i);
        if (!types[i])
            return err_nomem(ic->cx);
    }
    in.in = types;
    in.nin = LSTM_INPUTS;
    return op_LSTM.infer(&in, p->params);
}

/* Weights t as floats, turned; scale and zero point have one value a direction, or one an output. */
static int lstm_weights(struct cx *cx, const struct tensor *t, const struct tensor *scale,
                        const struct tensor *zero, float *out)
{
    int64_t dirs = t->dims[0], in = t->dims[1], gates = t->dims[2], n = tensor_count(scale);
    if (t->rank != 3 || (n != dirs && n != dirs * gates) || tensor_count(zero) != n)
        return err_set(cx, E_SHAPE, "scales of the weights are not one a direction or output");
    for (int64_t d = 0; d < dirs; d++)
        for (int64_t g = 0; g < gates; g++) {
            int64_t k = n == dirs ? d : d * gates + g;
            float s = (float)tensor_f64(scale, k), z = (float)tensor_f64(zero, k);
            for (int64_t i = 0; i < in; i++)
                out[(d * gates + g) * in + i] = ((float)tensor_f64(t, (d * in + i) * gates + g) - z) * s;
        }
    return 0;
}

static void turned_shape(const struct tensor *t, struct tensor *out)
{
    *out = (struct tensor){.dt = DT_FLOAT, .rank = 3, .dims = {t->dims[0], t->dims[2], t->dims[1]}};
}

struct lstm_step {
    const struct layer *p;
    struct step inner;
};

static int lstm_any(struct exec_ctx *ec, const struct layer *p, const struct step *inner)
{
    const struct tensor *ins[LSTM_INPUTS];
    struct tensor w[2];
    memcpy(ins, ec->in, sizeof(ins));
    for (int i = 0; !inner && i < 2; i++) {
        const struct tensor *t = ec->in[LSTM_W + i];
        int s = i ? LSTM_R_SCALE : LSTM_W_SCALE;
        if (t->rank != 3)
            return err_set(ec->cx, E_SHAPE, "weights have %d axes, expected 3", t->rank);
        turned_shape(t, &w[i]);
        w[i].data = ec_scratch(ec, ((size_t)tensor_count(t) + 1) * sizeof(float));
        int rc = w[i].data ? lstm_weights(ec->cx, t, ec->in[s], ec->in[s + 1], w[i].data) : ec->cx->err.code;
        if (rc)
            return rc;
        ins[LSTM_W + i] = &w[i];
    }
    return contrib_run(ec, &op_LSTM, p->params, inner, ins, LSTM_INPUTS, ec->out, ec->nout);
}

static int lstm_ref(struct exec_ctx *ec, const void *params)
{
    return lstm_any(ec, params, NULL);
}

static int lstm_run(struct exec_ctx *ec, const void *state)
{
    const struct lstm_step *s = state;
    return lstm_any(ec, s->p, &s->inner);
}

static int const_weights(struct bind_ctx *bc, int i, int scale, struct tensor *out)
{
    const struct tensor *t = bc_const(bc, i), *s = bc_const(bc, scale), *z = bc_const(bc, scale + 1);
    if (!t || !s || !z || t->rank != 3)
        return bc->cx->err.code ? bc->cx->err.code : 1;
    turned_shape(t, out);
    out->data = mem_alloc(((size_t)tensor_count(t) + 1) * sizeof(float));
    return out->data ? lstm_weights(bc->cx, t, s, z, out->data) : err_nomem(bc->cx);
}

static int lstm_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    static const int from[CONTRIB_INNER] = {0, -1, -1, 3, 4, 5, 6, 7};
    const struct layer *p = params;
    struct contrib_bind in;
    struct tensor w = {0}, r = {0};
    struct lstm_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    contrib_bind_init(&in, bc, from, LSTM_INPUTS);
    int rc = const_weights(bc, LSTM_W, LSTM_W_SCALE, &w);
    if (!rc)
        rc = const_weights(bc, LSTM_R, LSTM_R_SCALE, &r);
    if (!rc)
        rc = contrib_bind_const(&in, LSTM_W, &w);
    if (!rc)
        rc = contrib_bind_const(&in, LSTM_R, &r);
    if (!rc)
        rc = op_LSTM.bind(&in.bc, p->params, &s->inner);
    free(w.data);
    free(r.data);
    if (rc)
        return rc < 0 ? rc : 0;
    if ((s->inner.consumed & 6) != 6) /* not packed: nothing is kept */
        return 0;
    s->p = p;
    step->run = lstm_run;
    step->state = s;
    step->kernel = s->inner.kernel;
    step->consumed = 0xf06;
    return 0;
}

const struct op op_com_microsoft_DynamicQuantizeLSTM = {
    .domain = "com.microsoft",
    .name = "DynamicQuantizeLSTM",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct layer),
    .parse = lstm_parse,
    .infer = lstm_infer,
    .ref = lstm_ref,
    .bind = lstm_bind,
};

/* ---- QAttention: X, W, bias, scales of X and W, mask, zero points of X and W, past ---- */

enum { QA_X, QA_W, QA_BIAS, QA_X_SCALE, QA_W_SCALE, QA_MASK, QA_X_ZERO, QA_W_ZERO, QA_PAST };
enum { ATT_INPUTS = 5 }; /* of the float form: X, W, bias, mask, past */

static int qattention_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    struct layer *p = params;
    struct node shown = *n;
    int rc = contrib_inputs(cx, n, 5, 9, 0x1f);
    if (rc)
        return rc;
    shown.nin = 3;
    p->params = arena_zalloc(arena, op_com_microsoft_Attention.params_size);
    return p->params ? op_com_microsoft_Attention.parse(cx, arena, &shown, version, p->params)
                     : err_nomem(cx);
}

/* A float type of the same shape; NULL where nothing is known. E_NOMEM sets the error. */
static const struct type *float_type(struct cx *cx, struct arena *arena, const struct type *t)
{
    struct type *f = t ? arena_zalloc(arena, sizeof(*f)) : NULL;
    if (!t || !f) {
        if (t)
            err_nomem(cx);
        return NULL;
    }
    *f = *t;
    f->dt = DT_FLOAT;
    return f;
}

static const struct type *in_type(const struct infer_ctx *ic, int i)
{
    return i < ic->nin ? ic->in[i] : NULL;
}

static int qattention_infer(struct infer_ctx *ic, const void *params)
{
    const struct layer *p = params;
    struct node shown = *ic->node;
    struct value *values[ATT_INPUTS];
    const struct type *types[ATT_INPUTS];
    struct infer_ctx in = *ic;
    static const int from[ATT_INPUTS] = {QA_X, QA_W, QA_BIAS, QA_MASK, QA_PAST};
    for (int i = 0; i < ATT_INPUTS; i++) {
        values[i] = from[i] < ic->nin ? ic->node->in[from[i]] : NULL;
        types[i] = in_type(ic, from[i]);
    }
    for (int i = 0; i < 2; i++)
        types[i] = float_type(ic->cx, ic->arena, types[i]);
    if (ic->cx->err.code)
        return ic->cx->err.code;
    shown.in = values;
    shown.nin = ATT_INPUTS;
    in.node = &shown;
    in.in = types;
    in.nin = ATT_INPUTS;
    return op_com_microsoft_Attention.infer(&in, p->params);
}

struct qattention_step {
    const struct layer *p;
    struct step inner;
};

static int qattention_any(struct exec_ctx *ec, const struct layer *p, const struct step *inner)
{
    const struct tensor *ins[ATT_INPUTS] = {NULL, NULL, ec->in[QA_BIAS]};
    int rc = contrib_float(ec, QA_X, QA_X_SCALE, QA_X_ZERO, 0, &ins[0]);
    if (!rc && !inner)
        rc = contrib_float(ec, QA_W, QA_W_SCALE, QA_W_ZERO, 1, &ins[1]);
    ins[3] = ec_has(ec, QA_MASK) ? ec->in[QA_MASK] : NULL;
    ins[4] = ec_has(ec, QA_PAST) ? ec->in[QA_PAST] : NULL;
    return rc ? rc
              : contrib_run(ec, &op_com_microsoft_Attention, p->params, inner, ins, ATT_INPUTS, ec->out,
                            ec->nout);
}

static int qattention_ref(struct exec_ctx *ec, const void *params)
{
    return qattention_any(ec, params, NULL);
}

static int qattention_run(struct exec_ctx *ec, const void *state)
{
    const struct qattention_step *s = state;
    return qattention_any(ec, s->p, &s->inner);
}

/* The constant weights as floats; 1: they are not constant. */
static int attention_weights(struct bind_ctx *bc, struct tensor *out)
{
    const struct tensor *w = bc_const(bc, QA_W), *s = bc_const(bc, QA_W_SCALE), *z = NULL;
    bool zero = QA_W_ZERO < bc->nin && bc->node->in[QA_W_ZERO];
    if (zero)
        z = bc_const(bc, QA_W_ZERO);
    if (!w || !s || (zero && !z) || w->rank != 2)
        return bc->cx->err.code ? bc->cx->err.code : 1;
    int64_t cols = w->dims[1], ns = tensor_count(s), nz = z ? tensor_count(z) : 1;
    dequantize_fn *fn = bc->kern->quant.dequantize[w->dt];
    if (!fn || (ns != 1 && ns != cols) || (nz != 1 && nz != cols))
        return 1;
    *out = (struct tensor){.dt = DT_FLOAT, .rank = 2, .dims = {w->dims[0], cols}};
    float *f = out->data = mem_alloc(((size_t)tensor_count(w) + 1) * sizeof(float));
    if (!f)
        return err_nomem(bc->cx);
    for (int64_t i = 0; i < tensor_count(w); i++)
        fn((const char *)w->data + i, f + i, 1, (float)tensor_f64(s, ns > 1 ? i % cols : 0),
           z ? (int32_t)tensor_i64(z, nz > 1 ? i % cols : 0) : 0);
    return 0;
}

static int qattention_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    static const int from[CONTRIB_INNER] = {QA_X, -1, QA_BIAS, QA_MASK, QA_PAST};
    const struct layer *p = params;
    struct contrib_bind in;
    struct tensor w = {0};
    struct qattention_step *s = arena_zalloc(bc->arena, sizeof(*s));
    if (!s)
        return err_nomem(bc->cx);
    int rc = attention_weights(bc, &w);
    contrib_bind_init(&in, bc, from, ATT_INPUTS);
    if (!rc) {
        in.types[0] = float_type(bc->cx, bc->arena, in.types[0]);
        rc = bc->cx->err.code;
    }
    if (!rc)
        rc = contrib_bind_const(&in, 1, &w);
    if (!rc)
        rc = op_com_microsoft_Attention.bind(&in.bc, p->params, &s->inner);
    free(w.data);
    if (rc)
        return rc < 0 ? rc : 0;
    if (!(s->inner.consumed >> 1 & 1) || s->inner.consumed & ~2u) /* not packed: nothing is kept */
        return 0;
    s->p = p;
    step->run = qattention_run;
    step->state = s;
    step->kernel = s->inner.kernel;
    step->consumed = 1u << QA_W;
    return 0;
}

const struct op op_com_microsoft_QAttention = {
    .domain = "com.microsoft",
    .name = "QAttention",
    .tol = TOL_ROUND,
    .params_size = sizeof(struct layer),
    .parse = qattention_parse,
    .infer = qattention_infer,
    .ref = qattention_ref,
    .bind = qattention_bind,
};
