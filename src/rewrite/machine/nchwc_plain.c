/* Graphs of blocked operators (com.microsoft.nchwc) whose blocked values never leave: neither to the caller
 * nor to a node that reads elements by position. Then their order is nobody's business but ours, and all
 * values between are kept in plain order, without reordering around each node.
 *
 *   ReorderInput -> Conv -> Relu -> MaxPool -> ReorderOutput      all of them get the attribute NCHWC_PLAIN
 */
#include <string.h>

#include "ir/edit.h"
#include "ops/nchwc.h"
#include "rewrite/match.h"

int pass_nchwc_plain(struct pass_ctx *pc, struct graph *g);

static bool is_blocked_op(const struct node *n)
{
    return n && !strcmp(n->domain, NCHWC_DOMAIN);
}

static bool same_dims(const struct type *a, const struct type *b)
{
    if (!a || !b || a->kind != TY_TENSOR || b->kind != TY_TENSOR || a->rank != b->rank || a->rank < 0)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i].kind != DIM_CONST || b->dims[i].kind != DIM_CONST || a->dims[i].v != b->dims[i].v)
            return false;
    return true;
}

/* set: by value id. Whether every input but constants is in it. */
static bool inputs_in(const bool *set, const struct node *n)
{
    bool any = false;
    for (int i = 0; i < n->nin; i++) {
        const struct value *v = n->in[i];
        if (!v)
            continue;
        if (!set[v->id] || v->graph != n->graph)
            return false;
        any = true;
    }
    return any;
}

/* A node that gives the same in blocked and in plain order: elementwise without broadcasting, or of channels
 * that whole blocks make up. */
static bool indifferent(const struct pass_ctx *pc, const struct node *n)
{
    const struct attr *axis = node_attr(n, "axis");
    if (node_is(n, "Concat"))
        return axis && axis->kind == AT_INT && axis->u.i == 1;
    if (!n->op || !(n->op->flags & OP_ELEMENTWISE) || n->nout != 1)
        return false;
    for (int i = 0; n->nin > 1 && i < n->nin; i++)
        if (n->in[i] && !same_dims(pass_type(pc, n->in[i]), pass_type(pc, n->out[0])))
            return false;
    return true;
}

/* Input i of a blocked operator that must come in blocks: the image and the sum, but no image of fewer
 * channels than a filter's block, which only ever is an output of a plain operator. */
static bool wants_blocks(const struct node *n, int i)
{
    return strcmp(n->op_type, "ReorderInput") != 0 && (i == 0 || i == 3);
}

/* Marks the blocked values; false when one of them is used where its order shows. */
static bool mark(const struct pass_ctx *pc, const struct graph *g, bool *set)
{
    for (const struct node *n = g->first; n; n = n->next) {
        bool ours = is_blocked_op(n);
        if (!ours && !(inputs_in(set, n) && indifferent(pc, n)))
            continue;
        if (ours && (!n->nout || !n->out[0]))
            return false;
        if (!ours || strcmp(n->op_type, "ReorderOutput") != 0)
            set[n->out[0]->id] = true;
    }
    return true;
}

/* The caller's images may be blocked as well: then nothing can be said. First convolutions read plain ones
 * of fewer channels than a block has. */
static bool plain_image(const struct pass_ctx *pc, const struct node *n)
{
    const struct type *t = pass_type(pc, n->in[0]),
                      *w = n->nin > 1 && n->in[1] ? pass_type(pc, n->in[1]) : NULL;
    return !strcmp(n->op_type, "Conv") && t && w && t->kind == TY_TENSOR && t->rank == 4 &&
           t->dims[1].kind == DIM_CONST && t->dims[1].v > 0 && t->dims[1].v < n->graph->nchwc_block;
}

static bool uses_fit(const struct pass_ctx *pc, const struct graph *g, const bool *set, const struct value *v)
{
    if (v->is_output || pass_pinned(pc, v))
        return false;
    for (size_t i = 0; i < v->nuses; i++) {
        const struct node *u = v->uses[i].node;
        bool fits =
            is_blocked_op(u) ? wants_blocks(u, v->uses[i].index) : u->nout && u->out[0] && set[u->out[0]->id];
        if (u->graph != g || !fits)
            return false;
    }
    return true;
}

static bool closed(const struct pass_ctx *pc, const struct graph *g, const bool *set)
{
    for (const struct node *n = g->first; n; n = n->next) {
        for (int o = 0; o < n->nout; o++)
            if (n->out[o] && set[n->out[o]->id] && !uses_fit(pc, g, set, n->out[o]))
                return false;
        for (int i = 0; is_blocked_op(n) && i < n->nin; i++)
            if (n->in[i] && wants_blocks(n, i) && !set[n->in[i]->id] && !(i == 0 && plain_image(pc, n)))
                return false;
    }
    return true;
}

static bool has_work(const struct graph *g)
{
    for (const struct node *n = g->first; n; n = n->next)
        if (is_blocked_op(n) && !node_attr(n, NCHWC_PLAIN))
            return true;
    return false;
}

int pass_nchwc_plain(struct pass_ctx *pc, struct graph *g)
{
    if (!has_work(g))
        return OK;
    bool *set = arena_zalloc(&pc->cx->scratch, g->model->nvalues + 1);
    if (!set)
        return err_nomem(pc->cx);
    if (!mark(pc, g, set) || !closed(pc, g, set) || !pass_take(pc))
        return OK;
    int rc = OK;
    for (struct node *n = g->first; n && !rc; n = n->next)
        if (is_blocked_op(n))
            rc = node_set_attr_int(pc->cx, n, NCHWC_PLAIN, 1);
    return rc;
}
