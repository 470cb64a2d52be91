/* Matrix multiplication: C[M,N] = act(alpha A[M,K] B[K,N] + beta (bias and residual)).
 *
 * Float: packed and blocked. Both operands are rearranged into panels: a panel holds `width` rows of A (or
 * columns of B) with k running slowest, panel[k * width + i]. The tile kernel multiplies one A panel by one B
 * panel. An element of C is one chain of multiply-adds over k in rising order, kept in C between blocks of K;
 * so neither blocking, tile, nor number of threads changes a bit of the result (for a given table).
 *
 * Other types go through a plain reference, one a type. */
#ifndef OT_KERN_GEMM_H
#define OT_KERN_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/threads.h"

struct kern;

enum gemm_act { ACT_NONE, ACT_RELU, ACT_CLIP, ACT_LEAKY };

/* What becomes of a finished sum s: v = alpha s + beta (bias_m[m] + bias_n[n] + res[m][n]), then act.
 * gemm_epi_init() gives alpha = beta = 1 and nothing else. */
struct gemm_epi {
    float alpha, beta;
    const float *bias_m; /* [M], may be NULL */
    const float *bias_n; /* [N], may be NULL */
    const float *res;    /* [M,N], rows ldres apart, may be NULL; not C, which holds partial sums */
    int64_t ldres;
    enum gemm_act act;
    float lo, hi; /* ACT_CLIP: min(max(v, lo), hi); ACT_LEAKY: v < 0 ? lo * v : v. NaN stays NaN */
};

static inline void gemm_epi_init(struct gemm_epi *e)
{
    *e = (struct gemm_epi){.alpha = 1.0f, .beta = 1.0f};
}

/* C rows are ldc apart, its columns adjacent. A and B have any strides (in elements), or were packed before:
 * then a_packed (b_packed) is set and a (b) is not looked at. C overlaps no operand. */
struct gemm_f32 {
    int64_t m, n, k;
    const float *a;
    int64_t a_rs, a_cs; /* A[m][k] is a[m * a_rs + k * a_cs] */
    const float *b;
    int64_t b_rs, b_cs; /* B[k][n] is b[k * b_rs + n * b_cs] */
    const void *a_packed, *b_packed;
    float *c;
    int64_t ldc;
    struct gemm_epi epi;
    /* May be NULL: called on finished pieces of rows of C (an activation that the list above lacks). */
    void (*post)(float *row, int64_t n, const void *arg);
    const void *post_arg;
    bool backward; /* columns from the last to the first: what the product before left in the cache serves
                      again */
};

/* Bytes of a packed operand (64-byte aligned memory wanted); false when the size overflows. */
bool gemm_f32_pack_a_size(const struct kern *k, int64_t m, int64_t kdim, size_t *bytes);
bool gemm_f32_pack_b_size(const struct kern *k, int64_t kdim, int64_t n, size_t *bytes);
/* Packs; strides as in struct gemm_f32. What the table k packed only the same table multiplies. */
void gemm_f32_pack_a(const struct kern *k, int64_t m, int64_t kdim, const float *a, int64_t rs, int64_t cs,
                     void *packed);
void gemm_f32_pack_b(const struct kern *k, int64_t kdim, int64_t n, const float *b, int64_t rs, int64_t cs,
                     void *packed);
/* Bytes of scratch that gemm_f32() wants for these sizes, strides and threads; of the pointers only a_packed
 * and b_packed are looked at, for being set. */
bool gemm_f32_scratch(const struct kern *k, const struct gemm_f32 *g, int nthreads, size_t *bytes);
/* scratch: 64-byte aligned. A size of 0 in m or n does nothing; k of 0 is a sum of nothing. */
void gemm_f32(const struct kern *k, const struct gemm_f32 *g, struct pool *pool, void *scratch);

/* Any type, any strides, no packing: C = alpha A B + beta D, products in rising k for each element. alpha and
 * beta are converted to the type first. d may be NULL; D[m][n] is d[m * d_rs + n * d_cs]. Integers wrap.
 * d may be C with the same strides. */
struct gemm_ref {
    int64_t m, n, k;
    const void *a, *b, *d;
    int64_t a_rs, a_cs, b_rs, b_cs, d_rs, d_cs;
    void *c;
    int64_t ldc;
    double alpha, beta;
};
/* One range [m0, m1) of rows. */
typedef void gemm_ref_fn(const struct gemm_ref *g, int64_t m0, int64_t m1);
/* The row of dt over a pool; only where k->gemm.ref[dt] is set. */
void gemm_ref_run(const struct kern *k, enum dtype dt, const struct gemm_ref *g, struct pool *pool);

/* OpenBLAS, where it is installed, for double. Opens it on the first call; false: it cannot serve this table
 * (not there, switched off by ONNXTOOL_BLAS=0, or opened before for another instruction set level). */
bool gemm_blas_open(const struct kern *k);
/* As gemm_ref_run() for double, after gemm_blas_open() said true; sums may round otherwise. The same bits
 * whatever the number of threads. */
void gemm_blas_f64(const struct kern *k, const struct gemm_ref *g, struct pool *pool);

