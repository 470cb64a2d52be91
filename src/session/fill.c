/* Made-up inputs that a model takes. */
#include "session/fill.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "io/tensor_pb.h"
#include "ops/op.h"

enum { MAX_STEPS = 256 };

/* ---- who reads the input ---- */

/* What the readers of an input ask of it. */
struct finding {
    int64_t rows;  /* it indexes a table of so many rows; 0: none */
    bool compared; /* it is compared with a constant */
    double constant;
    bool shape; /* it says a shape or a count */
    bool item;  /* it is a position in a sequence */
};

struct search {
    struct cx *cx;
    struct model *m;
    struct finding f;
    int steps;
};

static bool is_op(const struct node *n, const char *type)
{
    return n->domain[0] == 0 && strcmp(n->op_type, type) == 0;
}

/* Operators that hand values on unchanged, from input 0. */
static bool passes_on(const struct node *n)
{
    static const char *const names[] = {"Cast",      "Identity", "Unsqueeze", "Squeeze", "Reshape", "Flatten",
                                        "Transpose", "Slice",    "Expand",    "Concat",  "Tile",    "Split"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_op(n, names[i]))
            return true;
    return false;
}

static bool scalar_const(struct search *s, const struct value *v, double *out)
{
    struct tensor t;
    const struct tensor_data *d = v->init;
    const struct attr *a =
        v->producer && is_op(v->producer, "Constant") ? node_attr(v->producer, "value") : NULL;
    if (a && a->kind == AT_TENSOR && !a->ref)
        d = a->u.t;
    if (!d || tensor_data_count(d) != 1 || dtype_info(d->dt)->cls == CLS_STRING)
        return false;
    memset(&t, 0, sizeof t);
    if (tensor_load(s->cx, s->m, d, &t)) {
        err_clear(s->cx);
        return false;
    }
    *out = tensor_f64(&t, 0);
    tensor_drop(&t);
    return true;
}

/* Rows of the table on the axis that a Gather indexes. */
static int64_t gather_rows(struct search *s, const struct node *n)
{
    const struct value *table = n->in[0];
    int64_t axis = 0;
    if (attr_int(s->cx, n, "axis", &axis) < 0)
        return 0;
    const struct type *t = table->type ? table->type : table->declared;
    if (table->init) {
        axis += axis < 0 ? table->init->rank : 0;
        return axis >= 0 && axis < table->init->rank ? table->init->dims[axis] : 0;
    }
    if (!t || t->kind != TY_TENSOR || t->rank < 1)
        return 0;
    axis += axis < 0 ? t->rank : 0;
    return axis >= 0 && axis < t->rank && t->dims[axis].kind == DIM_CONST ? t->dims[axis].v : 0;
}

static void note_rows(struct search *s, int64_t rows)
{
    if (rows > 0 && (!s->f.rows || rows < s->f.rows))
        s->f.rows = rows;
}

static void look_at(struct search *s, const struct use *u);

static void look_from(struct search *s, const struct value *v)
{
    for (size_t i = 0; i < v->nuses && s->steps < MAX_STEPS; i++)
        look_at(s, &v->uses[i]);
}

static void look_at(struct search *s, const struct use *u)
{
    const struct node *n = u->node;
    double c;
    s->steps++;
    if ((is_op(n, "Gather") || is_op(n, "GatherElements")) && u->index == 1) {
        note_rows(s, gather_rows(s, n));
    } else if ((is_op(n, "SequenceAt") || is_op(n, "SequenceErase")) && u->index == 1) {
        note_rows(s, 1); /* how many items it will have is not known; one, if it is to work at all */
    } else if (is_op(n, "OneHot") && u->index == 0 && n->nin > 1 && n->in[1]) {
        if (scalar_const(s, n->in[1], &c))
            note_rows(s, (int64_t)c);
    } else if (is_op(n, "Equal") && n->nin == 2) {
        const struct value *other = n->in[1 - u->index];
        if (other && !s->f.compared && scalar_const(s, other, &c)) {
            s->f.compared = true;
            s->f.constant = c;
        }
    } else if (u->index > 0 &&
               (is_op(n, "Reshape") || is_op(n, "Expand") || is_op(n, "Tile") || is_op(n, "Slice"))) {
        s->f.shape = true;
    } else if ((u->index == 1 && (is_op(n, "SequenceAt") || is_op(n, "SequenceErase"))) ||
               (u->index == 2 && is_op(n, "SequenceInsert"))) {
        s->f.item = true;
    } else if (is_op(n, "ConstantOfShape") || is_op(n, "Range")) {
        s->f.shape = true;
    } else if (passes_on(n) && (u->index == 0 || is_op(n, "Concat"))) {
        for (int o = 0; o < n->nout; o++)
            if (n->out[o])
                look_from(s, n->out[o]);
    }
}

