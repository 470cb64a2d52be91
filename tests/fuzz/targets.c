/* What broken input is thrown at, and what must hold. */
#include "targets.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/checked.h"
#include "check/check.h"
#include "io/npy.h"
#include "io/onnx_load.h"
#include "io/onnx_save.h"
#include "io/tensor_pb.h"
#include "ir/verify.h"

enum { TENSOR_SMALL = 1 << 20 };

int target_status;

/* Where values go, so that reading them is not optimized away. */
static volatile double seen;

static char complaint[4096 + 100];

/* An error must have one line of text and an exit code that blames the file, a limit or missing support. */
static const char *check_error(const struct cx *cx, int r)
{
    char line[4096];
    int code = err_exit_code(r);
    const char *why = NULL;

    err_format(&cx->err, line, sizeof(line));
    if (cx->err.code != r)
        why = "the status returned is not the one reported";
    else if (!*cx->err.msg)
        why = "an error without text";
    else if (strpbrk(line, "\n\r\033"))
        why = "control characters in a message";
    else if (code < 3 || code > 5 || r == E_INTERNAL)
        why = "an error that blames the library";
    if (!why)
        return NULL;
    snprintf(complaint, sizeof(complaint), "%s: %s", why, line);
    return complaint;
}

static const char *internal(const struct cx *cx, const char *what)
{
    snprintf(complaint, sizeof(complaint), "%s: %s", what, cx->err.msg);
    return complaint;
}

/* Takes every element out, so that a sanitizer sees what the data pointer covers. */
static void use_tensor(const struct tensor *t)
{
    char text[256];

    tensor_type_text(t, text, sizeof(text));
    if (t->kind != RT_TENSOR) {
        for (size_t i = 0; t->seq && i < t->seq->n; i++)
            use_tensor(&t->seq->items[i]);
        return;
    }
    for (int64_t i = 0; i < tensor_count(t); i++) {
        if (t->dt == DT_STRING) {
            const struct ostr *s = (const struct ostr *)t->data + i;

            seen += s->n ? s->p[0] + s->p[s->n - 1] : 0;
        } else {
            seen += tensor_f64(t, i);
        }
    }
}

/* ---- models ---- */

static int load_bytes(struct cx *cx, const void *p, size_t n, struct model **m)
{
    static const struct load_opts o = {.no_external_check = true};
    struct file *f;
    int r = file_from_mem(cx, p, n, "fuzz.onnx", &f);

    *m = NULL;
    if (r < 0)
        return r;
    r = model_load_file(cx, f, NULL, &o, m);
    file_unref(f);
    return r;
}

struct reading {
    struct cx *cx;
    struct model *m;
    const char *bad;
};

static bool is_small(int rank, const int64_t *dims)
{
    int64_t n;

    return dims_count(dims, rank, &n) && n <= TENSOR_SMALL;
}

static int read_tensors(void *user, struct graph *g, int depth)
{
    struct reading *rd = user;

    (void)depth;
    for (size_t i = 0; i < g->ninits && !rd->bad; i++) {
        const struct value *v = g->inits[i];
        struct tensor t = {0};
        int r = 0;

        err_clear(rd->cx);
        if (v->init && is_small(v->init->rank, v->init->dims))
            r = tensor_load(rd->cx, rd->m, v->init, &t);
        else if (v->sparse && is_small(v->sparse->rank, v->sparse->dims))
            r = sparse_load(rd->cx, rd->m, v->sparse, &t);
        if (r < 0)
            rd->bad = check_error(rd->cx, r);
        else
            use_tensor(&t);
        tensor_drop(&t);
    }
    return rd->bad != NULL;
}

/* Saves m; the bytes are the caller's to free. */
static const char *save(struct cx *cx, struct model *m, void **out, size_t *n)
{
    return model_save_mem(cx, m, out, n) < 0 ? internal(cx, "what was loaded cannot be saved") : NULL;
}

static const char *save_and_reload(struct cx *cx, struct model *m)
{
    void *first = NULL, *second = NULL;
    size_t n1 = 0, n2 = 0;
    struct model *again = NULL;
    const char *bad = save(cx, m, &first, &n1);

    if (!bad && load_bytes(cx, first, n1, &again) < 0)
        bad = internal(cx, "what was saved cannot be loaded");
    if (!bad)
        bad = save(cx, again, &second, &n2);
    if (!bad && (n1 != n2 || memcmp(first, second, n1) != 0))
        bad = "saving twice gives two results";
    model_free(again);
    free(first);
    free(second);
    return bad;
}

