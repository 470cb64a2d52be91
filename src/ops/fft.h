/* Discrete Fourier transforms of any length, in double. A plan is read-only once made: threads share it. */
#ifndef OT_OPS_FFT_H
#define OT_OPS_FFT_H

#include "ops/step.h"

struct cplx {
    double re, im;
};

struct fft {
    int64_t n, m; /* length; of the power-of-two transform that does the work (n itself, or for Bluestein) */
    struct cplx *root;   /* m entries: exp(-2 pi i k / m) */
    struct cplx *chirp;  /* Bluestein: n entries exp(-pi i k^2 / n) */
    struct cplx *filter; /* Bluestein: the transformed chirp, m entries */
};

/* Memory is the step's scratch. n from 1; E_LIMIT when it is too long. */
int fft_init(struct exec_ctx *ec, struct fft *f, int64_t n);
/* struct cplx elements of work memory that fft_run needs. */
int64_t fft_work(const struct fft *f);
/* In place: x[k] = sum over j of x[j] exp(-2 pi i j k / n), or with + when inverse (not divided by n). */
void fft_run(const struct fft *f, bool inverse, struct cplx *x, struct cplx *work);

#endif
