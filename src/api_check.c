/* The public interface: the checker. */
#include "api.h"

#include <stdlib.h>

#include "check/check.h"

struct ot_findings {
    struct arena arena;
    struct findings f;
};

int ot_check(ot_ctx *c, const char *path, const struct ot_load_opts *o, ot_findings **out)
{
    struct load_opts lo = {0};
    if (o)
        lo = (struct load_opts){o->external_dir, o->allow_links, o->no_external_check};
    struct ot_findings *f = mem_zalloc(sizeof *f);
    int rc = f ? check_file(&c->cx, path, &lo, &f->arena, &f->f) : err_nomem(&c->cx);
    if (rc)
        ot_findings_free(f);
    else
        *out = f;
    return api_end(c, rc);
}

void ot_findings_free(ot_findings *f)
{
    if (!f)
        return;
    arena_free(&f->arena);
    free(f);
}

size_t ot_findings_count(const ot_findings *f)
{
    return f->f.n;
}

size_t ot_findings_errors(const ot_findings *f)
{
    return f->f.errors;
}

size_t ot_findings_warnings(const ot_findings *f)
{
    return f->f.warnings;
}

void ot_findings_get(const ot_findings *f, size_t i, struct ot_finding *out)
{
    const struct finding *v = &f->f.v[i];
    const struct finding_kind *k = finding_kind(v->code);
    *out = (struct ot_finding){k->code, k->name, k->error, v->graph,
                               v->node, v->text, k->fix,   v->at == UINT64_MAX ? -1 : (int64_t)v->at};
}

bool ot_finding_kind(size_t i, struct ot_finding_kind *out)
{
    const struct finding_kind *k = finding_kind(i);
    if (!k)
        return false;
    *out = (struct ot_finding_kind){k->code, k->name, k->error, k->stops, k->meaning, k->fix};
    return true;
}
