/* Matrices beyond products: Det, and Inverse of com.microsoft. Gaussian elimination with partial pivoting in
 * double. */
#include <math.h>
#include <string.h>

#include "ops/wide.h"

static int square_rank(struct infer_ctx *ic)
{
    int rank = ic_rank(ic, 0), rc = ic_need_rank(ic, 0, 2, TENSOR_MAX_RANK);
    if (!rc && rank >= 2)
        rc = ic_unify(ic, ic_dim(ic, 0, rank - 2), ic_dim(ic, 0, rank - 1), "sides of the matrix");
    return rc;
}

/* Row of the largest entry of column c among rows c..n-1. */
static int64_t pivot_row(const double *a, int64_t n, int64_t cols, int64_t c)
{
    int64_t best = c;
    for (int64_t r = c + 1; r < n; r++)
        if (fabs(a[r * cols + c]) > fabs(a[best * cols + c]))
            best = r;
    return best;
}

static void swap_rows(double *a, int64_t cols, int64_t i, int64_t k)
{
    for (int64_t c = 0; i != k && c < cols; c++) {
        double t = a[i * cols + c];
        a[i * cols + c] = a[k * cols + c];
        a[k * cols + c] = t;
    }
}

static int det_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    struct dim dims[TENSOR_MAX_RANK];
    int rank = ic_rank(ic, 0), rc = square_rank(ic);
    for (int i = 0; !rc && i < rank - 2; i++)
        dims[i] = ic_dim(ic, 0, i);
    return rc ? rc : ic_out(ic, 0, ic_dtype(ic, 0), rank < 0 ? -1 : rank - 2, dims);
}

/* Destroys a. */
static double determinant(double *a, int64_t n)
{
    double det = 1;
    for (int64_t c = 0; c < n; c++) {
        int64_t p = pivot_row(a, n, n, c);
        if (p != c)
            det = -det;
        swap_rows(a, n, p, c);
        double top = a[c * n + c];
        det *= top;
        for (int64_t r = c + 1; top != 0 && r < n; r++) {
            double f = a[r * n + c] / top;
            for (int64_t k = c; k < n; k++)
                a[r * n + k] -= f * a[c * n + k];
        }
    }
    return det;
}

/* Scratch for one matrix of cols columns and the values of input 0. */
static int matrices(struct exec_ctx *ec, int64_t cols, const double **x, double **work)
{
    int64_t n = ec->in[0]->dims[ec->in[0]->rank - 1];
    if (ec->in[0]->dims[ec->in[0]->rank - 2] != n)
        return err_set(ec->cx, E_SHAPE, "the matrix is not square");
    int rc = wide_f64(ec, 0, x);
    if (rc)
        return rc;
    *work = ec_scratch(ec, ((size_t)(n * cols) + 1) * sizeof(double));
    return *work ? 0 : ec->cx->err.code;
}

static int det_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    const struct tensor *x = ec->in[0];
    int64_t n = x->dims[x->rank - 1], count = tensor_count(ec->out[0]);
    const double *from;
    double *work, *y;
    int rc = matrices(ec, n, &from, &work);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y)
        return rc;
    for (int64_t i = 0; i < count; i++) {
        memcpy(work, from + i * n * n, (size_t)(n * n) * sizeof(double));
        y[i] = determinant(work, n);
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_Det = {.domain = "", .name = "Det", .tol = TOL_ROUND, .infer = det_infer, .ref = det_ref};

static int inverse_infer(struct infer_ctx *ic, const void *params)
{
    (void)params;
    int rc = square_rank(ic);
    return rc ? rc : ic_out_same(ic, 0, 0);
}

/* a: n rows of 2n, the matrix beside the identity; turned into the identity beside the inverse. */
static bool eliminate(double *a, int64_t n)
{
    int64_t cols = 2 * n;
    for (int64_t c = 0; c < n; c++) {
        swap_rows(a, cols, pivot_row(a, n, cols, c), c);
        double top = a[c * cols + c];
        if (top == 0)
            return false;
        for (int64_t k = c; k < cols; k++)
            a[c * cols + k] /= top;
        for (int64_t r = 0; r < n; r++) {
            double f = a[r * cols + c];
            for (int64_t k = c; r != c && f != 0 && k < cols; k++)
                a[r * cols + k] -= f * a[c * cols + k];
        }
    }
    return true;
}

static int inverse_ref(struct exec_ctx *ec, const void *params)
{
    (void)params;
    const struct tensor *x = ec->in[0];
    int64_t n = x->dims[x->rank - 1], count = n ? tensor_count(x) / (n * n) : 0;
    const double *from;
    double *a, *y;
    int rc = matrices(ec, 2 * n, &from, &a);
    if (!rc)
        rc = wide_out_f64(ec, 0, &y);
    if (rc || !y)
        return rc;
    for (int64_t i = 0; i < count; i++) {
        memset(a, 0, (size_t)(2 * n * n) * sizeof(double));
        for (int64_t r = 0; r < n; r++) {
            memcpy(a + r * 2 * n, from + (i * n + r) * n, (size_t)n * sizeof(double));
            a[r * 2 * n + n + r] = 1;
        }
        if (!eliminate(a, n))
            return err_set(ec->cx, E_VALUE, "matrix %lld is singular", (long long)i);
        for (int64_t r = 0; r < n; r++)
            memcpy(y + (i * n + r) * n, a + r * 2 * n + n, (size_t)n * sizeof(double));
    }
    wide_done_f64(ec, 0, y);
    return 0;
}

const struct op op_com_microsoft_Inverse = {.domain = "com.microsoft",
                                            .name = "Inverse",
                                            .tol = TOL_ROUND,
                                            .infer = inverse_infer,
                                            .ref = inverse_ref};
