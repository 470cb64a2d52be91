/* Labels, categories and dictionaries of ai.onnx.ml: LabelEncoder, CategoryMapper, OneHotEncoder, ZipMap,
 * CastMap, DictVectorizer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tensor_pb.h"
#include "ops/ml_util.h"

/* ---- tables from keys to values ---- */

/* A key: text, or a number as bits (floats as doubles; all NaNs are one key, -0 is 0). */
struct ml_key {
    struct ostr s;
    int64_t i;
    size_t index; /* into the values */
};

struct ml_table {
    bool text, real;
    size_t n;
    struct ml_key *keys; /* sorted */
};

static int64_t real_bits(double v)
{
    int64_t b;
    v = v != v ? (double)NAN : v == 0 ? 0 : v;
    memcpy(&b, &v, sizeof(b));
    return b;
}

static int key_cmp(const struct ml_key *x, const struct ml_key *y)
{
    if (x->i != y->i)
        return x->i < y->i ? -1 : 1;
    size_t n = x->s.n < y->s.n ? x->s.n : y->s.n;
    int c = n ? memcmp(x->s.p, y->s.p, n) : 0;
    return c ? c : x->s.n < y->s.n ? -1 : x->s.n > y->s.n;
}

static int key_order(const void *a, const void *b)
{
    const struct ml_key *x = a, *y = b;
    int c = key_cmp(x, y);
    return c ? c : x->index < y->index ? -1 : x->index > y->index;
}

/* The key of element i of a dense array of type dt. */
static struct ml_key make_key(enum dtype dt, const void *data, size_t i)
{
    const struct dtype_info *d = dtype_info(dt);
    const char *p = (const char *)data + i * d->size;
    struct ml_key k = {.index = i};
    if (dt == DT_STRING)
        k.s = *(const struct ostr *)(const void *)p;
    else
        k.i = d->cls == CLS_FLOAT ? real_bits(d->load_f64(p)) : d->load_i64(p);
    return k;
}

static int table_make(struct cx *cx, struct arena *a, enum dtype dt, const void *data, size_t n,
                      struct ml_table *t)
{
    t->text = dt == DT_STRING;
    t->real = dtype_is_float(dt);
    t->n = n;
    t->keys = arena_array(a, n + 1, sizeof(*t->keys));
    if (!t->keys)
        return err_nomem(cx);
    for (size_t i = 0; i < n; i++)
        t->keys[i] = make_key(dt, data, i);
    qsort(t->keys, n, sizeof(*t->keys), key_order);
    return 0;
}

/* Index of the first value with that key, -1. */
static int64_t table_find(const struct ml_table *t, const struct ml_key *k)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (key_cmp(&t->keys[mid], k) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->n && !key_cmp(&t->keys[lo], k) ? (int64_t)t->keys[lo].index : -1;
}

/* Keys of a tensor fit a table when both are text, both real or both integer. */
static bool table_takes(const struct ml_table *t, enum dtype dt)
{
    if (t->text || dt == DT_STRING)
        return t->text && dt == DT_STRING;
    return dtype_info(dt)->load_i64 && t->real == dtype_is_float(dt);
}

/* ---- LabelEncoder, CategoryMapper: one table, values of one type, a default ---- */

struct encoder_params {
    struct ml_table table;
    enum dtype dt;
    const void *values; /* n of them */
    uint64_t dflt[2];
    /* CategoryMapper and LabelEncoder 1 also go back from integers to strings. */
    struct ml_table back;
    const struct ostr *back_values;
    struct ostr back_dflt;
    bool two_way;
};

/* A list attribute in whichever of the typed forms is there; *data stays NULL when none is. */
struct typed_list {
    enum dtype dt;
    const void *data;
    size_t n;
};

