/* Running a program: sets addresses of the inputs, then the steps in order. Steps whose shapes depend on data
 * are inferred with the real tensors right before they run, and their results allocated apart. */
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "exec/bind.h"
#include "exec/plan.h"

#if defined(__SANITIZE_ADDRESS__)
enum { ALWAYS_CHECK = 1 };
#else
enum { ALWAYS_CHECK = 0 };
#endif

/* One run of one program, for the functions that operators call. */
struct frame {
    struct prog *p;
    struct plan *pl;
    const struct prog_step *s;
};

/* ---- what operators call ---- */

static void *vt_scratch(struct exec_ctx *ec, size_t bytes)
{
    struct exec *ex = ((struct frame *)ec->driver)->p->ex;
    struct scratch_buf *best = NULL, *spare = NULL;
    for (size_t i = 0; i < ex->nscratch; i++) {
        struct scratch_buf *b = &ex->scratch[i];
        if (b->used)
            continue;
        if (b->cap >= bytes && (!best || b->cap < best->cap))
            best = b;
        if (!spare || b->cap > spare->cap)
            spare = b;
    }
    if (best) {
        best->used = true;
        return best->p;
    }
    if (!spare) {
        struct scratch_buf *n = mem_realloc(ex->scratch, (ex->nscratch + 1) * sizeof *n);
        if (!n) {
            err_nomem(ec->cx);
            return NULL;
        }
        ex->scratch = n;
        spare = &n[ex->nscratch++];
        *spare = (struct scratch_buf){0};
    }
    if (exec_account(ec->cx, ex, &ex->scratch_bytes, (int64_t)bytes - (int64_t)spare->cap))
        return NULL;
    free(spare->p);
    spare->cap = 0;
    spare->p = mem_aligned(bytes, 64);
    if (!spare->p) {
        err_nomem(ec->cx);
        return NULL;
    }
    memset(spare->p, 0, bytes);
    spare->cap = bytes;
    spare->used = true;
    return spare->p;
}

/* Counts what a value holds, items included, until it goes. */
static int count_value(struct cx *cx, struct exec *ex, const struct tensor *t)
{
    if (!ex->results && !(ex->results = meter_new()))
        return err_nomem(cx);
    if (t->owner)
        blob_count(t->owner, ex->results);
    int rc = OK;
    for (size_t i = 0; t->seq && i < t->seq->n && !rc; i++)
        rc = count_value(cx, ex, &t->seq->items[i]);
    return rc;
}

static int new_tensor(struct cx *cx, struct exec *ex, struct tensor *t, enum dtype dt, int rank,
                      const int64_t *dims)
{
    struct tensor shape;
    memset(&shape, 0, sizeof shape);
    int rc = tensor_set_shape(cx, &shape, dt, rank, dims);
    if (!rc)
        rc = exec_account(cx, ex, NULL, (int64_t)tensor_bytes(&shape));
    if (!rc)
        rc = tensor_new(cx, t, dt, rank, dims);
    return rc ? rc : count_value(cx, ex, t);
}

static int vt_resize(struct exec_ctx *ec, int o, enum dtype dt, int rank, const int64_t *dims)
{
    if (o >= ec->nout || !ec->out[o])
        return OK;
    struct tensor *t = ec->out[o];
    if (t->data && t->kind == RT_TENSOR && t->dt == dt && t->rank == rank &&
        !memcmp(t->dims, dims, (size_t)rank * sizeof *dims))
        return OK;
    tensor_drop(t);
    return new_tensor(ec->cx, ((struct frame *)ec->driver)->p->ex, t, dt, rank, dims);
}

static int vt_set_out(struct exec_ctx *ec, int o, struct tensor *t)
{
    if (o >= ec->nout || !ec->out[o]) {
        tensor_drop(t);
        return OK;
    }
    tensor_drop(ec->out[o]);
    *ec->out[o] = *t;
    memset(t, 0, sizeof *t);
    struct exec *ex = ((struct frame *)ec->driver)->p->ex;
    if (!ec->cx->lim.max_memory) /* a long sequence is walked only where it matters */
        return OK;
    int rc = count_value(ec->cx, ex, ec->out[o]);
    return rc ? rc : exec_account(ec->cx, ex, NULL, 1);
}

