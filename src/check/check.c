/* The checker's entry points, its list of findings, and what concerns the model as a whole. */
#include "check/checker.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/model_meta.h"
#include "ops/op.h"

static const struct finding_kind kinds[] = {
#define ERROR true
#define WARN  false
#define RUN   true
#define GO    false
#define FD(id, code, name, severity, stops, meaning, fix)                                                    \
    [FC_##id] = {code, name, severity, stops, meaning, fix},
#include "finding.def"
#undef FD
#undef ERROR
#undef WARN
#undef RUN
#undef GO
};

const struct finding_kind *finding_kind(size_t code)
{
    return code < FC_COUNT ? &kinds[code] : NULL;
}

const char *finding_line(struct arena *a, const char *path, const struct finding *f)
{
    char at[40] = "";
    if (f->at != UINT64_MAX)
        snprintf(at, sizeof at, "+0x%llx", (unsigned long long)f->at);
    return arena_printf(a, "%s%s: %s%s%s%s%s [%s]", path, at, f->graph, *f->graph ? ": " : "", f->node,
                        *f->node ? ": " : "", f->text, kinds[f->code].code);
}

/* ---- recording ---- */

const char *ck_print(struct checker *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *s = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    if (!s)
        c->rc = err_nomem(c->cx);
    return s ? s : "";
}

void ck_put(struct checker *c, enum finding_code code, uint64_t at, const char *graph, const char *node,
            const char *text)
{
    struct findings *f = c->out;
    f->errors += kinds[code].error;
    f->warnings += !kinds[code].error;
    if (f->n == FINDINGS_MAX || c->rc)
        return;
    f->v = arena_grow(c->a, f->v, f->n, &f->cap, sizeof *f->v);
    if (!f->v) {
        f->n = 0;
        c->rc = err_nomem(c->cx);
        return;
    }
    f->v[f->n++] = (struct finding){code, graph, node, text, at};
}

static const char *ck_node_label(struct checker *c, const struct ol_node *n)
{
    if (*n->name)
        return ck_print(c, "node '%.200s' (%.100s)", n->name, n->op);
    return ck_print(c, "node %.100s that makes '%.200s'", *n->op ? n->op : "without operator",
                    n->nout ? n->out[0] : "");
}

void ck_add(struct checker *c, enum finding_code code, uint64_t at, const char *fmt, ...)
{
    char raw[1000], safe[2000];
    va_list ap;
    if (c->out->n == FINDINGS_MAX) {
        ck_put(c, code, at, "", "", "");
        return;
    }
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    str_escape(safe, sizeof safe, raw, strlen(raw));
    const char *node = c->node ? ck_node_label(c, c->node) : "";
    ck_put(c, code, at, c->scope ? c->scope->path : "", node, ck_print(c, "%s", safe));
}

/* ---- versions ---- */

enum { IMPORTS_MAX = 1000, RECURSION_MAX = 512 }; /* the import has limits of its own, for any number */

static int64_t find_import(const struct ol_import *o, size_t n, const char *domain)
{
    for (size_t i = 0; i < n && i < IMPORTS_MAX; i++)
        if (strcmp(o[i].domain, domain) == 0)
            return o[i].version;
    return 0;
}

int64_t ck_opset(const struct checker *c, const char *domain)
{
    const struct ol_function *f = c->scope ? c->scope->func : NULL;
    if (f)
        return find_import(f->imports, f->nimports, domain);
    if (!c->o->nimports && !*domain)
        return 1; /* what a model without imports means */
    return find_import(c->o->imports, c->o->nimports, domain);
}

static void look_imports(struct checker *c, const struct ol_import *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int newest = schema_newest_opset(o[i].domain);
        const char *domain = domain_text(o[i].domain);
        long long v = o[i].version;
        if (v < 1)
            ck_add(c, FC_OPSET_VERSION, o[i].at, "operator set %s is imported as version %lld", domain, v);
        else if (newest && v > newest)
            ck_add(c, FC_OPSET_NEWER, o[i].at,
                   "operator set %s is imported as version %lld; %d is the "
                   "newest that is known",
                   domain, v, newest);
        for (size_t j = 0; j < i && i < IMPORTS_MAX; j++) {
            if (strcmp(o[i].domain, o[j].domain) != 0)
                continue;
            ck_add(c, o[j].version == v ? FC_OPSET_TWICE : FC_OPSET_CONFLICT, o[i].at,
                   "operator set %s is imported as version %lld and %s %lld", domain, (long long)o[j].version,
                   o[j].version == v ? "again as" : "as", v);
            break;
        }
    }
}

void ck_feature(struct checker *c, uint64_t at, int ir, const char *what)
{
    if (c->o->has_ir && c->o->ir < ir)
        ck_add(c, FC_FEATURE_NEWER, at, "%s came with IR version %d, the model is of version %lld", what, ir,
               (long long)c->o->ir);
}

