/* What a model says about itself: fields that no other part of the library works with. */
#ifndef OT_IO_MODEL_META_H
#define OT_IO_MODEL_META_H

#include "base/arena.h"
#include "ir/ir.h"

struct meta_entry {
    const char *key, *value; /* never NULL */
};

/* Strings are borrowed from the model, NULL where the file says nothing. */
struct model_meta {
    const char *producer, *producer_version, *domain, *doc;
    bool has_version;
    int64_t version; /* model_version */
    struct meta_entry *entries;
    size_t nentries;
    size_t ntraining;    /* training_info */
    size_t nannotations; /* quantization_annotation of the main graph */
};

/* Memory from a. False: out of memory. A model made in memory has none of it. */
bool model_meta(const struct model *m, struct arena *a, struct model_meta *out);
/* The newest IR version that the reader knows. */
int64_t model_newest_ir(void);

#endif
