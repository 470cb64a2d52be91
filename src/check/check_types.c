/* What inference finds wrong, and the types of a node's inputs and outputs against its operator's. */
#include "check/checker.h"

#include <stdio.h>
#include <string.h>

#include "analyze/typed.h"
#include "base/str.h"

struct typing {
    struct checker *c;
    const struct typed *t;
    struct smap seen; /* findings made: bodies are inferred several times */
};

/* ---- where ---- */

static const char *graph_path(struct checker *c, const struct graph *g)
{
    const struct node *o = g->owner;
    const char *attr = "";
    if (!o)
        return g->func ? ck_print(c, "function '%.200s'", g->func->name) : "main";
    for (int i = 0; i < o->nattr; i++) {
        const struct attr *a = &o->attrs[i];
        bool has = a->kind == AT_GRAPH && !a->ref && a->u.g == g;
        for (size_t k = 0; a->kind == AT_GRAPHS && !a->ref && k < a->n; k++)
            has |= a->u.graphs[k] == g;
        if (has)
            attr = a->name;
    }
    const char *label = *o->name ? o->name : o->nout && o->out[0] ? o->out[0]->name : "";
    return ck_print(c, "%s/%.60s '%.60s'.%.60s", graph_path(c, o->graph), o->op_type, label, attr);
}

static const char *node_text(struct checker *c, const struct node *n)
{
    if (*n->name)
        return ck_print(c, "node '%.200s' (%.100s)", n->name, n->op_type);
    return ck_print(c, "node %.100s that makes '%.200s'", n->op_type,
                    n->nout && n->out[0] ? n->out[0]->name : "");
}

