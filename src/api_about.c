/* The public interface: what the library is made of and knows. */
#include "api.h"

#include <cjson/cJSON.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>
#include <zip.h>

#include "ops/op.h"
#include "ops/schema.h"

const struct ot_list_item *ot_library(size_t i)
{
    static struct ot_list_item item[4];
    item[0] = (struct ot_list_item){"protobuf-c", protobuf_c_version()};
    item[1] = (struct ot_list_item){"cJSON", cJSON_Version()};
    item[2] = (struct ot_list_item){"libzip", zip_libzip_version()};
    /* Asking its version would load it: that takes longer than everything else. */
    item[3] = (struct ot_list_item){"OpenBLAS", "opened when used"};
    return i < sizeof item / sizeof *item ? &item[i] : NULL;
}

static bool same_op(const struct op_version *a, const struct op_version *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->domain, b->domain) == 0;
}

size_t ot_op_count(void)
{
    size_t n, count = 0;
    const struct op_version *v = schema_all(&n);
    for (size_t i = 0; i < n; i++)
        count += i == 0 || !same_op(&v[i - 1], &v[i]);
    return count;
}

void ot_op_info(size_t i, struct ot_op_info *out)
{
    size_t n, first = 0, last;
    const struct op_version *v = schema_all(&n);
    *out = (struct ot_op_info){.domain = "", .name = ""};
    for (; first < n; first++)
        if ((first == 0 || !same_op(&v[first - 1], &v[first])) && i-- == 0)
            break;
    if (first == n)
        return;
    for (last = first; last + 1 < n && same_op(&v[first], &v[last + 1]); last++)
        ;
    *out = (struct ot_op_info){domain_text(v[first].domain), v[first].name, v[first].since, v[last].since,
                               op_find(v[first].domain, v[first].name) != NULL};
}
