/* Sample sets: the grammar of --input, --fill, --shape and --dim, values from files, values made up. Runs in
 * the folder of the repository. */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/npy.h"
#include "io/onnx_load.h"
#include "io/tensor_pb.h"
#include "session/feed.h"
#include "session/session.h"

static struct cx cx;
static char dir[] = "/tmp/onnxtool-feed-XXXXXX";
static char message[1024];

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- helpers ---- */

static const char *in_dir(const char *format, const char *name)
{
    static char path[4][512];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], format, dir, name);
    return path[k];
}

static struct tensor floats(int rank, const int64_t *dims)
{
    struct tensor t;
    memset(&t, 0, sizeof t);
    assert_int_equal(tensor_new(&cx, &t, DT_FLOAT, rank, dims), OK);
    for (int64_t i = 0; i < tensor_count(&t); i++)
        ((float *)t.data)[i] = (float)i;
    return t;
}

static void write_floats(const char *path, int rank, const int64_t *dims)
{
    struct tensor t = floats(rank, dims);
    assert_int_equal(npy_write(&cx, path, &t), OK);
    tensor_drop(&t);
}

/* Inputs "a:b", "a", "a:b=c" and "x/y", each float[n, 3]: every name is a beginning of what stands for
 * another. */
static struct model *named_model(void)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "a:b", DT_FLOAT, "n 3");
    build_in(&b, "a", DT_FLOAT, "n 3");
    build_in(&b, "a:b=c", DT_FLOAT, "n 3");
    build_in(&b, "x/y", DT_FLOAT, "n 3");
    build_node(&b, "Sum", "a:b a a:b=c x/y", "out");
    build_out(&b, "out", DT_FLOAT, "n 3");
    return b.m;
}

/* One input "x" of the given type, read by a Neg. */
static struct model *plain_model(enum dtype dt, const char *dims)
{
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", dt, dims);
    build_node(&b, "Neg", "x", "y");
    build_out(&b, "y", dt, dims);
    return b.m;
}

static struct feed *feed_ok(struct model *m, struct feed_opts o)
{
    struct feed *f = NULL;
    int rc = feed_new(&cx, m, &o, &f);
    if (rc) {
        err_format(&cx.err, message, sizeof message);
        fail_msg("%s", message);
    }
    return f;
}

static struct named_list *sample(struct feed *f, size_t i)
{
    struct named_list *l;
    if (feed_get(&cx, f, i, &l)) {
        err_format(&cx.err, message, sizeof message);
        fail_msg("sample %zu: %s", i, message);
    }
    return l;
}

/* Setting up or the first sample fails with this status, and the message says text. */
static void refused(struct model *m, struct feed_opts o, int status, const char *text)
{
    struct feed *f = NULL;
    struct named_list *l;
    int rc = feed_new(&cx, m, &o, &f);
    if (!rc)
        rc = feed_get(&cx, f, 0, &l);
    feed_free(rc && !f ? NULL : f);
    err_format(&cx.err, message, sizeof message);
    if (rc != status || !strstr(message, text))
        fail_msg("%s '%s', expected %s '%s'", err_name(rc), rc ? message : "", err_name(status), text);
    err_clear(&cx);
}

static void shape_is(const struct tensor *t, const char *want)
{
    char text[200];
    assert_non_null(t);
    assert_string_equal(tensor_type_text(t, text, sizeof text), want);
}

/* ---- names ---- */

