/* IR -> protobuf. Each object begins as a copy of the message it was imported from; what the IR manages is
 * put over it, and only where it says something else, so that "absent", "empty" and "ai.onnx" stay what they
 * were. */
#include "io/export.h"

#include <stdlib.h>
#include <string.h>

#include "io/encode.h"

static int export_graph(struct export *ex, struct graph *g, Onnx__GraphProto **out);

/* ---- helpers ---- */

static void *fresh(struct export *ex, const void *origin, const ProtobufCMessageDescriptor *desc)
{
    const ProtobufCMessage *o = origin;

    if (o && o->descriptor == desc)
        return pb_clone(ex->arena, o);
    return pb_new(ex->arena, desc);
}

static void *array(struct export *ex, size_t n)
{
    return arena_array(ex->arena, n, sizeof(void *));
}

/* now, spelled as the file spelled it where that means the same: NULL is "". */
static char *keep(const char *was, const char *now)
{
    return !strcmp(was ? was : "", now) ? (char *)(uintptr_t)was : (char *)(uintptr_t)now;
}

static char *keep_domain(const char *was, const char *now)
{
    return !strcmp(domain_norm(was), now) ? (char *)(uintptr_t)was : (char *)(uintptr_t)now;
}

/* ---- tensors ---- */

static int note_tensor(struct export *ex, Onnx__TensorProto *msg, struct tensor_data *t, bool initializer)
{
    ex->tensors = arena_grow(ex->arena, ex->tensors, ex->ntensors, &ex->cap_tensors, sizeof(*ex->tensors));
    if (!ex->tensors)
        return err_nomem(ex->cx);
    ex->tensors[ex->ntensors++] = (struct export_tensor){msg, t, initializer};
    return 0;
}

/* Values that lie in memory because a pass made them; those of the file are written from where they came. */
static bool made_in_memory(const struct tensor_data *t)
{
    return !t->origin || (t->payload == PL_MEM && !t->file_bytes);
}

static int export_tensor(struct export *ex, struct tensor_data *t, const char *name, bool initializer,
                         Onnx__TensorProto **out)
{
    Onnx__TensorProto *msg = fresh(ex, t->origin, &onnx__tensor_proto__descriptor);
    struct pb_payload pl;
    int r = 0;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    if (name)
        msg->name = keep(msg->name, name);
    if (made_in_memory(t) && (t->payload == PL_MEM || t->payload == PL_EMPTY)) {
        r = export_values(ex->cx, ex->arena, msg, t->dt, t->rank, t->dims, t->mem);
    } else if (!t->origin && t->payload != PL_EXTERNAL) {
        pl = (struct pb_payload){.file = t->file, .seg = t->seg, .nseg = (size_t)t->nseg};
        for (size_t i = 0; i < pl.nseg; i++)
            pl.total += pl.seg[i].len;
        r = export_set_raw(ex->cx, ex->arena, msg, &pl);
        if (!r && t->payload == PL_FIELD)
            pb_info(msg)->payload->field = t->field;
    }
    msg->has_data_type |= msg->data_type != (int)t->dt;
    msg->data_type = t->dt;
    msg->n_dims = (size_t)t->rank;
    msg->dims = (int64_t *)(uintptr_t)t->dims;
    return r < 0 ? r : note_tensor(ex, msg, t, initializer);
}

static int export_sparse(struct export *ex, struct sparse_data *s, const char *name, bool initializer,
                         Onnx__SparseTensorProto **out)
{
    Onnx__SparseTensorProto *msg = fresh(ex, s->origin, &onnx__sparse_tensor_proto__descriptor);
    int r;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    msg->n_dims = (size_t)s->rank;
    msg->dims = (int64_t *)(uintptr_t)s->dims;
    r = export_tensor(ex, &s->values, name, initializer, &msg->values);
    return r < 0 ? r : export_tensor(ex, &s->indices, NULL, initializer, &msg->indices);
}

/* ---- types ---- */

static int export_type(struct export *ex, const struct type *t, Onnx__TypeProto **out);

static int export_dim(struct export *ex, struct dim d, Onnx__TensorShapeProto__Dimension **out)
{
    Onnx__TensorShapeProto__Dimension *msg =
        pb_new(ex->arena, &onnx__tensor_shape_proto__dimension__descriptor);
    char text[512];

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    if (d.kind == DIM_CONST) {
        msg->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        msg->dim_value = d.v;
    } else if (d.kind == DIM_EXPR && !(d.e->op == EX_SYM && d.e->fresh)) {
        /* A symbol of inference's own would look like a name that somebody gave. */
        msg->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        msg->dim_param = arena_strdup(ex->arena, dim_text(d, text, sizeof(text)));
        if (!msg->dim_param)
            return err_nomem(ex->cx);
    }
    return 0;
}

