/* Named tensors in files: samples to feed, expected outputs, saved results. */
#include "session/samples.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "io/tensor_pb.h"

/* ---- lists ---- */

void named_free(struct named_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].name);
        tensor_drop(&l->v[i].t);
    }
    free(l->v);
    *l = (struct named_list){0};
}

struct tensor *named_find(const struct named_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].name, name) == 0)
            return &l->v[i].t;
    return NULL;
}

static bool grow(struct named_list *l)
{
    if (l->n < l->cap)
        return true;
    size_t cap = l->cap ? l->cap * 2 : 16;
    struct named *v = mem_realloc(l->v, cap * sizeof *v);
    if (!v)
        return false;
    l->v = v;
    l->cap = cap;
    return true;
}

int named_take(struct cx *cx, struct named_list *l, const char *name, struct tensor *t)
{
    struct tensor *old = named_find(l, name);
    if (old) {
        tensor_drop(old);
        *old = *t;
        return OK;
    }
    size_t n = strlen(name) + 1;
    char *copy = grow(l) ? mem_alloc(n) : NULL;
    if (!copy) {
        tensor_drop(t);
        return err_nomem(cx);
    }
    memcpy(copy, name, n);
    l->v[l->n++] = (struct named){copy, *t};
    return OK;
}

const struct value *model_io(const struct model *m, const char *name, bool outputs)
{
    const struct graph *g = m->graph;
    struct value *const *v = outputs ? g->outs : g->ins;
    size_t n = outputs ? g->nouts : g->nins;
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i]->name, name) == 0)
            return v[i];
    return NULL;
}

/* ---- one file ---- */

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

static size_t read_head(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, buf, size);
    close(fd);
    return n > 0 ? (size_t)n : 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_safetensors(const char *path)
{
    char head[16];
    struct stat st;
    size_t n = read_head(path, head, sizeof head);
    return ends_with(path, ".safetensors") ||
           (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
            safetensors_likely((const unsigned char *)head, n, (uint64_t)st.st_size));
}

bool sample_is_set(const char *path)
{
    char head[4];
    if (is_folder(path) || ends_with(path, ".npz") || is_safetensors(path))
        return true;
    return read_head(path, head, sizeof head) == 4 && memcmp(head, "PK\3\4", 4) == 0;
}

int sample_read_file(struct cx *cx, const char *path, const struct type *type, struct tensor *out,
                     const char **name)
{
    char head[6];
    size_t n = read_head(path, head, sizeof head);
    if (name)
        *name = NULL;
    if ((n == 6 && memcmp(head, "\x93NUMPY", 6) == 0) || ends_with(path, ".npy"))
        return npy_read(cx, path, out);
    return value_pb_read(cx, path, type, out, name);
}

/* ---- sets ---- */

/* Names are file names: bytes that a file name cannot hold, or that would hide or move it, are written as
 * %XX. */
