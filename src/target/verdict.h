/* What becomes of a model on a target. */
#ifndef OT_TARGET_VERDICT_H
#define OT_TARGET_VERDICT_H

#include "target/place.h"

/* From good to bad, as matrices sort them. */
enum verdict_kind { VERDICT_RUNS, VERDICT_UNKNOWN, VERDICT_FALLBACK, VERDICT_FAILS };
enum loads { LOADS_YES, LOADS_UNKNOWN, LOADS_NO };

enum limit_result { LIMIT_OK, LIMIT_UNKNOWN, LIMIT_REFUSED };

/* A number of the model beside what the target accepts. */
struct limit_check {
    const char *what;     /* "opset", "ml", "ir" */
    const char *domain;   /* "ai.onnx"; "" for ir */
    const char *function; /* whose import it is; "" the model's */
    int64_t model;
    struct limit accepts;
    enum limit_result result;
};

enum need {
    NEED_NOTHING,
    NEED_OLDER,  /* the target has an older version of the operator */
    NEED_REWRITE /* it has none, or neither kernel nor body for it */
};

/* A kind of nodes on the target. */
struct kind_answer {
    const struct op_version
        *there; /* the version that counts there: the newest that the target's opset has */
    enum need need;
    struct placement p;
    bool gap; /* some node of it falls back */
};

enum { FITS = FIT_UNKNOWN + 1, FIXES_MAX = 12 };

struct verdict {
    struct arena arena;
    const struct survey *s;
    const struct target *t;
    enum verdict_kind kind;
    enum loads loads;
    struct limit_check *limits;
    size_t nlimits;
    struct kind_answer *answers; /* by kind */
    size_t fits[FITS];           /* nodes */
    size_t nodes;                /* that need a kernel or the like: all but Constants and calls */
    size_t folded, shape;        /* of them: computed while loading; arithmetic on shapes, left on the CPU */
    size_t fallback;             /* nodes on the CPU though another provider was asked for */
    bool share_known;
    double share;          /* of all FLOPs, in what falls back */
    size_t boundaries;     /* values that go from the device to the host or back */
    size_t rewrite, older; /* kinds by need */
    const char *reason;
    const char *fixes[FIXES_MAX];
    size_t nfixes;
};

/* s and f must live as long as the verdict; t too. fixes: look for ways out (other releases, other versions).
 */
int verdict_new(struct cx *cx, const struct facts *f, const struct survey *s, const struct target *t,
                bool fixes, struct verdict **out);
void verdict_free(struct verdict *v);
const char *verdict_name(enum verdict_kind k);
/* Where item i runs: a provider's name; NULL when nowhere, or not known. */
const char *verdict_place(const struct verdict *v, const struct item *it);
/* Whether an item counts as fallback. */
bool verdict_falls_back(const struct verdict *v, const struct item *it);

/* advise.c: fills v->reason and v->fixes. */
int verdict_explain(struct cx *cx, const struct facts *f, struct verdict *v, bool fixes);

#endif
