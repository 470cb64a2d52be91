/* Manual pages and completions, from the same rows that the parser and the help texts read. The files under
 * man/ are made by `make man`; a test compares them with what comes out here. */
#include "advice.h"
#include "cmd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096, ARG_SIZE = 200 };

/* ---- text for roff ---- */

static void roff(FILE *f, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        bool para = text[0] == '\n' && text[1] == '\n';
        if (para) {
            fputs("\n.PP\n", f);
            text++;
        } else if (*text == '\\') {
            fputs("\\e", f);
        } else if (*text == '-') {
            fputs("\\-", f);
        } else {
            if (start && (*text == '.' || *text == '\''))
                fputs("\\&", f);
            fputc(*text, f);
        }
        start = para;
    }
}

static void roff_line(FILE *f, const char *macro, const char *text)
{
    fprintf(f, "%s ", macro);
    roff(f, text);
    fputc('\n', f);
}

/* ---- manual pages ---- */

struct page {
    FILE *f;
    const struct opt_group *group;
};

/* Help texts have no full stop; some end in another mark. */
static void roff_sentence(FILE *f, const char *text)
{
    size_t n = strlen(text);
    roff(f, text);
    fputs(n && strchr(".?!", text[n - 1]) ? "\n" : ".\n", f);
}

static void man_row(void *user, const struct cmd *cmd, const struct opt_group *g, const struct opt *o)
{
    struct page *p = user;
    char arg[ARG_SIZE];
    if (g != p->group)
        roff_line(p->f, ".SS", g->title);
    p->group = g;
    opt_arg_text(cmd, o, arg, sizeof arg);
    fputs(".TP\n", p->f);
    if (o->key)
        fprintf(p->f, "\\fB\\-%c\\fR, ", o->key);
    fputs("\\fB\\-\\-", p->f);
    roff(p->f, o->name);
    fputs("\\fR", p->f);
    if (*arg) {
        fputs(" \\fI", p->f);
        roff(p->f, arg);
        fputs("\\fR", p->f);
    }
    fputc('\n', p->f);
    roff_sentence(p->f, o->help);
    if (o->more) {
        roff(p->f, o->more);
        fputc('\n', p->f);
    }
}

static void man_exit(FILE *f, const struct cmd *cmd)
{
    const char *const codes[] = {
        "done, or the answer is yes",
        cmd->finding ? cmd->finding : "a finding of the command: its page says which",
        "wrong usage",
        "bad input: a model, tensor or data file",
        "the model is legal, but cannot be run or expressed here",
        "the machine failed: input or output, memory, a limit on memory or time",
    };
    fputs(".SH EXIT STATUS\n", f);
    for (int i = 0; i < (int)(sizeof codes / sizeof *codes); i++) {
        fprintf(f, ".TP\n%d\n", i);
        roff_sentence(f, codes[i]);
    }
    fputs(".PP\nWith several models, the highest of theirs.\n", f);
}

static void man_examples(FILE *f, const struct cmd *cmd)
{
    if (!cmd->examples)
        return;
    fputs(".SH EXAMPLES\n", f);
    for (const char *const *e = cmd->examples; e[0]; e += 2) {
        fputs(".TP\n\\fB", f);
        roff(f, e[0]);
        fputs("\\fR\n", f);
        roff_sentence(f, e[1]);
    }
}

static void man_commands(FILE *f)
{
    fputs(".SH COMMANDS\n", f);
    for (const struct cmd *const *p = cmds; *p; p++) {
        fprintf(f, ".TP\n\\fB%s\\fR\n", (*p)->name);
        roff(f, (*p)->summary);
        fprintf(f, ".\nSee \\fBonnxtool\\-%s\\fR(1).\n", (*p)->name);
    }
}

static void man_see_also(FILE *f, const struct cmd *cmd)
{
    fputs(".SH SEE ALSO\n", f);
    if (cmd->name)
        fputs("\\fBonnxtool\\fR(1)", f);
    for (const struct cmd *const *p = cmds; *p; p++)
        if (*p != cmd)
            fprintf(f, "%s\\fBonnxtool\\-%s\\fR(1)", cmd->name || p != cmds ? ",\n" : "", (*p)->name);
    fputc('\n', f);
}

