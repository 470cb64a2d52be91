/* Strings: StringConcat, StringSplit, StringNormalizer, RegexFullMatch, TfIdfVectorizer. Elements are UTF-8
 * and borrow their bytes: results that are new text live with the run's strings. */
#include <string.h>

#include "base/hash.h"
#include "base/regex.h"
#include "base/utf8.h"
#include "ops/op_util.h"

static bool same_text(struct ostr a, struct ostr b)
{
    return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

static int need_text(struct exec_ctx *ec, int i)
{
    return ec->in[i]->kind == RT_TENSOR && ec->in[i]->dt == DT_STRING ? 0 : ec_unsupported(ec, i);
}

/* ---- StringConcat ---- */

static int concat_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK];
    int rank = -1;
    (void)params;
    int rc = ic_broadcast(ic, (const int[]){0, 1}, 2, &rank, dims);
    return rc ? rc : ic_out(ic, 0, DT_STRING, rank, dims);
}

/* Flat index into t of the output element at `at`. */
static int64_t source_index(const struct tensor *t, const int64_t *at, int rank)
{
    int64_t i = 0;
    for (int a = 0; a < t->rank; a++)
        i = i * t->dims[a] + (t->dims[a] == 1 ? 0 : at[rank - t->rank + a]);
    return i;
}

static int join(struct exec_ctx *ec, struct ostr a, struct ostr b, struct ostr *out)
{
    char *p = arena_alloc(ec_strings(ec), a.n + b.n);
    if (!p)
        return err_nomem(ec->cx);
    if (a.n)
        memcpy(p, a.p, a.n);
    if (b.n)
        memcpy(p + a.n, b.p, b.n);
    *out = (struct ostr){p, a.n + b.n};
    return 0;
}

static int concat_ref(struct exec_ctx *ec, const void *params)
{
    const struct tensor *a = ec->in[0], *b = ec->in[1];
    struct tensor *out = ec->out[0];
    const struct ostr *pa = a->data, *pb = b->data;
    struct ostr *po = out->data;
    int64_t at[TENSOR_MAX_RANK] = {0}, n = tensor_count(out);
    (void)params;
    int rc = need_text(ec, 0);
    if (!rc)
        rc = need_text(ec, 1);
    for (int64_t i = 0; !rc && i < n; i++) {
        rc = join(ec, pa[source_index(a, at, out->rank)], pb[source_index(b, at, out->rank)], &po[i]);
        for (int k = out->rank - 1; k >= 0 && ++at[k] == out->dims[k]; k--)
            at[k] = 0;
    }
    return rc;
}

const struct op op_StringConcat = {
    .domain = "", .name = "StringConcat", .infer = concat_infer, .ref = concat_ref};

/* ---- StringSplit ---- */

struct split {
    struct ostr delimiter; /* empty: runs of white space */
    int64_t max;           /* splits; negative: no limit */
};

static int split_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct split *p = params;
    (void)arena, (void)version;
    p->max = -1;
    int rc = attr_str(cx, n, "delimiter", &p->delimiter);
    if (rc >= 0)
        rc = attr_int(cx, n, "maxsplit", &p->max);
    return rc < 0 ? rc : 0;
}

