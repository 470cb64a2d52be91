/* What the files of `onnxtool bench` share: the options, a model ready to be timed, and what was measured. */
#ifndef CMD_BENCH_H
#define CMD_BENCH_H

#include <signal.h>

#include "groups.h"

struct bench_opts {
    struct model_opts model;
    struct input_opts input;
    struct engine_opts engine; /* but for the three lists below */
    struct report_opts report;
    struct opt_list levels, threads, providers;
    int64_t warmup, runs; /* -1: not given */
    double warmup_time, time;
    int64_t samples, streams;
    struct opt_list percentiles;
    const char *vs;
    int vs_level; /* -1: not given */
    const char *save_baseline, *baseline, *max_regression;
    struct opt_list fail_above;
    bool profile, ceilings;
    const char *trace;
};

/* One point of the sweep. */
struct config {
    const char *model;
    struct opt_list dims, shapes, providers;
    int threads;
    int level;         /* enum ot_opt */
    const char *label; /* what the sweep varies: "batch=4 threads=2"; "" without a sweep */
    const char *name;  /* everything, for the baseline */
};

/* A model that is ready to run, with what it is fed. Used by one thread. */
struct side {
    ot_ctx *ctx;
    bool own_ctx;
    ot_model *m; /* until the session takes it over */
    ot_feed *feed;
    ot_session *s;
    ot_values **sample;
    size_t nsamples, next;
    double load, first; /* seconds */
};

/* Times in the order of measuring. */
struct series {
    double *v; /* seconds */
    double *sorted;
    size_t n, cap;
    double wall; /* from the first run to the end of the last */
    struct ot_timing t;
};

struct check {
    const char *what; /* "p99", as given */
    double limit, value;
    bool failed;
};

/* What one configuration gave. */
struct result {
    struct config c;
    struct series runs, other; /* other: of --vs */
    double load, first;        /* seconds */
    size_t warmup;
    uint64_t peak; /* resident bytes; 0: not known */
    struct ot_memory memory;
    struct ot_ratio vs;   /* of --vs; value 0: none */
    struct ot_ratio base; /* to the baseline; value 0: none */
    bool regressed, again;
    struct check *check;
    size_t nchecks;
    struct opt_list warnings;
};

struct bench {
    struct app *app;
    const struct bench_opts *o;
    double *percentile;
    size_t npercentiles;
    double max_regression; /* share */
    ot_baseline *baseline;
    struct ot_ceilings ceilings; /* with the threads of the configuration; flops 0: not measured */
    struct result *results;
    size_t nresults;
};

/* Set by Ctrl-C: what runs is brought to an end, and what there is is shown. */
extern volatile sig_atomic_t bench_stopped;

/* bench_side.c: models made ready. An exit code; the message is printed. */
int side_open(struct bench *b, const struct config *c, const char *path, struct side *s);
void side_close(struct side *s);
/* One run on the next sample; its time is added to series, or dropped when that is NULL. Status of s->ctx. */
int side_run(struct side *s, struct series *t);

/* bench_time.c: measuring. */
int measure(struct bench *b, const struct config *c, struct result *r);
void series_free(struct series *t);

/* bench_gate.c: what makes a bench fail. */
int read_gates(struct bench *b);
/* Fills the result's checks; EXIT_FINDING when one fails. */
int judge_limits(struct bench *b, struct result *r);
/* Whether the whole interval of the ratio to the baseline is beyond --max-regression. */
int judge_baseline(struct bench *b, struct result *r, bool *regressed);
int save_baseline(struct bench *b);

/* bench_profile.c: where the time goes. */
int show_bench_profile(struct bench *b, struct side *s, double seconds_a_run);

/* bench_show.c: the results. */
const char *ms_text(struct report *r, double seconds);
void show_result(struct bench *b, struct result *r);
void show_table(struct bench *b);
void add_warnings(struct bench *b, struct result *r);
const char *percentile_name(struct report *r, double p);

#endif