/* 8-bit integers: C[m][n] = sum over k of (A[m][k] - za[m]) (B[k][n] - zb[n]) as int32, exact modulo 2^32.
 * za, zb: zero points, one a row (column) with step 1, one for all with step 0; NULL: zero. */
struct gemm_i8 {
    int64_t m, n, k;
    const void *a, *b;
    bool a_signed, b_signed;
    int64_t a_rs, a_cs, b_rs, b_cs;
    const int32_t *za, *zb;
    int za_step, zb_step;
    const void *b_packed; /* replaces b; b_signed still tells what it was */
    int32_t *c;
    int64_t ldc;
};

/* As for float: B packed ahead (64-byte aligned), scratch, and the product. Sizes: false on overflow. */
bool gemm_i8_pack_b_size(const struct kern *k, int64_t kdim, int64_t n, size_t *bytes);
void gemm_i8_pack_b(const struct kern *k, int64_t kdim, int64_t n, const void *b, bool is_signed, int64_t rs,
                    int64_t cs, void *packed);
bool gemm_i8_scratch(const struct kern *k, const struct gemm_i8 *g, size_t *bytes);
void gemm_i8_run(const struct kern *k, const struct gemm_i8 *g, struct pool *pool, void *scratch);

/* The same from the definition, rows [m0, m1); b_packed is not looked at. */
typedef void gemm_i8_fn(const struct gemm_i8 *g, int64_t m0, int64_t m1);

/* Kernels. */

/* One tile: m <= mr rows by n <= nr columns. a: a panel whose rows of k lie as apart; b: a panel of width nr.
 * load: the chain goes on from what c holds, else from 0. e (may be NULL: not the last block of K) has its
 * pointers moved to the tile. Reads no row of a, no bias and no residual beyond m and n; b is read to its
 * full width. */
struct gemm_tile {
    int64_t k;
    const float *a;
    int64_t as;
    const float *b;
    float *c;
    int64_t ldc;
    int m, n;
    bool load;
    const struct gemm_epi *e;
    const float *next; /* half of the lines from here on will be wanted soon; NULL: nothing */
};
struct gemm_f32_tile {
    int mr, nr;
    int kc; /* longest block of K */
    void (*run)(const struct gemm_tile *t);
    /* May be NULL: one row by two panels, the second at b + nr * k, n up to 2 nr; enough chains at once that
     * a row is not kept waiting for its sums. */
    void (*run_pair)(const struct gemm_tile *t);
};

/* dst[i * ldd + j] = src[j * lds + i], i < rows, j < cols, 4-byte elements (dst is rows x cols). */
typedef void transpose_fn(const float *src, int64_t lds, float *dst, int64_t ldd, int64_t rows, int64_t cols);

/* Rows of A by an unpacked B with adjacent columns: for m rows (1 to 4), columns [n0, n1):
 * c[m][n] = sum over k a[m * a_rs + k * a_cs] b[k * b_rs + n], rising k. */
struct gemv {
    int m;
    int64_t k;
    const float *a;
    int64_t a_rs, a_cs;
    const float *b;
    int64_t b_s; /* row stride of b (cols), or the distance of columns (dots) */
    float *c;
    int64_t ldc;
};
typedef void gemv_fn(const struct gemv *g, int64_t n0, int64_t n1);

/* Finishes n sums of row m, columns n0 on: dst[i] = epilogue of s[i]. dst may be s, and the residual's place.
 */
typedef void epi_row_fn(const struct gemm_epi *e, int64_t m, int64_t n0, const float *s, float *dst,
                        int64_t n);

/* One tile of 8-bit products. Operands are quads: four values of k in 32 bits, unsigned in a, signed in b; a
 * quad row of a has `as` quads, of b the tile's nr. c[i][j] = sum + row_scale[i] * col_sum[j] + row_off[i] *
 * col_zero[j], modulo 2^32; the column arrays are read to the full width. */
struct gemm_i8_tile {
    int64_t quads;
    const uint32_t *a;
    int64_t as;
    const uint32_t *b;
    int32_t *c;
    int64_t ldc;
    int m, n;
    const uint32_t *row_scale, *row_off, *col_sum, *col_zero;
};
struct gemm_i8_kern {
    int mr, nr;
    void (*run)(const struct gemm_i8_tile *t);
};

struct gemm_blas {
    const char *core; /* the core type that OpenBLAS is told; NULL: it is not used */
    int min_m;        /* with fewer rows (and more than one column) the plain loops are faster */
};

struct gemm_kern {
    const struct gemm_f32_tile *f32;
    epi_row_fn *f32_epi_row;
    transpose_fn *x32_transpose;
    gemv_fn *f32_gemv_cols; /* b columns adjacent */
    gemv_fn *f32_gemv_dots; /* b rows adjacent: b[n * b_s + k]; a columns adjacent (a_cs 1) */
    gemm_ref_fn *ref[DT_COUNT];
    gemm_i8_fn *i8; /* the plain form */
    const struct gemm_i8_kern *i8_tile;
    const struct gemm_blas *blas;
};

#endif
