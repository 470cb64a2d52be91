/* Targets: names and versions looked up in the facts. */
#include "target/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "ops/schema.h"

/* ---- releases ---- */

static struct limit between(int a, int b)
{
    if (!a || !b)
        return (struct limit){0, 0};
    return (struct limit){a < b ? a : b, a < b ? b : a};
}

/* The releases of a runtime around v: exactly it, or the nearest below and above. */
static void find_release(const struct facts *f, const char *runtime, const struct fact_version *v,
                         const struct fact_release **lo, const struct fact_release **hi)
{
    const struct fact_release *series = NULL;
    *lo = *hi = NULL;
    for (size_t i = 0; i < f->nreleases; i++) {
        const struct fact_release *r = &f->releases[i];
        if (strcmp(r->runtime, runtime) != 0 || !r->v.n)
            continue;
        int c = version_cmp(&r->v, v);
        if (c == 0 && v->n >= r->v.n) {
            *lo = *hi = r;
            return;
        }
        if (version_in(v, &r->v))
            series = r;
        if (c < 0)
            *lo = r;
        else if (!*hi)
            *hi = r;
    }
    if (series)
        *lo = *hi = series;
}

static void take_limits(struct target *t)
{
    const struct fact_release *a = t->lo, *b = t->hi;
    if (a && b) {
        t->known = a == b ? TARGET_EXACT : TARGET_INFERRED;
        t->opset = between(a->opset, b->opset);
        t->ml = between(a->ml, b->ml);
        t->ir = between(a->ir, b->ir);
        t->compiled = between(a->compiled, b->compiled);
        t->strict = a->strict && b->strict;
        return;
    }
    t->known = a ? TARGET_NEWER : b ? TARGET_OLDER : TARGET_NO_RELEASES;
}

/* ---- what a release holds ---- */

/* The rows "runtime V holds X" nearest to v: the same one twice when it is there. */
static void find_bundle(const struct facts *f, const char *runtime, const char *holds,
                        const struct fact_version *v, const struct fact_bundle **lo,
                        const struct fact_bundle **hi)
{
    *lo = *hi = NULL;
    for (size_t i = 0; i < f->nbundles; i++) {
        const struct fact_bundle *b = &f->bundles[i];
        if (strcmp(b->runtime, runtime) != 0 || strcmp(b->holds, holds) != 0)
            continue;
        int c = version_cmp(&b->v, v);
        if (c == 0 || version_in(&b->v, v) || version_in(v, &b->v)) {
            *lo = *hi = b;
            return;
        }
        if (c < 0 && (!*lo || version_cmp(&b->v, &(*lo)->v) > 0))
            *lo = b;
        if (c > 0 && (!*hi || version_cmp(&b->v, &(*hi)->v) < 0))
            *hi = b;
    }
}

/* ---- sources ---- */

/* The releases nearest to t's of which the kernel tables have rows. */
static void find_kernels(const struct facts *f, const struct target *t, struct source *s)
{
    const struct fact_release *lo = NULL, *hi = NULL;
    if (t->known != TARGET_EXACT && t->known != TARGET_INFERRED)
        return;
    s->lo = s->hi = t->v;
    s->known = facts_have_kernels(f, s->rt, &t->v);
    if (s->known)
        return;
    for (size_t i = 0; i < f->nreleases; i++) {
        const struct fact_release *r = &f->releases[i];
        if (strcmp(r->runtime, "ort") != 0 || !facts_have_kernels(f, s->rt, &r->v))
            continue;
        if (version_cmp(&r->v, &t->v) < 0)
            lo = r;
        else if (!hi)
            hi = r;
    }
    s->known = lo && hi;
    if (s->known) {
        s->lo = lo->v;
        s->hi = hi->v;
    }
}

static void describe_list(const struct facts *f, struct source *s)
{
    s->any_release = true;
    for (size_t i = 0; i < f->nlisted; i++) {
        if (strcmp(f->listed[i].list, s->rt->list) != 0)
            continue;
        s->has_no = s->has_no || !f->listed[i].supported;
        s->any_release = s->any_release && !*f->listed[i].releases;
    }
}

