/* Optimizers of ai.onnx.preview.training: one update of tensors that come as groups in the variadic input,
 * R, T, X_1..X_n, G_1..G_n, state_1..state_n (, second state). Computed in double. Gradient is not here: it
 * would need the derivative of every operator. */
#include <math.h>

#include "ops/wide.h"

enum optimizer_kind { OPT_ADAGRAD, OPT_ADAM, OPT_MOMENTUM };

struct optimizer {
    enum optimizer_kind kind;
    bool nesterov;
    int states; /* tensors of state for each optimized one */
    float alpha, beta, epsilon, norm, norm_post, decay;
};

static int read_floats(struct cx *cx, const struct node *n, struct optimizer *p, bool required)
{
    struct {
        const char *name;
        float *to;
    } list[] = {{"alpha", &p->alpha},
                {"beta", &p->beta},
                {"epsilon", &p->epsilon},
                {"norm_coefficient", &p->norm},
                {"norm_coefficient_post", &p->norm_post},
                {"decay_factor", &p->decay}};
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        int rc = attr_float(cx, n, list[i].name, list[i].to);
        if (rc < 0)
            return rc;
        bool needed = required && (i < 2 || i == 3);
        if (!rc && needed)
            return err_set(cx, E_ATTR, "attribute '%s' is missing", list[i].name);
    }
    return 0;
}

static int check_groups(struct cx *cx, const struct node *n, const struct optimizer *p)
{
    int groups = p->states + 2, tensors = n->nin - 2;
    if (tensors < groups || tensors % groups)
        return err_set(cx, E_MODEL, "%d tensors to optimize, expected a multiple of %d", tensors, groups);
    return 0;
}

static int adagrad_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct optimizer *p = params;
    *p = (struct optimizer){.kind = OPT_ADAGRAD, .states = 1, .epsilon = 1e-6f};
    int rc = read_floats(cx, n, p, false);
    return rc ? rc : check_groups(cx, n, p);
}

static int adam_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    struct optimizer *p = params;
    *p = (struct optimizer){.kind = OPT_ADAM, .states = 2, .alpha = 0.9f, .beta = 0.999f, .epsilon = 1e-6f};
    int rc = read_floats(cx, n, p, false);
    return rc ? rc : check_groups(cx, n, p);
}

static int momentum_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    (void)arena, (void)version;
    static const char *const modes[] = {"standard", "nesterov", NULL};
    struct optimizer *p = params;
    *p = (struct optimizer){.kind = OPT_MOMENTUM, .states = 1};
    int mode = 0, rc = attr_choice(cx, n, "mode", modes, &mode);
    if (!rc)
        rc = err_set(cx, E_ATTR, "attribute 'mode' is missing");
    p->nesterov = mode == 1;
    if (rc > 0)
        rc = read_floats(cx, n, p, true);
    return rc ? rc : check_groups(cx, n, p);
}

/* Outputs are X_1..X_n and the states, which have the types of the inputs that they replace. */
static int optimizer_infer(struct infer_ctx *ic, const void *params)
{
    const struct optimizer *p = params;
    int n = (ic->nin - 2) / (p->states + 2), rc = 0;
    if (ic->nout > n * (p->states + 1))
        return ic_err(ic, E_MODEL, "%d outputs, expected %d", ic->nout, n * (p->states + 1));
    for (int o = 0; !rc && o < ic->nout; o++)
        if (ic_has_out(ic, o))
            rc = ic_out_same(ic, o, o < n ? 2 + o : 2 + o + n);
    return rc;
}