static void names_split_at_the_last_sign_that_leaves_an_input(void **state)
{
    (void)state;
    struct model *m = named_model();
    struct feed *f =
        feed_ok(m, (struct feed_opts){.fills = LIST("a:b=1:1", "a=2:2", "a:b=c=3:3", "x/y=4:4")});
    struct named_list *l = sample(f, 0);
    static const char *const names[] = {"a:b", "a", "a:b=c", "x/y"};
    for (int i = 0; i < 4; i++)
        assert_true(tensor_f64(named_find(l, names[i]), 0) == i + 1);
    feed_free(f);

    /* a path with '=' and ':' in it */
    const char *path = in_dir("%s/%s", "k=v:w.npy");
    write_floats(path, 2, (int64_t[]){2, 3});
    char option[600];
    snprintf(option, sizeof option, "a:b=c=%s", path);
    f = feed_ok(m, (struct feed_opts){.inputs = LIST(option), .fills = LIST("zeros")});
    l = sample(f, 0);
    assert_true(tensor_f64(named_find(l, "a:b=c"), 5) == 5);
    shape_is(named_find(l, "x/y"), "float[2,3]"); /* n is 2 by the file */
    assert_null(feed_how(f, 2));
    assert_non_null(feed_how(f, 3));
    feed_free(f);

    f = feed_ok(m, (struct feed_opts){.shapes = LIST("a:b=c=5x*")});
    shape_is(named_find(sample(f, 0), "x/y"), "float[5,3]");
    feed_free(f);
    model_free(m);
}

static void unknown_names_get_the_nearest(void **state)
{
    (void)state;
    struct model *m = named_model(), *p = plain_model(DT_FLOAT, "n 3");
    refused(m, (struct feed_opts){.inputs = LIST("x/z=f.npy")}, E_USAGE, "did you mean 'x/y'?");
    refused(m, (struct feed_opts){.fills = LIST("completely_else=ones")}, E_USAGE,
            "only: a:b, a, a:b=c, x/y");
    refused(m, (struct feed_opts){.shapes = LIST("x/yy=1x3")}, E_USAGE, "did you mean 'x/y'?");
    refused(m, (struct feed_opts){.inputs = LIST("f.npy")}, E_USAGE, "several inputs");
    refused(p, (struct feed_opts){.dims = LIST("m=3")}, E_USAGE, "symbol 'm'");
    model_free(m);
    model_free(p);
}

static void numbers_are_checked(void **state)
{
    (void)state;
    struct model *m = plain_model(DT_FLOAT, "n 3");
    static const char *const dims[] = {"n=", "n=-1", "n=3x", "n=99999999999999999999", "n", "=3"};
    static const char *const shapes[] = {"x=2x", "x=2x4", "x=2", "x=2x3x1", "x=x3", "x=-2x3", "x=1.5x3", "x"};
    static const char *const fills[] = {"",      "1",       "1:",      ":1",    "1:2:3", "2:1",
                                        "0:nan", "inf:inf", "0:1e999", "ones ", "One",   "x=ramp"};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        refused(m, (struct feed_opts){.dims = LIST(dims[i])}, E_USAGE, "--dim");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        refused(m, (struct feed_opts){.shapes = LIST(shapes[i])}, E_USAGE, "--shape");
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++)
        refused(m, (struct feed_opts){.fills = LIST(fills[i])}, E_USAGE, "--fill");
    refused(m, (struct feed_opts){.shapes = LIST("x=4x3"), .dims = LIST("n=5")}, E_USAGE, "axis 0 must be");
    refused(m, (struct feed_opts){.shapes = LIST("x=4000000000x4000000000000000000")}, E_USAGE,
            "axis 1 must be 3");
    model_free(m);
}

/* ---- files ---- */

static void wrong_tensors_are_refused_with_what_was_expected(void **state)
{
    (void)state;
    struct model *m = plain_model(DT_FLOAT, "n 3"), *i = plain_model(DT_INT64, "n 3");
    const char *flat = in_dir("%s/%s", "flat.npy"), *wide = in_dir("%s/%s", "wide.npy");
    write_floats(flat, 1, (int64_t[]){6});
    write_floats(wide, 2, (int64_t[]){2, 4});
    refused(m, (struct feed_opts){.inputs = LIST(flat)}, E_SHAPE,
            "input 'x': the file has float[6], the model takes float[n,3]");
    refused(m, (struct feed_opts){.inputs = LIST(wide)}, E_SHAPE,
            "input 'x': the file has float[2,4], the model takes float[n,3]");
    refused(i, (struct feed_opts){.inputs = LIST(flat)}, E_TYPE,
            "the file has float[6], the model takes int64[n,3]");
    refused(m, (struct feed_opts){.inputs = LIST("x=nowhere.npy")}, E_NOENT, "nowhere.npy");
    refused(m, (struct feed_opts){.inputs = LIST("testdata/digits/labels.txt")}, E_DATA,
            "plain text, not a tensor");
    model_free(m);
    model_free(i);
}