/* The version of a library that stands behind a list: known releases of it around v. */
static void list_version(const struct facts *f, struct source *s, const struct fact_version *v)
{
    const struct fact_release *lo, *hi;
    find_release(f, s->rt->list, v, &lo, &hi);
    bool told = lo || hi;
    s->known = !told || (lo && hi);
    s->lo = lo && hi ? lo->v : *v;
    s->hi = lo && hi ? hi->v : *v;
}

/* A list behind a provider of ONNX Runtime: by the library that the release holds, or by its own number. */
static int find_list(struct cx *cx, struct facts *f, const struct target *t, const char *via,
                     const struct fact_version *via_v, struct source *s)
{
    const struct fact_bundle *lo = NULL, *hi = NULL;
    struct fact_version v;
    describe_list(f, s);
    if (s->any_release) {
        s->known = true;
        return OK;
    }
    if (*via)
        find_bundle(f, via, s->rt->list, via_v, &lo, &hi);
    if (lo != hi || !lo)
        find_bundle(f, "ort", s->rt->list, &t->v, &lo, &hi);
    if (lo && lo == hi && version_parse(lo->held, &v)) {
        list_version(f, s, &v);
        s->about = arena_printf(&f->arena, "%s %s", s->rt->list, lo->held);
        return s->about ? OK : err_nomem(cx);
    }
    /* Lists whose rows count releases of ONNX Runtime itself. */
    bool of_library = false;
    for (size_t i = 0; i < f->nbundles; i++)
        of_library = of_library || strcmp(f->bundles[i].holds, s->rt->list) == 0;
    s->known = !of_library && (t->known == TARGET_EXACT || t->known == TARGET_INFERRED);
    s->lo = s->hi = t->v;
    return OK;
}

static int unknown_name(struct cx *cx, const struct facts *f, const char *what, const char *name,
                        bool provider)
{
    const char *names[96];
    size_t n = 0;
    for (size_t i = 0; i < f->nruntimes && n < 90; i++)
        if (f->runtimes[i]->provider == provider)
            names[n++] = f->runtimes[i]->name;
    if (!provider) {
        static const char *const plain[] = {"opset", "ml", "ir", "onnxtool"};
        for (size_t i = 0; i < 4; i++)
            names[n++] = plain[i];
    }
    const char *near = nearest_name(name, names, n);
    if (near)
        return err_set(cx, E_USAGE, "%s '%s' is not known; did you mean %s?", what, name, near);
    return err_set(cx, E_USAGE, "%s '%s' is not known; onnxtool --list targets shows all", what, name);
}

static int add_source(struct cx *cx, struct facts *f, struct target *t, const char *name, const char *via,
                      const struct fact_version *via_v)
{
    char *own = arena_strdup(&f->arena, name);
    if (!own)
        return err_nomem(cx);
    char *colon = strchr(own, ':');
    if (colon)
        *colon = '\0';
    struct source s = {.rt = facts_runtime(f, own, true), .device = colon ? colon + 1 : "", .about = ""};
    if (!s.rt)
        return unknown_name(cx, f, "--provider", own, true);
    for (size_t i = 0; i < t->nsrc; i++)
        if (t->src[i].rt == s.rt)
            return OK;
    if (t->nsrc == SOURCES_MAX)
        return err_set(cx, E_USAGE, "--provider takes %d names at most", SOURCES_MAX - 1);
    int rc = OK;
    if (s.rt->known == KNOWN_KERNELS)
        find_kernels(f, t, &s);
    else
        rc = find_list(cx, f, t, via, via_v, &s);
    s.stale = *s.rt->dated && t->hi && strcmp(*t->hi->date ? t->hi->date : "9", s.rt->dated) > 0;
    t->src[t->nsrc++] = s;
    return rc;
}

static int add_providers(struct cx *cx, struct facts *f, struct target *t, const char *const *names, size_t n,
                         const char *via, const struct fact_version *via_v)
{
    int rc = OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_source(cx, f, t, names[i], via, via_v);
    return rc ? rc : add_source(cx, f, t, "cpu", via, via_v);
}

/* ---- kinds of targets ---- */