/* A value for the caller of a body: moved when the body allocated it, else copied. */
static int hand_out(struct cx *cx, struct tensor *from, bool own, struct tensor *to)
{
    memset(to, 0, sizeof *to);
    if (own && (from->owner || from->seq)) {
        tensor_ref(to, from);
        return OK;
    }
    return tensor_copy(cx, to, from);
}

static int vt_run_graph(struct exec_ctx *ec, struct graph *g, const struct tensor *ins, int nins,
                        struct tensor *outs, int nouts)
{
    struct frame *f = ec->driver;
    struct prog *body = prog_of(f->p->ex, g);
    if (!body || (uint32_t)nins != body->nins || (uint32_t)nouts > body->nouts)
        return err_set(ec->cx, E_MODEL, "graph '%s' takes %u inputs and gives %u outputs, not %d and %d",
                       g->name, body ? body->nins : 0, body ? body->nouts : 0, nins, nouts);
    struct arena_mark m = arena_mark(&ec->cx->scratch);
    const struct tensor **caps = arena_array(&ec->cx->scratch, body->ncaps + 1, sizeof *caps);
    if (!caps)
        return err_nomem(ec->cx);
    for (uint32_t i = 0; i < body->ncaps; i++)
        caps[i] = &f->pl->t[body->caps_outer[i]];
    int rc = prog_run(ec->cx, body, ins, caps), done = 0;
    for (; done < nouts && !rc; done++) {
        uint32_t slot = body->outs[done];
        rc = hand_out(ec->cx, &body->last->t[slot], body->slots[slot].kind == SLOT_TEMP, &outs[done]);
    }
    for (int i = 0; rc && i < done; i++)
        tensor_drop(&outs[i]);
    arena_release(&ec->cx->scratch, m);
    return rc ? err_frame(ec->cx, "graph '%s'", g->name) : OK;
}

static struct arena *vt_strings(struct exec_ctx *ec)
{
    return blob_arena(((struct frame *)ec->driver)->p->ex->strings);
}

const struct exec_vt exec_vt = {
    .scratch = vt_scratch,
    .resize = vt_resize,
    .set_out = vt_set_out,
    .run_graph = vt_run_graph,
    .strings = vt_strings,
};

/* ---- steps whose shapes are not planned ---- */

/* Output types of a step from the tensors it is about to read. */
static int infer_live(struct cx *cx, struct exec *ex, const struct prog_step *s,
                      const struct tensor *const *in, struct type ***types)
{
    struct arena *a = &cx->scratch;
    const struct type **ity = arena_array(a, (size_t)s->nin + 1, sizeof *ity);
    const struct tensor **konst = arena_array(a, (size_t)s->nin + 1, sizeof *konst);
    *types = arena_array(a, (size_t)s->nout + 1, sizeof **types);
    if (!ity || !konst || !*types)
        return err_nomem(cx);
    for (int i = 0; i < s->nin; i++) {
        if (!in[i])
            continue;
        ity[i] = type_of_tensor(a, in[i]);
        if (!ity[i])
            return err_nomem(cx);
        bool packed = i < 64 && s->bound.consumed >> i & 1;
        konst[i] = packed ? consts_get(cx, &ex->consts, s->node->in[i]) : in[i];
    }
    return infer_node(cx, s->node, s->params, ex->m->syms, a, ity, konst, *types);
}

static int numbers(struct cx *cx, const struct prog_step *s, int o, const struct type *ty, int64_t *dims)
{
    const char *name = s->node->out[o] ? s->node->out[o]->name : "";
    if (!ty || ty->kind != TY_TENSOR || ty->rank < 0 || ty->rank > TENSOR_MAX_RANK || ty->dt == DT_UNDEFINED)
        return err_set(cx, E_SHAPE, "the shape of output %d '%s' cannot be told from the inputs", o, name);
    for (int k = 0; k < ty->rank; k++) {
        if (ty->dims[k].kind != DIM_CONST)
            return err_set(cx, E_SHAPE, "dim %d of output %d '%s' cannot be told from the inputs", k, o,
                           name);
        dims[k] = ty->dims[k].v;
    }
    return OK;
}