static void man_environment(FILE *f)
{
    fputs(".SH ENVIRONMENT\n.TP\n\\fBNO_COLOR\\fR\nIf set and not empty, text has no colours by default.\n",
          f);
    fputs(".TP\n\\fBONNXTOOL_BLAS\\fR\n0: double products do without OpenBLAS, which is used by default "
          "where it is installed.\n",
          f);
}

static void man_page(FILE *f, const struct cmd *cmd)
{
    const char *sub = cmd->name ? cmd->name : "", *dash = cmd->name ? "-" : "";
    fputs(".\\\" Made by onnxtool \\-\\-generate man; edit the tables in cmd/, not this file.\n", f);
    fprintf(f, ".TH onnxtool%s%s 1 \"\" \"onnxtool %s\"\n.SH NAME\n", dash, sub, ot_version());
    fprintf(f, "onnxtool%s%s \\- ", *dash ? "\\-" : "", sub);
    roff(f, cmd->summary);
    fputs("\n.SH SYNOPSIS\n\\fBonnxtool", f);
    fprintf(f, "%s%s\\fR %s", *sub ? " " : "", sub, cmd->name ? "[\\fIOPTION\\fR]... " : "");
    roff(f, cmd->args);
    if (!cmd->name)
        fputs("\n.br\n\\fBonnxtool\\fR \\-\\-list \\fIWHAT\\fR\n.br\n"
              "\\fBonnxtool\\fR \\-\\-generate \\fIWHAT\\fR [\\fIDIR\\fR]",
              f);
    fputs("\n.SH DESCRIPTION\n", f);
    roff(f, cmd->about);
    fputc('\n', f);
    if (!cmd->name)
        man_commands(f);
    fputs(".SH OPTIONS\nOptions may stand anywhere; \\fB\\-\\-\\fR ends them.\n", f);
    struct page p = {f, NULL};
    opt_each(cmd, man_row, &p);
    man_examples(f, cmd);
    man_exit(f, cmd);
    man_environment(f);
    man_see_also(f, cmd);
}

/* ---- bash ---- */

static void bash_names(void *user, const struct cmd *cmd, const struct opt_group *g, const struct opt *o)
{
    (void)cmd;
    (void)g;
    fprintf(user, " --%s", o->name);
    if (o->key)
        fprintf(user, " -%c", o->key);
}

static void bash_arg(void *user, const struct cmd *cmd, const struct opt_group *g, const struct opt *o)
{
    FILE *f = user;
    (void)g;
    if (!opt_has_arg(o))
        return;
    fprintf(f, "    %s:--%s", cmd->name ? cmd->name : "", o->name);
    if (o->key)
        fprintf(f, " | %s:-%c", cmd->name ? cmd->name : "", o->key);
    if (o->choices) {
        fputs(")\n        words='", f);
        for (size_t i = 0; o->choices[i]; i++)
            if (opt_choice_ok(cmd, o, i))
                fprintf(f, "%s%s", i ? " " : "", o->choices[i]);
        fputs("' ;;\n", f);
    } else {
        fprintf(f, ") %s ;;\n",
                o->complete == OPT_FILE  ? "files=-f"
                : o->complete == OPT_DIR ? "files=-d"
                                         : "return");
    }
}

static void bash_file(FILE *f)
{
    fputs("# Made by onnxtool --generate bash; edit the tables in cmd/, not this file.\n"
          "_onnxtool() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd='' words='' files='' "
          "i\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n        ",
          f);
    for (const struct cmd *const *p = cmds; *p; p++)
        fprintf(f, "%s%s", p == cmds ? "" : " | ", (*p)->name);
    fputs(") cmd=${COMP_WORDS[i]}; break ;;\n        esac\n    done\n    case $cmd:$prev in\n", f);
    opt_each(&cmd_top, bash_arg, f);
    for (const struct cmd *const *p = cmds; *p; p++)
        opt_each(*p, bash_arg, f);
    fputs("    *)\n        case $cmd:$cur in\n        :-*) words='", f);
    opt_each(&cmd_top, bash_names, f);
    fputs("' ;;\n", f);
    for (const struct cmd *const *p = cmds; *p; p++) {
        fprintf(f, "        %s:-*) words='", (*p)->name);
        opt_each(*p, bash_names, f);
        fputs("' ;;\n", f);
    }
    fputs("        :*) words='help", f);
    for (const struct cmd *const *p = cmds; *p; p++)
        fprintf(f, " %s", (*p)->name);
    fputs("' ;;\n        *) files=-f ;;\n        esac ;;\n    esac\n"
          "    # shellcheck disable=SC2207,SC2086\n"
          "    COMPREPLY=($(compgen $files -W \"$words\" -- \"$cur\"))\n"
          "}\n"
          "complete -o filenames -F _onnxtool onnxtool\n",
          f);
}

