/* The model checker: what the format and the operators' definitions ask of a file, at least as strictly as
 * the ONNX project's own checker. It reports everything that it finds, each with a stable code. */
#ifndef OT_CHECK_CHECK_H
#define OT_CHECK_CHECK_H

#include "base/err.h"
#include "io/onnx_load.h"
#include "ir/ir.h"

enum finding_code {
#define FD(id, code, name, severity, stops, meaning, fix) FC_##id,
#include "finding.def"
#undef FD
    FC_COUNT
};

struct finding_kind {
    const char *code, *name; /* "OT204", "defined-twice" */
    bool error;              /* else a warning */
    bool stops;              /* sessions refuse the model */
    const char *meaning, *fix;
};

struct finding {
    enum finding_code code;
    const char *graph; /* "main", "main/If 'cond'.then_branch", "function 'f'"; "" for the model itself */
    const char *node;  /* "node 'conv1' (Conv)"; "" when it is about no node */
    const char *text;
    uint64_t at; /* offset in the model file; UINT64_MAX: not known */
};

enum { FINDINGS_MAX = 10000 };

struct findings {
    struct finding *v;
    size_t n, cap;
    size_t errors, warnings; /* all of them; n stops at FINDINGS_MAX */
};

/* The table's rows; NULL past the end. */
const struct finding_kind *finding_kind(size_t code);
/* "model.onnx+0x4a: main: node 'conv1' (Conv): text [OT305]" in memory of a; NULL: out of memory. */
const char *finding_line(struct arena *a, const char *path, const struct finding *f);

/* Everything about the file; memory from a. Errors are those of the machine, and of a file that is no ONNX
 * model at all. */
int check_file(struct cx *cx, const char *path, const struct load_opts *o, struct arena *a,
               struct findings *out);
/* The same of an open file (a memory file too); dir as in model_load_file. */
int check_open_file(struct cx *cx, struct file *f, const char *dir, const struct load_opts *o,
                    struct arena *a, struct findings *out);
/* Before a session: what the file itself tells, no inference, no files looked for. The first finding that
 * stops becomes the error. A model that was not loaded from a file passes. */
int check_before_run(struct cx *cx, struct model *m);

#endif
