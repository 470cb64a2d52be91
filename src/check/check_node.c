/* A node against its operator: arity, left out inputs and outputs, attributes, bodies. */
#include "check/checker.h"

#include <limits.h>
#include <string.h>

/* An operator at one version of its domain, looked up once for all nodes that use it. */
struct ck_schema {
    struct ck_schema *next;
    const char *domain;
    int64_t opset;
    const struct op_version *ver; /* NULL: there is no such operator */
    const struct op_schema *s;
};

static const struct ck_schema *find_schema(struct checker *c, const struct ol_node *n, int64_t opset)
{
    struct ck_schema *first = smap_get(&c->schemas, n->op), *k = first;
    while (k && (k->opset != opset || strcmp(k->domain, n->domain) != 0))
        k = k->next;
    if (k)
        return k;
    k = arena_zalloc(c->a, sizeof *k);
    if (!k || !smap_put(&c->schemas, n->op, k)) {
        c->rc = err_nomem(c->cx);
        return NULL;
    }
    *k = (struct ck_schema){first, n->domain, opset, schema_find(n->domain, n->op, opset), NULL};
    if (k->ver) {
        struct op_schema *s;
        c->rc = schema_parse(c->cx, c->a, k->ver, &s);
        k->s = c->rc ? NULL : s;
    }
    return k;
}

/* ---- attributes ---- */

static const char *kind_name(int kind)
{
    static const char *const names[] = {
        "nothing", "float",   "int",    "string",        "tensor",         "graph", "floats", "ints",
        "strings", "tensors", "graphs", "sparse tensor", "sparse tensors", "type",  "types"};
    return kind >= 0 && kind < (int)(sizeof names / sizeof *names) ? names[kind] : "unknown kind";
}

static bool is_list(int kind)
{
    return (kind >= AT_FLOATS && kind <= AT_GRAPHS) || kind == AT_SPARSES || kind == AT_TYPES;
}

/* The kind of an attribute: what it says, else what is there; AT_UNDEFINED when neither tells. */
static int attr_kind(const struct ol_attr *a)
{
    if (a->has_type)
        return a->type;
    for (int k = AT_FLOAT; k <= AT_TYPES; k++)
        if (a->set == 1u << k)
            return k;
    return AT_UNDEFINED;
}

static void look_fields(struct checker *c, const struct ol_attr *a)
{
    int kind = attr_kind(a);
    if (*a->ref) {
        if (a->set)
            ck_add(c, FC_ATTR_FIELDS, a->at, "attribute '%s' has a value beside its reference to '%s'",
                   a->name, a->ref);
        return;
    }
    if (a->has_type && (kind < AT_FLOAT || kind > AT_TYPES)) {
        ck_add(c, FC_ATTR_FIELDS, a->at, "attribute '%s' is of kind %d, which is not known", a->name, kind);
        return;
    }
    unsigned want = kind ? 1u << kind : 0;
    if (a->set & ~want)
        ck_add(c, FC_ATTR_FIELDS, a->at, "attribute '%s' %s, but has a value of another kind", a->name,
               ck_print(c, kind ? "is of kind %s" : "has several values%.0s", kind_name(kind)));
    else if (!kind || (a->set != want && !is_list(kind)))
        ck_add(c, FC_ATTR_FIELDS, a->at, "attribute '%s' has no value", a->name);
}

void ck_attr_value(struct checker *c, const struct ol_attr *a)
{
    if (!*a->name)
        ck_add(c, FC_ATTR_UNNAMED, a->at, "an attribute has no name");
    if (!a->has_type && c->o->ir >= 2)
        ck_add(c, FC_ATTR_UNTYPED, a->at, "attribute '%s' does not say of which kind it is", a->name);
    look_fields(c, a);
    for (size_t i = 0; i < a->ntensors; i++)
        ck_tensor(c, &a->tensors[i]);
    for (size_t i = 0; i < a->nsparses; i++)
        ck_sparse(c, &a->sparses[i], a->name);
    for (size_t i = 0; i < a->ntypes; i++)
        ck_type(c, a->types[i], a->name, a->at, false);
}

static bool has_param(const struct ol_function *f, const char *name)
{
    for (size_t i = 0; i < f->nattrs; i++)
        if (strcmp(f->attrs[i], name) == 0)
            return true;
    for (size_t i = 0; i < f->ndefaults; i++)
        if (strcmp(f->defaults[i].name, name) == 0)
            return true;
    return false;
}

