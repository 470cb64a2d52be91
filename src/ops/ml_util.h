/* What the operators of ai.onnx.ml share: class labels, score transforms. */
#ifndef OT_OPS_ML_UTIL_H
#define OT_OPS_ML_UTIL_H

#include "ops/op_util.h"

enum ml_post { ML_NONE, ML_SOFTMAX, ML_LOGISTIC, ML_SOFTMAX_ZERO, ML_PROBIT };

/* The post_transform attribute. */
int ml_post(struct cx *cx, const struct node *n, enum ml_post *out);
double ml_logistic(double x);
/* The inverse of the standard normal distribution function, as the transform PROBIT wants it. */
double ml_probit(double x);
/* In place over one row of n scores. */
void ml_transform(enum ml_post post, double *score, size_t n);

/* Class labels: strings or integers, borrowed from the node's attributes. */
struct ml_labels {
    enum dtype dt; /* DT_STRING or DT_INT64 */
    size_t n;
    const struct ostr *s;
    const int64_t *i;
};
/* Reads whichever of the two attributes is there; both missing gives no labels of type int64. */
int ml_labels(struct cx *cx, const struct node *n, const char *strings, const char *ints,
              struct ml_labels *out);
/* labels[k] (or k itself without labels) into element row of t. */
void ml_put_label(const struct ml_labels *l, struct tensor *t, int64_t row, size_t k);
/* n scores into row of a tensor with n columns, in its type. */
void ml_put_row(struct tensor *t, int64_t row, const double *score, size_t n);
/* The elements of a tensor attribute as doubles, memory from arena. */
int ml_tensor_reals(struct cx *cx, const struct node *n, struct arena *arena, const struct tensor_data *d,
                    double **out, size_t *count);

#endif
