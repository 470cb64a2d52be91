/* onnxtool bench: a model made ready to be timed, and one timed run. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Inputs that are kept in memory for the rotation. */
enum { MAX_SAMPLES = 64 };
static const size_t MAX_SAMPLE_BYTES = (size_t)512 << 20;

/* The message of the side's context goes where those of the command go. */
static int side_fail(struct bench *b, struct side *s, int rc)
{
    if (s->own_ctx)
        rc = ot_fail(b->app->ctx, ot_exit_code(rc), "%s", ot_error(s->ctx));
    return cmd_fail(b->app, rc);
}

static int load_model(struct bench *b, const char *path, struct side *s)
{
    const struct bench_opts *o = b->o;
    struct ot_load_opts lo = model_load_opts(&o->model);
    double t0 = ot_now();
    int rc = ot_model_load(s->ctx, path, &lo, &s->m);
    s->load = ot_now() - t0;
    if (!rc && (o->input.from.n || o->input.to.n))
        rc = ot_model_extract(s->ctx, s->m, o->input.from.v, o->input.to.v);
    return rc;
}

static int make_feed(struct bench *b, const struct config *c, struct side *s, const ot_values **first)
{
    struct ot_feed_opts fo = input_feed_opts(&b->o->input);
    fo.dims = c->dims.v;
    fo.shapes = c->shapes.v;
    fo.samples = b->o->samples;
    int rc = ot_feed_new(s->ctx, s->m, &fo, &s->feed);
    return rc ? rc : ot_feed_get(s->ctx, s->feed, 0, first);
}

static int make_session(struct bench *b, const struct config *c, struct side *s, const ot_values *first)
{
    struct ot_session_opts so = engine_session_opts(&b->o->engine);
    const char **fed = input_fed_defaults(s->m, first);
    so.level = (enum ot_opt)c->level;
    so.threads = c->threads;
    so.providers = c->providers.v;
    so.feed_defaults = fed;
    double t0 = ot_now();
    int rc = ot_session_new(s->ctx, s->m, &so, &s->s);
    s->load += ot_now() - t0;
    s->m = NULL;
    input_free_names(fed);
    return rc;
}

/* ---- samples ---- */

static size_t values_bytes(const ot_values *v)
{
    size_t n = 0;
    for (size_t i = 0; i < ot_values_count(v); i++)
        n += ot_tensor_bytes(ot_values_tensor(v, i));
    return n;
}

static int copy_values(struct side *s, const ot_values *v, ot_values **out)
{
    int rc = ot_values_new(s->ctx, out);
    for (size_t i = 0; !rc && i < ot_values_count(v); i++)
        rc = ot_values_add(s->ctx, *out, ot_values_name(v, i), ot_values_tensor(v, i));
    return rc;
}

static int keep_samples(struct side *s)
{
    size_t n = ot_feed_count(s->feed), bytes = 0;
    const ot_values *v;
    n = n > MAX_SAMPLES ? MAX_SAMPLES : n;
    s->sample = xalloc((n + 1) * sizeof *s->sample);
    for (size_t i = 0; i < n && (i == 0 || bytes < MAX_SAMPLE_BYTES); i++) {
        int rc = ot_feed_get(s->ctx, s->feed, i, &v);
        if (!rc)
            rc = copy_values(s, v, &s->sample[i]);
        if (rc)
            return rc;
        bytes += values_bytes(v);
        s->nsamples = i + 1;
    }
    return OT_OK;
}

/* The first run, which plans memory; made-up sizes that do not fit are replaced as `run` does it. */
static int first_run(struct side *s, const ot_values *in)
{
    double t0 = ot_now();
    int rc = ot_session_run(s->ctx, s->s, in);
    while (rc && ot_feed_retry(s->feed, rc) && !ot_feed_get(s->ctx, s->feed, 0, &in)) {
        t0 = ot_now();
        rc = ot_session_run(s->ctx, s->s, in);
    }
    s->first = ot_now() - t0;
    return rc;
}

int side_open(struct bench *b, const struct config *c, const char *path, struct side *s)
{
    const ot_values *first = NULL;
    if (!s->ctx)
        s->ctx = b->app->ctx;
    int rc = load_model(b, path, s);
    if (!rc)
        rc = make_feed(b, c, s, &first);
    if (!rc && !s->own_ctx && (b->app->verbose || b->nresults == 1))
        input_notes(b->app, s->m, s->feed, first);
    if (!rc)
        rc = make_session(b, c, s, first);
    if (!rc)
        rc = first_run(s, first);
    if (!rc)
        rc = keep_samples(s);
    return rc ? side_fail(b, s, rc) : EXIT_DONE;
}

void side_close(struct side *s)
{
    for (size_t i = 0; s->sample && s->sample[i]; i++)
        ot_values_free(s->sample[i]);
    free(s->sample);
    ot_session_free(s->s);
    ot_feed_free(s->feed);
    ot_model_free(s->m);
    if (s->own_ctx)
        ot_ctx_free(s->ctx);
    *s = (struct side){0};
}

/* ---- one run ---- */

static void series_add(struct series *t, double seconds)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 256;
        t->v = xgrow(t->v, t->cap * sizeof *t->v);
    }
    t->v[t->n++] = seconds;
}

int side_run(struct side *s, struct series *t)
{
    const ot_values *in = s->sample[s->next];
    s->next = s->next + 1 == s->nsamples ? 0 : s->next + 1;
    double t0 = ot_now();
    int rc = ot_session_run(s->ctx, s->s, in);
    double seconds = ot_now() - t0;
    if (!rc && t)
        series_add(t, seconds);
    return rc;
}
