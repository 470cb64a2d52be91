/* A model as its file says it, with what import would refuse or mend. */
#include "io/outline.h"

#include <string.h>

#include "base/tensor.h"
#include "io/decode.h"
#include "io/external.h"
#include "io/import.h"
#include "io/tensor_pb.h"

struct maker {
    struct cx *cx;
    struct arena *a;
    bool failed; /* memory ran out; checked once at the end */
};

static void *room(struct maker *k, size_t n, size_t size)
{
    void *p = arena_array(k->a, n, size);

    k->failed |= !p;
    return p;
}

static const char *text(const char *s)
{
    return s ? s : "";
}

static struct ol_pair *pairs(struct maker *k, Onnx__StringStringEntryProto *const *p, size_t n, size_t *nout)
{
    struct ol_pair *o = n ? room(k, n, sizeof(*o)) : NULL;

    *nout = o ? n : 0;
    for (size_t i = 0; i < *nout; i++)
        o[i] = (struct ol_pair){text(p[i]->key), text(p[i]->value)};
    return o;
}

/* ---- types ---- */

static void shape(struct maker *k, const Onnx__TensorShapeProto *p, struct ol_type *t)
{
    if (!p)
        return;
    t->has_shape = true;
    t->dims = room(k, p->n_dim, sizeof(*t->dims));
    t->ndims = t->dims ? p->n_dim : 0;
    for (size_t i = 0; i < t->ndims; i++) {
        const Onnx__TensorShapeProto__Dimension *d = p->dim[i];

        t->dims[i].param = "";
        if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            t->dims[i] = (struct ol_dim){OL_DIM_VALUE, d->dim_value, ""};
        else if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM)
            t->dims[i] = (struct ol_dim){OL_DIM_PARAM, 0, text(d->dim_param)};
    }
}

/* As deep as messages nest, which the decoder bounds; likewise graphs below. */
static struct ol_type *type(struct maker *k, const Onnx__TypeProto *p)
{
    struct ol_type *t = p ? room(k, 1, sizeof(*t)) : NULL;

    if (!t)
        return NULL;
    switch (p->value_case) {
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        t->kind = TY_TENSOR;
        t->has_elem = p->tensor_type->has_elem_type;
        t->elem = p->tensor_type->elem_type;
        shape(k, p->tensor_type->shape, t);
        break;
    case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        t->kind = TY_SPARSE;
        t->has_elem = p->sparse_tensor_type->has_elem_type;
        t->elem = p->sparse_tensor_type->elem_type;
        shape(k, p->sparse_tensor_type->shape, t);
        break;
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        t->kind = TY_SEQ;
        t->inner = type(k, p->sequence_type->elem_type);
        break;
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        t->kind = TY_OPT;
        t->inner = type(k, p->optional_type->elem_type);
        break;
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        t->kind = TY_MAP;
        t->has_elem = p->map_type->has_key_type;
        t->elem = p->map_type->key_type;
        t->inner = type(k, p->map_type->value_type);
        break;
    case ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE:
        t->kind = TY_OPAQUE;
        t->has_elem = p->opaque_type->name && *p->opaque_type->name;
        break;
    default:
        break;
    }
    return t;
}

static struct ol_value *values(struct maker *k, Onnx__ValueInfoProto *const *p, size_t n, size_t *nout)
{
    struct ol_value *v = room(k, n, sizeof(*v));

    *nout = v ? n : 0;
    for (size_t i = 0; i < *nout; i++) {
        v[i] = (struct ol_value){.name = text(p[i]->name), .type = type(k, p[i]->type)};
        v[i].at = pb_info(p[i])->loc;
        v[i].meta = pairs(k, p[i]->metadata_props, p[i]->n_metadata_props, &v[i].nmeta);
    }
    return v;
}

static struct ol_value *names(struct maker *k, char *const *p, size_t n, uint64_t at, size_t *nout)
{
    struct ol_value *v = room(k, n, sizeof(*v));

    *nout = v ? n : 0;
    for (size_t i = 0; i < *nout; i++)
        v[i] = (struct ol_value){.name = text(p[i]), .at = at};
    return v;
}

/* ---- tensors ---- */

