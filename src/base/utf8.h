/* UTF-8 text, one code point at a time, and letter case. */
#ifndef OT_BASE_UTF8_H
#define OT_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { UTF8_BAD = -1, UTF8_MAX = 4 };

/* The code point at p (n > 0 bytes are there) and how many bytes it takes; UTF8_BAD with one byte where there
 * is none (overlong forms and surrogates too). */
int32_t utf8_get(const char *p, size_t n, size_t *len);
/* Writes c into out[UTF8_MAX]; returns its bytes. */
size_t utf8_put(int32_t c, char *out);
/* The one letter that is c in lower (upper) case, c when there is none. */
int32_t uni_lower(int32_t c);
int32_t uni_upper(int32_t c);

#endif
