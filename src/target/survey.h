/* A model as the question of where it runs sees it: every node that will run, of subgraphs and functions too
 * (once a call), with its operator version, types, work and what feeds it; and the kinds of nodes, since
 * nodes of equal operator and types share all answers about kernels. */
#ifndef OT_TARGET_SURVEY_H
#define OT_TARGET_SURVEY_H

#include "analyze/typed.h"
#include "ops/schema.h"

enum value_kind { VK_ABSENT, VK_UNKNOWN, VK_TENSOR, VK_SEQ, VK_OPT, VK_OPT_SEQ, VK_OTHER };

struct value_type {
    uint8_t kind; /* enum value_kind */
    uint8_t dt;   /* enum dtype */
};

/* Nodes that the tables cannot tell apart. */
struct kind {
    const char *domain, *op;
    const struct op_version *ver; /* NULL: not known here */
    struct op_schema *schema;     /* NULL likewise */
    int64_t opset;                /* that its graph imports for the domain; 0: does not */
    int nin, nout;
    const struct value_type *io; /* nin, then nout */
    bool call;                   /* of a function of the model: inlined */
    bool runnable;               /* here */
    size_t count;
};

enum item_flag {
    ITEM_CONSTANT = 1u << 0, /* a Constant node: its value is an initializer once loaded */
    ITEM_FOLDED = 1u << 1,   /* made of constants alone: computed once, while loading */
    ITEM_SHAPE = 1u << 2,    /* arithmetic on shapes: integers of rank 0 or 1 that come from Shape and Size */
    ITEM_FUNCTION = 1u << 3, /* stands in a function's body */
};

struct item {
    struct node *n;
    uint32_t kind;
    unsigned flags; /* enum item_flag */
    int depth;
    int64_t flops;       /* twice the multiply-accumulates, and the others; -1: not known */
    const int32_t *from; /* n->nin of them: item that makes the input; -1: none does */
};

struct survey {
    struct arena arena;
    struct model *m;
    struct typed *typed;
    struct item *items;
    struct kind *kinds;
    size_t nitems, nkinds, cap_items, cap_kinds;
    int64_t flops; /* of all items of which it is known */
    size_t flops_unknown;
    bool cut; /* functions that call functions too often were not followed to the end */
};

struct feed;
/* The model with types under the sizes of sizes (may be NULL); what they leave open is 1. Operators get
 * resolved. */
int survey_new(struct cx *cx, struct model *m, const struct feed *sizes, struct survey **out);
void survey_free(struct survey *s);

/* Version of the operator that the import selects; 0: not known. */
static inline int kind_since(const struct kind *k)
{
    return k->ver ? k->ver->since : 0;
}

#endif
