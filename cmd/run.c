/* onnxtool run: feeds a model, runs it, shows and checks what comes out. */
#include "run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(field) offsetof(struct run_opts, field)

static const struct opt rows[] = {
    {"save", 0, OPT_STRING, AT(save), .arg = "PATH", .help = "keep the outputs: an .npz, or a folder",
     .more = "A folder gets a file an output: .npy, or .pb for types that numpy lacks. With several samples "
             "it gets a folder test_data_set_N for each.",
     .complete = OPT_FILE},
    {"save-inputs", 0, OPT_STRING, AT(save_inputs), .arg = "PATH",
     .help = "keep the inputs, made-up ones too", .complete = OPT_FILE},
    {"dump", 0, OPT_LIST, AT(dump), .arg = "GLOB", .help = "keep intermediate values by name, into --save",
     .more = "Optimization keeps the values that are named without wildcards; with wildcards only what is "
             "left is seen, -O none sees all."},
    {"top", 0, OPT_INT, AT(top), .arg = "K", .help = "show the K largest elements of each row of the outputs",
     .lo = 1, .hi = 1000},
    {"labels", 0, OPT_STRING, AT(labels), .arg = "FILE", .help = "class names, one a line",
     .complete = OPT_FILE},
    {"truth", 0, OPT_STRING, AT(truth), .arg = "FILE.npy",
     .help = "right classes: print the accuracy of the first output", .complete = OPT_FILE},
    {"check-finite", 0, OPT_FLAG, AT(check_finite),
     .help = "exit 1 at the first node that makes a NaN or Inf, and name it"},
    {"placement", 0, OPT_FLAG, AT(placement), .help = "show which provider and kernel ran each node"},
    {"profile", 0, OPT_FLAG, AT(profile), .help = "show where the time went",
     .more = "Of the runs that are made, the first one included, which is slower than those behind it."},
    {"feedback", 0, OPT_COMMAS, AT(feedback), .arg = "OUT=IN[,...]",
     .help = "run in steps: output OUT of one is input IN of the next",
     .more = "For models with a state, or a cache that grows. Stars match as in "
             "'present.*=past_key_values.*': what each one stands for goes into the input's name. The first "
             "state is zeros unless --input or --fill gives it. Other inputs come from sample 1 in step 1, "
             "sample 2 in step 2, and so on (the last one stays); a file with one axis more than its input, "
             "in front, holds a step in each piece; what is made up follows the sizes of the state. --save, "
             "--expect and the report count steps where they count samples; outputs that are fed back are "
             "shown with -v."},
    {"steps", 0, OPT_INT, AT(steps), .arg = "N",
     .help = "how many steps --feedback runs (as many as there are samples)", .lo = 1, .hi = 1000000},
    {"trace", 0, OPT_STRING, AT(trace), .arg = "FILE", .help = "write a Chrome trace", .complete = OPT_FILE},
    {0},
};
static const struct opt_group group_run = {"Results", rows};

static const struct opt_use uses[] = {
    {&group_input, AT(input)},     {&group_shape, AT(input.sizes)}, {&group_run, 0},
    {&group_compare, AT(compare)}, {&group_engine, AT(engine)},     {&group_limits, AT(engine)},
    {&group_model, AT(model)},     {&group_report, AT(report)},     {0},
};

static void defaults(void *opts)
{
    struct run_opts *o = opts;
    engine_defaults(&o->engine);
    compare_defaults(&o->compare);
}

/* ---- setting up ---- */

static bool has_wildcard(const char *s)
{
    return strpbrk(s, "*?[") != NULL;
}

/* Values that --dump names outright. */
static const char **kept_values(const struct opt_list *dump)
{
    const char **names = xalloc((dump->n + 1) * sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < dump->n; i++)
        if (!has_wildcard(dump->v[i]))
            names[n++] = dump->v[i];
    return names;
}

static int no_dump(struct job *j, size_t i, const char *why)
{
    return cmd_usage(j->app, "--dump: '%s' %s%s", j->o->dump.v[i], why,
                     j->o->engine.level == OT_OPT_NONE ? "" : " (-O none computes every value of the file)");
}

static int open_session(struct job *j, const ot_values *first)
{
    struct ot_session_opts so = engine_session_opts(&j->o->engine);
    const char **fed = input_fed_defaults(j->m, first), **keep = kept_values(&j->o->dump);
    so.feed_defaults = fed;
    so.keep = keep;
    so.profile = j->o->profile;
    int rc = ot_session_new(j->app->ctx, j->m, &so, &j->s);
    j->m = NULL;
    input_free_names(fed);
    free(keep);
    if (rc)
        return cmd_fail(j->app, rc);
    if (j->o->dump.n || j->o->check_finite || j->o->trace)
        ot_session_watch(j->s, watch_step, j);
    for (size_t i = 0; i < j->o->dump.n; i++)
        if (!ot_session_makes(j->s, j->o->dump.v[i]))
            return no_dump(j, i, "matches no value of the model");
    return EXIT_DONE;
}

