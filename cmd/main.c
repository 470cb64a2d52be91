/* onnxtool: the list of commands, and what is the same for all of them: exit codes, messages, signals. */
#include "cmd.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct cmd *const cmds[] = {
    &cmd_inspect, &cmd_check_opset, &cmd_run, &cmd_bench, NULL,
};

/* ---- messages ---- */

/* "onnxtool: ", and the model when there are several and the line does not begin with it. */
static void print_origin(const struct app *app, const char *line)
{
    char safe[2001];
    fputs("onnxtool: ", stderr);
    if (!app->model)
        return;
    ot_escape(safe, sizeof safe, app->model);
    if (strncmp(line, safe, strlen(safe)) != 0)
        fprintf(stderr, "%s: ", safe);
}

static void log_line(void *user, enum ot_log_level level, const char *line)
{
    static const char *const words[] = {"error: ", "warning: ", "", ""};
    print_origin(user, line);
    fprintf(stderr, "%s%s\n", words[level], line);
}

int cmd_fail(struct app *app, int status)
{
    print_origin(app, ot_error(app->ctx));
    fprintf(stderr, "%s\n", ot_error(app->ctx));
    if (app->report)
        rp_error(app->report, ot_error(app->ctx));
    return ot_exit_code(status);
}

int cmd_usage(struct app *app, const char *fmt, ...)
{
    char text[500], safe[2001];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ot_escape(safe, sizeof safe, text);
    int status = ot_fail(app->ctx, EXIT_USAGE, "%s", safe);
    cmd_fail(app, status);
    opt_synopsis(stderr, app->cmd);
    return EXIT_USAGE;
}

