/* Programs: the nodes of one graph as bound steps over numbered slots, bodies of control flow included. */
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "exec/bind.h"
#include "exec/plan.h"

/* Value id -> slot, open addressing. */
struct idmap {
    uint32_t *key, *val; /* key: id + 1; 0 is empty */
    uint32_t n, cap;
};

static uint32_t *idmap_at(const struct idmap *m, uint32_t id)
{
    uint32_t i = (id * 2654435761u) & (m->cap - 1);
    while (m->key[i] && m->key[i] != id + 1)
        i = (i + 1) & (m->cap - 1);
    return &m->key[i];
}

static bool idmap_grow(struct idmap *m)
{
    struct idmap old = *m;
    m->cap = old.cap ? old.cap * 2 : 64;
    m->key = mem_zalloc(m->cap * sizeof *m->key);
    m->val = mem_zalloc(m->cap * sizeof *m->val);
    if (!m->key || !m->val) {
        free(m->key);
        free(m->val);
        *m = old;
        return false;
    }
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.key[i]) {
            uint32_t *k = idmap_at(m, old.key[i] - 1);
            *k = old.key[i];
            m->val[k - m->key] = old.val[i];
        }
    free(old.key);
    free(old.val);
    return true;
}

static uint32_t idmap_get(const struct idmap *m, uint32_t id)
{
    if (!m->cap)
        return SLOT_NONE;
    uint32_t *k = idmap_at(m, id);
    return *k ? m->val[k - m->key] : SLOT_NONE;
}

static bool idmap_put(struct idmap *m, uint32_t id, uint32_t slot)
{
    if (m->n * 2 >= m->cap && !idmap_grow(m))
        return false;
    uint32_t *k = idmap_at(m, id);
    m->n += *k == 0;
    *k = id + 1;
    m->val[k - m->key] = slot;
    return true;
}

/* One program while it is built. */
struct build {
    struct cx *cx;
    struct exec *ex;
    struct prog *p;
    struct idmap map;
    size_t cap_slots, cap_caps;
};

static struct slot *add_slot(struct build *b, struct value *v, enum slot_kind kind, uint32_t *out)
{
    struct prog *p = b->p;
    struct slot *s = arena_grow(&b->ex->arena, p->slots, p->nslots, &b->cap_slots, sizeof *s);
    if (!s || !idmap_put(&b->map, v->id, p->nslots)) {
        err_nomem(b->cx);
        return NULL;
    }
    p->slots = s;
    *out = p->nslots;
    s[p->nslots] = (struct slot){.value = v, .kind = kind};
    return &s[p->nslots++];
}

/* The slot of a value that a step reads; a value of a graph around this one becomes a capture. */
static int slot_for(struct build *b, struct value *v, uint32_t *out)
{
    *out = idmap_get(&b->map, v->id);
    if (*out != SLOT_NONE)
        return OK;
    enum slot_kind kind = value_is_const(v)         ? SLOT_CONST
                          : v->graph != b->p->graph ? SLOT_CAPTURE
                          : v->producer             ? SLOT_TEMP
                                                    : SLOT_INPUT;
    if (kind == SLOT_CAPTURE && !b->p->outer)
        return err_set(b->cx, E_INTERNAL, "value '%s' is not visible in graph '%s'", v->name,
                       b->p->graph->name);
    return add_slot(b, v, kind, out) ? OK : b->cx->err.code;
}

static int add_io(struct build *b)
{
    struct prog *p = b->p;
    struct graph *g = p->graph;
    p->ins = arena_array(&b->ex->arena, g->nins + 1, sizeof *p->ins);
    p->outs = arena_array(&b->ex->arena, g->nouts + 1, sizeof *p->outs);
    if (!p->ins || !p->outs)
        return err_nomem(b->cx);
    int rc = OK;
    for (size_t i = 0; i < g->nins && !rc; i++)
        if (!value_is_const(g->ins[i]))
            rc = slot_for(b, g->ins[i], &p->ins[p->nins++]);
    return rc;
}

