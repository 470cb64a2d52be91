/* onnxtool check-opset: will it run where it is deployed? Predicted from tables about runtimes, per node,
 * without the runtime. */
#include "check_opset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct check_opts, field)

static const struct opt own_rows[] = {
    {"target", 0, OPT_COMMAS, AT(targets), .arg = "TARGET[,...]",
     .help = "where it is to run, as in ort@1.18",
     .more =
         "NAME@VERSION: ort, triton (through the ONNX Runtime in the container), tensorrt, openvino-ep and "
         "others "
         "of onnxtool --list targets; numbers as in opset@15, ml@3, ir@8; onnxtool itself; or a JSON file of "
         "yours, which --export gives to start from. ort@1.18 means its newest patch release. With --matrix, "
         "names alone. Repeatable."},
    {"provider", 0, OPT_COMMAS, AT(providers), .arg = "LIST", .help = "ONNX Runtime's providers, in order",
     .more =
         "As in --provider tensorrt,cuda; the CPU always stands behind them. openvino:GPU names a device. "
         "Default cpu."},
    {"min", 0, OPT_FLAG, AT(min), .help = "the lowest opset that the model needs, node by node",
     .more =
         "And whether re-stamping is enough: a lower number in the file, while every node means the same."},
    {"matrix", 0, OPT_FLAG, AT(matrix), .help = "all known releases against all models, the worst first",
     .more = "In text, neighbouring releases of the same verdicts are one row (-v: each its own). Of the "
             "runtimes that --target names without a version; of ort by default."},
    {"nodes", 0, OPT_FLAG, AT(nodes), .help = "every node: its version, how it runs, and where"},
    {"require", 0, OPT_COMMAS, AT(require), .arg = "no-fallback|known",
     .help = "exit 1 when nodes fall back, or when the answer is not known"},
    {"max-fallback", 0, OPT_STRING, AT(max_fallback), .arg = "SHARE",
     .help = "exit 1 when more than this share of the FLOPs falls back, as in 1%"},
    {"observed", 0, OPT_STRING, AT(observed), .arg = "PROFILE.json",
     .help = "a profile that ONNX Runtime wrote, beside the prediction",
     .more = "Nodes are found by name. What the runtime has fused or computed while loading is not in it.",
     .complete = OPT_FILE},
    {"facts", 0, OPT_LIST, AT(facts), .arg = "FILE", .help = "facts of yours, over those that are built in",
     .more = "JSON as onnxtool-facts(7) explains it. Rows hide the built-in ones about the same operator, "
             "provider and release. Repeatable.",
     .complete = OPT_FILE},
    {"export", 0, OPT_STRING, AT(export), .arg = "TARGET",
     .help = "print what is known of a release, as such a file", .more = "Takes no model."},
    {0},
};

static const struct opt_group group_own = {"What to check", own_rows};

static const struct opt_use uses[] = {
    {&group_own, 0}, {&group_shape, AT(shape)}, {&group_model, AT(model)}, {&group_report, AT(report)}, {0},
};

/* ---- options ---- */

static int parse_require(struct check_run *run, const struct check_opts *o)
{
    static const char *const names[] = {"no-fallback", "known"};
    for (size_t i = 0; i < o->require.n; i++) {
        const char *what = o->require.v[i], *near = ot_nearest(what, names, 2);
        if (strcmp(what, "no-fallback") == 0)
            run->no_fallback = true;
        else if (strcmp(what, "known") == 0)
            run->known = true;
        else
            return cmd_usage(run->app, "--require '%s': expected no-fallback or known%s%s", what,
                             near ? "; did you mean " : "", near ? near : "");
    }
    return EXIT_DONE;
}

