/* Records look like
 * {"cat":"Node","name":"conv1_kernel_time","dur":12,"args":{"provider":"CPUExecutionProvider",
 * "op_name":"Conv",...}}; others are about the session. */
#include "target/observed.h"

#include <string.h>

#include "target/json_file.h"

static const char *text_at(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* ONNX Runtime's name without its ending, in lower case: "cpu", "cuda", "directml". */
static char *short_provider(struct arena *a, const char *name)
{
    size_t n = strlen(name);
    static const char tail[] = "ExecutionProvider";
    if (n > sizeof tail - 1 && strcmp(name + n - (sizeof tail - 1), tail) == 0)
        n -= sizeof tail - 1;
    char *s = arena_strndup(a, name, n);
    for (char *p = s; p && *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    return s && strcmp(s, "dml") == 0 ? arena_strdup(a, "directml") : s;
}

static int add_node(struct cx *cx, struct observed *o, const char *name, size_t len, const cJSON *record,
                    const char *provider)
{
    const cJSON *dur = cJSON_GetObjectItemCaseSensitive(record, "dur");
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(record, "args");
    const char *op = text_at(args, "op_name");
    char *key = arena_strndup(&o->arena, name, len);
    if (!key)
        return err_nomem(cx);
    /* The map holds positions, counted from 1: the array moves while it grows. */
    size_t at = (size_t)(uintptr_t)smap_get(&o->by_name, key);
    if (!at) {
        if (o->n == o->cap)
            o->nodes = arena_grow(&o->arena, o->nodes, o->n, &o->cap, sizeof *o->nodes);
        if (!o->nodes)
            return err_nomem(cx);
        struct observed_node *n = &o->nodes[o->n++];
        *n = (struct observed_node){.name = key,
                                    .op = arena_strdup(&o->arena, op ? op : ""),
                                    .provider = short_provider(&o->arena, provider)};
        at = o->n;
        if (!n->op || !n->provider || !smap_put(&o->by_name, key, (void *)(uintptr_t)at))
            return err_nomem(cx);
    }
    o->nodes[at - 1].us += cJSON_IsNumber(dur) ? dur->valuedouble : 0;
    o->nodes[at - 1].calls++;
    return OK;
}

static int read_record(struct cx *cx, struct observed *o, const cJSON *record)
{
    static const char tail[] = "_kernel_time";
    const char *name = text_at(record, "name"), *cat = text_at(record, "cat");
    const char *provider = text_at(cJSON_GetObjectItemCaseSensitive(record, "args"), "provider");
    size_t n = name ? strlen(name) : 0;
    if (!cat || strcmp(cat, "Node") != 0 || !provider || n < sizeof tail ||
        strcmp(name + n - (sizeof tail - 1), tail) != 0)
        return OK;
    return add_node(cx, o, name, n - (sizeof tail - 1), record, provider);
}

int observed_read(struct cx *cx, const char *path, struct observed *out)
{
    cJSON *doc;
    *out = (struct observed){0};
    int rc = json_file_read(cx, path, &doc);
    if (rc)
        return rc;
    const cJSON *list = cJSON_IsObject(doc) ? cJSON_GetObjectItemCaseSensitive(doc, "traceEvents") : doc, *r;
    out->by_name.arena = &out->arena;
    cJSON_ArrayForEach(r, list)
    {
        rc = read_record(cx, out, r);
        if (rc)
            break;
    }
    cJSON_Delete(doc);
    if (!rc && !out->n)
        rc = err_set(
            cx, E_DATA,
            "%s: no profile of ONNX Runtime: no record says which provider ran a node; set enable_profiling "
            "in the session options",
            path);
    if (rc)
        arena_free(&out->arena);
    return rc;
}

const struct observed_node *observed_find(const struct observed *o, const char *name)
{
    size_t at = (size_t)(uintptr_t)smap_get(&o->by_name, name);
    return at ? &o->nodes[at - 1] : NULL;
}

const struct observed_node *observed_inlined(const struct observed *o, const char *function, const char *name)
{
    static const char head[] = "_inlfunc_";
    size_t h = sizeof head - 1, f = strlen(function), n = strlen(name);
    for (size_t i = 0; i < o->n; i++) {
        const char *s = o->nodes[i].name;
        size_t len = strlen(s);
        if (len > h + f + n && memcmp(s, head, h) == 0 && strncmp(s + h, function, f) == 0 &&
            s[h + f] == '_' && s[len - n - 1] == '_' && memcmp(s + len - n, name, n) == 0)
            return &o->nodes[i];
    }
    return NULL;
}
