/* --input, --fill, --shape and --dim put together.
 *
 * A sample set is one bundle (a folder, an .npz), or NAME=PATH options up to the first repeated NAME. A file
 * whose leading dim is a multiple of an axis that the model has fixed is fed in slices: 500 images to a model
 * of batch 1 are 500 samples. */
#include "session/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/str.h"
#include "io/inline_tensor.h"
#include "session/probe.h"
#include "session/session.h"

struct source {
    const char *name; /* NULL: a set, or a tensor for the only input */
    const char *path;
};

struct group {
    struct source *src;
    size_t n, cap;
    size_t slices, first; /* samples it gives, and the number of its first */
};

struct feed {
    struct model *m;
    struct arena arena;
    struct group *groups;
    size_t ngroups, cap_groups;
    size_t samples;
    uint64_t seed;
    struct fill *fill; /* by graph input */
    int64_t **shape;   /* by graph input: dims from --shape, -1 where kept; NULL */
    int *shape_rank;
    struct binding dims;      /* from --dim */
    struct named_list loaded; /* the group read last */
    size_t loaded_group;      /* SIZE_MAX: none */
    struct named_list now;    /* the sample handed out last */
    int64_t guess;            /* size for axes that nothing says anything about; 0: fill_default_dim's */
    size_t tried;             /* how many guesses were refused */
    bool stepped;
    int64_t *position; /* by graph input: where the positions of the next step begin */
    bool guessed;      /* some axis of the sample handed out last took the guess */
};

/* ---- what the user gave ---- */

static const struct value *input_named(const struct feed *f, const char *name, size_t n, size_t *index)
{
    const struct graph *g = f->m->graph;
    for (size_t i = 0; i < g->nins; i++)
        if (strlen(g->ins[i]->name) == n && memcmp(g->ins[i]->name, name, n) == 0) {
            *index = i;
            return g->ins[i];
        }
    return NULL;
}

static int no_such_input(struct cx *cx, const struct feed *f, const char *opt, const char *name, size_t n)
{
    const struct graph *g = f->m->graph;
    const char **names = arena_array(&cx->scratch, g->nins + 1, sizeof *names);
    char *want = arena_strndup(&cx->scratch, name, n);
    if (!names || !want)
        return err_nomem(cx);
    size_t k = 0;
    for (size_t i = 0; i < g->nins; i++)
        names[k++] = g->ins[i]->name;
    const char *near = nearest_name(want, names, k);
    if (!near && k == 1)
        near = names[0];
    if (near)
        return err_set(cx, E_USAGE, "%s: the model has no input '%s'; did you mean '%s'?", opt, want, near);
    struct str all = {0};
    for (size_t i = 0; i < k && all.n < 300; i++)
        str_addf(&all, "%s%s", i ? ", " : "", names[i]);
    err_set(cx, E_USAGE, "%s: the model has no input '%s', only: %s", opt, want, str_text(&all));
    str_free(&all);
    return E_USAGE;
}

/* Where NAME ends in NAME=VALUE: the last '=' whose left side is an input, since names and paths may hold
 * '='. */
static const char *split_name(const struct feed *f, const char *text, size_t *index)
{
    for (const char *eq = text + strlen(text); eq-- > text;)
        if (*eq == '=' && input_named(f, text, (size_t)(eq - text), index))
            return eq;
    return NULL;
}

static int add_source(struct cx *cx, struct feed *f, const char *name, const char *path, bool new_group)
{
    if (new_group || !f->ngroups) {
        struct group *g = arena_grow(&f->arena, f->groups, f->ngroups, &f->cap_groups, sizeof *g);
        if (!g)
            return err_nomem(cx);
        f->groups = g;
        f->groups[f->ngroups++] = (struct group){0};
    }
    struct group *g = &f->groups[f->ngroups - 1];
    struct source *s = arena_grow(&f->arena, g->src, g->n, &g->cap, sizeof *s);
    char *p = arena_strdup(&f->arena, path);
    if (!s || !p)
        return err_nomem(cx);
    g->src = s;
    g->src[g->n++] = (struct source){name, p};
    return OK;
}

static bool group_has(const struct feed *f, const char *name)
{
    if (!f->ngroups)
        return false;
    const struct group *g = &f->groups[f->ngroups - 1];
    for (size_t i = 0; i < g->n; i++)
        if (!g->src[i].name || strcmp(g->src[i].name, name) == 0)
            return true;
    return false;
}

