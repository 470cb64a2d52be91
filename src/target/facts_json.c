/* Facts as JSON: what --facts and a target of the user's own are written in, and what an export gives to
 * start from.
 *
 *   {"onnxtool_facts": 1,
 *    "releases":  [{"runtime": "ort", "version": "1.40.0", "opset": 30, "ml_opset": 5, "ir": 14}],
 *    "bundles":   [{"runtime": "triton", "version": "27.01", "holds": "ort", "held_version": "1.40.0"}],
 *    "kernels":   [{"provider": "cuda", "releases": "1.40", "op": "Gelu", "versions": "20+",
 *                   "types": {"T": ["float", "float16"]}}],
 *    "operators": [{"list": "my-npu", "op": "Conv", "supported": true, "releases": "1.0+", "versions": "11+",
 *                   "types": ["float"], "restrictions": "2D only"}]}
 *
 * All parts may be left out, and so may domain (ai.onnx), min_opset, and in operators all but list and op. A
 * runtime that the tables do not know is one with an operator list of its name. Rows of kernels hide all
 * earlier ones of that operator at that provider in those releases, rows of operators all earlier ones of
 * that operator in that list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "target/facts_rows.h"
#include "target/json_file.h"
#include "target/target.h"

struct input {
    struct cx *cx;
    struct facts *f;
    const char *path;
    const char *part; /* "kernels" */
    int row;          /* counted from 1 */
};

static int wrong(struct input *in, const char *what)
{
    return err_set(in->cx, E_DATA, "%s: %s, row %d: %s", in->path, in->part, in->row, what);
}

/* The text under key, kept; dflt when it is not there. NULL: out of memory, or of another type. */
static const char *text_of(struct input *in, const cJSON *o, const char *key, const char *dflt)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!v && dflt)
        return dflt;
    const char *s = cJSON_IsString(v) ? arena_strdup(&in->f->arena, v->valuestring) : NULL;
    if (!s) {
        char what[80];
        snprintf(what, sizeof what, "\"%s\" must be a text", key);
        wrong(in, what);
    }
    return s;
}

/* A whole number from 0 on; negative: an error is set. */
static int number_of(struct input *in, const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!v)
        return 0;
    if (cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= 100000 &&
        v->valuedouble == (double)(int)v->valuedouble)
        return (int)v->valuedouble;
    char what[80];
    snprintf(what, sizeof what, "\"%s\" must be a whole number", key);
    return wrong(in, what);
}

/* ---- types ---- */

static const char letters[] = "fdhgbsilBSIL?$123456nNtT";

/* "float" -> 'f', through the tables' own parser so that there is one list of letters. */
static char letter_of(const char *name, size_t n)
{
    for (const char *p = letters; *p; p++) {
        char set[2] = {*p, '\0'};
        struct fact_types t;
        facts_types(set, "", &t);
        for (int dt = 0; dt < DT_COUNT; dt++)
            if (t.tensor == 1u << dt && strlen(dtype_name(dt)) == n && strncmp(dtype_name(dt), name, n) == 0)
                return *p;
    }
    return 0;
}

/* "seq(float)" appended as "[f]". */
static bool add_term(struct str *s, const char *term)
{
    static const struct {
        const char *open, *close, *before, *after;
    } kinds[] = {{"optional(seq(", "))", "{[", "]}"},
                 {"optional(", ")", "{", "}"},
                 {"seq(", ")", "[", "]"},
                 {"", "", "", ""}};
    if (strcmp(term, "*") == 0) {
        str_addc(s, '*');
        return true;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(term), a = strlen(kinds[i].open), b = strlen(kinds[i].close);
        if (n <= a + b || strncmp(term, kinds[i].open, a) != 0)
            continue;
        char c = letter_of(term + a, n - a - b);
        if (!c)
            return false;
        str_addf(s, "%s%c%s", kinds[i].before, c, kinds[i].after);
        return true;
    }
    return false;
}

static bool add_terms(struct str *s, const cJSON *list)
{
    const cJSON *t;
    cJSON_ArrayForEach(t, list) if (!cJSON_IsString(t) || !add_term(s, t->valuestring)) return false;
    return cJSON_IsArray(list);
}

/* {"T": [...]} or [...] as a types column. NULL: an error is set. */
static const char *types_of(struct input *in, const cJSON *o)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "types"), *c;
    struct str s = {0};
    bool ok = true;
    if (!v)
        return "";
    if (cJSON_IsObject(v)) {
        cJSON_ArrayForEach(c, v)
        {
            ok = ok && !strpbrk(c->string, " =");
            str_addf(&s, "%s%s=", s.n ? " " : "", c->string);
            ok = ok && add_terms(&s, c);
        }
    } else {
        ok = add_terms(&s, v);
    }
    const char *out = ok && !s.failed ? arena_strdup(&in->f->arena, str_text(&s)) : NULL;
    if (!out)
        wrong(in, "\"types\" must be lists of element types, as in {\"T\": [\"float\", \"seq(int64)\"]}");
    str_free(&s);
    return out;
}

