/* Moving bits: everything here works on elements of one width (1, 2, 4, 8 or 16 bytes, W1 .. W16 in vec.h),
 * so that all types share the code; strings are 16 bytes. Shapes and indices have been checked by the caller.
 */
#ifndef OT_KERN_MOVE_H
#define OT_KERN_MOVE_H

#include "kern/vec.h"

enum { MOVE_RANK = 16 };

/* out[i] = in[i * step], step in elements, negative too. */
typedef void move_stride_fn(const void *in, ptrdiff_t step, void *out, size_t n);
/* out[c * out_ld + r] = in[r * in_ld + c], leading dimensions in elements. */
typedef void move_transpose_fn(const void *in, size_t in_ld, void *out, size_t out_ld, size_t rows,
                               size_t cols);
typedef void move_fill_fn(void *out, const void *value, size_t n);
/* out[i] = in[idx[i]], indices in range. */
typedef void move_pick_fn(const void *in, const int64_t *idx, void *out, size_t n);

/* data[offset[i] + j] = f(data[...], upd[i * slice + j]), j < slice, offsets in elements, in order of i. */
typedef void scatter_fn(void *data, const int64_t *offset, const void *upd, size_t n, size_t slice);
enum scatter_op { SCATTER_ADD, SCATTER_MUL, SCATTER_MAX, SCATTER_MIN, SCATTER_COUNT };

struct move_kern {
    move_stride_fn *stride[W_COUNT];
    move_transpose_fn *transpose[W_COUNT];
    move_fill_fn *fill[W_COUNT];
    move_pick_fn *pick[W_COUNT];
    scatter_fn *put[W_COUNT]; /* plain assignment */
    scatter_fn *scatter[SCATTER_COUNT][DT_COUNT];
};

/* ---- N-dimensional strided copy: transpose, slice (any step), expand, space to depth and back ----
 * dims of the copied box, steps in elements of input and output per axis (0 and negative allowed for the
 * input). */
struct copy_plan {
    int rank; /* merged, at least 1 */
    int64_t total;
    int64_t dims[MOVE_RANK], is[MOVE_RANK], os[MOVE_RANK];
};

/* Merges axes and orders them by output stride. -1 when more than MOVE_RANK axes are left. */
int copy_init(struct copy_plan *p, int rank, const int64_t *dims, const int64_t *is, const int64_t *os);
/* Output axis i is input axis perm[i]; both dense. */
int copy_init_transpose(struct copy_plan *p, int rank, const int64_t *in_dims, const int64_t *perm);
/* Dense output of out_dims; element o of axis i comes from start[i] + o * step[i]; *origin is the input
 * element of output element 0. */
int copy_init_slice(struct copy_plan *p, int rank, const int64_t *in_dims, const int64_t *start,
                    const int64_t *step, const int64_t *out_dims, int64_t *origin);
/* Broadcasts in_dims (aligned at the last axis) to out_dims, which it must match or be 1. */
int copy_init_expand(struct copy_plan *p, int in_rank, const int64_t *in_dims, int rank,
                     const int64_t *out_dims);
/* Units of work of a plan: what callers split over threads. */
int64_t copy_units(const struct copy_plan *p);
/* Units [begin, end); in and out point to the elements at coordinate 0. size: bytes an element (a width). */
void copy_run(const struct kern *k, const struct copy_plan *p, size_t size, const void *in, void *out,
              int64_t begin, int64_t end);

/* ---- copies through one index map an axis: Pad, Tile, nearest Resize, ReverseSequence-like reorders ---- */
enum pad_mode { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_WRAP };
/* map[o] is the input coordinate of output coordinate o along an axis, -1 for "outside". before may be
 * negative (crops). false when the mode cannot serve (nothing to reflect or repeat: in == 0 in edge, reflect,
 * wrap mode). */
bool map_pad(enum pad_mode mode, int64_t in, int64_t before, int64_t out, int64_t *map);
void map_tile(int64_t in, int64_t out, int64_t *map);
/* rank axes, maps[i] of out_dims[i] entries; value (one element) fills where some map says -1.
 * Units are rows of the last axis: [begin, end) of map_units(). */
struct map_plan {
    int rank;
    int64_t in_dims[MOVE_RANK], out_dims[MOVE_RANK];
    const int64_t *maps[MOVE_RANK];
};
int64_t map_units(const struct map_plan *p);
void map_run(const struct kern *k, const struct map_plan *p, size_t size, const void *in, void *out,
             const void *value, int64_t begin, int64_t end);

/* ---- gather and scatter; ranks up to 64 ---- */
/* Reads n indices of type DT_INT32 or DT_INT64 into out, negative ones counted from limit. Returns -1, or the
 * position of the first index outside [-limit, limit). */
int64_t index_load(enum dtype dt, const void *idx, size_t n, int64_t limit, int64_t *out);
/* [outer, axis, slice bytes] by nidx indices -> [outer, nidx, slice bytes]; one call per range of outer or,
 * at outer == 1, of indices. */
void gather_slices(const struct kern *k, const void *in, void *out, size_t outer, size_t axis,
                   size_t slice_bytes, const int64_t *idx, size_t nidx);
/* GatherElements: out and idx have idx_dims; along axis the coordinate is replaced by idx. */
void gather_elements(const struct kern *k, size_t size, int rank, const int64_t *in_dims, int axis,
                     const int64_t *idx, const int64_t *idx_dims, const void *in, void *out);
/* Offsets (elements of data) of ScatterElements' updates: data offset at each coordinate of idx_dims with the
 * axis coordinate replaced. off has as many entries as idx, may be the same array. */
void elements_offsets(int rank, const int64_t *dims, int axis, const int64_t *idx, const int64_t *idx_dims,
                      int64_t *off);
/* GatherND/ScatterND: n tuples of depth indices into the leading axes dims[0..depth) of a tensor whose slices
 * have slice elements. Negative indices count from the end. Returns -1 or the position of the first bad
 * tuple. */
int64_t nd_offsets(enum dtype dt, const void *idx, size_t n, int depth, const int64_t *dims, int64_t slice,
                   int64_t *off);
/* out[i] = slice at in + off[i] elements. */
void gather_offsets(const struct kern *k, size_t size, const void *in, const int64_t *off, size_t n,
                    size_t slice, void *out);

/* OneHot: [outer, depth, inner] filled with values[0], values[1] where idx[outer, inner] says (already in
 * [0, depth), or -1: none). values: two elements, off then on. */
void one_hot(const struct kern *k, size_t size, const int64_t *idx, size_t outer, size_t depth, size_t inner,
             const void *values, void *out);
/* Upper (or lower) triangle of [batch, rows, cols], diagonal shift kk; the rest is zero. */
void trilu(size_t size, const void *in, void *out, size_t batch, size_t rows, size_t cols, int64_t kk,
           bool upper);

#endif