static int add_bundle(struct cx *cx, struct feed *f, const char *path)
{
    char **subs;
    size_t n;
    int rc = sample_subsets(cx, path, &subs, &n);
    if (rc || !n)
        return rc ? rc : add_source(cx, f, NULL, path, true);
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_source(cx, f, NULL, subs[i], true);
    return rc;
}

static size_t needed_inputs(const struct graph *g, const struct value **only)
{
    size_t n = 0;
    for (size_t i = 0; i < g->nins; i++)
        if (!g->ins[i]->init && !g->ins[i]->sparse) {
            *only = g->ins[i];
            n++;
        }
    return n;
}

static int add_input(struct cx *cx, struct feed *f, const char *text)
{
    size_t index;
    const char *eq = split_name(f, text, &index);
    if (eq) {
        const char *name = f->m->graph->ins[index]->name;
        return add_source(cx, f, name, eq + 1, group_has(f, name));
    }
    if (sample_is_set(text))
        return add_bundle(cx, f, text);
    const struct value *only = NULL;
    const char *any = strrchr(text, '=');
    struct file *probe;
    if (any && file_open(cx, text, &probe) != OK) {
        err_clear(cx);
        return no_such_input(cx, f, "--input", text, (size_t)(any - text));
    }
    if (any)
        file_unref(probe);
    if (needed_inputs(f->m->graph, &only) != 1)
        return err_set(cx, E_USAGE, "--input %s: the model has several inputs: say which with NAME=PATH",
                       text);
    return add_source(cx, f, only->name, text, group_has(f, only->name));
}

static bool parse_i64(const char *s, const char *end, int64_t *out)
{
    char *stop;
    errno = 0;
    long long v = strtoll(s, &stop, 10);
    *out = v;
    return stop == end && stop != s && !errno && v >= 0;
}

/* The first input with an axis that has neither size nor name; NULL. */
static const char *open_input(const struct graph *g)
{
    for (size_t i = 0; i < g->nins; i++) {
        const struct type *t = g->ins[i]->declared;
        for (int k = 0; t && t->kind == TY_TENSOR && k < t->rank; k++)
            if (t->dims[k].kind == DIM_UNKNOWN)
                return g->ins[i]->name;
    }
    return NULL;
}

static int add_dim(struct cx *cx, struct feed *f, const char *text)
{
    const char *eq = strrchr(text, '=');
    int64_t v;
    char *name = eq ? arena_strndup(&f->arena, text, (size_t)(eq - text)) : NULL;
    if (!name || !*name || !parse_i64(eq + 1, eq + strlen(eq), &v))
        return err_set(cx, E_USAGE, "--dim '%s': expected SYMBOL=NUMBER", text);
    const char *known[64];
    size_t n = 0;
    const struct graph *g = f->m->graph;
    for (size_t i = 0; i < g->nins; i++)
        for (int k = 0;
             g->ins[i]->declared && g->ins[i]->declared->kind == TY_TENSOR && k < g->ins[i]->declared->rank;
             k++)
            if (n < 48 && g->ins[i]->declared->dims[k].kind == DIM_EXPR) {
                size_t got = dim_symbols(g->ins[i]->declared->dims[k], known + n, 64 - n);
                n = n + got < 64 ? n + got : 64;
            }
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found = found || strcmp(known[i], name) == 0;
    if (!found) {
        const char *near = nearest_name(name, known, n);
        const char *open = near ? NULL : open_input(g);
        return err_set(cx, E_USAGE, "--dim: no input of the model has the symbol '%s'%s%s%s", name,
                       near   ? "; did you mean '"
                       : open ? "; axes that have no name are set by --shape "
                              : "",
                       near   ? near
                       : open ? open
                              : "",
                       near   ? "'?"
                       : open ? "=..."
                              : "");
    }
    struct dim sym = dim_symbol(f->m->syms, name);
    if (!binding_set(f->m->syms, &f->arena, &f->dims, sym, v))
        return binding_open(f->m->syms, &f->dims, sym)
                   ? err_nomem(cx)
                   : err_set(cx, E_USAGE, "--dim '%s' contradicts an earlier --dim", text);
    return OK;
}

