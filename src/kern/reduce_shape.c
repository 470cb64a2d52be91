/* Reduced axes brought to [outer, reduced, inner]. */
#include "kern/reduce.h"

bool red_collapse(int rank, const int64_t *dims, const bool *red, struct red_shape *s)
{
    size_t part[3] = {1, 1, 1}; /* before, in and after the run of reduced axes */
    int at = 0;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 1)
            continue;
        if (red[i] && at == 0)
            at = 1;
        else if (!red[i] && at == 1)
            at = 2;
        else if (red[i] && at == 2)
            return false;
        part[at] *= (size_t)dims[i];
    }
    *s = red_shape(part[0], part[1], part[2]);
    return true;
}
