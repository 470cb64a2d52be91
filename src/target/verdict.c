/* Puts limits and placements together. Three things that are easily taken for one another stay apart: numbers
 * that are beyond what the target reads (the file is refused), operators that one provider has no kernel for
 * (they fall back), and operators that nothing in the target runs (they must be rewritten). */
#include "target/verdict.h"

#include <stdlib.h>
#include <string.h>

const char *verdict_name(enum verdict_kind k)
{
    static const char *const names[] = {"runs", "unknown", "runs with fallback", "fails to load"};
    return names[k];
}

/* ---- limits ---- */

static enum limit_result compare(int64_t model, const struct limit *l, bool strict)
{
    if (l->sure && model <= l->sure)
        return LIMIT_OK;
    if (l->most && model > l->most && strict)
        return LIMIT_REFUSED;
    return LIMIT_UNKNOWN;
}

/* The number that t states about a domain; NULL: it is not the kind of domain that has one. */
static const struct limit *limit_of(const struct target *t, const char *domain)
{
    if (!*domain)
        return &t->opset;
    return strcmp(domain, "ai.onnx.ml") == 0 ? &t->ml : NULL;
}

static void check_import(struct verdict *v, const struct opset *o, const char *function)
{
    const struct target *t = v->t;
    const struct limit *l = limit_of(t, o->domain);
    bool asked = t->kind != TARGET_LIMIT || (l && l->most);
    if (!l || !asked || (t->kind == TARGET_LIST && l == &t->ml && !l->most))
        return;
    struct limit_check *c = &v->limits[v->nlimits++];
    *c = (struct limit_check){.what = *o->domain ? "ml" : "opset",
                              .domain = domain_text(o->domain),
                              .function = function,
                              .model = o->version,
                              .accepts = *l,
                              .result = compare(o->version, l, t->strict)};
    /* A newest opset that is documented says nothing about older ones that are not. */
    if (t->lo && t->lo->min_opset && !*o->domain && o->version < t->lo->min_opset)
        c->result = LIMIT_UNKNOWN;
}

static void check_ir(struct verdict *v)
{
    const struct target *t = v->t;
    if (t->kind == TARGET_SELF || (t->kind != TARGET_ORT && !t->ir.most))
        return;
    v->limits[v->nlimits++] = (struct limit_check){.what = "ir",
                                                   .domain = "",
                                                   .function = "",
                                                   .model = v->s->m->ir_version,
                                                   .accepts = t->ir,
                                                   .result = compare(v->s->m->ir_version, &t->ir, t->strict)};
}

static int check_limits(struct cx *cx, struct verdict *v)
{
    const struct model *m = v->s->m;
    size_t n = m->nopsets + 1;
    for (size_t i = 0; i < m->nfuncs; i++)
        n += m->funcs[i]->nopsets;
    v->limits = arena_array(&v->arena, n, sizeof *v->limits);
    if (!v->limits)
        return err_nomem(cx);
    for (size_t i = 0; i < m->nopsets; i++)
        check_import(v, &m->opsets[i], "");
    for (size_t i = 0; i < m->nfuncs; i++)
        for (size_t k = 0; k < m->funcs[i]->nopsets; k++)
            if (m->funcs[i]->opsets[k].version != graph_opset(m->graph, m->funcs[i]->opsets[k].domain))
                check_import(v, &m->funcs[i]->opsets[k], m->funcs[i]->name);
    check_ir(v);
    return OK;
}

/* ---- kinds ---- */

/* The opset that counts for k on the target: the model's, or the newest that the target has when that is too
 * new; a release that does not refuse it reads the node as of that one. */
static int64_t opset_there(const struct verdict *v, const struct kind *k)
{
    const struct limit *l = limit_of(v->t, k->domain);
    return l && l->most && k->opset > l->most ? l->most : k->opset;
}

