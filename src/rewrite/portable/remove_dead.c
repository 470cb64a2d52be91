/* Nodes whose results nothing reads, and initializers nothing reads, go. Graph inputs stay: they are the
 * interface.
 *
 *   a = Relu(x); b = Exp(x); output a     =>     a = Relu(x); output a
 */
#include "ir/edit.h"
#include "rewrite/pass.h"

int pass_remove_dead(struct pass_ctx *pc, struct graph *g);

static bool dead(const struct pass_ctx *pc, const struct node *n)
{
    for (int o = 0; o < n->nout; o++)
        if (n->out[o] && (n->out[o]->nuses || pass_pinned(pc, n->out[o])))
            return false;
    return true;
}

int pass_remove_dead(struct pass_ctx *pc, struct graph *g)
{
    for (struct node *n = g->last, *prev; n; n = prev) {
        prev = n->prev;
        if (dead(pc, n) && pass_take(pc))
            node_remove(n);
    }
    for (size_t i = g->ninits; i-- > 0;) {
        struct value *v = g->inits[i];
        if (!v->nuses && !v->is_output && !v->is_input && pass_take(pc)) {
            consts_drop(&pc->ex->consts, v);
            value_remove(v);
        }
    }
    return OK;
}