static int read_list(struct cx *cx, const struct node *n, struct arena *a, const char *prefix,
                     struct typed_list *out)
{
    char name[48];
    struct tensor_data *td = NULL;
    const struct ostr *s = NULL;
    const int64_t *i = NULL;
    const float *f = NULL;
    snprintf(name, sizeof(name), "%s_tensor", prefix);
    int rc = attr_tensor(cx, n, name, &td);
    if (rc > 0) {
        struct tensor t = {0}, *kept = arena_zalloc(a, sizeof(*kept));
        rc = kept ? tensor_load(cx, n->graph->model, td, &t) : err_nomem(cx);
        if (rc)
            return rc;
        out->dt = t.dt;
        out->n = (size_t)tensor_count(&t);
        out->data = arena_dup(a, t.data, tensor_bytes(&t));
        struct ostr *text = t.dt == DT_STRING ? (struct ostr *)(uintptr_t)out->data : NULL;
        for (size_t k = 0; out->data && text && k < out->n; k++)
            text[k].p = arena_dup(a, text[k].p, text[k].n);
        tensor_drop(&t);
        return out->data ? 0 : err_nomem(cx);
    }
    snprintf(name, sizeof(name), "%s_strings", prefix);
    if (rc >= 0 && (rc = attr_strings(cx, n, name, &s, &out->n)) > 0) {
        out->dt = DT_STRING;
        out->data = s;
    }
    snprintf(name, sizeof(name), "%s_int64s", prefix);
    if (rc == 0 && (rc = attr_ints(cx, n, name, &i, &out->n)) > 0) {
        out->dt = DT_INT64;
        out->data = i;
    }
    snprintf(name, sizeof(name), "%s_floats", prefix);
    if (rc == 0 && (rc = attr_floats(cx, n, name, &f, &out->n)) > 0) {
        out->dt = DT_FLOAT;
        out->data = f;
    }
    return rc < 0 ? rc : 0;
}

/* The default value of type dt: default_tensor, or the attribute of that type. */
static int read_default(struct cx *cx, const struct node *n, struct arena *a, enum dtype dt, uint64_t *out)
{
    struct typed_list t = {0};
    struct ostr text = {"_Unused", 7};
    int64_t i = -1;
    float f = -0.0f;
    int rc = read_list(cx, n, a, "default", &t);
    if (!rc && t.data && t.dt == dt && t.n == 1) {
        memcpy(out, t.data, dtype_size(dt));
        return 0;
    }
    if (!rc)
        rc = attr_str(cx, n, "default_string", &text);
    if (rc >= 0)
        rc = attr_int(cx, n, "default_int64", &i);
    if (rc >= 0)
        rc = attr_float(cx, n, "default_float", &f);
    if (rc < 0)
        return rc;
    if (dt == DT_STRING)
        memcpy(out, &text, sizeof(text));
    else if (dtype_is_float(dt))
        dtype_info(dt)->store_f64(out, (double)f);
    else
        dtype_info(dt)->store_i64(out, i);
    return 0;
}

/* Strings to integers and back: ints NULL counts from 0. */
static int two_way_parse(struct cx *cx, const struct node *n, struct arena *a, const struct ostr *s,
                         const int64_t *ints, size_t count, struct encoder_params *p)
{
    int64_t *numbers = arena_array(a, count + 1, sizeof(*numbers));
    if (!numbers)
        return err_nomem(cx);
    for (size_t i = 0; i < count; i++)
        numbers[i] = ints ? ints[i] : (int64_t)i;
    p->two_way = true;
    p->dt = DT_INT64;
    p->values = numbers;
    p->back_values = s;
    int rc = table_make(cx, a, DT_STRING, s, count, &p->table);
    if (!rc)
        rc = table_make(cx, a, DT_INT64, numbers, count, &p->back);
    if (!rc)
        rc = read_default(cx, n, a, DT_INT64, p->dflt);
    p->back_dflt = (struct ostr){"_Unused", 7};
    int got = rc ? rc : attr_str(cx, n, "default_string", &p->back_dflt);
    return got < 0 ? got : 0;
}

