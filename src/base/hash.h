/* Hashes and a string-keyed map. */
#ifndef OT_BASE_HASH_H
#define OT_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

/* FNV-1a, 64 bit, over bytes; seed with HASH_INIT or an earlier result. For tables, not for adversaries:
 * struct smap mixes in a per-process seed. */
#define HASH_INIT 0xcbf29ce484222325ull
uint64_t hash_bytes(uint64_t h, const void *p, size_t n);
uint64_t hash_str(uint64_t h, const char *s);

/* Name -> pointer, open addressing, memory from an arena. Keys are borrowed. A struct with only `arena` set
 * is empty. */
struct smap {
    struct arena *arena;
    struct smap_slot *slots;
    size_t n, cap;
};
struct smap_slot {
    const char *key;
    uint64_t hash;
    void *val;
};

/* Sets key to val, replacing; false when memory runs out. */
bool smap_put(struct smap *m, const char *key, void *val);
/* NULL when absent. */
void *smap_get(const struct smap *m, const char *key);

/* SHA-256 (FIPS 180-4), for fingerprints. */
struct sha256 {
    uint32_t h[8];
    uint64_t len;
    uint8_t buf[64];
};
void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_done(struct sha256 *s, uint8_t out[32]);

#endif