static void sets_agree_on_shared_axes(void **state)
{
    (void)state;
    struct model *m = named_model();
    char one[600], two[600];
    snprintf(one, sizeof one, "a=%s", in_dir("%s/%s", "one.npy"));
    snprintf(two, sizeof two, "x/y=%s", in_dir("%s/%s", "two.npy"));
    write_floats(one + 2, 2, (int64_t[]){1, 3});
    write_floats(two + 4, 2, (int64_t[]){2, 3});
    refused(m, (struct feed_opts){.inputs = LIST(one, two)}, E_SHAPE, "contradicts");
    refused(m, (struct feed_opts){.inputs = LIST(one), .dims = LIST("n=4")}, E_SHAPE, "contradicts");
    /* a repeated name begins another set, which may have another size */
    struct feed *f = feed_ok(m, (struct feed_opts){.inputs = LIST(one, one, one)});
    assert_int_equal(feed_count(f), 3);
    shape_is(named_find(sample(f, 2), "x/y"), "float[1,3]");
    feed_free(f);
    model_free(m);
}

/* 500 images to a model of batch 1 are 500 samples. */
static void a_batch_is_cut_where_the_model_fixes_it(void **state)
{
    (void)state;
    struct model *one = plain_model(DT_FLOAT, "1 3"), *two = plain_model(DT_FLOAT, "2 3"),
                 *any = plain_model(DT_FLOAT, "n 3");
    const char *path = in_dir("%s/%s", "six.npy");
    write_floats(path, 2, (int64_t[]){6, 3});
    struct feed *f = feed_ok(one, (struct feed_opts){.inputs = LIST(path, path)});
    assert_int_equal(feed_count(f), 12);
    for (size_t i = 0; i < 12; i += 5) {
        const struct tensor *t = named_find(sample(f, i), "x");
        shape_is(t, "float[1,3]");
        assert_true(tensor_f64(t, 0) == (double)(i % 6 * 3));
    }
    feed_free(f);
    f = feed_ok(two, (struct feed_opts){.inputs = LIST(path)});
    assert_int_equal(feed_count(f), 3);
    assert_true(tensor_f64(named_find(sample(f, 1), "x"), 0) == 6);
    feed_free(f);
    f = feed_ok(any, (struct feed_opts){.inputs = LIST(path)});
    assert_int_equal(feed_count(f), 1);
    shape_is(named_find(sample(f, 0), "x"), "float[6,3]");
    feed_free(f);
    write_floats(path, 2, (int64_t[]){5, 3}); /* no multiple of 2 */
    refused(two, (struct feed_opts){.inputs = LIST(path)}, E_SHAPE, "the file has float[5,3]");
    model_free(one);
    model_free(two);
    model_free(any);
}

static void write_pb(const char *path, const char *name, float first)
{
    struct tensor t = floats(2, (int64_t[]){1, 3});
    ((float *)t.data)[0] = first;
    assert_int_equal(value_pb_write(&cx, path, name, &t), OK);
    tensor_drop(&t);
}

static void make_folder(const char *path)
{
    char command[800];
    snprintf(command, sizeof command, "mkdir -p '%s'", path);
    assert_int_equal(system(command), 0);
}

