/* Control flow: If, Loop, Scan. Bodies run through exec/ (ec_run_graph) and are inferred through infer/
 * (ic->subgraph). */
#include <stdlib.h>
#include <string.h>

#include "ops/op_util.h"

/* ---- shared ---- */

static int set_type(struct infer_ctx *ic, int o, const struct type *t)
{
    return t && ic_has_out(ic, o) ? ic_out_type(ic, o, t) : 0;
}

/* Types of a body's outputs; *out stays NULL where nothing can be said. */
static int body_types(struct infer_ctx *ic, struct graph *g, const struct type **ins, int nins,
                      struct type ***out, struct shape_val ***vals)
{
    *out = arena_array(ic->arena, g->nouts + 1, sizeof(struct type *));
    *vals = arena_array(ic->arena, g->nouts + 1, sizeof(struct shape_val *));
    const struct shape_val **in_vals = arena_array(ic->arena, (size_t)nins + 1, sizeof(*in_vals));
    if (!*out || !*vals || !in_vals)
        return err_nomem(ic->cx);
    if (!ic->subgraph)
        return 0;
    return ic->subgraph(ic, g, ins, in_vals, nins, *out, *vals, (int)g->nouts);
}

/* Hands t over to output o; a value that borrows its memory is copied. */
static int give(struct exec_ctx *ec, int o, struct tensor *t)
{
    int rc;
    if (t->kind != RT_TENSOR || t->owner) {
        rc = ec_set_out(ec, o, t);
        memset(t, 0, sizeof(*t));
        return rc;
    }
    rc = ec_share(ec, o, t);
    tensor_drop(t);
    return rc;
}

static struct tensor *tensor_list(struct exec_ctx *ec, size_t n)
{
    struct tensor *t = ec_scratch(ec, (n + 1) * sizeof(*t));
    if (t)
        memset(t, 0, (n + 1) * sizeof(*t));
    return t;
}

static void drop_list(struct tensor *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tensor_drop(&t[i]);
}

/* A one-element bool input. */
static int read_cond(struct exec_ctx *ec, const struct tensor *t, bool *out)
{
    if (t->kind != RT_TENSOR || t->dt != DT_BOOL || tensor_count(t) != 1)
        return err_set(ec->cx, E_TYPE, "the condition is no single bool");
    *out = *(const uint8_t *)t->data != 0;
    return 0;
}

/* ---- If ---- */

struct if_params {
    struct graph *yes, *no;
};

static int if_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct if_params *p = params;
    (void)arena, (void)version;
    int rc = attr_graph(cx, n, "then_branch", &p->yes);
    if (rc >= 0)
        rc = attr_graph(cx, n, "else_branch", &p->no);
    if (rc < 0)
        return rc;
    if (!p->yes || !p->no)
        return err_set(cx, E_ATTR, "attribute '%s' is missing", p->yes ? "else_branch" : "then_branch");
    if (p->yes->nouts < (size_t)n->nout || p->no->nouts < (size_t)n->nout)
        return err_set(cx, E_MODEL, "the branches have %zu and %zu outputs, the node has %d", p->yes->nouts,
                       p->no->nouts, n->nout);
    return 0;
}

/* Whether the condition is known: 1 yes, 0 no, -1 not known. */
static int known_cond(const struct infer_ctx *ic)
{
    const struct tensor *c = ic_const(ic, 0);
    const struct shape_val *v = ic_val(ic, 0);
    if (c && c->dt == DT_BOOL && tensor_count(c) == 1)
        return *(const uint8_t *)c->data != 0;
    if (v && v->n == 1 && v->d[0].kind == DIM_CONST)
        return v->d[0].v != 0;
    return -1;
}

static int if_one(struct infer_ctx *ic, struct graph *g)
{
    struct type **types;
    struct shape_val **vals;
    int rc = body_types(ic, g, NULL, 0, &types, &vals);
    for (int o = 0; !rc && o < ic->nout; o++) {
        rc = set_type(ic, o, types[o]);
        if (!rc && types[o] && vals[o] && ic_has_out(ic, o))
            rc = ic_out_val(ic, o, vals[o]->rank, vals[o]->n, vals[o]->d);
    }
    return rc;
}

static bool fatal(int rc)
{
    return rc && rc != E_SHAPE && rc != E_TYPE && rc != E_VALUE;
}

