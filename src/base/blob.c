/* Bytes from a file, the heap or a mapping, shared by counting references. */
#include "blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checked.h"

enum { BLOB_ALIGN = 64 };

/* What blob_new hands out: the public part, and what its destroy function must free. */
struct heap_blob {
    struct blob b;
    void *raw;
    struct arena arena;
};

static void heap_destroy(struct blob *b)
{
    struct heap_blob *h = (struct heap_blob *)b;

    arena_free(&h->arena);
    free(h->raw);
    free(h);
}

struct blob *blob_new(size_t size)
{
    size_t room;

    if (!add_size(size, BLOB_ALIGN, &room))
        return NULL;
    struct heap_blob *h = mem_zalloc(sizeof *h);
    if (!h)
        return NULL;
    /* calloc and not an aligned allocation: fresh pages are zero already and stay untouched. */
    h->raw = mem_zalloc(room);
    if (!h->raw) {
        free(h);
        return NULL;
    }
    h->b.refs = 1;
    h->b.data = (char *)h->raw + (BLOB_ALIGN - (uintptr_t)h->raw % BLOB_ALIGN) % BLOB_ALIGN;
    h->b.size = size;
    h->b.destroy = heap_destroy;
    return &h->b;
}

static void pages_destroy(struct blob *b)
{
    munmap(b->data, b->size);
    free(b);
}

struct blob *blob_new_pages(size_t size)
{
    struct blob *b = mem_zalloc(sizeof *b);
    void *p =
        b && size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;

    if (p == MAP_FAILED) {
        free(b);
        return NULL;
    }
    *b = (struct blob){.refs = 1, .data = p, .size = size, .destroy = pages_destroy};
    return b;
}

/* Every heap blob has an arena, empty until it is used. */
struct blob *blob_new_arena(size_t size)
{
    return blob_new(size);
}

struct arena *blob_arena(struct blob *b)
{
    return b->destroy == heap_destroy ? &((struct heap_blob *)b)->arena : NULL;
}

struct blob *blob_ref(struct blob *b)
{
    if (b)
        __atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED);
    return b;
}

struct meter *meter_new(void)
{
    struct meter *m = mem_zalloc(sizeof *m);
    if (m)
        m->refs = 1;
    return m;
}

void meter_unref(struct meter *m)
{
    if (m && __atomic_fetch_sub(&m->refs, 1, __ATOMIC_ACQ_REL) == 1)
        free(m);
}

void blob_count(struct blob *b, struct meter *m)
{
    if (b->meter)
        return;
    b->meter = m;
    __atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&m->bytes, b->size, __ATOMIC_RELAXED);
}

