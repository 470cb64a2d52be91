/* Runs of convolutions, pooling and what stands between them work on images in blocked layout (kern/blk.h);
 * reordering is left at the borders of such a run.
 *
 *   Conv -> MaxPool -> FusedConv -> Flatten
 *       =>  BlockedConv -> BlockedMaxPool -> BlockedConv -> FromBlocked -> Flatten
 *
 * One walk in the graph's order: a node whose image has a blocked twin (or is worth making one) gets a
 * blocked node beside it, whose result is the twin of its own. Afterwards, from the end, every such node
 * goes; what still reads its plain result gets that from a FromBlocked. float and two spatial axes only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "ir/edit.h"
#include "kern/blk.h"
#include "rewrite/match.h"

int pass_block_layout(struct pass_ctx *pc, struct graph *g);

enum { MAX_OUT = 16 }; /* of a Split */

struct layout {
    struct pass_ctx *pc;
    int block;
    struct value **twin; /* by value id: the blocked form */
    size_t nvalues;
    struct node **done; /* nodes that have a blocked one beside them */
    size_t ndone;
};

static struct value *twin_of(const struct layout *l, const struct value *v)
{
    return v && v->id < l->nvalues ? l->twin[v->id] : NULL;
}

static void set_twin(struct layout *l, const struct value *v, struct value *blocked)
{
    if (v->id < l->nvalues)
        l->twin[v->id] = blocked;
}

/* Channels of a float image [N, C, H, W], 0 when it is none or they are not known. */
static int64_t image_channels(const struct pass_ctx *pc, const struct value *v)
{
    const struct type *t = v ? pass_type(pc, v) : NULL;
    if (!t || t->kind != TY_TENSOR || t->dt != DT_FLOAT || t->rank != 4 || t->dims[1].kind != DIM_CONST)
        return 0;
    return t->dims[1].v;
}

static bool is_conv(const struct node *n)
{
    return node_is(n, "Conv") || (!strcmp(n->domain, "com.microsoft") && !strcmp(n->op_type, "FusedConv"));
}

/* A node of the blocked graph that stands where n does, with n's attributes; its nout outputs are new. */
static int new_nodes(struct layout *l, struct node *n, const char *domain, const char *op_type,
                     struct value *const *ins, int nin, int nout, struct node **made)
{
    struct cx *cx = l->pc->cx;
    struct value *y[MAX_OUT];
    int rc = OK;
    for (int o = 0; o < nout && !rc; o++)
        rc = value_new(cx, n->graph, NULL, &y[o]);
    if (!rc)
        rc = node_new(cx, n->graph, n, domain, op_type, n->name, ins, nin, y, nout, made);
    if (rc)
        return rc;
    for (int i = 0; i < n->nattr && !rc; i++)
        rc = node_set_attr(cx, *made, &n->attrs[i]);
    (*made)->op = op_find(domain, op_type);
    return rc;
}

static int new_node(struct layout *l, struct node *n, const char *domain, const char *op_type,
                    struct value *const *ins, int nin, struct node **made)
{
    return new_nodes(l, n, domain, op_type, ins, nin, 1, made);
}

static int new_blocked(struct layout *l, struct node *n, const char *op_type, struct value *const *ins,
                       int nin, struct node **made)
{
    int rc = new_node(l, n, "onnxtool", op_type, ins, nin, made);
    return rc ? rc : node_set_attr_int(l->pc->cx, *made, "block", l->block);
}

static int finish(struct layout *l, struct node *n, struct node *made)
{
    for (int o = 0; o < n->nout; o++)
        if (n->out[o])
            set_twin(l, n->out[o], made->out[o]);
    l->done[l->ndone++] = n;
    return OK;
}

/* ToBlocked or FromBlocked of v, before n and named after it. */
static int reorder(struct layout *l, struct node *n, const char *op_type, struct value *v, struct node **made)
{
    struct cx *cx = l->pc->cx;
    struct value *y;
    char name[160];
    snprintf(name, sizeof name, "%.120s %s", n->name, op_type[0] == 'T' ? "in blocks" : "out of blocks");
    int rc = value_new(cx, n->graph, NULL, &y);
    if (!rc)
        rc = node_new(cx, n->graph, n, "onnxtool", op_type, name, &v, 1, &y, 1, made);
    if (!rc)
        rc = node_set_attr_int(cx, *made, "block", l->block);
    if (!rc)
        (*made)->op = op_find("onnxtool", op_type);
    return rc;
}

