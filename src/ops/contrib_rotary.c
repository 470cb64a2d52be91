/* RotaryEmbedding and MRotaryEmbedding of com.microsoft. They differ from ai.onnx's RotaryEmbedding in that
 * the positions come second and may be one offset for all, and in how heads are told from a flat row. */
#include <string.h>

#include "ops/contrib_attn.h"

/* ---- one head ---- */

int ms_rotary_open(struct exec_ctx *ec, int c, int s, int64_t size, struct ms_rotary *r)
{
    const struct tensor *tc = ec_has(ec, c) ? ec->in[c] : NULL, *ts = ec_has(ec, s) ? ec->in[s] : NULL;
    if (!tc || !ts)
        return err_set(ec->cx, E_MODEL, "the caches of cosines and sines are missing");
    if (tc->rank != 2 || ts->rank != 2 || tc->dims[0] != ts->dims[0] || tc->dims[1] != ts->dims[1] ||
        tc->dims[1] < 1 || 2 * tc->dims[1] > size)
        return err_set(ec->cx, E_SHAPE, "the caches of cosines and sines do not fit heads of %lld",
                       (long long)size);
    r->rows = tc->dims[0];
    r->half = tc->dims[1];
    int rc = wide_f32(ec, c, &r->cos);
    return rc ? rc : wide_f32(ec, s, &r->sin);
}

void ms_rotate(const struct ms_rotary *r, const float *c, const float *s, const float *x, float *y,
               int64_t size)
{
    int64_t step = r->interleaved ? 2 : 1, apart = r->interleaved ? 1 : r->half;
    for (int64_t k = 0; k < r->half; k++) {
        float a = x[k * step], b = x[k * step + apart];
        y[k * step] = a * c[k] - b * s[k];
        y[k * step + apart] = b * c[k] + a * s[k];
    }
    memcpy(y + 2 * r->half, x + 2 * r->half, (size_t)(size - 2 * r->half) * sizeof(*y));
}

int ms_rotary_check(struct cx *cx, const struct ms_rotary *r, int64_t position)
{
    if (position >= 0 && position < r->rows)
        return 0;
    return err_set(cx, E_VALUE, "position %lld is outside the caches' %lld rows", (long long)position,
                   (long long)r->rows);
}

/* ---- the operators ---- */

enum { IN_X, IN_POSITIONS, IN_COS, IN_SIN };

struct rotary {
    int64_t heads, dim; /* 0: not given */
    bool interleaved;
    bool multi;         /* MRotaryEmbedding: three positions a token */
    int64_t section[3]; /* of its frequencies, which stream each takes its position from */
    bool woven;         /* the sections alternate, else they follow each other */
};

static int read_sections(struct cx *cx, const struct node *n, struct rotary *p)
{
    const int64_t *v = NULL;
    size_t count = 0;
    int64_t layout = 0;
    int rc = attr_ints(cx, n, "mrope_section", &v, &count);
    if (rc >= 0)
        rc = attr_int(cx, n, "mrope_layout", &layout);
    if (rc < 0)
        return rc;
    if (count != 3 || v[0] < 0 || v[1] < 0 || v[2] < 0 || layout < 0 || layout > 1)
        return err_set(cx, E_ATTR, "mrope_section must be three sizes, and mrope_layout 0 or 1");
    memcpy(p->section, v, sizeof(p->section));
    p->woven = layout == 1;
    return 0;
}

static int rotary_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct rotary *p = params;
    int64_t inter = 0;
    (void)arena, (void)version;
    p->multi = n->op_type[0] == 'M';
    int rc = contrib_inputs(cx, n, 4, 4, 15);
    if (!rc)
        rc = attr_int(cx, n, "num_heads", &p->heads);
    if (rc >= 0)
        rc = attr_int(cx, n, "rotary_embedding_dim", &p->dim);
    if (rc >= 0)
        rc = attr_int(cx, n, "interleaved", &inter);
    p->interleaved = inter != 0;
    if (rc >= 0 && (p->heads < 0 || p->dim < 0 || p->dim % 2 || (p->dim && !p->heads)))
        return err_set(cx, E_ATTR, "rotary_embedding_dim must be even, and comes with num_heads");
    return rc < 0 ? rc : p->multi ? read_sections(cx, n, p) : 0;
}

static int rotary_infer(struct infer_ctx *ic, const void *params)
{
    const struct rotary *p = params;
    int rc = ic_need_rank(ic, IN_X, 3, 4);
    if (!rc)
        rc = p->multi ? ic_need_rank(ic, IN_POSITIONS, 3, 3) : ic_need_rank(ic, IN_POSITIONS, 1, 2);
    for (int i = IN_COS; !rc && i <= IN_SIN; i++)
        rc = ic_need_rank(ic, i, 2, 2);
    return rc ? rc : ic_out_same(ic, 0, IN_X);
}

struct rotary_job {
    const struct rotary *p;
    struct ms_rotary r;
    int64_t batch, heads, steps, size;
    bool flat; /* [batch, steps, heads, size], else heads before steps */
    const struct tensor *pos;
    const float *x;
    float *y, *row; /* row: MRotaryEmbedding's cosines and sines of one token */
};

