/* Binding and running: what an operator's bind, ref and step functions may call. */
#ifndef OT_OPS_STEP_H
#define OT_OPS_STEP_H

#include "base/err.h"
#include "base/tensor.h"
#include "base/threads.h"
#include "ir/ir.h"
#include "kern/kern.h"

struct exec_ctx {
    struct cx *cx;
    struct pool *pool; /* threads for par_for; may be NULL */
    const struct kern *kern;
    const struct node *node;
    int nin, nout;
    const struct tensor **in; /* NULL: left out */
    struct tensor *
        *out; /* NULL: not wanted. Shape and data set by the driver from infer, unless OP_DYNAMIC */
    const struct exec_vt *vt; /* filled by exec/ */
    void *driver;
};

struct exec_vt {
    void *(*scratch)(struct exec_ctx *ec, size_t bytes);
    int (*resize)(struct exec_ctx *ec, int o, enum dtype dt, int rank, const int64_t *dims);
    int (*set_out)(struct exec_ctx *ec, int o, struct tensor *t);
    int (*run_graph)(struct exec_ctx *ec, struct graph *g, const struct tensor *ins, int nins,
                     struct tensor *outs, int nouts);
    struct arena *(*strings)(struct exec_ctx *ec);
};

/* Zero-filled only when fresh; 64-byte aligned; valid until the operator returns; several calls give several
 * buffers. NULL: memory or the limit ran out, the error is set. */
void *ec_scratch(struct exec_ctx *ec, size_t bytes);
/* Gives output o its shape and memory (data-dependent operators). No-op when not wanted. */
int ec_resize(struct exec_ctx *ec, int o, enum dtype dt, int rank, const int64_t *dims);
/* Makes output o the given value, taking over its references (control flow, sequences). */
int ec_set_out(struct exec_ctx *ec, int o, struct tensor *t);
/* Runs a body; outs get values with references of their own (tensor_drop them). Outer values are seen by the
 * body. */
int ec_run_graph(struct exec_ctx *ec, struct graph *g, const struct tensor *ins, int nins,
                 struct tensor *outs, int nouts);
/* Where string elements of outputs are kept (as long as the run's results). */
struct arena *ec_strings(struct exec_ctx *ec);
/* "not supported" error that names node, operator, version and the type of input i. */
int ec_unsupported(struct exec_ctx *ec, int i);

struct step {
    int (*run)(struct exec_ctx *ec, const void *state);
    const void *state;
    const char *kernel;   /* what a profile shows: "gemm 14x32 avx512", "ref" */
    uint64_t consumed;    /* bit i: constant input i was prepacked, its plain bytes are not needed by run */
    uint64_t may_inplace; /* bit i: output 0 may lie over input i of equal size (the provider sets it for
                             OP_INPLACE) */
};

struct bind_ctx {
    struct cx *cx;
    struct arena *arena; /* session lifetime, small things */
    const struct kern *kern;
    int nthreads;
    const struct node *node;
    int nin, nout;
    const struct type **in, **out; /* inferred types; NULL: unknown or left out */
    uint64_t const_mask;           /* bit i: input i is constant */
    const struct tensor *(*get_const)(struct bind_ctx *bc, int i);
    void *driver;
    uint64_t bytes; /* prepacked so far, for reports */
    void *(*alloc)(struct bind_ctx *bc, size_t bytes);
};

/* The constant at input i (read when first asked for), NULL when it is not constant (or reading failed: cx
 * has the error). */
const struct tensor *bc_const(struct bind_ctx *bc, int i);
/* Whether input i is constant, without reading it. */
bool bc_is_const(const struct bind_ctx *bc, int i);
enum dtype bc_dtype(const struct bind_ctx *bc, int i);
int bc_rank(const struct bind_ctx *bc, int i);
/* 64-byte aligned memory for prepacked weights, session lifetime, counted against max_memory; NULL with error
 * set. */
void *bc_alloc(struct bind_ctx *bc, size_t bytes);

#endif
