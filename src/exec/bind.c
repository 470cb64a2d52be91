/* What a provider sees of a node while it is asked and bound. */
#include "exec/bind.h"

#include <stdlib.h>
#include <string.h>

/* Blocks of prepacked weights, kept until the session ends. */
struct prepacked {
    struct prepacked *next;
    void *p;
};

static const struct tensor *get_const(struct bind_ctx *bc, int i)
{
    struct exec *ex = bc->driver;
    if (i >= bc->node->nin || !bc->node->in[i])
        return NULL;
    return consts_get(bc->cx, &ex->consts, bc->node->in[i]);
}

static void *alloc_packed(struct bind_ctx *bc, size_t bytes)
{
    struct exec *ex = bc->driver;
    if (exec_account(bc->cx, ex, &ex->packed_bytes, (int64_t)bytes))
        return NULL;
    struct prepacked *k = arena_zalloc(&ex->arena, sizeof *k);
    void *p = k ? mem_aligned(bytes ? bytes : 64, 64) : NULL;
    if (!p) {
        err_nomem(bc->cx);
        return NULL;
    }
    k->p = p;
    k->next = ex->packed;
    ex->packed = k;
    bc->bytes += bytes;
    return p;
}

void prepacked_free(struct exec *ex)
{
    for (struct prepacked *k = ex->packed; k; k = k->next)
        free(k->p);
    ex->packed = NULL;
}

int step_error(struct cx *cx, const struct exec *ex, const struct prog_step *s, int rc)
{
    char op[96];
    const char *prov = ex->nprov ? ex->prov[s->provider]->name : "cpu";
    bool choice = ex->nprov > 1 || strcmp(prov, "cpu") != 0;
    if (cx->err.code == OK)
        err_set(cx, rc < 0 ? rc : E_INTERNAL, "failed and did not say why");
    return err_frame(cx, "node '%s' (%s)%s%s", node_label(s->node), node_op_text(s->node, op, sizeof op),
                     choice ? " on provider " : "", choice ? prov : "");
}

static const struct type *type_of(const struct exec *ex, const struct value *v)
{
    return v && v->id < ex->types.nvalues ? ex->types.type[v->id] : NULL;
}

int bind_ctx_fill(struct cx *cx, struct exec *ex, struct node *n, struct bind_ctx *bc)
{
    *bc = (struct bind_ctx){
        .cx = cx,
        .arena = &ex->arena,
        .kern = &ex->kern,
        .nthreads = ex->nthreads,
        .node = n,
        .nin = n->nin,
        .nout = n->nout,
        .get_const = get_const,
        .alloc = alloc_packed,
        .driver = ex,
    };
    bc->in = arena_array(&cx->scratch, (size_t)n->nin + 1, sizeof *bc->in);
    bc->out = arena_array(&cx->scratch, (size_t)n->nout + 1, sizeof *bc->out);
    if (!bc->in || !bc->out)
        return err_nomem(cx);
    for (int i = 0; i < n->nin; i++) {
        bc->in[i] = type_of(ex, n->in[i]);
        if (i < 64 && n->in[i] && value_is_const(n->in[i]))
            bc->const_mask |= 1ull << i;
    }
    for (int o = 0; o < n->nout; o++)
        bc->out[o] = type_of(ex, n->out[o]);
    return OK;
}
