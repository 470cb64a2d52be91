/* What a user asks for ("ort@1.12", "triton@24.05", "opset@15"), looked up in the facts: limits of what is
 * loaded, and where each provider's operators are told. */
#ifndef OT_TARGET_TARGET_H
#define OT_TARGET_TARGET_H

#include "target/facts.h"

enum target_kind {
    TARGET_ORT,   /* providers in order, the CPU last */
    TARGET_LIST,  /* a runtime of which there is an operator list */
    TARGET_LIMIT, /* a number alone: nothing is known of operators */
    TARGET_SELF,  /* onnxtool */
};

enum target_known {
    TARGET_EXACT,    /* the tables have this release */
    TARGET_INFERRED, /* it lies between two that they have */
    TARGET_NEWER,    /* than all of them */
    TARGET_OLDER,
    TARGET_NO_RELEASES, /* the tables do not tell its releases apart */
};

/* Up to `sure` it is accepted, beyond `most` it is not; between them, and for 0, nobody knows. */
struct limit {
    int sure, most;
};

/* Where a provider (or runtime) is looked up. */
struct source {
    const struct fact_runtime *rt;
    struct fact_version lo, hi; /* releases that the rows must hold; they differ when inferred */
    bool known;                 /* else nothing is known of it in this release */
    bool any_release;           /* rows do not name releases */
    bool stale;                 /* its list is older than the release: what it lacks may have come since */
    bool has_no;                /* its list says of operators that they are not supported */
    const char *device;         /* "GPU"; "" any */
    const char *about;          /* "TensorRT 10.0", for messages; "" */
};

enum { SOURCES_MAX = 12 };

struct target {
    const char *text; /* as asked for */
    const char *runtime, *release;
    enum target_kind kind;
    enum target_known known;
    const struct fact_release *lo, *hi; /* the same when it is known exactly; NULL */
    const char *through;                /* "triton 24.05 holds ort 1.18.0"; "" */
    struct fact_version v;
    struct limit opset, ml, ir, compiled;
    bool strict;
    struct source src[SOURCES_MAX];
    size_t nsrc;
};

/* text: NAME@VERSION, NAME where the tables have no releases of it. providers: names, "openvino:GPU" with a
 * device; for ONNX Runtime alone. Strings and memory live as long as f. E_USAGE with the nearest name. */
int target_parse(struct cx *cx, struct facts *f, const char *text, const char *const *providers,
                 size_t nproviders, struct target *out);
/* A short name: "ort 1.12.1", "opset 15". */
const char *target_name(const struct target *t, char *buf, size_t size);
/* The releases of a runtime by name, newest first, into an array of f's; *n of them. E_USAGE when the tables
 * have none. */
int target_releases(struct cx *cx, struct facts *f, const char *runtime, const char *const **out, size_t *n);

#endif
