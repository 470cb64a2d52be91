/* Reads what a model says about itself from the message that it came from. */
#include "io/model_meta.h"

#include "onnx.pb-c.h"

static const char *text(const char *s)
{
    return s ? s : "";
}

static const char *some(const char *s)
{
    return s && *s ? s : NULL;
}

bool model_meta(const struct model *m, struct arena *a, struct model_meta *out)
{
    const Onnx__ModelProto *p = m->origin;
    *out = (struct model_meta){0};
    if (!p)
        return true;
    out->producer = some(p->producer_name);
    out->producer_version = some(p->producer_version);
    out->domain = some(p->domain);
    out->doc = some(p->doc_string);
    out->has_version = p->has_model_version;
    out->version = p->model_version;
    out->ntraining = p->n_training_info;
    out->nannotations = p->graph ? p->graph->n_quantization_annotation : 0;
    out->nentries = p->n_metadata_props;
    out->entries = arena_array(a, out->nentries + 1, sizeof *out->entries);
    if (!out->entries)
        return false;
    for (size_t i = 0; i < out->nentries; i++)
        out->entries[i] =
            (struct meta_entry){text(p->metadata_props[i]->key), text(p->metadata_props[i]->value)};
    return true;
}

int64_t model_newest_ir(void)
{
    return ONNX__VERSION__IR_VERSION;
}
