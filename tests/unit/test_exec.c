/* Plans and runs: memory that is reused is never reused too early, shapes that depend on data, bodies,
 * limits, failing allocators. Runs in the folder of the repository. */
#include "build.h"

#include <math.h>

#include "base/rng.h"
#include "base/str.h"
#include "exec/plan.h"
#include "io/onnx_load.h"
#include "session/feed.h"
#include "session/session.h"

static struct cx cx;
static char message[2048];

static const char *last_message(void)
{
    err_format(&cx.err, message, sizeof message);
    return message;
}

static struct session *open_at(struct model *m, enum opt_level level, int threads)
{
    struct session_opts o = {.level = level, .threads = threads};
    struct session *s = NULL;
    if (session_new(&cx, m, &o, &s))
        fail_msg("session: %s", last_message());
    s->ex.check_plans = true;
    return s;
}

static void run_ok(struct session *s, const struct tensor *ins, const struct tensor **outs)
{
    if (session_run(&cx, s, ins, outs))
        fail_msg("run: %s", last_message());
}

static struct tensor wrap(enum dtype dt, int rank, const int64_t *dims, const void *data)
{
    struct tensor t = {.dt = dt, .rank = rank, .data = (void *)(uintptr_t)data};
    for (int i = 0; i < rank; i++)
        t.dims[i] = dims[i];
    return t;
}

static struct model *load(const char *path)
{
    struct model *m = NULL;
    struct load_opts o = {0};
    if (model_load(&cx, path, &o, &m))
        fail_msg("%s", last_message());
    return m;
}

/* ---- reuse of memory: random graphs against a plain evaluation ---- */

enum { ELEMENTS = 24, STEPS = 40, VALUES = STEPS + 2 };

/* A value of the plain evaluation: a matrix of 24 elements. */
struct plain {
    int64_t rows;
    float v[ELEMENTS];
};

struct random_graph {
    struct build b;
    struct rng r;
    int n; /* values */
    int kind[VALUES], from[VALUES][2];
    int64_t rows[VALUES];
    int outs[VALUES], nouts;
};

enum { R_INPUT, R_NEG, R_ADD, R_MUL, R_MAX, R_RESHAPE, R_TRANSPOSE, R_IDENTITY, R_KINDS };

static void evaluate(const struct random_graph *g, int i, struct plain *p)
{
    const struct plain *a = &p[g->from[i][0]], *b = &p[g->from[i][1]];
    int64_t cols = ELEMENTS / a->rows;
    p[i].rows = g->rows[i];
    for (int64_t k = 0; k < ELEMENTS; k++) {
        float x = a->v[k], y = b->v[k];
        float results[R_KINDS] = {[R_NEG] = -x,    [R_ADD] = x + y, [R_MUL] = x * y, [R_MAX] = x > y ? x : y,
                                  [R_RESHAPE] = x, [R_IDENTITY] = x};
        if (g->kind[i] == R_TRANSPOSE)
            p[i].v[k % cols * a->rows + k / cols] = x;
        else
            p[i].v[k] = results[g->kind[i]];
    }
}

static const char *value_name(int i)
{
    static char names[4][16];
    static int k;
    k = (k + 1) % 4;
    snprintf(names[k], sizeof names[k], "v%d", i);
    return names[k];
}

static int random_value(struct random_graph *g)
{
    int recent = (int)rng_range(&g->r, 0, 4); /* mostly a late one, so that early ones die */
    return recent ? (int)rng_range(&g->r, g->n > 5 ? g->n - 5 : 0, g->n) : (int)rng_range(&g->r, 0, g->n);
}

