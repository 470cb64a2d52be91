/* The activation of a fused node: attribute activation, its values in activation_params (FusedConv of
 * com.microsoft) or in activation_alpha and its kin (FusedGemm). */
#ifndef OT_OPS_FUSED_ACT_H
#define OT_OPS_FUSED_ACT_H

#include "ops/op.h"

struct fused_act {
    enum gemm_act act; /* what a kernel's epilogue does; ACT_NONE when it cannot, or there is nothing */
    float lo, hi;      /* as in struct gemm_epi */
    bool after;        /* un is applied to the finished values */
    enum un_op un;
    struct un_params p;
};

/* Reads the attributes; absent: no activation. E_ATTR for names that are not known. */
int fused_act_parse(struct cx *cx, const struct node *n, struct fused_act *f);
/* Applies to n values of type float or double at y what no epilogue did: all of it (whole), or the part that
 * no epilogue can do. */
void fused_act_run(struct exec_ctx *ec, const struct fused_act *f, bool whole, enum dtype dt, void *y,
                   int64_t n);
/* The same on a piece, n floats at y, by the calling thread alone. */
void fused_act_piece(const struct kern *k, const struct fused_act *f, bool whole, float *y, int64_t n);

#endif
