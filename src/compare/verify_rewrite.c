#include "compare/verify_rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"

enum { DEFAULT_SETS = 3, DEFAULT_SIZES = 3, MAX_SYMBOLS = 32 };
/* Values kept of the original while looking inside. */
static const uint64_t inside_limit = 1ull << 30;

struct verify {
    struct cx *cx;
    const struct verify_opts *o;
    struct verify_report *rep;
    struct model *model[2];
    struct session *s[2];
    struct feed *feeds[8];
    char *label[8]; /* sizes of the feed; NULL: the defaults */
    size_t variant[8];
    size_t nfeeds;
    struct tensor *ins; /* by input of the session */
    const struct tensor **outs[2];
    uint64_t *first; /* hash of each output for the first set of the sizes at hand */
    uint64_t inputs_first;
    bool inputs_move; /* some set has had other inputs */
};

/* ---- sizes ---- */

struct sizes {
    size_t n;
    const char *sym[MAX_SYMBOLS];
    int64_t v[MAX_SYMBOLS];
    bool leading[MAX_SYMBOLS]; /* the symbol of a first axis: often free where others are not */
};

static void note_symbol(struct sizes *z, const char *name, int64_t v, int axis)
{
    for (size_t i = 0; i < z->n; i++)
        if (strcmp(z->sym[i], name) == 0) {
            z->leading[i] |= axis == 0;
            return;
        }
    if (z->n == MAX_SYMBOLS)
        return;
    z->sym[z->n] = name;
    z->v[z->n] = v;
    z->leading[z->n++] = axis == 0;
}

/* Plain symbols of the inputs, with the sizes that the first sample has. */
static void collect_sizes(const struct model *m, const struct named_list *l, struct sizes *z)
{
    for (size_t i = 0; i < m->graph->nins; i++) {
        const struct type *ty = m->graph->ins[i]->declared;
        const struct tensor *t = named_find(l, m->graph->ins[i]->name);
        if (!t || !ty || ty->kind != TY_TENSOR || t->kind != RT_TENSOR || t->rank != ty->rank)
            continue;
        for (int k = 0; k < ty->rank; k++) {
            const char *name;
            char text[160];
            if (ty->dims[k].kind == DIM_EXPR && dim_symbols(ty->dims[k], &name, 1) == 1 &&
                strcmp(dim_text(ty->dims[k], text, sizeof text), name) == 0)
                note_symbol(z, name, t->dims[k], k);
        }
    }
}

static bool given(const struct verify_opts *o, const char *sym)
{
    size_t n = strlen(sym);
    for (const char *const *d = o->feed.dims; d && *d; d++)
        if (strncmp(*d, sym, n) == 0 && (*d)[n] == '=')
            return true;
    return false;
}

/* Another size for a symbol: larger, odd where it was even, a multiple of 32 where pictures need that. */
static int64_t other_size(int64_t v, size_t variant)
{
    return v >= 64 ? v + 32 * (int64_t)variant : v + 2 * (int64_t)variant - (v == 1);
}

/* A feed whose symbols have other sizes: those of first axes alone when `leading`. No files can be fed then.
 */
static int add_feed(struct verify *v, const struct sizes *z, size_t variant, bool leading)
{
    struct feed_opts fo = v->o->feed;
    size_t ndims = 0, k = 0;
    struct str label = {0};
    while (fo.dims && fo.dims[ndims])
        ndims++;
    const char **dims = arena_array(&v->cx->scratch, ndims + z->n + 1, sizeof *dims);
    if (!dims)
        return err_nomem(v->cx);
    for (; k < ndims; k++)
        dims[k] = fo.dims[k];
    for (size_t i = 0; i < z->n; i++) {
        if (given(v->o, z->sym[i]) || (leading && !z->leading[i]))
            continue;
        int64_t size = other_size(z->v[i], variant);
        dims[k] = arena_printf(&v->cx->scratch, "%s=%lld", z->sym[i], (long long)size);
        if (!dims[k])
            return err_nomem(v->cx);
        str_addf(&label, "%s%s", label.n ? ", " : "", dims[k++]);
    }
    fo.dims = dims;
    fo.seed += 1000 * variant;
    fo.samples = fo.samples ? fo.samples : DEFAULT_SETS;
    if (k == ndims || (leading && v->nfeeds > 1 && !strcmp(v->label[v->nfeeds - 1], str_text(&label)))) {
        /* nothing is free, or nothing else than was there before */
        str_free(&label);
        return OK;
    }
    int rc = feed_new(v->cx, v->model[0], &fo, &v->feeds[v->nfeeds]);
    if (!rc) {
        v->variant[v->nfeeds] = variant;
        v->label[v->nfeeds++] = arena_strdup(&v->rep->arena, str_text(&label));
    } else if (rc == E_SHAPE || rc == E_VALUE || rc == E_USAGE) { /* --shape fixes what the symbol says */
        err_clear(v->cx);
        rc = OK;
    }
    str_free(&label);
    return rc;
}

