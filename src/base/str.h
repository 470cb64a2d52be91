/* A growing string, and text helpers for names that come from files. */
#ifndef OT_BASE_STR_H
#define OT_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Zeroed is empty. p is always terminated once something was added. failed: memory ran out, content is cut.
 */
struct str {
    char *p;
    size_t n, cap;
    bool failed;
};

void str_addn(struct str *s, const char *p, size_t n);
void str_add(struct str *s, const char *p);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_vaddf(struct str *s, const char *fmt, va_list ap);
void str_free(struct str *s);
/* Never NULL. */
const char *str_text(const struct str *s);

/* Copies src into dst[size], control bytes and invalid UTF-8 as \n, \t, \xNN; always terminated. */
size_t str_escape(char *dst, size_t size, const char *src, size_t n);
/* Appends escaped text. */
void str_add_escaped(struct str *s, const char *src, size_t n);
bool utf8_valid(const char *p, size_t n);
/* '*' and '?' and [abc]; the whole text must match. */
bool glob_match(const char *pattern, const char *text);
/* Edits between two words (insert, delete, replace, swap), for "did you mean". */
unsigned edit_distance(const char *a, const char *b);
/* The nearest of n names within a distance that a typing mistake explains; NULL if none. */
const char *nearest_name(const char *want, const char *const *names, size_t n);
/* "1.25 GiB", "512 B" into buf. */
const char *human_bytes(char *buf, size_t size, unsigned long long bytes);
/* "8.18 G", "512", powers of 1000. */
const char *human_count(char *buf, size_t size, unsigned long long n);

#endif
