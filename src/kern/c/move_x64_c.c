/* Moving 64-bit elements, the reference. */
#include <stdint.h>

#define T  uint64_t
#define TN x64
#include "kern/tmpl/names.h"

#include "kern/tmpl/move_tmpl.c"