/* ---- names ---- */

static bool name_has(const char *name, const char *word)
{
    size_t n = strlen(word);
    for (; *name; name++)
        if (strncasecmp(name, word, n) == 0)
            return true;
    return false;
}

static int set_fill(struct cx *cx, struct fill *f, enum fill_kind kind, double lo, double hi, const char *how)
{
    *f = (struct fill){.kind = kind, .lo = lo, .hi = hi, .how = how};
    return how ? OK : err_nomem(cx);
}

static int fill_int(struct cx *cx, struct arena *a, const struct value *v, const struct finding *f,
                    struct fill *out)
{
    const char *name = v->name;
    if (name_has(name, "mask"))
        return set_fill(cx, out, FILL_CONST, 1, 1, "ones: a mask that hides nothing");
    if (name_has(name, "position") && f->rows)
        return set_fill(cx, out, FILL_ARANGE, 0, (double)f->rows,
                        arena_printf(a, "0, 1, 2, ...: positions, below the %lld rows of their table",
                                     (long long)f->rows));
    if (f->item)
        return set_fill(cx, out, FILL_CONST, 0, 0, "zero: a position in a sequence");
    if (f->rows)
        return set_fill(
            cx, out, FILL_UNIFORM, 0, (double)f->rows,
            arena_printf(a, "0..%lld: the rows of the table that it indexes", (long long)f->rows - 1));
    if (f->compared)
        return set_fill(cx, out, FILL_CONST, f->constant, f->constant,
                        arena_printf(a, "%g: a constant that the graph compares it with", f->constant));
    if (name_has(name, "position"))
        return set_fill(cx, out, FILL_ARANGE, 0, 0, "0, 1, 2, ...: positions");
    if (name_has(name, "token_type") || name_has(name, "segment"))
        return set_fill(cx, out, FILL_CONST, 0, 0, "zeros: one segment");
    if (f->shape || name_has(name, "len") || name_has(name, "size") || name_has(name, "num"))
        return set_fill(cx, out, FILL_CONST, 1, 1, "ones: a length or count");
    if (name_has(name, "id") || name_has(name, "token"))
        return set_fill(cx, out, FILL_UNIFORM, 0, 100, "0..99: token numbers");
    return set_fill(cx, out, FILL_UNIFORM, 0, 10, "0..9");
}

/* [N, C, H, W] with the channels of a picture. */
static bool looks_like_image(const struct type *t)
{
    if (!t || t->kind != TY_TENSOR || t->rank != 4)
        return false;
    return dim_is(t->dims[1], 1) || dim_is(t->dims[1], 3) || dim_is(t->dims[1], 4);
}

int fill_for_input(struct cx *cx, struct arena *a, struct model *m, const struct value *v, struct fill *out)
{
    struct search s = {.cx = cx, .m = m};
    const struct type *t = v->declared ? v->declared : v->type;
    while (t && (t->kind == TY_SEQ || t->kind == TY_OPT || t->kind == TY_MAP)) /* what is inside is filled */
        t = t->elem;
    enum dtype dt = t && (t->kind == TY_TENSOR || t->kind == TY_SPARSE) ? t->dt : DT_UNDEFINED;
    look_from(&s, v);
    err_clear(cx);
    if (dtype_info(dt)->cls == CLS_BOOL)
        return set_fill(cx, out, FILL_CONST, 1, 1, "true");
    if (dtype_is_int(dt) && dtype_info(dt)->bits >= 32)
        return fill_int(cx, a, v, &s.f, out);
    if (dtype_is_int(dt))
        return dtype_info(dt)->cls == CLS_UINT ? set_fill(cx, out, FILL_UNIFORM, 0, 256, "0..255")
                                               : set_fill(cx, out, FILL_UNIFORM, -128, 128, "-128..127");
    if (name_has(v->name, "mask"))
        return set_fill(cx, out, FILL_CONST, 1, 1, "ones: a mask that hides nothing");
    if (s.f.compared)
        return set_fill(cx, out, FILL_CONST, s.f.constant, s.f.constant,
                        arena_printf(a, "%g: a constant that the graph compares it with", s.f.constant));
    if (looks_like_image(t))
        return set_fill(cx, out, FILL_UNIFORM, 0, 1, "uniform in 0..1: pixels");
    return set_fill(cx, out, FILL_UNIFORM, -1, 1, "uniform in -1..1");
}