static void tensor(struct maker *k, const Onnx__TensorProto *p, struct ol_tensor *t)
{
    const struct pb_payload *pl = pb_info(p)->payload;

    *t = (struct ol_tensor){.name = text(p->name),
                            .has_dt = p->has_data_type,
                            .dt = p->data_type,
                            .segment = p->segment != NULL,
                            .external = p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL,
                            .ndims = p->n_dims,
                            .dims = p->dims,
                            .nstrings = p->n_string_data,
                            .at = pb_info(p)->loc,
                            .msg = p};
    if (pl && pl->total)
        t->fields |= 1u << pl->field;
    if (p->n_string_data)
        t->fields |= 1u << 6;
    t->ext = pairs(k, p->external_data, p->n_external_data, &t->next);
    t->meta = pairs(k, p->metadata_props, p->n_metadata_props, &t->nmeta);
}

static const struct ol_tensor *one_tensor(struct maker *k, const Onnx__TensorProto *p)
{
    struct ol_tensor *t = p ? room(k, 1, sizeof(*t)) : NULL;

    if (t)
        tensor(k, p, t);
    return t;
}

static void sparse(struct maker *k, const Onnx__SparseTensorProto *p, struct ol_sparse *s)
{
    *s = (struct ol_sparse){.ndims = p->n_dims, .dims = p->dims, .at = pb_info(p)->loc};
    s->values = one_tensor(k, p->values);
    s->indices = one_tensor(k, p->indices);
}

/* ---- attributes and nodes ---- */

static void graph(struct maker *k, const Onnx__GraphProto *p, struct ol_graph *g);

static unsigned fields_set(const Onnx__AttributeProto *p)
{
    const bool there[] = {
        [AT_FLOAT] = p->has_f,
        [AT_INT] = p->has_i,
        [AT_STRING] = p->has_s,
        [AT_TENSOR] = p->t != NULL,
        [AT_GRAPH] = p->g != NULL,
        [AT_FLOATS] = p->n_floats > 0,
        [AT_INTS] = p->n_ints > 0,
        [AT_STRINGS] = p->n_strings > 0,
        [AT_TENSORS] = p->n_tensors > 0,
        [AT_GRAPHS] = p->n_graphs > 0,
        [AT_SPARSE] = p->sparse_tensor != NULL,
        [AT_SPARSES] = p->n_sparse_tensors > 0,
        [AT_TYPE] = p->tp != NULL,
        [AT_TYPES] = p->n_type_protos > 0,
    };
    unsigned set = 0;

    for (unsigned i = 0; i < sizeof(there) / sizeof(there[0]); i++)
        set |= (unsigned)there[i] << i;
    return set;
}

/* The single one, if there is one, before the list. */
static void attr_tensors(struct maker *k, const Onnx__AttributeProto *p, struct ol_attr *o)
{
    size_t n = p->n_tensors + (p->t != NULL);

    o->tensors = n ? room(k, n, sizeof(*o->tensors)) : NULL;
    if (o->tensors && p->t)
        tensor(k, p->t, &o->tensors[o->ntensors++]);
    for (size_t i = 0; o->tensors && i < p->n_tensors; i++)
        tensor(k, p->tensors[i], &o->tensors[o->ntensors++]);
}

static void attr_graphs(struct maker *k, const Onnx__AttributeProto *p, struct ol_attr *o)
{
    size_t n = p->n_graphs + (p->g != NULL);

    o->graphs = n ? room(k, n, sizeof(*o->graphs)) : NULL;
    if (o->graphs && p->g)
        graph(k, p->g, &o->graphs[o->ngraphs++]);
    for (size_t i = 0; o->graphs && i < p->n_graphs; i++)
        graph(k, p->graphs[i], &o->graphs[o->ngraphs++]);
}

static void attr_sparses(struct maker *k, const Onnx__AttributeProto *p, struct ol_attr *o)
{
    size_t n = p->n_sparse_tensors + (p->sparse_tensor != NULL);

    o->sparses = n ? room(k, n, sizeof(*o->sparses)) : NULL;
    if (o->sparses && p->sparse_tensor)
        sparse(k, p->sparse_tensor, &o->sparses[o->nsparses++]);
    for (size_t i = 0; o->sparses && i < p->n_sparse_tensors; i++)
        sparse(k, p->sparse_tensors[i], &o->sparses[o->nsparses++]);
}

