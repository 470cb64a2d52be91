/* Decoded protobuf -> IR. */
#ifndef OT_IO_IMPORT_H
#define OT_IO_IMPORT_H

#include "base/err.h"
#include "ir/ir.h"

#include "onnx.pb-c.h"

/* What import learns beside the IR. */
struct import_notes {
    struct tensor_data **external; /* every tensor whose bytes are in another file */
    size_t nexternal, cap_external;
    uint64_t at; /* where in the file the object lies that the error is about */
};

/* Fills the empty model m (its file and arena set). Graphs are sorted. Errors have frames for graph and node;
 * notes->at tells the offset. */
int import_model(struct cx *cx, struct model *m, Onnx__ModelProto *p, struct import_notes *notes);
/* One tensor. Strings and small payloads are decoded to PL_MEM, everything else stays where it is. */
int import_tensor(struct cx *cx, struct arena *a, const Onnx__TensorProto *p, struct tensor_data *out);
int import_sparse(struct cx *cx, struct arena *a, const Onnx__SparseTensorProto *p, struct sparse_data *out);

#endif
