/* Options about how a model runs. What `bench` takes lists of stands in a group of its own. */
#include "groups.h"

#define AT(field) offsetof(struct engine_opts, field)

static const char *const levels[] = {"none", "basic", "all", NULL};

static const struct opt rows[] = {
    {"optimize", 'O', OPT_CHOICE, AT(level), .help = "rewrite the graph before it runs (all)",
     .more =
         "none runs the nodes as they stand in the file. basic folds constants, removes dead nodes, folds "
         "BatchNormalization into Conv and fuses Conv with its activation. all does everything there is.",
     .choices = levels},
    {"provider", 0, OPT_COMMAS, AT(providers), .arg = "NAME[,...]",
     .help = "who may run nodes, in order (cpu)",
     .more = "Only listed providers run nodes: a node that none of them takes is an error."},
    {"threads", 0, OPT_INT, AT(threads), .arg = "N",
     .help = "threads; 0, the default: the cores this process may use", .hi = 1024},
    {0},
};

const struct opt_group group_engine = {"Running", rows};

static const struct opt limit_rows[] = {
    {"skip-pass", 0, OPT_COMMAS, AT(skip_pass), .arg = "PASS[,...]",
     .help = "leave out a pass; --list passes has them"},
    {"strict-provider", 0, OPT_FLAG, AT(strict), .help = "fail when the first provider declines a node"},
    {"provider-option", 0, OPT_LIST, AT(provider_options), .arg = "P.KEY=VALUE",
     .help = "an option of provider P"},
    {"cpu-mask", 0, OPT_STRING, AT(cpu_mask), .arg = "c|avx2|avx512|vnni|all",
     .help = "strongest kernels to use (all)"},
    {"max-memory", 0, OPT_SIZE, AT(max_memory), .arg = "SIZE",
     .help = "stop rather than take more (K, M, G)"},
    {"timeout", 0, OPT_NUMBER, AT(timeout), .arg = "SECONDS", .help = "stop rather than take longer",
     .hi = 1e9},
    {0},
};

const struct opt_group group_limits = {"Kernels, passes, limits", limit_rows};

void engine_defaults(struct engine_opts *o)
{
    o->level = OT_OPT_ALL;
}

struct ot_session_opts engine_session_opts(const struct engine_opts *o)
{
    return (struct ot_session_opts){.level = (enum ot_opt)o->level,
                                    .threads = (int)o->threads,
                                    .cpu_mask = o->cpu_mask,
                                    .providers = o->providers.v,
                                    .provider_options = o->provider_options.v,
                                    .strict = o->strict,
                                    .skip_pass = o->skip_pass.v};
}

void engine_limits(struct app *app, const struct engine_opts *o)
{
    ot_set_max_memory(app->ctx, o->max_memory);
    ot_set_timeout(app->ctx, o->timeout);
}
