/* Sequences and optionals. Elements are references: inserting or erasing copies a list, never tensors. */
#include <string.h>

#include "ops/op_util.h"

/* ---- types ---- */

static const struct type *wrap_type(struct infer_ctx *ic, enum type_kind kind, const struct type *elem)
{
    struct type *t = arena_zalloc(ic->arena, sizeof(*t));
    if (!t)
        return NULL;
    t->kind = kind;
    t->elem = elem;
    t->dt = elem ? elem->dt : DT_UNDEFINED;
    return t;
}

/* A tensor of unknown rank. */
static const struct type *any_tensor(struct infer_ctx *ic, enum dtype dt)
{
    struct type *t = arena_zalloc(ic->arena, sizeof(*t));
    if (!t)
        return NULL;
    t->kind = TY_TENSOR;
    t->dt = dt;
    t->rank = -1;
    return t;
}

/* Element type of the sequence (or optional) at input i; NULL when not known. */
static const struct type *elem_type(struct infer_ctx *ic, int i, enum type_kind kind)
{
    const struct type *t = ic_type(ic, i);
    return t && t->kind == kind ? t->elem : NULL;
}

static int out_or_none(struct infer_ctx *ic, int o, const struct type *t)
{
    return t && ic_has_out(ic, o) ? ic_out_type(ic, o, t) : 0;
}

static int need_seq(struct exec_ctx *ec, int i)
{
    if (ec->in[i]->kind != RT_SEQ || !ec->in[i]->seq)
        return err_set(ec->cx, E_TYPE, "input %d is no sequence", i);
    return 0;
}

/* Appends a reference to t. */
static int push(struct cx *cx, struct rt_seq *s, const struct tensor *t)
{
    struct tensor item;
    int rc = own_ref(cx, &item, t);
    if (!rc)
        rc = rt_seq_push(cx, s, &item);
    if (rc)
        tensor_drop(&item);
    return rc;
}

/* Takes over s, also on error. */
static int give_seq(struct exec_ctx *ec, int o, enum rt_kind kind, enum dtype dt, struct rt_seq *s)
{
    struct tensor t = {.kind = kind, .dt = dt, .seq = s};
    int rc = ec_set_out(ec, o, &t);
    if (rc)
        tensor_drop(&t);
    return rc;
}

/* ---- making sequences ---- */

struct seq_params {
    int64_t dtype, axis;
    bool keepdims, new_axis;
};

static int empty_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct seq_params *p = params;
    (void)arena, (void)version;
    p->dtype = DT_FLOAT;
    int rc = attr_int(cx, n, "dtype", &p->dtype);
    if (rc >= 0 && (p->dtype < 1 || p->dtype >= DT_COUNT))
        return err_set(cx, E_ATTR, "attribute 'dtype' is %lld, no element type", (long long)p->dtype);
    return rc < 0 ? rc : 0;
}

static int empty_infer(struct infer_ctx *ic, const void *params)
{
    const struct seq_params *p = params;
    return out_or_none(ic, 0, wrap_type(ic, TY_SEQ, any_tensor(ic, (enum dtype)p->dtype)));
}

static int empty_ref(struct exec_ctx *ec, const void *params)
{
    const struct seq_params *p = params;
    struct rt_seq *s = NULL;
    int rc = rt_seq_new(ec->cx, &s);
    return rc ? rc : give_seq(ec, 0, RT_SEQ, (enum dtype)p->dtype, s);
}

const struct op op_SequenceEmpty = {.domain = "",
                                    .name = "SequenceEmpty",
                                    .flags = OP_DYNAMIC,
                                    .params_size = sizeof(struct seq_params),
                                    .parse = empty_parse,
                                    .infer = empty_infer,
                                    .ref = empty_ref};

static int construct_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    const struct type *t = ic_type(ic, 0);
    for (int i = 1; i < ic->nin; i++)
        t = common_type(ic, t, ic_type(ic, i));
    if (!t && ic_dtype(ic, 0) != DT_UNDEFINED)
        t = any_tensor(ic, ic_dtype(ic, 0));
    return t ? out_or_none(ic, 0, wrap_type(ic, TY_SEQ, t)) : 0;
}