static int label_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct encoder_params *p = params;
    struct typed_list keys = {0}, values = {0};
    const struct ostr *s = NULL;
    size_t count = 0;
    if (version < 2) {
        int rc = attr_strings(cx, n, "classes_strings", &s, &count);
        return rc < 0 ? rc : two_way_parse(cx, n, arena, s, NULL, count, p);
    }
    int rc = read_list(cx, n, arena, "keys", &keys);
    if (!rc)
        rc = read_list(cx, n, arena, "values", &values);
    if (rc)
        return rc;
    if (!keys.data || !values.data || keys.n != values.n)
        return err_set(cx, E_ATTR, "%zu keys and %zu values are given", keys.n, values.n);
    if (keys.dt != DT_STRING && !dtype_info(keys.dt)->load_i64)
        return err_set(cx, E_ATTR, "keys of type %s", dtype_name(keys.dt));
    p->dt = values.dt;
    p->values = values.data;
    rc = table_make(cx, arena, keys.dt, keys.data, keys.n, &p->table);
    return rc ? rc : read_default(cx, n, arena, values.dt, p->dflt);
}

static int category_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    const struct ostr *s = NULL;
    const int64_t *ints = NULL;
    size_t nstrings = 0, nints = 0;
    (void)version;
    int rc = attr_strings(cx, n, "cats_strings", &s, &nstrings);
    if (rc >= 0)
        rc = attr_ints(cx, n, "cats_int64s", &ints, &nints);
    if (rc < 0)
        return rc;
    if (nstrings != nints)
        return err_set(cx, E_ATTR, "%zu strings and %zu integers are given", nstrings, nints);
    return two_way_parse(cx, n, arena, s, ints, nints, params);
}

static int encoder_infer(struct infer_ctx *ic, const void *params)
{
    const struct encoder_params *p = params;
    enum dtype in = ic_dtype(ic, 0), dt = p->dt;
    if (in != DT_UNDEFINED && !p->two_way && !table_takes(&p->table, in))
        return ic_err(ic, E_TYPE, "the keys are not of the input's type %s", dtype_name(in));
    if (in != DT_UNDEFINED && p->two_way)
        dt = in == DT_STRING ? DT_INT64 : DT_STRING;
    return ic_out_like(ic, 0, 0, in == DT_UNDEFINED && p->two_way ? DT_UNDEFINED : dt);
}

static int encoder_ref(struct exec_ctx *ec, const void *params)
{
    const struct encoder_params *p = params;
    const struct tensor *in = ec->in[0];
    struct tensor *out = ec->out[0];
    bool back = p->two_way && in->dt != DT_STRING;
    const struct ml_table *t = back ? &p->back : &p->table;
    const char *values = back ? (const void *)p->back_values : p->values;
    const void *dflt = back ? (const void *)&p->back_dflt : p->dflt;
    size_t size = dtype_size(out->dt);
    if (!table_takes(t, in->dt))
        return ec_unsupported(ec, 0);
    for (int64_t i = 0, n = tensor_count(in); i < n; i++) {
        struct ml_key k = make_key(in->dt, in->data, (size_t)i);
        int64_t at = table_find(t, &k);
        memcpy((char *)out->data + (size_t)i * size, at < 0 ? dflt : values + (size_t)at * size, size);
    }
    return 0;
}

const struct op op_ml_LabelEncoder = {.domain = "ai.onnx.ml",
                                      .name = "LabelEncoder",
                                      .params_size = sizeof(struct encoder_params),
                                      .parse = label_parse,
                                      .infer = encoder_infer,
                                      .ref = encoder_ref};
const struct op op_ml_CategoryMapper = {.domain = "ai.onnx.ml",
                                        .name = "CategoryMapper",
                                        .params_size = sizeof(struct encoder_params),
                                        .parse = category_parse,
                                        .infer = encoder_infer,
                                        .ref = encoder_ref};

/* ---- OneHotEncoder ---- */

struct onehot_params {
    struct ml_table table;
    bool zeros; /* unknown categories give zeros, else they are an error */
};

static int onehot_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct onehot_params *p = params;
    struct typed_list cats = {0};
    int64_t zeros = 1;
    (void)version;
    int rc = attr_int(cx, n, "zeros", &zeros);
    p->zeros = zeros != 0;
    if (rc >= 0)
        rc = read_list(cx, n, arena, "cats", &cats);
    if (rc)
        return rc < 0 ? rc : 0;
    if (!cats.data)
        return err_set(cx, E_ATTR, "neither 'cats_int64s' nor 'cats_strings' is given");
    return table_make(cx, arena, cats.dt, cats.data, cats.n, &p->table);
}