/* A branch that cannot be right is no error as long as the other one can be taken. */
static int if_infer(struct infer_ctx *ic, const void *params)
{
    const struct if_params *p = params;
    struct type **a, **b;
    struct shape_val **av, **bv;
    int rc = need_inputs(ic, 1), cond = rc ? -1 : known_cond(ic);
    if (rc)
        return rc;
    if (cond >= 0) {
        /* The branch that is never taken gets types too, for those who ask what is in the model. */
        rc = body_types(ic, cond ? p->no : p->yes, NULL, 0, &a, &av);
        if (fatal(rc))
            return rc;
        err_clear(ic->cx);
        return if_one(ic, cond ? p->yes : p->no);
    }
    int ra = body_types(ic, p->yes, NULL, 0, &a, &av);
    if (fatal(ra))
        return ra;
    int rb = body_types(ic, p->no, NULL, 0, &b, &bv);
    if (fatal(rb) || (ra && rb))
        return rb;
    err_clear(ic->cx);
    for (int o = 0; !rc && o < ic->nout; o++)
        rc = set_type(ic, o, ra ? b[o] : rb ? a[o] : common_type(ic, a[o], b[o]));
    return rc;
}

static int if_ref(struct exec_ctx *ec, const void *params)
{
    const struct if_params *p = params;
    bool cond = false;
    int rc = read_cond(ec, ec->in[0], &cond);
    if (rc)
        return rc;
    struct graph *g = cond ? p->yes : p->no;
    struct tensor *outs = tensor_list(ec, g->nouts);
    if (!outs)
        return ec->cx->err.code;
    rc = ec_run_graph(ec, g, NULL, 0, outs, (int)g->nouts);
    for (int o = 0; !rc && o < ec->nout; o++)
        rc = give(ec, o, &outs[o]);
    drop_list(outs, g->nouts);
    return rc;
}

const struct op op_If = {.domain = "",
                         .name = "If",
                         .flags = OP_SUBGRAPH | OP_DYNAMIC,
                         .params_size = sizeof(struct if_params),
                         .parse = if_parse,
                         .infer = if_infer,
                         .ref = if_ref};

/* ---- stacking: the results of iterations along a new axis ---- */

/* [rows, bytes] blocks: element (r, index) of dst with `extent` blocks a row is block r of src. */
static void put_slice(struct tensor *dst, int axis, int64_t index, const struct tensor *src)
{
    size_t inner = (size_t)dims_span(dst->dims, axis + 1, dst->rank) * dtype_size(dst->dt);
    int64_t rows = dims_span(dst->dims, 0, axis), extent = dst->dims[axis];
    for (int64_t r = 0; inner && r < rows; r++)
        memcpy((char *)dst->data + (size_t)(r * extent + index) * inner,
               (const char *)src->data + (size_t)r * inner, inner);
}

/* The reverse: dst has src's dims without axis. */
static void take_slice(const struct tensor *src, int axis, int64_t index, struct tensor *dst)
{
    size_t inner = (size_t)dims_span(src->dims, axis + 1, src->rank) * dtype_size(src->dt);
    int64_t rows = dims_span(src->dims, 0, axis), extent = src->dims[axis];
    for (int64_t r = 0; inner && r < rows; r++)
        memcpy((char *)dst->data + (size_t)r * inner,
               (const char *)src->data + (size_t)(r * extent + index) * inner, inner);
}

/* dims of t with an axis of that extent put in; returns the rank, E_VALUE or E_SHAPE. */
static int stacked_dims(struct cx *cx, const struct tensor *t, int64_t axis, int64_t extent, int64_t *dims)
{
    int rank = t->rank + 1, at = 0;
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank || rank > TENSOR_MAX_RANK)
        return err_set(cx, E_VALUE, "axis %lld does not fit results of %d axes", (long long)axis, t->rank);
    for (int a = 0; a < rank; a++)
        dims[a] = a == axis ? extent : t->dims[at++];
    return rank;
}

/* What a body says about an output that it never gave: its dims where they are numbers, else 0. */
static struct tensor never_run(const struct value *v)
{
    const struct type *ty = v->type ? v->type : v->declared;
    struct tensor t = {.dt = DT_FLOAT};
    if (!ty || ty->kind != TY_TENSOR)
        return t;
    t.dt = ty->dt;
    t.rank = ty->rank > 0 && ty->rank < TENSOR_MAX_RANK ? ty->rank : 0;
    for (int a = 0; a < t.rank; a++)
        t.dims[a] = ty->dims[a].kind == DIM_CONST ? ty->dims[a].v : 0;
    return t;
}

