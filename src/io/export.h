/* IR and tensors -> protobuf messages. */
#ifndef OT_IO_EXPORT_H
#define OT_IO_EXPORT_H

#include "base/err.h"
#include "base/tensor.h"
#include "io/decode.h"
#include "ir/ir.h"

#include "onnx.pb-c.h"

/* A tensor that the writer may want to move between the model file and the data file. */
struct export_tensor {
    Onnx__TensorProto *msg;
    struct tensor_data *t;
    bool initializer;
};

struct export
{
    struct cx *cx;
    struct arena *arena; /* the messages live here; they point into the model */
    struct model *m;
    struct export_tensor *tensors;
    size_t ntensors, cap_tensors;
};

/* The whole model. What came from a file and was not touched comes out as it went in. */
int export_model(struct export *ex, Onnx__ModelProto **out);

/* Sets type, dims and values of msg from memory in in-memory layout; mem must outlive it. */
int export_values(struct cx *cx, struct arena *a, Onnx__TensorProto *msg, enum dtype dt, int rank,
                  const int64_t *dims, const void *mem);
/* Makes raw_data of n bytes the values of msg; the other fields that can hold values are emptied. */
int export_set_raw(struct cx *cx, struct arena *a, Onnx__TensorProto *msg, const struct pb_payload *pl);

#endif
