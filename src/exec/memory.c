/* Places planned values in one block: walks the steps in order, hands out the best-fitting hole at each
 * definition and takes it back after the last use. Views and in-place results share the buffer of the input
 * they come from.
 *
 *   step:      0     1     2     3
 *   a        |#####|#####|                 a dies after step 1, so c takes its place;
 *   b              |#####|#####|#####      d is computed in place over c.
 *   c                    |#####|#####
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "exec/plan.h"

enum { ALIGN = 64 };

/* Free holes of the block, sorted by offset. */
struct hole {
    uint64_t off, len;
};

struct holes {
    struct hole *h;
    size_t n, cap;
    uint64_t top; /* end of the block so far; everything above it is free */
};

static bool holes_insert(struct holes *s, size_t at, struct hole h)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct hole *p = mem_realloc(s->h, cap * sizeof *p);
        if (!p)
            return false;
        s->h = p;
        s->cap = cap;
    }
    memmove(s->h + at + 1, s->h + at, (s->n - at) * sizeof *s->h);
    s->h[at] = h;
    s->n++;
    return true;
}

static void holes_remove(struct holes *s, size_t at)
{
    memmove(s->h + at, s->h + at + 1, (s->n - at - 1) * sizeof *s->h);
    s->n--;
}

/* Smallest hole that fits, else the top (growing over a last hole that touches it). */
static uint64_t holes_take(struct holes *s, uint64_t len)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->n; i++)
        if (s->h[i].len >= len && (best == SIZE_MAX || s->h[i].len < s->h[best].len))
            best = i;
    if (best != SIZE_MAX) {
        uint64_t off = s->h[best].off;
        s->h[best].off += len;
        s->h[best].len -= len;
        if (s->h[best].len == 0)
            holes_remove(s, best);
        return off;
    }
    uint64_t off = s->top;
    if (s->n && s->h[s->n - 1].off + s->h[s->n - 1].len == s->top) {
        off = s->h[s->n - 1].off;
        s->n--;
    }
    s->top = off + len;
    return off;
}

static bool holes_give(struct holes *s, uint64_t off, uint64_t len)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->h[mid].off < off)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool left = lo > 0 && s->h[lo - 1].off + s->h[lo - 1].len == off;
    bool right = lo < s->n && off + len == s->h[lo].off;
    if (left && right) {
        s->h[lo - 1].len += len + s->h[lo].len;
        holes_remove(s, lo);
    } else if (left) {
        s->h[lo - 1].len += len;
    } else if (right) {
        s->h[lo].off = off;
        s->h[lo].len += len;
    } else {
        return holes_insert(s, lo, (struct hole){off, len});
    }
    return true;
}

/* One walk's state, by slot; bytes and last count for roots (the value that a shared buffer began with). */
struct walk {
    const struct prog *p;
    struct plan *pl;
    struct holes holes;
    uint64_t *bytes;
    uint32_t *last;        /* last step that reads any value in the buffer */
    uint32_t *head, *next; /* per step: chain of the roots that die after it */
};

static uint32_t root_of(struct walk *w, uint32_t slot)
{
    uint32_t *root = w->pl->root;
    while (root[slot] != slot) {
        root[slot] = root[root[slot]];
        slot = root[slot];
    }
    return slot;
}

/* The buffer of value b becomes the one of value a. */
static void join(struct walk *w, uint32_t a, uint32_t b)
{
    uint32_t ra = root_of(w, a), rb = root_of(w, b);
    if (ra == rb)
        return;
    w->pl->root[rb] = ra;
    if (w->last[ra] < w->last[rb])
        w->last[ra] = w->last[rb];
}

static bool planned_output(const struct walk *w, const struct prog_step *s)
{
    return s->nout > 0 && s->out[0] != SLOT_NONE && w->pl->known[s->out[0]];
}

/* Views share the buffer of input 0, which may be a constant's or the caller's too: nothing writes into
 * those. */