static bool same_form(const struct tensor *a, const struct tensor *b)
{
    return a->kind == b->kind && a->dt == b->dt && a->rank == b->rank &&
           !memcmp(a->dims, b->dims, sizeof(*a->dims) * (size_t)a->rank);
}

/* ---- Loop ---- */

struct loop_params {
    struct graph *body;
    int ncarried;
};

static int loop_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct loop_params *p = params;
    (void)arena, (void)version;
    int rc = attr_graph(cx, n, "body", &p->body);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(cx, E_ATTR, "attribute 'body' is missing");
    p->ncarried = n->nin > 2 ? n->nin - 2 : 0;
    if (p->body->nins != (size_t)p->ncarried + 2 || p->body->nouts < (size_t)p->ncarried + 1 ||
        (size_t)n->nout > p->body->nouts - 1)
        return err_set(cx, E_MODEL,
                       "the body has %zu inputs and %zu outputs, which does not fit %d carried values and %d "
                       "outputs",
                       p->body->nins, p->body->nouts, p->ncarried, n->nout);
    return 0;
}

static const struct type *scalar_type(struct infer_ctx *ic, enum dtype dt)
{
    struct type *t = arena_zalloc(ic->arena, sizeof(*t));
    if (t) {
        t->kind = TY_TENSOR;
        t->dt = dt;
    }
    return t;
}

/* Types of carried values that hold in every iteration: widened until the body gives back what it got. */
static int carried_types(struct infer_ctx *ic, struct graph *body, const struct type **ins, int first, int n,
                         int first_out, struct type ***outs)
{
    struct shape_val **vals;
    for (int round = 0; round < 4; round++) {
        bool changed = false;
        int rc = body_types(ic, body, ins, first + n, outs, &vals);
        if (rc)
            return rc;
        for (int i = 0; i < n; i++) {
            /* A body that knows more than it was told (a symbol for an unknown dim) changes nothing. */
            const struct type *was = ins[first + i], *both = common_type(ic, was, (*outs)[first_out + i]);
            if (!was || (both && type_same(was, both)))
                continue;
            ins[first + i] = round < 2 ? both : NULL;
            changed = true;
        }
        if (!changed)
            return 0;
    }
    return 0;
}

/* t with an axis put in; NULL when not known. */
static const struct type *stacked_type(struct infer_ctx *ic, const struct type *t, int64_t axis, struct dim d)
{
    if (!t || t->kind != TY_TENSOR)
        return NULL;
    struct type *s = arena_dup(ic->arena, t, sizeof(*s));
    if (!s)
        return NULL;
    int rank = t->rank + 1, at = 0;
    axis += axis < 0 ? rank : 0;
    s->origin = NULL;
    s->rank = -1;
    s->dims = arena_array(ic->arena, (size_t)rank + 1, sizeof(*s->dims));
    if (t->rank < 0 || axis < 0 || axis >= rank || !s->dims)
        return s;
    s->rank = rank;
    for (int a = 0; a < rank; a++)
        s->dims[a] = a == axis ? d : t->dims[at++];
    return s;
}

static int loop_infer(struct infer_ctx *ic, const void *params)
{
    const struct loop_params *p = params;
    const struct type **ins = arena_array(ic->arena, (size_t)p->ncarried + 3, sizeof(*ins));
    struct type **outs;
    if (!ins)
        return err_nomem(ic->cx);
    ins[0] = scalar_type(ic, DT_INT64);
    ins[1] = ic_has(ic, 1) && ic_rank(ic, 1) > 0 ? ic_type(ic, 1) : scalar_type(ic, DT_BOOL);
    for (int i = 0; i < p->ncarried; i++)
        ins[2 + i] = ic_type(ic, 2 + i);
    int rc = carried_types(ic, p->body, ins, 2, p->ncarried, 1, &outs);
    struct dim trips = dim_fresh(ic->syms);
    for (int o = 0; !rc && o < ic->nout; o++)
        rc = set_type(ic, o,
                      o < p->ncarried ? common_type(ic, ins[2 + o], outs[1 + o])
                                      : stacked_type(ic, outs[1 + o], 0, trips));
    return rc;
}

