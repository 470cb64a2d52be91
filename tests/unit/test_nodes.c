/* One-node models from testdata/nodes.zip (tests/node/make_cases.py) and its neighbours: every operator that
 * we have must give what the case expects; operators that nobody has written yet are counted, and listed with
 * NODES_VERBOSE=1. NODES=glob runs some cases only. Also checks the operator index. Runs in the folder of the
 * repository. */
#include "cmk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zip.h>

#include "base/str.h"
#include "io/onnx_load.h"
#include "io/tensor_pb.h"
#include "onnxtool.h"
#include "ops/schema.h"
#include "session/session.h"

enum { MAX_FILES = 64, WHY = 1200 };

struct piece {
    char name[64];
    const char *data;
    size_t n;
};

struct node_case {
    char name[160];
    double rtol, atol;
    struct piece files[MAX_FILES];
    int nfiles;
};

static char *blob;
static size_t blob_size;
static char folder[64];

/* ---- reading the archive ---- */

/* Read one behind the other. */
static const char *const archives[] = {"testdata/nodes.zip", "testdata/contrib.zip",
                                       "testdata/quant.zip", "testdata/defined.zip",
                                       "testdata/rest.zip",  "testdata/property.zip"};

static int add_archive(const char *path)
{
    zip_stat_t st;
    zip_t *z = zip_open(path, ZIP_RDONLY, NULL);
    if (!z || zip_stat(z, "nodes.bin", 0, &st))
        return -1;
    blob = realloc(blob, blob_size + st.size + 1);
    zip_file_t *f = zip_fopen(z, "nodes.bin", 0);
    if (!blob || !f || zip_fread(f, blob + blob_size, st.size) != (zip_int64_t)st.size)
        return -1;
    blob_size += st.size;
    blob[blob_size] = 0;
    zip_fclose(f);
    zip_discard(z);
    return 0;
}

static int open_archive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(archives) / sizeof(archives[0]); i++)
        if (add_archive(archives[i]))
            return -1;
    snprintf(folder, sizeof folder, "%s/onnxtool-nodes-XXXXXX", P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static int close_archive(void **state)
{
    (void)state;
    free(blob);
    return rmdir(folder);
}

/* The case at *pos, which is moved behind it. */
static bool next_case(size_t *pos, struct node_case *c)
{
    int used = 0;
    memset(c, 0, sizeof *c);
    if (*pos >= blob_size ||
        sscanf(blob + *pos, "case %159s %lf %lf\n%n", c->name, &c->rtol, &c->atol, &used) != 3)
        return false;
    *pos = (size_t)(strchr(blob + *pos, '\n') - blob) + 1;
    while (*pos < blob_size && !strncmp(blob + *pos, "file ", 5)) {
        struct piece *p = &c->files[c->nfiles++];
        assert_true(c->nfiles < MAX_FILES);
        assert_int_equal(sscanf(blob + *pos, "file %63s %zu", p->name, &p->n), 2);
        *pos = (size_t)(strchr(blob + *pos, '\n') - blob) + 1;
        p->data = blob + *pos;
        *pos += p->n;
        assert_true(*pos <= blob_size);
    }
    return true;
}

static const struct piece *find_piece(const struct node_case *c, const char *name)
{
    for (int i = 0; i < c->nfiles; i++)
        if (!strcmp(c->files[i].name, name))
            return &c->files[i];
    return NULL;
}

/* ---- comparing ---- */

static bool same_text(const struct ostr *a, const struct ostr *b)
{
    return a->n == b->n && (!a->n || !memcmp(a->p, b->p, a->n));
}

static bool same_element(const struct dtype_info *d, const void *a, const void *b, const struct node_case *c)
{
    if (isinf(c->atol))
        return true; /* random: type and shape alone are expected */
    if (d->cls == CLS_STRING)
        return same_text(a, b);
    if (d->cls != CLS_FLOAT)
        return !memcmp(a, b, d->size);
    double x = d->load_f64(a), y = d->load_f64(b);
    return x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= c->atol + c->rtol * fabs(y);
}

static bool same_value(const struct tensor *a, const struct tensor *b, const struct node_case *c, char *why)
{
    char ta[128], tb[128];
    if (a->kind != b->kind || (a->kind != RT_TENSOR && a->seq->n != b->seq->n)) {
        snprintf(why, WHY, "another kind or length of value");
        return false;
    }
    for (size_t i = 0; a->kind != RT_TENSOR && i < a->seq->n; i++)
        if (!same_value(&a->seq->items[i], &b->seq->items[i], c, why))
            return false;
    if (a->kind != RT_TENSOR)
        return true;
    if (strcmp(tensor_type_text(a, ta, sizeof ta), tensor_type_text(b, tb, sizeof tb)) != 0) {
        snprintf(why, WHY, "%s, expected %s", ta, tb);
        return false;
    }
    const struct dtype_info *d = dtype_info(a->dt);
    for (int64_t i = 0; i < tensor_count(a); i++) {
        size_t off = (size_t)i * d->size;
        if (same_element(d, (const char *)a->data + off, (const char *)b->data + off, c))
            continue;
        snprintf(why, WHY, "element %lld of %s is %g, expected %g", (long long)i, ta,
                 d->load_f64 ? tensor_f64(a, i) : 0, d->load_f64 ? tensor_f64(b, i) : 0);
        return false;
    }
    return true;
}

/* ---- running ---- */

static int read_value(struct cx *cx, const struct node_case *c, const char *part, size_t i,
                      const struct type *type, struct tensor *out)
{
    char name[32], path[128];
    snprintf(name, sizeof name, "%s_%zu.pb", part, i);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const struct piece *p = find_piece(c, name);
    if (!p)
        return err_set(cx, E_NOENT, "the case has no %s", name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p->data, 1, p->n, f), p->n);
    fclose(f);
    int rc = value_pb_read(cx, path, type, out, NULL);
    unlink(path);
    return rc;
}

