/* Pictures from bytes: BMP and PNM by our own readers, the other formats by libpng, libjpeg, libtiff, libwebp
 * and OpenJPEG where the build had them. */
#ifndef OT_OPS_IMAGE_H
#define OT_OPS_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* [height][width][3], R, G, B */
struct image {
    int64_t width, height;
    uint8_t *rgb; /* mem_alloc: free() it */
};

/* 1 decoded, 0 when the bytes are no picture or a broken one, E_UNSUPPORTED for a format that is known but
 * not read here, E_NOMEM, E_LIMIT. */
int image_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out);

/* ---- for the readers ---- */

/* Black pixels; 1, E_LIMIT or E_NOMEM. */
int image_new(struct cx *cx, int64_t width, int64_t height, struct image *out);
/* As image_decode, for bytes of the format that the name says (image_libs.c). */
int tiff_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out);
int webp_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out);
int jp2_decode(struct cx *cx, const uint8_t *p, size_t n, struct image *out);

#endif
