/* Output files that are written aside and renamed when complete, so that an interrupted write harms nothing.
 */
#ifndef OT_IO_TMPFILE_H
#define OT_IO_TMPFILE_H

#include "base/err.h"

struct tmpfile {
    int fd;
    int slot;     /* in the table that tmpfile_cleanup() walks */
    char *path;   /* the temporary name */
    char *target; /* what it becomes */
};

/* Opens a new file in the folder of path (where path is a link: of what it leads to), with the mode an
 * existing path has (else 0666 less the umask). "-" is standard output; it, devices and pipes are written
 * directly. */
int tmpfile_open(struct cx *cx, const char *path, struct tmpfile *t);
/* All of n bytes; E_IO. */
int tmpfile_write(struct cx *cx, struct tmpfile *t, const void *p, size_t n);
/* Syncs the file, renames it over the target, syncs the folder. On failure the temporary file is gone. */
int tmpfile_commit(struct cx *cx, struct tmpfile *t);
/* The same, under a name in the same folder that is decided only now. */
int tmpfile_commit_as(struct cx *cx, struct tmpfile *t, const char *path);
/* Removes the temporary file; safe after a commit and on a zeroed struct with fd -1. */
void tmpfile_abort(struct tmpfile *t);
/* Removes the temporary files of all writes in progress. Async-signal-safe. */
void tmpfile_cleanup(void);

#endif