static bool same_shape(const struct tensor *t, enum dtype dt, int rank, const int64_t *dims)
{
    return t->dt == dt && t->rank == rank && !memcmp(t->dims, dims, (size_t)rank * sizeof *dims);
}

/* Gives the outputs of a step their shapes and memory from what infer says now. */
static int shape_outputs(struct cx *cx, struct frame *f, struct type **types, struct tensor *const *out)
{
    const struct prog_step *s = f->s;
    for (int o = 0; o < s->nout; o++) {
        if (!out[o])
            continue;
        if (types[o] && (types[o]->kind == TY_SEQ || types[o]->kind == TY_OPT || types[o]->kind == TY_MAP)) {
            tensor_drop(out[o]); /* the operator makes it (ec_set_out) */
            continue;
        }
        int64_t dims[TENSOR_MAX_RANK];
        int rc = numbers(cx, s, o, types[o], dims);
        if (rc)
            return rc;
        if (f->pl->known[s->out[o]]) {
            if (!same_shape(out[o], types[o]->dt, types[o]->rank, dims))
                return err_set(cx, E_INTERNAL, "output %d was planned with another shape", o);
            continue;
        }
        tensor_drop(out[o]);
        rc = new_tensor(cx, f->p->ex, out[o], types[o]->dt, types[o]->rank, dims);
        if (rc)
            return rc;
    }
    return OK;
}

static int prepare_outputs(struct cx *cx, struct frame *f, const struct tensor *const *in,
                           struct tensor *const *out)
{
    const struct op *op = f->s->node->op;
    if (op->flags & OP_DYNAMIC) {
        for (int o = 0; o < f->s->nout; o++)
            if (out[o])
                tensor_drop(out[o]);
        return OK;
    }
    struct type **types;
    int rc = infer_live(cx, f->p->ex, f->s, in, &types);
    return rc ? rc : shape_outputs(cx, f, types, out);
}

/* ---- the loop ---- */

/* Scratch that the step took is free again; what steps around it (If, Loop) hold stays taken. */
static void scratch_save(const struct exec *ex, bool *used, size_t n)
{
    for (size_t i = 0; i < n; i++)
        used[i] = ex->scratch[i].used;
}

enum { SCRATCH_MAX = 256 };

static int run_step(struct cx *cx, struct frame *f, uint32_t i)
{
    struct exec *ex = f->p->ex;
    struct prog_step *s = &f->p->steps[i];
    f->s = s;
    const struct tensor **in = f->pl->in[i];
    struct tensor **out = f->pl->out[i];
    int rc = cx->lim.deadline > 0 ? cx_check_time(cx) : OK;
    if (!rc)
        rc = op_check_values(cx, s->node, s->takes, in);
    if (!rc &&
        (!f->pl->ready[i] || ((ALWAYS_CHECK || ex->check_plans) && !(s->node->op->flags & OP_SUBGRAPH)))) {
        struct arena_mark m = arena_mark(&cx->scratch);
        rc = prepare_outputs(cx, f, in, out);
        arena_release(&cx->scratch, m);
    }
    if (rc)
        return rc;
    bool used[SCRATCH_MAX];
    size_t nused = ex->nscratch < SCRATCH_MAX ? ex->nscratch : SCRATCH_MAX;
    scratch_save(ex, used, nused);
    struct exec_ctx ec = {.cx = cx,
                          .pool = ex->pool,
                          .kern = &ex->kern,
                          .node = s->node,
                          .nin = s->nin,
                          .nout = s->nout,
                          .in = in,
                          .out = out,
                          .vt = &exec_vt,
                          .driver = f};
    double t0 = ex->profile ? time_now() : 0;
    rc = s->bound.run(&ec, s->bound.state);
    if (ex->profile) {
        s->seconds += time_now() - t0;
        s->calls++;
    }
    for (size_t k = 0; k < ex->nscratch; k++)
        ex->scratch[k].used = k < nused && used[k];
    if (!rc && ex->hooks.after)
        rc = ex->hooks.after(ex->hooks.user, cx, s, in, out);
    return rc;
}

static void drop_dead(struct frame *f, const struct prog_step *s)
{
    for (uint32_t k = 0; k < s->ndrop; k++)
        if (!f->pl->known[s->drop[k]])
            tensor_drop(&f->pl->t[s->drop[k]]);
}

