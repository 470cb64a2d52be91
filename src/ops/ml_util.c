/* Labels and score transforms of ai.onnx.ml. */
#include "ops/ml_util.h"

#include <math.h>

#include "io/tensor_pb.h"

int ml_post(struct cx *cx, const struct node *n, enum ml_post *out)
{
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT", NULL};
    int k = 0, rc = attr_choice(cx, n, "post_transform", names, &k);
    *out = (enum ml_post)k;
    return rc < 0 ? rc : 0;
}

double ml_logistic(double x)
{
    double e = exp(-fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/* sqrt(2) erfinv(2x - 1), with Winitzki's closed approximation of erfinv (a = 0.147), which is what runtimes
 * use for this transform. */
double ml_probit(double x)
{
    const double a = 0.147, pi = 3.14159265358979323846;
    double v = 2 * x - 1, log_term = log((1 - v) * (1 + v));
    double b = 2 / (pi * a) + log_term / 2;
    double r = sqrt(sqrt(b * b - log_term / a) - b);
    return 1.41421356237309504880 * (v < 0 ? -r : r);
}

static void softmax(double *s, size_t n, bool keep_zero)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = s[i] > max ? s[i] : max;
    for (size_t i = 0; i < n; i++) {
        bool zero = keep_zero && fabs(s[i]) <= 1e-7;
        s[i] = zero ? 0 : exp(s[i] - max);
        sum += s[i];
    }
    for (size_t i = 0; i < n && sum != 0; i++)
        s[i] /= sum;
}

/* A lone score keeps its value but for PROBIT: that is what runtimes do, and what converters of regressors
 * rely on. */
void ml_transform(enum ml_post post, double *score, size_t n)
{
    if (n == 1 && post != ML_PROBIT)
        return;
    if (post == ML_SOFTMAX || post == ML_SOFTMAX_ZERO)
        softmax(score, n, post == ML_SOFTMAX_ZERO);
    for (size_t i = 0; i < n && post == ML_LOGISTIC; i++)
        score[i] = ml_logistic(score[i]);
    for (size_t i = 0; i < n && post == ML_PROBIT; i++)
        score[i] = ml_probit(score[i]);
}

int ml_labels(struct cx *cx, const struct node *n, const char *strings, const char *ints,
              struct ml_labels *out)
{
    size_t nstrings = 0, nints = 0;
    int rc = attr_strings(cx, n, strings, &out->s, &nstrings);
    if (rc >= 0)
        rc = attr_ints(cx, n, ints, &out->i, &nints);
    if (rc < 0)
        return rc;
    if (nstrings && nints)
        return err_set(cx, E_ATTR, "attributes '%s' and '%s' are both given", strings, ints);
    out->dt = nstrings ? DT_STRING : DT_INT64;
    out->n = nstrings ? nstrings : nints;
    return 0;
}

void ml_put_label(const struct ml_labels *l, struct tensor *t, int64_t row, size_t k)
{
    if (l->dt == DT_STRING)
        ((struct ostr *)t->data)[row] = k < l->n ? l->s[k] : (struct ostr){"", 0};
    else
        ((int64_t *)t->data)[row] = k < l->n ? l->i[k] : (int64_t)k;
}

void ml_put_row(struct tensor *t, int64_t row, const double *score, size_t n)
{
    const struct dtype_info *d = dtype_info(t->dt);
    char *p = (char *)t->data + (size_t)row * n * d->size;
    if (t->dt == DT_FLOAT)
        for (size_t i = 0; i < n; i++)
            ((float *)(void *)p)[i] = (float)score[i];
    else
        for (size_t i = 0; i < n; i++)
            d->store_f64(p + i * d->size, score[i]);
}

int ml_tensor_reals(struct cx *cx, const struct node *n, struct arena *arena, const struct tensor_data *d,
                    double **out, size_t *count)
{
    struct tensor t = {0};
    if (!dtype_info(d->dt)->load_f64)
        return err_set(cx, E_ATTR, "a tensor attribute is of type %s, expected numbers", dtype_name(d->dt));
    int rc = tensor_load(cx, n->graph->model, d, &t);
    if (rc)
        return rc;
    *count = (size_t)tensor_count(&t);
    *out = arena_array(arena, *count + 1, sizeof(**out));
    for (size_t i = 0; *out && i < *count; i++)
        (*out)[i] = tensor_f64(&t, (int64_t)i);
    tensor_drop(&t);
    return *out ? 0 : err_nomem(cx);
}
