/* The index of operators, how nodes find theirs, and the attribute readers. */
#include "ops/op.h"

#include <stdio.h>
#include <string.h>

#include "ops/schema.h"

#define OP(name)       extern const struct op op_##name;
#define OPD(dom, name) extern const struct op op_##dom##_##name;
#include "ops/ops.def"
#undef OP
#undef OPD

static const struct op *const ops[] = {
#define OP(name)       &op_##name,
#define OPD(dom, name) &op_##dom##_##name,
#include "ops/ops.def"
#undef OP
#undef OPD
};

enum { NOPS = sizeof(ops) / sizeof(ops[0]) };

const struct op *op_find(const char *domain, const char *name)
{
    size_t lo = 0, hi = NOPS;
    domain = domain_norm(domain);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(domain, ops[mid]->domain);
        if (!c)
            c = strcmp(name, ops[mid]->name);
        if (!c)
            return ops[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct op *const *op_all(size_t *n)
{
    *n = NOPS;
    return ops;
}

const char *op_extra_types(const struct op *op)
{
    static const struct {
        const char *domain, *name, *types;
    } rows[] = {
#define T(domain, name, types) {domain, name, types},
#include "ops/extra_types.def"
#undef T
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].domain, op->domain) == 0 && strcmp(rows[i].name, op->name) == 0)
            return rows[i].types;
    return "";
}

/* ---- resolving ---- */

/* Functions of a model by "domain\nname\noverload". */
struct func_index {
    struct cx *cx;
    struct smap map;
};

static const char *func_key(struct arena *a, const char *domain, const char *name, const char *overload)
{
    return arena_printf(a, "%s\n%s\n%s", domain_norm(domain ? domain : ""), name ? name : "",
                        overload ? overload : "");
}

static int index_funcs(struct cx *cx, const struct model *m, struct func_index *fi)
{
    *fi = (struct func_index){.cx = cx, .map = {.arena = &cx->scratch}};
    for (size_t i = 0; i < m->nfuncs; i++) {
        struct function *f = m->funcs[i];
        const char *key = func_key(&cx->scratch, f->domain, f->name, f->overload);
        if (!key)
            return err_nomem(cx);
        if (!smap_get(&fi->map, key) && !smap_put(&fi->map, key, f))
            return err_nomem(cx);
    }
    return 0;
}

static int resolve(struct func_index *fi, struct node *n)
{
    n->func = NULL;
    n->ver = NULL;
    n->op = NULL;
    if (fi->map.n) {
        struct arena_mark mark = arena_mark(&fi->cx->scratch);
        const char *key = func_key(&fi->cx->scratch, n->domain, n->op_type, n->overload);
        if (!key)
            return err_nomem(fi->cx);
        n->func = smap_get(&fi->map, key);
        arena_release(&fi->cx->scratch, mark);
        if (n->func)
            return 0;
    }
    int64_t opset = graph_opset(n->graph, n->domain);
    if (opset > 0)
        n->ver = schema_find(n->domain, n->op_type, opset);
    if (!n->ver && opset > 0 && !*domain_norm(n->domain) && !strcmp(n->op_type, "LayerNormalization"))
        n->ver = schema_find("", n->op_type, 17); /* its first; ONNX Runtime fuses to it in any opset */
    /* An operator of a domain that has no schema rows still runs if we have it: fused nodes that a pass made
     * are of no opset. So does one that a known domain never had: ONNX Runtime puts some of its own there. */
    if (n->ver || !schema_newest_opset(n->domain) || !schema_known(n->domain, n->op_type))
        n->op = op_find(n->domain, n->op_type);
    return 0;
}

static int resolve_graph(void *user, struct graph *g, int depth)
{
    (void)depth;
    for (struct node *n = g->first; n; n = n->next) {
        int rc = resolve(user, n);
        if (rc)
            return rc;
    }
    return 0;
}

int ops_resolve(struct cx *cx, struct model *m)
{
    struct func_index fi;
    int rc = index_funcs(cx, m, &fi);
    if (!rc)
        rc = graph_walk(m->graph, resolve_graph, &fi);
    for (size_t i = 0; !rc && i < m->nfuncs; i++)
        if (m->funcs[i]->body)
            rc = graph_walk(m->funcs[i]->body, resolve_graph, &fi);
    return rc;
}

