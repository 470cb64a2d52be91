/* onnxtool inspect: what is in a model, on one screen; more of one thing on demand.
 *
 * Weights are not read unless a tensor's values are asked for, so a model of any size is looked at in
 * milliseconds. */
#include "cmd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inspect_show.h"

static const char *const fingerprint_names[] = {"structure", "weights", NULL};

#define AT(field) offsetof(struct inspect_opts, field)

static const struct opt own_rows[] = {
    {"graph", 0, OPT_FLAG, AT(graph), .help = "the graph as text: a node a line, with types and attributes"},
    {"node", 'n', OPT_LIST, AT(nodes), .arg = "GLOB",
     .help = "nodes of that name, or that make a value of it",
     .more = "* and ? stand for any text and any character. Repeatable."},
    {"tensor", 't', OPT_LIST, AT(tensors), .arg = "GLOB",
     .help = "weights of that name: statistics, histogram, values",
     .more = "Reads their values. Repeatable."},
    {"values", 0, OPT_INT, AT(values), .arg = "N", .help = "values that --tensor prints (10)", .lo = 0,
     .hi = 1e15},
    {"initializers", 0, OPT_FLAG, AT(initializers),
     .help = "all weights, in Constant nodes too: type, size, place, user"},
    {"layers", 0, OPT_FLAG, AT(layers), .help = "nodes by what they cost, the dearest first",
     .more = "MACs are those of convolutions, matrix products and recurrent operators; ops are all other "
             "operations, about one an output element."},
    {"limit", 0, OPT_INT, AT(limit), .arg = "N", .help = "at most N rows of --layers and --initializers",
     .lo = 1, .hi = 1e15},
    {"infer-shapes", 0, OPT_FLAG, AT(infer), .help = "every value with its inferred type"},
    {"files", 0, OPT_FLAG, AT(files), .help = "the files that a deployment must copy, a path a line",
     .more = "The model and its external data. A file that is missing is named on standard error, and the "
             "exit code is 3."},
    {"fingerprint", 0, OPT_CHOICE, AT(fingerprint), .choices = fingerprint_names,
     .help = "a hash of the computation, without names and metadata",
     .more =
         "The same for models that compute the same way, however nodes and values are called and ordered. "
         "structure leaves the values of weights out (but not int64 and bool constants to 1 KiB, nor "
         "single numbers); weights reads and counts all of them."},
    {"check", 0, OPT_FLAG, AT(check), .help = "everything that is wrong with the file",
     .more =
         "At least as strict as the ONNX project's checker. Each finding has a code that does not change; "
         "onnxtool-findings(7) explains them. The exit code is 3 when there is an error among them, 0 when "
         "there are warnings only."},
    {"check-values", 0, OPT_FLAG, AT(check_values), .help = "look for NaN and infinities in all weights",
     .more = "Reads them."},
    {0},
};

static const struct opt_group group_own = {"What to show (a screen of everything by default)", own_rows};

static const struct opt_use uses[] = {
    {&group_own, 0}, {&group_shape, AT(shape)}, {&group_model, AT(model)}, {&group_report, AT(report)}, {0},
};

static void defaults(void *opts)
{
    struct inspect_opts *o = opts;
    o->values = -1;
    o->fingerprint = -1;
}

/* ---- one model ---- */

static int show_fingerprint(struct app *app, ot_model *m, const char *path)
{
    const struct inspect_opts *o = app->opts;
    char hex[65];
    int rc = ot_fingerprint(app->ctx, m, o->fingerprint == 1, hex);
    if (rc)
        return cmd_fail(app, rc);
    rp_text(app->report, "%s  %s\n", hex, rp_name(app->report, path));
    js_str(app->report, o->fingerprint == 1 ? "fingerprint_weights" : "fingerprint", hex);
    return EXIT_DONE;
}

