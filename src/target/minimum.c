/* From the version that a node has now back to the oldest one whose schema reads the node the same way: the
 * same inputs and outputs in the same places, the attributes that it carries, equal defaults for those that
 * it does not, types that were legal, and no change of meaning in the table of them. Where in doubt the node
 * stays. */
#include "target/minimum.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ir/ir.h"

struct look {
    struct cx *cx;
    struct arena *a;
    const struct facts *f;
    const struct survey *s;
    const struct item *it;
    const struct kind *k;
    char why[240];
};

static bool keep(struct look *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Notes why the node cannot be older; false. */
static bool keep(struct look *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->why, sizeof l->why, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- one step back ---- */

/* "tensor of float" as the schema spells types; NULL: not known. */
static const char *io_type(const struct value_type *v, char *buf, size_t size)
{
    const char *name = dtype_name(v->dt);
    switch ((enum value_kind)v->kind) {
    case VK_TENSOR:
        return name;
    case VK_SEQ:
        snprintf(buf, size, "seq(%s)", name);
        return buf;
    case VK_OPT:
        snprintf(buf, size, "optional(%s)", name);
        return buf;
    case VK_OPT_SEQ:
        snprintf(buf, size, "optional(seq(%s))", name);
        return buf;
    default:
        return NULL;
    }
}

/* Value i (inputs, then outputs) reads the same in both. */
static bool same_value(struct look *l, const struct op_schema *older, const struct op_schema *newer, int i)
{
    const struct kind *k = l->k;
    bool in = i < k->nin;
    int at = in ? i : i - k->nin;
    const struct schema_io *a = in ? schema_input(older, at) : schema_output(older, at);
    const struct schema_io *b = in ? schema_input(newer, at) : schema_output(newer, at);
    char text[64];
    if (k->io[i].kind == VK_ABSENT)
        return !a || a->option != IO_SINGLE;
    const char *what = in ? "input" : "output";
    if (!a || !b || strcmp(a->name, b->name) != 0)
        return keep(l, "%s %s came with %d", what, b ? b->name : "", newer->ver->since);
    const char *type = io_type(&k->io[i], text, sizeof text);
    if (!type)
        return keep(l, "the type of %s %s is not known", what, b->name);
    if (!schema_type_allowed(older->ver, a->type, type))
        return keep(l, "%s as %s came with %d", type, b->name, newer->ver->since);
    return true;
}

static bool same_values(struct look *l, const struct op_schema *older, const struct op_schema *newer)
{
    const struct kind *k = l->k;
    if (k->nin < older->min_in || k->nin > older->max_in || k->nout < older->min_out ||
        k->nout > older->max_out)
        return keep(l, "its number of inputs and outputs came with %d", newer->ver->since);
    for (int i = 0; i < k->nin + k->nout; i++)
        if (!same_value(l, older, newer, i))
            return false;
    return true;
}

static bool has_negative(const struct attr *a)
{
    if (a->kind == AT_INT)
        return a->u.i < 0;
    for (size_t i = 0; a->kind == AT_INTS && i < a->n; i++)
        if (a->u.ints[i] < 0)
            return true;
    return false;
}

/* Axes count from the end since opset 11. */
static bool is_axis(const char *name)
{
    return strcmp(name, "axis") == 0 || strcmp(name, "axes") == 0;
}

static bool same_default(const struct schema_attr *a, const struct schema_attr *b)
{
    return !a->def || !b->def ? a->def == b->def : strcmp(a->def, b->def) == 0;
}

static bool carried(struct look *l, const struct op_schema *older, const struct op_schema *newer)
{
    const struct node *n = l->it->n;
    for (int i = 0; i < n->nattr; i++) {
        const struct attr *a = &n->attrs[i];
        const struct schema_attr *had = schema_attr(older, a->name);
        if (!had || (int)had->kind != (int)a->kind)
            return keep(l, "attribute %s came with %d", a->name, newer->ver->since);
        if (older->ver->since < 11 && newer->ver->since >= 11 && is_axis(a->name) && has_negative(a))
            return keep(l, "a negative %s came with %d", a->name, newer->ver->since);
    }
    return true;
}

static bool left_out(struct look *l, const struct op_schema *older, const struct op_schema *newer)
{
    for (int i = 0; i < older->nattr; i++) {
        const struct schema_attr *had = &older->attr[i], *has = schema_attr(newer, had->name);
        if (node_attr(l->it->n, had->name))
            continue;
        if (had->required)
            return keep(l, "before %d it has an attribute %s", newer->ver->since, had->name);
        if (has ? !same_default(had, has) : had->def != NULL)
            return keep(l, "the default of %s changed with %d", had->name, newer->ver->since);
    }
    return true;
}

static bool carries(const struct node *n, const struct fact_meaning *m)
{
    if (!*m->attr)
        return true;
    const struct attr *a = node_attr(n, m->attr);
    if (!a || !*m->value)
        return a != NULL;
    return a->kind == AT_STRING && a->u.s.n == strlen(m->value) && memcmp(a->u.s.p, m->value, a->u.s.n) == 0;
}

static bool same_meaning(struct look *l, const struct op_schema *newer)
{
    for (size_t i = 0; i < l->f->nmeanings; i++) {
        const struct fact_meaning *m = &l->f->meanings[i];
        if (m->since == newer->ver->since && strcmp(m->op, l->k->op) == 0 &&
            strcmp(m->domain, l->k->domain) == 0 && carries(l->it->n, m))
            return keep(l, "changed with %d: %s", m->since, m->what);
    }
    return true;
}

/* ---- all steps ---- */

/* The row before v of the same operator; NULL. */
static const struct op_version *before(const struct op_version *v)
{
    size_t n;
    const struct op_version *all = schema_all(&n), *p = v - 1;
    if (v == all || strcmp(p->name, v->name) != 0 || strcmp(p->domain, v->domain) != 0)
        return NULL;
    return p->flags & SF_DEPRECATED ? NULL : p;
}

static int lowest_of(struct look *l, int *lowest)
{
    const struct op_version *v = l->k->ver;
    struct op_schema *newer = l->k->schema;
    *lowest = v->since;
    snprintf(l->why, sizeof l->why, "%s came with %d", v->name, v->since);
    for (const struct op_version *p; (p = before(v)); v = p) {
        struct op_schema *older;
        int rc = schema_parse(l->cx, &l->cx->scratch, p, &older);
        if (rc)
            return rc;
        if (!same_values(l, older, newer) || !carried(l, older, newer) || !left_out(l, older, newer) ||
            !same_meaning(l, newer))
            return OK;
        newer = older;
        *lowest = p->since;
        snprintf(l->why, sizeof l->why, "%s came with %d", p->name, p->since);
    }
    return OK;
}

static int add_row(struct look *l, struct minimum *out, uint32_t item, int lowest)
{
    const char *why = arena_strdup(l->a, l->why);
    if (!why)
        return err_nomem(l->cx);
    out->rows[out->nrows++] = (struct need_row){item, l->k->ver->since, lowest, why};
    int *most = *l->k->domain ? &out->ml : &out->opset;
    *most = lowest > *most ? lowest : *most;
    return OK;
}

/* Nodes in function bodies follow the function's own imports, which re-stamping changes along. */
static int look_at(struct look *l, struct minimum *out, uint32_t item)
{
    const struct kind *k = l->k;
    int lowest;
    bool ours = !*k->domain || strcmp(k->domain, "ai.onnx.ml") == 0;
    if (k->call || !ours)
        return OK;
    if (!k->ver) {
        out->unknown++;
        return OK;
    }
    struct arena_mark mark = arena_mark(&l->cx->scratch);
    int rc = lowest_of(l, &lowest);
    arena_release(&l->cx->scratch, mark);
    return rc ? rc : add_row(l, out, item, lowest);
}

/* ---- IR version ---- */

static void raise_ir(struct minimum *out, int ir, const char *why)
{
    if (ir > out->ir) {
        out->ir = ir;
        out->ir_why = why;
    }
}

static int ir_of_type(int dt)
{
    switch (dt) {
    case DT_FLOAT8E4M3FN:
    case DT_FLOAT8E4M3FNUZ:
    case DT_FLOAT8E5M2:
    case DT_FLOAT8E5M2FNUZ:
        return 9;
    case DT_INT4:
    case DT_UINT4:
        return 10;
    case DT_FLOAT4E2M1:
        return 11;
    case DT_FLOAT8E8M0:
        return 12;
    case DT_INT2:
    case DT_UINT2:
        return 13;
    default:
        return 3;
    }
}

/* What of the file format came when: initializers that are no inputs with 4, functions with 8, small types
 * later. */
static int see_graph(void *user, struct graph *g, int depth)
{
    struct minimum *out = user;
    (void)depth;
    for (size_t i = 0; i < g->ninits; i++) {
        const struct value *v = g->inits[i];
        if (!v->is_input)
            raise_ir(out, 4, "initializers that are no inputs came with 4");
        if (v->init)
            raise_ir(out, ir_of_type(v->init->dt), "an element type of its weights");
    }
    return 0;
}

static void find_ir(const struct survey *s, struct minimum *out)
{
    raise_ir(out, 3, "the oldest");
    graph_walk(s->m->graph, see_graph, out);
    if (s->m->nfuncs)
        raise_ir(out, 8, "functions in the model came with 8");
    for (size_t i = 0; i < s->m->nfuncs; i++)
        if (*s->m->funcs[i]->overload)
            raise_ir(out, 10, "overloaded functions came with 10");
    for (size_t i = 0; i < s->nkinds; i++)
        for (int k = 0; k < s->kinds[i].nin + s->kinds[i].nout; k++)
            raise_ir(out, ir_of_type(s->kinds[i].io[k].dt), "an element type of its values");
}

int minimum_find(struct cx *cx, struct arena *a, const struct facts *f, const struct survey *s,
                 struct minimum *out)
{
    struct look l = {.cx = cx, .a = a, .f = f, .s = s};
    *out = (struct minimum){.rows = arena_array(a, s->nitems + 1, sizeof *out->rows), .ir_why = ""};
    int rc = out->rows ? OK : err_nomem(cx);
    for (size_t i = 0; i < s->nitems && !rc; i++) {
        l.it = &s->items[i];
        l.k = &s->kinds[l.it->kind];
        rc = look_at(&l, out, (uint32_t)i);
    }
    if (rc)
        return rc;
    out->now = (int)graph_opset(s->m->graph, "");
    out->ml_now = (int)graph_opset(s->m->graph, "ai.onnx.ml");
    for (size_t i = 0; i < out->nrows; i++) {
        bool ml = *s->kinds[s->items[out->rows[i].item].kind].domain;
        out->renumbered += out->rows[i].since > (ml ? out->ml : out->opset);
    }
    find_ir(s, out);
    return OK;
}
