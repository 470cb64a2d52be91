/* The public interface: where a model runs. */
#include "api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "session/feed.h"
#include "target/minimum.h"
#include "target/observed.h"
#include "target/verdict.h"

struct ot_facts {
    struct facts *f;
};

struct ot_fit {
    struct arena arena;
    struct survey *s;
    struct ot_import *imports;
    struct minimum min;
};

/* Kinds that a report shows as one row. */
struct op_row {
    const struct kind *k;
    const struct kind_answer *a;
    size_t nodes, fallback, shape, folded;
};

struct ot_verdict {
    struct verdict *v;
    struct target t;
    struct arena arena;
    struct op_row *ops;
    const char **providers;
    size_t nops;
};

/* ---- facts ---- */

int ot_facts_new(ot_ctx *c, const char *const *files, ot_facts **out)
{
    ot_facts *f = mem_zalloc(sizeof *f);
    int rc = f ? facts_new(&c->cx, &f->f) : err_nomem(&c->cx);
    for (size_t i = 0; !rc && files && files[i]; i++)
        rc = facts_read(&c->cx, f->f, files[i], NULL);
    if (rc)
        ot_facts_free(f);
    else
        *out = f;
    return api_end(c, rc);
}

void ot_facts_free(ot_facts *f)
{
    if (!f)
        return;
    facts_free(f->f);
    free(f);
}

const char *ot_facts_date(const ot_facts *f)
{
    return f->f->date;
}

const char *ot_tables_date(void)
{
    return facts_date();
}

static bool names_file(const char *target)
{
    size_t n = strlen(target);
    return (n > 5 && strcmp(target + n - 5, ".json") == 0) || strchr(target, '/');
}

int ot_facts_targets(ot_ctx *c, ot_facts *f, const char *target, const char *const **out)
{
    struct target t;
    if (names_file(target))
        return api_end(c, facts_read(&c->cx, f->f, target, out));
    int rc = target_parse(&c->cx, f->f, target, NULL, 0, &t);
    if (rc)
        return api_end(c, rc);
    const char **v = arena_array(&f->f->arena, 2, sizeof *v);
    if (!v || !(v[0] = arena_strdup(&f->f->arena, target)))
        return api_end(c, err_nomem(&c->cx));
    *out = v;
    return api_end(c, OK);
}

int ot_facts_releases(ot_ctx *c, ot_facts *f, const char *runtime, const char *const **out)
{
    size_t n;
    const char *const *v;
    int rc = target_releases(&c->cx, f->f, runtime, &v, &n);
    if (!rc)
        *out = v;
    return api_end(c, rc);
}

int ot_facts_export(ot_ctx *c, ot_facts *f, const char *target, const char **json)
{
    struct target t;
    int rc = target_parse(&c->cx, f->f, target, NULL, 0, &t);
    if (!rc)
        rc = facts_export(&c->cx, f->f, &t, json);
    return api_end(c, rc);
}

static void release_range(const struct facts *f, const char *runtime, struct ot_runtime *out)
{
    struct fact_version lo = {{0}, 0, false}, hi = lo;
    for (size_t i = 0; i < f->nreleases; i++)
        if (strcmp(f->releases[i].runtime, runtime) == 0 && f->releases[i].v.n) {
            if (!*out->oldest)
                out->oldest = f->releases[i].version;
            out->newest = f->releases[i].version;
        }
    for (size_t i = 0; i < f->nbundles; i++) {
        const struct fact_bundle *b = &f->bundles[i];
        if (strcmp(b->runtime, runtime) != 0 || strcmp(b->holds, "ort") != 0)
            continue;
        if (!lo.n || version_cmp(&b->v, &lo) < 0) {
            lo = b->v;
            out->oldest = b->version;
        }
        if (!hi.n || version_cmp(&b->v, &hi) > 0) {
            hi = b->v;
            out->newest = b->version;
        }
    }
}

bool ot_facts_runtime(const ot_facts *f, size_t i, struct ot_runtime *out)
{
    if (i >= f->f->nruntimes)
        return false;
    const struct fact_runtime *r = f->f->runtimes[i];
    *out = (struct ot_runtime){.name = r->name,
                               .aliases = r->aliases,
                               .remark = r->remark,
                               .oldest = "",
                               .newest = "",
                               .provider = r->provider,
                               .list = r->known == KNOWN_LIST};
    if (!r->provider)
        release_range(f->f, r->name, out);
    return true;
}

