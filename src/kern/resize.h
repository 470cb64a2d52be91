/* Resizing, one axis at a time: a table says for every output position which inputs it is made of.
 * Nearest needs no arithmetic: resize_nearest_map() makes a map for map_run() in move.h. */
#ifndef OT_KERN_RESIZE_H
#define OT_KERN_RESIZE_H

#include "kern/vec.h"

enum resize_coord {
    RS_HALF_PIXEL,
    RS_HALF_PIXEL_SYMMETRIC,
    RS_PYTORCH_HALF_PIXEL,
    RS_ALIGN_CORNERS,
    RS_ASYMMETRIC,
    RS_TF_HALF_PIXEL_FOR_NN,
    RS_TF_CROP_AND_RESIZE
};
enum resize_nearest { RS_ROUND_PREFER_FLOOR, RS_ROUND_PREFER_CEIL, RS_FLOOR, RS_CEIL };
enum resize_kind { RS_LINEAR, RS_CUBIC };

struct resize_axis {
    int64_t in, out;
    double scale; /* out / in, or the scale that was given */
    enum resize_coord coord;
    double roi_start, roi_end; /* tf_crop_and_resize */
    enum resize_kind kind;
    double cubic_a;
    bool exclude_outside, antialias;
    bool extrapolate; /* tf_crop_and_resize: positions outside take the extrapolation value */
};

/* Table of one axis: output o is the sum over t < taps of weight[o * taps + t] * in[index[o * taps + t]];
 * index[o * taps] of -1: the extrapolation value. */
struct resize_table {
    int64_t out;
    int taps;
    int32_t *index; /* out * taps */
    float *weight;  /* out * taps */
};

/* Input coordinate of output position o. */
double resize_coordinate(const struct resize_axis *a, int64_t o);
/* map[o] for nearest, -1 where extrapolation applies. */
void resize_nearest_map(const struct resize_axis *a, enum resize_nearest mode, int64_t *map);
int resize_taps(const struct resize_axis *a);
/* Fills t->index and t->weight, which the caller has allocated for a->out * resize_taps(a) entries. */
void resize_table_fill(const struct resize_axis *a, struct resize_table *t);

/* [outer, in, inner] -> [outer, out, inner]; out does not overlap in. */
typedef void resize_fn(const struct resize_table *t, const void *x, void *y, size_t outer, size_t in,
                       size_t inner, double extrapolation);

struct resize_kern {
    resize_fn *apply[DT_COUNT]; /* float, double; others travel through float */
};

#endif
