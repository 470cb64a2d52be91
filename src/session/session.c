/* From a model to a session that runs: rewrite, infer, place, bind. */
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/str.h"
#include "check/check.h"
#include "ir/edit.h"

/* Graph inputs that the caller will feed although they have a default: no constants any more. */
static int drop_defaults(struct cx *cx, struct model *m, const char *const *names)
{
    for (; names && *names; names++) {
        struct graph *g = m->graph;
        struct value *v = smap_get(&g->names, *names);
        if (!v || !v->is_input)
            return err_set(cx, E_USAGE, "the model has no input '%s'", *names);
        if (!v->init && !v->sparse)
            continue;
        v->init = NULL;
        v->sparse = NULL;
        for (size_t i = 0; i < g->ninits; i++)
            if (g->inits[i] == v) {
                memmove(&g->inits[i], &g->inits[i + 1], (g->ninits - i - 1) * sizeof *g->inits);
                g->ninits--;
                break;
            }
    }
    return OK;
}

static const struct provider *find_provider(const struct session_opts *o, const char *name)
{
    for (size_t i = 0; i < o->nextra; i++)
        if (strcmp(o->extra[i]->name, name) == 0)
            return o->extra[i];
    return provider_find(name);
}

static int no_provider(struct cx *cx, const struct session_opts *o, const char *name)
{
    size_t n;
    const struct provider *const *all = provider_all(&n);
    struct str s = {0};
    for (size_t i = 0; i < n + o->nextra; i++)
        str_addf(&s, "%s%s", i ? ", " : "", i < n ? all[i]->name : o->extra[i - n]->name);
    err_set(cx, E_USAGE, "--provider: no provider '%s'; there is %s", name, str_text(&s));
    str_free(&s);
    return E_USAGE;
}

/* Options "provider.key" of one provider, the prefix taken off. */
static int own_options(struct cx *cx, const struct provider *prov, const struct session_opts *o,
                       struct prov_option **mine, size_t *n)
{
    size_t len = strlen(prov->name);
    *n = 0;
    *mine = arena_array(&cx->scratch, o->nprov_opts + 1, sizeof **mine);
    if (!*mine)
        return err_nomem(cx);
    for (size_t i = 0; i < o->nprov_opts; i++)
        if (!strncmp(o->prov_opts[i].key, prov->name, len) && o->prov_opts[i].key[len] == '.')
            (*mine)[(*n)++] = (struct prov_option){o->prov_opts[i].key + len + 1, o->prov_opts[i].value};
    return *n && !prov->open ? err_set(cx, E_USAGE, "--provider-option: provider %s has no option '%s'",
                                       prov->name, (*mine)->key)
                             : OK;
}

static int open_provider(struct cx *cx, struct exec *ex, const struct session_opts *o, const char *name)
{
    const struct provider *prov = find_provider(o, name);
    struct prov_option *mine;
    size_t n;
    if (!prov)
        return no_provider(cx, o, name);
    if (ex->nprov == MAX_PROVIDERS)
        return err_set(cx, E_USAGE, "more than %d providers", MAX_PROVIDERS);
    for (int i = 0; i < ex->nprov; i++)
        if (ex->prov[i] == prov)
            return err_set(cx, E_USAGE, "provider %s is listed twice", name);
    int rc = own_options(cx, prov, o, &mine, &n);
    if (!rc && prov->open && (rc = prov->open(cx, mine, n, &ex->prov_state[ex->nprov])) != OK) {
        if (cx->err.code == OK)
            err_set(cx, rc < 0 ? rc : E_INTERNAL, "cannot be opened and did not say why");
        return err_frame(cx, "provider %s", name);
    }
    if (!rc)
        ex->prov[ex->nprov++] = prov;
    return rc;
}

static int open_providers(struct cx *cx, struct exec *ex, const struct session_opts *o)
{
    static const char *const default_list[] = {"cpu", NULL};
    const char *const *list = o->providers && *o->providers ? o->providers : default_list;
    int rc = OK;
    for (const char *const *p = list; *p && !rc; p++)
        rc = open_provider(cx, ex, o, *p);
    for (size_t i = 0; i < o->nprov_opts && !rc; i++) {
        bool listed = false;
        size_t len = strcspn(o->prov_opts[i].key, ".");
        for (int k = 0; k < ex->nprov; k++)
            listed |=
                strlen(ex->prov[k]->name) == len && !strncmp(ex->prov[k]->name, o->prov_opts[i].key, len);
        if (!listed)
            rc = err_set(cx, E_USAGE,
                         "--provider-option: '%s' is for a provider that --provider does not list",
                         o->prov_opts[i].key);
    }
    return rc;
}

