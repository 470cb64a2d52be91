/* Control flow: If, Loop, Scan. Bodies run through exec/ (ec_run_graph) and are inferred through infer/
 * (ic->subgraph). */
#include <string.h>

#include "ops/op_util.h"

/* ---- shared ---- */

/* What holds for both types; NULL: nothing. */
static const struct type *merge_types(struct infer_ctx *ic, const struct type *a, const struct type *b)
{
    if (!a || !b || a->kind != b->kind)
        return NULL;
    if (a->kind != TY_TENSOR)
        return type_same(a, b) ? a : NULL;
    if (a->dt != b->dt)
        return NULL;
    struct type *t = arena_dup(ic->arena, a, sizeof(*t));
    if (!t)
        return NULL;
    t->origin = NULL;
    if (a->rank != b->rank || a->rank < 0) {
        t->rank = -1;
        t->dims = NULL;
        return t;
    }
    t->dims = arena_array(ic->arena, (size_t)a->rank + 1, sizeof(*t->dims));
    if (!t->dims)
        return NULL;
    for (int i = 0; i < a->rank; i++)
        if (dim_same(a->dims[i], b->dims[i]))
            t->dims[i] = a->dims[i];
    return t;
}

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
    if (cond >= 0)
        return if_one(ic, cond ? p->yes : p->no);
    int ra = body_types(ic, p->yes, NULL, 0, &a, &av);
    if (fatal(ra))
        return ra;
    int rb = body_types(ic, p->no, NULL, 0, &b, &bv);
    if (fatal(rb) || (ra && rb))
        return rb;
    err_clear(ic->cx);
    for (int o = 0; !rc && o < ic->nout; o++)
        rc = set_type(ic, o, ra ? b[o] : rb ? a[o] : merge_types(ic, a[o], b[o]));
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
