/* Models that are well-formed files and wrong all the same: attributes, dims, types, inputs and bodies
 * changed at random from a seed, then everything that the tool does with a model: load, inspect, print, make
 * inputs, bind and run at -O none and -O all. Each must come to a clean end, soon, and within its memory.
 *
 *     pipeline [--count N] [--seed S] [--all] [MODEL...]
 *
 * Without files: the one-node models of testdata/nodes.zip and the small models of testdata. Inputs run in
 * child processes, a slice each, so that one that crashes is reported with its seed and the rest goes on
 * (--all; else the first failure ends it). Prints TAP; a failing input is written to
 * pipeline-failed-SEED.onnx, and `pipeline --count 1 --seed SEED` repeats it in the same process. */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zip.h>

#include "api.h"
#include "io/tensor_pb.h"
#include "onnxtool.h"
#include "proto_tree.h"

enum { SLICE = 250, MAX_IO = 32, MAX_FAILURES = 500, MEMORY_LIMIT = 256 << 20, RSS_LIMIT_KB = 2 << 20 };
/* The run's own time limit, and the processor time after which one stage counts as hung. */
static const double time_limit = 1, slow_seconds = 4;
static const unsigned hung_seconds = 40;

struct bytes {
    const uint8_t *p;
    size_t n;
};

struct sample {
    char name[160];
    struct bytes model, in[MAX_IO];
};

/* Written by the child, read by the parent after its death. */
struct shared {
    uint64_t seed;
    char stage[32];
    uint64_t loaded, bound, ran, failures, disagree;
};

static struct sample *samples;
static size_t nsamples, cap_samples;
static struct shared *shared;
static int tests, failures;
static int model_fd = -1;
static char model_path[64], folder[64];

static void report(const char *name, const char *bad)
{
    printf("%sok %d - %s%s%s\n", bad ? "not " : "", ++tests, name, bad ? ": " : "", bad ? bad : "");
    fflush(stdout);
    failures += bad != NULL;
}

static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "pipeline: out of memory\n");
        exit(1);
    }
    return p;
}

/* ---- samples ---- */

static struct sample *new_sample(const char *name)
{
    if (nsamples == cap_samples) {
        cap_samples = 2 * cap_samples + 64;
        samples = must(realloc(samples, cap_samples * sizeof(*samples)));
    }
    memset(&samples[nsamples], 0, sizeof(*samples));
    snprintf(samples[nsamples].name, sizeof(samples->name), "%s", name);
    return &samples[nsamples++];
}

static void add_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *p;

    if (!f)
        return;
    if (!fstat(fileno(f), &st) && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size < 100000) {
        p = must(malloc((size_t)st.st_size));
        if (fread(p, 1, (size_t)st.st_size, f) == (size_t)st.st_size)
            new_sample(path)->model = (struct bytes){p, (size_t)st.st_size};
    }
    fclose(f);
}

static int is_model(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n > 5 && !strcmp(e->d_name + n - 5, ".onnx");
}

static void add_folder(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, is_model, alphasort);

    for (int i = 0; i < n; i++) {
        char sub[1024];

        snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
        free(names[i]);
        add_file(sub);
    }
    if (n >= 0)
        free(names);
}

/* The layout is that of tests/node/make_cases.py. */
static void add_node_cases(const char *path)
{
    zip_t *z = zip_open(path, ZIP_RDONLY, NULL);
    zip_stat_t st;
    zip_file_t *f = z && !zip_stat(z, "nodes.bin", 0, &st) ? zip_fopen(z, "nodes.bin", 0) : NULL;
    char name[160], *blob = f ? must(malloc(st.size + 1)) : NULL;
    size_t at = 0, n;
    int k;

    if (!f || zip_fread(f, blob, st.size) != (zip_int64_t)st.size) {
        free(blob);
        return;
    }
    blob[st.size] = 0;
    while (sscanf(blob + at, "case %159s", name) == 1) {
        struct sample *s = new_sample(name);

        at = (size_t)(strchr(blob + at, '\n') - blob) + 1;
        while (sscanf(blob + at, "file %159s %zu", name, &n) == 2) {
            const char *data = strchr(blob + at, '\n') + 1;
            struct bytes b = {(const uint8_t *)data, n};

            if (!strcmp(name, "model.onnx"))
                s->model = b;
            else if (sscanf(name, "input_%d.pb", &k) == 1 && k >= 0 && k < MAX_IO)
                s->in[k] = b;
            at = (size_t)(data - blob) + n;
        }
    }
    zip_fclose(f);
    zip_discard(z);
}

