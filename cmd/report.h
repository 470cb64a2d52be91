/* Results: text, tables, JSON. One report goes to one stream in one format. Names that come from files are
 * passed through rp_name() in text; the JSON and table writers escape by themselves. */
#ifndef CMD_REPORT_H
#define CMD_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV, FORMAT_MARKDOWN, FORMAT_DOT };
enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct report;

/* JSON begins with an open object that holds "schema_version" and "command". */
struct report *report_new(FILE *out, enum format format, bool color, const char *command);
/* Closes what is open of a JSON document (adding "exit_code" to its top), flushes and frees. False: not all
 * could be written, errno says why. */
bool report_end(struct report *r, int exit_code);
/* Remembers what went wrong: JSON gets it as "error" at its top. */
void rp_error(struct report *r, const char *message);
enum format rp_format(const struct report *r);
bool rp_json(const struct report *r);
FILE *rp_file(struct report *r);

/* ---- text: nothing is printed in other formats ---- */

void rp_text(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A heading, bold on a terminal. */
void rp_title(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "  key        value", values of all rows below each other. An empty key continues the one above. */
void rp_row(struct report *r, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Keys of the rows that follow get so many columns, never fewer than usual nor more than half a line. */
void rp_key_width(struct report *r, size_t columns);
/* Text in the colour for good (true) or bad news. Returns text itself without colour, else a copy. */
const char *rp_verdict(struct report *r, bool good, const char *text);
/* s, with control bytes and bad UTF-8 escaped. Lives as long as the report. NULL gives "". */
const char *rp_name(struct report *r, const char *s);
/* Formatted into memory that lives as long as the report. */
const char *rp_str(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "1.25 GiB", "8.18 G", a whole number as "25,530,472". */
const char *rp_bytes(struct report *r, uint64_t bytes);
const char *rp_count(struct report *r, uint64_t n);
const char *rp_digits(struct report *r, int64_t n);
/* Shortest decimal that tells a float of that many significant digits (6 when 0). */
const char *rp_num(struct report *r, double v, int digits);

/* ---- JSON: nothing is printed in other formats. key NULL inside arrays ---- */

void js_obj(struct report *r, const char *key);
void js_arr(struct report *r, const char *key);
void js_end(struct report *r);
void js_str(struct report *r, const char *key, const char *s); /* NULL: null */
void js_strn(struct report *r, const char *key, const char *s, size_t n);
void js_int(struct report *r, const char *key, int64_t v);
void js_uint(struct report *r, const char *key, uint64_t v);
/* NaN and infinities as "NaN", "Infinity", "-Infinity"; else the shortest text that reads back the same. */
void js_num(struct report *r, const char *key, double v);
void js_bool(struct report *r, const char *key, bool v);
void js_null(struct report *r, const char *key);

/* ---- tables: text (aligned), CSV or Markdown; nothing in JSON ---- */

struct table;

/* align: a letter a column, 'l' or 'r'. heads as many strings. */
struct table *table_new(struct report *r, const char *align, const char *const *heads);
/* The next cell, left to right, rows top down. Text is escaped. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_int(struct table *t, int64_t v);
/* Prints and frees. */
void table_end(struct table *t);
/* Frees without printing. */
void table_drop(struct table *t);

/* ---- memory of a command: what cannot be had ends the program with exit code 5 ---- */

void *xalloc(size_t n); /* zeroed */
void *xgrow(void *p, size_t n);
char *xdup(const char *s);

#endif