static const char *use_model(struct cx *cx, struct model *m)
{
    struct reading rd = {.cx = cx, .m = m};

    if (model_verify(cx, m) < 0)
        return internal(cx, "the graph is not right");
    graph_walk(m->graph, read_tensors, &rd);
    return rd.bad ? rd.bad : save_and_reload(cx, m);
}

/* The checker ends cleanly, and finds fault with what does not load. */
static const char *check_bytes(const void *p, size_t n, int loaded)
{
    static const struct load_opts o = {.no_external_check = true};
    struct findings found = {0};
    struct arena a = {0};
    struct file *f;
    struct cx cx;
    const char *bad = NULL;
    int r;

    cx_init(&cx);
    r = file_from_mem(&cx, p, n, "fuzz.onnx", &f);
    if (!r) {
        r = check_open_file(&cx, f, NULL, &o, &a, &found);
        file_unref(f);
    }
    if (r < 0)
        bad = check_error(&cx, r);
    else if (loaded < 0 && !found.errors && !found.warnings)
        bad = "the checker finds nothing wrong with a model that does not load";
    for (size_t i = 0; i < found.n && !bad; i++)
        if (!finding_line(&a, "fuzz.onnx", &found.v[i]))
            bad = "out of memory";
    arena_free(&a);
    cx_fini(&cx);
    return bad;
}

const char *target_model(const uint8_t *p, size_t n)
{
    struct model *m;
    struct cx cx;
    const char *bad;

    cx_init(&cx);
    target_status = load_bytes(&cx, p, n, &m);
    bad = target_status < 0 ? check_error(&cx, target_status) : use_model(&cx, m);
    model_free(m);
    if (!bad)
        bad = check_bytes(p, n, target_status);
    cx_fini(&cx);
    return bad;
}

/* ---- arrays and values ---- */

const char *target_npy(const uint8_t *p, size_t n)
{
    struct tensor t;
    struct cx cx;
    const char *bad = NULL;
    int r;

    cx_init(&cx);
    r = npy_parse(&cx, p, n, "fuzz.npy", &t);
    if (r < 0)
        bad = check_error(&cx, r);
    else
        use_tensor(&t);
    tensor_drop(&t);
    cx_fini(&cx);
    return bad;
}

const char *target_npz(const uint8_t *p, size_t n)
{
    struct npz z = {0};
    struct file *f;
    struct cx cx;
    const char *bad = NULL;
    int r;

    cx_init(&cx);
    r = file_from_mem(&cx, p, n, "fuzz.npz", &f);
    if (!r) {
        r = npz_parse(&cx, f, 64 << 20, &z);
        file_unref(f);
    }
    if (r < 0)
        bad = check_error(&cx, r);
    for (size_t i = 0; i < z.n; i++)
        use_tensor(&z.e[i].t);
    npz_free(&z);
    cx_fini(&cx);
    return bad;
}

static const char *read_value(const uint8_t *p, size_t n, enum type_kind kind)
{
    struct type expect = {.kind = kind};
    struct tensor t = {0};
    struct file *f;
    struct cx cx;
    const char *name, *bad = NULL;
    int r;

    cx_init(&cx);
    cx.lim.max_memory = 256 << 20;
    r = file_from_mem(&cx, p, n, "fuzz.pb", &f);
    if (!r) {
        r = value_pb_parse(&cx, f, &expect, &t, &name);
        file_unref(f);
    }
    if (r < 0)
        bad = check_error(&cx, r);
    else if (t.kind != RT_TENSOR || tensor_count(&t) <= TENSOR_SMALL)
        use_tensor(&t);
    tensor_drop(&t);
    cx_fini(&cx);
    return bad;
}

const char *target_value(const uint8_t *p, size_t n)
{
    static const enum type_kind kinds[] = {TY_TENSOR, TY_SEQ, TY_OPT, TY_MAP, TY_SPARSE};
    const char *bad = NULL;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !bad; i++)
        bad = read_value(p, n, kinds[i]);
    return bad;
}