/* The version that the target's own operator set gives at that opset. */
static const struct op_version *version_there(const struct facts *f, const struct target *t,
                                              const struct kind *k, int64_t opset)
{
    const struct op_version *v = opset == k->opset ? k->ver : schema_find(k->domain, k->op, opset);
    if (v && t->kind == TARGET_ORT && t->hi && facts_came_late(f, v->domain, v->name, v->since, &t->hi->onnx))
        v = schema_find(v->domain, v->name, v->since - 1);
    return v;
}

static int answer_kind(struct cx *cx, const struct facts *f, struct verdict *v, const struct kind *k,
                       struct kind_answer *out)
{
    int64_t opset = opset_there(v, k);
    bool lowered = opset != k->opset;
    out->there = k->call ? NULL : version_there(f, v->t, k, opset);
    if (lowered && !k->call && (!out->there || out->there->flags & SF_DEPRECATED)) {
        out->need = NEED_REWRITE;
        out->there = NULL;
        out->p = (struct placement){.fit = FIT_MISSING, .src = -1, .why = "", .declined = ""};
        return OK;
    }
    out->need = lowered && v->t->strict && out->there != k->ver ? NEED_OLDER : NEED_NOTHING;
    int rc = place_kind(cx, &v->arena, f, v->t, k, out->there, opset, &out->p);
    if (!rc && out->p.fit == FIT_MISSING && v->t->kind != TARGET_LIMIT)
        out->need = NEED_REWRITE;
    return rc;
}

static int answer_all(struct cx *cx, const struct facts *f, struct verdict *v)
{
    const struct survey *s = v->s;
    int rc = OK;
    v->answers = arena_array(&v->arena, s->nkinds + 1, sizeof *v->answers);
    if (!v->answers)
        return err_nomem(cx);
    for (size_t i = 0; i < s->nkinds && !rc; i++) {
        rc = answer_kind(cx, f, v, &s->kinds[i], &v->answers[i]);
        v->rewrite += v->answers[i].need == NEED_REWRITE;
        v->older += v->answers[i].need == NEED_OLDER;
    }
    return rc;
}

/* ---- nodes ---- */

enum side { SIDE_NONE, SIDE_HOST, SIDE_DEVICE };

/* Shape arithmetic and what is folded stay out of the count. */
static enum side side_of(const struct verdict *v, const struct item *it)
{
    const struct kind_answer *a = &v->answers[it->kind];
    if (it->flags & (ITEM_CONSTANT | ITEM_FOLDED | ITEM_SHAPE) || a->p.src < 0 || a->p.fit == FIT_NONE ||
        a->p.fit == FIT_MISSING || a->p.fit == FIT_UNKNOWN)
        return SIDE_NONE;
    return a->p.src == (int)v->t->nsrc - 1 ? SIDE_HOST : SIDE_DEVICE;
}

static bool has_device(const struct target *t)
{
    return t->kind == TARGET_ORT && t->nsrc > 1 && strcmp(t->src[0].rt->name, "cpu") != 0;
}

bool verdict_falls_back(const struct verdict *v, const struct item *it)
{
    return has_device(v->t) && side_of(v, it) == SIDE_HOST;
}

const char *verdict_place(const struct verdict *v, const struct item *it)
{
    const struct placement *p = &v->answers[it->kind].p;
    if (v->t->kind == TARGET_SELF)
        return p->fit == FIT_KERNEL ? "cpu" : NULL;
    if (it->flags & (ITEM_FOLDED | ITEM_SHAPE) && v->t->kind == TARGET_ORT && p->fit != FIT_MISSING &&
        (p->fit != FIT_UNKNOWN || p->may_load))
        return "cpu";
    return p->src < 0 || p->fit == FIT_NONE ? NULL : v->t->src[p->src].rt->name;
}

