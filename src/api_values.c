/* The public interface: lists of named tensors. */
#include "api.h"

#include <stdlib.h>
#include <string.h>

int ot_values_new(ot_ctx *c, ot_values **out)
{
    *out = mem_zalloc(sizeof **out);
    return api_end(c, *out ? OK : err_nomem(&c->cx));
}

void ot_values_free(ot_values *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n; i++) {
        free(v->v[i].name);
        tensor_drop(&v->v[i].t);
    }
    free(v->v);
    free(v);
}

size_t ot_values_count(const ot_values *v)
{
    return v->n;
}

const char *ot_values_name(const ot_values *v, size_t i)
{
    return i < v->n ? v->v[i].name : NULL;
}

const ot_tensor *ot_values_tensor(const ot_values *v, size_t i)
{
    return i < v->n ? wrap(&v->v[i].t) : NULL;
}

static struct named_tensor *find(const ot_values *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->v[i].name, name) == 0)
            return &v->v[i];
    return NULL;
}

const ot_tensor *ot_values_find(const ot_values *v, const char *name)
{
    const struct named_tensor *t = find(v, name);
    return t ? wrap(&t->t) : NULL;
}

int values_take(struct cx *cx, ot_values *v, const char *name, struct tensor *t)
{
    struct named_tensor *old = find(v, name);
    if (old) {
        tensor_drop(&old->t);
        old->t = *t;
        return OK;
    }
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 16;
        struct named_tensor *p = mem_realloc(v->v, cap * sizeof *p);
        if (!p)
            return err_nomem(cx);
        v->v = p;
        v->cap = cap;
    }
    size_t n = strlen(name) + 1;
    char *copy = mem_alloc(n);
    if (!copy)
        return err_nomem(cx);
    memcpy(copy, name, n);
    v->v[v->n++] = (struct named_tensor){copy, *t};
    return OK;
}

int ot_values_add(ot_ctx *c, ot_values *v, const char *name, const ot_tensor *t)
{
    struct tensor copy;
    memset(&copy, 0, sizeof copy);
    int rc = tensor_copy(&c->cx, &copy, unwrap(t));
    if (!rc && (rc = values_take(&c->cx, v, name, &copy)) != 0)
        tensor_drop(&copy);
    return api_end(c, rc);
}