static int onehot_infer(struct infer_ctx *ic, const void *params)
{
    const struct onehot_params *p = params;
    struct dim dims[TENSOR_MAX_RANK + 1];
    int rank = in_dims(ic, 0, dims);
    if (rank < -1)
        return rank;
    if (rank == TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the output would have too many axes");
    if (rank >= 0)
        dims[rank] = dim_const((int64_t)p->table.n);
    return ic_out(ic, 0, DT_FLOAT, rank < 0 ? -1 : rank + 1, dims);
}

static int onehot_ref(struct exec_ctx *ec, const void *params)
{
    const struct onehot_params *p = params;
    const struct tensor *in = ec->in[0];
    float *out = ec->out[0]->data;
    enum dtype dt = in->dt;
    const void *data = in->data;
    if (!p->table.text && dtype_is_float(dt)) { /* numbers are compared as integers */
        dt = DT_INT64;
        data = ec_as(ec, 0, DT_INT64);
        if (!data)
            return ec->cx->err.code;
    }
    if (!table_takes(&p->table, dt))
        return ec_unsupported(ec, 0);
    int64_t n = tensor_count(in);
    memset(out, 0, tensor_bytes(ec->out[0]));
    for (int64_t i = 0; i < n; i++) {
        struct ml_key k = make_key(dt, data, (size_t)i);
        int64_t at = table_find(&p->table, &k);
        if (at >= 0)
            out[i * (int64_t)p->table.n + at] = 1;
        else if (!p->zeros)
            return err_set(ec->cx, E_VALUE, "element %lld is no known category", (long long)i);
    }
    return 0;
}

const struct op op_ml_OneHotEncoder = {.domain = "ai.onnx.ml",
                                       .name = "OneHotEncoder",
                                       .params_size = sizeof(struct onehot_params),
                                       .parse = onehot_parse,
                                       .infer = onehot_infer,
                                       .ref = onehot_ref};

/* ---- ZipMap ---- */

static int zip_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct ml_labels *p = params;
    (void)arena, (void)version;
    int rc = ml_labels(cx, n, "classlabels_strings", "classlabels_int64s", p);
    if (!rc && !p->n)
        return err_set(cx, E_ATTR, "no class labels are given");
    return rc;
}

static int zip_infer(struct infer_ctx *ic, const void *params)
{
    const struct ml_labels *p = params;
    struct type *value = arena_zalloc(ic->arena, sizeof(*value)),
                *map = arena_zalloc(ic->arena, sizeof(*map));
    struct type *seq = arena_zalloc(ic->arena, sizeof(*seq));
    if (!value || !map || !seq)
        return err_nomem(ic->cx);
    *value = (struct type){.kind = TY_TENSOR, .dt = DT_FLOAT};
    *map = (struct type){.kind = TY_MAP, .dt = p->dt, .elem = value};
    *seq = (struct type){.kind = TY_SEQ, .dt = DT_UNDEFINED, .elem = map};
    return ic_out_type(ic, 0, seq);
}

/* A map from the labels to the n values at v. */
static int zip_row(struct cx *cx, const struct ml_labels *l, const float *v, struct tensor *out)
{
    const int64_t n = (int64_t)l->n;
    struct tensor item = {0};
    struct rt_seq *s = NULL;
    int rc = rt_seq_new(cx, &s);
    if (rc)
        return rc;
    *out = (struct tensor){.kind = RT_MAP, .dt = DT_FLOAT, .seq = s};
    struct tensor labels = {.dt = l->dt, .rank = 1, .dims = {n}};
    labels.data = (void *)(l->dt == DT_STRING ? (uintptr_t)l->s : (uintptr_t)l->i);
    rc = tensor_copy(cx, &s->keys, &labels);
    for (int64_t i = 0; !rc && i < n; i++) {
        rc = tensor_new(cx, &item, DT_FLOAT, 0, NULL);
        if (!rc) {
            *(float *)item.data = v[i];
            rc = rt_seq_push(cx, s, &item);
        }
        if (rc)
            tensor_drop(&item);
    }
    return rc;
}

