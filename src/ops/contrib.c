#include "ops/contrib.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kern/quant.h"

int contrib_inputs(struct cx *cx, const struct node *n, int lo, int hi, unsigned required)
{
    if (n->nin < lo || n->nin > hi)
        return err_set(cx, E_MODEL, "%d inputs, expected %d to %d", n->nin, lo, hi);
    for (int i = 0; i < n->nin && i < 32; i++)
        if (!n->in[i] && required >> i & 1)
            return err_set(cx, E_MODEL, "input %d is left out, but not optional", i);
    return 0;
}

static int one_value(struct exec_ctx *ec, int i, double *out)
{
    if (!ec_has(ec, i))
        return 0;
    if (tensor_count(ec->in[i]) != 1)
        return err_set(ec->cx, E_UNSUPPORTED, "input %d is a scale or zero point of more than one value", i);
    *out = tensor_f64(ec->in[i], 0);
    return 0;
}

int contrib_dequant(struct exec_ctx *ec, int x, int scale, int zero, double **out)
{
    double s = 1, z = 0;
    int64_t n = tensor_count(ec->in[x]);
    int rc = one_value(ec, scale, &s);
    if (!rc)
        rc = one_value(ec, zero, &z);
    *out = rc ? NULL : ec_scratch(ec, ((size_t)n + 1) * sizeof(double));
    if (!*out)
        return rc ? rc : ec->cx->err.code;
    if (!dtype_is_int(ec->in[x]->dt))
        return ec_unsupported(ec, x);
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = (tensor_f64(ec->in[x], i) - z) * s;
    return 0;
}

int contrib_quant(struct exec_ctx *ec, const double *v, int scale, int zero)
{
    struct tensor *t = ec->out[0];
    const struct dtype_info *info = dtype_info(t->dt);
    double s = 1, z = 0;
    int rc = one_value(ec, scale, &s);
    if (!rc)
        rc = one_value(ec, zero, &z);
    if (rc)
        return rc;
    bool is_signed = info->cls == CLS_INT;
    double hi = ldexp(1, (int)info->bits - is_signed) - 1, lo = is_signed ? -hi - 1 : 0;
    for (int64_t i = 0, n = tensor_count(t); i < n; i++) {
        double q = rint((double)((float)v[i] / (float)s)) + z;
        q = q > hi ? hi : q >= lo ? q : lo; /* NaN: lo */
        info->store_i64((char *)t->data + (size_t)i * info->size, (int64_t)q);
    }
    return 0;
}

/* ---- one operator by means of another ---- */

struct tensor *contrib_temp(struct exec_ctx *ec, enum dtype dt, int rank, const int64_t *dims)
{
    int64_t n = 1, bytes;
    struct tensor *t = ec_scratch(ec, sizeof(*t));
    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->dt = dt;
    t->rank = rank;
    bool fits = true;
    for (int i = 0; i < rank; i++) {
        t->dims[i] = dims[i];
        fits = fits && mul_i64(n, dims[i], &n);
    }
    if (!fits || !mul_i64(n, (int64_t)dtype_size(dt), &bytes) || bytes > INT64_MAX - 64) {
        err_set(ec->cx, E_LIMIT, "the operands are too large");
        return NULL;
    }
    t->data = ec_scratch(ec, (size_t)bytes + 64);
    return t->data ? t : NULL;
}

int contrib_permute(struct exec_ctx *ec, const struct tensor *t, const int *perm, const struct tensor **out)
{
    int64_t dims[TENSOR_MAX_RANK], order[TENSOR_MAX_RANK];
    struct copy_plan plan;
    for (int i = 0; i < t->rank; i++) {
        dims[i] = t->dims[perm[i]];
        order[i] = perm[i];
    }
    struct tensor *p = contrib_temp(ec, t->dt, t->rank, dims);
    *out = p;
    if (!p)
        return ec->cx->err.code;
    if (copy_init_transpose(&plan, t->rank, t->dims, order))
        return err_set(ec->cx, E_UNSUPPORTED, "%d axes are too many to reorder", t->rank);
    if (tensor_count(t))
        ec_copy(ec, &plan, dtype_size(t->dt), t->data, p->data);
    return 0;
}

/* Values of input i as float and integer parameters of a quantized tensor: count of them. */
static int params_fit(struct exec_ctx *ec, int i, int64_t extent)
{
    int64_t n = ec_has(ec, i) ? tensor_count(ec->in[i]) : 1;
    if (n == 1 || n == extent)
        return 0;
    return err_set(ec->cx, E_SHAPE, "input %d has %lld values, expected 1 or %lld", i, (long long)n,
                   (long long)extent);
}

