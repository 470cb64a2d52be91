/* The public interface: sessions. */
#include "api.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/plan.h"
#include "session/work.h"

struct ot_session {
    struct session *s;
    ot_model *desc; /* what it takes and gives; its model is the session's */
    const struct tensor **outs;
    struct tensor *ins;             /* fed, by session input */
    const struct prog_step **steps; /* all programs, main first */
    int *depth;
    struct step_work *work; /* by step; NULL: not noted yet */
    size_t nsteps;
    ot_ctx *ctx; /* of the run in progress */
    ot_step_fn *watch;
    void *watch_user;
    int watch_rc;
};

static int prog_depth(const struct prog *p)
{
    int d = 0;
    for (; p->outer; p = p->outer)
        d++;
    return d;
}

static void list_prog(struct ot_session *s, const struct prog *p)
{
    for (uint32_t i = 0; i < p->nsteps; i++) {
        s->depth[s->nsteps] = prog_depth(p);
        s->steps[s->nsteps++] = &p->steps[i];
    }
}

static int list_steps(struct cx *cx, struct ot_session *s)
{
    size_t n = 0;
    for (const struct prog *p = s->s->ex.progs; p; p = p->next)
        n += p->nsteps;
    s->steps = mem_zalloc((n + 1) * sizeof *s->steps);
    s->depth = mem_zalloc((n + 1) * sizeof *s->depth);
    s->outs = mem_zalloc((session_noutputs(s->s) + 1) * sizeof *s->outs);
    s->ins = mem_zalloc((session_ninputs(s->s) + 1) * sizeof *s->ins);
    if (!s->steps || !s->depth || !s->outs || !s->ins)
        return err_nomem(cx);
    list_prog(s, s->s->ex.main);
    for (const struct prog *p = s->s->ex.progs; p; p = p->next)
        if (p != s->s->ex.main)
            list_prog(s, p);
    return OK;
}

/* "P.KEY=V" -> key and value. */
static int split_options(struct cx *cx, const char *const *list, struct prov_option *out, size_t cap,
                         size_t *n)
{
    *n = 0;
    for (; list && *list; list++) {
        const char *eq = strchr(*list, '='), *dot = strchr(*list, '.');
        if (!eq || !dot || dot > eq || *n == cap)
            return err_set(cx, E_USAGE, "--provider-option '%s': expected PROVIDER.KEY=VALUE", *list);
        out[*n].key = arena_strndup(&cx->scratch, *list, (size_t)(eq - *list));
        out[*n].value = eq + 1;
        if (!out[(*n)++].key)
            return err_nomem(cx);
    }
    return OK;
}

int ot_session_new(ot_ctx *c, ot_model *m, const struct ot_session_opts *o, ot_session **out)
{
    struct cx *cx = &c->cx;
    struct prov_option opts[32];
    struct session_opts so = {.level = (enum opt_level)o->level,
                              .threads = o->threads,
                              .providers = o->providers,
                              .prov_opts = opts,
                              .strict = o->strict,
                              .feed_defaults = o->feed_defaults,
                              .keep = o->keep,
                              .skip_pass = o->skip_pass,
                              .profile = o->profile};
    struct ot_session *s = mem_zalloc(sizeof *s);
    int rc = s ? split_options(cx, o->provider_options, opts, 32, &so.nprov_opts) : err_nomem(cx);
    if (!rc && o->cpu_mask && cpu_mask_parse(o->cpu_mask, &so.cpu_mask))
        rc = err_set(cx, E_USAGE, "--cpu-mask '%s': expected c, avx2, avx512, vnni or all", o->cpu_mask);
    if (rc) {
        ot_model_free(m);
        free(s);
        return api_end(c, rc);
    }
    so.cpu_given = o->cpu_mask != NULL;
    rc = session_new(cx, m->m, &so, &s->s);
    m->m = NULL; /* session_new took it over */
    s->desc = m;
    if (!rc)
        rc = list_steps(cx, s);
    if (rc) {
        ot_session_free(s);
        return api_end(c, rc);
    }
    *out = s;
    return api_end(c, OK);
}