void cmd_note(struct app *app, const char *fmt, ...)
{
    if (app->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    print_origin(app, "");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

int cmd_worse(int a, int b)
{
    return a > b ? a : b;
}

/* ---- models in folders ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_model_name(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".onnx") == 0;
}

static int add_folder(struct app *app, const char *path, struct opt_list *out)
{
    DIR *d = opendir(path);
    if (!d)
        return cmd_fail(app, ot_fail(app->ctx, EXIT_INPUT, "%s: %s", path, strerror(errno)));
    size_t first = out->n;
    bool slash = *path && path[strlen(path) - 1] == '/';
    for (struct dirent *e; (e = readdir(d));) {
        if (!is_model_name(e->d_name))
            continue;
        char *file = xalloc(strlen(path) + strlen(e->d_name) + 2);
        sprintf(file, "%s%s%s", path, slash ? "" : "/", e->d_name);
        opt_list_add(out, file);
    }
    closedir(d);
    if (out->n == first)
        return cmd_fail(app, ot_fail(app->ctx, EXIT_INPUT, "%s: a folder without any .onnx file", path));
    qsort(out->v + first, out->n - first, sizeof *out->v, by_name);
    return EXIT_DONE;
}

int cmd_expand_models(struct app *app, struct opt_list *models)
{
    struct opt_list out = {0};
    int code = EXIT_DONE;
    for (size_t i = 0; i < models->n; i++) {
        struct stat st;
        if (stat(models->v[i], &st) || !S_ISDIR(st.st_mode)) {
            opt_list_add(&out, models->v[i]);
            continue;
        }
        code = cmd_worse(code, add_folder(app, models->v[i], &out));
        free((void *)(uintptr_t)models->v[i]);
    }
    free(models->v);
    *models = out;
    return code;
}

/* ---- signals ---- */

/* A reader that has seen enough is no failure. */
static void on_pipe(int sig)
{
    (void)sig;
    ot_cleanup();
    _exit(EXIT_DONE);
}

static void on_kill(int sig)
{
    ot_cleanup();
    signal(sig, SIG_DFL);
    raise(sig);
}

/* A mapped file that somebody cuts short while it is read. */
static void on_bus(int sig)
{
    static const char text[] = "onnxtool: a file became shorter while it was read\n";
    (void)sig;
    ot_cleanup();
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(EXIT_INPUT);
}

static void catch_signals(void)
{
    static const int kills[] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGXFSZ};
    signal(SIGPIPE, on_pipe);
    signal(SIGBUS, on_bus);
    for (size_t i = 0; i < sizeof kills / sizeof *kills; i++)
        /* What was ignored (nohup) stays so. */
        if (signal(kills[i], on_kill) == SIG_IGN)
            signal(kills[i], SIG_IGN);
}

/* ---- the options of onnxtool itself ---- */

struct top_opts {
    struct report_opts report;
    int list, generate; /* index of the choice; -1: not given */
};

enum { LIST_OPS, LIST_PROVIDERS, LIST_PASSES, LIST_TARGETS, LIST_MACHINE };
static const char *const list_names[] = {"ops", "providers", "passes", "targets", "machine", NULL};
static const char *const generate_names[] = {"man", "bash", "zsh", "fish", NULL};

#define TOP(field) offsetof(struct top_opts, field)

static const struct opt top_rows[] = {
    {"list", 0, OPT_CHOICE, TOP(list), .help = "what this program knows", .choices = list_names},
    {"generate", 0, OPT_CHOICE, TOP(generate), .help = "write manual pages or completions into DIR",
     .more = "DIR is made when it is missing. Without DIR all goes to standard output.",
     .choices = generate_names},
    {0},
};
static const struct opt_group group_top = {"About the tool", top_rows};
static const struct opt_use top_uses[] = {{&group_top, 0}, {&group_report, TOP(report)}, {0}};

static void top_defaults(void *opts)
{
    struct top_opts *o = opts;
    o->list = o->generate = -1;
}

static void list_ops(struct report *r)
{
    static const char *const heads[] = {"domain", "operator", "since", "newest", "runs", "types"};
    struct table *t = table_new(r, "llrrll", heads);
    js_arr(r, "operators");
    for (size_t i = 0, n = ot_op_count(); i < n; i++) {
        struct ot_op_info op;
        ot_op_info(i, &op);
        table_cell(t, "%s", op.domain);
        table_cell(t, "%s", op.name);
        table_int(t, op.since);
        table_int(t, op.newest);
        table_cell(t, "%s", op.runnable ? "yes" : "no");
        table_cell(t, "%s", op.types);
        js_obj(r, NULL);
        js_str(r, "domain", op.domain);
        js_str(r, "name", op.name);
        js_int(r, "since", op.since);
        js_int(r, "newest", op.newest);
        js_bool(r, "runs", op.runnable);
        js_str(r, "types", op.types);
        js_end(r);
    }
    js_end(r);
    table_end(t);
}

static void list_items(struct report *r, const char *kind)
{
    static const char *const heads[] = {"name", "what it is"};
    struct table *t = table_new(r, "ll", heads);
    const struct ot_list_item *item;
    js_arr(r, kind);
    for (size_t i = 0; (item = ot_list(kind, i)); i++) {
        table_cell(t, "%s", item->name);
        table_cell(t, "%s", item->what);
        js_obj(r, NULL);
        js_str(r, "name", item->name);
        js_str(r, "what", item->what);
        js_end(r);
    }
    js_end(r);
    table_end(t);
}

/* The ceilings are measured here and now: half a second. */
static int list_machine(struct app *app)
{
    struct report *r = app->report;
    rp_row(r, "processor", "%s", ot_machine());
    rp_row(r, "kernels", "%s", ot_isa());
    rp_row(r, "cores", "%d that this process may use", ot_cores());
    struct ot_ceilings one, all;
    int rc = ot_ceilings(app->ctx, 1, NULL, &one);
    if (!rc)
        rc = ot_ceilings(app->ctx, 0, NULL, &all);
    if (rc)
        return cmd_fail(app, rc);
    rp_row(r, "multiply-adds", "%.0f GFLOP/s single precision on one thread, %.0f on %d", one.flops / 1e9,
           all.flops / 1e9, ot_cores());
    rp_row(r, "memory", "%.1f GB/s read by one thread, %.1f by %d", one.bytes / 1e9, all.bytes / 1e9,
           ot_cores());
    js_obj(r, "machine");
    js_str(r, "processor", ot_machine());
    js_str(r, "kernels", ot_isa());
    js_int(r, "cores", ot_cores());
    js_num(r, "gflops_1_thread", one.flops / 1e9);
    js_num(r, "gflops_all_threads", all.flops / 1e9);
    js_num(r, "read_gb_per_s_1_thread", one.bytes / 1e9);
    js_num(r, "read_gb_per_s_all_threads", all.bytes / 1e9);
    js_end(r);
    return EXIT_DONE;
}

/* Runtimes that check-opset knows, and providers of ONNX Runtime. */
static int list_targets(struct app *app)
{
    static const char *const heads[] = {"name", "kind", "releases", "remark"};
    struct report *r = app->report;
    struct ot_runtime t;
    ot_facts *facts;
    int rc = ot_facts_new(app->ctx, NULL, &facts);
    if (rc)
        return cmd_fail(app, rc);
    struct table *rows = table_new(r, "llll", heads);
    js_str(r, "date", ot_facts_date(facts));
    js_arr(r, "targets");
    for (size_t i = 0; ot_facts_runtime(facts, i, &t); i++) {
        const char *kind = t.provider ? "provider" : "target";
        const char *span = *t.oldest ? rp_str(r, "%s to %s", t.oldest, t.newest) : "";
        table_cell(rows, "%s%s%s", t.name, *t.aliases ? ", " : "", t.aliases);
        table_cell(rows, "%s", kind);
        table_cell(rows, "%s", span);
        table_cell(rows, "%s", *t.remark ? t.remark : t.list ? "an operator list" : "");
        js_obj(r, NULL);
        js_str(r, "name", t.name);
        js_str(r, "kind", kind);
        js_str(r, "oldest", *t.oldest ? t.oldest : NULL);
        js_str(r, "newest", *t.newest ? t.newest : NULL);
        js_bool(r, "list", t.list);
        js_end(r);
    }
    js_end(r);
    table_end(rows);
    ot_facts_free(facts);
    return EXIT_DONE;
}

static int top_run(struct app *app)
{
    const struct top_opts *o = app->opts;
    if (o->generate >= 0)
        return gen_write(app, generate_names[o->generate], app->args.n ? app->args.v[0] : NULL);
    if (o->list < 0 || app->args.n)
        return cmd_usage(app, app->args.n ? "'%s' is no command" : "no command",
                         app->args.n ? app->args.v[0] : "");
    if (o->list == LIST_OPS)
        list_ops(app->report);
    else if (o->list == LIST_TARGETS)
        return list_targets(app);
    else if (o->list == LIST_MACHINE)
        return list_machine(app);
    else
        list_items(app->report, list_names[o->list]);
    return EXIT_DONE;
}

const struct cmd cmd_top = {
    .name = NULL,
    .args = "COMMAND [OPTION]... MODEL...",
    .summary = "see what is in ONNX models, run and check them",
    .about = "Looks into ONNX models, runs them and checks what they answer, from one binary.",
    .uses = top_uses,
    .opts_size = sizeof(struct top_opts),
    .defaults = top_defaults,
    .report_at = TOP(report),
    .formats = 1 << FORMAT_TEXT | 1 << FORMAT_JSON | 1 << FORMAT_CSV | 1 << FORMAT_MARKDOWN,
    .max_args = 1,
    .run = top_run,
};

/* ---- running a command ---- */

static void print_version(FILE *f)
{
    fprintf(f, "onnxtool %s\n", ot_version());
    fputs("libraries    ", f);
    const struct ot_list_item *item;
    for (size_t i = 0; (item = ot_library(i)); i++)
        fprintf(f, "%s%s %s", i ? ", " : "", item->name, item->what);
    fprintf(f, "\nprocessor    %s, kernels for %s\n", ot_machine(), ot_isa());
    fprintf(f, "newest opset %d\nruntimes     tables of %s\n", ot_newest_opset(), ot_tables_date());
}

static bool use_color(const struct report_opts *o)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (o->color != COLOR_AUTO)
        return o->color == COLOR_ALWAYS;
    return isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static void set_log_level(struct app *app)
{
    enum ot_log_level most = app->quiet          ? OT_LOG_ERROR
                             : app->verbose == 0 ? OT_LOG_WARN
                             : app->verbose == 1 ? OT_LOG_INFO
                                                 : OT_LOG_DEBUG;
    ot_set_log(app->ctx, log_line, app, most);
}

/* Flushes standard output; the exit code when that fails is the machine's, unless the reader went away. */
static int close_output(bool written, int code)
{
    if (written)
        return code;
    if (errno == EPIPE)
        return EXIT_DONE;
    fprintf(stderr, "onnxtool: standard output: %s\n", strerror(errno));
    return EXIT_MACHINE;
}

static int check_args(struct app *app)
{
    const struct cmd *cmd = app->cmd;
    if (app->args.n < cmd->min_args)
        return cmd_usage(app, "%s missing", cmd->args);
    if (cmd->max_args && app->args.n > cmd->max_args && cmd != &cmd_top)
        return cmd_usage(app, "one argument too many: '%s'", app->args.v[cmd->max_args]);
    return EXIT_DONE;
}

static void open_report(struct app *app, enum format format, bool color)
{
    app->report = report_new(stdout, format, color, app->cmd->name ? app->cmd->name : "onnxtool");
}

static int run_parsed(struct app *app)
{
    const struct cmd *cmd = app->cmd;
    const struct report_opts *ro = (const void *)((char *)app->opts + cmd->report_at);
    if (ro->help || ro->short_help) {
        opt_help(stdout, cmd, ro->help);
        return close_output(fflush(stdout) == 0, EXIT_DONE);
    }
    if (ro->version) {
        print_version(stdout);
        return close_output(fflush(stdout) == 0, EXIT_DONE);
    }
    app->quiet = ro->quiet;
    app->verbose = ro->verbose;
    set_log_level(app);
    open_report(app, ro->json ? FORMAT_JSON : (enum format)ro->format, use_color(ro));
    int code = check_args(app);
    if (!code)
        code = cmd->run(app);
    return close_output(report_end(app->report, code), code);
}

/* Whether the command line asks for JSON, though it has a mistake somewhere. */
static bool asks_for_json(int argc, const char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--format=json") == 0 ||
            (strcmp(argv[i], "--format") == 0 && i + 1 < argc && strcmp(argv[i + 1], "json") == 0))
            return true;
    return false;
}

