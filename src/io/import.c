/* Model, graphs, nodes, attributes and types: protobuf -> IR.
 *
 * A graph is imported in passes over its lists, so that names may be used before they are defined:
 *   1. inputs, initializers   2. outputs of all nodes   3. nodes with inputs and attributes (inner graphs now
 *   see all names around them)   4. graph outputs   5. other declared types   6. topological order
 * Strings, dimensions and number lists are not copied: they live in the decoded messages, in the same arena.
 */
#include "io/import.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/tensor.h"
#include "io/decode.h"
#include "ir/edit.h"
#include "ir/order.h"
#include "shape/dim_expr.h"

struct imp {
    struct cx *cx;
    struct model *m;
    struct import_notes *notes;
};

/* What a graph and a function body have in common. */
struct body {
    Onnx__NodeProto **node;
    size_t n_node;
    Onnx__ValueInfoProto **value_info;
    size_t n_value_info;
};

static int import_graph(struct imp *im, Onnx__GraphProto *p, struct graph *g);

static void seen(struct imp *im, const void *msg)
{
    im->notes->at = pb_info(msg)->loc;
}

static const char *text(const char *s)
{
    return s ? s : "";
}

/* ---- types ---- */

static int import_dim(struct imp *im, const Onnx__TensorShapeProto__Dimension *p, struct dim *out)
{
    *out = dim_unknown();
    if (p->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM) {
        if (p->dim_param && *p->dim_param)
            *out = dim_symbol(im->m->syms, p->dim_param);
    } else if (p->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
        /* Some exporters write -1 for "not known". */
        if (p->dim_value < -1)
            return err_set(im->cx, E_MODEL, "a dimension is %lld", (long long)p->dim_value);
        if (p->dim_value >= 0)
            *out = dim_const(p->dim_value);
    }
    return 0;
}

static int import_shape(struct imp *im, const Onnx__TensorShapeProto *p, struct type *t)
{
    int64_t known[TENSOR_MAX_RANK], count;
    int nknown = 0;

    t->rank = -1;
    if (!p)
        return 0;
    if (p->n_dim > TENSOR_MAX_RANK)
        return err_set(im->cx, E_UNSUPPORTED, "%zu dimensions, more than %d are not supported", p->n_dim,
                       TENSOR_MAX_RANK);
    t->rank = (int)p->n_dim;
    t->dims = arena_array(&im->m->arena, p->n_dim, sizeof(*t->dims));
    if (!t->dims)
        return err_nomem(im->cx);
    for (size_t i = 0; i < p->n_dim; i++) {
        int r = import_dim(im, p->dim[i], &t->dims[i]);

        if (r < 0)
            return r;
        if (t->dims[i].kind == DIM_CONST)
            known[nknown++] = t->dims[i].v;
    }
    if (!dims_count(known, nknown, &count))
        return err_set(im->cx, E_MODEL, "the product of the dimensions overflows");
    return 0;
}

static int import_elem_type(struct imp *im, int number, struct type *t)
{
    t->dt = dtype_info(number)->dt;
    if (number && !dtype_info(number)->name)
        return err_set(im->cx, E_UNSUPPORTED, "element type %d is not known", number);
    return 0;
}

static int import_type(struct imp *im, const Onnx__TypeProto *p, struct type **out);

/* The type inside a sequence, optional or map; stays NULL where the file does not say. */
static int import_elem(struct imp *im, const Onnx__TypeProto *p, struct type *t)
{
    struct type *elem = NULL;
    int r = p ? import_type(im, p, &elem) : 0;

    t->elem = elem;
    return r;
}

