/* Measures what this machine can do at most: multiply-adds and memory. */
#include "session/ceilings.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "kern/peak.h"

/* The block is several times the last-level cache of most machines. */
enum { ROUNDS = 5, FMA_ROUNDS = 200000, BLOCK = 128 << 20, MAX_THREADS = 1024 };

struct job {
    peak_fn *fma;
    const uint64_t *block;
    double flops[MAX_THREADS]; /* by thread: no sharing of results while it runs */
    float sink[MAX_THREADS];
    uint64_t sum[MAX_THREADS];
};

static void fma_part(void *arg, int64_t begin, int64_t end, int thread)
{
    struct job *j = arg;
    j->flops[thread] = 0;
    for (int64_t i = begin; i < end; i++)
        j->flops[thread] += j->fma(FMA_ROUNDS, &j->sink[thread]);
}

static void read_part(void *arg, int64_t begin, int64_t end, int thread)
{
    struct job *j = arg;
    j->sum[thread] += peak_read(j->block + begin, (size_t)(end - begin));
}

static double fma_round(struct pool *p, struct job *j, int threads)
{
    double flops = 0, t0 = time_now();
    par_for(p, threads, 1, fma_part, j);
    double t = time_now() - t0;
    for (int i = 0; i < threads; i++)
        flops += j->flops[i];
    return t > 0 ? flops / t : 0;
}

static double read_round(struct pool *p, struct job *j)
{
    const int64_t words = BLOCK / 8;
    double t0 = time_now();
    par_for(p, words, 512, read_part, j);
    double t = time_now() - t0;
    return t > 0 ? BLOCK / t : 0;
}

int ceilings_measure(struct cx *cx, int threads, unsigned mask, struct ceilings *out)
{
    *out = (struct ceilings){0};
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    struct job *j = mem_zalloc(sizeof *j);
    uint64_t *block = mem_aligned(BLOCK, 4096);
    struct pool *p = j && block ? pool_new(threads) : NULL;
    if (p) {
        memset(block, 1, BLOCK); /* pages that were never written are one and the same page of zeros */
        j->fma = peak_pick(mask);
        j->block = block;
        for (int i = 0; i < ROUNDS; i++) {
            double f = fma_round(p, j, threads), b = read_round(p, j);
            out->flops = f > out->flops ? f : out->flops;
            out->bytes = b > out->bytes ? b : out->bytes;
        }
    }
    bool done = p != NULL;
    pool_free(p);
    free(block);
    free(j);
    return done ? OK : err_nomem(cx);
}
