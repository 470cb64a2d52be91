/* The graph in memory: model, graph, node, value, attribute, type, dimension.
 *
 * Everything lives in the model's arena and dies with it. Graphs change only through ir/edit.h, which keeps
 * producers, use lists and name tables right. Each object keeps `origin`, the decoded protobuf message that
 * it was imported from (or NULL): the writer copies it and overrides what the IR manages, so doc strings,
 * metadata, device configurations and unknown fields survive every rewrite that does not touch them. Only io/
 * looks inside. */
#ifndef OT_IR_IR_H
#define OT_IR_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/hash.h"
#include "ir/dim.h"

struct blob;
struct file;
struct op;
struct op_version;
struct tensor;

/* ---- types ---- */

enum type_kind { TY_NONE, TY_TENSOR, TY_SPARSE, TY_SEQ, TY_OPT, TY_MAP, TY_OPAQUE };

struct type {
    enum type_kind kind;
    enum dtype dt;           /* element type (tensor, sparse); key type for a map */
    int rank;                /* -1: unknown */
    struct dim *dims;        /* rank of them */
    const struct type *elem; /* of a sequence or optional; value type of a map */
    const void *origin;      /* TypeProto, for denotations */
};

/* ---- tensor payloads ---- */

/* Where the bytes of an initializer or tensor attribute are. Nothing is read until tensor_load()
 * (io/tensor_pb.h). */
enum payload_kind {
    PL_EMPTY,    /* no bytes: zero elements */
    PL_RAW,      /* raw_data in the model file: [off, off+len) */
    PL_FIELD,    /* a typed field (float_data, int32_data, ...) packed in the file: segments */
    PL_EXTERNAL, /* another file */
    PL_MEM,  /* bytes in memory, in in-memory layout (see dtype.def): made by a pass, or small and decoded */
    PL_FILL, /* mem is one element, and all are that; exists in sessions only */
    PL_GONE, /* was PL_MEM; a session that has its own form of the values let go of them */
};

struct segment {
    uint64_t off, len;
};

struct tensor_data {
    const char *name;
    enum dtype dt;
    int rank;
    const int64_t *dims;
    enum payload_kind payload;
    struct file *file; /* PL_RAW, PL_FIELD: borrowed from the model */
    int field; /* PL_FIELD: its number in TensorProto (4 float, 5 int32, 7 int64, 10 double, 11 uint64) */
    struct segment *seg; /* PL_RAW has one */
    int nseg;
    const void *mem;           /* PL_MEM: element count times in-memory size; strings are struct ostr */
    struct blob *owner;        /* of mem, one reference; NULL: the model's arena has it */
    const char *location;      /* PL_EXTERNAL: as the file says it */
    uint64_t ext_off, ext_len; /* ext_len is UINT64_MAX when the entry does not say */
    uint64_t file_bytes;       /* stored bytes (0 for PL_MEM unless it came from a file) */
    uint64_t loc;              /* offset of the TensorProto in the model file */
    const void *origin;        /* TensorProto */
};

/* A sparse initializer or attribute: values, and indices (linear [NNZ] or [NNZ, rank]). */
struct sparse_data {
    struct tensor_data values, indices;
    int rank;
    const int64_t *dims;
    const void *origin;
};

/* ---- attributes ---- */

enum attr_kind { /* numbers of AttributeProto.AttributeType */
                 AT_UNDEFINED = 0,
                 AT_FLOAT = 1,
                 AT_INT = 2,
                 AT_STRING = 3,
                 AT_TENSOR = 4,
                 AT_GRAPH = 5,
                 AT_FLOATS = 6,
                 AT_INTS = 7,
                 AT_STRINGS = 8,
                 AT_TENSORS = 9,
                 AT_GRAPHS = 10,
                 AT_SPARSE = 11,
                 AT_SPARSES = 12,
                 AT_TYPE = 13,
                 AT_TYPES = 14,
};

struct graph;

struct attr {
    const char *name;
    enum attr_kind kind;
    const char *ref; /* ref_attr_name inside a function body: the value is the caller's; or NULL */
    size_t n;        /* elements of the list kinds */
    union {
        float f;
        int64_t i;
        struct ostr s;
        struct tensor_data *t;
        struct graph *g;
        const float *floats;
        const int64_t *ints;
        const struct ostr *strings;
        struct tensor_data **tensors;
        struct graph **graphs;
        struct sparse_data *sparse;
        struct sparse_data **sparses;
        struct type *type;
        struct type **types;
    } u;
    const void *origin;
};

/* ---- values and nodes ---- */

struct node;

struct use {
    struct node *node;
    int index; /* which input */
};

/* A name in a graph: a graph input, an initializer, or a node's output. Inner graphs use outer values
 * directly. */
struct value {
    const char *name; /* unique in its graph */
    struct graph *graph;
    struct type *type;           /* inferred, else declared; NULL: nothing known */
    const struct type *declared; /* as the file declares it (input, output, value_info); NULL: not */
    struct node *producer;       /* NULL: graph input or initializer */
    int out_index;
    struct use *uses; /* by nodes of this graph and of graphs inside it */
    size_t nuses, cap_uses;
    bool is_input, is_output; /* of its graph */
    struct tensor_data
        *init; /* initializer (may be a graph input too: a default that the caller can replace) */
    struct sparse_data *sparse; /* sparse initializer */
    uint32_t id;                /* dense over the model */
    const void *origin;         /* ValueInfoProto */
};

