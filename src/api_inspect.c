/* The public interface: looking into a model. Puts together what analyze/ finds. */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/axes.h"
#include "analyze/cost.h"
#include "analyze/fingerprint.h"
#include "analyze/stats.h"
#include "analyze/typed.h"
#include "analyze/warnings.h"
#include "base/blob.h"
#include "base/str.h"
#include "io/tensor_pb.h"
#include "ir/print.h"
#include "ops/schema.h"
#include "session/feed.h"

struct shown_value {
    const struct value *v;
    int depth;
};

/* An initializer, or the tensor of a Constant node. */
struct weight {
    const struct value *v;
    const struct tensor_data *t;      /* NULL: sparse */
    const struct sparse_data *sparse; /* NULL: dense */
};

struct ot_inspection {
    struct model *m;
    struct arena arena;
    struct typed *open;  /* symbols stay symbols */
    struct typed *bound; /* every symbol has a size; the same as open when there is none */
    bool sized;          /* the user gave sizes */
    bool applied;        /* types were written into the graph, for printing */
    struct stats stats;
    struct cost cost;
    struct axes axes;
    struct warnings warnings;
    struct model_meta meta;
    struct ot_summary sum;
    struct weight *inits;
    size_t ninits, cap_inits;
    struct shown_value *values;
    size_t nvalues, cap_values;
};

/* ---- sizes ---- */

/* The declared type with all sizes filled in; NULL when it is not a tensor of known rank. */
static int sized_type(struct cx *cx, struct ot_inspection *in, const struct binding *b, const struct value *v,
                      const int64_t *shape, int shape_rank, const struct type **out)
{
    const struct type *t = v->declared;
    *out = NULL;
    if (!t || t->kind != TY_TENSOR || (t->rank < 0 && !shape))
        return OK;
    struct type *c = arena_dup(&in->arena, t, sizeof *c);
    int rank = t->rank < 0 ? shape_rank : t->rank;
    struct dim *dims = arena_array(&in->arena, (size_t)rank + 1, sizeof *dims);
    if (!c || !dims)
        return err_nomem(cx);
    for (int k = 0; k < rank; k++) {
        dims[k] = t->rank < 0 ? dim_unknown() : dim_eval(in->m->syms, b, t->dims[k]);
        if (shape && shape[k] >= 0)
            dims[k] = dim_const(shape[k]);
        /* An axis without a name and without a size is 1, like a symbol. */
        if (dims[k].kind == DIM_UNKNOWN)
            dims[k] = dim_const(1);
    }
    c->rank = rank;
    c->dims = dims;
    *out = c;
    return OK;
}

/* "batch=1, seq=128" over the symbols of the inputs. */
static int sizes_text(struct cx *cx, struct ot_inspection *in, const struct binding *b)
{
    struct str s = {0};
    char text[200];
    for (size_t i = 0; i < b->n; i++) {
        struct dim d = {DIM_EXPR, 0, b->e[i].sym};
        str_add(&s, s.n ? ", " : "");
        dim_text(d, text, sizeof text);
        str_add_escaped(&s, text, strlen(text));
        str_addf(&s, "=%lld", (long long)b->e[i].v);
    }
    in->sum.sizes = s.n ? arena_strdup(&in->arena, str_text(&s)) : NULL;
    int rc = s.failed || (s.n && !in->sum.sizes) ? err_nomem(cx) : OK;
    str_free(&s);
    return rc;
}

static int bind_sizes(struct cx *cx, struct ot_inspection *in, const struct feed *f)
{
    struct graph *g = in->m->graph;
    struct binding b = {0};
    const struct binding *given = f ? feed_binding(f) : NULL;
    if (given && given->n) {
        b = *given;
        b.cap = b.n;
        b.e = arena_dup(&in->arena, b.e, b.n * sizeof *b.e);
        if (!b.e)
            return err_nomem(cx);
    }
    int rc = bind_rest(cx, in->m, &in->arena, &b, 1);
    const struct type **ins = arena_array(&in->arena, g->nins + 1, sizeof *ins);
    if (!rc && !ins)
        rc = err_nomem(cx);
    for (size_t i = 0; i < g->nins && !rc; i++) {
        int rank = 0;
        const int64_t *shape = f ? feed_shape(f, i, &rank) : NULL;
        rc = sized_type(cx, in, &b, g->ins[i], shape, rank, &ins[i]);
    }
    if (!rc)
        rc = sizes_text(cx, in, &b);
    return rc ? rc : typed_new(cx, in->m, &b, ins, &in->bound);
}