/* ---- one input ---- */

struct outcome {
    int status;
    char error[1200];
};

/* Only there is it right to blame the caller: "give it with --input". */
static bool making_inputs;
static char complaint[2048];

static void stage(const char *name)
{
    snprintf(shared->stage, sizeof(shared->stage), "%s", name);
}

static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* An error must have one line of text and an exit code that blames the file, a limit or missing support. */
static const char *check(ot_ctx *c, int status, double since)
{
    const char *line = ot_error(c), *why = NULL;
    int code = ot_exit_code(status);

    if (cpu_now() - since > slow_seconds)
        why = "took too long";
    else if (status == OT_OK)
        return NULL;
    else if (!*line)
        why = "an error without text";
    else if (strpbrk(line, "\n\r\033"))
        why = "control characters in a message";
    else if (code == 2 && making_inputs)
        return NULL;
    else if (code < 3 || code > 5 || c->cx.err.code == E_INTERNAL)
        why = "an error that blames the library";
    if (!why)
        return NULL;
    snprintf(complaint, sizeof(complaint), "%s (%s): %s", why, shared->stage, line);
    return complaint;
}

static ot_ctx *new_ctx(void)
{
    ot_ctx *c = must(ot_ctx_new());

    making_inputs = false;
    ot_set_max_memory(c, MEMORY_LIMIT);
    ot_set_timeout(c, time_limit);
    return c;
}

static int load(ot_ctx *c, ot_model **m)
{
    static const struct ot_load_opts o = {.no_external_check = true};

    *m = NULL;
    return ot_model_load(c, model_path, &o, m);
}

static volatile double seen;

static void use_tensor(const ot_tensor *t, int depth)
{
    struct ot_stats st;
    char text[200];

    ot_tensor_text(t, text, sizeof(text));
    for (size_t i = 0; depth < 4 && i < ot_tensor_items(t); i++)
        use_tensor(ot_tensor_item(t, i), depth + 1);
    if (ot_tensor_kind(t) != OT_TENSOR)
        return;
    if (ot_tensor_stats(t, &st))
        seen += st.min;
    for (int64_t i = 0; ot_tensor_dtype(t) == DT_STRING && i < ot_tensor_count(t); i++) {
        size_t n;
        const char *s = ot_tensor_string(t, i, &n);

        seen += n ? s[0] + s[n - 1] : 0;
    }
}

static const char *inspect(void)
{
    ot_ctx *c = new_ctx();
    ot_inspection *i = NULL;
    ot_model *m;
    const char *text, *bad;
    size_t count;
    double start = cpu_now();
    struct ot_inspect_opts o = {.values = true};
    int rc;

    stage("load");
    rc = load(c, &m);
    shared->loaded += rc == OT_OK;
    bad = check(c, rc, start);
    stage("inspect");
    if (!rc && !bad) {
        rc = ot_inspect(c, m, &o, &i);
        bad = check(c, rc, start);
    }
    stage("print");
    for (int what = OT_PRINT_GRAPH; !rc && !bad && what <= OT_PRINT_DOT; what++)
        bad = check(c, ot_inspection_print(c, i, (enum ot_print)what, &text), start);
    if (!rc && !bad)
        bad = check(c, ot_inspection_print_nodes(c, i, "*", &text, &count), start);
    for (size_t k = 0; !rc && !bad && k < ot_inspection_nlayers(i); k++) {
        struct ot_layer layer;

        ot_inspection_layer(i, k, &layer);
        seen += (double)layer.macs;
    }
    stage("tensors");
    for (size_t k = 0; !rc && !bad && k < ot_inspection_ninits(i); k++) {
        ot_tensor *t = NULL;

        bad = check(c, ot_inspection_tensor(c, i, k, &t), start);
        if (t)
            use_tensor(t, 0);
        ot_tensor_free(t);
    }
    ot_inspection_free(i);
    ot_model_free(m);
    ot_ctx_free(c);
    return bad;
}

/* Feeds initializers that are inputs too with their own values, as a user who overrides a default does. */
static int add_defaults(ot_ctx *c, const ot_model *m, ot_values *v)
{
    const struct graph *g = m->m->graph;
    int rc = 0;

    for (size_t i = 0; !rc && i < g->nins; i++) {
        struct tensor t = {0};

        if (!g->ins[i]->init)
            continue;
        rc = tensor_load(&c->cx, m->m, g->ins[i]->init, &t);
        if (rc)
            rc = ot_fail(c, 3, "the default of input %zu cannot be read", i);
        else
            rc = ot_values_add(c, v, g->ins[i]->name, wrap(&t));
        tensor_drop(&t);
    }
    return rc;
}