/* Scan outputs of a loop whose trip count is not known before it ends. */
struct pile {
    struct tensor *items;
    int64_t n, cap;
};

static int pile_add(struct cx *cx, struct pile *p, struct tensor *t)
{
    if (p->n && !same_form(&p->items[0], t))
        return err_set(cx, E_SHAPE, "iteration %lld gives another shape or type than the first",
                       (long long)p->n);
    if (p->n == p->cap) {
        int64_t cap = p->cap ? 2 * p->cap : 16;
        struct tensor *grown = mem_realloc(p->items, (size_t)cap * sizeof(*grown));
        if (!grown)
            return err_nomem(cx);
        p->items = grown;
        p->cap = cap;
    }
    p->items[p->n++] = *t;
    memset(t, 0, sizeof(*t));
    return 0;
}

static int pile_give(struct exec_ctx *ec, int o, const struct pile *p, const struct value *v)
{
    struct tensor form = p->n ? p->items[0] : never_run(v);
    int64_t dims[TENSOR_MAX_RANK];
    int rank = stacked_dims(ec->cx, &form, 0, p->n, dims);
    int rc = rank < 0 ? rank : ec_resize(ec, o, form.dt, rank, dims);
    for (int64_t i = 0; !rc && i < p->n && ec_wants(ec, o); i++)
        put_slice(ec->out[o], 0, i, &p->items[i]);
    return rc;
}

static void pile_free(struct pile *p)
{
    for (int64_t i = 0; i < p->n; i++)
        tensor_drop(&p->items[i]);
    free(p->items);
}

struct loop_run {
    const struct loop_params *p;
    struct tensor *ins, *outs; /* of the body; ins[2..] are the carried values */
    struct pile *piles;
    int64_t limit;
    bool cond;
};

static int loop_turn(struct exec_ctx *ec, struct loop_run *r, int64_t i)
{
    const struct loop_params *p = r->p;
    int64_t turn = i;
    uint8_t cond = r->cond;
    r->ins[0] = (struct tensor){.dt = DT_INT64, .data = &turn};
    r->ins[1] = (struct tensor){.dt = DT_BOOL, .data = &cond};
    int nouts = (int)p->body->nouts;
    int rc = cx_check_time(ec->cx);
    if (!rc)
        rc = ec_run_graph(ec, p->body, r->ins, p->ncarried + 2, r->outs, nouts);
    if (!rc)
        rc = read_cond(ec, &r->outs[0], &r->cond);
    for (int k = 0; !rc && k < p->ncarried; k++) {
        tensor_drop(&r->ins[2 + k]);
        r->ins[2 + k] = r->outs[1 + k];
        memset(&r->outs[1 + k], 0, sizeof(r->outs[0]));
    }
    for (int k = p->ncarried + 1; !rc && k < nouts; k++)
        rc = pile_add(ec->cx, &r->piles[k - p->ncarried - 1], &r->outs[k]);
    drop_list(r->outs, (size_t)nouts);
    return rc;
}

static int loop_start(struct exec_ctx *ec, struct loop_run *r)
{
    int rc = 0;
    r->limit = INT64_MAX;
    r->cond = true;
    if (ec_has(ec, 0))
        rc = ec_int(ec, 0, &r->limit);
    if (!rc && ec_has(ec, 1))
        rc = read_cond(ec, ec->in[1], &r->cond);
    for (int k = 0; !rc && k < r->p->ncarried; k++) {
        if (!ec_has(ec, 2 + k))
            return err_set(ec->cx, E_MODEL, "carried value %d has no initial value", k);
        tensor_ref(&r->ins[2 + k], ec->in[2 + k]);
    }
    return rc;
}

