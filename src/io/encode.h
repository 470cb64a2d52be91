/* Protobuf encoding: the generated structs, with payloads streamed from wherever they lie. Sizes are 64 bit.
 * Messages must have been made by pb_new(), pb_clone() or pb_decode(). */
#ifndef OT_IO_ENCODE_H
#define OT_IO_ENCODE_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "io/decode.h"

/* Where bytes go: a file, through a buffer, or memory. */
struct sink {
    struct cx *cx;
    int fd; /* -1: memory */
    const char *name;
    uint8_t *buf;
    size_t n, cap;
    uint64_t total;
    uint64_t hash;   /* over everything written, when hashing is on */
    uint8_t part[8]; /* bytes not yet hashed, total % 8 of them */
    bool hashing;
};

/* Writes to fd, which stays the caller's; name is for messages. */
int sink_init_fd(struct sink *s, struct cx *cx, int fd, const char *name);
/* Collects in memory: s->buf, s->n. */
void sink_init_mem(struct sink *s, struct cx *cx);
int sink_write(struct sink *s, const void *p, size_t n);
int sink_payload(struct sink *s, const struct pb_payload *pl);
int sink_flush(struct sink *s);
void sink_free(struct sink *s);

/* Works out the encoded size of msg and everything in it. */
uint64_t pb_measure(void *msg);
/* Measures and writes. */
int pb_encode(struct sink *s, void *msg);

#endif
