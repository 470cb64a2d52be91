/* Elementwise kernels over flat arrays, and the broadcasting that brings tensors into that form.
 *
 * Tables are indexed by operation and element type; an empty slot means "not supported", which callers turn
 * into an error when they bind. Callers thread by handing out ranges. In-place is allowed everywhere: out may
 * equal an input of the same element size, any other overlap is not. NaN propagates (Max and Min too).
 *
 * float16 and bfloat16 have no rows: un_run(), bin_run() widen them through a block of float. */
#ifndef OT_KERN_VEC_H
#define OT_KERN_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"

struct kern;

/* Unary operations; the letters are fields of struct un_params. */
enum un_op {
    UN_NEG,
    UN_ABS,
    UN_SIGN,
    UN_SQUARE,
    UN_SQRT,
    UN_RECIPROCAL,
    UN_EXP,
    UN_LOG,
    UN_ERF,
    UN_TANH,
    UN_SIGMOID,
    UN_RELU,
    UN_LEAKY_RELU,       /* x < 0 ? a x : x */
    UN_ELU,              /* x < 0 ? a (e^x - 1) : x */
    UN_SELU,             /* b (x <= 0 ? a (e^x - 1) : x) */
    UN_CELU,             /* max(0, x) + min(0, a (e^(x/a) - 1)) */
    UN_HARD_SIGMOID,     /* max(0, min(1, a x + b)) */
    UN_HARD_SWISH,       /* x max(0, min(1, x/6 + 1/2)) */
    UN_SOFTPLUS,         /* ln(1 + e^x) */
    UN_SOFTSIGN,         /* x / (1 + |x|) */
    UN_SILU,             /* x / (1 + e^(-a x)); a is 1 for SiLU proper */
    UN_GELU,             /* x/2 (1 + erf(x / sqrt 2)) */
    UN_GELU_TANH,        /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    UN_MISH,             /* x tanh(ln(1 + e^x)) */
    UN_THRESHOLDED_RELU, /* x > a ? x : 0 */
    UN_SHRINK,           /* x < -a ? x + b : x > a ? x - b : 0 */
    UN_AFFINE,           /* a x + b */
    UN_FLOOR,
    UN_CEIL,
    UN_ROUND, /* half to even */
    UN_SIN,
    UN_COS,
    UN_TAN,
    UN_ASIN,
    UN_ACOS,
    UN_ATAN,
    UN_SINH,
    UN_COSH,
    UN_ASINH,
    UN_ACOSH,
    UN_ATANH,
    UN_BIT_NOT, /* integers */
    UN_NOT,     /* bool */
    UN_IS_NAN,  /* float to bool */
    UN_IS_INF,  /* float to bool; a != 0: report +Inf, b != 0: report -Inf */
    UN_COUNT
};

struct un_params {
    double a, b;
};

/* p may be NULL for operations that use no letter. */
typedef void un_fn(const void *in, void *out, size_t n, const struct un_params *p);

/* Which operand is one value for all n. */
enum bin_form {
    BIN_VV, /* out[i] = f(a[i], b[i]) */
    BIN_VS, /* out[i] = f(a[i], b[0]) */
    BIN_SV  /* out[i] = f(a[0], b[i]) */
};

/* Integers wrap. Integer division truncates toward zero, x / 0 is 0 and INT_MIN / -1 is INT_MIN;
 * the remainders by zero and of INT_MIN by -1 are 0. */
enum bin_op {
    BIN_ADD,
    BIN_SUB,
    BIN_MUL,
    BIN_DIV,
    BIN_MOD,  /* sign of the divisor (Python's %); floats: x - y floor(x / y) */
    BIN_FMOD, /* sign of the dividend (C's fmod and %) */
    BIN_MAX,
    BIN_MIN,
    BIN_POW,   /* integers: base^negative is 0 but for bases 1 and -1 */
    BIN_PRELU, /* a < 0 ? a b : a */
    BIN_AND,   /* BIN_AND .. BIN_XOR: bits of integers, and logic of bool */
    BIN_OR,
    BIN_XOR,
    BIN_SHL, /* integers; a shift by the width or more (or below 0) gives 0 */
    BIN_SHR, /* arithmetic for signed types: then -1 of a negative value */
    BIN_EQ,  /* BIN_EQ .. BIN_GE: out is bool */
    BIN_LT,
    BIN_LE,
    BIN_GT,
    BIN_GE,
    BIN_COUNT
};

typedef void bin_fn(enum bin_form form, const void *a, const void *b, void *out, size_t n);

/* min(max(x, lo), hi); lo and hi are one element of the type each. NaN stays NaN; lo > hi gives hi. */
typedef void clip_fn(const void *in, void *out, size_t n, const void *lo, const void *hi);
/* out[i] = cond[i] ? a[i] : b[i] for elements of one width; scalar[j] != 0: operand j (cond, a, b) is one
 * value. */
typedef void where_fn(const uint8_t *cond, const void *a, const void *b, void *out, size_t n,
                      const bool scalar[3]);
/* y[i] += a x[i] (axpy), the row step of expanded sums and of Scatter-like updates. */
typedef void axpy_fn(float a, const float *x, float *y, size_t n);
typedef void widen_fn(const uint16_t *in, float *out, size_t n);
typedef void narrow_fn(const float *in, uint16_t *out, size_t n); /* to nearest even */

/* Widths of elements whose bits are only moved: 1, 2, 4, 8, 16 bytes. */
enum { W1, W2, W4, W8, W16, W_COUNT };
/* Index of a width, -1 for a size that is none. */
int width_index(size_t size);

struct vec_kern {
    un_fn *un[UN_COUNT][DT_COUNT];
    bin_fn *bin[BIN_COUNT][DT_COUNT];
    clip_fn *clip[DT_COUNT];
    where_fn *where[W_COUNT];
    axpy_fn *axpy;
    widen_fn *f16_to_f32, *bf16_to_f32;
    narrow_fn *f16_from_f32, *bf16_from_f32;
};

/* Whether the type has a row, or is a 16-bit float whose float row serves. */
bool un_supported(const struct kern *k, enum un_op op, enum dtype dt);
bool bin_supported(const struct kern *k, enum bin_op op, enum dtype dt);
bool clip_supported(const struct kern *k, enum dtype dt);
/* The row, or the float row with conversion block by block. Only for what the functions above approve. */
void un_run(const struct kern *k, enum un_op op, enum dtype dt, const void *in, void *out, size_t n,
            const struct un_params *p);
void bin_run(const struct kern *k, enum bin_op op, enum dtype dt, enum bin_form form, const void *a,
             const void *b, void *out, size_t n);
void clip_run(const struct kern *k, enum dtype dt, const void *in, void *out, size_t n, const void *lo,
              const void *hi);
/* Is the result of op bool, whatever the type of its operands? */
bool bin_is_compare(enum bin_op op);
/* x^y for operands of two types (Pow): out has x's type. Block-wise through double, or int64 where both are
 * integers; equal types go to the BIN_POW row. form as bin_fn. */
void pow_mixed(const struct kern *k, enum dtype xt, enum dtype yt, enum bin_form form, const void *x,
               const void *y, void *out, size_t n);

#endif
