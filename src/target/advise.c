/* Says in a sentence why the verdict is what it is, and what to do about it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "target/minimum.h"
#include "target/verdict.h"

struct advice {
    struct cx *cx;
    const struct facts *f;
    struct verdict *v;
    struct minimum min;
};

static void fix(struct advice *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Notes one thing to do; those beyond the limit, and what memory does not hold, are left out. */
static void fix(struct advice *a, const char *fmt, ...)
{
    va_list ap;
    if (a->v->nfixes == FIXES_MAX)
        return;
    va_start(ap, fmt);
    const char *s = arena_vprintf(&a->v->arena, fmt, ap);
    va_end(ap);
    if (s)
        a->v->fixes[a->v->nfixes++] = s;
}

/* ---- lists of operators ---- */

/* Operators that a sentence names, and those that it counts. */
enum { NAMED_MAX = 6, COUNTED_MAX = 1000 };

/* Whether kind i is the first of its operator and version among those that want() holds for. */
typedef bool want_fn(const struct verdict *v, size_t kind);

static bool same_op(const struct kind *a, const struct kind *b)
{
    return a->ver == b->ver && strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0;
}

static bool first_of(const struct verdict *v, size_t i, want_fn *want)
{
    const struct kind *all = v->s->kinds;
    for (size_t k = 0; k < i; k++)
        if (same_op(&all[k], &all[i]) && want(v, k))
            return false;
    return true;
}

static size_t nodes_of(const struct verdict *v, size_t i, want_fn *want)
{
    const struct kind *all = v->s->kinds;
    size_t n = 0;
    for (size_t k = i; k < v->s->nkinds; k++)
        n += same_op(&all[k], &all[i]) && want(v, k) ? all[k].count : 0;
    return n;
}

/* "Gelu-20 (4 nodes), Attention-23 (1)" appended; how many operators there are. */
static size_t add_ops(struct str *s, const struct verdict *v, want_fn *want)
{
    size_t n = 0;
    for (size_t i = 0; i < v->s->nkinds && n < COUNTED_MAX; i++) {
        const struct kind *k = &v->s->kinds[i];
        if (!want(v, i) || !first_of(v, i, want))
            continue;
        if (n++ >= NAMED_MAX)
            continue;
        str_add(s, n > 1 ? ", " : "");
        if (*k->domain) {
            str_add_escaped(s, k->domain, strlen(k->domain));
            str_addc(s, '.');
        }
        str_add_escaped(s, k->op, strlen(k->op));
        if (k->ver)
            str_addf(s, "-%d", k->ver->since);
        size_t count = nodes_of(v, i, want);
        if (count > 1)
            str_addf(s, " (%zu)", count);
    }
    if (n > NAMED_MAX)
        str_addf(s, " and %zu more", n - NAMED_MAX);
    return n;
}

/* Only came with a newer opset. */
static bool too_new(const struct verdict *v, size_t i)
{
    return v->answers[i].need == NEED_REWRITE && v->s->kinds[i].ver && !v->answers[i].there;
}

/* There, but nothing runs it. */
static bool homeless(const struct verdict *v, size_t i)
{
    return v->answers[i].need == NEED_REWRITE && !too_new(v, i);
}

static bool is_older(const struct verdict *v, size_t i)
{
    return v->answers[i].need == NEED_OLDER;
}

static bool is_unknown(const struct verdict *v, size_t i)
{
    return v->answers[i].p.fit == FIT_UNKNOWN;
}

/* Some node of it falls back. */
static bool is_gap(const struct verdict *v, size_t i)
{
    return v->answers[i].gap;
}

static const char *first_why(const struct verdict *v, want_fn *want, bool declined)
{
    for (size_t i = 0; i < v->s->nkinds; i++)
        if (want(v, i))
            return declined ? v->answers[i].p.declined : v->answers[i].p.why;
    return "";
}

/* ---- the reason ---- */