static void set_inputs(struct prog *p, struct plan *pl, const struct tensor *ins,
                       const struct tensor *const *caps)
{
    for (uint32_t i = 0; i < p->nins; i++)
        pl->t[p->ins[i]] = ins[i];
    for (uint32_t i = 0; i < p->ncaps; i++)
        pl->t[p->caps[i]] = *caps[i];
    for (uint32_t i = 0; i < pl->nalias; i++)
        pl->t[pl->alias[i]].data = pl->t[pl->root[pl->alias[i]]].data;
}

int prog_run(struct cx *cx, struct prog *p, const struct tensor *ins, const struct tensor *const *caps)
{
    struct plan *pl;
    int rc = plan_get(cx, p, ins, caps, &pl);
    if (rc)
        return rc;
    p->last = pl;
    set_inputs(p, pl, ins, caps);
    struct frame f = {.p = p, .pl = pl};
    for (uint32_t i = 0; i < p->nsteps && !rc; i++) {
        rc = run_step(cx, &f, i);
        if (rc)
            rc = step_error(cx, p->ex, &p->steps[i], rc);
        drop_dead(&f, &p->steps[i]);
    }
    return rc;
}

/* A new arena for strings, unless the last one was not used. */
static int fresh_strings(struct cx *cx, struct exec *ex)
{
    if (ex->strings && ex->strings->refs == 1 && blob_arena(ex->strings)->used == 0)
        return OK;
    blob_unref(ex->strings);
    ex->strings = blob_new_arena(0);
    return ex->strings ? OK : err_nomem(cx);
}

int exec_run(struct cx *cx, struct exec *ex, const struct tensor *ins, const struct tensor **outs)
{
    ex->cx = cx;
    int rc = fresh_strings(cx, ex);
    if (!rc)
        rc = prog_run(cx, ex->main, ins, NULL);
    for (uint32_t i = 0; i < ex->main->nouts && !rc; i++)
        outs[i] = &ex->main->last->t[ex->main->outs[i]];
    return rc;
}

/* ---- one node ---- */

int exec_eval(struct cx *cx, struct exec *ex, struct node *n, const struct tensor *const *ins,
              struct tensor *outs)
{
    struct prog p = {.ex = ex, .graph = n->graph};
    struct plan pl = {0};
    struct prog_step s = {.node = n, .nin = n->nin, .nout = n->nout};
    struct frame f = {.p = &p, .pl = &pl, .s = &s};
    struct arena_mark m = arena_mark(&cx->scratch);
    ex->cx = cx;
    pl.known = arena_array(&cx->scratch, (size_t)n->nout + 1, 1);
    s.out = arena_array(&cx->scratch, (size_t)n->nout + 1, sizeof *s.out);
    struct tensor **out = arena_array(&cx->scratch, (size_t)n->nout + 1, sizeof *out);
    if (!pl.known || !s.out || !out)
        return err_nomem(cx);
    for (int o = 0; o < n->nout; o++) {
        memset(&outs[o], 0, sizeof *outs);
        out[o] = n->out[o] ? &outs[o] : NULL;
    }
    int rc = node_params(cx, n, &s.params);
    if (!rc)
        rc = exec_takes(cx, ex, n, &s.takes);
    if (!rc)
        rc = op_check_values(cx, n, s.takes, ins);
    if (!rc)
        rc = prepare_outputs(cx, &f, ins, out);
    if (!rc && !ex->strings)
        rc = fresh_strings(cx, ex);
    if (!rc) {
        struct exec_ctx ec = {.cx = cx,
                              .pool = ex->pool,
                              .kern = &ex->kern,
                              .node = n,
                              .nin = n->nin,
                              .nout = n->nout,
                              .in = (const struct tensor **)(uintptr_t)ins,
                              .out = out,
                              .vt = &exec_vt,
                              .driver = &f};
        rc = n->op->ref(&ec, s.params);
        for (size_t k = 0; k < ex->nscratch; k++)
            ex->scratch[k].used = false;
    }
    for (int o = 0; rc && o < n->nout; o++)
        tensor_drop(&outs[o]);
    if (rc)
        rc = step_error(cx, ex, &s, rc);
    arena_release(&cx->scratch, m);
    return rc;
}
