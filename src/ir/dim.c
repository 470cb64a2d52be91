/* Text of a dimension. */
#include "ir/dim.h"

#include <inttypes.h>
#include <stdio.h>

struct out {
    char *p;
    size_t n, size;
};

static void put(struct out *o, const char *s)
{
    for (; *s && o->n + 1 < o->size; s++)
        o->p[o->n++] = *s;
    if (o->size)
        o->p[o->n] = 0;
}

static void put_int(struct out *o, int64_t v)
{
    char buf[32];
    snprintf(buf, sizeof(buf), "%" PRId64, v);
    put(o, buf);
}

static void put_dim(struct out *o, struct dim d);

/* Behind a slash: anything but a number or a symbol needs brackets. */
static void put_divisor(struct out *o, struct dim d)
{
    bool plain = d.kind == DIM_CONST ? d.v >= 0 : d.kind == DIM_EXPR && d.e->op != EX_SUM;
    put(o, plain ? "" : "(");
    put_dim(o, d);
    put(o, plain ? "" : ")");
}

static bool is_broadcast(struct dim d)
{
    return d.kind == DIM_EXPR && d.e->op == EX_BCAST;
}

static void put_atom(struct out *o, const struct expr *e)
{
    if (e->op == EX_SYM) {
        put(o, e->name);
    } else if (e->op == EX_FLOOR) {
        bool sum = e->a.kind == DIM_EXPR && e->a.e->op == EX_SUM && e->a.e->nterms > 1;
        put(o, sum ? "floor((" : "floor(");
        put_dim(o, e->a);
        put(o, sum ? ")/" : "/");
        put_divisor(o, e->b);
        put(o, ")");
    } else {
        put(o, e->op == EX_MIN ? "min(" : e->op == EX_MAX ? "max(" : "broadcast(");
        put_dim(o, e->a);
        put(o, ", ");
        /* broadcast(a, b, c) */
        for (; e->op == EX_BCAST && is_broadcast(e->b); e = e->b.e) {
            put_dim(o, e->b.e->a);
            put(o, ", ");
        }
        put_dim(o, e->b);
        put(o, ")");
    }
}

static void put_term(struct out *o, const struct term *t, bool first)
{
    /* The magnitude as unsigned: INT64_MIN has no positive counterpart. */
    uint64_t mag = t->coef < 0 ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
    char buf[32];
    if (!first)
        put(o, t->coef < 0 ? " - " : " + ");
    else if (t->coef < 0)
        put(o, "-");
    if (mag != 1 || t->n == 0) {
        snprintf(buf, sizeof(buf), "%" PRIu64, mag);
        put(o, buf);
        put(o, t->n ? "*" : "");
    }
    for (int i = 0; i < t->n; i++) {
        put(o, i ? "*" : "");
        put_atom(o, t->atom[i]);
    }
}

static void put_dim(struct out *o, struct dim d)
{
    if (o->n + 1 >= o->size)
        return;
    if (d.kind == DIM_UNKNOWN) {
        put(o, "?");
    } else if (d.kind == DIM_CONST) {
        put_int(o, d.v);
    } else if (d.e->op == EX_SUM) {
        for (int i = 0; i < d.e->nterms; i++)
            put_term(o, &d.e->term[i], i == 0);
    } else {
        put_atom(o, d.e);
    }
}

const char *dim_text(struct dim d, char *buf, size_t size)
{
    struct out o = {buf, 0, size};
    put(&o, "");
    put_dim(&o, d);
    return buf;
}
