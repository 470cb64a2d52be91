/* Moving 32-bit elements, the reference. */
#include <stdint.h>

#define T  uint32_t
#define TN x32
#include "kern/tmpl/names.h"

#include "kern/tmpl/move_tmpl.c"
