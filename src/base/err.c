/* Errors: one message, and a fixed stack of frames saying where. */
#include "err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "str.h"

static const struct {
    const char *name;
    int exit_code;
    const char *text;
} statuses[ST_COUNT] = {
#define ST(name, exit_code, text) [ST_##name] = {#name, exit_code, text},
#include "err.def"
#undef ST
};

/* Row of a status code, or -1: a code that is no row of ours must not index the table. */
static int status_row(int code)
{
    return code < 0 && code >= -ST_COUNT ? -1 - code : -1;
}

void cx_init(struct cx *cx)
{
    memset(cx, 0, sizeof *cx);
}

void cx_fini(struct cx *cx)
{
    arena_free(&cx->scratch);
}

/* Formats into dst as one line that a terminal can be trusted with: names in args come from files. */
static void format_line(char *dst, size_t size, const char *fmt, va_list ap)
{
    char raw[1024];
    int n = vsnprintf(raw, sizeof raw, fmt, ap);

    if (n < 0)
        n = snprintf(raw, sizeof raw, "(unprintable message)");
    size_t len = (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    /* A character that the buffer's end cut in two is dropped rather than shown as bytes. */
    if ((size_t)n >= sizeof raw)
        for (int i = 0; i < 3 && !utf8_valid(raw, len); i++)
            len--;
    str_escape(dst, size, raw, len);
}

int err_vset(struct cx *cx, int code, const char *fmt, va_list ap)
{
    cx->err.code = code;
    cx->err.nframes = 0;
    format_line(cx->err.msg, sizeof cx->err.msg, fmt, ap);
    return code;
}

int err_set(struct cx *cx, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_vset(cx, code, fmt, ap);
    va_end(ap);
    return code;
}

int err_frame(struct cx *cx, const char *fmt, ...)
{
    struct err *e = &cx->err;
    va_list ap;

    if (e->nframes < ERR_FRAMES)
        e->nframes++;
    va_start(ap, fmt);
    format_line(e->frame[e->nframes - 1], ERR_FRAME_TEXT, fmt, ap);
    va_end(ap);
    return e->code;
}

int err_nomem(struct cx *cx)
{
    return err_set(cx, E_NOMEM, "out of memory");
}

void err_clear(struct cx *cx)
{
    cx->err.code = OK;
    cx->err.nframes = 0;
    cx->err.msg[0] = 0;
}

/* Appends text at *n as far as it fits, always terminated. */
static void append(char *buf, size_t size, size_t *n, const char *text)
{
    size_t len = strlen(text);

    if (*n + 1 >= size)
        return;
    if (len > size - 1 - *n)
        len = size - 1 - *n;
    memcpy(buf + *n, text, len);
    *n += len;
    buf[*n] = 0;
}

size_t err_format(const struct err *e, char *buf, size_t size)
{
    size_t n = 0;

    if (!size)
        return 0;
    buf[0] = 0;
    for (int i = e->nframes - 1; i >= 0; i--) {
        append(buf, size, &n, e->frame[i]);
        append(buf, size, &n, ": ");
    }
    const char *msg = e->msg;
    if (!*msg && status_row(e->code) >= 0)
        msg = statuses[status_row(e->code)].text;
    append(buf, size, &n, msg);
    return n;
}

int err_exit_code(int code)
{
    int row = status_row(code);

    if (code == OK)
        return 0;
    return row >= 0 ? statuses[row].exit_code : statuses[ST_INTERNAL].exit_code;
}

const char *err_name(int code)
{
    int row = status_row(code);

    return code == OK ? "OK" : row >= 0 ? statuses[row].name : "UNKNOWN";
}

void log_msg(struct cx *cx, enum log_level level, const char *fmt, ...)
{
    char line[1100];
    va_list ap;

    if (!cx->log.write || level > cx->log.level)
        return;
    va_start(ap, fmt);
    format_line(line, sizeof line, fmt, ap);
    va_end(ap);
    cx->log.write(cx->log.user, level, line);
}

double time_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int cx_check_time(struct cx *cx)
{
    if (cx->lim.deadline == 0 || time_now() <= cx->lim.deadline)
        return 0;
    return err_set(cx, E_TIMEOUT, "the time limit was reached");
}

void bug_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "onnxtool: bug at %s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}
