/* A dimension: a number, an expression over symbols, or nothing known. Arithmetic is in shape/dim_expr.h. */
#ifndef OT_IR_DIM_H
#define OT_IR_DIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expr; /* interned in a symtab: equal expressions are the same pointer */
struct symtab;

enum dim_kind { DIM_UNKNOWN, DIM_CONST, DIM_EXPR };

struct dim {
    enum dim_kind kind;
    int64_t v; /* DIM_CONST; may be negative where the dim stands for an element of a shape tensor */
    const struct expr *e; /* DIM_EXPR: never a constant */
};

/* Atoms are what is no sum: symbols, floor(a/b), min(a,b), max(a,b), and broadcast(a,b): what two dims that
 * stand above each other in a broadcast give. That is b where a is 1, else a. */
enum expr_op { EX_SYM, EX_FLOOR, EX_MIN, EX_MAX, EX_BCAST, EX_SUM };

/* coef times the product of n atoms, sorted, a power being a repeated atom. n is 0 for the constant term. */
struct term {
    int64_t coef; /* never 0 */
    int n;
    const struct expr *const *atom;
};

/* Built by shape/dim_expr.h alone. */
struct expr {
    enum expr_op op;
    uint32_t id; /* order of creation in its table */
    uint32_t hash;
    uint16_t depth;    /* nesting, bounded: recursion over it is safe */
    bool fresh;        /* EX_SYM: made by inference, named by no one */
    const char *name;  /* EX_SYM */
    struct dim a, b;   /* EX_FLOOR, EX_MIN, EX_MAX, EX_BCAST */
    struct dim is;     /* EX_SYM, EX_BCAST: what it was learned to equal, or unknown */
    int nterms;        /* EX_SUM: at least two terms, or one that is no bare atom */
    struct term *term; /* sorted: higher degree first, the constant last */
    uint32_t gen;      /* `known` is d with what was learned up to that generation of the table */
    struct dim known;
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

/* Text form, e.g. "batch", "past_sequence + sequence", "floor((h + 1)/2)", "224", "?"; cut when it does
 * not fit. Returns buf. */
const char *dim_text(struct dim d, char *buf, size_t size);

#endif
