/* The public interface: sample sets. */
#include <stdlib.h>

#include "api.h"
#include "session/feed.h"

struct ot_feed {
    struct feed *f;
    ot_values view; /* borrows the feed's list */
};

struct feed_opts feed_in(const struct ot_feed_opts *o)
{
    if (!o)
        return (struct feed_opts){0};
    return (struct feed_opts){.inputs = o->inputs,
                              .fills = o->fills,
                              .shapes = o->shapes,
                              .dims = o->dims,
                              .seed = o->seed,
                              .stepped = o->stepped,
                              .samples = o->samples > 0 ? (size_t)o->samples : 0};
}

int ot_feed_new(ot_ctx *c, const ot_model *m, const struct ot_feed_opts *o, ot_feed **out)
{
    struct feed_opts fo = feed_in(o);
    ot_feed *f = mem_zalloc(sizeof *f);
    int rc = f ? feed_new(&c->cx, m->m, &fo, &f->f) : err_nomem(&c->cx);
    if (rc)
        free(f);
    else
        *out = f;
    return api_end(c, rc);
}

void ot_feed_free(ot_feed *f)
{
    if (!f)
        return;
    feed_free(f->f);
    free(f);
}

size_t ot_feed_count(const ot_feed *f)
{
    return feed_count(f->f);
}

int ot_feed_get(ot_ctx *c, ot_feed *f, size_t sample, const ot_values **out)
{
    struct named_list *l;
    int rc = feed_get(&c->cx, f->f, sample, &l);
    if (!rc) {
        f->view.l = *l;
        *out = &f->view;
    }
    return api_end(c, rc);
}

int ot_feed_step(ot_ctx *c, ot_feed *f, size_t step, const ot_values *fixed, const ot_values **out)
{
    struct named_list *l;
    int rc = feed_step(&c->cx, f->f, step, &fixed->l, &l);
    if (!rc) {
        f->view.l = *l;
        *out = &f->view;
    }
    return api_end(c, rc);
}

bool ot_feed_retry(ot_feed *f, int status)
{
    return feed_retry(f->f, status);
}

const char *ot_feed_how(const ot_feed *f, size_t i)
{
    return feed_how(f->f, i);
}
