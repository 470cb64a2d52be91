/* What the files of the command line share: the command row, the running command, the shared option groups.
 *
 * A subcommand is one row in main.c and one file: a struct of its options, its own option table, and a run
 * function that reads like its help. It parses nothing and formats no error: it returns an exit code, made
 * by cmd_fail() where a library call failed. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "opt.h"
#include "report.h"

/* Exit codes; ot_exit_code() gives them for a status. */
enum exit_code { EXIT_DONE, EXIT_FINDING, EXIT_USAGE, EXIT_INPUT, EXIT_UNSUPPORTED, EXIT_MACHINE };

/* A command that runs. */
struct app {
    const struct cmd *cmd;
    ot_ctx *ctx;
    struct report *report; /* where results go; made from the report options */
    void *opts;            /* the command's struct */
    struct opt_list args;  /* the other arguments */
    const char *model;     /* the one at work, where there are several: messages name it; else NULL */
    bool quiet;
    int verbose;
};

struct cmd {
    const char *name;
    const char *args;             /* synopsis of the arguments: "MODEL..." */
    const char *summary;          /* half a line for the list of commands */
    const char *about;            /* paragraphs for help and the manual page, apart by an empty line */
    const char *finding;          /* what exit code 1 means, without a full stop */
    const char *const *examples;  /* command line, explanation, ..., NULL */
    const struct opt_use *uses;   /* groups of options; a NULL group ends them */
    size_t opts_size;             /* of the command's struct, which begins zeroed */
    void (*defaults)(void *opts); /* NULL: all zero */
    size_t report_at;             /* where struct report_opts lies in it */
    unsigned formats;             /* 1 << FORMAT_x of those that --format takes */
    size_t min_args, max_args;    /* max 0: any number */
    int (*run)(struct app *app);  /* returns the exit code */
};

extern const struct cmd cmd_inspect;
extern const struct cmd cmd_check_opset;
extern const struct cmd cmd_run;
extern const struct cmd cmd_bench;

/* All commands, NULL-terminated. */
extern const struct cmd *const cmds[];
/* The options of onnxtool itself. */
extern const struct cmd cmd_top;

/* Prints the context's error to stderr (and remembers it for the report); returns its exit code. */
int cmd_fail(struct app *app, int status);
/* A usage error of the command's own: prints it with the synopsis; returns EXIT_USAGE. */
int cmd_usage(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line on stderr, dropped under --quiet. */
void cmd_note(struct app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The higher code. */
int cmd_worse(int a, int b);
/* Replaces every folder among the arguments by the *.onnx files in it, sorted. Exit code, 0 when all is
 * well. */
int cmd_expand_models(struct app *app, struct opt_list *models);

/* ---- option groups: what several commands share is spelled and parsed once ---- */

/* How a model is read (group_model.c). */
struct model_opts {
    const char *external_dir;
    bool allow_links;
};
extern const struct opt_group group_model;
struct ot_load_opts model_load_opts(const struct model_opts *o);

/* Sizes of what a model leaves open (group_model.c). */
struct shape_opts {
    struct opt_list dims, shapes; /* as struct ot_feed_opts takes them */
};
extern const struct opt_group group_shape;

/* How a model is written (group_output.c). */
struct output_opts {
    const char *output;
    int external; /* enum ot_external */
    uint64_t threshold;
};
extern const struct opt_group group_output;

/* How results are shown (group_output.c); every command takes it. */
struct report_opts {
    int format; /* enum format */
    bool json, quiet;
    int verbose;
    int color; /* enum color_mode */
    bool help, short_help, version;
};
extern const struct opt_group group_report;

/* gen.c: writes manual pages or completions. what: "man", "bash", "zsh", "fish"; dir NULL: standard output.
 * Exit code. */
int gen_write(struct app *app, const char *what, const char *dir);

#endif
