/* The CPU provider: kernels of kern/ as the operators' bind hooks choose them, ref where they decline. */
#ifndef OT_PROV_CPU_CPU_PROV_H
#define OT_PROV_CPU_CPU_PROV_H

#include "prov/provider.h"

extern const struct provider cpu_provider;

#endif
