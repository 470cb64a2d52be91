/* Ranges of the quantized types. */
#include "kern/quant.h"

bool quant_range(enum dtype dt, int32_t *lo, int32_t *hi)
{
    const struct dtype_info *t = dtype_info(dt);
    if ((t->cls != CLS_INT && t->cls != CLS_UINT) || t->bits > 16)
        return false;
    *lo = t->cls == CLS_INT ? -(1 << (t->bits - 1)) : 0;
    *hi = (1 << (t->cls == CLS_INT ? t->bits - 1 : t->bits)) - 1;
    return true;
}