static int infer_both(struct cx *cx, struct ot_inspection *in, const struct ot_inspect_opts *o)
{
    struct feed *f = NULL;
    in->sized = (o->dims && *o->dims) || (o->shapes && *o->shapes);
    int rc = ops_resolve(cx, in->m);
    if (!rc && in->sized)
        rc = feed_new(cx, in->m, &(struct feed_opts){.dims = o->dims, .shapes = o->shapes}, &f);
    if (!rc)
        rc = bind_sizes(cx, in, f);
    feed_free(f);
    return rc ? rc : typed_new(cx, in->m, NULL, NULL, &in->open);
}

/* ---- lists ---- */

static bool push_init(struct ot_inspection *in, const struct value *v, const struct tensor_data *t,
                      const struct sparse_data *sparse)
{
    if (in->ninits == in->cap_inits)
        in->inits = arena_grow(&in->arena, in->inits, in->ninits, &in->cap_inits, sizeof *in->inits);
    if (!in->inits)
        return false;
    in->inits[in->ninits++] = (struct weight){v, t, sparse};
    return true;
}

/* The tensor of a Constant node goes to the weights. */
static bool push_constant(struct ot_inspection *in, const struct node *n)
{
    bool constant = !*n->domain && strcmp(n->op_type, "Constant") == 0 && n->nout == 1 && n->out[0];
    for (int i = 0; constant && i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        if (a->ref)
            continue;
        if (a->kind == AT_TENSOR)
            return push_init(in, n->out[0], a->u.t, NULL);
        if (a->kind == AT_SPARSE)
            return push_init(in, n->out[0], NULL, a->u.sparse);
    }
    return true;
}

static bool push_value(struct ot_inspection *in, const struct value *v, int depth)
{
    if (in->nvalues == in->cap_values)
        in->values = arena_grow(&in->arena, in->values, in->nvalues, &in->cap_values, sizeof *in->values);
    if (!in->values)
        return false;
    in->values[in->nvalues++] = (struct shown_value){v, depth};
    return true;
}

static int list_graph(void *user, struct graph *g, int depth)
{
    struct ot_inspection *in = user;
    bool ok = true;
    for (size_t i = 0; i < g->ninits && ok; i++)
        ok = push_init(in, g->inits[i], g->inits[i]->init, g->inits[i]->sparse);
    for (size_t i = 0; i < g->nins && ok; i++)
        ok = push_value(in, g->ins[i], depth);
    for (const struct node *n = g->first; n && ok; n = n->next) {
        ok = push_constant(in, n);
        for (int i = 0; i < n->nout && ok; i++)
            ok = !n->out[i] || push_value(in, n->out[i], depth);
    }
    return ok ? OK : E_NOMEM;
}

static int list_all(struct cx *cx, struct ot_inspection *in)
{
    int rc = graph_walk(in->m->graph, list_graph, in);
    for (size_t i = 0; i < in->m->nfuncs && !rc; i++)
        rc = graph_walk(in->m->funcs[i]->body, list_graph, in);
    return rc ? err_nomem(cx) : OK;
}

/* ---- the summary ---- */

static void copy_share(struct ot_weights *to, const struct type_share *s, const char *dtype)
{
    *to = (struct ot_weights){dtype, s->tensors, s->params, s->bytes};
}

static int sum_weights(struct cx *cx, struct ot_inspection *in)
{
    struct ot_weights *w = arena_array(&in->arena, DT_COUNT, sizeof *w);
    if (!w)
        return err_nomem(cx);
    in->sum.weights = w;
    for (int dt = 0; dt < DT_COUNT; dt++)
        if (in->stats.by_type[dt].tensors)
            copy_share(&w[in->sum.nweights++], &in->stats.by_type[dt], dtype_name(dt));
    copy_share(&in->sum.all_weights, &in->stats.weights, NULL);
    copy_share(&in->sum.constants, &in->stats.constants, NULL);
    in->sum.shared = in->stats.shared;
    return OK;
}

