/* Reference of quantized layers. */
#include <math.h>
#include <string.h>

#include "kern/kern.h"

enum { MR = 4, NR = 8, BLOCK = 16 };

static uint8_t clamp(float r, const struct q_out *o)
{
    float f = r + (float)o->zero;
    return (uint8_t)(f >= (float)o->hi ? o->hi : f > (float)o->lo ? (int32_t)f : o->lo);
}

static uint8_t requantize(uint32_t sum, float mult, const struct q_out *o)
{
    return clamp(nearbyintf((float)(int32_t)sum * mult), o);
}

static void tile(const struct q_tile *t)
{
    for (int i = 0; i < t->m; i++)
        for (int j = 0; j < t->n; j++) {
            uint32_t sum = (uint32_t)t->bias[j];
            for (int64_t k = 0; k < t->quads * 4; k++)
                sum += (uint32_t)(t->a[i * t->lda + k] * t->b[k / 4 * NR * 4 + j * 4 + k % 4]);
            t->y[i * t->ldy + j] = requantize(sum, t->mult[j], &t->out);
        }
}

const struct q_tile_kern k_q8_tile_4x8_c = {MR, NR, tile};

static void dw_pixel(const struct q_dw *d, int64_t i)
{
    const size_t block_bytes = (size_t)BLOCK * 4 * (size_t)(d->quads + 2);
    for (int64_t c = 0; c < d->channels; c++) {
        const uint8_t *block = d->w + (size_t)(c / BLOCK) * block_bytes;
        const int8_t *w = (const int8_t *)block + BLOCK * 8 + c % BLOCK * 4;
        uint32_t sum = (uint32_t)((const int32_t *)block)[c % BLOCK];
        for (int64_t t = 0; t < d->quads * 4; t++)
            sum += (uint32_t)((d->x[t][i * d->xstep + c] ^ d->flip) * w[t / 4 * BLOCK * 4 + t % 4]);
        d->y[i * d->ystep + c] = requantize(sum, ((const float *)block)[BLOCK + c % BLOCK], &d->out);
    }
}

static void dw(const struct q_dw *d)
{
    for (int64_t i = 0; i < d->npix; i++)
        dw_pixel(d, i);
}

const struct q_dw_kern k_q8_dw_c = {BLOCK, dw};

static int32_t value(uint8_t q, bool is_signed)
{
    return is_signed ? (int8_t)q : q;
}

void k_q8_add_c(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n, const struct q_add *p)
{
    for (size_t i = 0; i < n; i++) {
        float u = (float)(value(a[i], p->a_signed) - p->az) * p->as;
        float v = (float)(value(b[i], p->b_signed) - p->bz) * p->bs;
        y[i] = clamp(nearbyintf((u + v) / p->ys), &p->out);
    }
}
