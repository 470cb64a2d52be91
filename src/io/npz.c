/* .npz: a zip archive of .npy members, through libzip. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zip.h>

#include "base/checked.h"
#include "io/npy.h"
#include "io/npy_stream.h"
#include "io/tmpfile.h"

static const uint64_t default_limit = 16ull << 30;
/* Deflate cannot do better than this; a member that claims more lies. */
enum { RATIO_MAX = 1032 };

void npz_free(struct npz *z)
{
    for (size_t i = 0; i < z->n; i++) {
        free(z->e[i].name);
        tensor_drop(&z->e[i].t);
    }
    free(z->e);
    *z = (struct npz){0};
}

/* ---- reading ---- */

static int read_member(void *user, struct cx *cx, void *buf, size_t n)
{
    zip_file_t *zf = user;
    char *p = buf;

    while (n) {
        zip_int64_t k = zip_fread(zf, p, n);

        if (k <= 0)
            return err_set(cx, E_DATA, "cannot be unpacked: %s", k ? zip_file_strerror(zf) : "it ends early");
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static bool is_npy(const char *name)
{
    size_t n = strlen(name);

    return n > 4 && !strcmp(name + n - 4, ".npy");
}

/* Sizes as the archive states them, before anything is unpacked. */
static int check_sizes(struct cx *cx, zip_t *za, uint64_t limit)
{
    zip_int64_t n = zip_get_num_entries(za, 0);
    uint64_t total = 0;

    for (zip_int64_t i = 0; i < n; i++) {
        zip_stat_t st;

        if (zip_stat_index(za, (zip_uint64_t)i, 0, &st) || !(st.valid & ZIP_STAT_SIZE) ||
            !(st.valid & ZIP_STAT_COMP_SIZE) || !(st.valid & ZIP_STAT_NAME))
            return err_set(cx, E_DATA, "member %lld is malformed", (long long)i);
        if (!is_npy(st.name))
            continue;
        if (st.size / RATIO_MAX > st.comp_size)
            return err_set(cx, E_DATA, "member '%s' claims to unpack %llu bytes from %llu", st.name,
                           (unsigned long long)st.size, (unsigned long long)st.comp_size);
        if (__builtin_add_overflow(total, st.size, &total) || total > limit)
            return err_set(cx, E_LIMIT, "its arrays take more than the limit of %llu bytes",
                           (unsigned long long)limit);
    }
    return 0;
}

static int read_array(struct cx *cx, zip_t *za, zip_uint64_t i, uint64_t size, struct tensor *out)
{
    zip_file_t *zf = zip_fopen_index(za, i, 0);
    struct npy_src src = {read_member, zf, size};
    int r;

    if (!zf)
        return err_set(cx, E_DATA, "cannot be unpacked: %s", zip_strerror(za));
    r = npy_read_stream(cx, &src, out);
    zip_fclose(zf);
    return r;
}

static int read_entry(struct cx *cx, zip_t *za, zip_uint64_t i, struct npz *out)
{
    struct npz_entry *e = &out->e[out->n];
    zip_stat_t st;
    int r;

    if (zip_stat_index(za, i, 0, &st))
        return err_set(cx, E_DATA, "member %llu is malformed", (unsigned long long)i);
    if (!is_npy(st.name)) {
        log_msg(cx, LOG_WARN, "member '%s' is no .npy array and left out", st.name);
        return 0;
    }
    r = read_array(cx, za, i, st.size, &e->t);
    if (r < 0)
        return err_frame(cx, "%s", st.name);
    out->n++;
    e->name = strndup(st.name, strlen(st.name) - 4);
    return e->name ? 0 : err_nomem(cx);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(struct cx *cx, const struct npz *z)
{
    const char **names = mem_alloc((z->n + 1) * sizeof(*names));
    int r = 0;

    if (!names)
        return err_nomem(cx);
    for (size_t i = 0; i < z->n; i++)
        names[i] = z->e[i].name;
    qsort(names, z->n, sizeof(*names), by_name);
    for (size_t i = 1; i < z->n && !r; i++)
        if (!strcmp(names[i - 1], names[i]))
            r = err_set(cx, E_DATA, "two members are called '%s'", names[i]);
    free(names);
    return r;
}

static int read_archive(struct cx *cx, zip_t *za, uint64_t limit, struct npz *out)
{
    zip_int64_t n = zip_get_num_entries(za, 0);
    int r = check_sizes(cx, za, limit ? limit : default_limit);

    if (r < 0)
        return r;
    out->e = mem_zalloc(((size_t)n + 1) * sizeof(*out->e));
    if (!out->e)
        return err_nomem(cx);
    for (zip_int64_t i = 0; i < n && !r; i++)
        r = read_entry(cx, za, (zip_uint64_t)i, out);
    return r < 0 ? r : check_names(cx, out);
}

static zip_t *open_archive(struct file *f, zip_error_t *ze)
{
    zip_source_t *src = NULL;
    zip_t *za = NULL;
    int fd, code = 0;

    if (f->mem) {
        src = zip_source_buffer_create(f->mem, f->size, 0, ze);
        za = src ? zip_open_from_source(src, ZIP_RDONLY, ze) : NULL;
        if (src && !za)
            zip_source_free(src);
        return za;
    }
    fd = dup(f->fd);
    za = fd < 0 ? NULL : zip_fdopen(fd, 0, &code);
    if (!za) {
        zip_error_init_with_code(ze, code ? code : ZIP_ER_OPEN);
        if (fd >= 0)
            close(fd);
    }
    return za;
}

int npz_parse(struct cx *cx, struct file *f, uint64_t limit, struct npz *out)
{
    zip_error_t ze;
    zip_t *za;
    int r;

    *out = (struct npz){0};
    zip_error_init(&ze);
    za = open_archive(f, &ze);
    if (!za) {
        r = err_set(cx, E_DATA, "not a .npz archive: %s", zip_error_strerror(&ze));
    } else {
        r = read_archive(cx, za, limit, out);
        zip_discard(za);
    }
    zip_error_fini(&ze);
    if (!r)
        return 0;
    npz_free(out);
    return err_frame(cx, "%s", f->path);
}

int npz_read(struct cx *cx, const char *path, uint64_t limit, struct npz *out)
{
    struct file *f;
    int r;

    *out = (struct npz){0};
    r = file_open(cx, path, &f);
    if (r < 0)
        return r;
    r = npz_parse(cx, f, limit, out);
    file_unref(f);
    return r;
}

/* ---- writing ---- */

/* libzip writes through this to a file that is ours already, instead of making a temporary one of its own. */
struct target {
    int fd;
    zip_error_t error;
};

static zip_int64_t target_fail(struct target *t)
{
    zip_error_set(&t->error, ZIP_ER_WRITE, errno);
    return -1;
}

static zip_int64_t target_write(struct target *t, const char *p, zip_uint64_t n)
{
    for (zip_uint64_t left = n; left;) {
        ssize_t k = write(t->fd, p, left);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return target_fail(t);
        p += k;
        left -= (zip_uint64_t)k;
    }
    return (zip_int64_t)n;
}

static zip_int64_t target_seek(struct target *t, void *data, zip_uint64_t len)
{
    zip_source_args_seek_t *a = ZIP_SOURCE_GET_ARGS(zip_source_args_seek_t, data, len, &t->error);

    if (!a)
        return -1;
    return lseek(t->fd, a->offset, a->whence) < 0 ? target_fail(t) : 0;
}

static zip_int64_t target_callback(void *user, void *data, zip_uint64_t len, zip_source_cmd_t cmd)
{
    struct target *t = user;

    switch (cmd) {
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
            ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_BEGIN_WRITE,
            ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE, ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE,
            ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, -1);
    case ZIP_SOURCE_STAT:
        zip_stat_init(data);
        ((zip_stat_t *)data)->size = 0;
        ((zip_stat_t *)data)->valid = ZIP_STAT_SIZE;
        return sizeof(zip_stat_t);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&t->error, data, len);
    case ZIP_SOURCE_WRITE:
        return target_write(t, data, len);
    case ZIP_SOURCE_SEEK_WRITE:
        return target_seek(t, data, len);
    case ZIP_SOURCE_TELL_WRITE:
    case ZIP_SOURCE_TELL:
        return lseek(t->fd, 0, SEEK_CUR);
    default:
        return 0;
    }
}

/* Entries point into z and into memory of arena, both of which outlive the archive. */
static int add_entry(struct cx *cx, struct arena *a, zip_t *za, const struct npz_entry *e)
{
    struct npy_image im;
    zip_buffer_fragment_t part[2];
    zip_source_t *src;
    zip_int64_t at;
    char *name = arena_printf(a, "%s.npy", e->name);
    int r = npy_make(cx, a, &e->t, &im);

    if (r < 0)
        return err_frame(cx, "'%s'", e->name);
    part[0] = (zip_buffer_fragment_t){(zip_uint8_t *)(uintptr_t)im.head, im.nhead};
    part[1] = (zip_buffer_fragment_t){(zip_uint8_t *)(uintptr_t)im.data, im.ndata};
    src = zip_source_buffer_fragment(za, part, im.ndata ? 2 : 1, 0);
    if (!src || !name)
        return err_nomem(cx);
    at = zip_file_add(za, name, src, ZIP_FL_ENC_UTF_8);
    if (at < 0) {
        zip_source_free(src);
        return err_set(cx, E_DATA, "'%s' cannot be a name in a .npz archive: %s", e->name, zip_strerror(za));
    }
    /* Uncompressed as numpy.savez does it, and dated 1980-01-01, so that equal input gives equal bytes. */
    if (zip_set_file_compression(za, (zip_uint64_t)at, ZIP_CM_STORE, 0) ||
        zip_file_set_dostime(za, (zip_uint64_t)at, 0, 0x21, 0))
        return err_set(cx, E_IO, "cannot add '%s': %s", e->name, zip_strerror(za));
    return 0;
}

static int write_archive(struct cx *cx, struct arena *a, int fd, const struct npz *z)
{
    struct target t = {.fd = fd};
    zip_source_t *src;
    zip_t *za = NULL;
    int r = 0;

    zip_error_init(&t.error);
    src = zip_source_function_create(target_callback, &t, &t.error);
    if (src)
        za = zip_open_from_source(src, ZIP_TRUNCATE, &t.error);
    if (!za) {
        r = err_set(cx, E_IO, "cannot begin an archive: %s", zip_error_strerror(&t.error));
        zip_source_free(src);
        zip_error_fini(&t.error);
        return r;
    }
    for (size_t i = 0; i < z->n && !r; i++)
        r = add_entry(cx, a, za, &z->e[i]);
    if (!r && zip_close(za))
        r = err_set(cx, E_IO, "cannot be written: %s", zip_strerror(za));
    if (r < 0)
        zip_discard(za);
    zip_error_fini(&t.error);
    return r;
}

int npz_write(struct cx *cx, const char *path, const struct npz *z)
{
    struct arena a = {0};
    struct tmpfile tmp;
    int r = tmpfile_open(cx, path, &tmp);

    if (r < 0)
        return r;
    r = write_archive(cx, &a, tmp.fd, z);
    arena_free(&a);
    if (!r)
        return tmpfile_commit(cx, &tmp);
    tmpfile_abort(&tmp);
    return err_frame(cx, "%s", path);
}
