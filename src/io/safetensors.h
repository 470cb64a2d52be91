/* safetensors files: eight bytes of length (little-endian), a JSON object of that length that gives each
 * tensor's dtype, shape and data_offsets, then the data. Read only; as huggingface/safetensors describes the
 * format. */
#ifndef OT_IO_SAFETENSORS_H
#define OT_IO_SAFETENSORS_H

#include <stdbool.h>

#include "io/npy.h"

/* Whether the first n bytes at head (10 or more are asked for) of a file of size bytes look like one. */
bool safetensors_likely(const unsigned char *head, size_t n, uint64_t size);
/* All tensors, in the order of the header; out is freed with npz_free(). limit: bytes in all, 0: none. Types
 * that ONNX lacks are refused by name. */
int safetensors_read(struct cx *cx, const char *path, uint64_t limit, struct npz *out);

#endif