static int split_infer(struct infer_ctx *ic, const void *params)
{
    struct dim dims[TENSOR_MAX_RANK];
    int rank = in_dims(ic, 0, dims);
    (void)params;
    if (rank < -1)
        return rank;
    if (rank >= TENSOR_MAX_RANK)
        return ic_err(ic, E_SHAPE, "the output would have more than %d axes", TENSOR_MAX_RANK);
    int rc = ic_has_out(ic, 1) ? ic_out_like(ic, 1, 0, DT_INT64) : 0;
    if (rank >= 0)
        dims[rank] = dim_fresh(ic->syms);
    return rc ? rc : ic_out(ic, 0, DT_STRING, rank < 0 ? -1 : rank + 1, dims);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t skip_space(struct ostr s, size_t at)
{
    while (at < s.n && is_space(s.p[at]))
        at++;
    return at;
}

/* The pieces of s into out (NULL: only counted); returns their number. */
static int64_t split_space(struct ostr s, int64_t max, struct ostr *out)
{
    int64_t n = 0;
    for (size_t at = skip_space(s, 0); at < s.n; at = skip_space(s, at)) {
        size_t end = at;
        while (end < s.n && (n == max || !is_space(s.p[end])))
            end++;
        if (out)
            out[n] = (struct ostr){s.p + at, end - at};
        n++;
        at = end;
    }
    return n;
}

static int64_t split_text(const struct split *p, struct ostr s, struct ostr *out)
{
    int64_t n = 0;
    size_t at = 0;
    if (!p->delimiter.n)
        return split_space(s, p->max, out);
    for (;;) {
        const char *hit =
            n == p->max || !s.n ? NULL : memmem(s.p + at, s.n - at, p->delimiter.p, p->delimiter.n);
        size_t end = hit ? (size_t)(hit - s.p) : s.n;
        if (out)
            out[n] = (struct ostr){s.n ? s.p + at : "", end - at};
        n++;
        if (!hit)
            return n;
        at = end + p->delimiter.n;
    }
}

static int split_ref(struct exec_ctx *ec, const void *params)
{
    const struct split *p = params;
    const struct tensor *in = ec->in[0];
    int64_t dims[TENSOR_MAX_RANK + 1], n = tensor_count(in), widest = 0;
    const struct ostr *s = in->data;
    int rc = need_text(ec, 0);
    for (int64_t i = 0; !rc && i < n; i++) {
        int64_t k = split_text(p, s[i], NULL);
        widest = k > widest ? k : widest;
    }
    memcpy(dims, in->dims, sizeof(in->dims));
    dims[in->rank] = widest;
    if (!rc)
        rc = ec_resize(ec, 0, DT_STRING, in->rank + 1, dims);
    if (!rc)
        rc = ec_resize(ec, 1, DT_INT64, in->rank, in->dims);
    struct ostr *parts = rc ? NULL : ec_scratch(ec, (size_t)(widest + 1) * sizeof(*parts));
    if (!parts)
        return rc ? rc : ec->cx->err.code;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = split_text(p, s[i], parts);
        for (int64_t c = 0; ec_wants(ec, 0) && c < widest; c++)
            ((struct ostr *)ec->out[0]->data)[i * widest + c] = c < k ? parts[c] : (struct ostr){"", 0};
        if (ec_wants(ec, 1))
            ((int64_t *)ec->out[1]->data)[i] = k;
    }
    return 0;
}

const struct op op_StringSplit = {.domain = "",
                                  .name = "StringSplit",
                                  .flags = OP_DYNAMIC,
                                  .params_size = sizeof(struct split),
                                  .parse = split_parse,
                                  .infer = split_infer,
                                  .ref = split_ref};

/* ---- StringNormalizer ---- */

enum case_change { CASE_NONE, CASE_LOWER, CASE_UPPER };

struct normalizer {
    enum case_change change;
    bool exact; /* stop words are told with their case */
    const struct ostr *stop;
    size_t nstop;
};

/* Letter case goes by Unicode's tables, not by the locale attribute: results are the same everywhere. */
static int normalizer_parse(struct cx *cx, struct arena *arena, const struct node *n, int version,
                            void *params)
{
    static const char *const changes[] = {"NONE", "LOWER", "UPPER", NULL};
    struct normalizer *p = params;
    int change = CASE_NONE;
    int64_t exact = 0;
    (void)arena, (void)version;
    int rc = attr_choice(cx, n, "case_change_action", changes, &change);
    if (rc >= 0)
        rc = attr_int(cx, n, "is_case_sensitive", &exact);
    if (rc >= 0)
        rc = attr_strings(cx, n, "stopwords", &p->stop, &p->nstop);
    p->change = (enum case_change)change;
    p->exact = exact != 0;
    return rc < 0 ? rc : 0;
}

