#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Takes item over, also when it fails. Keys may come from files: what is no UTF-8 in them is escaped. */
static cJSON *add(cJSON *obj, const char *key, cJSON *item)
{
    struct str safe = {0};
    bool ok;

    if (!item)
        return NULL;
    if (!key) {
        ok = cJSON_AddItemToArray(obj, item);
    } else {
        if (!utf8_valid(key, strlen(key)))
            str_add_escaped(&safe, key, strlen(key));
        ok = !safe.failed && cJSON_AddItemToObject(obj, safe.p ? safe.p : key, item);
        str_free(&safe);
    }
    if (ok)
        return item;
    cJSON_Delete(item);
    return NULL;
}

cJSON *json_i64(cJSON *obj, const char *key, int64_t v)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)v);
    return add(obj, key, cJSON_CreateRaw(text));
}

cJSON *json_u64(cJSON *obj, const char *key, uint64_t v)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    return add(obj, key, cJSON_CreateRaw(text));
}

static cJSON *special(double v)
{
    return cJSON_CreateString(isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

cJSON *json_f64(cJSON *obj, const char *key, double v)
{
    char text[40];

    if (!isfinite(v))
        return add(obj, key, special(v));
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return add(obj, key, cJSON_CreateRaw(text));
}

cJSON *json_f32(cJSON *obj, const char *key, float v)
{
    char text[40];

    if (!isfinite(v))
        return add(obj, key, special(v));
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    return add(obj, key, cJSON_CreateRaw(text));
}

/* The text of a string token. cJSON's own cannot hold zero bytes. */
static void quote(struct str *out, const char *s, size_t n)
{
    str_addc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '"' || c == '\\')
            str_addf(out, "\\%c", c);
        else if (c == '\n')
            str_add(out, "\\n");
        else if (c == '\t')
            str_add(out, "\\t");
        else if (c < 32 || c == 127)
            str_addf(out, "\\u%04x", c);
        else
            str_addc(out, (char)c);
    }
    str_addc(out, '"');
}

cJSON *json_strn(cJSON *obj, const char *key, const char *s, size_t n)
{
    struct str safe = {0}, out = {0};
    cJSON *item = NULL;

    if (utf8_valid(s, n)) {
        quote(&out, s, n);
    } else {
        str_add_escaped(&safe, s, n);
        quote(&out, str_text(&safe), safe.n);
    }
    if (!safe.failed && !out.failed)
        item = cJSON_CreateRaw(out.p);
    str_free(&safe);
    str_free(&out);
    return add(obj, key, item);
}

cJSON *json_str(cJSON *obj, const char *key, const char *s)
{
    return s ? json_strn(obj, key, s, strlen(s)) : add(obj, key, cJSON_CreateNull());
}

cJSON *json_bool(cJSON *obj, const char *key, bool v)
{
    return add(obj, key, cJSON_CreateBool(v));
}

cJSON *json_obj(cJSON *obj, const char *key)
{
    return add(obj, key, cJSON_CreateObject());
}

cJSON *json_arr(cJSON *obj, const char *key)
{
    return add(obj, key, cJSON_CreateArray());
}

char *json_text(const cJSON *root)
{
    char *text = cJSON_Print(root), *p;
    size_t n;

    if (!text)
        return NULL;
    n = strlen(text);
    p = realloc(text, n + 2);
    if (!p) {
        free(text);
        return NULL;
    }
    memcpy(p + n, "\n", 2);
    return p;
}
