/* Chunks form a stack, the newest at the head; only the head is allocated from, which is what lets a mark be
 * (chunk, offset) and a release be a few pops. A request that does not fit the head starts a new chunk, and
 * what is left of the old one is lost: pages nobody touched, so it costs address space rather than memory. */
#include "arena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#endif

/* Under the address sanitizer what was not handed out, or was released, is off limits. */
#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ARENA_ALIGN = 16, CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20, ALIGN_MAX = 4096, KEPT_MAX = 1 << 16 };

struct arena_chunk {
    struct arena_chunk *prev;
    size_t top, size; /* offsets from the chunk's start, the header counted */
};

#define CHUNK_HEAD ((sizeof(struct arena_chunk) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN)

static atomic_long fail_countdown = -1;
static atomic_long taken;

void mem_fail_after(long countdown)
{
    atomic_store(&fail_countdown, countdown);
}

/* True when the hook wants this allocation to fail. Once the countdown is at 0 it stays there. */
static bool hook_fails(void)
{
    long left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);

    atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
    if (left < 0)
        return false;
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1))
            return false;
    return left == 0;
}

long mem_count(void)
{
    return atomic_load_explicit(&taken, memory_order_relaxed);
}

void *mem_alloc(size_t n)
{
    return hook_fails() ? NULL : malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
    return hook_fails() ? NULL : calloc(1, n ? n : 1);
}

void *mem_aligned(size_t n, size_t align)
{
    void *p;

    if (align < sizeof(void *))
        align = sizeof(void *);
    if (hook_fails() || posix_memalign(&p, align, n ? n : 1))
        return NULL;
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    return hook_fails() ? NULL : realloc(p, n ? n : 1);
}

/* Offset of the first byte at or behind top whose address is a multiple of align. */
static size_t aligned_top(const struct arena_chunk *c, size_t align)
{
    uintptr_t base = (uintptr_t)c;

    return ((base + c->top + align - 1) & ~(uintptr_t)(align - 1)) - base;
}

/* Pushes a chunk with room for n bytes at that alignment. */
static struct arena_chunk *push_chunk(struct arena *a, size_t n, size_t align)
{
    size_t size = a->used < CHUNK_MIN ? CHUNK_MIN : a->used > CHUNK_MAX ? CHUNK_MAX : a->used;
    size_t need;

    if (!add_size(n, CHUNK_HEAD + align, &need))
        return NULL;
    if (size < need)
        size = need;
    struct arena_chunk *c = mem_alloc(size);
    if (!c)
        return NULL;
    c->prev = a->head;
    c->top = CHUNK_HEAD;
    c->size = size;
    POISON((char *)c + CHUNK_HEAD, size - CHUNK_HEAD);
    a->head = c;
    return c;
}

void *arena_alloc_aligned(struct arena *a, size_t n, size_t align)
{
    struct arena_chunk *c = a->head;
    size_t at, total;

    if (align < ARENA_ALIGN)
        align = ARENA_ALIGN;
    if (align > ALIGN_MAX || !add_size(a->used, n, &total) || (a->limit && total > a->limit))
        return NULL;
    at = c ? aligned_top(c, align) : 0;
    if (!c || at > c->size || c->size - at < n) {
        c = push_chunk(a, n, align);
        if (!c)
            return NULL;
        at = aligned_top(c, align);
    }
    c->top = at + n;
    a->used = total;
    UNPOISON((char *)c + at, n);
    return (char *)c + at;
}

void *arena_alloc(struct arena *a, size_t n)
{
    return arena_alloc_aligned(a, n, ARENA_ALIGN);
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    return p ? memset(p, 0, n) : NULL;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;

    return mul_size(n, size, &bytes) ? arena_zalloc(a, bytes) : NULL;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    void *copy = arena_alloc(a, n);

    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    size_t size;

    if (!add_size(n, 1, &size))
        return NULL;
    char *copy = arena_alloc(a, size);
    if (copy) {
        if (n)
            memcpy(copy, s, n);
        copy[n] = 0;
    }
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return NULL;
    char *s = arena_alloc(a, (size_t)n + 1);
    if (s)
        vsnprintf(s, (size_t)n + 1, fmt, ap);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void *arena_grow(struct arena *a, void *array, size_t n, size_t *cap, size_t size)
{
    size_t want, bytes;

    if (n < *cap)
        return array;
    if (!mul_size(*cap, 2, &want))
        return NULL;
    if (want < 8)
        want = 8;
    if (!mul_size(want, size, &bytes))
        return NULL;
    void *grown = arena_alloc(a, bytes);
    if (!grown)
        return NULL;
    if (n)
        memcpy(grown, array, n * size);
    *cap = want;
    return grown;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->head, a->head ? a->head->top : 0, a->used};
}

void arena_release(struct arena *a, struct arena_mark m)
{
    while (a->head != m.head) {
        struct arena_chunk *c = a->head;
        a->head = c->prev;
        UNPOISON(c, c->size);
        free(c);
    }
    if (a->head) {
        a->head->top = m.top;
        POISON((char *)a->head + m.top, a->head->size - m.top);
    }
    a->used = m.used;
}

void arena_rewind(struct arena *a)
{
    struct arena_chunk *first = a->head;
    while (first && first->prev)
        first = first->prev;
    if (first && first->size <= KEPT_MAX)
        arena_release(a, (struct arena_mark){first, CHUNK_HEAD, 0});
    else
        arena_free(a);
}

bool arena_reserve(struct arena *a, size_t n)
{
    return a->head || push_chunk(a, n, ARENA_ALIGN);
}

void arena_free(struct arena *a)
{
    arena_release(a, (struct arena_mark){NULL, 0, 0});
}