/* The usage error of opt_parse; a JSON document like every other failure when that was asked for. */
static int wrong_options(struct app *app, int status, int argc, const char **argv)
{
    if (asks_for_json(argc, argv))
        open_report(app, FORMAT_JSON, false);
    int code = cmd_fail(app, status);
    opt_synopsis(stderr, app->cmd);
    return app->report ? close_output(report_end(app->report, code), code) : code;
}

static int run_cmd(const struct cmd *cmd, int argc, const char **argv)
{
    /* Options and their strings last as long as the program: nothing frees them one by one. */
    static struct app app;
    app = (struct app){.cmd = cmd, .ctx = ot_ctx_new(), .opts = xalloc(cmd->opts_size)};
    if (!app.ctx) {
        fputs("onnxtool: out of memory\n", stderr);
        return EXIT_MACHINE;
    }
    if (cmd->defaults)
        cmd->defaults(app.opts);
    int code = opt_parse(app.ctx, cmd, argc, argv, app.opts, &app.args);
    if (code) {
        code = wrong_options(&app, code, argc, argv);
    } else {
        code = run_parsed(&app);
    }
    ot_ctx_free(app.ctx);
    return code;
}

static const struct cmd *find_cmd(const char *name)
{
    for (const struct cmd *const *p = cmds; *p; p++)
        if (strcmp((*p)->name, name) == 0)
            return *p;
    return NULL;
}

