/* Kernels, bodies, casts and lists, in the order in which ONNX Runtime asks: every provider in turn for a
 * kernel; then the function body; then float16 behind casts. */
#include "target/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

struct asked {
    struct cx *cx;
    struct arena *a;
    const struct facts *f;
    const struct target *t;
    const struct kind *k;
    const struct op_version *ver;
    const struct op_schema *schema;
    int64_t opset;
    bool widened; /* float16 counts as float */
};

/* What one source says. */
struct answer {
    enum fit fit; /* KERNEL, LISTED, MISSING or UNKNOWN */
    bool inferred;
    const char *why;
};

const char *fit_name(enum fit fit)
{
    static const char *const names[] = {"none",   "kernel",  "body expanded", "fp32 behind casts",
                                        "listed", "missing", "unknown"};
    return names[fit];
}

static const char *say(struct asked *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Memory that runs out leaves the phrase out; the answer stands. */
static const char *say(struct asked *q, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *s = arena_vprintf(q->a, fmt, ap);
    va_end(ap);
    return s ? s : "";
}

static const char *op_text(struct asked *q)
{
    const char *d = q->k->domain;
    return say(q, "%s%s%s-%d", d, *d ? "." : "", q->k->op, q->ver ? q->ver->since : 1);
}

/* ONNX Runtime's own domains may have bodies that the tables do not tell; others need a library of the
 * user's. */
static bool foreign(const struct asked *q)
{
    return *q->k->domain && strncmp(q->k->domain, "ai.onnx", 7) != 0;
}

/* ---- types ---- */

enum type_match { TYPE_YES, TYPE_NO, TYPE_UNSURE };

static enum type_match match_value(const struct asked *q, struct value_type v, const struct fact_types *set)
{
    enum dtype dt = q->widened && v.dt == DT_FLOAT16 ? DT_FLOAT : (enum dtype)v.dt;
    uint32_t bit = 1u << dt;
    switch ((enum value_kind)v.kind) {
    case VK_ABSENT:
        return TYPE_YES;
    case VK_UNKNOWN:
        return TYPE_UNSURE;
    case VK_TENSOR:
        return set->tensor & bit ? TYPE_YES : set->others ? TYPE_UNSURE : TYPE_NO;
    case VK_SEQ:
        return set->seq & bit ? TYPE_YES : set->others || !dt ? TYPE_UNSURE : TYPE_NO;
    case VK_OPT:
        return set->opt & bit ? TYPE_YES : set->others || !dt ? TYPE_UNSURE : TYPE_NO;
    case VK_OPT_SEQ:
        return set->opt_seq & bit ? TYPE_YES : set->others || !dt ? TYPE_UNSURE : TYPE_NO;
    case VK_OTHER:
        break;
    }
    return TYPE_UNSURE;
}

/* Element type of value i (inputs, then outputs) that a constraint called name rules; by the operator's
 * schema. */
static bool ruled_by(const struct asked *q, int i, const char *name)
{
    const struct kind *k = q->k;
    const struct schema_io *io =
        i < k->nin ? schema_input(q->schema, i) : schema_output(q->schema, i - k->nin);
    return io && (strcmp(io->type, name) == 0 || strcmp(io->name, name) == 0);
}

/* Whether another value whose type is known stands for the same constraint: then i has that type, too. */
static bool told_elsewhere(const struct asked *q, int i)
{
    const struct kind *k = q->k;
    const struct schema_io *io =
        i < k->nin ? schema_input(q->schema, i) : schema_output(q->schema, i - k->nin);
    for (int j = 0; io && io->option != IO_VARIADIC && j < k->nin; j++) {
        const struct schema_io *other = schema_input(q->schema, j);
        if (j != i && k->io[j].kind == VK_TENSOR && other && strcmp(other->type, io->type) == 0)
            return true;
    }
    return false;
}

static const char *type_name(const struct asked *q, int i)
{
    return dtype_name(q->k->io[i].dt);
}

/* Operators of which no schema is at hand: a float type of the first input that no constraint has is refused.
 */
static enum type_match match_blind(const struct asked *q, const struct fact_kernel *row, int *bad)
{
    const char *at = row->types;
    char name[64];
    struct fact_types set, all = {0};
    *bad = 0;
    if (!q->k->nin || q->k->io[0].kind != VK_TENSOR || !dtype_is_float(q->k->io[0].dt))
        return TYPE_YES;
    while (facts_next_types(&at, name, sizeof name, &set))
        all.tensor |= set.tensor;
    return match_value(q, q->k->io[0], &all) == TYPE_NO ? TYPE_NO : TYPE_YES;
}

/* bad: the value that does not fit. */
static enum type_match match_types(const struct asked *q, const struct fact_kernel *row, int *bad)
{
    const char *at = row->types;
    char name[64];
    struct fact_types set;
    enum type_match all = TYPE_YES;
    *bad = -1;
    if (!q->schema)
        return match_blind(q, row, bad);
    while (facts_next_types(&at, name, sizeof name, &set)) {
        for (int i = 0; i < q->k->nin + q->k->nout; i++) {
            if (!ruled_by(q, i, name) || (q->k->io[i].kind == VK_UNKNOWN && told_elsewhere(q, i)))
                continue;
            enum type_match m = match_value(q, q->k->io[i], &set);
            if (m != TYPE_YES)
                *bad = i;
            if (m == TYPE_NO)
                return m;
            all = m == TYPE_UNSURE ? m : all;
        }
    }
    return all;
}

/* ---- kernels ---- */

static bool has_word(const char *words, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (len == n && strncmp(p, name, n) == 0)
            return true;
        p += len;
    }
    return false;
}

