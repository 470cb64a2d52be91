/* Algebra of dimensions: identities, and random expressions whose value must be the same whether they are
 * computed over numbers or built over symbols and bound afterwards. */
#include "cmk.h"

#include <stdlib.h>
#include <string.h>

#include "shape/dim_expr.h"

enum { NSYM = 4, NODES = 14, ROUNDS = 8000 };

struct world {
    struct arena arena;
    struct symtab *t;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return -1;
    w->t = symtab_new(&w->arena);
    *state = w;
    return w->t ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    arena_free(&w->arena);
    free(w);
    return 0;
}

static void expect_text(struct dim d, const char *want)
{
    char buf[256];
    assert_string_equal(dim_text(d, buf, sizeof buf), want);
}

static void expect_same(struct dim a, struct dim b)
{
    char x[256], y[256];
    if (!dim_same(a, b))
        fail_msg("%s and %s are not the same", dim_text(a, x, sizeof x), dim_text(b, y, sizeof y));
}

static void test_sums(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim s = dim_symbol(t, "s"), p = dim_symbol(t, "p"), one = dim_const(1);

    expect_same(dim_sub(t, dim_add(t, s, one), one), s);
    expect_same(dim_add(t, p, s), dim_add(t, s, p));
    expect_same(dim_sub(t, dim_add(t, p, s), p), s);
    expect_same(dim_sub(t, s, s), dim_const(0));
    expect_same(dim_mul(t, s, dim_const(0)), dim_const(0));
    expect_text(dim_add(t, s, p), "p + s");
    expect_text(dim_sub(t, dim_const(3), dim_mul(t, s, dim_const(2))), "-2*s + 3");
    /* (s + p)(s - p) = s^2 - p^2 */
    expect_text(dim_mul(t, dim_add(t, s, p), dim_sub(t, s, p)), "-p*p + s*s");
    assert_int_equal(dim_add(t, dim_const(INT64_MAX), one).kind, DIM_UNKNOWN);
    assert_int_equal(dim_mul(t, dim_const(INT64_MAX), dim_const(2)).kind, DIM_UNKNOWN);
    struct dim big = dim_mul(t, dim_const(INT64_MAX), s);
    assert_int_equal(dim_add(t, big, s).kind, DIM_UNKNOWN);
    assert_int_equal(dim_add(t, s, dim_unknown()).kind, DIM_UNKNOWN);
}

static void test_division(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim h = dim_symbol(t, "h"), two = dim_const(2), one = dim_const(1);
    struct dim half = dim_div_floor(t, h, two);

    expect_same(dim_div_floor(t, dim_mul(t, h, two), two), h);
    expect_same(dim_div_floor(t, dim_add(t, dim_mul(t, h, two), one), two), h);
    assert_false(dim_same(dim_mul(t, half, two), h));
    expect_same(dim_div_floor(t, half, two), dim_div_floor(t, h, dim_const(4)));
    expect_same(dim_div_ceil(t, h, two), dim_add(t, dim_div_floor(t, dim_sub(t, h, one), two), one));
    expect_text(dim_div_ceil(t, h, two), "floor((h + 1)/2)");
    /* The output of a convolution with stride 2 put through another: one division. */
    struct dim once = dim_add(t, dim_div_floor(t, dim_sub(t, h, one), two), one);
    expect_text(dim_add(t, dim_div_floor(t, dim_sub(t, once, one), two), one), "floor((h + 3)/4)");
    assert_int_equal(dim_div_floor(t, h, dim_const(0)).kind, DIM_UNKNOWN);
    assert_int_equal(dim_div_floor(t, h, dim_symbol(t, "w")).kind, DIM_UNKNOWN);
    struct dim w1 = dim_add(t, dim_symbol(t, "w"), one);
    expect_same(dim_div_floor(t, dim_mul(t, h, w1), w1), h);
    expect_same(dim_div_floor(t, dim_const(-7), two), dim_const(-4));
}

