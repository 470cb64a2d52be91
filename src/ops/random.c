/* Random tensors: RandomNormal, RandomUniform, their Like forms, Bernoulli and Multinomial.
 *
 * The standard fixes distributions, not numbers. Here a seed gives the same numbers on every machine; without
 * one, the seed is a hash of the node's output name, so that the same model gives the same results while two
 * nodes differ. A node that runs again (in a Loop, or on the next call) goes on where it stopped. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/rng.h"
#include "ops/op_util.h"

enum random_kind { RAND_UNIFORM, RAND_NORMAL, RAND_BERNOULLI, RAND_MULTINOMIAL };

struct random {
    enum random_kind kind;
    bool like;     /* shape and, without dtype, type of input 0 */
    enum dtype dt; /* DT_UNDEFINED: as the input */
    uint64_t seed;
    double a, b; /* low and high, or mean and scale */
    int64_t samples;
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
};

/* What a bound node keeps from run to run. */
struct random_state {
    const struct random *params;
    struct rng *rng;
};

static int parse_seed(struct cx *cx, const struct node *n, struct random *p)
{
    float seed;
    uint32_t bits;
    int rc = attr_float(cx, n, "seed", &seed);
    if (rc < 0)
        return rc;
    if (rc) {
        memcpy(&bits, &seed, sizeof(bits));
        p->seed = bits;
    } else {
        p->seed = hash_str(HASH_INIT, n->nout && n->out[0] ? n->out[0]->name : n->name);
    }
    return 0;
}

static int parse_dtype(struct cx *cx, const struct node *n, enum dtype def, enum dtype *out)
{
    int64_t v = def;
    int rc = attr_int(cx, n, "dtype", &v);
    if (rc < 0)
        return rc;
    if (rc && (v <= 0 || v >= DT_COUNT || !dtype_info((int)v)->store_f64 || v == DT_STRING))
        return err_set(cx, E_ATTR, "attribute 'dtype' is %lld, no type of numbers", (long long)v);
    *out = (enum dtype)v;
    return 0;
}

static int parse_shape(struct cx *cx, const struct node *n, struct random *p)
{
    const int64_t *v = NULL;
    size_t count = 0;
    int64_t total;
    int rc = attr_ints(cx, n, "shape", &v, &count);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(cx, E_ATTR, "attribute 'shape' is missing");
    if (count > TENSOR_MAX_RANK)
        return err_set(cx, E_ATTR, "attribute 'shape' has %zu dims, at most %d are supported", count,
                       TENSOR_MAX_RANK);
    p->rank = (int)count;
    for (size_t i = 0; i < count; i++)
        p->dims[i] = v[i];
    if (!dims_count(p->dims, p->rank, &total))
        return err_set(cx, E_ATTR, "attribute 'shape' has a negative dim or overflows");
    return 0;
}

static int parse_reals(struct cx *cx, const struct node *n, const char *first, const char *second,
                       struct random *p)
{
    float a = 0, b = 1;
    int rc = attr_float(cx, n, first, &a);
    if (rc >= 0)
        rc = attr_float(cx, n, second, &b);
    p->a = a;
    p->b = b;
    return rc < 0 ? rc : 0;
}

static int random_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct random *p = params;
    (void)arena, (void)version;
    size_t len = strlen(n->op_type);
    p->like = len > 4 && !strcmp(n->op_type + len - 4, "Like");
    p->kind = !strncmp(n->op_type, "RandomN", 7) ? RAND_NORMAL : RAND_UNIFORM;
    int rc = parse_seed(cx, n, p);
    if (!rc)
        rc = parse_dtype(cx, n, p->like ? DT_UNDEFINED : DT_FLOAT, &p->dt);
    if (!rc && p->kind == RAND_NORMAL)
        rc = parse_reals(cx, n, "mean", "scale", p);
    else if (!rc)
        rc = parse_reals(cx, n, "low", "high", p);
    return rc || p->like ? rc : parse_shape(cx, n, p);
}

