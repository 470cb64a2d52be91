/* onnxtool run --feedback: models with a state, step by step.
 *
 * A link takes an output of one step to an input of the next. --feedback 'present.*=past.*' stands for one
 * link an output that matches; what each star took goes into the stars of the input's name, in order. */
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum { MAX_STARS = 4 };

struct link {
    const char *out, *in; /* owned by the model's description, which outlives the job */
};

/* What the stars of a pattern stand for. */
struct stars {
    const char *at[MAX_STARS];
    size_t n[MAX_STARS];
    size_t count;
};

/* ---- names ---- */

/* The first match with the shortest stars, by trying every length of the star at hand. */
static bool match(const char *pattern, size_t n, const char *text, struct stars *s)
{
    if (!n)
        return !*text;
    if (*pattern != '*')
        return *pattern == *text && match(pattern + 1, n - 1, text + 1, s);
    size_t k = s->count;
    if (k == MAX_STARS)
        return false;
    for (size_t len = 0;; len++) {
        s->count = k + 1;
        s->at[k] = text;
        s->n[k] = len;
        if (match(pattern + 1, n - 1, text + len, s))
            return true;
        if (!text[len])
            break;
    }
    s->count = k;
    return false;
}

/* The pattern with its stars filled in; freed by the caller. */
static char *fill_stars(const char *pattern, const struct stars *s)
{
    size_t size = strlen(pattern) + 1, k = 0, n = 0;
    for (size_t i = 0; i < s->count; i++)
        size += s->n[i];
    char *text = xalloc(size);
    for (; *pattern; pattern++) {
        if (*pattern != '*' || k == s->count) {
            text[n++] = *pattern;
            continue;
        }
        memcpy(text + n, s->at[k], s->n[k]);
        n += s->n[k++];
    }
    return text;
}

static const char *input_named(const ot_model *m, const char *name)
{
    for (size_t i = 0; i < ot_model_ninputs(m); i++)
        if (strcmp(ot_model_input(m, i)->name, name) == 0)
            return ot_model_input(m, i)->name;
    return NULL;
}

/* The name nearest to want among the inputs or outputs; NULL. */
static const char *nearest(const ot_model *m, bool outputs, const char *want)
{
    size_t n = outputs ? ot_model_noutputs(m) : ot_model_ninputs(m);
    const char **names = xalloc((n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = (outputs ? ot_model_output(m, i) : ot_model_input(m, i))->name;
    const char *near = ot_nearest(want, names, n);
    free(names);
    return near;
}

static int unknown(struct job *j, const char *text, bool output, const char *name)
{
    const char *near = nearest(j->m, output, name);
    return cmd_usage(j->app, "--feedback '%s': the model has no %s '%s'%s%s%s", text,
                     output ? "output" : "input", name, near ? "; did you mean '" : "", near ? near : "",
                     near ? "'?" : "");
}

static size_t matching_outputs(const ot_model *m, const char *pattern, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < ot_model_noutputs(m); i++) {
        struct stars s = {0};
        found += match(pattern, n, ot_model_output(m, i)->name, &s);
    }
    return found;
}

/* OUT=IN where OUT matches an output; names may hold '=' themselves. NULL: nowhere. */
static const char *split(const ot_model *m, const char *text)
{
    for (const char *eq = text + strlen(text); eq-- > text;)
        if (*eq == '=' && matching_outputs(m, text, (size_t)(eq - text)))
            return eq;
    return NULL;
}

static int add_link(struct job *j, const char *text, const char *out, const char *in)
{
    const char *name = input_named(j->m, in);
    if (!name)
        return unknown(j, text, false, in);
    for (size_t i = 0; i < j->nlinks; i++)
        if (strcmp(j->links[i].in, name) == 0)
            return cmd_usage(j->app, "--feedback '%s': input '%s' already gets output '%s'", text, name,
                             j->links[i].out);
    j->links = xgrow(j->links, (j->nlinks + 1) * sizeof *j->links);
    j->links[j->nlinks++] = (struct link){out, name};
    return EXIT_DONE;
}

static int add_links(struct job *j, const char *text)
{
    const char *eq = split(j->m, text);
    int code = EXIT_DONE;
    if (!eq) {
        const char *last = strrchr(text, '=');
        if (!last)
            return cmd_usage(j->app, "--feedback '%s': expected OUTPUT=INPUT", text);
        char *out = xdup(text);
        out[last - text] = 0;
        code = unknown(j, text, true, out);
        free(out);
        return code;
    }
    for (size_t i = 0; i < ot_model_noutputs(j->m) && !code; i++) {
        const char *out = ot_model_output(j->m, i)->name;
        struct stars s = {0};
        if (!match(text, (size_t)(eq - text), out, &s))
            continue;
        char *in = fill_stars(eq + 1, &s);
        code = add_link(j, text, out, in);
        free(in);
    }
    return code;
}

int steps_open(struct job *j)
{
    int code = EXIT_DONE;
    for (size_t i = 0; i < j->o->feedback.n && !code; i++)
        code = add_links(j, j->o->feedback.v[i]);
    return code;
}

/* ---- what each step is fed ---- */

/* States begin as zeros, unless a --fill or a file says otherwise. */
const char **steps_feed_opts(const struct job *j, struct ot_feed_opts *fo)
{
    size_t user = 0, n = 0;
    if (!j->nlinks)
        return NULL;
    while (fo->fills && fo->fills[user])
        user++;
    const char **fills = xalloc((j->nlinks + user + 1) * sizeof *fills);
    for (size_t i = 0; i < j->nlinks; i++)
        fills[n++] = rp_str(j->app->report, "%s=zeros", j->links[i].in);
    for (size_t i = 0; i < user; i++)
        fills[n++] = fo->fills[i];
    fo->fills = fills;
    fo->samples = j->o->steps;
    fo->stepped = true;
    return fills;
}

int steps_check(struct job *j, const ot_values *first)
{
    for (size_t i = 0; i < j->nlinks; i++)
        if (!ot_values_find(first, j->links[i].in))
            return cmd_usage(j->app,
                             "--feedback: input '%s' has a default in the model: give its first value with "
                             "--input",
                             j->links[i].in);
    if (j->nlinks && j->o->steps)
        j->samples = (size_t)j->o->steps;
    return EXIT_DONE;
}

int steps_inputs(struct job *j, const ot_values **in)
{
    int rc = j->state ? OT_OK : ot_values_new(j->app->ctx, &j->state);
    return rc ? rc : ot_feed_step(j->app->ctx, j->feed, j->sample, j->state, in);
}

static const ot_tensor *output_named(const struct job *j, const char *name)
{
    for (size_t i = 0; i < ot_session_noutputs(j->s); i++)
        if (strcmp(ot_session_output_name(j->s, i), name) == 0)
            return ot_session_output(j->s, i);
    return NULL;
}

int steps_keep(struct job *j)
{
    int rc = OT_OK;
    for (size_t i = 0; i < j->nlinks && !rc; i++)
        rc = ot_values_add(j->app->ctx, j->state, j->links[i].in, output_named(j, j->links[i].out));
    return rc ? cmd_fail(j->app, rc) : EXIT_DONE;
}

bool steps_state(const struct job *j, const char *output)
{
    for (size_t i = 0; i < j->nlinks; i++)
        if (strcmp(j->links[i].out, output) == 0)
            return true;
    return false;
}

void steps_close(struct job *j)
{
    ot_values_free(j->state);
    free(j->links);
}