struct node {
    const char *name, *domain, *op_type, *overload; /* domain "" is ai.onnx; never NULL */
    struct graph *graph;
    struct value **in;  /* NULL entries are inputs left out */
    struct value **out; /* NULL entries are outputs left out */
    int nin, nout;
    struct attr *attrs;
    int nattr;
    struct node *prev, *next;     /* the graph's order, always topological after import */
    const struct op_version *ver; /* operator facts at the imported opset; NULL: unknown operator */
    const struct op *op;          /* behaviour; NULL: not runnable */
    struct function *func;        /* the model-local function that it calls; NULL: an operator */
    const void *params;           /* what op->parse made of the attributes (infer/infer.h: node_params) */
    bool parsed;
    uint32_t id;        /* dense over the model, stable */
    uint64_t loc;       /* offset of the NodeProto in the file */
    const void *origin; /* NodeProto */
};

struct opset {
    const char *domain; /* "" is ai.onnx */
    int64_t version;
};

/* How many of the list are there, by pointer: ins and outs may list a value twice in broken files, never
 * here. */
struct graph {
    const char *name;
    struct model *model;
    struct function *func; /* the function whose body this (or an enclosing graph) is; NULL */
    struct node
        *owner; /* the node whose attribute this graph is; NULL for the main graph and function bodies */
    struct node *first, *last;
    size_t nnodes;
    struct value **ins, **outs;
    size_t nins, nouts, cap_ins, cap_outs;
    struct value **inits; /* dense and sparse, in file order */
    size_t ninits, cap_inits;
    struct smap names;                /* name -> struct value of this graph alone */
    struct graph *inner, *next_inner; /* graphs owned by nodes of this one; the next of the same parent */
    int nchwc_block;                  /* of its blocked values (ops/nchwc.h); 0: nobody asked yet */
    const void *origin;               /* GraphProto (FunctionProto for a body) */
};

struct function {
    const char *domain, *name, *overload;
    struct graph *body; /* inputs and outputs are untyped values */
    const char **attrs; /* attribute parameters without default */
    size_t nattrs;
    struct attr *attr_defaults;
    size_t nattr_defaults;
    struct opset *opsets;
    size_t nopsets;
    const void *origin;
};

struct held {
    struct held *next;
    struct tensor_data *data;
};

struct model {
    struct arena arena;
    struct file *file; /* the bytes payloads point into; NULL for a model made in memory */
    const char *path;  /* as given; NULL */
    const char *dir;   /* folder that external data is confined to; NULL: none allowed */
    bool allow_links;
    int64_t ir_version;
    struct opset *opsets;
    size_t nopsets;
    bool opset_assumed; /* the file imports none, though its IR version demands that */
    struct graph *graph;
    struct function **funcs;
    size_t nfuncs;
    struct symtab *syms;      /* interned dimension expressions; get it with model_syms (shape/dim_expr.h) */
    uint32_t nvalues, nnodes; /* next ids */
    struct held *held;        /* initializers whose bytes have an owner of their own */
    struct smap external_map; /* location -> struct file, one reference each: kept by io/external.c */
    const void *origin;       /* ModelProto */
};

/* A new empty model with an empty main graph. */
struct model *model_new(void);
void model_free(struct model *m);
/* Gives back what t keeps in memory apart from the model's arena; then t is PL_GONE. Nothing, where t has
 * nothing of the kind. */
void tensor_data_release(struct tensor_data *t);

/* Version of domain that m (or, inside a function body, the function) imports; 0: not imported. "" equals
 * "ai.onnx". */
int64_t graph_opset(const struct graph *g, const char *domain);
/* "" for "ai.onnx", else the argument: how domains are kept. */
const char *domain_norm(const char *domain);
/* How messages spell it. */
const char *domain_text(const char *domain);

/* How a message calls a node: its name, or that of its first output where it has none. */
const char *node_label(const struct node *n);
/* NULL when the node does not carry it. */
const struct attr *node_attr(const struct node *n, const char *name);
/* Calls fn on g and every graph inside it, outer first; stops at the first non-zero and returns it. */
int graph_walk(struct graph *g, int (*fn)(void *user, struct graph *g, int depth), void *user);
/* The innermost graph inside `inner` outwards that holds value v. True when v belongs to g or a graph around
 * it. */
bool value_visible(const struct value *v, const struct graph *g);
/* Value by name from g outwards; NULL. */
struct value *graph_find(const struct graph *g, const char *name);

/* Elements of a payload; its dims were checked at import. */
int64_t tensor_data_count(const struct tensor_data *t);

/* "float[batch,3,224,224]", "seq(float[?])", "?" into buf; returns buf. */
const char *type_text(const struct type *t, char *buf, size_t size);
/* All of t, elements of elements too, in memory of a; dims stay interned where they are. NULL: out of memory.
 */
struct type *type_copy(struct arena *a, const struct type *t);
/* The type of a tensor that is at hand, all dims numbers; elements of sequences of unknown rank. NULL: out of
 * memory. */
struct type *type_of_tensor(struct arena *a, const struct tensor *t);
bool type_same(const struct type *a, const struct type *b);

#endif
