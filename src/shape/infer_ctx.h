/* What an operator's infer hook may call.
 *
 * infer() computes output types from input types, and it is the ONLY place where an operator's output shapes
 * are worked out: the planner calls it with symbolic or bound dims, the executor calls it with the real
 * tensors when shapes depend on data. So it must give exact dims whenever its inputs are exact (dims known,
 * ic_const present). Errors (E_SHAPE, E_TYPE, E_VALUE) are for models that can never be right; what is merely
 * unknown stays unknown. */
#ifndef OT_SHAPE_INFER_CTX_H
#define OT_SHAPE_INFER_CTX_H

#include "base/err.h"
#include "base/tensor.h"
#include "ir/ir.h"
#include "shape/dim_expr.h"

/* The value of a small integer tensor, as far as it is known: rank 0 or 1, elements may be symbolic. */
struct shape_val {
    int rank;
    int64_t n; /* elements; 1 for rank 0 */
    struct dim *d;
};
enum { SHAPE_VAL_MAX = 1024 };

struct infer_ctx {
    struct cx *cx;
    struct arena *arena; /* results live here */
    struct symtab *syms;
    const struct node *node;
    int nin, nout;
    const struct type **in;       /* NULL: left out, or nothing known */
    const struct shape_val **val; /* NULL: not known */
    const struct tensor *
        *konst; /* constant (or, at run time, actual) inputs; NULL: not known, or not asked yet */
    /* Where ic_const gets what konst does not have; NULL: nowhere. */
    const struct tensor *(*get_const)(struct infer_ctx *ic, int i);
    struct type **out; /* results; NULL: not set */
    struct shape_val **out_val;
    /* Infers a subgraph attribute with the given types of its formal inputs; fills out types (count outs).
     * Set by infer/. */
    int (*subgraph)(struct infer_ctx *ic, struct graph *g, const struct type **ins,
                    const struct shape_val **vals, int nins, struct type **outs, struct shape_val **out_vals,
                    int nouts);
    void *driver;
};

/* True when input i is present (its type may still be unknown). */
bool ic_has(const struct infer_ctx *ic, int i);
bool ic_has_out(const struct infer_ctx *ic, int o);
/* DT_UNDEFINED when unknown or not a tensor. */
enum dtype ic_dtype(const struct infer_ctx *ic, int i);
/* -1 when unknown or not a tensor. */
int ic_rank(const struct infer_ctx *ic, int i);
/* axis in [0, rank). */
struct dim ic_dim(const struct infer_ctx *ic, int i, int axis);
const struct type *ic_type(const struct infer_ctx *ic, int i);
/* The whole tensor when it is constant (or at run time); NULL. May be large: look at what you need. */
const struct tensor *ic_const(const struct infer_ctx *ic, int i);
/* Elements of an integer tensor of rank <= 1 and at most SHAPE_VAL_MAX elements, symbolic where needed; NULL.
 */
const struct shape_val *ic_val(const struct infer_ctx *ic, int i);
/* As ic_val, but only if all elements are numbers: out[cap] gets them. Returns the count, or -1 when not
 * known. */
int ic_ints(const struct infer_ctx *ic, int i, int64_t *out, int cap);
/* As floats, from a constant float tensor. */
int ic_floats(const struct infer_ctx *ic, int i, float *out, int cap);

/* Tensor result. dims are copied. rank -1: unknown rank (dims ignored). */
int ic_out(struct infer_ctx *ic, int o, enum dtype dt, int rank, const struct dim *dims);
int ic_out_type(struct infer_ctx *ic, int o, const struct type *t);
int ic_out_same(struct infer_ctx *ic, int o, int i);
/* The known value of an output: dims of it are copied. Must fit the type that was set. */
int ic_out_val(struct infer_ctx *ic, int o, int rank, int64_t n, const struct dim *d);
/* Same shape as input i, another element type. */
int ic_out_like(struct infer_ctx *ic, int o, int i, enum dtype dt);

/* Normalises axis for rank: E_VALUE (with the range) when out of it. */
int ic_axis(struct infer_ctx *ic, int64_t axis, int rank, int *out);
/* Multidirectional broadcast of the given inputs' shapes; *rank -1 when some rank is unknown.
 * dims[TENSOR_MAX_RANK]. */
int ic_broadcast(struct infer_ctx *ic, const int *inputs, int n, int *rank, struct dim *dims);
/* Broadcast of two dims; E_SHAPE when both are numbers that differ and neither is 1. */
int ic_broadcast_dim(struct infer_ctx *ic, struct dim a, struct dim b, struct dim *out);
/* Requires equality (unifies symbols); E_SHAPE with what. */
int ic_unify(struct infer_ctx *ic, struct dim a, struct dim b, const char *what);
/* Requires that input i has one of the ranks lo..hi (unknown passes). */
int ic_need_rank(struct infer_ctx *ic, int i, int lo, int hi);
/* Error that names input or output by number and schema name: use for all leaf errors here. */
int ic_err(struct infer_ctx *ic, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