static int rotary_sizes(struct exec_ctx *ec, struct rotary_job *j)
{
    const struct tensor *x = ec->in[IN_X];
    const struct rotary *p = j->p;
    j->flat = x->rank == 3;
    j->batch = x->dims[0];
    j->steps = x->dims[j->flat ? 1 : 2];
    j->size = j->flat ? 2 * ec->in[IN_COS]->dims[1] : x->dims[3];
    j->heads = j->flat ? p->heads : x->dims[1];
    if (j->flat && p->heads)
        j->size = x->dims[2] / p->heads;
    else if (j->flat && j->size)
        j->heads = x->dims[2] / j->size;
    if (j->flat && j->heads * j->size != x->dims[2])
        return err_set(ec->cx, E_SHAPE, "rows of %lld are no heads of %lld", (long long)x->dims[2],
                       (long long)j->size);
    j->pos = ec->in[IN_POSITIONS];
    int64_t want = j->batch * j->steps * (p->multi ? 3 : 1);
    if (j->pos->dt != DT_INT64 ||
        (tensor_count(j->pos) != want && (p->multi || j->pos->rank != 1 || tensor_count(j->pos) != 1)))
        return err_set(ec->cx, E_SHAPE, "position_ids do not fit the input");
    return 0;
}

/* The stream (time, height, width) that frequency k takes its position from. */
static int stream_of(const struct rotary *p, int64_t k)
{
    if (p->woven)
        return k % 3 == 1 && k < 3 * p->section[1] ? 1 : k % 3 == 2 && k < 3 * p->section[2] ? 2 : 0;
    return k < p->section[0] ? 0 : k < p->section[0] + p->section[1] ? 1 : 2;
}

/* Cosines and sines of the token at (b, s). */
static int token_turn(struct cx *cx, const struct rotary_job *j, int64_t b, int64_t s, const float **c,
                      const float **sn)
{
    const int64_t *pos = j->pos->data;
    const struct ms_rotary *r = &j->r;
    int64_t at = b * j->steps + s, each = j->batch * j->steps;
    int rc = 0;
    if (!j->p->multi) {
        int64_t row = j->pos->rank == 1 && tensor_count(j->pos) == 1 ? pos[0] + s : pos[at];
        rc = ms_rotary_check(cx, r, row);
        *c = r->cos + (rc ? 0 : row) * r->half;
        *sn = r->sin + (rc ? 0 : row) * r->half;
        return rc;
    }
    for (int64_t k = 0; !rc && k < r->half; k++) {
        int64_t row = pos[stream_of(j->p, k) * each + at];
        rc = ms_rotary_check(cx, r, row);
        j->row[k] = rc ? 0 : r->cos[row * r->half + k];
        j->row[r->half + k] = rc ? 0 : r->sin[row * r->half + k];
    }
    *c = j->row;
    *sn = j->row + r->half;
    return rc;
}

static int rotary_all(struct cx *cx, const struct rotary_job *j)
{
    const float *c, *s;
    for (int64_t i = 0; i < j->batch * j->steps; i++) {
        int64_t b = i / j->steps, t = i % j->steps;
        int rc = token_turn(cx, j, b, t, &c, &s);
        for (int64_t h = 0; !rc && h < j->heads; h++) {
            int64_t at = j->flat ? i * j->heads + h : (b * j->heads + h) * j->steps + t;
            ms_rotate(&j->r, c, s, j->x + at * j->size, j->y + at * j->size, j->size);
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int rotary_ref(struct exec_ctx *ec, const void *params)
{
    struct rotary_job j = {.p = params, .r.interleaved = ((const struct rotary *)params)->interleaved};
    if (!wide_fits_f32(ec->in[IN_X]->dt))
        return ec_unsupported(ec, IN_X);
    if (!tensor_count(ec->in[IN_X]))
        return 0;
    int rc = rotary_sizes(ec, &j);
    if (!rc)
        rc = ms_rotary_open(ec, IN_COS, IN_SIN, j.size, &j.r);
    if (rc)
        return rc;
    const int64_t *s = j.p->section;
    if ((j.p->dim && 2 * j.r.half != j.p->dim) || (!j.p->dim && 2 * j.r.half != j.size) ||
        (j.p->multi && s[0] + s[1] + s[2] != j.r.half))
        return err_set(ec->cx, E_SHAPE, "the caches' %lld columns are not what is to be turned",
                       (long long)j.r.half);
    rc = wide_f32(ec, IN_X, &j.x);
    if (!rc)
        rc = wide_out_f32(ec, 0, &j.y);
    j.row = rc || !j.y ? NULL : ec_scratch(ec, (size_t)(2 * j.r.half) * sizeof(float));
    if (!j.row)
        return rc || !j.y ? rc : ec->cx->err.code;
    rc = rotary_all(ec->cx, &j);
    wide_done_f32(ec, 0, j.y);
    return rc;
}

#define ROTARY(opname)                                                                                       \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct rotary),   \
        .parse = rotary_parse, .infer = rotary_infer, .ref = rotary_ref, .supports = ms_float_supports,      \
    }

const struct op op_com_microsoft_RotaryEmbedding = ROTARY("RotaryEmbedding");
const struct op op_com_microsoft_MRotaryEmbedding = ROTARY("MRotaryEmbedding");
