/* The checker: each defect gives its code, at its place; models without defects give none. Models are written
 * here byte by byte, since no library of ours would write most of them. */
#include "cmk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "check/check.h"

static struct cx cx;
static char path[64];

static int setup(void **state)
{
    (void)state;
    cx_init(&cx);
    snprintf(path, sizeof path, "/tmp/ot-check-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    cx_fini(&cx);
    return unlink(path);
}

/* ---- writing messages ---- */

static void varint(struct str *s, uint64_t v)
{
    for (; v > 127; v >>= 7)
        str_addc(s, (char)(v | 128));
    str_addc(s, (char)v);
}

static void num(struct str *s, int field, int64_t v)
{
    varint(s, (uint64_t)field << 3);
    varint(s, (uint64_t)v);
}

static void bytes(struct str *s, int field, const char *p, size_t n)
{
    varint(s, (uint64_t)field << 3 | 2);
    varint(s, n);
    str_addn(s, p, n);
}

static void text(struct str *s, int field, const char *p)
{
    bytes(s, field, p, strlen(p));
}

/* Takes over sub. */
static void msg(struct str *s, int field, struct str sub)
{
    bytes(s, field, str_text(&sub), sub.n);
    str_free(&sub);
}

/* A float tensor of dims[0..n). */
static struct str value(const char *name, const int64_t *dims, int n)
{
    struct str shape = {0}, tensor = {0}, type = {0}, v = {0};
    for (int i = 0; i < n; i++) {
        struct str dim = {0};
        num(&dim, 1, dims[i]);
        msg(&shape, 1, dim);
    }
    num(&tensor, 1, 1);
    msg(&tensor, 2, shape);
    msg(&type, 1, tensor);
    text(&v, 1, name);
    msg(&v, 2, type);
    return v;
}

/* Names of inputs and outputs apart by one space; "-" is one left out. */
static void names(struct str *s, int field, const char *list)
{
    char word[40];
    int used;
    for (; sscanf(list, " %39s%n", word, &used) == 1; list += used)
        text(s, field, strcmp(word, "-") == 0 ? "" : word);
}

static struct str attr_int(const char *name, int64_t v)
{
    struct str a = {0};
    text(&a, 1, name);
    num(&a, 3, v);
    num(&a, 20, 2);
    return a;
}

static struct str node(const char *name, const char *op, const char *in, const char *out)
{
    struct str n = {0};
    names(&n, 1, in);
    names(&n, 2, out);
    text(&n, 3, name);
    text(&n, 4, op);
    return n;
}

/* ---- a model: x -> Relu 'a' -> m -> Neg 'b' -> y, and what a test adds ---- */

struct parts {
    struct str graph, model;
    int64_t ir, opset;
    bool no_nodes, no_name;
};

static const int64_t two[] = {2, 3};

static void begin(struct parts *p)
{
    *p = (struct parts){.ir = 9, .opset = 18};
    msg(&p->graph, 11, value("x", two, 2));
    msg(&p->graph, 12, value("y", two, 2));
}

static void two_nodes(struct parts *p)
{
    msg(&p->graph, 1, node("a", "Relu", "x", "m"));
    msg(&p->graph, 1, node("b", "Neg", "m", "y"));
}

static void write_model(struct parts *p)
{
    struct str m = {0}, set = {0};
    num(&m, 1, p->ir);
    if (!p->no_name)
        text(&p->graph, 2, "g");
    msg(&m, 7, p->graph);
    num(&set, 2, p->opset);
    if (p->opset)
        msg(&m, 8, set);
    else
        str_free(&set);
    str_addn(&m, str_text(&p->model), p->model.n);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(m.p, 1, m.n, f), m.n);
    assert_int_equal(fclose(f), 0);
    str_free(&m);
    str_free(&p->model);
}

/* ---- expectations ---- */