static const char *what_text(const struct limit_check *c, char *buf, size_t size)
{
    if (strcmp(c->what, "ir") == 0)
        snprintf(buf, size, "IR version %lld", (long long)c->model);
    else
        snprintf(buf, size, "%s opset %lld", c->domain, (long long)c->model);
    return buf;
}

static void say_limits(struct str *s, const struct verdict *v, enum limit_result result)
{
    char text[96];
    size_t n = 0;
    for (size_t i = 0; i < v->nlimits; i++) {
        const struct limit_check *c = &v->limits[i];
        if (c->result != result)
            continue;
        str_add(s, s->n ? (n ? ", " : "; ") : "");
        n++;
        str_add(s, what_text(c, text, sizeof text));
        if (*c->function) {
            str_add(s, " (function ");
            str_add_escaped(s, c->function, strlen(c->function));
            str_addc(s, ')');
        }
        if (result == LIMIT_REFUSED)
            str_addf(s, " is beyond %d", c->accepts.most);
        else if (!c->accepts.most)
            str_add(s, ": what it accepts is not known");
        else if (c->accepts.sure < c->accepts.most)
            str_addf(s, " lies between %d and %d of the releases around it", c->accepts.sure,
                     c->accepts.most);
        else
            str_addf(s, ": %d is what its documents state", c->accepts.most);
    }
}

static void say_ops(struct str *s, const struct verdict *v, const char *before, want_fn *want,
                    const char *after)
{
    struct str list = {0};
    if (add_ops(&list, v, want))
        str_addf(s, "%s%s%s%s", s->n ? "; " : "", before, str_text(&list), after);
    str_free(&list);
}

static void say_failure(struct str *s, const struct verdict *v)
{
    char name[80];
    target_name(v->t, name, sizeof name);
    say_limits(s, v, LIMIT_REFUSED);
    say_ops(s, v, "to rewrite, no version at that opset: ", too_new, "");
    if (v->t->kind == TARGET_LIST)
        say_ops(s, v, "not supported: ", homeless, "");
    else if (v->t->kind == TARGET_SELF)
        say_ops(s, v, "onnxtool has no ", homeless, "");
    else
        say_ops(s, v, "to rewrite, neither kernel nor function body: ", homeless, "");
    const char *why = first_why(v, homeless, false);
    if (*why && v->t->kind == TARGET_ORT)
        str_addf(s, " (%s)", why);
    say_ops(s, v, "in an older version there: ", is_older, "");
}

static void say_fallback(struct str *s, const struct verdict *v)
{
    str_addf(s, "%zu of %zu nodes run on the CPU", v->fallback, v->nodes);
    if (v->share_known)
        str_addf(s, ", %.3g%% of the FLOPs", 100 * v->share);
    str_addf(s, ", with %zu cop%s between device and host", v->boundaries, v->boundaries == 1 ? "y" : "ies");
    say_ops(s, v, "", is_gap, "");
    const char *why = first_why(v, is_gap, true);
    if (*why)
        str_addf(s, " (%s)", why);
}

static void say_unknown(struct str *s, const struct verdict *v)
{
    const struct target *t = v->t;
    if (t->known == TARGET_NEWER || t->known == TARGET_OLDER) {
        str_addf(s, "it is %s than the tables, which end at %s", t->known == TARGET_NEWER ? "newer" : "older",
                 t->lo   ? t->lo->version
                 : t->hi ? t->hi->version
                         : "nothing");
        return;
    }
    say_limits(s, v, LIMIT_UNKNOWN);
    if (v->loads == LOADS_YES && !s->n)
        str_add(s, "it loads");
    if (v->fits[FIT_LISTED])
        str_addf(s, "%s%zu of %zu nodes are listed, which is no promise", s->n ? "; " : "",
                 v->fits[FIT_LISTED], v->nodes);
    say_ops(s, v, "the tables are silent about ", is_unknown, "");
    const char *why = first_why(v, is_unknown, false);
    if (*why)
        str_addf(s, " (%s)", why);
    if (v->s->cut)
        str_addf(s, "%sfunctions call each other too often to look at all of it", s->n ? "; " : "");
}

