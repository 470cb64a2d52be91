#include "onnxtool.h"

/* OT_VERSION comes from the Makefile, the only place that knows the number. */
const char *ot_version(void)
{
    return OT_VERSION;
}
