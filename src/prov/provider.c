/* The list of providers. */
#include "prov/provider.h"

#include <string.h>

#include "prov/cpu/cpu_prov.h"

static const struct provider *const all[] = {&cpu_provider};

const struct provider *const *provider_all(size_t *n)
{
    *n = sizeof all / sizeof *all;
    return all;
}

const struct provider *provider_find(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
