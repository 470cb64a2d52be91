/* Moving 16-bit elements, the reference. */
#include <stdint.h>

#define T  uint16_t
#define TN x16
#include "kern/tmpl/names.h"

#include "kern/tmpl/move_tmpl.c"