/* NAME=1x3x*x224. */
static int add_shape(struct cx *cx, struct feed *f, const char *text)
{
    size_t index;
    const char *eq = split_name(f, text, &index);
    if (!eq) {
        const char *any = strrchr(text, '=');
        if (!any)
            return err_set(cx, E_USAGE, "--shape '%s': expected NAME=1x3x224x224", text);
        return no_such_input(cx, f, "--shape", text, (size_t)(any - text));
    }
    int64_t dims[TENSOR_MAX_RANK];
    int rank = 0;
    for (const char *p = eq + 1; *p;) {
        size_t len = strcspn(p, "x");
        if (rank == TENSOR_MAX_RANK)
            return err_set(cx, E_USAGE, "--shape '%s': more than %d dims", text, TENSOR_MAX_RANK);
        dims[rank] = -1;
        if (!(len == 1 && *p == '*') && !parse_i64(p, p + len, &dims[rank]))
            return err_set(cx, E_USAGE, "--shape '%s': '%.*s' is no size", text, (int)len, p);
        rank++;
        p += len + (p[len] == 'x');
    }
    const struct type *t = f->m->graph->ins[index]->declared;
    char want[200];
    if (t && t->kind == TY_TENSOR && t->rank >= 0 && t->rank != rank)
        return err_set(cx, E_USAGE, "--shape '%s': the input is %s", text, type_text(t, want, sizeof want));
    f->shape[index] = arena_dup(&f->arena, dims, sizeof dims);
    f->shape_rank[index] = rank;
    if (!f->shape[index])
        return err_nomem(cx);
    for (int i = 0; t && t->kind == TY_TENSOR && i < t->rank; i++)
        if (dims[i] >= 0 && t->dims[i].kind != DIM_UNKNOWN &&
            !binding_set(f->m->syms, &f->arena, &f->dims, t->dims[i], dims[i]))
            return binding_open(f->m->syms, &f->dims, t->dims[i])
                       ? err_nomem(cx)
                       : err_set(cx, E_USAGE, "--shape '%s': axis %d must be %s", text, i,
                                 dim_text(t->dims[i], want, sizeof want));
    return OK;
}

static int add_fill(struct cx *cx, struct feed *f, const char *text)
{
    size_t index;
    const char *eq = split_name(f, text, &index);
    struct fill fill;
    const char *any = strrchr(text, '=');
    if (!eq && any)
        return no_such_input(cx, f, "--fill", text, (size_t)(any - text));
    int rc = fill_parse(cx, &f->arena, eq ? eq + 1 : text, &fill);
    if (rc)
        return rc;
    for (size_t i = 0; i < f->m->graph->nins; i++)
        if (!eq || i == index)
            f->fill[i] = fill;
    return OK;
}

/* ---- sizes ---- */

static bool fed_by_file(const struct feed *f, const char *name)
{
    for (size_t g = 0; g < f->ngroups; g++)
        for (size_t i = 0; i < f->groups[g].n; i++)
            if (!f->groups[g].src[i].name || strcmp(f->groups[g].src[i].name, name) == 0)
                return true;
    return false;
}

/* The size of an axis that nobody has fixed. A symbol with a telling name keeps its size; others take the
 * guess. */
static int64_t free_dim(struct feed *f, const char *symbol, const struct value *v, int axis)
{
    if (axis == 0 || fill_knows_dim(symbol))
        return fill_default_dim(symbol, v, axis);
    f->guessed = true;
    /* A middle axis may be one more batch ([2, batch, 128]) or a sequence: the last one is tried alone first.
     */
    bool last = v->declared && axis == v->declared->rank - 1;
    bool takes_guess = f->guess && (last || f->tried % 2 == 0);
    return takes_guess ? f->guess : fill_default_dim(symbol, v, axis);
}

/* Symbols of one dim that nothing has bound get their default size. */
static int bind_default(struct cx *cx, struct feed *f, struct binding *b, const struct value *v, int axis)
{
    const char *names[16];
    struct dim d = v->declared->dims[axis];
    size_t n = dim_symbols(d, names, 16);
    for (size_t i = 0; i < n && i < 16; i++) {
        struct dim s = dim_symbol(f->m->syms, names[i]);
        if (dim_eval(f->m->syms, b, s).kind != DIM_CONST &&
            !binding_set(f->m->syms, &cx->scratch, b, s, free_dim(f, names[i], v, axis)))
            return err_nomem(cx);
    }
    return OK;
}

/* dims of a made-up tensor, under the sizes that files and options have fixed. *rank comes with that
 * of shape (from --shape, may be NULL), for a v that declares none. */
