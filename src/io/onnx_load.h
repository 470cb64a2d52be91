/* Reading a model: bytes -> proto (decode.h) -> IR. */
#ifndef OT_IO_ONNX_LOAD_H
#define OT_IO_ONNX_LOAD_H

#include "base/blob.h"
#include "base/err.h"
#include "ir/ir.h"

struct load_opts {
    const char *external_dir; /* where external data is looked for; NULL: the model's folder */
    bool allow_links;         /* symbolic links and paths may lead out of that folder */
    bool no_external_check;   /* do not look whether external files are there and long enough */
};

/* Loads path ("-": standard input). All external files that are missing or too short are reported at once.
 * A file that is no ONNX model is E_NOTONNX with what it is and what to do. Graphs come out in topological
 * order; a cycle, a doubly defined name, an unknown input name or a nesting beyond the limit is E_MODEL /
 * E_PARSE. */
int model_load(struct cx *cx, const char *path, const struct load_opts *o, struct model **out);
/* The same from an open file (a memory file too); dir: what external data is confined to, NULL: none allowed.
 */
int model_load_file(struct cx *cx, struct file *f, const char *dir, const struct load_opts *o,
                    struct model **out);

/* Loading in two steps, for who looks at a model that may be wrong (io/outline.h). The first reads the file:
 * the model is empty but for origin, file and folder. The second fills it; on an error only model_free() may
 * follow. */
int model_decode(struct cx *cx, const char *path, const struct load_opts *o, struct model **out);
int model_decode_file(struct cx *cx, struct file *f, const char *dir, const struct load_opts *o,
                      struct model **out);
int model_import(struct cx *cx, struct model *m, const struct load_opts *o);

#endif
