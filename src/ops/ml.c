/* Models and features of ai.onnx.ml that are arithmetic over rows of numbers: Scaler, Normalizer, Binarizer,
 * Imputer, FeatureVectorizer, ArrayFeatureExtractor, linear and support vector models. */
#include <math.h>
#include <string.h>

#include "ops/ml_util.h"

/* Rows and columns of a feature matrix; one axis is one row. */
static int matrix(struct exec_ctx *ec, int i, int64_t *rows, int64_t *cols)
{
    const struct tensor *t = ec->in[i];
    if (t->rank < 1 || t->rank > 2)
        return err_set(ec->cx, E_SHAPE, "input %d has %d axes, expected [rows, features]", i, t->rank);
    *rows = t->rank == 2 ? t->dims[0] : 1;
    *cols = t->dims[t->rank - 1];
    return 0;
}

static int matrix_infer(struct infer_ctx *ic, struct dim *rows)
{
    int rank = ic_rank(ic, 0);
    *rows = rank == 2 ? ic_dim(ic, 0, 0) : rank == 1 ? dim_const(1) : dim_unknown();
    return ic_need_rank(ic, 0, 1, 2);
}

/* ---- Scaler, Normalizer, Binarizer, Imputer: same shape out ---- */

struct feature_params {
    const float *a, *b;
    size_t na, nb;
    const int64_t *ints;
    size_t nints;
    float threshold;
    int64_t replaced;
    int norm;
};

static int same_float_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out_like(ic, 0, 0, DT_FLOAT);
}

static int same_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out_same(ic, 0, 0);
}

static int scaler_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct feature_params *p = params;
    (void)arena, (void)version;
    int rc = attr_floats(cx, n, "offset", &p->a, &p->na);
    if (rc >= 0)
        rc = attr_floats(cx, n, "scale", &p->b, &p->nb);
    return rc < 0 ? rc : 0;
}

static int scaler_ref(struct exec_ctx *ec, const void *params)
{
    const struct feature_params *p = params;
    int64_t n = tensor_count(ec->in[0]), cols = ec->in[0]->rank ? ec->in[0]->dims[ec->in[0]->rank - 1] : 1;
    const double *x = ec_as(ec, 0, DT_DOUBLE);
    float *y = ec->out[0]->data;
    if (!x && n)
        return ec->cx->err.code;
    if ((p->na > 1 && (int64_t)p->na != cols) || (p->nb > 1 && (int64_t)p->nb != cols))
        return err_set(ec->cx, E_SHAPE, "%zu offsets and %zu factors for %lld features", p->na, p->nb,
                       (long long)cols);
    for (int64_t i = 0; i < n; i++) {
        double off = p->na ? (double)p->a[p->na > 1 ? i % cols : 0] : 0;
        double scale = p->nb ? (double)p->b[p->nb > 1 ? i % cols : 0] : 1;
        y[i] = (float)((x[i] - off) * scale);
    }
    return 0;
}

const struct op op_ml_Scaler = {.domain = "ai.onnx.ml",
                                .name = "Scaler",
                                .tol = TOL_ROUND,
                                .params_size = sizeof(struct feature_params),
                                .parse = scaler_parse,
                                .infer = same_float_infer,
                                .ref = scaler_ref};

enum { NORM_MAX, NORM_L1, NORM_L2 };

static int normalizer_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    static const char *const norms[] = {"MAX", "L1", "L2", NULL};
    struct feature_params *p = params;
    (void)arena, (void)version;
    int rc = attr_choice(cx, n, "norm", norms, &p->norm);
    return rc < 0 ? rc : 0;
}

static double row_norm(int norm, const double *x, int64_t n)
{
    double s = norm == NORM_MAX && n ? x[0] : 0;
    for (int64_t i = 0; i < n; i++)
        if (norm == NORM_MAX)
            s = x[i] > s ? x[i] : s;
        else
            s += norm == NORM_L1 ? fabs(x[i]) : x[i] * x[i];
    return norm == NORM_L2 ? sqrt(s) : s;
}

/* A norm of zero leaves the row as it is. */
static int normalizer_ref(struct exec_ctx *ec, const void *params)
{
    const struct feature_params *p = params;
    int64_t rows, cols;
    int rc = matrix(ec, 0, &rows, &cols);
    const double *x = rc ? NULL : ec_as(ec, 0, DT_DOUBLE);
    float *y = ec->out[0]->data;
    if (!x && rows && cols)
        return rc ? rc : ec->cx->err.code;
    for (int64_t r = 0; r < rows; r++) {
        double s = row_norm(p->norm, x + r * cols, cols);
        for (int64_t c = 0; c < cols; c++)
            y[r * cols + c] = (float)(x[r * cols + c] / (s != 0 ? s : 1));
    }
    return 0;
}

