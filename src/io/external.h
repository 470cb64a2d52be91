/* External data files. The one home of the rule that no path leaves the model's folder: every file that a
 * model names is opened here. */
#ifndef OT_IO_EXTERNAL_H
#define OT_IO_EXTERNAL_H

#include "base/blob.h"
#include "base/err.h"
#include "ir/ir.h"

/* The file that location names, opened once and kept in the model; *out is borrowed. E_PATH when the path
 * leads out of m->dir (unless m->allow_links), E_NOENT or E_IO with the path that was tried. */
int external_open(struct cx *cx, struct model *m, const char *location, struct file **out);
/* The bytes of an external tensor: its file, and [off, off+len) inside it, len being what dims and type need.
 * E_DATA when the file is too short or the length given in the model is another. */
int external_range(struct cx *cx, struct model *m, const struct tensor_data *t, struct file **f,
                   uint64_t *off, uint64_t *len);
/* Looks at all n tensors. One error tells everything that is missing, too short or outside, each with the
 * path that was tried; when it is too much for one message, each goes to the log as well. */
int external_check(struct cx *cx, struct model *m, struct tensor_data *const *t, size_t n);

#endif