static void print_all(const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        fprintf(stderr, "# %s %s: %s: %s\n", finding_kind(f->v[i].code)->code, f->v[i].graph, f->v[i].node,
                f->v[i].text);
}

/* The model as written has exactly the finding `code`, whose node and text contain the words. NULL: none. */
static void expect(struct parts *p, const char *code, const char *in_node, const char *in_text)
{
    struct arena a = {0};
    struct findings f;
    write_model(p);
    assert_int_equal(check_file(&cx, path, NULL, &a, &f), OK);
    if (f.n != (code != NULL))
        print_all(&f);
    assert_int_equal(f.n, code != NULL);
    if (code) {
        assert_string_equal(finding_kind(f.v[0].code)->code, code);
        assert_non_null(strstr(f.v[0].node, in_node));
        assert_non_null(strstr(f.v[0].text, in_text));
        assert_int_equal(f.errors, finding_kind(f.v[0].code)->error);
    }
    arena_free(&a);
}

/* At least one finding has the code. */
static void expect_among(struct parts *p, const char *code)
{
    struct arena a = {0};
    struct findings f;
    bool found = false;
    write_model(p);
    assert_int_equal(check_file(&cx, path, NULL, &a, &f), OK);
    for (size_t i = 0; i < f.n; i++)
        found |= strcmp(finding_kind(f.v[i].code)->code, code) == 0;
    if (!found)
        print_all(&f);
    assert_true(found);
    arena_free(&a);
}

/* ---- tests ---- */

static void table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < FC_COUNT; i++)
        assert_true(strcmp(finding_kind(i)->code, finding_kind(i + 1)->code) < 0);
    for (size_t i = 0; i < FC_COUNT; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(finding_kind(i)->name, finding_kind(k)->name);
    assert_null(finding_kind(FC_COUNT));
}

static void good_model(void **state)
{
    struct parts p;
    (void)state;
    begin(&p);
    two_nodes(&p);
    expect(&p, NULL, "", "");
}

static void versions(void **state)
{
    struct parts p;
    (void)state;
    begin(&p), two_nodes(&p), p.ir = 0;
    expect_among(&p, "OT101");
    begin(&p), two_nodes(&p), p.ir = 999;
    expect(&p, "OT102", "", "999");
    begin(&p), two_nodes(&p), p.opset = 0;
    expect(&p, "OT103", "", "");
    begin(&p), two_nodes(&p), p.ir = 2;
    expect(&p, "OT104", "", "");
    begin(&p), two_nodes(&p), p.no_name = true;
    expect(&p, "OT201", "", "");
}

static void order_and_names(void **state)
{
    struct parts p;
    (void)state;
    begin(&p);
    msg(&p.graph, 1, node("b", "Neg", "m", "y"));
    msg(&p.graph, 1, node("a", "Relu", "x", "m"));
    expect(&p, "OT208", "'b'", "'m'");
    begin(&p), two_nodes(&p);
    msg(&p.graph, 1, node("c", "Neg", "nothing", "z"));
    expect(&p, "OT207", "'c'", "'nothing'");
    begin(&p), two_nodes(&p);
    msg(&p.graph, 1, node("c", "Neg", "x", "m"));
    expect(&p, "OT204", "'c'", "'m'");
    begin(&p), two_nodes(&p);
    msg(&p.graph, 11, value("x", two, 2));
    expect(&p, "OT202", "", "'x'");
    begin(&p), two_nodes(&p);
    msg(&p.graph, 12, value("z", two, 2));
    expect(&p, "OT210", "", "'z'");
}

