/* Plans: all shapes of a program for one binding of its input shapes, made once and kept. */
#include "exec/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "exec/bind.h"

static size_t key_part(int64_t *k, const struct tensor *t)
{
    size_t n = 0;
    k[n++] = (int64_t)t->kind << 32 | (int64_t)t->dt;
    k[n++] = t->rank;
    for (int i = 0; i < t->rank; i++)
        k[n++] = t->dims[i];
    return n;
}

/* What the plan depends on: types and shapes of inputs and captured values, and whether somebody looks at
 * steps after they ran. */
static size_t make_key(const struct prog *p, const struct tensor *ins, const struct tensor *const *caps)
{
    int64_t *k = p->key;
    size_t n = 0;
    k[n++] = p->ex->hooks.after != NULL;
    for (uint32_t i = 0; i < p->nins; i++)
        n += key_part(k + n, &ins[i]);
    for (uint32_t i = 0; i < p->ncaps; i++)
        n += key_part(k + n, caps[i]);
    return n;
}

void plan_free(struct exec *ex, struct plan *pl)
{
    if (pl->block)
        exec_account(ex->cx, ex, &ex->block_bytes, -(int64_t)pl->block_size);
    for (uint32_t i = 0; i < pl->nslots; i++)
        if (pl->own[i])
            tensor_drop(&pl->t[i]);
    blob_unref(pl->block);
    struct arena a = pl->arena;
    arena_free(&a);
}

static const struct tensor *const_of(void *user, const struct value *v)
{
    struct exec *ex = user;
    return consts_get(ex->cx, &ex->consts, v);
}

/* Types of the graph's formal inputs: those fed, and constants among them. */
static int formal_types(struct cx *cx, struct prog *p, const struct tensor *ins, const struct type **types)
{
    struct graph *g = p->graph;
    uint32_t k = 0;
    for (size_t i = 0; i < g->nins; i++) {
        if (!value_is_const(g->ins[i])) {
            types[i] = type_of_tensor(&cx->scratch, &ins[k++]);
            if (!types[i])
                return err_nomem(cx);
            continue;
        }
        const struct tensor *t = consts_get(cx, &p->ex->consts, g->ins[i]);
        types[i] = t ? type_of_tensor(&cx->scratch, t) : NULL;
        if (!types[i])
            return cx->err.code ? cx->err.code : err_nomem(cx);
    }
    return OK;
}

static int infer_shapes(struct cx *cx, struct prog *p, const struct tensor *ins,
                        const struct tensor *const *caps, struct inferred *res)
{
    struct exec *ex = p->ex;
    *res = (struct inferred){.arena = &cx->scratch, .nvalues = ex->m->nvalues};
    res->type = arena_array(&cx->scratch, res->nvalues + 1, sizeof *res->type);
    res->val = arena_array(&cx->scratch, res->nvalues + 1, sizeof *res->val);
    const struct type **types = arena_array(&cx->scratch, p->graph->nins + 1, sizeof *types);
    if (!res->type || !res->val || !types)
        return err_nomem(cx);
    for (uint32_t i = 0; i < p->ncaps; i++) {
        struct type *t = type_of_tensor(&cx->scratch, caps[i]);
        if (!t)
            return err_nomem(cx);
        res->type[p->slots[p->caps[i]].value->id] = t;
    }
    int rc = formal_types(cx, p, ins, types);
    if (rc)
        return rc;
    struct infer_env env = {.konst = const_of, .user = ex, .ignore_declared = true};
    return infer_graph(cx, p->graph, &env, types, NULL, (int)p->graph->nins, res);
}

/* Sets the tensor of a slot from an inferred type; false when the shape is not fully known. */
static bool known_shape(struct cx *cx, const struct type *ty, struct tensor *t)
{
    int64_t dims[TENSOR_MAX_RANK];
    if (!ty || ty->kind != TY_TENSOR || ty->dt == DT_UNDEFINED || ty->rank < 0 || ty->rank > TENSOR_MAX_RANK)
        return false;
    for (int i = 0; i < ty->rank; i++) {
        if (ty->dims[i].kind != DIM_CONST)
            return false;
        dims[i] = ty->dims[i].v;
    }
    return tensor_set_shape(cx, t, ty->dt, ty->rank, dims) == OK;
}