static int show_files(struct app *app, const struct ot_summary *s)
{
    int code = EXIT_DONE;
    js_arr(app->report, "files");
    for (size_t i = 0; i < s->nfiles; i++) {
        /* Bare paths, for xargs: no escaping. */
        rp_text(app->report, "%s\n", s->files[i].path);
        js_str(app->report, NULL, s->files[i].path);
        if (s->files[i].problem)
            code = cmd_worse(code, cmd_fail(app, ot_fail(app->ctx, EXIT_INPUT, "%s", s->files[i].problem)));
    }
    js_end(app->report);
    return code;
}

static void json_attr(struct report *r, const struct ot_attr *a)
{
    if (a->list)
        js_arr(r, a->name);
    for (size_t i = 0; i < a->n; i++) {
        const char *key = a->list ? NULL : a->name;
        if (a->ints)
            js_int(r, key, a->ints[i]);
        else if (a->floats)
            js_num(r, key, (double)a->floats[i]);
        else
            js_str(r, key, a->strings ? a->strings[i] : a->text);
    }
    if (a->list)
        js_end(r);
}

static void json_names(struct report *r, const char *key, const char *const *names, size_t n)
{
    js_arr(r, key);
    for (size_t i = 0; i < n; i++)
        js_str(r, NULL, names[i]);
    js_end(r);
}

static void json_node(struct report *r, const struct ot_node *n)
{
    js_obj(r, NULL);
    js_str(r, "node", n->name);
    js_str(r, "domain", n->domain);
    js_str(r, "operator", n->op);
    js_int(r, "depth", n->depth);
    js_str(r, "function", n->function);
    json_names(r, "inputs", n->in, n->nin);
    json_names(r, "outputs", n->out, n->nout);
    json_names(r, "output_types", n->out_types, n->nout);
    js_obj(r, "attributes");
    for (size_t i = 0; i < n->nattr; i++)
        json_attr(r, &n->attr[i]);
    js_end(r);
    js_end(r);
}

/* The nodes that match (NULL: all) as objects. */
static int json_nodes(struct app *app, ot_inspection *in, const char *glob, size_t *count)
{
    const struct ot_node *n;
    int rc = ot_inspection_nodes(app->ctx, in, glob, &n, count);
    if (rc)
        return cmd_fail(app, rc);
    for (size_t i = 0; i < *count; i++)
        json_node(app->report, &n[i]);
    return EXIT_DONE;
}

static int show_graph(struct app *app, ot_inspection *in, enum ot_print what)
{
    const char *text;
    size_t count;
    if (rp_json(app->report)) {
        js_arr(app->report, "graph");
        int code = json_nodes(app, in, NULL, &count);
        js_end(app->report);
        return code;
    }
    int rc = ot_inspection_print(app->ctx, in, what, &text);
    if (rc)
        return cmd_fail(app, rc);
    fputs(text, rp_file(app->report));
    return EXIT_DONE;
}

static int no_node(struct app *app, const ot_inspection *in, const char *glob)
{
    const char *near = ot_inspection_nearest_node(in, glob);
    if (near)
        return cmd_usage(app, "--node: no node matches '%s'; did you mean '%s'?", glob, near);
    return cmd_usage(app, "--node: no node matches '%s'", glob);
}

static int show_matches(struct app *app, ot_inspection *in, const char *glob)
{
    const char *text = "";
    size_t count;
    if (rp_json(app->report)) {
        int code = json_nodes(app, in, glob, &count);
        return code || count ? code : no_node(app, in, glob);
    }
    int rc = ot_inspection_print_nodes(app->ctx, in, glob, &text, &count);
    if (rc)
        return cmd_fail(app, rc);
    if (!count)
        return no_node(app, in, glob);
    rp_text(app->report, "%s", text);
    return EXIT_DONE;
}

static int show_nodes(struct app *app, ot_inspection *in, const struct opt_list *globs)
{
    int code = EXIT_DONE;
    js_arr(app->report, "nodes");
    for (size_t i = 0; i < globs->n; i++)
        code = cmd_worse(code, show_matches(app, in, globs->v[i]));
    js_end(app->report);
    return code;
}

