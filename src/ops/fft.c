/* Powers of two: decimation in time, radix 2. Other lengths: Bluestein's chirp transform ("A linear filtering
 * approach to the computation of the discrete Fourier transform", 1970), which turns length n into a circular
 * convolution of a power of two m >= 2n - 1:
 *
 *   jk = (j^2 + k^2 - (k - j)^2) / 2   =>   X[k] = c[k] * sum_j (x[j] c[j]) * conj(c[k - j])
 *
 * with c[k] = exp(-pi i k^2 / n). */
#include "ops/fft.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

enum { FFT_MAX = 1 << 26 };

static struct cplx mul(struct cplx a, struct cplx b)
{
    return (struct cplx){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static struct cplx unit(double turns)
{
    return (struct cplx){cos(2 * PI * turns), sin(2 * PI * turns)};
}

static void bit_reverse(struct cplx *x, int64_t n)
{
    for (int64_t i = 1, j = 0; i < n; i++) {
        int64_t bit = n >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            struct cplx t = x[i];
            x[i] = x[j];
            x[j] = t;
        }
    }
}

static void radix2(const struct fft *f, struct cplx *x)
{
    int64_t n = f->m;
    bit_reverse(x, n);
    for (int64_t half = 1; half < n; half *= 2) {
        int64_t step = n / (2 * half);
        for (int64_t base = 0; base < n; base += 2 * half) {
            for (int64_t k = 0; k < half; k++) {
                struct cplx a = x[base + k], b = mul(x[base + k + half], f->root[k * step]);
                x[base + k] = (struct cplx){a.re + b.re, a.im + b.im};
                x[base + k + half] = (struct cplx){a.re - b.re, a.im - b.im};
            }
        }
    }
}

static void conjugate(struct cplx *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i].im = -x[i].im;
}

static struct cplx *table(struct exec_ctx *ec, int64_t n)
{
    return ec_scratch(ec, (size_t)n * sizeof(struct cplx));
}

static int init_bluestein(struct exec_ctx *ec, struct fft *f)
{
    int64_t n = f->n, m = f->m;
    f->chirp = table(ec, n);
    f->filter = table(ec, m);
    if (!f->chirp || !f->filter)
        return ec->cx->err.code;
    memset(f->filter, 0, (size_t)m * sizeof(*f->filter));
    for (int64_t k = 0; k < n; k++) {
        f->chirp[k] = unit(-(double)(k * k % (2 * n)) / (2 * (double)n));
        struct cplx c = {f->chirp[k].re, -f->chirp[k].im};
        f->filter[k] = c;
        if (k)
            f->filter[m - k] = c;
    }
    radix2(f, f->filter);
    return 0;
}

int fft_init(struct exec_ctx *ec, struct fft *f, int64_t n)
{
    if (n > FFT_MAX)
        return err_set(ec->cx, E_LIMIT, "a Fourier transform of length %lld, at most %d is supported",
                       (long long)n, FFT_MAX);
    bool power = !(n & (n - 1));
    *f = (struct fft){.n = n, .m = 1};
    while (f->m < (power ? n : 2 * n - 1))
        f->m *= 2;
    f->root = table(ec, f->m);
    if (!f->root)
        return ec->cx->err.code;
    for (int64_t k = 0; k < f->m; k++)
        f->root[k] = unit(-(double)k / (double)f->m);
    return power ? 0 : init_bluestein(ec, f);
}

int64_t fft_work(const struct fft *f)
{
    return f->chirp ? f->m : 0;
}

static void bluestein(const struct fft *f, struct cplx *x, struct cplx *w)
{
    memset(w, 0, (size_t)f->m * sizeof(*w));
    for (int64_t k = 0; k < f->n; k++)
        w[k] = mul(x[k], f->chirp[k]);
    radix2(f, w);
    for (int64_t k = 0; k < f->m; k++)
        w[k] = mul(w[k], f->filter[k]);
    conjugate(w, f->m);
    radix2(f, w);
    for (int64_t k = 0; k < f->n; k++) {
        struct cplx v = {w[k].re / (double)f->m, -w[k].im / (double)f->m};
        x[k] = mul(v, f->chirp[k]);
    }
}

void fft_run(const struct fft *f, bool inverse, struct cplx *x, struct cplx *work)
{
    if (inverse)
        conjugate(x, f->n);
    if (f->chirp)
        bluestein(f, x, work);
    else
        radix2(f, x);
    if (inverse)
        conjugate(x, f->n);
}