static void look_ref(struct checker *c, const struct ol_attr *a)
{
    const struct ol_function *f = c->scope->func;
    if (!*a->ref)
        return;
    if (!f)
        ck_add(c, FC_REF_OUTSIDE, a->at, "attribute '%s' refers to parameter '%s', but this is no function",
               a->name, a->ref);
    else if (!has_param(f, a->ref))
        ck_add(c, FC_REF_UNKNOWN, a->at, "attribute '%s' refers to '%s', no parameter of function '%s'",
               a->name, a->ref, f->name);
}

/* Numbers that an attribute may hold, where its operator says so; op NULL: every operator's. */
static const struct {
    const char *op, *attr;
    int64_t lo, hi;
} ranges[] = {
    {NULL, "keepdims", 0, 1},
    {"Split", "num_outputs", 1, INT_MAX},
    {"Transpose", "perm", 0, INT_MAX},
};

static void look_ranges(struct checker *c, const char *op, const struct ol_attr *a)
{
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        if (strcmp(a->name, ranges[r].attr) != 0 || (ranges[r].op && strcmp(op, ranges[r].op) != 0))
            continue;
        size_t n = a->nints ? a->nints : (a->set & 1u << AT_INT) != 0;
        for (size_t i = 0; i < n; i++) {
            int64_t v = a->nints ? a->ints[i] : a->i;
            if (v >= ranges[r].lo && v <= ranges[r].hi)
                continue;
            ck_add(c, FC_ATTR_RANGE, a->at, "attribute '%s' is %lld, expected %lld to %lld", a->name,
                   (long long)v, (long long)ranges[r].lo, (long long)ranges[r].hi);
            break;
        }
    }
}

/* Names of two underscores belong to runtimes. */
static void look_schema_attr(struct checker *c, const struct op_schema *s, const struct ol_attr *a)
{
    const struct schema_attr *sa = schema_attr(s, a->name);
    int kind = attr_kind(a);
    if (!sa && strncmp(a->name, "__", 2) != 0)
        ck_add(c, FC_ATTR_UNKNOWN, a->at, "%s-%d has no attribute '%s'", s->ver->name, s->ver->since,
               a->name);
    else if (sa && kind && kind != (int)sa->kind)
        ck_add(c, FC_ATTR_KIND, a->at, "attribute '%s' is of kind %s, %s-%d defines it as %s", a->name,
               kind_name(kind), s->ver->name, s->ver->since, kind_name((int)sa->kind));
    else if (sa && !*s->ver->domain)
        look_ranges(c, s->ver->name, a);
}

