/* The command: chooses rows, runs their checks or benches, counts. */
#include "checkkern.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

static const struct check *const groups[] = {
#define GROUP(name) check_##name,
#include "groups.def"
#undef GROUP
};

struct options {
    bool quick, bench, list;
    const char *function, *isa;
    uint64_t seed;
};

enum { SHOWN_FAILURES = 5 };

static sigjmp_buf crash_jump;
static volatile sig_atomic_t crash_armed;

static void on_crash(int sig)
{
    if (crash_armed)
        siglongjmp(crash_jump, sig);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void catch_crashes(void)
{
    static char stack[1 << 16];
    const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};

    sigaltstack(&ss, NULL);
    for (size_t i = 0; i < sizeof sigs / sizeof sigs[0]; i++)
        sigaction(sigs[i], &sa, NULL);
}

void ck_fail(struct ck *c, const char *fmt, ...)
{
    va_list ap;
    if (c->failures++ >= SHOWN_FAILURES)
        return;
    printf("  %s: ", c->row->name);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

enum dtype ck_slot_dtype(const struct ck *c, int nth)
{
    static const char *const names[DT_COUNT] = {
#define DT(name, num, text, bits, bytes, cls) [num] = #name,
#include "base/dtype.def"
#undef DT
    };
    const char *at = strstr(c->row->slot, "[DT_");
    for (; at && nth > 0; nth--)
        at = strstr(at + 1, "[DT_");
    for (int i = 0; at && i < DT_COUNT; i++)
        if (names[i] && !strncmp(at + 4, names[i], strlen(names[i])) && at[4 + strlen(names[i])] == ']')
            return (enum dtype)i;
    return DT_UNDEFINED;
}

static const struct check *find_check(const char *slot)
{
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
        for (const struct check *k = groups[g]; k->slots; k++)
            if (glob_match(k->slots, slot))
                return k;
    return NULL;
}

static void prepare(struct ck *c, int row, const struct options *o)
{
    unsigned level;
    memset(c, 0, sizeof *c);
    c->row = kern_row(row);
    c->is_ref = c->row->isa == 0;
    c->quick = o->quick;
    c->rng = hash_str(HASH_INIT ^ o->seed, c->row->name);
    kern_init(&c->ref, 0);
    c->var = c->ref;
    kern_row_apply(&c->var, row);
    if (cpu_mask_parse(cpu_mask_name(c->row->isa), &level) < 0)
        level = c->row->isa;
    kern_init(&c->full, level | c->row->isa);
    kern_row_apply(&c->full, row);
}

static void run_caught(struct ck *c, void (*fn)(struct ck *))
{
    int sig = sigsetjmp(crash_jump, 1);
    if (sig) {
        crash_armed = 0;
        ck_fail(c, "crashed: %s", strsignal(sig));
        return;
    }
    crash_armed = 1;
    fn(c);
    crash_armed = 0;
    ck_done(c);
}

static bool wanted(const struct kern_row *r, const struct options *o)
{
    return (!o->function || glob_match(o->function, r->name) || glob_match(o->function, r->slot)) &&
           (!o->isa || !strcmp(cpu_mask_name(r->isa), o->isa));
}

/* 0 passed, 1 failed, 2 skipped. */
static int run_row(int i, const struct options *o)
{
    static struct ck c;
    const struct kern_row *r = kern_row(i);
    const struct check *k = find_check(r->slot);

    if (r->isa & ~cpu_flags()) {
        printf("skipped %s: this processor lacks %s\n", r->name, cpu_mask_name(r->isa));
        return 2;
    }
    prepare(&c, i, o);
    if (!k) {
        ck_fail(&c, "slot %s has no check", r->slot);
        return 1;
    }
    if (o->bench) {
        if (!k->bench)
            return 2;
        run_caught(&c, k->bench);
    } else {
        run_caught(&c, k->run);
    }
    if (c.failures)
        printf("FAILED %s (%s): %d failures\n", r->name, r->slot, c.failures);
    fflush(stdout);
    return c.failures != 0;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: checkkern [--quick] [--bench] [--list] [--function=GLOB] [--isa=NAME] [--seed=N]\n");
    return 2;
}

static int parse_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        char *end = NULL;
        if (!strcmp(a, "--quick"))
            o->quick = true;
        else if (!strcmp(a, "--bench"))
            o->bench = true;
        else if (!strcmp(a, "--list"))
            o->list = true;
        else if (!strncmp(a, "--function=", 11))
            o->function = a + 11;
        else if (!strncmp(a, "--isa=", 6))
            o->isa = a + 6;
        else if (!strncmp(a, "--seed=", 7) && (o->seed = strtoull(a + 7, &end, 0), *end == 0 && end > a + 7))
            continue;
        else
            return usage();
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 1}; /* the same from run to run; --seed=N for others */
    int count[3] = {0, 0, 0};

    if (parse_options(argc, argv, &o))
        return 2;
    printf("checkkern: seed %llu, %s\n", (unsigned long long)o.seed, cpu_mask_name(cpu_flags()));
    catch_crashes();
    for (int i = 0; i < kern_row_count(); i++) {
        const struct kern_row *r = kern_row(i);
        if (!wanted(r, &o))
            continue;
        if (o.list)
            printf("%-32s %s\n", r->slot, r->name);
        else
            count[run_row(i, &o)]++;
    }
    if (!o.list)
        printf("%d passed, %d failed, %d skipped\n", count[0], count[1], count[2]);
    return count[1] ? 1 : 0;
}