static int add_outs(struct build *b)
{
    struct prog *p = b->p;
    for (size_t i = 0; i < p->graph->nouts; i++) {
        int rc = slot_for(b, p->graph->outs[i], &p->outs[p->nouts]);
        if (rc)
            return rc;
        p->slots[p->outs[p->nouts++]].last_use = p->nsteps;
    }
    return OK;
}

static struct prog *prog_build(struct cx *cx, struct exec *ex, struct graph *g, struct prog *outer);

static int add_caps(struct build *b, struct prog_step *s, const struct prog *body, size_t *cap)
{
    for (uint32_t i = 0; i < body->ncaps; i++) {
        uint32_t slot;
        int rc = slot_for(b, body->slots[body->caps[i]].value, &slot);
        if (rc)
            return rc;
        body->caps_outer[i] = slot;
        uint32_t *c = arena_grow(&b->ex->arena, s->cap, (size_t)s->ncap, cap, sizeof *c);
        if (!c)
            return err_nomem(b->cx);
        s->cap = c;
        s->cap[s->ncap++] = slot;
    }
    return OK;
}

static int build_bodies(struct build *b, struct prog_step *s)
{
    size_t cap = 0;
    for (int i = 0; i < s->node->nattr; i++) {
        const struct attr *a = &s->node->attrs[i];
        size_t n = a->kind == AT_GRAPH ? 1 : a->kind == AT_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < n; k++) {
            struct prog *body =
                prog_build(b->cx, b->ex, n == 1 && a->kind == AT_GRAPH ? a->u.g : a->u.graphs[k], b->p);
            int rc = body ? add_caps(b, s, body, &cap) : b->cx->err.code;
            if (rc)
                return rc;
        }
    }
    return OK;
}

/* Slots of the step's inputs, outputs and of what its bodies capture. */
static int add_step(struct build *b, struct node *n, struct prog_step *s)
{
    s->node = n;
    s->provider = b->ex->placed[n->id];
    s->nin = n->nin;
    s->nout = n->nout;
    s->in = arena_array(&b->ex->arena, (size_t)n->nin + 1, sizeof *s->in);
    s->out = arena_array(&b->ex->arena, (size_t)n->nout + 1, sizeof *s->out);
    if (!s->in || !s->out)
        return err_nomem(b->cx);
    int rc = OK;
    for (int i = 0; i < n->nin && !rc; i++)
        if (n->in[i])
            rc = slot_for(b, n->in[i], &s->in[i]);
        else
            s->in[i] = SLOT_NONE;
    if (!rc && n->op->flags & OP_SUBGRAPH)
        rc = build_bodies(b, s);
    for (int o = 0; o < n->nout && !rc; o++)
        if (n->out[o])
            rc = slot_for(b, n->out[o], &s->out[o]);
        else
            s->out[o] = SLOT_NONE;
    return rc;
}

static void mark_uses(struct build *b, uint32_t i)
{
    struct prog *p = b->p;
    struct prog_step *s = &p->steps[i];
    for (int k = 0; k < s->nin; k++)
        if (s->in[k] != SLOT_NONE)
            p->slots[s->in[k]].last_use = i;
    for (int k = 0; k < s->ncap; k++)
        p->slots[s->cap[k]].last_use = i;
    for (int o = 0; o < s->nout; o++)
        if (s->out[o] != SLOT_NONE)
            p->slots[s->out[o]].def = p->slots[s->out[o]].last_use = i;
}

/* Lists, for each step, the temporaries that nothing needs after it. */
static int list_drops(struct build *b)
{
    struct prog *p = b->p;
    for (uint32_t k = 0; k < p->nslots; k++)
        if (p->slots[k].kind == SLOT_TEMP && p->slots[k].last_use < p->nsteps)
            p->steps[p->slots[k].last_use].ndrop++;
    for (uint32_t i = 0; i < p->nsteps; i++) {
        struct prog_step *s = &p->steps[i];
        s->drop = arena_array(&b->ex->arena, s->ndrop + 1, sizeof *s->drop);
        if (!s->drop)
            return err_nomem(b->cx);
        s->ndrop = 0;
    }
    for (uint32_t k = 0; k < p->nslots; k++)
        if (p->slots[k].kind == SLOT_TEMP && p->slots[k].last_use < p->nsteps) {
            struct prog_step *s = &p->steps[p->slots[k].last_use];
            s->drop[s->ndrop++] = k;
        }
    return OK;
}

