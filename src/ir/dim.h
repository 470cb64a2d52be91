/* A dimension: a number, an expression over symbols, or nothing known. Arithmetic is in shape/dim_expr.h. */
#ifndef OT_IR_DIM_H
#define OT_IR_DIM_H

#include <stdbool.h>
#include <stdint.h>

struct expr; /* interned in a symtab: equal expressions are the same pointer */
struct symtab;

enum dim_kind { DIM_UNKNOWN, DIM_CONST, DIM_EXPR };

struct dim {
    enum dim_kind kind;
    int64_t v; /* DIM_CONST; may be negative where the dim stands for an element of a shape tensor */
    const struct expr *e; /* DIM_EXPR: never a constant */
};

static inline struct dim dim_const(int64_t v)
{
    return (struct dim){DIM_CONST, v, 0};
}

static inline struct dim dim_unknown(void)
{
    return (struct dim){DIM_UNKNOWN, 0, 0};
}

static inline bool dim_is(struct dim d, int64_t v)
{
    return d.kind == DIM_CONST && d.v == v;
}

/* Known equal: the same number or the same expression. Two unknowns are not. */
static inline bool dim_same(struct dim a, struct dim b)
{
    return a.kind == b.kind && a.kind != DIM_UNKNOWN && a.v == b.v && a.e == b.e;
}

#endif
