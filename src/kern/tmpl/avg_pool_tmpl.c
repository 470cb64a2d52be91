/* Average and Lp pooling of any rank, sums in double. */
#include <math.h>

#include "kern/kern.h"
#include "kern/tmpl/pool_walk.h"

typedef double tap_fn(double x, double p);
typedef double last_fn(double sum, const struct pool_params *p, const struct pool_window *w);

static inline __attribute__((always_inline)) void pool_sums(const struct pool_params *p, const T *in, T *out,
                                                            size_t planes, tap_fn *tap, last_fn *last)
{
    int64_t in_size = pool_size_of(p, p->in), out_size = pool_size_of(p, p->out);
    for (size_t c = 0; c < planes && out_size; c++, in += in_size) {
        int64_t pos[POOL_RANK] = {0};
        do {
            struct pool_window w;
            int64_t t[POOL_RANK] = {0};
            double sum = 0;
            pool_window(p, pos, &w);
            if (w.taps)
                do
                    sum += tap((double)in[pool_tap(p, &w, t)], p->p);
                while (pool_next(p->rank, w.count, t));
            *out++ = (T)last(sum, p, &w);
        } while (pool_next(p->rank, p->out, pos));
    }
}

static inline double tap_same(double x, double p)
{
    (void)p;
    return x;
}
static inline double last_mean(double sum, const struct pool_params *p, const struct pool_window *w)
{
    return sum / (double)(p->count_include_pad ? w->padded : w->taps);
}
static inline double tap_power(double x, double p)
{
    x = fabs(x);
    return p == 1 ? x : p == 2 ? x * x : pow(x, p);
}
static inline double last_root(double sum, const struct pool_params *p, const struct pool_window *w)
{
    (void)w;
    return p->p == 1 ? sum : p->p == 2 ? sqrt(sum) : pow(sum, 1.0 / p->p);
}

void NAME(avg_pool)(const struct pool_params *p, const void *in, void *out, size_t planes)
{
    pool_sums(p, in, out, planes, tap_same, last_mean);
}
void NAME(lp_pool)(const struct pool_params *p, const void *in, void *out, size_t planes)
{
    pool_sums(p, in, out, planes, tap_power, last_root);
}