/* 'd' feeds the cycle of 'e' and 'f', and is not named. */
static void cycles(void **state)
{
    struct parts p;
    struct arena a = {0};
    struct findings f;
    size_t seen = 0;
    (void)state;
    begin(&p), two_nodes(&p);
    msg(&p.graph, 1, node("d", "Neg", "x", "d1"));
    msg(&p.graph, 1, node("e", "Add", "d1 f1", "e1"));
    msg(&p.graph, 1, node("f", "Neg", "e1", "f1"));
    msg(&p.graph, 1, node("h", "Neg", "f1", "h1"));
    write_model(&p);
    assert_int_equal(check_file(&cx, path, NULL, &a, &f), OK);
    for (size_t i = 0; i < f.n; i++)
        if (f.v[i].code == FC_CYCLE) {
            seen++;
            assert_non_null(strstr(f.v[i].node, "'e'"));
            assert_int_equal(strncmp(f.v[i].text, "2 nodes", 7), 0);
        }
    assert_int_equal(seen, 1);
    arena_free(&a);
}

static void nodes(void **state)
{
    static const struct {
        const char *op, *in, *out, *code, *text;
    } row[] = {
        {"Nag", "x", "z", "OT303", "Nag"},           {"Upsample", "x x", "z", "OT304", "Upsample"},
        {"Add", "x", "z", "OT305", "1 inputs"},      {"Relu", "x x", "z", "OT306", "2 inputs"},
        {"Relu", "x", "z zz", "OT308", "2 outputs"}, {"Add", "x -", "z", "OT309", "'B'"},
        {"Relu", "x", "-", "OT310", "'Y'"},          {"Cast", "x", "z", "OT405", "'to'"},
    };
    struct parts p;
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        begin(&p), two_nodes(&p);
        msg(&p.graph, 1, node("c", row[i].op, row[i].in, row[i].out));
        write_model(&p);
        struct arena a = {0};
        struct findings f;
        assert_int_equal(check_file(&cx, path, NULL, &a, &f), OK);
        assert_true(f.n > 0);
        assert_string_equal(finding_kind(f.v[0].code)->code, row[i].code);
        assert_non_null(strstr(f.v[0].node, "'c'"));
        assert_non_null(strstr(f.v[0].text, row[i].text));
        assert_true(f.v[0].at != UINT64_MAX);
        arena_free(&a);
    }
}

static void attributes(void **state)
{
    struct parts p;
    struct str n;
    (void)state;
    begin(&p), two_nodes(&p);
    n = node("c", "Relu", "x", "z");
    msg(&n, 5, attr_int("slope", 1));
    msg(&p.graph, 1, n);
    expect(&p, "OT403", "'c'", "'slope'");
    begin(&p), two_nodes(&p);
    n = node("c", "LeakyRelu", "x", "z");
    msg(&n, 5, attr_int("alpha", 1));
    msg(&p.graph, 1, n);
    expect_among(&p, "OT404");
    begin(&p), two_nodes(&p);
    n = node("c", "Flatten", "x", "z");
    msg(&n, 5, attr_int("axis", 1));
    msg(&n, 5, attr_int("axis", 0));
    msg(&p.graph, 1, n);
    expect(&p, "OT402", "'c'", "'axis'");
}

static void tensors(void **state)
{
    struct parts p;
    struct str t = {0};
    (void)state;
    begin(&p), two_nodes(&p);
    num(&t, 1, 2); /* dims [2] of float, 4 bytes of data */
    num(&t, 2, 1);
    text(&t, 8, "w");
    bytes(&t, 9, "\0\0\0\0", 4);
    msg(&p.graph, 5, t);
    expect(&p, "OT503", "", "'w'");
    begin(&p), two_nodes(&p);
    t = (struct str){0};
    num(&t, 1, -1);
    num(&t, 2, 1);
    text(&t, 8, "w");
    msg(&p.graph, 5, t);
    expect(&p, "OT502", "", "'w'");
}

