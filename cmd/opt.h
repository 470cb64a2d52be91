/* Options as data. One row of a table is an option; the parser (popt), the help texts, the manual pages and
 * the completions are all made from the rows, so they cannot disagree.
 *
 * Rows stand in groups, a group fills one struct: a row says at which offset. A command lists the groups it
 * takes and where their structs lie in its own. Rules for all: an option never has an optional argument,
 * options may stand anywhere, "--" ends them, --no-X is a row of its own, numbers are decimal and whole. */
#ifndef CMD_OPT_H
#define CMD_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "onnxtool.h"

/* What a row's argument is, and so what stands at its offset. */
enum opt_type {
    OPT_FLAG,   /* no argument: bool, set to true */
    OPT_CLEAR,  /* no argument: bool, set to false (a --no-X row) */
    OPT_SET,    /* no argument: int, set to the row's lo */
    OPT_COUNT,  /* no argument: int, one more each time */
    OPT_STRING, /* const char *; the last one counts */
    OPT_LIST,   /* struct opt_list; repeatable, in the order given */
    OPT_COMMAS, /* struct opt_list; repeatable, each a list separated by commas */
    OPT_INT,    /* int64_t between lo and hi */
    OPT_NUMBER, /* double between lo and hi */
    OPT_SIZE,   /* uint64_t bytes, with K, M or G for powers of 1024 */
    OPT_CHOICE, /* int: index into the row's choices */
};

/* What completion offers for an argument. */
enum opt_complete { OPT_ANY, OPT_FILE, OPT_DIR };

struct opt {
    const char *name; /* long name without dashes; NULL ends a table */
    char key;         /* short name; 0: none */
    enum opt_type type;
    size_t at;                  /* offset in the struct of the group */
    const char *arg;            /* how help calls the argument; NULL: choices, joined by | */
    const char *help;           /* one line, no full stop */
    const char *more;           /* further sentences for --help and the manual page; NULL: none */
    const char *const *choices; /* OPT_CHOICE: NULL-terminated */
    double lo, hi;              /* OPT_INT, OPT_NUMBER: both 0 means 0 and up */
    enum opt_complete complete;
};

/* Zeroed is empty. v is NULL-terminated, or NULL when there is none. */
struct opt_list {
    const char **v;
    size_t n;
};

struct opt_group {
    const char *title;
    const struct opt *rows;
};

/* A group as a command takes it: its struct is at this offset of the command's struct. */
struct opt_use {
    const struct opt_group *group;
    size_t at;
};

struct cmd;

/* Fills the command's struct (zeroed, defaults set, by the caller) and gives the other arguments as a list.
 * OT_OK, or the status of a usage error set in c. Strings last as long as the program. */
int opt_parse(ot_ctx *c, const struct cmd *cmd, int argc, const char **argv, void *opts,
              struct opt_list *rest);
/* Appends to a list; memory is the program's. */
void opt_list_add(struct opt_list *l, const char *s);

/* Calls fn for every row of the command, in order. */
typedef void opt_row_fn(void *user, const struct cmd *cmd, const struct opt_group *g, const struct opt *o);
void opt_each(const struct cmd *cmd, opt_row_fn *fn, void *user);
/* Whether the row takes an argument. */
bool opt_has_arg(const struct opt *o);
/* Whether the command knows choice i of the row (formats differ from command to command). */
bool opt_choice_ok(const struct cmd *cmd, const struct opt *o, size_t i);
/* "FILE", or "text|json" for choices, into buf; returns buf. */
const char *opt_arg_text(const struct cmd *cmd, const struct opt *o, char *buf, size_t size);

/* "usage: onnxtool inspect [OPTION]... MODEL..." */
void opt_synopsis(FILE *f, const struct cmd *cmd);
/* The help text. full: with the further sentences. */
void opt_help(FILE *f, const struct cmd *cmd, bool full);

#endif