void ck_ignored(struct checker *c, uint64_t at, int ir, const char *what)
{
    if (c->o->has_ir && c->o->ir < ir)
        ck_add(c, FC_FEATURE_IGNORED, at, "%s came with IR version %d, the model is of version %lld", what,
               ir, (long long)c->o->ir);
}

void ck_meta(struct checker *c, const struct ol_pair *p, size_t n, uint64_t at, int since)
{
    struct smap seen = {.arena = c->a};
    if (n)
        ck_ignored(c, at, since, "metadata here");
    for (size_t i = 0; i < n && !c->rc; i++) {
        if (smap_get(&seen, p[i].key))
            ck_add(c, FC_META_TWICE, at, "metadata has two entries '%s'", p[i].key);
        else if (!smap_put(&seen, p[i].key, c))
            c->rc = err_nomem(c->cx);
    }
}

static void look_versions(struct checker *c)
{
    const struct outline *o = c->o;
    if (!o->has_ir || o->ir < 1)
        ck_add(c, FC_IR_MISSING, 0, "the IR version is %s", o->has_ir ? "below 1" : "missing");
    else if (o->ir > model_newest_ir())
        ck_add(c, FC_IR_NEWER, 0, "IR version %lld; %lld is the newest that is known", (long long)o->ir,
               (long long)model_newest_ir());
    if (o->ir >= 3 && !o->nimports)
        ck_add(c, FC_OPSET_NONE, 0, "the model imports no operator set");
    if (o->has_ir && o->ir < 3 && o->nimports)
        ck_add(c, FC_OPSET_IN_OLD_IR, o->imports[0].at, "a model of IR version %lld imports operator sets",
               (long long)o->ir);
    look_imports(c, o->imports, o->nimports);
    ck_meta(c, o->meta, o->nmeta, 0, 1);
    if (o->ntraining)
        ck_ignored(c, o->training[0].at, 7, "training information");
    if (o->nconfigs)
        ck_ignored(c, 0, 11, "a device configuration");
}

/* ---- functions ---- */

struct func_link {
    struct func_link *next;
    const struct ol_function *f;
    size_t number;
    bool *needed; /* see ck_input_needed; NULL: not asked yet */
};

static struct func_link *find_function(struct checker *c, const char *domain, const char *name,
                                       const char *overload)
{
    struct func_link *l = c->o->nfuncs ? smap_get(&c->funcs, name) : NULL;
    while (l && (strcmp(l->f->domain, domain) != 0 || strcmp(l->f->overload, overload) != 0))
        l = l->next;
    return l;
}

const struct ol_function *ck_function(struct checker *c, const struct ol_node *n)
{
    const struct func_link *l = find_function(c, n->domain, n->op, n->overload);
    return l ? l->f : NULL;
}

/* Inputs of the body that a node in it cannot do without, by number. */
static bool *find_needed(struct checker *c, const struct ol_function *f)
{
    struct smap at = {.arena = c->a};
    bool *needed = arena_array(c->a, f->body.nins + 1, sizeof *needed);
    bool ok = needed != NULL;
    for (size_t i = 0; i < f->body.nins && ok; i++)
        ok = smap_put(&at, f->body.ins[i].name, needed + i);
    for (size_t k = 0; k < f->body.nnodes && ok; k++) {
        const struct ol_node *n = &f->body.nodes[k];
        int64_t opset = find_import(f->imports, f->nimports, n->domain);
        for (size_t x = 0; opset && x < n->nin; x++) {
            bool *need = f->body.nins ? smap_get(&at, n->in[x]) : NULL;
            if (need)
                *need |= ck_single_input(c, n, opset, x);
        }
    }
    if (!ok)
        c->rc = err_nomem(c->cx);
    return needed;
}

bool ck_input_needed(struct checker *c, const struct ol_node *n, size_t i)
{
    struct func_link *l = find_function(c, n->domain, n->op, n->overload);
    if (!l->needed)
        l->needed = find_needed(c, l->f);
    return l->needed && !c->rc && l->needed[i];
}

static void index_functions(struct checker *c)
{
    for (size_t i = 0; i < c->o->nfuncs && !c->rc; i++) {
        const struct ol_function *f = &c->o->funcs[i];
        struct func_link *l = arena_zalloc(c->a, sizeof *l);
        if (find_function(c, f->domain, f->name, f->overload))
            ck_add(c, FC_FUNC_TWICE, f->at, "function '%s' of domain %s is defined twice", f->name,
                   domain_text(f->domain));
        if (l)
            *l = (struct func_link){smap_get(&c->funcs, f->name), f, i, NULL};
        if (!l || !smap_put(&c->funcs, f->name, l))
            c->rc = err_nomem(c->cx);
    }
}

