/* Writing a model: IR -> proto -> bytes, payloads streamed. */
#ifndef OT_IO_ONNX_SAVE_H
#define OT_IO_ONNX_SAVE_H

#include "base/err.h"
#include "ir/ir.h"

enum external_mode { EXTERNAL_AUTO, EXTERNAL_ALWAYS, EXTERNAL_NEVER };

struct save_opts {
    enum external_mode
        external; /* AUTO: keep what is external external; go external when the file would reach 2 GiB */
    uint64_t threshold; /* bytes from which a tensor goes external (default 1024 when 0) */
};

struct save_report {
    uint64_t bytes, external_bytes;
    bool went_external;    /* by itself, because of the 2 GiB limit */
    const char *data_file; /* name of the new data file in the model's folder (cx scratch), NULL: none */
};

/* Writes beside path under a temporary name, syncs, renames ("-": standard output, never external unless
 * NEVER fails). External data goes to a new file <stem>.<8 hex of content hash>.data beside it, aligned to 64
 * bytes (4096 above 1 MiB), synced and renamed before the model is. On any error nothing that existed has
 * changed. Every field of the loaded file that no pass touched comes out again. report may be NULL. */
int model_save(struct cx *cx, struct model *m, const char *path, const struct save_opts *o,
               struct save_report *report);
/* The model file as bytes that the caller frees; external data stays where it is. */
int model_save_mem(struct cx *cx, struct model *m, void **out, size_t *n);

#endif
