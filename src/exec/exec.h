/* From a typed graph to a bound program, and its runs.
 *
 *   partition   each node gets the first listed provider that takes it            (partition.c)
 *   bind        each node becomes a step: kernel chosen, constants prepacked      (prog.c)
 *   plan        per binding of the input shapes: shapes, lifetimes, one block     (plan.c, memory.c)
 *   run         the steps in order                                                (run_prog.c)
 *
 * A program belongs to one graph; bodies of If, Loop and Scan have programs of their own. Plans are cached by
 * the shapes of inputs and captured values, at most PLAN_CACHE of them per program. A value whose shape is
 * known from the input shapes lives in the plan's block; one that depends on data is allocated while running,
 * after infer was asked with the real tensors. */
#ifndef OT_EXEC_EXEC_H
#define OT_EXEC_EXEC_H

#include "base/blob.h"
#include "base/err.h"
#include "base/threads.h"
#include "exec/consts.h"
#include "infer/infer.h"
#include "kern/kern.h"
#include "prov/provider.h"

enum { PLAN_CACHE = 8, MAX_PROVIDERS = 8 };
#define SLOT_NONE UINT32_MAX

/* Where the value of a slot comes from. */
enum slot_kind { SLOT_CONST, SLOT_INPUT, SLOT_CAPTURE, SLOT_TEMP };

struct slot {
    struct value *value;
    enum slot_kind kind;
    uint32_t last_use; /* step index; nsteps for graph outputs */
    uint32_t def;      /* step that makes it (SLOT_TEMP) */
};

struct prog_step {
    struct node *node;
    const void *params;
    struct step bound;
    int provider; /* index into exec->prov */
    int nin, nout, ncap;
    const struct schema_takes *takes; /* what each input may be */
    uint32_t *in, *out;               /* slots, SLOT_NONE where left out */
    uint32_t *cap;                    /* slots that subgraphs of the node read */
    uint32_t *drop;                   /* slots whose last use this step is */
    uint32_t ndrop;
    double seconds; /* spent, while profiling */
    uint64_t calls;
};

struct plan;

struct prog {
    struct exec *ex;
    struct graph *graph;
    struct prog *outer; /* of the graph around it; NULL */
    struct slot *slots;
    uint32_t nslots;
    struct prog_step *steps;
    uint32_t nsteps;
    uint32_t *ins, *outs; /* slots of graph inputs (formal order) and outputs */
    uint32_t nins, nouts;
    uint32_t *caps, *caps_outer; /* captured values: slot here, slot in outer */
    uint32_t ncaps;
    struct plan *plans[PLAN_CACHE];
    int64_t *key;      /* room for the key of a plan: types and shapes of what comes in */
    uint64_t clock;    /* for least recently used */
    struct plan *last; /* of the latest run */
    struct prog *next; /* of the same exec */
};

/* What happens around each step, for --dump, --check-finite, --profile and layer-wise comparison. */
struct exec_hooks {
    /* After a step ran: its inputs and outputs are still valid. Non-zero stops the run with that status. */
    int (*after)(void *user, struct cx *cx, const struct prog_step *s, const struct tensor *const *in,
                 struct tensor *const *out);
    void *user;
};

struct scratch_buf {
    void *p;
    size_t cap;
    bool used;
};

/* Remembers op_input_takes of an operator: nodes of one kind come in hundreds. */
struct takes_memo {
    const struct op_version *ver;
    int nin;
    const struct schema_takes *takes;
};
enum { TAKES_MEMO = 128 };

struct exec {
    struct model *m;
    struct cx *cx;      /* of the call in progress */
    struct arena arena; /* programs, steps, states */
    struct consts consts;
    struct kern kern;
    struct pool *pool;
    int nthreads;
    const struct provider *prov[MAX_PROVIDERS];
    void *prov_state[MAX_PROVIDERS];
    int nprov;
    struct prog *main, *progs;
    struct inferred types;    /* with symbolic dims */
    uint8_t *placed;          /* provider of each node, by node id */
    const char **declined;    /* by node id: why those listed before it did not take the node; NULL */
    bool strict;              /* only the first provider is asked */
    struct prepacked *packed; /* blocks of bc_alloc */
    uint64_t packed_bytes, block_bytes, scratch_bytes, peak_bytes;
    struct meter *results; /* tensors made while running, outside of blocks */
    struct takes_memo takes[TAKES_MEMO];
    struct scratch_buf *scratch;
    size_t nscratch;
    struct blob *strings; /* string elements of this run's results */
    struct exec_hooks hooks;
    bool profile;
    bool check_plans; /* ask infer again at every step and compare (tests, sanitizer builds) */
};

/* A node that no listed provider takes. */
struct unplaced {
    const struct node *node;
    char why[200];
};

/* Asks the providers; *bad (scratch of cx) lists every node that none takes, subgraphs included. Needs
 * ex->types. */
int exec_partition(struct cx *cx, struct exec *ex, struct unplaced **bad, size_t *nbad);
/* Builds the programs of the main graph and all bodies; prepacked constants are dropped. */
int exec_bind(struct cx *cx, struct exec *ex);
/* Types of all values with symbolic dims into ex->types. */
int exec_infer(struct cx *cx, struct exec *ex);
void exec_free(struct exec *ex);

/* Runs the main program. ins in order of the graph's inputs that are not constants (prog->ins); outs[nouts]
 * point at tensors that stay valid until the next run. */
int exec_run(struct cx *cx, struct exec *ex, const struct tensor *ins, const struct tensor **outs);
/* Evaluates one node from given inputs, for folding: outs get memory of their own. */
int exec_eval(struct cx *cx, struct exec *ex, struct node *n, const struct tensor *const *ins,
              struct tensor *outs);

/* Counts bytes on counter (NULL: only asks) against cx->lim.max_memory; E_LIMIT. Negative gives back. */
int exec_account(struct cx *cx, struct exec *ex, uint64_t *counter, int64_t bytes);

#endif