static int made_up_dims(struct cx *cx, struct feed *f, struct binding *b, const struct value *v,
                        const int64_t *shape, int *rank, int64_t *dims)
{
    const struct type *t = v->declared;
    char text[160];
    *rank = t->rank < 0 ? *rank : t->rank;
    if (*rank > TENSOR_MAX_RANK)
        return err_set(cx, E_UNSUPPORTED, "input '%s' has %d dims, at most %d are supported", v->name, *rank,
                       TENSOR_MAX_RANK);
    for (int k = 0; k < *rank; k++) {
        struct dim d = t->rank < 0 ? dim_unknown() : t->dims[k];
        if (shape && shape[k] >= 0) {
            dims[k] = shape[k];
            continue;
        }
        int rc = d.kind == DIM_EXPR ? bind_default(cx, f, b, v, k) : OK;
        if (rc)
            return rc;
        struct dim e = dim_eval(f->m->syms, b, d);
        dims[k] = e.kind == DIM_CONST ? e.v : free_dim(f, NULL, v, k);
        if (dims[k] < 0)
            return err_set(cx, E_USAGE, "input '%s': axis %d (%s) comes out as %lld", v->name, k,
                           dim_text(d, text, sizeof text), (long long)dims[k]);
    }
    return OK;
}

/* ---- reading ---- */

/* Whether t has an axis of steps in front of those that the model declares. */
static bool has_time_axis(const struct feed *f, const struct value *v, const struct tensor *t)
{
    const struct type *ty = v->declared;
    return f->stepped && ty && ty->kind == TY_TENSOR && t->kind == RT_TENSOR && ty->rank >= 0 &&
           t->rank == ty->rank + 1 && t->dims[0] > 0;
}

static int check_against(struct cx *cx, const struct value *v, const struct tensor *t, bool sliced)
{
    char want[200], have[200];
    const struct type *ty = v->declared;
    if (!ty || ty->kind != TY_TENSOR || t->kind != RT_TENSOR) {
        char what[300];
        snprintf(what, sizeof what, "input '%s' in the file", v->name);
        return value_fits(cx, what, ty, t);
    }
    bool ok = t->dt == ty->dt && (ty->rank < 0 || t->rank == ty->rank);
    for (int k = sliced ? 1 : 0; ok && k < ty->rank; k++)
        ok = ty->dims[k].kind != DIM_CONST || ty->dims[k].v == t->dims[k];
    if (ok)
        return OK;
    return err_set(cx, t->dt != ty->dt ? E_TYPE : E_SHAPE, "input '%s': the file has %s, the model takes %s",
                   v->name, tensor_type_text(t, have, sizeof have), type_text(ty, want, sizeof want));
}

/* How many pieces a fed tensor falls into: its leading dim over the fixed one. */
static size_t slices_of(const struct feed *f, const struct value *v, const struct tensor *t)
{
    const struct type *ty = v->declared;
    if (has_time_axis(f, v, t))
        return (size_t)t->dims[0];
    if (!ty || ty->kind != TY_TENSOR || t->kind != RT_TENSOR || ty->rank < 1 || ty->rank != t->rank ||
        ty->dims[0].kind != DIM_CONST)
        return 1;
    int64_t fixed = ty->dims[0].v;
    return fixed > 0 && t->dims[0] > fixed && t->dims[0] % fixed == 0 ? (size_t)(t->dims[0] / fixed) : 1;
}

/* Values written out where a path would stand: a bracket always means them, other values where there is no
 * such file. */
static bool written_out(const char *text)
{
    return *text == '[' || (inline_tensor_likely(text) && access(text, F_OK) != 0);
}

static int read_written(struct cx *cx, const struct value *v, const char *text, struct named_list *l)
{
    const struct type *ty = v->declared;
    struct tensor t;
    bool tensor = ty && (ty->kind == TY_TENSOR || ty->kind == TY_SPARSE);
    if (!tensor)
        return err_set(cx, E_USAGE, "--input %s: values can be written out for tensors only: give a file",
                       v->name);
    int rc = inline_tensor_parse(cx, text, ty->dt, ty->rank, &t);
    return rc ? err_frame(cx, "--input %s", v->name) : named_take(cx, l, v->name, &t);
}

