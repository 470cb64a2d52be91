/* What the files of the public interface share. Not for anyone else. */
#ifndef OT_API_H
#define OT_API_H

#include "base/err.h"
#include "base/tensor.h"
#include "compare/metrics.h"
#include "ir/ir.h"
#include "onnxtool.h"
#include "session/feed.h"
#include "session/samples.h"
#include "session/session.h"

struct ot_ctx {
    struct cx cx;
    char error[1024];
    ot_log_fn *log;
    void *log_user;
};

struct ot_model {
    struct model *m;
    struct arena arena; /* of the descriptions below */
    struct ot_value_info *in, *out;
    size_t nin, nout;
};

struct ot_values {
    struct named_list l;
};

static inline struct tensor *unwrap(const ot_tensor *t)
{
    return (struct tensor *)(uintptr_t)t;
}

static inline ot_tensor *wrap(const struct tensor *t)
{
    return (ot_tensor *)(uintptr_t)t;
}

/* o may be NULL. (api_feed.c) */
struct feed_opts feed_in(const struct ot_feed_opts *o);
/* NULL: nothing asked. (api_compare.c) */
struct tolerance tolerance_in(const struct ot_tolerance *t);
struct ot_diff diff_out(const struct metrics *m);

/* Ends a public call: formats the error, releases the scratch arena, passes rc on. */
int api_end(ot_ctx *c, int rc);

#endif
