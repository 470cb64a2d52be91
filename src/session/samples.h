/* Named tensors in files: samples to feed, expected outputs, saved results. */
#ifndef OT_SESSION_SAMPLES_H
#define OT_SESSION_SAMPLES_H

#include "base/err.h"
#include "base/tensor.h"
#include "ir/ir.h"

struct named {
    char *name;
    struct tensor t;
};

struct named_list {
    struct named *v;
    size_t n, cap;
};

void named_free(struct named_list *l);
/* Adds or replaces; takes over t's references (also when it fails). The name is copied. */
int named_take(struct cx *cx, struct named_list *l, const char *name, struct tensor *t);
struct tensor *named_find(const struct named_list *l, const char *name);

/* One .npy or .pb file (told apart by content). type: what a .pb must be; NULL: a tensor. name (may be NULL)
 * gets the name that a .pb carries, in scratch memory. */
int sample_read_file(struct cx *cx, const char *path, const struct type *type, struct tensor *out,
                     const char **name);
/* An .npz or safetensors file; a folder with input_K.pb (output_K.pb when outputs) in ONNX's test-data
 * layout; a folder of NAME.npy and NAME.pb. Appends to l. Names of the test-data layout come from the files,
 * else from the position in the model. */
int sample_read_set(struct cx *cx, const struct model *m, const char *path, bool outputs,
                    struct named_list *l);
/* Whether path holds a set (folder, .npz, safetensors) rather than one tensor. */
bool sample_is_set(const char *path);
/* Subfolders test_data_set_N of a folder that has no tensors of its own, in numeric order; paths in scratch
 * memory. */
int sample_subsets(struct cx *cx, const char *path, char ***paths, size_t *n);
/* An archive when path ends in .npz, else a folder of .npy files, .pb where numpy lacks the type. */
int sample_write(struct cx *cx, const char *path, const struct named_list *l);

/* The graph input or output of that name, NULL. */
const struct value *model_io(const struct model *m, const char *name, bool outputs);

#endif