static void add_step(struct random_graph *g)
{
    static const char *const ops[R_KINDS] = {"",    "Neg",     "Add",       "Mul",
                                             "Max", "Reshape", "Transpose", "Identity"};
    static const int64_t shapes[] = {2, 3, 4, 6, 8, 12};
    int i = g->n, a = random_value(g), b = random_value(g);
    int kind = (int)rng_range(&g->r, 1, R_KINDS);
    char ins[48];
    bool two = kind == R_ADD || kind == R_MUL || kind == R_MAX;
    if (two && g->rows[a] != g->rows[b])
        b = a;
    g->kind[i] = kind;
    g->from[i][0] = a;
    g->from[i][1] = b;
    g->rows[i] = kind == R_TRANSPOSE ? ELEMENTS / g->rows[a] : g->rows[a];
    snprintf(ins, sizeof ins, two ? "%s %s" : "%s", value_name(a), value_name(b));
    if (kind == R_RESHAPE) {
        g->rows[i] = shapes[rng_range(&g->r, 0, 6)];
        char shape[24];
        snprintf(shape, sizeof shape, "shape%d", i);
        build_ints(&g->b, shape, 2, (int64_t[]){g->rows[i], ELEMENTS / g->rows[i]});
        snprintf(ins, sizeof ins, "%s %s", value_name(a), shape);
    }
    build_node(&g->b, ops[kind], ins, value_name(i));
    g->n++;
}

static void make_graph(struct random_graph *g, uint64_t seed)
{
    memset(g, 0, sizeof *g);
    g->b = build_new(&cx, 17);
    rng_seed(&g->r, seed);
    for (; g->n < 2; g->n++) {
        g->rows[g->n] = 4;
        build_in(&g->b, value_name(g->n), DT_FLOAT, "4 6");
    }
    while (g->n < VALUES)
        add_step(g);
    for (int i = 2; i < VALUES; i++)
        if (i == VALUES - 1 || rng_range(&g->r, 0, 8) == 0) {
            build_out(&g->b, value_name(i), DT_FLOAT, NULL);
            g->outs[g->nouts++] = i;
        }
}

static void check_run(const struct random_graph *g, struct session *s, uint64_t seed)
{
    struct plain p[VALUES];
    struct tensor ins[2];
    const struct tensor *outs[VALUES];
    struct rng r;
    rng_seed(&r, seed);
    for (int i = 0; i < 2; i++) {
        p[i].rows = 4;
        for (int k = 0; k < ELEMENTS; k++)
            p[i].v[k] = (float)rng_range(&r, -1, 2); /* products stay small and exact */
        ins[i] = wrap(DT_FLOAT, 2, (int64_t[]){4, 6}, p[i].v);
    }
    struct plain before[2] = {p[0], p[1]};
    for (int i = 2; i < VALUES; i++)
        evaluate(g, i, p);
    run_ok(s, ins, outs);
    assert_memory_equal(before[0].v, p[0].v, sizeof p[0].v); /* inputs are not written to */
    assert_memory_equal(before[1].v, p[1].v, sizeof p[1].v);
    for (int o = 0; o < g->nouts; o++) {
        const struct plain *want = &p[g->outs[o]];
        assert_int_equal(outs[o]->rank, 2);
        assert_int_equal(outs[o]->dims[0], want->rows);
        for (int k = 0; k < ELEMENTS; k++) /* not by bytes: -0 is 0, NaN of overflows is NaN */
            if (!(((const float *)outs[o]->data)[k] == want->v[k]) && !isnan(want->v[k]))
                fail_msg("v%d[%d] is %g, not %g", g->outs[o], k, (double)((const float *)outs[o]->data)[k],
                         (double)want->v[k]);
    }
}

static void buffers_are_shared_only_when_free(void **state)
{
    static struct random_graph g;
    uint64_t block = 0, naive = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        make_graph(&g, seed);
        struct session *s = open_at(g.b.m, seed % 2 ? OPT_ALL : OPT_NONE, 1);
        for (uint64_t k = 0; k < 3; k++)
            check_run(&g, s, seed * 3 + k);
        if (s->ex.main->last) {
            block += s->ex.main->last->block_size;
            naive += s->ex.main->last->naive_size;
        }
        session_free(s);
    }
    assert_true(block < naive); /* it does share */
}

