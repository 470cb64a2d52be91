/* Option rows to popt tables, and back into the structs of the command. popt splits the command line, nothing
 * more: values are read here, so that every option of a type takes the same spellings. */
#include "opt.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

void opt_list_add(struct opt_list *l, const char *s)
{
    l->v = xgrow(l->v, (l->n + 2) * sizeof *l->v);
    l->v[l->n++] = s;
    l->v[l->n] = NULL;
}

bool opt_has_arg(const struct opt *o)
{
    return o->type > OPT_COUNT;
}

bool opt_choice_ok(const struct cmd *cmd, const struct opt *o, size_t i)
{
    /* Of the formats a command takes those that it can write. */
    return strcmp(o->name, "format") != 0 || (cmd->formats >> i & 1);
}

void opt_each(const struct cmd *cmd, opt_row_fn *fn, void *user)
{
    for (const struct opt_use *u = cmd->uses; u->group; u++)
        for (const struct opt *o = u->group->rows; o->name; o++)
            fn(user, cmd, u->group, o);
}

const char *opt_arg_text(const struct cmd *cmd, const struct opt *o, char *buf, size_t size)
{
    size_t n = 0;
    snprintf(buf, size, "%s", o->arg ? o->arg : "");
    if (o->arg || !o->choices)
        return buf;
    for (size_t i = 0; o->choices[i] && n < size; i++)
        if (opt_choice_ok(cmd, o, i))
            n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? "|" : "", o->choices[i]);
    return buf;
}

/* ---- values ---- */

struct row {
    const struct opt *opt;
    char *base; /* struct of its group */
};

struct rows {
    struct row *v;
    size_t n;
};

static struct rows collect_rows(const struct cmd *cmd, void *opts)
{
    struct rows r = {0};
    for (const struct opt_use *u = cmd->uses; u->group; u++) {
        for (const struct opt *o = u->group->rows; o->name; o++) {
            r.v = xgrow(r.v, (r.n + 1) * sizeof *r.v);
            r.v[r.n++] = (struct row){o, (char *)opts + u->at};
        }
    }
    return r;
}

static int bad_value(ot_ctx *c, const struct opt *o, const char *text, const char *want)
{
    return ot_fail(c, EXIT_USAGE, "--%s: '%s' is not %s", o->name, text, want);
}

/* What the bounds say, for messages. */
static const char *range_text(const struct opt *o, const char *kind, char *buf, size_t size)
{
    if (o->lo == o->hi)
        snprintf(buf, size, "%s of 0 or more", kind);
    else if (isinf(o->hi))
        snprintf(buf, size, "%s of %.10g or more", kind, o->lo);
    else
        snprintf(buf, size, "%s from %.10g to %.10g", kind, o->lo, o->hi);
    return buf;
}

static bool in_range(const struct opt *o, double v)
{
    return o->lo == o->hi ? v >= 0 : v >= o->lo && v <= o->hi;
}

static int read_int(ot_ctx *c, const struct opt *o, const char *text, int64_t *out)
{
    char want[80], *end;
    const char *digits = text + (*text == '-');
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*digits) || *end || errno || !in_range(o, (double)v))
        return bad_value(c, o, text, range_text(o, "a whole number", want, sizeof want));
    *out = v;
    return OT_OK;
}

static int read_number(ot_ctx *c, const struct opt *o, const char *text, double *out)
{
    char want[80], *end;
    double v = strtod(text, &end);
    /* No hexadecimal, no "inf", no "nan", no leading blanks. */
    if (!*text || text[strspn(text, "0123456789.eE+-")] || *end || !isfinite(v) || !in_range(o, v))
        return bad_value(c, o, text, range_text(o, "a decimal number", want, sizeof want));
    *out = v;
    return OT_OK;
}

static int read_size(ot_ctx *c, const struct opt *o, const char *text, uint64_t *out)
{
    static const char units[] = "KMG";
    const char *const want = "a size: a whole number, with K, M or G behind it for powers of 1024";
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || errno)
        return bad_value(c, o, text, want);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (*end && (!unit || end[1]))
        return bad_value(c, o, text, want);
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (v > UINT64_MAX >> shift)
        return ot_fail(c, EXIT_USAGE, "--%s: '%s' is too large", o->name, text);
    *out = v << shift;
    return OT_OK;
}