/* The twin of v, made before n when there is none. */
static int need_twin(struct layout *l, struct node *n, struct value *v, struct value **out)
{
    struct node *made;
    *out = twin_of(l, v);
    int rc = *out ? OK : reorder(l, n, "ToBlocked", v, &made);
    if (rc || *out)
        return rc;
    *out = made->out[0];
    set_twin(l, v, *out);
    return OK;
}

/* ---- convolutions ---- */

static int64_t attr_or(const struct node *n, const char *name, int64_t otherwise)
{
    const struct attr *a = node_attr(n, name);
    return a && a->kind == AT_INT ? a->u.i : otherwise;
}

/* What decides whether a convolution can be blocked, and should. */
struct shape {
    int64_t ci, co, groups, taps;
    bool depthwise;
};

static bool conv_shape(const struct layout *l, const struct node *n, struct shape *s)
{
    const struct tensor_data *w = n->nin > 1 && n->in[1] ? n->in[1]->init : NULL;
    if (!is_conv(n) || !n->out[0] || !w || !value_is_const(n->in[1]) || w->rank != 4 || w->dt != DT_FLOAT)
        return false;
    if (n->nin > 2 && n->in[2] && !value_is_const(n->in[2]))
        return false;
    for (int i = 0; i < 4; i++)
        if (w->dims[i] < 1)
            return false;
    s->groups = attr_or(n, "group", 1);
    if (s->groups < 1 || w->dims[1] > INT32_MAX || s->groups > INT32_MAX || w->dims[0] > INT32_MAX)
        return false;
    s->ci = w->dims[1] * s->groups;
    s->co = w->dims[0];
    s->taps = w->dims[2] * w->dims[3];
    s->depthwise = s->groups > 1 && s->ci == s->groups && s->co == s->groups;
    if (image_channels(l->pc, n->in[0]) != s->ci || image_channels(l->pc, n->out[0]) != s->co)
        return false;
    struct conv_params p = {.ci = s->ci, .co = s->co, .groups = s->groups, .rank = 2};
    p.kernel[1] = w->dims[3];
    return blk_takes(&l->pc->ex->kern, &p);
}

/* Whether a reader of v works on blocks if it is given them. */
static bool wanted_blocked(const struct layout *l, const struct value *v)
{
    static const char *const names[] = {"MaxPool", "AveragePool", "GlobalAveragePool",
                                        "Add",     "Concat",      "Relu"};
    struct shape s;
    for (size_t i = 0; i < v->nuses; i++) {
        const struct node *u = v->uses[i].node;
        if (conv_shape(l, u, &s))
            return true;
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            if (node_is(u, names[j]))
                return true;
    }
    return false;
}

/* A plain image is reordered for a convolution that has more than one tap or begins a run, if its result
 * fills a block. One of few channels is read as it is. */
static bool worth_it(const struct layout *l, const struct node *n, const struct shape *s)
{
    if (twin_of(l, n->in[0]))
        return true;
    return !s->depthwise && s->co >= l->block && (s->taps > 1 || wanted_blocked(l, n->out[0]));
}

static int block_conv(struct layout *l, struct node *n)
{
    struct shape s;
    struct value *ins[4] = {0};
    struct node *made;
    if (!conv_shape(l, n, &s) || !worth_it(l, n, &s) || !pass_take(l->pc))
        return OK;
    int nin = n->nin < 4 ? n->nin : 4, rc = OK;
    for (int i = 0; i < nin; i++)
        ins[i] = n->in[i];
    bool plain = !twin_of(l, n->in[0]) && s.ci < l->block && s.groups == 1;
    if (!plain)
        rc = need_twin(l, n, n->in[0], &ins[0]);
    if (!rc && ins[3])
        rc = need_twin(l, n, n->in[3], &ins[3]);
    if (!rc)
        rc = new_blocked(l, n, "BlockedConv", ins, nin, &made);
    if (!rc)
        rc = node_set_attr_int(l->pc->cx, made, "plain", plain);
    return rc ? rc : finish(l, n, made);
}

/* Two values of 1 or more for an attribute that may be absent. */
static void pair_or(const struct node *n, const char *name, int64_t otherwise, int64_t out[2])
{
    const struct attr *a = node_attr(n, name);
    bool given = a && a->kind == AT_INTS && a->n == 2;
    out[0] = given ? a->u.ints[0] : otherwise;
    out[1] = given ? a->u.ints[1] : otherwise;
}

