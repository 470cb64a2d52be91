/* Memory that is freed together. Allocations are 16-byte aligned and never move.
 * A zeroed struct arena is an empty one. Allocation returns NULL when the system or the arena's limit says
 * no; the caller reports it with err_nomem(). */
#ifndef OT_BASE_ARENA_H
#define OT_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head;
    size_t used;  /* bytes handed out since the last reset */
    size_t limit; /* 0: none */
};

struct arena_mark {
    struct arena_chunk *head;
    size_t top, used;
};

/* n bytes, not cleared; n of 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n);
/* n bytes, zeroed. */
void *arena_zalloc(struct arena *a, size_t n);
/* n elements of size bytes, zeroed; NULL when the product overflows. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* n bytes aligned to align (a power of two, at most 4096), not cleared. */
void *arena_alloc_aligned(struct arena *a, size_t n, size_t align);
void *arena_dup(struct arena *a, const void *p, size_t n);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);
/* Growth by doubling of an array that lives in the arena (the old copy stays until the arena goes):
 * makes room for one more of size bytes behind *n used ones; returns the array, or NULL. */
void *arena_grow(struct arena *a, void *array, size_t n, size_t *cap, size_t size);

struct arena_mark arena_mark(const struct arena *a);
/* Frees what was allocated since the mark. */
void arena_release(struct arena *a, struct arena_mark m);
void arena_free(struct arena *a);
/* Everything goes, but the first chunk stays for the next use where it is small. */
void arena_rewind(struct arena *a);
/* Gives an empty arena a first chunk with room for n bytes, which releases and rewinds keep. False: no
 * memory. */
bool arena_reserve(struct arena *a, size_t n);

/* Test hook: after countdown more system allocations every one fails; negative: never. */
void mem_fail_after(long countdown);
/* How often memory was asked for so far: a steady run asks for none. */
long mem_count(void);
/* malloc, calloc, aligned alloc under that hook; freed with free(). */
void *mem_alloc(size_t n);
void *mem_zalloc(size_t n);
void *mem_aligned(size_t n, size_t align);
void *mem_realloc(void *p, size_t n);

#endif