static int list_caps(struct build *b)
{
    struct prog *p = b->p;
    p->caps = arena_array(&b->ex->arena, p->nslots + 1, sizeof *p->caps);
    p->caps_outer = arena_array(&b->ex->arena, p->nslots + 1, sizeof *p->caps_outer);
    if (!p->caps || !p->caps_outer)
        return err_nomem(b->cx);
    for (uint32_t k = 0; k < p->nslots; k++)
        if (p->slots[k].kind == SLOT_CAPTURE)
            p->caps[p->ncaps++] = k;
    return OK;
}

/* One for hooks, and for each value that comes in its type, rank and dims. */
static int make_key_room(struct build *b)
{
    struct prog *p = b->p;
    p->key =
        arena_array(&b->ex->arena, (size_t)(p->nins + p->ncaps) * (2 + TENSOR_MAX_RANK) + 1, sizeof *p->key);
    return p->key ? OK : err_nomem(b->cx);
}

static int build_steps(struct build *b)
{
    struct prog *p = b->p;
    p->steps = arena_array(&b->ex->arena, p->graph->nnodes + 1, sizeof *p->steps);
    if (!p->steps)
        return err_nomem(b->cx);
    uint32_t i = 0;
    int rc = add_io(b);
    for (struct node *n = p->graph->first; n && !rc; n = n->next, i++) {
        rc = add_step(b, n, &p->steps[i]);
        if (!rc)
            mark_uses(b, i);
    }
    p->nsteps = i;
    if (!rc)
        rc = add_outs(b);
    if (!rc)
        rc = list_caps(b);
    if (!rc)
        rc = make_key_room(b);
    return rc ? rc : list_drops(b);
}

static struct prog *prog_build(struct cx *cx, struct exec *ex, struct graph *g, struct prog *outer)
{
    struct prog *p = arena_zalloc(&ex->arena, sizeof *p);
    if (!p) {
        err_nomem(cx);
        return NULL;
    }
    p->ex = ex;
    p->graph = g;
    p->outer = outer;
    struct build b = {.cx = cx, .ex = ex, .p = p};
    int rc = build_steps(&b);
    free(b.map.key);
    free(b.map.val);
    p->next = ex->progs;
    ex->progs = p;
    return rc ? NULL : p;
}

struct prog *prog_of(const struct exec *ex, const struct graph *g)
{
    for (struct prog *p = ex->progs; p; p = p->next)
        if (p->graph == g)
            return p;
    return NULL;
}

/* ---- binding ---- */

int exec_takes(struct cx *cx, struct exec *ex, const struct node *n, const struct schema_takes **out)
{
    struct takes_memo *m = &ex->takes[((uintptr_t)n->ver / sizeof *n->ver + (unsigned)n->nin) % TAKES_MEMO];
    int rc = OK;
    if (!m->takes || m->ver != n->ver || m->nin != n->nin) {
        rc = op_input_takes(cx, &ex->arena, n, out);
        if (!rc)
            *m = (struct takes_memo){n->ver, n->nin, *out};
    }
    *out = m->takes;
    return rc;
}

static int bind_step(struct cx *cx, struct exec *ex, struct prog_step *s)
{
    struct bind_ctx bc;
    int rc = node_params(cx, s->node, &s->params);
    if (!rc)
        rc = exec_takes(cx, ex, s->node, &s->takes);
    if (!rc)
        rc = bind_ctx_fill(cx, ex, s->node, &bc);
    if (!rc)
        rc = ex->prov[s->provider]->build(ex->prov_state[s->provider], &bc, s->params, &s->bound);
    if (!rc && !s->bound.run)
        rc = err_set(cx, E_INTERNAL, "took the node, but built nothing that runs it");
    return rc ? step_error(cx, ex, s, rc) : OK;
}