static int loop_ref(struct exec_ctx *ec, const void *params)
{
    const struct loop_params *p = params;
    size_t nins = p->body->nins, nouts = p->body->nouts, nscan = nouts - 1 - (size_t)p->ncarried;
    struct loop_run r = {.p = p, .ins = tensor_list(ec, nins), .outs = tensor_list(ec, nouts)};
    r.piles = ec_scratch(ec, (nscan + 1) * sizeof(*r.piles));
    if (!r.ins || !r.outs || !r.piles)
        return ec->cx->err.code;
    memset(r.piles, 0, (nscan + 1) * sizeof(*r.piles));
    int rc = loop_start(ec, &r);
    for (int64_t i = 0; !rc && r.cond && i < r.limit; i++) {
        rc = loop_turn(ec, &r, i);
        if (rc)
            err_frame(ec->cx, "iteration %lld", (long long)i);
    }
    for (int o = 0; !rc && o < ec->nout; o++) {
        int k = o - p->ncarried;
        rc = k < 0 ? give(ec, o, &r.ins[2 + o]) : pile_give(ec, o, &r.piles[k], p->body->outs[1 + o]);
    }
    memset(r.ins, 0, 2 * sizeof(*r.ins));
    drop_list(r.ins, nins);
    for (size_t k = 0; k < nscan; k++)
        pile_free(&r.piles[k]);
    return rc;
}

const struct op op_Loop = {.domain = "",
                           .name = "Loop",
                           .flags = OP_SUBGRAPH | OP_DYNAMIC,
                           .params_size = sizeof(struct loop_params),
                           .parse = loop_parse,
                           .infer = loop_infer,
                           .ref = loop_ref};

/* ---- Scan: version 8 has a batch axis in front of everything and an input of sequence lengths ---- */

struct scan_params {
    struct graph *body;
    bool batched;
    int nstates, nscans, nouts;       /* nouts: scan outputs */
    const int64_t *in_axes, *in_dirs; /* NULL: all 0 */
    const int64_t *out_axes, *out_dirs;
};

static int scan_list(struct cx *cx, const struct node *n, const char *name, int want, const int64_t **out)
{
    size_t count = 0;
    int rc = attr_ints(cx, n, name, out, &count);
    if (rc > 0 && count != (size_t)want && count)
        return err_set(cx, E_ATTR, "attribute '%s' has %zu elements, expected %d", name, count, want);
    if (!count)
        *out = NULL;
    return rc < 0 ? rc : 0;
}

static int scan_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct scan_params *p = params;
    int64_t nscans = 0;
    (void)arena;
    int rc = attr_graph(cx, n, "body", &p->body);
    if (rc > 0)
        rc = attr_int(cx, n, "num_scan_inputs", &nscans);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(cx, E_ATTR, "attribute '%s' is missing", p->body ? "num_scan_inputs" : "body");
    p->batched = version < 9;
    int nin = n->nin - p->batched;
    if (nscans < 1 || nscans > nin || p->body->nins != (size_t)nin)
        return err_set(cx, E_MODEL, "%lld of %d inputs are scanned, the body takes %zu", (long long)nscans,
                       nin, p->body->nins);
    p->nscans = (int)nscans;
    p->nstates = nin - p->nscans;
    p->nouts = (int)p->body->nouts - p->nstates;
    if (p->nouts < 0 || (size_t)n->nout > p->body->nouts)
        return err_set(cx, E_MODEL, "the body gives %zu outputs for %d states and %d outputs of the node",
                       p->body->nouts, p->nstates, n->nout);
    if (p->batched)
        return scan_list(cx, n, "directions", p->nscans, &p->in_dirs);
    rc = scan_list(cx, n, "scan_input_axes", p->nscans, &p->in_axes);
    if (!rc)
        rc = scan_list(cx, n, "scan_input_directions", p->nscans, &p->in_dirs);
    if (!rc)
        rc = scan_list(cx, n, "scan_output_axes", p->nouts, &p->out_axes);
    return rc ? rc : scan_list(cx, n, "scan_output_directions", p->nouts, &p->out_dirs);
}

/* t without an axis; *gone gets its extent. NULL when not known. */
static const struct type *sliced_type(struct infer_ctx *ic, const struct type *t, int64_t axis,
                                      struct dim *gone)
{
    if (!t || t->kind != TY_TENSOR)
        return NULL;
    struct type *s = arena_dup(ic->arena, t, sizeof(*s));
    if (!s)
        return NULL;
    int at = 0;
    axis += axis < 0 ? t->rank : 0;
    s->origin = NULL;
    s->rank = -1;
    s->dims = arena_array(ic->arena, (size_t)(t->rank > 0 ? t->rank : 1), sizeof(*s->dims));
    if (t->rank < 1 || axis < 0 || axis >= t->rank || !s->dims)
        return s;
    s->rank = t->rank - 1;
    *gone = t->dims[axis];
    for (int a = 0; a < t->rank; a++)
        if (a != axis)
            s->dims[at++] = t->dims[a];
    return s;
}

