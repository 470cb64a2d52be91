/* Operations and bytes of a step, from the tensors it is called with. */
#include "session/work.h"

#include <stdio.h>
#include <string.h>

#include "ops/op.h"

static const struct type *type_of(struct cx *cx, const struct tensor *t)
{
    struct type *ty = arena_zalloc(&cx->scratch, sizeof *ty);
    struct dim *d = arena_array(&cx->scratch, (size_t)t->rank + 1, sizeof *d);
    if (!ty || !d)
        return NULL;
    for (int i = 0; i < t->rank; i++)
        d[i] = dim_const(t->dims[i]);
    *ty = (struct type){.kind = TY_TENSOR, .dt = t->dt, .rank = t->rank, .dims = d};
    return ty;
}

static bool is_tensor(const struct tensor *t)
{
    return t && t->kind == RT_TENSOR;
}

/* ---- operations ---- */

static int cost_context(struct cx *cx, const struct prog_step *s, const struct tensor *const *in,
                        struct tensor *const *out, struct infer_ctx *ic)
{
    struct arena *a = &cx->scratch;
    size_t nin = (size_t)s->nin + 1, nout = (size_t)s->nout + 1;
    *ic = (struct infer_ctx){.cx = cx, .arena = a, .node = s->node, .nin = s->nin, .nout = s->nout};
    ic->in = arena_array(a, nin, sizeof *ic->in);
    ic->val = arena_array(a, nin, sizeof *ic->val);
    ic->konst = arena_array(a, nin, sizeof *ic->konst);
    ic->out = arena_array(a, nout, sizeof *ic->out);
    ic->out_val = arena_array(a, nout, sizeof *ic->out_val);
    if (!ic->in || !ic->val || !ic->konst || !ic->out || !ic->out_val)
        return err_nomem(cx);
    for (int i = 0; i < s->nin; i++)
        if (is_tensor(in[i]) && !(ic->in[i] = type_of(cx, in[i])))
            return err_nomem(cx);
    for (int i = 0; i < s->nout; i++)
        if (is_tensor(out[i]) && !(ic->out[i] = (struct type *)(uintptr_t)type_of(cx, out[i])))
            return err_nomem(cx);
    return OK;
}

/* Operators without a hook: an operation an output element, nothing for those that compute nothing. */
static double plain_ops(const struct prog_step *s, struct tensor *const *out)
{
    double n = 0;
    if (s->node->op->flags & (OP_VIEW | OP_SHAPE_ONLY | OP_SUBGRAPH) || !s->nin)
        return 0;
    for (int i = 0; i < s->nout; i++)
        if (is_tensor(out[i]))
            n += (double)tensor_count(out[i]);
    return n;
}

static int flops_of(struct cx *cx, struct symtab *syms, const struct prog_step *s,
                    const struct tensor *const *in, struct tensor *const *out, double *flops)
{
    struct infer_ctx ic;
    struct op_cost c = {dim_unknown(), dim_unknown()};
    *flops = plain_ops(s, out);
    if (!s->node->op->cost)
        return OK;
    int rc = cost_context(cx, s, in, out, &ic);
    if (rc)
        return rc;
    ic.syms = syms;
    rc = s->node->op->cost(&ic, s->params, &c);
    if (rc == E_NOMEM)
        return rc;
    if (rc)
        err_clear(cx);
    bool known = !rc && c.macs.kind == DIM_CONST && c.ops.kind == DIM_CONST;
    *flops = known ? 2 * (double)c.macs.v + (double)c.ops.v : -1;
    return OK;
}

/* ---- bytes ---- */

static double bytes_of(const struct tensor *t)
{
    return is_tensor(t) ? (double)tensor_bytes(t) : 0;
}

/* Of the first input of these only what is asked for is read: a row of an embedding, not the table. */
static bool picks(const struct node *n)
{
    return strncmp(n->op_type, "Gather", 6) == 0 || strcmp(n->op_type, "Slice") == 0;
}

static double moved(const struct prog_step *s, const struct tensor *const *in, struct tensor *const *out)
{
    double given = 0, read = 0;
    if (s->node->op->flags & (OP_VIEW | OP_SHAPE_ONLY | OP_SUBGRAPH))
        return 0;
    for (int i = 0; i < s->nout; i++)
        given += bytes_of(out[i]);
    for (int i = 0; i < s->nin; i++) {
        double b = bytes_of(in[i]);
        read += i == 0 && picks(s->node) && b > given ? given : b;
    }
    return given + read;
}

static void write_shape(const struct prog_step *s, const struct tensor *const *in, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    for (int i = 0; i < s->nin; i++) {
        if (!is_tensor(in[i]) || !in[i]->rank)
            continue;
        for (int k = 0; k < in[i]->rank && n < size; k++)
            n += (size_t)snprintf(buf + n, size - n, "%s%lld",
                                  k   ? "x"
                                  : n ? " "
                                      : "",
                                  (long long)in[i]->dims[k]);
    }
}

int step_work_note(struct cx *cx, struct symtab *syms, const struct prog_step *s,
                   const struct tensor *const *in, struct tensor *const *out, struct step_work *w)
{
    double flops;
    struct arena_mark m = arena_mark(&cx->scratch);
    int rc = flops_of(cx, syms, s, in, out, &flops);
    arena_release(&cx->scratch, m);
    if (rc)
        return rc;
    w->flops = flops < 0 || w->flops < 0 ? -1 : w->flops + flops;
    w->bytes += moved(s, in, out);
    w->calls++;
    write_shape(s, in, w->shape, sizeof w->shape);
    return OK;
}
