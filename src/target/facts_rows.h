/* Putting rows into the tables: between facts.c and facts_json.c. Strings must live as long as the facts. */
#ifndef OT_TARGET_FACTS_ROWS_H
#define OT_TARGET_FACTS_ROWS_H

#include "target/facts.h"

/* A release or bundle of the same name is replaced. */
int rows_add_runtime(struct cx *cx, struct facts *f, const struct fact_runtime *r);
int rows_add_release(struct cx *cx, struct facts *f, const struct fact_release *r);
int rows_add_bundle(struct cx *cx, struct facts *f, const struct fact_bundle *b);
int rows_add_kernel(struct cx *cx, struct facts *f, const struct fact_kernel *k);
int rows_add_listed(struct cx *cx, struct facts *f, const struct fact_listed *l);
/* "6-12", "9", "13+" or "none" of a kernel. */
bool rows_parse_versions(const char *text, int *lo, int *hi);
/* Lookups want the rows in order: after the last one. */
void rows_sort(struct facts *f);

#endif
