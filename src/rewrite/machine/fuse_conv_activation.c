/* A Conv and the activation that alone reads it become one com.microsoft FusedConv step, so that the
 * activation is applied while the result is still in registers.
 *
 *   c = Conv(x, W, b); y = Relu(c)     =>     y = FusedConv(x, W, b) {activation = "Relu"}
 *
 * Relu, LeakyRelu, Sigmoid, Tanh, HardSigmoid, and Clip with constant bounds. float only: that is what has
 * kernels. */
#include <float.h>
#include <string.h>

#include "ir/edit.h"
#include "rewrite/pass.h"

int pass_fuse_conv_activation(struct pass_ctx *pc, struct graph *g);

struct act {
    const char *name;
    float params[2];
    size_t n;
};

/* One bound of Clip: the constant input, the attribute of opset 6, or the default. */
static bool clip_bound(struct pass_ctx *pc, const struct node *n, int input, const char *attr, float *v)
{
    if (n->nin > input && n->in[input]) {
        const struct tensor *t = consts_get(pc->cx, &pc->ex->consts, n->in[input]);
        if (!t || t->dt != DT_FLOAT || tensor_count(t) != 1)
            return false;
        *v = *(const float *)t->data;
        return true;
    }
    return attr_float(pc->cx, n, attr, v) >= 0;
}

static bool read_act(struct pass_ctx *pc, const struct node *n, struct act *a)
{
    *a = (struct act){.name = n->op_type};
    if (node_is(n, "Relu") || node_is(n, "Sigmoid") || node_is(n, "Tanh"))
        return true;
    if (node_is(n, "LeakyRelu")) {
        a->params[0] = 0.01f;
        a->n = 1;
        return attr_float(pc->cx, n, "alpha", &a->params[0]) >= 0;
    }
    if (node_is(n, "HardSigmoid")) {
        a->params[0] = 0.2f;
        a->params[1] = 0.5f;
        a->n = 2;
        return attr_float(pc->cx, n, "alpha", &a->params[0]) >= 0 &&
               attr_float(pc->cx, n, "beta", &a->params[1]) >= 0;
    }
    if (node_is(n, "Clip")) {
        a->params[0] = -FLT_MAX;
        a->params[1] = FLT_MAX;
        a->n = 2;
        return clip_bound(pc, n, 1, "min", &a->params[0]) && clip_bound(pc, n, 2, "max", &a->params[1]);
    }
    return false;
}

/* A FusedConv in the Conv's place, its attributes and the activation's on it. */
static int fuse(struct pass_ctx *pc, struct node *conv, struct node *act, const struct act *a)
{
    struct cx *cx = pc->cx;
    struct graph *g = conv->graph;
    struct node *f;
    struct value *out;
    int rc = value_new(cx, g, NULL, &out);
    if (!rc)
        rc = node_new(cx, g, act, "com.microsoft", "FusedConv", conv->name, conv->in, conv->nin, &out, 1, &f);
    for (int i = 0; i < conv->nattr && !rc; i++)
        rc = node_set_attr(cx, f, &conv->attrs[i]);
    if (!rc)
        rc = node_set_attr_str(cx, f, "activation", a->name);
    if (!rc && a->n) {
        float *copy = arena_dup(&pc->m->arena, a->params, a->n * sizeof *copy);
        if (!copy)
            return err_nomem(cx);
        struct attr at = {.name = "activation_params", .kind = AT_FLOATS, .n = a->n, .u.floats = copy};
        rc = node_set_attr(cx, f, &at);
    }
    if (!rc)
        rc = value_replace(cx, act->out[0], out);
    if (rc)
        return rc;
    node_remove(act);
    node_remove(conv);
    f->op = op_find("com.microsoft",
                    "FusedConv"); /* the model need not import that domain: this is never saved */
    return OK;
}

static int try_fuse(struct pass_ctx *pc, struct node *conv)
{
    struct act a;
    if (!node_is(conv, "Conv") || !conv->out[0])
        return OK;
    const struct type *t = pass_type(pc, conv->out[0]);
    struct node *act = pass_sole_user(pc, conv->out[0]);
    if (!act || act->in[0] != conv->out[0] || !t || t->kind != TY_TENSOR || t->dt != DT_FLOAT)
        return OK;
    bool ok = read_act(pc, act, &a);
    if (pc->cx->err.code)
        return pc->cx->err.code;
    return ok && pass_take(pc) ? fuse(pc, conv, act, &a) : OK;
}

int pass_fuse_conv_activation(struct pass_ctx *pc, struct graph *g)
{
    if (!op_find("com.microsoft", "FusedConv"))
        return OK;
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        next = n->next;
        struct node *act = node_is(n, "Conv") && n->out[0] ? pass_sole_user(pc, n->out[0]) : NULL;
        if (act == next && next) /* fusing removes both */
            next = next->next;
        rc = try_fuse(pc, n);
    }
    return rc;
}