static int read_choice(ot_ctx *c, const struct cmd *cmd, const struct opt *o, const char *text, int *out)
{
    const char *known[32];
    char all[200];
    size_t n = 0;
    for (size_t i = 0; o->choices[i]; i++) {
        if (!opt_choice_ok(cmd, o, i))
            continue;
        if (strcmp(text, o->choices[i]) == 0) {
            *out = (int)i;
            return OT_OK;
        }
        if (n < sizeof known / sizeof *known)
            known[n++] = o->choices[i];
    }
    const char *near = ot_nearest(text, known, n);
    struct opt plain = *o;
    plain.arg = NULL;
    if (near)
        return ot_fail(c, EXIT_USAGE, "--%s: '%s' is none of %s; did you mean %s?", o->name, text,
                       opt_arg_text(cmd, &plain, all, sizeof all), near);
    return ot_fail(c, EXIT_USAGE, "--%s: '%s' is none of %s", o->name, text,
                   opt_arg_text(cmd, &plain, all, sizeof all));
}

static int add_commas(ot_ctx *c, const struct opt *o, const char *text, struct opt_list *l)
{
    char *copy = xdup(text), *rest = copy, *item;
    while ((item = strsep(&rest, ","))) {
        if (!*item)
            return ot_fail(c, EXIT_USAGE, "--%s: '%s' has an empty item", o->name, text);
        opt_list_add(l, item);
    }
    return OT_OK;
}

static int set_value(ot_ctx *c, const struct cmd *cmd, const struct row *r, const char *text)
{
    const struct opt *o = r->opt;
    void *at = r->base + o->at;
    switch (o->type) {
    case OPT_FLAG:
        *(bool *)at = true;
        return OT_OK;
    case OPT_CLEAR:
        *(bool *)at = false;
        return OT_OK;
    case OPT_SET:
        *(int *)at = (int)o->lo;
        return OT_OK;
    case OPT_COUNT:
        ++*(int *)at;
        return OT_OK;
    case OPT_STRING:
        *(const char **)at = text;
        return OT_OK;
    case OPT_LIST:
        opt_list_add(at, text);
        return OT_OK;
    case OPT_COMMAS:
        return add_commas(c, o, text, at);
    case OPT_INT:
        return read_int(c, o, text, at);
    case OPT_NUMBER:
        return read_number(c, o, text, at);
    case OPT_SIZE:
        return read_size(c, o, text, at);
    case OPT_CHOICE:
        return read_choice(c, cmd, o, text, at);
    }
    return OT_OK;
}

/* Sets the row's value from popt's string, which is freed unless the value points at it. */
static int take_value(ot_ctx *c, const struct cmd *cmd, const struct row *r, char *text)
{
    int rc = set_value(c, cmd, r, text);
    if (r->opt->type != OPT_STRING && r->opt->type != OPT_LIST)
        free(text);
    return rc;
}

/* ---- parsing ---- */

/* "--sedd 3": the option that was likely meant. bad: as popt gives it, dashes and perhaps "=..." included. */
static int unknown_option(ot_ctx *c, const struct cmd *cmd, const struct rows *rows, const char *bad)
{
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < rows->n && n < sizeof names / sizeof *names; i++)
        names[n++] = rows->v[i].opt->name;
    char *word = xdup(bad + strspn(bad, "-"));
    word[strcspn(word, "=")] = '\0';
    const char *near = strncmp(bad, "--", 2) == 0 ? ot_nearest(word, names, n) : NULL;
    const char *of = cmd->name ? cmd->name : "onnxtool";
    free(word);
    if (near)
        return ot_fail(c, EXIT_USAGE, "%s has no option %s; did you mean --%s?", of, bad, near);
    return ot_fail(c, EXIT_USAGE, "%s has no option %s; --help lists them", of, bad);
}

static int popt_failure(ot_ctx *c, const struct cmd *cmd, const struct rows *rows, poptContext pc, int rc)
{
    const char *bad = poptBadOption(pc, POPT_BADOPTION_NOALIAS);
    if (rc == POPT_ERROR_BADOPT)
        return unknown_option(c, cmd, rows, bad);
    if (rc == POPT_ERROR_NOARG)
        return ot_fail(c, EXIT_USAGE, "%s needs a value", bad);
    if (rc == POPT_ERROR_UNWANTEDARG)
        return ot_fail(c, EXIT_USAGE, "%s takes no value", bad);
    return ot_fail(c, EXIT_USAGE, "%s: %s", bad, poptStrerror(rc));
}

/* val of row i is i + 1: popt gives it back for each option that it meets. */
static struct poptOption *popt_table(const struct rows *rows)
{
    struct poptOption *t = xalloc((rows->n + 1) * sizeof *t);
    for (size_t i = 0; i < rows->n; i++) {
        const struct opt *o = rows->v[i].opt;
        t[i] = (struct poptOption){.longName = o->name,
                                   .shortName = o->key,
                                   .argInfo = opt_has_arg(o) ? POPT_ARG_STRING : POPT_ARG_NONE,
                                   .val = (int)i + 1};
    }
    return t;
}

