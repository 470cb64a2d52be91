/* The tables in memory. They are read once a program: 250 KB of text, cut where it lies. */
#include "target/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "target/facts_data.h"
#include "target/facts_rows.h"

/* ---- versions ---- */

bool version_parse(const char *text, struct fact_version *out)
{
    struct fact_version v = {{0}, 0, false};
    const char *p = text;
    while (v.n < 4) {
        char *end;
        if (!isdigit((unsigned char)*p))
            return false;
        long part = strtol(p, &end, 10);
        if (part > 100000000)
            return false;
        v.part[v.n++] = (int)part;
        p = end;
        if (*p != '.')
            break;
        p++;
    }
    if (*p == '-')
        p++;
    v.dev = strcmp(p, "dev") == 0;
    if (*p && !v.dev)
        return false;
    *out = v;
    return true;
}

int version_cmp(const struct fact_version *a, const struct fact_version *b)
{
    for (int i = 0; i < 4; i++)
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i] ? -1 : 1;
    return (int)b->dev - (int)a->dev;
}

bool version_in(const struct fact_version *series, const struct fact_version *of)
{
    for (int i = 0; i < series->n; i++)
        if (series->part[i] != of->part[i])
            return false;
    return !of->dev || series->dev;
}

/* Compares as far as the bound of a term goes: "1.12" holds all of its releases, "1.23.1" starts inside. */
static int bound_cmp(const struct fact_version *v, const struct fact_version *bound)
{
    for (int i = 0; i < 2 || i < bound->n; i++)
        if (v->part[i] != bound->part[i])
            return v->part[i] < bound->part[i] ? -1 : 1;
    return 0;
}

/* One term of a column of releases: "1.9", "1.9-1.12", "1.23.1-1.25", "1.20+". */
static bool term_holds(const char *term, size_t n, const struct fact_version *v)
{
    char text[64];
    struct fact_version lo, hi;
    if (n >= sizeof text)
        return false;
    memcpy(text, term, n);
    text[n] = '\0';
    char *dash = strchr(text, '-'), *plus = strchr(text, '+');
    if (dash)
        *dash = '\0';
    if (plus)
        *plus = '\0';
    if (!version_parse(text, &lo))
        return false;
    if (plus)
        return bound_cmp(v, &lo) >= 0;
    if (!dash)
        return bound_cmp(v, &lo) == 0;
    return version_parse(dash + 1, &hi) && bound_cmp(v, &lo) >= 0 && bound_cmp(v, &hi) <= 0;
}

bool releases_hold(const char *releases, const struct fact_version *v)
{
    while (*releases) {
        size_t n = strcspn(releases, ",");
        if (term_holds(releases, n, v))
            return true;
        releases += n + (releases[n] == ',');
    }
    return false;
}

/* ---- type sets ---- */

/* Element types by letter, as the header of kernels.tsv lists them. */
static uint32_t letter_bit(char c)
{
    static const struct {
        char c;
        enum dtype dt;
    } letters[] = {
        {'f', DT_FLOAT},      {'d', DT_DOUBLE},         {'h', DT_FLOAT16},      {'g', DT_BFLOAT16},
        {'b', DT_INT8},       {'s', DT_INT16},          {'i', DT_INT32},        {'l', DT_INT64},
        {'B', DT_UINT8},      {'S', DT_UINT16},         {'I', DT_UINT32},       {'L', DT_UINT64},
        {'?', DT_BOOL},       {'$', DT_STRING},         {'1', DT_FLOAT8E4M3FN}, {'2', DT_FLOAT8E4M3FNUZ},
        {'3', DT_FLOAT8E5M2}, {'4', DT_FLOAT8E5M2FNUZ}, {'5', DT_FLOAT8E8M0},   {'6', DT_FLOAT4E2M1},
        {'n', DT_INT4},       {'N', DT_UINT4},          {'t', DT_INT2},         {'T', DT_UINT2}};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].c == c)
            return 1u << letters[i].dt;
    return 0;
}

/* "fd[f]{f}{[f]}*" up to a blank. */
static void parse_set(const char *p, size_t n, struct fact_types *out)
{
    bool seq = false, opt = false;
    *out = (struct fact_types){0};
    for (size_t i = 0; i < n; i++) {
        uint32_t bit = letter_bit(p[i]);
        uint32_t *set = opt && seq ? &out->opt_seq : opt ? &out->opt : seq ? &out->seq : &out->tensor;
        seq = p[i] == '[' || (seq && p[i] != ']');
        opt = p[i] == '{' || (opt && p[i] != '}');
        out->others = out->others || p[i] == '*';
        *set |= bit;
    }
}

