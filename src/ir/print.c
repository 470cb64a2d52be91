/* A graph as text. */
#include "ir/print.h"

#include <inttypes.h>
#include <string.h>

enum { DEFAULT_VALUES = 8, TYPE_TEXT = 512 };

static const struct print_opts everything = {.attrs = true, .types = true, .names = true};

struct printer {
    struct str *out;
    struct print_opts o;
};

static struct printer printer_of(struct str *out, const struct print_opts *o)
{
    struct printer p = {out, o ? *o : everything};
    if (p.o.max_values <= 0)
        p.o.max_values = DEFAULT_VALUES;
    return p;
}

static void pad(struct printer *p, int indent)
{
    for (int i = 0; i < indent; i++)
        str_add(p->out, "  ");
}

static void escaped(struct printer *p, const char *s)
{
    str_add_escaped(p->out, s, strlen(s));
}

static void quoted(struct printer *p, const char *s, size_t n)
{
    str_addc(p->out, '"');
    str_add_escaped(p->out, s, n);
    str_addc(p->out, '"');
}

static const char *value_type_text(const struct value *v, char *buf, size_t size)
{
    return type_text(v->type ? v->type : v->declared, buf, size);
}

static void value_ref(struct printer *p, const struct value *v)
{
    if (!v) {
        str_addc(p->out, '_');
        return;
    }
    str_addc(p->out, '%');
    escaped(p, v->name);
}

static void value_list(struct printer *p, struct value *const *v, size_t n, bool types)
{
    char buf[TYPE_TEXT];
    for (size_t i = 0; i < n; i++) {
        str_add(p->out, i ? ", " : "");
        value_ref(p, v[i]);
        if (types && v[i]) {
            str_add(p->out, ": ");
            escaped(p, value_type_text(v[i], buf, sizeof(buf)));
        }
    }
}

/* ---- constants ---- */

static void element(struct printer *p, enum dtype dt, const void *at)
{
    const struct dtype_info *d = dtype_info(dt);
    const struct ostr *s = at;
    if (d->cls == CLS_STRING)
        quoted(p, s->p, s->n);
    else if (d->cls == CLS_BOOL)
        str_add(p->out, d->load_i64(at) ? "true" : "false");
    else if (d->cls == CLS_INT)
        str_addf(p->out, "%" PRId64, d->load_i64(at));
    else if (d->cls == CLS_UINT)
        str_addf(p->out, "%" PRIu64, (uint64_t)d->load_i64(at));
    else
        str_addf(p->out, "%.7g", d->load_f64(at));
}

/* "float[2,3]", and the first values where they are in memory: nothing is read from files to print a graph.
 */
static void tensor_text(struct printer *p, const struct tensor_data *t)
{
    str_addf(p->out, "%s[", dtype_name(t->dt));
    for (int i = 0; i < t->rank; i++)
        str_addf(p->out, "%s%" PRId64, i ? "," : "", t->dims[i]);
    str_addc(p->out, ']');
    const struct dtype_info *d = dtype_info(t->dt);
    if (t->payload != PL_MEM || !t->mem || !d->size || d->cls == CLS_COMPLEX)
        return;
    int64_t n = tensor_data_count(t), show = n < p->o.max_values ? n : p->o.max_values;
    str_add(p->out, " {");
    for (int64_t i = 0; i < show; i++) {
        str_add(p->out, i ? ", " : "");
        element(p, t->dt, (const char *)t->mem + (size_t)i * d->size);
    }
    str_add(p->out, show < n ? ", ...}" : "}");
}

/* ---- attributes ---- */

static void attr_element(struct printer *p, const struct attr *a, size_t i)
{
    char buf[TYPE_TEXT];
    if (a->kind == AT_FLOATS)
        str_addf(p->out, "%.7g", (double)a->u.floats[i]);
    else if (a->kind == AT_INTS)
        str_addf(p->out, "%" PRId64, a->u.ints[i]);
    else if (a->kind == AT_STRINGS)
        quoted(p, a->u.strings[i].p, a->u.strings[i].n);
    else if (a->kind == AT_TENSORS)
        tensor_text(p, a->u.tensors[i]);
    else if (a->kind == AT_SPARSES)
        tensor_text(p, &a->u.sparses[i]->values);
    else if (a->kind == AT_GRAPHS)
        escaped(p, a->u.graphs[i]->name);
    else if (a->kind == AT_TYPES)
        escaped(p, type_text(a->u.types[i], buf, sizeof(buf)));
}

static bool is_list(enum attr_kind k)
{
    return k == AT_FLOATS || k == AT_INTS || k == AT_STRINGS || k == AT_TENSORS || k == AT_SPARSES ||
           k == AT_GRAPHS || k == AT_TYPES;
}

