/* The rules which field holds which type, and in what form, are those of onnx.proto. */
#include "io/payload.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum { F_FLOAT = 4, F_INT32 = 5, F_STRING = 6, F_INT64 = 7, F_RAW = 9, F_DOUBLE = 10, F_UINT64 = 11 };

static const uint8_t typed_field[DT_COUNT] = {
    [DT_FLOAT] = F_FLOAT,          [DT_COMPLEX64] = F_FLOAT,  [DT_DOUBLE] = F_DOUBLE,
    [DT_COMPLEX128] = F_DOUBLE,    [DT_INT64] = F_INT64,      [DT_STRING] = F_STRING,
    [DT_UINT32] = F_UINT64,        [DT_UINT64] = F_UINT64,    [DT_INT32] = F_INT32,
    [DT_INT16] = F_INT32,          [DT_INT8] = F_INT32,       [DT_INT4] = F_INT32,
    [DT_INT2] = F_INT32,           [DT_UINT16] = F_INT32,     [DT_UINT8] = F_INT32,
    [DT_UINT4] = F_INT32,          [DT_UINT2] = F_INT32,      [DT_BOOL] = F_INT32,
    [DT_FLOAT16] = F_INT32,        [DT_BFLOAT16] = F_INT32,   [DT_FLOAT8E4M3FN] = F_INT32,
    [DT_FLOAT8E4M3FNUZ] = F_INT32, [DT_FLOAT8E5M2] = F_INT32, [DT_FLOAT8E5M2FNUZ] = F_INT32,
    [DT_FLOAT4E2M1] = F_INT32,     [DT_FLOAT8E8M0] = F_INT32, [DT_FLOAT6E2M3] = F_INT32,
    [DT_FLOAT6E3M2] = F_INT32,
};

int payload_field(enum dtype dt)
{
    return dt > 0 && dt < DT_COUNT ? typed_field[dt] : 0;
}

bool payload_is_plain(int field)
{
    return field == F_RAW || field == F_FLOAT || field == F_DOUBLE;
}

const char *payload_field_name(int field)
{
    static const char *const name[] = {
        [F_FLOAT] = "float_data",  [F_INT32] = "int32_data", [F_STRING] = "string_data",
        [F_INT64] = "int64_data",  [F_RAW] = "raw_data",     [F_DOUBLE] = "double_data",
        [F_UINT64] = "uint64_data"};

    if (field < 0 || field > F_UINT64 || !name[field])
        return "?";
    return name[field];
}

static int wrong_size(struct cx *cx, const struct pb_payload *pl, enum dtype dt, int64_t n, uint64_t want)
{
    return err_set(cx, E_DATA, "%s holds %llu bytes, but %lld elements of %s take %llu",
                   payload_field_name(pl->field), (unsigned long long)pl->total, (long long)n, dtype_name(dt),
                   (unsigned long long)want);
}

/* Elements that lie in the file as they lie in memory, or packed below a byte. */
static int read_fixed(struct pb_reader *r, enum dtype dt, int64_t n, void *mem)
{
    uint64_t bytes;
    void *packed;
    int e;

    if (!dtype_file_size(dt, (uint64_t)n, &bytes) || bytes != r->pl->total)
        return wrong_size(r->cx, r->pl, dt, n, bytes);
    if (dtype_info(dt)->bits >= 8)
        return pb_reader_bytes(r, mem, bytes);
    packed = mem_alloc((size_t)bytes + 1);
    if (!packed)
        return err_nomem(r->cx);
    e = pb_reader_bytes(r, packed, bytes);
    if (!e)
        dtype_unpack(dt, packed, mem, (size_t)n);
    free(packed);
    return e;
}

/* n varints, the low size bytes of each. */
static int read_varints(struct pb_reader *r, unsigned size, int64_t n, uint8_t *dst)
{
    uint64_t v;
    bool end = false;
    int e = 0;

    for (int64_t i = 0; i < n; i++, dst += size) {
        e = pb_reader_varint(r, &v, &end);
        if (e < 0)
            return e;
        if (end)
            return err_set(r->cx, E_DATA, "%s holds %lld values, expected %lld",
                           payload_field_name(r->pl->field), (long long)i, (long long)n);
        memcpy(dst, &v, size);
    }
    e = pb_reader_varint(r, &v, &end);
    if (!e && !end)
        e = err_set(r->cx, E_DATA, "%s holds more than the expected %lld values",
                    payload_field_name(r->pl->field), (long long)n);
    return e;
}

/* Types of 2 and 4 bits: each stored number is one byte of packed elements. */
static int read_packed_varints(struct pb_reader *r, enum dtype dt, int64_t n, void *mem)
{
    uint64_t bytes;
    uint8_t *packed;
    int e;

    if (!dtype_file_size(dt, (uint64_t)n, &bytes))
        return err_set(r->cx, E_DATA, "too many elements");
    packed = mem_alloc((size_t)bytes + 1);
    if (!packed)
        return err_nomem(r->cx);
    e = read_varints(r, 1, (int64_t)bytes, packed);
    if (!e)
        dtype_unpack(dt, packed, mem, (size_t)n);
    free(packed);
    return e;
}

static int decode_from(struct pb_reader *r, enum dtype dt, int64_t n, void *mem)
{
    const struct dtype_info *di = dtype_info(dt);
    int field = r->pl->field, e;

    if (field == F_RAW)
        return read_fixed(r, dt, n, mem);
    if (field != payload_field(dt))
        return err_set(r->cx, E_DATA, "values of type %s are in %s", di->name, payload_field_name(field));
    if (field == F_FLOAT || field == F_DOUBLE)
        return read_fixed(r, dt, n, mem);
    if (di->bits == 2 || di->bits == 4)
        return read_packed_varints(r, dt, n, mem);
    e = read_varints(r, di->size, n, mem);
    if (di->cls == CLS_BOOL)
        for (int64_t i = 0; !e && i < n; i++)
            ((uint8_t *)mem)[i] = ((uint8_t *)mem)[i] != 0;
    return e;
}

int payload_check(struct cx *cx, const struct pb_payload *pl, enum dtype dt, int64_t n)
{
    const struct dtype_info *di = dtype_info(dt);
    uint64_t bytes, numbers;

    if (!dtype_file_size(dt, (uint64_t)n, &bytes))
        return err_set(cx, E_DATA, "%lld elements are too many", (long long)n);
    if (pl->field != F_RAW && pl->field != payload_field(dt))
        return err_set(cx, E_DATA, "values of type %s are in %s", di->name, payload_field_name(pl->field));
    if (payload_is_plain(pl->field))
        return pl->total == bytes ? 0 : wrong_size(cx, pl, dt, n, bytes);
    numbers = di->bits < 8 ? bytes : (uint64_t)n;
    if (pl->total < numbers || pl->total / 10 > numbers)
        return err_set(cx, E_DATA, "%s holds %llu bytes, which cannot be %llu numbers",
                       payload_field_name(pl->field), (unsigned long long)pl->total,
                       (unsigned long long)numbers);
    return 0;
}

int payload_decode(struct cx *cx, const struct pb_payload *pl, enum dtype dt, int64_t n, void *mem)
{
    enum { SMALL = 2048, BIG = 262144 };
    uint8_t small[SMALL];
    struct pb_reader r;
    void *big = NULL;
    int e;

    if (pl->total > SMALL) {
        big = mem_alloc(BIG);
        if (!big)
            return err_nomem(cx);
    }
    pb_reader_init(&r, cx, pl, big ? big : small, big ? BIG : SMALL);
    e = decode_from(&r, dt, n, mem);
    free(big);
    return e;
}
