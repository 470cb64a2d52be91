/* The public interface: verification of a rewrite. */
#include <stdlib.h>

#include "api.h"
#include "compare/verify_rewrite.h"

struct ot_verification {
    struct verify_report r;
};

static void public_tolerance(void *user, const char *output, struct tolerance *out)
{
    const struct ot_verify_opts *o = user;
    struct ot_tolerance t;
    ot_tolerance_init(&t);
    o->tolerance(o->user, output, &t);
    *out = tolerance_in(&t);
}

static struct model *take(ot_model *m)
{
    struct model *inner = m->m;
    m->m = NULL;
    ot_model_free(m);
    return inner;
}

int ot_verify(ot_ctx *c, ot_model *before, ot_model *after, const struct ot_verify_opts *o,
              ot_verification **out)
{
    struct verify_opts vo = {0};
    if (o)
        vo = (struct verify_opts){.feed = feed_in(&o->feed),
                                  .sizes = o->sizes > 0 ? (size_t)o->sizes : 0,
                                  .before = (enum opt_level)o->before,
                                  .after = (enum opt_level)o->after,
                                  .threads = o->threads,
                                  .tolerance = o->tolerance ? public_tolerance : NULL,
                                  .user = (void *)(uintptr_t)o};
    struct model *a = take(before), *b = take(after);
    ot_verification *v = mem_zalloc(sizeof *v);
    if (!v) {
        model_free(a);
        model_free(b);
        return api_end(c, err_nomem(&c->cx));
    }
    int rc = verify_rewrite(&c->cx, a, b, &vo, &v->r);
    if (rc)
        ot_verification_free(v);
    else
        *out = v;
    return api_end(c, rc);
}

void ot_verification_free(ot_verification *v)
{
    if (!v)
        return;
    verify_free(&v->r);
    free(v);
}

void ot_verification_summary(const ot_verification *v, struct ot_verify_summary *out)
{
    const struct verify_report *r = &v->r;
    *out = (struct ot_verify_summary){.pass = r->pass,
                                      .proven = r->proven,
                                      .failure = r->failure,
                                      .noutputs = r->nout,
                                      .sets = r->sets,
                                      .sizes = r->sizes,
                                      .refused = r->refused,
                                      .nrefused = r->nrefused,
                                      .looked_inside = r->looked_inside,
                                      .inside = r->inside,
                                      .inside_failed = r->inside_failed,
                                      .inside_worst = r->inside_worst,
                                      .inside_diff = diff_out(&r->inside_metrics)};
}

void ot_verification_output(const ot_verification *v, size_t i, struct ot_verify_output *out)
{
    const struct verify_output *o = &v->r.out[i];
    *out = (struct ot_verify_output){o->name, diff_out(&o->worst), o->where, o->random, o->moves};
}
