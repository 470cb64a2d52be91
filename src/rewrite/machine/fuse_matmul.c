/* A MatMul by constant weights with the bias, residual and activation behind it becomes one step.
 *
 *   p = MatMul(x, W); q = Add(p, b); y = Gelu(q)     =>     y = FusedMatMul(x, W, b) {activation = "Gelu"}
 *   p = MatMul(x, W); q = Add(p, b); y = Add(q, z)   =>     y = FusedMatMul(x, W, b, z)
 *   t = Transpose(W); y = MatMul(x, t)               =>     y = FusedMatMul(x, W) {transB = 1}
 *
 * The last one comes before constants are folded: W is packed as it lies, and never stored the other way
 * round. W is a float matrix, b a row as long as W is wide, z has the product's shape. */
#include "ir/edit.h"
#include "rewrite/match.h"

int pass_fuse_matmul(struct pass_ctx *pc, struct graph *g);
int pass_fuse_transposed(struct pass_ctx *pc, struct graph *g);

/* A product that this pass or the other one made, with nothing behind the product itself. */
static bool is_bare(const struct node *n)
{
    return n->op == op_find("onnxtool", "FusedMatMul") && n->nin == 2 && !node_attr(n, "activation");
}

static bool transposed(const struct node *n)
{
    return node_attr(n, "transB") != NULL;
}

static int64_t width_of(const struct node *mm)
{
    return mm->in[1]->init->dims[transposed(mm) ? 0 : 1];
}

struct matmul_match {
    struct node *chain[4]; /* MatMul and what follows it */
    int n;
    struct value *bias, *residual;
    struct match_act how;
    bool act;
};

static struct value *end_of(const struct matmul_match *m)
{
    return m->chain[m->n - 1]->out[0];
}

static bool take_bias(const struct pass_ctx *pc, struct matmul_match *m)
{
    struct value *v = end_of(m), *other;
    struct node *add = pass_sole_user(pc, v);
    if (!node_is(add, "Add") || !(other = match_other(add, v)) || !match_row(other, width_of(m->chain[0])))
        return false;
    const struct type *t = pass_type(pc, v);
    if (!t || t->rank < other->init->rank) /* the sum would have more axes than the product */
        return false;
    m->bias = other;
    m->chain[m->n++] = add;
    return true;
}

static bool take_residual(const struct pass_ctx *pc, struct matmul_match *m)
{
    struct value *v = end_of(m), *other;
    struct node *add = pass_sole_user(pc, v);
    if (!node_is(add, "Add") || !(other = match_other(add, v)) || value_is_const(other) ||
        !match_same_float_shape(pc, v, other))
        return false;
    m->residual = other;
    m->chain[m->n++] = add;
    return true;
}

static bool take_act(struct pass_ctx *pc, struct matmul_match *m)
{
    struct node *act = pass_sole_user(pc, end_of(m));
    if (!act || act->in[0] != end_of(m) || !match_activation(pc, act, &m->how))
        return false;
    m->act = true;
    m->chain[m->n++] = act;
    return true;
}

static bool match(struct pass_ctx *pc, struct node *n, struct matmul_match *m)
{
    *m = (struct matmul_match){.chain = {n}, .n = 1};
    if ((!node_is(n, "MatMul") && !is_bare(n)) || !n->out[0] || !n->in[1]->init ||
        n->in[1]->init->rank != 2 || n->in[1]->init->dt != DT_FLOAT)
        return false;
    const struct type *x = pass_type(pc, n->in[0]), *y = pass_type(pc, n->out[0]);
    if (!x || !y || x->kind != TY_TENSOR || x->dt != DT_FLOAT || x->rank < 2 || y->kind != TY_TENSOR)
        return false;
    take_bias(pc, m);
    if (!take_act(pc, m) && take_residual(pc, m))
        take_act(pc, m);
    return m->n > 1;
}

static int fuse(struct pass_ctx *pc, struct matmul_match *m)
{
    struct cx *cx = pc->cx;
    struct node *mm = m->chain[0], *last = m->chain[m->n - 1], *f;
    struct value *out, *ins[4] = {mm->in[0], mm->in[1], m->bias, m->residual};
    int rc = value_new(cx, mm->graph, NULL, &out);
    if (!rc)
        rc = node_new(cx, mm->graph, last, "onnxtool", "FusedMatMul", mm->name, ins,
                      m->residual ? 4
                      : m->bias   ? 3
                                  : 2,
                      &out, 1, &f);
    if (!rc && transposed(mm))
        rc = node_set_attr_int(cx, f, "transB", 1);
    if (!rc && m->act)
        rc = match_set_activation(pc, f, &m->how);
    if (!rc)
        rc = pass_replace(pc, last->out[0], out);
    if (rc)
        return rc;
    for (int i = m->n - 1; i >= 0; i--)
        node_remove(m->chain[i]);
    f->op = op_find("onnxtool", "FusedMatMul");
    return OK;
}

static bool in_chain(const struct matmul_match *m, const struct node *n)
{
    for (int i = 0; i < m->n; i++)
        if (m->chain[i] == n)
            return true;
    return false;
}

int pass_fuse_matmul(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        struct matmul_match m;
        bool hit = match(pc, n, &m);
        if (pc->cx->err.code)
            return pc->cx->err.code;
        next = n->next;
        if (!hit || !pass_take(pc))
            continue;
        while (next && in_chain(&m, next))
            next = next->next;
        rc = fuse(pc, &m);
    }
    return rc;
}

/* The matrix whose transpose is the right operand of n; NULL. */
static struct value *stored_other_way(struct pass_ctx *pc, const struct node *n)
{
    struct node *t = node_is(n, "MatMul") ? match_shared(n->in[1], "Transpose") : NULL;
    struct value *w = t && t->graph == n->graph ? t->in[0] : NULL;
    const int64_t *perm = NULL;
    size_t rank = 0;
    if (!w || !w->init || w->init->rank != 2 || w->init->dt != DT_FLOAT ||
        attr_ints(pc->cx, t, "perm", &perm, &rank) < 0 || (rank && (rank != 2 || perm[0] != 1)))
        return NULL;
    const struct type *x = pass_type(pc, n->in[0]);
    return x && x->kind == TY_TENSOR && x->dt == DT_FLOAT && x->rank >= 2 ? w : NULL;
}

int pass_fuse_transposed(struct pass_ctx *pc, struct graph *g)
{
    int rc = OK;
    for (struct node *n = g->first, *next; n && !rc; n = next) {
        next = n->next;
        struct value *w = stored_other_way(pc, n), *out;
        struct node *f;
        if (pc->cx->err.code)
            return pc->cx->err.code;
        if (!w || !pass_take(pc))
            continue;
        struct value *ins[] = {n->in[0], w};
        rc = value_new(pc->cx, g, NULL, &out);
        if (!rc)
            rc = node_new(pc->cx, g, n, "onnxtool", "FusedMatMul", n->name, ins, 2, &out, 1, &f);
        if (!rc)
            rc = node_set_attr_int(pc->cx, f, "transB", 1);
        if (!rc)
            rc = pass_replace(pc, n->out[0], out);
        if (rc)
            break;
        node_remove(n);
        f->op = op_find("onnxtool", "FusedMatMul");
    }
    return rc;
}
