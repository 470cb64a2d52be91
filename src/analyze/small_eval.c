/* The reference function of an operator, called with just enough around it. */
#include "analyze/small_eval.h"

#include <string.h>

#include "base/blob.h"
#include "infer/infer.h"
#include "ops/op.h"

static void *eval_scratch(struct exec_ctx *ec, size_t bytes)
{
    void *p = arena_alloc_aligned(&ec->cx->scratch, bytes, 64);
    if (p)
        memset(p, 0, bytes);
    else
        err_nomem(ec->cx);
    return p;
}

static int eval_resize(struct exec_ctx *ec, int o, enum dtype dt, int rank, const int64_t *dims)
{
    tensor_drop(ec->out[o]);
    return tensor_new(ec->cx, ec->out[o], dt, rank, dims);
}

static int eval_set_out(struct exec_ctx *ec, int o, struct tensor *t)
{
    tensor_drop(ec->out[o]);
    *ec->out[o] = *t;
    return OK;
}

static int eval_graph(struct exec_ctx *ec, struct graph *g, const struct tensor *ins, int nins,
                      struct tensor *outs, int nouts)
{
    (void)g;
    (void)ins;
    (void)nins;
    (void)outs;
    (void)nouts;
    return err_set(ec->cx, E_UNSUPPORTED, "no graph runs here");
}

static struct arena *eval_strings(struct exec_ctx *ec)
{
    return &ec->cx->scratch;
}

static const struct exec_vt vt = {eval_scratch, eval_resize, eval_set_out, eval_graph, eval_strings};

bool small_eval_fits(const struct node *n)
{
    /* In a function body attributes may be the caller's. */
    return n->op && n->op->ref && !n->func && n->nout == 1 && n->out[0] && !n->graph->func &&
           !(n->op->flags & (OP_NONDET | OP_SUBGRAPH | OP_DYNAMIC));
}

/* The kernels rely on it, as they do in a session. */
static int check_values(struct cx *cx, const struct node *n, const struct tensor *const *in)
{
    const struct schema_takes *takes;
    struct arena_mark m = arena_mark(&cx->scratch);
    int rc = op_input_takes(cx, &cx->scratch, n, &takes);
    if (!rc)
        rc = op_check_values(cx, n, takes, in);
    arena_release(&cx->scratch, m);
    return rc;
}

bool small_eval(struct cx *cx, const struct kern *kern, struct node *n, const struct tensor **in,
                const struct type *t, struct tensor *out)
{
    int64_t dims[TENSOR_MAX_RANK];
    struct tensor *outs[1] = {out};
    const void *params;
    if (t->kind != TY_TENSOR || t->dt == DT_STRING || t->rank < 0 || t->rank > TENSOR_MAX_RANK)
        return false;
    for (int i = 0; i < t->rank; i++)
        dims[i] = t->dims[i].v;
    struct exec_ctx ec = {
        .cx = cx, .kern = kern, .node = n, .nin = n->nin, .nout = 1, .in = in, .out = outs, .vt = &vt};
    int rc = node_params(cx, n, &params);
    if (!rc)
        rc = check_values(cx, n, in);
    if (!rc)
        rc = tensor_new(cx, out, t->dt, t->rank, dims);
    if (!rc)
        rc = n->op->ref(&ec, params);
    if (rc) {
        err_clear(cx);
        tensor_drop(out);
        return false;
    }
    return true;
}