static void encode_name(struct str *s, const char *name)
{
    for (const char *p = name; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == '/' || c == '\\' || c == '%' || c == 0x7f || (c == '.' && p == name))
            str_addf(s, "%%%02X", c);
        else
            str_addc(s, (char)c);
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The name behind file name `file` without its ending. */
static char *decode_name(struct arena *a, const char *file, size_t n)
{
    char *s = arena_strndup(a, file, n), *w = s;
    for (char *p = s; p && *p; p++) {
        if (*p == '%' && p[1] && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
            *w++ = (char)(hex(p[1]) * 16 + hex(p[2]));
            p += 2;
        } else {
            *w++ = *p;
        }
    }
    if (w)
        *w = 0;
    return s;
}

static int read_archive(struct cx *cx, const char *path, struct named_list *l)
{
    struct npz z = {0};
    int rc = is_safetensors(path) ? safetensors_read(cx, path, cx->lim.max_memory, &z)
                                  : npz_read(cx, path, cx->lim.max_memory, &z);
    for (size_t i = 0; i < z.n && !rc; i++) {
        rc = named_take(cx, l, z.e[i].name, &z.e[i].t);
        memset(&z.e[i].t, 0, sizeof z.e[i].t);
    }
    npz_free(&z);
    return rc;
}

/* input_K.pb of ONNX's test-data layout, K from 0 until one is missing. *found says how many. */
static int read_numbered(struct cx *cx, const struct model *m, const char *dir, bool outputs,
                         struct named_list *l, size_t *found)
{
    const struct graph *g = m->graph;
    size_t declared = outputs ? g->nouts : g->nins;
    for (*found = 0;; ++*found) {
        const char *path =
            arena_printf(&cx->scratch, "%s/%s_%zu.pb", dir, outputs ? "output" : "input", *found);
        if (!path)
            return err_nomem(cx);
        if (access(path, F_OK))
            return OK;
        const struct value *v = *found < declared ? (outputs ? g->outs : g->ins)[*found] : NULL;
        struct tensor t;
        const char *name;
        memset(&t, 0, sizeof t);
        int rc = sample_read_file(cx, path, v ? v->declared : NULL, &t, &name);
        if (rc)
            return rc;
        if ((!name || !*name || !model_io(m, name, outputs)) && v)
            name = v->name;
        if (!name || !*name) {
            tensor_drop(&t);
            return err_set(cx, E_DATA, "%s: the model has %zu %s", path, declared,
                           outputs ? "outputs" : "inputs");
        }
        rc = named_take(cx, l, name, &t);
        if (rc)
            return rc;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* File names of a folder, sorted, in scratch memory. */
static int list_folder(struct cx *cx, const char *dir, char ***names, size_t *n)
{
    DIR *d = opendir(dir);
    size_t cap = 0;
    *names = NULL;
    *n = 0;
    if (!d)
        return err_set(cx, E_NOENT, "%s: %s", dir, strerror(errno));
    int rc = OK;
    for (struct dirent *e; !rc && (e = readdir(d));) {
        char **p = arena_grow(&cx->scratch, *names, *n, &cap, sizeof **names);
        char *copy = arena_strdup(&cx->scratch, e->d_name);
        if (!p || !copy)
            rc = err_nomem(cx);
        else
            (*names = p)[(*n)++] = copy;
    }
    closedir(d);
    if (*n)
        qsort(*names, *n, sizeof **names, by_name);
    return rc;
}

static int read_named_files(struct cx *cx, const struct model *m, const char *dir, bool outputs,
                            struct named_list *l)
{
    char **names;
    size_t n;
    int rc = list_folder(cx, dir, &names, &n);
    for (size_t i = 0; i < n && !rc; i++) {
        if (!ends_with(names[i], ".npy") && !ends_with(names[i], ".pb"))
            continue;
        const char *path = arena_printf(&cx->scratch, "%s/%s", dir, names[i]);
        char *name = decode_name(&cx->scratch, names[i], (size_t)(strrchr(names[i], '.') - names[i]));
        if (!path || !name)
            return err_nomem(cx);
        const struct value *v = model_io(m, name, outputs);
        struct tensor t;
        memset(&t, 0, sizeof t);
        rc = sample_read_file(cx, path, v ? v->declared : NULL, &t, NULL);
        if (!rc)
            rc = named_take(cx, l, name, &t);
    }
    return rc;
}

int sample_read_set(struct cx *cx, const struct model *m, const char *path, bool outputs,
                    struct named_list *l)
{
    if (!is_folder(path))
        return read_archive(cx, path, l);
    size_t found, before = l->n;
    int rc = read_numbered(cx, m, path, outputs, l, &found);
    if (!rc && !found)
        rc = read_named_files(cx, m, path, outputs, l);
    if (!rc && l->n == before)
        rc = err_set(cx, E_DATA, "%s: no %s_0.pb, no NAME.npy, no NAME.pb in this folder", path,
                     outputs ? "output" : "input");
    return rc;
}

static int set_number(const char *name)
{
    return atoi(name + strlen("test_data_set_"));
}

static int by_number(const void *a, const void *b)
{
    return set_number(*(char *const *)a) - set_number(*(char *const *)b);
}

int sample_subsets(struct cx *cx, const char *path, char ***paths, size_t *n)
{
    char **names;
    size_t all, k = 0;
    *n = 0;
    if (!is_folder(path))
        return OK;
    int rc = list_folder(cx, path, &names, &all);
    if (rc)
        return rc;
    for (size_t i = 0; i < all; i++)
        if (strncmp(names[i], "test_data_set_", 14) == 0)
            names[k++] = names[i];
    qsort(names, k, sizeof *names, by_number);
    for (size_t i = 0; i < k; i++)
        if (!(names[i] = arena_printf(&cx->scratch, "%s/%s", path, names[i])))
            return err_nomem(cx);
    *paths = names;
    *n = k;
    return OK;
}

/* ---- writing ---- */

static bool numpy_has(const struct tensor *t)
{
    static const bool lacks[DT_COUNT] = {
        [DT_BFLOAT16] = true,   [DT_FLOAT8E4M3FN] = true,   [DT_FLOAT8E4M3FNUZ] = true,
        [DT_FLOAT8E5M2] = true, [DT_FLOAT8E5M2FNUZ] = true, [DT_UINT4] = true,
        [DT_INT4] = true,       [DT_FLOAT4E2M1] = true,     [DT_FLOAT8E8M0] = true,
        [DT_UINT2] = true,      [DT_INT2] = true,           [DT_UNDEFINED] = true,
        [DT_FLOAT6E2M3] = true, [DT_FLOAT6E3M2] = true,
    };
    return t->kind == RT_TENSOR && !lacks[t->dt];
}

static int write_folder(struct cx *cx, const char *path, const struct named_list *l)
{
    if (mkdir(path, 0777) && errno != EEXIST)
        return err_set(cx, E_IO, "%s: cannot be made: %s", path, strerror(errno));
    int rc = OK;
    for (size_t i = 0; i < l->n && !rc; i++) {
        struct str file = {0};
        bool npy = numpy_has(&l->v[i].t);
        str_addf(&file, "%s/", path);
        encode_name(&file, l->v[i].name);
        str_add(&file, npy ? ".npy" : ".pb");
        rc = file.failed ? err_nomem(cx)
             : npy       ? npy_write(cx, str_text(&file), &l->v[i].t)
                         : value_pb_write(cx, str_text(&file), l->v[i].name, &l->v[i].t);
        str_free(&file);
    }
    return rc;
}

int sample_write(struct cx *cx, const char *path, const struct named_list *l)
{
    if (!ends_with(path, ".npz"))
        return write_folder(cx, path, l);
    struct npz_entry *e = arena_array(&cx->scratch, l->n + 1, sizeof *e);
    if (!e)
        return err_nomem(cx);
    for (size_t i = 0; i < l->n; i++) {
        char text[128];
        if (!numpy_has(&l->v[i].t))
            return err_set(cx, E_UNSUPPORTED,
                           "'%s' is %s, which .npz cannot hold: save into a folder instead", l->v[i].name,
                           tensor_type_text(&l->v[i].t, text, sizeof text));
        e[i] = (struct npz_entry){l->v[i].name, l->v[i].t};
    }
    struct npz z = {e, l->n};
    return npz_write(cx, path, &z);
}
