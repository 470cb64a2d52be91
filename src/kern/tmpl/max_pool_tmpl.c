/* MaxPool of any rank; the first of equal values has the index, a NaN wins and stays. */
#include "kern/kern.h"
#include "kern/tmpl/pool_walk.h"

/* The same position counted with the first axis fastest. */
static int64_t column_major(const struct pool_params *p, int64_t at)
{
    int64_t pos[POOL_RANK], r = 0;
    for (int i = p->rank - 1; i >= 0; i--) {
        pos[i] = at % p->in[i];
        at /= p->in[i];
    }
    for (int i = p->rank - 1; i >= 0; i--)
        r = r * p->in[i] + pos[i];
    return r;
}

/* Position of the maximum of a window with at least one tap. */
static int64_t window_max(const struct pool_params *p, const struct pool_window *w, const T *x)
{
    int64_t t[POOL_RANK] = {0}, best = w->base;
    do {
        int64_t at = pool_tap(p, w, t);
        if (x[at] > x[best] || (is_nan(x[at]) && !is_nan(x[best])))
            best = at;
    } while (pool_next(p->rank, w->count, t));
    return best;
}

void NAME(max_pool)(const struct pool_params *p, const void *in, void *out, int64_t *index, size_t planes,
                    size_t first_plane)
{
    int64_t in_size = pool_size_of(p, p->in), out_size = pool_size_of(p, p->out);
    for (size_t c = 0; c < planes && out_size; c++) {
        const T *x = (const T *)in + (int64_t)c * in_size;
        T *y = (T *)out + (int64_t)c * out_size;
        int64_t pos[POOL_RANK] = {0}, o = 0, plane = (int64_t)(first_plane + c) * in_size;
        do {
            struct pool_window w;
            pool_window(p, pos, &w);
            int64_t at = w.taps ? window_max(p, &w, x) : -1;
            y[o] = at < 0 ? (T)T_LOWEST : x[at];
            if (index)
                index[(int64_t)c * out_size + o] =
                    at < 0 ? plane : plane + (p->column_major ? column_major(p, at) : at);
            o++;
        } while (pool_next(p->rank, p->out, pos));
    }
}