static int read_source(struct cx *cx, struct feed *f, const struct source *s, struct named_list *l)
{
    if (!s->name)
        return sample_read_set(cx, f->m, s->path, false, l);
    const struct value *v = model_io(f->m, s->name, false);
    struct tensor t;
    memset(&t, 0, sizeof t);
    if (written_out(s->path))
        return read_written(cx, v, s->path, l);
    if (sample_is_set(s->path))
        return err_set(cx, E_USAGE, "--input %s=%s: a folder or archive goes without a name", s->name,
                       s->path);
    int rc = sample_read_file(cx, s->path, v->declared, &t, NULL);
    return rc ? rc : named_take(cx, l, s->name, &t);
}

/* Piece k of n along the leading dim, which is left out when it is one of steps: a view of the loaded tensor.
 */
static void slice(const struct tensor *t, size_t k, size_t n, bool time_axis, struct tensor *out)
{
    tensor_ref(out, t);
    if (time_axis) {
        out->rank--;
        memmove(out->dims, out->dims + 1, (size_t)out->rank * sizeof *out->dims);
    } else if (n > 1) {
        out->dims[0] /= (int64_t)n;
    }
    if (n > 1)
        out->data = (char *)t->data + k * tensor_bytes(out);
}

static int check_group(struct cx *cx, struct feed *f, struct group *g)
{
    g->slices = 1;
    for (size_t i = 0; i < f->loaded.n; i++) {
        const struct value *v = model_io(f->m, f->loaded.v[i].name, false);
        if (!v)
            return no_such_input(cx, f, g->src[0].path, f->loaded.v[i].name, strlen(f->loaded.v[i].name));
        struct tensor *t = &f->loaded.v[i].t, piece;
        size_t k = slices_of(f, v, t);
        slice(t, 0, has_time_axis(f, v, t) ? k : 1, has_time_axis(f, v, t), &piece);
        int rc = check_against(cx, v, &piece, k > 1 && !has_time_axis(f, v, t));
        tensor_drop(&piece);
        if (rc)
            return rc;
        if (k > 1 && g->slices > 1 && k != g->slices)
            return err_set(cx, E_SHAPE, "input '%s' holds %zu samples, another input %zu", v->name, k,
                           g->slices);
        g->slices = k > 1 ? k : g->slices;
    }
    return OK;
}

static int load_group(struct cx *cx, struct feed *f, size_t k)
{
    if (f->loaded_group == k)
        return OK;
    struct group *g = &f->groups[k];
    named_free(&f->loaded);
    f->loaded_group = SIZE_MAX;
    int rc = OK;
    for (size_t i = 0; i < g->n && !rc; i++)
        rc = read_source(cx, f, &g->src[i], &f->loaded);
    if (!rc)
        rc = check_group(cx, f, g);
    if (!rc)
        f->loaded_group = k;
    return rc;
}

static int take_loaded(struct cx *cx, struct feed *f, size_t k)
{
    for (size_t i = 0; i < f->loaded.n; i++) {
        const struct named *from = &f->loaded.v[i];
        struct tensor t;
        const struct value *v = model_io(f->m, from->name, false);
        if (named_find(&f->now, from->name)) /* comes from the step before */
            continue;
        size_t n = slices_of(f, v, &from->t);
        slice(&from->t, n > 1 ? k : 0, n, has_time_axis(f, v, &from->t), &t);
        int rc = named_take(cx, &f->now, from->name, &t);
        if (rc)
            return rc;
    }
    return OK;
}

/* Symbols that the files of this sample fix. */
static int bind_from_files(struct cx *cx, struct feed *f, struct binding *b)
{
    for (size_t i = 0; i < f->now.n; i++) {
        const struct value *v = model_io(f->m, f->now.v[i].name, false);
        const struct tensor *t = &f->now.v[i].t;
        const struct type *ty = v->declared;
        char text[160];
        for (int k = 0; ty && ty->kind == TY_TENSOR && k < ty->rank && t->kind == RT_TENSOR; k++)
            if (ty->dims[k].kind == DIM_EXPR &&
                !binding_set(f->m->syms, &cx->scratch, b, ty->dims[k], t->dims[k]))
                return binding_open(f->m->syms, b, ty->dims[k])
                           ? err_nomem(cx)
                           : err_set(cx, E_SHAPE,
                                     "input '%s': axis %d (%s) is %lld in the file, which contradicts "
                                     "another input or option",
                                     v->name, k, dim_text(ty->dims[k], text, sizeof text),
                                     (long long)t->dims[k]);
    }
    return OK;
}