int op_resolve(struct cx *cx, struct node *n)
{
    struct func_index fi;
    int rc = index_funcs(cx, n->graph->model, &fi);
    return rc ? rc : resolve(&fi, n);
}

/* Whether the node brings what its schema row asks for. */
int op_check_inputs(struct cx *cx, const struct node *n)
{
    struct op_schema *s;
    struct arena_mark mark = arena_mark(&cx->scratch);
    int rc = n->ver ? schema_parse(cx, &cx->scratch, n->ver, &s) : 0;
    if (!n->ver || rc)
        return rc;
    if (n->nin < s->min_in || n->nin > s->max_in)
        rc = err_set(cx, E_MODEL, "%d inputs, expected %s%d", n->nin,
                     n->nin < s->min_in ? "at least " : "at most ",
                     n->nin < s->min_in ? s->min_in : s->max_in);
    else if (n->nout > s->max_out)
        rc = err_set(cx, E_MODEL, "%d outputs, expected at most %d", n->nout, s->max_out);
    for (int i = 0; !rc && i < n->nin; i++) {
        const struct schema_io *io = schema_input(s, i);
        if (!n->in[i] && io && io->option != IO_OPTIONAL)
            rc = err_set(cx, E_MODEL, "input %d '%s' is left out, but not optional", i, io->name);
    }
    for (int o = 0; !rc && o < n->nout; o++) {
        const struct schema_io *io = schema_output(s, o);
        if (!n->out[o] && io && io->option == IO_SINGLE)
            rc = err_set(cx, E_MODEL, "output %d '%s' is left out, but not optional", o, io->name);
    }
    arena_release(&cx->scratch, mark);
    return rc;
}

/* ---- values at hand ---- */

int op_input_takes(struct cx *cx, struct arena *arena, const struct node *n, const struct schema_takes **out)
{
    struct schema_takes *t = arena_array(arena, (size_t)n->nin + 1, sizeof *t);
    const struct op_version *newest = n->ver ? schema_find(n->domain, n->op_type, INT64_MAX) : NULL;
    struct op_schema *s = NULL, *s2 = NULL;
    int rc = t ? 0 : err_nomem(cx);
    if (!rc && n->ver)
        rc = schema_parse(cx, arena, n->ver, &s);
    if (!rc && newest)
        rc = schema_parse(cx, arena, newest, &s2);
    for (int i = 0; !rc && i < n->nin; i++) {
        const struct schema_io *io = s ? schema_input(s, i) : NULL, *io2 = s2 ? schema_input(s2, i) : NULL;
        t[i] = io ? schema_takes(n->ver, io->type) : (struct schema_takes){SK_TENSOR, UINT32_MAX};
        if (io && io2) {
            struct schema_takes more = schema_takes(newest, io2->type);
            t[i].kinds |= more.kinds;
            t[i].dtypes |= more.dtypes;
        }
    }
    *out = t;
    return rc;
}

/* An optional may be passed as what it holds. */
static bool takes_value(const struct schema_takes *takes, const struct tensor *v)
{
    static const unsigned kinds[] = {
        [RT_TENSOR] = SK_TENSOR, [RT_SEQ] = SK_SEQ, [RT_OPT] = SK_OPTIONAL, [RT_MAP] = SK_MAP};
    if (takes->kinds & SK_OPTIONAL)
        return true;
    return (takes->kinds & kinds[v->kind]) && (v->kind != RT_TENSOR || takes->dtypes >> v->dt & 1);
}

int op_check_values(struct cx *cx, const struct node *n, const struct schema_takes *takes,
                    const struct tensor *const *in)
{
    char have[128], name[64] = "";
    for (int i = 0; i < n->nin; i++) {
        if (!in[i] || takes_value(&takes[i], in[i]))
            continue;
        if (n->ver)
            schema_input_name(n->ver, i, name, sizeof name);
        return err_set(cx, E_TYPE, "input %d '%s' is %s, which the operator does not take there", i, name,
                       tensor_type_text(in[i], have, sizeof have));
    }
    return 0;
}

/* ---- attributes ---- */

static const char *const kind_text[] = {
    [AT_UNDEFINED] = "undefined",    [AT_FLOAT] = "float",   [AT_INT] = "int",
    [AT_STRING] = "string",          [AT_TENSOR] = "tensor", [AT_GRAPH] = "graph",
    [AT_FLOATS] = "floats",          [AT_INTS] = "ints",     [AT_STRINGS] = "strings",
    [AT_TENSORS] = "tensors",        [AT_GRAPHS] = "graphs", [AT_SPARSE] = "sparse_tensor",
    [AT_SPARSES] = "sparse_tensors", [AT_TYPE] = "type",     [AT_TYPES] = "types",
};

