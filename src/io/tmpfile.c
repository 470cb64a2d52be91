/* Output files that are written aside, synced, and renamed when complete. */
#include "io/tmpfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_OPEN = 16 };

/* Names for the signal handler: a slot is published by storing its path last, withdrawn before the path is
 * freed. */
static _Atomic(char *) in_progress[MAX_OPEN];

static int take_slot(char *path)
{
    for (int i = 0; i < MAX_OPEN; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&in_progress[i], &none, path))
            return i;
    }
    return -1;
}

void tmpfile_cleanup(void)
{
    for (int i = 0; i < MAX_OPEN; i++) {
        char *path = atomic_load(&in_progress[i]);
        if (path)
            unlink(path);
    }
}

static int names(struct cx *cx, const char *path, struct tmpfile *t)
{
    static atomic_uint counter; /* two writes of one process never share a name */
    t->target = realpath(path, NULL);
    if (!t->target)
        t->target = strdup(path);
    if (!t->target)
        return err_nomem(cx);
    size_t n = strlen(t->target) + 64;
    t->path = mem_alloc(n);
    if (!t->path)
        return err_nomem(cx);
    const char *slash = strrchr(t->target, '/');
    int dir = slash ? (int)(slash - t->target) + 1 : 0;
    snprintf(t->path, n, "%.*s.onnxtool-%ld-%u.tmp", dir, t->target, (long)getpid(),
             atomic_fetch_add(&counter, 1));
    return OK;
}

static void forget(struct tmpfile *t)
{
    if (t->slot >= 0)
        atomic_store(&in_progress[t->slot], NULL);
    t->slot = -1;
    free(t->path);
    free(t->target);
    t->path = t->target = NULL;
}

/* The name must not be published before the file is ours, nor be missing once it exists: the slot is taken
 * between. */
static int create(struct cx *cx, struct tmpfile *t, mode_t mode)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    t->fd = open(t->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int e = errno;
    if (t->fd >= 0)
        t->slot = take_slot(t->path);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return t->fd >= 0 ? OK : err_set(cx, E_IO, "%s: cannot be written: %s", t->target, strerror(e));
}

int tmpfile_open(struct cx *cx, const char *path, struct tmpfile *t)
{
    *t = (struct tmpfile){.fd = -1, .slot = -1};
    if (strcmp(path, "-") == 0) {
        t->fd = dup(STDOUT_FILENO);
        return t->fd >= 0 ? OK : err_set(cx, E_IO, "standard output: %s", strerror(errno));
    }
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return err_set(cx, E_IO, "%s is a folder", path);
    if (exists && !S_ISREG(st.st_mode)) {
        t->fd = open(path, O_WRONLY | O_CLOEXEC);
        return t->fd >= 0 ? OK : err_set(cx, E_IO, "%s: cannot be written: %s", path, strerror(errno));
    }
    int rc = names(cx, path, t);
    if (!rc)
        rc = create(cx, t, 0666);
    if (!rc && exists && fchmod(t->fd, st.st_mode & 07777))
        rc = err_set(cx, E_IO, "%s: mode cannot be kept: %s", path, strerror(errno));
    if (rc)
        tmpfile_abort(t);
    return rc;
}

int tmpfile_write(struct cx *cx, struct tmpfile *t, const void *p, size_t n)
{
    const char *s = p;
    while (n) {
        ssize_t k = write(t->fd, s, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_set(cx, E_IO, "%s: %s", t->target ? t->target : "standard output", strerror(errno));
        s += k;
        n -= (size_t)k;
    }
    return OK;
}

static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd); /* best effort: some file systems cannot */
        close(fd);
    }
}

int tmpfile_commit(struct cx *cx, struct tmpfile *t)
{
    return tmpfile_commit_as(cx, t, t->target);
}

int tmpfile_commit_as(struct cx *cx, struct tmpfile *t, const char *path)
{
    if (!t->path) { /* standard output, a device */
        int rc = close(t->fd) ? err_set(cx, E_IO, "output: %s", strerror(errno)) : OK;
        t->fd = -1;
        return rc;
    }
    int rc = fsync(t->fd) && errno != EINVAL ? err_set(cx, E_IO, "%s: %s", path, strerror(errno)) : OK;
    if (close(t->fd) && !rc)
        rc = err_set(cx, E_IO, "%s: %s", path, strerror(errno));
    t->fd = -1;
    if (!rc && rename(t->path, path))
        rc = err_set(cx, E_IO, "%s: cannot be replaced: %s", path, strerror(errno));
    if (rc) {
        tmpfile_abort(t);
        return rc;
    }
    sync_folder(path);
    forget(t);
    return OK;
}

void tmpfile_abort(struct tmpfile *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    if (t->path && t->slot >= 0)
        unlink(t->path);
    forget(t);
}
