/* What is known of runtimes: tables of releases, what they hold, kernels and operator lists, with a file of
 * the user's own on top. Built in from src/target/facts (whose headers explain the columns); nothing here
 * knows a model. Where the tables are silent the answer is "unknown", never a guess.
 *
 * Strings are borrowed from the facts, never NULL; "" is an empty cell. */
#ifndef OT_TARGET_FACTS_H
#define OT_TARGET_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/err.h"

/* "1.30.0-dev", "24.05", "2025.4.1": up to four numbers; -dev stands before the release of that number. */
struct fact_version {
    int part[4];
    int n; /* parts that were given */
    bool dev;
};
/* False: not a version. */
bool version_parse(const char *text, struct fact_version *out);
/* Parts that are not given count as 0. */
int version_cmp(const struct fact_version *a, const struct fact_version *b);
/* Whether `of` is a release of the series that `series` names: 1.12 has 1.12.1. */
bool version_in(const struct fact_version *series, const struct fact_version *of);

enum fact_known { KNOWN_RELEASES, KNOWN_KERNELS, KNOWN_LIST };

/* A name that --target takes, or --provider. */
struct fact_runtime {
    const char *name, *aliases, *ort_name, *list, *complete, *unsure, *dated, *remark;
    bool provider;
    enum fact_known known;
};

/* What a release accepts; 0: not stated. */
struct fact_release {
    const char *runtime, *version, *date, *basis;
    const char *tried; /* "measured", "unreachable", "": nobody tried it */
    struct fact_version v;
    struct fact_version onnx; /* of the library that it was built with; n 0: not known */
    int min_opset, opset, ml, ir;
    int compiled; /* newest opset that its library has in part, beyond `opset` */
    bool strict;  /* beyond them a model is refused; else they are what was documented */
};

/* A release holds another runtime. */
struct fact_bundle {
    const char *runtime, *version, *holds, *held, *basis;
    struct fact_version v;
};

/* Element types that a constraint admits: bits 1 << enum dtype, by kind of value. */
struct fact_types {
    uint32_t tensor, seq, opt, opt_seq;
    bool others; /* types that the table does not tell */
};

struct fact_kernel {
    const char *domain, *op, *types, *releases, *restrictions; /* domain "" is ai.onnx */
    const struct fact_runtime *provider;
    int lo, hi; /* versions of the operator that it serves; N+ is lo = hi = N */
    int serial; /* 0: built in; later files count up and hide earlier rows of the same releases */
};

struct fact_listed {
    const char *list, *domain, *op, *releases, *versions, *types, *restrictions, *where;
    bool supported;
    int serial;
};

/* A version that does something else though it reads like the one before (meaning.tsv). */
struct fact_meaning {
    const char *domain, *op, *attr, *value, *what;
    int since;
};

/* An operator version that came into an opset that was out already (late.tsv). */
struct fact_late {
    const char *domain, *op;
    int since;
    struct fact_version onnx; /* the first release of the library that has it */
};

/* Operators in a function body that depends on types (bodies.tsv). */
struct fact_body {
    const char *domain, *op, *ops; /* ops: words */
    int since, opset;              /* of the operator; that the body is written for */
};

struct facts {
    struct arena arena;
    const char *date;               /* of the tables that are built in */
    struct fact_runtime **runtimes; /* they never move */
    struct fact_release *releases;  /* by runtime, then version */
    struct fact_bundle *bundles;
    struct fact_kernel *kernels; /* by domain and operator */
    struct fact_listed *listed;  /* by list and operator, case aside */
    struct fact_meaning *meanings;
    struct fact_late *lates;
    struct fact_body *bodies;
    size_t nruntimes, nreleases, nbundles, nkernels, nlisted, nmeanings, nlates, nbodies;
    size_t cap_runtimes, cap_releases, cap_bundles, cap_kernels, cap_listed, cap_meanings, cap_lates,
        cap_bodies;
    int serial;
};

/* The youngest date that a built-in table states, without reading any. */
const char *facts_date(void);
/* The tables that are built in. */
int facts_new(struct cx *cx, struct facts **out);
void facts_free(struct facts *f);
/* Adds what a JSON file says (facts_json.c documents it); a row hides the earlier ones that it contradicts.
 * names: of the releases that the file adds, NULL-terminated "runtime@version"; may be NULL. E_DATA with the
 * place in the file. */
int facts_read(struct cx *cx, struct facts *f, const char *path, const char *const **names);
struct target;
/* All that is known of a release that the tables have, as such a file. Text in memory of f. */
int facts_export(struct cx *cx, struct facts *f, const struct target *t, const char **out);

/* By name or alias; NULL. */
const struct fact_runtime *facts_runtime(const struct facts *f, const char *name, bool provider);
/* Stands for the provider in rows that say which types of an operator its function body serves, where the CPU
 * has no kernel. It is in no list, and nobody can ask for it. */
extern const struct fact_runtime fact_bodies;
/* The provider that a row of kernels names: by name, or fact_bodies. NULL. */
const struct fact_runtime *facts_provider(const struct facts *f, const char *name);
/* Rows of an operator (of any provider, release and version); *n of them. */
const struct fact_kernel *facts_kernels(const struct facts *f, const char *domain, const char *op, size_t *n);
const struct fact_listed *facts_listed(const struct facts *f, const char *list, const char *op, size_t *n);
/* Whether a column "1.9-1.12,1.14,1.23.1-1.25,1.20+" holds v; a bound of two numbers is a whole minor
 * release.
 * "" holds none. */
bool releases_hold(const char *releases, const struct fact_version *v);
/* Whether the kernel tables have rows of that provider in that release. */
bool facts_have_kernels(const struct facts *f, const struct fact_runtime *provider,
                        const struct fact_version *v);
/* Whether a runtime built with that ONNX release does not have the operator version yet, though it has its
 * opset. */
bool facts_came_late(const struct facts *f, const char *domain, const char *op, int since,
                     const struct fact_version *onnx);
/* The operators of such a body, for a model of that opset; NULL: not told. */
const char *facts_body(const struct facts *f, const char *domain, const char *op, int since, int64_t opset);
/* The set behind NAME in a types column ("T=fd T1=[f]"; "fd" alone answers to every name). False: not there.
 */
bool facts_types(const char *types, const char *name, struct fact_types *out);
/* The next NAME=set of a types column, *at moving on from the column's start; false at its end. */
bool facts_next_types(const char **at, char *name, size_t size, struct fact_types *out);

#endif