/* The value of scale or zero point i that belongs to index k. */
static double param_at(const struct exec_ctx *ec, int i, int64_t k, double none)
{
    return ec_has(ec, i) ? tensor_f64(ec->in[i], tensor_count(ec->in[i]) == 1 ? 0 : k) : none;
}

int contrib_float(struct exec_ctx *ec, int i, int scale, int zero, int axis, const struct tensor **out)
{
    const struct tensor *x = ec->in[i];
    dequantize_fn *fn = ec->kern->quant.dequantize[x->dt];
    if (!fn || !ec_has(ec, scale))
        return ec_unsupported(ec, i);
    struct tensor *t = contrib_temp(ec, DT_FLOAT, x->rank, x->dims);
    *out = t;
    if (!t)
        return ec->cx->err.code;
    bool one = tensor_count(ec->in[scale]) == 1 && (!ec_has(ec, zero) || tensor_count(ec->in[zero]) == 1);
    int64_t extent = one || axis >= x->rank ? 1 : x->dims[axis];
    int64_t run = one ? tensor_count(x) : dims_prod(x->dims, axis + 1, x->rank);
    int rc = params_fit(ec, scale, extent);
    if (!rc)
        rc = params_fit(ec, zero, extent);
    for (int64_t at = 0, k = 0; !rc && run && at < tensor_count(x); at += run, k = (k + 1) % extent)
        fn((const char *)x->data + (size_t)at * dtype_size(x->dt), (float *)t->data + at, (size_t)run,
           (float)param_at(ec, scale, k, 1), (int32_t)param_at(ec, zero, k, 0));
    return rc;
}

int contrib_round(struct exec_ctx *ec, const struct tensor *v, int scale, int zero)
{
    struct tensor *y = ec->out[0];
    quantize_fn *fn = ec->kern->quant.quantize[y->dt];
    int rc = params_fit(ec, scale, 1);
    if (!rc)
        rc = params_fit(ec, zero, 1);
    if (rc)
        return rc;
    if (!fn || tensor_count(v) != tensor_count(y))
        return err_set(ec->cx, E_TYPE, "the output cannot hold the quantized values");
    fn(v->data, y->data, (size_t)tensor_count(y), (float)param_at(ec, scale, 0, 1),
       (int32_t)param_at(ec, zero, 0, 0));
    return 0;
}

int contrib_run(struct exec_ctx *ec, const struct op *op, const void *params, const struct step *step,
                const struct tensor **ins, int nin, struct tensor **outs, int nout)
{
    struct exec_ctx in = *ec;
    in.in = ins;
    in.nin = nin;
    in.out = outs;
    in.nout = nout;
    return step && step->run ? step->run(&in, step->state) : op->ref(&in, params);
}

static const struct tensor *inner_const(struct bind_ctx *bc, int i)
{
    struct contrib_bind *b = bc->driver;
    return b->konst[i] ? b->konst[i] : bc_const(b->outer, b->from[i]);
}

static void *inner_alloc(struct bind_ctx *bc, size_t bytes)
{
    struct contrib_bind *b = bc->driver;
    return bc_alloc(b->outer, bytes);
}

void contrib_bind_init(struct contrib_bind *b, struct bind_ctx *outer, const int *from, int nin)
{
    *b = (struct contrib_bind){.bc = *outer, .outer = outer};
    b->bc.driver = b;
    b->bc.get_const = inner_const;
    b->bc.alloc = inner_alloc;
    b->bc.in = b->types;
    b->bc.nin = nin;
    b->bc.const_mask = 0;
    for (int i = 0; i < nin && i < CONTRIB_INNER; i++) {
        b->from[i] = from[i];
        bool there = from[i] >= 0 && from[i] < outer->nin;
        b->types[i] = there ? outer->in[from[i]] : NULL;
        if (there && bc_is_const(outer, from[i]))
            b->bc.const_mask |= UINT64_C(1) << i;
    }
}

int contrib_bind_const(struct contrib_bind *b, int i, const struct tensor *t)
{
    b->konst[i] = t;
    b->bc.const_mask |= UINT64_C(1) << i;
    b->types[i] = type_of_tensor(b->bc.arena, t);
    return b->types[i] ? 0 : err_nomem(b->bc.cx);
}