static int exec_setup(struct cx *cx, struct session *s, const struct session_opts *o)
{
    struct exec *ex = &s->ex;
    ex->m = s->m;
    ex->cx = cx;
    ex->profile = o->profile;
    ex->strict = o->strict;
    ex->nthreads = o->threads > 0 ? o->threads : cpu_count();
    kern_init(&ex->kern, o->cpu_given ? o->cpu_mask & cpu_flags() : cpu_flags());
    ex->pool = pool_new(ex->nthreads);
    if (!ex->pool)
        return err_set(cx, E_NOMEM, "cannot start %d threads", ex->nthreads);
    int rc = consts_init(cx, &ex->consts, s->m);
    return rc ? rc : open_providers(cx, ex, o);
}

/* One line that names them all, most useful first: "3 nodes have no provider: 'a' (Foo-1): no kernel; ..." */
static int report_unplaced(struct cx *cx, const struct exec *ex, const struct unplaced *bad, size_t n)
{
    int code = ex->strict ? E_DECLINED : E_UNSUPPORTED;
    struct str s = {0};
    char op[96];
    size_t shown = 0;
    for (; shown < n && s.n < ERR_MSG - 200; shown++)
        str_addf(&s, "%s'%s' (%s): %s", shown ? "; " : "", node_label(bad[shown].node),
                 node_op_text(bad[shown].node, op, sizeof op), bad[shown].why);
    if (shown < n)
        str_addf(&s, "; and %zu more", n - shown);
    for (size_t i = 0; i < n; i++)
        log_msg(cx, LOG_INFO, "not supported: node '%s' (%s) at +0x%llx: %s", node_label(bad[i].node),
                node_op_text(bad[i].node, op, sizeof op), (unsigned long long)bad[i].node->loc, bad[i].why);
    if (ex->strict)
        err_set(cx, code, "provider %s declined %zu node%s: %s", ex->prov[0]->name, n, n == 1 ? "" : "s",
                str_text(&s));
    else
        err_set(cx, code, "%zu node%s cannot run here: %s", n, n == 1 ? "" : "s", str_text(&s));
    str_free(&s);
    return code;
}

static int place(struct cx *cx, struct session *s)
{
    struct unplaced *bad;
    size_t nbad;
    int rc = exec_partition(cx, &s->ex, &bad, &nbad);
    if (rc)
        return rc;
    if (nbad)
        return report_unplaced(cx, &s->ex, bad, nbad);
    return OK;
}

static int check_pass_names(struct cx *cx, const char *const *skip)
{
    size_t n;
    const struct pass *all = pass_all(&n);
    for (; skip && *skip; skip++) {
        if (pass_find(*skip))
            continue;
        const char **names = arena_array(&cx->scratch, n, sizeof *names);
        if (!names)
            return err_nomem(cx);
        for (size_t i = 0; i < n; i++)
            names[i] = all[i].name;
        const char *near = nearest_name(*skip, names, n);
        return err_set(cx, E_USAGE, "--skip-pass: no pass '%s'%s%s%s", *skip,
                       near ? "; did you mean '" : "; --list passes has them", near ? near : "",
                       near ? "'?" : "");
    }
    return OK;
}

static int prepare(struct cx *cx, struct session *s, const struct session_opts *o)
{
    size_t npasses;
    pass_all(&npasses);
    s->stats = arena_array(&s->ex.arena, npasses, sizeof *s->stats);
    struct pass_ctx pc = {.cx = cx, .m = s->m, .ex = &s->ex, .keep = o->keep, .limit = -1};
    struct pass_select sel = {.level = o->level, .machine = o->level > OPT_NONE, .skip = o->skip_pass};
    int rc = s->stats ? check_pass_names(cx, o->skip_pass) : err_nomem(cx);
    if (!rc)
        rc = check_before_run(cx, s->m);
    if (!rc)
        rc = drop_defaults(cx, s->m, o->feed_defaults);
    if (!rc)
        rc = ops_resolve(cx, s->m);
    if (!rc)
        rc = passes_run(&pc, &sel, s->stats);
    if (!rc)
        rc = place(cx, s);
    return rc ? rc : exec_bind(cx, &s->ex);
}

static const char opset_assumed[] = "no operator set is imported: version 1 of ai.onnx is assumed";

int session_new(struct cx *cx, struct model *m, const struct session_opts *o, struct session **out)
{
    double t0 = time_now();
    struct session *s = mem_zalloc(sizeof *s);
    if (!s) {
        model_free(m);
        return err_nomem(cx);
    }
    s->m = m;
    s->level = o->level;
    struct arena_mark mark = arena_mark(&cx->scratch);
    int rc = exec_setup(cx, s, o);
    if (!rc)
        rc = prepare(cx, s, o);
    arena_release(&cx->scratch, mark);
    if (rc) {
        if (m->opset_assumed && rc != E_NOMEM)
            err_frame(cx, "%s", opset_assumed);
        session_free(s);
        return rc;
    }
    if (m->opset_assumed)
        log_msg(cx, LOG_WARN, "%s", opset_assumed);
    s->load_seconds = time_now() - t0;
    *out = s;
    return OK;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    exec_free(&s->ex);
    model_free(s->m);
    free(s);
}

size_t session_ninputs(const struct session *s)
{
    return s->ex.main->nins;
}