/* ---- hooks ---- */

struct seen {
    int steps, stop_at;
    float in, out;
};

static int see(void *user, struct cx *c, const struct prog_step *st, const struct tensor *const *in,
               struct tensor *const *out)
{
    struct seen *s = user;
    (void)st;
    s->in = ((const float *)in[0]->data)[0];
    s->out = ((const float *)out[0]->data)[0];
    return ++s->steps == s->stop_at ? err_set(c, E_DATA, "enough") : OK;
}

static void hooks_see_inputs_and_can_stop(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n");
    build_node(&b, "Exp", "x", "a");
    build_node(&b, "Neg", "a", "b");
    build_node(&b, "Abs", "b", "c");
    build_out(&b, "c", DT_FLOAT, "n");
    struct session *s = open_at(b.m, OPT_NONE, 1);
    float v[2] = {0, 1};
    struct tensor in = wrap(DT_FLOAT, 1, (int64_t[]){2}, v);
    const struct tensor *out;
    run_ok(s, &in, &out); /* makes a plan in place; the hook needs another one */
    struct seen seen = {.stop_at = 2};
    s->ex.hooks = (struct exec_hooks){see, &seen};
    assert_int_equal(session_run(&cx, s, &in, &out), E_DATA);
    assert_int_equal(seen.steps, 2);
    assert_true(seen.in == 1 && seen.out == -1);
    s->ex.hooks = (struct exec_hooks){0};
    run_ok(s, &in, &out);
    assert_true(((const float *)out->data)[0] == 1);
    session_free(s);
}

/* ---- shapes that depend on data ---- */

static struct model *nonzero_model(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n m");
    build_node(&b, "NonZero", "x", "where");
    struct node *t = build_node(&b, "Transpose", "where", "places");
    assert_int_equal(node_set_attr_ints(&cx, t, "perm", (int64_t[]){1, 0}, 2), OK);
    build_node(&b, "GatherND", "x places", "found");
    build_node(&b, "Add", "found found", "twice");
    build_node(&b, "Shape", "twice", "count");
    build_out(&b, "twice", DT_FLOAT, NULL);
    build_out(&b, "count", DT_INT64, "1");
    build_out(&b, "found", DT_FLOAT, NULL);
    return b.m;
}

static void shapes_may_depend_on_data(void **state)
{
    (void)state;
    for (int level = OPT_NONE; level <= OPT_ALL; level++) {
        struct session *s = open_at(nonzero_model(), (enum opt_level)level, 1);
        struct rng r;
        rng_seed(&r, 5);
        for (int k = 0; k < 30; k++) {
            float v[12], want[12];
            int64_t n = 0, rows = 1 + k % 3;
            for (int i = 0; i < 4 * rows; i++) {
                v[i] = k == 7 ? 0 : (float)rng_range(&r, 0, 3);
                if (v[i] != 0)
                    want[n++] = 2 * v[i];
            }
            struct tensor in = wrap(DT_FLOAT, 2, (int64_t[]){rows, 4}, v);
            const struct tensor *outs[3];
            run_ok(s, &in, outs);
            assert_int_equal(tensor_count(outs[0]), n);
            assert_int_equal(tensor_i64(outs[1], 0), n);
            if (n)
                assert_memory_equal(outs[0]->data, want, (size_t)n * sizeof *want);
            if (n)
                assert_true(((const float *)outs[2]->data)[0] * 2 == want[0]);
        }
        session_free(s);
    }
}

