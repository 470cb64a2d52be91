/* Regular expressions in the syntax of RE2, matched in time proportional to pattern times text.
 *
 * Not supported, and said so: Unicode classes by name (\p{Greek}, \pN) and \C. Not part of the syntax, hence
 * errors: back references, look-around, possessive repetition. Repeats go up to 1000, as in RE2. */
#ifndef OT_BASE_REGEX_H
#define OT_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"

struct regex;

/* Memory from a. E_ATTR for what is no expression, E_UNSUPPORTED, E_LIMIT when it becomes too large. */
int regex_compile(struct cx *cx, struct arena *a, const char *p, size_t n, struct regex **out);
/* Bytes of memory that a match needs; one piece serves one match at a time. */
size_t regex_work(const struct regex *re);
/* Whether the whole text matches. Bytes that are no UTF-8 match nothing. */
bool regex_match(const struct regex *re, const char *text, size_t n, void *work);
/* Where the longest match that begins at byte `from` ends; SIZE_MAX: none begins there. */
size_t regex_longest(const struct regex *re, const char *text, size_t from, size_t n, void *work);

#endif