/* As deep as messages nest, which the decoder bounds. */
static int import_type(struct imp *im, const Onnx__TypeProto *p, struct type **out)
{
    struct type *t = arena_zalloc(&im->m->arena, sizeof(*t));
    int r;

    if (!t)
        return err_nomem(im->cx);
    t->rank = -1;
    t->origin = p;
    *out = t;
    switch (p->value_case) {
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        t->kind = TY_TENSOR;
        r = import_elem_type(im, p->tensor_type->elem_type, t);
        return r < 0 ? r : import_shape(im, p->tensor_type->shape, t);
    case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        t->kind = TY_SPARSE;
        r = import_elem_type(im, p->sparse_tensor_type->elem_type, t);
        return r < 0 ? r : import_shape(im, p->sparse_tensor_type->shape, t);
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        t->kind = TY_SEQ;
        return import_elem(im, p->sequence_type->elem_type, t);
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        t->kind = TY_OPT;
        return import_elem(im, p->optional_type->elem_type, t);
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        t->kind = TY_MAP;
        r = import_elem_type(im, p->map_type->key_type, t);
        return r < 0 ? r : import_elem(im, p->map_type->value_type, t);
    case ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE:
        t->kind = TY_OPAQUE;
        return 0;
    default:
        return 0;
    }
}

/* Reads the declared type of v. */
static int declare(struct imp *im, struct value *v, const Onnx__ValueInfoProto *p)
{
    struct type *t;
    int r;

    v->origin = p;
    if (!p->type)
        return 0;
    seen(im, p);
    r = import_type(im, p->type, &t);
    if (r < 0)
        return err_frame(im->cx, "declared type of '%s'", v->name);
    if (t->kind == TY_NONE)
        return 0;
    v->declared = t;
    v->type = t;
    return 0;
}

/* ---- tensors ---- */

static int note_external(struct imp *im, struct tensor_data *t)
{
    struct import_notes *n = im->notes;

    if (t->payload != PL_EXTERNAL)
        return 0;
    n->external =
        arena_grow(&im->cx->scratch, n->external, n->nexternal, &n->cap_external, sizeof(*n->external));
    if (!n->external)
        return err_nomem(im->cx);
    n->external[n->nexternal++] = t;
    return 0;
}

static int new_tensor(struct imp *im, const Onnx__TensorProto *p, struct tensor_data **out)
{
    struct tensor_data *t = arena_zalloc(&im->m->arena, sizeof(*t));
    int r;

    if (!t)
        return err_nomem(im->cx);
    seen(im, p);
    *out = t;
    r = import_tensor(im->cx, &im->m->arena, p, t);
    return r < 0 ? r : note_external(im, t);
}

static int new_sparse(struct imp *im, const Onnx__SparseTensorProto *p, struct sparse_data **out)
{
    struct sparse_data *s = arena_zalloc(&im->m->arena, sizeof(*s));
    int r;

    if (!s)
        return err_nomem(im->cx);
    seen(im, p);
    *out = s;
    r = import_sparse(im->cx, &im->m->arena, p, s);
    if (!r)
        r = note_external(im, &s->values);
    return r < 0 ? r : note_external(im, &s->indices);
}

/* ---- attributes ---- */

/* Files of IR version 1 do not say what kind an attribute is: the field that is there tells. */
static enum attr_kind guess_kind(const Onnx__AttributeProto *p)
{
    const struct {
        bool there;
        enum attr_kind kind;
    } guess[] = {
        {p->has_f, AT_FLOAT},
        {p->has_i, AT_INT},
        {p->has_s, AT_STRING},
        {p->t != NULL, AT_TENSOR},
        {p->g != NULL, AT_GRAPH},
        {p->n_floats > 0, AT_FLOATS},
        {p->n_ints > 0, AT_INTS},
        {p->n_strings > 0, AT_STRINGS},
        {p->n_tensors > 0, AT_TENSORS},
        {p->n_graphs > 0, AT_GRAPHS},
        {p->tp != NULL, AT_TYPE},
        {p->n_type_protos > 0, AT_TYPES},
        {p->sparse_tensor != NULL, AT_SPARSE},
        {p->n_sparse_tensors > 0, AT_SPARSES},
    };

    if (p->has_type && p->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED)
        return (enum attr_kind)p->type;
    for (size_t i = 0; i < sizeof(guess) / sizeof(guess[0]); i++)
        if (guess[i].there)
            return guess[i].kind;
    return AT_UNDEFINED;
}

static int attr_graph(struct imp *im, struct node *n, Onnx__GraphProto *p, struct graph **out)
{
    int r = graph_new(im->cx, im->m, text(p->name), n, out);

    if (r < 0)
        return r;
    (*out)->func = n->graph->func;
    (*out)->origin = p;
    return import_graph(im, p, *out);
}

