/* The interface of execution providers, by two that are made up: what they claim runs on them and on nothing
 * else, in the order of the list, and what goes wrong there is said. */
#include "build.h"

#include "session/session.h"

enum failure { NONE, OPEN_FAILS, OPEN_SILENT, BUILD_FAILS, BUILD_SILENT, BUILD_EMPTY, RUN_FAILS, RUN_SILENT };

enum { MOST = 64 };

/* A provider that computes with the reference of each operator, and writes down what it was asked to do. */
struct mock {
    const char *claims; /* " Relu Neg " */
    enum failure failure;
    const char *device; /* its one option */
    int opened, closed, built, nran;
    const char *ran[MOST];
};

static struct mock mock_a, mock_b;
static struct cx cx;

static int open_mock(struct cx *c, struct mock *m, const struct prov_option *opts, size_t n, void **state)
{
    if (m->failure == OPEN_SILENT)
        return E_IO;
    if (m->failure == OPEN_FAILS)
        return err_set(c, E_UNSUPPORTED, "no such device");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(opts[i].key, "device"))
            return err_set(c, E_USAGE, "no option '%s'", opts[i].key);
        m->device = opts[i].value;
    }
    m->opened++;
    *state = m;
    return OK;
}

static int open_a(struct cx *c, const struct prov_option *opts, size_t n, void **state)
{
    return open_mock(c, &mock_a, opts, n, state);
}

static int open_b(struct cx *c, const struct prov_option *opts, size_t n, void **state)
{
    return open_mock(c, &mock_b, opts, n, state);
}

static void close_mock(void *state)
{
    ((struct mock *)state)->closed++;
}

static bool mock_supports(void *state, const struct bind_ctx *bc, const void *params, char *why, size_t size)
{
    const struct mock *m = state;
    char word[64];
    (void)params;
    snprintf(word, sizeof word, " %s ", bc->node->op_type);
    if (strstr(m->claims, word))
        return true;
    if (strcmp(bc->node->op_type, "Tanh")) /* of Tanh it gives no reason */
        snprintf(why, size, "no shader for %s", bc->node->op_type);
    return false;
}

struct mock_step {
    struct mock *m;
    const struct op *op;
    const void *params;
};

static int run_mock(struct exec_ctx *ec, const void *state)
{
    const struct mock_step *s = state;
    if (s->m->nran < MOST)
        s->m->ran[s->m->nran++] = ec->node->name;
    if (s->m->failure == RUN_SILENT)
        return E_IO;
    if (s->m->failure == RUN_FAILS)
        return err_set(ec->cx, E_IO, "the device was lost");
    return s->op->ref(ec, s->params);
}

static int mock_build(void *state, struct bind_ctx *bc, const void *params, struct step *step)
{
    struct mock *m = state;
    struct mock_step *s = arena_zalloc(bc->arena, sizeof *s);
    assert_non_null(s);
    m->built++;
    if (m->failure == BUILD_FAILS)
        return err_set(bc->cx, E_UNSUPPORTED, "the shader does not compile");
    if (m->failure == BUILD_SILENT)
        return E_IO;
    *s = (struct mock_step){m, bc->node->op, params};
    if (m->failure != BUILD_EMPTY)
        *step = (struct step){.run = run_mock, .state = s, .kernel = "made up"};
    return OK;
}

static const struct provider prov_a = {"a", "made up", open_a, close_mock, mock_supports, mock_build},
                             prov_b = {"b", "made up", open_b, close_mock, mock_supports, mock_build};
static const struct provider *const extra[] = {&prov_a, &prov_b};

/* ---- a model, and sessions of it ---- */