static int construct_ref(struct exec_ctx *ec, const void *params)
{
    struct rt_seq *s = NULL;
    (void)params;
    int rc = rt_seq_new(ec->cx, &s);
    for (int i = 0; !rc && i < ec->nin; i++) {
        if (ec->in[i]->dt != ec->in[0]->dt)
            rc = err_set(ec->cx, E_TYPE, "input %d is of another type than input 0", i);
        if (!rc)
            rc = push(ec->cx, s, ec->in[i]);
    }
    if (!rc)
        return give_seq(ec, 0, RT_SEQ, ec->nin ? ec->in[0]->dt : DT_FLOAT, s);
    rt_seq_unref(s);
    return rc;
}

const struct op op_SequenceConstruct = {.domain = "",
                                        .name = "SequenceConstruct",
                                        .flags = OP_DYNAMIC,
                                        .infer = construct_infer,
                                        .ref = construct_ref};

/* ---- changing sequences ---- */

static int position(struct exec_ctx *ec, int i, int64_t lo, int64_t hi, int64_t n, int64_t *out)
{
    int rc = ec_int(ec, i, out);
    if (rc)
        return rc;
    if (*out < lo || *out > hi)
        return err_set(ec->cx, E_VALUE, "position %lld is out of range [%lld, %lld]", (long long)*out,
                       (long long)lo, (long long)hi);
    *out += *out < 0 ? n : 0;
    return 0;
}

static bool known_empty(const struct infer_ctx *ic, int i)
{
    return ic_has(ic, i) && ic->node->in[i]->producer && ic->node->in[i]->producer->op == &op_SequenceEmpty;
}

static int insert_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    const struct type *e = elem_type(ic, 0, TY_SEQ), *t = ic_type(ic, 1);
    /* The first element alone says what the elements are. */
    if (e && t && e->kind == TY_TENSOR && t->kind == TY_TENSOR && e->dt != DT_UNDEFINED &&
        t->dt != DT_UNDEFINED && e->dt != t->dt)
        return ic_err(ic, E_TYPE, "a sequence of %s takes no tensor of %s", dtype_name(e->dt),
                      dtype_name(t->dt));
    bool first = known_empty(ic, 0) && e && t && t->kind == TY_TENSOR && t->dt == e->dt;
    const struct type *both = first ? t : common_type(ic, e, t);
    if (!both && e)
        both = any_tensor(ic, e->dt);
    return both ? out_or_none(ic, 0, wrap_type(ic, TY_SEQ, both)) : 0;
}

static int insert_ref(struct exec_ctx *ec, const void *params)
{
    struct rt_seq *s = NULL;
    (void)params;
    int rc = need_seq(ec, 0);
    if (rc)
        return rc;
    const struct rt_seq *from = ec->in[0]->seq;
    int64_t n = (int64_t)from->n, at = n;
    if (ec_has(ec, 2))
        rc = position(ec, 2, -n, n, n, &at);
    if (!rc)
        rc = rt_seq_new(ec->cx, &s);
    for (int64_t i = 0; !rc && i <= n; i++) {
        if (i == at)
            rc = push(ec->cx, s, ec->in[1]);
        if (!rc && i < n)
            rc = push(ec->cx, s, &from->items[i]);
    }
    if (!rc)
        return give_seq(ec, 0, RT_SEQ, n ? ec->in[0]->dt : ec->in[1]->dt, s);
    if (s)
        rt_seq_unref(s);
    return rc;
}

const struct op op_SequenceInsert = {
    .domain = "", .name = "SequenceInsert", .flags = OP_DYNAMIC, .infer = insert_infer, .ref = insert_ref};

static int erase_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return out_or_none(ic, 0, ic_type(ic, 0));
}

static int erase_ref(struct exec_ctx *ec, const void *params)
{
    struct rt_seq *s = NULL;
    (void)params;
    int rc = need_seq(ec, 0);
    if (rc)
        return rc;
    const struct rt_seq *from = ec->in[0]->seq;
    int64_t n = (int64_t)from->n, at = n - 1;
    if (!n)
        return err_set(ec->cx, E_VALUE, "nothing can be erased from an empty sequence");
    if (ec_has(ec, 1))
        rc = position(ec, 1, -n, n - 1, n, &at);
    if (!rc)
        rc = rt_seq_new(ec->cx, &s);
    for (int64_t i = 0; !rc && i < n; i++)
        if (i != at)
            rc = push(ec->cx, s, &from->items[i]);
    if (!rc)
        return give_seq(ec, 0, RT_SEQ, ec->in[0]->dt, s);
    if (s)
        rt_seq_unref(s);
    return rc;
}

const struct op op_SequenceErase = {
    .domain = "", .name = "SequenceErase", .flags = OP_DYNAMIC, .infer = erase_infer, .ref = erase_ref};

/* ---- reading sequences ---- */

