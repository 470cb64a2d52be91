/* Broken files on purpose: cut at every point, with wrong lengths, nested absurdly deep, in circles, and
 * mutated at random from a seed. Every input must come to a clean end: loaded, or refused with one clear
 * line.
 *
 *     mutate [--count N] [--seed S] [FILE...]
 *
 * Without files: what is in testdata/, from the folder above tests/. Prints TAP; a failing input is written
 * to mutate-failed.bin. */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "targets.h"

typedef const char *target_fn(const uint8_t *p, size_t n);

struct bytes {
    uint8_t *p;
    size_t n, cap;
};

struct sample {
    char name[256];
    struct bytes data;
    target_fn *target;
};

enum { MAX_SAMPLES = 1000, TENSOR_MANY = 100, SMALL = 6000, RSS_LIMIT_KB = 2 << 20 };
static const double slow_seconds = 20;

static struct sample samples[MAX_SAMPLES];
static size_t nsamples;
static int tests, failures;

/* ---- bytes ---- */

static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "mutate: out of memory\n");
        exit(1);
    }
    return p;
}

static void put(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 64;
        b->p = must(realloc(b->p, b->cap));
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_varint(struct bytes *b, uint64_t v)
{
    uint8_t c[10];
    size_t n = 0;

    do {
        c[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    put(b, c, n);
}

static void put_field(struct bytes *b, unsigned id, const void *p, size_t n)
{
    put_varint(b, id << 3 | 2);
    put_varint(b, n);
    put(b, p, n);
}

static void put_text(struct bytes *b, unsigned id, const char *s)
{
    put_field(b, id, s, strlen(s));
}

static size_t varint_size(uint64_t v)
{
    size_t n = 1;

    while (v >>= 7)
        n++;
    return n;
}

/* ---- running ---- */

/* An exact copy on the heap, so that reading one byte too far is seen. */
static const char *run(target_fn *target, const uint8_t *p, size_t n)
{
    uint8_t *copy = must(malloc(n ? n : 1));
    double start = time_now();
    const char *bad;

    if (n)
        memcpy(copy, p, n);
    bad = target(copy, n);
    free(copy);
    if (!bad && time_now() - start > slow_seconds)
        bad = "took too long";
    return bad;
}

static void keep_input(const uint8_t *p, size_t n)
{
    FILE *f = fopen("mutate-failed.bin", "wb");

    if (!f)
        return;
    fwrite(p, 1, n, f);
    fclose(f);
}

static void report(const char *name, const char *bad)
{
    printf("%sok %d - %s%s%s\n", bad ? "not " : "", ++tests, name, bad ? ": " : "", bad ? bad : "");
    fflush(stdout);
    failures += bad != NULL;
}

/* Runs one input; true when all is well. */
static bool passes(target_fn *target, const struct bytes *b, const char **bad)
{
    *bad = run(target, b->p, b->n);
    if (*bad)
        keep_input(b->p, b->n);
    return !*bad;
}

/* ---- samples ---- */

static target_fn *target_for(const char *name)
{
    static const struct {
        const char *suffix;
        target_fn *target;
    } kinds[] = {{".onnx", target_model}, {".npy", target_npy}, {".npz", target_npz}, {".pb", target_value}};
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t k = strlen(kinds[i].suffix);

        if (n > k && !strcmp(name + n - k, kinds[i].suffix))
            return kinds[i].target;
    }
    return NULL;
}

static void add_file(const char *path)
{
    struct sample *s = &samples[nsamples];
    uint8_t buf[4096];
    size_t n;
    FILE *f;

    if (nsamples == MAX_SAMPLES || !target_for(path))
        return;
    f = fopen(path, "rb");
    if (!f)
        return;
    memset(s, 0, sizeof(*s));
    snprintf(s->name, sizeof(s->name), "%s", path);
    s->target = target_for(path);
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
        put(&s->data, buf, n);
    fclose(f);
    nsamples++;
}

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* All files of a folder and the folders in it, in the order of their names. */
static void add_folder(const char *path, int depth)
{
    struct dirent **names;
    int n = depth < 4 ? scandir(path, &names, not_hidden, alphasort) : 0;

    for (int i = 0; i < n; i++) {
        char sub[1024];
        struct stat st;

        snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
        free(names[i]);
        if (stat(sub, &st))
            continue;
        if (S_ISDIR(st.st_mode))
            add_folder(sub, depth + 1);
        else if (st.st_size < 100000)
            add_file(sub);
    }
    if (n > 0)
        free(names);
}

/* ---- cut off ---- */

static void test_truncation(void)
{
    const char *bad = NULL;

    for (size_t i = 0; i < nsamples && !bad; i++) {
        const struct sample *s = &samples[i];

        if (s->data.n > SMALL)
            continue;
        for (size_t n = 0; n < s->data.n && !bad; n++) {
            struct bytes cut = {s->data.p, n, 0};

            passes(s->target, &cut, &bad);
        }
        if (bad)
            fprintf(stderr, "mutate: %s\n", s->name);
    }
    report("cut at every point", bad);
}

/* ---- lengths ---- */

/* The varint at p[at]; its size, or 0 when there is none before end. */
static size_t get_varint(const uint8_t *p, size_t at, size_t end, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < 10 && at + i < end; i++) {
        *v |= (uint64_t)(p[at + i] & 0x7f) << (7 * i);
        if (p[at + i] < 0x80)
            return i + 1;
    }
    return 0;
}

struct place {
    size_t at, n; /* of the bytes of the length */
    uint64_t len;
};

struct places {
    struct place *p;
    size_t n, cap;
};

static void add_place(struct places *pl, struct place at)
{
    if (pl->n == pl->cap) {
        pl->cap = pl->cap ? 2 * pl->cap : 64;
        pl->p = must(realloc(pl->p, pl->cap * sizeof(*pl->p)));
    }
    pl->p[pl->n++] = at;
}

/* Lists the lengths in [at, end) if that can be read as a message, also inside of what can be read as one. */
static bool find_lengths(const uint8_t *p, size_t at, size_t end, int depth, struct places *out)
{
    size_t mark = out->n;

    while (at < end) {
        uint64_t tag, v;
        size_t k = get_varint(p, at, end, &tag);

        if (!k || tag >> 3 == 0 || tag >> 3 > 100)
            goto no;
        at += k;
        if ((tag & 7) == 1 || (tag & 7) == 5) {
            at += (tag & 7) == 1 ? 8 : 4;
            if (at > end)
                goto no;
            continue;
        }
        k = get_varint(p, at, end, &v);
        if (!k || ((tag & 7) != 0 && (tag & 7) != 2))
            goto no;
        if ((tag & 7) == 2) {
            if (v > end - at - k)
                goto no;
            add_place(out, (struct place){at, k, v});
            if (depth < 40)
                find_lengths(p, at + k, at + k + (size_t)v, depth + 1, out);
            at += (size_t)v;
        }
        at += k;
    }
    return true;
no:
    out->n = mark;
    return false;
}

static const char *with_length(const struct sample *s, const struct place *at, uint64_t len)
{
    struct bytes b = {0};
    const char *bad;

    put(&b, s->data.p, at->at);
    put_varint(&b, len);
    put(&b, s->data.p + at->at + at->n, s->data.n - at->at - at->n);
    passes(s->target, &b, &bad);
    free(b.p);
    return bad;
}

static void test_lengths(void)
{
    const char *bad = NULL;

    for (size_t i = 0; i < nsamples && !bad; i++) {
        const struct sample *s = &samples[i];
        struct places pl = {0};

        if (s->data.n > SMALL || (s->target != target_model && s->target != target_value))
            continue;
        find_lengths(s->data.p, 0, s->data.n, 0, &pl);
        for (size_t k = 0; k < pl.n && !bad; k++) {
            const uint64_t len[] = {0x7fffffff, 1ull << 31,      0xffffffff,      1ull << 63,
                                    UINT64_MAX, pl.p[k].len + 1, pl.p[k].len - 1, s->data.n};

            for (size_t j = 0; j < sizeof(len) / sizeof(len[0]) && !bad; j++)
                bad = with_length(s, &pl.p[k], len[j]);
        }
        free(pl.p);
    }
    report("wrong lengths", bad);
}

/* ---- nesting ---- */

/* A message that holds itself through the fields of path, levels times; head is put in front of each level.
 */
static struct bytes nested(const unsigned *path, size_t npath, size_t levels)
{
    size_t n = levels * npath, *size = must(calloc(n + 1, sizeof(*size)));
    struct bytes b = {0};

    for (size_t i = 0; i < n; i++)
        size[i + 1] = size[i] + varint_size(path[(n - 1 - i) % npath] << 3 | 2) + varint_size(size[i]);
    for (size_t i = n; i-- > 0;) {
        put_varint(&b, path[(n - 1 - i) % npath] << 3 | 2);
        put_varint(&b, size[i]);
    }
    free(size);
    return b;
}

static struct bytes model_with_graph(const struct bytes *graph)
{
    struct bytes b = {0};

    put(&b, "\x08\x0a", 2);
    put_field(&b, 7, graph->p, graph->n);
    put(&b, "\x42\x02\x10\x15", 4);
    return b;
}

static const char *deep_graphs(size_t levels)
{
    const unsigned path[] = {1, 5, 6}; /* node, attribute, g */
    struct bytes inner = nested(path, 3, levels), b = model_with_graph(&inner);
    const char *bad = NULL;

    if (passes(target_model, &b, &bad) && target_status != E_PARSE)
        bad = "deep nesting was not refused";
    free(inner.p);
    free(b.p);
    return bad;
}

static const char *deep_types(size_t levels)
{
    const unsigned path[] = {4, 1}; /* sequence_type, elem_type */
    struct bytes type = nested(path, 2, levels), info = {0}, graph = {0}, b;
    const char *bad = NULL;

    put_text(&info, 1, "x");
    put_field(&info, 2, type.p, type.n);
    put_field(&graph, 11, info.p, info.n);
    b = model_with_graph(&graph);
    if (passes(target_model, &b, &bad) && target_status != E_PARSE)
        bad = "deep nesting was not refused";
    free(type.p);
    free(info.p);
    free(graph.p);
    free(b.p);
    return bad;
}

static const char *deep_groups(size_t levels)
{
    struct bytes b = {0};
    const char *bad = NULL;

    for (size_t i = 0; i < levels; i++)
        put(&b, "\xfb\x06", 2); /* field 111 begins a group */
    passes(target_model, &b, &bad);
    free(b.p);
    return bad;
}

static const char *deep_values(unsigned field, size_t levels)
{
    struct bytes b = nested(&field, 1, levels);
    const char *bad = NULL;

    passes(target_value, &b, &bad);
    free(b.p);
    return bad;
}

static void test_nesting(void)
{
    const size_t levels = 100000;

    report("graphs nested 100,000 deep", deep_graphs(levels));
    report("types nested 100,000 deep", deep_types(levels));
    report("groups nested 100,000 deep", deep_groups(levels));
    report("sequences nested 100,000 deep", deep_values(5, levels));
    report("optionals nested 100,000 deep", deep_values(7, levels));
}

/* ---- circles and large dims ---- */

static void put_node(struct bytes *graph, const char *op, const char *in, const char *out)
{
    struct bytes node = {0};

    put_text(&node, 1, in);
    put_text(&node, 2, out);
    put_text(&node, 4, op);
    put_field(graph, 1, node.p, node.n);
    free(node.p);
}

static const char *circle(size_t n)
{
    struct bytes graph = {0}, b;
    const char *bad = NULL;

    for (size_t i = 0; i < n; i++) {
        char in[32], out[32];

        snprintf(in, sizeof(in), "v%zu", i);
        snprintf(out, sizeof(out), "v%zu", (i + 1) % n);
        put_node(&graph, "Relu", in, out);
    }
    b = model_with_graph(&graph);
    if (passes(target_model, &b, &bad) && target_status != E_MODEL)
        bad = "a graph that goes in a circle was not refused";
    free(graph.p);
    free(b.p);
    return bad;
}

/* n nodes in a row, each defined after its use: must load, in time that does not grow with the square. */
static const char *backwards(size_t n)
{
    struct bytes graph = {0}, info = {0}, b;
    const char *bad = NULL;

    for (size_t i = n; i-- > 0;) {
        char in[32], out[32];

        snprintf(in, sizeof(in), "v%zu", i);
        snprintf(out, sizeof(out), "v%zu", i + 1);
        put_node(&graph, "Relu", in, out);
    }
    put_text(&info, 1, "v0");
    put_field(&graph, 11, info.p, info.n);
    b = model_with_graph(&graph);
    if (passes(target_model, &b, &bad) && target_status != 0)
        bad = "nodes in reverse order were refused";
    free(graph.p);
    free(info.p);
    free(b.p);
    return bad;
}

/* An initializer of the given dims and raw bytes. */
static const char *odd_dims(const uint64_t *dims, size_t n, int want)
{
    struct bytes t = {0}, graph = {0}, b;
    const char *bad = NULL;

    for (size_t i = 0; i < n; i++) {
        put(&t, "\x08", 1);
        put_varint(&t, dims[i]);
    }
    put(&t, "\x10\x01", 2);
    put_text(&t, 8, "w");
    put_text(&t, 9, "1234");
    put_field(&graph, 5, t.p, t.n);
    b = model_with_graph(&graph);
    if (passes(target_model, &b, &bad) && target_status != want)
        bad = "dimensions were not refused as they should be";
    free(t.p);
    free(graph.p);
    free(b.p);
    return bad;
}

static void test_shapes(void)
{
    const uint64_t overflow[] = {1ull << 32, 1ull << 32}, negative[] = {(uint64_t)-1}, huge[] = {1ull << 60},
                   many[TENSOR_MANY] = {1};
    const char *bad = odd_dims(overflow, 2, E_MODEL);

    report("a node that feeds itself", circle(1));
    report("a circle of 100,000 nodes", circle(100000));
    report("100,000 nodes in reverse order", backwards(100000));
    if (!bad)
        bad = odd_dims(negative, 1, E_MODEL);
    if (!bad)
        bad = odd_dims(huge, 1, E_DATA);
    if (!bad)
        bad = odd_dims(many, TENSOR_MANY, E_UNSUPPORTED);
    report("dimensions that overflow, are negative, or too many", bad);
}

/* ---- random mutations ---- */

/* xorshift64*: the same numbers everywhere. */
static uint64_t rng_state;

static uint64_t rnd(uint64_t below)
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return below ? (rng_state * 0x2545f4914f6cdd1dull >> 11) % below : 0;
}