static int normalizer_infer(struct infer_ctx *ic, const void *params)
{
    const struct normalizer *p = params;
    int rank = ic_rank(ic, 0), rc = ic_need_rank(ic, 0, 1, 2);
    if (!rc && rank == 2)
        rc = ic_unify(ic, ic_dim(ic, 0, 0), dim_const(1), "rows");
    if (rc || rank < 0)
        return rc ? rc : ic_out(ic, 0, DT_STRING, -1, NULL);
    /* Without stop words only an empty input changes its length, to 1. */
    struct dim n = ic_dim(ic, 0, rank - 1);
    if (p->nstop || n.kind != DIM_CONST || !n.v)
        n = !p->nstop && n.kind == DIM_CONST ? dim_const(1) : dim_fresh(ic->syms);
    return ic_out(ic, 0, DT_STRING, rank, rank == 1 ? &n : (struct dim[]){dim_const(1), n});
}

/* s in another case, in memory of the run; bytes that are no UTF-8 stay. */
static int change_case(struct exec_ctx *ec, enum case_change change, struct ostr s, struct ostr *out)
{
    *out = s;
    if (change == CASE_NONE)
        return 0;
    char *p = arena_alloc(ec_strings(ec), s.n * UTF8_MAX); /* no letter becomes longer than that */
    if (!p)
        return err_nomem(ec->cx);
    *out = (struct ostr){p, 0};
    for (size_t at = 0, len; at < s.n; at += len) {
        int32_t c = utf8_get(s.p + at, s.n - at, &len);
        if (c == UTF8_BAD)
            p[out->n++] = s.p[at];
        else
            out->n += utf8_put(change == CASE_LOWER ? uni_lower(c) : uni_upper(c), p + out->n);
    }
    return 0;
}

/* Whether a and b are the same but for the case of letters. */
static bool same_folded(struct ostr a, struct ostr b)
{
    size_t i = 0, k = 0, la, lb;
    while (i < a.n && k < b.n) {
        int32_t ca = utf8_get(a.p + i, a.n - i, &la), cb = utf8_get(b.p + k, b.n - k, &lb);
        bool same = ca == UTF8_BAD || cb == UTF8_BAD ? a.p[i] == b.p[k] : uni_lower(ca) == uni_lower(cb);
        if (!same)
            return false;
        i += la;
        k += lb;
    }
    return i == a.n && k == b.n;
}

static bool is_stop_word(const struct normalizer *p, struct ostr s)
{
    for (size_t i = 0; i < p->nstop; i++)
        if (p->exact ? same_text(s, p->stop[i]) : same_folded(s, p->stop[i]))
            return true;
    return false;
}

static int normalizer_ref(struct exec_ctx *ec, const void *params)
{
    const struct normalizer *p = params;
    const struct tensor *in = ec->in[0];
    int64_t n = tensor_count(in), kept = 0;
    int rc = need_text(ec, 0);
    struct ostr *list = rc ? NULL : ec_scratch(ec, (size_t)(n + 1) * sizeof(*list));
    if (!list)
        return rc ? rc : ec->cx->err.code;
    for (int64_t i = 0; i < n; i++) {
        struct ostr s = ((const struct ostr *)in->data)[i];
        if (!is_stop_word(p, s))
            list[kept++] = s;
    }
    for (int64_t i = 0; i < kept && !rc; i++)
        rc = change_case(ec, p->change, list[i], &list[i]);
    if (!kept)
        list[kept++] = (struct ostr){"", 0};
    if (!rc)
        rc = ec_resize(ec, 0, DT_STRING, in->rank, in->rank == 1 ? &kept : (const int64_t[]){1, kept});
    if (!rc && ec_wants(ec, 0))
        memcpy(ec->out[0]->data, list, (size_t)kept * sizeof(*list));
    return rc;
}

const struct op op_StringNormalizer = {.domain = "",
                                       .name = "StringNormalizer",
                                       .flags = OP_DYNAMIC,
                                       .params_size = sizeof(struct normalizer),
                                       .parse = normalizer_parse,
                                       .infer = normalizer_infer,
                                       .ref = normalizer_ref};

/* ---- RegexFullMatch ---- */

struct regex_params {
    struct regex *re;
};