static int release_text(struct cx *cx, struct facts *f, struct target *t, const char *version)
{
    t->release = t->known == TARGET_EXACT ? t->lo->version : arena_strdup(&f->arena, version);
    if (t->known == TARGET_EXACT)
        t->v = t->lo->v;
    return t->release ? OK : err_nomem(cx);
}

static int parse_ort(struct cx *cx, struct facts *f, struct target *t, const char *version,
                     const char *const *providers, size_t n)
{
    t->kind = TARGET_ORT;
    t->runtime = "ort";
    find_release(f, "ort", &t->v, &t->lo, &t->hi);
    take_limits(t);
    int rc = release_text(cx, f, t, version);
    return rc ? rc : add_providers(cx, f, t, providers, n, "", &t->v);
}

/* Triton's containers: the ONNX Runtime of that month, or those of the months around it. */
static int parse_triton(struct cx *cx, struct facts *f, struct target *t, const char *version,
                        const char *const *providers, size_t n)
{
    const struct fact_bundle *lo, *hi;
    struct fact_version month = t->v, a, b;
    t->kind = TARGET_ORT;
    t->runtime = "triton";
    t->release = arena_strdup(&f->arena, version);
    find_bundle(f, "triton", "ort", &month, &lo, &hi);
    if (lo && hi && version_parse(lo->held, &a) && version_parse(hi->held, &b)) {
        const struct fact_release *x;
        find_release(f, "ort", &a, &t->lo, &x);
        t->lo = t->lo ? t->lo : x;
        find_release(f, "ort", &b, &x, &t->hi);
        t->through = lo == hi ? arena_printf(&f->arena, "triton %s holds ort %s", lo->version, lo->held)
                              : arena_printf(&f->arena, "triton %s holds ort %s, %s holds %s", lo->version,
                                             lo->held, hi->version, hi->held);
        take_limits(t);
        t->v = lo == hi ? a : t->v;
    } else {
        t->known = lo ? TARGET_NEWER : TARGET_OLDER;
    }
    if (!t->release || !t->through)
        return err_nomem(cx);
    int rc = add_providers(cx, f, t, providers, n, "triton", &month);
    /* Kernels between two releases: both are asked. */
    for (size_t i = 0; i < t->nsrc && lo != hi && t->lo && t->hi; i++)
        if (t->src[i].rt->known == KNOWN_KERNELS) {
            t->src[i].lo = t->lo->v;
            t->src[i].hi = t->hi->v;
            t->src[i].known = facts_have_kernels(f, t->src[i].rt, &t->lo->v) &&
                              facts_have_kernels(f, t->src[i].rt, &t->hi->v);
        }
    return rc;
}

/* A runtime with a list of its own. */
static int parse_list(struct cx *cx, struct facts *f, struct target *t, const struct fact_runtime *rt,
                      const char *version)
{
    struct source s = {.rt = rt, .device = "", .about = ""};
    t->kind = TARGET_LIST;
    t->runtime = rt->name;
    t->release = "";
    describe_list(f, &s);
    if (t->v.n) {
        find_release(f, rt->name, &t->v, &t->lo, &t->hi);
        take_limits(t);
        list_version(f, &s, &t->v);
    } else {
        s.known = s.any_release;
        t->known = TARGET_NO_RELEASES;
        for (size_t i = 0; i < f->nreleases && s.known; i++)
            if (strcmp(f->releases[i].runtime, rt->name) == 0 && !f->releases[i].v.n) {
                t->lo = t->hi = &f->releases[i];
                take_limits(t);
            }
    }
    int rc = *version ? release_text(cx, f, t, version) : OK;
    t->src[t->nsrc++] = s;
    return rc;
}

static int parse_number(struct cx *cx, struct target *t, const char *what, const char *version)
{
    char *end;
    long n = strtol(version, &end, 10);
    struct limit l = {(int)n, (int)n};
    if (end == version || *end || n < 1 || n > 100000)
        return err_set(cx, E_USAGE, "--target %s@%s: expected a number, as in %s@%d", what, version, what,
                       strcmp(what, "opset") == 0 ? 17
                       : strcmp(what, "ir") == 0  ? 8
                                                  : 3);
    t->kind = TARGET_LIMIT;
    t->known = TARGET_EXACT;
    t->strict = true;
    t->runtime = what;
    if (strcmp(what, "opset") == 0)
        t->opset = l;
    else if (strcmp(what, "ml") == 0)
        t->ml = l;
    else
        t->ir = l;
    return OK;
}