static int next_inputs(struct job *j, const ot_values **in)
{
    return j->nlinks ? steps_inputs(j, in) : ot_feed_get(j->app->ctx, j->feed, j->sample, in);
}

static int read_side_files(struct job *j)
{
    int code = read_labels(j);
    if (!code)
        code = read_truth(j);
    return code ? code : read_expected(j);
}

static bool is_archive(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".npz") == 0;
}

static int check_archive(struct job *j, const char *opt, const char *path)
{
    if (!path || j->samples < 2 || !is_archive(path))
        return EXIT_DONE;
    return cmd_usage(j->app, "--%s: %zu samples do not go into one archive: give a folder", opt, j->samples);
}

static int open_job(struct job *j)
{
    struct ot_load_opts lo = model_load_opts(&j->o->model);
    struct ot_feed_opts fo = input_feed_opts(&j->o->input);
    const ot_values *first = NULL;
    ot_ctx *c = j->app->ctx;
    int rc = ot_model_load(c, j->path, &lo, &j->m);
    if (!rc && (j->o->input.from.n || j->o->input.to.n))
        rc = ot_model_extract(c, j->m, j->o->input.from.v, j->o->input.to.v);
    int code = rc ? cmd_fail(j->app, rc) : steps_open(j);
    if (code)
        return code;
    const char **fills = steps_feed_opts(j, &fo);
    rc = ot_feed_new(c, j->m, &fo, &j->feed);
    if (!rc)
        rc = next_inputs(j, &first);
    free(fills);
    if (rc)
        return cmd_fail(j->app, rc);
    j->samples = ot_feed_count(j->feed);
    j->dump_hit = xalloc((j->o->dump.n + 1) * sizeof *j->dump_hit);
    code = steps_check(j, first);
    if (!code)
        code = compare_check_names(j->app, &j->o->compare, j->m);
    if (!code)
        code = check_archive(j, "save", j->o->save);
    if (!code)
        code = check_archive(j, "save-inputs", j->o->save_inputs);
    if (!code)
        code = read_side_files(j);
    return code ? code : open_session(j, first);
}

static void close_job(struct job *j)
{
    steps_close(j);
    ot_session_free(j->s);
    ot_feed_free(j->feed);
    ot_model_free(j->m);
    ot_values_free(j->dumped);
    ot_tensor_free(j->truth);
    for (size_t i = 0; i < j->nexpect; i++) {
        ot_values_free(j->expect[i].set);
        ot_tensor_free(j->expect[i].one);
        free(j->expect[i].name);
    }
    for (size_t i = 0; i < j->nlabels; i++)
        free((void *)(uintptr_t)j->labels[i]);
    for (size_t i = 0; i < j->nevents; i++) {
        free((void *)(uintptr_t)j->events[i].name);
        free((void *)(uintptr_t)j->events[i].op);
    }
    free(j->expect);
    free(j->labels);
    free(j->dump_hit);
    free(j->events);
}

/* ---- one sample ---- */

static int save_values(struct job *j, const ot_values *v, const char *path)
{
    char *sub = NULL;
    if (j->samples > 1) {
        size_t n = strlen(path);
        if (mkdir(path, 0777) && access(path, F_OK))
            return cmd_fail(j->app, ot_fail(j->app->ctx, EXIT_MACHINE, "%s: cannot be made", path));
        sub = xalloc(n + 48);
        snprintf(sub, n + 48, "%s/test_data_set_%zu", path, j->sample);
    }
    int rc = ot_values_write(j->app->ctx, v, sub ? sub : path);
    free(sub);
    return rc ? cmd_fail(j->app, rc) : EXIT_DONE;
}

static int save_outputs(struct job *j)
{
    ot_values *v;
    int rc = ot_session_outputs(j->app->ctx, j->s, &v);
    for (size_t i = 0; !rc && j->dumped && i < ot_values_count(j->dumped); i++)
        rc = ot_values_add(j->app->ctx, v, ot_values_name(j->dumped, i), ot_values_tensor(j->dumped, i));
    if (rc)
        return cmd_fail(j->app, rc);
    int code = save_values(j, v, j->o->save);
    ot_values_free(v);
    return code;
}

/* Samples beyond the first few are run and judged, not printed, unless asked (-v). */
enum { SHOWN_SAMPLES = 1 };

static bool shown(const struct job *j)
{
    return j->sample < SHOWN_SAMPLES || j->nlinks || j->app->verbose > 0;
}

