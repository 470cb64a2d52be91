/* Thin fronts of the functions that exec/ supplies, so that operators see one interface. */
#include "ops/step.h"

#include "ops/op.h"

void *ec_scratch(struct exec_ctx *ec, size_t bytes)
{
    return ec->vt->scratch(ec, bytes);
}

int ec_resize(struct exec_ctx *ec, int o, enum dtype dt, int rank, const int64_t *dims)
{
    if (o >= ec->nout || !ec->out[o])
        return 0;
    return ec->vt->resize(ec, o, dt, rank, dims);
}

int ec_set_out(struct exec_ctx *ec, int o, struct tensor *t)
{
    if (o >= ec->nout || !ec->out[o]) {
        tensor_drop(t);
        return 0;
    }
    return ec->vt->set_out(ec, o, t);
}

int ec_run_graph(struct exec_ctx *ec, struct graph *g, const struct tensor *ins, int nins,
                 struct tensor *outs, int nouts)
{
    return ec->vt->run_graph(ec, g, ins, nins, outs, nouts);
}

struct arena *ec_strings(struct exec_ctx *ec)
{
    return ec->vt->strings(ec);
}

int ec_unsupported(struct exec_ctx *ec, int i)
{
    char op[160], type[160] = "nothing";
    node_op_text(ec->node, op, sizeof(op));
    if (i < ec->nin && ec->in[i])
        tensor_type_text(ec->in[i], type, sizeof(type));
    return err_set(ec->cx, E_UNSUPPORTED, "%s (node '%s') is not supported with input %d of type %s", op,
                   node_label(ec->node), i, type);
}

const struct tensor *bc_const(struct bind_ctx *bc, int i)
{
    return bc_is_const(bc, i) ? bc->get_const(bc, i) : NULL;
}

bool bc_is_const(const struct bind_ctx *bc, int i)
{
    return i >= 0 && i < bc->nin && i < 64 && (bc->const_mask >> i & 1);
}

static const struct type *bc_tensor(const struct bind_ctx *bc, int i)
{
    if (i < 0 || i >= bc->nin || !bc->in[i] || bc->in[i]->kind != TY_TENSOR)
        return NULL;
    return bc->in[i];
}

enum dtype bc_dtype(const struct bind_ctx *bc, int i)
{
    const struct type *t = bc_tensor(bc, i);
    return t ? t->dt : DT_UNDEFINED;
}

int bc_rank(const struct bind_ctx *bc, int i)
{
    const struct type *t = bc_tensor(bc, i);
    return t ? t->rank : -1;
}

void *bc_alloc(struct bind_ctx *bc, size_t bytes)
{
    return bc->alloc(bc, bytes);
}