static void attr_types(struct maker *k, const Onnx__AttributeProto *p, struct ol_attr *o)
{
    size_t n = p->n_type_protos + (p->tp != NULL);

    o->types = n ? room(k, n, sizeof(*o->types)) : NULL;
    if (o->types && p->tp)
        o->types[o->ntypes++] = type(k, p->tp);
    for (size_t i = 0; o->types && i < p->n_type_protos; i++)
        o->types[o->ntypes++] = type(k, p->type_protos[i]);
}

static struct ol_attr *attrs(struct maker *k, Onnx__AttributeProto *const *p, size_t n, size_t *nout)
{
    struct ol_attr *o = n ? room(k, n, sizeof(*o)) : NULL;

    *nout = o ? n : 0;
    for (size_t i = 0; i < *nout; i++) {
        o[i] = (struct ol_attr){.name = text(p[i]->name),
                                .ref = text(p[i]->ref_attr_name),
                                .has_type = p[i]->has_type && p[i]->type != 0,
                                .type = (int)p[i]->type,
                                .set = fields_set(p[i]),
                                .i = p[i]->i,
                                .ints = p[i]->ints,
                                .nints = p[i]->n_ints,
                                .at = pb_info(p[i])->loc};
        attr_tensors(k, p[i], &o[i]);
        attr_graphs(k, p[i], &o[i]);
        attr_sparses(k, p[i], &o[i]);
        attr_types(k, p[i], &o[i]);
    }
    return o;
}

static struct ol_node *nodes(struct maker *k, Onnx__NodeProto *const *p, size_t n, size_t *nout)
{
    struct ol_node *o = room(k, n, sizeof(*o));

    *nout = o ? n : 0;
    for (size_t i = 0; i < *nout; i++) {
        o[i] = (struct ol_node){.name = text(p[i]->name),
                                .op = text(p[i]->op_type),
                                .domain = domain_norm(text(p[i]->domain)),
                                .overload = text(p[i]->overload),
                                .in = (const char *const *)p[i]->input,
                                .out = (const char *const *)p[i]->output,
                                .nin = p[i]->n_input,
                                .nout = p[i]->n_output,
                                .ndevices = p[i]->n_device_configurations,
                                .at = pb_info(p[i])->loc};
        o[i].attrs = attrs(k, p[i]->attribute, p[i]->n_attribute, &o[i].nattrs);
        o[i].meta = pairs(k, p[i]->metadata_props, p[i]->n_metadata_props, &o[i].nmeta);
    }
    return o;
}

/* ---- graphs ---- */

static void graph(struct maker *k, const Onnx__GraphProto *p, struct ol_graph *g)
{
    *g = (struct ol_graph){.name = text(p->name), .at = pb_info(p)->loc};
    g->ins = values(k, p->input, p->n_input, &g->nins);
    g->outs = values(k, p->output, p->n_output, &g->nouts);
    g->infos = values(k, p->value_info, p->n_value_info, &g->ninfos);
    g->nodes = nodes(k, p->node, p->n_node, &g->nnodes);
    g->meta = pairs(k, p->metadata_props, p->n_metadata_props, &g->nmeta);
    g->inits = room(k, p->n_initializer, sizeof(*g->inits));
    for (; g->inits && g->ninits < p->n_initializer; g->ninits++)
        tensor(k, p->initializer[g->ninits], &g->inits[g->ninits]);
    g->sparses = room(k, p->n_sparse_initializer, sizeof(*g->sparses));
    for (; g->sparses && g->nsparses < p->n_sparse_initializer; g->nsparses++)
        sparse(k, p->sparse_initializer[g->nsparses], &g->sparses[g->nsparses]);
    g->annotated = room(k, p->n_quantization_annotation, sizeof(*g->annotated));
    for (; g->annotated && g->nannotated < p->n_quantization_annotation; g->nannotated++)
        g->annotated[g->nannotated] = text(p->quantization_annotation[g->nannotated]->tensor_name);
}

static struct ol_import *imports(struct maker *k, Onnx__OperatorSetIdProto *const *p, size_t n, size_t *nout)
{
    struct ol_import *o = room(k, n, sizeof(*o));