static int parse_self(struct target *t)
{
    int op = schema_newest_opset(""), ml = schema_newest_opset("ai.onnx.ml");
    t->kind = TARGET_SELF;
    t->runtime = "onnxtool";
    t->known = TARGET_EXACT;
    t->strict = true;
    t->opset = (struct limit){op, op};
    t->ml = (struct limit){ml, ml};
    return OK;
}

static int parse_named(struct cx *cx, struct facts *f, struct target *t, const char *name,
                       const char *version, const char *const *providers, size_t n)
{
    static const char *const plain[] = {"opset", "ml", "ir"};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(name, plain[i]) == 0)
            return parse_number(cx, t, plain[i], version);
    if (strcmp(name, "onnxtool") == 0)
        return parse_self(t);
    const struct fact_runtime *rt = facts_runtime(f, name, false);
    if (!rt)
        return unknown_name(cx, f, "--target", name, false);
    if (*version && !version_parse(version, &t->v))
        return err_set(cx, E_USAGE, "--target %s@%s: '%s' is no version", name, version, version);
    bool ort = strcmp(rt->name, "ort") == 0;
    if (!*version && (ort || strcmp(rt->name, "triton") == 0 || strcmp(rt->name, "tensorrt") == 0))
        return err_set(cx, E_USAGE, "--target %s: which release, as in %s@%s? --matrix shows all", name, name,
                       ort                               ? "1.18"
                       : strcmp(rt->name, "triton") == 0 ? "24.05"
                                                         : "8.6");
    if (ort)
        return parse_ort(cx, f, t, version, providers, n);
    if (strcmp(rt->name, "triton") == 0)
        return parse_triton(cx, f, t, version, providers, n);
    return parse_list(cx, f, t, rt, version);
}

int target_parse(struct cx *cx, struct facts *f, const char *text, const char *const *providers,
                 size_t nproviders, struct target *out)
{
    struct target t = {.text = arena_strdup(&f->arena, text), .runtime = "", .release = "", .through = ""};
    char *name = arena_strdup(&f->arena, text);
    if (!t.text || !name)
        return err_nomem(cx);
    char *at = strrchr(name, '@');
    if (at)
        *at = '\0';
    int rc = parse_named(cx, f, &t, name, at ? at + 1 : "", providers, nproviders);
    *out = t;
    return rc;
}

const char *target_name(const struct target *t, char *buf, size_t size)
{
    if (t->kind == TARGET_LIMIT)
        snprintf(buf, size, "%s", t->text);
    else
        snprintf(buf, size, "%s%s%s", t->runtime, *t->release ? " " : "", t->release);
    return buf;
}

static int newest_first(const void *pa, const void *pb)
{
    struct fact_version a, b;
    const char *const *x = pa, *const *y = pb;
    version_parse(*x, &a);
    version_parse(*y, &b);
    return version_cmp(&b, &a);
}

int target_releases(struct cx *cx, struct facts *f, const char *runtime, const char *const **out, size_t *n)
{
    const struct fact_runtime *rt = facts_runtime(f, runtime, false);
    if (!rt)
        return unknown_name(cx, f, "--target", runtime, false);
    const char **v = arena_array(&f->arena, f->nreleases + f->nbundles + 1, sizeof *v);
    if (!v)
        return err_nomem(cx);
    size_t count = 0;
    for (size_t i = 0; i < f->nreleases; i++)
        if (strcmp(f->releases[i].runtime, rt->name) == 0 && f->releases[i].v.n)
            v[count++] = f->releases[i].version;
    for (size_t i = 0; i < f->nbundles; i++)
        if (strcmp(f->bundles[i].runtime, rt->name) == 0 && strcmp(rt->name, "ort") != 0 &&
            strcmp(f->bundles[i].holds, "ort") == 0)
            v[count++] = f->bundles[i].version;
    if (!count)
        return err_set(cx, E_USAGE, "the tables have no releases of %s", rt->name);
    qsort(v, count, sizeof *v, newest_first);
    *out = v;
    *n = count;
    return OK;
}