static int at_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return out_or_none(ic, 0, elem_type(ic, 0, TY_SEQ));
}

static int at_ref(struct exec_ctx *ec, const void *params)
{
    int64_t at;
    (void)params;
    int rc = need_seq(ec, 0);
    if (rc)
        return rc;
    const struct rt_seq *s = ec->in[0]->seq;
    if (!s->n)
        return err_set(ec->cx, E_VALUE, "the sequence is empty");
    rc = position(ec, 1, -(int64_t)s->n, (int64_t)s->n - 1, (int64_t)s->n, &at);
    return rc ? rc : ec_share(ec, 0, &s->items[at]);
}

const struct op op_SequenceAt = {
    .domain = "", .name = "SequenceAt", .flags = OP_DYNAMIC, .infer = at_infer, .ref = at_ref};

static int length_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out(ic, 0, DT_INT64, 0, NULL);
}

static int length_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    int rc = need_seq(ec, 0);
    if (!rc)
        *(int64_t *)ec->out[0]->data = (int64_t)ec->in[0]->seq->n;
    return rc;
}

const struct op op_SequenceLength = {
    .domain = "", .name = "SequenceLength", .infer = length_infer, .ref = length_ref};

/* ---- ConcatFromSequence ---- */

static int join_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct seq_params *p = params;
    int64_t fresh = 0;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (!rc)
        return err_set(cx, E_ATTR, "attribute 'axis' is missing");
    if (rc > 0)
        rc = attr_int(cx, n, "new_axis", &fresh);
    p->new_axis = fresh != 0;
    return rc < 0 ? rc : 0;
}

static int join_infer(struct infer_ctx *ic, const void *params)
{
    const struct seq_params *p = params;
    const struct type *e = elem_type(ic, 0, TY_SEQ);
    struct dim dims[TENSOR_MAX_RANK];
    int axis;
    if (!e || e->kind != TY_TENSOR)
        return 0;
    int rank = e->rank < 0 ? -1 : e->rank + p->new_axis;
    if (rank < 0 || rank > TENSOR_MAX_RANK)
        return ic_out(ic, 0, e->dt, -1, NULL);
    int rc = ic_axis(ic, p->axis, rank, &axis);
    for (int a = 0, i = 0; !rc && a < rank; a++)
        if (a == axis) {
            dims[a] = dim_fresh(ic->syms);
            i += !p->new_axis;
        } else {
            dims[a] = e->dims[i++];
        }
    return rc ? rc : ic_out(ic, 0, e->dt, rank, dims);
}

/* Shape of the joined tensor: all elements agree but along axis. */
static int join_shape(struct exec_ctx *ec, const struct rt_seq *s, bool fresh, int axis, int rank,
                      int64_t *dims)
{
    const struct tensor *first = &s->items[0];
    for (int a = 0, i = 0; a < rank; a++)
        dims[a] = a == axis && fresh ? 0 : first->dims[i++];
    if (!fresh)
        dims[axis] = 0;
    for (size_t k = 0; k < s->n; k++) {
        const struct tensor *t = &s->items[k];
        bool ok = t->kind == RT_TENSOR && t->rank == first->rank && t->dt == first->dt;
        for (int a = 0; ok && a < t->rank; a++)
            ok = (a == axis && !fresh) || t->dims[a] == first->dims[a];
        if (!ok)
            return err_set(ec->cx, E_SHAPE, "element %zu has another shape or type than element 0", k);
        dims[axis] += fresh ? 1 : t->dims[axis];
    }
    return 0;
}

static int join_ref(struct exec_ctx *ec, const void *params)
{
    const struct seq_params *p = params;
    int64_t dims[TENSOR_MAX_RANK + 1];
    int axis, rc = need_seq(ec, 0);
    if (rc)
        return rc;
    const struct rt_seq *s = ec->in[0]->seq;
    if (!s->n)
        return err_set(ec->cx, E_VALUE, "the sequence is empty");
    int rank = s->items[0].rank + p->new_axis;
    rc = rank > TENSOR_MAX_RANK ? err_set(ec->cx, E_SHAPE, "too many axes")
                                : ec_axis(ec, p->axis, rank, &axis);
    if (!rc)
        rc = join_shape(ec, s, p->new_axis, axis, rank, dims);
    if (!rc)
        rc = ec_resize(ec, 0, s->items[0].dt, rank, dims);
    if (rc || !ec_wants(ec, 0))
        return rc;
    int64_t rows = dims_span(dims, 0, axis);
    size_t inner = (size_t)dims_span(dims, axis + 1, rank) * dtype_size(s->items[0].dt);
    size_t row = inner * (size_t)dims[axis], off = 0;
    for (size_t k = 0; row && k < s->n; k++) {
        size_t bytes = inner * (size_t)(p->new_axis ? 1 : s->items[k].dims[axis]);
        for (int64_t r = 0; bytes && r < rows; r++)
            memcpy((char *)ec->out[0]->data + (size_t)r * row + off,
                   (const char *)s->items[k].data + (size_t)r * bytes, bytes);
        off += bytes;
    }
    return 0;
}

