/* One row a kind of warning, one function that looks for it. A kind shows up once, with a count and the first
 * example. */
#include "analyze/warnings.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/tensor_pb.h"
#include "ops/schema.h"

enum kind {
    W_IR_OLD,
    W_IR_NEW,
    W_OPSET_OLD,
    W_OPSET_NEW,
    W_OPSET_MISSING,
    W_EXTERNAL,
    W_FILE_SIZE,
    W_UNKNOWN_OP,
    W_CUSTOM_DOMAIN,
    W_DEPRECATED,
    W_SHAPES,
    W_DECLARED,
    W_FIXED_AXIS,
    W_RANK,
    W_INIT_INPUT,
    W_UNUSED_INIT,
    W_UNUSED_INPUT,
    W_DUPLICATE,
    W_TRAINING,
    W_QUANT_MIX,
    W_FLOAT64,
    W_NONFINITE,
    W_ZIPMAP,
    W_BIG_CONSTANT,
};

static const struct warning kinds[] = {
    [W_IR_OLD] = {"ir-version-old", NULL, "convert it with a current exporter; some runtimes refuse it", 0},
    [W_IR_NEW] = {"ir-version-new", NULL, "update this tool and the runtime, or export for an older one", 0},
    [W_OPSET_OLD] = {"opset-old", NULL, "convert to opset 13 or newer; runtimes test old ones little", 0},
    [W_OPSET_NEW] = {"opset-new", NULL, "check that the runtime is new enough, or export with an older opset",
                     0},
    [W_OPSET_MISSING] = {"opset-not-imported", NULL, "add the import; strict runtimes refuse the model", 0},
    [W_EXTERNAL] = {"external-data-unusable", NULL,
                    "put the file into the model's folder (inspect --files lists what to copy)", 0},
    [W_FILE_SIZE] = {"file-near-2-gib", NULL,
                     "move weights to external data; most tools cannot read a file over 2 GiB", 0},
    [W_UNKNOWN_OP] = {"unknown-operator", NULL, "the name or the opset version is wrong; no runtime has it",
                      0},
    [W_CUSTOM_DOMAIN] = {"custom-domain", NULL, "the runtime needs an extension that brings these operators",
                         0},
    [W_DEPRECATED] = {"deprecated-operator", NULL, "convert to its replacement before raising the opset", 0},
    [W_SHAPES] = {"graph-inconsistent", NULL, "the export is wrong there, or an input shape that was given",
                  0},
    [W_DECLARED] = {"declared-type-wrong", NULL, "remove the value_info or repair it; runtimes may trust it",
                    0},
    [W_FIXED_AXIS] = {"dynamic-axis-fixed", NULL,
                      "export again with that axis dynamic, or declare the input with the fixed size", 0},
    [W_RANK] = {"input-rank-unknown", NULL, "declare the shape; many runtimes cannot plan without it", 0},
    [W_INIT_INPUT] = {"weights-are-inputs", NULL,
                      "remove them from the inputs, or runtimes cannot fold or fuse them", 0},
    [W_UNUSED_INIT] = {"unused-weights", NULL, "remove them; they only cost space", 0},
    [W_UNUSED_INPUT] = {"unused-input", NULL, "remove it, or callers must feed it for nothing", 0},
    [W_DUPLICATE] = {"duplicate-node-name", NULL, "name nodes apart; profiles and partial tools go by name",
                     0},
    [W_TRAINING] = {"training-mode", NULL, "export in evaluation mode; results are random or slow", 0},
    [W_QUANT_MIX] = {"mixed-quantization", NULL,
                     "quantize with one style, QDQ nodes or QLinear operators, so that all of it is fused",
                     0},
    [W_FLOAT64] = {"float64-weights", NULL, "convert to float32; most runtimes have few float64 kernels", 0},
    [W_NONFINITE] = {"non-finite-weights", NULL, "the training diverged or the file is damaged", 0},
    [W_ZIPMAP] = {"map-output", NULL, "export without ZipMap; maps are slow and few runtimes have them", 0},
    [W_BIG_CONSTANT] = {"large-constant-node", NULL,
                        "make it an initializer; tools treat Constant nodes as small values", 0},
};

const struct warning *warning_kind(size_t i)
{
    return i < sizeof kinds / sizeof *kinds ? &kinds[i] : NULL;
}

struct look {
    struct cx *cx;
    const struct warn_in *in;
    struct arena *arena;
    struct warnings *out;
    struct smap names; /* of the nodes of all graphs */
    size_t qdq, qlinear;
    int rc;
};