/* ONNX's layout: by the name in the file, else by position; sets in numeric order. */
static void test_data_folders(void **state)
{
    (void)state;
    struct model *m = named_model();
    const char *top = in_dir("%s/%s", "sets");
    char path[700];
    for (int k = 0; k < 11; k += 5) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", top, k);
        make_folder(path);
        snprintf(path, sizeof path, "%s/test_data_set_%d/input_0.pb", top, k);
        write_pb(path, "", (float)(100 + k)); /* a:b, the first input */
        snprintf(path, sizeof path, "%s/test_data_set_%d/input_1.pb", top, k);
        write_pb(path, "x/y", (float)(200 + k));
    }
    struct feed *f = feed_ok(m, (struct feed_opts){.inputs = LIST(top)});
    assert_int_equal(feed_count(f), 3);
    for (size_t i = 0; i < 3; i++) {
        struct named_list *l = sample(f, i);
        assert_true(tensor_f64(named_find(l, "a:b"), 0) == (double)(100 + 5 * i));
        assert_true(tensor_f64(named_find(l, "x/y"), 0) == (double)(200 + 5 * i));
        shape_is(named_find(l, "a"), "float[1,3]"); /* made up */
    }
    feed_free(f);
    snprintf(path, sizeof path, "%s/empty", top);
    make_folder(path);
    refused(m, (struct feed_opts){.inputs = LIST(path)}, E_DATA, "empty");
    char option[800];
    snprintf(option, sizeof option, "a=%s", top);
    refused(m, (struct feed_opts){.inputs = LIST(option)}, E_USAGE, "without a name");
    model_free(m);
}

static void archives_and_folders_by_name(void **state)
{
    (void)state;
    struct model *m = named_model();
    struct named_list l = {0};
    for (int i = 0; i < 2; i++) {
        struct tensor t = floats(2, (int64_t[]){2, 3});
        assert_int_equal(named_take(&cx, &l, i ? "x/y" : "a:b=c", &t), OK);
    }
    const char *paths[] = {in_dir("%s/%s", "set.npz"), in_dir("%s/%s", "set")};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sample_write(&cx, paths[i], &l), OK);
        struct feed *f = feed_ok(m, (struct feed_opts){.inputs = LIST(paths[i])});
        assert_int_equal(feed_count(f), 1);
        assert_null(feed_how(f, 2));
        shape_is(named_find(sample(f, 0), "x/y"), "float[2,3]");
        shape_is(named_find(sample(f, 0), "a"), "float[2,3]");
        feed_free(f);
    }
    struct tensor t = floats(2, (int64_t[]){2, 3});
    assert_int_equal(named_take(&cx, &l, "x/z", &t), OK);
    assert_int_equal(sample_write(&cx, paths[0], &l), OK);
    refused(m, (struct feed_opts){.inputs = LIST(paths[0])}, E_USAGE, "did you mean 'x/y'?");
    named_free(&l);
    model_free(m);
}

/* ---- made up ---- */

static void values_depend_on_seed_name_and_sample_only(void **state)
{
    (void)state;
    struct model *m = named_model();
    struct feed *f = feed_ok(m, (struct feed_opts){.seed = 3, .samples = 2});
    struct feed *g = feed_ok(m, (struct feed_opts){.seed = 3, .samples = 2});
    struct feed *h = feed_ok(m, (struct feed_opts){.seed = 4});
    assert_int_equal(feed_count(f), 2);
    float first[3], second[3];
    memcpy(first, named_find(sample(f, 0), "a")->data, sizeof first);
    memcpy(second, named_find(sample(f, 1), "a")->data, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
    assert_memory_equal(named_find(sample(g, 1), "a")->data, second, sizeof second);
    assert_memory_equal(named_find(sample(g, 0), "a")->data, first, sizeof first);
    assert_memory_not_equal(named_find(sample(g, 0), "x/y")->data, first, sizeof first);
    assert_memory_not_equal(named_find(sample(h, 0), "a")->data, first, sizeof first);
    feed_free(f);
    feed_free(g);
    feed_free(h);
    model_free(m);
}

/* Checks every element of input name over some seeds. */
static void within(struct model *m, const char *name, double lo, double hi)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct feed *f = feed_ok(m, (struct feed_opts){.seed = seed});
        const struct tensor *t = named_find(sample(f, 0), name);
        assert_non_null(t);
        assert_true(tensor_count(t) > 0);
        for (int64_t i = 0; i < tensor_count(t); i++)
            if (!(tensor_f64(t, i) >= lo && tensor_f64(t, i) <= hi))
                fail_msg("%s[%d] is %g, expected %g..%g", name, (int)i, tensor_f64(t, i), lo, hi);
        feed_free(f);
    }
}

