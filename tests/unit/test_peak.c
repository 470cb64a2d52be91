/* The ceilings: kern/peak.h counts what it does, and session/ceilings.h gives numbers of a machine. */
#include "cmk.h"

#include <math.h>

#include "base/cpu.h"
#include "base/rss.h"
#include "kern/peak.h"
#include "session/ceilings.h"

static struct cx cx;

/* Every chain is x -> 0.9999 x + 0.0001, whose limit is 1: after many rounds the sum is the number of chains,
 * and the operations are 2 a round and chain. So a loop that the compiler dropped is seen. */
static void chains_end_at_their_limit(void **state)
{
    (void)state;
    static const unsigned masks[] = {0, CPU_AVX2, CPU_AVX2 | CPU_AVX512};
    for (int i = 0; i < 3; i++) {
        if (masks[i] & ~cpu_flags())
            continue;
        float sum;
        const int64_t rounds = 300000;
        double flops = peak_pick(masks[i])(rounds, &sum);
        double chains = flops / (2.0 * (double)rounds);
        assert_true(chains == floor(chains) && chains >= 16);
        assert_true(fabs(sum - chains) < 0.01 * chains);
    }
}

static void reading_sums_every_word(void **state)
{
    (void)state;
    uint64_t v[29];
    for (size_t i = 0; i < 29; i++)
        v[i] = (uint64_t)1 << i;
    for (size_t n = 0; n <= 29; n++)
        assert_true(peak_read(v, n) == ((uint64_t)1 << n) - 1);
}

static void ceilings_are_positive(void **state)
{
    (void)state;
    struct ceilings c;
    assert_int_equal(ceilings_measure(&cx, 1, cpu_flags(), &c), OK);
    assert_true(c.flops > 1e7 && c.bytes > 1e7 && isfinite(c.flops) && isfinite(c.bytes));
    mem_fail_after(1);
    int rc = ceilings_measure(&cx, 1, cpu_flags(), &c);
    mem_fail_after(-1);
    assert_int_equal(rc, E_NOMEM);
}

static void memory_of_the_process(void **state)
{
    (void)state;
    assert_true(rss_now() > 1 << 16);
    assert_true(rss_peak() >= rss_now() / 2);
}

int main(void)
{
    cx_init(&cx);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_end_at_their_limit),
        cmocka_unit_test(reading_sums_every_word),
        cmocka_unit_test(ceilings_are_positive),
        cmocka_unit_test(memory_of_the_process),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cx_fini(&cx);
    return failed;
}