static int sum_ops(struct cx *cx, struct ot_inspection *in)
{
    const struct stats *s = &in->stats;
    struct ot_op_use *u = arena_array(&in->arena, s->nops + 1, sizeof *u);
    if (!u)
        return err_nomem(cx);
    for (size_t i = 0; i < s->nops; i++)
        u[i] = (struct ot_op_use){domain_text(s->ops[i].domain),
                                  s->ops[i].op,
                                  s->ops[i].since,
                                  s->ops[i].count,
                                  s->ops[i].runnable,
                                  s->ops[i].function};
    in->sum.ops = u;
    in->sum.nops = s->nops;
    in->sum.nodes = s->nodes;
    in->sum.main_nodes = in->m->graph->nnodes;
    in->sum.subgraphs = s->subgraphs;
    in->sum.depth = s->depth;
    return OK;
}

static int sum_imports(struct cx *cx, struct ot_inspection *in)
{
    struct model *m = in->m;
    struct ot_import *p = arena_array(&in->arena, m->nopsets + 1, sizeof *p);
    struct ot_function *f = arena_array(&in->arena, m->nfuncs + 1, sizeof *f);
    if (!p || !f)
        return err_nomem(cx);
    for (size_t i = 0; i < m->nopsets; i++)
        p[i] = (struct ot_import){domain_text(m->opsets[i].domain), m->opsets[i].version,
                                  schema_newest_opset(m->opsets[i].domain)};
    for (size_t i = 0; i < m->nfuncs; i++)
        f[i] = (struct ot_function){domain_text(m->funcs[i]->domain), m->funcs[i]->name,
                                    m->funcs[i]->overload, m->funcs[i]->body->nnodes};
    in->sum.imports = p;
    in->sum.nimports = m->nopsets;
    in->sum.functions = f;
    in->sum.nfunctions = m->nfuncs;
    return OK;
}

static int sum_meta(struct cx *cx, struct ot_inspection *in)
{
    struct ot_summary *s = &in->sum;
    const struct model_meta *meta = &in->meta;
    struct ot_pair *p = arena_array(&in->arena, meta->nentries + 1, sizeof *p);
    if (!p)
        return err_nomem(cx);
    for (size_t i = 0; i < meta->nentries; i++)
        p[i] = (struct ot_pair){meta->entries[i].key, meta->entries[i].value};
    s->metadata = p;
    s->nmetadata = meta->nentries;
    s->path = in->m->path;
    s->graph = in->m->graph->name;
    s->producer = meta->producer;
    s->producer_version = meta->producer_version;
    s->domain = meta->domain;
    s->doc = meta->doc;
    s->has_version = meta->has_version;
    s->version = meta->version;
    s->ir_version = in->m->ir_version;
    s->newest_ir = model_newest_ir();
    s->file_bytes = in->m->file ? in->m->file->size : 0;
    return OK;
}

