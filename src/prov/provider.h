/* Execution providers: who runs a node. The session asks the providers the user listed, in order, node by
 * node; a provider that declines says why. Only listed providers run nodes, and what one has claimed is its
 * own: when it fails to build or to run a node, the session fails. */
#ifndef OT_PROV_PROVIDER_H
#define OT_PROV_PROVIDER_H

#include "base/err.h"
#include "ops/op.h"

struct prov_option {
    const char *key, *value;
};

struct provider {
    const char *name;
    const char *what; /* one line for --list providers */
    /* Opens the device; E_UNSUPPORTED when there is none. *state may stay NULL. NULL hook: nothing to open.
     */
    int (*open)(struct cx *cx, const struct prov_option *opts, size_t nopts, void **state);
    void (*close)(void *state);
    /* Whether it can run the node described by bc (types as inferred); on false, why has the reason.
     * Asked again, it must answer the same. */
    bool (*supports)(void *state, const struct bind_ctx *bc, const void *params, char *why, size_t size);
    /* Binds the node: fills step, its run at least. Called only for nodes that it said it supports. */
    int (*build)(void *state, struct bind_ctx *bc, const void *params, struct step *step);
};

/* All providers of this build, in the order they are listed. */
const struct provider *const *provider_all(size_t *n);
/* NULL when there is none of that name. */
const struct provider *provider_find(const char *name);

#endif
