/* OpenBLAS, opened at run time.
 *
 * Linking it would triple the start of the process, and its choice of kernels must be put right before it
 * loads: versions that do not know a newer processor fall back to kernels of half the speed, and some
 * environments ask for those. So it is opened
 * by the first session that wants it, with the core type that our own instruction set level names and with
 * one thread; we split the work. What was loaded first serves the whole process, and only sessions whose
 * level has that core type. */
#include "kern/gemm.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kern/kern.h"

const struct gemm_blas k_gemm_blas_c = {NULL, 0};
const struct gemm_blas k_gemm_blas_avx2 = {"Haswell", 6};
const struct gemm_blas k_gemm_blas_avx512 = {"SkylakeX", 1};

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* as in cblas.h */

typedef void cblas_dgemm_fn(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a,
                            int lda, const double *b, int ldb, double beta, double *c, int ldc);

/* PIECE: rows (or columns) in one call, whatever the number of threads: results do not depend on it.
 * SMALL: multiply-adds below which the plain loops are done before a call has begun.
 */
enum { PIECE = 256, SMALL = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool tried;
static const char *core; /* that it was opened with */
static cblas_dgemm_fn *dgemm;

static bool wanted(void)
{
    const char *e = getenv("ONNXTOOL_BLAS");
    return !e || strcmp(e, "0") != 0;
}

/* Sets a variable, or removes it when value is NULL; returns a copy of what it was, for the caller to free.
 */
static char *exchange(const char *name, const char *value)
{
    const char *was = getenv(name);
    size_t n = was ? strlen(was) + 1 : 0;
    char *copy = was ? mem_alloc(n) : NULL;
    if (copy)
        memcpy(copy, was, n);
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
    return copy;
}

/* The library reads its variables while it loads; the user's own are put back. */
static void *open_library(const char *core_type)
{
    char *old_core = exchange("OPENBLAS_CORETYPE", core_type);
    char *old_threads = exchange("OPENBLAS_NUM_THREADS", "1");
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    free(exchange("OPENBLAS_CORETYPE", old_core));
    free(exchange("OPENBLAS_NUM_THREADS", old_threads));
    free(old_core);
    free(old_threads);
    return lib;
}

static void try_open(const char *core_type)
{
    void *lib = wanted() ? open_library(core_type) : NULL;
    if (!lib)
        return;
    void (*set_threads)(int);
    void *f = dlsym(lib, "cblas_dgemm"), *t = dlsym(lib, "openblas_set_num_threads");
    if (!f || !t) {
        dlclose(lib);
        return;
    }
    memcpy(&dgemm, &f, sizeof(f));
    memcpy(&set_threads, &t, sizeof(t));
    set_threads(1);
    core = core_type;
}

bool gemm_blas_open(const struct kern *k)
{
    const char *want = k->gemm.blas->core;
    if (!want)
        return false;
    pthread_mutex_lock(&lock);
    if (!tried)
        try_open(want);
    tried = true;
    bool ok = core && strcmp(core, want) == 0;
    pthread_mutex_unlock(&lock);
    return ok;
}

/* How a matrix with these strides is called there: transposed or not, its leading dimension. */
static bool layout(int64_t rows, int64_t cols, int64_t rs, int64_t cs, int *trans, int *ld)
{
    int64_t step = cs == 1 ? rs : cs, least = cs == 1 ? cols : rows;
    *trans = cs == 1 ? NO_TRANS : TRANS;
    *ld = (int)(step < least ? least : step);
    return (cs == 1 || rs == 1) && step <= INT_MAX && least <= INT_MAX && step >= 0 &&
           (step >= least || (cs == 1 ? rows : cols) <= 1);
}

struct blas_job {
    const struct gemm_ref *g;
    int ta, tb, lda, ldb;
    bool by_rows;
};

/* C = beta D where there is a D. */
static void begin_c(const struct gemm_ref *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1)
{
    const double *d = g->d;
    for (int64_t m = m0; m < m1; m++) {
        double *c = (double *)g->c + m * g->ldc;
        for (int64_t n = n0; n < n1; n++)
            c[n] = g->beta * d[m * g->d_rs + n * g->d_cs];
    }
}

static void run_pieces(void *arg, int64_t begin, int64_t end, int thread)
{
    const struct blas_job *j = arg;
    const struct gemm_ref *g = j->g;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t from = i * PIECE, all = j->by_rows ? g->m : g->n,
                to = all - from < PIECE ? all : from + PIECE;
        int64_t m0 = j->by_rows ? from : 0, m1 = j->by_rows ? to : g->m;
        int64_t n0 = j->by_rows ? 0 : from, n1 = j->by_rows ? g->n : to;
        if (g->d)
            begin_c(g, m0, m1, n0, n1);
        dgemm(ROW_MAJOR, j->ta, j->tb, (int)(m1 - m0), (int)(n1 - n0), (int)g->k, g->alpha,
              (const double *)g->a + m0 * g->a_rs, j->lda, (const double *)g->b + n0 * g->b_cs, j->ldb,
              g->d ? 1 : 0, (double *)g->c + m0 * g->ldc + n0, (int)g->ldc);
    }
}

void gemm_blas_f64(const struct kern *k, const struct gemm_ref *g, struct pool *pool)
{
    struct blas_job j = {.g = g, .by_rows = g->m >= g->n};
    bool fits = layout(g->m, g->k, g->a_rs, g->a_cs, &j.ta, &j.lda) &&
                layout(g->k, g->n, g->b_rs, g->b_cs, &j.tb, &j.ldb) && g->m <= INT_MAX && g->n <= INT_MAX &&
                g->k <= INT_MAX && g->ldc <= INT_MAX && g->ldc >= g->n;
    if (!fits || g->k < 1 || (g->m < k->gemm.blas->min_m && g->n > 1) ||
        (double)g->m * (double)g->n * (double)g->k < SMALL) {
        gemm_ref_run(k, DT_DOUBLE, g, pool);
        return;
    }
    int64_t all = j.by_rows ? g->m : g->n;
    par_for(pool, all / PIECE + (all % PIECE != 0), 1, run_pieces, &j);
}