/* Bits of functions that are called from nodes of g, its subgraphs included. */
static void mark_calls(struct checker *c, const struct ol_graph *g, bool *called)
{
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct ol_node *n = &g->nodes[i];
        const struct func_link *l = find_function(c, n->domain, n->op, n->overload);
        if (l)
            called[l->number] = true;
        for (size_t k = 0; k < n->nattrs; k++)
            for (size_t s = 0; s < n->attrs[k].ngraphs; s++)
                mark_calls(c, &n->attrs[k].graphs[s], called);
    }
}

/* Takes functions away that call none of those left; what remains calls itself, or calls one that does. Of
 * those, the ones that nobody left calls are only callers: taken away too. */
static void look_recursion(struct checker *c)
{
    size_t n = c->o->nfuncs;
    struct arena_mark mark = arena_mark(&c->cx->scratch);
    if (n > RECURSION_MAX)
        return;
    bool *calls = arena_array(&c->cx->scratch, n, n);
    bool *gone = arena_array(&c->cx->scratch, n, 1);
    if (!calls || !gone) {
        c->rc = err_nomem(c->cx);
        return;
    }
    for (size_t i = 0; i < n; i++)
        mark_calls(c, &c->o->funcs[i].body, calls + i * n);
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < n; i++) {
            bool out = false, in = false;
            for (size_t j = 0; j < n; j++) {
                out |= !gone[j] && calls[i * n + j];
                in |= !gone[j] && calls[j * n + i];
            }
            if (!gone[i] && (!out || !in))
                again = gone[i] = true;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!gone[i])
            ck_add(c, FC_FUNC_RECURSIVE, c->o->funcs[i].at,
                   "function '%s' calls itself, directly or through others", c->o->funcs[i].name);
    arena_release(&c->cx->scratch, mark);
}

/* An operator in the body must mean the same by the model's import, where there is one. */
static void look_func_opsets(struct checker *c, const struct ol_function *f, const struct ol_graph *g)
{
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct ol_node *n = &g->nodes[i];
        int64_t own = find_import(f->imports, f->nimports, n->domain);
        int64_t outer = find_import(c->o->imports, c->o->nimports, n->domain);
        if (own && outer && own != outer && !ck_function(c, n) &&
            schema_find(n->domain, n->op, own) != schema_find(n->domain, n->op, outer))
            ck_add(c, FC_FUNC_OPSET, n->at,
                   "%s differs between version %lld of %s, which function '%s' imports, and the model's "
                   "%lld",
                   n->op, (long long)own, domain_text(n->domain), f->name, (long long)outer);
        for (size_t k = 0; k < n->nattrs; k++)
            for (size_t s = 0; s < n->attrs[k].ngraphs; s++)
                look_func_opsets(c, f, &n->attrs[k].graphs[s]);
    }
}

static void look_param(struct checker *c, struct smap *seen, const struct ol_function *f, const char *name,
                       const char *what)
{
    if (smap_get(seen, name))
        ck_add(c, FC_FUNC_PARAM_TWICE, f->at, "function '%s' has two %s '%s'", f->name, what, name);
    else if (!smap_put(seen, name, c))
        c->rc = err_nomem(c->cx);
}

static void look_params(struct checker *c, const struct ol_function *f)
{
    struct smap attrs = {.arena = c->a};
    for (size_t i = 0; i < f->nattrs; i++)
        look_param(c, &attrs, f, f->attrs[i], "attributes");
    for (size_t i = 0; i < f->ndefaults; i++)
        look_param(c, &attrs, f, f->defaults[i].name, "attributes");
    for (size_t i = 0; i < f->ndefaults; i++)
        ck_attr_value(c, &f->defaults[i]);
    if (f->ndefaults)
        ck_feature(c, f->at, 9, "a function attribute with a default");
    if (*f->overload)
        ck_feature(c, f->at, 10, "an overload of a function");
    if (f->body.ninfos)
        ck_ignored(c, f->at, 10, "value_info in a function");
}

static void look_function(struct checker *c, const struct ol_function *f)
{
    ck_feature(c, f->at, 8, "a function");
    if (!*f->name || !*f->domain)
        ck_add(c, FC_FUNC_UNNAMED, f->at, "function '%s' has no %s", f->name, *f->name ? "domain" : "name");
    if (!f->nimports && f->body.nnodes)
        ck_add(c, FC_OPSET_NONE, f->at, "function '%s' imports no operator set", f->name);
    look_imports(c, f->imports, f->nimports);
    look_params(c, f);
    look_func_opsets(c, f, &f->body);
    ck_graph(c, &f->body, f, ck_print(c, "function '%.200s'", f->name));
}