static const struct ol_attr *find_attr(const struct ol_node *n, const char *name)
{
    for (size_t i = 0; i < n->nattrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

static void look_missing(struct checker *c, const struct op_schema *s, const struct ol_node *n)
{
    for (int i = 0; i < s->nattr; i++)
        if (s->attr[i].required && !find_attr(n, s->attr[i].name))
            ck_add(c, FC_ATTR_MISSING, n->at, "attribute '%s' is missing, which %s-%d needs", s->attr[i].name,
                   s->ver->name, s->ver->since);
}

/* f: the function that is called; s: the operator; one of them or none. */
static void look_attrs(struct checker *c, const struct ol_node *n, const struct op_schema *s,
                       const struct ol_function *f)
{
    struct smap many = {.arena = c->a};
    for (size_t i = 0; i < n->nattrs && !c->rc; i++) {
        const struct ol_attr *a = &n->attrs[i];
        bool twice = n->nattrs <= 16 ? find_attr(n, a->name) != a : smap_get(&many, a->name) != NULL;
        if (n->nattrs > 16 && !twice && !smap_put(&many, a->name, c))
            c->rc = err_nomem(c->cx);
        if (twice)
            ck_add(c, FC_ATTR_TWICE, a->at, "attribute '%s' is there twice", a->name);
        ck_attr_value(c, a);
        look_ref(c, a);
        if (s && *a->name)
            look_schema_attr(c, s, a);
        else if (f && *a->name && !has_param(f, a->name))
            ck_add(c, FC_ATTR_UNKNOWN, a->at, "function '%s' has no attribute '%s'", f->name, a->name);
    }
    if (s)
        look_missing(c, s, n);
}

/* ---- inputs and outputs ---- */

static void look_counts(struct checker *c, const struct ol_node *n, const struct op_schema *s)
{
    const char *op = s->ver->name;
    int since = s->ver->since;
    if (n->nin < (size_t)s->min_in)
        ck_add(c, FC_FEW_INPUTS, n->at, "%zu inputs, %s-%d needs %d", n->nin, op, since, s->min_in);
    if (s->max_in != INT_MAX && n->nin > (size_t)s->max_in)
        ck_add(c, FC_MANY_INPUTS, n->at, "%zu inputs, %s-%d takes %d", n->nin, op, since, s->max_in);
    if (n->nout < (size_t)s->min_out)
        ck_add(c, FC_FEW_OUTPUTS, n->at, "%zu outputs, %s-%d makes at least %d", n->nout, op, since,
               s->min_out);
    if (s->max_out != INT_MAX && n->nout > (size_t)s->max_out)
        ck_add(c, FC_MANY_OUTPUTS, n->at, "%zu outputs, %s-%d makes %d", n->nout, op, since, s->max_out);
}

static void look_left_out(struct checker *c, const struct ol_node *n, const struct op_schema *s)
{
    for (size_t i = 0; i < n->nin && i < INT_MAX; i++) {
        const struct schema_io *io = *n->in[i] ? NULL : schema_input(s, (int)i);
        if (io && io->option == IO_SINGLE)
            ck_add(c, FC_INPUT_LEFT_OUT, n->at, "input %zu '%s' is left out, which %s-%d needs", i, io->name,
                   s->ver->name, s->ver->since);
    }
    for (size_t i = 0; i < n->nout && i < INT_MAX; i++) {
        const struct schema_io *io = *n->out[i] ? NULL : schema_output(s, (int)i);
        if (io && io->option == IO_SINGLE)
            ck_add(c, FC_OUTPUT_LEFT_OUT, n->at, "output %zu '%s' has no name; it is not optional", i,
                   io->name);
    }
}

bool ck_single_input(struct checker *c, const struct ol_node *n, int64_t opset, size_t i)
{
    const struct ck_schema *k = find_schema(c, n, opset);
    const struct schema_io *io = k && k->s && i < INT_MAX ? schema_input(k->s, (int)i) : NULL;
    return io && io->option == IO_SINGLE;
}

static void look_formals(struct checker *c, const struct ol_node *n, const struct ol_function *f)
{
    for (size_t i = 0; i < f->body.nins && !c->rc; i++)
        if ((i >= n->nin || !*n->in[i]) && ck_input_needed(c, n, i))
            ck_add(c, i < n->nin ? FC_INPUT_LEFT_OUT : FC_FEW_INPUTS, n->at,
                   "input %zu '%s' is not given, which function '%s' needs", i, f->body.ins[i].name, f->name);
}

static void look_call(struct checker *c, const struct ol_node *n, const struct ol_function *f)
{
    if (n->nin > f->body.nins)
        ck_add(c, FC_MANY_INPUTS, n->at, "%zu inputs, function '%s' takes %zu", n->nin, f->name,
               f->body.nins);
    if (n->nout > f->body.nouts)
        ck_add(c, FC_MANY_OUTPUTS, n->at, "%zu outputs, function '%s' makes %zu", n->nout, f->name,
               f->body.nouts);
    look_formals(c, n, f);
    look_attrs(c, n, NULL, f);
}

/* ---- bodies ---- */

static void look_branch(struct checker *c, const struct ol_node *n, const char *name)
{
    const struct ol_attr *a = find_attr(n, name);
    if (!a || a->ngraphs != 1)
        return;
    const struct ol_graph *g = a->graphs;
    if (g->nins)
        ck_add(c, FC_BRANCH_INPUTS, g->at, "%s has %zu inputs", name, g->nins);
    if (g->nouts != n->nout)
        ck_add(c, FC_BRANCH_OUTPUTS, g->at, "%s has %zu outputs, the node %zu", name, g->nouts, n->nout);
}

static void look_body(struct checker *c, const struct ol_graph *g, size_t ins, size_t outs)
{
    if (g->nins != ins)
        ck_add(c, FC_BODY_INPUTS, g->at, "the body has %zu inputs, the node feeds %zu", g->nins, ins);
    if (g->nouts != outs)
        ck_add(c, FC_BODY_OUTPUTS, g->at, "the body has %zu outputs, the node needs %zu", g->nouts, outs);
}

static void look_bodies(struct checker *c, const struct ol_node *n, const struct op_version *ver)
{
    const struct ol_attr *a = find_attr(n, "body"), *scans = find_attr(n, "num_scan_inputs");
    if (strcmp(n->op, "If") == 0) {
        look_branch(c, n, "then_branch");
        look_branch(c, n, "else_branch");
    }
    if (!a || a->ngraphs != 1)
        return;
    /* Iteration number and condition go in, the condition comes out before the carried values. */
    if (strcmp(n->op, "Loop") == 0)
        look_body(c, a->graphs, n->nin < 2 ? 2 : n->nin, n->nout + 1);
    if (strcmp(n->op, "Scan") != 0)
        return;
    size_t ins = ver->since < 9 && n->nin ? n->nin - 1 : n->nin; /* Scan-8 has sequence lengths before */
    look_body(c, a->graphs, ins, n->nout);
    if (scans && scans->set & 1u << AT_INT && (scans->i < 1 || (uint64_t)scans->i > ins))
        ck_add(c, FC_BODY_INPUTS, scans->at, "num_scan_inputs is %lld, the node has %zu inputs",
               (long long)scans->i, ins);
}

/* Constant may say its value in one of many ways. */
static void look_constant(struct checker *c, const struct ol_node *n)
{
    size_t values = 0;
    for (size_t i = 0; i < n->nattrs; i++)
        values += strncmp(n->attrs[i].name, "__", 2) != 0;
    if (values != 1)
        ck_add(c, FC_CONSTANT, n->at, "the node has %zu values", values);
}

/* ---- the node ---- */

static void look_unknown(struct checker *c, const struct ol_node *n, int64_t opset)
{
    const char *near = schema_nearest(n->domain, n->op);
    if (schema_known(n->domain, n->op))
        ck_add(c, FC_UNKNOWN_OP, n->at, "version %lld of %s has no operator %s yet", (long long)opset,
               domain_text(n->domain), n->op);
    else
        ck_add(c, FC_UNKNOWN_OP, n->at, "%s has no operator %s%s%s%s", domain_text(n->domain), n->op,
               near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static void look_operator(struct checker *c, const struct ol_node *n, int64_t opset)
{
    const struct ck_schema *k = find_schema(c, n, opset);
    const struct op_schema *s = k ? k->s : NULL;
    if (c->rc)
        return;
    if (!s && schema_newest_opset(n->domain)) {
        look_unknown(c, n, opset);
    } else if (s && s->ver->flags & SF_DEPRECATED) {
        ck_add(c, FC_DEPRECATED, n->at, "%s is gone from version %d of %s on", n->op, s->ver->since,
               domain_text(n->domain));
        s = NULL;
    }
    look_attrs(c, n, s, NULL);
    if (!s)
        return;
    look_counts(c, n, s);
    look_left_out(c, n, s);
    if (*n->domain)
        return;
    look_bodies(c, n, s->ver);
    if (strcmp(n->op, "Constant") == 0)
        look_constant(c, n);
}

void ck_node(struct checker *c, const struct ol_node *n)
{
    const struct ol_function *f = ck_function(c, n);
    int64_t opset = ck_opset(c, n->domain);
    if (!*n->op) {
        ck_add(c, FC_OP_MISSING, n->at, "the node has no operator");
        return;
    }
    if (!n->nin && !n->nout)
        ck_add(c, FC_NODE_EMPTY, n->at, "the node has neither inputs nor outputs");
    if (!opset)
        ck_add(c, FC_NOT_IMPORTED, n->at, "%s is of domain %s, which %s does not import", n->op,
               domain_text(n->domain), c->scope->func ? "the function" : "the model");
    if (*n->overload)
        ck_feature(c, n->at, 10, "an overload of a function");
    if (n->ndevices)
        ck_ignored(c, n->at, 11, "a device configuration");
    ck_meta(c, n->meta, n->nmeta, n->at, 10);
    if (f)
        look_call(c, n, f);
    else if (opset)
        look_operator(c, n, opset);
    else
        look_attrs(c, n, NULL, NULL);
}