static int sum_files(struct cx *cx, struct ot_inspection *in)
{
    const struct stats *s = &in->stats;
    const char *dir = in->m->dir;
    struct ot_file *f = arena_array(&in->arena, s->nfiles + 1, sizeof *f);
    if (!f)
        return err_nomem(cx);
    f[0] = (struct ot_file){.path = in->m->path ? in->m->path : "", .bytes = in->sum.file_bytes};
    for (size_t i = 0; i < s->nfiles; i++) {
        const struct file_share *x = &s->files[i];
        const char *path = x->location;
        if (dir && *dir && strcmp(dir, ".") != 0 && *x->location != '/')
            path =
                arena_printf(&in->arena, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", x->location);
        if (!path)
            return err_nomem(cx);
        f[i + 1] = (struct ot_file){path, x->location, x->tensors, x->bytes, x->problem};
    }
    in->sum.files = f;
    in->sum.nfiles = s->nfiles + 1;
    return OK;
}

static int sum_axes(struct cx *cx, struct ot_inspection *in)
{
    struct ot_axis *a = arena_array(&in->arena, in->axes.n + 1, sizeof *a);
    if (!a)
        return err_nomem(cx);
    for (size_t i = 0; i < in->axes.n; i++)
        a[i] = (struct ot_axis){in->axes.v[i].input->name, in->axes.v[i].axis, in->axes.v[i].symbol,
                                in->axes.v[i].fixed};
    in->sum.axes = a;
    in->sum.naxes = in->axes.n;
    return OK;
}

static int sum_warnings(struct cx *cx, struct ot_inspection *in, bool values)
{
    struct warn_in wi = {.m = in->m,
                         .stats = &in->stats,
                         .typed = in->bound,
                         .axes = &in->axes,
                         .meta = &in->meta,
                         .file_bytes = in->sum.file_bytes,
                         .values = values};
    int rc = warnings_find(cx, &wi, &in->arena, &in->warnings);
    struct ot_warning *w = arena_array(&in->arena, in->warnings.n + 1, sizeof *w);
    if (!rc && !w)
        rc = err_nomem(cx);
    for (size_t i = 0; i < in->warnings.n && !rc; i++) {
        const struct warning *x = &in->warnings.v[i];
        w[i] = (struct ot_warning){x->code, x->text, x->advice, x->count};
    }
    in->sum.warnings = w;
    in->sum.nwarnings = rc ? 0 : in->warnings.n;
    return rc;
}

static int sum_cost(struct cx *cx, struct ot_inspection *in)
{
    struct ot_summary *s = &in->sum;
    struct dim d = dim_unknown();
    char text[200];
    int rc = cost_model(cx, in->bound, &in->arena, &in->cost);
    if (!rc && s->sizes)
        rc = cost_symbolic(cx, in->open, &d);
    if (rc)
        return rc;
    s->macs = in->cost.macs;
    s->other_ops = in->cost.ops;
    s->cost_unknown = in->cost.unknown;
    s->has_loop = in->cost.has_loop;
    s->activations = in->cost.naive;
    s->activations_peak = in->cost.peak;
    s->peak_at = in->cost.peak_at ? in->cost.peak_at->name : NULL;
    dim_text(d, text, sizeof text);
    if (d.kind == DIM_EXPR && strlen(text) < 100) {
        s->macs_text = arena_strdup(&in->arena, text);
        return s->macs_text ? OK : err_nomem(cx);
    }
    return OK;
}

static int sum_fingerprint(struct cx *cx, struct ot_inspection *in)
{
    char hex[65];
    int rc = fingerprint_model(cx, in->m, false, hex);
    if (!rc && !(in->sum.fingerprint = arena_strdup(&in->arena, hex)))
        rc = err_nomem(cx);
    return rc;
}

/* A model of more nodes is not inferred twice more to try its axes: looking takes milliseconds. */
enum { DEEP_NODES = 2000 };

static int inspect(struct cx *cx, struct ot_inspection *in, const struct ot_inspect_opts *o)
{
    int rc = infer_both(cx, in, o);
    if (!rc && !model_meta(in->m, &in->arena, &in->meta))
        rc = err_nomem(cx);
    if (!rc)
        rc = stats_model(cx, in->m, &in->arena, &in->stats);
    if (!rc)
        rc = axes_find(cx, in->m, in->open, in->stats.nodes <= DEEP_NODES, &in->arena, &in->axes);
    int (*const parts[])(struct cx *, struct ot_inspection *) = {list_all,    sum_meta, sum_imports,
                                                                 sum_weights, sum_ops,  sum_files,
                                                                 sum_axes,    sum_cost, sum_fingerprint};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !rc; i++)
        rc = parts[i](cx, in);
    return rc ? rc : sum_warnings(cx, in, o->values);
}

int ot_inspect(ot_ctx *c, ot_model *m, const struct ot_inspect_opts *o, ot_inspection **out)
{
    static const struct ot_inspect_opts none;
    ot_inspection *in = mem_zalloc(sizeof *in);
    if (!in)
        return api_end(c, err_nomem(&c->cx));
    in->m = m->m;
    int rc = inspect(&c->cx, in, o ? o : &none);
    if (rc)
        ot_inspection_free(in);
    else
        *out = in;
    return api_end(c, rc);
}

void ot_inspection_free(ot_inspection *i)
{
    if (!i)
        return;
    typed_free(i->open);
    typed_free(i->bound);
    arena_free(&i->arena);
    free(i);
}

const struct ot_summary *ot_inspection_summary(const ot_inspection *i)
{
    return &i->sum;
}