static int run_model(struct cx *cx, const struct node_case *c, struct session *s, char *why)
{
    struct tensor ins[MAX_FILES] = {0};
    const struct tensor *outs[MAX_FILES] = {0};
    size_t nin = session_ninputs(s), nout = session_noutputs(s);
    int rc = 0;
    for (size_t i = 0; i < nin && !rc; i++)
        rc = read_value(cx, c, "input", i, session_input(s, i)->type, &ins[i]);
    if (!rc)
        rc = session_run(cx, s, ins, outs);
    for (size_t i = 0; i < nout && !rc; i++) {
        struct tensor want = {0};
        rc = read_value(cx, c, "output", i, session_output(s, i)->type, &want);
        if (!rc && !same_value(outs[i], &want, c, why))
            rc = err_set(cx, E_DIFF, "output %zu: %s", i, why);
        tensor_drop(&want);
    }
    for (size_t i = 0; i < nin; i++)
        tensor_drop(&ins[i]);
    return rc;
}

static int missing_op(void *user, struct graph *g, int depth)
{
    (void)depth;
    for (struct node *n = g->first; n; n = n->next)
        if (!n->op && !n->func) {
            snprintf(user, WHY, "%s", n->op_type);
            return 1;
        }
    return 0;
}

/* 1: it has an operator that we do not have (named in why). */
static int run_case(const struct node_case *c, enum opt_level level, int threads, char *why)
{
    struct cx cx;
    struct file *f = NULL;
    struct model *m = NULL;
    struct session *s = NULL;
    struct load_opts lo = {0};
    struct session_opts so = {.level = level, .threads = threads};
    const struct piece *p = find_piece(c, "model.onnx");
    cx_init(&cx);
    int rc = p ? file_from_mem(&cx, p->data, p->n, c->name, &f) : E_NOENT;
    if (!rc)
        rc = model_load_file(&cx, f, NULL, &lo, &m);
    if (!rc)
        rc = ops_resolve(&cx, m);
    if (!rc && graph_walk(m->graph, missing_op, why)) {
        model_free(m);
        rc = 1;
    } else if (!rc) {
        rc = session_new(&cx, m, &so, &s);
    }
    if (!rc)
        rc = run_model(&cx, c, s, why);
    if (rc < 0)
        err_format(&cx.err, why, WHY);
    if (s)
        session_free(s);
    file_unref(f);
    cx_fini(&cx);
    return rc;
}

