/* The tile of a convolution in blocked layout over the vector type; see blk.h. All sums stay in registers,
 * which the heights and widths below are made for. */
#include "kern/kern.h"
#include "kern/tmpl/v_names.h"

#if VN == 16
enum { PIXELS_1 = 14, PIXELS_2 = 14, PIXELS_3 = 9 };
#else
enum { PIXELS_1 = 12, PIXELS_2 = 6, PIXELS_3 = 4 };
#endif
enum { LINE = 64 / sizeof(float), SUMS = BLK_VECS * BLK_PIXELS };

static const float zeros[BLK_MAX];

/* Where the pixels of one tap are read: the first and last ones apart. Every third has a pointer of its own,
 * so that addresses need no multiplication. */
struct taps_at {
    const float *first, *last, *p[5];
};

static inline __attribute__((always_inline)) struct taps_at taps_at(const struct blk_tile *t, const float *x,
                                                                    int64_t tw, const int n,
                                                                    const int64_t step)
{
    struct taps_at a;
    uint32_t out = n == 1 ? t->first_out | t->last_out : t->first_out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
        a.p[i] = x + 3 * i * step;
    a.first = out >> tw & 1 ? zeros : x;
    a.last = t->last_out >> tw & 1 ? zeros : x + (n - 1) * step;
    return a;
}

/* All channels of one tap. */
static inline __attribute__((always_inline)) const float *one_tap(struct taps_at a, const float *w, vf *acc,
                                                                  int chans, const int n, const int vecs,
                                                                  const int64_t step, const int64_t chan_step)
{
    for (int c = 0; c < chans; c++) {
        vf wv[BLK_VECS];
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++)
            wv[v] = v_load(w + v * VN);
#pragma GCC unroll 14
        for (int j = 0; j < n; j++) {
            vf f = v_set1(j == 0 ? *a.first : j == n - 1 ? *a.last : a.p[j / 3][j % 3 * step]);
#pragma GCC unroll 3
            for (int v = 0; v < vecs; v++)
                acc[j * vecs + v] = v_fma(f, wv[v], acc[j * vecs + v]);
        }
        w += vecs * VN;
        a.first += chan_step;
        a.last += chan_step;
#pragma GCC unroll 5
        for (int i = 0; i < 5; i++)
            a.p[i] += chan_step;
    }
    return w;
}

/* The epilogue, kind by kind over all sums: v_max and v_min return their second operand when one is NaN. */
static inline __attribute__((always_inline)) void finish(const struct blk_tile *t, vf *acc, const int n,
                                                         const int vecs)
{
    const struct blk_epi *e = &t->e;
    if (e->bias)
#pragma GCC unroll 42
        for (int i = 0; i < n * vecs; i++)
            acc[i] = v_add(acc[i], v_load(e->bias + i % vecs * VN));
    if (e->res)
#pragma GCC unroll 42
        for (int i = 0; i < n * vecs; i++)
            acc[i] = v_add(acc[i], v_load(e->res + i % vecs * t->y_step + i / vecs * t->px_out));
    if (e->act == ACT_RELU) {
#pragma GCC unroll 42
        for (int i = 0; i < n * vecs; i++)
            acc[i] = v_max(v_set1(0.0f), acc[i]);
    } else if (e->act == ACT_CLIP) {
#pragma GCC unroll 42
        for (int i = 0; i < n * vecs; i++)
            acc[i] = v_min(v_set1(e->hi), v_max(v_set1(e->lo), acc[i]));
    } else if (e->act == ACT_LEAKY) {
#pragma GCC unroll 42
        for (int i = 0; i < n * vecs; i++)
            acc[i] = v_sel(v_lt(acc[i], v_set1(0.0f)), v_mul(v_set1(e->lo), acc[i]), acc[i]);
    }
}

/* The pixels of the tile to the right, which the hardware loses sight of among many planes. */
static inline __attribute__((always_inline)) void fetch_next(const float *x, const int n, const int64_t step)
{
#pragma GCC unroll 14
    for (int j = n; j < 2 * n; j++)
        __builtin_prefetch(x + j * step, 0, 2);
}

