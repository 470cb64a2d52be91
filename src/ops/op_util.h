/* Small helpers that the operator family files share. */
#ifndef OT_OPS_OP_UTIL_H
#define OT_OPS_OP_UTIL_H

#include "ops/op.h"

/* Elements a thread takes at once where work per element is small; tensors below it stay on one thread. */
enum { PAR_GRAIN = 1 << 15 };

/* ---- inference ---- */

/* E_MODEL unless inputs 0..n-1 are present. */
int need_inputs(struct infer_ctx *ic, int n);
/* E_TYPE when the element types of inputs a and b are known and differ. */
int need_same_dtype(struct infer_ctx *ic, int a, int b);
/* E_TYPE when input i is known not to be int32 or int64. */
int need_index_dtype(struct infer_ctx *ic, int i);
/* Copies the dims of input i into dims[TENSOR_MAX_RANK]; returns its rank, -1 when unknown, or E_SHAPE (below
 * -1) when it has more axes than a tensor may have. */
int in_dims(struct infer_ctx *ic, int i, struct dim *dims);
/* Product of dims[from, to), 1 when empty. */
struct dim dims_mul(struct infer_ctx *ic, const struct dim *dims, int from, int to);
/* Tensor output whose rank alone is known (or -1). */
int out_rank(struct infer_ctx *ic, int o, enum dtype dt, int rank);
/* Marks axes of a list in mask[rank]; E_VALUE when one is out of range or (unless repeats) named twice. */
int axes_mask(struct infer_ctx *ic, const int64_t *axes, int n, int rank, bool *mask);
/* The axes list of an operator that takes it as attribute (attr, n; n < 0: absent) or as input i: returns the
 * count, -1 when absent, -2 when present but not known yet; out[cap]. */
int axes_of(struct infer_ctx *ic, int i, const int64_t *attr, int nattr, int64_t *out, int cap);
/* What holds for both types; NULL: nothing. */
const struct type *common_type(struct infer_ctx *ic, const struct type *a, const struct type *b);

/* ---- running ---- */

static inline bool ec_has(const struct exec_ctx *ec, int i)
{
    return i < ec->nin && ec->in[i];
}

static inline bool ec_wants(const struct exec_ctx *ec, int o)
{
    return o < ec->nout && ec->out[o];
}

/* Input i as int64 values (borrowed, or converted in scratch memory); NULL with the error set when its type
 * is not int32 or int64. */
const int64_t *ec_ints(struct exec_ctx *ec, int i, int64_t *n);
/* The first element of integer input i. */
int ec_int(struct exec_ctx *ec, int i, int64_t *out);
/* Normalises axis for rank: E_VALUE with the range. */
int ec_axis(struct exec_ctx *ec, int64_t axis, int rank, int *out);
/* Product of dims[from, to). */
int64_t dims_span(const int64_t *dims, int from, int to);
/* A copy plan over threads. */
void ec_copy(struct exec_ctx *ec, const struct copy_plan *p, size_t size, const void *in, void *out);
/* Copies bytes over threads; nothing when dst is src. */
void ec_memcpy(struct exec_ctx *ec, void *dst, const void *src, size_t bytes);
/* Output 0 gets the bytes of input 0 under the shape that it has. */
int ref_view(struct exec_ctx *ec, const void *params);
/* Output o becomes a reference to (or, without owner, a copy of) t. */
int ec_share(struct exec_ctx *ec, int o, const struct tensor *t);
/* A reference to src, or a copy where src borrows its memory. */
int own_ref(struct cx *cx, struct tensor *dst, const struct tensor *src);
/* Input i as a dense array of type dt: the data itself or a converted copy in scratch memory; NULL with the
 * error set. */
const void *ec_as(struct exec_ctx *ec, int i, enum dtype dt);
/* Lowest and highest value of a real type, -Inf and Inf for floats, into one element each. */
void dtype_extremes(enum dtype dt, void *lo, void *hi);

/* A range of work split over threads: grain units at least. */
void ec_par(struct exec_ctx *ec, int64_t n, int64_t grain, par_fn *fn, void *arg);

#endif