/* ids -> Cast -> Unsqueeze -> Gather in a table of 7 rows, in a branch too. */
static void indices_stay_inside_their_table(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    static const float table[7 * 4] = {0};
    static const int64_t axis[] = {0}, depth[] = {5};
    build_in(&b, "ids", DT_INT32, "batch sequence");
    build_in(&b, "position_ids", DT_INT64, "batch sequence");
    build_in(&b, "classes", DT_INT64, "n");
    build_in(&b, "attention_mask", DT_INT64, "batch sequence");
    build_in(&b, "flag", DT_BOOL, "");
    build_const(&b, "table", DT_FLOAT, "7 4", table);
    build_ints(&b, "axis", 1, axis);
    build_const(&b, "depth", DT_INT64, "", depth);
    build_const(&b, "off_on", DT_FLOAT, "2", (const float[]){0, 1});
    struct node *cast = build_node(&b, "Cast", "ids", "wide");
    assert_int_equal(node_set_attr_int(&cx, cast, "to", DT_INT64), OK);
    build_node(&b, "Unsqueeze", "wide axis", "more");
    build_node(&b, "Gather", "table more", "rows");
    build_node(&b, "Gather", "table position_ids", "places");
    build_node(&b, "OneHot", "classes depth off_on", "hot");
    build_node(&b, "Not", "flag", "no");
    build_node(&b, "Neg", "attention_mask", "minus");
    build_out(&b, "rows", DT_FLOAT, NULL);
    within(b.m, "ids", 0, 6);
    within(b.m, "position_ids", 0, 6);
    within(b.m, "classes", 0, 4);
    within(b.m, "attention_mask", 1, 1);
    within(b.m, "flag", 0, 1);
    struct feed *f = feed_ok(b.m, (struct feed_opts){.dims = LIST("sequence=20")});
    const struct tensor *t = named_find(sample(f, 0), "position_ids");
    assert_true(tensor_i64(t, 0) == 0 && tensor_i64(t, 1) == 1 && tensor_i64(t, 6) == 6);
    assert_non_null(strstr(feed_how(f, 0), "0..6")); /* says why it chose what it chose */
    feed_free(f);
    model_free(b.m);
}

static void positions_in_sequences_exist(void **state)
{
    (void)state;
    struct build b = build_new(&cx, 17);
    build_in(&b, "x", DT_FLOAT, "n");
    build_in(&b, "at", DT_INT64, "");
    build_in(&b, "pick", DT_INT64, "1 2");
    build_const(&b, "table", DT_FLOAT, "3 2", (const float[6]){0});
    build_node(&b, "SequenceConstruct", "x", "s");
    build_node(&b, "SequenceAt", "s at", "y");
    build_node(&b, "GatherElements", "table pick", "z");
    build_out(&b, "y", DT_FLOAT, NULL);
    build_out(&b, "z", DT_FLOAT, NULL);
    within(b.m, "at", 0, 0);
    within(b.m, "pick", 0, 2);
    model_free(b.m);
}