/* The first of its kind brings the text, later ones count. */
__attribute__((format(printf, 3, 4))) static void warn(struct look *l, enum kind k, const char *fmt, ...)
{
    struct warnings *w = l->out;
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].code == kinds[k].code) {
            w->v[i].count++;
            return;
        }
    if (w->n == w->cap)
        w->v = arena_grow(l->arena, w->v, w->n, &w->cap, sizeof *w->v);
    char raw[800], safe[1600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    str_escape(safe, sizeof safe, raw, strlen(raw));
    const char *text = arena_strdup(l->arena, safe);
    if (!w->v || !text) {
        l->rc = err_nomem(l->cx);
        w->n = 0;
        return;
    }
    w->v[w->n] = kinds[k];
    w->v[w->n].text = text;
    w->v[w->n++].count = 1;
}

/* ---- the model ---- */

enum { OPSET_OLD = 9, IR_OLD = 3 };

static void look_versions(struct look *l)
{
    const struct model *m = l->in->m;
    if (m->ir_version < IR_OLD)
        warn(l, W_IR_OLD, "IR version %lld", (long long)m->ir_version);
    if (m->ir_version > model_newest_ir())
        warn(l, W_IR_NEW, "IR version %lld, newest known is %lld", (long long)m->ir_version,
             (long long)model_newest_ir());
    if (m->opset_assumed)
        warn(l, W_OPSET_MISSING, "the model imports no operator set: version 1 of ai.onnx is assumed");
    for (size_t i = 0; i < m->nopsets; i++) {
        const struct opset *o = &m->opsets[i];
        int newest = schema_newest_opset(o->domain);
        if (newest && o->version > newest)
            warn(l, W_OPSET_NEW, "opset %lld of %s, newest known is %d", (long long)o->version,
                 domain_text(o->domain), newest);
        if (!*o->domain && o->version < OPSET_OLD)
            warn(l, W_OPSET_OLD, "opset %lld", (long long)o->version);
    }
}

static void look_files(struct look *l)
{
    const struct stats *s = l->in->stats;
    char size[40];
    for (size_t i = 0; i < s->nfiles; i++)
        if (s->files[i].problem)
            warn(l, W_EXTERNAL, "%s", s->files[i].problem);
    /* 2 GiB is where protobuf's own libraries stop. */
    if (l->in->file_bytes > 2040109466ull)
        warn(l, W_FILE_SIZE, "the file has %s", human_bytes(size, sizeof size, l->in->file_bytes));
}

static void look_inputs(struct look *l)
{
    const struct graph *g = l->in->m->graph;
    for (size_t i = 0; i < g->nins; i++) {
        const struct value *v = g->ins[i];
        const struct type *t = v->declared;
        if (v->init || v->sparse) {
            /* Before IR 4 that was the only way to write weights. */
            if (l->in->m->ir_version >= 4)
                warn(l, W_INIT_INPUT, "initializer '%s' is an input too", v->name);
            continue;
        }
        if (!t || (t->kind == TY_TENSOR && t->rank < 0))
            warn(l, W_RANK, "input '%s' has no shape", v->name);
        if (!v->nuses && !v->is_output)
            warn(l, W_UNUSED_INPUT, "input '%s' is not used", v->name);
    }
}

static void look_axes(struct look *l)
{
    const struct axes *a = l->in->axes;
    for (size_t i = 0; a && i < a->n; i++)
        if (a->v[i].fixed)
            warn(l, W_FIXED_AXIS, "axis %d of input '%s' (%s): %s", a->v[i].axis, a->v[i].input->name,
                 a->v[i].symbol, a->v[i].fixed);
}

static void look_model(struct look *l)
{
    const struct warn_in *in = l->in;
    look_versions(l);
    look_files(l);
    look_inputs(l);
    look_axes(l);
    if (in->typed && in->typed->failure)
        warn(l, W_SHAPES, "%s", in->typed->failure);
    if (in->typed && in->typed->clash)
        warn(l, W_DECLARED, "%s", in->typed->clash);
    if (in->meta->ntraining)
        warn(l, W_TRAINING, "the file carries training information");
}

/* ---- graphs and nodes ---- */

static bool known_domain(const char *domain)
{
    return schema_newest_opset(domain) > 0;
}

