/* Small questions that patterns are made of. */
#ifndef OT_REWRITE_MATCH_H
#define OT_REWRITE_MATCH_H

#include "rewrite/pass.h"

/* The node of that type (default domain) that makes v, when v has no other reader and is not pinned; else
 * NULL. */
struct node *match_producer(const struct pass_ctx *pc, const struct value *v, const char *op_type);
/* The same without asking who else reads v. */
struct node *match_shared(const struct value *v, const char *op_type);
/* v is a constant with one element: its value. */
bool match_scalar(const struct pass_ctx *pc, const struct value *v, double *out);
/* v is a constant with one element close to want (relative 1e-4: exporters round their constants). */
bool match_number(const struct pass_ctx *pc, const struct value *v, double want);
/* A two-input node: the input that is not v; NULL when v is neither or both. */
struct value *match_other(const struct node *n, const struct value *v);
/* The scalar constant among the inputs of a commutative two-input node is want; *rest is the other input. */
bool match_with_number(const struct pass_ctx *pc, const struct node *n, double want, struct value **rest);
/* Types known, float, and every dim of both known to be the same. */
bool match_same_float_shape(const struct pass_ctx *pc, const struct value *a, const struct value *b);
/* A constant float vector of n elements whose only dim longer than 1 is the last. */
bool match_row(const struct value *v, int64_t n);
/* A BatchNormalization with constant operands that is not in training. */
bool match_inference_bn(struct pass_ctx *pc, const struct node *n);
/* What such a node does to channel i of m: a[i] x + b[i]. False: it is none, or not of m channels. */
bool match_bn_affine(struct pass_ctx *pc, const struct node *bn, int64_t m, double *a, double *b);
/* Activations that a fused node takes, with its parameters. */
struct match_act {
    const char *name;
    float params[2];
    size_t n;
};
bool match_activation(struct pass_ctx *pc, const struct node *n, struct match_act *a);
/* Puts activation and activation_params on a fused node. */
int match_set_activation(struct pass_ctx *pc, struct node *fused, const struct match_act *a);

#endif
