/* Guarded memory, fills, comparisons, the clock. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "checkkern.h"

enum { POISON = 0xA5 };

struct ck_buf {
    struct ck_buf *next;
    unsigned char *map, *data;
    size_t map_size, pages, n; /* pages: bytes between the two unreadable pages */
};

uint64_t ck_rand(struct ck *c)
{
    uint64_t z = c->rng += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

int64_t ck_below(struct ck *c, int64_t n)
{
    return (int64_t)(ck_rand(c) % (uint64_t)n);
}

int64_t ck_size(struct ck *c, int64_t tile)
{
    switch (ck_below(c, 10)) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return tile > 1 ? tile - 1 : 1;
    case 3:
        return tile;
    case 4:
        return tile + 1;
    case 5:
        return 2 * tile;
    case 6:
        return 2 * tile + 3;
    default:
        return 1 + ck_below(c, 5 * tile);
    }
}

void *ck_alloc(struct ck *c, size_t n, size_t align)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct ck_buf *b = malloc(sizeof *b);
    size_t pages = (n + page) / page * page;
    unsigned char *map = mmap(NULL, pages + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (!b || map == MAP_FAILED || mprotect(map + page, pages, PROT_READ | PROT_WRITE)) {
        fprintf(stderr, "checkkern: no memory for %zu bytes\n", n);
        exit(2);
    }
    memset(map + page, POISON, pages);
    size_t off = ck_rand(c) % 4 ? (pages - n) & ~(align - 1) : 0;
    *b = (struct ck_buf){c->bufs, map, map + page + off, pages + 2 * page, pages, n};
    c->bufs = b;
    return b->data;
}

void ck_seal(struct ck *c)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (struct ck_buf *b = c->bufs; b; b = b->next)
        mprotect(b->map + page, b->pages, PROT_READ);
}

static bool poison_whole(const struct ck_buf *b, size_t page)
{
    const unsigned char *first = b->map + page, *end = first + b->pages;
    for (const unsigned char *p = first; p < b->data; p++)
        if (*p != POISON)
            return false;
    for (const unsigned char *p = b->data + b->n; p < end; p++)
        if (*p != POISON)
            return false;
    return true;
}

void ck_done(struct ck *c)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    while (c->bufs) {
        struct ck_buf *b = c->bufs;
        if (!poison_whole(b, page))
            ck_fail(c, "wrote outside a buffer of %zu bytes", b->n);
        c->bufs = b->next;
        munmap(b->map, b->map_size);
        free(b);
    }
}

static float special(struct ck *c)
{
    static const float v[] = {NAN,     INFINITY, -INFINITY, 0.0f,     -0.0f, 1e-40f,
                              -1e-45f, 3.4e38f,  -3.4e38f,  1.2e-38f, 1.0f,  -1.0f};
    return v[ck_below(c, sizeof v / sizeof v[0])];
}

static float uniform(struct ck *c)
{
    return (float)((double)(ck_rand(c) >> 11) * 0x1p-52 - 1.0);
}

void ck_fill_f32(struct ck *c, float *p, size_t n, enum ck_fill fill)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = uniform(c);
        if (fill == FILL_WIDE)
            p[i] = ldexpf(p[i], (int)ck_below(c, 41) - 20);
        else if (fill == FILL_SPECIAL && ck_below(c, 10) == 0)
            p[i] = special(c);
        else if (fill == FILL_INT)
            p[i] = (float)(ck_below(c, 9) - 4);
    }
}

void ck_fill_bytes(struct ck *c, void *p, size_t n)
{
    unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        b[i] = (unsigned char)ck_rand(c);
}

bool ck_same(struct ck *c, const void *got, const void *want, size_t n, const char *what)
{
    const unsigned char *g = got, *w = want;
    for (size_t i = 0; i < n; i++)
        if (g[i] != w[i]) {
            ck_fail(c, "%s: byte %zu is 0x%02x, expected 0x%02x", what, i, g[i], w[i]);
            return false;
        }
    return true;
}

static bool near(double g, double w, double abs, double rel)
{
    if (isnan(g) || isnan(w))
        return isnan(g) && isnan(w);
    return g == w || fabs(g - w) <= abs + rel * fabs(w);
}

bool ck_near(struct ck *c, const float *got, const float *want, size_t n, double abs, double rel,
             const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!near((double)got[i], (double)want[i], abs, rel)) {
            ck_fail(c, "%s: element %zu is %.9g, expected %.9g", what, i, (double)got[i], (double)want[i]);
            return false;
        }
    return true;
}

bool ck_near_f64(struct ck *c, const double *got, const double *want, size_t n, double abs, double rel,
                 const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!near(got[i], want[i], abs, rel)) {
            ck_fail(c, "%s: element %zu is %.17g, expected %.17g", what, i, got[i], want[i]);
            return false;
        }
    return true;
}

/* Floats in order, as integers. */
static int64_t ordered(float f)
{
    int32_t i;
    memcpy(&i, &f, sizeof i);
    return i < 0 ? -(int64_t)(i & 0x7fffffff) : i;
}

bool ck_ulp(struct ck *c, const float *got, const float *want, size_t n, unsigned ulp, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (isnan(got[i]) && isnan(want[i]))
            continue;
        if (isnan(got[i]) || isnan(want[i]) || llabs(ordered(got[i]) - ordered(want[i])) > (long long)ulp) {
            ck_fail(c, "%s: element %zu is %.9g, expected %.9g (%u ulp allowed)", what, i, (double)got[i],
                    (double)want[i], ulp);
            return false;
        }
    }
    return true;
}

void ck_bench(struct ck *c, const char *what, double flops, double bytes, void (*fn)(void *), void *arg)
{
    double best = 1e9, total = 0;
    double budget = c->quick ? 0.05 : 0.3;
    int runs = 0;
    while (runs < 3 || (total < budget && runs < 100000)) {
        double t = time_now();
        fn(arg);
        t = time_now() - t;
        best = t < best ? t : best;
        total += t;
        runs++;
    }
    printf("%-28s %-34s %10.1f us", c->row->name, what, best * 1e6);
    if (flops > 0)
        printf(" %8.1f GFLOP/s", flops / best * 1e-9);
    if (bytes > 0)
        printf(" %8.1f GB/s", bytes / best * 1e-9);
    putchar('\n');
    fflush(stdout);
}