static void attr_value(struct printer *p, const struct attr *a)
{
    char buf[TYPE_TEXT];
    if (a->ref) {
        str_addc(p->out, '@');
        escaped(p, a->ref);
    } else if (is_list(a->kind)) {
        str_addc(p->out, '[');
        for (size_t i = 0; i < a->n && i < (size_t)p->o.max_values; i++) {
            str_add(p->out, i ? "," : "");
            attr_element(p, a, i);
        }
        str_add(p->out, a->n > (size_t)p->o.max_values ? ",...]" : "]");
    } else if (a->kind == AT_FLOAT) {
        str_addf(p->out, "%.7g", (double)a->u.f);
    } else if (a->kind == AT_INT) {
        str_addf(p->out, "%" PRId64, a->u.i);
    } else if (a->kind == AT_STRING) {
        quoted(p, a->u.s.p, a->u.s.n);
    } else if (a->kind == AT_TENSOR && a->u.t) {
        tensor_text(p, a->u.t);
    } else if (a->kind == AT_SPARSE && a->u.sparse) {
        str_add(p->out, "sparse ");
        tensor_text(p, &a->u.sparse->values);
    } else if (a->kind == AT_GRAPH && a->u.g) {
        escaped(p, a->u.g->name);
    } else if (a->kind == AT_TYPE) {
        escaped(p, type_text(a->u.type, buf, sizeof(buf)));
    } else {
        str_addc(p->out, '?');
    }
}

void print_attr(struct str *out, const struct attr *a)
{
    struct printer p = printer_of(out, NULL);
    attr_value(&p, a);
}

static void attrs_text(struct printer *p, const struct node *n)
{
    if (!p->o.attrs || n->nattr == 0)
        return;
    str_add(p->out, " {");
    for (int i = 0; i < n->nattr; i++) {
        str_add(p->out, i ? ", " : "");
        escaped(p, n->attrs[i].name);
        str_addc(p->out, '=');
        attr_value(p, &n->attrs[i]);
    }
    str_addc(p->out, '}');
}

/* ---- nodes and graphs ---- */

static void graph_text(struct printer *p, const struct graph *g, int indent);

static void subgraphs_text(struct printer *p, const struct node *n, int indent)
{
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        size_t count = a->kind == AT_GRAPH ? a->u.g != NULL : a->kind == AT_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < count; k++) {
            pad(p, indent);
            escaped(p, a->name);
            str_add(p->out, ":\n");
            graph_text(p, a->kind == AT_GRAPH ? a->u.g : a->u.graphs[k], indent);
        }
    }
}

static void comment_text(struct printer *p, const struct node *n)
{
    char buf[TYPE_TEXT];
    bool named = p->o.names && *n->name;
    if (!p->o.types && !named)
        return;
    str_add(p->out, "  #");
    for (int i = 0; p->o.types && i < n->nout; i++) {
        str_add(p->out, i ? ", " : " ");
        escaped(p, n->out[i] ? value_type_text(n->out[i], buf, sizeof(buf)) : "_");
    }
    if (named) {
        str_add(p->out, p->o.types ? "  node '" : " node '");
        escaped(p, n->name);
        str_addc(p->out, '\'');
    }
}

static void node_text(struct printer *p, const struct node *n, int indent)
{
    pad(p, indent);
    value_list(p, n->out, (size_t)n->nout, false);
    str_add(p->out, n->nout ? " = " : "");
    if (*n->domain) {
        escaped(p, n->domain);
        str_addc(p->out, '.');
    }
    escaped(p, n->op_type);
    if (*n->overload) {
        str_addc(p->out, ':');
        escaped(p, n->overload);
    }
    str_addc(p->out, '(');
    value_list(p, n->in, (size_t)n->nin, false);
    str_addc(p->out, ')');
    attrs_text(p, n);
    comment_text(p, n);
    str_addc(p->out, '\n');
    subgraphs_text(p, n, indent + 1);
}

static void inits_text(struct printer *p, const struct graph *g, int indent)
{
    for (size_t i = 0; i < g->ninits; i++) {
        const struct value *v = g->inits[i];
        pad(p, indent);
        value_ref(p, v);
        str_add(p->out, v->sparse ? " = sparse initializer " : " = initializer ");
        tensor_text(p, v->sparse ? &v->sparse->values : v->init);
        str_addc(p->out, '\n');
    }
}

static void graph_text(struct printer *p, const struct graph *g, int indent)
{
    pad(p, indent);
    str_add(p->out, g->func && !g->owner ? "function " : "graph ");
    escaped(p, g->func && !g->owner ? g->func->name : g->name);
    str_addc(p->out, '(');
    value_list(p, g->ins, g->nins, p->o.types);
    str_add(p->out, ") -> (");
    value_list(p, g->outs, g->nouts, p->o.types);
    str_add(p->out, ")\n");
    inits_text(p, g, indent + 1);
    for (const struct node *n = g->first; n; n = n->next)
        node_text(p, n, indent + 1);
}

