/* The blocked product behind gemm_f32() and the convolutions; not for use outside src/kern. */
#ifndef OT_KERN_GEMM_JOB_H
#define OT_KERN_GEMM_JOB_H

#include "kern/kern.h"

/* One operand as panels of `width`, packed before or made when needed. `count` rows of A (columns of B). */
struct panels {
    int64_t count;
    int width;
    const float *packed; /* set: all of it, a block of K after the other, in each block panel after panel */
    const struct im2col *image; /* set: pixels are the rows (columns) */
    const float *src;           /* else element (i, k) is src[i * step + k * k_step] */
    int64_t step, k_step;
};

struct gemm_job {
    int64_t k;
    struct panels a, b;
    float *c;
    int64_t ldc;
    bool c_trans; /* element (m, n) goes to c[n * ldc + m], and the same for epi.res; b.packed is set */
    struct gemm_epi epi;
    void (*post)(float *row, int64_t n, const void *arg);
    const void *post_arg;
    bool backward; /* panels of B from the last on */
};

/* Height of A panels for m rows: at most the tile's, all panels nearly equal. */
int gemm_a_width(const struct kern *k, int64_t m);
/* Floats of `count` rows packed with that width; false on overflow. */
bool panels_size(int64_t count, int width, int64_t kdim, size_t *floats);
void panels_pack(const struct kern *k, const struct panels *s, int64_t kdim, float *packed);

bool gemm_job_scratch(const struct kern *k, const struct gemm_job *job, int nthreads, size_t *bytes);
void gemm_job_run(const struct kern *k, const struct gemm_job *job, struct pool *pool, void *scratch);

#endif