bool facts_next_types(const char **at, char *name, size_t size, struct fact_types *out)
{
    const char *p = *at + strspn(*at, " ");
    size_t n = strcspn(p, " ");
    const char *eq = memchr(p, '=', n);
    if (!n)
        return false;
    snprintf(name, size, "%.*s", eq ? (int)(eq - p) : 0, p);
    parse_set(eq ? eq + 1 : p, eq ? (size_t)(p + n - eq - 1) : n, out);
    *at = p + n;
    return true;
}

bool facts_types(const char *types, const char *name, struct fact_types *out)
{
    char have[64];
    while (facts_next_types(&types, have, sizeof have, out))
        if (!*have || strcmp(have, name) == 0)
            return true;
    return false;
}

/* ---- adding rows ---- */

static void *grown(struct cx *cx, struct facts *f, void *array, size_t n, size_t *cap, size_t size, int *rc)
{
    void *p = n < *cap ? array : arena_grow(&f->arena, array, n, cap, size);
    *rc = p ? OK : err_nomem(cx);
    return p ? p : array;
}

int rows_add_runtime(struct cx *cx, struct facts *f, const struct fact_runtime *r)
{
    int rc;
    struct fact_runtime *copy = arena_dup(&f->arena, r, sizeof *r);
    f->runtimes = grown(cx, f, f->runtimes, f->nruntimes, &f->cap_runtimes, sizeof copy, &rc);
    if (rc || !copy)
        return err_nomem(cx);
    f->runtimes[f->nruntimes++] = copy;
    return OK;
}

int rows_add_release(struct cx *cx, struct facts *f, const struct fact_release *r)
{
    int rc;
    for (size_t i = 0; i < f->nreleases; i++)
        if (strcmp(f->releases[i].runtime, r->runtime) == 0 &&
            strcmp(f->releases[i].version, r->version) == 0) {
            f->releases[i] = *r;
            return OK;
        }
    f->releases = grown(cx, f, f->releases, f->nreleases, &f->cap_releases, sizeof *r, &rc);
    if (!rc)
        f->releases[f->nreleases++] = *r;
    return rc;
}

int rows_add_bundle(struct cx *cx, struct facts *f, const struct fact_bundle *b)
{
    int rc;
    for (size_t i = 0; i < f->nbundles; i++) {
        struct fact_bundle *o = &f->bundles[i];
        if (strcmp(o->runtime, b->runtime) == 0 && strcmp(o->version, b->version) == 0 &&
            strcmp(o->holds, b->holds) == 0) {
            *o = *b;
            return OK;
        }
    }
    f->bundles = grown(cx, f, f->bundles, f->nbundles, &f->cap_bundles, sizeof *b, &rc);
    if (!rc)
        f->bundles[f->nbundles++] = *b;
    return rc;
}

int rows_add_kernel(struct cx *cx, struct facts *f, const struct fact_kernel *k)
{
    int rc;
    f->kernels = grown(cx, f, f->kernels, f->nkernels, &f->cap_kernels, sizeof *k, &rc);
    if (!rc)
        f->kernels[f->nkernels++] = *k;
    return rc;
}

int rows_add_listed(struct cx *cx, struct facts *f, const struct fact_listed *l)
{
    int rc;
    f->listed = grown(cx, f, f->listed, f->nlisted, &f->cap_listed, sizeof *l, &rc);
    if (!rc)
        f->listed[f->nlisted++] = *l;
    return rc;
}

bool rows_parse_versions(const char *text, int *lo, int *hi)
{
    char *end;
    if (strcmp(text, "none") == 0) {
        *lo = 1;
        *hi = 0;
        return true;
    }
    long a = strtol(text, &end, 10), b = a;
    if (end == text || a < 0 || a > 100000)
        return false;
    if (*end == '-') {
        const char *second = end + 1;
        b = strtol(second, &end, 10);
        if (end == second || b < a || b > 100000)
            return false;
    } else if (*end == '+') {
        end++;
    }
    *lo = (int)a;
    *hi = (int)b;
    return *end == '\0';
}

/* ---- reading the tables ---- */

enum { CELLS = 12 };

struct reader {
    struct cx *cx;
    struct facts *f;
    int serial;
};

typedef int row_fn(struct reader *r, const char *const *cell);

static int number(const char *s)
{
    return (int)strtol(s, NULL, 10);
}