static void test_exact_division(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim b = dim_symbol(t, "b"), s = dim_symbol(t, "s"), p = dim_symbol(t, "p");
    struct dim len = dim_add(t, p, s), total = dim_mul(t, dim_mul(t, b, len), dim_const(768));

    expect_same(dim_div_exact(t, total, dim_mul(t, b, dim_const(12))), dim_mul(t, len, dim_const(64)));
    expect_same(dim_div_exact(t, total, dim_mul(t, len, dim_const(768))), b);
    expect_same(dim_div_exact(t, total, total), dim_const(1));
    assert_int_equal(dim_div_exact(t, total, dim_const(7)).kind, DIM_UNKNOWN);
    assert_int_equal(dim_div_exact(t, total, dim_mul(t, s, dim_const(2))).kind, DIM_UNKNOWN);
}

static void test_bounds(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim s = dim_symbol(t, "s"), p = dim_symbol(t, "p"), one = dim_const(1);
    struct dim half = dim_div_floor(t, s, dim_const(2));

    assert_int_equal(dim_cmp_ge(t, s, dim_const(0)), 1);
    assert_int_equal(dim_cmp_ge(t, s, one), 0);
    assert_int_equal(dim_cmp_ge(t, dim_add(t, p, s), s), 1);
    assert_int_equal(dim_cmp_ge(t, s, dim_add(t, s, one)), -1);
    assert_int_equal(dim_cmp_ge(t, s, half), 1);
    assert_int_equal(dim_cmp_ge(t, half, s), 0);
    assert_int_equal(dim_cmp_ge(t, s, dim_min(t, s, dim_const(512))), 1);
    expect_same(dim_max(t, dim_add(t, s, one), one), dim_add(t, s, one));
    expect_same(dim_min(t, s, dim_add(t, s, p)), s);
    expect_same(dim_min(t, s, p), dim_min(t, p, s));
    expect_same(dim_unclamp(t, dim_min(t, s, dim_const(512))), s);
}

static void test_texts(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim past = dim_symbol(t, "past_sequence"), seq = dim_symbol(t, "sequence");

    expect_same(dim_symbol(t, "past_sequence + sequence"), dim_add(t, past, seq));
    expect_same(dim_symbol(t, "sequence+past_sequence"), dim_add(t, past, seq));
    expect_same(dim_symbol(t, "2*s"), dim_mul(t, dim_symbol(t, "s"), dim_const(2)));
    expect_same(dim_symbol(t, "floor(h/2 - 1/2) + 1"), dim_symbol(t, "ceil(h/2)"));
    expect_same(dim_symbol(t, "(h + 1)//2"), dim_symbol(t, "ceiling(h/2)"));
    expect_same(dim_symbol(t, "Max(1, s + 1)"), dim_symbol(t, "s+1"));
    expect_same(dim_symbol(t, "224"), dim_const(224));
    expect_text(dim_symbol(t, "batch-size"), "batch-size");
    expect_text(dim_symbol(t, "h/2"), "h/2");
    expect_text(dim_symbol(t, "f(x)"), "f(x)");
    expect_text(dim_symbol(t, "a + "), "a + ");
    expect_text(dim_symbol(t, "3d"), "3d");
    assert_int_equal(dim_symbol(t, "").kind, DIM_UNKNOWN);
    assert_int_equal(dim_symbol(t, "?").kind, DIM_UNKNOWN);
    assert_int_equal(dim_symbol(t, "-1").kind, DIM_UNKNOWN);
    char deep[700];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    assert_int_equal(dim_symbol(t, deep).kind, DIM_EXPR);
    deep[400] = 0;
    assert_int_equal(dim_symbol(t, deep).kind, DIM_EXPR);
}