static void drop_inputs(struct ot_session *s)
{
    for (size_t i = 0; s->ins && i < session_ninputs(s->s); i++)
        tensor_drop(&s->ins[i]);
}

void ot_session_free(ot_session *s)
{
    if (!s)
        return;
    drop_inputs(s);
    session_free(s->s);
    ot_model_free(s->desc);
    free(s->outs);
    free(s->ins);
    free(s->steps);
    free(s->depth);
    free(s->work);
    free(s);
}

const ot_model *ot_session_model(const ot_session *s)
{
    return s->desc;
}

/* References, kept until the next run: an output may be an input as it is. */
static int gather_inputs(struct cx *cx, struct ot_session *s, const ot_values *in)
{
    drop_inputs(s);
    for (size_t i = 0; i < session_ninputs(s->s); i++) {
        const char *name = session_input(s->s, i)->name;
        const ot_tensor *t = ot_values_find(in, name);
        if (!t)
            return err_set(cx, E_DATA, "no value for input '%s'", name);
        tensor_ref(&s->ins[i], unwrap(t));
    }
    return OK;
}

int ot_session_run(ot_ctx *c, ot_session *s, const ot_values *in)
{
    s->ctx = c;
    s->watch_rc = OK;
    int rc = gather_inputs(&c->cx, s, in);
    if (!rc)
        rc = session_run(&c->cx, s->s, s->ins, s->outs);
    if (rc && s->watch_rc) { /* the watcher's own message stands, without frames around it */
        arena_rewind(&c->cx.scratch);
        err_clear(&c->cx);
        return s->watch_rc;
    }
    return api_end(c, rc);
}

size_t ot_session_noutputs(const ot_session *s)
{
    return session_noutputs(s->s);
}

const char *ot_session_output_name(const ot_session *s, size_t i)
{
    return session_output(s->s, i)->name;
}

const ot_tensor *ot_session_output(const ot_session *s, size_t i)
{
    return wrap(s->outs[i]);
}

int ot_session_outputs(ot_ctx *c, const ot_session *s, ot_values **out)
{
    int rc = ot_values_new(c, out);
    for (size_t i = 0; i < session_noutputs(s->s) && !rc; i++)
        rc = ot_values_add(c, *out, ot_session_output_name(s, i), ot_session_output(s, i));
    return rc;
}

size_t ot_session_nsteps(const ot_session *s)
{
    return s->nsteps;
}

void ot_session_step(const ot_session *s, size_t i, struct ot_step *out)
{
    static _Thread_local char op[128];
    const struct prog_step *p = s->steps[i];
    *out = (struct ot_step){.node = node_label(p->node),
                            .op = node_op_text(p->node, op, sizeof op),
                            .provider = s->s->ex.prov[p->provider]->name,
                            .kernel = p->bound.kernel ? p->bound.kernel : "ref",
                            .declined = s->s->ex.declined[p->node->id],
                            .depth = s->depth[i],
                            .seconds = p->seconds,
                            .calls = p->calls};
}

bool ot_session_makes(const ot_session *s, const char *glob)
{
    for (size_t i = 0; i < s->nsteps; i++)
        for (int o = 0; o < s->steps[i]->nout; o++)
            if (s->steps[i]->node->out[o] && ot_glob(glob, s->steps[i]->node->out[o]->name))
                return true;
    return false;
}

void ot_session_memory(const ot_session *s, struct ot_memory *out)
{
    const struct exec *ex = &s->s->ex;
    *out = (struct ot_memory){.weights = ex->consts.bytes,
                              .packed = ex->packed_bytes,
                              .block = ex->block_bytes,
                              .scratch = ex->scratch_bytes,
                              .peak = ex->peak_bytes};
    if (ex->main->last)
        out->block_naive = ex->main->last->naive_size;
}

double ot_session_load_seconds(const ot_session *s)
{
    return s->s->load_seconds;
}

size_t ot_session_passes(const ot_session *s, struct ot_pass_stat *out, size_t cap)
{
    size_t n, used = 0;
    const struct pass *p = pass_all(&n);
    for (size_t i = 0; i < n && used < cap; i++)
        if (s->s->stats[i].rewrites)
            out[used++] = (struct ot_pass_stat){p[i].name, s->s->stats[i].rewrites, s->s->stats[i].seconds};
    return used;
}

