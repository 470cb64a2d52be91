/* Refcounted bytes, and files that outlive the code that opened them. */
#ifndef OT_BASE_BLOB_H
#define OT_BASE_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Bytes of the blobs that are counted on it; lives until its maker and the last of those blobs let go. */
struct meter {
    int refs; /* atomic, as is bytes */
    uint64_t bytes;
};

struct blob {
    int refs; /* atomic */
    void *data;
    size_t size;
    void (*destroy)(struct blob *); /* frees data and the struct */
    void *user;
    struct meter *meter; /* that size is counted on; NULL */
};

/* size bytes, zeroed, aligned to 64; NULL when memory runs out. */
struct blob *blob_new(size_t size);
/* The same, whose memory goes back to the system at once when it dies: for what is large and lives briefly.
 */
struct blob *blob_new_pages(size_t size);
/* A blob whose strings or pieces live in an arena of its own (blob_arena gives it). */
struct blob *blob_new_arena(size_t size);
struct arena *blob_arena(struct blob *b);
/* NULL when memory runs out. */
struct meter *meter_new(void);
void meter_unref(struct meter *m);
/* Counts b's size on m until b goes; a blob that is counted already stays where it is. */
void blob_count(struct blob *b, struct meter *m);
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b);

/* An open file: reads go through pread, so many users need no lock. */
struct file {
    int refs;
    int fd;
    uint64_t size;
    char *path;      /* as given, for messages */
    const void *mem; /* set when the "file" is bytes in memory (stdin, a caller's buffer) */
    void *owned;     /* of these, what dies with the file */
};

/* E_NOENT or E_IO (with the path) when it cannot be opened, or is a folder. */
int file_open(struct cx *cx, const char *path, struct file **out);
/* Takes over fd. */
int file_from_fd(struct cx *cx, int fd, const char *name, struct file **out);
/* Reads fd to its end into memory first (a pipe). */
int file_slurp_fd(struct cx *cx, int fd, const char *name, struct file **out);
/* Bytes that the caller keeps alive. */
int file_from_mem(struct cx *cx, const void *p, size_t n, const char *name, struct file **out);
struct file *file_ref(struct file *f);
void file_unref(struct file *f);
/* Exactly n bytes from off; E_DATA when the file ends early (it shrank), E_IO when reading fails. */
int file_read(struct cx *cx, struct file *f, uint64_t off, void *buf, size_t n);
/* Maps [off, off+n) read-only (page rounding inside); for a memory file a borrowed view. */
int file_map(struct cx *cx, struct file *f, uint64_t off, size_t n, struct blob **out);

#endif
