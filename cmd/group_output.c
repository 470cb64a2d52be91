/* Options about what comes out: a written model, and the report. */
#include "cmd.h"

static const char *const external_names[] = {"auto", "always", "never", NULL};
static const char *const format_names[] = {"text", "json", "csv", "markdown", "dot", NULL};
static const char *const color_names[] = {"auto", "always", "never", NULL};

#define OUT(field) offsetof(struct output_opts, field)

static const struct opt output_rows[] = {
    {"output", 'o', OPT_STRING, OUT(output), .arg = "FILE", .help = "where the model goes",
     .more = "May be the input itself: the model is written aside, then renamed. - is standard output; "
             "the report then goes to standard error.",
     .complete = OPT_FILE},
    {"external", 0, OPT_CHOICE, OUT(external), .help = "weights in a file of their own",
     .more = "auto keeps what is external external, and moves weights out of a file that would reach 2 GiB.",
     .choices = external_names},
    {"external-threshold", 0, OPT_SIZE, OUT(threshold), .arg = "SIZE",
     .help = "smallest tensor that goes external", .more = "1024 bytes by default."},
    {0},
};

const struct opt_group group_output = {"Writing the model", output_rows};

#define REP(field) offsetof(struct report_opts, field)

static const struct opt report_rows[] = {
    {"format", 0, OPT_CHOICE, REP(format), .help = "how the report looks", .choices = format_names},
    {"json", 0, OPT_FLAG, REP(json), .help = "short for --format json",
     .more = "One document, complete also when the exit code is not 0. Integers are exact; NaN and "
             "infinities are strings; units are in the names of the keys."},
    {"quiet", 'q', OPT_FLAG, REP(quiet), .help = "no notes and warnings on standard error"},
    {"verbose", 'v', OPT_COUNT, REP(verbose), .help = "more of them; twice: still more"},
    {"color", 0, OPT_CHOICE, REP(color), .help = "colours in text",
     .more = "auto, the default, uses them on a terminal unless the environment has NO_COLOR.",
     .choices = color_names},
    {"help", 0, OPT_FLAG, REP(help), .help = "this text; -h for a shorter one"},
    {"short-help", 'h', OPT_FLAG, REP(short_help), .help = "one line an option"},
    {"version", 'V', OPT_FLAG, REP(version), .help = "version, libraries, processor, newest opset"},
    {0},
};

const struct opt_group group_report = {"Report", report_rows};
