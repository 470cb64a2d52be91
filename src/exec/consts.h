/* Constant values of a model while it runs: initializers, loaded when first asked for, dropped when
 * prepacked. */
#ifndef OT_EXEC_CONSTS_H
#define OT_EXEC_CONSTS_H

#include "base/err.h"
#include "base/tensor.h"
#include "ir/ir.h"

struct consts {
    struct model *m;
    struct tensor **t; /* by value id; NULL: not loaded. Each stays where it is until it is dropped. */
    uint32_t n;
    uint64_t bytes; /* held now; mapped files count too */
};

int consts_init(struct cx *cx, struct consts *c, struct model *m);
void consts_free(struct consts *c);
/* True for initializers. Graph inputs with a default count as constants too: a session that overrides one
 * removes its initializer first. */
bool value_is_const(const struct value *v);
/* NULL when v is not constant or was given up, or when loading failed (cx->err is set then). */
const struct tensor *consts_get(struct cx *cx, struct consts *c, const struct value *v);
void consts_drop(struct consts *c, const struct value *v);
/* Drops it, and the model's copy too where a pass made one: nothing will ask for v again. */
void consts_give_up(struct consts *c, const struct value *v);

#endif
