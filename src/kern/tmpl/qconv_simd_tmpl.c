/* Quantized layers on the vectors of v_*.h. The including file gives Q_NAME(what), MR, and on byte vectors vb
 * of 4 * VN lanes:
 *
 *   q_dot(s, x, w)        s + the four products of each 32-bit lane, x unsigned, w signed, exact
 *   q_low8, q_high8, q_low16, q_high16   unpacking within 128-bit lanes
 *   q_load_n, q_store4_n  bytes under a count; four vectors of 32-bit lanes, packed within 128-bit lanes
 */
#include "kern/kern.h"
#include "kern/tmpl/v_math.h"

enum { NR = 2 * VN, BLOCK = 4 * VN };

struct bounds {
    vf zero, lo, hi;
};

static inline struct bounds bounds_of(const struct q_out *o)
{
    return (struct bounds){v_set1((float)o->zero), v_set1((float)o->lo), v_set1((float)o->hi)};
}

static inline vi clamped(vf r, const struct bounds *b)
{
    return v_to_int(v_min(v_max(v_add(v_nearest(r), b->zero), b->lo), b->hi));
}

static inline vi requantize(vi sum, vf mult, const struct bounds *b)
{
    return clamped(v_mul(v_to_float(sum), mult), b);
}

/* ---- products ---- */

static inline __attribute__((always_inline)) void tile(const struct q_tile *t, const int m)
{
    v_sums acc[MR][2];
    const uint8_t *a[(MR + 2) / 3];
    const int8_t *b = t->b;
    const int64_t ld = t->lda;
    const struct bounds bounds = bounds_of(&t->out);

#pragma GCC unroll 14
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++)
            acc[i][v] = (v_sums)v_iload(t->bias + v * VN);
#pragma GCC unroll 5
    for (int i = 0; i < (m + 2) / 3; i++)
        a[i] = t->a + 3 * i * ld;
    for (int64_t q = t->quads; q > 0; q--) {
        vw b0 = q_weights(b), b1 = q_weights(b + 4 * VN);
#pragma GCC unroll 14
        for (int i = 0; i < m; i++) {
            vx x = q_quad(a[i / 3] + i % 3 * ld);
            acc[i][0] = (v_sums)q_dot((vi)acc[i][0], x, b0);
            acc[i][1] = (v_sums)q_dot((vi)acc[i][1], x, b1);
        }
#pragma GCC unroll 5
        for (int i = 0; i < (m + 2) / 3; i++)
            a[i] += 4;
        b += 2 * 4 * VN;
    }
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
        vf mult = v_load(t->mult + v * VN);
        int n = t->n - v * VN;
        n = n > VN ? VN : n < 0 ? 0 : n;
#pragma GCC unroll 14
        for (int i = 0; i < m; i++)
            v_store_low8(t->y + i * t->ldy + v * VN, requantize((vi)acc[i][v], mult, &bounds), (size_t)n);
    }
}

/* ---- depthwise ---- */

/* Four taps of BLOCK channels, to four vectors with a channel's taps side by side. */
static inline void interleave(const vb *x, vb *q)
{
    vb l0 = q_low8(x[0], x[1]), h0 = q_high8(x[0], x[1]);
    vb l1 = q_low8(x[2], x[3]), h1 = q_high8(x[2], x[3]);
    q[0] = q_low16(l0, l1);
    q[1] = q_high16(l0, l1);
    q[2] = q_low16(h0, h1);
    q[3] = q_high16(h0, h1);
}

/* Block `w` at channel c, n of its channels, all pixels. */
static inline __attribute__((always_inline)) void dw_block(const struct q_dw *d, const uint8_t *w, int64_t c,
                                                           size_t n, const struct bounds *bounds)
{
    const int32_t *bias = (const int32_t *)w;
    const float *mult = (const float *)w + BLOCK;
    const vb flip = q_set1(d->flip);
    for (int64_t i = 0; i < d->npix; i++) {
        const int8_t *k = (const int8_t *)w + BLOCK * 8;
        vi sum[4];
        for (int v = 0; v < 4; v++)
            sum[v] = v_iload(bias + v * VN);
        for (int64_t t = 0; t < d->quads * 4; t += 4, k += BLOCK * 4) {
            vb x[4], q[4];
            for (int u = 0; u < 4; u++)
                x[u] = q_xor(q_load_n(d->x[t + u] + i * d->xstep + c, n), flip);
            interleave(x, q);
            for (int v = 0; v < 4; v++)
                sum[v] = q_dot(sum[v], q_bytes(q[v]), q_weights(k + v * 4 * VN));
        }
        for (int v = 0; v < 4; v++)
            sum[v] = requantize(sum[v], v_load(mult + v * VN), bounds);
        q_store4_n(d->y + i * d->ystep + c, sum, n);
    }
}

static void dw(const struct q_dw *d)
{
    const size_t block_bytes = (size_t)BLOCK * 4 * (size_t)(d->quads + 2);
    const struct bounds bounds = bounds_of(&d->out);
    const uint8_t *w = d->w;
    int64_t c = 0;
    for (; c + BLOCK <= d->channels; c += BLOCK, w += block_bytes)
        dw_block(d, w, c, BLOCK, &bounds);
    if (c < d->channels)
        dw_block(d, w, c, (size_t)(d->channels - c), &bounds);
}

const struct q_dw_kern Q_NAME(dw) = {BLOCK, dw};

/* ---- addition ---- */

static inline vi load8(const uint8_t *p, size_t n, bool is_signed)
{
    return is_signed ? v_load_s8(p, n) : v_load_u8(p, n);
}

void Q_NAME(add)(const uint8_t *a, const uint8_t *b, uint8_t *y, size_t n, const struct q_add *p)
{
    const struct bounds bounds = bounds_of(&p->out);
    const vf as = v_set1(p->as), bs = v_set1(p->bs), ys = v_set1(p->ys);
    const vi az = v_iset1(p->az), bz = v_iset1(p->bz);
    for (size_t i = 0; i < n; i += VN) {
        size_t m = n - i < VN ? n - i : VN;
        vf u = v_mul(v_to_float(v_isub(load8(a + i, m, p->a_signed), az)), as);
        vf v = v_mul(v_to_float(v_isub(load8(b + i, m, p->b_signed), bz)), bs);
        v_store_low8(y + i, clamped(v_div(v_add(u, v), ys), &bounds), m);
    }
}
