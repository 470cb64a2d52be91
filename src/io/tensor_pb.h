/* Tensor payloads to memory, and .pb files with TensorProto, SequenceProto, OptionalProto, MapProto. */
#ifndef OT_IO_TENSOR_PB_H
#define OT_IO_TENSOR_PB_H

#include "base/err.h"
#include "base/tensor.h"
#include "ir/ir.h"

/* The values of t: mapped in place when the bytes are stored as they lie in memory and aligned to the
 * element, else copied once; what is in memory already is borrowed from the model. E_DATA when the stored
 * length does not fit dims and type; E_PATH, E_NOENT, E_IO for external data. tensor_drop() it. */
int tensor_load(struct cx *cx, struct model *m, const struct tensor_data *t, struct tensor *out);
/* Dense form of a sparse initializer. */
int sparse_load(struct cx *cx, struct model *m, const struct sparse_data *s, struct tensor *out);

/* A protobuf file of one value. expect says which message it must be: the kinds look alike on the wire.
 * name (may be NULL) gets the value's name in scratch memory of cx. */
int value_pb_read(struct cx *cx, const char *path, const struct type *expect, struct tensor *out,
                  const char **name);
/* The same from an open file. */
int value_pb_parse(struct cx *cx, struct file *f, const struct type *expect, struct tensor *out,
                   const char **name);
/* Written aside and renamed. */
int value_pb_write(struct cx *cx, const char *path, const char *name, const struct tensor *t);

#endif
