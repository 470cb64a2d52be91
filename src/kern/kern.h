/* The table of kernels: one struct a group, filled for a given CPU mask from the rows of rows.def.
 *
 * A row is K(slot, name, isa): slot is a member of struct kern, name a function (or a const descriptor) of
 * the slot's type, isa the CPU flags that it needs. Within a slot the C reference stands first, then from
 * weak to strong. The rows declare what they name, fill the table, and give tests/checkkern its cases. */
#ifndef OT_KERN_KERN_H
#define OT_KERN_KERN_H

#include "base/cpu.h"
#include "kern/bcast.h"
#include "kern/blk.h"
#include "kern/cast.h"
#include "kern/conv.h"
#include "kern/gemm.h"
#include "kern/move.h"
#include "kern/norm.h"
#include "kern/pool.h"
#include "kern/qconv.h"
#include "kern/quant.h"
#include "kern/reduce.h"
#include "kern/resize.h"
#include "kern/rnn.h"
#include "kern/vec.h"

struct kern {
    struct gemm_kern gemm;
    struct conv_kern conv;
    struct blk_kern blk;
    struct qconv_kern qconv;
    struct vec_kern vec;
    struct reduce_kern reduce;
    struct norm_kern norm;
    struct pool_kern pool;
    struct move_kern move;
    struct cast_kern cast;
    struct quant_kern quant;
    struct resize_kern resize;
    struct rnn_kern rnn;
};

/* Fills the whole table with the strongest row of each slot that mask allows. */
void kern_init(struct kern *k, unsigned cpu_mask);

/* The rows as data, for tests, benches and reports. */
struct kern_row {
    const char *slot; /* "gemm.f32" */
    const char *name; /* "k_f32_gemm_14x32_avx512" */
    unsigned isa;
};
int kern_row_count(void);
const struct kern_row *kern_row(int i);
/* Puts row i alone into its slot, whatever its isa. */
void kern_row_apply(struct kern *k, int i);

#define K(slot, name, isa) extern __typeof__(*((struct kern *)0)->slot) name;
#include "kern/rows.def"
#undef K

#endif