/* Why no row serves: "has 16 to 19, not 20", or what types. */
static const char *gap_text(struct asked *q, const struct source *s, const struct fact_kernel *rows, size_t n,
                            const struct fact_version *v, int newest, int bad)
{
    struct str t = {0};
    char set[200] = "";
    const char *out;
    if (bad >= 0) {
        const struct schema_io *io = !q->schema        ? NULL
                                     : bad < q->k->nin ? schema_input(q->schema, bad)
                                                       : schema_output(q->schema, bad - q->k->nin);
        return say(q, "%s's kernels for %s do not take %s%s%s", s->rt->name, op_text(q), type_name(q, bad),
                   io ? " as " : "", io ? io->name : "");
    }
    int last = -1;
    for (size_t i = 0; i < n; i++) {
        const struct fact_kernel *r = &rows[i];
        if (r->provider != s->rt || r->serial != newest || !releases_hold(r->releases, v) || r->lo > r->hi ||
            r->lo == last)
            continue;
        last = r->lo;
        if (r->lo == r->hi)
            snprintf(set, sizeof set, "%s%d", t.n ? ", " : "", r->lo);
        else
            snprintf(set, sizeof set, "%s%d to %d", t.n ? ", " : "", r->lo, r->hi);
        str_add(&t, set);
    }
    out = t.n ? say(q, "%s has kernels for %s of version %s only", s->rt->name, q->k->op, str_text(&t))
              : say(q, "%s has no kernel for %s", s->rt->name, q->k->op);
    str_free(&t);
    return out;
}

static struct answer silent(struct asked *q, const struct source *s, const char *what)
{
    return (struct answer){FIT_UNKNOWN, false, say(q, "the tables %s of %s", what, s->rt->name)};
}

/* The kernels of one release. A later file's rows hide earlier ones of the same operator, provider and
 * release. */
