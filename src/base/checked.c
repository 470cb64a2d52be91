/* Products of dims, checked for overflow. */
#include "checked.h"

bool dims_count(const int64_t *dims, int n, int64_t *out)
{
    int64_t product = 1;
    bool zero = false, overflow = false;

    for (int i = 0; i < n; i++) {
        if (dims[i] < 0)
            return false;
        if (dims[i] == 0)
            zero = true;
        else if (!overflow)
            overflow = !mul_i64(product, dims[i], &product);
    }
    if (zero)
        product = 0;
    else if (overflow)
        return false;
    *out = product;
    return true;
}
