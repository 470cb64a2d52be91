/* Pooling over regions of interest: plain loops, double. Images are [N, C, H, W]. */
#ifndef OT_KERN_ROI_H
#define OT_KERN_ROI_H

#include <stdbool.h>
#include <stdint.h>

/* rois: rows of (batch, x1, y1, x2, y2), in pixels once multiplied by scale; batch is in range. An empty bin
 * gives 0. out: [nrois, C, pooled[0], pooled[1]]. */
void roi_max_pool(const double *x, const int64_t dims[4], const double *rois, int64_t nrois,
                  const int64_t pooled[2], double scale, double *out);

struct roi_align {
    int64_t out_h, out_w;
    int64_t sampling; /* samples a bin and axis; 0: as many as pixels, rounded up */
    double scale;
    bool max;        /* else average */
    bool half_pixel; /* shift coordinates by -0.5 */
};
/* rois: rows of (x1, y1, x2, y2); batch[i]: image of row i, in range. out: [nrois, C, out_h, out_w]. */
void roi_align(const struct roi_align *p, const double *x, const int64_t dims[4], const double *rois,
               const int64_t *batch, int64_t nrois, double *out);

#endif