static void say_runs(struct str *s, const struct verdict *v)
{
    if (v->t->kind == TARGET_LIMIT) {
        str_add(s, "within it; a number says nothing about kernels");
        return;
    }
    if (v->nodes == 1)
        str_add(s, "its only node");
    else
        str_addf(s, "all %zu nodes", v->nodes);
    if (v->fits[FIT_BODY])
        str_addf(s, ", %zu of them by function body", v->fits[FIT_BODY]);
    if (v->fits[FIT_CASTS])
        str_addf(s, ", %zu of them as float behind casts", v->fits[FIT_CASTS]);
}

static int say_reason(struct advice *a)
{
    struct verdict *v = a->v;
    struct str s = {0};
    if (v->kind == VERDICT_FAILS)
        say_failure(&s, v);
    else if (v->kind == VERDICT_FALLBACK)
        say_fallback(&s, v);
    else if (v->kind == VERDICT_UNKNOWN)
        say_unknown(&s, v);
    else
        say_runs(&s, v);
    if (v->t->known == TARGET_INFERRED)
        str_addf(&s, "; inferred from %s and %s", v->t->lo->version, v->t->hi->version);
    v->reason = arena_strdup(&v->arena, str_text(&s));
    bool failed = s.failed || !v->reason;
    str_free(&s);
    return failed ? err_nomem(a->cx) : OK;
}

/* ---- what to do ---- */

static const struct limit_check *refused(const struct verdict *v, const char *what)
{
    for (size_t i = 0; i < v->nlimits; i++)
        if (v->limits[i].result == LIMIT_REFUSED && strcmp(v->limits[i].what, what) == 0)
            return &v->limits[i];
    return NULL;
}

static void fix_opset(struct advice *a, const struct limit_check *c, int lowest)
{
    const char *flag = *c->domain && strcmp(c->domain, "ai.onnx") != 0 ? "ai.onnx.ml " : "";
    struct str s = {0};
    if (lowest && lowest <= c->accepts.most) {
        fix(a, "re-stamping is enough: nothing in the model needs more than %sopset %d; import %d", flag,
            lowest, c->accepts.most);
        return;
    }
    if (add_ops(&s, a->v, too_new))
        fix(a, "rewrite in operators that opset %d has: %s", c->accepts.most, str_text(&s));
    str_free(&s);
    if (a->v->older)
        fix(a, "export or convert for %sopset %d: the other operators have older versions there", flag,
            c->accepts.most);
}

/* The oldest release that takes the numbers of the model; NULL. */
static const struct fact_release *oldest_that_loads(const struct advice *a)
{
    const struct verdict *v = a->v;
    for (size_t i = 0; i < a->f->nreleases; i++) {
        const struct fact_release *r = &a->f->releases[i];
        bool ok = strcmp(r->runtime, "ort") == 0 && r->strict && !r->v.dev;
        for (size_t k = 0; ok && k < v->nlimits; k++) {
            const char *what = v->limits[k].what;
            int most = *what == 'o' ? r->opset : *what == 'm' ? r->ml : r->ir;
            ok = most && v->limits[k].model <= most;
        }
        if (ok)
            return r;
    }
    return NULL;
}

static void fix_limits(struct advice *a)
{
    const struct limit_check *opset = refused(a->v, "opset"), *ml = refused(a->v, "ml"),
                             *ir = refused(a->v, "ir");
    if (opset)
        fix_opset(a, opset, a->min.unknown ? 0 : a->min.opset);
    if (ml)
        fix_opset(a, ml, a->min.unknown ? 0 : a->min.ml);
    if (ir && a->min.ir <= ir->accepts.most)
        fix(a, "write IR version %d: nothing in the file needs more than %d", ir->accepts.most, a->min.ir);
    else if (ir)
        fix(a, "IR version %d is needed (%s)", a->min.ir, a->min.ir_why);
    if ((opset || ml || ir) && a->v->t->kind == TARGET_ORT) {
        const struct fact_release *r = oldest_that_loads(a);
        if (r)
            fix(a, "or take ort %s, the oldest that accepts all of it", r->version);
        else
            fix(a, "no release in the tables accepts all of it");
    }
}