static void begin_sample(struct job *j)
{
    js_obj(j->app->report, NULL);
    js_uint(j->app->report, "sample", j->sample);
    if (j->samples > 1 && shown(j))
        rp_title(j->app->report, "%s %zu of %zu", j->nlinks ? "step" : "sample", j->sample + 1, j->samples);
    ot_values_free(j->dumped);
    j->dumped = NULL;
    if (j->o->dump.n)
        ot_values_new(j->app->ctx, &j->dumped);
    j->last = ot_now();
}

static int after_sample(struct job *j)
{
    int code = EXIT_DONE;
    if (shown(j) || rp_json(j->app->report))
        show_outputs(j);
    if (j->o->save)
        code = cmd_worse(code, save_outputs(j));
    code = cmd_worse(code, judge(j));
    return cmd_worse(code, compare_outputs(j));
}

/* What was fed, and how the values that no file gave were made up. */
static void json_inputs(struct job *j, const ot_values *in)
{
    struct report *r = j->app->report;
    const ot_model *m = ot_session_model(j->s);
    char type[200];
    js_arr(r, "inputs");
    for (size_t i = 0; i < ot_model_ninputs(m); i++) {
        const char *name = ot_model_input(m, i)->name, *how = ot_feed_how(j->feed, i);
        const ot_tensor *t = ot_values_find(in, name);
        if (!t)
            continue;
        js_obj(r, NULL);
        js_str(r, "name", name);
        js_str(r, "type", ot_tensor_text(t, type, sizeof type));
        js_bool(r, "made_up", how != NULL);
        js_str(r, "how", how ? how : "from a file");
        js_end(r);
    }
    js_end(r);
}

static int run_sample(struct job *j)
{
    const ot_values *in;
    ot_ctx *c = j->app->ctx;
    int rc = next_inputs(j, &in), code = EXIT_DONE;
    if (rc)
        return cmd_fail(j->app, rc);
    begin_sample(j);
    rc = ot_session_run(c, j->s, in);
    while (rc && j->sample == 0 && ot_feed_retry(j->feed, rc) && !next_inputs(j, &in))
        rc = ot_session_run(c, j->s, in);
    if (j->sample == 0)
        input_notes(j->app, ot_session_model(j->s), j->feed, in);
    if (rc && ot_exit_code(rc) == EXIT_INPUT && j->sample == 0)
        input_open_note(j->app, ot_session_model(j->s), j->feed);
    json_inputs(j, in);
    if (j->o->save_inputs)
        code = save_values(j, in, j->o->save_inputs);
    if (rc && j->not_finite)
        code = cmd_worse(code, EXIT_FINDING);
    else
        code = cmd_worse(code, rc ? cmd_fail(j->app, rc) : after_sample(j));
    if (!rc && j->nlinks)
        code = cmd_worse(code, steps_keep(j));
    js_end(j->app->report);
    return code;
}

static int check_dumps(struct job *j)
{
    for (size_t i = 0; i < j->o->dump.n; i++)
        if (!j->dump_hit[i])
            return no_dump(j, i, "matches no value that was computed");
    return EXIT_DONE;
}

static int run_samples(struct job *j)
{
    int code = EXIT_DONE;
    js_arr(j->app->report, "samples");
    for (j->sample = 0; j->sample < j->samples && code <= EXIT_FINDING; j->sample++)
        code = cmd_worse(code, run_sample(j));
    js_end(j->app->report);
    return code;
}

/* A check that finds nothing says so. */
static void show_finite(struct job *j)
{
    if (!j->o->check_finite)
        return;
    js_bool(j->app->report, "all_finite", !j->not_finite);
    if (!j->not_finite)
        rp_row(j->app->report, "finite", "%s", rp_verdict(j->app->report, true, "all values are finite"));
}

static int run_model(struct app *app, const char *path)
{
    struct job j = {.app = app, .o = app->opts, .path = path};
    js_obj(app->report, NULL);
    js_str(app->report, "model", path);
    int code = open_job(&j);
    if (!code) {
        code = run_samples(&j);
        if (code <= EXIT_FINDING) {
            code = cmd_worse(code, check_dumps(&j));
            code = cmd_worse(code, show_accuracy(&j));
            show_finite(&j);
        }
        if (j.o->placement)
            show_placement(&j);
        if (j.o->profile)
            show_profile(&j);
        if (j.o->trace)
            code = cmd_worse(code, write_trace(&j));
    }
    if (code > EXIT_FINDING)
        js_str(app->report, "error", ot_error(app->ctx));
    js_end(app->report);
    close_job(&j);
    return code;
}

/* ---- what is asked for, before anything is read ---- */