/* ---- zsh ---- */

/* Text inside '...[...]' of _arguments. */
static void zsh_text(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            fputs("'\\''", f);
        else if (strchr("[]:\\", *s))
            fprintf(f, "\\%c", *s);
        else
            fputc(*s, f);
    }
}

static void zsh_row(void *user, const struct cmd *cmd, const struct opt_group *g, const struct opt *o)
{
    FILE *f = user;
    char arg[ARG_SIZE];
    (void)g;
    for (int form = 0; form < 2; form++) {
        if (form && !o->key)
            return;
        fputs(" \\\n        '*", f);
        if (form)
            fprintf(f, "-%c", o->key);
        else
            fprintf(f, "--%s", o->name);
        fputc('[', f);
        zsh_text(f, o->help);
        fputc(']', f);
        if (opt_has_arg(o)) {
            fputc(':', f);
            zsh_text(f, opt_arg_text(cmd, o, arg, sizeof arg));
            fputc(':', f);
        }
        if (o->choices) {
            fputc('(', f);
            for (size_t i = 0; o->choices[i]; i++)
                if (opt_choice_ok(cmd, o, i))
                    fprintf(f, "%s%s", i ? " " : "", o->choices[i]);
            fputc(')', f);
        } else if (o->complete) {
            fputs(o->complete == OPT_DIR ? "_files -/" : "_files", f);
        }
        fputc('\'', f);
    }
}

static void zsh_file(FILE *f)
{
    fputs("#compdef onnxtool\n# Made by onnxtool --generate zsh; edit the tables in cmd/, not this file.\n"
          "_onnxtool() {\n    local cmd=${words[2]}\n    case $cmd in\n",
          f);
    for (const struct cmd *const *p = cmds; *p; p++) {
        fprintf(f, "    %s)\n        _arguments -s '1:command:'", (*p)->name);
        opt_each(*p, zsh_row, f);
        fputs(" \\\n        '*:file:_files' ;;\n", f);
    }
    fputs("    *)\n        local -a commands=(", f);
    for (const struct cmd *const *p = cmds; *p; p++) {
        fprintf(f, "\n            '%s:", (*p)->name);
        zsh_text(f, (*p)->summary);
        fputc('\'', f);
    }
    fputs("\n        )\n        _arguments -s", f);
    opt_each(&cmd_top, zsh_row, f);
    fputs(" \\\n        '1:command:{_describe command commands}' ;;\n    esac\n}\n_onnxtool \"$@\"\n", f);
}

/* ---- fish ---- */

static void fish_text(FILE *f, const char *s)
{
    for (; *s; s++)
        fprintf(f, strchr("'\\", *s) ? "\\%c" : "%c", *s);
}

static void fish_row(void *user, const struct cmd *cmd, const struct opt_group *g, const struct opt *o)
{
    FILE *f = user;
    (void)g;
    fprintf(f, "complete -c onnxtool -n '%s%s' -l %s",
            cmd->name ? "__fish_seen_subcommand_from " : "__fish_use_subcommand", cmd->name ? cmd->name : "",
            o->name);
    if (o->key)
        fprintf(f, " -s %c", o->key);
    if (opt_has_arg(o))
        fputs(o->complete ? " -r -F" : " -x", f);
    if (o->choices) {
        fputs(" -a '", f);
        for (size_t i = 0; o->choices[i]; i++)
            if (opt_choice_ok(cmd, o, i))
                fprintf(f, "%s%s", i ? " " : "", o->choices[i]);
        fputc('\'', f);
    }
    fputs(" -d '", f);
    fish_text(f, o->help);
    fputs("'\n", f);
}

