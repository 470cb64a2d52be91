/* Operator facts: constant tables from schema.def and schema_body.def, and the reader of their mini-grammar.
 */
#include "ops/schema.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const struct op_version rows[] = {
#define DOMAIN(domain, oldest, newest)
#define RELEASE(onnx, ir, ai_onnx, ml, training)
#define TS(name, types)
#define V(domain, name, since, sig, attrs, types, flags) {domain, #name, since, flags, sig, attrs, types},
#include "ops/schema.def"
#undef DOMAIN
#undef RELEASE
#undef TS
#undef V
};

struct domain_row {
    const char *domain;
    int newest;
};

static const struct domain_row domains[] = {
#define DOMAIN(domain, oldest, newest) {domain, newest},
#define RELEASE(onnx, ir, ai_onnx, ml, training)
#define TS(name, types)
#define V(domain, name, since, sig, attrs, types, flags)
#include "ops/schema.def"
#undef DOMAIN
#undef RELEASE
#undef TS
#undef V
};

struct type_set {
    const char *name, *types;
};

static const struct type_set type_sets[] = {
#define DOMAIN(domain, oldest, newest)
#define RELEASE(onnx, ir, ai_onnx, ml, training)
#define TS(name, types) {#name, types},
#define V(domain, name, since, sig, attrs, types, flags)
#include "ops/schema.def"
#undef DOMAIN
#undef RELEASE
#undef TS
#undef V
};

