/* Moving 8-bit elements, the reference. */
#include <stdint.h>

#define T  uint8_t
#define TN x8
#include "kern/tmpl/names.h"

#include "kern/tmpl/move_tmpl.c"
