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

/* Operators that run without a row of the standard (those of com.microsoft); what passes make is of no file.
 */
static bool is_extra(const struct op *op)
{
    return !schema_known(op->domain, op->name) && strcmp(op->domain, "onnxtool") != 0;
}

static const struct op *extra_op(size_t i)
{
    size_t n;
    const struct op *const *all = op_all(&n);
    for (size_t k = 0; k < n; k++)
        if (is_extra(all[k]) && i-- == 0)
            return all[k];
    return NULL;
}

size_t ot_op_count(void)
{
    size_t n, count = 0;
    const struct op_version *v = schema_all(&n);
    for (size_t i = 0; i < n; i++)
        count += i == 0 || !same_op(&v[i - 1], &v[i]);
    size_t have;
    const struct op *const *all = op_all(&have);
    for (size_t k = 0; k < have; k++)
        count += is_extra(all[k]);
    return count;
}

/* What the first input may be, or the first output where there is none. */
static void first_types(const struct op_version *v, char *buf, size_t size)
{
    struct cx cx;
    struct op_schema *s;
    cx_init(&cx);
    buf[0] = 0;
    if (!schema_parse(&cx, &cx.scratch, v, &s)) {
        const struct schema_io *io = s->nin ? schema_input(s, 0) : schema_output(s, 0);
        if (io)
            schema_types_text(v, io->type, buf, size);
    }
    cx_fini(&cx);
}

void ot_op_info(size_t i, struct ot_op_info *out)
{
    size_t n, first = 0, last;
    const struct op_version *v = schema_all(&n);
    *out = (struct ot_op_info){.domain = "", .name = ""};
    for (; first < n; first++)
        if ((first == 0 || !same_op(&v[first - 1], &v[first])) && i-- == 0)
            break;
    if (first == n) {
        const struct op *op = extra_op(i);
        if (op) {
            *out = (struct ot_op_info){.domain = domain_text(op->domain), op->name, 1, 1, true};
            snprintf(out->types, sizeof out->types, "%s", op_extra_types(op));
        }
        return;
    }
    for (last = first; last + 1 < n && same_op(&v[first], &v[last + 1]); last++)
        ;
    *out = (struct ot_op_info){.domain = domain_text(v[first].domain),
                               v[first].name,
                               v[first].since,
                               v[last].since,
                               op_find(v[first].domain, v[first].name) != NULL};
    first_types(&v[last], out->types, sizeof out->types);
}

bool ot_defined(size_t i, struct ot_defined *out)
{
    static const struct ot_defined rows[] = {
#define D(what, result, cases) {what, result, cases},
#include "ops/defined.def"
#undef D
    };
    if (i >= sizeof rows / sizeof *rows)
        return false;
    *out = rows[i];
    return true;
}
