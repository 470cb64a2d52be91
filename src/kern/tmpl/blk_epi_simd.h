/* The epilogue of blk.h over the vector type. Static functions only. */
#ifndef OT_KERN_BLK_EPI_SIMD_H
#define OT_KERN_BLK_EPI_SIMD_H

#include "kern/blk.h"

static inline vf blk_act(const struct blk_epi *e, vf v)
{
    /* v_max and v_min return their second operand when one is NaN. */
    switch (e->act) {
    case ACT_NONE:
        break;
    case ACT_RELU:
        return v_max(v_set1(0.0f), v);
    case ACT_CLIP:
        return v_min(v_set1(e->hi), v_max(v_set1(e->lo), v));
    case ACT_LEAKY:
        return v_sel(v_lt(v, v_set1(0.0f)), v_mul(v_set1(e->lo), v), v);
    }
    return v;
}

/* The sum s of channels chan and on, whose residual is at e->res[at]. */
static inline vf blk_finish(const struct blk_epi *e, vf s, int64_t chan, int64_t at)
{
    if (e->bias)
        s = v_add(s, v_load(e->bias + chan));
    if (e->res)
        s = v_add(s, v_load(e->res + at));
    return blk_act(e, s);
}

#endif