static int copy_binding(struct cx *cx, const struct binding *from, struct binding *to)
{
    *to = *from;
    to->cap = from->n;
    if (from->n && !(to->e = arena_dup(&cx->scratch, from->e, from->n * sizeof *from->e)))
        return err_nomem(cx);
    return OK;
}

/* What is to be made: a value, or an item in one, which is described as a value of its type. */
struct making {
    struct feed *f;
    struct binding *b;
    struct fill fill;
    uint64_t seed;
    const int64_t *shape; /* from --shape; NULL */
    int rank;             /* of shape; of items whose rank nobody declares */
};

static int make_tensor(struct cx *cx, struct making *mk, const struct value *v, struct tensor *t)
{
    int64_t dims[TENSOR_MAX_RANK];
    int rank = mk->rank;
    int rc = made_up_dims(cx, mk->f, mk->b, v, mk->shape, &rank, dims);
    if (!rc)
        rc = tensor_new(cx, t, v->declared->dt, rank, dims);
    return rc ? rc : fill_tensor(cx, &mk->fill, mk->seed, v->name, t);
}

enum { MADE_ITEMS = 2 }; /* of a sequence, and pairs of a map */

static int make_keys(struct cx *cx, enum dtype dt, struct tensor *keys)
{
    static const struct ostr names[MADE_ITEMS] = {{"a", 1}, {"b", 1}};
    int64_t n = MADE_ITEMS;
    bool strings = dt == DT_STRING;
    int rc = tensor_new(cx, keys, strings ? DT_STRING : DT_INT64, 1, &n);
    for (int64_t i = 0; i < n && !rc; i++) {
        if (strings)
            ((struct ostr *)keys->data)[i] = names[i];
        else
            ((int64_t *)keys->data)[i] = i;
    }
    return rc;
}

static int make_value(struct cx *cx, struct making *mk, const struct value *v, struct tensor *t);

static int make_items(struct cx *cx, struct making *mk, const struct value *v, size_t n, struct tensor *t)
{
    struct value item = {.name = v->name, .declared = v->declared->elem};
    int rc = rt_seq_new(cx, &t->seq);
    for (size_t i = 0; i < n && !rc; i++) {
        struct tensor one;
        memset(&one, 0, sizeof one);
        mk->seed += 0x632be59bd9b4e019ull;
        rc = make_value(cx, mk, &item, &one);
        if (!rc)
            t->dt = one.dt;
        if (rc || (rc = rt_seq_push(cx, t->seq, &one)))
            tensor_drop(&one);
    }
    return rc;
}

static int make_value(struct cx *cx, struct making *mk, const struct value *v, struct tensor *t)
{
    char text[160];
    const struct type *ty = v->declared;
    struct type dense;
    struct value as_dense;
    int rc;
    switch (ty ? ty->kind : TY_NONE) {
    case TY_TENSOR:
        return make_tensor(cx, mk, v, t);
    case TY_SPARSE: /* at run time it is dense */
        dense = *ty;
        dense.kind = TY_TENSOR;
        as_dense = (struct value){.name = v->name, .declared = &dense};
        return make_tensor(cx, mk, &as_dense, t);
    case TY_SEQ:
        t->kind = RT_SEQ;
        return make_items(cx, mk, v, MADE_ITEMS, t);
    case TY_OPT:
        t->kind = RT_OPT;
        return make_items(cx, mk, v, 1, t);
    case TY_MAP:
        t->kind = RT_MAP;
        rc = make_items(cx, mk, v, MADE_ITEMS, t);
        return rc ? rc : make_keys(cx, ty->dt, &t->seq->keys);
    default:
        return err_set(cx, E_USAGE, "input '%s' is %s: it cannot be made up, give it with --input", v->name,
                       type_text(ty, text, sizeof text));
    }
}

