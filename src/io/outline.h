/* A model as its file says it, free of protobuf: names as they stand, lists in the file's order, doubles and
 * danglings included. What the checker reads. The IR cannot say these things, since import refuses or mends
 * them. Strings are borrowed from the decoded messages and never NULL. */
#ifndef OT_IO_OUTLINE_H
#define OT_IO_OUTLINE_H

#include "base/err.h"
#include "ir/ir.h"

struct ol_pair {
    const char *key, *value;
};

struct ol_dim {
    enum { OL_DIM_NONE, OL_DIM_VALUE, OL_DIM_PARAM } kind;
    int64_t value;
    const char *param;
};

struct ol_type {
    enum type_kind kind;      /* TY_NONE: the oneof is not set */
    bool has_elem, has_shape; /* has_elem of an opaque type: it has a name */
    int elem;                 /* number of the element type; of the key in a map */
    size_t ndims;
    struct ol_dim *dims;
    const struct ol_type *inner; /* of a sequence, optional, map; NULL */
};

struct ol_value {
    const char *name;
    const struct ol_type *type; /* NULL: not given */
    uint64_t at;
    struct ol_pair *meta;
    size_t nmeta;
};

struct ol_tensor {
    const char *name;
    bool has_dt, segment, external;
    int dt;
    size_t ndims;
    const int64_t *dims;
    unsigned fields; /* 1 << number of the field of TensorProto, for each that holds values */
    size_t nstrings, next;
    struct ol_pair *ext; /* external_data */
    uint64_t at;
    struct ol_pair *meta;
    size_t nmeta;
    const void *msg;
};

struct ol_sparse {
    const struct ol_tensor *values, *indices; /* NULL: not there */
    size_t ndims;
    const int64_t *dims;
    uint64_t at;
};

struct ol_graph;

struct ol_attr {
    const char *name, *ref;
    bool has_type;
    int type;
    unsigned set; /* 1 << enum attr_kind, for each field that is there */
    struct ol_tensor *tensors;
    struct ol_graph *graphs;
    struct ol_sparse *sparses;
    struct ol_type **types;
    size_t ntensors, ngraphs, nsparses, ntypes;
    int64_t i;
    const int64_t *ints;
    size_t nints;
    uint64_t at;
};

struct ol_node {
    const char *name, *op, *domain, *overload; /* domain "" is ai.onnx */
    const char *const *in, *const *out;
    size_t nin, nout;
    struct ol_attr *attrs;
    size_t nattrs, ndevices;
    struct ol_pair *meta;
    size_t nmeta;
    uint64_t at;
};

/* A graph, or a function's body (whose inputs and outputs have no types). */
struct ol_graph {
    const char *name;
    struct ol_value *ins, *outs, *infos;
    struct ol_tensor *inits;
    struct ol_sparse *sparses;
    struct ol_node *nodes;
    size_t nins, nouts, ninfos, ninits, nsparses, nnodes;
    const char **annotated; /* tensors that quantization annotations name */
    size_t nannotated;
    struct ol_pair *meta;
    size_t nmeta;
    uint64_t at;
};

struct ol_import {
    const char *domain;
    int64_t version;
    bool has_version;
    uint64_t at;
};

struct ol_function {
    const char *domain, *name, *overload;
    struct ol_graph body;
    const char *const *attrs;
    size_t nattrs;
    struct ol_attr *defaults;
    size_t ndefaults;
    struct ol_import *imports;
    size_t nimports;
    uint64_t at;
};

struct outline {
    bool has_ir;
    int64_t ir;
    struct ol_import *imports;
    struct ol_pair *meta;
    struct ol_function *funcs;
    struct ol_graph *graph;    /* NULL: none */
    struct ol_graph *training; /* initialization and algorithm graphs */
    size_t nimports, nmeta, nfuncs, ntraining, nconfigs;
};

/* Of a model with an origin: decoded (model_decode) or loaded. Memory from a. */
int outline_make(struct cx *cx, struct arena *a, const struct model *m, struct outline *out);
/* Whether the tensor's bytes are as many as type and dims ask, in the right field; external ones (when
 * external) are looked for beside m. E_DATA, E_MODEL, E_PATH, E_NOENT, E_IO, E_UNSUPPORTED. */
int outline_tensor(struct cx *cx, struct arena *a, struct model *m, const struct ol_tensor *t, bool external);
/* Values of an int64 tensor whose bytes passed outline_tensor; NULL when they are in another file. */
int outline_ints(struct cx *cx, struct arena *a, struct model *m, const struct ol_tensor *t, int64_t **out,
                 int64_t *n);

#endif