static void fish_file(FILE *f)
{
    fputs("# Made by onnxtool --generate fish; edit the tables in cmd/, not this file.\n", f);
    for (const struct cmd *const *p = cmds; *p; p++) {
        fprintf(f, "complete -c onnxtool -f -n __fish_use_subcommand -a %s -d '", (*p)->name);
        fish_text(f, (*p)->summary);
        fputs("'\n", f);
    }
    opt_each(&cmd_top, fish_row, f);
    for (const struct cmd *const *p = cmds; *p; p++)
        opt_each(*p, fish_row, f);
}

/* ---- files ---- */

static int close_file(struct app *app, FILE *f, const char *path)
{
    bool good = !ferror(f);
    if (f == stdout)
        return EXIT_DONE;
    if (fclose(f) == 0 && good)
        return EXIT_DONE;
    return cmd_fail(app, ot_fail(app->ctx, EXIT_MACHINE, "%s: %s", path, strerror(errno)));
}

static FILE *open_file(struct app *app, const char *dir, const char *name, char *path)
{
    if (!dir)
        return stdout;
    if (mkdir(dir, 0777) && errno != EEXIST) {
        cmd_fail(app, ot_fail(app->ctx, EXIT_MACHINE, "--generate: folder %s cannot be made: %s", dir,
                              strerror(errno)));
        return NULL;
    }
    snprintf(path, PATH_SIZE, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (!f)
        cmd_fail(app, ot_fail(app->ctx, EXIT_MACHINE, "%s: %s", path, strerror(errno)));
    return f;
}

/* The reference of the checker's codes. */
static void findings_page(FILE *f)
{
    struct ot_finding_kind k;
    fputs(".\\\" Made by onnxtool \\-\\-generate man from the checker's table; edit that, not this file.\n",
          f);
    fprintf(f, ".TH onnxtool\\-findings 7 \"\" \"onnxtool %s\"\n.SH NAME\n", ot_version());
    fputs("onnxtool\\-findings \\- what onnxtool inspect \\-\\-check finds\n.SH DESCRIPTION\n", f);
    roff(f,
         "Codes and names are stable: a code is never used for anything else. An error breaks a rule of the "
         "ONNX format or of an operator, a warning is legal but hardly meant. Where it says so, a session "
         "(onnxtool run) refuses the model as well; other defects do not change what it computes.");
    fputs("\n.SH CODES\n", f);
    for (size_t i = 0; ot_finding_kind(i, &k); i++) {
        fprintf(f, ".TP\n\\fB%s\\fR ", k.code);
        roff(f, k.name);
        fprintf(f, " (%s%s)\n", k.error ? "error" : "warning", k.stops ? ", not run" : "");
        roff(f, k.meaning);
        fputs(" To do: ", f);
        roff(f, k.fix);
        fputs(".\n", f);
    }
    fputs(".SH SEE ALSO\n\\fBonnxtool\\-inspect\\fR(1)\n", f);
}

static void advice_page(FILE *f)
{
    fputs(".\\\" Made by onnxtool \\-\\-generate man from cmd/advice.c; edit that, not this file.\n", f);
    fprintf(f, ".TH onnxtool\\-opset\\-advice 7 \"\" \"onnxtool %s\"\n.SH NAME\n", ot_version());
    fputs("onnxtool\\-opset\\-advice \\- what the common advice gets wrong\n.SH DESCRIPTION\n", f);
    roff(f, "What is often said about opsets, IR versions and providers of runtimes, what is true, and a "
            "command that "
            "gives the true answer. The models are those of testdata/targets in the source; any of yours "
            "will do.");
    fputs("\n.SH ADVICE\n", f);
    for (const struct advice *a = advices; a->said; a++) {
        fputs(".TP\n\\(lq", f);
        roff(f, a->said);
        fputs("\\(rq\n", f);
        roff(f, a->truth);
        fputs("\n.IP\n.EX\n", f);
        roff(f, a->command);
        fputs("\n.EE\n", f);
    }
    fputs(".SH SEE ALSO\n\\fBonnxtool\\-check\\-opset\\fR(1)\n", f);
}

static void facts_page(FILE *f)
{
    fputs(".\\\" Made by onnxtool \\-\\-generate man from cmd/advice.c; edit that, not this file.\n", f);
    fprintf(f, ".TH onnxtool\\-facts 7 \"\" \"onnxtool %s\"\n.SH NAME\n", ot_version());
    fputs("onnxtool\\-facts \\- facts about runtimes in a file of your own\n.SH DESCRIPTION\n", f);
    roff(f, "A JSON file that onnxtool check-opset reads with --facts, over the tables that are built in, or "
            "as a --target: "
            "then it stands for the releases that it adds. onnxtool check-opset --export TARGET writes one "
            "to start from. "
            "All parts but onnxtool_facts may be left out; a part that is not known is a mistake.");
    fputs("\n.PP\n.EX\n", f);
    roff(f, facts_example);
    fputs(".EE\n.SH PARTS\n", f);
    for (const struct facts_key *k = facts_keys; k->key; k++) {
        fprintf(f, ".TP\n\\fB%s\\fR\n", k->key);
        roff(f, k->meaning);
        fputs("\n", f);
    }
    fputs(".SH SEE ALSO\n\\fBonnxtool\\-check\\-opset\\fR(1)\n", f);
}

static int write_topic(struct app *app, const char *dir, const char *name, void (*page)(FILE *f))
{
    char path[PATH_SIZE];
    FILE *f = open_file(app, dir, name, path);
    if (!f)
        return EXIT_MACHINE;
    page(f);
    return close_file(app, f, path);
}

/* What is computed where the specification leaves it open. */
static void values_page(FILE *f)
{
    struct ot_defined d;
    fputs(".\\\" Made by onnxtool \\-\\-generate man from src/ops/defined.def; edit that, not this file.\n",
          f);
    fprintf(f, ".TH onnxtool\\-values 7 \"\" \"onnxtool %s\"\n.SH NAME\n", ot_version());
    fputs("onnxtool\\-values \\- what operators compute where ONNX does not say\n.SH DESCRIPTION\n", f);
    roff(f, "The specification of the operators leaves some results open. Here they are the same on every "
            "machine and "
            "from run to run, never undefined behaviour, and each is tested. Other runtimes may differ.");
    fputs("\n.SH RESULTS\n", f);
    for (size_t i = 0; ot_defined(i, &d); i++) {
        fputs(".TP\n\\fB", f);
        roff(f, d.what);
        fputs("\\fR\n", f);
        roff(f, d.result);
        fputc('\n', f);
    }
    fputs(".SH SEE ALSO\n\\fBonnxtool\\-run\\fR(1)\n", f);
}

static int write_page(struct app *app, const struct cmd *cmd, const char *dir)
{
    char path[PATH_SIZE], name[100];
    snprintf(name, sizeof name, "onnxtool%s%s.1", cmd->name ? "-" : "", cmd->name ? cmd->name : "");
    FILE *f = open_file(app, dir, name, path);
    if (!f)
        return EXIT_MACHINE;
    man_page(f, cmd);
    return close_file(app, f, path);
}

static int write_pages(struct app *app, const char *dir)
{
    int code = write_page(app, &cmd_top, dir);
    for (const struct cmd *const *p = cmds; *p && !code; p++)
        code = write_page(app, *p, dir);
    if (!code)
        code = write_topic(app, dir, "onnxtool-findings.7", findings_page);
    if (!code)
        code = write_topic(app, dir, "onnxtool-opset-advice.7", advice_page);
    if (!code)
        code = write_topic(app, dir, "onnxtool-facts.7", facts_page);
    return code ? code : write_topic(app, dir, "onnxtool-values.7", values_page);
}

int gen_write(struct app *app, const char *what, const char *dir)
{
    static const struct {
        const char *what, *name;
        void (*write)(FILE *f);
    } files[] = {{"bash", "onnxtool.bash", bash_file},
                 {"zsh", "_onnxtool", zsh_file},
                 {"fish", "onnxtool.fish", fish_file}};
    char path[PATH_SIZE];
    if (strcmp(what, "man") == 0)
        return write_pages(app, dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(what, files[i].what) != 0)
            continue;
        FILE *f = open_file(app, dir, files[i].name, path);
        if (!f)
            return EXIT_MACHINE;
        files[i].write(f);
        return close_file(app, f, path);
    }
    return EXIT_USAGE;
}
