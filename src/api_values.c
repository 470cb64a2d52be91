/* The public interface: lists of named tensors, in memory and in files. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

int ot_values_new(ot_ctx *c, ot_values **out)
{
    *out = mem_zalloc(sizeof **out);
    return api_end(c, *out ? OK : err_nomem(&c->cx));
}

void ot_values_free(ot_values *v)
{
    if (!v)
        return;
    named_free(&v->l);
    free(v);
}

size_t ot_values_count(const ot_values *v)
{
    return v->l.n;
}

const char *ot_values_name(const ot_values *v, size_t i)
{
    return i < v->l.n ? v->l.v[i].name : NULL;
}

const ot_tensor *ot_values_tensor(const ot_values *v, size_t i)
{
    return i < v->l.n ? wrap(&v->l.v[i].t) : NULL;
}

const ot_tensor *ot_values_find(const ot_values *v, const char *name)
{
    const struct tensor *t = named_find(&v->l, name);
    return t ? wrap(t) : NULL;
}

int ot_values_add(ot_ctx *c, ot_values *v, const char *name, const ot_tensor *t)
{
    struct tensor copy;
    memset(&copy, 0, sizeof copy);
    int rc = tensor_copy(&c->cx, &copy, unwrap(t));
    return api_end(c, rc ? rc : named_take(&c->cx, &v->l, name, &copy));
}

int ot_values_read(ot_ctx *c, const ot_model *m, const char *path, bool outputs, ot_values **out)
{
    ot_values *v = mem_zalloc(sizeof *v);
    int rc = v ? sample_read_set(&c->cx, m->m, path, outputs, &v->l) : err_nomem(&c->cx);
    if (rc)
        ot_values_free(v);
    else
        *out = v;
    return api_end(c, rc);
}

int ot_tensor_read(ot_ctx *c, const ot_model *m, const char *name, const char *path, ot_tensor **out)
{
    const struct value *v = m && name ? model_io(m->m, name, false) : NULL;
    if (!v && m && name)
        v = model_io(m->m, name, true);
    struct tensor *t = mem_zalloc(sizeof *t);
    int rc = t ? sample_read_file(&c->cx, path, v ? v->declared : NULL, t, NULL) : err_nomem(&c->cx);
    if (rc)
        free(t);
    else
        *out = wrap(t);
    return api_end(c, rc);
}

int ot_values_write(ot_ctx *c, const ot_values *v, const char *path)
{
    return api_end(c, sample_write(&c->cx, path, &v->l));
}
