/* Frame of the kernel tests: every row of the kernel table is a case, compared with the C reference.
 *
 * A group file says which slots it checks and how; the frame chooses rows, catches crashes, guards memory and
 * counts. A row whose slot nobody checks fails. */
#ifndef OT_CHECKKERN_H
#define OT_CHECKKERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"

struct ck_buf;

struct ck {
    const struct kern_row *row;
    bool is_ref;      /* the row is the reference itself */
    struct kern ref;  /* C everywhere */
    struct kern var;  /* as ref, but for the row */
    struct kern full; /* all rows up to the row's ISA level, and the row */
    bool quick;
    uint64_t rng;
    int failures;
    struct ck_buf *bufs;
};

struct check {
    const char *slots; /* glob over slot names: "gemm.f32", "vec.un[[]UN_EXP*" */
    void (*run)(struct ck *c);
    void (*bench)(struct ck *c); /* may be NULL */
};

#define GROUP(name) extern const struct check check_##name[];
#include "groups.def"
#undef GROUP

/* The element type in the nth pair of brackets of the slot that names one: "vec.un[UN_EXP][DT_FLOAT]". */
enum dtype ck_slot_dtype(const struct ck *c, int nth);

/* Random numbers from the printed seed. */
uint64_t ck_rand(struct ck *c);
int64_t ck_below(struct ck *c, int64_t n);
/* One of the sizes that find bugs around a step of `tile`: 0, 1, tile - 1, tile, tile + 1, 2 tile + 3, ... */
int64_t ck_size(struct ck *c, int64_t tile);

/* Memory of n bytes, aligned to align (1: as the end falls), between unreadable pages: by turns it ends at
 * the upper page or begins behind the lower one; the rest of its pages is poisoned. Lives until ck_done(). */
void *ck_alloc(struct ck *c, size_t n, size_t align);
/* All buffers so far become read-only: the inputs of the calls that follow. */
void ck_seal(struct ck *c);
/* Ends a case: fails it if poison was touched, frees the buffers. */
void ck_done(struct ck *c);

enum ck_fill {
    FILL_UNIFORM, /* -1 .. 1 */
    FILL_WIDE,    /* any sign, exponents of -20 .. 20 */
    FILL_SPECIAL, /* a tenth are NaN, infinities, zeros of both signs, denormals, largest */
    FILL_INT      /* small whole numbers: sums are exact */
};
void ck_fill_f32(struct ck *c, float *p, size_t n, enum ck_fill fill);
void ck_fill_bytes(struct ck *c, void *p, size_t n);

/* Reports a failure (the first few of a row are printed) with the case's description. */
void ck_fail(struct ck *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Equal bytes; equal floats within abs + rel * |want| (NaN equals NaN, infinities equal themselves). what
 * names the case. Returns whether they agree. */
bool ck_same(struct ck *c, const void *got, const void *want, size_t n, const char *what);
bool ck_near(struct ck *c, const float *got, const float *want, size_t n, double abs, double rel,
             const char *what);
bool ck_near_f64(struct ck *c, const double *got, const double *want, size_t n, double abs, double rel,
                 const char *what);
/* Distance in units of the last place, at most ulp. */
bool ck_ulp(struct ck *c, const float *got, const float *want, size_t n, unsigned ulp, const char *what);

/* Runs fn(arg) for a while and prints its best rate; flops or bytes may be 0. */
void ck_bench(struct ck *c, const char *what, double flops, double bytes, void (*fn)(void *), void *arg);

#endif
