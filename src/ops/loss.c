/* NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, computed in double. */
#include "ops/wide.h"

#include <math.h>
#include <string.h>

enum reduction { RED_LOSS_NONE, RED_LOSS_MEAN, RED_LOSS_SUM };

struct loss {
    bool softmax; /* scores, not log probabilities, come in */
    enum reduction reduction;
    bool has_ignore;
    int64_t ignore;
};

static int loss_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    static const char *const kinds[] = {"none", "mean", "sum", NULL};
    struct loss *l = params;
    int kind = RED_LOSS_MEAN;
    l->softmax = n->op_type[0] == 'S';
    int r = attr_choice(cx, n, "reduction", kinds, &kind);
    l->reduction = (enum reduction)kind;
    if (r >= 0)
        r = attr_int(cx, n, "ignore_index", &l->ignore);
    l->has_ignore = r > 0;
    return r < 0 ? r : 0;
}

static int loss_infer(struct infer_ctx *ic, const void *params)
{
    const struct loss *l = params;
    int rank = ic_rank(ic, 0);
    int r = ic_need_rank(ic, 0, 2, TENSOR_MAX_RANK);
    if (!r && rank >= 0)
        r = ic_need_rank(ic, 1, rank - 1, rank - 1);
    for (int i = 0; !r && rank >= 0 && ic_rank(ic, 1) >= 0 && i < rank - 1; i++)
        r = ic_unify(ic, ic_dim(ic, 1, i), ic_dim(ic, 0, i ? i + 1 : 0), "extent of the target");
    if (!r && ic_has(ic, 2)) {
        r = ic_need_rank(ic, 2, 1, 1);
        if (!r && rank >= 0 && ic_rank(ic, 2) == 1)
            r = ic_unify(ic, ic_dim(ic, 2, 0), ic_dim(ic, 0, 1), "number of weights");
    }
    if (!r && l->reduction == RED_LOSS_NONE)
        r = ic_out_like(ic, 0, 1, ic_dtype(ic, 0));
    else if (!r)
        r = ic_out(ic, 0, ic_dtype(ic, 0), 0, NULL);
    if (!r && ic_has_out(ic, 1))
        r = ic_out_same(ic, 1, 0);
    return r;
}

/* Loss and weight of every target; the class axis is the second. */
static int each_loss(struct exec_ctx *ec, const struct loss *l, const double *logp, const double *weight,
                     double *out, double *total)
{
    const struct tensor *x = ec->in[0], *target = ec->in[1];
    int64_t c = x->dims[1], inner = dims_prod(x->dims, 2, x->rank), n = tensor_count(target);
    *total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t t = tensor_i64(target, i);
        out[i] = 0;
        if (l->has_ignore && t == l->ignore)
            continue;
        if (t < 0 || t >= c)
            return err_set(ec->cx, E_VALUE, "target %lld is no class, there are %lld", (long long)t,
                           (long long)c);
        double w = weight ? weight[t] : 1;
        out[i] = -w * logp[(i / inner * c + t) * inner + i % inner];
        *total += w;
    }
    return 0;
}

static int loss_ref(struct exec_ctx *ec, const void *params)
{
    const struct loss *l = params;
    const struct tensor *x = ec->in[0], *target = ec->in[1];
    const double *scores, *weight;
    double *y, total, *logp = NULL, sum = 0;
    int64_t inner = dims_prod(x->dims, 2, x->rank), n = tensor_count(target);
    if (!dtype_is_int(target->dt) || dtype_info(x->dt)->cls != CLS_FLOAT ||
        !ec->kern->norm.log_softmax[DT_DOUBLE])
        return ec_unsupported(ec, 0);
    if (n != x->dims[0] * inner || (ec_has(ec, 2) && tensor_count(ec->in[2]) != x->dims[1]))
        return err_set(ec->cx, E_SHAPE, "target or weights do not fit the scores");
    int r = wide_f64(ec, 0, &scores);
    if (!r)
        r = wide_f64(ec, 2, &weight);
    if (!r)
        r = wide_out_f64(ec, 0, &y);
    if (!r && l->softmax)
        r = wide_out_f64(ec, 1, &logp);
    if (!r && l->softmax && !logp && !(logp = ec_scratch(ec, ((size_t)tensor_count(x) + 1) * sizeof(double))))
        r = ec->cx->err.code;
    double *each = r ? NULL : ec_scratch(ec, ((size_t)n + 1) * sizeof(double));
    if (!each)
        return r ? r : ec->cx->err.code;
    struct red_shape s = red_shape((size_t)x->dims[0], (size_t)x->dims[1], (size_t)inner);
    if (l->softmax && tensor_count(x))
        ec->kern->norm.log_softmax[DT_DOUBLE](scores, logp, &s);
    r = each_loss(ec, l, l->softmax ? logp : scores, weight, each, &total);
    if (r)
        return r;
    for (int64_t i = 0; i < n; i++)
        sum += each[i];
    if (y && l->reduction == RED_LOSS_NONE)
        memcpy(y, each, (size_t)n * sizeof(double));
    else if (y)
        *y = l->reduction == RED_LOSS_SUM ? sum : sum / total;
    wide_done_f64(ec, 0, y);
    if (l->softmax && ec_has_out(ec, 1))
        wide_done_f64(ec, 1, logp);
    return 0;
}

#define LOSS(opname)                                                                                         \
    {                                                                                                        \
        .domain = "", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct loss),                  \
        .parse = loss_parse, .infer = loss_infer, .ref = loss_ref,                                           \
    }

const struct op op_NegativeLogLikelihoodLoss = LOSS("NegativeLogLikelihoodLoss");
const struct op op_SoftmaxCrossEntropyLoss = LOSS("SoftmaxCrossEntropyLoss");