void blob_unref(struct blob *b)
{
    if (!b || __atomic_fetch_sub(&b->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    struct meter *m = b->meter;
    if (m)
        __atomic_fetch_sub(&m->bytes, b->size, __ATOMIC_RELAXED);
    b->destroy(b);
    meter_unref(m);
}

static int file_new(struct cx *cx, const char *name, struct file **out)
{
    struct file *f = mem_zalloc(sizeof *f);
    char *path = mem_alloc(strlen(name) + 1);

    if (!f || !path) {
        free(f);
        free(path);
        return err_nomem(cx);
    }
    strcpy(path, name);
    f->refs = 1;
    f->fd = -1;
    f->path = path;
    *out = f;
    return 0;
}

static int open_error(struct cx *cx, const char *path, int err)
{
    if (err == ENOENT || err == ENOTDIR)
        return err_set(cx, E_NOENT, "%s: no such file", path);
    return err_set(cx, E_IO, "%s: cannot be opened: %s", path, strerror(err));
}

int file_open(struct cx *cx, const char *path, struct file **out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return open_error(cx, path, errno);
    return file_from_fd(cx, fd, path, out);
}

/* Closes fd on failure too: it was handed over. */
int file_from_fd(struct cx *cx, int fd, const char *name, struct file **out)
{
    struct stat st;
    int status;

    if (fstat(fd, &st)) {
        status = err_set(cx, E_IO, "%s: cannot be examined: %s", name, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        status = err_set(cx, E_IO, "%s: is a folder, not a file", name);
    } else if (!S_ISREG(st.st_mode)) {
        /* A pipe or a device cannot be read twice, nor from its middle. */
        status = file_slurp_fd(cx, fd, name, out);
        close(fd);
        return status;
    } else {
        status = file_new(cx, name, out);
        if (!status) {
            (*out)->fd = fd;
            (*out)->size = (uint64_t)st.st_size;
            return 0;
        }
    }
    close(fd);
    return status;
}

/* Reads up to n bytes, whatever comes first; 0 at the end, -1 with errno. */
static ssize_t read_some(int fd, void *buf, size_t n)
{
    ssize_t got;

    do
        got = read(fd, buf, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Does not close fd. */
int file_slurp_fd(struct cx *cx, int fd, const char *name, struct file **out)
{
    size_t cap = 1 << 16, n = 0;
    char *buf = mem_alloc(cap);
    int status = 0;

    if (!buf)
        return err_nomem(cx);
    for (;;) {
        ssize_t got = read_some(fd, buf + n, cap - n);
        if (got < 0)
            status = err_set(cx, E_IO, "%s: reading failed: %s", name, strerror(errno));
        if (got <= 0)
            break;
        n += (size_t)got;
        if (cx->lim.max_memory && n > cx->lim.max_memory) {
            status = err_set(cx, E_LIMIT, "%s: more than the memory limit of %llu bytes", name,
                             (unsigned long long)cx->lim.max_memory);
            break;
        }
        if (n < cap)
            continue;
        char *grown = mul_size(cap, 2, &cap) ? mem_realloc(buf, cap) : NULL;
        if (!grown) {
            status = err_nomem(cx);
            break;
        }
        buf = grown;
    }
    if (!status)
        status = file_new(cx, name, out);
    if (status) {
        free(buf);
        return status;
    }
    (*out)->mem = buf;
    (*out)->size = n;
    (*out)->owned = buf;
    return 0;
}

int file_from_mem(struct cx *cx, const void *p, size_t n, const char *name, struct file **out)
{
    int status = file_new(cx, name, out);

    if (!status) {
        (*out)->mem = p ? p : "";
        (*out)->size = n;
    }
    return status;
}

struct file *file_ref(struct file *f)
{
    if (f)
        __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

void file_unref(struct file *f)
{
    if (!f || __atomic_fetch_sub(&f->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f->owned);
    free(f->path);
    free(f);
}

static int past_end(struct cx *cx, const struct file *f, uint64_t off, size_t n)
{
    return err_set(cx, E_DATA, "%s: ends before byte %llu + %zu", f->path, (unsigned long long)off, n);
}

int file_read(struct cx *cx, struct file *f, uint64_t off, void *buf, size_t n)
{
    char *dst = buf;

    if (off > f->size || n > f->size - off)
        return past_end(cx, f, off, n);
    if (f->mem) {
        if (n)
            memcpy(buf, (const char *)f->mem + off, n);
        return 0;
    }
    for (size_t done = 0; done < n;) {
        size_t want = n - done < (1u << 30) ? n - done : 1u << 30;
        ssize_t got = pread(f->fd, dst + done, want, (off_t)(off + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(cx, E_IO, "%s: reading failed: %s", f->path, strerror(errno));
        if (got == 0)
            return past_end(cx, f, off, n);
        done += (size_t)got;
    }
    return 0;
}

/* A view of a file: user keeps what lies under it alive. */
struct map_blob {
    struct blob b;
    struct file *file;
    void *base; /* NULL for a view of memory */
    size_t len;
};

static void map_destroy(struct blob *b)
{
    struct map_blob *m = (struct map_blob *)b;

    if (m->base)
        munmap(m->base, m->len);
    file_unref(m->file);
    free(m);
}

/* Maps into m; a file that has shrunk since it was opened is refused, its lost pages would be fatal to touch.
 */
static int map_pages(struct cx *cx, struct file *f, uint64_t off, size_t n, struct map_blob *m)
{
    size_t head = (size_t)(off % (uint64_t)sysconf(_SC_PAGESIZE));
    struct stat st;

    if (fstat(f->fd, &st) || (uint64_t)st.st_size < off + n)
        return past_end(cx, f, off, n);
    if (!add_size(n, head, &m->len))
        return err_nomem(cx);
    void *base = mmap(NULL, m->len, PROT_READ, MAP_PRIVATE, f->fd, (off_t)(off - head));
    if (base == MAP_FAILED)
        return errno == ENOMEM ? err_nomem(cx)
                               : err_set(cx, E_IO, "%s: cannot be mapped: %s", f->path, strerror(errno));
    m->base = base;
    m->b.data = (char *)base + head;
    return 0;
}

int file_map(struct cx *cx, struct file *f, uint64_t off, size_t n, struct blob **out)
{
    if (off > f->size || n > f->size - off)
        return past_end(cx, f, off, n);
    struct map_blob *m = mem_zalloc(sizeof *m);
    if (!m)
        return err_nomem(cx);
    m->b.refs = 1;
    m->b.size = n;
    m->b.destroy = map_destroy;
    /* Readers take const data; the field is shared with writable blobs. */
    m->b.data = f->mem ? (void *)((uintptr_t)f->mem + off) : (void *)m;
    if (!f->mem && n) {
        int status = map_pages(cx, f, off, n, m);
        if (status) {
            free(m);
            return status;
        }
    }
    m->file = file_ref(f);
    *out = &m->b;
    return 0;
}