static void insert(struct bytes *b, size_t at, const uint8_t *p, size_t n)
{
    uint8_t *copy;

    if (!n)
        return;
    copy = must(malloc(n));
    memcpy(copy, p, n);
    put(b, copy, n);
    memmove(b->p + at + n, b->p + at, b->n - n - at);
    memcpy(b->p + at, copy, n);
    free(copy);
}

static void cut(struct bytes *b, size_t at, size_t n)
{
    memmove(b->p + at, b->p + at + n, b->n - at - n);
    b->n -= n;
}

static void mutate_once(struct bytes *b)
{
    static const uint8_t special[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x3a, 0x2a, 0x32};
    const struct sample *other = &samples[rnd(nsamples)];
    size_t at = rnd(b->n), n = rnd(b->n - at < 64 ? b->n - at : 64), from;

    if (!b->n)
        return;
    switch (rnd(7)) {
    case 0:
        b->p[at] ^= (uint8_t)(1u << rnd(8));
        break;
    case 1:
        b->p[at] = special[rnd(sizeof(special))];
        break;
    case 2:
        b->p[at] = (uint8_t)rnd(256);
        break;
    case 3:
        cut(b, at, n);
        break;
    case 4:
        insert(b, at, b->p + at, n);
        break;
    case 5:
        memset(b->p + at, special[rnd(sizeof(special))], n);
        break;
    default:
        from = rnd(other->data.n);
        n = rnd(other->data.n - from < 200 ? other->data.n - from : 200);
        insert(b, at, other->data.p + from, n);
    }
}