static const char *kind_name(enum attr_kind k)
{
    return (unsigned)k < sizeof(kind_text) / sizeof(kind_text[0]) ? kind_text[k] : "unknown";
}

/* 1 and *out when present with that kind, 0 absent, E_ATTR. */
static int find_attr(struct cx *cx, const struct node *n, const char *name, enum attr_kind kind,
                     const struct attr **out)
{
    const struct attr *a = node_attr(n, name);
    if (!a)
        return 0;
    if (a->ref)
        return err_set(
            cx, E_ATTR,
            "attribute '%s' takes the value of '%s' from the function's caller, which is not known "
            "here",
            name, a->ref);
    if (a->kind != kind) {
        /* An empty list of a file that does not say types has no kind. */
        bool list = kind == AT_FLOATS || kind == AT_INTS || kind == AT_STRINGS;
        if (a->kind == AT_UNDEFINED && list) {
            *out = NULL;
            return 1;
        }
        return err_set(cx, E_ATTR, "attribute '%s' is of type %s, expected %s", name, kind_name(a->kind),
                       kind_name(kind));
    }
    *out = a;
    return 1;
}

int attr_int(struct cx *cx, const struct node *n, const char *name, int64_t *out)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_INT, &a);
    if (rc > 0)
        *out = a->u.i;
    return rc;
}

int attr_float(struct cx *cx, const struct node *n, const char *name, float *out)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_FLOAT, &a);
    if (rc > 0)
        *out = a->u.f;
    return rc;
}

int attr_str(struct cx *cx, const struct node *n, const char *name, struct ostr *out)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_STRING, &a);
    if (rc > 0)
        *out = a->u.s;
    return rc;
}

int attr_choice(struct cx *cx, const struct node *n, const char *name, const char *const *choices, int *out)
{
    struct ostr s;
    int rc = attr_str(cx, n, name, &s);
    if (rc <= 0)
        return rc;
    char list[300] = "";
    for (int i = 0; choices[i]; i++) {
        if (strlen(choices[i]) == s.n && (!s.n || !memcmp(choices[i], s.p, s.n))) {
            *out = i;
            return 1;
        }
        size_t len = strlen(list);
        snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", *choices[i] ? choices[i] : "''");
    }
    return err_set(cx, E_ATTR, "attribute '%s' is '%.*s', expected one of %s", name,
                   (int)(s.n < 60 ? s.n : 60), s.n ? s.p : "", list);
}

int attr_ints(struct cx *cx, const struct node *n, const char *name, const int64_t **out, size_t *count)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_INTS, &a);
    if (rc > 0) {
        *out = a ? a->u.ints : NULL;
        *count = a ? a->n : 0;
    }
    return rc;
}

int attr_floats(struct cx *cx, const struct node *n, const char *name, const float **out, size_t *count)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_FLOATS, &a);
    if (rc > 0) {
        *out = a ? a->u.floats : NULL;
        *count = a ? a->n : 0;
    }
    return rc;
}

int attr_strings(struct cx *cx, const struct node *n, const char *name, const struct ostr **out,
                 size_t *count)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_STRINGS, &a);
    if (rc > 0) {
        *out = a ? a->u.strings : NULL;
        *count = a ? a->n : 0;
    }
    return rc;
}

int attr_tensor(struct cx *cx, const struct node *n, const char *name, struct tensor_data **out)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_TENSOR, &a);
    if (rc > 0)
        *out = a->u.t;
    return rc;
}

int attr_graph(struct cx *cx, const struct node *n, const char *name, struct graph **out)
{
    const struct attr *a = NULL;
    int rc = find_attr(cx, n, name, AT_GRAPH, &a);
    if (rc > 0)
        *out = a->u.g;
    return rc;
}

const char *node_op_text(const struct node *n, char *buf, size_t size)
{
    const char *dom = domain_norm(n->domain);
    const char *dot = *dom ? "." : "";
    if (n->ver)
        snprintf(buf, size, "%s%s%s-%d", dom, dot, n->op_type, n->ver->since);
    else
        snprintf(buf, size, "%s%s%s", dom, dot, n->op_type);
    return buf;
}
