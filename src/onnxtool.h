/* onnxtool: what is in an ONNX model, will it run, is it right, how fast, can it be smaller.
 *
 * The one public header; the command line uses nothing else. Conventions: functions return OT_OK or a
 * negative status; the context comes first and holds the message (ot_error); objects that come out by ** are
 * the caller's to free; other pointers are borrowed from the object they were asked of. A context and what
 * was made with it belong to one thread.
 *
 *     ot_ctx *c = ot_ctx_new();
 *     ot_model *m;
 *     if (ot_model_load(c, "net.onnx", NULL, &m) != OT_OK)
 *         fprintf(stderr, "%s\n", ot_error(c));
 *
 * Order of this file: context, tensors, models, looking into a model, checking one, values in files, inputs,
 * sessions, comparison, verification, measuring, runtimes. */
#ifndef ONNXTOOL_H
#define ONNXTOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OT_API __attribute__((visibility("default")))
#else
#define OT_API
#endif

/* ---- context ---- */

#define OT_OK 0

typedef struct ot_ctx ot_ctx;

OT_API const char *ot_version(void);
OT_API ot_ctx *ot_ctx_new(void); /* NULL: out of memory */
OT_API void ot_ctx_free(ot_ctx *c);
/* One line about the last failure, control bytes escaped; "" when there was none. */
OT_API const char *ot_error(const ot_ctx *c);
/* Exit code for a status: 0 done, 1 a finding, 2 usage, 3 bad input, 4 not supported here, 5 the machine
 * failed. */
OT_API int ot_exit_code(int status);
/* Sets an error of the caller's own (usage errors of a command), formatted as printf does; returns the status
 * that ot_exit_code maps to exit_code. */