static void fills_do_what_they_say(void **state)
{
    (void)state;
    static const enum dtype types[] = {DT_FLOAT, DT_DOUBLE, DT_FLOAT16, DT_BFLOAT16, DT_INT8, DT_UINT8,
                                       DT_INT32, DT_INT64,  DT_UINT64,  DT_BOOL,     DT_INT4};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        struct model *m = plain_model(types[k], "4 6");
        struct feed *f = feed_ok(m, (struct feed_opts){.fills = LIST("0:2")});
        const struct tensor *t = named_find(sample(f, 0), "x");
        double sum = 0;
        for (int64_t i = 0; i < 24; i++) {
            double v = tensor_f64(t, i);
            assert_true(v >= 0 && v <= 2);
            if (!dtype_is_float(types[k]))
                assert_true(v == floor(v) && v < 2);
            sum += v;
        }
        assert_true(sum > 0 && sum < 48); /* not all at one end */
        feed_free(f);
        f = feed_ok(m, (struct feed_opts){.fills = LIST("ones", "x=zeros")}); /* the last one counts */
        assert_true(tensor_f64(named_find(sample(f, 0), "x"), 23) == 0);
        feed_free(f);
        if (types[k] != DT_BOOL) {
            f = feed_ok(m, (struct feed_opts){.fills = LIST("arange")});
            t = named_find(sample(f, 0), "x");
            assert_true(tensor_f64(t, 5) == 5 && tensor_f64(t, 6) == 0);
            feed_free(f);
        }
        model_free(m);
    }
}

static void shapes_that_cannot_be_known_are_asked_for(void **state)
{
    (void)state;
    struct model *m = plain_model(DT_FLOAT, NULL), *r = plain_model(DT_FLOAT, "n ? 3");
    refused(m, (struct feed_opts){0}, E_USAGE, "give --shape x=");
    struct feed *f = feed_ok(m, (struct feed_opts){.shapes = LIST("x=2x5")});
    shape_is(named_find(sample(f, 0), "x"), "float[2,5]");
    feed_free(f);
    f = feed_ok(r, (struct feed_opts){.shapes = LIST("x=*x7x*"), .dims = LIST("n=0")});
    shape_is(named_find(sample(f, 0), "x"), "float[0,7,3]");
    feed_free(f);
    refused(r, (struct feed_opts){.dims = LIST("n=4000000000000000000")}, E_LIMIT, "larger than memory");
    model_free(m);
    model_free(r);
    struct load_opts o = {0};
    assert_int_equal(model_load(&cx, "testdata/models/types.onnx", &o, &m), OK);
    refused(m, (struct feed_opts){0}, E_USAGE, "input 'opaque' is opaque");
    model_free(m);
}

/* Inputs of every kind that can be made up: all of types.onnx but the opaque one. */
static void every_kind_of_value_is_made_up(void **state)
{
    static const struct {
        const char *name;
        enum rt_kind kind;
        size_t items;
    } kinds[] = {{"seq", RT_SEQ, 2},       {"opt", RT_OPT, 1}, {"opt_seq", RT_OPT, 1},
                 {"sparse", RT_TENSOR, 0}, {"map", RT_MAP, 2}, {"seq_map", RT_SEQ, 2}};
    struct load_opts o = {0};
    struct model *m;
    (void)state;
    assert_int_equal(model_load(&cx, "testdata/models/types.onnx", &o, &m), OK);
    struct graph *g = m->graph;
    assert_string_equal(g->ins[6]->name, "opaque");
    g->ins[6] = g->ins[7];
    g->nins--;
    struct feed *f = feed_ok(m, (struct feed_opts){.seed = 3, .samples = 2});
    struct named_list *l = sample(f, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct tensor *t = named_find(l, kinds[i].name);
        assert_non_null(t);
        assert_int_equal(t->kind, kinds[i].kind);
        assert_int_equal(t->seq ? t->seq->n : 0, kinds[i].items);
        assert_int_equal(value_fits(&cx, "it", g->ins[i]->declared, t), OK);
    }
    const struct tensor *seq = named_find(l, "seq"), *map = named_find(l, "map");
    shape_is(&seq->seq->items[0], "float[1,3]");
    assert_memory_not_equal(seq->seq->items[0].data, seq->seq->items[1].data, 12);
    assert_int_equal(map->seq->keys.dt, DT_STRING);
    assert_int_equal(map->seq->items[0].dt, DT_INT64);
    assert_int_equal(named_find(l, "seq_map")->seq->items[1].seq->keys.dt, DT_INT64);
    feed_free(f);
    model_free(m);
}

