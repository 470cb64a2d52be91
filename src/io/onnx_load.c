/* From a file to a model: decode, import, external data. */
#include "io/onnx_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/decode.h"
#include "io/external.h"
#include "io/import.h"
#include "io/sniff.h"

/* What decoding and the graph may take: a multiple of the file, and something for tiny ones. The densest
 * honest models take about ten times their size without payloads. */
enum { BUDGET_FACTOR = 64 };
static const uint64_t budget_base = 64ull << 20;

static size_t budget(uint64_t size)
{
    return size > (SIZE_MAX - budget_base) / BUDGET_FACTOR ? SIZE_MAX
                                                           : (size_t)(size * BUDGET_FACTOR + budget_base);
}

/* The folder part of path, "" for none; NULL: out of memory. */
static const char *folder(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return "";
    return slash == path ? "/" : arena_strndup(a, path, (size_t)(slash - path));
}

/* Writers put ir_version first: a varint field of number 1. */
static bool begins_as_model(struct file *f)
{
    struct cx quiet;
    char c = 0;

    cx_init(&quiet);
    if (f->size)
        file_read(&quiet, f, 0, &c, 1);
    cx_fini(&quiet);
    return c == 8;
}

/* Decoding failed with r, or found no graph (r is 0): says what the file is if that can be told. p is what
 * had been decoded, or NULL. */
static int not_a_model(struct cx *cx, struct file *f, const Onnx__ModelProto *p, int r)
{
    struct err first = cx->err;
    const char *at;

    if (r && r != E_PARSE)
        return r;
    if (sniff(cx, f))
        return E_NOTONNX;
    if (!r)
        return err_set(cx, E_NOTONNX, "%s is not an ONNX model: there is no graph in it", f->path);
    cx->err = first;
    if (p && (p->graph || p->has_ir_version || begins_as_model(f)))
        return r;
    at = first.msg;
    if (!strncmp(at, f->path, strlen(f->path)))
        at += strlen(f->path);
    return err_set(cx, E_NOTONNX, "%s is not an ONNX model, or damaged where it begins (%s)", f->path, at);
}

static int decode_model(struct cx *cx, struct model *m, Onnx__ModelProto **out)
{
    void *p;
    int r = pb_decode(cx, m->file, 0, m->file->size, &onnx__model_proto__descriptor, &m->arena, &p);

    *out = p;
    return r < 0 || !(*out)->graph ? not_a_model(cx, m->file, p, r) : 0;
}

static int set_place(struct cx *cx, struct model *m, const char *dir, const struct load_opts *o)
{
    m->path = arena_strdup(&m->arena, m->file->path);
    if (o->external_dir)
        dir = o->external_dir;
    m->dir = dir ? arena_strdup(&m->arena, dir) : NULL;
    m->allow_links = o->allow_links;
    return !m->path || (dir && !m->dir) ? err_nomem(cx) : 0;
}

int model_import(struct cx *cx, struct model *m, const struct load_opts *o)
{
    Onnx__ModelProto *p = (Onnx__ModelProto *)(uintptr_t)m->origin;
    struct arena_mark mark = arena_mark(&cx->scratch);
    struct import_notes notes = {0};
    int r;

    m->arena.limit = budget(m->file->size);
    r = import_model(cx, m, p, &notes);
    if (r == E_NOMEM && m->arena.used > m->arena.limit / 4)
        err_set(cx, E_PARSE, "the model needs more than %zu bytes of memory for a file of %llu bytes",
                m->arena.limit, (unsigned long long)m->file->size);
    if (r < 0)
        err_frame(cx, "%s+0x%llx", m->file->path, (unsigned long long)notes.at);
    else if (!(o && o->no_external_check) && notes.nexternal) {
        r = external_check(cx, m, notes.external, notes.nexternal);
        if (r < 0)
            err_frame(cx, "%s", m->file->path);
    }
    m->arena.limit = 0;
    arena_release(&cx->scratch, mark);
    return r;
}

int model_decode_file(struct cx *cx, struct file *f, const char *dir, const struct load_opts *o,
                      struct model **out)
{
    static const struct load_opts defaults;
    struct model *m = model_new();
    Onnx__ModelProto *p = NULL;
    int r;

    *out = NULL;
    if (!m)
        return err_nomem(cx);
    m->file = file_ref(f);
    m->arena.limit = budget(f->size);
    r = set_place(cx, m, dir, o ? o : &defaults);
    if (!r)
        r = decode_model(cx, m, &p);
    m->origin = p;
    m->arena.limit = 0;
    if (r < 0)
        model_free(m);
    else
        *out = m;
    return r < 0 ? r : 0;
}

int model_load_file(struct cx *cx, struct file *f, const char *dir, const struct load_opts *o,
                    struct model **out)
{
    int r = model_decode_file(cx, f, dir, o, out);

    if (!r)
        r = model_import(cx, *out, o);
    if (r < 0 && *out) {
        model_free(*out);
        *out = NULL;
    }
    return r;
}

/* What model_load and model_decode have in common: the file, and the folder of its data. */
static int open_and(struct cx *cx, const char *path, const struct load_opts *o, struct model **out,
                    int (*then)(struct cx *cx, struct file *f, const char *dir, const struct load_opts *o,
                                struct model **out))
{
    bool std_in = !strcmp(path, "-");
    struct arena_mark mark = arena_mark(&cx->scratch);
    const char *dir = std_in ? NULL : folder(&cx->scratch, path);
    struct file *f;
    int r;

    *out = NULL;
    if (!std_in && !dir)
        return err_nomem(cx);
    r = std_in ? file_slurp_fd(cx, STDIN_FILENO, "standard input", &f) : file_open(cx, path, &f);
    if (r < 0)
        return r;
    r = then(cx, f, dir, o, out);
    file_unref(f);
    arena_release(&cx->scratch, mark);
    return r;
}

int model_load(struct cx *cx, const char *path, const struct load_opts *o, struct model **out)
{
    return open_and(cx, path, o, out, model_load_file);
}

int model_decode(struct cx *cx, const char *path, const struct load_opts *o, struct model **out)
{
    return open_and(cx, path, o, out, model_decode_file);
}
