/* Shared by the dim_*.c files: the table, and sums being worked on. */
#ifndef OT_SHAPE_DIM_PRIV_H
#define OT_SHAPE_DIM_PRIV_H

#include "base/hash.h"
#include "shape/dim_expr.h"

/* Bounds of an expression; what grows past them is unknown. They also bound stack use and recursion. */
enum { DIM_MAX_TERMS = 40, DIM_MAX_DEGREE = 12, DIM_MAX_DEPTH = 12 };

struct symtab {
    struct arena *arena;
    struct smap names;   /* -> symbol, those that the model named */
    struct expr **slots; /* interned expressions but symbols, open addressing */
    size_t n, cap;
    uint32_t next_id, next_fresh;
    bool no_fresh;
    struct expr **trail; /* symbols with something learned, in order of learning */
    size_t ntrail, cap_trail;
    uint32_t gen; /* changes with every learning and forgetting */
};

/* The symbol that the model calls name; unknown when memory ran out. */
struct dim symbol_named(struct symtab *t, const char *name);
/* A symbol that is in no table. */
struct expr *symbol_new(struct symtab *t, const char *name, bool fresh);

struct mono {
    int64_t coef;
    int n;
    const struct expr *atom[DIM_MAX_DEGREE];
};

struct sum {
    int n;
    bool bad; /* overflow, or past a bound */
    struct mono m[DIM_MAX_TERMS];
};

/* d is not unknown. */
void sum_load(struct sum *s, struct dim d);
/* s += m. */
void sum_add(struct sum *s, const struct mono *m);
/* Interned; unknown when s is bad or memory ran out. */
struct dim sum_dim(struct symtab *t, const struct sum *s);
/* out = x * y; false when out of bounds. */
bool mono_mul(const struct mono *x, const struct mono *y, struct mono *out);
/* out = x / y when that is exact. */
bool mono_div(const struct mono *x, const struct mono *y, struct mono *out);
/* The terms of d without copying: one for an atom or number (written to tmp and *room), else those of the
 * sum. */
int dim_terms(struct dim d, struct term *tmp, const struct expr **room, const struct term **out);
static inline int64_t div_floor(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

#endif