/* ---- rows ---- */

typedef int row_fn(struct input *in, const cJSON *o);

static int need_runtime(struct input *in, const char *name, bool provider)
{
    struct fact_runtime r = {.name = name,
                             .aliases = "",
                             .ort_name = "",
                             .list = provider ? "" : name,
                             .complete = provider ? "ai.onnx ai.onnx.ml com.microsoft" : "",
                             .unsure = "",
                             .dated = "",
                             .remark = "from a file of yours",
                             .provider = provider,
                             .known = provider ? KNOWN_KERNELS : KNOWN_LIST};
    return facts_runtime(in->f, name, provider) ? OK : rows_add_runtime(in->cx, in->f, &r);
}

static int read_release(struct input *in, const cJSON *o)
{
    struct fact_release r = {.date = "", .basis = "a file of yours", .tried = "", .strict = true};
    r.runtime = text_of(in, o, "runtime", NULL);
    r.version = r.runtime ? text_of(in, o, "version", NULL) : NULL;
    if (!r.version)
        return in->cx->err.code;
    if (!version_parse(r.version, &r.v))
        return wrong(in, "\"version\" must be numbers with points between them, as in \"1.18.0\"");
    const struct {
        const char *key;
        int *to;
    } numbers[] = {{"opset", &r.opset},
                   {"ml_opset", &r.ml},
                   {"ir", &r.ir},
                   {"min_opset", &r.min_opset},
                   {"compiled", &r.compiled}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int n = number_of(in, o, numbers[i].key);
        if (n < 0)
            return n;
        *numbers[i].to = n;
    }
    const cJSON *strict = cJSON_GetObjectItemCaseSensitive(o, "refuses_newer");
    r.strict = !strict || cJSON_IsTrue(strict);
    int rc = need_runtime(in, r.runtime, false);
    return rc ? rc : rows_add_release(in->cx, in->f, &r);
}

static int read_bundle(struct input *in, const cJSON *o)
{
    struct fact_bundle b = {.basis = "a file of yours"};
    b.runtime = text_of(in, o, "runtime", NULL);
    b.version = b.runtime ? text_of(in, o, "version", NULL) : NULL;
    b.holds = b.version ? text_of(in, o, "holds", NULL) : NULL;
    b.held = b.holds ? text_of(in, o, "held_version", NULL) : NULL;
    if (!b.held)
        return in->cx->err.code;
    if (!version_parse(b.version, &b.v))
        return wrong(in, "\"version\" must be numbers with points between them, as in \"24.05\"");
    return rows_add_bundle(in->cx, in->f, &b);
}

static const char *domain_of(struct input *in, const cJSON *o)
{
    const char *d = text_of(in, o, "domain", "");
    return d && strcmp(d, "ai.onnx") == 0 ? "" : d;
}

static int read_kernel(struct input *in, const cJSON *o)
{
    struct fact_kernel k = {.serial = in->f->serial};
    const char *provider = text_of(in, o, "provider", NULL), *versions = NULL;
    k.op = provider ? text_of(in, o, "op", NULL) : NULL;
    k.releases = k.op ? text_of(in, o, "releases", NULL) : NULL;
    versions = k.releases ? text_of(in, o, "versions", NULL) : NULL;
    k.domain = versions ? domain_of(in, o) : NULL;
    k.restrictions = k.domain ? text_of(in, o, "restrictions", "") : NULL;
    k.types = k.restrictions ? types_of(in, o) : NULL;
    if (!k.types)
        return in->cx->err.code;
    if (!rows_parse_versions(versions, &k.lo, &k.hi))
        return wrong(in, "\"versions\" must be as \"13+\", \"6-12\", \"9\" or \"none\"");
    int rc = facts_provider(in->f, provider) ? OK : need_runtime(in, provider, true);
    k.provider = facts_provider(in->f, provider);
    return rc ? rc : rows_add_kernel(in->cx, in->f, &k);
}

