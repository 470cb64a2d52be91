/* Support vector machines of ai.onnx.ml. Without support vectors the coefficients are a linear model. */
#include <math.h>
#include <string.h>

#include "ops/ml_util.h"

enum svm_kernel { SVM_LINEAR, SVM_POLY, SVM_RBF, SVM_SIGMOID };

struct svm_params {
    int kernel;
    double gamma, coef0, degree;
    const float *coef, *vectors, *rho, *prob_a, *prob_b;
    size_t ncoef, nvectors, nrho, nprob, nprob_b; /* nvectors: values, not vectors */
    const int64_t *per_class;
    size_t nclasses; /* of per_class; 0: a linear model */
    size_t count;    /* support vectors; 0: a linear model */
    bool one_class, all_positive;
    struct ml_labels labels;
    enum ml_post post;
};

static int svm_common(struct cx *cx, const struct node *n, struct svm_params *p)
{
    static const char *const kernels[] = {"LINEAR", "POLY", "RBF", "SIGMOID", NULL};
    const float *k = NULL;
    size_t nk = 0;
    int rc = attr_choice(cx, n, "kernel_type", kernels, &p->kernel);
    if (rc >= 0)
        rc = attr_floats(cx, n, "kernel_params", &k, &nk);
    if (rc >= 0)
        rc = attr_floats(cx, n, "coefficients", &p->coef, &p->ncoef);
    if (rc >= 0)
        rc = attr_floats(cx, n, "support_vectors", &p->vectors, &p->nvectors);
    if (rc >= 0)
        rc = attr_floats(cx, n, "rho", &p->rho, &p->nrho);
    if (rc < 0)
        return rc;
    if (nk && nk != 3)
        return err_set(cx, E_ATTR, "attribute 'kernel_params' has %zu elements, expected 3", nk);
    p->gamma = nk ? (double)k[0] : 0;
    p->coef0 = nk ? (double)k[1] : 0;
    p->degree = nk ? (double)k[2] : 0;
    return ml_post(cx, n, &p->post);
}

static int svm_regressor_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                               void *params)
{
    struct svm_params *p = params;
    int64_t count = 0, one_class = 0;
    (void)arena, (void)version;
    int rc = svm_common(cx, n, p);
    if (!rc)
        rc = attr_int(cx, n, "n_supports", &count);
    if (rc >= 0)
        rc = attr_int(cx, n, "one_class", &one_class);
    if (rc < 0)
        return rc;
    p->one_class = one_class != 0;
    p->count = count > 0 ? (size_t)count : 0;
    if (p->nrho < 1 || (p->count && (p->ncoef != p->count || p->nvectors % p->count)))
        return err_set(cx, E_ATTR, "%zu coefficients, %zu values and %zu offsets for %zu support vectors",
                       p->ncoef, p->nvectors, p->nrho, p->count);
    return 0;
}

static int svm_classifier_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                                void *params)
{
    struct svm_params *p = params;
    (void)arena, (void)version;
    int rc = svm_common(cx, n, p);
    if (!rc)
        rc = attr_ints(cx, n, "vectors_per_class", &p->per_class, &p->nclasses);
    if (rc >= 0)
        rc = attr_floats(cx, n, "prob_a", &p->prob_a, &p->nprob);
    if (rc >= 0)
        rc = attr_floats(cx, n, "prob_b", &p->prob_b, &p->nprob_b);
    if (rc >= 0)
        rc = ml_labels(cx, n, "classlabels_strings", "classlabels_ints", &p->labels);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < p->nclasses; i++) {
        if (p->per_class[i] < 0 || p->per_class[i] > 1 << 28)
            return err_set(cx, E_ATTR, "attribute 'vectors_per_class' has %lld", (long long)p->per_class[i]);
        p->count += (size_t)p->per_class[i];
    }
    p->all_positive = true;
    for (size_t i = 0; i < p->ncoef; i++)
        p->all_positive &= p->coef[i] >= 0;
    size_t c = p->count ? p->nclasses : p->labels.n, pairs = c * (c ? c - 1 : 0) / 2;
    bool vectors_fit = !p->count || (p->nvectors % p->count == 0 && p->ncoef == p->count * (c - 1) &&
                                     p->nrho >= pairs && c > 1);
    if (!c || c > 10000 || p->labels.n != c || !vectors_fit || p->nrho < 1 || p->nprob != p->nprob_b ||
        (p->nprob && p->nprob < pairs) || (!p->count && p->ncoef % c))
        return err_set(cx, E_ATTR,
                       "%zu labels, %zu classes, %zu vectors, %zu coefficients and %zu offsets do not fit",
                       p->labels.n, c, p->count, p->ncoef, p->nrho);
    return 0;
}