const struct op op_ml_Normalizer = {.domain = "ai.onnx.ml",
                                    .name = "Normalizer",
                                    .tol = TOL_ROUND,
                                    .params_size = sizeof(struct feature_params),
                                    .parse = normalizer_parse,
                                    .infer = same_float_infer,
                                    .ref = normalizer_ref};

static int binarizer_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct feature_params *p = params;
    (void)arena, (void)version;
    int rc = attr_float(cx, n, "threshold", &p->threshold);
    return rc < 0 ? rc : 0;
}

static int binarizer_ref(struct exec_ctx *ec, const void *params)
{
    const struct feature_params *p = params;
    const struct tensor *in = ec->in[0];
    const struct dtype_info *d = dtype_info(in->dt);
    if (!d->load_f64)
        return ec_unsupported(ec, 0);
    for (int64_t i = 0, n = tensor_count(in); i < n; i++) {
        size_t off = (size_t)i * d->size;
        d->store_f64((char *)ec->out[0]->data + off,
                     d->load_f64((const char *)in->data + off) > (double)p->threshold);
    }
    return 0;
}

const struct op op_ml_Binarizer = {.domain = "ai.onnx.ml",
                                   .name = "Binarizer",
                                   .params_size = sizeof(struct feature_params),
                                   .parse = binarizer_parse,
                                   .infer = same_infer,
                                   .ref = binarizer_ref};

static int imputer_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct feature_params *p = params;
    (void)arena, (void)version;
    int rc = attr_floats(cx, n, "imputed_value_floats", &p->a, &p->na);
    if (rc >= 0)
        rc = attr_ints(cx, n, "imputed_value_int64s", &p->ints, &p->nints);
    if (rc >= 0)
        rc = attr_float(cx, n, "replaced_value_float", &p->threshold);
    if (rc >= 0)
        rc = attr_int(cx, n, "replaced_value_int64", &p->replaced);
    if (rc >= 0 && !p->na == !p->nints)
        return err_set(cx, E_ATTR, "imputed values are given as floats or as integers, not both");
    return rc < 0 ? rc : 0;
}

static int imputer_ref(struct exec_ctx *ec, const void *params)
{
    const struct feature_params *p = params;
    const struct tensor *in = ec->in[0];
    const struct dtype_info *d = dtype_info(in->dt);
    int64_t cols = in->rank ? in->dims[in->rank - 1] : 1;
    size_t given = p->na ? p->na : p->nints;
    if (!d->load_f64)
        return ec_unsupported(ec, 0);
    if (given > 1 && (int64_t)given != cols)
        return err_set(ec->cx, E_SHAPE, "%zu imputed values for %lld features", given, (long long)cols);
    for (int64_t i = 0, n = tensor_count(in); i < n; i++) {
        const char *x = (const char *)in->data + (size_t)i * d->size;
        char *y = (char *)ec->out[0]->data + (size_t)i * d->size;
        size_t k = given > 1 ? (size_t)(i % cols) : 0;
        double v = d->load_f64(x);
        bool hit = p->na ? v == (double)p->threshold || (isnan(v) && isnan(p->threshold))
                         : d->load_i64(x) == p->replaced;
        if (!hit)
            memcpy(y, x, d->size);
        else if (p->na)
            d->store_f64(y, (double)p->a[k]);
        else
            d->store_i64(y, p->ints[k]);
    }
    return 0;
}

const struct op op_ml_Imputer = {.domain = "ai.onnx.ml",
                                 .name = "Imputer",
                                 .params_size = sizeof(struct feature_params),
                                 .parse = imputer_parse,
                                 .infer = same_infer,
                                 .ref = imputer_ref};

/* ---- FeatureVectorizer ---- */

struct vectorizer_params {
    const int64_t *dims;
    size_t n;
    int64_t total;
};

static int vectorizer_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    struct vectorizer_params *p = params;
    (void)arena, (void)version;
    int rc = attr_ints(cx, n, "inputdimensions", &p->dims, &p->n);
    if (rc < 0)
        return rc;
    if (p->n != (size_t)n->nin)
        return err_set(cx, E_ATTR, "attribute 'inputdimensions' has %zu elements for %d inputs", p->n,
                       n->nin);
    for (size_t i = 0; i < p->n; i++) {
        if (p->dims[i] < 0 || p->dims[i] > INT32_MAX)
            return err_set(cx, E_ATTR, "attribute 'inputdimensions' has %lld", (long long)p->dims[i]);
        p->total += p->dims[i];
    }
    return 0;
}

