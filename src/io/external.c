/* How a path is confined: links are resolved first (realpath), the result must lie below the resolved folder,
 * and is then opened name by name with O_NOFOLLOW. A link that someone puts there in between is not followed.
 */
#include "io/external.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

/* True when some component of path is "..". */
static bool climbs(const char *path)
{
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += n;
        p += strspn(p, "/");
    }
    return false;
}

static int refuse(struct cx *cx, const char *location, const char *why)
{
    return err_set(
        cx, E_PATH,
        "external data '%s' %s; --external-data-dir or --allow-links can permit it where that is meant",
        location, why);
}

static int cannot_open(struct cx *cx, const char *path)
{
    int missing = errno == ENOENT || errno == ENOTDIR;

    return err_set(cx, missing ? E_NOENT : E_IO, "cannot open external data '%s': %s", path, strerror(errno));
}

/* path below the open folder dir, no component being a link. Takes dir over. Negative with errno. */
static int open_walk(int dir, const char *path)
{
    char name[256];

    for (;;) {
        size_t n = strcspn(path, "/");
        bool last = path[n] == 0;
        int fd;

        if (n >= sizeof(name)) {
            errno = ENAMETOOLONG;
            fd = -1;
        } else {
            memcpy(name, path, n);
            name[n] = 0;
            fd = openat(dir, name,
                        O_NOFOLLOW | O_CLOEXEC | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY));
        }
        int saved = errno;
        close(dir);
        errno = saved;
        if (fd < 0 || last)
            return fd;
        dir = fd;
        path += n + 1;
    }
}

/* real is absolute and free of links; dir likewise, and a prefix of it. */
static int open_below(const char *dir, const char *real)
{
    size_t n = strlen(dir);
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return fd;
    return open_walk(fd, real + n + (n > 1));
}

static bool is_below(const char *dir, const char *real)
{
    size_t n = strlen(dir);

    if (n == 1)
        return real[1] != 0;
    return !strncmp(dir, real, n) && real[n] == '/';
}

static int open_confined(struct cx *cx, const char *dir, const char *path, const char *location, int *fd)
{
    char *rdir = realpath(*dir ? dir : ".", NULL), *real = realpath(path, NULL);
    int r = 0;

    *fd = -1;
    if (!rdir || !real) {
        r = cannot_open(cx, path);
    } else if (!strcmp(rdir, real)) {
        r = err_set(cx, E_PATH, "external data '%s' is the model's folder itself, not a file", location);
    } else if (!is_below(rdir, real)) {
        r = refuse(cx, location, "is a link that leads out of the model's folder");
    } else {
        *fd = open_below(rdir, real);
        if (*fd < 0)
            r = cannot_open(cx, path);
    }
    free(rdir);
    free(real);
    return r;
}

static int open_location(struct cx *cx, struct model *m, const char *location, const char *path, int *fd)
{
    struct stat st;
    int r = 0;

    if (m->allow_links) {
        *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (*fd < 0)
            r = cannot_open(cx, path);
    } else {
        r = open_confined(cx, m->dir, path, location, fd);
    }
    if (!r && (fstat(*fd, &st) || !S_ISREG(st.st_mode))) {
        close(*fd);
        r = err_set(cx, E_PATH, "external data '%s' is not a regular file", path);
    }
    return r;
}

int external_open(struct cx *cx, struct model *m, const char *location, struct file **out)
{
    const char *path, *dir = m->dir;
    int fd, r;

    *out = smap_get(&m->external_map, location);
    if (*out)
        return 0;
    if (!dir)
        return refuse(cx, location, "cannot be looked for, as the model has no folder");
    if (!m->allow_links && location[0] == '/')
        return refuse(cx, location, "is an absolute path");
    if (!m->allow_links && climbs(location))
        return refuse(cx, location, "leads out of the model's folder with '..'");
    if (location[0] == '/')
        path = arena_strdup(&m->arena, location);
    else
        path = arena_printf(&m->arena, "%s%s%s", dir, *dir ? "/" : "", location);
    if (!path)
        return err_nomem(cx);
    r = open_location(cx, m, location, path, &fd);
    if (!r)
        r = file_from_fd(cx, fd, path, out);
    if (r < 0)
        return r;
    m->external_map.arena = &m->arena;
    if (!smap_put(&m->external_map, location, *out)) {
        file_unref(*out);
        *out = NULL;
        return err_nomem(cx);
    }
    return 0;
}

int external_range(struct cx *cx, struct model *m, const struct tensor_data *t, struct file **f,
                   uint64_t *off, uint64_t *len)
{
    int r;

    if (!dtype_file_size(t->dt, (uint64_t)tensor_data_count(t), len))
        return err_set(cx, E_DATA, "tensor '%s' is too large", t->name);
    if (t->ext_len != UINT64_MAX && t->ext_len != *len)
        return err_set(cx, E_DATA, "tensor '%s' needs %llu bytes, the model says that '%s' holds %llu for it",
                       t->name, (unsigned long long)*len, t->location, (unsigned long long)t->ext_len);
    r = external_open(cx, m, t->location, f);
    if (r < 0)
        return r;
    *off = t->ext_off;
    if (*off > (*f)->size || *len > (*f)->size - *off)
        return err_set(cx, E_DATA, "tensor '%s' needs bytes %llu to %llu+%llu of '%s', which has %llu",
                       t->name, (unsigned long long)*off, (unsigned long long)*off, (unsigned long long)*len,
                       (*f)->path, (unsigned long long)(*f)->size);
    return 0;
}

/* ---- the check of all ---- */

struct check {
    struct cx *cx;
    struct smap failed; /* locations already told */
    struct str text;    /* findings, separated by "; " */
    size_t n, shown;
    int code;
};

enum { SHOWN_BYTES = ERR_MSG - 80 };

/* Adds the error that stands in quiet. */
static void add_finding(struct check *c, const struct err *e)
{
    size_t n = strlen(e->msg);

    c->n++;
    if (!c->code)
        c->code = e->code;
    if (c->shown + 1 == c->n && c->text.n + n + 2 < SHOWN_BYTES) {
        if (c->n > 1)
            str_add(&c->text, "; ");
        str_add(&c->text, e->msg);
        c->shown++;
    }
}

static int check_one(struct check *c, struct cx *quiet, struct model *m, const struct tensor_data *t)
{
    struct file *f;
    uint64_t off, len;
    bool opened;

    if (smap_get(&c->failed, t->location))
        return 0;
    err_clear(quiet);
    if (external_range(quiet, m, t, &f, &off, &len) == 0)
        return 0;
    add_finding(c, &quiet->err);
    log_msg(c->cx, LOG_INFO, "%s", quiet->err.msg);
    /* A file that is missing is told once, a file that is too short for each tensor. */
    opened = smap_get(&m->external_map, t->location) != NULL;
    if (!opened && quiet->err.code != E_DATA && !smap_put(&c->failed, t->location, c))
        return err_nomem(c->cx);
    return 0;
}

int external_check(struct cx *cx, struct model *m, struct tensor_data *const *t, size_t n)
{
    struct check c = {.cx = cx, .failed = {.arena = &cx->scratch}};
    struct cx quiet;
    int r = 0;

    cx_init(&quiet);
    for (size_t i = 0; i < n && !r; i++)
        r = check_one(&c, &quiet, m, t[i]);
    cx_fini(&quiet);
    if (!r && c.n > c.shown)
        r = err_set(cx, c.code, "%s; and %zu more", str_text(&c.text), c.n - c.shown);
    else if (!r && c.n)
        r = err_set(cx, c.code, "%s", str_text(&c.text));
    str_free(&c.text);
    return r;
}
