/* JSON files of the user's: facts and profiles. */
#include "target/json_file.h"

#include <stdlib.h>

#include "base/blob.h"

/* Profiles of long runs are large; beyond this a file is surely something else. */
#define JSON_MAX ((uint64_t)1 << 30)

static size_t line_of(const char *text, const char *at)
{
    size_t n = 1;
    for (; at && text < at; text++)
        n += *text == '\n';
    return n;
}

static int parse(struct cx *cx, struct file *f, char *text, cJSON **out)
{
    const char *end = NULL;
    int rc = file_read(cx, f, 0, text, (size_t)f->size);
    if (rc)
        return rc;
    text[f->size] = '\0';
    *out = cJSON_ParseWithLengthOpts(text, (size_t)f->size, &end, 0);
    if (!*out)
        return err_set(cx, E_DATA, "%s: no JSON: a mistake in line %zu", f->path, line_of(text, end));
    return OK;
}

int json_file_read(struct cx *cx, const char *path, cJSON **out)
{
    struct file *f;
    int rc = file_open(cx, path, &f);
    if (rc)
        return rc;
    char *text = f->size < JSON_MAX ? mem_alloc((size_t)f->size + 1) : NULL;
    if (f->size >= JSON_MAX)
        rc = err_set(cx, E_DATA, "%s: too large for a JSON file of facts or a profile", path);
    else if (!text)
        rc = err_nomem(cx);
    else
        rc = parse(cx, f, text, out);
    free(text);
    file_unref(f);
    return rc;
}
