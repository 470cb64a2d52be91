/* Constants of a model while it runs: loaded when first asked for. */
#include "exec/consts.h"

#include <stdlib.h>
#include <string.h>

#include "io/tensor_pb.h"

int consts_init(struct cx *cx, struct consts *c, struct model *m)
{
    *c = (struct consts){.m = m};
    (void)cx;
    return OK;
}

static void forget(struct consts *c, uint32_t id)
{
    if (!c->t[id])
        return;
    c->bytes -= tensor_bytes(c->t[id]);
    tensor_drop(c->t[id]);
    free(c->t[id]);
    c->t[id] = NULL;
}

void consts_free(struct consts *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        forget(c, i);
    free(c->t);
    *c = (struct consts){0};
}

bool value_is_const(const struct value *v)
{
    return v->init || v->sparse;
}

/* Passes add values while they run, so the table grows. */
static bool make_room(struct consts *c, uint32_t id)
{
    if (id < c->n)
        return true;
    uint32_t n = id + 1 > c->m->nvalues ? id + 1 : c->m->nvalues;
    struct tensor **t = mem_realloc(c->t, n * sizeof *t);
    if (!t)
        return false;
    memset(t + c->n, 0, (n - c->n) * sizeof *t);
    c->t = t;
    c->n = n;
    return true;
}

static int load(struct cx *cx, struct consts *c, const struct value *v, struct tensor *t)
{
    int rc = v->init ? tensor_load(cx, c->m, v->init, t) : sparse_load(cx, c->m, v->sparse, t);
    if (rc)
        return rc;
    size_t bytes = tensor_bytes(t);
    if (cx->lim.max_memory && c->bytes + bytes > cx->lim.max_memory) {
        tensor_drop(t);
        return err_set(cx, E_LIMIT, "%zu bytes exceed the memory limit", bytes);
    }
    c->bytes += bytes;
    return OK;
}

const struct tensor *consts_get(struct cx *cx, struct consts *c, const struct value *v)
{
    if (!value_is_const(v) || (v->init && v->init->payload == PL_GONE))
        return NULL;
    struct tensor *t = NULL;
    if (!make_room(c, v->id) || (!c->t[v->id] && !(t = mem_zalloc(sizeof *t)))) {
        err_nomem(cx);
        return NULL;
    }
    if (c->t[v->id])
        return c->t[v->id];
    if (load(cx, c, v, t)) {
        err_frame(cx, "initializer '%s'", v->name);
        free(t);
        return NULL;
    }
    return c->t[v->id] = t;
}

void consts_drop(struct consts *c, const struct value *v)
{
    if (v->id < c->n)
        forget(c, v->id);
}

void consts_give_up(struct consts *c, const struct value *v)
{
    consts_drop(c, v);
    if (v->init)
        tensor_data_release(v->init);
}