static int zip_ref(struct exec_ctx *ec, const void *params)
{
    const struct ml_labels *p = params;
    const struct tensor *in = ec->in[0];
    struct rt_seq *s = NULL;
    int64_t cols = in->rank ? in->dims[in->rank - 1] : 0, rows = in->rank == 2 ? in->dims[0] : 1;
    if (in->dt != DT_FLOAT)
        return ec_unsupported(ec, 0);
    if (cols != (int64_t)p->n || in->rank > 2)
        return err_set(ec->cx, E_SHAPE, "rows of %lld values, %zu labels", (long long)cols, p->n);
    int rc = rt_seq_new(ec->cx, &s);
    for (int64_t r = 0; !rc && r < rows; r++) {
        struct tensor map = {0};
        rc = zip_row(ec->cx, p, (const float *)in->data + r * cols, &map);
        if (!rc)
            rc = rt_seq_push(ec->cx, s, &map);
        if (rc)
            tensor_drop(&map);
    }
    if (!rc) {
        struct tensor t = {.kind = RT_SEQ, .dt = DT_FLOAT, .seq = s};
        return ec_set_out(ec, 0, &t);
    }
    if (s)
        rt_seq_unref(s);
    return rc;
}

const struct op op_ml_ZipMap = {.domain = "ai.onnx.ml",
                                .name = "ZipMap",
                                .flags = OP_DYNAMIC,
                                .params_size = sizeof(struct ml_labels),
                                .parse = zip_parse,
                                .infer = zip_infer,
                                .ref = zip_ref};

/* ---- DictVectorizer ---- */

struct dict_params {
    struct ml_table table;
};

static int dict_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct dict_params *p = params;
    struct ml_labels l = {0};
    (void)version;
    int rc = ml_labels(cx, n, "string_vocabulary", "int64_vocabulary", &l);
    return rc ? rc : table_make(cx, arena, l.dt, l.dt == DT_STRING ? (const void *)l.s : l.i, l.n, &p->table);
}

static int dict_infer(struct infer_ctx *ic, const void *params)
{
    const struct dict_params *p = params;
    const struct type *t = ic_type(ic, 0);
    struct dim dims[2] = {dim_const(1), dim_const((int64_t)p->table.n)};
    return t && t->kind == TY_MAP && t->elem ? ic_out(ic, 0, t->elem->dt, 2, dims) : 0;
}

static int dict_ref(struct exec_ctx *ec, const void *params)
{
    const struct dict_params *p = params;
    const struct tensor *in = ec->in[0];
    if (in->kind != RT_MAP || !table_takes(&p->table, in->seq->keys.dt))
        return ec_unsupported(ec, 0);
    const struct rt_seq *s = in->seq;
    int rc = ec_resize(ec, 0, in->dt, 2, (const int64_t[]){1, (int64_t)p->table.n});
    if (rc || !ec_wants(ec, 0))
        return rc;
    size_t size = dtype_size(in->dt);
    memset(ec->out[0]->data, 0, p->table.n * size);
    for (size_t i = 0; i < s->n; i++) {
        struct ml_key k = make_key(s->keys.dt, s->keys.data, i);
        int64_t at = table_find(&p->table, &k);
        if (at >= 0 && s->items[i].dt == in->dt && tensor_count(&s->items[i]) == 1)
            memcpy((char *)ec->out[0]->data + (size_t)at * size, s->items[i].data, size);
    }
    return 0;
}

const struct op op_ml_DictVectorizer = {.domain = "ai.onnx.ml",
                                        .name = "DictVectorizer",
                                        .flags = OP_DYNAMIC,
                                        .params_size = sizeof(struct dict_params),
                                        .parse = dict_parse,
                                        .infer = dict_infer,
                                        .ref = dict_ref};

/* ---- CastMap ---- */

struct castmap_params {
    enum dtype to;
    bool sparse;
    int64_t max_map;
};

