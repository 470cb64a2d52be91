/* Small questions that patterns are made of. */
#include "rewrite/match.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "ir/edit.h"

struct node *match_shared(const struct value *v, const char *op_type)
{
    return v && node_is(v->producer, op_type) ? v->producer : NULL;
}

struct node *match_producer(const struct pass_ctx *pc, const struct value *v, const char *op_type)
{
    struct node *n = match_shared(v, op_type);
    return n && pass_sole_user(pc, v) ? n : NULL;
}

bool match_scalar(const struct pass_ctx *pc, const struct value *v, double *out)
{
    if (!v || !v->init || tensor_data_count(v->init) != 1 || !dtype_is_float(v->init->dt))
        return false;
    const struct tensor *t = consts_get(pc->cx, &pc->ex->consts, v);
    if (t)
        *out = tensor_f64(t, 0);
    return t != NULL;
}

bool match_number(const struct pass_ctx *pc, const struct value *v, double want)
{
    double x;
    return match_scalar(pc, v, &x) && fabs(x - want) <= 1e-4 * fabs(want);
}

struct value *match_other(const struct node *n, const struct value *v)
{
    if (n->nin != 2 || n->in[0] == n->in[1])
        return NULL;
    return n->in[0] == v ? n->in[1] : n->in[1] == v ? n->in[0] : NULL;
}

bool match_with_number(const struct pass_ctx *pc, const struct node *n, double want, struct value **rest)
{
    for (int i = 0; i < 2 && n->nin == 2; i++)
        if (match_number(pc, n->in[i], want)) {
            *rest = n->in[1 - i];
            return true;
        }
    return false;
}

bool match_same_float_shape(const struct pass_ctx *pc, const struct value *a, const struct value *b)
{
    const struct type *x = pass_type(pc, a), *y = pass_type(pc, b);
    if (!x || !y || x->kind != TY_TENSOR || y->kind != TY_TENSOR || x->dt != DT_FLOAT || y->dt != DT_FLOAT ||
        x->rank < 0 || x->rank != y->rank)
        return false;
    for (int i = 0; i < x->rank; i++)
        if (!dim_same(x->dims[i], y->dims[i]))
            return false;
    return true;
}

bool match_row(const struct value *v, int64_t n)
{
    if (!v || !v->init || v->init->dt != DT_FLOAT || v->init->rank < 1 || tensor_data_count(v->init) != n)
        return false;
    return v->init->dims[v->init->rank - 1] == n;
}

/* One bound of Clip: the constant input, the attribute of opset 6, or the default. */
static bool clip_bound(struct pass_ctx *pc, const struct node *n, int input, const char *attr, float *v)
{
    double x;
    if (n->nin <= input || !n->in[input])
        return attr_float(pc->cx, n, attr, v) >= 0;
    if (!match_scalar(pc, n->in[input], &x))
        return false;
    *v = (float)x;
    return true;
}

bool match_activation(struct pass_ctx *pc, const struct node *n, struct match_act *a)
{
    static const char *const plain[] = {"Relu", "Sigmoid", "Tanh", "Swish", "HardSwish", "Mish"};
    *a = (struct match_act){.name = n->op_type};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (node_is(n, plain[i]))
            return !(strcmp(plain[i], "Swish") == 0 && node_attr(n, "alpha"));
    if (node_is(n, "Gelu")) {
        struct ostr how = {0};
        int has = attr_str(pc->cx, n, "approximate", &how);
        return has == 0 || (has == 1 && how.n == 4 && !memcmp(how.p, "none", 4));
    }
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

int match_set_activation(struct pass_ctx *pc, struct node *fused, const struct match_act *a)
{
    int rc = node_set_attr_str(pc->cx, fused, "activation", a->name);
    if (rc || !a->n)
        return rc;
    float *copy = arena_dup(&pc->m->arena, a->params, a->n * sizeof *copy);
    if (!copy)
        return err_nomem(pc->cx);
    struct attr at = {.name = "activation_params", .kind = AT_FLOATS, .n = a->n, .u.floats = copy};
    return node_set_attr(pc->cx, fused, &at);
}

bool match_inference_bn(struct pass_ctx *pc, const struct node *n)
{
    int64_t training = 0, spatial = 1, is_test = 1;
    if (!node_is(n, "BatchNormalization") || n->nin < 5)
        return false;
    for (int o = 1; o < n->nout; o++)
        if (n->out[o] && (n->out[o]->nuses || pass_pinned(pc, n->out[o])))
            return false;
    if (graph_opset(n->graph, "") < 7) {
        is_test = 0;
        attr_int(pc->cx, n, "is_test", &is_test);
    }
    attr_int(pc->cx, n, "training_mode", &training);
    attr_int(pc->cx, n, "spatial", &spatial);
    for (int i = 1; i < 5; i++)
        if (!n->in[i] || !value_is_const(n->in[i]))
            return false;
    return !training && spatial && is_test;
}

/* Constant input i of n, of a float type with m elements; NULL. */
static const struct tensor *channel_consts(struct pass_ctx *pc, const struct node *n, int i, int64_t m)
{
    const struct tensor *t = consts_get(pc->cx, &pc->ex->consts, n->in[i]);
    return t && dtype_is_float(t->dt) && tensor_count(t) == m ? t : NULL;
}

bool match_bn_affine(struct pass_ctx *pc, const struct node *bn, int64_t m, double *a, double *b)
{
    const struct tensor *k[4]; /* scale, B, mean, var */
    float eps = 1e-5f;
    if (!match_inference_bn(pc, bn))
        return false;
    for (int i = 0; i < 4; i++)
        if (!(k[i] = channel_consts(pc, bn, i + 1, m)))
            return false;
    attr_float(pc->cx, bn, "epsilon", &eps);
    for (int64_t o = 0; o < m; o++) {
        a[o] = tensor_f64(k[0], o) / sqrt(tensor_f64(k[3], o) + (double)eps);
        b[o] = tensor_f64(k[1], o) - a[o] * tensor_f64(k[2], o);
    }
    return true;
}
