/* Protobuf decoding without trust: a table-driven decoder over protobuf-c's generated descriptors that fills
 * the generated structs from an arena. The format is that of the protocol buffers encoding guide.
 *
 * What it promises: bounded nesting, memory only from the given arena (whose limit is the budget), errors
 * with the offset in the file, unknown fields kept, packed and unpacked repeated fields, fields in any order,
 * a singular message that comes in parts merged. What it does not do: read tensor payloads. Those stay in the
 * file as (offset, length). */
#ifndef OT_IO_DECODE_H
#define OT_IO_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/blob.h"
#include "base/err.h"
#include "ir/ir.h"

enum {
    PB_MAX_DEPTH = 330,     /* nested messages; a nested graph takes three of them */
    PB_INLINE_MAX = 1024,   /* payloads up to this many bytes are kept in memory too */
    PB_UNKNOWN_MAX = 65536, /* larger unknown fields stay in the file */
};

/* The payload of a TensorProto: the content of the one field of raw_data, float_data, int32_data, int64_data,
 * double_data or uint64_data that is not empty, as encoded (packed). The generated struct holds nothing. */
struct pb_payload {
    int field;           /* its number: 9, 4, 5, 7, 10, 11 */
    struct file *file;   /* borrowed; NULL: bytes is all there is */
    struct segment *seg; /* pieces in the file, in order */
    size_t nseg;
    uint64_t total;
    const uint8_t *bytes; /* the same bytes in memory, if total <= PB_INLINE_MAX; or NULL */
};

/* Stands in memory before every message made here. */
struct pb_info {
    uint64_t loc;  /* where its content begins in the file */
    uint64_t size; /* encoded, as pb_measure() found it */
    struct pb_payload *payload;
    void *user; /* for the importer and the writer */
};

/* An unknown field whose data stayed in the file: data points to one of these and PB_LAZY_BIT is set in tag.
 */
struct pb_lazy {
    struct file *file;
    uint64_t off, len;
};
#define PB_LAZY_BIT 0x80000000u

static inline struct pb_info *pb_info(const void *msg)
{
    return (struct pb_info *)(uintptr_t)msg - 1;
}

/* A new message with default values; NULL: out of memory. */
void *pb_new(struct arena *a, const ProtobufCMessageDescriptor *desc);
/* A shallow copy: what it points to is shared. */
void *pb_clone(struct arena *a, const void *msg);

/* Decodes [off, off+len) of f as one message. E_PARSE with the offset; E_LIMIT when the arena's limit is hit;
 * E_IO; *out
 * is then what had been read (NULL when memory ran out at once). f must outlive the payloads. */
int pb_decode(struct cx *cx, struct file *f, uint64_t off, uint64_t len,
              const ProtobufCMessageDescriptor *desc, struct arena *a, void **out);

/* Bytes of one repeated field's element in the generated struct. */
size_t pb_elem_size(ProtobufCType type);
/* True for the fields of TensorProto whose content is a payload. */
bool pb_is_payload(const ProtobufCMessageDescriptor *desc, unsigned field);

/* Sequential reading of a payload, through a buffer of its own. */
struct pb_reader {
    struct cx *cx;
    const struct pb_payload *pl;
    size_t seg;
    uint64_t seg_off; /* within the segment */
    uint64_t left;    /* not yet buffered */
    uint8_t *buf;
    size_t pos, n, cap;
};
/* buf of cap bytes (at least 64) is the caller's. */
void pb_reader_init(struct pb_reader *r, struct cx *cx, const struct pb_payload *pl, void *buf, size_t cap);
/* At least min(n, what is left) bytes at buf + pos, n <= cap / 2. */
int pb_reader_fill(struct pb_reader *r, size_t n);
/* Exactly n bytes to dst; E_DATA at the end of the payload. */
int pb_reader_bytes(struct pb_reader *r, void *dst, uint64_t n);
/* E_DATA when malformed. *end at the end of the payload. */
int pb_reader_varint(struct pb_reader *r, uint64_t *v, bool *end);

#endif
