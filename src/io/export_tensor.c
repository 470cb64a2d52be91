/* Values in memory -> TensorProto. */
#include <string.h>

#include "base/checked.h"
#include "io/decode.h"
#include "io/export.h"

int export_set_raw(struct cx *cx, struct arena *a, Onnx__TensorProto *msg, const struct pb_payload *pl)
{
    struct pb_payload *own = arena_dup(a, pl, sizeof(*pl));

    if (!own)
        return err_nomem(cx);
    own->field = 9;
    pb_info(msg)->payload = own;
    msg->has_raw_data = 1;
    msg->raw_data.data = NULL;
    msg->raw_data.len = 0;
    msg->n_string_data = 0;
    msg->n_external_data = 0;
    msg->has_data_location = 0;
    msg->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    return 0;
}

static int export_strings(struct cx *cx, struct arena *a, Onnx__TensorProto *msg, const struct ostr *s,
                          size_t n)
{
    struct pb_payload none = {0};
    int r = export_set_raw(cx, a, msg, &none);

    if (r < 0)
        return r;
    msg->has_raw_data = 0;
    msg->string_data = arena_array(a, n, sizeof(*msg->string_data));
    if (!msg->string_data)
        return err_nomem(cx);
    msg->n_string_data = n;
    for (size_t i = 0; i < n; i++)
        msg->string_data[i] = (ProtobufCBinaryData){s[i].n, (uint8_t *)(uintptr_t)s[i].p};
    return 0;
}

int export_values(struct cx *cx, struct arena *a, Onnx__TensorProto *msg, enum dtype dt, int rank,
                  const int64_t *dims, const void *mem)
{
    struct pb_payload pl = {0};
    int64_t n;

    msg->has_data_type = 1;
    msg->data_type = dt;
    msg->n_dims = (size_t)rank;
    msg->dims = arena_dup(a, dims, (size_t)rank * sizeof(*dims));
    if (!msg->dims)
        return err_nomem(cx);
    if (!dims_count(dims, rank, &n))
        return err_set(cx, E_SHAPE, "the product of the dimensions overflows");
    if (n && !mem)
        return err_set(cx, E_DATA, "there are no values");
    if (dt == DT_STRING)
        return export_strings(cx, a, msg, mem, (size_t)n);
    if (!dtype_file_size(dt, (uint64_t)n, &pl.total))
        return err_set(cx, E_SHAPE, "the tensor is too large");
    pl.bytes = mem;
    if (dtype_info(dt)->bits < 8 && n) {
        uint8_t *packed = arena_zalloc(a, (size_t)pl.total);

        if (!packed)
            return err_nomem(cx);
        dtype_pack(dt, mem, packed, (size_t)n);
        pl.bytes = packed;
    }
    return export_set_raw(cx, a, msg, &pl);
}
