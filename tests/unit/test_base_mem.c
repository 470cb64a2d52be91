/* Arena, blob, file, str, hash, checked arithmetic, errors. */
#include "cmk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/checked.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

static void test_arena(void **state)
{
    struct arena a = {0};
    char *first = arena_alloc(&a, 0);

    (void)state;
    assert_non_null(first);
    for (size_t n = 1; n < 3000; n += 37) {
        unsigned char *p = arena_zalloc(&a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
        void *q = arena_alloc_aligned(&a, n, 4096);
        assert_int_equal((uintptr_t)q % 4096, 0);
        memset(q, 0xee, n);
    }
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_string_equal(arena_printf(&a, "%s-%d", "node", 7), "node-7");
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    arena_free(&a);
    assert_null(a.head);
    assert_int_equal(a.used, 0);
}

static void test_arena_mark(void **state)
{
    struct arena a = {0};
    char *keep = arena_strdup(&a, "keep");
    struct arena_mark m = arena_mark(&a);
    size_t used = a.used;

    (void)state;
    char *next = arena_alloc(&a, 10);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 50000));
    arena_release(&a, m);
    assert_int_equal(a.used, used);
    assert_string_equal(keep, "keep");
    assert_ptr_equal(arena_alloc(&a, 10), next);
    arena_free(&a);
}

static void test_arena_limit(void **state)
{
    struct arena a = {.limit = 1000};

    (void)state;
    assert_non_null(arena_alloc(&a, 600));
    assert_null(arena_alloc(&a, 401));
    assert_non_null(arena_alloc(&a, 400));
    assert_null(arena_alloc(&a, 1));
    arena_free(&a);
    assert_non_null(arena_alloc(&a, 1000));
    arena_free(&a);
}

static void test_arena_grow(void **state)
{
    struct arena a = {0};
    int *list = NULL;
    size_t n = 0, cap = 0;

    (void)state;
    for (; n < 1000; n++) {
        list = arena_grow(&a, list, n, &cap, sizeof *list);
        assert_non_null(list);
        list[n] = (int)n;
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(list[i], i);
    arena_free(&a);
}

static void test_fail_hook(void **state)
{
    struct arena a = {0};

    (void)state;
    mem_fail_after(2);
    void *p = mem_alloc(1), *q = mem_zalloc(1);
    assert_non_null(p);
    assert_non_null(q);
    assert_null(mem_alloc(1));
    assert_null(mem_aligned(64, 64));
    assert_null(mem_realloc(p, 100));
    assert_null(arena_alloc(&a, 1));
    assert_null(blob_new(10));
    mem_fail_after(-1);
    free(p);
    free(q);
    p = mem_aligned(100, 64);
    assert_int_equal((uintptr_t)p % 64, 0);
    free(p);
}

static void test_blob(void **state)
{
    struct blob *b = blob_new_arena(1000), *empty = blob_new(0);

    (void)state;
    assert_int_equal((uintptr_t)b->data % 64, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(((char *)b->data)[i], 0);
    assert_string_equal(arena_strdup(blob_arena(b), "in the blob"), "in the blob");
    assert_ptr_equal(blob_ref(b), b);
    blob_unref(b);
    memset(b->data, 1, b->size);
    blob_unref(b);
    assert_non_null(empty->data);
    blob_unref(empty);
    blob_unref(NULL);
    assert_null(blob_new(SIZE_MAX - 3));
}

static void test_file(void **state)
{
    struct cx cx;
    struct file *f, *mem;
    struct blob *view;
    char path[] = P_tmpdir "/test_base_XXXXXX", buf[64];
    int fd = mkstemp(path), pipes[2];

    (void)state;
    cx_init(&cx);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(write(fd, "0123456789", 10), 10);
    close(fd);
    assert_int_equal(file_open(&cx, path, &f), 0);
    assert_true(f->size == 100000);
    assert_int_equal(file_read(&cx, f, 99995, buf, 5), 0);
    assert_memory_equal(buf, "56789", 5);
    assert_int_equal(file_read(&cx, f, 99996, buf, 5), E_DATA);
    assert_int_equal(file_read(&cx, f, UINT64_MAX, buf, 5), E_DATA);
    assert_int_equal(file_map(&cx, f, 5003, 20000, &view), 0);
    file_unref(f);
    assert_memory_equal(view->data, "3456789012", 10);
    blob_unref(view);

    assert_int_equal(file_open(&cx, path, &f), 0);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(file_map(&cx, f, 0, 100, &view), E_DATA);
    assert_int_equal(file_read(&cx, f, 8, buf, 8), E_DATA);
    file_unref(f);
    unlink(path);
    assert_int_equal(file_open(&cx, path, &f), E_NOENT);
    assert_int_equal(file_open(&cx, ".", &f), E_IO);

    assert_int_equal(file_from_mem(&cx, "hello", 5, "memory", &mem), 0);
    assert_int_equal(file_map(&cx, mem, 1, 4, &view), 0);
    assert_memory_equal(view->data, "ello", 4);
    blob_unref(view);
    assert_int_equal(file_read(&cx, mem, 2, buf, 4), E_DATA);
    file_unref(mem);

    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "from a pipe", 11), 11);
    close(pipes[1]);
    assert_int_equal(file_from_fd(&cx, pipes[0], "pipe", &f), 0);
    assert_true(f->size == 11);
    assert_memory_equal(f->mem, "from a pipe", 11);
    file_unref(f);
    cx_fini(&cx);
}