OT_API int ot_fail(ot_ctx *c, int exit_code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

enum ot_log_level { OT_LOG_ERROR, OT_LOG_WARN, OT_LOG_INFO, OT_LOG_DEBUG };
typedef void ot_log_fn(void *user, enum ot_log_level level, const char *line);
OT_API void ot_set_log(ot_ctx *c, ot_log_fn *fn, void *user, enum ot_log_level most);
/* Bytes that weights, buffers and results of a session may take; 0: no limit. */
OT_API void ot_set_max_memory(ot_ctx *c, uint64_t bytes);
/* Seconds from now after which runs stop with an error; 0: none. */
OT_API void ot_set_timeout(ot_ctx *c, double seconds);
/* Removes temporary files of writes in progress; safe in a signal handler. */
OT_API void ot_cleanup(void);

/* ---- tensors ---- */

/* A tensor, sequence, optional or map at run time. */
typedef struct ot_tensor ot_tensor;

enum ot_kind { OT_TENSOR, OT_SEQUENCE, OT_OPTIONAL, OT_MAP };

OT_API enum ot_kind ot_tensor_kind(const ot_tensor *t);
/* Element type as ONNX numbers it (1 float, 7 int64, ...) and by name ("float16"). */
OT_API int ot_tensor_dtype(const ot_tensor *t);
OT_API const char *ot_tensor_dtype_name(const ot_tensor *t);
OT_API const char *ot_dtype_name(int dtype);
OT_API int ot_dtype_parse(const char *name); /* 0: no such type */
OT_API int ot_tensor_rank(const ot_tensor *t);
OT_API const int64_t *ot_tensor_dims(const ot_tensor *t);
OT_API int64_t ot_tensor_count(const ot_tensor *t);
OT_API size_t ot_tensor_bytes(const ot_tensor *t);
OT_API const void *ot_tensor_data(const ot_tensor *t);
/* Element by flat index; strings give NaN / 0. */
OT_API double ot_tensor_f64(const ot_tensor *t, int64_t i);
OT_API int64_t ot_tensor_i64(const ot_tensor *t, int64_t i);
/* A string element: pointer and length, not terminated; NULL for other types. */
OT_API const char *ot_tensor_string(const ot_tensor *t, int64_t i, size_t *len);
/* Items of a sequence, optional (0 or 1) or map. */
OT_API size_t ot_tensor_items(const ot_tensor *t);
OT_API const ot_tensor *ot_tensor_item(const ot_tensor *t, size_t i);
/* Keys of a map, in the order of its items: integers or strings. NULL for other kinds. */
OT_API const ot_tensor *ot_tensor_keys(const ot_tensor *t);
/* Zeroed tensor with memory of its own; data may be NULL, else bytes are copied from it. */
OT_API int ot_tensor_new(ot_ctx *c, int dtype, int rank, const int64_t *dims, const void *data,
                         ot_tensor **out);
OT_API int ot_tensor_copy(ot_ctx *c, const ot_tensor *src, ot_tensor **out);
/* Piece k of n along the first axis, which n must divide; a copy. */
OT_API int ot_tensor_piece(ot_ctx *c, const ot_tensor *t, size_t k, size_t n, ot_tensor **out);
OT_API void ot_tensor_free(ot_tensor *t);
/* "float[1,3,224,224]", "seq(float[2])" into buf; returns buf. */
OT_API const char *ot_tensor_text(const ot_tensor *t, char *buf, size_t size);

struct ot_stats {
    int64_t count, nan, pos_inf, neg_inf, zeros; /* of all elements */
    double min, max, mean, sd;                   /* of the finite ones; NaN when there are none */
    int64_t argmin, argmax;                      /* flat index; -1: none */
};
/* The flat indices of the k largest elements of a row of n from start, largest first, ties by index; NaN
 * never. Returns how many were found. */
OT_API size_t ot_tensor_top(const ot_tensor *t, int64_t start, int64_t n, size_t k, int64_t *out);
/* "[3, 0, 17]" of a flat index into buf; returns buf. */
OT_API const char *ot_tensor_index(const ot_tensor *t, int64_t flat, char *buf, size_t size);
/* Of a numeric tensor (bool as 0 and 1, complex by magnitude); false for strings and other kinds. */
OT_API bool ot_tensor_stats(const ot_tensor *t, struct ot_stats *out);

/* ---- models ---- */

typedef struct ot_model ot_model;

struct ot_load_opts {
    const char *external_dir; /* where external data is; NULL: the model's folder */
    bool allow_links;         /* links and paths may lead out of it */
    bool no_external_check;   /* do not ask whether external files are there */
};

/* "-" is standard input. o may be NULL. */
OT_API int ot_model_load(ot_ctx *c, const char *path, const struct ot_load_opts *o, ot_model **out);
OT_API void ot_model_free(ot_model *m);

/* Leaves the part of the graph between the values called from, which become inputs, and those called to,
 * which become outputs; NULL (or an empty list) keeps the model's own. Lists end in NULL. */
OT_API int ot_model_extract(ot_ctx *c, ot_model *m, const char *const *from, const char *const *to);

enum ot_external { OT_EXTERNAL_AUTO, OT_EXTERNAL_ALWAYS, OT_EXTERNAL_NEVER };
struct ot_save_opts {
    enum ot_external external;
    uint64_t threshold;
};
/* Lossless; written aside, synced, renamed. o may be NULL. */
OT_API int ot_model_save(ot_ctx *c, ot_model *m, const char *path, const struct ot_save_opts *o);

/* A graph input or output. */
struct ot_value_info {
    const char *name;
    const char *type; /* "float[batch,3,224,224]" */
    enum ot_kind kind;
    int dtype, rank;              /* rank -1: unknown */
    const int64_t *dims;          /* -1 where it is not a number */
    const char *const *dim_names; /* symbol or expression, NULL where a number or nothing is known */
    bool has_default;             /* an initializer of that name: need not be fed */
};
OT_API size_t ot_model_ninputs(const ot_model *m);
OT_API size_t ot_model_noutputs(const ot_model *m);
OT_API const struct ot_value_info *ot_model_input(const ot_model *m, size_t i);
OT_API const struct ot_value_info *ot_model_output(const ot_model *m, size_t i);

/* ---- looking into a model ---- */

/* What is known of a model, its weights left alone. Belongs to the model, which must live longer and not be
 * changed; all pointers inside live as long as it does. */
typedef struct ot_inspection ot_inspection;

struct ot_inspect_opts {
    const char *const *dims;   /* --dim: SYM=N; NULL-terminated, may be NULL. Symbols that it leaves open */
    const char *const *shapes; /* are 1 in costs. --shape: NAME=1x3x224x224 */
    bool values;               /* reads the weights too, to find NaN and infinities */
};

struct ot_import {
    const char *domain; /* "ai.onnx" */
    int64_t version;
    int newest; /* version known here; 0: we do not know the domain */
};
struct ot_pair {
    const char *key, *value;
};
struct ot_weights {
    const char *dtype; /* "float"; NULL in a total */
    size_t tensors;
    int64_t params; /* elements */
    uint64_t bytes; /* as stored */
};
struct ot_op_use {
    const char *domain, *op;
    int since; /* version of the operator that the imports select; 0: not known */
    size_t count;
    bool runnable; /* here */
    bool function; /* of this model */
};
struct ot_axis {
    const char *input;
    int axis;
    const char *symbol; /* "batch"; "?" when it has no name */
    const char *fixed;  /* how the graph hard-codes it all the same; NULL */
};
struct ot_function {
    const char *domain, *name, *overload;
    size_t nodes;
};
struct ot_file {
    const char *path;     /* as a user can open it */
    const char *location; /* as the model says it; NULL: the model itself */
    size_t tensors;
    uint64_t bytes;      /* that the model uses */
    const char *problem; /* NULL: it is there and long enough */
};
struct ot_warning {
    const char *code, *text, *advice;
    size_t count;
};

struct ot_summary {
    const char *path, *graph, *producer, *producer_version, *domain, *doc; /* NULL: the file does not say */
    bool has_version;
    int64_t ir_version, newest_ir, version;
    uint64_t file_bytes; /* of the model file; 0: not a file */
    const struct ot_import *imports;
    const struct ot_pair *metadata;
    const struct ot_weights *weights; /* by type */
    const struct ot_op_use *ops;      /* by domain, the most frequent first */
    const struct ot_axis *axes;       /* dynamic ones */
    const struct ot_function *functions;
    const struct ot_file *files; /* the model file first */
    const struct ot_warning *warnings;
    size_t nimports, nmetadata, nweights, nops, naxes, nfunctions, nfiles, nwarnings;
    struct ot_weights all_weights, constants; /* constants: in Constant nodes */
    size_t shared;                            /* weights that lie on the bytes of others, counted once */
    size_t nodes, main_nodes, subgraphs;
    int depth; /* of the deepest subgraph; 0: there is none */
    /* Costs. FLOPs are twice the multiply-accumulates of convolutions, matrix products and recurrent
     * operators; other_ops are all other operations, about one an output element. */
    int64_t macs, other_ops;
    size_t cost_unknown;      /* nodes whose share depends on data */
    const char *macs_text;    /* over the symbols: "4089184256*batch"; NULL: too long, or no symbols */
    const char *sizes;        /* what costs stand for: "batch=1, seq=1"; NULL: no symbols */
    bool has_loop;            /* bodies of loops are counted once */
    int64_t activations;      /* bytes when every value has its own memory; -1: not known */
    int64_t activations_peak; /* bytes alive together at most; -1: not known */
    const char *peak_at;      /* the value made when that happens; NULL */
    const char *fingerprint;  /* of the computation, names and weights aside */
};

/* Infers types, under the given sizes and without. Contradictions in the model are warnings; errors are wrong
 * options and failures of the machine. o may be NULL. */
OT_API int ot_inspect(ot_ctx *c, ot_model *m, const struct ot_inspect_opts *o, ot_inspection **out);
OT_API void ot_inspection_free(ot_inspection *i);
OT_API const struct ot_summary *ot_inspection_summary(const ot_inspection *i);

/* Nodes with their costs, in the order of the graph, bodies behind the nodes that hold them. */
struct ot_layer {
    const char *name, *op, *output; /* output: "float[1,64,112,112]" */
    const char *first_output;       /* its name, "" when there is none */
    int depth;
    int64_t macs, ops, params, out_bytes; /* -1: not known */
};
OT_API size_t ot_inspection_nlayers(const ot_inspection *i);
OT_API void ot_inspection_layer(const ot_inspection *i, size_t k, struct ot_layer *out);

/* Initializers of all graphs in file order, tensors of Constant nodes behind those of their graph. */
struct ot_initializer {
    const char *name, *dtype, *type; /* type: "float[64,3,7,7]" */
    int64_t params;
    uint64_t bytes;
    bool constant;        /* of a Constant node */
    const char *location; /* external file; NULL: in the model */
    uint64_t offset;      /* in that file */
    const char *user;     /* "Conv node 'conv1'", the first; NULL: nothing uses it */
    size_t users;
};
OT_API size_t ot_inspection_ninits(const ot_inspection *i);
OT_API void ot_inspection_init(const ot_inspection *i, size_t k, struct ot_initializer *out);

/* Every value but initializers, with its type when symbols stay symbols. */
struct ot_value_row {
    const char *name, *type;
    const char *kind;    /* "input", "output", "value" */
    const char *made_by; /* operator; NULL */
    int depth;
    bool known; /* element type and rank */
};
OT_API size_t ot_inspection_nvalues(const ot_inspection *i);
OT_API void ot_inspection_value(const ot_inspection *i, size_t k, struct ot_value_row *out);

enum ot_print { OT_PRINT_GRAPH, OT_PRINT_DOT };
/* The graph as text; *out belongs to the inspection. */
OT_API int ot_inspection_print(ot_ctx *c, ot_inspection *i, enum ot_print what, const char **out);
/* The nodes whose name, or one of whose outputs, matches the pattern; *count of them. */
OT_API int ot_inspection_print_nodes(ot_ctx *c, ot_inspection *i, const char *glob, const char **out,
                                     size_t *count);
/* A node, for programs. */
struct ot_attr {
    const char *name;
    size_t n; /* elements of a list */
    bool list;
    const int64_t *ints; /* of these four one is there */
    const float *floats;
    const char *const *strings;
    const char *text; /* other kinds, as the graph in text has them */
};
struct ot_node {
    const char *name, *domain, *op; /* name may be ""; domain "ai.onnx" */
    int depth;                      /* of the graph that it stands in; 0: the main graph, or a function's */
    const char *function;           /* in whose body it stands; NULL */
    size_t nin, nout, nattr;
    const char *const *in, *const *out, *const *out_types; /* NULL where left out */
    const struct ot_attr *attr;
};
/* As ot_inspection_print_nodes; glob NULL: all nodes. *out belongs to the inspection. */
OT_API int ot_inspection_nodes(ot_ctx *c, ot_inspection *i, const char *glob, const struct ot_node **out,
                               size_t *n);
/* Name of the node nearest to want, or of the weight; NULL. */
OT_API const char *ot_inspection_nearest_node(const ot_inspection *i, const char *want);
OT_API const char *ot_inspection_nearest_init(const ot_inspection *i, const char *want);

/* Values of initializer k of ot_inspection_init. */
OT_API int ot_inspection_tensor(ot_ctx *c, ot_inspection *i, size_t k, ot_tensor **out);
/* 64 hex digits. weights: their values count too, and are read. */
OT_API int ot_fingerprint(ot_ctx *c, ot_model *m, bool weights, char hex[65]);

/* ---- checking a model ---- */

/* Everything that is wrong with a model file, at least as strictly as the ONNX project's checker. */
typedef struct ot_findings ot_findings;

struct ot_finding {
    const char *code, *name; /* "OT204", "defined-twice": both stable */
    bool error;              /* else a warning */
    const char *graph; /* "main", "main/If 'cond'.then_branch", "function 'f'"; "" for the model itself */
    const char *node;  /* "node 'conv1' (Conv)"; "" when it is about no node */
    const char *text, *fix; /* what is wrong; what to do */
    int64_t offset;         /* in the model file; -1: not known */
};

/* A model that breaks rules is no error here, a file that is no model is. o may be NULL. */
OT_API int ot_check(ot_ctx *c, const char *path, const struct ot_load_opts *o, ot_findings **out);
OT_API void ot_findings_free(ot_findings *f);
/* How many are kept, at most 10,000; errors and warnings count all. */
OT_API size_t ot_findings_count(const ot_findings *f);
OT_API size_t ot_findings_errors(const ot_findings *f);
OT_API size_t ot_findings_warnings(const ot_findings *f);
/* Pointers live as long as f. */
OT_API void ot_findings_get(const ot_findings *f, size_t i, struct ot_finding *out);

/* Every kind of finding, by code; false past the end. stops: sessions refuse a model that has it. */
struct ot_finding_kind {
    const char *code, *name;
    bool error, stops;
    const char *meaning, *fix;
};
OT_API bool ot_finding_kind(size_t i, struct ot_finding_kind *out);

/* ---- values in files ---- */

/* A list of named tensors: a sample, a set of outputs. */
typedef struct ot_values ot_values;

OT_API int ot_values_new(ot_ctx *c, ot_values **out);
OT_API void ot_values_free(ot_values *v);
OT_API size_t ot_values_count(const ot_values *v);
OT_API const char *ot_values_name(const ot_values *v, size_t i);
OT_API const ot_tensor *ot_values_tensor(const ot_values *v, size_t i);
OT_API const ot_tensor *ot_values_find(const ot_values *v, const char *name); /* NULL: not there */
/* Copies t under name (replacing one of that name). */
OT_API int ot_values_add(ot_ctx *c, ot_values *v, const char *name, const ot_tensor *t);
/* Reads an .npz, a folder of .npy / .pb files by value name, or an ONNX test_data_set folder (input_K.pb, or
 * output_K.pb when outputs is true: names from the files, else by position in the model). */
OT_API int ot_values_read(ot_ctx *c, const ot_model *m, const char *path, bool outputs, ot_values **out);
/* One .npy or .pb file. name: the value it is for, whose type says how a .pb is read; may be NULL. */
OT_API int ot_tensor_read(ot_ctx *c, const ot_model *m, const char *name, const char *path, ot_tensor **out);
/* path ending in .npz: an archive; else a folder, made when missing: .npy where numpy has the type, .pb
 * elsewhere. */
OT_API int ot_values_write(ot_ctx *c, const ot_values *v, const char *path);

/* ---- inputs ---- */

struct ot_feed_opts {
    const char *const *inputs; /* --input: NAME=PATH or PATH; NULL-terminated; may be NULL */
    const char *const *fills;  /* --fill: [NAME=]LO:HI|zeros|ones|arange|normal */
    const char *const *shapes; /* --shape: NAME=1x3x224x224, * keeps a dim */
    const char *const *dims;   /* --dim: SYM=N */
    uint64_t seed;
    int64_t samples; /* made-up sample sets when no files are given (0: 1) */
    bool stepped;    /* samples are steps in time: a file with one axis more than its input is cut along it */
};

/* Sample sets for the inputs of a model: from files, made up where files give none. */
typedef struct ot_feed ot_feed;
OT_API int ot_feed_new(ot_ctx *c, const ot_model *m, const struct ot_feed_opts *o, ot_feed **out);
OT_API void ot_feed_free(ot_feed *f);
OT_API size_t ot_feed_count(const ot_feed *f);
/* Values for every input that must be fed (and defaults that files override). Valid until the next call. */
OT_API int ot_feed_get(ot_ctx *c, ot_feed *f, size_t sample, const ot_values **out);
/* The same for a step in time: `fixed` holds results of the step before under the names of inputs; the others
 * come from sample `step`, or the last one, or are made up in the sizes that fit. fixed must stay until the
 * next call. */
OT_API int ot_feed_step(ot_ctx *c, ot_feed *f, size_t step, const ot_values *fixed, const ot_values **out);
/* After ot_session_run failed with status on made-up inputs: whether other sizes for the axes that nothing
 * fixes are worth a try. They are set when so: get the sample again. */
OT_API bool ot_feed_retry(ot_feed *f, int status);
/* How input i (of ot_model_input) is made up, one phrase ("0..30521, the rows of the table that it indexes");
 * NULL: from a file. */
OT_API const char *ot_feed_how(const ot_feed *f, size_t i);

/* ---- sessions ---- */

typedef struct ot_session ot_session;

enum ot_opt { OT_OPT_NONE, OT_OPT_BASIC, OT_OPT_ALL };

struct ot_session_opts {
    enum ot_opt level;
    int threads;                         /* 0: the cores this process may use */
    const char *cpu_mask;                /* "c", "avx2", "avx512", "vnni"; NULL: all */
    const char *const *providers;        /* in priority order, NULL-terminated; NULL: cpu */
    const char *const *provider_options; /* "P.KEY=V", NULL-terminated */
    bool strict;
    const char *const *feed_defaults; /* inputs with a default that will be fed */
    const char *const *keep;          /* values that optimization must keep (dumps) */
    const char *const *skip_pass;
    bool profile;
};

/* Takes over the model, also when it fails. */
OT_API int ot_session_new(ot_ctx *c, ot_model *m, const struct ot_session_opts *o, ot_session **out);
OT_API void ot_session_free(ot_session *s);
/* The inputs and outputs of the model that it took over: for ot_model_input and ot_model_output alone. */
OT_API const ot_model *ot_session_model(const ot_session *s);
/* Feeds by name and runs. Outputs by ot_session_output, valid until the next run. */
OT_API int ot_session_run(ot_ctx *c, ot_session *s, const ot_values *in);
OT_API size_t ot_session_noutputs(const ot_session *s);
OT_API const char *ot_session_output_name(const ot_session *s, size_t i);
OT_API const ot_tensor *ot_session_output(const ot_session *s, size_t i);
/* All outputs, copied. */
OT_API int ot_session_outputs(ot_ctx *c, const ot_session *s, ot_values **out);

struct ot_step {
    const char *node, *op; /* op: "Conv-11" */
    const char *provider, *kernel;
    const char *declined; /* why the providers listed before did not take it; NULL */
    int depth;            /* 0: main graph; bodies deeper */
    double seconds;       /* spent in all calls (profile) */
    uint64_t calls;
};
OT_API size_t ot_session_nsteps(const ot_session *s);
OT_API void ot_session_step(const ot_session *s, size_t i, struct ot_step *out);

/* Whether a step makes a value whose name matches the pattern. */
OT_API bool ot_session_makes(const ot_session *s, const char *glob);

struct ot_memory {
    uint64_t weights, packed, block, block_naive, scratch, peak;
};
OT_API void ot_session_memory(const ot_session *s, struct ot_memory *out);
OT_API double ot_session_load_seconds(const ot_session *s);
/* Rewrites by pass, "name: count" in order; count of rows that rewrote something. */
struct ot_pass_stat {
    const char *name;
    long rewrites;
    double seconds;
};
OT_API size_t ot_session_passes(const ot_session *s, struct ot_pass_stat *out, size_t cap);

/* Sees every step after it ran; tensors are valid inside the call only. Non-zero stops the run:
 * ot_session_run returns that status, the message set with ot_fail. Names of inputs and outputs are those of
 * the rewritten graph. */
struct ot_step_view {
    const char *node, *op;
    int nin, nout;
    const char *const *in_names, *const *out_names; /* NULL where left out */
    const ot_tensor *const *in, *const *out;        /* NULL where left out, or prepacked */
};
typedef int ot_step_fn(void *user, ot_ctx *c, const struct ot_step_view *v);
OT_API void ot_session_watch(ot_session *s, ot_step_fn *fn, void *user);

/* ---- comparison ---- */

struct ot_tolerance {
    double rtol,
        atol; /* an element passes when |a-b| <= atol + rtol*|b|; negative: the default for the type */
    double max_outliers; /* share of elements that may fail, 0..1 */
    double min_cosine;   /* NaN: not asked */
    double min_sqnr;     /* dB, NaN: not asked */
    double min_top1;     /* share of rows whose best class is the reference's; NaN: not asked */
    int top_k;           /* of ot_diff.topk; 0: 5 */
};
/* Nothing asked, the defaults by type. */
OT_API void ot_tolerance_init(struct ot_tolerance *out);
OT_API void ot_tolerance_default(int dtype, struct ot_tolerance *out);

struct ot_diff {
    bool pass;
    char reason[200];         /* why not, "" when it passes */
    int64_t count, different; /* elements; those out of tolerance (unequal NaN or Inf counts) */
    double outliers;          /* different / count */
    /* Of elements where both are finite. */
    double max_abs, max_rel, mean_abs, rmse;
    int64_t abs_at, rel_at; /* flat index of max_abs and max_rel; -1: no element differs */
    uint64_t max_ulp;       /* float types: representable numbers between the two, at most */
    double sqnr_db, cosine;
    int64_t worst; /* flat index of the worst element; -1: none */
    double worst_a, worst_b;
    int64_t nan_a, nan_b, inf_a, inf_b;
    /* Rows along the last axis (integers of rank 0 and 1 are class numbers, a row each). */
    int64_t rows;
    double top1, topk; /* share where our best class scores best in the reference; where the reference's best
                          is among our top_k */
};
/* a: ours, b: the reference. Shapes and types that differ fail with the reason; sequences compare item by
 * item. */
OT_API int ot_compare(ot_ctx *c, const ot_tensor *a, const ot_tensor *b, const struct ot_tolerance *tol,
                      struct ot_diff *out);

/* ---- verification of a rewrite ---- */

struct ot_verify_opts {
    struct ot_feed_opts feed; /* as for a run; samples: input sets per size (0: 3) */
    int64_t sizes;            /* sizes of the symbolic axes to try (0: 3) */
    enum ot_opt before, after;
    int threads;
    /* Sets the tolerance of an output (it comes with the defaults); may be NULL. */
    void (*tolerance)(void *user, const char *output, struct ot_tolerance *t);
    void *user;
};

struct ot_verify_output {
    const char *name;
    struct ot_diff worst; /* over all sets */
    const char *where;    /* the inputs of the worst: "set 2 of batch=2" */
    bool random;          /* depends on a random operator: only its type and shape were held against it */
    bool moves;           /* differs between the input sets; one that does not proves nothing */
};

/* What ot_verify found; pointers live as long as it does. */
typedef struct ot_verification ot_verification;

struct ot_verify_summary {
    bool pass;           /* nothing differs */
    bool proven;         /* and it means something: outputs move, or values of equal name inside do */
    const char *failure; /* the rewritten model does not load or run, or has other inputs or outputs; NULL */
    size_t noutputs, sets, sizes;
    const char *const *refused; /* sizes that the original did not take; nrefused of them */
    size_t nrefused;
    bool looked_inside; /* some outputs do not move: values inside were compared */
    size_t inside, inside_failed;
    const char *inside_worst; /* the value inside that is furthest out; NULL */
    struct ot_diff inside_diff;
};

/* Runs both models on the same inputs and compares all outputs. Takes over both, also when it fails: the one
 * to be kept must be a model of its own. A difference is a result, not an error; errors are that the original
 * does not run, or that one of them cannot run here. o may be NULL. */
OT_API int ot_verify(ot_ctx *c, ot_model *before, ot_model *after, const struct ot_verify_opts *o,
                     ot_verification **out);
OT_API void ot_verification_free(ot_verification *v);
OT_API void ot_verification_summary(const ot_verification *v, struct ot_verify_summary *out);
OT_API void ot_verification_output(const ot_verification *v, size_t i, struct ot_verify_output *out);

/* ---- measuring ---- */

/* Times of steps from here on (struct ot_step): the counters go to zero, and count while on. */
OT_API void ot_session_profile(ot_session *s, bool on);
/* Runs once and notes what every step has to do. */
OT_API int ot_session_note_work(ot_ctx *c, ot_session *s, const ot_values *in);
struct ot_work {
    double flops;      /* of one call on average: two a multiply-accumulate, one of others; -1: not known */
    double bytes;      /* inputs read once, outputs written once */
    const char *shape; /* of the inputs, "1x64x56x56 64x64x3x3"; "" before it was noted */
};
OT_API void ot_session_work(const ot_session *s, size_t step, struct ot_work *out);

/* Resident memory of this process in bytes: now, and at most since ot_memory_forget_peak (false: the kernel
 * cannot). 0: not known. */
OT_API uint64_t ot_memory_now(void);
OT_API uint64_t ot_memory_peak(void);
OT_API bool ot_memory_forget_peak(void);

struct ot_timing {
    size_t n;
    double min, max, mean, median;
    double sd, cv;      /* of the sample; cv is sd / mean */
    size_t outliers;    /* 3 interquartile ranges outside the quartiles */
    bool many_outliers; /* more than one in a hundred */
    double drift;       /* median of the last third over that of the first; NaN: too few */
    bool drifts;        /* by more than the noise */
};
/* samples in the order of measuring; sorted (n) gets them in order of size. */
OT_API int ot_timing(ot_ctx *c, const double *samples, size_t n, double *sorted, struct ot_timing *out);
/* Percentile p of sorted samples; between two samples on the line that joins them. */
OT_API double ot_percentile(const double *sorted, size_t n, double p);
/* Samples that percentile p needs to mean something. */
OT_API size_t ot_percentile_needs(double p);

struct ot_ratio {
    double value, lo, hi; /* and its 95% interval; 0 and infinity when there are too few samples */
};
/* Of the medians a/b; paired: a[i] and b[i] were measured together. */
OT_API int ot_ratio(ot_ctx *c, const double *a, size_t na, const double *b, size_t nb, bool paired,
                    struct ot_ratio *out);

/* What `bench --save-baseline` wrote. */
typedef struct ot_baseline ot_baseline;
OT_API int ot_baseline_read(ot_ctx *c, const char *path, ot_baseline **out);
OT_API void ot_baseline_free(ot_baseline *b);
OT_API const char *ot_baseline_machine(const ot_baseline *b); /* "AMD EPYC; avx512; 2 cores" */
/* Samples in seconds under that name; NULL: none. Valid as long as b. */
OT_API const double *ot_baseline_find(const ot_baseline *b, const char *name, size_t *n);

/* What the machine can do at most with that many threads and those kernels (NULL: all); takes up to a second.
 */
struct ot_ceilings {
    double flops;    /* single precision multiply-adds from registers, two operations each, a second */
    double bytes;    /* read from memory, a second */
    const char *how; /* "avx512, 2 threads" */
};
OT_API int ot_ceilings(ot_ctx *c, int threads, const char *cpu_mask, struct ot_ceilings *out);

/* ---- where a model runs ---- */

/* What is known of runtimes: the tables that are built in, and JSON files on top. */
typedef struct ot_facts ot_facts;
/* files: NULL-terminated; may be NULL. */
OT_API int ot_facts_new(ot_ctx *c, const char *const *files, ot_facts **out);
OT_API void ot_facts_free(ot_facts *f);
OT_API const char *ot_facts_date(const ot_facts *f); /* of the tables that are built in */
/* What target means: itself, or the releases that the JSON file of that name adds (which is read). A
 * NULL-terminated list that belongs to f. */
OT_API int ot_facts_targets(ot_ctx *c, ot_facts *f, const char *target, const char *const **out);
/* All releases of a runtime that the tables have, newest first, NULL-terminated. */
OT_API int ot_facts_releases(ot_ctx *c, ot_facts *f, const char *runtime, const char *const **out);
/* All that is known of one release, as a JSON file to start from. */
OT_API int ot_facts_export(ot_ctx *c, ot_facts *f, const char *target, const char **json);
/* Names that targets and providers have; false past the end. */
struct ot_runtime {
    const char *name, *aliases, *remark;
    const char *oldest, *newest; /* releases known; "" where the tables have none */
    bool provider;               /* of ONNX Runtime */
    bool list;                   /* known by a list of operators alone */
};
OT_API bool ot_facts_runtime(const ot_facts *f, size_t i, struct ot_runtime *out);

/* A model made ready to be asked about. Belongs to the model. dims: SYM=N, shapes: NAME=1x3x224x224, both
 * NULL-terminated, may be NULL; sizes that they leave open are 1. */
typedef struct ot_fit ot_fit;
OT_API int ot_fit_new(ot_ctx *c, ot_model *m, const char *const *dims, const char *const *shapes,
                      ot_fit **out);
OT_API void ot_fit_free(ot_fit *t);
struct ot_fit_summary {
    int64_t ir_version;
    const struct ot_import *imports;
    size_t nimports;
    size_t nodes; /* of subgraphs and functions too, Constants and calls aside */
    int64_t flops;
};
OT_API void ot_fit_summary(const ot_fit *t, struct ot_fit_summary *out);

/* The lowest opset that the model needs. */
struct ot_minimum {
    int opset, ml;   /* 0: domain not used */
    int now, ml_now; /* imported */
    int ir;          /* lowest IR version that can express the file */
    const char *ir_why;
    size_t nodes;      /* rows of ot_fit_need */
    size_t unknown;    /* nodes of which nothing is known: there is no minimum then */
    size_t renumbered; /* nodes whose operator has an older version there, which says the same */
};
struct ot_need {
    const char *name, *domain, *op;
    int since, lowest;
    const char *why; /* what keeps it from being older */
};
OT_API int ot_fit_minimum(ot_ctx *c, ot_fit *t, const ot_facts *f, struct ot_minimum *out);
/* Node i of the last ot_fit_minimum. */
OT_API void ot_fit_need(const ot_fit *t, size_t i, struct ot_need *out);

enum ot_verdict_kind { OT_RUNS, OT_UNKNOWN, OT_FALLBACK, OT_FAILS };
/* Lives as long as the fit and the facts that it comes from. */
typedef struct ot_verdict ot_verdict;
/* target: NAME@VERSION. providers: for ONNX Runtime, in order; NULL-terminated, may be NULL. advice: look for
 * what can be done about it, too. */
OT_API int ot_fit_check(ot_ctx *c, ot_fit *t, ot_facts *f, const char *target, const char *const *providers,
                        bool advice, ot_verdict **out);
OT_API void ot_verdict_free(ot_verdict *v);
struct ot_verdict_summary {
    enum ot_verdict_kind kind;
    const char *verdict; /* "runs", "runs with fallback", "fails to load", "unknown" */
    const char *loads;   /* "yes", "no", "unknown" */
    const char *target;  /* as asked */
    const char *runtime, *release;
    const char *known;       /* "exact", "inferred", "newer", "older", "unlisted" */
    const char *inferred[2]; /* releases around it; NULL */
    const char *tried;       /* "measured" when the release was tried, "unreachable", "" */
    const char *through;     /* "triton 24.05 holds ort 1.18.0"; "" */
    const char *reason;
    const char *const *fixes;
    const char *const *providers;
    size_t nfixes, nproviders, nlimits;
    size_t nodes, kernel, body, casts, listed, missing, unknown; /* nodes; nodes is the sum of the others */
    size_t constant;      /* Constants and calls, which need no kernel */
    size_t folded, shape; /* among nodes: computed while loading; shape arithmetic, left on the CPU */
    size_t fallback, boundaries;
    double share; /* of FLOPs in what falls back; NaN: not known */
};
OT_API void ot_verdict_summary(const ot_verdict *v, struct ot_verdict_summary *out);
struct ot_limit {
    const char *what, *domain, *function; /* "opset", "ml", "ir" */
    int64_t model;
    int accepts, up_to; /* surely accepted; beyond up_to it is not. 0: not known */
    const char *result; /* "ok", "refused", "unknown" */
};
OT_API void ot_verdict_limit(const ot_verdict *v, size_t i, struct ot_limit *out);
/* Nodes of equal operator, version and answer. */
struct ot_fit_op {
    const char *domain, *op;
    int version, there;   /* the model's; the one that counts on the target. 0: not known, none */
    const char *need;     /* "", "older version", "rewrite" */
    const char *fit;      /* "kernel", "body expanded", "fp32 behind casts", "listed", "missing", "unknown" */
    const char *provider; /* where; NULL: nowhere, or not known */
    const char *why, *declined; /* declined: why the first provider does not take it */
    bool inferred;
    size_t nodes, fallback, shape, folded;
};
OT_API size_t ot_verdict_nops(const ot_verdict *v);
OT_API void ot_verdict_op(const ot_verdict *v, size_t i, struct ot_fit_op *out);
struct ot_fit_node {
    const char *name, *first_output, *domain, *op, *graph;
    int version, depth;
    bool function, shape, folded, fallback;
    int64_t flops; /* -1: not known */
    const char *fit, *provider, *why;
};
OT_API size_t ot_verdict_nnodes(const ot_verdict *v);
OT_API void ot_verdict_node(const ot_verdict *v, size_t i, struct ot_fit_node *out);

/* What ONNX Runtime's own profile says: where each node ran. */
typedef struct ot_observed ot_observed;
OT_API int ot_observed_read(ot_ctx *c, const char *path, ot_observed **out);
OT_API void ot_observed_free(ot_observed *o);
struct ot_observed_node {
    const char *name, *op, *provider; /* provider as --provider spells it */
    double seconds;
    size_t calls;
};
OT_API size_t ot_observed_count(const ot_observed *o);
OT_API void ot_observed_node(const ot_observed *o, size_t i, struct ot_observed_node *out);
/* Where the node of that name ran, in a function the first call of it; NULL: the profile does not have it. */
OT_API const char *ot_observed_find(const ot_observed *o, const struct ot_fit_node *node);

/* ---- about the library ---- */

struct ot_list_item {
    const char *name, *what;
};
/* kind: "providers", "passes"; NULL past the end. */
OT_API const struct ot_list_item *ot_list(const char *kind, size_t i);
/* A library that this one is linked with, and its version; NULL past the end. */
OT_API const struct ot_list_item *ot_library(size_t i);
/* What is computed where the specification does not say; false past the end. */
struct ot_defined {
    const char *what, *result;
    const char *cases; /* pattern of the names of its tests in testdata/defined.zip */
};
OT_API bool ot_defined(size_t i, struct ot_defined *out);

/* Operators that are known, by domain and name. */
struct ot_op_info {
    const char *domain, *name;
    int since, newest; /* versions known */
    bool runnable;
    /* "float, double": what the newest version takes first (gives first, without inputs); empty: of an
     * operator outside the standard, which says so itself when a type does not suit it. */
    char types[2048];
};
OT_API size_t ot_op_count(void);
OT_API void ot_op_info(size_t i, struct ot_op_info *out);
/* "AMD EPYC, AVX-512 VNNI, 2 cores" and the like. */
OT_API const char *ot_machine(void);
OT_API const char *ot_isa(void);
OT_API int ot_cores(void);
OT_API int ot_newest_opset(void);
OT_API const char *ot_tables_date(void); /* of the facts about runtimes that are built in */

/* ---- names and text (for commands) ---- */

OT_API bool ot_glob(const char *pattern, const char *text);
/* The nearest of names to want, NULL when none is near. */
OT_API const char *ot_nearest(const char *want, const char *const *names, size_t n);
/* src with control bytes and bad UTF-8 escaped, into dst. */
OT_API size_t ot_escape(char *dst, size_t size, const char *src);
OT_API const char *ot_human_bytes(char *buf, size_t size, uint64_t bytes);
OT_API const char *ot_human_count(char *buf, size_t size, uint64_t n);
OT_API double ot_now(void);

#ifdef __cplusplus
}
#endif

#endif