static void test_learning(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim s = dim_symbol(t, "s"), n = dim_symbol(t, "n"), u = dim_fresh(t), v = dim_fresh(t);

    size_t mark = dim_mark(t);
    assert_true(dim_unify(t, u, s));
    expect_same(dim_resolve(t, dim_add(t, u, dim_const(1))), dim_add(t, s, dim_const(1)));
    assert_true(dim_unify(t, dim_mul(t, v, dim_const(4)), dim_mul(t, s, dim_const(12))));
    expect_same(dim_resolve(t, v), dim_mul(t, s, dim_const(3)));
    assert_true(dim_unify(t, n, dim_add(t, s, dim_const(2))));
    expect_same(dim_resolve(t, n), dim_add(t, s, dim_const(2)));
    assert_true(dim_unify(t, s, dim_const(5)));
    expect_same(dim_resolve(t, n), dim_const(7));
    expect_same(dim_resolve(t, v), dim_const(15));
    assert_false(dim_unify(t, n, dim_const(8)));
    assert_true(dim_unify(t, n, dim_const(7)));
    dim_forget(t, mark);
    expect_same(dim_resolve(t, n), n);
    expect_same(dim_resolve(t, u), u);
}

static void test_broadcast(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim a = dim_symbol(t, "a"), b = dim_symbol(t, "b"), c = dim_symbol(t, "c");
    struct dim ab = dim_broadcast(t, a, b), two = dim_const(2);

    expect_text(ab, "broadcast(a, b)");
    expect_same(ab, dim_broadcast(t, b, a));
    expect_same(ab, dim_broadcast(t, a, ab));
    expect_same(ab, dim_broadcast(t, ab, dim_const(1)));
    expect_same(two, dim_broadcast(t, ab, two));
    expect_same(dim_const(0), dim_broadcast(t, dim_const(0), a));
    /* What is at least 2 is the result. */
    expect_same(dim_add(t, a, two), dim_broadcast(t, b, dim_add(t, a, two)));
    assert_int_equal(dim_broadcast(t, two, dim_const(3)).kind, DIM_UNKNOWN);
    struct dim abc = dim_broadcast(t, ab, c);
    expect_same(abc, dim_broadcast(t, dim_broadcast(t, c, b), a));
    expect_text(abc, "broadcast(a, b, c)");
    expect_same(abc, dim_symbol(t, "broadcast(c, a, b)"));

    assert_int_equal(dim_cmp_ge(t, ab, dim_const(0)), 1);
    assert_int_equal(dim_cmp_ge(t, ab, a), 0);

    size_t mark = dim_mark(t);
    assert_true(dim_unify(t, abc, dim_const(7)));
    expect_same(dim_resolve(t, dim_add(t, abc, a)), dim_add(t, a, dim_const(7)));
    assert_true(dim_unify(t, ab, a));
    expect_same(dim_resolve(t, ab), a);
    assert_true(dim_unify(t, b, two));
    expect_same(dim_resolve(t, dim_broadcast(t, b, c)), two);
    dim_forget(t, mark);
    expect_same(dim_resolve(t, ab), ab);
}

/* Against the definition, over all sizes that fit each other. */
static void test_broadcast_values(void **state)
{
    struct world *w = *state;
    struct dim sym[3] = {dim_symbol(w->t, "a"), dim_symbol(w->t, "b"), dim_symbol(w->t, "c")};
    struct dim all = dim_broadcast(w->t, dim_broadcast(w->t, sym[2], sym[0]), sym[1]);

    for (int i = 0; i < 64; i++) {
        int64_t x[3] = {i % 4, i / 4 % 4, i / 16}, want = 1;
        struct binding b = {0};
        bool fits = true;
        for (int k = 0; k < 3; k++) {
            fits &= want == 1 || x[k] == 1 || x[k] == want;
            want = want == 1 ? x[k] : want;
            assert_true(binding_set(w->t, &w->arena, &b, sym[k], x[k]));
        }
        struct dim got = dim_eval(w->t, &b, all);
        if (fits)
            expect_same(got, dim_const(want));
        else
            assert_int_equal(got.kind, DIM_UNKNOWN);
    }
}