static int regex_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct regex_params *p = params;
    struct ostr pattern = {"", 0};
    (void)version;
    int rc = attr_str(cx, n, "pattern", &pattern);
    if (!rc)
        rc = err_set(cx, E_ATTR, "attribute 'pattern' is missing");
    if (rc > 0)
        rc = regex_compile(cx, arena, pattern.n ? pattern.p : "", pattern.n, &p->re);
    return rc < 0 ? rc : 0;
}

static int regex_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    return ic_out_like(ic, 0, 0, DT_BOOL);
}

static int regex_ref(struct exec_ctx *ec, const void *params)
{
    const struct regex_params *p = params;
    const struct ostr *s = ec->in[0]->data;
    uint8_t *out = ec->out[0]->data;
    int64_t n = tensor_count(ec->in[0]);
    int rc = need_text(ec, 0);
    void *work = rc ? NULL : ec_scratch(ec, regex_work(p->re));
    if (!work)
        return rc ? rc : ec->cx->err.code;
    for (int64_t i = 0; i < n; i++)
        out[i] = regex_match(p->re, s[i].n ? s[i].p : "", s[i].n, work);
    return 0;
}

const struct op op_RegexFullMatch = {.domain = "",
                                     .name = "RegexFullMatch",
                                     .params_size = sizeof(struct regex_params),
                                     .parse = regex_parse,
                                     .infer = regex_infer,
                                     .ref = regex_ref};

/* ---- TfIdfVectorizer ---- */

enum tfidf_mode { MODE_TF, MODE_IDF, MODE_TFIDF };

/* A tree of the pool's n-grams: (node, token) leads to a node, and a node may end an n-gram. A token is its
 * bytes, those of an integer included. Open addressing; child 0 is an empty slot. */
struct gram_slot {
    struct ostr token;
    uint32_t parent, child;
};

struct tfidf {
    enum tfidf_mode mode;
    int64_t min_gram, max_gram, max_skip;
    bool text;
    const struct ostr *pool_s;
    const int64_t *pool_i;
    size_t npool, ngrams, ncounts;
    const int64_t *counts, *index;
    const float *weights; /* NULL: all 1 */
    int64_t width;        /* of an output row */
    struct gram_slot *slots;
    size_t mask;
    uint32_t *gram; /* by node: n-gram + 1, 0 none */
    uint32_t nnodes;
};

static struct ostr int_token(const int64_t *v)
{
    return (struct ostr){(const char *)v, sizeof(*v)};
}

/* The slot of (parent, token), or the empty one where it belongs. */
static struct gram_slot *find_gram(const struct tfidf *p, uint32_t parent, struct ostr token)
{
    size_t i = (size_t)hash_bytes(hash_bytes(HASH_INIT, &parent, sizeof(parent)), token.p, token.n);
    for (i ^= i >> 32;; i++) {
        struct gram_slot *s = &p->slots[i & p->mask];
        if (!s->child || (s->parent == parent && same_text(s->token, token)))
            return s;
    }
}

static void add_gram(struct tfidf *p, size_t from, size_t len, size_t gram)
{
    uint32_t node = 0;
    for (size_t i = from; i < from + len; i++) {
        struct ostr token = p->text ? p->pool_s[i] : int_token(&p->pool_i[i]);
        struct gram_slot *s = find_gram(p, node, token);
        if (!s->child)
            *s = (struct gram_slot){token, node, ++p->nnodes};
        node = s->child;
    }
    p->gram[node] = (uint32_t)gram + 1;
}

/* Walks the pool: 1-grams from counts[0], 2-grams from counts[1], ... */
static int build_grams(struct cx *cx, struct tfidf *p)
{
    size_t gram = 0;
    for (size_t k = 0; k < p->ncounts; k++) {
        int64_t from = p->counts[k], to = k + 1 < p->ncounts ? p->counts[k + 1] : (int64_t)p->npool;
        if (from < 0 || to < from || to > (int64_t)p->npool || (to - from) % (int64_t)(k + 1))
            return err_set(cx, E_ATTR, "attribute 'ngram_counts': entry %zu does not fit a pool of %zu", k,
                           p->npool);
        for (int64_t at = from; at < to; at += (int64_t)k + 1, gram++) {
            if (gram >= p->ngrams)
                return err_set(cx, E_ATTR, "attribute 'ngram_indexes' has %zu entries, the pool more",
                               p->ngrams);
            if ((int64_t)k + 1 >= p->min_gram && (int64_t)k + 1 <= p->max_gram)
                add_gram(p, (size_t)at, k + 1, gram);
        }
    }
    return 0;
}