static bool no_pads(const struct node *n)
{
    const struct attr *a = node_attr(n, "pads");
    for (size_t i = 0; a && i < a->n; i++)
        if (a->kind != AT_INTS || a->u.ints[i])
            return false;
    return !node_attr(n, "auto_pad") && !node_attr(n, "output_padding") && !node_attr(n, "output_shape");
}

/* A transposed convolution whose windows do not overlap. */
static int block_conv_t(struct layout *l, struct node *n)
{
    const struct tensor_data *w = n->nin > 1 && n->in[1] ? n->in[1]->init : NULL;
    struct value *ins[3] = {twin_of(l, n->in[0]), n->nin > 1 ? n->in[1] : NULL, n->nin > 2 ? n->in[2] : NULL};
    struct conv_params p = {.groups = attr_or(n, "group", 1), .rank = 2, .in = {1, 1}};
    struct node *made;
    if (!ins[0] || !w || !value_is_const(ins[1]) || w->rank != 4 || w->dt != DT_FLOAT || n->nin > 3 ||
        (ins[2] && !value_is_const(ins[2])) || !no_pads(n) || image_channels(l->pc, n->in[0]) != w->dims[0] ||
        image_channels(l->pc, n->out[0]) != w->dims[1])
        return OK;
    pair_or(n, "strides", 1, p.stride);
    pair_or(n, "dilations", 1, p.dilation);
    for (int i = 0; i < 2; i++) {
        p.kernel[i] = w->dims[i + 2];
        p.out[i] = p.stride[i];
    }
    if (p.stride[0] < 1 || p.stride[1] < 1 || !blk_conv_t_takes(&p) || !pass_take(l->pc))
        return OK;
    int rc = new_blocked(l, n, "BlockedConvTranspose", ins, n->nin, &made);
    return rc ? rc : finish(l, n, made);
}

/* ---- pooling ---- */

static int block_pool(struct layout *l, struct node *n)
{
    struct value *x = twin_of(l, n->in[0]);
    struct node *made;
    if (!x || (n->nout > 1 && n->out[1]) || !pass_take(l->pc))
        return OK;
    int rc = new_blocked(l, n, node_is(n, "MaxPool") ? "BlockedMaxPool" : "BlockedAveragePool", &x, 1, &made);
    return rc ? rc : finish(l, n, made);
}

static int block_mean(struct layout *l, struct node *n)
{
    struct value *x = twin_of(l, n->in[0]);
    struct node *made;
    if (!x || !image_channels(l->pc, n->out[0]) || !pass_take(l->pc))
        return OK;
    int rc = new_blocked(l, n, "BlockedGlobalAveragePool", &x, 1, &made);
    return rc ? rc : finish(l, n, made);
}

/* ---- factors and terms a channel ---- */

/* v, multiplied with image y, scales its channels: [N or 1, C, 1, 1]. */
static bool scales_channels(const struct layout *l, const struct value *v, const struct value *y)
{
    const struct type *t = pass_type(l->pc, v), *ty = pass_type(l->pc, y);
    int64_t c = image_channels(l->pc, y);
    return c && image_channels(l->pc, v) == c && dim_is(t->dims[2], 1) && dim_is(t->dims[3], 1) &&
           (dim_is(t->dims[0], 1) || dim_same(t->dims[0], ty->dims[0]));
}

static int block_mul(struct layout *l, struct node *n)
{
    struct node *made;
    for (int i = 0; i < 2 && n->nin == 2; i++) {
        struct value *x = twin_of(l, n->in[i]), *s = n->in[1 - i];
        if (!x || !s || !match_same_float_shape(l->pc, n->in[i], n->out[0]) ||
            !scales_channels(l, s, n->out[0]))
            continue;
        if (!pass_take(l->pc))
            return OK;
        struct value *ins[2] = {x, twin_of(l, s) ? twin_of(l, s) : s};
        int rc = new_blocked(l, n, "BlockedScale", ins, 2, &made);
        return rc ? rc : finish(l, n, made);
    }
    return OK;
}

static int channel_const(struct layout *l, struct node *n, const double *v, int64_t m, struct value **out)
{
    struct cx *cx = l->pc->cx;
    struct tensor t;
    memset(&t, 0, sizeof t);
    int rc = tensor_new(cx, &t, DT_FLOAT, 1, &m);
    for (int64_t i = 0; i < m && !rc; i++)
        ((float *)t.data)[i] = (float)v[i];
    if (!rc)
        rc = graph_add_const(cx, n->graph, n->name, &t, out);
    tensor_drop(&t);
    return rc;
}