/* ---- all of it ---- */

static void look_outline(struct checker *c)
{
    look_versions(c);
    index_functions(c);
    if (c->o->nfuncs)
        look_recursion(c);
    for (size_t i = 0; i < c->o->nfuncs && !c->rc; i++)
        look_function(c, &c->o->funcs[i]);
    if (c->o->graph && !c->rc)
        ck_graph(c, c->o->graph, NULL, "main");
    for (size_t i = 0; i < c->o->ntraining && !c->rc; i++)
        ck_training(c, &c->o->training[i], ck_print(c, "training %zu", i / 2));
}

static void start(struct checker *c, struct cx *cx, struct arena *a, struct model *m, struct findings *out)
{
    *c = (struct checker){.cx = cx, .a = a, .m = m, .out = out};
    c->schemas.arena = a;
    c->funcs.arena = a;
    *out = (struct findings){0};
}

static bool is_machine(int rc)
{
    return rc == E_NOMEM || rc == E_TIMEOUT || rc == E_IO || rc == E_LIMIT;
}

/* Imports; what refuses is a finding unless one was made for it already. */
static int load(struct checker *c, const struct load_opts *o)
{
    struct load_opts lo = o ? *o : (struct load_opts){0};
    lo.no_external_check = true;
    int rc = model_import(c->cx, c->m, &lo);
    if (!rc)
        rc = ops_resolve(c->cx, c->m);
    if (!rc || is_machine(rc))
        return rc;
    char text[1024];
    err_format(&c->cx->err, text, sizeof text);
    err_clear(c->cx);
    c->skip_types = true;
    if (rc == E_UNSUPPORTED)
        ck_put(c, FC_UNSUPPORTED, UINT64_MAX, "", "", ck_print(c, "%s", text));
    else if (!c->out->errors)
        ck_put(c, FC_REFUSED, UINT64_MAX, "", "", ck_print(c, "%s", text));
    return c->rc;
}

static int check_decoded(struct cx *cx, struct model *m, const struct load_opts *o, struct arena *a,
                         struct findings *out)
{
    struct checker c;
    struct outline ol;
    start(&c, cx, a, m, out);
    int rc = outline_make(cx, a, m, &ol);
    if (rc)
        return rc;
    c.o = &ol;
    c.files = !(o && o->no_external_check);
    look_outline(&c);
    if (!c.rc)
        c.rc = load(&c, o);
    if (!c.rc && !c.skip_types)
        ck_types(&c);
    return c.rc;
}

/* A file that begins as a model and then breaks is a finding; one that is none at all stays an error. */
static int malformed(struct cx *cx, int rc, struct arena *a, struct findings *out)
{
    struct checker c;
    char text[1024];
    if (rc != E_PARSE)
        return rc;
    start(&c, cx, a, NULL, out);
    err_format(&cx->err, text, sizeof text);
    err_clear(cx);
    ck_put(&c, FC_MALFORMED, UINT64_MAX, "", "", ck_print(&c, "%s", text));
    return c.rc;
}

/* Decoding ended with rc. */
static int finish(struct cx *cx, int rc, struct model *m, const struct load_opts *o, struct arena *a,
                  struct findings *out)
{
    *out = (struct findings){0};
    if (rc)
        return malformed(cx, rc, a, out);
    rc = check_decoded(cx, m, o, a, out);
    model_free(m);
    return rc;
}

int check_file(struct cx *cx, const char *path, const struct load_opts *o, struct arena *a,
               struct findings *out)
{
    struct model *m;
    int rc = model_decode(cx, path, o, &m);
    return finish(cx, rc, m, o, a, out);
}

int check_open_file(struct cx *cx, struct file *f, const char *dir, const struct load_opts *o,
                    struct arena *a, struct findings *out)
{
    struct model *m;
    int rc = model_decode_file(cx, f, dir, o, &m);
    return finish(cx, rc, m, o, a, out);
}

int check_before_run(struct cx *cx, struct model *m)
{
    struct arena a = {0};
    struct findings f;
    struct checker c;
    struct outline ol;
    if (!m->origin || !m->file)
        return OK;
    start(&c, cx, &a, m, &f);
    c.rc = outline_make(cx, &a, m, &ol);
    c.o = &ol;
    if (!c.rc)
        look_outline(&c);
    for (size_t i = 0; i < f.n && !c.rc; i++) {
        const char *line =
            kinds[f.v[i].code].stops ? finding_line(&a, m->path ? m->path : "", &f.v[i]) : NULL;
        if (line)
            c.rc = err_set(cx, E_MODEL, "%s; %s", line, kinds[f.v[i].code].fix);
    }
    arena_free(&a);
    return c.rc;
}