/* ---- watching steps ---- */

static int after_step(void *user, struct cx *cx, const struct prog_step *p, const struct tensor *const *in,
                      struct tensor *const *out)
{
    struct ot_session *s = user;
    char op[128];
    struct arena_mark m = arena_mark(&cx->scratch);
    const char **names = arena_array(&cx->scratch, (size_t)(p->nin + p->nout) + 1, sizeof *names);
    const ot_tensor **t = arena_array(&cx->scratch, (size_t)(p->nin + p->nout) + 1, sizeof *t);
    if (!names || !t)
        return err_nomem(cx);
    for (int i = 0; i < p->nin; i++) {
        names[i] = p->node->in[i] ? p->node->in[i]->name : NULL;
        bool packed = i < 64 && p->bound.consumed >> i & 1;
        t[i] = in[i] && !packed ? wrap(in[i]) : NULL;
    }
    for (int o = 0; o < p->nout; o++) {
        names[p->nin + o] = p->node->out[o] ? p->node->out[o]->name : NULL;
        t[p->nin + o] = out[o] ? wrap(out[o]) : NULL;
    }
    struct ot_step_view v = {.node = node_label(p->node),
                             .op = node_op_text(p->node, op, sizeof op),
                             .nin = p->nin,
                             .nout = p->nout,
                             .in_names = names,
                             .out_names = names + p->nin,
                             .in = t,
                             .out = t + p->nin};
    s->watch_rc = s->watch(s->watch_user, s->ctx, &v);
    arena_release(&cx->scratch, m);
    return s->watch_rc;
}

void ot_session_watch(ot_session *s, ot_step_fn *fn, void *user)
{
    s->watch = fn;
    s->watch_user = user;
    s->s->ex.hooks = (struct exec_hooks){fn ? after_step : NULL, s};
}

/* ---- measuring ---- */

void ot_session_profile(ot_session *s, bool on)
{
    s->s->ex.profile = on;
    for (struct prog *p = s->s->ex.progs; p; p = p->next)
        for (uint32_t i = 0; i < p->nsteps; i++) {
            p->steps[i].seconds = 0;
            p->steps[i].calls = 0;
        }
}

/* Index of a step in the list: steps of a program stand together. */
static size_t step_index(const struct ot_session *s, const struct prog_step *p)
{
    const struct exec *ex = &s->s->ex;
    size_t base = 0;
    if (p >= ex->main->steps && p < ex->main->steps + ex->main->nsteps)
        return (size_t)(p - ex->main->steps);
    base = ex->main->nsteps;
    for (const struct prog *q = ex->progs; q; q = q->next) {
        if (q == ex->main)
            continue;
        if (p >= q->steps && p < q->steps + q->nsteps)
            return base + (size_t)(p - q->steps);
        base += q->nsteps;
    }
    return base;
}

static int note_step(void *user, struct cx *cx, const struct prog_step *p, const struct tensor *const *in,
                     struct tensor *const *out)
{
    struct ot_session *s = user;
    return step_work_note(cx, s->s->m->syms, p, in, out, &s->work[step_index(s, p)]);
}

int ot_session_note_work(ot_ctx *c, ot_session *s, const ot_values *in)
{
    struct exec_hooks before = s->s->ex.hooks;
    if (!s->work)
        s->work = mem_zalloc((s->nsteps + 1) * sizeof *s->work);
    if (!s->work)
        return api_end(c, err_nomem(&c->cx));
    memset(s->work, 0, s->nsteps * sizeof *s->work);
    s->s->ex.hooks = (struct exec_hooks){note_step, s};
    int rc = ot_session_run(c, s, in);
    s->s->ex.hooks = before;
    return rc;
}

void ot_session_work(const ot_session *s, size_t step, struct ot_work *out)
{
    *out = (struct ot_work){-1, 0, ""};
    if (!s->work || !s->work[step].calls)
        return;
    const struct step_work *w = &s->work[step];
    double calls = (double)w->calls;
    *out = (struct ot_work){w->flops < 0 ? -1 : w->flops / calls, w->bytes / calls, w->shape};
}
