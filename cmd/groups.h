/* Option groups of commands that run models. */
#ifndef CMD_GROUPS_H
#define CMD_GROUPS_H

#include "cmd.h"

/* What a model is fed (group_input.c). */
struct input_opts {
    struct opt_list inputs, fills;
    struct shape_opts sizes; /* --shape and --dim, a group of their own */
    struct opt_list from, to;
    int64_t seed;
};
extern const struct opt_group group_input;
struct ot_feed_opts input_feed_opts(const struct input_opts *o);
/* Says on stderr how inputs were made up, dims of the first sample included. */
void input_notes(struct app *app, const ot_model *m, const ot_feed *f, const ot_values *first);
/* After a run that failed on made-up inputs: which options set the sizes that the model leaves open. */
void input_open_note(struct app *app, const ot_model *m, const ot_feed *f);

/* Inputs that have a default in the model but are fed: the session must not take them for constants. A
 * NULL-terminated list for input_free_names. */
const char **input_fed_defaults(const ot_model *m, const ot_values *in);
void input_free_names(const char **names);

/* How it runs (group_engine.c). */
struct engine_opts {
    int level; /* enum ot_opt */
    struct opt_list providers, provider_options, skip_pass;
    bool strict;
    int64_t threads;
    const char *cpu_mask;
    uint64_t max_memory;
    double timeout;
};
/* Both fill a struct engine_opts: -O, --provider and --threads; the rest. */
extern const struct opt_group group_engine, group_limits;
void engine_defaults(struct engine_opts *o);
struct ot_session_opts engine_session_opts(const struct engine_opts *o);
/* Puts --max-memory and --timeout into the context. */
void engine_limits(struct app *app, const struct engine_opts *o);

/* Tolerances of a comparison (group_compare.c). */
struct compare_opts {
    struct opt_list expect, rtol, atol;
    double max_outliers, min_cosine, min_sqnr, min_top1;
};
extern const struct opt_group group_compare;
void compare_defaults(struct compare_opts *o);
/* Numbers that are none, and limits of a comparison that nothing asks for: a gate that tests nothing must not
 * pass. expected: there is something to compare with. EXIT_DONE, or the usage error is printed. */
int compare_check(struct app *app, const struct compare_opts *o, bool expected);
/* Whether the names of --rtol and --atol are outputs of the model; as above. */
int compare_check_names(struct app *app, const struct compare_opts *o, const ot_model *m);
/* The tolerance for one output; the options have passed compare_check. */
void compare_tolerance(const struct compare_opts *o, const char *output, struct ot_tolerance *t);

#endif