static void *list(struct imp *im, size_t n)
{
    return arena_array(&im->m->arena, n, sizeof(void *));
}

static int attr_strings(struct imp *im, const Onnx__AttributeProto *p, struct attr *a)
{
    struct ostr *s = arena_array(&im->m->arena, p->n_strings, sizeof(*s));

    if (!s)
        return err_nomem(im->cx);
    for (size_t i = 0; i < p->n_strings; i++)
        s[i] = (struct ostr){(const char *)p->strings[i].data, p->strings[i].len};
    a->u.strings = s;
    a->n = p->n_strings;
    return 0;
}

/* Kinds whose elements are objects of their own. node is NULL for the defaults of a function's attributes. */
static int attr_objects(struct imp *im, struct node *node, const Onnx__AttributeProto *p, struct attr *a)
{
    bool tensors = a->kind == AT_TENSORS, graphs = a->kind == AT_GRAPHS, sparses = a->kind == AT_SPARSES;
    size_t n = tensors   ? p->n_tensors
               : graphs  ? p->n_graphs
               : sparses ? p->n_sparse_tensors
                         : p->n_type_protos;
    void **items = list(im, n);
    int r = 0;

    if (!items)
        return err_nomem(im->cx);
    a->n = n;
    a->u.tensors = (struct tensor_data **)items;
    for (size_t i = 0; i < n && !r; i++) {
        if (tensors)
            r = new_tensor(im, p->tensors[i], &a->u.tensors[i]);
        else if (graphs)
            r = attr_graph(im, node, p->graphs[i], &a->u.graphs[i]);
        else if (sparses)
            r = new_sparse(im, p->sparse_tensors[i], &a->u.sparses[i]);
        else
            r = import_type(im, p->type_protos[i], &a->u.types[i]);
    }
    return r;
}

static int attr_missing(struct imp *im, const char *what)
{
    return err_set(im->cx, E_MODEL, "it should hold a %s, but there is none", what);
}

static int attr_value(struct imp *im, struct node *node, const Onnx__AttributeProto *p, struct attr *a)
{
    if ((a->kind == AT_GRAPH || a->kind == AT_GRAPHS) && !node)
        return err_set(im->cx, E_UNSUPPORTED, "a graph as default of a function's attribute");
    switch (a->kind) {
    case AT_FLOAT:
        a->u.f = p->f;
        return 0;
    case AT_INT:
        a->u.i = p->i;
        return 0;
    case AT_STRING:
        a->u.s = (struct ostr){p->s.data ? (const char *)p->s.data : "", p->s.len};
        return 0;
    case AT_TENSOR:
        return p->t ? new_tensor(im, p->t, &a->u.t) : attr_missing(im, "tensor");
    case AT_GRAPH:
        return p->g ? attr_graph(im, node, p->g, &a->u.g) : attr_missing(im, "graph");
    case AT_SPARSE:
        return p->sparse_tensor ? new_sparse(im, p->sparse_tensor, &a->u.sparse)
                                : attr_missing(im, "sparse tensor");
    case AT_TYPE:
        return p->tp ? import_type(im, p->tp, &a->u.type) : attr_missing(im, "type");
    case AT_FLOATS:
        a->u.floats = p->floats;
        a->n = p->n_floats;
        return 0;
    case AT_INTS:
        a->u.ints = p->ints;
        a->n = p->n_ints;
        return 0;
    case AT_STRINGS:
        return attr_strings(im, p, a);
    case AT_TENSORS:
    case AT_GRAPHS:
    case AT_SPARSES:
    case AT_TYPES:
        return attr_objects(im, node, p, a);
    default:
        return a->kind == AT_UNDEFINED ? err_set(im->cx, E_MODEL, "it has neither a type nor a value")
                                       : err_set(im->cx, E_MODEL, "kind %d is not known", (int)a->kind);
    }
}

