/* The public interface: models and what they take and give. */
#include "api.h"

#include <stdlib.h>
#include <string.h>

#include "io/onnx_load.h"
#include "io/onnx_save.h"
#include "rewrite/extract.h"

/* A dim as a number, or its symbol's text. */
static int describe_dim(struct cx *cx, struct arena *a, struct dim d, int64_t *n, const char **name)
{
    char text[160];
    *n = d.kind == DIM_CONST ? d.v : -1;
    if (d.kind != DIM_EXPR)
        return OK;
    *name = arena_strdup(a, dim_text(d, text, sizeof text));
    return *name ? OK : err_nomem(cx);
}

static int describe(struct cx *cx, struct arena *a, const struct value *v, struct ot_value_info *o)
{
    static const enum ot_kind kind[] = {
        [TY_SEQ] = OT_SEQUENCE, [TY_OPT] = OT_OPTIONAL, [TY_MAP] = OT_MAP, [TY_OPAQUE] = OT_TENSOR};
    const struct type *t = v->declared ? v->declared : v->type;
    char text[512];
    *o = (struct ot_value_info){
        .name = v->name, .rank = -1, .has_default = v->is_input && (v->init || v->sparse)};
    o->type = arena_strdup(a, type_text(t, text, sizeof text));
    if (!o->type)
        return err_nomem(cx);
    if (!t)
        return OK;
    o->kind = kind[t->kind];
    o->dtype = t->dt;
    if (t->kind != TY_TENSOR || t->rank < 0)
        return OK;
    int64_t *dims = arena_array(a, (size_t)t->rank + 1, sizeof *dims);
    const char **names = arena_array(a, (size_t)t->rank + 1, sizeof *names);
    if (!dims || !names)
        return err_nomem(cx);
    o->rank = t->rank;
    o->dims = dims;
    o->dim_names = names;
    int rc = OK;
    for (int i = 0; i < t->rank && !rc; i++)
        rc = describe_dim(cx, a, t->dims[i], &dims[i], &names[i]);
    return rc;
}

static int describe_all(struct cx *cx, struct ot_model *m, struct value *const *v, size_t n,
                        struct ot_value_info **out)
{
    *out = arena_array(&m->arena, n + 1, sizeof **out);
    int rc = *out ? OK : err_nomem(cx);
    for (size_t i = 0; i < n && !rc; i++)
        rc = describe(cx, &m->arena, v[i], &(*out)[i]);
    return rc;
}

static int describe_io(struct cx *cx, struct ot_model *m)
{
    struct graph *g = m->m->graph;
    m->nin = g->nins;
    m->nout = g->nouts;
    int rc = describe_all(cx, m, g->ins, g->nins, &m->in);
    return rc ? rc : describe_all(cx, m, g->outs, g->nouts, &m->out);
}

int ot_model_load(ot_ctx *c, const char *path, const struct ot_load_opts *o, ot_model **out)
{
    struct load_opts lo = {0};
    if (o)
        lo = (struct load_opts){o->external_dir, o->allow_links, o->no_external_check};
    struct ot_model *m = mem_zalloc(sizeof *m);
    int rc = m ? model_load(&c->cx, path, &lo, &m->m) : err_nomem(&c->cx);
    if (!rc)
        rc = describe_io(&c->cx, m);
    if (rc) {
        ot_model_free(m);
        return api_end(c, rc);
    }
    *out = m;
    return api_end(c, OK);
}

int ot_model_extract(ot_ctx *c, ot_model *m, const char *const *from, const char *const *to)
{
    int rc = model_extract(&c->cx, m->m, from, to);
    return api_end(c, rc ? rc : describe_io(&c->cx, m));
}

void ot_model_free(ot_model *m)
{
    if (!m)
        return;
    model_free(m->m);
    arena_free(&m->arena);
    free(m);
}

int ot_model_save(ot_ctx *c, ot_model *m, const char *path, const struct ot_save_opts *o)
{
    struct save_opts so = {0};
    if (o)
        so = (struct save_opts){(enum external_mode)o->external, o->threshold};
    return api_end(c, model_save(&c->cx, m->m, path, &so, NULL));
}

size_t ot_model_ninputs(const ot_model *m)
{
    return m->nin;
}

size_t ot_model_noutputs(const ot_model *m)
{
    return m->nout;
}

const struct ot_value_info *ot_model_input(const ot_model *m, size_t i)
{
    return i < m->nin ? &m->in[i] : NULL;
}

const struct ot_value_info *ot_model_output(const ot_model *m, size_t i)
{
    return i < m->nout ? &m->out[i] : NULL;
}