/* y = x > 0 ? Abs(Neg(Relu(x))) : Sigmoid(x), and z = Tanh(Neg(x)). */
static struct model *make_model(void)
{
    struct build b = build_new(&cx, 14);
    build_in(&b, "x", DT_FLOAT, "1");
    build_float(&b, "zero", 0);
    build_node(&b, "Greater", "x zero", "positive");
    build_node(&b, "Squeeze", "positive", "flag");
    struct node *iff = build_node(&b, "If", "flag", "y");
    struct build yes = build_body(&b, iff, "then_branch"), no = build_body(&b, iff, "else_branch");
    build_node(&yes, "Relu", "x", "relu");
    build_node(&yes, "Neg", "relu", "neg");
    build_node(&yes, "Abs", "neg", "abs");
    build_body_out(&yes, "abs");
    build_node(&no, "Sigmoid", "x", "sig");
    build_body_out(&no, "sig");
    build_node(&b, "Neg", "x", "minus");
    build_node(&b, "Tanh", "minus", "z");
    build_out(&b, "y", DT_FLOAT, NULL);
    build_out(&b, "z", DT_FLOAT, "1");
    return b.m;
}

static int setup(void **state)
{
    (void)state;
    mock_a = (struct mock){.claims = ""};
    mock_b = (struct mock){.claims = ""};
    err_clear(&cx);
    return 0;
}

static int try_open(const char *const *list, bool strict, const struct prov_option *opts, size_t nopts,
                    struct session **s)
{
    struct session_opts o = {.level = OPT_NONE,
                             .threads = 1,
                             .providers = list,
                             .extra = extra,
                             .nextra = 2,
                             .prov_opts = opts,
                             .nprov_opts = nopts,
                             .strict = strict};
    *s = NULL;
    err_clear(&cx);
    return session_new(&cx, make_model(), &o, s);
}

static struct session *open_session(const char *const *list)
{
    struct session *s;
    assert_int_equal(try_open(list, false, NULL, 0, &s), OK);
    return s;
}

static const char *message(void)
{
    static char text[1024];
    err_format(&cx.err, text, sizeof text);
    return text;
}

static int run(struct session *s, float x, float *y, float *z)
{
    int64_t one = 1;
    struct tensor in = {0};
    const struct tensor *outs[2];
    assert_int_equal(tensor_new(&cx, &in, DT_FLOAT, 1, &one), OK);
    *(float *)in.data = x;
    int rc = session_run(&cx, s, &in, outs);
    if (!rc) {
        *y = *(const float *)outs[0]->data;
        *z = *(const float *)outs[1]->data;
    }
    tensor_drop(&in);
    return rc;
}

/* ---- placement against what ran ---- */

struct witness {
    struct session *s;
    int steps, on_a, on_b;
};

/* Whether the latest step of the mock is this node. */
static bool just_ran(const struct mock *m, const char *node)
{
    return m->nran && strcmp(m->ran[m->nran - 1], node) == 0;
}

static int see(void *user, struct cx *c, const struct prog_step *p, const struct tensor *const *in,
               struct tensor *const *out)
{
    struct witness *w = user;
    const char *planned = w->s->ex.prov[p->provider]->name;
    (void)c;
    (void)in;
    (void)out;
    w->steps++;
    bool a = just_ran(&mock_a, p->node->name), b = just_ran(&mock_b, p->node->name);
    w->on_a += a;
    w->on_b += b;
    assert_string_equal(planned, a ? "a" : b ? "b" : "cpu");
    if (a || b)
        assert_string_equal(p->bound.kernel, "made up");
    return OK;
}

static void claims_are_what_runs(void **state)
{
    static const char *const list[] = {"a", "b", "cpu", NULL};
    struct witness w = {0};
    float y, z;
    (void)state;
    mock_a.claims = " Relu Abs ";
    mock_b.claims = " Neg Abs Sigmoid ";
    w.s = open_session(list);
    assert_int_equal(mock_a.built, 2); /* of all bodies, taken or not */
    assert_int_equal(mock_b.built, 3); /* Abs went to the first that takes it */
    w.s->ex.hooks = (struct exec_hooks){see, &w};
    assert_int_equal(run(w.s, 2, &y, &z), OK);
    assert_true(y == 2 && z < -0.96f && z > -0.97f);
    assert_int_equal(w.steps, 8); /* Sigmoid was not reached */
    assert_int_equal(w.on_a, 2);
    assert_int_equal(w.on_b, 2);
    assert_int_equal(run(w.s, -1, &y, &z), OK);
    assert_int_equal(w.on_a, 2);
    assert_int_equal(w.on_b, 4);
    assert_true(y > 0.268f && y < 0.27f);
    session_free(w.s);
    assert_int_equal(mock_a.closed, 1);
    assert_int_equal(mock_b.closed, 1);
}