static void few_plans_serve_many_shapes(void **state)
{
    (void)state;
    struct session *s = open_at(load("testdata/digits/digits.onnx"), OPT_ALL, 2);
    static float pixels[20 * 64];
    float first[20];
    struct rng r;
    rng_seed(&r, 1);
    for (int i = 0; i < 20 * 64; i++)
        pixels[i] = (float)rng_f64(&r);
    for (int round = 0; round < 3; round++)
        for (int64_t batch = 1; batch <= 20; batch++) {
            struct tensor in = wrap(DT_FLOAT, 4, (int64_t[]){batch, 1, 8, 8}, pixels);
            const struct tensor *out;
            run_ok(s, &in, &out);
            assert_int_equal(out->dims[0], batch);
            float last = ((const float *)out->data)[10 * batch - 1];
            if (!round)
                first[batch - 1] = last;
            assert_true(first[batch - 1] == last);
            int plans = 0;
            for (int i = 0; i < PLAN_CACHE; i++)
                plans += s->ex.main->plans[i] != NULL;
            assert_int_equal(plans, batch < PLAN_CACHE && !round ? batch : PLAN_CACHE);
        }
    session_free(s);
}

/* ---- bodies ---- */

/* acc = sum over i < trips of (i even ? x * i : -x), x and a constant captured by branches inside a loop. */
static struct model *loop_model(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n");
    build_in(&b, "trips", DT_INT64, "");
    build_bool(&b, "go", true);
    build_const(&b, "two", DT_INT64, "", (const int64_t[]){2});
    build_const(&b, "nought", DT_INT64, "", (const int64_t[]){0});
    build_node(&b, "Sub", "x x", "zero");
    struct node *loop = build_node(&b, "Loop", "trips go zero", "acc all");
    struct build in = build_body(&b, loop, "body");
    build_in(&in, "i", DT_INT64, "");
    build_in(&in, "go_in", DT_BOOL, "");
    build_in(&in, "sum", DT_FLOAT, "n");
    build_node(&in, "Mod", "i two", "half");
    build_node(&in, "Equal", "half nought", "even");
    struct node *choice = build_node(&in, "If", "even", "part");
    struct build yes = build_body(&in, choice, "then_branch");
    struct node *cast = build_node(&yes, "Cast", "i", "factor");
    assert_int_equal(node_set_attr_int(&cx, cast, "to", DT_FLOAT), OK);
    build_node(&yes, "Mul", "x factor", "scaled");
    build_body_out(&yes, "scaled");
    struct build no = build_body(&in, choice, "else_branch");
    build_node(&no, "Neg", "x", "minus");
    build_body_out(&no, "minus");
    build_node(&in, "Add", "sum part", "sum_out");
    build_node(&in, "Identity", "go_in", "go_out");
    build_node(&in, "Identity", "sum_out", "each");
    build_body_out(&in, "go_out");
    build_body_out(&in, "sum_out");
    build_body_out(&in, "each");
    build_out(&b, "acc", DT_FLOAT, "n");
    build_out(&b, "all", DT_FLOAT, NULL);
    return b.m;
}

static void bodies_capture_and_carry(void **state)
{
    (void)state;
    for (int level = OPT_NONE; level <= OPT_ALL; level++) {
        struct session *s = open_at(loop_model(), (enum opt_level)level, 1);
        for (int64_t k = 0; k < 24; k++) {
            int64_t trips = k % 6, n = 1 + k % 4;
            float x[4] = {1, 2, -3, 0.5f}, want[4] = {0};
            struct tensor ins[2] = {wrap(DT_FLOAT, 1, &n, x), wrap(DT_INT64, 0, NULL, &trips)};
            const struct tensor *outs[2];
            run_ok(s, ins, outs);
            for (int64_t i = 0; i < trips; i++)
                for (int64_t j = 0; j < n; j++)
                    want[j] += i % 2 ? -x[j] : x[j] * (float)i;
            assert_int_equal(outs[0]->dims[0], n);
            for (int64_t j = 0; j < n; j++)
                assert_true(((const float *)outs[0]->data)[j] == want[j]);
            assert_int_equal(outs[1]->dims[0], trips);
            if (trips)
                assert_memory_equal((const float *)outs[1]->data + (trips - 1) * n, outs[0]->data,
                                    (size_t)n * sizeof *x);
        }
        session_free(s);
    }
}