/* Values that one side makes and the other reads: ONNX Runtime copies each of them once a direction. */
static int count_boundaries(struct cx *cx, struct verdict *v)
{
    const struct survey *s = v->s;
    size_t n = (size_t)s->m->nvalues + 1;
    int32_t *seen = arena_array(&cx->scratch, 2 * n, sizeof *seen);
    if (!seen)
        return err_nomem(cx);
    for (size_t i = 0; i < s->nitems; i++) {
        const struct item *it = &s->items[i];
        enum side here = side_of(v, it);
        for (int k = 0; k < it->n->nin && here; k++) {
            int32_t from = it->from[k];
            enum side there = from < 0 ? SIDE_NONE : side_of(v, &s->items[from]);
            if (!there || there == here)
                continue;
            int32_t *mark = &seen[2 * (size_t)it->n->in[k]->id + (here == SIDE_HOST)];
            v->boundaries += *mark != from + 1;
            *mark = from + 1;
        }
    }
    return OK;
}

/* Work that is not known elsewhere can only make the share smaller; in what falls back, the share is not
 * known. */
static int count_nodes(struct cx *cx, struct verdict *v)
{
    const struct survey *s = v->s;
    double work = 0;
    v->share_known = true;
    for (size_t i = 0; i < s->nitems; i++) {
        const struct item *it = &s->items[i];
        const struct kind_answer *a = &v->answers[it->kind];
        v->fits[a->p.fit]++;
        v->nodes += a->p.fit != FIT_NONE;
        v->folded += (it->flags & ITEM_FOLDED) != 0;
        v->shape += (it->flags & ITEM_SHAPE) != 0;
        if (!verdict_falls_back(v, it))
            continue;
        v->fallback++;
        v->answers[it->kind].gap = true;
        v->share_known = v->share_known && it->flops >= 0;
        work += it->flops > 0 ? (double)it->flops : 0;
    }
    v->share = s->flops > 0 ? work / (double)s->flops : 0;
    return has_device(v->t) && v->fallback ? count_boundaries(cx, v) : OK;
}

/* ---- the verdict ---- */

static void decide_loads(struct verdict *v)
{
    bool list = v->t->kind == TARGET_LIST; /* which promises nothing */
    v->loads = v->s->cut ? LOADS_UNKNOWN : LOADS_YES;
    for (size_t i = 0; i < v->nlimits; i++) {
        if (v->limits[i].result == LIMIT_REFUSED)
            v->loads = LOADS_NO;
        else if (v->limits[i].result == LIMIT_UNKNOWN && v->loads == LOADS_YES)
            v->loads = LOADS_UNKNOWN;
    }
    for (size_t i = 0; i < v->s->nkinds; i++) {
        const struct placement *p = &v->answers[i].p;
        if (p->fit == FIT_MISSING)
            v->loads = LOADS_NO;
        else if (((p->fit == FIT_UNKNOWN && !p->may_load) || (p->fit == FIT_LISTED && list)) &&
                 v->loads == LOADS_YES)
            v->loads = LOADS_UNKNOWN;
    }
}

static void decide(struct verdict *v)
{
    decide_loads(v);
    if (v->loads == LOADS_NO)
        v->kind = VERDICT_FAILS;
    else if (v->loads == LOADS_UNKNOWN)
        v->kind = VERDICT_UNKNOWN;
    else if (v->fallback)
        v->kind = VERDICT_FALLBACK;
    else if (v->fits[FIT_UNKNOWN] || v->fits[FIT_LISTED])
        v->kind = VERDICT_UNKNOWN;
    else
        v->kind = VERDICT_RUNS;
}

int verdict_new(struct cx *cx, const struct facts *f, const struct survey *s, const struct target *t,
                bool fixes, struct verdict **out)
{
    struct verdict *v = mem_zalloc(sizeof *v);
    if (!v)
        return err_nomem(cx);
    v->s = s;
    v->t = t;
    v->reason = "";
    int rc = check_limits(cx, v);
    if (!rc)
        rc = answer_all(cx, f, v);
    if (!rc)
        rc = count_nodes(cx, v);
    if (!rc) {
        decide(v);
        rc = verdict_explain(cx, f, v, fixes);
    }
    if (rc)
        verdict_free(v);
    else
        *out = v;
    return rc;
}

void verdict_free(struct verdict *v)
{
    if (!v)
        return;
    arena_free(&v->arena);
    free(v);
}
