/* Each worker has a ticket of its own: the caller writes the job, then adds one to the ticket of every worker
 * that the job needs, does its own part, and waits until `pending` is back at 0. Who needs not work is not
 * woken.
 *
 * A worker may be slow to wake, or its core may be busy with something else. So a part belongs to who claims
 * it: the worker when it sees the ticket, or the caller when it is done with its own part. Parts are the same
 * either way, and so are results. Job fields are read after a claim alone: only then the job is sure to last.
 *
 * Both waits spin for a while and then sleep in futex(2). The sleeper announces itself before its last look
 * at the word, the waker changes the word before it looks for sleepers; with sequentially consistent accesses
 * one of the two sees the other, so no wake-up is lost. */
#include "threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena.h"
#include "cpu.h"
#include "err.h"

enum { MAX_THREADS = 1024, CACHE_LINE = 64 };
/* A worker that has just finished is likely to be asked again: the next node is a few microseconds away. */
#define SPIN_SECONDS 100e-6

struct word {
    atomic_uint value;
    atomic_uint sleepers;
};

struct worker {
    struct word ticket;
    atomic_uint claimed; /* the ticket whose part is taken */
    struct pool *pool;
    pthread_t thread;
    int index;
} __attribute__((aligned(CACHE_LINE)));

struct pool {
    int n;
    bool spin; /* off where threads outnumber cores: spinning would keep the others from working */
    unsigned forks;
    pthread_mutex_t lock; /* one job at a time, when several application threads share a pool */
    /* The job; written before the tickets, read after them. */
    par_fn *fn;
    void *arg;
    int64_t count, grain;
    int parts;
    atomic_bool stop;
    struct word pending __attribute__((aligned(CACHE_LINE)));
    struct worker worker[]; /* [0] is the caller's place, unused */
};

/* Pool and place of the thread that is inside a par_fn. */
static _Thread_local const struct pool *inside;
static _Thread_local int inside_thread;
/* In a child process the workers do not exist. */
static atomic_uint forks;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void word_wake(struct word *w)
{
    if (atomic_load(&w->sleepers))
        syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* True once the word is no longer old, false when spinning has lasted long enough. */
static bool spin_while(struct word *w, unsigned old)
{
    double until = time_now() + SPIN_SECONDS;

    do
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(&w->value, memory_order_acquire) != old)
                return true;
            relax();
        }
    while (time_now() < until);
    return false;
}

static void wait_while(struct word *w, unsigned old, bool spin)
{
    if (spin && spin_while(w, old))
        return;
    atomic_fetch_add(&w->sleepers, 1);
    while (atomic_load(&w->value) == old)
        syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&w->sleepers, 1);
}

/* Part t of the job: a contiguous run of grains; the first parts take one more when they do not divide
 * evenly. */
static void run_part(const struct pool *p, int t)
{
    int64_t grains = p->count / p->grain + (p->count % p->grain != 0);
    int64_t share = grains / p->parts, extra = grains % p->parts;
    int64_t first = t * share + (t < extra ? t : extra);
    int64_t last = first + share + (t < extra);
    int64_t end = last == grains ? p->count : last * p->grain;
    const struct pool *outer = inside;
    int outer_thread = inside_thread;

    inside = p;
    inside_thread = t;
    p->fn(p->arg, first * p->grain, end, t);
    inside = outer;
    inside_thread = outer_thread;
}

/* Takes the part of ticket number t; false when it was taken. */
static bool claim(struct worker *w, unsigned t)
{
    unsigned before = t - 1;

    return atomic_compare_exchange_strong(&w->claimed, &before, t);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;

    for (unsigned seen = 0;;) {
        wait_while(&w->ticket, seen, p->spin);
        seen = atomic_load(&w->ticket.value);
        if (atomic_load(&p->stop))
            return NULL;
        if (!claim(w, seen))
            continue;
        run_part(p, w->index);
        if (atomic_fetch_sub(&p->pending.value, 1) == 1)
            word_wake(&p->pending);
    }
}

static void give_ticket(struct worker *w)
{
    atomic_fetch_add(&w->ticket.value, 1);
    word_wake(&w->ticket);
}

/* Signals belong to the application's threads. */
static int start_worker(struct worker *w)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failed;
}

static void stop_workers(struct pool *p, int started)
{
    atomic_store(&p->stop, true);
    for (int i = 1; i <= started; i++)
        give_ticket(&p->worker[i]);
    for (int i = 1; i <= started; i++)
        pthread_join(p->worker[i].thread, NULL);
}

struct pool *pool_new(int n)
{
    if (n < 1)
        n = 1;
    if (n > MAX_THREADS)
        n = MAX_THREADS;
    size_t size = sizeof(struct pool) + (size_t)n * sizeof(struct worker);
    struct pool *p = mem_aligned(size, CACHE_LINE);
    if (!p)
        return NULL;
    memset(p, 0, size);
    pthread_once(&fork_once, watch_forks);
    p->n = n;
    p->spin = n <= cpu_count();
    p->forks = atomic_load(&forks);
    pthread_mutex_init(&p->lock, NULL);
    for (int i = 1; i < n; i++) {
        p->worker[i].pool = p;
        p->worker[i].index = i;
        if (start_worker(&p->worker[i])) {
            stop_workers(p, i - 1);
            pthread_mutex_destroy(&p->lock);
            free(p);
            return NULL;
        }
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    if (p->forks == atomic_load(&forks)) {
        stop_workers(p, p->n - 1);
        pthread_mutex_destroy(&p->lock);
    }
    free(p);
}

int pool_size(const struct pool *p)
{
    return p ? p->n : 1;
}

/* In a forked child: the same parts in order, so that results are those that the threads would give. */
static void run_alone(const struct pool *p, int64_t n, int64_t grain, int parts, par_fn *fn, void *arg)
{
    struct pool job = {.n = p->n, .fn = fn, .arg = arg, .count = n, .grain = grain, .parts = parts};

    for (int t = 0; t < parts; t++)
        run_part(&job, t);
}

static void run_job(struct pool *p)
{
    atomic_store(&p->pending.value, (unsigned)p->parts - 1);
    for (int t = 1; t < p->parts; t++)
        give_ticket(&p->worker[t]);
    run_part(p, 0);
    for (int t = p->parts - 1; t > 0; t--)
        if (claim(&p->worker[t], atomic_load(&p->worker[t].ticket.value))) {
            run_part(p, t);
            atomic_fetch_sub(&p->pending.value, 1);
        }
    for (unsigned left; (left = atomic_load(&p->pending.value));)
        wait_while(&p->pending, left, p->spin);
}

/* A nested call keeps its thread's place, so that scratch memory per thread stays its own. Inside another
 * pool's job it is place 0: two pools waiting for each other's threads would never end. */
void par_for(struct pool *p, int64_t n, int64_t grain, par_fn *fn, void *arg)
{
    if (n <= 0)
        return;
    if (grain < 1)
        grain = 1;
    if (!p || p->n == 1 || n <= grain || inside) {
        fn(arg, 0, n, p && inside == p ? inside_thread : 0);
        return;
    }
    int64_t grains = n / grain + (n % grain != 0);
    int parts = grains < p->n ? (int)grains : p->n;
    if (p->forks != atomic_load(&forks)) {
        run_alone(p, n, grain, parts, fn, arg);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->arg = arg;
    p->count = n;
    p->grain = grain;
    p->parts = parts;
    run_job(p);
    pthread_mutex_unlock(&p->lock);
}