static int import_attr(struct imp *im, struct node *node, const Onnx__AttributeProto *p, struct attr *a)
{
    uint64_t at = pb_info(p)->loc;
    int r;

    im->notes->at = at;
    a->name = text(p->name);
    a->origin = p;
    a->kind = guess_kind(p);
    if (!*a->name)
        return err_set(im->cx, E_MODEL, "an attribute has no name");
    if (p->ref_attr_name && *p->ref_attr_name) {
        a->ref = p->ref_attr_name;
        return 0;
    }
    r = attr_value(im, node, p, a);
    if (r < 0)
        err_frame(im->cx, "attribute '%s'", a->name);
    return r;
}

/* Few attributes are compared with each other, many through a map. */
static int unique_attrs(struct imp *im, const struct attr *a, size_t n)
{
    struct smap names = {.arena = &im->cx->scratch};
    struct arena_mark mark = arena_mark(&im->cx->scratch);
    int r = 0;

    for (size_t i = 0; i < n && !r; i++) {
        bool dup = false;

        if (n <= 8) {
            for (size_t j = 0; j < i; j++)
                dup |= !strcmp(a[i].name, a[j].name);
        } else {
            dup = smap_get(&names, a[i].name) != NULL;
            if (!dup && !smap_put(&names, a[i].name, &im->cx))
                r = err_nomem(im->cx);
        }
        if (dup)
            r = err_set(im->cx, E_MODEL, "attribute '%s' is there twice", a[i].name);
    }
    if (n > 8)
        arena_release(&im->cx->scratch, mark);
    return r;
}

static int import_attrs(struct imp *im, struct node *node, Onnx__AttributeProto **p, size_t n,
                        struct attr **out)
{
    struct attr *a;
    int r = 0;

    *out = NULL;
    if (!n)
        return 0;
    if (n > INT32_MAX)
        return err_set(im->cx, E_MODEL, "%zu attributes", n);
    a = arena_array(&im->m->arena, n, sizeof(*a));
    if (!a)
        return err_nomem(im->cx);
    *out = a;
    for (size_t i = 0; i < n && !r; i++)
        r = import_attr(im, node, p[i], &a[i]);
    return r < 0 ? r : unique_attrs(im, a, n);
}

/* ---- nodes ---- */

static const char *node_text(const Onnx__NodeProto *p, char *buf, size_t size)
{
    const char *first = p->n_output && p->output[0] ? p->output[0] : "";

    if (p->name && *p->name)
        snprintf(buf, size, "node '%s' (%s)", p->name, text(p->op_type));
    else
        snprintf(buf, size, "node %s that makes '%s'", text(p->op_type), first);
    return buf;
}

static int node_frame(struct imp *im, const Onnx__NodeProto *p)
{
    char buf[ERR_FRAME_TEXT];

    return err_frame(im->cx, "%s", node_text(p, buf, sizeof(buf)));
}

static int define(struct imp *im, struct graph *g, const char *name, struct value **out)
{
    if (smap_get(&g->names, name))
        return err_set(im->cx, E_MODEL, "'%s' is defined twice", name);
    return value_new(im->cx, g, name, out);
}

/* Creates the values that a node makes; outs has room for all. */
static int node_outputs(struct imp *im, struct graph *g, const Onnx__NodeProto *p, struct value **outs)
{
    int r = 0;

    seen(im, p);
    for (size_t i = 0; i < p->n_output && !r; i++) {
        outs[i] = NULL;
        if (*p->output[i])
            r = define(im, g, p->output[i], &outs[i]);
    }
    return r < 0 ? node_frame(im, p) : 0;
}

static int node_inputs(struct imp *im, struct graph *g, const Onnx__NodeProto *p, struct value **ins)
{
    for (size_t i = 0; i < p->n_input; i++) {
        ins[i] = NULL;
        if (!*p->input[i])
            continue;
        ins[i] = graph_find(g, p->input[i]);
        if (!ins[i])
            return err_set(im->cx, E_MODEL, "input %zu is '%s', which nothing defines", i, p->input[i]);
    }
    return 0;
}

static int import_node(struct imp *im, struct graph *g, const Onnx__NodeProto *p, struct value **ins,
                       struct value **outs)
{
    struct node *n;
    int r;

