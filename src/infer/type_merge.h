/* Types put together: inferred with declared, and those of several calls of one function. */
#ifndef OT_INFER_TYPE_MERGE_H
#define OT_INFER_TYPE_MERGE_H

#include "ir/ir.h"
#include "shape/dim_expr.h"

struct merger {
    struct symtab *syms;
    struct arena *arena;
    const struct binding *binding; /* applied to declared dims; NULL */
    const struct expr **inputs; /* symbols of the model's inputs: no declaration elsewhere redefines them */
    size_t ninputs, cap_inputs;
    bool clash;  /* out: declared and inferred contradict each other */
    bool failed; /* out: memory ran out */
};

/* The more exact of both, NULL where nothing is known. What was inferred is believed where they contradict.
 */
const struct type *type_merge(struct merger *m, const struct type *inferred, const struct type *declared);
/* What holds for both. */
const struct type *type_join(struct merger *m, const struct type *a, const struct type *b);
/* t with the binding applied, learned equalities put in, and (fresh) unknown dims as new symbols. */
const struct type *type_settle(struct merger *m, const struct type *t, bool fresh);
/* Remembers the symbols in t as the model's inputs'. */
void merger_add_input(struct merger *m, const struct type *t);

#endif
