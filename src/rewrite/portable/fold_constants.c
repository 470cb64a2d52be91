/* Nodes whose inputs are all known become initializers.
 *
 *   Shape(x) -> Gather(0) -> Unsqueeze          int64[1] {batch}   (left: batch is not a number)
 *   Constant -> Add(2, 3)                  =>   an initializer 5
 *
 * Two sources of knowledge: the node's inputs are constants (it is run once, by the executor), or inference
 * knows the value from shapes alone. Results far larger than their inputs stay out of files: a
 * ConstantOfShape of 100 MB is cheaper to store as a node. */
#include <string.h>

#include "ir/edit.h"
#include "rewrite/pass.h"

int pass_fold_constants(struct pass_ctx *pc, struct graph *g);
int pass_fold_dequantized(struct pass_ctx *pc, struct graph *g);

enum { FILL_MIN = 65536 }; /* bytes from which a constant of equal elements is kept as one of them */

/* A value that the caller wants to see is computed by its node. A constant graph output needs a node too, an
 * Identity: nothing is won by folding that again, and a model that does not import the default domain has
 * none.
 */
static bool must_stay(const struct pass_ctx *pc, const struct node *n)
{
    bool output = false;
    for (int o = 0; o < n->nout; o++) {
        if (!n->out[o])
            continue;
        if (!n->out[o]->is_output && pass_pinned(pc, n->out[o]))
            return true;
        output = output || n->out[o]->is_output;
    }
    return output && (node_is(n, "Identity") || !graph_opset(n->graph, ""));
}

/* Bytes that a result may have whatever its inputs: little in a file; in a session, where it would be made
 * anew at every run, as much as weights usually are (unless memory is limited). */
static size_t growth_floor(const struct pass_ctx *pc)
{
    return pc->session && !pc->cx->lim.max_memory ? (size_t)1 << 29 : (size_t)1 << 20;
}

static bool foldable(const struct pass_ctx *pc, const struct node *n)
{
    if (!n->op || n->func || n->op->flags & (OP_NONDET | OP_SUBGRAPH) || !n->nout || must_stay(pc, n))
        return false;
    for (int i = 0; i < n->nin; i++)
        if (n->in[i] && !value_is_const(n->in[i]))
            return false;
    return true;
}

/* Reading weights only to leave them transposed or cast is worth it (done once, not at every run); reading
 * gigabytes of them to keep a second copy is not: the file's bytes go when nothing else reads them. */
static bool too_big(const struct pass_ctx *pc, const struct tensor *outs, int nout, size_t in_bytes)
{
    size_t total = 0;
    for (int o = 0; o < nout; o++)
        total += outs[o].kind == RT_TENSOR ? tensor_bytes(&outs[o]) : SIZE_MAX / 4;
    return total > growth_floor(pc) && total > 2 * in_bytes;
}

/* Whether the result would be too big, told from its inferred type before anything is computed. */
static bool declared_too_big(const struct pass_ctx *pc, const struct node *n, size_t in_bytes)
{
    size_t total = 0;
    for (int o = 0; o < n->nout; o++) {
        const struct type *t = pass_type(pc, n->out[o]);
        if (!t || t->kind != TY_TENSOR || t->rank < 0)
            return n->out[o] != NULL;
        double count = 1;
        for (int k = 0; k < t->rank; k++)
            count *= t->dims[k].kind == DIM_CONST ? (double)t->dims[k].v : 1e18;
        if (count * (double)dtype_size(t->dt) > 1e15)
            return true;
        total += (size_t)count * dtype_size(t->dt);
    }
    return total > growth_floor(pc) && total > 2 * in_bytes;
}

static int replace_with(struct pass_ctx *pc, struct node *n, struct tensor *outs)
{
    for (int o = 0; o < n->nout; o++) {
        struct value *v = n->out[o], *c;
        if (!v || (!v->nuses && !v->is_output))
            continue;
        int rc = graph_add_const(pc->cx, n->graph, v->name, &outs[o], &c);
        if (!rc)
            rc = value_replace(pc->cx, v, c);
        if (rc)
            return rc;
    }
    node_remove(n);
    return OK;
}

/* ConstantOfShape in a session: the one element is kept, and expanded by who reads it. Returns 1 when done.
 * Asked with a shape of its own, the operator gives the element. */