/* The feeds for all sizes, made while the model is still as in the file. */
static int make_feeds(struct verify *v)
{
    struct sizes z = {0};
    struct named_list *l;
    size_t want = v->o->sizes ? v->o->sizes : DEFAULT_SIZES;
    struct feed_opts fo = v->o->feed;
    fo.samples = fo.samples ? fo.samples : DEFAULT_SETS;
    int rc = feed_new(v->cx, v->model[0], &fo, &v->feeds[0]);
    if (rc)
        return rc;
    v->nfeeds = 1;
    rc = feed_get(v->cx, v->feeds[0], 0, &l);
    if (rc || (fo.inputs && *fo.inputs))
        return rc;
    collect_sizes(v->model[0], l, &z);
    for (size_t k = 1; k < want && k <= 3 && !rc && z.n; k++) {
        rc = add_feed(v, &z, k, false);
        if (!rc)
            rc = add_feed(v, &z, k, true);
    }
    return rc;
}

/* ---- both models ---- */

/* Whether a failure of the rewritten model says something about it, rather than about us or the machine. */
static bool models_fault(int rc)
{
    int code = err_exit_code(rc);
    return code == 3;
}

/* A finding about the rewritten model as a whole; the first one stays. */
static int __attribute__((format(printf, 2, 3))) fail(struct verify *v, const char *fmt, ...)
{
    struct str s = {0};
    va_list ap;
    v->rep->pass = false;
    if (v->rep->failure)
        return OK;
    va_start(ap, fmt);
    str_vaddf(&s, fmt, ap);
    va_end(ap);
    v->rep->failure = arena_strdup(&v->rep->arena, str_text(&s));
    str_free(&s);
    return v->rep->failure ? OK : err_nomem(v->cx);
}

/* The error that is set becomes a finding. */
static int fail_with_error(struct verify *v, int rc, const char *what)
{
    char text[600];
    if (!models_fault(rc))
        return err_frame(v->cx, "the rewritten model");
    err_format(&v->cx->err, text, sizeof text);
    err_clear(v->cx);
    return fail(v, "it does not %s: %s", what, text);
}

static int open_sessions(struct verify *v)
{
    for (int k = 0; k < 2; k++) {
        struct session_opts so = {.level = k ? v->o->after : v->o->before, .threads = v->o->threads};
        int rc = session_new(v->cx, v->model[k], &so, &v->s[k]);
        v->model[k] = NULL;
        if (rc)
            return k ? fail_with_error(v, rc, "load") : rc;
    }
    return OK;
}

static int find_named(const struct session *s, bool outputs, const char *name)
{
    size_t n = outputs ? session_noutputs(s) : session_ninputs(s);
    for (size_t i = 0; i < n; i++)
        if (strcmp((outputs ? session_output(s, i) : session_input(s, i))->name, name) == 0)
            return (int)i;
    return -1;
}

static int same_names(struct verify *v, bool outputs, bool reversed)
{
    const struct session *a = v->s[reversed], *b = v->s[!reversed];
    size_t n = outputs ? session_noutputs(a) : session_ninputs(a);
    for (size_t i = 0; i < n; i++) {
        const char *name = (outputs ? session_output(a, i) : session_input(a, i))->name;
        if (find_named(b, outputs, name) < 0)
            return fail(v, "%s '%s' is %s", outputs ? "output" : "input", name, reversed ? "new" : "gone");
    }
    return OK;
}

/* The same names go in and come out. */
static int same_interface(struct verify *v)
{
    int rc = OK;
    for (int k = 0; k < 4 && !rc; k++)
        rc = same_names(v, k & 1, k & 2);
    return rc;
}