static void test_even_division(void **state)
{
    struct world *w = *state;
    struct dim a = dim_symbol(w->t, "a"), b = dim_symbol(w->t, "b");
    struct dim q = dim_div_even(w->t, dim_mul(w->t, a, dim_const(3)), dim_mul(w->t, b, dim_const(4)));
    struct binding bind = {0};

    expect_same(dim_div_even(w->t, dim_mul(w->t, a, b), b), a);
    assert_int_equal(dim_div_floor(w->t, a, b).kind, DIM_UNKNOWN);
    assert_int_equal(q.kind, DIM_EXPR);
    assert_true(binding_set(w->t, &w->arena, &bind, a, 8));
    assert_int_equal(dim_eval(w->t, &bind, q).kind, DIM_EXPR);
    assert_true(binding_set(w->t, &w->arena, &bind, b, 2));
    expect_same(dim_eval(w->t, &bind, q), dim_const(3));
    bind.e[1].v = 0;
    assert_int_equal(dim_eval(w->t, &bind, q).kind, DIM_UNKNOWN);
}

/* 30,000 symbols chained: no recursion as deep as the chain. */
static void test_long_chain(void **state)
{
    struct symtab *t = ((struct world *)*state)->t;
    struct dim first = dim_fresh(t), at = first;

    for (int i = 0; i < 30000; i++) {
        struct dim next = dim_fresh(t);
        assert_true(dim_unify(t, at, dim_add(t, next, dim_const(1))));
        at = next;
    }
    assert_int_not_equal(dim_resolve(t, first).kind, DIM_UNKNOWN);
}

static void test_binding(void **state)
{
    struct world *w = *state;
    struct symtab *t = w->t;
    struct binding b = {0};
    struct dim s = dim_symbol(t, "s"), p = dim_symbol(t, "p");

    assert_true(binding_set(t, &w->arena, &b, s, 8));
    assert_false(binding_set(t, &w->arena, &b, s, 9));
    expect_same(dim_eval(t, &b, dim_add(t, s, p)), dim_add(t, p, dim_const(8)));
    assert_true(binding_set(t, &w->arena, &b, dim_add(t, s, p), 11));
    expect_same(dim_eval(t, &b, p), dim_const(3));
    assert_false(binding_set(t, &w->arena, &b, dim_add(t, s, p), 12));
    struct dim q = dim_mul(t, dim_symbol(t, "q"), dim_const(2));
    assert_false(binding_set(t, &w->arena, &b, q, 7));
    const char *names[4];
    assert_int_equal(dim_symbols(dim_mul(t, dim_add(t, s, p), s), names, 4), 2);
}

/* ---- random expressions ---- */

static uint64_t rng = 42;

static uint32_t rnd(uint32_t n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng >> 33) % n;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

struct node {
    uint32_t op, a, b;
    int64_t k;
};

/* The definition, over plain integers. False: out of a range in which nothing overflows. */
static int numbers(const struct node *e, const int64_t *sym, int64_t *v)
{
    for (int i = 0; i < NODES; i++) {
        int64_t a = v[e[i].a], b = v[e[i].b];
        switch (e[i].op) {
        case 0:
            v[i] = sym[e[i].k % NSYM];
            break;
        case 1:
            v[i] = e[i].k - 6;
            break;
        case 2:
            v[i] = a + b;
            break;
        case 3:
            v[i] = a - b;
            break;
        case 4:
            v[i] = a * b;
            break;
        case 5:
            v[i] = floor_div(a, e[i].k + 1);
            break;
        case 6:
            v[i] = -floor_div(-a, e[i].k + 1);
            break;
        case 7:
            v[i] = a < b ? a : b;
            break;
        default:
            v[i] = a > b ? a : b;
        }
        if (v[i] > 1000000000 || v[i] < -1000000000)
            return 0;
    }
    return 1;
}

static void symbols(struct symtab *t, const struct node *e, const struct dim *sym, struct dim *v)
{
    for (int i = 0; i < NODES; i++) {
        struct dim a = v[e[i].a], b = v[e[i].b];
        switch (e[i].op) {
        case 0:
            v[i] = sym[e[i].k % NSYM];
            break;
        case 1:
            v[i] = dim_const(e[i].k - 6);
            break;
        case 2:
            v[i] = dim_add(t, a, b);
            break;
        case 3:
            v[i] = dim_sub(t, a, b);
            break;
        case 4:
            v[i] = dim_mul(t, a, b);
            break;
        case 5:
            v[i] = dim_div_floor(t, a, dim_const(e[i].k + 1));
            break;
        case 6:
            v[i] = dim_div_ceil(t, a, dim_const(e[i].k + 1));
            break;
        case 7:
            v[i] = dim_min(t, a, b);
            break;
        default:
            v[i] = dim_max(t, a, b);
        }
    }
}

