/* Operators of com.microsoft that mean what one of ai.onnx means, which does their work. */
#include <string.h>

#include "ops/contrib.h"

struct row {
    const char *name, *as;
    int version; /* of the other operator */
    int lo, hi;  /* inputs */
    unsigned required;
    /* Attributes that the other operator lacks, each with the one value at which they agree; NULL-terminated.
     */
    struct {
        const char *name;
        int64_t value;
    } only[4];
};

static const struct row rows[] = {
    {"CausalConvWithState",
     "CausalConvWithState",
     1,
     2,
     4,
     3,
     {{"ndim", 1}, {"dilation", 1}, {"channels_last", 0}, {"state_window", 0}}},
    {"ExpandDims", "Unsqueeze", 13, 2, 2, 3, {{NULL, 0}}},
    {"GatherND", "GatherND", 12, 2, 2, 3, {{NULL, 0}}},
    {"GridSample", "GridSample", 16, 2, 2, 3, {{NULL, 0}}},
    {"LinearAttention", "LinearAttention", 1, 3, 6, 7, {{"state_window", 0}}},
    {"Pad", "Pad", 13, 2, 3, 3, {{NULL, 0}}},
    {"SampleOp", "Identity", 13, 1, 1, 1, {{NULL, 0}}},
    {"Trilu", "Trilu", 14, 1, 2, 1, {{NULL, 0}}},
};

struct same {
    const struct op *op;
    void *params; /* of op */
};

static int same_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct same *p = params;
    const struct row *r = rows;
    (void)version;
    while (strcmp(r->name, n->op_type) != 0)
        r++;
    int rc = contrib_inputs(cx, n, r->lo, r->hi, r->required);
    for (int i = 0; !rc && i < 4 && r->only[i].name; i++) {
        int64_t v = r->only[i].value;
        rc = attr_int(cx, n, r->only[i].name, &v);
        if (rc >= 0 && v != r->only[i].value)
            return err_set(cx, E_UNSUPPORTED, "attribute %s is %lld, only %lld is supported", r->only[i].name,
                           (long long)v, (long long)r->only[i].value);
        rc = rc < 0 ? rc : 0;
    }
    if (rc)
        return rc;
    p->op = op_find("", r->as);
    p->params = p->op->params_size ? arena_zalloc(arena, p->op->params_size) : NULL;
    if (p->op->params_size && !p->params)
        return err_nomem(cx);
    return p->op->parse ? p->op->parse(cx, arena, n, r->version, p->params) : 0;
}

/* Input i as one row of integers, whatever its rank; NULL when it is not known. */
static const struct shape_val *flat_ints(struct infer_ctx *ic, int i)
{
    const struct tensor *t = ic_const(ic, i);
    int64_t n = t && dtype_is_int(t->dt) ? tensor_count(t) : -1;
    if (n < 0 || n > SHAPE_VAL_MAX)
        return NULL;
    struct shape_val *v = arena_zalloc(ic->arena, sizeof(*v));
    struct dim *d = arena_array(ic->arena, (size_t)n + 1, sizeof(*d));
    for (int64_t k = 0; v && d && k < n; k++)
        d[k] = dim_const(tensor_i64(t, k));
    if (v && d)
        *v = (struct shape_val){.rank = 1, .n = n, .d = d};
    return v && d ? v : NULL;
}

/* Pad, whose paddings may be a matrix of one row. */
static int row_infer(struct infer_ctx *ic, const struct same *p)
{
    const struct shape_val *vals[3] = {NULL};
    struct infer_ctx sub = *ic;
    for (int i = 0; i < ic->nin && i < 3; i++)
        vals[i] = i == 1 ? flat_ints(ic, 1) : ic_val(ic, i);
    sub.val = vals;
    return p->op->infer(&sub, p->params);
}

static int same_infer(struct infer_ctx *ic, const void *params)
{
    const struct same *p = params;
    if (!strcmp(p->op->name, "Pad") && ic_rank(ic, 1) == 2)
        return row_infer(ic, p);
    return p->op->infer(ic, p->params);
}

static int same_ref(struct exec_ctx *ec, const void *params)
{
    const struct same *p = params;
    return p->op->ref(ec, p->params);
}

#define SAME(opname)                                                                                         \
    {                                                                                                        \
        .domain = "com.microsoft", .name = opname, .tol = TOL_ROUND, .params_size = sizeof(struct same),     \
        .parse = same_parse, .infer = same_infer, .ref = same_ref,                                           \
    }

const struct op op_com_microsoft_CausalConvWithState = SAME("CausalConvWithState");
const struct op op_com_microsoft_ExpandDims = SAME("ExpandDims");
const struct op op_com_microsoft_GatherND = SAME("GatherND");
const struct op op_com_microsoft_GridSample = SAME("GridSample");
const struct op op_com_microsoft_LinearAttention = SAME("LinearAttention");
const struct op op_com_microsoft_Pad = SAME("Pad");
const struct op op_com_microsoft_SampleOp = SAME("SampleOp");
const struct op op_com_microsoft_Trilu = SAME("Trilu");
