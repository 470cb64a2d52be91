/* Exact JSON on top of cJSON: 64-bit integers as raw tokens, NaN and infinities as strings, names made valid
 * UTF-8. All return the created item (owned by the parent) or NULL when memory runs out. */
#ifndef OT_IO_JSON_H
#define OT_IO_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

cJSON *json_i64(cJSON *obj, const char *key, int64_t v);
cJSON *json_u64(cJSON *obj, const char *key, uint64_t v);
/* Shortest text that reads back as the same double. */
cJSON *json_f64(cJSON *obj, const char *key, double v);
cJSON *json_f32(cJSON *obj, const char *key, float v);
cJSON *json_str(cJSON *obj, const char *key, const char *s); /* NULL s: null */
cJSON *json_strn(cJSON *obj, const char *key, const char *s, size_t n);
cJSON *json_bool(cJSON *obj, const char *key, bool v);
cJSON *json_obj(cJSON *obj, const char *key); /* a new object under key; key NULL: appended to an array */
cJSON *json_arr(cJSON *obj, const char *key);
/* The whole document, indented, ending in a newline; free() it. */
char *json_text(const cJSON *root);

#endif