/* A value of the block: a plain tensor of a known shape that its operator does not size itself. Results of
 * bodies must outlive the body's plan, so they are allocated apart. Strings have an arena of their own but
 * elements fit. */
static bool plannable(const struct prog *p, const struct slot *s)
{
    return s->kind == SLOT_TEMP && !(s->value->producer->op->flags & OP_DYNAMIC) &&
           !(p->outer && s->last_use == p->nsteps);
}

static int fill_shapes(struct cx *cx, struct prog *p, struct plan *pl, const struct inferred *res,
                       const struct tensor *ins, const struct tensor *const *caps)
{
    for (uint32_t i = 0; i < p->nslots; i++) {
        struct slot *s = &p->slots[i];
        pl->own[i] = s->kind == SLOT_TEMP;
        if (plannable(p, s))
            pl->known[i] = known_shape(cx, res->type[s->value->id], &pl->t[i]);
        err_clear(cx);
    }
    for (uint32_t i = 0; i < p->nins; i++) {
        pl->t[p->ins[i]] = ins[i];
        pl->known[p->ins[i]] = ins[i].kind == RT_TENSOR;
    }
    for (uint32_t i = 0; i < p->ncaps; i++) {
        pl->t[p->caps[i]] = *caps[i];
        pl->known[p->caps[i]] = caps[i]->kind == RT_TENSOR;
    }
    return OK;
}

/* Constants that some step reads as they are (not prepacked) are loaded and stay. */
static int fill_consts(struct cx *cx, struct prog *p, struct plan *pl)
{
    uint8_t *need = arena_array(&cx->scratch, p->nslots + 1, 1);
    if (!need)
        return err_nomem(cx);
    for (uint32_t i = 0; i < p->nsteps; i++)
        for (int k = 0; k < p->steps[i].nin; k++)
            if (p->steps[i].in[k] != SLOT_NONE && !(k < 64 && p->steps[i].bound.consumed >> k & 1))
                need[p->steps[i].in[k]] = 1;
    for (uint32_t i = 0; i < p->nouts; i++)
        need[p->outs[i]] = 1;
    for (uint32_t i = 0; i < p->nslots; i++) {
        if (p->slots[i].kind != SLOT_CONST)
            continue;
        const struct value *v = p->slots[i].value;
        pl->known[i] = 1;
        if (!need[i]) { /* shape only: the step has the packed form */
            int rank = v->init ? v->init->rank : v->sparse->rank;
            int rc = tensor_set_shape(cx, &pl->t[i], v->init ? v->init->dt : v->sparse->values.dt, rank,
                                      v->init ? v->init->dims : v->sparse->dims);
            if (rc)
                return rc;
            continue;
        }
        const struct tensor *t = consts_get(cx, &p->ex->consts, v);
        if (!t)
            return cx->err.code;
        pl->t[i] = *t;
        pl->t[i].owner = NULL; /* borrowed: the table of constants holds it */
    }
    return OK;
}

static bool all_known(const struct plan *pl, const uint32_t *slots, int n)
{
    for (int i = 0; i < n; i++)
        if (slots[i] != SLOT_NONE && !pl->known[slots[i]])
            return false;
    return true;
}

/* Pointer arrays of every step, so that a steady run sets up nothing. */
static int fill_steps(struct cx *cx, struct prog *p, struct plan *pl)
{
    for (uint32_t i = 0; i < p->nsteps; i++) {
        const struct prog_step *s = &p->steps[i];
        pl->in[i] = arena_array(&pl->arena, (size_t)s->nin + 1, sizeof **pl->in);
        pl->out[i] = arena_array(&pl->arena, (size_t)s->nout + 1, sizeof **pl->out);
        if (!pl->in[i] || !pl->out[i])
            return err_nomem(cx);
        for (int k = 0; k < s->nin; k++)
            pl->in[i][k] = s->in[k] == SLOT_NONE ? NULL : &pl->t[s->in[k]];
        for (int o = 0; o < s->nout; o++)
            pl->out[i][o] = s->out[o] == SLOT_NONE ? NULL : &pl->t[s->out[o]];
        pl->ready[i] = all_known(pl, s->in, s->nin) && all_known(pl, s->out, s->nout);
    }
    return OK;
}