static struct model *endless_model(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "1");
    build_bool(&b, "go", true);
    struct node *loop = build_node(&b, "Loop", "- go x", "y");
    struct build in = build_body(&b, loop, "body");
    build_in(&in, "i", DT_INT64, "");
    build_in(&in, "go_in", DT_BOOL, "");
    build_in(&in, "v", DT_FLOAT, "1");
    build_node(&in, "Neg", "v", "w");
    build_node(&in, "Identity", "go_in", "go_out");
    build_body_out(&in, "go_out");
    build_body_out(&in, "w");
    build_out(&b, "y", DT_FLOAT, "1");
    return b.m;
}

static void endless_loops_meet_the_deadline(void **state)
{
    (void)state;
    struct session *s = open_at(endless_model(), OPT_ALL, 1);
    float x = 1;
    struct tensor in = wrap(DT_FLOAT, 1, (int64_t[]){1}, &x);
    const struct tensor *out;
    double t0 = time_now();
    cx.lim.deadline = t0 + 0.05;
    assert_int_equal(session_run(&cx, s, &in, &out), E_TIMEOUT);
    assert_true(time_now() - t0 < 5);
    cx.lim.deadline = 0;
    session_free(s);
}

/* ---- strings ---- */

static void strings_outlive_what_made_them(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "names", DT_STRING, "n");
    build_in(&b, "at", DT_INT64, "k");
    build_node(&b, "Gather", "names at", "some");
    struct node *join = build_node(&b, "Concat", "some names", "all");
    assert_int_equal(node_set_attr_int(&cx, join, "axis", 0), OK);
    build_node(&b, "Equal", "all all", "same");
    build_out(&b, "all", DT_STRING, NULL);
    build_out(&b, "some", DT_STRING, "k");
    struct session *s = open_at(b.m, OPT_ALL, 1);
    for (int k = 0; k < 10; k++) {
        char text[3][8] = {"one", "two", "three"};
        struct ostr names[3] = {{text[0], 3}, {text[1], 3}, {text[2], 5}};
        int64_t at[2] = {2, k % 3};
        struct tensor ins[2] = {wrap(DT_STRING, 1, (int64_t[]){3}, names),
                                wrap(DT_INT64, 1, (int64_t[]){2}, at)};
        const struct tensor *outs[2];
        run_ok(s, ins, outs);
        const struct ostr *all = outs[0]->data;
        assert_int_equal(outs[0]->dims[0], 5);
        assert_true(all[0].n == 5 && memcmp(all[0].p, "three", 5) == 0);
        assert_true(all[1].n == names[k % 3].n && memcmp(all[1].p, text[k % 3], all[1].n) == 0);
        assert_true(all[3].n == 3 && memcmp(all[3].p, "two", 3) == 0);
    }
    session_free(s);
}

/* ---- refusals ---- */

static void inputs_are_checked(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "a", DT_FLOAT, "n 3");
    build_in(&b, "b", DT_FLOAT, "n 3");
    build_node(&b, "Add", "a b", "c");
    build_out(&b, "c", DT_FLOAT, "n 3");
    struct session *s = open_at(b.m, OPT_NONE, 1);
    static float v[12];
    static double d[12];
    const struct tensor *out;
    struct tensor two[2] = {wrap(DT_FLOAT, 2, (int64_t[]){2, 3}, v), wrap(DT_FLOAT, 2, (int64_t[]){3, 3}, v)};
    assert_int_equal(session_run(&cx, s, two, &out), E_SHAPE);
    assert_non_null(strstr(last_message(), "input 'b': axis 0 is 3, but 'n' is 2"));
    two[1] = wrap(DT_FLOAT, 2, (int64_t[]){2, 4}, v);
    assert_int_equal(session_run(&cx, s, two, &out), E_SHAPE);
    assert_non_null(strstr(last_message(), "input 'b': axis 1 is 4, the model has it fixed at 3"));
    two[1] = wrap(DT_FLOAT, 1, (int64_t[]){6}, v);
    assert_int_equal(session_run(&cx, s, two, &out), E_SHAPE);
    assert_non_null(strstr(last_message(), "input 'b' is float[6], the model takes float[n,3]"));
    two[1] = wrap(DT_DOUBLE, 2, (int64_t[]){2, 3}, d);
    assert_int_equal(session_run(&cx, s, two, &out), E_TYPE);
    two[1] = wrap(DT_FLOAT, 2, (int64_t[]){2, 3}, v);
    run_ok(s, two, &out); /* and goes on */
    session_free(s);
}

