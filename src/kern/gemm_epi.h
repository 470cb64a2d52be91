/* The scalar form of the epilogue, which every tile kernel follows. */
#ifndef OT_KERN_GEMM_EPI_H
#define OT_KERN_GEMM_EPI_H

#include "kern/gemm.h"

static inline float epi_act(const struct gemm_epi *e, float v)
{
    switch (e->act) {
    case ACT_NONE:
        break;
    case ACT_RELU:
        return v < 0.0f ? 0.0f : v;
    case ACT_CLIP:
        v = v < e->lo ? e->lo : v;
        return v > e->hi ? e->hi : v;
    case ACT_LEAKY:
        return v < 0.0f ? e->lo * v : v;
    }
    return v;
}

/* The sum s of element (m, n), finished. The terms are added in this order everywhere. */
static inline float epi_value(const struct gemm_epi *e, float s, int64_t m, int64_t n)
{
    float v = e->alpha * s;
    if (e->bias_m)
        v += e->beta * e->bias_m[m];
    if (e->bias_n)
        v += e->beta * e->bias_n[n];
    if (e->res)
        v += e->beta * e->res[m * e->ldres + n];
    return epi_act(e, v);
}

#endif