static void join_views(struct walk *w)
{
    for (uint32_t i = 0; i < w->p->nsteps; i++) {
        const struct prog_step *s = &w->p->steps[i];
        if (!(s->node->op->flags & OP_VIEW) || !planned_output(w, s))
            continue;
        uint32_t in = s->nin ? s->in[0] : SLOT_NONE;
        if (in != SLOT_NONE && w->pl->known[in] && w->bytes[in] == w->bytes[s->out[0]])
            join(w, in, s->out[0]);
    }
}

/* Results computed over an input that nothing reads afterwards. A hook reads it: it sees inputs as the step
 * did.
 */
static void join_inplace(struct walk *w)
{
    if (w->p->ex->hooks.after)
        return;
    for (uint32_t i = 0; i < w->p->nsteps; i++) {
        const struct prog_step *s = &w->p->steps[i];
        if (!(s->node->op->flags & OP_INPLACE) || !planned_output(w, s) || !s->bound.may_inplace)
            continue;
        for (int k = 0; k < s->nin; k++) {
            uint32_t in = s->in[k];
            if (in == SLOT_NONE || !w->pl->known[in] || !(s->bound.may_inplace >> k & 1))
                continue;
            uint32_t r = root_of(w, in);
            if (w->p->slots[r].kind == SLOT_TEMP && w->last[r] == i && w->bytes[r] == w->bytes[s->out[0]]) {
                join(w, in, s->out[0]);
                break;
            }
        }
    }
}

static uint64_t padded(uint64_t bytes)
{
    return bytes ? (bytes + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
}

static void place(struct walk *w, uint32_t slot)
{
    uint64_t len = padded(w->bytes[slot]);
    w->pl->offset[slot] = holes_take(&w->holes, len);
    w->pl->naive_size += len;
    uint32_t step = w->last[slot];
    if (step < w->p->nsteps) {
        w->next[slot] = w->head[step];
        w->head[step] = slot;
    }
}

static bool release(struct walk *w, uint32_t step)
{
    for (uint32_t r = w->head[step]; r != SLOT_NONE; r = w->next[r])
        if (!holes_give(&w->holes, w->pl->offset[r], padded(w->bytes[r])))
            return false;
    return true;
}

static bool walk_steps(struct walk *w)
{
    for (uint32_t i = 0; i < w->p->nsteps; i++) {
        const struct prog_step *s = &w->p->steps[i];
        for (int o = 0; o < s->nout; o++)
            if (s->out[o] != SLOT_NONE && w->pl->known[s->out[o]] && root_of(w, s->out[o]) == s->out[o])
                place(w, s->out[o]);
        if (!release(w, i))
            return false;
    }
    return true;
}

int plan_memory(struct cx *cx, const struct prog *p, struct plan *pl)
{
    struct walk w = {.p = p, .pl = pl};
    uint32_t n = p->nslots;
    w.bytes = arena_array(&cx->scratch, n, sizeof *w.bytes);
    w.last = arena_array(&cx->scratch, n, sizeof *w.last);
    w.next = arena_array(&cx->scratch, n, sizeof *w.next);
    w.head = arena_array(&cx->scratch, p->nsteps + 1, sizeof *w.head);
    if (!w.bytes || !w.last || !w.next || !w.head)
        return err_nomem(cx);
    memset(w.head, 0xff, (p->nsteps + 1) * sizeof *w.head);
    for (uint32_t i = 0; i < n; i++) {
        pl->root[i] = i;
        pl->offset[i] = UINT64_MAX;
        w.last[i] = p->slots[i].last_use;
        w.bytes[i] = pl->known[i] ? tensor_bytes(&pl->t[i]) : 0;
    }
    join_views(&w);
    join_inplace(&w);
    bool ok = walk_steps(&w);
    pl->block_size = w.holes.top;
    free(w.holes.h);
    return ok ? OK : err_nomem(cx);
}
