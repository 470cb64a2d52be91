/* A model with the types that inference finds, under sizes for its symbols. Weights are not touched: only
 * constants up to CONST_MAX bytes are read or computed, and only those that an operator's shape rule asks
 * for. */
#ifndef OT_ANALYZE_TYPED_H
#define OT_ANALYZE_TYPED_H

#include "base/err.h"
#include "base/tensor.h"
#include "infer/infer.h"
#include "ir/ir.h"
#include "ops/op.h"

enum { CONST_MAX = 16384 };

struct kern;

struct typed {
    struct model *m;
    struct arena arena;
    struct inferred res;
    struct binding binding;
    struct infer_env env;
    struct cx *cx;        /* of the call in progress, for loading constants */
    struct tensor *konst; /* by value id */
    uint8_t *asked;
    struct kern *kern; /* portable kernels, for constants that are computed; NULL until then */
    int eval_depth;
    int failed;          /* status of an inference that stopped; types behind that point are not known */
    const char *failure; /* its message, in arena; NULL */
    const char *clash;   /* a declared type that is wrong, as inference says it; NULL */
};

/* Infers under b (NULL: symbols stay), with the types ins for the inputs of the main graph (NULL, also single
 * ones: as declared). A contradiction in the model is not an error here: it is kept in failure. Errors are
 * those of the machine. Operators must be resolved. */
int typed_new(struct cx *cx, struct model *m, const struct binding *b, const struct type *const *ins,
              struct typed **out);
/* The same as the model stands, going on behind nodes that contradict their inputs; each of them, and each
 * declaration that is wrong, goes to problem (see infer_env). */
int typed_check(struct cx *cx, struct model *m,
                void (*problem)(void *user, const struct node *n, const struct value *v, int code,
                                const char *msg),
                void *user, struct typed **out);
void typed_free(struct typed *t);

/* NULL: nothing known. */
const struct type *typed_value(const struct typed *t, const struct value *v);
/* Types of a function body for one call of it, written over those of the call before. */
int typed_enter_call(struct cx *cx, struct typed *t, const struct node *call);
/* Elements of a tensor type; unknown when not known. */
struct dim type_elements(struct symtab *syms, const struct type *t);
/* Bytes in memory under the binding; -1: not known. */
int64_t typed_bytes(const struct typed *t, const struct value *v);

/* Every symbol that the graph's inputs use gets the value v in b, unless it has one. Memory from a. */
int bind_rest(struct cx *cx, struct model *m, struct arena *a, struct binding *b, int64_t v);

#endif