static int make_up(struct cx *cx, struct feed *f, struct binding *b, size_t sample, size_t i)
{
    const struct value *v = f->m->graph->ins[i];
    const struct type *ty = v->declared;
    struct tensor t;
    struct making mk = {.f = f,
                        .b = b,
                        .seed = f->seed + sample * 0x9e3779b97f4a7c15ull,
                        .shape = f->shape[i],
                        .rank = f->shape[i] ? f->shape_rank[i] : 1};
    memset(&t, 0, sizeof t);
    if (ty && ty->kind == TY_TENSOR && ty->rank < 0 && !f->shape[i])
        return err_set(cx, E_USAGE, "input '%s' has no declared rank: give --shape %s=...", v->name, v->name);
    mk.fill = f->fill[i];
    if (f->position && mk.fill.kind == FILL_ARANGE)
        mk.fill.first = f->position[i];
    int rc = make_value(cx, &mk, v, &t);
    if (rc) {
        tensor_drop(&t);
        return rc;
    }
    if (f->position && t.kind == RT_TENSOR && t.rank) /* positions of the next step begin where these end */
        f->position[i] += t.dims[t.rank - 1];
    return named_take(cx, &f->now, v->name, &t);
}

/* Everything that nobody gave, in the sizes that b and the files ask for. */
static int complete(struct cx *cx, struct feed *f, struct binding *b, size_t sample)
{
    const struct graph *g = f->m->graph;
    int rc = bind_from_files(cx, f, b);
    for (size_t i = 0; i < g->nins && !rc; i++)
        if (!g->ins[i]->init && !g->ins[i]->sparse && !named_find(&f->now, g->ins[i]->name))
            rc = make_up(cx, f, b, sample, i);
    return rc;
}

static int take_files(struct cx *cx, struct feed *f, size_t sample)
{
    for (size_t k = 0; k < f->ngroups; k++)
        if (sample >= f->groups[k].first && sample - f->groups[k].first < f->groups[k].slices) {
            int rc = load_group(cx, f, k);
            return rc ? rc : take_loaded(cx, f, sample - f->groups[k].first);
        }
    return OK;
}

int feed_get(struct cx *cx, struct feed *f, size_t i, struct named_list **out)
{
    struct arena_mark m = arena_mark(&cx->scratch);
    struct binding b;
    named_free(&f->now);
    int rc = take_files(cx, f, i);
    if (!rc)
        rc = copy_binding(cx, &f->dims, &b);
    if (!rc)
        rc = complete(cx, f, &b, i);
    arena_release(&cx->scratch, m);
    *out = &f->now;
    return rc;
}

/* ---- steps ---- */

static int take_fixed(struct cx *cx, struct feed *f, const struct named_list *fixed)
{
    for (size_t i = 0; i < fixed->n; i++) {
        struct tensor t;
        if (!model_io(f->m, fixed->v[i].name, false))
            return err_set(cx, E_USAGE, "the model has no input '%s'", fixed->v[i].name);
        tensor_ref(&t, &fixed->v[i].t);
        int rc = named_take(cx, &f->now, fixed->v[i].name, &t);
        if (rc)
            return rc;
    }
    return OK;
}

/* What --dim says of symbols that are not bound yet. */
static int add_options(struct cx *cx, const struct feed *f, struct binding *b)
{
    struct binding_entry *e = arena_array(&cx->scratch, b->n + f->dims.n + 1, sizeof *e);
    size_t n = b->n;
    if (!e)
        return err_nomem(cx);
    if (b->n)
        memcpy(e, b->e, b->n * sizeof *e);
    for (size_t i = 0; i < f->dims.n; i++) {
        bool bound = false;
        for (size_t k = 0; k < b->n; k++)
            bound |= b->e[k].sym == f->dims.e[i].sym;
        if (!bound)
            e[n++] = f->dims.e[i];
    }
    *b = (struct binding){.n = n, .cap = n, .e = e};
    return OK;
}

int feed_step(struct cx *cx, struct feed *f, size_t step, const struct named_list *fixed,
              struct named_list **out)
{
    struct arena_mark m = arena_mark(&cx->scratch);
    struct binding b = {0};
    size_t nins = f->m->graph->nins;
    if (!f->position)
        f->position = arena_array(&f->arena, nins + 1, sizeof *f->position);
    if (!f->position)
        return err_nomem(cx);
    if (step == 0)
        memset(f->position, 0, nins * sizeof *f->position);
    named_free(&f->now);
    int rc = take_fixed(cx, f, fixed);
    if (!rc)
        rc = bind_from_files(cx, f, &b);
    if (!rc)
        rc = add_options(cx, f, &b);
    if (!rc)
        rc = take_files(cx, f, step < f->samples ? step : f->samples - 1);
    if (!rc)
        rc = complete(cx, f, &b, step);
    arena_release(&cx->scratch, m);
    *out = &f->now;
    return rc;
}

/* ---- setting up ---- */