static int read_listed(struct input *in, const cJSON *o)
{
    struct fact_listed l = {.where = "", .serial = in->f->serial};
    l.list = text_of(in, o, "list", NULL);
    l.op = l.list ? text_of(in, o, "op", NULL) : NULL;
    l.domain = l.op ? domain_of(in, o) : NULL;
    l.releases = l.domain ? text_of(in, o, "releases", "") : NULL;
    l.versions = l.releases ? text_of(in, o, "versions", "") : NULL;
    l.restrictions = l.versions ? text_of(in, o, "restrictions", "") : NULL;
    l.types = l.restrictions ? types_of(in, o) : NULL;
    if (!l.types)
        return in->cx->err.code;
    const cJSON *yes = cJSON_GetObjectItemCaseSensitive(o, "supported");
    l.supported = !yes || cJSON_IsTrue(yes);
    return rows_add_listed(in->cx, in->f, &l);
}

/* ---- the file ---- */

static int read_part(struct input *in, const cJSON *doc, const char *part, row_fn *fn)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(doc, part), *o;
    in->part = part;
    in->row = 0;
    if (list && !cJSON_IsArray(list))
        return err_set(in->cx, E_DATA, "%s: \"%s\" must be a list", in->path, part);
    cJSON_ArrayForEach(o, list)
    {
        in->row++;
        int rc = cJSON_IsObject(o) ? fn(in, o) : wrong(in, "expected an object");
        if (rc)
            return rc;
    }
    return OK;
}

static int check_parts(struct input *in, const cJSON *doc)
{
    static const char *const parts[] = {"onnxtool_facts", "date",    "about",    "releases",
                                        "bundles",        "kernels", "operators"};
    const cJSON *o;
    if (!cJSON_IsObject(doc) || !cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(doc, "onnxtool_facts")))
        return err_set(
            in->cx, E_DATA,
            "%s: no facts: expected an object with \"onnxtool_facts\": 1; --export writes one to start "
            "from",
            in->path);
    cJSON_ArrayForEach(o, doc)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            known = known || strcmp(o->string, parts[i]) == 0;
        if (!known)
            return err_set(in->cx, E_DATA, "%s: \"%s\" is no part of a file of facts", in->path, o->string);
    }
    return OK;
}

/* "ort@1.40.0" of every release in the file. */
static int list_names(struct input *in, const cJSON *doc, const char *const **names)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(doc, "releases"), *o;
    int n = cJSON_GetArraySize(list), k = 0;
    const char **v = arena_array(&in->f->arena, (size_t)n + 1, sizeof *v);
    if (!v)
        return err_nomem(in->cx);
    cJSON_ArrayForEach(o, list)
    {
        v[k] = arena_printf(&in->f->arena, "%s@%s",
                            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "runtime")),
                            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "version")));
        if (!v[k++])
            return err_nomem(in->cx);
    }
    if (!n)
        return err_set(in->cx, E_DATA,
                       "%s: has no releases, so it is no target; --facts adds it to the tables", in->path);
    *names = v;
    return OK;
}

static int read_doc(struct input *in, const cJSON *doc, const char *const **names)
{
    static const struct {
        const char *part;
        row_fn *fn;
    } parts[] = {{"releases", read_release},
                 {"bundles", read_bundle},
                 {"kernels", read_kernel},
                 {"operators", read_listed}};
    int rc = check_parts(in, doc);
    in->f->serial++;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !rc; i++)
        rc = read_part(in, doc, parts[i].part, parts[i].fn);
    rows_sort(in->f);
    return rc || !names ? rc : list_names(in, doc, names);
}

int facts_read(struct cx *cx, struct facts *f, const char *path, const char *const **names)
{
    cJSON *doc;
    struct input in = {.cx = cx, .f = f};
    int rc = json_file_read(cx, path, &doc);
    if (rc)
        return rc;
    in.path = arena_strdup(&f->arena, path);
    rc = in.path ? read_doc(&in, doc, names) : err_nomem(cx);
    cJSON_Delete(doc);
    return rc;
}

/* ---- export ---- */

static void put_terms(cJSON *list, uint32_t set, const char *open, const char *close)
{
    char text[64];
    for (int dt = 0; dt < DT_COUNT; dt++) {
        if (!(set & 1u << dt))
            continue;
        snprintf(text, sizeof text, "%s%s%s", open, dtype_name(dt), close);
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
}

static void put_set(cJSON *list, const struct fact_types *t)
{
    put_terms(list, t->tensor, "", "");
    put_terms(list, t->seq, "seq(", ")");
    put_terms(list, t->opt, "optional(", ")");
    put_terms(list, t->opt_seq, "optional(seq(", "))");
    if (t->others)
        cJSON_AddItemToArray(list, cJSON_CreateString("*"));
}

static void put_types(cJSON *o, const char *types)
{
    char name[64];
    struct fact_types t;
    cJSON *all = NULL;
    while (facts_next_types(&types, name, sizeof name, &t)) {
        cJSON *list = *name ? NULL : cJSON_AddArrayToObject(o, "types");
        if (*name) {
            all = all ? all : cJSON_AddObjectToObject(o, "types");
            list = cJSON_AddArrayToObject(all, name);
        }
        put_set(list, &t);
    }
}

static void put_text(cJSON *o, const char *key, const char *s)
{
    if (*s)
        cJSON_AddStringToObject(o, key, s);
}

static cJSON *put_row(cJSON *list)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToArray(list, o);
    return o;
}

