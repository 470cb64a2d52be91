/* The type of a value at run time. */
#include "ir/ir.h"

#include "base/tensor.h"

struct type *type_of_tensor(struct arena *a, const struct tensor *t)
{
    static const enum type_kind kind[] = {
        [RT_TENSOR] = TY_TENSOR, [RT_SEQ] = TY_SEQ, [RT_OPT] = TY_OPT, [RT_MAP] = TY_MAP};
    struct type *ty = arena_zalloc(a, sizeof *ty);
    if (!ty)
        return NULL;
    *ty = (struct type){.kind = kind[t->kind], .dt = t->dt, .rank = t->rank};
    if (t->kind != RT_TENSOR) {
        struct type *elem = arena_zalloc(a, sizeof *elem);
        if (!elem)
            return NULL;
        *elem = (struct type){.kind = TY_TENSOR, .dt = t->dt, .rank = -1};
        ty->elem = elem;
        return ty;
    }
    ty->dims = arena_array(a, (size_t)t->rank + 1, sizeof *ty->dims);
    for (int i = 0; ty->dims && i < t->rank; i++)
        ty->dims[i] = dim_const(t->dims[i]);
    return ty->dims ? ty : NULL;
}

struct type *type_copy(struct arena *a, const struct type *t)
{
    struct type *first = NULL;
    const struct type **link = NULL;
    for (; t; t = t->elem) {
        struct type *c = arena_dup(a, t, sizeof *t);
        if (!c)
            return NULL;
        if (t->rank > 0 && t->dims && !(c->dims = arena_dup(a, t->dims, (size_t)t->rank * sizeof *t->dims)))
            return NULL;
        if (link)
            *link = c;
        else
            first = c;
        link = &c->elem;
    }
    return first;
}