/* Whether something can be written at path: what is there already, else the folder that it would stand in. */
static int check_place(struct app *app, const char *opt, const char *path, bool folder)
{
    struct stat st;
    char *dir = xdup(path);
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
        dir[n - 1] = '\0';
    char *slash = strrchr(dir, '/');
    bool there = stat(path, &st) == 0;
    if (there && folder != S_ISDIR(st.st_mode)) {
        free(dir);
        return cmd_usage(app, "--%s: %s is %s folder", opt, path, folder ? "no" : "a");
    }
    if (slash)
        slash[slash == dir] = '\0';
    const char *where = there ? path : slash ? dir : ".";
    int code = EXIT_DONE;
    if (access(where, W_OK))
        code = cmd_fail(app, ot_fail(app->ctx, EXIT_MACHINE, "--%s: %s cannot be written: %s: %s", opt, path,
                                     where, strerror(errno)));
    free(dir);
    return code;
}

/* "out.xyz" is more likely a file of a format that we do not write than a folder. */
static bool looks_like_file(const char *path)
{
    struct stat st;
    const char *name = strrchr(path, '/'), *dot = strrchr(name ? name + 1 : path, '.');
    return dot && dot[1] && !(stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

static int check_save(struct app *app, const char *opt, const char *path)
{
    if (!path)
        return EXIT_DONE;
    if (!is_archive(path) && looks_like_file(path))
        return cmd_usage(app, "--%s: %s is neither an .npz nor a folder; %s/ makes a folder of that name",
                         opt, path, path);
    return check_place(app, opt, path, !is_archive(path));
}

static int check_places(struct app *app, const struct run_opts *o)
{
    int code = check_save(app, "save", o->save);
    if (!code)
        code = check_save(app, "save-inputs", o->save_inputs);
    if (!code && o->trace)
        code = check_place(app, "trace", o->trace, false);
    return code;
}

static int check_options(struct app *app, const struct run_opts *o)
{
    const char *one = o->save ? "save" : o->save_inputs ? "save-inputs" : o->trace ? "trace" : NULL;
    if (o->dump.n && !o->save)
        return cmd_usage(app, "--dump needs --save PATH to put the values into");
    if (o->labels && !o->top)
        return cmd_usage(app, "--labels needs --top K");
    if (o->steps && !o->feedback.n)
        return cmd_usage(app, "--steps needs --feedback OUT=IN");
    if (!isnan(o->compare.min_top1) && !o->truth && !o->compare.expect.n)
        return cmd_usage(app, "--min-top1 needs --truth or --expect to know what is right");
    if (one && app->args.n > 1)
        return cmd_usage(app, "--%s takes one model, not %zu: the last one would be left", one, app->args.n);
    int code = compare_check(app, &o->compare, o->compare.expect.n > 0);
    return code ? code : check_places(app, o);
}

static int run(struct app *app)
{
    const struct run_opts *o = app->opts;
    int code = cmd_expand_models(app, &app->args);
    int wrong = check_options(app, o);
    if (wrong)
        return wrong;
    engine_limits(app, &o->engine);
    js_arr(app->report, "models");
    for (size_t i = 0; i < app->args.n; i++) {
        if (app->args.n > 1)
            rp_title(app->report, "%s", rp_name(app->report, app->args.v[i]));
        app->model = app->args.n > 1 ? app->args.v[i] : NULL;
        code = cmd_worse(code, run_model(app, app->args.v[i]));
    }
    app->model = NULL;
    js_end(app->report);
    return code;
}

static const char *const examples[] = {
    "onnxtool run model.onnx",
    "does it run? Inputs are made up",
    "onnxtool run model.onnx --input x=image.npy --top 5 --labels names.txt",
    "the five best classes of an image",
    "onnxtool run model.onnx --input test_data_set_0 --expect test_data_set_0",
    "does it give the stored outputs?",
    "onnxtool run model.onnx --input images.npy --truth labels.npy",
    "accuracy over a data set",
    "onnxtool run vad.onnx --feedback stateN=state --input input=chunks.npy",
    "a model with a state, chunk by chunk",
    "onnxtool run model.onnx --check-finite -O none",
    "which node makes the NaN?",
    NULL,
};

const struct cmd cmd_run = {
    .name = "run",
    .args = "MODEL...",
    .summary = "run a model and check what comes out",
    .finding = "an output differs from --expect, the accuracy is below --min-top1, or --check-finite found "
               "something",
    .about = "Runs models on inputs from files, or on made-up inputs that they take, and shows a summary of "
             "each output.\n\n"
             "Exit code 1 means that an output differs from --expect, that the accuracy is below --min-top1, "
             "or that --check-finite found something; 4 that the model is legal but has nodes that cannot "
             "run here, all of which are named.",
    .examples = examples,
    .uses = uses,
    .opts_size = sizeof(struct run_opts),
    .defaults = defaults,
    .report_at = AT(report),
    .formats = 1 << FORMAT_TEXT | 1 << FORMAT_JSON,
    .min_args = 1,
    .run = run,
};