static void put_release(cJSON *doc, const struct target *t)
{
    cJSON *o = put_row(cJSON_AddArrayToObject(doc, "releases"));
    const struct fact_release *r = t->lo;
    cJSON_AddStringToObject(o, "runtime", t->kind == TARGET_ORT ? "ort" : t->runtime);
    cJSON_AddStringToObject(o, "version", t->kind == TARGET_ORT ? r->version : t->release);
    const struct {
        const char *key;
        int n;
    } numbers[] = {{"opset", r ? r->opset : 0},
                   {"ml_opset", r ? r->ml : 0},
                   {"ir", r ? r->ir : 0},
                   {"min_opset", r ? r->min_opset : 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].n)
            cJSON_AddNumberToObject(o, numbers[i].key, numbers[i].n);
    cJSON_AddBoolToObject(o, "refuses_newer", r && r->strict);
}

/* The rows that count for v: later files hide earlier rows of the same operator and provider. */
static bool counts(const struct facts *f, size_t i, const struct fact_version *v)
{
    const struct fact_kernel *k = &f->kernels[i];
    if (!releases_hold(k->releases, v))
        return false;
    for (size_t j = i + 1;
         j < f->nkernels && f->kernels[j].provider == k->provider && strcmp(f->kernels[j].op, k->op) == 0 &&
         strcmp(f->kernels[j].domain, k->domain) == 0;
         j++)
        if (f->kernels[j].serial > k->serial && releases_hold(f->kernels[j].releases, v))
            return false;
    return true;
}

static void put_kernels(cJSON *doc, const struct facts *f, const struct fact_version *v)
{
    char minor[32], versions[32];
    cJSON *list = cJSON_AddArrayToObject(doc, "kernels");
    snprintf(minor, sizeof minor, "%d.%d", v->part[0], v->part[1]);
    for (size_t i = 0; i < f->nkernels; i++) {
        const struct fact_kernel *k = &f->kernels[i];
        if (!counts(f, i, v))
            continue;
        cJSON *o = put_row(list);
        cJSON_AddStringToObject(o, "provider", k->provider->name);
        cJSON_AddStringToObject(o, "releases", minor);
        put_text(o, "domain", k->domain);
        cJSON_AddStringToObject(o, "op", k->op);
        snprintf(versions, sizeof versions,
                 k->lo > k->hi    ? "none"
                 : k->lo == k->hi ? "%d"
                                  : "%d-%d",
                 k->lo, k->hi);
        cJSON_AddStringToObject(o, "versions", versions);
        put_types(o, k->types);
        put_text(o, "restrictions", k->restrictions);
    }
}

static void put_listed(cJSON *doc, const struct facts *f, const struct target *t)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "operators");
    const struct source *s = &t->src[0];
    for (size_t i = 0; i < f->nlisted; i++) {
        const struct fact_listed *l = &f->listed[i];
        if (strcmp(l->list, s->rt->list) != 0 || (*l->releases && !releases_hold(l->releases, &s->lo)))
            continue;
        cJSON *o = put_row(list);
        cJSON_AddStringToObject(o, "list", l->list);
        put_text(o, "domain", l->domain);
        cJSON_AddStringToObject(o, "op", l->op);
        cJSON_AddBoolToObject(o, "supported", l->supported);
        put_text(o, "versions", l->versions);
        put_types(o, l->types);
        put_text(o, "restrictions", l->restrictions);
    }
}

int facts_export(struct cx *cx, struct facts *f, const struct target *t, const char **out)
{
    bool known = t->known == TARGET_EXACT && t->lo && *t->lo->version;
    if ((t->kind != TARGET_ORT && t->kind != TARGET_LIST) || !known)
        return err_set(cx, E_USAGE, "--export %s: only releases that the tables have can be exported",
                       t->text);
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddNumberToObject(doc, "onnxtool_facts", 1);
    cJSON_AddStringToObject(doc, "date", f->date);
    put_release(doc, t);
    if (t->kind == TARGET_ORT)
        put_kernels(doc, f, &t->lo->v);
    else
        put_listed(doc, f, t);
    char *text = cJSON_Print(doc);
    *out = text ? arena_strdup(&f->arena, text) : NULL;
    free(text);
    cJSON_Delete(doc);
    return *out ? OK : err_nomem(cx);
}
