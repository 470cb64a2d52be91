/* Scatter with a reduction, in the order of the updates; after arith_tmpl.c. */
#include "kern/kern.h"

static inline __attribute__((always_inline)) void scatter(scalar_fn *f, T *d, const int64_t *offset,
                                                          const T *u, size_t n, size_t slice)
{
    for (size_t i = 0; i < n; i++) {
        T *row = d + offset[i];
        for (size_t j = 0; j < slice; j++)
            row[j] = f(row[j], u[i * slice + j]);
    }
}

void NAME(scatter_add)(void *data, const int64_t *offset, const void *upd, size_t n, size_t slice)
{
    scatter(add, data, offset, upd, n, slice);
}
void NAME(scatter_mul)(void *data, const int64_t *offset, const void *upd, size_t n, size_t slice)
{
    scatter(mul, data, offset, upd, n, slice);
}
void NAME(scatter_max)(void *data, const int64_t *offset, const void *upd, size_t n, size_t slice)
{
    scatter(max, data, offset, upd, n, slice);
}
void NAME(scatter_min)(void *data, const int64_t *offset, const void *upd, size_t n, size_t slice)
{
    scatter(min, data, offset, upd, n, slice);
}
