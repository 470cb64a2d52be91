/* Broadcasting: shapes merged into few loops, rows handed to kernels. */
#include "kern/kern.h"

int bcast_dims(int arank, const int64_t *a, int brank, const int64_t *b, int64_t *out)
{
    int rank = arank > brank ? arank : brank;
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - arank), ib = i - (rank - brank);
        int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
        if (da != db && da != 1 && db != 1)
            return -1;
        out[i] = da == 1 ? db : da;
    }
    return 0;
}

/* Extent of axis i of a rank-r output in an input aligned at the last axis. */
static int64_t in_extent(const struct bcast_in *in, int rank, int i)
{
    int j = i - (rank - in->rank);
    return j < 0 ? 1 : in->dims[j];
}

/* Can axis (outer) and the first axis of the plan be one? Every input must step evenly over both. */
static bool joins(const struct bcast_plan *p, int at, const int64_t *strides)
{
    for (int j = 0; j < p->nin; j++)
        if (strides[j] != p->strides[j][at] * p->dims[at])
            return false;
    return true;
}

static void reverse(int64_t *v, int n)
{
    for (int i = 0; i < n / 2; i++) {
        int64_t t = v[i];
        v[i] = v[n - 1 - i];
        v[n - 1 - i] = t;
    }
}

/* Built from the last axis on, then turned round. */
int bcast_init(struct bcast_plan *plan, int rank, const int64_t *dims, int nin, const struct bcast_in *in)
{
    int64_t dense[BCAST_IN] = {1, 1, 1};
    plan->rank = 0;
    plan->nin = nin;
    plan->total = 1;
    for (int j = 0; j < nin; j++)
        for (int i = 0; i < in[j].rank - rank; i++)
            if (in[j].dims[i] != 1)
                return -1;
    for (int i = rank - 1; i >= 0; i--) {
        int64_t strides[BCAST_IN];
        for (int j = 0; j < nin; j++) {
            int64_t e = in_extent(&in[j], rank, i);
            if (e != dims[i] && e != 1)
                return -1;
            strides[j] = e == 1 ? 0 : dense[j];
            dense[j] *= e;
        }
        plan->total *= dims[i];
        if (dims[i] == 1)
            continue;
        if (plan->rank && joins(plan, plan->rank - 1, strides)) {
            plan->dims[plan->rank - 1] *= dims[i];
            continue;
        }
        if (plan->rank == BCAST_RANK)
            return -1;
        plan->dims[plan->rank] = dims[i];
        for (int j = 0; j < nin; j++)
            plan->strides[j][plan->rank] = strides[j];
        plan->rank++;
    }
    if (plan->rank == 0) {
        plan->dims[0] = 1;
        for (int j = 0; j < nin; j++)
            plan->strides[j][0] = 1;
        plan->rank = 1;
    }
    reverse(plan->dims, plan->rank);
    for (int j = 0; j < nin; j++)
        reverse(plan->strides[j], plan->rank);
    return 0;
}

/* The next row: counts up the outer axes and keeps the input offsets of its first element. */
static void next_row(const struct bcast_plan *p, int64_t *pos, int64_t *off)
{
    for (int i = p->rank - 2; i >= 0; i--) {
        for (int j = 0; j < p->nin; j++)
            off[j] += p->strides[j][i];
        if (++pos[i] < p->dims[i])
            return;
        for (int j = 0; j < p->nin; j++)
            off[j] -= p->strides[j][i] * p->dims[i];
        pos[i] = 0;
    }
}

void bcast_rows(const struct bcast_plan *p, int64_t begin, int64_t end, bcast_row_fn *fn, void *arg)
{
    int64_t pos[BCAST_RANK] = {0}, row_off[BCAST_IN] = {0}, off[BCAST_IN] = {0};
    bool scalar[BCAST_IN] = {false};
    int last = p->rank - 1;
    if (begin >= end)
        return;
    int64_t n = p->dims[last], rest = begin / n, col = begin % n;
    for (int i = last - 1; i >= 0; i--) {
        pos[i] = rest % p->dims[i];
        rest /= p->dims[i];
        for (int j = 0; j < p->nin; j++)
            row_off[j] += pos[i] * p->strides[j][i];
    }
    for (int j = 0; j < p->nin; j++)
        scalar[j] = p->strides[j][last] == 0;
    while (begin < end) {
        int64_t m = n - col < end - begin ? n - col : end - begin;
        for (int j = 0; j < p->nin; j++)
            off[j] = row_off[j] + col * p->strides[j][last];
        fn(arg, begin, (size_t)m, off, scalar);
        begin += m;
        col = 0;
        next_row(p, pos, row_off);
    }
}

/* What the row callbacks below need. */
struct bin_call {
    const struct kern *k;
    enum bin_op op;
    enum dtype dt, yt;
    size_t xsize, ysize, osize;
    const char *a, *b;
    char *out;
};

static enum bin_form form_of(const bool *scalar)
{
    return scalar[0] ? BIN_SV : scalar[1] ? BIN_VS : BIN_VV;
}

static void bin_row(void *arg, int64_t out_off, size_t n, const int64_t *off, const bool *scalar)
{
    const struct bin_call *c = arg;
    bin_run(c->k, c->op, c->dt, form_of(scalar), c->a + off[0] * (int64_t)c->xsize,
            c->b + off[1] * (int64_t)c->ysize, c->out + out_off * (int64_t)c->osize, n);
}

void bcast_bin(const struct kern *k, const struct bcast_plan *plan, enum bin_op op, enum dtype dt,
               const void *a, const void *b, void *out, int64_t begin, int64_t end)
{
    size_t size = dtype_size(dt);
    struct bin_call c = {k, op, dt, dt, size, size, bin_is_compare(op) ? 1 : size, a, b, out};
    bcast_rows(plan, begin, end, bin_row, &c);
}

static void pow_row(void *arg, int64_t out_off, size_t n, const int64_t *off, const bool *scalar)
{
    const struct bin_call *c = arg;
    pow_mixed(c->k, c->dt, c->yt, form_of(scalar), c->a + off[0] * (int64_t)c->xsize,
              c->b + off[1] * (int64_t)c->ysize, c->out + out_off * (int64_t)c->osize, n);
}

void bcast_pow(const struct kern *k, const struct bcast_plan *plan, enum dtype xt, enum dtype yt,
               const void *x, const void *y, void *out, int64_t begin, int64_t end)
{
    struct bin_call c = {k, BIN_POW, xt, yt, dtype_size(xt), dtype_size(yt), dtype_size(xt), x, y, out};
    bcast_rows(plan, begin, end, pow_row, &c);
}

struct where_call {
    where_fn *fn;
    int64_t size;
    const uint8_t *cond;
    const char *a, *b;
    char *out;
};

static void where_row(void *arg, int64_t out_off, size_t n, const int64_t *off, const bool *scalar)
{
    const struct where_call *c = arg;
    c->fn(c->cond + off[0], c->a + off[1] * c->size, c->b + off[2] * c->size, c->out + out_off * c->size, n,
          scalar);
}

void bcast_where(const struct kern *k, const struct bcast_plan *plan, size_t size, const uint8_t *cond,
                 const void *a, const void *b, void *out, int64_t begin, int64_t end)
{
    struct where_call c = {k->vec.where[width_index(size)], (int64_t)size, cond, a, b, out};
    bcast_rows(plan, begin, end, where_row, &c);
}