static struct answer kernels_at(struct asked *q, const struct source *s, const struct fact_version *v)
{
    size_t n;
    const struct fact_kernel *rows = facts_kernels(q->f, q->k->domain, q->k->op, &n);
    int newest = -1, since = q->ver ? q->ver->since : 1, bad = -1, bad_at = -1;
    bool unsure = false;
    const char *note = "";
    for (size_t i = 0; i < n; i++)
        if (rows[i].provider == s->rt && rows[i].serial > newest && releases_hold(rows[i].releases, v))
            newest = rows[i].serial;
    for (size_t i = 0; i < n; i++) {
        const struct fact_kernel *r = &rows[i];
        if (r->provider != s->rt || r->serial != newest || since < r->lo || since > r->hi ||
            !releases_hold(r->releases, v))
            continue;
        note = r->restrictions;
        enum type_match m = match_types(q, r, &bad_at);
        if (m == TYPE_YES)
            return (struct answer){FIT_KERNEL, false, *note ? say(q, "limits: %s", note) : ""};
        unsure = unsure || m == TYPE_UNSURE;
        bad = bad_at;
    }
    if (unsure)
        return (struct answer){FIT_UNKNOWN, false,
                               say(q, "types are not known, so %s's kernel may not fit", s->rt->name)};
    if (!n && foreign(q))
        return (struct answer){
            FIT_UNKNOWN, false,
            say(q, "%s.%s is no operator of ONNX Runtime's own: it needs the library that brings it",
                q->k->domain, q->k->op)};
    if (has_word(s->rt->unsure, q->k->op) || !has_word(s->rt->complete, domain_text(q->k->domain)))
        return silent(q, s, "do not tell for sure");
    return (struct answer){FIT_MISSING, false, gap_text(q, s, rows, n, v, newest, bad)};
}

/* ---- lists ---- */

/* "6-12,13+": here N+ is from N on. */
static bool versions_hold(const char *versions, int since)
{
    for (const char *p = versions; *p; p += strcspn(p, ","), p += *p == ',') {
        char *end;
        long lo = strtol(p, &end, 10), hi = lo;
        if (*end == '-')
            hi = strtol(end + 1, &end, 10);
        if (since >= lo && (since <= hi || *end == '+'))
            return true;
    }
    return !*versions;
}

static bool has_device(const char *where, const char *device)
{
    size_t n = strlen(device);
    if (!n || !*where)
        return true;
    for (const char *p = where; *p; p += strcspn(p, ","), p += *p == ',') {
        size_t len = strcspn(p, ",");
        if ((len == n && strncasecmp(p, device, n) == 0) || (len == 3 && strncasecmp(p, "all", 3) == 0))
            return true;
    }
    return false;
}

static struct answer listed(struct asked *q, const struct source *s, const struct fact_listed *l)
{
    const char *limits = l->restrictions, *types = "";
    struct fact_types set;
    if (q->k->nin && q->k->io[0].kind == VK_TENSOR && *l->types && facts_types(l->types, "", &set) &&
        !(set.tensor & 1u << q->k->io[0].dt))
        types = say(q, "%s is not among its types", type_name(q, 0));
    const char *where = !*s->device && *l->where && strcasecmp(l->where, "all") != 0 ? l->where : "";
    const char *why = *s->about       ? say(q, "on the list of %s", s->about)
                      : *s->rt->dated ? say(q, "on the list of %s", s->rt->dated)
                                      : "on the list";
    if (*where)
        why = say(q, "%s, for %s", why, where);
    if (*limits || *types)
        why = say(q, "%s; %s%s%s", why, types, *types && *limits ? "; " : "", limits);
    return (struct answer){FIT_LISTED, false, why};
}