static void test_smap(void **state)
{
    struct arena a = {0};
    struct smap m = {.arena = &a};
    char name[32];

    (void)state;
    assert_null(smap_get(&m, "nothing"));
    for (uintptr_t i = 1; i <= 20000; i++) {
        snprintf(name, sizeof name, "node_%zu", (size_t)i);
        assert_true(smap_put(&m, arena_strdup(&a, name), (void *)i));
    }
    assert_int_equal(m.n, 20000);
    for (uintptr_t i = 1; i <= 20000; i++) {
        snprintf(name, sizeof name, "node_%zu", (size_t)i);
        assert_ptr_equal(smap_get(&m, name), (void *)i);
    }
    assert_null(smap_get(&m, "node_0"));
    assert_null(smap_get(&m, ""));
    assert_true(smap_put(&m, "node_5", &m) && smap_put(&m, "", &a));
    assert_ptr_equal(smap_get(&m, "node_5"), &m);
    assert_ptr_equal(smap_get(&m, ""), &a);
    assert_int_equal(m.n, 20001);
    arena_free(&a);
}

static void expect_sha(const char *text, size_t times, size_t step, const char *want)
{
    struct sha256 s;
    uint8_t out[32];
    char hex[65];
    size_t n = strlen(text);

    sha256_init(&s);
    for (size_t t = 0; t < times; t++)
        for (size_t i = 0; i < n; i += step)
            sha256_add(&s, text + i, n - i < step ? n - i : step);
    sha256_done(&s, out);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
    assert_string_equal(hex, want);
}