static int make_tree(struct cx *cx, struct arena *arena, struct tfidf *p)
{
    size_t cap = 16;
    while (cap < 2 * (p->npool + 1))
        cap *= 2;
    if (p->npool > UINT32_MAX / 4)
        return err_set(cx, E_LIMIT, "a pool of %zu entries", p->npool);
    p->mask = cap - 1;
    p->slots = arena_array(arena, cap, sizeof(*p->slots));
    p->gram = arena_array(arena, p->npool + 1, sizeof(*p->gram));
    return p->slots && p->gram ? build_grams(cx, p) : err_nomem(cx);
}

static int tfidf_numbers(struct cx *cx, const struct node *n, struct tfidf *p)
{
    static const char *const modes[] = {"TF", "IDF", "TFIDF", NULL};
    int mode = 0, rc = attr_choice(cx, n, "mode", modes, &mode);
    if (rc > 0)
        rc = attr_int(cx, n, "min_gram_length", &p->min_gram);
    if (rc > 0)
        rc = attr_int(cx, n, "max_gram_length", &p->max_gram);
    if (rc > 0)
        rc = attr_int(cx, n, "max_skip_count", &p->max_skip);
    p->mode = (enum tfidf_mode)mode;
    if (rc > 0 && (p->min_gram < 1 || p->max_gram < p->min_gram || p->max_skip < 0))
        return err_set(cx, E_ATTR, "n-grams of length %lld to %lld with %lld skips", (long long)p->min_gram,
                       (long long)p->max_gram, (long long)p->max_skip);
    return rc;
}

static int tfidf_lists(struct cx *cx, const struct node *n, struct tfidf *p)
{
    size_t nints = 0, nstrings = 0, nweights = 0;
    int rc = attr_ints(cx, n, "ngram_counts", &p->counts, &p->ncounts);
    if (rc > 0)
        rc = attr_ints(cx, n, "ngram_indexes", &p->index, &p->ngrams);
    if (rc <= 0)
        return rc;
    rc = attr_ints(cx, n, "pool_int64s", &p->pool_i, &nints);
    if (rc >= 0)
        rc = attr_strings(cx, n, "pool_strings", &p->pool_s, &nstrings);
    if (rc >= 0)
        rc = attr_floats(cx, n, "weights", &p->weights, &nweights);
    if (rc < 0)
        return rc;
    if (nints && nstrings)
        return err_set(cx, E_ATTR, "attributes 'pool_int64s' and 'pool_strings' are both given");
    if (nweights && nweights != p->ngrams)
        return err_set(cx, E_ATTR, "attribute 'weights' has %zu entries, there are %zu n-grams", nweights,
                       p->ngrams);
    p->weights = nweights ? p->weights : NULL;
    p->text = nstrings > 0;
    p->npool = nints + nstrings;
    return 1;
}

static int tfidf_parse(struct cx *cx, struct arena *arena, const struct node *n, int version, void *params)
{
    struct tfidf *p = params;
    (void)version;
    int rc = tfidf_numbers(cx, n, p);
    if (rc > 0)
        rc = tfidf_lists(cx, n, p);
    if (rc <= 0)
        return rc ? rc : err_set(cx, E_ATTR, "a required attribute is missing");
    for (size_t i = 0; i < p->ngrams; i++) {
        if (p->index[i] < 0 || p->index[i] >= INT32_MAX)
            return err_set(cx, E_ATTR, "attribute 'ngram_indexes': entry %zu is %lld", i,
                           (long long)p->index[i]);
        p->width = p->index[i] >= p->width ? p->index[i] + 1 : p->width;
    }
    return make_tree(cx, arena, p);
}