/* The oldest newer release of ONNX Runtime where kind i runs on the provider that was asked for first; NULL.
 */
static const struct fact_release *released_later(struct advice *a, const struct kind *k)
{
    struct target t = *a->v->t;
    struct source *s = &t.src[0];
    if (s->rt->known != KNOWN_KERNELS)
        return NULL;
    for (size_t i = 0; i < a->f->nreleases; i++) {
        const struct fact_release *r = &a->f->releases[i];
        struct placement p;
        struct arena_mark mark = arena_mark(&a->v->arena);
        if (strcmp(r->runtime, "ort") != 0 || r->v.dev || version_cmp(&r->v, &a->v->t->v) <= 0 ||
            !facts_have_kernels(a->f, s->rt, &r->v))
            continue;
        s->lo = s->hi = r->v;
        t.nsrc = 1;
        bool ok =
            place_kind(a->cx, &a->v->arena, a->f, &t, k, k->ver, k->opset, &p) == OK && p.fit == FIT_KERNEL;
        arena_release(&a->v->arena, mark);
        if (ok)
            return r;
    }
    return NULL;
}

/* The newest older version of the operator that has a kernel on the first provider; 0. */
static int older_with_kernel(struct advice *a, const struct kind *k)
{
    struct target t = *a->v->t;
    size_t n;
    const struct op_version *all = schema_all(&n);
    t.nsrc = 1;
    for (const struct op_version *v = k->ver; v && v > all; v--) {
        struct placement p;
        const struct op_version *old = v - 1;
        if (strcmp(old->name, k->op) != 0 || strcmp(old->domain, k->domain) != 0)
            break;
        struct arena_mark mark = arena_mark(&a->v->arena);
        bool ok = !(old->flags & SF_DEPRECATED) &&
                  place_kind(a->cx, &a->v->arena, a->f, &t, k, old, old->since, &p) == OK &&
                  p.fit == FIT_KERNEL;
        arena_release(&a->v->arena, mark);
        if (ok)
            return old->since;
    }
    return 0;
}

static void fix_gap(struct advice *a, const struct kind *k)
{
    const struct fact_release *r = released_later(a, k);
    int old = older_with_kernel(a, k);
    const char *provider = a->v->t->src[0].rt->name;
    if (r)
        fix(a, "%s-%d has a kernel on %s from ort %s on", k->op, kind_since(k), provider, r->version);
    if (old)
        fix(a, "%s-%d has one here: export for an opset below %d", k->op, old, kind_since(k));
}

static void fix_gaps(struct advice *a)
{
    const struct verdict *v = a->v;
    size_t n = 0;
    for (size_t i = 0; i < v->s->nkinds && n < 3; i++)
        if (is_gap(v, i) && first_of(v, i, is_gap)) {
            fix_gap(a, &v->s->kinds[i]);
            n++;
        }
}

static void fix_homeless(struct advice *a)
{
    struct str s = {0};
    if (a->v->t->kind == TARGET_ORT && add_ops(&s, a->v, homeless))
        fix(a, "write %s in other operators, or cast to types that have a kernel", str_text(&s));
    str_free(&s);
    if (a->v->t->kind == TARGET_LIST && a->v->rewrite)
        fix(a, "write them in other operators, or bring plugins for them");
}

int verdict_explain(struct cx *cx, const struct facts *f, struct verdict *v, bool fixes)
{
    struct advice a = {.cx = cx, .f = f, .v = v};
    int rc = say_reason(&a);
    if (rc || !fixes)
        return rc;
    if (v->kind == VERDICT_FAILS) {
        rc = minimum_find(cx, &v->arena, f, v->s, &a.min);
        if (rc)
            return rc;
        fix_limits(&a);
        fix_homeless(&a);
    } else if (v->kind == VERDICT_FALLBACK) {
        fix_gaps(&a);
    }
    return OK;
}