const struct op op_ConcatFromSequence = {.domain = "",
                                         .name = "ConcatFromSequence",
                                         .flags = OP_DYNAMIC,
                                         .params_size = sizeof(struct seq_params),
                                         .parse = join_parse,
                                         .infer = join_infer,
                                         .ref = join_ref};

/* ---- SplitToSequence ---- */

static int cut_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct seq_params *p = params;
    int64_t keepdims = 1;
    (void)arena, (void)version;
    int rc = attr_int(cx, n, "axis", &p->axis);
    if (rc >= 0)
        rc = attr_int(cx, n, "keepdims", &keepdims);
    p->keepdims = keepdims != 0;
    return rc < 0 ? rc : 0;
}

static int cut_infer(struct infer_ctx *ic, const void *params)
{
    const struct seq_params *p = params;
    const struct type *t = ic_type(ic, 0);
    int axis, n = 0;
    if (!t || t->kind != TY_TENSOR)
        return 0;
    struct type *e = arena_dup(ic->arena, t, sizeof(*e));
    if (!e)
        return err_nomem(ic->cx);
    e->origin = NULL;
    if (t->rank >= 0) {
        int rc = ic_axis(ic, p->axis, t->rank, &axis);
        e->dims = arena_array(ic->arena, (size_t)t->rank + 1, sizeof(*e->dims));
        if (rc || !e->dims)
            return rc ? rc : err_nomem(ic->cx);
        bool drop = !p->keepdims && !ic_has(ic, 1);
        for (int a = 0; a < t->rank; a++)
            if (a != axis)
                e->dims[n++] = t->dims[a];
            else if (!drop)
                e->dims[n++] = ic_has(ic, 1) ? dim_unknown() : dim_const(1);
        e->rank = n;
    }
    return out_or_none(ic, 0, wrap_type(ic, TY_SEQ, e));
}

/* Indices [from, from + len) along axis as a tensor of their own. */
static int cut_piece(struct exec_ctx *ec, int axis, int64_t from, int64_t len, bool drop, struct tensor *out)
{
    const struct tensor *in = ec->in[0];
    int64_t dims[TENSOR_MAX_RANK];
    int n = 0;
    for (int a = 0; a < in->rank; a++)
        if (a != axis || !drop)
            dims[n++] = a == axis ? len : in->dims[a];
    int rc = tensor_new(ec->cx, out, in->dt, n, dims);
    size_t inner = (size_t)dims_span(in->dims, axis + 1, in->rank) * dtype_size(in->dt);
    int64_t rows = dims_span(in->dims, 0, axis);
    for (int64_t r = 0; !rc && inner && len && r < rows; r++)
        memcpy((char *)out->data + (size_t)(r * len) * inner,
               (const char *)in->data + (size_t)(r * in->dims[axis] + from) * inner, (size_t)len * inner);
    return rc;
}

/* Length of part i; *sizes is a list (n > 0) or NULL, chunk the common length. */
static int64_t part_length(const int64_t *sizes, int64_t chunk, int64_t i, int64_t left)
{
    int64_t want = sizes ? sizes[i] : chunk;
    return !sizes && want > left ? left : want;
}