static int parse_share(struct check_run *run, const char *text)
{
    run->max_fallback = NAN;
    if (!text)
        return EXIT_DONE;
    char *end;
    double v = strtod(text, &end);
    bool percent = *end == '%';
    if (percent) {
        v /= 100;
        end++;
    }
    if (end == text || *end || !(v >= 0 && v <= 1))
        return cmd_usage(run->app, "--max-fallback '%s': expected a share, as in 1%% or 0.01", text);
    run->max_fallback = v;
    return EXIT_DONE;
}

static int check_combination(struct app *app, const struct check_opts *o)
{
    if (o->export && app->args.n)
        return cmd_usage(app, "--export takes no model");
    if (!o->export && !app->args.n)
        return cmd_usage(app, "MODEL... missing");
    if (o->matrix && (o->min || o->nodes || o->observed))
        return cmd_usage(app, "--matrix does not go with --min, --nodes or --observed");
    if (o->observed && (o->targets.n != 1 || app->args.n != 1))
        return cmd_usage(app, "--observed needs one model and one --target");
    bool gate = o->require.n || o->max_fallback || o->nodes;
    if (gate && !o->targets.n && !o->matrix)
        return cmd_usage(app, "--require, --max-fallback and --nodes need a --target");
    bool table = rp_format(app->report) == FORMAT_CSV || rp_format(app->report) == FORMAT_MARKDOWN;
    if (table && !o->targets.n && !o->matrix && !o->min)
        return cmd_usage(app,
                         "without --target, --min or --matrix there is no table: use --format text or json");
    return EXIT_DONE;
}

/* Words to releases: files are read, and stand for the releases that they add. */
static int resolve_targets(struct check_run *run, const struct check_opts *o)
{
    for (size_t i = 0; i < o->targets.n; i++) {
        const char *const *names;
        int rc = ot_facts_targets(run->app->ctx, run->facts, o->targets.v[i], &names);
        if (rc)
            return cmd_fail(run->app, rc);
        for (; *names; names++)
            opt_list_add(&run->targets, *names);
    }
    return EXIT_DONE;
}

/* ---- models ---- */

static int open_model(struct app *app, const char *path, struct checked *c)
{
    const struct check_opts *o = app->opts;
    struct ot_load_opts lo = model_load_opts(&o->model);
    *c = (struct checked){.path = path};
    lo.no_external_check = true;
    int rc = ot_model_load(app->ctx, path, &lo, &c->m);
    if (!rc)
        rc = ot_fit_new(app->ctx, c->m, o->shape.dims.v, o->shape.shapes.v, &c->fit);
    return rc ? cmd_fail(app, rc) : EXIT_DONE;
}

static void close_model(struct checked *c)
{
    ot_fit_free(c->fit);
    if (c->m)
        ot_model_free(c->m);
}

/* Whether the verdict passes what CI asks for. A share that nobody knows proves nothing. */
static int gate(struct check_run *run, const struct ot_verdict_summary *s)
{
    bool sure = !s->listed && !s->unknown;
    int code = s->kind == OT_FAILS ? EXIT_FINDING : EXIT_DONE;
    if (run->known && s->kind == OT_UNKNOWN) {
        cmd_note(run->app, "%s: not known, which --require known does not take", s->target);
        code = EXIT_FINDING;
    }
    if (run->no_fallback && s->kind != OT_FAILS && (s->fallback || !sure)) {
        cmd_note(run->app,
                 s->fallback ? "%s: nodes fall back, which --require no-fallback does not take"
                             : "%s: whether nodes fall back is not known, which --require no-fallback does "
                               "not take",
                 s->target);
        code = EXIT_FINDING;
    }
    if (!isnan(run->max_fallback) && s->kind != OT_FAILS && s->fallback && !(s->share <= run->max_fallback)) {
        cmd_note(run->app, "%s: %s of the FLOPs fall back, beyond --max-fallback", s->target,
                 isnan(s->share) ? "a share that is not known"
                                 : rp_str(run->app->report, "%.3g%%", 100 * s->share));
        code = EXIT_FINDING;
    }
    return code;
}

