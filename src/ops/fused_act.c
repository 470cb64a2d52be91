/* Activations fused into products: by the kernel's epilogue where it can, else in one more pass. */
#include "ops/fused_act.h"

#include <float.h>
#include <string.h>

/* Letters are the values of activation_params, in order; defaults where the list is short. */
struct row {
    const char *name;
    enum gemm_act act;
    enum un_op un;
    float a, b;
};

static const struct row rows[] = {
    {"Celu", ACT_NONE, UN_CELU, 1, 0},
    {"Clip", ACT_CLIP, UN_COUNT, -FLT_MAX, FLT_MAX},
    {"Elu", ACT_NONE, UN_ELU, 1, 0},
    {"Gelu", ACT_NONE, UN_GELU, 0, 0},
    {"HardSigmoid", ACT_NONE, UN_HARD_SIGMOID, 0.2f, 0.5f},
    {"HardSwish", ACT_NONE, UN_HARD_SWISH, 0, 0},
    {"LeakyRelu", ACT_LEAKY, UN_LEAKY_RELU, 0.01f, 0},
    {"Mish", ACT_NONE, UN_MISH, 0, 0},
    {"Relu", ACT_RELU, UN_RELU, 0, 0},
    {"Selu", ACT_NONE, UN_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Sigmoid", ACT_NONE, UN_SIGMOID, 0, 0},
    {"Softplus", ACT_NONE, UN_SOFTPLUS, 0, 0},
    {"Softsign", ACT_NONE, UN_SOFTSIGN, 0, 0},
    {"Swish", ACT_NONE, UN_SILU, 1, 0},
    {"Tanh", ACT_NONE, UN_TANH, 0, 0},
    {"ThresholdedRelu", ACT_NONE, UN_THRESHOLDED_RELU, 1, 0},
};

/* The values a and b: of activation_params, or one attribute each (FusedGemm). */
static int read_params(struct cx *cx, const struct node *n, float *a, float *b)
{
    const float *v = NULL;
    size_t count = 0;
    int r = attr_floats(cx, n, "activation_params", &v, &count);
    *a = r > 0 && count > 0 ? v[0] : *a;
    *b = r > 0 && count > 1 ? v[1] : *b;
    if (r)
        return r;
    r = attr_float(cx, n, "activation_alpha", a);
    if (r >= 0)
        r = attr_float(cx, n, "activation_beta", b);
    return r >= 0 ? attr_float(cx, n, "activation_gamma", b) : r;
}

int fused_act_parse(struct cx *cx, const struct node *n, struct fused_act *f)
{
    struct ostr name = {0};
    int r = attr_str(cx, n, "activation", &name);
    if (r <= 0 || !name.n)
        return r < 0 ? r : 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strlen(rows[i].name) != name.n || memcmp(rows[i].name, name.p, name.n))
            continue;
        float a = rows[i].a, b = rows[i].b;
        r = read_params(cx, n, &a, &b);
        if (r < 0)
            return r;
        *f = (struct fused_act){rows[i].act, a, b, rows[i].act == ACT_NONE, rows[i].un, {a, b}};
        return 0;
    }
    return err_set(cx, E_ATTR, "activation '%.*s' is not known", (int)(name.n < 60 ? name.n : 60), name.p);
}

static void run_piece(const struct kern *k, const struct fused_act *f, enum dtype dt, void *y, size_t n)
{
    if (f->act != ACT_CLIP) {
        un_run(k, f->un, dt, y, y, n, &f->p);
        return;
    }
    double lo = 0, hi = 0;
    dtype_info(dt)->store_f64(&lo, f->lo);
    dtype_info(dt)->store_f64(&hi, f->hi);
    clip_run(k, dt, y, y, n, &lo, &hi);
}

static bool has_piece(const struct fused_act *f, bool whole)
{
    return f->after || (whole && f->act != ACT_NONE);
}

struct act_job {
    const struct exec_ctx *ec;
    const struct fused_act *f;
    enum dtype dt;
    char *y;
};

static void act_range(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct act_job *j = arg;
    run_piece(j->ec->kern, j->f, j->dt, j->y + (size_t)begin * dtype_size(j->dt), (size_t)(end - begin));
}

void fused_act_run(struct exec_ctx *ec, const struct fused_act *f, bool whole, enum dtype dt, void *y,
                   int64_t n)
{
    struct act_job j = {ec, f, dt, y};
    if (has_piece(f, whole))
        par_for(ec->pool, n, 16384, act_range, &j);
}

void fused_act_piece(const struct kern *k, const struct fused_act *f, bool whole, float *y, int64_t n)
{
    if (has_piece(f, whole))
        run_piece(k, f, DT_FLOAT, y, (size_t)n);
}