/* Columns of the scores: one a class; without probabilities more than two classes give the decision values of
 * all pairs, as runtimes have it. */
static size_t svm_width(const struct svm_params *p)
{
    size_t n = p->labels.n;
    return !n ? 1 : p->count && !p->nprob && n > 2 ? n * (n - 1) / 2 : n;
}

static int svm_infer(struct infer_ctx *ic, const void *params)
{
    const struct svm_params *p = params;
    int rank = ic_rank(ic, 0), rc = ic_need_rank(ic, 0, 1, 2);
    struct dim dims[2] = {rank == 2 ? ic_dim(ic, 0, 0) : rank == 1 ? dim_const(1) : dim_unknown()};
    dims[1] = dim_const((int64_t)svm_width(p));
    if (rc || !p->labels.n)
        return rc ? rc : ic_out(ic, 0, DT_FLOAT, 2, dims);
    rc = ic_has_out(ic, 0) ? ic_out(ic, 0, p->labels.dt, 1, dims) : 0;
    return rc || !ic_has_out(ic, 1) ? rc : ic_out(ic, 1, DT_FLOAT, 2, dims);
}

/* The kernel of x and y; both have n values. */
static double kernel(const struct svm_params *p, const double *x, const float *y, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - (double)y[i];
        s += p->kernel == SVM_RBF ? d * d : x[i] * (double)y[i];
    }
    if (p->kernel == SVM_RBF)
        return exp(-p->gamma * s);
    if (p->kernel == SVM_POLY)
        return pow(p->gamma * s + p->coef0, p->degree);
    return p->kernel == SVM_SIGMOID ? tanh(p->gamma * s + p->coef0) : s;
}

static int svm_rows(struct exec_ctx *ec, const struct svm_params *p, size_t want, const double **x,
                    int64_t *rows, size_t *cols)
{
    const struct tensor *in = ec->in[0];
    *rows = in->rank == 2 ? in->dims[0] : 1;
    *cols = in->rank ? (size_t)in->dims[in->rank - 1] : 0;
    if (*cols != want)
        return err_set(ec->cx, E_SHAPE, "the input has %zu features, the model %zu", *cols, want);
    *x = ec_as(ec, 0, DT_DOUBLE);
    (void)p;
    return *x || !*rows || !*cols ? 0 : ec->cx->err.code;
}

static int svm_regressor_ref(struct exec_ctx *ec, const void *params)
{
    const struct svm_params *p = params;
    const double *x;
    int64_t rows;
    size_t cols;
    int rc = svm_rows(ec, p, p->count ? p->nvectors / p->count : p->ncoef, &x, &rows, &cols);
    for (int64_t r = 0; !rc && r < rows; r++) {
        const double *row = x + (size_t)r * cols;
        double s = (double)p->rho[0];
        for (size_t k = 0; k < p->count; k++)
            s += (double)p->coef[k] * kernel(p, row, p->vectors + k * cols, cols);
        if (!p->count)
            s += kernel(p, row, p->coef, cols);
        if (p->one_class)
            s = s > 0 ? 1 : -1;
        ml_transform(p->post, &s, 1);
        ml_put_row(ec->out[0], r, &s, 1);
    }
    return rc;
}

const struct op op_ml_SVMRegressor = {.domain = "ai.onnx.ml",
                                      .name = "SVMRegressor",
                                      .tol = TOL_ROUND,
                                      .params_size = sizeof(struct svm_params),
                                      .parse = svm_regressor_parse,
                                      .infer = svm_infer,
                                      .ref = svm_regressor_ref};

/* ---- classifier ---- */

/* Decision values of all pairs (i < j) and the votes of the classes. */
static void svm_pairs(const struct svm_params *p, const double *k, double *decision, double *votes)
{
    size_t at = 0, start_i = 0;
    memset(votes, 0, p->nclasses * sizeof(*votes));
    for (size_t i = 0; i < p->nclasses; start_i += (size_t)p->per_class[i++]) {
        size_t start_j = start_i + (size_t)p->per_class[i];
        for (size_t j = i + 1; j < p->nclasses; start_j += (size_t)p->per_class[j++]) {
            double s = (double)p->rho[at];
            for (size_t v = 0; v < (size_t)p->per_class[i]; v++)
                s += (double)p->coef[(j - 1) * p->count + start_i + v] * k[start_i + v];
            for (size_t v = 0; v < (size_t)p->per_class[j]; v++)
                s += (double)p->coef[i * p->count + start_j + v] * k[start_j + v];
            decision[at++] = s;
            votes[s > 0 ? i : j]++;
        }
    }
}

/* Class probabilities from pairwise ones by the iteration of Wu, Lin and Weng (2004), method 2. r is n x n.
 */
