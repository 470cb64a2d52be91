/* Tests of the thread pool, and of what the machine allows. */
#include "cmk.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/threads.h"

enum { COUNT = 1000 };

struct seen {
    struct pool *pool;
    int64_t n, grain;
    atomic_int times[COUNT];
    int thread[COUNT];
    atomic_int bad;
};

static void mark_range(void *arg, int64_t begin, int64_t end, int thread)
{
    struct seen *s = arg;

    if (begin % s->grain || (end % s->grain && end != s->n) || begin >= end)
        atomic_fetch_add(&s->bad, 1);
    if (thread < 0 || thread >= pool_size(s->pool))
        atomic_fetch_add(&s->bad, 1);
    for (int64_t i = begin; i < end; i++) {
        atomic_fetch_add(&s->times[i], 1);
        s->thread[i] = thread;
    }
}

static void run_once(struct pool *p, struct seen *s, int64_t n, int64_t grain)
{
    memset(s, 0, sizeof *s);
    s->pool = p;
    s->n = n;
    s->grain = grain;
    par_for(p, n, grain, mark_range, s);
    assert_int_equal(s->bad, 0);
    for (int64_t i = 0; i < COUNT; i++)
        assert_int_equal(s->times[i], i < n);
}

static void test_coverage(void **state)
{
    static const int64_t sizes[] = {0, 1, 2, 7, 8, 9, 63, 64, 65, 100, 999, 1000};
    static const int64_t grains[] = {1, 2, 3, 8, 64, 1000, 5000};
    struct seen s, again;

    (void)state;
    for (int threads = 1; threads <= 8; threads++) {
        struct pool *p = pool_new(threads);
        assert_int_equal(pool_size(p), threads);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
                run_once(p, &s, sizes[i], grains[g]);
                run_once(p, &again, sizes[i], grains[g]);
                /* Who gets what is a matter of the sizes alone. */
                assert_memory_equal(s.thread, again.thread, sizeof s.thread);
            }
        pool_free(p);
    }
    run_once(NULL, &s, 100, 3);
    assert_int_equal(pool_size(NULL), 1);
    pool_free(NULL);
}

/* Every thread takes part where there is work for each. */
static void test_spread(void **state)
{
    struct pool *p = pool_new(4);
    struct seen s;

    (void)state;
    run_once(p, &s, 1000, 1);
    for (int t = 0; t < 4; t++)
        assert_int_equal(s.thread[t * 250], t);
    run_once(p, &s, 2, 1);
    assert_int_equal(s.thread[1], 1);
    pool_free(p);
}

static void add_one(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    atomic_fetch_add((atomic_long *)arg, end - begin);
}

/* Long enough, with a pause in between, for workers to fall asleep and be woken many times. */
static void test_many_jobs(void **state)
{
    struct pool *p = pool_new(3);
    atomic_long sum = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        par_for(p, 30, 1, add_one, &sum);
        if (i % 100 == 0)
            usleep(300);
    }
    assert_int_equal(sum, 90000);
    pool_free(p);
}

struct nest {
    struct pool *pool;
    atomic_long sum;
    atomic_int bad;
};

struct inner {
    struct nest *nest;
    int thread;
};

static void inner_part(void *arg, int64_t begin, int64_t end, int thread)
{
    struct inner *in = arg;

    if (thread != in->thread || begin != 0)
        atomic_fetch_add(&in->nest->bad, 1);
    atomic_fetch_add(&in->nest->sum, end - begin);
}

static void outer_part(void *arg, int64_t begin, int64_t end, int thread)
{
    struct inner in = {arg, thread};

    for (int64_t i = begin; i < end; i++)
        par_for(in.nest->pool, 10, 1, inner_part, &in);
}

static void test_nested(void **state)
{
    struct nest n = {.pool = pool_new(4)};

    (void)state;
    par_for(n.pool, 100, 1, outer_part, &n);
    assert_int_equal(n.sum, 1000);
    assert_int_equal(n.bad, 0);
    pool_free(n.pool);
}

static void test_fork(void **state)
{
    struct pool *p = pool_new(4);
    struct seen s, child;
    int status;

    (void)state;
    run_once(p, &s, 1000, 7);
    pid_t pid = fork();
    if (pid == 0) {
        memset(&child, 0, sizeof child);
        child.pool = p;
        child.n = 1000;
        child.grain = 7;
        par_for(p, 1000, 7, mark_range, &child);
        int differ = child.bad || memcmp(child.thread, s.thread, sizeof s.thread);
        pool_free(p);
        _exit(differ);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    run_once(p, &s, 1000, 7);
    pool_free(p);
}

static void test_cpu(void **state)
{
    unsigned mask = 99;

    (void)state;
    assert_true(cpu_count() >= 1);
    assert_true(cpu_memory_limit() > 0);
    assert_non_null(cpu_brand());
    assert_int_equal(cpu_mask_parse("c", &mask), 0);
    assert_int_equal(mask, 0);
    assert_int_equal(cpu_mask_parse("vnni", &mask), 0);
    assert_int_equal(mask, CPU_AVX2 | CPU_AVX512 | CPU_VNNI);
    assert_string_equal(cpu_mask_name(mask), "vnni");
    assert_string_equal(cpu_mask_name(CPU_AVX2), "avx2");
    assert_string_equal(cpu_mask_name(0), "c");
    assert_int_equal(cpu_mask_parse("sse9", &mask), -1);
    unsigned flags = cpu_flags();
    if (flags & CPU_VNNI)
        assert_true(flags & CPU_AVX512);
    if (flags & CPU_AVX512)
        assert_true(flags & CPU_AVX2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage), cmocka_unit_test(test_spread), cmocka_unit_test(test_many_jobs),
        cmocka_unit_test(test_nested),   cmocka_unit_test(test_fork),   cmocka_unit_test(test_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