/* ---- a model ---- */

static int fill_imports(struct cx *cx, ot_fit *t)
{
    const struct model *m = t->s->m;
    t->imports = arena_array(&t->arena, m->nopsets + 1, sizeof *t->imports);
    if (!t->imports)
        return err_nomem(cx);
    for (size_t i = 0; i < m->nopsets; i++)
        t->imports[i] = (struct ot_import){domain_text(m->opsets[i].domain), m->opsets[i].version,
                                           schema_newest_opset(m->opsets[i].domain)};
    return OK;
}

int ot_fit_new(ot_ctx *c, ot_model *m, const char *const *dims, const char *const *shapes, ot_fit **out)
{
    struct feed *feed = NULL;
    ot_fit *t = mem_zalloc(sizeof *t);
    int rc = t ? OK : err_nomem(&c->cx);
    /* Sizes are given by symbol or by input, and looked up among the operators' inputs. */
    if (!rc && ((dims && *dims) || (shapes && *shapes))) {
        rc = ops_resolve(&c->cx, m->m);
        if (!rc)
            rc = feed_new(&c->cx, m->m, &(struct feed_opts){.dims = dims, .shapes = shapes}, &feed);
    }
    if (!rc)
        rc = survey_new(&c->cx, m->m, feed, &t->s);
    if (!rc)
        rc = fill_imports(&c->cx, t);
    feed_free(feed);
    if (rc)
        ot_fit_free(t);
    else
        *out = t;
    return api_end(c, rc);
}

void ot_fit_free(ot_fit *t)
{
    if (!t)
        return;
    survey_free(t->s);
    arena_free(&t->arena);
    free(t);
}

static bool needs_kernel(const struct kind *k)
{
    return !k->call && (*k->domain || strcmp(k->op, "Constant") != 0);
}

void ot_fit_summary(const ot_fit *t, struct ot_fit_summary *out)
{
    const struct survey *s = t->s;
    *out = (struct ot_fit_summary){
        .ir_version = s->m->ir_version, .imports = t->imports, .nimports = s->m->nopsets, .flops = s->flops};
    for (size_t i = 0; i < s->nkinds; i++)
        out->nodes += needs_kernel(&s->kinds[i]) ? s->kinds[i].count : 0;
}

int ot_fit_minimum(ot_ctx *c, ot_fit *t, const ot_facts *f, struct ot_minimum *out)
{
    int rc = minimum_find(&c->cx, &t->arena, f->f, t->s, &t->min);
    const struct minimum *m = &t->min;
    if (!rc)
        *out = (struct ot_minimum){.opset = m->opset,
                                   .ml = m->ml,
                                   .now = m->now,
                                   .ml_now = m->ml_now,
                                   .ir = m->ir,
                                   .ir_why = m->ir_why,
                                   .nodes = m->nrows,
                                   .unknown = m->unknown,
                                   .renumbered = m->renumbered};
    return api_end(c, rc);
}

void ot_fit_need(const ot_fit *t, size_t i, struct ot_need *out)
{
    const struct need_row *r = &t->min.rows[i];
    const struct item *it = &t->s->items[r->item];
    *out = (struct ot_need){.name = node_label(it->n),
                            .domain = domain_text(it->n->domain),
                            .op = it->n->op_type,
                            .since = r->since,
                            .lowest = r->lowest,
                            .why = r->why};
}

/* ---- a verdict ---- */

static int row_cmp(const void *pa, const void *pb)
{
    const struct op_row *x = pa, *y = pb;
    int c = strcmp(x->k->domain, y->k->domain);
    c = c ? c : strcmp(x->k->op, y->k->op);
    c = c ? c : kind_since(x->k) - kind_since(y->k);
    c = c ? c : (int)x->a->p.fit - (int)y->a->p.fit;
    c = c ? c : x->a->p.src - y->a->p.src;
    c = c ? c : strcmp(x->a->p.why, y->a->p.why);
    return c ? c : strcmp(x->a->p.declined, y->a->p.declined);
}

