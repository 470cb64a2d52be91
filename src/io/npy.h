/* numpy's .npy (format 1.0 to 3.0) and .npz files. Types: bool, integers, float16/32/64, complex64/128,
 * either byte order, C or Fortran order; unicode and bytes strings read as ONNX strings. Types numpy lacks
 * (bfloat16, float8, 4-bit, ...) are refused by the writer with the advice to save as .pb. */
#ifndef OT_IO_NPY_H
#define OT_IO_NPY_H

#include "base/blob.h"
#include "base/err.h"
#include "base/tensor.h"

int npy_read(struct cx *cx, const char *path, struct tensor *out);
/* From bytes in memory; name is for messages. */
int npy_parse(struct cx *cx, const void *p, size_t n, const char *name, struct tensor *out);
/* Written aside and renamed ("-": standard output). */
int npy_write(struct cx *cx, const char *path, const struct tensor *t);

struct npz_entry {
    char *name; /* without ".npy" */
    struct tensor t;
};
struct npz {
    struct npz_entry *e;
    size_t n;
};
/* Stored and deflated members, zip64. Sizes are checked against limit (bytes in all, 0: 16 GiB) before
 * anything is inflated, and against what the member's own header says. */
int npz_read(struct cx *cx, const char *path, uint64_t limit, struct npz *out);
/* The same from an open file. */
int npz_parse(struct cx *cx, struct file *f, uint64_t limit, struct npz *out);
void npz_free(struct npz *z);
/* Written aside and renamed; same input, same bytes. */
int npz_write(struct cx *cx, const char *path, const struct npz *z);

#endif