static void only_listed_providers_run_nodes(void **state)
{
    static const char *const list[] = {"cpu", NULL}, *const alone[] = {"a", NULL};
    struct session *s;
    float y, z;
    (void)state;
    mock_a.claims = " Relu Neg Abs ";
    s = open_session(list);
    assert_int_equal(run(s, 2, &y, &z), OK);
    assert_int_equal(mock_a.opened + mock_a.nran, 0);
    session_free(s);
    assert_int_equal(try_open(alone, false, NULL, 0, &s), E_UNSUPPORTED);
    assert_non_null(strstr(message(), "5 nodes cannot run here"));
    assert_non_null(strstr(message(), "'sig' (Sigmoid-13): no shader for Sigmoid"));
    assert_non_null(strstr(message(), "'z' (Tanh-13): declined"));
    assert_int_equal(mock_a.closed, 1);
}

static void cpu_first_leaves_nothing_to_others(void **state)
{
    static const char *const list[] = {"cpu", "a", NULL};
    float y, z;
    (void)state;
    mock_a.claims = " Relu Neg Abs ";
    struct session *s = open_session(list);
    assert_int_equal(run(s, 2, &y, &z), OK);
    assert_int_equal(mock_a.built + mock_a.nran, 0);
    session_free(s);
}

static void declining_is_said(void **state)
{
    static const char *const list[] = {"a", "b", "cpu", NULL};
    int said = 0;
    (void)state;
    mock_b.claims = " Neg ";
    struct session *s = open_session(list);
    for (const struct prog *p = s->ex.progs; p; p = p->next)
        for (uint32_t i = 0; i < p->nsteps; i++) {
            const struct node *n = p->steps[i].node;
            const char *why = s->ex.declined[n->id];
            assert_non_null(why);
            if (strcmp(n->op_type, "Neg") == 0)
                assert_string_equal(why, "a: no shader for Neg");
            else if (strcmp(n->op_type, "Tanh") == 0)
                assert_string_equal(why, "a: declined; b: declined");
            said++;
        }
    assert_int_equal(said, 9);
    session_free(s);
}

static void strict_names_all_that_the_first_declines(void **state)
{
    static const char *const list[] = {"a", "cpu", NULL}, *const cpu[] = {"cpu", "a", NULL};
    struct session *s;
    (void)state;
    mock_a.claims = " Greater Squeeze If Relu Neg Tanh ";
    assert_int_equal(try_open(list, true, NULL, 0, &s), E_DECLINED);
    assert_null(s);
    assert_non_null(strstr(message(), "provider a declined 2 nodes"));
    assert_non_null(strstr(message(), "'abs' (Abs-13): a: no shader for Abs"));
    assert_non_null(strstr(message(), "'sig' (Sigmoid-13)"));
    assert_int_equal(mock_a.built, 0);
    assert_int_equal(mock_a.closed, mock_a.opened);
    assert_int_equal(try_open(cpu, true, NULL, 0, &s), OK);
    session_free(s);
}

/* ---- what goes wrong there ---- */

static void failing_to_build_is_an_error(void **state)
{
    static const char *const list[] = {"a", "cpu", NULL};
    static const struct {
        enum failure f;
        int status;
        const char *text;
    } cases[] = {{BUILD_FAILS, E_UNSUPPORTED, "the shader does not compile"},
                 {BUILD_SILENT, E_IO, "did not say why"},
                 {BUILD_EMPTY, E_INTERNAL, "built nothing"}};
    struct session *s;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setup(NULL);
        mock_a.claims = " Abs ";
        mock_a.failure = cases[i].f;
        assert_int_equal(try_open(list, false, NULL, 0, &s), cases[i].status);
        assert_null(s);
        assert_non_null(strstr(message(), cases[i].text));
        assert_non_null(strstr(message(), "node 'abs' (Abs-13) on provider a"));
        assert_int_equal(mock_a.closed, 1);
    }
}