static int castmap_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    static const char *const types[] = {"TO_FLOAT", "TO_STRING", "TO_INT64", NULL};
    static const enum dtype dts[] = {DT_FLOAT, DT_STRING, DT_INT64};
    static const char *const forms[] = {"DENSE", "SPARSE", NULL};
    struct castmap_params *p = params;
    int type = 0, form = 0;
    (void)arena, (void)version;
    p->max_map = 1;
    int rc = attr_choice(cx, n, "cast_to", types, &type);
    if (rc >= 0)
        rc = attr_choice(cx, n, "map_form", forms, &form);
    if (rc >= 0)
        rc = attr_int(cx, n, "max_map", &p->max_map);
    p->to = dts[type];
    p->sparse = form == 1;
    if (rc >= 0 && p->sparse && (p->max_map < 0 || p->max_map > 1 << 30))
        return err_set(cx, E_ATTR, "attribute 'max_map' is %lld", (long long)p->max_map);
    return rc < 0 ? rc : 0;
}

static int castmap_infer(struct infer_ctx *ic, const void *params)
{
    const struct castmap_params *p = params;
    struct dim dims[2] = {dim_const(1), p->sparse ? dim_const(p->max_map) : dim_fresh(ic->syms)};
    return ic_out(ic, 0, p->to, 2, dims);
}

/* One value of a map (float or string) as type `to`. */
static int cast_item(struct exec_ctx *ec, const struct tensor *from, enum dtype to, void *out)
{
    char buf[64];
    if (from->dt == DT_STRING && to == DT_STRING) {
        memcpy(out, from->data, sizeof(struct ostr));
        return 0;
    }
    if (to == DT_STRING) {
        int n = snprintf(buf, sizeof(buf), "%.8g", tensor_f64(from, 0));
        struct ostr s = {arena_dup(ec_strings(ec), buf, (size_t)n), (size_t)n};
        memcpy(out, &s, sizeof(s));
        return s.p ? 0 : err_nomem(ec->cx);
    }
    double v = from->dt == DT_STRING ? 0 : tensor_f64(from, 0);
    if (from->dt == DT_STRING) {
        const struct ostr *s = from->data;
        size_t n = s->n < sizeof(buf) - 1 ? s->n : sizeof(buf) - 1;
        char *end;
        memcpy(buf, n ? s->p : "", n);
        buf[n] = 0;
        v = strtod(buf, &end);
        if (!n || *end)
            return err_set(ec->cx, E_VALUE, "'%s' is no number", buf);
    }
    dtype_info(to)->store_f64(out, v);
    return 0;
}

static int castmap_ref(struct exec_ctx *ec, const void *params)
{
    const struct castmap_params *p = params;
    const struct tensor *in = ec->in[0];
    static const struct ostr empty = {"", 0};
    if (in->kind != RT_MAP || in->seq->keys.dt != DT_INT64)
        return ec_unsupported(ec, 0);
    const struct rt_seq *s = in->seq;
    int64_t n = p->sparse ? p->max_map : (int64_t)s->n;
    int rc = ec_resize(ec, 0, p->to, 2, (const int64_t[]){1, n});
    if (rc || !ec_wants(ec, 0))
        return rc;
    char *out = ec->out[0]->data;
    size_t size = dtype_size(p->to);
    for (int64_t i = 0; p->to == DT_STRING && i < n; i++)
        memcpy(out + (size_t)i * size, &empty, size);
    for (size_t i = 0; !rc && i < s->n; i++) {
        int64_t at = p->sparse ? ((const int64_t *)s->keys.data)[i] : (int64_t)i;
        if (tensor_count(&s->items[i]) != 1)
            rc = err_set(ec->cx, E_SHAPE, "value %zu of the map is no scalar", i);
        else if (at >= 0 && at < n)
            rc = cast_item(ec, &s->items[i], p->to, out + (size_t)at * size);
    }
    return rc;
}

const struct op op_ml_CastMap = {.domain = "ai.onnx.ml",
                                 .name = "CastMap",
                                 .flags = OP_DYNAMIC,
                                 .params_size = sizeof(struct castmap_params),
                                 .parse = castmap_parse,
                                 .infer = castmap_infer,
                                 .ref = castmap_ref};
