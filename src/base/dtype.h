/* Element types and their scalar conversions. The only switch on element type stands in dtype.c. */
#ifndef OT_BASE_DTYPE_H
#define OT_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values are those of TensorProto.DataType. */
enum dtype {
    DT_UNDEFINED = 0,
#define DT(name, num, text, bits, bytes, cls) DT_##name = num,
#include "dtype.def"
#undef DT
    DT_COUNT = 29
};

enum dtype_class { CLS_NONE, CLS_FLOAT, CLS_INT, CLS_UINT, CLS_BOOL, CLS_COMPLEX, CLS_STRING };

/* A string element in memory; bytes are borrowed from the tensor's owner, not terminated. */
struct ostr {
    const char *p;
    size_t n;
};

struct dtype_info {
    const char *name; /* "float16"; NULL for numbers that are no type */
    enum dtype dt;
    enum dtype_class cls;
    unsigned bits; /* an element in a file (raw_data), 0 for strings */
    unsigned size; /* an element in memory */
    /* One scalar at p. Loads are exact where the target type can hold the value. Stores round to nearest
     * even, float types overflow as ONNX Cast with saturate=1 does for float8, to infinity otherwise;
     * integers take the value truncated toward zero and wrapped. Complex: the real part. Strings: NULL
     * pointers. */
    double (*load_f64)(const void *p);
    void (*store_f64)(void *p, double v);
    int64_t (*load_i64)(const void *p);
    void (*store_i64)(void *p, int64_t v);
};

/* Never NULL: unknown numbers give a row whose name is NULL. */
const struct dtype_info *dtype_info(int dt);
/* "float16", or "undefined" / "type 77" (static text) for numbers that are no type. */
const char *dtype_name(int dt);
/* By name, as dtype_name() spells it or as numpy does ("float32", "float64", "i8", ...); DT_UNDEFINED if
 * none. */
enum dtype dtype_parse(const char *name);
static inline size_t dtype_size(int dt)
{
    return dtype_info(dt)->size;
}
bool dtype_is_float(int dt);
bool dtype_is_int(int dt); /* signed or unsigned, not bool */

/* Bulk conversion of n elements between a type of class float, int, uint or bool and float / double / int64.
 */
void dtype_to_f32(enum dtype dt, const void *src, float *dst, size_t n);
void dtype_from_f32(enum dtype dt, const float *src, void *dst, size_t n);

/* Bits in a file: packs n elements of a 2-, 4- or 6-bit type, low bits first; and back. Other types: copied.
 * Packed size in bytes is dtype_file_size(). */
void dtype_pack(enum dtype dt, const void *mem, void *file, size_t n);
void dtype_unpack(enum dtype dt, const void *file, void *mem, size_t n);
/* Bytes of n elements in raw_data; false when it overflows. */
bool dtype_file_size(enum dtype dt, uint64_t n, uint64_t *bytes);

#endif