    *nout = o ? n : 0;
    for (size_t i = 0; i < *nout; i++)
        o[i] = (struct ol_import){domain_norm(text(p[i]->domain)), p[i]->version, p[i]->has_version,
                                  pb_info(p[i])->loc};
    return o;
}

static void function(struct maker *k, const Onnx__FunctionProto *p, struct ol_function *f)
{
    *f = (struct ol_function){.domain = domain_norm(text(p->domain)),
                              .name = text(p->name),
                              .overload = text(p->overload),
                              .attrs = (const char *const *)p->attribute,
                              .nattrs = p->n_attribute,
                              .at = pb_info(p)->loc};
    f->body = (struct ol_graph){.name = f->name, .at = f->at};
    f->body.ins = names(k, p->input, p->n_input, f->at, &f->body.nins);
    f->body.outs = names(k, p->output, p->n_output, f->at, &f->body.nouts);
    f->body.infos = values(k, p->value_info, p->n_value_info, &f->body.ninfos);
    f->body.nodes = nodes(k, p->node, p->n_node, &f->body.nnodes);
    f->body.meta = pairs(k, p->metadata_props, p->n_metadata_props, &f->body.nmeta);
    f->defaults = attrs(k, p->attribute_proto, p->n_attribute_proto, &f->ndefaults);
    f->imports = imports(k, p->opset_import, p->n_opset_import, &f->nimports);
}

static void training(struct maker *k, const Onnx__ModelProto *p, struct outline *o)
{
    o->training = p->n_training_info ? room(k, p->n_training_info * 2, sizeof(*o->training)) : NULL;
    for (size_t i = 0; o->training && i < p->n_training_info; i++) {
        const Onnx__TrainingInfoProto *t = p->training_info[i];

        if (t->initialization)
            graph(k, t->initialization, &o->training[o->ntraining++]);
        if (t->algorithm)
            graph(k, t->algorithm, &o->training[o->ntraining++]);
    }
}

int outline_make(struct cx *cx, struct arena *a, const struct model *m, struct outline *o)
{
    const Onnx__ModelProto *p = m->origin;
    struct maker k = {cx, a, false};

    *o = (struct outline){.has_ir = p->has_ir_version, .ir = p->ir_version, .nconfigs = p->n_configuration};
    o->imports = imports(&k, p->opset_import, p->n_opset_import, &o->nimports);
    o->meta = pairs(&k, p->metadata_props, p->n_metadata_props, &o->nmeta);
    o->funcs = room(&k, p->n_functions, sizeof(*o->funcs));
    for (; o->funcs && o->nfuncs < p->n_functions; o->nfuncs++)
        function(&k, p->functions[o->nfuncs], &o->funcs[o->nfuncs]);
    o->graph = p->graph ? room(&k, 1, sizeof(*o->graph)) : NULL;
    if (o->graph)
        graph(&k, p->graph, o->graph);
    training(&k, p, o);
    return k.failed ? err_nomem(cx) : 0;
}

/* ---- values ---- */

int outline_tensor(struct cx *cx, struct arena *a, struct model *m, const struct ol_tensor *t, bool external)
{
    struct tensor_data d;
    struct file *f;
    uint64_t off, len;
    int r = import_tensor(cx, a, t->msg, &d);

    if (r < 0 || !external || d.payload != PL_EXTERNAL)
        return r;
    return external_range(cx, m, &d, &f, &off, &len);
}

int outline_ints(struct cx *cx, struct arena *a, struct model *m, const struct ol_tensor *t, int64_t **out,
                 int64_t *n)
{
    struct tensor_data d;
    struct tensor v;
    int r = import_tensor(cx, a, t->msg, &d);

    *out = NULL;
    *n = 0;
    if (r < 0 || d.payload == PL_EXTERNAL)
        return r;
    memset(&v, 0, sizeof(v));
    r = tensor_load(cx, m, &d, &v);
    if (r < 0)
        return r;
    *n = tensor_count(&v);
    *out = arena_dup(a, v.data, (size_t)*n * sizeof(**out));
    tensor_drop(&v);
    return *out ? 0 : err_nomem(cx);
}