static inline __attribute__((always_inline)) void tile(const struct blk_tile *t, const int n, const int vecs,
                                                       const int64_t step, const int64_t chan_step)
{
    vf acc[SUMS];
    const float *w = t->w, *soon = t->soon;

#pragma GCC unroll 14
    for (int j = 0; j < n; j++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++)
            acc[j * vecs + v] = t->load ? v_load(t->y + v * t->y_step + j * t->px_out) : v_set1(0.0f);
    for (int64_t b = 0; b < t->blocks; b++) {
        int chans = b + 1 < t->blocks ? t->chans : t->last_chans;
        int64_t row_floats = t->kw * chans * vecs * VN;
        const float *x = t->x + b * t->block_step;
        const float *wr = w + t->th0 * row_floats;
        for (int64_t th = t->th0; th < t->th1; th++)
            for (int64_t tw = 0; tw < t->kw; tw++) {
                for (int i = 0; i < t->soon_lines; i++, soon += LINE)
                    __builtin_prefetch(soon, 0, 2);
                if (tw * t->col_step < step)
                    fetch_next(x + th * t->row_step + tw * t->col_step, n, step);
                wr = one_tap(taps_at(t, x + th * t->row_step + tw * t->col_step, tw, n, step), wr, acc, chans,
                             n, vecs, step, chan_step);
            }
        w += t->kh * row_floats;
    }
    if (t->finish)
        finish(t, acc, n, vecs);
#pragma GCC unroll 14
    for (int j = 0; j < n; j++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++)
            v_store(t->y + v * t->y_step + j * t->px_out, acc[j * vecs + v]);
}

/* Neighbouring pixels side by side, the usual case, has code of its own. */
static inline __attribute__((always_inline)) void any_step(const struct blk_tile *t, const int n,
                                                           const int vecs)
{
    if (t->px_step == VN && t->chan_step == 1)
        tile(t, n, vecs, VN, 1);
    else
        tile(t, n, vecs, t->px_step, t->chan_step);
}

static inline __attribute__((always_inline)) void any_vecs(const struct blk_tile *t, const int n)
{
    if (t->vecs == 1 && n <= PIXELS_1)
        any_step(t, n, 1);
    else if (t->vecs == 2 && n <= PIXELS_2)
        any_step(t, n, 2);
    else if (n <= PIXELS_3)
        any_step(t, n, 3);
}

static void pixels_1(const struct blk_tile *t)
{
    any_vecs(t, 1);
}

static void pixels_2(const struct blk_tile *t)
{
    any_vecs(t, 2);
}

static void pixels_3(const struct blk_tile *t)
{
    any_vecs(t, 3);
}

static void pixels_4(const struct blk_tile *t)
{
    any_vecs(t, 4);
}

static void pixels_5(const struct blk_tile *t)
{
    any_vecs(t, 5);
}

static void pixels_6(const struct blk_tile *t)
{
    any_vecs(t, 6);
}

static void pixels_7(const struct blk_tile *t)
{
    any_vecs(t, 7);
}

static void pixels_8(const struct blk_tile *t)
{
    any_vecs(t, 8);
}

static void pixels_9(const struct blk_tile *t)
{
    any_vecs(t, 9);
}

static void pixels_10(const struct blk_tile *t)
{
    any_vecs(t, 10);
}

static void pixels_11(const struct blk_tile *t)
{
    any_vecs(t, 11);
}

static void pixels_12(const struct blk_tile *t)
{
    any_vecs(t, 12);
}

static void pixels_13(const struct blk_tile *t)
{
    any_vecs(t, 13);
}

static void pixels_14(const struct blk_tile *t)
{
    any_vecs(t, 14);
}

static void (*const by_pixels[BLK_PIXELS])(const struct blk_tile *) = {
    pixels_1, pixels_2, pixels_3,  pixels_4,  pixels_5,  pixels_6,  pixels_7,
    pixels_8, pixels_9, pixels_10, pixels_11, pixels_12, pixels_13, pixels_14,
};

static void run(const struct blk_tile *t)
{
    by_pixels[t->n - 1](t);
}

const struct blk_conv_kern VNAME(blk_conv) = {VN, {PIXELS_1, PIXELS_2, PIXELS_3}, run};
