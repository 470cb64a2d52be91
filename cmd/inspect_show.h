/* The parts of inspect's report. */
#ifndef CMD_INSPECT_SHOW_H
#define CMD_INSPECT_SHOW_H

#include "cmd.h"

struct inspect_opts {
    struct model_opts model;
    struct shape_opts shape;
    struct report_opts report;
    bool graph, initializers, layers, infer, files, check, check_values;
    struct opt_list nodes, tensors;
    int64_t values;  /* -1: not given */
    int64_t limit;   /* 0: none */
    int fingerprint; /* index of the choice; -1: not asked */
};

/* inspect_show.c */
void show_summary(struct app *app, const struct ot_summary *s, const ot_model *m, const char *path);
void json_summary(struct report *r, const struct ot_summary *s, const ot_model *m);
struct table *summary_table(struct report *r);
void row_summary(struct table *t, const struct ot_summary *s, const char *path);

/* inspect_detail.c */
/* Tables of their own, or rows of one over several models, which then has a column for the model. */
struct table *layers_table(struct report *r, bool model);
struct table *initializers_table(struct report *r, bool model);
struct table *values_table(struct report *r, bool model);
void show_layers(struct app *app, const ot_inspection *in, const char *path, struct table *rows);
void show_initializers(struct app *app, const ot_inspection *in, const char *path, struct table *rows);
void show_values(struct app *app, const ot_inspection *in, const char *path, struct table *rows);
int show_tensors(struct app *app, ot_inspection *in);

/* inspect_check.c: everything that is wrong with the file; exit code. */
int show_check(struct app *app, const char *path, const struct ot_load_opts *lo);

#endif