static void test_mutations(uint64_t count, uint64_t seed)
{
    char name[100];
    const char *bad = NULL;
    uint64_t loaded = 0;

    for (uint64_t i = 0; i < count && !bad && nsamples; i++) {
        const struct sample *s;
        struct bytes b = {0};

        /* Each input has a seed of its own, so that one can be repeated without those before it. */
        rng_state = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
        rnd(2);
        s = &samples[rnd(nsamples)];
        put(&b, s->data.p, s->data.n);
        for (uint64_t k = 1 + rnd(2) * rnd(4); k > 0; k--)
            mutate_once(&b);
        if (!passes(s->target, &b, &bad))
            fprintf(stderr, "mutate: --seed %llu --count 1, from %s\n", (unsigned long long)(seed + i),
                    s->name);
        loaded += s->target == target_model && target_status == 0;
        free(b.p);
    }
    snprintf(name, sizeof(name), "%llu mutations from seed %llu (%llu models still load)",
             (unsigned long long)count, (unsigned long long)seed, (unsigned long long)loaded);
    report(name, bad);
}

static void test_memory(void)
{
    struct rusage u;
    char name[100];

    getrusage(RUSAGE_SELF, &u);
    snprintf(name, sizeof(name), "memory stays below 2 GB (%ld MB)", u.ru_maxrss >> 10);
    report(name, u.ru_maxrss > RSS_LIMIT_KB ? "more than that was resident" : NULL);
}

int main(int argc, char **argv)
{
    uint64_t count = 20000, seed = 1;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--count") && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else
            add_file(argv[i]);
    }
    if (!nsamples)
        add_folder("testdata", 0);
    report("there are samples", nsamples ? NULL : "no file was found");
    if (count != 1) {
        test_truncation();
        test_lengths();
        test_nesting();
        test_shapes();
    }
    test_mutations(count, seed);
    test_memory();
    printf("1..%d\n", tests);
    for (size_t i = 0; i < nsamples; i++)
        free(samples[i].data.p);
    return failures != 0;
}
