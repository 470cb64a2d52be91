/* Options about what a model is fed. */
#include <stdlib.h>

#include "groups.h"

#define AT(field) offsetof(struct input_opts, field)

static const struct opt rows[] = {
    {"input", 0, OPT_LIST, AT(inputs), .arg = "[NAME=]PATH",
     .help = "values for an input, or a whole sample set",
     .more = "NAME=PATH reads a .npy or .pb file for one input; NAME=[[1,2],[3,4]], NAME=7 and "
             "NAME=[\"a\",\"b\"] are the values themselves (axes of 1 are put in front where the input has "
             "more). PATH alone is a set: an .npz or safetensors file, a folder with input_0.pb, input_1.pb, "
             "... or a folder of files called after the inputs; a folder "
             "with test_data_set_0, test_data_set_1, ... is several. Repeat it for several sets. A file "
             "that holds more than the batch that the model has fixed is fed in pieces.",
     .complete = OPT_FILE},
    {"fill", 0, OPT_LIST, AT(fills), .arg = "[NAME=]HOW",
     .help = "make values up: LO:HI, zeros, ones, arange, normal",
     .more = "Inputs that no --input gives are made up. By default values are chosen that the model "
             "takes: indices inside the table that they index, masks of ones, positions in order."},
    {"from", 0, OPT_COMMAS, AT(from), .arg = "NAME[,...]",
     .help = "begin at these values: they become the inputs"},
    {"to", 0, OPT_COMMAS, AT(to), .arg = "NAME[,...]",
     .help = "end at these values: they become the outputs"},
    {"seed", 0, OPT_INT, AT(seed), .arg = "N", .help = "seed of made-up values (0)"},
    {0},
};

const struct opt_group group_input = {"Inputs", rows};

struct ot_feed_opts input_feed_opts(const struct input_opts *o)
{
    return (struct ot_feed_opts){.inputs = o->inputs.v,
                                 .fills = o->fills.v,
                                 .shapes = o->sizes.shapes.v,
                                 .dims = o->sizes.dims.v,
                                 .seed = (uint64_t)o->seed};
}

/* A decoder has dozens of cached states: their notes say the same over and over. */
enum { SHOWN_NOTES = 6 };

void input_notes(struct app *app, const ot_model *m, const ot_feed *f, const ot_values *first)
{
    size_t made = 0;
    for (size_t i = 0; i < ot_model_ninputs(m); i++) {
        const char *how = ot_feed_how(f, i), *name = ot_model_input(m, i)->name;
        const ot_tensor *t = ot_values_find(first, name);
        char type[200];
        if (!how || !t || (++made > SHOWN_NOTES && !app->verbose))
            continue;
        cmd_note(app, "input '%s' is made up: %s, %s", rp_name(app->report, name),
                 ot_tensor_text(t, type, sizeof type), how);
    }
    if (made > SHOWN_NOTES && !app->verbose)
        cmd_note(app, "%zu more inputs are made up (-v lists them)", made - SHOWN_NOTES);
}

void input_open_note(struct app *app, const ot_model *m, const ot_feed *f)
{
    for (size_t i = 0; i < ot_model_ninputs(m); i++) {
        const struct ot_value_info *v = ot_model_input(m, i);
        for (int k = 0; ot_feed_how(f, i) && k < v->rank; k++) {
            if (v->dims[k] >= 0)
                continue;
            cmd_note(app, "the model leaves sizes of its inputs open: --shape sets them%s",
                     v->dim_names[k] ? ", or --dim" : "");
            return;
        }
    }
}

const char **input_fed_defaults(const ot_model *m, const ot_values *in)
{
    const char **names = xalloc((ot_model_ninputs(m) + 1) * sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < ot_model_ninputs(m); i++) {
        const struct ot_value_info *v = ot_model_input(m, i);
        if (v->has_default && ot_values_find(in, v->name))
            names[n++] = xdup(v->name);
    }
    return names;
}

void input_free_names(const char **names)
{
    for (size_t i = 0; names[i]; i++)
        free((void *)(uintptr_t)names[i]);
    free(names);
}
