/* The .npy format over any stream of bytes; shared by npy.c and npz.c. */
#ifndef OT_IO_NPY_STREAM_H
#define OT_IO_NPY_STREAM_H

#include "base/err.h"
#include "base/tensor.h"

struct npy_src {
    /* Exactly n bytes; sets an error otherwise. */
    int (*read)(void *user, struct cx *cx, void *buf, size_t n);
    void *user;
    uint64_t left; /* bytes of the array's file not yet read */
};

/* The whole stream must be one array: what is left over is an error. */
int npy_read_stream(struct cx *cx, struct npy_src *src, struct tensor *out);

/* The bytes of t as .npy: a header in memory of arena, and the data, which is t's own memory where that is
 * possible. */
struct npy_image {
    const void *head, *data;
    size_t nhead, ndata;
};
int npy_make(struct cx *cx, struct arena *a, const struct tensor *t, struct npy_image *out);

#endif
