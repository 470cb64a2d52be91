/* Moves of elements of one width. */
#include <string.h>

#include "kern/kern.h"

void NAME(stride)(const void *in, ptrdiff_t step, void *out, size_t n)
{
    const T *x = in;
    T *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = x[(ptrdiff_t)i * step];
}

/* By tiles, so that both sides stay in the first-level cache. */
void NAME(transpose2d)(const void *in, size_t in_ld, void *out, size_t out_ld, size_t rows, size_t cols)
{
    enum { TILE = 16 };
    const T *x = in;
    T *y = out;
    for (size_t r0 = 0; r0 < rows; r0 += TILE) {
        size_t r1 = rows - r0 < TILE ? rows : r0 + TILE;
        for (size_t c0 = 0; c0 < cols; c0 += TILE) {
            size_t c1 = cols - c0 < TILE ? cols : c0 + TILE;
            for (size_t c = c0; c < c1; c++)
                for (size_t r = r0; r < r1; r++)
                    y[c * out_ld + r] = x[r * in_ld + c];
        }
    }
}

void NAME(fill)(void *out, const void *value, size_t n)
{
    T *y = out, v = *(const T *)value;
    for (size_t i = 0; i < n; i++)
        y[i] = v;
}

void NAME(pick)(const void *in, const int64_t *idx, void *out, size_t n)
{
    const T *x = in;
    T *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = x[idx[i]];
}

void NAME(put)(void *data, const int64_t *offset, const void *upd, size_t n, size_t slice)
{
    T *d = data;
    const T *u = upd;
    if (slice == 1) {
        for (size_t i = 0; i < n; i++)
            d[offset[i]] = u[i];
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(d + offset[i], u + i * slice, slice * sizeof(T));
}

void NAME(where)(const uint8_t *cond, const void *a, const void *b, void *out, size_t n, const bool scalar[3])
{
    const T *x = a, *y = b;
    T *o = out;
    size_t sc = !scalar[0], sx = !scalar[1], sy = !scalar[2];
    if (sc && sx && sy) {
        for (size_t i = 0; i < n; i++)
            o[i] = cond[i] ? x[i] : y[i];
        return;
    }
    for (size_t i = 0; i < n; i++)
        o[i] = cond[i * sc] ? x[i * sx] : y[i * sy];
}
