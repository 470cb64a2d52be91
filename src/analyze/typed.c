/* One inference of a model, and the constants it may look at. */
#include "analyze/typed.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/small_eval.h"
#include "io/tensor_pb.h"

enum { SMALL_INPUTS = 16, SMALL_DEPTH = 32 };

/* Stands for "nothing declared" while input types are exchanged. */
static const struct type no_type;

/* Whether v is a constant small enough to read. */
static bool readable(const struct value *v)
{
    int64_t n = v->init ? tensor_data_count(v->init) : -1;
    return n >= 0 && n <= CONST_MAX && (size_t)n * dtype_size(v->init->dt) <= CONST_MAX;
}

static const struct tensor *get_const(void *user, const struct value *v);

/* Bytes of a type with exact dims, -1 when they are not exact or too many. */
static int64_t small_bytes(const struct type *t)
{
    int64_t n = t && t->kind == TY_TENSOR && t->rank >= 0 ? (int64_t)dtype_size(t->dt) : -1;
    for (int i = 0; n > 0 && i < t->rank; i++)
        n = t->dims[i].kind == DIM_CONST && t->dims[i].v >= 0 && t->dims[i].v <= CONST_MAX ? n * t->dims[i].v
                                                                                           : -1;
    return n > CONST_MAX ? -1 : n;
}

/* What inference holds of a value inside a loop changes from one look at the body to the next. */
static bool in_loop(const struct graph *g)
{
    for (; g->owner; g = g->owner->graph)
        if (strcmp(g->owner->op_type, "If") != 0)
            return true;
    return false;
}

/* A value that inference follows element by element, when all of them are numbers. */
static bool from_inference(struct typed *t, const struct value *v, const struct type *ty, struct tensor *out)
{
    const struct shape_val *s = t->res.val[v->id];
    int64_t dims[1] = {s ? s->n : 0};
    if (!s || s->rank != ty->rank || !dtype_is_int(ty->dt))
        return false;
    for (int64_t i = 0; i < s->n; i++)
        if (s->d[i].kind != DIM_CONST)
            return false;
    if (tensor_new(t->cx, out, ty->dt, s->rank, dims) != OK) {
        err_clear(t->cx);
        return false;
    }
    for (int64_t i = 0; i < s->n; i++)
        dtype_info(ty->dt)->store_i64((char *)out->data + (size_t)i * dtype_size(ty->dt), s->d[i].v);
    return true;
}

/* A value that a node makes of constants alone. Asked for in the order of the graph, so the depth of the
 * calls is that of one node over values that were asked for already; a limit guards the rest. */
static void compute(struct typed *t, const struct value *v, struct tensor *out)
{
    struct node *n = v->producer;
    const struct type *ty = v->id < t->res.nvalues ? t->res.type[v->id] : NULL;
    if (small_bytes(ty) < 0 || in_loop(v->graph) || from_inference(t, v, ty, out))
        return;
    if (!small_eval_fits(n) || n->nin > SMALL_INPUTS || t->eval_depth >= SMALL_DEPTH)
        return;
    const struct tensor *in[SMALL_INPUTS + 1];
    bool known = true;
    t->eval_depth++;
    for (int i = 0; i < n->nin && known; i++) {
        in[i] = n->in[i] ? get_const(t, n->in[i]) : NULL;
        known = in[i] || !n->in[i];
    }
    t->eval_depth--;
    if (!known)
        return;
    if (!t->kern && (t->kern = mem_zalloc(sizeof *t->kern)))
        kern_init(t->kern, 0);
    struct arena_mark mark = arena_mark(&t->cx->scratch);
    if (t->kern)
        small_eval(t->cx, t->kern, n, in, ty, out);
    arena_release(&t->cx->scratch, mark);
}

