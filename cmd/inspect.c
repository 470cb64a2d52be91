/* onnxtool inspect */
#include "cmd.h"

struct inspect_opts {
    struct model_opts model;
    struct report_opts report;
};

static const struct opt_use uses[] = {
    {&group_model, offsetof(struct inspect_opts, model)},
    {&group_report, offsetof(struct inspect_opts, report)},
    {0},
};

static int inspect(struct app *app)
{
    const struct inspect_opts *o = app->opts;
    struct ot_load_opts lo = model_load_opts(&o->model);
    int code = cmd_expand_models(app, &app->args);
    for (size_t i = 0; i < app->args.n; i++) {
        ot_model *m;
        int rc = ot_model_load(app->ctx, app->args.v[i], &lo, &m);
        if (rc) {
            code = cmd_worse(code, cmd_fail(app, rc));
            continue;
        }
        rp_title(app->report, "%s", rp_name(app->report, app->args.v[i]));
        ot_model_free(m);
    }
    return code;
}

const struct cmd cmd_inspect = {
    .name = "inspect",
    .args = "MODEL...",
    .summary = "what is in a model",
    .about = "Shows what is in a model.",
    .uses = uses,
    .opts_size = sizeof(struct inspect_opts),
    .report_at = offsetof(struct inspect_opts, report),
    .formats = 1 << FORMAT_TEXT | 1 << FORMAT_JSON,
    .min_args = 1,
    .run = inspect,
};
