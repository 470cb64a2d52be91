/* Type and shape inference over a graph, its subgraphs and functions. */
#ifndef OT_INFER_INFER_H
#define OT_INFER_INFER_H

#include "base/err.h"
#include "ir/ir.h"
#include "shape/infer_ctx.h"

/* How the driver gets the value of a constant: an initializer's (loaded when asked for), or one that a run
 * holds. */
struct infer_env {
    /* Constant (or actual) value of v; NULL when not known. */
    const struct tensor *(*konst)(void *user, const struct value *v);
    void *user;
    const struct binding *binding; /* symbols set by the caller (--dim); NULL */
    bool strict;     /* contradictions of declared and inferred types are errors, else warnings */
    bool keep_going; /* a node whose inference fails is a warning, its outputs are as declared */
    /* When set: what keep_going forgives, and declarations that are wrong (v), are told here and not logged.
     */
    void (*problem)(void *user, const struct node *n, const struct value *v, int code, const char *msg);
    void *problem_user;
    bool ignore_declared; /* value_info and output declarations are not believed (the executor: they may lie)
                           */
};

/* What one inference found, by value id. The same model may be inferred under many bindings: results are kept
 * apart from the graph unless infer_apply() writes them into value->type. */
struct inferred {
    struct arena *arena;
    const struct type **type;     /* [model->nvalues]; NULL: nothing known */
    const struct shape_val **val; /* known small values; NULL */
    uint32_t nvalues;
};

/* Infers the whole model. Types of graph inputs come from their declarations, with env->binding applied.
 * Results are merged with declared types (value_info): the more exact of both, a declaration never narrowing
 * what is computed from the inputs' own symbols (declarations go stale); a contradiction is E_SHAPE or E_TYPE
 * in strict mode, else what was inferred stands. Operators without infer hook give unknown outputs (declared
 * types then stand). Dims that nothing is known about become fresh symbols. Equalities learned stay in the
 * model's table, unless there is a binding. res memory comes from arena; after an error res still holds what
 * was found before it. Nodes' params are parsed once and kept (node_params). */
int infer_model(struct cx *cx, struct model *m, const struct infer_env *env, struct arena *arena,
                struct inferred *res);
/* The same for one graph given types of its formal inputs, inside results for the graphs around it: for runs,
 * so no fresh symbols are made and nothing learned is kept. */
int infer_graph(struct cx *cx, struct graph *g, const struct infer_env *env, const struct type *const *ins,
                const struct shape_val *const *vals, int nins, struct inferred *res);
/* One node from explicit inputs: what the executor calls when shapes depend on data. in/konst have nin
 * entries; types out has nout. arena holds the results. params as the node's op parsed them. */
int infer_node(struct cx *cx, const struct node *n, const void *params, struct symtab *syms,
               struct arena *arena, const struct type **in, const struct tensor **konst, struct type **out);
/* Writes result types into value->type of every value. */
void infer_apply(struct model *m, const struct inferred *res);

/* The node's parsed params (op->parse run once, result kept in the model's arena by node id). *out NULL when
 * the operator has none. E_UNSUPPORTED when the node has no struct op. */
int node_params(struct cx *cx, struct node *n, const void **out);

#endif