/* What a state is behind the last step: the standard has it keep its shape from step to step, so of what is
 * known before and behind a step the more exact holds. Two numbers that differ are left to the run. */
static const struct type *state_type(struct infer_ctx *ic, const struct type *in, const struct type *out)
{
    const struct type *both = common_type(ic, in, out);
    if (!both || both->kind != TY_TENSOR || both->rank < 0 || in->rank != both->rank ||
        out->rank != both->rank)
        return both;
    struct type *t = type_copy(ic->arena, both);
    for (int i = 0; t && i < t->rank; i++) {
        struct dim was = in->dims[i], is = out->dims[i];
        if (was.kind != DIM_UNKNOWN && is.kind != DIM_CONST)
            t->dims[i] = was;
        else if (was.kind != DIM_CONST)
            t->dims[i] = is;
    }
    return t ? t : both;
}

/* Slices input i for the body. Its extents of batch and time are those of the others. */
static int scan_input(struct infer_ctx *ic, const struct scan_params *p, int i, struct dim *batch,
                      struct dim *time, const struct type **out)
{
    int k = i - p->nstates, rc = 0;
    *out = ic_type(ic, p->batched + i);
    for (int step = 0; !rc && step < 2; step++) {
        if (step ? k < 0 : !p->batched)
            continue;
        struct dim own = dim_unknown(), *all = step ? time : batch;
        const struct type *t = *out;
        if (t && t->kind == TY_TENSOR && t->rank == 0)
            return ic_err(ic, E_SHAPE, "input %d has no axis to be cut along", p->batched + i);
        *out = sliced_type(ic, t, step && p->in_axes ? p->in_axes[k] : 0, &own);
        rc = ic_unify(ic, *all, own, step ? "lengths of the scanned inputs" : "batch of the inputs");
        *all = all->kind == DIM_CONST || own.kind == DIM_UNKNOWN ? *all : own;
    }
    return rc;
}

static int scan_infer(struct infer_ctx *ic, const void *params)
{
    const struct scan_params *p = params;
    int nin = p->nstates + p->nscans;
    const struct type **ins = arena_array(ic->arena, (size_t)nin + 1, sizeof(*ins));
    struct dim batch = dim_unknown(), time = dim_unknown();
    struct type **outs;
    if (!ins)
        return err_nomem(ic->cx);
    struct shape_val **vals;
    int rc = 0;
    for (int i = 0; !rc && i < nin; i++)
        rc = scan_input(ic, p, i, &batch, &time, &ins[i]);
    if (!rc)
        rc = body_types(ic, p->body, ins, nin, &outs, &vals);
    for (int o = 0; !rc && o < ic->nout; o++) {
        int k = o - p->nstates;
        const struct type *t = k < 0 ? state_type(ic, ins[o], outs[o])
                                     : stacked_type(ic, outs[o], p->out_axes ? p->out_axes[k] : 0, time);
        rc = set_type(ic, o, p->batched ? stacked_type(ic, t, 0, batch) : t);
    }
    return rc;
}

/* One scan over `time` steps. ins[nstates..] are borrowed scan inputs; states are replaced in place; res gets
 * the stacked outputs with memory of their own. */
struct scan_run {
    const struct scan_params *p;
    struct tensor *states, *scans;
    struct tensor *ins, *outs, *res;
    int64_t time;
};

static int64_t scan_axis(const int64_t *axes, int k, int rank)
{
    int64_t a = axes ? axes[k] : 0;
    return a < 0 ? a + rank : a;
}

