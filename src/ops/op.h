/* One operator, as data: what it is called, how its attributes are read, what shapes it makes, how it
 * computes. The family files (elementwise.c, conv.c, ...) each define their operators as `const struct op
 * op_Clip = {...}`, ops.def lists them. See src/ops/README.md for how to add one. */
#ifndef OT_OPS_OP_H
#define OT_OPS_OP_H

#include "base/err.h"
#include "base/tensor.h"
#include "ir/ir.h"
#include "ops/schema.h"
#include "ops/step.h"
#include "shape/infer_ctx.h"

enum op_flag {
    OP_ELEMENTWISE =
        1u << 0, /* output element i depends on elements i (after broadcast) of the inputs alone */
    OP_INPLACE =
        1u << 1, /* output 0 may share the buffer of an input of equal size and type (ref and step cope) */
    OP_VIEW = 1u << 2, /* output 0 holds the bytes of input 0 under another shape; ref copies unless shared */
    OP_NONDET = 1u << 3,     /* random: never folded, never compared exactly */
    OP_SUBGRAPH = 1u << 4,   /* has graph attributes */
    OP_DYNAMIC = 1u << 5,    /* output shapes depend on data: the operator calls ec_resize for every output */
    OP_SHAPE_ONLY = 1u << 6, /* reads shapes, not data (Shape, Size) */
};

/* How exactly two implementations must agree. */
enum op_tol { TOL_EXACT, TOL_ROUND, TOL_RANDOM };

struct version_step {
    int from, to;
    /* NULL with a reason: cannot be expressed; &step_same: nothing to do. */
    int (*convert)(struct cx *cx, struct node *n);
    const char *cannot;
};

/* Work of one node in multiply-accumulates and other floating point operations; symbolic inputs give unknown.
 */
struct op_cost {
    struct dim macs; /* Conv, ConvTranspose, Gemm, MatMul and recurrent operators */
    struct dim ops;  /* everything else: about one per output element and arithmetic step */
};

struct op {
    const char *domain, *name; /* "" is ai.onnx */
    unsigned flags;            /* enum op_flag */
    enum op_tol tol;
    size_t params_size; /* of the struct that parse fills; 0: none, params is NULL */
    /* Reads attributes (and input count) of any version into one params struct, zeroed before. Memory from
     * arena. version is the operator version the node resolves to (Clip at opset 12 gives 12); beyond this
     * call nothing knows versions. NULL: no attributes. */
    int (*parse)(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params);
    int (*infer)(struct infer_ctx *ic, const void *params);
    /* Computes every legal type and shape; outputs are allocated with the shapes that infer gave. */
    int (*ref)(struct exec_ctx *ec, const void *params);
    /* Picks a kernel for this machine and prepacks constants. Sets step->run, or leaves it NULL to decline:
     * ref is used then. NULL hook: always ref. */
    int (*bind)(struct bind_ctx *bc, const void *params, struct step *step);
    /* Work, once types are inferred; NULL: counted as one operation an output element. */
    int (*cost)(struct infer_ctx *ic, const void *params, struct op_cost *out);
    /* Whether ref can take these input types; NULL: whatever the schema allows. On false, says why. */
    bool (*supports)(const struct bind_ctx *bc, const void *params, char *why, size_t size);
    const struct version_step *steps;
    int nsteps;
};

/* By normalised domain and name; NULL: not implemented. */
const struct op *op_find(const char *domain, const char *name);
/* All of them, sorted by domain and name. */
const struct op *const *op_all(size_t *n);
/* "float, float16": element types of the first input of an operator without a row of the standard; "" where
 * extra_types.def says nothing. */
const char *op_extra_types(const struct op *op);

/* Sets ver, op and func of every node of the model (subgraphs and functions too) from its opset imports.
 * Unknown operators are left NULL: checks and binding complain, not this. */
int ops_resolve(struct cx *cx, struct model *m);
/* The same for one node (a pass made it). */
int op_resolve(struct cx *cx, struct node *n);
/* E_MODEL unless the node's counts of inputs and outputs are what its schema row allows, and no required
 * input or output is left out. Called before parse: operators rely on it. */
int op_check_inputs(struct cx *cx, const struct node *n);
/* What each input of n may be: nin of them, in memory from arena. The types are those of its version and of
 * the newest one: a model that is ahead of its opset harms nobody. */
int op_input_takes(struct cx *cx, struct arena *arena, const struct node *n, const struct schema_takes **out);
/* E_TYPE naming the first input that is none of that; NULL inputs pass. */
int op_check_values(struct cx *cx, const struct node *n, const struct schema_takes *takes,
                    const struct tensor *const *in);

/* ---- attribute readers for parse: each E_ATTR when the attribute has another type ---- */
/* Values stay as they are when the attribute is absent: set defaults first. Return 1 present, 0 absent,
 * negative error. */
int attr_int(struct cx *cx, const struct node *n, const char *name, int64_t *out);
int attr_float(struct cx *cx, const struct node *n, const char *name, float *out);
int attr_str(struct cx *cx, const struct node *n, const char *name, struct ostr *out);
/* Index of the string attribute's value in choices (NULL-terminated); E_ATTR naming the choices. */
int attr_choice(struct cx *cx, const struct node *n, const char *name, const char *const *choices, int *out);
/* Borrowed from the node. */
int attr_ints(struct cx *cx, const struct node *n, const char *name, const int64_t **out, size_t *count);
int attr_floats(struct cx *cx, const struct node *n, const char *name, const float **out, size_t *count);
int attr_strings(struct cx *cx, const struct node *n, const char *name, const struct ostr **out,
                 size_t *count);
int attr_tensor(struct cx *cx, const struct node *n, const char *name, struct tensor_data **out);
int attr_graph(struct cx *cx, const struct node *n, const char *name, struct graph **out);

/* "Conv-11" or "com.microsoft.Gelu-1" into buf. */
const char *node_op_text(const struct node *n, char *buf, size_t size);

#endif
