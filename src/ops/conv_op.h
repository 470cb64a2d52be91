/* What the convolutions of all element types share: attributes, shapes, geometry. */
#ifndef OT_OPS_CONV_OP_H
#define OT_OPS_CONV_OP_H

#include "ops/fused_act.h"
#include "ops/window.h"

struct conv_attrs {
    struct window w;
    int64_t group;
    bool transposed;
    struct fused_act act;
    /* transposed only; counts of 0: absent */
    int nout_pad, nout_shape;
    int64_t out_pad[WINDOW_RANK], out_shape[WINDOW_RANK + 2];
};

int conv_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params);
int conv_t_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params);
/* Output 0, of type dt: W is input w, the bias input b. */
int conv_infer_shape(struct infer_ctx *ic, const struct conv_attrs *a, int w, int b, enum dtype dt);
/* Extents of output 0 along its spatial axes. */
int conv_infer_spatial(struct infer_ctx *ic, const struct conv_attrs *a, int w, int spatial, struct dim *d);
/* Multiply-accumulates: every output (transposed: input) element meets the weights of one filter. */
int conv_macs(struct infer_ctx *ic, const struct conv_attrs *a, int w, struct op_cost *out);
bool conv_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size);

/* Weights of wdims over x giving y. Only what kernels would overrun on is checked again here. */
int conv_geometry(struct cx *cx, const struct conv_attrs *a, const struct tensor *x, const int64_t *wdims,
                  int wrank, const struct tensor *y, struct conv_params *p);
/* Sets the error that the shapes do not fit. */
int conv_bad_geometry(struct cx *cx);

#endif