static void a_failed_run_leaves_the_session_usable(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "4");
    build_in(&b, "at", DT_INT64, "k");
    build_node(&b, "Relu", "x", "r");
    build_node(&b, "Gather", "r at", "y");
    build_out(&b, "y", DT_FLOAT, "k");
    struct session *s = open_at(b.m, OPT_ALL, 1);
    float x[4] = {1, -2, 3, 4};
    int64_t good[2] = {3, -4}, bad[2] = {0, 4};
    struct tensor ins[2] = {wrap(DT_FLOAT, 1, (int64_t[]){4}, x), wrap(DT_INT64, 1, (int64_t[]){2}, bad)};
    const struct tensor *out;
    for (int k = 0; k < 3; k++) {
        ins[1].data = bad;
        assert_true(session_run(&cx, s, ins, &out) < 0);
        assert_non_null(strstr(last_message(), "node 'y' (Gather"));
        ins[1].data = good;
        run_ok(s, ins, &out);
        assert_true(((const float *)out->data)[0] == 4 && ((const float *)out->data)[1] == 1);
    }
    session_free(s);
}

static void max_memory_is_kept(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n");
    build_node(&b, "Exp", "x", "y");
    build_node(&b, "Add", "x y", "z");
    build_out(&b, "y", DT_FLOAT, "n");
    build_out(&b, "z", DT_FLOAT, "n");
    cx.lim.max_memory = 1 << 20;
    struct session *s = open_at(b.m, OPT_NONE, 1);
    static float v[1 << 20];
    const struct tensor *outs[2];
    struct tensor small = wrap(DT_FLOAT, 1, (int64_t[]){1000}, v),
                  big = wrap(DT_FLOAT, 1, (int64_t[]){1 << 20}, v);
    for (int k = 0; k < 3; k++) {
        run_ok(s, &small, outs);
        assert_int_equal(session_run(&cx, s, &big, outs), E_LIMIT);
        assert_non_null(strstr(last_message(), "--max-memory"));
    }
    cx.lim.max_memory = 0;
    run_ok(s, &big, outs);
    session_free(s);
}

static void all_nodes_that_cannot_run_are_named(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n");
    for (int i = 0; i < 5; i++) {
        char op[16], name[16];
        snprintf(op, sizeof op, "Strange%d", i);
        snprintf(name, sizeof name, "s%d", i);
        build_node(&b, op, "x", name);
        build_out(&b, name, DT_FLOAT, NULL);
    }
    struct session_opts o = {.level = OPT_NONE, .threads = 1};
    struct session *s = NULL;
    assert_int_equal(session_new(&cx, b.m, &o, &s), E_UNSUPPORTED);
    last_message();
    assert_non_null(strstr(message, "5 nodes cannot run"));
    for (int i = 0; i < 5; i++) {
        char want[48];
        snprintf(want, sizeof want, "'s%d' (Strange%d)", i, i);
        if (!strstr(message, want))
            fail_msg("%s is not in: %s", want, message);
    }
}

