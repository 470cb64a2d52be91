/* check-opset: its options, and who shows what. */
#ifndef CMD_CHECK_OPSET_H
#define CMD_CHECK_OPSET_H

#include "cmd.h"

struct check_opts {
    struct opt_list targets, providers, facts, require;
    struct shape_opts shape;
    struct model_opts model;
    const char *max_fallback, *observed, *export;
    bool min, matrix, nodes;
    struct report_opts report;
};

/* A model that is loaded and made ready. */
struct checked {
    const char *path;
    ot_model *m;
    ot_fit *fit;
};

/* What every target has been resolved to: NAME@VERSION. */
struct check_run {
    struct app *app;
    ot_facts *facts;
    struct opt_list targets;
    double max_fallback; /* share; NAN: not asked */
    bool no_fallback, known;
    ot_observed *observed;
    const char *const *providers; /* NULL-terminated, NULL */
};

/* check_show.c */
void show_verdict(struct check_run *run, const struct checked *c, const ot_verdict *v, struct table *rows);
struct table *verdict_table(struct report *r);
void show_observed(struct check_run *run, const ot_verdict *v);
/* The lowest opset; all: node by node. Exit code. */
int show_minimum(struct check_run *run, const struct checked *c, bool all);
/* Opsets, the oldest releases that load it, the minimum. Exit code. */
int show_overview(struct check_run *run, const struct checked *c);
/* check_matrix.c: all releases of the runtimes named, against all models. Exit code. */
int show_matrix(struct check_run *run, const struct checked *c, size_t n);

#endif