static const struct tensor *get_const(void *user, const struct value *v)
{
    struct typed *t = user;
    if (v->id >= t->m->nvalues)
        return NULL;
    struct tensor *k = &t->konst[v->id];
    if (!t->asked[v->id]) {
        t->asked[v->id] = 1;
        /* A constant that cannot be read (its file is missing) is not known; the summary tells about files.
         */
        if (readable(v) && tensor_load(t->cx, t->m, v->init, k) != OK) {
            err_clear(t->cx);
            memset(k, 0, sizeof *k);
        }
        if (v->producer && t->res.type)
            compute(t, v, k);
    }
    return k->kind == RT_TENSOR && k->dt != DT_UNDEFINED ? k : NULL;
}

static int copy_binding(struct cx *cx, struct typed *t, const struct binding *b)
{
    if (!b || !b->n)
        return OK;
    t->binding = *b;
    t->binding.cap = b->n;
    t->binding.e = arena_dup(&t->arena, b->e, b->n * sizeof *b->e);
    return t->binding.e ? OK : err_nomem(cx);
}

/* Makes the message of cx one of ours. */
static int keep_failure(struct cx *cx, struct typed *t, int rc)
{
    char text[1024];
    if (rc == E_NOMEM || rc == E_TIMEOUT)
        return rc;
    err_format(&cx->err, text, sizeof text);
    t->failed = rc;
    t->failure = arena_strdup(&t->arena, text);
    err_clear(cx);
    return t->failure ? OK : err_nomem(cx);
}

/* Inference warns about declarations that are wrong; a model is inferred several times here. */
static void keep_clash(void *user, enum log_level level, const char *line)
{
    struct typed *t = user;
    if (level <= LOG_WARN && !t->clash)
        t->clash = arena_strdup(&t->arena, line);
}

static int infer_all(struct cx *cx, struct typed *t)
{
    struct log log = cx->log;
    t->cx = cx;
    cx->log = (struct log){keep_clash, t, LOG_WARN};
    int rc = infer_model(cx, t->m, &t->env, &t->arena, &t->res);
    cx->log = log;
    if (rc)
        rc = keep_failure(cx, t, rc);
    if (!rc && !t->res.type) {
        t->res.nvalues = t->m->nvalues;
        t->res.type = arena_array(&t->arena, (size_t)t->m->nvalues + 1, sizeof *t->res.type);
        t->res.val = arena_array(&t->arena, (size_t)t->m->nvalues + 1, sizeof *t->res.val);
        if (!t->res.type || !t->res.val)
            rc = err_nomem(cx);
    }
    return rc;
}

/* The driver reads the declared types of inputs: they are exchanged with those of swap, and back by a second
 * call. */
static void swap_inputs(struct model *m, const struct type **swap)
{
    for (size_t i = 0; swap && i < m->graph->nins; i++) {
        const struct type *t = m->graph->ins[i]->declared;
        if (!swap[i])
            continue;
        m->graph->ins[i]->declared = swap[i];
        swap[i] = t ? t : &no_type;
        if (m->graph->ins[i]->declared == &no_type)
            m->graph->ins[i]->declared = NULL;
    }
}

static int infer_with(struct cx *cx, struct typed *t, const struct type *const *ins)
{
    size_t n = t->m->graph->nins;
    const struct type **swap = ins ? arena_array(&t->arena, n + 1, sizeof *swap) : NULL;
    if (ins && !swap)
        return err_nomem(cx);
    if (ins)
        memcpy(swap, ins, n * sizeof *swap);
    swap_inputs(t->m, swap);
    int rc = infer_all(cx, t);
    swap_inputs(t->m, swap);
    return rc;
}

/* env: what differs from the ordinary. */
static int new_with(struct cx *cx, struct model *m, const struct binding *b, const struct type *const *ins,
                    struct infer_env env, struct typed **out)
{
    struct typed *t = mem_zalloc(sizeof *t);
    if (!t)
        return err_nomem(cx);
    t->m = m;
    int rc = copy_binding(cx, t, b);
    if (!rc) {
        t->konst = mem_zalloc(((size_t)m->nvalues + 1) * sizeof *t->konst);
        t->asked = mem_zalloc((size_t)m->nvalues + 1);
        t->env = env;
        t->env.konst = get_const;
        t->env.user = t;
        t->env.binding = &t->binding;
        rc = t->konst && t->asked ? infer_with(cx, t, ins) : err_nomem(cx);
    }
    if (rc) {
        typed_free(t);
        return rc;
    }
    *out = t;
    return OK;
}