/* ---- details ---- */

/* Text that lives as long as the inspection; "" when memory runs out. */
static const char *kept(const ot_inspection *i, const char *s)
{
    const char *p = arena_strdup(&((ot_inspection *)(uintptr_t)i)->arena, s);
    return p ? p : "";
}

static const char *kept_type(const ot_inspection *i, const struct type *t)
{
    char text[400];
    return t ? kept(i, type_text(t, text, sizeof text)) : "?";
}

size_t ot_inspection_nlayers(const ot_inspection *i)
{
    return i->cost.n;
}

void ot_inspection_layer(const ot_inspection *i, size_t k, struct ot_layer *out)
{
    const struct cost_row *r = &i->cost.rows[k];
    const struct node *n = r->node;
    char op[200];
    *out = (struct ot_layer){.name = n->name,
                             .op = kept(i, node_op_text(n, op, sizeof op)),
                             .output = kept_type(i, r->out),
                             .first_output = n->nout && n->out[0] ? n->out[0]->name : "",
                             .depth = r->depth,
                             .macs = r->macs,
                             .ops = r->ops,
                             .params = r->params,
                             .out_bytes = r->out_bytes};
}

size_t ot_inspection_ninits(const ot_inspection *i)
{
    return i->ninits;
}

static const char *user_text(const ot_inspection *i, const struct value *v)
{
    char op[200], text[600];
    if (!v->nuses)
        return NULL;
    const struct node *n = v->uses[0].node;
    snprintf(text, sizeof text, "%s node '%s'", node_op_text(n, op, sizeof op),
             *n->name || !n->nout || !n->out[0] ? n->name : n->out[0]->name);
    return kept(i, text);
}

void ot_inspection_init(const ot_inspection *i, size_t k, struct ot_initializer *out)
{
    const struct weight *w = &i->inits[k];
    const struct tensor_data *t = w->t ? w->t : &w->sparse->values;
    struct dim dims[TENSOR_MAX_RANK];
    int rank = w->t ? t->rank : w->sparse->rank;
    const int64_t *d = w->t ? t->dims : w->sparse->dims;
    for (int a = 0; a < rank && a < TENSOR_MAX_RANK; a++)
        dims[a] = dim_const(d[a]);
    struct type ty = {.kind = w->t ? TY_TENSOR : TY_SPARSE,
                      .dt = t->dt,
                      .rank = rank <= TENSOR_MAX_RANK ? rank : -1,
                      .dims = dims};
    uint64_t bytes = t->file_bytes;
    int64_t n = tensor_data_count(t);
    if (t->payload == PL_EXTERNAL && (n < 0 || !dtype_file_size(t->dt, (uint64_t)n, &bytes)))
        bytes = 0;
    *out = (struct ot_initializer){.name = w->v->name,
                                   .dtype = dtype_name(t->dt),
                                   .type = kept_type(i, &ty),
                                   .params = n,
                                   .bytes = bytes,
                                   .constant = w->v->producer != NULL,
                                   .location = t->payload == PL_EXTERNAL ? t->location : NULL,
                                   .offset = t->payload == PL_EXTERNAL ? t->ext_off : 0,
                                   .user = user_text(i, w->v),
                                   .users = w->v->nuses};
}

size_t ot_inspection_nvalues(const ot_inspection *i)
{
    return i->nvalues;
}

void ot_inspection_value(const ot_inspection *i, size_t k, struct ot_value_row *out)
{
    const struct value *v = i->values[k].v;
    const struct type *t = typed_value(i->sized ? i->bound : i->open, v);
    char op[200];
    *out = (struct ot_value_row){.name = v->name,
                                 .type = kept_type(i, t),
                                 .kind = v->is_input    ? "input"
                                         : v->is_output ? "output"
                                                        : "value",
                                 .made_by =
                                     v->producer ? kept(i, node_op_text(v->producer, op, sizeof op)) : NULL,
                                 .depth = i->values[k].depth,
                                 .known = t && (t->kind != TY_TENSOR || t->rank >= 0)};
}

/* ---- text ---- */

static int take_text(ot_ctx *c, ot_inspection *i, struct str *s, const char **out)
{
    *out = s->failed ? NULL : arena_strdup(&i->arena, str_text(s));
    str_free(s);
    return api_end(c, *out ? OK : err_nomem(&c->cx));
}