/* A BatchNormalization, with the activation behind it. */
static int scale_by_bn(struct layout *l, struct node *n, struct value *x, const double *a, const double *b,
                       int64_t m)
{
    struct value *ins[3] = {x}, *y;
    struct match_act how;
    struct node *made, *act = pass_sole_user(l->pc, n->out[0]);
    int rc = channel_const(l, n, a, m, &ins[1]);
    if (!rc)
        rc = channel_const(l, n, b, m, &ins[2]);
    if (!rc)
        rc = value_new(l->pc->cx, n->graph, NULL, &y);
    if (!rc)
        rc = node_new(l->pc->cx, n->graph, n, "onnxtool", "BlockedScale", n->name, ins, 3, &y, 1, &made);
    if (!rc)
        rc = node_set_attr_int(l->pc->cx, made, "block", l->block);
    if (rc)
        return rc;
    made->op = op_find("onnxtool", "BlockedScale");
    rc = finish(l, n, made);
    if (act && act->in[0] == n->out[0] && match_activation(l->pc, act, &how) &&
        (act->out[0]->is_output || !pass_pinned(l->pc, act->out[0]))) {
        if (!rc)
            rc = match_set_activation(l->pc, made, &how);
        if (!rc)
            rc = finish(l, act, made);
    }
    return rc;
}

static int block_bn(struct layout *l, struct node *n)
{
    struct value *x = twin_of(l, n->in[0]);
    int64_t m = image_channels(l->pc, n->out[0]);
    if (!x || !m || !match_inference_bn(l->pc, n))
        return OK;
    double *k = mem_alloc(2 * (size_t)m * sizeof *k);
    if (!k)
        return err_nomem(l->pc->cx);
    int rc = OK;
    if (match_bn_affine(l->pc, n, m, k, k + m) && pass_take(l->pc))
        rc = scale_by_bn(l, n, x, k, k + m, m);
    free(k);
    return rc;
}

/* ---- layouts make no difference ---- */