static int bernoulli_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct random *p = params;
    (void)arena, (void)version;
    p->kind = RAND_BERNOULLI;
    p->like = true;
    int rc = parse_seed(cx, n, p);
    return rc ? rc : parse_dtype(cx, n, DT_UNDEFINED, &p->dt);
}

static int multinomial_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                             void *params)
{
    struct random *p = params;
    (void)arena, (void)version;
    p->kind = RAND_MULTINOMIAL;
    p->samples = 1;
    int rc = parse_seed(cx, n, p);
    if (!rc)
        rc = parse_dtype(cx, n, DT_INT32, &p->dt);
    if (!rc && p->dt != DT_INT32 && p->dt != DT_INT64)
        rc = err_set(cx, E_ATTR, "attribute 'dtype' is %s, expected int32 or int64", dtype_name((int)p->dt));
    if (!rc)
        rc = attr_int(cx, n, "sample_size", &p->samples);
    if (rc >= 0 && p->samples < 0)
        rc = err_set(cx, E_ATTR, "attribute 'sample_size' is %lld", (long long)p->samples);
    return rc < 0 ? rc : 0;
}

static int random_infer(struct infer_ctx *ic, const void *params)
{
    const struct random *p = params;
    struct dim dims[TENSOR_MAX_RANK];
    if (p->like)
        return p->dt == DT_UNDEFINED ? ic_out_same(ic, 0, 0) : ic_out_like(ic, 0, 0, p->dt);
    for (int i = 0; i < p->rank; i++)
        dims[i] = dim_const(p->dims[i]);
    return ic_out(ic, 0, p->dt, p->rank, dims);
}

static int multinomial_infer(struct infer_ctx *ic, const void *params)
{
    const struct random *p = params;
    int rc = ic_need_rank(ic, 0, 2, 2);
    struct dim dims[2] = {ic_rank(ic, 0) == 2 ? ic_dim(ic, 0, 0) : dim_unknown(), dim_const(p->samples)};
    return rc ? rc : ic_out(ic, 0, p->dt, 2, dims);
}

static int fill_reals(struct exec_ctx *ec, const struct random *p, struct rng *rng)
{
    struct tensor *out = ec->out[0];
    const struct dtype_info *info = dtype_info((int)out->dt);
    int64_t n = tensor_count(out);
    if (info->cls != CLS_FLOAT)
        return err_set(ec->cx, E_UNSUPPORTED, "random numbers of type %s", dtype_name((int)out->dt));
    for (int64_t i = 0; i < n; i++) {
        double v =
            p->kind == RAND_NORMAL ? p->a + p->b * rng_normal(rng) : p->a + (p->b - p->a) * rng_f64(rng);
        info->store_f64((char *)out->data + (size_t)i * info->size, v);
    }
    return 0;
}

static int fill_bernoulli(struct exec_ctx *ec, struct rng *rng)
{
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    const struct dtype_info *from = dtype_info((int)in->dt), *to = dtype_info((int)out->dt);
    int64_t n = tensor_count(out);
    if (from->cls != CLS_FLOAT || !to->store_i64)
        return ec_unsupported(ec, 0);
    for (int64_t i = 0; i < n; i++) {
        double p = from->load_f64((const char *)in->data + (size_t)i * from->size);
        if (!(p >= 0 && p <= 1))
            return err_set(ec->cx, E_VALUE, "probability %lld is %g", (long long)i, p);
        to->store_i64((char *)out->data + (size_t)i * to->size, rng_f64(rng) < p);
    }
    return 0;
}

/* Running sums of exp(logit - largest) into cdf[classes]; returns the total. */
static double class_cdf(const struct tensor *in, int64_t row, int64_t classes, double *cdf)
{
    double max = -INFINITY, sum = 0;
    for (int64_t c = 0; c < classes; c++)
        max = fmax(max, tensor_f64(in, row * classes + c));
    for (int64_t c = 0; c < classes; c++) {
        sum += exp(tensor_f64(in, row * classes + c) - max);
        cdf[c] = sum;
    }
    return sum;
}