static void apply_types(ot_inspection *i)
{
    if (!i->applied)
        infer_apply(i->m, i->sized ? &i->bound->res : &i->open->res);
    i->applied = true;
}

static const struct print_opts print_all = {.attrs = true, .types = true, .names = true};

int ot_inspection_print(ot_ctx *c, ot_inspection *i, enum ot_print what, const char **out)
{
    struct str s = {0};
    apply_types(i);
    if (what == OT_PRINT_DOT)
        print_dot(&s, i->m);
    else
        print_model(&s, i->m, &print_all);
    return take_text(c, i, &s, out);
}

struct find {
    const char *glob;
    struct str *out;
    size_t count;
    struct names {
        const char **v;
        size_t n, cap;
    } names;
    struct arena *arena;
};

static bool matches(const struct node *n, const char *glob)
{
    if (*n->name && glob_match(glob, n->name))
        return true;
    for (int k = 0; k < n->nout; k++)
        if (n->out[k] && glob_match(glob, n->out[k]->name))
            return true;
    return false;
}

static int print_matches(void *user, struct graph *g, int depth)
{
    struct find *f = user;
    (void)depth;
    for (const struct node *n = g->first; n; n = n->next)
        if (matches(n, f->glob)) {
            print_node(f->out, n, &print_all, 0);
            f->count++;
        }
    return OK;
}

int ot_inspection_print_nodes(ot_ctx *c, ot_inspection *i, const char *glob, const char **out, size_t *count)
{
    struct str s = {0};
    struct find f = {.glob = glob, .out = &s};
    apply_types(i);
    graph_walk(i->m->graph, print_matches, &f);
    for (size_t k = 0; k < i->m->nfuncs; k++)
        graph_walk(i->m->funcs[k]->body, print_matches, &f);
    *count = f.count;
    return take_text(c, i, &s, out);
}

/* ---- nodes as data ---- */

struct gather {
    ot_inspection *in;
    const char *glob;
    const char *function;
    struct ot_node *v;
    size_t n, cap;
};

static const char *const *strings_of(struct arena *a, const struct ostr *s, size_t n)
{
    const char **out = arena_array(a, n + 1, sizeof *out);
    for (size_t i = 0; out && i < n; i++)
        if (!(out[i] = arena_strndup(a, s[i].p, s[i].n)))
            return NULL;
    return out;
}

static bool attr_data(struct arena *arena, const struct attr *a, struct ot_attr *out)
{
    *out = (struct ot_attr){.name = a->name, .n = 1};
    enum attr_kind kind = a->ref ? AT_GRAPH : a->kind;
    struct str s = {0};
    out->list = kind == AT_INTS || kind == AT_FLOATS || kind == AT_STRINGS;
    out->n = out->list ? a->n : 1;
    switch (kind) {
    case AT_INT:
        return (out->ints = &a->u.i);
    case AT_INTS:
        return (out->ints = a->n ? a->u.ints : arena_array(arena, 1, sizeof *out->ints));
    case AT_FLOAT:
        return (out->floats = &a->u.f);
    case AT_FLOATS:
        return (out->floats = a->n ? a->u.floats : arena_array(arena, 1, sizeof *out->floats));
    case AT_STRING:
        return (out->strings = strings_of(arena, &a->u.s, 1));
    case AT_STRINGS:
        return (out->strings = strings_of(arena, a->u.strings, a->n));
    default:
        print_attr(&s, a);
        out->text = s.failed ? NULL : arena_strdup(arena, str_text(&s));
        str_free(&s);
        return out->text;
    }
}