void print_graph(struct str *out, const struct graph *g, const struct print_opts *o, int indent)
{
    struct printer p = printer_of(out, o);
    graph_text(&p, g, indent);
}

void print_node(struct str *out, const struct node *n, const struct print_opts *o, int indent)
{
    struct printer p = printer_of(out, o);
    node_text(&p, n, indent);
}

void print_model(struct str *out, const struct model *m, const struct print_opts *o)
{
    struct printer p = printer_of(out, o);
    if (p.o.only) {
        node_text(&p, p.o.only, 0);
        return;
    }
    graph_text(&p, m->graph, 0);
    for (size_t i = 0; i < m->nfuncs; i++) {
        if (m->funcs[i]->body)
            graph_text(&p, m->funcs[i]->body, 0);
    }
}

/* ---- GraphViz ---- */

/* Inside a quoted string of DOT: quotes and backslashes (those of escapes, too) get a backslash. */
static void dot_text(struct printer *p, const char *s)
{
    struct str e = {0};
    str_add_escaped(&e, s, strlen(s));
    for (const char *c = str_text(&e); *c; c++) {
        if (*c == '"' || *c == '\\')
            str_addc(p->out, '\\');
        str_addc(p->out, *c);
    }
    p->out->failed |= e.failed;
    str_free(&e);
}

static void dot_value(struct printer *p, const struct value *v, const char *shape, int indent)
{
    char buf[TYPE_TEXT];
    pad(p, indent);
    str_addf(p->out, "v%u [shape=%s, label=\"", (unsigned)v->id, shape);
    dot_text(p, v->name);
    str_add(p->out, "\\n");
    dot_text(p, value_type_text(v, buf, sizeof(buf)));
    str_add(p->out, "\"];\n");
}

static void dot_source(struct printer *p, const struct value *v)
{
    if (v->producer)
        str_addf(p->out, "n%u", (unsigned)v->producer->id);
    else
        str_addf(p->out, "v%u", (unsigned)v->id);
}

static void dot_edges(struct printer *p, const struct node *n, int indent)
{
    char buf[TYPE_TEXT];
    for (int i = 0; i < n->nin; i++) {
        const struct value *v = n->in[i];
        /* Weights would bury the picture. */
        if (!v || v->init || v->sparse)
            continue;
        pad(p, indent);
        dot_source(p, v);
        str_addf(p->out, " -> n%u [label=\"", (unsigned)n->id);
        dot_text(p, value_type_text(v, buf, sizeof(buf)));
        str_add(p->out, "\"];\n");
    }
}

static void dot_graph(struct printer *p, const struct graph *g, int indent);

static void dot_node(struct printer *p, const struct node *n, int indent)
{
    pad(p, indent);
    str_addf(p->out, "n%u [shape=box, label=\"", (unsigned)n->id);
    dot_text(p, n->op_type);
    if (*n->name) {
        str_add(p->out, "\\n");
        dot_text(p, n->name);
    }
    str_add(p->out, "\"];\n");
    dot_edges(p, n, indent);
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        size_t count = a->kind == AT_GRAPH ? a->u.g != NULL : a->kind == AT_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < count; k++) {
            const struct graph *in = a->kind == AT_GRAPH ? a->u.g : a->u.graphs[k];
            pad(p, indent);
            str_addf(p->out, "subgraph cluster_n%u_%d_%zu {\n", (unsigned)n->id, i, k);
            pad(p, indent + 1);
            str_add(p->out, "label=\"");
            dot_text(p, a->name);
            str_add(p->out, "\";\n");
            dot_graph(p, in, indent + 1);
            pad(p, indent);
            str_add(p->out, "}\n");
        }
    }
}

static void dot_graph(struct printer *p, const struct graph *g, int indent)
{
    for (size_t i = 0; i < g->nins; i++) {
        if (!g->ins[i]->init)
            dot_value(p, g->ins[i], "ellipse", indent);
    }
    for (const struct node *n = g->first; n; n = n->next)
        dot_node(p, n, indent);
    for (size_t i = 0; i < g->nouts; i++) {
        const struct value *v = g->outs[i];
        if (!v->producer)
            continue;
        dot_value(p, v, "ellipse", indent);
        pad(p, indent);
        str_addf(p->out, "n%u -> v%u;\n", (unsigned)v->producer->id, (unsigned)v->id);
    }
}

void print_dot(struct str *out, const struct model *m)
{
    struct printer p = printer_of(out, NULL);
    str_add(out, "digraph \"");
    dot_text(&p, m->graph->name);
    str_add(out, "\" {\n  rankdir=TB;\n");
    dot_graph(&p, m->graph, 1);
    str_add(out, "}\n");
}