    seen(im, p);
    if (!p->op_type || !*p->op_type)
        return err_set(im->cx, E_MODEL, "it has no operator");
    r = node_inputs(im, g, p, ins);
    if (!r)
        r = node_new(im->cx, g, NULL, domain_norm(text(p->domain)), p->op_type, text(p->name), ins,
                     (int)p->n_input, outs, (int)p->n_output, &n);
    if (r < 0)
        return r;
    n->overload = text(p->overload);
    n->loc = pb_info(p)->loc;
    n->origin = p;
    r = import_attrs(im, n, p->attribute, p->n_attribute, &n->attrs);
    n->nattr = r < 0 ? 0 : (int)p->n_attribute;
    return r;
}

/* All outputs first, then all nodes. */
static int import_nodes(struct imp *im, struct graph *g, const struct body *b)
{
    struct arena_mark mark = arena_mark(&im->cx->scratch);
    struct value **outs, **ins, **o;
    size_t nouts = 0, nins = 0;
    int r = 0;

    for (size_t i = 0; i < b->n_node; i++) {
        nouts += b->node[i]->n_output;
        if (nins < b->node[i]->n_input)
            nins = b->node[i]->n_input;
    }
    if (nins > INT32_MAX || nouts > INT32_MAX)
        return err_set(im->cx, E_UNSUPPORTED, "%zu values in one graph", nouts);
    outs = o = arena_array(&im->cx->scratch, nouts, sizeof(*outs));
    ins = arena_array(&im->cx->scratch, nins, sizeof(*ins));
    if (!outs || !ins)
        return err_nomem(im->cx);
    for (size_t i = 0; i < b->n_node && !r; i++) {
        r = node_outputs(im, g, b->node[i], o);
        o += b->node[i]->n_output;
    }
    o = outs;
    for (size_t i = 0; i < b->n_node && !r; i++) {
        r = import_node(im, g, b->node[i], ins, o);
        if (r < 0)
            node_frame(im, b->node[i]);
        o += b->node[i]->n_output;
    }
    if (!im->notes->nexternal) /* the list of external tensors lives in scratch, too */
        arena_release(&im->cx->scratch, mark);
    return r;
}

/* ---- graphs ---- */

static int import_inputs(struct imp *im, struct graph *g, const Onnx__GraphProto *p)
{
    for (size_t i = 0; i < p->n_input; i++) {
        const char *name = text(p->input[i]->name);
        struct value *v;
        int r;

        seen(im, p->input[i]);
        if (!*name)
            return err_set(im->cx, E_MODEL, "input %zu has no name", i);
        r = define(im, g, name, &v);
        if (!r)
            r = graph_add_input(im->cx, g, v);
        if (!r)
            r = declare(im, v, p->input[i]);
        if (r < 0)
            return r;
        pb_info(p->input[i])->user = v;
    }
    return 0;
}

/* The value that an initializer gives its content: a graph input of that name, or a new one. */
static int init_value(struct imp *im, struct graph *g, const char *name, struct value **out)
{
    if (!*name)
        return err_set(im->cx, E_MODEL, "an initializer has no name");
    *out = smap_get(&g->names, name);
    if (!*out)
        return value_new(im->cx, g, name, out);
    if ((*out)->init || (*out)->sparse)
        return err_set(im->cx, E_MODEL, "'%s' is defined by two initializers", name);
    return 0;
}

/* An initializer that no declaration speaks about is of the type it has. */
static int init_type(struct imp *im, struct value *v, enum dtype dt, int rank, const int64_t *dims)
{
    struct type *t;

    if (v->type)
        return 0;
    t = arena_zalloc(&im->m->arena, sizeof(*t));
    if (!t)
        return err_nomem(im->cx);
    *t = (struct type){.kind = TY_TENSOR, .dt = dt, .rank = rank};
    t->dims = arena_array(&im->m->arena, (size_t)rank, sizeof(*t->dims));
    if (!t->dims)
        return err_nomem(im->cx);
    for (int i = 0; i < rank; i++)
        t->dims[i] = dim_const(dims[i]);
    v->type = t;
    return 0;
}