/* The examples that NIST publishes with FIPS 180-4. */
static void test_sha256(void **state)
{
    static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const char two_hash[] = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";

    (void)state;
    expect_sha("", 1, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha("abc", 1, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (size_t step = 1; step < 60; step++)
        expect_sha(two, 1, step, two_hash);
    expect_sha("aaaaaaaaaa", 100000, 10, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_true(hash_str(HASH_INIT, "a") == 0xaf63dc4c8601ec8cull);
}

static void test_str(void **state)
{
    struct str s = {0};

    (void)state;
    assert_string_equal(str_text(&s), "");
    for (int i = 0; i < 1000; i++)
        str_addf(&s, "%d,", i % 10);
    str_addc(&s, '!');
    assert_int_equal(s.n, 2001);
    assert_int_equal(strlen(s.p), 2001);
    assert_memory_equal(s.p + 1990, "5,6,7,8,9,!", 11);
    str_free(&s);
    str_add_escaped(&s, "a\nb\033[2J\xff\xc3\xa9\xe2\x80\xae", 13);
    assert_string_equal(s.p, "a\\nb\\x1b[2J\\xff\xc3\xa9\\xe2\\x80\\xae");
    mem_fail_after(0);
    for (int i = 0; i < 100; i++)
        str_add(&s, "more");
    mem_fail_after(-1);
    assert_true(s.failed);
    str_free(&s);
}

static void test_escape(void **state)
{
    char buf[8];

    (void)state;
    assert_int_equal(str_escape(buf, sizeof buf, "ab\tcd", 5), 6);
    assert_string_equal(buf, "ab\\tcd");
    /* An escape that does not fit is not begun. */
    assert_int_equal(str_escape(buf, sizeof buf, "abcd\x01", 5), 4);
    assert_string_equal(buf, "abcd");
    assert_int_equal(str_escape(buf, sizeof buf, "x\0y", 3), 6);
    assert_string_equal(buf, "x\\x00y");
    assert_int_equal(str_escape(buf, 1, "abc", 3), 0);
    assert_string_equal(buf, "");
    assert_true(utf8_valid("\xf0\x9f\x98\x80", 4));
    assert_false(utf8_valid("\xc0\x80", 2));         /* overlong */
    assert_false(utf8_valid("\xed\xa0\x80", 3));     /* surrogate */
    assert_false(utf8_valid("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
    assert_false(utf8_valid("\xe2\x80", 2));         /* cut short */
}

static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"a*c", "abbbc", true},
        {"a*c", "abbb", false},
        {"*/conv?", "l/conv1", true},
        {"?", "", false},
        {"[abc]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[]]", "]", true},
        {"[a", "[a", true},
        {"a*b*c", "a-b-b-c", true},
        {"*a", "aaab", false},
        {"**", "xyz", true},
        {"[a-]", "-", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (glob_match(cases[i].pattern, cases[i].text) != cases[i].match)
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].text);
}

static void test_names(void **state)
{
    static const char *const names[] = {"inspect", "run", "bench", "quantize"};
    char longest[200];

    (void)state;
    assert_int_equal(edit_distance("", "abc"), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("run", "rnu"), 1);
    assert_int_equal(edit_distance("same", "same"), 0);
    memset(longest, 'x', sizeof longest);
    longest[199] = 0;
    assert_int_equal(edit_distance(longest, "x"), 199);
    assert_int_equal(edit_distance(longest, longest), 0);
    assert_string_equal(nearest_name("inpsect", names, 4), "inspect");
    assert_string_equal(nearest_name("quantise", names, 4), "quantize");
    assert_null(nearest_name("zzz", names, 4));
    assert_null(nearest_name("foo", (const char *const[]){"pool"}, 1));
    assert_string_equal(nearest_name("left", (const char *const[]){"left:0"}, 1), "left:0");
}

static void test_human(void **state)
{
    char buf[32];

    (void)state;
    assert_string_equal(human_bytes(buf, sizeof buf, 512), "512 B");
    assert_string_equal(human_bytes(buf, sizeof buf, 1280ull << 20), "1.25 GiB");
    assert_string_equal(human_count(buf, sizeof buf, 512), "512");
    assert_string_equal(human_count(buf, sizeof buf, 8178000000ull), "8.18 G");
    assert_string_equal(human_count(buf, sizeof buf, 999999), "1.00 M");
    assert_string_equal(human_count(buf, sizeof buf, 25600000), "25.6 M");
}

static void test_dims_count(void **state)
{
    int64_t n = 42;

    (void)state;
    assert_true(dims_count(NULL, 0, &n) && n == 1);
    assert_true(dims_count((int64_t[]){2, 3, 4}, 3, &n) && n == 24);
    assert_true(dims_count((int64_t[]){INT64_MAX, 1}, 2, &n) && n == INT64_MAX);
    n = 42;
    assert_false(dims_count((int64_t[]){INT64_MAX, 2}, 2, &n));
    assert_false(dims_count((int64_t[]){2, -1}, 2, &n));
    assert_false(dims_count((int64_t[]){0, -1}, 2, &n));
    assert_int_equal(n, 42);
    assert_true(dims_count((int64_t[]){INT64_MAX, 4, 0}, 3, &n) && n == 0);
}

static void test_errors(void **state)
{
    struct cx cx;
    char line[2000], name[3000];

    (void)state;
    cx_init(&cx);
    assert_int_equal(err_set(&cx, E_SHAPE, "value '%s': rank %d", "a\r\n\033[31m", 3), E_SHAPE);
    assert_int_equal(err_frame(&cx, "node '%s'", "conv\n1"), E_SHAPE);
    assert_int_equal(err_frame(&cx, "graph '%s'", "main"), E_SHAPE);
    err_format(&cx.err, line, sizeof line);
    assert_string_equal(line, "graph 'main': node 'conv\\n1': value 'a\\x0d\\n\\x1b[31m': rank 3");
    assert_int_equal(err_format(&cx.err, line, 10), 9);
    for (int i = 0; i < 20; i++)
        err_frame(&cx, "frame %d", i);
    assert_int_equal(cx.err.nframes, ERR_FRAMES);
    assert_string_equal(cx.err.frame[ERR_FRAMES - 1], "frame 19");
    /* Names of any length and content leave one valid, terminated line. */
    memset(name, 0xc3, sizeof name);
    name[sizeof name - 1] = 0;
    err_set(&cx, E_MODEL, "%s", name);
    assert_true(utf8_valid(cx.err.msg, strlen(cx.err.msg)));
    assert_int_equal(cx.err.nframes, 0);
    assert_string_equal(err_name(E_SHAPE), "SHAPE");
    assert_int_equal(err_exit_code(E_USAGE), 2);
    assert_int_equal(err_exit_code(0), 0);
    assert_int_equal(err_exit_code(-9999), 5);
    cx.lim.deadline = time_now() + 100;
    assert_int_equal(cx_check_time(&cx), 0);
    cx.lim.deadline = time_now() - 1;
    assert_int_equal(cx_check_time(&cx), E_TIMEOUT);
    cx_fini(&cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),       cmocka_unit_test(test_arena_mark),
        cmocka_unit_test(test_arena_limit), cmocka_unit_test(test_arena_grow),
        cmocka_unit_test(test_fail_hook),   cmocka_unit_test(test_blob),
        cmocka_unit_test(test_file),        cmocka_unit_test(test_smap),
        cmocka_unit_test(test_sha256),      cmocka_unit_test(test_str),
        cmocka_unit_test(test_escape),      cmocka_unit_test(test_glob),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_human),
        cmocka_unit_test(test_dims_count),  cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