static bool wants_detail(const struct inspect_opts *o)
{
    return o->graph || o->nodes.n || o->tensors.n || o->initializers || o->layers || o->infer || o->files;
}

/* rows: the one table over all models, NULL where each has its own. */
static int show_details(struct app *app, ot_inspection *in, const char *path, struct table *rows)
{
    const struct inspect_opts *o = app->opts;
    int code = EXIT_DONE;
    if (o->graph)
        code = cmd_worse(code, show_graph(app, in, OT_PRINT_GRAPH));
    if (o->nodes.n)
        code = cmd_worse(code, show_nodes(app, in, &o->nodes));
    if (o->tensors.n)
        code = cmd_worse(code, show_tensors(app, in));
    if (o->initializers)
        show_initializers(app, in, path, rows);
    if (o->layers)
        show_layers(app, in, path, rows);
    if (o->infer)
        show_values(app, in, path, rows);
    if (o->files)
        code = cmd_worse(code, show_files(app, ot_inspection_summary(in)));
    return code;
}

/* Text, or the model's JSON object; a table over several models gets a row. */
static int show_model(struct app *app, ot_model *m, const char *path, struct table *rows)
{
    const struct inspect_opts *o = app->opts;
    const struct ot_inspect_opts io = {o->shape.dims.v, o->shape.shapes.v, o->check_values};
    ot_inspection *in;
    if (o->fingerprint >= 0)
        return show_fingerprint(app, m, path);
    int rc = ot_inspect(app->ctx, m, &io, &in);
    if (rc)
        return cmd_fail(app, rc);
    int code = EXIT_DONE;
    if (rp_format(app->report) == FORMAT_DOT) {
        code = show_graph(app, in, OT_PRINT_DOT);
    } else if (wants_detail(o)) {
        if (app->args.n > 1 && !o->files)
            rp_title(app->report, "%s", rp_name(app->report, path));
        code = show_details(app, in, path, rows);
    } else if (rp_json(app->report)) {
        json_summary(app->report, ot_inspection_summary(in), m);
    } else if (rows) {
        row_summary(rows, ot_inspection_summary(in), path);
    } else {
        show_summary(app, ot_inspection_summary(in), m, path);
    }
    ot_inspection_free(in);
    return code;
}

static int inspect_file(struct app *app, const char *path, struct table *rows)
{
    const struct inspect_opts *o = app->opts;
    struct ot_load_opts lo = model_load_opts(&o->model);
    ot_model *m;
    js_obj(app->report, NULL);
    js_str(app->report, "model", path);
    if (o->check) {
        int code = show_check(app, path, &lo);
        js_end(app->report);
        return code;
    }
    lo.no_external_check = true;
    int rc = ot_model_load(app->ctx, path, &lo, &m);
    int code = rc ? cmd_fail(app, rc) : show_model(app, m, path, rows);
    if (code)
        js_str(app->report, "error", ot_error(app->ctx));
    js_end(app->report);
    if (!rc)
        ot_model_free(m);
    return code;
}

/* What is asked for beside the screen, by the name of its option. */
struct asked {
    const char *option;
    bool given, alone, has_table;
};

