/* Arithmetic over dimensions. An expression is kept in one canonical form (a sum of products of atoms with
 * integer coefficients; atoms are symbols, floor divisions, minima, maxima and broadcasts), interned, so that
 * equal means the same pointer: (s + 1) - 1 is s, and 2*(s/2) is not s. Results that overflow int64 or grow
 * past a bound become DIM_UNKNOWN. */
#ifndef OT_SHAPE_DIM_EXPR_H
#define OT_SHAPE_DIM_EXPR_H

#include "base/arena.h"
#include "ir/dim.h"

struct model;

/* Memory from arena, which must outlive the table. NULL: out of memory. */
struct symtab *symtab_new(struct arena *arena);
/* The model's table, made at the first call. NULL: out of memory. */
struct symtab *model_syms(struct model *m);

/* The symbol of that name ("batch"). A text that is an expression over names ("past_sequence + sequence",
 * "2*s", "floor(h/2)") is parsed into one; what does not parse is one opaque symbol. Empty: unknown. */
struct dim dim_symbol(struct symtab *t, const char *name);
/* A new symbol that no name in the model has ("?3"); unknown while fresh symbols are off. */
struct dim dim_fresh(struct symtab *t);
/* Off: for inference at run time, which must not let the table grow. Returns what was set before. */
bool dim_set_fresh(struct symtab *t, bool on);
/* True for a symbol made by dim_fresh. */
bool dim_is_fresh(struct dim d);

struct dim dim_add(struct symtab *t, struct dim a, struct dim b);
struct dim dim_sub(struct symtab *t, struct dim a, struct dim b);
struct dim dim_mul(struct symtab *t, struct dim a, struct dim b);
/* Floor and ceiling division; unknown when b is 0 or not known to be nonzero. */
struct dim dim_div_floor(struct symtab *t, struct dim a, struct dim b);
struct dim dim_div_ceil(struct symtab *t, struct dim a, struct dim b);
/* a/b where it is known to come out even for all values (what Reshape's -1 is: 12*s*b/(4*b) is 3*s). Factors
 * of b are taken as nonzero. Unknown when the division is not exact symbolically. */
struct dim dim_div_exact(struct symtab *t, struct dim a, struct dim b);
/* a/b that comes out even, and b not 0, whenever the model runs: what makes the division legal. Rounded down
 * where that cannot be told from the expression. */
struct dim dim_div_even(struct symtab *t, struct dim a, struct dim b);
struct dim dim_max(struct symtab *t, struct dim a, struct dim b);
struct dim dim_min(struct symtab *t, struct dim a, struct dim b);
/* What two dims give that stand above each other in a broadcast: the other one where one is 1. Both are taken
 * as >= 0 and as fit for it; unknown for numbers that are not. */
struct dim dim_broadcast(struct symtab *t, struct dim a, struct dim b);
/* Whether atom stands somewhere in d. */
bool dim_contains(struct dim d, const struct expr *atom);
/* d with every min(x, number), the number above 1, taken as x: slices are cut from tables ("the first s of
 * 512 positions") that real inputs do not outgrow. */
struct dim dim_unclamp(struct symtab *t, struct dim d);
/* Known facts, symbols being >= 0 (>= 1 is not assumed): -1 no, 0 unknown, 1 yes. */
int dim_cmp_ge(struct symtab *t, struct dim a, struct dim b);

/* Equalities learned during inference ("these two must be the same"): b is replaced by a everywhere later.
 * Prefers numbers, then symbols the model named. False: both are numbers and differ. */
bool dim_unify(struct symtab *t, struct dim a, struct dim b);
/* What was learned since the mark is forgotten again: equalities that hold under one binding only. */
size_t dim_mark(const struct symtab *t);
void dim_forget(struct symtab *t, size_t mark);
/* d with the learned equalities applied. */
struct dim dim_resolve(struct symtab *t, struct dim d);

/* A binding of symbols to numbers, for one run. */
struct binding {
    size_t n, cap;
    struct binding_entry {
        const struct expr *sym;
        int64_t v;
    } * e;
};
/* False: sym already has another value (or memory ran out). Non-symbol expressions are solved when linear in
 * one unbound symbol, else checked. */
bool binding_set(struct symtab *t, struct arena *a, struct binding *b, struct dim d, int64_t v);
/* d comes down to one symbol that has no value: then binding_set can only fail for want of memory. */
bool binding_open(struct symtab *t, const struct binding *b, struct dim d);
/* DIM_CONST when every symbol of d is bound, else d simplified; DIM_UNKNOWN on overflow. */
struct dim dim_eval(struct symtab *t, const struct binding *b, struct dim d);
/* Names of the symbols in d, appended to names[cap]; returns how many were there. */
size_t dim_symbols(struct dim d, const char **names, size_t cap);

#endif