static const struct op_body bodies[] = {
#define B(domain, name, since, opset, imports, text) {domain, #name, since, opset, imports, text},
#include "ops/schema_body.def"
#undef B
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- look-up ---- */

static const char *norm(const char *domain)
{
    return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

static int compare_key(const struct op_version *v, const char *domain, const char *name)
{
    int c = strcmp(v->domain, domain);
    return c ? c : strcmp(v->name, name);
}

/* The first row whose (domain, name) is not below the wanted. */
static size_t lower_bound(const char *domain, const char *name)
{
    size_t lo = 0, hi = COUNT(rows);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_key(&rows[mid], domain, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct op_version *schema_find(const char *domain, const char *name, int64_t opset)
{
    const struct op_version *best = NULL;
    domain = norm(domain);
    for (size_t i = lower_bound(domain, name); i < COUNT(rows); i++) {
        if (compare_key(&rows[i], domain, name) != 0 || rows[i].since > opset)
            break;
        best = &rows[i];
    }
    return best;
}

bool schema_known(const char *domain, const char *name)
{
    return schema_find(domain, name, INT64_MAX) != NULL;
}

int schema_newest_opset(const char *domain)
{
    domain = norm(domain);
    for (size_t i = 0; i < COUNT(domains); i++) {
        if (strcmp(domains[i].domain, domain) == 0)
            return domains[i].newest;
    }
    return 0;
}

const struct op_version *schema_all(size_t *n)
{
    *n = COUNT(rows);
    return rows;
}

const char *schema_nearest(const char *domain, const char *name)
{
    const char *names[COUNT(rows)];
    bool all = schema_newest_opset(domain) == 0;
    size_t n = 0;
    domain = norm(domain);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!all && strcmp(rows[i].domain, domain) != 0)
            continue;
        if (n == 0 || strcmp(names[n - 1], rows[i].name) != 0)
            names[n++] = rows[i].name;
    }
    return nearest_name(name, names, n);
}

/* ---- words of a row ---- */

/* A piece of constant text. */
struct span {
    const char *p;
    size_t n;
};

static struct span span_of(const char *s)
{
    return (struct span){s, strlen(s)};
}

static bool span_is(struct span s, const char *text)
{
    return strlen(text) == s.n && memcmp(s.p, text, s.n) == 0;
}

static bool span_same(struct span a, struct span b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* Cuts the text before the first sep outside parentheses off *rest; without one, all of it. */
static struct span cut(struct span *rest, char sep)
{
    struct span head = {rest->p, 0};
    int depth = 0;
    while (head.n < rest->n && (depth > 0 || head.p[head.n] != sep)) {
        depth += head.p[head.n] == '(';
        depth -= head.p[head.n] == ')';
        head.n++;
    }
    size_t skip = head.n < rest->n ? head.n + 1 : head.n;
    rest->p += skip;
    rest->n -= skip;
    return head;
}

static size_t count_words(struct span text, char sep)
{
    size_t n = 0;
    while (text.n > 0) {
        cut(&text, sep);
        n++;
    }
    return n;
}

/* The inputs' and the outputs' half of a signature. */
static void split_signature(const char *sig, struct span *in, struct span *out)
{
    const char *arrow = strstr(sig, "->");
    *in = (struct span){sig, arrow > sig ? (size_t)(arrow - sig) - 1 : 0};
    *out = span_of(arrow[2] == ' ' ? arrow + 3 : arrow + 2);
}

/* ---- reading a row ---- */

struct reader {
    struct arena *arena;
    bool failed; /* memory ran out; checked once at the end */
};

static void *take(struct reader *r, size_t n, size_t size)
{
    void *p = arena_array(r->arena, n, size);
    if (!p)
        r->failed = true;
    return p;
}

static const char *keep(struct reader *r, struct span s)
{
    char *p = arena_strndup(r->arena, s.p, s.n);
    if (!p)
        r->failed = true;
    return p;
}

/* "B:T?" or "rest:T...1~" */
static void read_io(struct reader *r, struct span word, struct schema_io *io)
{
    io->name = keep(r, cut(&word, ':'));
    if (word.n > 0 && word.p[word.n - 1] == '?') {
        io->option = IO_OPTIONAL;
        word.n--;
    } else if (word.n > 0 && word.p[word.n - 1] == '~') {
        io->heterogeneous = true;
        word.n--;
    }
    const char *dots = memmem(word.p, word.n, "...", 3);
    if (dots) {
        io->option = IO_VARIADIC;
        io->min = atoi(dots + 3);
        word.n = (size_t)(dots - word.p);
    }
    io->type = keep(r, word);
}

/* The counts follow from the parameters: a node must reach the last one that may not be left out, and
 * everything before a variadic one, which has no end. */
static void count_range(const struct schema_io *io, int n, int *min, int *max)
{
    *min = 0;
    *max = n;
    for (int i = 0; i < n; i++) {
        if (io[i].option == IO_SINGLE)
            *min = i + 1;
        if (io[i].option == IO_VARIADIC) {
            *min = i + io[i].min;
            *max = INT_MAX;
        }
    }
}

static const struct schema_io *read_ios(struct reader *r, struct span text, int *n, int *min, int *max)
{
    size_t count = count_words(text, ' ');
    struct schema_io *io = take(r, count, sizeof *io);
    *n = (int)count;
    if (!io)
        return NULL;
    for (size_t i = 0; i < count; i++)
        read_io(r, cut(&text, ' '), &io[i]);
    count_range(io, *n, min, max);
    return io;
}

static const struct {
    const char *name;
    enum schema_attr_kind kind;
} attr_kinds[] = {
    {"float", SA_FLOAT},
    {"int", SA_INT},
    {"string", SA_STRING},
    {"tensor", SA_TENSOR},
    {"graph", SA_GRAPH},
    {"floats", SA_FLOATS},
    {"ints", SA_INTS},
    {"strings", SA_STRINGS},
    {"tensors", SA_TENSORS},
    {"graphs", SA_GRAPHS},
    {"sparse_tensor", SA_SPARSE_TENSOR},
    {"sparse_tensors", SA_SPARSE_TENSORS},
    {"type_proto", SA_TYPE_PROTO},
    {"type_protos", SA_TYPE_PROTOS},
};

static enum schema_attr_kind read_kind(struct span word)
{
    for (size_t i = 0; i < COUNT(attr_kinds); i++) {
        if (span_is(word, attr_kinds[i].name))
            return attr_kinds[i].kind;
    }
    BUG("schema.def: attribute kind '%.*s'", (int)word.n, word.p);
}

static void read_floats(struct reader *r, struct span list, struct schema_attr *a)
{
    float *v = take(r, a->n, sizeof *v);
    for (size_t i = 0; v && i < a->n; i++)
        v[i] = strtof(cut(&list, ',').p, NULL);
    a->val.f = v;
}

static void read_ints(struct reader *r, struct span list, struct schema_attr *a)
{
    int64_t *v = take(r, a->n, sizeof *v);
    for (size_t i = 0; v && i < a->n; i++)
        v[i] = strtoll(cut(&list, ',').p, NULL, 10);
    a->val.i = v;
}

static void read_strings(struct reader *r, struct span list, struct schema_attr *a)
{
    const char **v = take(r, a->n, sizeof *v);
    for (size_t i = 0; v && i < a->n; i++) {
        struct span quoted = cut(&list, ',');
        v[i] = keep(r, (struct span){quoted.p + 1, quoted.n - 2});
    }
    a->val.s = v;
}

/* "1", "0.01", "'nearest'", "[0,2,3]" */
static void read_default(struct reader *r, struct span text, struct schema_attr *a)
{
    a->def = keep(r, text);
    if (text.p[0] == '[')
        text = (struct span){text.p + 1, text.n - 2};
    a->n = count_words(text, ',');
    switch (a->kind) {
    case SA_FLOAT:
    case SA_FLOATS:
        read_floats(r, text, a);
        break;
    case SA_INT:
    case SA_INTS:
        read_ints(r, text, a);
        break;
    case SA_STRING:
    case SA_STRINGS:
        read_strings(r, text, a);
        break;
    default:
        BUG("schema.def: default of attribute '%s'", a->name);
    }
}

/* "axis:int=1" or "value:tensor!" */
static void read_attr(struct reader *r, struct span word, struct schema_attr *a)
{
    a->name = keep(r, cut(&word, ':'));
    struct span kind = cut(&word, '=');
    if (kind.n > 0 && kind.p[kind.n - 1] == '!') {
        a->required = true;
        kind.n--;
    }
    a->kind = read_kind(kind);
    if (word.n > 0)
        read_default(r, word, a);
}

static const struct schema_attr *read_attrs(struct reader *r, struct span text, int *n)
{
    size_t count = count_words(text, ' ');
    struct schema_attr *a = take(r, count, sizeof *a);
    *n = (int)count;
    for (size_t i = 0; a && i < count; i++)
        read_attr(r, cut(&text, ' '), &a[i]);
    return a;
}

static const struct schema_constraint *read_constraints(struct reader *r, struct span text, int *n)
{
    size_t count = count_words(text, ' ');
    struct schema_constraint *c = take(r, count, sizeof *c);
    *n = (int)count;
    for (size_t i = 0; c && i < count; i++) {
        struct span word = cut(&text, ' ');
        c[i].name = keep(r, cut(&word, '='));
        c[i].types = keep(r, word);
    }
    return c;
}

int schema_parse(struct cx *cx, struct arena *arena, const struct op_version *v, struct op_schema **out)
{
    struct reader r = {.arena = arena};
    struct op_schema *s = take(&r, 1, sizeof *s);
    struct span in, outs;
    if (!s)
        return err_nomem(cx);
    s->ver = v;
    split_signature(v->sig, &in, &outs);
    s->in = read_ios(&r, in, &s->nin, &s->min_in, &s->max_in);
    s->out = read_ios(&r, outs, &s->nout, &s->min_out, &s->max_out);
    s->attr = read_attrs(&r, span_of(v->attrs), &s->nattr);
    s->constraint = read_constraints(&r, span_of(v->types), &s->nconstraint);
    if (r.failed)
        return err_nomem(cx);
    *out = s;
    return OK;
}

const struct schema_attr *schema_attr(const struct op_schema *s, const char *name)
{
    for (int i = 0; i < s->nattr; i++) {
        if (strcmp(s->attr[i].name, name) == 0)
            return &s->attr[i];
    }
    return NULL;
}

static const struct schema_io *param_at(const struct schema_io *io, int n, int i)
{
    if (i < 0 || n == 0)
        return NULL;
    if (i < n)
        return &io[i];
    return io[n - 1].option == IO_VARIADIC ? &io[n - 1] : NULL;
}

const struct schema_io *schema_input(const struct op_schema *s, int i)
{
    return param_at(s->in, s->nin, i);
}

const struct schema_io *schema_output(const struct op_schema *s, int i)
{
    return param_at(s->out, s->nout, i);
}

static const char *name_at(struct span text, int i, char *buf, size_t size)
{
    struct span word = span_of("");
    for (int k = 0; k <= i && text.n > 0; k++) {
        word = cut(&text, ' ');
        if (k < i && text.n == 0 && !memmem(word.p, word.n, "...", 3))
            word.n = 0;
    }
    struct span name = cut(&word, ':');
    snprintf(buf, size, "%.*s", (int)name.n, name.n ? name.p : "");
    return buf;
}

const char *schema_input_name(const struct op_version *v, int i, char *buf, size_t size)
{
    struct span in, out;
    split_signature(v->sig, &in, &out);
    return name_at(in, i, buf, size);
}

const char *schema_output_name(const struct op_version *v, int i, char *buf, size_t size)
{
    struct span in, out;
    split_signature(v->sig, &in, &out);
    return name_at(out, i, buf, size);
}

/* ---- types ---- */

static const char *find_set(struct span name)
{
    for (size_t i = 0; i < COUNT(type_sets); i++) {
        if (span_is(name, type_sets[i].name))
            return type_sets[i].types;
    }
    return NULL;
}

/* The expression of a constraint; a typestr that names none is a type itself. */
static struct span constraint_of(const struct op_version *v, const char *typestr)
{
    struct span text = span_of(v->types);
    while (text.n > 0) {
        struct span word = cut(&text, ' ');
        if (span_is(cut(&word, '='), typestr))
            return word;
    }
    return span_of(typestr);
}

/* What stands between the parentheses of wrapper(...); false when s is no such thing. */
static bool unwrap(struct span s, const char *wrapper, struct span *inner)
{
    size_t n = strlen(wrapper);
    if (s.n < n + 2 || memcmp(s.p, wrapper, n) != 0 || s.p[n] != '(')
        return false;
    *inner = (struct span){s.p + n + 1, s.n - n - 2};
    return true;
}

static bool set_has(const char *types, struct span type)
{
    struct span rest = span_of(types);
    while (rest.n > 0) {
        if (span_same(cut(&rest, ' '), type))
            return true;
    }
    return false;
}

static bool term_takes(struct span term, struct span type)
{
    static const char *const wrappers[] = {"seq", "optional"};
    for (size_t i = 0; i < COUNT(wrappers); i++) {
        struct span t, inner;
        if (unwrap(term, wrappers[i], &t))
            return unwrap(type, wrappers[i], &inner) && term_takes(t, inner);
    }
    const char *types = find_set(term);
    return types ? set_has(types, type) : span_same(term, type);
}

bool schema_type_allowed(const struct op_version *v, const char *typestr, const char *type)
{
    struct span expr = constraint_of(v, typestr);
    while (expr.n > 0) {
        if (term_takes(cut(&expr, '|'), span_of(type)))
            return true;
    }
    return false;
}

/* Adds what one term (or type name) takes. */
static void add_term(struct span term, struct schema_takes *t)
{
    struct span inner;
    char name[32];
    const char *types = find_set(term);
    struct span rest = types ? span_of(types) : (struct span){0};
    while (rest.n > 0)
        add_term(cut(&rest, ' '), t);
    if (types)
        return;
    if (unwrap(term, "seq", &inner)) {
        t->kinds |= SK_SEQ;
    } else if (unwrap(term, "map", &inner)) {
        t->kinds |= SK_MAP;
    } else if (unwrap(term, "optional", &inner)) {
        t->kinds |= SK_OPTIONAL;
    } else if (term.n < sizeof name) {
        t->kinds |= SK_TENSOR;
        memcpy(name, term.p, term.n);
        name[term.n] = 0;
        t->dtypes |= 1u << dtype_parse(name);
    }
}

struct schema_takes schema_takes(const struct op_version *v, const char *typestr)
{
    struct schema_takes t = {0};
    struct span expr = constraint_of(v, typestr);
    while (expr.n > 0)
        add_term(cut(&expr, '|'), &t);
    return t;
}

/* Appends every type of a term, wrapped in what stood around it. */
static void list_term(struct str *s, struct span term)
{
    struct span inner = term;
    int depth = 0;
    while (unwrap(inner, "seq", &inner) || unwrap(inner, "optional", &inner))
        depth++;
    struct span prefix = {term.p, (size_t)(inner.p - term.p)};
    const char *types = find_set(inner);
    struct span rest = types ? span_of(types) : inner;
    while (rest.n > 0) {
        struct span type = cut(&rest, ' ');
        str_add(s, s->n ? ", " : "");
        str_addn(s, prefix.p, prefix.n);
        str_addn(s, type.p, type.n);
        for (int i = 0; i < depth; i++)
            str_addc(s, ')');
    }
}

const char *schema_types_text(const struct op_version *v, const char *typestr, char *buf, size_t size)
{
    struct span expr = constraint_of(v, typestr);
    struct str s = {0};
    while (expr.n > 0)
        list_term(&s, cut(&expr, '|'));
    snprintf(buf, size, "%s", str_text(&s));
    str_free(&s);
    return buf;
}

/* ---- bodies ---- */

const struct op_body *schema_body(const struct op_version *v, int64_t opset)
{
    const struct op_body *best = NULL;
    if (!(v->flags & SF_BODY))
        return NULL;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        const struct op_body *b = &bodies[i];
        if (strcmp(b->domain, v->domain) == 0 && strcmp(b->name, v->name) == 0 && b->since == v->since &&
            b->opset <= opset)
            best = b;
    }
    return best;
}