/* Combinations that would leave something out without a word. */
static int check_combination(struct app *app, const struct inspect_opts *o, enum format f)
{
    const struct asked all[] = {
        {"fingerprint", o->fingerprint >= 0, true, false},
        {"check", o->check, true, true},
        {"graph", o->graph, false, false},
        {"node", o->nodes.n > 0, false, false},
        {"tensor", o->tensors.n > 0, false, false},
        {"initializers", o->initializers, false, true},
        {"layers", o->layers, false, true},
        {"infer-shapes", o->infer, false, true},
        {"files", o->files, false, false},
    };
    bool table = f == FORMAT_CSV || f == FORMAT_MARKDOWN;
    const struct asked *first = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct asked *a = &all[i];
        if (!a->given)
            continue;
        if (table && !a->has_table)
            return cmd_usage(app, "--%s makes no table: use --format text or json", a->option);
        if (f == FORMAT_DOT)
            return cmd_usage(app, "--format dot draws the graph and nothing else: leave out --%s", a->option);
        if (first && (first->alone || table))
            return cmd_usage(app, "--%s and --%s do not go together%s", first->option, a->option,
                             first->alone ? "" : " in one table");
        first = a;
    }
    if (o->limit && !o->layers && !o->initializers)
        return cmd_usage(app, "--limit needs --layers or --initializers");
    if (o->values >= 0 && !o->tensors.n)
        return cmd_usage(app, "--values needs --tensor");
    return EXIT_DONE;
}

static struct table *new_table(struct app *app, const struct inspect_opts *o, enum format f)
{
    if (f == FORMAT_CSV || f == FORMAT_MARKDOWN) {
        struct table *t = o->layers         ? layers_table(app->report, true)
                          : o->initializers ? initializers_table(app->report, true)
                          : o->infer        ? values_table(app->report, true)
                          : o->check        ? NULL
                                            : summary_table(app->report);
        return t;
    }
    bool screen = !wants_detail(o) && !o->check && o->fingerprint < 0;
    return f == FORMAT_TEXT && app->args.n > 1 && screen ? summary_table(app->report) : NULL;
}

static int inspect(struct app *app)
{
    const struct inspect_opts *o = app->opts;
    enum format f = rp_format(app->report);
    int wrong = check_combination(app, o, f);
    if (wrong)
        return wrong;
    int code = cmd_expand_models(app, &app->args);
    struct table *rows = new_table(app, o, f);
    js_arr(app->report, "models");
    for (size_t i = 0; i < app->args.n; i++) {
        app->model = app->args.n > 1 ? app->args.v[i] : NULL;
        code = cmd_worse(code, inspect_file(app, app->args.v[i], rows));
    }
    app->model = NULL;
    js_end(app->report);
    if (rows)
        table_end(rows);
    return code;
}

static const char *const examples[] = {
    "onnxtool inspect model.onnx",
    "everything on one screen",
    "onnxtool inspect --layers --limit 10 --dim batch=8 model.onnx",
    "where the time will go at batch 8",
    "onnxtool inspect --files model.onnx | xargs cp -t /srv/models",
    "copy a model with its external data",
    "onnxtool inspect --tensor 'conv1.*' model.onnx",
    "statistics and values of some weights",
    "onnxtool inspect --check models/",
    "does every model in a folder keep to the rules?",
    "onnxtool inspect --format markdown models/",
    "a table of all models in a folder",
    NULL,
};

const struct cmd cmd_inspect = {
    .name = "inspect",
    .args = "MODEL...",
    .summary = "what is in a model: inputs, weights, cost, operators, what may cause trouble",
    .about =
        "Shows on one screen what is in a model: versions, inputs and outputs, weights, cost, operators, "
        "dynamic axes, files, and what may cause trouble in production. With several models, one row "
        "each.\n\nA MAC is one multiply-accumulate of a convolution, matrix product or recurrent "
        "operator; a FLOP count is twice that. Sizes that the model leaves open are 1 unless --dim or "
        "--shape gives them. Activation memory is given twice: every value with memory of its own, and "
        "the most that is alive at the same time when each is freed behind its last use.\n\nWeights are "
        "not read, except for --tensor, --check-values and --fingerprint weights.",
    .finding = "not used: what is found is in the report",
    .examples = examples,
    .uses = uses,
    .opts_size = sizeof(struct inspect_opts),
    .defaults = defaults,
    .report_at = AT(report),
    .formats = 1 << FORMAT_TEXT | 1 << FORMAT_JSON | 1 << FORMAT_CSV | 1 << FORMAT_MARKDOWN | 1 << FORMAT_DOT,
    .min_args = 1,
    .run = inspect,
};