static int export_shape(struct export *ex, const struct type *t, Onnx__TensorShapeProto **out)
{
    Onnx__TensorShapeProto *msg;
    int r = 0;

    *out = NULL;
    if (t->rank < 0)
        return 0;
    *out = msg = pb_new(ex->arena, &onnx__tensor_shape_proto__descriptor);
    if (!msg)
        return err_nomem(ex->cx);
    msg->dim = array(ex, (size_t)t->rank);
    if (!msg->dim)
        return err_nomem(ex->cx);
    msg->n_dim = (size_t)t->rank;
    for (int i = 0; i < t->rank && !r; i++)
        r = export_dim(ex, t->dims[i], &msg->dim[i]);
    return r;
}

static int export_tensor_type(struct export *ex, const struct type *t, Onnx__TypeProto *msg)
{
    bool sparse = t->kind == TY_SPARSE;
    Onnx__TypeProto__Tensor *p = pb_new(ex->arena, sparse ? &onnx__type_proto__sparse_tensor__descriptor
                                                          : &onnx__type_proto__tensor__descriptor);

    /* Both messages have the same fields, and so the same layout. */
    if (!p)
        return err_nomem(ex->cx);
    msg->value_case =
        sparse ? ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE : ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    msg->tensor_type = p;
    p->has_elem_type = t->dt != DT_UNDEFINED;
    p->elem_type = t->dt;
    return export_shape(ex, t, &p->shape);
}

static int export_list_type(struct export *ex, const struct type *t, Onnx__TypeProto *msg)
{
    bool opt = t->kind == TY_OPT;
    Onnx__TypeProto__Sequence *p = pb_new(ex->arena, opt ? &onnx__type_proto__optional__descriptor
                                                         : &onnx__type_proto__sequence__descriptor);

    if (!p)
        return err_nomem(ex->cx);
    msg->value_case = opt ? ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE : ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    msg->sequence_type = p;
    return t->elem ? export_type(ex, t->elem, &p->elem_type) : 0;
}

static int export_map_type(struct export *ex, const struct type *t, Onnx__TypeProto *msg)
{
    Onnx__TypeProto__Map *p = pb_new(ex->arena, &onnx__type_proto__map__descriptor);

    if (!p)
        return err_nomem(ex->cx);
    msg->value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE;
    msg->map_type = p;
    p->has_key_type = 1;
    p->key_type = t->dt;
    return t->elem ? export_type(ex, t->elem, &p->value_type) : 0;
}

static int export_type(struct export *ex, const struct type *t, Onnx__TypeProto **out)
{
    Onnx__TypeProto *msg;

    if (t->origin) {
        *out = (Onnx__TypeProto *)(uintptr_t)t->origin;
        return 0;
    }
    *out = msg = pb_new(ex->arena, &onnx__type_proto__descriptor);
    if (!msg)
        return err_nomem(ex->cx);
    switch (t->kind) {
    case TY_TENSOR:
    case TY_SPARSE:
        return export_tensor_type(ex, t, msg);
    case TY_SEQ:
    case TY_OPT:
        return export_list_type(ex, t, msg);
    case TY_MAP:
        return export_map_type(ex, t, msg);
    default:
        return 0;
    }
}

/* origin: the ValueInfoProto that this entry was, or NULL. */
static int export_value(struct export *ex, const struct value *v, const void *origin,
                        Onnx__ValueInfoProto **out)
{
    Onnx__ValueInfoProto *msg = fresh(ex, origin, &onnx__value_info_proto__descriptor);
    const struct type *t = v->declared ? v->declared : origin ? NULL : v->type;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    msg->name = keep(msg->name, v->name);
    /* Of several declarations of one value the IR knows the first; the others stay as they are. */
    if (!t || (origin && origin != v->origin && t->origin))
        return 0;
    return export_type(ex, t, &msg->type);
}

/* ---- attributes ---- */

/* What the copied message says about the value goes, when the attribute is of another kind now. */
static int fresh_attr(struct export *ex, const struct attr *a, bool same_kind, Onnx__AttributeProto **out)
{
    Onnx__AttributeProto *msg = fresh(ex, same_kind ? a->origin : NULL, &onnx__attribute_proto__descriptor);
    const Onnx__AttributeProto *o = a->origin;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    if (!same_kind) {
        msg->has_type = 1;
        msg->type = (Onnx__AttributeProto__AttributeType)a->kind;
        msg->doc_string = o ? o->doc_string : NULL;
    }
    msg->name = keep(msg->name, a->name);
    msg->ref_attr_name = keep(msg->ref_attr_name, a->ref ? a->ref : "");
    return 0;
}