static void make(struct node *e)
{
    for (int i = 0; i < NODES; i++) {
        uint32_t op = i < 3 ? rnd(2) : rnd(9);
        e[i] = (struct node){op, i ? rnd((uint32_t)i) : 0, i ? rnd((uint32_t)i) : 0, rnd(12)};
    }
    e[0].op = 0;
}

static void check_round(struct world *w, const struct dim *sym, size_t *checked, size_t *symbolic)
{
    struct node e[NODES];
    struct dim d[NODES] = {{0}};
    char buf[512];

    make(e);
    symbols(w->t, e, sym, d);
    for (int trial = 0; trial < 4; trial++) {
        int64_t x[NSYM], v[NODES] = {0};
        struct binding b = {0};
        for (int i = 0; i < NSYM; i++) {
            x[i] = rnd(trial ? 40 : 3);
            assert_true(binding_set(w->t, &w->arena, &b, sym[i], x[i]));
        }
        if (!numbers(e, x, v))
            continue;
        for (int i = 0; i < NODES; i++) {
            if (d[i].kind == DIM_UNKNOWN)
                continue;
            struct dim got = dim_eval(w->t, &b, d[i]);
            if (!dim_is(got, v[i]))
                fail_msg("seed 42: %s is %lld, not %lld", dim_text(d[i], buf, sizeof buf), (long long)got.v,
                         (long long)v[i]);
            for (int j = 0; j < i; j++) {
                int ge = d[j].kind == DIM_UNKNOWN ? 0 : dim_cmp_ge(w->t, d[i], d[j]);
                if ((ge > 0 && v[i] < v[j]) || (ge < 0 && v[i] >= v[j]))
                    fail_msg("seed 42: wrong bound for %s", dim_text(d[i], buf, sizeof buf));
                /* The same pointer means the same value. */
                if (dim_same(d[i], d[j]))
                    assert_true(v[i] == v[j]);
            }
            *symbolic += d[i].kind == DIM_EXPR;
        }
        ++*checked;
    }
}

static void test_random(void **state)
{
    struct dim sym[NSYM];
    size_t checked = 0, symbolic = 0;
    struct world *w = *state;

    for (int round = 0; round < ROUNDS; round++) {
        if (round % 500 == 0) {
            arena_free(&w->arena);
            w->t = symtab_new(&w->arena);
            for (int i = 0; i < NSYM; i++)
                sym[i] = dim_symbol(w->t, (const char *[]){"a", "b", "c", "d"}[i]);
        }
        check_round(w, sym, &checked, &symbolic);
    }
    assert_true(checked > ROUNDS && symbolic > 4 * (size_t)ROUNDS);
}

/* What is printed parses back into the same expression. */
static void test_text_round_trip(void **state)
{
    struct world *w = *state;
    struct dim sym[NSYM];
    struct node e[NODES];
    char buf[480];
    size_t done = 0;

    for (int i = 0; i < NSYM; i++)
        sym[i] = dim_symbol(w->t, (const char *[]){"a", "b", "c", "d"}[i]);
    for (int round = 0; round < 3000; round++) {
        struct dim d[NODES] = {{0}};
        make(e);
        symbols(w->t, e, sym, d);
        struct dim last = d[NODES - 1];
        dim_text(last, buf, sizeof buf);
        if (last.kind != DIM_EXPR || strlen(buf) + 1 == sizeof buf)
            continue;
        expect_same(dim_symbol(w->t, buf), last);
        done++;
    }
    assert_true(done > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_division, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exact_division, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broadcast, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broadcast_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_even_division, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_binding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_round_trip, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
