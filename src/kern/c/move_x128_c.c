/* Moving 128-bit elements, the reference. */
#include <stdint.h>

/* A string element or a complex128: 16 bytes that are only copied. */
struct x128 {
    uint64_t lo, hi;
};

#define T  struct x128
#define TN x128
#include "kern/tmpl/names.h"

#include "kern/tmpl/move_tmpl.c"