static int check_target(struct check_run *run, const struct checked *c, const char *target,
                        struct table *rows)
{
    ot_verdict *v;
    struct ot_verdict_summary s;
    int rc = ot_fit_check(run->app->ctx, c->fit, run->facts, target, run->providers, true, &v);
    if (rc)
        return cmd_fail(run->app, rc);
    ot_verdict_summary(v, &s);
    js_obj(run->app->report, NULL);
    show_verdict(run, c, v, rows);
    if (run->observed)
        show_observed(run, v);
    js_end(run->app->report);
    int code = gate(run, &s);
    ot_verdict_free(v);
    return code;
}

static void json_model(struct report *r, const struct checked *c)
{
    struct ot_fit_summary s;
    ot_fit_summary(c->fit, &s);
    js_int(r, "ir_version", s.ir_version);
    js_arr(r, "opsets");
    for (size_t i = 0; i < s.nimports; i++) {
        js_obj(r, NULL);
        js_str(r, "domain", s.imports[i].domain);
        js_int(r, "version", s.imports[i].version);
        js_end(r);
    }
    js_end(r);
    js_uint(r, "nodes", s.nodes);
    js_int(r, "flops", s.flops);
}

static int check_model(struct check_run *run, const char *path, struct table *rows)
{
    struct app *app = run->app;
    const struct check_opts *o = app->opts;
    struct checked c;
    js_obj(app->report, NULL);
    js_str(app->report, "model", path);
    int code = open_model(app, path, &c);
    if (code) {
        js_str(app->report, "error", ot_error(app->ctx));
    } else {
        json_model(app->report, &c);
        if (o->min)
            code = show_minimum(run, &c, true);
        else if (!run->targets.n)
            code = show_overview(run, &c);
        js_arr(app->report, "targets");
        for (size_t i = 0; i < run->targets.n; i++)
            code = cmd_worse(code, check_target(run, &c, run->targets.v[i], rows));
        js_end(app->report);
    }
    js_end(app->report);
    close_model(&c);
    return code;
}

/* ---- the command ---- */

static int check_models(struct check_run *run)
{
    struct app *app = run->app;
    const struct check_opts *o = app->opts;
    enum format f = rp_format(app->report);
    bool table = (f == FORMAT_CSV || f == FORMAT_MARKDOWN) && run->targets.n && !o->min;
    struct table *rows = table ? verdict_table(app->report) : NULL;
    int code = EXIT_DONE;
    js_arr(app->report, "models");
    for (size_t i = 0; i < app->args.n; i++) {
        app->model = app->args.n > 1 ? app->args.v[i] : NULL;
        code = cmd_worse(code, check_model(run, app->args.v[i], rows));
    }
    app->model = NULL;
    js_end(app->report);
    if (rows)
        table_end(rows);
    return code;
}

static int check_matrix(struct check_run *run)
{
    struct app *app = run->app;
    struct checked *all = xalloc((app->args.n + 1) * sizeof *all);
    size_t n = 0;
    int code = EXIT_DONE;
    for (size_t i = 0; i < app->args.n; i++) {
        int c = open_model(app, app->args.v[i], &all[n]);
        if (c)
            close_model(&all[n]);
        n += !c;
        code = cmd_worse(code, c);
    }
    if (n)
        code = cmd_worse(code, show_matrix(run, all, n));
    for (size_t i = 0; i < n; i++)
        close_model(&all[i]);
    free(all);
    return code;
}

static int export_target(struct check_run *run, const char *target)
{
    const char *json;
    int rc = ot_facts_export(run->app->ctx, run->facts, target, &json);
    if (rc)
        return cmd_fail(run->app, rc);
    /* The file itself is the result, whatever the format of the report. */
    if (rp_json(run->app->report))
        return cmd_usage(run->app, "--export writes JSON of its own: leave out --json");
    fprintf(rp_file(run->app->report), "%s\n", json);
    return EXIT_DONE;
}

