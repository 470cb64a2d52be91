/* What the files of `onnxtool run` share: the options, and one run over all samples. */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include "groups.h"

struct run_opts {
    struct model_opts model;
    struct input_opts input;
    struct engine_opts engine;
    struct compare_opts compare;
    struct report_opts report;
    const char *save, *save_inputs;
    struct opt_list dump;
    int64_t top;
    const char *labels, *truth;
    bool check_finite, placement, profile;
    const char *trace;
    struct opt_list feedback;
    int64_t steps;
};

/* A model that runs, and what is being collected about it. */
struct job {
    struct app *app;
    const struct run_opts *o;
    const char *path;
    ot_model *m; /* until the session takes it over */
    ot_feed *feed;
    ot_session *s;
    size_t sample, samples;
    int code;

    ot_values *dumped; /* intermediates of the sample that matched --dump */
    bool *dump_hit;    /* by --dump pattern */
    bool not_finite;   /* --check-finite found something, and reported it */
    const char **labels;
    size_t nlabels;
    ot_tensor *truth;
    int64_t judged, right1, rightk; /* rows with a known answer; right at first, and among the first K */
    struct expectation *expect;
    size_t nexpect;
    struct link *links; /* --feedback; the samples are steps then */
    size_t nlinks;
    ot_values *state; /* by input: what the step before has left */
    double last;      /* trace: when the step before ended */
    struct event *events;
    size_t nevents, cap_events;
};

/* What --expect names: read once. */
struct expectation {
    char *name; /* one output; NULL: a set */
    ot_values *set;
    ot_tensor *one;
};

/* A step in the trace. */
struct event {
    const char *name, *op;
    double start, seconds;
};

/* run_show.c: what came out. */
void show_outputs(struct job *j);
void show_placement(struct job *j);
void show_profile(struct job *j);
int write_trace(struct job *j);
int read_labels(struct job *j);

/* run_steps.c: outputs fed back. */
int steps_open(struct job *j);
/* Puts in what steps need; returns the list of fills it has made, which must stay while fo is used. */
const char **steps_feed_opts(const struct job *j, struct ot_feed_opts *fo);
/* Before the session is made: first are the inputs of the first step. */
int steps_check(struct job *j, const ot_values *first);
/* The inputs of step j->sample; a status. */
int steps_inputs(struct job *j, const ot_values **in);
/* Keeps what the next step is fed. */
int steps_keep(struct job *j);
/* Whether an output goes into the next step. */
bool steps_state(const struct job *j, const char *output);
void steps_close(struct job *j);

/* run_check.c: whether it is right. */
int read_truth(struct job *j);
int judge(struct job *j);
int show_accuracy(struct job *j);
int read_expected(struct job *j);
int compare_outputs(struct job *j);
/* Steps as they end: --dump, --check-finite, --trace. */
int watch_step(void *user, ot_ctx *c, const struct ot_step_view *v);

#endif