/* A case that has to fail says how: "VALUE part of the message". */
static bool fails_rightly(const struct node_case *c, int rc, char *why)
{
    const struct piece *p = find_piece(c, "error");
    char want[200];
    size_t n = p->n < sizeof want ? p->n : sizeof want - 1;
    memcpy(want, p->data, n);
    want[n] = 0;
    char *text = strchr(want, ' ');
    assert_non_null(text);
    *text++ = 0;
    if (rc < 0 && !strcmp(err_name(rc), want) && strstr(why, text))
        return true;
    char got[WHY / 2];
    snprintf(got, sizeof got, "%.500s", rc < 0 ? why : "it ran");
    snprintf(why, WHY, "expected %s '%s', but %s %s", want, text, rc < 0 ? err_name(rc) : "", got);
    return false;
}

static void run_all(enum opt_level level, int threads)
{
    struct node_case *c = malloc(sizeof *c);
    const char *only = getenv("NODES");
    char why[WHY];
    size_t pos = 0, ok = 0, missing = 0, bad = 0;
    assert_non_null(c);
    while (next_case(&pos, c)) {
        if (only && !glob_match(only, c->name))
            continue;
        int rc = run_case(c, level, threads, why);
        if (find_piece(c, "error"))
            rc = fails_rightly(c, rc, why) ? 0 : E_DIFF;
        ok += rc == 0;
        missing += rc == 1;
        bad += rc < 0;
        if (rc < 0)
            print_error("%s: %s\n", c->name, why);
        else if (rc && getenv("NODES_VERBOSE"))
            print_message("%s: no operator %s\n", c->name, why);
    }
    free(c);
    print_message("%zu cases right, %zu wrong, %zu of operators that are not there yet\n", ok, bad, missing);
    assert_int_equal(pos, blob_size);
    assert_int_equal(bad, 0);
    assert_true(only || ok > 1300);
}

static void plain(void **state)
{
    (void)state;
    run_all(OPT_NONE, 1);
}

static void rewritten_and_threaded(void **state)
{
    (void)state;
    run_all(OPT_ALL, 2);
}

/* ---- the index ---- */

static void index_is_sorted_and_known(void **state)
{
    (void)state;
    size_t n;
    const struct op *const *all = op_all(&n);
    assert_true(n > 150);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(op_find(all[i]->domain, all[i]->name), all[i]);
        if (schema_newest_opset(all[i]->domain) && !schema_known(all[i]->domain, all[i]->name) &&
            strcmp(all[i]->name, "SimplifiedLayerNormalization") != 0) /* of ONNX Runtime, in this domain */
            fail_msg("%s is no operator of the standard", all[i]->name);
        if (i && strcmp(all[i - 1]->domain, all[i]->domain) > 0)
            fail_msg("%s stands in the wrong place", all[i]->name);
        assert_non_null(all[i]->infer);
        assert_non_null(all[i]->ref);
    }
    assert_null(op_find("", "NoSuchOperator"));
    assert_ptr_equal(op_find("ai.onnx", "Add"), op_find("", "Add"));
}

/* ---- no operator without a test ---- */

static bool *seen_ops;       /* by place in op_all() */
static uint32_t *seen_types; /* of their first inputs: bits by element type */

static uint32_t type_bit(const struct value *v)
{
    int dt = !v ? 0 : v->init ? (int)v->init->dt : v->declared ? (int)v->declared->dt : 0;
    return dt > 0 ? 1u << dt : 0;
}

/* Where another node makes the input, the result tells: such chains are of one type. */
static uint32_t first_input_bit(const struct node *n)
{
    uint32_t bit = type_bit(n->nin ? n->in[0] : NULL);
    return bit || !n->nout ? bit : type_bit(n->out[0]);
}

