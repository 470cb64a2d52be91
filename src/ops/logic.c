/* Logic, comparison, and choosing by a condition. */
#include "kern/bcast.h"
#include "ops/binary.h"

static const struct op_row logic_rows[] = {
    {"And", BIN_AND},           {"Or", BIN_OR},          {"Xor", BIN_XOR},
    {"Equal", BIN_EQ},          {"Greater", BIN_GT},     {"Less", BIN_LT},
    {"GreaterOrEqual", BIN_GE}, {"LessOrEqual", BIN_LE}, {NULL, 0},
};

static int logic_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct binary_params *p = params;
    (void)arena;
    p->op = (enum bin_op)op_row_find(logic_rows, n->op_type);
    return binary_legacy(cx, n, version, p);
}

const struct op op_And = {.domain = "",
                          .name = "And",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .params_size = sizeof(struct binary_params),
                          .parse = logic_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};
const struct op op_Equal = {.domain = "",
                            .name = "Equal",
                            .flags = OP_ELEMENTWISE,
                            .params_size = sizeof(struct binary_params),
                            .parse = logic_parse,
                            .infer = binary_infer,
                            .ref = binary_ref};
const struct op op_Greater = {.domain = "",
                              .name = "Greater",
                              .flags = OP_ELEMENTWISE,
                              .params_size = sizeof(struct binary_params),
                              .parse = logic_parse,
                              .infer = binary_infer,
                              .ref = binary_ref};
const struct op op_GreaterOrEqual = {.domain = "",
                                     .name = "GreaterOrEqual",
                                     .flags = OP_ELEMENTWISE,
                                     .params_size = sizeof(struct binary_params),
                                     .parse = logic_parse,
                                     .infer = binary_infer,
                                     .ref = binary_ref};
const struct op op_Less = {.domain = "",
                           .name = "Less",
                           .flags = OP_ELEMENTWISE,
                           .params_size = sizeof(struct binary_params),
                           .parse = logic_parse,
                           .infer = binary_infer,
                           .ref = binary_ref};
const struct op op_LessOrEqual = {.domain = "",
                                  .name = "LessOrEqual",
                                  .flags = OP_ELEMENTWISE,
                                  .params_size = sizeof(struct binary_params),
                                  .parse = logic_parse,
                                  .infer = binary_infer,
                                  .ref = binary_ref};
const struct op op_Or = {.domain = "",
                         .name = "Or",
                         .flags = OP_ELEMENTWISE | OP_INPLACE,
                         .params_size = sizeof(struct binary_params),
                         .parse = logic_parse,
                         .infer = binary_infer,
                         .ref = binary_ref};
const struct op op_Xor = {.domain = "",
                          .name = "Xor",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .params_size = sizeof(struct binary_params),
                          .parse = logic_parse,
                          .infer = binary_infer,
                          .ref = binary_ref};

static int not_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct unary_params *p = params;
    (void)cx, (void)arena, (void)n, (void)version;
    p->op = UN_NOT;
    return 0;
}

static int not_infer(struct infer_ctx *ic, const void *params)
{
    int rc = unary_infer(ic, params);
    const struct shape_val *v = ic_val(ic, 0);
    if (rc || !v)
        return rc;
    struct dim *d = arena_array(ic->arena, (size_t)v->n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < v->n; i++)
        if (v->d[i].kind == DIM_CONST)
            d[i] = dim_const(!v->d[i].v);
    return ic_out_val(ic, 0, v->rank, v->n, d);
}

const struct op op_Not = {.domain = "",
                          .name = "Not",
                          .flags = OP_ELEMENTWISE | OP_INPLACE,
                          .params_size = sizeof(struct unary_params),
                          .parse = not_parse,
                          .infer = not_infer,
                          .ref = unary_ref};

/* ---- Where ---- */

static struct dim pick(struct dim c, struct dim a, struct dim b)
{
    if (c.kind == DIM_CONST)
        return c.v ? a : b;
    return dim_same(a, b) ? a : dim_unknown();
}

static int where_val(struct infer_ctx *ic)
{
    const struct shape_val *v[3] = {ic_val(ic, 0), ic_val(ic, 1), ic_val(ic, 2)};
    int rank = 0;
    int64_t n = 1;
    for (int i = 0; i < 3; i++) {
        if (!v[i] || (v[i]->n != 1 && n != 1 && v[i]->n != n))
            return 0;
        rank = v[i]->rank > rank ? v[i]->rank : rank;
        n = v[i]->n != 1 ? v[i]->n : n;
    }
    struct dim *d = arena_array(ic->arena, (size_t)n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    bool any = false;
    for (int64_t i = 0; i < n; i++) {
        d[i] =
            pick(v[0]->d[v[0]->n == 1 ? 0 : i], v[1]->d[v[1]->n == 1 ? 0 : i], v[2]->d[v[2]->n == 1 ? 0 : i]);
        any |= d[i].kind != DIM_UNKNOWN;
    }
    return any ? ic_out_val(ic, 0, rank, n, d) : 0;
}

static int where_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK];
    int rank, rc = need_inputs(ic, 3);
    (void)params;
    if (!rc)
        rc = need_same_dtype(ic, 1, 2);
    if (!rc && ic_dtype(ic, 0) != DT_UNDEFINED && ic_dtype(ic, 0) != DT_BOOL)
        rc = ic_err(ic, E_TYPE, "input 0 is %s, expected bool", dtype_name(ic_dtype(ic, 0)));
    if (!rc)
        rc = ic_broadcast(ic, (const int[]){0, 1, 2}, 3, &rank, dims);
    if (rc)
        return rc;
    rc = ic_out(ic, 0, ic_dtype(ic, 1) != DT_UNDEFINED ? ic_dtype(ic, 1) : ic_dtype(ic, 2), rank, dims);
    return rc ? rc : where_val(ic);
}

struct where_job {
    const struct kern *kern;
    struct bcast_plan plan;
    size_t size;
    const void *cond, *a, *b;
    void *out;
};

static void where_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct where_job *j = arg;
    (void)thread;
    bcast_where(j->kern, &j->plan, j->size, j->cond, j->a, j->b, j->out, begin, end);
}

static int where_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *c = ec->in[0], *a = ec->in[1], *b = ec->in[2];
    struct tensor *out = ec->out[0];
    struct bcast_in in[3] = {{c->rank, c->dims}, {a->rank, a->dims}, {b->rank, b->dims}};
    struct where_job j = {.kern = ec->kern, .size = dtype_size(a->dt)};
    (void)params;
    if (c->dt != DT_BOOL || a->dt != b->dt)
        return ec_unsupported(ec, c->dt != DT_BOOL ? 0 : 2);
    if (bcast_init(&j.plan, out->rank, out->dims, 3, in))
        return err_set(ec->cx, E_SHAPE, "the inputs do not broadcast to the output");
    j.cond = c->data;
    j.a = a->data;
    j.b = b->data;
    j.out = out->data;
    ec_par(ec, j.plan.total, PAR_GRAIN, where_range, &j);
    return 0;
}

const struct op op_Where = {
    .domain = "", .name = "Where", .flags = OP_ELEMENTWISE, .infer = where_infer, .ref = where_ref};