static int run_fed(ot_ctx *c, ot_session *s, ot_feed *feed, const ot_values *defaults)
{
    const ot_values *made;
    ot_values *all = NULL;
    int rc;

    making_inputs = true;
    rc = ot_feed_get(c, feed, 0, &made);
    making_inputs = rc != OT_OK;
    if (!rc)
        rc = ot_values_new(c, &all);
    for (size_t i = 0; !rc && i < ot_values_count(made); i++)
        rc = ot_values_add(c, all, ot_values_name(made, i), ot_values_tensor(made, i));
    for (size_t i = 0; !rc && i < ot_values_count(defaults); i++)
        rc = ot_values_add(c, all, ot_values_name(defaults, i), ot_values_tensor(defaults, i));
    if (!rc)
        rc = ot_session_run(c, s, all);
    ot_values_free(all);
    return rc;
}

/* A value that cannot be made up (a sequence, an optional) comes from the case: --input for it, to be freed;
 * or NULL. */
static char *value_file(const struct sample *s, const ot_model *m, size_t i)
{
    char spec[300], path[100];
    FILE *f;

    if (i >= MAX_IO || !s->in[i].p || ot_model_input(m, i)->kind == OT_TENSOR)
        return NULL;
    snprintf(path, sizeof(path), "%s/%zu.pb", folder, i);
    f = fopen(path, "wb");
    if (!f)
        return NULL;
    fwrite(s->in[i].p, 1, s->in[i].n, f);
    fclose(f);
    snprintf(spec, sizeof(spec), "%.150s=%s", ot_model_input(m, i)->name, path);
    return must(strdup(spec));
}

static int run_model(ot_ctx *c, ot_model *m, struct ot_session_opts *o, const struct sample *sample,
                     bool feed_defaults)
{
    const char *names[MAX_IO + 1] = {NULL}, *files[MAX_IO + 1] = {NULL};
    struct ot_feed_opts fo = {.seed = 1, .inputs = files};
    ot_session *s = NULL;
    ot_feed *feed = NULL;
    ot_values *defaults = NULL;
    size_t n = 0, nfiles = 0;
    int rc = ot_values_new(c, &defaults);

    stage("feed");
    making_inputs = true;
    for (size_t i = 0; feed_defaults && i < ot_model_ninputs(m) && n < MAX_IO; i++)
        if (ot_model_input(m, i)->has_default)
            names[n++] = ot_model_input(m, i)->name;
    if (!rc && feed_defaults)
        rc = add_defaults(c, m, defaults);
    for (size_t i = 0; i < ot_model_ninputs(m); i++) {
        files[nfiles] = value_file(sample, m, i);
        nfiles += files[nfiles] != NULL;
    }
    if (!rc)
        rc = ot_feed_new(c, m, &fo, &feed);
    for (size_t i = 0; i < nfiles; i++)
        free((char *)(uintptr_t)files[i]);
    o->feed_defaults = names;
    making_inputs = rc != OT_OK;
    stage(o->level == OT_OPT_NONE ? "bind at -O none" : "bind at -O all");
    if (!rc)
        rc = ot_session_new(c, m, o, &s);
    else
        ot_model_free(m);
    shared->bound += rc == OT_OK;
    stage(o->level == OT_OPT_NONE ? "run at -O none" : "run at -O all");
    if (!rc) {
        rc = run_fed(c, s, feed, defaults);
        for (int k = 0; rc && k < 8 && ot_feed_retry(feed, rc); k++)
            rc = run_fed(c, s, feed, defaults);
    }
    shared->ran += rc == OT_OK;
    for (size_t i = 0; !rc && i < ot_session_noutputs(s); i++)
        use_tensor(ot_session_output(s, i), 0);
    ot_values_free(defaults);
    ot_feed_free(feed);
    ot_session_free(s);
    return rc;
}

static const char *run_at(enum ot_opt level, int threads, const char *mask, const struct sample *from,
                          bool feed_defaults, struct outcome *out)
{
    struct ot_session_opts o = {.level = level, .threads = threads, .cpu_mask = mask};
    double start = cpu_now();
    ot_ctx *c = new_ctx();
    const char *bad;
    ot_model *m;

    stage("load");
    out->status = load(c, &m);
    if (!out->status)
        out->status = run_model(c, m, &o, from, feed_defaults);
    snprintf(out->error, sizeof(out->error), "%s", out->status ? ot_error(c) : "");
    bad = check(c, out->status, start);
    ot_ctx_free(c);
    return bad;
}