static int run_all(struct check_run *run)
{
    struct app *app = run->app;
    const struct check_opts *o = app->opts;
    js_obj(app->report, "facts");
    js_str(app->report, "date", ot_facts_date(run->facts));
    js_end(app->report);
    if (o->export)
        return export_target(run, o->export);
    int code = cmd_expand_models(app, &app->args);
    if (o->observed && !code) {
        int rc = ot_observed_read(app->ctx, o->observed, &run->observed);
        if (rc)
            return cmd_fail(app, rc);
    }
    if (o->matrix) {
        run->targets = o->targets;
        return cmd_worse(code, check_matrix(run));
    }
    int wrong = resolve_targets(run, o);
    return wrong ? wrong : cmd_worse(code, check_models(run));
}

static int check_opset(struct app *app)
{
    const struct check_opts *o = app->opts;
    struct check_run run = {.app = app, .providers = o->providers.n ? o->providers.v : NULL};
    int code = check_combination(app, o);
    if (!code)
        code = parse_require(&run, o);
    if (!code)
        code = parse_share(&run, o->max_fallback);
    if (code)
        return code;
    int rc = ot_facts_new(app->ctx, o->facts.v, &run.facts);
    if (rc)
        return cmd_fail(app, rc);
    code = run_all(&run);
    if (run.targets.v != o->targets.v)
        free(run.targets.v);
    ot_observed_free(run.observed);
    ot_facts_free(run.facts);
    return code;
}

static const char *const examples[] = {
    "onnxtool check-opset model.onnx",
    "what it needs, and the oldest releases that load it",
    "onnxtool check-opset model.onnx --target ort@1.18 --provider cuda",
    "will it load there, and does anything run on the CPU?",
    "onnxtool check-opset models/ --target triton@24.05 --provider cuda --max-fallback 1%",
    "a gate for CI",
    "onnxtool check-opset --matrix model.onnx",
    "every known release of ONNX Runtime",
    "onnxtool check-opset --min model.onnx",
    "the lowest opset that would do, and what asks for it",
    "onnxtool check-opset --export ort@1.18 > device.json",
    "a file to change and pass to --target",
    NULL,
};

const struct cmd cmd_check_opset = {
    .name = "check-opset",
    .args = "MODEL...",
    .summary = "will it run where it is deployed: opsets, IR version, kernels of each node",
    .about = "Predicts from tables what becomes of a model in a given release of a runtime, without that "
             "runtime. The "
             "verdict is one of: runs; runs with fallback, when nodes run on the CPU though another provider "
             "was asked "
             "for; fails to load; unknown.\n\nThree things are kept apart. A load blocker: the opset, the "
             "ai.onnx.ml opset "
             "or the IR version is beyond what the release reads; the file is refused, and nothing falls "
             "back. A kernel "
             "gap: a provider has no kernel for a node's operator version and types; the node runs on the "
             "CPU. A rewrite: "
             "the release has neither kernel nor function body for it, or no version of the operator at "
             "all.\n\nA node "
             "has a kernel; or is expanded into its function body; or runs as float behind casts; or is "
             "listed, by "
             "providers that take whole subgraphs and promise nothing; or is missing; or unknown, where the "
             "tables are "
             "silent. Kernels are looked up by the version of the operator, not by the model's opset. "
             "Arithmetic on "
             "shapes, which ONNX Runtime leaves on the CPU on purpose, and nodes of constants alone, which "
             "it computes "
             "while loading, never count as fallback.\n\nReleases between two that the tables have are "
             "inferred from "
             "both; newer ones are unknown. onnxtool-opset-advice(7) sets common advice right.",
    .finding = "a model fails to load on a target, or does not pass --require or --max-fallback",
    .examples = examples,
    .uses = uses,
    .opts_size = sizeof(struct check_opts),
    .report_at = AT(report),
    .formats = 1 << FORMAT_TEXT | 1 << FORMAT_JSON | 1 << FORMAT_CSV | 1 << FORMAT_MARKDOWN,
    .run = check_opset,
};