static int scan_turn(struct exec_ctx *ec, struct scan_run *r, int64_t t)
{
    const struct scan_params *p = r->p;
    int nouts = (int)p->body->nouts, rc = cx_check_time(ec->cx);
    for (int i = 0; i < p->nstates; i++)
        r->ins[i] = r->states[i];
    for (int k = 0; k < p->nscans; k++) {
        int64_t at = p->in_dirs && p->in_dirs[k] ? r->time - 1 - t : t;
        take_slice(&r->scans[k], (int)scan_axis(p->in_axes, k, r->scans[k].rank), at,
                   &r->ins[p->nstates + k]);
    }
    if (!rc)
        rc = ec_run_graph(ec, p->body, r->ins, p->nstates + p->nscans, r->outs, nouts);
    for (int i = 0; !rc && i < p->nstates; i++) {
        tensor_drop(&r->states[i]);
        r->states[i] = r->outs[i];
        memset(&r->outs[i], 0, sizeof(r->outs[i]));
    }
    for (int k = 0; !rc && k < p->nouts; k++) {
        const struct tensor *o = &r->outs[p->nstates + k];
        int64_t dims[TENSOR_MAX_RANK], axis = scan_axis(p->out_axes, k, o->rank + 1);
        int rank = stacked_dims(ec->cx, o, axis, r->time, dims);
        struct tensor form = {.dt = o->dt, .rank = rank};
        rc = rank < 0 ? rank : 0;
        if (!rc)
            memcpy(form.dims, dims, sizeof(dims));
        if (!rc && !t)
            rc = tensor_new(ec->cx, &r->res[k], o->dt, rank, dims);
        if (!rc && !same_form(&r->res[k], &form))
            rc = err_set(ec->cx, E_SHAPE, "step %lld gives another shape or type than the first",
                         (long long)t);
        if (!rc)
            put_slice(&r->res[k], (int)axis, p->out_dirs && p->out_dirs[k] ? r->time - 1 - t : t, o);
    }
    drop_list(r->outs, (size_t)nouts);
    return rc;
}

/* A tensor of t's dims without axis, memory of its own. */
static int slice_room(struct cx *cx, const struct tensor *t, int64_t axis, struct tensor *out)
{
    int64_t dims[TENSOR_MAX_RANK];
    int n = 0;
    if (t->kind != RT_TENSOR || axis < 0 || axis >= t->rank)
        return err_set(cx, E_SHAPE, "a scanned input has %d axes, none is axis %lld", t->rank,
                       (long long)axis);
    for (int a = 0; a < t->rank; a++)
        if (a != axis)
            dims[n++] = t->dims[a];
    return tensor_new(cx, out, t->dt, n, dims);
}

static int scan_steps(struct exec_ctx *ec, struct scan_run *r)
{
    const struct scan_params *p = r->p;
    int rc = 0;
    for (int k = 0; !rc && k < p->nscans; k++) {
        int64_t axis = scan_axis(p->in_axes, k, r->scans[k].rank);
        rc = slice_room(ec->cx, &r->scans[k], axis, &r->ins[p->nstates + k]);
        if (!rc && r->scans[k].dims[axis] < r->time)
            rc = err_set(ec->cx, E_SHAPE, "scanned input %d is %lld long, expected %lld", k,
                         (long long)r->scans[k].dims[axis], (long long)r->time);
    }
    for (int64_t t = 0; !rc && t < r->time; t++) {
        rc = scan_turn(ec, r, t);
        if (rc)
            err_frame(ec->cx, "step %lld", (long long)t);
    }
    for (int k = 0; !rc && !r->time && k < p->nouts; k++) {
        struct tensor form = never_run(p->body->outs[p->nstates + k]);
        int64_t dims[TENSOR_MAX_RANK];
        int rank = stacked_dims(ec->cx, &form, scan_axis(p->out_axes, k, form.rank + 1), 0, dims);
        rc = rank < 0 ? rank : tensor_new(ec->cx, &r->res[k], form.dt, rank, dims);
    }
    drop_list(r->ins + p->nstates, (size_t)p->nscans);
    return rc;
}

static int scan_plain(struct exec_ctx *ec, struct scan_run *r)
{
    const struct scan_params *p = r->p;
    for (int i = 0; i < p->nstates; i++)
        tensor_ref(&r->states[i], ec->in[i]);
    for (int k = 0; k < p->nscans; k++)
        r->scans[k] = *ec->in[p->nstates + k];
    int64_t axis = scan_axis(p->in_axes, 0, r->scans[0].rank);
    if (axis < 0 || axis >= r->scans[0].rank)
        return err_set(ec->cx, E_SHAPE, "scanned input 0 has no axis %lld", (long long)axis);
    r->time = r->scans[0].dims[axis];
    int rc = scan_steps(ec, r);
    for (int o = 0; !rc && o < ec->nout; o++)
        rc = give(ec, o, o < p->nstates ? &r->states[o] : &r->res[o - p->nstates]);
    return rc;
}

