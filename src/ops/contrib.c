#include "ops/contrib.h"

#include <math.h>

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