__attribute__((format(printf, 4, 5))) static void add(struct typing *y, enum finding_code code,
                                                      const struct node *n, const char *fmt, ...)
{
    struct checker *c = y->c;
    char raw[1000], safe[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    const char *key = ck_print(c, "%d %p %s", (int)code, (const void *)n, code == FC_NODE_WRONG ? "" : raw);
    if (c->rc || smap_get(&y->seen, key))
        return;
    if (!smap_put(&y->seen, key, c)) {
        c->rc = err_nomem(c->cx);
        return;
    }
    str_escape(safe, sizeof safe, raw, strlen(raw));
    ck_put(c, code, n ? n->loc : UINT64_MAX, n ? graph_path(c, n->graph) : "main", n ? node_text(c, n) : "",
           ck_print(c, "%s", safe));
}

/* ---- problems of inference ---- */

static void on_problem(void *user, const struct node *n, const struct value *v, int code, const char *msg)
{
    struct typing *y = user;
    if (v)
        add(y, FC_DECLARED_WRONG, v->producer ? v->producer : v->graph->owner, "%s", msg);
    else
        add(y, code == E_UNSUPPORTED ? FC_UNSUPPORTED : FC_NODE_WRONG, n, "%s", msg);
}

/* ---- types against the operator ---- */

/* "float", "seq(float)", "map(int64,float)"; "" when not all of it is known. */
static const char *spell(const struct type *t, char *buf, size_t size)
{
    char inner[200];
    *buf = 0;
    if (!t)
        return buf;
    if (t->kind == TY_TENSOR && t->dt) {
        snprintf(buf, size, "%s", dtype_name(t->dt));
    } else if (t->kind == TY_SEQ || t->kind == TY_OPT) {
        if (*spell(t->elem, inner, sizeof inner))
            snprintf(buf, size, "%s(%s)", t->kind == TY_SEQ ? "seq" : "optional", inner);
    } else if (t->kind == TY_MAP && t->dt) {
        if (*spell(t->elem, inner, sizeof inner))
            snprintf(buf, size, "map(%s,%s)", dtype_name(t->dt), inner);
    }
    return buf;
}

/* The type that each of a node's type variables was seen with first. */
struct bound {
    const char *name, *first;
    char type[240];
};
struct bounds {
    struct bound v[32];
    int n;
};

static void bind(struct typing *y, const struct node *n, struct bounds *b, const struct schema_io *io,
                 const char *what, const char *type)
{
    int i = 0;
    while (i < b->n && strcmp(b->v[i].name, io->type) != 0)
        i++;
    if (i < b->n && strcmp(b->v[i].type, type) != 0) {
        add(y, FC_TYPES_APART, n, "%s '%s' is %s, but '%s' is %s; %s-%d wants one type", what, io->name, type,
            b->v[i].first, b->v[i].type, n->ver->name, n->ver->since);
    } else if (i == b->n && i < 32) {
        b->v[i] = (struct bound){.name = io->type, .first = io->name};
        snprintf(b->v[b->n++].type, sizeof b->v[0].type, "%s", type);
    }
}

static void look_port(struct typing *y, const struct node *n, const struct op_schema *s, struct bounds *b,
                      const struct value *v, const struct schema_io *io, bool input)
{
    char type[240], allowed[400];
    const char *what = input ? "input" : "output";
    if (!v || !io || !*spell(typed_value(y->t, v), type, sizeof type))
        return;
    if (!schema_type_allowed(n->ver, io->type, type)) {
        for (int i = 0; i < b->n; i++)
            if (strcmp(b->v[i].name, io->type) == 0 && strcmp(b->v[i].type, type) == 0)
                return; /* told already */
        bind(y, n, b, io, what, type);
        add(y, FC_TYPE_NOT_ALLOWED, n, "%s '%s' is %s, %s-%d has %s there", what, io->name, type,
            n->ver->name, n->ver->since, schema_types_text(n->ver, io->type, allowed, sizeof allowed));
        return;
    }
    bool variable = false;
    for (int i = 0; i < s->nconstraint; i++)
        variable |= strcmp(s->constraint[i].name, io->type) == 0;
    if (variable && !(io->option == IO_VARIADIC && io->heterogeneous))
        bind(y, n, b, io, what, type);
}

static const struct {
    const char *op;
    int input, rank;
} ranks[] = {
#define RK(op, input, rank) {op, input, rank},
#include "rank.def"
#undef RK
};

static void look_ranks(struct typing *y, const struct node *n)
{
    char name[80];
    for (size_t r = 0; r < sizeof ranks / sizeof *ranks; r++) {
        int i = ranks[r].input;
        const struct type *t = strcmp(n->op_type, ranks[r].op) == 0 && i < n->nin && n->in[i]
                                   ? typed_value(y->t, n->in[i])
                                   : NULL;
        if (t && t->kind == TY_TENSOR && t->rank >= 0 && t->rank != ranks[r].rank)
            add(y, FC_RANK, n, "input '%s' has rank %d, %s-%d wants %d",
                schema_input_name(n->ver, i, name, sizeof name), t->rank, n->ver->name, n->ver->since,
                ranks[r].rank);
    }
}

static void look_node(struct typing *y, const struct node *n)
{
    struct checker *c = y->c;
    struct arena_mark mark = arena_mark(&c->cx->scratch);
    struct op_schema *s;
    struct bounds b;
    b.n = 0;
    c->rc = schema_parse(c->cx, &c->cx->scratch, n->ver, &s);
    for (int i = 0; i < n->nin && !c->rc; i++)
        look_port(y, n, s, &b, n->in[i], schema_input(s, i), true);
    for (int i = 0; i < n->nout && !c->rc; i++)
        look_port(y, n, s, &b, n->out[i], schema_output(s, i), false);
    arena_release(&c->cx->scratch, mark);
}

/* ---- bodies ---- */

static const struct graph *body_of(const struct node *n, const char *name)
{
    const struct attr *a = node_attr(n, name);
    return a && a->kind == AT_GRAPH && !a->ref ? a->u.g : NULL;
}

/* Tensors alone: an optional may become what it holds. */
static void look_same(struct typing *y, const struct node *n, const struct value *a, const char *what_a,
                      const struct value *b, const char *what_b, size_t i)
{
    char ta[240], tb[240];
    const struct type *x = a ? typed_value(y->t, a) : NULL, *z = b ? typed_value(y->t, b) : NULL;
    if (x && z && x->kind == TY_TENSOR && z->kind == TY_TENSOR && *spell(x, ta, sizeof ta) &&
        *spell(z, tb, sizeof tb) && strcmp(ta, tb) != 0)
        add(y, FC_TYPES_APART, n, "%zu: %s '%s' is %s, %s '%s' is %s", i, what_a, a->name, ta, what_b,
            b->name, tb);
}

static void look_bodies(struct typing *y, const struct node *n)
{
    const struct graph *then = body_of(n, "then_branch"), *other = body_of(n, "else_branch");
    const struct graph *body = strcmp(n->op_type, "Loop") == 0 ? body_of(n, "body") : NULL;
    for (size_t i = 0; then && other && i < then->nouts && i < other->nouts; i++)
        look_same(y, n, then->outs[i], "then_branch gives", other->outs[i], "else_branch gives", i);
    for (size_t i = 2; body && i < (size_t)n->nin && i - 1 < body->nouts; i++)
        look_same(y, n, n->in[i], "the carried value begins as", body->outs[i - 1], "the body gives", i);
}

static int look_graph(void *user, struct graph *g, int depth)
{
    struct typing *y = user;
    (void)depth;
    for (const struct node *n = g->first; n && !y->c->rc; n = n->next)
        if (n->ver && !n->func && !(n->ver->flags & SF_DEPRECATED)) {
            look_node(y, n);
            if (!*n->domain) {
                look_ranks(y, n);
                look_bodies(y, n);
            }
        }
    return y->c->rc;
}

void ck_types(struct checker *c)
{
    struct typing y = {.c = c, .seen = {.arena = c->a}};
    struct typed *t;
    int rc = typed_check(c->cx, c->m, on_problem, &y, &t);
    if (rc) {
        c->rc = rc;
        return;
    }
    y.t = t;
    if (t->failure)
        add(&y, FC_NODE_WRONG, NULL, "%s", t->failure);
    graph_walk(c->m->graph, look_graph, &y);
    for (size_t i = 0; i < c->m->nfuncs && !c->rc; i++)
        graph_walk(c->m->funcs[i]->body, look_graph, &y);
    typed_free(t);
}