static struct answer list_at(struct asked *q, const struct source *s, const struct fact_version *v)
{
    size_t n;
    const struct fact_listed *rows = facts_listed(q->f, s->rt->list, q->k->op, &n);
    const struct fact_listed *off = NULL;
    int newest = -1, since = q->ver ? q->ver->since : 1;
    bool other = false, elsewhere = false;
    for (size_t i = 0; i < n; i++)
        newest = rows[i].serial > newest ? rows[i].serial : newest;
    for (size_t i = 0; i < n; i++) {
        const struct fact_listed *l = &rows[i];
        bool any = strcmp(l->domain, "*") == 0;
        if (l->serial != newest || (!any && strcmp(l->domain, q->k->domain) != 0))
            continue;
        elsewhere = true;
        if (*l->releases && !releases_hold(l->releases, v))
            continue;
        if (!has_device(l->where, s->device))
            other = true;
        else if (!l->supported)
            off = l;
        else if (versions_hold(l->versions, since))
            return listed(q, s, l);
        else
            other = true;
    }
    const char *list = *s->about ? s->about : s->rt->name;
    if (off)
        return (struct answer){FIT_MISSING, false,
                               say(q, "the list of %s says that it is not supported", list)};
    /* A list that names what is not supported, too, is silent about what it leaves out. */
    if (s->has_no && !other)
        return (struct answer){FIT_UNKNOWN, false, say(q, "the list of %s does not mention it", list)};
    if (s->stale)
        return (struct answer){FIT_UNKNOWN, false,
                               say(q, "not on the list of %s, which is older than this release", list)};
    if (other || elsewhere)
        return (struct answer){FIT_MISSING, false,
                               say(q, "the list of %s has %s, but not for this %s", list, q->k->op,
                                   other ? "version or device" : "release")};
    return (struct answer){FIT_MISSING, false, say(q, "not on the list of %s", list)};
}

/* ---- one source ---- */

static struct answer ask_at(struct asked *q, const struct source *s, const struct fact_version *v)
{
    return s->rt->known == KNOWN_KERNELS ? kernels_at(q, s, v) : list_at(q, s, v);
}

/* What lies between two releases is what both say; where they differ nobody knows. */
static struct answer ask(struct asked *q, const struct source *s)
{
    if (!s->known)
        return silent(q, s, "have nothing for this release");
    struct answer a = ask_at(q, s, &s->lo);
    if (version_cmp(&s->lo, &s->hi) == 0)
        return a;
    struct answer b = ask_at(q, s, &s->hi);
    if (a.fit != b.fit)
        return (struct answer){FIT_UNKNOWN, true, "the releases around this one differ"};
    a.inferred = true;
    return a;
}

/* ---- a node ---- */

static const struct source *last_source(const struct target *t)
{
    return &t->src[t->nsrc - 1];
}

/* Whether the schema has a body that a model of this opset may use. */
static bool schema_has_body(const struct asked *q)
{
    if (!q->ver)
        return false;
    if (q->ver->flags & SF_CTX_BODY)
        return true;
    return q->ver->flags & SF_BODY && schema_body(q->ver, q->opset);
}

/* Whether a body runs instead. Releases that were tried say it for themselves: their ONNX may not have had
 * the body yet, and operators in it need kernels too. */
static bool has_body(struct asked *q)
{
    struct source tried = *last_source(q->t);
    tried.rt = &fact_bodies;
    tried.known = facts_have_kernels(q->f, &fact_bodies, &tried.lo) &&
                  facts_have_kernels(q->f, &fact_bodies, &tried.hi);
    if (!tried.known)
        return schema_has_body(q);
    struct answer a = ask(q, &tried);
    return a.fit == FIT_KERNEL || (a.fit == FIT_UNKNOWN && schema_has_body(q));
}

/* The next operator of a body, *at moving on: of text a name behind " = ", of words the next; false at the
 * end. */
static bool next_op(const char **at, bool text, char *name, size_t size)
{
    const char *p = text ? strstr(*at, " = ") : *at + strspn(*at, " ");
    if (!p || !*p)
        return false;
    p += text ? 3 : 0;
    size_t n = strcspn(p, " <(");
    snprintf(name, size, "%.*s", (int)n, p);
    *at = p + n;
    return true;
}

/* Whether a source has a kernel for that version of an operator of the body, of whatever types. */
static bool has_version(const struct asked *q, const struct source *s, const char *op, int since)
{
    size_t n;
    const struct fact_kernel *rows = facts_kernels(q->f, "", op, &n);
    for (size_t i = 0; i < n; i++)
        if (rows[i].provider == s->rt && since >= rows[i].lo && since <= rows[i].hi &&
            releases_hold(rows[i].releases, &s->lo))
            return true;
    return false;
}

