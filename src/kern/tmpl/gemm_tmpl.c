/* Reference product of one element type: T the type (unsigned for integers, so that they wrap), FN the name,
 * FROM_DOUBLE how alpha and beta become a T. Includes nothing. */

static void FN_TILE(const struct gemm_ref *g, int64_t m, int rows, int64_t n, int cols)
{
    T acc[REF_ROWS][REF_COLS] = {{0}};
    T line[REF_COLS];
    const T *a = (const T *)g->a + m * g->a_rs;
    const T *b = (const T *)g->b + n * g->b_cs;

    for (int64_t k = 0; k < g->k; k++, a += g->a_cs, b += g->b_rs) {
        const T *row = b;
        if (g->b_cs != 1) {
            for (int j = 0; j < cols; j++)
                line[j] = b[j * g->b_cs];
            row = line;
        }
        for (int i = 0; i < rows; i++) {
            T f = a[i * g->a_rs];
            for (int j = 0; j < cols; j++)
                acc[i][j] += f * row[j];
        }
    }
    T alpha = FROM_DOUBLE(g->alpha), beta = FROM_DOUBLE(g->beta);
    for (int i = 0; i < rows; i++) {
        T *c = (T *)g->c + (m + i) * g->ldc + n;
        const T *d = g->d ? (const T *)g->d + (m + i) * g->d_rs + n * g->d_cs : NULL;
        for (int j = 0; j < cols; j++)
            c[j] = d ? alpha * acc[i][j] + beta * d[j * g->d_cs] : alpha * acc[i][j];
    }
}

void FN(const struct gemm_ref *g, int64_t m0, int64_t m1)
{
    for (int64_t n = 0; n < g->n; n += REF_COLS)
        for (int64_t m = m0; m < m1; m += REF_ROWS)
            FN_TILE(g, m, m1 - m < REF_ROWS ? (int)(m1 - m) : REF_ROWS, n,
                    g->n - n < REF_COLS ? (int)(g->n - n) : REF_COLS);
}

#undef T
#undef FN
#undef FN_TILE
#undef FROM_DOUBLE