const struct value *session_input(const struct session *s, size_t i)
{
    return s->ex.main->slots[s->ex.main->ins[i]].value;
}

size_t session_noutputs(const struct session *s)
{
    return s->ex.main->nouts;
}

const struct value *session_output(const struct session *s, size_t i)
{
    return s->m->graph->outs[i];
}

/* One dim against its declaration; symbols are bound as they are met. */
static int check_dim(struct cx *cx, struct session *s, const struct value *v, int axis, int64_t have)
{
    struct dim want = v->declared->dims[axis];
    char text[128];
    if (want.kind == DIM_UNKNOWN)
        return OK;
    if (binding_set(s->m->syms, &cx->scratch, &s->dims, want, have))
        return OK;
    if (binding_open(s->m->syms, &s->dims, want)) /* nothing stands against it: memory ran out */
        return err_nomem(cx);
    struct dim bound = dim_eval(s->m->syms, &s->dims, want);
    dim_text(want, text, sizeof text);
    if (want.kind == DIM_CONST)
        return err_set(cx, E_SHAPE, "input '%s': axis %d is %lld, the model has it fixed at %s", v->name,
                       axis, (long long)have, text);
    char now[64];
    return err_set(cx, E_SHAPE, "input '%s': axis %d is %lld, but '%s' is %s by the inputs before it",
                   v->name, axis, (long long)have, text, dim_text(bound, now, sizeof now));
}

static bool has_dims(const struct type *ty, const struct tensor *t)
{
    bool same = ty->rank < 0 || ty->rank == t->rank;
    for (int i = 0; same && i < ty->rank; i++)
        same = ty->dims[i].kind != DIM_CONST || ty->dims[i].v == t->dims[i];
    return same;
}

/* Whether t is a ty; what stands in the way is its innermost status. Symbols are not bound: items of a
 * sequence may differ in size. */
static int fits(const struct type *ty, const struct tensor *t)
{
    static const enum rt_kind kind[] = {
        [TY_TENSOR] = RT_TENSOR, [TY_SPARSE] = RT_TENSOR, [TY_SEQ] = RT_SEQ,
        [TY_OPT] = RT_OPT,       [TY_MAP] = RT_MAP,       [TY_OPAQUE] = RT_TENSOR};
    if (!ty || ty->kind == TY_NONE)
        return OK;
    if (ty->kind == TY_OPT && t->kind != RT_OPT) /* present, not wrapped */
        return fits(ty->elem, t);
    if (kind[ty->kind] != t->kind)
        return E_TYPE;
    if (ty->kind == TY_TENSOR)
        return ty->dt != t->dt ? E_TYPE : has_dims(ty, t) ? OK : E_SHAPE;
    if (t->kind == RT_TENSOR)
        return OK;
    if (t->kind == RT_MAP && t->seq->n && (ty->dt == DT_STRING) != (t->seq->keys.dt == DT_STRING))
        return E_TYPE;
    int rc = OK;
    for (size_t i = 0; i < t->seq->n && !rc; i++)
        rc = fits(ty->elem, &t->seq->items[i]);
    return rc;
}

int value_fits(struct cx *cx, const char *what, const struct type *ty, const struct tensor *t)
{
    char want[256], have[256];
    int rc = fits(ty, t);
    return rc ? err_set(cx, rc, "%s is %s, the model takes %s", what, tensor_type_text(t, have, sizeof have),
                        type_text(ty, want, sizeof want))
              : OK;
}

static int check_input(struct cx *cx, struct session *s, const struct value *v, const struct tensor *t)
{
    char what[256];
    const struct type *ty = v->declared;
    bool plain = ty && ty->kind == TY_TENSOR && t->kind == RT_TENSOR && ty->dt == t->dt &&
                 (ty->rank < 0 || ty->rank == t->rank);
    snprintf(what, sizeof what, "input '%s'", v->name);
    if (!plain)
        return value_fits(cx, what, ty, t);
    int rc = OK;
    for (int i = 0; i < ty->rank && !rc; i++)
        rc = check_dim(cx, s, v, i, t->dims[i]);
    return rc;
}

int session_check_inputs(struct cx *cx, struct session *s, const struct tensor *ins)
{
    struct arena_mark m = arena_mark(&cx->scratch);
    s->dims = (struct binding){0};
    int rc = OK;
    for (size_t i = 0; i < session_ninputs(s) && !rc; i++)
        rc = check_input(cx, s, session_input(s, i), &ins[i]);
    s->dims = (struct binding){0};
    arena_release(&cx->scratch, m);
    return rc;
}

/* Of the call's arena: it stays, so that small things at each run are no allocation. */
enum { SCRATCH_KEPT = 16 << 10 };

int session_run(struct cx *cx, struct session *s, const struct tensor *ins, const struct tensor **outs)
{
    int rc = arena_reserve(&cx->scratch, SCRATCH_KEPT) ? session_check_inputs(cx, s, ins) : err_nomem(cx);
    return rc ? rc : exec_run(cx, &s->ex, ins, outs);
}
