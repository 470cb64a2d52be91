/* The public interface: measuring. */
#include "api.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/rss.h"
#include "base/str.h"
#include "compare/timing.h"
#include "session/ceilings.h"

uint64_t ot_memory_now(void)
{
    return rss_now();
}

uint64_t ot_memory_peak(void)
{
    return rss_peak();
}

bool ot_memory_forget_peak(void)
{
    return rss_forget_peak();
}

int ot_timing(ot_ctx *c, const double *samples, size_t n, double *sorted, struct ot_timing *out)
{
    struct timing t;
    int rc = timing_of(&c->cx, samples, n, sorted, &t);
    *out = (struct ot_timing){.n = t.n,
                              .min = t.min,
                              .max = t.max,
                              .mean = t.mean,
                              .median = t.median,
                              .sd = t.sd,
                              .cv = t.cv,
                              .outliers = t.outliers,
                              .many_outliers = t.many_outliers,
                              .drift = t.drift,
                              .drifts = t.drifts};
    return api_end(c, rc);
}

double ot_percentile(const double *sorted, size_t n, double p)
{
    return timing_percentile(sorted, n, p);
}

size_t ot_percentile_needs(double p)
{
    return timing_needs(p);
}

int ot_ratio(ot_ctx *c, const double *a, size_t na, const double *b, size_t nb, bool paired,
             struct ot_ratio *out)
{
    struct interval i;
    int rc = timing_ratio(&c->cx, a, na, b, nb, paired, &i);
    *out = (struct ot_ratio){i.value, i.lo, i.hi};
    return api_end(c, rc);
}

int ot_ceilings(ot_ctx *c, int threads, const char *cpu_mask, struct ot_ceilings *out)
{
    static _Thread_local char how[80];
    unsigned mask = cpu_flags(), given;
    struct ceilings m;
    if (cpu_mask && cpu_mask_parse(cpu_mask, &given))
        return api_end(
            c, err_set(&c->cx, E_USAGE, "--cpu-mask '%s': expected c, avx2, avx512, vnni or all", cpu_mask));
    if (cpu_mask)
        mask &= given;
    threads = threads > 0 ? threads : cpu_count();
    int rc = ceilings_measure(&c->cx, threads, mask, &m);
    snprintf(how, sizeof how, "%s, %d thread%s", cpu_mask_name(mask), threads, threads == 1 ? "" : "s");
    *out = (struct ot_ceilings){m.flops, m.bytes, how};
    return api_end(c, rc);
}

/* ---- baselines ---- */

struct series {
    const char *name; /* of the document */
    double *v;
    size_t n;
};

struct ot_baseline {
    cJSON *doc;
    const char *machine;
    struct series *series;
    size_t n;
};

enum { BASELINE_MAX = 256 << 20 };

static int read_text(struct cx *cx, const char *path, struct str *s)
{
    char buf[65536];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(cx, errno == ENOENT ? E_DATA : E_IO, "%s: %s", path, strerror(errno));
    while ((n = fread(buf, 1, sizeof buf, f)) && s->n < BASELINE_MAX)
        str_addn(s, buf, n);
    bool bad = ferror(f);
    fclose(f);
    if (bad)
        return err_set(cx, E_IO, "%s: cannot be read", path);
    return s->failed ? err_nomem(cx) : OK;
}

static int read_series(struct cx *cx, const char *path, const cJSON *entry, struct series *s)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(entry, "name");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(entry, "samples_ms"), *item;
    if (!cJSON_IsString(name) || !cJSON_IsArray(list))
        return err_set(cx, E_DATA, "%s: a result without name or samples_ms", path);
    s->name = name->valuestring;
    s->v = mem_zalloc(((size_t)cJSON_GetArraySize(list) + 1) * sizeof *s->v);
    if (!s->v)
        return err_nomem(cx);
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || !(item->valuedouble > 0))
            return err_set(cx, E_DATA, "%s: '%s' has a sample that is not a positive number", path, s->name);
        s->v[s->n++] = item->valuedouble / 1e3;
    }
    return s->n ? OK : err_set(cx, E_DATA, "%s: '%s' has no samples", path, s->name);
}

static int read_baseline(struct cx *cx, const char *path, const char *text, struct ot_baseline *b)
{
    b->doc = cJSON_Parse(text);
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(b->doc, "command");
    const cJSON *machine = cJSON_GetObjectItemCaseSensitive(b->doc, "machine");
    const cJSON *results = cJSON_GetObjectItemCaseSensitive(b->doc, "results"), *entry;
    if (!cJSON_IsString(kind) || strcmp(kind->valuestring, "bench-baseline") || !cJSON_IsString(machine) ||
        !cJSON_IsArray(results))
        return err_set(cx, E_DATA, "%s: not a baseline of onnxtool bench", path);
    b->machine = machine->valuestring;
    b->series = mem_zalloc(((size_t)cJSON_GetArraySize(results) + 1) * sizeof *b->series);
    if (!b->series)
        return err_nomem(cx);
    cJSON_ArrayForEach(entry, results)
    {
        int rc = read_series(cx, path, entry, &b->series[b->n++]);
        if (rc)
            return rc;
    }
    return OK;
}

int ot_baseline_read(ot_ctx *c, const char *path, ot_baseline **out)
{
    struct str text = {0};
    struct ot_baseline *b = mem_zalloc(sizeof *b);
    int rc = b ? read_text(&c->cx, path, &text) : err_nomem(&c->cx);
    if (!rc)
        rc = read_baseline(&c->cx, path, str_text(&text), b);
    str_free(&text);
    if (rc)
        ot_baseline_free(b);
    else
        *out = b;
    return api_end(c, rc);
}

void ot_baseline_free(ot_baseline *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++)
        free(b->series[i].v);
    free(b->series);
    cJSON_Delete(b->doc);
    free(b);
}

const char *ot_baseline_machine(const ot_baseline *b)
{
    return b->machine;
}

const double *ot_baseline_find(const ot_baseline *b, const char *name, size_t *n)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->series[i].name, name) == 0) {
            *n = b->series[i].n;
            return b->series[i].v;
        }
    return NULL;
}
