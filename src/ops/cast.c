/* Changing the element type: Cast, CastLike, BitCast. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kern/cast.h"
#include "ops/op_util.h"

struct cast_params {
    enum dtype to; /* DT_UNDEFINED: that of input 1 (CastLike) */
    struct cast_opt opt;
};

/* Before version 6 the type is spelled out ("FLOAT"). */
static int cast_target_text(struct cx *cx, const struct node *n, enum dtype *to)
{
    struct ostr s;
    char name[32];
    int rc = attr_str(cx, n, "to", &s);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(cx, E_ATTR, "attribute 'to' is missing");
    size_t len = s.n < sizeof(name) - 1 ? s.n : sizeof(name) - 1;
    for (size_t i = 0; i < len; i++)
        name[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
    name[len] = 0;
    *to = dtype_parse(name);
    return *to != DT_UNDEFINED ? 0 : err_set(cx, E_ATTR, "attribute 'to' names no type: '%s'", name);
}

static int cast_target(struct cx *cx, const struct node *n, enum dtype *to)
{
    int64_t v = 0;
    int rc = attr_int(cx, n, "to", &v);
    if (rc < 0)
        return rc;
    if (!rc || v < 1 || v >= DT_COUNT)
        return err_set(cx, E_ATTR,
                       rc ? "attribute 'to' is %lld, no element type" : "attribute 'to' is missing",
                       (long long)v);
    *to = (enum dtype)v;
    return 0;
}

static int cast_options(struct cx *cx, const struct node *n, struct cast_opt *opt)
{
    static const char *const modes[] = {"up", "down", "nearest", NULL};
    int64_t saturate = 1;
    int rc = attr_int(cx, n, "saturate", &saturate);
    if (rc >= 0)
        rc = attr_choice(cx, n, "round_mode", modes, &opt->round_mode);
    opt->no_saturate = !saturate;
    return rc < 0 ? rc : 0;
}

static int cast_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct cast_params *p = params;
    (void)arena;
    int rc = version < 6 ? cast_target_text(cx, n, &p->to) : cast_target(cx, n, &p->to);
    return rc ? rc : cast_options(cx, n, &p->opt);
}

static int cast_like_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                           void *params)
{
    struct cast_params *p = params;
    (void)arena, (void)version;
    return cast_options(cx, n, &p->opt);
}

static int cast_infer(struct infer_ctx *ic, const void *params)
{
    const struct cast_params *p = params;
    int rc = need_inputs(ic, p->to == DT_UNDEFINED ? 2 : 1);
    enum dtype to = p->to == DT_UNDEFINED ? ic_dtype(ic, 1) : p->to;
    if (!rc)
        rc = ic_out_like(ic, 0, 0, to);
    const struct shape_val *v = ic_val(ic, 0);
    /* Dims fit every type but the small ones; those would wrap. */
    if (rc || !v || (to != DT_INT64 && to != DT_INT32 && to != DT_UINT64 && to != DT_BOOL))
        return rc;
    if (to != DT_BOOL)
        return ic_out_val(ic, 0, v->rank, v->n, v->d);
    struct dim *d = arena_array(ic->arena, (size_t)v->n + 1, sizeof(*d));
    if (!d)
        return err_nomem(ic->cx);
    for (int64_t i = 0; i < v->n; i++)
        if (v->d[i].kind == DIM_CONST)
            d[i] = dim_const(v->d[i].v != 0);
        else if (v->d[i].kind == DIM_EXPR && dim_cmp_ge(ic->syms, v->d[i], dim_const(1)) > 0)
            d[i] = dim_const(1);
    return ic_out_val(ic, 0, v->rank, v->n, d);
}

/* ---- text ---- */

/* The shortest decimal that reads back as the same value of its type. */
static int format_real(char *buf, size_t size, const struct dtype_info *d, double v)
{
    uint64_t a[2] = {0}, b[2] = {0};
    if (isnan(v))
        return snprintf(buf, size, "NaN");
    if (isinf(v))
        return snprintf(buf, size, v < 0 ? "-INF" : "INF");
    int n = 0;
    d->store_f64(a, v);
    for (int digits = 1; digits <= 17; digits++) {
        n = snprintf(buf, size, "%.*g", digits, v);
        d->store_f64(b, strtod(buf, NULL));
        if (!memcmp(a, b, d->size))
            break;
    }
    return n;
}

static int to_text(struct exec_ctx *ec, const struct tensor *in, struct ostr *out)
{
    const struct dtype_info *d = dtype_info(in->dt);
    struct arena *arena = ec_strings(ec);
    char buf[64];
    if (!d->load_f64 || d->cls == CLS_COMPLEX)
        return ec_unsupported(ec, 0);
    for (int64_t i = 0, n = tensor_count(in); i < n; i++) {
        const char *p = (const char *)in->data + (size_t)i * d->size;
        int len;
        if (d->cls == CLS_FLOAT)
            len = format_real(buf, sizeof(buf), d, d->load_f64(p));
        else if (d->cls == CLS_BOOL)
            len = snprintf(buf, sizeof(buf), d->load_i64(p) ? "True" : "False");
        else if (d->cls == CLS_UINT)
            len = snprintf(buf, sizeof(buf), "%llu", (unsigned long long)d->load_i64(p));
        else
            len = snprintf(buf, sizeof(buf), "%lld", (long long)d->load_i64(p));
        out[i].n = (size_t)len;
        out[i].p = arena_dup(arena, buf, (size_t)len);
        if (!out[i].p)
            return err_nomem(ec->cx);
    }
    return 0;
}