/* Batch element b of every input, its scan, and the results into the outputs' rows. */
static int scan_one(struct exec_ctx *ec, struct scan_run *r, int64_t b, int64_t batch, int64_t longest)
{
    const struct scan_params *p = r->p;
    int rc = 0;
    for (int i = 0; !rc && i < p->nstates + p->nscans; i++) {
        struct tensor *to = i < p->nstates ? &r->states[i] : &r->scans[i - p->nstates];
        rc = slice_room(ec->cx, ec->in[1 + i], 0, to);
        if (!rc && ec->in[1 + i]->dims[0] != batch)
            rc = err_set(ec->cx, E_SHAPE, "input %d has another batch size", 1 + i);
        if (!rc)
            take_slice(ec->in[1 + i], 0, b, to);
    }
    if (!rc)
        rc = scan_steps(ec, r);
    for (int o = 0; !rc && o < ec->nout; o++) {
        struct tensor *t = o < p->nstates ? &r->states[o] : &r->res[o - p->nstates];
        struct tensor form = *t;
        int64_t dims[TENSOR_MAX_RANK];
        if (o >= p->nstates)
            form.dims[0] = longest;
        int rank = stacked_dims(ec->cx, &form, 0, batch, dims);
        rc = rank < 0 ? rank : b ? 0 : ec_resize(ec, o, t->dt, rank, dims);
        if (rc || !ec_wants(ec, o))
            continue;
        size_t row = tensor_bytes(ec->out[o]) / (size_t)batch, bytes = tensor_bytes(t);
        if (bytes > row)
            return err_set(ec->cx, E_SHAPE, "output %d of batch element %lld has another shape", o,
                           (long long)b);
        char *to = (char *)ec->out[o]->data + (size_t)b * row;
        memset(to, 0, row);
        if (bytes)
            memcpy(to, t->data, bytes);
    }
    drop_list(r->states, (size_t)p->nstates);
    drop_list(r->scans, (size_t)p->nscans);
    drop_list(r->res, (size_t)p->nouts);
    return rc;
}

static int scan_batched(struct exec_ctx *ec, struct scan_run *r)
{
    const struct scan_params *p = r->p;
    const struct tensor *x = ec->in[1 + p->nstates];
    int64_t n = 0;
    const int64_t *lens = ec_has(ec, 0) ? ec_ints(ec, 0, &n) : NULL;
    if (ec_has(ec, 0) && !lens)
        return ec->cx->err.code;
    if (x->rank < 2 || (lens && n != x->dims[0]))
        return err_set(ec->cx, E_SHAPE,
                       "the scanned input has no batch and time axes, or not one length each");
    for (int64_t b = 0; b < x->dims[0]; b++) {
        r->time = lens ? lens[b] : x->dims[1];
        if (r->time < 0 || r->time > x->dims[1])
            return err_set(ec->cx, E_VALUE, "sequence length %lld is out of range [0, %lld]",
                           (long long)r->time, (long long)x->dims[1]);
        int rc = scan_one(ec, r, b, x->dims[0], x->dims[1]);
        if (rc)
            return rc;
    }
    return 0;
}

static int scan_ref(struct exec_ctx *ec, const void *params)
{
    const struct scan_params *p = params;
    struct scan_run r = {.p = p};
    r.states = tensor_list(ec, (size_t)p->nstates);
    r.scans = tensor_list(ec, (size_t)p->nscans);
    r.ins = tensor_list(ec, (size_t)(p->nstates + p->nscans));
    r.outs = tensor_list(ec, p->body->nouts);
    r.res = tensor_list(ec, (size_t)p->nouts);
    if (!r.states || !r.scans || !r.ins || !r.outs || !r.res)
        return ec->cx->err.code;
    int rc = p->batched ? scan_batched(ec, &r) : scan_plain(ec, &r);
    drop_list(r.states, (size_t)p->nstates);
    if (p->batched)
        drop_list(r.scans, (size_t)p->nscans);
    drop_list(r.res, (size_t)p->nouts);
    return rc;
}

const struct op op_Scan = {.domain = "",
                           .name = "Scan",
                           .flags = OP_SUBGRAPH | OP_DYNAMIC,
                           .params_size = sizeof(struct scan_params),
                           .parse = scan_parse,
                           .infer = scan_infer,
                           .ref = scan_ref};