int opt_parse(ot_ctx *c, const struct cmd *cmd, int argc, const char **argv, void *opts,
              struct opt_list *rest)
{
    struct rows rows = collect_rows(cmd, opts);
    struct poptOption *table = popt_table(&rows);
    poptContext pc = poptGetContext(NULL, argc, argv, table, 0);
    int val, rc = OT_OK;
    while (!rc && (val = poptGetNextOpt(pc)) != -1) {
        if (val < 0)
            rc = popt_failure(c, cmd, &rows, pc, val);
        else
            rc = take_value(c, cmd, &rows.v[val - 1], poptGetOptArg(pc));
    }
    const char *arg;
    while (!rc && (arg = poptGetArg(pc)))
        opt_list_add(rest, xdup(arg));
    poptFreeContext(pc);
    free(table);
    free(rows.v);
    return rc;
}

/* ---- help ---- */

void opt_synopsis(FILE *f, const struct cmd *cmd)
{
    if (cmd->name)
        fprintf(f, "usage: onnxtool %s [OPTION]... %s\n", cmd->name, cmd->args);
    else
        fprintf(f, "usage: onnxtool %s\n       onnxtool --list WHAT\n       onnxtool --generate WHAT [DIR]\n",
                cmd->args);
}

enum { HELP_COLUMN = 32, HELP_WIDTH = 100 };

/* Words of text, broken at HELP_WIDTH, lines after the first indented; col: where the cursor is. */
static void print_words(FILE *f, const char *text, size_t len, int indent)
{
    int col = indent;
    for (const char *end = text + len; text < end;) {
        size_t word = strcspn(text, " \n");
        word = word < (size_t)(end - text) ? word : (size_t)(end - text);
        if (col > indent && col + 1 + (int)word > HELP_WIDTH) {
            fprintf(f, "\n%*s", indent, "");
            col = indent;
        } else if (col > indent) {
            fputc(' ', f);
            col++;
        }
        fprintf(f, "%.*s", (int)word, text);
        col += (int)word;
        text += word + strspn(text + word, " \n");
    }
    fputc('\n', f);
}

/* Paragraphs, apart by an empty line; the first alone unless all is true. The cursor is at indent. */
static void print_wrapped(FILE *f, const char *text, int indent, bool all)
{
    for (;;) {
        const char *end = strstr(text, "\n\n");
        print_words(f, text, end ? (size_t)(end - text) : strlen(text), indent);
        if (!end || !all)
            return;
        text = end + 2;
        fprintf(f, "\n%*s", indent, "");
    }
}

struct help {
    FILE *f;
    bool full;
    const struct opt_group *group; /* of the row before */
};

static void help_row(void *user, const struct cmd *cmd, const struct opt_group *g, const struct opt *o)
{
    struct help *h = user;
    char left[200], arg[160];
    if (g != h->group)
        fprintf(h->f, "\n%s:\n", g->title);
    h->group = g;
    opt_arg_text(cmd, o, arg, sizeof arg);
    int n = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", o->key ? '-' : ' ', o->key ? o->key : ' ',
                     o->key ? "," : " ", o->name, *arg ? " " : "", arg);
    fprintf(h->f, "%s", left);
    if (n >= HELP_COLUMN)
        fprintf(h->f, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(h->f, "%*s", HELP_COLUMN - n, "");
    print_wrapped(h->f, o->help, HELP_COLUMN, true);
    if (h->full && o->more) {
        fprintf(h->f, "%*s", HELP_COLUMN, "");
        print_wrapped(h->f, o->more, HELP_COLUMN, true);
    }
}

static void help_commands(FILE *f)
{
    fprintf(f, "\nCommands:\n");
    for (const struct cmd *const *p = cmds; *p; p++)
        fprintf(f, "  %-13s %s\n", (*p)->name, (*p)->summary);
}

void opt_help(FILE *f, const struct cmd *cmd, bool full)
{
    opt_synopsis(f, cmd);
    fputc('\n', f);
    print_wrapped(f, cmd->about, 0, full);
    if (!cmd->name)
        help_commands(f);
    struct help h = {f, full, NULL};
    opt_each(cmd, help_row, &h);
    if (cmd->examples && cmd->examples[0]) {
        fprintf(f, "\nExamples:\n");
        for (const char *const *e = cmd->examples; e[0]; e += 2)
            fprintf(f, "  %s\n      %s\n", e[0], e[1]);
    }
    if (!cmd->name)
        fprintf(f, "\nonnxtool COMMAND --help tells about a command.\n");
    else if (!full)
        fprintf(f, "\nonnxtool %s --help tells more.\n", cmd->name);
}