/* ---- text ---- */

int fill_parse(struct cx *cx, struct arena *a, const char *text, struct fill *out)
{
    const char *how = arena_printf(a, "%s, as asked", text);
    if (strcmp(text, "zeros") == 0)
        return set_fill(cx, out, FILL_CONST, 0, 0, how);
    if (strcmp(text, "ones") == 0)
        return set_fill(cx, out, FILL_CONST, 1, 1, how);
    if (strcmp(text, "arange") == 0)
        return set_fill(cx, out, FILL_ARANGE, 0, 0, how);
    if (strcmp(text, "normal") == 0)
        return set_fill(cx, out, FILL_NORMAL, 0, 1, how);
    char *end;
    errno = 0;
    double lo = strtod(text, &end), hi = lo;
    bool ok = end != text && *end == ':';
    if (ok) {
        const char *second = end + 1;
        hi = strtod(second, &end);
        ok = end != second && *end == 0 && isfinite(lo) && isfinite(hi) && lo <= hi && !errno;
    }
    if (!ok)
        return err_set(cx, E_USAGE, "--fill '%s': expected LO:HI, zeros, ones, arange or normal", text);
    return set_fill(cx, out, lo == hi ? FILL_CONST : FILL_UNIFORM, lo, hi, how);
}

/* ---- values ---- */

static double next_value(const struct fill *f, struct rng *r, int64_t i, int64_t last, bool whole)
{
    switch (f->kind) {
    case FILL_CONST:
        return f->lo;
    case FILL_NORMAL:
        return rng_normal(r);
    case FILL_ARANGE: {
        int64_t k = f->first + (last > 0 ? i % last : 0), span = (int64_t)(f->hi - f->lo);
        return f->lo + (double)(span > 0 ? k % span : k);
    }
    case FILL_UNIFORM:
        break;
    }
    if (whole)
        return (double)rng_range(r, (int64_t)f->lo, (int64_t)f->hi);
    return f->lo + (f->hi - f->lo) * rng_f64(r);
}

int fill_tensor(struct cx *cx, const struct fill *f, uint64_t seed, const char *name, struct tensor *t)
{
    struct rng r;
    const struct dtype_info *di = dtype_info(t->dt);
    if (di->cls == CLS_STRING)
        return OK; /* empty strings: legal wherever a string is */
    rng_seed(&r, seed ^ hash_str(HASH_INIT, name));
    bool whole = dtype_is_int(t->dt) || di->cls == CLS_BOOL;
    int64_t n = tensor_count(t), last = t->rank ? t->dims[t->rank - 1] : 1;
    (void)cx;
    for (int64_t i = 0; i < n; i++)
        di->store_f64((char *)t->data + (size_t)i * di->size, next_value(f, &r, i, last, whole));
    return OK;
}

/* ---- sizes ---- */

/* Words in the names of axes, and the size that each stands for. */
static const struct {
    const char *word;
    int64_t size;
} known_dims[] = {
    {"batch", 1},    {"past", 16},   {"seq", 32},     {"len", 32},    {"time", 32},
    {"sample", 512}, {"audio", 512}, {"height", 224}, {"width", 224},
};

static int64_t known_dim(const char *symbol)
{
    if (strcmp(symbol, "N") == 0)
        return 1;
    for (size_t i = 0; i < sizeof known_dims / sizeof *known_dims; i++)
        if (name_has(symbol, known_dims[i].word))
            return known_dims[i].size;
    return 0;
}

bool fill_knows_dim(const char *symbol)
{
    return symbol && known_dim(symbol) > 0;
}

int64_t fill_default_dim(const char *symbol, const struct value *v, int axis)
{
    if (fill_knows_dim(symbol))
        return known_dim(symbol);
    return looks_like_image(v->declared) && axis >= 2 ? 224 : 1;
}