static int import_inits(struct imp *im, struct graph *g, const Onnx__GraphProto *p)
{
    int r = 0;

    for (size_t i = 0; i < p->n_initializer && !r; i++) {
        struct tensor_data *t;
        struct value *v;

        r = new_tensor(im, p->initializer[i], &t);
        if (!r)
            r = init_value(im, g, t->name, &v);
        if (!r)
            r = graph_add_init(im->cx, g, v, t);
        if (!r)
            r = init_type(im, v, t->dt, t->rank, t->dims);
    }
    for (size_t i = 0; i < p->n_sparse_initializer && !r; i++) {
        struct sparse_data *s;
        struct value *v;

        r = new_sparse(im, p->sparse_initializer[i], &s);
        if (!r)
            r = init_value(im, g, s->values.name, &v);
        if (!r)
            r = graph_add_sparse_init(im->cx, g, v, s);
        if (!r)
            r = init_type(im, v, s->values.dt, s->rank, s->dims);
    }
    return r;
}

/* Entries for names that the graph does not have are left alone; the writer puts them back as they were. */
static int import_value_info(struct imp *im, struct graph *g, const struct body *b)
{
    for (size_t i = 0; i < b->n_value_info; i++) {
        struct value *v = smap_get(&g->names, text(b->value_info[i]->name));
        int r;

        if (!v)
            continue;
        pb_info(b->value_info[i])->user = v;
        if (v->declared)
            continue;
        r = declare(im, v, b->value_info[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_output(struct imp *im, struct graph *g, const char *name, struct value **out)
{
    *out = smap_get(&g->names, name);
    if (!*out && graph_find(g, name))
        return err_set(im->cx, E_MODEL,
                       "output '%s' is a value of the graph around it: put an Identity in between", name);
    if (!*out)
        return err_set(im->cx, E_MODEL, "output '%s' is not made by any node", name);
    if ((*out)->is_output)
        return err_set(im->cx, E_MODEL, "output '%s' is listed twice", name);
    return graph_add_output(im->cx, g, *out);
}

static int import_outputs(struct imp *im, struct graph *g, const Onnx__GraphProto *p)
{
    for (size_t i = 0; i < p->n_output; i++) {
        const void *origin;
        struct value *v;
        int r;

        seen(im, p->output[i]);
        r = add_output(im, g, text(p->output[i]->name), &v);
        if (r < 0)
            return r;
        pb_info(p->output[i])->user = v;
        origin = v->origin;
        if (!v->declared) {
            r = declare(im, v, p->output[i]);
            if (r < 0)
                return r;
        }
        if (v->is_input)
            v->origin = origin;
    }
    return 0;
}

/* Quantization annotations follow their tensor when it gets another name. */
static void note_annotations(struct graph *g, const Onnx__GraphProto *p)
{
    for (size_t i = 0; i < p->n_quantization_annotation; i++)
        pb_info(p->quantization_annotation[i])->user =
            smap_get(&g->names, text(p->quantization_annotation[i]->tensor_name));
}

static int import_graph_parts(struct imp *im, Onnx__GraphProto *p, struct graph *g)
{
    struct body b = {p->node, p->n_node, p->value_info, p->n_value_info};
    int r = import_inputs(im, g, p);

    if (!r)
        r = import_inits(im, g, p);
    if (!r)
        r = import_nodes(im, g, &b);
    if (!r)
        r = import_outputs(im, g, p);
    if (!r)
        r = import_value_info(im, g, &b);
    if (r < 0)
        return r;
    note_annotations(g, p);
    im->notes->at = pb_info(p)->loc;
    return graph_sort(im->cx, g);
}

/* As deep as messages nest, which the decoder bounds. */
static int import_graph(struct imp *im, Onnx__GraphProto *p, struct graph *g)
{
    int r = import_graph_parts(im, p, g);

    return r < 0 ? err_frame(im->cx, "graph '%s'", text(p->name)) : 0;
}

/* ---- functions ---- */

static int import_opsets(struct imp *im, Onnx__OperatorSetIdProto **p, size_t n, struct opset **out,
                         size_t *nout)
{
    struct opset *o = arena_array(&im->m->arena, n + 1, sizeof(*o));

    if (!o)
        return err_nomem(im->cx);
    for (size_t i = 0; i < n; i++) {
        o[i] = (struct opset){domain_norm(text(p[i]->domain)), p[i]->version};
        seen(im, p[i]);
        if (o[i].version < 1 || o[i].version > INT32_MAX)
            return err_set(im->cx, E_MODEL, "version %lld of operator set %s", (long long)o[i].version,
                           domain_text(o[i].domain));
        for (size_t j = 0; j < i && n <= 1000; j++)
            if (!strcmp(o[i].domain, o[j].domain) && o[i].version != o[j].version)
                return err_set(im->cx, E_MODEL, "operator set %s is imported as version %lld and as %lld",
                               domain_text(o[i].domain), (long long)o[j].version, (long long)o[i].version);
    }
    if (n > 1000)
        return err_set(im->cx, E_MODEL, "%zu operator sets", n);
    *out = o;
    *nout = n;
    return 0;
}

static int function_ports(struct imp *im, struct graph *g, const Onnx__FunctionProto *p, bool inputs)
{
    size_t n = inputs ? p->n_input : p->n_output;

    for (size_t i = 0; i < n; i++) {
        const char *name = inputs ? p->input[i] : p->output[i];
        struct value *v;
        int r;

        if (!*name)
            return err_set(im->cx, E_MODEL, "%s %zu has no name", inputs ? "input" : "output", i);
        if (inputs) {
            r = define(im, g, name, &v);
            if (!r)
                r = graph_add_input(im->cx, g, v);
        } else {
            r = add_output(im, g, name, &v);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int import_function(struct imp *im, Onnx__FunctionProto *p, struct function *f)
{
    struct body b = {p->node, p->n_node, p->value_info, p->n_value_info};
    int r;

    seen(im, p);
    f->name = text(p->name);
    f->domain = domain_norm(text(p->domain));
    f->overload = text(p->overload);
    f->origin = p;
    f->attrs = (const char **)p->attribute;
    f->nattrs = p->n_attribute;
    r = import_opsets(im, p->opset_import, p->n_opset_import, &f->opsets, &f->nopsets);
    if (!r)
        r = import_attrs(im, NULL, p->attribute_proto, p->n_attribute_proto, &f->attr_defaults);
    f->nattr_defaults = r < 0 ? 0 : p->n_attribute_proto;
    if (!r)
        r = graph_new(im->cx, im->m, f->name, NULL, &f->body);
    if (r < 0)
        return r;
    f->body->func = f;
    f->body->origin = p;
    r = function_ports(im, f->body, p, true);
    if (!r)
        r = import_nodes(im, f->body, &b);
    if (!r)
        r = import_value_info(im, f->body, &b);
    im->notes->at = r < 0 ? im->notes->at : pb_info(p)->loc;
    if (!r)
        r = function_ports(im, f->body, p, false);
    return r < 0 ? r : graph_sort(im->cx, f->body);
}

static const char *function_key(struct arena *a, const char *domain, const char *name, const char *overload)
{
    return arena_printf(a, "%s:%s:%s", domain, name, overload);
}

static int import_functions(struct imp *im, const Onnx__ModelProto *p, struct smap *known)
{
    struct model *m = im->m;

    m->funcs = list(im, p->n_functions);
    if (!m->funcs)
        return err_nomem(im->cx);
    for (size_t i = 0; i < p->n_functions; i++) {
        struct function *f = arena_zalloc(&m->arena, sizeof(*f));
        const char *key;
        int r;

        if (!f)
            return err_nomem(im->cx);
        r = import_function(im, p->functions[i], f);
        if (r < 0)
            return err_frame(im->cx, "function '%s'", text(p->functions[i]->name));
        key = function_key(known->arena, f->domain, f->name, f->overload);
        if (!key)
            return err_nomem(im->cx);
        if (smap_get(known, key))
            return err_set(im->cx, E_MODEL, "function '%s' of domain %s is defined twice", f->name,
                           domain_text(f->domain));
        if (!smap_put(known, key, f))
            return err_nomem(im->cx);
        m->funcs[m->nfuncs++] = f;
    }
    return 0;
}

/* ---- functions that call themselves ---- */

struct calls {
    struct imp *im;
    struct smap *known;
    struct function **to; /* functions called by the one that is looked at */
    size_t n, cap;
};

static int collect_calls(void *user, struct graph *g, int depth)
{
    struct calls *c = user;

    (void)depth;
    for (struct node *n = g->first; n; n = n->next) {
        const char *key = function_key(c->known->arena, n->domain, n->op_type, n->overload);
        struct function *f = key ? smap_get(c->known, key) : NULL;

        if (!key)
            return err_nomem(c->im->cx);
        if (!f)
            continue;
        c->to = arena_grow(c->known->arena, c->to, c->n, &c->cap, sizeof(struct function *));
        if (!c->to)
            return err_nomem(c->im->cx);
        c->to[c->n++] = f;
    }
    return 0;
}

/* Kahn's algorithm over "calls": what is left when no function without open callers remains, is a cycle. */
static int check_recursion(struct imp *im, struct smap *known)
{
    struct model *m = im->m;
    size_t nf = m->nfuncs, done = 0, head = 0;
    struct calls *c = arena_array(known->arena, nf, sizeof(*c));
    size_t *open = arena_array(known->arena, nf, sizeof(*open));
    size_t *queue = arena_array(known->arena, nf, sizeof(*queue));

    if (!c || !open || !queue)
        return err_nomem(im->cx);
    for (size_t i = 0; i < nf; i++) {
        int r;

        c[i].im = im;
        c[i].known = known;
        r = graph_walk(m->funcs[i]->body, collect_calls, &c[i]);
        if (r < 0)
            return r;
        pb_info(m->funcs[i]->origin)->size = i; /* its number, until the writer needs the field */
    }
    for (size_t i = 0; i < nf; i++)
        for (size_t k = 0; k < c[i].n; k++)
            open[pb_info(c[i].to[k]->origin)->size]++;
    for (size_t i = 0; i < nf; i++)
        if (!open[i])
            queue[done++] = i;
    for (; head < done; head++) {
        struct calls *at = &c[queue[head]];

        for (size_t k = 0; k < at->n; k++) {
            size_t j = (size_t)pb_info(at->to[k]->origin)->size;

            if (--open[j] == 0)
                queue[done++] = j;
        }
    }
    for (size_t i = 0; i < nf; i++)
        if (open[i])
            return err_set(im->cx, E_MODEL, "function '%s' calls itself, directly or through others",
                           m->funcs[i]->name);
    return 0;
}

/* ---- the model ---- */

static int import_versions(struct imp *im, const Onnx__ModelProto *p)
{
    struct model *m = im->m;
    int r;

    m->ir_version = p->ir_version;
    if (!p->has_ir_version || p->ir_version < 1 || p->ir_version > INT32_MAX)
        return err_set(im->cx, E_MODEL, "the IR version is %s",
                       p->has_ir_version ? "out of range" : "missing");
    r = import_opsets(im, p->opset_import, p->n_opset_import, &m->opsets, &m->nopsets);
    if (r < 0 || m->nopsets)
        return r;
    m->opset_assumed = m->ir_version >= 3;
    m->opsets[0] = (struct opset){"", 1};
    m->nopsets = 1;
    return 0;
}

int import_model(struct cx *cx, struct model *m, Onnx__ModelProto *p, struct import_notes *notes)
{
    struct imp im = {cx, m, notes};
    struct smap known = {.arena = &cx->scratch};
    int r;

    m->origin = p;
    seen(&im, p);
    if (!m->syms)
        m->syms = symtab_new(&m->arena);
    if (!m->syms)
        return err_nomem(cx);
    r = import_versions(&im, p);
    if (!r)
        r = import_functions(&im, p, &known);
    if (!r && m->nfuncs)
        r = check_recursion(&im, &known);
    if (r < 0)
        return r;
    m->graph->name = text(p->graph->name);
    m->graph->origin = p->graph;
    return import_graph(&im, p->graph, m->graph);
}
