/* What the Attention operators of com.microsoft share: masks, the cache of keys and values. All of them
 * compute in float. */
#ifndef OT_OPS_CONTRIB_ATTN_H
#define OT_OPS_CONTRIB_ATTN_H

#include "ops/attn_core.h"
#include "ops/contrib.h"

/* What is added to the scores; filled by ms_mask_set(). */
struct ms_mask {
    const struct tensor *mask; /* int32; NULL: none */
    const struct tensor *add;  /* [batch or 1, heads or 1, q, total or more]; NULL: none */
    double filter;             /* instead of 0 where the mask says no */
    bool causal;
    int64_t past; /* position of query 0 */
};

/* Sets bias and user of a, whose sizes are known, from inputs `mask` and `add` (either may be left out).
 * mask: [batch] ends; [2 batch] ends, then beginnings; [3 batch + 2] ends, then what only packed inputs need;
 * [batch, total] or [batch, q, total] flags; [batch, 1, max, max] flags by absolute position of query and
 * key. E_SHAPE when one of them does not fit. m must outlive the run. */
int ms_mask_set(struct attn *a, struct ms_mask *m, int mask, int add);

/* Keys or values of all steps: `past` rows of a cache, then kv new ones. */
struct ms_cache {
    int64_t batch, heads, size;
    int64_t past, kv;
    int64_t past_rows; /* rows the cache has room for; as many as past unless the buffer is shared */
    int64_t rows;      /* of the result, past + kv at least */
};

/* [batch, heads, rows, size] at `to` (NULL: scratch memory, when it is needed), from the cache at `past`
 * (NULL: none) and the new rows. Rows behind them are what the cache has there, else zero. *out: where to
 * read. */
int ms_cache_join(struct exec_ctx *ec, const struct ms_cache *c, const float *past,
                  const struct attn_view *now, float *to, struct attn_view *out);

/* x[i][j] + bias[j], n columns, in scratch memory; x itself when bias is NULL; NULL with the error set. */
const float *ms_add_bias(struct exec_ctx *ec, const float *x, int64_t count, const float *bias, int64_t n);

/* Rotation of heads by position. */
struct ms_rotary {
    const float *cos, *sin; /* [rows, half] */
    int64_t rows, half;
    bool interleaved; /* pairs are neighbours, else half apart */
};

/* Reads the caches at inputs c and s; E_SHAPE unless both are [rows, half] for half > 0 and 2 half <= size.
 */
int ms_rotary_open(struct exec_ctx *ec, int c, int s, int64_t size, struct ms_rotary *r);
/* One head: y = x turned by cos and sin, [half] each; what lies behind 2 half of the size values is copied.
 */
void ms_rotate(const struct ms_rotary *r, const float *c, const float *s, const float *x, float *y,
               int64_t size);
/* E_VALUE unless position is one of the caches' rows. */
int ms_rotary_check(struct cx *cx, const struct ms_rotary *r, int64_t position);

/* float, float16 and bfloat16: for the supports hook. */
bool ms_float_supports(const struct bind_ctx *bc, const void *params, char *why, size_t size);

#endif