static int vectorizer_infer(struct infer_ctx *ic, const void *params)
{
    const struct vectorizer_params *p = params;
    struct dim dims[2];
    int rc = matrix_infer(ic, &dims[0]);
    dims[1] = dim_const(p->total);
    return rc ? rc : ic_out(ic, 0, DT_FLOAT, 2, dims);
}

/* Inputs longer than their dimension are cut, shorter ones filled with zeros. */
static int vectorizer_ref(struct exec_ctx *ec, const void *params)
{
    const struct vectorizer_params *p = params;
    float *y = ec->out[0]->data;
    int64_t rows0, cols0, off = 0;
    int rc = matrix(ec, 0, &rows0, &cols0);
    memset(y, 0, tensor_bytes(ec->out[0]));
    for (int i = 0; !rc && i < ec->nin; i++) {
        int64_t rows, cols;
        rc = matrix(ec, i, &rows, &cols);
        if (!rc && rows != rows0)
            rc = err_set(ec->cx, E_SHAPE, "input %d has %lld rows, input 0 has %lld", i, (long long)rows,
                         (long long)rows0);
        const double *x = rc ? NULL : ec_as(ec, i, DT_DOUBLE);
        if (!rc && !x)
            rc = ec->cx->err.code;
        for (int64_t r = 0; !rc && r < rows; r++)
            for (int64_t c = 0; c < cols && c < p->dims[i]; c++)
                y[r * p->total + off + c] = (float)x[r * cols + c];
        off += p->dims[i];
    }
    return rc;
}

const struct op op_ml_FeatureVectorizer = {.domain = "ai.onnx.ml",
                                           .name = "FeatureVectorizer",
                                           .params_size = sizeof(struct vectorizer_params),
                                           .parse = vectorizer_parse,
                                           .infer = vectorizer_infer,
                                           .ref = vectorizer_ref};

/* ---- ArrayFeatureExtractor: columns by index; a vector counts as one row ---- */

static int extract_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK], count = dim_const(1);
    (void)params;
    int rank = in_dims(ic, 0, dims), irank = ic_rank(ic, 1);
    if (rank < -1)
        return rank;
    int rc = ic_need_rank(ic, 0, 1, TENSOR_MAX_RANK);
    if (rc)
        return rc;
    for (int a = 0; a < irank; a++)
        count = dim_mul(ic->syms, count, ic_dim(ic, 1, a));
    if (irank < 0)
        count = dim_unknown();
    if (rank == 1) {
        rank = 2;
        dims[0] = dim_const(1);
    }
    if (rank > 0)
        dims[rank - 1] = count;
    return ic_out(ic, 0, ic_dtype(ic, 0), rank > 0 ? rank : -1, dims);
}

static int extract_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    int64_t n = 0, cols = in->rank ? in->dims[in->rank - 1] : 0;
    const int64_t *idx = ec_ints(ec, 1, &n);
    (void)params;
    if (!idx)
        return ec->cx->err.code;
    for (int64_t i = 0; i < n; i++)
        if (idx[i] < 0 || idx[i] >= cols)
            return err_set(ec->cx, E_VALUE, "column %lld is out of range [0, %lld]", (long long)idx[i],
                           (long long)cols - 1);
    if (n && tensor_count(in))
        gather_slices(ec->kern, in->data, ec->out[0]->data, (size_t)(tensor_count(in) / cols), (size_t)cols,
                      dtype_size(in->dt), idx, (size_t)n);
    return 0;
}

const struct op op_ml_ArrayFeatureExtractor = {
    .domain = "ai.onnx.ml", .name = "ArrayFeatureExtractor", .infer = extract_infer, .ref = extract_ref};

/* ---- linear models ---- */

struct linear_params {
    const float *coef, *bias;
    size_t ncoef, nbias;
    int64_t targets; /* rows of coef */
    enum ml_post post;
    bool classifier;
    struct ml_labels labels;
};

static int linear_common(struct cx *cx, const struct node *n, struct linear_params *p)
{
    int rc = attr_floats(cx, n, "coefficients", &p->coef, &p->ncoef);
    if (rc >= 0)
        rc = attr_floats(cx, n, "intercepts", &p->bias, &p->nbias);
    return rc < 0 ? rc : ml_post(cx, n, &p->post);
}

static int regressor_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct linear_params *p = params;
    (void)arena, (void)version;
    p->targets = 1;
    int rc = linear_common(cx, n, p);
    if (!rc)
        rc = attr_int(cx, n, "targets", &p->targets);
    if (rc >= 0 && (p->targets < 1 || p->targets > INT32_MAX || p->ncoef % (size_t)p->targets ||
                    (p->nbias && p->nbias != (size_t)p->targets)))
        return err_set(cx, E_ATTR, "%zu coefficients and %zu intercepts for %lld targets", p->ncoef, p->nbias,
                       (long long)p->targets);
    return rc < 0 ? rc : 0;
}