static void failing_to_run_is_an_error(void **state)
{
    static const char *const list[] = {"a", "cpu", NULL};
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        float y = 77, z = 77;
        setup(NULL);
        mock_a.claims = " Abs ";
        mock_a.failure = silent ? RUN_SILENT : RUN_FAILS;
        struct session *s = open_session(list);
        assert_int_equal(run(s, 1, &y, &z), E_IO);
        assert_true(y == 77 && z == 77);
        assert_non_null(strstr(message(), silent ? "did not say why" : "the device was lost"));
        assert_non_null(strstr(message(), "node 'abs' (Abs-13) on provider a"));
        assert_int_equal(mock_a.nran, 1);
        err_clear(&cx);
        assert_int_equal(run(s, -1, &y, &z), OK); /* the other branch does not need it */
        mock_a.failure = NONE;
        assert_int_equal(run(s, 3, &y, &z), OK); /* and the session has not moved the node */
        assert_int_equal(mock_a.nran, 2);
        assert_true(y == 3);
        session_free(s);
    }
}

static void failing_to_open_is_an_error(void **state)
{
    static const char *const list[] = {"b", "a", "cpu", NULL};
    struct session *s;
    (void)state;
    mock_a.failure = OPEN_FAILS;
    assert_int_equal(try_open(list, false, NULL, 0, &s), E_UNSUPPORTED);
    assert_string_equal(message(), "provider a: no such device");
    assert_int_equal(mock_b.closed, 1);
    assert_int_equal(mock_a.closed, 0);
    mock_a.failure = OPEN_SILENT;
    assert_int_equal(try_open(list, false, NULL, 0, &s), E_IO);
    assert_non_null(strstr(message(), "provider a: "));
}

static void options_reach_their_provider(void **state)
{
    static const char *const list[] = {"a", "cpu", NULL};
    static const char *const twice[] = {"a", "cpu", "a", NULL}, *const nobody[] = {"c", NULL};
    const struct prov_option good[] = {{"a.device", "7"}}, bad[] = {{"a.devise", "7"}},
                             other[] = {{"b.device", "7"}}, cpu[] = {{"cpu.device", "7"}};
    struct session *s;
    (void)state;
    assert_int_equal(try_open(list, false, good, 1, &s), OK);
    assert_string_equal(mock_a.device, "7");
    session_free(s);
    assert_int_equal(try_open(list, false, bad, 1, &s), E_USAGE);
    assert_non_null(strstr(message(), "devise"));
    assert_int_equal(try_open(list, false, other, 1, &s), E_USAGE);
    assert_non_null(strstr(message(), "b.device"));
    assert_int_equal(try_open(list, false, cpu, 1, &s), E_USAGE);
    assert_int_equal(try_open(twice, false, NULL, 0, &s), E_USAGE);
    assert_non_null(strstr(message(), "listed twice"));
    assert_int_equal(try_open(nobody, false, NULL, 0, &s), E_USAGE);
    assert_int_equal(mock_a.opened, mock_a.closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(claims_are_what_runs, setup),
        cmocka_unit_test_setup(only_listed_providers_run_nodes, setup),
        cmocka_unit_test_setup(cpu_first_leaves_nothing_to_others, setup),
        cmocka_unit_test_setup(declining_is_said, setup),
        cmocka_unit_test_setup(strict_names_all_that_the_first_declines, setup),
        cmocka_unit_test_setup(failing_to_build_is_an_error, setup),
        cmocka_unit_test_setup(failing_to_run_is_an_error, setup),
        cmocka_unit_test_setup(failing_to_open_is_an_error, setup),
        cmocka_unit_test_setup(options_reach_their_provider, setup),
    };
    cx_init(&cx);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