static int unknown_cmd(const char *name)
{
    const char *names[64];
    char safe[400];
    size_t n = 0;
    for (const struct cmd *const *p = cmds; *p; p++)
        names[n++] = (*p)->name;
    const char *near = ot_nearest(name, names, n);
    ot_escape(safe, sizeof safe, name);
    if (near)
        fprintf(stderr, "onnxtool: '%s' is no command; did you mean %s?\n", safe, near);
    else
        fprintf(stderr, "onnxtool: '%s' is no command; onnxtool --help lists them\n", safe);
    return EXIT_USAGE;
}

/* The first argument that is a command's name is the command; options may stand before it. */
static const struct cmd *take_cmd(int *argc, const char **argv)
{
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const struct cmd *cmd = find_cmd(argv[i]);
        if (!cmd)
            continue;
        memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
        --*argc;
        return cmd;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char **args = xalloc(((size_t)argc + 2) * sizeof *args);
    memcpy(args, argv, (size_t)argc * sizeof *args);
    catch_signals();
    int code;
    if (argc < 2) {
        opt_help(stderr, &cmd_top, false);
        code = EXIT_USAGE;
    } else if (strcmp(args[1], "help") == 0) {
        args[1] = "--help";
        const struct cmd *cmd = take_cmd(&argc, args);
        code = !cmd && argc > 2 ? unknown_cmd(args[2]) : run_cmd(cmd ? cmd : &cmd_top, argc, args);
    } else if (args[1][0] != '-' && !find_cmd(args[1])) {
        code = unknown_cmd(args[1]);
    } else {
        const struct cmd *cmd = take_cmd(&argc, args);
        code = run_cmd(cmd ? cmd : &cmd_top, argc, args);
    }
    free(args);
    return code;
}