static int prepare(struct verify *v)
{
    struct verify_report *r = v->rep;
    size_t nin = session_ninputs(v->s[0]), nout = session_noutputs(v->s[0]);
    r->nout = nout;
    r->out = arena_array(&r->arena, nout + 1, sizeof *r->out);
    v->ins = arena_array(&r->arena, nin + 1, sizeof *v->ins);
    v->outs[0] = arena_array(&r->arena, nout + 1, sizeof **v->outs);
    v->outs[1] = arena_array(&r->arena, nout + 1, sizeof **v->outs);
    v->first = arena_array(&r->arena, nout + 1, sizeof *v->first);
    if (!r->out || !v->ins || !v->outs[0] || !v->outs[1] || !v->first)
        return err_nomem(v->cx);
    for (size_t i = 0; i < nout; i++) {
        r->out[i].name = arena_strdup(&r->arena, session_output(v->s[0], i)->name);
        r->out[i].worst.worst = -1;
        r->out[i].moves = nin == 0;
        if (!r->out[i].name)
            return err_nomem(v->cx);
    }
    return OK;
}

static int run_side(struct verify *v, int side, const struct named_list *l)
{
    struct session *s = v->s[side];
    for (size_t i = 0; i < session_ninputs(s); i++) {
        const struct tensor *t = named_find(l, session_input(s, i)->name);
        if (!t)
            return err_set(v->cx, E_DATA, "no value for input '%s'", session_input(s, i)->name);
        v->ins[i] = *t;
    }
    return session_run(v->cx, s, v->ins, v->outs[side]);
}

/* ---- chance ---- */

struct taint {
    bool *value; /* by value id: depends on a random operator */
    bool changed;
};

static bool is_random(const struct node *n)
{
    static const char *const names[] = {"RandomNormal",      "RandomUniform", "RandomNormalLike",
                                        "RandomUniformLike", "Multinomial",   "Bernoulli"};
    if (n->op && n->op->flags & OP_NONDET)
        return true;
    if (n->domain[0])
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(n->op_type, names[i]) == 0)
            return true;
    return strcmp(n->op_type, "Dropout") == 0 && n->nin > 2 && n->in[2]; /* it may be training */
}

static void taint_outputs(struct taint *t, const struct node *n)
{
    for (int o = 0; o < n->nout; o++)
        if (n->out[o] && !t->value[n->out[o]->id])
            t->value[n->out[o]->id] = t->changed = true;
}

/* A random node taints what it makes, and what every node makes whose body it stands in. */
static int taint_graph(void *user, struct graph *g, int depth)
{
    struct taint *t = user;
    (void)depth;
    for (const struct node *n = g->first; n; n = n->next) {
        bool hit = is_random(n);
        for (int i = 0; i < n->nin && !hit; i++)
            hit = n->in[i] && t->value[n->in[i]->id];
        if (!hit)
            continue;
        taint_outputs(t, n);
        for (const struct node *owner = g->owner; owner; owner = owner->graph->owner)
            taint_outputs(t, owner);
    }
    return 0;
}

static int find_random(struct verify *v)
{
    for (int side = 0; side < 2; side++) {
        struct model *m = v->s[side]->m;
        struct taint t = {.value = arena_array(&v->cx->scratch, m->nvalues + 1, sizeof *t.value)};
        if (!t.value)
            return err_nomem(v->cx);
        do {
            t.changed = false;
            graph_walk(m->graph, taint_graph, &t);
        } while (t.changed);
        for (size_t i = 0; i < v->rep->nout; i++) {
            int k = find_named(v->s[side], true, v->rep->out[i].name);
            v->rep->out[i].random |= k >= 0 && t.value[session_output(v->s[side], (size_t)k)->id];
        }
    }
    return OK;
}

/* ---- comparing ---- */

static uint64_t hash_tensor(uint64_t h, const struct tensor *t)
{
    h = hash_bytes(h, &t->rank, sizeof t->rank);
    h = hash_bytes(h, t->dims, (size_t)t->rank * sizeof *t->dims);
    for (size_t i = 0; t->seq && i < t->seq->n; i++)
        h = hash_tensor(h, &t->seq->items[i]);
    if (t->kind != RT_TENSOR || !t->data)
        return h;
    if (dtype_info(t->dt)->cls != CLS_STRING)
        return hash_bytes(h, t->data, tensor_bytes(t));
    const struct ostr *s = t->data;
    for (int64_t i = 0, n = tensor_count(t); i < n; i++)
        h = hash_bytes(h, s[i].n ? s[i].p : "", s[i].n);
    return h;
}

static void tolerance_of(const struct verify *v, const char *name, struct tolerance *tol)
{
    tolerance_init(tol);
    if (v->o->tolerance)
        v->o->tolerance(v->o->user, name, tol);
}

/* Puts m into worst when it is worse; true when it was. */
static bool keep_worst(struct metrics *worst, const struct metrics *m, bool first)
{
    int64_t count = worst->count + m->count, different = worst->different + m->different;
    bool worse = first || (worst->pass && (!m->pass || m->max_abs > worst->max_abs));
    if (worse)
        *worst = *m;
    worst->count = count;
    worst->different = different;
    worst->outliers = count ? (double)different / (double)count : 0;
    return worse;
}