static int linear_classifier_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                                   void *params)
{
    struct linear_params *p = params;
    (void)arena, (void)version;
    p->classifier = true;
    int rc = linear_common(cx, n, p);
    if (!rc)
        rc = ml_labels(cx, n, "classlabels_strings", "classlabels_ints", &p->labels);
    p->targets = (int64_t)(p->nbias ? p->nbias : p->labels.n ? p->labels.n : 1);
    if (!rc && p->ncoef % (size_t)p->targets)
        return err_set(cx, E_ATTR, "%zu coefficients for %lld classes", p->ncoef, (long long)p->targets);
    return rc;
}

/* One score of two classes gets a second column. */
static bool one_of_two(const struct linear_params *p)
{
    return p->classifier && p->targets == 1 && p->labels.n != 1;
}

static int linear_infer(struct infer_ctx *ic, const void *params)
{
    const struct linear_params *p = params;
    struct dim dims[2];
    int rc = matrix_infer(ic, &dims[0]);
    dims[1] = dim_const(one_of_two(p) ? 2 : p->targets);
    if (rc || !p->classifier)
        return rc ? rc : ic_out(ic, 0, DT_FLOAT, 2, dims);
    rc = ic_has_out(ic, 0) ? ic_out(ic, 0, p->labels.dt, 1, dims) : 0;
    return rc || !ic_has_out(ic, 1) ? rc : ic_out(ic, 1, DT_FLOAT, 2, dims);
}

/* Label and columns of a row that has one score for two classes. */
static size_t pair_scores(enum ml_post post, double *s)
{
    size_t win = s[0] > 0;
    double v = s[0];
    if (post == ML_LOGISTIC) {
        s[0] = ml_logistic(-v);
        s[1] = ml_logistic(v);
    } else if (post == ML_PROBIT) {
        s[0] = s[1] = ml_probit(v);
    } else {
        s[0] = 1 - v;
        s[1] = v;
    }
    return win;
}

static size_t argmax(const double *s, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = s[i] > s[best] ? i : best;
    return best;
}

static int linear_ref(struct exec_ctx *ec, const void *params)
{
    const struct linear_params *p = params;
    int64_t rows, cols;
    size_t n = (size_t)p->targets;
    int rc = matrix(ec, 0, &rows, &cols);
    const double *x = rc ? NULL : ec_as(ec, 0, DT_DOUBLE);
    double *s = ec_scratch(ec, (n + 2) * sizeof(*s));
    if (rc || (!x && rows && cols) || !s)
        return rc ? rc : ec->cx->err.code;
    if ((int64_t)p->ncoef != cols * p->targets)
        return err_set(ec->cx, E_SHAPE, "%zu coefficients for %lld features and %zu targets", p->ncoef,
                       (long long)cols, n);
    for (int64_t r = 0; r < rows; r++) {
        for (size_t t = 0; t < n; t++) {
            s[t] = p->nbias ? (double)p->bias[t] : 0;
            for (int64_t c = 0; c < cols; c++)
                s[t] += x[r * cols + c] * (double)p->coef[t * (size_t)cols + (size_t)c];
        }
        if (!p->classifier) {
            ml_transform(p->post, s, n);
            ml_put_row(ec->out[0], r, s, n);
            continue;
        }
        size_t win = one_of_two(p) ? pair_scores(p->post, s) : argmax(s, n);
        if (!one_of_two(p))
            ml_transform(p->post, s, n);
        if (ec_wants(ec, 0))
            ml_put_label(&p->labels, ec->out[0], r, win);
        if (ec_wants(ec, 1))
            ml_put_row(ec->out[1], r, s, one_of_two(p) ? 2 : n);
    }
    return 0;
}

const struct op op_ml_LinearRegressor = {.domain = "ai.onnx.ml",
                                         .name = "LinearRegressor",
                                         .tol = TOL_ROUND,
                                         .params_size = sizeof(struct linear_params),
                                         .parse = regressor_parse,
                                         .infer = linear_infer,
                                         .ref = linear_ref};
const struct op op_ml_LinearClassifier = {.domain = "ai.onnx.ml",
                                          .name = "LinearClassifier",
                                          .tol = TOL_ROUND,
                                          .params_size = sizeof(struct linear_params),
                                          .parse = linear_classifier_parse,
                                          .infer = linear_infer,
                                          .ref = linear_ref};
