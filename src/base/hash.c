/* Hash tables by string and by integer, and SHA-256. */
#include "hash.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>

#include "checked.h"

uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3ull;
    return h;
}

uint64_t hash_str(uint64_t h, const char *s)
{
    return hash_bytes(h, s, strlen(s));
}

/* Both halves of the 128-bit product, folded: every input bit reaches every output bit. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 r = (unsigned __int128)a * b;

    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

/* Random to whoever wrote the model, so that names cannot be chosen to collide. Nothing that is printed
 * depends on it: maps are looked up, never walked. */
static uint64_t process_seed(void)
{
    static _Atomic uint64_t cached;
    uint64_t seed = atomic_load_explicit(&cached, memory_order_relaxed);

    if (seed)
        return seed;
    const void *random = (const void *)getauxval(AT_RANDOM);
    seed = 0x9e3779b97f4a7c15ull;
    if (random)
        memcpy(&seed, random, sizeof seed);
    seed |= 1;
    atomic_store_explicit(&cached, seed, memory_order_relaxed);
    return seed;
}

static uint64_t key_hash(const char *key)
{
    uint64_t h = process_seed(), w;
    size_t n = strlen(key), i = 0;

    for (; n - i >= 8; i += 8) {
        memcpy(&w, key + i, 8);
        h = fold(h ^ w, 0xa0761d6478bd642full);
    }
    w = 0;
    memcpy(&w, key + i, n - i);
    h = fold(h ^ w, 0xe7037ed1a0b428dbull);
    return fold(h ^ n, 0x8ebc6af09c88c6e3ull);
}

/* The slot of key, or the free one where it belongs. There is always a free slot. */
static struct smap_slot *find_slot(struct smap_slot *slots, size_t cap, const char *key, uint64_t hash)
{
    for (size_t i = hash & (cap - 1);; i = (i + 1) & (cap - 1)) {
        struct smap_slot *s = &slots[i];
        if (!s->key || (s->hash == hash && strcmp(s->key, key) == 0))
            return s;
    }
}

static bool smap_grow(struct smap *m)
{
    size_t cap = 16;

    if (m->cap && !mul_size(m->cap, 2, &cap))
        return false;
    struct smap_slot *slots = arena_array(m->arena, cap, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key)
            *find_slot(slots, cap, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    m->slots = slots;
    m->cap = cap;
    return true;
}

bool smap_put(struct smap *m, const char *key, void *val)
{
    uint64_t hash = key_hash(key);

    if (m->n >= m->cap / 4 * 3 && !smap_grow(m))
        return false;
    struct smap_slot *s = find_slot(m->slots, m->cap, key, hash);
    if (!s->key) {
        s->key = key;
        s->hash = hash;
        m->n++;
    }
    s->val = val;
    return true;
}

void *smap_get(const struct smap *m, const char *key)
{
    return m->n ? find_slot(m->slots, m->cap, key, key_hash(key))->val : NULL;
}

/* Fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha_schedule(uint32_t w[64], const uint8_t *block)
{
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
}

static void sha_block(uint32_t h[8], const uint8_t *block)
{
    uint32_t w[64], v[8];

    sha_schedule(w, block);
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t t1 = v[7] + s1 + choice + sha_k[i] + w[i];
        uint32_t s0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + s0 + majority;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

void sha256_init(struct sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    memset(s, 0, sizeof *s);
    memcpy(s->h, start, sizeof start);
}

void sha256_add(struct sha256 *s, const void *p, size_t n)
{
    const uint8_t *b = p;
    size_t have = s->len % 64;

    s->len += n;
    if (have) {
        size_t take = n < 64 - have ? n : 64 - have;
        if (take)
            memcpy(s->buf + have, b, take);
        b += take;
        n -= take;
        if (have + take < 64)
            return;
        sha_block(s->h, s->buf);
    }
    for (; n >= 64; b += 64, n -= 64)
        sha_block(s->h, b);
    if (n)
        memcpy(s->buf, b, n);
}

void sha256_done(struct sha256 *s, uint8_t out[32])
{
    static const uint8_t pad[64] = {0x80};
    uint64_t bits = s->len * 8;
    uint8_t length[8];

    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    size_t have = s->len % 64;
    sha256_add(s, pad, have < 56 ? 56 - have : 120 - have);
    sha256_add(s, length, 8);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}
