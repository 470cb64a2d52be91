/* Stored bytes of a tensor -> values in memory, for every field that can hold them. */
#ifndef OT_IO_PAYLOAD_H
#define OT_IO_PAYLOAD_H

#include "base/dtype.h"
#include "base/err.h"
#include "io/decode.h"

/* n elements of type dt (no strings) into mem, in in-memory layout. E_DATA when the field cannot hold the
 * type or the number of stored values is not n. */
int payload_decode(struct cx *cx, const struct pb_payload *pl, enum dtype dt, int64_t n, void *mem);
/* Whether these bytes can be n elements of dt, without reading them: exact where elements are of fixed size,
 * bounds where they are varints. E_DATA. */
int payload_check(struct cx *cx, const struct pb_payload *pl, enum dtype dt, int64_t n);
/* The field of TensorProto, other than raw_data, that holds dt; 0: none. */
int payload_field(enum dtype dt);
/* True for the fields whose bytes are the elements as they lie in memory (from 8 bits up). */
bool payload_is_plain(int field);
const char *payload_field_name(int field);

#endif