int typed_new(struct cx *cx, struct model *m, const struct binding *b, const struct type *const *ins,
              struct typed **out)
{
    return new_with(cx, m, b, ins, (struct infer_env){0}, out);
}

int typed_check(struct cx *cx, struct model *m,
                void (*problem)(void *user, const struct node *n, const struct value *v, int code,
                                const char *msg),
                void *user, struct typed **out)
{
    struct infer_env env = {.keep_going = true, .problem = problem, .problem_user = user};
    return new_with(cx, m, NULL, NULL, env, out);
}

void typed_free(struct typed *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; t->konst && i < t->m->nvalues; i++)
        if (t->asked && t->asked[i])
            tensor_drop(&t->konst[i]);
    free(t->kern);
    free(t->konst);
    free(t->asked);
    arena_free(&t->arena);
    free(t);
}

const struct type *typed_value(const struct typed *t, const struct value *v)
{
    const struct type *known = v->id < t->res.nvalues ? t->res.type[v->id] : NULL;
    return known ? known : v->type ? v->type : v->declared;
}

int typed_enter_call(struct cx *cx, struct typed *t, const struct node *call)
{
    const struct graph *body = call->func->body;
    const struct type **ins = arena_array(&t->arena, body->nins + 1, sizeof *ins);
    const struct shape_val **vals = arena_array(&t->arena, body->nins + 1, sizeof *vals);
    if (!ins || !vals)
        return err_nomem(cx);
    for (size_t i = 0; i < body->nins && i < (size_t)call->nin; i++) {
        const struct value *v = call->in[i];
        ins[i] = v ? typed_value(t, v) : NULL;
        vals[i] = v && v->id < t->res.nvalues ? t->res.val[v->id] : NULL;
    }
    t->cx = cx;
    int rc = infer_graph(cx, call->func->body, &t->env, ins, vals, (int)body->nins, &t->res);
    if (rc == E_NOMEM || rc == E_TIMEOUT)
        return rc;
    err_clear(cx);
    return OK;
}

struct dim type_elements(struct symtab *syms, const struct type *t)
{
    if (!t || t->kind != TY_TENSOR || t->rank < 0)
        return dim_unknown();
    struct dim n = dim_const(1);
    for (int i = 0; i < t->rank; i++)
        n = dim_mul(syms, n, t->dims[i]);
    return n;
}

int64_t typed_bytes(const struct typed *t, const struct value *v)
{
    const struct type *ty = typed_value(t, v);
    int64_t bytes;
    struct dim n = dim_eval(t->m->syms, &t->binding, type_elements(t->m->syms, ty));
    if (n.kind != DIM_CONST || n.v < 0 || __builtin_mul_overflow(n.v, (int64_t)dtype_size(ty->dt), &bytes))
        return -1;
    return bytes;
}

int bind_rest(struct cx *cx, struct model *m, struct arena *a, struct binding *b, int64_t v)
{
    for (size_t i = 0; i < m->graph->nins; i++) {
        const struct type *t = m->graph->ins[i]->declared;
        for (int k = 0; t && t->kind == TY_TENSOR && k < t->rank; k++) {
            const char *names[16];
            size_t n = dim_symbols(t->dims[k], names, 16);
            for (size_t j = 0; j < n && j < 16; j++) {
                struct dim s = dim_symbol(m->syms, names[j]);
                if (dim_eval(m->syms, b, s).kind != DIM_CONST && !binding_set(m->syms, a, b, s, v))
                    return err_nomem(cx);
            }
        }
    }
    return OK;
}