static void types(void **state)
{
    static const int64_t other[] = {2, 4};
    struct parts p;
    (void)state;
    begin(&p), two_nodes(&p);
    msg(&p.graph, 13, value("m", other, 2));
    expect(&p, "OT606", "'a'", "'m'");
    begin(&p), two_nodes(&p);
    msg(&p.graph, 11, value("o", other, 2));
    msg(&p.graph, 1, node("c", "Add", "x o", "z"));
    expect(&p, "OT607", "'c'", "broadcast");
    begin(&p), two_nodes(&p);
    msg(&p.graph, 1, node("c", "BitwiseNot", "x", "z"));
    expect(&p, "OT608", "'c'", "float");
    begin(&p), two_nodes(&p);
    msg(&p.graph, 1, node("s", "Shape", "x", "sh"));
    msg(&p.graph, 1, node("c", "Concat", "sh x", "z"));
    expect_among(&p, "OT609");
}

static void functions(void **state)
{
    struct parts p;
    struct str f = {0}, set = {0}, own = {0}, n, import = {0};
    (void)state;
    begin(&p), two_nodes(&p);
    text(&f, 1, "F");
    text(&f, 4, "a");
    text(&f, 5, "b");
    n = node("in", "F", "a", "b");
    text(&n, 7, "my");
    msg(&f, 7, n);
    num(&set, 2, 18);
    msg(&f, 9, set);
    text(&own, 1, "my");
    num(&own, 2, 1);
    msg(&f, 9, own);
    text(&f, 10, "my");
    msg(&p.model, 25, f);
    text(&import, 1, "my");
    num(&import, 2, 1);
    msg(&p.model, 8, import);
    expect(&p, "OT703", "", "'F'");
}

static void metadata(void **state)
{
    struct parts p;
    (void)state;
    begin(&p), two_nodes(&p);
    for (int i = 0; i < 2; i++) {
        struct str e = {0};
        text(&e, 1, "author");
        text(&e, 2, "me");
        msg(&p.model, 14, e);
    }
    expect(&p, "OT109", "", "'author'");
}

/* Every allocation in turn fails: an error or a result, never a crash. */
static void out_of_memory(void **state)
{
    struct parts p;
    int rc = E_NOMEM;
    (void)state;
    begin(&p), two_nodes(&p);
    msg(&p.graph, 1, node("c", "Add", "x nothing", "m"));
    write_model(&p);
    for (long k = 0; rc; k++) {
        struct arena a = {0};
        struct findings f;
        struct cx quiet;
        cx_init(&quiet);
        mem_fail_after(k);
        rc = check_file(&quiet, path, NULL, &a, &f);
        mem_fail_after(-1);
        if (!rc)
            assert_true(f.errors >= 1);
        arena_free(&a);
        cx_fini(&quiet);
        assert_true(k < 10000);
    }
}

static void before_a_run(void **state)
{
    struct parts p;
    struct model *m;
    (void)state;
    begin(&p), two_nodes(&p);
    msg(&p.graph, 1, node("c", "Relu", "x x", "z"));
    write_model(&p);
    assert_int_equal(model_load(&cx, path, NULL, &m), OK);
    assert_int_equal(check_before_run(&cx, m), E_MODEL);
    assert_non_null(strstr(cx.err.msg, "OT306"));
    model_free(m);
    /* Out of order, but sorted by the loader: it computes what was meant. */
    begin(&p);
    msg(&p.graph, 1, node("b", "Neg", "m", "y"));
    msg(&p.graph, 1, node("a", "Relu", "x", "m"));
    write_model(&p);
    assert_int_equal(model_load(&cx, path, NULL, &m), OK);
    assert_int_equal(check_before_run(&cx, m), OK);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound),  cmocka_unit_test(good_model), cmocka_unit_test(versions),
        cmocka_unit_test(order_and_names), cmocka_unit_test(cycles),     cmocka_unit_test(nodes),
        cmocka_unit_test(attributes),      cmocka_unit_test(tensors),    cmocka_unit_test(types),
        cmocka_unit_test(functions),       cmocka_unit_test(metadata),   cmocka_unit_test(out_of_memory),
        cmocka_unit_test(before_a_run),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