enum { BODY_DEPTH = 4 };

/* What a body consists of; NULL: not told. */
static const char *body_of(const struct asked *q, const struct op_version *v, bool *text)
{
    const struct op_body *b = v->flags & SF_BODY ? schema_body(v, q->opset) : NULL;
    *text = b != NULL;
    return b ? b->text : facts_body(q->f, v->domain, v->name, v->since, q->opset);
}

/* Whether all operators of the body of v have kernels on the first source, or are expanded themselves; lacks
 * gets the one that does not. */
static bool body_fits(const struct asked *q, const struct op_version *v, int depth, char *lacks, size_t size)
{
    bool text;
    char op[64];
    const char *at = body_of(q, v, &text);
    while (at && next_op(&at, text, op, sizeof op)) {
        const struct op_version *inner = schema_find("", op, q->opset);
        /* Constants become weights, and copies go while the graph is simplified. */
        bool nothing = strcmp(op, "Constant") == 0 || strcmp(op, "Identity") == 0;
        if (nothing || !inner || has_version(q, &q->t->src[0], op, inner->since))
            continue;
        bool expands = inner->flags & (SF_BODY | SF_CTX_BODY) && depth < BODY_DEPTH &&
                       !has_version(q, last_source(q->t), op, inner->since);
        if (expands && body_fits(q, inner, depth + 1, lacks, size))
            continue;
        snprintf(lacks, size, "%s-%d", op, inner->since);
        return false;
    }
    return true;
}

/* Runs the body on the first source when that has its operators, else some of it on the CPU. */
static void place_body(struct asked *q, struct placement *p)
{
    const struct source *first = &q->t->src[0];
    bool text;
    char lacks[80];
    *p =
        (struct placement){.fit = FIT_BODY, .why = "its function body runs instead", .declined = p->declined};
    if (q->t->nsrc < 2)
        return;
    if (!q->ver || !body_of(q, q->ver, &text) || first->rt->known != KNOWN_KERNELS || !first->known) {
        p->why = "its function body runs instead; where its parts do was not looked at";
        return;
    }
    if (body_fits(q, q->ver, 0, lacks, sizeof lacks))
        return;
    p->src = (int)q->t->nsrc - 1;
    p->why =
        say(q, "its function body runs instead, but %s has no kernel for %s of it", first->rt->name, lacks);
    p->declined = p->why;
}

/* ONNX Runtime puts casts in front of float16 inputs, so there must be one; and a Cast-6, which older opsets
 * do not have. */
static bool casts_reach(const struct asked *q)
{
    for (int i = 0; i < q->k->nin; i++)
        if (q->k->io[i].kind == VK_TENSOR && q->k->io[i].dt == DT_FLOAT16)
            return *q->k->domain || q->opset >= 6;
    return false;
}

/* No provider takes the node as it stands. */
static void place_rest(struct asked *q, struct placement *p)
{
    const struct source *cpu = last_source(q->t);
    if (has_body(q)) {
        place_body(q, p);
        return;
    }
    q->widened = true;
    struct answer a = casts_reach(q) ? ask(q, cpu) : (struct answer){FIT_MISSING, false, ""};
    q->widened = false;
    if (a.fit == FIT_KERNEL) {
        *p = (struct placement){.fit = FIT_CASTS,
                                .src = (int)q->t->nsrc - 1,
                                .inferred = a.inferred,
                                .why = "a float kernel between casts",
                                .declined = p->declined};
        return;
    }
    p->src = -1;
    p->fit = FIT_MISSING;
    if (q->ver && q->ver->flags & SF_DEPRECATED)
        p->why = say(q, "%s was deprecated with opset %d", q->k->op, q->ver->since);
    if (foreign(q)) {
        p->fit = FIT_UNKNOWN;
        p->why = say(q, "%s; whether it has a function body is not in the tables", p->why);
    }
}