static int cut_ref(struct exec_ctx *ec, const void *params)
{
    const struct seq_params *p = params;
    const struct tensor *in = ec->in[0];
    const int64_t *sizes = NULL;
    int64_t chunk = 1, n = 0, from = 0;
    struct rt_seq *s = NULL;
    int axis, rc = ec_axis(ec, p->axis, in->rank, &axis);
    if (!rc && ec_has(ec, 1) && ec->in[1]->rank == 0)
        rc = ec_int(ec, 1, &chunk);
    else if (!rc && ec_has(ec, 1) && !(sizes = ec_ints(ec, 1, &n)))
        rc = ec->cx->err.code;
    if (!rc && !sizes && chunk < 1)
        rc = err_set(ec->cx, E_VALUE, "parts of length %lld", (long long)chunk);
    if (!rc)
        rc = rt_seq_new(ec->cx, &s);
    for (int64_t i = 0; !rc && (sizes ? i < n : from < in->dims[axis]); i++) {
        int64_t left = in->dims[axis] - from, len = part_length(sizes, chunk, i, left);
        struct tensor piece = {0};
        if (len < 0 || len > left)
            rc = err_set(ec->cx, E_SHAPE, "part %lld of length %lld does not fit an axis of %lld",
                         (long long)i, (long long)len, (long long)in->dims[axis]);
        if (!rc)
            rc = cut_piece(ec, axis, from, len, !ec_has(ec, 1) && !p->keepdims, &piece);
        if (!rc)
            rc = rt_seq_push(ec->cx, s, &piece);
        if (rc)
            tensor_drop(&piece);
        from += len;
    }
    if (!rc && from != in->dims[axis])
        rc = err_set(ec->cx, E_SHAPE, "the parts are %lld long together, the axis %lld", (long long)from,
                     (long long)in->dims[axis]);
    if (!rc)
        return give_seq(ec, 0, RT_SEQ, in->dt, s);
    if (s)
        rt_seq_unref(s);
    return rc;
}

const struct op op_SplitToSequence = {.domain = "",
                                      .name = "SplitToSequence",
                                      .flags = OP_DYNAMIC,
                                      .params_size = sizeof(struct seq_params),
                                      .parse = cut_parse,
                                      .infer = cut_infer,
                                      .ref = cut_ref};

/* ---- SequenceMap ---- */

struct map_params {
    struct graph *body;
};

static int map_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct map_params *p = params;
    (void)arena, (void)version;
    int rc = attr_graph(cx, n, "body", &p->body);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(cx, E_ATTR, "attribute 'body' is missing");
    if (p->body->nins != (size_t)n->nin || p->body->nouts < (size_t)n->nout)
        return err_set(cx, E_MODEL, "the body has %zu inputs and %zu outputs, the node %d and %d",
                       p->body->nins, p->body->nouts, n->nin, n->nout);
    return 0;
}

static int map_infer(struct infer_ctx *ic, const void *params)
{
    const struct map_params *p = params;
    size_t nouts = p->body->nouts;
    const struct type **ins = arena_array(ic->arena, (size_t)ic->nin + 1, sizeof(*ins));
    const struct shape_val **vals = arena_array(ic->arena, (size_t)ic->nin + 1, sizeof(*vals));
    struct type **outs = arena_array(ic->arena, nouts + 1, sizeof(*outs));
    struct shape_val **out_vals = arena_array(ic->arena, nouts + 1, sizeof(*out_vals));
    if (!ins || !vals || !outs || !out_vals)
        return err_nomem(ic->cx);
    for (int i = 0; i < ic->nin; i++) {
        const struct type *t = ic_type(ic, i);
        ins[i] = t && t->kind == TY_SEQ ? t->elem : t;
    }
    int rc = ic->subgraph ? ic->subgraph(ic, p->body, ins, vals, ic->nin, outs, out_vals, (int)nouts) : 0;
    for (int o = 0; !rc && o < ic->nout; o++)
        rc = outs[o] ? out_or_none(ic, o, wrap_type(ic, TY_SEQ, outs[o])) : 0;
    return rc;
}

struct map_run {
    struct tensor *ins, *outs;
    struct rt_seq **seqs;
};

static int map_turn(struct exec_ctx *ec, const struct map_params *p, struct map_run *r, size_t i)
{
    for (int k = 0; k < ec->nin; k++) {
        const struct tensor *t = ec->in[k];
        if (t->kind == RT_SEQ && t->seq->n <= i)
            return err_set(ec->cx, E_VALUE, "sequence %d is shorter than the first", k);
        r->ins[k] = t->kind == RT_SEQ ? t->seq->items[i] : *t;
    }
    int nouts = (int)p->body->nouts, rc = cx_check_time(ec->cx);
    if (!rc)
        rc = ec_run_graph(ec, p->body, r->ins, ec->nin, r->outs, nouts);
    for (int o = 0; o < nouts; o++) {
        if (!rc && o < ec->nout)
            rc = push(ec->cx, r->seqs[o], &r->outs[o]);
        tensor_drop(&r->outs[o]);
    }
    return rc;
}

