/* Scaled dot-product attention over strided operands: what the Attention operators of all domains share.
 *
 * One pair of (batch, query head) is one unit of work: S = scale Q K^T, then row by row soft cap, bias and
 * softmax, then Y = S V. Queries, keys and values are read through strides, so no layout is rearranged. */
#ifndef OT_OPS_ATTN_CORE_H
#define OT_OPS_ATTN_CORE_H

#include "ops/wide.h"

/* [batch][head][step][size] anywhere in memory; strides in elements, sizes adjacent. */
struct attn_view {
    const char *p;
    int64_t b, h, s;
};

/* Scores that `show` gets a copy of. */
enum attn_stage { ATTN_RAW, ATTN_CAPPED, ATTN_BIASED, ATTN_SOFTMAX };

struct attn {
    struct exec_ctx *ec;
    enum dtype dt;                          /* of all operands: float or double */
    int64_t batch, hq, hk, q, total, d, dv; /* hq is a multiple of hk; total: keys */
    struct attn_view vq, vk, vv, vy;        /* y is written */
    double scale, softcap;                  /* softcap 0: none */
    const double *sink;                     /* [hq]: joins each row's softmax, then drops out; NULL: none */
    enum attn_stage stage;                  /* of show */
    char *show;                             /* [batch, hq, q, total] of dt; NULL: not wanted */
    /* What is added to the scores of query i, into row[total]. False: nothing is left to attend to, the row
     * of probabilities becomes zero. NULL: nothing is added. */
    bool (*bias)(const struct attn *a, int64_t b, int64_t h, int64_t i, double *row);
    const void *user; /* for bias */
    /* attn_run's own: per thread scores, one bias row, room for the product */
    char *scratch;
    size_t size, per_thread, bias_at, gemm_at;
};

/* Over the pool of ec; dims of 0 are allowed. */
int attn_run(struct attn *a);

/* Steps [0, steps) of rows that lie as a view of heads: flat [batch, steps, heads, size], else
 * [batch, heads, steps, size]. */
struct attn_view attn_view_of(const void *p, bool flat, int64_t heads, int64_t steps, int64_t size);

#endif
