/* What the files of the checker share. */
#ifndef OT_CHECK_CHECKER_H
#define OT_CHECK_CHECKER_H

#include "check/check.h"
#include "io/outline.h"
#include "ops/schema.h"

/* How a name of a graph came to be. */
struct ck_name {
    const char *name;
    const struct ol_type *type;
    size_t node;             /* its maker's number; SIZE_MAX: none */
    bool input, init, ready; /* ready: made by a node that was passed already */
};

struct ck_scope {
    const struct ck_scope *up;
    const struct ol_graph *g;
    const struct ol_function *func; /* in whose body it is; NULL */
    const char *path;
    struct smap names; /* struct ck_name */
};

struct ck_schema; /* see check_node.c */

struct checker {
    struct cx *cx;
    struct arena *a;
    struct model *m;
    const struct outline *o;
    struct findings *out;
    const struct ck_scope *scope; /* NULL: the model itself */
    const struct ol_node *node;   /* NULL: none */
    struct smap schemas, funcs;   /* op type -> chains */
    bool files;                   /* look for external data */
    bool skip_types;              /* some finding makes inference meaningless */
    int rc;                       /* the machine failed */
};

/* Records a finding at a place in the file. */
void ck_add(struct checker *c, enum finding_code code, uint64_t at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with graph and node given as texts. */
void ck_put(struct checker *c, enum finding_code code, uint64_t at, const char *graph, const char *node,
            const char *text);
const char *ck_print(struct checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* check.c */
const struct ol_function *ck_function(struct checker *c, const struct ol_node *n);
/* Whether the function that n calls cannot do without its input i. */
bool ck_input_needed(struct checker *c, const struct ol_node *n, size_t i);
/* Something that came with an IR version: it changes what is computed, or readers that do not know it lose
 * nothing but remarks. */
void ck_feature(struct checker *c, uint64_t at, int ir, const char *what);
void ck_ignored(struct checker *c, uint64_t at, int ir, const char *what);
/* Keys of metadata entries must differ; they came with IR version since. */
void ck_meta(struct checker *c, const struct ol_pair *p, size_t n, uint64_t at, int since);
/* Version of the domain for nodes here; 0: not imported. */
int64_t ck_opset(const struct checker *c, const char *domain);

/* check_graph.c */
void ck_graph(struct checker *c, const struct ol_graph *g, const struct ol_function *func, const char *path);
/* A graph of training_info: it sees the main graph's initializers. */
void ck_training(struct checker *c, const struct ol_graph *g, const char *path);
/* optional: an element type may be missing, for inference to fill in. */
void ck_type(struct checker *c, const struct ol_type *t, const char *name, uint64_t at, bool optional);

/* check_node.c */
void ck_node(struct checker *c, const struct ol_node *n);
/* Whether the operator of n at that opset has to have its input i. */
bool ck_single_input(struct checker *c, const struct ol_node *n, int64_t opset, size_t i);
/* Subgraphs are checked by ck_graph, everything else of an attribute here. op NULL: no schema. */
void ck_attr_value(struct checker *c, const struct ol_attr *a);

/* check_tensor.c */
void ck_tensor(struct checker *c, const struct ol_tensor *t);
void ck_sparse(struct checker *c, const struct ol_sparse *s, const char *name);

/* check_types.c: inference over the imported model. */
void ck_types(struct checker *c);

#endif