static int map_ref(struct exec_ctx *ec, const void *params)
{
    const struct map_params *p = params;
    size_t nouts = p->body->nouts;
    struct map_run r = {.ins = ec_scratch(ec, ((size_t)ec->nin + 1) * sizeof(struct tensor)),
                        .outs = ec_scratch(ec, (nouts + 1) * sizeof(struct tensor)),
                        .seqs = ec_scratch(ec, ((size_t)ec->nout + 1) * sizeof(struct rt_seq *))};
    int rc = need_seq(ec, 0);
    if (rc || !r.ins || !r.outs || !r.seqs)
        return rc ? rc : ec->cx->err.code;
    memset(r.outs, 0, nouts * sizeof(*r.outs));
    memset(r.seqs, 0, ((size_t)ec->nout + 1) * sizeof(*r.seqs));
    for (int o = 0; !rc && o < ec->nout; o++)
        rc = rt_seq_new(ec->cx, &r.seqs[o]);
    for (size_t i = 0; !rc && i < ec->in[0]->seq->n; i++)
        rc = map_turn(ec, p, &r, i);
    for (int o = 0; o < ec->nout; o++) {
        struct rt_seq *s = r.seqs[o];
        if (!rc)
            rc = give_seq(ec, o, RT_SEQ, s->n ? s->items[0].dt : ec->in[0]->dt, s);
        else if (s)
            rt_seq_unref(s);
    }
    return rc;
}

const struct op op_SequenceMap = {.domain = "",
                                  .name = "SequenceMap",
                                  .flags = OP_SUBGRAPH | OP_DYNAMIC,
                                  .params_size = sizeof(struct map_params),
                                  .parse = map_parse,
                                  .infer = map_infer,
                                  .ref = map_ref};

/* ---- optionals ---- */

struct opt_params {
    const struct type *type; /* of the element, where there is no input */
};

static int optional_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct opt_params *p = params;
    const struct attr *a = node_attr(n, "type");
    (void)arena, (void)version;
    if (a && (a->ref || a->kind != AT_TYPE))
        return err_set(cx, E_ATTR, "attribute 'type' is no type");
    p->type = a ? a->u.type : NULL;
    if (!p->type && (n->nin < 1 || !n->in[0]))
        return err_set(cx, E_ATTR, "neither an input nor attribute 'type' is given");
    return 0;
}

static int optional_infer(struct infer_ctx *ic, const void *params)
{
    const struct opt_params *p = params;
    const struct type *e = ic_has(ic, 0) ? ic_type(ic, 0) : p->type;
    return e ? out_or_none(ic, 0, wrap_type(ic, TY_OPT, e)) : 0;
}

static int optional_ref(struct exec_ctx *ec, const void *params)
{
    const struct opt_params *p = params;
    struct rt_seq *s = NULL;
    int rc = rt_seq_new(ec->cx, &s);
    if (!rc && ec_has(ec, 0))
        rc = push(ec->cx, s, ec->in[0]);
    if (!rc)
        return give_seq(ec, 0, RT_OPT, ec_has(ec, 0) ? ec->in[0]->dt : p->type->dt, s);
    if (s)
        rt_seq_unref(s);
    return rc;
}

const struct op op_Optional = {.domain = "",
                               .name = "Optional",
                               .flags = OP_DYNAMIC,
                               .params_size = sizeof(struct opt_params),
                               .parse = optional_parse,
                               .infer = optional_infer,
                               .ref = optional_ref};

/* Since version 18 what is no optional counts as one that is there. */
static int get_infer(struct infer_ctx *ic, const void *params)
{
    const struct type *t = ic_type(ic, 0);
    (void)params;
    return out_or_none(ic, 0, t && t->kind == TY_OPT ? t->elem : t);
}

static int get_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    (void)params;
    if (in->kind != RT_OPT)
        return ec_share(ec, 0, in);
    if (!in->seq || !in->seq->n)
        return err_set(ec->cx, E_VALUE, "the optional is empty");
    return ec_share(ec, 0, &in->seq->items[0]);
}

const struct op op_OptionalGetElement = {
    .domain = "", .name = "OptionalGetElement", .flags = OP_DYNAMIC, .infer = get_infer, .ref = get_ref};

static int has_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out(ic, 0, DT_BOOL, 0, NULL);
}

static int has_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    bool has = ec_has(ec, 0) && (ec->in[0]->kind != RT_OPT || (ec->in[0]->seq && ec->in[0]->seq->n));
    *(uint8_t *)ec->out[0]->data = has;
    return 0;
}

const struct op op_OptionalHasElement = {
    .domain = "", .name = "OptionalHasElement", .infer = has_infer, .ref = has_ref};