static void couple(size_t n, const double *r, double *q, double *prob)
{
    double *qp = q + n * n;
    for (size_t t = 0; t < n; t++) {
        prob[t] = 1.0 / (double)n;
        for (size_t j = 0; j < n; j++)
            q[t * n + j] = t == j ? 0 : -r[j * n + t] * r[t * n + j];
        for (size_t j = 0; j < n; j++)
            if (j != t)
                q[t * n + t] += r[j * n + t] * r[j * n + t];
    }
    for (int iter = 0; iter < 100; iter++) {
        double pqp = 0, worst = 0;
        for (size_t t = 0; t < n; t++) {
            qp[t] = 0;
            for (size_t j = 0; j < n; j++)
                qp[t] += q[t * n + j] * prob[j];
            pqp += prob[t] * qp[t];
        }
        for (size_t t = 0; t < n; t++)
            worst = fabs(qp[t] - pqp) > worst ? fabs(qp[t] - pqp) : worst;
        if (worst < 0.005 / (double)n)
            break;
        for (size_t t = 0; t < n; t++) {
            double diff = (pqp - qp[t]) / q[t * n + t];
            prob[t] += diff;
            pqp = (pqp + diff * (diff * q[t * n + t] + 2 * qp[t])) / (1 + diff) / (1 + diff);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + diff * q[t * n + j]) / (1 + diff);
                prob[j] /= 1 + diff;
            }
        }
    }
}

static void svm_probabilities(const struct svm_params *p, const double *decision, double *room, double *prob)
{
    size_t n = p->nclasses, at = 0;
    double *r = room, *q = room + n * n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++, at++) {
            double v = ml_logistic(-(decision[at] * (double)p->prob_a[at] + (double)p->prob_b[at]));
            v = v < 1e-7 ? 1e-7 : v > 1 - 1e-7 ? 1 - 1e-7 : v;
            r[i * n + j] = v;
            r[j * n + i] = 1 - v;
        }
    couple(n, r, q, prob);
}

static size_t best_of(const double *s, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = s[i] > s[best] ? i : best;
    return best;
}

/* Scores of one row into s; returns the winner. room: kernel values, then what the steps need.
 *
 * Where ONNX Runtime does otherwise the specification decides: SOFTMAX and SOFTMAX_ZERO are taken of two
 * scores too, for which it writes 1 - s and s; and of a linear model without support vectors the top class
 * wins, where it has rules of its own when there are two. */
static size_t svm_row(const struct svm_params *p, const double *x, size_t cols, double *s, double *room)
{
    size_t n = p->labels.n, win;
    if (!p->count) {
        for (size_t c = 0; c < n; c++)
            s[c] = kernel(p, x, p->coef + c * cols, cols) + (double)p->rho[p->nrho == n ? c : 0];
        win = best_of(s, n);
        ml_transform(p->post, s, n);
        return win;
    }
    double *decision = room + p->count, *votes = decision + n * n, *rest = votes + n;
    for (size_t v = 0; v < p->count; v++)
        room[v] = kernel(p, x, p->vectors + v * cols, cols);
    svm_pairs(p, room, decision, votes);
    win = best_of(votes, n);
    if (p->nprob) {
        svm_probabilities(p, decision, rest, s);
    } else if (n == 2) {
        s[0] = -decision[0];
        s[1] = decision[0];
    } else {
        memcpy(s, decision, svm_width(p) * sizeof(*s));
    }
    ml_transform(p->post, s, svm_width(p));
    return win;
}

static int svm_classifier_ref(struct exec_ctx *ec, const void *params)
{
    const struct svm_params *p = params;
    const double *x;
    int64_t rows;
    size_t cols, n = p->labels.n;
    int rc = svm_rows(ec, p, p->count ? p->nvectors / p->count : p->ncoef / n, &x, &rows, &cols);
    double *s = rc ? NULL : ec_scratch(ec, (p->count + 4 * n * n + 5 * n + 1) * sizeof(*s));
    if (!s)
        return rc ? rc : ec->cx->err.code;
    for (int64_t r = 0; r < rows; r++) {
        size_t win = svm_row(p, x + (size_t)r * cols, cols, s, s + n * n + n);
        if (ec_wants(ec, 0))
            ml_put_label(&p->labels, ec->out[0], r, win);
        if (ec_wants(ec, 1))
            ml_put_row(ec->out[1], r, s, svm_width(p));
    }
    return 0;
}

const struct op op_ml_SVMClassifier = {.domain = "ai.onnx.ml",
                                       .name = "SVMClassifier",
                                       .tol = TOL_ROUND,
                                       .params_size = sizeof(struct svm_params),
                                       .parse = svm_classifier_parse,
                                       .infer = svm_infer,
                                       .ref = svm_classifier_ref};