/* Puts rows that look the same together. */
static void merge_rows(ot_verdict *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->nops; i++) {
        if (n && row_cmp(&v->ops[n - 1], &v->ops[i]) == 0) {
            v->ops[n - 1].nodes += v->ops[i].nodes;
            v->ops[n - 1].fallback += v->ops[i].fallback;
            v->ops[n - 1].shape += v->ops[i].shape;
            v->ops[n - 1].folded += v->ops[i].folded;
        } else {
            v->ops[n++] = v->ops[i];
        }
    }
    v->nops = n;
}

static int make_rows(struct cx *cx, ot_verdict *v)
{
    const struct survey *s = v->v->s;
    v->ops = arena_array(&v->arena, s->nkinds + 1, sizeof *v->ops);
    v->providers = arena_array(&v->arena, v->t.nsrc + 1, sizeof *v->providers);
    if (!v->ops || !v->providers)
        return err_nomem(cx);
    for (size_t i = 0; i < v->t.nsrc; i++)
        v->providers[i] = v->t.src[i].rt->name;
    for (size_t i = 0; i < s->nkinds; i++)
        v->ops[i] = (struct op_row){.k = &s->kinds[i], .a = &v->v->answers[i], .nodes = s->kinds[i].count};
    for (size_t i = 0; i < s->nitems; i++) {
        struct op_row *r = &v->ops[s->items[i].kind];
        r->fallback += verdict_falls_back(v->v, &s->items[i]);
        r->shape += (s->items[i].flags & ITEM_SHAPE) != 0;
        r->folded += (s->items[i].flags & ITEM_FOLDED) != 0;
    }
    for (size_t i = 0; i < s->nkinds; i++)
        if (needs_kernel(&s->kinds[i]))
            v->ops[v->nops++] = v->ops[i];
    qsort(v->ops, v->nops, sizeof *v->ops, row_cmp);
    merge_rows(v);
    return OK;
}

int ot_fit_check(ot_ctx *c, ot_fit *t, ot_facts *f, const char *target, const char *const *providers,
                 bool advice, ot_verdict **out)
{
    size_t n = 0;
    ot_verdict *v = mem_zalloc(sizeof *v);
    while (providers && providers[n])
        n++;
    int rc = v ? target_parse(&c->cx, f->f, target, providers, n, &v->t) : err_nomem(&c->cx);
    if (!rc)
        rc = verdict_new(&c->cx, f->f, t->s, &v->t, advice, &v->v);
    if (!rc)
        rc = make_rows(&c->cx, v);
    if (rc)
        ot_verdict_free(v);
    else
        *out = v;
    return api_end(c, rc);
}

void ot_verdict_free(ot_verdict *v)
{
    if (!v)
        return;
    verdict_free(v->v);
    arena_free(&v->arena);
    free(v);
}

static void fill_counts(const struct verdict *v, struct ot_verdict_summary *out)
{
    out->nodes = v->nodes;
    out->kernel = v->fits[FIT_KERNEL];
    out->body = v->fits[FIT_BODY];
    out->casts = v->fits[FIT_CASTS];
    out->listed = v->fits[FIT_LISTED];
    out->missing = v->fits[FIT_MISSING];
    out->unknown = v->fits[FIT_UNKNOWN];
    out->constant = v->fits[FIT_NONE];
    out->folded = v->folded;
    out->shape = v->shape;
    out->fallback = v->fallback;
    out->boundaries = v->boundaries;
    out->share = v->share_known ? v->share : NAN;
}

void ot_verdict_summary(const ot_verdict *v, struct ot_verdict_summary *out)
{
    static const char *const loads[] = {"yes", "unknown", "no"};
    static const char *const known[] = {"exact", "inferred", "newer", "older", "unlisted"};
    const struct verdict *x = v->v;
    const struct target *t = &v->t;
    *out = (struct ot_verdict_summary){.kind = (enum ot_verdict_kind)x->kind,
                                       .verdict = verdict_name(x->kind),
                                       .loads = loads[x->loads],
                                       .target = t->text,
                                       .runtime = t->runtime,
                                       .release = t->release,
                                       .known = known[t->known],
                                       .tried = t->known == TARGET_EXACT && t->lo ? t->lo->tried : "",
                                       .through = t->through,
                                       .reason = x->reason,
                                       .fixes = x->fixes,
                                       .providers = v->providers,
                                       .nfixes = x->nfixes,
                                       .nproviders = t->nsrc,
                                       .nlimits = x->nlimits};
    if (t->known == TARGET_INFERRED) {
        out->inferred[0] = t->lo->version;
        out->inferred[1] = t->hi->version;
    }
    fill_counts(x, out);
}

