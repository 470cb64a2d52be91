/* A Conv, the residual that is added to it, and the activation behind: one com.microsoft FusedConv step, so
 * that all is done while the result is in registers.
 *
 *   c = Conv(x, W, b); s = Add(c, z); y = Relu(s)     =>     y = FusedConv(x, W, b, z) {activation = "Relu"}
 *
 * Either part may be missing. float only: that is what has kernels. */
#include <string.h>

#include "ir/edit.h"
#include "rewrite/match.h"

int pass_fuse_conv(struct pass_ctx *pc, struct graph *g);

/* What is fused into one Conv. */
struct conv_match {
    struct node *conv, *add, *act;
    struct value *residual;
    struct match_act how;
};

static struct value *result(const struct conv_match *m)
{
    return m->act ? m->act->out[0] : m->add->out[0];
}

static int fuse(struct pass_ctx *pc, struct conv_match *m)
{
    struct cx *cx = pc->cx;
    struct graph *g = m->conv->graph;
    struct node *f, *conv = m->conv;
    struct value *out, *ins[4] = {0};
    for (int i = 0; i < conv->nin && i < 3; i++)
        ins[i] = conv->in[i];
    ins[3] = m->residual;
    int rc = value_new(cx, g, NULL, &out);
    if (!rc) /* it may be the residual of the next one */
        rc = (out->type = type_copy(&pc->m->arena, pass_type(pc, conv->out[0]))) ? OK : err_nomem(cx);
    if (!rc)
        rc = node_new(cx, g, m->act ? m->act : m->add, "com.microsoft", "FusedConv", conv->name, ins,
                      m->residual ? 4 : conv->nin, &out, 1, &f);
    for (int i = 0; i < conv->nattr && !rc; i++)
        rc = node_set_attr(cx, f, &conv->attrs[i]);
    if (!rc && m->act)
        rc = match_set_activation(pc, f, &m->how);
    if (!rc)
        rc = pass_replace(pc, result(m), out);
    if (rc)
        return rc;
    if (m->act)
        node_remove(m->act);
    if (m->add)
        node_remove(m->add);
    node_remove(conv);
    f->op = op_find("com.microsoft",
                    "FusedConv"); /* the model need not import that domain: this is never saved */
    return OK;
}

/* The sum of two behind v whose other side has the same shape, so that nothing broadcasts. */
static struct node *residual_add(const struct pass_ctx *pc, struct value *v, struct value **other)
{
    struct node *add = pass_sole_user(pc, v);
    if ((!node_is(add, "Add") && !node_is(add, "Sum")) || !(*other = match_other(add, v)) ||
        !match_same_float_shape(pc, v, *other) || value_is_const(*other))
        return NULL;
    return add;
}

static bool match(struct pass_ctx *pc, struct node *n, struct conv_match *m)
{
    *m = (struct conv_match){.conv = n};
    if (!node_is(n, "Conv") || !n->out[0])
        return false;
    const struct type *t = pass_type(pc, n->out[0]);
    if (!t || t->kind != TY_TENSOR || t->dt != DT_FLOAT)
        return false;
    struct value *end = n->out[0];
    m->add = residual_add(pc, end, &m->residual);
    if (m->add)
        end = m->add->out[0];
    else
        m->residual = NULL;
    struct node *act = pass_sole_user(pc, end);
    if (act && act->in[0] == end && match_activation(pc, act, &m->how))
        m->act = act;
    return m->add || m->act;
}

int pass_fuse_conv(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        struct conv_match m;
        bool hit = match(pc, n, &m);
        if (pc->cx->err.code)
            return pc->cx->err.code;
        next = n->next;
        if (!hit || !pass_take(pc))
            continue;
        while (next && (next == m.add || next == m.act)) /* fusing removes them */
            next = next->next;
        rc = fuse(pc, &m);
    }
    return rc;
}