/* ---- making it ---- */

/* Gives the graph's tensor inputs the values of the case: as initializers, and with their dims as declared.
 */
static void give_values(struct pb_pool *pool, struct rand *r, struct pb *m, const struct sample *s)
{
    struct pb *g = pb_kid(m, 7);
    int k = -1;

    for (size_t i = 0, n = g ? g->nkids : 0; i < n; i++) {
        struct pb *v = g->kids[i], *t, *name = pb_kid(v, 1), *type = pb_kid(v, 2), *shape, *dims;

        if (v->id != 11 || ++k >= MAX_IO || !s->in[k].p || !name || !type || !pb_kid(type, 1))
            continue;
        t = pb_parse(pool, MSG_TENSOR, s->in[k].p, s->in[k].n);
        shape = pb_kid(pb_kid(type, 1), 2);
        if (shape && shape->msg && rand_below(r, 2)) {
            shape->nkids = 0;
            for (size_t d = 0; d < t->nkids; d++)
                if (t->kids[d]->id == 1 && t->kids[d]->wire == 0) {
                    dims = pb_add_msg(pool, shape, 1, MSG_DIM);
                    pb_add(pool, dims, 1, 0, t->kids[d]->v);
                }
        }
        if (rand_below(r, 3) == 0)
            continue;
        for (size_t d = 0; d < t->nkids; d++)
            if (t->kids[d]->id == 8)
                t->kids[d]->id = 12;
        t = pb_adopt(pool, g, 5, t);
        pb_add_bytes(pool, t, 8, name->p, name->n);
    }
}

static const struct sample *pick(struct rand *r)
{
    return &samples[rand_below(r, nsamples)];
}

static bool store(const uint8_t *p, size_t n)
{
    return ftruncate(model_fd, 0) == 0 && pwrite(model_fd, p, n, 0) == (ssize_t)n;
}

static void keep_input(uint64_t seed, const uint8_t *p, size_t n)
{
    char path[64];
    FILE *f;

    snprintf(path, sizeof(path), "pipeline-failed-%llu.onnx", (unsigned long long)seed);
    f = fopen(path, "wb");
    if (!f)
        return;
    fwrite(p, 1, n, f);
    fclose(f);
}

/* What is declared of outputs and values in between contradicts many changes; without it they are met later.
 */
static void forget(struct rand *r, struct pb *g)
{
    bool inputs = rand_below(r, 4) == 0;

    for (size_t i = 0; i < g->nkids; i++)
        if (g->kids[i]->id == 12 || g->kids[i]->id == 13 || (inputs && g->kids[i]->id == 11))
            pb_forget_shapes(g->kids[i]);
}

/* The model of that seed; from: its sample. */
static const uint8_t *make(struct pb_pool *pool, struct rand *r, const struct sample **from, size_t *n)
{
    const struct sample *s = pick(r), *o = pick(r);
    struct pb *m = pb_parse(pool, MSG_MODEL, s->model.p, s->model.n);
    const struct pb *other = pb_parse(pool, MSG_MODEL, o->model.p, o->model.n);

    *from = s;
    give_values(pool, r, m, s);
    if (rand_below(r, 3) == 0 && pb_kid(m, 7))
        forget(r, pb_kid(m, 7));
    for (uint64_t k = rand_below(r, 2) ? 1 : 1 + rand_below(r, 6); k > 0; k--)
        pb_mutate(pool, r, m, other);
    return pb_bytes(pool, m, n);
}