static int tfidf_infer(struct infer_ctx *ic, const void *params)
{
    const struct tfidf *p = params;
    int rank = ic_rank(ic, 0), rc = ic_need_rank(ic, 0, 1, 2);
    if (rc || rank < 0)
        return rc ? rc : ic_out(ic, 0, DT_FLOAT, -1, NULL);
    struct dim dims[2] = {dim_const(p->width), dim_const(p->width)};
    if (rank == 2)
        dims[0] = ic_dim(ic, 0, 0);
    return ic_out(ic, 0, DT_FLOAT, rank == 2 ? 2 : 1, dims);
}

/* Counts the n-grams that start at token `start` and take every skip-th one. */
static void count_from(const struct tfidf *p, const struct ostr *row, int64_t n, int64_t start, int64_t skip,
                       int64_t shortest, uint32_t *count)
{
    uint32_t node = 0;
    int64_t len = 1;
    for (int64_t at = start; at < n && len <= p->max_gram; at += skip, len++) {
        const struct gram_slot *s = find_gram(p, node, row[at]);
        if (!s->child)
            return;
        node = s->child;
        if (len >= shortest && p->gram[node])
            count[p->gram[node] - 1]++;
    }
}

static void count_row(const struct tfidf *p, const struct ostr *row, int64_t n, uint32_t *count)
{
    int64_t shortest = p->min_gram;
    for (int64_t skip = 1; skip - 1 <= p->max_skip && skip <= n && shortest <= p->max_gram; skip++) {
        for (int64_t start = 0; start + skip * (shortest - 1) < n; start++)
            count_from(p, row, n, start, skip, shortest, count);
        if (shortest == 1) /* single tokens know no skips: counted once */
            shortest = 2;
    }
}

/* weights[i] belongs to the i-th n-gram of the pool, as the specification says, not to output column i. */
static void put_row(const struct tfidf *p, const uint32_t *count, float *out)
{
    memset(out, 0, (size_t)p->width * sizeof(*out));
    for (size_t g = 0; g < p->ngrams; g++) {
        float v = p->mode == MODE_IDF ? count[g] > 0 : (float)count[g];
        out[p->index[g]] += p->mode != MODE_TF && p->weights ? v * p->weights[g] : v;
    }
}

/* Row of tokens; integers are stored as 64 bits in ints first. */
static void load_row(const struct tensor *in, int64_t row, int64_t n, int64_t *ints, struct ostr *out)
{
    for (int64_t i = 0; i < n; i++) {
        if (in->dt == DT_STRING) {
            out[i] = ((const struct ostr *)in->data)[row * n + i];
        } else {
            ints[i] = tensor_i64(in, row * n + i);
            out[i] = int_token(&ints[i]);
        }
    }
}

static int tfidf_ref(struct exec_ctx *ec, const void *params)
{
    const struct tfidf *p = params;
    const struct tensor *in = ec->in[0];
    int64_t rows = in->rank == 2 ? in->dims[0] : 1, n = in->rank ? in->dims[in->rank - 1] : 1;
    if (in->dt != DT_STRING && in->dt != DT_INT32 && in->dt != DT_INT64)
        return ec_unsupported(ec, 0);
    if (p->npool && p->text != (in->dt == DT_STRING))
        return err_set(ec->cx, E_TYPE, "the pool holds %s, the input %s", p->text ? "strings" : "integers",
                       dtype_name((int)in->dt));
    struct ostr *row = ec_scratch(ec, (size_t)(n + 1) * sizeof(*row));
    int64_t *ints = ec_scratch(ec, (size_t)(n + 1) * sizeof(*ints));
    uint32_t *count = ec_scratch(ec, (p->ngrams + 1) * sizeof(*count));
    if (!row || !ints || !count)
        return ec->cx->err.code;
    for (int64_t r = 0; r < rows; r++) {
        memset(count, 0, (p->ngrams + 1) * sizeof(*count));
        load_row(in, r, n, ints, row);
        count_row(p, row, n, count);
        put_row(p, count, (float *)ec->out[0]->data + r * p->width);
    }
    return 0;
}

const struct op op_TfIdfVectorizer = {.domain = "",
                                      .name = "TfIdfVectorizer",
                                      .params_size = sizeof(struct tfidf),
                                      .parse = tfidf_parse,
                                      .infer = tfidf_infer,
                                      .ref = tfidf_ref};