/* The first class whose running sum is above u. */
static int64_t draw(const double *cdf, int64_t classes, double u)
{
    int64_t lo = 0, hi = classes - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (cdf[mid] > u)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static int fill_multinomial(struct exec_ctx *ec, const struct random *p, struct rng *rng)
{
    const struct tensor *in = ec->in[0];
    int64_t rows = in->dims[0], classes = in->dims[1];
    const struct dtype_info *to = dtype_info((int)ec->out[0]->dt);
    char *out = ec->out[0]->data;
    if (dtype_info((int)in->dt)->cls != CLS_FLOAT)
        return ec_unsupported(ec, 0);
    if (!classes && rows && p->samples)
        return err_set(ec->cx, E_SHAPE, "there are no classes to draw from");
    double *cdf = ec_scratch(ec, ((size_t)classes + 1) * sizeof(double));
    if (!cdf)
        return ec->cx->err.code;
    for (int64_t r = 0; r < rows; r++) {
        double total = class_cdf(in, r, classes, cdf);
        if (p->samples && !(total > 0 && total < INFINITY))
            return err_set(ec->cx, E_VALUE, "row %lld holds no distribution", (long long)r);
        for (int64_t s = 0; s < p->samples; s++)
            to->store_i64(out + (size_t)(r * p->samples + s) * to->size,
                          draw(cdf, classes, rng_f64(rng) * total));
    }
    return 0;
}

static int fill(struct exec_ctx *ec, const struct random *p, struct rng *rng)
{
    if (!ec_wants(ec, 0))
        return 0;
    if (p->kind == RAND_BERNOULLI)
        return fill_bernoulli(ec, rng);
    return p->kind == RAND_MULTINOMIAL ? fill_multinomial(ec, p, rng) : fill_reals(ec, p, rng);
}

static int random_ref(struct exec_ctx *ec, const void *params)
{
    const struct random *p = params;
    struct rng rng;
    rng_seed(&rng, p->seed);
    return fill(ec, p, &rng);
}

static int random_run(struct exec_ctx *ec, const void *state)
{
    const struct random_state *s = state;
    return fill(ec, s->params, s->rng);
}

static int random_bind(struct bind_ctx *bc, const void *params, struct step *step)
{
    const struct random *p = params;
    struct random_state *s = arena_alloc(bc->arena, sizeof(*s));
    struct rng *rng = arena_alloc(bc->arena, sizeof(*rng));
    if (!s || !rng)
        return err_nomem(bc->cx);
    rng_seed(rng, p->seed);
    *s = (struct random_state){p, rng};
    step->run = random_run;
    step->state = s;
    step->kernel = "xoshiro256**";
    return 0;
}

#define RANDOM(opname, parsefn, inferfn)                                                                     \
    {                                                                                                        \
        .domain = "", .name = opname, .flags = OP_NONDET, .tol = TOL_RANDOM,                                 \
        .params_size = sizeof(struct random), .parse = parsefn, .infer = inferfn, .ref = random_ref,         \
        .bind = random_bind,                                                                                 \
    }

const struct op op_RandomNormal = RANDOM("RandomNormal", random_parse, random_infer);
const struct op op_RandomNormalLike = RANDOM("RandomNormalLike", random_parse, random_infer);
const struct op op_RandomUniform = RANDOM("RandomUniform", random_parse, random_infer);
const struct op op_RandomUniformLike = RANDOM("RandomUniformLike", random_parse, random_infer);
const struct op op_Bernoulli = RANDOM("Bernoulli", bernoulli_parse, random_infer);
const struct op op_Multinomial = RANDOM("Multinomial", multinomial_parse, multinomial_infer);