static const char *try_seed(uint64_t seed, bool verbose)
{
    static const char *const masks[] = {NULL, NULL, NULL, "avx2", "c"};
    struct rand r = {seed * 0x9e3779b97f4a7c15ull | 1};
    struct pb_pool pool = {0};
    struct outcome none, all;
    const struct sample *from;
    const uint8_t *p;
    const char *bad, *mask;
    size_t n;
    bool fed;
    int threads;

    rand_below(&r, 2);
    p = make(&pool, &r, &from, &n);
    mask = masks[rand_below(&r, sizeof(masks) / sizeof(masks[0]))];
    threads = rand_below(&r, 16) ? 1 : 2;
    fed = rand_below(&r, 2);
    if (verbose)
        keep_input(seed, p, n);
    bad = store(p, n) ? inspect() : "the model cannot be stored";
    if (!bad)
        bad = run_at(OT_OPT_NONE, threads, mask, from, fed, &none);
    if (!bad)
        bad = run_at(OT_OPT_ALL, threads, mask, from, fed, &all);
    if (!bad && !none.status && all.status && ot_exit_code(all.status) < 5) {
        shared->disagree++;
        if (getenv("PIPELINE_DISAGREE"))
            fprintf(stderr, "seed %llu (%s): -O all alone fails: %s\n", (unsigned long long)seed, from->name,
                    all.error);
    }
    if (verbose)
        printf("# seed %llu from %s\n# none: %d %s\n# all: %d %s\n", (unsigned long long)seed, from->name,
               none.status, none.error, all.status, all.error);
    if (bad) {
        keep_input(seed, p, n);
        fprintf(stderr, "pipeline: --count 1 --seed %llu, from %s: %s\n", (unsigned long long)seed,
                from->name, bad);
    }
    pb_pool_free(&pool);
    return bad;
}

/* ---- slices ---- */

static void slice(uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        shared->seed = first + i;
        alarm(hung_seconds);
        if (try_seed(first + i, false))
            shared->failures++;
    }
    alarm(0);
    stage("leaks");
}

/* Runs [first, first+count) in a child; returns how many were done, the one that killed it with them. */
static uint64_t run_slice(uint64_t first, uint64_t count, bool *died)
{
    int status = 0;
    pid_t pid;

    fflush(stdout);
    fflush(stderr);
    shared->seed = first;
    pid = fork();
    if (pid < 0)
        exit(1);
    if (!pid) {
        slice(first, count);
        exit(0);
    }
    waitpid(pid, &status, 0);
    *died = status != 0;
    if (!status)
        return count;
    fprintf(stderr, "pipeline: --count 1 --seed %llu: %s %d at %s\n", (unsigned long long)shared->seed,
            WIFSIGNALED(status) ? "signal" : "exit status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), shared->stage);
    return shared->seed - first + 1;
}

static void test_models(uint64_t count, uint64_t seed, bool keep_going)
{
    uint64_t done = 0, dead = 0;
    char name[200];
    struct rusage u;

    while (done < count && (keep_going || !(dead + shared->failures)) &&
           dead + shared->failures < MAX_FAILURES) {
        bool died;

        done += run_slice(seed + done, count - done < SLICE ? count - done : SLICE, &died);
        dead += died;
    }
    snprintf(
        name, sizeof(name),
        "%llu changed models from seed %llu (%llu loaded; of two sessions each, %llu bound and %llu ran; "
        "%llu fail at -O all alone)",
        (unsigned long long)done, (unsigned long long)seed, (unsigned long long)shared->loaded,
        (unsigned long long)shared->bound, (unsigned long long)shared->ran,
        (unsigned long long)shared->disagree);
    report(name, dead + shared->failures ? "crashed, hung or broke a promise, see above" : NULL);
    getrusage(RUSAGE_CHILDREN, &u);
    snprintf(name, sizeof(name), "memory stays below 2 GB (%ld MB)", u.ru_maxrss >> 10);
    report(name, u.ru_maxrss > RSS_LIMIT_KB ? "more than that was resident" : NULL);
}

int main(int argc, char **argv)
{
    uint64_t count = 10000, seed = 1;
    bool keep_going = false;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--count") && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--all"))
            keep_going = true;
        else
            add_file(argv[i]);
    }
    if (!nsamples) {
        add_node_cases("testdata/nodes.zip");
        add_folder("testdata/models");
        add_folder("testdata/digits");
        add_file("../shared/models/xgboost_classifier/model.onnx");
    }
    report("there are samples", nsamples ? NULL : "no file was found");
    model_fd = memfd_create("pipeline.onnx", 0);
    snprintf(model_path, sizeof(model_path), "/proc/self/fd/%d", model_fd);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(folder, sizeof(folder), "%s/pipeline-XXXXXX", P_tmpdir);
    if (!nsamples || model_fd < 0 || shared == MAP_FAILED || !mkdtemp(folder))
        return 1;
    if (count == 1)
        report("one model", try_seed(seed, true));
    else
        test_models(count, seed, keep_going);
    printf("1..%d\n", tests);
    for (int i = 0; i < MAX_IO; i++) {
        char path[100];

        snprintf(path, sizeof(path), "%s/%d.pb", folder, i);
        unlink(path);
    }
    rmdir(folder);
    return failures != 0;
}
