/* A model file as a tree of fields, so that mutations can change what it means and keep it well-formed: an
 * attribute's value, a dim, an element type, the inputs of a node, the arity of a body. Knows the format by
 * field numbers alone; shares no code with what it tests. */
#ifndef TESTS_FUZZ_PROTO_TREE_H
#define TESTS_FUZZ_PROTO_TREE_H

#include <stddef.h>
#include <stdint.h>

enum msg {
    MSG_NONE, /* not a message: bytes, a name, a number */
    MSG_MODEL,
    MSG_GRAPH,
    MSG_NODE,
    MSG_ATTR,
    MSG_TENSOR,
    MSG_SPARSE,
    MSG_VALUE,
    MSG_TYPE,
    MSG_TYPE_TENSOR,
    MSG_TYPE_ELEM, /* of a sequence or optional */
    MSG_TYPE_MAP,
    MSG_SHAPE,
    MSG_DIM,
    MSG_FUNCTION,
    MSG_OPSET,
};

struct pb {
    struct pb *up;
    unsigned id, wire;
    enum msg msg;
    uint64_t v; /* a varint or fixed number */
    const uint8_t *p;
    size_t n; /* bytes, when it is no message */
    struct pb **kids;
    size_t nkids, cap;
};

/* Memory of a tree: blocks, freed together. */
struct pool_block;
struct pb_pool {
    struct pool_block *first;
    size_t used;
};

struct pb *pb_parse(struct pb_pool *pool, enum msg msg, const uint8_t *p, size_t n);
/* The bytes of a message, from the pool. */
const uint8_t *pb_bytes(struct pb_pool *pool, const struct pb *m, size_t *n);
void pb_pool_free(struct pb_pool *pool);

/* First child with that field number; NULL. */
struct pb *pb_kid(const struct pb *m, unsigned id);
struct pb *pb_add(struct pb_pool *pool, struct pb *to, unsigned id, unsigned wire, uint64_t v);
struct pb *pb_add_bytes(struct pb_pool *pool, struct pb *to, unsigned id, const void *p, size_t n);
struct pb *pb_add_msg(struct pb_pool *pool, struct pb *to, unsigned id, enum msg msg);
/* Puts an existing message (a copy of its node, its kids shared) under to. */
struct pb *pb_adopt(struct pb_pool *pool, struct pb *to, unsigned id, const struct pb *m);

/* Drops every declared shape in m. */
void pb_forget_shapes(struct pb *m);

/* Random numbers from a seed, the same everywhere. */
struct rand {
    uint64_t s;
};
uint64_t rand_below(struct rand *r, uint64_t below);

/* Changes one thing in m; other: another model, to take parts from. */
void pb_mutate(struct pb_pool *pool, struct rand *r, struct pb *m, const struct pb *other);

#endif
