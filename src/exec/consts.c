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

void consts_free(struct consts *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        tensor_drop(&c->t[i]);
    free(c->t);
    free(c->have);
    *c = (struct consts){0};
}

bool value_is_const(const struct value *v)
{
    return v->init || v->sparse;
}

/* Passes add values while they run, so the tables grow. */
static bool make_room(struct consts *c, uint32_t id)
{
    if (id < c->n)
        return true;
    uint32_t n = id + 1 > c->m->nvalues ? id + 1 : c->m->nvalues;
    struct tensor *t = mem_realloc(c->t, n * sizeof *t);
    if (!t)
        return false;
    c->t = t;
    uint8_t *have = mem_realloc(c->have, n);
    if (!have)
        return false;
    c->have = have;
    memset(t + c->n, 0, (n - c->n) * sizeof *t);
    memset(have + c->n, 0, n - c->n);
    c->n = n;
    return true;
}

const struct tensor *consts_get(struct cx *cx, struct consts *c, const struct value *v)
{
    if (!value_is_const(v))
        return NULL;
    if (!make_room(c, v->id)) {
        err_nomem(cx);
        return NULL;
    }
    struct tensor *t = &c->t[v->id];
    if (c->have[v->id])
        return t;
    int rc = v->init ? tensor_load(cx, c->m, v->init, t) : sparse_load(cx, c->m, v->sparse, t);
    if (rc) {
        err_frame(cx, "initializer '%s'", v->name);
        return NULL;
    }
    size_t bytes = tensor_bytes(t);
    if (cx->lim.max_memory && c->bytes + bytes > cx->lim.max_memory) {
        tensor_drop(t);
        err_set(cx, E_LIMIT, "initializer '%s' of %zu bytes exceeds the memory limit", v->name, bytes);
        return NULL;
    }
    c->bytes += bytes;
    c->have[v->id] = 1;
    return t;
}

void consts_drop(struct consts *c, const struct value *v)
{
    if (v->id >= c->n || !c->have[v->id])
        return;
    c->bytes -= tensor_bytes(&c->t[v->id]);
    tensor_drop(&c->t[v->id]);
    c->have[v->id] = 0;
}