static bool node_data(struct gather *g, const struct node *n, int depth, struct ot_node *out)
{
    struct arena *a = &g->in->arena;
    const char **in = arena_array(a, (size_t)n->nin + 1, sizeof *in);
    const char **outs = arena_array(a, (size_t)n->nout + 1, sizeof *outs);
    const char **types = arena_array(a, (size_t)n->nout + 1, sizeof *types);
    struct ot_attr *attr = arena_array(a, (size_t)n->nattr + 1, sizeof *attr);
    if (!in || !outs || !types || !attr)
        return false;
    for (int i = 0; i < n->nin; i++)
        in[i] = n->in[i] ? n->in[i]->name : NULL;
    for (int i = 0; i < n->nout; i++) {
        const struct value *v = n->out[i];
        outs[i] = v ? v->name : NULL;
        types[i] = v ? kept_type(g->in, v->type ? v->type : v->declared) : NULL;
    }
    for (int i = 0; i < n->nattr; i++)
        if (!attr_data(a, &n->attrs[i], &attr[i]))
            return false;
    *out = (struct ot_node){n->name,
                            *n->domain ? n->domain : "ai.onnx",
                            n->op_type,
                            depth,
                            g->function,
                            (size_t)n->nin,
                            (size_t)n->nout,
                            (size_t)n->nattr,
                            in,
                            outs,
                            types,
                            attr};
    return true;
}

static int gather_nodes(void *user, struct graph *graph, int depth)
{
    struct gather *g = user;
    for (const struct node *n = graph->first; n; n = n->next) {
        if (g->glob && !matches(n, g->glob))
            continue;
        struct ot_node *v = arena_grow(&g->in->arena, g->v, g->n, &g->cap, sizeof *v);
        if (!v)
            return E_NOMEM;
        g->v = v;
        if (!node_data(g, n, depth, &v[g->n++]))
            return E_NOMEM;
    }
    return OK;
}

int ot_inspection_nodes(ot_ctx *c, ot_inspection *i, const char *glob, const struct ot_node **out, size_t *n)
{
    struct gather g = {.in = i, .glob = glob};
    apply_types(i);
    int rc = graph_walk(i->m->graph, gather_nodes, &g);
    for (size_t k = 0; k < i->m->nfuncs && !rc; k++) {
        g.function = i->m->funcs[k]->name;
        rc = i->m->funcs[k]->body ? graph_walk(i->m->funcs[k]->body, gather_nodes, &g) : OK;
    }
    *out = g.v;
    *n = g.n;
    return api_end(c, rc ? err_nomem(&c->cx) : OK);
}

/* ---- names ---- */

static void add_name(struct find *f, const char *name)
{
    if (f->names.n == f->names.cap)
        f->names.v = arena_grow(f->arena, f->names.v, f->names.n, &f->names.cap, sizeof *f->names.v);
    if (f->names.v)
        f->names.v[f->names.n++] = name;
}

static int node_names(void *user, struct graph *g, int depth)
{
    struct find *f = user;
    (void)depth;
    for (const struct node *n = g->first; n; n = n->next)
        add_name(f, *n->name || !n->nout || !n->out[0] ? n->name : n->out[0]->name);
    return f->names.v || !g->first ? OK : E_NOMEM;
}

const char *ot_inspection_nearest_node(const ot_inspection *i, const char *want)
{
    struct find f = {.arena = &((ot_inspection *)(uintptr_t)i)->arena};
    if (graph_walk(i->m->graph, node_names, &f) != OK)
        return NULL;
    return nearest_name(want, f.names.v, f.names.n);
}

const char *ot_inspection_nearest_init(const ot_inspection *i, const char *want)
{
    struct find f = {.arena = &((ot_inspection *)(uintptr_t)i)->arena};
    for (size_t k = 0; k < i->ninits; k++) {
        add_name(&f, i->inits[k].v->name);
        if (!f.names.v)
            return NULL;
    }
    return nearest_name(want, f.names.v, f.names.n);
}

int ot_inspection_tensor(ot_ctx *c, ot_inspection *i, size_t k, ot_tensor **out)
{
    const struct weight *w = &i->inits[k];
    struct tensor *t = mem_zalloc(sizeof *t);
    int rc = t ? OK : err_nomem(&c->cx);
    if (!rc)
        rc = w->t ? tensor_load(&c->cx, i->m, w->t, t) : sparse_load(&c->cx, i->m, w->sparse, t);
    if (rc)
        free(t);
    else
        *out = wrap(t);
    return api_end(c, rc);
}

int ot_fingerprint(ot_ctx *c, ot_model *m, bool weights, char hex[65])
{
    int rc = ops_resolve(&c->cx, m->m);
    return api_end(c, rc ? rc : fingerprint_model(&c->cx, m->m, weights, hex));
}