/* Element i of one optimized tensor: x, its gradient and states in, new values in place. */
static void update(const struct optimizer *p, double rate, double t, double *x, double g, double *s)
{
    g += p->norm * *x;
    if (p->kind == OPT_ADAGRAD) {
        s[0] += g * g;
        *x -= rate * g / (sqrt(s[0]) + p->epsilon);
    } else if (p->kind == OPT_ADAM) {
        s[0] = p->alpha * s[0] + (1 - (double)p->alpha) * g;
        s[1] = p->beta * s[1] + (1 - (double)p->beta) * g * g;
        *x -= rate * s[0] / (sqrt(s[1]) + p->epsilon);
        *x *= 1 - (double)p->norm_post;
    } else {
        s[0] = p->alpha * s[0] + (t > 0 ? p->beta : 1) * g;
        *x -= rate * (p->nesterov ? g + p->alpha * s[0] : s[0]);
    }
}

static double learning_rate(const struct optimizer *p, double r, double t)
{
    if (p->kind == OPT_ADAGRAD)
        return r / (1 + t * p->decay);
    if (p->kind == OPT_ADAM && t > 0)
        return r * sqrt(1 - pow(p->beta, t)) / (1 - pow(p->alpha, t));
    return r;
}

static void store_at(struct exec_ctx *ec, int o, int64_t i, double v)
{
    if (!ec_has_out(ec, o))
        return;
    const struct dtype_info *info = dtype_info((int)ec->out[o]->dt);
    info->store_f64((char *)ec->out[o]->data + (size_t)i * info->size, v);
}

static int optimize_one(struct exec_ctx *ec, const struct optimizer *p, int k, int n, double rate, double t)
{
    const double *x, *g, *s[2] = {NULL, NULL};
    int rc = wide_f64(ec, 2 + k, &x);
    if (!rc)
        rc = wide_f64(ec, 2 + n + k, &g);
    for (int j = 0; !rc && j < p->states; j++)
        rc = wide_f64(ec, 2 + (2 + j) * n + k, &s[j]);
    if (rc)
        return rc;
    int64_t count = tensor_count(ec->in[2 + k]);
    for (int j = 1; j < p->states + 2; j++)
        if (tensor_count(ec->in[2 + j * n + k]) != count)
            return err_set(ec->cx, E_SHAPE, "input %d has %lld elements, the tensor it belongs to %lld",
                           2 + j * n + k, (long long)tensor_count(ec->in[2 + j * n + k]), (long long)count);
    for (int64_t i = 0; i < count; i++) {
        double v = x[i], state[2] = {s[0][i], p->states > 1 ? s[1][i] : 0};
        update(p, rate, t, &v, g[i], state);
        store_at(ec, k, i, v);
        for (int j = 0; j < p->states; j++)
            store_at(ec, (1 + j) * n + k, i, state[j]);
    }
    return 0;
}

static int optimizer_ref(struct exec_ctx *ec, const void *params)
{
    const struct optimizer *p = params;
    int n = (ec->nin - 2) / (p->states + 2), rc = 0;
    for (int i = 0; i < 2; i++)
        if (tensor_count(ec->in[i]) != 1)
            return err_set(ec->cx, E_SHAPE, "input %d is no scalar", i);
    for (int i = 2; i < ec->nin; i++)
        if (ec->in[i]->dt != DT_FLOAT && ec->in[i]->dt != DT_DOUBLE)
            return ec_unsupported(ec, i);
    double t = tensor_f64(ec->in[1], 0), rate = learning_rate(p, tensor_f64(ec->in[0], 0), t);
    for (int k = 0; !rc && k < n; k++)
        rc = optimize_one(ec, p, k, n, rate, t);
    return rc;
}

#define OPTIMIZER(opname, parsefn)                                                                           \
    {                                                                                                        \
        .domain = "ai.onnx.preview.training", .name = opname, .tol = TOL_ROUND,                              \
        .params_size = sizeof(struct optimizer), .parse = parsefn, .infer = optimizer_infer,                 \
        .ref = optimizer_ref,                                                                                \
    }

const struct op op_training_Adagrad = OPTIMIZER("Adagrad", adagrad_parse);
const struct op op_training_Adam = OPTIMIZER("Adam", adam_parse);
const struct op op_training_Momentum = OPTIMIZER("Momentum", momentum_parse);