/* One number as Cast reads it: decimal, with exponent, or a name of infinity or NaN. */
static bool parse_text(const struct ostr *s, const struct dtype_info *to, void *out)
{
    char buf[128], *end;
    if (!s->n || s->n >= sizeof(buf))
        return false;
    memcpy(buf, s->p, s->n);
    buf[s->n] = 0;
    if (strlen(buf) != s->n || strpbrk(buf, "xXpP"))
        return false;
    if (to->cls == CLS_BOOL && (!strcmp(buf, "True") || !strcmp(buf, "true"))) {
        to->store_i64(out, 1);
        return true;
    }
    if (to->cls == CLS_BOOL && (!strcmp(buf, "False") || !strcmp(buf, "false"))) {
        to->store_i64(out, 0);
        return true;
    }
    if (to->cls != CLS_FLOAT) {
        long long v = to->cls == CLS_UINT ? (long long)strtoull(buf, &end, 10) : strtoll(buf, &end, 10);
        if (!*end) {
            to->store_i64(out, v);
            return true;
        }
    }
    double v = strtod(buf, &end);
    if (*end)
        return false;
    to->store_f64(out, v);
    return true;
}

static int from_text(struct exec_ctx *ec, const struct tensor *in, struct tensor *out)
{
    const struct dtype_info *d = dtype_info(out->dt);
    const struct ostr *s = in->data;
    if (!d->store_f64 || d->cls == CLS_COMPLEX)
        return ec_unsupported(ec, 0);
    for (int64_t i = 0, n = tensor_count(in); i < n; i++)
        if (!parse_text(&s[i], d, (char *)out->data + (size_t)i * d->size))
            return err_set(ec->cx, E_VALUE, "element %lld, '%.*s', is no number", (long long)i,
                           (int)(s[i].n < 40 ? s[i].n : 40), s[i].n ? s[i].p : "");
    return 0;
}

/* ---- running ---- */

struct cast_job {
    const struct kern *kern;
    enum dtype from, to;
    const char *in;
    char *out;
    const struct cast_opt *opt;
};

static void cast_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct cast_job *j = arg;
    (void)thread;
    cast_run(j->kern, j->from, j->to, j->in + (size_t)begin * dtype_size(j->from),
             j->out + (size_t)begin * dtype_size(j->to), (size_t)(end - begin), j->opt);
}

static int cast_ref(struct exec_ctx *ec, const void *params)
{
    const struct cast_params *p = params;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    if (in->dt == out->dt) {
        ec_memcpy(ec, out->data, in->data, tensor_bytes(in));
        return 0;
    }
    if (out->dt == DT_STRING)
        return to_text(ec, in, out->data);
    if (in->dt == DT_STRING)
        return from_text(ec, in, out);
    if (!cast_supported(in->dt, out->dt))
        return ec_unsupported(ec, 0);
    struct cast_job j = {ec->kern, in->dt, out->dt, in->data, out->data, &p->opt};
    ec_par(ec, tensor_count(in), PAR_GRAIN, cast_range, &j);
    return 0;
}

const struct op op_Cast = {.domain = "",
                           .name = "Cast",
                           .flags = OP_ELEMENTWISE,
                           .params_size = sizeof(struct cast_params),
                           .parse = cast_parse,
                           .infer = cast_infer,
                           .ref = cast_ref};
const struct op op_CastLike = {.domain = "",
                               .name = "CastLike",
                               .params_size = sizeof(struct cast_params),
                               .parse = cast_like_parse,
                               .infer = cast_infer,
                               .ref = cast_ref};

/* ---- BitCast ---- */

static int bitcast_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct cast_params *p = params;
    (void)arena, (void)version;
    return cast_target(cx, n, &p->to);
}

static int bitcast_infer(struct infer_ctx *ic, const void *params)
{
    const struct cast_params *p = params;
    int rc = need_inputs(ic, 1);
    enum dtype from = ic_dtype(ic, 0);
    if (!rc && from != DT_UNDEFINED &&
        (dtype_info(from)->bits != dtype_info(p->to)->bits || from == DT_STRING))
        rc = ic_err(ic, E_TYPE, "%s and %s differ in width", dtype_name(from), dtype_name(p->to));
    return rc ? rc : ic_out_like(ic, 0, 0, p->to);
}

static int bitcast_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    const struct dtype_info *d = dtype_info(out->dt);
    (void)params;
    ec_memcpy(ec, out->data, in->data, tensor_bytes(in));
    /* Below 8 bits the upper ones in memory follow the type's sign. */
    if (d->bits < 8)
        for (int64_t i = 0, n = tensor_count(in); i < n; i++) {
            uint8_t *p = (uint8_t *)out->data + i, mask = (uint8_t)((1u << d->bits) - 1), v = *p & mask;
            bool negative = d->cls == CLS_INT && v >> (d->bits - 1);
            *p = negative ? (uint8_t)(v | (uint8_t)~mask) : v;
        }
    return 0;
}

const struct op op_BitCast = {.domain = "",
                              .name = "BitCast",
                              .flags = OP_ELEMENTWISE,
                              .params_size = sizeof(struct cast_params),
                              .parse = bitcast_parse,
                              .infer = bitcast_infer,
                              .ref = bitcast_ref};
