/* Multidirectional broadcasting. */
#include <inttypes.h>

#include "shape/infer_ctx.h"

/* Two expressions that differ at most in clamps meet: a model's scores of s columns and s of 1024 columns cut
 * from its mask. As long as the table reaches they are equal, beyond it (but for 1 and 0) they do not
 * broadcast. */
static bool equal_but_clamps(struct infer_ctx *ic, struct dim a, struct dim b, struct dim *out)
{
    struct dim ua = dim_unclamp(ic->syms, a), ub = dim_unclamp(ic->syms, b);
    *out = ua;
    return dim_same(ua, ub) && (dim_same(a, ua) || dim_same(b, ub));
}

/* Where both are expressions that may differ, the result is one of them, and which one is not known: to guess
 * that they are equal would be wrong for a dimension of 1. */
int ic_broadcast_dim(struct infer_ctx *ic, struct dim a, struct dim b, struct dim *out)
{
    a = dim_resolve(ic->syms, a);
    b = dim_resolve(ic->syms, b);
    if (dim_is(a, 1) || dim_same(a, b)) {
        *out = b;
    } else if (dim_is(b, 1)) {
        *out = a;
    } else if (a.kind == DIM_CONST && b.kind == DIM_CONST) {
        return ic_err(ic, E_SHAPE, "dims %" PRId64 " and %" PRId64 " do not broadcast", a.v, b.v);
    } else if (a.kind == DIM_CONST || b.kind == DIM_CONST) {
        *out = a.kind == DIM_CONST ? a : b;
    } else if (a.kind == DIM_UNKNOWN || b.kind == DIM_UNKNOWN || !equal_but_clamps(ic, a, b, out)) {
        *out = dim_broadcast(ic->syms, a, b);
    }
    return 0;
}

int ic_broadcast(struct infer_ctx *ic, const int *inputs, int n, int *rank, struct dim *dims)
{
    *rank = 0;
    for (int k = 0; k < n; k++) {
        int r = ic_rank(ic, inputs[k]);
        if (r < 0) {
            *rank = -1;
            return 0;
        }
        *rank = r > *rank ? r : *rank;
    }
    if (*rank > TENSOR_MAX_RANK)
        return ic_err(ic, E_UNSUPPORTED, "rank %d, more than %d", *rank, TENSOR_MAX_RANK);
    for (int i = 0; i < *rank; i++)
        dims[i] = dim_const(1);
    for (int k = 0; k < n; k++) {
        int r = ic_rank(ic, inputs[k]);
        for (int i = 0; i < r; i++) {
            struct dim *d = &dims[*rank - r + i];
            int rc = ic_broadcast_dim(ic, *d, ic_dim(ic, inputs[k], i), d);
            if (rc)
                return rc;
        }
    }
    return 0;
}
