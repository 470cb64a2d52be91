/* Options about reading a model, and the sizes that it leaves open. */
#include "cmd.h"

#define AT(field) offsetof(struct model_opts, field)

static const struct opt rows[] = {
    {"external-data-dir", 0, OPT_STRING, AT(external_dir), .arg = "DIR",
     .help = "where external data is looked for",
     .more = "By default that is the folder of the model. Paths in the model stay inside it.",
     .complete = OPT_DIR},
    {"allow-links", 0, OPT_FLAG, AT(allow_links), .help = "let external data lie outside that folder",
     .more =
         "Follows symbolic links, absolute paths and .. that lead out of the folder. Only for models from "
         "a source that you trust: such a model can read any file that you can."},
    {0},
};

const struct opt_group group_model = {"Reading the model", rows};

struct ot_load_opts model_load_opts(const struct model_opts *o)
{
    return (struct ot_load_opts){.external_dir = o->external_dir, .allow_links = o->allow_links};
}

#define SHAPE(field) offsetof(struct shape_opts, field)

static const struct opt shape_rows[] = {
    {"dim", 0, OPT_LIST, SHAPE(dims), .arg = "SYM=N", .help = "size of a symbolic dimension",
     .more = "As in --dim batch=8. Repeatable."},
    {"shape", 0, OPT_LIST, SHAPE(shapes), .arg = "NAME=1x3x224x224",
     .help = "shape of an input; * keeps a dim", .more = "Repeatable."},
    {0},
};

const struct opt_group group_shape = {"Sizes", shape_rows};