static void fed_defaults_are_no_constants(void **state)
{
    (void)state;
    for (int fed = 0; fed < 2; fed++) {
        struct session_opts o = {
            .level = OPT_ALL, .threads = 1, .feed_defaults = fed ? (const char *const[]){"b", NULL} : NULL};
        struct session *s;
        assert_int_equal(session_new(&cx, load("testdata/models/default_input.onnx"), &o, &s), OK);
        assert_int_equal(session_ninputs(s), 1 + (size_t)fed);
        float x[6] = {0}, b = 5;
        struct tensor ins[2] = {wrap(DT_FLOAT, 2, (int64_t[]){2, 3}, x), wrap(DT_FLOAT, 0, NULL, &b)};
        const struct tensor *out;
        run_ok(s, ins, &out);
        assert_true(((const float *)out->data)[0] == (fed ? 5 : 2));
        session_free(s);
    }
}

/* ---- every allocation in turn fails ---- */

/* One life of a session over made-up inputs; the first status that is not OK. */
static int live(struct model *m, struct model *twin, enum opt_level level)
{
    struct session_opts o = {.level = level, .threads = 2};
    struct feed_opts fo = {.fills = (const char *const[]){"ones", NULL}};
    struct feed *f = NULL;
    struct session *s = NULL;
    struct named_list *l;
    const struct tensor *outs[8];
    struct tensor ins[8];
    int rc = feed_new(&cx, twin, &fo, &f);
    if (rc) {
        model_free(m);
        return rc;
    }
    rc = session_new(&cx, m, &o, &s);
    for (size_t k = 0; k < 2 && !rc; k++) {
        rc = feed_get(&cx, f, 0, &l);
        for (size_t i = 0; !rc && i < session_ninputs(s); i++)
            ins[i] = *named_find(l, session_input(s, i)->name);
        if (!rc)
            rc = session_run(&cx, s, ins, outs);
    }
    session_free(s);
    feed_free(f);
    return rc;
}

static void survives_failing_allocations(const char *path, enum opt_level level)
{
    int good = 0, bad = 0;
    struct model *twin = load(path);
    for (long n = 0; good < 12 && n < 3000; n++) {
        struct model *m = load(path);
        arena_free(&cx.scratch); /* so that what is needed is asked for again */
        mem_fail_after(n);
        int rc = live(m, twin, level);
        mem_fail_after(-1);
        if (rc && rc != E_NOMEM)
            fail_msg("%s, allocation %ld: %s", path, n, last_message());
        good = rc ? 0 : good + 1;
        bad += rc != 0;
        err_clear(&cx);
    }
    model_free(twin);
    assert_int_equal(good, 12);
    assert_true(bad > 10);
}

static void failing_allocations_are_errors(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "testdata/digits/digits.onnx",           "testdata/models/deep_control.onnx",
        "testdata/models/functions_nested.onnx", "testdata/models/sequences.onnx",
        "testdata/models/scan_capture.onnx",     "testdata/models/ir06.onnx",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        for (int level = OPT_NONE; level <= OPT_ALL; level += OPT_ALL)
            survives_failing_allocations(paths[i], (enum opt_level)level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_are_shared_only_when_free),
        cmocka_unit_test(hooks_see_inputs_and_can_stop),
        cmocka_unit_test(shapes_may_depend_on_data),
        cmocka_unit_test(few_plans_serve_many_shapes),
        cmocka_unit_test(bodies_capture_and_carry),
        cmocka_unit_test(endless_loops_meet_the_deadline),
        cmocka_unit_test(strings_outlive_what_made_them),
        cmocka_unit_test(inputs_are_checked),
        cmocka_unit_test(a_failed_run_leaves_the_session_usable),
        cmocka_unit_test(max_memory_is_kept),
        cmocka_unit_test(all_nodes_that_cannot_run_are_named),
        cmocka_unit_test(fed_defaults_are_no_constants),
        cmocka_unit_test(failing_allocations_are_errors),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