static void look_unknown(struct look *l, const struct node *n)
{
    const char *near = schema_nearest(n->domain, n->op_type);
    long long opset = graph_opset(n->graph, n->domain);
    if (schema_known(n->domain, n->op_type))
        warn(l, W_UNKNOWN_OP, "node '%s': opset %lld of %s has no %s, only newer ones have", node_label(n),
             opset, domain_text(n->domain), n->op_type);
    else
        warn(l, W_UNKNOWN_OP, "node '%s': there is no operator %s in %s%s%s%s", node_label(n), n->op_type,
             domain_text(n->domain), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static void look_operator(struct look *l, const struct node *n)
{
    char op[200];
    if (n->func)
        return;
    if (!graph_opset(n->graph, n->domain))
        warn(l, W_OPSET_MISSING, "node '%s' is of domain %s, which the model does not import", node_label(n),
             domain_text(n->domain));
    else if (!known_domain(n->domain))
        warn(l, W_CUSTOM_DOMAIN, "node '%s' is %s of domain %s", node_label(n), n->op_type,
             domain_text(n->domain));
    else if (!n->ver)
        look_unknown(l, n);
    else if (n->ver->flags & SF_DEPRECATED)
        warn(l, W_DEPRECATED, "node '%s' is %s", node_label(n), node_op_text(n, op, sizeof op));
}

static bool is_op(const struct node *n, const char *name)
{
    return !*n->domain && strcmp(n->op_type, name) == 0;
}

static bool attr_is(const struct node *n, const char *name, int64_t v)
{
    const struct attr *a = node_attr(n, name);
    return a && a->kind == AT_INT && !a->ref && a->u.i == v;
}

static bool const_true(const struct value *v)
{
    const struct tensor_data *t = v ? v->init : NULL;
    return t && t->dt == DT_BOOL && t->payload == PL_MEM && tensor_data_count(t) == 1 &&
           *(const char *)t->mem;
}

static void look_training(struct look *l, const struct node *n)
{
    bool bn = is_op(n, "BatchNormalization") &&
              (attr_is(n, "training_mode", 1) || (n->ver && n->ver->since < 14 && n->nout > 1 && n->out[1]));
    bool drop = is_op(n, "Dropout") && n->nin > 2 && const_true(n->in[2]);
    if (bn || drop)
        warn(l, W_TRAINING, "%s '%s' is in training mode", n->op_type, node_label(n));
}

enum { BIG_CONSTANT = 1 << 20 };

static void look_node(struct look *l, const struct node *n)
{
    look_operator(l, n);
    look_training(l, n);
    l->qdq += is_op(n, "DequantizeLinear");
    l->qlinear += strncmp(n->op_type, "QLinear", 7) == 0;
    if (strcmp(n->op_type, "ZipMap") == 0)
        warn(l, W_ZIPMAP, "node '%s' makes a map", node_label(n));
    const struct attr *a = is_op(n, "Constant") ? node_attr(n, "value") : NULL;
    if (a && a->kind == AT_TENSOR && !a->ref && a->u.t->file_bytes > BIG_CONSTANT)
        warn(l, W_BIG_CONSTANT, "Constant '%s' has %llu bytes", node_label(n),
             (unsigned long long)a->u.t->file_bytes);
    if (!*n->name)
        return;
    if (smap_get(&l->names, n->name))
        warn(l, W_DUPLICATE, "several nodes are called '%s'", n->name);
    else if (!smap_put(&l->names, n->name, (void *)(uintptr_t)n))
        l->rc = err_nomem(l->cx);
}

static void look_values(struct look *l, const struct value *v)
{
    struct tensor t;
    const struct dtype_info *d = dtype_info(v->init->dt);
    memset(&t, 0, sizeof t);
    if (d->cls != CLS_FLOAT)
        return;
    if (tensor_load(l->cx, l->in->m, v->init, &t)) {
        err_clear(l->cx);
        return;
    }
    for (int64_t i = 0, n = tensor_count(&t); i < n; i++) {
        double x = tensor_f64(&t, i);
        if (!isfinite(x)) {
            warn(l, W_NONFINITE, "weight '%s' has %s at element %lld", v->name,
                 isnan(x) ? "NaN" : "an infinity", (long long)i);
            break;
        }
    }
    tensor_drop(&t);
}

static void look_init(struct look *l, const struct value *v)
{
    if (!v->nuses && !v->is_output)
        warn(l, W_UNUSED_INIT, "initializer '%s' is not used", v->name);
    if (v->init && v->init->dt == DT_DOUBLE && tensor_data_count(v->init) > 1)
        warn(l, W_FLOAT64, "initializer '%s' is double", v->name);
    if (v->init && l->in->values)
        look_values(l, v);
}

static int look_graph(void *user, struct graph *g, int depth)
{
    struct look *l = user;
    (void)depth;
    for (size_t i = 0; i < g->ninits && !l->rc; i++)
        look_init(l, g->inits[i]);
    for (const struct node *n = g->first; n && !l->rc; n = n->next)
        look_node(l, n);
    return l->rc;
}

int warnings_find(struct cx *cx, const struct warn_in *in, struct arena *arena, struct warnings *out)
{
    *out = (struct warnings){0};
    struct look l = {.cx = cx, .in = in, .arena = arena, .out = out};
    l.names.arena = arena;
    look_model(&l);
    int rc = graph_walk(in->m->graph, look_graph, &l);
    for (size_t i = 0; i < in->m->nfuncs && !rc; i++)
        rc = graph_walk(in->m->funcs[i]->body, look_graph, &l);
    if (l.qdq && l.qlinear)
        warn(&l, W_QUANT_MIX, "%zu DequantizeLinear nodes beside %zu QLinear operators", l.qdq, l.qlinear);
    return rc ? rc : l.rc;
}