/* Drops a constant as soon as all its readers have prepacked it: weights are then held once. */
static void drop_consumed(struct exec *ex, uint32_t *left, const struct prog_step *s)
{
    for (int i = 0; i < s->nin && i < 64; i++) {
        struct value *v = s->node->in[i];
        if (v && value_is_const(v) && s->bound.consumed >> i & 1 && --left[v->id] == 0 && !v->is_output)
            consts_give_up(&ex->consts, v);
    }
}

static int bind_prog(struct cx *cx, struct exec *ex, struct prog *p, uint32_t *left)
{
    for (uint32_t i = 0; i < p->nsteps; i++) {
        struct arena_mark m = arena_mark(&cx->scratch);
        int rc = bind_step(cx, ex, &p->steps[i]);
        arena_release(&cx->scratch, m);
        if (rc)
            return rc;
        drop_consumed(ex, left, &p->steps[i]);
    }
    return OK;
}

/* How many inputs read each constant, over all programs. */
static uint32_t *count_readers(struct cx *cx, const struct exec *ex)
{
    uint32_t *left = arena_array(&cx->scratch, ex->m->nvalues + 1, sizeof *left);
    if (!left)
        return NULL;
    for (const struct prog *p = ex->progs; p; p = p->next)
        for (uint32_t i = 0; i < p->nsteps; i++)
            for (int k = 0; k < p->steps[i].nin; k++)
                if (p->steps[i].node->in[k])
                    left[p->steps[i].node->in[k]->id]++;
    return left;
}

int exec_bind(struct cx *cx, struct exec *ex)
{
    struct arena_mark m = arena_mark(&cx->scratch);
    ex->cx = cx;
    ex->main = prog_build(cx, ex, ex->m->graph, NULL);
    if (!ex->main)
        return cx->err.code;
    uint32_t *left = count_readers(cx, ex);
    int rc = left ? OK : err_nomem(cx);
    for (struct prog *p = ex->progs; p && !rc; p = p->next)
        rc = bind_prog(cx, ex, p, left);
    arena_release(&cx->scratch, m);
    return rc;
}

/* ---- the whole ---- */

static const struct tensor *const_of(void *user, const struct value *v)
{
    struct exec *ex = user;
    return consts_get(ex->cx, &ex->consts, v);
}

int exec_infer(struct cx *cx, struct exec *ex)
{
    ex->cx = cx;
    struct infer_env env = {.konst = const_of, .user = ex, .ignore_declared = true};
    return infer_model(cx, ex->m, &env, &ex->arena, &ex->types);
}

int exec_account(struct cx *cx, struct exec *ex, uint64_t *counter, int64_t bytes)
{
    uint64_t now = ex->packed_bytes + ex->block_bytes + ex->scratch_bytes + ex->consts.bytes +
                   (ex->results ? ex->results->bytes : 0);
    if (bytes > 0 && cx->lim.max_memory && now + (uint64_t)bytes > cx->lim.max_memory)
        return err_set(cx, E_LIMIT, "needs %llu bytes more than the %llu that --max-memory allows",
                       (unsigned long long)(now + (uint64_t)bytes - cx->lim.max_memory),
                       (unsigned long long)cx->lim.max_memory);
    if (counter)
        *counter += (uint64_t)bytes;
    if (now + (uint64_t)bytes > ex->peak_bytes)
        ex->peak_bytes = now + (uint64_t)bytes;
    return OK;
}

void exec_free(struct exec *ex)
{
    for (struct prog *p = ex->progs; p; p = p->next)
        for (int i = 0; i < PLAN_CACHE; i++)
            if (p->plans[i])
                plan_free(ex, p->plans[i]);
    prepacked_free(ex);
    consts_free(&ex->consts);
    for (size_t i = 0; i < ex->nscratch; i++)
        free(ex->scratch[i].p);
    free(ex->scratch);
    blob_unref(ex->strings);
    meter_unref(ex->results);
    for (int i = 0; i < ex->nprov; i++)
        if (ex->prov[i]->close)
            ex->prov[i]->close(ex->prov_state[i]);
    pool_free(ex->pool);
    arena_free(&ex->arena);
    *ex = (struct exec){0};
}
