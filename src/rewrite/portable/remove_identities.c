/* Nodes that hand their input on unchanged go.
 *
 *   y = Identity(x)                       y is x
 *   y = Dropout(x)      (no mask used)    y is x
 *   y = Cast(x, to = type of x)           y is x
 *   y = Transpose(x, perm = 0,1,2,...)    y is x
 *   y = Pad(x, pads = 0, 0, ...)          y is x
 *   y = Reshape / Expand / Slice / Pad / ... whose result has the input's exact shape: only Reshape is sure
 */
#include "ir/edit.h"
#include "rewrite/pass.h"

int pass_remove_identities(struct pass_ctx *pc, struct graph *g);

static bool all_zero(const int64_t *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (v[i])
            return false;
    return true;
}

static bool noop_transpose(struct pass_ctx *pc, const struct node *n)
{
    const int64_t *perm;
    size_t count;
    if (attr_ints(pc->cx, n, "perm", &perm, &count) != 1)
        return false;
    for (size_t i = 0; i < count; i++)
        if (perm[i] != (int64_t)i)
            return false;
    return true;
}

/* Output shape equal to the input's, every dim known to be the same. */
static bool same_shape(struct pass_ctx *pc, const struct node *n)
{
    const struct type *a = pass_type(pc, n->in[0]), *b = pass_type(pc, n->out[0]);
    if (!a || !b || a->kind != TY_TENSOR || b->kind != TY_TENSOR || a->rank < 0 || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!dim_same(a->dims[i], b->dims[i]))
            return false;
    return true;
}

static bool same_type(struct pass_ctx *pc, const struct node *n)
{
    const struct type *a = pass_type(pc, n->in[0]), *b = pass_type(pc, n->out[0]);
    return a && b && a->kind == TY_TENSOR && b->kind == TY_TENSOR && a->dt == b->dt && a->dt != DT_UNDEFINED;
}

/* Training mode is an input from opset 12 on (absent: inference) and an attribute up to 6 (is_test). */
static bool inference_dropout(struct pass_ctx *pc, const struct node *n)
{
    if (n->nin > 2 && n->in[2])
        return false;
    if (n->nout > 1 && n->out[1] && (n->out[1]->nuses || pass_pinned(pc, n->out[1])))
        return false;
    int64_t is_test = 1;
    if (n->ver && graph_opset(n->graph, "") < 7) {
        is_test = 0;
        attr_int(pc->cx, n, "is_test", &is_test);
    }
    return is_test != 0;
}

/* Nothing is added on any side: pads are an input from opset 11 on, an attribute before. */
static bool noop_pad(struct pass_ctx *pc, const struct node *n)
{
    const int64_t *pads;
    size_t count;
    if (n->nin < 2)
        return attr_ints(pc->cx, n, "pads", &pads, &count) == 1 && all_zero(pads, (int64_t)count);
    const struct tensor *t =
        n->in[1] && value_is_const(n->in[1]) ? consts_get(pc->cx, &pc->ex->consts, n->in[1]) : NULL;
    return t && t->dt == DT_INT64 && all_zero(t->data, tensor_count(t));
}

static bool hands_on(struct pass_ctx *pc, const struct node *n)
{
    if (n->nin < 1 || !n->in[0] || n->nout < 1 || !n->out[0])
        return false;
    if (node_is(n, "Identity"))
        return true;
    if (node_is(n, "Dropout"))
        return inference_dropout(pc, n);
    if (node_is(n, "Cast"))
        return same_type(pc, n);
    if (node_is(n, "Transpose"))
        return noop_transpose(pc, n);
    if (node_is(n, "Pad"))
        return noop_pad(pc, n);
    if (node_is(n, "Reshape"))
        return same_shape(pc, n) && same_type(pc, n);
    return false;
}

int pass_remove_identities(struct pass_ctx *pc, struct graph *g)
{
    for (struct node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (!hands_on(pc, n) || pass_pinned(pc, n->out[0]))
            continue;
        if (!pass_take(pc))
            break;
        int rc = value_replace_uses(pc->cx, n->out[0], n->in[0]);
        if (rc)
            return rc;
        node_remove(n);
    }
    return OK;
}