static int export_strings_attr(struct export *ex, const struct attr *a, Onnx__AttributeProto *msg)
{
    msg->n_strings = a->n;
    msg->strings = arena_array(ex->arena, a->n, sizeof(*msg->strings));
    if (!msg->strings)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < a->n; i++)
        msg->strings[i] = (ProtobufCBinaryData){a->u.strings[i].n, (uint8_t *)(uintptr_t)a->u.strings[i].p};
    return 0;
}

/* Kinds that are lists of objects: the arrays of the message are made anew. */
static int export_objects(struct export *ex, const struct attr *a, Onnx__AttributeProto *msg)
{
    void **items = array(ex, a->n);
    int r = 0;

    if (!items)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < a->n && !r; i++) {
        if (a->kind == AT_TENSORS)
            r = export_tensor(ex, a->u.tensors[i], NULL, false, (Onnx__TensorProto **)&items[i]);
        else if (a->kind == AT_GRAPHS)
            r = export_graph(ex, a->u.graphs[i], (Onnx__GraphProto **)&items[i]);
        else if (a->kind == AT_SPARSES)
            r = export_sparse(ex, a->u.sparses[i], NULL, false, (Onnx__SparseTensorProto **)&items[i]);
        else
            r = export_type(ex, a->u.types[i], (Onnx__TypeProto **)&items[i]);
    }
    if (a->kind == AT_TENSORS) {
        msg->tensors = (Onnx__TensorProto **)items;
        msg->n_tensors = a->n;
    } else if (a->kind == AT_GRAPHS) {
        msg->graphs = (Onnx__GraphProto **)items;
        msg->n_graphs = a->n;
    } else if (a->kind == AT_SPARSES) {
        msg->sparse_tensors = (Onnx__SparseTensorProto **)items;
        msg->n_sparse_tensors = a->n;
    } else {
        msg->type_protos = (Onnx__TypeProto **)items;
        msg->n_type_protos = a->n;
    }
    return r;
}

static void export_string_attr(const struct attr *a, Onnx__AttributeProto *msg)
{
    msg->has_s |= a->u.s.n > 0 || !a->origin;
    msg->s = (ProtobufCBinaryData){a->u.s.n, (uint8_t *)(uintptr_t)a->u.s.p};
}

static int export_attr_value(struct export *ex, const struct attr *a, Onnx__AttributeProto *msg)
{
    switch (a->kind) {
    case AT_FLOAT:
        msg->has_f |= !a->origin || memcmp(&msg->f, &a->u.f, sizeof(float)) != 0;
        msg->f = a->u.f;
        return 0;
    case AT_INT:
        msg->has_i |= !a->origin || msg->i != a->u.i;
        msg->i = a->u.i;
        return 0;
    case AT_STRING:
        export_string_attr(a, msg);
        return 0;
    case AT_FLOATS:
        msg->floats = (float *)(uintptr_t)a->u.floats;
        msg->n_floats = a->n;
        return 0;
    case AT_INTS:
        msg->ints = (int64_t *)(uintptr_t)a->u.ints;
        msg->n_ints = a->n;
        return 0;
    case AT_STRINGS:
        return export_strings_attr(ex, a, msg);
    case AT_TENSOR:
        return export_tensor(ex, a->u.t, NULL, false, &msg->t);
    case AT_GRAPH:
        return export_graph(ex, a->u.g, &msg->g);
    case AT_SPARSE:
        return export_sparse(ex, a->u.sparse, NULL, false, &msg->sparse_tensor);
    case AT_TYPE:
        return export_type(ex, a->u.type, &msg->tp);
    default:
        return export_objects(ex, a, msg);
    }
}

/* The kind that the importer gave an attribute; the message may have left it open. */
static bool kind_unchanged(const struct attr *a)
{
    const Onnx__AttributeProto *o = a->origin;

    return o && (!o->has_type || o->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED ||
                 (int)o->type == (int)a->kind);
}

static int export_attr(struct export *ex, const struct attr *a, Onnx__AttributeProto **out)
{
    int r = fresh_attr(ex, a, kind_unchanged(a), out);

    if (r < 0 || a->ref)
        return r;
    return export_attr_value(ex, a, *out);
}