static int runtime_row(struct reader *r, const char *const *c)
{
    struct fact_runtime t = {.name = c[1],
                             .aliases = c[2],
                             .ort_name = c[3],
                             .list = c[5],
                             .complete = c[6],
                             .unsure = c[7],
                             .dated = c[8],
                             .remark = c[9],
                             .provider = strcmp(c[0], "provider") == 0,
                             .known = strcmp(c[4], "kernels") == 0 ? KNOWN_KERNELS
                                      : strcmp(c[4], "list") == 0  ? KNOWN_LIST
                                                                   : KNOWN_RELEASES};
    return rows_add_runtime(r->cx, r->f, &t);
}

static int release_row(struct reader *r, const char *const *c)
{
    struct fact_release t = {.runtime = c[0],
                             .version = c[1],
                             .date = c[2],
                             .basis = c[10],
                             .tried = "",
                             .min_opset = number(c[3]),
                             .opset = number(c[4]),
                             .ml = number(c[5]),
                             .ir = number(c[6]),
                             .strict = *c[7] == 'y',
                             .compiled = number(c[8])};
    version_parse(c[1], &t.v);
    version_parse(c[9], &t.onnx);
    return rows_add_release(r->cx, r->f, &t);
}

/* How one patch release treats what is too new for it, its minor release does: those that nobody tried. */
static void spread_strictness(struct facts *f, const struct fact_release *t)
{
    struct fact_version minor = t->v;
    minor.n = 2;
    for (size_t i = 0; i < f->nreleases; i++) {
        struct fact_release *r = &f->releases[i];
        if (strcmp(r->runtime, t->runtime) == 0 && version_in(&minor, &r->v) &&
            strcmp(r->tried, "measured") != 0 && r->opset == t->opset)
            r->strict = t->strict;
    }
}

/* What was measured wins; "unreachable" says only that nobody could try. */
static int measured_row(struct reader *r, const char *const *c)
{
    struct facts *f = r->f;
    struct fact_release t = {
        .runtime = c[0], .version = c[1], .date = "", .basis = "measured", .tried = c[6]};
    bool measured = strcmp(c[6], "measured") == 0;
    for (size_t i = 0; i < f->nreleases; i++)
        if (strcmp(f->releases[i].runtime, c[0]) == 0 && strcmp(f->releases[i].version, c[1]) == 0)
            t = f->releases[i];
    if (!version_parse(c[1], &t.v) || (!measured && !t.opset))
        return OK;
    /* Patch releases are built with the library of their minor release. */
    struct fact_version minor = t.v;
    minor.n = 2;
    for (size_t i = 0; i < f->nreleases && !t.onnx.n; i++)
        if (strcmp(f->releases[i].runtime, c[0]) == 0 && version_in(&minor, &f->releases[i].v))
            t.onnx = f->releases[i].onnx;
    t.tried = c[6];
    if (measured) {
        t.opset = *c[2] ? number(c[2]) : t.opset;
        t.ml = *c[3] ? number(c[3]) : t.ml;
        t.ir = *c[4] ? number(c[4]) : t.ir;
        t.strict = *c[5] ? *c[5] == 'y' : t.strict;
        spread_strictness(f, &t);
    }
    return rows_add_release(r->cx, f, &t);
}

static int bundle_row(struct reader *r, const char *const *c)
{
    struct fact_bundle b = {.runtime = c[0], .version = c[1], .holds = c[2], .held = c[3], .basis = c[4]};
    version_parse(c[1], &b.v);
    return rows_add_bundle(r->cx, r->f, &b);
}

static int kernel_row(struct reader *r, const char *const *c)
{
    struct fact_kernel k = {.domain = c[0],
                            .op = c[1],
                            .types = c[4],
                            .releases = c[5],
                            .restrictions = c[6],
                            .serial = r->serial};
    k.provider = facts_provider(r->f, c[2]);
    if (!k.provider || !rows_parse_versions(c[3], &k.lo, &k.hi))
        return err_set(r->cx, E_INTERNAL, "built-in kernel table: %s '%s' %s", c[1], c[2], c[3]);
    return rows_add_kernel(r->cx, r->f, &k);
}

static int listed_row(struct reader *r, const char *const *c)
{
    struct fact_listed l = {.list = c[0],
                            .domain = c[1],
                            .op = c[2],
                            .supported = *c[3] == 'y',
                            .releases = c[4],
                            .versions = c[5],
                            .types = c[6],
                            .restrictions = c[7],
                            .where = c[8]};
    return rows_add_listed(r->cx, r->f, &l);
}

static int meaning_row(struct reader *r, const char *const *c)
{
    int rc;
    struct facts *f = r->f;
    f->meanings = grown(r->cx, f, f->meanings, f->nmeanings, &f->cap_meanings, sizeof *f->meanings, &rc);
    if (!rc)
        f->meanings[f->nmeanings++] = (struct fact_meaning){
            .domain = c[0], .op = c[1], .since = number(c[2]), .attr = c[3], .value = c[4], .what = c[5]};
    return rc;
}