void ot_verdict_limit(const ot_verdict *v, size_t i, struct ot_limit *out)
{
    static const char *const results[] = {"ok", "unknown", "refused"};
    const struct limit_check *l = &v->v->limits[i];
    *out = (struct ot_limit){.what = l->what,
                             .domain = l->domain,
                             .function = l->function,
                             .model = l->model,
                             .accepts = l->accepts.sure,
                             .up_to = l->accepts.most,
                             .result = results[l->result]};
}

size_t ot_verdict_nops(const ot_verdict *v)
{
    return v->nops;
}

void ot_verdict_op(const ot_verdict *v, size_t i, struct ot_fit_op *out)
{
    static const char *const needs[] = {"", "older version", "rewrite"};
    const struct op_row *r = &v->ops[i];
    const struct placement *p = &r->a->p;
    *out =
        (struct ot_fit_op){.domain = domain_text(r->k->domain),
                           .op = r->k->op,
                           .version = kind_since(r->k),
                           .there = r->a->there ? r->a->there->since : 0,
                           .need = needs[r->a->need],
                           .fit = fit_name(p->fit),
                           .provider = p->src >= 0 && p->fit != FIT_NONE ? v->t.src[p->src].rt->name : NULL,
                           .why = p->why,
                           .declined = p->declined,
                           .inferred = p->inferred,
                           .nodes = r->nodes,
                           .fallback = r->fallback,
                           .shape = r->shape,
                           .folded = r->folded};
}

size_t ot_verdict_nnodes(const ot_verdict *v)
{
    return v->v->s->nitems;
}

static const char *item_fit(const struct kind *k, const struct placement *p)
{
    return k->call ? "function" : needs_kernel(k) ? fit_name(p->fit) : "constant";
}

void ot_verdict_node(const ot_verdict *v, size_t i, struct ot_fit_node *out)
{
    const struct item *it = &v->v->s->items[i];
    const struct kind *k = &v->v->s->kinds[it->kind];
    const struct placement *p = &v->v->answers[it->kind].p;
    const struct node *n = it->n;
    *out = (struct ot_fit_node){.name = n->name,
                                .first_output = n->nout && n->out[0] ? n->out[0]->name : "",
                                .domain = domain_text(n->domain),
                                .op = n->op_type,
                                .graph = n->graph->func ? n->graph->func->name : n->graph->name,
                                .version = kind_since(k),
                                .depth = it->depth,
                                .function = (it->flags & ITEM_FUNCTION) != 0,
                                .shape = (it->flags & ITEM_SHAPE) != 0,
                                .folded = (it->flags & ITEM_FOLDED) != 0,
                                .fallback = verdict_falls_back(v->v, it),
                                .flops = it->flops,
                                .fit = item_fit(k, p),
                                .provider = verdict_place(v->v, it),
                                .why = p->why};
}

/* ---- what was seen ---- */

struct ot_observed {
    struct observed o;
};

int ot_observed_read(ot_ctx *c, const char *path, ot_observed **out)
{
    ot_observed *o = mem_zalloc(sizeof *o);
    int rc = o ? observed_read(&c->cx, path, &o->o) : err_nomem(&c->cx);
    if (rc)
        free(o);
    else
        *out = o;
    return api_end(c, rc);
}

void ot_observed_free(ot_observed *o)
{
    if (!o)
        return;
    arena_free(&o->o.arena);
    free(o);
}

size_t ot_observed_count(const ot_observed *o)
{
    return o->o.n;
}

void ot_observed_node(const ot_observed *o, size_t i, struct ot_observed_node *out)
{
    const struct observed_node *n = &o->o.nodes[i];
    *out = (struct ot_observed_node){n->name, n->op, n->provider, n->us * 1e-6, n->calls};
}

const char *ot_observed_find(const ot_observed *o, const struct ot_fit_node *node)
{
    const struct observed_node *n = !*node->name     ? NULL
                                    : node->function ? observed_inlined(&o->o, node->graph, node->name)
                                                     : observed_find(&o->o, node->name);
    return n ? n->provider : NULL;
}