static bool same_form(const struct tensor *a, const struct tensor *b)
{
    return a->kind == b->kind && a->dt == b->dt && a->rank == b->rank &&
           !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

static int compare_output(struct verify *v, size_t i, size_t feed, size_t set)
{
    struct verify_output *o = &v->rep->out[i];
    const struct tensor *want = v->outs[0][i], *got = v->outs[1][find_named(v->s[1], true, o->name)];
    struct tolerance tol;
    struct metrics m;
    tolerance_of(v, o->name, &tol);
    compare_tensors(got, want, &tol, &m);
    if (o->random && !m.pass && same_form(got, want)) {
        m.pass = true;
        m.reason[0] = 0;
    }
    v->rep->pass &= m.pass;
    if (!keep_worst(&o->worst, &m, v->rep->sets == 0))
        return OK;
    o->where = arena_printf(&v->rep->arena, "set %zu%s%s", set + 1, v->label[feed] ? " of " : "",
                            v->label[feed] ? v->label[feed] : "");
    return o->where ? OK : err_nomem(v->cx);
}

static void note_moves(struct verify *v, const struct named_list *l, size_t set)
{
    uint64_t h = HASH_INIT;
    for (size_t i = 0; i < l->n; i++)
        h = hash_tensor(h, &l->v[i].t);
    if (set == 0)
        v->inputs_first = h;
    else
        v->inputs_move |= h != v->inputs_first;
    for (size_t i = 0; i < v->rep->nout; i++) {
        uint64_t x = hash_tensor(HASH_INIT, v->outs[0][i]);
        if (set == 0)
            v->first[i] = x;
        else
            v->rep->out[i].moves |= x != v->first[i];
    }
}

static int refuse(struct verify *v, size_t feed)
{
    struct verify_report *r = v->rep;
    if (!r->refused)
        r->refused = arena_array(&r->arena, 8, sizeof *r->refused);
    if (!r->refused)
        return err_nomem(v->cx);
    err_clear(v->cx);
    r->refused[r->nrefused++] = v->label[feed];
    return OK;
}

/* *ran: whether the original took these sizes. */
static int run_set(struct verify *v, size_t feed, size_t set, bool *ran)
{
    struct named_list *l;
    struct feed *f = v->feeds[feed];
    int rc = feed_get(v->cx, f, set, &l);
    if (!rc)
        rc = run_side(v, 0, l);
    while (rc && !feed && !set && feed_retry(f, rc)) {
        err_clear(v->cx);
        rc = feed_get(v->cx, f, 0, &l);
        rc = rc ? rc : run_side(v, 0, l);
    }
    *ran = !rc;
    if (rc && feed && models_fault(rc))
        return refuse(v, feed);
    if (rc)
        return rc;
    note_moves(v, l, set);
    rc = run_side(v, 1, l);
    if (rc)
        return fail_with_error(v, rc, "run");
    for (size_t i = 0; i < v->rep->nout && !rc; i++)
        rc = compare_output(v, i, feed, set);
    v->rep->sets++;
    return rc;
}

/* Of two feeds of one variant the second is for models that only let first axes grow. */
static int run_sets(struct verify *v)
{
    int rc = OK;
    size_t done = 0; /* variants up to this one ran */
    for (size_t k = 0; k < v->nfeeds && !rc && !v->rep->failure; k++) {
        bool ran = true;
        if (k && v->variant[k] == done)
            continue;
        size_t sets = feed_count(v->feeds[k]), most = v->o->feed.samples ? v->o->feed.samples : DEFAULT_SETS;
        for (size_t i = 0; i < sets && i < most && !rc && ran && !v->rep->failure; i++)
            rc = run_set(v, k, i, &ran);
        v->rep->sizes += ran;
        done = ran ? v->variant[k] : done;
    }
    return rc;
}

/* ---- inside ---- */

struct seen {
    const char *name;
    uint64_t hash;   /* for another set */
    struct tensor t; /* a copy, when it moves */
};

struct inside {
    struct verify *v;
    struct arena arena;
    struct smap map; /* name -> struct seen */
    struct seen **all;
    size_t n, cap;
    uint64_t bytes;
    int pass; /* 0: hashes of one set, 1: copies of another, 2: the rewritten model against them */
};

static int see_before(struct inside *in, const struct value *val, const struct tensor *t)
{
    struct seen *s = smap_get(&in->map, val->name);
    if (in->pass == 1) {
        if (!s || s->t.data || s->hash == hash_tensor(HASH_INIT, t) || in->bytes > inside_limit)
            return OK;
        in->bytes += tensor_bytes(t);
        return tensor_copy(in->v->cx, &s->t, t);
    }
    s = arena_zalloc(&in->arena, sizeof *s);
    struct seen **p = arena_grow(&in->arena, in->all, in->n, &in->cap, sizeof *in->all);
    if (!s || !p || !(s->name = arena_strdup(&in->v->rep->arena, val->name)) ||
        !smap_put(&in->map, s->name, s))
        return err_nomem(in->v->cx);
    in->all = p;
    in->all[in->n++] = s;
    s->hash = hash_tensor(HASH_INIT, t);
    return OK;
}

static void see_after(struct inside *in, const struct value *val, const struct tensor *t)
{
    struct verify_report *r = in->v->rep;
    const struct seen *s = smap_get(&in->map, val->name);
    struct tolerance tol;
    struct metrics m;
    if (!s || !s->t.data || val->is_output)
        return;
    tolerance_of(in->v, val->name, &tol);
    compare_tensors(t, &s->t, &tol, &m);
    if (keep_worst(&r->inside_metrics, &m, r->inside == 0))
        r->inside_worst = s->name;
    r->inside++;
    r->inside_failed += !m.pass;
}

/* Values of the main graph alone: bodies make theirs many times. */
static int see_step(void *user, struct cx *cx, const struct prog_step *p, const struct tensor *const *ins,
                    struct tensor *const *out)
{
    struct inside *in = user;
    int rc = OK;
    (void)cx;
    (void)ins;
    for (int o = 0; o < p->nout && !rc && !p->node->graph->owner; o++) {
        if (!out[o] || !p->node->out[o] || out[o]->kind != RT_TENSOR)
            continue;
        if (in->pass == 2)
            see_after(in, p->node->out[o], out[o]);
        else
            rc = see_before(in, p->node->out[o], out[o]);
    }
    return rc;
}

static int look_inside(struct verify *v)
{
    struct inside in = {.v = v};
    struct named_list *l;
    int rc = OK;
    in.map.arena = &in.arena;
    v->rep->looked_inside = true;
    for (in.pass = 0; in.pass < 3 && !rc; in.pass++) {
        struct session *s = v->s[in.pass == 2];
        s->ex.hooks = (struct exec_hooks){see_step, &in};
        rc = feed_get(v->cx, v->feeds[0], in.pass == 0, &l);
        if (!rc)
            rc = run_side(v, in.pass == 2, l);
        s->ex.hooks = (struct exec_hooks){0};
    }
    for (size_t i = 0; i < in.n; i++)
        tensor_drop(&in.all[i]->t);
    arena_free(&in.arena);
    v->rep->pass &= v->rep->inside_failed == 0;
    return rc;
}

static int conclude(struct verify *v)
{
    bool all = true, chance = false;
    int rc = OK;
    for (size_t i = 0; i < v->rep->nout; i++) {
        all &= v->rep->out[i].moves || v->rep->out[i].random;
        chance |= v->rep->out[i].random;
    }
    /* With chance at work inside, values of equal name need not agree. */
    if (!all && !chance && v->inputs_move && !v->rep->failure)
        rc = look_inside(v);
    v->rep->proven = all || v->rep->inside > 0;
    return rc;
}

int verify_rewrite(struct cx *cx, struct model *before, struct model *after, const struct verify_opts *o,
                   struct verify_report *out)
{
    struct verify v = {.cx = cx, .o = o, .rep = out, .model = {before, after}};
    struct arena_mark mark = arena_mark(&cx->scratch);
    *out = (struct verify_report){.pass = true};
    int rc = make_feeds(&v);
    if (!rc)
        rc = open_sessions(&v);
    if (!rc && !out->failure)
        rc = same_interface(&v);
    if (!rc && !out->failure)
        rc = prepare(&v);
    if (!rc && !out->failure)
        rc = find_random(&v);
    if (!rc && !out->failure)
        rc = run_sets(&v);
    if (!rc && !out->failure)
        rc = conclude(&v);
    for (size_t i = 0; i < v.nfeeds; i++)
        feed_free(v.feeds[i]);
    for (int k = 0; k < 2; k++) {
        session_free(v.s[k]);
        if (v.model[k])
            model_free(v.model[k]);
    }
    arena_release(&cx->scratch, mark);
    return rc;
}

void verify_free(struct verify_report *r)
{
    arena_free(&r->arena);
    *r = (struct verify_report){0};
}