static int late_row(struct reader *r, const char *const *c)
{
    int rc;
    struct facts *f = r->f;
    f->lates = grown(r->cx, f, f->lates, f->nlates, &f->cap_lates, sizeof *f->lates, &rc);
    if (rc)
        return rc;
    struct fact_late *l = &f->lates[f->nlates++];
    *l = (struct fact_late){.domain = c[0], .op = c[1], .since = number(c[2])};
    version_parse(c[3], &l->onnx);
    return OK;
}

static int body_row(struct reader *r, const char *const *c)
{
    int rc;
    struct facts *f = r->f;
    f->bodies = grown(r->cx, f, f->bodies, f->nbodies, &f->cap_bodies, sizeof *f->bodies, &rc);
    if (!rc)
        f->bodies[f->nbodies++] = (struct fact_body){
            .domain = c[0], .op = c[1], .since = number(c[2]), .opset = number(c[3]), .ops = c[4]};
    return rc;
}

/* Cuts a line at its tabs; cells that it lacks are empty. */
static void cut(char *line, const char **cell)
{
    for (int i = 0; i < CELLS; i++) {
        char *tab = strchr(line, '\t');
        cell[i] = line;
        if (tab)
            *tab = '\0';
        line = tab ? tab + 1 : line + strlen(line);
    }
}

static void see_comment(struct facts *f, const char *line)
{
    static const char date[] = "# date: ";
    if (strncmp(line, date, sizeof date - 1) == 0 && strcmp(line + sizeof date - 1, f->date) > 0)
        f->date = line + sizeof date - 1;
}

static int read_table(struct reader *r, const char *text, row_fn *fn)
{
    char *p = arena_strdup(&r->f->arena, text), *next;
    bool head = true;
    if (!p)
        return err_nomem(r->cx);
    for (int rc; *p; p = next) {
        size_t n = strcspn(p, "\n");
        const char *cell[CELLS];
        next = p + n + (p[n] == '\n');
        p[n] = '\0';
        if (*p == '#') {
            see_comment(r->f, p);
        } else if (head) {
            head = false;
        } else if (*p) {
            cut(p, cell);
            rc = fn(r, cell);
            if (rc)
                return rc;
        }
    }
    return OK;
}

/* ---- order and lookup ---- */

static int kernel_cmp(const void *pa, const void *pb)
{
    const struct fact_kernel *a = pa, *b = pb;
    int c = strcmp(a->domain, b->domain);
    c = c ? c : strcmp(a->op, b->op);
    c = c ? c : strcmp(a->provider->name, b->provider->name);
    c = c ? c : a->serial - b->serial;
    c = c ? c : a->lo - b->lo;
    c = c ? c : a->hi - b->hi;
    c = c ? c : strcmp(a->releases, b->releases);
    return c ? c : strcmp(a->types, b->types);
}

static int listed_cmp(const void *pa, const void *pb)
{
    const struct fact_listed *a = pa, *b = pb;
    int c = strcmp(a->list, b->list);
    c = c ? c : strcasecmp(a->op, b->op);
    c = c ? c : strcmp(a->domain, b->domain);
    c = c ? c : a->serial - b->serial;
    c = c ? c : strcmp(a->releases, b->releases);
    c = c ? c : strcmp(a->versions, b->versions);
    return c ? c : strcmp(a->restrictions, b->restrictions);
}

static int release_cmp(const void *pa, const void *pb)
{
    const struct fact_release *a = pa, *b = pb;
    int c = strcmp(a->runtime, b->runtime);
    return c ? c : version_cmp(&a->v, &b->v);
}

void rows_sort(struct facts *f)
{
    qsort(f->kernels, f->nkernels, sizeof *f->kernels, kernel_cmp);
    qsort(f->listed, f->nlisted, sizeof *f->listed, listed_cmp);
    qsort(f->releases, f->nreleases, sizeof *f->releases, release_cmp);
}

/* Whether name stands in a list of words. */
static bool has_word(const char *words, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (len == n && strncasecmp(p, name, n) == 0)
            return true;
        p += len;
    }
    return false;
}

const struct fact_runtime *facts_runtime(const struct facts *f, const char *name, bool provider)
{
    for (size_t i = 0; i < f->nruntimes; i++) {
        const struct fact_runtime *r = f->runtimes[i];
        if (r->provider == provider && (strcasecmp(r->name, name) == 0 || has_word(r->aliases, name) ||
                                        (*r->ort_name && strcasecmp(r->ort_name, name) == 0)))
            return r;
    }
    return NULL;
}