static int set_addresses(struct cx *cx, struct prog *p, struct plan *pl)
{
    int rc = exec_account(cx, p->ex, &p->ex->block_bytes, (int64_t)pl->block_size);
    if (rc)
        return rc;
    pl->block = blob_new(pl->block_size ? pl->block_size : 64);
    if (!pl->block) {
        p->ex->block_bytes -= pl->block_size;
        return err_nomem(cx);
    }
    for (uint32_t i = 0; i < p->nslots; i++) {
        uint32_t r = i;
        while (pl->root[r] != r)
            r = pl->root[r];
        if (p->slots[i].kind != SLOT_TEMP || !pl->known[i])
            continue;
        if (pl->offset[r] != UINT64_MAX)
            pl->t[i].data = (char *)pl->block->data + pl->offset[r];
        else if (p->slots[r].kind == SLOT_CONST)
            pl->t[i].data = pl->t[r].data;
        else
            pl->alias[pl->nalias++] = i; /* a view of an input: its address comes with the run */
        pl->root[i] = r;
    }
    return OK;
}

static int plan_fill(struct cx *cx, struct prog *p, struct plan *pl, const struct tensor *ins,
                     const struct tensor *const *caps)
{
    struct inferred res;
    int rc = infer_shapes(cx, p, ins, caps, &res);
    if (!rc)
        rc = fill_shapes(cx, p, pl, &res, ins, caps);
    if (!rc)
        rc = fill_consts(cx, p, pl);
    if (!rc)
        rc = plan_memory(cx, p, pl);
    if (!rc)
        rc = fill_steps(cx, p, pl);
    return rc ? rc : set_addresses(cx, p, pl);
}

static struct plan *plan_alloc(struct cx *cx, struct prog *p, const int64_t *key, size_t nkey)
{
    struct arena a = {0};
    struct plan *pl = arena_zalloc(&a, sizeof *pl);
    if (!pl)
        goto nomem;
    pl->nslots = p->nslots;
    pl->nkey = nkey;
    size_t n = p->nslots + 1;
    pl->key = arena_dup(&a, key, nkey * sizeof *key);
    pl->t = arena_array(&a, n, sizeof *pl->t);
    pl->known = arena_array(&a, n, 1);
    pl->own = arena_array(&a, n, 1);
    pl->root = arena_array(&a, n, sizeof *pl->root);
    pl->alias = arena_array(&a, n, sizeof *pl->alias);
    pl->offset = arena_array(&a, n, sizeof *pl->offset);
    pl->in = arena_array(&a, p->nsteps + 1, sizeof *pl->in);
    pl->out = arena_array(&a, p->nsteps + 1, sizeof *pl->out);
    pl->ready = arena_array(&a, p->nsteps + 1, 1);
    pl->arena = a;
    if (pl->key && pl->t && pl->known && pl->own && pl->root && pl->alias && pl->offset && pl->in &&
        pl->out && pl->ready)
        return pl;
nomem:
    arena_free(&a);
    err_nomem(cx);
    return NULL;
}

/* An empty place in the cache, or that of the plan used longest ago. */
static struct plan **cache_place(struct prog *p)
{
    struct plan **best = &p->plans[0];
    for (int i = 0; i < PLAN_CACHE; i++) {
        if (!p->plans[i])
            return &p->plans[i];
        if (p->plans[i]->used < (*best)->used)
            best = &p->plans[i];
    }
    return best;
}

int plan_get(struct cx *cx, struct prog *p, const struct tensor *ins, const struct tensor *const *caps,
             struct plan **out)
{
    struct arena_mark m = arena_mark(&cx->scratch);
    size_t nkey = make_key(p, ins, caps);
    int rc = OK;
    *out = NULL;
    for (int i = 0; i < PLAN_CACHE && !rc && !*out; i++)
        if (p->plans[i] && p->plans[i]->nkey == nkey &&
            !memcmp(p->plans[i]->key, p->key, nkey * sizeof *p->key))
            *out = p->plans[i];
    if (!rc && !*out) {
        struct plan *pl = plan_alloc(cx, p, p->key, nkey);
        rc = pl ? plan_fill(cx, p, pl, ins, caps) : cx->err.code;
        if (rc && pl) {
            plan_free(p->ex, pl);
        } else if (!rc) {
            struct plan **place = cache_place(p);
            if (*place)
                plan_free(p->ex, *place);
            *place = *out = pl;
        }
    }
    if (*out)
        (*out)->used = ++p->clock;
    arena_release(&cx->scratch, m);
    return rc;
}