static int export_attrs(struct export *ex, const struct attr *a, size_t n, Onnx__AttributeProto ***out,
                        size_t *nout)
{
    int r = 0;

    *nout = n;
    *out = array(ex, n);
    if (!*out)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < n && !r; i++)
        r = export_attr(ex, &a[i], &(*out)[i]);
    return r;
}

/* ---- nodes ---- */

static int export_names(struct export *ex, struct value *const *v, size_t n, char ***out, size_t *nout)
{
    *nout = n;
    *out = array(ex, n);
    if (!*out)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = (char *)(uintptr_t)(v[i] ? v[i]->name : "");
    return 0;
}

static int export_node(struct export *ex, const struct node *n, Onnx__NodeProto **out)
{
    Onnx__NodeProto *msg = fresh(ex, n->origin, &onnx__node_proto__descriptor);
    int r;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    msg->name = keep(msg->name, n->name);
    msg->op_type = keep(msg->op_type, n->op_type);
    msg->overload = keep(msg->overload, n->overload ? n->overload : "");
    msg->domain = keep_domain(msg->domain, n->domain);
    r = export_names(ex, n->in, (size_t)n->nin, &msg->input, &msg->n_input);
    if (!r)
        r = export_names(ex, n->out, (size_t)n->nout, &msg->output, &msg->n_output);
    return r < 0 ? r : export_attrs(ex, n->attrs, (size_t)n->nattr, &msg->attribute, &msg->n_attribute);
}

static int export_nodes(struct export *ex, const struct graph *g, Onnx__NodeProto ***out, size_t *nout)
{
    size_t i = 0;
    int r = 0;

    *nout = g->nnodes;
    *out = array(ex, g->nnodes);
    if (!*out)
        return err_nomem(ex->cx);
    for (struct node *n = g->first; n && !r; n = n->next)
        r = export_node(ex, n, &(*out)[i++]);
    return r;
}

/* ---- graphs ---- */

static bool in_graph(const struct graph *g, const struct value *v)
{
    return smap_get(&g->names, v->name) == v;
}

static int export_inits(struct export *ex, const struct graph *g, Onnx__GraphProto *msg)
{
    int r = 0;

    msg->n_initializer = msg->n_sparse_initializer = 0;
    msg->initializer = array(ex, g->ninits);
    msg->sparse_initializer = array(ex, g->ninits);
    if (!msg->initializer || !msg->sparse_initializer)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < g->ninits && !r; i++) {
        struct value *v = g->inits[i];

        if (v->init)
            r = export_tensor(ex, v->init, v->name, true, &msg->initializer[msg->n_initializer++]);
        else if (v->sparse)
            r = export_sparse(ex, v->sparse, v->name, true,
                              &msg->sparse_initializer[msg->n_sparse_initializer++]);
    }
    return r;
}

/* The entry of the file's list that stood for v. Untouched lists are in the same order. */
static const void *entry_of(Onnx__ValueInfoProto *const *was, size_t n, size_t guess, const struct value *v)
{
    if (guess < n && pb_info(was[guess])->user == v)
        return was[guess];
    for (size_t i = 0; i < n; i++)
        if (pb_info(was[i])->user == v)
            return was[i];
    return NULL;
}

static int export_ports(struct export *ex, struct value *const *v, size_t n, Onnx__ValueInfoProto ***list,
                        size_t *count)
{
    Onnx__ValueInfoProto *const *was = *list;
    Onnx__ValueInfoProto **now = array(ex, n);
    int r = 0;

    if (!now)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < n && !r; i++)
        r = export_value(ex, v[i], entry_of(was, *count, i, v[i]), &now[i]);
    *list = now;
    *count = n;
    return r;
}

/* Entries follow their values; those of values that are gone go, those that never had one stay. */
static int export_value_info(struct export *ex, const struct graph *g, Onnx__ValueInfoProto ***list,
                             size_t *count)
{
    Onnx__ValueInfoProto **was = *list, **now = array(ex, *count);
    size_t n = 0;
    int r = 0;

    if (!now)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < *count && !r; i++) {
        const struct value *v = pb_info(was[i])->user;

        if (!v)
            now[n++] = was[i];
        else if (in_graph(g, v))
            r = export_value(ex, v, was[i], &now[n++]);
    }
    *list = now;
    *count = n;
    return r;
}