static int fold_fill(struct pass_ctx *pc, struct node *n)
{
    int64_t dims[TENSOR_MAX_RANK], one = 1;
    const struct type *ty = pass_type(pc, n->out[0]);
    if (!pc->session || !node_is(n, "ConstantOfShape") || !ty || ty->kind != TY_TENSOR || ty->rank < 0 ||
        ty->rank > TENSOR_MAX_RANK || ty->dt == DT_STRING || n->out[0]->is_output)
        return 0;
    double bytes = (double)dtype_size(ty->dt);
    for (int i = 0; i < ty->rank; i++) {
        if (ty->dims[i].kind != DIM_CONST)
            return 0;
        dims[i] = ty->dims[i].v;
        bytes *= (double)dims[i];
    }
    if (bytes < FILL_MIN || bytes > (double)growth_floor(pc))
        return 0;
    struct tensor shape = {.dt = DT_INT64, .rank = 1, .dims = {1}, .data = &one}, elem;
    const struct tensor *in = &shape;
    struct value *c;
    int rc = exec_eval(pc->cx, pc->ex, n, &in, &elem);
    if (rc) {
        err_clear(pc->cx);
        return 0;
    }
    bool take = elem.dt == ty->dt && pass_take(pc);
    if (take)
        rc = graph_add_fill(pc->cx, n->graph, n->out[0]->name, &elem, ty->rank, dims, &c);
    tensor_drop(&elem);
    if (take && !rc)
        rc = value_replace(pc->cx, n->out[0], c);
    if (take && !rc)
        node_remove(n);
    return rc ? rc : take;
}

/* Runs the node; a failure is the model's own (it would fail at every run) and is left for the run to report.
 */
static int fold_node(struct pass_ctx *pc, struct node *n)
{
    struct cx *cx = pc->cx;
    size_t in_bytes = 0;
    int filled = fold_fill(pc, n);
    if (filled)
        return filled < 0 ? filled : OK;
    const struct tensor **ins = arena_array(&cx->scratch, (size_t)n->nin + 1, sizeof *ins);
    struct tensor *outs = arena_array(&cx->scratch, (size_t)n->nout + 1, sizeof *outs);
    if (!ins || !outs)
        return err_nomem(cx);
    for (int i = 0; i < n->nin; i++)
        if (n->in[i] && n->in[i]->init)
            in_bytes += (size_t)tensor_data_count(n->in[i]->init) * dtype_size(n->in[i]->init->dt);
    if (node_is(n, "Constant"))
        in_bytes = SIZE_MAX / 4; /* its bytes are there already */
    else if (declared_too_big(pc, n, in_bytes))
        return OK;
    for (int i = 0; i < n->nin; i++) {
        ins[i] = n->in[i] ? consts_get(cx, &pc->ex->consts, n->in[i]) : NULL;
        if (n->in[i] && !ins[i])
            return cx->err.code;
    }
    if (exec_eval(cx, pc->ex, n, ins, outs)) {
        log_msg(cx, LOG_DEBUG, "not folded: %s", cx->err.msg);
        err_clear(cx);
        return OK;
    }
    int rc = OK;
    if (!too_big(pc, outs, n->nout, in_bytes) && pass_take(pc))
        rc = replace_with(pc, n, outs);
    for (int o = 0; o < n->nout; o++)
        tensor_drop(&outs[o]);
    return rc;
}

/* A value that inference knows to the last element, although the node's inputs are not constant: shape
 * arithmetic. */
static int fold_known(struct pass_ctx *pc, struct node *n)
{
    const struct shape_val *sv = NULL;
    if (n->nout != 1 || !n->out[0] || n->out[0]->id >= pc->ex->types.nvalues || !n->op || must_stay(pc, n) ||
        n->op->flags & (OP_NONDET | OP_SUBGRAPH))
        return OK;
    sv = pc->ex->types.val[n->out[0]->id];
    const struct type *ty = pass_type(pc, n->out[0]);
    if (!sv || !ty || ty->kind != TY_TENSOR || !dtype_is_int(ty->dt))
        return OK;
    for (int64_t i = 0; i < sv->n; i++)
        if (sv->d[i].kind != DIM_CONST)
            return OK;
    struct tensor t;
    memset(&t, 0, sizeof t);
    int rc = tensor_new(pc->cx, &t, ty->dt, sv->rank, &sv->n);
    if (rc)
        return rc;
    for (int64_t i = 0; i < sv->n; i++)
        dtype_info(ty->dt)->store_i64((char *)t.data + (size_t)i * dtype_size(ty->dt), sv->d[i].v);
    if (pass_take(pc))
        rc = replace_with(pc, n, &t);
    tensor_drop(&t);
    return rc;
}

/* Weights that a session may want as they are: fuse_qdq looks for them, fold_dequantized takes what is left.
 */
static bool quantized(const struct node *n)
{
    return strcmp(n->op_type, "DequantizeLinear") == 0;
}

int pass_fold_constants(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        next = n->next;
        if (pc->session && quantized(n))
            continue;
        struct arena_mark m = arena_mark(&pc->cx->scratch);
        rc = foldable(pc, n) ? fold_node(pc, n) : fold_known(pc, n);
        arena_release(&pc->cx->scratch, m);
    }
    return rc;
}

int pass_fold_dequantized(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        next = n->next;
        if (!quantized(n) || !foldable(pc, n))
            continue;
        struct arena_mark m = arena_mark(&pc->cx->scratch);
        rc = fold_node(pc, n);
        arena_release(&pc->cx->scratch, m);
    }
    return rc;
}