static void what_is_inside_must_fit_too(void **state)
{
    struct dim dims[] = {dim_unknown(), dim_const(3)};
    struct type f32 = {.kind = TY_TENSOR, .dt = DT_FLOAT, .rank = 2, .dims = dims};
    struct type seq = {.kind = TY_SEQ, .elem = &f32}, opt = {.kind = TY_OPT, .elem = &seq};
    struct type map = {.kind = TY_MAP, .dt = DT_STRING, .elem = &seq};
    int64_t good[] = {5, 3}, bad[] = {5, 4}, one = 1;
    struct tensor list = {.kind = RT_SEQ}, pairs = {.kind = RT_MAP}, item = {0}, value = {0};
    (void)state;
    assert_int_equal(rt_seq_new(&cx, &list.seq), OK);
    assert_int_equal(value_fits(&cx, "it", &seq, &list), OK); /* empty */
    assert_int_equal(tensor_new(&cx, &item, DT_FLOAT, 2, good), OK);
    assert_int_equal(value_fits(&cx, "it", &seq, &item), E_TYPE);
    assert_int_equal(rt_seq_push(&cx, list.seq, &item), OK);
    assert_int_equal(value_fits(&cx, "it", &seq, &list), OK);
    assert_int_equal(value_fits(&cx, "it", &opt, &list), OK); /* present, not wrapped */
    assert_int_equal(tensor_new(&cx, &item, DT_FLOAT, 2, bad), OK);
    assert_int_equal(rt_seq_push(&cx, list.seq, &item), OK);
    assert_int_equal(value_fits(&cx, "it", &seq, &list), E_SHAPE);
    list.seq->items[1].dt = DT_INT32;
    assert_int_equal(value_fits(&cx, "it", &opt, &list), E_TYPE);
    tensor_drop(&list);
    assert_int_equal(rt_seq_new(&cx, &pairs.seq), OK);
    assert_int_equal(rt_seq_new(&cx, &value.seq), OK);
    value.kind = RT_SEQ;
    assert_int_equal(rt_seq_push(&cx, pairs.seq, &value), OK);
    assert_int_equal(tensor_new(&cx, &pairs.seq->keys, DT_INT64, 1, &one), OK);
    assert_int_equal(value_fits(&cx, "it", &map, &pairs), E_TYPE);
    map.dt = DT_INT32; /* all whole numbers are int64 at run time */
    assert_int_equal(value_fits(&cx, "it", &map, &pairs), OK);
    tensor_drop(&pairs);
    err_clear(&cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_split_at_the_last_sign_that_leaves_an_input),
        cmocka_unit_test(unknown_names_get_the_nearest),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(wrong_tensors_are_refused_with_what_was_expected),
        cmocka_unit_test(sets_agree_on_shared_axes),
        cmocka_unit_test(a_batch_is_cut_where_the_model_fixes_it),
        cmocka_unit_test(test_data_folders),
        cmocka_unit_test(archives_and_folders_by_name),
        cmocka_unit_test(values_depend_on_seed_name_and_sample_only),
        cmocka_unit_test(indices_stay_inside_their_table),
        cmocka_unit_test(positions_in_sequences_exist),
        cmocka_unit_test(fills_do_what_they_say),
        cmocka_unit_test(shapes_that_cannot_be_known_are_asked_for),
        cmocka_unit_test(every_kind_of_value_is_made_up),
        cmocka_unit_test(what_is_inside_must_fit_too),
    };
    cx_init(&cx);
    if (!mkdtemp(dir))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    failed += system(command) != 0;
    cx_fini(&cx);
    return failed;
}
