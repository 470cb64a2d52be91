/* The table of kernels, filled from the rows of rows.def. */
#include "kern/kern.h"

#include <string.h>

static const struct kern_row rows[] = {
#define K(slot, name, isa) {#slot, #name, isa},
#include "kern/rows.def"
#undef K
};

int kern_row_count(void)
{
    return (int)(sizeof rows / sizeof rows[0]);
}

const struct kern_row *kern_row(int i)
{
    return &rows[i];
}

/* The counter numbers the cases in the order of the array above. */
enum { FIRST_CASE = __COUNTER__ + 1 };

void kern_row_apply(struct kern *k, int i)
{
    switch (i) {
#define K(slot, name, isa)                                                                                   \
    case __COUNTER__ - FIRST_CASE:                                                                           \
        k->slot = &name;                                                                                     \
        return;
#include "kern/rows.def"
#undef K
    }
}

void kern_init(struct kern *k, unsigned cpu_mask)
{
    memset(k, 0, sizeof *k);
    for (int i = 0; i < kern_row_count(); i++)
        if (!(rows[i].isa & ~cpu_mask))
            kern_row_apply(k, i);
}
