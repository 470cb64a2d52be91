/* Reading an image between its pixels: plain, double. */
#ifndef OT_KERN_SAMPLE_H
#define OT_KERN_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

enum { SAMPLE_RANK = 8 };
enum sample_mode { SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC };
enum sample_pad { SAMPLE_ZEROS, SAMPLE_BORDER, SAMPLE_REFLECT };

struct sample_image {
    int rank;
    int64_t dims[SAMPLE_RANK];
    enum sample_mode mode;
    enum sample_pad pad;
    bool align; /* reflect at the centres of the outer pixels, else at their outer edges */
};

/* The value at pixel coordinates at[rank]; coordinates that are no number count as outside. */
double sample_point(const struct sample_image *im, const double *plane, const double *at);

#endif
