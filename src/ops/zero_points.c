/* Zero points of 8-bit operands. */
#include "ops/zero_points.h"

#include "ops/wide.h"

int load_zeros(struct exec_ctx *ec, int z, int64_t per, int64_t nmat, struct zeros *out)
{
    *out = (struct zeros){0};
    if (!ec_has(ec, z))
        return 0;
    const struct tensor *t = ec->in[z];
    int64_t n = tensor_count(t), all = n == 1 ? 1 : per * nmat;
    if (n != 1 && n != per && n != per * nmat)
        return err_set(ec->cx, E_SHAPE, "%lld zero points for %lld rows or columns", (long long)n,
                       (long long)per);
    if (!dtype_is_int(t->dt))
        return ec_unsupported(ec, z);
    int32_t *v = ec_scratch(ec, ((size_t)all + 1) * sizeof(int32_t));
    if (!v)
        return ec->cx->err.code;
    for (int64_t i = 0; i < all; i++)
        v[i] = (int32_t)tensor_i64(t, i % n);
    out->v = v;
    out->step = n > 1;
    return 0;
}

bool ec_is_byte(const struct exec_ctx *ec, int i)
{
    return ec_has(ec, i) && (ec->in[i]->dt == DT_UINT8 || ec->in[i]->dt == DT_INT8);
}

bool bc_is_byte(const struct bind_ctx *bc, int i)
{
    return bc_dtype(bc, i) == DT_UINT8 || bc_dtype(bc, i) == DT_INT8;
}