static int mark_ops(void *user, struct graph *g, int depth)
{
    (void)user, (void)depth;
    size_t n;
    const struct op *const *all = op_all(&n);
    for (struct node *nd = g->first; nd; nd = nd->next)
        for (size_t i = 0; nd->op && i < n; i++)
            if (all[i] == nd->op) {
                seen_ops[i] = true;
                seen_types[i] |= first_input_bit(nd);
            }
    return 0;
}

static void see_case(const struct node_case *c)
{
    struct cx cx;
    struct file *f = NULL;
    struct model *m = NULL;
    struct load_opts lo = {0};
    const struct piece *p = find_piece(c, "model.onnx");
    cx_init(&cx);
    int rc = p ? file_from_mem(&cx, p->data, p->n, c->name, &f) : E_NOENT;
    if (!rc)
        rc = model_load_file(&cx, f, NULL, &lo, &m);
    if (!rc)
        rc = ops_resolve(&cx, m);
    assert_int_equal(rc, 0);
    graph_walk(m->graph, mark_ops, NULL);
    for (size_t i = 0; i < m->nfuncs; i++)
        graph_walk(m->funcs[i]->body, mark_ops, NULL);
    model_free(m);
    file_unref(f);
    cx_fini(&cx);
}

/* The types that --list ops shows for an operator without a row of the standard are those of its cases. */
static bool types_are_shown(const struct op *op, uint32_t seen)
{
    char want[300] = "";
    size_t at = 0;
    if (schema_known(op->domain, op->name) || strcmp(op->domain, "onnxtool") == 0)
        return true;
    for (int dt = 1; dt < DT_COUNT; dt++)
        if (seen & 1u << dt)
            at += (size_t)snprintf(want + at, sizeof want - at, "%s%s", at ? ", " : "", dtype_name(dt));
    if (strcmp(want, op_extra_types(op)) == 0)
        return true;
    print_error("extra_types.def has \"%s\", the cases: T(\"%s\", \"%s\", \"%s\")\n", op_extra_types(op),
                op->domain, op->name, want);
    return false;
}

/* Every operator of the index is in some case, but those that only passes of ours make. */
static void every_operator_has_a_case(void **state)
{
    (void)state;
    struct node_case *c = malloc(sizeof *c);
    size_t n, pos = 0, bare = 0;
    const struct op *const *all = op_all(&n);
    seen_ops = calloc(n, sizeof *seen_ops);
    seen_types = calloc(n, sizeof *seen_types);
    assert_non_null(c);
    assert_non_null(seen_ops);
    assert_non_null(seen_types);
    while (next_case(&pos, c))
        if (!find_piece(c, "error"))
            see_case(c);
    for (size_t i = 0; i < n; i++)
        if (!seen_ops[i] && strcmp(all[i]->domain, "onnxtool") != 0) {
            print_error("%s %s: no case\n", all[i]->domain, all[i]->name);
            bare++;
        } else if (!types_are_shown(all[i], seen_types[i])) {
            bare++;
        }
    free(seen_ops);
    free(seen_types);
    free(c);
    assert_int_equal(bare, 0);
}

/* What the manual says is computed where the specification is silent: every row has cases. */
static void defined_results_have_cases(void **state)
{
    (void)state;
    struct node_case *c = malloc(sizeof *c);
    struct ot_defined d;
    size_t n = 0;
    assert_non_null(c);
    for (; ot_defined(n, &d); n++) {
        char pattern[100];
        size_t pos = 0, found = 0;
        snprintf(pattern, sizeof pattern, "defined_%s", d.cases);
        while (next_case(&pos, c))
            found += glob_match(pattern, c->name);
        if (!found)
            fail_msg("no case of '%s' (%s)", d.what, d.cases);
    }
    assert_true(n > 20);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_is_sorted_and_known),  cmocka_unit_test(every_operator_has_a_case),
        cmocka_unit_test(defined_results_have_cases), cmocka_unit_test(plain),
        cmocka_unit_test(rewritten_and_threaded),
    };
    return cmocka_run_group_tests(tests, open_archive, close_archive);
}
