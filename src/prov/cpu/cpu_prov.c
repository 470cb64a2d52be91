/* The processor as a provider: what an operator binds, else its reference. */
#include "prov/cpu/cpu_prov.h"

#include <stdio.h>

static bool cpu_supports(void *state, const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    (void)state;
    const struct op *op = bc->node->op;
    if (!op || !op->ref) {
        snprintf(why, size, "%s", bc->node->ver ? "no kernel for this operator" : "unknown operator");
        return false;
    }
    return !op->supports || op->supports(bc, params, why, size);
}

/* The step of an operator whose bind declined: ref, with the params as state. */
struct ref_state {
    const struct op *op;
    const void *params;
};

static int run_ref(struct exec_ctx *ec, const void *state)
{
    const struct ref_state *r = state;
    return r->op->ref(ec, r->params);
}

static int cpu_build(void *state, struct bind_ctx *bc, const void *params, struct step *step)
{
    (void)state;
    const struct op *op = bc->node->op;
    uint64_t inplace = op->flags & OP_INPLACE ? UINT64_MAX : 0;
    if (op->bind) {
        step->may_inplace = inplace;
        int rc = op->bind(bc, params, step);
        if (rc || step->run)
            return rc;
    }
    struct ref_state *r = arena_zalloc(bc->arena, sizeof *r);
    if (!r)
        return err_nomem(bc->cx);
    r->op = op;
    r->params = params;
    *step = (struct step){.run = run_ref, .state = r, .kernel = "ref", .may_inplace = inplace};
    return OK;
}

const struct provider cpu_provider = {
    .name = "cpu",
    .what = "this machine's processor, own kernels (AVX-512, AVX2, C)",
    .supports = cpu_supports,
    .build = cpu_build,
};
