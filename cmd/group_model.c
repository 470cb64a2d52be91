/* Options about reading a model, for every command that takes one. */
#include "cmd.h"

#define AT(field) offsetof(struct model_opts, field)

static const struct opt rows[] = {
    {"external-data-dir", 0, OPT_STRING, AT(external_dir), .arg = "DIR",
     .help = "where external data is looked for",
     .more = "By default that is the folder of the model. Paths in the model stay inside it.",
     .complete = OPT_DIR},
    {"allow-links", 0, OPT_FLAG, AT(allow_links), .help = "let external data lie outside that folder",
     .more =
         "Follows symbolic links, absolute paths and .. that lead out of the folder. Only for models from a "
         "source "
         "that you trust: such a model can read any file that you can."},
    {0},
};

const struct opt_group group_model = {"Reading the model", rows};

struct ot_load_opts model_load_opts(const struct model_opts *o)
{
    return (struct ot_load_opts){.external_dir = o->external_dir, .allow_links = o->allow_links};
}