static int export_annotations(struct export *ex, const struct graph *g, Onnx__GraphProto *msg)
{
    Onnx__TensorAnnotation **was = msg->quantization_annotation;
    Onnx__TensorAnnotation **now = array(ex, msg->n_quantization_annotation);
    size_t n = 0;

    if (!now)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < msg->n_quantization_annotation; i++) {
        const struct value *v = pb_info(was[i])->user;
        Onnx__TensorAnnotation *a = was[i];

        if (v && !in_graph(g, v))
            continue;
        if (v) {
            a = pb_clone(ex->arena, a);
            if (!a)
                return err_nomem(ex->cx);
            a->tensor_name = keep(a->tensor_name, v->name);
        }
        now[n++] = a;
    }
    msg->quantization_annotation = now;
    msg->n_quantization_annotation = n;
    return 0;
}

static int export_graph(struct export *ex, struct graph *g, Onnx__GraphProto **out)
{
    Onnx__GraphProto *msg = fresh(ex, g->origin, &onnx__graph_proto__descriptor);
    int r;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    msg->name = keep(msg->name, g->name ? g->name : "");
    r = export_nodes(ex, g, &msg->node, &msg->n_node);
    if (!r)
        r = export_inits(ex, g, msg);
    if (!r)
        r = export_ports(ex, g->ins, g->nins, &msg->input, &msg->n_input);
    if (!r)
        r = export_ports(ex, g->outs, g->nouts, &msg->output, &msg->n_output);
    if (!r)
        r = export_value_info(ex, g, &msg->value_info, &msg->n_value_info);
    return r < 0 ? r : export_annotations(ex, g, msg);
}

/* ---- model ---- */

static int export_opsets(struct export *ex, const struct opset *o, size_t n, Onnx__OperatorSetIdProto ***list,
                         size_t *count)
{
    Onnx__OperatorSetIdProto **was = *list, **now = array(ex, n);

    if (!now)
        return err_nomem(ex->cx);
    /* Old files import nothing, which means version 1. */
    if (!*count && n == 1 && !*o[0].domain && o[0].version == 1 && ex->m->origin)
        return 0;
    for (size_t i = 0; i < n; i++) {
        Onnx__OperatorSetIdProto *p =
            fresh(ex, i < *count ? was[i] : NULL, &onnx__operator_set_id_proto__descriptor);

        if (!p)
            return err_nomem(ex->cx);
        p->domain = keep_domain(p->domain, o[i].domain);
        p->has_version = 1;
        p->version = o[i].version;
        now[i] = p;
    }
    *list = now;
    *count = n;
    return 0;
}

static int export_function(struct export *ex, struct function *f, Onnx__FunctionProto **out)
{
    Onnx__FunctionProto *msg = fresh(ex, f->origin, &onnx__function_proto__descriptor);
    int r;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    msg->name = keep(msg->name, f->name);
    msg->domain = keep_domain(msg->domain, f->domain);
    msg->overload = keep(msg->overload, f->overload ? f->overload : "");
    msg->attribute = (char **)(uintptr_t)f->attrs;
    msg->n_attribute = f->nattrs;
    r = export_opsets(ex, f->opsets, f->nopsets, &msg->opset_import, &msg->n_opset_import);
    if (!r)
        r = export_attrs(ex, f->attr_defaults, f->nattr_defaults, &msg->attribute_proto,
                         &msg->n_attribute_proto);
    if (!r)
        r = export_names(ex, f->body->ins, f->body->nins, &msg->input, &msg->n_input);
    if (!r)
        r = export_names(ex, f->body->outs, f->body->nouts, &msg->output, &msg->n_output);
    if (!r)
        r = export_nodes(ex, f->body, &msg->node, &msg->n_node);
    return r < 0 ? r : export_value_info(ex, f->body, &msg->value_info, &msg->n_value_info);
}

int export_model(struct export *ex, Onnx__ModelProto **out)
{
    struct model *m = ex->m;
    Onnx__ModelProto *msg = fresh(ex, m->origin, &onnx__model_proto__descriptor);
    int r = 0;

    *out = msg;
    if (!msg)
        return err_nomem(ex->cx);
    msg->has_ir_version = 1;
    msg->ir_version = m->ir_version;
    msg->n_functions = m->nfuncs;
    msg->functions = array(ex, m->nfuncs);
    if (!msg->functions)
        return err_nomem(ex->cx);
    for (size_t i = 0; i < m->nfuncs && !r; i++)
        r = export_function(ex, m->funcs[i], &msg->functions[i]);
    if (!r)
        r = export_opsets(ex, m->opsets, m->nopsets, &msg->opset_import, &msg->n_opset_import);
    return r < 0 ? r : export_graph(ex, m->graph, &msg->graph);
}