static void place_ort(struct asked *q, struct placement *p)
{
    bool unknown = false;
    const char *unsaid = "";
    p->declined = "";
    for (size_t i = 0; i < q->t->nsrc; i++) {
        struct answer a = ask(q, &q->t->src[i]);
        if (i == 0 && a.fit == FIT_MISSING && q->t->nsrc > 1)
            p->declined = a.why;
        p->why = a.why;
        p->inferred = a.inferred;
        p->src = (int)i;
        if (a.fit == FIT_UNKNOWN) {
            unsaid = unknown ? unsaid : a.why;
            unknown = true;
        }
        if (a.fit != FIT_KERNEL && a.fit != FIT_LISTED)
            continue;
        p->fit = unknown ? FIT_UNKNOWN : a.fit;
        p->may_load = true;
        if (unknown) {
            p->why = unsaid;
            p->src = -1;
        }
        return;
    }
    if (unknown) {
        *p = (struct placement){.fit = FIT_UNKNOWN, .src = -1, .why = unsaid, .declined = p->declined};
        p->may_load = has_body(q);
        return;
    }
    place_rest(q, p);
}

static void place_list(struct asked *q, struct placement *p)
{
    struct answer a = ask(q, &q->t->src[0]);
    *p = (struct placement){.fit = a.fit,
                            .src = a.fit == FIT_LISTED ? 0 : -1,
                            .inferred = a.inferred,
                            .why = a.why,
                            .declined = ""};
}

static void place_self(struct asked *q, struct placement *p)
{
    bool newer = q->k->ver != q->ver;
    p->fit = q->k->runnable && !newer ? FIT_KERNEL : FIT_MISSING;
    p->src = -1;
    p->why = q->k->runnable ? "" : say(q, "onnxtool has no %s", q->k->op);
}

static bool no_kernel_needed(const struct kind *k)
{
    return k->call || (!*k->domain && strcmp(k->op, "Constant") == 0);
}

/* Whether an operator of a standard domain that this opset does not have is one of another opset, or one of
 * ONNX Runtime's own, which the kernel tables tell. */
static bool is_elsewhere(const struct asked *q)
{
    size_t n;
    if (q->t->kind != TARGET_ORT)
        return false;
    facts_kernels(q->f, q->k->domain, q->k->op, &n);
    return n || schema_find(q->k->domain, q->k->op, INT32_MAX);
}

int place_kind(struct cx *cx, struct arena *a, const struct facts *f, const struct target *t,
               const struct kind *k, const struct op_version *ver, int64_t opset, struct placement *out)
{
    struct asked q = {.cx = cx, .a = a, .f = f, .t = t, .k = k, .ver = ver, .opset = opset};
    struct op_schema *own = k->schema;
    *out = (struct placement){.fit = FIT_UNKNOWN, .src = -1, .why = "", .declined = ""};
    if (no_kernel_needed(k)) {
        out->fit = FIT_NONE;
        return OK;
    }
    if (ver && ver != k->ver) {
        int rc = schema_parse(cx, a, ver, &own);
        if (rc)
            return rc;
    }
    if (ver && ver->since > opset && t->kind == TARGET_ORT)
        q.ver = ver = NULL; /* we run it in older models too; ONNX Runtime only if it is one of its own */
    q.schema = ver ? own : NULL;
    if (!ver && !foreign(&q) && !is_elsewhere(&q)) {
        out->why = say(&q, "%s at opset %lld is not known here", k->op, (long long)opset);
        return OK;
    }
    if (t->kind == TARGET_ORT)
        place_ort(&q, out);
    else if (t->kind == TARGET_LIST)
        place_list(&q, out);
    else if (t->kind == TARGET_SELF)
        place_self(&q, out);
    else
        out->fit = FIT_NONE;
    return OK;
}