const struct fact_runtime fact_bodies = {.name = "body",
                                         .aliases = "",
                                         .ort_name = "",
                                         .list = "",
                                         .complete = "ai.onnx ai.onnx.ml com.microsoft",
                                         .unsure = "",
                                         .dated = "",
                                         .remark = "",
                                         .known = KNOWN_KERNELS};

const struct fact_runtime *facts_provider(const struct facts *f, const char *name)
{
    return strcmp(name, fact_bodies.name) == 0 ? &fact_bodies : facts_runtime(f, name, true);
}

const struct fact_kernel *facts_kernels(const struct facts *f, const char *domain, const char *op, size_t *n)
{
    size_t lo = 0, hi = f->nkernels;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct fact_kernel *k = &f->kernels[mid];
        int c = strcmp(k->domain, domain);
        c = c ? c : strcmp(k->op, op);
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    size_t first = lo;
    while (lo < f->nkernels && strcmp(f->kernels[lo].domain, domain) == 0 &&
           strcmp(f->kernels[lo].op, op) == 0)
        lo++;
    *n = lo - first;
    return f->kernels + first;
}

const struct fact_listed *facts_listed(const struct facts *f, const char *list, const char *op, size_t *n)
{
    size_t lo = 0, hi = f->nlisted;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(f->listed[mid].list, list);
        c = c ? c : strcasecmp(f->listed[mid].op, op);
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    size_t first = lo;
    while (lo < f->nlisted && strcmp(f->listed[lo].list, list) == 0 && strcasecmp(f->listed[lo].op, op) == 0)
        lo++;
    *n = lo - first;
    return f->listed + first;
}

bool facts_have_kernels(const struct facts *f, const struct fact_runtime *provider,
                        const struct fact_version *v)
{
    for (size_t i = 0; i < f->nkernels; i++)
        if (f->kernels[i].provider == provider && releases_hold(f->kernels[i].releases, v))
            return true;
    return false;
}

bool facts_came_late(const struct facts *f, const char *domain, const char *op, int since,
                     const struct fact_version *onnx)
{
    for (size_t i = 0; i < f->nlates && onnx->n; i++) {
        const struct fact_late *l = &f->lates[i];
        if (l->since == since && strcmp(l->op, op) == 0 && strcmp(l->domain, domain) == 0)
            return version_cmp(onnx, &l->onnx) < 0;
    }
    return false;
}

const char *facts_body(const struct facts *f, const char *domain, const char *op, int since, int64_t opset)
{
    const struct fact_body *best = NULL;
    for (size_t i = 0; i < f->nbodies; i++) {
        const struct fact_body *b = &f->bodies[i];
        if (b->since == since && b->opset <= opset && (!best || b->opset > best->opset) &&
            strcmp(b->op, op) == 0 && strcmp(b->domain, domain) == 0)
            best = b;
    }
    return best ? best->ops : NULL;
}

/* ---- life ---- */

static const struct table {
    const char *text;
    row_fn *fn;
    int serial;
} tables[] = {{facts_runtimes, runtime_row, 0},   {facts_releases, release_row, 0},
              {facts_measured, measured_row, 0},  {facts_bundles, bundle_row, 0},
              {facts_kernels_tsv, kernel_row, 0}, {facts_fixes, kernel_row, 1},
              {facts_operators, listed_row, 0},   {facts_meaning, meaning_row, 0},
              {facts_late, late_row, 0},          {facts_bodies, body_row, 0}};

static int read_all(struct cx *cx, struct facts *f)
{
    int rc = OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !rc; i++) {
        struct reader r = {cx, f, tables[i].serial};
        rc = read_table(&r, tables[i].text, tables[i].fn);
    }
    return rc;
}

const char *facts_date(void)
{
    static _Thread_local char date[16];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const char *at = strstr(tables[i].text, "\n# date: ");
        if (at && strncmp(at + 9, date, 10) > 0)
            memcpy(date, at + 9, 10);
    }
    return date;
}

int facts_new(struct cx *cx, struct facts **out)
{
    struct facts *f = mem_zalloc(sizeof *f);
    if (!f)
        return err_nomem(cx);
    f->date = "";
    f->serial = 1;
    int rc = read_all(cx, f);
    if (rc) {
        facts_free(f);
        return rc;
    }
    rows_sort(f);
    *out = f;
    return OK;
}

void facts_free(struct facts *f)
{
    if (!f)
        return;
    arena_free(&f->arena);
    free(f);
}
