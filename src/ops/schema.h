/* Facts of every operator version, from schema.def (which explains its columns). Looking an operator up costs
 * a binary search over constant rows; the columns are only read when somebody asks what they say. Nothing
 * here is written after the program was linked, so threads need no care. */
#ifndef OT_OPS_SCHEMA_H
#define OT_OPS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/err.h"

enum schema_flag {
    SF_DEPRECATED = 1u << 0, /* from this version on the operator is no more */
    SF_BODY = 1u << 1,       /* schema_body() may know a function body */
    SF_CTX_BODY = 1u << 2,   /* has a body that depends on attributes and input types (not kept here) */
    SF_NONDET = 1u << 3,     /* random, or holds graphs that may be */
};

/* One row of schema.def. */
struct op_version {
    const char *domain, *name; /* domain "" is ai.onnx */
    int since;                 /* opset version that brought it */
    unsigned flags;            /* enum schema_flag */
    const char *sig, *attrs, *types;
};

/* The newest version of an operator with since <= opset, deprecated ones included; NULL when there is none.
 * Domain "ai.onnx" is "". */
const struct op_version *schema_find(const char *domain, const char *name, int64_t opset);
/* Whether any version of the operator exists. */
bool schema_known(const char *domain, const char *name);
/* Newest opset version of a domain; 0: we know no such domain. */
int schema_newest_opset(const char *domain);
/* All rows, sorted by domain, name and since. */
const struct op_version *schema_all(size_t *n);
/* The operator whose name is a typing mistake away from name, of that domain if it has any; NULL: none. */
const char *schema_nearest(const char *domain, const char *name);

/* ---- a row, read ---- */

enum io_option { IO_SINGLE, IO_OPTIONAL, IO_VARIADIC };

struct schema_io {
    const char *name;
    const char *type; /* a constraint's name, or a type */
    enum io_option option;
    int min;            /* IO_VARIADIC: at least that many */
    bool heterogeneous; /* IO_VARIADIC: types may differ */
};

/* Numbers of AttributeProto.AttributeType, as enum attr_kind in ir.h. */
enum schema_attr_kind {
    SA_FLOAT = 1,
    SA_INT = 2,
    SA_STRING = 3,
    SA_TENSOR = 4,
    SA_GRAPH = 5,
    SA_FLOATS = 6,
    SA_INTS = 7,
    SA_STRINGS = 8,
    SA_TENSORS = 9,
    SA_GRAPHS = 10,
    SA_SPARSE_TENSOR = 11,
    SA_SPARSE_TENSORS = 12,
    SA_TYPE_PROTO = 13,
    SA_TYPE_PROTOS = 14,
};

struct schema_attr {
    const char *name;
    enum schema_attr_kind kind;
    bool required;
    const char *def; /* the default as schema.def prints it; NULL: none */
    size_t n;        /* default's elements: 1, or the list's length */
    union {          /* the default, by kind; arrays of n for lists and single values alike */
        const float *f;
        const int64_t *i;
        const char *const *s;
    } val;
};

struct schema_constraint {
    const char *name;
    const char *types; /* expression over types, see schema.def */
};

struct op_schema {
    const struct op_version *ver;
    int nin, nout, nattr, nconstraint;
    const struct schema_io *in, *out;
    const struct schema_attr *attr; /* sorted by name */
    const struct schema_constraint *constraint;
    int min_in, max_in, min_out, max_out; /* counts a node may have; INT_MAX: no upper bound */
};

/* Reads the columns into memory from arena. E_NOMEM only: the rows are ours. */
int schema_parse(struct cx *cx, struct arena *arena, const struct op_version *v, struct op_schema **out);
/* NULL when the operator has no such attribute. */
const struct schema_attr *schema_attr(const struct op_schema *s, const char *name);
/* The formal parameter that input (output) i of a node stands for, the variadic one for all behind it; NULL:
 * none. */
const struct schema_io *schema_input(const struct op_schema *s, int i);
const struct schema_io *schema_output(const struct op_schema *s, int i);

/* Without an arena, straight from the row: the name of input (output) i into buf; "" when there is none. */
const char *schema_input_name(const struct op_version *v, int i, char *buf, size_t size);
const char *schema_output_name(const struct op_version *v, int i, char *buf, size_t size);

/* Whether a parameter of type typestr ("T", "int64", "seq(float)") takes a value of that type: "float" (a
 * tensor), "seq(float)", "optional(seq(int64))", "map(string,float)". */
bool schema_type_allowed(const struct op_version *v, const char *typestr, const char *type);
/* The same, all at once and cheap to test: kinds of value, and element types of tensors. */
enum schema_kind { SK_TENSOR = 1u << 0, SK_SEQ = 1u << 1, SK_OPTIONAL = 1u << 2, SK_MAP = 1u << 3 };
struct schema_takes {
    uint32_t kinds;  /* set of enum schema_kind */
    uint32_t dtypes; /* bit 1 << enum dtype */
};
struct schema_takes schema_takes(const struct op_version *v, const char *typestr);
/* What typestr may be, spelled out for a message ("float, double, seq(int32)"), into buf; cut when too long.
 */
const char *schema_types_text(const struct op_version *v, const char *typestr, char *buf, size_t size);

/* ---- function bodies ---- */

struct op_body {
    const char *domain, *name;
    int since, opset;
    const char *imports; /* "@18 ai.onnx.ml@3": domain@version; nothing before @ is ai.onnx */
    const char *text;    /* ONNX text syntax, from the function's name on */
};

/* The body of v for a model that imports v's domain at opset; NULL when there is none. */
const struct op_body *schema_body(const struct op_version *v, int64_t opset);

#endif
