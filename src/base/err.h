/* Status codes, the error record, and the context that every fallible function takes first.
 *
 * A leaf says what is wrong, once: return err_set(cx, E_SHAPE, "rank %d, expected 4", r).
 * A driver that knows where it was adds a frame as it returns: return err_frame(cx, "node '%s'", n).
 * Frames are of fixed size, so that reporting out-of-memory allocates nothing. */
#ifndef OT_BASE_ERR_H
#define OT_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

enum status_index {
#define ST(name, exit_code, text) ST_##name,
#include "err.def"
#undef ST
    ST_COUNT
};

/* Negative status codes, 0 is success. */
enum status {
    OK = 0,
#define ST(name, exit_code, text) E_##name = -1 - ST_##name,
#include "err.def"
#undef ST
};

enum { ERR_MSG = 640, ERR_FRAMES = 10, ERR_FRAME_TEXT = 200 };

struct err {
    int code;
    int nframes; /* innermost first; when full, further (outer) frames replace the last */
    char msg[ERR_MSG];
    char frame[ERR_FRAMES][ERR_FRAME_TEXT];
};

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Where messages go. The library never prints: cmd/ (or the embedding program) supplies the function. */
struct log {
    void (*write)(void *user, enum log_level level, const char *line);
    void *user;
    enum log_level level; /* messages above it are dropped */
};

/* Limits of one call; 0 means none. */
struct limits {
    uint64_t max_memory; /* bytes of tensors and weights that a session may hold */
    double deadline;     /* monotonic seconds (time_now), 0: none */
};

/* First argument of anything that can fail. Not shared between threads. */
struct cx {
    struct err err;
    struct log log;
    struct limits lim;
    struct arena scratch; /* memory inside one call; reset by the driver that owns the cx */
};

void cx_init(struct cx *cx);
/* Frees the scratch arena. */
void cx_fini(struct cx *cx);

/* Sets code and message (control bytes are escaped, frames dropped); returns code. */
int err_set(struct cx *cx, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_vset(struct cx *cx, int code, const char *fmt, va_list ap);
/* Adds context around the error that is set; returns its code. */
int err_frame(struct cx *cx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_nomem(struct cx *cx);
void err_clear(struct cx *cx);
/* One line "outer: inner: message" into buf (always terminated); returns its length. */
size_t err_format(const struct err *e, char *buf, size_t size);
/* The exit code that cmd/ uses for a status. */
int err_exit_code(int code);
const char *err_name(int code);

void log_msg(struct cx *cx, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* E_TIMEOUT once the deadline of cx has passed, else 0; cheap enough to call once a node. */
int cx_check_time(struct cx *cx);
/* Monotonic seconds. */
double time_now(void);

/* Only for our own bugs: prints the place and aborts. No file may reach it. */
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)

#endif