static bool any_layout(const struct node *n)
{
    static const char *const names[] = {
        "Abs",       "Add",       "Clip", "Div",  "Elu", "Exp",   "Gelu", "HardSigmoid",
        "HardSwish", "LeakyRelu", "Max",  "Mish", "Mul", "Neg",   "Relu", "Selu",
        "Sigmoid",   "Softplus",  "Sqrt", "Sub",  "Sum", "Swish", "Tanh"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (node_is(n, names[i]))
            return n->nout == 1;
    return false;
}

static bool one_element(const struct value *v)
{
    return value_is_const(v) && v->init && tensor_data_count(v->init) == 1;
}

/* The node again on twins: all of its images have the output's shape, other inputs one element. */
static int block_same(struct layout *l, struct node *n)
{
    struct value *ins[8];
    struct node *made;
    int twins = 0;
    if (n->nin > 8 || !n->out[0])
        return OK;
    for (int i = 0; i < n->nin; i++) {
        struct value *v = n->in[i];
        ins[i] = v;
        if (!v || one_element(v))
            continue;
        ins[i] = twin_of(l, v);
        if (!ins[i] || !match_same_float_shape(l->pc, v, n->out[0]))
            return OK;
        twins++;
    }
    if (!twins || !pass_take(l->pc))
        return OK;
    int rc = new_node(l, n, n->domain, n->op_type, ins, n->nin, &made);
    if (rc)
        return rc;
    made->ver = n->ver;
    return finish(l, n, made);
}

/* Whole blocks put side by side: the images of all inputs but the last fill theirs. */
static int block_concat(struct layout *l, struct node *n)
{
    struct node *made;
    int twins = 0, rc = OK;
    if (attr_or(n, "axis", 0) != 1 || !image_channels(l->pc, n->out[0]))
        return OK;
    for (int i = 0; i < n->nin; i++) {
        int64_t c = image_channels(l->pc, n->in[i]);
        if (!c || (i + 1 < n->nin && c % l->block))
            return OK;
        twins += twin_of(l, n->in[i]) != NULL;
    }
    if (2 * twins < n->nin || !pass_take(l->pc))
        return OK;
    struct value **ins = mem_zalloc((size_t)n->nin * sizeof *ins);
    if (!ins)
        return err_nomem(l->pc->cx);
    for (int i = 0; i < n->nin && !rc; i++)
        rc = need_twin(l, n, n->in[i], &ins[i]);
    if (!rc)
        rc = new_node(l, n, "", "Concat", ins, n->nin, &made);
    free(ins);
    if (rc)
        return rc;
    made->ver = n->ver;
    return finish(l, n, made);
}

/* Taken apart at whole blocks. */
static int block_split(struct layout *l, struct node *n)
{
    struct value *ins[2] = {twin_of(l, n->in[0]), n->nin > 1 ? n->in[1] : NULL};
    struct node *made;
    if (!ins[0] || n->nout > MAX_OUT || attr_or(n, "axis", 0) != 1 || n->nin > 2)
        return OK;
    for (int o = 0; o < n->nout; o++)
        if (!n->out[o] || pass_pinned(l->pc, n->out[o]) || !image_channels(l->pc, n->out[o]) ||
            image_channels(l->pc, n->out[o]) % l->block)
            return OK;
    if (!pass_take(l->pc))
        return OK;
    int rc = new_nodes(l, n, "", "Split", ins, n->nin, n->nout, &made);
    if (rc)
        return rc;
    made->ver = n->ver;
    return finish(l, n, made);
}

/* Whether an activation was taken along with what stands before it. */
static bool is_done(const struct layout *l, const struct node *n)
{
    return l->ndone > 0 && twin_of(l, n->out[0]);
}

static int block_node(struct layout *l, struct node *n)
{
    if (!n->out || !n->nout || !n->out[0] || (!n->out[0]->is_output && pass_pinned(l->pc, n->out[0])))
        return OK;
    if (is_done(l, n))
        return OK;
    if (is_conv(n))
        return block_conv(l, n);
    if (node_is(n, "ConvTranspose"))
        return block_conv_t(l, n);
    if (node_is(n, "MaxPool") || node_is(n, "AveragePool"))
        return block_pool(l, n);
    if (node_is(n, "GlobalAveragePool"))
        return block_mean(l, n);
    if (node_is(n, "Concat"))
        return block_concat(l, n);
    if (node_is(n, "Split"))
        return block_split(l, n);
    if (node_is(n, "BatchNormalization"))
        return block_bn(l, n);
    if (node_is(n, "Mul") && !twin_of(l, n->out[0])) {
        size_t before = l->ndone;
        int rc = block_mul(l, n);
        if (rc || l->ndone > before)
            return rc;
    }
    return any_layout(n) ? block_same(l, n) : OK;
}

/* ---- the end ---- */

/* Takes n away; readers of its plain result get it from its twin. */
static int plain_again(struct layout *l, struct node *n, struct value *y)
{
    struct node *made;
    if (!y || (!y->nuses && !y->is_output))
        return OK;
    int rc = reorder(l, n, "FromBlocked", twin_of(l, y), &made);
    if (!rc)
        rc = node_set_attr_int(l->pc->cx, made, "channels", image_channels(l->pc, y));
    return rc ? rc : value_replace(l->pc->cx, y, made->out[0]);
}

static int unplug(struct layout *l, struct node *n)
{
    int rc = OK;
    for (int o = 0; o < n->nout && !rc; o++)
        rc = plain_again(l, n, n->out[o]);
    if (!rc)
        node_remove(n);
    return rc;
}

/* An earlier round's reorderings. */
static void see_reorder(struct layout *l, const struct node *n)
{
    if (strcmp(n->domain, "onnxtool") != 0)
        return;
    if (!strcmp(n->op_type, "FromBlocked"))
        set_twin(l, n->out[0], n->in[0]);
    else if (!strcmp(n->op_type, "ToBlocked"))
        set_twin(l, n->in[0], n->out[0]);
}

static int walk(struct layout *l, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        next = n->next;
        see_reorder(l, n);
        rc = block_node(l, n);
        if (!rc && l->pc->cx->err.code)
            rc = l->pc->cx->err.code;
    }
    for (size_t i = l->ndone; i > 0 && !rc; i--)
        rc = unplug(l, l->done[i - 1]);
    return rc;
}

int pass_block_layout(struct pass_ctx *pc, struct graph *g)
{
    struct layout l = {.pc = pc, .block = pc->ex->kern.blk.conv->block, .nvalues = pc->m->nvalues};
    l.twin = mem_zalloc((l.nvalues + 1) * sizeof(struct value *));
    l.done = mem_zalloc((g->nnodes + 1) * sizeof(struct node *));
    int rc = l.twin && l.done ? walk(&l, g) : err_nomem(pc->cx);
    free(l.twin);
    free(l.done);
    return rc;
}