static int add_each(struct cx *cx, struct feed *f, const char *const *list,
                    int (*add)(struct cx *cx, struct feed *f, const char *text))
{
    int rc = OK;
    for (; list && *list && !rc; list++)
        rc = add(cx, f, *list);
    return rc;
}

static int default_fills(struct cx *cx, struct feed *f)
{
    size_t n = f->m->graph->nins;
    f->fill = arena_array(&f->arena, n + 1, sizeof *f->fill);
    f->shape = arena_array(&f->arena, n + 1, sizeof *f->shape);
    f->shape_rank = arena_array(&f->arena, n + 1, sizeof *f->shape_rank);
    if (!f->fill || !f->shape || !f->shape_rank)
        return err_nomem(cx);
    int rc = OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = fill_for_input(cx, &f->arena, f->m, f->m->graph->ins[i], &f->fill[i]);
    return rc;
}

static int count_samples(struct cx *cx, struct feed *f, size_t made_up)
{
    f->samples = 0;
    for (size_t k = 0; k < f->ngroups; k++) {
        int rc = load_group(cx, f, k);
        if (rc)
            return rc;
        f->groups[k].first = f->samples;
        f->samples += f->groups[k].slices;
    }
    if (!f->ngroups)
        f->samples = made_up ? made_up : 1;
    return OK;
}

/* Sizes tried in turn for axes that nothing says anything about, each for last axes alone, then for all. */
static const int64_t sizes[] = {0, 16, 64, 128, 224, 256, 512, 640, 1024, 4096, 16000};
enum { TRIES = 2 * (sizeof sizes / sizeof *sizes) - 1 };

static int64_t size_of_try(size_t k)
{
    return sizes[(k + 1) / 2];
}

/* The first size from the current one on with which inference finds no contradiction. */
static int settle_guess(struct cx *cx, struct feed *f)
{
    for (; f->tried < TRIES; f->tried++) {
        struct named_list *l;
        f->guess = size_of_try(f->tried);
        f->guessed = false;
        int rc = feed_get(cx, f, 0, &l);
        if (rc)
            return rc;
        rc = probe_shapes(cx, f->m, l);
        err_clear(cx); /* what else is wrong, the run will say */
        if (!f->guessed || (rc != E_SHAPE && rc != E_VALUE))
            return OK;
    }
    f->guess = 0;
    return OK;
}

/* No probing here: the session has rewritten the model by now. */
bool feed_retry(struct feed *f, int status)
{
    if ((status != E_SHAPE && status != E_VALUE) || !f->guessed || f->tried + 1 >= TRIES)
        return false;
    f->guess = size_of_try(++f->tried);
    return true;
}

int feed_new(struct cx *cx, struct model *m, const struct feed_opts *o, struct feed **out)
{
    struct feed *f = mem_zalloc(sizeof *f);
    if (!f)
        return err_nomem(cx);
    f->m = m;
    f->seed = o->seed;
    f->stepped = o->stepped;
    f->loaded_group = SIZE_MAX;
    struct arena_mark mark = arena_mark(&cx->scratch);
    int rc = default_fills(cx, f);
    if (!rc)
        rc = add_each(cx, f, o->dims, add_dim);
    if (!rc)
        rc = add_each(cx, f, o->shapes, add_shape);
    if (!rc)
        rc = add_each(cx, f, o->fills, add_fill);
    if (!rc)
        rc = add_each(cx, f, o->inputs, add_input);
    if (!rc)
        rc = count_samples(cx, f, o->samples);
    if (!rc)
        rc = settle_guess(cx, f);
    arena_release(&cx->scratch, mark);
    if (rc) {
        feed_free(f);
        return rc;
    }
    *out = f;
    return OK;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    named_free(&f->loaded);
    named_free(&f->now);
    arena_free(&f->arena);
    free(f);
}

size_t feed_count(const struct feed *f)
{
    return f->samples;
}

const char *feed_how(const struct feed *f, size_t i)
{
    const struct graph *g = f->m->graph;
    if (i >= g->nins || g->ins[i]->init || g->ins[i]->sparse || fed_by_file(f, g->ins[i]->name))
        return NULL;
    return f->fill[i].how;
}

const struct binding *feed_binding(const struct feed *f)
{
    return &f->dims;
}

const int64_t *feed_shape(const struct feed *f, size_t i, int *rank)
{
    *rank = f->shape[i] ? f->shape_rank[i] : 0;
    return f->shape[i];
}
