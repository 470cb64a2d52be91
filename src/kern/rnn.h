/* Pointwise parts of recurrent cells with the default activations, float. One row is one batch entry; gates
 * are sums (input and recurrent products and biases) before the activation. */
#ifndef OT_KERN_RNN_H
#define OT_KERN_RNN_H

#include "kern/vec.h"

/* gates: [i, o, f, c] of n values each (ONNX order). c is read and written, h written.
 * peephole (may be NULL): [i, o, f] of n. clip <= 0: none. */
typedef void lstm_cell_fn(const float *gates, const float *peephole, float *c, float *h, size_t n,
                          float clip);
/* zr: [z, r] sums of n each; hx: input part of the candidate; hr: recurrent part, its bias included. h is
 * read and written: ht = tanh(hx + r * hr), h = (1 - z) * ht + z * h. This is linear_before_reset = 1; for 0
 * the caller multiplies r into h before the product and passes what came out as hr with r_applied set. */
typedef void gru_cell_fn(const float *zr, const float *hx, const float *hr, bool r_applied, float *h,
                         size_t n, float clip);

struct rnn_kern {
    lstm_cell_fn *lstm;
    gru_cell_fn *gru;
};

#endif
